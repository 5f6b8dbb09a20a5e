// A copy of a GGUF file whose matrices are encoded anew.
#ifndef TESTS_API_REQUANT_H
#define TESTS_API_REQUANT_H

#include "gguf/gguf.h"

// Writes `from` to `path` with every matrix of at least 2 dimensions as `type`; those whose rows are no multiple
// of its block stay as they are. Returns the status of the save. `decoded`: the values are encoded and decoded
// again and written as F32, so that only the weights lose precision and not the activations.
int requant(const char *from, const char *path, int type, bool decoded);

#endif
