// Reads the vocabulary files of other tools into the builder, so that tests need no converted copies.
#ifndef TESTS_TOK_SPMODEL_H
#define TESTS_TOK_SPMODEL_H

#include "tok/build.h"

// A SentencePiece .model (protobuf). false: not such a file.
bool spmodel_read(build *b, const void *data, size_t n);

#endif
