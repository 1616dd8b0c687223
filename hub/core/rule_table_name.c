#include "core/rule_table_name.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/sql_words.h"

#define MARK      '\x01' // No topic filter holds a control character.
#define DEPTH_MAX 64

// Which words of a SELECT stand where.
struct walk {
    struct sql_word before, word, after;
    struct bytes rest;       // Behind `after`.
    bool is_from[DEPTH_MAX]; // By depth of parentheses: what a comma parts are tables.
    uint32_t depth;
};

static bool is_mark(const struct sql_word *word, char mark)
{
    return word->kind == SQL_PUNCTUATION && word->text.ptr[0] == (uint8_t)mark;
}

static void step(struct walk *walk)
{
    walk->before = walk->word;
    walk->word = walk->after;
    walk->after = sql_word_next(&walk->rest);
}

static bool is_one_of(const struct sql_word *word, const char *const *keywords)
{
    while (*keywords != NULL && !sql_word_is(word, *keywords)) {
        keywords++;
    }
    return *keywords != NULL;
}

// Follows clauses and parentheses.
static void follow(struct walk *walk)
{
    static const char *const others[] = {"SELECT", "WHERE", "GROUP",  "HAVING",    "ORDER", "LIMIT",
                                         "WINDOW", "UNION", "EXCEPT", "INTERSECT", NULL};
    bool *is_from = &walk->is_from[walk->depth < DEPTH_MAX ? walk->depth : DEPTH_MAX - 1];
    if (is_mark(&walk->word, '(')) {
        bool may_hold_tables =
            *is_from && (sql_word_is(&walk->before, "FROM") || sql_word_is(&walk->before, "JOIN") ||
                         is_mark(&walk->before, ','));
        walk->depth++;
        walk->is_from[walk->depth < DEPTH_MAX ? walk->depth : DEPTH_MAX - 1] = may_hold_tables;
    } else if (is_mark(&walk->word, ')')) {
        walk->depth -= walk->depth > 0;
    } else if (walk->word.kind == SQL_WORD && sql_word_is(&walk->word, "FROM")) {
        *is_from = true;
    } else if (walk->word.kind == SQL_WORD && is_one_of(&walk->word, others)) {
        *is_from = false;
    }
}

// Is the name at hand the table, or before a column of it?
static bool is_table(const struct walk *walk)
{
    if (is_mark(&walk->after, '.') || is_mark(&walk->before, '.')) {
        return is_mark(&walk->after, '.') ||
               walk->is_from[walk->depth < DEPTH_MAX ? walk->depth : 0];
    }
    bool is_first = sql_word_is(&walk->before, "FROM") || sql_word_is(&walk->before, "JOIN");
    bool is_listed = is_mark(&walk->before, ',') || is_mark(&walk->before, '(');
    return is_first || (is_listed && walk->is_from[walk->depth < DEPTH_MAX ? walk->depth : 0]);
}

static bool is_filter(const struct sql_word *word, const char *filter)
{
    char name[1024];
    return word->kind == SQL_QUOTED && sql_word_name(word, name, sizeof(name)) &&
           strncasecmp(name, filter, sizeof(name) - 1) == 0;
}

// The name in quotes, those within it doubled. The caller frees it.
static char *quote(const char *name)
{
    char *quoted = malloc(2 * strlen(name) + 3), *to = quoted;
    if (quoted == NULL) {
        return NULL;
    }
    *to++ = '"';
    for (const char *c = name; *c != '\0'; c++) {
        *to++ = *c;
        if (*c == '"') {
            *to++ = '"';
        }
    }
    memcpy(to, "\"", 2);
    return quoted;
}

static void rewrite(struct table_name *name, const char *sql, const char *filter,
                    const char *quoted)
{
    struct walk walk = {.rest = bytes_from_text(sql)};
    const char *copied = sql; // Up to here.
    size_t len = 0, quoted_len = strlen(quoted);
    step(&walk);
    for (step(&walk); walk.word.kind != SQL_END; step(&walk)) {
        follow(&walk);
        if (name->place_count == TABLE_NAME_PLACES_MAX || !is_filter(&walk.word, filter) ||
            !is_table(&walk)) {
            continue;
        }
        const char *word = (const char *)walk.word.text.ptr;
        size_t before = (size_t)(word - copied);
        memcpy(name->sql + len, copied, before);
        memcpy(name->sql + len + before, quoted, quoted_len);
        name->places[name->place_count++] = (struct table_name_place){
            (uint32_t)(len + before), (uint32_t)quoted_len, (uint32_t)walk.word.text.len};
        len += before + quoted_len;
        copied = word + walk.word.text.len;
    }
    memcpy(name->sql + len, copied, strlen(copied) + 1);
}

enum err table_name_make(struct table_name *out_name, const char *sql, const char *filter,
                         uint64_t number, struct error *e)
{
    size_t size = strlen(filter) + 32;
    *out_name = (struct table_name){.name = malloc(size)};
    if (out_name->name != NULL) {
        snprintf(out_name->name, size, "%s%c%" PRIu64, filter, MARK, number);
    }
    char *quoted = out_name->name == NULL ? NULL : quote(out_name->name);
    if (quoted != NULL) {
        out_name->sql = malloc(strlen(sql) + TABLE_NAME_PLACES_MAX * strlen(quoted) + 1);
        out_name->places = calloc(TABLE_NAME_PLACES_MAX, sizeof(out_name->places[0]));
    }
    if (out_name->sql == NULL || out_name->places == NULL) {
        free(quoted);
        table_name_deinit(out_name);
        return error_set(e, ERR_NO_MEMORY, "out of memory for a rule");
    }
    rewrite(out_name, sql, filter, quoted);
    free(quoted);
    char *fitting = realloc(out_name->sql, strlen(out_name->sql) + 1);
    out_name->sql = fitting == NULL ? out_name->sql : fitting;
    return ERR_OK;
}

void table_name_deinit(struct table_name *name)
{
    free(name->name);
    free(name->sql);
    free(name->places);
    *name = (struct table_name){.name = NULL};
}

void table_name_forget_places(struct table_name *name)
{
    free(name->places);
    name->places = NULL;
    name->place_count = 0;
}

int32_t table_name_find_place(const struct table_name *name, int32_t offset)
{
    int32_t more = 0;
    for (uint32_t i = 0; offset >= 0 && i < name->place_count; i++) {
        int32_t at = (int32_t)name->places[i].at, len = (int32_t)name->places[i].len;
        if (offset >= at + len) {
            more += len - (int32_t)name->places[i].was;
        } else if (offset > at) {
            return at - more;
        }
    }
    return offset < 0 ? offset : offset - more;
}

void table_name_clean(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (*from != MARK) {
            *to++ = *from;
            continue;
        }
        while (isdigit((unsigned char)from[1])) {
            from++;
        }
    }
    *to = '\0';
}

bool table_name_is_in(const char *text)
{
    return text != NULL && strchr(text, MARK) != NULL;
}
