// Tests: "x is defined" and the like.
#include "tmpl/rt.h"

static value argument(rt *r, const str *name, const args *a)
{
    if (a->n + a->n_kw != 1)
        tmpl_fail(&r->h, ST_FORMAT, "the test %s takes one argument", tmpl_str_c(&r->h, name));
    return a->n ? a->pos[0] : a->kw[0].v;
}

static bool is_type(const str *name, value v, bool *out)
{
    int t = v.type;
    const struct {
        const char *name;
        bool is;
    } all[] = {
        {"defined", t != V_UNDEF},
        {"undefined", t == V_UNDEF},
        {"none", t == V_NONE},
        {"boolean", t == V_BOOL},
        {"true", t == V_BOOL && v.b},
        {"false", t == V_BOOL && !v.b},
        {"integer", t == V_INT},
        {"float", t == V_FLOAT},
        {"number", val_is_num(v)},
        {"string", t == V_STR},
        {"mapping", t == V_DICT},
        {"iterable", tmpl_seq_iterable(v)},
        {"sequence",
         t == V_STR || t == V_LIST || t == V_TUPLE || t == V_RANGE || t == V_DICT || t == V_UNDEF},
        {"callable", t == V_NATIVE || t == V_MACRO || t == V_LOOP || t == V_UNDEF},
        {"escaped", t == V_STR && v.s->safe},
    };
    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (tmpl_str_is(name, all[i].name)) {
            *out = all[i].is;
            return true;
        }
    return false;
}

static bool is_compared(rt *r, const str *name, value v, const args *a, bool *out)
{
    static const struct {
        const char *name;
        int op;
    } all[] = {
        {"==", OP_EQ},          {"eq", OP_EQ}, {"equalto", OP_EQ}, {"!=", OP_NE},
        {"ne", OP_NE},          {"lt", OP_LT}, {"<", OP_LT},       {"lessthan", OP_LT},
        {"le", OP_LE},          {"<=", OP_LE}, {"gt", OP_GT},      {">", OP_GT},
        {"greaterthan", OP_GT}, {"ge", OP_GE}, {">=", OP_GE},      {"in", OP_IN},
    };
    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (tmpl_str_is(name, all[i].name)) {
            *out = tmpl_compare(r, all[i].op, v, argument(r, name, a));
            return true;
        }
    return false;
}

static bool same_object(rt *r, value a, value b)
{
    if (a.type != b.type)
        return false;
    if (val_is_num(a) || a.type == V_STR || a.type == V_NONE || a.type == V_UNDEF)
        return tmpl_equal(&r->h, a, b);
    return a.l == b.l;
}

static bool is_odd(rt *r, value v, value by, int64_t rest)
{
    return tmpl_equal(&r->h, tmpl_binary(r, OP_MOD, v, by), val_int(rest));
}

// At least one letter, and no letter of the other case.
static bool is_case(rt *r, const str *s, bool upper)
{
    tmpl_step(&r->h, s->n / 16);
    bool found = false;
    for (size_t at = 0; at < s->n;) {
        uint32_t cp = tmpl_str_next(s, &at);
        if (upper ? tmpl_cp_lower(cp) : tmpl_cp_upper(cp))
            return false;
        found = found || (upper ? tmpl_cp_upper(cp) : tmpl_cp_lower(cp));
    }
    return found;
}

bool tmpl_is(rt *r, const str *name, value v, const args *a)
{
    bool is;
    if (is_type(name, v, &is)) {
        if (a->n + a->n_kw)
            tmpl_fail(&r->h, ST_FORMAT, "the test %s takes no argument", tmpl_str_c(&r->h, name));
        return is;
    }
    if (is_compared(r, name, v, a, &is))
        return is;
    if (tmpl_str_is(name, "odd") || tmpl_str_is(name, "even"))
        return is_odd(r, v, val_int(2), tmpl_str_is(name, "odd"));
    if (tmpl_str_is(name, "divisibleby"))
        return is_odd(r, v, argument(r, name, a), 0);
    if (tmpl_str_is(name, "sameas"))
        return same_object(r, v, argument(r, name, a));
    if (tmpl_str_is(name, "lower") || tmpl_str_is(name, "upper"))
        return is_case(r, tmpl_text(&r->h, v), tmpl_str_is(name, "upper"));
    if (tmpl_str_is(name, "filter"))
        return tmpl_filter_find(tmpl_arg_str(r, v, "a filter's name")) != NULL;
    tmpl_fail(&r->h, ST_FORMAT, "No test named '%s' found.", tmpl_str_c(&r->h, name));
}
