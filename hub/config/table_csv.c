#define _GNU_SOURCE // qsort_r.

#include "config/table_csv.h"

#include <csv.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "core/event_value.h"

#define COLUMNS_MAX 200

struct table_csv {
    struct table_csv_options options;
    struct table_data data;
    const char *columns[COLUMNS_MAX];
    uint32_t column_count;
    uint8_t *texts; // Of all fields, one after the other; no longer than the file.
    size_t texts_len;
    struct event_value *values;
    size_t value_count, value_capacity;
    uint32_t *lines; // Where each row begins.
    uint32_t row_count, row_capacity;
    uint32_t line, row_line; // Now, and where the row at hand begins.
    uint32_t fields;         // Of the row at hand.
    bool is_failed;
    struct error fault;
};

static void fail(struct table_csv *csv, enum err rc, uint32_t line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void fail(struct table_csv *csv, enum err rc, uint32_t line, const char *format, ...)
{
    char text[400];
    va_list args;
    if (csv->is_failed) {
        return;
    }
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    csv->is_failed = true;
    error_set(&csv->fault, rc, "%" PRIu32 ": %s", line, text);
}

static const uint8_t *keep(struct table_csv *csv, const void *field, size_t len)
{
    uint8_t *copy = csv->texts + csv->texts_len;
    if (len > 0) {
        memcpy(copy, field, len);
    }
    copy[len] = '\0';
    csv->texts_len += len + 1;
    return copy;
}

static void add_column(struct table_csv *csv, const void *field, size_t len)
{
    const char *name = (const char *)keep(csv, field, len);
    if (csv->column_count == COLUMNS_MAX) {
        fail(csv, ERR_CONFIG, csv->line, "more than %d columns", COLUMNS_MAX);
        return;
    }
    if (len == 0) {
        fail(csv, ERR_CONFIG, csv->line, "column %" PRIu32 " has no name", csv->column_count + 1);
    }
    for (uint32_t i = 0; i < csv->column_count; i++) {
        if (strcasecmp(csv->columns[i], name) == 0) {
            fail(csv, ERR_CONFIG, csv->line, "two columns are called '%.80s'", name);
        }
    }
    csv->columns[csv->column_count++] = name;
}

static void add_value(struct table_csv *csv, const void *field, size_t len)
{
    if (csv->value_count == csv->value_capacity) {
        size_t capacity = csv->value_capacity == 0 ? 256 : csv->value_capacity * 2;
        struct event_value *values = reallocarray(csv->values, capacity, sizeof(values[0]));
        if (values == NULL) {
            fail(csv, ERR_NO_MEMORY, csv->line, "out of memory");
            return;
        }
        csv->values = values;
        csv->value_capacity = capacity;
    }
    struct event_value value = {.kind = VALUE_NULL};
    if (field != NULL) {
        value.kind = VALUE_TEXT;
        value.bytes = bytes_of(keep(csv, field, len), len);
    }
    csv->values[csv->value_count++] = value;
}

static void on_field(void *field, size_t len, void *context)
{
    struct table_csv *csv = context;
    struct bytes text = bytes_of(field, len);
    if (csv->is_failed) {
        return;
    }
    if (csv->fields == 0) {
        csv->row_line = csv->line;
    }
    csv->fields++;
    if (len > 0 && (!utf8_is_valid(text) || memchr(field, '\0', len) != NULL)) {
        fail(csv, ERR_CONFIG, csv->line, "field %" PRIu32 " is not UTF-8 text", csv->fields);
    } else if (csv->data.columns == NULL) {
        add_column(csv, field, len);
    } else if (csv->fields <= csv->column_count) {
        add_value(csv, field, len);
    }
}

static void add_row(struct table_csv *csv)
{
    if (csv->row_count == csv->row_capacity) {
        uint32_t capacity = csv->row_capacity == 0 ? 256 : csv->row_capacity * 2;
        uint32_t *lines = reallocarray(csv->lines, capacity, sizeof(lines[0]));
        if (lines == NULL) {
            fail(csv, ERR_NO_MEMORY, csv->line, "out of memory");
            return;
        }
        csv->lines = lines;
        csv->row_capacity = capacity;
    }
    csv->lines[csv->row_count++] = csv->row_line;
}

static void on_row(int end, void *context)
{
    (void)end;
    struct table_csv *csv = context;
    if (csv->is_failed) {
        return;
    }
    if (csv->data.columns == NULL) {
        csv->data.columns = csv->columns;
    } else if (csv->fields != csv->column_count) {
        fail(csv, ERR_CONFIG, csv->row_line,
             "%" PRIu32 " column%s, the first line has %" PRIu32
             "; put a field with the delimiter in it into double quotes",
             csv->fields, csv->fields == 1 ? "" : "s", csv->column_count);
    } else if (csv->row_count == csv->options.rows_max) {
        fail(csv, ERR_CONFIG, csv->row_line, "more than %" PRIu32 " rows; raise the table's rows",
             csv->options.rows_max);
    } else {
        add_row(csv);
    }
    csv->fields = 0;
}

// Line by line, so that a fault has its line.
static void parse(struct table_csv *csv, struct csv_parser *parser, struct bytes file)
{
    size_t at = 0;
    while (at < file.len && !csv->is_failed) {
        const uint8_t *newline = memchr(file.ptr + at, '\n', file.len - at);
        size_t end = newline == NULL ? file.len : (size_t)(newline - file.ptr) + 1;
        csv->line++;
        if (csv_parse(parser, file.ptr + at, end - at, on_field, on_row, csv) != end - at) {
            fail(csv, csv_error(parser) == CSV_ENOMEM ? ERR_NO_MEMORY : ERR_CONFIG, csv->line,
                 "%s; a double quote inside a quoted field is written twice",
                 csv_strerror(csv_error(parser)));
        }
        at = end;
    }
    if (!csv->is_failed && csv_fini(parser, on_field, on_row, csv) != 0) {
        fail(csv, ERR_CONFIG, csv->row_line == 0 ? csv->line : csv->row_line,
             "a quoted field has no end");
    }
    if (!csv->is_failed && csv->data.columns == NULL) {
        fail(csv, ERR_CONFIG, 1, "the first line must name the columns");
    }
}

// ---- types --------------------------------------------------------------------------------------

static size_t digits(const char *text)
{
    return strspn(text, "0123456789");
}

// VALUE_INTEGER, VALUE_REAL, or VALUE_TEXT when it is not a number that would be written so.
static enum value_kind number_of(struct bytes bytes, struct event_value *out_number)
{
    const char *start = (const char *)bytes.ptr, *text = start + (start[0] == '-');
    size_t whole = digits(text);
    bool is_real = false;
    if (whole == 0 || (whole > 1 && text[0] == '0')) {
        return VALUE_TEXT;
    }
    text += whole;
    if (text[0] == '.' && digits(text + 1) > 0) {
        text += 1 + digits(text + 1);
        is_real = true;
    }
    size_t sign = (text[0] == 'e' || text[0] == 'E') && (text[1] == '-' || text[1] == '+');
    if ((text[0] == 'e' || text[0] == 'E') && digits(text + 1 + sign) > 0) {
        text += 1 + sign + digits(text + 1 + sign);
        is_real = true;
    }
    if ((size_t)(text - start) != bytes.len) {
        return VALUE_TEXT;
    }
    errno = 0;
    *out_number = (struct event_value){.kind = VALUE_INTEGER};
    out_number->integer = is_real ? 0 : strtoll(start, NULL, 10);
    if (is_real || errno != 0) {
        out_number->kind = VALUE_REAL;
        out_number->real = strtod(start, NULL);
    }
    return out_number->kind;
}

static bool is_kept_text(const struct table_csv *csv, const char *column)
{
    const char *list = csv->options.text;
    size_t len = strlen(column);
    while (list != NULL && *list != '\0') {
        list += strspn(list, ", ");
        size_t part = strcspn(list, ",");
        size_t trimmed = part;
        while (trimmed > 0 && list[trimmed - 1] == ' ') {
            trimmed--;
        }
        if (trimmed == len && strncasecmp(list, column, len) == 0) {
            return true;
        }
        list += part;
    }
    return false;
}

static void type_column(struct table_csv *csv, uint32_t column)
{
    struct event_value number;
    if (is_kept_text(csv, csv->columns[column])) {
        return;
    }
    for (size_t i = column; i < csv->value_count; i += csv->column_count) {
        if (csv->values[i].kind == VALUE_TEXT &&
            number_of(csv->values[i].bytes, &number) == VALUE_TEXT) {
            return;
        }
    }
    for (size_t i = column; i < csv->value_count; i += csv->column_count) {
        if (csv->values[i].kind == VALUE_TEXT) {
            number_of(csv->values[i].bytes, &number);
            csv->values[i] = number;
        }
    }
}

// ---- the key ------------------------------------------------------------------------------------

struct key_column {
    const struct table_csv *csv;
    uint32_t column;
};

static const struct event_value *key_at(const struct key_column *key, uint32_t row)
{
    return &key->csv->values[(size_t)row * key->csv->column_count + key->column];
}

static int key_order(const struct event_value *a, const struct event_value *b)
{
    if (a->kind == VALUE_TEXT && b->kind == VALUE_TEXT) {
        size_t common = a->bytes.len < b->bytes.len ? a->bytes.len : b->bytes.len;
        int order = common == 0 ? 0 : memcmp(a->bytes.ptr, b->bytes.ptr, common);
        return order != 0 ? order : (a->bytes.len > b->bytes.len) - (a->bytes.len < b->bytes.len);
    }
    double left = a->kind == VALUE_INTEGER ? (double)a->integer : a->real;
    double right = b->kind == VALUE_INTEGER ? (double)b->integer : b->real;
    return (left > right) - (left < right);
}

static int row_compare(const void *a, const void *b, void *context)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    int order = key_order(key_at(context, left), key_at(context, right));
    return order != 0 ? order : (left > right) - (left < right);
}

