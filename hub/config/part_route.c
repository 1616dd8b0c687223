#include <stdlib.h>
#include <string.h>

#include "config/parts.h"
#include "core/address.h"

// The choices stand in the order of enum overflow and enum priority.
const struct option_spec route_common_options[] = {
    {"limit", OPTION_SIZE, false, "0", 0, INT64_C(1) << 44, NULL,
     "Most bytes waiting on this route; 0 leaves only the store's limit."},
    {"overflow", OPTION_ENUM, false, "hold", 0, 0, "hold|drop_new|drop_old",
     "What happens at `limit`: `hold` stops taking messages until there is room, `drop_new` and "
     "`drop_old` lose the newest or the oldest delivery and count it."},
    {"key_limit", OPTION_SIZE, false, "0", 0, INT64_C(1) << 44, NULL,
     "Most bytes of one key waiting on this route, so that a noisy device fills its own share "
     "only; "
     "0: no such limit. `overflow` must be `drop_new` or `drop_old`, and concerns the key."},
    {"priority", OPTION_ENUM, false, "normal", 0, 0, "normal|high|low",
     "Of one target, deliveries of a higher class always go first: `high`, `normal`, `low`. The "
     "order of a key holds within a class."},
    {"sample", OPTION_INT, false, "1", 1, 1000000, NULL,
     "One of so many rows of each key goes out, the first one first; the others are counted as "
     "dropped."},
    {"rate", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Most deliveries that go out, such as `10/s`, `100/min` or `1000/h`. After a pause that many "
     "may go at once."},
    {"per", OPTION_ENUM, false, "route", 0, 0, "route|key",
     "Whether `rate` is of all deliveries of the route or of each key."},
    {"excess", OPTION_ENUM, false, "drop", 0, 0, "drop|wait",
     "What is over `rate`: `drop` loses it and counts it, `wait` delivers it later, for which the "
     "route needs a `limit`."},
    {NULL},
};

#define RATE_COUNT_MAX 1000000

// "10/s"; count 0: it is no such text.
static struct rate_spec rate_parse(const char *text)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"s", 1000}, {"min", 60000}, {"h", 3600000}};
    char *end;
    unsigned long count = strtoul(text, &end, 10);
    const char *unit = end + strspn(end, " ");
    bool is_rate = text[0] >= '0' && text[0] <= '9' && *unit == '/' && count <= RATE_COUNT_MAX;
    unit += is_rate ? 1 + strspn(unit + 1, " ") : 0;
    for (size_t i = 0; is_rate && i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(unit, units[i].name) == 0) {
            return (struct rate_spec){.count = (uint32_t)count, .per_ms = units[i].ms};
        }
    }
    return (struct rate_spec){0};
}

static bool target_find(const struct builder *builder, const char *name, uint32_t *out_target)
{
    const struct config *config = &builder->file->config;
    for (uint32_t i = 0; i < config->target_count; i++) {
        if (strcmp(config->targets[i].name, name) == 0) {
            *out_target = i;
            return true;
        }
    }
    return false;
}

static void unknown_target(struct builder *builder, const struct node *key, const char *what)
{
    const struct config *config = &builder->file->config;
    const char **names =
        arena_alloc(builder->file->arena, (config->target_count + 2) * sizeof(names[0]));
    if (names == NULL) {
        return;
    }
    for (uint32_t i = 0; i < config->target_count; i++) {
        names[i] = config->targets[i].name;
    }
    names[config->target_count] = TARGET_RULES;
    const char *hint = reader_hint(&builder->reader, key->text, names);
    reader_problem(&builder->reader, key->at, "%s: there is no target '%.80s'%s", what, key->text,
                   hint ? hint : "");
}

static const char *copy(struct builder *builder, const struct options *options, const char *name)
{
    bool is_there = option_find(options_table(options), name) != NULL;
    const char *text = is_there ? option_text(options, name) : NULL;
    return text == NULL ? NULL : arena_print(builder->file->arena, "%s", text);
}

// Options that would be there to no effect are mistakes.
static void rate_check(struct builder *builder, const struct node *node,
                       const struct route_spec *route, const char *what)
{
    struct reader *reader = &builder->reader;
    const struct node *rate = node_get(node, "rate"), *excess = node_get(node, "excess");
    if (rate != NULL && route->rate.count == 0) {
        reader_problem(reader, rate->at,
                       "%s: 'rate' is a whole number from 1 to %d and /s, /min or /h, such as 10/s",
                       what, RATE_COUNT_MAX);
    }
    for (int i = 0; i < 2; i++) {
        const struct node *needs = node_get(node, i == 0 ? "per" : "excess");
        if (rate == NULL && needs != NULL) {
            reader_problem(reader, needs->key->at, "%s: '%s' needs a 'rate'", what,
                           needs->key->text);
        }
    }
    if (excess != NULL && route->rate.is_waiting && route->limit_bytes == 0) {
        reader_problem(reader, excess->key->at,
                       "%s: 'excess: wait' needs a 'limit': what comes faster than it goes would "
                       "fill the store",
                       what);
    }
}

