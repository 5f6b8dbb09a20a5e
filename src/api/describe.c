// What a file holds, as JSON.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/own.h"

static void write_value(json_writer *w, const gguf *g, const char *key, enum gguf_value_type type)
{
    static const char *const names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                        "bool", "string", "array", "u64", "i64", "f64"};
    gguf_str s;
    enum gguf_value_type elem;
    uint64_t count, u;
    int32_t i;
    float f;
    bool b;
    if (gguf_get_str(g, key, &s)) {
        json_strn(w, s.p, s.n);
    } else if (gguf_get_array(g, key, &elem, &count)) {
        json_obj(w);
        json_key(w, "array");
        json_str(w, (size_t)elem < COUNT_OF(names) ? names[elem] : "?");
        json_key(w, "count");
        json_int(w, (int64_t)count);
        json_end(w);
    } else if (gguf_get_bool(g, key, &b)) {
        json_bool(w, b);
    } else if (type != GGUF_F32 && type != GGUF_F64 && gguf_get_u64(g, key, &u)) {
        json_int(w, (int64_t)u);
    } else if (type != GGUF_F32 && type != GGUF_F64 && gguf_get_i32(g, key, &i)) {
        json_int(w, i);
    } else if (gguf_get_f32(g, key, &f)) {
        char text[32];
        snprintf(text, sizeof text, "%.7g", (double)f);  // a float's own digits, not those of its double
        double v = 0;
        sscanf(text, "%lf", &v);
        json_num(w, v);
    } else {
        json_none(w);
    }
}

static void write_str(json_writer *w, const gguf *g, const char *name, const char *key)
{
    gguf_str s = {"", 0};
    gguf_get_str(g, key, &s);
    json_key(w, name);
    json_strn(w, s.p, s.n);
}

static void write_tensors(json_writer *w, const gguf *g)
{
    json_key(w, "tensors");
    json_arr(w);
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const gguf_tensor *t = gguf_tensor_at(g, i);
        json_obj(w);
        json_key(w, "name");
        json_str(w, t->name);
        json_key(w, "type");
        json_str(w, quant_type_info(t->type)->name);
        json_key(w, "shape");
        json_arr(w);
        for (uint32_t d = 0; d < t->n_dims; d++)
            json_int(w, (int64_t)t->dims[d]);
        json_end(w);
        json_key(w, "bytes");
        json_int(w, (int64_t)t->size);
        json_end(w);
    }
    json_end(w);
}

static void write_file(json_writer *w, const gguf *g)
{
    char hash[17];
    snprintf(hash, sizeof hash, "%016" PRIx64, gguf_model_hash(g));
    json_obj(w);
    json_key(w, "path");
    json_str(w, gguf_path(g));
    json_key(w, "version");
    json_int(w, gguf_version(g));
    json_key(w, "bytes");
    json_int(w, (int64_t)gguf_file_bytes(g));
    json_key(w, "hash");
    json_str(w, hash);
    write_str(w, g, "architecture", "general.architecture");
    write_str(w, g, "name", "general.name");
    write_str(w, g, "license", "general.license");
    json_key(w, "quantization");
    json_str(w, model_quantization_name(g));
    json_key(w, "parameters");
    json_int(w, (int64_t)model_parameter_count(g));
    json_key(w, "metadata");
    json_obj(w);
    for (size_t i = 0; i < gguf_key_count(g); i++) {
        enum gguf_value_type type;
        const char *key = gguf_key_at(g, i, &type);
        json_key(w, key);
        write_value(w, g, key, type);
    }
    json_end(w);
    write_tensors(w, g);
    json_end(w);
}

int irori_describe_file(const char *path, char **json, irori_error *error)
{
    err *e = api_err(error);
    *json = NULL;
    gguf *g;
    int rc = gguf_open(&g, path, e);
    if (rc)
        return rc;
    buf out;
    buf_init(&out);
    json_writer w;
    json_begin(&w, &out);
    write_file(&w, g);
    gguf_close(g);
    *json = buf_take(&out);
    buf_done(&out);
    return *json ? ST_OK : err_set(e, ST_NOMEM, "%s: no memory to describe it", path);
}
