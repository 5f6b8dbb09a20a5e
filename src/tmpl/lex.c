// The lexer. White space around tags follows Jinja2 with trim_blocks and lstrip_blocks: a newline right after a
// block or comment goes; blanks between the start of a line and a block or comment go; "-" takes all white space
// on its side, "+" keeps it; one newline at the end of the template goes.
#include "tmpl/lex.h"

#include <string.h>

#include "tmpl/str.h"

typedef struct lexer {
    heap *h;
    const char *s;
    size_t n, at;
    token_list out;
    bool line_start;  // the last tag ended with a newline (or there was none yet)
    char open[64];    // brackets not yet closed inside this tag
    size_t n_open;
} lexer;

static void push(lexer *x, int type, size_t from, size_t n, int op)
{
    token_list *l = &x->out;
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        token *v = tmpl_alloc(x->h, cap * sizeof *v);
        if (l->n)
            memcpy(v, l->v, l->n * sizeof *v);
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = (token){.type = (uint8_t)type, .op = op, .line = x->h->line, .p = x->s + from, .n = n};
}

static char peek(const lexer *x, size_t k)
{
    return x->at + k < x->n ? x->s[x->at + k] : 0;
}

// Moves to `to`, counting lines.
static void advance(lexer *x, size_t to)
{
    for (; x->at < to; x->at++)
        x->h->line += x->s[x->at] == '\n';
}

static size_t space_from(const lexer *x, size_t at)
{
    while (at < x->n) {
        uint32_t cp = 0;
        size_t n = utf8_decode(x->s + at, x->n - at, &cp);
        if (!tmpl_cp_space(cp))
            break;
        at += n;
    }
    return at;
}

// The end of the text [from, to) without the white space behind it.
static size_t space_before(const lexer *x, size_t from, size_t to)
{
    size_t end = from;
    for (size_t at = from, n; at < to; at += n) {
        uint32_t cp = 0;
        n = utf8_decode(x->s + at, to - at, &cp);
        if (!tmpl_cp_space(cp))
            end = at + n;
    }
    return end;
}

// Plain text [x->at, tag) before a tag with this sign; `blanks` when blanks at the start of its line may go.
static void push_text(lexer *x, size_t tag, char sign, bool blanks)
{
    size_t from = x->at, end = tag;
    if (sign == '-') {
        end = space_before(x, from, tag);
    } else if (sign != '+' && blanks) {
        size_t line = tag;
        while (line > from && x->s[line - 1] != '\n')
            line--;
        if ((line > from || x->line_start) && space_from(x, line) >= tag)
            end = line;
    }
    if (end > from)
        push(x, T_DATA, from, end - from, 0);
    advance(x, tag);
}

static char sign_at(const lexer *x, size_t at)
{
    char c = at < x->n ? x->s[at] : 0;
    return c == '-' || c == '+' ? c : 0;
}

static bool word_at(const lexer *x, size_t at, const char *word)
{
    size_t n = strlen(word);
    return x->n - at >= n && memcmp(x->s + at, word, n) == 0;
}

// Where a tag's end mark at `at` ("%}", "-%}", "+%}" for mark "%}") leads, trimming included; 0 when none is there.
static size_t tag_end(const lexer *x, size_t at, const char *mark, bool plus, bool trim)
{
    if (at < x->n && x->s[at] == '-' && word_at(x, at + 1, mark))
        return space_from(x, at + 3);
    if (plus && at < x->n && x->s[at] == '+' && word_at(x, at + 1, mark))
        return at + 3;
    if (!word_at(x, at, mark))
        return 0;
    at += 2;
    return trim && at < x->n && x->s[at] == '\n' ? at + 1 : at;
}

static void end_tag(lexer *x, size_t to)
{
    advance(x, to);
    x->line_start = x->s[to - 1] == '\n';
}

static void lex_comment(lexer *x, size_t tag)
{
    push_text(x, tag, sign_at(x, tag + 2), true);
    for (size_t at = tag + 2; at < x->n; at++) {
        size_t end = tag_end(x, at, "#}", true, true);
        if (end) {
            end_tag(x, end);
            return;
        }
    }
    tmpl_fail(x->h, ST_FORMAT, "a comment opened by {# has no #}");
}

// {% raw %} at `tag`? Then the offset behind it.
static size_t raw_begin(const lexer *x, size_t tag)
{
    size_t at = tag + 2;
    if (sign_at(x, at))
        at++;
    at = space_from(x, at);
    return word_at(x, at, "raw") ? tag_end(x, space_from(x, at + 3), "%}", false, false) : 0;
}

