// Sessions: conversations and texts that were run ahead, whose pages stay in memory for requests that begin with them.
//
// A session ends when it is deleted or when nobody used it for its time. Its words are on the shelf before it is acknowledged, its
// pages in a file beside: at the next start it is there, and gets its pages back when it is used. Functions are called from any
// thread.
#ifndef SERVER_SESSIONS_H
#define SERVER_SESSIONS_H

#include "server/ask.h"

// kept: borrowed. folder: of files with pages; NULL: they are run again at the next start.
int sessions_new(sessions **out, models *m, shelf *kept, const char *folder, err *e);
void sessions_free(sessions *x);  // NULL is allowed; before models_free
void sessions_stop(sessions *x);  // lets go of all, and takes no more; before models_stop
size_t sessions_count(sessions *x);
// The request's "session": its messages come before the ask's, its tools stand in for none.
void sessions_continue(ask *a, fields *f);

#endif
