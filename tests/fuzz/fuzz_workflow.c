// Definitions of workflows as a store may hold them: damaged, or of another hub. The bytes are the
// text itself, or, unless they begin with a brace, edits of the JSON of a whole one. It is read, or
// refused with a place that is in the text; what is read leads nowhere that is not there, and its
// expressions give values or say why not.
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/workflow_definition.h"
#include "fuzz.h"

const uint32_t fuzz_count = 4000;

#define NODES_MAX 400
#define EDITS_MAX 5
#define STEPS_MAX 20000
#define MEMORY    (1 << 20)

static const char *const texts[] = {
    "{\"format\":1,\"name\":\"order\",\"start\":{\"from\":\"shop/+\",\"where\":\"status <> 'x'\","
    "\"key\":\"id\",\"running\":\"queue\"},\"variables\":{\"user\":\"user_id\",\"paid\":null},"
    "\"within\":90000,\"failure\":\"park\",\"keep\":1000,\"steps\":["
    "{\"name\":\"reserve\",\"do\":\"call\",\"to\":\"stock\",\"topic\":\"POST /r/{my.key}\","
    "\"is_url\":true,\"fields\":{\"user\":\"user\"},\"properties\":{\"X\":\"{user}\"},\"within\":1,"
    "\"retry\":{\"attempts\":5,\"backoff\":2,\"errors\":[\"timeout\"]},\"take\":{\"r\":\"body.id\"}"
    ","
    "\"undo\":[{\"name\":\"release\",\"do\":\"call\",\"to\":\"stock\",\"topic\":\"DELETE /{r}\"}]},"
    "{\"name\":\"pay\",\"do\":\"await\",\"from\":\"shop/pay\",\"key\":\"order_id\",\"match\":"
    "\"my.key\",\"where\":\"event.amount > 0\",\"keep\":3,\"take\":{\"paid\":\"event.amount\"},"
    "\"on_error\":[{\"name\":\"no\",\"do\":\"fail\",\"reason\":\"not paid: {my.reason}\"}]},"
    "{\"name\":\"done\",\"do\":\"end\",\"result\":{\"total\":\"paid\"}}]}",
    "{\"format\":1,\"name\":\"fleet\",\"steps\":["
    "{\"name\":\"waves\",\"do\":\"for_each\",\"in\":\"json_array(1, 2)\",\"as\":\"device\","
    "\"at_once\":2,\"wave\":true,\"stop\":\"failed > total\",\"steps\":["
    "{\"name\":\"up\",\"do\":\"command\",\"to\":\"bus\",\"device\":\"'p/' || device\","
    "\"command\":\"up\",\"offline\":\"wait\",\"expires\":5,\"fields\":{\"v\":\"3\"}}]},"
    "{\"name\":\"both\",\"do\":\"parallel\",\"wait\":\"any\",\"branches\":{"
    "\"a\":[{\"name\":\"s\",\"do\":\"sleep\",\"for\":1}],"
    "\"b\":[{\"name\":\"u\",\"do\":\"until\",\"at\":\"started + 5\"}]}},"
    "{\"name\":\"sub\",\"do\":\"run\",\"workflow\":\"ship\",\"key\":\"my.key\",\"with\":"
    "{\"w\":\"2\"},\"wait\":true}]}",
    "{\"format\":1,\"name\":\"loop\",\"start\":{\"from\":\"$rule/r\",\"key\":\"1\"},\"steps\":["
    "{\"name\":\"n\",\"do\":\"set\",\"set\":{\"tries\":\"ifnull(tries, 0) + 1\"}},"
    "{\"name\":\"c\",\"do\":\"if\",\"when\":\"tries > 3\",\"then\":["
    "{\"name\":\"m\",\"do\":\"emit\",\"to\":\"rules\",\"topic\":\"t/{tries}\",\"payload\":\"text\","
    "\"text\":\"x\",\"qos\":1}],\"else\":[]},"
    "{\"name\":\"w\",\"do\":\"switch\",\"on\":\"tries\",\"cases\":{\"1\":["
    "{\"name\":\"z\",\"do\":\"sleep\",\"for\":9},{\"name\":\"g\",\"do\":\"goto\",\"step\":\"n\"}]},"
    "\"default\":[{\"name\":\"e\",\"do\":\"end\"}]}]}",
};
#define TEXT_COUNT (sizeof(texts) / sizeof(texts[0]))

