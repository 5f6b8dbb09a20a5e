// Converting folders: small ones are written here, some of them lying, and what comes out is read back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert/convert.h"
#include "gguf/gguf.h"

enum { WIDTH = 32, HEADS = 2, TOKENS = 8 };

static char folder[64];

static const char *in_folder(const char *name)
{
    static char paths[4][128];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/irori-convert-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {
        "config.json",   "tokenizer.json", "tokenizer_config.json",        "model.safetensors",
        "a.safetensors", "b.safetensors",  "model.safetensors.index.json", "out",
        "other",         "tokenizer.model"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        remove(in_folder(names[i]));
    remove(in_folder("1_Pooling/config.json"));
    rmdir(in_folder("1_Pooling"));
    return rmdir(folder);
}

static void write_file(const char *name, const void *data, size_t n)
{
    FILE *f = fopen(in_folder(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    fclose(f);
}

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

// A safetensors file in the making: F32 or I32 tensors, values by a rule.
typedef struct maker {
    buf head, data;
} maker;

static void begin(maker *m)
{
    buf_init(&m->head);
    buf_init(&m->data);
    buf_add_char(&m->head, '{');
}

static void put(maker *m, const char *name, const char *dtype, const char *shape, const void *values,
                size_t bytes)
{
    size_t from = m->data.len;
    buf_add(&m->data, values, bytes);
    buf_printf(&m->head, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
               m->head.len > 1 ? "," : "", name, dtype, shape, from, m->data.len);
}

// Values that tell where they stand: seed + index.
static void put_f32(maker *m, const char *name, int rows, int columns, float seed)
{
    static float v[WIDTH * 3 * WIDTH];
    char shape[32];
    int n = (rows ? rows : 1) * columns;
    for (int i = 0; i < n; i++)
        v[i] = seed + (float)i;
    if (rows)
        snprintf(shape, sizeof shape, "%d,%d", rows, columns);
    else
        snprintf(shape, sizeof shape, "%d", columns);
    put(m, name, "F32", shape, v, (size_t)n * sizeof *v);
}

static void finish(maker *m, const char *file)
{
    buf all;
    buf_init(&all);
    buf_add_char(&m->head, '}');
    for (int i = 0; i < 8; i++)
        buf_add_char(&all, (char)(m->head.len >> 8 * i & 255));
    buf_add(&all, m->head.data, m->head.len);
    buf_add(&all, m->data.data, m->data.len);
    write_file(file, all.data, all.len);
    buf_done(&all);
    buf_done(&m->head);
    buf_done(&m->data);
}

static const char tokenizer[] =
    "{\"added_tokens\":[{\"id\":6,\"content\":\"<s>\",\"special\":true},{\"id\":7,\"content\":\"</s>\",\"special\":true}],"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"use_regex\":true},\"model\":{\"type\":\"BPE\","
    "\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"abc\":4},\"merges\":[[\"a\",\"b\"],\"ab c\"]}}";

static void write_config(const char *more)
{
    char text[1024];
    snprintf(text, sizeof text,
             "{\"model_type\":\"llama\",\"hidden_size\":%d,\"intermediate_size\":%d,\"num_hidden_layers\":1,"
             "\"num_attention_heads\":%d,\"num_key_value_heads\":1,\"max_position_embeddings\":64,"
             "\"rms_norm_eps\":1e-5,\"rope_theta\":5000,\"vocab_size\":%d,\"tie_word_embeddings\":true%s}",
             WIDTH, 2 * WIDTH, HEADS, TOKENS, more);
    write_text("config.json", text);
    write_text("tokenizer.json", tokenizer);
    write_text("tokenizer_config.json", "{\"bos_token\":\"<s>\",\"eos_token\":{\"content\":\"</s>\"},"
                                        "\"model_max_length\":1000000000000000019884624838656,"
                                        "\"chat_template\":\"{{ messages }}\"}");
}

static void put_rest(maker *m)
{
    put_f32(m, "model.layers.0.self_attn.v_proj.weight", WIDTH / 2, WIDTH, 2);
    put_f32(m, "model.layers.0.self_attn.o_proj.weight", WIDTH, WIDTH, 3);
    put_f32(m, "model.layers.0.mlp.gate_proj.weight", 2 * WIDTH, WIDTH, 4);
    put_f32(m, "model.layers.0.mlp.up_proj.weight", 2 * WIDTH, WIDTH, 5);
    put_f32(m, "model.layers.0.mlp.down_proj.weight", WIDTH, 2 * WIDTH, 6);
    put_f32(m, "model.layers.0.input_layernorm.weight", 0, WIDTH, 7);
    put_f32(m, "model.layers.0.post_attention_layernorm.weight", 0, WIDTH, 8);
    put_f32(m, "model.norm.weight", 0, WIDTH, 9);
}

static void put_first(maker *m)
{
    put_f32(m, "model.embed_tokens.weight", TOKENS, WIDTH, 0);
    put_f32(m, "model.layers.0.self_attn.q_proj.weight", WIDTH, WIDTH, 0);
    put_f32(m, "model.layers.0.self_attn.k_proj.weight", WIDTH / 2, WIDTH, 1);
}

static void write_model(void)
{
    maker m;
    begin(&m);
    put_first(&m);
    put_rest(&m);
    finish(&m, "model.safetensors");
    write_config("");
}

static int convert_to(const char *name, int type, err *e)
{
    convert_options o = {.type = type};
    return convert_model(folder, in_folder(name), &o, e);
}

static gguf *converted(void)
{
    gguf *g;
    err e = {0};
    if (convert_to("out", QT_F32, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(gguf_open(&g, in_folder("out"), NULL), ST_OK);
    return g;
}

static float value(const gguf *g, const char *tensor, int row, int column)
{
    const gguf_tensor *t = gguf_tensor_find(g, tensor);
    if (!t)
        fail_msg("no tensor %s", tensor);
    float v;
    memcpy(&v, t->data + ((size_t)row * t->dims[0] + (size_t)column) * sizeof v, sizeof v);
    return v;
}

static void a_folder_becomes_a_model(void **state)
{
    (void)state;
    write_model();
    gguf *g = converted();
    uint32_t u;
    float f;
    gguf_str s;
    int32_t type;
    assert_true(gguf_get_str(g, "general.architecture", &s) && s.n == 5 && memcmp(s.p, "llama", 5) == 0);
    assert_true(gguf_get_u32(g, "llama.block_count", &u) && u == 1);
    assert_true(gguf_get_u32(g, "llama.attention.head_count_kv", &u) && u == 1);
    assert_true(gguf_get_f32(g, "llama.rope.freq_base", &f) && f == 5000);
    assert_true(gguf_get_u32(g, "tokenizer.ggml.bos_token_id", &u) && u == 6);
    assert_true(gguf_get_u32(g, "tokenizer.ggml.eos_token_id", &u) && u == 7);
    assert_true(gguf_get_str(g, "tokenizer.ggml.pre", &s) && s.n == 5 && memcmp(s.p, "gpt-2", 5) == 0);
    assert_true(gguf_array_str(g, "tokenizer.ggml.merges", 0, &s) && s.n == 3 && memcmp(s.p, "a b", 3) == 0);
    assert_true(gguf_array_str(g, "tokenizer.ggml.tokens", 5, &s) && s.n == 6 &&
                memcmp(s.p, "[PAD5]", 6) == 0);
    assert_true(gguf_array_i32(g, "tokenizer.ggml.token_type", 5, &type) && type == 5);
    assert_true(gguf_array_i32(g, "tokenizer.ggml.token_type", 6, &type) && type == 3);
    assert_true(gguf_has(g, "tokenizer.chat_template"));
    // Rows of a head from halves to neighbouring pairs: 0 8 1 9 ... for heads of 16.
    assert_true(value(g, "blk.0.attn_q.weight", 0, 0) == 0);
    assert_true(value(g, "blk.0.attn_q.weight", 1, 3) == 8 * WIDTH + 3);
    assert_true(value(g, "blk.0.attn_q.weight", 2, 0) == 1 * WIDTH);
    assert_true(value(g, "blk.0.attn_q.weight", 19, 0) == (16 + 8 + 1) * WIDTH);
    assert_true(value(g, "blk.0.attn_v.weight", 1, 0) == 2 + WIDTH);
    assert_true(value(g, "blk.0.ffn_down.weight", 1, 1) == 6 + 2 * WIDTH + 1);
    assert_null(gguf_tensor_find(g, "output.weight"));
    gguf_close(g);
    err e;
    assert_int_equal(convert_to("other", QT_F16, &e), ST_OK);
    assert_int_equal(gguf_open(&g, in_folder("other"), NULL), ST_OK);
    assert_int_equal(gguf_tensor_find(g, "blk.0.attn_q.weight")->type, QT_F16);
    assert_int_equal(gguf_tensor_find(g, "output_norm.weight")->type, QT_F32);
    gguf_close(g);
}

static void parts_make_the_same_file(void **state)
{
    (void)state;
    maker m;
    gguf *g;
    write_model();
    assert_int_equal(convert_to("other", QT_F32, NULL), ST_OK);
    remove(in_folder("model.safetensors"));
    begin(&m);
    put_first(&m);
    finish(&m, "a.safetensors");
    begin(&m);
    put_rest(&m);
    finish(&m, "b.safetensors");
    write_text("model.safetensors.index.json",
               "{\"weight_map\":{\"model.embed_tokens.weight\":\"a.safetensors\","
               "\"model.norm.weight\":\"b.safetensors\"}}");
    g = converted();
    gguf *whole;
    assert_int_equal(gguf_open(&whole, in_folder("other"), NULL), ST_OK);
    assert_int_equal(gguf_tensor_count(g), gguf_tensor_count(whole));
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const gguf_tensor *a = gguf_tensor_at(g, i), *b = gguf_tensor_find(whole, a->name);
        assert_non_null(b);
        assert_int_equal(a->size, b->size);
        assert_memory_equal(a->data, b->data, a->size);
    }
    gguf_close(g);
    gguf_close(whole);
    err e;
    write_text("model.safetensors.index.json", "{\"weight_map\":{\"lost\":\"a.safetensors\"}}");
    assert_int_equal(convert_to("out", QT_F32, &e), ST_FORMAT);
    assert_non_null(strstr(e.msg, "lost"));
    write_text("model.safetensors.index.json", "{\"weight_map\":{\"x\":\"../a.safetensors\"}}");
    assert_int_equal(convert_to("out", QT_F32, &e), ST_FORMAT);
    remove(in_folder("model.safetensors.index.json"));
}

// Eight codes to a word. scale(group, output) = 1 + group, zero point 5 (stored as 4 in the first form of GPTQ), code of
// (input i, output o) = (i + 3 * o) % 16.
static void put_packed(maker *m, bool awq)
{
    static const int place[8] = {0, 4, 1, 5, 2, 6, 3, 7};
    static uint32_t codes[WIDTH * 2 * WIDTH / 8], zeros[2 * (2 * WIDTH / 8)];
    static float scales[2 * 2 * WIDTH];
    int outputs = 2 * WIDTH;
    memset(codes, 0, sizeof codes);
    for (int i = 0; i < WIDTH; i++)
        for (int o = 0; o < outputs; o++) {
            uint32_t code = (uint32_t)(i + 3 * o) % 16;
            if (awq)
                codes[i * (outputs / 8) + o / 8] |= code << 4 * place[o % 8];
            else
                codes[i / 8 * outputs + o] |= code << 4 * (i % 8);
        }
    memset(zeros, awq ? 0x55 : 0x44, sizeof zeros);
    for (int i = 0; i < 2 * outputs; i++)
        scales[i] = (float)(1 + i / outputs);
    const char *at = "model.layers.0.mlp.up_proj";
    char name[96];
    snprintf(name, sizeof name, "%s.qweight", at);
    put(m, name, "I32", awq ? "32,8" : "4,64", codes, sizeof codes);
    snprintf(name, sizeof name, "%s.qzeros", at);
    put(m, name, "I32", "2,8", zeros, sizeof zeros);
    snprintf(name, sizeof name, "%s.scales", at);
    put(m, name, "F32", "2,64", scales, sizeof scales);
}

static void write_packed(bool awq, const char *config)
{
    maker m;
    begin(&m);
    put_first(&m);
    put_f32(&m, "model.layers.0.self_attn.v_proj.weight", WIDTH / 2, WIDTH, 2);
    put_f32(&m, "model.layers.0.self_attn.o_proj.weight", WIDTH, WIDTH, 3);
    put_f32(&m, "model.layers.0.mlp.gate_proj.weight", 2 * WIDTH, WIDTH, 4);
    put_packed(&m, awq);
    put_f32(&m, "model.layers.0.mlp.down_proj.weight", WIDTH, 2 * WIDTH, 6);
    put_f32(&m, "model.layers.0.input_layernorm.weight", 0, WIDTH, 7);
    put_f32(&m, "model.layers.0.post_attention_layernorm.weight", 0, WIDTH, 8);
    put_f32(&m, "model.norm.weight", 0, WIDTH, 9);
    finish(&m, "model.safetensors");
    write_config(config);
}

static void packed_weights_are_decoded(void **state)
{
    (void)state;
    for (int awq = 0; awq < 2; awq++) {
        write_packed(awq, awq ? ",\"quantization_config\":{\"quant_method\":\"awq\",\"bits\":4}"
                              : ",\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4}");
        gguf *g = converted();
        for (int o = 0; o < 2 * WIDTH; o++)
            for (int i = 0; i < WIDTH; i++) {
                float want = (float)(1 + i / (WIDTH / 2)) * (float)((i + 3 * o) % 16 - 5);
                if (value(g, "blk.0.ffn_up.weight", o, i) != want)
                    fail_msg("%s: output %d, input %d is %g, not %g", awq ? "awq" : "gptq", o, i,
                             (double)value(g, "blk.0.ffn_up.weight", o, i), (double)want);
            }
        gguf_close(g);
    }
    err e;
    write_packed(false, ",\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":3}");
    assert_int_equal(convert_to("out", QT_F32, &e), ST_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "up_proj"));
    write_packed(true, ",\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4}");
    assert_int_equal(convert_to("out", QT_F32, &e), ST_FORMAT);
}

static void refused(int code, const char *says)
{
    err e = {0};
    remove(in_folder("out"));
    int rc = convert_to("out", QT_F16, &e);
    if (rc != code || !strstr(e.msg, says))
        fail_msg("status %d (%d wanted): \"%s\" lacks \"%s\"", rc, code, e.msg, says);
    assert_int_equal(access(in_folder("out"), F_OK), -1);
    assert_int_equal(access(in_folder("out.partial"), F_OK), -1);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    maker m;
    write_model();
    write_config(",\"n_layer\":1,\"num_hidden_layers\":2");  // the last of two counts
    refused(ST_FORMAT, "layer 1 has no tensor for attn_q");
    write_text("config.json", "{\"model_type\":\"dinosaur\"}");
    refused(ST_UNSUPPORTED, "dinosaur");
    write_text("config.json", "{\"model_type\":\"llama\",\"num_hidden_layers\":99999}");
    refused(ST_FORMAT, "99999 layers");
    write_text("config.json", "[1");
    refused(ST_FORMAT, "config.json");
    remove(in_folder("config.json"));
    refused(ST_NOTFOUND, "config.json");
    write_config("");
    write_text("tokenizer.json",
               "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}},\"pre_tokenizer\":{\"type\":\"Sequence\","
               "\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"odd\"}},"
               "{\"type\":\"ByteLevel\",\"use_regex\":false}]}}");
    refused(ST_UNSUPPORTED, "odd");
    remove(in_folder("tokenizer.json"));
    refused(ST_NOTFOUND, "tokenizer");
    write_config("");
    begin(&m);
    put_first(&m);
    finish(&m, "model.safetensors");
    refused(ST_FORMAT, "layer 0 has no tensor for attn_v");
    begin(&m);
    put_first(&m);
    put_rest(&m);
    put_f32(&m, "model.layers.0.surprise.weight", 4, WIDTH, 0);
    finish(&m, "model.safetensors");
    refused(ST_UNSUPPORTED, "surprise");
    begin(&m);
    put_rest(&m);
    put_f32(&m, "model.embed_tokens.weight", TOKENS, WIDTH, 1e6f);
    put_f32(&m, "model.layers.0.self_attn.q_proj.weight", WIDTH, WIDTH, 0);
    put_f32(&m, "model.layers.0.self_attn.k_proj.weight", WIDTH / 2, WIDTH, 1);
    finish(&m, "model.safetensors");
    refused(ST_LIMIT, "F16");
    begin(&m);
    put_rest(&m);
    put_f32(&m, "model.embed_tokens.weight", TOKENS, WIDTH, 0);
    put_f32(&m, "model.layers.0.self_attn.q_proj.weight", WIDTH - 1, WIDTH, 0);
    finish(&m, "model.safetensors");
    refused(ST_FORMAT, "heads of even size");
    write_text("model.safetensors", "short");
    refused(ST_FORMAT, "header");
}

// A decoder gives vectors where sentence-transformers' folder lies beside it.
static void pooling_is_read(void **state)
{
    (void)state;
    uint32_t u;
    write_model();
    gguf *g = converted();
    assert_false(gguf_has(g, "llama.pooling_type"));
    gguf_close(g);
    assert_int_equal(mkdir(in_folder("1_Pooling"), 0700), 0);
    write_text("1_Pooling/config.json",
               "{\"pooling_mode_mean_tokens\":false,\"pooling_mode_lasttoken\":true}");
    g = converted();
    assert_true(gguf_get_u32(g, "llama.pooling_type", &u) && u == 3);
    gguf_close(g);
    write_text("1_Pooling/config.json", "[]");
    refused(ST_FORMAT, "1_Pooling/config.json");
    remove(in_folder("1_Pooling/config.json"));
    write_config(",\"classifier_pooling\":\"mean\"");
    gguf_close(converted());  // of no matter without a classifier
}

static void ramps_that_files_cannot_tell_are_refused(void **state)
{
    (void)state;
    write_model();
    write_config(",\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4.0,\"truncate\":false}");
    refused(ST_UNSUPPORTED, "truncate of yarn is false");
    write_config(",\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4.0,\"truncate\":true}");
    gguf_close(converted());
}

static void a_normalizer_is_an_array_of_bytes(void **state)
{
    (void)state;
    enum gguf_value_type type;
    uint64_t n;
    int32_t byte;
    write_model();
    write_text("tokenizer.json",
               "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Precompiled\","
               "\"precompiled_charsmap\":\"AAEC/w==\"}]},\"model\":{\"type\":\"Unigram\",\"unk_id\":0,"
               "\"vocab\":[[\"<unk>\",0],[\"a\",-1],[\"b\",-2]]}}");
    gguf *g = converted();
    assert_true(gguf_get_array(g, "tokenizer.ggml.precompiled_charsmap", &type, &n));
    assert_int_equal(type, GGUF_U8);
    assert_int_equal(n, 4);
    assert_true(gguf_array_i32(g, "tokenizer.ggml.precompiled_charsmap", 3, &byte) && byte == 255);
    gguf_close(g);
}

static int take_any(void *ctx, const convert_tensor *t, err *e)
{
    (void)e;
    ++*(int *)ctx;
    assert_true(t->bytes == 0 || t->data[0] + t->data[t->bytes - 1] >= 0);
    return ST_OK;
}

static int read_header(const char *json, size_t data_bytes, err *e)
{
    uint8_t bytes[1024] = {0};
    size_t n = strlen(json);
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(n >> 8 * i);
    memcpy(bytes + 8, json, n);
    arena mem;
    int count = 0;
    arena_init(&mem, MEM_OTHER);
    int rc = convert_safetensors(bytes, 8 + n + data_bytes, "file", &mem, take_any, &count, e);
    arena_done(&mem);
    return rc ? rc : count;
}

static void lying_headers_are_refused(void **state)
{
    (void)state;
    static const char *const lies[] = {
        "",
        "[]",
        "{\"a\":1}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":\"2\",\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"a\":{}}",
    };
    err e;
    for (size_t i = 0; i < COUNT_OF(lies); i++)
        if (read_header(lies[i], 8, &e) != ST_FORMAT || !strstr(e.msg, "file"))
            fail_msg("taken: %s", lies[i]);
    assert_int_equal(
        read_header("{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[8],\"data_offsets\":[0,8]}}", 8, &e),
        ST_UNSUPPORTED);
    assert_int_equal(read_header("{\"__metadata__\":{\"x\":\"y\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2],"
                                 "\"data_offsets\":[0,8]}}",
                                 8, &e),
                     1);
    uint8_t claims[16] = {255, 255, 255, 255, 255, 255, 255, 127};
    arena mem;
    arena_init(&mem, MEM_OTHER);
    for (size_t n = 0; n <= sizeof claims; n++)
        assert_int_equal(convert_safetensors(claims, n, "file", &mem, take_any, NULL, &e), ST_FORMAT);
    arena_done(&mem);
}

static void no_memory_leaves_nothing(void **state)
{
    (void)state;
    write_model();
    int rc = ST_NOMEM;
    for (uint64_t n = 1; rc == ST_NOMEM; n++) {
        err e;
        remove(in_folder("out"));
        mem_fail_nth(n);
        rc = convert_to("out", QT_F16, &e);
        mem_fail_nth(0);
        assert_true(rc == ST_OK || rc == ST_NOMEM);
        assert_int_equal(access(in_folder("out"), F_OK), rc ? -1 : 0);
        assert_int_equal(access(in_folder("out.partial"), F_OK), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_becomes_a_model),
        cmocka_unit_test(parts_make_the_same_file),
        cmocka_unit_test(packed_weights_are_decoded),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(pooling_is_read),
        cmocka_unit_test(ramps_that_files_cannot_tell_are_refused),
        cmocka_unit_test(a_normalizer_is_an_array_of_bytes),
        cmocka_unit_test(lying_headers_are_refused),
        cmocka_unit_test(no_memory_leaves_nothing),
    };
    return cmocka_run_group_tests_name("convert", tests, make_folder, remove_folder);
}
