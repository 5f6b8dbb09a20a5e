// Inside of the gram room: answers in OpenAI's harmony format as expressions.
#ifndef GRAM_HARMONY_H
#define GRAM_HARMONY_H

#include "gram/rx.h"

rx gram_word_rx(rx_pool *p, const gram_word *w);  // as text, and as its token
// What may stand before the last message: any number of thoughts and, unless the answer must call, of announcements.
rx gram_harmony_before(rx_pool *p, const gram_harmony *h, bool must);
rx gram_harmony_final(rx_pool *p, const gram_harmony *h);  // the head of the last message, of an answer
rx gram_harmony_text(rx_pool *p, const gram_harmony *h);   // of a message
rx gram_harmony_call(rx_pool *p, const gram_harmony *h, const char *name);  // the head of a call

#endif
