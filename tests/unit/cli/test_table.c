/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "cli/table.h"
#include "cli/text.h"

static const struct cli_column columns[] = {{"NAME", 6, false}, {"SIZE", 0, true}, {"NOTE", 4, false}};

struct output {
    char *text;
    size_t len;
    struct cli_io io;
    struct cli cli;
};

static struct output *begin(unsigned width, bool color) {
    struct output *o = mem_alloc(sizeof(*o));
    o->io = (struct cli_io){.out = open_memstream(&o->text, &o->len), .out_terminal = width > 0, .width = width};
    o->cli = (struct cli){.io = &o->io, .color = color};
    return o;
}

static void end(struct output *o, const char *want) {
    fclose(o->io.out);
    assert_string_equal(o->text, want);
    free(o->text);
    mem_free(o);
}

static void columns_are_as_wide_as_they_must_be(void **state) {
    (void)state;
    struct output *o = begin(0, false);
    struct cli_table *t = table_new(&o->cli, columns, ARRAY_LEN(columns));
    table_cell(t, CLI_PLAIN, "größe");
    table_cell(t, CLI_PLAIN, "%d", 7);
    table_cell(t, CLI_PLAIN, "%s", "");
    table_cell(t, CLI_PLAIN, "日本語");
    table_cell(t, CLI_PLAIN, "%d", 12345);
    table_cell(t, CLI_PLAIN, "x");
    table_print(t);
    end(o, "NAME     SIZE  NOTE\n"
           "größe       7  -\n"
           "日本語  12345  x\n");
}

static void the_widest_that_may_shrinks_first(void **state) {
    (void)state;
    char name[91], note[41];
    memset(name, 'n', 90);
    memset(note, 'o', 40);
    name[90] = note[40] = 0;
    struct output *o = begin(60, false);
    struct cli_table *t = table_new(&o->cli, columns, ARRAY_LEN(columns));
    table_cell(t, CLI_PLAIN, "%s", name);
    table_cell(t, CLI_PLAIN, "1");
    table_cell(t, CLI_PLAIN, "%s", note);
    table_print(t);
    fflush(o->io.out);
    char *second = strchr(o->text, '\n') + 1;
    second[strlen(second) - 1] = 0;
    assert_int_equal(text_width(second), 60);
    char *gone = o->text;
    assert_non_null(strstr(gone, "n…"));
    assert_non_null(strstr(gone, "o…"));
    fclose(o->io.out);
    free(o->text);
    mem_free(o);
}

static void a_column_that_may_not_shrink_does_not(void **state) {
    (void)state;
    static const struct cli_column fixed[] = {{"A", 0, false}, {"B", 3, false}};
    char wide[101];
    memset(wide, 'a', 100);
    wide[100] = 0;
    struct output *o = begin(80, false);
    struct cli_table *t = table_new(&o->cli, fixed, ARRAY_LEN(fixed));
    table_cell(t, CLI_PLAIN, "%s", wide);
    table_cell(t, CLI_PLAIN, "bbbbbb");
    table_print(t);
    fflush(o->io.out);
    assert_non_null(strstr(o->text, wide));
    assert_non_null(strstr(o->text, "  bb…\n"));
    fclose(o->io.out);
    free(o->text);
    mem_free(o);
}

static void colours_take_no_columns(void **state) {
    (void)state;
    struct output *o = begin(80, true);
    struct cli_table *t = table_new(&o->cli, columns, ARRAY_LEN(columns));
    table_cell(t, CLI_BAD, "ab");
    table_cell(t, CLI_PLAIN, "1");
    table_cell(t, CLI_GOOD, "c");
    table_print(t);
    end(o, "\033[1mNAME\033[0m  \033[1mSIZE\033[0m  \033[1mNOTE\033[0m\n"
           "\033[31mab\033[0m       1  \033[32mc\033[0m\n");
}

static void names_cannot_write_on_the_terminal(void **state) {
    (void)state;
    struct output *o = begin(0, false);
    struct cli_table *t = table_new(&o->cli, columns, ARRAY_LEN(columns));
    table_cell(t, CLI_PLAIN, "%s", "a\033]0;x\nb");
    table_print(t);
    end(o, "NAME      SIZE  NOTE\n"
           "a\xef\xbf\xbd]0;x b\n");
}

static void fields_break_at_words(void **state) {
    (void)state;
    struct output *o = begin(60, false);
    cli_field(&o->cli, "store", CLI_PLAIN, "%s", "one two three four five six seven eight nine ten eleven twelve");
    cli_field(&o->cli, "", CLI_PLAIN, "%s", "averyveryveryveryveryveryverylongwordthatdoesnotfitanywhere end");
    cli_field(&o->cli, "empty", CLI_PLAIN, "%s", "");
    end(o, "store             one two three four five six seven eight\n"
           "                  nine ten eleven twelve\n"
           "                  averyveryveryveryveryveryverylongwordthatdoesnotfitanywhere\n"
           "                  end\n"
           "empty             \n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_they_must_be),   cmocka_unit_test(the_widest_that_may_shrinks_first),
        cmocka_unit_test(a_column_that_may_not_shrink_does_not), cmocka_unit_test(colours_take_no_columns),
        cmocka_unit_test(names_cannot_write_on_the_terminal),    cmocka_unit_test(fields_break_at_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
