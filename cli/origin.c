/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/origin.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/history_value.h"
#include "cli/offline.h"
#include "cli/text.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"

void origin_note(const struct cli *cli, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    _cleanup_free_ char *text = text_vprintf(fmt, ap);
    va_end(ap);
    fprintf(cli->io->err, "%s: note: %s\n", cli->program, text);
}

bool origin_is_system(const char *database) {
    static const char *const names[] = {"master", "model", "msdb", "tempdb"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_ieq(names[i], database))
            return true;
    return false;
}

const char *origin_name(struct cli *cli) {
    const struct cli_args *a = &cli->args;
    const char *history = cli_value(a, "--history"), *catalog = cli_value(a, "--catalog");
    if (history)
        return strcmp(history, "-") ? history : "standard input";
    return catalog ? catalog : cli_value(a, "--store");
}

/* ---- a history ---- */

static ssize_t read_fd(void *user, void *dst, size_t len, struct err *err) {
    const int *fd = user;
    ssize_t n;
    do
        n = read(*fd, dst, len);
    while (n < 0 && errno == EINTR);
    return n < 0 ? err_os(err, ERR_NONE, errno, "reading the history") : n;
}

static int read_history(struct cli *cli, const char *path, struct history *ret_history, struct err *err) {
    const char *offset = cli_value(&cli->args, "--utc-offset");
    struct history_source source = {.name = origin_name(cli), .read = read_fd};
    int fd = STDIN_FILENO;
    if (offset && !history_offset_parse(offset, &source.utc_offset_s))
        return err_set(err, ERR_USAGE, "--utc-offset: '%s' is no offset from UTC (+02:00, -05:30, Z)", offset);
    source.offset_known = offset != NULL;
    if (strcmp(path, "-")) {
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return err_os(err, ERR_NONE, errno, "history '%s'", path);
    }
    source.user = &fd;
    int rc = history_read(&source, ret_history, err);
    if (fd != STDIN_FILENO)
        close(fd);
    return rc;
}

static void list_history(struct origin *o) {
    const struct history *h = &o->history;
    o->list.items = mem_array(h->database_count + 1, sizeof(*o->list.items));
    o->list.count = h->database_count;
    for (size_t i = 0; i < h->database_count; i++) {
        const struct history_database *d = &h->databases[i];
        struct source_database *out = &o->list.items[i];
        const struct guid *guid = guid_is_zero(&d->guid) ? &d->family : &d->guid;
        out->family_guid = d->family;
        out->database_guid = d->guid;
        out->newest_at = d->newest_at;
        str_copy(out->name, sizeof(out->name), d->name);
        if (guid_is_zero(guid))
            str_copy(out->folder, sizeof(out->folder), d->name);
        else
            str_format(out->folder, sizeof(out->folder), "%.100s~%02x%02x%02x%02x", d->name, guid->bytes[0], guid->bytes[1],
                       guid->bytes[2], guid->bytes[3]);
        for (size_t k = d->end; k > d->begin && out->older_count < SOURCE_OLDER_NAMES_MAX; k--) {
            const char *name = h->details[k - 1].database;
            bool known = str_ieq(name, out->name);
            for (unsigned n = 0; n < out->older_count && !known; n++)
                known = str_ieq(name, out->older[n]);
            if (!known)
                str_copy(out->older[out->older_count++], SOURCE_NAME_MAX, name);
        }
    }
}

static int open_history(struct cli *cli, const char *path, struct origin *o, struct err *err) {
    if (read_history(cli, path, &o->history, err) < 0)
        return -1;
    const struct history *h = &o->history;
    list_history(o);
    if (h->other_kinds)
        origin_note(cli, "rows of file and partial backups that are left out: %llu", (unsigned long long)h->other_kinds);
    if (h->incomplete)
        origin_note(cli, "rows without LSNs or finish date that are left out: %llu", (unsigned long long)h->incomplete);
    if (h->zone_assumed)
        origin_note(cli,
                    "rows with local times that do not say how far from UTC: %llu. UTC is assumed, --utc-offset says another",
                    (unsigned long long)h->zone_assumed);
    return 0;
}

/* ---- a store, a catalog ---- */

