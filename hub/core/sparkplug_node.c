#include "core/sparkplug_node.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/sql.h"

struct sparkplug_rows {
    struct store *store;
    sqlite3_stmt *find, *devices, *metrics;
    sqlite3_stmt *insert, *update, *insert_device, *update_device, *insert_metric;
    sqlite3_stmt *forget_metrics, *forget_devices, *forget_device_metrics;
};

#define STATEMENTS(rows)                                                                           \
    {                                                                                              \
        {"SELECT id, bdseq, seq, online, born, latest, asked FROM pipit_sparkplug_node"            \
         " WHERE node = ?1",                                                                       \
         &(rows)->find},                                                                           \
            {"SELECT id, device, online FROM pipit_sparkplug_device WHERE node = ?1",              \
             &(rows)->devices},                                                                    \
            {"SELECT name, alias, datatype FROM pipit_sparkplug_alias WHERE device = ?1",          \
             &(rows)->metrics},                                                                    \
            {"INSERT INTO pipit_sparkplug_node(node, bdseq, seq, online, born, latest, asked)"     \
             " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",                                               \
             &(rows)->insert},                                                                     \
            {"UPDATE pipit_sparkplug_node SET bdseq = ?2, seq = ?3, online = ?4, born = ?5,"       \
             " latest = ?6, asked = ?7 WHERE id = ?1",                                             \
             &(rows)->update},                                                                     \
            {"INSERT INTO pipit_sparkplug_device(node, device, online) VALUES (?1, ?2, ?3)",       \
             &(rows)->insert_device},                                                              \
            {"UPDATE pipit_sparkplug_device SET online = ?2 WHERE id = ?1",                        \
             &(rows)->update_device},                                                              \
            {"INSERT OR REPLACE INTO pipit_sparkplug_alias(device, name, alias, datatype)"         \
             " VALUES (?1, ?2, ?3, ?4)",                                                           \
             &(rows)->insert_metric},                                                              \
            {"DELETE FROM pipit_sparkplug_alias WHERE device IN"                                   \
             " (SELECT id FROM pipit_sparkplug_device WHERE node = ?1)",                           \
             &(rows)->forget_metrics},                                                             \
            {"DELETE FROM pipit_sparkplug_device WHERE node = ?1", &(rows)->forget_devices},       \
        {                                                                                          \
            "DELETE FROM pipit_sparkplug_alias WHERE device = ?1", &(rows)->forget_device_metrics  \
        }                                                                                          \
    }

struct sparkplug_node *sparkplug_node_create(const char *group, const char *node)
{
    size_t size = strlen(group) + strlen(node) + 2;
    struct sparkplug_node *made = calloc(1, sizeof(*made) + size);
    if (made != NULL) {
        snprintf(made->key, size, "%s/%s", group, node);
        made->seq = -1;
        made->bdseq = -1;
    }
    return made;
}

static void device_destroy(struct sparkplug_device *device)
{
    sparkplug_aliases_deinit(&device->aliases);
    free(device);
}

void sparkplug_node_forget_devices(struct sparkplug_node *node)
{
    while (node->devices != NULL) {
        struct sparkplug_device *device = node->devices;
        node->devices = device->next;
        device_destroy(device);
    }
    node->metric_count = 0;
}

void sparkplug_node_destroy(struct sparkplug_node *node)
{
    sparkplug_node_forget_devices(node);
    free(node);
}

struct sparkplug_device *sparkplug_node_device(const struct sparkplug_node *node, const char *name)
{
    struct sparkplug_device *device = node->devices;
    while (device != NULL && strcmp(device->name, name) != 0) {
        device = device->next;
    }
    return device;
}

struct sparkplug_device *sparkplug_node_add(struct sparkplug_node *node, const char *name)
{
    struct sparkplug_device *device = sparkplug_node_device(node, name);
    if (device != NULL) {
        return device;
    }
    size_t size = strlen(name) + 1;
    device = calloc(1, sizeof(*device) + size);
    if (device != NULL) {
        memcpy(device->name, name, size);
        device->next = node->devices;
        node->devices = device;
    }
    return device;
}

void sparkplug_node_set_metrics(struct sparkplug_node *node, struct sparkplug_device *device,
                                struct sparkplug_aliases *take_aliases)
{
    node->metric_count += take_aliases->count - device->aliases.count;
    sparkplug_aliases_deinit(&device->aliases);
    device->aliases = *take_aliases;
    *take_aliases = (struct sparkplug_aliases){0};
}

// ---- the rows -----------------------------------------------------------------------------------

