// Fills the tables of a model whose parts were scanned: keys, string offsets, tensors. The bytes are trusted
// here. Checks what only shows when all names and places are known: duplicates and overlapping data.
#include <string.h>

#include "gguf/internal.h"

const uint8_t *gguf_parse_skip(uint32_t type, const uint8_t *p)
{
    if (type == GGUF_STRING)
        return p + 8 + gguf_load_u64(p);
    if (type != GGUF_ARRAY)
        return p + gguf_scan_type_size(type);
    uint32_t elem = gguf_load_u32(p), size = gguf_scan_type_size(elem);
    uint64_t count = gguf_load_u64(p + 4);
    p += 12;
    if (size)
        return p + count * size;
    while (count--)  // nested at most GGUF_MAX_NESTING deep
        p = gguf_parse_skip(elem, p);
    return p;
}

// Copies a name (length, bytes) with a NUL; gives where its bytes end in the file.
static const uint8_t *take_name(char **names, const char **name, const uint8_t *p)
{
    size_t n = (size_t)gguf_load_u64(p);
    memcpy(*names, p + 8, n);
    (*names)[n] = 0;
    *name = *names;
    *names += n + 1;
    return p + 8 + n;
}

// Notes where each string of the array (at its element type) starts; gives the next free place.
static uint32_t *fill_strings(const uint8_t *array, uint32_t *at)
{
    uint64_t count = gguf_load_u64(array + 4);
    const uint8_t *first = array + 12, *p = first;
    for (uint64_t i = 0; i < count; i++) {
        at[i] = (uint32_t)(p - first);
        p = gguf_parse_skip(GGUF_STRING, p);
    }
    return at + count;
}

static int fill_keys(gguf *g, char **names, err *e)
{
    const gguf_part *part = &g->parts[0];
    const uint8_t *p = part->map.data + part->keys_at;
    uint32_t *at = g->string_at;
    for (size_t i = 0; i < g->n_keys; i++) {
        gguf_key *k = &g->keys[i];
        const uint8_t *start = p;
        p = take_name(names, &k->name, p);
        k->value = p;
        size_t first = gguf_index_add(&g->key_index, g->keys, sizeof *g->keys, i);
        if (first != i)
            return err_set(e, ST_FORMAT, "key %.*s at byte %llu is there twice: keys %zu and %zu of %zu",
                           gguf_scan_shown(k->name, strlen(k->name)), k->name,
                           (unsigned long long)(start - part->map.data), first + 1, i + 1, g->n_keys);
        uint32_t type = gguf_load_u32(p);
        if (type == GGUF_ARRAY && gguf_load_u32(p + 4) == GGUF_STRING) {
            g->arrays[g->n_arrays++] = (gguf_strings){(uint32_t)i, at};
            at = fill_strings(p + 4, at);
        }
        p = gguf_parse_skip(type, p + 4);
    }
    return ST_OK;
}

static int fill_tensors(gguf *g, const gguf_part *part, size_t first, char **names, err *e)
{
    const uint8_t *p = part->map.data + part->tensors_at;
    for (size_t i = first; i < first + part->n_tensors; i++) {
        gguf_tensor *t = &g->tensors[i];
        const uint8_t *start = p;
        *t = (gguf_tensor){.dims = {1, 1, 1, 1}};
        p = take_name(names, &t->name, p);
        size_t same = gguf_index_add(&g->tensor_index, g->tensors, sizeof *g->tensors, i);
        if (same != i)
            return err_set(e, ST_FORMAT, "tensor %s at byte %llu is there twice: tensors %zu and %zu of %zu",
                           t->name, (unsigned long long)(start - part->map.data), same + 1, i + 1,
                           g->n_tensors);
        t->n_dims = gguf_load_u32(p);
        p += 4;
        uint64_t rows = 1;
        for (uint32_t d = 0; d < t->n_dims; d++, p += 8) {
            t->dims[d] = gguf_load_u64(p);
            rows *= d ? t->dims[d] : 1;
        }
        t->type = (int)gguf_load_u32(p);
        t->data = part->map.data + part->data_at + gguf_load_u64(p + 4);
        t->size = (size_t)(quant_row_bytes(t->type, t->dims[0]) * rows);
        p += 12;
    }
    return ST_OK;
}

