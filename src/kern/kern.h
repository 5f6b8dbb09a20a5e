// The door of the kern room: CPU kernels behind one table of function pointers.
//
// scalar fills the table; each instruction set overlays what it does better (scalar -> AVX2+FMA -> AVX-512 ->
// AMX, or scalar -> NEON). All of them read the same packed weights and the same quantized activations, and
// for quantized weights compute the same numbers bit for bit: dot products are exact integers, and the float
// steps that follow are the same in the same order, whatever the tile. So a prompt gives the same logits
// whether it comes in one batch or token by token, on one thread or many.
//
// Everything is validated before a kernel is called; kernels return void and touch no memory but what their
// contract names. "Row" below is an output row of a weight matrix; "token" a row of activations.
#ifndef KERN_KERN_H
#define KERN_KERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quant/quant.h"

// ---- Packed weights --------------------------------------------------------------------------------------
// A matrix of n rows x k columns is cut into panels of 16 rows. Inside a panel, columns come in groups of 4:
// one group is 64 bytes, byte r*4+j belonging to row r and column 4g+j, which is what one 512-bit VNNI
// register, two 256-bit ones, four NEON ones, or one row of an AMX tile take. A packed block of 16 rows has
// exactly 16 times the bytes of the GGUF block it comes from; pack.c draws each layout. Rows past n are zero. Types of
// codebooks (IQ1, IQ2, IQ3) and of three values (TQ) are packed with each value by itself, in 3.4, 4.25 (IQ3) and 2.6 (TQ)
// bits, and some of them alike: the panels' type is kern_packed_type.
enum { KERN_PANEL = 16, KERN_GROUP = 4, KERN_SUPER = 256 };

enum kern_family {
    KERN_FLOAT,   // F32 F16 BF16: [k][16] values as they are; activations in F32
    KERN_B32,     // blocks of 32 columns, float scale (and min): Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 IQ4_NL MXFP4
    KERN_B256,    // super-blocks of 256, integer sub-scales: Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_XS IQ1 IQ2 IQ3 TQ
    KERN_DECODE,  // everything else: GGUF rows kept as they are, decoded to F32 on the fly; F32 activations
};

enum kern_family kern_family_of(int quant_type);
int kern_packed_type(int quant_type);  // of the panels; for most types the type itself

typedef struct kern_weight {
    int type;  // enum quant_type; when packed, kern_packed_type
    enum kern_family family;
    int n, k;             // rows, columns; k a multiple of the type's block
    size_t panel_bytes;   // distance between panels (KERN_DECODE: 16 GGUF rows)
    const uint8_t *data;  // ceil(n/16) panels (KERN_DECODE: n GGUF rows), aligned to 64 when packed
} kern_weight;

// Bytes of the packed form; 0 for KERN_DECODE, which needs none.
size_t kern_packed_bytes(int type, int n, int k);
// Packs rows [row0, row1) (row0 a multiple of 16; row1 too, or n) of GGUF data `src` (whole matrix, row-major)
// into `dst` (whole packed matrix). Ranges may be packed by different threads at once.
void kern_pack(int type, int n, int k, const void *src, void *dst, int row0, int row1);

// ---- Activations -----------------------------------------------------------------------------------------
enum kern_act_kind {
    KERN_ACT_F32,
    KERN_ACT_Q8_32,   // a scale and a sum for every 32 values
    KERN_ACT_Q8_256,  // a scale for every 256 values, a sum for every 16
};

enum kern_act_kind kern_act_of(enum kern_family family);

// Tokens of k values each. Q8: value = d * q, q in -127..127, d = max|x| / 127 of its block.
typedef struct kern_act {
    enum kern_act_kind kind;
    int k;
    const float *x;      // KERN_ACT_F32: [tokens][ldx]
    const int8_t *q;     // Q8: [tokens][ldq], ldq a multiple of 64, so that tiles may read past k (zeros)
    const float *d;      // Q8: [tokens][k / 32 or k / 256]
    const int16_t *sum;  // Q8: [tokens][k / 32 or k / 16]: sums of q
    size_t ldx, ldq;
} kern_act;

// y[t][r] = sum_c w[r][c] * x[t][c] for tokens [t0, t1) and panels [p0, p1). y is [tokens][ldy] floats; columns
// of the last panel past n are not written.
typedef void kern_matmul_fn(const kern_weight *w, const kern_act *a, int t0, int t1, int p0, int p1, float *y,
                            size_t ldy);

// ---- KV pages in fewer bits --------------------------------------------------------------------------------
enum { KERN_PAGE = 64 };  // tokens a page

