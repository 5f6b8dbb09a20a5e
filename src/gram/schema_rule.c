// From goals to rules: each case of a goal becomes ways to write a value.
#include <stdlib.h>
#include <string.h>

#include "gram/schema.h"

enum {
    MOST_GOALS = 20000,
    MOST_PATTERNS = 6,   // different patternProperties of one object: each subset is a kind of key
    MOST_KEYS = 5000,    // declared keys of one object
    MOST_TUPLE = 10000,  // items that are described one by one
};

typedef struct goal_key {
    const schema_literal *l;
    size_t n;
} goal_key;

static int no_memory(schema *s)
{
    return err_set(s->e, ST_NOMEM, "no memory for a JSON schema");
}

static bool same_literal(schema_literal a, schema_literal b)
{
    return a.schema == b.schema && a.negative == b.negative;
}

static bool same_goal(const void *owner, uint32_t id, const void *key)
{
    const schema *s = owner;
    const goal_key *k = key;
    const schema_goal *g = &s->goal[id];
    if (g->n != k->n)
        return false;
    for (size_t i = 0; i < k->n; i++)
        if (!same_literal(s->literals.at[g->literal + i], k->l[i]))
            return false;
    return true;
}

static int compare_literals(const void *a, const void *b)
{
    const schema_literal *x = a, *y = b;
    if (x->schema != y->schema)
        return (uintptr_t)x->schema < (uintptr_t)y->schema ? -1 : 1;
    return (int)x->negative - (int)y->negative;
}

// Whether a schema asks for nothing.
static bool asks_nothing(const json_t *v)
{
    return json_is_true(v) || (json_is_object(v) && json_object_size(v) == 0);
}

uint32_t schema_rule(schema *s, const schema_literal *l, size_t n)
{
    schema_literal *sorted = mem_alloc(MEM_GRAMMAR, (n + 1) * sizeof *sorted);
    size_t k = 0;
    if (!sorted)
        return GRAM_ABSENT;
    for (size_t i = 0; i < n; i++)
        if (l[i].negative || !asks_nothing(l[i].schema))
            sorted[k++] = l[i];
    qsort(sorted, k, sizeof *sorted, compare_literals);
    uint64_t h = k;
    for (size_t i = 0; i < k; i++)
        h = gram_mix(h, (uintptr_t)sorted[i].schema ^ (uintptr_t)sorted[i].negative);
    uint32_t id = gram_index_find(&s->goals, h, same_goal, s, &(goal_key){sorted, k});
    if (id == GRAM_ABSENT) {
        schema_goal g = {.literal = (uint32_t)s->literals.n, .n = (uint32_t)k, .rule = gram_add_rule(s->g)};
        bool ok = gram_grow(&s->goal, &s->goal_cap, s->n_goal, sizeof g);
        for (size_t i = 0; i < k && ok; i++)
            ok = schema_push(&s->literals, sorted[i].schema, sorted[i].negative);
        if (!ok || !gram_index_add(&s->goals, h, (uint32_t)s->n_goal)) {
            mem_free(sorted);
            return GRAM_ABSENT;
        }
        id = (uint32_t)s->n_goal;
        s->goal[s->n_goal++] = g;
    }
    mem_free(sorted);
    return s->goal[id].rule;
}

static schema_way *add_way(schema *s, uint32_t goal)
{
    if (!gram_grow(&s->way, &s->way_cap, s->n_way, sizeof *s->way))
        return NULL;
    s->way[s->n_way] = (schema_way){.goal = goal};
    return &s->way[s->n_way++];
}

// ---- Objects ---------------------------------------------------------------------------------------------------
// The object of a case in the making.
typedef struct maker {
    schema *s;
    const schema_case *c;
    const char *name[MOST_KEYS];
    size_t n_name;
    const char *pattern[MOST_PATTERNS];
    const json_t *pattern_at[MOST_PATTERNS];
    rx pattern_rx[MOST_PATTERNS];
    size_t n_pattern;
    hash_map names;
    rx allowed;  // keys that propertyNames allows, without quotes; RX_ALL: all
    object_key *key;
    size_t n_key, key_cap;
    size_t *order;
} maker;

