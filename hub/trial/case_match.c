#include "trial/case_match.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/utf8.h"
#include "core/properties.h"
#include "trial/case_decode.h"
#include "trial/case_json.h"

#define SHOWN_BYTES_MAX 2000 // Of a payload in a line.

static const char *show_hex(struct arena *arena, struct bytes bytes)
{
    size_t len = bytes.len < SHOWN_BYTES_MAX ? bytes.len : SHOWN_BYTES_MAX;
    char *text = arena_alloc(arena, 2 * len + 1);
    for (size_t i = 0; text != NULL && i < len; i++) {
        snprintf(text + 2 * i, 3, "%02x", bytes.ptr[i]);
    }
    return text == NULL ? "" : arena_print(arena, "x'%s'", text);
}

static bool is_printable(struct bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] < ' ' && bytes.ptr[i] != '\n' && bytes.ptr[i] != '\t') {
            return false;
        }
    }
    return utf8_is_valid(bytes);
}

// Text with its line ends written out, so that it stays one line.
static const char *show_bytes(struct arena *arena, struct bytes bytes)
{
    if (bytes.len > SHOWN_BYTES_MAX || !is_printable(bytes)) {
        return show_hex(arena, bytes);
    }
    char *text = arena_alloc(arena, 2 * bytes.len + 1), *at = text;
    for (size_t i = 0; text != NULL && i < bytes.len; i++) {
        char c = (char)bytes.ptr[i];
        if (c == '\n' || c == '\t') {
            *at++ = '\\';
            c = c == '\n' ? 'n' : 't';
        }
        *at++ = c;
    }
    return text == NULL ? "" : text;
}

const char *case_instant_text(struct arena *arena, int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    char text[40];
    if (ms < 0 || gmtime_r(&seconds, &tm) == NULL) {
        return arena_print(arena, "%" PRId64, ms);
    }
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    int rest = (int)(ms % 1000);
    return rest == 0 ? arena_print(arena, "%sZ", text) : arena_print(arena, "%s.%03dZ", text, rest);
}

// ---- differences --------------------------------------------------------------------------------

static const char *text_difference(struct arena *arena, const char *what, const char *expected,
                                   struct bytes got)
{
    if (expected == NULL || bytes_equal(bytes_from_text(expected), got)) {
        return NULL;
    }
    return arena_print(arena, "%s: expected %s, got %s", what, expected, show_bytes(arena, got));
}

static const char *number_difference(struct arena *arena, const char *what, int expected, int got)
{
    if (expected < 0 || expected == got) {
        return NULL;
    }
    return arena_print(arena, "%s: expected %d, got %d", what, expected, got);
}

static bool find_property(struct bytes rest, const char *wanted, struct bytes *out_value)
{
    struct bytes name, value;
    while (properties_next(&rest, &name, &value)) {
        if (bytes_equal(name, bytes_from_text(wanted))) {
            *out_value = value;
            return true;
        }
    }
    return false;
}

static const char *property_difference(struct arena *arena, const struct case_expect *expect,
                                       const struct delivery *got)
{
    for (size_t i = 0; expect->properties != NULL && expect->properties[i] != NULL; i += 2) {
        const char *name = expect->properties[i], *wanted = expect->properties[i + 1];
        struct bytes value = {0};
        if (!find_property(got->properties, name, &value)) {
            return arena_print(arena, "property %s: expected %s, there is none", name, wanted);
        }
        const char *what = arena_print(arena, "property %s", name);
        const char *difference = text_difference(arena, what == NULL ? "" : what, wanted, value);
        if (difference != NULL) {
            return difference;
        }
    }
    return NULL;
}

static const char *const kind_names[] = {"payload", "json",  "contains", "payload",
                                         "cbor",    "pipit", "command",  "protobuf"};

static const char *json_payload_difference(const struct config *config,
                                           const struct case_expect *expect, struct bytes payload,
                                           struct arena *arena)
{
    const char *what = kind_names[expect->kind];
    const struct json_compare how = {
        .tolerance = expect->tolerance,
        .is_subset = expect->kind != CASE_PAYLOAD_JSON && expect->kind != CASE_PAYLOAD_CBOR,
        .arena = arena,
    };
    struct error e = {0};
    json_t *got = NULL;
    if (case_decode(config, expect, payload, &got, &e) != ERR_OK) {
        return arena_print(arena, "%s: the payload %s", what, e.text);
    }
    const char *difference = json_difference(&how, expect->json, got);
    json_decref(got);
    return difference == NULL ? NULL : arena_print(arena, "%s: %s", what, difference);
}