// The first wildcard that a template has outside of its columns; '\0': none.
static char wildcard_in(const char *topic_template)
{
    bool is_column = false;
    for (const char *at = topic_template; *at != '\0'; at++) {
        is_column = *at == '{' || (is_column && *at != '}');
        if (!is_column && (*at == '+' || *at == '#')) {
            return *at;
        }
    }
    return '\0';
}

static void topic_check(struct builder *builder, const struct node *node, const char *topic,
                        const char *what)
{
    char wildcard = topic == NULL ? '\0' : wildcard_in(topic);
    if (wildcard != '\0') {
        reader_problem(&builder->reader, node_get(node, "topic")->at,
                       "%s: topic: '%s' holds the wildcard %c, which no message is published on",
                       what, topic, wildcard);
    }
}

// What a template has instead of columns must be as in a URL already. Columns are taken for a
// letter.
static void address_check(struct builder *builder, const struct node *node, const char *template,
                          const char *what)
{
    char *text = arena_alloc(builder->file->arena, strlen(template) + 1);
    size_t len = 0;
    for (const char *at = template; text != NULL && *at != '\0'; at++) {
        bool is_column = *at == '{' && at[1] != '{' && strchr(at, '}') != NULL;
        at = is_column ? strchr(at, '}') : at;
        text[len++] = is_column ? 'x' : *at;
    }
    const char *problem = text == NULL ? NULL : address_problem(bytes_of(text, len));
    if (problem != NULL) {
        const struct node *path = node_get(node, "path");
        reader_problem(&builder->reader, path == NULL ? node->at : path->at,
                       "%s: path: the address '%s' %s", what, template, problem);
    }
}

static void route_check(struct builder *builder, const struct node *node,
                        const struct route_spec *route, const char *what)
{
    const struct node *overflow = node_get(node, "overflow");
    const struct node *key_limit = node_get(node, "key_limit");
    bool has_limit = route->limit_bytes > 0 || route->key_limit_bytes > 0;
    if (overflow != NULL && route->overflow != OVERFLOW_HOLD && !has_limit) {
        reader_problem(&builder->reader, overflow->key->at,
                       "%s: 'overflow' needs a 'limit' or 'key_limit' to overflow at", what);
    }
    if (key_limit != NULL && route->key_limit_bytes > 0 && route->overflow == OVERFLOW_HOLD) {
        reader_problem(&builder->reader, key_limit->key->at,
                       "%s: 'key_limit' needs 'overflow: drop_new' or 'drop_old': one key must not "
                       "hold up all others",
                       what);
    }
    rate_check(builder, node, route, what);
    if (route->is_url && route->topic != NULL) {
        address_check(builder, node, route->topic, what);
    } else {
        topic_check(builder, node, route->topic, what);
    }
}

// "<METHOD> <path>", see core/address.h.
static const char *address_make(struct builder *builder, const struct options *own)
{
    const char *path = option_text(own, "path"), *method = option_text(own, "method");
    return arena_print(builder->file->arena, "%s%s%s", method, path == NULL ? "" : " ",
                       path == NULL ? "" : path);
}

static void route_fill(struct builder *builder, const struct options *common,
                       const struct options *own, struct route_spec *out_route)
{
    const struct option_spec *table = options_table(own);
    out_route->limit_bytes = (uint64_t)option_int(common, "limit");
    out_route->overflow = (enum overflow)option_choice(common, "overflow");
    out_route->key_limit_bytes = (uint64_t)option_int(common, "key_limit");
    out_route->priority = (enum priority)option_choice(common, "priority");
    out_route->sample = (uint32_t)option_int(common, "sample");
    const char *rate = option_text(common, "rate");
    out_route->rate = rate == NULL ? (struct rate_spec){0} : rate_parse(rate);
    out_route->rate.is_per_key = out_route->rate.count > 0 && option_choice(common, "per") == 1;
    out_route->rate.is_waiting = option_choice(common, "excess") == 1;
    out_route->topic = out_route->is_url ? address_make(builder, own) : copy(builder, own, "topic");
    out_route->qos = option_find(table, "qos") ? (uint8_t)option_int(own, "qos") : 0;
    out_route->is_retained = option_find(table, "retain") && option_bool(own, "retain");
}

// `- rules: {topic: "derived/{device}"}`: an event for other rules.
const struct option_spec route_to_rules_options[] = {
    {"topic", OPTION_TEXT, true, NULL, 0, 0, NULL,
     "Topic of the event that other rules get, in the same transaction. `{column}` is replaced by "
     "the column's value, which fills a part of one level."},
    {NULL},
};

