// irori: run language models on this machine. The public interface of the library; plain C11, usable from C++.
//
// Two opaque types at first. A model is a file opened for use: weights, tokenizer, chat template, threads, and the
// memory for keys and values. A session is one conversation with it: the tokens so far and how to choose the next.
// A program that answers many at once gives the model to a scheduler and submits requests (Serving).
//
//   irori_model *m; irori_session *s; irori_error e;
//   irori_model_open(&m, "model.gguf", NULL, &e);
//   irori_session_new(&s, m, NULL, &e);
//   irori_session_add_chat(s, "[{\"role\":\"user\",\"content\":\"Hello\"}]", NULL, NULL, &e);
//   irori_session_generate(s, 256, print_piece, NULL, NULL, &e);
//
// Conventions. Functions that can fail return 0 or a negative irori_status and fill *error (which may be NULL) with
// one line for a person. Strings are UTF-8. Pointers that are handed out stay valid until the call named beside
// them. Options are structs; a NULL pointer or a field of 0 means the default. Nothing here prints or exits.
// Threads: a model and all its sessions are used from one thread at a time; different models are independent.
// irori_session_cancel may be called from any thread and from signal handlers, irori_tokenize, irori_chat_tokens,
// irori_token_* and irori_model_get_info from any thread, and all under "Serving" from any thread.
#ifndef IRORI_H
#define IRORI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define IRORI_API __attribute__((visibility("default")))
#else
#define IRORI_API
#endif

typedef struct irori_model irori_model;
typedef struct irori_session irori_session;
typedef struct irori_adapter irori_adapter;

typedef enum irori_status {
    IRORI_OK = 0,
    IRORI_INVALID = -1,  // an argument or option outside its range
    IRORI_NOMEM = -2,
    IRORI_IO = -3,
    IRORI_FORMAT = -4,  // a file or text is not what its format allows
    IRORI_UNSUPPORTED = -5,
    IRORI_LIMIT = -6,  // context or memory budget is full
    IRORI_CANCELED = -7,
    IRORI_NOTFOUND = -8,
    IRORI_BUSY = -9  // a queue is full: possible later
} irori_status;

typedef struct irori_error {
    int code;
    char message[504];
} irori_error;

IRORI_API const char *irori_version(void);    // "0.1.0"
IRORI_API const char *irori_cpu_flags(void);  // features of this processor that irori knows how to use
IRORI_API void irori_free(void *p);           // for memory handed to the caller; NULL is allowed

// ---- Models ----------------------------------------------------------------------------------------------------
typedef struct irori_model_options {
    int threads;   // default: the processors this process may use
    int context;   // most tokens of a session, or a text; default: min(trained context, 4096; encoders: 8192)
    int sessions;  // sessions that may fill their context at once; default 1. Memory is taken as it is used
    int batch;     // tokens of a prompt run together, 1..8192; default 512
    const char *cpu;  // most to use: "scalar", "avx2", "avx512", "amx", "neon"; default: the best there is
    bool no_pin;      // leave worker threads unbound to processors
    bool no_repack;   // multiply by the weights as the file holds them: no copy of them in memory, slower
    // How keys and values are kept (docs/KV.md): "f16" (the default), "uniform:q8", "staged", .. and their budget: "25%"
    // of what F16 takes, or bytes of all sessions together, "1500M"; default: none.
    const char *kv, *kv_budget;
    const char *kv_spill_dir;  // folder of the file for what is dropped; default: $TMPDIR, else /tmp
    uint64_t kv_spill_bytes;   // the most it may take; default: what all sessions take in F16
    // Folder that keeps the keys and values of prompts, in files named by their tokens, for sessions of later starts.
    // "": irori in $XDG_CACHE_HOME or in ~/.cache; default: none are kept.
    const char *prompt_cache;
    bool no_prefixes;  // do not start sessions from the pages of earlier ones that began with the same tokens
    // Folder where re-laid weights are kept, so that the next start maps them instead of laying them out again: a
    // sooner start, a little slower decoding. "": irori in $XDG_CACHE_HOME or in ~/.cache; default: not kept.
    const char *cache_dir;
    void (*progress)(void *ctx, uint64_t done, uint64_t total);  // while loading, in bytes
    void *progress_ctx;
} irori_model_options;

IRORI_API int irori_model_open(irori_model **out, const char *path, const irori_model_options *options,
                               irori_error *error);
IRORI_API void irori_model_close(irori_model *m);  // its sessions must be freed before; NULL is allowed

typedef struct irori_model_info {
    const char *architecture, *name, *license;  // "" when the file does not say
    const char *quantization;                   // "Q4_K_M"
    const char *device;                         // "cpu amx, 2 threads"
    uint64_t hash;                              // names the file's content in reports
    uint64_t parameters, file_bytes;
    uint64_t weight_bytes, weight_cache_bytes;  // re-laid weights in memory; mapped from the cache
    int layers, width, heads, kv_heads, head_dim, vocabulary;
    int trained_context, context, sessions, batch, threads;
    bool has_chat_template;
    int embedding_width;  // > 0: irori_embed works, and sessions do not
    bool ranks;           // irori_rerank works
    uint64_t kv_bytes_per_token;
    uint64_t activation_bytes,
        activation_bytes_unshared;  // planned buffers; what one buffer per value would take
} irori_model_info;
// Strings live as long as the model.
IRORI_API void irori_model_get_info(const irori_model *m, irori_model_info *out);

// What a GGUF file holds, of any architecture, as a JSON object: path, version, bytes, hash, architecture, name,
// license, quantization, parameters, metadata (arrays as {"array", "count"}), tensors. Free *json with irori_free.
IRORI_API int irori_describe_file(const char *path, char **json, irori_error *error);

