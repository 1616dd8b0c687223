#include "core/sql_hint.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time_text.h"

#define EXACT_MAX  9007199254740992.0 // Whole reals up to here are told from their neighbours.
#define NUMBER_MAX 20                 // Bytes of a number that somebody means.
#define LOOKS_MAX  100                // Bytes of a text that is worth repeating.
#define DIGITS     "0123456789."
#define SQL_BLANKS " \t\r\n"

static bool is_name_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (c & 0x80) != 0;
}

static void add(struct error *e, const char *sentence)
{
    size_t len = strlen(e->text);
    snprintf(e->text + len, sizeof(e->text) - len, "; %s", sentence);
}

// ---- durations ----------------------------------------------------------------------------------

// The number before what is at the offset; NULL: there is none.
static const char *number_before(const char *text, size_t offset)
{
    while (offset > 0 && strchr(SQL_BLANKS, text[offset - 1]) != NULL) {
        offset--;
    }
    size_t end = offset;
    while (offset > 0 && strchr(DIGITS, text[offset - 1]) != NULL) {
        offset--;
    }
    bool is_name = offset > 0 && is_name_byte(text[offset - 1]);
    return offset == end || is_name ? NULL : text + offset;
}

bool sql_hint_duration(const char *text, struct error *e)
{
    bool is_near = strncmp(e->text, "near \"", 6) == 0;
    bool is_token = strncmp(e->text, "unrecognized token: \"", 21) == 0;
    if (e->offset < 0 || (size_t)e->offset >= strlen(text) || (!is_near && !is_token)) {
        return false;
    }
    size_t offset = (size_t)e->offset, len = 0;
    const char *number = is_near ? number_before(text, offset) : text + offset;
    size_t number_len = number == NULL ? 0 : strspn(number, DIGITS);
    const char *unit = is_near ? text + offset : number + number_len;
    while (is_name_byte(unit[len])) {
        len++;
    }
    int64_t ms = duration_unit_ms(bytes_of(unit, len));
    if (number_len == 0 || number_len > NUMBER_MAX || ms == 0) {
        return false;
    }
    char digits[NUMBER_MAX + 1], sentence[160], *end;
    snprintf(digits, sizeof(digits), "%.*s", (int)number_len, number);
    double whole = strtod(digits, &end) * (double)ms;
    if (*end != '\0' || whole > EXACT_MAX || whole != (double)(int64_t)whole) {
        return false;
    }
    snprintf(sentence, sizeof(sentence),
             "durations in expressions are milliseconds: %" PRId64 " for %s %.*s", (int64_t)whole,
             digits, (int)len, unit);
    add(e, sentence);
    return true;
}

// ---- texts --------------------------------------------------------------------------------------

static bool is_word_begin(char c)
{
    return is_name_byte(c) && !isdigit((unsigned char)c) && c != '$';
}

bool sql_looks_like_text(const char *text)
{
    bool is_path = strchr(text, '/') != NULL, is_begin = true;
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        bool is_dash = text[i] == '-' && !is_begin;
        bool may_go_on = is_name_byte(text[i]) && text[i] != '$';
        if (is_begin ? !is_word_begin(text[i]) : !may_go_on && !is_dash && text[i] != '/') {
            return false;
        }
        // In a path press-1 is a level; alone it may be a variable less one.
        is_begin = text[i] == '/' || (is_dash && !is_path);
    }
    return len <= LOOKS_MAX && !is_begin && text[len - 1] != '-';
}
