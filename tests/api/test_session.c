// Sessions through the public interface: forks, truncation, steps, scores, refusals, failures, allocations.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/talk.h"
#include "base/mem.h"

static void forks_and_truncation_equal_a_fresh_run(void **state)
{
    (void)state;
    irori_model *m = open_toy(4);
    int vocab = TOY_TOKENS;
    irori_session *a = open_session(m, &endless), *b, *c = open_session(m, &endless);
    add_tokens(a, 100);
    assert_int_equal(irori_session_fork(&b, a, NULL), IRORI_OK);
    assert_memory_equal(irori_session_logits(a), irori_session_logits(b), (size_t)vocab * sizeof(float));
    irori_memory memory;
    irori_get_memory(m, &memory);
    assert_true(memory.kv_shared_bytes > 0 && memory.kv_shared_bytes == memory.kv_bytes);
    int32_t id = 9;
    assert_int_equal(irori_session_add(a, &id, 1, NULL), IRORI_OK);  // b keeps its logits through this
    add_tokens(c, 100);
    assert_memory_equal(irori_session_logits(b), irori_session_logits(c), (size_t)vocab * sizeof(float));
    assert_int_equal(irori_session_truncate(b, 40, NULL), IRORI_OK);
    assert_null(irori_session_logits(b));
    assert_int_equal(irori_session_truncate(b, 41, NULL), IRORI_INVALID);
    irori_session_free(c);
    c = open_session(m, &endless);
    add_tokens(c, 40);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(irori_session_add(i ? b : c, &id, 1, NULL), IRORI_OK);
    }
    assert_memory_equal(irori_session_logits(b), irori_session_logits(c), (size_t)vocab * sizeof(float));
    assert_int_equal(held(a), 101);
    irori_session_free(a);
    irori_session_free(b);
    irori_session_free(c);
    irori_session_free(NULL);
    irori_model_close(m);
    irori_model_close(NULL);
}

static void steps_of_several_sessions(void **state)
{
    (void)state;
    irori_model *m = open_toy(3);
    irori_session *s[3], *alone = open_session(m, &endless);
    int32_t ids[3] = {10, 20, 30};
    static float want[TOY_TOKENS];
    irori_error e;
    for (int i = 0; i < 3; i++) {
        s[i] = open_session(m, &endless);
        add_tokens(s[i], 10 * i + 1);
    }
    assert_int_equal(irori_sessions_step(s, ids, 3, &e), IRORI_OK);
    add_tokens(alone, 11);
    assert_int_equal(irori_session_add(alone, &ids[1], 1, &e), IRORI_OK);
    memcpy(want, irori_session_logits(alone), sizeof want);
    assert_memory_equal(irori_session_logits(s[1]), want, sizeof want);

    irori_session *twice[2] = {s[0], s[0]};
    assert_int_equal(irori_sessions_step(twice, ids, 2, &e), IRORI_INVALID);
    assert_non_null(strstr(e.message, "twice"));
    assert_int_equal(irori_sessions_step(s, ids, 0, &e), IRORI_INVALID);
    ids[2] = TOY_TOKENS;
    assert_int_equal(irori_sessions_step(s, ids, 3, &e), IRORI_INVALID);
    assert_non_null(strstr(e.message, "259"));
    irori_model *other = open_toy(1);
    irori_session *foreign[2] = {s[0], open_session(other, NULL)};
    assert_int_equal(irori_sessions_step(foreign, ids, 2, &e), IRORI_INVALID);
    irori_session_free(foreign[1]);
    irori_model_close(other);
    for (int i = 0; i < 3; i++)
        irori_session_free(s[i]);
    irori_session_free(alone);
    irori_model_close(m);
}

