/* SPDX-License-Identifier: Apache-2.0 */
#include "common/pipe/pipe.h"
#include "tests/unit/support/unit.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/base/buf.h"
#include "common/base/clock.h"

struct bytes {
    uint8_t *data;
    size_t len;
};

static uint64_t random_state;
static uint32_t next_random(void) {
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

/* Half of it compresses, half does not. */
static struct bytes make_bytes(size_t len, uint64_t seed) {
    struct bytes b = {mem_alloc(len + 1), len};
    random_state = seed;
    for (size_t i = 0; i < len; i++)
        b.data[i] = i / 65536 % 2 ? (uint8_t)next_random() : (uint8_t)(i / 97);
    return b;
}

/* ---- sources and sinks ---- */

struct source_state {
    const uint8_t *data;
    size_t len, at;
    size_t most; /* bytes per call; 0: as many as asked */
    size_t fail_at; /* SIZE_MAX: never */
};

static ssize_t source_read(void *user, void *dst, size_t len, struct err *err) {
    struct source_state *s = user;
    if (s->at >= s->fail_at)
        return err_set(err, ERR_STORE, "source broke at %zu", s->at);
    size_t n = s->len - s->at;
    if (n > len)
        n = len;
    if (s->most && n > s->most)
        n = 1 + next_random() % s->most;
    if (n > s->len - s->at)
        n = s->len - s->at;
    if (n)
        memcpy(dst, s->data + s->at, n);
    s->at += n;
    return (ssize_t)n;
}

struct sink_state {
    struct buf out;
    unsigned calls;
    unsigned fail_at_call; /* 0: never */
    size_t largest_plain;
};

static int sink_write(void *user, const void *bytes, size_t len, size_t plain_len, struct err *err) {
    struct sink_state *s = user;
    if (++s->calls == s->fail_at_call)
        return err_set(err, ERR_SPACE, "sink is full");
    if (plain_len > s->largest_plain)
        s->largest_plain = plain_len;
    assert_true(buf_append(&s->out, bytes, len));
    return 0;
}

static void sink_init(struct sink_state *s) {
    *s = (struct sink_state){0};
    buf_init(&s->out, SIZE_MAX / 4);
}

static int write_bytes(const struct pipe_spec *spec, struct bytes in, size_t most, struct sink_state *to,
                       struct pipe_result *result, struct err *err) {
    struct source_state s = {.data = in.data, .len = in.len, .most = most, .fail_at = SIZE_MAX};
    struct pipe_source source = {.read = source_read, .user = &s};
    struct pipe_sink sink = {.write = sink_write, .user = to};
    return pipe_write_run(spec, &source, &sink, NULL, result, err);
}

static int read_bytes(const struct pipe_spec *spec, const void *stored, size_t len, size_t most, const struct pipe_expect *expect,
                      struct sink_state *to, struct pipe_result *result, struct err *err) {
    struct source_state s = {.data = stored, .len = len, .most = most, .fail_at = SIZE_MAX};
    struct pipe_source source = {.read = source_read, .user = &s};
    struct pipe_sink sink = {.write = sink_write, .user = to};
    return pipe_read_run(spec, &source, &sink, NULL, expect, result, err);
}

static struct pipe_expect expect_of(const struct pipe_result *r) {
    return (struct pipe_expect){.known = true,
                                .plain_bytes = r->plain_bytes,
                                .stored_bytes = r->stored_bytes,
                                .plain_sha256 = r->plain_sha256,
                                .stored_sha256 = r->stored_sha256};
}

/* ---- round trips ---- */

static void round_trip(const char *codec, int level, size_t record, size_t len, size_t most) {
    struct err err = {0};
    struct bytes in = make_bytes(len, len + 1);
    struct pipe_spec spec = {.codec = codec, .level = level, .record_bytes = record};
    struct sink_state stored, plain;
    sink_init(&stored);
    sink_init(&plain);
    struct pipe_result w, r;
    assert_succeeds(write_bytes(&spec, in, most, &stored, &w, &err), err);
    assert_int_equal(w.plain_bytes, len);
    assert_int_equal(w.stored_bytes, stored.out.len);
    assert_true(stored.largest_plain <= record);
    struct hash want;
    assert_succeeds(hash_of(in.data, len, &want, &err), err);
    assert_true(hash_eq(&want, &w.plain_sha256));
    assert_succeeds(hash_of(stored.out.data ? stored.out.data : "", stored.out.len, &want, &err), err);
    assert_true(hash_eq(&want, &w.stored_sha256));
    struct pipe_expect expect = expect_of(&w);
    assert_succeeds(read_bytes(&spec, stored.out.data, stored.out.len, most, &expect, &plain, &r, &err), err);
    assert_int_equal(plain.out.len, len);
    if (len)
        assert_memory_equal(plain.out.data, in.data, len);
    assert_int_equal(r.records, w.records);
    buf_done(&stored.out);
    buf_done(&plain.out);
    mem_free(in.data);
}

static void test_round_trips(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 131072, 1000000, 3 * 1024 * 1024 + 17};
    static const size_t most[] = {0, 1000, 70000};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        for (size_t j = 0; j < ARRAY_LEN(most); j++) {
            round_trip("none", 0, 65536, sizes[i], most[j]);
            round_trip("zstd", 1, 65536, sizes[i], most[j]);
            round_trip("zstd", 3, 1024 * 1024, sizes[i], most[j]);
            round_trip("none", 0, PIPE_RECORD_BYTES_MAX, sizes[i], most[j]);
        }
    round_trip("zstd", 0, PIPE_RECORD_BYTES_MAX, 9 * 1024 * 1024, 0);
}