static int add_name(maker *m, const char *name)
{
    if (hash_map_get(&m->names, name, strlen(name)) >= 0)
        return ST_OK;
    if (m->n_name == MOST_KEYS)
        return err_set(m->s->e, ST_LIMIT, "JSON schema: more than %d properties of one object", MOST_KEYS);
    if (hash_map_put(&m->names, name, strlen(name), (int32_t)m->n_name))
        return no_memory(m->s);
    m->name[m->n_name++] = name;
    return ST_OK;
}

static int add_pattern(maker *m, const json_t *at, const char *pattern)
{
    for (size_t i = 0; i < m->n_pattern; i++)
        if (strcmp(m->pattern[i], pattern) == 0)
            return ST_OK;
    if (m->n_pattern == MOST_PATTERNS)
        return schema_fail(m->s, ST_UNSUPPORTED, at, "patternProperties", "has more than 6 patterns in all");
    m->pattern[m->n_pattern] = pattern;
    m->pattern_at[m->n_pattern] = at;
    return schema_pattern(m->s, at, "patternProperties", pattern, &m->pattern_rx[m->n_pattern++]);
}

static bool is_schema(const json_t *v)
{
    return json_is_object(v) || json_is_boolean(v);
}

// Names and patterns of all that describes the object.
static int collect_keys(maker *m)
{
    const schema_case *c = m->c;
    const char *key;
    json_t *v;
    int rc = ST_OK;
    for (size_t i = 0; i < c->facets.n && !rc; i++) {
        const json_t *f = c->facets.at[i].schema, *own = json_object_get(f, "properties");
        const json_t *patterns = json_object_get(f, "patternProperties"),
                     *rest = json_object_get(f, "additionalProperties");
        if ((own && !json_is_object(own)) || (patterns && !json_is_object(patterns)) ||
            (rest && !is_schema(rest)))
            return schema_fail(m->s, ST_FORMAT, f,
                               own && !json_is_object(own) ? "properties" : "additionalProperties",
                               "is not of the right kind");
        json_object_foreach((json_t *)own, key, v)
        {
            if (!is_schema(v))
                return schema_fail(m->s, ST_FORMAT, own, key, "is no schema");
            if ((rc = add_name(m, key)))
                return rc;
        }
        json_object_foreach((json_t *)patterns, key, v)
        {
            if (!is_schema(v))
                return schema_fail(m->s, ST_FORMAT, patterns, key, "is no schema");
            if ((rc = add_pattern(m, f, key)))
                return rc;
        }
    }
    for (size_t i = 0; i < c->n_required && !rc; i++)
        rc = add_name(m, json_string_value(c->required[i]));
    return rc;
}

// The goal of a value whose key is `name` (or NULL) and matches the patterns of `set`.
static uint32_t value_rule(maker *m, const char *name, unsigned set)
{
    const schema_case *c = m->c;
    schema_list goal = {0};
    bool ok = true;
    for (size_t i = 0; i < c->facets.n && ok; i++) {
        const json_t *f = c->facets.at[i].schema, *patterns = json_object_get(f, "patternProperties");
        const json_t *own = name ? json_object_get(json_object_get(f, "properties"), name) : NULL;
        bool found = own != NULL;
        if (own)
            ok = schema_push(&goal, own, false);
        for (size_t p = 0; p < m->n_pattern && ok; p++) {
            const json_t *v = set >> p & 1 ? json_object_get(patterns, m->pattern[p]) : NULL;
            found |= v != NULL;
            if (v)
                ok = schema_push(&goal, v, false);
        }
        const json_t *rest = json_object_get(f, "additionalProperties");
        if (!found && rest && ok)
            ok = schema_push(&goal, rest, false);
    }
    uint32_t rule = ok ? schema_rule(m->s, goal.at, goal.n) : GRAM_ABSENT;
    mem_free(goal.at);
    return rule;
}

