// Loading the vocabulary: the pieces as bytes of text, their types, and the ids with a name.
#include <string.h>

#include "tok/own.h"

static const char TOKENS[] = "tokenizer.ggml.tokens";
static const char TYPES[] = "tokenizer.ggml.token_type";

// GPT-2's alphabet: printable Latin-1 characters stand for themselves, the other bytes in order for U+0100
// and on.
static bool printable(uint32_t b)
{
    return (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
}

// The byte that a character of the alphabet stands for; -1 when it is none.
static int alphabet_byte(uint32_t cp)
{
    if (cp < 0x100)
        return printable(cp) ? (int)cp : -1;
    if (cp < 0x100 + 33)
        return (int)(cp - 0x100);  // control characters and space
    if (cp < 0x100 + 67)
        return (int)(cp - 0x100 - 33 + 0x7F);  // 0x7F..0xA0
    return cp == 0x100 + 67 ? 0xAD : -1;
}

static bool from_alphabet(const char *s, size_t n, char *dst, size_t *len)
{
    size_t k = 0;
    for (size_t i = 0; i < n;) {
        uint32_t cp = 0;
        size_t step = utf8_decode(s + i, n - i, &cp);
        int byte = step ? alphabet_byte(cp) : -1;
        if (byte < 0) {
            memcpy(dst, s, n);
            *len = n;
            return false;
        }
        dst[k++] = (char)byte;
        i += step;
    }
    *len = k;
    return true;
}

// U+2581, which SentencePiece writes for a space, back to the space.
static void from_spm(const char *s, size_t n, char *dst, size_t *len)
{
    size_t k = 0;
    for (size_t i = 0; i < n;) {
        if (n - i >= 3 && memcmp(s + i, "\xE2\x96\x81", 3) == 0) {
            dst[k++] = ' ';
            i += 3;
        } else {
            dst[k++] = s[i++];
        }
    }
    *len = k;
}

bool tok_vocab_unescape(const tok *t, const char *s, size_t n, char *dst, size_t *len)
{
    if (t->kind == TOK_BPE && !t->by_char)
        return from_alphabet(s, n, dst, len);
    from_spm(s, n, dst, len);
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The byte of "<0x0A>"; -1 when s is not of that form.
static int byte_text(const char *s, size_t n)
{
    if (n != 6 || memcmp(s, "<0x", 3) != 0 || s[5] != '>')
        return -1;
    int hi = hex_digit(s[3]), lo = hex_digit(s[4]);
    return hi < 0 || lo < 0 ? -1 : hi * 16 + lo;
}

static int load_types(tok *t, const gguf *g, err *e)
{
    uint64_t n = 0;
    enum gguf_value_type elem;
    memset(t->type, TOK_NORMAL, t->count);
    if (!gguf_get_array(g, TYPES, &elem, &n))
        return ST_OK;
    if (n != t->count)
        return err_set(e, ST_FORMAT, "%s has %llu entries, %s has %u: they must be equal", TYPES,
                       (unsigned long long)n, TOKENS, t->count);
    for (uint32_t i = 0; i < t->count; i++) {
        int32_t v = 0;
        if (!gguf_array_i32(g, TYPES, i, &v))
            return err_set(e, ST_FORMAT, "%s[%u] is not a whole number", TYPES, i);
        if (v < 0 || v > TOK_BYTE)
            return err_set(e, ST_FORMAT, "%s[%u] is %d: allowed are 0..6", TYPES, i, v);
        t->type[i] = v ? (uint8_t)v : TOK_NORMAL;
    }
    return ST_OK;
}

static int allocate(tok *t, const gguf *g, err *e)
{
    enum gguf_value_type elem;
    uint64_t n = 0, bytes = 0;
    if (!gguf_get_array(g, TOKENS, &elem, &n) || elem != GGUF_STRING || n == 0)
        return err_set(e, ST_FORMAT, "%s is missing or empty: the file has no vocabulary", TOKENS);
    if (n > INT32_MAX / 2)
        return err_set(e, ST_LIMIT, "%s has %llu entries, at most %d are allowed", TOKENS,
                       (unsigned long long)n, INT32_MAX / 2);
    for (uint64_t i = 0; i < n; i++) {
        gguf_str s;
        if (!gguf_array_str(g, TOKENS, i, &s))
            return err_set(e, ST_FORMAT, "%s[%llu] is not a string", TOKENS, (unsigned long long)i);
        bytes += s.n;
    }
    if (bytes > UINT32_MAX)
        return err_set(e, ST_LIMIT, "%s holds %llu bytes, at most 4 GiB are allowed", TOKENS,
                       (unsigned long long)bytes);
    t->count = (uint32_t)n;
    t->text = mem_alloc(MEM_TOKENIZER, bytes);
    t->at = mem_alloc(MEM_TOKENIZER, (n + 1) * sizeof *t->at);
    t->type = mem_alloc(MEM_TOKENIZER, n);
    t->mark = mem_calloc(MEM_TOKENIZER, n, 1);
    if (!t->text || !t->at || !t->type || !t->mark)
        return err_set(e, ST_NOMEM, "no memory for a vocabulary of %llu tokens", (unsigned long long)n);
    return ST_OK;
}

static void load_piece(tok *t, int32_t id, gguf_str s)
{
    char *dst = t->text + t->at[id];
    size_t len = 0;
    int byte = t->type[id] == TOK_BYTE ? byte_text(s.p, s.n) : -1;
    if (byte >= 0) {
        dst[0] = (char)byte;
        len = 1;
        t->byte_id[byte] = id;
    } else if (t->type[id] == TOK_USER && (t->kind != TOK_BPE || t->by_char)) {
        from_spm(s.p, s.n, dst, &len);
    } else if (tok_is_ordinary(t, id)) {
        if (!tok_vocab_unescape(t, s.p, s.n, dst, &len))
            t->mark[id] |= TOK_MARK_LITERAL;
        if (len == 1 && t->kind == TOK_BPE && !t->by_char)
            t->byte_id[(unsigned char)dst[0]] = id;
        t->longest = MAX(t->longest, len);
    } else {
        memcpy(dst, s.p, s.n);
        len = s.n;
    }
    t->at[id + 1] = t->at[id] + (uint32_t)len;
}

static int load_map(tok *t, err *e)
{
    size_t n = 0;
    for (uint32_t i = 0; i < t->count; i++)
        n += tok_is_ordinary(t, (int32_t)i);
    if (tok_map_init(&t->map, n))
        return err_set(e, ST_NOMEM, "no memory for the table of %zu pieces", n);
    for (uint32_t i = 0; i < t->count; i++) {
        bool literal = t->mark[i] & TOK_MARK_LITERAL;
        if (tok_is_ordinary(t, (int32_t)i) && !literal && t->at[i + 1] > t->at[i])
            tok_map_put(&t->map, t, (int32_t)i);
    }
    return ST_OK;
}

int tok_vocab_load(tok *t, const gguf *g, err *e)
{
    int rc = allocate(t, g, e);
    if (!rc)
        rc = load_types(t, g, e);
    if (rc)
        return rc;
    t->at[0] = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        gguf_str s = {0};
        gguf_array_str(g, TOKENS, i, &s);
        load_piece(t, (int32_t)i, s);
    }
    return load_map(t, e);
}
