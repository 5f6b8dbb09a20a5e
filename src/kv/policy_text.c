// Policies by name: defaults, and reading "staged,mode=none,key=4".
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kv/own.h"

kv_policy kv_policy_default(enum kv_kind kind)
{
    // The thresholds of the rule are the published ones; what the others were chosen by is in docs/KV.md.
    kv_policy p = {
        .kind = kind,
        .mode = kind == KV_RULE || kind == KV_FIT ? KV_EXACT : KV_NONE,
        .level = {DEV_KV_Q8, DEV_KV_Q8},
        .attention = kind == KV_FIT ? 1.0f : 0.6f,
        .frequency = kind == KV_FIT ? 0.0f : 0.4f,
        .age = kind == KV_FIT ? 0.0f : 0.1f,
        .absent_pressure = 0.8f,
        .absent_importance = 0.3f,
        .q4_pressure = 0.6f,
        .q4_importance = 0.5f,
        .q8_importance = 0.7f,
        .age_limit = 1024,
        .key_weight = 2,
        .power = 1,
        .recent = kind == KV_FIT || kind == KV_UNIFORM ? 0 : DEV_PAGE,
        .least = 2048,
        .guard_bound = 0.1f,
    };
    return p;
}

typedef struct name {
    const char *text;
    int value;
} name;

static const name kinds[] = {{"f16", KV_F16}, {"uniform", KV_UNIFORM},  {"window", KV_WINDOW},
                             {"h2o", KV_H2O}, {"staged-rule", KV_RULE}, {"staged", KV_FIT}};
static const name modes[] = {{"exact", KV_EXACT}, {"recompute", KV_RECOMPUTE}, {"none", KV_NONE}};
static const name levels[] = {{"f16", DEV_KV_F16}, {"q8", DEV_KV_Q8}, {"q4", DEV_KV_Q4}, {"q2", DEV_KV_Q2}};

typedef struct field {
    const char *name;
    enum { NUMBER, WHOLE, MODE, LEVEL } kind;
    size_t offset;
    double least, most;
} field;

#define AT(member) offsetof(kv_policy, member)
static const field fields[] = {
    {"mode", MODE, AT(mode), 0, 0},
    {"k", LEVEL, AT(level[DEV_KV_K]), 0, 0},
    {"v", LEVEL, AT(level[DEV_KV_V]), 0, 0},
    {"window", WHOLE, AT(window), 1, 1 << 28},
    {"recent", WHOLE, AT(recent), 0, 1 << 28},
    {"attention", NUMBER, AT(attention), 0, 100},
    {"frequency", NUMBER, AT(frequency), 0, 100},
    {"age", NUMBER, AT(age), 0, 100},
    {"absent-pressure", NUMBER, AT(absent_pressure), 0, 1000},
    {"absent-importance", NUMBER, AT(absent_importance), 0, 1000},
    {"q4-pressure", NUMBER, AT(q4_pressure), 0, 1000},
    {"q4-importance", NUMBER, AT(q4_importance), 0, 1000},
    {"q8-importance", NUMBER, AT(q8_importance), 0, 1000},
    {"age-limit", WHOLE, AT(age_limit), 0, 1 << 28},
    {"least", WHOLE, AT(least), 0, 1 << 28},
    {"key", NUMBER, AT(key_weight), 0.001, 1000},
    {"power", NUMBER, AT(power), 0, 4},
    {"guard", WHOLE, AT(guard), 0, 1 << 28},
    {"guard-kl", NUMBER, AT(guard_bound), 0, 1000},
};

static int find(const name *list, size_t n, const char *text, size_t length)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(list[i].text) == length && memcmp(list[i].text, text, length) == 0)
            return list[i].value;
    return -1;
}

static int bad(err *e, const char *text, size_t n, const char *allowed)
{
    return err_set(e, ST_INVALID, "KV policy: \"%.*s\" is not known, allowed: %s", (int)MIN(n, 80), text,
                   allowed);
}

static int set_number(kv_policy *p, const field *f, const char *value, size_t n, err *e)
{
    char *end;
    double x = strtod(value, &end);
    if (end != value + n || !(x >= f->least && x <= f->most) || (f->kind == WHOLE && x != floor(x)))
        return err_set(e, ST_INVALID, "KV policy: %s is \"%.*s\", allowed %s%g..%g", f->name, (int)MIN(n, 80),
                       value, f->kind == WHOLE ? "whole numbers " : "", f->least, f->most);
    if (f->kind == WHOLE)
        *(int *)(void *)((char *)p + f->offset) = (int)x;
    else
        *(float *)(void *)((char *)p + f->offset) = (float)x;
    return ST_OK;
}

