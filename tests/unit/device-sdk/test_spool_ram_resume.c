// RAM ring kept over deep sleep: it goes on where it was, or says that it cannot.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "pipit/pipit.h"

#define RING 256

// What lies in .noinit.
static struct kept {
    struct pipit_ram_spool spool;
    uint8_t ring[RING];
    uint32_t seal;
} kept;
static struct pipit_spool *const base = &kept.spool.base;

static enum pipit_err put(uint32_t number, uint32_t size)
{
    uint8_t body[RING];
    memset(body, (int)number, sizeof(body));
    return base->type->put(base, (struct pipit_bytes){body, size}, NULL);
}

static void begin(uint32_t events)
{
    assert_int_equal(pipit_ram_spool_init(&kept.spool, kept.ring, RING, PIPIT_REFUSE, 9), PIPIT_OK);
    for (uint32_t n = 1; n <= events; n++) {
        assert_int_equal(put(n, 10 + n), PIPIT_OK);
    }
}

static enum pipit_err resume(void)
{
    base->type = NULL; // The program may have been updated.
    return pipit_ram_spool_resume(&kept.spool, kept.ring, RING, kept.seal);
}

static void hold_against(uint32_t first, uint32_t last)
{
    struct pipit_record record;
    assert_int_equal(base->count, last - first + 1);
    for (uint32_t n = first; n <= last; n++) {
        assert_int_equal(base->type->peek(base, &record), PIPIT_OK);
        assert_int_equal(record.boot, 9);
        assert_int_equal(record.sequence, n);
        assert_int_equal(record.body.len, 10 + n);
        for (size_t i = 0; i < record.body.len; i++) {
            assert_int_equal(record.body.ptr[i], (uint8_t)n);
        }
        base->type->advance(base);
    }
    assert_int_equal(base->type->peek(base, &(struct pipit_record){0}), PIPIT_ERR_EMPTY);
}

static void test_goes_on(void **state)
{
    (void)state;
    begin(5);
    base->type->advance(base);
    base->type->advance(base);
    assert_int_equal(base->type->release(base, 9, 0, 1), PIPIT_OK);
    kept.seal = pipit_ram_spool_seal(&kept.spool);
    assert_int_equal(resume(), PIPIT_OK);
    assert_int_equal(base->read_count, 0); // What was sent and has no receipt is sent again.
    assert_int_equal(base->boot, 9);
    assert_int_equal(base->next_sequence, 6);
    assert_int_equal(put(6, 16), PIPIT_OK);
    hold_against(2, 6);
}

// Hundreds of sleeps, with the ring going round and wrapping in all ways.
static void test_many_sleeps(void **state)
{
    (void)state;
    uint32_t first = 1, last = 0;
    begin(0);
    for (unsigned i = 0; i < 500; i++) {
        enum pipit_err rc = PIPIT_OK;
        for (unsigned n = 0; n < i % 4 && rc == PIPIT_OK; n++) {
            rc = put(last + n, 1 + (last + n) % 60);
            last += rc == PIPIT_OK ? 1 : 0;
        }
        if (i % 3 == 0 && first <= last) {
            assert_int_equal(base->type->release(base, 9, 0, first), PIPIT_OK);
            first++;
        }
        kept.seal = pipit_ram_spool_seal(&kept.spool);
        assert_int_equal(resume(), PIPIT_OK);
        assert_int_equal(base->count, last - first + 1);
        assert_int_equal(base->tail_sequence, first);
    }
    assert_true(last > 100);
}

// Any byte of what matters that changes is noticed; nothing is followed out of the memory.
static void test_each_byte(void **state)
{
    (void)state;
    static struct kept good;
    unsigned refused = 0;
    begin(8);
    assert_int_equal(base->type->release(base, 9, 0, 3), PIPIT_OK);
    for (uint32_t n = 9; n <= 14; n++) { // Round the end.
        assert_int_equal(put(n, 10 + n), PIPIT_OK);
    }
    assert_true(kept.spool.head < kept.spool.tail);
    kept.seal = pipit_ram_spool_seal(&kept.spool);
    memcpy(&good, &kept, sizeof(kept));
    const size_t end = offsetof(struct kept, seal) + sizeof(kept.seal);
    for (size_t at = sizeof(base->type); at < end; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(&kept, &good, sizeof(kept));
            ((uint8_t *)&kept)[at] ^= (uint8_t)(1u << bit);
            if (resume() == PIPIT_ERR_CORRUPT) {
                refused++;
            } else { // It lies in no event.
                assert_in_range(at, offsetof(struct kept, ring) + kept.spool.head,
                                offsetof(struct kept, ring) + kept.spool.tail - 1);
                hold_against(4, 14);
            }
        }
    }
    size_t unused = good.spool.tail - good.spool.head;
    assert_int_equal(refused, 8 * (end - sizeof(base->type) - unused));
    memcpy(&kept, &good, sizeof(kept));
    assert_int_equal(resume(), PIPIT_OK);
    hold_against(4, 14);
}

static void test_refuses(void **state)
{
    (void)state;
    static uint8_t other[RING];
    begin(3);
    kept.seal = pipit_ram_spool_seal(&kept.spool);
    assert_int_equal(pipit_ram_spool_resume(&kept.spool, other, RING, kept.seal),
                     PIPIT_ERR_CORRUPT);
    assert_int_equal(pipit_ram_spool_resume(&kept.spool, kept.ring, RING - 1, kept.seal),
                     PIPIT_ERR_CORRUPT);
    assert_int_equal(pipit_ram_spool_resume(&kept.spool, NULL, RING, kept.seal), PIPIT_ERR_CORRUPT);
    assert_int_equal(put(4, 14), PIPIT_OK); // Not sealed again.
    assert_int_equal(resume(), PIPIT_ERR_CORRUPT);
    kept.seal = pipit_ram_spool_seal(&kept.spool);
    assert_int_equal(resume(), PIPIT_OK);
    hold_against(1, 4);
}

// After power on: nothing but zeros, ones or noise, also with the right pointer and size.
static void test_power_on(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (unsigned round = 0; round < 20000; round++) {
        for (size_t i = 0; i < sizeof(kept); i++) {
            random = random * 1664525u + 1013904223u;
            ((uint8_t *)&kept)[i] = round == 0 ? 0 : round == 1 ? 0xFF : (uint8_t)(random >> 24);
        }
        if (round % 2 == 0) {
            kept.spool.memory = kept.ring;
            base->limit_bytes = RING;
            kept.spool.head %= RING * 2;
            kept.spool.tail %= RING * 2;
        }
        assert_int_equal(resume(), PIPIT_ERR_CORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goes_on),   cmocka_unit_test(test_many_sleeps),
        cmocka_unit_test(test_each_byte), cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_power_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
