// What the files that work goals out into cases share.
#ifndef GRAM_SCHEMA_CASE_H
#define GRAM_SCHEMA_CASE_H

#include "gram/schema.h"

// A case in the making.
typedef struct schema_work {
    schema_case c;
    schema_list todo;  // a stack
    schema_list seen;  // taken apart already: meeting them twice is meeting them once
} schema_work;

typedef struct schema_expander {
    schema *s;
    schema_case_fn *done;
    void *ctx;
    size_t cases, depth;
} schema_expander;

// schema_case.c: one more schema to be met or not; a branch with n more of them and fewer types; one more in a list.
int schema_case_push(schema_expander *x, schema_work *w, const json_t *v, bool negative);
int schema_case_branch(schema_expander *x, const schema_work *w, const schema_literal *more, size_t n,
                       unsigned types);
int schema_case_keep(schema_expander *x, schema_list *l, const json_t *v);

// schema_keyword.c: a keyword of v, met or (negative) not met; v has it. not_: `properties` and `items` not met.
int schema_keyword_values(schema_expander *x, schema_work *w, const json_t *v, const char *name,
                          bool negative);
int schema_keyword_all_of(schema_expander *x, schema_work *w, const json_t *v, const char *keyword,
                          bool negative);
int schema_keyword_one_of(schema_expander *x, schema_work *w, const json_t *v, bool negative);
int schema_keyword_if_then(schema_expander *x, schema_work *w, const json_t *v, bool negative);
int schema_keyword_bound(schema_expander *x, schema_work *w, const json_t *v, const char *keyword,
                         bool negative);
int schema_keyword_multiple(schema_expander *x, schema_work *w, const json_t *v, bool negative);
int schema_keyword_text(schema_expander *x, schema_work *w, const json_t *v, const char *keyword,
                        bool negative);
int schema_keyword_size(schema_expander *x, schema_work *w, const json_t *v, const char *keyword,
                        bool negative);
int schema_keyword_required(schema_expander *x, schema_work *w, const json_t *v, bool negative);
int schema_keyword_names(schema_expander *x, schema_work *w, const json_t *v, bool negative);
int schema_keyword_dependent(schema_expander *x, schema_work *w, const json_t *v, const char *keyword,
                             bool negative);
int schema_keyword_contains(schema_expander *x, schema_work *w, const json_t *v, bool negative);
int schema_keyword_unevaluated(schema_expander *x, schema_work *w, const json_t *v, const char *keyword,
                               bool negative);
int schema_keyword_unique(schema_expander *x, schema_work *w, const json_t *v, bool negative);
int schema_keyword_not_properties(schema_expander *x, schema_work *w, const json_t *v);
int schema_keyword_not_items(schema_expander *x, schema_work *w, const json_t *v);
int schema_keyword_types(schema_expander *x, schema_work *w, const json_t *v, bool negative);

#endif
