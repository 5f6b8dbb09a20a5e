// irori audit: looks at the audit log. And the lines that run and chat write into it.
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "put.h"
#include "record.h"
#include "store/store.h"

int cli_record_request(const cli_options *o, const char *event, const char *text, size_t n, char id[17],
                       irori_error *e)
{
    record_level level;
    irori_sampling sampling = cli_sampling(o);
    record_request r = {.event = event,
                        .model = o->model_name ? o->model_name : o->model,
                        .path = o->model,
                        .hash = o->model_sha256,
                        .hash_is_sha256 = o->model_sha256,
                        .sampling = &sampling,
                        .max_tokens = (int64_t)cli_max_tokens(o),
                        .text = text,
                        .n = n};
    int rc = record_level_of(o->audit, &level, (err *)(void *)e);
    return rc ? rc : record_request_line(level, &r, id, (err *)(void *)e);
}

int cli_record_answer(const cli_options *o, const char *id, const char *finish, const irori_generation *g,
                      const buf *said, irori_error *e)
{
    record_level level;
    int rc = record_level_of(o->audit, &level, (err *)(void *)e);
    return rc ? rc
              : record_answer_line(level, id, finish, g->prompt_tokens, g->completion_tokens,
                                   said->len ? said->data : "", said->len, (err *)(void *)e);
}

int cmd_audit(const cli_options *o)
{
    store_audit a;
    store_audit_head h;
    irori_error e;
    bool verify = strcmp(o->command, "verify") == 0;
    if (!verify && strcmp(o->command, "head") != 0) {
        fprintf(stderr, "irori audit: \"%s\" is not verify or head; see `irori help audit`\n", o->command);
        return CLI_USAGE;
    }
    if (store_audit_open(&a, NULL, (err *)(void *)&e) ||
        store_audit_verify(&a, o->head, &h, (err *)(void *)&e))
        return cli_fail(&e);
    if (o->json) {
        buf b;
        json_writer w;
        buf_init(&b);
        json_begin(&w, &b);
        json_obj(&w);
        put_str(&w, "folder", a.dir);
        put_int(&w, "lines", (int64_t)h.lines);
        put_str(&w, "hash", h.hash);
        json_end(&w);
        return cli_print_json(&b);
    }
    if (verify)
        printf("%s: %llu lines, none changed, removed, moved or cut\n", a.dir, (unsigned long long)h.lines);
    else
        printf("%llu:%s\n", (unsigned long long)h.lines, h.hash);
    return CLI_OK;
}
