#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/config_diff.h"
#include "daemon/daemon_parts.h"

static void log_fault(void *context, const struct error *fault)
{
    (void)context;
    log_line(LOG_ERROR, "daemon", "RELOAD-REFUSED", "err=\"%s\"", fault->text);
}

static enum err read_config(const char *path, struct config **out_config, struct error *e)
{
    struct config *config = NULL;
    enum err rc = config_load(&config, path, source_options, log_fault, NULL, e);
    rc = rc == ERR_OK ? config_check(config, source_check, log_fault, NULL, e) : rc;
    if (rc != ERR_OK) {
        config_destroy(config);
        return rc;
    }
    *out_config = config;
    return ERR_OK;
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

// Everything that can fail is done before anything changes, but for the core's own swap: that
// fails by itself as a whole.
struct plan {
    struct config *config;
    struct retired_config *retired;
    struct source_slot *sources;
    struct worker_slot *workers;
    char text[600];
};

static enum err swap_core(struct daemon *daemon, const struct config *config, bool is_dry,
                          struct error *e)
{
    if (daemon->core == NULL) {
        return is_dry ? error_set(e, ERR_UNAVAILABLE, "the store cannot be used now: %s",
                                  daemon->reason)
                      : ERR_OK; // It is opened again with the new configuration.
    }
    enum err rc = is_dry ? core_try_swap(daemon->core, &config->core, e)
                         : core_swap(daemon->core, &config->core, e);
    if (rc == ERR_IO || rc == ERR_CORRUPT) {
        daemon_seal(daemon, rc, e->text);
    }
    return rc;
}

static enum err plan_parts(struct daemon *daemon, struct plan *plan, struct error *e)
{
    struct reload_changes targets = {0}, sources = {0};
    enum err rc = daemon->core == NULL ? ERR_OK : swap_core(daemon, plan->config, true, e);
    rc = rc == ERR_OK ? batch_reserve(daemon, plan->config, e) : rc;
    if (rc != ERR_OK) {
        return rc;
    }
    plan->retired = calloc(1, sizeof(*plan->retired));
    plan->sources = sources_plan(daemon, plan->config, &sources, e);
    if (plan->retired == NULL || plan->sources == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the new configuration");
    }
    plan->workers = workers_plan(daemon, plan->config, &targets, e);
    changes_print(plan->text, sizeof(plan->text), "sources", &sources);
    changes_print(plan->text, sizeof(plan->text), "targets", &targets);
    return plan->workers == NULL ? ERR_NO_MEMORY : ERR_OK;
}

// Workers that had to end begin again with what they were.
static void plan_drop(struct daemon *daemon, struct plan *plan)
{
    if (plan->workers != NULL) {
        workers_keep(daemon, plan->workers);
    }
    free(plan->sources);
    free(plan->retired);
}

// From here on everything is parsed, checked and allowed.
static enum err adopt(struct daemon *daemon, struct plan *plan, struct error *e)
{
    enum err rc = plan_parts(daemon, plan, e);
    rc = rc == ERR_OK ? swap_core(daemon, plan->config, false, e) : rc;
    if (rc != ERR_OK) {
        plan_drop(daemon, plan);
        return rc;
    }
    *plan->retired = (struct retired_config){daemon->config, daemon->retired};
    daemon->retired = plan->retired;
    daemon->config = plan->config;
    if (daemon->core != NULL) {
        config_forget_rows(daemon->config);
    }
    tables_watch(daemon);
    batch_use(daemon);
    workers_adopt(daemon, plan->config, plan->workers);
    sources_adopt(daemon, plan->config, plan->sources);
    log_set_level((enum log_level)option_choice(plan->config->hub, "log_level"));
    daemon->stats_at_ms = daemon->now_ms;
    return ERR_OK;
}

static void change_add(void *context, const char *section, const char *name, const char *what)
{
    json_array_append_new(
        context, json_pack("{s:s, s:s, s:s}", "section", section, "name", name, "change", what));
}

// The old configuration and the new one are both still there.
static json_t *reply_make(const struct daemon *daemon, const struct config *before,
                          const struct config *after, const char *text)
{
    json_t *changes = json_array(), *notes = json_array();
    config_diff(before, after, change_add, changes);
    const struct notes *core = daemon->core == NULL ? NULL : core_notes(daemon->core);
    for (uint32_t i = 0; core != NULL && i < core->count; i++) {
        json_array_append_new(notes, json_string(core->texts[i]));
    }
    return json_pack("{s:s, s:I, s:o, s:o}", "reloaded", text, "notes_left_out",
                     (json_int_t)(core == NULL ? 0 : core->left_out), "changes", changes, "notes",
                     notes);
}

void reload_log_notes(const struct daemon *daemon)
{
    const struct notes *notes = daemon->core == NULL ? NULL : core_notes(daemon->core);
    for (uint32_t i = 0; notes != NULL && i < notes->count; i++) {
        log_line(LOG_WARN, "daemon", "RELOAD-NOTE", "note=\"%s\"", notes->texts[i]);
    }
}

static enum err load(struct daemon *daemon, struct config **out_config, struct error *e)
{
    if (daemon->state == DAEMON_STOPPING) {
        return error_set(e, ERR_UNAVAILABLE, "the hub is stopping");
    }
    enum err rc = read_config(daemon->options->config_path, out_config, e);
    return rc == ERR_OK ? check_fixed(daemon, *out_config, e) : rc;
}

static void done(struct daemon *daemon, struct plan *plan)
{
    size_t len = strlen(plan->text);
    snprintf(plan->text + len, sizeof(plan->text) - len, "rules=%u", plan->config->core.rule_count);
    reload_log_notes(daemon);
    log_line(LOG_INFO, "daemon", "RELOAD-DONE", "path=\"%s\" %s", plan->config->path, plan->text);
}

enum err daemon_reload(struct daemon *daemon, bool is_dry, json_t **out_reply, struct error *e)
{
    struct plan plan = {.text = ""};
    const struct config *before = daemon->config;
    enum err rc = load(daemon, &plan.config, e);
    if (rc == ERR_OK && !is_dry) {
        batch_flush(daemon); // Events that were read are the old rules'.
    }
    if (rc == ERR_OK) {
        rc = is_dry ? swap_core(daemon, plan.config, true, e) : adopt(daemon, &plan, e);
    }
    if (rc != ERR_OK) {
        if (plan.config != NULL) { // Else its faults have been logged.
            log_fault(NULL, e);
        }
        config_destroy(plan.config);
        return rc;
    }
    if (!is_dry) {
        done(daemon, &plan);
    }
    *out_reply = reply_make(daemon, before, plan.config, plan.text);
    if (is_dry) {
        config_destroy(plan.config);
    } else {
        retired_sweep(daemon);
    }
    return ERR_OK;
}