static void rules_route_build(struct builder *builder, const struct node *node, const char *what,
                              const struct rule_spec *rule, struct route_spec *out_route)
{
    static const char *const others[] = {"properties", NULL};
    struct options *own = options_make(builder, route_to_rules_options);
    struct options *payload = options_make(builder, route_payload_options);
    if (own != NULL && payload != NULL) {
        struct shape shape = {what, {own, NULL, payload}, others, false, NULL, NULL};
        reader_options(&builder->reader, node, &shape);
        payload_build(builder, &shape, node, rule, out_route);
        out_route->topic = copy(builder, own, "topic");
        out_route->target = ROUTE_TO_RULES;
        topic_check(builder, node, out_route->topic, what);
    }
    options_destroy(own);
    options_destroy(payload);
}

static void route_build(struct builder *builder, const struct node *node, const char *what,
                        const struct connector_type *type, const struct rule_spec *rule,
                        struct route_spec *out_route)
{
    static const struct option_spec none[] = {{NULL}};
    static const char *const others[] = {"properties", NULL};
    struct options *common = options_make(builder, route_common_options);
    struct options *own = options_make(builder, type->route_options ? type->route_options : none);
    struct options *payload = options_make(builder, route_payload_options);
    if (common != NULL && own != NULL && payload != NULL) {
        struct shape shape = {what, {own, common, payload}, others, false, NULL, NULL};
        reader_options(&builder->reader, node, &shape);
        payload_build(builder, &shape, node, rule, out_route);
        out_route->is_url = type->is_url;
        route_fill(builder, common, own, out_route);
        route_check(builder, node, out_route, what);
        properties_check(builder, node_get(node, "properties"), what, type);
    }
    options_destroy(common);
    options_destroy(own);
    options_destroy(payload);
}

// `- bus: {topic: "alerts/{device}"}`
static void item_build(struct builder *builder, const struct node *item, const char *what,
                       struct rule_spec *spec, struct route_spec *routes)
{
    struct reader *reader = &builder->reader;
    if (item->kind != NODE_MAPPING || item->count != 1) {
        reader_problem(reader, item->at,
                       "%s: a route is one target with its options, such as - bus: {topic: "
                       "\"alerts/{device}\"}",
                       what);
        return;
    }
    const struct node *node = item->first;
    uint32_t target = 0;
    const char *route_what = arena_print(reader->arena, "%s: route to %s", what, node->key->text);
    if (route_what == NULL) {
        return;
    }
    if (strcmp(node->key->text, TARGET_RULES) == 0) {
        rules_route_build(builder, node, route_what, spec, &routes[spec->route_count++]);
        return;
    }
    if (!target_find(builder, node->key->text, &target)) {
        unknown_target(builder, node->key, what);
        return;
    }
    const struct connector_type *type = builder->file->config.targets[target].type;
    if (type == NULL) {
        return; // The target is wrong itself and has been reported.
    }
    struct route_spec *route = &routes[spec->route_count++];
    route->target = target;
    route_build(builder, node, route_what, type, spec, route);
}

// Behind all others: the rule's rows are events for the workflows that start by it or await it.
static void workflow_route_add(struct builder *builder, struct rule_spec *spec,
                               struct route_spec *routes)
{
    const char *topic = arena_print(builder->file->arena, RULE_TOPIC "%s", spec->name);
    routes[spec->route_count++] =
        (struct route_spec){.target = ROUTE_TO_RULES, .topic = topic, .format = PAYLOAD_JSON};
}

void routes_build(struct builder *builder, const struct node *rule, const char *name,
                  struct rule_spec *spec)
{
    struct reader *reader = &builder->reader;
    const char *what = arena_print(reader->arena, "rule %s", spec->name);
    const struct node *list = node_get(rule, name);
    bool is_heard = spec->branch == BRANCH_MAIN && workflows_hear_rule(builder, spec->name);
    if (what == NULL) {
        return;
    }
    if (!(is_heard && list == NULL) &&
        (list == NULL || list->kind != NODE_LIST || list->count == 0)) {
        reader_problem(reader, list == NULL ? rule->at : list->at,
                       "%s: '%s' must be a list of routes, such as - bus: {topic: "
                       "\"alerts/{device}\"}",
                       what, name);
        return;
    }
    uint32_t count = (list == NULL ? 0 : list->count) + is_heard;
    struct route_spec *routes = arena_alloc(reader->arena, count * sizeof(routes[0]));
    if (routes == NULL) {
        return;
    }
    spec->routes = routes;
    for (const struct node *item = list == NULL ? NULL : list->first; item != NULL;
         item = item->next) {
        item_build(builder, item, what, spec, routes);
    }
    if (is_heard) {
        workflow_route_add(builder, spec, routes);
    }
}
