// Reader of Receipt and Command: what protobuf-c packs is read the same; anything else is an error.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipit/v1/pipit.pb-c.h"
#include "wire.h"

static uint32_t random_state = 7;

static uint32_t random_next(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

// A copy that ends where the allocation ends, so that reading past it is caught.
static enum pipit_err read_exact(const uint8_t *ptr, size_t len, bool is_receipt)
{
    struct pipit_wire_receipt receipt;
    struct pipit_command command;
    uint8_t *copy = test_malloc(len == 0 ? 1 : len);
    memcpy(copy, ptr, len);
    struct pipit_bytes bytes = {copy, len};
    enum pipit_err rc =
        is_receipt ? pipit_wire_receipt(bytes, &receipt) : pipit_wire_command(bytes, &command);
    if (!is_receipt && rc == PIPIT_OK) {
        struct pipit_field field;
        size_t position = 0;
        while ((rc = pipit_command_next(&command, &position, &field)) == PIPIT_OK) {
        }
        assert_int_equal(rc, PIPIT_ERR_EMPTY); // Checked whole when it was read.
        rc = PIPIT_OK;
    }
    test_free(copy);
    return rc;
}

static size_t sample_command(uint8_t *packed)
{
    Pipit__V1__Field fields[2] = {PIPIT__V1__FIELD__INIT, PIPIT__V1__FIELD__INIT};
    Pipit__V1__Field *pointers[2] = {&fields[0], &fields[1]};
    Pipit__V1__Command command = PIPIT__V1__COMMAND__INIT;
    fields[0].name = (char *)(uintptr_t) "level";
    fields[0].value_case = PIPIT__V1__FIELD__VALUE_SIGNED;
    fields[0].signed_ = -5;
    fields[1].name = (char *)(uintptr_t) "rate";
    fields[1].value_case = PIPIT__V1__FIELD__VALUE_REAL;
    fields[1].real = 0.25;
    command.id = (char *)(uintptr_t) "c-17";
    command.name = (char *)(uintptr_t) "boost";
    command.expiry_case = PIPIT__V1__COMMAND__EXPIRY_EXPIRES;
    command.expires = 1594598735772;
    command.n_fields = 2;
    command.fields = pointers;
    return pipit__v1__command__pack(&command, packed);
}

static void test_command_is_read(void **state)
{
    (void)state;
    uint8_t packed[256];
    struct pipit_command command;
    struct pipit_field field;
    size_t size = sample_command(packed);
    struct pipit_bytes bytes = {packed, size};
    assert_int_equal(pipit_wire_command(bytes, &command), PIPIT_OK);
    assert_true(pipit_command_is(&command, "boost"));
    assert_false(pipit_command_is(&command, "boos"));
    assert_true(command.has_expires);
    assert_int_equal(command.expires, 1594598735772);
    assert_int_equal(pipit_command_field(&command, "level", &field), PIPIT_OK);
    assert_int_equal(field.kind, PIPIT_KIND_SIGNED);
    assert_int_equal(field.value.integer, -5);
    assert_int_equal(pipit_command_field(&command, "rate", &field), PIPIT_OK);
    assert_true(field.value.real == 0.25);
    assert_int_equal(pipit_command_field(&command, "none", &field), PIPIT_ERR_EMPTY);
}

static void test_truncations_and_flips(void **state)
{
    (void)state;
    uint8_t packed[256];
    size_t size = sample_command(packed);
    for (size_t len = 0; len < size; len++) {
        (void)read_exact(packed, len, false);
    }
    for (size_t at = 0; at < size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            packed[at] ^= (uint8_t)(1u << bit);
            (void)read_exact(packed, size, false);
            packed[at] ^= (uint8_t)(1u << bit);
        }
    }
}

static void test_random_bytes(void **state)
{
    (void)state;
    uint8_t bytes[64];
    for (int round = 0; round < 200000; round++) {
        size_t len = random_next() % sizeof(bytes);
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (uint8_t)(random_next() % 4 == 0 ? random_next() : random_next() % 40);
        }
        (void)read_exact(bytes, len, round % 2 == 0);
    }
}

static void test_receipts(void **state)
{
    (void)state;
    const struct {
        const char *why;
        uint8_t bytes[16];
        size_t len;
        enum pipit_err want;
    } cases[] = {
        {"empty is boot 0 upto 0", {0}, 0, PIPIT_OK},
        {"boot, upto, bitmap", {0x08, 7, 0x10, 0xD2, 0x09, 0x1A, 1, 5}, 8, PIPIT_OK},
        {"an unknown field is passed over", {0x08, 7, 0x78, 1, 0x10, 5}, 6, PIPIT_OK},
        {"varint that does not end", {0x08, 0x87}, 2, PIPIT_ERR_MALFORMED},
        {"varint of eleven bytes",
         {0x10, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1},
         12,
         PIPIT_ERR_MALFORMED},
        {"varint beyond 64 bits",
         {0x10, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2},
         11,
         PIPIT_ERR_MALFORMED},
        {"boot beyond 32 bits", {0x08, 255, 255, 255, 255, 31}, 6, PIPIT_ERR_MALFORMED},
        {"upto so large that a bitmap would run over",
         {0x10, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1},
         11,
         PIPIT_ERR_MALFORMED},
        {"bitmap longer than the message", {0x1A, 5, 1}, 3, PIPIT_ERR_MALFORMED},
        {"boot as bytes", {0x0A, 1, 1}, 3, PIPIT_ERR_MALFORMED},
        {"bitmap as varint", {0x18, 1}, 2, PIPIT_ERR_MALFORMED},
        {"group", {0x0B}, 1, PIPIT_ERR_MALFORMED},
        {"field number 0", {0x00, 1}, 2, PIPIT_ERR_MALFORMED},
        {"fixed32 cut short", {0x7D, 1, 2, 3}, 4, PIPIT_ERR_MALFORMED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (read_exact(cases[i].bytes, cases[i].len, true) != cases[i].want) {
            fail_msg("%s", cases[i].why);
        }
    }
}

static void test_commands_refused(void **state)
{
    (void)state;
    const struct {
        const char *why;
        uint8_t bytes[24];
        size_t len;
    } cases[] = {
        {"no id", {0x12, 1, 'n'}, 3},
        {"id that is not UTF-8", {0x0A, 1, 0xFF}, 3},
        {"field without a value", {0x0A, 1, 'i', 0x22, 3, 0x0A, 1, 'a'}, 8},
        {"field without a name", {0x0A, 1, 'i', 0x22, 2, 0x10, 1}, 7},
        {"float of the wrong wire type", {0x0A, 1, 'i', 0x22, 5, 0x0A, 1, 'a', 0x28, 1}, 10},
        {"field that ends inside", {0x0A, 1, 'i', 0x22, 4, 0x0A, 9, 'a', 0x28}, 9},
        {"expires as bytes", {0x0A, 1, 'i', 0x1A, 0}, 5},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (read_exact(cases[i].bytes, cases[i].len, false) != PIPIT_ERR_MALFORMED) {
            fail_msg("%s", cases[i].why);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_is_read),  cmocka_unit_test(test_truncations_and_flips),
        cmocka_unit_test(test_random_bytes),     cmocka_unit_test(test_receipts),
        cmocka_unit_test(test_commands_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
