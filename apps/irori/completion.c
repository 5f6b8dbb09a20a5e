// Shell completion scripts, from the tables.
#include <stdio.h>
#include <string.h>

#include "cli.h"

// What may stand first after the command, as words with spaces around; "" where it is a file.
static void print_first_words(const cli_command *c)
{
    if (c->run == cmd_help) {
        for (size_t i = 0; i < cli_command_count; i++)
            printf("%s ", cli_commands[i].name);
    } else if (c->run == cmd_completion || c->run == cmd_eval) {
        for (const char *s = c->arguments; *s && *s != ' '; s++)
            putchar(*s == '|' ? ' ' : *s);
    }
}

static void bash(void)
{
    printf(
        "# bash completion for irori\n_irori()\n{\n    local word=${COMP_WORDS[COMP_CWORD]} options= first=\n"
        "    COMPREPLY=()\n    case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        printf("    %s)\n        options=\"", cli_commands[i].name);
        for (size_t j = 0; j < cli_option_count; j++)
            if (cli_takes(&cli_commands[i], &cli_option_table[j]))
                printf("--%s ", cli_option_table[j].name);
        printf("\"\n        first=\"");
        print_first_words(&cli_commands[i]);
        printf("\" ;;\n");
    }
    printf("    esac\n    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        options=\"");
    for (size_t i = 0; i < cli_command_count; i++)
        printf("%s ", cli_commands[i].name);
    // With no reply the shell completes files by itself, spaces in names included.
    printf(
        "\"\n    elif [ \"$COMP_CWORD\" -eq 2 ] && [ \"${word#-}\" = \"$word\" ] && [ -n \"$first\" ]; then\n"
        "        options=$first\n    elif [ \"${word#-}\" = \"$word\" ]; then\n        return\n    fi\n"
        "    local IFS=$' \\t\\n'\n    COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n}\n"
        "complete -o default -F _irori irori\n");
}

// Text inside single quotes: a quote ends them, stands escaped, and they begin again; `more` takes a backslash.
static void quoted(const char *s, const char *more)
{
    for (; *s; s++) {
        if (*s == '\'')
            printf("'\\''");
        else if (strchr(more, *s))
            printf("\\%c", *s);
        else
            putchar(*s);
    }
}

static void zsh_option(const cli_option *o)
{
    printf(" \\\n    ");
    if (o->letter)
        printf("'(-%c --%s)'{-%c,--%s}'[", o->letter, o->name, o->letter, o->name);
    else
        printf("'--%s[", o->name);
    quoted(o->help, ":[]\\");
    printf("]");
    if (o->argument)
        printf(":%s:%s", o->argument, strcmp(o->argument, "FILE") == 0 ? "_files" : "");
    printf("'");
}

static void zsh(void)
{
    printf("#compdef irori\nlocal -a commands\ncommands=(\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        printf("  '%s:", cli_commands[i].name);
        quoted(cli_commands[i].summary, ":\\");
        printf("'\n");
    }
    printf(
        ")\nif (( CURRENT == 2 )); then\n  _describe command commands\n  return\nfi\nshift words\n(( CURRENT-- ))\n"
        "case $words[1] in\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        const cli_command *c = &cli_commands[i];
        printf("%s) _arguments", c->name);
        if (c->run == cmd_help || c->run == cmd_completion || c->run == cmd_eval) {
            printf(" '1:what:(");
            print_first_words(c);
            printf(")'");
        }
        printf(" '*:file:_files'");
        for (size_t j = 0; j < cli_option_count; j++)
            if (cli_takes(c, &cli_option_table[j]))
                zsh_option(&cli_option_table[j]);
        printf(" ;;\n");
    }
    printf("esac\n");
}

static void fish(void)
{
    printf("# fish completion for irori\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        const cli_command *c = &cli_commands[i];
        printf("complete -c irori -n __fish_use_subcommand -f -a %s -d '", c->name);
        quoted(c->summary, "\\");
        printf("'\n");
        if (c->run == cmd_help || c->run == cmd_completion || c->run == cmd_eval) {
            printf("complete -c irori -n '__fish_seen_subcommand_from %s' -a '", c->name);
            print_first_words(c);
            printf("'\n");
        }
        for (size_t j = 0; j < cli_option_count; j++) {
            const cli_option *o = &cli_option_table[j];
            if (!cli_takes(c, o))
                continue;
            printf("complete -c irori -n '__fish_seen_subcommand_from %s' -l %s", c->name, o->name);
            if (o->letter)
                printf(" -s %c", o->letter);
            printf("%s -d '", o->argument ? " -r" : "");
            quoted(o->help, "\\");
            printf("'\n");
        }
    }
}

int cli_completion(const char *shell)
{
    if (strcmp(shell, "bash") == 0) {
        bash();
    } else if (strcmp(shell, "zsh") == 0) {
        zsh();
    } else if (strcmp(shell, "fish") == 0) {
        fish();
    } else {
        fprintf(stderr, "irori completion: shell is \"%s\", allowed bash, zsh, fish\n", shell);
        return CLI_USAGE;
    }
    return CLI_OK;
}
