/* SPDX-License-Identifier: Apache-2.0 */
/* What hooks of the chart run, without the rest of the controller: hookprobe --bootstrap FLAGS, hookprobe --prove FLAGS. */
#include <string.h>

#include "controller/bootstrap.h"
#include "controller/prove.h"

int main(int argc, char **argv) {
    if (argc < 2)
        return 2;
    return !strcmp(argv[1], "--prove") ? prove_main(argc, argv) : bootstrap_main(argc, argv);
}
