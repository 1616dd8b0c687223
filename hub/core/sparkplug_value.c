#include "core/sparkplug_value.h"

#include <jansson.h>
#include <sparkplug/sparkplug_b.pb-c.h>

#include "base/utf8.h"
#include "core/event_parts.h"
#include "core/proto_unpack.h"

// The members of every `oneof value`, in their order.
enum member { INT, LONG, FLOAT, DOUBLE, BOOLEAN, STRING, BYTES, DATASET, TEMPLATE, EXTENSION };
#define MEMBER_NONE (-1)
#define BIT(member) (1U << (member))

#define WHOLE (BIT(INT) | BIT(LONG))
#define REAL  (BIT(FLOAT) | BIT(DOUBLE))

// What a value of a datatype may be written in: encoders differ in the width they choose.
static const struct {
    const char *name, *expected;
    uint32_t members;
} datatypes[] = {
    {"", "", UINT32_MAX},
    {"Int8", "a whole number", WHOLE},
    {"Int16", "a whole number", WHOLE},
    {"Int32", "a whole number", WHOLE},
    {"Int64", "a whole number", WHOLE},
    {"UInt8", "a whole number", WHOLE},
    {"UInt16", "a whole number", WHOLE},
    {"UInt32", "a whole number", WHOLE},
    {"UInt64", "a whole number", WHOLE},
    {"Float", "a float", REAL},
    {"Double", "a double", REAL},
    {"Boolean", "a boolean", BIT(BOOLEAN)},
    {"String", "a string", BIT(STRING)},
    {"DateTime", "a long", WHOLE},
    {"Text", "a string", BIT(STRING)},
    {"UUID", "a string", BIT(STRING)},
    {"DataSet", "a data set", BIT(DATASET)},
    {"Bytes", "bytes", BIT(BYTES)},
    {"File", "bytes", BIT(BYTES)},
    {"Template", "a template", BIT(TEMPLATE)},
    {"PropertySet", "", UINT32_MAX},
    {"PropertySetList", "", UINT32_MAX},
    {"Int8Array", "bytes", BIT(BYTES)},
    {"Int16Array", "bytes", BIT(BYTES)},
    {"Int32Array", "bytes", BIT(BYTES)},
    {"Int64Array", "bytes", BIT(BYTES)},
    {"UInt8Array", "bytes", BIT(BYTES)},
    {"UInt16Array", "bytes", BIT(BYTES)},
    {"UInt32Array", "bytes", BIT(BYTES)},
    {"UInt64Array", "bytes", BIT(BYTES)},
    {"FloatArray", "bytes", BIT(BYTES)},
    {"DoubleArray", "bytes", BIT(BYTES)},
    {"BooleanArray", "bytes", BIT(BYTES)},
    {"StringArray", "bytes", BIT(BYTES)},
    {"DateTimeArray", "bytes", BIT(BYTES)},
};

#define DATATYPE_COUNT (sizeof(datatypes) / sizeof(datatypes[0]))

const char *sparkplug_datatype_name(uint32_t datatype)
{
    return datatype < DATATYPE_COUNT ? datatypes[datatype].name : "";
}

// A value wherever it stands: the member that is set and where.
struct scalar {
    uint32_t datatype;
    int member;
    const void *at;
};

// base: the first field number of the oneof; 0 of value_case means that none is set.
#define SCALAR(item, type, base)                                                                   \
    ((struct scalar){(type),                                                                       \
                     (item)->value_case == 0 ? MEMBER_NONE : (int)(item)->value_case - (base),     \
                     &(item)->int_value})

static struct scalar metric_scalar(const Sparkplug__Metric *metric)
{
    return SCALAR(metric, metric->datatype, SPARKPLUG__METRIC__VALUE_INT_VALUE);
}

static enum err check_text(const char *text, struct error *e)
{
    const char *problem = proto_text_problem(text);
    return problem == NULL ? ERR_OK : error_set(e, ERR_INVALID, "the text %s", problem);
}

