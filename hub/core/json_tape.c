#include "core/json_tape.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "base/utf8.h"
#include "core/field_path.h"

#define SCRATCH_BYTES 4096 // For yajl; texts with long escaped strings take more, from the heap.
#define FEW_MEMBERS   12   // Up to here each name is compared with each.
#define NUMBER_LEN    64   // A longer one is read on the heap.

struct reader {
    yajl_handle handle;
    struct bytes text;
    struct event_memory *memory;
    struct json_node *nodes;
    uint32_t count, capacity;
    uint32_t open[JSON_DEPTH_MAX]; // Nodes that have not ended.
    uint32_t depth;
    const char *key;
    size_t key_len;
    const char *problem; // Why we ended it; NULL: yajl did.
    bool is_out_of_memory;
    bool is_at_end;   // All of the text was fine, as far as it goes.
    size_t whole_end; // Where the whole ends in the text.
    size_t scratch_used;
    uint64_t scratch[SCRATCH_BYTES / sizeof(uint64_t)];
};

// ---- yajl's memory: a little of the stack for what is usual ------------------------------------

static void *scratch_take(void *context, size_t size)
{
    struct reader *reader = context;
    size_t wanted = (size + 15) / 8 * 8; // With its size in front.
    if (wanted > sizeof(reader->scratch) - reader->scratch_used) {
        return malloc(size);
    }
    uint64_t *place = reader->scratch + reader->scratch_used / 8;
    reader->scratch_used += wanted;
    *place = size;
    return place + 1;
}

static bool is_scratch(const struct reader *reader, const void *piece)
{
    uintptr_t begin = (uintptr_t)reader->scratch, at = (uintptr_t)piece;
    return at >= begin && at < begin + sizeof(reader->scratch);
}

static void scratch_free(void *context, void *piece)
{
    if (!is_scratch(context, piece)) {
        free(piece);
    }
}

static void *scratch_resize(void *context, void *piece, size_t size)
{
    if (piece == NULL) {
        return scratch_take(context, size);
    }
    if (!is_scratch(context, piece)) {
        return realloc(piece, size);
    }
    size_t had = (size_t)((uint64_t *)piece)[-1];
    void *moved = scratch_take(context, size);
    if (moved != NULL) {
        memcpy(moved, piece, had < size ? had : size);
    }
    return moved;
}

// ---- nodes -------------------------------------------------------------------------------------

static int give_up(struct reader *reader, const char *problem)
{
    reader->problem = problem;
    return 0;
}

static int no_memory(struct reader *reader)
{
    reader->is_out_of_memory = true;
    return 0;
}

static bool is_in_text(const struct reader *reader, const char *place)
{
    uintptr_t begin = (uintptr_t)reader->text.ptr, at = (uintptr_t)place;
    return at >= begin && at < begin + reader->text.len;
}

// Where it stands, or a copy where yajl has taken escapes out of it.
static const char *keep(struct reader *reader, const char *text, size_t len)
{
    return is_in_text(reader, text) ? text : event_memory_text(reader->memory, bytes_of(text, len));
}

static void note_end(struct reader *reader)
{
    if (reader->depth == 0) {
        reader->whole_end =
            reader->is_at_end ? reader->text.len : yajl_get_bytes_consumed(reader->handle);
    }
}

static int add(struct reader *reader, enum json_kind kind, const char *text, size_t len)
{
    if (reader->count == reader->capacity) {
        return give_up(reader, "has too many members and items");
    }
    struct json_node *node = &reader->nodes[reader->count++];
    *node = (struct json_node){.key = reader->key,
                               .text = text,
                               .key_len = (uint32_t)reader->key_len,
                               .text_len = (uint32_t)len,
                               .next = reader->count,
                               .kind = kind};
    reader->key = NULL;
    reader->key_len = 0;
    note_end(reader);
    return 1;
}

