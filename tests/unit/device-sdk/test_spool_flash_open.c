// Flash spool: what it takes for its own, what it refuses, worn and failing chips, and wear.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "simulated_nor.h"

static struct nor nor;
static struct pipit_flash_spool spool;
static struct pipit_spool *const base = &spool.base;
static uint8_t memory[PIPIT_FLASH_MEMORY(400, 8)];
static struct pipit_flash_spool_options options;

static void fresh(uint32_t sector_bytes, uint32_t sector_count, uint32_t granule_bytes,
                  enum pipit_policy policy)
{
    nor_init(&nor, sector_bytes, sector_count, granule_bytes, 1);
    options = (struct pipit_flash_spool_options){.flash = &nor.base,
                                                 .policy = policy,
                                                 .memory = memory,
                                                 .memory_bytes = sizeof(memory),
                                                 .entropy = 4711};
}

static enum pipit_err open_spool(void)
{
    return pipit_flash_spool_open(&spool, &options);
}

// An event that tells its number, `size` bytes long.
static enum pipit_err put(uint32_t number, uint32_t size, const uint64_t *mark)
{
    uint8_t body[512];
    memset(body, (int)number, sizeof(body));
    memcpy(body, &number, sizeof(number));
    return base->type->put(base, (struct pipit_bytes){body, size}, mark);
}

// The number of the event at the read position; it moves on.
static uint32_t take(void)
{
    struct pipit_record record;
    uint32_t number;
    assert_int_equal(base->type->peek(base, &record), PIPIT_OK);
    memcpy(&number, record.body.ptr, sizeof(number));
    for (size_t i = sizeof(number); i < record.body.len; i++) {
        assert_int_equal(record.body.ptr[i], (uint8_t)number);
    }
    base->type->advance(base);
    return number;
}

static enum pipit_err release_all(void)
{
    enum pipit_err rc = PIPIT_OK;
    while (rc == PIPIT_OK && base->count > 0) {
        rc = base->type->release(base, base->tail_boot, 0, UINT64_MAX);
    }
    return rc;
}

static void test_blank_flash(void **state)
{
    (void)state;
    uint64_t mark = 5;
    fresh(1024, 4, 4, PIPIT_REFUSE);
    assert_int_equal(open_spool(), PIPIT_OK);
    assert_int_equal(base->boot, pipit_boot_random(4711));
    assert_int_equal(base->count, 0);
    assert_false(base->has_mark);
    assert_int_equal(base->tail_boot, base->boot);
    assert_int_equal(put(1, 10, &mark), PIPIT_OK);
    options.entropy = 1; // Only blank flash looks at it.
    for (uint32_t i = 1; i < 10; i++) {
        assert_int_equal(open_spool(), PIPIT_OK);
        assert_int_equal(base->boot, pipit_boot_random(4711) + i);
        assert_int_equal(base->next_sequence, 1);
        assert_int_equal(base->count, 1);
        assert_int_equal(base->mark, 5);
        assert_int_equal(base->tail_boot, pipit_boot_random(4711));
        assert_int_equal(take(), 1);
    }
    assert_null(nor.violation);
}

// The record's words are in the processor's own order.
#define HEAD_BYTE_2 (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 2 : 1)

static void test_not_ours(void **state)
{
    (void)state;
    static uint8_t before[NOR_BYTES];
    static const struct {
        const char *why;
        uint32_t at;
        const char *bytes;
        uint32_t len;
    } cases[] = {
        {"some program's settings at the start", 0, "wifi=home\0pass=secret", 21},
        {"a letter at the end of the last sector", 4090, "Dear", 4},
        {"one byte in the middle", 2222, "\x7F", 1},
        {"an empty head and something behind it", 16, "\xFE", 1},
        {"one byte at the start of a later sector", 2048 + HEAD_BYTE_2, "\x00", 1},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fresh(1024, 4, 4, PIPIT_REFUSE);
        memcpy(nor.bytes + cases[i].at, cases[i].bytes, cases[i].len);
        memcpy(before, nor.bytes, sizeof(before));
        assert_int_equal(open_spool(), PIPIT_ERR_CORRUPT);
        assert_memory_equal(before, nor.bytes, sizeof(before));
        assert_int_equal(nor.operations, 0);
        assert_int_equal(pipit_flash_spool_format(&nor.base), PIPIT_OK);
        assert_int_equal(open_spool(), PIPIT_OK);
    }
}

