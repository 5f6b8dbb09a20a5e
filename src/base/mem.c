// The counted heap. Each block carries its size and tag in the 16 bytes before it.
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"

typedef struct mem_head {
    size_t size;
    size_t tag;
} mem_head;

_Static_assert(sizeof(mem_head) == 16, "blocks stay aligned to 16");

static _Atomic uint64_t calls, bytes, peak, by_tag[MEM_TAGS];
static _Atomic uint64_t fail_countdown;

static bool must_fail(void)
{
    uint64_t n = atomic_load_explicit(&fail_countdown, memory_order_relaxed);
    while (n != 0)
        if (atomic_compare_exchange_weak(&fail_countdown, &n, n - 1))
            return n == 1;
    return false;
}

static void count_add(size_t tag, size_t n)
{
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&by_tag[tag], n, memory_order_relaxed);
    uint64_t now = atomic_fetch_add_explicit(&bytes, n, memory_order_relaxed) + n;
    uint64_t top = atomic_load_explicit(&peak, memory_order_relaxed);
    while (now > top && !atomic_compare_exchange_weak(&peak, &top, now)) {
    }
}

static void count_sub(size_t tag, size_t n)
{
    atomic_fetch_sub_explicit(&by_tag[tag], n, memory_order_relaxed);
    atomic_fetch_sub_explicit(&bytes, n, memory_order_relaxed);
}

void *mem_alloc(enum mem_tag tag, size_t n)
{
    if (n > SIZE_MAX - sizeof(mem_head) || must_fail())
        return NULL;
    mem_head *h = malloc(sizeof *h + n);
    if (!h)
        return NULL;
    h->size = n;
    h->tag = tag;
    count_add(tag, n);
    return h + 1;
}

void *mem_calloc(enum mem_tag tag, size_t count, size_t size)
{
    uint64_t n;
    if (!check_mul(count, size, &n) || n > SIZE_MAX - sizeof(mem_head) || must_fail())
        return NULL;
    mem_head *h = calloc(1, sizeof *h + (size_t)n);
    if (!h)
        return NULL;
    h->size = (size_t)n;
    h->tag = tag;
    count_add(tag, (size_t)n);
    return h + 1;
}

void *mem_realloc(enum mem_tag tag, void *p, size_t n)
{
    if (!p)
        return mem_alloc(tag, n);
    if (n > SIZE_MAX - sizeof(mem_head) || must_fail())
        return NULL;
    mem_head *h = (mem_head *)p - 1;
    size_t old = h->size, old_tag = h->tag;
    h = realloc(h, sizeof *h + n);
    if (!h)
        return NULL;
    h->size = n;
    h->tag = tag;
    count_sub(old_tag, old);
    count_add(tag, n);
    return h + 1;
}

char *mem_strndup(enum mem_tag tag, const char *s, size_t n)
{
    char *p = n == SIZE_MAX ? NULL : mem_alloc(tag, n + 1);
    if (!p)
        return NULL;
    if (n)  // s may be NULL then
        memcpy(p, s, n);
    p[n] = 0;
    return p;
}

void mem_free(void *p)
{
    if (!p)
        return;
    mem_head *h = (mem_head *)p - 1;
    count_sub(h->tag, h->size);
    free(h);
}

enum { HUGE_PAGE = 2 << 20 };

// Small requests stay on ordinary pages: a rounded-up huge page would cost more than it saves.
static size_t pages_size(size_t n)
{
    return (size_t)round_up(n ? n : 1, n >= HUGE_PAGE ? HUGE_PAGE : 4096);
}

void *mem_pages_alloc(enum mem_tag tag, size_t n)
{
    if (n > SIZE_MAX / 2 || must_fail())
        return NULL;
    size_t size = pages_size(n);
    size_t slack = size >= HUGE_PAGE ? HUGE_PAGE : 0;
    char *p = mmap(NULL, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (slack) {  // give back what lies outside the aligned part
        size_t lead = (size_t)(round_up((uintptr_t)p, HUGE_PAGE) - (uintptr_t)p);
        if (lead)
            munmap(p, lead);
        if (lead < slack)
            munmap(p + lead + size, slack - lead);
        p += lead;
#ifdef MADV_HUGEPAGE
        madvise(p, size, MADV_HUGEPAGE);
#endif
    }
    count_add(tag, size);
    return p;
}

void mem_pages_free(enum mem_tag tag, void *p, size_t n)
{
    if (!p)
        return;
    munmap(p, pages_size(n));
    count_sub(tag, pages_size(n));
}

void mem_pages_release(void *p, size_t n)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = (uintptr_t)round_up((uintptr_t)p, page), to = ((uintptr_t)p + n) / page * page;
    if (to > from)
        madvise((void *)from, to - from, MADV_DONTNEED);
}

void mem_get_stats(mem_stats *out)
{
    out->calls = atomic_load(&calls);
    out->bytes = atomic_load(&bytes);
    out->peak = atomic_load(&peak);
    for (int i = 0; i < MEM_TAGS; i++)
        out->bytes_by_tag[i] = atomic_load(&by_tag[i]);
}

void mem_fail_nth(uint64_t n)
{
    atomic_store(&fail_countdown, n);
}
