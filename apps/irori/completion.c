// Shell completion scripts, from the tables.
#include <stdio.h>
#include <string.h>

#include "cli.h"

static void option_words(const cli_command *c, const char *separator)
{
    for (size_t i = 0; i < cli_option_count; i++)
        if (cli_takes(c, &cli_option_table[i]))
            printf("%s--%s", separator, cli_option_table[i].name);
}

static void bash(void)
{
    printf("# bash completion for irori\n_irori()\n{\n    local word=${COMP_WORDS[COMP_CWORD]} options=\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        COMPREPLY=($(compgen -W \"");
    for (size_t i = 0; i < cli_command_count; i++)
        printf("%s%s", i ? " " : "", cli_commands[i].name);
    printf("\" -- \"$word\"))\n        return\n    fi\n    case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        printf("    %s) options=\"", cli_commands[i].name);
        option_words(&cli_commands[i], " ");
        printf("\" ;;\n");
    }
    printf("    esac\n    case $word in\n    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n"
           "    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n    esac\n}\n"
           "complete -o filenames -F _irori irori\n");
}

static void zsh(void)
{
    printf("#compdef irori\nlocal -a commands\ncommands=(\n");
    for (size_t i = 0; i < cli_command_count; i++)
        printf("  '%s:%s'\n", cli_commands[i].name, cli_commands[i].summary);
    printf(")\nif (( CURRENT == 2 )); then\n  _describe command commands\n  return\nfi\ncase $words[2] in\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        printf("%s) _arguments '*:file:_files'", cli_commands[i].name);
        for (size_t j = 0; j < cli_option_count; j++) {
            const cli_option *o = &cli_option_table[j];
            if (!cli_takes(&cli_commands[i], o))
                continue;
            // Colons and brackets are the shell's own inside a description; these help texts have quotes of neither.
            printf(" '--%s[", o->name);
            for (const char *s = o->help; *s; s++)
                printf(*s == ':' || *s == '[' || *s == ']' ? "\\%c" : *s == '\'' ? "'\\%c'" : "%c", *s);
            printf("]%s%s'", o->argument ? ":" : "", o->argument ? o->argument : "");
            if (o->argument && strcmp(o->argument, "FILE") == 0)
                printf("\"::_files\"");
        }
        printf(" ;;\n");
    }
    printf("esac\n");
}

static void fish(void)
{
    printf("# fish completion for irori\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        const cli_command *c = &cli_commands[i];
        printf("complete -c irori -n __fish_use_subcommand -a %s -d '%s'\n", c->name, c->summary);
        for (size_t j = 0; j < cli_option_count; j++) {
            const cli_option *o = &cli_option_table[j];
            if (!cli_takes(c, o))
                continue;
            printf("complete -c irori -n '__fish_seen_subcommand_from %s' -l %s", c->name, o->name);
            if (o->letter)
                printf(" -s %c", o->letter);
            printf("%s -d '", o->argument ? " -r" : "");
            for (const char *s = o->help; *s; s++)
                printf(*s == '\'' ? "\\%c" : "%c", *s);
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
