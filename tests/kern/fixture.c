// See fixture.h. Failures here are the test machine's, so they assert.
#include "fixture.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const int test_types[] = {QT_F32,   QT_F16,    QT_BF16,    QT_Q4_0,  QT_Q4_1,    QT_Q5_0,   QT_Q5_1,
                          QT_Q8_0,  QT_IQ4_NL, QT_MXFP4,   QT_Q2_K,  QT_Q3_K,    QT_Q4_K,   QT_Q5_K,
                          QT_Q6_K,  QT_IQ4_XS, QT_IQ3_XXS, QT_IQ3_S, QT_IQ2_XXS, QT_IQ2_XS, QT_IQ2_S,
                          QT_IQ1_S, QT_IQ1_M,  QT_TQ1_0,   QT_TQ2_0, QT_I8};
const int test_type_count = (int)(sizeof test_types / sizeof test_types[0]);

guarded guarded_new(size_t n, size_t align)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t used = (n + align - 1) / align * align;
    size_t body = (used + page - 1) / page * page;
    guarded g = {.mapped = body + page};
    g.base = mmap(NULL, g.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g.base != MAP_FAILED);
    assert_int_equal(mprotect((uint8_t *)g.base + body, page, PROT_NONE), 0);
    g.p = (uint8_t *)g.base + body - used;
    return g;
}

void guarded_free(guarded *g)
{
    if (g->base)
        munmap(g->base, g->mapped);
    *g = (guarded){0};
}

static uint32_t state = 2463534242u;

void rnd_seed(uint32_t seed)
{
    state = seed * 2654435761u | 1;
}

uint32_t rnd(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

float rnd_float(float magnitude)
{
    return ((float)(rnd() >> 8) / 8388608.0f - 1.0f) * magnitude;
}

int rnd_int(int below)
{
    return (int)((rnd() >> 4) % (uint32_t)below);
}

// Where a block keeps its f16 scale and min; -1 for none.
static const struct scale_at {
    int type, d, m;
} scales[] = {
    {QT_Q4_0, 0, -1},    {QT_Q4_1, 0, 2},     {QT_Q5_0, 0, -1},   {QT_Q5_1, 0, 2},    {QT_Q8_0, 0, -1},
    {QT_IQ4_NL, 0, -1},  {QT_Q2_K, 80, 82},   {QT_Q3_K, 108, -1}, {QT_Q4_K, 0, 2},    {QT_Q5_K, 0, 2},
    {QT_Q6_K, 208, -1},  {QT_IQ4_XS, 0, -1},  {QT_TQ2_0, 64, -1}, {QT_TQ1_0, 52, -1}, {QT_IQ3_S, 0, -1},
    {QT_IQ3_XXS, 0, -1}, {QT_IQ2_XXS, 0, -1}, {QT_IQ2_XS, 0, -1}, {QT_IQ2_S, 0, -1},  {QT_IQ1_S, 0, -1},
};

// Mostly of the size real files have; now and then zero, subnormal, large.
static uint16_t rnd_scale(void)
{
    switch (rnd_int(16)) {
    case 0: return 0;
    case 1: return (uint16_t)(rnd() & 0x3ff);
    case 2: return quant_f32_to_f16(rnd_float(8.0f));
    default: return quant_f32_to_f16(rnd_float(0.05f));
    }
}

static void mend_block(int type, uint8_t *block)
{
    if (type == QT_MXFP4)
        block[0] = (uint8_t)(rnd_int(16) ? 110 + rnd_int(30) : rnd_int(4));
    if (type == QT_IQ1_M) {  // a nibble in each of four words
        uint16_t d = rnd_scale();
        for (int w = 0; w < 4; w++)
            block[49 + 2 * w] = (uint8_t)((block[49 + 2 * w] & 15) | (d >> 4 * w & 15) << 4);
    }
    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++) {
        if (scales[i].type != type)
            continue;
        uint16_t d = rnd_scale(), m = rnd_scale();
        memcpy(block + scales[i].d, &d, 2);
        if (scales[i].m >= 0)
            memcpy(block + scales[i].m, &m, 2);
    }
}

