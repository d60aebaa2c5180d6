/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "common/base/str.h"
#include "tests/unit/store/sets.h"

static struct err err;

static void make(struct manifest *m) {
    struct backup b = sets_backup(3, 8);
    b.flags |= BACKUP_COPY_ONLY | BACKUP_BULK_LOGGED | BACKUP_OFF_VOLUME;
    b.diff_base_guid = sets_guid(77);
    b.diff_base_lsn = (struct lsn){4294967295u, 4294967295u, 65535};
    b.incarnation = 2;
    b.stripes = 2;
    b.finish_at += 123456;
    sets_manifest(m, &b, "D\xc3\xa4tabase \"x\"\\", "D~00000003", 9);
    manifest_set(&m->previous, "log/x.json");
    manifest_set(&m->tde_thumbprint, "0xAB");
    struct manifest_mark *mark = manifest_add_mark(m);
    manifest_set(&mark->name, "before \xe4\xb8\xad");
    mark->lsn = (struct lsn){34, 190, 2};
    mark->at = b.start_at;
    for (uint32_t i = 1; i <= 2; i++) {
        struct manifest_object *o = manifest_add_object(m);
        char name[STORE_NAME_MAX];
        name_object(name, &b, i, ".zst");
        manifest_set(&o->name, name);
        manifest_set(&o->codec, "zstd");
        o->stripe = i;
        o->level = 3;
        o->record_bytes = 1 << 20;
        o->plain_bytes = 30;
        o->stored_bytes = 20;
        memset(o->plain_sha256.bytes, (int)i, HASH_BYTES);
        for (int p = 0; p < 2; p++) {
            struct manifest_part *part = manifest_add_part(o);
            part->plain_bytes = 15;
            part->stored_bytes = 10;
            memset(part->stored_sha256.bytes, 0xa0 + p, HASH_BYTES);
        }
    }
}

/* noinline: gcc 12 at -O3 otherwise takes the result for the address of the variable. */
__attribute__((noinline)) static char *text_of(const struct manifest *m) {
    char *text = NULL;
    size_t len;
    assert_succeeds(manifest_format(m, &text, &len, &err), err);
    assert_int_equal(strlen(text), len);
    return text;
}

static void test_round_trip(void **state) {
    (void)state;
    struct manifest m, again;
    make(&m);
    char *text = text_of(&m);
    assert_non_null(strstr(text, "\"first\": \"34000000018000001\""));
    assert_non_null(strstr(text, "\"differentialBase\": \"4294967295429496729565535\""));
    assert_non_null(strstr(text, "\"finish\": \"2026-10-21T00:08:02.123456Z\""));
    assert_succeeds(manifest_parse(text, strlen(text), &again, &err), err);
    assert_true(manifest_equal(&m, &again));
    assert_null(again.extra);
    /* every field, through the struct that the chain uses */
    assert_memory_equal(&m.backup, &again.backup, sizeof(m.backup));
    assert_string_equal(again.database, m.database);
    assert_true(again.options.broker_enabled);
    assert_int_equal(again.objects[1].parts[1].stored_bytes, 10);
    assert_int_equal(again.files[0].type, 'D');
    char *second = text_of(&again);
    assert_string_equal(text, second);
    mem_free(second);
    mem_free(text);
    manifest_done(&again);
    manifest_done(&m);
    manifest_done(&m); /* twice is allowed */
}

/* Puts `with` where `what` is first found; the result is the caller's. */
static char *patch(const char *text, const char *what, const char *with) {
    const char *at = strstr(text, what);
    if (!at)
        fail_msg("no '%s'", what);
    return mem_printf("%.*s%s%s", (int)(at - text), text, with, at + strlen(what));
}

