// Leaves of regular expressions that count: decimal bounds, multiples, and texts up to a word.
//
// A bound reads a number's digits from the left and knows how they compare with the bound's own so far; which of two
// numbers is longer shows at the point or the end. A multiple carries the remainder. Both take a number without sign
// and without exponent in JSON's form and need that form to be held by an intersection.
#include "gram/rx.h"

#include <string.h>

// BOUND: a = decimal << 3 | accepted outcomes, b = place, c = outcome so far.
// Place: digits read of the whole part, or PAST (longer than the bound's), or DONE (settled for good), or
// FRACTION + digits read after the point.
enum { DONE = 1 << 20, FRACTION = 1 << 21 };

// MULTIPLE: a = modulus, b = remainder (of the number without its point), c = 0 before the point, 1 + places after.

static int compare_digit(int a, int b)
{
    return a < b ? RX_LESS : a > b ? RX_GREATER : RX_EQUAL;
}

static rx bound_step(rx_pool *p, const rx_node *n, int byte)
{
    const rx_decimal *d = &p->decimal[n->a >> 3];
    bool digit = byte >= '0' && byte <= '9';
    uint32_t at = n->b, how = n->c;
    if (!digit && byte != '.')
        return RX_NONE;
    if (at == DONE)
        return rx_node_of(p, RX_OP_BOUND, n->a, at, how);
    if (at < FRACTION) {
        if (!digit)  // the whole parts are complete
            return at < d->whole ? rx_node_of(p, RX_OP_BOUND, n->a, DONE, RX_LESS)
                                 : rx_node_of(p, RX_OP_BOUND, n->a, how == RX_EQUAL ? FRACTION : DONE, how);
        if (at == d->whole)
            return rx_node_of(p, RX_OP_BOUND, n->a, DONE, RX_GREATER);
        if (how == RX_EQUAL)
            how = (uint32_t)compare_digit(byte, p->text.data[d->at + at]);
        return rx_node_of(p, RX_OP_BOUND, n->a, at + 1, how);
    }
    if (!digit)
        return RX_NONE;
    uint32_t k = at - FRACTION;
    int mine = k < d->fraction ? p->text.data[d->at + d->whole + k] : '0';
    how = (uint32_t)compare_digit(byte, mine);
    if (how != RX_EQUAL)
        return rx_node_of(p, RX_OP_BOUND, n->a, DONE, how);
    return rx_node_of(p, RX_OP_BOUND, n->a, FRACTION + MIN(k + 1, d->fraction), how);
}

static bool bound_nullable(const rx_pool *p, const rx_node *n)
{
    const rx_decimal *d = &p->decimal[n->a >> 3];
    uint32_t how = n->c, at = n->b;
    if (at < DONE) {
        if (at == 0)
            return false;
        how = at < d->whole ? RX_LESS : how == RX_EQUAL && d->fraction ? RX_LESS : how;
    } else if (at >= FRACTION && at - FRACTION < d->fraction) {
        how = RX_LESS;  // what is left of the bound is not all zeros
    }
    return (n->a & how) != 0;
}

static rx multiple_step(rx_pool *p, const rx_node *n, int byte)
{
    const rx_modulus *m = &p->modulus[n->a];
    if (byte == '.')
        return n->c == 0 ? rx_node_of(p, RX_OP_MULTIPLE, n->a, n->b, 1) : RX_NONE;
    if (byte < '0' || byte > '9')
        return RX_NONE;
    if (n->c == m->places + 1)  // further places must be zeros
        return byte == '0' ? rx_node_of(p, RX_OP_MULTIPLE, n->a, n->b, n->c) : RX_NONE;
    uint32_t r = (uint32_t)(((uint64_t)n->b * 10 + (uint64_t)(byte - '0')) % m->m);
    return rx_node_of(p, RX_OP_MULTIPLE, n->a, r, n->c ? n->c + 1 : 0);
}

static bool multiple_nullable(const rx_pool *p, const rx_node *n)
{
    const rx_modulus *m = &p->modulus[n->a];
    uint64_t r = n->b;
    for (uint32_t k = n->c ? n->c - 1 : 0; k < m->places; k++)
        r = r * 10 % m->m;
    return r == 0;
}

