// Packed weights: rows of GGUF blocks woven into panels of 16 rows, byte for byte the same size but for the codebook
// types, which are rewritten first (recode.c). The one idea:
// four neighbouring columns of a row stay together (a "lane" of 32 bits), and the 16 rows' lanes stand side by
// side, so that one load gives a dot-product instruction the same four columns of every row of the panel.
//
// Drawn below, per packed block: [16] is one entry a row; "vector" is 64 bytes, byte r*4+j being row r,
// column 4g+j; "mask" is 64 bits, bit r*4+j likewise. Numbers are little-endian.
//
//   Q4_0    f16 d[16] | 4 vectors: vector v = low nibble column 4v+j, high nibble column 16+4v+j
//   Q4_1    f16 d[16] | f16 m[16] | 4 vectors, the same
//   Q5_0    f16 d[16] | 8 masks: mask g = fifth bits of columns 4g+j | 4 vectors of nibbles
//   Q5_1    f16 d[16] | f16 m[16] | 8 masks | 4 vectors
//   Q8_0    f16 d[16] | 8 vectors of q xor 0x80, which is q + 128
//   IQ4_NL  as Q4_0;  MXFP4  u8 e[16] | 4 vectors
//   Q4_K    f16 d[16] | f16 dmin[16] | 12 scale bytes u8[12][16] | per 64 columns 8 vectors: vector g of chunk c
//           = low nibble column 64c+4g+j, high nibble column 64c+32+4g+j
//   Q5_K    f16 d[16] | f16 dmin[16] | u8[12][16] | 64 masks: mask 8s+g = fifth bits of columns 32s+4g+j
//           | nibbles as Q4_K
//   Q6_K    f16 d[16] | i8 scale[16 subs][16] | ql: per 128 columns 16 vectors | qh: per 128 columns 8 vectors.
//           Column 128h+32p+4i+j: low bits in ql vector 16h + 8(p%2) + i, its low nibble for p < 2, else its high;
//           high bits in qh vector 8h+i, bits 2p and 2p+1
//   Q3_K    f16 d[16] | u8[12][16] scales | 64 masks as Q5_K (third bits) | qs: per 128 columns 8 vectors,
//           column 128h+32p+4i+j in vector 8h+i, bits 2p and 2p+1
//   Q2_K    f16 d[16] | f16 dmin[16] | u8 scale and min nibbles [16 subs][16] | qs as Q3_K
//   IQ4_XS  f16 d[16] | u16 scales_h[16] | u8 scales_l[4][16] | per 32 columns 4 vectors as Q4_0
//   IQ3_XXS, IQ3_S  as IQ4_XS;  IQ2_*, IQ1_*  as Q3_K;  TQ*  as Q2_K
//   F32 F16 BF16   [k][16] values
#include <string.h>

#include "kern/recode.h"
#include "kern/types.h"

const int8_t kern_iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
const int8_t kern_mxfp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// One panel block being woven: where each row's GGUF block lies, and where the next packed byte goes.
typedef struct weaver {
    const uint8_t *row[KERN_PANEL];
    uint8_t *out;
} weaver;

// `count` vectors (or lines of f16, or of bytes) from byte `at` of each row's block: `unit` bytes a row each.
static void weave(weaver *w, int at, int count, int unit)
{
    for (int i = 0; i < count; i++)
        for (int r = 0; r < KERN_PANEL; r++, w->out += unit)
            memcpy(w->out, w->row[r] + at + i * unit, (size_t)unit);
}

static void weave_f16(weaver *w, int at)
{
    weave(w, at, 1, 2);
}

static void weave_vectors(weaver *w, int at, int count)
{
    weave(w, at, count, KERN_GROUP);
}

// Bit `s` of bytes 4g..4g+3 at `at`, as four neighbouring bits: the product moves bit 8j to bit 28+j.
static uint64_t four_bits(const uint8_t *p, int s)
{
    uint32_t x;
    memcpy(&x, p, 4);
    return (x >> s & 0x01010101u) * 0x10204080u >> 28;
}

// Bit s of the 32 bytes at `at` (Q5_K, Q3_K: byte l holds bit s of column 32s+l) for s = 0..7.
static void weave_byte_masks(weaver *w, int at)
{
    for (int s = 0; s < 8; s++)
        for (int g = 0; g < 8; g++, w->out += 8) {
            uint64_t mask = 0;
            for (int r = 0; r < KERN_PANEL; r++)
                mask |= four_bits(w->row[r] + at + 4 * g, s) << 4 * r;
            memcpy(w->out, &mask, 8);
        }
}

// Q5_0, Q5_1: one 32-bit word at `at`, bit c for column c.
static void weave_word_masks(weaver *w, int at)
{
    for (int g = 0; g < 8; g++, w->out += 8) {
        uint64_t mask = 0;
        for (int r = 0; r < KERN_PANEL; r++)
            mask |= (uint64_t)(w->row[r][at + g / 2] >> 4 * (g % 2) & 15) << 4 * r;
        memcpy(w->out, &mask, 8);
    }
}

static void weave_q8_0(weaver *w)
{
    weave_f16(w, 0);
    uint8_t *codes = w->out;
    weave_vectors(w, 2, 8);
    for (int i = 0; i < 8 * 64; i++)
        codes[i] ^= 0x80;
}