// Sessions whose texts differ fill the store before each fills its context: the step says so and takes nothing.
static void a_full_store_keeps_what_there_is(void **state)
{
    (void)state;
    irori_model *m = open_toy(1);  // pages for one context, and one more
    irori_session *s[2] = {open_session(m, &endless), open_session(m, &endless)};
    irori_error e;
    add_tokens(s[0], CONTEXT);
    add_tokens(s[1], 64);
    static float before[TOY_TOKENS];
    memcpy(before, irori_session_logits(s[1]), sizeof before);
    int32_t ids[64] = {7};
    assert_int_equal(irori_session_add(s[1], ids, 64, &e), IRORI_LIMIT);
    assert_non_null(strstr(e.message, "64"));
    assert_int_equal(irori_sessions_step(&s[1], ids, 1, &e), IRORI_LIMIT);
    assert_int_equal(held(s[1]), 64);
    assert_memory_equal(irori_session_logits(s[1]), before, sizeof before);
    irori_generation g;
    assert_int_equal(irori_session_generate(s[1], 5, NULL, NULL, &g, &e), IRORI_LIMIT);
    irori_session_free(s[0]);
    assert_int_equal(irori_session_generate(s[1], 5, NULL, NULL, &g, &e), IRORI_OK);
    assert_int_equal(g.completion_tokens, 5);
    irori_session_free(s[1]);
    irori_model_close(m);
}

// A session takes over what an earlier one ran, and gives the same logits as without.
static void a_known_prefix_is_not_run_again(void **state)
{
    (void)state;
    toy t = toy_llama();
    irori_model *cold = open_toy(1), *warm = open_model(toy_save(&t, "prefix.gguf"), NULL);
    static float want[TOY_TOKENS];
    int32_t ids[CONTEXT];
    for (int i = 0; i < CONTEXT; i++)
        ids[i] = 3 + i % 250;
    irori_session *s = open_session(cold, &endless);
    assert_int_equal(irori_session_add(s, ids, 199, NULL), IRORI_OK);
    memcpy(want, irori_session_logits(s), sizeof want);
    irori_session_free(s);
    irori_model_close(cold);
    for (int i = 0; i < 3; i++) {
        irori_generation g;
        s = open_session(warm, &endless);
        size_t known = 0, count = i == 1 ? 192 : 199;
        if (i == 2) {  // offered whole, then added piece by piece
            assert_int_equal(irori_session_add_known(s, ids, count, &known, NULL), IRORI_OK);
            assert_int_equal(known, 192);
            assert_int_equal(held(s), 192);
        }
        assert_int_equal(irori_session_add(s, ids + known, count - known, NULL), IRORI_OK);
        if (i != 1)
            assert_memory_equal(irori_session_logits(s), want, sizeof want);
        assert_int_equal(irori_session_generate(s, 1, NULL, NULL, &g, NULL), IRORI_OK);
        assert_int_equal(g.prompt_tokens, i == 1 ? 192 : 199);
        assert_int_equal(g.cached_tokens, i == 0 ? 0 : i == 1 ? 128 : 192);  // one token at least is run
        assert_int_equal(held(s), i == 1 ? 193 : 200);
        irori_session_free(s);
        irori_memory memory;
        irori_get_memory(warm, &memory);
        assert_int_equal(memory.kv_bytes, 0);
        assert_true(memory.kv_idle_bytes > 0);
    }
    irori_model_close(warm);
}

// A session that was saved goes on as the one it was saved from, and says no to another model's file.
static void a_saved_session_goes_on(void **state)
{
    (void)state;
    char path[256];
    snprintf(path, sizeof path, "%s", toy_path("saved.session"));
    irori_error e;
    for (int length = 64; length <= 100; length += 36) {
        irori_model *m = open_toy(2);
        irori_session *s = open_session(m, &endless), *t;
        add_tokens(s, length);
        assert_int_equal(irori_session_save(s, path, &e), IRORI_OK);
        assert_int_equal(irori_session_load(&t, m, &endless, path, &e), IRORI_OK);
        assert_int_equal(held(t), length);
        assert_memory_equal(irori_session_logits(s), irori_session_logits(t), TOY_TOKENS * sizeof(float));
        int32_t id = 9;
        assert_int_equal(irori_session_add(s, &id, 1, NULL), IRORI_OK);
        assert_int_equal(irori_session_add(t, &id, 1, NULL), IRORI_OK);
        assert_memory_equal(irori_session_logits(s), irori_session_logits(t), TOY_TOKENS * sizeof(float));
        irori_session_free(s);
        irori_session_free(t);
        irori_model *other = open_demo("irori-tiny-draft", 1);
        assert_int_equal(irori_session_load(&t, other, NULL, path, &e), IRORI_INVALID);
        assert_null(t);
        irori_model_close(other);
        irori_model_close(m);
    }
}

