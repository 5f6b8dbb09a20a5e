// Nodes, constructors and derivatives of regular expressions.
#include "gram/rx.h"

#include <stdlib.h>
#include <string.h>

// A derivative recurses to this depth at most; some 200 bytes of stack each.
enum { DEPTH = 4000, DEFAULT_LIMIT = 1 << 20, ALIVE_LIMIT = 20000 };

typedef struct node_key {
    uint32_t op, a, b, c;
    const rx *kids;  // of RX_OP_OR and RX_OP_AND, b of them
} node_key;

rx rx_lost(rx_pool *p, int why)
{
    if (!p->failed)
        p->failed = why;
    return RX_NONE;
}

static bool same_node(const void *owner, uint32_t id, const void *key)
{
    const rx_pool *p = owner;
    const rx_node *n = &p->node[id];
    const node_key *k = key;
    if (n->op != k->op || n->b != k->b)
        return false;
    if (k->kids)
        return memcmp(p->kid + n->a, k->kids, k->b * sizeof *k->kids) == 0;
    return n->a == k->a && n->c == k->c;
}

static bool nullable_of(const rx_pool *p, const rx_node *n)
{
    switch (n->op) {
    case RX_OP_EMPTY: return true;
    case RX_OP_CAT: return p->node[n->a].nullable && p->node[n->b].nullable;
    case RX_OP_OR:
        for (uint32_t i = 0; i < n->b; i++)
            if (p->node[p->kid[n->a + i]].nullable)
                return true;
        return false;
    case RX_OP_AND:
        for (uint32_t i = 0; i < n->b; i++)
            if (!p->node[p->kid[n->a + i]].nullable)
                return false;
        return true;
    case RX_OP_NOT: return !p->node[n->a].nullable;
    case RX_OP_REPEAT: return n->b == 0 || p->node[n->a].nullable;
    case RX_OP_BOUND:
    case RX_OP_MULTIPLE:
    case RX_OP_UNTIL:
    case RX_OP_WITHOUT: return rx_leaf_nullable(p, n);
    default: return false;
    }
}

// Fills what is derived from the children.
static void describe(const rx_pool *p, rx_node *n)
{
    n->nullable = nullable_of(p, n);
    n->depth = 1;
    n->sure = n->op <= RX_OP_CAT || n->op == RX_OP_OR || n->op == RX_OP_REPEAT;
    const rx_node *a = &p->node[n->a];
    switch (n->op) {
    case RX_OP_CAT:
        n->sure = a->sure && p->node[n->b].sure;
        n->depth = 1 + (a->nullable ? MAX(a->depth, p->node[n->b].depth) : a->depth);
        break;
    case RX_OP_OR:
    case RX_OP_AND:
        for (uint32_t i = 0; i < n->b; i++) {
            const rx_node *k = &p->node[p->kid[n->a + i]];
            n->depth = MAX(n->depth, 1 + k->depth);
            n->sure = n->sure && k->sure;
        }
        break;
    case RX_OP_NOT: n->depth = 1 + a->depth; break;
    case RX_OP_REPEAT:
        n->sure = a->sure;
        n->depth = 1 + a->depth;
        break;
    default: break;
    }
}

static rx add_node(rx_pool *p, const node_key *k)
{
    if (p->failed)
        return RX_NONE;
    uint64_t h = gram_mix(k->op, (uint64_t)k->b << 32 | k->c);
    if (k->kids)
        for (uint32_t i = 0; i < k->b; i++)
            h = gram_mix(h, k->kids[i]);
    else
        h = gram_mix(h, k->a);
    uint32_t id = gram_index_find(&p->nodes, h, same_node, p, k);
    if (id != GRAM_ABSENT)
        return id;
    if (p->n >= p->limit)
        return rx_lost(p, ST_LIMIT);
    if (!gram_grow(&p->node, &p->cap, p->n, sizeof *p->node) ||
        !gram_grow(&p->row, &p->row_cap, p->n, sizeof *p->row))
        return rx_lost(p, ST_NOMEM);
    rx_node n = {.op = (uint8_t)k->op, .a = k->a, .b = k->b, .c = k->c};
    if (k->kids) {
        n.a = (uint32_t)p->n_kid;
        for (uint32_t i = 0; i < k->b; i++) {
            if (!gram_grow(&p->kid, &p->kid_cap, p->n_kid, sizeof *p->kid))
                return rx_lost(p, ST_NOMEM);
            p->kid[p->n_kid++] = k->kids[i];
        }
    }
    describe(p, &n);
    if (n.depth > DEPTH)
        return rx_lost(p, ST_LIMIT);
    if (!gram_index_add(&p->nodes, h, (uint32_t)p->n))
        return rx_lost(p, ST_NOMEM);
    p->node[p->n] = n;
    p->row[p->n] = NULL;
    return (rx)p->n++;
}

