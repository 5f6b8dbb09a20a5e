// The door of the convert room: a folder of Hugging Face's (safetensors, config.json, tokenizer) in, one GGUF file out, with
// the keys, tensor names and layouts that GGUF readers expect of each architecture.
//
// Nothing in the folder is trusted: headers, shapes and names are checked where they are read, and what does not fit ends
// the conversion with one line and no file.
#ifndef CONVERT_CONVERT_H
#define CONVERT_CONVERT_H

#include "base/base.h"
#include "quant/quant.h"

typedef struct convert_options {
    int type;  // of the matrices: QT_F16, QT_BF16 or QT_F32
    bool (*progress)(void *ctx, uint64_t done,
                     uint64_t total);  // false stops; bytes of the result. May be NULL
    void *ctx;
} convert_options;

// ST_NOTFOUND, ST_IO, ST_FORMAT (lying headers, missing or misshapen tensors, broken JSON), ST_UNSUPPORTED (an
// architecture or tokenizer irori does not know), ST_NOMEM, ST_CANCELED.
int convert_model(const char *dir, const char *out, const convert_options *o, err *e);

// Safetensors (safetensors.c), open to its own tests --------------------------------------------------------
// Format: 8 bytes of header length, a JSON object of name -> {dtype, shape, data_offsets}, data.
enum convert_dtype {
    CONVERT_F32,
    CONVERT_F16,
    CONVERT_BF16,
    CONVERT_F64,
    CONVERT_I32,
    CONVERT_I64,
    CONVERT_U8
};

typedef struct convert_tensor {
    const char *name;
    enum convert_dtype dtype;
    int n_dims;
    uint64_t dims[4];  // outermost first, as the file has them; unused ones are 1
    const uint8_t *data;
    size_t bytes;
} convert_tensor;

// Checks the bytes of one file and hands each tensor to `add`, which may refuse it. Strings live in `strings`.
int convert_safetensors(const uint8_t *data, size_t size, const char *path, arena *strings,
                        int (*add)(void *ctx, const convert_tensor *t, err *e), void *ctx, err *e);

#endif
