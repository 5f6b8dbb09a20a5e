// Properties over many random texts and vocabularies: decoding gives back the text, streaming equals decoding
// at once, the merge loop equals a plain one, a long text without a break is no worse than any other, threads
// agree.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tok/own.h"
#include "tok/small.h"

// Random text of several sorts: any bytes, valid UTF-8, a few letters, spaces.
static size_t random_text(uint64_t *seed, char *out, size_t most)
{
    size_t n = 0, want = small_random(seed) % most;
    uint32_t sort = small_random(seed) % 4;
    while (n + 4 <= want) {
        uint32_t r = small_random(seed);
        if (sort == 0)
            out[n++] = (char)r;
        else if (sort == 1)
            n += utf8_encode(r % 3 ? r % 0x3100 : r % 0x110000, out + n);
        else if (sort == 2)
            out[n++] = "helo "[r % 5];
        else
            out[n++] = " \n1h\t"[r % 5];
    }
    return n;
}

static void round_trip(void **state)
{
    (void)state;
    build b;
    uint64_t seed = 1;
    small_bpe(&b, false);
    tok *t = small_open(&b);
    for (int round = 0; round < 5000; round++) {
        char text[300];
        size_t n = random_text(&seed, text, sizeof text);
        tok_ids l = {0};
        buf out;
        buf_init(&out);
        assert_int_equal(tok_encode_append(t, &l, text, n, round & 1 ? TOK_SPECIAL : 0, NULL), 0);
        assert_int_equal(tok_decode(t, l.data, l.count, TOK_RAW | TOK_SPECIAL, &out, NULL), 0);
        assert_int_equal(out.len, n);
        if (n)
            assert_memory_equal(out.data, text, n);
        buf_done(&out);
        tok_ids_done(&l);
    }
    tok_close(t);
}

// The replacement of ill-formed parts after the table of well-formed sequences (Unicode, table 3-7), written
// without the code under test.
static void replace_plainly(const unsigned char *s, size_t n, buf *out)
{
    static const struct {
        unsigned char lead[2], second[2];
        size_t len;
    } rows[] = {
        {{0xC2, 0xDF}, {0x80, 0xBF}, 2}, {{0xE0, 0xE0}, {0xA0, 0xBF}, 3}, {{0xE1, 0xEC}, {0x80, 0xBF}, 3},
        {{0xED, 0xED}, {0x80, 0x9F}, 3}, {{0xEE, 0xEF}, {0x80, 0xBF}, 3}, {{0xF0, 0xF0}, {0x90, 0xBF}, 4},
        {{0xF1, 0xF3}, {0x80, 0xBF}, 4}, {{0xF4, 0xF4}, {0x80, 0x8F}, 4},
    };
    for (size_t i = 0; i < n;) {
        size_t row = 0, good = 1;
        if (s[i] < 0x80) {
            buf_add_char(out, (char)s[i++]);
            continue;
        }
        while (row < COUNT_OF(rows) && (s[i] < rows[row].lead[0] || s[i] > rows[row].lead[1]))
            row++;
        while (row < COUNT_OF(rows) && good < rows[row].len && i + good < n) {
            unsigned char low = good == 1 ? rows[row].second[0] : 0x80,
                          high = good == 1 ? rows[row].second[1] : 0xBF;
            if (s[i + good] < low || s[i + good] > high)
                break;
            good++;
        }
        if (row < COUNT_OF(rows) && good == rows[row].len)
            buf_add(out, s + i, good);
        else
            buf_add(out, "\xEF\xBF\xBD", 3);
        i += good;
    }
}

// Tokens of one to five bytes, cut anywhere, so that characters are split in every way.
static tok *split_vocabulary(const unsigned char *s, size_t n, uint64_t *seed, tok_ids *ids)
{
    gguf_str pieces[600];
    char store[600][16];
    size_t count = 0;
    for (size_t i = 0, len; i < n; i += len) {
        size_t k = 0;
        len = 1 + small_random(seed) % 5;
        len = MIN(len, n - i);
        for (size_t j = 0; j < len; j++)
            k += small_byte_piece(s[i + j], store[count] + k);
        pieces[count] = (gguf_str){store[count], k};
        int32_t id = (int32_t)count++;
        assert_int_equal(tok_ids_add(ids, &id, 1), 0);
    }
    pieces[count++] = (gguf_str){"x", 1};
    build b;
    build_init(&b);
    build_str(&b, "tokenizer.ggml.model", "gpt2", 4);
    build_str(&b, "tokenizer.ggml.pre", "gpt-2", 5);
    build_strs(&b, "tokenizer.ggml.tokens", pieces, count);
    build_strs(&b, "tokenizer.ggml.merges", NULL, 0);
    return small_open(&b);
}

