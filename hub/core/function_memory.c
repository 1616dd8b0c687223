// function_memory.c - functions that remember from event to event: changed, previous, smooth. Their
// first argument is the number of the call, see function_sites.h.
#include <math.h>

#include "core/function_series.h"
#include "core/memo.h"
#include "core/rule_statement.h"

#define OF_EVENT (SQLITE_UTF8 | SQLITE_DIRECTONLY)

static void refuse(sqlite3_context *context, char *text)
{
    sqlite3_result_error(context, text == NULL ? "out of memory" : text, -1);
    sqlite3_free(text);
}

static struct memo_value value_of(sqlite3_value *source)
{
    struct memo_value value = {.type = sqlite3_value_type(source)};
    switch (value.type) {
    case SQLITE_INTEGER:
        value.integer = sqlite3_value_int64(source);
        break;
    case SQLITE_FLOAT:
        value.real = sqlite3_value_double(source);
        break;
    case SQLITE_TEXT: // The text first: it may have to be converted.
        value.bytes.ptr = sqlite3_value_text(source);
        value.bytes.len = (size_t)sqlite3_value_bytes(source);
        break;
    case SQLITE_BLOB:
        value.bytes.ptr = sqlite3_value_blob(source);
        value.bytes.len = (size_t)sqlite3_value_bytes(source);
        break;
    default:
        break;
    }
    return value;
}

static void value_result_of(sqlite3_context *context, const struct memo_value *value)
{
    switch (value->type) {
    case SQLITE_INTEGER:
        sqlite3_result_int64(context, value->integer);
        break;
    case SQLITE_FLOAT:
        sqlite3_result_double(context, value->real);
        break;
    case SQLITE_TEXT:
        sqlite3_result_text64(context, (const char *)value->bytes.ptr, value->bytes.len,
                              SQLITE_TRANSIENT, SQLITE_UTF8);
        break;
    case SQLITE_BLOB:
        sqlite3_result_blob64(context, value->bytes.ptr, value->bytes.len, SQLITE_TRANSIENT);
        break;
    default:
        sqlite3_result_null(context);
        break;
    }
}

// Without a key of its own an event is its device's; without a device, its topic's.
static struct bytes key_of(const struct event *event)
{
    const struct event_identity *identity = event_identity(event);
    return identity->key[0] != '\0' ? bytes_from_text(identity->key) : event_message(event)->topic;
}

static bool make_ask(sqlite3_context *context, sqlite3_value **values, sqlite3_value *key,
                     struct memo_ask *out_ask)
{
    const struct rule_space *space = sqlite3_user_data(context);
    const struct event *event = rule_space_event(space);
    const struct rule_statement *statement = space->running;
    if (event == NULL || statement == NULL || statement->memo == NULL) {
        refuse(context, sqlite3_mprintf("functions that remember are for rules only"));
        return false;
    }
    const struct rule_scan *scan = &space->scan;
    uint32_t at = scan->position < scan->end ? scan->position : scan->end - 1;
    *out_ask = (struct memo_ask){
        .rule = statement->memo_rule,
        .site = sqlite3_value_int64(values[0]),
        .key = key_of(event),
        .event = rule_space_serial(space, scan->events[at]),
        .asked = value_of(values[1]),
    };
    if (key != NULL && sqlite3_value_type(key) != SQLITE_NULL) {
        out_ask->key.ptr = sqlite3_value_text(key);
        out_ask->key.len = (size_t)sqlite3_value_bytes(key);
    }
    if (out_ask->key.len > MEMO_KEY_BYTES_MAX) {
        refuse(context, sqlite3_mprintf("the key is longer than %d bytes", MEMO_KEY_BYTES_MAX));
        return false;
    }
    return true;
}

typedef bool decide_fn(sqlite3_context *context, const struct memo_ask *ask,
                       const struct memo_value *before, struct memo_value *out_value,
                       struct memo_value *out_answer);

static void answer(sqlite3_context *context, const struct memo_ask *ask, decide_fn *decide)
{
    struct memo *memo = ((const struct rule_space *)sqlite3_user_data(context))->running->memo;
    struct memo_entry *entry = NULL;
    struct memo_value before, known, value;
    int rc = memo_find(memo, ask, &entry, &before, &known);
    if (rc == SQLITE_OK && known.type != 0) {
        value_result_of(context, &known);
        return;
    }
    if (rc == SQLITE_OK) {
        if (!decide(context, ask, &before, &value, &known)) {
            return;
        }
        value_result_of(context, &known); // Before what it borrows from is replaced.
        rc = memo_keep(memo, entry, ask, &value, &known);
    }
    if (rc == SQLITE_TOOBIG) {
        refuse(context, sqlite3_mprintf("a value of more than %d bytes is not remembered",
                                        MEMO_TEXT_BYTES_MAX));
    } else if (rc != SQLITE_OK) {
        sqlite3_result_error_code(context, rc);
    }
}

