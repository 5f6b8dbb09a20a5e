// Which intents a round offers, which replies are too much alike, and what stands in for a reply that is not ready.
#include <string.h>

#include "cand/own.h"

// Replies as alike as this are one to a reader; "Yes, please." and "Yes please!" are at 1, "I am tired." and "I am
// very tired." at 0.86.
static const double alike = .8;

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

bool cand_contains(const char *text, const char *part)
{
    for (; *text; text++) {
        size_t i = 0;
        while (part[i] && lower(text[i]) == lower(part[i]))
            i++;
        if (!part[i])
            return true;
    }
    return false;
}

enum { LETTERS = 256 };  // compared at most

// The letters and digits of a text as code points, in lower case; their number.
static int letters(const char *s, uint32_t *out)
{
    int n = 0;
    size_t left = strlen(s), step;
    for (uint32_t cp; left && n < LETTERS; s += step, left -= step) {
        step = utf8_decode(s, left, &cp);
        if (step == 0) {
            step = 1;
            continue;
        }
        bool ascii_mark = cp < 0x80 && !((cp | 32) >= 'a' && (cp | 32) <= 'z') && !(cp >= '0' && cp <= '9');
        bool wide_mark = (cp >= 0x3000 && cp <= 0x3003) ||
                         (cp >= 0x2010 && cp <= 0x2027) ||  // spaces, dashes, quotes
                         cp == 0xFF01 || cp == 0xFF0C || cp == 0xFF0E || cp == 0xFF1F;  // ！，．？
        if (!ascii_mark && !wide_mark)
            out[n++] = cp < 0x80 ? (uint32_t)lower((char)cp) : cp;
    }
    return n;
}

double cand_similarity(const char *a, const char *b)
{
    uint32_t x[LETTERS], y[LETTERS];
    int n = letters(a, x), k = letters(b, y), same = 0;
    bool used[LETTERS] = {false};
    if (n < 2 || k < 2)
        return n == k && (n == 0 || x[0] == y[0]) ? 1 : 0;
    for (int i = 0; i + 1 < n; i++)
        for (int j = 0; j + 1 < k; j++)
            if (!used[j] && x[i] == y[j] && x[i + 1] == y[j + 1]) {
                used[j] = true;
                same++;
                break;
            }
    return 2.0 * same / (n + k - 2);
}

bool cand_well_formed(const char *text)
{
    uint32_t some[LETTERS];
    int depth = 0;
    if (letters(text, some) < 2 || strchr(")]},.:;!?-*/#_=+|\\<>@%&~", text[0]))
        return false;
    for (const char *at = text; *at && depth >= 0; at++)
        depth += strchr("([{", *at) ? 1 : strchr(")]}", *at) ? -1 : 0;
    return depth == 0;
}

bool cand_alike(const char *a, const char *b)
{
    return cand_similarity(a, b) >= alike;
}

bool cand_clean(const char *tag, const char *text, char *out, size_t cap)
{
    text += strspn(text, " \n\t\r");
    while (*tag && strncmp(text, tag, strlen(tag)) == 0) {
        text += strlen(tag);
        text += strspn(text, " \n\t\r");
    }
    size_t n = strcspn(text, "\n\r");
    while (n && text[n - 1] == ' ')
        n--;
    if (n >= cap)
        return false;
    uint32_t cp;
    for (size_t i = 0, step; i < n; i += step)
        if (!(step = utf8_decode(text + i, n - i, &cp)) || cp < ' ' || (cp >= 0x7f && cp < 0xa0))
            return false;
    memcpy(out, text, n);
    out[n] = 0;
    return cand_well_formed(out);
}

static double axis_score(const cand_round *r, int axis)
{
    const cand_axis *a = &r->profile->axes[axis];
    double score = a->weight;
    for (size_t i = 0; i < a->n_cues; i++)
        score += cand_contains(r->heard, a->cues[i]);
    for (size_t i = 0; i < r->n_avoid; i++)
        score -= .5 * (r->avoid_axes && r->avoid_axes[i] == axis);
    return score;
}

// The best axis not yet among axes[n], of those with a way out if asked; -1: none is left.
static int best_axis(const cand_round *r, const int *axes, int n, bool way_out)
{
    int best = -1;
    double most = 0;
    for (int a = 0; a < r->profile->n_axes; a++) {
        bool there = false;
        for (int i = 0; i < n; i++)
            there |= axes[i] == a;
        double score = axis_score(r, a);
        if (there || (way_out && !r->profile->axes[a].way_out) || (best >= 0 && score <= most))
            continue;
        best = a;
        most = score;
    }
    return best;
}