static void weave_b32(int type, weaver *w)
{
    switch (type) {
    case QT_Q4_0:
    case QT_IQ4_NL:
        weave_f16(w, 0);
        weave_vectors(w, 2, 4);
        break;
    case QT_Q4_1:
        weave_f16(w, 0);
        weave_f16(w, 2);
        weave_vectors(w, 4, 4);
        break;
    case QT_Q5_0:
        weave_f16(w, 0);
        weave_word_masks(w, 2);
        weave_vectors(w, 6, 4);
        break;
    case QT_Q5_1:
        weave_f16(w, 0);
        weave_f16(w, 2);
        weave_word_masks(w, 4);
        weave_vectors(w, 8, 4);
        break;
    case QT_MXFP4:
        weave(w, 0, 1, 1);
        weave_vectors(w, 1, 4);
        break;
    default: weave_q8_0(w); break;
    }
}

static void weave_b256(int type, weaver *w)
{
    switch (type) {
    case QT_Q2_K:  // scales[16] qs[64] d dmin
        weave_f16(w, 80);
        weave_f16(w, 82);
        weave(w, 0, 16, 1);
        weave_vectors(w, 16, 16);
        break;
    case QT_Q3_K:  // hmask[32] qs[64] scales[12] d
        weave_f16(w, 108);
        weave(w, 96, 12, 1);
        weave_byte_masks(w, 0);
        weave_vectors(w, 32, 16);
        break;
    case QT_Q4_K:  // d dmin scales[12] qs[128]
        weave_f16(w, 0);
        weave_f16(w, 2);
        weave(w, 4, 12, 1);
        weave_vectors(w, 16, 32);
        break;
    case QT_Q5_K:  // d dmin scales[12] qh[32] qs[128]
        weave_f16(w, 0);
        weave_f16(w, 2);
        weave(w, 4, 12, 1);
        weave_byte_masks(w, 16);
        weave_vectors(w, 48, 32);
        break;
    case QT_Q6_K:  // ql[128] qh[64] scales[16] d
        weave_f16(w, 208);
        weave(w, 192, 16, 1);
        weave_vectors(w, 0, 32);
        weave_vectors(w, 128, 16);
        break;
    default:  // IQ4_XS: d scales_h scales_l[4] qs[128]
        weave_f16(w, 0);
        weave_f16(w, 2);
        weave(w, 4, 4, 1);
        weave_vectors(w, 8, 32);
        break;
    }
}

// Panel of values as they are: dst[column][16].
static void pack_values(const uint8_t *const row[KERN_PANEL], int k, size_t size, uint8_t *dst)
{
    for (int c = 0; c < k; c++)
        for (int r = 0; r < KERN_PANEL; r++, dst += size)
            if (row[r])
                memcpy(dst, row[r] + (size_t)c * size, size);
            else
                memset(dst, 0, size);
}

static size_t packed_row_bytes(int type, int k)
{
    if (!kern_recodes(type))
        return quant_row_bytes(type, (uint64_t)k);
    return (size_t)(k / KERN_SUPER) * (size_t)kern_packed_block_bytes(kern_packed_type(type)) / KERN_PANEL;
}

size_t kern_packed_bytes(int type, int n, int k)
{
    if (kern_family_of(type) == KERN_DECODE)
        return 0;
    size_t panels = ((size_t)n + KERN_PANEL - 1) / KERN_PANEL;
    return panels * KERN_PANEL * packed_row_bytes(type, k);
}

static void pack_panel(int type, int k, const uint8_t *const row[KERN_PANEL], uint8_t *dst)
{
    enum { LONGEST = 256 };  // longer than any block
    static const uint8_t zeros[LONGEST];
    uint8_t recoded[KERN_PANEL][LONGEST];
    const quant_info *info = quant_type_info(type);
    const enum kern_family family = kern_family_of(type);
    const bool recodes = kern_recodes(type);
    if (family == KERN_FLOAT) {
        pack_values(row, k, info->block_bytes, dst);
        return;
    }
    int blocks = k / (int)info->block_elems;
    size_t packed = packed_row_bytes(type, (int)info->block_elems);
    for (int b = 0; b < blocks; b++) {
        weaver w = {.out = dst + (size_t)b * packed * KERN_PANEL};
        for (int r = 0; r < KERN_PANEL; r++) {
            w.row[r] = row[r] ? row[r] + (size_t)b * info->block_bytes : zeros;
            if (row[r] && recodes) {
                kern_recode(type, w.row[r], recoded[r]);
                w.row[r] = recoded[r];
            }
        }
        if (family == KERN_B32)
            weave_b32(type, &w);
        else
            weave_b256(kern_layout(kern_packed_type(type)), &w);
    }
}

void kern_pack(int type, int n, int k, const void *src, void *dst, int row0, int row1)
{
    size_t row_bytes = quant_row_bytes(type, (uint64_t)k), packed = packed_row_bytes(type, k);
    for (int p = row0; p < row1; p += KERN_PANEL) {
        const uint8_t *row[KERN_PANEL];
        for (int r = 0; r < KERN_PANEL; r++)
            row[r] = p + r < n ? (const uint8_t *)src + (size_t)(p + r) * row_bytes : NULL;
        pack_panel(type, k, row, (uint8_t *)dst + (size_t)p * packed);
    }
}
