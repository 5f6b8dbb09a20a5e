// What the system says of the machine: /proc and /sys, read with patience. Whatever is missing stays unknown.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/plan.h"

// The first line of a file under the root, without its end; false when it cannot be read.
static bool line_of(const char *root, const char *path, char *out, size_t cap)
{
    char full[1024];
    if (snprintf(full, sizeof full, "%s%s", root, path) >= (int)sizeof full)
        return false;
    FILE *f = fopen(full, "re");
    bool got = f && fgets(out, (int)cap, f);
    if (f)
        fclose(f);
    if (got)
        out[strcspn(out, "\n")] = 0;
    return got;
}

static uint64_t number_of(const char *root, const char *path)
{
    char text[64], *end;
    if (!line_of(root, path, text, sizeof text))
        return 0;
    uint64_t n = strtoull(text, &end, 10);
    return end == text ? 0 : n << (*end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0);
}

// What stands behind "NAME :" in a file of such lines.
static bool field_of(const char *root, const char *path, const char *name, char *out, size_t cap)
{
    char full[1024], line[512];
    size_t n = strlen(name);
    bool got = false;
    if (snprintf(full, sizeof full, "%s%s", root, path) >= (int)sizeof full)
        return false;
    FILE *f = fopen(full, "re");
    while (f && !got && fgets(line, sizeof line, f)) {
        const char *at = line + n;
        if (strncmp(line, name, n) != 0)
            continue;
        at += strspn(at, " \t");
        if (*at++ != ':')
            continue;
        at += strspn(at, " \t");
        snprintf(out, cap, "%.*s", (int)strcspn(at, "\n"), at);
        got = true;
    }
    if (f)
        fclose(f);
    if (got)
        utf8_make_printable(out);
    return got;
}

static uint64_t kib_of(const char *root, const char *name)
{
    char text[64];
    return field_of(root, "/proc/meminfo", name, text, sizeof text) ? strtoull(text, NULL, 10) << 10 : 0;
}

static void read_memory(plan_machine *m, const char *root)
{
    m->memory = kib_of(root, "MemTotal");
    m->available = kib_of(root, "MemAvailable");
    if (!m->memory && !*root)
        m->memory = os_memory_bytes();
    if (!m->available)
        m->available = m->memory;
    // A container may take less (control groups, version 2, then 1).
    uint64_t most = number_of(root, "/sys/fs/cgroup/memory.max");
    uint64_t used = number_of(root, "/sys/fs/cgroup/memory.current");
    if (!most) {
        most = number_of(root, "/sys/fs/cgroup/memory/memory.limit_in_bytes");
        used = number_of(root, "/sys/fs/cgroup/memory/memory.usage_in_bytes");
    }
    if (most && (!m->memory || most < m->memory)) {
        m->memory = most;
        m->available = MIN(m->available, most > used ? most - used : 0);
    }
    char huge[64];
    bool off = !line_of(root, "/sys/kernel/mm/transparent_hugepage/enabled", huge, sizeof huge) ||
               strstr(huge, "[never]");
    m->huge = off ? 4096 : 2 << 20;
}

static void read_caches(plan_machine *m, const char *root)
{
    for (int i = 0; i < 8; i++) {
        char path[96], type[32];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/level", i);
        uint64_t level = number_of(root, path);
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/type", i);
        if (level < 1 || level > 3 || !line_of(root, path, type, sizeof type) ||
            strcmp(type, "Instruction") == 0)
            continue;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        m->cache[level - 1] = number_of(root, path);
    }
}

static const char *vendor_name(const char *id)
{
    static const char *const vendors[][2] = {
        {"0x10de", "NVIDIA"}, {"0x1002", "AMD"}, {"0x8086", "Intel"}, {"0x106b", "Apple"}};
    for (size_t i = 0; i < COUNT_OF(vendors); i++)
        if (strcmp(vendors[i][0], id) == 0)
            return vendors[i][1];
    return "GPU";
}

// Display adapters with a card of their own, and accelerators without one (class 0x03).
static void read_gpus(plan_machine *m, const char *root)
{
    char folder[1024];
    if (snprintf(folder, sizeof folder, "%s/sys/bus/pci/devices", root) >= (int)sizeof folder)
        return;
    DIR *dir = opendir(folder);
    for (struct dirent *d; dir && m->n_gpus < PLAN_GPUS && (d = readdir(dir));) {
        char path[400], kind[32], vendor[32], device[32];
        if (d->d_name[0] == '.' || strlen(d->d_name) > 255)
            continue;
        snprintf(path, sizeof path, "/sys/bus/pci/devices/%.255s/class", d->d_name);
        if (!line_of(root, path, kind, sizeof kind) || strncmp(kind, "0x03", 4) != 0)
            continue;
        snprintf(path, sizeof path, "/sys/bus/pci/devices/%.255s/vendor", d->d_name);
        bool known = line_of(root, path, vendor, sizeof vendor);
        snprintf(path, sizeof path, "/sys/bus/pci/devices/%.255s/device", d->d_name);
        known = line_of(root, path, device, sizeof device) && known;
        char *out = m->gpu[m->n_gpus++];
        if (known && strlen(vendor) == 6 && strlen(device) == 6)
            snprintf(out, sizeof m->gpu[0], "%s (%.4s:%.4s)", vendor_name(vendor), vendor + 2, device + 2);
        else
            snprintf(out, sizeof m->gpu[0], "GPU");
        utf8_make_printable(out);
    }
    if (dir)
        closedir(dir);
}

void plan_machine_read(plan_machine *m, const char *root)
{
    *m = (plan_machine){.processors = MAX(1, os_cpu_count())};
    if (!field_of(root, "/proc/cpuinfo", "model name", m->cpu, sizeof m->cpu))
        field_of(root, "/proc/cpuinfo", "CPU part", m->cpu, sizeof m->cpu);
    read_memory(m, root);
    read_caches(m, root);
    read_gpus(m, root);
}
