// Attention over the pages of a sequence.
//
// A tile is up to KERN_ATTN_ROWS query rows that share a KV head: the heads of its group, for one or several
// consecutive tokens. The context is cut into spans of a fixed number of pages; each span is attended to on
// its own (online softmax over its pages) and the spans are merged in order. Few tiles (decoding): threads
// share out the spans and merge after a barrier. Many tiles (prefill): a thread takes a whole tile. The
// arithmetic is the same either way, so a token's result does not depend on the batch it came in or on the
// number of threads.
#include <math.h>
#include <string.h>

#include "dev/cpu/cpu.h"

enum {
    SPAN_PAGES = 16,
    SPAN = SPAN_PAGES * DEV_PAGE,
    TILES_A_THREAD = 4,  // so many tiles a thread come out even by themselves
    LEAST_ROWS = 12,     // rows that a tile keeps however many threads there are
    MASS_ALL = 8,        // a run of so few tokens has the attention of each measured,
    MASS_EVERY = 8,      // a longer one that of every eighth position, which stands for eight
};

typedef struct tile {
    int token, tokens;  // the batch's tokens [token, token + tokens), of one sequence
    int end;            // the position after that sequence's last in the batch
    int kv_head;
    int head, heads;        // query heads [head, head + heads) of the model, all of this KV head
    int first_span, spans;  // spans [first_span, first_span + spans) hold what its rows may see
} tile;

// How a layer's tiles are numbered: by run of tokens, then KV head, then part of its group.
typedef struct tiling {
    const cpu_plan *p;
    const graph_attention *at;
    int group;       // query heads a KV head
    int part_heads;  // query heads a tile takes of a group
    int parts;       // tiles that make up a group
    int tokens;      // tokens a tile takes
    // The run of tokens the walk is at, and the token after the last of its sequence:
    int first_tile, token, run, seq_end;
} tiling;

// The positions [*from, *to) that a token of a tile sees.
static void sight(const cpu_plan *p, const graph_attention *at, int token, int end, int *from, int *to)
{
    const int pos = p->batch->pos[token], window = at->window, half = window / 2;
    *to = !at->both_ways ? pos + 1 : window > 0 ? MIN(end, pos + half + 1) : end;
    *from = window > 0 ? MAX(0, at->both_ways ? pos - half : pos + 1 - window) : 0;
}

static void tiling_start(tiling *w, const cpu_plan *p, const graph_attention *at)
{
    int group = at->heads / at->kv_heads;
    *w = (tiling){.p = p, .at = at, .group = group};
    w->part_heads = MIN(group, KERN_ATTN_ROWS);
    w->parts = (group + w->part_heads - 1) / w->part_heads;
    w->tokens = MAX(1, KERN_ATTN_ROWS / group);
    // Smaller tiles where threads would go without; they read the pages more often.
    const int wanted = TILES_A_THREAD * pool_threads(p->dev->threads);
    while (w->tokens * group > LEAST_ROWS &&
           p->batch->n_tokens / w->tokens * at->kv_heads * w->parts < wanted)
        w->tokens = (w->tokens + 1) / 2;
    w->tokens = MIN(w->tokens, p->batch->n_tokens);
}

// The run of tokens of one sequence that starts at w->token, at most a tile's.
static int run_length(const tiling *w)
{
    const dev_batch *b = w->p->batch;
    int n = 0;
    while (n < w->tokens && w->token + n < b->n_tokens && b->seq[w->token + n] == b->seq[w->token])
        n++;
    return n;
}

// The position after the last one that the walk's sequence has in the batch.
static int sequence_end(tiling *w)
{
    const dev_batch *b = w->p->batch;
    if (w->seq_end <= w->token)
        for (w->seq_end = w->token; w->seq_end < b->n_tokens && b->seq[w->seq_end] == b->seq[w->token];)
            w->seq_end++;
    return b->pos[w->seq_end - 1] + 1;
}