static bool is_number(const struct memo_value *value)
{
    return value->type == SQLITE_INTEGER || value->type == SQLITE_FLOAT;
}

static double real_of(const struct memo_value *value)
{
    return value->type == SQLITE_INTEGER ? (double)value->integer : value->real;
}

static bool is_further(const struct memo_value *a, const struct memo_value *b, double band)
{
    if (a->type == SQLITE_INTEGER && b->type == SQLITE_INTEGER && band <= 0) {
        return a->integer != b->integer; // Whole numbers beyond what a double holds, too.
    }
    return fabs(real_of(a) - real_of(b)) > band;
}

static bool decide_changed(sqlite3_context *context, const struct memo_ask *ask,
                           const struct memo_value *before, struct memo_value *out_value,
                           struct memo_value *out_answer)
{
    const struct memo_value *x = &ask->asked;
    (void)context;
    bool is_changed = true; // Also when there is nothing before.
    if (is_number(x) && is_number(before)) {
        is_changed = is_further(x, before, real_of(&ask->band));
    } else if (x->type == before->type) {
        is_changed = x->type != SQLITE_NULL && !bytes_equal(x->bytes, before->bytes);
    }
    *out_value = is_changed ? *x : *before;
    *out_answer = (struct memo_value){.type = SQLITE_INTEGER, .integer = is_changed};
    return true;
}

// changed(site, x[, dead_band[, key]])
static void changed_function(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct memo_ask ask;
    if (!make_ask(context, values, count > 3 ? values[3] : NULL, &ask)) {
        return;
    }
    if (count > 2) {
        ask.band = value_of(values[2]);
        if (ask.band.type != SQLITE_NULL && !(is_number(&ask.band) && real_of(&ask.band) >= 0)) {
            refuse(context,
                   sqlite3_mprintf("changed(): the dead band must be a number, 0 or more"));
            return;
        }
    }
    answer(context, &ask, decide_changed);
}

static bool decide_previous(sqlite3_context *context, const struct memo_ask *ask,
                            const struct memo_value *before, struct memo_value *out_value,
                            struct memo_value *out_answer)
{
    (void)context;
    *out_value = ask->asked;
    *out_answer = *before;
    if (before->type == 0) {
        out_answer->type = SQLITE_NULL;
    }
    return true;
}

// previous(site, x[, key])
static void previous_function(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct memo_ask ask;
    if (make_ask(context, values, count > 2 ? values[2] : NULL, &ask)) {
        answer(context, &ask, decide_previous);
    }
}

static bool decide_smooth(sqlite3_context *context, const struct memo_ask *ask,
                          const struct memo_value *before, struct memo_value *out_value,
                          struct memo_value *out_answer)
{
    *out_value = (struct memo_value){.type = SQLITE_FLOAT};
    if (is_number(&ask->asked) && is_number(before)) {
        double mean = real_of(before);
        out_value->real = mean + real_of(&ask->band) * (real_of(&ask->asked) - mean);
    } else if (is_number(&ask->asked)) {
        out_value->real = real_of(&ask->asked);
    } else if (ask->asked.type == SQLITE_NULL) {
        *out_value = *before;
        out_value->type = before->type == 0 ? SQLITE_NULL : before->type;
    } else {
        refuse(context, sqlite3_mprintf("smooth(): the value is not a number"));
        return false;
    }
    *out_answer = *out_value;
    return true;
}

// smooth(site, x, alpha[, key])
static void smooth_function(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct memo_ask ask;
    if (!make_ask(context, values, count > 3 ? values[3] : NULL, &ask)) {
        return;
    }
    ask.band = value_of(values[2]);
    if (!is_number(&ask.band) || !(real_of(&ask.band) > 0 && real_of(&ask.band) <= 1)) {
        refuse(context, sqlite3_mprintf("smooth(): alpha must be above 0 and at most 1"));
        return;
    }
    answer(context, &ask, decide_smooth);
}

enum err function_memory_register(struct rule_space *space, struct error *e)
{
    static const struct {
        const char *name;
        int least, most; // Arguments, the number of the call among them.
        void (*call)(sqlite3_context *context, int count, sqlite3_value **values);
    } functions[] = {
        {"changed", 2, 4, changed_function},
        {"previous", 2, 3, previous_function},
        {"smooth", 3, 4, smooth_function},
    };
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        for (int count = functions[i].least; count <= functions[i].most; count++) {
            int rc = sqlite3_create_function_v2(space->db, functions[i].name, count, OF_EVENT,
                                                space, functions[i].call, NULL, NULL, NULL);
            if (rc != SQLITE_OK) {
                return error_set(e, ERR_INTERNAL, "add the SQL function %s: %s", functions[i].name,
                                 sqlite3_errmsg(space->db));
            }
        }
    }
    return ERR_OK;
}
