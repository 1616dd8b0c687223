// CloudEvents from anybody: content type, a line end, user properties ("name=value;..."), a line
// end, payload. Whatever they are, the step succeeds and each event is counted once.
#include "core_world.h"
#include "fuzz.h"

#include <cloudevents/cloudevents.pb-c.h>

#define PROPERTIES_MAX 16

const uint32_t fuzz_count = 40000;

static const struct route_spec routes[] = {{.target = 0, .topic = "out", .format = PAYLOAD_JSON}};
static const struct rule_spec rules[] = {
    {.name = "all",
     .sql = "SELECT id, type, time, content_type, ce_subject, ce_n, prop('source') AS source, c, "
            "fields FROM \"#\"",
     .routes = routes,
     .route_count = 1},
};
static const struct format_spec formats[] = {
    {.name = "events", .from = "ce/#", .kind = FORMAT_CLOUDEVENTS}};
static const struct target_spec targets[] = {
    {.name = "bus", .attempts_max = 3, .backoff_min_ms = 10, .backoff_max_ms = 100}};
static const struct core_spec spec = {.hub_id = "fuzz",
                                      .rules = rules,
                                      .rule_count = 1,
                                      .formats = formats,
                                      .format_count = 1,
                                      .targets = targets,
                                      .target_count = 1,
                                      .store_limit_bytes = 1 << 30,
                                      .quarantine_limit_bytes = 1 << 16,
                                      .payload_bytes_max = 1 << 20,
                                      .rule_steps_max = 1000000,
                                      .is_mirror_on = true};
static struct core_world world = {.spec = &spec, .now_ms = 1000};

static size_t protobuf_seed(uint8_t *out)
{
    Cloudevents__CloudEvent event = CLOUDEVENTS__CLOUD_EVENT__INIT;
    Cloudevents__CloudEvent__AttributesEntry entry =
                                                 CLOUDEVENTS__CLOUD_EVENT__ATTRIBUTES_ENTRY__INIT,
                                             *entries[] = {&entry};
    Cloudevents__AttributeValue value = CLOUDEVENTS__ATTRIBUTE_VALUE__INIT;
    Cloudevents__Timestamp timestamp = CLOUDEVENTS__TIMESTAMP__INIT;
    timestamp.seconds = 1700000000;
    value.attr_case = CLOUDEVENTS__ATTRIBUTE_VALUE__ATTR_CE_TIMESTAMP;
    value.ce_timestamp = &timestamp;
    entry.key = "time";
    entry.value = &value;
    event.id = "1";
    event.source = "/s";
    event.spec_version = "1.0";
    event.type = "t";
    event.attributes = entries;
    event.n_attributes = 1;
    event.data_case = CLOUDEVENTS__CLOUD_EVENT__DATA_TEXT_DATA;
    event.text_data = "{\"c\":2}";
    return cloudevents__cloud_event__pack(&event, out);
}

size_t fuzz_seed(uint32_t index, uint8_t *out, size_t size)
{
    static const char *const texts[] = {
        "application/json\nspecversion=1.0;id=1;source=/s;type=t;time=2023-11-14T22:13:20.25Z;n=5\n"
        "{\"c\":1}",
        "application/cloudevents+json\n\n{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"s\","
        "\"type\":\"t\",\"n\":3,\"subject\":\"x\",\"data\":{\"c\":1}}",
        "application/cloudevents+json\n\n{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"s\","
        "\"type\":\"t\",\"datacontenttype\":\"text/plain\",\"data\":\"abc\"}",
        "application/cloudevents+json\n\n{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"s\","
        "\"type\":\"t\",\"data_base64\":\"eyJjIjo3fQ==\"}",
        "application/cloudevents-batch+json\n\n[{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":"
        "\"s\",\"type\":\"t\"},{\"specversion\":\"1.0\",\"id\":\"b\",\"source\":\"s\",\"type\":"
        "\"t\",\"data\":[1,2]},7]",
        "\n\n[{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"s\",\"type\":\"t\"}]",
    };
    size_t count = sizeof(texts) / sizeof(texts[0]);
    if (index > count || size < 1024) {
        return 0;
    }
    size_t at = (size_t)sprintf(
        (char *)out, "%s", index < count ? texts[index] : "application/cloudevents+protobuf\n\n");
    return index < count ? at : at + protobuf_seed(out + at);
}

static struct bytes take_until(struct bytes *rest, char end)
{
    const uint8_t *found = rest->len == 0 ? NULL : memchr(rest->ptr, end, rest->len);
    size_t len = found == NULL ? rest->len : (size_t)(found - rest->ptr);
    struct bytes taken = bytes_of(rest->ptr, len);
    size_t used = found == NULL ? len : len + 1;
    *rest = bytes_of(rest->ptr + used, rest->len - used);
    return taken;
}

void fuzz_one(const uint8_t *ptr, size_t len)
{
    static uint32_t inputs;
    struct user_property properties[PROPERTIES_MAX];
    struct outcome outcome;
    struct bytes rest = bytes_of(ptr, len);
    struct message message = {.topic = bytes_from_text(inputs++ % 2 == 0 ? "ce/x" : "x"),
                              .content_type = take_until(&rest, '\n'),
                              .properties = properties};
    struct bytes names = take_until(&rest, '\n');
    while (names.len > 0 && message.property_count < PROPERTIES_MAX) {
        struct bytes item = take_until(&names, ';');
        properties[message.property_count].name = take_until(&item, '=');
        properties[message.property_count++].value = item;
    }
    message.payload = rest;
    if (world.core == NULL) {
        world_open(&world);
    }
    world_give(&world, &message, &outcome);
    world_settle(&world);
}
