// Many tokens against panels of quantized weights, on AVX2: what blocks of 32 columns and super-blocks share.
//
// Codes are unpacked once into L1 as unsigned bytes and meet up to KERN_AVX2_BATCH tokens, whose activations
// have been brought together first: rows a power of two apart would throw each other out of L1. vpmaddubsw multiplies 4
// columns of 8 rows with a token's 4 activations and adds pairs into int16, which vpmaddwd adds up to int32 every few
// groups. The sum of a span of columns in int16 may wrap on its way: it starts at -offset * sum(activations) of its two
// columns in four, so that it ends as the sum of (code - offset) * activation, which fits.
#ifndef KERN_X86_AVX2_TILE_H
#define KERN_X86_AVX2_TILE_H

#include "base/check.h"
#include "kern/x86/unpack_avx2.h"

enum {
    // Tokens whose running sums wait in L1 while a block's codes meet them all.
    KERN_AVX2_BATCH = 64,
    KERN_AVX2_TILE = 4,     // tokens a tile: 8 sums, 2 registers of codes, an activation and a product
    KERN_AVX2_PANELS = 8,   // that read activations once brought together
    KERN_AVX2_STREAMS = 2,  // panels that a token alone meets at once
};
#define KERN_ROUND_TILE(tokens) (((tokens) + KERN_AVX2_TILE - 1) / KERN_AVX2_TILE * KERN_AVX2_TILE)

// Up to KERN_AVX2_BATCH tokens of up to KERN_SUPER columns, in pieces of 32. A tile that lacks tokens repeats the last
// one, into sums no one reads.
typedef struct kern_avx2_acts {
    // Group g of a piece's token t at 32 * (g % 4) + 16 * (g / 4) + 4 * t.
    _Alignas(32) int8_t q[KERN_AVX2_BATCH / KERN_AVX2_TILE][8][32 * KERN_AVX2_TILE];
    // -offset * sum of columns 4i, 4i+1 and of 4i+2, 4i+3 of the groups that are summed in int16, at the first of these groups,
    // counted by twos.
    int16_t bias[KERN_AVX2_BATCH / KERN_AVX2_TILE][KERN_SUPER / 8][KERN_AVX2_TILE][2];
} kern_avx2_acts;

// Codes of 8 bits, two of whose products might not fit into int16: |code - offset| is multiplied with q that has the
// other's sign, and every sum of two widened.
KERN_INLINE bool kern_signed_avx2(int type)
{
    return kern_code_max(type) > 127;
}

// How many groups of 4 columns may be summed in int16: 2 * 127 * groups * |code - offset| <= 32767.
KERN_INLINE int kern_span_groups(int type)
{
    const int offset = kern_code_offset(type), sub = kern_sub_columns(type) / 4;
    const int most = MAX(offset, kern_code_max(type) - offset);
    const int fit = most <= 16 ? 8 : most <= 32 ? 4 : 2;
    return MIN(fit, sub);
}

// Whether sums begin at the bias.
KERN_INLINE bool kern_has_bias(int type)
{
    return kern_code_offset(type) && !kern_signed_avx2(type);
}

// -offset * the sums that `bias` holds, of 32 activations: those of groups 2i and 2i+1 in 32-bit lane 2i.
KERN_INLINE __m256i kern_bias_avx2(int type, __m256i q)
{
    __m256i x = _mm256_maddubs_epi16(_mm256_set1_epi8(1), q);
    x = _mm256_add_epi16(x, _mm256_shuffle_epi32(x, 0xb1));
    if (kern_span_groups(type) >= 4)
        x = _mm256_add_epi16(x, _mm256_shuffle_epi32(x, 0x4e));
    if (kern_span_groups(type) == 8)
        x = _mm256_add_epi16(x, _mm256_permute2x128_si256(x, x, 1));
    return _mm256_mullo_epi16(x, _mm256_set1_epi16((short)-kern_code_offset(type)));
}

