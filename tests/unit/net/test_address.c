/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include <sys/stat.h>

#include "common/base/str.h"
#include "common/net/address.h"

static void test_parse(void **state) {
    (void)state;
    static const struct {
        const char *text, *host, *path, *back;
        unsigned port;
        bool is_unix, loopback;
    } cases[] = {
        {"127.0.0.1:80", "127.0.0.1", "", "127.0.0.1:80", 80, false, true},
        {"127.9.9.9:0", "127.9.9.9", "", "127.9.9.9:0", 0, false, true},
        {"128.0.0.1:1", "128.0.0.1", "", "128.0.0.1:1", 1, false, false},
        {"0.0.0.0:65535", "0.0.0.0", "", "0.0.0.0:65535", 65535, false, false},
        {":9", "", "", ":9", 9, false, false},
        {"[::1]:5", "::1", "", "[::1]:5", 5, false, true},
        {"[::]:5", "::", "", "[::]:5", 5, false, false},
        {"[::ffff:127.0.0.1]:5", "::ffff:127.0.0.1", "", "[::ffff:127.0.0.1]:5", 5, false, false},
        {"LocalHost:5", "LocalHost", "", "LocalHost:5", 5, false, true},
        {"db-0.db.ns.svc:1433", "db-0.db.ns.svc", "", "db-0.db.ns.svc:1433", 1433, false, false},
        {"unix:/run/x", "", "/run/x", "unix:/run/x", 0, true, true},
        {"unix:///run/x", "", "/run/x", "unix:/run/x", 0, true, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct address a;
        struct err err = {0};
        char text[ADDRESS_TEXT_MAX];
        assert_succeeds(address_parse(cases[i].text, &a, &err), err);
        assert_string_equal(a.host, cases[i].host);
        assert_string_equal(a.path, cases[i].path);
        assert_int_equal(a.port, cases[i].port);
        assert_int_equal(a.is_unix, cases[i].is_unix);
        assert_int_equal(a.is_loopback, cases[i].loopback);
        assert_string_equal(address_format(text, &a), cases[i].back);
    }
}

static void test_malformed(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", "no port"},
        {"host", "no port"},
        {"h:", "not a port"},
        {"h:65536", "not a port"},
        {"h:+1", "not a port"},
        {"h: 1", "not a port"},
        {"h:0x1", "not a port"},
        {"a:b:1", "brackets"},
        {"::1", "brackets"},
        {"[::1", "brackets"},
        {"[]:1", "brackets"},
        {"[xyz]:1", "not an IPv6"},
        {"[127.0.0.1]:1", "not an IPv6"},
        {"a/b:1", "not a host"},
        {"a b:1", "not a host"},
        {"unix:", "absolute"},
        {"unix:x", "absolute"},
        {"unix://x", "absolute"},
        {"h\n:1", "characters"},
        {"\xff:1", "characters"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct address a = {.port = 77};
        struct err err = {0};
        assert_fails(address_parse(cases[i][0], &a, &err), err, ERR_CONFIG, cases[i][1]);
        assert_int_equal(a.port, 77); /* untouched */
    }
    char *text = mem_printf("%0300d:1", 0);
    struct address a;
    struct err err = {0};
    assert_fails(address_parse(text, &a, &err), err, ERR_CONFIG, "at most");
    mem_free(text);
}

static void test_listen(void **state) {
    (void)state;
    char *dir = unit_tmpdir(), *text = mem_printf("unix:%s/s", dir), *path = text + 5;
    struct address a;
    struct err err = {0};
    struct stat st;
    int fd, second;
    assert_succeeds(address_parse(text, &a, &err), err);
    assert_succeeds(address_listen(&a, 0600, &fd, &err), err);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_fails(address_listen(&a, 0600, &second, &err), err, ERR_CONFLICT, "listens");
    close(fd); /* the file stays: stale */
    assert_succeeds(address_listen(&a, 0666, &fd, &err), err);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666);
    close(fd);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_fails(address_listen(&a, 0600, &fd, &err), err, ERR_CONFIG, "in the way");
    mem_free(text);
    text = mem_printf("unix:%s/none/s", dir);
    assert_succeeds(address_parse(text, &a, &err), err);
    assert_fails(address_listen(&a, 0600, &fd, &err), err, ERR_NOT_FOUND, "none/s");
    mem_free(text);
    unit_rm(dir);
}

static void test_names_are_not_looked_up(void **state) {
    (void)state;
    struct address a;
    struct err err = {0};
    int fd;
    assert_succeeds(address_parse("some.name:1", &a, &err), err);
    assert_fails(address_listen(&a, 0, &fd, &err), err, ERR_CONFIG, "not a name");
    assert_succeeds(address_parse("192.0.2.1:1", &a, &err), err); /* not ours */
    assert_fails(address_listen(&a, 0, &fd, &err), err, ERR_CONFIG, "cannot listen");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_listen),
        cmocka_unit_test(test_names_are_not_looked_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
