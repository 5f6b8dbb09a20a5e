// The older formats: blocks of 32 values with one scale (x = d * q), those ending in 1 also with a smallest
// value (x = d * q + m). Four-bit codes pair value i (low half of byte i) with value i + 16 (high half); the
// fifth bits of Q5 follow one after another in a 32-bit word.
#include "quant/blocks.h"

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

// Codes 0..2*mid-1 around mid; the extreme value sits exactly on code 0, the side with one code more.
static void encode_centered(const float *x, uint8_t *scale, int mid, uint8_t q[QUANT_SMALL])
{
    float d = quant_store_scale(scale, quant_extreme(x, QUANT_SMALL) / (float)-mid), inv = quant_inverse(d);
    for (int i = 0; i < QUANT_SMALL; i++)
        q[i] = (uint8_t)(quant_round(x[i] * inv, -mid, mid - 1) + mid);
}

// Codes 0..top from the block's smallest value up.
static void encode_affine(const float *x, uint8_t *scale, uint8_t *smallest, int top, uint8_t q[QUANT_SMALL])
{
    float lo = x[0], hi = x[0];
    for (int i = 1; i < QUANT_SMALL; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    float m = quant_store_scale(smallest, lo);
    float inv = quant_inverse(quant_store_scale(scale, (hi - lo) / (float)top));
    for (int i = 0; i < QUANT_SMALL; i++)
        q[i] = (uint8_t)quant_round((x[i] - m) * inv, 0, top);
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

void quant_legacy_q4_0_encode(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst, q[QUANT_SMALL];
    for (const float *end = src + n; src < end; src += QUANT_SMALL, b += 18) {
        encode_centered(src, b, 8, q);
        store_nibbles(q, b + 2);
    }
}

void quant_legacy_q4_1_encode(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst, q[QUANT_SMALL];
    for (const float *end = src + n; src < end; src += QUANT_SMALL, b += 20) {
        encode_affine(src, b, b + 2, 15, q);
        store_nibbles(q, b + 4);
    }
}

void quant_legacy_q5_0_encode(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst, q[QUANT_SMALL];
    for (const float *end = src + n; src < end; src += QUANT_SMALL, b += 22) {
        encode_centered(src, b, 16, q);
        store_fifth_bits(q, b + 2);
        store_nibbles(q, b + 6);
    }
}

void quant_legacy_q5_1_encode(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst, q[QUANT_SMALL];
    for (const float *end = src + n; src < end; src += QUANT_SMALL, b += 24) {
        encode_affine(src, b, b + 2, 31, q);
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
