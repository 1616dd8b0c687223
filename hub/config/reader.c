#include "config/reader.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/expand.h"

#define NAME_BYTES_MAX 64
#define KEYS_MAX       64 // Known keys of one mapping.

void reader_problem(struct reader *reader, struct position at, const char *format, ...)
{
    if (reader->problem_count == READER_PROBLEMS_MAX) {
        return;
    }
    char text[sizeof(((struct error *)0)->text)];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    const char *copy = arena_text(reader->arena, text, strlen(text));
    if (copy != NULL) {
        uint32_t number = reader->problem_count++;
        reader->problems[number] = (struct problem){at, number, copy};
    }
}

static int problem_compare(const void *a, const void *b)
{
    const struct problem *left = a, *right = b;
    if (left->at.line != right->at.line) {
        return left->at.line < right->at.line ? -1 : 1;
    }
    if (left->at.column != right->at.column) {
        return left->at.column < right->at.column ? -1 : 1;
    }
    return left->number < right->number ? -1 : 1;
}

void reader_sort(struct reader *reader)
{
    qsort(reader->problems, reader->problem_count, sizeof(reader->problems[0]), problem_compare);
}

const char *reader_path(struct reader *reader, const char *path)
{
    if (path[0] == '/') {
        return path;
    }
    return arena_print(reader->arena, "%s%s", reader->folder, path);
}

const char *reader_hint(struct reader *reader, const char *name, const char *const *known)
{
    const char *near = nearest_name(name, known);
    if (near != NULL) {
        return arena_print(reader->arena, "; did you mean '%s'?", near);
    }
    char list[400] = "";
    size_t at = 0;
    for (size_t i = 0; known[i] != NULL && at < sizeof(list); i++) {
        at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", i == 0 ? "" : ", ", known[i]);
    }
    return at == 0 ? "" : arena_print(reader->arena, "; known are: %s", list);
}

bool name_is_valid(const char *name)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t len = strlen(name);
    return len > 0 && len <= NAME_BYTES_MAX && strspn(name, letters) == len;
}

void reader_name(struct reader *reader, const struct node *key, const char *what)
{
    if (!name_is_valid(key->text)) {
        reader_problem(reader, key->at,
                       "%s name '%.80s': must be 1 to %d letters, digits, '_' or '-'", what,
                       key->text, NAME_BYTES_MAX);
    }
}

static int key_compare(const void *a, const void *b)
{
    const struct node *left = *(const struct node *const *)a;
    const struct node *right = *(const struct node *const *)b;
    int order = strcmp(left->text, right->text);
    if (order != 0) {
        return order;
    }
    return left->index < right->index ? -1 : 1;
}

// Sorted, so that 10,000 rules take no square of that.
static void report_duplicates(struct reader *reader, const struct node *mapping, const char *what)
{
    const struct node **keys = arena_alloc(reader->arena, mapping->count * sizeof(keys[0]));
    if (keys == NULL) {
        return;
    }
    uint32_t count = 0;
    for (const struct node *member = mapping->first; member != NULL; member = member->next) {
        keys[count++] = member->key;
    }
    qsort(keys, count, sizeof(keys[0]), key_compare);
    for (uint32_t i = 1; i < count; i++) {
        if (strcmp(keys[i]->text, keys[i - 1]->text) == 0) {
            struct position first = keys[i - 1]->at;
            reader_problem(reader, keys[i]->at,
                           "%s: '%s' is already there on line %" PRIu32 ", column %" PRIu32, what,
                           keys[i]->text, first.line, first.column);
        }
    }
}

bool reader_mapping(struct reader *reader, const struct node *node, const char *what,
                    bool is_empty_fine)
{
    if (node == NULL) {
        return false;
    }
    if (node->kind == NODE_MAPPING) {
        report_duplicates(reader, node, what);
        return true;
    }
    if (!is_empty_fine || !node_is_empty(node)) {
        reader_problem(reader, node->at, "%s: must be a mapping (key: value), not %s", what,
                       node_kind_name(node));
    }
    return false;
}

const char *reader_text(struct reader *reader, const struct node *node, const char *what)
{
    if (node->kind != NODE_TEXT || node_is_empty(node)) {
        reader_problem(reader, node->at, "%s: must be a text, not %s", what, node_kind_name(node));
        return NULL;
    }
    return text_expand(reader, node, what);
}

// The row of that name in one of the shape's tables, and which one.
static const struct option_spec *shape_row(const struct shape *shape, const char *name,
                                           struct options **out_options)
{
    for (size_t i = 0; i < SHAPE_TABLES_MAX; i++) {
        const struct option_spec *row =
            shape->options[i] == NULL ? NULL : option_find(options_table(shape->options[i]), name);
        if (row != NULL) {
            *out_options = shape->options[i];
            return row;
        }
    }
    return NULL;
}