enum err sparkplug_metric_check(const Sparkplug__Metric *metric, struct error *e)
{
    struct scalar scalar = metric_scalar(metric);
    uint32_t datatype = metric->datatype < DATATYPE_COUNT ? metric->datatype : 0;
    if ((metric->has_is_null && metric->is_null) || scalar.member == MEMBER_NONE) {
        return ERR_OK;
    }
    if ((datatypes[datatype].members & BIT(scalar.member)) == 0) {
        return error_set(e, ERR_INVALID, "its datatype is %s but its value is not %s",
                         datatypes[datatype].name, datatypes[datatype].expected);
    }
    return scalar.member == STRING ? check_text(metric->string_value, e) : ERR_OK;
}

static struct event_value whole(uint64_t number)
{
    if (number > INT64_MAX) { // As SQL does with whole numbers that it cannot hold.
        return (struct event_value){.kind = VALUE_REAL, .real = (double)number};
    }
    return (struct event_value){.kind = VALUE_INTEGER, .integer = (int64_t)number};
}

// Signed ones are two's complement, some encoders' of their own width and others' of 32 bits.
static struct event_value number_of(uint32_t datatype, uint64_t number)
{
    int64_t integer;
    switch (datatype) {
    case SPARKPLUG_INT8:
        integer = (int8_t)(uint8_t)number;
        break;
    case SPARKPLUG_INT16:
        integer = (int16_t)(uint16_t)number;
        break;
    case SPARKPLUG_INT32:
        integer = (int32_t)(uint32_t)number;
        break;
    case SPARKPLUG_INT64:
        integer = (int64_t)number;
        break;
    case SPARKPLUG_UINT8:
        return whole((uint8_t)number);
    case SPARKPLUG_UINT16:
        return whole((uint16_t)number);
    case SPARKPLUG_UINT32:
        return whole((uint32_t)number);
    default:
        return whole(number);
    }
    return (struct event_value){.kind = VALUE_INTEGER, .integer = integer};
}

// False: it is none of the plain ones.
static bool scalar_value(struct scalar scalar, struct event_value *out_value)
{
    *out_value = (struct event_value){.kind = VALUE_NULL};
    switch (scalar.member) {
    case INT:
        *out_value = number_of(scalar.datatype, *(const uint32_t *)scalar.at);
        return true;
    case LONG:
        *out_value = number_of(scalar.datatype, *(const uint64_t *)scalar.at);
        return true;
    case FLOAT:
        *out_value = (struct event_value){.kind = VALUE_REAL,
                                          .real = real_of_float(*(const float *)scalar.at)};
        return true;
    case DOUBLE:
        *out_value = (struct event_value){.kind = VALUE_REAL, .real = *(const double *)scalar.at};
        return true;
    case BOOLEAN:
        *out_value = (struct event_value){.kind = VALUE_BOOLEAN,
                                          .integer = *(const protobuf_c_boolean *)scalar.at != 0};
        return true;
    case STRING:
        *out_value = (struct event_value){.kind = VALUE_TEXT,
                                          .bytes = bytes_from_text(*(char *const *)scalar.at)};
        return true;
    default:
        return false;
    }
}

static json_t *value_json(const struct event_value *value)
{
    const char *problem;
    json_t *json =
        value->kind == VALUE_BLOB ? json_of_blob(value->bytes) : value_to_json(value, &problem);
    return json == NULL ? json_null() : json;
}

static json_t *scalar_json(struct scalar scalar)
{
    struct event_value value;
    return scalar_value(scalar, &value) ? value_json(&value) : json_null();
}

static void set(json_t *object, const char *name, json_t *take_value)
{
    if (name == NULL || !utf8_is_valid(bytes_from_text(name))) {
        json_decref(take_value);
        return;
    }
    json_object_set_new_nocheck(object, name, take_value == NULL ? json_null() : take_value);
}

static json_t *text_json(const char *text)
{
    json_t *json = text == NULL ? NULL : json_string(text);
    return json == NULL ? json_null() : json;
}

// ---- arrays [6.4.16] ----------------------------------------------------------------------------

