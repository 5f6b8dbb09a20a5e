// Methods of text.
#include <string.h>

#include "tmpl/methods.h"

static const str *optional_str(rt *r, value v, const char *what)
{
    return v.type == V_MISSING || v.type == V_NONE ? NULL : tmpl_arg_str(r, v, what);
}

static value strip_sides(rt *r, value self, const args *a, int sides)
{
    static const char *const names[] = {"chars"};
    value v;
    tmpl_bind(r, "strip", a, 1, names, &v);
    return val_str(tmpl_str_strip(&r->h, self.s, optional_str(r, v, "strip arg"), sides));
}

static value strip(rt *r, value self, const args *a)
{
    return strip_sides(r, self, a, STRIP_BOTH);
}

static value lstrip(rt *r, value self, const args *a)
{
    return strip_sides(r, self, a, STRIP_LEFT);
}

static value rstrip(rt *r, value self, const args *a)
{
    return strip_sides(r, self, a, STRIP_RIGHT);
}

static value split_with(rt *r, value self, const args *a,
                        seq *(*cut)(heap *, const str *, const str *, int64_t))
{
    static const char *const names[] = {"sep", "maxsplit"};
    value v[2];
    tmpl_bind(r, "split", a, 2, names, v);
    int64_t most = v[1].type == V_MISSING ? -1 : tmpl_arg_int(r, v[1], "maxsplit");
    return val_seq(V_LIST, cut(&r->h, self.s, optional_str(r, v[0], "separator"), most < 0 ? -1 : most));
}

static value split(rt *r, value self, const args *a)
{
    return split_with(r, self, a, tmpl_str_split);
}

static value rsplit(rt *r, value self, const args *a)
{
    return split_with(r, self, a, tmpl_str_rsplit);
}

static value partition_at(rt *r, value self, const args *a, bool last)
{
    static const char *const names[] = {"sep"};
    value v;
    heap *h = &r->h;
    tmpl_bind(r, "partition", a, 1, names, &v);
    const str *s = self.s, *sep = tmpl_arg_str(r, v, "separator");
    if (sep->n == 0)
        tmpl_fail(h, ST_FORMAT, "empty separator");
    tmpl_step(h, s->n / 64);
    size_t at = last ? tmpl_str_rfind(&r->h, s, sep) : tmpl_str_find(s, 0, sep);
    bool found = at != STR_NONE;
    if (!found)
        at = last ? 0 : s->n;
    seq *l = tmpl_seq_new(h, 3);
    size_t behind = found ? at + sep->n : at;
    tmpl_seq_push(h, l, val_str(tmpl_str_part(h, s, 0, at)));
    tmpl_seq_push(h, l, val_str(tmpl_str_part(h, s, at, behind - at)));
    tmpl_seq_push(h, l, val_str(tmpl_str_part(h, s, behind, s->n - behind)));
    return val_seq(V_TUPLE, l);
}

static value partition(rt *r, value self, const args *a)
{
    return partition_at(r, self, a, false);
}

static value rpartition(rt *r, value self, const args *a)
{
    return partition_at(r, self, a, true);
}

static value splitlines(rt *r, value self, const args *a)
{
    static const char *const names[] = {"keepends"};
    value v;
    tmpl_bind(r, "splitlines", a, 1, names, &v);
    return val_seq(V_LIST, tmpl_str_lines(&r->h, self.s, tmpl_truth(v)));
}

static value replace(rt *r, value self, const args *a)
{
    static const char *const names[] = {"old", "new", "count"};
    value v[3];
    tmpl_bind(r, "replace", a, 3, names, v);
    int64_t most = v[2].type == V_MISSING ? -1 : tmpl_arg_int(r, v[2], "count");
    return val_str(tmpl_str_replace(&r->h, self.s, tmpl_arg_str(r, v[0], "replace() argument 1"),
                                    tmpl_arg_str(r, v[1], "replace() argument 2"), most));
}

// The part of the text that find, count, startswith ... look at: optional arguments from and to, in characters.
static const str *window(rt *r, const str *s, value from, value to, size_t *offset)
{
    value whole = val_str(s);
    if (from.type == V_MISSING)
        from = VAL_NONE;
    if (to.type == V_MISSING)
        to = VAL_NONE;
    const str *part = tmpl_slice(r, whole, from, to, VAL_NONE).s;
    *offset = part->n ? (size_t)(part->p - s->p) : 0;
    return part;
}

static value find_at(rt *r, value self, const args *a, bool last, bool must)
{
    static const char *const names[] = {"sub", "start", "end"};
    value v[3];
    size_t offset;
    tmpl_bind(r, "find", a, 3, names, v);
    const str *what = tmpl_arg_str(r, v[0], "find() argument 1");
    const str *in = window(r, self.s, v[1], v[2], &offset);
    tmpl_step(&r->h, in->n / 64);
    size_t at = last ? tmpl_str_rfind(&r->h, in, what) : tmpl_str_find(in, 0, what);
    if (at == STR_NONE) {
        if (must)
            tmpl_fail(&r->h, ST_FORMAT, "substring not found");
        return val_int(-1);
    }
    const str before = {.p = self.s->p, .o = self.s->o, .n = offset + at};
    return val_int((int64_t)tmpl_str_len(&before));
}