static const char *payload_difference(const struct config *config, const struct case_expect *expect,
                                      struct bytes payload, struct arena *arena)
{
    if (expect->kind == CASE_PAYLOAD_ANY) {
        return NULL;
    }
    if (expect->kind != CASE_PAYLOAD_BYTES) {
        return json_payload_difference(config, expect, payload, arena);
    }
    if (bytes_equal(expect->bytes, payload)) {
        return NULL;
    }
    return arena_print(arena, "%s: expected %s, got %s", expect->is_text ? "text" : "hex",
                       expect->is_text ? show_bytes(arena, expect->bytes)
                                       : show_hex(arena, expect->bytes),
                       expect->is_text ? show_bytes(arena, payload) : show_hex(arena, payload));
}

static const char *time_difference(const struct case_expect *expect,
                                   const struct trial_delivery *got, struct arena *arena)
{
    if (expect->at_ms == INT64_MIN || expect->at_ms == got->at_ms) {
        return NULL;
    }
    return arena_print(arena, "at: expected %s, got %s", case_instant_text(arena, expect->at_ms),
                       case_instant_text(arena, got->at_ms));
}

const char *case_difference(const struct config *config, const struct case_expect *expect,
                            const struct trial_delivery *got, struct arena *arena)
{
    const struct delivery *delivery = &got->delivery;
    const char *found = text_difference(arena, "topic", expect->topic, delivery->topic);
    found = found != NULL ? found : payload_difference(config, expect, delivery->payload, arena);
    found = found != NULL ? found : text_difference(arena, "key", expect->key, delivery->key);
    found = found != NULL
                ? found
                : text_difference(arena, "rule", expect->rule, bytes_from_text(delivery->rule));
    found = found != NULL ? found
                          : text_difference(arena, "content_type", expect->content_type,
                                            bytes_from_text(delivery->content_type));
    found = found != NULL ? found : property_difference(arena, expect, delivery);
    found = found != NULL ? found : number_difference(arena, "qos", expect->qos, delivery->qos);
    found = found != NULL
                ? found
                : number_difference(arena, "retain", expect->is_retained, delivery->is_retained);
    return found != NULL ? found : time_difference(expect, got, arena);
}

// ---- lines --------------------------------------------------------------------------------------

static const char *line(struct arena *arena, const char *topic, const char *payload)
{
    const char *text =
        topic == NULL || topic[0] == '\0' ? payload : arena_print(arena, "%s  %s", topic, payload);
    return text == NULL ? "" : text;
}

const char *case_expect_line(const struct case_expect *expect, struct arena *arena)
{
    const char *payload = "";
    if (expect->json != NULL) {
        payload = json_show(arena, expect->json);
    } else if (expect->kind == CASE_PAYLOAD_BYTES) {
        payload =
            expect->is_text ? show_bytes(arena, expect->bytes) : show_hex(arena, expect->bytes);
    }
    return line(arena, expect->topic, payload);
}

const char *case_got_line(const struct config *config, const struct case_expect *expect,
                          const struct trial_delivery *got, struct arena *arena)
{
    const struct case_expect by_topic = {
        .kind = case_is_command(got->delivery.topic) ? CASE_PAYLOAD_COMMAND : CASE_PAYLOAD_JSON};
    const struct case_expect *as = expect == NULL ? &by_topic : expect;
    struct bytes payload = got->delivery.payload;
    const char *topic = show_bytes(arena, got->delivery.topic), *text = NULL;
    json_t *json = NULL;
    if (as->kind != CASE_PAYLOAD_BYTES && as->kind != CASE_PAYLOAD_ANY &&
        case_decode(config, as, payload, &json, NULL) == ERR_OK) {
        text = json_show(arena, json);
    } else if (as->kind == CASE_PAYLOAD_BYTES && !as->is_text) {
        text = show_hex(arena, payload);
    }
    json_decref(json);
    return line(arena, topic, text == NULL ? show_bytes(arena, payload) : text);
}