// Tile number i; calls must come with rising i. False when there are not so many.
static bool tiling_at(tiling *w, int i, tile *out)
{
    int per_run = w->at->kv_heads * w->parts;
    w->run = run_length(w);
    while (w->run && i >= w->first_tile + per_run) {
        w->token += w->run;
        w->first_tile += per_run;
        w->run = run_length(w);
    }
    if (!w->run)
        return false;
    int in_run = i - w->first_tile, part = in_run % w->parts;
    *out = (tile){.token = w->token, .tokens = w->run, .kv_head = in_run / w->parts};
    out->head = out->kv_head * w->group + part * w->part_heads;
    out->heads = MIN(w->part_heads, w->group - part * w->part_heads);
    out->end = sequence_end(w);
    int first, last, unused;
    sight(w->p, w->at, w->token, out->end, &first, &unused);
    sight(w->p, w->at, w->token + w->run - 1, out->end, &unused, &last);
    out->first_span = first / SPAN;
    out->spans = (last - 1) / SPAN + 1 - out->first_span;
    return true;
}

// State of the online softmax for up to `rows` rows of a tile: m[rows], l[rows], o[rows][hd].
typedef struct state {
    float *m, *l, *o;
} state;

static size_t state_floats(int rows, int hd)
{
    return (size_t)rows * (size_t)(hd + 2);
}

static state state_at(float *at, int rows)
{
    return (state){at, at + rows, at + 2 * rows};
}

static void state_clear(state s, int rows, int hd)
{
    for (int r = 0; r < rows; r++) {
        s.m[r] = -INFINITY;
        s.l[r] = 0;
    }
    memset(s.o, 0, (size_t)rows * (size_t)hd * sizeof *s.o);
}

// The most rows a tile of this walk has.
static int most_rows(const tiling *w)
{
    return w->tokens * w->part_heads;
}

// into = softmax-weighted union of `into` and `from`, which covers later keys.
static void state_merge(state into, state from, int rows, int hd)
{
    for (int r = 0; r < rows; r++) {
        if (from.l[r] == 0)
            continue;
        float m = fmaxf(into.m[r], from.m[r]);
        float a = expf(into.m[r] - m), b = expf(from.m[r] - m);
        into.m[r] = m;
        into.l[r] = into.l[r] * a + from.l[r] * b;
        float *o = into.o + r * hd;
        const float *x = from.o + r * hd;
        for (int i = 0; i < hd; i++)
            o[i] = o[i] * a + x[i] * b;
    }
}

// How m and l of a tile's rows stood after each page of a span: [SPAN_PAGES][2][rows].
static size_t trail_floats(int rows)
{
    return (size_t)SPAN_PAGES * 2 * (size_t)rows;
}

// A span's results where threads share out spans: its state, then its trail.
static size_t partial_floats(int rows, int hd)
{
    return state_floats(rows, hd) + trail_floats(rows);
}

// What a token's row counts for in the attention that pages receive.
static int mass_weight(const dev_batch *b, int token)
{
    int first = token, end = token + 1;
    while (first > 0 && token - first < MASS_ALL && b->seq[first - 1] == b->seq[token])
        first--;
    while (end < b->n_tokens && end - token <= MASS_ALL && b->seq[end] == b->seq[token])
        end++;
    if (end - first <= MASS_ALL)
        return 1;
    return b->pos[token] % MASS_EVERY == MASS_EVERY - 1 ? MASS_EVERY : 0;
}

