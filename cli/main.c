/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"

static const char *environment(const char *name) {
    return getenv(name);
}

int main(int argc, char **argv) {
    struct winsize size = {0};
    struct cli_io io = {.out = stdout, .err = stderr, .env = environment};
    io.out_terminal = isatty(STDOUT_FILENO);
    io.err_terminal = isatty(STDERR_FILENO);
    if (io.out_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        io.width = size.ws_col;
    else if (io.err_terminal && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0)
        io.width = size.ws_col;
    return cli_main(&io, argc, argv);
}