static void test_flash_of_zeros(void **state)
{
    (void)state;
    fresh(1024, 4, 4, PIPIT_REFUSE);
    memset(nor.bytes, 0, sizeof(nor.bytes));
    assert_int_equal(open_spool(), PIPIT_ERR_CORRUPT);
    assert_int_equal(nor.operations, 0);
    assert_int_equal(pipit_flash_spool_format(&nor.base), PIPIT_OK);
    assert_int_equal(open_spool(), PIPIT_OK);
    assert_int_equal(put(1, 10, NULL), PIPIT_OK);
    assert_int_equal(take(), 1);
}

// A spool of another geometry is another format.
static void test_other_geometry(void **state)
{
    (void)state;
    static uint8_t before[NOR_BYTES];
    fresh(1024, 8, 4, PIPIT_REFUSE);
    assert_int_equal(open_spool(), PIPIT_OK);
    assert_int_equal(put(1, 10, NULL), PIPIT_OK);
    memcpy(before, nor.bytes, sizeof(before));
    static const uint32_t others[][3] = {{512, 16, 4},  {2048, 4, 4}, {1024, 7, 4},
                                         {1024, 16, 4}, {1024, 8, 8}, {1024, 8, 1}};
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        nor.base.sector_bytes = others[i][0];
        nor.base.sector_count = others[i][1];
        nor.base.granule_bytes = others[i][2];
        nor.operations = 0;
        assert_int_equal(open_spool(), PIPIT_ERR_CORRUPT);
        assert_int_equal(nor.operations, 0);
        assert_memory_equal(before, nor.bytes, sizeof(before));
    }
}

// Whatever the geometry: it is taken into use, keeps an event, and knows itself again.
static void test_many_geometries(void **state)
{
    (void)state;
    for (uint32_t granule = 1; granule <= 32; granule *= 2) {
        for (uint32_t size = 256; size <= 4096; size += 32) {
            fresh(size, 3 + size % 9, granule, PIPIT_REFUSE);
            assert_int_equal(open_spool(), PIPIT_OK);
            assert_int_equal(put(size, 20, NULL), PIPIT_OK);
            assert_int_equal(open_spool(), PIPIT_OK);
            assert_int_equal(base->count, 1);
            assert_int_equal(take(), size);
            assert_null(nor.violation);
        }
    }
}

static void test_arguments(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        uint32_t sector_bytes, sector_count, granule_bytes;
        enum pipit_policy policy;
        uint32_t memory_bytes;
        enum pipit_err want;
    } cases[] = {
        {"the least", 256, 3, 1, PIPIT_REFUSE, 32, PIPIT_OK},
        {"the least that drops", 256, 2, 1, PIPIT_DROP_OLDEST, 32, PIPIT_OK},
        {"too few to refuse", 256, 2, 1, PIPIT_REFUSE, 32, PIPIT_ERR_ARGUMENT},
        {"too few to drop", 256, 1, 1, PIPIT_DROP_OLDEST, 32, PIPIT_ERR_ARGUMENT},
        {"small sectors", 224, 3, 1, PIPIT_REFUSE, 32, PIPIT_ERR_ARGUMENT},
        {"odd sectors", 257, 3, 1, PIPIT_REFUSE, 32, PIPIT_ERR_ARGUMENT},
        {"no granule", 256, 3, 0, PIPIT_REFUSE, 32, PIPIT_ERR_ARGUMENT},
        {"a granule that is no power of two", 768, 3, 3, PIPIT_REFUSE, 32, PIPIT_ERR_ARGUMENT},
        {"a large granule", 256, 3, 64, PIPIT_REFUSE, 64, PIPIT_ERR_ARGUMENT},
        {"little memory", 256, 3, 1, PIPIT_REFUSE, 31, PIPIT_ERR_ARGUMENT},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fresh(cases[i].sector_bytes, cases[i].sector_count, cases[i].granule_bytes,
              cases[i].policy);
        options.memory_bytes = cases[i].memory_bytes;
        assert_int_equal(open_spool(), cases[i].want);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    uint64_t mark = 1;
    fresh(1024, 4, 8, PIPIT_REFUSE);
    assert_int_equal(open_spool(), PIPIT_OK);
    assert_int_equal(put(7, 400, &mark), PIPIT_OK);
    assert_int_equal(put(7, sizeof(memory) - 4, NULL), PIPIT_OK);
    assert_int_equal(put(7, sizeof(memory) - 3, NULL), PIPIT_ERR_SIZE);
    assert_int_equal(put(7, sizeof(memory) - 11, &mark), PIPIT_ERR_SIZE);
    assert_int_equal(base->next_sequence, 3);
    options.memory_bytes = 400; // The first needs 412. Nothing of it is harmed.
    assert_int_equal(open_spool(), PIPIT_ERR_SIZE);
    options.memory_bytes = sizeof(memory);
    assert_int_equal(open_spool(), PIPIT_OK);
    assert_int_equal(base->count, 2);
    assert_int_equal(take(), 7);
    fresh(256, 4, 4, PIPIT_REFUSE); // A record does not go over the end of a sector.
    assert_int_equal(open_spool(), PIPIT_OK);
    assert_int_equal(put(7, 200, NULL), PIPIT_OK);
    assert_int_equal(put(7, 201, NULL), PIPIT_ERR_SIZE);
    assert_null(nor.violation);
}

