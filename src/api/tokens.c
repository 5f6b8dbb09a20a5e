// Text to tokens and back.

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