static void streaming_never_splits(void **state)
{
    (void)state;
    static const unsigned char edges[] = {0xE0, 0x80, 0xED, 0xA0, 0xF0, 0x90, 0xF4, 0x8F,
                                          0x90, 0xC1, 0xC2, 0xE3, 0x81, 0x82, 0xF5, 0xFF,
                                          0xBF, 'a',  0xF0, 0x9F, 0xA6, 0x99, 0xEF, 0xBB};
    uint64_t seed = 3;
    for (int round = 0; round < 1500; round++) {
        unsigned char s[200];
        size_t n = small_random(&seed) % sizeof s;
        for (size_t i = 0; i < n; i++)
            s[i] = round % 2 ? edges[small_random(&seed) % sizeof edges] : (unsigned char)small_random(&seed);
        tok_ids ids = {0};
        tok *t = split_vocabulary(s, n, &seed, &ids);
        buf want, got;
        buf_init(&want);
        buf_init(&got);
        replace_plainly(s, n, &want);
        tok_stream stream;
        tok_stream_init(&stream, t, 0);
        for (size_t i = 0; i < ids.count; i++) {
            assert_int_equal(tok_stream_feed(&stream, ids.data[i], &got), 0);
            for (size_t k = 0, len; k < got.len; k += len) {  // whole characters at every moment
                uint32_t cp = 0;
                len = utf8_decode(got.data + k, got.len - k, &cp);
                assert_true(len > 0);
            }
        }
        tok_stream_end(&stream, &got);
        assert_int_equal(got.len, want.len);
        if (want.len)
            assert_memory_equal(got.data, want.data, want.len);
        buf_done(&want);
        buf_done(&got);
        tok_ids_done(&ids);
        tok_close(t);
    }
}

static void bytes_are_shown_as_soon_as_they_can_be(void **state)
{
    (void)state;
    build b;
    small_bpe(&b, false);
    tok *t = small_open(&b);
    const struct {
        int32_t byte;
        const char *shown;
    } steps[] = {
        {0xE3, ""},
        {0x81, ""},
        {0x82, "\xE3\x81\x82"},
        {'x', "x"},
        {0xF0, ""},
        {0x9F, ""},
        {'y', "\xEF\xBF\xBDy"},
        {0x80, "\xEF\xBF\xBD"},
        {0xE3, ""},
        {0xE3, "\xEF\xBF\xBD"},
        {0x81, ""},
    };
    tok_stream s;
    tok_stream_init(&s, t, 0);
    buf out;
    buf_init(&out);
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        buf_clear(&out);
        assert_int_equal(tok_stream_feed(&s, steps[i].byte, &out), 0);
        assert_int_equal(out.len, strlen(steps[i].shown));
        if (out.len)
            assert_memory_equal(out.data, steps[i].shown, out.len);
    }
    // A control token ends the character that was begun, also when it shows nothing.
    buf_clear(&out);
    assert_int_equal(tok_stream_feed(&s, tok_eos(t), &out), 0);
    assert_string_equal(out.data, "\xEF\xBF\xBD");
    buf_clear(&out);
    tok_stream_end(&s, &out);
    assert_int_equal(out.len, 0);
    assert_int_equal(tok_stream_feed(&s, -1, &out), ST_INVALID);
    buf_done(&out);
    tok_close(t);
}

// A random set of merges over four letters, and what a plain loop makes of a word: the best-ranked pair
// anywhere, the leftmost of equals, one at a time.
enum { LETTERS = 4, RULES = 40 };
struct rules {
    struct rule {
        int32_t left, right, id;
        uint32_t rank;
    } r[RULES];
    size_t n;
};

static uint32_t plain_join(const void *ctx, const tok_sym *l, const tok_sym *r, int32_t *joined)
{
    const struct rules *x = ctx;
    for (size_t i = 0; i < x->n; i++) {
        if (x->r[i].left == l->id && x->r[i].right == r->id) {
            *joined = x->r[i].id;
            return x->r[i].rank;
        }
    }
    return TOK_NO_RANK;
}

static size_t merge_plainly(const struct rules *x, tok_sym *s, size_t n)
{
    for (;;) {
        size_t at = n;
        uint32_t best = TOK_NO_RANK;
        int32_t id = -1, joined = -1;
        for (size_t i = 0; i + 1 < n; i++) {
            uint32_t rank = plain_join(x, &s[i], &s[i + 1], &joined);
            if (rank < best) {
                best = rank;
                at = i;
                id = joined;
            }
        }
        if (at == n)
            return n;
        s[at].id = id;
        memmove(&s[at + 1], &s[at + 2], (n - at - 2) * sizeof *s);
        n--;
    }
}

