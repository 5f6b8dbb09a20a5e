// Operators: arithmetic, joining, comparing, membership, with Python's rules. Numbers keep the less trusted
// origin of the two; integers that leave 64 bits are an error.
#include <math.h>
#include <string.h>

#include "tmpl/rt.h"

static _Noreturn void mismatch(rt *r, const char *op, value a, value b)
{
    if (a.type == V_UNDEF)
        tmpl_undef_fail(&r->h, a);
    if (b.type == V_UNDEF)
        tmpl_undef_fail(&r->h, b);
    if (op[0] == '+' && (a.type == V_STR || a.type == V_LIST || a.type == V_TUPLE)) {
        const char *t = tmpl_type_name(a);
        tmpl_fail(&r->h, ST_FORMAT, "can only concatenate %s (not \"%s\") to %s", t, tmpl_type_name(b), t);
    }
    tmpl_fail(&r->h, ST_FORMAT, "unsupported operand type(s) for %s: '%s' and '%s'", op, tmpl_type_name(a),
              tmpl_type_name(b));
}

static int64_t whole(value v)
{
    return v.type == V_BOOL ? v.b : v.i;
}

static _Noreturn void overflow(rt *r)
{
    tmpl_fail(&r->h, ST_LIMIT, "an integer leaves 64 bits");
}

static _Noreturn void by_zero(rt *r)
{
    tmpl_fail(&r->h, ST_FORMAT, "division by zero");
}

static bool mul_overflows(int64_t a, int64_t b)
{
    if (a == 0 || b == 0)
        return false;
    if ((a == -1 && b == INT64_MIN) || (b == -1 && a == INT64_MIN))
        return true;
    return a > 0 ? (b > 0 ? a > INT64_MAX / b : b < INT64_MIN / a)
                 : (b > 0 ? a < INT64_MIN / b : a < INT64_MAX / b);
}

static value int_pow(rt *r, int64_t base, int64_t exponent)
{
    if (exponent < 0) {
        if (base == 0)
            by_zero(r);
        return val_float(pow((double)base, (double)exponent));
    }
    int64_t out = 1;
    for (; exponent > 0; exponent--) {
        if (base == 0 || base == 1 || (base == -1 && exponent > 2)) {
            exponent = base == -1 ? 1 + (exponent + 1) % 2 : 1;  // the rest changes nothing but a sign
        }
        if (mul_overflows(out, base))
            overflow(r);
        out *= base;
    }
    return val_int(out);
}

static value int_op(rt *r, int op, int64_t a, int64_t b)
{
    switch (op) {
    case OP_ADD:
        if (b > 0 ? a > INT64_MAX - b : a < INT64_MIN - b)
            overflow(r);
        return val_int(a + b);
    case OP_SUB:
        if (b > 0 ? a < INT64_MIN + b : a > INT64_MAX + b)
            overflow(r);
        return val_int(a - b);
    case OP_MUL:
        if (mul_overflows(a, b))
            overflow(r);
        return val_int(a * b);
    case OP_POW: return int_pow(r, a, b);
    }
    if (b == 0)
        by_zero(r);
    if (op == OP_DIV)
        return val_float((double)a / (double)b);
    if (b == -1) {  // INT64_MIN / -1 traps
        if (op == OP_MOD)
            return val_int(0);
        if (a == INT64_MIN)
            overflow(r);
        return val_int(-a);
    }
    int64_t quotient = a / b, left = a % b;
    bool down = left != 0 && (left < 0) != (b < 0);  // Python rounds towards minus infinity
    return val_int(op == OP_MOD ? left + (down ? b : 0) : quotient - down);
}

static value float_op(rt *r, int op, double a, double b)
{
    switch (op) {
    case OP_ADD: return val_float(a + b);
    case OP_SUB: return val_float(a - b);
    case OP_MUL: return val_float(a * b);
    case OP_POW:
        if (a == 0 && b < 0)
            by_zero(r);
        return val_float(pow(a, b));
    }
    if (b == 0)
        by_zero(r);
    if (op == OP_DIV)
        return val_float(a / b);
    double left = fmod(a, b);
    if (left != 0 && (left < 0) != (b < 0))
        left += b;
    if (op == OP_MOD)
        return val_float(left == 0 ? copysign(0, b) : left);
    return val_float(rint((a - left) / b));
}

static value join_text(rt *r, value a, value b)
{
    heap *h = &r->h;
    if (!a.s->safe && !b.s->safe)
        return val_str(tmpl_str_cat(h, a.s, b.s));
    const str *x = tmpl_str_escape(h, a.s), *y = tmpl_str_escape(h, b.s);
    return val_str(tmpl_str_safe(h, tmpl_str_cat(h, x, y), true));
}

static value join_seqs(rt *r, value a, value b)
{
    seq *l = tmpl_seq_copy(&r->h, a);
    for (size_t i = 0, n = b.l->n; i < n; i++)
        tmpl_seq_push(&r->h, l, b.l->v[i]);
    return val_seq(a.type, l);
}