// One head of one side of a page is a matrix x[terms][outs] that attention multiplies a row vector with: K is
// [head size][64 keys], turned (below); V is [64 tokens][head size]. Every term (a channel of K, a token of V, as in KIVI, arXiv
// 2402.02750) has a minimum and a step, both F16, and every value an 8-bit code of one of 256 equal cells, whose
// middle it is taken for: x = min + step * (code + 1/2). The top 4 bits of the code are the code at Q4, the top 2 at
// Q2: wider cells of the same grid, of 16 and 64 steps. So a plane dropped makes a level coarser, and the same
// plane brought back restores it to the bit.
//
// Codes of terms 4g..4g+3 and outs 16b..16b+15 are a group: 64 bytes, byte 4n+j of term 4g+j and out 16b+n (see
// Packed weights). Planes hold lines of 64 bytes, line (i, b) at (i * outs / 16 + b) * 64:
//   high  the top 4 bits: groups 2i (low nibbles) and 2i+1 (high nibbles) of block b
//   low   the other 4 bits, the same
//   two   the top 2 bits: groups 4i..4i+3 in bit pairs, from the lowest
//   scales  F16 min[terms], then F16 step[terms]
enum kern_kv_side { KERN_KV_K, KERN_KV_V };
enum kern_kv_level { KERN_KV_F16, KERN_KV_Q8, KERN_KV_Q4, KERN_KV_Q2 };

typedef struct kern_kv {
    enum kern_kv_level level;
    int terms, outs;
    const uint16_t *f16;     // F16: [terms][outs]
    const uint8_t *high;     // Q8, Q4; each plane aligned to 64
    const uint8_t *low;      // Q8
    const uint8_t *two;      // Q2
    const uint16_t *scales;  // Q8, Q4, Q2
} kern_kv;

static inline int kern_kv_terms(enum kern_kv_side side, int hd)
{
    return side == KERN_KV_K ? hd : KERN_PAGE;
}
// Bytes of one head in a plane whose codes have `bits` bits: 4 for high and low, 2 for two.
static inline size_t kern_kv_code_bytes(int hd, int bits)
{
    return (size_t)hd * KERN_PAGE * (size_t)bits / 8;
}
static inline size_t kern_kv_scale_bytes(enum kern_kv_side side, int hd)
{
    return (size_t)kern_kv_terms(side, hd) * 2 * sizeof(uint16_t);
}

// x[terms][outs] -> high, scales and, unless NULL, low. False, with what was written worth nothing, when a value is
// infinite, no number, or below every F16. terms and outs are multiples of 16, at most 512. The bits are those of
// scalar C on every instruction set.
typedef bool kern_kv_encode_fn(const float *x, int terms, int outs, uint8_t *high, uint8_t *low,
                               uint16_t *scales);
// Before a key is encoded its channels are mixed by a Hadamard transform (of the largest power of two that divides the
// head size, block by block), and so is a query before it meets such keys: products stay what they were, and a channel of
// large values no longer spoils the grid of its page (QuaRot, arXiv 2404.00456). Factors are powers of two, so that only the
// additions round.
void kern_kv_turn_keys(float *x, int hd);                        // [hd][64], in place
void kern_kv_turn_query(const float *q, int hd, float *turned);  // [hd]
// high -> two.
void kern_kv_narrow(const uint8_t *high, int terms, int outs, uint8_t *two);
// What x[terms][outs] would lose: sums of squared errors at Q8, Q4 and Q2, and the sum of squares that they are measured
// against, of keys without the mean of each channel, which changes no weight. False as from kv_encode. The bits are those
// of scalar C on every instruction set.
typedef struct kern_kv_loss {
    float error[3], whole;
} kern_kv_loss;
typedef bool kern_kv_measure_fn(const float *x, enum kern_kv_side side, int terms, int outs,
                                kern_kv_loss *out);
// The values a head stands for, y[terms][outs], keys that are quantized turned: the reference for the kernels.
void kern_kv_decode(const kern_kv *x, float *y);

// ---- Attention over one page of KV -------------------------------------------------------------------------
// Most query rows a call: a multiple of the rows that AVX-512 takes at once.
enum { KERN_ATTN_ROWS = 64 };

// Floats a query row takes in the form that attn_form gives it.
static inline size_t kern_attn_form_floats(int hd)
{
    return ((size_t)hd + 31) / 32 * 32;
}

