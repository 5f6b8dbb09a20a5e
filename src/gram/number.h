// Inside of the gram room: JSON numbers as expressions over their text.
#ifndef GRAM_NUMBER_H
#define GRAM_NUMBER_H

#include <jansson.h>

#include "gram/rx.h"

rx number_any(rx_pool *p);      // every JSON number
rx number_plain(rx_pool *p);    // those without exponent
rx number_integer(rx_pool *p);  // those without fraction and exponent
rx number_whole(rx_pool *p);    // those whose fraction, if any, is all zeros
// Numbers without exponent that are how (RX_LESS, RX_EQUAL, RX_GREATER, together) than v.
rx number_compare(rx_pool *p, const json_t *v, int how);
// Multiples of v > 0. ST_UNSUPPORTED when it has too many digits.
int number_multiple(rx_pool *p, const json_t *v, rx *out);
// The usual spellings of one number.
rx number_equal(rx_pool *p, const json_t *v);

#endif
