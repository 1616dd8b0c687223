// json_support.h - a core with one rule over "a/<device>" topics with JSON payloads, and what comes
// out of it as lines of text.
#ifndef PIPIT_TEST_JSON_SUPPORT_H
#define PIPIT_TEST_JSON_SUPPORT_H

#include "core_support.h"

static inline void use_sql(struct fixture *fixture, const char *sql)
{
    fixture_close(fixture);
    fixture->rules[0].sql = sql;
    fixture->rules[0].key = "topic";
    fixture->routes[0].topic = "out";
    fixture_open(fixture);
}

static inline void put(struct fixture *fixture, const char *device, const char *fields)
{
    char topic[40], payload[200];
    snprintf(topic, sizeof(topic), "a/%s", device);
    snprintf(payload, sizeof(payload), "{%s}", fields);
    add_message(fixture, topic, bytes_from_text(payload));
}

// Every payload that is waiting, in order, one a line; they are delivered.
static inline const char *outputs(struct fixture *fixture)
{
    static char text[16384];
    size_t len = 0;
    text[0] = '\0';
    uint32_t count;
    while ((count = take(fixture, 0, FLIGHT_MAX)) > 0) {
        for (uint32_t i = 0; i < count; i++) {
            const struct delivery *delivery = fixture->taken[i];
            len +=
                (size_t)snprintf(text + len, sizeof(text) - len, "%.*s\n",
                                 (int)delivery->payload.len, (const char *)delivery->payload.ptr);
            assert_true(len < sizeof(text));
            add_settlement(fixture, delivery->id, VERDICT_DONE);
        }
        step(fixture);
    }
    return text;
}

static inline void assert_outputs(struct fixture *fixture, const char *want)
{
    const char *have = outputs(fixture);
    if (strcmp(have, want) != 0) {
        fail_msg("want\n%shave\n%s", want, have);
    }
}

#endif
