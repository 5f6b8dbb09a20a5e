// The command line: one table of commands and options gives the parser, --help, the manual page and the shell
// completions. Each command is a file with one function.
#ifndef IRORI_CLI_H
#define IRORI_CLI_H

#include <irori.h>

#include "base/base.h"

// Exit statuses.
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_INTERRUPTED = 130 };

enum { CLI_MODELS = 64 };  // most that `serve` takes by name

// Every option of every command; a command reads those it lists.
typedef struct cli_options {
    const char *model;    // first argument
    const char *output;   // second argument, of commands that write a file
    const char *command;  // argument of `help`, `completion`
    bool no_guess;
    const char *draft;
    float oracle;
    const char *profile, *axes, *avoid, *choices, *upstream, *upstream_model;
    int choose;
    bool make_scenes;
    float budget_ms;
    int reply_tokens;
    bool json, help, raw, special, man, memory, truncate, no_pin, no_repack, no_prefixes, cache;
    int threads, ctx, batch_size, dimensions;
    const char *cpu, *cache_dir, *lora;
    const char *kv, *kv_budget, *kv_dir;
    const char *session, *prompt_cache;
    const char *prompt, *system, *text, *file, *tools, *history, *query, *instruction;
    bool json_mode;
    const char *json_schema, *grammar, *regex;
    int max_tokens;  // 0: not given
    float temperature, top_p, min_p, typical, repeat_penalty, frequency_penalty, presence_penalty, dry;
    int top_k;
    uint64_t seed;
    const char *pp, *tg, *depth, *batch;
    int repetitions;  // 0: not given
    bool full;
    const char *report, *url, *answers;
    bool hold;
    float least_likeness;
    const char *type, *imatrix, *plot, *base;
    bool csv;
    // Of the store:
    const char *as;
    const char *model_name;  // of a model that was found in the store; NULL: a file
    bool accept_license, partial, allow_private, allow_http;
    const char *sha256, *token_file, *proxy, *audit, *head;
    const char *model_sha256;  // of a model that was found in the store; NULL: a file
    int piece_kb, patience;
    // Of `serve`:
    const char *models[CLI_MODELS];
    int n_models, port, slots, queue, keep_alive, memory_budget, connections;
    const char *models_dir, *host, *api_key, *origins, *tls_cert, *tls_key, *ui_dir;
    bool always_on, log_prompts, quiet, no_ui;
    bool probe, verify;  // of `plan`
    const char *tier, *use_case, *catalogue;
    bool force;  // open a model that does not fit
    int chunks;
    float target_bpw;
} cli_options;

enum cli_kind { CLI_FLAG, CLI_INT, CLI_FLOAT, CLI_TEXT, CLI_SEED };

typedef struct cli_option {
    const char *name;  // "threads"
    char letter;       // 0: none
    enum cli_kind kind;
    size_t offset;         // in cli_options
    const char *argument;  // "N", "FILE"; NULL for a flag
    const char *help;
    double least, most;  // of a number
} cli_option;

typedef struct cli_command {
    const char *name, *arguments, *summary;
    const char *options;  // names, separated by spaces; --help is added
    const char *details;  // further paragraph of the manual; may be NULL
    int (*run)(const cli_options *o);
} cli_command;

// main.c: the tables.
extern const cli_command cli_commands[];
extern const size_t cli_command_count;
extern const cli_option cli_option_table[];
extern const size_t cli_option_count;
const cli_command *cli_command_find(const char *name);
// Whether a command takes an option (every command takes --help).
bool cli_takes(const cli_command *c, const cli_option *o);

// options.c: fills *o from the words after the command; on bad use says why on stderr and gives CLI_USAGE.
void cli_defaults(cli_options *o);
int cli_parse(const cli_command *c, int argc, char **argv, cli_options *o);
// "512,2048" into at most `cap` numbers of least..most; -1 after saying why.
int cli_numbers(const char *option, const char *text, int least, int most, int *out, int cap);

// help.c, completion.c
void cli_help_all(void);
void cli_help_command(const cli_command *c);
void cli_man_page(void);
int cli_completion(const char *shell);

// progress.c: a bar on stderr, only on a terminal and only for what takes over a second.
typedef struct cli_progress {
    const char *what;
    double started, drawn;
    bool shown;
} cli_progress;
void cli_progress_start(cli_progress *p, const char *what);
void cli_progress_step(void *p, uint64_t done, uint64_t total);  // p: a cli_progress
void cli_progress_end(cli_progress *p);