static void merge_loop_equals_a_plain_one(void **state)
{
    (void)state;
    uint64_t seed = 11;
    tok_merge m = {0};
    for (int round = 0; round < 3000; round++) {
        struct rules x = {.n = 1 + small_random(&seed) % RULES};
        for (size_t i = 0; i < x.n; i++) {
            int32_t known = LETTERS + (int32_t)i;
            x.r[i] = (struct rule){(int32_t)(small_random(&seed) % (uint32_t)known),
                                   (int32_t)(small_random(&seed) % (uint32_t)known), known,
                                   round % 3 ? (uint32_t)i : small_random(&seed) % 5};  // also equal ranks
        }
        tok_sym plain[120];
        size_t n = 1 + small_random(&seed) % COUNT_OF(plain);
        assert_true(tok_merge_start(&m, n));
        for (size_t i = 0; i < n; i++) {
            int32_t id = (int32_t)(small_random(&seed) % LETTERS);
            plain[i] = (tok_sym){.len = 1, .id = id};
            tok_merge_add(&m, (uint32_t)i, 1, id);
        }
        n = merge_plainly(&x, plain, n);
        assert_true(tok_merge_run(&m, plain_join, &x));
        size_t k = 0;
        for (uint32_t i = 0; i != UINT32_MAX; i = m.syms[i].next, k++) {
            assert_true(k < n);
            assert_int_equal(m.syms[i].id, plain[k].id);
        }
        assert_int_equal(k, n);
    }
    tok_merge_done(&m);
}

// A megabyte of one thing: any step that is quadratic in a word would not come back.
static void no_break_in_a_megabyte(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    static const char *const units[] = {"a",     " ",    "\n", "1",  "!",  "\xE3\x81\x82",
                                        "hello", "\xFF", "<|", "'s", " \n"};
    char *text = malloc(N + 8);
    build b;
    for (int kind = 0; kind < 2; kind++) {
        if (kind)
            small_spm(&b, false);
        else
            small_bpe(&b, false);
        tok *t = small_open(&b);
        for (size_t u = 0; u < COUNT_OF(units); u++) {
            size_t n = 0, len = strlen(units[u]);
            for (; n < N; n += len)
                memcpy(text + n, units[u], len);
            tok_ids l = {0};
            buf out;
            buf_init(&out);
            assert_int_equal(tok_encode_append(t, &l, text, n, TOK_SPECIAL, NULL), 0);
            assert_int_equal(tok_decode(t, l.data, l.count, TOK_RAW, &out, NULL), 0);
            assert_int_equal(out.len, n);
            assert_memory_equal(out.data, text, n);
            buf_done(&out);
            tok_ids_done(&l);
        }
        tok_close(t);
    }
    free(text);
}

// Long texts remember words; the ids must be those of the words alone.
static void remembered_words(void **state)
{
    (void)state;
    build b;
    uint64_t seed = 5;
    for (int kind = 0; kind < 3; kind++) {
        if (kind)
            small_spm(&b, kind == 2);
        else
            small_bpe(&b, false);
        tok *t = small_open(&b);
        tok_ids long_way = {0}, short_way = {0};
        buf text;
        buf_init(&text);
        for (int i = 0; i < 3000; i++) {
            char word[24] = "<cut>";
            size_t n = kind ? 5 : 0;
            if (!kind)
                memcpy(word, "<tool>", n = 6);
            for (uint32_t k = 1 + small_random(&seed) % 6; k > 0; k--)
                word[n++] = "abcdehlo "[small_random(&seed) % 9];
            buf_add(&text, word, n);
            assert_int_equal(tok_encode_append(t, &short_way, word, n, 0, NULL), 0);
        }
        assert_int_equal(tok_encode_append(t, &long_way, text.data, text.len, 0, NULL), 0);
        assert_int_equal(long_way.count, short_way.count);
        assert_memory_equal(long_way.data, short_way.data, long_way.count * sizeof *long_way.data);
        tok_ids_done(&long_way);
        tok_ids_done(&short_way);
        buf_done(&text);
        tok_close(t);
    }
}

struct shared {
    const tok *t;
    int bad[4];
};

static void encode_often(void *ctx, int ith, int nth)
{
    static const char text[] = "hello hello <tool> \xE3\x81\x82 111 a\xFFz";
    struct shared *s = ctx;
    size_t first = 0;
    (void)nth;
    for (int i = 0; i < 500; i++) {
        tok_ids l = {0};
        buf out;
        buf_init(&out);
        s->bad[ith] += tok_encode_append(s->t, &l, text, sizeof text - 1, TOK_SPECIAL, NULL) != 0;
        s->bad[ith] += tok_decode(s->t, l.data, l.count, TOK_RAW, &out, NULL) != 0;
        s->bad[ith] += out.len != sizeof text - 1 || (i && l.count != first);
        first = l.count;
        buf_done(&out);
        tok_ids_done(&l);
    }
}

static void threads_share_a_tokenizer(void **state)
{
    (void)state;
    build b;
    small_bpe(&b, false);
    tok *t = small_open(&b);
    struct shared s = {.t = t};
    pool *p = NULL;
    assert_int_equal(pool_new(&p, 4, false, NULL), 0);
    pool_run(p, encode_often, &s);
    pool_free(p);
    for (size_t i = 0; i < COUNT_OF(s.bad); i++)
        assert_int_equal(s.bad[i], 0);
    tok_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(streaming_never_splits),
        cmocka_unit_test(bytes_are_shown_as_soon_as_they_can_be),
        cmocka_unit_test(merge_loop_equals_a_plain_one),
        cmocka_unit_test(no_break_in_a_megabyte),
        cmocka_unit_test(remembered_words),
        cmocka_unit_test(threads_share_a_tokenizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