static sqlite3 *db;
static struct rule_space *space;
static struct event_batch *batch; // One event, which is an answer's body, too.

size_t fuzz_seed(uint32_t index, uint8_t *out, size_t size)
{
    if (index < TEXT_COUNT) {
        size_t len = strlen(texts[index]);
        memcpy(out, texts[index], len < size ? len : size);
        return len < size ? len : size;
    }
    if (index >= 200) {
        return 0;
    }
    uint32_t state = index * 2654435761u; // Edits by chance, which the mutations change.
    for (size_t i = 0; i < 40; i++) {
        state = state * 1664525 + 1013904223;
        out[i] = (uint8_t)(state >> 24);
    }
    out[0] = out[0] == '{' ? 0 : out[0];
    return 40;
}

// ---- edits --------------------------------------------------------------------------------------

struct script {
    const uint8_t *at, *end;
};

static uint32_t choose(struct script *script, uint32_t count)
{
    uint32_t high = script->at < script->end ? *script->at++ : 0;
    uint32_t low = script->at < script->end ? *script->at++ : 0;
    return (high << 8 | low) % count;
}

struct nodes {
    json_t *list[NODES_MAX]; // Objects and arrays.
    uint32_t count;
};

static void collect(json_t *json, struct nodes *nodes)
{
    const char *name;
    json_t *item;
    size_t index;
    if ((!json_is_object(json) && !json_is_array(json)) || nodes->count == NODES_MAX) {
        return;
    }
    nodes->list[nodes->count++] = json;
    json_object_foreach(json, name, item)
    {
        collect(item, nodes);
    }
    json_array_foreach(json, index, item)
    {
        collect(item, nodes);
    }
}

static json_t *odd_value(struct script *script)
{
    static const char *const values[] = {"null",
                                         "true",
                                         "0",
                                         "-1",
                                         "1e99",
                                         "9223372036854775807",
                                         "\"\"",
                                         "[]",
                                         "{}",
                                         "\"{\"",
                                         "\"a/#\"",
                                         "\"1) FROM x --\"",
                                         "\"my.key\"",
                                         "\"{my.key}\"",
                                         "\"reserve\"",
                                         "\"gone\"",
                                         "[[]]",
                                         "{\"a\":{}}",
                                         "\"any\"",
                                         "\"event.x\"",
                                         "[{}]",
                                         "\"'\"",
                                         "\"body.a\"",
                                         "\"\\u0001\"",
                                         "\"(SELECT 1\"",
                                         "{\"\":\"1\"}",
                                         "\"now_ms()\"",
                                         "2",
                                         "\"json_array()\"",
                                         "\"rules\""};
    const char *value = values[choose(script, sizeof(values) / sizeof(values[0]))];
    return json_loads(value, JSON_DECODE_ANY, NULL);
}

static const char *key_at(json_t *object, uint32_t index)
{
    void *at = json_object_iter(object);
    while (at != NULL && index-- > 0) {
        at = json_object_iter_next(object, at);
    }
    return at == NULL ? NULL : json_object_iter_key(at);
}

static json_t *new_value(struct script *script, const struct nodes *nodes)
{
    return choose(script, 3) == 0 ? json_deep_copy(nodes->list[choose(script, nodes->count)])
                                  : odd_value(script);
}

