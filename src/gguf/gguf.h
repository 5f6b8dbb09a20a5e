// The door of the gguf room: reading (and for tools and tests writing) GGUF model files, versions 2 and 3.
//
// A file is mapped, never copied; everything in it is checked at open (every count and size with checked
// arithmetic against the file's length), so that later reads cannot fail. Split models open as one.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#ifndef GGUF_GGUF_H
#define GGUF_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "quant/quant.h"

typedef struct gguf gguf;  // an open model: one file or all its splits. Read-only, so usable from any thread.

// clang-format off
enum gguf_value_type {
    GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL, GGUF_STRING, GGUF_ARRAY,
    GGUF_U64, GGUF_I64, GGUF_F64
};
// clang-format on

typedef struct gguf_str {
    const char *p;  // not NUL-terminated; may hold any bytes
    size_t n;
} gguf_str;

typedef struct gguf_tensor {
    const char *name;     // NUL-terminated, owned by the gguf
    int type;             // enum quant_type
    uint32_t n_dims;      // 1..4
    uint64_t dims[4];     // dims[0] is the contiguous one; unused ones are 1
    const uint8_t *data;  // inside the mapping
    size_t size;          // bytes
} gguf_tensor;

// Opens path; for "...-00001-of-0000N.gguf" also the other parts beside it. Errors: ST_NOTFOUND, ST_IO,
// ST_INVALID (a directory; a later part of a split), ST_FORMAT, ST_UNSUPPORTED (an unknown tensor type,
// version 1, big-endian), ST_LIMIT, ST_NOMEM, each with one line in *e; *out is then NULL. The tables take at
// most twice the file's bytes and a KiB, whatever the file claims. Names are printable UTF-8. Keys and tensor
// names are unique, tensor data lies inside the file and does not overlap.
int gguf_open(gguf **out, const char *path, err *e);
// The same over bytes in memory (borrowed until gguf_close; aligned to 8). No splits.
int gguf_open_memory(gguf **out, const void *data, size_t size, err *e);
void gguf_close(gguf *g);

const char *gguf_path(const gguf *g);  // as given to gguf_open; "(memory)" otherwise
uint32_t gguf_version(const gguf *g);
uint64_t gguf_file_bytes(const gguf *g);  // of all parts together
// Names a model in reports and cache keys: XXH3 over the headers of all parts (metadata and tensor
// descriptions), then over the first and last 4 KiB of each tensor in file order. Computed at each call, which takes
// tensor data out of the process's resident memory: to be kept rather than asked for again.
uint64_t gguf_model_hash(const gguf *g);

// Tensors, in file order (parts one after another).
size_t gguf_tensor_count(const gguf *g);
const gguf_tensor *gguf_tensor_at(const gguf *g, size_t i);
const gguf_tensor *gguf_tensor_find(const gguf *g, const char *name);  // NULL when absent

// Metadata (of the first part). Numbers convert between widths when the value fits: integers of any width to
// each other, integers up to 2^24 and doubles also to f32. A key of another kind reads as absent: false, *out
// untouched. Strings point into the mapping. key_at gives NULL past the end.
size_t gguf_key_count(const gguf *g);
const char *gguf_key_at(const gguf *g, size_t i, enum gguf_value_type *type);
bool gguf_has(const gguf *g, const char *key);
bool gguf_get_u64(const gguf *g, const char *key, uint64_t *out);
bool gguf_get_u32(const gguf *g, const char *key, uint32_t *out);
bool gguf_get_i32(const gguf *g, const char *key, int32_t *out);
bool gguf_get_f32(const gguf *g, const char *key, float *out);
bool gguf_get_bool(const gguf *g, const char *key, bool *out);
bool gguf_get_str(const gguf *g, const char *key, gguf_str *out);

// Arrays: element type and count; false when absent or not an array.
bool gguf_get_array(const gguf *g, const char *key, enum gguf_value_type *elem, uint64_t *count);
// Element i; same conversions as above, and bools read as i32 0 or 1. False past the end.
bool gguf_array_str(const gguf *g, const char *key, uint64_t i, gguf_str *out);  // O(1)
bool gguf_array_i32(const gguf *g, const char *key, uint64_t i, int32_t *out);
bool gguf_array_f32(const gguf *g, const char *key, uint64_t i, float *out);

// What a well-known key must be ("tokenizer.ggml.tokens" is an array of strings, ...) is a table in keys.c;
// gguf_open refuses files that break it, and says which key, the type found and the type needed.

// Writing ------------------------------------------------------------------------------------------------
typedef struct gguf_writer gguf_writer;

int gguf_writer_new(gguf_writer **out);
void gguf_writer_free(gguf_writer *w);
// Each copies its argument. The first failure (ST_NOMEM, ST_INVALID for a name or shape that no reader would
// take) sticks and is reported by gguf_writer_save. Keys and tensors must not repeat.
void gguf_writer_u32(gguf_writer *w, const char *key, uint32_t v);
void gguf_writer_i32(gguf_writer *w, const char *key, int32_t v);
void gguf_writer_u64(gguf_writer *w, const char *key, uint64_t v);
void gguf_writer_f32(gguf_writer *w, const char *key, float v);
void gguf_writer_bool(gguf_writer *w, const char *key, bool v);
void gguf_writer_str(gguf_writer *w, const char *key, const char *s, size_t n);
void gguf_writer_array_str(gguf_writer *w, const char *key, const gguf_str *v, size_t n);
void gguf_writer_array_u8(gguf_writer *w, const char *key, const uint8_t *v, size_t n);
void gguf_writer_array_i32(gguf_writer *w, const char *key, const int32_t *v, size_t n);
void gguf_writer_array_u32(gguf_writer *w, const char *key, const uint32_t *v, size_t n);
void gguf_writer_array_f32(gguf_writer *w, const char *key, const float *v, size_t n);
// Copies key i of an open file, whatever its type; nothing past the last.
void gguf_writer_copy(gguf_writer *w, const gguf *g, size_t i);
// Declares a tensor; `fill` is called at save time, in order, to write exactly its bytes into `dst` piece by
// piece: [offset, offset + n) of the tensor. A status other than 0 ends the save with it.
typedef int gguf_fill_fn(void *ctx, const char *name, uint64_t offset, void *dst, size_t n);
void gguf_writer_tensor(gguf_writer *w, const char *name, int type, uint32_t n_dims, const uint64_t *dims,
                        gguf_fill_fn *fill, void *ctx);
// Writes to PATH.partial and renames: a full disk or a crash leaves no half file under the name.
int gguf_writer_save(gguf_writer *w, const char *path, err *e);
// For those who place the data themselves (fill is NULL then, and gguf_writer_save must not be called): appends all that
// stands before the data to `head`, and gives the bytes of the whole file.
int gguf_writer_head(const gguf_writer *w, buf *head, uint64_t *file_bytes, err *e);
uint64_t gguf_writer_offset(const gguf_writer *w,
                            size_t i);  // of tensor i, in the order declared, from the head's end

#endif
