// Filters that make or change text.
#include "tmpl/filters.h"

static const str *text_of(rt *r, value v)
{
    return tmpl_text(&r->h, v);
}

static value no_args(rt *r, const char *name, const str *s, const args *a)
{
    tmpl_bind(r, name, a, 0, NULL, NULL);
    return val_str(s);
}

value tmpl_filter_upper(rt *r, value v, const args *a)
{
    return no_args(r, "upper", tmpl_str_upper(&r->h, text_of(r, v)), a);
}

value tmpl_filter_lower(rt *r, value v, const args *a)
{
    return no_args(r, "lower", tmpl_str_lower(&r->h, text_of(r, v)), a);
}

value tmpl_filter_capitalize(rt *r, value v, const args *a)
{
    return no_args(r, "capitalize", tmpl_str_capitalize(&r->h, text_of(r, v)), a);
}

value tmpl_filter_string(rt *r, value v, const args *a)
{
    return no_args(r, "string", text_of(r, v), a);
}

value tmpl_filter_safe(rt *r, value v, const args *a)
{
    return no_args(r, "safe", tmpl_str_safe(&r->h, text_of(r, v), true), a);
}

value tmpl_filter_escape(rt *r, value v, const args *a)
{
    return no_args(r, "escape", tmpl_str_escape(&r->h, text_of(r, v)), a);
}

value tmpl_filter_forceescape(rt *r, value v, const args *a)
{
    const str *plain = tmpl_str_safe(&r->h, text_of(r, v), false);
    return no_args(r, "forceescape", tmpl_str_escape(&r->h, plain), a);
}

static bool word_break(uint32_t cp)
{
    return tmpl_cp_space(cp) || cp == '-' || cp == '(' || cp == '{' || cp == '[' || cp == '<';
}

value tmpl_filter_title(rt *r, value v, const args *a)
{
    const str *s = text_of(r, v);
    strbuf b = tmpl_sb(&r->h);
    bool first = true;
    for (size_t at = 0; at < s->n;) {
        int o = s->o[at];
        uint32_t cp = tmpl_str_next(s, &at);
        if (first)
            tmpl_sb_upper(&b, cp, o);
        else
            tmpl_sb_lower(&b, cp, o);
        first = word_break(cp);
    }
    return no_args(r, "title", tmpl_sb_done(&b), a);
}

value tmpl_filter_trim(rt *r, value v, const args *a)
{
    static const char *const names[] = {"chars"};
    value arg;
    tmpl_bind(r, "trim", a, 1, names, &arg);
    bool given = arg.type != V_MISSING && arg.type != V_NONE;
    return val_str(
        tmpl_str_strip(&r->h, text_of(r, v), given ? tmpl_arg_str(r, arg, "trim chars") : NULL, STRIP_BOTH));
}

value tmpl_filter_replace(rt *r, value v, const args *a)
{
    static const char *const names[] = {"old", "new", "count"};
    value arg[3];
    tmpl_bind(r, "replace", a, 3, names, arg);
    if (arg[0].type == V_MISSING || arg[1].type == V_MISSING)
        tmpl_fail(&r->h, ST_FORMAT, "replace needs what to replace and with what");
    int64_t most = arg[2].type == V_MISSING || arg[2].type == V_NONE ? -1 : tmpl_arg_int(r, arg[2], "count");
    return val_str(tmpl_str_replace(&r->h, text_of(r, v), text_of(r, arg[0]), text_of(r, arg[1]), most));
}

value tmpl_filter_indent(rt *r, value v, const args *a)
{
    static const char *const names[] = {"width", "first", "blank"};
    value arg[3];
    heap *h = &r->h;
    tmpl_bind(r, "indent", a, 3, names, arg);
    const str *by = arg[0].type == V_STR
                        ? arg[0].s
                        : tmpl_str_repeat(h, tmpl_str_z(h, " "),
                                          arg[0].type == V_MISSING ? 4
                                                                   : tmpl_arg_int(r, arg[0], "indent width"));
    const str *s = tmpl_str_cat(h, tmpl_arg_str(r, v, "what indent works on"), tmpl_str_z(h, "\n"));
    const seq *lines = tmpl_str_lines(h, s, false);
    strbuf b = tmpl_sb(h);
    for (size_t i = 0; i < lines->n; i++) {
        const str *line = lines->v[i].s;
        if (i)
            tmpl_sb_puts(&b, "\n");
        if (i ? line->n || tmpl_truth(arg[2]) : tmpl_truth(arg[1]))
            tmpl_sb_str(&b, by);
        tmpl_sb_str(&b, line);
    }
    return val_str(tmpl_sb_done(&b));
}

