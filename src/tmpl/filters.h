// The filters, in three files by what they work on; the table is in filters.c.
#ifndef TMPL_FILTERS_H
#define TMPL_FILTERS_H

#include "tmpl/methods.h"

// filters_text.c
filter_fn tmpl_filter_capitalize, tmpl_filter_center, tmpl_filter_escape, tmpl_filter_forceescape,
    tmpl_filter_format, tmpl_filter_indent, tmpl_filter_lower, tmpl_filter_replace, tmpl_filter_safe,
    tmpl_filter_string, tmpl_filter_title, tmpl_filter_tojson, tmpl_filter_from_json, tmpl_filter_trim,
    tmpl_filter_truncate, tmpl_filter_upper, tmpl_filter_wordcount;
// filters_number.c
filter_fn tmpl_filter_abs, tmpl_filter_float, tmpl_filter_int, tmpl_filter_round;
// filters_seq.c
filter_fn tmpl_filter_batch, tmpl_filter_first, tmpl_filter_items, tmpl_filter_join, tmpl_filter_last,
    tmpl_filter_length, tmpl_filter_list, tmpl_filter_reverse, tmpl_filter_slice, tmpl_filter_sum,
    tmpl_filter_map, tmpl_filter_select, tmpl_filter_reject, tmpl_filter_selectattr, tmpl_filter_rejectattr;
// filters_sort.c
filter_fn tmpl_filter_dictsort, tmpl_filter_groupby, tmpl_filter_max, tmpl_filter_min, tmpl_filter_sort,
    tmpl_filter_unique;

#endif
