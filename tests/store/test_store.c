// The store room: names, manifests, taking models in and out, two processes at once, a full and a broken disk.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "gguf/gguf.h"
#include "store/store.h"

static char folder[256];

static store open_store(void)
{
    store s;
    char dir[300];
    snprintf(dir, sizeof dir, "%s/store", folder);
    assert_int_equal(store_open(&s, dir, NULL), ST_OK);
    return s;
}

static int fill(void *ctx, const char *name, uint64_t offset, void *dst, size_t n)
{
    (void)name;
    (void)offset;
    memset(dst, *(const int *)ctx, n);
    return ST_OK;
}

// A model file of 4 KiB whose weights are the byte `what`.
static const char *make_model(const char *file, int what, const char *license)
{
    static char path[600];
    gguf_writer *w;
    uint64_t dims[1] = {1024};
    snprintf(path, sizeof path, "%s/%s", folder, file);
    assert_int_equal(gguf_writer_new(&w), ST_OK);
    gguf_writer_str(w, "general.architecture", "llama", 5);
    if (license)
        gguf_writer_str(w, "general.license", license, strlen(license));
    gguf_writer_u32(w, "general.base_model.count", 1);
    gguf_writer_str(w, "general.base_model.0.name", "Big\n7B", 6);
    gguf_writer_str(w, "general.base_model.0.organization", "Org", 3);
    gguf_writer_tensor(w, "t", 0, 1, dims, fill, &what);
    assert_int_equal(gguf_writer_save(w, path, NULL), ST_OK);
    gguf_writer_free(w);
    return path;
}

static store_name name_of(const char *text)
{
    store_name n;
    assert_int_equal(store_name_parse(text, strlen(text), &n, NULL), ST_OK);
    return n;
}

static store_manifest import(const store *s, const char *path, const char *name)
{
    store_manifest m;
    err e = {0};
    store_name n = name_of(name);
    if (store_import(s, path, &n, NULL, NULL, &m, &e))
        fail_msg("%s", e.msg);
    return m;
}

static size_t count_models(const store *s)
{
    store_manifest *list;
    size_t n, broken;
    assert_int_equal(store_list(s, &list, &n, &broken, NULL), ST_OK);
    assert_int_equal(broken, 0);
    store_list_free(list, n);
    return n;
}

// ---- Names ----

static void names(void **state)
{
    (void)state;
    static const char *const good[][2] = {{"qwen3", "qwen3:latest"},
                                          {"qwen3:4b-q4_K_M", "qwen3:4b-q4_K_M"},
                                          {"hf.co/org/repo:Q4_K_M", "hf.co/org/repo:Q4_K_M"},
                                          {"127.0.0.1:8080/library/m:1", "127.0.0.1:8080/library/m:1"},
                                          {"a/b/c/d", "a/b/c/d:latest"}};
    static const char *const bad[] = {"",         "/",    "a/",    "/a",   "..",        "a/../b",
                                      "a..b",     ".a",   "-a",    "a:",   ":a",        "a:b:c",
                                      "a b",      "a\nb", "a%2fb", "a\\b", "a/b/c/d/e", "a:b/",
                                      "a/.b",     "a:..", "a+b",   "a=b",  "h:x/m",     "h:123456/m",
                                      "\xc3\xa9", "a.",   "a/b.",  "~a",   "a:b:9/c"};
    store_name n;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_int_equal(store_name_parse(good[i][0], strlen(good[i][0]), &n, NULL), ST_OK);
        assert_string_equal(n.text, good[i][1]);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (store_name_parse(bad[i], strlen(bad[i]), &n, NULL) != ST_INVALID)
            fail_msg("\"%s\" was taken as \"%s\"", bad[i], n.text);
    assert_int_equal(store_name_parse("a\0b", 3, &n, NULL), ST_INVALID);
    char longest[400];
    memset(longest, 'a', sizeof longest);
    assert_int_equal(store_name_parse(longest, 97, &n, NULL), ST_INVALID);  // a part
    longest[90] = longest[180] = '/';
    assert_int_equal(store_name_parse(longest, 192, &n, NULL), ST_OK);
    assert_int_equal(store_name_parse(longest, 193, &n, NULL), ST_INVALID);  // all of it, with ":latest"
}

static void names_from_files(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"/x/Qwen3 4B (Q4).gguf", "Qwen3-4B--Q4-:latest"},
                                           {"m-00001-of-00003.gguf", "m:latest"},
                                           {"..m..x.gguf", "m.x:latest"},
                                           {"a/\xe7\x81\xab-1.gguf", "1:latest"}};
    store_name n;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        assert_int_equal(store_name_from_file(pairs[i][0], &n, NULL), ST_OK);
        assert_string_equal(n.text, pairs[i][1]);
    }
    assert_int_equal(store_name_from_file("/x/.gguf", &n, NULL), ST_INVALID);
}