static int open_catalog(const char *path, struct origin *o, struct err *err) {
    struct stat st;
    _cleanup_free_ char *file = NULL;
    if (stat(path, &st) < 0)
        return err_os(err, ERR_NONE, errno, "catalog '%s'", path);
    file = S_ISDIR(st.st_mode) ? file_join(path, "catalog") : mem_strdup(path);
    struct source_catalog_params params = {.store = o->store, .scope = o->scope, .catalog_path = file};
    return source_catalog_open(&params, &o->source, err);
}

static int open_store(struct cli *cli, struct origin *o, struct err *err) {
    struct store_options options = {.read_only = true};
    const char *catalog = cli_value(&cli->args, "--catalog"), *url = cli_value(&cli->args, "--store");
    if (url && (store_open(url, &options, &o->store, err) < 0 || offline_scope(cli, o->store, o->scope, err) < 0))
        return -1;
    int rc = catalog ? open_catalog(catalog, o, err) : source_store_open(o->store, o->scope, 0, &o->source, err);
    return rc < 0 ? -1 : source_databases(o->source, &o->list, err);
}

static bool has_option(struct cli *cli, const char *name) {
    return cli_option_find(cli->args.set, cli->args.command, name, strlen(name)) && cli_given(&cli->args, name);
}

int origin_open(struct cli *cli, struct origin *ret_origin, struct err *err) {
    struct origin o = {0};
    bool history = has_option(cli, "--history"), store = has_option(cli, "--store"), catalog = has_option(cli, "--catalog");
    if (history && (store || catalog))
        return err_set(err, ERR_USAGE, "--history stands alone, without --store and --catalog");
    if (!history && !store && !catalog)
        return err_set(err, ERR_USAGE, "'%s' needs to know where the backups are: --store URL%s", cli->args.command->name,
                       cli_option_find(cli->args.set, cli->args.command, "--history", 9) ? ", --catalog DIR or --history FILE"
                                                                                         : "");
    if (!history && cli_option_find(cli->args.set, cli->args.command, "--utc-offset", 12) &&
        cli_given(&cli->args, "--utc-offset"))
        return err_set(err, ERR_USAGE, "--utc-offset belongs to --history: manifests have theirs");
    int rc = history ? open_history(cli, cli_value(&cli->args, "--history"), &o, err) : open_store(cli, &o, err);
    if (rc < 0) {
        origin_done(&o);
        return -1;
    }
    *ret_origin = o;
    return 0;
}

void origin_done(struct origin *origin) {
    source_list_done(&origin->list);
    source_free(origin->source);
    store_free(origin->store);
    history_done(&origin->history);
    *origin = (struct origin){0};
}

/* ---- one database ---- */

static void load_foreign(const struct history *h, const struct history_database *d, struct origin_chain *c) {
    c->foreign = mem_array(d->end - d->foreign + 1, sizeof(*c->foreign));
    for (size_t i = d->foreign; i < d->end; i++) {
        struct chain_foreign *f = &c->foreign[c->foreign_count++];
        f->set = h->sets[i];
        str_copy(f->who, sizeof(f->who), h->details[i].user);
        if (h->details[i].file_count)
            str_copy(f->device, sizeof(f->device), h->files[h->details[i].first_file].path);
    }
}

int origin_load(struct cli *cli, struct origin *origin, size_t index, bool marks, struct origin_chain *ret_chain,
                struct err *err) {
    struct origin_chain c = {.database = &origin->list.items[index]};
    if (origin->source) {
        if (source_history(origin->source, c.database->folder, marks, &c.loaded, err) < 0)
            return -1;
        c.sets = c.loaded.sets;
        c.count = c.loaded.count;
        for (size_t i = 0; i < c.loaded.unreadable_count; i++)
            cli_fail_later(cli, &c.loaded.unreadable[i].err);
        if (c.loaded.unreadable_total > c.loaded.unreadable_count)
            origin_note(cli, "%zu more manifests of %s cannot be read", c.loaded.unreadable_total - c.loaded.unreadable_count,
                        c.database->folder);
    } else {
        const struct history_database *d = &origin->history.databases[index];
        c.first = d->begin;
        c.sets = origin->history.sets + d->begin;
        c.count = d->foreign - d->begin;
        load_foreign(&origin->history, d, &c);
    }
    chain_history_init(&c.order, c.sets, c.count);
    *ret_chain = c;
    return 0;
}

void origin_chain_done(struct origin_chain *chain) {
    chain_history_done(&chain->order);
    source_history_done(&chain->loaded);
    mem_free(chain->foreign);
    *chain = (struct origin_chain){0};
}
