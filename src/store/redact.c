// What looks personal becomes a word in brackets. Meant to err on the side of hiding: a long number that is no telephone's
// goes too.
#include <string.h>

#include "store/audit.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool in_local_part(char c)
{
    return is_alnum(c) || (c && strchr(".!#$%&'*+/=?^_`{|}~-", c));
}

// The length of "host.domain" at s; 0 when it is none.
static size_t domain_length(const char *s, size_t n)
{
    size_t k = 0, dot = 0;
    while (k < n && (is_alnum(s[k]) || s[k] == '-' || s[k] == '.')) {
        if (s[k] == '.' && k > 0 && k + 1 < n && is_alnum(s[k + 1]))
            dot = k;
        k++;
    }
    while (k > 0 && !is_alnum(s[k - 1]))
        k--;
    return dot && dot < k ? k : 0;
}

// Luhn's check, which all card numbers pass (ISO/IEC 7812).
static bool passes_luhn(const char *s, size_t n)
{
    int sum = 0, place = 0;
    for (size_t i = n; i-- > 0;)
        if (is_digit(s[i])) {
            int d = s[i] - '0';
            d = place++ % 2 ? d * 2 : d;
            sum += d > 9 ? d - 9 : d;
        }
    return sum % 10 == 0;
}

// The length of a number with its separators at s, and its digits.
static size_t number_length(const char *s, size_t n, int *digits)
{
    size_t k = 0, end = 0;
    *digits = 0;
    for (int gap = 0; k < n && gap < 3; k++) {
        if (is_digit(s[k])) {
            (*digits)++;
            end = k + 1;
            gap = 0;
        } else if (s[k] && strchr(" -.()/", s[k])) {
            gap++;
        } else if (!(s[k] == '+' && k == 0)) {
            break;
        }
    }
    return end;
}

void store_redact(const char *text, size_t n, buf *out)
{
    size_t start = out->len;
    for (size_t i = 0; i < n;) {
        int digits;
        size_t k;
        if (text[i] == '@' && (k = domain_length(text + i + 1, n - i - 1)) && out->len > start &&
            in_local_part(out->data[out->len - 1])) {
            while (out->len > start && in_local_part(out->data[out->len - 1]))
                out->len--;
            buf_add_str(out, "[e-mail]");
            i += 1 + k;
            continue;
        }
        bool begins = is_digit(text[i]) ||
                      ((text[i] == '+' || text[i] == '(') && i + 1 < n && is_digit(text[i + 1]));
        if (begins && (i == 0 || !is_alnum(text[i - 1])) && (k = number_length(text + i, n - i, &digits)) &&
            (i + k == n || !is_alnum(text[i + k]))) {
            if (digits >= 13 && digits <= 19 && passes_luhn(text + i, k)) {
                buf_add_str(out, "[card]");
                i += k;
                continue;
            }
            if (digits >= 9 || (text[i] == '+' && digits >= 7)) {
                buf_add_str(out, "[number]");
                i += k;
                continue;
            }
        }
        buf_add_char(out, text[i++]);
    }
}
