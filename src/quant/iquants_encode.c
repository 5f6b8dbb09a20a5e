// Encoding of IQ1, IQ2 and IQ3. Every group of 8 or 4 values becomes an entry of a codebook; a few groups share a small
// odd integer as scale, and a super-block one factor.
//
// For a scale, the entry is looked for among the NEAR ones closest to the values rounded level by level, which a table
// lists for every such rounding (made once, when first needed). Scales are tried around "the largest value on the highest
// level", each refitted by least squares; then, as in fit.h, integers and factor are improved in turns.
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "quant/fit.h"
#include "quant/iq_tables.h"

enum {
    NEAR = 24,    // on normal data 48 leave 0.1 % less error
    KEYS = 6561,  // 3^8; the books of fours have 8^4
    MOST_DIMS = 8,
    MOST_ENTRIES = 64,  // codebook groups of a super-block
    TURNS = 2,
};

typedef struct book {
    int dims, levels, bits;  // values of an entry, levels of a value, bits of a level in an entry
    const int8_t *level;     // ascending
    const uint16_t *entries;
    int count;
    uint16_t near[KEYS][NEAR];
} book;

static const int8_t levels1[3] = {-1, 0, 1}, levels2[3] = {8, 25, 43},
                    levels3xxs[8] = {4, 12, 20, 28, 36, 44, 52, 62},
                    levels3s[8] = {1, 3, 5, 7, 9, 11, 13, 15};

static book book1 = {8, 3, 2, levels1, quant_iq_tables_1, 2048, {{0}}};
static book book2xxs = {8, 3, 2, levels2, quant_iq_tables_2xxs, 256, {{0}}};
static book book2xs = {8, 3, 2, levels2, quant_iq_tables_2xs, 512, {{0}}};
static book book2s = {8, 3, 2, levels2, quant_iq_tables_2s, 1024, {{0}}};
static book book3xxs = {4, 8, 3, levels3xxs, quant_iq_tables_3xxs, 256, {{0}}};
static book book3s = {4, 8, 3, levels3s, quant_iq_tables_3s, 512, {{0}}};

static inline int entry_level(const book *k, int entry, int i)
{
    return k->level[k->entries[entry] >> i * k->bits & ((1 << k->bits) - 1)];
}

// The NEAR entries closest to the levels of one key, closest first.
static void list_near(const book *k, const int8_t (*entries)[MOST_DIMS], const int8_t *want, uint16_t *near)
{
    int distance[NEAR], n = 0;
    for (int e = 0; e < k->count; e++) {
        int d = 0;
        for (int i = 0; i < k->dims; i++)
            d += (entries[e][i] - want[i]) * (entries[e][i] - want[i]);
        if (n == NEAR && d >= distance[NEAR - 1])
            continue;
        int at = n < NEAR ? n++ : NEAR - 1;
        for (; at > 0 && distance[at - 1] > d; at--) {
            distance[at] = distance[at - 1];
            near[at] = near[at - 1];
        }
        distance[at] = d;
        near[at] = (uint16_t)e;
    }
}

static void make_book(book *k)
{
    static int8_t entries[2048][MOST_DIMS];  // the books are made one after another
    for (int e = 0; e < k->count; e++)
        for (int i = 0; i < k->dims; i++)
            entries[e][i] = (int8_t)entry_level(k, e, i);
    int keys = 1;
    for (int i = 0; i < k->dims; i++)
        keys *= k->levels;
    for (int key = 0; key < keys; key++) {
        int8_t want[MOST_DIMS];
        for (int i = 0, rest = key; i < k->dims; i++, rest /= k->levels)
            want[i] = k->level[rest % k->levels];
        list_near(k, (const int8_t(*)[MOST_DIMS])entries, want, k->near[key]);
    }
}

static void make_book1(void)
{
    make_book(&book1);
}

static void make_books23(void)
{
    make_book(&book2xxs);
    make_book(&book2xs);
    make_book(&book2s);
    make_book(&book3xxs);
    make_book(&book3s);
}

static pthread_once_t once1 = PTHREAD_ONCE_INIT, once23 = PTHREAD_ONCE_INIT;

// How a format uses its codebook.
typedef struct scheme {
    const book *book;
    int group;        // values that share a scale
    int most;         // scales are the odd numbers 1..2 * most + 1
    bool even_signs;  // of each eight values an even number is negative
    int shift_group;  // IQ1: values that share the sign of an eighth added to all; 0: no such shift
} scheme;

