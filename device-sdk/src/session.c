#include "session.h"

struct pipit_flight *pipit_flight_at(const struct pipit_client *client, uint16_t id)
{
    return &client->options->flights[id - 1u];
}

struct pipit_flight *pipit_flight_find(const struct pipit_client *client, uint16_t id,
                                       enum flight_state state)
{
    if (id == 0 || id > client->options->flights_max) {
        return NULL;
    }
    struct pipit_flight *flight = pipit_flight_at(client, id);
    return flight->state == state ? flight : NULL;
}

uint16_t pipit_flight_next(const struct pipit_client *client, enum flight_state state)
{
    for (uint16_t id = 1; id <= client->options->flights_max; id++) {
        if (pipit_flight_at(client, id)->state == state) {
            return id;
        }
    }
    return 0;
}

// A message that nobody has handed over again frees its place: at QoS 1 at once, at QoS 2 by
// letting the broker finish with its identifier.
static uint16_t flight_give_up(struct pipit_client *client, uint16_t id)
{
    struct pipit_flight *flight = pipit_flight_at(client, id);
    if (flight->state == FLIGHT_PUBLISHED_1) {
        return id;
    }
    if (flight->state == FLIGHT_PUBLISHED_2) {
        flight->state = FLIGHT_RELEASE_DUE;
        flight->token = 0;
        client->has_release_due = true;
    }
    return 0;
}

uint16_t pipit_flight_take(struct pipit_client *client, uint32_t token, uint16_t quota)
{
    uint16_t free = 0, old = 0, same = 0;
    unsigned busy = 0;
    for (uint16_t id = client->options->flights_max; id > 0; id--) {
        const struct pipit_flight *flight = pipit_flight_at(client, id);
        if (flight->state == FLIGHT_FREE) {
            free = id;
        } else if (!flight->is_resumed) {
            busy += flight->state >= FLIGHT_PUBLISHED_1 ? 1 : 0; // [MQTT-4.9.0-2]
        } else if (flight->token != token || token == 0) {
            old = id;
        } else if (flight->state >= FLIGHT_RELEASE_DUE) {
            return id; // Nothing is sent for it.
        } else {
            same = id;
        }
    }
    if (same != 0 || busy >= quota) {
        return busy < quota ? same : 0;
    }
    return free != 0 || old == 0 ? free : flight_give_up(client, old);
}

void pipit_session_clear(struct pipit_client *client)
{
    const struct pipit_client_options *options = client->options;
    memset(options->flights, 0, options->flights_max * sizeof(options->flights[0]));
    if (PIPIT_WITH_QOS_2 && options->inbound_max > 0) {
        memset(options->inbound, 0, options->inbound_max * sizeof(options->inbound[0]));
    }
}

void pipit_session_down(struct pipit_client *client)
{
    client->has_written = false;
    for (uint16_t id = 1; id <= client->options->flights_max; id++) {
        struct pipit_flight *flight = pipit_flight_at(client, id);
        if (flight->state <= FLIGHT_SUBSCRIBED) {
            flight->state = FLIGHT_FREE;
        } else {
            flight->is_resumed = true;
        }
    }
}

// [MQTT-4.4.0-1]: what was released is released again, at once and in order.
void pipit_session_resume(struct pipit_client *client)
{
    client->has_release_due = true;
    for (uint16_t id = 1; PIPIT_WITH_QOS_2 && id <= client->options->flights_max; id++) {
        struct pipit_flight *flight = pipit_flight_at(client, id);
        if (flight->state == FLIGHT_RELEASED) {
            flight->state = FLIGHT_RELEASE_DUE;
        }
    }
}

// ---- QoS 2 messages to us -----------------------------------------------------------------------

static uint16_t *inbound_find(const struct pipit_client *client, uint16_t id)
{
    const struct pipit_client_options *options = client->options;
    for (uint16_t i = 0; i < options->inbound_max; i++) {
        if (options->inbound[i] == id) {
            return &options->inbound[i];
        }
    }
    return NULL;
}

bool pipit_inbound_has(const struct pipit_client *client, uint16_t id)
{
    return inbound_find(client, id) != NULL;
}

bool pipit_inbound_put(struct pipit_client *client, uint16_t id)
{
    uint16_t *place = inbound_find(client, 0);
    if (place == NULL) {
        return false;
    }
    *place = id;
    return true;
}

bool pipit_inbound_remove(struct pipit_client *client, uint16_t id)
{
    uint16_t *place = inbound_find(client, id);
    if (place == NULL) {
        return false;
    }
    *place = 0;
    return true;
}