// Adds to the pages of a span what they received of each row: weights up to a page, measured in the row's final sum,
// less those up to the page before. A row's part is rounded alone, so that the total is the same in any order.
static void add_mass(const cpu_plan *p, const graph_attention *at, const tile *t, int span,
                     const float *trail, state all)
{
    const dev_batch *b = p->batch;
    const dev_kv_view *view = &b->views[b->seq[t->token]];
    int from, to;
    sight(p, at, t->token + t->tokens - 1, t->end, &from, &to);
    const int rows = t->tokens * t->heads;
    uint64_t mass[SPAN_PAGES] = {0};
    const int pages = MIN(SPAN_PAGES, (to - 1) / DEV_PAGE + 1 - span * SPAN_PAGES);
    for (int i = 0; i < t->tokens; i++) {
        const int weight = mass_weight(b, t->token + i);
        for (int r = i * t->heads; weight && r < (i + 1) * t->heads; r++) {
            const float whole = (float)weight * (float)DEV_KV_MASS_UNIT / all.l[r];
            float before = 0;
            for (int page = 0; page < pages; page++) {
                const float *m = trail + (size_t)page * 2 * (size_t)rows, *l = m + rows;
                if (l[r] == 0)
                    continue;
                const float now = l[r] * expf(m[r] - all.m[r]);
                mass[page] += (uint64_t)lrintf(fmaxf(0, now - before) * whole);
                before = now;
            }
        }
    }
    for (int page = 0; page < pages; page++)
        if (mass[page])
            atomic_fetch_add_explicit(&view->pages[span * SPAN_PAGES + page]->mass[at->layer], mass[page],
                                      memory_order_relaxed);
}

// Copies the tile's query rows together: row = token-major, head-minor.
static void gather(const cpu_plan *p, const graph_op *op, const tile *t, float *q)
{
    int hd = op->att.head_dim;
    const graph_value *v = cpu_value(p, op->in[0]);
    size_t n = (size_t)(t->heads * hd);
    for (int i = 0; i < t->tokens; i++)
        memcpy(q + (size_t)i * n, cpu_f32(p, v, t->token + i) + t->head * hd, n * sizeof *q);
}

// One head of a block as the kernels take it.
static kern_kv head_of(const cpu_plan *p, const dev_kv_block *b, enum dev_kv_side side, int head)
{
    const int hd = p->kv.head_dim;
    const size_t h = (size_t)head, codes = h * kern_kv_code_bytes(hd, 4);
    uint8_t *const *plane = b->plane;
    kern_kv x = {.level = (enum kern_kv_level)b->level, .terms = kern_kv_terms((enum kern_kv_side)side, hd)};
    x.outs = hd * DEV_PAGE / x.terms;
    if (b->level == DEV_KV_F16) {
        x.f16 = (const uint16_t *)(const void *)(plane[DEV_KV_PLANE_F16] + h * dev_kv_head_bytes(&p->kv));
        return x;
    }
    x.scales = (const uint16_t *)(const void *)(plane[DEV_KV_PLANE_SCALES] +
                                                h * kern_kv_scale_bytes((enum kern_kv_side)side, hd));
    if (b->level == DEV_KV_Q2) {
        x.two = plane[DEV_KV_PLANE_TWO] + codes / 2;
        return x;
    }
    x.high = plane[DEV_KV_PLANE_HIGH] + codes;
    if (b->level == DEV_KV_Q8)
        x.low = plane[DEV_KV_PLANE_LOW] + codes;
    return x;
}

// Attends to one page, at the levels its sides have.
static void attend_page(const cpu_plan *p, const dev_kv_block *block, int head, kern_attn *a)
{
    kern_kv k = head_of(p, &block[DEV_KV_K], DEV_KV_K, head),
            v = head_of(p, &block[DEV_KV_V], DEV_KV_V, head);
    a->k = k.f16;
    a->v = v.f16;
    a->kq = &k;
    a->vq = &v;
    if (k.level == KERN_KV_F16 && v.level == KERN_KV_F16)
        p->dev->kern->attn_f16(a);
    else
        p->dev->kern->attn_kv(a);
}

