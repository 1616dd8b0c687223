// format_json.c - JSON that an entry demands, and the built-in that takes payloads as they come.
#include <jansson.h>

#include "core/event_parts.h"
#include "core/format_types.h"

static enum err validate_json(struct event *event, struct error *e)
{
    if (event->payload.len == 0) {
        return error_set(e, ERR_INVALID, "the payload is empty; JSON was expected");
    }
    return event_json_validate(event, e);
}

static json_t *fields(struct event *event)
{
    return json_incref(event_json(event));
}

const struct format_type format_json = {
    .name = "json",
    .validate = validate_json,
    .field = event_json_field,
    .fields = fields,
};

const struct format_type format_any = {
    .name = "any",
    .validate = event_json_validate,
    .field = event_json_field,
    .fields = fields,
};
