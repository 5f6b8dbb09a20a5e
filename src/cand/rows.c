// Replies made together: rows that fork from one sequence, begin with their tags and take each step side by side, so
// that the shared past is read once a step.
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

typedef struct clock_ctx {
    double deadline;
} clock_ctx;

static bool too_late(void *ctx)
{
    return os_seconds() > ((clock_ctx *)ctx)->deadline;
}

static int start(const tok *t, const kv_seq *prefix, cand_row *rows, int n, err *e)
{
    for (int i = 0; i < n; i++) {
        rows[i].n_tokens = 0;
        rows[i].complete = false;
        rows[i].running = true;
        rows[i].text[0] = 0;
        buf_clear(&rows[i].made);
        tok_stream_init(&rows[i].stream, t, TOK_START);
        int rc = kv_seq_fork(prefix, &rows[i].seq, e);
        if (rc)
            return rc;
    }
    return ST_OK;
}

static int step(engine *x, const tok *t, cand_row *rows, int n, bool first, int max_tokens, clock_ctx *clock,
                void (*partial)(void *ctx, int row), void *ctx, err *e)
{
    engine_row er[CAND_MOST];
    int of[CAND_MOST], count = 0;
    for (int i = 0; i < n; i++)
        if (rows[i].running) {
            const int32_t *last = &rows[i].tokens[rows[i].n_tokens ? rows[i].n_tokens - 1 : 0];
            of[count] = i;
            er[count++] = first ? (engine_row){rows[i].seq, rows[i].tag, rows[i].n_tag, 1}
                                : (engine_row){rows[i].seq, last, 1, 1};
        }
    const float *logits;
    int rc = engine_step(x, er, count, &logits, too_late, clock, e);
    for (int i = 0; !rc && i < count; i++) {
        take(&rows[of[i]], t, logits + (size_t)i * (size_t)x->model.params.vocab, max_tokens);
        partial(ctx, of[i]);
    }
    return rc;
}

static bool any_running(const cand_row *rows, int n)
{
    for (int i = 0; i < n; i++)
        if (rows[i].running)
            return true;
    return false;
}

int cand_rows_run(engine *x, const tok *t, const kv_seq *prefix, cand_row *rows, int n, int max_tokens,
                  double deadline, void (*partial)(void *ctx, int row), void *ctx, err *e)
{
    clock_ctx clock = {deadline};
    int rc = start(t, prefix, rows, n, e);
    double took = 0;
    // A step that would not end in time is not begun.
    for (bool first = true; !rc && any_running(rows, n) && os_seconds() + took < deadline; first = false) {
        double began = os_seconds();
        rc = step(x, t, rows, n, first, max_tokens, &clock, partial, ctx, e);
        took = first ? 0 : os_seconds() - began;
    }
    for (int i = 0; i < n; i++) {
        if (rows[i].running)
            finish(&rows[i], false);
        kv_seq_free(rows[i].seq);
        rows[i].seq = NULL;
    }
    return rc;
}
