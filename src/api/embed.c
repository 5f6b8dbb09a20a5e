// Embeddings: texts in, unit vectors out.
#include <math.h>
#include <string.h>

#include "api/own.h"

int api_texts_new(api_texts *t, size_t most, err *e)
{
    *t = (api_texts){.text = mem_calloc(MEM_OTHER, most, sizeof *t->text)};
    return t->text ? ST_OK : err_set(e, ST_NOMEM, "no memory for %zu texts", most);
}

int api_texts_end(api_texts *t, err *e)
{
    if (tok_ids_add(&t->ids, t->one.data, t->one.count))
        return err_set(e, ST_NOMEM, "no memory for the tokens of %zu texts", t->count + 1);
    t->text[t->count++].n = (int)t->one.count;
    t->one.count = 0;
    return ST_OK;
}

const engine_text *api_texts_ready(api_texts *t)
{
    const int32_t *at = t->ids.data;
    for (size_t i = 0; i < t->count; at += t->text[i++].n)
        t->text[i].tokens = at;
    return t->text;
}

void api_texts_done(api_texts *t)
{
    tok_ids_done(&t->one);
    tok_ids_done(&t->ids);
    mem_free(t->text);
}

// The ids of text i, cut to the context when that is wanted; a closing token stays the last.
static int add_text(const irori_model *m, api_texts *t, const irori_text *text, size_t i, bool truncate,
                    err *e)
{
    const size_t most = (size_t)m->engine.context;
    int rc = tok_encode_append(m->tok, &t->one, text->data, text->bytes, TOK_BOS | TOK_EOS, e);
    size_t n = t->one.count;
    if (rc)
        return rc;
    if (n == 0)
        return err_set(e, ST_INVALID, "text %zu is empty", i);
    if (n > most && !truncate)
        return err_set(e, ST_LIMIT, "text %zu has %zu tokens, the context is %zu; shorten it or have it cut",
                       i, n, most);
    if (n > most) {
        t->one.count = most;
        if (tok_adds_eos(m->tok))
            t->one.data[most - 1] = tok_eos(m->tok);
    }
    return api_texts_end(t, e);
}

// The first numbers of each result, as a vector of length 1 (of zeros if they are all 0).
static void take_vector(void *ctx, size_t i, const float *result)
{
    const irori_embeddings *out = ctx;
    float *v = out->vectors + i * (size_t)out->width;
    double square = 0;
    for (int k = 0; k < out->width; k++)
        square += (double)result[k] * (double)result[k];
    for (int k = 0; k < out->width; k++)
        v[k] = square > 0 ? (float)(result[k] / sqrt(square)) : 0;
}

static int run(irori_model *m, const irori_text *texts, size_t count, bool truncate, irori_embeddings *out,
               err *e)
{
    api_texts list;
    uint64_t floats;
    int rc = api_texts_new(&list, count, e);
    for (size_t i = 0; i < count && !rc; i++)
        rc = add_text(m, &list, &texts[i], i, truncate, e);
    if (!rc && (!check_mul(count, (uint64_t)out->width, &floats) || floats > SIZE_MAX / sizeof(float) ||
                !(out->vectors = mem_alloc(MEM_OTHER, (size_t)floats * sizeof(float)))))
        rc = err_set(e, ST_NOMEM, "no memory for %zu vectors of %d", count, out->width);
    if (!rc)
        rc = engine_texts(&m->engine, api_texts_ready(&list), count, take_vector, out, NULL, NULL, e);
    out->tokens = list.ids.count;
    api_texts_done(&list);
    return rc;
}

int irori_embed(irori_model *m, const irori_text *texts, size_t count, const irori_embed_options *options,
                irori_embeddings *out, irori_error *error)
{
    static const irori_embed_options defaults;
    const irori_embed_options *o = options ? options : &defaults;
    err *e = api_err(error);
    *out = (irori_embeddings){0};
    int rc = api_need_engine(m, e);
    if (rc)
        return rc;
    irori_model_info info;
    irori_model_get_info(m, &info);
    if (info.embedding_width == 0)
        return err_set(e, ST_UNSUPPORTED, "%s gives no embeddings", gguf_path(m->file));
    if (o->dimensions < 0 || o->dimensions > info.embedding_width)
        return err_set(e, ST_INVALID, "%d dimensions asked, allowed 1..%d", o->dimensions,
                       info.embedding_width);
    irori_embeddings made = {.width = o->dimensions ? o->dimensions : info.embedding_width};
    rc = count ? run(m, texts, count, o->truncate, &made, e) : ST_OK;
    if (rc)
        mem_free(made.vectors);
    else
        *out = made;
    return rc;
}