static int on_null(void *context)
{
    return add(context, JSON_KIND_NULL, NULL, 0);
}

static int on_boolean(void *context, int is_true)
{
    return add(context, is_true != 0 ? JSON_KIND_TRUE : JSON_KIND_FALSE, NULL, 0);
}

static double number_of(const char *text, size_t len)
{
    char few[NUMBER_LEN + 1];
    char *copy = len <= NUMBER_LEN ? few : malloc(len + 1);
    if (copy == NULL) {
        return NAN;
    }
    memcpy(copy, text, len);
    copy[len] = '\0';
    double number = strtod(copy, NULL);
    if (copy != few) {
        free(copy);
    }
    return number;
}

// False: 64 bits do not hold it, or it is not whole.
static bool whole_number(const char *text, size_t len, struct event_value *out_value)
{
    bool is_negative = text[0] == '-';
    uint64_t limit = (uint64_t)INT64_MAX + is_negative, number = 0;
    for (size_t i = is_negative; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (number > (limit - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    *out_value = (struct event_value){.kind = VALUE_INTEGER,
                                      .integer = is_negative ? (int64_t)(UINT64_C(0) - number)
                                                             : (int64_t)number};
    return true;
}

static bool has_byte(const char *text, size_t len, char byte)
{
    return memchr(text, byte, len) != NULL;
}

static int on_number(void *context, const char *text, size_t len)
{
    struct event_value unused;
    bool has_exponent = has_byte(text, len, 'e') || has_byte(text, len, 'E');
    bool is_whole = !has_exponent && !has_byte(text, len, '.');
    if (is_whole && len > 18 && !whole_number(text, len, &unused)) {
        return give_up(context, "has a whole number that 64 bits do not hold");
    }
    if ((has_exponent || len > 300) && !isfinite(number_of(text, len))) {
        return give_up(context, "has a number that is too large");
    }
    const char *kept = keep(context, text, len); // The last of a text is not in it.
    return kept == NULL ? no_memory(context) : add(context, JSON_KIND_NUMBER, kept, len);
}

static int on_text(void *context, const unsigned char *text, size_t len)
{
    const char *kept = keep(context, (const char *)text, len);
    return kept == NULL ? no_memory(context) : add(context, JSON_KIND_TEXT, kept, len);
}

static int on_key(void *context, const unsigned char *text, size_t len)
{
    struct reader *reader = context;
    reader->key = keep(reader, (const char *)text, len);
    reader->key_len = len;
    return reader->key == NULL ? no_memory(reader) : 1;
}

static int begin(struct reader *reader, enum json_kind kind)
{
    if (reader->depth == JSON_DEPTH_MAX) {
        return give_up(reader, "is nested deeper than 32 levels");
    }
    reader->open[reader->depth++] = reader->count;
    size_t at = yajl_get_bytes_consumed(reader->handle) - 1;
    return add(reader, kind, (const char *)reader->text.ptr + at, 0);
}

static int on_begin_object(void *context)
{
    return begin(context, JSON_KIND_OBJECT);
}

static int on_begin_array(void *context)
{
    return begin(context, JSON_KIND_ARRAY);
}

static struct json_node *end(struct reader *reader)
{
    struct json_node *node = &reader->nodes[reader->open[--reader->depth]];
    const char *here = (const char *)reader->text.ptr + yajl_get_bytes_consumed(reader->handle);
    node->next = reader->count;
    node->text_len = (uint32_t)(here - node->text);
    note_end(reader);
    return node;
}

static int on_end_array(void *context)
{
    end(context);
    return 1;
}

static bool same_key(const struct json_node *a, const struct json_node *b)
{
    return a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0;
}

static int by_key(const void *left, const void *right)
{
    const struct json_node *a = *(const struct json_node *const *)left;
    const struct json_node *b = *(const struct json_node *const *)right;
    if (a->key_len != b->key_len) {
        return a->key_len < b->key_len ? -1 : 1;
    }
    return memcmp(a->key, b->key, a->key_len);
}

static bool few_have_twin(const struct json_node *const *members, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        for (uint32_t n = 0; n < i; n++) {
            if (same_key(members[i], members[n])) {
                return true;
            }
        }
    }
    return false;
}

static bool sorted_have_twin(const struct json_node *const *members, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        if (same_key(members[i - 1], members[i])) {
            return true;
        }
    }
    return false;
}

static uint32_t list_members(const struct reader *reader, uint32_t object,
                             const struct json_node **out_members, uint32_t count_max)
{
    uint32_t count = 0;
    for (uint32_t i = object + 1; i < reader->count; i = reader->nodes[i].next) {
        if (count < count_max) {
            out_members[count] = &reader->nodes[i];
        }
        count++;
    }
    return count;
}

static int on_end_object(void *context)
{
    struct reader *reader = context;
    uint32_t object = (uint32_t)(end(reader) - reader->nodes);
    const struct json_node *few[FEW_MEMBERS];
    uint32_t count = list_members(reader, object, few, FEW_MEMBERS);
    if (count <= FEW_MEMBERS) {
        return few_have_twin(few, count) ? give_up(reader, "has a member twice") : 1;
    }
    const struct json_node **members = malloc(count * sizeof(members[0]));
    if (members == NULL) {
        return no_memory(reader);
    }
    list_members(reader, object, members, count);
    qsort(members, count, sizeof(members[0]), by_key);
    bool has_twin = sorted_have_twin(members, count);
    free(members);
    return has_twin ? give_up(reader, "has a member twice") : 1;
}

// ---- reading -----------------------------------------------------------------------------------

// As many as there can be at most, by the marks that begin or follow one.
static uint32_t most_nodes(struct bytes text)
{
    uint32_t count = 1;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        count += (uint32_t)(byte == ',') + (uint32_t)(byte == '{') + (uint32_t)(byte == '[');
    }
    return count < JSON_NODES_MAX ? count : JSON_NODES_MAX;
}

