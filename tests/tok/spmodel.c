// SentencePiece's .model: a protobuf message. Fields used: ModelProto.pieces = 1 {piece = 1, score = 2, type
// = 3}, trainer_spec = 2 {model_type = 3: 1 unigram, 2 BPE}, normalizer_spec = 3 {precompiled_charsmap = 2,
// add_dummy_prefix = 3, remove_extra_whitespaces = 4}. Piece types have GGUF's numbers.
#include "tok/spmodel.h"

#include <stdlib.h>
#include <string.h>

struct reader {
    const uint8_t *p, *end;
    bool bad;
};

struct field {
    unsigned number;
    uint64_t value;       // of a varint or a fixed32
    const uint8_t *data;  // of a length-delimited field
};

static uint64_t varint(struct reader *r)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (r->p == r->end)
            break;
        uint8_t b = *r->p++;
        v |= (uint64_t)(b & 0x7F) << shift;
        if (b < 0x80)
            return v;
    }
    r->bad = true;
    return 0;
}

static bool next(struct reader *r, struct field *f)
{
    if (r->bad || r->p == r->end)
        return false;
    uint64_t key = varint(r);
    f->number = (unsigned)(key >> 3);
    f->value = 0;
    f->data = NULL;
    size_t left = (size_t)(r->end - r->p);
    switch (key & 7) {
    case 0: f->value = varint(r); return !r->bad;
    case 1:
        r->bad = left < 8;
        r->p += r->bad ? 0 : 8;
        return !r->bad;
    case 2:
        f->value = varint(r);
        f->data = r->p;
        r->bad = r->bad || f->value > (size_t)(r->end - r->p);
        r->p += r->bad ? 0 : f->value;
        return !r->bad;
    case 5:
        r->bad = left < 4;
        if (!r->bad) {
            uint32_t v;
            memcpy(&v, r->p, 4);
            f->value = v;
            r->p += 4;
        }
        return !r->bad;
    default: r->bad = true; return false;
    }
}

static struct reader inside(const struct field *f)
{
    return (struct reader){f->data, f->data + f->value, false};
}

struct lists {
    gguf_str *piece;
    float *score;
    int32_t *type;
    size_t n;
};

static void read_piece(struct lists *l, struct reader r)
{
    struct field f;
    l->piece[l->n] = (gguf_str){"", 0};
    l->score[l->n] = 0;
    l->type[l->n] = 1;
    while (next(&r, &f)) {
        uint32_t bits = (uint32_t)f.value;
        if (f.number == 1)
            l->piece[l->n] = (gguf_str){(const char *)f.data, f.value};
        else if (f.number == 2)
            memcpy(&l->score[l->n], &bits, 4);
        else if (f.number == 3)
            l->type[l->n] = (int32_t)f.value;
    }
    l->n++;
}

static void read_normalizer(build *b, struct reader r)
{
    struct field f;
    bool prefix = true, squeeze = true;
    while (next(&r, &f)) {
        if (f.number == 2 && f.value)
            build_bytes(b, "tokenizer.ggml.precompiled_charsmap", f.data, f.value);
        else if (f.number == 3)
            prefix = f.value;
        else if (f.number == 4)
            squeeze = f.value;
    }
    build_bool(b, "tokenizer.ggml.add_space_prefix", prefix);
    build_bool(b, "tokenizer.ggml.remove_extra_whitespaces", squeeze);
}

bool spmodel_read(build *b, const void *data, size_t n)
{
    size_t most = n / 4 + 1;  // a piece takes more than four bytes
    struct lists l = {malloc(most * sizeof *l.piece), malloc(most * sizeof *l.score),
                      malloc(most * sizeof *l.type), 0};
    struct reader r = {data, (const uint8_t *)data + n, false};
    struct field f;
    uint64_t model = 1;
    while (next(&r, &f) && l.n < most) {
        struct reader in = inside(&f);
        struct field g;
        if (f.number == 1)
            read_piece(&l, in);
        else if (f.number == 3)
            read_normalizer(b, in);
        else if (f.number == 2)
            while (next(&in, &g))
                model = g.number == 3 ? g.value : model;
    }
    const char *name = model == 2 ? "llama" : "t5";
    build_str(b, "tokenizer.ggml.model", name, strlen(name));
    build_strs(b, "tokenizer.ggml.tokens", l.piece, l.n);
    build_f32s(b, "tokenizer.ggml.scores", l.score, l.n);
    build_i32s(b, "tokenizer.ggml.token_type", l.type, l.n);
    free(l.piece);
    free(l.score);
    free(l.type);
    return !r.bad && l.n > 0;
}
