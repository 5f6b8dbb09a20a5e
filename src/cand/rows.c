// Replies made together: rows that begin behind their axes' tags and take steps side by side, so that the shared past is
// read once a step.
#include <string.h>

#include "cand/own.h"

// Ends the row's text at its first line end; a reply is one line.
static bool cut_at_line(buf *text)
{
    char *line = text->len ? memchr(text->data, '\n', text->len) : NULL;
    if (line)
        text->len = (size_t)(line - text->data);
    return line != NULL;
}

// Length of the text up to and with its last sentence end; 0: there is none.
static size_t whole_sentences(const buf *text)
{
    static const char *const ends[] = {".", "!", "?", "。", "！", "？"};
    size_t best = 0;
    for (size_t at = 0; at < text->len; at++)
        for (size_t i = 0; i < COUNT_OF(ends); i++) {
            size_t n = strlen(ends[i]);
            if (text->len - at >= n && memcmp(text->data + at, ends[i], n) == 0)
                best = at + n;
        }
    return best;
}

// What was made, trimmed, into row->text. ended: the model ended the reply, it was not cut off.
static void finish(cand_row *row, bool ended)
{
    size_t from = 0, to = row->made.failed ? 0 : ended ? row->made.len : whole_sentences(&row->made);
    while (from < to && (row->made.data[from] == ' ' || row->made.data[from] == '\n'))
        from++;
    while (to > from && row->made.data[to - 1] == ' ')
        to--;
    to = MIN(to, from + sizeof((cand_reply *)0)->text - 1);
    to -= to > from ? utf8_incomplete_tail(row->made.data + from, to - from) : 0;
    if (to > from)
        memcpy(row->text, row->made.data + from, to - from);
    row->text[to - from] = 0;
    row->complete = to > from;
    row->running = false;
}

// Chooses the row's next token from its logits.
static void take(cand_row *row, const tok *t, const float *logits, int max_tokens)
{
    int32_t id = samp_choose(row->samp, logits, row->tokens, (size_t)row->n_tokens);
    row->tokens[row->n_tokens++] = id;
    if (tok_is_eog(t, id)) {
        tok_stream_end(&row->stream, &row->made);
        finish(row, true);
        return;
    }
    size_t before = row->made.len;
    tok_stream_feed(&row->stream, id, &row->made);
    bool blank = strspn(row->made.len ? row->made.data : "", " \n") >= row->made.len;
    if (blank && before == 0)
        buf_clear(&row->made);  // white space before the reply
    else if (cut_at_line(&row->made))
        finish(row, true);
    if (row->running && row->n_tokens == max_tokens)
        finish(row, false);
}

bool cand_too_late(void *deadline)
{
    return os_seconds() > *(const double *)deadline;
}

// The row's sequence: the axis's own, which costs no copy of its last page, for the first row that asks; a fork for others.
static int take_sequence(cand_ahead *a, cand_row *rows, int i, err *e)
{
    cand_row *row = &rows[i];
    bool taken = false;
    for (int k = 0; k < i; k++)
        taken = taken || rows[k].axis == row->axis;
    row->borrowed = !taken;
    row->start = kv_seq_length(a->seq[row->axis]);
    if (!taken) {
        row->seq = a->seq[row->axis];
        return ST_OK;
    }
    return kv_seq_fork(a->seq[row->axis], &row->seq, e);
}

static int start(cand_ahead *a, cand_row *rows, int n, err *e)
{
    int rc = ST_OK;
    for (int i = 0; i < n; i++) {
        cand_row *row = &rows[i];
        row->n_tokens = 0;
        row->complete = false;
        row->running = true;
        row->text[0] = 0;
        row->seq = NULL;
        buf_clear(&row->made);
        tok_stream_init(&row->stream, a->tok, TOK_START);
        rc = rc ? rc : take_sequence(a, rows, i, e);
    }
    return rc;
}

// Gives sequences back as they were before the reply.
static void leave(cand_ahead *a, cand_row *rows, int n)
{
    for (int i = 0; i < n; i++) {
        cand_row *row = &rows[i];
        if (row->running)
            finish(row, false);
        // Where what was dropped of a page cannot come back, the tag is run again.
        if (row->seq && row->borrowed && kv_seq_truncate(row->seq, row->start) == row->start)
            row->seq = NULL;
        if (row->seq && row->borrowed)
            a->seq[row->axis] = NULL;
        kv_seq_free(row->seq);
        row->seq = NULL;
    }
}

static void take_and_tell(cand_ahead *a, cand_row *rows, int i, const float *logits, int max_tokens,
                          void (*partial)(void *ctx, int row), void *ctx)
{
    take(&rows[i], a->tok, logits, max_tokens);
    partial(ctx, i);
}

// The rows that take the next step, of those that run; their number, 0 when all have ended or a step would not end in time.
static int choose(const cand_ahead *a, const cand_row *rows, int n, double left, int *of)
{
    int count = 0;
    for (int i = 0; i < n; i++)
        if (rows[i].running)
            of[count++] = i;
    if (count)
        count = cand_pace_fit(&a->pace, count, rows[of[0]].n_tokens, left);
    return cand_pace_step(&a->pace, count) < left ? count : 0;
}

static int step(cand_ahead *a, cand_row *rows, const int *of, int count, int max_tokens, double deadline,
                void (*partial)(void *ctx, int row), void *ctx, err *e)
{
    engine_row er[CAND_MOST];
    for (int i = 0; i < count; i++) {
        cand_row *row = &rows[of[i]];
        er[i] = (engine_row){row->seq, &row->tokens[row->n_tokens - 1], 1, 1};
    }
    const float *logits;
    const double began = os_seconds();
    int rc = engine_step(a->x, er, count, &logits, cand_too_late, &deadline, e);
    if (!rc)
        cand_pace_stepped(&a->pace, count, os_seconds() - began);
    for (int i = 0; !rc && i < count; i++) {
        cand_row *row = &rows[of[i]];
        take_and_tell(a, rows, of[i], logits + (size_t)i * (size_t)a->x->model.params.vocab, max_tokens,
                      partial, ctx);
        if (!row->running && row->n_tokens < max_tokens)
            cand_pace_ended(&a->pace, row->n_tokens);
    }
    return rc;
}

int cand_rows_run(cand_ahead *a, cand_row *rows, int n, int max_tokens, double deadline,
                  void (*partial)(void *ctx, int row), void *ctx, err *e)
{
    int rc = start(a, rows, n, e);
    for (int i = 0; !rc && i < n && os_seconds() < deadline; i++)
        take_and_tell(a, rows, i, cand_ahead_logits(a, rows[i].axis), max_tokens, partial, ctx);
    int of[CAND_MOST], count;
    while (!rc && (count = choose(a, rows, n, deadline - os_seconds(), of)) > 0)
        rc = step(a, rows, of, count, max_tokens, deadline, partial, ctx, e);
    leave(a, rows, n);
    return rc;
}
