// The serial transport: silence before a connection, stale bytes gone, then bytes as they are.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipit/uart.h"

static struct {
    uint8_t in[512], out[512];
    size_t in_len, in_at, out_len;
    size_t room;     // Bytes taken by one write.
    bool is_endless; // There is always a byte.
} line;
static struct pipit_uart_options options;
static struct pipit_uart uart;
static struct pipit_transport *transport = &uart.base;

static size_t line_write(void *context, const uint8_t *ptr, size_t len)
{
    size_t count = len < line.room ? len : line.room;
    assert_ptr_equal(context, &line);
    memcpy(line.out + line.out_len, ptr, count);
    line.out_len += count;
    return count;
}

static size_t line_read(void *context, uint8_t *ptr, size_t size)
{
    assert_ptr_equal(context, &line);
    if (line.is_endless) {
        memset(ptr, 'x', size);
        return size;
    }
    size_t count = line.in_len - line.in_at;
    count = count < size ? count : size;
    memcpy(ptr, line.in + line.in_at, count);
    line.in_at += count;
    return count;
}

static int setup(void **state)
{
    (void)state;
    memset(&line, 0, sizeof(line));
    line.room = sizeof(line.out);
    options = (struct pipit_uart_options){
        .write = line_write, .read = line_read, .context = &line, .guard_ms = 0};
    return pipit_uart_init(&uart, &options);
}

static enum pipit_err open_at(uint32_t now_ms)
{
    return transport->type->open(transport, now_ms);
}

static void test_guard_is_kept_before_each_connection(void **state)
{
    static const struct {
        const char *why;
        uint32_t begin_ms;
        uint16_t guard_ms;
        uint32_t want_ms;
    } cases[] = {
        {"the default", 1000, 0, PIPIT_UART_GUARD_MS},
        {"as asked for", 1000, 1500, 1500},
        {"over the clock's wrap", 0xFFFFFFF0u, 50, 50},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        options.guard_ms = cases[i].guard_ms;
        for (int round = 0; round < 2; round++) { // The second connection waits as long.
            uint32_t begin = cases[i].begin_ms + (uint32_t)round * 5000u;
            assert_int_equal(open_at(begin), PIPIT_ERR_BUSY);
            assert_int_equal(open_at(begin + cases[i].want_ms - 1), PIPIT_ERR_BUSY);
            assert_int_equal(open_at(begin + cases[i].want_ms), PIPIT_OK);
            transport->type->close(transport);
            transport->type->close(transport);
        }
    }
    assert_int_equal(line.out_len, 0);
}

static void test_an_opening_that_was_given_up_starts_over(void **state)
{
    (void)state;
    assert_int_equal(open_at(0), PIPIT_ERR_BUSY);
    transport->type->close(transport);
    assert_int_equal(open_at(10000), PIPIT_ERR_BUSY);
    assert_int_equal(open_at(10000 + PIPIT_UART_GUARD_MS), PIPIT_OK);
}

static void test_stale_bytes_are_dropped_and_new_ones_kept(void **state)
{
    uint8_t got[8];
    (void)state;
    line.in_len = 100;
    assert_int_equal(open_at(0), PIPIT_ERR_BUSY);
    assert_int_equal(line.in_at, 100);
    line.in_len = 130; // They go on coming.
    assert_int_equal(open_at(PIPIT_UART_GUARD_MS), PIPIT_OK);
    assert_int_equal(line.in_at, 130);
    memcpy(line.in + 130, "new", 3);
    line.in_len = 133;
    assert_int_equal(transport->type->read(transport, got, sizeof(got)), 3);
    assert_memory_equal(got, "new", 3);
    assert_int_equal(transport->type->read(transport, got, sizeof(got)), 0);
}

static void test_endless_line_holds_nobody_up(void **state)
{
    (void)state;
    line.is_endless = true;
    assert_int_equal(open_at(0), PIPIT_ERR_BUSY);
    assert_int_equal(open_at(PIPIT_UART_GUARD_MS), PIPIT_OK);
}

static void test_short_writes_are_told(void **state)
{
    (void)state;
    line.room = 2;
    assert_int_equal(transport->type->write(transport, (const uint8_t *)"abc", 3), 2);
    line.room = 0;
    assert_int_equal(transport->type->write(transport, (const uint8_t *)"c", 1), 0);
    assert_int_equal(line.out_len, 2);
    assert_memory_equal(line.out, "ab", 2);
}

static void test_both_functions_are_needed(void **state)
{
    (void)state;
    options.read = NULL;
    assert_int_equal(pipit_uart_init(&uart, &options), PIPIT_ERR_ARGUMENT);
    options.read = line_read;
    options.write = NULL;
    assert_int_equal(pipit_uart_init(&uart, &options), PIPIT_ERR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_guard_is_kept_before_each_connection, setup),
        cmocka_unit_test_setup(test_an_opening_that_was_given_up_starts_over, setup),
        cmocka_unit_test_setup(test_stale_bytes_are_dropped_and_new_ones_kept, setup),
        cmocka_unit_test_setup(test_endless_line_holds_nobody_up, setup),
        cmocka_unit_test_setup(test_short_writes_are_told, setup),
        cmocka_unit_test_setup(test_both_functions_are_needed, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
