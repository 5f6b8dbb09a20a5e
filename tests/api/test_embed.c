// Embeddings and ranking through the public interface, on the tiny models of tests/engine/data.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "support.h"

#define DATA IRORI_SOURCE_DIR "/tests/engine/data/"

static irori_text text(const char *s)
{
    return (irori_text){s, strlen(s)};
}

static const char *const sayings[] = {"a stitch in time", "saves nine", "x", "囲炉裏を囲む",
                                      "a stitch in time"};
enum { SAYINGS = sizeof sayings / sizeof *sayings };

static void fill(irori_text *out)
{
    for (int i = 0; i < SAYINGS; i++)
        out[i] = text(sayings[i]);
}

static irori_embeddings embed(irori_model *m, const irori_text *texts, size_t n, const irori_embed_options *o)
{
    irori_embeddings v;
    irori_error e;
    if (irori_embed(m, texts, n, o, &v, &e))
        fail_msg("%s", e.message);
    return v;
}

static double dot(const float *a, const float *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static void vectors_of_length_1_whatever_stands_beside(void **state)
{
    (void)state;
    static const char *const models[] = {"bge", "e5", "bge-m3", "ruri", "qwen3-embedding"};
    irori_text all[SAYINGS];
    fill(all);
    for (size_t k = 0; k < sizeof models / sizeof *models; k++) {
        char path[256];
        snprintf(path, sizeof path, DATA "%s.gguf", models[k]);
        irori_model *m = open_model(path, NULL);
        irori_model_info info;
        irori_model_get_info(m, &info);
        assert_int_equal(info.embedding_width, 32);
        assert_false(info.ranks);
        irori_embeddings v = embed(m, all, SAYINGS, NULL);
        assert_int_equal(v.width, 32);
        assert_true(v.tokens > 40);
        for (int i = 0; i < SAYINGS; i++) {
            const float *mine = v.vectors + i * 32;
            assert_true(fabs(dot(mine, mine, 32) - 1) < 1e-5);
            irori_embeddings alone = embed(m, &all[i], 1, NULL);
            assert_memory_equal(alone.vectors, mine, 32 * sizeof *mine);
            irori_free(alone.vectors);
        }
        assert_memory_equal(v.vectors, v.vectors + 4 * 32, 32 * sizeof(float));  // the same saying
        assert_true(dot(v.vectors, v.vectors + 32, 32) < 0.9999);
        // The first numbers alone point the same way, at length 1 again.
        irori_embeddings few = embed(m, all, 1, &(irori_embed_options){.dimensions = 5});
        double size = sqrt(dot(v.vectors, v.vectors, 5));
        for (int i = 0; i < 5; i++)
            assert_true(fabs((double)few.vectors[i] - (double)v.vectors[i] / size) < 1e-6);
        irori_free(few.vectors);
        irori_free(v.vectors);
        irori_model_close(m);
    }
}

static void long_texts_are_refused_or_cut(void **state)
{
    (void)state;
    irori_model *m = open_model(DATA "bge.gguf", NULL);
    char longer[400];
    memset(longer, 'y', sizeof longer);
    irori_text texts[2] = {text("ok"), {longer, sizeof longer}};
    irori_embeddings v;
    irori_error e;
    assert_int_equal(irori_embed(m, texts, 2, NULL, &v, &e), IRORI_LIMIT);
    assert_non_null(strstr(e.message, "text 1"));
    assert_non_null(strstr(e.message, "128"));
    assert_null(v.vectors);
    v = embed(m, texts, 2, &(irori_embed_options){.truncate = true});
    assert_true(v.tokens > 128 && v.tokens < 140);
    irori_free(v.vectors);
    v = embed(m, texts, 0, NULL);
    assert_null(v.vectors);
    assert_int_equal(irori_embed(m, texts, 1, &(irori_embed_options){.dimensions = 33}, &v, &e),
                     IRORI_INVALID);
    irori_model_close(m);
}

static void each_model_does_what_it_is_for(void **state)
{
    (void)state;
    irori_error e;
    irori_embeddings v;
    irori_session *s;
    irori_text one = text("one");
    float score;
    irori_model *m = open_demo("irori-tiny", 1);
    assert_int_equal(irori_embed(m, &one, 1, NULL, &v, &e), IRORI_UNSUPPORTED);
    assert_int_equal(irori_rerank(m, &one, &one, 1, NULL, &score, NULL, &e), IRORI_UNSUPPORTED);
    irori_model_close(m);
    m = open_model(DATA "e5.gguf", NULL);
    assert_int_equal(irori_session_new(&s, m, NULL, &e), IRORI_UNSUPPORTED);
    assert_int_equal(irori_rerank(m, &one, &one, 1, NULL, &score, NULL, &e), IRORI_UNSUPPORTED);
    irori_model_close(m);
    m = open_model(DATA "bge-reranker.gguf", NULL);
    assert_int_equal(irori_embed(m, &one, 1, NULL, &v, &e), IRORI_UNSUPPORTED);
    irori_model_close(m);
}

static void documents_are_scored_each_by_itself(void **state)
{
    (void)state;
    static const char *const models[] = {"bge-reranker", "ruri-reranker", "qwen3-reranker"};
    irori_text all[SAYINGS], query = text("sewing");
    fill(all);
    for (size_t k = 0; k < 3; k++) {
        char path[256];
        snprintf(path, sizeof path, DATA "%s.gguf", models[k]);
        irori_model *m = open_model(path, NULL);
        irori_model_info info;
        irori_model_get_info(m, &info);
        assert_true(info.ranks);
        assert_int_equal(info.embedding_width, 0);
        float score[SAYINGS], alone;
        size_t tokens, some;
        irori_error e;
        if (irori_rerank(m, &query, all, SAYINGS, NULL, score, &tokens, &e))
            fail_msg("%s", e.message);
        for (int i = 0; i < SAYINGS; i++) {
            assert_true(score[i] > 0 && score[i] < 1);
            assert_int_equal(irori_rerank(m, &query, &all[i], 1, NULL, &alone, &some, &e), IRORI_OK);
            assert_memory_equal(&alone, &score[i], sizeof alone);
            tokens -= some;
        }
        assert_int_equal(tokens, 0);
        assert_true(score[0] != score[1]);
        assert_true(score[0] == score[4]);
        // The query matters, and so does what Qwen is told to look for.
        irori_text other = text("numbers");
        irori_rerank(m, &other, all, 1, NULL, &alone, NULL, &e);
        assert_true(alone != score[0]);
        irori_rerank(m, &query, all, 1, &(irori_rerank_options){.instruction = "Find rhymes"}, &alone, NULL,
                     &e);
        assert_int_equal(alone != score[0], k == 2);
        irori_model_close(m);
    }
}

static void long_documents_are_refused_or_cut(void **state)
{
    (void)state;
    irori_model *m = open_model(DATA "bge-reranker.gguf", NULL);
    char longer[900];
    for (size_t i = 0; i < sizeof longer; i += 3)
        memcpy(longer + i, "囲", 3);
    irori_text documents[2] = {text("short"), {longer, sizeof longer}}, query = text("q");
    float score[2];
    size_t tokens;
    irori_error e;
    assert_int_equal(irori_rerank(m, &query, documents, 2, NULL, score, NULL, &e), IRORI_LIMIT);
    assert_non_null(strstr(e.message, "document 1"));
    assert_int_equal(
        irori_rerank(m, &query, documents, 2, &(irori_rerank_options){.truncate = true}, score, &tokens, &e),
        IRORI_OK);
    assert_true(tokens > 100 && tokens < 128 + 16);
    irori_text whole = {longer, sizeof longer};
    assert_int_equal(
        irori_rerank(m, &whole, documents, 1, &(irori_rerank_options){.truncate = true}, score, NULL, &e),
        IRORI_LIMIT);
    assert_non_null(strstr(e.message, "query"));
    irori_model_close(m);
}

static void without_memory_nothing_is_left(void **state)
{
    (void)state;
    irori_model *m = open_model(DATA "e5.gguf", NULL);
    irori_text all[SAYINGS];
    fill(all);
    mem_stats before, after;
    mem_get_stats(&before);
    int failures = 0;
    for (unsigned nth = 1; nth < 200; nth++) {
        irori_embeddings v;
        irori_error e;
        mem_fail_nth(nth);
        int rc = irori_embed(m, all, SAYINGS, NULL, &v, &e);
        mem_fail_nth(0);
        if (rc == IRORI_OK) {
            irori_free(v.vectors);
            break;
        }
        assert_int_equal(rc, IRORI_NOMEM);
        failures++;
    }
    mem_get_stats(&after);
    assert_in_range(failures, 5, 198);
    assert_int_equal(after.bytes, before.bytes);
    irori_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_length_1_whatever_stands_beside),
        cmocka_unit_test(long_texts_are_refused_or_cut),
        cmocka_unit_test(each_model_does_what_it_is_for),
        cmocka_unit_test(documents_are_scored_each_by_itself),
        cmocka_unit_test(long_documents_are_refused_or_cut),
        cmocka_unit_test(without_memory_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
