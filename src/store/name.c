// Names of models: what may stand in one, and how one becomes a file's name.
#include <stdio.h>
#include <string.h>

#include "store/own.h"

enum { PARTS = 4, PART = 96 };  // most parts of a name, most bytes of one

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool allowed(char c)
{
    return is_alnum(c) || c == '.' || c == '_' || c == '-';
}

static bool good_part(const char *p, size_t n)
{
    if (n == 0 || n > PART || !is_alnum(p[0]) || p[n - 1] == '.')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!allowed(p[i]) || (p[i] == '.' && i + 1 < n && p[i + 1] == '.'))
            return false;
    return true;
}

static bool good_port(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] < '0' || p[i] > '9')
            return false;
    return n >= 1 && n <= 5;
}

// "host", "host:port" or a plain part, [p, p + n).
static bool good_first(const char *p, size_t n)
{
    const char *colon = memchr(p, ':', n);
    if (!colon)
        return good_part(p, n);
    size_t host = (size_t)(colon - p);
    return good_part(p, host) && good_port(colon + 1, n - host - 1);
}

static bool good_path(const char *p, size_t n)
{
    int parts = 0;
    for (size_t at = 0; at <= n; parts++) {
        const char *slash = memchr(p + at, '/', n - at);
        size_t len = slash ? (size_t)(slash - p) - at : n - at;
        bool first = parts == 0 && slash;
        if (parts == PARTS || !(first ? good_first(p + at, len) : good_part(p + at, len)))
            return false;
        at += len + 1;
    }
    return true;
}

int store_name_parse(const char *text, size_t n, store_name *out, err *e)
{
    size_t path = n, tag = 0;
    for (size_t i = n; i > 0 && text[i - 1] != '/'; i--)
        if (text[i - 1] == ':') {
            path = i - 1;
            tag = n - i;
        }
    bool tagged = path < n;
    if (n == 0 || path + 1 + (tagged ? tag : 6) >= STORE_NAME || !good_path(text, path) ||
        (tagged && !good_part(text + path + 1, tag)))
        return err_set(
            e, ST_INVALID,
            "\"%.*s\" is no model name: allowed are up to 4 parts with '/' between them and then ':' and a "
            "tag, of letters, digits, '.', '_', '-', in all %d bytes",
            (int)MIN(n, 120), text, STORE_NAME - 1);
    snprintf(out->text, sizeof out->text, "%.*s:%.*s", (int)path, text, tagged ? (int)tag : 6,
             tagged ? text + path + 1 : "latest");
    return ST_OK;
}

void store_name_short(const store_name *name, char out[STORE_NAME])
{
    size_t n = strlen(name->text);
    if (n > 7 && strcmp(name->text + n - 7, ":latest") == 0)
        n -= 7;
    snprintf(out, STORE_NAME, "%.*s", (int)n, name->text);
}

int store_name_from_file(const char *path, store_name *out, err *e)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char text[PART + 1];
    size_t n = strlen(name), k = 0;
    if (n >= 5 && strcmp(name + n - 5, ".gguf") == 0)
        n -= 5;
    if (n > 15 && memcmp(name + n - 9, "-of-", 4) == 0)  // "-00001-of-00003"
        n -= 15;
    for (size_t i = 0; i < n && k < PART; i++) {
        char c = allowed(name[i]) ? name[i] : '-';
        bool dot_again = c == '.' && k && text[k - 1] == '.';
        if (k ? !dot_again : is_alnum(c))
            text[k++] = c;
    }
    while (k && text[k - 1] == '.')
        k--;
    if (k == 0)
        return err_set(e, ST_INVALID, "%s: no model name can be made of this; give one with --as", path);
    return store_name_parse(text, k, out, e);
}

// '/' -> '+', ':' -> '=': neither stands in a name.
void name_to_file(const store_name *name, char out[STORE_NAME + 8])
{
    snprintf(out, STORE_NAME + 8, "%s.json", name->text);
    for (char *c = out; *c; c++)
        *c = (char)(*c == '/' ? '+' : *c == ':' ? '=' : *c);
}

bool name_of_file(const char *file, store_name *out)
{
    char text[STORE_NAME];
    size_t n = strlen(file);
    if (n <= 5 || n - 5 >= sizeof text || strcmp(file + n - 5, ".json") != 0)
        return false;
    for (size_t i = 0; i < n - 5; i++)
        text[i] = (char)(file[i] == '+' ? '/' : file[i] == '=' ? ':' : file[i]);
    text[n - 5] = 0;
    return !store_name_parse(text, n - 5, out, NULL) && strcmp(text, out->text) == 0;
}