// Running state of the online softmax (Milakov & Gimelshein 2018) of one query row: o / l is the result.
// Starts as m = -INFINITY, l = 0, o = 0.
typedef struct kern_attn {
    int rows;           // 1..KERN_ATTN_ROWS query rows that share the KV head
    int hd;             // head size, a multiple of 16, at most 512
    const float *q;     // [rows][hd], already scaled by 1/sqrt(hd)
    const void *form;   // attn_f16: what attn_form made of q, where the table has one
    const uint16_t *k;  // attn_f16: [hd][64], column s is the key of token s of the page
    const uint16_t *v;  // attn_f16: [64][hd]; finite where any row sees it: rows that do not may add 0 x it
    const uint16_t *next;  // attn_f16: keys of the page that comes next, to be fetched meanwhile; or NULL
    const float *turned;   // attn_kv, where kq is quantized: [rows][hd], q by kern_kv_turn_query
    const kern_kv *kq;     // attn_kv: keys and values, each at a level of its own
    const kern_kv *vq;
    const kern_kv *next_kq;  // attn_kv: keys of the page that comes next, to be fetched meanwhile; or NULL
    const int *visible;  // [rows] keys of this page the row may see: 0..64 (a prefix of the page). Columns
                         // past it may hold anything.
    const int *first;    // [rows] first visible key (sliding window), or NULL for 0; a row with
                         // first >= visible sees nothing here and keeps its state
    float softcap;       // > 0: s = softcap * tanh(s / softcap)
    float *m, *l;        // [rows]
    float *o;            // [rows][hd]
} kern_attn;
typedef void kern_attn_fn(const kern_attn *a);

// ---- Gates -------------------------------------------------------------------------------------------------
enum kern_gate {
    KERN_SILU,       // x / (1 + e^-x)
    KERN_GELU,       // x * (1 + erf(x / sqrt 2)) / 2
    KERN_GELU_TANH,  // the same with erf by tanh (Hendrycks & Gimpel 2016)
    KERN_TANH,
    KERN_CLAMPED,  // gpt-oss: g / (1 + e^-1.702g), g = min(x, 7); its up becomes clamp(up, -7, 7) + 1
    KERN_GATES
};

// ---- The table ---------------------------------------------------------------------------------------------
enum kern_isa { KERN_SCALAR, KERN_AVX2, KERN_AVX512, KERN_AMX, KERN_NEON, KERN_ISA_COUNT };

typedef struct kern_table {
    enum kern_isa isa;  // the best overlay in it
    // By weight type, in its own family; never NULL for a type with quant_info.decode that is its own packed type.
    kern_matmul_fn *matmul[QT_COUNT];
    // Any weight of family KERN_DECODE, whatever its type: also one that could be packed and was not.
    kern_matmul_fn *matmul_decode;
    kern_attn_fn *attn_f16;
    // Query rows q[rows][hd] in the form that attn_f16 wants beside them: rows * kern_attn_form_floats(hd) floats,
    // aligned to 64. NULL: it wants none.
    void (*attn_form)(const float *q, int rows, int hd, void *form);
    // Where kq or vq is quantized. Rows get the same bits in any company and on every instruction set (kv.h).
    kern_attn_fn *attn_kv;
    kern_kv_encode_fn *kv_encode;
    kern_kv_measure_fn *kv_measure;
    // x[n] -> q[n], d, sum as in kern_act; n a multiple of 32 (or 256).
    void (*quantize_q8_32)(const float *x, int n, int8_t *q, float *d, int16_t *sum);
    void (*quantize_q8_256)(const float *x, int n, int8_t *q, float *d, int16_t *sum);
    // y = x / sqrt(mean(x^2) + eps) * w; y may be x; w NULL means ones.
    void (*rms_norm)(const float *x, const float *w, int n, float eps, float *y);
    // Rotates the first 2*half values: pairs (i, i+half) when neox, else (2i, 2i+1), by cos[i], sin[i].
    void (*rope)(float *x, const float *cos, const float *sin, int half, bool neox);
    // y = x - mean(x); y may be x. With rms_norm after it this is LayerNorm (Ba et al. 2016).
    void (*center)(const float *x, int n, float *y);
    // y[i] = f(gate[i]) * up[i]; up NULL means ones; y may be either input.
    void (*glu)(enum kern_gate f, const float *gate, const float *up, int n, float *y);
    void (*softcap)(const float *x, int n, float cap, float *y);   // y = cap * tanh(x / cap); y may be x
    void (*add)(const float *a, const float *b, int n, float *y);  // y may be an input
    void (*f32_to_f16)(const float *x, int n, uint16_t *y);
    void (*f16_to_f32)(const uint16_t *x, int n, float *y);  // n a multiple of 8
    // Writes one token's K head into its column of a page: page[d * 64 + slot] = f16(x[d]).
    void (*put_k_f16)(const float *x, int hd, uint16_t *page, int slot);
} kern_table;

// The best this processor and its operating system offer, never above `most` (KERN_ISA_COUNT: no bound).
// The table is immutable and lives forever; safe from any thread.
const kern_table *kern_get(enum kern_isa most);
// One exact overlay stacked on those it builds on; NULL when this processor cannot run it (for tests and bench).
const kern_table *kern_get_exactly(enum kern_isa isa);
const char *kern_isa_name(enum kern_isa isa);  // "scalar", "avx2", "avx512", "amx", "neon"
int kern_isa_from_name(const char *name);      // -1 when unknown
// Processor features found, as in "avx2 fma avx512f avx512vnni amx-int8", for reports.
const char *kern_cpu_flags(void);

#endif
