#include "core/sql_words.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool is_name_byte(uint8_t c)
{
    return isalnum(c) || c == '_' || c == '$' || c >= 0x80;
}

static void skip(struct bytes *rest, size_t count)
{
    count = count < rest->len ? count : rest->len;
    rest->ptr += count;
    rest->len -= count;
}

static bool starts(struct bytes rest, const char *with)
{
    size_t len = strlen(with);
    return rest.len >= len && memcmp(rest.ptr, with, len) == 0;
}

static void skip_until(struct bytes *rest, const char *end)
{
    while (rest->len > 0 && !starts(*rest, end)) {
        skip(rest, 1);
    }
    skip(rest, strlen(end));
}

static void skip_blanks(struct bytes *rest)
{
    for (;;) {
        if (rest->len > 0 && isspace(rest->ptr[0])) {
            skip(rest, 1);
        } else if (starts(*rest, "--")) {
            skip_until(rest, "\n");
        } else if (starts(*rest, "/*")) {
            skip(rest, 2);
            skip_until(rest, "*/");
        } else {
            return;
        }
    }
}

// Past a quoted piece; a doubled quote is part of it.
static size_t quoted_len(struct bytes rest, uint8_t close)
{
    size_t len = 1;
    while (len < rest.len) {
        if (rest.ptr[len] != close) {
            len++;
        } else if (close != ']' && len + 1 < rest.len && rest.ptr[len + 1] == close) {
            len += 2;
        } else {
            return len + 1;
        }
    }
    return len;
}

static size_t number_len(struct bytes rest)
{
    size_t len = 0;
    while (len < rest.len) {
        bool is_sign = len > 0 && (rest.ptr[len] == '+' || rest.ptr[len] == '-') &&
                       (rest.ptr[len - 1] == 'e' || rest.ptr[len - 1] == 'E');
        if (!isalnum(rest.ptr[len]) && rest.ptr[len] != '.' && !is_sign) {
            break;
        }
        len++;
    }
    return len;
}

static size_t name_len(struct bytes rest)
{
    size_t len = 0;
    while (len < rest.len && is_name_byte(rest.ptr[len])) {
        len++;
    }
    return len;
}

struct sql_word sql_word_next(struct bytes *rest)
{
    skip_blanks(rest);
    if (rest->len == 0) {
        return (struct sql_word){SQL_END, *rest};
    }
    uint8_t first = rest->ptr[0];
    enum sql_word_kind kind = SQL_PUNCTUATION;
    size_t len = 1;
    if (first == '\'') {
        kind = SQL_TEXT;
        len = quoted_len(*rest, '\'');
    } else if (first == '"' || first == '`' || first == '[') {
        kind = SQL_QUOTED;
        len = quoted_len(*rest, first == '[' ? ']' : first);
    } else if (isdigit(first) || (first == '.' && rest->len > 1 && isdigit(rest->ptr[1]))) {
        kind = SQL_NUMBER;
        len = number_len(*rest);
    } else if (is_name_byte(first)) {
        kind = SQL_WORD;
        len = name_len(*rest);
    }
    struct sql_word word = {kind, bytes_of(rest->ptr, len)};
    skip(rest, len);
    return word;
}

bool sql_word_is(const struct sql_word *word, const char *keyword)
{
    return (word->kind == SQL_WORD || word->kind == SQL_PUNCTUATION) &&
           word->text.len == strlen(keyword) &&
           strncasecmp((const char *)word->text.ptr, keyword, word->text.len) == 0;
}

bool sql_word_name(const struct sql_word *word, char *out_name, size_t size)
{
    struct bytes text = word->text;
    size_t len = 0;
    if (word->kind == SQL_QUOTED && text.len >= 2) {
        uint8_t close = text.ptr[text.len - 1];
        for (size_t i = 1; i + 1 < text.len && len + 1 < size; i++) {
            out_name[len++] = (char)text.ptr[i];
            i += text.ptr[i] == close; // A doubled quote.
        }
    } else if (word->kind == SQL_WORD) {
        len = text.len < size ? text.len : size - 1;
        memcpy(out_name, text.ptr, len);
    } else {
        return false;
    }
    out_name[len] = '\0';
    return true;
}