static int add_key(maker *m, rx content, uint32_t rule)
{
    schema *s = m->s;
    rx_pool *p = &s->g->rx;
    if (rule == GRAM_ABSENT || !gram_grow(&m->key, &m->key_cap, m->n_key, sizeof *m->key))
        return no_memory(s);
    rx end = rx_cat(p, s->quote, s->g->objects->colon);
    m->key[m->n_key++] = (object_key){rx_cat(p, s->quote, rx_cat(p, content, end)), rule};
    return ST_OK;
}

static int named_keys(maker *m)
{
    schema *s = m->s;
    rx_pool *p = &s->g->rx;
    int rc = ST_OK;
    for (size_t i = 0; i < m->n_name && !rc; i++) {
        unsigned set = 0;
        for (size_t k = 0; k < m->n_pattern; k++) {
            int found = schema_pattern_matches(s, m->pattern_at[k], m->pattern[k], m->name[i]);
            if (found < 0)
                return found;
            set |= (unsigned)found << k;
        }
        rx text = pattern_literal(p, m->name[i], strlen(m->name[i]), PATTERN_JSON);
        rc = add_key(m, rx_and(p, text, m->allowed), value_rule(m, m->name[i], set));
    }
    return rc;
}

// Keys that are not declared, by which patterns they match.
static int other_keys(maker *m)
{
    schema *s = m->s;
    rx_pool *p = &s->g->rx;
    rx any = rx_repeat(p, s->short_char, 0, RX_MANY), declared = RX_NONE;
    rx *list = mem_alloc(MEM_GRAMMAR, (m->n_name + 1) * sizeof *list);
    if (!list)
        return no_memory(s);
    for (size_t i = 0; i < m->n_name; i++)
        list[i] = pattern_literal(p, m->name[i], strlen(m->name[i]), PATTERN_JSON);
    declared = rx_or_all(p, list, m->n_name);
    mem_free(list);
    rx base = declared == RX_NONE ? any : rx_and(p, any, rx_not(p, declared));
    base = rx_and(p, base, m->allowed);
    int rc = ST_OK;
    for (unsigned set = 0; set < 1u << m->n_pattern && !rc; set++) {
        rx text = base;
        for (size_t k = 0; k < m->n_pattern; k++)
            text = rx_and(p, text, set >> k & 1 ? m->pattern_rx[k] : rx_not(p, m->pattern_rx[k]));
        rc = add_key(m, text, value_rule(m, NULL, set));
    }
    return rc;
}

static int key_case(schema *s, void *ctx, const schema_case *c)
{
    rx *all = ctx;
    if (c->types & TYPE_STRING) {
        schema_case short_only = *c;
        if (short_only.string == RX_ALL)  // keys are written in their shortest form
            short_only.string = rx_repeat(&s->g->rx, s->short_char, 0, RX_MANY);
        *all = rx_or(&s->g->rx, *all, schema_string_rx(s, &short_only));
    }
    return ST_OK;
}

static int allowed_keys(maker *m)
{
    m->allowed = RX_ALL;
    if (!m->c->names.n)
        return ST_OK;
    m->allowed = RX_NONE;
    return schema_cases(m->s, m->c->names.at, m->c->names.n, key_case, &m->allowed);
}

