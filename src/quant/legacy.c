// The older formats: blocks of 32 values with one scale (x = d * q), those ending in 1 also with a smallest
// value (x = d * q + m). Four-bit codes pair value i (low half of byte i) with value i + 16 (high half); the
// fifth bits of Q5 follow one after another in a 32-bit word.
#include "quant/fit.h"

enum { HALF = QUANT_SMALL / 2 };

void quant_legacy_q4_0_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SMALL, b += 18) {
        float d = quant_load_f16(b);
        for (int i = 0; i < HALF; i++) {
            dst[i] = d * (float)((b[2 + i] & 15) - 8);
            dst[i + HALF] = d * (float)((b[2 + i] >> 4) - 8);
        }
    }
}

void quant_legacy_q4_1_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SMALL, b += 20) {
        float d = quant_load_f16(b), m = quant_load_f16(b + 2);
        for (int i = 0; i < HALF; i++) {
            dst[i] = d * (float)(b[4 + i] & 15) + m;
            dst[i + HALF] = d * (float)(b[4 + i] >> 4) + m;
        }
    }
}

void quant_legacy_q5_0_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SMALL, b += 22) {
        float d = quant_load_f16(b);
        uint32_t fifth = quant_load_u32(b + 2);
        for (int i = 0; i < HALF; i++) {
            int lo = (b[6 + i] & 15) | (int)(fifth >> i & 1) << 4;
            int hi = (b[6 + i] >> 4) | (int)(fifth >> (i + HALF) & 1) << 4;
            dst[i] = d * (float)(lo - 16);
            dst[i + HALF] = d * (float)(hi - 16);
        }
    }
}

void quant_legacy_q5_1_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SMALL, b += 24) {
        float d = quant_load_f16(b), m = quant_load_f16(b + 2);
        uint32_t fifth = quant_load_u32(b + 4);
        for (int i = 0; i < HALF; i++) {
            int lo = (b[8 + i] & 15) | (int)(fifth >> i & 1) << 4;
            int hi = (b[8 + i] >> 4) | (int)(fifth >> (i + HALF) & 1) << 4;
            dst[i] = d * (float)lo + m;
            dst[i + HALF] = d * (float)hi + m;
        }
    }
}

void quant_legacy_q8_0_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SMALL, b += 34) {
        float d = quant_load_f16(b);
        for (int i = 0; i < QUANT_SMALL; i++)
            dst[i] = d * (float)(int8_t)b[2 + i];
    }
}

// Q8_1 also carries d * (sum of the codes) as F16, for kernels; decoding does not need it.
void quant_legacy_q8_1_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SMALL, b += 36) {
        float d = quant_load_f16(b);
        for (int i = 0; i < QUANT_SMALL; i++)
            dst[i] = d * (float)(int8_t)b[4 + i];
    }
}

// Encoders. The codes are rounded against the scale as stored, not as computed: that takes back the part of
// the scale's own rounding that the codes can express.

// The next block of a row: its importance goes along with it.
static void load(quant_fit_block *f, const float *src, const float **importance)
{
    quant_fit_load(f, src, *importance, QUANT_SMALL, QUANT_EVEN);
    if (*importance)
        *importance += QUANT_SMALL;
}

// Codes 0..2*mid-1 around mid.
static void encode_centered(const quant_fit_block *f, uint8_t *scale, int mid, uint8_t q[QUANT_SMALL])
{
    const quant_grid codes = {-mid, mid - 1, NULL};
    float d = quant_fit_store(f, scale, quant_fit_scale(&codes, f->x, f->w, QUANT_SMALL));
    for (int i = 0; i < QUANT_SMALL; i++)
        q[i] = (uint8_t)(quant_round(f->x[i] * quant_inverse(d), -mid, mid - 1) + mid);
}

// Codes 0..top from an offset up.
static void encode_affine(const quant_fit_block *f, uint8_t *scale, uint8_t *smallest, int top,
                          uint8_t q[QUANT_SMALL])
{
    quant_affine fit = quant_fit_affine(f->x, f->w, QUANT_SMALL, top, true);
    float m = quant_fit_store(f, smallest, -fit.offset);
    float inv = quant_inverse(quant_fit_store(f, scale, fit.scale));
    for (int i = 0; i < QUANT_SMALL; i++)
        q[i] = (uint8_t)quant_round((f->x[i] - m) * inv, 0, top);
}

static void store_nibbles(const uint8_t q[QUANT_SMALL], uint8_t *out)
{
    for (int i = 0; i < HALF; i++)
        out[i] = (uint8_t)((q[i] & 15) | (q[i + HALF] & 15) << 4);
}

static void store_fifth_bits(const uint8_t q[QUANT_SMALL], uint8_t *out)
{
    uint32_t bits = 0;
    for (int i = 0; i < QUANT_SMALL; i++)
        bits |= (uint32_t)(q[i] >> 4) << i;
    quant_store_u32(out, bits);
}

void quant_legacy_q4_0_fit(const float *src, void *dst, size_t n, const float *importance)
{
    uint8_t *b = dst, q[QUANT_SMALL];
    quant_fit_block f;
    for (const float *end = src + n; src < end; src += QUANT_SMALL, b += 18) {
        load(&f, src, &importance);
        encode_centered(&f, b, 8, q);
        store_nibbles(q, b + 2);
    }
}

void quant_legacy_q4_1_fit(const float *src, void *dst, size_t n, const float *importance)
{
    uint8_t *b = dst, q[QUANT_SMALL];
    quant_fit_block f;
    for (const float *end = src + n; src < end; src += QUANT_SMALL, b += 20) {
        load(&f, src, &importance);
        encode_affine(&f, b, b + 2, 15, q);
        store_nibbles(q, b + 4);
    }
}

void quant_legacy_q5_0_fit(const float *src, void *dst, size_t n, const float *importance)
{
    uint8_t *b = dst, q[QUANT_SMALL];
    quant_fit_block f;
    for (const float *end = src + n; src < end; src += QUANT_SMALL, b += 22) {
        load(&f, src, &importance);
        encode_centered(&f, b, 16, q);
        store_fifth_bits(q, b + 2);
        store_nibbles(q, b + 6);
    }
}

void quant_legacy_q5_1_fit(const float *src, void *dst, size_t n, const float *importance)
{
    uint8_t *b = dst, q[QUANT_SMALL];
    quant_fit_block f;
    for (const float *end = src + n; src < end; src += QUANT_SMALL, b += 24) {
        load(&f, src, &importance);
        encode_affine(&f, b, b + 2, 31, q);
        store_fifth_bits(q, b + 4);
        store_nibbles(q, b + 8);
    }
}

// Codes -127..127; gives the stored scale and the sum of the codes.
static float encode_bytes(const float *x, uint8_t *scale, uint8_t *codes, int *sum)
{
    float d = quant_store_scale(scale, fabsf(quant_extreme(x, QUANT_SMALL)) / 127), inv = quant_inverse(d);
    *sum = 0;
    for (int i = 0; i < QUANT_SMALL; i++) {
        int q = quant_round(x[i] * inv, -127, 127);
        codes[i] = (uint8_t)q;
        *sum += q;
    }
    return d;
}

void quant_legacy_q8_0_encode(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    int sum;
    for (const float *end = src + n; src < end; src += QUANT_SMALL, b += 34)
        encode_bytes(src, b, b + 2, &sum);
}

void quant_legacy_q8_1_encode(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    int sum;
    for (const float *end = src + n; src < end; src += QUANT_SMALL, b += 36) {
        float d = encode_bytes(src, b, b + 4, &sum);
        quant_store_scale(b + 2, d * (float)sum);
    }
}