// ---- Adapters --------------------------------------------------------------------------------------------------
// A LoRA adapter (GGUF) is opened for one model and added to its weights while it is set; several may be open. The
// weights stay as they are: setting one costs nothing; running with one of rank 16 on every matrix, measured on a
// 0.6B model, takes up to a fifth longer a token and a third to two thirds longer a prompt. IRORI_INVALID: an
// adapter of another model. Not while a scheduler serves the model.
IRORI_API int irori_adapter_open(irori_adapter **out, irori_model *m, const char *path, irori_error *error);
IRORI_API void irori_adapter_close(
    irori_adapter *a);  // takes it off; NULL is allowed. Else closed with the model
// From the next call on; NULL: none. scale is usually 1. What sessions have already run stays as it was made; start
// over (irori_session_truncate) for answers wholly by the adapter.
IRORI_API int irori_model_set_adapter(irori_model *m, irori_adapter *a, float scale, irori_error *error);

// ---- Tokens ----------------------------------------------------------------------------------------------------
enum {
    IRORI_TOKENIZE_SPECIAL = 1,  // text of control tokens becomes those tokens; never for text from outside
    IRORI_TOKENIZE_BOS = 2       // add what the model wants at the start of a text
};
// *ids is an array of *count ids; free it with irori_free.
IRORI_API int irori_tokenize(const irori_model *m, const char *text, size_t bytes, unsigned flags,
                             int32_t **ids, size_t *count, irori_error *error);
// A token's own bytes (not always whole characters), control tokens by name; NULL for an id out of range. The
// pointer lives as long as the model; not NUL-terminated.
IRORI_API const char *irori_token_text(const irori_model *m, int32_t id, size_t *bytes);
IRORI_API bool irori_token_ends_text(const irori_model *m, int32_t id);
// The tokens of a conversation under the model's chat template. messages: a JSON array in OpenAI's shape; tools: a
// JSON array or NULL; variables: a JSON object of further template variables ("enable_thinking") or NULL.
// Text of messages and tools can never become control tokens.
IRORI_API int irori_chat_tokens(const irori_model *m, const char *messages, const char *tools,
                                const char *variables, bool add_generation_prompt, int32_t **ids,
                                size_t *count, irori_error *error);

// Only reads a file's metadata; for `irori tokenize` and `irori info`. Every other call on such a model but
// info, tokenize, token_text, chat_tokens answers IRORI_INVALID.
IRORI_API int irori_model_open_vocabulary(irori_model **out, const char *path, irori_error *error);

// ---- Sessions --------------------------------------------------------------------------------------------------
typedef struct irori_logit_bias {
    int32_t token;
    float bias;  // added to the logit; -INFINITY forbids
} irori_logit_bias;

typedef struct irori_sampling {
    float temperature;     // 0: greedy
    int top_k;             // 0: all
    float top_p;           // 0 or 1: all
    float min_p;           // 0: off
    float typical_p;       // 0 or 1: off
    float repeat_penalty;  // 0 or 1: off; divides positive logits, multiplies negative ones
    float frequency_penalty, presence_penalty;
    int penalty_window;                  // tokens looked back; 0: 64, -1: all
    float dry_multiplier;                // 0: off
    float dry_base;                      // 0: 1.75
    int dry_allowed_length;              // 0: 2
    int dry_window;                      // 0: the last 4,096
    uint64_t seed;                       // 0: a new one each session
    const irori_logit_bias *logit_bias;  // copied
    size_t logit_bias_count;
} irori_sampling;

// With NULL: temperature 0.8, top_k 40, top_p 0.95, min_p 0.05.
IRORI_API int irori_session_new(irori_session **out, irori_model *m, const irori_sampling *sampling,
                                irori_error *error);
// A second session with the same past, sampling and random state; shares memory until they part.
IRORI_API int irori_session_fork(irori_session **out, const irori_session *s, irori_error *error);
IRORI_API void irori_session_free(irori_session *s);
IRORI_API int irori_session_set_sampling(irori_session *s, const irori_sampling *sampling,
                                         irori_error *error);

// Saves tokens, keys and values, at the precision they have (docs/formats/session.md); the file is whole or not there at
// all. Sampling state is not part of it.
IRORI_API int irori_session_save(irori_session *s, const char *path, irori_error *error);
// A session as it was saved, made with the same model. Damaged files, those of other models or of other versions are
// refused with IRORI_FORMAT, IRORI_INVALID, IRORI_UNSUPPORTED; IRORI_NOTFOUND: there is none.
IRORI_API int irori_session_load(irori_session **out, irori_model *m, const irori_sampling *sampling,
                                 const char *path, irori_error *error);

// From now on the session's keys and values follow another policy than the model's; text as in irori_model_options. What
// can change at once has changed on return: "f16" brings everything back that was kept, and where the old policy has
// mode=recompute runs the tokens again whose keys and values were not.
IRORI_API int irori_session_set_kv(irori_session *s, const char *policy, const char *budget,
                                   irori_error *error);

// The policy of sessions and requests to come, in place of the one the model was opened with; those there are keep
// theirs. IRORI_INVALID says what is wrong with the texts. While a scheduler serves the model: by irori_scheduler_call.
IRORI_API int irori_model_set_kv(irori_model *m, const char *policy, const char *budget, irori_error *error);

