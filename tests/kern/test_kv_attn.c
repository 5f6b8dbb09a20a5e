// Attention over pages with keys and values at any two levels: close to a softmax in doubles over the decoded page,
// to the bit the same for a row alone and in company, and to the bit what scalar C computes. Every plane ends at a
// guard page; planes that a level does not need are absent.
#include <math.h>
#include <string.h>

#include "fixture.h"

enum { PAGES = 2, MOST_HD = 512, ROWS = KERN_ATTN_ROWS, LEVELS = KERN_KV_Q2 + 1 };

typedef struct side {
    kern_kv kv;
    guarded f16, high, low, two, scales;
} side;

typedef struct scene {
    int hd, rows;
    float softcap;
    bool window;
    guarded q;
    side k[PAGES], v[PAGES];
    int visible[PAGES][ROWS], first[PAGES][ROWS];
} scene;

static side side_new(enum kern_kv_side which, int hd, enum kern_kv_level level)
{
    side s = {.kv = {.level = level, .terms = kern_kv_terms(which, hd)}};
    s.kv.outs = hd * KERN_PAGE / s.kv.terms;
    s.f16 = guarded_new((size_t)(hd * KERN_PAGE) * 2, 64);
    uint16_t *x = s.f16.p;
    static float values[MOST_HD * KERN_PAGE];
    for (int r = 0; r < s.kv.terms; r++) {
        float size = rnd_int(8) ? 2.0f : rnd_float(0.01f), offset = rnd_float(0.5f);
        for (int n = 0; n < s.kv.outs; n++)
            x[r * s.kv.outs + n] = quant_f32_to_f16(offset + rnd_float(size));
        kern_get_exactly(KERN_SCALAR)->f16_to_f32(x + r * s.kv.outs, s.kv.outs, values + r * s.kv.outs);
    }
    if (level == KERN_KV_F16) {
        s.kv.f16 = x;
        return s;
    }
    s.high = guarded_new(kern_kv_code_bytes(hd, 4), 64);
    s.low = guarded_new(kern_kv_code_bytes(hd, 4), 64);
    s.two = guarded_new(kern_kv_code_bytes(hd, 2), 64);
    s.scales = guarded_new(kern_kv_scale_bytes(which, hd), 64);
    assert_true(kern_get_exactly(KERN_SCALAR)
                    ->kv_encode(values, s.kv.terms, s.kv.outs, s.high.p, s.low.p, s.scales.p));
    kern_kv_narrow(s.high.p, s.kv.terms, s.kv.outs, s.two.p);
    s.kv.high = level == KERN_KV_Q2 ? NULL : s.high.p;
    s.kv.low = level == KERN_KV_Q8 ? s.low.p : NULL;
    s.kv.two = level == KERN_KV_Q2 ? s.two.p : NULL;
    s.kv.scales = s.scales.p;
    return s;
}

static void side_free(side *s)
{
    guarded_free(&s->f16);
    guarded_free(&s->high);
    guarded_free(&s->low);
    guarded_free(&s->two);
    guarded_free(&s->scales);
}

static scene scene_new(int hd, int rows, enum kern_kv_level k, enum kern_kv_level v, float softcap,
                       bool window)
{
    scene s = {.hd = hd, .rows = rows, .softcap = softcap, .window = window};
    s.q = guarded_new((size_t)(rows * hd) * sizeof(float), sizeof(float));
    float *q = s.q.p;
    for (int i = 0; i < rows * hd; i++)
        q[i] = rnd_float(3.0f / sqrtf((float)hd));
    for (int p = 0; p < PAGES; p++) {
        s.k[p] = side_new(KERN_KV_K, hd, k);
        s.v[p] = side_new(KERN_KV_V, hd, v);
        for (int r = 0; r < rows; r++) {
            int visible = rnd_int(2) == 0 ? KERN_PAGE : rnd_int(KERN_PAGE + 1);
            s.visible[p][r] = visible;
            s.first[p][r] = window && rnd_int(2) ? rnd_int(visible + 1) : 0;
        }
    }
    return s;
}

static void scene_free(scene *s)
{
    guarded_free(&s->q);
    for (int p = 0; p < PAGES; p++) {
        side_free(&s->k[p]);
        side_free(&s->v[p]);
    }
}

typedef struct result {
    float m[ROWS], l[ROWS];
    float o[ROWS * MOST_HD];
} result;

// Rows [r0, r1) of the scene through all pages.
static void play(const kern_table *t, const scene *s, int r0, int r1, result *out)
{
    int rows = r1 - r0;
    guarded o = guarded_new((size_t)(rows * s->hd) * sizeof(float), sizeof(float));
    guarded ml = guarded_new((size_t)(2 * rows) * sizeof(float), sizeof(float));
    float *m = ml.p, *l = m + rows;
    memset(o.p, 0, (size_t)(rows * s->hd) * sizeof(float));
    for (int r = 0; r < rows; r++) {
        m[r] = -INFINITY;
        l[r] = 0.0f;
    }
    for (int p = 0; p < PAGES; p++) {
        kern_attn a = {.rows = rows,
                       .hd = s->hd,
                       .q = (float *)s->q.p + r0 * s->hd,
                       .turned = (float *)s->q.p + r0 * s->hd,  // what the keys are is the test's to say
                       .kq = &s->k[p].kv,
                       .vq = &s->v[p].kv,
                       .visible = s->visible[p] + r0,
                       .first = s->window ? s->first[p] + r0 : NULL,
                       .softcap = s->softcap,
                       .m = m,
                       .l = l,
                       .o = o.p};
        t->attn_kv(&a);
    }
    memcpy(out->m + r0, m, (size_t)rows * sizeof(float));
    memcpy(out->l + r0, l, (size_t)rows * sizeof(float));
    memcpy(out->o + r0 * s->hd, o.p, (size_t)(rows * s->hd) * sizeof(float));
    guarded_free(&o);
    guarded_free(&ml);
}