static void test_same_bytes_twice_give_the_same_object(void **state) {
    (void)state;
    struct err err = {0};
    struct bytes in = make_bytes(400000, 5);
    struct pipe_spec spec = {.codec = "zstd", .record_bytes = 65536};
    struct sink_state one, two;
    sink_init(&one);
    sink_init(&two);
    struct pipe_result a, b;
    assert_succeeds(write_bytes(&spec, in, 0, &one, &a, &err), err);
    assert_succeeds(write_bytes(&spec, in, 777, &two, &b, &err), err);
    assert_int_equal(one.out.len, two.out.len);
    assert_memory_equal(one.out.data, two.out.data, one.out.len);
    buf_done(&one.out);
    buf_done(&two.out);
    mem_free(in.data);
}

static void write_file(const char *path, const void *data, size_t len) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

/* The object without encryption is what the standard tool reads, the empty one too. */
static void test_zstd_tool_reads_it(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 10, 300000};
    char *dir = unit_tmpdir();
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct err err = {0};
        struct bytes in = make_bytes(sizes[i], 9);
        struct pipe_spec spec = {.codec = "zstd", .record_bytes = 65536};
        struct sink_state stored;
        sink_init(&stored);
        struct pipe_result w;
        assert_succeeds(write_bytes(&spec, in, 0, &stored, &w, &err), err);
        char *zst = mem_printf("%s/o.zst", dir), *raw = mem_printf("%s/raw", dir);
        write_file(zst, stored.out.data, stored.out.len);
        write_file(raw, in.data, in.len);
        char *command = mem_printf("zstd -q -t %s && zstd -q -d -c %s | cmp - %s", zst, zst, raw);
        assert_int_equal(system(command), 0);
        mem_free(command);
        mem_free(zst);
        mem_free(raw);
        buf_done(&stored.out);
        mem_free(in.data);
    }
    unit_rm(dir);
}

/* What the tool wrote in one frame of unknown size is not ours, and says so. */
static void test_foreign_frames(void **state) {
    (void)state;
    struct err err = {0};
    struct pipe_spec spec = {.codec = "zstd"};
    struct sink_state plain;
    sink_init(&plain);
    struct pipe_result r;
    static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0};
    assert_fails(read_bytes(&spec, skippable, sizeof(skippable), 0, NULL, &plain, &r, &err), err, ERR_CORRUPT, "no zstd frame");
    static const uint8_t unknown_size[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0x01, 0x00, 0x00};
    assert_fails(read_bytes(&spec, unknown_size, sizeof(unknown_size), 0, NULL, &plain, &r, &err), err, ERR_CORRUPT,
                 "without its size");
    buf_done(&plain.out);
}

/* ---- damage ---- */

