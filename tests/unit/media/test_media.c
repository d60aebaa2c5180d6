/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/clock.h"
#include "common/media/media.h"
#include "tests/unit/media/make.h"

static struct err err;

struct memory {
    const uint8_t *data;
    size_t len;
    size_t fail_at; /* reads behind this fail, 0: none */
    size_t reads;
};

static int get(void *arg, uint64_t offset, void *data, size_t len, struct err *ret) {
    struct memory *m = arg;
    assert_true(offset <= m->len && len <= m->len - offset);
    m->reads++;
    if (m->fail_at && offset + len > m->fail_at)
        return err_os(ret, ERR_NONE, EIO, "read");
    memcpy(data, m->data + offset, len);
    return 0;
}

static struct media read_bytes(const void *data, size_t len) {
    struct memory memory = {.data = data, .len = len};
    struct media_source source = {.read = get, .arg = &memory, .bytes = len};
    struct media media;
    assert_succeeds(media_read(&source, &media, &err), err);
    return media;
}

static struct media read_made(const struct make *m) {
    return read_bytes(m->out.data, m->out.len);
}

static void one_log(void **state) {
    (void)state;
    struct make m;
    char text[CLOCK_TEXT_MAX];
    make_media(&m, 0x11, 99);
    make_set(&m, 1, 0x22);
    struct media media = read_made(&m);
    assert_int_equal(media.kind, MEDIA_PLAIN);
    assert_int_equal(media.problem, MEDIA_WHOLE);
    assert_int_equal(media.family_id, 99);
    assert_int_equal(media.block_bytes, 1024);
    assert_string_equal(media.software, "Microsoft SQL Server");
    assert_string_equal(clock_format(text, media.written_at), "2026-11-21T02:47:00Z");
    assert_int_equal(media.media_set_guid.bytes[7], 0x11);
    assert_int_equal(media.set_count, 1);
    const struct media_set *set = media_set_at(&media, 1);
    assert_non_null(set);
    assert_null(media_set_at(&media, 2));
    const struct backup *b = &set->backup;
    assert_true(set->complete && set->type == 'L' && b->kind == BACKUP_LOG);
    assert_true(set->begin == 1024 && set->end > set->begin && set->end < m.out.len);
    assert_string_equal(set->name, "run-1");
    assert_string_equal(set->description, "text");
    assert_string_equal(set->user, "backup");
    assert_string_equal(set->machine, "host1");
    assert_string_equal(set->database, "sales");
    assert_string_equal(set->server, "sql1");
    assert_true(set->database_version == 957 && set->compatibility == 160 && set->database_id == 5);
    assert_true(set->version_major == 16 && set->version_build == 4236);
    assert_int_equal(b->set_guid.bytes[0], 0x22);
    assert_int_equal(b->database_guid.bytes[0], 0x7c);
    assert_int_equal(b->family_guid.bytes[0], 0xe0);
    assert_int_equal(set->full_guid.bytes[0], 0xc8);
    assert_true(guid_eq(&b->first_fork, &b->last_fork) && lsn_is_zero(b->fork_point));
    assert_int_equal(lsn_cmp(b->first_lsn, (struct lsn){34, 10, 1}), 0);
    assert_int_equal(lsn_cmp(b->last_lsn, (struct lsn){34, 20, 1}), 0);
    assert_int_equal(lsn_cmp(set->next_log_lsn, b->last_lsn), 0);
    assert_int_equal(b->utc_offset_s, 7200);
    assert_string_equal(clock_format(text, b->start_at), "2026-11-21T02:00:05Z");
    assert_string_equal(clock_format(text, b->finish_at), "2026-11-21T02:00:07Z");
    assert_int_equal(b->size_bytes, 77777);
    media_done(&media);
    buf_done(&m.out);
}

static void several_sets(void **state) {
    (void)state;
    struct make m;
    make_media(&m, 0x11, 99);
    for (unsigned i = 1; i <= 20; i++)
        make_set(&m, i, (uint8_t)i);
    struct media media = read_made(&m);
    assert_int_equal(media.set_count, 20);
    for (uint16_t i = 1; i <= 20; i++)
        assert_int_equal(media_set_at(&media, i)->backup.set_guid.bytes[3], i);
    media_done(&media);
    buf_done(&m.out);
}

