// SentencePiece's normalizer, as the model carries it ("precompiled charsmap"): a double-array trie from byte
// strings to places in a blob of NUL-terminated replacements.
//
// Format: u32 size of the trie in bytes; the trie, units of u32 (little-endian); the blob. A unit holds a
// label (bits 0..7, and bit 31 set in leaves), has-leaf (bit 8), and an offset (bits 10..30, times 256 when
// bit 9 is set); a leaf's low 31 bits are its value. From a node at p, byte b leads to p ^ offset ^ b.
#include <string.h>

#include "tok/own.h"

struct tok_charsmap {
    uint32_t *units;
    size_t n_units;
    char *blob;  // ends in NUL
    size_t n_blob;
};

static const char KEY[] = "tokenizer.ggml.precompiled_charsmap";

void tok_charsmap_free(struct tok_charsmap *m)
{
    if (!m)
        return;
    mem_free(m->units);
    mem_free(m->blob);
    mem_free(m);
}

static uint8_t byte_at(const gguf *g, uint64_t i)
{
    int32_t v = 0;
    gguf_array_i32(g, KEY, i, &v);
    return (uint8_t)v;
}

static uint32_t u32_at(const gguf *g, uint64_t i)
{
    return byte_at(g, i) | (uint32_t)byte_at(g, i + 1) << 8 | (uint32_t)byte_at(g, i + 2) << 16 |
           (uint32_t)byte_at(g, i + 3) << 24;
}

static int fill(struct tok_charsmap *m, const gguf *g, uint64_t n, uint64_t trie, err *e)
{
    m->n_units = trie / 4;
    m->n_blob = n - 4 - trie;
    m->units = mem_alloc(MEM_TOKENIZER, trie);
    m->blob = mem_alloc(MEM_TOKENIZER, m->n_blob + 1);
    if (!m->units || !m->blob)
        return err_set(e, ST_NOMEM, "no memory for %s", KEY);
    for (size_t i = 0; i < m->n_units; i++)
        m->units[i] = u32_at(g, 4 + 4 * i);
    for (size_t i = 0; i < m->n_blob; i++)
        m->blob[i] = (char)byte_at(g, 4 + trie + i);
    m->blob[m->n_blob] = 0;
    return ST_OK;
}

int tok_charsmap_new(struct tok_charsmap **out, const gguf *g, err *e)
{
    enum gguf_value_type elem;
    uint64_t n = 0;
    *out = NULL;
    if (!gguf_get_array(g, KEY, &elem, &n) || n == 0)
        return ST_OK;
    if (elem != GGUF_U8 && elem != GGUF_I8)
        return err_set(e, ST_FORMAT, "%s must be an array of bytes", KEY);
    uint64_t trie = n >= 4 ? u32_at(g, 0) : 0;
    if (n < 4 || trie % 4 || trie > n - 4)
        return err_set(e, ST_FORMAT,
                       "%s has %llu bytes, which does not fit the size it states for its trie: %llu", KEY,
                       (unsigned long long)n, (unsigned long long)trie);
    struct tok_charsmap *m = mem_calloc(MEM_TOKENIZER, 1, sizeof *m);
    if (!m)
        return err_set(e, ST_NOMEM, "no memory for %s", KEY);
    int rc = fill(m, g, n, trie, e);
    if (rc)
        tok_charsmap_free(m);
    else
        *out = m;
    return rc;
}

static size_t offset(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 0x200) >> 6);
}

// The longest entry that s begins with: its length, and where its replacement is; 0 when there is none.
static size_t longest(const struct tok_charsmap *m, const char *s, size_t n, size_t *place)
{
    size_t found = 0, node = 0;
    if (m->n_units == 0)
        return 0;
    node ^= offset(m->units[0]);
    for (size_t i = 0; i < n; i++) {
        unsigned char b = (unsigned char)s[i];
        node ^= b;
        if (node >= m->n_units || (m->units[node] & 0x800000FFu) != b)
            break;
        uint32_t unit = m->units[node];
        node ^= offset(unit);
        if (!(unit & 0x100))
            continue;
        if (node >= m->n_units)
            break;
        size_t at = m->units[node] & 0x7FFFFFFFu;
        if (at >= m->n_blob)
            break;
        *place = at;
        found = i + 1;
    }
    return found;
}

void tok_charsmap_next(const struct tok_charsmap *m, const char *s, size_t n, size_t *len, const char **out,
                       size_t *out_n)
{
    size_t place = 0;
    *len = m ? longest(m, s, n, &place) : 0;
    if (*len) {
        *out = m->blob + place;
        *out_n = strlen(*out);
        return;
    }
    uint32_t cp = 0;
    *len = utf8_decode(s, n, &cp);
    *len = *len ? *len : 1;
    *out = s;
    *out_n = *len;
}
