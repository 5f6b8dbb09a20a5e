// /v1/profiles: who speaks, kept on the server's shelf by a name.
#include <stdlib.h>
#include <string.h>

#include "server/server.h"

enum { MOST_NAME = 60 };

static bool good_name(const char *id)
{
    size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");
    return n > 0 && n <= MOST_NAME && !id[n];
}

static void answer_none(incoming *c, const err *e)
{
    answer_error(c->r, c->family, status_of(e->code), NULL, NULL, "%s", e->msg);
}

void route_profiles(incoming *c)
{
    json_t *kept, *list = json_array(), *one;
    size_t i;
    err e;
    if (shelf_list(c->s->shelf, "profile", &kept, &e)) {
        json_decref(list);
        answer_none(c, &e);
        return;
    }
    json_array_foreach(kept, i, one) json_array_append_new(
        list, json_pack("{s:O, s:s}", "id", json_object_get(one, "id"), "object", "profile"));
    json_decref(kept);
    answer_value(c->r, 200, json_pack("{s:s, s:o}", "object", "list", "data", list));
}

void route_profile(incoming *c)
{
    json_t *kept;
    err e;
    if (shelf_get(c->s->shelf, "profile", c->rest, &kept, &e))
        answer_none(c, &e);
    else
        answer_value(c->r, 200,
                     json_pack("{s:s, s:s, s:o}", "id", c->rest, "object", "profile", "profile", kept));
}

void route_profile_put(incoming *c)
{
    irori_profile *p;
    err e;
    char *text = json_dumps(c->body, JSON_COMPACT);
    int rc = ST_OK;
    if (!good_name(c->rest)) {
        answer_error(c->r, c->family, 400, NULL, "id",
                     "a profile's id is 1..%d letters, digits, '-', '_' and '.'", MOST_NAME);
    } else if (!text) {
        answer_error(c->r, c->family, 503, NULL, NULL, "out of memory");
    } else if (irori_profile_new(&p, text, strlen(text), (irori_error *)(void *)&e)) {
        answer_error(c->r, c->family, 400, NULL, "profile", "%s", e.msg);
    } else {
        irori_profile_free(p);
        rc = shelf_put(c->s->shelf, "profile", c->rest, text, strlen(text), &e);
        if (rc)
            answer_none(c, &e);
        else
            answer_value(c->r, 200, json_pack("{s:s, s:s}", "id", c->rest, "object", "profile"));
    }
    free(text);
}

void route_profile_delete(incoming *c)
{
    err e;
    if (shelf_delete(c->s->shelf, "profile", c->rest, &e)) {
        answer_none(c, &e);
        return;
    }
    shelf_delete(c->s->shelf, "choices", c->rest, NULL);  // where nothing was chosen there are none
    answer_value(c->r, 200,
                 json_pack("{s:s, s:s, s:b}", "id", c->rest, "object", "profile.deleted", "deleted", 1));
}
