// case_expect.c - what a case says comes out: deliveries, rejections, books.
#include <jansson.h>
#include <stdio.h>

#include "trial/case_parts.h"

const struct option_spec case_expect_options[] = {
    {"topic", OPTION_TEXT, false, NULL, 0, 0, NULL, "The topic it goes to."},
    {"text", OPTION_TEXT, false, NULL, 0, 0, NULL, "The payload is this text."},
    {"hex", OPTION_TEXT, false, NULL, 0, 0, NULL, "The payload is these bytes."},
    {"key", OPTION_TEXT, false, NULL, 0, 0, NULL, "The key whose order it keeps."},
    {"rule", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "The rule that made it; of its branches `<rule>/else`, `<rule>/late`."},
    {"content_type", OPTION_TEXT, false, NULL, 0, 0, NULL, "MQTT 5 content type."},
    {"qos", OPTION_INT, false, NULL, 0, 2, NULL, "Quality of service."},
    {"retain", OPTION_BOOL, false, NULL, 0, 0, NULL, "It is retained."},
    {"after", OPTION_DURATION, false, NULL, 0, 0, NULL,
     "It goes out exactly so long after the start of the case."},
    {"at", OPTION_TEXT, false, NULL, 0, 0, NULL, "It goes out at exactly this instant."},
    {"tolerance", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Two numbers that are so near are the same. Without it they must be equal (25 is 25.0)."},
    {"count", OPTION_INT, false, "1", 1, CASE_EVENTS_MAX, NULL, "So many of them in a row."},
    {NULL},
};

static const char *const other_keys[] = {"json",    "contains", "cbor",       "pipit",
                                         "command", "protobuf", "properties", NULL};

static const char *const payload_keys[] = {"json",  "contains", "text",     "hex", "cbor",
                                           "pipit", "command",  "protobuf", NULL};

static void read_protobuf(struct case_builder *builder, const struct node *node,
                          struct case_expect *expect)
{
    const struct node *message = node_get(node, "message"), *fields = node_get(node, "fields");
    if (message == NULL || message->kind != NODE_TEXT || fields == NULL || node->count != 2) {
        reader_problem(&builder->reader, node->at,
                       "protobuf: needs 'message', the full name of a configured message, and "
                       "'fields', a mapping");
        return;
    }
    expect->protobuf = message->text;
    expect->json = case_keep_json(builder, value_of_node(fields, 0));
}

static void read_bytes(struct case_builder *builder, const struct node *node,
                       struct case_expect *expect)
{
    expect->is_text = strcmp(node->key->text, "text") == 0;
    if (expect->is_text) {
        expect->bytes = bytes_from_text(reader_text(&builder->reader, node, "text"));
    } else if (node->kind != NODE_TEXT ||
               !value_hex(builder->reader.arena, node->text, &expect->bytes)) {
        reader_problem(&builder->reader, node->at, "hex: must be pairs of hexadecimal digits");
    }
}

static void read_payload(struct case_builder *builder, const struct node *node,
                         struct case_expect *expect)
{
    static const enum case_payload kinds[] = {
        CASE_PAYLOAD_JSON, CASE_PAYLOAD_CONTAINS, CASE_PAYLOAD_BYTES,   CASE_PAYLOAD_BYTES,
        CASE_PAYLOAD_CBOR, CASE_PAYLOAD_PIPIT,    CASE_PAYLOAD_COMMAND, CASE_PAYLOAD_PROTOBUF};
    size_t i = 0;
    while (strcmp(payload_keys[i], node->key->text) != 0) {
        i++;
    }
    expect->kind = kinds[i];
    if (expect->kind == CASE_PAYLOAD_BYTES) {
        read_bytes(builder, node, expect);
    } else if (expect->kind == CASE_PAYLOAD_PROTOBUF) {
        read_protobuf(builder, node, expect);
    } else {
        expect->json = case_keep_json(builder, value_of_node(node, 0));
    }
}

static void read_tolerance(struct case_builder *builder, const struct node *node,
                           const struct options *options, struct case_expect *expect)
{
    const char *text = option_text(options, "tolerance");
    if (text != NULL && (!value_number(text, &expect->tolerance) || expect->tolerance < 0)) {
        reader_problem(&builder->reader, node_get(node, "tolerance")->at,
                       "tolerance: must be a number such as 0.01, not '%.40s'", text);
    }
}

static void read_details(struct case_builder *builder, const struct node *node,
                         const struct options *options, struct case_expect *expect)
{
    const struct node *properties = node_get(node, "properties");
    uint32_t count = 0;
    expect->topic = case_text(builder, options, "topic");
    expect->key = case_text(builder, options, "key");
    expect->rule = case_text(builder, options, "rule");
    expect->content_type = case_text(builder, options, "content_type");
    expect->qos = options_is_set(options, "qos") ? (int)option_int(options, "qos") : -1;
    expect->is_retained = options_is_set(options, "retain") ? option_bool(options, "retain") : -1;
    if (properties != NULL) {
        expect->properties = case_pairs(builder, properties, "properties", 0, &count);
    }
    read_tolerance(builder, node, options, expect);
}

static void read_time(struct case_builder *builder, const struct node *node,
                      const struct options *options, int64_t start_ms, struct case_expect *expect)
{
    expect->at_ms = INT64_MIN;
    if (options_is_set(options, "after")) {
        expect->at_ms = start_ms + option_int(options, "after");
    }
    case_instant(builder, node, options, "at", &expect->at_ms);
}

// The mapping behind the target's name. Gives how many of them are expected.
static uint32_t read_delivery(struct case_builder *builder, const struct node *node,
                              const struct case_spec *spec, struct case_expect *expect)
{
    struct options *options = case_options_make(builder, case_expect_options);
    char what[100];
    snprintf(what, sizeof(what), "expect: %.64s", node->key->text);
    const struct shape shape = {.what = what, .options = {options}, .others = other_keys};
    expect->at = node->key->at;
    uint32_t count = 1;
    if (options != NULL && reader_mapping(&builder->reader, node, what, true)) {
        reader_options(&builder->reader, node, &shape);
        const struct node *payload = case_one_of(builder, node, what, payload_keys);
        if (payload != NULL) {
            read_payload(builder, payload, expect);
        }
        read_details(builder, node, options, expect);
        read_time(builder, node, options, spec->start_ms, expect);
        count = (uint32_t)option_int(options, "count");
    } else {
        expect->qos = expect->is_retained = -1;
        expect->at_ms = INT64_MIN;
    }
    options_destroy(options);
    return count;
}

static void add_item(struct case_builder *builder, const struct node *item, struct case_spec *spec,
                     struct case_expect *expects)
{
    if (item->kind != NODE_MAPPING || item->count != 1) {
        reader_problem(&builder->reader, item->at,
                       "expect: each item is one target and what it gets, such as "
                       "`- bus: {topic: a/b, json: {celsius: 20}}`");
        return;
    }
    struct case_expect expect = {0};
    if (!case_target(builder, "expect", item->first->key, &expect.target)) {
        return;
    }
    uint32_t count = read_delivery(builder, item->first, spec, &expect);
    for (uint32_t i = 0; i < count && spec->expect_count < CASE_EVENTS_MAX; i++) {
        expects[spec->expect_count++] = expect;
    }
}

static uint64_t count_expects(const struct node *list)
{
    uint64_t total = 0;
    for (const struct node *item = list->first; item != NULL; item = item->next) {
        const struct node *count = item->first == NULL ? NULL : node_get(item->first, "count");
        double number = 1;
        bool is_good = count != NULL && count->kind == NODE_TEXT &&
                       value_number(count->text, &number) && number >= 1 &&
                       number <= CASE_EVENTS_MAX;
        total += is_good ? (uint64_t)number : 1;
    }
    return total < CASE_EVENTS_MAX ? total : CASE_EVENTS_MAX;
}

void case_expects_build(struct case_builder *builder, const struct node *node,
                        struct case_spec *spec)
{
    if (node == NULL) {
        return;
    }
    spec->has_expect = true;
    if (node->kind == NODE_TEXT && strcmp(node->text, "nothing") == 0) {
        return;
    }
    if (node->kind != NODE_LIST || node->count == 0) {
        reader_problem(&builder->reader, node->at,
                       "expect: must be a list of what goes out, or `nothing`");
        return;
    }
    struct case_expect *expects = case_alloc(builder, count_expects(node), sizeof(expects[0]));
    for (const struct node *item = node->first; expects != NULL && item != NULL;
         item = item->next) {
        add_item(builder, item, spec, expects);
    }
    spec->expects = expects;
}

static const struct option_spec rejected_options[] = {
    {"topic", OPTION_TEXT, false, NULL, 0, 0, NULL, "The message's topic."},
    {"reason", OPTION_TEXT, false, NULL, 0, 0, NULL, "A part of the reason."},
    {NULL},
};

void case_rejected_build(struct case_builder *builder, const struct node *node,
                         struct case_spec *spec)
{
    struct reader *reader = &builder->reader;
    if (node != NULL && node->kind != NODE_LIST) {
        reader_problem(reader, node->at, "rejected: must be a list, not %s", node_kind_name(node));
    }
    if (node == NULL || node->kind != NODE_LIST) {
        return;
    }
    struct case_rejected *rejected = case_alloc(builder, node->count, sizeof(rejected[0]));
    for (const struct node *item = node->first; rejected != NULL && item != NULL;
         item = item->next) {
        struct options *options = case_options_make(builder, rejected_options);
        const struct shape shape = {.what = "rejected", .options = {options}};
        if (options != NULL && reader_mapping(reader, item, "rejected", false)) {
            reader_options(reader, item, &shape);
            struct case_rejected *one = &rejected[spec->rejected_count++];
            one->at = item->at;
            one->topic = case_text(builder, options, "topic");
            one->reason = case_text(builder, options, "reason");
        }
        options_destroy(options);
    }
    spec->rejected = rejected;
}

void case_books_build(struct case_builder *builder, const struct node *node, struct case_spec *spec)
{
    static const struct books none;
    struct reader *reader = &builder->reader;
    if (node == NULL || !reader_mapping(reader, node, "books", false)) {
        return;
    }
    const char **names = case_alloc(builder, CASE_BOOK_COUNT + 1, sizeof(names[0]));
    struct case_book *books = case_alloc(builder, node->count, sizeof(books[0]));
    for (size_t i = 0; names != NULL && i < CASE_BOOK_COUNT; i++) {
        names[i] = case_book_name(i);
    }
    for (const struct node *member = node->first; names != NULL && books != NULL && member != NULL;
         member = member->next) {
        double value = 0;
        uint64_t unused;
        struct case_book *book = &books[spec->book_count++];
        *book = (struct case_book){.at = member->key->at, .name = member->key->text};
        if (!case_book_read(&none, book->name, &unused)) {
            reader_problem(reader, member->key->at, "unknown key '%.80s' in books%s", book->name,
                           reader_hint(reader, book->name, names));
        } else if (member->kind != NODE_TEXT || !value_number(member->text, &value) || value < 0 ||
                   value != (double)(uint64_t)value) {
            reader_problem(reader, member->at, "books: %s: must be a whole number", book->name);
        }
        book->value = (uint64_t)value;
    }
    spec->books = books;
}
