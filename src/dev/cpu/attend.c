// Attention over the pages of a sequence.
//
// A tile is up to KERN_ATTN_ROWS query rows that share a KV head: the heads of its group, for one or several
// neighbouring tokens of the batch, whose sequences may differ. The context is cut into spans of a fixed number of pages; each span is attended to on
// its own (online softmax over its pages) and the spans are merged in order. Few tiles (decoding): threads
// share out the spans and merge after a barrier. Many tiles (prefill): a thread takes a whole tile. The
// arithmetic is the same either way, so a token's result does not depend on the batch it came in or on the
// number of threads.
#include <limits.h>
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
    int token, tokens;  // the batch's tokens [token, token + tokens)
    int kv_head;
    int head, heads;        // query heads [head, head + heads) of the model, all of this KV head
    int first_span, spans;  // spans [first_span, first_span + spans) hold what its rows may see
    int pages;              // so many from the first of the sequence on hold what its rows may see
    int from[KERN_ATTN_ROWS], to[KERN_ATTN_ROWS];  // [tokens] positions [from, to) that each sees
} tile;

// How a layer's tiles are numbered: by run of tokens, then KV head, then part of its group.
typedef struct tiling {
    const cpu_plan *p;
    const graph_attention *at;
    int group;       // query heads a KV head
    int part_heads;  // query heads a tile takes of a group
    int parts;       // tiles that make up a group
    int tokens;      // tokens a tile takes
} tiling;

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

// The positions [*from, *to) that a token sees; `end` is the one after the last of its sequence.
static void sight(const dev_batch *b, const graph_attention *at, int token, int end, int *from, int *to)
{
    const int pos = b->pos[token], window = at->window, half = window / 2;
    *to = !at->both_ways ? pos + 1 : window > 0 ? MIN(end, pos + half + 1) : end;
    *from = window > 0 ? MAX(0, at->both_ways ? pos - half : pos + 1 - window) : 0;
}

// What the tokens of a tile see.
static void tile_sights(const dev_batch *b, const graph_attention *at, tile *t)
{
    int token = t->token + t->tokens - 1, oldest = INT_MAX, newest = 0, stop = token;
    while (at->both_ways && stop + 1 < b->n_tokens && b->seq[stop + 1] == b->seq[token])
        stop++;
    for (; token >= t->token; token--) {
        const int i = token - t->token;
        if (b->seq[token] != b->seq[stop])
            stop = token;
        sight(b, at, token, b->pos[stop] + 1, &t->from[i], &t->to[i]);
        oldest = MIN(oldest, t->from[i]);
        newest = MAX(newest, t->to[i] - 1);
    }
    t->first_span = oldest / SPAN;
    t->spans = newest / SPAN + 1 - t->first_span;
    t->pages = newest / DEV_PAGE + 1;
}