// Appends tokens and runs the model over them, but for those at the start that another session ran and whose keys and
// values are still held: they are shared. What was already run stays when it fails (IRORI_LIMIT: nothing was
// run) or is cancelled.
IRORI_API int irori_session_add(irori_session *s, const int32_t *ids, size_t count, irori_error *error);
// Its first part alone, for those who add a long prompt piece by piece: appends the tokens at the start that need not be run,
// the last of ids[count] never. *known: their number; go on behind them.
IRORI_API int irori_session_add_known(irori_session *s, const int32_t *ids, size_t count, size_t *known,
                                      irori_error *error);
// Appends text; flags as for irori_tokenize.
IRORI_API int irori_session_add_text(irori_session *s, const char *text, size_t bytes, unsigned flags,
                                     irori_error *error);
// Makes the session hold this conversation and the start of the assistant's answer, keeping what it already
// shares with it.
IRORI_API int irori_session_add_chat(irori_session *s, const char *messages, const char *tools,
                                     const char *variables, irori_error *error);
// Forgets all but the first `count` tokens.
IRORI_API int irori_session_truncate(irori_session *s, size_t count, irori_error *error);
IRORI_API const int32_t *irori_session_tokens(const irori_session *s,
                                              size_t *count);  // until the session changes

// Logits after the last token, [vocabulary]; NULL before any token was run, after a truncation and after a call
// that was stopped: add tokens then. Valid until the model next runs.
IRORI_API const float *irori_session_logits(const irori_session *s);
// Chooses the next token by the session's sampling, without running it. logprob may be NULL: log-probability of the
// choice under the model's own distribution (among the tokens that the session's grammar allows).
IRORI_API int irori_session_sample(irori_session *s, int32_t *id, float *logprob, irori_error *error);
// One more token for each of n different sessions of one model, in one pass.
IRORI_API int irori_sessions_step(irori_session *const *sessions, const int32_t *ids, size_t n,
                                  irori_error *error);
// Runs and keeps the tokens; for each ids[i] with i >= first, in order, the callback gets the logits after it,
// [vocabulary], which it may read until it returns. After a failure some calls may have been made.
typedef void irori_logits_fn(void *ctx, size_t i, const float *logits);
IRORI_API int irori_session_add_each(irori_session *s, const int32_t *ids, size_t count, size_t first,
                                     irori_logits_fn *take, void *ctx, irori_error *error);
// log p(ids[i] | session, ids[0..i)) for i >= first, into logprob[i - first]; runs and keeps the tokens. first >= 1
// unless the session already holds tokens.
IRORI_API int irori_session_score(irori_session *s, const int32_t *ids, size_t count, size_t first,
                                  double *logprob, irori_error *error);

typedef enum irori_finish {
    IRORI_FINISH_STOP,
    IRORI_FINISH_LENGTH,
    IRORI_FINISH_CANCELED,
    IRORI_FINISH_DEADLINE,  // these two only of requests (Serving)
    IRORI_FINISH_FAILED
} irori_finish;

typedef struct irori_generation {
    irori_finish finish;   // an end token or the callback (STOP), max_tokens or a full context (LENGTH)
    size_t prompt_tokens;  // added for this answer, not counting what the session already held
    size_t cached_tokens;  // of these, not run: another session's pages began with the same tokens
    size_t completion_tokens;
    double prompt_seconds;       // of the irori_session_add* before
    double first_token_seconds;  // from that add's start to the first token chosen
    double decode_seconds;       // from the first token to the last
} irori_generation;

// One piece of finished text (whole characters; "" while a character is not complete); return false to stop. What
// is left of a broken character at the end comes with id -1.
typedef bool irori_piece_fn(void *ctx, int32_t id, const char *text, size_t bytes);
// Samples until an end token, max_tokens, a full context, a cancel, or the callback's stop. An end token is run
// too, so that the session can go on with a next turn. out may be NULL.
IRORI_API int irori_session_generate(irori_session *s, size_t max_tokens, irori_piece_fn *piece, void *ctx,
                                     irori_generation *out, irori_error *error);
// Stops the running call on this session soon, with IRORI_CANCELED (IRORI_FINISH_CANCELED for generate). Async-safe.
IRORI_API void irori_session_cancel(irori_session *s);

// ---- Grammars --------------------------------------------------------------------------------------------------
// What a session generates can be held to a grammar: every choice is then made among the tokens with which the text
// can still become a sentence of it, and an end token only where it is one. docs/GRAMMAR.md lists what is supported.
typedef struct irori_grammar irori_grammar;

typedef enum irori_grammar_kind {
    IRORI_GRAMMAR_JSON,         // any JSON value; text is not read
    IRORI_GRAMMAR_JSON_SCHEMA,  // draft 7 or 2020-12 (and draft 4's exclusive bounds)
    IRORI_GRAMMAR_REGEX,        // ECMA-262; the whole text must match
    IRORI_GRAMMAR_GBNF
} irori_grammar_kind;

// after: the grammar begins behind the first occurrence of this text ("</think>"), before it anything may be
// written but an end; IRORI_HARMONY_FINAL: behind the head of the final message of OpenAI's harmony format (gpt-oss),
// before it only its other messages; NULL: at once. IRORI_FORMAT: malformed; IRORI_UNSUPPORTED: names the keyword and its place;
// IRORI_LIMIT: too large. The model must outlive the grammar; its sessions share it. Any thread may make and free
// grammars, also while a scheduler runs the model.
#define IRORI_HARMONY_FINAL "<|channel|>final<|message|>"
IRORI_API int irori_grammar_new(irori_grammar **out, irori_model *m, irori_grammar_kind kind,
                                const char *text, size_t bytes, const char *after, irori_error *error);

typedef struct irori_tool {
    const char *name;    // letters, digits, "_", "-", "."
    const char *schema;  // JSON schema of its arguments, which are an object; NULL: it has none
    size_t schema_bytes;
} irori_tool;

