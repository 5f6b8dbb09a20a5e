// What the files of the kv room share.
#ifndef KV_FILE_H
#define KV_FILE_H

#include <stdio.h>

#include "kv/own.h"

// record.c. A record is the levels of all blocks, a byte each, filled up to a multiple of 8, then their planes.
size_t kv_record_bytes(const kv *s, const uint8_t *levels);
int kv_record_make(const kv *s, const kv_page *p, int written, buf *out);  // ST_NOMEM
// Whether n bytes are a record of a page with so many tokens.
bool kv_record_fits(const kv *s, const uint8_t *record, size_t n, int written);
int kv_record_read(kv *s, kv_page *p, const uint8_t *record);  // into a fresh page; one that fits

// write.c: a file that appears under its name when it is whole. Until then it has none, or where the file system wants one
// `partial`, which is also its name for the moment before it takes the place of an older file.
typedef struct kv_writer {
    FILE *f;
    char *path, *partial;
    bool nameless;
    int failed;  // errno of what failed first; 0: nothing did
} kv_writer;
int kv_writer_open(kv_writer *w, const char *path, err *e);
void kv_writer_add(kv_writer *w, const void *p, size_t n);
// Forces it to the disk when `sync`; then it has its name, or is gone after an error.
int kv_writer_close(kv_writer *w, bool sync, err *e);

// What a file says of the store it is from, after its magic.
typedef struct kv_file_head {
    char magic[8];
    uint64_t check;  // over what follows of the head, and the tokens
    uint64_t root, key;
    uint32_t order;  // 0x01020304
    int32_t layers, kv_heads, head_dim, page, length;
} kv_file_head;
kv_file_head kv_head_make(const kv *s, const char *magic, uint64_t key, const int32_t *tokens, int length);
// ST_FORMAT, ST_UNSUPPORTED (another version or byte order), ST_INVALID (of another model).
int kv_head_check(const kv *s, const kv_file_head *h, const char *magic, const char *path, err *e);
bool kv_head_tokens_fit(const kv_file_head *h, const int32_t *tokens);  // the checksum

#endif
