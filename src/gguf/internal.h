// What the files of this room share: the open model, one file of it, and the walk over a file's bytes.
//
// Opening goes twice over each header. scan.c checks everything that one file can break and counts, without
// allocating; parse.c then allocates exactly what was counted and fills it. So a hostile file costs no memory
// before it has shown the bytes that it claims, and never more than twice its size.
#ifndef GGUF_INTERNAL_H
#define GGUF_INTERNAL_H

#include "base/base.h"
#include "gguf/gguf.h"

enum {
    GGUF_MAX_KEY_NAME = 65535,     // the format's own bound
    GGUF_MAX_TENSOR_NAME = 64,     // likewise
    GGUF_MAX_DIMS = 4,             // likewise
    GGUF_MAX_KEYS = 1 << 20,       // ours: models have some tens
    GGUF_MAX_TENSORS = 1 << 20,    // ours: models have some thousands
    GGUF_MAX_NESTING = 4,          // ours: arrays in arrays; no known key nests at all
    GGUF_MAX_ALIGNMENT = 1 << 20,  // ours: files use 32
    GGUF_MAX_PARTS = 9999,         // ours; the split naming has five digits
};

// One file: the whole model or a split. Borrowed bytes for gguf_open_memory, a mapping otherwise.
typedef struct gguf_part {
    os_map map;
    bool mapped;
    uint32_t version;
    uint64_t keys_at, tensors_at;  // where the keys and the tensor descriptions begin
    uint64_t data_at;              // where tensor data begins; everything before it is the header
    uint64_t alignment;
    // Counted by the scan:
    uint64_t n_keys, n_tensors;
    uint64_t key_name_bytes, tensor_name_bytes;  // with a NUL each
    uint64_t n_string_arrays, n_strings;         // arrays that are a key's value, and their elements
    bool has_split;
    uint64_t split_no, split_count, split_tensors;  // the split.* keys; count 1 where absent
} gguf_part;

typedef struct gguf_key {
    const char *name;
    const uint8_t *value;  // in the mapping, at the u32 type before the value
} gguf_key;

// Where the strings of one array start, so that element i is found at once.
typedef struct gguf_strings {
    uint32_t key;
    const uint32_t *at;  // each from the first string's length field
} gguf_strings;

// Names to positions: slots hold position + 1, 0 is free; at most three quarters full. Four bytes a slot
// keeps it within the memory bound. Seeded, so that a file cannot bring names that all collide.
typedef struct gguf_index {
    uint32_t *slots;
    size_t cap;
    uint64_t seed;
} gguf_index;

// Lifetime of everything: from gguf_open to gguf_close.
struct gguf {
    char *path;
    gguf_part *parts;
    size_t n_parts;
    gguf_key *keys;  // of the first part
    size_t n_keys;
    gguf_index key_index;
    gguf_strings *arrays;  // ascending by key
    size_t n_arrays;
    uint32_t *string_at;  // what `arrays` points into
    gguf_tensor *tensors;
    size_t n_tensors;
    gguf_index tensor_index;
    char *names;  // all key and tensor names
};

static inline uint32_t gguf_load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t gguf_load_u64(const uint8_t *p)
{
    return gguf_load_u32(p) | (uint64_t)gguf_load_u32(p + 4) << 32;
}

// index.c. The name of entry i is asked from `table` with a stride, since keys and tensors differ.
int gguf_index_init(gguf_index *x, size_t n);
// Adds entry i unless its name is there already; gives the position that has the name.
size_t gguf_index_add(gguf_index *x, const void *table, size_t stride, size_t i);
// Position of the name or SIZE_MAX.
size_t gguf_index_find(const gguf_index *x, const void *table, size_t stride, const char *name);

// scan.c. Checks one file and fills the part's counts; p->map is set.
int gguf_scan(gguf_part *p, err *e);
// Bytes of a fixed-size value; 0 for strings and arrays.
uint32_t gguf_scan_type_size(uint32_t type);
const char *gguf_scan_type_name(uint32_t type);
// How many bytes of a name to print in a message.
int gguf_scan_shown(const char *name, size_t n);

// keys.c. Whether the value (at its type field, already scanned) is what this key must have.
int gguf_keys_check(const char *key, size_t n, const uint8_t *value, err *e);

// parse.c. Allocates and fills the tables of scanned parts; what only shows across the whole is checked here
// (duplicate names, overlapping data).
int gguf_parse(gguf *g, err *e);
// The end of a value, given its type and start; the bytes have been scanned.
const uint8_t *gguf_parse_skip(uint32_t type, const uint8_t *p);

// split.c. Maps and scans the other parts beside the first, which is parts[0].
int gguf_split_open(gguf *g, err *e);

// get.c. An integer of any width that is not negative.
bool gguf_get_value_u64(const uint8_t *value, uint64_t *out);

#endif