// Items of 1, 2, 4 or 8 bytes, the least significant first.
static uint64_t little(const uint8_t *at, size_t size)
{
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++) {
        number |= (uint64_t)at[i] << (8 * i);
    }
    return number;
}

static json_t *number_json(uint32_t datatype, uint64_t bits)
{
    struct event_value value;
    if (datatype == SPARKPLUG_FLOAT) {
        uint32_t low = (uint32_t)bits;
        float single;
        memcpy(&single, &low, sizeof(single));
        value = (struct event_value){.kind = VALUE_REAL, .real = real_of_float(single)};
    } else if (datatype == SPARKPLUG_DOUBLE) {
        value = (struct event_value){.kind = VALUE_REAL};
        memcpy(&value.real, &bits, sizeof(value.real));
    } else {
        value = number_of(datatype, bits);
    }
    return value_json(&value);
}

static json_t *numbers_json(uint32_t datatype, struct bytes bytes)
{
    static const uint8_t sizes[] = {0, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8};
    size_t size = datatype < sizeof(sizes) ? sizes[datatype] : 8; // DateTime.
    json_t *array = json_array();
    for (size_t at = 0; array != NULL && at + size <= bytes.len; at += size) {
        json_array_append_new(array, number_json(datatype, little(bytes.ptr + at, size)));
    }
    return array;
}

// Their count in four bytes, then bits, the most significant of a byte first.
static json_t *booleans_json(struct bytes bytes)
{
    json_t *array = json_array();
    uint64_t count = bytes.len < 4 ? 0 : little(bytes.ptr, 4);
    for (uint64_t i = 0; array != NULL && i < count && 4 + i / 8 < bytes.len; i++) {
        bool bit = (bytes.ptr[4 + i / 8] >> (7 - i % 8) & 1) != 0;
        json_array_append_new(array, json_boolean(bit));
    }
    return array;
}

// Each ended by a NUL.
static json_t *strings_json(struct bytes bytes)
{
    json_t *array = json_array();
    size_t at = 0;
    while (array != NULL && at < bytes.len) {
        const uint8_t *end = memchr(bytes.ptr + at, 0, bytes.len - at);
        size_t len = end == NULL ? bytes.len - at : (size_t)(end - (bytes.ptr + at));
        json_t *text = json_stringn((const char *)bytes.ptr + at, len);
        json_array_append_new(array, text == NULL ? json_null() : text);
        at += len + 1;
    }
    return array;
}

static bool is_array(uint32_t datatype)
{
    return datatype >= SPARKPLUG_INT8_ARRAY && datatype <= SPARKPLUG_DATETIME_ARRAY;
}

static json_t *array_json(uint32_t datatype, struct bytes bytes)
{
    switch (datatype) {
    case SPARKPLUG_BOOLEAN_ARRAY:
        return booleans_json(bytes);
    case SPARKPLUG_STRING_ARRAY:
        return strings_json(bytes);
    case SPARKPLUG_DATETIME_ARRAY:
        return numbers_json(SPARKPLUG_DATETIME, bytes);
    default:
        return numbers_json(datatype - SPARKPLUG_INT8_ARRAY + SPARKPLUG_INT8, bytes);
    }
}

// ---- data sets, templates, properties -----------------------------------------------------------

static json_t *row_json(const Sparkplug__DataSet *set_of, const Sparkplug__Row *row)
{
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && i < row->n_elements; i++) {
        uint32_t datatype = i < set_of->n_types ? set_of->types[i] : 0;
        const Sparkplug__DataSetValue *element = row->elements[i];
        json_array_append_new(array, scalar_json(SCALAR(element, datatype, 1)));
    }
    return array;
}

