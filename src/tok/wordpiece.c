// WordPiece as BERT's uncased models use it: accents and case are dropped, words are cut at white space,
// around punctuation and around each Chinese character, and each word is covered greedily, the longest piece
// first.
//
// In GGUF the pieces that begin a word carry U+2581 (here: a space) and the "##" of the others is gone.
#include <string.h>
#include <utf8proc.h>

#include "tok/own.h"

enum { WORD_CHARS = 100 };  // a longer word is unknown, as in BERT's own tokenizer

int tok_wordpiece_load(tok *t, err *e)
{
    if (t->unk < 0)
        return err_set(e, ST_FORMAT,
                       "tokenizer.ggml.unknown_token_id is missing: a WordPiece vocabulary needs it");
    t->space_prefix = true;  // the first word's piece carries a space that the text did not have
    return tok_unigram_load_pieces(t, e);
}

static bool is_chinese(uint32_t c)
{
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
           (c >= 0x2A700 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

enum sort { LETTER, SPACE, ALONE, DROPPED };

static enum sort sort_of(uint32_t c)
{
    if (c == '\t' || c == '\n' || c == '\r')
        return SPACE;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return SPACE;
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_MN: return DROPPED;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO: return ALONE;
    default: break;
    }
    // BERT counts every ASCII character that is no letter or digit as punctuation.
    bool symbol = c < 0x80 && !((c | 32) >= 'a' && (c | 32) <= 'z') && !(c >= '0' && c <= '9');
    if (c == 0xFFFD)
        return DROPPED;
    return symbol || is_chinese(c) ? ALONE : LETTER;
}

static int cover(tok_enc *c, const char *s, size_t n)
{
    const tok *t = c->t;
    size_t first = c->out->count;
    for (size_t i = 0; i < n;) {
        uint32_t node = 0;
        int32_t id = -1;
        size_t end = i;
        for (size_t k = i; k < n && (node = tok_trie_step(&t->pieces, node, (unsigned char)s[k])); k++) {
            if (t->pieces.value[node] < 0 || (i == 0 && k == 0))
                continue;  // the space alone is no beginning of a word
            id = t->pieces.value[node];
            end = k + 1;
        }
        int rc = id >= 0 ? tok_enc_id(c, id) : ST_OK;
        if (rc)
            return rc;
        if (id < 0) {
            c->out->count = first;
            return tok_enc_id(c, t->unk);
        }
        i = end;
    }
    return ST_OK;
}

// Ends the word in c->text (a space and its characters) and begins the next.
static int end_word(tok_enc *c, size_t *chars)
{
    int rc = ST_OK;
    if (c->text.failed)
        return tok_enc_nomem(c);
    if (*chars > WORD_CHARS)
        rc = tok_enc_id(c, c->t->unk);
    else if (*chars)
        rc = cover(c, c->text.data, c->text.len);
    *chars = 0;
    buf_clear(&c->text);
    buf_add_char(&c->text, ' ');
    return rc;
}

// One character of a decomposition.
static int add(tok_enc *c, uint32_t cp, size_t *chars)
{
    enum sort sort = sort_of(cp);
    int rc = ST_OK;
    if (sort == DROPPED)
        return ST_OK;
    if (sort != LETTER)
        rc = end_word(c, chars);
    if (rc || sort == SPACE)
        return rc;
    char utf8[4];
    uint32_t lower = (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp);
    if (*chars <= WORD_CHARS)  // what is longer is unknown whatever it is
        buf_add(&c->text, utf8, utf8_encode(lower, utf8));
    ++*chars;
    return sort == ALONE ? end_word(c, chars) : ST_OK;
}

int tok_wordpiece_encode(tok_enc *c, const char *s, size_t n)
{
    size_t chars = 0;
    int rc = end_word(c, &chars);
    for (size_t i = 0; i < n && !rc;) {
        uint32_t cp = 0;
        size_t len = utf8_decode(s + i, n - i, &cp);
        i += len ? len : 1;
        if (!len)
            continue;  // BERT drops what is no character
        utf8proc_int32_t parts[32];
        int boundary = 0;
        utf8proc_ssize_t k = utf8proc_decompose_char((utf8proc_int32_t)cp, parts, COUNT_OF(parts),
                                                     UTF8PROC_DECOMPOSE, &boundary);
        for (utf8proc_ssize_t j = 0; j < k && j < (utf8proc_ssize_t)COUNT_OF(parts) && !rc; j++)
            rc = add(c, (uint32_t)parts[j], &chars);
    }
    return rc ? rc : end_word(c, &chars);
}
