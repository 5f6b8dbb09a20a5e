// What moving, sharing and bringing back keys and values costs: a store by itself, without a model.
//
// kv_bench [PAGES]: a sequence of so many pages (128 unless told: 8,192 tokens) in the shape of Qwen3-0.6B (28 layers, 8 KV
// heads of 128) is made coarser and brought back, from memory and from the disk. The spill file takes 7.3 MB a page in
// $TMPDIR or /tmp. Prints medians and quartiles.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kv/own.h"
#include "quant/quant.h"

static const dev_kv_shape shape = {.layers = 28, .kv_heads = 8, .head_dim = 128};
enum { MOST = 1024, FORKS = 4 };

static uint32_t draw(void)
{
    static uint64_t x = 88172645463325252u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (uint32_t)(x >> 32);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void tell(const char *what, double *seconds, int n, double unit, const char *name)
{
    qsort(seconds, (size_t)n, sizeof *seconds, by_size);
    printf("%-44s %9.3f %s (%.3f..%.3f)\n", what, seconds[n / 2] / unit, name, seconds[n / 4] / unit,
           seconds[n * 3 / 4] / unit);
}

// Finite values of every size within +-2 into all blocks of a page.
static void fill(const dev_kv_page *p)
{
    for (int b = 0; b < 2 * shape.layers; b++) {
        uint16_t *x = (uint16_t *)(void *)p->block[b / 2][b % 2].plane[DEV_KV_PLANE_F16];
        for (size_t i = 0; i < dev_kv_block_bytes(&shape) / 2; i++)
            x[i] = (uint16_t)(draw() & 0xbfff);
    }
}

static kv_seq *make(kv *s, int pages)
{
    kv_seq *q = NULL;
    int32_t tokens[DEV_PAGE] = {0};
    if (kv_seq_new(s, &q, NULL))
        return NULL;
    for (int i = 0; i < pages; i++) {
        if (kv_seq_reserve(q, DEV_PAGE, NULL))
            return NULL;
        fill(kv_seq_view(q).pages[i]);
        kv_seq_append(q, tokens, DEV_PAGE);
    }
    return q;
}

static void bench_fork(const kv_seq *q)
{
    double seconds[MOST];
    for (int i = 0; i < MOST; i++) {
        kv_seq *f[FORKS] = {NULL};
        double start = os_seconds();
        for (int j = 0; j < FORKS; j++)
            if (kv_seq_fork(q, &f[j], NULL))
                exit(1);
        seconds[i] = os_seconds() - start;
        for (int j = 0; j < FORKS; j++)
            kv_seq_free(f[j]);
    }
    tell("fork into 4", seconds, MOST, 1e-6, "us");
}

static void bench_bookkeeping(const kv *s)
{
    const size_t blocks = 2 * (size_t)shape.layers;
    size_t n = sizeof *s->page + sizeof *s->free_list + blocks * sizeof(dev_kv_block) +
               (size_t)shape.layers * (sizeof *s->mass + sizeof *s->heat) + sizeof *s->token +
               blocks * sizeof(kv_block_state) + sizeof *s->spill.free + sizeof *s->bucket;
    n += blocks * DEV_KV_PLANES * sizeof *s->plane->next;  // a link a slot; slabs are few
    printf("%-44s %9zu bytes, %.3f %% of F16\n", "bookkeeping of a page", n,
           100.0 * (double)n / (double)dev_kv_page_bytes(&shape));
}

static void lower(kv *s, const kv_seq *q, int pages, const char *what)
{
    double seconds[MOST];
    for (int i = 0; i < pages; i++) {
        double start = os_seconds();
        for (int b = 0; b < 2 * shape.layers; b++)
            kv_block_down(s, kv_page_of(kv_seq_view(q).pages[i]), b / 2, b % 2, DEV_KV_Q4, KV_EXACT);
        seconds[i] = os_seconds() - start;
    }
    if (what)
        tell(what, seconds, pages, 1e-3, "ms");
}

static void raise_all(kv *s, const kv_seq *q, int pages, bool cold, const char *what)
{
    double seconds[MOST];
    for (int i = 0; i < pages; i++) {
        int at = (int)((int64_t)i * 37 % pages);  // any order; 37 has no factor in common with powers of two
        if (cold)
            posix_fadvise(s->spill.fd, 0, 0, POSIX_FADV_DONTNEED);  // also what was read ahead
        double start = os_seconds();
        if (kv_page_restore(s, kv_page_of(kv_seq_view(q).pages[at]), NULL))
            exit(1);
        seconds[i] = os_seconds() - start;
    }
    tell(what, seconds, pages, 1e-3, "ms");
}

// What the policy does when a page has become full and a budget leaves all at F16: it measures the page's blocks, looks at what
// attention all pages had, and finds the price of a byte. Run once in 64 tokens, on the thread that steps.
static int bench_policy(int pages)
{
    double seconds[MOST];
    kv *s;
    err e;
    kv_stats st;
    kv_options o = {.pages = pages + 1, .root = 1};
    if (kv_policy_parse(&o.policy, "staged", "100%", &e) || kv_new(&s, &shape, &o, &e))
        return -1;
    kv_seq *q = make(s, 1);
    int32_t tokens[DEV_PAGE] = {0};
    for (int i = 1; i < pages; i++) {
        if (!q || kv_seq_reserve(q, DEV_PAGE, NULL))
            return -1;
        fill(kv_seq_view(q).pages[i]);
        for (int k = 0; k <= i; k++)
            for (int l = 0; l < shape.layers; l++)
                kv_seq_view(q).pages[k]->mass[l] += draw() >> 12;
        kv_seq_append(q, tokens, DEV_PAGE);
        double start = os_seconds();
        kv_adapt(s, DEV_PAGE);
        seconds[i - 1] = os_seconds() - start;
    }
    kv_get_stats(s, &st);
    if (st.demotions)
        return -1;  // it was to measure the cost of none
    tell("policy, a page full, nothing demoted", seconds + pages / 2, pages - 1 - pages / 2, 1e-3, "ms");
    kv_seq_free(q);
    kv_free(s);
    return 0;
}

static void bench_guard(kv *s, kv_seq *q, bool cold)
{
    uint8_t *levels;
    if (cold)
        posix_fadvise(s->spill.fd, 0, 0, POSIX_FADV_DONTNEED);
    double start = os_seconds();
    if (kv_seq_raise(q, &levels, NULL))
        exit(1);
    double raised = os_seconds();
    kv_seq_lower(q, levels, 0);
    printf("%-44s %9.3f s, and back %.3f s\n", cold ? "guard: all to F16 from the disk" : "guard: all to F16",
           raised - start, os_seconds() - raised);
    mem_free(levels);
}

int main(int argc, char **argv)
{
    const int pages = argc > 1 ? atoi(argv[1]) : 128;
    kv *s;
    err e;
    kv_options o = {.pages = pages + 1, .root = 1};
    if (pages < 2 || pages > MOST) {
        fprintf(stderr, "usage: kv_bench [PAGES, 2..%d]\n", MOST);
        return 2;
    }
    if (kv_policy_parse(&o.policy, "uniform:q4,mode=exact", NULL, &e) || kv_new(&s, &shape, &o, &e)) {
        fprintf(stderr, "kv_bench: %s\n", e.msg);
        return 1;
    }
    kv_seq *q = make(s, pages);
    if (!q) {
        fprintf(stderr, "kv_bench: no memory\n");
        return 1;
    }
    printf("%d pages of %.1f MB at F16\n", pages, (double)dev_kv_page_bytes(&shape) / 1e6);
    bench_bookkeeping(s);
    bench_fork(q);
    if (bench_policy(pages))
        return 1;
    lower(s, q, pages, "a page to Q4, written to the spill file");
    raise_all(s, q, pages, false, "a page to F16, spill file in memory");
    lower(s, q, pages, "a page to Q4 again");
    bench_guard(s, q, false);
    fsync(s->spill.fd);
    raise_all(s, q, pages, true, "a page to F16 from the disk");
    lower(s, q, pages, NULL);
    bench_guard(s, q, true);
    kv_seq_free(q);
    kv_free(s);
    return 0;
}
