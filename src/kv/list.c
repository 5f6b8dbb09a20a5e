// What the pages of all sequences are like at this moment, to be drawn: tables are read, no keys and values.
#include "kv/own.h"

static double bits_of(const kv *s, enum dev_kv_level level)
{
    return 8 * (double)kv_level_bytes(s, level) / ((double)dev_kv_block_bytes(&s->shape) / 2);
}

// Part of the sequence's attention that page i received, mean over layers; a layer without any counts nothing.
static float attention_of(const kv_seq *q, int pages, int i)
{
    double sum = 0;
    for (int l = 0; l < q->store->shape.layers; l++) {
        double whole = 0;
        for (int j = 0; j < pages; j++)
            whole += (double)q->page[j]->mass[l];
        sum += whole > 0 ? (double)q->page[i]->mass[l] / whole : 0;
    }
    return (float)(sum / q->store->shape.layers);
}

static kv_page_info info_of(const kv_seq *q, int pages, int i, uint8_t *levels)
{
    const kv *s = q->store;
    const kv_page *p = kv_page_of(q->page[i]);
    kv_page_info x = {.sequence = q->number,
                      .position = i * DEV_PAGE,
                      .tokens = MIN(DEV_PAGE, q->length - i * DEV_PAGE),
                      .page = kv_page_index(s, p),
                      .shared = p->refs - p->in_tree > 1,
                      .attention = attention_of(q, pages, i)};
    for (int b = 0; b < 2 * s->shape.layers; b++) {
        const int level = p->at.block[b / 2][b % 2].level;
        x.bits[b % 2] += (float)(bits_of(s, (enum dev_kv_level)level) / s->shape.layers);
        if (levels)
            levels[b] = (uint8_t)level;
    }
    return x;
}

size_t kv_list_pages(const kv *s, kv_page_info *out, uint8_t *levels, size_t room)
{
    size_t n = 0;
    for (const kv_seq *q = s->seqs; q; q = q->next) {
        const int pages = (q->length + DEV_PAGE - 1) / DEV_PAGE;
        for (int i = 0; i < pages; i++, n++)
            if (n < room)
                out[n] = info_of(q, pages, i, levels ? levels + n * 2 * (size_t)s->shape.layers : NULL);
    }
    return n;
}
