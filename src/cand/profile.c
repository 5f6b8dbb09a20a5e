// Reading a profile: JSON into one arena, every text and index checked.
#include <jansson.h>
#include <string.h>

#include "cand/own.h"

// Bytes of `about`, entries of a list, bytes of a cue, tag or id.
enum { MOST_TEXT = 1 << 20, MOST_LIST = 4096, MOST_WORDS = 200 };

typedef struct reader {
    cand_profile *p;
    err *e;
    int rc;
} reader;

static void fail(reader *r, int code, const char *where, const char *what)
{
    if (!r->rc)
        r->rc = err_set(r->e, code, "profile: %s %s", where, what);
}

static const char *copy(reader *r, const char *where, const json_t *v, size_t most)
{
    if (!json_is_string(v)) {
        fail(r, ST_FORMAT, where, "is missing or no text");
        return "";
    }
    size_t n = json_string_length(v);
    if (n > most || strlen(json_string_value(v)) != n) {
        fail(r, ST_LIMIT, where, n > most ? "is too long" : "holds a NUL");
        return "";
    }
    char *text = arena_strndup(&r->p->mem, json_string_value(v), n);
    if (!text)
        fail(r, ST_NOMEM, where, "finds no memory");
    return text ? text : "";
}

// An array of texts, none of them empty; absent: none.
static const char **texts(reader *r, const char *where, const json_t *list, size_t *n, size_t most)
{
    *n = 0;
    if (!list)
        return NULL;
    size_t count = json_array_size(list), i;
    const json_t *v;
    if (!json_is_array(list) || count > MOST_LIST) {
        fail(r, ST_FORMAT, where, "is no array of at most 4096 texts");
        return NULL;
    }
    const char **out = arena_alloc(&r->p->mem, (count + 1) * sizeof *out);
    if (!out) {
        fail(r, ST_NOMEM, where, "finds no memory");
        return NULL;
    }
    json_array_foreach((json_t *)list, i, v)
    {
        out[i] = copy(r, where, v, most);
        if (!r->rc && !*out[i])
            fail(r, ST_FORMAT, where, "holds an empty text");
    }
    *n = count;
    return out;
}

static void read_axis(reader *r, const json_t *v)
{
    cand_profile *p = r->p;
    if (p->n_axes == CAND_AXES || !json_is_object(v)) {
        fail(r, ST_LIMIT, "axes",
             p->n_axes == CAND_AXES ? "has more than 16 entries" : "holds what is no object");
        return;
    }
    cand_axis *a = &p->axes[p->n_axes];
    const json_t *weight = json_object_get(v, "weight");
    a->id = copy(r, "axis id", json_object_get(v, "id"), MOST_WORDS);
    a->tag = copy(r, "axis tag", json_object_get(v, "tag"), MOST_WORDS);
    a->way_out = json_is_true(json_object_get(v, "way_out"));
    a->weight = json_is_number(weight) ? json_number_value(weight) : 0;
    a->cues = texts(r, "axis cues", json_object_get(v, "cues"), &a->n_cues, MOST_WORDS);
    a->defaults = texts(r, "axis defaults", json_object_get(v, "defaults"), &a->n_defaults,
                        sizeof((cand_reply *)0)->text - 1);
    if (!r->rc && (!*a->id || !*a->tag || cand_axis_find(p, a->id) >= 0))
        fail(r, ST_FORMAT, "axis id", "or tag is empty, or the id occurs twice");
    p->n_axes++;
}

static void read_axes(reader *r, const json_t *list)
{
    size_t i;
    const json_t *v;
    if (!json_is_array(list) || json_array_size(list) == 0)
        fail(r, ST_FORMAT, "axes", "is no array of at least one axis");
    else
        json_array_foreach((json_t *)list, i, v) read_axis(r, v);
}

static void read_scene(reader *r, cand_scene *s, const json_t *v)
{
    const json_t *replies = json_object_get(v, "replies"), *reply;
    size_t i;
    s->cues = texts(r, "scene cues", json_object_get(v, "cues"), &s->n_cues, MOST_WORDS);
    if (!json_is_array(replies) || json_array_size(replies) > MOST_LIST) {
        fail(r, ST_FORMAT, "scene replies", "is no array of at most 4096 replies");
        return;
    }
    s->replies = arena_alloc(&r->p->mem, (json_array_size(replies) + 1) * sizeof *s->replies);
    if (!s->replies) {
        fail(r, ST_NOMEM, "scene replies", "finds no memory");
        return;
    }
    json_array_foreach((json_t *)replies, i, reply)
    {
        s->replies[i].text = copy(r, "scene reply", json_object_get(reply, "text"),
                                  sizeof((cand_reply *)0)->text - 1);
        const char *axis = copy(r, "scene reply's axis", json_object_get(reply, "axis"), MOST_WORDS);
        s->replies[i].axis = cand_axis_find(r->p, axis);
        if (s->replies[i].axis < 0)
            fail(r, ST_FORMAT, "scene reply's axis", "is none of the axes");
        s->n_replies++;
    }
}

static void read_scenes(reader *r, const json_t *list)
{
    if (!list || r->rc)
        return;
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > MOST_LIST) {
        fail(r, ST_FORMAT, "scenes", "is no array of at most 4096 scenes");
        return;
    }
    r->p->scenes = arena_calloc(&r->p->mem, n + 1, sizeof *r->p->scenes);
    if (!r->p->scenes) {
        fail(r, ST_NOMEM, "scenes", "finds no memory");
        return;
    }
    for (r->p->n_scenes = 0; r->p->n_scenes < n && !r->rc; r->p->n_scenes++)
        read_scene(r, &r->p->scenes[r->p->n_scenes], json_array_get(list, r->p->n_scenes));
}

static void read_profile(reader *r, const json_t *root)
{
    const json_t *about = json_object_get(root, "about"), *language = json_object_get(root, "language"),
                 *axes = json_object_get(root, "axes");
    if (!json_is_object(root)) {
        fail(r, ST_FORMAT, "it", "is no JSON object");
        return;
    }
    r->p->about = about ? copy(r, "about", about, MOST_TEXT) : "";
    if (axes) {
        read_axes(r, axes);
    } else {
        bool ja = json_is_string(language) && strncmp(json_string_value(language), "ja", 2) == 0;
        json_t *own = json_loads(ja ? cand_axes_ja : cand_axes_en, 0, NULL);
        read_axes(r, own);
        json_decref(own);
    }
    read_scenes(r, json_object_get(root, "scenes"));
}

int cand_profile_new(cand_profile **out, const char *json, size_t n, err *e)
{
    json_error_t why;
    *out = NULL;
    json_t *root = json_loadb(json, n, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        return err_set(e, ST_FORMAT, "profile, line %d: %s", why.line, why.text);
    cand_profile *p = mem_calloc(MEM_OTHER, 1, sizeof *p);
    reader r = {p, e, p ? ST_OK : err_set(e, ST_NOMEM, "no memory for a profile")};
    if (p) {
        arena_init(&p->mem, MEM_OTHER);
        read_profile(&r, root);
    }
    json_decref(root);
    if (r.rc)
        cand_profile_free(p);
    else
        *out = p;
    return r.rc;
}

void cand_profile_free(cand_profile *p)
{
    if (!p)
        return;
    arena_done(&p->mem);
    mem_free(p);
}

int cand_axis_find(const cand_profile *p, const char *id)
{
    for (int i = 0; i < p->n_axes; i++)
        if (strcmp(p->axes[i].id, id) == 0)
            return i;
    return -1;
}
