#include "core/rule_identity.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/event_parts.h"
#include "core/rule_matches.h"
#include "core/rule_statement.h"
#include "core/topic.h"

enum part { PART_DEVICE, PART_SEQUENCE, PART_BOOT, PART_TIME, PART_COUNT };

static const char *const part_names[] = {"device", "sequence", "boot", "time"};

struct identity {
    const struct identity_spec *spec;
    struct rule_statement *statement;
};

struct rule_identities {
    struct rule_space *space;
    struct rule_matches *matches;
    sqlite3_stmt *time_of_text; // ISO text to milliseconds since 1970.
    uint32_t count;
    struct identity items[];
};

static const char *expression_of(const struct identity_spec *spec, enum part part)
{
    const char *const expressions[] = {spec->device, spec->sequence, spec->boot, spec->time};
    return expressions[part] == NULL ? "NULL" : expressions[part];
}

#define SELECT_BEGIN "SELECT ("

// One expression alone, so that an error can name it and point into it.
static enum err check_expression(struct rule_space *space, const struct identity_spec *spec,
                                 enum part part, struct error *e)
{
    const char *expression = expression_of(spec, part);
    char *sql = sqlite3_mprintf(SELECT_BEGIN "%s\n) FROM \"%w\"", expression, spec->from);
    if (sql == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for an identity");
    }
    struct rule_statement *statement = NULL;
    enum err rc = rule_statement_create(&statement, space, sql, e);
    bool is_one = rc == ERR_OK && sqlite3_column_count(statement->compiled) == 1;
    rule_statement_destroy(statement);
    sqlite3_free(sql);
    if (rc == ERR_OK) {
        return is_one ? ERR_OK
                      : error_set(e, ERR_CONFIG, "%s: is not one expression", part_names[part]);
    }
    int32_t into = e->offset - (int32_t)(sizeof(SELECT_BEGIN) - 1);
    bool is_inside = into >= 0 && (size_t)into <= strlen(expression);
    error_wrap(e, "%s", part_names[part]);
    e->offset = is_inside ? into : -1;
    return rc;
}

static enum err compile_whole(struct identity *identity, struct rule_space *space, struct error *e)
{
    const struct identity_spec *spec = identity->spec;
    char *sql =
        sqlite3_mprintf("SELECT (%s\n),(%s\n),(%s\n),(%s\n) FROM \"%w\"",
                        expression_of(spec, PART_DEVICE), expression_of(spec, PART_SEQUENCE),
                        expression_of(spec, PART_BOOT), expression_of(spec, PART_TIME), spec->from);
    if (sql == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for an identity");
    }
    enum err rc = rule_statement_create(&identity->statement, space, sql, e);
    sqlite3_free(sql);
    return rc;
}

static enum err compile(struct identity *identity, struct rule_space *space, struct error *e)
{
    const struct identity_spec *spec = identity->spec;
    struct bytes name = bytes_from_text(spec->name), level;
    struct bytes rest = name;
    if (name.len > EVENT_NAME_MAX || !topic_is_valid(name) || !topic_next_level(&rest, &level) ||
        rest.ptr != NULL) {
        return error_set(e, ERR_CONFIG,
                         "the name is the devices' group: 1 to %d bytes without / + #",
                         EVENT_NAME_MAX);
    }
    const char *problem = topic_filter_problem(bytes_from_text(spec->from));
    if (problem != NULL) {
        return error_set(e, ERR_CONFIG, "from: topic filter \"%s\" %s", spec->from, problem);
    }
    if (spec->device == NULL) {
        return error_set(e, ERR_CONFIG, "device: an expression is needed");
    }
    enum err rc = ERR_OK;
    for (int part = 0; rc == ERR_OK && part < PART_COUNT; part++) {
        rc = check_expression(space, spec, (enum part)part, e);
    }
    return rc == ERR_OK ? compile_whole(identity, space, e) : rc;
}

static enum err create_all(struct rule_identities *identities, const struct core_spec *spec,
                           struct error *e)
{
    enum err rc = rule_matches_create(&identities->matches, spec->identity_count, e);
    for (uint32_t i = 0; rc == ERR_OK && i < spec->identity_count; i++) {
        identities->count = i + 1;
        identities->items[i].spec = &spec->identities[i];
        rc = compile(&identities->items[i], identities->space, e);
        if (rc == ERR_OK) {
            rc = rule_matches_add(identities->matches, spec->identities[i].from, i, e);
        } else {
            int32_t offset = e->offset;
            error_wrap(e, "identity \"%s\"", spec->identities[i].name);
            e->offset = offset;
        }
    }
    return rc;
}

