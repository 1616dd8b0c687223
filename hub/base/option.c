#include "base/option.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/option_value.h"

struct value {
    int64_t number;
    char *text; // Owned; NULL when unset.
    bool is_user;
};

struct options {
    const struct option_spec *table;
    size_t count;
    struct value values[];
};

const struct option_spec *option_find(const struct option_spec *table, const char *name)
{
    for (const struct option_spec *row = table; row->name != NULL; row++) {
        if (strcmp(row->name, name) == 0) {
            return row;
        }
    }
    return NULL;
}

static size_t table_count(const struct option_spec *table)
{
    size_t count = 0;
    while (table[count].name != NULL) {
        count++;
    }
    return count;
}

static void text_wipe(char *text)
{
    if (text != NULL) {
        explicit_bzero(text, strlen(text)); // It may be a secret.
        free(text);
    }
}

// Parses first, so that a bad text leaves the value as it was.
static enum err value_set(struct value *value, const struct option_spec *row, const char *text,
                          struct error *e)
{
    int64_t number = 0;
    enum err rc = option_value_parse(row, text, &number, e);
    if (rc != ERR_OK) {
        return rc;
    }
    char *copy = strdup(text);
    if (copy == NULL) {
        return error_set(e, ERR_NO_MEMORY, "%s: out of memory", row->name);
    }
    text_wipe(value->text);
    value->text = copy;
    value->number = number;
    return ERR_OK;
}

struct options *options_create(const struct option_spec *table)
{
    size_t count = table_count(table);
    struct options *options = calloc(1, sizeof(*options) + count * sizeof(options->values[0]));
    if (options == NULL) {
        return NULL;
    }
    options->table = table;
    options->count = count;
    for (size_t i = 0; i < count; i++) {
        if (table[i].default_text == NULL) {
            continue;
        }
        enum err rc = value_set(&options->values[i], &table[i], table[i].default_text, NULL);
        assert(rc != ERR_CONFIG); // A default must be something a user could write.
        if (rc != ERR_OK) {
            options_destroy(options);
            return NULL;
        }
    }
    return options;
}

void options_destroy(struct options *options)
{
    if (options == NULL) {
        return;
    }
    for (size_t i = 0; i < options->count; i++) {
        text_wipe(options->values[i].text);
    }
    free(options);
}

const struct option_spec *options_table(const struct options *options)
{
    return options->table;
}

static size_t index_of(const struct options *options, const char *name)
{
    const struct option_spec *row = option_find(options->table, name);
    assert(row != NULL);
    return (size_t)(row - options->table);
}

enum err options_set(struct options *options, const char *name, const char *text, struct error *e)
{
    size_t i = index_of(options, name);
    enum err rc = value_set(&options->values[i], &options->table[i], text, e);
    if (rc == ERR_OK) {
        options->values[i].is_user = true;
    }
    return rc;
}

bool options_is_set(const struct options *options, const char *name)
{
    return options->values[index_of(options, name)].is_user;
}

static bool value_equal(const struct value *a, const struct value *b)
{
    if (a->text == NULL || b->text == NULL) {
        return a->text == b->text;
    }
    return strcmp(a->text, b->text) == 0;
}

bool options_equal(const struct options *a, const struct options *b)
{
    if (a->table != b->table) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!value_equal(&a->values[i], &b->values[i])) {
            return false;
        }
    }
    return true;
}

static bool is_numeric(enum option_type type)
{
    return type == OPTION_INT || type == OPTION_SIZE || type == OPTION_DURATION;
}

bool option_bool(const struct options *options, const char *name)
{
    size_t i = index_of(options, name);
    assert(options->table[i].type == OPTION_BOOL);
    return options->values[i].number != 0;
}

int64_t option_int(const struct options *options, const char *name)
{
    size_t i = index_of(options, name);
    assert(is_numeric(options->table[i].type));
    return options->values[i].number;
}

const char *option_text(const struct options *options, const char *name)
{
    return options->values[index_of(options, name)].text;
}

int option_choice(const struct options *options, const char *name)
{
    size_t i = index_of(options, name);
    assert(options->table[i].type == OPTION_ENUM);
    return (int)options->values[i].number;
}
