#define _GNU_SOURCE // timegm
#include "trial/case_value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NUMBER_MARK  "{n}"
#define NUMBER_BYTES 10 // Digits of a case_number.

// As JSON writes them: no +5, 0x10, .5, 1. or inf.
static bool is_number(const char *text, bool *out_is_real)
{
    const char *at = text + (*text == '-');
    size_t digits = strspn(at, "0123456789");
    *out_is_real = false;
    if (digits == 0 || (digits > 1 && at[0] == '0')) {
        return false;
    }
    at += digits;
    if (*at == '.') {
        digits = strspn(++at, "0123456789");
        at += digits;
        *out_is_real = true;
    }
    if (digits > 0 && (*at == 'e' || *at == 'E')) {
        at++;
        at += *at == '-' || *at == '+';
        digits = strspn(at, "0123456789");
        at += digits;
        *out_is_real = true;
    }
    return digits > 0 && *at == '\0';
}

bool value_number(const char *text, double *out_number)
{
    bool is_real;
    if (!is_number(text, &is_real)) {
        return false;
    }
    *out_number = strtod(text, NULL);
    return true;
}

static json_t *plain_value(const char *text)
{
    bool is_real = false;
    if (text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0) {
        return json_null();
    }
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        return json_boolean(text[0] == 't');
    }
    if (!is_number(text, &is_real)) {
        return json_string(text);
    }
    errno = 0;
    int64_t whole = is_real ? 0 : strtoll(text, NULL, 10);
    return is_real || errno == ERANGE ? json_real(strtod(text, NULL)) : json_integer(whole);
}

static json_t *text_value(const struct node *node, case_number n)
{
    if (node->style == STYLE_PLAIN) {
        return plain_value(node->text);
    }
    if (n == 0) {
        return json_string(node->text);
    }
    if (strcmp(node->text, NUMBER_MARK) == 0) {
        return json_integer(n);
    }
    struct arena *arena = arena_create();
    const char *text = arena == NULL ? NULL : value_numbered(arena, node->text, n);
    json_t *json = text == NULL ? NULL : json_string(text);
    arena_destroy(arena);
    return json;
}

struct json_t *value_of_node(const struct node *node, case_number n)
{
    if (node->kind == NODE_TEXT) {
        return text_value(node, n);
    }
    json_t *json = node->kind == NODE_LIST ? json_array() : json_object();
    for (const struct node *member = node->first; member != NULL; member = member->next) {
        json_t *value = value_of_node(member, n);
        int failed = node->kind == NODE_LIST ? json_array_append_new(json, value)
                                             : json_object_set_new(json, member->key->text, value);
        if (failed != 0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}

static size_t count_marks(const char *text)
{
    size_t count = 0;
    for (const char *at = strstr(text, NUMBER_MARK); at != NULL;
         at = strstr(at + strlen(NUMBER_MARK), NUMBER_MARK)) {
        count++;
    }
    return count;
}

const char *value_numbered(struct arena *arena, const char *text, case_number n)
{
    size_t marks = n == 0 ? 0 : count_marks(text);
    size_t size = strlen(text) + marks * NUMBER_BYTES + 1;
    char *out = arena_alloc(arena, size), *at = out;
    while (out != NULL && marks-- > 0) {
        const char *mark = strstr(text, NUMBER_MARK);
        at += snprintf(at, size - (size_t)(at - out), "%.*s%" PRIu32, (int)(mark - text), text, n);
        text = mark + strlen(NUMBER_MARK);
    }
    if (out != NULL) {
        memcpy(at, text, strlen(text) + 1);
    }
    return out;
}

// "Z", "+01:00", "-05:30" into minutes.
static bool read_offset(const char *text, int *out_minutes)
{
    int hours = 0, minutes = 0, end = 0;
    if (strcmp(text, "Z") == 0) {
        *out_minutes = 0;
        return true;
    }
    if ((text[0] != '+' && text[0] != '-') ||
        sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &end) != 2 || text[1 + end] != '\0') {
        return false;
    }
    *out_minutes = (hours * 60 + minutes) * (text[0] == '-' ? -1 : 1);
    return true;
}

// ".25" into 250 milliseconds, and past it.
static int read_fraction(const char **at)
{
    int ms = 0, unit = 100;
    if (**at != '.') {
        return 0;
    }
    for ((*at)++; isdigit((unsigned char)**at); (*at)++) {
        ms += (**at - '0') * unit;
        unit /= 10;
    }
    return ms;
}

bool value_instant(const char *text, int64_t *out_ms)
{
    struct tm tm = {0};
    int end = 0, minutes = 0;
    bool is_real = false;
    if (is_number(text, &is_real) && !is_real) {
        *out_ms = strtoll(text, NULL, 10);
        return true;
    }
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec, &end) != 6) {
        return false;
    }
    const char *rest = text + end;
    int ms = read_fraction(&rest);
    if (!read_offset(rest, &minutes) || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
        tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 59) {
        return false;
    }
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *out_ms = ((int64_t)timegm(&tm) - minutes * 60) * 1000 + ms;
    return true;
}

static int digit_of(char c)
{
    const char *digits = "0123456789abcdef";
    const char *found = c == '\0' ? NULL : strchr(digits, tolower((unsigned char)c));
    return found == NULL ? -1 : (int)(found - digits);
}

bool value_hex(struct arena *arena, const char *text, struct bytes *out_bytes)
{
    uint8_t *bytes = arena_alloc(arena, strlen(text) / 2 + 1);
    size_t len = 0;
    while (bytes != NULL && *text != '\0') {
        if (isspace((unsigned char)*text)) {
            text++;
            continue;
        }
        int high = digit_of(text[0]), low = high < 0 ? -1 : digit_of(text[1]);
        if (low < 0) {
            return false;
        }
        bytes[len++] = (uint8_t)(high * 16 + low);
        text += 2;
    }
    *out_bytes = bytes_of(bytes, len);
    return bytes != NULL;
}
