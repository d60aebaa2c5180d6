/* SPDX-License-Identifier: Apache-2.0 */
/* `mssql-controller --bootstrap` alone: bootstrap --bootstrap FLAGS... */
#include "controller/bootstrap.h"

int main(int argc, char **argv) {
    return argc < 2 ? 2 : bootstrap_main(argc, argv);
}
