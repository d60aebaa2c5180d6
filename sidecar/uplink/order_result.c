/* SPDX-License-Identifier: Apache-2.0 */
/* Results of commands: put together from what a handler answers, and cut to the size of a message. */
#include <string.h>

#include "common/base/mem.h"
#include "mssql/v1/sidecar.pb-c.h"
#include "sidecar/status.h"
#include "sidecar/uplink/uplink_int.h"

void *order_copy(const ProtobufCMessage *message) {
    size_t len = protobuf_c_message_get_packed_size(message);
    _cleanup_free_ uint8_t *bytes = mem_alloc(len + 1);
    protobuf_c_message_pack(message, bytes);
    return protobuf_c_message_unpack(message->descriptor, NULL, len, bytes);
}

bool order_progress(const struct order *o, const ProtobufCMessage *message, Mssql__V1__CommandProgress *ret_progress) {
    ret_progress->id = (char *)(uintptr_t)o->id;
    if (message->descriptor == &mssql__v1__run_backup_event__descriptor) {
        const Mssql__V1__RunBackupEvent *e = (const void *)message;
        ret_progress->progress_case = MSSQL__V1__COMMAND_PROGRESS__PROGRESS_BACKUP;
        ret_progress->backup = e->progress;
        return e->event_case == MSSQL__V1__RUN_BACKUP_EVENT__EVENT_PROGRESS;
    }
    if (message->descriptor == &mssql__v1__run_restore_event__descriptor) {
        const Mssql__V1__RunRestoreEvent *e = (const void *)message;
        ret_progress->progress_case = MSSQL__V1__COMMAND_PROGRESS__PROGRESS_RESTORE;
        ret_progress->restore = e->progress;
        return e->event_case == MSSQL__V1__RUN_RESTORE_EVENT__EVENT_PROGRESS;
    }
    return false;
}

static void collect_backup(Mssql__V1__CommandResult *r, const Mssql__V1__RunBackupEvent *e) {
    if (r->response_case == MSSQL__V1__COMMAND_RESULT__RESPONSE__NOT_SET) {
        r->response_case = MSSQL__V1__COMMAND_RESULT__RESPONSE_RUN_BACKUP;
        r->run_backup = mem_alloc(sizeof(*r->run_backup));
        mssql__v1__backup_outcome__init(r->run_backup);
    }
    Mssql__V1__BackupOutcome *o = r->run_backup;
    if (e->event_case == MSSQL__V1__RUN_BACKUP_EVENT__EVENT_ACCEPTED)
        o->request_id = mem_strdup(e->accepted->request_id);
    else if (e->event_case == MSSQL__V1__RUN_BACKUP_EVENT__EVENT_RESULT)
        STATUS_APPEND(o, results, order_copy(&e->result->base));
    else if (e->event_case == MSSQL__V1__RUN_BACKUP_EVENT__EVENT_SUMMARY)
        o->summary = order_copy(&e->summary->base);
}

static void collect_restore(Mssql__V1__CommandResult *r, const Mssql__V1__RunRestoreEvent *e) {
    if (r->response_case == MSSQL__V1__COMMAND_RESULT__RESPONSE__NOT_SET) {
        r->response_case = MSSQL__V1__COMMAND_RESULT__RESPONSE_RUN_RESTORE;
        r->run_restore = mem_alloc(sizeof(*r->run_restore));
        mssql__v1__restore_outcome__init(r->run_restore);
    }
    Mssql__V1__RestoreOutcome *o = r->run_restore;
    if (e->event_case == MSSQL__V1__RUN_RESTORE_EVENT__EVENT_ACCEPTED) {
        o->request_id = mem_strdup(e->accepted->request_id);
        o->restore_id = mem_strdup(e->accepted->restore_id);
    } else if (e->event_case == MSSQL__V1__RUN_RESTORE_EVENT__EVENT_RESULT) {
        STATUS_APPEND(o, results, order_copy(&e->result->base));
    } else if (e->event_case == MSSQL__V1__RUN_RESTORE_EVENT__EVENT_SUMMARY) {
        o->summary = order_copy(&e->summary->base);
    }
}