// Restores the heap order (largest data address on top) below node `at` of the first n.
static void sift(const gguf_tensor *t, uint32_t *order, size_t at, size_t n)
{
    uint32_t v = order[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && t[order[child + 1]].data > t[order[child]].data)
            child++;
        if (t[order[child]].data <= t[v].data)
            break;
        order[at] = order[child];
    }
    order[at] = v;
}

// Heapsort of tensor numbers by address: no recursion, no hidden allocation, no bad case to provoke.
static void sort_by_data(const gguf_tensor *t, uint32_t *order, size_t n)
{
    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    for (size_t i = n / 2; i-- > 0;)
        sift(t, order, i, n);
    while (n-- > 1) {
        uint32_t top = order[0];
        order[0] = order[n];
        order[n] = top;
        sift(t, order, 0, n);
    }
}

static int overlap(const gguf_part *part, const gguf_tensor *a, const gguf_tensor *b, err *e)
{
    if (a->data + a->size <= b->data)
        return ST_OK;
    const uint8_t *base = part->map.data;
    return err_set(e, ST_FORMAT, "tensor %s at byte %llu overlaps tensor %s, which ends at byte %llu",
                   b->name, (unsigned long long)(b->data - base), a->name,
                   (unsigned long long)(a->data + a->size - base));
}

// No byte of data belongs to two tensors. Nearly all files list tensors in the order of their data; only
// others need the sort.
static int check_overlap(const gguf_part *part, const gguf_tensor *t, err *e)
{
    size_t n = (size_t)part->n_tensors;
    bool sorted = true;
    for (size_t i = 1; i < n && sorted; i++)
        sorted = t[i].data >= t[i - 1].data;
    uint32_t *order = sorted ? NULL : mem_alloc(MEM_GGUF, n * sizeof *order);
    if (!sorted && !order)
        return err_set(e, ST_NOMEM, "no memory to order %zu tensors", n);
    if (order)
        sort_by_data(t, order, n);
    int rc = ST_OK;
    for (size_t i = 1; i < n && !rc; i++)
        rc = order ? overlap(part, &t[order[i - 1]], &t[order[i]], e) : overlap(part, &t[i - 1], &t[i], e);
    mem_free(order);
    return rc;
}

static int allocate(gguf *g, err *e)
{
    const gguf_part *first = &g->parts[0];
    uint64_t name_bytes = first->key_name_bytes;
    g->n_keys = (size_t)first->n_keys;
    for (size_t i = 0; i < g->n_parts; i++) {
        g->n_tensors += (size_t)g->parts[i].n_tensors;
        name_bytes += g->parts[i].tensor_name_bytes;
    }
    g->names = mem_alloc(MEM_GGUF, (size_t)name_bytes);
    g->keys = mem_alloc(MEM_GGUF, g->n_keys * sizeof *g->keys);
    g->arrays = mem_alloc(MEM_GGUF, (size_t)first->n_string_arrays * sizeof *g->arrays);
    g->string_at = mem_alloc(MEM_GGUF, (size_t)first->n_strings * sizeof *g->string_at);
    g->tensors = mem_alloc(MEM_GGUF, g->n_tensors * sizeof *g->tensors);
    if (!g->names || !g->keys || !g->arrays || !g->string_at || !g->tensors ||
        gguf_index_init(&g->key_index, g->n_keys) || gguf_index_init(&g->tensor_index, g->n_tensors))
        return err_set(e, ST_NOMEM, "no memory for the tables of %zu keys and %zu tensors", g->n_keys,
                       g->n_tensors);
    return ST_OK;
}

int gguf_parse(gguf *g, err *e)
{
    int rc = allocate(g, e);
    if (rc)
        return rc;
    char *names = g->names;
    rc = fill_keys(g, &names, e);
    size_t done = 0;
    for (size_t i = 0; i < g->n_parts && !rc; i++) {
        rc = fill_tensors(g, &g->parts[i], done, &names, e);
        if (!rc)
            rc = check_overlap(&g->parts[i], g->tensors + done, e);
        done += (size_t)g->parts[i].n_tensors;
    }
    return rc;
}
