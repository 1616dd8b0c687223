#include "cli/field.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/option.h"
#include "base/utf8.h"

#define VALUE_PRINT_MAX 200 // Bytes of one value on the screen.

static const char *const type_names[] = {"bool",   "int",  "uint", "float",
                                         "double", "text", "data", NULL};
static const enum pipit_kind type_kinds[] = {
    PIPIT_KIND_BOOL,   PIPIT_KIND_SIGNED, PIPIT_KIND_UNSIGNED, PIPIT_KIND_FLOAT,
    PIPIT_KIND_DOUBLE, PIPIT_KIND_TEXT,   PIPIT_KIND_DATA};

static bool bool_read(const char *text, struct pipit_field *field)
{
    field->kind = PIPIT_KIND_BOOL;
    field->value.boolean = strcmp(text, "true") == 0;
    return field->value.boolean || strcmp(text, "false") == 0;
}

static bool signed_read(const char *text, struct pipit_field *field)
{
    char *end = NULL;
    errno = 0;
    field->kind = PIPIT_KIND_SIGNED;
    field->value.integer = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && !isspace((unsigned char)text[0]);
}

static bool unsigned_read(const char *text, struct pipit_field *field)
{
    char *end = NULL;
    errno = 0;
    field->kind = PIPIT_KIND_UNSIGNED;
    field->value.counter = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && isdigit((unsigned char)text[0]);
}

// Decimal only: "nan", "inf" and hexadecimal stay texts.
static bool real_read(const char *text, double *out_real)
{
    char *end = NULL;
    if (text[0] == '\0' || strspn(text, "0123456789+-.eE") != strlen(text)) {
        return false;
    }
    *out_real = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*out_real);
}

static bool double_read(const char *text, struct pipit_field *field)
{
    field->kind = PIPIT_KIND_DOUBLE;
    return real_read(text, &field->value.real);
}

static bool float_read(const char *text, struct pipit_field *field)
{
    double real = 0;
    bool is_read = real_read(text, &real);
    field->kind = PIPIT_KIND_FLOAT;
    field->value.single = (float)real;
    return is_read && isfinite(field->value.single);
}

static bool data_read(char *text, struct pipit_field *field)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *out = (uint8_t *)text;
    size_t len = strlen(text);
    for (size_t i = 0; i + 1 < len; i += 2) {
        const char *high = strchr(digits, tolower((unsigned char)text[i]));
        const char *low = strchr(digits, tolower((unsigned char)text[i + 1]));
        if (high == NULL || low == NULL) {
            return false;
        }
        out[i / 2] = (uint8_t)((high - digits) * 16 + (low - digits));
    }
    field->kind = PIPIT_KIND_DATA;
    field->value.bytes = (struct pipit_bytes){out, len / 2};
    return len % 2 == 0;
}

static bool text_read(const char *text, struct pipit_field *field)
{
    field->kind = PIPIT_KIND_TEXT;
    field->value.bytes = pipit_text(text);
    return utf8_is_valid(bytes_from_text(text));
}

void field_infer(char *text, struct pipit_field *field)
{
    if (!bool_read(text, field) && !signed_read(text, field) && !unsigned_read(text, field) &&
        !double_read(text, field)) {
        (void)text_read(text, field);
    }
}

static bool value_read(enum pipit_kind kind, char *text, struct pipit_field *field)
{
    switch (kind) {
    case PIPIT_KIND_BOOL:
        return bool_read(text, field);
    case PIPIT_KIND_SIGNED:
        return signed_read(text, field);
    case PIPIT_KIND_UNSIGNED:
        return unsigned_read(text, field);
    case PIPIT_KIND_FLOAT:
        return float_read(text, field);
    case PIPIT_KIND_DOUBLE:
        return double_read(text, field);
    case PIPIT_KIND_DATA:
        return data_read(text, field);
    case PIPIT_KIND_TEXT:
        return text_read(text, field);
    }
    return false;
}

