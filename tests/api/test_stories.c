// A trained Llama against its own reference program: logits and 200 greedy tokens.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/stories.h"
#include "api/support.h"

enum { VOCAB = 512, TOKENS = 5, GREEDY = 200 };

static irori_model *model;

static int open_stories(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "/tmp/irori-stories-%d.gguf", (int)getpid());
    assert_true(stories_save(path));
    model = open_model(path, &(irori_model_options){.threads = 2, .no_pin = true});
    unlink(path);
    return 0;
}

static int close_stories(void **state)
{
    (void)state;
    irori_model_close(model);
    return 0;
}

static void the_prompt_is_tokenized_alike(void **state)
{
    (void)state;
    static const int32_t want[TOKENS] = {1, 403, 407, 261, 378};
    size_t count;
    int32_t *ids = tokens_of(model, "Once upon a time", 16, IRORI_TOKENIZE_BOS, &count);
    assert_int_equal(count, TOKENS);
    assert_memory_equal(ids, want, sizeof want);
    irori_free(ids);
}

static void logits_agree(void **state)
{
    (void)state;
    static const int32_t ids[TOKENS] = {1, 403, 407, 261, 378};
    size_t bytes;
    char *file = load_text("tests/data/stories260K/stories260K_logits_once_upon_a_time.f32", &bytes);
    assert_int_equal(bytes, sizeof(float) * TOKENS * VOCAB);
    const float *want = (const float *)(const void *)file;
    irori_session *s = open_session(model, NULL);
    double worst = 0;
    for (int t = 0; t < TOKENS; t++) {
        assert_int_equal(irori_session_add(s, &ids[t], 1, NULL), IRORI_OK);
        for (int i = 0; i < VOCAB; i++)
            worst = fmax(worst, fabs((double)irori_session_logits(s)[i] - (double)want[t * VOCAB + i]));
    }
    printf("largest difference of a logit: %g\n", worst);
    assert_true(worst < 1e-2);  // keys and values are kept as F16
    irori_session_free(s);
    free(file);
}

typedef struct text {
    char p[4096];
    size_t n;
} text;

static bool collect(void *ctx, int32_t id, const char *p, size_t n)
{
    text *t = ctx;
    (void)id;
    assert_true(t->n + n < sizeof t->p);
    memcpy(t->p + t->n, p, n);
    t->n += n;
    return true;
}

static void greedy_text_agrees(void **state)
{
    (void)state;
    size_t bytes;
    char *want = load_text("tests/data/stories260K/stories260K_greedy_n200.txt", &bytes);
    while (bytes && want[bytes - 1] == '\n')
        bytes--;
    irori_session *s = open_session(model, NULL);
    static const int32_t start = 1;
    text t = {.n = 0};
    irori_generation g;
    assert_int_equal(irori_session_add(s, &start, 1, NULL), IRORI_OK);
    assert_int_equal(irori_session_generate(s, GREEDY, collect, &t, &g, NULL), IRORI_OK);
    size_t skip = t.n && t.p[0] == ' ';  // the space SentencePiece begins a text with
    t.p[t.n] = 0;
    want[bytes] = 0;
    assert_string_equal(t.p + skip, want);
    irori_session_free(s);
    free(want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_prompt_is_tokenized_alike),
        cmocka_unit_test(logits_agree),
        cmocka_unit_test(greedy_text_agrees),
    };
    return cmocka_run_group_tests(tests, open_stories, close_stories);
}
