// What the files of this room share.
#ifndef QUANTIZE_OWN_H
#define QUANTIZE_OWN_H

#include "quantize/quantize.h"

enum { QUANTIZE_SUPER = 256 };  // values of a super-block

// mix.c
uint32_t quantize_mix_file_type(const quantize_mix *m);

// rows.c: the threads that encode.
typedef struct quantize_rows {
    pool *threads;
    float **row;       // [threads][columns] a decoded row each
    float **back;      // likewise, for measuring
    uint64_t columns;  // that the buffers hold
} quantize_rows;

int quantize_rows_new(quantize_rows *r, int threads, uint64_t columns, err *e);
void quantize_rows_free(quantize_rows *r);
// Rows [first, first + n) of t as `type` into dst. means: [columns * matrices] or NULL.
void quantize_rows_encode(quantize_rows *r, const gguf_tensor *t, const float *means, int type,
                          uint64_t first, uint64_t n, uint8_t *dst);
// The share of its weighted power that t loses as `type`, over at most `sample` of its rows; scratch lies in r.
// Negative: no memory.
double quantize_rows_error(quantize_rows *r, const gguf_tensor *t, const float *means, int type,
                           uint64_t sample);

static inline uint64_t quantize_row_count(const gguf_tensor *t)
{
    return t->dims[1] * t->dims[2] * t->dims[3];
}

// output.c: OUT.partial, the result in the making. After the file's own bytes it holds, for each tensor, a hash of its
// data once that is whole; the last step cuts this off.
typedef struct quantize_output {
    const char *path;  // borrowed
    char *partial;
    int fd;
    uint64_t head_bytes, file_bytes;
    uint64_t key;  // of everything the result depends on
    size_t n;
} quantize_output;

// Opens or creates the file. What an earlier run with the same key left is kept.
int quantize_output_open(quantize_output *x, const char *path, const buf *head, uint64_t file_bytes,
                         uint64_t key, size_t n_tensors, err *e);
// Whether tensor i lies there whole already: its bytes are read, `band` at a time, and compared with their hash.
bool quantize_output_has(quantize_output *x, size_t i, uint64_t offset, uint64_t bytes, size_t band);
int quantize_output_write(quantize_output *x, uint64_t at, const void *p, size_t n,
                          err *e);  // at: in the data
int quantize_output_done(quantize_output *x, size_t i, uint64_t hash, err *e);
int quantize_output_finish(quantize_output *x, err *e);  // cuts, syncs, renames
// Closes; with `drop` the partial file is removed.
void quantize_output_close(quantize_output *x, bool drop);

// budget.c: types under a bound on bits, by measured error.
int quantize_budget(const gguf *g, const quantize_imatrix *m, quantize_rows *rows, const quantize_options *o,
                    int *types, err *e);

#endif
