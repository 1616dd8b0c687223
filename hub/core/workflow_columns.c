#include "core/workflow_columns.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/option.h"

#define COLUMNS_MAX 256 // Of a rule's rows that are looked at for the nearest.

struct look {
    const struct workflow_givers *givers;
    const char *filter;
    struct workflow_fault *fault;
    struct error *e;
};

// The rule whose rows the filter's events are; UINT32_MAX: they are none.
static uint32_t rule_of(const struct look *look)
{
    size_t prefix = strlen(RULE_TOPIC);
    const struct core_spec *spec = look->givers->spec;
    for (uint32_t i = 0; strncmp(look->filter, RULE_TOPIC, prefix) == 0 && i < spec->rule_count;
         i++) {
        if (strcmp(spec->rules[i].name, look->filter + prefix) == 0) {
            return i;
        }
    }
    return UINT32_MAX;
}

// A column of the row, or something within one.
static bool is_given(const char *column, const char *field)
{
    size_t len = strlen(column);
    return strncmp(column, field, len) == 0 && (field[len] == '\0' || field[len] == '.');
}

// NULL: it may be there. Else a sentence, written to text.
static const char *rule_lacks(const struct look *look, uint32_t rule, const char *field, char *text,
                              size_t size)
{
    const char *columns[COLUMNS_MAX + 1] = {NULL};
    uint32_t count = rules_columns(look->givers->rules, rule, columns, COLUMNS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (is_given(columns[i], field)) {
            return NULL;
        }
    }
    if (count == COLUMNS_MAX) { // There may be more.
        return NULL;
    }
    const char *near = nearest_name(field, columns);
    snprintf(text, size, "the rule's rows have no column \"%.100s\"%s%.100s%s", field,
             near == NULL ? "" : "; did you mean \"", near == NULL ? "" : near,
             near == NULL ? "" : "\"?");
    return text;
}

static const char *filter_lacks(const struct look *look, const char *field, char *text, size_t size)
{
    const char *near = NULL;
    if (!formats_lack(look->givers->formats, look->filter, field, &near)) {
        return NULL;
    }
    snprintf(text, size,
             "no payload that \"%.100s\" matches has the field \"%.100s\", by the formats "
             "configured for it%s%.100s%s",
             look->filter, field, near == NULL ? "" : "; did you mean \"", near == NULL ? "" : near,
             near == NULL ? "" : "\"?");
    return text;
}

static const char *problem_of(const struct look *look, const char *field, char *text, size_t size)
{
    bool is_of_fields = strncasecmp(field, "fields.", 7) == 0;
    uint32_t rule = rule_of(look);
    if (rule == UINT32_MAX) {
        return filter_lacks(look, field, text, size);
    }
    return rule_lacks(look, rule, is_of_fields ? field + 7 : field, text, size);
}

// JSON pointers of what a query is made of.
struct places {
    const char *first;  // Its first part; NULL: it is one of `others`.
    const char *others; // What has the parts by name.
    const char *where;
};

static enum err query_check(const struct look *look, const struct workflow_query *query,
                            const struct places *places)
{
    struct query_field field;
    char text[400];
    for (uint32_t i = 0; workflow_query_field(query, i, &field); i++) {
        if (problem_of(look, field.name, text, sizeof(text)) == NULL) {
            continue;
        }
        bool is_where = field.part == workflow_query_count(query);
        const char *place = is_where ? places->where : field.part == 0 ? places->first : NULL;
        snprintf(look->fault->path, WORKFLOW_PATH_MAX, "%s%s%s",
                 place == NULL ? places->others : place, place == NULL ? "/" : "",
                 place == NULL ? workflow_query_name(query, field.part) : "");
        error_set(look->e, ERR_CONFIG, "%s", text);
        if (look->e != NULL) {
            look->e->offset = (int32_t)field.offset;
        }
        return ERR_CONFIG;
    }
    return ERR_OK;
}

static enum err await_check(struct look *look, const struct workflow_step *step)
{
    char key[WORKFLOW_PATH_MAX + 8], where[WORKFLOW_PATH_MAX + 8], take[WORKFLOW_PATH_MAX + 8];
    snprintf(key, sizeof(key), "%s/key", step->path);
    snprintf(where, sizeof(where), "%s/where", step->path);
    snprintf(take, sizeof(take), "%s/take", step->path);
    const struct places of_key = {.first = key}, of_where = {.where = where},
                        of_take = {.others = take};
    look->filter = step->filter;
    enum err rc = query_check(look, step->event_key, &of_key);
    rc = rc == ERR_OK && step->where != NULL ? query_check(look, step->where, &of_where) : rc;
    return rc == ERR_OK && step->take != NULL ? query_check(look, step->take, &of_take) : rc;
}

enum err workflow_columns_check(const struct workflow_definition *definition,
                                const struct workflow_givers *givers,
                                struct workflow_fault *out_fault, struct error *e)
{
    struct look look = {givers, definition->filter, out_fault, e};
    const struct places of_start = {"/start/key", "/variables", "/start/where"};
    enum err rc = look.filter == NULL ? ERR_OK : query_check(&look, definition->start, &of_start);
    for (uint32_t i = 0; rc == ERR_OK && i < definition->step_count; i++) {
        if (definition->steps[i].kind == STEP_AWAIT) {
            rc = await_check(&look, &definition->steps[i]);
        }
    }
    return rc;
}
