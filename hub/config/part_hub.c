#include <stdlib.h>
#include <string.h>

#include "config/parts.h"

const struct option_spec hub_options[] = {
    {"id", OPTION_TEXT, true, NULL, 0, 0, NULL,
     "Name of this hub in topics, client ids and metrics: 1 to 64 letters, digits, `_` or `-`. Two "
     "hubs on one broker need two names."},
    {"store", OPTION_PATH, true, NULL, 0, 0, NULL,
     "The SQLite file that holds everything the hub has promised to keep. Use a local disk."},
    {"store_limit", OPTION_SIZE, false, "1 GB", 64 * 1024, INT64_C(1) << 44, NULL,
     "Most bytes in use in the store. At it the hub stops taking messages (the broker and the "
     "devices hold them) and goes on delivering."},
    {"disk_reserve", OPTION_SIZE, false, "4 MB", 0, INT64_C(1) << 40, NULL,
     "Free space of the file system that is left for settling deliveries. Below it the hub stops "
     "taking messages; below half of it what is due in workflows and windows waits, too."},
    {"quarantine_limit", OPTION_SIZE, false, "16 MB", 0, INT64_C(1) << 40, NULL,
     "Most bytes of rejected messages that are kept with their reason; the oldest make room."},
    {"batch_events", OPTION_INT, false, "2000", 1, 20000, NULL,
     "Most messages in one transaction. Larger batches cost fewer syncs and more memory."},
    {"batch_bytes", OPTION_SIZE, false, "4 MB", 64 * 1024, 256 << 20, NULL,
     "Most bytes of messages in one transaction."},
    {"payload_max", OPTION_SIZE, false, "1 MB", 1024, 256 << 20, NULL,
     "Largest payload that is taken; a larger one is rejected into the quarantine, cut short."},
    {"rule_steps", OPTION_INT, false, "1000000", 1000, 2000000000, NULL,
     "SQLite instructions that one rule may spend on one event before it fails on it."},
    {"rule_memory", OPTION_SIZE, false, "32 MB", 1 << 20, INT64_C(1) << 32, NULL,
     "Memory that SQLite may take for one rule on one event, or window, before the rule fails on "
     "it. No text of it is longer than a quarter."},
    {"instances", OPTION_INT, false, "200000", 1, 10000000, NULL,
     "Most instances of workflows, running and queued. An event that would start one more is "
     "rejected into the quarantine."},
    {"stats_every", OPTION_DURATION, false, "10 s", 0, 86400000, NULL,
     "How often retained statistics are published under `pipit/v1/$hub/<id>/`; 0 turns them off."},
    {"stats_source", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "The source on whose broker statistics, mirror and transitions are published. Without it the "
     "first."},
    {"mirror", OPTION_BOOL, false, "false", 0, 0, NULL,
     "Publish every decoded event as JSON under `pipit/v1/$hub/<id>/mirror/<topic>`."},
    {"transitions", OPTION_BOOL, false, "true", 0, 0, NULL,
     "Publish what happens in workflows as JSON under `pipit/v1/$hub/<id>/workflow/<name>/<key>/`, "
     "at QoS 0 and not retained."},
    {"log_level", OPTION_ENUM, false, "info", 0, 0, "debug|info|warn|error",
     "The least level that is logged: debug is single events, info the life of the process, warn "
     "what the hub coped with, error what a person must act on."},
    {"drain", OPTION_DURATION, false, "10 s", 0, 3600000, NULL,
     "How long SIGTERM waits for waiting deliveries before it stops; the rest stays in the store."},
    {"check_broker", OPTION_BOOL, false, "true", 0, 0, NULL,
     "Test the broker's limits at start and say what to change in its configuration."},
    {"fault_no_dedupe", OPTION_BOOL, false, "false", 0, 0, NULL,
     "Test only: take duplicates for new events."},
    {NULL},
};

void faults_refuse(struct builder *builder, const struct node *node, const struct options *options,
                   const char *what)
{
    const char *allowed = getenv("PIPIT_TEST_FAULTS");
    if (allowed != NULL && strcmp(allowed, "1") == 0) {
        return;
    }
    for (const struct option_spec *row = options_table(options); row->name != NULL; row++) {
        const struct node *member = option_is_fault(row) ? node_get(node, row->name) : NULL;
        if (member != NULL && row->type == OPTION_BOOL && option_bool(options, row->name)) {
            reader_problem(&builder->reader, member->key->at,
                           "%s: %s breaks a promise on purpose and is for tests only: refused "
                           "without PIPIT_TEST_FAULTS=1 in the environment",
                           what, row->name);
        }
    }
}

static void id_check(struct builder *builder, const struct node *node, const struct options *hub)
{
    const char *id = option_text(hub, "id");
    if (id != NULL && !name_is_valid(id)) {
        reader_problem(&builder->reader, node_get(node, "id")->at,
                       "hub: id: must be 1 to 64 letters, digits, '_' or '-', not '%.80s'", id);
    }
}

static void stats_source_check(struct builder *builder, const struct node *node,
                               const struct options *hub)
{
    const struct config *config = &builder->file->config;
    const char *name = option_text(hub, "stats_source");
    const char **names =
        arena_alloc(builder->file->arena, (config->source_count + 1) * sizeof(names[0]));
    if (name == NULL || names == NULL) {
        return;
    }
    for (uint32_t i = 0; i < config->source_count; i++) {
        names[i] = config->sources[i].name;
        if (strcmp(names[i], name) == 0) {
            return;
        }
    }
    const char *hint = reader_hint(&builder->reader, name, names);
    reader_problem(&builder->reader, node_get(node, "stats_source")->at,
                   "hub: stats_source: there is no source '%.80s'%s", name, hint ? hint : "");
}

static void core_fill(struct core_spec *core, const struct options *hub)
{
    core->hub_id = option_text(hub, "id");
    core->store_limit_bytes = (uint64_t)option_int(hub, "store_limit");
    core->disk_reserve_bytes = (uint64_t)option_int(hub, "disk_reserve");
    core->quarantine_limit_bytes = (uint64_t)option_int(hub, "quarantine_limit");
    core->payload_bytes_max = (uint32_t)option_int(hub, "payload_max");
    core->rule_steps_max = (uint32_t)option_int(hub, "rule_steps");
    core->rule_memory_max = (uint64_t)option_int(hub, "rule_memory");
    core->instances_max = (uint32_t)option_int(hub, "instances");
    core->is_mirror_on = option_bool(hub, "mirror");
    core->is_telling_workflows = option_bool(hub, "transitions");
    core->fault_no_dedupe = option_bool(hub, "fault_no_dedupe");
}

void hub_build(struct builder *builder)
{
    struct config *config = &builder->file->config;
    const struct node *node = node_get(document_root(builder->file->document), "hub");
    struct options *hub = options_make(builder, hub_options);
    if (hub == NULL) {
        return;
    }
    config->hub = hub;
    if (node == NULL) {
        reader_problem(&builder->reader, (struct position){1, 1},
                       "the section 'hub' is missing; write for instance hub: {id: plant-7, store: "
                       "hub.db}");
        return;
    }
    struct shape shape = {.what = "hub", .options = {hub, NULL}};
    reader_options(&builder->reader, node, &shape);
    id_check(builder, node, hub);
    stats_source_check(builder, node, hub);
    faults_refuse(builder, node, hub, "hub");
    core_fill(&config->core, hub);
}