// ---- Manifests ----

#define DIGEST "3cbf9456d1599a2425124e90d97ebf092b6a9418851b4ee2f7a29d656bacd42a"
#define HEAD "{\"version\":1,\"source\":\"x\",\"created\":5,\"license\":\"mit\",\"base_models\":\"\","

static void manifests(void **state)
{
    (void)state;
    static const char good[] = HEAD
        "\"system\":\"s\",\"parameters\":{\"top_k\":3},\"files\":[{\"name\":\"m.gguf\","
        "\"digest\":\"sha256:" DIGEST "\",\"bytes\":7}]}";
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "null",
        HEAD "\"files\":[]}",
        HEAD "\"files\":{}}",
        HEAD "\"files\":[{\"name\":\"../m\",\"digest\":\"sha256:" DIGEST "\",\"bytes\":7}]}",
        HEAD "\"files\":[{\"name\":\".m\",\"digest\":\"sha256:" DIGEST "\",\"bytes\":7}]}",
        HEAD "\"files\":[{\"name\":\"m\\u0000\",\"digest\":\"sha256:" DIGEST "\",\"bytes\":7}]}",
        HEAD "\"files\":[{\"name\":\"m\\n\",\"digest\":\"sha256:" DIGEST "\",\"bytes\":7}]}",
        HEAD "\"files\":[{\"name\":\"m\",\"digest\":\"sha256:../../etc\",\"bytes\":7}]}",
        HEAD "\"files\":[{\"name\":\"m\",\"digest\":\"" DIGEST "\",\"bytes\":7}]}",
        HEAD "\"files\":[{\"name\":\"m\",\"digest\":\"sha256:" DIGEST "\",\"bytes\":-1}]}",
        HEAD "\"files\":[{\"name\":\"m\",\"digest\":\"sha256:" DIGEST "\",\"bytes\":9223372036854775807},"
             "{\"name\":\"n\",\"digest\":\"sha256:" DIGEST "\",\"bytes\":1}]}",
        HEAD "\"parameters\":3,\"files\":[{\"name\":\"m\",\"digest\":\"sha256:" DIGEST "\",\"bytes\":7}]}",
        HEAD "\"source\":\"y\",\"files\":[{\"name\":\"m\",\"digest\":\"sha256:" DIGEST "\",\"bytes\":7}]}"};
    store_manifest m;
    err e = {0};
    if (store_manifest_read(good, sizeof good - 1, &m, &e))
        fail_msg("%s", e.msg);
    buf b;
    buf_init(&b);
    store_manifest_write(&m, &b);
    store_manifest_done(&m);
    assert_int_equal(store_manifest_read(b.data, b.len, &m, NULL), ST_OK);
    assert_string_equal(m.files[0].digest, DIGEST);
    assert_string_equal(m.parameters, "{\"top_k\":3}");
    assert_string_equal(m.system, "s");
    store_manifest_done(&m);
    for (size_t cut = 1; cut < b.len - 1; cut++)
        assert_int_not_equal(store_manifest_read(b.data, b.len - 1 - cut, &m, NULL), ST_OK);
    buf_done(&b);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (store_manifest_read(bad[i], strlen(bad[i]), &m, NULL) == ST_OK)
            fail_msg("taken: %s", bad[i]);
}

static void licenses(void **state)
{
    (void)state;
    assert_int_equal(store_license_of("Apache-2.0"), STORE_LICENSE_ALLOWED);
    assert_int_equal(store_license_of("cc-by-nc-sa-4.0"), STORE_LICENSE_NOT_COMMERCIAL);
    assert_int_equal(store_license_of("llama3.1"), STORE_LICENSE_READ);
    assert_int_equal(store_license_of("gemma"), STORE_LICENSE_READ);
    assert_int_equal(store_license_of("mit license, but not for you"), STORE_LICENSE_READ);
    assert_int_equal(store_license_of(""), STORE_LICENSE_READ);
    assert_int_equal(store_license_of(NULL), STORE_LICENSE_READ);
}

// ---- Models ----

