// irori candidates: short replies to choose from, by intent, within a budget.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "put.h"

enum { MOST_AXES = 16 };

// Cuts "a,b" at its commas, in place; -1 when there are too many.
static int split(char *text, const char **out)
{
    int n = 0;
    for (char *at = text; at && *at; n++) {
        if (n == MOST_AXES)
            return -1;
        out[n] = at;
        at = strchr(at, ',');
        if (at)
            *at++ = 0;
    }
    return n;
}

static int report_json(const irori_candidate *c, int n, double total_ms)
{
    buf out;
    json_writer w;
    buf_init(&out);
    json_begin(&w, &out);
    json_obj(&w);
    json_key(&w, "candidates");
    json_arr(&w);
    for (int i = 0; i < n; i++) {
        json_obj(&w);
        put_str(&w, "text", c[i].text);
        put_str(&w, "axis", c[i].axis);
        put_str(&w, "source", c[i].source);
        put_num(&w, "ms", c[i].ms);
        json_end(&w);
    }
    json_end(&w);
    put_num(&w, "total_ms", total_ms);
    json_end(&w);
    return cli_print_json(&out);
}

// ---- What was chosen before: a file of JSON objects, one a line -----------------------------------------------

// Lines that cannot be read, or are of an axis that is no more, are left out. A file that is not there is empty.
static int recall(const char *path, irori_talk *t)
{
    char *text, *at, *line;
    size_t n;
    err e;
    int rc = os_read_file(path, 64 << 20, &text, &n, &e);
    if (rc == ST_NOTFOUND)
        return CLI_OK;
    if (rc)
        return cli_fail((irori_error *)(void *)&e);
    for (line = strtok_r(text, "\n", &at); line; line = strtok_r(NULL, "\n", &at)) {
        json_t *c = json_loads(line, 0, NULL);
        const char *heard, *axis, *said;
        if (!json_unpack(c, "{s:s, s:s, s:s}", "heard", &heard, "axis", &axis, "text", &said))
            irori_talk_remember(t, heard, axis, said, NULL);
        json_decref(c);
    }
    mem_free(text);
    return CLI_OK;
}

static int keep_choice(const char *path, const irori_talk *t, const irori_candidate *c)
{
    json_t *line = json_pack("{s:s, s:s, s:s}", "heard", irori_talk_heard(t), "axis", c->axis, "text",
                             c->text);
    char *dump = json_dumps(line, JSON_COMPACT);
    FILE *f = dump ? fopen(path, "a") : NULL;
    bool good = f && fprintf(f, "%s\n", dump) > 0 && fflush(f) == 0 && fsync(fileno(f)) == 0;
    good = f && fclose(f) == 0 && good;
    if (!good)
        fprintf(stderr, "irori: %s: the choice could not be written\n", path);
    free(dump);
    json_decref(line);
    return good ? CLI_OK : CLI_FAILED;
}

static int run_round(const cli_options *o, irori_talk *t, char *axes)
{
    const char *ids[MOST_AXES];
    irori_error e;
    irori_candidate c[IRORI_MOST_CANDIDATES];
    int n = axes ? split(axes, ids) : 0, count;
    if (n < 0) {
        fprintf(stderr, "irori candidates: --axes names more than %d axes\n", MOST_AXES);
        return CLI_USAGE;
    }
    irori_round r = {.n = o->max_tokens,
                     .budget_ms = (double)o->budget_ms,
                     .max_tokens = o->reply_tokens,
                     .axes = ids,
                     .axes_count = (size_t)n,
                     .avoid = &o->avoid,
                     .avoid_count = o->avoid ? 1 : 0,
                     .temperature = o->temperature,
                     .seed = o->seed};
    double began = os_seconds();
    if (irori_talk_round(t, &r, c, &count, &e))
        return cli_fail(&e);
    double total_ms = (os_seconds() - began) * 1e3;
    if (o->choose > count) {
        fprintf(stderr, "irori candidates: --choose is %d, there are %d replies\n", o->choose, count);
        return CLI_FAILED;
    }
    if (o->choose && keep_choice(o->choices, t, &c[o->choose - 1]))
        return CLI_FAILED;
    if (e.message[0])
        fprintf(stderr, "irori: warning: %s\n", e.message);
    if (o->json)
        return report_json(c, count, total_ms);
    for (int i = 0; i < count; i++)
        printf("%d  %-8s %s  (%s, %.0f ms)\n", i + 1, c[i].axis, c[i].text, c[i].source, c[i].ms);
    return CLI_OK;
}

static int talk(const cli_options *o, irori_model *m, const irori_profile *p)
{
    irori_error e;
    irori_talk *t;
    if (irori_talk_new(&t, m, p, &e))
        return cli_fail(&e);
    size_t left;
    if (o->text ? irori_talk_append(t, false, o->text, &e) : irori_talk_run(t, 0, &left, &e))
        fprintf(stderr, "irori: warning: %s; the model is left out\n", e.message);
    if (o->choices && recall(o->choices, t)) {
        irori_talk_free(t);
        return CLI_FAILED;
    }
    char *axes = o->axes ? mem_strndup(MEM_OTHER, o->axes, strlen(o->axes)) : NULL;
    int rc = CLI_FAILED;
    if (o->axes && !axes)
        fprintf(stderr, "irori: out of memory\n");
    else
        rc = run_round(o, t, axes);
    mem_free(axes);
    irori_talk_free(t);
    return rc;
}

int cmd_candidates(const cli_options *o)
{
    irori_error e;
    irori_profile *p = NULL;
    irori_model *m = NULL;
    char *json = NULL;
    size_t n = 2;
    if (o->make_scenes)
        return candidates_make_scenes(o);
    if (o->choose && !o->choices) {
        fprintf(stderr, "irori candidates: --choose needs --choices FILE to keep the choice in\n");
        return CLI_USAGE;
    }
    if (o->profile && cli_read_text(o->profile, &json, &n))
        return CLI_FAILED;
    int rc = irori_profile_new(&p, json ? json : "{}", n, &e) ? cli_fail(&e) : CLI_OK;
    mem_free(json);
    if (!rc)
        rc = cli_open(o, 0, 2, &m);  // the rows' pages beside the talk's
    if (!rc)
        rc = talk(o, m, p);
    irori_model_close(m);
    irori_profile_free(p);
    return rc;
}
