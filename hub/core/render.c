#include "core/render.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "core/address.h"
#include "core/event_parts.h"
#include "core/idempotency.h"
#include "core/render_cloudevent.h"
#include "core/render_json.h"
#include "core/render_properties.h"
#include "core/render_protobuf.h"
#include "core/topic.h"

#define KEY_BYTES_MAX 1024

struct route {
    const struct route_spec *spec;
    struct template *topic, *text; // NULL where the route has none.
    const char *type;              // Of a Pipit event.
    struct cloudevent_route *cloudevent;
    struct protobuf_route *protobuf;
    struct route_properties *properties;
};

struct render {
    const struct rule_spec *rule;
    struct json_row *json; // NULL when no route wants JSON.
    struct column_ref key;
    struct text_writer writer, properties;
    struct route routes[];
};

static enum err create_json(struct render *render, sqlite3_stmt *compiled, struct error *e)
{
    return render->json != NULL ? ERR_OK : json_row_create(&render->json, compiled, NULL, e);
}

static enum err create_payload(struct render *render, struct route *route, sqlite3_stmt *compiled,
                               struct error *e)
{
    const struct route_spec *spec = route->spec;
    switch (spec->format) {
    case PAYLOAD_JSON:
        return create_json(render, compiled, e);
    case PAYLOAD_TEXT:
        return spec->text == NULL ? ERR_OK : template_create(&route->text, spec->text, compiled, e);
    case PAYLOAD_PIPIT:
        route->type = spec->type == NULL ? render->rule->name : spec->type;
        return pipit_row_check(compiled, route->type, e);
    case PAYLOAD_CBOR:
        return cbor_row_check(compiled, e);
    case PAYLOAD_CLOUDEVENT:
        return cloudevent_create(&route->cloudevent, &spec->cloudevent, compiled, e);
    case PAYLOAD_PROTOBUF:
        return protobuf_route_create(&route->protobuf, spec, compiled, e);
    case PAYLOAD_ORIGINAL:
        break;
    }
    return ERR_OK;
}

static enum err create_route(struct render *render, uint32_t index, sqlite3_stmt *compiled,
                             struct error *e)
{
    struct route *route = &render->routes[index];
    route->spec = &render->rule->routes[index];
    enum err rc = ERR_OK;
    if (route->spec->topic != NULL) {
        rc = template_create(&route->topic, route->spec->topic, compiled, e);
        rc = rc == ERR_CONFIG ? error_wrap(e, route->spec->is_url ? "path" : "topic") : rc;
    }
    if (rc == ERR_OK) {
        rc = create_payload(render, route, compiled, e);
        rc = rc == ERR_CONFIG ? error_wrap(e, "payload") : rc;
    }
    if (rc == ERR_OK) {
        rc = route_properties_create(&route->properties, route->spec, compiled, e);
    }
    return rc == ERR_CONFIG ? error_wrap(e, "route %u", index + 1) : rc;
}

enum err render_create(struct render **out_render, const struct rule_spec *rule,
                       sqlite3_stmt *compiled, struct error *e)
{
    struct render *render =
        calloc(1, sizeof(*render) + rule->route_count * sizeof(render->routes[0]));
    if (render == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a rule's routes");
    }
    render->rule = rule;
    enum err rc = ERR_OK;
    if (rule->key != NULL) {
        rc = column_ref_find(&render->key, rule->key, compiled, e);
        rc = rc == ERR_CONFIG ? error_wrap(e, "key") : rc;
    }
    for (uint32_t i = 0; rc == ERR_OK && i < rule->route_count; i++) {
        rc = create_route(render, i, compiled, e);
    }
    if (rc == ERR_OK) {
        *out_render = render;
    } else {
        render_destroy(render);
    }
    return rc;
}

void render_destroy(struct render *render)
{
    if (render == NULL) {
        return;
    }
    for (uint32_t i = 0; i < render->rule->route_count; i++) {
        template_destroy(render->routes[i].topic);
        template_destroy(render->routes[i].text);
        cloudevent_destroy(render->routes[i].cloudevent);
        protobuf_route_destroy(render->routes[i].protobuf);
        route_properties_destroy(render->routes[i].properties);
    }
    json_row_destroy(render->json);
    text_writer_deinit(&render->writer);
    text_writer_deinit(&render->properties);
    free(render);
}

