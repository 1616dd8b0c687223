#include "core/render_template.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/option.h"

#define FIELD_PREFIX     "fields."
#define FIELD_PREFIX_LEN (sizeof(FIELD_PREFIX) - 1)

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for a rendered text");
}

static int find_result(sqlite3_stmt *compiled, const char *name)
{
    int count = sqlite3_column_count(compiled);
    for (int i = 0; i < count; i++) {
        if (strcasecmp(sqlite3_column_name(compiled, i), name) == 0) {
            return i;
        }
    }
    return -1;
}

static enum err unknown_column(const char *name, sqlite3_stmt *compiled, struct error *e)
{
    int results = sqlite3_column_count(compiled);
    size_t slots = (size_t)results + EVENT_COLUMN_COUNT + 1;
    const char **names = calloc(slots, sizeof(*names));
    const char *nearest = NULL;
    if (names != NULL) {
        for (int i = 0; i < results; i++) {
            names[i] = sqlite3_column_name(compiled, i);
        }
        for (int i = 0; i < EVENT_COLUMN_COUNT; i++) {
            names[results + i] = event_column_name((enum event_column)i);
        }
        nearest = nearest_name(name, names);
    }
    error_set(e, ERR_CONFIG,
              "there is no column \"%s\" in the rule's result or among the event's standard "
              "columns%s%s%s; a payload field is written fields.%s",
              name, nearest == NULL ? "" : " (did you mean \"", nearest == NULL ? "" : nearest,
              nearest == NULL ? "" : "\"?)", name);
    free(names);
    return ERR_CONFIG;
}

enum err column_ref_find(struct column_ref *out_ref, const char *name, sqlite3_stmt *compiled,
                         struct error *e)
{
    int result = find_result(compiled, name);
    enum event_column column = event_column_find(name);
    if (result >= 0) {
        *out_ref = (struct column_ref){REF_RESULT, result, NULL};
    } else if (column != EVENT_COLUMN_COUNT) {
        *out_ref = (struct column_ref){REF_EVENT, (int)column, NULL};
    } else if (strncasecmp(name, FIELD_PREFIX, FIELD_PREFIX_LEN) == 0) {
        *out_ref = (struct column_ref){REF_FIELD, 0, name + FIELD_PREFIX_LEN};
    } else {
        return unknown_column(name, compiled, e);
    }
    return ERR_OK;
}

void column_ref_value(const struct column_ref *ref, const struct render_row *row,
                      struct event_value *out_value)
{
    switch (ref->kind) {
    case REF_RESULT:
        value_of_sqlite(sqlite3_column_value(row->compiled, ref->index), out_value);
        break;
    case REF_EVENT:
        event_column(row->event, (enum event_column)ref->index, out_value);
        break;
    case REF_FIELD:
        event_field(row->event, ref->path, out_value);
        break;
    }
}

void text_writer_deinit(struct text_writer *writer)
{
    free(writer->text);
    *writer = (struct text_writer){.text = NULL};
}

enum err text_writer_add(struct text_writer *writer, struct bytes text, struct error *e)
{
    if (text.len > PAYLOAD_BYTES_MAX - writer->len) {
        return error_set(e, ERR_INVALID, "is longer than %d bytes", PAYLOAD_BYTES_MAX);
    }
    if (writer->capacity - writer->len < text.len) {
        size_t wanted = 2 * (writer->len + text.len) + 64;
        char *grown = realloc(writer->text, wanted);
        if (grown == NULL) {
            return no_memory(e);
        }
        writer->text = grown;
        writer->capacity = wanted;
    }
    if (text.len > 0) {
        memcpy(writer->text + writer->len, text.ptr, text.len);
    }
    writer->len += text.len;
    return ERR_OK;
}

enum err text_writer_keep(const struct text_writer *writer, struct event_memory *memory,
                          struct bytes *out_text, struct error *e)
{
    char *text = event_memory_text(memory, bytes_of(writer->text, writer->len));
    if (text == NULL) {
        return no_memory(e);
    }
    *out_text = bytes_of(text, writer->len);
    return ERR_OK;
}

static enum err add_tree(struct text_writer *writer, struct json_t *tree, struct error *e)
{
    char *text = json_to_text(tree);
    enum err rc = text == NULL ? no_memory(e) : text_writer_add(writer, bytes_from_text(text), e);
    free(text);
    return rc;
}

enum err text_writer_add_value(struct text_writer *writer, const struct event_value *value,
                               struct error *e)
{
    char number[REAL_TEXT_BYTES];
    size_t len;
    switch (value->kind) {
    case VALUE_NULL:
        return ERR_OK;
    case VALUE_BOOLEAN:
        return text_writer_add(writer, bytes_from_text(value->integer ? "true" : "false"), e);
    case VALUE_INTEGER:
        len = (size_t)snprintf(number, sizeof(number), "%" PRId64, value->integer);
        return text_writer_add(writer, bytes_of(number, len), e);
    case VALUE_REAL:
        len = real_to_text(value->real, number);
        return text_writer_add(writer, bytes_of(number, len), e);
    case VALUE_TEXT:
    case VALUE_JSON:
        return text_writer_add(writer, value->bytes, e);
    case VALUE_TREE:
        return add_tree(writer, value->tree, e);
    case VALUE_BLOB:
        break;
    }
    return error_set(e, ERR_INVALID, "is a blob, not a text; use hex(...) for it");
}

