#include "config/document.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/arena.h"
#include "base/file.h"
#include "config/locate.h"

struct document {
    struct arena *arena;
    char *path;
    char *file, *text; // text: file without a byte order mark.
    size_t file_len, len;
    struct node *root;
};

const struct node *document_root(const struct document *document)
{
    return document->root;
}

struct position document_locate(const struct document *document, const struct node *node,
                                size_t offset)
{
    return locate(document->text, document->len, node, offset);
}

const struct node *node_get(const struct node *node, const char *name)
{
    const struct node *member = node->kind == NODE_MAPPING ? node->first : NULL;
    while (member != NULL && strcmp(member->key->text, name) != 0) {
        member = member->next;
    }
    return member;
}

bool node_is_empty(const struct node *node)
{
    if (node->kind != NODE_TEXT || node->style != STYLE_PLAIN) {
        return false;
    }
    return node->text[0] == '\0' || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0;
}

const char *node_kind_name(const struct node *node)
{
    static const char *const names[] = {"a single value", "a list", "a mapping"};
    return node_is_empty(node) ? "empty" : names[node->kind];
}

enum err document_error(const struct document *document, struct position at, struct error *e,
                        const char *format, ...)
{
    char text[sizeof(e->text)];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return error_set(e, ERR_CONFIG, "%s:%" PRIu32 ":%" PRIu32 ": %s", document->path, at.line,
                     at.column, text);
}

static struct position position_of(yaml_mark_t mark)
{
    return (struct position){(uint32_t)mark.line + 1, (uint32_t)mark.column + 1};
}

static bool is_indented_by_tab(const struct document *document, size_t line)
{
    const char *at = document->text, *end = document->text + document->len;
    for (; line > 0 && at < end; at++) {
        line -= *at == '\n';
    }
    while (at < end && *at == ' ') {
        at++;
    }
    return at < end && *at == '\t';
}

static enum err syntax_error(const struct document *document, const yaml_parser_t *parser,
                             struct error *e)
{
    if (parser->error == YAML_MEMORY_ERROR) {
        return error_set(e, ERR_NO_MEMORY, "%s: out of memory", document->path);
    }
    if (parser->error == YAML_READER_ERROR) { // Not UTF-8, or a control character.
        return document_error(document,
                              locate_byte(document->text, document->len, parser->problem_offset), e,
                              "not valid UTF-8 text: %s", parser->problem);
    }
    if (is_indented_by_tab(document, parser->problem_mark.line)) {
        return document_error(document, position_of(parser->problem_mark), e,
                              "not valid YAML: a tab; lines are indented by spaces");
    }
    if (parser->context == NULL) {
        return document_error(document, position_of(parser->problem_mark), e, "not valid YAML: %s",
                              parser->problem);
    }
    return document_error(document, position_of(parser->problem_mark), e,
                          "not valid YAML: %s %s that starts on line %zu", parser->problem,
                          parser->context, parser->context_mark.line + 1);
}

struct parse {
    struct document *document;
    yaml_parser_t yaml;
};

static enum err next_event(struct parse *parse, yaml_event_t *out_event, struct error *e)
{
    if (yaml_parser_parse(&parse->yaml, out_event)) {
        return ERR_OK;
    }
    return syntax_error(parse->document, &parse->yaml, e);
}

static enum err node_create(struct parse *parse, const yaml_event_t *event, enum node_kind kind,
                            struct node **out_node, struct error *e)
{
    struct node *node = arena_alloc(parse->document->arena, sizeof(*node));
    if (node == NULL) {
        return error_set(e, ERR_NO_MEMORY, "%s: out of memory", parse->document->path);
    }
    node->kind = kind;
    node->at = position_of(event->start_mark);
    node->index = event->start_mark.index;
    *out_node = node;
    return ERR_OK;
}

static void node_append(struct node *parent, struct node *child)
{
    if (parent->last == NULL) {
        parent->first = child;
    } else {
        parent->last->next = child;
    }
    parent->last = child;
    parent->count++;
}

