/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/out.h"
#include "cli/restore.h"
#include "cli/text.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define BARS_SHOWN 20 /* at once: more lines than a terminal has cannot be redrawn */
#define BAR_WIDTH 24
#define NAME_WIDTH 28
#define DRAW_EVERY_US (100 * 1000)
#define LINE_EVERY_US (10 * CLOCK_SECOND) /* without a terminal, while nothing else is worth a line */

struct bar {
    char *database;
    struct restore_progress last; /* its strings are not ours */
    char message[160];
    int64_t begun_us, said_us;
};

/* Callbacks come one at a time. */
struct restore_bars {
    const struct cli *cli;
    bool terminal, quiet;
    struct bar *items;
    size_t count, cap;
    unsigned drawn; /* lines on the terminal now */
    int64_t drawn_us;
};

struct restore_bars *restore_bars_new(const struct cli *cli) {
    struct restore_bars *bars = mem_alloc(sizeof(*bars));
    bars->cli = cli;
    bars->terminal = cli->io->err_terminal;
    bars->quiet = cli->output != CLI_TABLE && !bars->terminal; /* a program reads: it has the document */
    return bars;
}

/* ---- on a terminal ---- */

static void erase(struct restore_bars *bars) {
    if (bars->drawn)
        fprintf(bars->cli->io->err, "\033[%uA\033[J", bars->drawn);
    bars->drawn = 0;
}

static double part_of(const struct restore_progress *p) {
    if (p->step >= RESTORE_APPLIED)
        return 100;
    return p->total_bytes ? (double)p->applied_bytes * 100 / (double)p->total_bytes : 0;
}

static void describe(const struct restore_progress *p, char *dst, size_t dst_bytes) {
    char percent[16] = "";
    if (p->percent >= 0)
        str_format(percent, sizeof(percent), " %.0f%%", p->percent);
    if (p->step == RESTORE_RESTORING && p->member)
        str_format(dst, dst_bytes, "%s %u of %u%s", backup_kind_name(p->kind), p->member, p->members, percent);
    else
        str_format(dst, dst_bytes, "%s%s", restore_step_name(p->step), percent);
}

static void draw_bar(const struct restore_bars *bars, const struct bar *b) {
    char bar[BAR_WIDTH + 1], doing[64], span[TEXT_MAX], done[TEXT_MAX];
    double part = part_of(&b->last);
    memset(bar, '.', BAR_WIDTH);
    bar[BAR_WIDTH] = 0;
    memset(bar, '#', (size_t)((part > 100 ? 100 : part) * BAR_WIDTH / 100));
    describe(&b->last, doing, sizeof(doing));
    _cleanup_free_ char *name = text_fit(b->database, NAME_WIDTH);
    int pad = NAME_WIDTH - (int)text_width(name);
    fprintf(bars->cli->io->err, "%s%*s  [%s] %-24s %10s %s\n", name, pad, "", bar, b->message[0] ? b->message : doing,
            text_bytes(done, b->last.applied_bytes), text_span(span, clock_mono_us() - b->begun_us));
}

static void draw(struct restore_bars *bars) {
    erase(bars);
    for (size_t i = 0; i < bars->count && bars->drawn < BARS_SHOWN; i++)
        if (bars->items[i].last.step < RESTORE_FINISHED) {
            draw_bar(bars, &bars->items[i]);
            bars->drawn++;
        }
    bars->drawn_us = clock_mono_us();
    fflush(bars->cli->io->err);
}

/* ---- events ---- */

static struct bar *find(struct restore_bars *bars, const char *database) {
    for (size_t i = 0; i < bars->count; i++)
        if (!strcmp(bars->items[i].database, database))
            return &bars->items[i];
    bars->items = mem_grow(bars->items, &bars->cap, bars->count + 1, sizeof(*bars->items));
    struct bar *b = &bars->items[bars->count++];
    *b = (struct bar){.database = mem_strdup(database), .begun_us = clock_mono_us()};
    return b;
}

static void say(struct restore_bars *bars, const char *database, const char *text) {
    _cleanup_free_ char *line = mem_printf("%s: %s", database, text);
    _cleanup_free_ char *clean = text_clean(line);
    erase(bars);
    fprintf(bars->cli->io->err, "%s\n", clean);
    fflush(bars->cli->io->err);
}

void restore_bars_update(struct restore_bars *bars, const struct restore_progress *p) {
    struct bar *b = find(bars, p->database);
    int64_t now = clock_mono_us();
    bool data = p->step == RESTORE_RESTORING && p->kind != BACKUP_LOG;
    bool news = b->last.step != p->step || (data && b->last.member != p->member) || (p->message && p->step < RESTORE_FINISHED);
    b->last = *p;
    str_copy(b->message, sizeof(b->message), p->message ? p->message : "");
    if (bars->terminal) {
        if (news || p->step >= RESTORE_FINISHED || now - bars->drawn_us > DRAW_EVERY_US)
            draw(bars);
        return;
    }
    if (bars->quiet || p->step >= RESTORE_FINISHED || (!news && now - b->said_us < LINE_EVERY_US))
        return;
    char doing[64];
    describe(p, doing, sizeof(doing));
    b->said_us = now;
    say(bars, p->database, p->message ? p->message : doing);
}

void restore_bars_say(struct restore_bars *bars, const char *database, const char *text) {
    if (!bars->quiet)
        say(bars, database, text);
    if (bars->terminal)
        draw(bars);
}

void restore_bars_free(struct restore_bars *bars) {
    erase(bars);
    fflush(bars->cli->io->err);
    for (size_t i = 0; i < bars->count; i++)
        mem_free(bars->items[i].database);
    mem_free(bars->items);
    mem_free(bars);
}
