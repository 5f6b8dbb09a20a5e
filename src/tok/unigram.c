// SentencePiece unigram (T5, llm-jp, XLM-R): of all ways to cut the normalized text into pieces, the one
// whose scores sum highest, found by dynamic programming over byte positions (Viterbi; Kudo 2018,
// arXiv:1804.10959).
#include <float.h>
#include <string.h>

#include "tok/own.h"

static const char SCORES[] = "tokenizer.ggml.scores";

int tok_unigram_load_pieces(tok *t, err *e)
{
    int rc = tok_trie_init(&t->pieces);
    for (uint32_t i = 0; i < t->count && !rc; i++) {
        size_t n = 0;
        const char *s = tok_text(t, (int32_t)i, &n);
        if (t->type[i] == TOK_NORMAL && n)
            rc = tok_trie_put(&t->pieces, s, n, (int32_t)i);
    }
    if (rc == ST_LIMIT)
        return err_set(e, rc, "the pieces of the vocabulary need more than %d trie nodes", TOK_TRIE_NODES);
    return rc ? err_set(e, rc, "no memory for the table of pieces") : ST_OK;
}

int tok_unigram_load(tok *t, const gguf *g, err *e)
{
    enum gguf_value_type elem;
    uint64_t n = 0;
    if (!gguf_get_array(g, SCORES, &elem, &n) || elem != GGUF_F32 || n != t->count)
        return err_set(e, ST_FORMAT,
                       "%s has %llu entries: a unigram vocabulary needs one for each of its %u tokens",
                       SCORES, (unsigned long long)n, t->count);
    t->score = mem_alloc(MEM_TOKENIZER, t->count * sizeof *t->score);
    if (!t->score)
        return err_set(e, ST_NOMEM, "no memory for %u scores", t->count);
    float worst = FLT_MAX;
    for (uint32_t i = 0; i < t->count; i++) {
        t->score[i] = 0;
        gguf_array_f32(g, SCORES, i, &t->score[i]);
        if (t->score[i] != t->score[i] || t->score[i] > FLT_MAX || t->score[i] < -FLT_MAX)
            return err_set(e, ST_FORMAT, "%s[%u] is not a finite number", SCORES, i);
        if (t->type[i] == TOK_NORMAL)
            worst = MIN(worst, t->score[i]);
    }
    // SentencePiece's penalty: an unknown character is worse than any piece.
    t->unknown_score = (worst == FLT_MAX ? 0 : worst) - 10;
    t->space_prefix = true;
    gguf_get_bool(g, "tokenizer.ggml.add_space_prefix", &t->space_prefix);
    gguf_get_bool(g, "tokenizer.ggml.remove_extra_whitespaces", &t->squeeze);
    int rc = tok_charsmap_new(&t->charsmap, g, e);
    return rc ? rc : tok_unigram_load_pieces(t, e);
}

// The text as the pieces spell it: characters replaced, spaces squeezed, a space before it.
static int normalize(tok_enc *c, const char *s, size_t n, bool prefix)
{
    const tok *t = c->t;
    buf *b = &c->text;
    buf_clear(b);
    if (prefix)
        buf_add_char(b, ' ');
    bool after_space = true;  // so that squeezing also drops spaces at the start
    for (size_t i = 0, len = 0; i < n; i += len) {
        const char *p = NULL;
        size_t k = 0;
        tok_charsmap_next(t->charsmap, s + i, n - i, &len, &p, &k);
        for (size_t j = 0; j < k; j++) {
            bool mark = k - j >= 3 && memcmp(p + j, "\xE2\x96\x81", 3) == 0;
            // A U+2581 of the text itself stands for a space too, but is none that could be squeezed.
            if (mark || p[j] != ' ' || !after_space || !t->squeeze)
                buf_add_char(b, mark ? ' ' : p[j]);
            after_space = p[j] == ' ';
            j += mark ? 2 : 0;
        }
    }
    size_t kept = prefix;
    while (t->squeeze && b->len > kept && b->data[b->len - 1] == ' ')
        b->len--;
    if (b->len == kept && t->squeeze)
        b->len = 0;  // nothing but spaces
    return b->failed ? tok_enc_nomem(c) : ST_OK;
}

// Scores are summed in float, as SentencePiece does: of cuts that are equally good its rounding decides. So
// that long texts do not lose precision, the sum starts again from 0 at the next place that all cuts share.
static const float START_AGAIN = -4096;

struct step {
    float score;    // best of all cuts that end here
    uint32_t from;  // where the last piece of that cut begins
    int32_t id;     // -1: an unknown character
};

static void reach(struct step *at, uint32_t from, float score, int32_t id)
{
    if (at->from == UINT32_MAX || score > at->score)
        *at = (struct step){score, from, id};
}

static void relax(const tok *t, const char *s, size_t n, struct step *best)
{
    size_t furthest = 0;  // that a piece from before i ends at
    for (size_t i = 0, len = 0; i < n; i += len) {
        uint32_t cp = 0, node = 0;
        len = utf8_decode(s + i, n - i, &cp);
        len = len ? len : 1;
        if (furthest <= i && best[i].score < START_AGAIN)
            best[i].score = 0;
        bool whole = false;  // some piece is exactly this character
        for (size_t k = i; k < n && (node = tok_trie_step(&t->pieces, node, (unsigned char)s[k])); k++) {
            int32_t id = t->pieces.value[node];
            if (id < 0)
                continue;
            reach(&best[k + 1], (uint32_t)i, best[i].score + t->score[id], id);
            whole = whole || k + 1 - i == len;
            furthest = MAX(furthest, k + 1);
        }
        if (!whole)
            reach(&best[i + len], (uint32_t)i, best[i].score + t->unknown_score, -1);
    }
}

// Walks the best cut back to front, turning it into a list front to back inside `best`.
static void reverse(struct step *best, size_t n)
{
    uint32_t end = (uint32_t)n;
    int32_t id = best[n].id;
    for (uint32_t at = best[n].from; end > 0;) {
        uint32_t from = best[at].from;
        int32_t before = best[at].id;
        best[at].from = end;
        best[at].id = id;
        end = at;
        at = from;
        id = before;
    }
}

int tok_unigram_encode(tok_enc *c, const char *s, size_t n, bool prefix)
{
    const tok *t = c->t;
    int rc = normalize(c, s, n, prefix);
    n = c->text.len;
    if (rc || n == 0)
        return rc;
    s = c->text.data;
    if (n >= UINT32_MAX)
        return err_set(c->e, ST_LIMIT, "the normalized text has %zu bytes, too many to encode at once", n);
    struct step *best = mem_alloc(MEM_TOKENIZER, (n + 1) * sizeof *best);
    if (!best)
        return tok_enc_nomem(c);
    for (size_t i = 0; i <= n; i++)
        best[i] = (struct step){0, i ? UINT32_MAX : 0, -1};
    relax(t, s, n, best);
    reverse(best, n);
    bool bytes = t->byte_id['a'] >= 0;
    for (size_t i = 0, to = 0; i < n && !rc; i = to) {
        to = best[i].from;
        int32_t id = best[i].id;
        while (id < 0 && !bytes && to < n && best[to].id < 0)
            to = best[to].from;  // unknown characters in a row are one unknown token
        rc = id >= 0 ? tok_enc_id(c, id) : tok_enc_bytes(c, s + i, to - i);
    }
    mem_free(best);
    return rc;
}
