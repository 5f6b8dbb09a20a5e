// The line editor of `irori chat`.
//
// Ctrl-C is a key here, not a signal: while a line is edited the terminal makes no SIGINT of it, so it can empty the
// line without leaving libedit half way. Terminals that can are asked to bracket what is pasted (xterm's mode 2004);
// its line ends then stay in the line instead of sending it.
#include "line.h"

#include <histedit.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "base/base.h"

struct line_editor {
    EditLine *el;
    History *history;
    const char *prompt, *history_file;  // borrowed
    bool dropped;                       // Ctrl-C ended the line
};

static const wchar_t PASTE_END[] = L"\033[201~";

static char *prompt_of(EditLine *el)
{
    line_editor *l;
    el_get(el, EL_CLIENTDATA, &l);
    return (char *)(uintptr_t)l->prompt;  // libedit does not write to it
}

// Every key is input, also those that make signals otherwise; and so from before the prompt is shown, where libedit
// alone would switch over only at the first read.
static void edit_mode(EditLine *el)
{
    struct termios t;
    el_set(el, EL_PREP_TERM, 1);
    if (tcgetattr(STDIN_FILENO, &t) == 0) {
        t.c_lflag &= ~(tcflag_t)ISIG;
        tcsetattr(STDIN_FILENO, TCSANOW, &t);
    }
}

static unsigned char on_ctrl_c(EditLine *el, int key)
{
    (void)key;
    line_editor *l;
    el_get(el, EL_CLIENTDATA, &l);
    l->dropped = true;
    fputs("^C\n", stdout);
    fflush(stdout);
    return CC_NEWLINE;
}

// The terminal does not stop the program for this key while a line is edited; so it stops itself.
static unsigned char on_ctrl_z(EditLine *el, int key)
{
    (void)key;
    el_set(el, EL_PREP_TERM, 0);
    raise(SIGTSTP);
    edit_mode(el);
    return CC_REDISPLAY;
}

// Everything up to the end of the paste becomes part of the line.
static unsigned char on_paste(EditLine *el, int key)
{
    (void)key;
    size_t matched = 0;
    wchar_t c;
    while (PASTE_END[matched] && el_wgetc(el, &c) == 1) {
        if (c == PASTE_END[matched]) {
            matched++;
            continue;
        }
        for (size_t i = 0; i < matched; i++)  // it only looked like the end
            el_winsertstr(el, (wchar_t[]){PASTE_END[i], 0});
        matched = c == PASTE_END[0];
        if (!matched)
            el_winsertstr(el, (wchar_t[]){c == L'\r' ? L'\n' : c, 0});
    }
    return CC_REFRESH;
}

// libedit reads characters in the locale's encoding; what is typed here is UTF-8 in any case.
static void use_utf8(void)
{
    setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX < 2)
        setlocale(LC_CTYPE, "C.UTF-8");
}

static void bind_keys(EditLine *el)
{
    static const char *const keys[][2] = {
        {"^R", "em-inc-search-prev"},  {"\\e[1;5C", "em-next-word"},
        {"\\e[1;5D", "ed-prev-word"},  {"\\e[H", "ed-move-to-beg"},
        {"\\e[F", "ed-move-to-end"},   {"\\e[1~", "ed-move-to-beg"},
        {"\\e[4~", "ed-move-to-end"},  {"\\e[3~", "ed-delete-next-char"},
        {"^W", "ed-delete-prev-word"}, {"^C", "irori-drop"},
        {"^Z", "irori-stop"},          {"\\e[200~", "irori-paste"},
    };
    // By the wide call, which keeps these texts; the narrow one makes copies that libedit never frees.
    el_wset(el, EL_ADDFN, L"irori-drop", L"forget the line", on_ctrl_c);
    el_wset(el, EL_ADDFN, L"irori-stop", L"stop the program", on_ctrl_z);
    el_wset(el, EL_ADDFN, L"irori-paste", L"insert pasted text", on_paste);
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        el_set(el, EL_BIND, keys[i][0], keys[i][1], NULL);
}

line_editor *line_open(const char *prompt, const char *history_file)
{
    use_utf8();
    line_editor *l = mem_calloc(MEM_OTHER, 1, sizeof *l);
    if (!l)
        return NULL;
    *l = (line_editor){.prompt = prompt, .history_file = history_file};
    HistEvent ev;
    l->el = el_init("irori", stdin, stdout, stderr);
    l->history = history_init();
    if (!l->el || !l->history) {
        line_close(l);
        return NULL;
    }
    el_set(l->el, EL_CLIENTDATA, l);
    el_set(l->el, EL_PROMPT, prompt_of);
    el_set(l->el, EL_SIGNAL, 1);  // the terminal is put right when a signal ends or stops the program
    el_set(l->el, EL_EDITOR, "emacs");
    bind_keys(l->el);
    history(l->history, &ev, H_SETSIZE, 1000);
    history(l->history, &ev, H_SETUNIQUE, 1);
    el_set(l->el, EL_HIST, history, l->history);
    el_source(l->el, NULL);  // the user's ~/.editrc
    if (history_file[0])
        history(l->history, &ev, H_LOAD, history_file);
    return l;
}

void line_close(line_editor *l)
{
    if (!l)
        return;
    if (l->el)
        el_end(l->el);
    if (l->history)
        history_end(l->history);
    mem_free(l);
}

enum line_result line_read(line_editor *l, char **text)
{
    HistEvent ev;
    int n = 0;
    l->dropped = false;
    *text = NULL;
    fputs("\033[?2004h", stdout);
    fflush(stdout);
    edit_mode(l->el);
    const char *line = el_gets(l->el, &n);
    fputs("\033[?2004l", stdout);
    fflush(stdout);
    if (l->dropped)
        return LINE_DROPPED;
    if (!line || n <= 0)
        return LINE_END;
    size_t size = strlen(line);
    if (size > 0 && line[size - 1] == '\n')
        size--;
    *text = mem_strndup(MEM_OTHER, line, size);
    if (*text && size > 0) {
        history(l->history, &ev, H_ENTER, *text);
        if (l->history_file[0])
            history(l->history, &ev, H_SAVE, l->history_file);
    }
    return *text ? LINE_TEXT : LINE_END;
}