// Of the byte that could not be taken.
static void find_place(const struct reader *reader, uint32_t *out_line, uint32_t *out_column)
{
    size_t taken = yajl_get_bytes_consumed(reader->handle);
    size_t offset = reader->is_at_end ? reader->text.len : taken == 0 ? 0 : taken - 1;
    *out_line = *out_column = 1;
    for (size_t i = 0; i < offset && i < reader->text.len; i++) {
        *out_column += 1;
        if (reader->text.ptr[i] == '\n') {
            *out_line += 1;
            *out_column = 1;
        }
    }
}

// yajl says "parse error: what\n".
static void copy_reason(char *out, size_t size, const char *said)
{
    const char *colon = strstr(said, ": ");
    snprintf(out, size, "%s", colon == NULL ? said : colon + 2);
    out[strcspn(out, "\n")] = '\0';
}

static enum err tell(struct reader *reader, struct error *e)
{
    if (reader->is_out_of_memory) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for JSON");
    }
    uint32_t line, column;
    find_place(reader, &line, &column);
    if (reader->problem != NULL) {
        return error_set(e, ERR_INVALID, "the JSON %s (line %u, column %u)", reader->problem, line,
                         column);
    }
    char reason[120];
    unsigned char *said = yajl_get_error(reader->handle, 0, reader->text.ptr, reader->text.len);
    copy_reason(reason, sizeof(reason), said == NULL ? "" : (const char *)said);
    yajl_free_error(reader->handle, said);
    return error_set(e, ERR_INVALID, "the JSON does not parse: line %u, column %u: %s", line,
                     column, reason);
}

static bool is_blank(const struct reader *reader, size_t from)
{
    while (from < reader->text.len && strchr(" \t\r\n", reader->text.ptr[from]) != NULL &&
           reader->text.ptr[from] != '\0') {
        from++;
    }
    return from >= reader->text.len;
}