static void edit_object(struct script *script, const struct nodes *nodes, json_t *object)
{
    static const char *const names[] = {"name",  "do",   "steps", "on_error", "undo", "retry",
                                        "take",  "then", "else",  "wait",     "key",  "from",
                                        "where", "x",    "set",   "within",   "to",   "start"};
    const char *key = key_at(object, choose(script, (uint32_t)json_object_size(object) + 1));
    uint32_t what = choose(script, 4);
    if (what == 0 && key != NULL) {
        json_object_del(object, key);
    } else if (what == 1 || key == NULL) {
        const char *name = names[choose(script, sizeof(names) / sizeof(names[0]))];
        json_object_set_new(object, name, new_value(script, nodes));
    } else {
        char *copy = strdup(key);
        json_object_set_new(object, copy, new_value(script, nodes));
        free(copy);
    }
}

static void edit_array(struct script *script, const struct nodes *nodes, json_t *array)
{
    size_t at = choose(script, (uint32_t)json_array_size(array) + 1);
    uint32_t what = choose(script, 3);
    if (what == 0) {
        json_array_remove(array, at);
    } else if (what == 1) {
        json_array_insert_new(array, at, new_value(script, nodes));
    } else {
        json_t *item = json_deep_copy(json_array_get(array, at));
        json_array_append_new(array, item == NULL ? new_value(script, nodes) : item);
    }
}

static char *edited_text(const uint8_t *ptr, size_t len)
{
    struct script script = {ptr, ptr + len};
    json_t *json = json_loads(texts[choose(&script, TEXT_COUNT)], 0, NULL);
    for (uint32_t edits = choose(&script, EDITS_MAX); edits > 0; edits--) {
        struct nodes nodes = {.count = 0};
        collect(json, &nodes);
        json_t *node = nodes.list[choose(&script, nodes.count)];
        if (json_is_object(node)) {
            edit_object(&script, &nodes, node);
        } else {
            edit_array(&script, &nodes, node);
        }
    }
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    return text;
}

// ---- what must hold -----------------------------------------------------------------------------

static struct {
    uint32_t tried, read, values, failures;
} counts;

static void finish(void)
{
    printf("%u definitions, %u are read, their expressions gave %u values and %u failures\n",
           counts.tried, counts.read, counts.values, counts.failures);
    event_batch_destroy(batch);
    sqlite3_close(db);
}

static void start(void)
{
    static const char payload[] = "{\"id\":\"a/b\",\"amount\":5,\"list\":[1,{\"x\":null}]}";
    struct error e = {0};
    int sqlite_rc = sqlite3_open(":memory:", &db);
    assert(sqlite_rc == SQLITE_OK);
    enum err rc = rule_space_get(db, &space, &e);
    assert(rc == ERR_OK);
    rc = event_batch_create(&batch, 1, &e);
    assert(rc == ERR_OK);
    static const struct message message = {
        .topic = {(const uint8_t *)"shop/pay", 8},
        .payload = {(const uint8_t *)payload, sizeof(payload) - 1},
        .received_ms = 1700000000000};
    struct event *event;
    rc = event_batch_add(batch, &message, &event, &e);
    assert(rc == ERR_OK);
    rc = event_validate(event, &e);
    assert(rc == ERR_OK);
    atexit(finish);
}

static void unescape(char *name)
{
    char *to = name;
    for (const char *from = name; *from != '\0'; from++) {
        bool is_escaped = *from == '~' && (from[1] == '0' || from[1] == '1');
        *to++ = is_escaped ? (from[1] == '0' ? '~' : '/') : *from;
        from += is_escaped;
    }
    *to = '\0';
}

// All but its last name is there: that may be missing.
static void check_path(const char *text, const char *path)
{
    char copy[WORKFLOW_PATH_MAX], *rest = copy;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *at = root;
    snprintf(copy, sizeof(copy), "%s", path);
    assert(copy[0] == '\0' || copy[0] == '/');
    assert(root != NULL || copy[0] == '\0');
    strsep(&rest, "/");
    for (char *name; (name = strsep(&rest, "/")) != NULL;) {
        assert(json_is_object(at) || json_is_array(at));
        unescape(name);
        at = json_is_object(at) ? json_object_get(at, name)
                                : json_array_get(at, strtoul(name, NULL, 10));
    }
    json_decref(root);
}