bool sql_word_is_keyword(const struct sql_word *word)
{
    static const char *const keywords[] = {
        "all",     "and",       "as",     "asc",      "between", "by",     "case",   "cast",
        "collate", "cross",     "desc",   "distinct", "else",    "end",    "escape", "exists",
        "false",   "filter",    "from",   "glob",     "group",   "having", "in",     "inner",
        "is",      "isnull",    "join",   "left",     "like",    "limit",  "match",  "natural",
        "not",     "notnull",   "null",   "offset",   "on",      "or",     "order",  "outer",
        "over",    "partition", "regexp", "right",    "select",  "then",   "true",   "union",
        "using",   "when",      "where",  "window",   "with"};
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
        if (word->kind == SQL_WORD && sql_word_is(word, keywords[i])) {
            return true;
        }
    }
    return false;
}

// How deep a word stands in parentheses and CASE ... END.
static int depth_after(int depth, const struct sql_word *word)
{
    if (sql_word_is(word, "(") || sql_word_is(word, "case")) {
        return depth + 1;
    }
    return sql_word_is(word, ")") || sql_word_is(word, "end") ? depth - 1 : depth;
}

static bool is_one_of(const struct sql_word *word, const char *const *keywords)
{
    for (size_t i = 0; keywords[i] != NULL; i++) {
        if (sql_word_is(word, keywords[i])) {
            return true;
        }
    }
    return false;
}

static struct bytes trim(const uint8_t *from, const uint8_t *to)
{
    while (to > from && isspace(to[-1])) {
        to--;
    }
    return bytes_of(from, (size_t)(to - from));
}

bool sql_clauses_find(struct bytes sql, struct sql_clauses *out_clauses)
{
    static const char *const ends[] = {"group", "having", "order", "limit", "window", ";", NULL};
    static const char *const compound[] = {"union", "intersect", "except", NULL};
    struct bytes rest = sql, *clause = &out_clauses->select;
    struct sql_word word = sql_word_next(&rest);
    *out_clauses = (struct sql_clauses){.select = {0}};
    if (!sql_word_is(&word, "select")) {
        return false;
    }
    skip_blanks(&rest);
    const uint8_t *from = rest.ptr;
    int depth = 0;
    for (word = sql_word_next(&rest); word.kind != SQL_END; word = sql_word_next(&rest)) {
        depth = depth_after(depth, &word);
        if (depth != 0 || clause == NULL) {
            continue;
        }
        if (is_one_of(&word, compound)) {
            return false;
        }
        bool is_from = clause == &out_clauses->select && sql_word_is(&word, "from");
        bool is_where = clause == &out_clauses->from && sql_word_is(&word, "where");
        if (is_from || is_where || is_one_of(&word, ends)) {
            *clause = trim(from, word.text.ptr);
            clause = is_from ? &out_clauses->from : is_where ? &out_clauses->where : NULL;
            skip_blanks(&rest);
            from = rest.ptr;
        }
    }
    if (clause != NULL) {
        *clause = trim(from, sql.ptr + sql.len);
    }
    return true;
}

static bool has_or(struct bytes rest)
{
    int depth = 0;
    for (struct sql_word word = sql_word_next(&rest); word.kind != SQL_END;
         word = sql_word_next(&rest)) {
        depth = depth_after(depth, &word);
        if (depth == 0 && sql_word_is(&word, "or")) {
            return true;
        }
    }
    return false;
}

bool sql_term_next(struct bytes *rest, struct bytes *out_term)
{
    skip_blanks(rest);
    if (rest->len == 0) {
        return false;
    }
    const uint8_t *from = rest->ptr;
    bool is_whole = has_or(*rest), is_between = false;
    int depth = 0;
    for (struct sql_word word = sql_word_next(rest); word.kind != SQL_END;
         word = sql_word_next(rest)) {
        depth = depth_after(depth, &word);
        if (depth == 0 && sql_word_is(&word, "between")) {
            is_between = true;
        } else if (depth == 0 && sql_word_is(&word, "and") && is_between) {
            is_between = false; // It belongs to the BETWEEN.
        } else if (depth == 0 && sql_word_is(&word, "and") && !is_whole) {
            *out_term = trim(from, word.text.ptr);
            return true;
        }
    }
    *out_term = trim(from, rest->ptr);
    return true;
}

ptrdiff_t sql_find_name(struct bytes sql, const char *name)
{
    struct bytes rest = sql;
    for (struct sql_word word = sql_word_next(&rest); word.kind != SQL_END;
         word = sql_word_next(&rest)) {
        char found[600];
        if (sql_word_name(&word, found, sizeof(found)) && strcasecmp(found, name) == 0) {
            return word.text.ptr - sql.ptr;
        }
    }
    return -1;
}
