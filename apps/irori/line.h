// Reading a line at the terminal with libedit: history, word-wise editing, pasted text of several lines, UTF-8.
#ifndef IRORI_LINE_H
#define IRORI_LINE_H

typedef struct line_editor line_editor;

// history: a file of earlier lines, written after each new one, readable by its owner only; "" for none. NULL when
// the terminal cannot be edited on or memory is short.
line_editor *line_open(const char *prompt, const char *history);
void line_close(line_editor *l);

enum line_result { LINE_TEXT, LINE_DROPPED, LINE_END };
// LINE_TEXT: *text without its end (mem_free it); LINE_DROPPED: Ctrl-C, what was typed is gone; LINE_END: Ctrl-D on
// an empty line, or the terminal is.
enum line_result line_read(line_editor *l, char **text);

#endif