value tmpl_filter_truncate(rt *r, value v, const args *a)
{
    static const char *const names[] = {"length", "killwords", "end", "leeway"};
    value arg[4];
    heap *h = &r->h;
    tmpl_bind(r, "truncate", a, 4, names, arg);
    const args none = {0};
    int64_t n = tmpl_filter_length(r, v, &none).i;
    const str *end = arg[2].type == V_MISSING ? tmpl_str_z(h, "...")
                                              : tmpl_arg_str(r, arg[2], "truncate end");
    int64_t length = arg[0].type == V_MISSING ? 255 : tmpl_arg_int(r, arg[0], "truncate length");
    int64_t leeway = arg[3].type == V_MISSING || arg[3].type == V_NONE ? 5
                                                                       : tmpl_arg_int(r, arg[3], "leeway");
    int64_t tail = (int64_t)tmpl_str_len(end);
    if (length < tail)
        tmpl_fail(h, ST_FORMAT, "expected length >= %lld, got %lld", (long long)tail, (long long)length);
    if (leeway < 0)
        tmpl_fail(h, ST_FORMAT, "expected leeway >= 0, got %lld", (long long)leeway);
    if (length >= n || n - length <= leeway)
        return v;
    const str *s = tmpl_arg_str(r, v, "what truncate cuts");
    const str *cut = tmpl_str_part(h, s, 0, tmpl_str_at(s, (size_t)(length - tail)));
    if (!tmpl_truth(arg[1])) {
        size_t space = tmpl_str_rfind(&r->h, cut, tmpl_str_z(h, " "));
        if (space != STR_NONE)
            cut = tmpl_str_part(h, cut, 0, space);
    }
    return val_str(tmpl_str_cat(h, cut, end));
}

value tmpl_filter_center(rt *r, value v, const args *a)
{
    static const char *const names[] = {"width"};
    value width;
    tmpl_bind(r, "center", a, 1, names, &width);
    if (width.type == V_MISSING)
        width = val_int(80);
    value centered = tmpl_method_str(r, val_str(text_of(r, v)), tmpl_str_z(&r->h, "center"));
    const args one = {.pos = &width, .n = 1};
    return tmpl_call(r, centered, &one);
}

value tmpl_filter_wordcount(rt *r, value v, const args *a)
{
    tmpl_bind(r, "wordcount", a, 0, NULL, NULL);
    const str *s = text_of(r, v);
    int64_t n = 0;
    bool inside = false;
    tmpl_step(&r->h, s->n / 16);
    for (size_t at = 0; at < s->n;) {
        uint32_t cp = tmpl_str_next(s, &at);
        bool word = tmpl_cp_alpha(cp) || (cp >= '0' && cp <= '9') || cp == '_';
        n += word && !inside;
        inside = word;
    }
    return val_int(n);
}

value tmpl_filter_format(rt *r, value v, const args *a)
{
    if (a->n && a->n_kw)
        tmpl_fail(&r->h, ST_FORMAT, "can't handle positional and keyword arguments at the same time");
    return tmpl_percent(r, text_of(r, v), a);
}

// indent may be a number of blanks or the text to indent by; NULL: all on one line.
static const str *json_indent(rt *r, value v)
{
    if (v.type == V_MISSING || v.type == V_NONE)
        return NULL;
    if (v.type == V_STR)
        return v.s;
    return tmpl_str_repeat(&r->h, tmpl_str_z(&r->h, " "), tmpl_arg_int(r, v, "indent"));
}

value tmpl_filter_tojson(rt *r, value v, const args *a)
{
    static const char *const names[] = {"ensure_ascii", "indent", "separators", "sort_keys"};
    value arg[4];
    tmpl_bind(r, "tojson", a, 4, names, arg);
    const str *indent = json_indent(r, arg[1]);
    const str *comma = tmpl_str_z(&r->h, indent ? "," : ", "), *colon = tmpl_str_z(&r->h, ": ");
    if (arg[2].type != V_MISSING && arg[2].type != V_NONE) {
        const seq *pair = tmpl_seq_of(&r->h, arg[2]);
        if (pair->n != 2)
            tmpl_fail(&r->h, ST_FORMAT, "tojson's separators must be two texts");
        comma = tmpl_arg_str(r, pair->v[0], "tojson's separator");
        colon = tmpl_arg_str(r, pair->v[1], "tojson's separator");
    }
    return val_str(tmpl_json_dump(&r->h, v, tmpl_truth(arg[0]), tmpl_truth(arg[3]), indent, comma, colon));
}

value tmpl_filter_from_json(rt *r, value v, const args *a)
{
    tmpl_bind(r, "from_json", a, 0, NULL, NULL);
    const str *s = tmpl_arg_str(r, v, "what from_json reads");
    return tmpl_json_load(&r->h, s->p, s->n, ST_FORMAT, "from_json");
}