static value find(rt *r, value self, const args *a)
{
    return find_at(r, self, a, false, false);
}

static value rfind(rt *r, value self, const args *a)
{
    return find_at(r, self, a, true, false);
}

static value index_of(rt *r, value self, const args *a)
{
    return find_at(r, self, a, false, true);
}

static value count(rt *r, value self, const args *a)
{
    static const char *const names[] = {"sub", "start", "end"};
    value v[3];
    size_t offset, at = 0;
    tmpl_bind(r, "count", a, 3, names, v);
    const str *what = tmpl_arg_str(r, v[0], "count() argument 1");
    const str *in = window(r, self.s, v[1], v[2], &offset);
    tmpl_step(&r->h, in->n / 64);
    if (what->n == 0)
        return val_int((int64_t)tmpl_str_len(in) + 1);
    int64_t n = 0;
    while ((at = tmpl_str_find(in, at, what)) != STR_NONE) {
        tmpl_step(&r->h, 1);
        at += what->n;
        n++;
    }
    return val_int(n);
}

static bool has_end(const str *s, const str *end, bool tail)
{
    return end->n == 0 || (end->n <= s->n && memcmp(s->p + (tail ? s->n - end->n : 0), end->p, end->n) == 0);
}

static value ends(rt *r, value self, const args *a, bool tail)
{
    static const char *const names[] = {"prefix", "start", "end"};
    value v[3];
    size_t offset;
    tmpl_bind(r, tail ? "endswith" : "startswith", a, 3, names, v);
    const str *in = window(r, self.s, v[1], v[2], &offset);
    if (v[0].type != V_TUPLE)
        return val_bool(has_end(in, tmpl_arg_str(r, v[0], "startswith or endswith first arg"), tail));
    for (size_t i = 0; i < v[0].l->n; i++)
        if (has_end(in, tmpl_arg_str(r, v[0].l->v[i], "startswith or endswith first arg"), tail))
            return val_bool(true);
    return val_bool(false);
}

static value startswith(rt *r, value self, const args *a)
{
    return ends(r, self, a, false);
}

static value endswith(rt *r, value self, const args *a)
{
    return ends(r, self, a, true);
}

static value remove_end(rt *r, value self, const args *a, bool tail)
{
    static const char *const names[] = {"affix"};
    value v;
    tmpl_bind(r, "removeprefix or removesuffix", a, 1, names, &v);
    const str *end = tmpl_arg_str(r, v, "removeprefix or removesuffix argument"), *s = self.s;
    if (!has_end(s, end, tail))
        return self;
    return val_str(tmpl_str_part(&r->h, s, tail ? 0 : end->n, s->n - end->n));
}

static value removeprefix(rt *r, value self, const args *a)
{
    return remove_end(r, self, a, false);
}

static value removesuffix(rt *r, value self, const args *a)
{
    return remove_end(r, self, a, true);
}

static value upper(rt *r, value self, const args *a)
{
    tmpl_bind(r, "upper", a, 0, NULL, NULL);
    return val_str(tmpl_str_upper(&r->h, self.s));
}

static value lower(rt *r, value self, const args *a)
{
    tmpl_bind(r, "lower", a, 0, NULL, NULL);
    return val_str(tmpl_str_lower(&r->h, self.s));
}

static value capitalize(rt *r, value self, const args *a)
{
    tmpl_bind(r, "capitalize", a, 0, NULL, NULL);
    return val_str(tmpl_str_capitalize(&r->h, self.s));
}

// Python's title(): a capital after every character that is no letter.
static value title(rt *r, value self, const args *a)
{
    tmpl_bind(r, "title", a, 0, NULL, NULL);
    strbuf b = tmpl_sb(&r->h);
    bool inside = false;
    for (size_t at = 0; at < self.s->n;) {
        int o = self.s->o[at];
        uint32_t cp = tmpl_str_next(self.s, &at);
        if (inside)
            tmpl_sb_lower(&b, cp, o);
        else
            tmpl_sb_title(&b, cp, o);
        inside = tmpl_cp_upper(cp) || tmpl_cp_lower(cp);
    }
    return val_str(tmpl_sb_done(&b));
}

static value swapcase(rt *r, value self, const args *a)
{
    tmpl_bind(r, "swapcase", a, 0, NULL, NULL);
    strbuf b = tmpl_sb(&r->h);
    for (size_t at = 0; at < self.s->n;) {
        int o = self.s->o[at];
        uint32_t cp = tmpl_str_next(self.s, &at);
        if (tmpl_cp_upper(cp))
            tmpl_sb_lower(&b, cp, o);
        else
            tmpl_sb_upper(&b, cp, o);
    }
    return val_str(tmpl_sb_done(&b));
}

