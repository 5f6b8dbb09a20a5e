// Models, machines and uses by name, from the data of share/.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "plan.h"
#include "plan_json.h"
#include "put.h"
#include "share.h"

// The array `list` of a text; NULL after saying what is wrong with it. json_decref the result.
static json_t *read_list(const char *what, const char *text, size_t n, const char *list)
{
    json_error_t e;
    json_t *file = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e), *items = json_object_get(file, list);
    if (!json_is_array(items)) {
        if (file)
            fprintf(stderr, "irori: %s: holds no array \"%s\"\n", what, list);
        else
            fprintf(stderr, "irori: %s: line %d: %s\n", what, e.line, e.text);
        items = NULL;
    }
    json_incref(items);
    json_decref(file);
    return items;
}

static json_t *find(json_t *items, const char *name)
{
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item)
    {
        const char *has = json_string_value(json_object_get(item, "name"));
        if (has && strcasecmp(has, name) == 0)
            return item;
    }
    return NULL;
}

// "a, b, c" of the names there are.
static void print_names(json_t *items)
{
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item)
    {
        const char *has = json_string_value(json_object_get(item, "name"));
        fprintf(stderr, "%s%s", i ? ", " : "", has ? has : "?");
    }
    fputc('\n', stderr);
}

static const char *text(const json_t *item, const char *key)
{
    const char *s = json_string_value(json_object_get(item, key));
    return s ? s : "?";
}

static json_t *catalogue(const cli_options *o)
{
    if (!o->catalogue)
        return read_list("the catalogue", share_catalogue, share_catalogue_bytes, "models");
    char *own;
    size_t n;
    if (cli_read_text(o->catalogue, &own, &n))
        return NULL;
    json_t *items = read_list(o->catalogue, own, n, "models");
    mem_free(own);
    return items;
}

int catalogue_find(const cli_options *o, const char *name, catalogue_entry *out)
{
    *out = (catalogue_entry){.items = catalogue(o)};
    if (!out->items)
        return CLI_FAILED;
    const json_t *m = find(out->items, name);
    if (!m) {
        fprintf(stderr, "irori: %s: no such file, no model in the store, and none of the catalogue: ", name);
        print_names(out->items);
        json_decref(out->items);
        return CLI_FAILED;
    }
    out->entry = m;
    out->shape = plan_shape(m);
    return CLI_OK;
}

void catalogue_done(catalogue_entry *e)
{
    json_decref(e->items);
}

double catalogue_active_share(const catalogue_entry *e)
{
    const double all = json_number_value(json_object_get(e->entry, "parameters"));
    const double active = json_number_value(json_object_get(e->entry, "active"));
    return all > 0 && active > 0 && active <= all ? active / all : 1;
}

void catalogue_print(const catalogue_entry *e)
{
    const char *shape = json_string_value(json_object_get(e->entry, "compared"));
    const char *licence = json_string_value(json_object_get(e->entry, "licence_compared"));
    printf("catalogue %.2f billion parameters, licence %s (%s; %s%s), %s; shape %s %s\n",
           json_number_value(json_object_get(e->entry, "parameters")) / 1e9, text(e->entry, "licence"),
           text(e->entry, "use"), licence ? "compared with " : "not compared", licence ? licence : "",
           text(e->entry, "languages"), shape ? "compared with" : "not compared with",
           shape ? shape : text(e->entry, "source"));
}

int catalogue_tier(const char *name, plan_tier *out)
{
    json_t *items = read_list("the tiers", share_tiers, share_tiers_bytes, "tiers");
    const json_t *t = items ? find(items, name) : NULL;
    if (t) {
        snprintf(out->name, sizeof out->name, "%s", text(t, "name"));
        snprintf(out->what, sizeof out->what, "%s, %s", text(t, "kind"), text(t, "example"));
        out->memory = 1e9 * json_number_value(json_object_get(t, "memory_gb"));
        out->usable = out->memory * json_number_value(json_object_get(t, "usable"));
        out->bandwidth = 1e9 * json_number_value(json_object_get(t, "bandwidth_gbs"));
    } else if (items) {
        fprintf(stderr, "irori plan: no tier \"%s\"; there are ", name);
        print_names(items);
    }
    json_decref(items);
    return t ? CLI_OK : CLI_USAGE;
}

static void print_parts(const json_t *parts)
{
    size_t i;
    json_t *part;
    json_array_foreach(parts, i, part) printf(
        "  %-28s %s%s\n", text(part, "role"), text(part, "part"),
        json_is_true(json_object_get(part, "irori")) ? "" : "  [not run by irori yet: another program]");
}

static void print_failures(const json_t *failures)
{
    size_t i;
    json_t *f;
    printf("what goes wrong, and what contains it:\n");
    json_array_foreach(failures, i, f)
        printf("  %s:\n      %s\n", text(f, "failure"), text(f, "containment"));
}

int catalogue_use_case(const cli_options *o)
{
    const char *profile = o->profile ? o->profile : "low-cost";
    json_t *items = read_list("the use cases", share_use_cases, share_use_cases_bytes, "use_cases");
    json_t *use = items ? find(items, o->use_case) : NULL;
    json_t *parts = json_object_get(json_object_get(use, "profiles"), profile);
    int rc = CLI_OK;
    if (items && !use) {
        fprintf(stderr, "irori plan: no use case \"%s\"; there are ", o->use_case);
        print_names(items);
    } else if (use && !parts) {
        fprintf(stderr, "irori plan: no profile \"%s\"; there are low-cost, high-quality, hard-limits\n",
                profile);
    }
    if (!parts) {
        rc = CLI_USAGE;
    } else if (o->json) {
        json_t *out = json_pack("{s:O, s:s, s:O, s:O}", "use_case", json_object_get(use, "name"), "profile",
                                profile, "parts", parts, "failures", json_object_get(use, "failures"));
        char *s = json_dumps(out, JSON_COMPACT);
        printf("%s\n", s ? s : "null");
        rc = s ? CLI_OK : CLI_FAILED;
        free(s);
        json_decref(out);
    } else {
        printf("%s, %s\n", o->use_case, profile);
        print_parts(parts);
        print_failures(json_object_get(use, "failures"));
    }
    json_decref(items);
    return rc;
}
