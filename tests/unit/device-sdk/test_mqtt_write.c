// The writers against every size of room: a packet is whole or it is not there, and nothing is
// written beyond the room.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mqtt.h"
#include "mqtt_judge.h"

enum { CASES = 8 };

static size_t write_case(int index, uint8_t *out, size_t room, bool is_v5)
{
    static const uint8_t payload[130];
    struct mqtt_limits limits = {
        .packet_max = 100, .receive_max = index == 0 ? 0 : 3, .is_v5 = is_v5};
    struct pipit_connect connect = {.client_id = "name", .session_expiry_s = 1};
    struct pipit_message message = {.topic = "a/b", .payload = {payload, 20}};
    switch (index) {
    case 0:
        return pipit_mqtt_write_connect(out, room, &connect, &limits);
    case 1:
        connect.username = "user";
        connect.password = pipit_text("secret");
        connect.will_topic = "will";
        connect.will = pipit_text("gone");
        return pipit_mqtt_write_connect(out, room, &connect, &limits);
    case 2:
        return pipit_mqtt_write_publish(out, room, &message, MQTT_PUBLISH, 0, is_v5);
    case 3:
        message.payload.len = sizeof(payload);
        return pipit_mqtt_write_publish(out, room, &message, MQTT_PUBLISH | 2, 7, is_v5);
    case 4:
        return pipit_mqtt_write_subscribe(out, room, MQTT_SUBSCRIBE, "a/#", 1, 8, is_v5);
    case 5:
        return pipit_mqtt_write_subscribe(out, room, MQTT_UNSUBSCRIBE, "a/#", 0, 9, is_v5);
    case 6:
        return pipit_mqtt_write_answer(out, room, MQTT_PUBACK, 0xFFFF, 0);
    default:
        return pipit_mqtt_write_answer(out, room, MQTT_PUBREL, 1, is_v5 ? MQTT_ID_UNKNOWN : 0);
    }
}

static struct judge judge;

static void check(int index, bool is_v5)
{
    size_t whole = 0;
    for (size_t room = 0; room < 220; room++) {
        uint8_t *out = malloc(room + 1); // So that room 0 has an address, and its end is watched:
        uint8_t *exact = realloc(out, room > 0 ? room : 1);
        memset(exact, 0xEE, room);
        size_t len = write_case(index, exact, room, is_v5);
        assert_true(len <= room);
        assert_true(len > 0 || whole == 0); // Once it fits it goes on fitting, and is the same.
        assert_true(whole == 0 || len == whole);
        whole = len;
        if (len > 0) {
            memset(&judge, 0, sizeof(judge));
            judge_begin(&judge, is_v5);
            judge.has_connect = index > 1;
            judge_put(&judge, exact, len);
            assert_null(judge.fault);
            assert_int_equal(judge.count, 1);
            assert_int_equal(judge.len, 0);
        }
        free(exact);
    }
    assert_int_not_equal(whole, 0);
}

static void test_writers_keep_to_their_room(void **state)
{
    (void)state;
    for (int index = 0; index < CASES; index++) {
        check(index, false);
        check(index, true);
    }
}

static void test_texts_of_more_than_65535_bytes_are_refused(void **state)
{
    enum { ROOM = 200000 };
    uint8_t *out = malloc(ROOM);
    char *text = malloc(65537);
    struct mqtt_limits limits = {.packet_max = 100};
    struct pipit_connect connect = {.client_id = "c", .session_expiry_s = 1};
    struct pipit_message message = {.topic = text};
    (void)state;
    for (size_t len = 65535; len <= 65536; len++) {
        bool is_refused = len > 65535;
        memset(text, 't', len);
        text[len] = 0;
        connect.client_id = text;
        assert_int_equal(pipit_mqtt_write_connect(out, ROOM, &connect, &limits) == 0, is_refused);
        connect.client_id = "c";
        connect.username = text;
        assert_int_equal(pipit_mqtt_write_connect(out, ROOM, &connect, &limits) == 0, is_refused);
        connect.password = pipit_text(text);
        connect.username = "u";
        assert_int_equal(pipit_mqtt_write_connect(out, ROOM, &connect, &limits) == 0, is_refused);
        connect.username = NULL;
        connect.password.ptr = NULL;
        connect.will_topic = text;
        assert_int_equal(pipit_mqtt_write_connect(out, ROOM, &connect, &limits) == 0, is_refused);
        connect.will_topic = "w";
        connect.will = pipit_text(text);
        assert_int_equal(pipit_mqtt_write_connect(out, ROOM, &connect, &limits) == 0, is_refused);
        connect.will_topic = NULL;
        assert_int_equal(pipit_mqtt_write_publish(out, ROOM, &message, MQTT_PUBLISH, 0, false) == 0,
                         is_refused);
        assert_int_equal(pipit_mqtt_write_subscribe(out, ROOM, MQTT_SUBSCRIBE, text, 0, 1, false) ==
                             0,
                         is_refused);
    }
    free(text);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writers_keep_to_their_room),
        cmocka_unit_test(test_texts_of_more_than_65535_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
