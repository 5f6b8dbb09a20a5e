// irori list, show, rm, copy, verify, move: the models of the store.
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "put.h"
#include "store/store.h"

static err *as_err(irori_error *e)
{
    return (err *)(void *)e;
}

static int open_store(store *s)
{
    irori_error e;
    return store_open(s, NULL, as_err(&e)) ? cli_fail(&e) : CLI_OK;
}

// The model of the store that `word` names.
static int get(const store *s, const char *word, store_manifest *m)
{
    irori_error e;
    store_name name;
    *m = (store_manifest){0};
    return store_name_parse(word, strlen(word), &name, as_err(&e)) || store_find(s, &name, m, as_err(&e))
               ? cli_fail(&e)
               : CLI_OK;
}

static bool step(void *bar, uint64_t done, uint64_t total)
{
    cli_progress_step(bar, done, total);
    return true;
}

static void time_words(int64_t seconds, char out[24])
{
    time_t t = (time_t)seconds;
    struct tm tm;
    if (!gmtime_r(&t, &tm) || !strftime(out, 24, "%Y-%m-%dT%H:%M:%SZ", &tm))
        out[0] = 0;
}

static void size_words(uint64_t bytes, char out[24])
{
    if (bytes >= 1000000000)
        snprintf(out, 24, "%.1f GB", (double)bytes / 1e9);
    else
        snprintf(out, 24, "%.1f MB", (double)bytes / 1e6);
}

static const char *license_name(const store_manifest *m)
{
    return m->license && *m->license ? m->license : "(none named)";
}

// ---- list, show ----

static void put_model(json_writer *w, const store *s, const store_manifest *m)
{
    char when[24], digest[STORE_HEX + 8];
    store_acceptance a;
    store_accepted(s, m, &a);
    time_words(m->created, when);
    snprintf(digest, sizeof digest, "sha256:%s", m->files[0].digest);
    put_str(w, "name", m->name.text);
    put_str(w, "digest", digest);
    put_int(w, "bytes", (int64_t)store_manifest_bytes(m));
    put_int(w, "files", (int64_t)m->n_files);
    put_str(w, "created", when);
    put_str(w, "source", m->source);
    put_str(w, "license", m->license);
    put_str(w, "license_kind", store_license_text(store_license_of(m->license)));
    put_bool(w, "license_accepted", a.accepted);
    put_str(w, "code_license", "Apache-2.0");  // irori's: none of the model's own code is used
    put_str(w, "base_models", m->base_models);
}

static int list_json(const store *s, const store_manifest *list, size_t n)
{
    buf b;
    json_writer w;
    buf_init(&b);
    json_begin(&w, &b);
    json_obj(&w);
    put_str(&w, "store", s->root);
    json_key(&w, "models");
    json_arr(&w);
    for (size_t i = 0; i < n; i++) {
        json_obj(&w);
        put_model(&w, s, &list[i]);
        json_end(&w);
    }
    json_end(&w);
    json_end(&w);
    return cli_print_json(&b);
}

static void list_lines(const store *s, const store_manifest *list, size_t n)
{
    int wide = 4;
    for (size_t i = 0; i < n; i++)
        wide = MAX(wide, (int)strlen(list[i].name.text));
    if (n)
        printf("%-*s  %9s  %-16s  %-15s  %-12s  %s\n", wide, "name", "size", "licence", "", "", "since");
    for (size_t i = 0; i < n; i++) {
        char size[24], when[24];
        store_acceptance a;
        store_license kind = store_license_of(list[i].license);
        store_accepted(s, &list[i], &a);
        size_words(store_manifest_bytes(&list[i]), size);
        time_words(list[i].created, when);
        printf("%-*s  %9s  %-16s  %-15s  %-12s  %.10s\n", wide, list[i].name.text, size,
               license_name(&list[i]), store_license_text(kind),
               a.accepted                      ? "accepted"
               : kind == STORE_LICENSE_ALLOWED ? ""
                                               : "not asked",
               when);
    }
}

int cmd_list(const cli_options *o)
{
    store s;
    store_manifest *list;
    size_t n, broken;
    irori_error e;
    if (open_store(&s))
        return CLI_FAILED;
    if (store_list(&s, &list, &n, &broken, as_err(&e)))
        return cli_fail(&e);
    int rc = CLI_OK;
    if (o->json)
        rc = list_json(&s, list, n);
    else
        list_lines(&s, list, n);
    if (n == 0 && !o->json)
        fprintf(stderr, "no models in %s yet; `irori pull` fetches one\n", s.root);
    if (broken)
        fprintf(stderr, "irori: %zu manifests in %s/manifests cannot be read\n", broken, s.root);
    store_list_free(list, n);
    return rc;
}