enum err rule_identities_create(struct rule_identities **out_identities, struct rule_space *space,
                                const struct core_spec *spec, struct error *e)
{
    static const char sql[] =
        "SELECT CAST(round((julianday(?1) - 2440587.5) * 86400000.0) AS INTEGER)";
    struct rule_identities *identities =
        calloc(1, sizeof(*identities) + spec->identity_count * sizeof(identities->items[0]));
    if (identities == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for identities");
    }
    identities->space = space;
    enum err rc = create_all(identities, spec, e);
    if (rc == ERR_OK && sqlite3_prepare_v3(space->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                           &identities->time_of_text, NULL) != SQLITE_OK) {
        rc = error_set(e, ERR_INTERNAL, "prepare times: %s", sqlite3_errmsg(space->db));
    }
    if (rc == ERR_OK) {
        *out_identities = identities;
    } else {
        rule_identities_destroy(identities);
    }
    return rc;
}

void rule_identities_destroy(struct rule_identities *identities)
{
    if (identities == NULL) {
        return;
    }
    for (uint32_t i = 0; i < identities->count; i++) {
        rule_statement_destroy(identities->items[i].statement);
    }
    sqlite3_finalize(identities->time_of_text);
    rule_matches_destroy(identities->matches);
    free(identities);
}

// One identity over its events.
struct identity_pass {
    struct rule_identities *identities;
    const struct identity *identity;
    struct event_batch *batch;
    bool *is_skipped;
    const struct rule_sink *sink;
    bool has_time;
    struct found {
        char device[EVENT_NAME_MAX + 1];
        uint64_t sequence;
        uint32_t boot;
        int64_t time_ms;
    } found;
};

static void read_part(sqlite3_stmt *compiled, enum part part, struct event_value *out_value)
{
    value_of_sqlite(sqlite3_column_value(compiled, (int)part), out_value);
}

// `device: device` means the column that is being found out, which is NULL.
static const char *own_name_hint(const char *expression, const char *name, const char *hint)
{
    return strcasecmp(expression, name) == 0 ? hint : "";
}

static enum err take_device(struct identity_pass *pass, sqlite3_stmt *compiled, struct error *e)
{
    struct event_value value;
    read_part(compiled, PART_DEVICE, &value);
    if (value.kind == VALUE_INTEGER) {
        snprintf(pass->found.device, sizeof(pass->found.device), "%" PRId64, value.integer);
        return ERR_OK;
    }
    if (value.kind != VALUE_TEXT) {
        return error_set(e, ERR_INVALID, "device is %s; it must be a text or a whole number%s",
                         value.kind == VALUE_NULL ? "NULL" : "neither text nor whole number",
                         own_name_hint(pass->identity->spec->device, "device",
                                       "; a payload field of that name is \"fields.device\""));
    }
    if (value.bytes.len > EVENT_NAME_MAX) {
        return error_set(e, ERR_INVALID, "device is longer than %d bytes", EVENT_NAME_MAX);
    }
    const char *problem = topic_problem(value.bytes);
    if (problem == NULL && memchr(value.bytes.ptr, '/', value.bytes.len) != NULL) {
        problem = "holds a slash";
    }
    if (problem != NULL) {
        return error_set(e, ERR_INVALID, "device %s", problem);
    }
    memcpy(pass->found.device, value.bytes.ptr, value.bytes.len);
    pass->found.device[value.bytes.len] = '\0';
    return ERR_OK;
}

// 5 and 5.0 are whole; "5" is not.
static bool whole_number(const struct event_value *value, int64_t *out_number)
{
    if (value->kind == VALUE_INTEGER) {
        *out_number = value->integer;
        return true;
    }
    if (value->kind == VALUE_REAL && fabs(value->real) < 9e15 && value->real == rint(value->real)) {
        *out_number = (int64_t)value->real;
        return true;
    }
    return false;
}

static enum err take_sequence(struct identity_pass *pass, sqlite3_stmt *compiled, struct error *e)
{
    struct event_value value;
    int64_t number;
    pass->found.sequence = 0;
    if (pass->identity->spec->sequence == NULL) {
        return ERR_OK;
    }
    read_part(compiled, PART_SEQUENCE, &value);
    if (!whole_number(&value, &number) || number < 1) {
        return error_set(e, ERR_INVALID, "sequence must be a whole number from 1 on%s%s",
                         value.kind == VALUE_NULL ? "; it is NULL" : "",
                         own_name_hint(pass->identity->spec->sequence, "sequence",
                                       "; a payload field of that name is \"fields.sequence\""));
    }
    pass->found.sequence = (uint64_t)number;
    return ERR_OK;
}