// How a model writes tool calls: open, begin, then a call: before_name, a name, before_arguments, arguments, close. A
// blank in these (but not in open) stands for any blanks that JSON allows. Strings are never NULL where not said.
typedef struct irori_calls {
    const char *open, *begin;  // "<tool_call>", ""; open is not empty
    const char *before_name, *before_arguments, *close;
    const char *next,
        *end;  // between calls behind one open, and after the last; NULL both: one call behind each
    const char *think,
        *unthink;     // a text may begin with a block between these, where nothing is a call; NULL: none
    bool harmony;     // OpenAI's harmony messages (gpt-oss): one call at most, the words above are not read
    bool raw;         // arguments are any text up to close; schemas are not read
    bool bare;        // a text that begins with before_name (with its first byte but blanks) is a call too
    bool text_after;  // other text, and more calls, may follow calls
    bool must;        // the text begins with a call
    bool many;        // more than one call
    const irori_tool *tools;
    size_t n_tools;  // at least 1
} irori_calls;

// Any text, but behind the word that opens a call only calls of the tools, with arguments that meet their schemas.
// Control tokens count as their text. `after`, errors as irori_grammar_new; those of a schema name the tool too.
IRORI_API int irori_grammar_new_calls(irori_grammar **out, irori_model *m, const irori_calls *calls,
                                      const char *after, irori_error *error);
// *fits: whether a whole text is a sentence of the grammar. IRORI_LIMIT, IRORI_NOMEM. Any thread.
IRORI_API int irori_grammar_check(irori_grammar *g, const char *text, size_t bytes, bool *fits,
                                  irori_error *error);
IRORI_API void irori_grammar_free(
    irori_grammar *g);  // sessions that use it keep what they need; NULL is allowed

// Holds what the session generates from here on (irori_session_sample, _generate, irori_sessions_step) to the
// grammar; NULL: no longer. Tokens put in with irori_session_add* are not held to it, and behind them it starts
// anew. Truncating takes the grammar back too. A fork has the same grammar at the same place.
// irori_sessions_step refuses a token that the grammar does not allow (IRORI_INVALID, nothing is run).
IRORI_API int irori_session_set_grammar(irori_session *s, irori_grammar *g, irori_error *error);

// ---- Speculation -----------------------------------------------------------------------------------------------
// Guesses of the next tokens, several of which one run of the model can check. What is generated is the same token for
// token, greedy or drawn; only the time it takes differs. When and how far to guess is decided by what runs cost on
// this machine and how often guesses came true, so that it is off where it would lose.
// Writes at most `most` tokens that may follow history[n]; gives their number.
typedef int irori_propose_fn(void *ctx, const int32_t *history, size_t n, int32_t *guess, int most);
typedef struct irori_speculation {
    bool lookup;         // guess what followed earlier occurrences of the latest tokens
    irori_model *draft;  // a smaller model with the same vocabulary; must outlive the session; NULL: none
    irori_propose_fn *propose;  // the caller's own guesses, instead of the above; NULL: none
    void *propose_ctx;
    int most;     // tokens of a guess, 1..16; default 16
    bool always;  // guess whatever it costs (to measure)
} irori_speculation;
// For irori_session_generate from now on; NULL: off, as at first. A fork begins without. IRORI_UNSUPPORTED: the draft
// has another vocabulary; the message names the first token that differs.
IRORI_API int irori_session_set_speculation(irori_session *s, const irori_speculation *options,
                                            irori_error *error);
typedef struct irori_speculation_stats {
    uint64_t runs, guesses;  // runs of the model since it was set; of these, with a guess
    uint64_t guessed_tokens, accepted_tokens;
    double guess_seconds;  // spent on guessing
    double saved_seconds;  // against plain runs, by the costs measured
} irori_speculation_stats;
IRORI_API void irori_session_get_speculation(const irori_session *s, irori_speculation_stats *out);

// ---- Candidates ------------------------------------------------------------------------------------------------
// Short replies to choose from, for a person who speaks by choosing: one row for each intent ("axis"), all from one
// past that was run ahead, within a time that is kept. What the model has not ready comes from earlier choices, the
// profile's scenes, or default replies, and says so. docs/CANDIDATES.md
typedef struct irori_profile irori_profile;
// A JSON text. Immutable; any thread.
IRORI_API int irori_profile_new(irori_profile **out, const char *json, size_t bytes, irori_error *error);
IRORI_API void irori_profile_free(irori_profile *p);  // its talks must be freed before; NULL is allowed

typedef struct irori_talk irori_talk;
// A conversation of the profile's person. m NULL: fall-backs only.
IRORI_API int irori_talk_new(irori_talk **out, irori_model *m, const irori_profile *p, irori_error *error);
IRORI_API void irori_talk_free(irori_talk *t);  // NULL is allowed
// Something was said, by the person (me) or to them; run at once, with the profile and the axes' tags, so that nothing is
// left to run at the trigger. A conversation that failed to run (IRORI_LIMIT) is answered by fall-backs.
IRORI_API int irori_talk_append(irori_talk *t, bool me, const char *text, irori_error *error);
// The two halves of it, for those who have other work between: what was said is noted; the next `most` tokens of what was
// noted and of the profile are run (0: all). *left: 0 when nothing is left to run.
IRORI_API int irori_talk_note(irori_talk *t, bool me, const char *text, irori_error *error);
IRORI_API int irori_talk_run(irori_talk *t, size_t most, size_t *left, irori_error *error);

