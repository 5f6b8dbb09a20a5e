// --help and the manual page, from the tables.
#include <stdio.h>
#include <string.h>

#include "cli.h"

enum { ARGUMENTS = 17 };  // columns

void cli_help_all(void)
{
    printf("irori %s: language models on this machine\n\nusage: irori COMMAND [ARGUMENTS]\n\n",
           irori_version());
    for (size_t i = 0; i < cli_command_count; i++) {
        const cli_command *c = &cli_commands[i];
        bool fits = strlen(c->arguments) <= ARGUMENTS;  // else what it does stands on a line of its own
        printf("  %-11s %-*s", c->name, ARGUMENTS, c->arguments);
        if (!fits)
            printf("\n%*s", ARGUMENTS + 14, "");
        printf(" %s\n", c->summary);
    }
    printf("\n`irori help COMMAND` tells more. `irori --version` prints the version.\n");
}

// Text broken at `width`, each line after `indent` spaces.
static void wrapped(const char *text, int indent, int width)
{
    int column = indent;
    printf("%*s", indent, "");
    for (const char *at = text; *at;) {
        int n = (int)strcspn(at, " ");
        if (column > indent && column + 1 + n > width) {
            printf("\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        printf("%.*s", n, at);
        column += n;
        at += n;
        while (*at == ' ')
            at++;
    }
    putchar('\n');
}

void cli_help_command(const cli_command *c)
{
    printf("usage: irori %s %s [OPTIONS]\n\n%s\n", c->name, c->arguments, c->summary);
    if (c->details) {
        putchar('\n');
        wrapped(c->details, 0, 100);
    }
    printf("\noptions:\n");
    for (size_t i = 0; i < cli_option_count; i++) {
        const cli_option *o = &cli_option_table[i];
        if (!cli_takes(c, o))
            continue;
        char left[48], letter[8] = "    ";
        if (o->letter)
            snprintf(letter, sizeof letter, "-%c, ", o->letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->argument ? " " : "",
                 o->argument ? o->argument : "");
        printf("  %-28s %s\n", left, o->help);
    }
}

// Text for roff: backslashes and leading dots are its own, hyphens must stay hyphens.
static void roff(const char *s)
{
    for (; *s; s++) {
        if (*s == '\\')
            fputs("\\e", stdout);
        else if (*s == '-')
            fputs("\\-", stdout);
        else
            putchar(*s);
    }
}

void cli_man_page(void)
{
    printf(
        ".TH IRORI 1 \"\" \"irori %s\" \"User Commands\"\n.SH NAME\nirori \\- run language models on this machine\n"
        ".SH SYNOPSIS\n.B irori\n.I COMMAND\n[ARGUMENTS]\n.SH DESCRIPTION\n"
        "Runs language models in GGUF files on the processor. Nothing leaves the machine.\n.SH COMMANDS\n",
        irori_version());
    for (size_t i = 0; i < cli_command_count; i++) {
        const cli_command *c = &cli_commands[i];
        printf(".TP\n.B irori %s \\fI", c->name);
        roff(c->arguments);
        printf("\\fR\n");
        roff(c->summary);
        printf(".\n");
        if (c->details) {
            roff(c->details);
            putchar('\n');
        }
        printf(".br\nOptions:");
        bool first = true;
        for (size_t j = 0; j < cli_option_count; j++)
            if (cli_takes(c, &cli_option_table[j])) {
                printf("%s \\-\\-", first ? "" : ",");
                roff(cli_option_table[j].name);
                first = false;
            }
        printf(".\n");
    }
    printf(".SH OPTIONS\n");
    for (size_t i = 0; i < cli_option_count; i++) {
        const cli_option *o = &cli_option_table[i];
        printf(".TP\n.B ");
        if (o->letter)
            printf("\\-%c, ", o->letter);
        printf("\\-\\-");
        roff(o->name);
        if (o->argument)
            printf(" \\fI%s\\fR", o->argument);
        putchar('\n');
        roff(o->help);
        printf(".\n");
    }
    printf(
        ".SH EXIT STATUS\n0 when all went well, 1 when the work failed, 2 when the command line was wrong, 130 when\n"
        "interrupted.\n");
}