static void test_every_flipped_byte_is_found(void **state) {
    (void)state;
    struct err err = {0};
    struct bytes in = make_bytes(150000, 3);
    const char *codecs[] = {"none", "zstd"};
    for (size_t c = 0; c < 2; c++) {
        struct pipe_spec spec = {.codec = codecs[c], .record_bytes = 65536};
        struct sink_state stored;
        sink_init(&stored);
        struct pipe_result w, r;
        assert_succeeds(write_bytes(&spec, in, 0, &stored, &w, &err), err);
        struct pipe_expect expect = expect_of(&w);
        for (size_t i = 0; i < stored.out.len; i += 1 + i / 40) {
            struct sink_state plain;
            sink_init(&plain);
            stored.out.data[i] ^= 0x10;
            err_clear(&err);
            assert_int_equal(read_bytes(&spec, stored.out.data, stored.out.len, 0, &expect, &plain, &r, &err), -1);
            assert_int_equal(err.class, ERR_CORRUPT);
            stored.out.data[i] ^= 0x10;
            buf_done(&plain.out);
        }
        buf_done(&stored.out);
    }
    mem_free(in.data);
}

static void test_truncated_reordered_and_longer(void **state) {
    (void)state;
    struct err err = {0};
    struct bytes in = make_bytes(4 * 65536, 3);
    const char *codecs[] = {"none", "zstd"};
    for (size_t c = 0; c < 2; c++) {
        struct pipe_spec spec = {.codec = codecs[c], .record_bytes = 65536};
        struct sink_state stored, plain;
        sink_init(&stored);
        sink_init(&plain);
        struct pipe_result w, r;
        assert_succeeds(write_bytes(&spec, in, 0, &stored, &w, &err), err);
        struct pipe_expect expect = expect_of(&w);
        size_t len = stored.out.len;
        for (size_t cut = 1; cut < len; cut += len / 50) {
            buf_reset(&plain.out);
            assert_fails(read_bytes(&spec, stored.out.data, len - cut, 0, &expect, &plain, &r, &err), err, ERR_CORRUPT, "");
        }
        char *twice = mem_alloc(2 * len);
        memcpy(twice, stored.out.data, len);
        memcpy(twice + len, stored.out.data, len);
        buf_reset(&plain.out);
        assert_fails(read_bytes(&spec, twice, 2 * len, 0, &expect, &plain, &r, &err), err, ERR_CORRUPT, "stored bytes");
        memmove(twice, stored.out.data + len / 2, len / 2);
        memcpy(twice + len / 2, stored.out.data, len - len / 2);
        buf_reset(&plain.out);
        assert_fails(read_bytes(&spec, twice, len, 0, &expect, &plain, &r, &err), err, ERR_CORRUPT, "");
        mem_free(twice);
        buf_done(&stored.out);
        buf_done(&plain.out);
    }
    mem_free(in.data);
}

static void test_parts_say_where_the_damage_is(void **state) {
    (void)state;
    struct err err = {0};
    struct bytes in = make_bytes(300000, 3);
    struct pipe_part_expect parts[3] = {{.stored_bytes = 100000}, {.stored_bytes = 100000}, {.stored_bytes = 100000}};
    for (size_t i = 0; i < 3; i++)
        assert_succeeds(hash_of(in.data + i * 100000, 100000, &parts[i].stored_sha256, &err), err);
    struct pipe_expect expect = {.parts = parts, .part_count = 3};
    struct pipe_spec spec = {.codec = "none", .record_bytes = 65536};
    struct sink_state plain;
    sink_init(&plain);
    struct pipe_result r;
    assert_succeeds(read_bytes(&spec, in.data, in.len, 0, &expect, &plain, &r, &err), err);
    in.data[150000] ^= 1;
    assert_fails(read_bytes(&spec, in.data, in.len, 0, &expect, &plain, &r, &err), err, ERR_CORRUPT,
                 "part 2 (stored bytes 100000 to 200000)");
    in.data[150000] ^= 1;
    assert_fails(read_bytes(&spec, in.data, 250000, 0, &expect, &plain, &r, &err), err, ERR_CORRUPT, "ends in part 3 of 3");
    expect.part_count = 2;
    assert_fails(read_bytes(&spec, in.data, in.len, 0, &expect, &plain, &r, &err), err, ERR_CORRUPT, "after its last part");
    buf_done(&plain.out);
    mem_free(in.data);
}

