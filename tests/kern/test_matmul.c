// Matrix products: scalar C against double-precision sums over the decoded file, then every other instruction
// set against scalar C, bit for bit, on odd shapes, in any split of tokens and panels.
#include <math.h>
#include <string.h>

#include "fixture.h"
#include "kern/types.h"

enum { MOST_TOKENS = 33, CANARY = 0x7fc0dead };

typedef struct problem {
    weights w;
    acts a;
    guarded want, got;
    size_t ldy;
} problem;

static void fill_canary(guarded *g, size_t count)
{
    uint32_t *p = g->p;
    for (size_t i = 0; i < count; i++)
        p[i] = CANARY;
}

static problem problem_new(int type, int n, int k)
{
    problem p = {.w = weights_new(type, n, k), .ldy = (size_t)n + 3};
    p.a = acts_new(kern_get(KERN_SCALAR), p.w.w.family, MOST_TOKENS, k);
    p.want = guarded_new(MOST_TOKENS * p.ldy * sizeof(float), sizeof(float));
    p.got = guarded_new(MOST_TOKENS * p.ldy * sizeof(float), sizeof(float));
    fill_canary(&p.want, MOST_TOKENS * p.ldy);
    kern_get(KERN_SCALAR)
        ->matmul[p.w.w.type](&p.w.w, &p.a.a, 0, MOST_TOKENS, 0, (n + 15) / 16, p.want.p, p.ldy);
    return p;
}

static void problem_free(problem *p)
{
    weights_free(&p->w);
    acts_free(&p->a);
    guarded_free(&p->want);
    guarded_free(&p->got);
}

// What was written is `want` in tokens [t0, t1) and rows [r0, r1), nothing elsewhere.
static void check_written(const problem *p, int t0, int t1, int r0, int r1)
{
    const uint32_t *got = p->got.p, *want = p->want.p;
    for (int t = 0; t < MOST_TOKENS; t++)
        for (int r = 0; r < (int)p->ldy; r++) {
            size_t at = (size_t)t * p->ldy + (size_t)r;
            bool in = t >= t0 && t < t1 && r >= r0 && r < r1;
            if (got[at] == (in ? want[at] : CANARY))
                continue;
            float g, w;
            memcpy(&g, got + at, 4);
            memcpy(&w, want + at, 4);
            fail_msg("%s n=%d k=%d, tokens %d..%d, rows %d..%d: y[%d][%d] is %.9g (%08x), %s %.9g",
                     quant_type_info(p->w.w.type)->name, p->w.w.n, p->w.w.k, t0, t1, r0, r1, t, r, (double)g,
                     (unsigned)got[at], in ? "scalar says" : "not to be written; scalar", (double)w);
        }
}

static void run(const kern_table *t, problem *p, int t0, int t1, int p0, int p1)
{
    int n = p->w.w.n;
    fill_canary(&p->got, MOST_TOKENS * p->ldy);
    t->matmul[p->w.w.type](&p->w.w, &p->a.a, t0, t1, p0, p1, p->got.p, p->ldy);
    check_written(p, t0, t1, p0 * 16, p1 * 16 < n ? p1 * 16 : n);
}

// Every number of tokens up to 17 and some splits; scalar C meets only the splits.
static void compare_shape(const kern_table *t, int type, int n, int k)
{
    int panels = (n + 15) / 16;
    problem p = problem_new(type, n, k);
    for (int tokens = 1; tokens <= 17 && t->isa != KERN_SCALAR; tokens++)
        run(t, &p, 0, tokens, 0, panels);
    run(t, &p, 0, MOST_TOKENS, 0, panels);
    run(t, &p, MOST_TOKENS - 5, MOST_TOKENS, 0, panels);
    run(t, &p, 3, 4, panels - 1, panels);
    run(t, &p, 7, 30, 0, panels / 2);
    problem_free(&p);
}

static void compare_with_scalar(const kern_table *t)
{
    static const struct shape {
        int n, blocks;
    } shapes[] = {{1, 1}, {15, 2}, {16, 3}, {17, 7}, {33, 2}, {48, 1}, {70, 3}};
    for (int i = 0; i < test_type_count; i++)
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            int block = (int)quant_type_info(test_types[i])->block_elems;
            int k = block == 1 ? shapes[s].blocks * 37 - 20 : block * shapes[s].blocks;
            compare_shape(t, test_types[i], shapes[s].n, k);
        }
}

