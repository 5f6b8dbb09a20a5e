// What a model says, as a person at the terminal sees it: reasoning (<think>, harmony's analysis channel) is dimmed there, and
// left out where the output goes to a file or a pipe. Words that only mark what is what are not shown.
#ifndef IRORI_REPLY_H
#define IRORI_REPLY_H

#include "cli.h"
#include "server/calls.h"

typedef struct reply {
    const irori_model *m;
    calls_style style;  // of the model's chat template, by reply_init
    calls_parser parser;
    buf text, reasoning;
    bool print, terminal, dimmed, stopped;
} reply;

// path: the file of m. print: on stdout as it comes.
void reply_init(reply *r, const irori_model *m, const char *path, bool print);
// Begins to take what follows the session's tokens; text and reasoning are empty then. plain: not a chat's answer, to
// be given as it is.
void reply_begin(reply *r, const irori_session *s, bool plain);
bool reply_piece(void *r, int32_t id, const char *text, size_t n);  // an irori_piece_fn
void reply_end(reply *r);
bool reply_failed(const reply *r);  // no memory
void reply_free(reply *r);

#endif