typedef struct irori_candidate {
    const char *text, *axis;  // until the next call on the talk
    const char *source;       // "model", "cache", "scene", "default"
    double ms;                // from the trigger until it was final
} irori_candidate;
typedef struct irori_round {
    int n;                    // replies, 1..8; default 4
    double budget_ms;         // default 200; what is not ready then is stood in for
    int max_tokens;           // of a reply, 1..64; default 16
    const char *const *axes;  // ids of axes to use; NULL: those that what was said makes likely
    size_t axes_count;
    const char *const *avoid;  // replies not wanted again
    size_t avoid_count;
    float temperature;  // default 0.7
    uint64_t seed;      // 0: a new one
    int tries;          // of a reply that comes out unfit, 1..8; default 3
    bool
        no_model;  // fall-backs only, whatever the talk has; then also while irori_talk_run runs on another thread
    // What was noted and not yet run (irori_talk_note) is run at the trigger, within the budget.
    // Text so far (last false: text and axis only), then each reply when it is final.
    void (*event)(void *ctx, int index, const irori_candidate *c, bool last);
    void *ctx;
} irori_round;
enum { IRORI_MOST_CANDIDATES = 8 };
// *count replies into out[n], fewer than n only when all fall-backs are used up. IRORI_INVALID names what is out of
// range. A model that fails or is late is no error: the fall-backs answer; *error then has code IRORI_OK and the reason
// as its message.
IRORI_API int irori_talk_round(irori_talk *t, const irori_round *r, irori_candidate *out, int *count,
                               irori_error *error);
// Stops an irori_talk_run of another thread soon, with IRORI_CANCELED; the next goes on from there.
IRORI_API void irori_talk_stop(irori_talk *t);
// Tokens that the talk's conversation takes, and the most that it takes with all its rows (for irori_scheduler_claim).
IRORI_API size_t irori_talk_tokens(const irori_talk *t, size_t *with_rows);
// A choice of earlier days: the axis's reply to what had been said. IRORI_INVALID: no such axis, or a text that is no reply.
IRORI_API int irori_talk_remember(irori_talk *t, const char *heard, const char *axis, const char *text,
                                  irori_error *error);
// What was said to the person last; "" when nothing was. Until the next call.
IRORI_API const char *irori_talk_heard(const irori_talk *t);
// A reply that somebody else made for an axis of the profile: its tag and spaces off, its first line, whole sentences, into
// out[cap]. False: nothing is left that can be said.
IRORI_API bool irori_reply_clean(const irori_profile *p, const char *axis, const char *text, char *out,
                                 size_t cap);
IRORI_API bool irori_replies_alike(const char *a, const char *b);  // to a reader
// What an axis is to a model that is asked for one reply: its tag, "" when there is no such axis. The profile's text.
IRORI_API const char *irori_profile_tag(const irori_profile *p, const char *axis);
IRORI_API const char *irori_profile_axis(const irori_profile *p,
                                         int i);  // the i-th axis's id; NULL past the last
IRORI_API const char *irori_profile_about(const irori_profile *p);
// The person chose out[index] of the last round: it was said, and is remembered for rounds to come.
IRORI_API int irori_talk_choose(irori_talk *t, int index, irori_error *error);

// ---- Memory ----------------------------------------------------------------------------------------------------
typedef struct irori_memory {
    uint64_t heap_bytes, heap_peak_bytes;  // all allocations of the library
    uint64_t allocations;                  // made since the process started
    uint64_t kv_bytes, kv_shared_bytes;    // pages in use; of these, held by several sessions
    uint64_t kv_idle_bytes;                // pages no session holds, kept for those that begin alike
    uint64_t rss_bytes, rss_peak_bytes;    // of the process
} irori_memory;
typedef struct irori_kv_stats {
    uint64_t resident_bytes;  // keys and values in memory, of sessions and of kept prefixes
    uint64_t f16_bytes;       // what the same tokens take at F16
    uint64_t spilled_bytes;   // in the file that brings dropped precision back
    uint64_t shared_bytes;    // of the tokens that several sessions hold, at F16
    uint64_t idle_bytes;      // of prefixes no session holds, at F16
    double bits;              // mean bits of a value in memory
    uint64_t blocks[5];       // blocks (64 tokens of a layer's keys or values) at F16, Q8, Q4, Q2, and absent
    uint64_t demotions, promotions;  // of blocks, since the model was opened
    bool spill_full;                 // the file cannot grow: what would need it keeps its precision
    // The guard (policies with guard=TOKENS):
    uint64_t guard_checks, guard_skipped;         // skipped: what was dropped could not be brought back
    uint64_t guard_promotions, guard_fall_backs;  // blocks, and whole sessions, that stay F16 since
    double guard_kl_last, guard_kl_p95;  // mean KL(F16 || as kept) of a check; of the latest 64 checks
} irori_kv_stats;
// All zero for a model opened for its vocabulary.
IRORI_API void irori_get_kv_stats(const irori_model *m, irori_kv_stats *out);

// A page of keys and values that a session or a request holds, to be drawn.
typedef struct irori_kv_page {
    uint64_t sequence;  // whose page it is: sessions and answers, numbered since the model was opened
    int position;       // of its first token
    int tokens;         // 1..64
    int page;           // number of the page: one that several hold has one
    bool shared;        // several hold it
    float attention;    // part of its sequence's attention that it has received so far, mean over layers
    float bits[2];      // of a value of keys and of values, mean over layers; 0: absent
} irori_kv_page;
// All such pages, sequence by sequence from its start on, at most `room` of them; the number there are. levels, unless NULL,
// is [room][layers][2]: 0 F16, 1 Q8, 2 Q4, 3 Q2, 4 absent, keys then values. It reads tables only. While a scheduler serves
// the model: by irori_scheduler_call, from any thread.
IRORI_API size_t irori_model_kv_pages(const irori_model *m, irori_kv_page *out, uint8_t *levels, size_t room);

