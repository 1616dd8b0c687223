#include "core/function_sites.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const remembering[] = {"changed", "previous", "smooth"};

// Behind a quoted text or name, or a comment, that begins here; the same place when none does.
static const char *skip_quoted(const char *sql)
{
    const char *end;
    switch (sql[0]) {
    case '\'':
    case '"':
    case '`':
        end = strchr(sql + 1, sql[0]); // A doubled quote is two quoted ones.
        return end == NULL ? sql + strlen(sql) : end + 1;
    case '[':
        end = strchr(sql, ']');
        return end == NULL ? sql + strlen(sql) : end + 1;
    case '-':
        return sql[1] == '-' ? sql + strcspn(sql, "\n") : sql;
    case '/':
        if (sql[1] == '*') {
            end = strstr(sql + 2, "*/");
            return end == NULL ? sql + strlen(sql) : end + 2;
        }
        return sql;
    default:
        return sql;
    }
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (c & 0x80) != 0;
}

static size_t word_bytes(const char *sql)
{
    size_t len = 0;
    while (is_word(sql[len])) {
        len++;
    }
    return len;
}

static const char *find_name(const char *word, size_t len)
{
    for (size_t i = 0; i < sizeof(remembering) / sizeof(remembering[0]); i++) {
        if (strlen(remembering[i]) == len && strncasecmp(remembering[i], word, len) == 0) {
            return remembering[i];
        }
    }
    return NULL;
}

// Behind the parenthesis of a call that begins here; NULL: there is none.
static const char *find_call(const char *sql, size_t word, const char **out_name)
{
    const char *name = find_name(sql, word);
    const char *rest = sql + word;
    while (name != NULL && (isspace((unsigned char)*rest) || skip_quoted(rest) != rest)) {
        const char *skipped = *rest == '/' || *rest == '-' ? skip_quoted(rest) : rest;
        if (skipped == rest && !isspace((unsigned char)*rest)) {
            return NULL;
        }
        rest = skipped == rest ? rest + 1 : skipped;
    }
    if (name == NULL || *rest != '(') {
        return NULL;
    }
    *out_name = name;
    return rest + 1;
}

struct writer {
    struct function_sites *sites;
    size_t len;
};

static void copy(struct writer *writer, const char *from, const char *to)
{
    memcpy(writer->sites->text + writer->len, from, (size_t)(to - from));
    writer->len += (size_t)(to - from);
}

static void number_call(struct writer *writer, const char *name)
{
    struct function_sites *sites = writer->sites;
    char number[16];
    int len = snprintf(number, sizeof(number), "%u,", sites->count + 1);
    sites->name = sites->count == 0 ? name : sites->name;
    sites->sites[sites->count].at = (uint32_t)writer->len;
    sites->sites[sites->count].len = (uint32_t)len;
    sites->count++;
    copy(writer, number, number + len);
}

enum err function_sites_number(struct function_sites *sites, const char *sql, struct error *e)
{
    *sites = (struct function_sites){.text = malloc(strlen(sql) + FUNCTION_SITES_MAX * 16 + 1)};
    struct writer writer = {sites, 0};
    if (sites->text == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a rule");
    }
    while (*sql != '\0') {
        const char *name, *next = skip_quoted(sql);
        size_t word = next == sql ? word_bytes(sql) : 0;
        const char *call = word > 0 ? find_call(sql, word, &name) : NULL;
        next = next != sql ? next : call != NULL ? call : sql + (word > 0 ? word : 1);
        copy(&writer, sql, next);
        if (call != NULL && sites->count == FUNCTION_SITES_MAX) {
            function_sites_deinit(sites);
            return error_set(e, ERR_CONFIG, "more than %d calls of functions that remember",
                             FUNCTION_SITES_MAX);
        }
        if (call != NULL) {
            number_call(&writer, name);
        }
        sql = next;
    }
    sites->text[writer.len] = '\0';
    if (sites->count == 0) {
        function_sites_deinit(sites);
    }
    return ERR_OK;
}

void function_sites_deinit(struct function_sites *sites)
{
    free(sites->text);
    *sites = (struct function_sites){.text = NULL};
}

int32_t function_sites_place(const struct function_sites *sites, int32_t offset)
{
    uint32_t less = 0;
    for (uint32_t i = 0; offset >= 0 && i < sites->count; i++) {
        uint32_t at = sites->sites[i].at;
        if (at < (uint32_t)offset) {
            uint32_t inside = (uint32_t)offset - at;
            less += inside < sites->sites[i].len ? inside : sites->sites[i].len;
        }
    }
    return offset - (int32_t)less;
}

bool function_sites_is_name(const struct function_sites *sites, const char *column)
{
    size_t len = strlen(column);
    const char *found = sites->text == NULL || len == 0 ? NULL : strstr(sites->text, column);
    for (; found != NULL; found = strstr(found + 1, column)) {
        size_t begin = (size_t)(found - sites->text);
        for (uint32_t i = 0; i < sites->count; i++) {
            if (sites->sites[i].at >= begin && sites->sites[i].at < begin + len) {
                return true;
            }
        }
    }
    return false;
}
