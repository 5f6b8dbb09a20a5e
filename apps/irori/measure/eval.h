// What the measures of irori eval share. Those that count what a model got right add rows to a report; eval.c shows it.
#ifndef IRORI_EVAL_H
#define IRORI_EVAL_H

#include "cli.h"
#include "measure/report.h"

// A share of n, as a row: "accuracy" of "JNLI", with its 95 % interval.
void eval_add_share(report *r, const char *test, const char *metric, size_t right, size_t n);

// Greedy answer to ids[count], at most `most` tokens, into *text (emptied first). The session is emptied before.
int eval_answer(irori_session *s, const int32_t *ids, size_t count, size_t most, buf *text, irori_error *e);

// Each runs one model over --file and adds its rows; items are the first --chunks, or all.
int eval_choice(const cli_options *o, irori_model *m, report *r, irori_error *e);   // eval_choice.c
int eval_answers(const cli_options *o, irori_model *m, report *r, irori_error *e);  // eval_answers.c
int eval_meaning(const cli_options *o, irori_model *m, report *r, irori_error *e);  // eval_meaning.c
int eval_recall(const cli_options *o, irori_model *m, report *r, irori_error *e);   // eval_recall.c
int eval_tools(const cli_options *o, report *r, irori_error *e);  // eval_tools.c: of a server at --url

int cli_eval_ablation(const cli_options *o);  // eval_ablation.c: a table of its own

#endif