// {"columns": [name, ...], "types": ["Int32", ...], "rows": [[value, ...], ...]}
static json_t *dataset_json(const Sparkplug__DataSet *dataset)
{
    json_t *object = json_object(), *columns = json_array(), *types = json_array(),
           *rows = json_array();
    for (size_t i = 0; i < dataset->n_columns; i++) {
        json_array_append_new(columns, text_json(dataset->columns[i]));
    }
    for (size_t i = 0; i < dataset->n_types; i++) {
        json_array_append_new(types, json_string(sparkplug_datatype_name(dataset->types[i])));
    }
    for (size_t i = 0; i < dataset->n_rows; i++) {
        json_array_append_new(rows, row_json(dataset, dataset->rows[i]));
    }
    set(object, "columns", columns);
    set(object, "types", types);
    set(object, "rows", rows);
    return object;
}

// {"reference": ..., "version": ..., "is_definition": ..., "metrics": {...}, "parameters": {...}}
static json_t *template_json(const Sparkplug__Template *template)
{
    json_t *object = json_object(), *metrics = json_object(), *parameters = json_object();
    for (size_t i = 0; i < template->n_metrics; i++) {
        set(metrics, template->metrics[i]->name, sparkplug_metric_json(template->metrics[i]));
    }
    for (size_t i = 0; i < template->n_parameters; i++) {
        const Sparkplug__Parameter *parameter = template->parameters[i];
        set(parameters, parameter->name, scalar_json(SCALAR(parameter, parameter->type, 3)));
    }
    set(object, "reference", text_json(template->template_ref));
    set(object, "version", text_json(template->version));
    set(object, "is_definition", json_boolean(template->is_definition));
    set(object, "metrics", metrics);
    set(object, "parameters", parameters);
    return object;
}

static json_t *properties_json(const Sparkplug__PropertySet *properties);

static json_t *property_json(const Sparkplug__PropertyValue *value)
{
    if (value->has_is_null && value->is_null) {
        return json_null();
    }
    if (value->value_case == SPARKPLUG__PROPERTY_VALUE__VALUE_PROPERTYSET_VALUE) {
        return properties_json(value->propertyset_value);
    }
    if (value->value_case == SPARKPLUG__PROPERTY_VALUE__VALUE_PROPERTYSETS_VALUE) {
        const Sparkplug__PropertySetList *list = value->propertysets_value;
        json_t *array = json_array();
        for (size_t i = 0; i < list->n_propertyset; i++) {
            json_array_append_new(array, properties_json(list->propertyset[i]));
        }
        return array;
    }
    return scalar_json(SCALAR(value, value->type, 3));
}

static json_t *properties_json(const Sparkplug__PropertySet *properties)
{
    json_t *object = json_object();
    for (size_t i = 0; i < properties->n_keys && i < properties->n_values; i++) {
        set(object, properties->keys[i], property_json(properties->values[i]));
    }
    return object;
}

json_t *sparkplug_metric_properties(const Sparkplug__Metric *metric)
{
    return metric->properties == NULL ? NULL : properties_json(metric->properties);
}

bool sparkplug_metric_value(const Sparkplug__Metric *metric, struct event_value *out_value)
{
    struct scalar scalar = metric_scalar(metric);
    *out_value = (struct event_value){.kind = VALUE_NULL};
    if (metric->has_is_null && metric->is_null) {
        return true;
    }
    if (scalar.member == BYTES && !is_array(metric->datatype)) {
        *out_value = (struct event_value){
            .kind = VALUE_BLOB,
            .bytes = bytes_of(metric->bytes_value.data, metric->bytes_value.len)};
        return true;
    }
    return scalar_value(scalar, out_value) || scalar.member == MEMBER_NONE ||
           scalar.member == EXTENSION;
}

json_t *sparkplug_metric_json(const Sparkplug__Metric *metric)
{
    struct event_value value;
    if (sparkplug_metric_value(metric, &value)) {
        return value_json(&value);
    }
    switch (metric->value_case) {
    case SPARKPLUG__METRIC__VALUE_DATASET_VALUE:
        return dataset_json(metric->dataset_value);
    case SPARKPLUG__METRIC__VALUE_TEMPLATE_VALUE:
        return template_json(metric->template_value);
    default:
        return array_json(metric->datatype,
                          bytes_of(metric->bytes_value.data, metric->bytes_value.len));
    }
}