static void assert_same(const scene *s, const result *a, const result *b)
{
    assert_memory_equal(a->m, b->m, (size_t)s->rows * sizeof(float));
    assert_memory_equal(a->l, b->l, (size_t)s->rows * sizeof(float));
    assert_memory_equal(a->o, b->o, (size_t)(s->rows * s->hd) * sizeof(float));
}

// All rows together, then in twos and threes and alone.
static void check_company(const kern_table *t, const scene *s, const result *want)
{
    static result got;
    for (int part = 1; part <= 3; part++) {
        for (int r = 0; r < s->rows; r += part)
            play(t, s, r, r + part < s->rows ? r + part : s->rows, &got);
        assert_same(s, want, &got);
    }
}

static void check_softmax(const scene *s, const result *got)
{
    static float k[PAGES][MOST_HD * KERN_PAGE], v[PAGES][MOST_HD * KERN_PAGE];
    for (int p = 0; p < PAGES; p++) {
        kern_kv_decode(&s->k[p].kv, k[p]);
        kern_kv_decode(&s->v[p].kv, v[p]);
    }
    for (int row = 0; row < s->rows; row++) {
        const float *q = (float *)s->q.p + row * s->hd;
        double o[MOST_HD] = {0}, l = 0.0;
        for (int p = 0; p < PAGES; p++)
            for (int t = s->first[p][row]; t < s->visible[p][row]; t++) {
                double dot = 0.0;
                for (int i = 0; i < s->hd; i++)
                    dot += (double)q[i] * (double)k[p][i * KERN_PAGE + t];
                double e = exp(s->softcap > 0.0f ? (double)s->softcap * tanh(dot / (double)s->softcap) : dot);
                l += e;
                for (int i = 0; i < s->hd; i++)
                    o[i] += e * (double)v[p][t * s->hd + i];
            }
        if (l == 0.0) {
            assert_true(got->l[row] == 0.0f && got->m[row] == -INFINITY);
            continue;
        }
        // A query of 15 bits against codes of 8: within some 1e-3 of a page of +-2.
        for (int i = 0; i < s->hd; i++)
            assert_true(fabs((double)got->o[row * s->hd + i] / (double)got->l[row] - o[i] / l) <= 2e-3);
    }
}

static const int heads[] = {16, 48, 64, 80, 96, 112, 128, 192, 256, 512};
enum { HEADS = sizeof heads / sizeof heads[0] };

static void each_level(void (*check)(const scene *s, int number))
{
    for (int i = 0, number = 0; i < HEADS; i++)
        for (int pair = 1; pair < LEVELS * LEVELS; pair++, number++) {
            int rows = number % 5 == 0 ? ROWS - number / 5 % 7 : 1 + rnd_int(12);
            scene s = scene_new(heads[i], rows, (enum kern_kv_level)(pair / LEVELS),
                                (enum kern_kv_level)(pair % LEVELS), number % 4 == 2 ? 5.0f : 0.0f,
                                number % 3 == 0);
            check(&s, number);
            scene_free(&s);
        }
}

static void scalar_is_right(const scene *s, int number)
{
    static result r;
    (void)number;
    play(kern_get_exactly(KERN_SCALAR), s, 0, s->rows < 9 ? s->rows : 9, &r);
    scene part = *s;
    part.rows = s->rows < 9 ? s->rows : 9;
    check_softmax(&part, &r);
}

static void scalar_attention_is_a_softmax(void **state)
{
    (void)state;
    rnd_seed(1);
    each_level(scalar_is_right);
}

static const kern_table *table;

static void table_is_scalar(const scene *s, int number)
{
    static result want, got;
    play(kern_get_exactly(KERN_SCALAR), s, 0, s->rows, &want);
    play(table, s, 0, s->rows, &got);
    assert_same(s, &want, &got);
    if (number % 3 == 0)
        check_company(table, s, &want);
}

static void compare(const kern_table *t)
{
    if (t->isa == KERN_SCALAR)
        return;
    table = t;
    rnd_seed(2);
    each_level(table_is_scalar);
}

static void every_isa_gives_the_same_bits(void **state)
{
    (void)state;
    for_each_isa(compare);
}

// Scores far apart, queries of nothing, and a page that no row sees.
static void hard_rows(const kern_table *t)
{
    static result want, got;
    rnd_seed(3);
    for (int pair = 1; pair < LEVELS * LEVELS; pair++) {
        scene s = scene_new(64, 5, (enum kern_kv_level)(pair / LEVELS), (enum kern_kv_level)(pair % LEVELS),
                            0.0f, false);
        float *q = s.q.p;
        for (int i = 0; i < 64; i++) {
            q[i] *= 500.0f;
            q[64 + i] *= -500.0f;
            q[128 + i] = 0.0f;
            q[192 + i] = 1e-42f;
        }
        memset(s.visible[1], 0, sizeof s.visible[1]);
        play(kern_get_exactly(KERN_SCALAR), &s, 0, 5, &want);
        play(t, &s, 0, 5, &got);
        assert_same(&s, &want, &got);
        for (int r = 0; r < 5; r++)
            assert_true(s.visible[0][r] == 0 || (got.l[r] >= 1.0f && got.l[r] <= 64.0f));
        scene_free(&s);
    }
}

static void attention_survives_hard_rows(void **state)
{
    (void)state;
    for_each_isa(hard_rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalar_attention_is_a_softmax),
        cmocka_unit_test(every_isa_gives_the_same_bits),
        cmocka_unit_test(attention_survives_hard_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