static void test_sequence_of_six_bytes(void **state)
{
    (void)state;
    struct pipit_record record;
    fresh(1024, 4, 4, PIPIT_REFUSE);
    assert_int_equal(open_spool(), PIPIT_OK);
    base->next_sequence = UINT64_C(0x100000000);
    assert_int_equal(put(1, 10, NULL), PIPIT_OK);
    base->next_sequence = UINT64_C(0xFEDCBA987654);
    assert_int_equal(put(2, 10, NULL), PIPIT_OK);
    assert_int_equal(open_spool(), PIPIT_OK);
    assert_int_equal(base->type->peek(base, &record), PIPIT_OK);
    assert_true(record.sequence == UINT64_C(0x100000000));
    assert_int_equal(base->type->release(base, record.boot, record.sequence, UINT64_C(0x100000001)),
                     PIPIT_OK);
    assert_true(base->tail_sequence == UINT64_C(0xFEDCBA987654));
}

// Full, and started any number of times: each start has its number, and nothing is lost for it.
static void test_full(void **state)
{
    (void)state;
    static const uint32_t counts[] = {3, 4, 8};
    for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        uint32_t events = 0;
        fresh(256, counts[i], 4, PIPIT_REFUSE);
        assert_int_equal(open_spool(), PIPIT_OK);
        while (put(events, 20, NULL) == PIPIT_OK) {
            events++;
        }
        assert_int_equal(put(events, 20, NULL), PIPIT_ERR_FULL);
        assert_true(events >= (counts[i] - 2) * 4);
        for (unsigned start = 0; start < 200; start++) {
            uint32_t boot = base->boot;
            assert_int_equal(open_spool(), PIPIT_OK);
            assert_int_equal(base->boot, boot + 1);
            assert_int_equal(base->count, events);
            if (start > 20) { // The last sector's rest has gone to starts.
                assert_int_equal(put(1, 20, NULL), PIPIT_ERR_FULL);
            }
        }
        for (uint32_t n = 0; n < events; n++) {
            assert_int_equal(take(), n);
        }
        assert_int_equal(release_all(), PIPIT_OK);
        for (uint32_t n = 0; n < 10 * events; n++) { // And it is as good as new.
            assert_int_equal(put(n, 20, NULL), PIPIT_OK);
            assert_int_equal(take(), n);
            assert_int_equal(release_all(), PIPIT_OK);
        }
        assert_null(nor.violation);
    }
}

