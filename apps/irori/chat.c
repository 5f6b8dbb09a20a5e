// irori chat: a conversation in the terminal.
#include <editline/readline.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

typedef struct chat {
    const cli_options *o;
    irori_session *s;
    buf messages;  // JSON array; empty before the first message
    size_t undo;   // its length before the last user message, for /again
    char *last;    // the last user message
    char system[4096];
    char history[4096];  // path; empty: none
    bool terminal;
} chat;

static bool on_piece(void *ctx, int32_t id, const char *text, size_t n)
{
    (void)id;
    buf_add(ctx, text, n);
    fwrite(text, 1, n, stdout);
    return fflush(stdout) == 0;
}

static void start_anew(chat *c)
{
    buf_clear(&c->messages);
    c->messages.len = 0;
    irori_session_truncate(c->s, 0, NULL);
    if (c->system[0])
        cli_message(&c->messages, "system", c->system, strlen(c->system));
    c->undo = c->messages.len;
}

// Back to before the last question, closing the JSON array again.
static void take_back(chat *c)
{
    c->messages.len = c->undo;
    if (c->undo)
        c->messages.data[c->undo - 1] = ']';
}

static int answer(chat *c, const char *text)
{
    irori_error e;
    irori_generation g = {0};
    buf said;
    buf_init(&said);
    c->undo = c->messages.len;
    cli_message(&c->messages, "user", text, strlen(text));
    cli_interrupt(c->s);
    int rc = irori_session_add_chat(c->s, c->messages.data, NULL, NULL, &e);
    if (!rc)
        rc = irori_session_generate(c->s, (size_t)c->o->max_tokens, on_piece, &said, &g, &e);
    cli_interrupt(NULL);
    putchar('\n');
    if (rc && rc != IRORI_CANCELED) {
        cli_fail(&e);
        take_back(c);
        if (rc == IRORI_LIMIT)
            fprintf(stderr, "irori: /new starts a new conversation\n");
    } else {
        cli_message(&c->messages, "assistant", said.len ? said.data : "", said.len);
        if (c->terminal && g.completion_tokens > 1)
            printf("\033[2m%zu tokens, %.1f a second, first after %.0f ms%s\033[0m\n", g.completion_tokens,
                   (double)(g.completion_tokens - 1) / g.decode_seconds, g.first_token_seconds * 1e3,
                   cli_interrupted() ? ", stopped" : "");
    }
    buf_done(&said);
    return rc == IRORI_NOMEM || c->messages.failed ? CLI_FAILED : CLI_OK;
}

static void help(void)
{
    printf("/again         answer the last message once more\n"
           "/new           forget the conversation\n"
           "/system TEXT   set the system message and start anew; no TEXT: none\n"
           "/help          this list\n"
           "/quit          leave (also Ctrl-D); Ctrl-C stops an answer\n");
}

// A line that begins with a slash. True: leave.
static bool command(chat *c, const char *line)
{
    if (strcmp(line, "/quit") == 0)
        return true;
    if (strcmp(line, "/help") == 0) {
        help();
    } else if (strcmp(line, "/new") == 0) {
        start_anew(c);
        printf("a new conversation\n");
    } else if (strncmp(line, "/system", 7) == 0 && (line[7] == 0 || line[7] == ' ')) {
        snprintf(c->system, sizeof c->system, "%s", line[7] ? line + 8 : "");
        start_anew(c);
        printf(c->system[0] ? "system message set, a new conversation\n"
                            : "no system message, a new conversation\n");
    } else if (strcmp(line, "/again") == 0) {
        if (!c->last) {
            printf("nothing was asked yet\n");
            return false;
        }
        take_back(c);
        return answer(c, c->last) != CLI_OK;
    } else {
        printf("no such command; /help lists them\n");
    }
    return false;
}

// The next line without its end; NULL at the end of input. mem_free it.
static char *next_line(chat *c)
{
    if (c->terminal) {
        char *line = readline("> ");
        if (!line)
            return NULL;
        if (line[0] && c->history[0])
            add_history(line);
        char *copy = mem_strndup(MEM_OTHER, line, strlen(line));
        free(line);
        return copy;
    }
    char *line = NULL;
    size_t cap = 0;
    ssize_t n = getline(&line, &cap, stdin);
    while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
        n--;
    char *copy = n < 0 ? NULL : mem_strndup(MEM_OTHER, line, (size_t)n);
    free(line);
    return copy;
}

// --history, or irori/history in the user's state folder, made when missing.
static void find_history(chat *c)
{
    if (c->o->history) {
        snprintf(c->history, sizeof c->history, "%s", c->o->history);
        return;
    }
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char folder[4000];
    if (state && state[0])
        snprintf(folder, sizeof folder, "%s", state);
    else if (home && home[0])
        snprintf(folder, sizeof folder, "%s/.local/state", home);
    else
        return;
    for (char *at = folder + 1; *at; at++)  // each parent, then the whole
        if (*at == '/') {
            *at = 0;
            mkdir(folder, 0700);
            *at = '/';
        }
    mkdir(folder, 0700);
    snprintf(c->history, sizeof c->history, "%s/irori", folder);
    if (mkdir(c->history, 0700) != 0 && errno != EEXIST)
        c->history[0] = 0;
    else
        snprintf(c->history, sizeof c->history, "%s/irori/history", folder);
}

static void talk(chat *c)
{
    for (bool leave = false; !leave;) {
        char *line = next_line(c);
        if (!line)
            break;
        if (line[0] == '/') {
            leave = command(c, line);
            mem_free(line);
        } else if (line[0]) {
            mem_free(c->last);
            c->last = line;
            leave = answer(c, line) != CLI_OK;
        } else {
            mem_free(line);
        }
    }
    if (c->terminal)
        putchar('\n');
}

int cmd_chat(const cli_options *o)
{
    irori_model *m;
    irori_error e;
    if (cli_open(o, 0, 0, &m))
        return CLI_FAILED;
    chat c = {.o = o, .terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)};
    irori_sampling sampling = cli_sampling(o);
    int rc = CLI_OK;
    irori_model_info info;
    irori_model_get_info(m, &info);
    if (!info.has_chat_template) {
        fprintf(stderr, "irori: %s has no chat template; use `irori run --raw`\n", o->model);
        rc = CLI_FAILED;
    } else if (irori_session_new(&c.s, m, &sampling, &e)) {
        rc = cli_fail(&e);
    } else {
        if (o->system)
            snprintf(c.system, sizeof c.system, "%s", o->system);
        start_anew(&c);
        if (c.terminal) {
            printf("%s, %s, on %s. /help for help.\n", info.name, info.quantization, info.device);
            find_history(&c);
            if (c.history[0])
                read_history(c.history);
        }
        talk(&c);
        if (c.history[0] && write_history(c.history) == 0)
            chmod(c.history, 0600);  // what was typed is nobody else's
    }
    mem_free(c.last);
    buf_done(&c.messages);
    irori_session_free(c.s);
    irori_model_close(m);
    return rc;
}
