// daemon_tables.c - reference tables that come from files: looked at every second, read again when
// they have changed and have then been left alone for a second.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/table_file.h"
#include "daemon/daemon_parts.h"

#define LOOK_MS  1000
#define FRESH_MS 5000 // A file that is so new may have changed while it was being read.

struct file_look {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
    int problem; // errno; 0: it is there.
};

struct table_watch {
    struct file_look loaded; // What the store has, or what was refused.
    struct file_look seen;   // At the last look.
};

static void tell_unread(void *context, const struct error *fault)
{
    (void)context;
    log_line(LOG_ERROR, "daemon", "TABLE-REJECTED", "err=\"%s; the rows of before stay\"",
             fault->text);
}

enum err tables_load_start(const char *path, config_report_fn *each, void *context,
                           struct config **out_config, struct error *e)
{
    struct config *config = NULL;
    enum err rc = config_load(&config, path, source_options, each, context, e);
    if (rc == ERR_OK && config_read_rows(config, tell_unread, NULL, NULL) == ERR_OK) {
        rc = config_check(config, source_check, each, context, e);
    }
    if (rc != ERR_OK) {
        config_destroy(config);
        return rc;
    }
    *out_config = config;
    return ERR_OK;
}

static const char *path_of(const struct config_table *table)
{
    return table->csv != NULL ? table->csv : table->sql;
}

static struct file_look look_at(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        return (struct file_look){.problem = errno};
    }
    return (struct file_look){status.st_dev, status.st_ino, status.st_size, status.st_mtim, 0};
}

static bool is_same(const struct file_look *a, const struct file_look *b)
{
    return a->problem == b->problem && a->device == b->device && a->inode == b->inode &&
           a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec;
}

void tables_watch(struct daemon *daemon)
{
    const struct config *config = daemon->config;
    free(daemon->tables);
    daemon->tables = calloc((size_t)config->core.table_count + 1, sizeof(daemon->tables[0]));
    daemon->tables_at_ms = INT64_MAX;
    for (uint32_t i = 0; daemon->tables != NULL && i < config->core.table_count; i++) {
        const char *path = path_of(&config->tables[i]);
        if (path == NULL) {
            continue;
        }
        struct file_look look = look_at(path);
        bool is_fresh = look.changed.tv_sec * INT64_C(1000) + FRESH_MS > clock_wall_ms();
        daemon->tables[i].loaded = is_fresh ? (struct file_look){.problem = -1} : look;
        daemon->tables[i].seen = look;
        daemon->tables_at_ms = daemon->now_ms + LOOK_MS;
    }
}

static void tell_refused(const struct config_table *table, const struct error *e)
{
    log_line(LOG_ERROR, "daemon", "TABLE-REJECTED",
             "table=%s path=\"%s\" err=\"%s; the rows of before stay\"", table->name,
             path_of(table), e->text);
}

static enum err load(struct daemon *daemon, const struct config_table *table, struct error *e)
{
    struct table_rows *rows = NULL;
    enum err rc = table_rows_read(&rows, table, e);
    rc = rc == ERR_OK ? core_load_table(daemon->core, table_rows_data(rows), e) : rc;
    if (rc == ERR_OK) {
        log_line(LOG_INFO, "daemon", "TABLE-LOADED", "table=%s path=\"%s\" rows=%llu", table->name,
                 path_of(table), (unsigned long long)table_rows_data(rows)->row_count);
    }
    table_rows_destroy(rows);
    return rc;
}

// false: the store has failed, and nothing more is to be done with it.
static bool refresh(struct daemon *daemon, uint32_t index, const struct file_look *look)
{
    const struct config_table *table = &daemon->config->tables[index];
    struct error e = {0};
    enum err rc = load(daemon, table, &e);
    if (rc == ERR_IO || rc == ERR_CORRUPT) {
        tell_refused(table, &e);
        if (!store_is_sealed(daemon->store)) { // The file's own fault.
            daemon->tables[index].loaded = *look;
            return true;
        }
        daemon_seal(daemon, rc, e.text);
        return false;
    }
    if (rc != ERR_OK) {
        tell_refused(table, &e);
    }
    if (rc != ERR_FULL && rc != ERR_NO_MEMORY) { // Those are tried again.
        daemon->tables[index].loaded = *look;
    }
    return true;
}

void tables_tick(struct daemon *daemon)
{
    if (daemon->core == NULL || daemon->tables == NULL || daemon->now_ms < daemon->tables_at_ms) {
        return;
    }
    daemon->tables_at_ms = daemon->now_ms + LOOK_MS;
    for (uint32_t i = 0; i < daemon->config->core.table_count; i++) {
        struct table_watch *watch = &daemon->tables[i];
        const char *path = path_of(&daemon->config->tables[i]);
        if (path == NULL) {
            continue;
        }
        struct file_look look = look_at(path);
        bool is_still = is_same(&look, &watch->seen);
        watch->seen = look;
        if (is_still && !is_same(&look, &watch->loaded) && !refresh(daemon, i, &look)) {
            return;
        }
    }
}

void tables_unwatch(struct daemon *daemon)
{
    free(daemon->tables);
    daemon->tables = NULL;
}