static int make_object(maker *m, uint32_t goal)
{
    schema *s = m->s;
    const schema_case *c = m->c;
    int rc = allowed_keys(m);
    if (!rc)
        rc = collect_keys(m);
    if (!rc)
        rc = named_keys(m);
    if (!rc)
        rc = other_keys(m);
    if (rc)
        return rc;
    arena *a = &s->g->objects->a;
    gram_object o = {.n_named = (uint32_t)m->n_name,
                     .n_other = (uint32_t)(m->n_key - m->n_name),
                     .n_required = (uint32_t)c->n_required,
                     .least = c->min_members,
                     .most = c->max_members};
    o.required = arena_calloc(a, m->n_name / 64 + 1, sizeof *o.required);
    o.key = arena_alloc(a, m->n_key * sizeof *o.key);
    schema_way *w = add_way(s, goal);
    if (!o.required || !o.key || !w)
        return no_memory(s);
    memcpy(o.key, m->key, m->n_key * sizeof *o.key);
    for (size_t i = 0; i < c->n_required; i++) {
        const char *name = json_string_value(c->required[i]);
        uint32_t k = (uint32_t)hash_map_get(&m->names, name, strlen(name));
        o.required[k / 64] |= (uint64_t)1 << (k % 64);
    }
    w->kind = WAY_OBJECT;
    w->object = o;
    return ST_OK;
}

static int object_way(schema *s, const schema_case *c, uint32_t goal)
{
    maker *m = mem_calloc(MEM_GRAMMAR, 1, sizeof *m);
    if (!m)
        return no_memory(s);
    m->s = s;
    m->c = c;
    int rc = hash_map_init(&m->names, MEM_GRAMMAR, 64) ? no_memory(s) : make_object(m, goal);
    hash_map_done(&m->names);
    mem_free(m->key);
    mem_free(m);
    return rc;
}

// ---- Arrays ----------------------------------------------------------------------------------------------------
static const json_t *prefix_of(const json_t *v)
{
    const json_t *p = json_object_get(v, "prefixItems"), *items = json_object_get(v, "items");
    return p ? p : json_is_array(items) ? items : NULL;
}

// What a schema asks of item i; NULL: nothing.
static const json_t *item_of(const json_t *v, size_t i)
{
    const json_t *prefix = prefix_of(v), *items = json_object_get(v, "items");
    if (i < json_array_size(prefix))
        return json_array_get(prefix, i);
    return json_is_array(items) ? json_object_get(v, "additionalItems") : items;
}

// The rule of item i, with one more literal when there is one.
static uint32_t item_rule(schema *s, const schema_case *c, size_t i, const schema_literal *more)
{
    schema_list goal = {0};
    bool ok = true;
    for (size_t k = 0; k < c->tuples.n && ok; k++) {
        const json_t *v = item_of(c->tuples.at[k].schema, i);
        if (v)
            ok = schema_push(&goal, v, false);
    }
    if (more && ok)
        ok = schema_push(&goal, more->schema, more->negative);
    uint32_t rule = ok ? schema_rule(s, goal.at, goal.n) : GRAM_ABSENT;
    mem_free(goal.at);
    return rule;
}

static int check_items(schema *s, const json_t *v)
{
    static const char *const words[] = {"items", "additionalItems", "prefixItems"};
    for (size_t w = 0; w < COUNT_OF(words); w++) {
        const json_t *x = json_object_get(v, words[w]);
        if (!x)
            continue;
        bool list = json_is_array(x) && w != 1;
        if (!(list || (is_schema(x) && w != 2)))
            return schema_fail(s, ST_FORMAT, v, words[w], "is no schema");
        for (size_t i = 0; i < json_array_size(x); i++)
            if (!is_schema(json_array_get(x, i)))
                return schema_fail(s, ST_FORMAT, v, words[w], "holds what is no schema");
    }
    return ST_OK;
}

static int contains_bounds(schema *s, const json_t *v, gram_array *a)
{
    static const char *const words[] = {"minContains", "maxContains"};
    uint32_t n[2] = {1, RX_MANY};
    for (int i = 0; i < 2; i++) {
        const json_t *x = json_object_get(v, words[i]);
        double d = json_is_number(x) ? json_number_value(x) : -1;
        if (x && !(d >= 0 && d < 1e9 && d == (double)(uint32_t)d))
            return schema_fail(s, ST_FORMAT, v, words[i], "is no whole number from 0 on");
        if (x)
            n[i] = (uint32_t)d;
    }
    a->least_inside = n[0];
    a->most_inside = n[1];
    if (!is_schema(json_object_get(v, "contains")))
        return schema_fail(s, ST_FORMAT, v, "contains", "is no schema");
    return ST_OK;
}

