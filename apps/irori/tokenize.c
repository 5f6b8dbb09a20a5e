// irori tokenize: what the model will see of a text.
#include <stdio.h>
#include <string.h>

#include "cli.h"

static void print_rows(const irori_model *m, const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t k;
        const char *s = irori_token_text(m, ids[i], &k);
        buf quoted;
        buf_init(&quoted);
        json_writer w;
        json_begin(&w, &quoted);
        json_strn(&w, s, k);
        printf("%8d  %s\n", ids[i], quoted.failed ? "?" : quoted.data);
        buf_done(&quoted);
    }
}

static int print_json(const int32_t *ids, size_t n)
{
    buf out;
    buf_init(&out);
    json_writer w;
    json_begin(&w, &out);
    json_obj(&w);
    json_key(&w, "tokens");
    json_arr(&w);
    for (size_t i = 0; i < n; i++)
        json_int(&w, ids[i]);
    json_end(&w);
    json_end(&w);
    return cli_print_json(&out);
}

int cmd_tokenize(const cli_options *o)
{
    char *read = NULL;
    const char *text = o->text;
    size_t n = text ? strlen(text) : 0;
    if (!text) {
        if (cli_read_text(o->file ? o->file : "-", &read, &n))
            return CLI_FAILED;
        text = read;
    }
    irori_model *m;
    irori_error e;
    int32_t *ids = NULL;
    size_t count = 0;
    int rc = irori_model_open_vocabulary(&m, o->model, &e);
    if (!rc)
        rc = irori_tokenize(m, text, n, o->special ? IRORI_TOKENIZE_SPECIAL : 0, &ids, &count, &e);
    if (rc)
        rc = cli_fail(&e);
    else if (o->json)
        rc = print_json(ids, count);
    else
        print_rows(m, ids, count);
    irori_free(ids);
    irori_model_close(m);
    mem_free(read);
    return rc;
}
