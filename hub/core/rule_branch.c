#include "core/rule_branch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONE        UINT32_MAX
#define EVENTS_KEPT 4096 // Room of a branch kept from batch to batch.

static const enum branch kinds[] = {BRANCH_ELSE, BRANCH_LATE};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct list {
    uint32_t *events;
    uint32_t count, capacity;
};

struct rule_branches {
    uint32_t rule_count;
    uint32_t (*of)[KINDS]; // By rule: its branches' own indexes. NULL: no rule has one.
    struct list *lists;    // By the branch's own index.
};

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for the branches of rules");
}

static size_t kind_of(enum branch branch)
{
    return branch == BRANCH_LATE ? 1 : 0;
}

static enum err reserve(struct rule_branches *branches, const struct core_spec *spec,
                        struct error *e)
{
    branches->of = malloc((size_t)spec->rule_count * sizeof(branches->of[0]));
    branches->lists = calloc(spec->rule_count, sizeof(branches->lists[0]));
    if (branches->of == NULL || branches->lists == NULL) {
        return no_memory(e);
    }
    memset(branches->of, 0xFF, (size_t)spec->rule_count * sizeof(branches->of[0]));
    branches->rule_count = spec->rule_count;
    return ERR_OK;
}

enum err rule_branches_create(struct rule_branches **out_branches, const struct core_spec *spec,
                              struct error *e)
{
    struct rule_branches *branches = calloc(1, sizeof(*branches));
    enum err rc = branches == NULL ? no_memory(e) : ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < spec->rule_count; i++) {
        const struct rule_spec *rule = &spec->rules[i];
        if (rule->branch == BRANCH_MAIN) {
            continue;
        }
        rc = branches->of == NULL ? reserve(branches, spec, e) : ERR_OK;
        if (rc == ERR_OK) {
            branches->of[rule->parent][kind_of(rule->branch)] = i;
        }
    }
    if (rc != ERR_OK) {
        rule_branches_destroy(branches);
        return rc;
    }
    *out_branches = branches;
    return ERR_OK;
}

void rule_branches_destroy(struct rule_branches *branches)
{
    if (branches == NULL) {
        return;
    }
    for (uint32_t i = 0; branches->lists != NULL && i < branches->rule_count; i++) {
        free(branches->lists[i].events);
    }
    free(branches->of);
    free(branches->lists);
    free(branches);
}

char *rule_branch_sql(const char *filter)
{
    static const char before[] = "SELECT * FROM \"";
    char *sql = malloc(sizeof(before) + 2 * strlen(filter) + 2);
    if (sql == NULL) {
        return NULL;
    }
    memcpy(sql, before, sizeof(before));
    size_t len = sizeof(before) - 1;
    for (const char *at = filter; *at != '\0'; at++) {
        sql[len++] = *at;
        if (*at == '"') {
            sql[len++] = '"';
        }
    }
    sql[len++] = '"';
    sql[len] = '\0';
    return sql;
}

static enum err grow(struct list *list, struct error *e)
{
    uint32_t capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
    uint32_t *events = reallocarray(list->events, capacity, sizeof(events[0]));
    if (events == NULL) {
        return no_memory(e);
    }
    list->events = events;
    list->capacity = capacity;
    return ERR_OK;
}

enum err rule_branches_put(struct rule_branches *branches, uint32_t rule, enum branch branch,
                           uint32_t event, struct error *e)
{
    uint32_t own = branches->of == NULL ? NONE : branches->of[rule][kind_of(branch)];
    if (own == NONE) {
        return ERR_OK;
    }
    struct list *list = &branches->lists[own];
    if (list->count > 0 && list->events[list->count - 1] == event) {
        return ERR_OK;
    }
    if (list->count == list->capacity && grow(list, e) != ERR_OK) {
        return ERR_NO_MEMORY;
    }
    list->events[list->count++] = event;
    return ERR_OK;
}

static void forget(struct list *list)
{
    list->count = 0;
    if (list->capacity > EVENTS_KEPT) {
        free(list->events);
        *list = (struct list){.events = NULL};
    }
}

enum err rule_branches_each(struct rule_branches *branches, uint32_t rule, rule_branch_fn *run,
                            void *context, struct error *e)
{
    enum err rc = ERR_OK;
    for (size_t kind = 0; branches->of != NULL && rc == ERR_OK && kind < KINDS; kind++) {
        uint32_t own = branches->of[rule][kind];
        if (own == NONE || branches->lists[own].count == 0) {
            continue;
        }
        rc = run(context, own, branches->lists[own].events, branches->lists[own].count, e);
        forget(&branches->lists[own]);
    }
    return rc;
}

void rule_branches_clear(struct rule_branches *branches)
{
    for (uint32_t i = 0; branches->of != NULL && i < branches->rule_count; i++) {
        forget(&branches->lists[i]);
    }
}