// Without a key of the rule: the device, else the topic, so that each device's events keep their
// order.
static enum err render_key(struct render *render, const struct render_row *row,
                           struct bytes *out_key, struct error *e)
{
    if (render->rule->key == NULL) {
        struct bytes device = bytes_from_text(event_identity(row->event)->key);
        *out_key = device.len > 0 ? device : event_message(row->event)->topic;
        return ERR_OK;
    }
    struct event_value value;
    column_ref_value(&render->key, row, &value);
    render->writer.len = 0;
    enum err rc = text_writer_add_value(&render->writer, &value, e);
    if (rc != ERR_OK) {
        return rc == ERR_INVALID ? error_wrap(e, "key \"%s\"", render->rule->key) : rc;
    }
    if (render->writer.len > KEY_BYTES_MAX) {
        return error_set(e, ERR_INVALID, "key \"%s\" is longer than %d bytes", render->rule->key,
                         KEY_BYTES_MAX);
    }
    return text_writer_keep(&render->writer, row->memory, out_key, e);
}

static enum err render_topic(struct render *render, const struct route *route,
                             const struct render_row *row, struct bytes *out_topic, struct error *e)
{
    *out_topic = bytes_of("", 0);
    if (route->topic == NULL) {
        return ERR_OK;
    }
    render->writer.len = 0;
    bool is_url = route->spec->is_url;
    const char *what = is_url ? "address" : "topic";
    enum err rc = template_render(route->topic, row, is_url ? TEMPLATE_ADDRESS : TEMPLATE_TOPIC,
                                  &render->writer, e);
    if (rc != ERR_OK) {
        return rc == ERR_INVALID ? error_wrap(e, "%s \"%s\"", what, route->spec->topic) : rc;
    }
    struct bytes made = bytes_of(render->writer.text, render->writer.len);
    const char *problem = is_url ? address_problem(made) : topic_problem(made);
    if (problem != NULL) {
        return error_set(e, ERR_INVALID, "the %s \"%.*s\" made of \"%s\" %s", what,
                         (int)(render->writer.len < 100 ? render->writer.len : 100),
                         render->writer.text, route->spec->topic, problem);
    }
    return text_writer_keep(&render->writer, row->memory, out_topic, e);
}

static enum err render_text(struct render *render, const struct route *route,
                            const struct render_row *row, struct bytes *out_payload,
                            struct error *e)
{
    render->writer.len = 0;
    enum err rc;
    if (route->text != NULL) {
        rc = template_render(route->text, row, TEMPLATE_TEXT, &render->writer, e);
    } else {
        struct event_value value;
        value_of_sqlite(sqlite3_column_value(row->compiled, 0), &value);
        rc = text_writer_add_value(&render->writer, &value, e);
        if (rc == ERR_INVALID) {
            return error_wrap(e, "column \"%s\"", sqlite3_column_name(row->compiled, 0));
        }
    }
    if (rc != ERR_OK) {
        return rc == ERR_INVALID ? error_wrap(e, "text payload") : rc;
    }
    if (!utf8_is_valid(bytes_of(render->writer.text, render->writer.len))) {
        return error_set(e, ERR_INVALID, "the text payload is not valid UTF-8");
    }
    return text_writer_keep(&render->writer, row->memory, out_payload, e);
}

static enum err render_original(const struct render_row *row, struct rendered *out, struct error *e)
{
    const struct message *message = event_message(row->event);
    out->payload = message->payload;
    out->content_type = event_memory_text(row->memory, message->content_type);
    return out->content_type == NULL ? error_set(e, ERR_NO_MEMORY, "out of memory for a text")
                                     : ERR_OK;
}

