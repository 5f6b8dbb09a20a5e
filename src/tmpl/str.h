// Text with origins: building, cutting, searching, changing case.
#ifndef TMPL_STR_H
#define TMPL_STR_H

#include "tmpl/value.h"

// Grows at its end; the bytes stay in the arena.
typedef struct strbuf {
    heap *h;
    char *p;
    uint8_t *o;
    size_t n, cap;
} strbuf;

strbuf tmpl_sb(heap *h);
void tmpl_sb_add(strbuf *b, const char *p, size_t n, int origin);
void tmpl_sb_puts(strbuf *b, const char *s);  // trusted
void tmpl_sb_str(strbuf *b, const str *s);
void tmpl_sb_part(strbuf *b, const str *s, size_t from, size_t n);  // in bytes
void tmpl_sb_cp(strbuf *b, uint32_t cp, int origin);
const str *tmpl_sb_done(strbuf *b);

const str *tmpl_str(heap *h, const char *p, size_t n, int origin);  // copies
const str *tmpl_str_z(heap *h, const char *s);                      // trusted
value tmpl_strv(heap *h, const char *s);
const str *tmpl_str_part(heap *h, const str *s, size_t from, size_t n);  // in bytes; shares
const str *tmpl_str_cat(heap *h, const str *a, const str *b);
const str *tmpl_str_safe(heap *h, const str *s, bool safe);
const str *tmpl_str_escape(heap *h, const str *s);  // & < > " ' as HTML entities
const str *tmpl_str_repeat(heap *h, const str *s, int64_t times);
const char *tmpl_str_c(heap *h, const str *s);  // NUL-terminated, for messages
bool tmpl_str_is(const str *s, const char *z);
bool tmpl_str_eq(const str *a, const str *b);
int tmpl_str_cmp(const str *a, const str *b);
int tmpl_str_origin(const str *s);  // TMPL_DATA when any byte is

size_t tmpl_str_len(const str *s);                 // in code points
size_t tmpl_str_at(const str *s, size_t cp);       // byte offset of a code point
uint32_t tmpl_str_next(const str *s, size_t *at);  // decodes and moves on
#define STR_NONE ((size_t)-1)
size_t tmpl_str_find(const str *s, size_t from, const str *what);  // byte offset or STR_NONE
size_t tmpl_str_rfind(heap *h, const str *s, const str *what);

bool tmpl_cp_space(uint32_t cp);
bool tmpl_cp_printable(uint32_t cp);
bool tmpl_cp_alpha(uint32_t cp);
bool tmpl_cp_upper(uint32_t cp);
bool tmpl_cp_lower(uint32_t cp);
void tmpl_sb_upper(strbuf *b, uint32_t cp, int origin);
void tmpl_sb_lower(strbuf *b, uint32_t cp, int origin);
void tmpl_sb_title(strbuf *b, uint32_t cp, int origin);
const str *tmpl_str_upper(heap *h, const str *s);
const str *tmpl_str_lower(heap *h, const str *s);
const str *tmpl_str_capitalize(heap *h, const str *s);

enum { STRIP_LEFT = 1, STRIP_RIGHT = 2, STRIP_BOTH = 3 };
const str *tmpl_str_strip(heap *h, const str *s, const str *chars, int sides);  // chars NULL: white space
const str *tmpl_str_replace(heap *h, const str *s, const str *old, const str *with,
                            int64_t most);                                 // most < 0: all
seq *tmpl_str_split(heap *h, const str *s, const str *sep, int64_t most);  // sep NULL: runs of white space
seq *tmpl_str_rsplit(heap *h, const str *s, const str *sep, int64_t most);
seq *tmpl_str_lines(heap *h, const str *s, bool keep_ends);

#endif
