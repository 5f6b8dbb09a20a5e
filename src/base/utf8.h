// UTF-8, strictly: no overlong forms, no surrogates, nothing past U+10FFFF.
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

// Decodes the character at s (n bytes there). Gives its length 1..4 and the code point, or 0 when the bytes
// are no valid character or it is cut short.
size_t utf8_decode(const char *s, size_t n, uint32_t *cp);

// Writes 1..4 bytes; 0 for what is no Unicode scalar value.
size_t utf8_encode(uint32_t cp, char out[4]);

// How many bytes at the end of s[0..n) begin a character that may still be completed (0..3): what a stream
// must hold back.
size_t utf8_incomplete_tail(const char *s, size_t n);

// Makes a NUL-terminated text safe for one line of a terminal, in place: control characters (C0, DEL, C1) and
// bytes that are no valid UTF-8 become '?'; a character cut short at the end is dropped.
void utf8_make_printable(char *s);

#endif