static int set_field(kv_policy *p, const char *text, size_t n, err *e)
{
    const char *value = memchr(text, '=', n);
    size_t length = value ? (size_t)(value - text) : 0;
    for (size_t i = 0; value && i < COUNT_OF(fields); i++) {
        const field *f = &fields[i];
        if (strlen(f->name) != length || memcmp(f->name, text, length) != 0)
            continue;
        const char *v = value + 1;
        size_t rest = n - length - 1;
        if (f->kind == NUMBER || f->kind == WHOLE)
            return set_number(p, f, v, rest, e);
        int found = f->kind == MODE ? find(modes, COUNT_OF(modes), v, rest)
                                    : find(levels, COUNT_OF(levels), v, rest);
        if (found < 0)
            return bad(e, v, rest, f->kind == MODE ? "exact, recompute, none" : "f16, q8, q4, q2");
        if (f->kind == MODE)
            p->mode = (enum kv_mode)found;
        else
            *(enum dev_kv_level *)(void *)((char *)p + f->offset) = (enum dev_kv_level)found;
        return ST_OK;
    }
    return bad(
        e, text, n,
        "mode, k, v, window, recent, attention, frequency, age, absent-pressure, absent-importance, "
        "q4-pressure, q4-importance, q8-importance, age-limit, least, key, power, guard, guard-kl, each with =VALUE");
}

// What stands after the colon: the level of "uniform:q4", the tokens of "window:512".
static int set_argument(kv_policy *p, const char *text, size_t n, err *e)
{
    static const field window = {"window", WHOLE, AT(window), 1, 1 << 28};
    if (p->kind == KV_WINDOW)
        return set_number(p, &window, text, n, e);
    int level = p->kind == KV_UNIFORM ? find(levels, COUNT_OF(levels), text, n) : -1;
    if (level < 0)
        return bad(e, text, n,
                   p->kind == KV_UNIFORM ? "f16, q8, q4, q2" : "nothing after this policy's name");
    p->level[DEV_KV_K] = p->level[DEV_KV_V] = (enum dev_kv_level)level;
    return ST_OK;
}

static int set_budget(kv_policy *p, const char *text, err *e)
{
    char *end;
    double x = strtod(text, &end);
    double unit = *end == 'K' ? 1024.0 : *end == 'M' ? 1048576.0 : *end == 'G' ? 1073741824.0 : 1;
    bool part = *end == '%';
    if (end == text || (unit > 1 || part ? end[1] : *end) || !(x > 0) || (part && x > 100) || x * unit > 9e18)
        return err_set(
            e, ST_INVALID,
            "KV budget is \"%s\", allowed: bytes (with K, M or G for units of 1024), or 1%%..100%% of "
            "what F16 takes",
            text);
    if (part)
        p->budget_part = (float)(x / 100);
    else
        p->budget_bytes = (uint64_t)(x * unit);
    return ST_OK;
}

int kv_policy_parse(kv_policy *out, const char *text, const char *budget, err *e)
{
    text = text ? text : "f16";
    size_t n = strcspn(text, ":,");
    int kind = find(kinds, COUNT_OF(kinds), text, n);
    if (kind < 0)
        return bad(e, text, n, "f16, uniform:LEVEL, window:TOKENS, h2o, staged, staged-rule");
    kv_policy p = kv_policy_default((enum kv_kind)kind);
    int rc = ST_OK;
    const char *at = text + n;
    if (*at == ':') {
        n = strcspn(at + 1, ",");
        rc = set_argument(&p, at + 1, n, e);
        at += 1 + n;
    }
    while (!rc && *at == ',') {
        n = strcspn(at + 1, ",");
        rc = set_field(&p, at + 1, n, e);
        at += 1 + n;
    }
    if (!rc && budget && *budget)
        rc = set_budget(&p, budget, e);
    if (!rc && p.kind == KV_H2O && p.budget_part == 0 && p.budget_bytes == 0)
        rc = err_set(e, ST_INVALID, "KV policy h2o needs a budget: bytes or a percentage");
    if (!rc && p.guard && p.kind != KV_F16 && p.mode != KV_EXACT)
        rc = err_set(e, ST_INVALID, "KV policy: guard compares with what was dropped; it needs mode=exact");
    if (!rc && p.kind == KV_WINDOW && !p.window && p.budget_part == 0 && p.budget_bytes == 0)
        rc = err_set(e, ST_INVALID, "KV policy window needs its tokens (window:1024) or a budget");
    if (!rc)
        *out = p;
    return rc;
}

int kv_policy_prepare(kv *s, const kv_policy *policy, err *e)
{
    if (policy->kind == KV_F16)
        return ST_OK;
    int rc = kv_prepare_levels(s, e);
    if (rc || policy->mode != KV_EXACT || s->spill.fd >= 0)
        return rc;
    const int blocks = 2 * s->shape.layers;
    const size_t block = dev_kv_block_bytes(&s->shape);
    uint64_t extents = (uint64_t)s->pages;
    if (s->spill_bytes)
        extents = MIN(extents, s->spill_bytes / ((block + KV_SPILL_HEAD) * (size_t)blocks));
    rc = kv_spill_init(&s->spill, s->spill_dir, block, blocks, (int)extents, e);
    if (rc)
        kv_spill_done(&s->spill);
    return rc;
}