rx rx_node_of(rx_pool *p, rx_op op, uint32_t a, uint32_t b, uint32_t c)
{
    return add_node(p, &(node_key){op, a, b, c, NULL});
}

int rx_pool_init(rx_pool *p)
{
    *p = (rx_pool){.limit = DEFAULT_LIMIT};
    arena_init(&p->rows, MEM_GRAMMAR);
    buf_init(&p->text);
    rx_node_of(p, RX_OP_NONE, 0, 0, 0);
    rx_node_of(p, RX_OP_EMPTY, 0, 0, 0);
    rx_node_of(p, RX_OP_NOT, RX_NONE, 0, 0);
    return p->failed;
}

void rx_pool_done(rx_pool *p)
{
    for (size_t i = 0; i < p->n_word; i++)
        mem_free(p->word[i].fall);
    mem_free(p->node);
    mem_free(p->row);
    mem_free(p->kid);
    mem_free(p->set);
    mem_free(p->decimal);
    mem_free(p->word);
    mem_free(p->modulus);
    mem_free(p->seen);
    mem_free(p->stack);
    gram_index_done(&p->nodes);
    gram_index_done(&p->sets);
    buf_done(&p->text);
    arena_done(&p->rows);
}

size_t rx_pool_bytes(const rx_pool *p)
{
    return p->cap * sizeof *p->node + p->row_cap * sizeof *p->row + p->kid_cap * sizeof *p->kid +
           p->set_cap * sizeof *p->set + gram_index_bytes(&p->nodes) + p->rows.used + p->text.cap +
           p->seen_cap * sizeof *p->seen;
}

static bool same_set(const void *owner, uint32_t id, const void *key)
{
    return memcmp(&((const rx_pool *)owner)->set[id], key, sizeof(rx_set)) == 0;
}

rx rx_of_set(rx_pool *p, const rx_set *s)
{
    uint64_t any = s->bits[0] | s->bits[1] | s->bits[2] | s->bits[3], h = 0;
    if (!any || p->failed)
        return RX_NONE;
    for (int i = 0; i < 4; i++)
        h = gram_mix(h, s->bits[i]);
    uint32_t id = gram_index_find(&p->sets, h, same_set, p, s);
    if (id == GRAM_ABSENT) {
        if (!gram_grow(&p->set, &p->set_cap, p->n_set, sizeof *p->set) ||
            !gram_index_add(&p->sets, h, (uint32_t)p->n_set))
            return rx_lost(p, ST_NOMEM);
        id = (uint32_t)p->n_set;
        p->set[p->n_set++] = *s;
    }
    return rx_node_of(p, RX_OP_SET, id, 0, 0);
}

rx rx_bytes(rx_pool *p, int lo, int hi)
{
    rx_set s = {{0}};
    for (int b = lo; b <= hi; b++)
        s.bits[b >> 6] |= (uint64_t)1 << (b & 63);
    return rx_of_set(p, &s);
}

rx rx_byte(rx_pool *p, int byte)
{
    return rx_bytes(p, byte, byte);
}

rx rx_literal(rx_pool *p, const char *s, size_t n)
{
    rx a = RX_EMPTY;
    while (n > 0)
        a = rx_cat(p, rx_byte(p, (unsigned char)s[--n]), a);
    return a;
}

rx rx_cat(rx_pool *p, rx a, rx b)
{
    if (a == RX_NONE || b == RX_NONE)
        return RX_NONE;
    if (a == RX_EMPTY)
        return b;
    if (b == RX_EMPTY)
        return a;
    if (a == RX_ALL && b == RX_ALL)
        return a;
    return rx_node_of(p, RX_OP_CAT, a, b, 0);
}

static int compare_rx(const void *a, const void *b)
{
    rx x = *(const rx *)a, y = *(const rx *)b;
    return x < y ? -1 : x > y;
}

