// irori info: what is in a model file.
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

// A value on one line, cut where it would fill the screen.
static void print_value(const json_t *v)
{
    enum { WIDTH = 90 };
    if (json_is_string(v)) {
        char text[WIDTH + 1];
        snprintf(text, sizeof text, "%s", json_string_value(v));
        for (char *s = text; (s = strpbrk(s, "\n\r\t"));)
            *s = ' ';
        utf8_make_printable(text);  // a file's text must not drive the terminal
        printf("%s", text);
        if (json_string_length(v) > WIDTH)
            printf("... (%zu bytes)", json_string_length(v));
    } else if (json_is_object(v)) {
        printf("%s[%" JSON_INTEGER_FORMAT "]", json_string_value(json_object_get(v, "array")),
               json_integer_value(json_object_get(v, "count")));
    } else if (json_is_integer(v)) {
        printf("%" JSON_INTEGER_FORMAT, json_integer_value(v));
    } else if (json_is_real(v)) {
        printf("%.7g", json_real_value(v));
    } else {
        printf("%s", json_is_true(v) ? "true" : json_is_false(v) ? "false" : "null");
    }
    putchar('\n');
}

static void print_tensor(const json_t *t)
{
    char shape[96] = "";
    size_t i, at = 0;
    json_t *dim;
    json_array_foreach(json_object_get(t, "shape"), i, dim)
    {
        at += (size_t)snprintf(shape + at, sizeof shape - at, "%s%" JSON_INTEGER_FORMAT, i ? " x " : "",
                               json_integer_value(dim));
        if (at >= sizeof shape)
            break;
    }
    printf("  %-40s %-8s %-20s %" JSON_INTEGER_FORMAT " bytes\n",
           json_string_value(json_object_get(t, "name")), json_string_value(json_object_get(t, "type")),
           shape, json_integer_value(json_object_get(t, "bytes")));
}

static void print_report(const json_t *file)
{
    static const char *const fields[] = {"path",       "name",  "architecture", "license", "quantization",
                                         "parameters", "bytes", "version",      "hash"};
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        printf("%-14s ", fields[i]);
        print_value(json_object_get(file, fields[i]));
    }
    const char *key;
    json_t *v;
    size_t i;
    printf("\nmetadata\n");
    json_object_foreach(json_object_get(file, "metadata"), key, v)
    {
        printf("  %-44s ", key);
        print_value(v);
    }
    printf("\ntensors\n");
    json_array_foreach(json_object_get(file, "tensors"), i, v) print_tensor(v);
}

int cmd_info(const cli_options *o)
{
    char *json;
    irori_error e;
    if (irori_describe_file(o->model, &json, &e))
        return cli_fail(&e);
    json_t *file = o->json ? NULL : json_loads(json, JSON_ALLOW_NUL, NULL);
    if (file)
        print_report(file);
    else
        printf("%s\n", json);
    json_decref(file);
    irori_free(json);
    return CLI_OK;
}
