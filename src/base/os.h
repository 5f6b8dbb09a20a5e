// What the operating system is asked for: files, clocks, processors, memory figures.
#ifndef BASE_OS_H
#define BASE_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

// A whole file, read-only, mapped shared. An empty file maps to data == NULL, size 0.
typedef struct os_map {
    const uint8_t *data;
    size_t size;
} os_map;

// ST_NOTFOUND, ST_IO, ST_NOMEM, ST_INVALID (a directory, a pipe); *m is empty then.
int os_map_file(os_map *m, const char *path, err *e);
void os_unmap(os_map *m);
// Tells the system that these bytes of a mapping will not be read soon: their pages may be dropped (they come
// back from the file when touched).
void os_map_dontneed(const void *p, size_t n);

// Reads a whole file of at most `max` bytes; *data is NUL-terminated after *n bytes (mem_free it).
// Errors as above, and ST_LIMIT for a longer file.
int os_read_file(const char *path, size_t max, char **data, size_t *n, err *e);

// Reads bytes of a mapping in ahead of their use (all of them resident on return, where the system can), in huge
// pages where it has them.
void os_map_populate(const void *p, size_t n);

// Folders (os_dir.c).
// Folders of the person's own, by the XDG base directory rules: $XDG_CACHE_HOME/name, else ~/.cache/name, and so on for
// data (.local/share), state (.local/state) and config (.config). False when neither variable is an absolute path, or the
// result is longer than `cap`.
bool os_cache_dir(const char *name, char *out, size_t cap);  // what a program can make again
bool os_data_dir(const char *name, char *out, size_t cap);
bool os_state_dir(const char *name, char *out, size_t cap);
bool os_config_dir(const char *name, char *out, size_t cap);
bool os_make_dirs(const char *path);  // with all above it, for the owner only; true when it is there
// Writes a whole file (mode 0600) under a temporary name beside it, makes it durable, and renames it: readers see the old
// content or the new, and so does whoever starts the machine after it lost power. ST_IO.
int os_write_file(const char *path, const void *data, size_t n, err *e);
void os_sync_dir_of(const char *path);  // makes a rename or removal of this file durable
// A file in the folder of `path` that has no name, to be written: however the process ends, nothing is left of it, unless
// os_name_file gave it the name `path`, which nothing may have yet. -1: this file system or system has no such files.
int os_open_nameless(const char *path);
bool os_name_file(int fd, const char *path);
bool os_disk_space(const char *path, uint64_t *available, uint64_t *total);
// Removes files of a folder whose names end in `suffix`, the longest unmodified first, until those left hold at most
// `most` bytes.
void os_trim_dir(const char *dir, const char *suffix, uint64_t most);
// What tells one content of a file from another without reading it; false when it cannot be asked.
typedef struct os_file_id {
    uint64_t device, inode, size, modified;  // modified: nanoseconds since 1970
} os_file_id;
bool os_get_file_id(const char *path, os_file_id *id);
uint64_t os_boot_id(void);        // another at each start of the system; 0: unknown
void os_touch(const char *path);  // modified now

double os_seconds(void);  // monotonic
uint64_t os_nanoseconds(void);
uint64_t os_random_seed(void);

int os_cpu_count(void);  // processors this process may run on
// Pins the calling thread to the i-th of them (wraps around); false when the system refuses.
bool os_pin_thread(int i);

uint64_t os_rss_bytes(void);  // resident now; 0 when unknown
uint64_t os_peak_rss_bytes(void);
uint64_t os_memory_bytes(void);  // physical memory of the machine

// Sleeping on a word of memory, as the futex does. os_wait_word returns when os_wake_word was called for the
// word, at once when it does not hold `old`, and sometimes for no reason: look at the word again.
void os_wait_word(const _Atomic uint32_t *word, uint32_t old);
void os_wake_word(const _Atomic uint32_t *word);  // wakes all who sleep on it; change the word first

#endif