static void test_unknown_fields_are_kept(void **state) {
    (void)state;
    struct manifest m, again;
    make(&m);
    char *text = text_of(&m);
    char *a = patch(text, "\"format\": \"1.0\"", "\"format\": \"1.7\", \"newThing\": {\"deep\": [1, {\"x\": null}]}");
    char *b = patch(a, "\"lsn\": {", "\"lsn\": {\"future\": \"12\",");
    char *c = patch(b, "\"logicalName\"", "\"encrypted\": true, \"logicalName\"");
    char *d = patch(c, "\"copyOnly\"", "\"copyOnly\", \"quantum\"");
    char *e = patch(d, "\"stripe\": 2", "\"stripe\": 2, \"region\": \"r1\"");
    assert_succeeds(manifest_parse(e, strlen(e), &again, &err), err);
    assert_false(manifest_equal(&m, &again));
    manifest_set(&again.reason, "changed");
    char *out = text_of(&again);
    static const char *const kept[] = {"\"format\": \"1.7\"", "\"newThing\"", "\"deep\"",           "\"future\": \"12\"",
                                       "\"encrypted\": true", "\"quantum\"",  "\"region\": \"r1\"", "\"reason\": \"changed\""};
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        if (!strstr(out, kept[i]))
            fail_msg("'%s' was lost", kept[i]);
    struct manifest third;
    assert_succeeds(manifest_parse(out, strlen(out), &third, &err), err);
    assert_true(manifest_equal(&again, &third));
    manifest_done(&third);
    manifest_done(&again);
    manifest_done(&m);
    char *all[] = {text, a, b, c, d, e, out};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        mem_free(all[i]);
}

static void test_one_clear_error(void **state) {
    (void)state;
    static const struct {
        const char *what, *with;
        enum err_class class;
        const char *text;
    } rows[] = {
        {"\"format\": \"1.0\"", "\"format\": \"2.0\"", ERR_UNSUPPORTED, "format 2.0: this version reads 1.x"},
        {"\"format\": \"1.0\"", "\"format\": \"x\"", ERR_CORRUPT, "field format"},
        {"\"format\": \"1.0\"", "\"format\": 1", ERR_CORRUPT, "field format"},
        {"\"format\": \"1.0\",", "", ERR_CORRUPT, "field format: missing"},
        {"\"kind\": \"log\"", "\"kind\": \"LOG\"", ERR_CORRUPT, "field kind: not full, diff or log"},
        {"\"kind\": \"log\",", "", ERR_CORRUPT, "field kind: missing"},
        {"\"kind\": \"log\"", "\"kind\": null", ERR_CORRUPT, "field kind: missing"},
        {"\"kind\": \"log\"", "\"kind\": \"log\", \"kind\": \"log\"", ERR_CORRUPT, "duplicate"},
        {"34000000018000001", "x", ERR_CORRUPT, "field lsn.first: not an LSN"},
        {"\"34000000018000001\"", "34000000018000001", ERR_CORRUPT, "field lsn.first: not a text"},
        {"34000000018000001", "34000000099000001", ERR_CORRUPT, "lsn.first is greater"},
        {"\"finish\": \"2026-10-21T00:08:02.123456Z\"", "\"finish\": \"yesterday\"", ERR_CORRUPT,
         "field time.finish: not a time"},
        {"\"finish\": \"2026-10-21T00:08:02.123456Z\"", "\"finish\": \"1960-10-21T00:08:02Z\"", ERR_CORRUPT, "field time.finish"},
        {"\"finish\": \"2026-10-21T00:08:02.123456Z\"", "\"finish\": \"2026-10-20T00:08:02Z\"", ERR_CORRUPT, "before time.start"},
        {"\"stripes\": 2", "\"stripes\": 3", ERR_CORRUPT, "set.stripes is 3 and there are 2 objects"},
        {"\"stripes\": 2", "\"stripes\": 70000", ERR_CORRUPT, "field set.stripes: not a whole number up to 65535"},
        {"\"stripes\": 2", "\"stripes\": 2.5", ERR_CORRUPT, "field set.stripes"},
        {"\"stripe\": 2", "\"stripe\": 1", ERR_CORRUPT, "stripe 1 of 2 is wrong or there twice"},
        {"\"position\": 1", "\"position\": 0", ERR_CORRUPT, "set.stripes"},
        {"\"folder\": \"D~00000003\"", "\"folder\": \"../x\"", ERR_CORRUPT, "database.folder"},
        {"\"name\": \"log/", "\"name\": \"../log/", ERR_CORRUPT, "objects: object name"},
        {"\"storedBytes\": 10", "\"storedBytes\": 11", ERR_CORRUPT, "sizes of its parts"},
        {"\"storedBytes\": 10", "\"storedBytes\": -1", ERR_CORRUPT, "field objects[0].parts[0].storedBytes"},
        {"0101010101", "01010101", ERR_CORRUPT, "field objects[0].plainSha256: not a SHA-256"},
        {"\"type\": \"D\"", "\"type\": \"Q\"", ERR_CORRUPT, "field files[0].type: not one of D, L, S, F"},
        {"\"brokerEnabled\": true", "\"brokerEnabled\": 1", ERR_CORRUPT,
         "field database.options.brokerEnabled: not true or false"},
        {"\"recordBytes\": 1048576", "\"recordBytes\": 1048576000", ERR_CORRUPT, "records of 1048576000 bytes"},
        {"\"marks\": [", "\"marks\": [5,", ERR_CORRUPT, "field marks[0].: not an object"},
        {"\"flags\": [", "\"flags\": [5,", ERR_CORRUPT, "field set.flags: not a list of words"},
    };
    struct manifest m, out;
    make(&m);
    char *text = text_of(&m);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *bad = patch(text, rows[i].what, rows[i].with);
        assert_fails(manifest_parse(bad, strlen(bad), &out, &err), err, rows[i].class, rows[i].text);
        mem_free(bad);
    }
    assert_fails(manifest_parse("", 0, &out, &err), err, ERR_CORRUPT, "is not JSON");
    assert_fails(manifest_parse("[]", 2, &out, &err), err, ERR_CORRUPT, "not a JSON object");
    assert_fails(manifest_parse("{}", 2, &out, &err), err, ERR_CORRUPT, "format");
    assert_fails(manifest_parse("{}\0", 3, &out, &err), err, ERR_CORRUPT, "is not JSON");
    assert_fails(manifest_parse(text, MANIFEST_BYTES_MAX + 1, &out, &err), err, ERR_LIMIT, "at most");
    mem_free(text);
    manifest_done(&m);
}

