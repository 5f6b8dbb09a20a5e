// The rows of a tensor to be written, made from the folder's tensors.
#include <string.h>

#include "convert/own.h"

// GGUF's llama keeps the two values of a rotary pair side by side, Hugging Face half a head apart.
static uint64_t unpaired(const convert_out *t, uint64_t i, uint64_t n)
{
    uint64_t head = n / (uint64_t)t->heads, at = i % head;
    return i - at + at % 2 * (head / 2) + at / 2;
}

static uint32_t word_at(const convert_tensor *t, uint64_t i)
{
    uint32_t v;
    memcpy(&v, t->data + 4 * i, sizeof v);
    return v;
}

static void gptq_row(const convert_out *t, const convert_row_source *s, uint64_t o, float *out)
{
    uint64_t inputs = t->dims[0], outputs = t->dims[1], each = inputs / s->scales->dims[0];
    for (uint64_t i = 0; i < inputs; i++) {
        uint64_t group = s->groups ? word_at(s->groups, i) : i / each;
        int code = (int)(word_at(s->t, i / 8 * outputs + o) >> 4 * (i % 8) & 15);
        int zero = (int)(word_at(s->zeros, group * (outputs / 8) + o / 8) >> 4 * (o % 8) & 15) +
                   t->zero_shift;
        float scale;
        convert_values(s->scales, group * outputs + o, 1, 1, &scale);
        out[i] = scale * (float)(code - zero);
    }
}

static void awq_row(const convert_out *t, const convert_row_source *s, uint64_t o, float *out)
{
    static const int place[8] = {0, 4, 1, 5, 2, 6, 3, 7};  // of outputs in a word
    uint64_t inputs = t->dims[0], outputs = t->dims[1], each = inputs / s->scales->dims[0];
    int shift = 4 * place[o % 8];
    for (uint64_t i = 0; i < inputs; i++) {
        int code = (int)(word_at(s->t, i * (outputs / 8) + o / 8) >> shift & 15);
        int zero = (int)(word_at(s->zeros, i / each * (outputs / 8) + o / 8) >> shift & 15);
        float scale;
        convert_values(s->scales, i / each * outputs + o, 1, 1, &scale);
        out[i] = scale * (float)(code - zero);
    }
}

// Row r of matrix m of a tensor that keeps outputs innermost; a bias is one such row a matrix.
static void column_row(const convert_out *t, const convert_tensor *from, uint64_t m, uint64_t r, float *out)
{
    uint64_t inner = from->dims[from->n_dims - 1];
    if (t->n_dims == 2 && t->step > 0 && t->how == CONVERT_AS_IS) {  // [experts][outputs]
        convert_values(from, r * inner + t->first, t->step, (size_t)t->dims[0], out);
        return;
    }
    convert_values(from, m * t->dims[0] * inner + t->first + r * t->step, inner, (size_t)t->dims[0], out);
}

static void plain_row(const convert_out *t, const convert_tensor *from, uint64_t m, uint64_t r, float *out)
{
    size_t n = (size_t)t->dims[0];
    if (t->columns) {
        column_row(t, from, m, r, out);
    } else if (t->heads && t->n_dims == 1) {
        for (uint64_t i = 0; i < n; i++)
            convert_values(from, unpaired(t, i, n), 1, 1, &out[i]);
    } else {
        uint64_t row = t->heads ? unpaired(t, r, t->dims[1]) : t->first + r * t->step;
        convert_values(from, row * n, 1, n, out);
    }
    for (size_t i = 0; t->how == CONVERT_PLUS_ONE && i < n; i++)
        out[i] += 1;
}

void convert_row(const convert_out *t, uint64_t row, float *out)
{
    if (t->kind == CONVERT_COMPUTED) {
        memcpy(out, t->computed, (size_t)t->dims[0] * sizeof *out);
        return;
    }
    uint64_t m = row / t->dims[1], r = row % t->dims[1];
    const convert_row_source *s = &t->sources[t->n_sources > 1 ? m : 0];
    if (t->kind == CONVERT_PLAIN) {
        plain_row(t, s->t, t->n_sources > 1 ? 0 : m, r, out);
        return;
    }
    uint64_t o = t->heads ? unpaired(t, r, t->dims[1]) : r;
    if (t->kind == CONVERT_GPTQ)
        gptq_row(t, s, o, out);
    else
        awq_row(t, s, o, out);
}

// The published blocks hold neighbouring values in a byte, GGUF's those sixteen apart.
void convert_row_mxfp4(const convert_out *t, uint64_t row, uint8_t *out)
{
    const convert_row_source *s = t->sources;
    uint64_t m = row / t->dims[1], r = row % t->dims[1], blocks = t->dims[0] / 32;
    uint64_t from = (m * s->t->dims[1] + t->first + r * t->step) * blocks;
    for (uint64_t b = 0; b < blocks; b++, out += 17) {
        const uint8_t *codes = s->t->data + (from + b) * 16;
        out[0] = s->scales->data[from + b];
        for (int i = 0; i < 16; i++) {
            int low = codes[i / 2] >> i % 2 * 4 & 15, high = codes[8 + i / 2] >> i % 2 * 4 & 15;
            out[1 + i] = (uint8_t)(low | high << 4);
        }
    }
}