static void lex_raw(lexer *x, size_t tag, size_t body)
{
    push_text(x, tag, sign_at(x, tag + 2), true);
    end_tag(x, body);
    for (size_t at = body; at + 1 < x->n; at++) {
        if (!word_at(x, at, "{%"))
            continue;
        char sign = sign_at(x, at + 2);
        size_t in = space_from(x, at + 2 + (sign != 0));
        size_t end = word_at(x, in, "endraw") ? tag_end(x, space_from(x, in + 6), "%}", true, true) : 0;
        if (!end)
            continue;
        push_text(x, at, sign, true);
        end_tag(x, end);
        return;
    }
    tmpl_fail(x->h, ST_FORMAT, "{%% raw %%} has no {%% endraw %%}");
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

// Digits with single underscores between them, from `at`.
static size_t digits_from(const lexer *x, size_t at)
{
    while (at < x->n && (digit(x->s[at]) || (x->s[at] == '_' && at + 1 < x->n && digit(x->s[at + 1]))))
        at++;
    return at;
}

static void lex_number(lexer *x)
{
    size_t from = x->at, at = digits_from(x, from);
    bool real = false, after_dot = x->out.n && x->out.v[x->out.n - 1].op == '.';
    char second = peek(x, 1);
    if (x->s[from] == '0' && second && strchr("xXoObB", second)) {
        at = from + 2;
        while (at < x->n && (x->s[at] == '_' || digit(x->s[at]) || (x->s[at] | 32) - 'a' + 0u < 6u))
            at++;
    } else if (!after_dot) {
        if (at + 1 < x->n && x->s[at] == '.' && digit(x->s[at + 1])) {
            at = digits_from(x, at + 1);
            real = true;
        }
        size_t e = at + 1;
        if (e < x->n && (x->s[at] | 32) == 'e') {
            e += x->s[e] == '+' || x->s[e] == '-';
            if (e < x->n && digit(x->s[e])) {
                at = digits_from(x, e);
                real = true;
            }
        }
    }
    push(x, real ? T_FLOAT : T_INT, from, at - from, 0);
    x->at = at;
}

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || digit(c) ||
           (unsigned char)c >= 0x80;
}

static void lex_string(lexer *x)
{
    char quote = x->s[x->at];
    for (size_t at = x->at + 1; at < x->n; at++) {
        if (x->s[at] == '\\') {
            at++;
        } else if (x->s[at] == quote) {
            push(x, T_STRING, x->at + 1, at - x->at - 1, 0);
            advance(x, at + 1);
            return;
        }
    }
    tmpl_fail(x->h, ST_FORMAT, "a text opened by %c has no closing %c", quote, quote);
}

static void balance(lexer *x, char c)
{
    const char *opener = strchr("([{", c), *closer = strchr(")]}", c);
    if (opener) {
        if (x->n_open == sizeof x->open)
            tmpl_fail(x->h, ST_LIMIT, "more than %zu brackets open at once", sizeof x->open);
        x->open[x->n_open++] = ")]}"[opener - "([{"];
    } else if (closer) {
        if (x->n_open == 0)
            tmpl_fail(x->h, ST_FORMAT, "unexpected '%c'", c);
        char want = x->open[--x->n_open];
        if (want != c)
            tmpl_fail(x->h, ST_FORMAT, "unexpected '%c', expected '%c'", c, want);
    }
}

static void lex_operator(lexer *x)
{
    static const char two[] = "//**==!=>=<=";
    char c = x->s[x->at], d = peek(x, 1);
    for (size_t i = 0; d && i + 1 < sizeof two; i += 2)
        if (two[i] == c && two[i + 1] == d) {
            push(x, T_OP, x->at, 2, OP2(c, d));
            x->at += 2;
            return;
        }
    if (!c || !strchr("+-/*%~[](){}><=.:|,;", c))
        tmpl_fail(x->h, ST_FORMAT, "unexpected character %s%c%s inside a tag", c > 32 && c < 127 ? "'" : "",
                  c > 32 && c < 127 ? c : '?', c > 32 && c < 127 ? "'" : "");
    balance(x, c);
    push(x, T_OP, x->at, 1, c);
    x->at++;
}

static void lex_tag(lexer *x, bool print)
{
    const char *mark = print ? "}}" : "%}";
    x->n_open = 0;
    for (;;) {
        if (x->n_open == 0) {
            size_t end = tag_end(x, x->at, mark, !print, !print);
            if (end) {
                push(x, print ? T_PRINT_END : T_BLOCK_END, x->at, 0, 0);
                end_tag(x, end);
                return;
            }
        }
        if (x->at >= x->n)
            tmpl_fail(x->h, ST_FORMAT, "the template ends inside a tag; expected %s", mark);
        char c = x->s[x->at];
        size_t space = space_from(x, x->at);
        if (space > x->at)
            advance(x, space);
        else if (digit(c))
            lex_number(x);
        else if (name_char(c)) {
            size_t at = x->at;
            while (at < x->n && name_char(x->s[at]) && (at == x->at || space_from(x, at) == at))
                at++;
            push(x, T_NAME, x->at, at - x->at, 0);
            x->at = at;
        } else if (c == '"' || c == '\'')
            lex_string(x);
        else
            lex_operator(x);
    }
}

