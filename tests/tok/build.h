// Builds a GGUF file in memory, metadata only: small vocabularies for the tests and the fuzzer.
#ifndef TESTS_TOK_BUILD_H
#define TESTS_TOK_BUILD_H

#include "base/base.h"
#include "gguf/gguf.h"
#include "tok/tok.h"

typedef struct build {
    buf out;
    uint64_t keys;
} build;

void build_init(build *b);
void build_done(build *b);
void build_str(build *b, const char *key, const char *s, size_t n);
void build_u32(build *b, const char *key, uint32_t v);
void build_bool(build *b, const char *key, bool v);
void build_strs(build *b, const char *key, const gguf_str *v, size_t n);
void build_cstrs(build *b, const char *key, const char *const *v, size_t n);
void build_i32s(build *b, const char *key, const int32_t *v, size_t n);
void build_f32s(build *b, const char *key, const float *v, size_t n);
void build_bytes(build *b, const char *key, const void *v, size_t n);  // an array of u8

// Opens what was built as a tokenizer; what gguf_open_memory or tok_open returned.
int build_open(build *b, tok **t, err *e);

#endif
