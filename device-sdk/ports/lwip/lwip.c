//   SHUT -> LOOKING_UP -> CONNECTING -> UP -> FAILED
//      any state -> FAILED when lwIP says so; `close` leads back to SHUT from everywhere.
#include "pipit/lwip.h"

#include <lwip/dns.h>
#include <lwip/tcp.h>

enum state { SHUT = 0, LOOKING_UP, CONNECTING, UP, FAILED };

static struct pipit_lwip *lwip_of(struct pipit_transport *transport)
{
    return (struct pipit_lwip *)(void *)transport;
}

// ---- lwIP's callbacks --------------------------------------------------------------------------

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct pipit_lwip *lwip = (struct pipit_lwip *)arg;
    (void)pcb;
    (void)err; // Always ERR_OK; failures come to on_error.
    lwip->state = UP;
    return ERR_OK;
}

// The control block is gone already.
static void on_error(void *arg, err_t err)
{
    struct pipit_lwip *lwip = (struct pipit_lwip *)arg;
    (void)err;
    lwip->pcb = NULL;
    lwip->state = FAILED;
}

static err_t on_received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    struct pipit_lwip *lwip = (struct pipit_lwip *)arg;
    (void)pcb;
    (void)err;
    if (p == NULL) {
        lwip->has_ended = true;
        return ERR_OK;
    }
    if (lwip->received == NULL) {
        lwip->received = p;
        lwip->read_bytes = 0;
        return ERR_OK;
    }
    if ((uint32_t)lwip->received->tot_len + p->tot_len > UINT16_MAX) {
        return ERR_MEM; // lwIP keeps it and tries again: only with a window above 64 KB.
    }
    pbuf_cat(lwip->received, p);
    return ERR_OK;
}

// ---- opening and closing -----------------------------------------------------------------------

static void free_received(struct pipit_lwip *lwip)
{
    if (lwip->received != NULL) {
        (void)pbuf_free(lwip->received);
    }
    lwip->received = NULL;
    lwip->read_bytes = 0;
}

static void tcp_forget(struct tcp_pcb *pcb)
{
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_err(pcb, NULL);
}

// Bytes that wait in `received` count as taken: lwIP resets a connection that is closed unread, and
// what was written last (a DISCONNECT) would be lost with it.
static void end_connection(struct pipit_lwip *lwip)
{
    struct tcp_pcb *pcb = lwip->pcb;
    if (lwip->received != NULL) {
        tcp_recved(pcb, (u16_t)(lwip->received->tot_len - lwip->read_bytes));
    }
    tcp_forget(pcb);
    tcp_setprio(pcb, TCP_PRIO_MIN); // tcp_new may take it while it lingers.
    if (tcp_close(pcb) != ERR_OK) {
        tcp_abort(pcb);
    }
    lwip->pcb = NULL;
}

static void connect_to(struct pipit_lwip *lwip, const ip_addr_t *address)
{
    struct tcp_pcb *pcb = tcp_new_ip_type(IP_GET_TYPE(address));
    lwip->state = FAILED;
    if (pcb == NULL) {
        return;
    }
    tcp_arg(pcb, lwip);
    tcp_recv(pcb, on_received);
    tcp_err(pcb, on_error);
    tcp_nagle_disable(pcb); // The client writes whole packets; waiting for ACKs only delays them.
    if (tcp_connect(pcb, address, lwip->port, on_connected) != ERR_OK) {
        tcp_forget(pcb);
        tcp_abort(pcb);
        return;
    }
    lwip->pcb = pcb;
    lwip->state = CONNECTING;
}

#if LWIP_DNS
// A lookup cannot be called off: one that outlived its connection serves the next.
static void on_found(const char *name, const ip_addr_t *address, void *arg)
{
    struct pipit_lwip *lwip = (struct pipit_lwip *)arg;
    (void)name;
    lwip->is_looking_up = false;
    if (lwip->state != LOOKING_UP) {
        return;
    }
    lwip->state = FAILED;
    if (address != NULL) {
        connect_to(lwip, address);
    }
}