static enum err typed_parse(const char *name, const char *type, char *value,
                            struct pipit_field *field, struct error *e)
{
    for (size_t i = 0; type_names[i] != NULL; i++) {
        if (strcmp(type_names[i], type) != 0) {
            continue;
        }
        if (value_read(type_kinds[i], value, field)) {
            return ERR_OK;
        }
        return error_set(e, ERR_INVALID, "field '%s': '%s' is not a value of type %s", name, value,
                         type);
    }
    const char *near = nearest_name(type, type_names);
    if (near != NULL) {
        return error_set(e, ERR_INVALID, "field '%s': unknown type '%s'; did you mean %s?", name,
                         type, near);
    }
    return error_set(e, ERR_INVALID,
                     "field '%s': unknown type '%s'; types are bool, int, uint, float, double, "
                     "text, data",
                     name, type);
}

enum err field_parse(char *argument, struct pipit_field *out_field, struct error *e)
{
    char *value = strchr(argument, '=');
    if (value == NULL || value == argument) {
        return error_set(e, ERR_INVALID, "'%s' must be NAME=VALUE or NAME:TYPE=VALUE", argument);
    }
    *value++ = '\0';
    char *type = strrchr(argument, ':');
    struct pipit_field field = {.name = pipit_text(argument)};
    if (!utf8_is_valid(bytes_from_text(argument)) || !utf8_is_valid(bytes_from_text(value))) {
        return error_set(e, ERR_INVALID, "field '%s' is not valid UTF-8", argument);
    }
    if (type == NULL || type == argument) {
        field_infer(value, &field);
    } else {
        *type++ = '\0';
        field.name = pipit_text(argument);
        enum err rc = typed_parse(argument, type, value, &field, e);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    *out_field = field;
    return ERR_OK;
}

bool field_from_proto(const Pipit__V1__Field *proto, struct pipit_field *out_field)
{
    struct pipit_field field = {.name = pipit_text(proto->name)};
    switch (proto->value_case) {
    case PIPIT__V1__FIELD__VALUE_BOOLEAN:
        field.value.boolean = proto->boolean;
        break;
    case PIPIT__V1__FIELD__VALUE_SIGNED:
        field.value.integer = proto->signed_;
        break;
    case PIPIT__V1__FIELD__VALUE_UNSIGNED:
        field.value.counter = proto->unsigned_;
        break;
    case PIPIT__V1__FIELD__VALUE_SINGLE:
        field.value.single = proto->single;
        break;
    case PIPIT__V1__FIELD__VALUE_REAL:
        field.value.real = proto->real;
        break;
    case PIPIT__V1__FIELD__VALUE_TEXT:
        field.value.bytes = pipit_text(proto->text);
        break;
    case PIPIT__V1__FIELD__VALUE_DATA:
        field.value.bytes = (struct pipit_bytes){proto->data.data, proto->data.len};
        break;
    default:
        return false;
    }
    field.kind = (enum pipit_kind)proto->value_case; // Both are the field numbers.
    *out_field = field;
    return true;
}

void field_to_proto(const struct pipit_field *field, Pipit__V1__Field *out_proto)
{
    pipit__v1__field__init(out_proto);
    out_proto->name = (char *)field->name.ptr; // From field_parse: NUL-terminated.
    out_proto->value_case = (Pipit__V1__Field__ValueCase)field->kind;
    switch (field->kind) {
    case PIPIT_KIND_BOOL:
        out_proto->boolean = field->value.boolean;
        break;
    case PIPIT_KIND_SIGNED:
        out_proto->signed_ = field->value.integer;
        break;
    case PIPIT_KIND_UNSIGNED:
        out_proto->unsigned_ = field->value.counter;
        break;
    case PIPIT_KIND_FLOAT:
        out_proto->single = field->value.single;
        break;
    case PIPIT_KIND_DOUBLE:
        out_proto->real = field->value.real;
        break;
    case PIPIT_KIND_TEXT:
        out_proto->text = (char *)field->value.bytes.ptr;
        break;
    case PIPIT_KIND_DATA:
        out_proto->data.data = (uint8_t *)field->value.bytes.ptr;
        out_proto->data.len = field->value.bytes.len;
        break;
    }
}

// The shortest decimal that reads back as the same number.
static double single_shown(float single)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, (double)single);
        if (strtof(text, NULL) == single) {
            break;
        }
    }
    return strtod(text, NULL);
}

