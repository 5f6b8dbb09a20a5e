// irori doctor: what the machine, the store and the folders are like, what hinders irori, and what would leave the machine.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli.h"
#include "put.h"
#include "record.h"
#include "store/store.h"

// One section of findings, written as lines or as JSON; a finding that hinders counts.
typedef struct report {
    bool json;
    json_writer w;
    buf b;
    int hindrances;
} report;

static void section(report *r, const char *name)
{
    if (!r->json) {
        printf("%s\n", name);
        return;
    }
    json_key(&r->w, name);
    json_obj(&r->w);
}

static void end_section(report *r)
{
    if (r->json)
        json_end(&r->w);
}

static void tell(report *r, const char *key, const char *fmt, ...) ERR_PRINTF(3, 4);
static void tell(report *r, const char *key, const char *fmt, ...)
{
    char text[1400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    utf8_make_printable(text);
    if (r->json)
        put_str(&r->w, key, text);
    else
        printf("  %-14s %s\n", key, text);
}

// ---- The machine ----

// A line of a file of the system that begins with `key`, behind its colon; "" when there is none.
static void system_line(const char *path, const char *key, char *out, size_t cap)
{
    char line[8192];
    FILE *f = fopen(path, "re");
    out[0] = 0;
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0) {
            const char *colon = strchr(line, ':'), *from = colon ? colon + 1 : line;
            from += strspn(from, " \t");
            snprintf(out, cap, "%.*s", (int)strcspn(from, "\n"), from);
            break;
        }
    if (f)
        fclose(f);
}

static void tell_processor(report *r)
{
    char name[200];
    const char *flags = irori_cpu_flags();
    system_line("/proc/cpuinfo", "model name", name, sizeof name);
    tell(r, "processor", "%s, %d processors for this program", *name ? name : "unknown", os_cpu_count());
    tell(r, "instructions", "%s", *flags ? flags : "none of those irori has kernels for: it is slow here");
}

static void tell_memory(report *r)
{
    char text[200];
    struct rlimit l;
    system_line("/proc/meminfo", "MemAvailable", text, sizeof text);
    double available = strtod(text, NULL) * 1024;
    tell(r, "memory", "%.1f GB, %.1f GB of it available", (double)os_memory_bytes() / 1e9, available / 1e9);
    system_line("/sys/kernel/mm/transparent_hugepage/enabled", "", text, sizeof text);
    tell(r, "huge pages", "%s",
         strstr(text, "[always]")    ? "given to all"
         : strstr(text, "[madvise]") ? "given when asked for, as irori does"
                                     : "not given: reading weights costs more");
    if (getrlimit(RLIMIT_MEMLOCK, &l) == 0 && l.rlim_cur != RLIM_INFINITY)
        tell(r, "locked memory", "at most %.1f MB (irori locks none)", (double)l.rlim_cur / 1e6);
    if (getrlimit(RLIMIT_NOFILE, &l) == 0)
        tell(r, "open files", "at most %llu", (unsigned long long)l.rlim_cur);
    tell(r, "devices", "the processor; this build uses no graphics processor");
}

// ---- Folders ----

// Whether a folder can be written, or made: the nearest that exists decides.
static bool can_write(const char *path)
{
    char at[1400];
    snprintf(at, sizeof at, "%s", path);
    while (access(at, F_OK) != 0) {
        char *slash = strrchr(at, '/');
        if (!slash || slash == at)
            return access("/", W_OK) == 0;
        *slash = 0;
    }
    return access(at, W_OK | X_OK) == 0;
}

static void tell_folder(report *r, const char *name, bool known, const char *path, const char *without)
{
    uint64_t available, total;
    char at[1400];
    if (!known) {
        tell(r, name, "none: HOME is not set; %s", without);
        r->hindrances++;
        return;
    }
    snprintf(at, sizeof at, "%s", path);
    while (access(at, F_OK) != 0 && strrchr(at, '/') > at)
        *strrchr(at, '/') = 0;
    bool good = can_write(path);
    r->hindrances += !good;
    double room = os_disk_space(at, &available, &total) ? (double)available / 1e9 : 0;
    tell(r, name, "%s, %.1f GB free%s%s", path, room,
         good ? "" : ", CANNOT BE WRITTEN: ", good ? "" : without);
}