IRORI_API void irori_get_memory(const irori_model *m, irori_memory *out);

// ---- Serving ---------------------------------------------------------------------------------------------------
// A scheduler runs many requests at once over one model, on a thread of its own: each step takes one token of every
// running answer and a piece of the prompts that are being read. A request is admitted when all the memory it may
// need is free, so that what runs never fails half-way; what a request answers does not depend on its neighbours.
typedef struct irori_scheduler irori_scheduler;
typedef struct irori_request irori_request;

typedef struct irori_scheduler_options {
    int queue;  // most requests waiting; default 64
    int slots;  // most answers made at once; default: the model's `sessions`, at most 64 and half its batch
    bool no_guess;     // do not guess ahead while one answer is made alone
    int prompt_chunk;  // most tokens of prompts in a step while answers are being made; default 64
} irori_scheduler_options;

// The model is the scheduler's until irori_scheduler_free: nothing else may run it or make sessions of it. A model that
// gives embeddings or ranks takes no requests (IRORI_UNSUPPORTED), but irori_scheduler_call.
IRORI_API int irori_scheduler_new(irori_scheduler **out, irori_model *m,
                                  const irori_scheduler_options *options, irori_error *error);
// Cancels every request; their last events come before it returns. NULL is allowed.
IRORI_API void irori_scheduler_free(irori_scheduler *s);

typedef enum irori_event_kind {
    IRORI_EVENT_READ,   // the prompt was run; once, before the first token
    IRORI_EVENT_TOKEN,  // a token was chosen
    IRORI_EVENT_END,    // an answer is finished; `text` is what was still held back
    IRORI_EVENT_DONE    // the request is finished: always comes, always the last
} irori_event_kind;

typedef struct irori_top_logprob {
    int32_t token;
    float logprob;
} irori_top_logprob;

// Pointers are valid during the call.
typedef struct irori_event {
    irori_event_kind kind;
    int choice;                    // 0 .. choices - 1
    int32_t token;                 // TOKEN; else -1. End tokens are not told
    float logprob;                 // under the model's own distribution; 0 unless asked for
    const irori_top_logprob *top;  // the likeliest, best first
    int top_count;
    const char *text;  // whole characters that belong to no stop text; may be empty, and behind the tokens
    size_t bytes;
    irori_finish finish;  // END; DONE: the worst of the answers'
    int stop;             // END: index of the stop text that ended it; -1: none
    int code;             // not IRORI_OK with IRORI_FINISH_FAILED only
    const char *message;
    // Of the request so far:
    size_t prompt_tokens, cached_tokens;  // cached: of the prompt, known already and not run
    size_t completion_tokens;             // of all answers
    double queue_seconds, prompt_seconds;
    double first_token_seconds;              // from submission to the first token
    size_t guessed_tokens, accepted_tokens;  // run ahead while it ran alone; of these, chosen then
    double decode_seconds;                   // from the first token to the latest
} irori_event;

// Called on the scheduler's thread, which waits for it: must not block.
typedef void irori_event_fn(void *ctx, const irori_event *event);

typedef struct irori_request_options {
    const int32_t *prompt;  // copied; irori_tokenize and irori_chat_tokens make it
    size_t prompt_tokens;
    const irori_sampling *sampling;  // NULL: as for irori_session_new. Answer i draws with seed + i
    size_t max_tokens;        // of each answer, cut to what the context leaves; 0: only read the prompt
    int choices;              // answers that share the prompt; default 1
    irori_grammar *grammar;   // what each answer is held to; NULL: anything. May be freed once submitted
    const char *const *stop;  // texts that end an answer and are not shown, at most 16 of 1..1024 bytes
    size_t stop_count;
    bool special_text;  // control tokens show their text
    bool logprobs;      // fill irori_event.logprob
    int top_logprobs;   // so many of the likeliest, 0..20; only with logprobs
    double deadline;    // seconds from submission, waiting included; 0: none
    uint64_t client;    // turns are shared out by client
} irori_request_options;

// Queues a request. IRORI_INVALID; IRORI_LIMIT: the prompt does not fit the context, or the whole request not the
// memory; IRORI_BUSY: the queue is full. When it fails, no event comes. out may be NULL.
IRORI_API int irori_request_submit(irori_request **out, irori_scheduler *s,
                                   const irori_request_options *options, irori_event_fn *event, void *ctx,
                                   irori_error *error);
// Stops within one token; DONE still comes.
IRORI_API void irori_request_cancel(irori_request *r);
// A paused request keeps its memory and makes no tokens.
IRORI_API void irori_request_pause(irori_request *r, bool paused);
// Gives the handle back, at any time; what runs goes on. NULL is allowed.
IRORI_API void irori_request_free(irori_request *r);

// Runs fn on the scheduler's thread between two steps, when the model is free, and returns when it has run.
// IRORI_CANCELED when the scheduler ends before. Not from an event function.
IRORI_API int irori_scheduler_call(irori_scheduler *s, void (*fn)(void *ctx, irori_model *m), void *ctx);
// The same for work that cannot wait: a step under way that reads prompts is stopped and run again afterwards. IRORI_BUSY: fn
// had not begun within so many seconds, and never will.
IRORI_API int irori_scheduler_call_by(irori_scheduler *s, double seconds,
                                      void (*fn)(void *ctx, irori_model *m), void *ctx);

// Keeps in memory what was run of the beginning of these tokens (whole pages of 64), so that requests to come start there,
// until it is released. IRORI_LIMIT: held together is at most half of the memory for keys and values, and never the room
// that one full context needs. Event functions may call these too.
typedef struct irori_held irori_held;
IRORI_API int irori_scheduler_hold(irori_held **out, irori_scheduler *s, const int32_t *ids, size_t count,
                                   irori_error *error);
