#include "core/column_check.h"
#include "core/core.h"
#include "core/format.h"
#include "core/rules.h"
#include "core/tables.h"
#include "store/store.h"

typedef enum err check_fn(const struct core_spec *spec, const struct formats *formats,
                          const struct rules *rules, void *context, struct error *e);

// Compiles everything and has a look at it.
static enum err compile(const struct core_spec *spec, check_fn *look, void *context,
                        struct error *e)
{
    struct store_options options = {.path = ":memory:"};
    struct store *store = NULL;
    struct formats *formats = NULL;
    struct rules *rules = NULL;
    enum err rc = formats_create(&formats, spec, e);
    if (rc == ERR_OK) {
        rc = store_open(&store, &options, e);
    }
    if (rc == ERR_OK) {
        rc = tables_apply(store, spec, e);
    }
    if (rc == ERR_OK) {
        rc = rules_open(&rules, store_db(store), spec, e);
    }
    if (rc == ERR_OK) {
        rc = look(spec, formats, rules, context, e);
    }
    rules_close(rules);
    formats_destroy(formats);
    store_close(store);
    return rc;
}

static enum err check_columns(const struct core_spec *spec, const struct formats *formats,
                              const struct rules *rules, void *context, struct error *e)
{
    (void)context;
    return columns_check(spec, formats, rules, e);
}

enum err core_check(const struct core_spec *spec, struct error *e)
{
    return compile(spec, check_columns, NULL, e);
}

struct filter_reader {
    core_filter_fn *each;
    void *context;
};

static enum err tell_filters(const struct core_spec *spec, const struct formats *formats,
                             const struct rules *rules, void *context, struct error *e)
{
    (void)formats;
    (void)e;
    const struct filter_reader *reader = context;
    for (uint32_t i = 0; i < spec->rule_count; i++) {
        reader->each(reader->context, i, rules_filter(rules, i));
    }
    return ERR_OK;
}

enum err core_filters(const struct core_spec *spec, core_filter_fn *each, void *context,
                      struct error *e)
{
    struct filter_reader reader = {each, context};
    return compile(spec, tell_filters, &reader, e);
}