static void tell_folders(report *r)
{
    char path[1024];
    bool known = os_state_dir("irori", path, sizeof path);
    tell_folder(r, "state", known, path, "no history, no kept answers, no audit log");
    known = os_cache_dir("irori", path, sizeof path);
    tell_folder(r, "cache", known, path, "--cache and --prompt-cache need another folder");
    known = os_config_dir("irori/registries.json", path, sizeof path);
    tell(r, "registries", "%s%s", known ? path : "",
         known && access(path, F_OK) == 0 ? "" : " (none: the known ones)");
}

static void tell_store(report *r)
{
    store s;
    store_manifest *list;
    size_t n, broken;
    err e;
    if (store_open(&s, NULL, &e)) {
        tell(r, "folder", "%s", e.msg);
        r->hindrances++;
        return;
    }
    tell_folder(r, "folder", true, s.root, "nothing can be pulled");
    if (store_list(&s, &list, &n, &broken, &e)) {
        tell(r, "models", "%s", e.msg);
        r->hindrances++;
        return;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        char path[STORE_PATH + 400];
        sum += store_manifest_bytes(&list[i]);
        if (store_model_path(&s, &list[i], path, sizeof path, &e)) {
            tell(r, list[i].name.text, "%s", e.msg);
            r->hindrances++;
        }
    }
    tell(r, "models", "%zu, %.1f GB%s", n, (double)sum / 1e9,
         broken ? "; manifests that CANNOT BE READ are left out" : "");
    r->hindrances += broken != 0;
    store_list_free(list, n);
}

static void tell_audit(report *r)
{
    record_level level;
    store_audit a;
    store_audit_head h = {0};
    err e;
    static const char *const words[] = {"off", "on, without content", "on, with content"};
    if (record_level_of(NULL, &level, &e) || store_audit_open(&a, NULL, &e)) {
        tell(r, "state", "%s", e.msg);
        r->hindrances++;
        return;
    }
    tell(r, "state", "%s", words[level]);
    if (store_audit_verify(&a, NULL, &h, &e)) {
        tell(r, "log", "NOT WHOLE: %s", e.msg);
        r->hindrances++;
    } else {
        tell(r, "log", "%llu lines", (unsigned long long)h.lines);
    }
}

// ---- What leaves ----

static void tell_network(report *r)
{
    static const char *const proxies[] = {"https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy",
                                          "ALL_PROXY"};
    tell(r, "by itself", "nothing: no reports, no look for updates");
    tell(r, "irori pull",
         "the name of what is pulled, to its registry; also when a client of irori serve asks for a pull");
    tell(r, "irori serve",
         "answers to its clients; it listens on this machine only unless --host says otherwise");
    tell(r, "candidates",
         "with serve --upstream: the profile's \"about\" and the conversation, of rounds that name it");
    tell(r, "bench --url", "its own prompts, to the server that is named");
    for (size_t i = 0; i < COUNT_OF(proxies); i++)
        if (getenv(proxies[i]) && *getenv(proxies[i]))
            tell(r, proxies[i], "is set: pulls go through it");
    if (getenv("HF_TOKEN") && *getenv("HF_TOKEN"))
        tell(r, "HF_TOKEN", "is set: it is sent with pulls from Hugging Face");
}

int cmd_doctor(const cli_options *o)
{
    static const struct part {
        const char *name;
        void (*tell)(report *r);
    } parts[] = {{"machine", tell_processor}, {"memory", tell_memory},
                 {"store", tell_store},       {"folders", tell_folders},
                 {"audit log", tell_audit},   {"what leaves this machine", tell_network}};
    report r = {.json = o->json};
    buf_init(&r.b);
    json_begin(&r.w, &r.b);
    json_obj(&r.w);
    if (!r.json)
        printf("irori %s\n", irori_version());
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        section(&r, parts[i].name);
        parts[i].tell(&r);
        end_section(&r);
    }
    put_int(&r.w, "hindrances", r.hindrances);
    json_end(&r.w);
    if (r.json) {
        cli_print_json(&r.b);
    } else {
        printf("%s\n",
               r.hindrances ? "Something above, in capitals, hinders irori." : "Nothing hinders irori.");
        buf_done(&r.b);
    }
    return r.hindrances ? CLI_FAILED : CLI_OK;
}
