// Inside of the engine room: shared by its files, seen by nobody else.
#ifndef ENGINE_OWN_H
#define ENGINE_OWN_H

#include "engine/engine.h"

// Runs rows as engine_step does, but the sequences do not grow: what was written behind them is nobody's.
int engine_forward(engine *x, const engine_row *rows, int n_rows, const float **logits,
                   bool (*cancel)(void *ctx), void *cancel_ctx, err *e);
// guard.c: looks at the sequence where its policy says that it is time. Overwrites the logits of the last step.
void engine_guard_check(engine *x, kv_seq *q);

#endif
