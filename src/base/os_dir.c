// Folders: where they are, what fits in, what is oldest.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"

bool os_cache_dir(const char *name, char *out, size_t cap)
{
    const char *base = getenv("XDG_CACHE_HOME"), *below = "";
    if (!base || *base != '/') {
        base = getenv("HOME");
        below = "/.cache";
    }
    if (!base || *base != '/')
        return false;
    int n = snprintf(out, cap, "%s%s/%s", base, below, name);
    return n > 0 && (size_t)n < cap;
}

bool os_make_dirs(const char *path)
{
    char *p = mem_strndup(MEM_OTHER, path, strlen(path));
    if (!p)
        return false;
    for (char *at = p; *at; at++)
        if (*at == '/' && at > p) {
            *at = 0;
            (void)mkdir(p, 0700);  // those that cannot be made show at the last
            *at = '/';
        }
    (void)mkdir(p, 0700);
    struct stat st;
    bool there = stat(p, &st) == 0 && S_ISDIR(st.st_mode);
    mem_free(p);
    return there;
}

bool os_disk_space(const char *path, uint64_t *available, uint64_t *total)
{
    struct statvfs v;
    if (statvfs(path, &v) != 0)
        return false;
    *available = (uint64_t)v.f_bavail * v.f_frsize;
    *total = (uint64_t)v.f_blocks * v.f_frsize;
    return true;
}

static uint64_t modified_ns(const struct stat *st)
{
#ifdef __APPLE__
    return (uint64_t)st->st_mtimespec.tv_sec * 1000000000u + (uint64_t)st->st_mtimespec.tv_nsec;
#else
    return (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec;
#endif
}

// Sums the regular files that end in `suffix`; the oldest one's name goes to `oldest` ("" when there is none).
static uint64_t survey(DIR *d, const char *suffix, char *oldest, size_t cap)
{
    uint64_t sum = 0, first = UINT64_MAX;
    size_t n = strlen(suffix);
    *oldest = 0;
    rewinddir(d);
    for (struct dirent *f; (f = readdir(d));) {
        size_t len = strlen(f->d_name);
        struct stat st;
        if (len < n || strcmp(f->d_name + len - n, suffix) != 0 || len >= cap ||
            fstatat(dirfd(d), f->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
            continue;
        sum += (uint64_t)st.st_size;
        if (modified_ns(&st) < first) {
            first = modified_ns(&st);
            memcpy(oldest, f->d_name, len + 1);
        }
    }
    return sum;
}

void os_trim_dir(const char *dir, const char *suffix, uint64_t most)
{
    DIR *d = opendir(dir);
    if (!d)
        return;
    char oldest[256];
    while (survey(d, suffix, oldest, sizeof oldest) > most && *oldest)
        if (unlinkat(dirfd(d), oldest, 0) != 0)
            break;
    closedir(d);
}

bool os_get_file_id(const char *path, os_file_id *id)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return false;
    *id = (os_file_id){.device = (uint64_t)st.st_dev,
                       .inode = (uint64_t)st.st_ino,
                       .size = (uint64_t)st.st_size,
                       .modified = modified_ns(&st)};
    return true;
}

uint64_t os_boot_id(void)
{
    char text[64];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text) : 0;
    if (fd >= 0)
        close(fd);
    return n > 0 ? hash_bytes(text, (size_t)n) : 0;
}

void os_touch(const char *path)
{
    (void)utimensat(AT_FDCWD, path, NULL, 0);  // a file of another owner stays as old as it is
}
