// Any JSON value.
#include <string.h>

#include "gram/machine.h"

static const char grammar[] =
    "root ::= ws value\n"
    "value ::= object | array | string | number | \"true\" | \"false\" | \"null\"\n"
    "object ::= \"{\" ws (pair (ws \",\" ws pair)* ws)? \"}\"\n"
    "pair ::= string ws \":\" ws value\n"
    "array ::= \"[\" ws (value (ws \",\" ws value)* ws)? \"]\"\n"
    "string ::= \"\\\"\" ([^\\\"\\\\\\x00-\\x1F] | \"\\\\\" ([\\\"\\\\/bfnrt] | \"u\" [0-9a-fA-F]{4}))* \"\\\"\"\n"
    "number ::= \"-\"? (\"0\" | [1-9] [0-9]*) (\".\" [0-9]+)? ([eE] [-+]? [0-9]+)?\n"
    "ws ::= [ \\t\\n\\r]{0,32}\n";

int gram_compile_json(gram **out, const gram_vocab *v, gram_lead lead, err *e)
{
    return gram_compile_gbnf(out, v, lead, grammar, sizeof grammar - 1, e);
}

int gram_compile_json_schema(gram **out, const gram_vocab *v, gram_lead lead, const char *schema, size_t n,
                             err *e)
{
    (void)v, (void)lead, (void)schema, (void)n;
    *out = NULL;
    return err_set(e, ST_UNSUPPORTED, "JSON schemas are not supported");
}
