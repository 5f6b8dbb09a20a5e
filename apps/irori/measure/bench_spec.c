// irori bench spec: what guessing ahead gains, by kind of task; or, with --oracle, how near the gain of guesses that
// are right with a known probability comes to the formula.
//
// Each task is answered without guesses and with, by turns. Both give the same tokens, so that times compare.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "put.h"

#define USER(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
#define MADE(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"

enum { PROMPTS = 4, RANDOM_TOKENS = 128, MOST_TOKENS = 1 << 12 };

typedef struct task {
    const char *name;
    const char
        *prompts[PROMPTS];  // conversations; NULL: random tokens, and the answer drawn at temperature 2
} task;

static const task tasks[] = {
    {"extraction",
     {"[" USER(
          "Extract JSON with name, age, city, job: Romiko is 31 years old, lives in Tabera and works as a nurse.") "]",
      "[" USER(
          "Extract JSON with name, age, city, job: Danelo is 54 years old, lives in Mokari and works as a baker.") "]",
      "[" USER("List the tasks as JSON: buy tamo on Friday, buy rilu on Monday.") "]",
      "[" USER(
          "List the tasks as JSON: call Mirona on Sunday, clean the boat on Tuesday, buy selo on Monday.") "]"}},
    {"quotation",
     {"[" USER(
          "Repeat: the small boat left the harbour in the morning and came back with a net full of fish.") "]",
      "[" USER(
          "Repeat: for (int i = 0; i < n; i++) { total += price[i] * count[i]; if (total > limit) return i; }") "]",
      "[" USER("Repeat: when the rain had stopped the children ran into the garden to look for snails.") "]",
      "[" USER("Repeat: names = [row.name for row in table if row.age > 30 and row.city == wanted]") "]"}},
    {"chat",
     {"[" USER("My name is Romiko. I live in Tabera. I work as a nurse. I am 31 years old.") "," MADE(
          "I will remember that.") "," USER("What is my name?") "]",
      "[" USER("My name is Danelo. I live in Mokari.") "," MADE("I will remember that.") "," USER(
          "Where do I live?") "]",
      "[" USER("I work as a baker. I am 54 years old.") "," MADE("I will remember that.") "," USER(
          "What is my job?") "]",
      "[" USER("My name is Selima. I am 27 years old.") "," MADE("I will remember that.") "," USER(
          "How old am I?") "]"}},
    {"translation",
     {"[" USER("Translate into English: 私は学生です。") "]",
      "[" USER("Translate into English: 彼は毎日公園を走ります。") "]",
      "[" USER("英語から日本語に訳してください: Thank you very much.") "]",
      "[" USER("英語から日本語に訳してください: She went to the station with her mother.") "]"}},
    {"random", {NULL}},
};

typedef struct totals {
    double seconds;
    size_t tokens;
    irori_speculation_stats st;
} totals;

typedef struct bench {
    const cli_options *o;
    irori_model *m, *draft;
    irori_model_info info;
} bench;

static int add_random(const bench *b, irori_session *s, uint64_t seed, irori_error *e)
{
    int32_t ids[64];
    for (int i = 0; i < 64; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        ids[i] = (int32_t)((seed >> 33) % (uint64_t)b->info.vocabulary);
    }
    return irori_session_add(s, ids, 64, e);
}

// One answer; its time and counts are added to *t.
static int answer(const bench *b, const char *prompt, uint64_t seed, bool guess, totals *t, irori_error *e)
{
    irori_sampling greedy = {0}, wild = {.temperature = 2, .seed = seed};
    irori_session *s;
    irori_generation g;
    irori_speculation_stats st;
    int rc = irori_session_new(&s, b->m, prompt ? &greedy : &wild, e);
    if (rc)
        return rc;
    irori_speculation how = {.lookup = true, .draft = b->draft};
    rc = irori_session_set_speculation(s, guess ? &how : NULL, e);
    if (!rc)
        rc = prompt ? irori_session_add_chat(s, prompt, NULL, NULL, e) : add_random(b, s, seed, e);
    if (!rc)
        rc = irori_session_generate(s, prompt ? cli_max_tokens(b->o) : RANDOM_TOKENS, NULL, NULL, &g, e);
    if (!rc) {
        irori_session_get_speculation(s, &st);
        t->seconds += g.decode_seconds;
        t->tokens += g.completion_tokens - 1;
        t->st.guessed_tokens += st.guessed_tokens;
        t->st.accepted_tokens += st.accepted_tokens;
    }
    irori_session_free(s);
    return rc;
}

typedef struct result {
    const char *name;
    double plain, guessed, ratio, least, most;  // tokens a second; their ratio by turns
    double acceptance;                          // NAN: nothing was guessed
    double formula;                             // --oracle; else NAN
} result;

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double middle(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, compare);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

