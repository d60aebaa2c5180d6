/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sql/endpoint.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define SECTIONS_MAX 128
#define CONF_MAX (256 * 1024)
#define LOGIN_TIMEOUT_S 15

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *conf_path;
static char *sections[SECTIONS_MAX]; /* bodies; a slot's number is in its section's name */
static size_t next_slot;

/* Would change the peer, the protocol, or write what is sent to a file. */
static const char *const unwanted[] = {"TDSDUMP", "TDSDUMPCONFIG", "TDSVER", "TDSPORT", "TDSHOST", "TDSQUERY", "DSQUERY"};

unsigned sql_login_timeout_s(const struct sql_params *params) {
    return params->login_timeout_s ? params->login_timeout_s : LOGIN_TIMEOUT_S;
}

static int write_conf(struct err *err) {
    struct buf text;
    buf_init(&text, CONF_MAX);
    for (size_t i = 0; i < SECTIONS_MAX; i++)
        if (sections[i])
            buf_printf(&text, "[s%zu]\n%s\n", i, sections[i]);
    int rc = text.overflow ? err_set(err, ERR_LIMIT, "%s would be too large", conf_path)
                           : file_write_durable(conf_path, text.data ? text.data : "", text.len, 0600, err);
    buf_done(&text);
    return rc;
}

int sql_endpoint_init(const char *runtime_dir, struct err *err) {
    pthread_mutex_lock(&lock);
    mem_free(conf_path);
    conf_path = file_join(runtime_dir, "freetds.conf");
    for (size_t i = 0; i < ARRAY_LEN(unwanted); i++)
        unsetenv(unwanted[i]);
    int rc = write_conf(err);
    if (rc == 0 && setenv("FREETDSCONF", conf_path, 1) != 0)
        rc = err_os(err, ERR_INTERNAL, errno, "setting FREETDSCONF");
    pthread_mutex_unlock(&lock);
    return rc < 0 ? err_context(err, "configuration of the SQL Server client") : 0;
}

void sql_endpoint_done(void) {
    pthread_mutex_lock(&lock);
    if (conf_path) {
        (void)unlink(conf_path); /* holds no secrets: left behind it does no harm */
        unsetenv("FREETDSCONF");
    }
    mem_free(conf_path);
    conf_path = NULL;
    for (size_t i = 0; i < SECTIONS_MAX; i++) {
        mem_free(sections[i]);
        sections[i] = NULL;
    }
    next_slot = 0;
    pthread_mutex_unlock(&lock);
}

/* The file has no quoting: blanks at the ends are lost, ';' and '#' begin comments, a line break begins another option. */
static int check_value(const char *what, const char *value, struct err *err) {
    size_t len = strlen(value);
    if (!len)
        return err_set(err, ERR_CONFIG, "%s of the SQL Server connection is empty", what);
    if (len > 1024 || !str_is_clean_utf8(value, len) || strpbrk(value, ";#\t") || value[0] == ' ' || value[len - 1] == ' ')
        return err_set(err, ERR_CONFIG,
                       "%s of the SQL Server connection is not acceptable: '%.64s' (no ';', '#', control characters, "
                       "or blanks at the ends)",
                       what, value);
    return 0;
}

static int section_body(const struct sql_params *params, struct buf *body, struct err *err) {
    static const char *const encryption[SQL_ENCRYPTION_COUNT] = {"request", "off", "require"};
    if (check_value("host", params->host, err) < 0)
        return -1;
    if (params->encryption >= SQL_ENCRYPTION_COUNT)
        return err_set(err, ERR_CONFIG, "unknown encryption mode %d", (int)params->encryption);
    if (params->check_hostname && !params->ca_file)
        return err_set(err, ERR_CONFIG, "checking the name in SQL Server's certificate needs a CA file");
    if (params->ca_file && params->encryption == SQL_ENCRYPTION_OFF)
        return err_set(err, ERR_CONFIG, "a CA file for SQL Server is given, but encryption is off");
    buf_printf(body, "\thost = %s\n\tport = %u\n\ttds version = 7.4\n\tclient charset = UTF-8\n", params->host,
               params->port ? params->port : 1433u);
    buf_printf(body, "\ttext size = 2147483647\n\tconnect timeout = %u\n\tencryption = %s\n", sql_login_timeout_s(params),
               encryption[params->encryption]);
    if (!params->ca_file)
        return 0;
    if (check_value("CA file", params->ca_file, err) < 0)
        return -1;
    if (strcmp(params->ca_file, "system") != 0 && !file_exists(params->ca_file))
        return err_set(err, ERR_CONFIG, "CA file '%s' for SQL Server's certificate does not exist", params->ca_file);
    buf_printf(body, "\tca file = %s\n\tcheck certificate hostname = %s\n", params->ca_file,
               params->check_hostname ? "yes" : "no");
    return 0;
}

int sql_endpoint_section(const struct sql_params *params, char ret_name[SQL_SECTION_MAX], struct err *err) {
    struct buf body;
    buf_init(&body, 4096);
    int rc = section_body(params, &body, err);
    if (rc == 0 && body.overflow)
        rc = err_set(err, ERR_CONFIG, "host or CA file of the SQL Server connection is too long");
    pthread_mutex_lock(&lock);
    if (rc == 0 && !conf_path)
        rc = err_set(err, ERR_INTERNAL, "the SQL Server client is not initialised");
    size_t slot = SECTIONS_MAX;
    for (size_t i = 0; rc == 0 && i < SECTIONS_MAX; i++)
        if (sections[i] && !strcmp(sections[i], body.data))
            slot = i;
    if (rc == 0 && slot == SECTIONS_MAX) {
        /* A ring: a process knows one or two servers, only tests know many. */
        slot = next_slot++ % SECTIONS_MAX;
        mem_free(sections[slot]);
        sections[slot] = buf_take(&body);
        rc = write_conf(err);
        if (rc < 0) {
            mem_free(sections[slot]);
            sections[slot] = NULL;
        }
    }
    pthread_mutex_unlock(&lock);
    if (rc == 0)
        str_format(ret_name, SQL_SECTION_MAX, "s%zu", slot);
    buf_done(&body);
    return rc;
}
