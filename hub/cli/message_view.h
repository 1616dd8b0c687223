// message_view.h - one MQTT message for a reader: Pipit's own decoded, others as they are.
// Threads:   one.
// Ownership: nothing is kept.
// Failure:   what cannot be decoded is shown as bytes and said so.
#ifndef PIPIT_CLI_MESSAGE_VIEW_H
#define PIPIT_CLI_MESSAGE_VIEW_H

#include <stdio.h>

#include "cli/client.h"

// A line with time, device, kind and fields, coloured where the file is a terminal.
void message_print(FILE *file, const struct client_message *message, int64_t now_ms);
// A line of JSON: topic, at_ms, kind, device, fields or payload.
void message_json(FILE *file, const struct client_message *message, int64_t now_ms);

#endif