enum { MOST_ROUNDS = 1000 };

static void summarise(result *r, int rounds, double *plain, double *guessed, double *ratio, const totals *t)
{
    r->plain = middle(plain, rounds);
    r->guessed = middle(guessed, rounds);
    r->ratio = middle(ratio, rounds);  // sorted now
    r->least = ratio[0];
    r->most = ratio[rounds - 1];
    r->acceptance = t->st.guessed_tokens ? (double)t->st.accepted_tokens / (double)t->st.guessed_tokens : NAN;
    r->formula = NAN;
}

static int run_task(const bench *b, const task *k, result *r, irori_error *e)
{
    static double plain[MOST_ROUNDS], guessed[MOST_ROUNDS], ratio[MOST_ROUNDS];
    totals all = {0};
    r->name = k->name;
    for (int round = 0; round < b->o->repetitions; round++) {
        totals t[2] = {{0}};
        for (int i = 0; i < PROMPTS; i++)
            for (int turn = 0; turn < 2; turn++) {
                bool guess = (turn + round) % 2;
                int rc = answer(b, k->prompts[i], (uint64_t)(i + 1), guess, &t[guess], e);
                if (rc)
                    return rc;
            }
        plain[round] = (double)t[0].tokens / t[0].seconds;
        guessed[round] = (double)t[1].tokens / t[1].seconds;
        ratio[round] = guessed[round] / plain[round];
        all.st.guessed_tokens += t[1].st.guessed_tokens;
        all.st.accepted_tokens += t[1].st.accepted_tokens;
    }
    summarise(r, b->o->repetitions, plain, guessed, ratio, &all);
    return IRORI_OK;
}

// ---- Guesses made to order -------------------------------------------------------------------------------------
// The plain answer, each token wrong with probability 1 - right; the same mistakes every time.
typedef struct script {
    int32_t ids[MOST_TOKENS];
    size_t n;
    double right;
    int vocabulary;
} script;

