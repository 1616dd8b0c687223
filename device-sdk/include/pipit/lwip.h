// lwip.h - a transport over lwIP's raw TCP API (NO_SYS = 1), for pipit_client.
// Threads:   lwIP's: all calls from the one loop that also runs sys_check_timeouts and the driver.
// Ownership: the struct and `host` outlive the connection, and a lookup in lwIP that has begun.
// Failure:   PIPIT_ERR_UNREACHABLE; what came before the connection's end can still be read.
#ifndef PIPIT_LWIP_H
#define PIPIT_LWIP_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tcp_pcb;
struct pbuf;

// Received bytes stay in lwIP's pbufs until they are read, and only then reopen the window: a
// program that reads slowly slows the broker down. Two TCP control blocks (MEMP_NUM_TCP_PCB) are
// enough: one that lingers after `close` gives way to a new connection.
struct pipit_lwip {
    struct pipit_transport base; // Hand &lwip.base to pipit_client_options.
    const char *host;            // private from here
    struct tcp_pcb *pcb;
    struct pbuf *received; // In the order of the stream.
    uint16_t read_bytes;   // Of the first pbuf of `received`.
    uint16_t port;
    uint8_t state;
    bool is_looking_up; // lwIP's DNS client owes us its callback.
    bool has_ended;     // The peer sends no more.
};

// `host` is an address, or a name where lwIP has DNS (LWIP_DNS). Neither lwIP nor its network
// interface need be up yet: until then opening fails and is retried. PIPIT_ERR_ARGUMENT.
enum pipit_err pipit_lwip_init(struct pipit_lwip *lwip, const char *host, uint16_t port);

#ifdef __cplusplus
}
#endif

#endif