/* Any bytes give a manifest that is written and read again as the same one, or an error of the right class. */
static void check_total(const char *data, size_t len) {
    struct manifest m, again;
    err_clear(&err);
    if (manifest_parse(data, len, &m, &err) < 0) {
        assert_true(err.class == ERR_CORRUPT || err.class == ERR_UNSUPPORTED || err.class == ERR_LIMIT);
        assert_true(*err.text);
        return;
    }
    char *text = text_of(&m);
    assert_succeeds(manifest_parse(text, strlen(text), &again, &err), err);
    assert_true(manifest_equal(&m, &again));
    mem_free(text);
    manifest_done(&again);
    manifest_done(&m);
}

static void test_every_cut_and_many_mutations(void **state) {
    (void)state;
    struct manifest m;
    make(&m);
    char *text = text_of(&m);
    size_t len = strlen(text);
    for (size_t cut = 0; cut < len; cut++)
        check_total(text, cut);
    srand(11);
    for (unsigned round = 0; round < 4000; round++) {
        char *bad = mem_dup(text, len + 1);
        for (unsigned n = 1 + (unsigned)rand() % 3; n; n--)
            bad[(size_t)rand() % len] = "\"{}[],:0x9-.e\xff\0n"[rand() % 16];
        check_total(bad, len);
        mem_free(bad);
    }
    mem_free(text);
    manifest_done(&m);
}

static void test_a_contradicting_manifest_is_not_written(void **state) {
    (void)state;
    struct manifest m;
    char *text;
    size_t len;
    make(&m);
    m.backup.set_guid = (struct guid){{0}};
    assert_fails(manifest_format(&m, &text, &len, &err), err, ERR_INTERNAL, "set.guid is missing");
    manifest_done(&m);
    make(&m);
    manifest_set(&m.reason, "broken \xff utf-8");
    assert_fails(manifest_format(&m, &text, &len, &err), err, ERR_INTERNAL, "not UTF-8");
    manifest_done(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_unknown_fields_are_kept),
        cmocka_unit_test(test_one_clear_error),
        cmocka_unit_test(test_every_cut_and_many_mutations),
        cmocka_unit_test(test_a_contradicting_manifest_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
