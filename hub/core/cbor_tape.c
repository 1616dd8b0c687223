#include "core/cbor_tape.h"

#include <cbor.h>
#include <stdlib.h>

#include "base/utf8.h"

#define INDEFINITE  UINT64_MAX
#define NODES_FIRST 32

enum { TAG_BIGNUM = 2, TAG_NEGATIVE_BIGNUM = 3 };

// A map, an array or a text in chunks that is not complete yet.
struct open_node {
    uint32_t node;
    uint64_t left; // Items, or INDEFINITE; of a map two a member.
    bool is_key;   // Of a map: the next item is one.
};

struct reader {
    struct event_memory *memory;
    struct cbor_node *nodes;
    uint32_t count, capacity;
    struct open_node open[CBOR_DEPTH_MAX];
    uint32_t depth;
    uint8_t *chunks;   // Where the next chunk goes; NULL: there was none yet.
    bool is_in_chunks; // Of the last node: more of it follows.
    uint64_t tag;      // Of the item that follows.
    bool is_tagged;    // A tag was read and its item not yet.
    size_t left_bytes; // Behind the item's head, for what an item says of its size.
    const char *problem;
    bool is_out_of_memory;
};

static void fail(struct reader *reader, const char *problem)
{
    reader->problem = reader->problem == NULL ? problem : reader->problem;
}

static bool reserve(struct reader *reader)
{
    if (reader->count < reader->capacity) {
        return true;
    }
    if (reader->count == CBOR_NODES_MAX) {
        fail(reader, "it has too many items");
        return false;
    }
    uint32_t capacity = reader->capacity == 0 ? NODES_FIRST : 2 * reader->capacity;
    struct cbor_node *nodes = event_memory_take(reader->memory, capacity * sizeof(nodes[0]));
    if (nodes == NULL) {
        reader->is_out_of_memory = true;
        fail(reader, "out of memory");
        return false;
    }
    if (reader->count > 0) {
        memcpy(nodes, reader->nodes, reader->count * sizeof(nodes[0]));
    }
    reader->nodes = nodes;
    reader->capacity = capacity;
    return true;
}

static void close_node(struct reader *reader)
{
    uint32_t node = reader->open[--reader->depth].node;
    reader->nodes[node].span = reader->count - node;
}

// An item is complete: so may be what it is in.
static void count_item(struct reader *reader)
{
    while (reader->depth > 0) {
        struct open_node *open = &reader->open[reader->depth - 1];
        bool is_map = reader->nodes[open->node].kind == CBOR_KIND_MAP;
        open->is_key = is_map && !open->is_key;
        if (open->left == INDEFINITE || --open->left > 0) {
            return;
        }
        close_node(reader);
    }
}

static bool may_be_key(enum cbor_kind kind)
{
    return kind == CBOR_KIND_TEXT || kind == CBOR_KIND_INTEGER;
}

// A new item, not yet counted; NULL when it cannot be.
static struct cbor_node *add(struct reader *reader, enum cbor_kind kind)
{
    bool is_key = reader->depth > 0 && reader->open[reader->depth - 1].is_key;
    if (is_key && !may_be_key(kind)) {
        fail(reader, "a map has a key that is neither text nor a whole number");
    }
    if (reader->is_in_chunks) {
        fail(reader, "a text in chunks has something else among them");
    }
    if (reader->problem != NULL || !reserve(reader)) {
        return NULL;
    }
    struct cbor_node *node = &reader->nodes[reader->count++];
    *node = (struct cbor_node){.kind = kind, .span = 1};
    reader->is_tagged = false;
    return node;
}

static void add_integer(void *context, int64_t integer)
{
    struct cbor_node *node = add(context, CBOR_KIND_INTEGER);
    if (node != NULL) {
        node->integer = integer;
        count_item(context);
    }
}

static void add_real(void *context, double real)
{
    struct cbor_node *node = add(context, CBOR_KIND_REAL);
    if (node != NULL) {
        node->real = real;
        count_item(context);
    }
}

static void on_uint8(void *context, uint8_t number)
{
    add_integer(context, number);
}

static void on_uint16(void *context, uint16_t number)
{
    add_integer(context, number);
}

static void on_uint32(void *context, uint32_t number)
{
    add_integer(context, number);
}

static void on_uint64(void *context, uint64_t number)
{
    if (number <= INT64_MAX) {
        add_integer(context, (int64_t)number);
    } else {
        add_real(context, (double)number);
    }
}

// Negative ones come as -1 - number.
static void on_negative8(void *context, uint8_t number)
{
    add_integer(context, -1 - (int64_t)number);
}

static void on_negative16(void *context, uint16_t number)
{
    add_integer(context, -1 - (int64_t)number);
}

