/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store/holds.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/document.h"

#define HOLD_BYTES_MAX 65536
#define PAGE 1000

static bool is_id(const char *id) {
    size_t len = strlen(id);
    return len && len < HOLD_ID_MAX && strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == len;
}

static int name_of(char dst[STORE_NAME_MAX], const char *scope, const char *folder, const char *id, struct err *err) {
    if (!is_id(id))
        return err_set(err, ERR_USAGE, "hold '%.80s': an id has up to %d letters, digits, '-' and '_'", id, HOLD_ID_MAX - 1);
    char rest[HOLD_ID_MAX + 16];
    str_format(rest, sizeof(rest), "holds/%s.json", id);
    return name_join(dst, scope, folder, rest, err);
}

static int read_fields(const json_t *root, struct hold *h, struct err *err) {
    if (document_text(root, "id", true, h->id, sizeof(h->id), err) < 0 ||
        document_guid(root, "set", false, &h->set_guid, err) < 0 || document_time(root, "from", false, &h->from_at, err) < 0 ||
        document_time(root, "until", false, &h->until_at, err) < 0 ||
        document_text(root, "reason", false, h->reason, sizeof(h->reason), err) < 0 ||
        document_text(root, "by", false, h->by, sizeof(h->by), err) < 0 ||
        document_time(root, "createdAt", false, &h->created_at, err) < 0 ||
        document_time(root, "expiresAt", false, &h->expires_at, err) < 0)
        return -1;
    return 0;
}

static int check(const struct hold *h, enum err_class class, struct err *err) {
    if (!is_id(h->id))
        return err_set(err, class, "field id: no id of a hold");
    if (guid_is_zero(&h->set_guid) && (!h->from_at || (h->until_at && h->until_at < h->from_at)))
        return err_set(err, class, "a hold needs a set, or a range whose end, if it has one, is not before its start");
    return 0;
}

static int hold_parse(const char *data, size_t len, struct hold *ret_hold, struct err *err) {
    json_t *root;
    if (document_parse(data, len, "hold", &root, err) < 0)
        return -1;
    struct hold h = {0};
    int rc = read_fields(root, &h, err);
    json_decref(root);
    if (rc < 0 || check(&h, ERR_CORRUPT, err) < 0)
        return -1;
    *ret_hold = h;
    return 0;
}

static int hold_read(struct store *store, const char *name, struct hold *ret_hold, struct err *err) {
    _cleanup_free_ char *data = NULL;
    size_t len;
    if (store_get(store, name, HOLD_BYTES_MAX, &data, &len, err) < 0)
        return -1;
    return hold_parse(data, len, ret_hold, err) < 0 ? err_context(err, "hold %s", name) : 0;
}

static bool same(const struct hold *a, const struct hold *b) {
    return guid_eq(&a->set_guid, &b->set_guid) && a->from_at == b->from_at && a->until_at == b->until_at &&
           a->expires_at == b->expires_at;
}

static json_t *hold_json(const struct hold *h) {
    json_t *root = document_new();
    document_set_text(root, "id", h->id);
    if (!guid_is_zero(&h->set_guid))
        document_set_guid(root, "set", &h->set_guid);
    document_set_time(root, "from", h->from_at);
    document_set_time(root, "until", h->until_at);
    document_set_text(root, "reason", h->reason);
    document_set_text(root, "by", h->by);
    document_set_time(root, "createdAt", h->created_at);
    document_set_time(root, "expiresAt", h->expires_at);
    return root;
}

int hold_create(struct store *store, const char *scope, const char *folder, struct hold *hold, struct err *err) {
    char name[STORE_NAME_MAX];
    struct hold h = *hold;
    if (!*h.id) {
        struct guid random;
        guid_random(&random);
        str_hex(h.id, random.bytes, 8);
    }
    if (!h.created_at)
        h.created_at = clock_wall();
    if (check(&h, ERR_USAGE, err) < 0 || name_of(name, scope, folder, h.id, err) < 0)
        return -1;
    json_t *root = hold_json(&h);
    struct err why = {0};
    int rc = document_put(store, name, root, STORE_PUT_IF_ABSENT, "hold", &why);
    json_decref(root);
    if (rc < 0 && why.class == ERR_EXISTS) {
        struct hold have;
        if (hold_read(store, name, &have, err) < 0)
            return -1;
        if (!same(&have, &h))
            return err_set(err, ERR_EXISTS, "hold %s is there already and holds something else", h.id);
        h = have;
        rc = store_make_durable(store, name, err);
    } else if (rc < 0) {
        err_copy(err, &why);
    }
    if (rc == 0)
        *hold = h;
    return rc;
}

struct hold_walk {
    struct store *store;
    hold_fn *fn;
    void *user;
    char after[STORE_NAME_MAX];
};

static int on_entry(void *user, const struct store_entry *entry, struct err *err) {
    struct hold_walk *walk = user;
    str_copy(walk->after, sizeof(walk->after), entry->name);
    if (entry->is_folder || !str_ends(entry->name, ".json"))
        return 0;
    struct hold hold;
    if (hold_read(walk->store, entry->name, &hold, err) < 0)
        return -1;
    return walk->fn(walk->user, &hold, err);
}

int hold_list(struct store *store, const char *scope, const char *folder, hold_fn *fn, void *user, struct err *err) {
    char prefix[STORE_NAME_MAX];
    if (!str_format(prefix, sizeof(prefix), "%s/%s/holds/", scope, folder))
        return err_set(err, ERR_LIMIT, "folder '%.100s' has too long a name", folder);
    struct hold_walk walk = {.store = store, .fn = fn, .user = user};
    bool more = true;
    while (more) {
        more = false;
        int rc = store_list(store, prefix, walk.after, PAGE, on_entry, &walk, &more, err);
        if (rc)
            return rc;
    }
    return 0;
}

int hold_release(struct store *store, const char *scope, const char *folder, const char *id, struct err *err) {
    char name[STORE_NAME_MAX];
    bool there;
    if (name_of(name, scope, folder, id, err) < 0 || store_exists(store, name, &there, err) < 0)
        return -1;
    return there ? store_remove(store, name, err) : err_set(err, ERR_NOT_FOUND, "there is no hold '%s'", id);
}
