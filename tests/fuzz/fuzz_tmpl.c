// Fuzz target for chat templates: TEMPLATE \0 MESSAGES \0 TOOLS \0 EXTRA, the last three optional. Whatever comes
// must end in an answer whose segments cover the text, or in an error.
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "tmpl/tmpl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The next part, NUL-terminated, or NULL behind the last; *at moves on.
static const char *part(const char *text, size_t n, size_t *at)
{
    if (*at >= n)
        return NULL;
    const char *p = text + *at;
    *at += strlen(p) + 1;
    return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mem_strndup(MEM_OTHER, (const char *)data, size);
    if (!text)
        return 0;
    size_t at = 0;
    const char *src = part(text, size, &at);
    const char *messages = part(text, size, &at);
    tmpl_input in = {.messages_json = messages ? messages : "[{\"role\":\"user\",\"content\":\"hi\"}]",
                     .tools_json = part(text, size, &at),
                     .extra_json = part(text, size, &at),
                     .add_generation_prompt = true,
                     .bos_token = "<s>",
                     .eos_token = "</s>",
                     .now = 1753600000};
    tmpl *t;
    tmpl_output out;
    err e = {0};
    if (src && tmpl_parse(&t, src, strlen(src), &e) == ST_OK) {
        if (tmpl_render(t, &in, &out, &e) == ST_OK) {
            size_t covered = 0;
            for (size_t i = 0; i < out.n_segments; i++)
                covered += out.segments[i].len;
            if (covered != out.len)
                abort();
            tmpl_output_done(&out);
        }
        tmpl_free(t);
    }
    mem_free(text);
    return 0;
}