static void on_negative32(void *context, uint32_t number)
{
    add_integer(context, -1 - (int64_t)number);
}

static void on_negative64(void *context, uint64_t number)
{
    if (number <= INT64_MAX) {
        add_integer(context, -1 - (int64_t)number);
    } else {
        add_real(context, -1.0 - (double)number);
    }
}

// Both half and single precision: the shortest decimal that names the number.
static void on_single(void *context, float number)
{
    add_real(context, real_of_float(number));
}

static void on_simple(void *context)
{
    if (add(context, CBOR_KIND_NULL) != NULL) {
        count_item(context);
    }
}

static void on_boolean(void *context, bool is_true)
{
    struct cbor_node *node = add(context, CBOR_KIND_BOOLEAN);
    if (node != NULL) {
        node->integer = is_true;
        count_item(context);
    }
}

static void on_tag(void *context, uint64_t tag)
{
    struct reader *reader = context;
    if (reader->is_in_chunks) {
        fail(reader, "a text in chunks has something else among them");
    }
    reader->tag = tag;
    reader->is_tagged = true;
}

// A whole number of any length [RFC 8949 3.4.3]; beyond 63 bits a real.
static void add_bignum(struct reader *reader, struct bytes digits, bool is_negative)
{
    double real = 0;
    uint64_t number = 0;
    size_t used = 0;
    for (size_t i = 0; i < digits.len; i++) {
        used += used > 0 || digits.ptr[i] != 0;
        number = number << 8 | digits.ptr[i];
        real = real * 256 + digits.ptr[i];
    }
    if (used > 8) {
        add_real(reader, is_negative ? -1 - real : real);
    } else if (is_negative) {
        on_negative64(reader, number);
    } else {
        on_uint64(reader, number);
    }
}

// More of a text or blob that comes in chunks: they are put together in one place for all of the
// payload, which cannot be more than follows the first of them.
static void add_chunk(struct reader *reader, enum cbor_kind kind, struct bytes chunk)
{
    struct cbor_node *node = &reader->nodes[reader->count - 1];
    if (node->kind != kind) {
        fail(reader, "a text in chunks has something else among them");
    } else if (chunk.len > 0) {
        memcpy(reader->chunks, chunk.ptr, chunk.len);
        reader->chunks += chunk.len;
        node->bytes.len += chunk.len;
    }
}

static void add_bytes(struct reader *reader, enum cbor_kind kind, struct bytes bytes)
{
    if (kind == CBOR_KIND_TEXT && !utf8_is_valid(bytes)) {
        fail(reader, "a text is not valid UTF-8");
        return;
    }
    if (reader->is_in_chunks) {
        add_chunk(reader, kind, bytes);
        return;
    }
    struct cbor_node *node = add(reader, kind);
    if (node != NULL) {
        node->bytes = bytes.len == 0 ? bytes_of("", 0) : bytes;
        count_item(reader);
    }
}

static void on_text(void *context, cbor_data text, size_t len)
{
    add_bytes(context, CBOR_KIND_TEXT, bytes_of(text, len));
}

static void on_blob(void *context, cbor_data data, size_t len)
{
    struct reader *reader = context;
    bool is_number =
        reader->is_tagged && (reader->tag == TAG_BIGNUM || reader->tag == TAG_NEGATIVE_BIGNUM);
    if (is_number && !reader->is_in_chunks) {
        add_bignum(reader, bytes_of(data, len), reader->tag == TAG_NEGATIVE_BIGNUM);
    } else {
        add_bytes(reader, CBOR_KIND_BLOB, bytes_of(data, len));
    }
}

static void begin_chunks(struct reader *reader, enum cbor_kind kind)
{
    if (reader->chunks == NULL) {
        reader->chunks = event_memory_take(reader->memory, reader->left_bytes + 1);
    }
    if (reader->chunks == NULL) {
        reader->is_out_of_memory = true;
        fail(reader, "out of memory");
    }
    struct cbor_node *node = add(reader, kind);
    if (node != NULL) {
        node->bytes = bytes_of(reader->chunks, 0);
        reader->is_in_chunks = true;
    }
}

static void on_text_start(void *context)
{
    begin_chunks(context, CBOR_KIND_TEXT);
}

static void on_blob_start(void *context)
{
    begin_chunks(context, CBOR_KIND_BLOB);
}

static void open_node(struct reader *reader, enum cbor_kind kind, uint64_t items)
{
    if (reader->depth == CBOR_DEPTH_MAX) {
        fail(reader, "it is nested deeper than 32 levels");
    } else if (items != INDEFINITE && items > reader->left_bytes) {
        fail(reader, "a map or array has more items than bytes follow");
    }
    if (add(reader, kind) == NULL) {
        return;
    }
    if (items == 0) {
        count_item(reader);
        return;
    }
    reader->open[reader->depth++] =
        (struct open_node){reader->count - 1, items, kind == CBOR_KIND_MAP};
}