bool option_is_fault(const struct option_spec *row)
{
    return strncmp(row->name, "fault_", 6) == 0 || strcmp(row->name, "ack_before_commit") == 0;
}

static void unknown_key(struct reader *reader, const struct node *key, const struct shape *shape)
{
    const char *known[KEYS_MAX + 1];
    size_t count = 0;
    for (size_t i = 0; shape->others != NULL && shape->others[i] != NULL && count < KEYS_MAX; i++) {
        known[count++] = shape->others[i];
    }
    for (size_t i = 0; i < SHAPE_TABLES_MAX; i++) {
        const struct option_spec *row =
            shape->options[i] == NULL ? NULL : options_table(shape->options[i]);
        for (; row != NULL && row->name != NULL && count < KEYS_MAX; row++) {
            if (!option_is_fault(row)) {
                known[count++] = row->name;
            }
        }
    }
    known[count] = NULL;
    if (name_is_among(key->text, shape->beside)) {
        reader_problem(reader, key->at, "%s: '%s' stands beside it, not in it", shape->what,
                       key->text);
        return;
    }
    const char *hint = reader_hint(reader, key->text, known);
    reader_problem(reader, key->at, "unknown key '%.80s' in %s%s", key->text, shape->what,
                   hint == NULL ? "" : hint);
}

static void option_read(struct reader *reader, const struct node *node, const struct shape *shape,
                        const struct option_spec *row, struct options *options)
{
    if (node->kind != NODE_TEXT || node_is_empty(node)) {
        char allowed[200];
        option_allowed(row, allowed, sizeof(allowed));
        reader_problem(reader, node->at, "%s: %s: must be %s, not %s", shape->what, row->name,
                       allowed, node_kind_name(node));
        return;
    }
    const char *text = node->text;
    if (!shape->is_verbatim) {
        char what[200];
        snprintf(what, sizeof(what), "%s: %s", shape->what, row->name);
        text = text_expand(reader, node, what);
    }
    if (text != NULL && row->type == OPTION_PATH && text[0] != '\0') {
        text = reader_path(reader, text);
    }
    struct error e = {0};
    if (text != NULL && options_set(options, row->name, text, &e) != ERR_OK) {
        reader_problem(reader, node->at, "%s: %s", shape->what, e.text);
    }
}

bool reader_is_misspelt(const struct node *node, const struct shape *shape, const char *name)
{
    const char *const candidates[] = {name, NULL};
    const struct node *member = node->kind == NODE_MAPPING ? node->first : NULL;
    for (; member != NULL; member = member->next) {
        struct options *options = NULL;
        bool is_unknown = shape_row(shape, member->key->text, &options) == NULL &&
                          !name_is_among(member->key->text, shape->others);
        if (is_unknown && nearest_name(member->key->text, candidates) != NULL) {
            return true;
        }
    }
    return false;
}

static void report_missing(struct reader *reader, const struct node *node,
                           const struct shape *shape, const struct options *options)
{
    const struct option_spec *row = options == NULL ? NULL : options_table(options);
    for (; row != NULL && row->name != NULL; row++) {
        bool is_misplaced = shape->around != NULL && node_get(shape->around, row->name) != NULL;
        if (row->is_required && node_get(node, row->name) == NULL && !is_misplaced &&
            !reader_is_misspelt(node, shape, row->name)) {
            const char *end = strstr(row->sentence, ". "); // The first sentence will do.
            int len =
                (int)(end == NULL ? strlen(row->sentence) : (size_t)(end + 1 - row->sentence));
            reader_problem(reader, node->at, "%s: '%s' is missing: %.*s", shape->what, row->name,
                           len, row->sentence);
        }
    }
}

void reader_options(struct reader *reader, const struct node *node, const struct shape *shape)
{
    if (!reader_mapping(reader, node, shape->what, true) && !node_is_empty(node)) {
        return;
    }
    for (const struct node *member = node->first; member != NULL; member = member->next) {
        struct options *options = NULL;
        const struct option_spec *row = shape_row(shape, member->key->text, &options);
        if (row != NULL) {
            option_read(reader, member, shape, row, options);
        } else if (!name_is_among(member->key->text, shape->others)) {
            unknown_key(reader, member->key, shape);
        }
    }
    for (size_t i = 0; i < SHAPE_TABLES_MAX; i++) {
        report_missing(reader, node, shape, shape->options[i]);
    }
}
