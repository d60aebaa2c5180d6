/* SPDX-License-Identifier: Apache-2.0 */
/* The media reader beside RESTORE HEADERONLY: what counts as a difference. */
#include "tests/unit/support/unit.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/media/media.h"
#include "sidecar/job/job.h"
#include "tests/unit/media/make.h"

#define RUN "20261121T024700Z-log-1a2b3c4d"

static struct agent agent;
static struct job *job;
static char *folder;
static struct backup told; /* what the header says of the file that make_file() writes */

static int read_bytes(void *arg, uint64_t offset, void *data, size_t len, struct err *e) {
    const struct buf *bytes = arg;
    (void)e;
    memcpy(data, bytes->data + offset, len);
    return 0;
}

static void write_file(const void *data, size_t len) {
    struct err err;
    _cleanup_free_ char *path = mem_printf("%s/" RUN ".trn", folder);
    assert_succeeds(file_write_durable(path, data, len, 0600, &err), err);
}

static void make_file(void) {
    struct make m;
    struct media media;
    struct err err;
    make_media(&m, 0x11, 99);
    make_set(&m, 1, 0x22);
    write_file(m.out.data, m.out.len);
    struct media_source source = {.read = read_bytes, .arg = &m.out, .bytes = m.out.len};
    assert_succeeds(media_read(&source, &media, &err), err);
    assert_int_equal(media.set_count, 1);
    told = media.sets[0].backup;
    media_done(&media);
    buf_done(&m.out);
}

static bool differs(const struct backup *set, const char *database) {
    job->set = *set;
    job->media_differs = false;
    job_media_compare(job, database);
    return job->media_differs;
}

static void the_same_is_no_difference(void **state) {
    (void)state;
    make_file();
    assert_false(differs(&told, "sales"));
}

static void every_field_counts(void **state) {
    (void)state;
    make_file();
    assert_true(differs(&told, "sale"));
    struct backup other[10];
    for (size_t i = 0; i < ARRAY_LEN(other); i++)
        other[i] = told;
    other[0].kind = BACKUP_FULL;
    other[1].set_guid.bytes[3] ^= 1;
    other[2].family_guid.bytes[3] ^= 1;
    other[3].database_guid.bytes[3] ^= 1;
    other[4].first_fork.bytes[3] ^= 1;
    other[5].last_fork.bytes[3] ^= 1;
    other[6].first_lsn.block++;
    other[7].last_lsn.slot++;
    other[8].checkpoint_lsn.vlf++;
    other[9].finish_at += 1000000;
    for (size_t i = 0; i < ARRAY_LEN(other); i++)
        assert_true(differs(&other[i], "sales"));
}

static void other_files(void **state) {
    (void)state;
    make_file();
    write_file("this is no backup", 17);
    assert_true(differs(&told, "sales"));
    write_file("", 0);
    assert_true(differs(&told, "sales"));
    uint8_t container[4096] = "MSSQLBAK"; /* compressed by the server: nobody but a server sees into it */
    write_file(container, sizeof(container));
    assert_false(differs(&told, "sales"));
    struct err err;
    _cleanup_free_ char *path = mem_printf("%s/" RUN ".trn", folder);
    assert_succeeds(file_unlink_durable(path, &err), err);
    assert_false(differs(&told, "sales")); /* whoever needs the file says so */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_is_no_difference),
        cmocka_unit_test(every_field_counts),
        cmocka_unit_test(other_files),
    };
    struct staging_limits limits = {0};
    folder = unit_tmpdir();
    agent.staging = staging_new(folder, &limits);
    job = mem_alloc(sizeof(*job));
    job->agent = &agent;
    job->entry.kind = BACKUP_LOG;
    job->entry.stripes = 1;
    snprintf(job->entry.run_id, sizeof(job->entry.run_id), "%s", RUN);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    staging_free(agent.staging);
    mem_free(job);
    unit_rm(folder);
    return failed;
}