static void on_array(void *context, size_t items)
{
    open_node(context, CBOR_KIND_ARRAY, items > SIZE_MAX / 2 ? SIZE_MAX / 2 : items);
}

static void on_map(void *context, size_t members)
{
    open_node(context, CBOR_KIND_MAP, members > SIZE_MAX / 4 ? SIZE_MAX / 2 : 2 * members);
}

static void on_open_array(void *context)
{
    open_node(context, CBOR_KIND_ARRAY, INDEFINITE);
}

static void on_open_map(void *context)
{
    open_node(context, CBOR_KIND_MAP, INDEFINITE);
}

static void on_break(void *context)
{
    struct reader *reader = context;
    if (reader->is_in_chunks) {
        reader->is_in_chunks = false;
        count_item(reader);
        return;
    }
    const struct open_node *open = reader->depth == 0 ? NULL : &reader->open[reader->depth - 1];
    bool is_map = open != NULL && reader->nodes[open->node].kind == CBOR_KIND_MAP;
    if (open == NULL || open->left != INDEFINITE || (is_map && !open->is_key) ||
        reader->is_tagged) {
        fail(reader, "a break stands where nothing ends");
        return;
    }
    close_node(reader);
    count_item(reader);
}

static const struct cbor_callbacks callbacks = {
    .uint8 = on_uint8,
    .uint16 = on_uint16,
    .uint32 = on_uint32,
    .uint64 = on_uint64,
    .negint8 = on_negative8,
    .negint16 = on_negative16,
    .negint32 = on_negative32,
    .negint64 = on_negative64,
    .byte_string_start = on_blob_start,
    .byte_string = on_blob,
    .string = on_text,
    .string_start = on_text_start,
    .indef_array_start = on_open_array,
    .array_start = on_array,
    .indef_map_start = on_open_map,
    .map_start = on_map,
    .tag = on_tag,
    .float2 = on_single,
    .float4 = on_single,
    .float8 = add_real,
    .undefined = on_simple,
    .null = on_simple,
    .boolean = on_boolean,
    .indef_break = on_break,
};

// Simple values that have no meaning [RFC 8949 3.3], which libcbor refuses; 0: it is none.
static size_t simple_bytes(struct bytes rest)
{
    if (rest.ptr[0] >= 0xE0 && rest.ptr[0] <= 0xF3) {
        return 1;
    }
    return rest.ptr[0] == 0xF8 && rest.len > 1 && rest.ptr[1] >= 32 ? 2 : 0;
}

// Takes one item's head off the front, and a text with it.
static void read_item(struct reader *reader, struct bytes *rest)
{
    size_t taken = simple_bytes(*rest);
    reader->left_bytes = rest->len - 1;
    if (taken > 0) {
        on_simple(reader);
    } else {
        struct cbor_decoder_result result =
            cbor_stream_decode(rest->ptr, rest->len, &callbacks, reader);
        if (result.status == CBOR_DECODER_NEDATA) {
            fail(reader, "it is cut short");
        } else if (result.status == CBOR_DECODER_ERROR) {
            fail(reader, "no item begins like this");
        }
        taken = result.read;
    }
    *rest = bytes_of(rest->ptr + taken, rest->len - taken);
}

static bool is_complete(const struct reader *reader)
{
    return reader->count > 0 && reader->depth == 0 && !reader->is_in_chunks;
}

enum err cbor_tape_read(struct cbor_tape *out_tape, struct bytes bytes, struct event_memory *memory,
                        struct error *e)
{
    struct reader reader = {.memory = memory};
    struct bytes rest = bytes;
    size_t at = 0;
    while (reader.problem == NULL && rest.len > 0 && !is_complete(&reader)) {
        at = bytes.len - rest.len;
        read_item(&reader, &rest);
    }
    if (reader.problem == NULL && !is_complete(&reader)) {
        at = bytes.len;
        fail(&reader, "it is cut short");
    } else if (reader.problem == NULL && rest.len > 0) {
        at = bytes.len - rest.len;
        fail(&reader, "more bytes follow the value");
    }
    if (reader.problem != NULL) {
        return error_set(e, reader.is_out_of_memory ? ERR_NO_MEMORY : ERR_INVALID,
                         "the CBOR does not parse: byte %zu of %zu: %s", at, bytes.len,
                         reader.problem);
    }
    *out_tape = (struct cbor_tape){reader.nodes, reader.count};
    return ERR_OK;
}