static void every_isa_equals_scalar(void **state)
{
    (void)state;
    for_each_isa(compare_with_scalar);
}

// The activation as the kernel sees it.
static double activation(const kern_act *a, int t, int c)
{
    if (a->kind == KERN_ACT_F32)
        return (double)a->x[(size_t)t * a->ldx + (size_t)c];
    int block = a->kind == KERN_ACT_Q8_32 ? 32 : 256;
    return (double)a->d[t * (a->k / block) + c / block] * a->q[(size_t)t * a->ldq + (size_t)c];
}

static void scalar_equals_doubles(void **state)
{
    (void)state;
    enum { N = 19, TOKENS = 3 };
    for (int i = 0; i < test_type_count; i++) {
        int type = test_types[i], block = (int)quant_type_info(type)->block_elems,
            k = block == 1 ? 300 : 3 * block;
        problem p = problem_new(type, N, k);
        float row[3 * 256];
        for (int r = 0; r < N; r++) {
            quant_type_info(type)->decode(
                (uint8_t *)p.w.gguf.p + (size_t)r * quant_row_bytes(type, (uint64_t)k), row, (size_t)k);
            for (int t = 0; t < TOKENS; t++) {
                double sum = 0.0, size = 0.0;
                for (int c = 0; c < k; c++) {
                    double term = (double)row[c] * activation(&p.a.a, t, c);
                    sum += term;
                    size += fabs(term);
                }
                // One rounding an addition at most, and a few for scale products and the decoded weight. A min
                // that cancels its codes makes the terms smaller than what was added: 16 covers it.
                double bound = (k + 8) * size * 0x1p-24 * 16.0 + 1e-30;
                assert_true(fabs(sum - (double)((float *)p.want.p)[(size_t)t * p.ldy + (size_t)r]) <= bound);
            }
        }
        problem_free(&p);
    }
}

// Codes and activations at their extremes: no intermediate sum may saturate or wrap.
static void extremes(const kern_table *t)
{
    for (int i = 0; i < test_type_count; i++) {
        int type = test_types[i], block = (int)quant_type_info(type)->block_elems,
            k = block == 1 ? 64 : 2 * block;
        if (kern_act_of(kern_family_of(type)) == KERN_ACT_F32)
            continue;
        for (int round = 0; round < 8; round++) {
            problem p = problem_new(type, 16, k);
            uint8_t *packed = p.w.packed.p;
            // Keep the f16 scales (MXFP4: exponents); all bits set, or clear, or alternating, in the rest.
            static const uint8_t fills[] = {0xff, 0x00, 0x80, 0x7f};
            const int as = p.w.w.type;
            size_t bytes = (size_t)kern_packed_block_bytes(as);
            size_t head = (size_t)(as == QT_MXFP4 ? 16 : kern_has_min(as) ? 64 : 32);
            for (int b = 0; b < k / block; b++)
                memset(packed + (size_t)b * bytes + head, fills[round % 4], bytes - head);
            int8_t *q = p.a.q.p;
            for (size_t c = 0; c < MOST_TOKENS * p.a.a.ldq; c++)
                q[c] = (int8_t)(round < 4 ? 127 : (c & 1) ? -127 : 127);
            int part = p.a.a.kind == KERN_ACT_Q8_32 ? 32 : 16;
            int16_t *sum = p.a.sum.p;
            for (int s = 0; s < MOST_TOKENS * (k / part); s++)
                sum[s] = (int16_t)(round < 4 ? 127 * part : 0);
            fill_canary(&p.want, MOST_TOKENS * p.ldy);
            kern_get(KERN_SCALAR)->matmul[as](&p.w.w, &p.a.a, 0, MOST_TOKENS, 0, 1, p.want.p, p.ldy);
            run(t, &p, 0, 1, 0, 1);
            run(t, &p, 0, MOST_TOKENS, 0, 1);
            problem_free(&p);
        }
    }
}

static void extremes_do_not_saturate(void **state)
{
    (void)state;
    for_each_isa(extremes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalar_equals_doubles),
        cmocka_unit_test(every_isa_equals_scalar),
        cmocka_unit_test(extremes_do_not_saturate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