// A super-block in the making: magnitudes (IQ1: values) and, for each codebook group, entry, shift and signs.
typedef struct super {
    quant_fit_block f;
    float a[QUANT_SUPER];
    uint8_t signs[QUANT_SUPER / 8];
    uint16_t entry[MOST_ENTRIES];
    int8_t shift[MOST_ENTRIES];  // -1, 0, 1 eighths
    int8_t scale[16];
} super;

static void take_signs(super *s, const scheme *c)
{
    for (int g = 0; g < QUANT_SUPER / 8; g++) {
        const float *x = s->f.x + 8 * g, *w = s->f.w + 8 * g;
        int bits = 0, negative = 0, cheapest = 0;
        for (int i = 0; i < 8; i++) {
            bits |= (x[i] < 0) << i;
            negative += x[i] < 0;
            if (w[i] * x[i] * x[i] < w[cheapest] * x[cheapest] * x[cheapest])
                cheapest = i;
        }
        if (c->even_signs && negative % 2)
            bits ^= 1 << cheapest;
        for (int i = 0; i < 8; i++)
            s->a[8 * g + i] = bits >> i & 1 ? -x[i] : x[i];
        s->signs[g] = (uint8_t)bits;
    }
}

// The best entry for one codebook group at scale 1 / inv with a shift; *left is the error in units of the scale.
static int find_entry(const book *k, const float *a, const float *w, float inv, float shift, float *left)
{
    float v[MOST_DIMS];
    int key = 0;
    for (int i = k->dims - 1; i >= 0; i--) {
        v[i] = a[i] * inv - shift;
        int q = 0;
        while (q < k->levels - 1 && v[i] > (float)(k->level[q] + k->level[q + 1]) * 0.5f)
            q++;
        key = key * k->levels + q;
    }
    int best = k->near[key][0];
    *left = INFINITY;
    for (int c = 0; c < NEAR; c++) {
        int e = k->near[key][c];
        float error = 0;
        for (int i = 0; i < k->dims; i++) {
            float miss = v[i] - (float)entry_level(k, e, i);
            error += w[i] * miss * miss;
        }
        if (error < *left) {
            *left = error;
            best = e;
        }
    }
    return best;
}

// Codes of `n` values from `at` on at this scale; gives their error, and adds to the sums of a least-squares scale.
static float code_values(super *s, const scheme *c, int at, int n, float scale, float *num, float *den)
{
    const book *k = c->book;
    float inv = quant_inverse(scale), total = 0;
    int step = c->shift_group ? c->shift_group : k->dims;
    for (int from = at; from < at + n; from += step) {
        float least = INFINITY;
        const int first = c->shift_group ? -1 : 1;
        for (int sign = first; sign <= 1; sign += 2) {
            float shift = c->shift_group ? 0.125f * (float)sign : 0, error = 0, left;
            uint16_t found[MOST_DIMS];
            for (int i = 0; i < step; i += k->dims) {
                found[i / k->dims] = (uint16_t)find_entry(k, s->a + from + i, s->f.w + from + i, inv, shift,
                                                          &left);
                error += left;
            }
            if (sign != first && error >= least)  // something is taken even where every error is infinite
                continue;
            least = error;
            for (int i = 0; i < step; i += k->dims) {
                s->entry[(from + i) / k->dims] = found[i / k->dims];
                s->shift[(from + i) / k->dims] = (int8_t)(c->shift_group ? sign : 0);
            }
        }
        total += least * scale * scale;
    }
    for (int i = at; i < at + n; i++) {
        float level = (float)entry_level(k, s->entry[i / k->dims], i % k->dims) +
                      0.125f * (float)s->shift[i / k->dims];
        *num += s->f.w[i] * s->a[i] * level;
        *den += s->f.w[i] * level * level;
    }
    return total;
}

// Tries a scale and the least-squares scales that follow from its codes; keeps the best.
static void try_group(super *s, const scheme *c, int at, float scale, float *best, float *best_gain)
{
    for (int again = 0; again < 2; again++) {
        float num = 0, den = 0;
        code_values(s, c, at, c->group, scale, &num, &den);
        if (!(num > 0))
            return;
        scale = num / den;
        if (num * scale > *best_gain) {
            *best_gain = num * scale;
            *best = scale;
        }
    }
}

static float group_scale(super *s, const scheme *c, int at)
{
    float top = fabsf(quant_extreme(s->a + at, c->group)), best = 0, best_gain = 0;
    const book *k = c->book;
    if (top == 0)
        return 0;
    // The lower the bits, the more values are better clipped.
    static const float reach[] = {0.45f, 0.55f, 0.65f, 0.72f, 0.79f, 0.86f, 0.93f, 1.0f, 1.08f, 1.18f};
    for (size_t t = 0; t < sizeof reach / sizeof *reach; t++)
        try_group(s, c, at, top * reach[t] / (float)k->level[k->levels - 1], &best, &best_gain);
    if (k->level[0] > 0)  // values nearly alike fit the lowest level best
        try_group(s, c, at, top / (float)k->level[0], &best, &best_gain);
    return best;
}

