#include <stdio.h>
#include <stdlib.h>

#include "base/time_text.h"
#include "core/event_value.h"
#include "core/sql.h"
#include "core/workflow_parts.h"

#define TRANSITIONS_MAX  20000 // Told of one batch; more are counted.
#define DATA_BYTES_MAX   65536 // Of an entry; of more only the beginning is kept.
#define CUT_BYTES        1000
#define TOPIC_BYTES_MAX  65535 // [MQTT-1.5.4]
#define LINE_BYTES_FIRST 1024  // Most transitions fit into so much.

static const char *const names[WORKFLOW_ENTRY_COUNT] = {
#define NAME(id, name) name,
    WORKFLOW_ENTRIES(NAME)
#undef NAME
};

struct workflow_journal {
    struct store *store;
    sqlite3_stmt *add, *drop, *abandon;
    // Of the batch, in its memory.
    const char **topics, **lines;
    uint32_t count, capacity, untold;
};

#define STATEMENTS(journal)                                                                        \
    {                                                                                              \
        {"INSERT INTO pipit_workflow_entry(instance, number, at, step, execution, what, attempt,"  \
         " error, reason, data, branch) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",    \
         &(journal)->add},                                                                         \
            {"INSERT INTO pipit_workflow_entry SELECT id, next_entry, ?2, '', 0, 'cancelled', 0,"  \
             " 'cancelled', ?3, NULL, NULL FROM pipit_workflow_instance WHERE id = ?1",            \
             &(journal)->abandon},                                                                 \
        {                                                                                          \
            "DELETE FROM pipit_workflow_entry WHERE instance = ?1 AND number > 1"                  \
            " AND number <= ?2",                                                                   \
                &(journal)->drop                                                                   \
        }                                                                                          \
    }

enum err workflow_journal_create(struct workflow_journal **out_journal, struct store *store,
                                 struct error *e)
{
    struct workflow_journal *journal = calloc(1, sizeof(*journal));
    if (journal == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for what happens in workflows");
    }
    journal->store = store;
    const struct sql_text texts[] = STATEMENTS(journal);
    enum err rc = sql_prepare(store, texts, sizeof(texts) / sizeof(texts[0]), e);
    if (rc != ERR_OK) {
        workflow_journal_destroy(journal);
        return rc;
    }
    *out_journal = journal;
    return ERR_OK;
}

void workflow_journal_destroy(struct workflow_journal *journal)
{
    if (journal != NULL) {
        const struct sql_text texts[] = STATEMENTS(journal);
        sql_finalize(texts, sizeof(texts) / sizeof(texts[0]));
        free(journal);
    }
}

// An entry on its way: what both the row and the transition say.
struct line {
    const struct workflow_instance *instance;
    const struct workflow_entry *entry;
    const char *step; // "": it is about the instance.
    int64_t at_ms;
    json_t *data, *branch; // NULL: none.
    char *data_text, *branch_text;
};

// ---- rows ---------------------------------------------------------------------------------------

// The fewest digits that name its numbers.
static size_t dump_flags(const json_t *json)
{
    return JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION((size_t)json_precision(json));
}

// The entry's data as text; data that is too long is replaced by its beginning.
static enum err write_data(json_t **inout_data, char **out_text, struct error *e)
{
    *out_text = NULL;
    if (*inout_data == NULL) {
        return ERR_OK;
    }
    char *text = json_dumps(*inout_data, dump_flags(*inout_data));
    size_t size = text == NULL ? 0 : strlen(text);
    if (size > DATA_BYTES_MAX) {
        size_t beginning = workflow_record_whole(bytes_of(text, size), CUT_BYTES);
        json_t *cut =
            json_pack("{s:I, s:s%}", "bytes", (json_int_t)size, "beginning", text, beginning);
        json_decref(*inout_data);
        free(text);
        *inout_data = cut;
        text = cut == NULL ? NULL : json_dumps(cut, JSON_COMPACT);
    }
    *out_text = text;
    return text != NULL ? ERR_OK
                        : error_set(e, ERR_NO_MEMORY, "out of memory for a workflow's entry");
}

static enum err write_branch(struct line *line, struct error *e)
{
    bool is_whole = workflow_branch_of(line->instance, line->entry->token, &line->branch);
    if (is_whole && line->branch != NULL) {
        line->branch_text = json_dumps(line->branch, dump_flags(line->branch));
        is_whole = line->branch_text != NULL;
    }
    return is_whole ? ERR_OK : error_set(e, ERR_NO_MEMORY, "out of memory for a workflow's entry");
}

