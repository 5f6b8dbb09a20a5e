// See fields.h.
#include "server/fields.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

fields fields_of(json_t *object)
{
    return (fields){.object = json_is_object(object) ? object : NULL};
}

json_t *fields_get(const fields *f, const char *name)
{
    json_t *v = json_object_get(f->object, name);
    if (!v || json_is_null(v))
        v = json_object_get(f->defaults, name);
    return json_is_null(v) ? NULL : v;
}

void fields_wrong(fields *f, const char *name, const char *fmt, ...)
{
    if (f->wrong)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(f->message, sizeof f->message, fmt, ap);
    va_end(ap);
    snprintf(f->param, sizeof f->param, "%s", name);
    f->wrong = true;
}

void fields_join(fields *f, const char *name, const fields *part)
{
    char whole[sizeof f->param * 2];
    if (!part->wrong || f->wrong)
        return;
    snprintf(whole, sizeof whole, "%s.%s", name, part->param);
    fields_wrong(f, whole, "%s", part->message);
}

static const char *kind(const json_t *v)
{
    static const char *const names[] = {"an object", "an array", "a string", "a number",
                                        "a number",  "true",     "false",    "null"};
    return names[json_typeof(v)];
}

bool fields_bool(fields *f, const char *name, bool otherwise)
{
    json_t *v = fields_get(f, name);
    if (v && !json_is_boolean(v))
        fields_wrong(f, name, "%s is %s, allowed true or false", name, kind(v));
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

double fields_number(fields *f, const char *name, double otherwise, double least, double most)
{
    json_t *v = fields_get(f, name);
    if (!v)
        return otherwise;
    if (!json_is_number(v)) {
        fields_wrong(f, name, "%s is %s, allowed numbers %g..%g", name, kind(v), least, most);
        return otherwise;
    }
    double x = json_number_value(v);
    if (!(x >= least && x <= most)) {
        fields_wrong(f, name, "%s is %g, allowed %g..%g", name, x, least, most);
        return otherwise;
    }
    return x;
}

int64_t fields_int(fields *f, const char *name, int64_t otherwise, int64_t least, int64_t most)
{
    json_t *v = fields_get(f, name);
    if (!v)
        return otherwise;
    double x = json_number_value(v);
    bool whole = json_is_integer(v) || (json_is_real(v) && x == floor(x));
    if (!whole || !(x >= (double)least && x <= (double)most)) {
        if (json_is_number(v))
            fields_wrong(f, name, "%s is %.17g, allowed whole numbers %lld..%lld", name, x, (long long)least,
                         (long long)most);
        else
            fields_wrong(f, name, "%s is %s, allowed whole numbers %lld..%lld", name, kind(v),
                         (long long)least, (long long)most);
        return otherwise;
    }
    if (json_is_integer(v))
        return json_integer_value(v);
    return x >= 9.2e18 ? most : (int64_t)x;  // past this a double has no int64_t
}

const char *fields_text(fields *f, const char *name, const char *otherwise)
{
    json_t *v = fields_get(f, name);
    if (v && !json_is_string(v))
        fields_wrong(f, name, "%s is %s, a string is needed", name, kind(v));
    return json_is_string(v) ? json_string_value(v) : otherwise;
}

json_t *fields_object(fields *f, const char *name)
{
    json_t *v = fields_get(f, name);
    if (v && !json_is_object(v))
        fields_wrong(f, name, "%s is %s, an object is needed", name, kind(v));
    return json_is_object(v) ? v : NULL;
}

json_t *fields_array(fields *f, const char *name)
{
    json_t *v = fields_get(f, name);
    if (v && !json_is_array(v))
        fields_wrong(f, name, "%s is %s, an array is needed", name, kind(v));
    return json_is_array(v) ? v : NULL;
}
