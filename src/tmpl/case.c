// Characters: white space, case and printability as Python's str sees them (Unicode properties: utf8proc).
#include <utf8proc.h>

#include "tmpl/str.h"

bool tmpl_cp_space(uint32_t cp)
{
    return (cp >= 0x09 && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x20) || cp == 0x85 || cp == 0xA0 ||
           cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 || cp == 0x202F ||
           cp == 0x205F || cp == 0x3000;
}

bool tmpl_cp_printable(uint32_t cp)
{
    if (cp < 0x7F)
        return cp >= 0x20;
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS: return false;
    default: return true;
    }
}

bool tmpl_cp_alpha(uint32_t cp)
{
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool tmpl_cp_upper(uint32_t cp)
{
    return utf8proc_isupper((utf8proc_int32_t)cp);
}

bool tmpl_cp_lower(uint32_t cp)
{
    return utf8proc_islower((utf8proc_int32_t)cp);
}

void tmpl_sb_upper(strbuf *b, uint32_t cp, int origin)
{
    if (cp == 0xDF) {  // the one common letter whose capital is two
        tmpl_sb_add(b, "SS", 2, origin);
        return;
    }
    tmpl_sb_cp(b, (uint32_t)utf8proc_toupper((utf8proc_int32_t)cp), origin);
}

void tmpl_sb_lower(strbuf *b, uint32_t cp, int origin)
{
    tmpl_sb_cp(b, (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp), origin);
}

void tmpl_sb_title(strbuf *b, uint32_t cp, int origin)
{
    if (cp == 0xDF) {
        tmpl_sb_add(b, "Ss", 2, origin);
        return;
    }
    tmpl_sb_cp(b, (uint32_t)utf8proc_totitle((utf8proc_int32_t)cp), origin);
}

const str *tmpl_str_upper(heap *h, const str *s)
{
    strbuf b = tmpl_sb(h);
    for (size_t at = 0; at < s->n;) {
        int o = s->o[at];
        tmpl_sb_upper(&b, tmpl_str_next(s, &at), o);
    }
    return tmpl_sb_done(&b);
}

const str *tmpl_str_lower(heap *h, const str *s)
{
    strbuf b = tmpl_sb(h);
    for (size_t at = 0; at < s->n;) {
        int o = s->o[at];
        tmpl_sb_lower(&b, tmpl_str_next(s, &at), o);
    }
    return tmpl_sb_done(&b);
}

const str *tmpl_str_capitalize(heap *h, const str *s)
{
    strbuf b = tmpl_sb(h);
    for (size_t at = 0; at < s->n;) {
        int o = s->o[at];
        bool first = at == 0;
        uint32_t cp = tmpl_str_next(s, &at);
        if (first)
            tmpl_sb_title(&b, cp, o);
        else
            tmpl_sb_lower(&b, cp, o);
    }
    return tmpl_sb_done(&b);
}
