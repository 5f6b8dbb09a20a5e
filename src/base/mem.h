// The heap, counted. Every allocation of the library goes through here, so that a report can say who holds
// what, a test can prove that decoding allocates nothing, and a test can make the n-th allocation fail.
// Threads: all functions may be called from any thread.
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

enum mem_tag {
    MEM_OTHER,
    MEM_GGUF,  // parsed metadata and tensor tables
    MEM_TOKENIZER,
    MEM_TEMPLATE,
    MEM_WEIGHTS,  // repacked weights
    MEM_GRAPH,
    MEM_BUFFERS,  // activations
    MEM_KV,
    MEM_SAMPLER,
    MEM_GRAMMAR,
    MEM_TAGS
};

// Like malloc/calloc/realloc, aligned to 16; NULL when there is no memory. n == 0 gives a valid pointer.
void *mem_alloc(enum mem_tag tag, size_t n);
void *mem_calloc(enum mem_tag tag, size_t count, size_t size);
void *mem_realloc(enum mem_tag tag, void *p, size_t n);
char *mem_strndup(enum mem_tag tag, const char *s, size_t n);
void mem_free(void *p);

// Zeroed pages straight from the system for large, long-lived arrays: aligned to 64 at least (2 MiB where
// huge pages can be had, which are asked for). NULL when there is no memory. Free with the same size.
void *mem_pages_alloc(enum mem_tag tag, size_t n);
void mem_pages_free(enum mem_tag tag, void *p, size_t n);
// Gives the memory of a part of such an array back (whole system pages inside [p, p + n)); it stays allocated and reads
// as zero when next touched.
void mem_pages_release(void *p, size_t n);

typedef struct mem_stats {
    uint64_t calls;  // successful allocations since start (mem_alloc family and pages)
    uint64_t bytes;  // held now
    uint64_t peak;   // most held at once
    uint64_t bytes_by_tag[MEM_TAGS];
} mem_stats;
void mem_get_stats(mem_stats *out);

// For tests: the n-th allocation from now (1 = the next) fails, once; 0 switches it off.
void mem_fail_nth(uint64_t n);

#endif
