// Sessions in files, and prompts kept for later starts.
#include <string.h>

#include "api/own.h"

// Less than this is run sooner than its file is found.
enum { LEAST_PROMPT = 4 * DEV_PAGE };
static const uint64_t folder_bytes = (uint64_t)8 << 30;  // all kept prompts together

int irori_session_save(irori_session *s, const char *path, irori_error *error)
{
    api_settle(s);
    return kv_seq_save(s->seq, path, api_err(error));
}

// The logits after the last token are not saved: it is run once more.
static int run_last(irori_session *s, irori_error *error)
{
    if (s->count == 0)
        return ST_OK;
    int32_t last = s->tokens[s->count - 1];
    int rc = irori_session_truncate(s, s->count - 1, error);
    const float *logits;
    api_row row = {s, &last, 1, 1};
    return rc ? rc : api_run(s->m, &row, 1, &logits, api_err(error));
}

int irori_session_load(irori_session **out, irori_model *m, const irori_sampling *sampling, const char *path,
                       irori_error *error)
{
    err *e = api_err(error);
    irori_session *s;
    int rc = irori_session_new(&s, m, sampling, error);
    *out = NULL;
    if (rc)
        return rc;
    kv_seq *loaded;
    rc = kv_seq_load(m->engine.kv, path, m->engine.context, &loaded, e);
    if (!rc) {
        kv_seq_free(s->seq);
        s->seq = loaded;
        s->count = (size_t)kv_seq_tokens(loaded, s->tokens);
        for (size_t i = 0; !rc && i < s->count; i++)
            if (s->tokens[i] < 0 || s->tokens[i] >= api_vocab(m))
                rc = err_set(e, ST_FORMAT, "%s: token %zu is %d, allowed 0..%d", path, i, s->tokens[i],
                             api_vocab(m) - 1);
    }
    if (!rc)
        rc = run_last(s, error);
    if (rc) {
        irori_session_free(s);
        return rc;
    }
    *out = s;
    return ST_OK;
}

int api_load_prompt(irori_session *s, const int32_t *ids, size_t count)
{
    const char *dir = s->m->prompt_cache;
    return dir ? kv_seq_load_pages(s->seq, ids, (int)count, dir) : 0;
}

void api_save_prompt(irori_session *s, size_t from)
{
    const char *dir = s->m->prompt_cache;
    if (dir && s->count >= LEAST_PROMPT && s->count - from >= DEV_PAGE &&
        kv_seq_save_pages(s->seq, (int)from, dir) > 0)
        os_trim_dir(dir, KV_PAGE_SUFFIX, folder_bytes);
}