static enum err take_boot(struct identity_pass *pass, sqlite3_stmt *compiled, struct error *e)
{
    struct event_value value;
    int64_t number = 0;
    read_part(compiled, PART_BOOT, &value);
    bool is_absent = pass->identity->spec->boot == NULL;
    if (!is_absent && (!whole_number(&value, &number) || number < 0 || number > UINT32_MAX)) {
        return error_set(e, ERR_INVALID, "boot must be a whole number from 0 to 4294967295");
    }
    pass->found.boot = (uint32_t)number;
    return ERR_OK;
}

static bool parse_time(struct identity_pass *pass, struct bytes text, int64_t *out_ms)
{
    sqlite3_stmt *parser = pass->identities->time_of_text;
    sqlite3_bind_text64(parser, 1, (const char *)text.ptr, text.len, SQLITE_STATIC, SQLITE_UTF8);
    bool is_found =
        sqlite3_step(parser) == SQLITE_ROW && sqlite3_column_type(parser, 0) == SQLITE_INTEGER;
    if (is_found) {
        *out_ms = sqlite3_column_int64(parser, 0);
    }
    sqlite3_reset(parser);
    sqlite3_clear_bindings(parser);
    return is_found;
}

static enum err take_time(struct identity_pass *pass, sqlite3_stmt *compiled, struct error *e)
{
    struct event_value value;
    int64_t ms = 0;
    read_part(compiled, PART_TIME, &value);
    pass->has_time = value.kind != VALUE_NULL;
    bool is_good = true;
    if (value.kind == VALUE_REAL && fabs(value.real) < 9e15) {
        ms = (int64_t)value.real;
    } else if (value.kind == VALUE_TEXT) {
        is_good = parse_time(pass, value.bytes, &ms);
    } else if (pass->has_time) {
        is_good = whole_number(&value, &ms);
    }
    if (!is_good || ms < 0 || ms > EVENT_TIME_MAX_MS) {
        return error_set(e, ERR_INVALID,
                         "time must be milliseconds since 1970, or a text such as "
                         "2026-01-31T12:00:00Z");
    }
    pass->found.time_ms = ms;
    return ERR_OK;
}

static enum err on_row(void *context, uint32_t event_index, sqlite3_stmt *compiled, struct error *e)
{
    (void)event_index;
    struct identity_pass *pass = context;
    enum err rc = take_device(pass, compiled, e);
    if (rc == ERR_OK) {
        rc = take_sequence(pass, compiled, e);
    }
    if (rc == ERR_OK) {
        rc = take_boot(pass, compiled, e);
    }
    return rc == ERR_OK ? take_time(pass, compiled, e) : rc;
}

// Only now: the expressions see the event as it came, all of them.
static enum err on_finish(void *context, uint32_t event_index, uint32_t rows, struct error *e)
{
    (void)e;
    struct identity_pass *pass = context;
    struct event *event = event_batch_at(pass->batch, event_index);
    if (rows > 0) {
        event_set_identity(event, pass->identity->spec->name, pass->found.device, pass->found.boot,
                           pass->found.sequence);
        if (pass->has_time) {
            event_set_time(event, pass->found.time_ms);
        }
    }
    return ERR_OK;
}

static enum err on_failure(void *context, uint32_t event_index, const char *reason, struct error *e)
{
    struct identity_pass *pass = context;
    char sentence[sizeof(e->text)];
    snprintf(sentence, sizeof(sentence), "identity \"%.100s\": %s", pass->identity->spec->name,
             reason);
    pass->is_skipped[event_index] = true;
    return pass->sink->failure(pass->sink->context, event_index, UINT32_MAX, sentence, e);
}

static enum err run_identity(void *context, uint32_t index, const uint32_t *events, uint32_t count,
                             struct error *e)
{
    struct identity_pass *pass = context;
    pass->identity = &pass->identities->items[index];
    const struct rule_reader reader = {pass, on_row, on_finish, on_failure};
    return rule_statement_run(pass->identity->statement, pass->batch, events, count, true, &reader,
                              e);
}

enum err rule_identities_run(struct rule_identities *identities, struct event_batch *batch,
                             bool *is_skipped, const struct rule_sink *sink, struct error *e)
{
    struct identity_pass pass = {
        .identities = identities, .batch = batch, .is_skipped = is_skipped, .sink = sink};
    enum err rc = ERR_OK;
    uint32_t count = identities->count == 0 ? 0 : event_batch_count(batch);
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        const struct event *event = event_batch_at(batch, i);
        if (!is_skipped[i] && event_kind(event) == EVENT_FOREIGN) {
            rc = rule_matches_put_first(identities->matches, event_message(event)->topic, i, e);
        }
    }
    if (rc == ERR_OK) {
        rc = rule_matches_each(identities->matches, run_identity, &pass, e);
    }
    rule_matches_clear(identities->matches);
    return rc;
}