// What was filled by dropping has nothing in reserve to start in.
static void test_full_of_another_policy(void **state)
{
    (void)state;
    fresh(256, 4, 4, PIPIT_DROP_OLDEST);
    assert_int_equal(open_spool(), PIPIT_OK);
    for (uint32_t n = 0; n < 100; n++) {
        assert_int_equal(put(n, 20, NULL), PIPIT_OK);
    }
    assert_int_equal(base->count + base->dropped, 100);
    assert_int_equal(take(), base->dropped);
    options.policy = PIPIT_REFUSE;
    enum pipit_err rc = PIPIT_OK;
    for (unsigned start = 0; start < 10 && rc == PIPIT_OK; start++) {
        rc = open_spool();
    }
    assert_int_equal(rc, PIPIT_ERR_FULL);
    options.policy = PIPIT_DROP_OLDEST;
    assert_int_equal(open_spool(), PIPIT_OK);
    assert_true(base->count >= 8);
    assert_int_equal(release_all(), PIPIT_OK);
    options.policy = PIPIT_REFUSE;
    assert_int_equal(open_spool(), PIPIT_OK);
    assert_int_equal(put(1, 20, NULL), PIPIT_OK);
}

static void wear_check(uint32_t difference)
{
    uint32_t least = UINT32_MAX, most = 0;
    for (uint32_t i = 0; i < nor.base.sector_count; i++) {
        least = nor.erases[i] < least ? nor.erases[i] : least;
        most = nor.erases[i] > most ? nor.erases[i] : most;
    }
    assert_true(least > 20);
    assert_in_range(most - least, 0, difference);
}

// All sectors take turns, whatever waits meanwhile and however often the device starts.
static void test_wear(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        uint32_t backlog, start_every;
        enum pipit_policy policy;
        uint32_t difference;
    } cases[] = {
        {"each event is released at once", 1, 0, PIPIT_REFUSE, 1},
        {"some wait", 30, 0, PIPIT_REFUSE, 1},
        {"started after every third", 5, 3, PIPIT_REFUSE, 1},
        {"started after every one", 1, 1, PIPIT_REFUSE, 1},
        {"never released", UINT32_MAX, 0, PIPIT_DROP_OLDEST, 1},
        {"never released, started often", UINT32_MAX, 5, PIPIT_DROP_OLDEST, 1},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fresh(512, 8, 4, cases[i].policy);
        assert_int_equal(open_spool(), PIPIT_OK);
        for (uint32_t n = 0; n < 3000; n++) {
            assert_int_equal(put(n, 20 + n % 30, NULL), PIPIT_OK);
            if (base->count > cases[i].backlog) {
                assert_int_equal(base->type->release(base, base->tail_boot, base->tail_sequence,
                                                     base->tail_sequence),
                                 PIPIT_OK);
            }
            if (cases[i].start_every > 0 && n % cases[i].start_every == 0) {
                assert_int_equal(open_spool(), PIPIT_OK);
            }
        }
        wear_check(cases[i].difference);
        assert_null(nor.violation);
    }
}

// Fills until something fails; the number of events that were accepted, -1 when nothing failed.
static int fill(uint32_t events_max)
{
    for (uint32_t n = 0; n < events_max; n++) {
        uint32_t sequence = (uint32_t)base->next_sequence;
        enum pipit_err rc = put(n, 30, NULL);
        if (rc != PIPIT_OK) {
            assert_int_equal(rc, PIPIT_ERR_IO);
            assert_int_equal(base->next_sequence, sequence);
            assert_int_equal(put(n, 30, NULL), PIPIT_ERR_IO); // Also when the chip has recovered.
            return (int)n;
        }
    }
    return -1;
}

static void hold_against(uint32_t events)
{
    assert_int_equal(open_spool(), PIPIT_OK);
    assert_int_equal(base->count, events);
    for (uint32_t n = 0; n < events; n++) {
        assert_int_equal(take(), n);
    }
}

// Every program, erase and read fails once: it is said, and nothing is lost or comes from nowhere.
static void test_failures(void **state)
{
    (void)state;
    int failures = 0;
    for (uint32_t at = 1; at < 120; at++) {
        fresh(512, 5, 4, PIPIT_REFUSE);
        nor.fail_at = at;
        if (open_spool() != PIPIT_OK) {
            assert_true(at <= 6);
            nor.fail_at = 0;
            hold_against(0);
            continue;
        }
        int accepted = fill(15);
        failures += accepted >= 0 ? 1 : 0;
        nor.fail_at = 0;
        hold_against(accepted >= 0 ? (uint32_t)accepted : 15);
        assert_int_equal(put(15, 30, NULL), PIPIT_OK);
        assert_null(nor.violation);
    }
    assert_in_range(failures, 20, 40);
    failures = 0;
    for (uint32_t at = 1; at < 1000; at++) {
        fresh(512, 5, 4, PIPIT_REFUSE);
        nor.fail_read = at;
        if (open_spool() != PIPIT_OK) {
            nor.fail_read = 0;
            hold_against(0);
            continue;
        }
        int accepted = fill(15);
        failures += accepted >= 0 ? 1 : 0;
        nor.fail_read = 0;
        hold_against(accepted >= 0 ? (uint32_t)accepted : 15);
    }
    assert_true(failures > 30);
}

