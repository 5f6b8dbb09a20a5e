// What a licence's name says about use. Not legal advice: a reader's first sorting, by the licence's own name.
#ifndef STORE_LICENSE_H
#define STORE_LICENSE_H

typedef enum store_license {
    STORE_LICENSE_ALLOWED,         // known to allow any use, also commercial
    STORE_LICENSE_READ,            // has conditions of its own, or is not known: to be read by a person
    STORE_LICENSE_NOT_COMMERCIAL,  // known to forbid commercial use
} store_license;

// id: as model files name it ("apache-2.0", "llama3.1", "cc-by-nc-4.0"), in any case; NULL or "" is not known.
store_license store_license_of(const char *id);
const char *store_license_text(store_license l);  // "use allowed", "needs reading", "not commercial"

#endif
