// Manifests of the store: what is read can be written and read again as the same, and names no path out of the store.
#include <stdlib.h>
#include <string.h>

#include "store/store.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
    store_manifest m, again;
    buf one, two;
    if (store_manifest_read((const char *)data, n, &m, NULL))
        return 0;
    for (size_t i = 0; i < m.n_files; i++)
        if (strchr(m.files[i].name, '/') || m.files[i].name[0] == '.' ||
            strlen(m.files[i].digest) != STORE_HEX - 1)
            abort();
    buf_init(&one);
    buf_init(&two);
    store_manifest_write(&m, &one);
    if (store_manifest_read(one.data, one.len, &again, NULL))
        abort();
    store_manifest_write(&again, &two);
    if (one.len != two.len || memcmp(one.data, two.data, one.len) != 0)
        abort();
    buf_done(&one);
    buf_done(&two);
    store_manifest_done(&m);
    store_manifest_done(&again);
    return 0;
}
