// Text to tokens and back, and conversations under the model's template.
#include <string.h>
#include <time.h>

#include "api/own.h"

static unsigned inner_flags(unsigned flags)
{
    return (flags & IRORI_TOKENIZE_SPECIAL ? TOK_SPECIAL : 0u) | (flags & IRORI_TOKENIZE_BOS ? TOK_BOS : 0u);
}

int irori_tokenize(const irori_model *m, const char *text, size_t bytes, unsigned flags, int32_t **ids,
                   size_t *count, irori_error *error)
{
    return tok_encode(m->tok, text, bytes, inner_flags(flags), ids, count, api_err(error));
}

const char *irori_token_text(const irori_model *m, int32_t id, size_t *bytes)
{
    *bytes = 0;
    if (id < 0 || (uint32_t)id >= tok_count(m->tok))
        return NULL;
    return tok_piece(m->tok, id, TOK_SPECIAL, bytes);
}

bool irori_token_ends_text(const irori_model *m, int32_t id)
{
    return tok_is_eog(m->tok, id);
}

// A special token's text, NUL-terminated, for the template's bos_token and eos_token.
static const char *special_text(const tok *t, int32_t id, char *out, size_t cap)
{
    size_t n = 0;
    const char *p = id < 0 ? "" : tok_piece(t, id, TOK_SPECIAL, &n);
    n = MIN(n, cap - 1);
    memcpy(out, p, n);
    out[n] = 0;
    return out;
}

int irori_chat_tokens(const irori_model *m, const char *messages, const char *tools, const char *variables,
                      bool add_generation_prompt, int32_t **ids, size_t *count, irori_error *error)
{
    err *e = api_err(error);
    *ids = NULL;
    *count = 0;
    if (!m->tmpl)
        return err_set(e, ST_UNSUPPORTED, "%s: the model has no chat template; give it plain text",
                       gguf_path(m->file));
    char bos[64], eos[64];
    tmpl_input in = {.messages_json = messages,
                     .tools_json = tools,
                     .extra_json = variables,
                     .add_generation_prompt = add_generation_prompt,
                     .bos_token = special_text(m->tok, tok_bos(m->tok), bos, sizeof bos),
                     .eos_token = special_text(m->tok, tok_eos(m->tok), eos, sizeof eos),
                     .now = (int64_t)time(NULL)};
    tmpl_output out;
    int rc = tmpl_render(m->tmpl, &in, &out, e);
    if (rc)
        return rc;
    tok_ids list = {0};
    tok_range *ranges = mem_calloc(MEM_OTHER, out.n_segments + 1, sizeof *ranges);
    if (!ranges)
        rc = err_set(e, ST_NOMEM, "no memory for the conversation's tokens");
    for (size_t i = 0; !rc && i < out.n_segments; i++)
        ranges[i] = (tok_range){out.segments[i].len, out.segments[i].origin == TMPL_TRUSTED};
    // Most templates write the start token themselves; where one does not, the model still gets it once.
    int32_t start = tok_bos(m->tok);
    bool written = bos[0] && out.len >= strlen(bos) && memcmp(out.text, bos, strlen(bos)) == 0;
    if (!rc && tok_adds_bos(m->tok) && start >= 0 && !written)
        rc = tok_ids_add(&list, &start, 1);
    if (!rc)
        rc = tok_encode_ranges(m->tok, &list, out.text, ranges, out.n_segments, e);
    mem_free(ranges);
    tmpl_output_done(&out);
    if (rc) {
        tok_ids_done(&list);
        return rc;
    }
    *ids = list.data;
    *count = list.count;
    return ST_OK;
}