// The chip fails while a used sector is erased for the next event: nothing is programmed there.
static void test_erase_fails(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 40; n++) {
        fresh(256, 3, 4, PIPIT_REFUSE);
        nor.random = n;
        assert_int_equal(open_spool(), PIPIT_OK);
        for (uint32_t i = 0; i < 20; i++) { // All sectors have been used.
            assert_int_equal(put(i, 30, NULL), PIPIT_OK);
            assert_int_equal(release_all(), PIPIT_OK);
        }
        uint32_t counter = spool.end.counter;
        while (spool.end.counter == counter) {
            nor.operations = 0;
            nor.fail_at = spool.end.stop - spool.end.at < 64 ? 1 : 0;
            if (put(1, 30, NULL) != PIPIT_OK) {
                break;
            }
            assert_int_equal(release_all(), PIPIT_OK);
        }
        assert_int_equal(nor.operations, 1);
        assert_null(nor.violation);
        hold_against(0);
        assert_int_equal(put(2, 30, NULL), PIPIT_OK);
        assert_null(nor.violation);
    }
}

// A full flash is opened, and each read of that fails once: no sector is erased by mistake.
static void test_open_fails(void **state)
{
    (void)state;
    static struct nor before;
    unsigned starts_in_new_sectors = 0;
    fresh(256, 5, 4, PIPIT_REFUSE);
    assert_int_equal(open_spool(), PIPIT_OK);
    uint32_t events = 0;
    while (put(events, 30, NULL) == PIPIT_OK) {
        events++;
    }
    for (unsigned start = 0; start < 40; start++) {
        before = nor;
        uint32_t counter = spool.end.counter;
        bool has_failed = true;
        for (uint32_t at = 1; has_failed; at++) {
            nor = before;
            nor.reads = 0;
            nor.fail_read = at;
            has_failed = open_spool() != PIPIT_OK;
            if (has_failed) {
                nor.fail_read = 0;
                hold_against(events);
            }
        }
        starts_in_new_sectors += spool.end.counter != counter ? 1 : 0;
    }
    assert_in_range(starts_in_new_sectors, 3, 10);
}

// A release that fails keeps the event, and so does a read that fails on the way.
static void test_release_fails(void **state)
{
    (void)state;
    for (uint32_t at = 1; at < 200; at++) {
        fresh(512, 5, 4, PIPIT_REFUSE);
        assert_int_equal(open_spool(), PIPIT_OK);
        assert_int_equal(fill(12), -1);
        nor.operations = nor.reads = 0;
        nor.fail_at = at % 2 == 0 ? at / 2 : 0;
        nor.fail_read = at % 2 == 1 ? at / 2 : 0;
        uint32_t boot = base->boot;
        enum pipit_err rc = base->type->release(base, boot, 0, 9);
        if (rc != PIPIT_OK) {
            assert_int_equal(rc, PIPIT_ERR_IO);
            assert_int_equal(put(1, 30, NULL), PIPIT_ERR_IO);
        }
        nor.fail_at = nor.fail_read = 0;
        assert_int_equal(open_spool(), PIPIT_OK);
        assert_in_range(base->count, 3, 12);
        assert_int_equal(base->tail_sequence, 13 - base->count);
        for (uint32_t n = 12 - base->count; n < 12; n++) {
            assert_int_equal(take(), n);
        }
        assert_null(nor.violation);
    }
}

