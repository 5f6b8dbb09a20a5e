// What the files of this room share.
#ifndef CONVERT_OWN_H
#define CONVERT_OWN_H

#include <jansson.h>

#include "convert/convert.h"
#include "gguf/gguf.h"

// source.c: the folder. Every tensor of every file, by name.
typedef struct convert_source {
    const char *dir;
    arena mem;     // names, arrays
    os_map *maps;  // [n_maps]
    size_t n_maps;
    buf tensors;  // array of convert_tensor
    hash_map index;
    json_t *config, *tokenizer, *tokenizer_config;  // tokenizer and its config may be NULL
} convert_source;

int convert_source_open(convert_source *s, const char *dir, err *e);
void convert_source_close(convert_source *s);
size_t convert_source_count(const convert_source *s);
const convert_tensor *convert_source_at(const convert_source *s, size_t i);
const convert_tensor *convert_source_find(const convert_source *s, const char *fmt, ...) ERR_PRINTF(2, 3);
// A JSON file of the folder; *out NULL and ST_OK when it is not there.
int convert_source_json(const convert_source *s, const char *name, json_t **out, err *e);
// Values of t from element `first` on as floats; the caller keeps to its size.
void convert_values(const convert_tensor *t, uint64_t first, uint64_t stride, size_t n, float *out);
uint64_t convert_elements(const convert_tensor *t);

// Numbers of config.json: the first of the names (separated by '|') that is there and a number.
double convert_number(const json_t *object, const char *names, double otherwise);
bool convert_has(const json_t *object, const char *names);
const char *convert_text(const json_t *object, const char *name);  // NULL when it is no string
bool convert_flag(const json_t *object, const char *name, bool otherwise);

// family.c: how a model type of Hugging Face's becomes an architecture of GGUF's.
enum convert_how {
    CONVERT_AS_IS,
    CONVERT_Q_PAIRS,   // rows of each query head from halves to neighbouring rotary pairs
    CONVERT_K_PAIRS,   // the same for key heads
    CONVERT_PLUS_ONE,  // norms stored as the difference from 1
    CONVERT_TURNED,    // inputs are rows
    CONVERT_SKIP_TWO,  // position tables whose first two rows are never used
    CONVERT_LINE,      // one row taken as a vector
};

typedef struct convert_rename {
    const char *from, *to;  // without ".weight" and ".bias"; "#" in `from` is an expert's number
    enum convert_how how;
} convert_rename;

enum convert_norms { CONVERT_RMS, CONVERT_LAYER };

typedef struct convert_family {
    const char *model_types;  // separated by '|'
    const char *arch;
    enum convert_norms norms;
    bool writes_head_size;  // key_length and value_length are expected even where they follow from the width
    bool no_window;         // the key of a sliding window is there but means nothing
    bool encoder;
    const convert_rename *top, *layer;  // ended by an empty entry
    const char *const *needed;          // stems (GGUF names) each layer must have as .weight; ended by NULL
} convert_family;

const convert_family *convert_family_find(const char *model_type);
void convert_family_names(buf *out);

// keys.c and vocab.c: metadata.
int convert_keys(const convert_source *s, const convert_family *f, const convert_options *o, gguf_writer *w,
                 err *e);
int convert_vocab(const convert_source *s, const convert_family *f, gguf_writer *w, err *e);

// plan.c: what to write and how each of its rows is made.
enum convert_kind { CONVERT_PLAIN, CONVERT_GPTQ, CONVERT_AWQ, CONVERT_MXFP4, CONVERT_COMPUTED };

typedef struct convert_row_source {
    const convert_tensor *t;                        // values; GPTQ, AWQ: packed codes; MXFP4: blocks
    const convert_tensor *scales, *zeros, *groups;  // of packed weights; groups: GPTQ's g_idx or NULL
} convert_row_source;

typedef struct convert_out {
    char name[80];
    int type;
    uint32_t n_dims;
    uint64_t dims[4];  // GGUF's order
    enum convert_kind kind;
    enum convert_how how;
    int heads;  // of CONVERT_Q_PAIRS and K_PAIRS
    uint64_t first,
        step;      // source row of out row r: first + r * step (gpt-oss keeps gate and up interleaved)
    bool columns;  // out rows are columns of the source's last two dimensions
    convert_row_source *sources;  // [n_sources]: one an expert
    int n_sources;
    int zero_shift;         // GPTQ: added to stored zero points
    const float *computed;  // [dims[0]]
} convert_out;

typedef struct convert_plan {
    convert_source *s;
    const convert_family *f;
    const convert_options *o;
    buf outs;  // array of convert_out
    int layers, heads, kv_heads, experts;
} convert_plan;

int convert_plan_make(convert_plan *p, err *e);
// One row as floats (MXFP4: as encoded bytes, CONVERT_MXFP4 only).
void convert_row(const convert_out *t, uint64_t row, float *out);
void convert_row_mxfp4(const convert_out *t, uint64_t row, uint8_t *out);

#endif
