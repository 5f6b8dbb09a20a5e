// Strings of a schema: patterns, formats, lengths.
#include <string.h>

#include "gram/schema.h"

// The formats that are checked, as expressions for whole texts, after the documents the drafts name (RFC 3339, 5321,
// 1123, 2673, 4291, 3986, 3987, 4122, 6901; ISO 8601 durations). Texts are those that every strict reader takes.
#define DAY "(0[1-9]|1[0-9]|2[0-8])"
#define DATE                                                                           \
    "([0-9]{4}-((0[1-9]|1[0-2])-" DAY "|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)" \
    "|([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[048]|[2468][048]|[13579][26])00)-02-29)"
#define TIME \
    "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
#define OCTET "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define IPV4 "(" OCTET "\\.){3}" OCTET
#define H "[0-9A-Fa-f]{1,4}"
#define IPV6                                                                                           \
    "(" H ":){7}" H "|(" H ":){1,7}:|(" H ":){1,6}:" H "|(" H ":){1,5}(:" H "){1,2}|(" H ":){1,4}(:" H \
    "){1,3}"                                                                                           \
    "|(" H ":){1,3}(:" H "){1,4}|(" H ":){1,2}(:" H "){1,5}|" H ":(:" H "){1,6}|:((:" H "){1,7}|:)"
#define LABEL "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define HOST LABEL "(\\." LABEL ")*"
#define ATOM "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
#define PCT "%[0-9A-Fa-f]{2}"
#define UCS \
    "\\u{A0}-\\u{D7FF}\\u{F900}-\\u{FDCF}\\u{FDF0}-\\u{FFEF}\\u{10000}-\\u{1FFFD}\\u{20000}-\\u{2FFFD}"
#define PCHAR(more) "([A-Za-z0-9._~!$&'()*+,;=:@" more "-]|" PCT ")"
#define AUTH(more)                                                                                \
    "(([A-Za-z0-9._~!$&'()*+,;=:" more "-]|" PCT ")*@)?(([A-Za-z0-9._~!$&'()*+,;=" more "-]|" PCT \
    ")*|\\[(" IPV6 ")\\])(:[0-9]*)?"
#define TAIL(more) "(\\?(" PCHAR(more) "|[/?])*)?(#(" PCHAR(more) "|[/?])*)?"
#define HIER(more) "(//" AUTH(more) "(/" PCHAR(more) "*)*|/(" PCHAR(more) "+(/" PCHAR(more) "*)*)?"
#define URI(more) "[A-Za-z][A-Za-z0-9+.-]*:" HIER(more) "|" PCHAR(more) "+(/" PCHAR(more) "*)*|)" TAIL(more)
#define NOCOLON(more) "([A-Za-z0-9._~!$&'()*+,;=@" more "-]|" PCT ")+(/" PCHAR(more) "*)*"
#define REF(more) URI(more) "|" HIER(more) "|" NOCOLON(more) "|)" TAIL(more)

static const struct {
    const char *name, *text;  // NULL: known, and not supported
} formats[] = {
    {"date", DATE},
    {"time", TIME},
    {"date-time", DATE "[Tt]" TIME},
    {"duration",
     "P([0-9]+W|(T[0-9]+(H([0-9]+M([0-9]+S)?)?|M([0-9]+S)?|S)"
     "|[0-9]+(Y([0-9]+M([0-9]+D)?)?|M([0-9]+D)?|D)(T[0-9]+(H([0-9]+M([0-9]+S)?)?|M([0-9]+S)?|S))?))"},
    {"email", ATOM "(\\." ATOM ")*@(" HOST ")"},
    {"hostname", "(?!.{254,})(" HOST ")"},
    {"ipv4", IPV4},
    {"ipv6", IPV6},
    {"uuid", "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"},
    {"uri", URI("")},
    {"uri-reference", REF("")},
    {"iri", URI(UCS)},
    {"iri-reference", REF(UCS)},
    {"json-pointer", "(/([^~/]|~[01])*)*"},
    {"relative-json-pointer", "(0|[1-9][0-9]*)(#|(/([^~/]|~[01])*)*)"},
    {"idn-email", NULL},
    {"idn-hostname", NULL},
    {"uri-template", NULL},
    {"regex", NULL},
};

int schema_format(schema *s, const json_t *at, const char *name, rx *out)
{
    *out = RX_ALL;
    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        if (strcmp(formats[i].name, name) != 0)
            continue;
        const char *text = formats[i].text;
        if (!text)
            return schema_fail(s, ST_UNSUPPORTED, at, "format", "names a format that is not supported");
        return pattern_compile(&s->g->rx, text, strlen(text), PATTERN_JSON, true, out, s->e);
    }
    return ST_OK;
}

int schema_pattern(schema *s, const json_t *at, const char *keyword, const char *pattern, rx *out)
{
    err why = {0};
    int rc = pattern_compile(&s->g->rx, pattern, strlen(pattern), PATTERN_JSON, false, out, &why);
    return rc ? schema_fail(s, rc, at, keyword, why.msg) : ST_OK;
}

int schema_pattern_matches(schema *s, const json_t *at, const char *pattern, const char *text)
{
    rx_pool p;
    rx all;
    err why = {0};
    int rc = rx_pool_init(&p);
    if (!rc)
        rc = pattern_compile(&p, pattern, strlen(pattern), PATTERN_TEXT, false, &all, &why);
    if (!rc) {
        rx_freeze(&p);
        rc = rx_matches(&p, all, text, strlen(text));
        rc = p.failed ? p.failed : rc;
    }
    rx_pool_done(&p);
    return rc < 0 ? schema_fail(s, rc, at, "patternProperties", why.msg[0] ? why.msg : "is too large") : rc;
}

rx schema_string_rx(schema *s, const schema_case *c)
{
    rx_pool *p = &s->g->rx;
    if (c->string == RX_ALL)
        return rx_repeat(p, s->any_char, c->min_length, c->max_length);
    if (!c->string_open && c->min_length == 0 && c->max_length == RX_MANY)
        return c->string;
    return rx_and(p, c->string, rx_repeat(p, s->short_char, c->min_length, c->max_length));
}
