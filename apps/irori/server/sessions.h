// Sessions: conversations and texts that were run ahead, whose pages stay in memory for requests that begin with them.
//
// A session lives in memory only: it is a beginning kept warm, and the client has its words. It ends when it is deleted,
// when nobody used it for its time, or with the server. Functions are called from any thread.
#ifndef SERVER_SESSIONS_H
#define SERVER_SESSIONS_H

#include "server/ask.h"

int sessions_new(sessions **out, models *m, err *e);
void sessions_free(sessions *x);  // NULL is allowed; before models_free
void sessions_stop(sessions *x);  // ends all, and takes no more; before models_stop
size_t sessions_count(sessions *x);
// The request's "session": its messages come before the ask's, its tools stand in for none.
void sessions_continue(ask *a, fields *f);

#endif
