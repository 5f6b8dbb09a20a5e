// Split models: "NAME-00001-of-0000N.gguf" and its brothers. The first part carries the metadata; every part
// says which it is (split.no, from 0) and of how many (split.count), so a part that is another part again (a
// link, a copy) shows.
#include <stdio.h>
#include <string.h>

#include "gguf/internal.h"

enum { SUFFIX = 20 };  // "-00001-of-00002.gguf"

// Reads the two numbers of the suffix; false when the name has another form.
static bool read_suffix(const char *path, unsigned *no, unsigned *count)
{
    size_t n = strlen(path);
    int end = 0;
    return n >= SUFFIX && sscanf(path + n - SUFFIX, "-%5u-of-%5u.gguf%n", no, count, &end) == 2 &&
           end == SUFFIX;
}

static int check_first(const gguf *g, err *e)
{
    const gguf_part *p = &g->parts[0];
    unsigned no = 0, count = 0;
    bool named = read_suffix(g->path, &no, &count);
    if (!p->has_split && named && count > 1)
        return err_set(e, ST_FORMAT, "the name says part %u of %u, but the file has no key split.count", no,
                       count);
    if (p->split_count < 1 || p->split_count > GGUF_MAX_PARTS)
        return err_set(e, ST_FORMAT, "key split.count is %llu, 1 to %d allowed",
                       (unsigned long long)p->split_count, GGUF_MAX_PARTS);
    if (p->split_count == 1)
        return ST_OK;
    if (p->split_no != 0)
        return err_set(e, ST_INVALID, "part %llu of %llu of a split model; open part 1 instead",
                       (unsigned long long)p->split_no + 1, (unsigned long long)p->split_count);
    if (!named || no != 1 || count != p->split_count)
        return err_set(e, ST_FORMAT, "part 1 of %llu, so the name must end in -00001-of-%05llu.gguf",
                       (unsigned long long)p->split_count, (unsigned long long)p->split_count);
    return ST_OK;
}

static int check_part(const gguf_part *p, uint64_t no, uint64_t count, err *e)
{
    if (p->split_no != no)
        return err_set(e, ST_FORMAT, "key split.no is %llu, %llu needed", (unsigned long long)p->split_no,
                       (unsigned long long)no);
    if (p->split_count != count)
        return err_set(e, ST_FORMAT, "key split.count is %llu, %llu needed",
                       (unsigned long long)p->split_count, (unsigned long long)count);
    return ST_OK;
}

// Maps and scans part `no` (from 0) of `count`; `path` ends with its suffix.
static int open_part(gguf *g, const char *path, uint64_t no, uint64_t count, err *e)
{
    gguf_part *more = mem_realloc(MEM_GGUF, g->parts, (g->n_parts + 1) * sizeof *more);
    if (!more)
        return err_set(e, ST_NOMEM, "%s: no memory for part %zu", path, g->n_parts + 1);
    g->parts = more;
    gguf_part *p = &g->parts[g->n_parts];
    *p = (gguf_part){0};
    int rc = os_map_file(&p->map, path, e);
    if (rc) {
        err_prefix(e, "part %llu of %llu", (unsigned long long)no + 1, (unsigned long long)count);
        return rc;
    }
    p->mapped = true;
    g->n_parts++;
    rc = gguf_scan(p, e);
    if (!rc)
        rc = check_part(p, no, count, e);
    if (rc)
        err_prefix(e, "%s", path);
    return rc;
}

int gguf_split_open(gguf *g, err *e)
{
    int rc = check_first(g, e);
    if (rc)
        err_prefix(e, "%s", g->path);
    uint64_t count = g->parts[0].split_count, tensors = g->parts[0].n_tensors;
    if (rc || count == 1)
        return rc;
    size_t n = strlen(g->path);
    char *path = mem_strndup(MEM_GGUF, g->path, n);
    if (!path)
        return err_set(e, ST_NOMEM, "%s: no memory for a file name", g->path);
    for (uint64_t no = 1; no < count && !rc; no++) {
        snprintf(path + n - SUFFIX, SUFFIX + 1, "-%05u-of-%05u.gguf", (unsigned)no + 1, (unsigned)count);
        rc = open_part(g, path, no, count, e);
        tensors += rc ? 0 : g->parts[no].n_tensors;
    }
    mem_free(path);
    uint64_t expected = g->parts[0].split_tensors;
    if (!rc && expected != 0 && tensors != expected)
        rc = err_set(e, ST_FORMAT, "%s: key split.tensors.count is %llu, the parts have %llu tensors",
                     g->path, (unsigned long long)expected, (unsigned long long)tensors);
    return rc;
}