static void show_lines(const store *s, const store_manifest *m, const char *path)
{
    char size[24], when[24];
    store_acceptance a;
    store_accepted(s, m, &a);
    size_words(store_manifest_bytes(m), size);
    time_words(m->created, when);
    printf(
        "name         %s\nsource       %s\nsince        %s\nsize         %s in %zu file%s\npath         %s\n",
        m->name.text, m->source, when, size, m->n_files, m->n_files == 1 ? "" : "s", path);
    printf("licence      %s: %s%s%s\n", license_name(m), store_license_text(store_license_of(m->license)),
           a.accepted ? ", accepted " : "", a.when);
    printf("code         irori's own runs it (Apache-2.0); none of the model's is used\n");
    if (m->base_models && *m->base_models)
        printf("made from    %s (their licences hold too)\n", m->base_models);
    if (m->system)
        printf("system       %s\n", m->system);
    if (m->parameters)
        printf("parameters   %s\n", m->parameters);
    for (size_t i = 0; i < m->n_files; i++)
        printf("file         sha256:%s %s\n", m->files[i].digest, m->files[i].name);
}

int cmd_show(const cli_options *o)
{
    store s;
    store_manifest m;
    char path[STORE_PATH + 512];
    irori_error e;
    if (open_store(&s) || get(&s, o->model, &m))
        return CLI_FAILED;
    int rc = store_model_path(&s, &m, path, sizeof path, as_err(&e)) ? cli_fail(&e) : CLI_OK;
    if (!rc && !o->json) {
        show_lines(&s, &m, path);
    } else if (!rc) {
        buf b;
        json_writer w;
        buf_init(&b);
        json_begin(&w, &b);
        json_obj(&w);
        put_model(&w, &s, &m);
        put_str(&w, "path", path);
        if (m.system)
            put_str(&w, "system", m.system);
        if (m.parameters) {
            json_key(&w, "parameters");
            json_raw(&w, m.parameters, strlen(m.parameters));
        }
        json_end(&w);
        rc = cli_print_json(&b);
    }
    store_manifest_done(&m);
    return rc;
}

// ---- rm, copy, verify, move ----

int cmd_rm(const cli_options *o)
{
    store s;
    store_name name;
    uint64_t freed;
    irori_error e;
    if (open_store(&s))
        return CLI_FAILED;
    if (!o->model && !o->partial) {
        fprintf(stderr, "irori rm: NAME or --partial is missing; see `irori help rm`\n");
        return CLI_USAGE;
    }
    int rc = o->partial ? store_clean_partials(&s, true, &freed, as_err(&e)) : ST_OK;
    if (!rc && o->model)
        rc = store_name_parse(o->model, strlen(o->model), &name, as_err(&e));
    if (!rc && o->model)
        rc = store_remove(&s, &name, &freed, as_err(&e));
    if (rc)
        return cli_fail(&e);
    char size[24];
    size_words(freed, size);
    printf("%s removed, %s freed\n", o->model ? name.text : "unfinished pulls", size);
    return CLI_OK;
}

int cmd_copy(const cli_options *o)
{
    store s;
    store_name from, to;
    irori_error e;
    if (open_store(&s))
        return CLI_FAILED;
    if (store_name_parse(o->model, strlen(o->model), &from, as_err(&e)) ||
        store_name_parse(o->output, strlen(o->output), &to, as_err(&e)) ||
        store_copy(&s, &from, &to, as_err(&e)))
        return cli_fail(&e);
    return CLI_OK;
}

static int verify_one(const store *s, const store_manifest *m, irori_error *e)
{
    cli_progress bar;
    cli_progress_start(&bar, "verifying");
    int rc = store_verify(s, m, step, &bar, as_err(e));
    cli_progress_end(&bar);
    return rc;
}

static void put_verified(json_writer *w, const store_manifest *m, int rc, const irori_error *e)
{
    json_obj(w);
    put_str(w, "name", m->name.text);
    put_bool(w, "good", !rc);
    if (rc)
        put_str(w, "error", e->message);
    json_end(w);
}

int cmd_verify(const cli_options *o)
{
    store s;
    store_manifest one, *list = &one;
    size_t n = 1, broken = 0;
    irori_error e;
    if (open_store(&s) || (o->model && get(&s, o->model, &one)))
        return CLI_FAILED;
    if (!o->model && store_list(&s, &list, &n, &broken, as_err(&e)))
        return cli_fail(&e);
    size_t bad = broken;
    buf b;
    json_writer w;
    buf_init(&b);
    json_begin(&w, &b);
    json_arr(&w);
    for (size_t i = 0; i < n; i++) {
        int rc = verify_one(&s, &list[i], &e);
        bad += rc != 0;
        put_verified(&w, &list[i], rc, &e);
        if (rc && !o->json)
            cli_fail(&e);
        else if (!o->json)
            printf("%s is good\n", list[i].name.text);
    }
    json_end(&w);
    if (broken)
        fprintf(stderr, "irori: %zu manifests in %s/manifests cannot be read\n", broken, s.root);
    if (o->model)
        store_manifest_done(&one);
    else
        store_list_free(list, n);
    if (o->json)
        cli_print_json(&b);
    else
        buf_done(&b);
    return bad ? CLI_FAILED : CLI_OK;
}

int cmd_move(const cli_options *o)
{
    store s;
    irori_error e;
    cli_progress bar;
    if (open_store(&s))
        return CLI_FAILED;
    cli_progress_start(&bar, "moving");
    int rc = store_move(&s, o->model, step, &bar, as_err(&e));
    cli_progress_end(&bar);
    if (rc)
        return cli_fail(&e);
    printf("the store is in %s; %s leads there\n", o->model, s.root);
    return CLI_OK;
}
