// From a folder to a file.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "convert/own.h"

typedef struct job {
    convert_plan plan;
    float *row;      // of the widest tensor
    uint8_t *bytes;  // the row as written
    const convert_out *at;
    uint64_t at_row;  // the row of `at` that `bytes` holds
    uint64_t done, total;
    err *e;
} job;

static int make_row(job *j, const convert_out *t, uint64_t row)
{
    size_t n = (size_t)t->dims[0];
    if (j->at == t && j->at_row == row)
        return ST_OK;
    j->at = t;
    j->at_row = row;
    if (t->kind == CONVERT_MXFP4) {
        convert_row_mxfp4(t, row, j->bytes);
        return ST_OK;
    }
    convert_row(t, row, j->row);
    for (size_t i = 0; t->type == QT_F16 && i < n; i++)
        if (fabsf(j->row[i]) >= 65520 && isfinite(j->row[i]))
            return err_set(j->e, ST_LIMIT, "%s holds %g, which F16 cannot; convert to bf16 or f32", t->name,
                           (double)j->row[i]);
    quant_type_info(t->type)->encode(j->row, j->bytes, n);
    return ST_OK;
}

typedef struct fill_ctx {
    job *j;
    const convert_out *t;
} fill_ctx;

static int fill(void *ctx, const char *name, uint64_t offset, void *dst, size_t n)
{
    (void)name;
    const fill_ctx *f = ctx;
    size_t row_bytes = quant_row_bytes(f->t->type, f->t->dims[0]);
    for (size_t put = 0; put < n;) {
        uint64_t row = (offset + put) / row_bytes;
        size_t from = (size_t)((offset + put) % row_bytes), k = MIN(row_bytes - from, n - put);
        int rc = make_row(f->j, f->t, row);
        if (rc)
            return rc;
        memcpy((uint8_t *)dst + put, f->j->bytes + from, k);
        put += k;
    }
    f->j->done += n;
    const convert_options *o = f->j->plan.o;
    if (o->progress && !o->progress(o->ctx, f->j->done, f->j->total))
        return err_set(f->j->e, ST_CANCELED, "stopped");
    return ST_OK;
}

static int write_tensors(job *j, gguf_writer *w, const char *out, err *e)
{
    const convert_out *all = (const convert_out *)(const void *)j->plan.outs.data;
    size_t n = j->plan.outs.len / sizeof *all;
    fill_ctx *ctx = mem_calloc(MEM_OTHER, n, sizeof *ctx);
    uint64_t widest = 1;
    for (size_t i = 0; ctx && i < n; i++) {
        ctx[i] = (fill_ctx){j, &all[i]};
        gguf_writer_tensor(w, all[i].name, all[i].type, all[i].n_dims, all[i].dims, fill, &ctx[i]);
        widest = MAX(widest, all[i].dims[0]);
        j->total += quant_row_bytes(all[i].type, all[i].dims[0]) * all[i].dims[1] * all[i].dims[2];
    }
    j->row = mem_alloc(MEM_OTHER, widest * sizeof *j->row);
    j->bytes = mem_alloc(MEM_OTHER, widest * sizeof *j->row);
    err why = {0}, saving = {0};
    j->e = &why;
    int rc = ctx && j->row && j->bytes ? gguf_writer_save(w, out, &saving)
                                       : err_set(e, ST_NOMEM, "%s: no memory", out);
    if (rc && why.code)  // what stopped the filling says more than that it stopped
        err_set(e, rc, "%s: %s", out, why.msg);
    else if (rc && saving.code)
        err_set(e, rc, "%s", saving.msg);
    mem_free(ctx);
    mem_free(j->row);
    mem_free(j->bytes);
    return rc;
}

static const convert_family *find_family(const convert_source *s, err *e)
{
    const char *type = convert_text(s->config, "model_type");
    const convert_family *f = type ? convert_family_find(type) : NULL;
    if (f)
        return f;
    buf names;
    buf_init(&names);
    convert_family_names(&names);
    err_set(e, ST_UNSUPPORTED,
            "%s/config.json: model_type is \"%s\", which irori does not convert; it does %s", s->dir,
            type ? type : "", names.failed ? "" : names.data);
    buf_done(&names);
    return NULL;
}

// What models of several parts keep about their text part goes up to where single models have it.
static void lift_text_config(convert_source *s)
{
    const json_t *text = json_object_get(s->config, "text_config");
    if (json_is_object(text))
        json_object_update_missing(s->config, (json_t *)(uintptr_t)text);
}

int convert_model(const char *dir, const char *out, const convert_options *o, err *e)
{
    convert_source s;
    job j = {.plan = {.s = &s, .o = o}};
    gguf_writer *w = NULL;
    buf_init(&j.plan.outs);
    int rc = convert_source_open(&s, dir, e);
    if (!rc) {
        lift_text_config(&s);
        j.plan.f = find_family(&s, e);
        rc = j.plan.f ? ST_OK : ST_UNSUPPORTED;
    }
    if (!rc && gguf_writer_new(&w))
        rc = err_set(e, ST_NOMEM, "%s: no memory", out);
    if (!rc)
        rc = convert_plan_make(&j.plan, e);
    if (!rc)
        rc = convert_keys(&s, j.plan.f, o, w, e);
    if (!rc)
        rc = convert_vocab(&s, j.plan.f, w, e);
    if (!rc)
        rc = write_tensors(&j, w, out, e);
    gguf_writer_free(w);
    buf_done(&j.plan.outs);
    convert_source_close(&s);
    return rc;
}