// Attends to one span (counted from 0 for the whole sequence); `s` is cleared first. Pages that are absent are passed
// over. `trail` is filled unless NULL.
static void attend_span(const cpu_plan *p, const graph_attention *at, const tile *t, int span, const float *q,
                        state s, float *trail)
{
    int hd = at->head_dim, rows = t->tokens * t->heads, visible[KERN_ATTN_ROWS], first[KERN_ATTN_ROWS];
    const dev_kv_view *view = &p->batch->views[p->batch->seq[t->token]];
    int from, to;
    sight(p, at, t->token + t->tokens - 1, t->end, &from, &to);
    const int last = to - 1;
    kern_attn a = {.rows = rows,
                   .hd = hd,
                   .q = q,
                   .visible = visible,
                   .first = at->window > 0 ? first : NULL,
                   .softcap = at->softcap,
                   .m = s.m,
                   .l = s.l,
                   .o = s.o};
    state_clear(s, rows, hd);
    for (int page = span * SPAN_PAGES; page < (span + 1) * SPAN_PAGES && page * DEV_PAGE <= last; page++) {
        bool any = false;
        for (int r = 0; r < rows; r++) {
            sight(p, at, t->token + r / t->heads, t->end, &from, &to);
            visible[r] = MAX(0, MIN(DEV_PAGE, to - page * DEV_PAGE));
            first[r] = MAX(0, MIN(DEV_PAGE, from - page * DEV_PAGE));
            any |= visible[r] > first[r];
        }
        const dev_kv_block *block = view->pages[page]->block[at->layer];
        if (any && block[DEV_KV_K].level != DEV_KV_ABSENT)
            attend_page(p, block, t->kv_head, &a);
        if (trail) {
            memcpy(trail, s.m, (size_t)rows * sizeof *s.m);
            memcpy(trail + rows, s.l, (size_t)rows * sizeof *s.l);
            trail += 2 * rows;
        }
    }
}

// The sinks take their part of the weight.
static void add_sinks(const graph_attention *at, const tile *t, state s)
{
    for (int r = 0; at->sinks && r < t->tokens * t->heads; r++) {
        const float sink = at->sinks[t->head + r % t->heads], m = fmaxf(s.m[r], sink);
        const float a = expf(s.m[r] - m);
        s.m[r] = m;
        s.l[r] = s.l[r] * a + expf(sink - m);
        for (int i = 0; i < at->head_dim; i++)
            s.o[r * at->head_dim + i] *= a;
    }
}

// o / l of every row to its place in the output.
static void finish(const cpu_plan *p, const graph_op *op, const tile *t, state s)
{
    int hd = op->att.head_dim;
    const graph_value *v = cpu_value(p, op->out[0]);
    for (int r = 0; r < t->tokens * t->heads; r++) {
        float *y = cpu_f32(p, v, t->token + r / t->heads) + (t->head + r % t->heads) * hd;
        const float *o = s.o + r * hd;
        for (int i = 0; i < hd; i++)
            y[i] = o[i] / s.l[r];
    }
}

static void attend_tiles(cpu_worker *w, const graph_op *op, atomic_int *next)
{
    cpu_plan *p = w->plan;
    int hd = op->att.head_dim, from, to;
    float *q = w->scratch;
    state span = state_at(q + KERN_ATTN_ROWS * hd, KERN_ATTN_ROWS),
          all = state_at(q + KERN_ATTN_ROWS * hd + state_floats(KERN_ATTN_ROWS, hd), KERN_ATTN_ROWS);
    float *trails = p->trails + (size_t)w->ith * CPU_TRAIL_FLOATS;
    tiling walk;
    tile t;
    tiling_start(&walk, p, &op->att);
    while (pool_next(next, INT32_MAX, 1, &from, &to) && tiling_at(&walk, from, &t)) {
        const int rows = t.tokens * t.heads;
        const size_t each = trail_floats(rows);
        const bool mass = each * (size_t)t.spans <= CPU_TRAIL_FLOATS;
        gather(p, op, &t, q);
        state_clear(all, rows, hd);
        for (int i = 0; i < t.spans; i++) {
            attend_span(p, &op->att, &t, t.first_span + i, q, span, mass ? trails + (size_t)i * each : NULL);
            state_merge(all, span, rows, hd);
        }
        add_sinks(&op->att, &t, all);
        for (int i = 0; mass && i < t.spans; i++)
            add_mass(p, &op->att, &t, t.first_span + i, trails + (size_t)i * each, all);
        finish(p, op, &t, all);
    }
}

