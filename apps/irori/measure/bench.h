// What the files of irori bench share.
#ifndef IRORI_BENCH_H
#define IRORI_BENCH_H

#include "cli.h"
#include "measure/report.h"

// The same tokens every time: a fixed linear congruential sequence over the vocabulary.
void bench_tokens(int32_t *out, size_t n, int vocabulary);

// bench_load.c: the time until a model is open, and until the first token behind a prompt of 32 tokens: with the file in no
// cache (cold), in the system's page cache (warm), and for the first token with the model open (open). Adds rows
// load@cold, load@warm and load@open.
int bench_load(const cli_options *o, report *r, irori_error *e);

// bench_url.c: drives a server of OpenAI's kind at --url; o->model is the model's name there.
int bench_url(const cli_options *o);

// bench_diff.c: two reports beside each other (o->model and o->output).
int bench_diff(const cli_options *o);

#endif
