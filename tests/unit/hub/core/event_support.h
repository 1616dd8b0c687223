// event_support.h - messages as a source would give them, for the tests of events, rules and
// outputs. Threads: one. Ownership: each call of the pack functions uses its own static buffer once
// more.
#ifndef PIPIT_TESTS_EVENT_SUPPORT_H
#define PIPIT_TESTS_EVENT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <pipit/v1/pipit.pb-c.h>

#include "core/event.h"

static inline struct message message_of(const char *topic, struct bytes payload)
{
    return (struct message){.topic = bytes_from_text(topic),
                            .payload = payload,
                            .qos = 1,
                            .received_ms = 1700000000123};
}

static inline Pipit__V1__Field field_of(const char *name)
{
    Pipit__V1__Field field = PIPIT__V1__FIELD__INIT;
    field.name = (char *)(uintptr_t)name;
    return field;
}

static inline Pipit__V1__Field real_field(const char *name, double real)
{
    Pipit__V1__Field field = field_of(name);
    field.value_case = PIPIT__V1__FIELD__VALUE_REAL;
    field.real = real;
    return field;
}

static inline Pipit__V1__Field text_field(const char *name, const char *text)
{
    Pipit__V1__Field field = field_of(name);
    field.value_case = PIPIT__V1__FIELD__VALUE_TEXT;
    field.text = (char *)(uintptr_t)text;
    return field;
}

// Packs into out, which must be large enough.
static inline struct bytes pack_event(uint8_t *out, const char *type, uint64_t sequence,
                                      Pipit__V1__Field *fields, size_t count)
{
    Pipit__V1__Field *list[300];
    Pipit__V1__Event event = PIPIT__V1__EVENT__INIT;
    assert_true(count <= 300);
    for (size_t i = 0; i < count; i++) {
        list[i] = &fields[i];
    }
    event.boot = 7;
    event.sequence = sequence;
    event.type = (char *)(uintptr_t)type;
    event.device_time_case = PIPIT__V1__EVENT__DEVICE_TIME_TIME;
    event.time = 1700000000000;
    event.n_fields = count;
    event.fields = list;
    return bytes_of(out, pipit__v1__event__pack(&event, out));
}

#endif
