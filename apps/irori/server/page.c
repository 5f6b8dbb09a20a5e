// The page for people, under /ui/: files from within the program, or from --ui-dir while one works on them.
//
// Scripts come from this server only, as files; nothing is loaded from elsewhere; no other page may frame this one.
// The component library writes style elements as it runs: they carry a nonce that each answer of index.html draws
// anew, which is why index.html alone is neither compressed nor cached.
#include "server/page.h"

#include <stdio.h>
#include <string.h>

#include "server/server.h"

enum { MOST_BYTES = 16 << 20 };  // of a file of --ui-dir

static const char *type_of(const char *name)
{
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".txt", "text/plain; charset=utf-8"},
        {".webmanifest", "application/manifest+json"},
        {".woff2", "font/woff2"},
        {".png", "image/png"},
    };
    const char *ending = strrchr(name, '.');
    for (size_t i = 0; ending && i < COUNT_OF(types); i++)
        if (strcmp(ending, types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}

// Names below the folder only: parts of letters, digits, "-", "_" and ".", none of which begins with a dot.
static bool good_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    char before = '/';
    for (const char *c = name; *c; before = *c++) {
        if (!strchr(letters, *c) && (before == '/' || (*c != '.' && *c != '/')))
            return false;
    }
    return before != '/';
}

static void missing(incoming *c, const char *name)
{
    answer_error(c->r, c->family, 404, NULL, NULL, "the page has no file %.200s", name);
}

// index.html with a nonce in place of each {{nonce}}.
static void send_index(incoming *c, const char *p, size_t n)
{
    static const char mark[] = "{{nonce}}";
    char nonce[33], policy[512];
    buf b;
    buf_init(&b);
    snprintf(nonce, sizeof nonce, "%016llx%016llx", (unsigned long long)os_random_seed(),
             (unsigned long long)os_random_seed());
    snprintf(
        policy, sizeof policy,
        "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-%s'; img-src 'self' data: blob:; "
        "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types default",
        nonce);
    for (const char *at; (at = memmem(p, n, mark, sizeof mark - 1));) {
        buf_add(&b, p, (size_t)(at - p));
        buf_add_str(&b, nonce);
        n -= (size_t)(at - p) + sizeof mark - 1;
        p = at + sizeof mark - 1;
    }
    buf_add(&b, p, n);
    http_add_header(c->r, "Content-Security-Policy", policy);
    http_add_header(c->r, "Referrer-Policy", "no-referrer");
    http_add_header(c->r, "Cross-Origin-Opener-Policy", "same-origin");
    if (b.failed)
        answer_error(c->r, c->family, 503, NULL, NULL, "out of memory");
    else
        http_answer(c->r, 200, type_of("index.html"), b.data, b.len);
    buf_done(&b);
}

static void send_from_folder(incoming *c, const char *folder, const char *name)
{
    char path[2048], *data;
    size_t n;
    err e;
    int len = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (len < 0 || (size_t)len >= sizeof path || os_read_file(path, MOST_BYTES, &data, &n, &e)) {
        missing(c, name);
        return;
    }
    if (strcmp(name, "index.html") == 0)
        send_index(c, data, n);
    else
        http_answer(c->r, 200, type_of(name), data, n);
    mem_free(data);
}

static bool takes_gzip(const http_request *r)
{
    const char *accept = http_header(
        r, "Accept-Encoding");  // without it every encoding will do (RFC 9110, 12.5.3)
    return !accept || strstr(accept, "gzip") || strchr(accept, '*');
}

static void send_embedded(incoming *c, const page_file *f)
{
    const char *known = http_header(c->r, "If-None-Match");
    if (strcmp(f->name, "index.html") == 0) {
        send_index(c, (const char *)f->data, f->n);
        return;
    }
    if (f->gzip && !takes_gzip(c->r)) {
        answer_error(c->r, c->family, 406, NULL, NULL, "this file is kept compressed: accept gzip");
        return;
    }
    http_add_header(c->r, "ETag", f->tag);
    http_add_header(c->r, "Vary", "Accept-Encoding");
    // Names of assets tell their content, so that what is cached is never old.
    http_add_header(c->r, "Cache-Control",
                    strncmp(f->name, "assets/", 7) == 0 ? "public, max-age=31536000, immutable" : "no-cache");
    if (known && strstr(known, f->tag)) {
        http_answer(c->r, 304, type_of(f->name), "", 0);
        return;
    }
    if (f->gzip)
        http_add_header(c->r, "Content-Encoding", "gzip");
    http_answer(c->r, 200, type_of(f->name), (const char *)f->data, f->n);
}

bool page_is_path(const char *path)
{
    return strcmp(path, "/") == 0 || strcmp(path, "/ui") == 0 || strncmp(path, "/ui/", 4) == 0;
}

void route_page(incoming *c)
{
    const server_options *o = &c->s->o;
    const char *name = *c->rest ? c->rest : "index.html";
    if (o->no_ui) {
        answer_error(c->r, c->family, 404, NULL, NULL, "this server runs without its page (--no-ui)");
        return;
    }
    if (strcmp(http_path(c->r), "/ui") == 0) {  // the page's own addresses are relative to /ui/
        http_add_header(c->r, "Location", "ui/");
        http_answer(c->r, 308, "text/plain", "", 0);
        return;
    }
    if (!good_name(name)) {
        missing(c, name);
        return;
    }
    if (o->ui_dir) {
        send_from_folder(c, o->ui_dir, name);
        return;
    }
    for (size_t i = 0; i < page_file_count; i++)
        if (strcmp(page_files[i].name, name) == 0) {
            send_embedded(c, &page_files[i]);
            return;
        }
    missing(c, name);
}

// What Ollama's clients look for; a browser, which asks for HTML, is sent to the page.
void route_home(incoming *c)
{
    static const char text[] = "Ollama is running";
    const char *accept = http_header(c->r, "Accept");
    http_add_header(c->r, "Vary", "Accept");
    if (!c->s->o.no_ui && accept && strstr(accept, "text/html")) {
        http_add_header(c->r, "Location", "ui/");
        http_answer(c->r, 302, "text/plain", "", 0);
        return;
    }
    http_answer(c->r, 200, "text/plain; charset=utf-8", text, sizeof text - 1);
}
