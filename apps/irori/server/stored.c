// See stored.h.
#include "server/stored.h"

#include <string.h>

// Names as Ollama's files have them. Ranges are those of a request.
static const struct parameter {
    const char *name;
    bool whole;
    double least, most;
} known[] = {
    {"temperature", false, 0, 100},
    {"top_k", true, -1, 1 << 28},
    {"top_p", false, 0, 1},
    {"min_p", false, 0, 1},
    {"typical_p", false, 0, 1},
    {"repeat_penalty", false, 0.01, 100},
    {"repeat_last_n", true, -1, 1 << 28},
    {"frequency_penalty", false, -2, 2},
    {"presence_penalty", false, -2, 2},
    {"seed", true, -9e15, 9e15},
    {"num_predict", true, -2, INT32_MAX},
    {"num_ctx", true, 2, 1 << 28},
};

enum { STOPS = 16 };  // as many as a request may have

static bool good_stop(const json_t *v)
{
    size_t i;
    json_t *one;
    bool good = json_is_string(v) || (json_is_array(v) && json_array_size(v) <= STOPS);
    json_array_foreach(v, i, one) good = good && json_is_string(one) && json_string_length(one) <= 1024;
    return good;
}

static bool is_good(const char *name, const json_t *v)
{
    if (strcmp(name, "stop") == 0)
        return good_stop(v);
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (strcmp(known[i].name, name) == 0)
            return (known[i].whole ? json_is_integer(v) : json_is_number(v)) &&
                   json_number_value(v) >= known[i].least && json_number_value(v) <= known[i].most;
    return false;
}

json_t *stored_parameters(const char *json)
{
    json_t *all = json ? json_loads(json, 0, NULL) : NULL, *good = json_object(), *v;
    const char *name;
    json_object_foreach(all, name, v) if (is_good(name, v)) json_object_set(good, name, v);
    json_decref(all);
    if (json_object_size(good))
        return good;
    json_decref(good);
    return NULL;
}

void stored_check(fields *f)
{
    const char *name;
    json_t *v;
    json_object_foreach(f->object, name, v) if (!is_good(name, v))
        fields_wrong(f, name, "parameter \"%.40s\" is not known here, or not in its range", name);
}
