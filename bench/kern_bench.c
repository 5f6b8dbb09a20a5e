// kern_bench: how fast the kernels are on this processor, one thread, from the table the engine uses.
//
//   kern_bench [--isa NAME] [--type Q4_K,...] [--tokens 1,4,512] [--rows N] [--columns K] [--seconds S] [--json]
//
// A matrix product is repeated for S seconds (at least 5 times) and the median of its processor time, which the
// other work of a busy machine disturbs least, is told as gigabytes of weights a second and as 1e9
// multiplications and additions a second. Attention is told for one KV head of 128 over 131,072 keys, at each level of
// keys and values.
// Without --isa, every instruction set but scalar; without --type, every type with a packed form.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "kern/kern.h"

enum { MAX_LIST = 64, MAX_REPS = 10000 };

typedef struct options {
    int isa;  // -1: all
    int types[MAX_LIST], n_types;
    int tokens[MAX_LIST], n_tokens;
    int rows, columns;
    double seconds;
    bool json;
} options;

typedef struct report {
    const options *o;
    json_writer w;
    buf out;
} report;

static uint32_t rnd(void)
{
    static uint32_t s = 88172645;
    s ^= s << 13;
    s ^= s >> 17;
    s ^= s << 5;
    return s;
}

static void *pages(size_t n)
{
    void *p = mem_pages_alloc(MEM_OTHER, n);
    if (!p) {
        fprintf(stderr, "kern_bench: no memory for %zu bytes\n", n);
        exit(1);
    }
    return p;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

// Processor seconds of this thread.
static double thread_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// Median seconds of fn(ctx).
static double median_time(double seconds, void (*fn)(void *), void *ctx)
{
    static double times[MAX_REPS];
    int n = 0;
    fn(ctx);
    for (double start = os_seconds(); n < 5 || (os_seconds() - start < seconds && n < MAX_REPS); n++) {
        double t = thread_seconds();
        fn(ctx);
        times[n] = thread_seconds() - t;
    }
    qsort(times, (size_t)n, sizeof times[0], by_value);
    return times[n / 2];
}

static void tell(report *r, const char *isa, const char *what, int tokens, double seconds, double bytes,
                 double ops)
{
    if (!r->o->json) {
        printf("%-7s %-12s %5d tokens %9.1f us %7.2f GB/s %8.1f Gop/s\n", isa, what, tokens, seconds * 1e6,
               bytes / seconds * 1e-9, ops / seconds * 1e-9);
        fflush(stdout);
        return;
    }
    json_obj(&r->w);
    json_key(&r->w, "isa");
    json_str(&r->w, isa);
    json_key(&r->w, "what");
    json_str(&r->w, what);
    json_key(&r->w, "tokens");
    json_int(&r->w, tokens);
    json_key(&r->w, "seconds");
    json_num(&r->w, seconds);
    json_key(&r->w, "gb_per_s");
    json_num(&r->w, bytes / seconds * 1e-9);
    json_key(&r->w, "gop_per_s");
    json_num(&r->w, ops / seconds * 1e-9);
    json_end(&r->w);
}

typedef struct product {
    const kern_table *t;
    kern_weight w;
    kern_act a;
    int tokens;
    float *y;
} product;

static void multiply(void *ctx)
{
    product *p = ctx;
    p->t->matmul[p->w.type](&p->w, &p->a, 0, p->tokens, 0, (p->w.n + KERN_PANEL - 1) / KERN_PANEL, p->y,
                            (size_t)p->w.n);
}

static void bench_product(report *r, const kern_table *t, int type, int tokens)
{
    const options *o = r->o;
    int k = o->columns, n = o->rows;
    size_t count = (size_t)tokens * (size_t)k, panels = ((size_t)n + KERN_PANEL - 1) / KERN_PANEL;
    size_t bytes = kern_packed_bytes(type, n, k);
    uint8_t *data = pages(bytes);
    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)(0x10 + rnd() % 0x2b);  // as a scale: neither subnormal nor infinite
    size_t x_bytes = count * sizeof(float), y_bytes = (size_t)tokens * (size_t)n * sizeof(float);
    float *x = pages(x_bytes), *d = pages(x_bytes), *y = pages(y_bytes);
    int8_t *q = pages(count);
    int16_t *sum = pages(x_bytes);
    for (size_t i = 0; i < count; i++)
        x[i] = (float)(rnd() >> 8) * 0x1p-23f - 1.0f;
    product p = {.t = t,
                 .w = {kern_packed_type(type), kern_family_of(type), n, k, bytes / panels, data},
                 .tokens = tokens,
                 .y = y};
    p.a = (kern_act){kern_act_of(p.w.family), k, x, q, d, sum, (size_t)k, (size_t)k};
    if (p.a.kind == KERN_ACT_Q8_32)
        t->quantize_q8_32(x, (int)count, q, d, sum);
    else if (p.a.kind == KERN_ACT_Q8_256)
        t->quantize_q8_256(x, (int)count, q, d, sum);
    double seconds = median_time(o->seconds, multiply, &p);
    tell(r, kern_isa_name(t->isa), quant_type_info(type)->name, tokens, seconds, (double)bytes,
         2.0 * (double)n * (double)count);
    mem_pages_free(MEM_OTHER, data, bytes);
    mem_pages_free(MEM_OTHER, x, x_bytes);
    mem_pages_free(MEM_OTHER, d, x_bytes);
    mem_pages_free(MEM_OTHER, y, y_bytes);
    mem_pages_free(MEM_OTHER, q, count);
    mem_pages_free(MEM_OTHER, sum, x_bytes);
}

