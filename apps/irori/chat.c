// irori chat: a conversation in the terminal, or line by line from a file.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "line.h"
#include "reply.h"

typedef struct chat {
    const cli_options *o;
    irori_model *m, *draft;
    irori_session *s;
    line_editor *editor;  // NULL: not at a terminal
    buf messages;         // JSON array; empty before the first message
    size_t undo;          // its length before the last user message, for /again
    reply said;           // the answer under way
    char *last;           // the last user message
    char *system;         // NULL: none
    char history[4096];   // path; empty: none
} chat;

static void start_anew(chat *c)
{
    buf_clear(&c->messages);
    irori_session_truncate(c->s, 0, NULL);
    if (c->system)
        cli_message(&c->messages, "system", c->system, strlen(c->system));
    c->undo = c->messages.len;
}

// Back to before the last question, closing the JSON array again.
static void take_back(chat *c)
{
    if (!c->messages.data)
        return;
    c->messages.len = c->undo;
    c->messages.data[c->undo] = 0;
    if (c->undo)
        c->messages.data[c->undo - 1] = ']';
}

static void print_figures(const chat *c, const irori_generation *g)
{
    if (!c->editor || g->completion_tokens == 0)
        return;
    printf("\033[2m%zu tokens", g->completion_tokens);
    if (g->completion_tokens > 1 && g->decode_seconds > 0)
        printf(", %.1f a second", (double)(g->completion_tokens - 1) / g->decode_seconds);
    printf(", first after %.0f ms%s\033[0m\n", g->first_token_seconds * 1e3,
           g->finish == IRORI_FINISH_CANCELED ? ", stopped"
           : g->finish == IRORI_FINISH_LENGTH ? ", cut short: -n or --ctx is reached"
                                              : "");
}

// Asks and prints the answer. A question that could not be answered is forgotten.
static int answer(chat *c, const char *text)
{
    irori_error e;
    irori_generation g = {0};
    c->undo = c->messages.len;
    cli_message(&c->messages, "user", text, strlen(text));
    char record[17];
    cli_interrupt(c->s);
    int rc = cli_record_request(c->o, "chat", text, strlen(text), record, &e);
    if (!rc)
        rc = cli_add_chat(c->m, c->s, &c->messages, NULL, &e);
    reply_begin(&c->said, c->s, false);
    if (!rc)
        rc = irori_session_generate(c->s, cli_max_tokens(c->o), reply_piece, &c->said, &g, &e);
    reply_end(&c->said);
    if (!rc)
        rc = cli_record_answer(c->o, record, "", &g, &c->said.text, &e);
    putchar('\n');
    if (rc) {
        take_back(c);
        if (rc != IRORI_CANCELED)
            cli_fail(&e);
        if (rc == IRORI_LIMIT && c->editor)
            fprintf(stderr, "irori: /new starts a new conversation\n");
    } else {
        cli_message(&c->messages, "assistant", c->said.text.len ? c->said.text.data : "", c->said.text.len);
        print_figures(c, &g);
    }
    if (reply_failed(&c->said) || c->messages.failed) {
        fprintf(stderr, "irori: out of memory for the conversation\n");
        rc = IRORI_NOMEM;
    }
    return rc && rc != IRORI_CANCELED ? CLI_FAILED : CLI_OK;
}

static int help(chat *c, const char *argument)
{
    (void)c, (void)argument;
    printf("/again         answer the last message once more\n"
           "/new           forget the conversation\n"
           "/system TEXT   set the system message and start anew; no TEXT: none\n"
           "/help          this list\n"
           "/quit          leave (also Ctrl-D)\n"
           "Ctrl-C stops an answer, or empties the line. Pasted text may have several lines.\n");
    return CLI_OK;
}

static int new_conversation(chat *c, const char *argument)
{
    (void)argument;
    start_anew(c);
    printf("a new conversation\n");
    return CLI_OK;
}

static int set_system(chat *c, const char *argument)
{
    mem_free(c->system);
    c->system = argument[0] ? mem_strndup(MEM_OTHER, argument, strlen(argument)) : NULL;
    start_anew(c);
    printf("%s, a new conversation\n", c->system ? "system message set" : "no system message");
    return CLI_OK;
}

