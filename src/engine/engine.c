// The engine: opening in the right order, and turning rows into a device batch.
#include "engine/own.h"

static int alloc_arrays(engine *x)
{
    size_t n = (size_t)x->batch;
    x->token = mem_calloc(MEM_BUFFERS, n, sizeof *x->token);
    x->pos = mem_calloc(MEM_BUFFERS, n, sizeof *x->pos);
    x->seq = mem_calloc(MEM_BUFFERS, n, sizeof *x->seq);
    x->output = mem_calloc(MEM_BUFFERS, n, sizeof *x->output);
    x->views = mem_calloc(MEM_BUFFERS, n, sizeof *x->views);
    return x->token && x->pos && x->seq && x->output && x->views ? ST_OK : ST_NOMEM;
}

static int load_weights(engine *x, const engine_options *o, err *e)
{
    dev_load l = {.progress = o->progress, .progress_ctx = o->progress_ctx};
    if (o->cache_dir && *o->cache_dir) {
        l.cache_dir = o->cache_dir;
        l.cache_least = o->cache_least;
        l.source = gguf_path(x->file);
        l.source_hash = x->hash;
    }
    return x->dev->ops->load(x->dev, &x->model.graph, &l, e);
}

// Tokenizer and weights are both in the file; 0 means something else to kv.
static uint64_t kv_root(const engine *x)
{
    return x->hash | 1;
}

static int open_parts(engine *x, const engine_options *o, err *e)
{
    dev_cpu_options cpu = {
        .threads = o->threads, .isa = o->cpu, .pin = !o->no_pin, .no_repack = o->no_repack};
    int rc = dev_cpu_new(&x->dev, &cpu, e);
    if (!rc)
        rc = model_load(&x->model, x->file, o->context, x->dev->form_of, e);
    if (rc)
        return rc;
    int trained = x->model.params.context;
    const model_params *p = &x->model.params;
    x->context = p->positions;
    if (x->context > trained)
        return err_set(e, ST_LIMIT, "%s: context of %d tokens asked, the model was trained for %d",
                       gguf_path(x->file), x->context, trained);
    if (p->both_ways && x->context > DEV_MOST_BATCH)
        return err_set(e, ST_LIMIT,
                       "%s: context of %d tokens asked; this model runs a text at once, at most %d",
                       gguf_path(x->file), x->context, DEV_MOST_BATCH);
    if (p->both_ways)
        x->batch = MAX(x->batch, x->context);
    rc = load_weights(x, o, e);
    if (!rc)
        rc = x->dev->ops->plan(x->dev, &x->model.graph, &x->model.kv, x->batch, x->outputs, &x->plan, e);
    // One page more each: a fork may hold a copy of a half-written one.
    int64_t pages = (int64_t)x->sequences * ((x->context + DEV_PAGE - 1) / DEV_PAGE + 1);
    if (p->pooling != MODEL_POOL_NONE)  // each text of a step has its own
        pages = MAX(pages, x->batch / DEV_PAGE + x->outputs);
    if (!rc && pages > INT32_MAX)
        rc = err_set(e, ST_LIMIT, "%d sessions of %d tokens are too many to count", x->sequences, x->context);
    if (!rc)
        rc = kv_new(&x->kv, &x->model.kv,
                    &(kv_options){.pages = (int)pages,
                                  .prefix_tree = !o->no_prefixes && !p->both_ways,
                                  .root = kv_root(x),
                                  .policy = o->kv_policy,
                                  .spill_dir = o->kv_spill_dir,
                                  .spill_bytes = o->kv_spill_bytes},
                    e);
    if (!rc && alloc_arrays(x))
        rc = err_set(e, ST_NOMEM, "no memory for a batch of %d tokens", x->batch);
    return rc;
}

int engine_open(engine *x, const gguf *file, const engine_options *o, err *e)
{
    *x = (engine){.file = file,
                  .hash = gguf_model_hash(file),
                  .batch = o->batch ? o->batch : 512,
                  .outputs = o->outputs ? o->outputs : 64,
                  .sequences = o->sequences ? o->sequences : 1};
    if (x->batch < 1 || x->batch > DEV_MOST_BATCH)
        return err_set(e, ST_INVALID, "batch of %d tokens, allowed 1..%d", x->batch, DEV_MOST_BATCH);
    if (o->context < 0)
        return err_set(e, ST_INVALID, "context of %d tokens, allowed 1 and more", o->context);
    if (x->sequences < 1 || x->sequences > 4096)
        return err_set(e, ST_INVALID, "%d sessions, allowed 1..4096", x->sequences);
    if (o->threads < 0)
        return err_set(e, ST_INVALID, "%d threads, allowed 1..1024", o->threads);
    x->outputs = MIN(x->outputs, x->batch);
    x->threads = o->threads > 0 ? o->threads : os_cpu_count();
    int rc = open_parts(x, o, e);
    if (rc)
        engine_close(x);
    return rc;
}

