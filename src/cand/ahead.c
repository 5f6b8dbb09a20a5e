// What is run before the trigger: the tag of each axis behind the conversation, so that at the trigger no token is left
// to run and every row chooses its first one at once.
#include <string.h>

#include "cand/own.h"

int cand_ahead_new(cand_ahead **out, engine *x, const tok *t, const cand_profile *p, err *e)
{
    *out = NULL;
    cand_ahead *a = mem_calloc(MEM_OTHER, 1, sizeof *a);
    if (!a)
        return err_set(e, ST_NOMEM, "no memory to run ahead");
    *a = (cand_ahead){.x = x, .tok = t, .profile = p};
    size_t vocab = (size_t)x->model.params.vocab;
    a->logits = mem_alloc(MEM_BUFFERS, vocab * (size_t)p->n_axes * sizeof *a->logits);
    int rc = a->logits ? ST_OK : err_set(e, ST_NOMEM, "no memory for the logits of %d axes", p->n_axes);
    for (int i = 0; !rc && i < p->n_axes; i++) {
        const char *tag = p->axes[i].tag;
        rc = tok_encode_append(t, &a->tag[i], tag, strlen(tag), 0, e);
        if (!rc && (a->tag[i].count == 0 || a->tag[i].count > CAND_MOST_TOKENS))
            rc = err_set(e, ST_INVALID, "tag of axis \"%s\" is %zu tokens, allowed 1..%d", p->axes[i].id,
                         a->tag[i].count, CAND_MOST_TOKENS);
    }
    if (rc) {
        cand_ahead_free(a);
        return rc;
    }
    *out = a;
    return ST_OK;
}

void cand_ahead_free(cand_ahead *a)
{
    if (!a)
        return;
    cand_ahead_reset(a);
    for (int i = 0; i < CAND_AXES; i++)
        tok_ids_done(&a->tag[i]);
    mem_free(a->logits);
    mem_free(a);
}

void cand_ahead_reset(cand_ahead *a)
{
    for (int i = 0; i < CAND_AXES; i++) {
        kv_seq_free(a->seq[i]);
        a->seq[i] = NULL;
    }
}

const float *cand_ahead_logits(const cand_ahead *a, int axis)
{
    return a->logits + (size_t)axis * (size_t)a->x->model.params.vocab;
}

// The next axes to run in one step, as many as fit; their number. None are taken twice.
static int gather(const cand_ahead *a, const int *axes, int n, int *some)
{
    int count = 0, tokens = 0;
    for (int i = 0; i < n; i++) {
        bool there = a->seq[axes[i]] != NULL;
        for (int k = 0; k < count; k++)
            there = there || some[k] == axes[i];
        tokens += there ? 0 : (int)a->tag[axes[i]].count;
        if (!there && (count == 0 || tokens <= a->x->batch) && count < a->x->outputs)
            some[count++] = axes[i];
    }
    return count;
}

int cand_ahead_run(cand_ahead *a, const kv_seq *prefix, const int *axes, int n, bool (*cancel)(void *ctx),
                   void *ctx, err *e)
{
    int some[CAND_AXES], count, rc = ST_OK;
    size_t vocab = (size_t)a->x->model.params.vocab;
    while (!rc && (count = gather(a, axes, n, some)) > 0) {
        engine_row rows[CAND_AXES];
        kv_seq *fresh[CAND_AXES] = {NULL};
        const float *logits;
        for (int i = 0; !rc && i < count; i++) {
            const tok_ids *tag = &a->tag[some[i]];
            rc = kv_seq_fork(prefix, &fresh[i], e);
            rows[i] = (engine_row){fresh[i], tag->data, (int)tag->count, 1};
        }
        if (!rc)
            rc = engine_step(a->x, rows, count, &logits, cancel, ctx, e);
        for (int i = 0; i < count; i++) {
            if (rc) {
                kv_seq_free(fresh[i]);
                continue;
            }
            a->seq[some[i]] = fresh[i];
            memcpy(a->logits + (size_t)some[i] * vocab, logits + (size_t)i * vocab, vocab * sizeof *logits);
        }
    }
    return rc;
}
