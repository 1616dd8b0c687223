// CBOR from anybody: it is read or the byte at fault is told; what was read can be walked, shown
// and asked for, in memory that its size allows.
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/cbor_tape.h"
#include "fuzz.h"

const uint32_t fuzz_count = 300000;

#define BYTES_EACH 128 // Of memory a byte may take, beside a block.

size_t fuzz_seed(uint32_t index, uint8_t *out, size_t size)
{
    static const char *const seeds[] = {
        "\xa2\x65level\x18\x2a\x64unit\x61m",
        "\xbf\x61\x61\x9f\x01\x82\x02\x03\xff\x61\x62\x7f\x61x\x61y\xff\xff",
        "\x98\x03\xf9\x3e\x01\xfa\x41\xd8\xcc\xcd\xfb\x3f\xf1\x99\x99\x99\x99\x99\x9a",
        "\xc2\x49\x01\x01\x01\x01\x01\x01\x01\x01\x01",
        "\x84\xc1\x1a\x51\x4b\x67\xb0\xd9\xd9\xf7\x20\xf6\xf0",
        "\xa1\x01\xa1\x63"
        "a.b\x5f\x41\x01\x41\x02\xff",
    };
    size_t len = index < 6 ? strlen(seeds[index]) : 0;
    memcpy(out, index < 6 ? seeds[index] : "", len < size ? len : size);
    return len;
}

// Everything within a node ends where the node does.
static void check_spans(const struct cbor_tape *tape, uint32_t at, unsigned levels)
{
    const struct cbor_node *node = &tape->nodes[at];
    bool is_open = node->kind == CBOR_KIND_ARRAY || node->kind == CBOR_KIND_MAP;
    uint32_t end = at + node->span, items = 0, next = at + 1;
    assert(node->span >= 1 && end <= tape->count && levels <= CBOR_DEPTH_MAX);
    while (is_open && next < end) {
        check_spans(tape, next, levels + 1);
        next += tape->nodes[next].span;
        items++;
    }
    assert(next == end && (node->kind != CBOR_KIND_MAP || items % 2 == 0));
}

static void ask(const struct cbor_tape *tape)
{
    static const char *const paths[] = {"level", "a.1.0", "0", "1.1", "value", "1.a.b", "", "."};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        const struct cbor_node *node = cbor_tape_find(tape, paths[i]);
        struct event_value value = {.kind = VALUE_NULL};
        if (node != NULL) {
            assert(node >= tape->nodes && node < tape->nodes + tape->count);
            cbor_node_value(node, &value);
        }
        if (value.kind == VALUE_TREE) {
            json_decref(value.tree);
        }
    }
}

void fuzz_one(const uint8_t *ptr, size_t len)
{
    struct event_memory memory;
    struct cbor_tape tape;
    struct error e = {0};
    event_memory_init(&memory);
    event_memory_set_budget(&memory, 4096 + BYTES_EACH * len);
    enum err rc = cbor_tape_read(&tape, bytes_of(ptr, len), &memory, &e);
    assert(rc == ERR_OK || (rc == ERR_INVALID && e.text[0] != '\0'));
    assert(!memory.is_over_budget);
    if (rc == ERR_OK) {
        check_spans(&tape, 0, 0);
        assert(tape.nodes[0].span == tape.count);
        ask(&tape);
        json_t *json = cbor_node_to_json(tape.nodes);
        char *text = json_dumps(json, JSON_ENCODE_ANY);
        assert(text != NULL);
        free(text);
        json_decref(json);
    }
    event_memory_deinit(&memory);
}
