// One suite for every spool: random verbs against a model that is a plain array.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// Built without them for processors that have no files.
#ifndef TEST_WITHOUT_FILES
#include "pipit/posix.h"
#else
#include "pipit/pipit.h"
#endif

#define EVENTS_MAX 20000

enum place { UNREAD = 0, READ, GONE };

// What should be in the spool, by order of acceptance.
static struct {
    uint32_t boot;
    uint64_t sequence;
    uint8_t size;
    uint8_t fill;
    uint8_t place;
} model[EVENTS_MAX];
static size_t model_count;
static uint32_t random_state;
static uint8_t ring[2048];
static struct pipit_ram_spool ram;
#ifndef TEST_WITHOUT_FILES
static char path[64];
static uint8_t memory[512];
static struct pipit_file_spool file;
#endif
static struct pipit_spool *spool;

static uint32_t random_next(uint32_t below)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % below;
}

static size_t model_first(enum place place)
{
    size_t i = 0;
    while (i < model_count && model[i].place != place) {
        i++;
    }
    return i;
}

static uint32_t model_number(enum place place)
{
    uint32_t number = 0;
    for (size_t i = 0; i < model_count; i++) {
        number += model[i].place == place ? 1 : 0;
    }
    return number;
}

static void do_put(void)
{
    uint8_t body[256];
    uint8_t size = (uint8_t)(1 + random_next(200));
    uint8_t fill = (uint8_t)random_next(256);
    uint32_t dropped = spool->dropped;
    uint64_t sequence = spool->next_sequence;
    uint64_t mark = model_count;
    memset(body, fill, sizeof(body));
    enum pipit_err rc = spool->type->put(spool, (struct pipit_bytes){body, size}, &mark);
    for (; dropped < spool->dropped; dropped++) {
        size_t oldest = 0;
        while (oldest < model_count && model[oldest].place == GONE) {
            oldest++;
        }
        model[oldest].place = GONE;
    }
    if (rc == PIPIT_ERR_FULL) {
        assert_int_equal(spool->policy, PIPIT_REFUSE);
        assert_int_equal(spool->next_sequence, sequence);
        return;
    }
    assert_int_equal(rc, PIPIT_OK);
    model[model_count].boot = spool->boot;
    model[model_count].sequence = sequence;
    model[model_count].size = size;
    model[model_count].fill = fill;
    model[model_count].place = UNREAD;
    model_count++;
    assert_int_equal(spool->mark, mark);
}

static void do_read(void)
{
    struct pipit_record record;
    size_t at = model_first(UNREAD);
    enum pipit_err rc = spool->type->peek(spool, &record);
    if (at == model_count) {
        assert_int_equal(rc, PIPIT_ERR_EMPTY);
        return;
    }
    assert_int_equal(rc, PIPIT_OK);
    assert_int_equal(record.boot, model[at].boot);
    assert_int_equal(record.sequence, model[at].sequence);
    assert_int_equal(record.body.len, model[at].size);
    for (size_t i = 0; i < record.body.len; i++) {
        assert_int_equal(record.body.ptr[i], model[at].fill);
    }
    size_t next = at + 1;
    while (next < model_count && model[next].place == GONE) {
        next++;
    }
    assert_int_equal(record.is_last, next == model_count || model[next].boot != record.boot);
    spool->type->advance(spool);
    model[at].place = READ;
}

static void do_release(void)
{
    size_t at = model_count == 0 ? 0 : model_first(random_next(2) == 0 ? READ : UNREAD);
    if (at == model_count) {
        return;
    }
    uint32_t boot = model[at].boot;
    uint64_t first = random_next(2) == 0 ? 0 : model[at].sequence + random_next(4);
    uint64_t last = model[at].sequence + random_next(6);
    assert_int_equal(spool->type->release(spool, boot, first, last), PIPIT_OK);
    for (size_t i = 0; i < model_count; i++) {
        if (model[i].boot == boot && model[i].sequence >= first && model[i].sequence <= last) {
            model[i].place = GONE;
        }
    }
}

static void do_rewind(void)
{
    spool->type->rewind(spool);
    for (size_t i = 0; i < model_count; i++) {
        model[i].place = model[i].place == READ ? UNREAD : model[i].place;
    }
}