static bool is_right(const script *x, size_t at)
{
    uint64_t z = (at + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    return (double)((z ^ z >> 27) >> 11) * 0x1p-53 < x->right;
}

static int recite(void *ctx, const int32_t *history, size_t n, int32_t *guess, int most)
{
    const script *x = ctx;
    int count = 0;
    (void)history;
    for (size_t at = n; at < x->n && count < most; at++)
        guess[count++] = is_right(x, at) ? x->ids[at] : (x->ids[at] + 1) % x->vocabulary;
    return count;
}

// Seconds a token of one answer of max_tokens tokens.
static int recited(const bench *b, script *x, int length, double *each, irori_speculation_stats *st,
                   irori_error *e)
{
    static const irori_sampling greedy = {0};
    irori_session *s;
    irori_generation g;
    int rc = irori_session_new(&s, b->m, &greedy, e);
    if (rc)
        return rc;
    irori_speculation how = {.propose = recite, .propose_ctx = x, .most = length, .always = true};
    if (length)
        rc = irori_session_set_speculation(s, &how, e);
    if (!rc)
        rc = add_random(b, s, 1, e);
    if (!rc)
        rc = irori_session_generate(s, cli_max_tokens(b->o), NULL, NULL, &g, e);
    if (!rc) {
        irori_session_get_speculation(s, st);
        *each = g.decode_seconds / (double)MAX(g.completion_tokens - 1, 1);
        if (!length) {
            const int32_t *ids = irori_session_tokens(s, &x->n);
            x->n = MIN(x->n, (size_t)MOST_TOKENS);
            memcpy(x->ids, ids, x->n * sizeof *ids);
        }
    }
    irori_session_free(s);
    return rc;
}

// Of the answer's last n tokens, those that are recited rightly: in a short answer not quite x->right.
static double right_share(const script *x, int n)
{
    size_t right = 0, from = x->n > (size_t)n ? x->n - (size_t)n : 0;
    for (size_t at = from; at < x->n; at++)
        right += is_right(x, at);
    return (double)right / (double)MAX(x->n - from, (size_t)1);
}

// Gain of guesses of `length` tokens: measured, and (1 - a^(k+1)) / (1 - a) tokens a run that costs 1 + kc plain runs
// (Leviathan et al. 2022, arXiv 2211.17192), kc being what a run with k more rows was measured to cost more.
static int run_oracle(const bench *b, script *x, int length, result *r, irori_error *e)
{
    static double plain[MOST_ROUNDS], guessed[MOST_ROUNDS], ratio[MOST_ROUNDS], cost[MOST_ROUNDS];
    totals all = {0};
    static char names[8][16];
    snprintf(names[length % 8], sizeof names[0], "oracle, k=%d", length);
    r->name = names[length % 8];
    for (int round = 0; round < b->o->repetitions; round++) {
        double each[3];
        irori_speculation_stats st, never;
        script wrong = *x;
        wrong.right = 0;
        int rc = recited(b, x, 0, &each[0], &st, e);
        if (!rc)
            rc = recited(b, &wrong, length, &each[1], &never, e);  // one token a run: what such a run costs
        if (!rc)
            rc = recited(b, x, length, &each[2], &st, e);
        if (rc)
            return rc;
        plain[round] = 1 / each[0];
        guessed[round] = 1 / each[2];
        ratio[round] = each[0] / each[2];
        cost[round] = each[1] / each[0];
        all.st.guessed_tokens += st.guessed_tokens;
        all.st.accepted_tokens += st.accepted_tokens;
    }
    summarise(r, b->o->repetitions, plain, guessed, ratio, &all);
    double a = right_share(x, (int)cli_max_tokens(b->o)),
           made = a < 1 ? (1 - pow(a, length + 1)) / (1 - a) : length + 1;
    r->formula = made / middle(cost, b->o->repetitions);
    return IRORI_OK;
}

// ---- Reports ---------------------------------------------------------------------------------------------------
static int report_json(const result *r, int n)
{
    buf out;
    json_writer w;
    buf_init(&out);
    json_begin(&w, &out);
    json_arr(&w);
    for (int i = 0; i < n; i++) {
        json_obj(&w);
        put_str(&w, "task", r[i].name);
        put_num(&w, "plain_tokens_per_second", r[i].plain);
        put_num(&w, "tokens_per_second", r[i].guessed);
        put_num(&w, "ratio", r[i].ratio);
        put_num(&w, "ratio_min", r[i].least);
        put_num(&w, "ratio_max", r[i].most);
        put_num(&w, "acceptance", r[i].acceptance);
        put_num(&w, "formula", r[i].formula);
        json_end(&w);
    }
    json_end(&w);
    return cli_print_json(&out);
}

static void report_text(const bench *b, const result *r, int n)
{
    printf("%s, %s, %s (irori %s)\n", b->info.name, b->info.quantization, b->info.device, irori_version());
    printf("%-14s %10s %10s %7s %14s %9s%s\n", "task", "plain t/s", "t/s", "ratio", "least..most", "accepted",
           b->o->oracle > 0 ? "  formula" : "");
    for (int i = 0; i < n; i++) {
        printf("%-14s %10.1f %10.1f %7.2f %6.2f..%-6.2f", r[i].name, r[i].plain, r[i].guessed, r[i].ratio,
               r[i].least, r[i].most);
        if (isnan(r[i].acceptance))
            printf(" %9s", "-");
        else
            printf(" %7.0f %%", 100 * r[i].acceptance);
        if (isnan(r[i].formula))
            printf("\n");
        else
            printf(" %8.2f\n", r[i].formula);
    }
}

static int run_all(const bench *b, result *r, int *n, irori_error *e)
{
    static const int lengths[] = {1, 2, 4, 7};
    static script x;
    cli_progress bar;
    cli_progress_start(&bar, "measuring");
    int rc = IRORI_OK, of = b->o->oracle > 0 ? (int)COUNT_OF(lengths) : (int)COUNT_OF(tasks);
    x.right = (double)b->o->oracle;
    x.vocabulary = b->info.vocabulary;
    for (*n = 0; !rc && *n < of; ++*n) {
        cli_progress_step(&bar, (uint64_t)*n, (uint64_t)of);
        rc = b->o->oracle > 0 ? run_oracle(b, &x, lengths[*n], &r[*n], e)
                              : run_task(b, &tasks[*n], &r[*n], e);
    }
    cli_progress_end(&bar);
    return rc;
}

int cmd_bench_spec(const cli_options *o)
{
    enum { MOST_RESULTS = 8 };
    cli_options own = *o;
    bench b = {.o = &own};
    result r[MOST_RESULTS];
    int n;
    irori_error e;
    own.repetitions = o->repetitions ? o->repetitions : 3;
    own.no_prefixes = true;  // the same prompts are run again and again
    int rc = cli_open(&own, 0, 0, &b.m);
    if (!rc)
        rc = cli_open_draft(&own, &b.draft);
    if (!rc) {
        irori_model_get_info(b.m, &b.info);
        rc = run_all(&b, r, &n, &e) ? cli_fail(&e) : CLI_OK;
    }
    if (!rc && o->json)
        rc = report_json(r, n);
    else if (!rc)
        report_text(&b, r, n);
    irori_model_close(b.draft);
    irori_model_close(b.m);
    return rc;
}
