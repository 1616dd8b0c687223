#define _GNU_SOURCE // memmem, which is linear in both lengths.
#include "core/function_text.h"

#include <string.h>

#include "base/utf8.h"
#include "core/function_series.h"

#define UNCHARGED   65536 // Comparisons of bytes that are on the house.
#define PATTERN_MAX 256   // Bytes; as SQLITE_LIMIT_LIKE_PATTERN_LENGTH.

static bool has_null(int count, sqlite3_value **values)
{
    for (int i = 0; i < count; i++) {
        if (sqlite3_value_type(values[i]) == SQLITE_NULL) {
            return true;
        }
    }
    return false;
}

static struct bytes text_of(sqlite3_value *value)
{
    const void *text = sqlite3_value_text(value);
    return bytes_of(text, text == NULL ? 0 : (size_t)sqlite3_value_bytes(value));
}

static struct bytes blob_of(sqlite3_value *value)
{
    const void *blob = sqlite3_value_blob(value);
    return bytes_of(blob, blob == NULL ? 0 : (size_t)sqlite3_value_bytes(value));
}

// Of the event's budget. False: used up.
static bool charge(sqlite3_context *context, size_t a, size_t b)
{
    uint64_t product = (uint64_t)a * b;
    return product <= UNCHARGED ||
           series_charge(context, product < UINT32_MAX ? (uint32_t)product : UINT32_MAX);
}

static const uint8_t *find(struct bytes in, struct bytes what)
{
    return in.len < what.len ? NULL : memmem(in.ptr, in.len, what.ptr, what.len);
}

static void add(sqlite3_str *out, struct bytes bytes)
{
    sqlite3_str_append(out, (const char *)bytes.ptr, (int)bytes.len);
}

static void replace(sqlite3_context *context, int count, sqlite3_value **values)
{
    if (has_null(count, values)) {
        return;
    }
    struct bytes rest = text_of(values[0]), what = text_of(values[1]), by = text_of(values[2]);
    if (what.len == 0) {
        sqlite3_result_value(context, values[0]);
        return;
    }
    sqlite3_str *out = sqlite3_str_new(sqlite3_context_db_handle(context));
    const uint8_t *found;
    while ((found = find(rest, what)) != NULL && sqlite3_str_errcode(out) == SQLITE_OK) {
        size_t before = (size_t)(found - rest.ptr);
        add(out, bytes_of(rest.ptr, before));
        add(out, by);
        rest = bytes_of(found + what.len, rest.len - before - what.len);
    }
    add(out, rest);
    int code = sqlite3_str_errcode(out), len = sqlite3_str_length(out);
    char *text = sqlite3_str_finish(out);
    if (code != SQLITE_OK) {
        sqlite3_free(text);
        sqlite3_result_error_code(context, code);
    } else if (text == NULL) {
        sqlite3_result_text(context, "", 0, SQLITE_STATIC);
    } else {
        sqlite3_result_text(context, text, len, sqlite3_free);
    }
}

static void instr(sqlite3_context *context, int count, sqlite3_value **values)
{
    if (has_null(count, values)) {
        return;
    }
    bool is_blob = sqlite3_value_type(values[0]) == SQLITE_BLOB &&
                   sqlite3_value_type(values[1]) == SQLITE_BLOB;
    struct bytes in = is_blob ? blob_of(values[0]) : text_of(values[0]);
    struct bytes what = is_blob ? blob_of(values[1]) : text_of(values[1]);
    const uint8_t *found = what.len == 0 ? in.ptr : find(in, what);
    int64_t place = found != NULL || what.len == 0 ? 1 : 0;
    for (const uint8_t *at = in.ptr; place > 0 && at < found; at++) {
        place += is_blob || (at[1] & 0xC0) != 0x80; // Characters, not their further bytes.
    }
    sqlite3_result_int64(context, place);
}

enum trim_ends { TRIM_LEFT = 1, TRIM_RIGHT = 2 };

// Bytes of the character at the front; what is no UTF-8 is one byte.
static size_t character_bytes(struct bytes text)
{
    uint32_t code_point;
    size_t len = utf8_decode(text, &code_point);
    return len == 0 ? 1 : len;
}

