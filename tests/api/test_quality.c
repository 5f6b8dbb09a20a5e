// What quantized weights and int8 activations cost: the demo model encoded anew, scored over a few windows.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/requant.h"
#include "api/support.h"

enum { WINDOW = 512, FEW = 2, MANY = 16 };

// Mean -log p of the second halves of the first windows.
static double mean_nll(const char *path, int windows)
{
    irori_model_options o = {.threads = 2, .context = WINDOW, .no_pin = true};
    irori_model *m = open_model(path, &o);
    irori_session *s = open_session(m, NULL);
    size_t bytes, count;
    char *text = load_text("tests/data/held/wikitext2_test.txt", &bytes);
    int32_t *ids = tokens_of(m, text, bytes, 0, &count);
    free(text);
    assert_true(count > (size_t)(WINDOW * windows));
    double sum = 0, logprob[WINDOW / 2];
    irori_error e;
    for (int w = 0; w < windows; w++) {
        assert_int_equal(irori_session_truncate(s, 0, &e), IRORI_OK);
        assert_int_equal(irori_session_score(s, ids + w * WINDOW, WINDOW, WINDOW / 2, logprob, &e), IRORI_OK);
        for (int i = 0; i < WINDOW / 2; i++)
            sum -= logprob[i];
    }
    irori_free(ids);
    irori_session_free(s);
    irori_model_close(m);
    return sum / (WINDOW / 2 * windows);
}

static double mean_nll_as(int type, bool decoded, int windows)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/irori-quality-%d.gguf", (int)getpid());
    assert_int_equal(requant(demo_path("irori-tiny"), path, type, decoded), 0);
    double nll = mean_nll(path, windows);
    unlink(path);
    return nll;
}

static void int8_activations_cost_little(void **state)
{
    (void)state;
    // Perplexity against the same weights multiplied as floats; measured: 0.2 % and less.
    static const int types[] = {QT_Q8_0, QT_Q4_0, QT_IQ4_NL, QT_Q4_K, QT_Q6_K};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        double ours = mean_nll_as(types[i], false, FEW), floats = mean_nll_as(types[i], true, FEW);
        printf("%s: perplexity x %.5f by activations\n", quant_type_info(types[i])->name, exp(ours - floats));
        assert_true(fabs(exp(ours - floats) - 1) < 0.01);
        assert_true(ours != floats);  // the int8 path did run
    }
}

static void q8_0_is_nearly_f16(void **state)
{
    (void)state;
    double f16 = mean_nll(demo_path("irori-tiny"), MANY), q8 = mean_nll_as(QT_Q8_0, false, MANY);
    printf("Q8_0: perplexity x %.5f of F16\n", exp(q8 - f16));
    assert_true(fabs(exp(q8 - f16) - 1) < 0.002);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(q8_0_is_nearly_f16),
        cmocka_unit_test(int8_activations_cost_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
