// Regular expressions as people write them (ECMA-262 with the u flag, as JSON Schema asks) into rx nodes.
#ifndef GRAM_PATTERN_H
#define GRAM_PATTERN_H

#include "gram/rx.h"

// How a character is written in the text that is matched.
typedef enum pattern_form {
    PATTERN_TEXT,  // UTF-8
    PATTERN_JSON  // inside a JSON string, each character in its shortest form: \" \\ \n \u0001, UTF-8 otherwise
} pattern_form;

typedef struct pattern_range {
    uint32_t lo, hi;
} pattern_range;

// The characters of sorted or unsorted ranges, in that form.
rx pattern_class(rx_pool *p, const pattern_range *r, size_t n, pattern_form form);
rx pattern_any(rx_pool *p, pattern_form form);  // any one character
rx pattern_json_char(rx_pool *p);               // any one character of a JSON string in any of its spellings
// A literal text (UTF-8) in that form.
rx pattern_literal(rx_pool *p, const char *s, size_t n, pattern_form form);

// whole: the text must match from start to end (else somewhere in it, as "pattern" asks). ST_FORMAT with the place;
// ST_UNSUPPORTED naming the construct: back-references, look-behind, word boundaries, \p, anchors inside
// repetitions; ST_LIMIT.
int pattern_compile(rx_pool *p, const char *s, size_t n, pattern_form form, bool whole, rx *out, err *e);

// Characters in the making: pattern_add collects, pattern_invert makes all others of them (both false: no memory).
typedef struct pattern_ranges {
    pattern_range *r;
    size_t n, cap;
} pattern_ranges;
bool pattern_add(pattern_ranges *l, uint32_t lo, uint32_t hi);
bool pattern_invert(pattern_ranges *l);
void pattern_ranges_done(pattern_ranges *l);

#endif