/* ---- failures on the way ---- */

static void test_failing_source_and_sink(void **state) {
    (void)state;
    struct err err = {0};
    struct bytes in = make_bytes(500000, 3);
    for (unsigned call = 1; call <= 8; call++) {
        struct sink_state to;
        sink_init(&to);
        to.fail_at_call = call;
        struct pipe_spec spec = {.codec = "zstd", .record_bytes = 65536};
        struct pipe_result w = {.records = 99};
        assert_fails(write_bytes(&spec, in, 0, &to, &w, &err), err, ERR_SPACE, "sink is full");
        assert_int_equal(w.records, 99); /* untouched */
        buf_done(&to.out);
    }
    for (size_t at = 0; at < 500000; at += 60000) {
        struct sink_state to;
        sink_init(&to);
        struct source_state s = {.data = in.data, .len = in.len, .most = 5000, .fail_at = at};
        struct pipe_source source = {.read = source_read, .user = &s};
        struct pipe_sink sink = {.write = sink_write, .user = &to};
        struct pipe_spec spec = {.codec = "none", .record_bytes = 65536};
        struct pipe_result w;
        assert_fails(pipe_write_run(&spec, &source, &sink, NULL, &w, &err), err, ERR_STORE, "source broke");
        assert_int_equal(to.out.len % 65536, 0); /* whole records only */
        buf_done(&to.out);
    }
    mem_free(in.data);
}

struct watcher {
    atomic_bool cancel;
    uint64_t cancel_at, last;
    unsigned calls;
};

static void watch(void *user, const struct pipe_progress *progress) {
    struct watcher *w = user;
    assert_true(progress->plain_bytes > w->last);
    w->last = progress->plain_bytes;
    w->calls++;
    if (w->cancel_at && progress->plain_bytes >= w->cancel_at)
        atomic_store(&w->cancel, true);
}

static void test_progress_and_cancel(void **state) {
    (void)state;
    struct err err = {0};
    struct bytes in = make_bytes(10 * 65536, 3);
    struct watcher w = {0};
    struct source_state s = {.data = in.data, .len = in.len, .fail_at = SIZE_MAX};
    struct pipe_source source = {.read = source_read, .user = &s};
    struct sink_state to;
    sink_init(&to);
    struct pipe_sink sink = {.write = sink_write, .user = &to};
    struct pipe_control control = {.progress = watch, .user = &w, .cancel = &w.cancel};
    struct pipe_spec spec = {.codec = "zstd", .record_bytes = 65536};
    struct pipe_result result;
    assert_succeeds(pipe_write_run(&spec, &source, &sink, &control, &result, &err), err);
    assert_int_equal(w.calls, 10);
    assert_int_equal(w.last, in.len);
    w = (struct watcher){.cancel_at = 3 * 65536};
    s.at = 0;
    assert_fails(pipe_write_run(&spec, &source, &sink, &control, &result, &err), err, ERR_CANCELLED, "cancelled");
    assert_true(w.last < 6 * 65536);
    buf_done(&to.out);
    mem_free(in.data);
}

static void test_cancel_while_waiting_for_the_rate(void **state) {
    (void)state;
    struct err err = {0};
    struct bytes in = make_bytes(4 * 65536, 3);
    struct watcher w = {.cancel_at = 1};
    struct rate rate;
    rate_init(&rate, 100); /* hours for each record */
    struct source_state s = {.data = in.data, .len = in.len, .fail_at = SIZE_MAX};
    struct pipe_source source = {.read = source_read, .user = &s};
    struct sink_state to;
    sink_init(&to);
    struct pipe_sink sink = {.write = sink_write, .user = &to};
    struct pipe_control control = {.progress = watch, .user = &w, .cancel = &w.cancel, .rate = &rate};
    struct pipe_spec spec = {.codec = "none", .record_bytes = 65536};
    struct pipe_result result;
    int64_t before = clock_mono_us();
    assert_fails(pipe_write_run(&spec, &source, &sink, &control, &result, &err), err, ERR_CANCELLED, "cancelled");
    assert_true(clock_mono_us() - before < 30 * CLOCK_SECOND);
    rate_done(&rate);
    buf_done(&to.out);
    mem_free(in.data);
}

