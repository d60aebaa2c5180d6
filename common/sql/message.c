/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sql/message.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/sql/errors.h"

/* Comes with every login and USE, or hundreds of times per statement. */
static bool is_noise(int number) {
    return number == 3211 || number == 5701 || number == 5703;
}

static void set(struct sql_message *dst, const struct sql_message *src) {
    *dst = *src;
    dst->text = mem_strdup(src->text ? src->text : "");
}

void sql_messages_add(struct sql_messages *messages, const struct sql_message *message) {
    if (is_noise(message->number))
        return;
    if (messages->count < SQL_MESSAGES_MAX) {
        size_t cap = messages->count;
        if (!(cap & (cap - 1))) /* doubles at each power of two */
            messages->items = mem_realloc(messages->items, (cap ? cap * 2 : 1) * sizeof(*messages->items));
        set(&messages->items[messages->count++], message);
        return;
    }
    messages->dropped++;
    if (message->severity <= 10 && message->number != 3014)
        return;
    /* An error, or the final word on a backup, takes the place of the newest informational message. */
    for (size_t i = messages->count; i-- > 0;) {
        if (messages->items[i].severity > 10)
            continue;
        mem_free(messages->items[i].text);
        memmove(&messages->items[i], &messages->items[i + 1], (messages->count - i - 1) * sizeof(*messages->items));
        set(&messages->items[messages->count - 1], message);
        return;
    }
}

void sql_messages_done(struct sql_messages *messages) {
    for (size_t i = 0; i < messages->count; i++)
        mem_free(messages->items[i].text);
    mem_free(messages->items);
    *messages = (struct sql_messages){0};
}

const struct sql_message *sql_messages_find(const struct sql_messages *messages, int number) {
    for (size_t i = 0; i < messages->count; i++)
        if (messages->items[i].number == number)
            return &messages->items[i];
    return NULL;
}

const struct sql_message *sql_messages_cause(const struct sql_messages *messages) {
    const struct sql_message *follow_up = NULL;
    for (size_t i = 0; i < messages->count; i++) {
        const struct sql_message *m = &messages->items[i];
        if (m->severity <= 10)
            continue;
        if (sql_error_find(m->number)->reaction != SQL_FOLLOW_UP)
            return m;
        if (!follow_up)
            follow_up = m;
    }
    return follow_up;
}
