// case_event.c - the events of a case: one after the other, each at its time.
#include <inttypes.h>

#include "trial/case_parts.h"

const struct option_spec case_event_options[] = {
    {"topic", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "The message's topic. Without it (and without `pipit`) only time passes."},
    {"after", OPTION_DURATION, false, NULL, 0, 0, NULL,
     "How long after the event before. Without it (and without `at`) in the same moment."},
    {"at", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "When, as an instant. It may be earlier than the event before: a clock that steps back."},
    {"count", OPTION_INT, false, "1", 1, CASE_EVENTS_MAX, NULL,
     "So many events; `\"{n}\"` in topic and payload is the number of each, from 1."},
    {"every", OPTION_DURATION, false, "0", 0, 0, NULL, "The time between two of them."},
    {"text", OPTION_TEXT, false, NULL, 0, 0, NULL, "The payload as text."},
    {"hex", OPTION_TEXT, false, NULL, 0, 0, NULL, "The payload as hexadecimal digits."},
    {"file", OPTION_PATH, false, NULL, 0, 0, NULL, "The payload is in this file."},
    {"content_type", OPTION_TEXT, false, NULL, 0, 0, NULL, "MQTT 5 content type."},
    {"qos", OPTION_INT, false, "1", 0, 2, NULL, "Quality of service it came with."},
    {"retain", OPTION_BOOL, false, "false", 0, 0, NULL, "It is a retained message."},
    {"online", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "The device `<group>/<device>` says that it is online; it makes topic and payload."},
    {"offline", OPTION_TEXT, false, NULL, 0, 0, NULL, "It is not: by itself, or by its last will."},
    {"cancel", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "An operator cancels the instance `<workflow>/<key>`, which undoes what it has done."},
    {"abandon", OPTION_TEXT, false, NULL, 0, 0, NULL, "The same, and nothing is undone."},
    {"retry", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "An operator lets the parked instance `<workflow>/<key>` try again."},
    {NULL},
};

static const char *const other_keys[] = {"json", "cbor", "pipit", "protobuf", "properties", NULL};

struct series {
    const struct node *node;
    const struct options *options;
    struct case_event *event;
};

static void set_properties(struct case_builder *builder, const struct node *node, case_number n,
                           struct message *message)
{
    uint32_t count = 0;
    const char *const *pairs = case_pairs(builder, node, "properties", n, &count);
    struct user_property *properties = case_alloc(builder, count, sizeof(properties[0]));
    for (uint32_t i = 0; pairs != NULL && properties != NULL && i < count; i++) {
        properties[i].name = bytes_from_text(pairs[2 * i]);
        properties[i].value = bytes_from_text(pairs[2 * i + 1]);
    }
    message->properties = properties;
    message->property_count = properties == NULL ? 0 : count;
}

// One of a series, at event->at_ms. False after a reported problem: the others have it, too.
static bool message_build(struct case_builder *builder, const struct series *series, case_number n)
{
    struct message *message = &series->event->message;
    const char *topic = option_text(series->options, "topic");
    const char *content_type = option_text(series->options, "content_type");
    const struct node *properties = node_get(series->node, "properties");
    uint32_t before = builder->reader.problem_count;
    message->qos = (uint8_t)option_int(series->options, "qos");
    message->is_retained = option_bool(series->options, "retain");
    message->received_ms = series->event->at_ms;
    if (topic != NULL) {
        message->topic = bytes_from_text(value_numbered(builder->reader.arena, topic, n));
    }
    if (properties != NULL) {
        set_properties(builder, properties, n, message);
    }
    bool is_good = case_payload_make(builder, series->node, n, series->event->at_ms, message);
    if (content_type != NULL) {
        message->content_type =
            bytes_from_text(arena_text(builder->reader.arena, content_type, strlen(content_type)));
    }
    return is_good && builder->reader.problem_count == before;
}

// What makes an event what it is; without one of these only time passes.
static const struct {
    const char *key;
    enum case_event_kind kind;
} kinds[] = {
    {"topic", CASE_MESSAGE},   {"pipit", CASE_MESSAGE}, {"online", CASE_MESSAGE},
    {"offline", CASE_MESSAGE}, {"cancel", CASE_CANCEL}, {"abandon", CASE_ABANDON},
    {"retry", CASE_RETRY},
};

static enum case_event_kind kind_of(const struct node *node)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (node_get(node, kinds[i].key) != NULL) {
            return kinds[i].kind;
        }
    }
    return CASE_TIME;
}

// topic with pipit has words of its own.
static const char *const lone_keys[] = {"topic",   "online", "offline", "cancel",
                                        "abandon", "retry",  NULL};

