// workflow_presence.c - who is online, as devices say of themselves in their status.
#include <stdlib.h>

#include "core/event_value.h"
#include "core/sql.h"
#include "core/workflow_parts.h"

struct workflow_presence {
    struct store *store;
    sqlite3_stmt *get, *put;
};

#define STATEMENTS(presence)                                                                       \
    {                                                                                              \
        {"SELECT online FROM pipit_presence WHERE device = ?1", &(presence)->get},                 \
        {                                                                                          \
            "INSERT INTO pipit_presence(device, online, at) VALUES (?1, ?2, ?3)"                   \
            " ON CONFLICT(device) DO UPDATE SET online = excluded.online, at = excluded.at",       \
                &(presence)->put                                                                   \
        }                                                                                          \
    }

enum err workflow_presence_create(struct workflow_presence **out_presence, struct store *store,
                                  struct error *e)
{
    struct workflow_presence *presence = calloc(1, sizeof(*presence));
    if (presence == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the presence of devices");
    }
    presence->store = store;
    const struct sql_text texts[] = STATEMENTS(presence);
    enum err rc = sql_prepare(store, texts, sizeof(texts) / sizeof(texts[0]), e);
    if (rc != ERR_OK) {
        workflow_presence_destroy(presence);
        return rc;
    }
    *out_presence = presence;
    return ERR_OK;
}

void workflow_presence_destroy(struct workflow_presence *presence)
{
    if (presence != NULL) {
        const struct sql_text texts[] = STATEMENTS(presence);
        sql_finalize(texts, sizeof(texts) / sizeof(texts[0]));
        free(presence);
    }
}

enum err workflow_presence_get(struct workflow_presence *presence, const char *device,
                               enum presence *out_presence, struct error *e)
{
    bool has_row;
    sql_bind_text(presence->get, 1, bytes_from_text(device));
    enum err rc = sql_next(presence->store, presence->get, "look for a device", &has_row, e);
    if (rc != ERR_OK) {
        return rc;
    }
    *out_presence = PRESENCE_UNKNOWN;
    if (has_row) {
        bool is_online = sqlite3_column_int(presence->get, 0) != 0;
        *out_presence = is_online ? PRESENCE_ONLINE : PRESENCE_OFFLINE;
        sqlite3_reset(presence->get);
    }
    return ERR_OK;
}

static enum err put(struct workflow_presence *presence, const char *device, bool is_online,
                    int64_t now_ms, struct error *e)
{
    sql_bind_text(presence->put, 1, bytes_from_text(device));
    sqlite3_bind_int(presence->put, 2, is_online);
    sqlite3_bind_int64(presence->put, 3, now_ms);
    return sql_run(presence->store, presence->put, "note a device's presence", e);
}

// The same again is not written: devices tell their status with each connection, and the broker
// tells the retained ones with each of ours.
enum err workflow_presence_note(struct workflow_presence *presence, struct event *event,
                                int64_t now_ms, bool *out_came_online, struct error *e)
{
    const char *device = event_identity(event)->key;
    struct event_value online;
    event_field(event, "online", &online);
    *out_came_online = false;
    if (device[0] == '\0' || online.kind != VALUE_BOOLEAN) {
        return ERR_OK;
    }
    enum presence before, after = online.integer != 0 ? PRESENCE_ONLINE : PRESENCE_OFFLINE;
    enum err rc = workflow_presence_get(presence, device, &before, e);
    if (rc == ERR_OK && before != after) {
        rc = put(presence, device, after == PRESENCE_ONLINE, now_ms, e);
        *out_came_online = after == PRESENCE_ONLINE;
    }
    return rc;
}
