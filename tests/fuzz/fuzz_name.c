// Names of models: what is taken is one name only, and no path; a name made of any file's name is one.
#include <stdlib.h>
#include <string.h>

#include "store/store.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
    store_name name, again;
    char text[512];
    if (!store_name_parse((const char *)data, n, &name, NULL)) {
        if (name.text[0] == '/' || name.text[0] == '.' || strstr(name.text, "..") ||
            strstr(name.text, "//") ||
            strspn(name.text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:") !=
                strlen(name.text))
            abort();
        if (store_name_parse(name.text, strlen(name.text), &again, NULL) ||
            strcmp(name.text, again.text) != 0)
            abort();
    }
    if (n < sizeof text) {
        memcpy(text, data, n);
        text[n] = 0;
        if (!store_name_from_file(text, &name, NULL) &&
            store_name_parse(name.text, strlen(name.text), &again, NULL))
            abort();
    }
    return 0;
}
