#include "core/core.h"
#include "core/format.h"
#include "core/rules.h"
#include "core/tables.h"
#include "store/store.h"

enum err core_check(const struct core_spec *spec, struct error *e)
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
    rules_close(rules);
    formats_destroy(formats);
    store_close(store);
    return rc;
}