// A chip that answers well and leaves a bit behind: the event is not accepted.
static void test_worn(void **state)
{
    (void)state;
    fresh(512, 5, 4, PIPIT_REFUSE);
    assert_int_equal(open_spool(), PIPIT_OK);
    assert_int_equal(fill(5), -1);
    nor.is_worn = true;
    assert_int_equal(put(5, 30, NULL), PIPIT_ERR_IO);
    nor.is_worn = false;
    hold_against(5);
    nor.is_worn = true;
    assert_int_equal(open_spool(), PIPIT_ERR_IO);
    nor.is_worn = false;
    hold_against(5);
}

// One bit anywhere turns: at most the event in which it lies is gone, or the sector of whose head
// it is; the others stay in order.
static void test_rot(void **state)
{
    (void)state;
    static struct nor good;
    uint32_t lost_events = 0, lost_sectors = 0;
    fresh(512, 5, 4, PIPIT_REFUSE);
    assert_int_equal(open_spool(), PIPIT_OK);
    assert_int_equal(fill(14), -1);
    good = nor;
    for (uint32_t at = 0; at < 512 * 5; at++) {
        nor = good;
        nor.bytes[at] ^= (uint8_t)(1u << at % 8);
        assert_int_equal(open_spool(), PIPIT_OK);
        uint32_t count = base->count, last = 0;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t number = take();
            assert_true(i == 0 || number > last);
            last = number;
        }
        assert_in_range(count, 7, 14);
        lost_events += count == 13 ? 1 : 0;
        lost_sectors += count < 13 ? 1 : 0;
        assert_true(count == 14 || count == 13 || at % 512 < 40);
    }
    assert_in_range(lost_events, 14 * (16 + 4 + 34) - 40, 14 * (16 + 4 + 34));
    assert_in_range(lost_sectors, 20, 2 * 28);
}

// Formatting is cut: either the next open says so, or the boot numbers go on, or it is formatted.
static void test_format_cut(void **state)
{
    (void)state;
    unsigned refused = 0, old = 0, fresh_count = 0;
    for (uint32_t seed = 0; seed < 600; seed++) {
        bool is_ours = seed % 2 == 0, is_blank = seed % 4 == 1;
        fresh(256, 6, 4, PIPIT_REFUSE);
        nor.random = seed;
        if (is_ours) {
            assert_int_equal(open_spool(), PIPIT_OK);
            assert_int_equal(fill(12), -1);
        } else if (!is_blank) {
            memset(nor.bytes, seed % 3 == 0 ? 0 : 'x', sizeof(nor.bytes));
            memset(nor.granules, NOR_PROGRAMMED, sizeof(nor.granules));
        }
        uint32_t boot = base->boot;
        nor.operations = 0;
        nor.cut_at = 1 + seed % 15;
        bool is_cut = pipit_flash_spool_format(&nor.base) != PIPIT_OK;
        assert_true(is_cut == nor.is_off);
        nor_power_on(&nor);
        options.entropy = 1;
        enum pipit_err rc = open_spool();
        if (rc == PIPIT_ERR_CORRUPT) {
            assert_true(is_cut && !is_ours);
            refused++;
            assert_int_equal(pipit_flash_spool_format(&nor.base), PIPIT_OK);
            rc = open_spool();
        }
        assert_int_equal(rc, PIPIT_OK);
        bool is_fresh = base->boot == pipit_boot_random(1);
        assert_true(is_fresh || (is_cut && is_ours && base->boot == boot + 1));
        fresh_count += is_fresh ? 1 : 0;
        old += is_fresh ? 0 : 1;
        assert_int_equal(release_all(), PIPIT_OK);
        assert_int_equal(fill(8), -1);
        assert_null(nor.violation);
    }
    assert_true(refused > 50 && old > 50 && fresh_count > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blank_flash),
        cmocka_unit_test(test_not_ours),
        cmocka_unit_test(test_flash_of_zeros),
        cmocka_unit_test(test_other_geometry),
        cmocka_unit_test(test_many_geometries),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_sequence_of_six_bytes),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_full_of_another_policy),
        cmocka_unit_test(test_wear),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_erase_fails),
        cmocka_unit_test(test_open_fails),
        cmocka_unit_test(test_release_fails),
        cmocka_unit_test(test_worn),
        cmocka_unit_test(test_rot),
        cmocka_unit_test(test_format_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
