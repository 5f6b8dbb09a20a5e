// See record.h.
#include "record.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "put.h"
#include "store/store.h"

int record_level_of(const char *word, record_level *out, err *e)
{
    static const char *const words[] = {"off", "on", "content"};
    if (!word)
        word = getenv("IRORI_AUDIT");
    *out = RECORD_OFF;
    for (size_t i = 0; word && *word; i++) {
        if (i == COUNT_OF(words))
            return err_set(e, ST_INVALID, "--audit or IRORI_AUDIT is \"%.40s\", allowed off, on and content",
                           word);
        *out = (record_level)i;
        if (strcmp(word, words[i]) == 0)
            break;
    }
    return ST_OK;
}

static int write_fields(buf *b, err *e)
{
    store_audit a;
    int rc = b->failed ? err_set(e, ST_NOMEM, "no memory for a line of the audit log")
                       : store_audit_open(&a, NULL, e);
    if (!rc)  // without its braces
        rc = store_audit_write(&a, b->data + 1, b->len - 2, e);
    buf_done(b);
    return rc;
}

static void put_content(json_writer *w, record_level level, const char *key, const char *text, size_t n)
{
    char hex[STORE_HEX], name[32];
    store_sha_bytes(text, n, hex);
    snprintf(name, sizeof name, "%s_sha256", key);
    put_str(w, name, hex);
    put_int(w, "bytes", (int64_t)n);
    if (level != RECORD_CONTENT)
        return;
    buf hidden;
    buf_init(&hidden);
    store_redact(text, n, &hidden);
    put_buf(w, key, &hidden);
    buf_done(&hidden);
}

static void put_sampling(json_writer *w, const irori_sampling *s)
{
    json_key(w, "parameters");
    json_obj(w);
    put_num(w, "temperature", (double)s->temperature);
    put_int(w, "top_k", s->top_k);
    put_num(w, "top_p", (double)s->top_p);
    put_num(w, "min_p", (double)s->min_p);
    put_num(w, "repeat_penalty", (double)s->repeat_penalty);
    put_int(w, "seed", (int64_t)s->seed);
    json_end(w);
}

// The hash of a model file that is not in the store (gguf_model_hash).
static void put_file_hash(json_writer *w, const char *path)
{
    char *json = NULL;
    json_t *file = irori_describe_file(path, &json, NULL) ? NULL : json_loads(json, JSON_ALLOW_NUL, NULL);
    const char *hash = json_string_value(json_object_get(file, "hash"));
    put_str(w, "model_xxh3", hash ? hash : "");
    json_decref(file);
    irori_free(json);
}

int record_request_line(record_level level, const record_request *r, char id[17], err *e)
{
    buf b;
    json_writer w;
    if (level == RECORD_OFF)
        return ST_OK;
    snprintf(id, 17, "%016" PRIx64, os_random_seed());
    buf_init(&b);
    json_begin(&w, &b);
    json_obj(&w);
    put_str(&w, "event", r->event);
    put_str(&w, "id", id);
    if (r->client)
        put_str(&w, "client", r->client);
    put_str(&w, "model", r->model);
    if (r->hash)
        put_str(&w, r->hash_is_sha256 ? "model_sha256" : "model_xxh3", r->hash);
    else
        put_file_hash(&w, r->path);
    put_sampling(&w, r->sampling);
    put_int(&w, "max_tokens", r->max_tokens);
    put_content(&w, level, "prompt", r->text, r->n);
    json_end(&w);
    return write_fields(&b, e);
}

int record_answer_line(record_level level, const char *id, const char *finish, size_t prompt_tokens,
                       size_t completion_tokens, const char *text, size_t n, err *e)
{
    buf b;
    json_writer w;
    if (level == RECORD_OFF)
        return ST_OK;
    buf_init(&b);
    json_begin(&w, &b);
    json_obj(&w);
    put_str(&w, "event", "answer");
    put_str(&w, "id", id);
    put_str(&w, "finish", finish);
    put_int(&w, "prompt_tokens", (int64_t)prompt_tokens);
    put_int(&w, "completion_tokens", (int64_t)completion_tokens);
    put_content(&w, level, "answer", text, n);
    json_end(&w);
    return write_fields(&b, e);
}