// The same for a single token: to[i] is of groups 2i and 2i+1 of the piece.
KERN_INLINE void kern_put_bias_avx2(int type, __m256i q, int32_t to[4])
{
    __m256i b = kern_bias_avx2(type, q);
    to[0] = _mm256_extract_epi32(b, 0);
    to[1] = _mm256_extract_epi32(b, 2);
    to[2] = _mm256_extract_epi32(b, 4);
    to[3] = _mm256_extract_epi32(b, 6);
}

// The first 4 bytes to all lanes.
KERN_INLINE __m256i kern_first32(__m256i x)
{
    return _mm256_broadcastd_epi32(_mm256_castsi256_si128(x));
}

// Brings columns [c, c + columns) of tokens [t0, t0 + tokens) together.
KERN_INLINE void kern_gather_acts(int type, const kern_act *a, int t0, int tokens, int c, int columns,
                                  kern_avx2_acts *out)
{
    for (int t = 0; t < tokens; t += KERN_AVX2_TILE)
        for (int s = 0; s < columns / 32; s++) {
            __m256i x[KERN_AVX2_TILE];
            int8_t *to = out->q[t / KERN_AVX2_TILE][s];
            KERN_UNROLL
            for (int i = 0; i < KERN_AVX2_TILE; i++) {
                size_t row = (size_t)(t0 + MIN(t + i, tokens - 1));
                x[i] = kern_load256(a->q + row * a->ldq + (size_t)(c + 32 * s));
                if (kern_has_bias(type)) {
                    int32_t b[4];
                    kern_put_bias_avx2(type, x[i], b);
                    for (int j = 0; j < 4; j++)
                        memcpy(out->bias[t / KERN_AVX2_TILE][4 * s + j][i], &b[j], 4);
                }
            }
            __m256i ab = _mm256_unpacklo_epi32(x[0], x[1]), cd = _mm256_unpacklo_epi32(x[2], x[3]);
            __m256i ef = _mm256_unpackhi_epi32(x[0], x[1]), gh = _mm256_unpackhi_epi32(x[2], x[3]);
            _mm256_store_si256((void *)to, _mm256_unpacklo_epi64(ab, cd));
            _mm256_store_si256((void *)(to + 32), _mm256_unpackhi_epi64(ab, cd));
            _mm256_store_si256((void *)(to + 64), _mm256_unpacklo_epi64(ef, gh));
            _mm256_store_si256((void *)(to + 96), _mm256_unpackhi_epi64(ef, gh));
        }
}

// Unpacks 32 columns to [8 groups][64].
KERN_INLINE void kern_flatten(int type, const uint8_t *p, int s, uint8_t *out)
{
    KERN_UNROLL
    for (int g = 0; g < 8; g++)
        KERN_UNROLL
    for (int h = 0; h < 2; h++)
        _mm256_store_si256((void *)(out + 64 * g + 32 * h), kern_codes_avx2(type, p, s, g, h));
}

// dot[t][h] += 32 columns of unpacked codes times activations; sub-block i of the piece counts by[i]. `bias` is that of the
// piece. Both halves of the rows together, so that spreading an activation serves two products.
KERN_INLINE void kern_dot_flat(int type, const uint8_t *codes, const int8_t *q,
                               const int16_t (*bias)[KERN_AVX2_TILE][2], const __m256i (*by)[2],
                               __m256i (*dot)[2])
{
    const int groups = kern_span_groups(type), sub = kern_sub_columns(type) / 4;
    __m256i part[KERN_AVX2_TILE][2];
    KERN_UNROLL
    for (int g = 0; g < 8; g++) {
        __m256i u[2] = {kern_load256(codes + 64 * g), kern_load256(codes + 64 * g + 32)};
        KERN_UNROLL
        for (int t = 0; t < KERN_AVX2_TILE; t++) {
            __m256i x = kern_spread32(q + 32 * (g % 4) + 16 * (g / 4) + 4 * t);
            __m256i start = kern_has_bias(type) && g % groups == 0 ? kern_spread32(bias[g / 2][t])
                                                                   : _mm256_setzero_si256();
            KERN_UNROLL
            for (int h = 0; h < 2; h++) {
                __m256i z = _mm256_maddubs_epi16(u[h], x);
                if (kern_has_bias(type) && g % groups == 0)
                    part[t][h] = _mm256_add_epi16(start, z);
                else
                    part[t][h] = g % groups == 0 ? z : _mm256_add_epi16(part[t][h], z);
                KERN_PIN(part[t][h]);
                if ((g + 1) % groups == 0)
                    dot[t][h] = _mm256_add_epi32(dot[t][h], _mm256_madd_epi16(part[t][h], by[g / sub][h]));
            }
        }
    }
}

