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

// $VARIABLE/name, else ~/below/name.
static bool user_dir(const char *variable, const char *below, const char *name, char *out, size_t cap)
{
    const char *base = getenv(variable), *home = getenv("HOME");
    int n = -1;
    if (base && *base == '/')
        n = snprintf(out, cap, "%s/%s", base, name);
    else if (home && *home == '/')
        n = snprintf(out, cap, "%s/%s/%s", home, below, name);
    return n > 0 && (size_t)n < cap;
}

bool os_cache_dir(const char *name, char *out, size_t cap)
{
    return user_dir("XDG_CACHE_HOME", ".cache", name, out, cap);
}

bool os_data_dir(const char *name, char *out, size_t cap)
{
    return user_dir("XDG_DATA_HOME", ".local/share", name, out, cap);
}

bool os_state_dir(const char *name, char *out, size_t cap)
{
    return user_dir("XDG_STATE_HOME", ".local/state", name, out, cap);
}

bool os_config_dir(const char *name, char *out, size_t cap)
{
    return user_dir("XDG_CONFIG_HOME", ".config", name, out, cap);
}

// Opens the folder that `path` is in; -1 as open.
static int open_dir_of(const char *path, int flags)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 1;
    char *dir = mem_strndup(MEM_OTHER, slash ? path : ".", n ? n : 1);
    int fd = dir ? open(dir, flags | O_CLOEXEC, 0600) : -1;
    mem_free(dir);
    return fd;
}

void os_sync_dir_of(const char *path)
{
    int fd = open_dir_of(path, O_RDONLY | O_DIRECTORY);
    if (fd >= 0) {
        (void)fsync(fd);  // some file systems have no such thing
        close(fd);
    }
}

#ifdef O_TMPFILE
// Without privileges a file is linked by its entry in /proc (open(2)), which a sandbox may not have.
static const char own_files[] = "/proc/self/fd";

int os_open_nameless(const char *path)
{
    return access(own_files, X_OK) == 0 ? open_dir_of(path, O_TMPFILE | O_WRONLY) : -1;
}

bool os_name_file(int fd, const char *path)
{
    char entry[48];
    snprintf(entry, sizeof entry, "%s/%d", own_files, fd);
    return linkat(AT_FDCWD, entry, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0;
}
#else
int os_open_nameless(const char *path)
{
    (void)path;
    return -1;
}

bool os_name_file(int fd, const char *path)
{
    (void)fd;
    (void)path;
    return false;
}
#endif

static bool write_all(int fd, const char *p, size_t n)
{
    for (ssize_t k; n > 0; p += k, n -= (size_t)k) {
        k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            k = 0;
        else if (k <= 0)
            return false;
    }
    return true;
}

int os_write_file(const char *path, const void *data, size_t n, err *e)
{
    size_t room = strlen(path) + 32;
    char *temporary = mem_alloc(MEM_OTHER, room);
    if (!temporary)
        return err_set(e, ST_NOMEM, "%s: no memory to write it", path);
    snprintf(temporary, room, "%s.%ld.XXXXXX", path, (long)getpid());
    int fd = mkstemp(temporary);
    bool good = fd >= 0 && write_all(fd, data, n) && fsync(fd) == 0;
    int why = errno;
    if (fd >= 0 && close(fd) != 0 && good) {
        good = false;
        why = errno;
    }
    if (good && rename(temporary, path) != 0) {
        good = false;
        why = errno;
    }
    if (good)
        os_sync_dir_of(path);
    else if (fd >= 0)
        (void)unlink(temporary);
    mem_free(temporary);
    return good ? ST_OK : err_set(e, ST_IO, "%s: cannot be written: %s", path, strerror(why));
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
