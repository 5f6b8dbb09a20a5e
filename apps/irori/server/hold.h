// What an answer is held to: the grammar that its request names, or that of its tools.
#ifndef SERVER_HOLD_H
#define SERVER_HOLD_H

#include "server/ask.h"

// Makes a->grammar, once the prompt is there; NULL where the answer is free. ST_INVALID: the request is to blame.
int hold_answer(ask *a, err *e);

#endif
