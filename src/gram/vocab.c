// Lays a vocabulary out: the tree of all tokens, and what each does inside a JSON string.
#include "gram/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "gram/pattern.h"

typedef struct entry {
    const char *s;
    uint32_t n, id;
} entry;

static int compare_entries(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    int c = memcmp(x->s, y->s, MIN(x->n, y->n));
    if (c)
        return c;
    if (x->n != y->n)
        return x->n < y->n ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static void trie_done(gram_trie *t)
{
    mem_free(t->byte);
    mem_free(t->end);
    mem_free(t->first);
    mem_free(t->ids);
}

static bool trie_node(gram_trie *t, uint8_t byte)
{
    if (!gram_grow(&t->byte, &t->cap, t->n, sizeof *t->byte) ||
        !gram_grow(&t->end, &t->end_cap, t->n, sizeof *t->end) ||
        !gram_grow(&t->first, &t->first_cap, t->n + 1, sizeof *t->first))
        return false;
    t->byte[t->n] = byte;
    t->first[t->n] = (uint32_t)t->n_ids;
    t->n++;
    return true;
}

// The tree of the entries, which it sorts. An empty string gets no node and is left out.
static bool trie_build(gram_trie *t, entry *list, size_t n, size_t deepest)
{
    uint32_t *path = mem_alloc(MEM_GRAMMAR, (deepest + 1) * sizeof *path);
    if (!path)
        return false;
    qsort(list, n, sizeof *list, compare_entries);
    size_t depth = 0;
    bool ok = true;
    const entry *last = &(entry){"", 0, 0};
    for (size_t i = 0; i < n && ok; i++) {
        const entry *x = &list[i];
        size_t same = 0;
        while (same < x->n && same < last->n && x->s[same] == last->s[same])
            same++;
        while (depth > same)
            t->end[path[--depth]] = (uint32_t)t->n;
        while (ok && depth < x->n) {
            path[depth] = (uint32_t)t->n;
            ok = trie_node(t, (uint8_t)x->s[depth]);
            depth++;
        }
        if (x->n == 0)
            continue;
        if ((ok = ok && gram_grow(&t->ids, &t->ids_cap, t->n_ids, sizeof *t->ids)))
            t->ids[t->n_ids++] = x->id;
        last = x;
    }
    ok = ok && gram_grow(&t->first, &t->first_cap, t->n, sizeof *t->first);
    while (ok && depth > 0)
        t->end[path[--depth]] = (uint32_t)t->n;
    if (ok)
        t->first[t->n] = (uint32_t)t->n_ids;
    mem_free(path);
    return ok;
}

static bool copy_pieces(gram_vocab *v, const tok *t)
{
    v->at = mem_calloc(MEM_GRAMMAR, v->n + 1, sizeof *v->at);
    v->ends = mem_calloc(MEM_GRAMMAR, v->n + 1, sizeof *v->ends);
    if (!v->at || !v->ends)
        return false;
    for (uint32_t id = 0; id < v->n; id++) {
        size_t k = 0;
        v->at[id] = (uint32_t)v->text.len;
        char name[GRAM_CONTROL_BYTES];
        const char *s = tok_piece(t, (int32_t)id, 0, &k);
        if (tok_is_eog(t, (int32_t)id)) {
            v->ends[v->n_ends++] = id;
            k = 0;
        } else if (tok_is_control(t, (int32_t)id)) {
            gram_control_name(id, name);
            s = name;
            k = sizeof name;
        }
        if (k)
            buf_add(&v->text, s, k);
        v->deepest = MAX(v->deepest, k);
    }
    v->at[v->n] = (uint32_t)v->text.len;
    return !v->text.failed;
}

// How many characters a token has when each is whole and needs no escape in JSON; else 0.
static size_t plain_chars(const char *s, size_t n)
{
    size_t chars = 0;
    for (size_t i = 0; i < n; chars++) {
        uint32_t c;
        size_t len = utf8_decode(s + i, n - i, &c);
        if (!len || c < 0x20 || c == '"' || c == '\\')
            return 0;
        i += len;
    }
    return chars;
}

// Sets by length in characters, and the tree of all others (also of those longer than any set).
static bool lay_plain(gram_vocab *v, entry *list)
{
    uint32_t *last = mem_calloc(MEM_GRAMMAR, v->words, sizeof *last);
    size_t n = 0;
    if (!(v->plain[0] = last))
        return false;
    size_t *chars = mem_alloc(MEM_GRAMMAR, (v->n + 1) * sizeof *chars);
    if (!chars)
        return false;
    for (uint32_t id = 0; id < v->n; id++) {
        size_t k;
        const char *s = gram_vocab_piece(v, id, &k);
        chars[id] = plain_chars(s, k);
        if (chars[id] > GRAM_PLAIN_MOST)
            chars[id] = 0;
        v->longest_plain = MAX(v->longest_plain, chars[id]);
        if (k && !chars[id])
            list[n++] = (entry){s, (uint32_t)k, id};
    }
    for (size_t len = 1; len <= v->longest_plain; len++)
        for (uint32_t id = 0; id < v->n; id++) {
            if (chars[id] != len)
                continue;
            if (!v->plain[len]) {
                if (!(v->plain[len] = mem_alloc(MEM_GRAMMAR, v->words * sizeof *last))) {
                    mem_free(chars);
                    return false;
                }
                memcpy(v->plain[len], last, v->words * sizeof *last);
                last = v->plain[len];
            }
            gram_mask_set(last, id);
        }
    mem_free(chars);
    return trie_build(&v->rest, list, n, v->deepest);
}

// What every token does from inside a string whose characters are `one`.
static bool lay_body(gram_vocab *v, gram_body *b, rx_pool *p, rx one, entry *list)
{
    rx inside = rx_cat(p, rx_repeat(p, one, 0, RX_MANY), rx_byte(p, '"'));
    rx_freeze(p);
    b->mask = mem_calloc(MEM_GRAMMAR, v->words, sizeof *b->mask);
    if (!b->mask)
        return false;
    size_t n = 0;
    for (uint32_t id = 0; id < v->n; id++) {
        size_t k, i = 0;
        const char *s = gram_vocab_piece(v, id, &k);
        rx at = inside;
        while (i < k && at != RX_NONE && at != RX_EMPTY)
            at = rx_step(p, at, p->cls[(unsigned char)s[i++]]);
        if (k == 0 || at == RX_NONE)
            continue;
        if (at != RX_EMPTY)
            gram_mask_set(b->mask, id);
        else
            list[n++] = (entry){s + i, (uint32_t)(k - i), id};
    }
    // A token that ends with the quote has no byte behind it: it is allowed where the string may end, which is
    // always, so it stays with those inside.
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (list[i].n == 0)
            gram_mask_set(b->mask, list[i].id);
        else
            list[kept++] = list[i];
    return !p->failed && trie_build(&b->after, list, kept, v->deepest);
}

static bool lay_bodies(gram_vocab *v, entry *list)
{
    bool ok = true;
    for (int kind = 0; kind < GRAM_BODIES && ok; kind++) {
        rx_pool p;
        ok = rx_pool_init(&p) == ST_OK;
        rx one = kind == GRAM_BODY_ANY ? pattern_json_char(&p) : pattern_any(&p, PATTERN_JSON);
        ok = ok && lay_body(v, &v->body[kind], &p, one, list);
        rx_pool_done(&p);
    }
    return ok;
}

int gram_vocab_new(gram_vocab **out, const tok *t, err *e)
{
    *out = NULL;
    if (tok_count(t) >= 1u << 24)
        return err_set(e, ST_LIMIT, "grammars over a vocabulary of %u tokens, allowed %u", tok_count(t),
                       1u << 24);
    gram_vocab *v = mem_calloc(MEM_GRAMMAR, 1, sizeof *v);
    if (!v)
        return err_set(e, ST_NOMEM, "no memory for a vocabulary of grammars");
    v->n = tok_count(t);
    v->words = (v->n + 31) / 32;
    buf_init(&v->text);
    entry *list = mem_alloc(MEM_GRAMMAR, (v->n + 1) * sizeof *list);
    bool ok = list && copy_pieces(v, t);
    size_t n = 0;
    for (uint32_t id = 0; ok && id < v->n; id++) {
        size_t k;
        const char *s = gram_vocab_piece(v, id, &k);
        if (k)
            list[n++] = (entry){s, (uint32_t)k, id};
    }
    ok = ok && trie_build(&v->all, list, n, v->deepest) && lay_plain(v, list) && lay_bodies(v, list);
    mem_free(list);
    if (!ok) {
        gram_vocab_free(v);
        return err_set(e, ST_NOMEM, "no memory for a vocabulary of grammars");
    }
    *out = v;
    return ST_OK;
}

void gram_vocab_free(gram_vocab *v)
{
    if (!v)
        return;
    trie_done(&v->all);
    trie_done(&v->rest);
    for (int i = 0; i < GRAM_BODIES; i++) {
        mem_free(v->body[i].mask);
        trie_done(&v->body[i].after);
    }
    for (int i = 0; i <= GRAM_PLAIN_MOST; i++)
        mem_free(v->plain[i]);
    mem_free(v->at);
    mem_free(v->ends);
    buf_done(&v->text);
    mem_free(v);
}

static size_t trie_bytes(const gram_trie *t)
{
    return t->cap + (t->end_cap + t->first_cap + t->ids_cap) * sizeof *t->ids;
}

size_t gram_vocab_bytes(const gram_vocab *v)
{
    size_t n = v->text.cap + 2 * v->n * sizeof *v->at + trie_bytes(&v->all) + trie_bytes(&v->rest);
    for (int i = 0; i < GRAM_BODIES; i++)
        n += v->words * sizeof *v->body[i].mask + trie_bytes(&v->body[i].after);
    for (int i = 0; i <= GRAM_PLAIN_MOST; i++)
        n += v->plain[i] ? v->words * sizeof *v->plain[i] : 0;
    return n;
}