static void tell_twice(struct table_csv *csv, const struct key_column *key, uint32_t first,
                       uint32_t second)
{
    const struct event_value *value = key_at(key, second);
    const char *text = value->kind == VALUE_TEXT ? (const char *)value->bytes.ptr : "that number";
    fail(csv, ERR_CONFIG, csv->lines[second], "%s '%.80s' is already on line %" PRIu32,
         csv->columns[key->column], text, csv->lines[first]);
}

static void check_key(struct table_csv *csv)
{
    struct key_column key = {csv, 0};
    while (key.column < csv->column_count &&
           strcasecmp(csv->columns[key.column], csv->options.key) != 0) {
        key.column++;
    }
    if (key.column == csv->column_count) {
        fail(csv, ERR_CONFIG, 1, "there is no column '%.80s', which is the key", csv->options.key);
        return;
    }
    uint32_t *rows = calloc((size_t)csv->row_count + 1, sizeof(rows[0]));
    if (rows == NULL) {
        fail(csv, ERR_NO_MEMORY, 1, "out of memory");
        return;
    }
    for (uint32_t i = 0; i < csv->row_count; i++) {
        rows[i] = i;
        if (key_at(&key, i)->kind == VALUE_NULL) {
            fail(csv, ERR_CONFIG, csv->lines[i], "the key %s is empty", csv->options.key);
        }
    }
    if (!csv->is_failed) {
        qsort_r(rows, csv->row_count, sizeof(rows[0]), row_compare, &key);
    }
    for (uint32_t i = 1; i < csv->row_count && !csv->is_failed; i++) {
        if (key_order(key_at(&key, rows[i - 1]), key_at(&key, rows[i])) == 0) {
            tell_twice(csv, &key, rows[i - 1], rows[i]);
        }
    }
    free(rows);
}

