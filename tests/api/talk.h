// Sessions of a small random model, and a callback that notes what it is given.
#ifndef TESTS_API_TALK_H
#define TESTS_API_TALK_H

#include "api/support.h"
#include "model/toy.h"

enum { CONTEXT = 200 };

irori_model *open_toy(int sessions);  // toy_clean() at the end
extern const irori_sampling endless;  // greedy, and the end token is forbidden
void add_tokens(irori_session *s, int n);
size_t held(const irori_session *s);

typedef struct seen {
    int calls, stop_at;  // returns false at this call
    int cancel_at;       // cancels `s` at this call
    irori_session *s;
    int32_t last;
} seen;

bool look(void *ctx, int32_t id, const char *text, size_t bytes);

#endif
