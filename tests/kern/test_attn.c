// Attention over pages: close to a softmax in doubles, and to the bit the same for a row alone and in company.
// Columns no row may see hold NaN, and every buffer ends at a guard page.
#include <math.h>
#include <string.h>

#include "fixture.h"

enum { PAGES = 3, MOST_HD = 512, ROWS = KERN_ATTN_ROWS };

typedef struct scene {
    int hd, rows;
    float softcap;
    bool window;
    guarded q, k[PAGES], v[PAGES];
    int visible[PAGES][ROWS], first[PAGES][ROWS];
} scene;

static uint16_t any_half(bool seen)
{
    return seen ? quant_f32_to_f16(rnd_float(2.0f)) : 0x7e00;
}

static void fill_page(scene *s, int page)
{
    int most = 0, least = KERN_PAGE;
    for (int r = 0; r < s->rows; r++) {
        int visible = rnd_int(4) == 0 ? KERN_PAGE : rnd_int(KERN_PAGE + 1);
        s->visible[page][r] = visible;
        s->first[page][r] = s->window && rnd_int(2) ? rnd_int(visible + 1) : 0;
        most = visible > most ? visible : most;
        least = s->first[page][r] < least ? s->first[page][r] : least;
    }
    uint16_t *k = s->k[page].p, *v = s->v[page].p;
    for (int t = 0; t < KERN_PAGE; t++)
        for (int i = 0; i < s->hd; i++) {
            bool seen = t >= least && t < most;
            k[i * KERN_PAGE + t] = any_half(seen);
            v[t * s->hd + i] = any_half(seen);
        }
}

static scene scene_new(int hd, int rows, float softcap, bool window)
{
    scene s = {.hd = hd, .rows = rows, .softcap = softcap, .window = window};
    s.q = guarded_new((size_t)(rows * hd) * sizeof(float), sizeof(float));
    float *q = s.q.p;
    for (int i = 0; i < rows * hd; i++)
        q[i] = rnd_float(3.0f / sqrtf((float)hd));
    for (int p = 0; p < PAGES; p++) {
        s.k[p] = guarded_new((size_t)(hd * KERN_PAGE) * 2, 2);
        s.v[p] = guarded_new((size_t)(hd * KERN_PAGE) * 2, 2);
        fill_page(&s, p);
    }
    return s;
}

static void scene_free(scene *s)
{
    guarded_free(&s->q);
    for (int p = 0; p < PAGES; p++) {
        guarded_free(&s->k[p]);
        guarded_free(&s->v[p]);
    }
}

typedef struct result {
    float m[ROWS], l[ROWS];
    float o[ROWS * MOST_HD];
} result;

// What the kernel wants beside query rows.
static guarded form_of(const kern_table *t, const float *q, int rows, int hd)
{
    guarded form = guarded_new((size_t)rows * kern_attn_form_floats(hd) * sizeof(float), 64);
    if (t->attn_form)
        t->attn_form(q, rows, hd, form.p);
    return form;
}

// Rows [r0, r1) of the scene through all pages.
static void play(const kern_table *t, const scene *s, int r0, int r1, result *out)
{
    int rows = r1 - r0;
    guarded o = guarded_new((size_t)(rows * s->hd) * sizeof(float), sizeof(float));
    guarded ml = guarded_new((size_t)(2 * rows) * sizeof(float), sizeof(float));
    float *m = ml.p, *l = m + rows;
    guarded form = form_of(t, (const float *)s->q.p + r0 * s->hd, rows, s->hd);
    memset(o.p, 0, (size_t)(rows * s->hd) * sizeof(float));
    for (int r = 0; r < rows; r++) {
        m[r] = -INFINITY;
        l[r] = 0.0f;
    }
    for (int p = 0; p < PAGES; p++) {
        kern_attn a = {.rows = rows,
                       .hd = s->hd,
                       .q = (float *)s->q.p + r0 * s->hd,
                       .form = form.p,
                       .k = s->k[p].p,
                       .v = s->v[p].p,
                       .visible = s->visible[p] + r0,
                       .first = s->window ? s->first[p] + r0 : NULL,
                       .softcap = s->softcap,
                       .m = m,
                       .l = l,
                       .o = o.p};
        t->attn_f16(&a);
    }
    memcpy(out->m + r0, m, (size_t)rows * sizeof(float));
    memcpy(out->l + r0, l, (size_t)rows * sizeof(float));
    memcpy(out->o + r0 * s->hd, o.p, (size_t)(rows * s->hd) * sizeof(float));
    guarded_free(&form);
    guarded_free(&o);
    guarded_free(&ml);
}

