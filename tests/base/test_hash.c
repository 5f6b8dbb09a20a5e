// Hashes and the string table.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/base.h"

static void known_values(void **state)
{
    (void)state;
    // XXH3-64 of the empty string and of "xxhash", as `xxhsum -H3` prints them.
    assert_int_equal(hash_bytes("", 0), 0x2d06800538d394c2ull);
    assert_int_equal(hash_bytes("xxhash", 6), 0xaa4c2b42ae6b13deull);
    assert_int_not_equal(hash_combine(hash_bytes("a", 1), "b", 1), hash_combine(hash_bytes("b", 1), "a", 1));
    assert_int_equal(hash_combine(7, "abc", 3), hash_combine(7, "abc", 3));
    assert_int_not_equal(hash_combine(7, "abc", 3), hash_combine(8, "abc", 3));
}

enum { MANY = 200000 };

static void many_keys(void **state)
{
    (void)state;
    static char keys[MANY][12];
    hash_map m;
    assert_int_equal(hash_map_init(&m, MEM_TOKENIZER, 0), ST_OK);  // grows from its smallest
    for (int i = 0; i < MANY; i++) {
        int n = snprintf(keys[i], sizeof keys[i], "k%d", i);
        assert_int_equal(hash_map_put(&m, keys[i], (size_t)n, i), ST_OK);
    }
    assert_int_equal(m.count, MANY);
    assert_true(m.count <= m.cap / 3 * 2);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(hash_map_get(&m, keys[i], strlen(keys[i])), i);
    assert_int_equal(hash_map_get(&m, "k200000", 7), -1);
    assert_int_equal(hash_map_get(&m, "k1", 1), -1);  // a prefix of a key is another key
    assert_int_equal(hash_map_put(&m, "k17", 3, 5), ST_OK);
    assert_int_equal(hash_map_get(&m, "k17", 3), 5);
    assert_int_equal(m.count, MANY);
    hash_map_done(&m);
    assert_int_equal(hash_map_get(&m, "k17", 3), -1);
}

static void odd_keys(void **state)
{
    (void)state;
    hash_map m;
    assert_int_equal(hash_map_init(&m, MEM_OTHER, 100), ST_OK);
    size_t cap = m.cap;
    static const char zeros[64] = {0};
    for (int n = 0; n < 64; n++)  // the same bytes, another length
        assert_int_equal(hash_map_put(&m, zeros, (size_t)n, n), ST_OK);
    assert_int_equal(m.cap, cap);  // `expected` was enough
    for (int n = 0; n < 64; n++)
        assert_int_equal(hash_map_get(&m, zeros, (size_t)n), n);
    assert_int_equal(hash_map_put(&m, NULL, 0, 1000), ST_OK);  // the empty key again
    assert_int_equal(hash_map_get(&m, "", 0), 1000);
    assert_int_equal(m.count, 64);
    hash_map_done(&m);
}

static void two_tables_place_keys_differently(void **state)
{
    (void)state;
    hash_map a, b;
    assert_int_equal(hash_map_init(&a, MEM_OTHER, 0), ST_OK);
    assert_int_equal(hash_map_init(&b, MEM_OTHER, 0), ST_OK);
    assert_true(a.seed != b.seed);
    hash_map_done(&a);
    hash_map_done(&b);
}

static void failures(void **state)
{
    (void)state;
    hash_map m;
    assert_int_equal(hash_map_init(&m, MEM_OTHER, SIZE_MAX), ST_NOMEM);
    mem_fail_nth(1);
    assert_int_equal(hash_map_init(&m, MEM_OTHER, 10), ST_NOMEM);
    assert_int_equal(hash_map_get(&m, "a", 1), -1);
    assert_int_equal(hash_map_put(&m, "a", 1, 3), ST_OK);  // the table recovers
    static char keys[100][12];
    int rc = ST_OK, i = 0;
    mem_fail_nth(1);
    for (; i < 100 && rc == ST_OK; i++) {
        snprintf(keys[i], sizeof keys[i], "%d", i);
        rc = hash_map_put(&m, keys[i], strlen(keys[i]), i);
    }
    mem_fail_nth(0);
    assert_int_equal(rc, ST_NOMEM);
    assert_int_equal(m.count, i);  // "a" and all but the last
    for (int k = 0; k < i - 1; k++)
        assert_int_equal(hash_map_get(&m, keys[k], strlen(keys[k])), k);
    assert_int_equal(hash_map_get(&m, keys[i - 1], strlen(keys[i - 1])), -1);
    assert_int_equal(hash_map_get(&m, "a", 1), 3);
    hash_map_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values), cmocka_unit_test(many_keys),
        cmocka_unit_test(odd_keys),     cmocka_unit_test(two_tables_place_keys_differently),
        cmocka_unit_test(failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