// All that was dropped comes back: the logits are those of a session that never dropped anything.
static void exact_restoring_gives_the_same_logits(void **state)
{
    (void)state;
    static float want[TOY_TOKENS];
    irori_model *m = open_toy(2);
    for (int staged = 0; staged < 2; staged++) {
        irori_error e;
        irori_session *s = open_session(m, &endless);
        if (staged && irori_session_set_kv(s, "uniform:q2,mode=exact", NULL, &e))
            fail_msg("%s", e.message);
        add_tokens(s, 140);
        irori_kv_stats st;
        irori_get_kv_stats(m, &st);
        assert_int_equal(st.blocks[3] > 0, staged);
        assert_int_equal(irori_session_truncate(s, 64, &e), IRORI_OK);
        if (staged)
            assert_int_equal(irori_session_set_kv(s, "f16", NULL, &e), IRORI_OK);
        int32_t id = 9;
        for (int i = 0; i < 40; i++)
            assert_int_equal(irori_session_add(s, &id, 1, &e), IRORI_OK);
        irori_get_kv_stats(m, &st);
        assert_int_equal(st.blocks[3], 0);
        if (staged)
            assert_memory_equal(irori_session_logits(s), want, sizeof want);
        memcpy(want, irori_session_logits(s), sizeof want);
        irori_session_free(s);
    }
    irori_model_close(m);
}

// A cut into a page whose precision is gone for good: its tokens are run again, and the session holds what was asked.
static void truncating_lossy_pages_runs_them_again(void **state)
{
    (void)state;
    irori_model *m = open_toy(1);
    irori_error e;
    irori_session *s = open_session(m, &endless);
    assert_int_equal(irori_session_set_kv(s, "uniform:q4", NULL, &e), IRORI_OK);
    add_tokens(s, 190);
    assert_int_equal(irori_session_truncate(s, 40, &e), IRORI_OK);
    assert_int_equal(held(s), 40);
    static float want[TOY_TOKENS];
    int32_t id = 9;
    assert_int_equal(irori_session_add(s, &id, 1, &e), IRORI_OK);
    memcpy(want, irori_session_logits(s), sizeof want);
    irori_session_free(s);
    s = open_session(m, &endless);
    add_tokens(s, 40);
    assert_int_equal(irori_session_add(s, &id, 1, &e), IRORI_OK);
    assert_memory_equal(irori_session_logits(s), want, sizeof want);
    irori_session_free(s);
    irori_model_close(m);
}