// Tile number i; false when there are not so many.
static bool tiling_at(const tiling *w, int i, tile *out)
{
    const dev_batch *b = w->p->batch;
    const int a_run = w->at->kv_heads * w->parts, in_run = i % a_run, part = in_run % w->parts;
    *out = (tile){.token = i / a_run * w->tokens, .kv_head = in_run / w->parts};
    if (out->token >= b->n_tokens)
        return false;
    out->tokens = MIN(w->tokens, b->n_tokens - out->token);
    out->head = out->kv_head * w->group + part * w->part_heads;
    out->heads = MIN(w->part_heads, w->group - part * w->part_heads);
    tile_sights(b, w->at, out);
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

// Adds to `mass` what the pages of a span received of token i of the tile: weights up to a page, measured in the row's
// final sum, less those up to the page before. A row's part is rounded alone, so that the total is the same in any
// order.
static void token_mass(const tile *t, int i, int weight, int pages, const float *trail, state all,
                       uint64_t *mass)
{
    const int rows = t->tokens * t->heads;
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

// Adds to the pages of a span what they received, sequence by sequence.
static void add_mass(const cpu_plan *p, const graph_attention *at, const tile *t, int span,
                     const float *trail, state all)
{
    const dev_batch *b = p->batch;
    const int pages = MIN(SPAN_PAGES, t->pages - span * SPAN_PAGES);
    uint64_t mass[SPAN_PAGES] = {0};
    for (int i = 0; i < t->tokens; i++) {
        const int token = t->token + i;
        token_mass(t, i, mass_weight(b, token), pages, trail, all, mass);
        if (i + 1 < t->tokens && b->seq[token + 1] == b->seq[token])
            continue;
        dev_kv_page *const *held = b->views[b->seq[token]].pages + span * SPAN_PAGES;
        for (int page = 0; page < pages; page++)
            if (mass[page])
                atomic_fetch_add_explicit(&held[page]->mass[at->layer], mass[page], memory_order_relaxed);
        memset(mass, 0, sizeof mass);
    }
}

// A thread's scratch: query rows, what kern->attn_form made of them, how quantized keys want them (made when the first are
// met), the states of a span and of all spans.
typedef struct workspace {
    float *q, *form, *turned;
    bool is_turned;
    state span, all;
} workspace;

static workspace workspace_at(float *at, int hd)
{
    float *form = at + KERN_ATTN_ROWS * hd, *turned = form + KERN_ATTN_ROWS * kern_attn_form_floats(hd),
          *span = turned + KERN_ATTN_ROWS * hd;
    return (workspace){at,
                       form,
                       turned,
                       false,
                       state_at(span, KERN_ATTN_ROWS),
                       state_at(span + state_floats(KERN_ATTN_ROWS, hd), KERN_ATTN_ROWS)};
}

// Copies the tile's query rows together: row = token-major, head-minor.
static void gather(const cpu_plan *p, const graph_op *op, const tile *t, workspace *ws)
{
    ws->is_turned = false;
    int hd = op->att.head_dim;
    const graph_value *v = cpu_value(p, op->in[0]);
    size_t n = (size_t)(t->heads * hd);
    for (int i = 0; i < t->tokens; i++)
        memcpy(ws->q + (size_t)i * n, cpu_f32(p, v, t->token + i) + t->head * hd, n * sizeof *ws->q);
    if (p->dev->kern->attn_form)
        p->dev->kern->attn_form(ws->q, t->tokens * t->heads, hd, ws->form);
}

static void turn(const tile *t, int hd, workspace *ws)
{
    for (int row = 0; row < t->tokens * t->heads; row++)
        kern_kv_turn_query(ws->q + row * hd, hd, ws->turned + row * hd);
    ws->is_turned = true;
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

// The page of the sequence of the tile's token i; NULL when it is absent or the token sees nothing of it.
static const dev_kv_page *page_of(const cpu_plan *p, const graph_attention *at, const tile *t, int i,
                                  int page)
{
    const dev_batch *b = p->batch;
    if (t->to[i] <= page * DEV_PAGE || t->from[i] >= (page + 1) * DEV_PAGE)
        return NULL;
    const dev_kv_page *held = b->views[b->seq[t->token + i]].pages[page];
    return held->block[at->layer][DEV_KV_K].level == DEV_KV_ABSENT ? NULL : held;
}

// Attends to one page, at the levels its sides have; `next` may be NULL.
static void attend_levels(const cpu_plan *p, const dev_kv_block *block, const dev_kv_block *next, int head,
                          kern_attn *a)
{
    kern_kv k = head_of(p, &block[DEV_KV_K], DEV_KV_K, head),
            v = head_of(p, &block[DEV_KV_V], DEV_KV_V, head), n;
    a->k = k.f16;
    a->v = v.f16;
    a->kq = &k;
    a->vq = &v;
    if (next) {
        n = head_of(p, &next[DEV_KV_K], DEV_KV_K, head);
        a->next = n.f16;
        a->next_kq = &n;
    }
    if (k.level == KERN_KV_F16 && v.level == KERN_KV_F16)
        p->dev->kern->attn_f16(a);
    else
        p->dev->kern->attn_kv(a);
}

// Tokens [from, to) of the tile, counted in it, attend to a page of which they all see something.
static void attend_page(const cpu_plan *p, const graph_attention *at, const tile *t, int from, int to,
                        int page, workspace *ws, state s)
{
    const int hd = at->head_dim, row = from * t->heads, rows = (to - from) * t->heads;
    const dev_kv_page *held = page_of(p, at, t, from, page), *next = page_of(p, at, t, from, page + 1);
    int visible[KERN_ATTN_ROWS], first[KERN_ATTN_ROWS];
    if (!ws->is_turned && held->block[at->layer][DEV_KV_K].level != DEV_KV_F16)
        turn(t, hd, ws);
    for (int r = 0; r < rows; r++) {
        const int i = from + r / t->heads;
        visible[r] = MIN(DEV_PAGE, t->to[i] - page * DEV_PAGE);
        first[r] = MAX(0, t->from[i] - page * DEV_PAGE);
    }
    kern_attn a = {.rows = rows,
                   .hd = hd,
                   .q = ws->q + row * hd,
                   .form = ws->form + (size_t)row * kern_attn_form_floats(hd),
                   .turned = ws->turned + row * hd,
                   .visible = visible,
                   .first = at->window > 0 ? first : NULL,
                   .softcap = at->softcap,
                   .m = s.m + row,
                   .l = s.l + row,
                   .o = s.o + row * hd};
    attend_levels(p, held->block[at->layer], next ? next->block[at->layer] : NULL, t->kv_head, &a);
}

// Attends to one span (counted from 0 for the whole sequence); `s` is cleared first. Neighbours that hold the same
// page, of one sequence or of several that share a past, read it together. `trail` is filled unless NULL.
static void attend_span(const cpu_plan *p, const graph_attention *at, const tile *t, int span, workspace *ws,
                        state s, float *trail)
{
    const int rows = t->tokens * t->heads, end = MIN(t->pages, (span + 1) * SPAN_PAGES);
    state_clear(s, rows, at->head_dim);
    for (int page = span * SPAN_PAGES; page < end; page++) {
        for (int from = 0, to; from < t->tokens; from = to) {
            const dev_kv_page *held = page_of(p, at, t, from, page);
            for (to = from + 1; to < t->tokens && page_of(p, at, t, to, page) == held;)
                to++;
            if (held)
                attend_page(p, at, t, from, to, page, ws, s);
        }
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
    workspace ws = workspace_at(w->scratch, hd);
    float *trails = p->trails + (size_t)w->ith * CPU_TRAIL_FLOATS;
    tiling walk;
    tile t;
    tiling_start(&walk, p, &op->att);
    while (pool_next(next, INT32_MAX, 1, &from, &to) && tiling_at(&walk, from, &t)) {
        const int rows = t.tokens * t.heads;
        const size_t each = trail_floats(rows);
        const bool mass = each * (size_t)t.spans <= CPU_TRAIL_FLOATS;
        gather(p, op, &t, &ws);
        state_clear(ws.all, rows, hd);
        for (int i = 0; i < t.spans; i++) {
            attend_span(p, &op->att, &t, t.first_span + i, &ws, ws.span,
                        mass ? trails + (size_t)i * each : NULL);
            state_merge(ws.all, ws.span, rows, hd);
        }
        add_sinks(&op->att, &t, ws.all);
        for (int i = 0; mass && i < t.spans; i++)
            add_mass(p, &op->att, &t, t.first_span + i, trails + (size_t)i * each, ws.all);
        finish(p, op, &t, ws.all);
    }
}

// The threads share out (tile, span); after a barrier each tile's spans are merged by one thread.
static void attend_split(cpu_worker *w, const graph_op *op, atomic_int *next, int spans)
{
    cpu_plan *p = w->plan;
    int hd = op->att.head_dim, from, to;
    workspace ws = workspace_at(w->scratch, hd);
    tiling walk;
    tile t;
    tiling_start(&walk, p, &op->att);
    const int most = most_rows(&walk);
    const size_t trail = state_floats(most, hd), each = partial_floats(most, hd);
    while (pool_next(&next[0], INT32_MAX, 1, &from, &to) && tiling_at(&walk, from / spans, &t)) {
        int i = from % spans;
        if (i >= t.spans)
            continue;
        gather(p, op, &t, &ws);
        float *part = p->partial + (size_t)from * each;
        attend_span(p, &op->att, &t, t.first_span + i, &ws, state_at(part, most), part + trail);
    }
    pool_barrier(p->dev->threads);
    while (pool_next(&next[1], INT32_MAX, 1, &from, &to) && tiling_at(&walk, from, &t)) {
        state_clear(ws.all, t.tokens * t.heads, hd);
        float *part = p->partial + (size_t)(from * spans) * each;
        for (int i = 0; i < t.spans; i++)
            state_merge(ws.all, state_at(part + (size_t)i * each, most), t.tokens * t.heads, hd);
        add_sinks(&op->att, &t, ws.all);
        for (int i = 0; i < t.spans; i++)
            add_mass(p, &op->att, &t, t.first_span + i, part + (size_t)i * each + trail, ws.all);
        finish(p, op, &t, ws.all);
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

size_t cpu_attend_partial(const graph_attention *at, int depth)
{
    const int group = at->heads / at->kv_heads, rows = MIN(group, KERN_ATTN_ROWS);
    const size_t spans = ((size_t)depth + SPAN - 1) / SPAN;
    const size_t tiles = (size_t)at->kv_heads * (size_t)((group + rows - 1) / rows);
    return spans > 1 ? tiles * spans * partial_floats(rows, at->head_dim) : 0;
}

size_t cpu_attend_scratch(int head_dim)
{
    return (size_t)KERN_ATTN_ROWS * (2 * (size_t)head_dim + kern_attn_form_floats(head_dim)) +
           2 * state_floats(KERN_ATTN_ROWS, head_dim);
}