static double score(const scene *s, int row, int page, int t)
{
    double dot = 0.0;
    const uint16_t *k = s->k[page].p;
    for (int i = 0; i < s->hd; i++)
        dot += (double)((float *)s->q.p)[row * s->hd + i] * (double)quant_f16_to_f32(k[i * KERN_PAGE + t]);
    return s->softcap > 0.0f ? (double)s->softcap * tanh(dot / (double)s->softcap) : dot;
}

static void check_row(const kern_table *kern, const scene *s, int row, const result *got)
{
    double o[MOST_HD] = {0}, l = 0.0;
    for (int p = 0; p < PAGES; p++)
        for (int t = s->first[p][row]; t < s->visible[p][row]; t++) {
            double e = exp(score(s, row, p, t));
            const uint16_t *v = s->v[p].p;
            l += e;
            for (int i = 0; i < s->hd; i++)
                o[i] += e * (double)quant_f16_to_f32(v[t * s->hd + i]);
        }
    if (l == 0.0) {
        assert_true(got->l[row] == 0.0f && got->m[row] == -INFINITY);
        return;
    }
    // A score of some hundred is off by its own rounding in F32, and a weight by as much, relatively.
    double slack = 1e-5 + 4e-7 * fabs((double)got->m[row]);
    if (kern->isa == KERN_AMX)  // takes 16 bits of queries and weights
        slack *= 4;
    for (int i = 0; i < s->hd; i++)
        assert_true(fabs((double)got->o[row * s->hd + i] / (double)got->l[row] - o[i] / l) <= slack);
}

static void check_scene(const kern_table *t, const scene *s)
{
    static result together, apart;
    play(t, s, 0, s->rows, &together);
    for (int r = 0; r < s->rows; r++) {
        check_row(t, s, r, &together);
        play(t, s, r, r + 1, &apart);
    }
    assert_memory_equal(together.m, apart.m, (size_t)s->rows * sizeof(float));
    assert_memory_equal(together.l, apart.l, (size_t)s->rows * sizeof(float));
    assert_memory_equal(together.o, apart.o, (size_t)(s->rows * s->hd) * sizeof(float));
    for (int r = 0; r < s->rows; r += 3)
        play(t, s, r, r + 3 < s->rows ? r + 3 : s->rows, &apart);
    assert_memory_equal(together.o, apart.o, (size_t)(s->rows * s->hd) * sizeof(float));
}

static void attention(const kern_table *t)
{
    static const int heads[] = {16, 32, 48, 64, 80, 96, 128, 192, 256, 512};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        for (int rows = 1; rows <= ROWS; rows += heads[i] <= 64 ? 1 : 3) {
            scene s = scene_new(heads[i], rows, rows % 4 == 2 ? 5.0f : 0.0f, rows % 3 == 0);
            check_scene(t, &s);
            scene_free(&s);
        }
}

static void attention_is_a_softmax(void **state)
{
    (void)state;
    for_each_isa(attention);
}

// Scores far apart, and a state in which the page changes nothing.
static void hard_scores(const kern_table *t)
{
    scene s = scene_new(64, 4, 0.0f, false);
    for (int i = 0; i < 4 * 64; i++)
        ((float *)s.q.p)[i] *= 60.0f;
    check_scene(t, &s);
    result r, again;
    play(t, &s, 0, 4, &r);
    for (int p = 0; p < PAGES; p++)
        memset(s.visible[p], 0, sizeof s.visible[p]);
    guarded form = form_of(t, s.q.p, 4, 64);
    kern_attn a = {.rows = 4,
                   .hd = 64,
                   .q = s.q.p,
                   .form = form.p,
                   .k = s.k[0].p,
                   .v = s.v[0].p,
                   .visible = s.visible[0]};
    again = r;
    a.m = again.m;
    a.l = again.l;
    a.o = again.o;
    t->attn_f16(&a);
    assert_memory_equal(r.o, again.o, 4 * 64 * sizeof(float));
    assert_memory_equal(r.l, again.l, 4 * sizeof(float));
    guarded_free(&form);
    scene_free(&s);
}

static void attention_survives_hard_scores(void **state)
{
    (void)state;
    for_each_isa(hard_scores);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_is_a_softmax),
        cmocka_unit_test(attention_survives_hard_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
