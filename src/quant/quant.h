// The door of the quant room: GGML block formats in plain C. Sizes, decoding of every type, encoding of those
// that tools and tests need. This is the reference that the kernels are tested against.
#ifndef QUANT_QUANT_H
#define QUANT_QUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The numbers are those GGUF files carry.
// clang-format off
enum quant_type {
    QT_F32 = 0, QT_F16 = 1, QT_Q4_0 = 2, QT_Q4_1 = 3, QT_Q5_0 = 6, QT_Q5_1 = 7, QT_Q8_0 = 8, QT_Q8_1 = 9,
    QT_Q2_K = 10, QT_Q3_K = 11, QT_Q4_K = 12, QT_Q5_K = 13, QT_Q6_K = 14, QT_Q8_K = 15, QT_IQ2_XXS = 16,
    QT_IQ2_XS = 17, QT_IQ3_XXS = 18, QT_IQ1_S = 19, QT_IQ4_NL = 20, QT_IQ3_S = 21, QT_IQ2_S = 22,
    QT_IQ4_XS = 23, QT_I8 = 24, QT_I16 = 25, QT_I32 = 26, QT_I64 = 27, QT_F64 = 28, QT_IQ1_M = 29,
    QT_BF16 = 30, QT_TQ1_0 = 34, QT_TQ2_0 = 35, QT_MXFP4 = 39,
    QT_COUNT = 40  // one past the largest known number; holes have no info
};
// clang-format on

// Decodes n values (a multiple of block_elems) of one row.
typedef void quant_decode_fn(const void *src, float *dst, size_t n);
// Encodes n values (a multiple of block_elems) of one row; NULL where irori has no encoder.
typedef void quant_encode_fn(const float *src, void *dst, size_t n);
// The same with importance[i] >= 0, finite: how much an error in column i counts beside the others. NULL: all alike, which
// is what `encode` does. NULL for types in which there is nothing to weigh, for which `encode` is all there is.
typedef void quant_fit_fn(const float *src, void *dst, size_t n, const float *importance);

// One super-block of 256 values in integers: value i = d * factor * scale[i / 16] * level[i], without rounding.
typedef struct quant_levels {
    uint16_t d;        // F16, as the file has it
    int8_t scale[16];  // 1..31, odd
    int8_t level[256];
} quant_levels;
typedef void quant_levels_fn(const void *block, quant_levels *out);

typedef struct quant_info {
    const char *name;      // "Q4_K", as files and people call it
    uint32_t block_elems;  // values a block
    uint32_t block_bytes;
    quant_decode_fn *decode;
    quant_encode_fn *encode;
    quant_fit_fn *fit;
    quant_levels_fn *levels;  // of types with a codebook (IQ1, IQ2, IQ3) or three values (TQ); else NULL
    float factor;             // of quant_levels
} quant_info;

// NULL for a number that is no known type.
const quant_info *quant_type_info(int type);
// By name, case-insensitive ("q4_k"); -1 when unknown.
int quant_type_from_name(const char *name);
// Bytes of n values in one row; 0 when n is no multiple of the block or the type is unknown.
size_t quant_row_bytes(int type, uint64_t n);

// Single values. F16 and BF16 round to nearest even; infinities and NaN survive.
float quant_f16_to_f32(uint16_t h);
uint16_t quant_f32_to_f16(float f);
float quant_bf16_to_f32(uint16_t h);
uint16_t quant_f32_to_bf16(float f);

#endif
