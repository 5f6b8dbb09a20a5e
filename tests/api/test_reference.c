// The demo models against their reference figures, which were computed by a program that shares no code with irori
// (models/NAME.reference.json), and against window sums of an independent forward pass (tools/oracle/window_nll.py).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/support.h"

enum { WINDOW = 512, FIRST = WINDOW / 2 + 1 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { MOST_WINDOWS = 1 };  // of each text: a window takes seconds under a sanitizer
#else
enum { MOST_WINDOWS = 1000 };
#endif

static int compare_prompt(irori_model *m, irori_session *s, const json_t *item)
{
    const char *prompt = json_string_value(json_object_get(item, "prompt"));
    const json_t *want = json_object_get(item, "prompt_tokens"), *tokens = json_object_get(item, "tokens");
    size_t count;
    int32_t *ids = tokens_of(m, prompt, strlen(prompt), IRORI_TOKENIZE_SPECIAL, &count);
    assert_int_equal(count, json_array_size(want));
    for (size_t i = 0; i < count; i++)
        assert_int_equal(ids[i], json_integer_value(json_array_get(want, i)));
    irori_error e;
    assert_int_equal(irori_session_truncate(s, 0, &e), IRORI_OK);
    assert_int_equal(irori_session_add(s, ids, count, &e), IRORI_OK);
    irori_free(ids);

    const json_t *top = json_object_get(item, "top5_ids"), *logits = json_object_get(item, "top5_logits");
    assert_true(json_array_size(top) > 0);
    for (size_t i = 0; i < json_array_size(top); i++) {
        double ours = irori_session_logits(s)[json_integer_value(json_array_get(top, i))];
        if (fabs(ours - json_number_value(json_array_get(logits, i))) > 1e-2)
            fail_msg("\"%s\": logit %zu of the best is %g, not %g", prompt, i, ours,
                     json_number_value(json_array_get(logits, i)));
    }
    for (size_t i = 0; i < json_array_size(tokens); i++) {
        int32_t id;
        assert_int_equal(irori_session_sample(s, &id, NULL, &e), IRORI_OK);
        if (id != json_integer_value(json_array_get(tokens, i)))
            fail_msg("\"%s\": token %zu is %d, not %d", prompt, i, id,
                     (int)json_integer_value(json_array_get(tokens, i)));
        if (i + 1 < json_array_size(tokens))
            assert_int_equal(irori_sessions_step(&s, &id, 1, &e), IRORI_OK);
    }
    return 1;
}

static void greedy_texts_and_logits(void **state)
{
    (void)state;
    for (int i = 0; i < DEMO_MODELS; i++) {
        json_t *reference = demo_reference(demo_names[i]);
        irori_model *m = open_demo(demo_names[i], 2);
        irori_session *s = open_session(m, NULL);
        const json_t *items = json_object_get(reference, "greedy");
        int done = 0;
        for (size_t j = 0; j < json_array_size(items); j++)
            done += compare_prompt(m, s, json_array_get(items, j));
        assert_true(done >= 5);
        irori_session_free(s);
        irori_model_close(m);
        json_decref(reference);
    }
}

// The sum of -log p over the second half of the window that starts at ids.
static double window_nll(irori_session *s, const int32_t *ids)
{
    double logprob[WINDOW - FIRST], sum = 0;
    irori_error e;
    assert_int_equal(irori_session_truncate(s, 0, &e), IRORI_OK);
    if (irori_session_score(s, ids, WINDOW, FIRST, logprob, &e))
        fail_msg("%s", e.message);
    for (int i = 0; i < WINDOW - FIRST; i++)
        sum -= logprob[i];
    return sum;
}

// Tokens of tests/data/held/NAME.txt, checked against the first ones of the reference.
static int32_t *held_tokens(const irori_model *m, const char *name, const json_t *reference, size_t *count)
{
    char path[128];
    size_t bytes;
    snprintf(path, sizeof path, "tests/data/held/%s.txt", name);
    char *text = load_text(path, &bytes);
    int32_t *ids = tokens_of(m, text, bytes, 0, count);
    free(text);
    const json_t *first = json_object_get(
        json_object_get(json_object_get(reference, "perplexity_ctx512"), name), "first_8");
    for (size_t i = 0; i < json_array_size(first); i++)
        assert_int_equal(ids[i], json_integer_value(json_array_get(first, i)));
    return ids;
}

// The first windows of each text, one by one.
static void windows_agree_with_numpy(void **state)
{
    (void)state;
    json_t *oracle = load_json("tests/api/data/window_nll.json");
    for (int i = 0; i < DEMO_MODELS; i++) {
        json_t *reference = demo_reference(demo_names[i]);
        irori_model *m = open_demo(demo_names[i], 2);
        irori_session *s = open_session(m, NULL);
        const char *name;
        json_t *text;
        int texts = 0;
        json_object_foreach(json_object_get(oracle, demo_names[i]), name, text)
        {
            const json_t *sums = json_object_get(text, "nll");
            size_t count, windows = json_array_size(sums);
            int32_t *ids = held_tokens(m, name, reference, &count);
            assert_int_equal(count, json_integer_value(json_object_get(text, "tokens")));
            assert_true(windows > 0 && windows * WINDOW <= count);
            for (size_t w = 0; w < windows && w < MOST_WINDOWS; w++) {
                double ours = window_nll(s, ids + w * WINDOW),
                       theirs = json_number_value(json_array_get(sums, w));
                if (fabs(ours - theirs) > 1e-3 * theirs)
                    fail_msg(
                        "%s, %s, window %zu: %.4f, not %.4f (a changed model? run tools/oracle/window_nll.py)",
                        demo_names[i], name, w, ours, theirs);
            }
            irori_free(ids);
            texts++;
        }
        assert_int_equal(texts, 3);
        irori_session_free(s);
        irori_model_close(m);
        json_decref(reference);
    }
    json_decref(oracle);
}

static void whole_texts(void **state)
{
    (void)state;
    for (int i = 0; i < DEMO_MODELS; i++) {
        json_t *reference = demo_reference(demo_names[i]), *figures;
        irori_model *m = open_demo(demo_names[i], 0);
        irori_session *s = open_session(m, NULL);
        const char *name;
        json_object_foreach(json_object_get(reference, "perplexity_ctx512"), name, figures)
        {
            size_t count,
                used = (size_t)json_integer_value(json_object_get(figures, "tokens")) / WINDOW * WINDOW;
            int32_t *ids = held_tokens(m, name, reference, &count);
            assert_true(count >= used && used > 0);
            double sum = 0;
            for (size_t at = 0; at < used; at += WINDOW)
                sum += window_nll(s, ids + at);
            size_t scored = used / WINDOW * (WINDOW - FIRST);
            assert_int_equal(scored, json_integer_value(json_object_get(figures, "scored")));
            double ours = exp(sum / (double)scored),
                   theirs = json_number_value(json_object_get(figures, "ppl"));
            printf("%s %s: perplexity %.4f, reference %.4f\n", demo_names[i], name, ours, theirs);
            if (fabs(ours / theirs - 1) > 1e-3)
                fail_msg("%s, %s: perplexity %.4f, not %.4f", demo_names[i], name, ours, theirs);
            irori_free(ids);
        }
        irori_session_free(s);
        irori_model_close(m);
        json_decref(reference);
    }
}

// With the argument "whole": the whole texts, which take minutes.
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_texts_and_logits),
        cmocka_unit_test(windows_agree_with_numpy),
    };
    const struct CMUnitTest slow[] = {cmocka_unit_test(whole_texts)};
    if (argc > 1 && strcmp(argv[1], "whole") == 0)
        return cmocka_run_group_tests(slow, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