// All kinds of newline become \n; one at the very end goes.
static void take_source(lexer *x, const char *src, size_t n)
{
    char *s = tmpl_alloc(x->h, n + 1);
    for (size_t i = 0; i < n; i++) {
        bool cr = src[i] == '\r';
        if (cr && i + 1 < n && src[i + 1] == '\n')
            continue;
        s[x->n++] = cr ? '\n' : src[i];
    }
    x->n -= x->n && s[x->n - 1] == '\n';
    x->s = s;
    for (size_t at = 0, k; at < x->n; at += k) {
        uint32_t cp;
        k = utf8_decode(s + at, x->n - at, &cp);
        if (k == 0)
            tmpl_fail(x->h, ST_FORMAT, "the template is not UTF-8 at byte %zu", at);
    }
}

token_list tmpl_lex(heap *h, const char *src, size_t n)
{
    lexer x = {.h = h, .line_start = true};
    take_source(&x, src, n);
    h->line = 1;
    while (x.at < x.n) {
        size_t tag = x.at;
        while (tag < x.n && !(x.s[tag] == '{' && tag + 1 < x.n && strchr("{%#", x.s[tag + 1])))
            tag++;
        size_t raw = tag < x.n && x.s[tag + 1] == '%' ? raw_begin(&x, tag) : 0;
        if (tag == x.n) {
            push(&x, T_DATA, x.at, tag - x.at, 0);
            advance(&x, tag);
        } else if (x.s[tag + 1] == '#') {
            lex_comment(&x, tag);
        } else if (raw) {
            lex_raw(&x, tag, raw);
        } else {
            bool print = x.s[tag + 1] == '{';
            char sign = sign_at(&x, tag + 2);
            push_text(&x, tag, sign, !print);
            push(&x, print ? T_PRINT : T_BLOCK, tag, 2, 0);
            x.at = tag + 2 + (sign != 0);
            lex_tag(&x, print);
        }
    }
    push(&x, T_END, x.n, 0, 0);
    return x.out;
}

static int hex(char c)
{
    return digit(c)               ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

// \x, \u, \U and octal escapes behind the backslash at t->p[at]; gives how many bytes they took.
static size_t numeric_escape(heap *h, const token *t, size_t at, strbuf *b)
{
    char c = t->p[at];
    uint32_t cp = 0;
    size_t n = 0, want = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (want) {
        for (at++; n < want && at + n < t->n && hex(t->p[at + n]) >= 0; n++)
            cp = cp * 16 + (uint32_t)hex(t->p[at + n]);
        if (n < want)
            tmpl_fail(h, ST_FORMAT, "\\%c needs %zu hexadecimal digits", c, want);
        n++;
    } else {
        for (; n < 3 && at + n < t->n && t->p[at + n] >= '0' && t->p[at + n] <= '7'; n++)
            cp = cp * 8 + (uint32_t)(t->p[at + n] - '0');
    }
    char u[4];
    if (!utf8_encode(cp, u))
        tmpl_fail(h, ST_FORMAT, "\\%c names no character (U+%X)", c, (unsigned)cp);
    tmpl_sb_cp(b, cp, TMPL_TRUSTED);
    return n;
}

const str *tmpl_lex_unescape(heap *h, const token *t)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    strbuf b = tmpl_sb(h);
    for (size_t i = 0; i < t->n; i++) {
        char c = t->p[i];
        if (c != '\\' || i + 1 == t->n) {
            tmpl_sb_add(&b, &c, 1, TMPL_TRUSTED);
            continue;
        }
        c = t->p[++i];
        const char *simple = c ? strchr(from, c) : NULL;
        if (simple)
            tmpl_sb_add(&b, &to[simple - from], 1, TMPL_TRUSTED);
        else if (c == 'x' || c == 'u' || c == 'U' || (c >= '0' && c <= '7'))
            i += numeric_escape(h, t, i, &b) - 1;
        else if (c == 'N')
            tmpl_fail(h, ST_UNSUPPORTED, "\\N{...} in a text");
        else if (c != '\n')
            tmpl_sb_add(&b, t->p + i - 1, 2, TMPL_TRUSTED);
    }
    return tmpl_sb_done(&b);
}