// The threads share out (tile, span); after a barrier each tile's spans are merged by one thread.
static void attend_split(cpu_worker *w, const graph_op *op, atomic_int *next, int spans)
{
    cpu_plan *p = w->plan;
    int hd = op->att.head_dim, from, to;
    float *q = w->scratch;
    tiling walk;
    tile t;
    tiling_start(&walk, p, &op->att);
    const int most = most_rows(&walk);
    const size_t trail = state_floats(most, hd), each = partial_floats(most, hd);
    while (pool_next(&next[0], INT32_MAX, 1, &from, &to) && tiling_at(&walk, from / spans, &t)) {
        int i = from % spans;
        if (i >= t.spans)
            continue;
        gather(p, op, &t, q);
        float *part = p->partial + (size_t)from * each;
        attend_span(p, &op->att, &t, t.first_span + i, q, state_at(part, most), part + trail);
    }
    pool_barrier(p->dev->threads);
    state all = state_at(q, most);
    tiling_start(&walk, p, &op->att);
    while (pool_next(&next[1], INT32_MAX, 1, &from, &to) && tiling_at(&walk, from, &t)) {
        state_clear(all, t.tokens * t.heads, hd);
        float *part = p->partial + (size_t)(from * spans) * each;
        for (int i = 0; i < t.spans; i++)
            state_merge(all, state_at(part + (size_t)i * each, most), t.tokens * t.heads, hd);
        add_sinks(&op->att, &t, all);
        for (int i = 0; i < t.spans; i++)
            add_mass(p, &op->att, &t, t.first_span + i, part + (size_t)i * each + trail, all);
        finish(p, op, &t, all);
    }
}

// Tiles of the layer, the most spans any has, and the most rows.
static int count_tiles(const cpu_plan *p, const graph_attention *at, int *spans, int *rows)
{
    tiling walk;
    tile t;
    int n = 0;
    *spans = 1;
    for (tiling_start(&walk, p, at); tiling_at(&walk, n, &t); n += at->kv_heads * walk.parts)
        *spans = MAX(*spans, t.spans);
    *rows = most_rows(&walk);
    return n;
}

void cpu_attend(cpu_worker *w, const graph_op *op, int index)
{
    cpu_plan *p = w->plan;
    atomic_int *next = &p->counters[2 * index];
    int spans, rows, tiles = count_tiles(p, &op->att, &spans, &rows);
    bool split = spans > 1 && tiles < TILES_A_THREAD * w->nth &&
                 (size_t)tiles * (size_t)spans * partial_floats(rows, op->att.head_dim) <= CPU_PARTIAL_FLOATS;
    if (split)
        attend_split(w, op, next, spans);
    else
        attend_tiles(w, op, next);

    // Only the quantized forms need whole blocks, which may straddle heads: a second pass over finished rows.
    const graph_value *out = cpu_value(p, op->out[0]);
    if (out->forms == 1u << GRAPH_F32)
        return;
    pool_barrier(p->dev->threads);
    int blocks = (out->width + KERN_SUPER - 1) / KERN_SUPER, from, to;
    cpu_share(w, w->batch->n_tokens * blocks, &from, &to);
    for (int u = from; u < to; u++) {
        int row = u / blocks, c = u % blocks * KERN_SUPER;
        cpu_emit(p, out, row, c, MIN(c + KERN_SUPER, out->width), cpu_f32(p, out, row) + c);
    }
}

size_t cpu_attend_scratch(int head_dim)
{
    return (size_t)KERN_ATTN_ROWS * (size_t)head_dim + 2 * state_floats(KERN_ATTN_ROWS, head_dim);
}
