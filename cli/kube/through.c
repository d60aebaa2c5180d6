/* SPDX-License-Identifier: Apache-2.0 */
/* What only the sidecar knows: mssqlctl in its container, and its log. */
#include <string.h>

#include "cli/kube/commands.h"
#include "cli/kube/kubectl.h"
#include "cli/kube/object.h"
#include "common/base/mem.h"
#include "common/base/str.h"

/* kubectl's and mssqlctl's exit codes are this program's: the error was said by them. */
static int ended(struct cli *cli, int code) {
    for (int class = ERR_NONE + 1; code && class < ERR_CLASS_COUNT; class ++) {
        if (err_class_exit((enum err_class) class) == code)
            cli->later.class = (enum err_class) class;
    }
    if (code && cli->later.class == ERR_NONE)
        cli->later.class = ERR_STATE;
    return 0;
}

/*
 * Words behind the command are the sidecar's; where to find it may stand among them in its long form: "-n" is a flag of
 * mssqlctl.
 */
static void take_place(struct cli_args *a) {
    static const char *const names[] = {"--namespace", "--context", "--kubeconfig"};
    size_t kept = 0;
    for (size_t i = 0; i < a->word_count; i++) {
        char *word = a->words[i], *value = NULL;
        const char *name = NULL;
        for (size_t n = 0; n < ARRAY_LEN(names) && !name; n++) {
            size_t len = strlen(names[n]);
            if (strncmp(word, names[n], len) == 0 && (word[len] == '=' || (!word[len] && i + 1 < a->word_count))) {
                name = names[n];
                value = word[len] ? word + len + 1 : a->words[++i];
            }
        }
        if (!name) {
            a->words[kept++] = word;
            continue;
        }
        a->given = mem_realloc(a->given, (a->given_count + 1) * sizeof(*a->given));
        a->given[a->given_count++] = (struct cli_given){cli_option_find(a->set, NULL, name, strlen(name)), value};
    }
    a->word_count = kept;
}

int kube_through(struct cli *cli, struct err *err) {
    _cleanup_free_ char *pod = NULL, *command = NULL;
    struct kubectl k;
    json_t *instance;
    int code;
    take_place(&cli->args);
    if (!cli->args.word_count)
        return err_set(err, ERR_USAGE, "'%s' needs the name of an instance", cli->args.command->name);
    if (object_instance(cli, cli->args.words[0], &instance, err) < 0)
        return -1;
    int rc = object_pod(cli, instance, &pod, err);
    kubectl_begin(&k, cli, "exec", pod ? pod : "", "--container", OBJECT_CONTAINER, "--namespace", object_namespace(instance),
                  "--", "mssqlctl", NULL);
    command = mem_strdup(cli->args.command->name); /* "hold release": a word each */
    for (char *word = command; *word;) {
        char *end = word + strcspn(word, " ");
        kubectl_add(&k, word);
        word = *end ? end + 1 : end;
        *end = '\0';
    }
    for (size_t i = 1; i < cli->args.word_count; i++)
        kubectl_add(&k, cli->args.words[i]);
    if (rc == 0)
        rc = kubectl_through(&k, &code, err);
    json_decref(instance);
    return rc < 0 ? -1 : ended(cli, code);
}

int kube_logs(struct cli *cli, struct err *err) {
    _cleanup_free_ char *pod = NULL, *since = NULL;
    const char *span = cli_value(&cli->args, "--since");
    struct kubectl k;
    json_t *instance;
    int64_t ms;
    int code;
    if (span && cli_duration_ms("--since", span, &ms, err) < 0)
        return -1;
    if (object_instance(cli, cli->args.word_count ? cli->args.words[0] : NULL, &instance, err) < 0)
        return -1;
    int rc = object_pod(cli, instance, &pod, err);
    kubectl_begin(&k, cli, "logs", pod ? pod : "", "--container", OBJECT_CONTAINER, "--namespace", object_namespace(instance),
                  NULL);
    if (cli_given(&cli->args, "--follow"))
        kubectl_add(&k, "--follow");
    if (cli_given(&cli->args, "--previous"))
        kubectl_add(&k, "--previous");
    if (span) {
        since = mem_printf("--since=%llds", (long long)((ms + 999) / 1000));
        kubectl_add(&k, since);
    }
    if (rc == 0)
        rc = kubectl_through(&k, &code, err);
    json_decref(instance);
    return rc < 0 ? -1 : ended(cli, code);
}

int kube_version(struct cli *cli, struct err *err) {
    (void)err;
    if (cli->output == CLI_TABLE)
        cli_field(cli, cli->program, CLI_PLAIN, "%s", MSSQLCTL_VERSION);
    else
        cli_print_value(cli, json_pack("{s:s}", "kubectlMssql", MSSQLCTL_VERSION));
    return 0;
}
