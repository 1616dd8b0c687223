#include "core/receipt.h"

#include <pipit/v1/pipit.pb-c.h>
#include <stdio.h>

enum err receipt_make(const struct dedupe_entry *entry, struct event_memory *memory,
                      struct receipt *out_receipt, struct error *e)
{
    uint8_t bitmap[SEQUENCE_WINDOW_BITS / 8];
    Pipit__V1__Receipt receipt = PIPIT__V1__RECEIPT__INIT;
    receipt.boot = entry->boot;
    receipt.upto = entry->window.upto;
    receipt.bitmap.len = sequence_window_bitmap(&entry->window, bitmap);
    receipt.bitmap.data = bitmap;
    size_t len = pipit__v1__receipt__get_packed_size(&receipt);
    size_t topic_bytes = strlen(entry->device) + sizeof("pipit/v1//receipt");
    uint8_t *payload = event_memory_take(memory, len + 1);
    char *topic = event_memory_take(memory, topic_bytes);
    if (payload == NULL || topic == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a receipt");
    }
    pipit__v1__receipt__pack(&receipt, payload);
    snprintf(topic, topic_bytes, "pipit/v1/%s/receipt", entry->device);
    *out_receipt = (struct receipt){topic, bytes_of(payload, len)};
    return ERR_OK;
}