// Pages enough to lie outside of the caches, as those of a long context do.
enum { HEAD = 128, KV_PAGES = 2048, PAGE_VALUES = HEAD * KERN_PAGE };

typedef struct attention {
    const kern_table *t;
    kern_attn a;
    kern_kv k, v;
} attention;

// Moves to the page i of planes that hold KV_PAGES one after the other.
static kern_kv page_at(const kern_kv *x, int i)
{
    kern_kv y = *x;
    y.f16 += (size_t)i * PAGE_VALUES;
    y.high += (size_t)i * kern_kv_code_bytes(HEAD, 4);
    y.low += (size_t)i * kern_kv_code_bytes(HEAD, 4);
    y.two += (size_t)i * kern_kv_code_bytes(HEAD, 2);
    y.scales += (size_t)i * 2 * (size_t)x->terms;
    return y;
}

static void attend(void *ctx)
{
    attention *p = ctx;
    for (int r = 0; r < p->a.rows; r++) {
        p->a.m[r] = -INFINITY;
        p->a.l[r] = 0.0f;
    }
    memset(p->a.o, 0, (size_t)p->a.rows * HEAD * sizeof *p->a.o);
    for (int i = 0; i < KV_PAGES; i++) {
        kern_kv k = page_at(&p->k, i), v = page_at(&p->v, i), next = page_at(&p->k, MIN(i + 1, KV_PAGES - 1));
        p->a.k = k.f16;
        p->a.v = v.f16;
        p->a.kq = &k;
        p->a.vq = &v;
        p->a.next = next.f16;
        p->a.next_kq = &next;
        if (k.level == KERN_KV_F16 && v.level == KERN_KV_F16)
            p->t->attn_f16(&p->a);
        else
            p->t->attn_kv(&p->a);
    }
}

static size_t side_bytes(const kern_kv *x)
{
    static const int bits[] = {16, 8, 4, 2};
    size_t scales = x->level == KERN_KV_F16 ? 0 : (size_t)x->terms * 4;
    return (PAGE_VALUES / 8 * (size_t)bits[x->level] + scales) * KV_PAGES;
}

// All planes of one side, of random values within +-2.
enum { SIDE_BYTES = KV_PAGES * (PAGE_VALUES * 2 + PAGE_VALUES + PAGE_VALUES / 4 + HEAD * 4) };

static kern_kv side_new(const kern_table *t, enum kern_kv_side side, uint8_t *data)
{
    kern_kv x = {.terms = kern_kv_terms(side, HEAD)};
    x.outs = PAGE_VALUES / x.terms;
    uint16_t *f16 = (uint16_t *)(void *)data, *scales = f16 + KV_PAGES * PAGE_VALUES;
    uint8_t *high = (uint8_t *)(scales + KV_PAGES * 2 * HEAD), *low = high + KV_PAGES * PAGE_VALUES / 2,
            *two = low + KV_PAGES * PAGE_VALUES / 2;
    for (size_t i = 0; i < KV_PAGES * PAGE_VALUES; i++)
        f16[i] = (uint16_t)(rnd() >> 9 & 0xbfff);
    x = (kern_kv){x.level, x.terms, x.outs, f16, high, low, two, scales};
    static float values[PAGE_VALUES];
    for (int i = 0; i < KV_PAGES; i++) {
        kern_kv y = page_at(&x, i);
        t->f16_to_f32(y.f16, PAGE_VALUES, values);
        t->kv_encode(values, y.terms, y.outs, high + (y.high - x.high), low + (y.low - x.low),
                     scales + (y.scales - x.scales));
        kern_kv_narrow(y.high, y.terms, y.outs, two + (y.two - x.two));
    }
    return x;
}

