// irori eval recall: whether a model still finds what it was told a given number of tokens ago.
//
// Lines of --file come first: the start of a text is what many KV policies keep whole, and facts that stood there would say nothing
// of them. Then a few made-up names get codes; lines follow until the distance is full; then the code of one name is asked for. The
// answer counts when it begins with the code. Names and codes are drawn from a fixed seed, so that two models, or two
// KV policies (--kv), see the same questions.
#include <stdio.h>
#include <string.h>

#include "measure/eval.h"

enum {
    LEAD = 192,
    FACTS = 3,
    LEAST_DISTANCE = 128,
    ANSWER_TOKENS = 12,
    ROOM = 64,
    ITEMS = 20,
    CODE = 8,
    MOST_FILE = 1 << 28
};

typedef struct teller {
    uint64_t state;
    const char *text;  // the filler, and where it goes on
    size_t n, at;
} teller;

static unsigned draw(teller *t, unsigned below)
{
    t->state = t->state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(t->state >> 33) % below;
}

static void make_word(teller *t, char *out, int syllables)
{
    for (int i = 0; i < syllables; i++) {
        *out++ = "bdfghjklmnprstvwyz"[draw(t, 18)];
        *out++ = "aeiou"[draw(t, 5)];
    }
    *out = 0;
}

// Adds the next line of the filler that is not empty; gives its tokens.
static size_t add_line(teller *t, irori_model *m, buf *out)
{
    size_t start, length, n = 0;
    int32_t *ids;
    irori_error e;
    do {
        t->at = t->at < t->n ? t->at : 0;
        const char *p = memchr(t->text + t->at, '\n', t->n - t->at);
        start = t->at;
        length = (p ? (size_t)(p - t->text) : t->n) - start;
        t->at += length + 1;
    } while (length == 0);
    size_t before = out->len;
    buf_add(out, t->text + start, length);
    buf_add_char(out, '\n');
    if (irori_tokenize(m, out->data + before, out->len - before, 0, &ids, &n, &e))
        out->failed = true;
    else
        irori_free(ids);
    return n;
}

// A lead of filler, facts, filler until `distance` tokens, and the question; *code is what it asks for.
static void tell(teller *t, irori_model *m, size_t distance, buf *out, char code[CODE])
{
    char name[FACTS][16];
    unsigned asked = draw(t, FACTS);
    buf_clear(out);
    for (size_t tokens = 0; !out->failed && tokens < LEAD;)
        tokens += add_line(t, m, out);
    buf_add_str(out, "Remember these codes.\n");
    for (unsigned i = 0; i < FACTS; i++) {
        unsigned number = 1000 + draw(t, 9000);
        char first[8], second[8];
        make_word(t, first, 2);
        make_word(t, second, 3);
        snprintf(name[i], sizeof name[i], "%s-%s", first, second);
        buf_printf(out, "The code of %s is %u.\n", name[i], number);
        if (i == asked)
            snprintf(code, CODE, "%u", number);
    }
    for (size_t tokens = 0; !out->failed && tokens < distance;)
        tokens += add_line(t, m, out);
    buf_printf(out, "Question: what is the code of %s? Answer:", name[asked]);
}

static bool begins_with(const buf *text, const char *code)
{
    const char *p = text->data;
    size_t n = text->len, k = strlen(code);
    while (n && *p == ' ') {
        p++;
        n--;
    }
    return n >= k && memcmp(p, code, k) == 0 && (n == k || p[k] < '0' || p[k] > '9');
}

static int ask(teller *t, irori_model *m, irori_session *s, size_t distance, bool *right, irori_error *e)
{
    buf prompt, text;
    char code[CODE];
    int32_t *ids = NULL;
    size_t count;
    buf_init(&prompt);
    buf_init(&text);
    tell(t, m, distance, &prompt, code);
    int rc = prompt.failed
                 ? err_set((err *)(void *)e, ST_NOMEM, "out of memory for a prompt of %zu tokens", distance)
                 : irori_tokenize(m, prompt.data, prompt.len, IRORI_TOKENIZE_BOS, &ids, &count, e);
    if (!rc)
        rc = eval_answer(s, ids, count, ANSWER_TOKENS, &text, e);
    *right = !rc && begins_with(&text, code);
    irori_free(ids);
    buf_done(&prompt);
    buf_done(&text);
    return rc;
}

static int recall_at(const cli_options *o, irori_model *m, irori_session *s, teller *t, size_t distance,
                     report *r, irori_error *e)
{
    size_t n = o->chunks ? (size_t)o->chunks : ITEMS, found = 0;
    char test[32];
    int rc = IRORI_OK;
    for (size_t i = 0; !rc && i < n; i++) {
        bool right;
        rc = ask(t, m, s, distance, &right, e);
        found += right;
    }
    snprintf(test, sizeof test, "recall@%zu", distance);
    if (!rc)
        eval_add_share(r, test, "accuracy", found, n);
    return rc;
}

int eval_recall(const cli_options *o, irori_model *m, report *r, irori_error *e)
{
    static const irori_sampling greedy = {0};
    char *text;
    size_t n;
    irori_session *s = NULL;
    irori_model_info info;
    irori_model_get_info(m, &info);
    int rc = os_read_file(o->file, MOST_FILE, &text, &n, (err *)(void *)e);
    if (rc)
        return rc;
    teller t = {.state = 1, .text = text, .n = n};
    if (strspn(text, "\n") == n)
        rc = err_set((err *)(void *)e, ST_INVALID, "%s: the text that stands between is empty", o->file);
    if (!rc)
        rc = irori_session_new(&s, m, &greedy, e);
    cli_progress bar;
    cli_progress_start(&bar, "asking");
    for (size_t d = LEAST_DISTANCE; !rc && d < (size_t)info.context; d *= 2) {
        cli_progress_step(&bar, d, (uint64_t)info.context);
        rc = recall_at(o, m, s, &t, d, r, e);
    }
    if (rc == IRORI_LIMIT && r->n > 0)
        rc = IRORI_OK;  // facts, filler and question no longer fit: what did is the answer
    cli_progress_end(&bar);
    irori_session_free(s);
    mem_free(text);
    return rc;
}
