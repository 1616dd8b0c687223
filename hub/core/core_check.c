#include "core/column_check.h"
#include "core/core.h"
#include "core/format.h"
#include "core/rule_space.h"
#include "core/rules.h"
#include "core/tables.h"
#include "core/workflow_columns.h"
#include "core/workflow_definition.h"
#include "store/store.h"

struct compiled {
    const struct core_spec *spec;
    const struct formats *formats;
    const struct rules *rules;
    struct store *store;
};

typedef enum err check_fn(const struct compiled *compiled, void *context, struct error *e);

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
        const struct compiled compiled = {spec, formats, rules, store};
        rc = look(&compiled, context, e);
    }
    rules_close(rules);
    formats_destroy(formats);
    store_close(store);
    return rc;
}

static enum err check_columns(const struct compiled *compiled, void *context, struct error *e)
{
    (void)context;
    return columns_check(compiled->spec, compiled->formats, compiled->rules, e);
}

enum err core_check(const struct core_spec *spec, struct error *e)
{
    return compile(spec, check_columns, NULL, e);
}

struct filter_reader {
    core_filter_fn *each;
    void *context;
};

static enum err tell_filters(const struct compiled *compiled, void *context, struct error *e)
{
    (void)e;
    const struct filter_reader *reader = context;
    for (uint32_t i = 0; i < compiled->spec->rule_count; i++) {
        reader->each(reader->context, i, rules_filter(compiled->rules, i));
    }
    return ERR_OK;
}

enum err core_filters(const struct core_spec *spec, core_filter_fn *each, void *context,
                      struct error *e)
{
    struct filter_reader reader = {each, context};
    return compile(spec, tell_filters, &reader, e);
}

struct workflow_reader {
    core_workflow_fn *each;
    void *context;
    bool has_rules; // They are fine, too: what they give is known.
};

static enum err check_workflow(const struct compiled *compiled, struct rule_space *space,
                               const char *text, bool has_rules, struct workflow_fault *fault,
                               struct error *e)
{
    const struct workflow_givers givers = {compiled->spec, compiled->formats, compiled->rules};
    struct workflow_definition *definition = NULL;
    enum err rc = workflow_definition_create(&definition, space, text, fault, e);
    if (rc == ERR_OK && has_rules) {
        rc = workflow_columns_check(definition, &givers, fault, e);
    }
    workflow_definition_destroy(definition);
    return rc;
}

static enum err check_workflows(const struct compiled *compiled, void *context, struct error *e)
{
    const struct workflow_reader *reader = context;
    struct rule_space *space = NULL;
    enum err rc = rule_space_get(store_db(compiled->store), &space, e);
    for (uint32_t i = 0; rc == ERR_OK && i < compiled->spec->workflow_count; i++) {
        struct workflow_fault where = {""};
        struct error fault = {.offset = -1};
        rc = check_workflow(compiled, space, compiled->spec->workflows[i].definition,
                            reader->has_rules, &where, &fault);
        if (rc == ERR_CONFIG) {
            reader->each(reader->context, i, where.path, &fault);
            rc = ERR_OK;
        } else if (rc != ERR_OK && e != NULL) {
            *e = fault;
        }
    }
    return rc;
}

enum err core_check_workflows(const struct core_spec *spec, bool has_rules, core_workflow_fn *each,
                              void *context, struct error *e)
{
    struct workflow_reader reader = {each, context, has_rules};
    struct core_spec alone = *spec; // Rules and identities have faults of their own.
    alone.rule_count = 0;
    alone.identity_count = 0;
    return compile(has_rules ? spec : &alone, check_workflows, &reader, e);
}
