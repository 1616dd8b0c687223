// format_cbor.c - payloads in CBOR: by an entry, or by their content type.
#include <jansson.h>

#include "core/cbor_tape.h"
#include "core/event_parts.h"
#include "core/format_types.h"

static const struct cbor_tape nothing; // Of a payload that could not be read.

static enum err read_cbor(struct event *event, struct error *e)
{
    struct cbor_tape *tape = event_memory_take(event->memory, sizeof(*tape));
    event->data = (void *)(uintptr_t)&nothing; // Nobody writes to it.
    if (tape == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for CBOR");
    }
    enum err rc = cbor_tape_read(tape, event->payload, event->memory, e);
    if (rc == ERR_OK) {
        event->data = tape;
    }
    return rc;
}

static const struct cbor_tape *tape_of(struct event *event)
{
    if (event->data == NULL) {
        read_cbor(event, NULL);
    }
    return event->data;
}

static bool field(struct event *event, const char *path, struct event_value *out_value)
{
    const struct cbor_tape *tape = tape_of(event);
    const struct cbor_node *node = tape->count == 0 ? NULL : cbor_tape_find(tape, path);
    if (node == NULL) {
        return false;
    }
    cbor_node_value(node, out_value);
    if (out_value->kind == VALUE_TREE) {
        out_value->tree = event_keep_tree(event, out_value->tree);
    }
    return out_value->kind != VALUE_TREE || out_value->tree != NULL;
}

static json_t *fields(struct event *event)
{
    const struct cbor_tape *tape = tape_of(event);
    return tape->count == 0 ? NULL : cbor_node_to_json(tape->nodes);
}

const struct format_type format_cbor = {
    .name = "cbor",
    .validate = read_cbor,
    .field = field,
    .fields = fields,
};