// The length of the character of the set that the text begins, or ends, with; 0: none.
static size_t match_end(struct bytes text, struct bytes set, bool is_left)
{
    while (set.len > 0) {
        size_t len = character_bytes(set);
        if (len <= text.len &&
            memcmp(is_left ? text.ptr : text.ptr + text.len - len, set.ptr, len) == 0) {
            return len;
        }
        set = bytes_of(set.ptr + len, set.len - len);
    }
    return 0;
}

static void trim_ends(sqlite3_context *context, int count, sqlite3_value **values, int ends)
{
    if (has_null(count, values)) {
        return;
    }
    struct bytes text = text_of(values[0]);
    struct bytes set = count == 2 ? text_of(values[1]) : bytes_of(" ", 1);
    if (!charge(context, text.len, set.len)) {
        return;
    }
    size_t len;
    while ((ends & TRIM_LEFT) != 0 && text.len > 0 && (len = match_end(text, set, true)) > 0) {
        text = bytes_of(text.ptr + len, text.len - len);
    }
    while ((ends & TRIM_RIGHT) != 0 && text.len > 0 && (len = match_end(text, set, false)) > 0) {
        text.len -= len;
    }
    sqlite3_result_text(context, text.len == 0 ? "" : (const char *)text.ptr, (int)text.len,
                        SQLITE_TRANSIENT);
}

static void trim(sqlite3_context *context, int count, sqlite3_value **values)
{
    trim_ends(context, count, values, TRIM_LEFT | TRIM_RIGHT);
}

static void trim_left(sqlite3_context *context, int count, sqlite3_value **values)
{
    trim_ends(context, count, values, TRIM_LEFT);
}

static void trim_right(sqlite3_context *context, int count, sqlite3_value **values)
{
    trim_ends(context, count, values, TRIM_RIGHT);
}

// A pattern and a text that may be matched; false: there is a result already.
static bool may_match(sqlite3_context *context, int count, sqlite3_value **values)
{
    if (has_null(count, values)) {
        return false;
    }
    struct bytes pattern = text_of(values[0]), text = text_of(values[1]);
    if (pattern.len > PATTERN_MAX) {
        sqlite3_result_error(context, "LIKE or GLOB pattern too complex", -1);
        return false;
    }
    // Each wildcard that stands for any length may begin anew wherever the text goes on.
    size_t wildcards = 1;
    for (size_t i = 0; i < pattern.len; i++) {
        wildcards += pattern.ptr[i] == '%' || pattern.ptr[i] == '*';
    }
    return charge(context, pattern.len * (wildcards > 2 ? wildcards : 1), text.len);
}

static void like(sqlite3_context *context, int count, sqlite3_value **values)
{
    uint32_t escape = 0;
    if (!may_match(context, count, values)) {
        return;
    }
    if (count == 3) {
        struct bytes text = text_of(values[2]);
        if (text.len == 0 || utf8_decode(text, &escape) != text.len) {
            sqlite3_result_error(context, "ESCAPE expression must be a single character", -1);
            return;
        }
    }
    bool is_match = sqlite3_strlike((const char *)sqlite3_value_text(values[0]),
                                    (const char *)sqlite3_value_text(values[1]), escape) == 0;
    sqlite3_result_int(context, is_match);
}

static void glob(sqlite3_context *context, int count, sqlite3_value **values)
{
    if (may_match(context, count, values)) {
        bool is_match = sqlite3_strglob((const char *)sqlite3_value_text(values[0]),
                                        (const char *)sqlite3_value_text(values[1])) == 0;
        sqlite3_result_int(context, is_match);
    }
}

enum err function_text_register(struct rule_space *space, struct error *e)
{
    static const struct {
        const char *name;
        int arguments;
        void (*call)(sqlite3_context *context, int count, sqlite3_value **values);
    } list[] = {
        {"replace", 3, replace},  {"instr", 2, instr},      {"trim", 1, trim},
        {"trim", 2, trim},        {"ltrim", 1, trim_left},  {"ltrim", 2, trim_left},
        {"rtrim", 1, trim_right}, {"rtrim", 2, trim_right}, {"like", 2, like},
        {"like", 3, like},        {"glob", 2, glob},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        int rc = sqlite3_create_function_v2(space->db, list[i].name, list[i].arguments,
                                            SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
                                            space, list[i].call, NULL, NULL, NULL);
        if (rc != SQLITE_OK) {
            return error_set(e, ERR_INTERNAL, "add the SQL function %s: %s", list[i].name,
                             sqlite3_errmsg(space->db));
        }
    }
    return ERR_OK;
}