// What is held (by irori_scheduler_hold) into a file, and held again from it, in this start or a later one of the same model,
// within the same bounds. No step is run meanwhile. Errors as irori_session_save and _load.
IRORI_API int irori_held_save(irori_held *h, const char *path, irori_error *error);
IRORI_API int irori_scheduler_hold_file(irori_held **out, irori_scheduler *s, const char *path,
                                        irori_error *error);
// Sets memory for so many tokens aside, for sessions and talks that functions of irori_scheduler_call make; within the same
// bounds.
IRORI_API int irori_scheduler_claim(irori_held **out, irori_scheduler *s, size_t tokens, irori_error *error);
IRORI_API size_t irori_held_tokens(const irori_held *h);
IRORI_API void irori_held_release(irori_held *h);  // before irori_scheduler_free; NULL is allowed

enum { IRORI_HISTOGRAM_BUCKETS = 14 };
// Upper bounds in seconds of all buckets but the last, which has none.
IRORI_API const double *irori_histogram_bounds(void);
typedef struct irori_histogram {
    uint64_t count[IRORI_HISTOGRAM_BUCKETS];  // of each bucket alone
    double sum;                               // seconds
} irori_histogram;

typedef struct irori_scheduler_stats {
    int slots, queue_limit;
    int waiting, reading, generating;  // requests queued; prompts being read; answers being made
    uint64_t accepted, refused, finished, canceled, failed;  // requests
    uint64_t prompt_tokens, cached_tokens, completion_tokens;
    uint64_t steps, step_tokens;  // step_tokens / steps: mean batch
    uint64_t guessed_tokens, accepted_tokens;
    uint64_t kv_promised_bytes, kv_bytes, kv_shared_bytes, kv_idle_bytes,
        kv_total_bytes;    // as in irori_memory
    double retry_seconds;  // guess of when a refused request may try again
    irori_histogram first_token, between_tokens, queue;
    irori_kv_stats kv;  // at most a tenth of a second old
} irori_scheduler_stats;
IRORI_API void irori_scheduler_get_stats(irori_scheduler *s, irori_scheduler_stats *out);
// Whether it guesses ahead. Off: nothing is guessed from the next step on. On: for requests to come. Any thread.
IRORI_API void irori_scheduler_set_guesses(irori_scheduler *s, bool on);
IRORI_API bool irori_scheduler_guesses(irori_scheduler *s);

// ---- Texts as vectors, and ranked by a question ----------------------------------------------------------------
typedef struct irori_text {
    const char *data;  // UTF-8; control tokens in it are plain text
    size_t bytes;
} irori_text;

typedef struct irori_embed_options {
    bool truncate;   // cut a text that is longer than the context; otherwise it is refused (IRORI_LIMIT)
    int dimensions;  // keep so many of the vectors' first numbers (models trained for it); default: all
} irori_embed_options;

typedef struct irori_embeddings {
    float *vectors;  // [texts][width], each of length 1; irori_free
    int width;
    size_t tokens;  // that were run
} irori_embeddings;

// A vector for each text, by a model that gives them (irori_model_info.embedding_width > 0). What a text gives does not
// depend on the texts beside it. Prefixes that a model wants ("query: ") are the caller's.
IRORI_API int irori_embed(irori_model *m, const irori_text *texts, size_t count,
                          const irori_embed_options *options, irori_embeddings *out, irori_error *error);

typedef struct irori_rerank_options {
    bool truncate;            // cut documents that do not fit into the context beside the query
    const char *instruction;  // what makes a document right, for models that are told; NULL: that it answers
} irori_rerank_options;

// How well each document fits the query, 0..1, into scores[count]; by a model with irori_model_info.ranks. *tokens (may
// be NULL): tokens of queries and documents together.
IRORI_API int irori_rerank(irori_model *m, const irori_text *query, const irori_text *documents, size_t count,
                           const irori_rerank_options *options, float *scores, size_t *tokens,
                           irori_error *error);

// ---- Planning --------------------------------------------------------------------------------------------------
// What a model will take and how fast it will be, known before it is opened: bytes from the functions that lay it out,
// seconds from rates that a probe measures once on this machine, with the very kernels that will run. docs/PLAN.md
typedef struct irori_machine {
    char cpu[96];              // "" when the system does not say
    char isa[16];              // what irori's kernels use: "avx2"
    int processors, threads;   // that this process may use; that were measured
    uint64_t cache_bytes[3];   // levels 1 (data), 2, 3; 0: unknown
    uint64_t memory_bytes;     // of the machine or its container; 0: unknown
    uint64_t available_bytes;  // now
    char gpus[8][64];          // "NVIDIA (10de:2330)"; irori does not use them
    int gpu_count;
    char probed[16];            // "2026-12-01"; "": not yet
    double read_one, read_all;  // bytes a second, by one thread and by all
    double int8_ops;            // multiplications and additions a second of a prompt, Q8_0 weights
    double decode_q4k, decode_q8, prompt_q4k;  // bytes of weights a second; operations a second
    double attention_keys;  // keys of one F16 head of 128 values that a token meets a second
    double step_seconds;    // of an operation that does nothing
} irori_machine;
// options: threads and cpu; NULL: all, the best. measure 0: what is known; 1: measured if it is not; 2: anew. Measuring
// takes up to 5 seconds and is kept in the cache folder (irori in $XDG_CACHE_HOME or in ~/.cache).
IRORI_API int irori_machine_get(irori_machine *out, const irori_model_options *options, int measure,
                                irori_error *error);