static rx word_step(rx_pool *p, const rx_node *n, int byte)
{
    const rx_word *w = &p->word[n->a];
    const char *s = p->text.data + w->at;
    uint32_t k = n->b;
    while (k > 0 && (unsigned char)s[k] != byte)
        k = w->fall[k];
    if ((unsigned char)s[k] == byte)
        k++;
    if (k == w->n)
        return n->op == RX_OP_UNTIL ? RX_EMPTY : RX_NONE;
    return rx_node_of(p, (rx_op)n->op, n->a, k, 0);
}

rx rx_leaf_step(rx_pool *p, rx a, int byte)
{
    rx_node n = p->node[a];
    if (n.op == RX_OP_BOUND)
        return bound_step(p, &n, byte);
    if (n.op == RX_OP_MULTIPLE)
        return multiple_step(p, &n, byte);
    return word_step(p, &n, byte);
}

bool rx_leaf_nullable(const rx_pool *p, const rx_node *n)
{
    if (n->op == RX_OP_BOUND)
        return bound_nullable(p, n);
    if (n->op == RX_OP_MULTIPLE)
        return multiple_nullable(p, n);
    return n->op == RX_OP_WITHOUT;
}

// Keeps digits and point in classes of their own.
static void need_digits(rx_pool *p)
{
    for (int b = '0'; b <= '9'; b++)
        rx_byte(p, b);
    rx_byte(p, '.');
}

rx rx_compare(rx_pool *p, const char *whole, size_t n_whole, const char *fraction, size_t n_fraction, int how)
{
    while (n_fraction > 0 && fraction[n_fraction - 1] == '0')
        n_fraction--;
    if (n_whole >= 1 << 16 || n_fraction >= 1 << 16 || p->n_decimal >= 1 << 28)
        return rx_lost(p, ST_LIMIT);
    need_digits(p);
    rx_decimal d = {(uint32_t)p->text.len, (uint32_t)n_whole, (uint32_t)n_fraction};
    buf_add(&p->text, whole, n_whole);
    buf_add(&p->text, fraction, n_fraction);
    if (p->text.failed || !gram_grow(&p->decimal, &p->decimal_cap, p->n_decimal, sizeof d))
        return rx_lost(p, ST_NOMEM);
    p->decimal[p->n_decimal] = d;
    return rx_node_of(p, RX_OP_BOUND, (uint32_t)p->n_decimal++ << 3 | (uint32_t)how, 0, RX_EQUAL);
}

rx rx_multiple(rx_pool *p, uint64_t m, uint32_t places)
{
    need_digits(p);
    if (!gram_grow(&p->modulus, &p->modulus_cap, p->n_modulus, sizeof *p->modulus))
        return rx_lost(p, ST_NOMEM);
    p->modulus[p->n_modulus] = (rx_modulus){m, places};
    return rx_node_of(p, RX_OP_MULTIPLE, (uint32_t)p->n_modulus++, 0, 0);
}

rx rx_until(rx_pool *p, const char *word, size_t n, bool without)
{
    if (n >= 1 << 16)
        return rx_lost(p, ST_LIMIT);
    rx_word w = {(uint32_t)p->text.len, (uint32_t)n, mem_calloc(MEM_GRAMMAR, n + 1, sizeof *w.fall)};
    buf_add(&p->text, word, n);
    if (!w.fall || p->text.failed || !gram_grow(&p->word, &p->word_cap, p->n_word, sizeof w)) {
        mem_free(w.fall);
        return rx_lost(p, ST_NOMEM);
    }
    for (size_t i = 1, k = 0; i < n; i++) {
        while (k > 0 && word[i] != word[k])
            k = w.fall[k];
        k += word[i] == word[k];
        w.fall[i + 1] = (uint32_t)k;
    }
    for (size_t i = 0; i < n; i++)
        rx_byte(p, (unsigned char)word[i]);
    p->word[p->n_word] = w;
    return rx_node_of(p, without ? RX_OP_WITHOUT : RX_OP_UNTIL, (uint32_t)p->n_word++, 0, 0);
}