static int array_way(schema *s, const schema_case *c, uint32_t goal)
{
    gram_array a = {.least = c->min_items, .most = c->max_items, .most_inside = RX_MANY};
    for (size_t k = 0; k < c->tuples.n; k++) {
        int rc = check_items(s, c->tuples.at[k].schema);
        if (rc)
            return rc;
        a.n_first = MAX(a.n_first, (uint32_t)json_array_size(prefix_of(c->tuples.at[k].schema)));
    }
    if (a.n_first > MOST_TUPLE)
        return err_set(s->e, ST_LIMIT, "JSON schema: a list of more than %d item schemas", MOST_TUPLE);
    const json_t *inside = c->contains ? json_object_get(c->contains, "contains") : NULL;
    int rc = inside ? contains_bounds(s, c->contains, &a) : ST_OK;
    if (rc)
        return rc;
    size_t n = a.n_first + 1;
    arena *mem = &s->g->objects->a;
    a.item = arena_alloc(mem, n * sizeof *a.item);
    a.contained = inside ? arena_alloc(mem, n * sizeof *a.contained) : NULL;
    a.outside = inside && a.most_inside != RX_MANY ? arena_alloc(mem, n * sizeof *a.outside) : NULL;
    if (!a.item || (inside && !a.contained) || (inside && a.most_inside != RX_MANY && !a.outside))
        return no_memory(s);
    for (size_t i = 0; i < n; i++) {
        a.item[i] = item_rule(s, c, i, NULL);
        if (a.contained)
            a.contained[i] = item_rule(s, c, i, &(schema_literal){inside, false});
        if (a.outside)
            a.outside[i] = item_rule(s, c, i, &(schema_literal){inside, true});
        if (a.item[i] == GRAM_ABSENT)
            return no_memory(s);
    }
    schema_way *w = add_way(s, goal);
    if (!w)
        return no_memory(s);
    w->kind = WAY_ARRAY;
    w->array = a;
    return ST_OK;
}

// ---- Cases -----------------------------------------------------------------------------------------------------
static rx scalar_rx(schema *s, const schema_case *c)
{
    rx_pool *p = &s->g->rx;
    rx out = RX_NONE;
    if (c->types & TYPE_NULL)
        out = rx_or(p, out, rx_literal(p, "null", 4));
    if (c->types & TYPE_TRUE)
        out = rx_or(p, out, rx_literal(p, "true", 4));
    if (c->types & TYPE_FALSE)
        out = rx_or(p, out, rx_literal(p, "false", 5));
    if (c->types & TYPE_NUMBER)
        out = rx_or(p, out, rx_and(p, c->integer ? number_integer(p) : number_any(p), c->number));
    return out;
}

static int add_case(schema *s, void *ctx, const schema_case *c)
{
    uint32_t goal = *(uint32_t *)ctx;
    rx_pool *p = &s->g->rx;
    rx text[2] = {scalar_rx(s, c), RX_NONE};
    if (c->types & TYPE_STRING)
        text[1] = rx_cat(p, s->quote, rx_cat(p, schema_string_rx(s, c), s->quote));
    for (int i = 0; i < 2; i++) {
        schema_way *w = text[i] == RX_NONE ? NULL : add_way(s, goal);
        if (text[i] != RX_NONE && !w)
            return no_memory(s);
        if (w)
            w->text = text[i];
    }
    int rc = c->types & TYPE_OBJECT ? object_way(s, c, goal) : ST_OK;
    return !rc && c->types & TYPE_ARRAY ? array_way(s, c, goal) : rc;
}

