// The door of the quantize room: a model file in, one with fewer bits a weight out.
//
// A mix ("Q4_K_M") says which type each tensor gets; the encoders of the quant room do the rest, row by row on all
// threads. The result grows in OUT.partial, which also notes the finished tensors, and is renamed when it is whole: what
// was interrupted goes on where it stopped.
#ifndef QUANTIZE_QUANTIZE_H
#define QUANTIZE_QUANTIZE_H

#include "base/base.h"
#include "gguf/gguf.h"

// Mixes (mix.c) -------------------------------------------------------------------------------------------
typedef struct quantize_mix quantize_mix;

// By name, any case; NULL when unknown. names lists them all for messages, separated by spaces.
const quantize_mix *quantize_mix_find(const char *name);
const char *quantize_mix_name(const quantize_mix *m);
void quantize_mix_names(buf *names);

// Whether a tensor is one of those that mixes give a type to: a matrix of weights, not a norm, a position table or a
// router.
bool quantize_takes(const gguf_tensor *t);
// Whether it is the output matrix, or the embedding table that serves as one.
bool quantize_is_head(const gguf *g, const gguf_tensor *t);
// The type each tensor of g gets (types: [tensor count], in file order), before its row length is looked at; those that
// are not taken keep theirs. has_importance: several mixes spend fewer bits then.
void quantize_mix_types(const quantize_mix *m, const gguf *g, bool has_importance, int *types);
// `type`, or the nearest one that rows of `n` values divide into.
int quantize_fallback(int type, uint64_t n);

// Importance (imatrix.c) ----------------------------------------------------------------------------------
// Mean squares of what is multiplied with each column of each matrix, as `irori imatrix` measures them. The file is GGUF
// with general.type "imatrix" and, for tensor T, T.in_sum2 [columns, matrices] and T.counts [1, matrices].
typedef struct quantize_imatrix {
    gguf *file;
    uint64_t hash;
} quantize_imatrix;

int quantize_imatrix_open(quantize_imatrix *m, const char *path, err *e);
void quantize_imatrix_close(quantize_imatrix *m);
// Means for a tensor: *means is [columns * matrices], mem_free it; NULL where the file has nothing for it. ST_FORMAT when
// the file's shape is not the tensor's.
int quantize_imatrix_get(const quantize_imatrix *m, const gguf_tensor *t, float **means, err *e);

// The sums of one matrix (or of `matrices` experts) while they are gathered.
typedef struct quantize_sums {
    const char *name;  // of the tensor; borrowed
    int columns, matrices;
    double *sum2;   // [matrices][columns]
    double *count;  // [matrices] rows seen
} quantize_sums;
// Writes the file. source: what was read, for the record.
int quantize_imatrix_save(const quantize_sums *sums, size_t n, const char *source, uint32_t chunks,
                          uint32_t chunk_tokens, const char *path, err *e);

// The work (job.c) ----------------------------------------------------------------------------------------
typedef struct quantize_options {
    const quantize_mix *mix;  // NULL with target_bpw
    double target_bpw;        // > 0: types are chosen by measured error so that the weights take at most this
    const char *imatrix;      // path or NULL
    int threads;              // 0: the processors this process may use
    bool (*progress)(void *ctx, uint64_t done,
                     uint64_t total);           // false stops; bytes of the result. May be NULL
    void (*note)(void *ctx, const char *line);  // what a person should know; may be NULL
    void *ctx;
} quantize_options;

typedef struct quantize_report {
    uint64_t bytes_in, bytes_out;  // of the files
    double bpw;                    // of the result: bits of tensor data a parameter
    int fallbacks;                 // tensors whose rows did not divide into their type
    int resumed;                   // tensors that an interrupted run had finished
} quantize_report;

// in and out must not be the same file. ST_CANCELED leaves OUT.partial for the next run; any other failure leaves nothing.
// report may be NULL.
int quantize_file(const char *in, const char *out, const quantize_options *o, quantize_report *report,
                  err *e);

#endif
