/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include <string.h>

#include "cli/text.h"
#include "cli/words.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define BARS_SHOWN 20 /* at once: more lines than a terminal has cannot be redrawn */
#define BAR_WIDTH 24
#define NAME_WIDTH 28

struct bar {
    char *database;
    Mssql__V1__BackupKind kind;
    Mssql__V1__JobPhase phase;
    double percent;
    uint64_t done_bytes, total_bytes;
    int64_t begun_us;
    bool started, ended;
};

struct progress {
    const struct cli *cli;
    bool terminal, quiet;
    struct bar *bars;
    size_t count, cap;
    unsigned drawn; /* lines on the terminal now */
};

struct progress *progress_new(const struct cli *cli) {
    struct progress *p = mem_alloc(sizeof(*p));
    p->cli = cli;
    p->terminal = cli->io->err_terminal;
    p->quiet = cli->output != CLI_TABLE && !p->terminal; /* a program reads: it has the document */
    return p;
}

/* ---- drawing ---- */

static void erase(struct progress *p) {
    if (p->drawn)
        fprintf(p->cli->io->err, "\033[%uA\033[J", p->drawn);
    p->drawn = 0;
}

static void draw_bar(const struct progress *p, const struct bar *b) {
    FILE *out = p->cli->io->err;
    char bar[BAR_WIDTH + 1], done[TEXT_MAX] = "", span[TEXT_MAX], percent[8] = "";
    memset(bar, '.', BAR_WIDTH);
    bar[BAR_WIDTH] = 0;
    if (b->percent >= 0) {
        double part = b->percent > 100 ? 100 : b->percent;
        memset(bar, '#', (size_t)(part * BAR_WIDTH / 100));
        str_format(percent, sizeof(percent), "%3.0f%%", part);
    }
    if (b->done_bytes)
        text_bytes(done, b->done_bytes);
    _cleanup_free_ char *name = text_fit(b->database, NAME_WIDTH);
    int pad = NAME_WIDTH - (int)text_width(name);
    fprintf(out, "%s%*s  %-4s [%s] %4s %-10s %10s %s\n", name, pad, "", b->kind ? word_kind(b->kind) : "", bar, percent,
            word_phase(b->phase), done, b->started ? text_span(span, clock_mono_us() - b->begun_us) : "");
}

static void draw(struct progress *p) {
    size_t hidden = 0;
    if (!p->terminal)
        return;
    erase(p);
    for (int started = 1; started >= 0; started--) /* those that run first */
        for (size_t i = 0; i < p->count; i++) {
            if (p->bars[i].ended || p->bars[i].started != started)
                continue;
            if (p->drawn < BARS_SHOWN) {
                draw_bar(p, &p->bars[i]);
                p->drawn++;
            } else {
                hidden++;
            }
        }
    if (hidden) {
        fprintf(p->cli->io->err, "and %zu more\n", hidden);
        p->drawn++;
    }
    fflush(p->cli->io->err);
}

/* ---- events ---- */

static struct bar *find(struct progress *p, const char *database) {
    for (size_t i = 0; i < p->count; i++)
        if (!strcmp(p->bars[i].database, database))
            return &p->bars[i];
    return NULL;
}

void progress_add(struct progress *p, const Mssql__V1__BackupPlanned *planned) {
    p->bars = mem_grow(p->bars, &p->cap, p->count + 1, sizeof(*p->bars));
    p->bars[p->count++] = (struct bar){.database = mem_strdup(planned->database),
                                       .kind = planned->kind,
                                       .phase = MSSQL__V1__JOB_PHASE__JOB_PHASE_QUEUED,
                                       .percent = -1};
    draw(p);
}

void progress_update(struct progress *p, const Mssql__V1__BackupProgress *event) {
    struct bar *b = find(p, event->database);
    if (!b)
        return;
    bool changed = !b->started || b->phase != event->phase;
    if (!b->started)
        b->begun_us = clock_mono_us();
    b->started = true;
    b->phase = event->phase;
    b->kind = event->kind ? event->kind : b->kind;
    b->percent = event->percent;
    b->done_bytes = event->done_bytes;
    b->total_bytes = event->total_bytes;
    if (p->terminal) {
        draw(p);
    } else if (changed && !p->quiet && event->phase != MSSQL__V1__JOB_PHASE__JOB_PHASE_DONE) {
        _cleanup_free_ char *name = text_clean(b->database);
        fprintf(p->cli->io->err, "%s: %s%s%s\n", name, word_phase(b->phase), b->kind ? " " : "",
                b->kind ? word_kind(b->kind) : "");
        fflush(p->cli->io->err);
    }
}

void progress_end(struct progress *p, const Mssql__V1__BackupResult *result) {
    struct bar *b = find(p, result->database);
    if (b)
        b->ended = true;
    erase(p);
    /* the result's line comes above the bars that remain; both streams are usually the same terminal */
    fflush(p->cli->io->err);
}

void progress_free(struct progress *p) {
    erase(p);
    fflush(p->cli->io->err);
    for (size_t i = 0; i < p->count; i++)
        mem_free(p->bars[i].database);
    mem_free(p->bars);
    mem_free(p);
}