// open.c: what commands share.
int cli_fail(const irori_error *e);  // prints "irori: MESSAGE"; CLI_FAILED
irori_model_options cli_model_options(const cli_options *o);
// context 0: --ctx or the default; sessions 0: one.
int cli_open(const cli_options *o, int context, int sessions, irori_model **m);
irori_sampling cli_sampling(const cli_options *o);
size_t cli_max_tokens(const cli_options *o);
// Holds what the session generates to --json-mode, --json-schema, --grammar or --regex; fills e when it cannot.
int cli_set_grammar(const cli_options *o, irori_model *m, irori_session *s, irori_error *e);
// Opens the model of --draft; *draft is NULL without one.
int cli_open_draft(const cli_options *o, irori_model **draft);
// Lets the session guess ahead, as the options say.
int cli_speculate(const cli_options *o, irori_model *draft, irori_session *s, irori_error *e);
// A new session, or the one that --session names, as it was saved there.
int cli_session(const cli_options *o, irori_model *m, irori_session **s, irori_error *e);
int cli_save_session(const cli_options *o, irori_session *s);  // to --session, where that is given
// The session becomes what these tokens say, with a progress bar; what it already shares with them stays.
int cli_add(irori_model *m, irori_session *s, const int32_t *ids, size_t count, irori_error *e);
// The same for a conversation (a buf of cli_message) under the model's chat template.
int cli_add_chat(irori_model *m, irori_session *s, const buf *messages, const char *tools, irori_error *e);
// Ctrl-C stops the session's present call instead of the program, until called with NULL.
void cli_interrupt(irori_session *s);
bool cli_interrupted(void);                                   // Ctrl-C was pressed since cli_interrupt
int cli_read_text(const char *path, char **text, size_t *n);  // "-": standard input; says why on failure
int cli_print_json(buf *b);                                   // the text and a newline on stdout; frees it
// rc, or CLI_FAILED after saying that standard output could not be written.
int cli_end_output(int rc);
// Messages so far, for irori_session_add_chat: a JSON array in the making.
void cli_message(buf *messages, const char *role, const char *text, size_t n);

// find.c: a MODEL or --draft that is no file is looked up in the store; what the model brings (system message, parameters)
// stands behind what the command line says. Says why on failure.
int cli_find_models(const cli_command *c, int argc, char **argv, cli_options *o);

// audit.c: lines of the audit log, where it is on. A request is written before it is run, and not run when that fails.
int cli_record_request(const cli_options *o, const char *event, const char *text, size_t n, char id[17],
                       irori_error *e);
int cli_record_answer(const cli_options *o, const char *id, const char *finish, const irori_generation *g,
                      const buf *said, irori_error *e);

int cmd_run(const cli_options *o);
int cmd_chat(const cli_options *o);
int cmd_info(const cli_options *o);
int cmd_tokenize(const cli_options *o);
int cmd_candidates(const cli_options *o);
int candidates_make_scenes(const cli_options *o);  // scenes.c: irori candidates --make-scenes
int cmd_bench(const cli_options *o);
int cmd_bench_spec(const cli_options *o);  // bench_spec.c: irori bench spec
int cmd_embed(const cli_options *o);
int cmd_rerank(const cli_options *o);
int cmd_eval(const cli_options *o);
int cli_eval_ppl(const cli_options *o, irori_model *m, const char *text, size_t n, size_t window);
int cli_eval_bpw(const cli_options *o);                                                         // eval_bpw.c
int cli_eval_kl(const cli_options *o, irori_model *m, const char *text, size_t n, size_t ctx);  // eval_kl.c
int eval_kv(const cli_options *o, const char *text, size_t n);                                  // eval_kv.c
int cmd_quantize(const cli_options *o);
int cmd_serve(const cli_options *o);
int cmd_plan(const cli_options *o);
// plan_gate.c: CLI_FAILED after saying so when the file would not fit into the memory there is, unless --force.
int plan_gate(const cli_options *o, const char *path, const irori_model_options *mo);
int cmd_convert(const cli_options *o);
int cmd_imatrix(const cli_options *o);
int cmd_pull(const cli_options *o);
int cmd_list(const cli_options *o);  // manage.c, and the five after it
int cmd_show(const cli_options *o);
int cmd_rm(const cli_options *o);
int cmd_copy(const cli_options *o);
int cmd_verify(const cli_options *o);
int cmd_move(const cli_options *o);
int cmd_audit(const cli_options *o);
int cmd_doctor(const cli_options *o);
int cmd_help(const cli_options *o);
int cmd_completion(const cli_options *o);

#endif
