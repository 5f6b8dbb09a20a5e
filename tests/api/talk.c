// See talk.h.
#include "api/talk.h"

#include <math.h>

irori_model *open_toy(int sessions)
{
    toy t = toy_llama();
    irori_model_options o = {.threads = 2,
                             .context = CONTEXT,
                             .sessions = sessions,
                             .batch = 32,
                             .no_pin = true,
                             .no_prefixes = true};  // what a test compares is run each time
    return open_model(toy_save(&t, "session.gguf"), &o);
}

static const irori_logit_bias no_end[] = {{2, -INFINITY}};
const irori_sampling endless = {.logit_bias = no_end, .logit_bias_count = 1};

void add_tokens(irori_session *s, int n)
{
    irori_error e;
    for (int i = 0; i < n; i++) {
        int32_t id = 3 + (i * 37 + 11) % 250;
        if (irori_session_add(s, &id, 1, &e))
            fail_msg("%s", e.message);
    }
}

size_t held(const irori_session *s)
{
    size_t n;
    assert_non_null(irori_session_tokens(s, &n));
    return n;
}

bool look(void *ctx, int32_t id, const char *text, size_t bytes)
{
    seen *x = ctx;
    x->calls++;
    x->last = id;
    assert_non_null(text);
    assert_true(id >= 0 || bytes > 0);
    if (x->calls == x->cancel_at)
        irori_session_cancel(x->s);
    return x->calls != x->stop_at;
}
