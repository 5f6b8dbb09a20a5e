// tokenizer.model: SentencePiece's ModelProto. Of the protocol-buffer wire format only what it uses is read: field 1 the
// pieces (1 text, 2 score, 3 type), field 2 the trainer (3 model type), field 3 the normalizer (2 map, 3 dummy prefix,
// 4 extra spaces).
#include <stdio.h>
#include <string.h>

#include "convert/vocab.h"

typedef struct reader {
    const uint8_t *at, *end;
    bool broken;
} reader;

static uint64_t varint(reader *r)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64 && r->at < r->end; shift += 7) {
        uint8_t b = *r->at++;
        v |= (uint64_t)(b & 127) << shift;
        if (b < 128)
            return v;
    }
    r->broken = true;
    return 0;
}

typedef struct field {
    uint64_t number;
    int wire;
    uint64_t value;  // of a varint, or the bits of a fixed 32
    reader bytes;    // of a length-delimited one
} field;

static bool next(reader *r, field *f)
{
    if (r->broken || r->at == r->end)
        return false;
    uint64_t key = varint(r);
    *f = (field){.number = key >> 3, .wire = (int)(key & 7)};
    uint64_t left, n = 0;
    if (f->wire == 0)
        f->value = varint(r);
    else if (f->wire == 2)
        n = varint(r);
    else if (f->wire == 5 || f->wire == 1)
        n = f->wire == 5 ? 4 : 8;
    else
        r->broken = true;
    left = (uint64_t)(r->end - r->at);
    if (r->broken || n > left) {
        r->broken = true;
        return false;
    }
    f->bytes = (reader){r->at, r->at + n, false};
    if (f->wire == 5)
        for (int i = 3; i >= 0; i--)
            f->value = f->value << 8 | r->at[i];
    r->at += n;
    return true;
}

static void read_piece(reader bytes, gguf_str *text, int32_t *type, float *score)
{
    field f;
    *text = (gguf_str){"", 0};
    *type = CONVERT_NORMAL;
    *score = 0;
    while (next(&bytes, &f)) {
        if (f.number == 1)
            *text = (gguf_str){(const char *)f.bytes.at, (size_t)(f.bytes.end - f.bytes.at)};
        else if (f.number == 2) {
            uint32_t bits = (uint32_t)f.value;
            memcpy(score, &bits, sizeof bits);
        } else if (f.number == 3 && f.value >= 1 && f.value <= 6)
            *type = (int32_t)f.value;  // the same numbers as GGUF's
    }
}

typedef struct model {
    size_t pieces;
    int kind;  // 1 unigram, 2 BPE
    bool dummy_prefix, remove_spaces;
    reader map;
} model;

static bool survey(reader all, model *m)
{
    field f, g;
    *m = (model){.kind = 1, .dummy_prefix = true, .remove_spaces = true};
    while (next(&all, &f)) {
        m->pieces += f.number == 1 && f.wire == 2;
        while (f.number == 2 && f.wire == 2 && next(&f.bytes, &g))
            if (g.number == 3)
                m->kind = (int)g.value;
        while (f.number == 3 && f.wire == 2 && next(&f.bytes, &g)) {
            if (g.number == 2)
                m->map = g.bytes;
            else if (g.number == 3)
                m->dummy_prefix = g.value != 0;
            else if (g.number == 4)
                m->remove_spaces = g.value != 0;
        }
    }
    return !all.broken;
}

static void write_map(const model *m, gguf_writer *w)
{
    if (m->map.end > m->map.at)
        gguf_writer_array_u8(w, "tokenizer.ggml.precompiled_charsmap", m->map.at,
                             (size_t)(m->map.end - m->map.at));
}

// Tokens that came after training, from tokenizer.json or added_tokens.json's successor in tokenizer_config.json.
static void add_later(const convert_source *s, convert_tokens *v)
{
    const char *id;
    json_t *t;
    json_object_foreach(json_object_get(s->tokenizer_config, "added_tokens_decoder"), id, t)
    {
        unsigned at;
        const char *text = convert_text(t, "content");
        if (sscanf(id, "%u", &at) != 1 || at >= v->n || !text)
            continue;
        if (v->type[at] == CONVERT_UNKNOWN || v->type[at] == CONVERT_BYTE)
            continue;
        v->text[at] = (gguf_str){text, strlen(text)};
        v->type[at] = convert_flag(t, "special", false) ? CONVERT_CONTROL : CONVERT_USER;
    }
}

static int write_all(const convert_source *s, arena *mem, const model *m, reader all, gguf_writer *w, err *e)
{
    convert_tokens v;
    size_t rows = convert_table_rows(s), i = 0;
    int rc = convert_tokens_new(&v, mem, rows ? rows : m->pieces, e);
    field f;
    while (!rc && next(&all, &f))
        if (f.number == 1 && f.wire == 2 && i < v.n) {
            gguf_str text;
            read_piece(f.bytes, &text, &v.type[i], &v.score[i]);
            char *copy = arena_strndup(mem, text.p, text.n);
            if (!copy)
                rc = err_set(e, ST_NOMEM, "no memory for %zu tokens", v.n);
            v.text[i++] = (gguf_str){copy, text.n};
        }
    if (rc)
        return rc;
    add_later(s, &v);
    rc = convert_tokens_fill(&v, e);
    if (rc)
        return rc;
    if (m->kind == 1)
        write_map(m, w);
    gguf_writer_str(w, "tokenizer.ggml.model", m->kind == 1 ? "t5" : "llama", m->kind == 1 ? 2 : 5);
    gguf_writer_str(w, "tokenizer.ggml.pre", "default", 7);
    gguf_writer_bool(w, "tokenizer.ggml.add_space_prefix", m->dummy_prefix);
    if (m->kind == 1)
        gguf_writer_bool(w, "tokenizer.ggml.remove_extra_whitespaces", m->remove_spaces);
    convert_tokens_write(&v, true, w);
    return ST_OK;
}

int convert_sentencepiece(const convert_source *s, arena *mem, gguf_writer *w, bool *done, err *e)
{
    char *data;
    size_t n;
    buf path;
    buf_init(&path);
    buf_printf(&path, "%s/tokenizer.model", s->dir);
    int rc = path.failed ? err_set(e, ST_NOMEM, "no memory for a path")
                         : os_read_file(path.data, 1 << 28, &data, &n, e);
    *done = !rc;
    if (rc) {
        buf_done(&path);
        return rc == ST_NOTFOUND ? ST_OK : rc;
    }
    reader all = {(const uint8_t *)data, (const uint8_t *)data + n, false};
    model m;
    if (!survey(all, &m) || m.pieces == 0 || (m.kind != 1 && m.kind != 2)) {
        // Mistral's newer files of this name are JSON (tekken); tokenizer.json says the same.
        *done = false;
        rc = s->tokenizer && n && data[0] == '{'
                 ? ST_OK
                 : err_set(e, ST_FORMAT, "%s: no SentencePiece model of pieces", path.data);
    } else {
        rc = write_all(s, mem, &m, all, w, e);
    }
    mem_free(data);
    buf_done(&path);
    return rc;
}