static enum err parse(struct reader *reader, struct error *e)
{
    static const yajl_callbacks callbacks = {
        .yajl_null = on_null,
        .yajl_boolean = on_boolean,
        .yajl_number = on_number,
        .yajl_string = on_text,
        .yajl_start_map = on_begin_object,
        .yajl_map_key = on_key,
        .yajl_end_map = on_end_object,
        .yajl_start_array = on_begin_array,
        .yajl_end_array = on_end_array,
    };
    yajl_alloc_funcs memory = {scratch_take, scratch_resize, scratch_free, reader};
    reader->handle = yajl_alloc(&callbacks, &memory, reader);
    if (reader->handle == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for JSON");
    }
    yajl_status status = yajl_parse(reader->handle, reader->text.ptr, reader->text.len);
    reader->is_at_end = status == yajl_status_ok;
    if (reader->is_at_end) {
        status = yajl_complete_parse(reader->handle);
    }
    // A text that is cut short behind the whole is the end for yajl.
    bool is_whole = status == yajl_status_ok && is_blank(reader, reader->whole_end);
    if (status == yajl_status_ok && !is_whole) {
        reader->problem = "is followed by something else";
    }
    enum err rc = is_whole ? ERR_OK : tell(reader, e);
    yajl_free(reader->handle);
    return rc;
}