void cand_pick_axes(const cand_round *r, int *axes)
{
    if (r->axes) {
        for (int i = 0; i < r->n; i++)
            axes[i] = r->axes[i % r->n_axes];
        return;
    }
    bool way_out = false;
    for (int i = 0; i < r->n; i++) {
        axes[i] = best_axis(r, axes, i, false);
        if (axes[i] < 0)
            axes[i] = axes[i % r->profile->n_axes];  // more replies than axes
        way_out |= r->profile->axes[axes[i]].way_out;
    }
    int other = best_axis(r, axes, r->n, true);
    if (!way_out && other >= 0)
        axes[r->n - 1] = other;
}

bool cand_taken(const cand_round *r, const cand_reply *replies, const bool *have, int n, const char *text)
{
    for (size_t i = 0; i < r->n_avoid; i++)
        if (cand_alike(r->avoid[i], text))
            return true;
    for (int i = 0; i < n; i++)
        if (have[i] && cand_alike(replies[i].text, text))
            return true;
    return false;
}

static bool offer(const cand_round *r, const cand_reply *replies, const bool *have, cand_reply *out,
                  cand_source source, const char *text)
{
    if (!*text || strlen(text) >= sizeof out->text || cand_taken(r, replies, have, r->n, text))
        return false;
    memcpy(out->text, text, strlen(text) + 1);
    out->source = source;
    return true;
}

static bool from_cache(const cand_round *r, const cand_reply *replies, const bool *have, cand_reply *out)
{
    static const double same_question = .6;
    for (size_t i = r->cache ? r->cache->n : 0; i-- > 0;) {
        const cand_choice *c = &r->cache->list[i];
        if (c->axis == out->axis && cand_similarity(c->heard, r->heard) >= same_question &&
            offer(r, replies, have, out, CAND_CACHE, c->text))
            return true;
    }
    return false;
}

static bool opens(const cand_scene *s, const char *heard)
{
    for (size_t i = 0; i < s->n_cues; i++)
        if (cand_contains(heard, s->cues[i]))
            return true;
    return false;
}

static bool from_scenes(const cand_round *r, const cand_reply *replies, const bool *have, cand_reply *out)
{
    for (size_t i = 0; i < r->profile->n_scenes; i++) {
        const cand_scene *s = &r->profile->scenes[i];
        for (size_t j = 0; opens(s, r->heard) && j < s->n_replies; j++)
            if (s->replies[j].axis == out->axis &&
                offer(r, replies, have, out, CAND_SCENE, s->replies[j].text))
                return true;
    }
    return false;
}

static bool from_defaults(const cand_round *r, const cand_reply *replies, const bool *have, cand_reply *out)
{
    int wanted = out->axis, n = r->profile->n_axes;
    for (int step = 0; step < n; step++) {  // another axis rather than nothing
        out->axis = (wanted + step) % n;
        const cand_axis *a = &r->profile->axes[out->axis];
        for (size_t i = 0; i < a->n_defaults; i++)
            if (offer(r, replies, have, out, CAND_DEFAULT, a->defaults[i]))
                return true;
    }
    return false;
}

bool cand_fall_back(const cand_round *r, const cand_reply *replies, const bool *have, cand_reply *out)
{
    return from_cache(r, replies, have, out) || from_scenes(r, replies, have, out) ||
           from_defaults(r, replies, have, out);
}

int cand_cache_add(cand_cache *c, const char *heard, int axis, const char *text)
{
    if (c->n == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 32;
        cand_choice *list = mem_realloc(MEM_OTHER, c->list, cap * sizeof *list);
        if (!list)
            return ST_NOMEM;
        c->list = list;
        c->cap = cap;
    }
    cand_choice x = {mem_strndup(MEM_OTHER, heard, strlen(heard)), mem_strndup(MEM_OTHER, text, strlen(text)),
                     axis};
    if (!x.heard || !x.text) {
        mem_free(x.heard);
        mem_free(x.text);
        return ST_NOMEM;
    }
    if (c->n == CAND_CACHE_MOST) {
        mem_free(c->list[0].heard);
        mem_free(c->list[0].text);
        memmove(c->list, c->list + 1, --c->n * sizeof *c->list);
    }
    c->list[c->n++] = x;
    return ST_OK;
}

void cand_cache_done(cand_cache *c)
{
    for (size_t i = 0; i < c->n; i++) {
        mem_free(c->list[i].heard);
        mem_free(c->list[i].text);
    }
    mem_free(c->list);
    *c = (cand_cache){0};
}
