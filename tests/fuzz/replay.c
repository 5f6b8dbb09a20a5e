// Runs every file of the given folders through a fuzz target, so that what a fuzzer once found stays tested
// without one. Links with one fuzz_<name>.c. Fails when a folder is missing or empty: a test must test
// something.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/os.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LARGEST = 16 << 20 };  // bytes of a corpus file

static int replay_file(const char *path)
{
    char *data;
    size_t n;
    err e;
    if (os_read_file(path, LARGEST, &data, &n, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        return -1;
    }
    // An exact copy on the plain heap, so that a sanitizer sees reads one byte past the end.
    uint8_t *copy = malloc(n ? n : 1);
    if (copy) {
        for (size_t i = 0; i < n; i++)
            copy[i] = (uint8_t)data[i];
        LLVMFuzzerTestOneInput(copy, n);
    }
    free(copy);
    mem_free(data);
    return copy ? 0 : -1;
}

// The number of files replayed, or -1.
static int replay_dir(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d) {
        perror(dir);
        return -1;
    }
    int count = 0;
    buf path;
    buf_init(&path);
    for (struct dirent *entry; count >= 0 && (entry = readdir(d)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        buf_clear(&path);
        buf_printf(&path, "%s/%s", dir, entry->d_name);
        if (path.failed || replay_file(path.data))
            count = -1;
        else
            count++;
    }
    buf_done(&path);
    closedir(d);
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int n = replay_dir(argv[i]);
        if (n <= 0) {
            fprintf(stderr, "%s: no readable corpus\n", argv[i]);
            return 1;
        }
        total += n;
    }
    printf("%d inputs replayed\n", total);
    return total ? 0 : 1;
}