// Integers moved to their best neighbours under `unit` (a scale is unit * (2 * integer + 1)); the error of the block, and
// the unit that fits its codes best.
static float settle(super *s, const scheme *c, float unit, float *refit)
{
    float total = 0, num = 0, den = 0;
    for (int at = 0; at < QUANT_SUPER; at += c->group) {
        int8_t *v = &s->scale[at / c->group], middle = *v;
        float least = INFINITY, n = 0, d = 0;
        for (int try = middle - 1; try <= middle + 1; try++) {
            if (try < 0 || try > c->most)
                continue;
            float error = code_values(s, c, at, c->group, unit * (float)(2 * try + 1), &n, &d);
            if (error < least) {
                least = error;
                *v = (int8_t)try;
            }
        }
        float odd = (float)(2 * *v + 1);
        n = d = 0;
        total += code_values(s, c, at, c->group, unit * odd, &n, &d);
        num += n * odd;
        den += d * odd * odd;
    }
    *refit = den > 0 && num > 0 ? num / den : unit;
    return total;
}

// Codes a super-block. `per_unit`: how many units the stored factor is. The factor goes to `out`.
static void code_super(super *s, const scheme *c, float per_unit, uint8_t *out)
{
    float fits[16], top = 0, refit;
    int groups = QUANT_SUPER / c->group;
    for (int g = 0; g < groups; g++) {
        fits[g] = group_scale(s, c, g * c->group);
        top = fits[g] > top ? fits[g] : top;
    }
    float unit = quant_fit_store(&s->f, out, top / (float)(2 * c->most + 1) * per_unit) / per_unit;
    for (int g = 0; g < groups; g++)
        s->scale[g] = (int8_t)quant_round((fits[g] * quant_inverse(unit) - 1) * 0.5f, 0, c->most);
    float error = settle(s, c, unit, &refit);
    for (int turn = 0; turn < TURNS; turn++) {
        super other = *s;
        uint8_t bytes[2];
        unit = quant_fit_store(&s->f, bytes, refit * per_unit) / per_unit;
        float left = settle(&other, c, unit, &refit);
        if (!(left < error))
            break;
        error = left;
        *s = other;
        memcpy(out, bytes, 2);
    }
}

// Loads and codes the next super-block of a row.
static void next_super(super *s, const scheme *c, const float *src, const float **importance, float per_unit,
                       uint8_t *out)
{
    quant_fit_load(&s->f, src, *importance, QUANT_SUPER, QUANT_MAGNITUDE);
    if (*importance)
        *importance += QUANT_SUPER;
    if (c->shift_group)
        memcpy(s->a, s->f.x, sizeof s->a);
    else
        take_signs(s, c);
    code_super(s, c, per_unit, out);
}

// Four scales or so share a byte or word with other things; the layouts are those of iquants.c.
void quant_iquants_encode_iq2_xxs_fit(const float *src, void *dst, size_t n, const float *importance)
{
    static const scheme c = {&book2xxs, 32, 15, true, 0};
    uint8_t *b = dst;
    super s;
    pthread_once(&once23, make_books23);
    for (const float *end = src + n; src < end; src += QUANT_SUPER, b += 66) {
        next_super(&s, &c, src, &importance, 8, b);
        for (int g = 0; g < 8; g++) {
            uint32_t word = (uint32_t)s.scale[g] << 28;
            for (int k = 0; k < 4; k++) {
                b[2 + 8 * g + k] = (uint8_t)s.entry[4 * g + k];
                word |= (uint32_t)(s.signs[4 * g + k] & 127) << 7 * k;
            }
            quant_store_u32(b + 2 + 8 * g + 4, word);
        }
    }
}

void quant_iquants_encode_iq2_xs_fit(const float *src, void *dst, size_t n, const float *importance)
{
    static const scheme c = {&book2xs, 16, 15, true, 0};
    uint8_t *b = dst;
    super s;
    pthread_once(&once23, make_books23);
    for (const float *end = src + n; src < end; src += QUANT_SUPER, b += 74) {
        next_super(&s, &c, src, &importance, 8, b);
        for (int k = 0; k < 32; k++)
            quant_store_u16(b + 2 + 2 * k, (uint16_t)(s.entry[k] | (s.signs[k] & 127) << 9));
        for (int g = 0; g < 8; g++)
            b[66 + g] = (uint8_t)(s.scale[2 * g] | s.scale[2 * g + 1] << 4);
    }
}