// A second turn runs only what is new, and equals the whole conversation at once.
static void conversations_keep_what_they_share(void **state)
{
    (void)state;
    static const char first[] = "[{\"role\":\"user\",\"content\":\"17 + 25 = ?\"}]";
    static const char second[] = "[{\"role\":\"user\",\"content\":\"17 + 25 = ?\"},"
                                 "{\"role\":\"assistant\",\"content\":\"42\"},"
                                 "{\"role\":\"user\",\"content\":\"<|im_end|> and 1 + 1?\"}]";
    irori_model *m = open_demo("irori-tiny-draft", 2);
    irori_session *s = open_session(m, NULL), *fresh = open_session(m, NULL);
    irori_error e;
    int32_t *ids;
    size_t count, n;
    assert_int_equal(irori_session_add_chat(s, first, NULL, NULL, &e), IRORI_OK);
    size_t shared = held(s);
    irori_generation g;
    assert_int_equal(irori_session_generate(s, 3, NULL, NULL, &g, &e), IRORI_OK);
    assert_int_equal(g.prompt_tokens, shared);
    if (irori_session_add_chat(s, second, NULL, NULL, &e))
        fail_msg("%s", e.message);
    assert_int_equal(irori_session_generate(s, 0, NULL, NULL, &g, &e), IRORI_OK);
    assert_int_equal(irori_chat_tokens(m, second, NULL, NULL, true, &ids, &count, &e), IRORI_OK);
    assert_true(g.prompt_tokens > 0 && g.prompt_tokens < count);
    assert_memory_equal(irori_session_tokens(s, &n), ids, count * sizeof *ids);
    assert_int_equal(n, count);
    // What the user spells stays text: the markers of three messages and of the answer's start, no more.
    int32_t *marker;
    size_t markers = 0, one;
    marker = tokens_of(m, "<|im_end|>", 10, IRORI_TOKENIZE_SPECIAL, &one);
    assert_int_equal(one, 1);
    for (size_t i = 0; i < count; i++)
        markers += ids[i] == *marker;
    assert_int_equal(markers, 3);
    irori_free(marker);
    assert_int_equal(irori_session_add(fresh, ids, count, &e), IRORI_OK);
    irori_model_info info;
    irori_model_get_info(m, &info);
    assert_memory_equal(irori_session_logits(s), irori_session_logits(fresh),
                        (size_t)info.vocabulary * sizeof(float));
    irori_free(ids);
    // The same conversation again: only the last token runs anew.
    assert_int_equal(irori_session_add_chat(s, second, NULL, NULL, &e), IRORI_OK);
    assert_memory_equal(irori_session_logits(s), irori_session_logits(fresh),
                        (size_t)info.vocabulary * sizeof(float));
    assert_true(irori_session_add_chat(s, "{}", NULL, NULL, &e) < 0);
    assert_true(irori_session_add_chat(s, "[", NULL, NULL, &e) < 0);
    irori_session_free(s);
    irori_session_free(fresh);
    irori_model_close(m);
}

static void score_agrees_with_steps(void **state)
{
    (void)state;
    enum { N = 90 };
    irori_model *m = open_toy(2);
    irori_session *s = open_session(m, NULL), *one = open_session(m, NULL);
    int32_t ids[N];
    double whole[N], tail[N];
    irori_error e;
    for (int i = 0; i < N; i++)
        ids[i] = 3 + i * 5 % 200;
    assert_int_equal(irori_session_score(s, ids, N, 0, whole, &e), IRORI_INVALID);
    assert_int_equal(irori_session_score(s, ids, N, 1, whole, &e), IRORI_OK);
    assert_int_equal(held(s), N);
    for (int i = 1; i < N; i++) {
        assert_int_equal(irori_session_add(one, &ids[i - 1], 1, &e), IRORI_OK);
        const float *logits = irori_session_logits(one);
        double sum = 0, top = -INFINITY;
        for (int k = 0; k < TOY_TOKENS; k++)
            top = fmax(top, (double)logits[k]);
        for (int k = 0; k < TOY_TOKENS; k++)
            sum += exp((double)logits[k] - top);
        assert_true(fabs(whole[i - 1] - ((double)logits[ids[i]] - top - log(sum))) < 1e-9);
    }
    static const size_t firsts[] = {2, 31, 32, 33, 64, 65, 89};
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        assert_int_equal(irori_session_truncate(s, 0, &e), IRORI_OK);
        assert_int_equal(irori_session_score(s, ids, N, firsts[i], tail, &e), IRORI_OK);
        for (size_t k = firsts[i]; k < N; k++)
            assert_true(tail[k - firsts[i]] == whole[k - 1]);
    }
    assert_int_equal(irori_session_truncate(s, 40, &e), IRORI_OK);
    assert_int_equal(irori_session_score(s, ids + 40, 1, 0, tail, &e),
                     IRORI_INVALID);  // no logits after that
    assert_int_equal(irori_session_truncate(s, 39, &e), IRORI_OK);
    assert_int_equal(irori_session_add(s, ids + 39, 1, &e), IRORI_OK);
    assert_int_equal(irori_session_score(s, ids + 40, N - 40, 0, tail, &e), IRORI_OK);
    for (int k = 40; k < N; k++)
        assert_true(tail[k - 40] == whole[k - 1]);
    ids[3] = -1;
    assert_int_equal(irori_session_score(s, ids, 5, 1, tail, &e), IRORI_INVALID);
    assert_int_equal(irori_session_score(s, ids + 40, CONTEXT, 1, tail, &e), IRORI_LIMIT);
    irori_session_free(s);
    irori_session_free(one);
    irori_model_close(m);
}