static bool event_build(struct case_builder *builder, const struct series *series, case_number n)
{
    struct case_event *event = series->event;
    static const char *const names[] = {
        [CASE_CANCEL] = "cancel", [CASE_ABANDON] = "abandon", [CASE_RETRY] = "retry"};
    if (event->kind == CASE_TIME) {
        return true;
    }
    if (event->kind == CASE_MESSAGE) {
        return message_build(builder, series, n);
    }
    const char *name = names[event->kind];
    return case_instance_name(builder, node_get(series->node, name)->at,
                              option_text(series->options, name), &event->workflow, &event->key);
}

static void check_item(struct case_builder *builder, const struct node *node,
                       const struct options *options)
{
    struct reader *reader = &builder->reader;
    const struct node *payload = case_one_of(builder, node, "event", case_payload_keys);
    if (node_get(node, "at") != NULL && node_get(node, "after") != NULL) {
        reader_problem(reader, node_get(node, "at")->key->at,
                       "event: 'at' and 'after'; only one can be");
    }
    case_one_of(builder, node, "event", lone_keys);
    if (payload != NULL && node_get(node, "topic") == NULL && node_get(node, "pipit") == NULL) {
        reader_problem(reader, payload->key->at, "event: '%s' without 'topic'", payload->key->text);
    }
    if (kind_of(node) != CASE_MESSAGE && options_is_set(options, "count")) {
        reader_problem(reader, node->at, "event: 'count' without 'topic'");
    }
}

// Where the clock is after the series; its events stand in spec.
static void series_build(struct case_builder *builder, struct case_event *events, uint32_t *count,
                         int64_t *now_ms, struct series *series)
{
    const struct node *node = series->node;
    uint32_t repeat = (uint32_t)option_int(series->options, "count");
    bool is_repeated = options_is_set(series->options, "count");
    *now_ms += option_int(series->options, "after");
    case_instant(builder, node, series->options, "at", now_ms);
    for (uint32_t i = 0; i < repeat && *count < CASE_EVENTS_MAX; i++) {
        *now_ms += i == 0 ? 0 : option_int(series->options, "every");
        series->event = &events[*count];
        series->event->at = node->at;
        series->event->at_ms = *now_ms;
        series->event->kind = kind_of(node);
        ++*count;
        if (!event_build(builder, series, is_repeated ? i + 1 : 0)) {
            return;
        }
    }
}

static struct options *item_read(struct case_builder *builder, const struct node *node)
{
    struct options *options = case_options_make(builder, case_event_options);
    const struct shape shape = {.what = "event", .options = {options}, .others = other_keys};
    if (options == NULL || !reader_mapping(&builder->reader, node, "event", false)) {
        options_destroy(options);
        return NULL;
    }
    uint32_t before = builder->reader.problem_count;
    reader_options(&builder->reader, node, &shape);
    check_item(builder, node, options);
    if (builder->reader.problem_count > before) {
        options_destroy(options);
        return NULL;
    }
    return options;
}

// Of all items, so that the events can be in one piece.
static uint64_t count_events(const struct node *list)
{
    uint64_t count = 0;
    for (const struct node *node = list->first; node != NULL; node = node->next) {
        const struct node *repeat = node_get(node, "count");
        double number = 1;
        if (repeat != NULL && repeat->kind == NODE_TEXT && value_number(repeat->text, &number) &&
            number >= 1 && number <= CASE_EVENTS_MAX) {
            count += (uint64_t)number;
        } else {
            count++;
        }
    }
    return count;
}

void case_events_build(struct case_builder *builder, const struct node *list,
                       struct case_spec *spec)
{
    if (list == NULL) {
        return;
    }
    if (list->kind != NODE_LIST) {
        reader_problem(&builder->reader, list->at, "events: must be a list, not %s",
                       node_kind_name(list));
        return;
    }
    uint64_t total = count_events(list);
    if (total > CASE_EVENTS_MAX) {
        reader_problem(&builder->reader, list->at, "events: %" PRIu64 " are more than %d", total,
                       CASE_EVENTS_MAX);
        return;
    }
    struct case_event *events = case_alloc(builder, total, sizeof(events[0]));
    int64_t now_ms = spec->start_ms;
    for (const struct node *node = list->first; events != NULL && node != NULL; node = node->next) {
        struct options *options = item_read(builder, node);
        if (options != NULL) {
            struct series series = {node, options, NULL};
            series_build(builder, events, &spec->event_count, &now_ms, &series);
        }
        options_destroy(options);
    }
    spec->events = events;
}
