// window_outputs.c - what the routes of a rule with a window may ask for: the columns of its
// result, for when a window ends there is no event.
#include <string.h>
#include <strings.h>

#include "base/option.h"
#include "core/window_parts.h"

#define NAME_BYTES_MAX 256

static bool has_column(sqlite3_stmt *compiled, const char *name)
{
    for (int i = 0; i < sqlite3_column_count(compiled); i++) {
        if (strcasecmp(sqlite3_column_name(compiled, i), name) == 0) {
            return true;
        }
    }
    return false;
}

static enum err check_name(sqlite3_stmt *compiled, const char *name, struct error *e)
{
    if (has_column(compiled, name)) {
        return ERR_OK;
    }
    return error_set(e, ERR_CONFIG,
                     "the statement gives no column '%.64s'; what a window gives is what its "
                     "statement selects (window_key, window_start, window_end and window_count "
                     "may be selected, too)",
                     name);
}

// Each {column} of a template that is otherwise well made; what is not, others complain of.
static enum err check_template(sqlite3_stmt *compiled, const char *text, struct error *e)
{
    enum err rc = ERR_OK;
    const char *at = text == NULL ? "" : text;
    while (rc == ERR_OK && (at = strchr(at, '{')) != NULL) {
        const char *end = strchr(at, '}');
        size_t len = end == NULL ? 0 : (size_t)(end - at - 1);
        if (at[1] == '{' || end == NULL || len >= NAME_BYTES_MAX) {
            at += 2 - (at[1] == '\0');
            continue;
        }
        char name[NAME_BYTES_MAX];
        memcpy(name, at + 1, len);
        name[len] = '\0';
        rc = check_name(compiled, name, e);
        at = end;
    }
    return rc;
}

static enum err check_route(sqlite3_stmt *compiled, const struct route_spec *route, struct error *e)
{
    const char *const texts[] = {route->topic, route->text, route->cloudevent.type,
                                 route->cloudevent.source, route->cloudevent.subject};
    enum err rc = ERR_OK;
    if (route->format == PAYLOAD_ORIGINAL) {
        return error_set(e, ERR_CONFIG,
                         "payload: original is an event's, and a window is made of many");
    }
    for (size_t i = 0; rc == ERR_OK && i < sizeof(texts) / sizeof(texts[0]); i++) {
        rc = check_template(compiled, texts[i], e);
    }
    return rc;
}

enum err window_outputs_check(const struct rule_spec *rule, sqlite3_stmt *compiled, struct error *e)
{
    enum err rc = rule->key == NULL ? ERR_OK : check_name(compiled, rule->key, e);
    rc = rc == ERR_CONFIG ? error_wrap(e, "key") : rc;
    for (uint32_t i = 0; rc == ERR_OK && i < rule->route_count; i++) {
        rc = check_route(compiled, &rule->routes[i], e);
        rc = rc == ERR_CONFIG ? error_wrap(e, "route %u", i + 1) : rc;
    }
    if (rc == ERR_CONFIG) {
        e->offset = -1;
    }
    return rc;
}
