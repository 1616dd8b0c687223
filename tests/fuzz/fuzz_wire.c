// Receipts and commands as a device may be sent them, and events as its spool may hold them.
#include <assert.h>
#include <string.h>

#include "device.h"
#include "fuzz.h"
#include "pipit/v1/pipit.pb-c.h"
#include "wire.h"

const uint32_t fuzz_count = 200000;

size_t fuzz_seed(uint32_t index, uint8_t *out, size_t size)
{
    uint8_t bits[] = {0x05, 0x80};
    Pipit__V1__Receipt receipt = PIPIT__V1__RECEIPT__INIT;
    Pipit__V1__Field field = PIPIT__V1__FIELD__INIT;
    Pipit__V1__Field *fields[] = {&field};
    Pipit__V1__Command command = PIPIT__V1__COMMAND__INIT;
    receipt.boot = 300;
    receipt.upto = UINT64_C(1) << 40;
    receipt.bitmap = (ProtobufCBinaryData){sizeof(bits), bits};
    field.name = "level";
    field.value_case = PIPIT__V1__FIELD__VALUE_SIGNED;
    field.signed_ = -5;
    command.id = "c-17";
    command.name = "boost";
    command.n_fields = 1;
    command.fields = fields;
    if (index > 1 || size < 200) {
        return 0;
    }
    return index == 0 ? pipit__v1__receipt__pack(&receipt, out)
                      : pipit__v1__command__pack(&command, out);
}

static void check_within(struct pipit_bytes part, const uint8_t *ptr, size_t len)
{
    assert(part.len == 0 || (part.ptr >= ptr && part.ptr + part.len <= ptr + len));
}

// What the device takes for a receipt, protobuf-c does too, and reads the same from it.
static void check_receipt(struct pipit_bytes encoded)
{
    struct pipit_wire_receipt ours;
    if (pipit_wire_receipt(encoded, &ours) != PIPIT_OK) {
        return;
    }
    check_within(ours.bitmap, encoded.ptr, encoded.len);
    Pipit__V1__Receipt *theirs = pipit__v1__receipt__unpack(NULL, encoded.len, encoded.ptr);
    if (theirs != NULL) {
        assert(theirs->boot == ours.boot && theirs->upto == ours.upto &&
               theirs->bitmap.len == ours.bitmap.len);
        pipit__v1__receipt__free_unpacked(theirs, NULL);
    }
}

void fuzz_one(const uint8_t *ptr, size_t len)
{
    struct pipit_bytes encoded = {ptr, len}, rest = encoded, type;
    struct pipit_command command;
    struct pipit_field field;
    struct wire_item item;
    check_receipt(encoded);
    if (pipit_wire_command(encoded, &command) == PIPIT_OK) {
        check_within(command.id, ptr, len);
        check_within(command.payload, ptr, len);
    }
    while (pipit_wire_next(&rest, &item) == PIPIT_OK) {
        check_within(rest, ptr, len);
    }
    (void)pipit_wire_field(encoded, &field);
    if (pipit_event_type(encoded, &type) == PIPIT_OK) {
        check_within(type, ptr, len);
    }
}
