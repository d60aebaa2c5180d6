/* SPDX-License-Identifier: Apache-2.0 */
#include "common/pipe/filter.h"
#include "common/pipe/hash.h"
#include "tests/unit/support/unit.h"

static void test_names(void **state) {
    (void)state;
    struct err err = {0};
    const struct filter_ops *ops;
    int level;
    assert_succeeds(filter_parse("none", &ops, &level, &err), err);
    assert_ptr_equal(ops, &filter_none);
    assert_succeeds(filter_parse("zstd:19", &ops, &level, &err), err);
    assert_ptr_equal(ops, &filter_zstd);
    assert_int_equal(level, 19);
    assert_fails(filter_parse("zstd:20", &ops, &level, &err), err, ERR_CONFIG, "from 1 to 19");
    assert_fails(filter_parse("zstd:", &ops, &level, &err), err, ERR_CONFIG, "from 1 to 19");
    assert_fails(filter_parse("zstd:fast", &ops, &level, &err), err, ERR_CONFIG, "from 1 to 19");
    assert_fails(filter_parse("none:1", &ops, &level, &err), err, ERR_CONFIG, "has no level");
    assert_fails(filter_parse("zst", &ops, &level, &err), err, ERR_CONFIG, "Did you mean 'zstd'?");
    assert_fails(filter_parse("", &ops, &level, &err), err, ERR_CONFIG, "Available: none, zstd");
    assert_fails(filter_parse("gzip:6", &ops, &level, &err), err, ERR_UNSUPPORTED, "'gzip' is not in this version");
    assert_fails(filter_find("aes-256-gcm", &ops, &err), err, ERR_UNSUPPORTED, "aes-256-gcm");
}

/* The frame walk must agree with the library whatever the pieces are. */
static void test_zstd_scan_in_pieces(void **state) {
    (void)state;
    struct err err = {0};
    struct filter *forward, *inverse;
    struct filter_params params = {.record_bytes = 65536};
    assert_succeeds(filter_zstd.open(&params, &forward, &err), err);
    params.inverse = true;
    assert_succeeds(filter_zstd.open(&params, &inverse, &err), err);
    size_t cap = filter_zstd.stored_bound(forward, 300000), len = 0, frame;
    uint8_t *stored = mem_alloc(3 * cap), *plain = mem_alloc(300000);
    size_t ends[4], count = 0;
    static const size_t sizes[] = {0, 1, 300, 300000}; /* headers of all lengths; the last has several blocks */
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        for (size_t j = 0; j < sizes[i]; j++)
            plain[j] = (uint8_t)(j * j >> 3);
        assert_succeeds(filter_zstd.process(forward, plain, sizes[i], stored + len, cap, &frame, &err), err);
        ends[count++] = len += frame;
    }
    for (size_t piece = 1; piece < 70; piece += 3) {
        size_t at = 0, found = 0;
        while (at < len) {
            size_t used, give = len - at < piece ? len - at : piece;
            bool end;
            assert_succeeds(filter_zstd.scan(inverse, stored + at, give, &used, &end, &err), err);
            assert_true(used <= give);
            at += used;
            if (end)
                assert_int_equal(at, ends[found++]);
        }
        assert_int_equal(found, count);
    }
    assert_succeeds(filter_zstd.finish(inverse, NULL, 0, &len, &err), err);
    mem_free(stored);
    mem_free(plain);
    filter_zstd.free(forward);
    filter_zstd.free(inverse);
    filter_zstd.free(NULL);
}

static void test_scan_of_anything_ends(void **state) {
    (void)state;
    uint8_t bytes[64];
    for (unsigned seed = 0; seed < 20000; seed++) {
        srand(seed);
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)rand();
        memcpy(bytes, "\x28\xb5\x2f\xfd", 4);
        struct err err = {0};
        struct filter *f;
        struct filter_params params = {.record_bytes = 65536, .inverse = true};
        assert_succeeds(filter_zstd.open(&params, &f, &err), err);
        size_t used;
        bool end;
        for (size_t at = 0; at < sizeof(bytes); at += used) {
            if (filter_zstd.scan(f, bytes + at, sizeof(bytes) - at, &used, &end, &err) < 0) {
                assert_int_equal(err.class, ERR_CORRUPT);
                break;
            }
            assert_true(used > 0);
        }
        filter_zstd.free(f);
    }
}

static void test_hash(void **state) {
    (void)state;
    struct err err = {0};
    struct hash h;
    char text[HASH_TEXT_MAX];
    assert_succeeds(hash_of("abc", 3, &h, &err), err);
    assert_string_equal(hash_format(text, &h), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    struct hash_run *run;
    assert_succeeds(hash_begin(&run, &err), err);
    for (int i = 0; i < 2; i++) { /* a run starts again */
        struct hash again;
        assert_succeeds(hash_update(run, "a", 1, &err), err);
        assert_succeeds(hash_update(run, "bc", 2, &err), err);
        assert_succeeds(hash_take(run, &again, &err), err);
        assert_true(hash_eq(&h, &again));
    }
    hash_free(run);
    hash_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_zstd_scan_in_pieces),
        cmocka_unit_test(test_scan_of_anything_ends),
        cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