static void real_print(FILE *file, double real)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, real);
        if (strtod(text, NULL) == real) {
            break;
        }
    }
    fputs(text, file);
}

static json_t *data_to_json(struct pipit_bytes data)
{
    char *text = malloc(data.len * 2 + 1);
    if (text == NULL) {
        return NULL;
    }
    text[0] = '\0';
    for (size_t i = 0; i < data.len; i++) {
        snprintf(text + i * 2, 3, "%02x", data.ptr[i]);
    }
    json_t *json = json_pack("{s:s}", "hex", text);
    free(text);
    return json;
}

static json_t *real_to_json(double real)
{
    return isfinite(real) ? json_real(real) : json_null();
}

json_t *field_to_json(const struct pipit_field *field)
{
    switch (field->kind) {
    case PIPIT_KIND_BOOL:
        return json_boolean(field->value.boolean);
    case PIPIT_KIND_SIGNED:
        return json_integer(field->value.integer);
    case PIPIT_KIND_UNSIGNED:
        return field->value.counter <= INT64_MAX ? json_integer((json_int_t)field->value.counter)
                                                 : real_to_json((double)field->value.counter);
    case PIPIT_KIND_FLOAT:
        return real_to_json(single_shown(field->value.single));
    case PIPIT_KIND_DOUBLE:
        return real_to_json(field->value.real);
    case PIPIT_KIND_TEXT:
        return json_stringn((const char *)field->value.bytes.ptr, field->value.bytes.len);
    case PIPIT_KIND_DATA:
        return data_to_json(field->value.bytes);
    }
    return NULL;
}

json_t *fields_to_json(const struct pipit_field *fields, size_t count)
{
    json_t *object = json_object();
    for (size_t i = 0; i < count; i++) {
        json_object_setn_new(object, (const char *)fields[i].name.ptr, fields[i].name.len,
                             field_to_json(&fields[i]));
    }
    return object;
}

void bytes_print(FILE *file, struct pipit_bytes bytes, size_t len_max)
{
    size_t len = bytes.len < len_max ? bytes.len : len_max;
    if (!utf8_is_valid(bytes_of(bytes.ptr, bytes.len))) {
        fprintf(file, "<%zu bytes>", bytes.len);
        return;
    }
    while (len > 0 && len < bytes.len && (bytes.ptr[len] & 0xC0) == 0x80) {
        len--; // Cut between characters.
    }
    for (size_t i = 0; i < len; i++) {
        fputc(bytes.ptr[i] < 0x20 || bytes.ptr[i] == 0x7F ? '?' : bytes.ptr[i], file);
    }
    fputs(len < bytes.len ? "..." : "", file);
}

static bool wants_quotes(struct pipit_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] == '"' || text.ptr[i] == '=') {
            return true;
        }
    }
    return text.len == 0;
}

void field_print(FILE *file, const struct pipit_field *field)
{
    bytes_print(file, field->name, VALUE_PRINT_MAX);
    fputc('=', file);
    switch (field->kind) {
    case PIPIT_KIND_BOOL:
        fputs(field->value.boolean ? "true" : "false", file);
        break;
    case PIPIT_KIND_SIGNED:
        fprintf(file, "%" PRId64, field->value.integer);
        break;
    case PIPIT_KIND_UNSIGNED:
        fprintf(file, "%" PRIu64, field->value.counter);
        break;
    case PIPIT_KIND_FLOAT:
        real_print(file, single_shown(field->value.single));
        break;
    case PIPIT_KIND_DOUBLE:
        real_print(file, field->value.real);
        break;
    case PIPIT_KIND_TEXT: {
        const char *quote = wants_quotes(field->value.bytes) ? "\"" : "";
        fputs(quote, file);
        bytes_print(file, field->value.bytes, VALUE_PRINT_MAX);
        fputs(quote, file);
        break;
    }
    case PIPIT_KIND_DATA:
        fprintf(file, "<%zu bytes>", field->value.bytes.len);
        break;
    }
}
