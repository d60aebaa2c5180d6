/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/words.h"
#include "common/net/proto_json.h"

static void print(const struct cli *cli, const Mssql__V1__Status *s) {
    cli_field(cli, cli->program, CLI_PLAIN, "%s", MSSQLCTL_VERSION);
    if (!s || !s->versions)
        return;
    cli_field(cli, "mssql-sidecar", CLI_PLAIN, "%s (%s, gRPC core %s)", s->versions->sidecar, s->versions->api,
              s->versions->grpc_core);
    if (s->sql_server && *s->sql_server->version)
        cli_field(cli, "SQL Server", CLI_PLAIN, "%s, %s", s->sql_server->version, s->sql_server->edition);
}

int cmd_version(struct cli *cli, struct err *err) {
    Mssql__V1__GetStatusRequest q = MSSQL__V1__GET_STATUS_REQUEST__INIT;
    _cleanup_message_ ProtobufCMessage *answer = NULL;
    int rc = 0;
    q.without_databases = true;
    if (!cli_given(&cli->args, "--client"))
        rc = ask(cli, "GetStatus", &q.base, &mssql__v1__status__descriptor, &answer, err);
    const Mssql__V1__Status *s = (const Mssql__V1__Status *)answer;
    if (cli->output == CLI_TABLE) {
        print(cli, s); /* our own in any case */
        return rc;
    }
    json_t *sidecar = s && s->versions ? proto_json_from(&s->versions->base, false) : json_null();
    json_t *server = s && s->sql_server ? json_string(s->sql_server->version) : json_null();
    cli_print_value(cli, json_pack("{s:s,s:o,s:o}", "mssqlctl", MSSQLCTL_VERSION, "sidecar", sidecar, "sqlServer", server));
    return rc;
}