// How many of `left` tokens go together next, where a few do: none alone that need not.
static inline int kern_few_tokens(int left)
{
    return left <= KERN_AVX2_TILE ? left : left == KERN_AVX2_TILE + 1 ? left - 2 : KERN_AVX2_TILE;
}

// Writes up to 16 sums of one token into y, of a panel that has `rows` rows.
KERN_INLINE void kern_store_panel(float *y, int rows, __m256 a, __m256 b)
{
    if (rows >= KERN_PANEL) {
        _mm256_storeu_ps(y, a);
        _mm256_storeu_ps(y + 8, b);
        return;
    }
    float line[KERN_PANEL];
    _mm256_storeu_ps(line, a);
    _mm256_storeu_ps(line + 8, b);
    memcpy(y, line, (size_t)rows * sizeof(float));
}

KERN_INLINE void kern_store_panels(const kern_weight *w, int panel, int panels, int tokens,
                                   const float (*sums)[KERN_AVX2_BATCH][KERN_PANEL], float *y, size_t ldy)
{
    for (int i = 0; i < panels; i++)
        for (int t = 0; t < tokens; t++)
            kern_store_panel(y + (size_t)t * ldy + i * KERN_PANEL, w->n - (panel + i) * KERN_PANEL,
                             _mm256_load_ps(sums[i][t]), _mm256_load_ps(sums[i][t] + 8));
}

// The product of a type in terms of the file's panels_many, panel_few, panels_alone and few_most.
#define KERN_AVX2_MATMUL(name, type)                                                                   \
    static void matmul_##name(const kern_weight *w, const kern_act *a, int t0, int t1, int p0, int p1, \
                              float *y, size_t ldy)                                                    \
    {                                                                                                  \
        for (int t = t0; t < t1; t += KERN_AVX2_BATCH) {                                               \
            const int end = MIN(t1, t + KERN_AVX2_BATCH), over = (end - t) % KERN_AVX2_TILE;           \
            const int from = end - t <= few_most(type) ? t : over <= 2 ? end - over : end;             \
            for (int p = p0; !kern_signed_avx2(type) && from > t && p < p1; p += KERN_AVX2_PANELS)     \
                panels_many(type, w, a, p, MIN(p1 - p, KERN_AVX2_PANELS), t, from - t,                 \
                            y + (size_t)t * ldy + (size_t)p * KERN_PANEL, ldy);                        \
            for (int p = p0; end - from > 1 && p < p1; p++)                                            \
                for (int i = from, n; i < end; i += n) {                                               \
                    n = kern_few_tokens(end - i);                                                      \
                    panel_few(type, n, w, a, p, i, y + (size_t)i * ldy + (size_t)p * KERN_PANEL, ldy); \
                }                                                                                      \
            const int apart = (p1 - p0) / KERN_AVX2_STREAMS, rest = (p1 - p0) % KERN_AVX2_STREAMS;     \
            for (int j = 0; end - from == 1 && j < apart + rest; j++) {                                \
                const int p = j < apart ? p0 + j : p1 - rest + j - apart;                              \
                panels_alone(type, w, a, p, j < apart ? KERN_AVX2_STREAMS : 1, apart, from,            \
                             y + (size_t)from * ldy + (size_t)p * KERN_PANEL);                         \
            }                                                                                          \
        }                                                                                              \
    }

#endif
