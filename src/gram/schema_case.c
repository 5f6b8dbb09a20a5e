// Working a goal out into cases: the schemas of a goal are taken apart keyword by keyword; where there is a choice,
// the case and what is still to be done are copied for each branch.
#include <string.h>

#include "gram/schema_case.h"

enum { MOST_CASES = 600, MOST_STEPS = 400000, MOST_PENDING = 20000 };

static int no_memory(schema *s)
{
    return err_set(s->e, ST_NOMEM, "no memory for a JSON schema");
}

static bool copy_list(schema_list *to, const schema_list *from)
{
    *to = (schema_list){0};
    for (size_t i = 0; i < from->n; i++)
        if (!schema_push(to, from->at[i].schema, from->at[i].negative)) {
            mem_free(to->at);
            return false;
        }
    return true;
}

static void work_done(schema_work *w)
{
    mem_free(w->c.facets.at);
    mem_free(w->c.names.at);
    mem_free(w->c.tuples.at);
    mem_free(w->c.required);
    mem_free(w->todo.at);
    mem_free(w->seen.at);
}

static bool copy_work(schema_work *to, const schema_work *from)
{
    *to = *from;
    to->c.facets = to->c.names = to->c.tuples = to->todo = to->seen = (schema_list){0};
    to->c.required = NULL;
    to->c.n_required = to->c.required_cap = 0;
    bool ok = copy_list(&to->c.facets, &from->c.facets) && copy_list(&to->c.names, &from->c.names) &&
              copy_list(&to->c.tuples, &from->c.tuples) && copy_list(&to->todo, &from->todo) &&
              copy_list(&to->seen, &from->seen);
    for (size_t i = 0; i < from->c.n_required && ok; i++)
        if ((ok = gram_grow(&to->c.required, &to->c.required_cap, i, sizeof *to->c.required)))
            to->c.required[to->c.n_required++] = from->c.required[i];
    if (!ok)
        work_done(to);
    return ok;
}

static int run(schema_expander *x, schema_work *w);

// One branch: the work so far with one or two more literals on top.
int schema_case_branch(schema_expander *x, const schema_work *w, const schema_literal *more, size_t n,
                       unsigned types)
{
    schema_work copy;
    if (!copy_work(&copy, w))
        return no_memory(x->s);
    bool ok = true;
    copy.c.types &= types;
    for (size_t i = 0; i < n; i++)
        ok = ok && schema_push(&copy.todo, more[i].schema, more[i].negative);
    int rc = ok ? run(x, &copy) : no_memory(x->s);
    work_done(&copy);
    return rc;
}

int schema_case_push(schema_expander *x, schema_work *w, const json_t *v, bool negative)
{
    if (!json_is_object(v) && !json_is_boolean(v))
        return err_set(x->s->e, ST_FORMAT, "JSON schema: a schema is neither an object nor true or false");
    if (w->todo.n > MOST_PENDING)
        return err_set(x->s->e, ST_LIMIT, "JSON schema: too many schemas hold at one place");
    return schema_push(&w->todo, v, negative) ? ST_OK : no_memory(x->s);
}

int schema_case_keep(schema_expander *x, schema_list *l, const json_t *v)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->at[i].schema == v)
            return ST_OK;
    return schema_push(l, v, false) ? ST_OK : no_memory(x->s);
}

// ---- Taking a schema apart -------------------------------------------------------------------------------------
typedef enum keyword {
    K_TYPE,
    K_ENUM,
    K_CONST,
    K_REF,
    K_ALL,
    K_ANY,
    K_ONE,
    K_NOT,
    K_IF,
    K_BOUND,
    K_MULTIPLE,
    K_TEXT,
    K_SIZE,
    K_REQUIRED,
    K_PROPERTIES,
    K_NAMES,
    K_DEPENDENT,
    K_ITEMS,
    K_CONTAINS,
    K_UNEVALUATED,
    K_UNIQUE,
    K_REFUSED
} keyword;