enum err sparkplug_rows_create(struct sparkplug_rows **out_rows, struct store *store,
                               struct error *e)
{
    struct sparkplug_rows *rows = calloc(1, sizeof(*rows));
    if (rows == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the Sparkplug nodes");
    }
    rows->store = store;
    const struct sql_text texts[] = STATEMENTS(rows);
    enum err rc = sql_prepare(store, texts, sizeof(texts) / sizeof(texts[0]), e);
    if (rc != ERR_OK) {
        sparkplug_rows_destroy(rows);
        return rc;
    }
    *out_rows = rows;
    return ERR_OK;
}

void sparkplug_rows_destroy(struct sparkplug_rows *rows)
{
    if (rows != NULL) {
        const struct sql_text texts[] = STATEMENTS(rows);
        sql_finalize(texts, sizeof(texts) / sizeof(texts[0]));
        free(rows);
    }
}

// A list that grows; names are copies.
struct alias_list {
    struct sparkplug_alias *items;
    uint32_t count, capacity;
};

static void list_free(struct alias_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        free((char *)(uintptr_t)list->items[i].name);
    }
    free(list->items);
}

static enum err list_add(struct alias_list *list, sqlite3_stmt *row, struct error *e)
{
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        struct sparkplug_alias *grown = realloc(list->items, capacity * sizeof(grown[0]));
        list->items = grown == NULL ? list->items : grown;
        list->capacity = grown == NULL ? list->capacity : capacity;
    }
    const char *name = (const char *)sqlite3_column_text(row, 0);
    char *copy = list->count == list->capacity || name == NULL ? NULL : strdup(name);
    if (copy == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a birth's metrics");
    }
    list->items[list->count++] = (struct sparkplug_alias){
        .name = copy,
        .has_alias = sqlite3_column_type(row, 1) != SQLITE_NULL,
        .alias = sql_u64(row, 1),
        .datatype = (uint32_t)sqlite3_column_int64(row, 2),
    };
    return ERR_OK;
}

static enum err read_metrics(struct sparkplug_rows *rows, struct sparkplug_node *node,
                             struct sparkplug_device *device, struct error *e)
{
    struct alias_list list = {0};
    bool has_row;
    sqlite3_bind_int64(rows->metrics, 1, device->id);
    enum err rc = sql_next(rows->store, rows->metrics, "read a birth's metrics", &has_row, e);
    while (rc == ERR_OK && has_row) {
        rc = list_add(&list, rows->metrics, e);
        if (rc == ERR_OK) {
            rc = sql_next(rows->store, rows->metrics, "read a birth's metrics", &has_row, e);
        }
    }
    sqlite3_reset(rows->metrics);
    struct sparkplug_aliases aliases = {0};
    if (rc == ERR_OK) {
        rc = sparkplug_aliases_build(&aliases, list.items, list.count, e);
    }
    if (rc == ERR_OK) {
        sparkplug_node_set_metrics(node, device, &aliases);
    }
    list_free(&list);
    return rc;
}

static enum err read_devices(struct sparkplug_rows *rows, struct sparkplug_node *node,
                             struct error *e)
{
    bool has_row;
    sqlite3_bind_int64(rows->devices, 1, node->id);
    enum err rc = sql_next(rows->store, rows->devices, "read a node's devices", &has_row, e);
    while (rc == ERR_OK && has_row) {
        const char *name = (const char *)sqlite3_column_text(rows->devices, 1);
        struct sparkplug_device *device = name == NULL ? NULL : sparkplug_node_add(node, name);
        if (device == NULL) {
            rc = error_set(e, ERR_NO_MEMORY, "out of memory for a node's devices");
            break;
        }
        device->id = sqlite3_column_int64(rows->devices, 0);
        device->is_online = sqlite3_column_int(rows->devices, 2) != 0;
        rc = read_metrics(rows, node, device, e);
        if (rc == ERR_OK) {
            rc = sql_next(rows->store, rows->devices, "read a node's devices", &has_row, e);
        }
    }
    sqlite3_reset(rows->devices);
    return rc;
}

enum err sparkplug_rows_read(struct sparkplug_rows *rows, struct sparkplug_node *node,
                             struct error *e)
{
    bool has_row;
    sqlite3_stmt *find = rows->find;
    sql_bind_text(find, 1, bytes_from_text(node->key));
    enum err rc = sql_next(rows->store, find, "read a Sparkplug node", &has_row, e);
    if (rc != ERR_OK || !has_row) {
        return rc;
    }
    node->id = sqlite3_column_int64(find, 0);
    node->bdseq = sqlite3_column_int64(find, 1);
    node->seq = sqlite3_column_int(find, 2);
    node->is_online = sqlite3_column_int(find, 3) != 0;
    node->born_ms = sqlite3_column_int64(find, 4);
    node->latest_ms = sqlite3_column_int64(find, 5);
    node->asked_ms = sqlite3_column_int64(find, 6);
    sqlite3_reset(find);
    return read_devices(rows, node, e);
}

