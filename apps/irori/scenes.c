// irori candidates --make-scenes: replies made ahead of time, with all the time they need, as scenes of a profile.
//
// Each line of --file is something that may be said to the person, with words that open the scene before it when they are
// given: "tea, coffee: Would you like something to drink?". Without such words the sentence itself opens it.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { MOST_AXES = 16 };

typedef struct maker {
    const cli_options *o;
    irori_model *m;
    irori_profile *p;
    json_t *scenes;  // of the profile, added to
    int n_replies;
} maker;

static json_t *trimmed(const char *from, const char *to)
{
    while (from < to && (*from == ' ' || *from == '\r'))
        from++;
    while (to > from && strchr(" \r.?!", to[-1]))
        to--;
    return to > from ? json_stringn(from, (size_t)(to - from)) : NULL;
}

// "a, b: sentence": the words into cues; the sentence is returned.
static char *read_line(char *line, json_t *cues)
{
    char *colon = strchr(line, ':'), *sentence = colon ? colon + 1 : line;
    sentence += strspn(sentence, " ");
    const char *end = colon ? colon : line + strlen(line);
    for (const char *at = line; at < end;) {
        size_t n = colon ? strcspn(at, ",:") : (size_t)(end - at);
        json_t *cue = trimmed(at, at + n);
        if (cue)
            json_array_append_new(cues, cue);
        at += n + 1;
    }
    return sentence;
}

// The model's replies of up to 8 of the axes.
static int add_replies(maker *k, irori_talk *t, const char *const *axes, int n, json_t *replies)
{
    irori_error e;
    irori_candidate c[IRORI_MOST_CANDIDATES];
    int count;
    irori_round r = {.n = n,
                     .axes = axes,
                     .axes_count = (size_t)n,
                     .budget_ms = 3.6e6,
                     .tries = 8,
                     .max_tokens = k->o->reply_tokens,
                     .temperature = k->o->temperature,
                     .seed = k->o->seed};
    if (irori_talk_round(t, &r, c, &count, &e))
        return cli_fail(&e);
    for (int i = 0; i < count; i++)
        if (strcmp(c[i].source, "model") == 0) {
            json_array_append_new(replies, json_pack("{s:s, s:s}", "axis", c[i].axis, "text", c[i].text));
            k->n_replies++;
        }
    return CLI_OK;
}

static int add_scene(maker *k, char *line)
{
    const char *axes[MOST_AXES];
    irori_error e;
    irori_talk *t;
    json_t *cues = json_array(), *replies = json_array();
    char *sentence = read_line(line, cues);
    int n = 0, rc = irori_talk_new(&t, k->m, k->p, &e) ? cli_fail(&e) : CLI_OK;
    if (!rc && irori_talk_append(t, false, sentence, &e))
        rc = cli_fail(&e);
    while (n < MOST_AXES && (axes[n] = irori_profile_axis(k->p, n)))
        n++;
    for (int i = 0; !rc && i < n; i += IRORI_MOST_CANDIDATES)
        rc = add_replies(k, t, axes + i, MIN(n - i, IRORI_MOST_CANDIDATES), replies);
    irori_talk_free(t);
    if (!rc && json_array_size(replies) && json_array_size(cues))
        json_array_append_new(k->scenes, json_pack("{s:O, s:O}", "cues", cues, "replies", replies));
    json_decref(cues);
    json_decref(replies);
    return rc;
}

static int add_all(maker *k, char *lines)
{
    char *at, *line;
    int rc = CLI_OK;
    for (line = strtok_r(lines, "\n", &at); !rc && line; line = strtok_r(NULL, "\n", &at))
        if (line[strspn(line, " \r")])
            rc = add_scene(k, line);
    return rc;
}

static int write_profile(const cli_options *o, json_t *profile)
{
    int flags = JSON_INDENT(2);
    if (o->output ? json_dump_file(profile, o->output, flags) : json_dumpf(profile, stdout, flags)) {
        fprintf(stderr, "irori: %s could not be written\n", o->output ? o->output : "standard output");
        return CLI_FAILED;
    }
    if (!o->output)
        printf("\n");
    return CLI_OK;
}

int candidates_make_scenes(const cli_options *o)
{
    irori_error e;
    char *json = NULL, *lines = NULL;
    size_t n = 2, n_lines;
    if (!o->file) {
        fprintf(stderr,
                "irori candidates: --make-scenes needs --file, a line for each thing that may be said\n");
        return CLI_USAGE;
    }
    if ((o->profile && cli_read_text(o->profile, &json, &n)) || cli_read_text(o->file, &lines, &n_lines)) {
        mem_free(json);
        return CLI_FAILED;
    }
    maker k = {.o = o};
    int rc = irori_profile_new(&k.p, json ? json : "{}", n, &e) ? cli_fail(&e) : CLI_OK;
    json_t *profile = rc ? NULL : json_loadb(json ? json : "{}", n, 0, NULL);
    if (!rc && !(k.scenes = json_object_get(profile, "scenes"))) {
        k.scenes = json_array();
        json_object_set_new(profile, "scenes", k.scenes);
    }
    if (!rc)
        rc = cli_open(o, 0, 2, &k.m);
    if (!rc)
        rc = add_all(&k, lines);
    if (!rc)
        rc = write_profile(o, profile);
    if (!rc)
        fprintf(stderr, "irori: %d replies made\n", k.n_replies);
    json_decref(profile);
    irori_model_close(k.m);
    irori_profile_free(k.p);
    mem_free(json);
    mem_free(lines);
    return rc;
}