static value repeat(rt *r, value what, int64_t times)
{
    if (what.type == V_STR)
        return val_str(tmpl_str_repeat(&r->h, what.s, times));
    seq *l = tmpl_seq_new(&r->h, 0);
    for (int64_t k = 0; k < times && what.l->n; k++)
        for (size_t i = 0; i < what.l->n; i++)
            tmpl_seq_push(&r->h, l, what.l->v[i]);
    return val_seq(what.type, l);
}

static bool repeatable(value v)
{
    return v.type == V_STR || v.type == V_LIST || v.type == V_TUPLE;
}

static value percent(rt *r, const str *format, value b)
{
    args a = {.pos = &b, .n = 1};
    if (b.type == V_TUPLE) {
        a.pos = b.l->v;
        a.n = b.l->n;
    } else if (b.type == V_DICT) {
        a.kw = tmpl_array(&r->h, b.d->n, sizeof *a.kw);
        for (size_t i = 0; i < b.d->n; i++)
            if (b.d->e[i].key.type == V_STR)
                a.kw[a.n_kw++] = (kwarg){b.d->e[i].key.s, b.d->e[i].val};
    }
    return tmpl_percent(r, format, &a);
}

value tmpl_binary(rt *r, int op, value a, value b)
{
    static const char *const names[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};
    if (val_is_num(a) && val_is_num(b)) {
        value v = a.type == V_FLOAT || b.type == V_FLOAT
                      ? float_op(r, op, tmpl_to_double(a), tmpl_to_double(b))
                      : int_op(r, op, whole(a), whole(b));
        v.origin = a.origin | b.origin;
        return v;
    }
    if (op == OP_ADD && a.type == V_STR && b.type == V_STR)
        return join_text(r, a, b);
    if (op == OP_ADD && a.type == b.type && (a.type == V_LIST || a.type == V_TUPLE))
        return join_seqs(r, a, b);
    if (op == OP_MUL && repeatable(a) && (b.type == V_INT || b.type == V_BOOL))
        return repeat(r, a, whole(b));
    if (op == OP_MUL && repeatable(b) && (a.type == V_INT || a.type == V_BOOL))
        return repeat(r, b, whole(a));
    if (op == OP_MOD && a.type == V_STR)
        return percent(r, a.s, b);
    mismatch(r, names[op], a, b);
}

value tmpl_negate(rt *r, value v)
{
    if (v.type == V_FLOAT) {
        v.f = -v.f;
        return v;
    }
    if (!val_is_num(v)) {
        if (v.type == V_UNDEF)
            tmpl_undef_fail(&r->h, v);
        tmpl_fail(&r->h, ST_FORMAT, "bad operand type for unary -: '%s'", tmpl_type_name(v));
    }
    value n = int_op(r, OP_SUB, 0, whole(v));
    n.origin = v.origin;
    return n;
}

value tmpl_positive(rt *r, value v)
{
    if (!val_is_num(v)) {
        if (v.type == V_UNDEF)
            tmpl_undef_fail(&r->h, v);
        tmpl_fail(&r->h, ST_FORMAT, "bad operand type for unary +: '%s'", tmpl_type_name(v));
    }
    if (v.type == V_BOOL) {
        v.i = v.b;
        v.type = V_INT;
    }
    return v;
}

bool tmpl_contains(rt *r, value in, value what)
{
    heap *h = &r->h;
    if (in.type == V_STR) {
        if (what.type != V_STR)
            tmpl_fail(h, ST_FORMAT, "'in <string>' requires string as left operand, not %s",
                      tmpl_type_name(what));
        tmpl_step(h, in.s->n / 64);
        return tmpl_str_find(in.s, 0, what.s) != STR_NONE;
    }
    if (in.type == V_DICT)
        return tmpl_dict_get(h, in.d, what) != NULL;
    if (!tmpl_seq_iterable(in))
        tmpl_fail(h, ST_FORMAT, "argument of type '%s' is not iterable", tmpl_type_name(in));
    const seq *l = tmpl_seq_of(h, in);
    for (size_t i = 0; i < l->n; i++) {
        tmpl_step(h, 1);
        if (tmpl_equal(h, l->v[i], what))
            return true;
    }
    return false;
}

bool tmpl_compare(rt *r, int op, value a, value b)
{
    static const char *const names[] = {[OP_LT] = "<", [OP_LE] = "<=", [OP_GT] = ">", [OP_GE] = ">="};
    switch (op) {
    case OP_EQ: return tmpl_equal(&r->h, a, b);
    case OP_NE: return !tmpl_equal(&r->h, a, b);
    case OP_IN: return tmpl_contains(r, b, a);
    case OP_NOTIN: return !tmpl_contains(r, b, a);
    }
    int c = tmpl_order(&r->h, a, b, names[op]);
    if (tmpl_is_nan(a) || tmpl_is_nan(b))
        return false;
    return op == OP_LT ? c < 0 : op == OP_LE ? c <= 0 : op == OP_GT ? c > 0 : c >= 0;
}