int schema_build(schema *s)
{
    for (uint32_t i = 0; i < s->n_goal; i++) {
        if (i >= MOST_GOALS)
            return err_set(s->e, ST_LIMIT, "JSON schema: more than %d different places", MOST_GOALS);
        schema_goal g = s->goal[i];
        schema_literal *l = mem_alloc(MEM_GRAMMAR, (g.n + 1) * sizeof *l);  // the list grows meanwhile
        if (!l)
            return no_memory(s);
        if (g.n)
            memcpy(l, s->literals.at + g.literal, g.n * sizeof *l);
        int rc = schema_cases(s, l, g.n, add_case, &i);
        mem_free(l);
        if (rc)
            return rc;
        if (s->g->failed)
            return err_set(s->e, s->g->failed, "JSON schema: too large");
    }
    return ST_OK;
}

// Which goals some text meets: spreads until nothing changes.
static void mark_productive(schema *s)
{
    gram *g = s->g;
    for (bool changed = true; changed && !g->rx.failed;) {
        changed = false;
        for (size_t i = s->n_way; i-- > 0;) {  // backwards: what is asked for stands behind what asks
            const schema_way *w = &s->way[i];
            gram_rule *r = &g->rule[s->goal[w->goal].rule];
            if (r->productive)
                continue;
            r->productive = w->kind == WAY_TEXT     ? rx_alive(&g->rx, w->text)
                            : w->kind == WAY_OBJECT ? object_possible(g, &w->object)
                                                    : object_array_possible(g, &w->array);
            changed |= r->productive;
        }
    }
}

// The edges of one goal's rule out of its ways, which lie together.
static void goal_edges(schema *s, size_t from, size_t to)
{
    gram *g = s->g;
    rx_pool *p = &g->rx;
    gram_objects *o = g->objects;
    gram_edge *list = mem_alloc(MEM_GRAMMAR, (to - from + 1) * sizeof *list);
    size_t n = 0;
    if (!list) {
        gram_lost(g, ST_NOMEM);
        return;
    }
    rx open_object = rx_cat(p, s->open_brace, s->blank), open_array = rx_cat(p, s->open_bracket, s->blank);
    for (size_t i = from; i < to; i++) {
        const schema_way *w = &s->way[i];
        if (w->kind == WAY_TEXT && rx_alive(p, w->text))
            list[n++] = (gram_edge){GRAM_MATCH, w->text, o->end};
        else if (w->kind == WAY_OBJECT && object_possible(g, &w->object))
            list[n++] = (gram_edge){GRAM_MATCH, open_object, object_place(g, &w->object)};
        else if (w->kind == WAY_ARRAY && object_array_possible(g, &w->array))
            list[n++] = (gram_edge){GRAM_MATCH, open_array, object_array_place(g, &w->array)};
    }
    uint32_t start = gram_add_place(g, false);
    gram_set_edges(g, start, list, n);
    if (!g->failed)
        g->rule[s->goal[s->way[from].goal].rule].start = start;
    mem_free(list);
}

int schema_settle(schema *s, uint32_t root)
{
    gram *g = s->g;
    mark_productive(s);
    for (size_t i = 0, k; i < s->n_way && !g->failed; i = k) {
        for (k = i; k < s->n_way && s->way[k].goal == s->way[i].goal; k++)
            ;
        goal_edges(s, i, k);
    }
    uint32_t nothing = gram_add_place(g, false);  // where goals without any way start
    for (size_t i = 0; i < s->n_goal; i++)
        if (g->rule[s->goal[i].rule].start == GRAM_STOP_PLACE)
            g->rule[s->goal[i].rule].start = nothing;
    if (!g->failed && !g->rx.failed && !g->rule[root].productive)
        return err_set(s->e, ST_INVALID, "JSON schema: no value meets it");
    return ST_OK;
}
