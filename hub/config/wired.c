#include "config/wired.h"

#include <string.h>

#include "config/parts.h"
#include "config/workflow_json.h"
#include "core/rule_graph.h"
#include "core/topic.h"

struct topics {
    const char **list; // Has room for all.
    uint32_t count;
};

static bool is_to_rules(const json_t *step)
{
    const char *kind = json_string_value(json_object_get(step, "do"));
    const char *to = json_string_value(json_object_get(step, "to"));
    return kind != NULL && to != NULL && strcmp(kind, "emit") == 0 &&
           strcmp(to, TARGET_RULES) == 0 && json_object_get(step, "topic") != NULL;
}

struct gather {
    struct arena *arena;
    struct topics *topics; // NULL: only counted.
    uint32_t count;
};

static void on_step(void *context, const json_t *step, const char *path)
{
    (void)path;
    struct gather *gather = context;
    if (!is_to_rules(step)) {
        return;
    }
    if (gather->topics != NULL) {
        const char *topic = json_string_value(json_object_get(step, "topic"));
        gather->topics->list[gather->topics->count++] =
            arena_print(gather->arena, "%s", topic == NULL ? "" : topic);
    }
    gather->count++;
}

static uint32_t gather_topics(struct arena *arena, const struct wired *wired, struct topics *topics)
{
    struct gather gather = {.arena = arena, .topics = topics};
    for (uint32_t i = 0; i < wired->config->core.workflow_count; i++) {
        workflow_json_steps(arena, wired->definitions[i], on_step, &gather);
    }
    return gather.count;
}

static bool read_definitions(struct wired *wired, struct arena *arena)
{
    const struct core_spec *core = &wired->config->core;
    wired->definitions = arena_alloc(arena, (core->workflow_count + 1) * sizeof(json_t *));
    for (uint32_t i = 0; wired->definitions != NULL && i < core->workflow_count; i++) {
        wired->definitions[i] = json_loads(core->workflows[i].definition, 0, NULL);
    }
    return wired->definitions != NULL;
}

bool wired_init(struct wired *wired, struct arena *arena, const struct config *config)
{
    const struct core_spec *core = &config->core;
    *wired = (struct wired){.config = config};
    if (!read_definitions(wired, arena)) {
        return false;
    }
    uint32_t count = gather_topics(arena, wired, NULL);
    struct topics topics = {arena_alloc(arena, (count + 1) * sizeof(const char *)), 0};
    wired->emitted = topics.list;
    wired->filters = arena_alloc(arena, (core->rule_count + 1) * sizeof(const char *));
    if (topics.list == NULL || wired->filters == NULL) {
        return false;
    }
    gather_topics(arena, wired, &topics);
    return true;
}

void wired_deinit(struct wired *wired)
{
    for (uint32_t i = 0; wired->definitions != NULL && i < wired->config->core.workflow_count;
         i++) {
        json_decref(wired->definitions[i]);
    }
    wired->definitions = NULL;
}

bool wired_is_heard(const struct config *config, const char *filter)
{
    for (uint32_t i = 0; i < config->source_count; i++) {
        for (const char *const *topic = config->sources[i].topics; *topic != NULL; topic++) {
            if (topic_filters_overlap(bytes_from_text(filter), bytes_from_text(*topic))) {
                return true;
            }
        }
    }
    return false;
}

bool wired_is_fed(const struct wired *wired, const char *filter)
{
    const struct core_spec *core = &wired->config->core;
    for (uint32_t i = 0; i < core->rule_count; i++) {
        for (uint32_t j = 0; j < core->rules[i].route_count; j++) {
            const struct route_spec *route = &core->rules[i].routes[j];
            if (route->target == ROUTE_TO_RULES && rule_graph_may_feed(route->topic, filter)) {
                return true;
            }
        }
    }
    for (const char *const *topic = wired->emitted; *topic != NULL; topic++) {
        if (rule_graph_may_feed(*topic, filter)) {
            return true;
        }
    }
    return false;
}

bool wired_reaches(const struct wired *wired, const char *filter)
{
    return wired_is_heard(wired->config, filter) || wired_is_fed(wired, filter);
}

struct follow {
    const struct wired *wired;
    bool *is_reached; // Each rule.
    wired_topic_fn *each;
    void *context;
};

// As deep as rules feed rules: RULE_CHAIN_MAX.
static void follow_topic(const struct follow *follow, const char *topic, bool is_direct)
{
    const struct core_spec *core = &follow->wired->config->core;
    follow->each(follow->context, topic, is_direct);
    for (uint32_t i = 0; i < core->rule_count; i++) {
        const char *filter = follow->wired->filters[i];
        if (follow->is_reached[i] || filter == NULL || !rule_graph_may_feed(topic, filter)) {
            continue;
        }
        follow->is_reached[i] = true;
        for (uint32_t j = 0; j < core->rules[i].route_count; j++) {
            const struct route_spec *route = &core->rules[i].routes[j];
            if (route->target == ROUTE_TO_RULES) {
                follow_topic(follow, route->topic, false);
            }
        }
    }
}

void wired_follow(const struct wired *wired, struct arena *arena, const char *topic,
                  wired_topic_fn *each, void *context)
{
    bool *is_reached = arena_alloc(arena, wired->config->core.rule_count + 1);
    if (is_reached != NULL) {
        const struct follow follow = {wired, is_reached, each, context};
        follow_topic(&follow, topic, true);
    }
}
