// function_format.c - format() and printf(): each conversion by SQLite's own, with a width and a
// precision that have a bound. "%.2000000000c" would take SQLite ten seconds in one instruction.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "core/function_text.h"

#define FIELD_MAX 1000000 // Width and precision.

struct arguments {
    sqlite3_value **values;
    int count, next;
};

static sqlite3_value *take(struct arguments *arguments)
{
    return arguments->next < arguments->count ? arguments->values[arguments->next++] : NULL;
}

static int64_t take_integer(struct arguments *arguments)
{
    sqlite3_value *value = take(arguments);
    return value == NULL ? 0 : sqlite3_value_int64(value);
}

static double take_real(struct arguments *arguments)
{
    sqlite3_value *value = take(arguments);
    return value == NULL ? 0 : sqlite3_value_double(value);
}

static const char *take_text(struct arguments *arguments)
{
    sqlite3_value *value = take(arguments);
    return value == NULL ? NULL : (const char *)sqlite3_value_text(value);
}

// "%-08.3f": what stands between the percent sign and the letter.
struct conversion {
    char flags[16];
    int width, precision; // precision -1: none.
    char letter;
};

static int clamp(int64_t number)
{
    return number > FIELD_MAX ? FIELD_MAX : number < -FIELD_MAX ? -FIELD_MAX : (int)number;
}

static const char *read_number(const char *at, struct arguments *arguments, int *out_number)
{
    int64_t number = 0;
    if (*at == '*') {
        *out_number = clamp(take_integer(arguments));
        return at + 1;
    }
    for (; isdigit((unsigned char)*at); at++) {
        number = number < FIELD_MAX ? number * 10 + (*at - '0') : number;
    }
    *out_number = clamp(number);
    return at;
}

// at stands behind the percent sign; gives what follows the letter.
static const char *read_conversion(const char *at, struct arguments *arguments,
                                   struct conversion *out)
{
    size_t flags = 0;
    *out = (struct conversion){.precision = -1};
    for (; *at != '\0' && strchr("-+ #0!,", *at) != NULL; at++) {
        if (strchr(out->flags, *at) == NULL) {
            out->flags[flags++] = *at;
        }
    }
    at = read_number(at, arguments, &out->width);
    if (*at == '.') {
        at = read_number(at + 1, arguments, &out->precision);
        out->precision = out->precision < 0 ? -out->precision : out->precision;
    }
    while (*at == 'l') {
        at++;
    }
    out->letter = *at;
    return *at == '\0' ? at : at + 1;
}

// "%-8.3lld" of the conversion.
static void write_spec(const struct conversion *conversion, const char *letters, char *out,
                       size_t size)
{
    size_t used = (size_t)snprintf(out, size, "%%%s", conversion->flags);
    int width = conversion->width;
    if (width < 0) {
        used += (size_t)snprintf(out + used, size - used, "-");
        width = -width;
    }
    if (width > 0) {
        used += (size_t)snprintf(out + used, size - used, "%d", width);
    }
    if (conversion->precision >= 0) {
        used += (size_t)snprintf(out + used, size - used, ".%d", conversion->precision);
    }
    snprintf(out + used, size - used, "%s", letters);
}

static uint32_t first_character(const char *text)
{
    uint32_t code_point = 0;
    struct bytes bytes = bytes_from_text(text);
    if (bytes.len > 0 && utf8_decode(bytes, &code_point) == 0) {
        code_point = bytes.ptr[0];
    }
    return code_point;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"

static void convert(sqlite3_str *out, const struct conversion *conversion,
                    struct arguments *arguments)
{
    char letters[4] = {conversion->letter}, spec[64];
    const char long_letters[] = {'l', 'l', conversion->letter, '\0'};
    bool is_integer = strchr("diuxXor", conversion->letter) != NULL;
    write_spec(conversion, is_integer ? long_letters : letters, spec, sizeof(spec));
    switch (conversion->letter) {
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
    case 'r':
        sqlite3_str_appendf(out, spec, take_integer(arguments));
        break;
    case 'f':
    case 'e':
    case 'E':
    case 'g':
    case 'G':
        sqlite3_str_appendf(out, spec, take_real(arguments));
        break;
    case 'c': {
        uint32_t character = first_character(take_text(arguments));
        if (character == 0) { // Of an empty text there is none: as %s has it.
            letters[0] = 's';
            write_spec(conversion, letters, spec, sizeof(spec));
            sqlite3_str_appendf(out, spec, "");
        } else {
            sqlite3_str_appendf(out, spec, (int)character);
        }
        break;
    }
    case 'z':
        letters[0] = 's';
        write_spec(conversion, letters, spec, sizeof(spec));
        sqlite3_str_appendf(out, spec, take_text(arguments));
        break;
    case 's':
    case 'q':
    case 'Q':
    case 'w':
        sqlite3_str_appendf(out, spec, take_text(arguments));
        break;
    case '%':
        sqlite3_str_appendf(out, spec);
        break;
    default:
        break;
    }
}

#pragma GCC diagnostic pop

static bool is_known(char letter)
{
    return letter != '\0' && strchr("diuxXorfeEgGczsqQw%n", letter) != NULL;
}

static void write_all(sqlite3_str *out, const char *format, struct arguments *arguments)
{
    while (*format != '\0' && sqlite3_str_errcode(out) == SQLITE_OK) {
        size_t len = strcspn(format, "%");
        if (len > 0) {
            sqlite3_str_append(out, format, (int)len);
        }
        format += len;
        if (strcmp(format, "%") == 0) {
            sqlite3_str_appendchar(out, 1, *format++);
        } else if (*format == '%') {
            struct conversion conversion;
            format = read_conversion(format + 1, arguments, &conversion);
            if (!is_known(conversion.letter)) { // As SQLite: the text ends here.
                return;
            }
            convert(out, &conversion, arguments);
        }
    }
}

static void format(sqlite3_context *context, int count, sqlite3_value **values)
{
    const char *text = count == 0 ? NULL : (const char *)sqlite3_value_text(values[0]);
    if (text == NULL) {
        return;
    }
    struct arguments arguments = {values, count, 1};
    sqlite3_str *out = sqlite3_str_new(sqlite3_context_db_handle(context));
    write_all(out, text, &arguments);
    int code = sqlite3_str_errcode(out), len = sqlite3_str_length(out);
    char *result = sqlite3_str_finish(out);
    if (code != SQLITE_OK) {
        sqlite3_free(result);
        sqlite3_result_error_code(context, code);
    } else if (result != NULL) { // Where nothing was written SQLite gives NULL.
        sqlite3_result_text(context, result, len, sqlite3_free);
    }
}

enum err function_format_register(struct rule_space *space, struct error *e)
{
    static const char *const names[] = {"format", "printf"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        int rc = sqlite3_create_function_v2(space->db, names[i], -1,
                                            SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
                                            space, format, NULL, NULL, NULL);
        if (rc != SQLITE_OK) {
            return error_set(e, ERR_INTERNAL, "add the SQL function %s: %s", names[i],
                             sqlite3_errmsg(space->db));
        }
    }
    return ERR_OK;
}