// Unites the byte sets among n sorted children into one; the new count.
static size_t unite_sets(rx_pool *p, rx *list, size_t n, rx_op op)
{
    rx_set all = {{0}};
    size_t kept = 0, sets = 0;
    for (size_t i = 0; i < n; i++) {
        const rx_node *k = &p->node[list[i]];
        if (k->op != RX_OP_SET) {
            list[kept++] = list[i];
            continue;
        }
        for (int w = 0; w < 4; w++) {
            uint64_t bits = p->set[k->a].bits[w];
            all.bits[w] = sets == 0 || op == RX_OP_OR ? all.bits[w] | bits : all.bits[w] & bits;
        }
        sets++;
    }
    if (sets)
        list[kept++] = rx_of_set(p, &all);
    return kept;
}

// Children of children of the same kind come up; sorted, without doubles.
static rx *flatten(rx_pool *p, rx_op op, const rx *list, size_t n, size_t *count)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += p->node[list[i]].op == op ? p->node[list[i]].b : 1;
    rx *out = mem_alloc(MEM_GRAMMAR, (total + 1) * sizeof *out);
    if (!out)
        return NULL;
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        const rx_node *x = &p->node[list[i]];
        if (x->op == op)
            for (uint32_t j = 0; j < x->b; j++)
                out[k++] = p->kid[x->a + j];
        else
            out[k++] = list[i];
    }
    qsort(out, k, sizeof *out, compare_rx);
    *count = 0;
    for (size_t i = 0; i < k; i++)
        if (i == 0 || out[i] != out[i - 1])
            out[(*count)++] = out[i];
    return out;
}

// An "or" (neutral: nothing, absorbing: all) or an "and" (the other way round).
static rx combine(rx_pool *p, rx_op op, const rx *list, size_t n)
{
    rx neutral = op == RX_OP_OR ? RX_NONE : RX_ALL, absorbing = op == RX_OP_OR ? RX_ALL : RX_NONE;
    if (p->failed)
        return RX_NONE;
    size_t k, m = 0;
    rx *flat = flatten(p, op, list, n, &k);
    if (!flat)
        return rx_lost(p, ST_NOMEM);
    // Byte sets unite by a union in an "or"; in an "and" they meet. After freezing no set may be new: derivatives
    // hold only sets that were there, and unions of them are left apart.
    if (!p->frozen)
        k = unite_sets(p, flat, k, op);
    bool all_absorbed = false;
    for (size_t i = 0; i < k; i++) {
        all_absorbed |= flat[i] == absorbing;
        if (flat[i] != neutral)
            flat[m++] = flat[i];
    }
    qsort(flat, m, sizeof *flat, compare_rx);
    // x and not x: nothing; x or not x: all.
    for (size_t i = 0; i < m && !all_absorbed; i++)
        if (p->node[flat[i]].op == RX_OP_NOT)
            all_absorbed = bsearch(&p->node[flat[i]].a, flat, m, sizeof *flat, compare_rx) != NULL;
    rx out;
    if (all_absorbed)
        out = absorbing;
    else if (m <= 1)
        out = m ? flat[0] : neutral;
    else
        out = add_node(p, &(node_key){op, 0, (uint32_t)m, 0, flat});
    mem_free(flat);
    return out;
}

rx rx_or(rx_pool *p, rx a, rx b)
{
    if (a == b || b == RX_NONE)
        return a;
    if (a == RX_NONE)
        return b;
    return combine(p, RX_OP_OR, (rx[]){a, b}, 2);
}

rx rx_or_all(rx_pool *p, const rx *list, size_t n)
{
    return combine(p, RX_OP_OR, list, n);
}

rx rx_and(rx_pool *p, rx a, rx b)
{
    if (a == b || b == RX_ALL)
        return a;
    if (a == RX_ALL)
        return b;
    if (a == RX_NONE || b == RX_NONE)
        return RX_NONE;
    return combine(p, RX_OP_AND, (rx[]){a, b}, 2);
}

rx rx_not(rx_pool *p, rx a)
{
    if (p->node[a].op == RX_OP_NOT)
        return p->node[a].a;
    return rx_node_of(p, RX_OP_NOT, a, 0, 0);
}

rx rx_repeat(rx_pool *p, rx a, uint32_t least, uint32_t most)
{
    if (most == 0 || a == RX_EMPTY)
        return RX_EMPTY;
    if (a == RX_NONE)
        return least == 0 ? RX_EMPTY : RX_NONE;
    if (least > most)
        return RX_NONE;
    if (p->node[a].nullable)
        least = 0;
    if ((least == 1 && most == 1) || a == RX_ALL)
        return a;
    const rx_node *n = &p->node[a];
    if (n->op == RX_OP_REPEAT && n->b == 0 && n->c == RX_MANY)
        return a;
    return rx_node_of(p, RX_OP_REPEAT, a, least, most);
}