static value join(rt *r, value self, const args *a)
{
    static const char *const names[] = {"iterable"};
    value v;
    tmpl_bind(r, "join", a, 1, names, &v);
    const seq *l = tmpl_seq_of(&r->h, v);
    strbuf b = tmpl_sb(&r->h);
    for (size_t i = 0; i < l->n; i++) {
        if (l->v[i].type != V_STR)
            tmpl_fail(&r->h, ST_FORMAT, "sequence item %zu: expected str instance, %s found", i,
                      tmpl_type_name(l->v[i]));
        if (i)
            tmpl_sb_str(&b, self.s);
        tmpl_sb_str(&b, l->v[i].s);
    }
    return val_str(tmpl_sb_done(&b));
}

static value format(rt *r, value self, const args *a)
{
    return val_str(tmpl_format(r, self.s, a).s);
}

// Every character is of the kind, and there is one.
static value all_are(rt *r, value self, const args *a, bool (*is)(uint32_t))
{
    tmpl_bind(r, "the method", a, 0, NULL, NULL);
    tmpl_step(&r->h, self.s->n / 16);
    for (size_t at = 0; at < self.s->n;)
        if (!is(tmpl_str_next(self.s, &at)))
            return val_bool(false);
    return val_bool(self.s->n > 0);
}

static bool cp_digit(uint32_t cp)
{
    return cp >= '0' && cp <= '9';
}

static bool cp_alnum(uint32_t cp)
{
    return cp_digit(cp) || tmpl_cp_alpha(cp);
}

static value isdigit_(rt *r, value self, const args *a)
{
    return all_are(r, self, a, cp_digit);
}

static value isalpha_(rt *r, value self, const args *a)
{
    return all_are(r, self, a, tmpl_cp_alpha);
}

static value isalnum_(rt *r, value self, const args *a)
{
    return all_are(r, self, a, cp_alnum);
}

static value isspace_(rt *r, value self, const args *a)
{
    return all_are(r, self, a, tmpl_cp_space);
}

static value pad(rt *r, value self, const args *a, int side)
{
    static const char *const names[] = {"width", "fillchar"};
    value v[2];
    tmpl_bind(r, "the method", a, 2, names, v);
    int64_t n = (int64_t)tmpl_str_len(self.s), width = tmpl_arg_int(r, v[0], "width");
    const str *fill = v[1].type == V_MISSING ? tmpl_str_z(&r->h, " ")
                                             : tmpl_arg_str(r, v[1], "fill character");
    if (tmpl_str_len(fill) != 1)
        tmpl_fail(&r->h, ST_FORMAT, "the fill character must be exactly one character long");
    if (width <= n)
        return self;
    int64_t left = side == STRIP_LEFT    ? width - n
                   : side == STRIP_RIGHT ? 0
                                         : (width - n) / 2 + ((width - n) & width & 1);
    strbuf b = tmpl_sb(&r->h);
    tmpl_sb_str(&b, tmpl_str_repeat(&r->h, fill, left));
    tmpl_sb_str(&b, self.s);
    tmpl_sb_str(&b, tmpl_str_repeat(&r->h, fill, width - n - left));
    return val_str(tmpl_sb_done(&b));
}

static value rjust(rt *r, value self, const args *a)
{
    return pad(r, self, a, STRIP_LEFT);
}

static value ljust(rt *r, value self, const args *a)
{
    return pad(r, self, a, STRIP_RIGHT);
}

static value center(rt *r, value self, const args *a)
{
    return pad(r, self, a, STRIP_BOTH);
}

value tmpl_method_str(rt *r, value v, const str *name)
{
    static const method table[] = {
        {"strip", strip},
        {"lstrip", lstrip},
        {"rstrip", rstrip},
        {"split", split},
        {"rsplit", rsplit},
        {"partition", partition},
        {"rpartition", rpartition},
        {"splitlines", splitlines},
        {"replace", replace},
        {"find", find},
        {"rfind", rfind},
        {"index", index_of},
        {"count", count},
        {"startswith", startswith},
        {"endswith", endswith},
        {"removeprefix", removeprefix},
        {"removesuffix", removesuffix},
        {"upper", upper},
        {"lower", lower},
        {"capitalize", capitalize},
        {"title", title},
        {"swapcase", swapcase},
        {"join", join},
        {"format", format},
        {"isdigit", isdigit_},
        {"isalpha", isalpha_},
        {"isalnum", isalnum_},
        {"isspace", isspace_},
        {"rjust", rjust},
        {"ljust", ljust},
        {"center", center},
        {"casefold", NULL},
        {"encode", NULL},
        {"expandtabs", NULL},
        {"format_map", NULL},
        {"isascii", NULL},
        {"isdecimal", NULL},
        {"isidentifier", NULL},
        {"islower", NULL},
        {"isnumeric", NULL},
        {"isprintable", NULL},
        {"istitle", NULL},
        {"isupper", NULL},
        {"maketrans", NULL},
        {"rindex", NULL},
        {"translate", NULL},
        {"zfill", NULL},
    };
    return tmpl_method_find(r, table, COUNT_OF(table), v, name);
}
