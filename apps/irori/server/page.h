// The page's files, embedded into the program: page_files.c is made from web/dist by cmake/embed.cmake.
#ifndef SERVER_PAGE_H
#define SERVER_PAGE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct page_file {
    const char *name;  // "index.html", "assets/app-1a2b3c4d.js"
    const char *tag;   // for ETag, with its quotes
    const unsigned char *data;
    size_t n;
    bool gzip;  // data is gzip's
} page_file;

extern const page_file page_files[];
extern const size_t page_file_count;

#endif