// The bytes of code points lo..hi, all of `len` bytes in UTF-8, that share all bytes before the last `tail`.
static rx utf8_range(rx_pool *p, uint32_t lo, uint32_t hi, int len, int tail)
{
    char first[4], last[4];
    utf8_encode(lo, first);
    utf8_encode(hi, last);
    int at = len - 1 - tail;  // the byte that is written here
    if (tail == 0)
        return rx_bytes(p, (unsigned char)first[at], (unsigned char)last[at]);
    uint32_t block = (uint32_t)1 << (6 * tail);
    rx out = RX_NONE;
    while (lo <= hi) {
        // Either one value of this byte with part of its tails, or a run of values with all of them.
        uint32_t end = lo | (block - 1);
        if (lo % block == 0 && end <= hi)
            end = hi % block == block - 1 ? hi : (hi & ~(block - 1)) - 1;
        end = MIN(end, hi);
        utf8_encode(lo, first);
        utf8_encode(end, last);
        // In a run of whole blocks every tail is possible: describe it by those of its first block, whose bounds
        // are the full ones.
        uint32_t sub = MIN(end, lo | (block - 1));
        rx tails = utf8_range(p, lo, sub, len, tail - 1);
        out = rx_or(p, out, rx_cat(p, rx_bytes(p, (unsigned char)first[at], (unsigned char)last[at]), tails));
        lo = end + 1;
    }
    return out;
}

rx rx_char_range(rx_pool *p, uint32_t lo, uint32_t hi)
{
    // Ranges of one length in UTF-8, with the surrogates between them left out.
    static const struct {
        uint32_t lo, hi;
        int len;
    } part[] = {
        {0, 0x7F, 1}, {0x80, 0x7FF, 2}, {0x800, 0xD7FF, 3}, {0xE000, 0xFFFF, 3}, {0x10000, 0x10FFFF, 4}};
    rx out = RX_NONE;
    for (size_t i = 0; i < COUNT_OF(part); i++) {
        uint32_t from = MAX(lo, part[i].lo), to = MIN(hi, part[i].hi);
        if (from <= to)
            out = rx_or(p, out, utf8_range(p, from, to, part[i].len, part[i].len - 1));
    }
    return out;
}

void rx_freeze(rx_pool *p)
{
    // Splits the classes by one set after the other.
    memset(p->cls, 0, sizeof p->cls);
    p->n_cls = 1;
    for (size_t s = 0; s < p->n_set; s++) {
        int inside[256], fresh = p->n_cls;
        bool outside[256] = {false};
        for (int b = 0; b < 256; b++)
            if (!(p->set[s].bits[b >> 6] >> (b & 63) & 1))
                outside[p->cls[b]] = true;
        for (int c = 0; c < p->n_cls; c++)
            inside[c] = outside[c] ? -1 : c;
        for (int b = 0; b < 256; b++) {
            int c = p->cls[b];
            if (!(p->set[s].bits[b >> 6] >> (b & 63) & 1))
                continue;
            if (inside[c] < 0)
                inside[c] = fresh++;
            p->cls[b] = (uint8_t)inside[c];
        }
        p->n_cls = fresh;
    }
    for (int b = 255; b >= 0; b--)
        p->member[p->cls[b]] = (uint8_t)b;
    p->frozen = true;
}

static rx derive(rx_pool *p, rx a, int cls);

static rx derive_kids(rx_pool *p, rx a, int cls)
{
    rx few[16] = {0}, *list = few;
    uint32_t n = p->node[a].b;
    if (n > COUNT_OF(few) && !(list = mem_alloc(MEM_GRAMMAR, n * sizeof *list)))
        return rx_lost(p, ST_NOMEM);
    for (uint32_t i = 0; i < n; i++)
        list[i] = rx_step(p, p->kid[p->node[a].a + i], cls);
    rx out = combine(p, p->node[a].op, list, n);
    if (list != few)
        mem_free(list);
    return out;
}

