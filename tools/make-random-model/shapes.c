// The shapes, as the published models have them, and two tiny ones for tests.
#include <string.h>

#include "random.h"

// clang-format off
static const shape shapes[] = {
    // name           arch     layers width  ff     heads kv head vocab   context rope base  eps    stretch tied
    {"qwen3-0.6b",    "qwen3",  28,   1024,   3072, 16,   8, 128, 151936,  40960, 1000000.f, 1e-6f,  0, true},
    {"qwen3-1.7b",    "qwen3",  28,   2048,   6144, 16,   8, 128, 151936,  40960, 1000000.f, 1e-6f,  0, true},
    {"qwen3-4b",      "qwen3",  36,   2560,   9728, 32,   8, 128, 151936,  40960, 1000000.f, 1e-6f,  0, true},
    {"qwen3-8b",      "qwen3",  36,   4096,  12288, 32,   8, 128, 151936,  40960, 1000000.f, 1e-6f,  0, false},
    {"llama-3.2-1b",  "llama",  16,   2048,   8192, 32,   8,  64, 128256, 131072,  500000.f, 1e-5f, 32, true},
    {"llama-3.1-8b",  "llama",  32,   4096,  14336, 32,   8, 128, 128256, 131072,  500000.f, 1e-5f,  8, false},
    {"qwen3-tiny",    "qwen3",   4,    256,    512,  4,   2,  64,   1024,   2048, 1000000.f, 1e-6f,  0, true},
    {"llama-tiny",    "llama",   4,    256,    512,  4,   2,  64,   1024,   2048,  500000.f, 1e-5f,  8, false},
};
// clang-format on

const shape *shape_at(size_t i)
{
    return i < COUNT_OF(shapes) ? &shapes[i] : NULL;
}

const shape *shape_find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(shapes); i++)
        if (strcmp(shapes[i].name, name) == 0)
            return &shapes[i];
    return NULL;
}
