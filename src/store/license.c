// Licences by name, as general.license and Hugging Face's tags spell them.
#include "store/license.h"

#include <string.h>
#include <strings.h>

#include "base/base.h"

// A name that ends in '*' stands for all that begin so; the first line that fits counts.
static const struct rule {
    const char *name;
    store_license is;
} rules[] = {
    {"apache-2.0", STORE_LICENSE_ALLOWED},
    {"mit", STORE_LICENSE_ALLOWED},
    {"mit-0", STORE_LICENSE_ALLOWED},
    {"isc", STORE_LICENSE_ALLOWED},
    {"bsd", STORE_LICENSE_ALLOWED},
    {"bsd-2-clause", STORE_LICENSE_ALLOWED},
    {"bsd-3-clause", STORE_LICENSE_ALLOWED},
    {"zlib", STORE_LICENSE_ALLOWED},
    {"unlicense", STORE_LICENSE_ALLOWED},
    {"wtfpl", STORE_LICENSE_ALLOWED},
    {"cc0-1.0", STORE_LICENSE_ALLOWED},
    {"cc-by-3.0", STORE_LICENSE_ALLOWED},
    {"cc-by-4.0", STORE_LICENSE_ALLOWED},
    {"cc-by-sa-3.0", STORE_LICENSE_ALLOWED},  // sharing a changed model has conditions, using one has none
    {"cc-by-sa-4.0", STORE_LICENSE_ALLOWED},
    {"gpl-2.0", STORE_LICENSE_ALLOWED},  // as above
    {"gpl-3.0", STORE_LICENSE_ALLOWED},
    {"lgpl-3.0", STORE_LICENSE_ALLOWED},
    {"odc-by", STORE_LICENSE_ALLOWED},
    {"pddl", STORE_LICENSE_ALLOWED},
    {"cdla-permissive-2.0", STORE_LICENSE_ALLOWED},
    {"cc-by-nc*", STORE_LICENSE_NOT_COMMERCIAL},
    {"mrl", STORE_LICENSE_NOT_COMMERCIAL},  // Mistral's research licence, and its older one
    {"mnpl*", STORE_LICENSE_NOT_COMMERCIAL},
    {"qwen-research*", STORE_LICENSE_NOT_COMMERCIAL},
    {"apple-amlr", STORE_LICENSE_NOT_COMMERCIAL},
    {"apple-ascl", STORE_LICENSE_READ},
    {"fair-noncommercial*", STORE_LICENSE_NOT_COMMERCIAL},
    {"intel-research", STORE_LICENSE_NOT_COMMERCIAL},
    {"h-research", STORE_LICENSE_NOT_COMMERCIAL},
};

store_license store_license_of(const char *id)
{
    for (size_t i = 0; id && i < COUNT_OF(rules); i++) {
        size_t n = strlen(rules[i].name);
        bool prefix = rules[i].name[n - 1] == '*';
        if (prefix ? strncasecmp(id, rules[i].name, n - 1) == 0 : strcasecmp(id, rules[i].name) == 0)
            return rules[i].is;
    }
    return STORE_LICENSE_READ;
}

const char *store_license_text(store_license l)
{
    return l == STORE_LICENSE_ALLOWED ? "use allowed"
           : l == STORE_LICENSE_READ  ? "needs reading"
                                      : "not commercial";
}
