// The prefix tree: full pages by the tokens that led to them, for sequences that begin alike.
//
// A node is a page: its 64 tokens, under the page before it. Nodes are found by a hash over all tokens from the
// root, then compared. The tree counts as a holder of its pages. Those that nobody else holds are kept as long as
// no new page needs their place, and go in the order in which they were last used. A sequence lets go of its last
// page first, so in that order children always come before their parents: the oldest is a leaf.
#include <string.h>

#include "kv/own.h"

uint64_t kv_tree_key(const kv *s, const kv_page *parent, const int32_t *tokens)
{
    uint64_t h = hash_combine(s->root, parent ? &parent->key : &s->root, sizeof s->root);
    return hash_combine(h, tokens, DEV_PAGE * sizeof *tokens);
}

static kv_page *find(const kv *s, const kv_page *parent, const int32_t *tokens, uint64_t key)
{
    int above = parent ? kv_page_index(s, parent) : -1;
    for (int i = s->bucket[key & s->bucket_mask]; i >= 0; i = s->page[i].next_same)
        if (s->page[i].key == key && s->page[i].parent == above && s->page[i].root == s->root &&
            memcmp(s->token[i], tokens, DEV_PAGE * sizeof *tokens) == 0)
            return &s->page[i];
    return NULL;
}

kv_page *kv_tree_child(const kv *s, const kv_page *parent, const int32_t *tokens)
{
    if (!s->bucket || (parent && !parent->in_tree))
        return NULL;
    return find(s, parent, tokens, kv_tree_key(s, parent, tokens));
}

void kv_tree_add(kv *s, const kv_page *parent, kv_page *p)
{
    if (!s->bucket || p->in_tree || p->root != s->root || (parent && !parent->in_tree))
        return;
    int i = kv_page_index(s, p);
    p->key = kv_tree_key(s, parent, s->token[i]);
    p->parent = parent ? kv_page_index(s, parent) : -1;
    p->next_same = s->bucket[p->key & s->bucket_mask];
    s->bucket[p->key & s->bucket_mask] = i;
    p->in_tree = true;
    p->refs++;
}

static void remove_node(kv *s, kv_page *p)
{
    int32_t *at = &s->bucket[p->key & s->bucket_mask];
    while (*at != kv_page_index(s, p))
        at = &s->page[*at].next_same;
    *at = p->next_same;
    p->in_tree = false;
    kv_page_unref(s, p);
}

void kv_tree_idle(kv *s, kv_page *p)
{
    int i = kv_page_index(s, p);
    p->newer = -1;
    p->older = s->idle_newest;
    if (s->idle_newest >= 0)
        s->page[s->idle_newest].newer = i;
    else
        s->idle_oldest = i;
    s->idle_newest = i;
    s->n_idle++;
}

void kv_tree_busy(kv *s, kv_page *p)
{
    if (p->newer >= 0)
        s->page[p->newer].older = p->older;
    else
        s->idle_newest = p->older;
    if (p->older >= 0)
        s->page[p->older].newer = p->newer;
    else
        s->idle_oldest = p->newer;
    s->n_idle--;
}

bool kv_tree_evict(kv *s)
{
    if (s->idle_oldest < 0)
        return false;
    kv_page *p = &s->page[s->idle_oldest];
    kv_tree_busy(s, p);
    remove_node(s, p);
    return true;
}

void kv_forget_prefixes(kv *s)
{
    while (kv_tree_evict(s))
        ;
}
