// core_tables.c - reference tables of a core: at its start, at a swap, and when a file has changed.
#include <inttypes.h>
#include <strings.h>

#include "core/core_parts.h"

enum err core_attach_memory(struct core *core, struct rules *rules, const struct core_spec *spec,
                            struct error *e)
{
    enum err rc = memo_claim(core->memo, rules, spec, &core->notes, e);
    rc = rc == ERR_OK ? rules_keep_latest(rules, e) : rc; // Workflows may read it.
    return rc == ERR_OK && !rules_reads_latest(rules) ? tables_drop_latest(core->store, e) : rc;
}

enum err core_open_rules(struct core *core, struct error *e)
{
    enum err rc = store_begin(core->store, true, e);
    rc = rc == ERR_OK ? tables_apply(core->store, core->spec, e) : rc;
    rc = rc == ERR_OK ? rules_open(&core->rules, store_db(core->store), core->spec, e) : rc;
    rc = rc == ERR_OK ? core_attach_windows(core, core->rules, e) : rc;
    rc = rc == ERR_OK ? core_open_workflows(core, e) : rc;
    rc = rc == ERR_OK ? memo_create(&core->memo, core->store, 0, e) : rc;
    rc = rc == ERR_OK ? core_attach_memory(core, core->rules, core->spec, e) : rc;
    rc = rc == ERR_OK ? store_commit(core->store, e) : rc;
    if (rc != ERR_OK) {
        store_rollback(core->store);
    }
    return rc;
}

static const struct table_spec *find_spec(const struct core_spec *spec, const char *name)
{
    for (uint32_t i = 0; i < spec->table_count; i++) {
        if (strcasecmp(spec->tables[i].name, name) == 0 && spec->tables[i].sql == NULL) {
            return &spec->tables[i];
        }
    }
    return NULL;
}

static enum err load(struct core *core, const struct core_spec *spec, const struct table_data *data,
                     struct error *e)
{
    const struct table_spec *table = find_spec(spec, data->table);
    enum err rc = table == NULL
                      ? error_set(e, ERR_CONFIG, "there is no table \"%s\" that comes from a file",
                                  data->table)
                      : tables_load(core->store, table, data, e);
    uint64_t used = rc == ERR_OK ? store_used_bytes(core->store) : 0;
    return rc == ERR_OK && used > core->spec->store_limit_bytes
               ? error_set(e, ERR_CONFIG,
                           "table \"%s\": with its %" PRIu64 " rows the store would have %" PRIu64
                           " bytes in use, store_limit is %" PRIu64,
                           data->table, data->row_count, used, core->spec->store_limit_bytes)
               : rc;
}

enum err core_prepare_tables(struct core *core, const struct core_spec *spec,
                             const struct table_data *data, struct error *e)
{
    enum err rc = tables_apply(core->store, spec, e);
    return rc == ERR_OK && data != NULL ? load(core, spec, data, e) : rc;
}

enum err core_compare_table(struct core *core, const struct table_data *data,
                            enum table_change *out_change, struct error *e)
{
    const struct table_spec *table = find_spec(core->spec, data->table);
    if (store_is_sealed(core->store)) {
        return error_set(e, ERR_IO, "the store is sealed by an earlier failure; open it again");
    }
    return table == NULL ? error_set(e, ERR_CONFIG,
                                     "there is no table \"%s\" that comes from a file", data->table)
                         : tables_compare(core->store, table, data, out_change, e);
}

enum err core_replace_rows(struct core *core, const struct table_data *data, struct error *e)
{
    enum err rc = store_begin(core->store, true, e);
    rc = rc == ERR_OK ? load(core, core->spec, data, e) : rc;
    rc = rc == ERR_OK ? store_commit(core->store, e) : rc;
    if (rc != ERR_OK) {
        store_rollback(core->store);
    }
    return rc;
}