static void take_in_and_out(void **state)
{
    (void)state;
    store s = open_store();
    store_manifest m = import(&s, make_model("a.gguf", 1, "apache-2.0"), "one"), again;
    char path[2000];
    uint64_t bytes, freed;
    assert_string_equal(m.license, "apache-2.0");
    assert_string_equal(m.base_models, "Org/Big?7B");
    assert_int_equal(store_model_path(&s, &m, path, sizeof path, NULL), ST_OK);
    assert_int_equal(store_verify(&s, &m, NULL, NULL, NULL), ST_OK);
    again = import(&s, make_model("b.gguf", 1, "apache-2.0"), "two");  // the same bytes: one blob
    assert_string_equal(again.files[0].digest, m.files[0].digest);
    store_name one = name_of("one"), two = name_of("two"), three = name_of("x/three:v1");
    assert_int_equal(store_copy(&s, &two, &three, NULL), ST_OK);
    assert_int_equal(count_models(&s), 3);
    assert_int_equal(store_remove(&s, &one, &freed, NULL), ST_OK);
    assert_int_equal(freed, 0);
    assert_int_equal(store_remove(&s, &one, &freed, NULL), ST_NOTFOUND);
    assert_int_equal(store_remove(&s, &two, &freed, NULL), ST_OK);
    assert_true(store_has_blob(&s, m.files[0].digest, &bytes));
    assert_int_equal(store_remove(&s, &three, &freed, NULL), ST_OK);
    assert_int_equal(freed, bytes);
    assert_false(store_has_blob(&s, m.files[0].digest, &bytes));
    store_manifest_done(&m);
    store_manifest_done(&again);
}

static void replaced_model_gives_its_room_back(void **state)
{
    (void)state;
    store s = open_store();
    uint64_t bytes, freed;
    store_manifest a = import(&s, make_model("a.gguf", 1, NULL), "m"),
                   b = import(&s, make_model("a.gguf", 2, NULL), "m");
    assert_false(store_has_blob(&s, a.files[0].digest, &bytes));
    assert_true(store_has_blob(&s, b.files[0].digest, &bytes));
    store_remove(&s, &b.name, &freed, NULL);
    store_manifest_done(&a);
    store_manifest_done(&b);
}

static void not_a_model_is_refused(void **state)
{
    (void)state;
    store s = open_store();
    char path[600];
    store_manifest m;
    store_name n = name_of("bad");
    snprintf(path, sizeof path, "%s/bad.gguf", folder);
    assert_int_equal(os_write_file(path, "a model, or so it says", 22, NULL), ST_OK);
    assert_int_equal(store_import(&s, path, &n, NULL, NULL, &m, NULL), ST_FORMAT);
    assert_int_equal(store_find(&s, &n, &m, NULL), ST_NOTFOUND);
    assert_int_equal(store_import(&s, folder, &n, NULL, NULL, &m, NULL), ST_INVALID);
    snprintf(path, sizeof path, "ls %s/store/partial %s/store/blobs | grep -q -e import -e sha256", folder,
             folder);
    assert_int_not_equal(system(path), 0);  // nothing is left of it
}

static bool stop_at_once(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    (void)done;
    (void)total;
    return false;
}

static void stopped_import_leaves_nothing(void **state)
{
    (void)state;
    store s = open_store();
    store_manifest m;
    store_name n = name_of("stopped");
    assert_int_equal(store_import(&s, make_model("a.gguf", 3, NULL), &n, stop_at_once, NULL, &m, NULL),
                     ST_CANCELED);
    assert_int_equal(count_models(&s), 0);
}

static void changed_blobs_are_found(void **state)
{
    (void)state;
    store s = open_store();
    store_manifest m = import(&s, make_model("a.gguf", 4, NULL), "m");
    char path[STORE_PATH + 96], model[2000];
    uint64_t freed;
    store_blob_path(&s, m.files[0].digest, path);
    assert_int_equal(chmod(path, 0600), 0);
    FILE *f = fopen(path, "r+");
    fseek(f, -1, SEEK_END);
    fputc(9, f);
    fclose(f);
    assert_int_equal(store_verify(&s, &m, NULL, NULL, NULL), ST_FORMAT);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(store_model_path(&s, &m, model, sizeof model, NULL), ST_FORMAT);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(store_verify(&s, &m, NULL, NULL, NULL), ST_NOTFOUND);
    assert_int_equal(store_model_path(&s, &m, model, sizeof model, NULL), ST_NOTFOUND);
    assert_int_equal(store_remove(&s, &m.name, &freed, NULL), ST_OK);
    store_manifest_done(&m);
}

static void broken_manifest_keeps_blobs(void **state)
{
    (void)state;
    store s = open_store();
    store_manifest m = import(&s, make_model("a.gguf", 5, NULL), "m"), *list;
    char path[600];
    size_t n, broken;
    uint64_t bytes, freed;
    snprintf(path, sizeof path, "%s/store/manifests/other=latest.json", folder);
    assert_int_equal(os_write_file(path, "{", 1, NULL), ST_OK);
    assert_int_equal(store_list(&s, &list, &n, &broken, NULL), ST_OK);
    assert_int_equal(n, 1);
    assert_int_equal(broken, 1);
    store_list_free(list, n);
    assert_int_equal(store_remove(&s, &m.name, &freed, NULL), ST_OK);
    assert_true(store_has_blob(&s, m.files[0].digest, &bytes));  // the broken one may name it
    store_name other = name_of("other");
    assert_int_equal(store_remove(&s, &other, &freed, NULL), ST_OK);
    assert_false(store_has_blob(&s, m.files[0].digest, &bytes));
    assert_int_equal(count_models(&s), 0);
    store_manifest_done(&m);
}

