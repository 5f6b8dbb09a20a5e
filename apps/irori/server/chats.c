// Chats that the page keeps with the server instead of in the browser: JSON objects of its own, which are kept as they
// came. Of what is in them only "title" is looked at.
#include <string.h>

#include "server/server.h"

static const char KIND[] = "chat";

// Whether the rest of the path is an id; false after answering.
static bool good_id(incoming *c)
{
    size_t n = strlen(c->rest);
    if (n <= 64 && strspn(c->rest, "abcdefghijklmnopqrstuvwxyz0123456789") == n)
        return true;
    answer_error(c->r, c->family, 400, NULL, NULL,
                 "a chat's id has at most 64 letters (a-z) and digits, this has others: %.80s", c->rest);
    return false;
}

void route_chats(incoming *c)
{
    json_t *list;
    err e;
    if (shelf_list(c->s->shelf, KIND, &list, &e))
        answer_status(c, &e);
    else
        answer_value(c->r, 200, json_pack("{s:s, s:o}", "object", "list", "data", list));
}

void route_kept_chat(incoming *c)
{
    json_t *chat;
    err e;
    if (!good_id(c))
        return;
    if (shelf_get(c->s->shelf, KIND, c->rest, &chat, &e))
        answer_status(c, &e);
    else
        answer_value(c->r, 200, chat);
}

void route_kept_chat_put(incoming *c)
{
    size_t n;
    const char *p = http_body(c->r, &n);
    json_t *title = json_object_get(c->body, "title");
    err e;
    if (!good_id(c))
        return;
    if (!json_is_string(title))
        answer_error(c->r, c->family, 400, NULL, "title", "a chat has a title, which is text");
    else if (shelf_put(c->s->shelf, KIND, c->rest, p, n, &e))
        answer_status(c, &e);
    else
        http_answer(c->r, 204, "text/plain", "", 0);
}

void route_kept_chat_delete(incoming *c)
{
    err e;
    if (!good_id(c))
        return;
    if (shelf_delete(c->s->shelf, KIND, c->rest, &e))
        answer_status(c, &e);
    else
        http_answer(c->r, 204, "text/plain", "", 0);
}
