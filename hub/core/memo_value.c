#include "core/memo_value.h"

#include <string.h>

#include "core/sql.h"

static bool has_bytes(const struct memo_value *value)
{
    return value->type == SQLITE_TEXT || value->type == SQLITE_BLOB;
}

size_t memo_value_bytes(const struct memo_value *value)
{
    return has_bytes(value) ? value->bytes.len : 0;
}

struct memo_value memo_value_copy(const struct memo_value *value, uint8_t **inout_room)
{
    struct memo_value copy = *value;
    copy.bytes = bytes_of(*inout_room, memo_value_bytes(value));
    if (copy.bytes.len > 0) {
        memcpy(*inout_room, value->bytes.ptr, copy.bytes.len);
    }
    *inout_room += copy.bytes.len;
    return copy;
}

// The same bits: 0.0 and -0.0 are two numbers here, and a NaN is itself.
static bool is_same_real(double a, double b)
{
    uint64_t bits_a, bits_b;
    memcpy(&bits_a, &a, sizeof(a));
    memcpy(&bits_b, &b, sizeof(b));
    return bits_a == bits_b;
}

bool memo_value_is_same(const struct memo_value *a, const struct memo_value *b)
{
    if (a->type != b->type) {
        return false;
    }
    switch (a->type) {
    case SQLITE_INTEGER:
        return a->integer == b->integer;
    case SQLITE_FLOAT:
        return is_same_real(a->real, b->real);
    case SQLITE_TEXT:
    case SQLITE_BLOB:
        return bytes_equal(a->bytes, b->bytes);
    default:
        return true;
    }
}

void memo_value_read(sqlite3_stmt *statement, int column, struct memo_value *out_value)
{
    *out_value = (struct memo_value){.type = sqlite3_column_type(statement, column)};
    switch (out_value->type) {
    case SQLITE_INTEGER:
        out_value->integer = sqlite3_column_int64(statement, column);
        break;
    case SQLITE_FLOAT:
        out_value->real = sqlite3_column_double(statement, column);
        break;
    case SQLITE_TEXT:
    case SQLITE_BLOB:
        out_value->bytes = sql_bytes(statement, column);
        break;
    default:
        break;
    }
}

void memo_value_bind(sqlite3_stmt *statement, int index, const struct memo_value *value)
{
    switch (value->type) {
    case SQLITE_INTEGER:
        sqlite3_bind_int64(statement, index, value->integer);
        break;
    case SQLITE_FLOAT:
        sqlite3_bind_double(statement, index, value->real);
        break;
    case SQLITE_TEXT:
        sql_bind_text(statement, index, value->bytes);
        break;
    case SQLITE_BLOB:
        sql_bind_blob(statement, index, value->bytes);
        break;
    default:
        sqlite3_bind_null(statement, index);
        break;
    }
}
