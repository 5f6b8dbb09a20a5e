// strftime_now: dates in English whatever the process's locale.
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tmpl/rt.h"

static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                   "Thursday", "Friday", "Saturday"};
static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                     "July",    "August",   "September", "October", "November", "December"};

static void put(strbuf *b, const char *fmt, int n)
{
    char x[24];
    snprintf(x, sizeof x, fmt, n);
    tmpl_sb_puts(b, x);
}

// Week of the year, weeks beginning on day `first` (0 = Sunday); days before the first such day are week 0.
static int week(const struct tm *t, int first)
{
    return (t->tm_yday + 7 - (t->tm_wday - first + 7) % 7) / 7;
}

static void date_parts(rt *r, strbuf *b, const char *fmt, const struct tm *t);

// One conversion; `pad` is false for the form without padding ("%-d"). False: not known.
static bool convert(rt *r, strbuf *b, char c, bool pad, const struct tm *t)
{
    const char *two = pad ? "%02d" : "%d";
    int hour = t->tm_hour % 12 ? t->tm_hour % 12 : 12;
    switch (c) {
    case 'Y': put(b, "%d", t->tm_year + 1900); break;
    case 'y': put(b, two, t->tm_year % 100); break;
    case 'm': put(b, two, t->tm_mon + 1); break;
    case 'd': put(b, two, t->tm_mday); break;
    case 'e': put(b, pad ? "%2d" : "%d", t->tm_mday); break;
    case 'H': put(b, two, t->tm_hour); break;
    case 'I': put(b, two, hour); break;
    case 'M': put(b, two, t->tm_min); break;
    case 'S': put(b, two, t->tm_sec); break;
    case 'f': tmpl_sb_puts(b, "000000"); break;
    case 'j': put(b, pad ? "%03d" : "%d", t->tm_yday + 1); break;
    case 'U': put(b, two, week(t, 0)); break;
    case 'W': put(b, two, week(t, 1)); break;
    case 'w': put(b, "%d", t->tm_wday); break;
    case 'u': put(b, "%d", t->tm_wday ? t->tm_wday : 7); break;
    case 'A': tmpl_sb_puts(b, days[t->tm_wday]); break;
    case 'a': tmpl_sb_add(b, days[t->tm_wday], 3, TMPL_TRUSTED); break;
    case 'B': tmpl_sb_puts(b, months[t->tm_mon]); break;
    case 'b':
    case 'h': tmpl_sb_add(b, months[t->tm_mon], 3, TMPL_TRUSTED); break;
    case 'p': tmpl_sb_puts(b, t->tm_hour < 12 ? "AM" : "PM"); break;
    case 'n': tmpl_sb_puts(b, "\n"); break;
    case 't': tmpl_sb_puts(b, "\t"); break;
    case 'Z':
    case 'z': break;  // a time without zone, as Python's datetime.now()
    case '%': tmpl_sb_puts(b, "%"); break;
    case 'F': date_parts(r, b, "%Y-%m-%d", t); break;
    case 'T':
    case 'X': date_parts(r, b, "%H:%M:%S", t); break;
    case 'R': date_parts(r, b, "%H:%M", t); break;
    case 'D':
    case 'x': date_parts(r, b, "%m/%d/%y", t); break;
    case 'c': date_parts(r, b, "%a %b %e %H:%M:%S %Y", t); break;
    default: return false;
    }
    return true;
}

static void date_parts(rt *r, strbuf *b, const char *fmt, const struct tm *t)
{
    for (; *fmt; fmt++) {
        if (*fmt != '%') {
            tmpl_sb_add(b, fmt, 1, TMPL_TRUSTED);
            continue;
        }
        bool pad = *++fmt != '-';
        fmt += !pad;
        if (!*fmt || !convert(r, b, *fmt, pad, t))
            tmpl_fail(&r->h, ST_UNSUPPORTED, "strftime_now does not know %%%c", *fmt ? *fmt : '?');
    }
}

const str *tmpl_strftime(rt *r, const str *format, int64_t now)
{
    time_t seconds = (time_t)now;
    struct tm t;
    if (!localtime_r(&seconds, &t) || t.tm_year > 8099 || t.tm_year < -1899)
        tmpl_fail(&r->h, ST_INVALID, "the time %lld is outside the years 1 to 9999", (long long)now);
    strbuf b = tmpl_sb(&r->h);
    date_parts(r, &b, tmpl_str_c(&r->h, format), &t);
    if (tmpl_str_origin(format) == TMPL_DATA)
        memset(b.o, TMPL_DATA, b.n);
    return tmpl_sb_done(&b);
}
