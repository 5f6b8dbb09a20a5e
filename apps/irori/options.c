// Reading the command line by the table.
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

void cli_defaults(cli_options *o)
{
    *o = (cli_options){.temperature = 0.8f,
                       .top_k = 40,
                       .top_p = 0.95f,
                       .min_p = 0.05f,
                       .typical = 1,
                       .repeat_penalty = 1,
                       .pp = "512",
                       .tg = "128",
                       .depth = "0",
                       .batch = "1",
                       .least_likeness = 0.8f,
                       .port = 11434,
                       .slots = 8,
                       .keep_alive = 300};
}

static int usage(const cli_command *c, const char *fmt, ...) ERR_PRINTF(2, 3);
static int usage(const cli_command *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "irori %s: ", c->name);
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "; see `irori help %s`\n", c->name);
    va_end(ap);
    return CLI_USAGE;
}

// "--name", "--name=value", "-x", "-xvalue": finds the option; *value is the attached text or NULL.
static const cli_option *match(const cli_command *c, const char *word, const char **value)
{
    *value = NULL;
    for (size_t i = 0; i < cli_option_count; i++) {
        const cli_option *o = &cli_option_table[i];
        size_t n = strlen(o->name);
        if (!cli_takes(c, o))
            continue;
        if (word[1] == '-' && strncmp(word + 2, o->name, n) == 0 &&
            (word[2 + n] == 0 || word[2 + n] == '=')) {
            *value = word[2 + n] ? word + 3 + n : NULL;
            return o;
        }
        if (word[1] != '-' && o->letter && word[1] == o->letter) {
            *value = word[2] ? word + 2 : NULL;
            return o;
        }
    }
    return NULL;
}

static int store(const cli_command *c, const cli_option *o, const char *value, cli_options *out)
{
    void *at = (char *)out + o->offset;
    if (o->kind == CLI_TEXT) {
        *(const char **)at = value;
        return CLI_OK;
    }
    char *end;
    if (o->kind == CLI_SEED) {
        errno = 0;
        *(uint64_t *)at = strtoull(value, &end, 0);
        if (end == value || *end || errno || strchr(value, '-'))
            return usage(c, "--%s is \"%s\", allowed whole numbers 0..%" PRIu64, o->name, value, UINT64_MAX);
        return CLI_OK;
    }
    double v = strtod(value, &end);
    bool whole = o->kind == CLI_FLOAT || v == floor(v);
    if (end == value || *end || !(v >= o->least && v <= o->most) || !whole)
        return usage(c, "--%s is \"%s\", allowed %s%.0f..%.0f", o->name, value,
                     o->kind == CLI_INT ? "whole numbers " : "", o->least, o->most);
    if (o->kind == CLI_INT)
        *(int *)at = (int)v;
    else
        *(float *)at = (float)v;
    return CLI_OK;
}

static bool is_bench_word(const char *word)
{
    return strcmp(word, "spec") == 0 || strcmp(word, "diff") == 0;
}

// Whether a second file is named, behind the first.
static bool takes_two(const cli_command *c, const cli_options *o)
{
    return c->run == cmd_quantize || c->run == cmd_convert || c->run == cmd_copy ||
           (c->run == cmd_bench && o->command && strcmp(o->command, "diff") == 0);
}

// Whether a word of its arguments stands outside of brackets.
static bool needs_words(const cli_command *c)
{
    bool inside = false, needed = false;
    for (const char *at = c->arguments; *at; at++) {
        inside = *at == '[' || (inside && *at != ']');
        needed = needed || (!inside && *at != ']' && *at != ' ');
    }
    return needed;
}

// Positional words: a model or file, and the file to write; for help and completion a name; "eval ppl MODEL" names the measure first.
static int positional(const cli_command *c, const char *word, int index, cli_options *o)
{
    bool names = c->run == cmd_help || c->run == cmd_completion || c->run == cmd_audit;
    bool writes = takes_two(c, o);
    bool measure = index == 0 && (c->run == cmd_eval || (c->run == cmd_bench && is_bench_word(word)));
    if ((names || measure) && !o->command) {
        o->command = word;
        return CLI_OK;
    }
    if (o->model && !o->output && writes) {
        o->output = word;
        return CLI_OK;
    }
    if (c->run == cmd_serve && o->n_models < CLI_MODELS) {
        o->models[o->n_models++] = word;
        return CLI_OK;
    }
    if (names || o->model || c->run == cmd_serve || !*c->arguments)
        return usage(c, "\"%s\" is one argument too many", word);
    o->model = word;
    return CLI_OK;
}

int cli_parse(const cli_command *c, int argc, char **argv, cli_options *o)
{
    int words = 0;
    bool only_words = false;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i], *value;
        int rc;
        if (!only_words && strcmp(word, "--") == 0) {
            only_words = true;
            continue;
        }
        if (only_words || word[0] != '-' || word[1] == 0) {
            rc = positional(c, word, words++, o);
        } else {
            const cli_option *opt = match(c, word, &value);
            if (!opt)
                return usage(c, "option \"%s\" is not known", word);
            if (opt->kind == CLI_FLAG) {
                if (value)
                    return usage(c, "--%s takes no value", opt->name);
                *(bool *)((char *)o + opt->offset) = true;
                continue;
            }
            if (!value && i + 1 >= argc)
                return usage(c, "--%s needs %s", opt->name, opt->argument);
            rc = store(c, opt, value ? value : argv[++i], o);
        }
        if (rc)
            return rc;
    }
    if (o->help || !needs_words(c))
        return CLI_OK;
    if (c->run == cmd_completion || c->run == cmd_audit ? !o->command
                                                        : !o->model || (takes_two(c, o) && !o->output))
        return usage(c, "%s is missing", c->arguments);
    return CLI_OK;
}

int cli_numbers(const char *option, const char *text, int least, int most, int *out, int cap)
{
    int n = 0;
    for (const char *at = text; *at;) {
        char *end;
        long v = strtol(at, &end, 10);
        if (end == at || (*end && *end != ',') || v < least || v > most || n == cap) {
            fprintf(stderr, "irori: --%s is \"%s\", allowed up to %d numbers %d..%d, separated by commas\n",
                    option, text, cap, least, most);
            return -1;
        }
        out[n++] = (int)v;
        at = *end ? end + 1 : end;
    }
    return n;
}
