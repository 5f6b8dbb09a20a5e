// Models by name: a word that is no file may be a model of the store, which may bring a system message and parameters.
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "store/store.h"

static store_manifest found;  // of the model; its texts are used to the end
static char paths[2][STORE_PATH + 512];

// *path stays NULL where the store does not know the word.
static int find(const char *word, char *path, size_t cap, store_manifest *m, err *e)
{
    store s;
    store_name name;
    path[0] = 0;
    if (access(word, F_OK) == 0 || store_name_parse(word, strlen(word), &name, NULL) ||
        store_open(&s, NULL, NULL))
        return ST_OK;
    int rc = store_find(&s, &name, m, e);
    if (rc == ST_NOTFOUND)
        return err_set(e, rc,
                       "%s: no such file, and no model of that name in the store; `irori list` shows them, "
                       "`irori pull` fetches one",
                       word);
    return rc ? rc : store_model_path(&s, m, path, cap, e);
}

// The parameters of a manifest as the defaults of options; a value outside the option's range is left out.
static void set_number(const json_t *parameters, const char *key, const char *option, cli_options *o)
{
    const json_t *v = json_object_get(parameters, key);
    for (size_t i = 0; json_is_number(v) && i < cli_option_count; i++) {
        const cli_option *opt = &cli_option_table[i];
        double x = json_number_value(v);
        char *at = (char *)o + opt->offset;
        if (strcmp(opt->name, option) != 0)
            continue;
        if (opt->kind == CLI_SEED && x >= 0 && x < 9e15)
            *(uint64_t *)(void *)at = (uint64_t)x;
        else if (opt->kind == CLI_INT && x >= opt->least && x <= opt->most)
            *(int *)(void *)at = (int)x;
        else if (opt->kind == CLI_FLOAT && x >= opt->least && x <= opt->most)
            *(float *)(void *)at = (float)x;
    }
}

static void set_defaults(const store_manifest *m, cli_options *o)
{
    static const char *const pairs[][2] = {{"temperature", "temp"},
                                           {"top_k", "top-k"},
                                           {"top_p", "top-p"},
                                           {"min_p", "min-p"},
                                           {"typical_p", "typical"},
                                           {"repeat_penalty", "repeat-penalty"},
                                           {"frequency_penalty", "frequency-penalty"},
                                           {"presence_penalty", "presence-penalty"},
                                           {"seed", "seed"},
                                           {"num_ctx", "ctx"},
                                           {"num_predict", "n"}};
    json_t *p = m->parameters ? json_loads(m->parameters, 0, NULL) : NULL;
    for (size_t i = 0; p && i < COUNT_OF(pairs); i++)
        set_number(p, pairs[i][0], pairs[i][1], o);
    json_decref(p);
    o->system = m->system;
}

int cli_find_models(const cli_command *c, int argc, char **argv, cli_options *o)
{
    irori_error e;
    bool takes = strstr(c->arguments, "MODEL") || c->run == cmd_info || c->run == cmd_quantize;
    bool report = o->command && strcmp(o->command, "diff") == 0;
    if (o->url || report)  // a server's name for a model; no model
        return CLI_OK;
    if (takes && o->model) {
        int rc = find(o->model, paths[0], sizeof paths[0], &found, (err *)(void *)&e);
        if (rc == ST_NOTFOUND && c->run == cmd_plan)
            return CLI_OK;  // it may be of the catalogue
        if (rc)
            return cli_fail(&e);
        if (paths[0][0]) {  // read again: what the person gives goes before what the model brings
            cli_defaults(o);
            set_defaults(&found, o);
            if ((rc = cli_parse(c, argc, argv, o)))
                return rc;
            o->model_name = found.name.text;
            o->model_sha256 = found.files[0].digest;
            o->model = paths[0];
        }
    }
    if (o->draft) {
        store_manifest m = {0};
        int rc = find(o->draft, paths[1], sizeof paths[1], &m, (err *)(void *)&e);
        store_manifest_done(&m);
        if (rc)
            return cli_fail(&e);
        if (paths[1][0])
            o->draft = paths[1];
    }
    return CLI_OK;
}