// yajl lets surrogates that are written as bytes pass, and makes a question mark of half a pair.
static enum err check_text(struct bytes text, struct error *e)
{
    uint8_t all = 0;
    bool has_feed = false; // Which yajl takes for a blank.
    for (size_t i = 0; i < text.len; i++) {
        all |= text.ptr[i];
        has_feed |= text.ptr[i] == '\f' || text.ptr[i] == '\v';
    }
    if (has_feed) {
        return error_set(e, ERR_INVALID, "the JSON does not parse: it holds a form feed");
    }
    if (all >= 0x80 && !utf8_is_valid(text)) {
        return error_set(e, ERR_INVALID, "the JSON does not parse: it is not valid UTF-8");
    }
    const char *at = text.len == 0 ? NULL : memchr(text.ptr, '\\', text.len);
    const char *end = (const char *)text.ptr + text.len;
    for (; at != NULL && end - at > 2; at = memchr(at, '\\', (size_t)(end - at))) {
        if (at[1] == 'u' && (at[2] == 'd' || at[2] == 'D')) {
            break;
        }
        at += 2;
    }
    if (at == NULL || end - at <= 2) {
        return ERR_OK;
    }
    json_error_t why;
    json_t *tree =
        json_loadb((const char *)text.ptr, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    json_decref(tree);
    return tree != NULL
               ? ERR_OK
               : error_set(e, ERR_INVALID, "the JSON does not parse: line %d, column %d: %s",
                           why.line, why.column, why.text);
}

enum err json_tape_read(struct json_tape *out_tape, struct bytes text, struct event_memory *memory,
                        struct error *e)
{
    struct reader reader;
    memset(&reader, 0, offsetof(struct reader, scratch));
    reader.text = text;
    reader.memory = memory;
    reader.capacity = most_nodes(text);
    reader.nodes = event_memory_take(memory, reader.capacity * sizeof(reader.nodes[0]));
    if (reader.nodes == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for JSON");
    }
    enum err rc = check_text(text, e);
    rc = rc == ERR_OK ? parse(&reader, e) : rc;
    if (rc == ERR_OK) {
        *out_tape = (struct json_tape){reader.nodes, reader.count};
    }
    return rc;
}

// ---- finding -----------------------------------------------------------------------------------

static uint32_t find_member(const struct json_tape *tape, uint32_t object, struct bytes name)
{
    const struct json_node *nodes = tape->nodes;
    for (uint32_t i = object + 1; i < nodes[object].next; i = nodes[i].next) {
        if (nodes[i].key_len == name.len && memcmp(nodes[i].key, name.ptr, name.len) == 0) {
            return i;
        }
    }
    return 0;
}

static uint32_t find_item(const struct json_tape *tape, uint32_t array, struct bytes number)
{
    const struct json_node *nodes = tape->nodes;
    uint32_t wanted;
    if (!field_path_index(number, &wanted)) {
        return 0;
    }
    uint32_t i = array + 1;
    while (i < nodes[array].next && wanted > 0) {
        i = nodes[i].next;
        wanted--;
    }
    return i < nodes[array].next ? i : 0;
}

// What is behind one step of a path; 0, which is the whole, when nothing is.
static uint32_t step_into(const struct json_tape *tape, uint32_t at, struct bytes step)
{
    switch (tape->nodes[at].kind) {
    case JSON_KIND_OBJECT:
        return find_member(tape, at, step);
    case JSON_KIND_ARRAY:
        return find_item(tape, at, step);
    default:
        return 0;
    }
}

const struct json_node *json_tape_find(const struct json_tape *tape, const char *path)
{
    struct bytes rest = bytes_from_text(path);
    uint32_t found = step_into(tape, 0, rest);
    bool is_open = found == 0 && strchr(path, '.') != NULL;
    while (is_open) {
        found = step_into(tape, found, field_path_step(&rest));
        is_open = found != 0 && rest.ptr != NULL;
    }
    return found == 0 ? NULL : &tape->nodes[found];
}

// ---- values ------------------------------------------------------------------------------------

// Up to 15 digits, one point, no exponent: then a division of two doubles that are exact gives the
// nearest one, which is what strtod gives. False: it is not so simple.
static bool simple_number(const struct json_node *node, struct event_value *out_value)
{
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    bool is_negative = node->text[0] == '-', has_point = false;
    int64_t digits = 0;
    uint32_t decimals = 0;
    if (node->text_len > 16) {
        return false;
    }
    for (uint32_t i = is_negative; i < node->text_len; i++) {
        char c = node->text[i];
        if (c == '.') {
            has_point = true;
            continue;
        }
        if (c < '0' || c > '9') {
            return false;
        }
        digits = digits * 10 + (c - '0');
        decimals += has_point;
    }
    if (!has_point) {
        *out_value =
            (struct event_value){.kind = VALUE_INTEGER, .integer = is_negative ? -digits : digits};
        return true;
    }
    if (node->text_len - 1 - is_negative > 15) {
        return false;
    }
    double real = (double)digits / powers[decimals];
    *out_value = (struct event_value){.kind = VALUE_REAL, .real = is_negative ? -real : real};
    return true;
}

static void number_value(const struct json_node *node, struct event_value *out_value)
{
    if (!simple_number(node, out_value) && !whole_number(node->text, node->text_len, out_value)) {
        *out_value =
            (struct event_value){.kind = VALUE_REAL, .real = number_of(node->text, node->text_len)};
    }
}

void json_node_value(const struct json_node *node, struct event_value *out_value)
{
    struct bytes text = bytes_of(node->text, node->text_len);
    switch (node->kind) {
    case JSON_KIND_NULL:
        *out_value = (struct event_value){.kind = VALUE_NULL};
        break;
    case JSON_KIND_FALSE:
    case JSON_KIND_TRUE:
        *out_value =
            (struct event_value){.kind = VALUE_BOOLEAN, .integer = node->kind == JSON_KIND_TRUE};
        break;
    case JSON_KIND_NUMBER:
        number_value(node, out_value);
        break;
    case JSON_KIND_TEXT:
        *out_value = (struct event_value){.kind = VALUE_TEXT, .bytes = text};
        break;
    case JSON_KIND_OBJECT:
    case JSON_KIND_ARRAY:
        *out_value = (struct event_value){.kind = VALUE_JSON, .bytes = text};
        break;
    }
}