static void bind_text_or_null(sqlite3_stmt *statement, int index, const char *text)
{
    if (text == NULL) {
        sqlite3_bind_null(statement, index);
    } else {
        sql_bind_text(statement, index, bytes_from_text(text));
    }
}

static enum err write_row(struct workflow_journal *journal, const struct line *line,
                          uint32_t number, struct error *e)
{
    const struct workflow_token *token = line->entry->token;
    sqlite3_stmt *add = journal->add;
    sqlite3_bind_int64(add, 1, line->instance->id);
    sqlite3_bind_int64(add, 2, number);
    sqlite3_bind_int64(add, 3, line->at_ms);
    sql_bind_text(add, 4, bytes_from_text(line->step));
    sqlite3_bind_int64(add, 5, token == NULL ? 0 : token->execution);
    sql_bind_text(add, 6, bytes_from_text(names[line->entry->kind]));
    sqlite3_bind_int64(add, 7, token == NULL ? 0 : token->attempt);
    bind_text_or_null(add, 8, line->entry->error);
    bind_text_or_null(add, 9, line->entry->reason);
    bind_text_or_null(add, 10, line->data_text);
    bind_text_or_null(add, 11, line->branch_text);
    enum err rc = sql_run(journal->store, add, "note what happens in a workflow", e);
    if (rc == ERR_OK && number > WORKFLOW_ENTRIES_MAX) {
        sqlite3_bind_int64(journal->drop, 1, line->instance->id);
        sqlite3_bind_int64(journal->drop, 2, number - WORKFLOW_ENTRIES_MAX + 1);
        rc = sql_run(journal->store, journal->drop, "drop a workflow's oldest entries", e);
    }
    return rc;
}

// ---- transitions --------------------------------------------------------------------------------

// Percent-encodes what is not unreserved [RFC 3986 2.3]: a key is one level of a topic.
static char *encode(struct event_memory *memory, const char *key)
{
    static const char digits[] = "0123456789ABCDEF";
    char *text = event_memory_take(memory, 3 * strlen(key) + 1), *end = text;
    for (const char *at = key; text != NULL && *at != '\0'; at++) {
        bool is_plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                        (*at >= '0' && *at <= '9') || strchr("-._~", *at) != NULL;
        if (is_plain) {
            *end++ = *at;
        } else {
            *end++ = '%';
            *end++ = digits[(uint8_t)*at >> 4];
            *end++ = digits[(uint8_t)*at & 15];
        }
    }
    if (text != NULL) {
        *end = '\0';
    }
    return text;
}

// NULL: out of memory, or longer than a topic may be.
static char *make_topic(const struct workflows *workflows, const struct line *line)
{
    const char *hub = workflows->spec->hub_id, *name = line->instance->definition->name;
    const char *key = encode(workflows->memory, line->instance->key);
    // An instance is parked: who looks for that need not know at which step it may be.
    const char *step = line->entry->kind == ENTRY_PARKED ? "" : line->step;
    size_t size = key == NULL ? SIZE_MAX
                              : sizeof("pipit/v1/$hub//workflow////") + strlen(hub) + strlen(name) +
                                    strlen(key) + strlen(step) + 16;
    char *topic = size > TOPIC_BYTES_MAX ? NULL : event_memory_take(workflows->memory, size);
    if (topic != NULL) {
        snprintf(topic, size, "pipit/v1/$hub/%s/workflow/%s/%s/%s%s%s", hub, name, key, step,
                 step[0] == '\0' ? "" : "/", names[line->entry->kind]);
    }
    return topic;
}

// NULL is left out.
static bool add_text(json_t *object, const char *name, const char *text)
{
    return text == NULL || json_object_set_new_nocheck(object, name, json_string(text)) == 0;
}

static bool add_number(json_t *object, const char *name, int64_t number)
{
    return json_object_set_new_nocheck(object, name, json_integer(number)) == 0;
}

static bool add_json(json_t *object, const char *name, json_t *json)
{
    return json == NULL || json_object_set_nocheck(object, name, json) == 0;
}

static json_t *make_object(const struct line *line)
{
    const struct workflow_instance *instance = line->instance;
    const struct workflow_token *token = line->entry->token;
    char at[TIME_TEXT_BYTES];
    time_text_write(line->at_ms, at);
    json_t *object = json_object();
    bool is_whole =
        add_text(object, "workflow", instance->definition->name) &&
        add_text(object, "key", instance->key) && add_number(object, "instance", instance->id) &&
        add_text(object, "version", instance->definition->version) &&
        add_text(object, "what", names[line->entry->kind]) &&
        (token == NULL || (add_text(object, "step", line->step) &&
                           add_number(object, "execution", token->execution) &&
                           add_number(object, "attempt", token->attempt))) &&
        add_json(object, "branch", line->branch) && add_text(object, "at", at) &&
        add_text(object, "state", workflow_state_names[instance->state]) &&
        add_text(object, "error", line->entry->error) &&
        add_text(object, "reason", line->entry->reason) && add_json(object, "data", line->data);
    if (!is_whole) {
        json_decref(object);
        return NULL;
    }
    return object;
}

