#include "cli/delivery_print.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_bytes.h"
#include "base/utf8.h"
#include "cli/terminal.h"

#define SHOWN_MAX 2000 // Bytes of a payload on a terminal.

struct json_t *delivery_json(const struct delivery *delivery, const char *target)
{
    json_t *json = json_pack("{s:s, s:s, s:I, s:s, s:s}", "target", target, "rule", delivery->rule,
                             "route", (json_int_t)delivery->route, "idempotency_key",
                             delivery->idempotency_key, "content_type", delivery->content_type);
    bool is_fine = json != NULL && json_set_bytes(json, "key", delivery->key) &&
                   json_set_bytes(json, "topic", delivery->topic) &&
                   json_set_bytes(json, "payload", delivery->payload);
    if (is_fine && delivery->properties.len > 0) {
        is_fine = json_set_bytes(json, "properties", delivery->properties);
    }
    if (!is_fine) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static void print_text(struct bytes bytes)
{
    for (size_t i = 0; i < bytes.len && i < SHOWN_MAX; i++) {
        uint8_t c = bytes.ptr[i];
        putchar(c < 0x20 || c == 0x7f ? ' ' : c); // Nothing may steer the terminal.
    }
    printf("%s", bytes.len > SHOWN_MAX ? "..." : "");
}

static void print_hex(struct bytes bytes)
{
    for (size_t i = 0; i < bytes.len && i < SHOWN_MAX / 3; i++) {
        printf("%02x ", bytes.ptr[i]);
    }
    printf("%s", bytes.len > SHOWN_MAX / 3 ? "..." : "");
}

static void print_readable(const struct delivery *delivery, const char *target)
{
    printf("%s%s%s ", terminal_colour(stdout, COLOUR_CYAN), target,
           terminal_colour(stdout, COLOUR_NONE));
    printf("%s", terminal_colour(stdout, COLOUR_BOLD));
    print_text(delivery->topic);
    printf("%s ", terminal_colour(stdout, COLOUR_NONE));
    if (utf8_is_valid(delivery->payload)) {
        print_text(delivery->payload);
    } else {
        print_hex(delivery->payload);
    }
    printf(" %s%s%s\n", terminal_colour(stdout, COLOUR_DIM), delivery->idempotency_key,
           terminal_colour(stdout, COLOUR_NONE));
}

bool delivery_print(const struct delivery *delivery, const char *target, bool is_json)
{
    if (!is_json) {
        print_readable(delivery, target);
        return true;
    }
    json_t *json = delivery_json(delivery, target);
    char *line = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    if (line != NULL) {
        puts(line);
    }
    json_decref(json);
    free(line);
    return line != NULL;
}
