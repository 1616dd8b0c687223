// case_answer.c - what the world outside answers in a case: targets to what they get, devices to
// commands.
#include <jansson.h>
#include <stdio.h>

#include "connectors/http_status.h"
#include "core/topic.h"
#include "trial/case_parts.h"

#define ANSWERS_MAX 10000 // Of a case, those of devices as well.

const struct option_spec case_answer_options[] = {
    {"topic", OPTION_TEXT, false, "#", 0, 0, NULL,
     "Only to this topic or, of HTTP, `<METHOD> <path>`; `+` and `#` may stand in it as in a "
     "filter."},
    {"status", OPTION_INT, false, NULL, HTTP_STATUS_MIN, HTTP_STATUS_MAX, NULL,
     "The HTTP status; what it means is the target's to say. Without it what the verdict is."},
    {"verdict", OPTION_ENUM, false, NULL, 0, 0, "done|retry|reject|never",
     "done: the target takes it. retry: it fails and may work later. reject: it never will. never: "
     "no answer comes, until the target's `timeout` or the step's `within` is over. Without it "
     "what "
     "the status is."},
    {"reason", OPTION_TEXT, false, NULL, 0, 0, NULL, "Why, of retry and reject."},
    {"retry_after", OPTION_DURATION, false, "0", 0, 3600000, NULL,
     "The target asks not to be tried again before (of HTTP `Retry-After`)."},
    {"content_type", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Of the body. Without it what the body is made of."},
    {"after", OPTION_DURATION, false, "0", 0, 0, NULL,
     "How long it takes to answer; longer than the target's `timeout` is as `verdict: never`."},
    {"times", OPTION_INT, false, NULL, 1, CASE_EVENTS_MAX, NULL,
     "So often at most; then the next answer that fits. Without it always."},
    {NULL},
};

const struct option_spec case_reply_options[] = {
    {"command", OPTION_TEXT, false, "#", 0, 0, NULL,
     "Only to the command of this name; `+` and `#` may stand in it as in a filter."},
    {"status", OPTION_INT, false, "0", INT16_MIN, INT16_MAX, NULL,
     "0: done. Positive: the device's own code. Negative: one of the SDK, such as -16 (unknown)."},
    {"message", OPTION_TEXT, false, NULL, 0, 0, NULL, "What the device says to it."},
    {"never", OPTION_BOOL, false, "false", 0, 0, NULL, "No reply comes."},
    {"after", OPTION_DURATION, false, "0", 0, 0, NULL, "How long the device takes."},
    {"times", OPTION_INT, false, NULL, 1, CASE_EVENTS_MAX, NULL,
     "So often at most; then the next reply that fits. Without it always."},
    {NULL},
};

static const char *const body_keys[] = {"json", "text", "hex", "cbor", "protobuf", "file", NULL};

enum verdict_choice { CHOICE_DONE, CHOICE_RETRY, CHOICE_REJECT, CHOICE_NEVER };

static bool is_filter(struct case_builder *builder, const struct node *node, const char *what,
                      const char *filter)
{
    const char *problem = topic_filter_problem(bytes_from_text(filter));
    if (problem != NULL) {
        reader_problem(&builder->reader, node->at, "%s: '%.80s' %s", what, filter, problem);
    }
    return problem == NULL;
}

// As the target's connector judges it.
static enum verdict verdict_of(const struct config_target *target, int64_t status)
{
    struct http_status_set done = {{0}}, retry = {{0}};
    http_status_parse(option_text(target->options, "done"), &done, NULL);
    http_status_parse(option_text(target->options, "retry"), &retry, NULL);
    return http_status_has(&done, status)    ? VERDICT_DONE
           : http_status_has(&retry, status) ? VERDICT_RETRY
                                             : VERDICT_REJECT;
}

static void set_verdict(struct case_builder *builder, const struct node *node,
                        const struct options *options, struct case_answer *answer)
{
    const struct config_target *target = &builder->config->targets[answer->target];
    static const struct {
        enum verdict verdict;
        int32_t status;
    } choices[] = {{VERDICT_DONE, 200}, {VERDICT_RETRY, 503}, {VERDICT_REJECT, 400}, {0}};
    bool has_verdict = options_is_set(options, "verdict");
    int choice = has_verdict ? option_choice(options, "verdict") : CHOICE_DONE;
    answer->is_never = choice == CHOICE_NEVER;
    answer->has_status = options_is_set(options, "status");
    answer->verdict = choices[choice].verdict;
    answer->status = choices[choice].status;
    if (answer->has_status) {
        answer->status = (int32_t)option_int(options, "status");
    }
    bool is_http = strcmp(target->type->name, "http") == 0;
    if (answer->has_status && !is_http) {
        reader_problem(&builder->reader, node_get(node, "status")->at,
                       "status: target %s is no HTTP server; say 'verdict'", target->name);
    } else if (answer->has_status && !has_verdict) {
        answer->verdict = verdict_of(target, answer->status);
    }
}

static void set_body(struct case_builder *builder, const struct node *node,
                     const struct options *options, struct case_answer *answer)
{
    struct message message = {0};
    const char *type = case_text(builder, options, "content_type");
    case_payload_make(builder, node, 0, 0, &message);
    answer->payload = message.payload;
    answer->content_type = node_get(node, "json") != NULL   ? "application/json"
                           : node_get(node, "text") != NULL ? "text/plain"
                           : node_get(node, "cbor") != NULL ? "application/cbor"
                                                            : "";
    answer->content_type = type == NULL ? answer->content_type : type;
}

static void read_answer(struct case_builder *builder, const struct node *node,
                        const struct options *options, struct case_answer *answer)
{
    case_one_of(builder, node, "answers", body_keys);
    answer->topic = case_text(builder, options, "topic");
    answer->reason = case_text(builder, options, "reason");
    answer->retry_after_ms = option_int(options, "retry_after");
    set_verdict(builder, node, options, answer);
    set_body(builder, node, options, answer);
    if (node_get(node, "topic") != NULL) {
        is_filter(builder, node_get(node, "topic"), "topic", answer->topic);
    }
}

static void read_reply(struct case_builder *builder, const struct node *node,
                       const struct options *options, struct case_answer *answer)
{
    const struct node *fields = node_get(node, "fields");
    answer->is_reply = true;
    answer->is_never = option_bool(options, "never");
    answer->command = case_text(builder, options, "command");
    answer->status = (int32_t)option_int(options, "status");
    if (node_get(node, "command") != NULL) {
        is_filter(builder, node_get(node, "command"), "command", answer->command);
    }
    if (fields == NULL || reader_mapping(&builder->reader, fields, "fields", true)) {
        case_reply_make(builder, fields, answer->status, option_text(options, "message"),
                        &answer->payload);
    }
}

// The two lists have the same shape: items of one name each, with a mapping behind it.
struct list_shape {
    const char *what, *example;
    const struct option_spec *table;
    const char *const *others;
    void (*read)(struct case_builder *builder, const struct node *node,
                 const struct options *options, struct case_answer *answer);
};

static bool set_name(struct case_builder *builder, const struct list_shape *list,
                     const struct node *key, struct case_answer *answer)
{
    if (list->read == read_answer) {
        return case_target(builder, list->what, key, &answer->target);
    }
    answer->topic = key->text;
    return is_filter(builder, key, list->what, key->text);
}

static void add_item(struct case_builder *builder, const struct list_shape *list,
                     const struct node *item, struct case_answer *answer)
{
    struct options *options = case_options_make(builder, list->table);
    const struct node *node = item->first;
    char what[100];
    snprintf(what, sizeof(what), "%s: %.64s", list->what, node->key->text);
    const struct shape shape = {.what = what, .options = {options}, .others = list->others};
    answer->at = node->key->at;
    if (options != NULL && set_name(builder, list, node->key, answer) &&
        reader_mapping(&builder->reader, node, what, true)) {
        reader_options(&builder->reader, node, &shape);
        answer->after_ms = option_int(options, "after");
        answer->times =
            options_is_set(options, "times") ? (uint32_t)option_int(options, "times") : UINT32_MAX;
        list->read(builder, node, options, answer);
    }
    options_destroy(options);
}

static void add_list(struct case_builder *builder, const struct list_shape *list,
                     const struct node *node, struct case_spec *spec, struct case_answer *answers)
{
    for (const struct node *item = node == NULL ? NULL : node->first; item != NULL;
         item = item->next) {
        if (item->kind != NODE_MAPPING || item->count != 1) {
            reader_problem(&builder->reader, item->at, "%s: each item is %s", list->what,
                           list->example);
        } else {
            add_item(builder, list, item, &answers[spec->answer_count++]);
        }
    }
}

static uint32_t count_items(struct case_builder *builder, const struct node *node, const char *what)
{
    if (node != NULL && node->kind != NODE_LIST) {
        reader_problem(&builder->reader, node->at, "%s: must be a list, not %s", what,
                       node_kind_name(node));
        return 0;
    }
    if (node != NULL && node->count > ANSWERS_MAX) {
        reader_problem(&builder->reader, node->at, "%s: more than %d", what, ANSWERS_MAX);
        return 0;
    }
    return node == NULL ? 0 : (uint32_t)node->count;
}

void case_answers_build(struct case_builder *builder, const struct node *answers,
                        const struct node *replies, struct case_spec *spec)
{
    static const char *const reply_keys[] = {"fields", NULL};
    static const struct list_shape answer_list = {
        "answers",
        "one target and what it answers, such as `- stock: {status: 200, json: {id: 1}}`",
        case_answer_options, body_keys, read_answer};
    static const struct list_shape reply_list = {
        "replies",
        "one device and what it replies, such as `- plant/press-1: {command: boost, status: 0}`",
        case_reply_options, reply_keys, read_reply};
    uint32_t answer_count = count_items(builder, answers, "answers");
    uint32_t reply_count = count_items(builder, replies, "replies");
    struct case_answer *all = case_alloc(builder, answer_count + reply_count, sizeof(all[0]));
    if (all != NULL) {
        add_list(builder, &answer_list, answer_count == 0 ? NULL : answers, spec, all);
        add_list(builder, &reply_list, reply_count == 0 ? NULL : replies, spec, all);
    }
    spec->answers = all;
}
