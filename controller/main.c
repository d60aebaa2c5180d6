/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "common/base/fault.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/net/rpc_loop.h"
#include "controller/bootstrap.h"
#include "controller/program.h"
#include "controller/prove.h"

extern char **environ;

static int complain(const struct err *err) {
    fprintf(stderr, "mssql-controller: %s\n", err->text);
    return err_class_exit(err->class);
}

static void print(void (*fn)(struct buf *out)) {
    struct buf out;
    buf_init(&out, 1u << 20);
    fn(&out);
    fputs(out.data ? out.data : "", stdout);
    buf_done(&out);
}

/* Everything but running. True when that was all. */
static bool only_say(const struct controller_config *config) {
    struct buf out;
    switch (config->action) {
    case CONTROLLER_RUN:
        return false;
    case CONTROLLER_CHECK_CONFIG:
        puts("configuration is good");
        return true;
    case CONTROLLER_PRINT_CONFIG:
        buf_init(&out, 1u << 20);
        controller_config_print(config, &out);
        fputs(out.data ? out.data : "", stdout);
        buf_done(&out);
        return true;
    case CONTROLLER_CONFIG_REFERENCE:
        print(controller_config_reference);
        return true;
    case CONTROLLER_VERSION:
        printf("mssql-controller %s (gRPC core %s)\n", MSSQL_SIDECAR_VERSION, rpc_core_version());
        return true;
    case CONTROLLER_HELP:
        print(controller_config_help);
        return true;
    }
    return true;
}

/* Tokens and keys never reach a core file, and nobody of our uid attaches to us. */
static void harden(void) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

int main(int argc, char **argv) {
    struct err err;
    mem_setup();
    if (argc > 1 && !strcmp(argv[1], "--bootstrap"))
        return bootstrap_main(argc, argv);
    if (argc > 1 && !strcmp(argv[1], "--prove"))
        return prove_main(argc, argv);
    struct controller_config config;
    rpc_setup();
    if (fault_init(&err) < 0 || controller_config_load(argc, argv, environ, &config, &err) < 0)
        return complain(&err);
    int rc = 0;
    if (!only_say(&config)) {
        harden();
        log_setup(config.log.level, config.log.format, "mssql-controller");
        signal(SIGPIPE, SIG_IGN);
        rc = program_run(&config, &err);
        if (rc < 0)
            log_error(LOG_ERROR, &err, "ends", NULL);
        else
            log_event(LOG_INFO, "stopped", NULL);
    }
    controller_config_done(&config);
    return rc < 0 ? err_class_exit(err.class) : 0;
}
