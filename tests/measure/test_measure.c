// Statistics, BLEU and the reader of multiple-choice sets.
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "measure/bleu.h"
#include "measure/choice.h"
#include "measure/stats.h"

static void near(double found, double wanted, double bound)
{
    if (!(fabs(found - wanted) <= bound))
        fail_msg("found %g, wanted %g", found, wanted);
}

static void test_stats(void **state)
{
    (void)state;
    samples s = {0};
    for (int i = 100; i >= 1; i--)
        samples_add(&s, i);
    stats r = stats_of(&s);
    assert_int_equal(r.n, 100);
    near(r.median, 50.5, 1e-9);
    near(r.p95, 95.05, 1e-9);
    near(r.mean, 50.5, 1e-9);
    near(r.least, 1, 0);
    near(r.most, 100, 0);
    // Of a uniform sample of n the median's standard deviation is range / (2 sqrt(n)): 1.96 of them to either side.
    near(r.low, 50.5 - 9.8, 3);
    near(r.high, 50.5 + 9.8, 3);
    samples_done(&s);
    assert_true(isnan(stats_of(&s).median));
    samples_add(&s, 7);
    r = stats_of(&s);
    near(r.median, 7, 0);
    assert_true(isnan(r.low));  // one measurement says nothing of its spread
    samples_done(&s);
}

static void test_share(void **state)
{
    (void)state;
    double low, high;
    stats_share(8, 10, &low, &high);  // by the formula, worked out by hand
    near(low, 0.4902, 1e-4);
    near(high, 0.9433, 1e-4);
    stats_share(0, 20, &low, &high);
    near(low, 0, 0);
    near(high, 0.1611, 1e-4);
}

static double bleu_of(const char *answer, const char *reference)
{
    bleu b = {0};
    assert_int_equal(bleu_add(&b, answer, strlen(answer), reference, strlen(reference), NULL), ST_OK);
    return bleu_score(&b);
}

static void test_bleu(void **state)
{
    (void)state;
    near(bleu_of("the cat sat on the mat", "the cat sat on the mat"), 100, 1e-9);
    near(bleu_of("a b c", "a b c"), 0, 0);  // there is no 4-gram
    // 6 words of 6; 5-, 4-, 3- and 2-grams by hand: 5 of 6, 3 of 5, 2 of 4, 1 of 3.
    near(bleu_of("the cat sat on a mat", "the cat sat on the mat"),
         100 * pow(5. / 6 * 3 / 5 * 2 / 4 * 1 / 3, .25), 1e-9);
    // Half as long: penalty exp(1 - 8 / 4).
    near(bleu_of("a b c d", "a b c d e f g h"), 100 * exp(-1), 1e-9);
    // A repeated word counts as often as the reference has it.
    near(bleu_of("the the the the", "the cat is on the mat now ok"), 0, 0);
    // Each character of Japanese is a word; blanks and broken bytes do no harm.
    near(bleu_of("私は学生です。", "私は 学生です。"), 100, 1e-9);
    near(bleu_of("\xff\xfe ab cd ef gh", "\xff\xfe ab cd ef gh"), 100, 1e-9);
    near(bleu_of("", "anything"), 0, 0);
}

// ---- Sets ------------------------------------------------------------------------------------------------------------
static int read_set(choice_set *s, const char *suffix, const char *text, err *e)
{
    char path[] = "/tmp/irori-choice-XXXXXX.jsonl", *dot = strrchr(path, '.');
    strcpy(dot, suffix);
    int fd = mkstemps(path, (int)strlen(suffix));
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    int rc = choice_read(s, path, e);
    unlink(path);
    return rc;
}

static void test_sets(void **state)
{
    (void)state;
    static const struct {
        const char *suffix, *text, *format, *context, *right;
        int n;
    } sets[] = {
        {".jsonl",
         "{\"question\":\"q?\",\"choice0\":\"a\",\"choice1\":\"b\",\"choice2\":\"c\",\"choice3\":\"d\",\"choice4\":\"e\",\"label\":3}",
         "JCommonsenseQA", "質問: q?\n答え: ", "d", 5},
        {".jsonl", "{\"sentence1\":\"x\",\"sentence2\":\"y\",\"label\":\"contradiction\"}\n", "JNLI",
         "前提: x\n仮説: y\n関係: ", "矛盾", 3},
        {".jsonl", "{\"sentence_good\":\"They sleep.\",\"sentence_bad\":\"They sleeps.\"}", "BLiMP", "",
         "They sleep.", 2},
        {".jsonl", "{\"ctx\":\"A man\",\"endings\":[\"sits.\",\"flies.\"],\"label\":\"1\"}", "HellaSwag",
         "A man", " flies.", 2},
        {".jsonl", "{\"question\":\"2+2?\",\"choices\":[\"3\",\"4\"],\"answer\":1}", "MMLU",
         "2+2?\nA. 3\nB. 4\nAnswer:", " B", 2},
        {".csv", "\"One, \"\"two\"\"?\",x,\"y\nz\",w,v,C\n", "MMLU",
         "One, \"two\"?\nA. x\nB. y\nz\nC. w\nD. v\nAnswer:", " C", 4},
    };
    for (size_t i = 0; i < COUNT_OF(sets); i++) {
        choice_set s;
        err e = {0};
        if (read_set(&s, sets[i].suffix, sets[i].text, &e))
            fail_msg("%s: %s", sets[i].format, e.msg);
        assert_int_equal(s.n, 1);
        assert_string_equal(s.format, sets[i].format);
        assert_string_equal(s.item[0].context, sets[i].context);
        assert_int_equal(s.item[0].n, sets[i].n);
        assert_string_equal(s.item[0].option[s.item[0].right], sets[i].right);
        choice_done(&s);
    }
}

static void test_bad_sets(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"", "no item"},
        {"\n\n", "no item"},
        {"{}", "no known set"},
        {"[1]", "no JSON object"},
        {"{\"ctx\":\"A\",\"endings\":[\"x\",\"y\"],\"label\":2}", "line 1"},
        {"{\"ctx\":\"A\",\"endings\":[\"x\",3],\"label\":0}", "line 1"},
        {"{\"ctx\":\"A\",\"endings\":[\"x\",\"y\"],\"label\":\"12\"}", "line 1"},
        {"{\"ctx\":\"A\",\"endings\":[\"x\",\"y\"],\"label\":0}\n{\"question\":\"q\",\"choices\":[\"a\",\"b\"],\"answer\":0}",
         "line 2"},
        {"{\"sentence1\":\"x\",\"sentence2\":\"y\",\"label\":\"maybe\"}", "line 1"},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        choice_set s;
        err e = {0};
        assert_int_equal(read_set(&s, ".jsonl", bad[i][0], &e), ST_FORMAT);
        if (!strstr(e.msg, bad[i][1]))
            fail_msg("\"%s\" does not say \"%s\"", e.msg, bad[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stats), cmocka_unit_test(test_share),    cmocka_unit_test(test_bleu),
        cmocka_unit_test(test_sets),  cmocka_unit_test(test_bad_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