static int again(chat *c, const char *argument)
{
    (void)argument;
    if (!c->last) {
        printf("nothing was asked yet\n");
        return CLI_OK;
    }
    take_back(c);
    return answer(c, c->last);
}

// A line that begins with a slash. *leave: it was /quit.
static int command(chat *c, char *line, bool *leave)
{
    static const struct {
        const char *name;
        int (*run)(chat *c, const char *argument);
    } commands[] = {{"/again", again}, {"/new", new_conversation}, {"/system", set_system}, {"/help", help}};
    size_t n = strlen(line);
    while (n > 0 && line[n - 1] == ' ')
        line[--n] = 0;
    size_t name = strcspn(line, " ");
    const char *argument = line + name + strspn(line + name, " ");
    *leave = strcmp(line, "/quit") == 0;
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (strlen(commands[i].name) == name && memcmp(commands[i].name, line, name) == 0)
            return commands[i].run(c, argument);
    if (!*leave)
        printf("no command \"%.*s\"; /help lists them\n", (int)name, line);
    return CLI_OK;
}

// The next line without its end (mem_free it).
static enum line_result next_line(chat *c, char **text)
{
    if (c->editor) {
        cli_interrupt(NULL);
        return line_read(c->editor, text);
    }
    char *line = NULL;
    size_t cap = 0;
    ssize_t n = getline(&line, &cap, stdin);
    while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
        n--;
    *text = n < 0 ? NULL : mem_strndup(MEM_OTHER, line, (size_t)n);
    free(line);
    return *text ? LINE_TEXT : LINE_END;
}

// --history, or irori/history in the user's state folder, made when missing.
static void find_history(chat *c)
{
    if (c->o->history) {
        snprintf(c->history, sizeof c->history, "%s", c->o->history);
        return;
    }
    char folder[4000];
    if (os_state_dir("irori", folder, sizeof folder) && os_make_dirs(folder))
        snprintf(c->history, sizeof c->history, "%s/history", folder);
}

// At a terminal a failed answer is only told; from a file it is the exit status.
static int talk(chat *c)
{
    int failed = CLI_OK;
    for (bool leave = false; !leave && !ferror(stdout);) {
        char *line;
        enum line_result got = next_line(c, &line);
        if (got == LINE_END)
            break;
        if (got == LINE_DROPPED || !line[0]) {
            mem_free(line);
            continue;
        }
        int rc;
        if (line[0] == '/') {
            rc = command(c, line, &leave);
            mem_free(line);
        } else {
            mem_free(c->last);
            c->last = line;
            rc = answer(c, line);
        }
        failed = rc && !c->editor ? rc : failed;
    }
    if (c->editor)
        putchar('\n');
    return failed;
}

static int converse(chat *c)
{
    irori_error e;
    irori_sampling sampling = cli_sampling(c->o);
    irori_model_info info;
    irori_model_get_info(c->m, &info);
    if (!info.has_chat_template) {
        fprintf(stderr, "irori: %s has no chat template; use `irori run --raw`\n", c->o->model);
        return CLI_FAILED;
    }
    if (irori_session_new(&c->s, c->m, &sampling, &e) || cli_speculate(c->o, c->draft, c->s, &e) ||
        cli_set_grammar(c->o, c->m, c->s, &e))
        return cli_fail(&e);
    if (c->o->system)
        c->system = mem_strndup(MEM_OTHER, c->o->system, strlen(c->o->system));
    start_anew(c);
    if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {
        find_history(c);
        c->editor = line_open("> ", c->history);
        printf("%s, %s, on %s. /help for help.\n", info.name[0] ? info.name : c->o->model, info.quantization,
               info.device);
    }
    return talk(c);
}

int cmd_chat(const cli_options *o)
{
    chat c = {.o = o};
    int rc = cli_open(o, 0, 0, &c.m);
    if (!rc)
        rc = cli_open_draft(o, &c.draft);
    if (!rc)
        reply_init(&c.said, c.m, o->model, true);
    if (!rc)
        rc = converse(&c);
    reply_free(&c.said);
    line_close(c.editor);
    mem_free(c.last);
    mem_free(c.system);
    buf_done(&c.messages);
    irori_session_free(c.s);
    irori_model_close(c.draft);
    irori_model_close(c.m);
    return rc;
}
