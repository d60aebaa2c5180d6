/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/fleet/report.h"

#include <string.h>

#include "common/api/digest.h"
#include "common/base/mem.h"

static void piece_free(struct report_piece *piece) {
    if (piece)
        mem_free(piece->name);
    mem_free(piece);
}

static struct report_piece *piece_new(const ProtobufCMessage *message, uint64_t digest, const char *name) {
    size_t len = protobuf_c_message_get_packed_size(message);
    struct report_piece *piece = mem_alloc(sizeof(*piece) + len);
    piece->digest = digest;
    piece->len = len;
    piece->name = name ? mem_strdup(name) : NULL;
    protobuf_c_message_pack(message, piece->bytes);
    return piece;
}

static void view_done(struct report_view *v) {
    piece_free(v->head);
    for (size_t i = 0; i < v->database_count; i++)
        piece_free(v->databases[i]);
    mem_free(v->databases);
    *v = (struct report_view){0};
}

static void drop_next(struct report *r) {
    if (r->next)
        view_done(r->next);
    mem_free(r->next);
    r->next = NULL;
}

void report_done(struct report *r) {
    drop_next(r);
    view_done(&r->view);
    *r = (struct report){0};
}

void report_begin(struct report *r) {
    drop_next(r);
    r->sequence = 0;
    r->complete = false;
}

/* Where a name is, or would be. */
static size_t place_of(const struct report_view *v, const char *name, bool *ret_found) {
    size_t low = 0, high = v->database_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(v->databases[mid]->name, name);
        if (order == 0) {
            *ret_found = true;
            return mid;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *ret_found = false;
    return low;
}

static int room(const struct report_view *v, size_t bytes, struct err *err) {
    if (v->bytes + bytes > REPORT_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "the status is larger than %u MiB", REPORT_BYTES_MAX >> 20);
    return 0;
}

static int take_head(struct report_view *v, const Mssql__V1__Status *head, bool *news, struct err *err) {
    Mssql__V1__Status alone = *head; /* whatever it says: databases have their own place */
    alone.databases = NULL;
    alone.n_databases = 0;
    struct report_piece *fresh = piece_new(&alone.base, digest_head(&alone), NULL);
    if (room(v, fresh->len, err) < 0) {
        piece_free(fresh);
        return -1;
    }
    *news |= !v->head || v->head->digest != fresh->digest;
    v->bytes += fresh->len - (v->head ? v->head->len : 0);
    piece_free(v->head);
    v->head = fresh;
    return 0;
}

static int take_database(struct report_view *v, const Mssql__V1__Database *db, bool *news, struct err *err) {
    bool found;
    size_t at = place_of(v, db->name, &found);
    struct report_piece *fresh = piece_new(&db->base, digest_database(db), db->name);
    int rc = room(v, fresh->len, err);
    if (rc == 0 && !found && v->database_count == REPORT_DATABASES_MAX)
        rc = err_set(err, ERR_LIMIT, "more than %d databases", REPORT_DATABASES_MAX);
    if (rc < 0) {
        piece_free(fresh);
        return -1;
    }
    if (found) {
        *news |= v->databases[at]->digest != fresh->digest;
        v->bytes -= v->databases[at]->len;
        piece_free(v->databases[at]);
    } else {
        *news = true;
        v->databases = mem_grow(v->databases, &v->database_cap, v->database_count + 1, sizeof(struct report_piece *));
        memmove(&v->databases[at + 1], &v->databases[at], (v->database_count - at) * sizeof(struct report_piece *));
        v->database_count++;
    }
    v->databases[at] = fresh;
    v->bytes += fresh->len;
    return 0;
}

static void take_gone(struct report_view *v, const char *name, bool *news) {
    bool found;
    size_t at = place_of(v, name, &found);
    if (!found)
        return;
    v->bytes -= v->databases[at]->len;
    piece_free(v->databases[at]);
    v->database_count--;
    memmove(&v->databases[at], &v->databases[at + 1], (v->database_count - at) * sizeof(struct report_piece *));
    *news = true;
}

/* Which view a part belongs to. */
static struct report_view *target_of(struct report *r, const Mssql__V1__StatusPart *part) {
    if (part->first) {
        drop_next(r);
        r->next = mem_alloc(sizeof(*r->next));
    }
    return r->next ? r->next : &r->view;
}

static void publish(struct report *r, bool *ret_news) {
    if (r->next) {
        view_done(&r->view);
        r->view = *r->next;
        mem_free(r->next);
        r->next = NULL;
        r->news = true;
    }
    r->complete = true;
    *ret_news = r->news;
    r->news = false;
}

int report_take(struct report *r, const Mssql__V1__StatusPart *part, bool *ret_news, struct err *err) {
    if (part->sequence != r->sequence + 1)
        return err_set(err, ERR_PROTOCOL, "part %llu of the status follows part %llu", (unsigned long long)part->sequence,
                       (unsigned long long)r->sequence);
    if ((part->sequence == 1 && !part->first) || (part->first && !part->head))
        return err_set(err, ERR_PROTOCOL, "the first part of the status does not begin one");
    struct report_view *v = target_of(r, part);
    r->sequence = part->sequence;
    if (part->head && take_head(v, part->head, &r->news, err) < 0)
        return -1;
    for (size_t i = 0; i < part->n_databases; i++)
        if (take_database(v, part->databases[i], &r->news, err) < 0)
            return -1;
    for (size_t i = 0; i < part->n_gone; i++)
        take_gone(v, part->gone[i], &r->news);
    *ret_news = false;
    if (part->complete)
        publish(r, ret_news);
    return 0;
}

Mssql__V1__Status *report_status(const struct report *r, bool with_databases) {
    const struct report_view *v = &r->view;
    if (!v->head)
        return NULL;
    Mssql__V1__Status *s = mssql__v1__status__unpack(NULL, v->head->len, v->head->bytes);
    if (!s || !with_databases || !v->database_count)
        return s;
    s->databases = mem_array(v->database_count, sizeof(*s->databases));
    for (size_t i = 0; i < v->database_count; i++) {
        Mssql__V1__Database *db = mssql__v1__database__unpack(NULL, v->databases[i]->len, v->databases[i]->bytes);
        if (db)
            s->databases[s->n_databases++] = db;
    }
    return s;
}
