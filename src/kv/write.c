// Files that are there whole or not at all, and the head they begin with.
#include "kv/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int kv_writer_open(kv_writer *w, const char *path, err *e)
{
    size_t cap = strlen(path) + 32;
    *w = (kv_writer){.path = mem_strndup(MEM_KV, path, strlen(path)), .partial = mem_alloc(MEM_KV, cap)};
    int fd = -1;
    if (w->path && w->partial) {
        snprintf(w->partial, cap, "%s.%016llx", path, (unsigned long long)os_random_seed());
        fd = os_open_nameless(w->partial);
        w->nameless = fd >= 0;
        if (!w->nameless)
            fd = open(w->partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    }
    w->f = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (w->f)
        return ST_OK;
    int rc = w->path && w->partial ? err_set(e, ST_IO, "%s: %s", w->partial, strerror(errno))
                                   : err_set(e, ST_NOMEM, "no memory to save keys and values");
    if (fd >= 0)
        close(fd);
    mem_free(w->path);
    mem_free(w->partial);
    return rc;
}

void kv_writer_add(kv_writer *w, const void *p, size_t n)
{
    if (!w->failed && fwrite(p, 1, n, w->f) != n)
        w->failed = errno;
}

int kv_writer_close(kv_writer *w, bool sync, err *e)
{
    if (!w->failed && (fflush(w->f) || (sync && fsync(fileno(w->f))) ||
                       (w->nameless && !os_name_file(fileno(w->f), w->partial))))
        w->failed = errno;
    if (fclose(w->f) && !w->failed)
        w->failed = errno;
    if (!w->failed && rename(w->partial, w->path))
        w->failed = errno;
    int rc = w->failed
                 ? err_set(e, ST_IO, "%s: keys and values were not saved: %s", w->path, strerror(w->failed))
                 : ST_OK;
    if (rc)
        unlink(w->partial);
    else if (sync)
        os_sync_dir_of(w->path);
    mem_free(w->path);
    mem_free(w->partial);
    return rc;
}

enum { ORDER = 0x01020304 };

static uint64_t head_check(const kv_file_head *h, const int32_t *tokens)
{
    const size_t from = offsetof(kv_file_head, root);
    uint64_t sum = hash_bytes((const uint8_t *)h + from, sizeof *h - from);
    return hash_combine(sum, tokens, (size_t)h->length * sizeof *tokens);
}

kv_file_head kv_head_make(const kv *s, const char *magic, uint64_t key, const int32_t *tokens, int length)
{
    kv_file_head h = {.root = s->root,
                      .key = key,
                      .order = ORDER,
                      .layers = s->shape.layers,
                      .kv_heads = s->shape.kv_heads,
                      .head_dim = s->shape.head_dim,
                      .page = DEV_PAGE,
                      .length = length};
    memcpy(h.magic, magic, sizeof h.magic);
    h.check = head_check(&h, tokens);
    return h;
}

int kv_head_check(const kv *s, const kv_file_head *h, const char *magic, const char *path, err *e)
{
    if (memcmp(h->magic, magic, sizeof h->magic) != 0 || h->order != ORDER || h->page != DEV_PAGE)
        return err_set(e, ST_UNSUPPORTED,
                       "%s: not keys and values of this version of irori on this kind of machine", path);
    if (h->root != s->root || h->layers != s->shape.layers || h->kv_heads != s->shape.kv_heads ||
        h->head_dim != s->shape.head_dim)
        return err_set(e, ST_INVALID, "%s: made with another model or adapter; use the one it was made with",
                       path);
    if (h->length < 0)
        return err_set(e, ST_FORMAT, "%s: damaged: %d tokens", path, h->length);
    return ST_OK;
}

bool kv_head_tokens_fit(const kv_file_head *h, const int32_t *tokens)
{
    return head_check(h, tokens) == h->check;
}