// The text, in the batch's memory; NULL: out of memory.
static const char *write_line(struct event_memory *memory, const json_t *object)
{
    char first[LINE_BYTES_FIRST];
    size_t flags = dump_flags(object), size = json_dumpb(object, first, sizeof(first), flags);
    char *text = size == 0 ? NULL : event_memory_take(memory, size + 1);
    if (text == NULL) {
        return NULL;
    }
    if (size <= sizeof(first)) {
        memcpy(text, first, size);
    } else {
        size = json_dumpb(object, text, size, flags);
    }
    text[size] = '\0';
    return text;
}

static bool grow(struct workflow_journal *journal, struct event_memory *memory)
{
    if (journal->count < journal->capacity) {
        return true;
    }
    uint32_t capacity = journal->capacity == 0 ? 64 : 2 * journal->capacity;
    const char **topics = event_memory_take(memory, capacity * sizeof(topics[0]));
    const char **lines = event_memory_take(memory, capacity * sizeof(lines[0]));
    if (topics == NULL || lines == NULL) {
        return false;
    }
    if (journal->count > 0) {
        memcpy(topics, journal->topics, journal->count * sizeof(topics[0]));
        memcpy(lines, journal->lines, journal->count * sizeof(lines[0]));
    }
    journal->topics = topics;
    journal->lines = lines;
    journal->capacity = capacity;
    return true;
}

// What cannot be told is counted: the entry is in the store all the same.
static void tell(struct workflows *workflows, const struct line *line)
{
    struct workflow_journal *journal = workflows->journal;
    struct event_memory *memory = workflows->memory;
    if (journal->count == TRANSITIONS_MAX || !grow(journal, memory)) {
        journal->untold++;
        return;
    }
    json_t *object = make_object(line);
    const char *topic = object == NULL ? NULL : make_topic(workflows, line);
    const char *text = topic == NULL ? NULL : write_line(memory, object);
    json_decref(object);
    if (text == NULL) {
        journal->untold++;
        return;
    }
    journal->topics[journal->count] = topic;
    journal->lines[journal->count++] = text;
}

// ---- the interface ------------------------------------------------------------------------------

enum err workflow_journal_add(struct workflows *workflows, struct workflow_instance *instance,
                              const struct workflow_entry *entry, struct error *e)
{
    const struct workflow_token *token = entry->token;
    struct line line = {
        .instance = instance,
        .entry = entry,
        .step = token == NULL ? "" : instance->definition->steps[token->step].name,
        .at_ms = workflows->now_ms,
        .data = entry->take_data,
    };
    enum err rc = write_data(&line.data, &line.data_text, e);
    rc = rc == ERR_OK ? write_branch(&line, e) : rc;
    workflow_instance_touch(instance, workflows->now_ms);
    if (rc == ERR_OK) {
        rc = write_row(workflows->journal, &line, instance->next_entry++, e);
    }
    if (rc == ERR_OK) {
        rc = workflow_tally_state(workflows, instance, e);
    }
    if (rc == ERR_OK && workflows->spec->is_telling_workflows) {
        tell(workflows, &line);
    }
    free(line.data_text);
    free(line.branch_text);
    json_decref(line.data);
    json_decref(line.branch);
    return rc;
}

enum err workflow_journal_abandon(struct workflows *workflows, int64_t instance_id,
                                  const char *reason, struct error *e)
{
    struct workflow_journal *journal = workflows->journal;
    sqlite3_bind_int64(journal->abandon, 1, instance_id);
    sqlite3_bind_int64(journal->abandon, 2, workflows->now_ms);
    sql_bind_text(
        journal->abandon, 3,
        bytes_from_text(reason == NULL ? "given up, for its definition cannot be used" : reason));
    return sql_run(journal->store, journal->abandon, "note that an instance is given up", e);
}

void workflow_journal_tell(struct workflow_journal *journal, struct outcome *out_outcome)
{
    out_outcome->transitions = journal->lines;
    out_outcome->transition_topics = journal->topics;
    out_outcome->transition_count = journal->count;
    out_outcome->transitions_untold = journal->untold;
}

void workflow_journal_clear(struct workflow_journal *journal)
{
    journal->topics = journal->lines = NULL;
    journal->count = journal->capacity = journal->untold = 0;
}
