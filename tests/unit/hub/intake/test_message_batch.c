// What a batch holds is a copy that stays until it is reset.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "intake/message_batch.h"

static void add(struct message_batch *batch, const char *topic, size_t payload_len)
{
    uint8_t *payload = malloc(payload_len + 1);
    memset(payload, (int)(payload_len & 0x7F), payload_len + 1);
    struct user_property property = {bytes_from_text("name"), bytes_from_text(topic)};
    struct message message = {
        .topic = bytes_from_text(topic),
        .payload = bytes_of(payload, payload_len),
        .properties = &property,
        .property_count = payload_len % 2,
        .qos = 1,
    };
    assert_true(message_batch_add(batch, &message));
    free(payload);
}

static void check(const struct message *message, const char *topic, size_t payload_len)
{
    assert_true(bytes_equal(message->topic, bytes_from_text(topic)));
    assert_int_equal(message->payload.len, payload_len);
    for (size_t i = 0; i < payload_len; i++) {
        assert_int_equal(message->payload.ptr[i], payload_len & 0x7F);
    }
    assert_int_equal(message->property_count, payload_len % 2);
    if (message->property_count > 0) {
        assert_true(bytes_equal(message->properties[0].value, bytes_from_text(topic)));
    } else {
        assert_null(message->properties);
    }
}

static void copies_of_every_size_stay(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 7, 200, 4096, 65535, 65536, 65537, 1 << 20};
    struct message_batch batch;
    message_batch_init(&batch);
    for (int round = 0; round < 3; round++) { // The second time in spare memory.
        char topic[32];
        for (uint32_t i = 0; i < 5000; i++) {
            snprintf(topic, sizeof(topic), "t/%u", i);
            add(&batch, topic, i < 9 ? sizes[i] : i % 300);
        }
        assert_int_equal(batch.count, 5000);
        assert_true(batch.bytes > 1 << 20);
        for (uint32_t i = 0; i < 5000; i++) {
            snprintf(topic, sizeof(topic), "t/%u", i);
            check(&batch.messages[i], topic, i < 9 ? sizes[i] : i % 300);
        }
        message_batch_reset(&batch);
        assert_int_equal(batch.count, 0);
        assert_int_equal(batch.bytes, 0);
    }
    message_batch_deinit(&batch);
}

static void many_properties_keep_their_order(void **state)
{
    (void)state;
    struct user_property properties[50];
    char names[50][8];
    struct message_batch batch;
    message_batch_init(&batch);
    for (uint32_t i = 0; i < 50; i++) {
        snprintf(names[i], sizeof(names[i]), "n%u", i);
        properties[i] =
            (struct user_property){bytes_from_text(names[i]), bytes_from_text(i % 3 ? "v" : "")};
    }
    struct message message = {.topic = bytes_from_text("t"),
                              .content_type = bytes_from_text("application/json"),
                              .properties = properties,
                              .property_count = 50};
    assert_true(message_batch_add(&batch, &message));
    memset(properties, 0, sizeof(properties));
    const struct message *copy = &batch.messages[0];
    for (uint32_t i = 0; i < 50; i++) {
        assert_true(bytes_equal(copy->properties[i].name, bytes_from_text(names[i])));
    }
    assert_true(bytes_equal(copy->content_type, bytes_from_text("application/json")));
    message_batch_deinit(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_of_every_size_stay),
        cmocka_unit_test(many_properties_keep_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