static void run(struct workflow_query *query)
{
    if (query == NULL) {
        return;
    }
    struct event_memory memory;
    struct event_value values[300];
    struct error e = {0};
    bool has_row;
    uint32_t count = workflow_query_count(query);
    assert(count <= sizeof(values) / sizeof(values[0]));
    event_memory_init(&memory);
    const struct query_input input = {.key = "k",
                                      .workflow = "w",
                                      .batch = batch,
                                      .memory = &memory,
                                      .steps_max = STEPS_MAX,
                                      .memory_max = MEMORY};
    enum err rc = workflow_query_run(query, &input, values, &has_row, &e);
    assert(rc == ERR_OK || (rc == ERR_INVALID && e.text[0] != '\0'));
    for (uint32_t i = 0; rc == ERR_OK && has_row && i < count; i++) {
        json_t *json = NULL;
        rc = query_value_to_json(&values[i], &json, &e);
        assert(rc == ERR_OK || rc == ERR_INVALID);
        json_decref(json);
        query_value_is_true(&values[i]);
    }
    counts.values += rc == ERR_OK;
    counts.failures += rc != ERR_OK;
    event_memory_deinit(&memory);
}

static void check_place(const struct workflow_definition *definition, workflow_place place)
{
    assert(place < definition->step_count || place >= PLACE_FAIL);
}

static void check_step(const struct workflow_definition *definition,
                       const struct workflow_step *step)
{
    struct workflow_query *const queries[] = {
        step->take,           step->query,     step->message.address, step->message.properties,
        step->message.fields, step->event_key, step->where,           step->stop};
    assert(step->name[0] != '\0' && step->path[0] == '/' && step->kind < STEP_KIND_COUNT);
    check_place(definition, step->next);
    check_place(definition, step->catch);
    check_place(definition, step->undo);
    check_place(definition, step->parent);
    check_place(definition, step->of);
    assert(step->of < definition->step_count || step->of == PLACE_NONE);
    assert(step->retry.attempts_max > 0);
    assert(step->kind != STEP_AWAIT || step->filter != NULL);
    assert(step->kind != STEP_FOR_EACH || (step->branch_count == 1 && step->at_once > 0 &&
                                           step->item_variable < definition->variable_count));
    for (uint32_t i = 0; i < step->branch_count; i++) {
        check_place(definition, step->branches[i].first);
    }
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        run(queries[i]);
    }
}

static void try_text(const char *text)
{
    struct workflow_definition *definition = NULL;
    struct workflow_fault fault = {.path = "unset"};
    struct error e = {0};
    enum err rc = workflow_definition_create(&definition, space, text, &fault, &e);
    counts.tried++;
    if (rc != ERR_OK) {
        assert(rc == ERR_CONFIG && e.text[0] != '\0' && definition == NULL);
        check_path(text, fault.path);
    } else {
        counts.read++;
        assert(definition->step_count > 0 && strlen(definition->version) == 16);
        run(definition->start);
        for (uint32_t i = 0; i < definition->step_count; i++) {
            check_step(definition, &definition->steps[i]);
        }
        workflow_definition_destroy(definition);
    }
    assert(sqlite3_next_stmt(db, NULL) == NULL); // Nothing is left of it.
}

void fuzz_one(const uint8_t *ptr, size_t len)
{
    if (db == NULL) {
        start();
    }
    bool is_text = len > 0 && ptr[0] == '{';
    char *text = is_text ? strndup((const char *)ptr, len) : edited_text(ptr, len);
    if (text != NULL) {
        try_text(text);
    }
    free(text);
}
