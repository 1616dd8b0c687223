// session.h - the client's session: what awaits an answer, and QoS 2 messages on their way to us.
// Threads:   as client.h.
// Ownership: the tables are the caller's, in the client's options.
// Failure:   0 or NULL when a table is full or an identifier is unknown.
#ifndef PIPIT_SESSION_H
#define PIPIT_SESSION_H

#include "pipit/client.h"

// A flight's place in the table gives its packet identifier: place + 1.
//
//   FREE ──publish 0──▶ WRITING ──sent──▶ WRITTEN ──handed out──▶ FREE
//   FREE ──publish 1──▶ PUBLISHED_1 ──PUBACK──▶ FREE
//   FREE ──publish 2──▶ PUBLISHED_2 ──PUBREC, PUBREL──▶ RELEASED ──PUBCOMP──▶ FREE
//        RELEASED ──resumed──▶ RELEASE_DUE ──PUBREL──▶ RELEASED
//   FREE ──subscribe──▶ SUBSCRIBED ──SUBACK──▶ FREE
//
// When the connection ends WRITING, WRITTEN and SUBSCRIBED are FREE; the others stay, marked as
// resumed, until the broker says that it has forgotten the session, or until their message is
// handed over again with the same token.
enum flight_state {
    FLIGHT_FREE = 0,
    FLIGHT_WRITING,
    FLIGHT_WRITTEN,
    FLIGHT_SUBSCRIBED,
    FLIGHT_PUBLISHED_1,
    FLIGHT_PUBLISHED_2,
    FLIGHT_RELEASE_DUE,
    FLIGHT_RELEASED,
};

// A free place, or that of `token` in a resumed session. 0: none now, or `quota` messages are under
// way already.
uint16_t pipit_flight_take(struct pipit_client *client, uint32_t token, uint16_t quota);
struct pipit_flight *pipit_flight_at(const struct pipit_client *client, uint16_t id);
// NULL when `id` is unknown or in another state.
struct pipit_flight *pipit_flight_find(const struct pipit_client *client, uint16_t id,
                                       enum flight_state state);
// The first flight in this state. 0: none.
uint16_t pipit_flight_next(const struct pipit_client *client, enum flight_state state);

void pipit_session_clear(struct pipit_client *client);
void pipit_session_down(struct pipit_client *client);
void pipit_session_resume(struct pipit_client *client);

// QoS 2 messages that were taken and are not released yet. [MQTT-4.3.3-10]
bool pipit_inbound_has(const struct pipit_client *client, uint16_t id);
bool pipit_inbound_put(struct pipit_client *client, uint16_t id);
bool pipit_inbound_remove(struct pipit_client *client, uint16_t id);

#endif