/* Cut anywhere: whole before or after, never complete without its end, and never a read outside. */
static void cut_anywhere(void **state) {
    (void)state;
    struct make m;
    make_media(&m, 0x11, 99);
    make_set(&m, 1, 1);
    struct media whole = read_made(&m);
    size_t end = (size_t)whole.sets[0].end;
    for (size_t len = 0; len < m.out.len; len++) {
        struct media media = read_bytes(m.out.data, len);
        bool complete = media.set_count && media.sets[0].complete;
        assert_int_equal(complete, len >= end);
        assert_true(media.problem_at <= len);
        if (media.kind == MEDIA_PLAIN && len < end)
            assert_int_equal(media.problem, MEDIA_CUT);
        if (len >= end)
            assert_int_equal(media.problem, MEDIA_WHOLE);
        media_done(&media);
    }
    media_done(&whole);
    buf_done(&m.out);
}

/* The rest of a file that was made longer before it was written. */
static void zeros_behind(void **state) {
    (void)state;
    struct make m;
    make_media(&m, 0x11, 99);
    make_set(&m, 1, 1);
    struct media whole = read_made(&m);
    for (size_t len = 1; len < whole.sets[0].end; len += 97) {
        _cleanup_free_ char *data = mem_alloc(m.out.len + 100000);
        memcpy(data, m.out.data, len);
        struct media media = read_bytes(data, m.out.len + 100000);
        assert_false(media.set_count && media.sets[0].complete && len < whole.sets[0].end - 1024);
        assert_true(media.kind != MEDIA_PLAIN || media.problem != MEDIA_WHOLE || len >= whole.sets[0].end - 1024);
        media_done(&media);
    }
    _cleanup_free_ char *padded = mem_alloc(m.out.len + 100000);
    memcpy(padded, m.out.data, m.out.len);
    struct media media = read_bytes(padded, m.out.len + 100000);
    assert_true(media.problem == MEDIA_WHOLE && media.sets[0].complete);
    media_done(&media);
    media_done(&whole);
    buf_done(&m.out);
}

/* A flipped bit in the head of any block is seen; the sets before it stay. */
static void damage_is_seen(void **state) {
    (void)state;
    struct make m;
    make_media(&m, 0x11, 99);
    make_set(&m, 1, 1);
    size_t second = m.out.len;
    make_set(&m, 2, 2);
    m.out.data[second + 30] ^= 4;
    struct media media = read_made(&m);
    assert_int_equal(media.problem, MEDIA_DAMAGED);
    assert_true(media.set_count == 1 && media.sets[0].complete);
    media_done(&media);
    m.out.data[second + 30] ^= 4;
    m.out.data[second] ^= 1; /* not even its type: what follows is not taken for the first set's */
    memset(m.out.data + m.out.len - 512, 'x', 512);
    media = read_made(&m);
    assert_true(media.problem == MEDIA_DAMAGED && media.set_count == 1);
    media_done(&media);
    m.out.data[second] ^= 1;
    m.out.data[10] ^= 1;
    media = read_made(&m);
    assert_true(media.kind == MEDIA_PLAIN && media.problem == MEDIA_DAMAGED && media.problem_at == 0 && !media.set_count);
    media_done(&media);
    buf_done(&m.out);
}

static void bad_streams(void **state) {
    (void)state;
    struct make m;
    uint8_t record[1024];
    size_t len = make_record(record, true);
    const struct {
        const char *what;
        enum media_problem problem;
    } rows[] = {{"id", MEDIA_DAMAGED},   {"length", MEDIA_CUT},    {"record", MEDIA_DAMAGED},
                {"type", MEDIA_DAMAGED}, {"short", MEDIA_DAMAGED}, {"offset", MEDIA_DAMAGED}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        make_media(&m, 0x11, 99);
        make_set_begin(&m, 1, 1);
        memcpy(record, i == 2 ? "SCIX" : "SCIN", 4);
        record[0x57] = i == 3 ? 0 : 'D';
        size_t at = m.out.len;
        make_config(&m, "MSCI", record, i == 4 ? 0x80 : len);
        make_set_end(&m);
        uint8_t *b = (uint8_t *)m.out.data + at;
        if (i == 0)
            b[64] = '?';
        if (i == 1)
            memset(b + 64 + 8, 0xff, 8);
        if (i == 5) {
            put_u16(b + 8, 40);
            make_sum(b);
        }
        struct media media = read_made(&m);
        if (media.problem != rows[i].problem)
            fail_msg("%s: %s", rows[i].what, media_problem_name(media.problem));
        assert_true(media.set_count == 1 && !media.sets[0].complete && !media.sets[0].end);
        media_done(&media);
        buf_done(&m.out);
    }
}