// Literal text, then a column unless it is the last piece's end.
struct piece {
    struct bytes literal;
    bool has_column;
    struct column_ref column;
    const char *name;
};

struct template
{
    char *text; // Literals and names point into it; braces are cut out in place.
    struct piece *pieces;
    uint32_t count;
};

static struct piece *add_piece(struct template *template)
{
    struct piece *pieces = reallocarray(template->pieces, template->count + 1, sizeof(*pieces));
    if (pieces == NULL) {
        return NULL;
    }
    template->pieces = pieces;
    pieces[template->count] = (struct piece){.has_column = false};
    return &pieces[template->count++];
}

static enum err add_literal(struct template *template, struct bytes text, struct error *e)
{
    struct piece *piece = text.len == 0 ? NULL : add_piece(template);
    if (piece == NULL) {
        return text.len == 0 ? ERR_OK : no_memory(e);
    }
    piece->literal = text;
    return ERR_OK;
}

// *at stands behind the opening brace; on success it is behind the closing one.
static enum err add_column(struct template *template, char **at, sqlite3_stmt *compiled,
                           struct error *e)
{
    char *name = *at;
    char *close = strchr(name, '}');
    if (close == NULL || close == name) {
        return error_set(
            e, ERR_CONFIG,
            "the template has a { without a column and a } behind it; write {{ for the "
            "brace itself");
    }
    *close = '\0';
    struct piece *piece = add_piece(template);
    if (piece == NULL) {
        return no_memory(e);
    }
    piece->has_column = true;
    piece->name = name;
    *at = close + 1;
    return column_ref_find(&piece->column, name, compiled, e);
}

static enum err parse(struct template *template, sqlite3_stmt *compiled, struct error *e)
{
    char *at = template->text;
    enum err rc = ERR_OK;
    while (rc == ERR_OK && *at != '\0') {
        size_t len = strcspn(at, "{}");
        char brace = at[len];
        bool is_doubled = brace != '\0' && at[len + 1] == brace;
        rc = add_literal(template, bytes_of(at, len + is_doubled), e);
        at += len + (brace != '\0') + is_doubled;
        if (rc == ERR_OK && brace == '{' && !is_doubled) {
            rc = add_column(template, &at, compiled, e);
        } else if (rc == ERR_OK && brace == '}' && !is_doubled) {
            rc = error_set(e, ERR_CONFIG,
                           "the template has a } without a {; write }} for the brace itself");
        }
    }
    return rc;
}

enum err template_create(struct template **out_template, const char *text, sqlite3_stmt *compiled,
                         struct error *e)
{
    struct template *template = calloc(1, sizeof(*template));
    if (template != NULL) {
        template->text = strdup(text);
    }
    enum err rc =
        template == NULL || template->text == NULL ? no_memory(e) : parse(template, compiled, e);
    if (rc == ERR_OK) {
        *out_template = template;
        return ERR_OK;
    }
    template_destroy(template);
    return rc == ERR_CONFIG ? error_wrap(e, "\"%.200s\"", text) : rc;
}

void template_destroy(struct template *template)
{
    if (template != NULL) {
        free(template->text);
        free(template->pieces);
        free(template);
    }
}

static bool is_unreserved(char byte)
{
    return isalnum((unsigned char)byte) || strchr("-._~", byte) != NULL;
}

// Percent-encodes what the writer has from there on: from its end on, in place.
static enum err encode(struct text_writer *writer, size_t from, struct error *e)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t end = writer->len;
    enum err rc = ERR_OK;
    for (size_t i = from; rc == ERR_OK && i < end; i++) {
        bool is_plain = writer->text[i] != '\0' && is_unreserved(writer->text[i]);
        rc = is_plain ? ERR_OK : text_writer_add(writer, bytes_of("%%", 2), e);
    }
    size_t to = writer->len;
    while (rc == ERR_OK && end > from) {
        unsigned char byte = (unsigned char)writer->text[--end];
        if (byte != '\0' && is_unreserved((char)byte)) {
            writer->text[--to] = (char)byte;
        } else {
            writer->text[--to] = digits[byte & 15];
            writer->text[--to] = digits[byte >> 4];
            writer->text[--to] = '%';
        }
    }
    return rc;
}

static enum err render_column(const struct piece *piece, const struct render_row *row,
                              enum template_use use, struct text_writer *writer, struct error *e)
{
    struct event_value value;
    column_ref_value(&piece->column, row, &value);
    size_t before = writer->len;
    struct error why = {0};
    enum err rc = text_writer_add_value(writer, &value, &why);
    if (rc != ERR_OK) {
        return error_set(e, rc, "column \"%s\" %s", piece->name, why.text);
    }
    if (rc == ERR_OK && use != TEMPLATE_TEXT && writer->len == before) {
        return error_set(e, ERR_INVALID, "column \"%s\" is %s and would leave %s empty",
                         piece->name, value.kind == VALUE_NULL ? "NULL" : "an empty text",
                         use == TEMPLATE_TOPIC ? "a level of the topic" : "a part of the path");
    }
    return use == TEMPLATE_ADDRESS ? encode(writer, before, e) : rc;
}

enum err template_render(const struct template *template, const struct render_row *row,
                         enum template_use use, struct text_writer *writer, struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < template->count; i++) {
        const struct piece *piece = &template->pieces[i];
        rc = piece->has_column ? render_column(piece, row, use, writer, e)
                               : text_writer_add(writer, piece->literal, e);
    }
    return rc;
}
