// Filters by name.
#include "tmpl/filters.h"

static value filter_default(rt *r, value v, const args *a)
{
    static const char *const names[] = {"default_value", "boolean"};
    value arg[2];
    tmpl_bind(r, "default", a, 2, names, arg);
    if (v.type != V_UNDEF && !(tmpl_truth(arg[1]) && !tmpl_truth(v)))
        return v;
    return arg[0].type == V_MISSING ? tmpl_strv(&r->h, "") : arg[0];
}

filter_fn *tmpl_filter_find(const str *name)
{
    static const struct {
        const char *name;
        filter_fn *fn;
    } all[] = {
        {"abs", tmpl_filter_abs},
        {"batch", tmpl_filter_batch},
        {"capitalize", tmpl_filter_capitalize},
        {"center", tmpl_filter_center},
        {"count", tmpl_filter_length},
        {"d", filter_default},
        {"default", filter_default},
        {"dictsort", tmpl_filter_dictsort},
        {"e", tmpl_filter_escape},
        {"escape", tmpl_filter_escape},
        {"first", tmpl_filter_first},
        {"float", tmpl_filter_float},
        {"forceescape", tmpl_filter_forceescape},
        {"format", tmpl_filter_format},
        {"from_json", tmpl_filter_from_json},
        {"groupby", tmpl_filter_groupby},
        {"indent", tmpl_filter_indent},
        {"int", tmpl_filter_int},
        {"items", tmpl_filter_items},
        {"join", tmpl_filter_join},
        {"last", tmpl_filter_last},
        {"length", tmpl_filter_length},
        {"list", tmpl_filter_list},
        {"lower", tmpl_filter_lower},
        {"map", tmpl_filter_map},
        {"max", tmpl_filter_max},
        {"min", tmpl_filter_min},
        {"reject", tmpl_filter_reject},
        {"rejectattr", tmpl_filter_rejectattr},
        {"replace", tmpl_filter_replace},
        {"reverse", tmpl_filter_reverse},
        {"round", tmpl_filter_round},
        {"safe", tmpl_filter_safe},
        {"select", tmpl_filter_select},
        {"selectattr", tmpl_filter_selectattr},
        {"slice", tmpl_filter_slice},
        {"sort", tmpl_filter_sort},
        {"string", tmpl_filter_string},
        {"sum", tmpl_filter_sum},
        {"title", tmpl_filter_title},
        {"tojson", tmpl_filter_tojson},
        {"trim", tmpl_filter_trim},
        {"truncate", tmpl_filter_truncate},
        {"unique", tmpl_filter_unique},
        {"upper", tmpl_filter_upper},
        {"wordcount", tmpl_filter_wordcount},
    };
    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (tmpl_str_is(name, all[i].name))
            return all[i].fn;
    return NULL;
}

value tmpl_filter_call(rt *r, const str *name, value v, const args *a)
{
    filter_fn *fn = tmpl_filter_find(name);
    if (!fn)
        tmpl_fail(&r->h, ST_FORMAT, "No filter named '%s' found.", tmpl_str_c(&r->h, name));
    return fn(r, v, a);
}