void engine_close(engine *x)
{
    kv_free(x->kv);
    if (x->plan)
        x->dev->ops->plan_free(x->plan);
    model_done(&x->model);
    if (x->dev)
        x->dev->ops->free(x->dev);
    mem_free(x->token);
    mem_free(x->pos);
    mem_free(x->seq);
    mem_free(x->output);
    mem_free(x->views);
    *x = (engine){0};
}

int engine_adapter_open(engine *x, const char *path, engine_adapter *out, err *e)
{
    gguf *file;
    model_adapter parts;
    *out = (engine_adapter){0};
    int rc = gguf_open(&file, path, e);
    if (rc)
        return rc;
    rc = model_adapter_load(&parts, &x->model, file, e);
    if (!rc) {
        rc = x->dev->ops->adapter_new(x->plan, parts.parts, &out->dev, e);
        out->hash = gguf_model_hash(file);
        model_adapter_done(&parts);
    }
    gguf_close(file);
    return rc;
}

void engine_adapter_close(engine *x, engine_adapter *a)
{
    if (a->dev && x->adapter == a->dev)
        engine_set_adapter(x, NULL, 0);
    x->dev->ops->adapter_free(a->dev);
    *a = (engine_adapter){0};
}

void engine_set_adapter(engine *x, const engine_adapter *a, float scale)
{
    uint64_t root = kv_root(x);
    if (a) {
        root = hash_combine(root, &a->hash, sizeof a->hash);
        root = hash_combine(root, &scale, sizeof scale) | 1;
    }
    x->adapter = a ? a->dev : NULL;
    x->dev->ops->set_adapter(x->plan, x->adapter, scale);
    kv_set_root(x->kv, root);
}

int engine_forward(engine *x, const engine_row *rows, int n_rows, const float **logits,
                   bool (*cancel)(void *ctx), void *cancel_ctx, err *e)
{
    dev_batch b = {.token = x->token,
                   .pos = x->pos,
                   .seq = x->seq,
                   .output = x->output,
                   .views = x->views,
                   .cancel = cancel,
                   .cancel_ctx = cancel_ctx,
                   .observe = x->observe,
                   .observe_ctx = x->observe_ctx};
    for (int r = 0; r < n_rows; r++) {
        int rc = kv_seq_reserve(rows[r].seq, rows[r].n, e);
        if (rc)
            return rc;
        x->views[r] = kv_seq_view(rows[r].seq);
        int start = kv_seq_length(rows[r].seq);
        int wanted = x->model.params.pools_first ? 0 : rows[r].n - rows[r].outputs;
        for (int i = 0; i < rows[r].n; i++) {
            if (i >= wanted && i < wanted + rows[r].outputs)
                x->output[b.n_outputs++] = b.n_tokens;
            x->token[b.n_tokens] = rows[r].tokens[i];
            x->pos[b.n_tokens] = start + i;
            x->seq[b.n_tokens++] = r;
        }
    }
    if (x->dev->ops->run(x->plan, &b, logits) == ST_CANCELED)
        return err_set(e, ST_CANCELED, "stopped");
    return ST_OK;
}

int engine_step(engine *x, const engine_row *rows, int n_rows, const float **logits,
                bool (*cancel)(void *ctx), void *cancel_ctx, err *e)
{
    int tokens = 0;
    // Before the step: the logits of the one before are no longer needed.
    for (int r = 0; r < n_rows; r++)
        engine_guard_check(x, rows[r].seq);
    int rc = engine_forward(x, rows, n_rows, logits, cancel, cancel_ctx, e);
    if (rc)
        return rc;
    for (int r = 0; r < n_rows; r++) {
        kv_seq_append(rows[r].seq, rows[r].tokens, rows[r].n);
        // Whoever wants more than the last token's logits may have guessed the tokens behind the first of them.
        kv_seq_doubt(rows[r].seq, rows[r].outputs > 0 ? rows[r].outputs - 1 : 0);
        tokens += rows[r].n;
    }
    kv_adapt(x->kv, tokens);
    return ST_OK;
}
