#include "core/column_check.h"

#include <strings.h>

#include "core/sql_words.h"

bool column_is_of_window(const struct rule_spec *rule, const char *column)
{
    static const char *const names[] = {"window_key", "window_start", "window_end", "window_count"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (rule->window.kind != WINDOW_NONE && strcasecmp(column, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static enum err column_check(const struct rule_spec *rule, const char *filter, const char *column,
                             const struct formats *formats, struct error *e)
{
    const char *nearest = NULL;
    if (column_is_of_window(rule, column) || !formats_lack(formats, filter, column, &nearest)) {
        return ERR_OK;
    }
    error_set(e, ERR_CONFIG,
              "rule \"%s\": no payload that \"%s\" matches has the field \"%s\", by the formats "
              "configured for it%s%s%s",
              rule->name, filter, column, nearest == NULL ? "" : "; did you mean \"",
              nearest == NULL ? "" : nearest, nearest == NULL ? "" : "\"?");
    if (e != NULL) {
        e->offset = (int32_t)sql_find_name(bytes_from_text(rule->sql), column);
    }
    return ERR_CONFIG;
}

enum err columns_check(const struct core_spec *spec, const struct formats *formats,
                       const struct rules *rules, struct error *e)
{
    for (uint32_t i = 0; i < spec->rule_count; i++) {
        const char *const *fields;
        const char *filter = rules_filter(rules, i);
        uint32_t count = spec->rules[i].sql == NULL ? 0 : rules_fields(rules, i, &fields);
        for (uint32_t j = 0; j < count; j++) {
            enum err rc = column_check(&spec->rules[i], filter, fields[j], formats, e);
            if (rc != ERR_OK) {
                return rc;
            }
        }
    }
    return ERR_OK;
}