static enum err write_node(struct sparkplug_rows *rows, struct sparkplug_node *node,
                           struct error *e)
{
    sqlite3_stmt *statement = node->id == 0 ? rows->insert : rows->update;
    if (node->id == 0) {
        sql_bind_text(statement, 1, bytes_from_text(node->key));
    } else {
        sqlite3_bind_int64(statement, 1, node->id);
    }
    sqlite3_bind_int64(statement, 2, node->bdseq);
    sqlite3_bind_int(statement, 3, node->seq);
    sqlite3_bind_int(statement, 4, node->is_online);
    sqlite3_bind_int64(statement, 5, node->born_ms);
    sqlite3_bind_int64(statement, 6, node->latest_ms);
    sqlite3_bind_int64(statement, 7, node->asked_ms);
    enum err rc = sql_run(rows->store, statement, "write a Sparkplug node", e);
    if (rc == ERR_OK && node->id == 0) {
        node->id = sqlite3_last_insert_rowid(store_db(rows->store));
    }
    return rc;
}

static enum err write_device_row(struct sparkplug_rows *rows, const struct sparkplug_node *node,
                                 struct sparkplug_device *device, struct error *e)
{
    if (device->id != 0) {
        sqlite3_bind_int64(rows->update_device, 1, device->id);
        sqlite3_bind_int(rows->update_device, 2, device->is_online);
        return sql_run(rows->store, rows->update_device, "write a node's device", e);
    }
    sqlite3_bind_int64(rows->insert_device, 1, node->id);
    sql_bind_text(rows->insert_device, 2, bytes_from_text(device->name));
    sqlite3_bind_int(rows->insert_device, 3, device->is_online);
    enum err rc = sql_run(rows->store, rows->insert_device, "write a node's device", e);
    if (rc == ERR_OK) {
        device->id = sqlite3_last_insert_rowid(store_db(rows->store));
    }
    return rc;
}

static enum err write_metrics(struct sparkplug_rows *rows, const struct sparkplug_device *device,
                              struct error *e)
{
    sqlite3_bind_int64(rows->forget_device_metrics, 1, device->id);
    enum err rc = sql_run(rows->store, rows->forget_device_metrics, "forget a birth's metrics", e);
    for (uint32_t i = 0; rc == ERR_OK && i < device->aliases.count; i++) {
        const struct sparkplug_alias *item = &device->aliases.items[i];
        sqlite3_bind_int64(rows->insert_metric, 1, device->id);
        sql_bind_text(rows->insert_metric, 2, bytes_from_text(item->name));
        if (item->has_alias) {
            sql_bind_u64(rows->insert_metric, 3, item->alias);
        } else {
            sqlite3_bind_null(rows->insert_metric, 3);
        }
        sqlite3_bind_int64(rows->insert_metric, 4, item->datatype);
        rc = sql_run(rows->store, rows->insert_metric, "write a birth's metrics", e);
    }
    return rc;
}

static enum err write_device(struct sparkplug_rows *rows, const struct sparkplug_node *node,
                             struct sparkplug_device *device, struct error *e)
{
    enum err rc = device->is_dirty ? write_device_row(rows, node, device, e) : ERR_OK;
    if (rc == ERR_OK && device->is_reborn) {
        rc = write_metrics(rows, device, e);
    }
    return rc;
}

static enum err forget_rows(struct sparkplug_rows *rows, const struct sparkplug_node *node,
                            struct error *e)
{
    sqlite3_bind_int64(rows->forget_metrics, 1, node->id);
    enum err rc = sql_run(rows->store, rows->forget_metrics, "forget a birth's metrics", e);
    if (rc == ERR_OK) {
        sqlite3_bind_int64(rows->forget_devices, 1, node->id);
        rc = sql_run(rows->store, rows->forget_devices, "forget a node's devices", e);
    }
    return rc;
}

enum err sparkplug_rows_write(struct sparkplug_rows *rows, struct sparkplug_node *node,
                              struct error *e)
{
    enum err rc = write_node(rows, node, e);
    if (rc == ERR_OK && node->is_reborn) {
        rc = forget_rows(rows, node, e);
    }
    for (struct sparkplug_device *device = node->devices; rc == ERR_OK && device != NULL;
         device = device->next) {
        rc = write_device(rows, node, device, e);
    }
    return rc;
}