static void wrong_calls_are_refused(void **state)
{
    (void)state;
    toy t = toy_llama();
    const char *path = toy_save(&t, "wrong.gguf");
    static const struct {
        irori_model_options o;
        int rc;
        const char *says;
    } cases[] = {
        {{.batch = -1}, IRORI_INVALID, "-1"},           {{.batch = 8193}, IRORI_INVALID, "8192"},
        {{.context = -5}, IRORI_INVALID, "-5"},         {{.context = 513}, IRORI_LIMIT, "512"},
        {{.sessions = -1}, IRORI_INVALID, "-1"},        {{.sessions = 5000}, IRORI_INVALID, "4096"},
        {{.threads = -2}, IRORI_INVALID, "-2"},         {{.threads = 5000}, IRORI_INVALID, "1024"},
        {{.cpu = "quantum"}, IRORI_INVALID, "quantum"},
    };
    irori_error e;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        irori_model *m = (irori_model *)&t;
        assert_int_equal(irori_model_open(&m, path, &cases[i].o, &e), cases[i].rc);
        assert_null(m);
        if (!strstr(e.message, cases[i].says))
            fail_msg("\"%s\" does not say %s", e.message, cases[i].says);
        assert_int_equal(irori_model_open(&m, path, &cases[i].o, NULL), cases[i].rc);
    }
    irori_model *m;
    assert_int_equal(irori_model_open(&m, "/nonexistent.gguf", NULL, &e), IRORI_NOTFOUND);
    assert_int_equal(irori_model_open_vocabulary(&m, path, &e), IRORI_OK);
    irori_session *s;
    assert_int_equal(irori_session_new(&s, m, NULL, &e), IRORI_INVALID);
    assert_null(s);
    irori_model_close(m);
    m = open_model(path, &(irori_model_options){.threads = 1});
    s = open_session(m, NULL);
    int32_t bad[] = {5, TOY_TOKENS}, *ids;
    size_t n;
    assert_int_equal(irori_session_add(s, bad, 2, &e), IRORI_INVALID);
    assert_non_null(strstr(e.message, "token 1 is 259"));
    assert_int_equal(held(s), 0);
    bad[1] = -1;
    assert_int_equal(irori_session_add(s, bad, 2, &e), IRORI_INVALID);
    assert_null(irori_token_text(m, TOY_TOKENS, &n));
    assert_null(irori_token_text(m, -1, &n));
    assert_false(irori_token_ends_text(m, -1));
    assert_false(irori_token_ends_text(m, 1 << 30));
    assert_int_equal(irori_chat_tokens(m, "[]", NULL, NULL, true, &ids, &n, &e), IRORI_UNSUPPORTED);
    static const irori_sampling hot = {.temperature = -1}, unset = {.logit_bias_count = 2};
    assert_int_equal(irori_session_set_sampling(s, &hot, &e), IRORI_INVALID);
    assert_non_null(strstr(e.message, "temperature is -1"));
    assert_int_equal(irori_session_set_sampling(s, &unset, &e), IRORI_INVALID);
    irori_session_free(s);
    irori_model_close(m);
}