/* A stream of an odd length that ends the file: the padding up to the next one would lie outside. */
static void cut_in_padding(void **state) {
    (void)state;
    for (size_t odd = 1; odd < 4; odd++) {
        struct make m;
        make_media(&m, 0x11, 99);
        make_set_begin(&m, 1, 1);
        make_block(&m, "MSTL", 64, true);
        make_stream(&m, "MQTL", "abcd", 4);
        make_stream(&m, "MQTL", "abcd", odd);
        size_t end = (size_t)m.out.len - 4 + (odd + 22) % 4;
        struct media media = read_bytes(m.out.data, end);
        assert_true(media.problem == MEDIA_CUT && media.problem_at <= end);
        media_done(&media);
        buf_done(&m.out);
    }
}

/* Estimates stand before the data; a set with only these is not complete. */
static void the_last_record_counts(void **state) {
    (void)state;
    struct make m;
    uint8_t record[1024];
    make_media(&m, 0x11, 99);
    make_set_begin(&m, 1, 1);
    make_config(&m, "MSCI", record, make_record(record, false));
    make_set_end(&m);
    struct media media = read_made(&m);
    assert_true(!media.sets[0].complete && media.problem == MEDIA_CUT && !media.sets[0].backup.finish_at);
    assert_int_equal(media.sets[0].backup.last_lsn.block, 15);
    media_done(&media);
    buf_done(&m.out);
    make_media(&m, 0x11, 99);
    make_set_begin(&m, 1, 1);
    make_config(&m, "MSLS", record, make_record(record, true));
    make_config(&m, "MSCI", record, make_record(record, false));
    make_set_end(&m);
    media = read_made(&m);
    assert_true(media.sets[0].complete && media.sets[0].backup.last_lsn.block == 20);
    media_done(&media);
    buf_done(&m.out);
}

static void forks_bases_and_copies(void **state) {
    (void)state;
    struct make m;
    uint8_t record[1024];
    size_t len = make_record(record, true);
    record[0x57] = 'I';
    memset(record + 0x13c, 0x33, 16);
    put_lsn(record + 0x90, (struct lsn){34, 12, 3});
    put_lsn(record + 0x104, (struct lsn){33, 1, 1});
    memset(record + 0x110, 0x44, 16);
    make_media(&m, 0x11, 99);
    make_set_begin(&m, 1, 1);
    ((uint8_t *)m.out.data)[1024 + 52] = 2;
    ((uint8_t *)m.out.data)[1024 + 95] = 127; /* the server did not know its zone */
    make_config(&m, "MSLS", record, len);
    make_set_end(&m);
    struct media media = read_made(&m);
    const struct backup *b = &media.sets[0].backup;
    assert_true(b->kind == BACKUP_DIFF && b->first_fork.bytes[0] == 0x33 && b->last_fork.bytes[0] == 0x9c);
    assert_true(b->fork_point.block == 12 && b->diff_base_lsn.vlf == 33 && b->diff_base_guid.bytes[5] == 0x44);
    assert_true(backup_has(b, BACKUP_COPY_ONLY) && !backup_has(b, BACKUP_UTC_OFFSET_KNOWN) && !b->utc_offset_s);
    media_done(&media);
    buf_done(&m.out);
    /* a short record of an old version: nothing is read from behind its end */
    put_u16(record + 4, 0x100);
    make_media(&m, 0x11, 99);
    make_set_begin(&m, 1, 1);
    make_config(&m, "MSLS", record, len);
    make_set_end(&m);
    media = read_made(&m);
    b = &media.sets[0].backup;
    assert_true(media.sets[0].complete && lsn_is_zero(b->diff_base_lsn) && guid_is_zero(&b->diff_base_guid));
    assert_true(b->first_fork.bytes[0] == 0x9c && lsn_is_zero(media.sets[0].next_log_lsn));
    media_done(&media);
    buf_done(&m.out);
}

static void other_files(void **state) {
    (void)state;
    static const char zeros[5000];
    const struct {
        const char *data;
        size_t len;
        enum media_kind kind;
    } rows[] = {{"", 0, MEDIA_EMPTY},        {zeros, 1, MEDIA_EMPTY},        {zeros, 5000, MEDIA_EMPTY},
                {"hello", 5, MEDIA_UNKNOWN}, {"MSSQLBAK", 8, MEDIA_UNKNOWN}, {"MSSQLBAK\2\0\0\0", 12, MEDIA_CONTAINER},
                {"TAP", 3, MEDIA_UNKNOWN}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct media media = read_bytes(rows[i].data, rows[i].len);
        assert_int_equal(media.kind, rows[i].kind);
        assert_int_equal(media.container_version, rows[i].kind == MEDIA_CONTAINER ? 2 : 0);
        assert_true(!media.sets && media.problem == MEDIA_WHOLE);
        media_done(&media);
    }
    struct media media = read_bytes("TAPE", 4);
    assert_true(media.kind == MEDIA_PLAIN && media.problem == MEDIA_CUT);
    media_done(NULL);
    assert_string_equal(media_kind_name(MEDIA_CONTAINER), "container");
}

