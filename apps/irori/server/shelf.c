// See shelf.h. One connection behind a lock: what is kept is small, and written once an answer.
#include "server/shelf.h"

#include <pthread.h>
#include <sqlite3.h>

struct shelf {
    pthread_mutex_t lock;
    sqlite3 *db;
    sqlite3_stmt *put, *get, *drop, *list;
};

static int failed(shelf *s, err *e)
{
    return err_set(e, ST_IO, "the server's state: %s", s->db ? sqlite3_errmsg(s->db) : "no memory");
}

int shelf_open(shelf **out, const char *path, err *e)
{
    static const char schema[] =
        "PRAGMA journal_mode = WAL;"
        "PRAGMA synchronous = FULL;"
        "CREATE TABLE IF NOT EXISTS kept (kind TEXT NOT NULL, id TEXT NOT NULL, at INTEGER "
        "NOT NULL, json TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;";
    *out = NULL;
    shelf *s = mem_calloc(MEM_OTHER, 1, sizeof *s);
    if (!s)
        return err_set(e, ST_NOMEM, "no memory for the server's state");
    pthread_mutex_init(&s->lock, NULL);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path ? path : ":memory:", &s->db, flags, NULL) || sqlite3_busy_timeout(s->db, 5000) ||
        sqlite3_exec(s->db, schema, NULL, NULL, NULL) ||
        sqlite3_prepare_v2(s->db, "INSERT OR REPLACE INTO kept VALUES (?1, ?2, unixepoch(), ?3)", -1, &s->put,
                           NULL) ||
        sqlite3_prepare_v2(s->db, "SELECT json FROM kept WHERE kind = ?1 AND id = ?2", -1, &s->get, NULL) ||
        sqlite3_prepare_v2(
            s->db,
            "SELECT id, at, coalesce(json_extract(json, '$.title'), '') FROM kept WHERE kind = ?1 ORDER BY id",
            -1, &s->list, NULL) ||
        sqlite3_prepare_v2(s->db, "DELETE FROM kept WHERE kind = ?1 AND id = ?2", -1, &s->drop, NULL)) {
        failed(s, e);
        if (path && e)
            err_prefix(e, "%s", path);
        shelf_close(s);
        return ST_IO;
    }
    *out = s;
    return ST_OK;
}

void shelf_close(shelf *s)
{
    if (!s)
        return;
    sqlite3_finalize(s->put);
    sqlite3_finalize(s->get);
    sqlite3_finalize(s->drop);
    sqlite3_finalize(s->list);
    sqlite3_close(s->db);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

// Under the lock: a statement with its key.
static void bind(sqlite3_stmt *q, const char *kind, const char *id)
{
    sqlite3_reset(q);
    sqlite3_bind_text(q, 1, kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 2, id, -1, SQLITE_STATIC);
}

int shelf_put(shelf *s, const char *kind, const char *id, const char *json, size_t n, err *e)
{
    pthread_mutex_lock(&s->lock);
    bind(s->put, kind, id);
    sqlite3_bind_text64(s->put, 3, json, n, SQLITE_STATIC, SQLITE_UTF8);
    int rc = sqlite3_step(s->put) == SQLITE_DONE ? ST_OK : failed(s, e);
    sqlite3_reset(s->put);
    sqlite3_clear_bindings(s->put);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int shelf_get(shelf *s, const char *kind, const char *id, json_t **out, err *e)
{
    *out = NULL;
    pthread_mutex_lock(&s->lock);
    bind(s->get, kind, id);
    int step = sqlite3_step(s->get), rc;
    if (step == SQLITE_ROW) {
        *out = json_loadb((const char *)sqlite3_column_text(s->get, 0),
                          (size_t)sqlite3_column_bytes(s->get, 0), JSON_ALLOW_NUL, NULL);
        rc = *out ? ST_OK : err_set(e, ST_IO, "the server's state: %s \"%s\" cannot be read", kind, id);
    } else {
        rc = step == SQLITE_DONE ? err_set(e, ST_NOTFOUND, "%s \"%s\" not found", kind, id) : failed(s, e);
    }
    sqlite3_reset(s->get);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int shelf_list(shelf *s, const char *kind, json_t **out, err *e)
{
    json_t *all = *out = json_array();
    int step = SQLITE_DONE, lost = 0;
    pthread_mutex_lock(&s->lock);
    sqlite3_reset(s->list);
    sqlite3_bind_text(s->list, 1, kind, -1, SQLITE_STATIC);
    while (all && (step = sqlite3_step(s->list)) == SQLITE_ROW) {
        const char *id = (const char *)sqlite3_column_text(s->list, 0);
        const char *title = (const char *)sqlite3_column_text(s->list, 2);
        lost += json_array_append_new(all, json_pack("{s:s, s:I, s:s}", "id", id, "at",
                                                     (json_int_t)sqlite3_column_int64(s->list, 1), "title",
                                                     title ? title : "")) != 0;
    }
    int rc = !all || lost          ? err_set(e, ST_NOMEM, "no memory for what the server keeps")
             : step == SQLITE_DONE ? ST_OK
                                   : failed(s, e);
    sqlite3_reset(s->list);
    pthread_mutex_unlock(&s->lock);
    if (rc) {
        json_decref(all);
        *out = NULL;
    }
    return rc;
}

int shelf_delete(shelf *s, const char *kind, const char *id, err *e)
{
    pthread_mutex_lock(&s->lock);
    bind(s->drop, kind, id);
    int rc = sqlite3_step(s->drop) == SQLITE_DONE ? ST_OK : failed(s, e);
    if (!rc && sqlite3_changes(s->db) == 0)
        rc = err_set(e, ST_NOTFOUND, "%s \"%s\" not found", kind, id);
    sqlite3_reset(s->drop);
    pthread_mutex_unlock(&s->lock);
    return rc;
}
