// The shapes, as the published models have them, and tiny ones for tests.
#include <string.h>

#include "random.h"

// clang-format off
static const shape shapes[] = {
    // name           arch     layers width  ff     heads kv head vocab   context rope base  eps    stretch tied   experts used
    {"qwen3-0.6b",    "qwen3",  28,   1024,   3072, 16,   8, 128, 151936,  40960, 1000000.f, 1e-6f,  0, true,  0, 0},
    {"qwen3-1.7b",    "qwen3",  28,   2048,   6144, 16,   8, 128, 151936,  40960, 1000000.f, 1e-6f,  0, true,  0, 0},
    {"qwen3-4b",      "qwen3",  36,   2560,   9728, 32,   8, 128, 151936,  40960, 1000000.f, 1e-6f,  0, true,  0, 0},
    {"qwen3-8b",      "qwen3",  36,   4096,  12288, 32,   8, 128, 151936,  40960, 1000000.f, 1e-6f,  0, false, 0, 0},
    {"llama-3.2-1b",  "llama",  16,   2048,   8192, 32,   8,  64, 128256, 131072,  500000.f, 1e-5f, 32, true,  0, 0},
    {"llama-3.1-8b",  "llama",  32,   4096,  14336, 32,   8, 128, 128256, 131072,  500000.f, 1e-5f,  8, false, 0, 0},
    // One layer in four and in three of the published models: what they do, in a file of a usable size.
    {"qwen3-30b-a3b-12", "qwen3moe", 12, 2048,  768, 32,   4, 128, 151936,  40960, 1000000.f, 1e-6f,  0, false, 128, 8},
    {"gpt-oss-20b-8", "gpt-oss", 8,   2880,   2880, 64,   8,  64, 201088, 131072,  150000.f, 1e-5f,  0, false, 32, 4},
    {"qwen3-tiny",    "qwen3",   4,    256,    512,  4,   2,  64,   1024,   2048, 1000000.f, 1e-6f,  0, true,  0, 0},
    {"llama-tiny",    "llama",   4,    256,    512,  4,   2,  64,   1024,   2048,  500000.f, 1e-5f,  8, false, 0, 0},
    {"mixtral-tiny",  "llama",   4,    256,    512,  4,   2,  64,   1024,   2048, 1000000.f, 1e-5f,  0, false, 8, 2},
    {"qwen3moe-tiny", "qwen3moe", 4,   256,    256,  4,   2,  64,   1024,   2048, 1000000.f, 1e-6f,  0, true,  16, 4},
    {"gpt-oss-tiny",  "gpt-oss", 4,    256,    256,  8,   2,  32,   1024,   2048,  150000.f, 1e-5f,  0, false, 8, 2},
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
