// The judge of the other tests is judged itself: good packets pass, each fault is seen.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mqtt_judge.h"

#define ROW(...)    {__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
#define CONNECT_311 0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 1, 'c'
#define CONNECT_5   0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 60, 0, 0, 1, 'c'

struct row {
    const char *why;
    uint8_t bytes[40];
    size_t len;
};

static struct judge judge;

static const char *judged(bool is_v5, bool has_connect, const uint8_t *ptr, size_t len)
{
    memset(&judge, 0, sizeof(judge));
    judge_begin(&judge, is_v5);
    judge.has_connect = has_connect;
    for (size_t i = 0; i < len; i++) { // Split at every byte.
        judge_put(&judge, ptr + i, 1);
    }
    return judge.fault;
}

static void test_good_packets_pass(void **state)
{
    static const struct row rows[] = {
        {"PUBLISH 0", ROW(0x30, 4, 0, 1, 't', 'x')},
        {"PUBACK with a high identifier", ROW(0x40, 2, 0x80, 0x80)},
        {"PUBREL", ROW(0x62, 2, 0, 1)},
        {"SUBSCRIBE", ROW(0x82, 6, 0, 1, 0, 1, '#', 2)},
        {"UNSUBSCRIBE", ROW(0xA2, 5, 0, 1, 0, 1, '#')},
        {"PINGREQ, DISCONNECT", ROW(0xC0, 0, 0xE0, 0)},
        {"two", ROW(0x40, 2, 0, 1, 0x31, 3, 0, 1, 't')},
    };
    static const struct row rows_5[] = {
        {"PUBLISH 1", ROW(0x32, 7, 0, 1, 't', 0, 9, 0, 'x')},
        {"PUBCOMP with a reason", ROW(0x70, 3, 0, 1, 0x92)},
        {"DISCONNECT with a reason", ROW(0xE0, 1, 0x82)},
    };
    (void)state;
    assert_null(judged(false, false, (const uint8_t[]){CONNECT_311}, 15));
    assert_int_equal(judge.count, 1);
    assert_null(judged(true, false, (const uint8_t[]){CONNECT_5}, 16));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_null(judged(false, true, rows[i].bytes, rows[i].len));
        assert_int_equal(judge.len, 0);
    }
    for (size_t i = 0; i < sizeof(rows_5) / sizeof(rows_5[0]); i++) {
        assert_null(judged(true, true, rows_5[i].bytes, rows_5[i].len));
        assert_int_equal(judge.len, 0);
    }
}

static void test_faults_are_seen(void **state)
{
    static const struct row rows[] = {
        {"a broker's packet", ROW(0x20, 2, 0, 0)},
        {"flags of PUBREL", ROW(0x60, 2, 0, 1)},
        {"flags of PUBACK", ROW(0x41, 2, 0, 1)},
        {"identifier 0", ROW(0x40, 2, 0, 0)},
        {"PUBLISH 1 with identifier 0", ROW(0x32, 5, 0, 1, 't', 0, 0)},
        {"QoS 3", ROW(0x36, 5, 0, 1, 't', 0, 1)},
        {"DUP with QoS 0", ROW(0x38, 3, 0, 1, 't')},
        {"a length of two bytes where one does", ROW(0x40, 0x82, 0, 0, 1)},
        {"a length of five bytes", ROW(0x40, 0x80, 0x80, 0x80, 0x80, 1)},
        {"a topic beyond the packet", ROW(0x30, 3, 0, 2, 't')},
        {"an empty topic", ROW(0x30, 2, 0, 0)},
        {"a wildcard", ROW(0x30, 3, 0, 1, '+')},
        {"U+0000", ROW(0x30, 3, 0, 1, 0)},
        {"an overlong character", ROW(0x30, 4, 0, 2, 0xC0, 0xAF)},
        {"a surrogate", ROW(0x30, 5, 0, 3, 0xED, 0xA0, 0x80)},
        {"half a character", ROW(0x30, 3, 0, 1, 0xC3)},
        {"beyond U+10FFFF", ROW(0x30, 6, 0, 4, 0xF4, 0x90, 0x80, 0x80)},
        {"PUBACK with a reason", ROW(0x40, 3, 0, 1, 0)},
        {"no filter", ROW(0x82, 2, 0, 1)},
        {"no QoS", ROW(0x82, 5, 0, 1, 0, 1, '#')},
        {"QoS 3 of a filter", ROW(0x82, 6, 0, 1, 0, 1, '#', 3)},
        {"a second CONNECT", ROW(CONNECT_311)},
        {"behind DISCONNECT", ROW(0xE0, 0, 0xC0, 0)},
        {"PINGREQ with a payload", ROW(0xC0, 1, 0)},
    };
    static const struct row rows_5[] = {
        {"no properties", ROW(0x30, 3, 0, 1, 't')},
        {"properties beyond the packet", ROW(0x30, 4, 0, 1, 't', 1)},
        {"an unknown property", ROW(0x30, 6, 0, 1, 't', 2, 0x7F, 0)},
        {"a CONNECT's property", ROW(0x30, 7, 0, 1, 't', 3, 0x21, 0, 1)},
        {"a property twice", ROW(0x30, 8, 0, 1, 't', 4, 1, 0, 1, 0)},
        {"a reason of another packet", ROW(0x62, 3, 0, 1, 0x10)},
    };
    static const struct row connects[] = {
        {"another name", ROW(0x10, 13, 0, 4, 'M', 'Q', 'T', 'X', 4, 2, 0, 60, 0, 1, 'c')},
        {"another level", ROW(0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 3, 2, 0, 60, 0, 1, 'c')},
        {"the reserved flag", ROW(0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 3, 0, 60, 0, 1, 'c')},
        {"QoS of no will", ROW(0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 0x0A, 0, 60, 0, 1, 'c')},
        {"a user that is not there",
         ROW(0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 0x82, 0, 60, 0, 1, 'c')},
        {"a password alone",
         ROW(0x10, 16, 0, 4, 'M', 'Q', 'T', 'T', 4, 0x42, 0, 60, 0, 1, 'c', 0, 1, 'p')},
        {"no name, session kept", ROW(0x10, 12, 0, 4, 'M', 'Q', 'T', 'T', 4, 0, 0, 60, 0, 0)},
        {"not the first packet", ROW(0xC0, 0)},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (judged(false, true, rows[i].bytes, rows[i].len) == NULL) {
            fail_msg("not seen: %s", rows[i].why);
        }
    }
    for (size_t i = 0; i < sizeof(rows_5) / sizeof(rows_5[0]); i++) {
        if (judged(true, true, rows_5[i].bytes, rows_5[i].len) == NULL) {
            fail_msg("not seen: %s", rows_5[i].why);
        }
    }
    for (size_t i = 0; i < sizeof(connects) / sizeof(connects[0]); i++) {
        if (judged(false, false, connects[i].bytes, connects[i].len) == NULL) {
            fail_msg("not seen: %s", connects[i].why);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_packets_pass),
        cmocka_unit_test(test_faults_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