static void test_rate_answers(void **state) {
    (void)state;
    struct rate rate;
    rate_init(&rate, 1000000);
    assert_int_equal(rate_take(&rate, 250000, 1000), 0); /* the bucket */
    int64_t wait = rate_take(&rate, 500000, 1000); /* half a second's worth */
    assert_in_range(wait, 500000, 500002);
    assert_in_range(rate_take(&rate, 0, 251000), 250000, 250002);
    assert_int_equal(rate_take(&rate, 0, 501002), 0);
    assert_in_range(rate_take(&rate, 1000000, 100000000), 750000,
                    750002); /* never more than the bucket, however long it was idle */
    rate_set(&rate, 0);
    assert_int_equal(rate_take(&rate, UINT32_MAX, 100000000), 0);
    rate_done(&rate);
}

static void test_files(void **state) {
    (void)state;
    struct err err = {0};
    char *dir = unit_tmpdir();
    char *path = mem_printf("%s/f", dir);
    struct bytes in = make_bytes(3 * 1024 * 1024 + 5, 8);
    write_file(path, in.data, in.len);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    struct sink_state to;
    sink_init(&to);
    struct pipe_sink sink = {.write = sink_write, .user = &to};
    struct pipe_source source = {.fd = fd, .drop_cache = true};
    struct pipe_spec spec = {.codec = "none"};
    struct pipe_result w;
    assert_succeeds(pipe_write_run(&spec, &source, &sink, NULL, &w, &err), err);
    assert_int_equal(to.out.len, in.len);
    assert_memory_equal(to.out.data, in.data, in.len);
    close(fd);
    source.fd = fd; /* closed: the error names the byte */
    assert_fails(pipe_write_run(&spec, &source, &sink, NULL, &w, &err), err, ERR_IO, "read at byte 0");
    source.fd = open(dir, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    assert_fails(pipe_write_run(&spec, &source, &sink, NULL, &w, &err), err, ERR_IO, "directory");
    close(source.fd);
    buf_done(&to.out);
    mem_free(in.data);
    mem_free(path);
    unit_rm(dir);
}

static void test_specs(void **state) {
    (void)state;
    struct err err = {0};
    struct bytes in = make_bytes(10, 1);
    struct sink_state to;
    sink_init(&to);
    struct pipe_result w;
    struct pipe_spec spec = {.codec = "lz4"};
    assert_fails(write_bytes(&spec, in, 0, &to, &w, &err), err, ERR_UNSUPPORTED, "codec 'lz4' is not in this version");
    spec = (struct pipe_spec){.codec = "zstd", .record_bytes = 5};
    assert_fails(write_bytes(&spec, in, 0, &to, &w, &err), err, ERR_CONFIG, "record size 5");
    spec = (struct pipe_spec){.codec = "zstd", .level = 50};
    assert_fails(write_bytes(&spec, in, 0, &to, &w, &err), err, ERR_CONFIG, "level 50");
    assert_int_equal(pipe_record_bytes(1), PIPE_RECORD_BYTES_MAX);
    assert_int_equal(pipe_record_bytes(8), 512 * 1024);
    for (unsigned n = 1; n < 64; n++)
        assert_true(pipe_record_bytes(n) * 4 * n <= 24u * 1024 * 1024 || pipe_record_bytes(n) == PIPE_RECORD_BYTES_MIN);
    assert_null(to.out.data);
    mem_free(in.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_same_bytes_twice_give_the_same_object),
        cmocka_unit_test(test_zstd_tool_reads_it),
        cmocka_unit_test(test_foreign_frames),
        cmocka_unit_test(test_every_flipped_byte_is_found),
        cmocka_unit_test(test_truncated_reordered_and_longer),
        cmocka_unit_test(test_parts_say_where_the_damage_is),
        cmocka_unit_test(test_failing_source_and_sink),
        cmocka_unit_test(test_progress_and_cancel),
        cmocka_unit_test(test_cancel_while_waiting_for_the_rate),
        cmocka_unit_test(test_rate_answers),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_specs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