static enum node_style style_of(yaml_scalar_style_t style)
{
    switch (style) {
    case YAML_SINGLE_QUOTED_SCALAR_STYLE:
        return STYLE_SINGLE_QUOTED;
    case YAML_DOUBLE_QUOTED_SCALAR_STYLE:
        return STYLE_DOUBLE_QUOTED;
    case YAML_LITERAL_SCALAR_STYLE:
        return STYLE_LITERAL;
    case YAML_FOLDED_SCALAR_STYLE:
        return STYLE_FOLDED;
    default:
        return STYLE_PLAIN;
    }
}

static enum err text_node(struct parse *parse, const yaml_event_t *event, struct node **out_node,
                          struct error *e)
{
    struct node *node = NULL;
    enum err rc = node_create(parse, event, NODE_TEXT, &node, e);
    if (rc != ERR_OK) {
        return rc;
    }
    const char *value = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    if (memchr(value, '\0', len) != NULL) {
        return document_error(parse->document, node->at, e, "a NUL character in a text");
    }
    node->style = style_of(event->data.scalar.style);
    node->text = arena_text(parse->document->arena, value, len);
    if (node->text == NULL) {
        return error_set(e, ERR_NO_MEMORY, "%s: out of memory", parse->document->path);
    }
    *out_node = node;
    return ERR_OK;
}

// What is YAML but has no place in a configuration that people read line by line.
static enum err refuse_decoration(struct parse *parse, const yaml_event_t *event, struct error *e)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return document_error(parse->document, position_of(event->start_mark), e,
                              "alias '*%s': anchors and aliases are not supported; write the value "
                              "out",
                              event->data.alias.anchor);
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (anchor != NULL) {
        return document_error(parse->document, position_of(event->start_mark), e,
                              "anchor '&%s': anchors and aliases are not supported; write the "
                              "value out",
                              anchor);
    }
    if (tag != NULL) {
        return document_error(parse->document, position_of(event->start_mark), e,
                              "tag '%s': tags are not supported; the option decides the type", tag);
    }
    return ERR_OK;
}

static enum err node_parse(struct parse *parse, const yaml_event_t *event, unsigned depth,
                           struct node **out_node, struct error *e);

// Reads the next node; *out_node is NULL at the end of the list or mapping around it.
static enum err member_parse(struct parse *parse, unsigned depth, struct node **out_node,
                             struct error *e)
{
    yaml_event_t event;
    enum err rc = next_event(parse, &event, e);
    if (rc != ERR_OK) {
        return rc;
    }
    *out_node = NULL;
    if (event.type != YAML_SEQUENCE_END_EVENT && event.type != YAML_MAPPING_END_EVENT) {
        rc = node_parse(parse, &event, depth, out_node, e);
    }
    yaml_event_delete(&event);
    return rc;
}

static enum err list_parse(struct parse *parse, struct node *list, unsigned depth, struct error *e)
{
    for (;;) {
        struct node *item = NULL;
        enum err rc = member_parse(parse, depth, &item, e);
        if (rc != ERR_OK || item == NULL) {
            return rc;
        }
        node_append(list, item);
    }
}

static enum err mapping_parse(struct parse *parse, struct node *mapping, unsigned depth,
                              struct error *e)
{
    for (;;) {
        struct node *key = NULL, *value = NULL;
        enum err rc = member_parse(parse, depth, &key, e);
        if (rc != ERR_OK || key == NULL) {
            return rc;
        }
        if (key->kind != NODE_TEXT) {
            return document_error(parse->document, key->at, e, "a key must be a text, not %s",
                                  node_kind_name(key));
        }
        rc = member_parse(parse, depth, &value, e);
        if (rc != ERR_OK) {
            return rc;
        }
        value->key = key;
        node_append(mapping, value);
    }
}

