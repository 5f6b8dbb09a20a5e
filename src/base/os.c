// Operating system calls (Linux and other POSIX systems).
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

// Opens a regular file for reading; a directory or device is refused by name.
static int open_regular(const char *path, uint64_t *size, int *fd_out, err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // does not wait for the writer of a named pipe
    if (fd < 0)
        return err_set(e, errno == ENOENT ? ST_NOTFOUND : ST_IO, "%s: %s", path, strerror(errno));
    struct stat st;
    if (fstat(fd, &st) != 0) {
        int why = errno;
        close(fd);
        return err_set(e, ST_IO, "%s: %s", path, strerror(why));
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(e, ST_INVALID, "%s: is %s, a file is needed", path,
                       S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
    }
    *size = (uint64_t)st.st_size;
    *fd_out = fd;
    return ST_OK;
}

int os_map_file(os_map *m, const char *path, err *e)
{
    *m = (os_map){0};
    uint64_t size = 0;
    int fd = -1, rc = open_regular(path, &size, &fd, e);
    if (rc)
        return rc;
    if (size > SIZE_MAX) {
        close(fd);
        return err_set(e, ST_LIMIT, "%s: %llu bytes do not fit this system's address space", path,
                       (unsigned long long)size);
    }
    if (size) {
        void *p = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED) {
            int why = errno;
            close(fd);
            return err_set(e, why == ENOMEM ? ST_NOMEM : ST_IO, "%s: cannot map %llu bytes: %s", path,
                           (unsigned long long)size, strerror(why));
        }
        m->data = p;
        m->size = (size_t)size;
    }
    close(fd);
    return ST_OK;
}

void os_unmap(os_map *m)
{
    if (m->data)
        munmap((void *)(uintptr_t)m->data, m->size);
    *m = (os_map){0};
}

void os_map_dontneed(const void *p, size_t n)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)p + page - 1) / page * page, to = ((uintptr_t)p + n) / page * page;
    if (to > from)
        madvise((void *)from, to - from, MADV_DONTNEED);
}

void os_map_populate(const void *p, size_t n)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = (uintptr_t)p / page * page, to = (uintptr_t)p + n;
#ifdef MADV_HUGEPAGE
    madvise((void *)from, to - from, MADV_HUGEPAGE);
#endif
#ifdef MADV_POPULATE_READ
    if (madvise((void *)from, to - from, MADV_POPULATE_READ) == 0)
        return;
#endif
    madvise((void *)from, to - from, MADV_WILLNEED);
}

int os_read_file(const char *path, size_t max, char **data, size_t *n, err *e)
{
    uint64_t size = 0;
    int fd = -1, rc = open_regular(path, &size, &fd, e);
    if (rc)
        return rc;
    if (size > max || size > SIZE_MAX - 1) {
        close(fd);
        return err_set(e, ST_LIMIT, "%s: %llu bytes, at most %zu allowed", path, (unsigned long long)size,
                       max);
    }
    char *p = mem_alloc(MEM_OTHER, (size_t)size + 1);
    if (!p) {
        close(fd);
        return err_set(e, ST_NOMEM, "%s: no memory for %llu bytes", path, (unsigned long long)size);
    }
    size_t got = 0;
    while (got < size) {
        ssize_t k = read(fd, p + got, (size_t)size - got);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            break;
        got += (size_t)k;
    }
    close(fd);
    if (got < size) {
        mem_free(p);
        return err_set(e, ST_IO, "%s: read stopped at byte %zu of %llu", path, got, (unsigned long long)size);
    }
    p[got] = 0;
    *data = p;
    *n = got;
    return ST_OK;
}

uint64_t os_nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

double os_seconds(void)
{
    return (double)os_nanoseconds() * 1e-9;
}

uint64_t os_random_seed(void)
{
    uint64_t seed = 0;
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t k = read(fd, &seed, sizeof seed);
        close(fd);
        if (k == (ssize_t)sizeof seed)
            return seed;
    }
    return os_nanoseconds() ^ (uint64_t)getpid() << 32;
}

int os_cpu_count(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
#endif
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

bool os_pin_thread(int i)
{
#ifdef __linux__
    cpu_set_t set, one;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return false;
    int want = i % CPU_COUNT(&set);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &set) || want-- > 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        return pthread_setaffinity_np(pthread_self(), sizeof one, &one) == 0;
    }
#else
    (void)i;
#endif
    return false;
}

static uint64_t status_field(const char *field)
{
    FILE *f = fopen("/proc/self/status", "re");
    if (!f)
        return 0;
    char line[256];
    unsigned long long kb = 0;
    size_t n = strlen(field);
    while (fgets(line, sizeof line, f))
        if (strncmp(line, field, n) == 0 && sscanf(line + n, " %llu", &kb) == 1)
            break;
    fclose(f);
    return kb * 1024;
}

uint64_t os_rss_bytes(void)
{
    return status_field("VmRSS:");
}

uint64_t os_peak_rss_bytes(void)
{
    return status_field("VmHWM:");
}

uint64_t os_memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
}