static const struct {
    const char *name;
    keyword k;
} keywords[] = {
    {"type", K_TYPE},
    {"enum", K_ENUM},
    {"const", K_CONST},
    {"minimum", K_BOUND},
    {"maximum", K_BOUND},
    {"exclusiveMinimum", K_BOUND},
    {"exclusiveMaximum", K_BOUND},
    {"multipleOf", K_MULTIPLE},
    {"pattern", K_TEXT},
    {"format", K_TEXT},
    {"minLength", K_SIZE},
    {"maxLength", K_SIZE},
    {"minItems", K_SIZE},
    {"maxItems", K_SIZE},
    {"minProperties", K_SIZE},
    {"maxProperties", K_SIZE},
    {"required", K_REQUIRED},
    {"properties", K_PROPERTIES},
    {"patternProperties", K_PROPERTIES},
    {"additionalProperties", K_PROPERTIES},
    {"propertyNames", K_NAMES},
    {"dependencies", K_DEPENDENT},
    {"dependentRequired", K_DEPENDENT},
    {"dependentSchemas", K_DEPENDENT},
    {"items", K_ITEMS},
    {"prefixItems", K_ITEMS},
    {"additionalItems", K_ITEMS},
    {"contains", K_CONTAINS},
    {"uniqueItems", K_UNIQUE},
    {"unevaluatedProperties", K_UNEVALUATED},
    {"unevaluatedItems", K_UNEVALUATED},
    {"allOf", K_ALL},
    {"not", K_NOT},
    {"$ref", K_REF},
    {"anyOf", K_ANY},
    {"oneOf", K_ONE},
    {"if", K_IF},
    {"$dynamicRef", K_REFUSED},
    {"$recursiveRef", K_REFUSED},
    {"disallow", K_REFUSED},
    {"extends", K_REFUSED},
    {"divisibleBy", K_REFUSED},
};

static int follow(schema_expander *x, schema_work *w, const json_t *v, bool negative)
{
    const json_t *to;
    int rc = schema_follow(x->s, v, json_object_get(v, "$ref"), &to);
    return rc ? rc : schema_case_push(x, w, to, negative);
}

// One keyword of v, met or (negative) not met.
static int apply(schema_expander *x, schema_work *w, const json_t *v, size_t i, bool negative)
{
    const char *name = keywords[i].name;
    switch (keywords[i].k) {
    case K_TYPE: return schema_keyword_types(x, w, v, negative);
    case K_ENUM:
    case K_CONST: return schema_keyword_values(x, w, v, name, negative);
    case K_REF: return follow(x, w, v, negative);
    case K_ALL: return schema_keyword_all_of(x, w, v, name, negative);
    case K_ANY: return schema_keyword_all_of(x, w, v, name, negative);
    case K_ONE: return schema_keyword_one_of(x, w, v, negative);
    case K_NOT: return schema_case_push(x, w, json_object_get(v, name), !negative);
    case K_IF: return schema_keyword_if_then(x, w, v, negative);
    case K_BOUND: return schema_keyword_bound(x, w, v, name, negative);
    case K_MULTIPLE: return schema_keyword_multiple(x, w, v, negative);
    case K_TEXT: return schema_keyword_text(x, w, v, name, negative);
    case K_SIZE: return schema_keyword_size(x, w, v, name, negative);
    case K_REQUIRED: return schema_keyword_required(x, w, v, negative);
    case K_PROPERTIES: return negative ? ST_OK : schema_case_keep(x, &w->c.facets, v);
    case K_NAMES: return schema_keyword_names(x, w, v, negative);
    case K_DEPENDENT: return schema_keyword_dependent(x, w, v, name, negative);
    case K_ITEMS: return negative ? ST_OK : schema_case_keep(x, &w->c.tuples, v);
    case K_CONTAINS: return schema_keyword_contains(x, w, v, negative);
    case K_UNEVALUATED: return schema_keyword_unevaluated(x, w, v, name, negative);
    case K_UNIQUE: return schema_keyword_unique(x, w, v, negative);
    default: return schema_fail(x->s, ST_UNSUPPORTED, v, name, "is not supported");
    }
}

static bool is_choice(keyword k)
{
    return k == K_ANY || k == K_ONE || k == K_IF || k == K_ENUM || k == K_CONST;
}

// A schema that must be met: all its keywords. Those that branch come last; what comes behind a branch would be lost.
static int meet(schema_expander *x, schema_work *w, const json_t *v)
{
    int rc = ST_OK, choices = 0;
    bool alone = json_object_get(v, "$ref") && !x->s->siblings;
    for (size_t i = 0; i < COUNT_OF(keywords) && !rc && w->c.types; i++) {
        if (!json_object_get(v, keywords[i].name) || (alone && keywords[i].k != K_REF))
            continue;
        if (is_choice(keywords[i].k))
            choices++;
        else
            rc = apply(x, w, v, i, false);
    }
    // All choices but one wait on the stack as schemas of their own.
    for (size_t i = 0; i < COUNT_OF(keywords) && !rc && w->c.types && !alone && choices; i++) {
        json_t *own = json_object_get(v, keywords[i].name);
        if (!own || !is_choice(keywords[i].k))
            continue;
        if (--choices == 0)
            return apply(x, w, v, i, false);
        json_t *made = json_pack("{s:O}", keywords[i].name, own);
        static const char *const more[] = {"then", "else"};
        for (int k = 0; k < 2 && made && keywords[i].k == K_IF; k++)
            if (json_object_get(v, more[k]))
                json_object_set(made, more[k], json_object_get(v, more[k]));
        const json_t *kept = schema_keep(x->s, made);
        rc = kept ? schema_case_push(x, w, kept, false) : no_memory(x->s);
    }
    return rc;
}

