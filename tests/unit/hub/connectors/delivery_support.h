// delivery_support.h - deliveries for tests, with keys "key-<n>" and payloads {"n":<n>}.
#ifndef PIPIT_TESTS_DELIVERY_SUPPORT_H
#define PIPIT_TESTS_DELIVERY_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>

#include "core/delivery.h"

#define DELIVERIES_MAX 600

struct deliveries {
    struct delivery rows[DELIVERIES_MAX];
    const struct delivery *list[DELIVERIES_MAX];
    char keys[DELIVERIES_MAX][24];
    char payloads[DELIVERIES_MAX][24];
};

static inline struct deliveries *deliveries_make(uint32_t count, uint8_t qos)
{
    struct deliveries *made = calloc(1, sizeof(*made));
    for (uint32_t i = 0; i < count; i++) {
        snprintf(made->keys[i], sizeof(made->keys[i]), "key-%u", i);
        snprintf(made->payloads[i], sizeof(made->payloads[i]), "{\"n\":%u}", i);
        made->rows[i] = (struct delivery){
            .id = i + 1,
            .idempotency_key = made->keys[i],
            .rule = "rule",
            .key = bytes_from_text("k"),
            .topic = bytes_from_text("out/topic"),
            .payload = bytes_from_text(made->payloads[i]),
            .content_type = "application/json",
            .qos = qos,
            .created_ms = 1777863721123,
        };
        made->list[i] = &made->rows[i];
    }
    return made;
}

#endif