static rx derive(rx_pool *p, rx a, int cls)
{
    rx_node n = p->node[a];  // a copy: the array moves as it grows
    switch (n.op) {
    case RX_OP_SET: {
        int b = p->member[cls];
        return p->set[n.a].bits[b >> 6] >> (b & 63) & 1 ? RX_EMPTY : RX_NONE;
    }
    case RX_OP_CAT: {
        rx first = rx_cat(p, rx_step(p, n.a, cls), n.b);
        return p->node[n.a].nullable ? rx_or(p, first, rx_step(p, n.b, cls)) : first;
    }
    case RX_OP_OR:
    case RX_OP_AND: return derive_kids(p, a, cls);
    case RX_OP_NOT: return a == RX_ALL ? a : rx_not(p, rx_step(p, n.a, cls));
    case RX_OP_REPEAT: {
        rx rest = rx_repeat(p, n.a, n.b ? n.b - 1 : 0, n.c == RX_MANY ? n.c : n.c - 1);
        return rx_cat(p, rx_step(p, n.a, cls), rest);
    }
    case RX_OP_NONE:
    case RX_OP_EMPTY: return RX_NONE;
    default: return rx_leaf_step(p, a, p->member[cls]);
    }
}

rx rx_step(rx_pool *p, rx a, int cls)
{
    if (p->node[a].op == RX_OP_SET)  // as quick as its row would be
        return derive(p, a, cls);
    if (a <= RX_ALL)
        return a == RX_ALL ? a : RX_NONE;
    if (!p->row[a]) {
        uint32_t *row = arena_alloc(&p->rows, (size_t)p->n_cls * sizeof *row);
        if (!row)
            return rx_lost(p, ST_NOMEM);
        memset(row, 0xFF, (size_t)p->n_cls * sizeof *row);
        p->row[a] = row;
    }
    if (p->row[a][cls] == GRAM_ABSENT) {
        rx d = derive(p, a, cls);
        if (p->failed)
            return RX_NONE;
        p->row[a][cls] = d;
    }
    return p->row[a][cls];
}

// Marks a as seen in this round; false when it was.
static bool visit(rx_pool *p, rx a)
{
    if (a >= p->seen_cap) {
        size_t cap = MAX((size_t)a + 1, p->cap);
        uint32_t *fresh = mem_realloc(MEM_GRAMMAR, p->seen, cap * sizeof *fresh);
        if (!fresh) {
            rx_lost(p, ST_NOMEM);
            return false;
        }
        memset(fresh + p->seen_cap, 0, (cap - p->seen_cap) * sizeof *fresh);
        p->seen = fresh;
        p->seen_cap = cap;
    }
    if (p->seen[a] == p->round)
        return false;
    p->seen[a] = p->round;
    return true;
}

// Puts a on the path of a search; its first class is tried next.
static void enter(rx_pool *p, size_t *n, rx a)
{
    if (!gram_grow(&p->stack, &p->stack_cap, *n + 1, sizeof *p->stack)) {
        rx_lost(p, ST_NOMEM);
        return;
    }
    p->stack[(*n)++] = a;
    p->stack[(*n)++] = 0;
}

// Looks for a nullable derivative, depth first. The path to it is alive; when there is none, all that was seen is
// dead.
static bool search(rx_pool *p, rx from)
{
    size_t n = 0, visited = 0;
    p->round++;
    visit(p, from);
    enter(p, &n, from);
    while (n > 0 && !p->failed) {
        rx a = p->stack[n - 2];
        uint32_t c = p->stack[n - 1]++;
        if (c >= (uint32_t)p->n_cls) {
            n -= 2;
            continue;
        }
        rx d = rx_step(p, a, (int)c);
        const rx_node *k = &p->node[d];
        if (k->nullable || k->life == 1 || (k->sure && d != RX_NONE)) {
            for (; n > 0; n -= 2)
                p->node[p->stack[n - 2]].life = 1;
            return true;
        }
        if (k->life == 2 || d == RX_NONE || !visit(p, d))
            continue;
        if (++visited > ALIVE_LIMIT)
            rx_lost(p, ST_LIMIT);
        enter(p, &n, d);
    }
    return false;
}

bool rx_alive(rx_pool *p, rx a)
{
    rx_node *n = &p->node[a];
    if (a == RX_NONE || n->life)
        return n->life == 1;
    if (n->nullable || n->sure) {
        n->life = 1;
        return true;
    }
    bool found = search(p, a);
    if (p->failed)
        return false;
    if (!found)
        for (size_t i = 0; i < MIN(p->n, p->seen_cap); i++)
            if (p->seen[i] == p->round)
                p->node[i].life = 2;
    p->node[a].life = found ? 1 : 2;
    return found;
}

bool rx_matches(rx_pool *p, rx a, const char *s, size_t n)
{
    for (size_t i = 0; i < n && a != RX_NONE; i++)
        a = rx_step(p, a, p->cls[(unsigned char)s[i]]);
    return p->node[a].nullable;
}
