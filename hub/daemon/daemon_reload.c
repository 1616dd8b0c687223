#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/daemon_parts.h"

enum err daemon_load(const char *path, config_report_fn *each, void *context,
                     struct config **out_config, struct error *e)
{
    struct config *config = NULL;
    enum err rc = config_load(&config, path, source_options, each, context, e);
    rc = rc == ERR_OK ? config_check(config, source_check, each, context, e) : rc;
    if (rc != ERR_OK) {
        config_destroy(config);
        return rc;
    }
    *out_config = config;
    return ERR_OK;
}

static void log_fault(void *context, const struct error *fault)
{
    (void)context;
    log_line(LOG_ERROR, "daemon", "RELOAD-REFUSED", "err=\"%s\"", fault->text);
}

static bool is_used(const struct daemon *daemon, const struct config *config)
{
    bool is_found = config == daemon->config;
    for (uint32_t i = 0; i < daemon->source_count; i++) {
        is_found |= daemon->sources[i].config == config;
    }
    for (uint32_t i = 0; i < daemon->worker_count; i++) {
        is_found |= daemon->workers[i].config == config;
    }
    return is_found;
}

static void retired_sweep(struct daemon *daemon)
{
    struct retired_config **at = &daemon->retired;
    while (*at != NULL) {
        struct retired_config *retired = *at;
        if (is_used(daemon, retired->config)) {
            at = &retired->next;
            continue;
        }
        *at = retired->next;
        config_destroy(retired->config);
        free(retired);
    }
}

void retired_destroy(struct daemon *daemon)
{
    while (daemon->retired != NULL) {
        struct retired_config *retired = daemon->retired;
        daemon->retired = retired->next;
        config_destroy(retired->config);
        free(retired);
    }
}

// What cannot change while the hub runs.
static enum err check_fixed(const struct daemon *daemon, const struct config *config,
                            struct error *e)
{
    static const char *const fixed[] = {"id", "store"};
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        const char *now = option_text(daemon->config->hub, fixed[i]);
        const char *then = option_text(config->hub, fixed[i]);
        if (strcmp(now, then) != 0) {
            return error_set(e, ERR_CONFIG,
                             "%s: hub: %s cannot change from '%s' to '%s' while the hub runs: "
                             "restart it, or undo the change",
                             config->path, fixed[i], now, then);
        }
    }
    return ERR_OK;
}

static void changes_print(char *out_text, size_t size, const char *what,
                          const struct reload_changes *changes)
{
    size_t len = strlen(out_text);
    if (len < size) {
        snprintf(out_text + len, size - len, "%s_kept=%u %s_added=%u %s_changed=%u %s_removed=%u ",
                 what, changes->kept, what, changes->added, what, changes->changed, what,
                 changes->removed);
    }
}

static enum err swap_core(struct daemon *daemon, const struct config *config, struct error *e)
{
    if (daemon->core == NULL) {
        return ERR_OK; // It is opened again with the new configuration.
    }
    enum err rc = core_swap(daemon->core, &config->core, e);
    if (rc == ERR_IO || rc == ERR_CORRUPT) {
        daemon_seal(daemon, rc, e->text);
    }
    return rc;
}

// From here on everything is parsed, checked and allowed.
static enum err adopt(struct daemon *daemon, struct config *config, char *out_text, size_t size,
                      struct error *e)
{
    struct reload_changes targets = {0}, sources = {0};
    struct retired_config *retired = calloc(1, sizeof(*retired));
    struct worker_slot *slots = retired == NULL ? NULL : workers_plan(daemon, config, &targets, e);
    if (slots == NULL) {
        free(retired);
        return error_set(e, ERR_NO_MEMORY, "out of memory for the new configuration");
    }
    enum err rc = swap_core(daemon, config, e);
    if (rc != ERR_OK) {
        workers_keep(daemon, slots);
        free(retired);
        return rc;
    }
    *retired = (struct retired_config){daemon->config, daemon->retired};
    daemon->retired = retired;
    daemon->config = config;
    workers_adopt(daemon, config, slots);
    struct error problem = {0};
    if (sources_adopt(daemon, config, &sources, &problem) != ERR_OK ||
        batch_reserve(daemon, &problem) != ERR_OK) {
        log_line(LOG_ERROR, "daemon", "RELOAD-PARTLY", "err=\"%s\"", problem.text);
    }
    log_set_level((enum log_level)option_choice(config->hub, "log_level"));
    daemon->stats_at_ms = daemon->now_ms;
    retired_sweep(daemon);
    changes_print(out_text, size, "sources", &sources);
    changes_print(out_text, size, "targets", &targets);
    return ERR_OK;
}

enum err daemon_reload(struct daemon *daemon, char *out_text, size_t size, struct error *e)
{
    struct config *config = NULL;
    out_text[0] = '\0';
    if (daemon->state == DAEMON_STOPPING) {
        return error_set(e, ERR_UNAVAILABLE, "the hub is stopping");
    }
    enum err rc = daemon_load(daemon->options->config_path, log_fault, NULL, &config, e);
    if (rc != ERR_OK) {
        return rc;
    }
    batch_flush(daemon);
    rc = check_fixed(daemon, config, e);
    rc = rc == ERR_OK ? adopt(daemon, config, out_text, size, e) : rc;
    if (rc != ERR_OK) {
        log_fault(NULL, e);
        config_destroy(config);
        return rc;
    }
    size_t len = strlen(out_text);
    snprintf(out_text + len, size - len, "rules=%u", config->core.rule_count);
    log_line(LOG_INFO, "daemon", "RELOAD-DONE", "path=\"%s\" %s", config->path, out_text);
    return ERR_OK;
}