#ifndef TEST_WITHOUT_FILES
static void do_reopen(void)
{
    struct pipit_file_options options = file.options;
    uint32_t boot = spool->boot;
    if (spool != &file.base) {
        return;
    }
    assert_int_equal(pipit_file_spool_close(&file), PIPIT_OK);
    assert_int_equal(pipit_file_spool_open(&file, &options), PIPIT_OK);
    assert_int_equal(spool->boot, boot + 1);
    assert_int_equal(spool->next_sequence, 1);
    do_rewind();
    if (model_count > 0) {
        assert_true(spool->has_mark);
        assert_int_equal(spool->mark, model_count - 1);
    }
}
#else
static void do_reopen(void)
{
}
#endif

static void check(void)
{
    uint32_t unread = model_number(UNREAD);
    uint32_t read = model_number(READ);
    assert_int_equal(spool->unread_count, unread);
    assert_int_equal(spool->read_count, read);
    assert_int_equal(spool->count, unread + read);
    assert_true(spool->used_bytes <= spool->limit_bytes);
    if (spool->count > 0) {
        size_t tail = 0;
        while (model[tail].place == GONE) {
            tail++;
        }
        assert_int_equal(spool->tail_boot, model[tail].boot);
        assert_int_equal(spool->tail_sequence, model[tail].sequence);
    } else {
        assert_int_equal(spool->used_bytes, 0);
    }
}

static void one_step(void)
{
    uint32_t dice = random_next(1000);
    if (dice < 400) {
        do_put();
    } else if (dice < 800) {
        do_read();
    } else if (dice < 980) {
        do_release();
    } else if (dice < 995) {
        do_rewind();
    } else {
        do_reopen();
    }
    check();
}

static void run_model(uint32_t seed, unsigned steps)
{
    random_state = seed;
    model_count = 0;
    for (unsigned i = 0; i < steps; i++) {
        one_step();
    }
}

static void test_ram(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 60; seed++) {
        size_t size = seed % 3 == 0 ? 256 : sizeof(ring) - seed;
        enum pipit_policy policy = seed % 2 == 0 ? PIPIT_REFUSE : PIPIT_DROP_OLDEST;
        spool = &ram.base;
        assert_int_equal(pipit_ram_spool_init(&ram, ring, size, policy, 5), PIPIT_OK);
        run_model(seed, 1500);
    }
}

#ifndef TEST_WITHOUT_FILES
static void test_file(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 12; seed++) {
        struct pipit_file_options options = {.path = path,
                                             .limit_bytes = seed % 3 == 0 ? 1024 : 20000,
                                             .policy =
                                                 seed % 2 == 0 ? PIPIT_REFUSE : PIPIT_DROP_OLDEST,
                                             .memory = memory,
                                             .memory_bytes = sizeof(memory),
                                             .entropy = seed * 7919};
        spool = &file.base;
        (void)unlink(path);
        assert_int_equal(pipit_file_spool_open(&file, &options), PIPIT_OK);
        assert_in_range(file.base.boot, 1, 1u << 20);
        run_model(seed, 2000);
        assert_true(file.end <= 2 * options.limit_bytes + 65536 + 1024);
        assert_int_equal(pipit_file_spool_close(&file), PIPIT_OK);
    }
}
#endif

static void test_ram_sizes(void **state)
{
    (void)state;
    uint8_t body[64] = {0};
    assert_int_equal(pipit_ram_spool_init(&ram, ring, 8, PIPIT_REFUSE, 1), PIPIT_ERR_ARGUMENT);
    assert_int_equal(pipit_ram_spool_init(&ram, ring, 64, PIPIT_DROP_OLDEST, 1), PIPIT_OK);
    spool = &ram.base;
    struct pipit_bytes fits = {body, 62};
    struct pipit_bytes never = {body, 63};
    assert_int_equal(spool->type->put(spool, never, NULL), PIPIT_ERR_SIZE);
    assert_int_equal(spool->type->put(spool, fits, NULL), PIPIT_OK);
    assert_int_equal(spool->type->put(spool, fits, NULL), PIPIT_OK);
    assert_int_equal(spool->dropped, 1);
    assert_int_equal(spool->count, 1);
}

#ifndef TEST_WITHOUT_FILES
static int make_path(void **state)
{
    (void)state;
    char directory[] = "/tmp/pipit-spool-XXXXXX";
    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof(path), "%s/spool", directory);
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    (void)unlink(path);
    *strrchr(path, '/') = '\0';
    return rmdir(path);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ram),
        cmocka_unit_test(test_ram_sizes),
#ifndef TEST_WITHOUT_FILES
        cmocka_unit_test(test_file),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
#else
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
#endif
}