static enum err node_parse(struct parse *parse, const yaml_event_t *event, unsigned depth,
                           struct node **out_node, struct error *e)
{
    enum err rc = refuse_decoration(parse, event, e);
    if (rc != ERR_OK) {
        return rc;
    }
    if (depth == DOCUMENT_DEPTH_MAX) {
        return document_error(parse->document, position_of(event->start_mark), e,
                              "nested deeper than %d levels", DOCUMENT_DEPTH_MAX);
    }
    if (event->type == YAML_SCALAR_EVENT) {
        return text_node(parse, event, out_node, e);
    }
    bool is_list = event->type == YAML_SEQUENCE_START_EVENT;
    struct node *node = NULL;
    rc = node_create(parse, event, is_list ? NODE_LIST : NODE_MAPPING, &node, e);
    if (rc == ERR_OK) {
        rc = is_list ? list_parse(parse, node, depth + 1, e)
                     : mapping_parse(parse, node, depth + 1, e);
    }
    if (rc == ERR_OK) {
        *out_node = node;
    }
    return rc;
}

// Stream start, one document, stream end.
static enum err document_parse(struct parse *parse, struct error *e)
{
    struct document *document = parse->document;
    for (;;) {
        yaml_event_t event;
        enum err rc = next_event(parse, &event, e);
        if (rc != ERR_OK) {
            return rc;
        }
        yaml_event_type_t type = event.type;
        if (type == YAML_DOCUMENT_START_EVENT && document->root != NULL) {
            rc = document_error(document, position_of(event.start_mark), e,
                                "a second document; one file is one configuration");
        } else if (type == YAML_ALIAS_EVENT || type == YAML_SCALAR_EVENT ||
                   type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT) {
            rc = node_parse(parse, &event, 0, &document->root, e);
        }
        yaml_event_delete(&event);
        if (rc != ERR_OK || type == YAML_STREAM_END_EVENT) {
            return rc;
        }
    }
}

static enum err document_read(struct document *document, struct error *e)
{
    struct parse parse = {.document = document};
    if (!yaml_parser_initialize(&parse.yaml)) {
        return error_set(e, ERR_NO_MEMORY, "%s: out of memory", document->path);
    }
    yaml_parser_set_encoding(&parse.yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parse.yaml, (const unsigned char *)document->text, document->len);
    enum err rc = document_parse(&parse, e);
    yaml_parser_delete(&parse.yaml);
    if (rc == ERR_OK && document->root == NULL) {
        struct position start = {1, 1};
        rc = document_error(document, start, e, "the configuration is empty");
    }
    return rc;
}

static void skip_byte_order_mark(struct document *document)
{
    bool is_marked = document->file_len >= 3 && memcmp(document->file, "\xEF\xBB\xBF", 3) == 0;
    document->text = document->file + (is_marked ? 3 : 0);
    document->len = document->file_len - (is_marked ? 3 : 0);
}

enum err document_load(struct document **out_document, const char *path, size_t max_bytes,
                       struct error *e)
{
    struct document *document = calloc(1, sizeof(*document));
    if (document == NULL) {
        return error_set(e, ERR_NO_MEMORY, "%s: out of memory", path);
    }
    enum err rc = ERR_OK;
    document->arena = arena_create();
    document->path = strdup(path);
    if (document->arena == NULL || document->path == NULL) {
        rc = error_set(e, ERR_NO_MEMORY, "%s: out of memory", path);
        goto cleanup;
    }
    rc = file_read(path, max_bytes, &document->file, &document->file_len, e);
    if (rc != ERR_OK) {
        goto cleanup;
    }
    skip_byte_order_mark(document);
    rc = document_read(document, e);
    if (rc == ERR_OK) {
        *out_document = document;
        document = NULL;
    }
cleanup:
    document_destroy(document);
    return rc;
}

void document_destroy(struct document *document)
{
    if (document == NULL) {
        return;
    }
    if (document->file != NULL) {
        explicit_bzero(document->file, document->file_len); // A password may stand in it.
    }
    free(document->file);
    free(document->path);
    arena_destroy(document->arena);
    free(document);
}