static void acceptances(void **state)
{
    (void)state;
    store s = open_store();
    store_manifest m = import(&s, make_model("a.gguf", 6, "gemma"), "m"),
                   other = import(&s, make_model("b.gguf", 7, "gemma"), "o");
    store_acceptance a;
    uint64_t freed;
    store_accepted(&s, &m, &a);
    assert_false(a.accepted);
    assert_int_equal(store_accept(&s, &m, "terminal", NULL), ST_OK);
    store_accepted(&s, &m, &a);
    assert_true(a.accepted);
    assert_string_equal(a.how, "terminal");
    store_accepted(&s, &other, &a);
    assert_false(a.accepted);
    store_remove(&s, &m.name, &freed, NULL);
    store_remove(&s, &other.name, &freed, NULL);
    store_manifest_done(&m);
    store_manifest_done(&other);
}

// Each child takes a model in and out; when all are gone so are all blobs, and no name is without its blob meanwhile.
static void many_processes(void **state)
{
    (void)state;
    store s = open_store();
    enum { CHILDREN = 4, ROUNDS = 15 };
    char path[CHILDREN][600];
    for (int i = 0; i < CHILDREN; i++) {
        char file[16];
        snprintf(file, sizeof file, "c%d.gguf", i);
        snprintf(path[i], sizeof path[i], "%s", make_model(file, i / 2, NULL));  // two and two share a blob
    }
    for (int i = 0; i < CHILDREN; i++)
        if (fork() == 0) {
            int bad = 0;
            char name[16];
            snprintf(name, sizeof name, "m%d", i);
            store_name n = name_of(name);
            for (int round = 0; round < ROUNDS; round++) {
                store_manifest m;
                uint64_t freed;
                bad += store_import(&s, path[i], &n, NULL, NULL, &m, NULL) != ST_OK;
                bad += store_verify(&s, &m, NULL, NULL, NULL) != ST_OK;
                bad += store_remove(&s, &n, &freed, NULL) != ST_OK;
                store_manifest_done(&m);
            }
            _exit(bad ? 1 : 0);
        }
    for (int i = 0; i < CHILDREN; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(count_models(&s), 0);
    char command[600];
    snprintf(command, sizeof command, "ls %s/store/partial %s/store/blobs | grep -q -e import -e sha256",
             folder, folder);
    assert_int_not_equal(system(command), 0);
}

static void moved(void **state)
{
    (void)state;
    store s = open_store();
    store_manifest m = import(&s, make_model("a.gguf", 8, NULL), "m");
    char to[300], again[300], inside[300];
    uint64_t freed;
    snprintf(to, sizeof to, "%s/elsewhere", folder);
    snprintf(again, sizeof again, "%s/third", folder);
    snprintf(inside, sizeof inside, "%s/store/blobs/x", folder);
    assert_int_equal(store_move(&s, inside, NULL, NULL, NULL), ST_INVALID);
    rmdir(inside);
    assert_int_equal(store_move(&s, to, stop_at_once, NULL, NULL), ST_CANCELED);
    assert_int_equal(store_verify(&s, &m, NULL, NULL, NULL), ST_OK);
    err e = {0};
    for (int i = 0; i < 2; i++) {  // the second time the store is behind a link already
        if (store_move(&s, i ? again : to, NULL, NULL, &e))
            fail_msg("%s", e.msg);
        assert_int_equal(store_verify(&s, &m, NULL, NULL, NULL), ST_OK);
        assert_int_equal(count_models(&s), 1);
    }
    assert_int_not_equal(access(to, F_OK), 0);
    snprintf(to, sizeof to, "%s/store.moved", folder);
    assert_int_not_equal(access(to, F_OK), 0);
    store_remove(&s, &m.name, &freed, NULL);
    store_manifest_done(&m);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/irori-store-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(names_from_files),
        cmocka_unit_test(manifests),
        cmocka_unit_test(licenses),
        cmocka_unit_test(take_in_and_out),
        cmocka_unit_test(replaced_model_gives_its_room_back),
        cmocka_unit_test(not_a_model_is_refused),
        cmocka_unit_test(stopped_import_leaves_nothing),
        cmocka_unit_test(changed_blobs_are_found),
        cmocka_unit_test(broken_manifest_keeps_blobs),
        cmocka_unit_test(acceptances),
        cmocka_unit_test(many_processes),
        cmocka_unit_test(moved),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
