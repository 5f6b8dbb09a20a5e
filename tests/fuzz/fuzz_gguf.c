// GGUF files from memory: opening must answer, and what was opened must read without a step outside the
// bytes.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "gguf/gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink;  // keeps the reads

static void read_arrays(const gguf *g, const char *key)
{
    enum gguf_value_type elem;
    uint64_t count;
    if (!gguf_get_array(g, key, &elem, &count))
        return;
    for (uint64_t i = 0; i < count + 1 && i < 1000; i++) {  // one past the end must be refused too
        gguf_str s;
        int32_t v;
        float f;
        if (gguf_array_str(g, key, i, &s) && s.n)
            sink += (uint64_t)s.p[0] + (uint64_t)s.p[s.n - 1];
        sink += gguf_array_i32(g, key, i, &v);
        sink += gguf_array_f32(g, key, i, &f);
    }
}

static void read_key(const gguf *g, const char *key)
{
    uint64_t u;
    uint32_t w;
    int32_t i;
    float f;
    bool b;
    gguf_str s;
    sink += gguf_get_u64(g, key, &u) + gguf_get_u32(g, key, &w) + gguf_get_i32(g, key, &i) +
            gguf_get_f32(g, key, &f);
    sink += gguf_get_bool(g, key, &b) + gguf_has(g, key);
    if (gguf_get_str(g, key, &s) && s.n)
        sink += (uint64_t)s.p[0] + (uint64_t)s.p[s.n - 1];
    read_arrays(g, key);
}

static void read_tensor(const gguf *g, const gguf_tensor *t)
{
    float row[256];
    const quant_info *info = quant_type_info(t->type);
    if (info->block_elems <= COUNT_OF(row))
        info->decode(t->data, row, info->block_elems);
    sink += t->data[t->size - 1];
    if (gguf_tensor_find(g, t->name) != t)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gguf *g;
    err e = {0};
    int rc = gguf_open_memory(&g, data, size, &e);
    if (rc) {
        if (e.code != rc || e.msg[0] == 0 || strchr(e.msg, '\n'))
            abort();
        return 0;
    }
    for (size_t i = 0; i < gguf_key_count(g); i++)
        read_key(g, gguf_key_at(g, i, NULL));
    for (size_t i = 0; i < gguf_tensor_count(g); i++)
        read_tensor(g, gguf_tensor_at(g, i));
    sink += gguf_model_hash(g);
    gguf_close(g);
    return 0;
}
