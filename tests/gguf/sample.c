// The good file that the tests read, bend and break, and a place for files.
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "gguf/tests.h"

static void add_numbers(make *m)
{
    make_int(make_key(m, "x.u8", GGUF_U8), 200, 1);
    make_int(make_key(m, "x.i8", GGUF_I8), (uint64_t)-100, 1);
    make_int(make_key(m, "x.u16", GGUF_U16), 60000, 2);
    make_int(make_key(m, "x.i16", GGUF_I16), (uint64_t)-30000, 2);
    make_int(make_key(m, "x.u32", GGUF_U32), 4000000000u, 4);
    make_int(make_key(m, "x.i32", GGUF_I32), (uint64_t)-2000000000, 4);
    make_int(make_key(m, "x.u64", GGUF_U64), 1ull << 63, 8);
    make_int(make_key(m, "x.i64", GGUF_I64), (uint64_t)-5, 8);
    make_f32(m, "x.f32", 1.5f);
    make_int(make_key(m, "x.f64", GGUF_F64), 0x4004000000000000u, 8);  // 2.5
    make_bool(m, "x.bool", true);
    buf *b = make_array(m, "x.nested", GGUF_ARRAY, 2);
    make_int(b, GGUF_U16, 4);
    make_int(b, 3, 8);
    make_int(b, 0x000300020001, 6);
    make_int(b, GGUF_STRING, 4);
    make_int(b, 1, 8);
    make_text(b, "inner");
    make_int(make_array(m, "x.bools", GGUF_BOOL, 3), 0x010001, 3);
    make_array(m, "x.empty", GGUF_STRING, 0);
    make_str(m, "x.empty_text", "");
}

void sample_build(make *m)
{
    make_init(m);
    make_str(m, "general.architecture", "llama");
    make_u32(m, "general.alignment", 32);
    make_u32(m, "llama.block_count", 1);
    buf *heads = make_array(m, "llama.attention.head_count", GGUF_U32, 2);
    make_int(heads, 4, 4);
    make_int(heads, 5, 4);
    make_f32(m, "llama.rope.freq_base", 10000);
    make_bool(m, "tokenizer.ggml.add_bos_token", true);
    make_strs(m, "tokenizer.ggml.tokens", (const char *const[]){"<s>", "", "abc", "de"}, 4);
    make_f32s(m, "tokenizer.ggml.scores", (const float[]){0, -1, -2.5f, 3}, 4);
    make_i32s(m, "tokenizer.ggml.token_type", (const int32_t[]){3, 1, -1, 1}, 4);
    make_strs(m, "tokenizer.ggml.merges", (const char *const[]){"a b", "ab c"}, 2);
    add_numbers(m);
    uint8_t bytes[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)(i * 7);
    make_tensor(m, "token_embd.weight", QT_Q4_0, 2, (uint64_t[]){32, 4}, bytes);
    make_tensor(m, "output_norm.weight", QT_F32, 1, (uint64_t[]){32}, bytes);
    make_tensor(m, "blk.0.attn_q.weight", QT_F16, 3, (uint64_t[]){5, 2, 3}, bytes);
    make_tensor(m, "blk.0.attn_k.weight", QT_I8, 4, (uint64_t[]){1, 1, 1, 3}, bytes);
}

static char folder[64];

const char *sample_path(const char *name)
{
    static char paths[4][512];
    static int turn;
    if (!folder[0]) {
        snprintf(folder, sizeof folder, "/tmp/irori-gguf-XXXXXX");
        if (!mkdtemp(folder))
            abort();
    }
    turn = (turn + 1) % 4;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
    return paths[turn];
}

void sample_clean(void)
{
    DIR *d = folder[0] ? opendir(folder) : NULL;
    if (!d)
        return;
    for (struct dirent *entry; (entry = readdir(d)) != NULL;)
        if (entry->d_name[0] != '.')
            remove(sample_path(entry->d_name));
    closedir(d);
    rmdir(folder);
    folder[0] = 0;
}