static void look_up(struct pipit_lwip *lwip)
{
    ip_addr_t address;
    lwip->state = LOOKING_UP;
    if (lwip->is_looking_up) {
        return;
    }
    err_t err = dns_gethostbyname(lwip->host, &address, on_found, lwip);
    if (err == ERR_OK) {
        connect_to(lwip, &address);
        return;
    }
    lwip->is_looking_up = err == ERR_INPROGRESS;
    lwip->state = err == ERR_INPROGRESS ? LOOKING_UP : FAILED;
}
#else
static void look_up(struct pipit_lwip *lwip)
{
    ip_addr_t address;
    lwip->state = FAILED;
    if (ipaddr_aton(lwip->host, &address) != 0) {
        connect_to(lwip, &address);
    }
}
#endif

static enum pipit_err lwip_open(struct pipit_transport *transport, uint32_t now_ms)
{
    struct pipit_lwip *lwip = lwip_of(transport);
    (void)now_ms; // lwIP has its own timers: about 18 s of SYNs, and DNS retries.
    if (lwip->state == SHUT) {
        look_up(lwip);
    }
    switch (lwip->state) {
    case UP:
        return PIPIT_OK;
    case FAILED:
        return PIPIT_ERR_UNREACHABLE;
    default:
        return PIPIT_ERR_BUSY;
    }
}

static void lwip_close(struct pipit_transport *transport)
{
    struct pipit_lwip *lwip = lwip_of(transport);
    if (lwip->pcb != NULL) {
        end_connection(lwip);
    }
    free_received(lwip);
    lwip->has_ended = false;
    lwip->state = SHUT;
}

// ---- bytes -------------------------------------------------------------------------------------

// lwIP's heap may hold less than its window promises; then a part of it will do.
static uint16_t write_some(struct tcp_pcb *pcb, const uint8_t *ptr, size_t len)
{
    size_t room = tcp_sndbuf(pcb);
    u16_t part = (u16_t)LWIP_MIN(LWIP_MIN(len, room), UINT16_MAX);
    while (part > 0 && tcp_write(pcb, ptr, part, TCP_WRITE_FLAG_COPY) != ERR_OK) {
        part = (u16_t)(part / 2);
    }
    return part;
}

// After the peer's end a write is refused only once its last bytes, which may say why, are read.
static int32_t lwip_write(struct pipit_transport *transport, const uint8_t *ptr, size_t len)
{
    struct pipit_lwip *lwip = lwip_of(transport);
    if (lwip->state != UP || lwip->has_ended) {
        return lwip->received != NULL ? 0 : PIPIT_ERR_UNREACHABLE;
    }
    uint16_t taken = write_some(lwip->pcb, ptr, len);
    (void)tcp_output(lwip->pcb); // What it cannot send now its timers send later.
    return taken;
}

static void drop_read(struct pipit_lwip *lwip)
{
    struct pbuf *first = lwip->received;
    if (lwip->read_bytes < first->len) {
        return;
    }
    lwip->received = first->next;
    lwip->read_bytes = 0;
    if (lwip->received != NULL) {
        pbuf_ref(lwip->received);
    }
    (void)pbuf_free(first);
}

static int32_t lwip_read(struct pipit_transport *transport, uint8_t *ptr, size_t size)
{
    struct pipit_lwip *lwip = lwip_of(transport);
    uint16_t taken = 0;
    if (lwip->received == NULL && (lwip->state != UP || lwip->has_ended)) {
        return PIPIT_ERR_UNREACHABLE;
    }
    while (lwip->received != NULL && taken < size && taken < INT16_MAX) {
        const struct pbuf *first = lwip->received;
        size_t wanted = LWIP_MIN(size, INT16_MAX) - taken;
        uint16_t part = (uint16_t)LWIP_MIN((size_t)first->len - lwip->read_bytes, wanted);
        (void)memcpy(ptr + taken, (const uint8_t *)first->payload + lwip->read_bytes, part);
        lwip->read_bytes = (uint16_t)(lwip->read_bytes + part);
        taken = (uint16_t)(taken + part);
        drop_read(lwip);
    }
    if (lwip->pcb != NULL && taken > 0) {
        tcp_recved(lwip->pcb, taken);
    }
    return taken;
}

static const struct pipit_transport_type lwip_type = {
    .write = lwip_write, .read = lwip_read, .open = lwip_open, .close = lwip_close};

enum pipit_err pipit_lwip_init(struct pipit_lwip *lwip, const char *host, uint16_t port)
{
    if (host == NULL || host[0] == '\0' || port == 0) {
        return PIPIT_ERR_ARGUMENT;
    }
    (void)memset(lwip, 0, sizeof(*lwip));
    lwip->base.type = &lwip_type;
    lwip->host = host;
    lwip->port = port;
    return PIPIT_OK;
}
