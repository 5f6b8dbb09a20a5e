// The model of tests/data/stories260K, which is in llama2.c's own format, as a GGUF file.
#ifndef TESTS_API_STORIES_H
#define TESTS_API_STORIES_H

#include <stdbool.h>

// Writes it to `path`. Heads of 8 values are padded to 16 (irori's least) with zeros, and Q is scaled so that
// scores come out the same: the numbers of the model do not change.
bool stories_save(const char *path);

#endif
