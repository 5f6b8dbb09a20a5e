// See reply.h. The server's parser takes the answer apart; without declared tools, calls are text.
#include "reply.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/chat.h"

static const char dim[] = "\033[2m", bright[] = "\033[0m";

void reply_init(reply *r, const irori_model *m, const char *path, bool print)
{
    *r = (reply){.m = m, .print = print, .terminal = print && isatty(STDOUT_FILENO)};
    buf_init(&r->text);
    buf_init(&r->reasoning);
    char *json = NULL;
    if (irori_describe_file(path, &json, NULL) == IRORI_OK) {
        json_t *file = json_loads(json, JSON_ALLOW_NUL, NULL);
        r->style = calls_style_of(
            json_string_value(json_object_get(json_object_get(file, "metadata"), "tokenizer.chat_template")));
        json_decref(file);
    }
    irori_free(json);
}

static void show(reply *r, const char *p, size_t n, bool thought)
{
    if (!r->print || n == 0 || (thought && !r->terminal))
        return;
    if (thought != r->dimmed)
        fputs(thought ? dim : bright, stdout);
    if (r->dimmed && !thought)
        fputs("\n\n", stdout);
    r->dimmed = thought;
    fwrite(p, 1, n, stdout);
    r->stopped = fflush(stdout) != 0;  // nobody reads any more
}

static void take(void *ctx, calls_part part, const char *p, size_t n)
{
    reply *r = ctx;
    bool thought = part == CALLS_REASONING;
    if (part != CALLS_TEXT && !thought)
        return;
    buf_add(thought ? &r->reasoning : &r->text, p, n);
    show(r, p, n, thought);
}

void reply_begin(reply *r, const irori_session *s, bool plain)
{
    static const calls_style none = {.syntax = CALLS_TAGS};
    size_t count;
    const int32_t *ids = irori_session_tokens(s, &count);
    calls_free(&r->parser);
    buf_clear(&r->text);
    buf_clear(&r->reasoning);
    const calls_style *style = plain ? &none : &r->style;
    calls_begin(&r->parser, style, NULL, !plain, chat_opens_thinking(r->m, style, ids, count), take, r);
}

bool reply_piece(void *ctx, int32_t id, const char *text, size_t n)
{
    reply *r = ctx;
    // A control token comes without text, as does a part of a character; only the former's own begins in ASCII. Where such
    // tokens mark what is what, the parser must read them.
    if (n == 0 && r->parser.style.special && id >= 0) {
        size_t own;
        const char *word = irori_token_text(r->m, id, &own);
        if (word && own && (unsigned char)word[0] < 0x80) {
            text = word;
            n = own;
        }
    }
    calls_feed(&r->parser, text, n);
    return !r->stopped;
}

void reply_end(reply *r)
{
    calls_end(&r->parser);
    if (r->dimmed)
        fputs(bright, stdout);
    r->dimmed = false;
}

bool reply_failed(const reply *r)
{
    return r->text.failed || r->reasoning.failed || calls_failed(&r->parser);
}

void reply_free(reply *r)
{
    calls_free(&r->parser);
    buf_done(&r->text);
    buf_done(&r->reasoning);
}