/* The answer of a unary call is a member of the result as it is. */
static void collect_answer(Mssql__V1__CommandResult *r, const ProtobufCMessage *message) {
    static const struct {
        const ProtobufCMessageDescriptor *type;
        Mssql__V1__CommandResult__ResponseCase which;
    } known[] = {
        {&mssql__v1__plan_restore_response__descriptor, MSSQL__V1__COMMAND_RESULT__RESPONSE_PLAN_RESTORE},
        {&mssql__v1__cancel_restore_response__descriptor, MSSQL__V1__COMMAND_RESULT__RESPONSE_CANCEL_RESTORE},
        {&mssql__v1__keep_restore_response__descriptor, MSSQL__V1__COMMAND_RESULT__RESPONSE_KEEP_RESTORE},
        {&mssql__v1__set_hold_response__descriptor, MSSQL__V1__COMMAND_RESULT__RESPONSE_SET_HOLD},
        {&mssql__v1__pause_response__descriptor, MSSQL__V1__COMMAND_RESULT__RESPONSE_PAUSE},
        {&mssql__v1__resume_response__descriptor, MSSQL__V1__COMMAND_RESULT__RESPONSE_RESUME},
        {&mssql__v1__preflight_response__descriptor, MSSQL__V1__COMMAND_RESULT__RESPONSE_PREFLIGHT},
        {&mssql__v1__list_backups_response__descriptor, MSSQL__V1__COMMAND_RESULT__RESPONSE_LIST_BACKUPS},
        {&mssql__v1__chain__descriptor, MSSQL__V1__COMMAND_RESULT__RESPONSE_GET_CHAIN},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (message->descriptor != known[i].type || r->response_case != MSSQL__V1__COMMAND_RESULT__RESPONSE__NOT_SET)
            continue;
        r->response_case = known[i].which;
        r->plan_restore = order_copy(message); /* any member of the union: all are pointers */
    }
}

void order_collect(Mssql__V1__CommandResult *r, const ProtobufCMessage *message) {
    if (message->descriptor == &mssql__v1__run_backup_event__descriptor)
        collect_backup(r, (const void *)message);
    else if (message->descriptor == &mssql__v1__run_restore_event__descriptor)
        collect_restore(r, (const void *)message);
    else
        collect_answer(r, message);
}

/* ---- size ---- */

static bool fits(const Mssql__V1__CommandResult *r) {
    return mssql__v1__command_result__get_packed_size(r) <= MESSAGE_BYTES_MAX;
}

/* Drops items from the end of a list until it fits. */
#define CUT(r, message, field, free_fn)                                                                                          \
    while (!fits(r) && (message)->n_##field) {                                                                                   \
        free_fn((message)->field[--(message)->n_##field], NULL);                                                                 \
        (r)->left_out++;                                                                                                         \
    }

static void fit_backup(Mssql__V1__CommandResult *r, Mssql__V1__BackupOutcome *o) {
    for (size_t i = o->n_results; i-- > 0 && !fits(r);) { /* the backup itself is in the catalog */
        if (o->results[i]->backup)
            mssql__v1__backup__free_unpacked(o->results[i]->backup, NULL);
        o->results[i]->backup = NULL;
    }
    CUT(r, o, results, mssql__v1__backup_result__free_unpacked)
}

static void drop_members(Mssql__V1__CommandResult *r, Mssql__V1__RestoreResult *result) {
    CUT(r, result, members, mssql__v1__restore_member__free_unpacked)
}

void order_fit(Mssql__V1__CommandResult *r) {
    if (fits(r))
        return;
    if (r->response_case == MSSQL__V1__COMMAND_RESULT__RESPONSE_RUN_BACKUP) {
        fit_backup(r, r->run_backup);
    } else if (r->response_case == MSSQL__V1__COMMAND_RESULT__RESPONSE_RUN_RESTORE) {
        for (size_t i = r->run_restore->n_results; i-- > 0;)
            drop_members(r, r->run_restore->results[i]);
        CUT(r, r->run_restore, results, mssql__v1__restore_result__free_unpacked)
    } else if (r->response_case == MSSQL__V1__COMMAND_RESULT__RESPONSE_PLAN_RESTORE) {
        Mssql__V1__RestoreReport *report = r->plan_restore->report;
        for (size_t i = report ? report->n_results : 0; i-- > 0;)
            drop_members(r, report->results[i]);
        CUT(r, r->plan_restore, windows, mssql__v1__restore_window__free_unpacked)
        if (report)
            CUT(r, report, results, mssql__v1__restore_result__free_unpacked)
    } else if (r->response_case == MSSQL__V1__COMMAND_RESULT__RESPONSE_LIST_BACKUPS) {
        CUT(r, r->list_backups, backups, mssql__v1__backup__free_unpacked)
    } else if (r->response_case == MSSQL__V1__COMMAND_RESULT__RESPONSE_GET_CHAIN) {
        CUT(r, r->get_chain, holes, mssql__v1__hole__free_unpacked)
        CUT(r, r->get_chain, intervals, mssql__v1__interval__free_unpacked)
    }
}
