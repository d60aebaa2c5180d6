/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "tests/unit/reconcile/table.h"

static void table(void **state) {
    (void)state;
    assert_int_equal(table_run("request", reconcile_request), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