static void rnd_values(int type, uint8_t *p, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float f = rnd_float(2.0f);
        uint16_t h = type == QT_F16 ? quant_f32_to_f16(f) : quant_f32_to_bf16(f);
        if (type == QT_F32)
            memcpy(p + 4 * i, &f, 4);
        else
            memcpy(p + 2 * i, &h, 2);
    }
}

weights weights_new(int type, int n, int k)
{
    const quant_info *info = quant_type_info(type);
    enum kern_family family = kern_family_of(type);
    size_t row = quant_row_bytes(type, (uint64_t)k), bytes = row * (size_t)n;
    weights w = {.type = type,
                 .w = {.type = type, .family = family, .n = n, .k = k, .panel_bytes = 16 * row}};
    assert_true(row > 0);
    w.gguf = guarded_new(bytes, 1);
    uint8_t *src = w.gguf.p;
    if (family == KERN_FLOAT) {
        rnd_values(type, src, (size_t)n * (size_t)k);
    } else {
        for (size_t i = 0; i < bytes; i++)
            src[i] = (uint8_t)(rnd() >> 11);
        for (size_t i = 0; i < bytes; i += info->block_bytes)
            mend_block(type, src + i);
    }
    w.w.data = src;
    size_t packed = kern_packed_bytes(type, n, k);
    if (family == KERN_DECODE || !info->levels)
        assert_int_equal(packed, family == KERN_DECODE ? 0 : (size_t)(n + 15) / 16 * 16 * row);
    if (packed) {
        w.w.type = kern_packed_type(type);
        w.w.panel_bytes = packed / ((size_t)(n + 15) / 16);
        w.packed = guarded_new(packed, 64);
        kern_pack(type, n, k, src, w.packed.p, 0, n);
        w.w.data = w.packed.p;
    }
    return w;
}

void weights_free(weights *w)
{
    guarded_free(&w->gguf);
    guarded_free(&w->packed);
}

acts acts_new(const kern_table *t, enum kern_family family, int tokens, int k)
{
    enum kern_act_kind kind = kern_act_of(family);
    size_t ldx = (size_t)k, ldq = ((size_t)k + 63) / 64 * 64, count = (size_t)tokens;
    acts a = {.a = {.kind = kind, .k = k, .ldx = ldx, .ldq = ldq}};
    a.x = guarded_new(count * ldx * sizeof(float), sizeof(float));
    float *x = a.x.p;
    for (size_t i = 0; i < count * ldx; i++)
        x[i] = rnd_float(rnd_int(8) ? 1.0f : 20.0f);
    a.a.x = x;
    if (kind == KERN_ACT_F32)
        return a;
    size_t block = kind == KERN_ACT_Q8_32 ? 32 : 256, part = kind == KERN_ACT_Q8_32 ? 32 : 16;
    size_t ds = (size_t)k / block, sums = (size_t)k / part;
    a.q = guarded_new(count * ldq, 1);
    a.d = guarded_new(count * ds * sizeof(float), sizeof(float));
    a.sum = guarded_new(count * sums * sizeof(int16_t), sizeof(int16_t));
    for (size_t i = 0; i < count; i++) {
        int8_t *q = (int8_t *)a.q.p + i * ldq;
        (block == 32 ? t->quantize_q8_32 : t->quantize_q8_256)(x + i * ldx, k, q, (float *)a.d.p + i * ds,
                                                               (int16_t *)a.sum.p + i * sums);
    }
    a.a.q = a.q.p;
    a.a.d = a.d.p;
    a.a.sum = a.sum.p;
    return a;
}

void acts_free(acts *a)
{
    guarded_free(&a->x);
    guarded_free(&a->q);
    guarded_free(&a->d);
    guarded_free(&a->sum);
}

void for_each_isa(void (*body)(const kern_table *t))
{
    for (int isa = 0; isa < KERN_ISA_COUNT; isa++) {
        const kern_table *t = kern_get_exactly(isa);
        if (!t)
            continue;
        print_message("    on %s\n", kern_isa_name(isa));
        body(t);
    }
}