static void decoding_allocates_nothing(void **state)
{
    (void)state;
    irori_model *m = open_demo("irori-tiny-draft", 2);
    static const irori_sampling all = {.temperature = 0.9f,
                                       .top_k = 50,
                                       .top_p = 0.9f,
                                       .min_p = 0.01f,
                                       .typical_p = 0.95f,
                                       .repeat_penalty = 1.1f,
                                       .frequency_penalty = 0.1f,
                                       .presence_penalty = 0.1f,
                                       .dry_multiplier = 0.5f,
                                       .seed = 7};
    irori_session *s = open_session(m, &all);
    irori_error e;
    assert_int_equal(irori_session_add_text(s, "The king said", 13, 0, &e), IRORI_OK);
    irori_generation g;
    seen x = {0};
    assert_int_equal(irori_session_generate(s, 8, look, &x, &g, &e), IRORI_OK);
    irori_memory before, after;
    irori_get_memory(m, &before);
    size_t made = 0;
    while (made < 32) {
        assert_int_equal(irori_session_generate(s, 32 - made, look, &x, &g, &e), IRORI_OK);
        made += g.completion_tokens;
    }
    irori_get_memory(m, &after);
    assert_int_equal(after.allocations, before.allocations);
    irori_session_free(s);
    irori_model_close(m);
}

// Opens, talks, forks, closes; the first failure's status.
static int whole_life(const char *path)
{
    irori_model_options o = {.threads = 2, .context = 256, .sessions = 2, .no_pin = true};
    static const irori_logit_bias no_end[] = {{2, -INFINITY}};
    static const irori_sampling dry = {.dry_multiplier = 1, .logit_bias = no_end, .logit_bias_count = 1};
    irori_model *m = NULL;
    irori_session *s = NULL, *f = NULL;
    irori_model_info info;
    irori_error e = {0};
    int rc = irori_model_open(&m, path, &o, &e);
    if (!rc)
        irori_model_get_info(m, &info);
    if (!rc)
        rc = irori_session_new(&s, m, &dry, &e);
    if (!rc)
        rc = irori_session_add_text(s, "Some words", 10, IRORI_TOKENIZE_BOS, &e);
    if (!rc)
        rc = irori_session_fork(&f, s, &e);
    if (!rc)
        rc = irori_session_generate(s, 3, look, &(seen){0}, NULL, &e);
    if (!rc)
        rc = irori_session_generate(f, 3, look, &(seen){0}, NULL, &e);
    if (rc && (e.code != rc || !e.message[0]))
        fail_msg("status %d without a message", rc);
    irori_session_free(f);
    irori_session_free(s);
    irori_model_close(m);
    return rc;
}

static void every_failed_allocation_is_survived(void **state)
{
    (void)state;
    toy t = toy_llama();
    t.layers = 1;
    char path[256];
    snprintf(path, sizeof path, "%s", toy_save(&t, "sweep.gguf"));
    assert_int_equal(whole_life(path), IRORI_OK);
    mem_stats before, after;
    mem_get_stats(&before);
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        mem_fail_nth(n);
        int rc = whole_life(path);
        mem_fail_nth(0);
        mem_get_stats(&after);
        assert_int_equal(after.bytes, before.bytes);
        if (rc == IRORI_OK)  // past the last allocation
            break;
        if (rc != IRORI_NOMEM)
            fail_msg("allocation %d: status %d", (int)n, rc);
        failures++;
        assert_true(n < 5000);
    }
    assert_true(failures > 40);
}

static int clean(void **state)
{
    (void)state;
    toy_clean();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forks_and_truncation_equal_a_fresh_run),
        cmocka_unit_test(steps_of_several_sessions),
        cmocka_unit_test(a_full_store_keeps_what_there_is),
        cmocka_unit_test(a_known_prefix_is_not_run_again),
        cmocka_unit_test(a_saved_session_goes_on),
        cmocka_unit_test(exact_restoring_gives_the_same_logits),
        cmocka_unit_test(truncating_lossy_pages_runs_them_again),
        cmocka_unit_test(conversations_keep_what_they_share),
        cmocka_unit_test(score_agrees_with_steps),
        cmocka_unit_test(wrong_calls_are_refused),
        cmocka_unit_test(decoding_allocates_nothing),
        cmocka_unit_test(every_failed_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, clean);
}
