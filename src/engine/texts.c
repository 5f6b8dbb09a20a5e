// Whole texts: embeddings, and scores of those that rank.
//
// Texts are run side by side while they fit into a step; a decoder's text that is longer than a step runs in several,
// alone. An encoder's fits always: its step is as long as its context.
#include "engine/engine.h"

enum { MOST_TEXTS = 64 };

typedef struct texts {
    engine *x;
    kv_seq *seq[MOST_TEXTS];
    engine_take_fn *take;
    void *take_ctx;
    bool (*cancel)(void *ctx);
    void *cancel_ctx;
} texts;

static int step(texts *t, const engine_row *rows, int n, const float **results, err *e)
{
    return engine_step(t->x, rows, n, results, t->cancel, t->cancel_ctx, e);
}

// A text of its own: what the prefix tree has of it need not be run, nor must it fit into one step.
static int run_alone(texts *t, const engine_text *text, size_t index, err *e)
{
    const float *result = NULL;
    int rc = kv_seq_new(t->x->kv, &t->seq[0], e);
    if (rc)
        return rc;
    int at = kv_seq_match(t->seq[0], text->tokens, text->n - 1, e);
    rc = at < 0 ? at : ST_OK;
    while (!rc && at < text->n) {
        int n = MIN(t->x->batch, text->n - at);
        engine_row row = {t->seq[0], text->tokens + at, n, at + n == text->n};
        rc = step(t, &row, 1, &result, e);
        at += n;
    }
    if (!rc)
        t->take(t->take_ctx, index, result);
    kv_seq_free(t->seq[0]);
    return rc;
}

static int run_together(texts *t, const engine_text *text, int n, size_t index, err *e)
{
    engine_row rows[MOST_TEXTS];
    const float *results = NULL;
    int made = 0, rc = ST_OK;
    for (; made < n && !rc; made += !rc) {
        rc = kv_seq_new(t->x->kv, &t->seq[made], e);
        if (!rc)
            rows[made] = (engine_row){t->seq[made], text[made].tokens, text[made].n, 1};
    }
    if (!rc)
        rc = step(t, rows, n, &results, e);
    for (int i = 0; i < n && !rc; i++)
        t->take(t->take_ctx, index + (size_t)i, results + (size_t)i * (size_t)t->x->model.result_width);
    while (made > 0)
        kv_seq_free(t->seq[--made]);
    return rc;
}

int engine_texts(engine *x, const engine_text *text, size_t n, engine_take_fn *take, void *take_ctx,
                 bool (*cancel)(void *ctx), void *cancel_ctx, err *e)
{
    texts t = {.x = x, .take = take, .take_ctx = take_ctx, .cancel = cancel, .cancel_ctx = cancel_ctx};
    const int most = MIN(MOST_TEXTS, x->outputs);
    // A decoder's texts share what they begin with, so each waits for the one before it.
    const bool together = x->model.params.pooling != MODEL_POOL_NONE;
    for (size_t i = 0; i < n;) {
        int count = 1, tokens = text[i].n;
        while (together && i + (size_t)count < n && count < most &&
               text[i + (size_t)count].n <= x->batch - tokens)
            tokens += text[i + (size_t)count++].n;
        int rc = together && tokens <= x->batch ? run_together(&t, text + i, count, i, e)
                                                : run_alone(&t, &text[i], i, e);
        if (rc)
            return rc;
        i += (size_t)count;
    }
    return ST_OK;
}