static void bench_attention(report *r, const kern_table *t)
{
    static const struct {
        const char *name;
        enum kern_kv_level k, v;
    } levels[] = {{"F16 KV", KERN_KV_F16, KERN_KV_F16},
                  {"Q8 KV", KERN_KV_Q8, KERN_KV_Q8},
                  {"Q8 K Q4 V", KERN_KV_Q8, KERN_KV_Q4},
                  {"Q4 KV", KERN_KV_Q4, KERN_KV_Q4},
                  {"Q2 KV", KERN_KV_Q2, KERN_KV_Q2}};
    static const int rows[] = {1, 2, 4, 16, KERN_ATTN_ROWS};
    static float q[KERN_ATTN_ROWS * HEAD], o[KERN_ATTN_ROWS * HEAD], m[KERN_ATTN_ROWS], l[KERN_ATTN_ROWS];
    static _Alignas(64) float form[KERN_ATTN_ROWS * HEAD];
    int visible[KERN_ATTN_ROWS];
    uint8_t *k = pages(2 * SIDE_BYTES), *v = k + SIDE_BYTES;
    attention p = {.t = t, .k = side_new(t, KERN_KV_K, k), .v = side_new(t, KERN_KV_V, v)};
    for (size_t i = 0; i < COUNT_OF(q); i++)
        q[i] = ((float)(rnd() >> 8) * 0x1p-23f - 1.0f) / 11.3f;
    for (int i = 0; i < KERN_ATTN_ROWS; i++)
        visible[i] = KERN_PAGE;
    if (t->attn_form)
        t->attn_form(q, KERN_ATTN_ROWS, HEAD, form);
    for (size_t i = 0; i < COUNT_OF(levels); i++)
        for (size_t j = 0; j < COUNT_OF(rows); j++) {
            p.k.level = levels[i].k;
            p.v.level = levels[i].v;
            p.a = (kern_attn){.rows = rows[j],
                              .hd = HEAD,
                              .q = q,
                              .form = form,
                              .turned = q,
                              .visible = visible,
                              .m = m,
                              .l = l,
                              .o = o};
            double seconds = median_time(r->o->seconds, attend, &p);
            tell(r, kern_isa_name(t->isa), levels[i].name, rows[j], seconds,
                 (double)(side_bytes(&p.k) + side_bytes(&p.v)), 4.0 * rows[j] * PAGE_VALUES * KV_PAGES);
        }
    mem_pages_free(MEM_OTHER, k, 2 * SIDE_BYTES);
}

static void bench_isa(report *r, int isa)
{
    const kern_table *t = kern_get_exactly(isa);
    if (!t || (isa == KERN_SCALAR && r->o->isa != KERN_SCALAR))
        return;
    for (int i = 0; i < r->o->n_types; i++)
        for (int j = 0; j < r->o->n_tokens; j++)
            bench_product(r, t, r->o->types[i], r->o->tokens[j]);
    bench_attention(r, t);
}

static int usage(const char *what, const char *value)
{
    fprintf(stderr,
            "kern_bench: %s '%s'\nusage: kern_bench [--isa NAME] [--type Q4_K,...] [--tokens 1,4,512] "
            "[--rows N] [--columns K, a multiple of 256] [--seconds S] [--json]\n",
            what, value);
    return 2;
}

// A whole positive number; 0 when the text is anything else.
static int number(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);
    return *text && !*end && n > 0 && n <= 1 << 20 ? (int)n : 0;
}

static bool parse_list(char *text, bool types, int *out, int *n)
{
    *n = 0;
    for (char *item = strsep(&text, ","); item && *n < MAX_LIST; item = strsep(&text, ",")) {
        out[*n] = types ? quant_type_from_name(item) : number(item);
        if (out[*n] < (types ? 0 : 1) || (types && !quant_type_info(out[*n])->decode))
            return false;
        ++*n;
    }
    return *n > 0;
}

// 0, or an exit status after a message.
static int parse(options *o, int argc, char **argv)
{
    static char nothing[1];
    for (int i = 1; i < argc; i++) {
        char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : nothing;
        bool good = true;
        if (strcmp(name, "--json") == 0) {
            o->json = true;
            continue;
        }
        if (strcmp(name, "--isa") == 0)
            good = (o->isa = kern_isa_from_name(value)) >= 0;
        else if (strcmp(name, "--type") == 0)
            good = parse_list(value, true, o->types, &o->n_types);
        else if (strcmp(name, "--tokens") == 0)
            good = parse_list(value, false, o->tokens, &o->n_tokens);
        else if (strcmp(name, "--rows") == 0)
            good = (o->rows = number(value)) > 0;
        else if (strcmp(name, "--columns") == 0)
            good = (o->columns = number(value)) > 0 && o->columns % KERN_SUPER == 0;
        else if (strcmp(name, "--seconds") == 0)
            good = (o->seconds = strtod(value, NULL)) > 0.0;
        else
            return usage("no such option", name);
        if (!good)
            return usage("not understood:", value);
        i++;
    }
    if (o->isa >= 0 && !kern_get_exactly(o->isa))
        return usage("this processor or this build lacks", kern_isa_name(o->isa));
    return 0;
}

int main(int argc, char **argv)
{
    options o = {
        .isa = -1, .tokens = {1, 4, 512}, .n_tokens = 3, .rows = 4096, .columns = 4096, .seconds = 0.3};
    for (int type = 0; type < QT_COUNT; type++)
        if (quant_type_info(type) && kern_family_of(type) != KERN_DECODE)
            o.types[o.n_types++] = type;
    int bad = parse(&o, argc, argv);
    if (bad)
        return bad;
    report r = {.o = &o};
    buf_init(&r.out);
    json_begin(&r.w, &r.out);
    json_arr(&r.w);
    for (int isa = 0; isa < KERN_ISA_COUNT; isa++)
        if (o.isa < 0 || o.isa == isa)
            bench_isa(&r, isa);
    json_end(&r.w);
    if (o.json)
        puts(r.out.data);
    buf_done(&r.out);
    return 0;
}