static enum err render_cloudevent(struct render *render, const struct route *route,
                                  const struct render_row *row, struct rendered *out,
                                  struct error *e)
{
    struct cloudevent_output output = {&render->writer, &render->properties, {NULL, 0}, NULL};
    char id[IDEMPOTENCY_KEY_BYTES];
    idempotency_key_make(id, event_id(row->event), render->rule->name,
                         (uint32_t)(route - render->routes), row->row_index);
    enum err rc = cloudevent_render(route->cloudevent, row, id, &output, e);
    out->payload = output.payload;
    out->content_type = output.content_type;
    return rc == ERR_INVALID ? error_wrap(e, "CloudEvent") : rc;
}

static enum err render_payload(struct render *render, const struct route *route,
                               const struct render_row *row, struct rendered *out, struct error *e)
{
    switch (route->spec->format) {
    case PAYLOAD_JSON:
        out->content_type = CONTENT_TYPE_JSON;
        return json_row_render(render->json, row, &out->payload, e);
    case PAYLOAD_TEXT:
        out->content_type = CONTENT_TYPE_TEXT;
        return render_text(render, route, row, &out->payload, e);
    case PAYLOAD_PIPIT:
        out->content_type = CONTENT_TYPE_PIPIT;
        return pipit_row_render(row, route->type, &out->payload, e);
    case PAYLOAD_CBOR:
        out->content_type = CONTENT_TYPE_CBOR;
        return cbor_row_render(row, &render->writer, &out->payload, e);
    case PAYLOAD_CLOUDEVENT:
        return render_cloudevent(render, route, row, out, e);
    case PAYLOAD_PROTOBUF:
        out->content_type = CONTENT_TYPE_PROTOBUF;
        return protobuf_route_render(route->protobuf, row, &out->payload, e);
    case PAYLOAD_ORIGINAL:
        break;
    }
    return render_original(row, out, e);
}

// Routes of a rule often carry the same payload: the first one's JSON serves them all.
static const struct rendered *earlier_json(const struct render *render, uint32_t index,
                                           const struct rendered *rendered)
{
    for (uint32_t i = 0; render->routes[index].spec->format == PAYLOAD_JSON && i < index; i++) {
        if (render->routes[i].spec->format == PAYLOAD_JSON) {
            return &rendered[i];
        }
    }
    return NULL;
}

// What the payload has put among the properties comes first.
static enum err render_properties(struct render *render, const struct route *route,
                                  const struct render_row *row, struct rendered *out,
                                  struct error *e)
{
    enum err rc =
        route_properties_render(route->properties, row, &render->writer, &render->properties, e);
    if (rc == ERR_OK) {
        rc = carried_properties_render(row, &render->properties, e);
    }
    if (rc == ERR_OK && render->properties.len > 0) {
        rc = text_writer_keep(&render->properties, row->memory, &out->properties, e);
    }
    return rc;
}

static enum err render_route(struct render *render, uint32_t index, const struct render_row *row,
                             struct rendered *rendered, struct error *e)
{
    const struct route *route = &render->routes[index];
    const struct rendered *same = earlier_json(render, index, rendered);
    struct rendered *out = &rendered[index];
    out->properties = bytes_of("", 0);
    render->properties.len = 0;
    enum err rc = render_topic(render, route, row, &out->topic, e);
    if (rc == ERR_OK && same != NULL) {
        out->payload = same->payload;
        out->content_type = same->content_type;
    } else if (rc == ERR_OK) {
        rc = render_payload(render, route, row, out, e);
    }
    rc = rc == ERR_OK ? render_properties(render, route, row, out, e) : rc;
    if (rc == ERR_OK && out->payload.len > PAYLOAD_BYTES_MAX) {
        return error_set(e, ERR_INVALID, "the payload is larger than %d bytes", PAYLOAD_BYTES_MAX);
    }
    return rc;
}

enum err render_row(struct render *render, const struct render_row *row,
                    struct rendered *out_rendered, struct error *e)
{
    struct bytes key;
    enum err rc = render_key(render, row, &key, e);
    for (uint32_t i = 0; rc == ERR_OK && i < render->rule->route_count; i++) {
        out_rendered[i].key = key;
        rc = render_route(render, i, row, out_rendered, e);
    }
    return rc;
}
