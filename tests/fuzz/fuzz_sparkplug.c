// Sparkplug messages from anybody: type, a line end, payload. Whatever they are, the step succeeds,
// a node is asked for a rebirth at most once a message, and what is known of it is the same after
// the core was opened again.
#include "core_world.h"
#include "fuzz.h"
#include "unit/hub/core/sparkplug_support.h"

const uint32_t fuzz_count = 20000;

static const struct route_spec routes[] = {{.target = 0, .topic = "out", .format = PAYLOAD_JSON}};
static const struct rule_spec rules[] = {
    {.name = "all",
     .sql = "SELECT type, device, time, t, \"t.properties.unit\" AS unit, \"motor.metrics.rpm\" AS "
            "rpm, seq, metrics, fields FROM \"spBv1.0/#\"",
     .routes = routes,
     .route_count = 1},
};
static const struct format_spec formats[] = {
    {.name = "plant", .from = "spBv1.0/#", .kind = FORMAT_SPARKPLUG}};
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

static Sparkplug__PropertySet property_set(void)
{
    static char *keys[] = {"unit"};
    static Sparkplug__PropertyValue value, *values[] = {&value};
    Sparkplug__PropertySet set = SPARKPLUG__PROPERTY_SET__INIT;
    sparkplug__property_value__init(&value);
    value.value_case = SPARKPLUG__PROPERTY_VALUE__VALUE_STRING_VALUE;
    value.string_value = "C";
    set.keys = keys;
    set.n_keys = 1;
    set.values = values;
    set.n_values = 1;
    return set;
}

// A birth with a template, a data set, an array and properties.
static size_t rich_seed(uint8_t *out)
{
    Sparkplug__Metric metrics[4], *list[] = {metrics, metrics + 1, metrics + 2, metrics + 3};
    Sparkplug__Metric rpm = SPARKPLUG__METRIC__INIT, *rpms[] = {&rpm};
    Sparkplug__Template template = SPARKPLUG__TEMPLATE__INIT;
    Sparkplug__DataSet dataset = SPARKPLUG__DATA_SET__INIT;
    Sparkplug__DataSetValue cell = SPARKPLUG__DATA_SET_VALUE__INIT, *cells[] = {&cell};
    Sparkplug__Row row = SPARKPLUG__ROW__INIT, *rows[] = {&row};
    Sparkplug__Payload payload = SPARKPLUG__PAYLOAD__INIT;
    Sparkplug__PropertySet set = property_set();
    char *columns[] = {"a"};
    uint32_t types[] = {3};
    uint8_t flags[] = {3, 0, 0, 0, 0xA0};
    for (int i = 0; i < 4; i++) {
        sparkplug__metric__init(&metrics[i]);
        metrics[i].name = (char *[]){"t", "motor", "table", "flags"}[i];
        metrics[i].has_datatype = metrics[i].has_alias = true;
        metrics[i].datatype = (uint32_t[]){9, 19, 16, 32}[i];
        metrics[i].alias = (uint64_t)i + 1;
    }
    metrics[0].properties = &set;
    metrics[0].value_case = SPARKPLUG__METRIC__VALUE_FLOAT_VALUE;
    metrics[0].float_value = 21.5F;
    rpm.name = "rpm";
    rpm.value_case = SPARKPLUG__METRIC__VALUE_INT_VALUE;
    rpm.int_value = 900;
    template.metrics = rpms;
    template.n_metrics = 1;
    metrics[1].value_case = SPARKPLUG__METRIC__VALUE_TEMPLATE_VALUE;
    metrics[1].template_value = &template;
    cell.value_case = SPARKPLUG__DATA_SET_VALUE__VALUE_INT_VALUE;
    cell.int_value = 7;
    row.elements = cells;
    row.n_elements = 1;
    dataset.columns = columns;
    dataset.n_columns = 1;
    dataset.types = types;
    dataset.n_types = 1;
    dataset.rows = rows;
    dataset.n_rows = 1;
    metrics[2].value_case = SPARKPLUG__METRIC__VALUE_DATASET_VALUE;
    metrics[2].dataset_value = &dataset;
    metrics[3].value_case = SPARKPLUG__METRIC__VALUE_BYTES_VALUE;
    metrics[3].bytes_value = (ProtobufCBinaryData){sizeof(flags), flags};
    payload.metrics = list;
    payload.n_metrics = 4;
    payload.has_seq = true;
    return sparkplug__payload__pack(&payload, out);
}

size_t fuzz_seed(uint32_t index, uint8_t *out, size_t size)
{
    static const struct {
        const char *topic, *metrics;
        int seq;
    } seeds[] = {
        {"NBIRTH/n", "bdSeq:8=7;t@1:9=21.5;count@2:3=-3", 0},
        {"NDATA/n", "@1:9=22.25;@2=-4", 1},
        {"DBIRTH/n/d", "t@1:1=-1;name@5:12=tank", 2},
        {"DDATA/n/d", "@1=255;@5:12=vat;@1:9=null", 3},
        {"DDEATH/n/d", "", 4},
        {"NDEATH/n", "bdSeq:8=7", -1},
        {"NCMD/n", "Node Control/Rebirth:11=true;b:17=xy", -1},
    };
    size_t count = sizeof(seeds) / sizeof(seeds[0]);
    if (index > count || size < 1024) {
        return 0;
    }
    size_t at =
        (size_t)sprintf((char *)out, "%s\n", index < count ? seeds[index].topic : "NBIRTH/n");
    if (index == count) {
        return at + rich_seed(out + at);
    }
    return at + sparkplug_pack(out + at, seeds[index].metrics, seeds[index].seq, 1700000000000).len;
}

void fuzz_one(const uint8_t *ptr, size_t len)
{
    static uint32_t inputs;
    const uint8_t *end = len == 0 ? NULL : memchr(ptr, '\n', len);
    size_t topic_len = end == NULL ? len : (size_t)(end - ptr);
    char topic[FUZZ_INPUT_MAX + 16];
    struct outcome outcome;
    if (world.core == NULL) {
        world_open(&world);
    }
    topic_len = (size_t)snprintf(topic, sizeof(topic), "spBv1.0/g/%.*s", (int)topic_len, ptr);
    const struct message message = {
        .topic = bytes_of(topic, topic_len),
        .payload =
            end == NULL ? bytes_of(NULL, 0) : bytes_of(end + 1, len - (size_t)(end + 1 - ptr)),
        .qos = (uint8_t)(inputs % 2)};
    world_give(&world, &message, &outcome);
    assert(outcome.request_count <= 1);
    world_settle(&world);
    if (++inputs % 64 == 0) {
        world_reopen(&world);
    }
}