void quant_iquants_encode_iq2_s_fit(const float *src, void *dst, size_t n, const float *importance)
{
    static const scheme c = {&book2s, 16, 15, false, 0};
    uint8_t *b = dst;
    super s;
    pthread_once(&once23, make_books23);
    for (const float *end = src + n; src < end; src += QUANT_SUPER, b += 82) {
        next_super(&s, &c, src, &importance, 8, b);
        memset(b + 66, 0, 8);
        for (int k = 0; k < 32; k++) {
            b[2 + k] = (uint8_t)s.entry[k];
            b[34 + k] = s.signs[k];
            b[66 + k / 4] |= (uint8_t)(s.entry[k] >> 8 << k % 4 * 2);
        }
        for (int g = 0; g < 8; g++)
            b[74 + g] = (uint8_t)(s.scale[2 * g] | s.scale[2 * g + 1] << 4);
    }
}

void quant_iquants_encode_iq3_xxs_fit(const float *src, void *dst, size_t n, const float *importance)
{
    static const scheme c = {&book3xxs, 32, 15, true, 0};
    uint8_t *b = dst;
    super s;
    pthread_once(&once23, make_books23);
    for (const float *end = src + n; src < end; src += QUANT_SUPER, b += 98) {
        next_super(&s, &c, src, &importance, 4, b);
        for (int k = 0; k < 64; k++)
            b[2 + k] = (uint8_t)s.entry[k];
        for (int g = 0; g < 8; g++) {
            uint32_t word = (uint32_t)s.scale[g] << 28;
            for (int k = 0; k < 4; k++)
                word |= (uint32_t)(s.signs[4 * g + k] & 127) << 7 * k;
            quant_store_u32(b + 66 + 4 * g, word);
        }
    }
}

void quant_iquants_encode_iq3_s_fit(const float *src, void *dst, size_t n, const float *importance)
{
    static const scheme c = {&book3s, 32, 15, false, 0};
    uint8_t *b = dst;
    super s;
    pthread_once(&once23, make_books23);
    for (const float *end = src + n; src < end; src += QUANT_SUPER, b += 110) {
        next_super(&s, &c, src, &importance, 1, b);
        memset(b + 66, 0, 8);
        for (int k = 0; k < 64; k++) {
            b[2 + k] = (uint8_t)s.entry[k];
            b[66 + k / 8] |= (uint8_t)(s.entry[k] >> 8 << k % 8);
        }
        memcpy(b + 74, s.signs, 32);
        for (int g = 0; g < 4; g++)
            b[106 + g] = (uint8_t)(s.scale[2 * g] | s.scale[2 * g + 1] << 4);
    }
}

void quant_iquants_encode_iq1_s_fit(const float *src, void *dst, size_t n, const float *importance)
{
    static const scheme c = {&book1, 32, 7, false, 32};
    uint8_t *b = dst;
    super s;
    pthread_once(&once1, make_book1);
    for (const float *end = src + n; src < end; src += QUANT_SUPER, b += 50) {
        next_super(&s, &c, src, &importance, 1, b);
        for (int g = 0; g < 8; g++) {
            int word = s.scale[g] << 12 | (s.shift[4 * g] < 0) << 15;
            for (int k = 0; k < 4; k++) {
                b[2 + 4 * g + k] = (uint8_t)s.entry[4 * g + k];
                word |= s.entry[4 * g + k] >> 8 << 3 * k;
            }
            quant_store_u16(b + 34 + 2 * g, (uint16_t)word);
        }
    }
}

void quant_iquants_encode_iq1_m_fit(const float *src, void *dst, size_t n, const float *importance)
{
    static const scheme c = {&book1, 16, 7, false, 8};
    uint8_t *b = dst, factor[2];
    super s;
    pthread_once(&once1, make_book1);
    for (const float *end = src + n; src < end; src += QUANT_SUPER, b += 56) {
        next_super(&s, &c, src, &importance, 1, factor);
        memset(b + 32, 0, 24);
        for (int k = 0; k < 32; k++) {
            b[k] = (uint8_t)s.entry[k];
            b[32 + k / 2] |= (uint8_t)((s.entry[k] >> 8 | (s.shift[k] < 0) << 3) << k % 2 * 4);
        }
        for (int w = 0; w < 4; w++) {
            int word = (quant_load_u16(factor) >> 4 * w & 15) << 12;
            for (int g = 0; g < 4; g++)
                word |= s.scale[4 * w + g] << 3 * g;
            quant_store_u16(b + 48 + 2 * w, (uint16_t)word);
        }
    }
}