// ---- all of it ----------------------------------------------------------------------------------

static struct bytes without_mark(struct bytes file)
{
    bool has_mark = file.len >= 3 && memcmp(file.ptr, "\xEF\xBB\xBF", 3) == 0;
    return has_mark ? bytes_of(file.ptr + 3, file.len - 3) : file;
}

static void read_all(struct table_csv *csv, struct bytes file)
{
    struct csv_parser parser;
    const unsigned char mode = CSV_STRICT | CSV_STRICT_FINI | CSV_EMPTY_IS_NULL;
    if (csv->texts == NULL || csv_init(&parser, mode) != 0) {
        fail(csv, ERR_NO_MEMORY, 1, "out of memory");
        return;
    }
    csv_set_delim(&parser, (unsigned char)csv->options.delimiter);
    parse(csv, &parser, without_mark(file));
    csv_free(&parser);
    for (uint32_t i = 0; !csv->is_failed && i < csv->column_count; i++) {
        type_column(csv, i);
    }
    if (!csv->is_failed && csv->options.key != NULL) {
        check_key(csv);
    }
}

enum err table_csv_parse(struct table_csv **out_csv, struct bytes file,
                         const struct table_csv_options *options, struct error *e)
{
    struct table_csv *csv = calloc(1, sizeof(*csv));
    if (csv == NULL) {
        return error_set(e, ERR_NO_MEMORY, "1: out of memory");
    }
    csv->options = *options;
    csv->texts = malloc(file.len * 2 + 2); // Each field and its final NUL.
    read_all(csv, file);
    if (csv->is_failed) {
        enum err rc = csv->fault.code;
        if (e != NULL) {
            *e = csv->fault;
        }
        table_csv_destroy(csv);
        return rc;
    }
    csv->data.column_count = csv->column_count;
    csv->data.row_count = csv->row_count;
    csv->data.values = csv->values;
    *out_csv = csv;
    return ERR_OK;
}

void table_csv_destroy(struct table_csv *csv)
{
    if (csv == NULL) {
        return;
    }
    free(csv->texts);
    free(csv->values);
    free(csv->lines);
    free(csv);
}

const struct table_data *table_csv_data(const struct table_csv *csv)
{
    return &csv->data;
}
