// Cutting texts into words, and counting the n-grams they share.
#include "measure/bleu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// A word, by hash: two words of one hash in one sentence pair are too rare to matter.
typedef struct words {
    uint64_t *w;
    size_t n;
} words;

static bool is_alone(uint32_t c)
{
    return (c >= 0x2E80 && c <= 0x9FFF) || (c >= 0xAC00 && c <= 0xD7AF) || (c >= 0xF900 && c <= 0xFAFF) ||
           (c >= 0xFF00 && c <= 0xFFEF) || (c >= 0x20000 && c <= 0x3FFFF);
}

static bool is_letter(uint32_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= 0xC0 && !is_alone(c) && c < 0x2000);
}

static bool is_blank(uint32_t c)
{
    return c <= ' ' || c == 0xA0 || c == 0x3000;
}

// Bytes of the next character; a broken one is a byte.
static size_t next_character(const char *text, size_t n, uint32_t *c)
{
    size_t k = utf8_decode(text, n, c);
    if (k == 0)
        *c = 0xFFFD;
    return MAX(k, (size_t)1);
}

static bool cut(words *out, const char *text, size_t n)
{
    *out = (words){.w = mem_alloc(MEM_OTHER, (n + 1) * sizeof *out->w)};
    for (size_t at = 0; out->w && at < n;) {
        uint32_t c;
        size_t start = at;
        at += next_character(text + at, n - at, &c);
        if (is_blank(c))
            continue;
        while (is_letter(c) && at < n) {
            uint32_t next;
            size_t k = next_character(text + at, n - at, &next);
            if (!is_letter(next))
                break;
            at += k;
        }
        out->w[out->n++] = hash_bytes(text + start, at - start);
    }
    return out->w != NULL;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

// Sorted hashes of the n-grams; their number.
static size_t grams(const words *x, size_t order, uint64_t *out)
{
    if (x->n < order)
        return 0;
    size_t n = x->n - order + 1;
    for (size_t i = 0; i < n; i++)
        out[i] = hash_bytes(x->w + i, order * sizeof *x->w);
    qsort(out, n, sizeof *out, by_value);
    return n;
}

// How many of a[n] are in b[m], each of b's counted once.
static uint64_t common(const uint64_t *a, size_t n, const uint64_t *b, size_t m)
{
    uint64_t found = 0;
    for (size_t i = 0, k = 0; i < n && k < m;) {
        found += a[i] == b[k];
        bool less = a[i]<b[k], more = a[i]> b[k];
        i += !more;
        k += !less;
    }
    return found;
}

int bleu_add(bleu *b, const char *answer, size_t n, const char *reference, size_t m, err *e)
{
    words x = {0}, y = {0};
    uint64_t *gx = NULL, *gy = NULL;
    bool ok = cut(&x, answer, n) && cut(&y, reference, m);
    if (ok) {
        gx = mem_alloc(MEM_OTHER, (x.n + 1) * sizeof *gx);
        gy = mem_alloc(MEM_OTHER, (y.n + 1) * sizeof *gy);
        ok = gx && gy;
    }
    for (size_t order = 1; ok && order <= BLEU_ORDERS; order++) {
        size_t made = grams(&x, order, gx), wanted = grams(&y, order, gy);
        b->made[order - 1] += made;
        b->match[order - 1] += common(gx, made, gy, wanted);
    }
    if (ok) {
        b->length += x.n;
        b->wanted += y.n;
    }
    mem_free(x.w);
    mem_free(y.w);
    mem_free(gx);
    mem_free(gy);
    return ok ? ST_OK : err_set(e, ST_NOMEM, "out of memory for the words of an answer");
}

double bleu_score(const bleu *b)
{
    double sum = 0;
    for (int i = 0; i < BLEU_ORDERS; i++) {
        if (b->match[i] == 0)
            return 0;
        sum += log((double)b->match[i] / (double)b->made[i]);
    }
    double shorter = b->length < b->wanted ? 1 - (double)b->wanted / (double)b->length : 0;
    return 100 * exp(sum / BLEU_ORDERS + shorter);
}
