// Safetensors from memory: a header is refused, or its tensors lie inside the bytes.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "convert/convert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink;  // keeps the reads

static int look(void *ctx, const convert_tensor *t, err *e)
{
    (void)ctx;
    (void)e;
    if (t->bytes)
        sink += t->data[0] + (unsigned)t->data[t->bytes - 1] + (unsigned)strlen(t->name);
    return ST_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena strings;
    err e = {0};
    arena_init(&strings, MEM_OTHER);
    int rc = convert_safetensors(data, size, "fuzz", &strings, look, NULL, &e);
    if (rc && (e.code != rc || !e.msg[0]))
        abort();
    arena_done(&strings);
    return 0;
}
