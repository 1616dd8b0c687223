#include <stdio.h>
#include <stdlib.h>

#include "intake/link_parts.h"

static void read_limits(struct link *link, const mosquitto_property *properties)
{
    struct link_limits *limits = &link->limits;
    uint8_t byte = 0;
    mosquitto_property_read_int16(properties, MQTT_PROP_RECEIVE_MAXIMUM, &limits->receive_maximum,
                                  false);
    mosquitto_property_read_int32(properties, MQTT_PROP_MAXIMUM_PACKET_SIZE, &limits->packet_max,
                                  false);
    if (mosquitto_property_read_byte(properties, MQTT_PROP_MAXIMUM_QOS, &byte, false) != NULL) {
        limits->qos_max = byte;
    }
    if (mosquitto_property_read_byte(properties, MQTT_PROP_RETAIN_AVAILABLE, &byte, false) !=
        NULL) {
        limits->has_retain = byte != 0;
    }
    if (mosquitto_property_read_byte(properties, MQTT_PROP_WILDCARD_SUB_AVAILABLE, &byte, false) !=
        NULL) {
        limits->has_wildcards = byte != 0;
    }
    if (mosquitto_property_read_byte(properties, MQTT_PROP_SHARED_SUB_AVAILABLE, &byte, false) !=
        NULL) {
        limits->has_shared = byte != 0;
    }
    limits->has_expiry =
        mosquitto_property_read_int32(properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL,
                                      &limits->expiry_s, false) != NULL;
}

static void on_connect(struct mosquitto *mosq, void *context, int code, int flags,
                       const mosquitto_property *properties)
{
    struct link *link = context;
    link->callbacks++;
    if (code != 0) {
        link->connack_code = code;
        return;
    }
    link->limits.is_session_present = (flags & 1) != 0;
    if (properties != NULL) {
        read_limits(link, properties);
    }
    link->state = LINK_UP;
    mosquitto_log_callback_set(mosq, NULL); // It would format a line a packet.
}

// Called a second time when libmosquitto meets the closed socket; the first reason counts.
static void on_disconnect(struct mosquitto *mosq, void *context, int code,
                          const mosquitto_property *properties)
{
    (void)mosq;
    (void)properties;
    struct link *link = context;
    link->callbacks++;
    if (!link->is_disconnected) {
        link->is_disconnected = true;
        link->disconnect_code = code;
    }
}

static void on_log(struct mosquitto *mosq, void *context, int level, const char *text)
{
    (void)mosq;
    struct link *link = context;
    if (level == MOSQ_LOG_ERR && link->tls_text[0] == '\0') { // The first is the cause.
        const char *reason = strstr(text, "::"); // "error:0A000086:SSL routines::certificate ..."
        snprintf(link->tls_text, sizeof(link->tls_text), "%s", reason == NULL ? text : reason + 2);
    }
}

struct property_texts {
    char *texts[2 * LINK_PROPERTIES_MAX + 1];
    uint32_t count;
};

static struct bytes keep_text(struct property_texts *texts, char *text)
{
    texts->texts[texts->count++] = text;
    return bytes_from_text(text);
}

// Fills content type and user properties. The texts live until they are freed by the caller.
static uint32_t read_properties(const mosquitto_property *list, struct message *message,
                                struct user_property *properties, struct property_texts *texts)
{
    char *name = NULL, *value = NULL;
    uint32_t count = 0;
    if (mosquitto_property_read_string(list, MQTT_PROP_CONTENT_TYPE, &value, false) != NULL) {
        message->content_type = keep_text(texts, value);
    }
    const mosquitto_property *at =
        mosquitto_property_read_string_pair(list, MQTT_PROP_USER_PROPERTY, &name, &value, false);
    while (at != NULL) {
        properties[count].name = keep_text(texts, name);
        properties[count].value = keep_text(texts, value);
        if (++count == LINK_PROPERTIES_MAX) {
            break;
        }
        at = mosquitto_property_read_string_pair(at, MQTT_PROP_USER_PROPERTY, &name, &value, true);
    }
    return count;
}

static void on_message(struct mosquitto *mosq, void *context,
                       const struct mosquitto_message *received,
                       const mosquitto_property *properties)
{
    (void)mosq;
    struct link *link = context;
    struct user_property user_properties[LINK_PROPERTIES_MAX];
    struct property_texts texts = {.count = 0};
    struct message message = {
        .topic = bytes_from_text(received->topic),
        .payload = bytes_of(received->payload, (size_t)received->payloadlen),
        .qos = (uint8_t)received->qos,
        .is_retained = received->retain,
        .received_ms = link->received_ms,
    };
    link->callbacks++;
    if (properties != NULL) {
        message.property_count = read_properties(properties, &message, user_properties, &texts);
        message.properties = user_properties;
    }
    if (link->events.wants(link->events.context, &message) &&
        !message_batch_add(link->batch, &message)) {
        link->is_out_of_memory = true; // The link ends before its acknowledgement is written.
    }
    for (uint32_t i = 0; i < texts.count; i++) {
        free(texts.texts[i]);
    }
}

static void on_subscribe(struct mosquitto *mosq, void *context, int mid, int count,
                         const int *codes, const mosquitto_property *properties)
{
    (void)mosq;
    (void)properties;
    struct link *link = context;
    link->callbacks++;
    for (uint32_t i = 0; i < link->subscription_count; i++) {
        if (link->subscriptions[i].mid == mid) {
            uint32_t index = link->subscriptions[i].index;
            link->subscriptions[i] = link->subscriptions[--link->subscription_count];
            link->events.subscribed(link->events.context, index,
                                    count > 0 ? codes[0] : MQTT_RC_UNSPECIFIED);
            return;
        }
    }
}

// A QoS 0 publish was written, or a QoS 1 publish answered.
static void on_publish(struct mosquitto *mosq, void *context, int mid, int code,
                       const mosquitto_property *properties)
{
    (void)mosq;
    (void)properties;
    struct link *link = context;
    link->callbacks++;
    uint8_t bit = (uint8_t)(1U << (mid & 7));
    uint8_t *byte = &link->is_qos1[(mid & 0xFFFF) / 8];
    if ((*byte & bit) == 0) {
        return;
    }
    *byte = (uint8_t)(*byte & ~bit);
    link->qos1_count--;
    if (code >= REFUSED_CODE) {
        link->events.refused(link->events.context, code);
    }
}

void link_listen(struct link *link)
{
    struct mosquitto *mosq = link->mosq;
    mosquitto_connect_v5_callback_set(mosq, on_connect);
    mosquitto_disconnect_v5_callback_set(mosq, on_disconnect);
    mosquitto_message_v5_callback_set(mosq, on_message);
    mosquitto_subscribe_v5_callback_set(mosq, on_subscribe);
    mosquitto_publish_v5_callback_set(mosq, on_publish);
    mosquitto_log_callback_set(mosq, on_log);
}