static void a_source_that_fails(void **state) {
    (void)state;
    struct make m;
    make_media(&m, 0x11, 99);
    make_set(&m, 1, 1);
    for (size_t at = 1; at < m.out.len; at += 300) {
        struct memory memory = {.data = (uint8_t *)m.out.data, .len = m.out.len, .fail_at = at};
        struct media_source source = {.read = get, .arg = &memory, .bytes = m.out.len};
        struct media media = {.family_id = 7};
        assert_fails(media_read(&source, &media, &err), err, ERR_IO, "read");
        assert_int_equal(media_read(&source, &media, NULL), -1);
        assert_int_equal(media.family_id, 7);
    }
    struct media_source endless = {.read = get, .bytes = UINT64_MAX};
    struct media media;
    assert_fails(media_read(&endless, &media, &err), err, ERR_USAGE, "no file has");
    buf_done(&m.out);
}

static void too_many_sets(void **state) {
    (void)state;
    struct make m;
    make_media(&m, 0x11, 99);
    for (unsigned i = 0; i <= MEDIA_SETS_MAX; i++)
        make_block(&m, "SSET", 512, false);
    struct memory memory = {.data = (uint8_t *)m.out.data, .len = m.out.len};
    struct media_source source = {.read = get, .arg = &memory, .bytes = m.out.len};
    struct media media;
    assert_fails(media_read(&source, &media, &err), err, ERR_LIMIT, "more than 4096 backup sets");
    buf_done(&m.out);
}

static void payload_is_skipped(void **state) {
    (void)state;
    struct make m;
    _cleanup_free_ uint8_t *pages = mem_alloc(20 << 20);
    uint8_t record[1024];
    make_media(&m, 0x11, 99);
    make_set_begin(&m, 1, 1);
    make_block(&m, "MSDA", 64, true);
    make_stream(&m, "MQDA", pages, 20 << 20);
    make_pad(&m);
    make_config(&m, "MSLS", record, make_record(record, true));
    make_set_end(&m);
    struct memory memory = {.data = (uint8_t *)m.out.data, .len = m.out.len};
    struct media_source source = {.read = get, .arg = &memory, .bytes = m.out.len};
    struct media media;
    assert_succeeds(media_read(&source, &media, &err), err);
    assert_true(media.sets[0].complete && memory.reads < 12);
    media_done(&media);
    buf_done(&m.out);
}

static void stripes(void **state) {
    (void)state;
    struct media files[3];
    for (uint8_t i = 0; i < 3; i++) {
        struct make m;
        make_media(&m, 0x11, 90 + i);
        make_set(&m, 1, 1);
        files[i] = read_made(&m);
        buf_done(&m.out);
    }
    assert_succeeds(media_check_stripes(files, 3, 1, &err), err);
    assert_fails(media_check_stripes(files, 3, 2, &err), err, ERR_NOT_FOUND, "file 1 has no set at position 2");
    assert_fails(media_check_stripes(files, 0, 1, &err), err, ERR_USAGE, "no files");
    files[2].family_id = 91;
    assert_fails(media_check_stripes(files, 3, 1, &err), err, ERR_USAGE, "file 3 is the same stripe as file 2");
    files[2].family_id = 92;
    files[2].sets[0].complete = false;
    assert_fails(media_check_stripes(files, 3, 1, &err), err, ERR_CORRUPT, "file 3 is not complete");
    files[1].sets[0].backup.set_guid.bytes[0] = 9;
    assert_fails(media_check_stripes(files, 3, 1, &err), err, ERR_CORRUPT, "file 2 is of another backup");
    files[0].kind = MEDIA_CONTAINER;
    assert_fails(media_check_stripes(files, 3, 1, &err), err, ERR_UNSUPPORTED, "but container");
    for (size_t i = 0; i < 3; i++)
        media_done(&files[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_log),
        cmocka_unit_test(several_sets),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(zeros_behind),
        cmocka_unit_test(damage_is_seen),
        cmocka_unit_test(bad_streams),
        cmocka_unit_test(cut_in_padding),
        cmocka_unit_test(the_last_record_counts),
        cmocka_unit_test(forks_bases_and_copies),
        cmocka_unit_test(other_files),
        cmocka_unit_test(a_source_that_fails),
        cmocka_unit_test(too_many_sets),
        cmocka_unit_test(payload_is_skipped),
        cmocka_unit_test(stripes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