// A schema that must not be met: a branch for each keyword that is not.
static int avoid(schema_expander *x, schema_work *w, const json_t *v)
{
    int rc = ST_OK;
    bool alone = json_object_get(v, "$ref") && !x->s->siblings, properties = false, items = false;
    for (size_t i = 0; i < COUNT_OF(keywords) && !rc; i++) {
        if (!json_object_get(v, keywords[i].name) || (alone && keywords[i].k != K_REF))
            continue;
        properties |= keywords[i].k == K_PROPERTIES;
        items |= keywords[i].k == K_ITEMS;
        if (keywords[i].k == K_PROPERTIES || keywords[i].k == K_ITEMS)
            continue;
        if (strncmp(keywords[i].name, "exclusive", 9) == 0 &&
            json_is_boolean(json_object_get(v, keywords[i].name)))
            continue;
        schema_work copy;
        if (!copy_work(&copy, w))
            return no_memory(x->s);
        rc = apply(x, &copy, v, i, true);
        if (!rc)
            rc = run(x, &copy);
        work_done(&copy);
    }
    if (!rc && properties)
        rc = schema_keyword_not_properties(x, w, v);
    if (!rc && items)
        rc = schema_keyword_not_items(x, w, v);
    w->c.types = 0;
    return rc;
}

// Finishes the case when nothing is left to do.
static int finish(schema_expander *x, schema_work *w)
{
    if (++x->cases > MOST_CASES)
        return err_set(x->s->e, ST_LIMIT, "JSON schema: the choices of one place multiply to more than %d",
                       MOST_CASES);
    return x->done(x->s, x->ctx, &w->c);
}

static int run_list(schema_expander *x, schema_work *w)
{
    while (w->todo.n && w->c.types) {
        // What must be met first: it settles types, so that less of the rest needs to be looked at.
        size_t at = w->todo.n - 1;
        for (size_t i = w->todo.n; i-- > 0;)
            if (!w->todo.at[i].negative) {
                at = i;
                break;
            }
        schema_literal l = w->todo.at[at];
        memmove(w->todo.at + at, w->todo.at + at + 1, (w->todo.n - at - 1) * sizeof l);
        w->todo.n--;
        bool twice = false;
        for (size_t i = 0; i < w->seen.n && !twice; i++)
            twice = w->seen.at[i].schema == l.schema && w->seen.at[i].negative == l.negative;
        if (twice)
            continue;
        if (++x->s->steps > MOST_STEPS || w->seen.n > 5000)
            return err_set(x->s->e, ST_LIMIT, "JSON schema: too much to work out");
        if (json_is_boolean(l.schema)) {
            if (json_is_true(l.schema) == l.negative)
                w->c.types = 0;
            continue;
        }
        if (!schema_push(&w->seen, l.schema, l.negative))
            return no_memory(x->s);
        int rc = l.negative ? avoid(x, w, l.schema) : meet(x, w, l.schema);
        if (rc)
            return rc;
    }
    return w->c.types ? finish(x, w) : ST_OK;
}

static int run(schema_expander *x, schema_work *w)
{
    if (x->depth >= 200)
        return err_set(x->s->e, ST_LIMIT, "JSON schema: choices nested too deep");
    x->depth++;
    int rc = run_list(x, w);
    x->depth--;
    return rc;
}

int schema_cases(schema *s, const schema_literal *l, size_t n, schema_case_fn *done, void *ctx)
{
    schema_expander x = {.s = s, .done = done, .ctx = ctx};
    schema_work w = {.c = {.types = TYPE_ANY,
                           .number = RX_ALL,
                           .string = RX_ALL,
                           .max_length = RX_MANY,
                           .max_members = RX_MANY,
                           .max_items = RX_MANY}};
    int rc = ST_OK;
    for (size_t i = 0; i < n && !rc; i++)
        rc = schema_case_push(&x, &w, l[i].schema, l[i].negative);
    if (!rc)
        rc = run(&x, &w);
    work_done(&w);
    if (!rc && s->g->rx.failed)
        rc = err_set(s->e, s->g->rx.failed, "JSON schema: too large");
    return rc;
}
