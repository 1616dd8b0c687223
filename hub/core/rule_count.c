#include "core/rule_count.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/sql.h"

struct counted {
    int64_t id;
    struct rule_tally now, committed;
    bool is_dirty;
    struct counted *next_dirty;
};

struct rule_count {
    struct store *store;
    const struct core_spec *spec;
    struct counted *rules; // By index in spec.
    struct counted *dirty; // Of thousands a batch touches few.
    sqlite3_stmt *add, *read, *save;
};

#define STATEMENTS(count)                                                                          \
    {                                                                                              \
        {"INSERT INTO pipit_rule(name) VALUES (?1) ON CONFLICT DO NOTHING", &(count)->add},        \
            {"SELECT id, matched, rows, failures FROM pipit_rule WHERE name = ?1",                 \
             &(count)->read},                                                                      \
        {                                                                                          \
            "UPDATE pipit_rule SET (matched, rows, failures) = (?2, ?3, ?4) WHERE id = ?1",        \
                &(count)->save                                                                     \
        }                                                                                          \
    }

static enum err read_rule(struct rule_count *count, uint32_t index, struct error *e)
{
    struct bytes name = bytes_from_text(count->spec->rules[index].name);
    sql_bind_text(count->add, 1, name);
    enum err rc = sql_run(count->store, count->add, "add a rule", e);
    bool has_row = false;
    if (rc == ERR_OK) {
        sql_bind_text(count->read, 1, name);
        rc = sql_next(count->store, count->read, "read a rule's counters", &has_row, e);
    }
    if (rc == ERR_OK && has_row) {
        struct counted *rule = &count->rules[index];
        rule->id = sqlite3_column_int64(count->read, 0);
        rule->now = (struct rule_tally){sql_u64(count->read, 1), sql_u64(count->read, 2),
                                        sql_u64(count->read, 3)};
        rule->committed = rule->now;
    }
    sqlite3_reset(count->read);
    return rc;
}

enum err rule_count_create(struct rule_count **out_count, struct store *store,
                           const struct core_spec *spec, struct error *e)
{
    struct rule_count *count = calloc(1, sizeof(*count));
    struct counted *rules = calloc((size_t)spec->rule_count + 1, sizeof(*rules));
    if (count == NULL || rules == NULL) {
        free(count);
        free(rules);
        return error_set(e, ERR_NO_MEMORY, "out of memory for the rules' counters");
    }
    count->store = store;
    count->spec = spec;
    count->rules = rules;
    const struct sql_text texts[] = STATEMENTS(count);
    enum err rc = sql_prepare(store, texts, sizeof(texts) / sizeof(texts[0]), e);
    for (uint32_t i = 0; rc == ERR_OK && i < spec->rule_count; i++) {
        rc = read_rule(count, i, e);
    }
    if (rc != ERR_OK) {
        rule_count_destroy(count);
        return rc;
    }
    *out_count = count;
    return ERR_OK;
}

void rule_count_destroy(struct rule_count *count)
{
    if (count != NULL) {
        const struct sql_text texts[] = STATEMENTS(count);
        sql_finalize(texts, sizeof(texts) / sizeof(texts[0]));
        free(count->rules);
        free(count);
    }
}

void rule_count_add(struct rule_count *count, uint32_t rule, const struct rule_tally *more)
{
    struct counted *counted = &count->rules[rule];
    counted->now.matched += more->matched;
    counted->now.rows += more->rows;
    counted->now.failures += more->failures;
    if (!counted->is_dirty) {
        counted->is_dirty = true;
        counted->next_dirty = count->dirty;
        count->dirty = counted;
    }
}

enum err rule_count_flush(struct rule_count *count, struct error *e)
{
    enum err rc = ERR_OK;
    for (struct counted *rule = count->dirty; rc == ERR_OK && rule != NULL;
         rule = rule->next_dirty) {
        sqlite3_bind_int64(count->save, 1, rule->id);
        sql_bind_u64(count->save, 2, rule->now.matched);
        sql_bind_u64(count->save, 3, rule->now.rows);
        sql_bind_u64(count->save, 4, rule->now.failures);
        rc = sql_run(count->store, count->save, "write a rule's counters", e);
    }
    return rc;
}

void rule_count_commit(struct rule_count *count)
{
    for (; count->dirty != NULL; count->dirty = count->dirty->next_dirty) {
        count->dirty->committed = count->dirty->now;
        count->dirty->is_dirty = false;
    }
}

void rule_count_rollback(struct rule_count *count)
{
    for (; count->dirty != NULL; count->dirty = count->dirty->next_dirty) {
        count->dirty->now = count->dirty->committed;
        count->dirty->is_dirty = false;
    }
}

void rule_count_tell(const struct rule_count *count, core_counter_fn *each, void *context)
{
    for (uint32_t i = 0; i < count->spec->rule_count; i++) {
        const struct rule_tally *tally = &count->rules[i].committed;
        const struct {
            const char *what;
            uint64_t value;
        } counters[] = {
            {"matched", tally->matched}, {"rows", tally->rows}, {"failures", tally->failures}};
        for (size_t n = 0; n < sizeof(counters) / sizeof(counters[0]); n++) {
            char name[400];
            snprintf(name, sizeof(name), "rule/%s/%s", count->spec->rules[i].name,
                     counters[n].what);
            each(context, name, counters[n].value);
        }
    }
}
