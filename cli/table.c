/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <stdarg.h>

#include "cli/text.h"
#include "common/base/mem.h"

#define GAP 2

struct cell {
    char *text;
    enum cli_color color;
};

struct cli_table {
    const struct cli *cli;
    const struct cli_column *columns;
    size_t column_count;
    struct cell *cells;
    size_t count, cap;
    size_t *widths;
};

struct cli_table *table_new(const struct cli *cli, const struct cli_column *columns, size_t count) {
    struct cli_table *t = mem_alloc(sizeof(*t));
    t->cli = cli;
    t->columns = columns;
    t->column_count = count;
    t->widths = mem_array(count, sizeof(*t->widths));
    for (size_t i = 0; i < count; i++)
        t->widths[i] = text_width(columns[i].title);
    return t;
}

void table_cell(struct cli_table *table, enum cli_color color, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *text = text_vprintf(fmt, ap);
    va_end(ap);
    if (!*text) {
        mem_free(text);
        text = mem_strdup("-");
    }
    table->cells = mem_grow(table->cells, &table->cap, table->count + 1, sizeof(*table->cells));
    struct cell *c = &table->cells[table->count];
    *c = (struct cell){text, color};
    size_t *width = &table->widths[table->count % table->column_count];
    table->count++;
    if (text_width(c->text) > *width)
        *width = text_width(c->text);
}

/* Takes columns away, one at a time, from the widest column that may still shrink. */
static void shrink(struct cli_table *t) {
    size_t total = GAP * (t->column_count - 1), room = cli_width(t->cli);
    for (size_t i = 0; i < t->column_count; i++)
        total += t->widths[i];
    while (total > room) {
        size_t *widest = NULL;
        for (size_t i = 0; i < t->column_count; i++) {
            size_t least = t->columns[i].shrink_to;
            if (least && t->widths[i] > least && (!widest || t->widths[i] > *widest))
                widest = &t->widths[i];
        }
        if (!widest)
            return;
        (*widest)--;
        total--;
    }
}

static void print_cell(const struct cli_table *t, size_t column, const char *text, enum cli_color color, bool last) {
    _cleanup_free_ char *fit = text_fit(text, t->widths[column]);
    size_t width = text_width(fit);
    int pad = width < t->widths[column] ? (int)(t->widths[column] - width) : 0;
    FILE *out = t->cli->io->out;
    if (t->columns[column].right)
        fprintf(out, "%*s", pad, "");
    fprintf(out, "%s%s%s", cli_color_begin(t->cli, color), fit, cli_color_end(t->cli, color));
    if (!last)
        fprintf(out, "%*s", (t->columns[column].right ? 0 : pad) + GAP, "");
}

void table_print(struct cli_table *table) {
    FILE *out = table->cli->io->out;
    shrink(table);
    for (size_t i = 0; i < table->column_count; i++)
        print_cell(table, i, table->columns[i].title, CLI_BOLD, i + 1 == table->column_count);
    fputc('\n', out);
    for (size_t i = 0; i < table->count; i++) {
        size_t column = i % table->column_count;
        bool last = column + 1 == table->column_count || i + 1 == table->count;
        print_cell(table, column, table->cells[i].text, table->cells[i].color, last);
        if (last)
            fputc('\n', out);
        mem_free(table->cells[i].text);
    }
    mem_free(table->cells);
    mem_free(table->widths);
    mem_free(table);
}