// A model that need not be there, all matrices of one mix (irori_plan_options.quantization).
typedef struct irori_shape {
    const char *architecture;  // one that irori runs: "qwen3"
    int layers, width, heads, kv_heads, head_dim;
    int ff;  // of an expert, where there are some
    int vocabulary, context, window, experts, experts_used;
    bool tied;  // the embedding is the output matrix
} irori_shape;

typedef struct irori_plan_options {
    int prompt;        // tokens, for the time to the first token; default 512
    int depth;         // tokens in the context, for tokens a second and rss_bytes; default: the prompt's
    bool memory_only;  // nothing is measured, speeds stay 0, and the vocabulary is estimated: milliseconds
    const char *quantization;  // "Q4_K_M": as if the model had been quantized so; NULL: as it is
    uint64_t memory_bytes;     // plan for so much memory; 0: what is available now
} irori_plan_options;

enum { IRORI_PLAN_POLICIES = 4 };  // "f16", "uniform:q8", "uniform:q4", "staged" with 25 % of F16
IRORI_API const char *irori_plan_policy(int i);  // its name; NULL past the last
typedef struct irori_plan {
    char architecture[32], quantization[24];
    char kind[64];  // for what corrections are kept: weights, instruction set, threads
    int context, trained_context, sessions;
    // Resident bytes with the whole context filled, part by part, and their sum.
    uint64_t weight_bytes, file_bytes, kv_bytes, activation_bytes, table_bytes, program_bytes, needs_bytes;
    uint64_t model_bytes;  // of the file
    uint64_t has_bytes;    // memory that there is for it
    bool fits;
    int at_once;                            // how many models like it fit beside each other
    int context_fits[IRORI_PLAN_POLICIES];  // most tokens at each policy, at most trained_context
    // Predictions: as computed, and corrected by the median of what earlier ones missed (count: of how many).
    uint64_t rss_bytes, rss_bytes_raw;  // with `depth` tokens
    double tokens_per_second, tokens_per_second_raw, ttft_ms, ttft_ms_raw;
    int corrections[3];  // of rss_bytes, tokens_per_second, ttft_ms
} irori_plan;
// IRORI_UNSUPPORTED and IRORI_FORMAT as irori_model_open.
IRORI_API int irori_plan_file(irori_plan *out, const char *path, const irori_model_options *options,
                              const irori_plan_options *plan, irori_error *error);
IRORI_API int irori_plan_shape(irori_plan *out, const irori_shape *shape, const irori_model_options *options,
                               const irori_plan_options *plan, irori_error *error);
// Measured values, 0 where there is none: kept beside the probe, and used to correct plans of the same kind.
IRORI_API int irori_plan_correct(const irori_plan *p, double rss_bytes, double tokens_per_second,
                                 double ttft_ms, irori_error *error);

// ---- Making model files ----------------------------------------------------------------------------------------
typedef struct irori_quantize_options {
    const char *type;  // "Q4_K_M"; irori_quantize_types lists them. NULL with target_bpw
    double
        target_bpw;  // > 0: types are chosen by measured error so that weights take at most so many bits each
    const char *imatrix;  // file that irori_imatrix wrote: which columns matter; NULL: all alike
    int threads;          // default: the processors this process may use
    bool (*progress)(void *ctx, uint64_t done, uint64_t total);  // bytes of the result; false stops
    void (*note)(void *ctx, const char *line);  // what a person should know, a line at a time
    void *ctx;
} irori_quantize_options;

typedef struct irori_quantize_report {
    uint64_t bytes_in, bytes_out;  // of the files
    double bpw;                    // bits a weight of the result
    int fallbacks;                 // tensors that got another type because of their row length
    int resumed;                   // tensors that an interrupted run had finished
} irori_quantize_report;

// Writes the model `in` with fewer bits a weight to `out`, by way of OUT.partial. IRORI_CANCELED leaves OUT.partial, from
// which the same call goes on; any other failure leaves nothing. report may be NULL. Any thread.
IRORI_API int irori_quantize(const char *in, const char *out, const irori_quantize_options *options,
                             irori_quantize_report *report, irori_error *error);
typedef struct irori_convert_options {
    const char *type;  // of the matrices: "f16" (the default), "bf16" or "f32"
    bool (*progress)(void *ctx, uint64_t done, uint64_t total);  // bytes of the result; false stops
    void *ctx;
} irori_convert_options;

// Makes a GGUF file of a folder of a Hugging Face model: safetensors (one file or several; GPTQ and AWQ of 4 bits are
// decoded), config.json, tokenizer.json or tokenizer.model, chat template. Any failure leaves no file.
IRORI_API int irori_convert(const char *dir, const char *out, const irori_convert_options *options,
                            irori_error *error);

typedef struct irori_imatrix_options {
    int threads;      // default: the processors this process may use
    int context;      // tokens of a window; default 512
    int chunks;       // most windows; default: the whole text
    const char *cpu;  // as in irori_model_options
    bool (*progress)(void *ctx, uint64_t done, uint64_t total);  // tokens; false stops
    void *ctx;
} irori_imatrix_options;

// Runs the model of the file `path` over a text and writes to `out`, for each matrix, the mean square of what each of its columns was
// multiplied with: what irori_quantize and llama.cpp's quantizer take as importance. source: where the text came from, for
// the record.
IRORI_API int irori_imatrix(const char *path, const char *text, size_t bytes, const char *source,
                            const char *out, const irori_imatrix_options *options, irori_error *error);
// Names of all types, separated by spaces; free with irori_free. NULL without memory.
IRORI_API char *irori_quantize_types(void);

#ifdef __cplusplus
}
#endif

#endif
