// The transport over lwIP, on the host: lwIP talks to itself over a wire that the tests can cut, in
// a time that the tests move. tests/firmware/test_ethernet.py builds and runs it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <lwip/dns.h>
#include <lwip/init.h>
#include <lwip/ip.h>
#include <lwip/memp.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/sys.h>
#include <lwip/timeouts.h>
#include <lwip/udp.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipit/lwip.h"

#define STEP_MS     10u
#define DEADLINE_MS 300000u
#define PORT        1883
#define ADDRESS     "10.0.0.1"
#define BULK        20000u

static uint32_t now_ms, random_state = 1;
static struct netif wire;
static struct pbuf *queue[64];
static unsigned queued, frames, drop_every;
static bool is_cut;

static struct tcp_pcb *listener, *peer; // The peer's side of the connection.
static uint8_t heard[BULK + 1];         // What it received.
static size_t heard_bytes;
static bool is_deaf, has_heard_end; // Deaf: it takes nothing, so its window closes.
static struct udp_pcb *name_server;
static bool is_name_known;
static unsigned questions;

static struct pipit_lwip lwip;
static struct pipit_transport *const transport = &lwip.base;

// ---- what lwIP asks of its port ----------------------------------------------------------------

u32_t sys_now(void)
{
    return now_ms;
}

uint32_t lwip_random(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

_Noreturn void lwip_assertion(unsigned line)
{
    (void)fprintf(stderr, "lwIP: assertion in line %u\n", line);
    abort();
}

// ---- the wire ----------------------------------------------------------------------------------

static err_t wire_output(struct netif *netif, struct pbuf *p, const ip4_addr_t *to)
{
    (void)netif;
    (void)to;
    frames++;
    if (is_cut || queued == LWIP_ARRAYSIZE(queue) || (drop_every > 0 && frames % drop_every == 0)) {
        return ERR_OK;
    }
    queue[queued] = pbuf_clone(PBUF_RAW, PBUF_POOL, p);
    queued += queue[queued] != NULL ? 1 : 0; // No buffer: lost as on a real board.
    return ERR_OK;
}

static err_t wire_init(struct netif *netif)
{
    netif->output = wire_output;
    netif->mtu = 1500;
    netif->flags = NETIF_FLAG_LINK_UP;
    return ERR_OK;
}

static void wire_deliver(void)
{
    struct pbuf *batch[LWIP_ARRAYSIZE(queue)];
    unsigned count = queued;
    (void)memcpy(batch, queue, sizeof(batch));
    queued = 0;
    for (unsigned i = 0; i < count; i++) {
        if (wire.input(batch[i], &wire) != ERR_OK) {
            (void)pbuf_free(batch[i]);
        }
    }
}

static void step(void)
{
    now_ms += STEP_MS;
    sys_check_timeouts();
    wire_deliver();
}

#define WAIT_FOR(fact)                                                                             \
    do {                                                                                           \
        uint32_t begin_ms = now_ms;                                                                \
        while (!(fact)) {                                                                          \
            assert_true(now_ms - begin_ms < DEADLINE_MS);                                          \
            step();                                                                                \
        }                                                                                          \
    } while (0)

// ---- the peer ----------------------------------------------------------------------------------

static err_t peer_received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    (void)arg;
    (void)err;
    if (p == NULL) {
        has_heard_end = true;
        return ERR_OK;
    }
    assert_true(heard_bytes + p->tot_len <= sizeof(heard));
    heard_bytes += pbuf_copy_partial(p, heard + heard_bytes, p->tot_len, 0);
    if (!is_deaf) {
        tcp_recved(pcb, p->tot_len);
    }
    (void)pbuf_free(p);
    return ERR_OK;
}

static void peer_lost(void *arg, err_t err)
{
    (void)arg;
    (void)err;
    peer = NULL;
}

static void peer_abort(void)
{
    struct tcp_pcb *pcb = peer;
    tcp_err(pcb, NULL);
    peer = NULL;
    tcp_abort(pcb);
}

static err_t peer_accepted(void *arg, struct tcp_pcb *pcb, err_t err)
{
    (void)arg;
    if (err != ERR_OK) {
        return err; // No control block left; the other side tries again.
    }
    if (peer != NULL) {
        peer_abort();
    }
    peer = pcb;
    has_heard_end = false;
    tcp_recv(pcb, peer_received);
    tcp_err(pcb, peer_lost);
    tcp_nagle_disable(pcb);
    return ERR_OK;
}

static void peer_listen(void)
{
    struct tcp_pcb *pcb = tcp_new();
    assert_int_equal(tcp_bind(pcb, IP_ANY_TYPE, PORT), ERR_OK);
    listener = tcp_listen(pcb);
    assert_non_null(listener);
    tcp_accept(listener, peer_accepted);
}

static void peer_send(const char *text)
{
    assert_int_equal(tcp_write(peer, text, (u16_t)strlen(text), TCP_WRITE_FLAG_COPY), ERR_OK);
    assert_int_equal(tcp_output(peer), ERR_OK);
}

static void peer_close(void)
{
    struct tcp_pcb *pcb = peer;
    tcp_err(pcb, NULL);
    tcp_recv(pcb, NULL);
    peer = NULL;
    if (tcp_close(pcb) != ERR_OK) {
        tcp_abort(pcb);
    }
}

// A name server that repeats the question and answers with our address, or knows nothing.
static void name_asked(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *from,
                       u16_t port)
{
    static const uint8_t answer[] = {0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 1};
    uint8_t *header = (uint8_t *)p->payload;
    (void)arg;
    questions++;
    header[2] |= 0x80;
    header[3] = is_name_known ? 0 : 3;
    header[7] = is_name_known ? 1 : 0;
    struct pbuf *reply = pbuf_alloc(PBUF_TRANSPORT, (u16_t)(p->tot_len + sizeof(answer)), PBUF_RAM);
    assert_non_null(reply);
    assert_int_equal(pbuf_take(reply, header, p->tot_len), ERR_OK);
    assert_int_equal(pbuf_take_at(reply, answer, sizeof(answer), p->tot_len), ERR_OK);
    if (!is_name_known) {
        pbuf_realloc(reply, p->tot_len);
    }
    (void)udp_sendto(pcb, reply, from, port);
    (void)pbuf_free(reply);
    (void)pbuf_free(p);
}

static void name_server_start(void)
{
    ip_addr_t address;
    assert_true(ipaddr_aton(ADDRESS, &address));
    name_server = udp_new();
    assert_int_equal(udp_bind(name_server, IP_ANY_TYPE, 53), ERR_OK);
    udp_recv(name_server, name_asked, NULL);
    dns_setserver(0, &address);
}

// ---- around each test --------------------------------------------------------------------------

static bool is_connection_left(void)
{
    return tcp_active_pcbs != NULL || tcp_tw_pcbs != NULL;
}

#ifdef TEST_HEAP // The sanitizer counts.
static void assert_no_buffer_left(void)
{
}
#else
static void assert_no_buffer_left(void)
{
    assert_int_equal(lwip_stats.memp[MEMP_TCP_SEG]->used, 0);
    assert_int_equal(lwip_stats.memp[MEMP_PBUF_POOL]->used, 0);
    assert_int_equal(lwip_stats.mem.used, 0);
}
#endif

static int begin(void **state)
{
    (void)state;
    is_cut = is_deaf = has_heard_end = false;
    drop_every = frames = questions = 0;
    heard_bytes = 0;
    is_name_known = true;
    peer_listen();
    return pipit_lwip_init(&lwip, ADDRESS, PORT);
}

// Nothing may be left: neither buffers, nor segments, nor control blocks.
static int end(void **state)
{
    (void)state;
    is_cut = false;
    drop_every = 0;
    transport->type->close(transport);
    if (peer != NULL) {
        peer_close();
    }
    if (listener != NULL) {
        assert_int_equal(tcp_close(listener), ERR_OK);
    }
    listener = NULL;
    WAIT_FOR(!is_connection_left() && !lwip.is_looking_up);
    for (int i = 0; i < 10; i++) {
        step();
    }
    assert_no_buffer_left();
    return 0;
}

static enum pipit_err try_open(void)
{
    return transport->type->open(transport, now_ms);
}

static void open_now(void)
{
    enum pipit_err rc = try_open();
    assert_int_equal(rc, PIPIT_ERR_BUSY); // It never waits inside.
    WAIT_FOR((rc = try_open()) != PIPIT_ERR_BUSY);
    assert_int_equal(rc, PIPIT_OK);
    WAIT_FOR(peer != NULL);
}

static enum pipit_err open_in_vain(void)
{
    enum pipit_err rc = try_open();
    WAIT_FOR((rc = try_open()) != PIPIT_ERR_BUSY);
    return rc;
}

static int32_t write_text(const char *text)
{
    return transport->type->write(transport, (const uint8_t *)text, strlen(text));
}

static int32_t read_some(uint8_t *ptr, size_t size)
{
    return transport->type->read(transport, ptr, size);
}

// ---- opening -----------------------------------------------------------------------------------

static void test_arguments(void **state)
{
    struct pipit_lwip other;
    (void)state;
    assert_int_equal(pipit_lwip_init(&other, NULL, PORT), PIPIT_ERR_ARGUMENT);
    assert_int_equal(pipit_lwip_init(&other, "", PORT), PIPIT_ERR_ARGUMENT);
    assert_int_equal(pipit_lwip_init(&other, ADDRESS, 0), PIPIT_ERR_ARGUMENT);
}

static void test_bytes_there_and_back(void **state)
{
    uint8_t bytes[16];
    int32_t got = 0;
    (void)state;
    open_now();
    assert_int_equal(read_some(bytes, sizeof(bytes)), 0);
    assert_int_equal(write_text("hello"), 5);
    WAIT_FOR(heard_bytes == 5);
    assert_memory_equal(heard, "hello", 5);
    peer_send("good day");
    WAIT_FOR((got = read_some(bytes, 4)) != 0); // In two parts.
    assert_int_equal(got, 4);
    assert_int_equal(read_some(bytes + 4, sizeof(bytes) - 4), 4);
    assert_memory_equal(bytes, "good day", 8);
    assert_int_equal(read_some(bytes, sizeof(bytes)), 0);
    assert_int_equal(try_open(), PIPIT_OK);
}

static void test_nobody_listens(void **state)
{
    (void)state;
    assert_int_equal(tcp_close(listener), ERR_OK);
    listener = NULL;
    assert_int_equal(open_in_vain(), PIPIT_ERR_UNREACHABLE);
    assert_int_equal(write_text("x"), PIPIT_ERR_UNREACHABLE);
    assert_int_equal(read_some(heard, 1), PIPIT_ERR_UNREACHABLE);
    transport->type->close(transport);
    peer_listen();
    open_now();
}

static void test_nobody_answers(void **state)
{
    uint32_t begin_ms = now_ms;
    (void)state;
    is_cut = true;
    assert_int_equal(open_in_vain(), PIPIT_ERR_UNREACHABLE);
    assert_in_range(now_ms - begin_ms, 5000, 120000);
    transport->type->close(transport);
    is_cut = false;
    open_now();
}

static void test_no_network(void **state)
{
    (void)state;
    netif_set_down(&wire);
    assert_int_equal(try_open(), PIPIT_ERR_UNREACHABLE);
    transport->type->close(transport);
    netif_set_up(&wire);
    open_now();
}

static void test_closed_while_opening(void **state)
{
    (void)state;
    assert_int_equal(try_open(), PIPIT_ERR_BUSY);
    transport->type->close(transport);
    transport->type->close(transport);
    assert_int_equal(read_some(heard, 1), PIPIT_ERR_UNREACHABLE);
    for (int i = 0; i < 5; i++) {
        step();
    }
    assert_null(peer);
    open_now();
}

static void test_name(void **state)
{
    (void)state;
    assert_int_equal(pipit_lwip_init(&lwip, "broker.example", PORT), PIPIT_OK);
    open_now();
    assert_int_equal(questions, 1);
}

static void test_unknown_name(void **state)
{
    (void)state;
    is_name_known = false;
    assert_int_equal(pipit_lwip_init(&lwip, "nowhere.example", PORT), PIPIT_OK);
    assert_int_equal(open_in_vain(), PIPIT_ERR_UNREACHABLE);
    transport->type->close(transport);
    is_name_known = true;
    open_now();
}

static void test_name_server_is_silent(void **state)
{
    (void)state;
    is_cut = true;
    assert_int_equal(pipit_lwip_init(&lwip, "silent.example", PORT), PIPIT_OK);
    assert_int_equal(open_in_vain(), PIPIT_ERR_UNREACHABLE);
}

// The lookup of a connection that was given up serves the next one, and does not connect by itself.
static void test_closed_during_lookup(void **state)
{
    (void)state;
    assert_int_equal(pipit_lwip_init(&lwip, "late.example", PORT), PIPIT_OK);
    assert_int_equal(try_open(), PIPIT_ERR_BUSY);
    transport->type->close(transport);
    assert_int_equal(try_open(), PIPIT_ERR_BUSY);
    transport->type->close(transport);
    WAIT_FOR(!lwip.is_looking_up);
    step();
    assert_null(peer);
    assert_int_equal(questions, 1);
    assert_int_equal(pipit_lwip_init(&lwip, "later.example", PORT), PIPIT_OK);
    assert_int_equal(try_open(), PIPIT_ERR_BUSY);
    transport->type->close(transport);
    open_now();
    assert_int_equal(questions, 2);
}

// ---- the end of a connection -------------------------------------------------------------------

static void test_peer_closes(void **state)
{
    uint8_t bytes[8];
    (void)state;
    open_now();
    peer_send("why");
    peer_close();
    WAIT_FOR(lwip.has_ended);
    assert_int_equal(write_text("x"), 0); // First read what it said.
    assert_int_equal(read_some(bytes, sizeof(bytes)), 3);
    assert_memory_equal(bytes, "why", 3);
    assert_int_equal(read_some(bytes, sizeof(bytes)), PIPIT_ERR_UNREACHABLE);
    assert_int_equal(write_text("x"), PIPIT_ERR_UNREACHABLE);
    transport->type->close(transport);
    open_now();
}

static void test_peer_resets(void **state)
{
    uint8_t bytes[8];
    (void)state;
    open_now();
    peer_send("why");
    WAIT_FOR(lwip.received != NULL);
    peer_abort();
    WAIT_FOR(lwip.pcb == NULL);
    assert_int_equal(write_text("x"), 0);
    assert_int_equal(read_some(bytes, sizeof(bytes)), 3);
    assert_int_equal(read_some(bytes, sizeof(bytes)), PIPIT_ERR_UNREACHABLE);
    assert_int_equal(try_open(), PIPIT_ERR_UNREACHABLE); // Until it is closed.
    transport->type->close(transport);
    open_now();
}

// lwIP resets what is closed unread; what was written last must arrive all the same.
static void test_close_keeps_what_was_written(void **state)
{
    (void)state;
    open_now();
    peer_send("unread");
    WAIT_FOR(lwip.received != NULL);
    assert_int_equal(write_text("goodbye"), 7);
    transport->type->close(transport);
    WAIT_FOR(has_heard_end);
    assert_int_equal(heard_bytes, 7);
}

// The peer vanishes with each connection; what lingers must not use up the control blocks.
static void test_reconnect_without_end(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        is_cut = false;
        open_now();
        is_cut = true;
        assert_int_equal(write_text("lost"), 4);
        transport->type->close(transport);
        peer_abort();
    }
}

// ---- flow control ------------------------------------------------------------------------------

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 7u + i / 251u);
}

static size_t write_pattern(size_t from, size_t to)
{
    uint8_t bytes[700];
    size_t len = LWIP_MIN(sizeof(bytes), to - from);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = pattern(from + i);
    }
    int32_t taken = transport->type->write(transport, bytes, len);
    assert_in_range(taken, 0, len);
    return (size_t)taken;
}

static void test_deaf_peer_stops_the_writer(void **state)
{
    size_t written = 0;
    (void)state;
    open_now();
    is_deaf = true;
    for (int i = 0; i < 500; i++) {
        written += write_pattern(written, BULK);
        step();
    }
    assert_in_range(written, TCP_WND, TCP_WND + TCP_SND_BUF);
    assert_int_equal(write_pattern(written, BULK), 0);
    is_deaf = false;
    tcp_recved(peer, (u16_t)heard_bytes);
    WAIT_FOR((written += write_pattern(written, BULK)) == BULK);
    WAIT_FOR(heard_bytes == BULK);
    for (size_t i = 0; i < BULK; i++) {
        assert_int_equal(heard[i], pattern(i));
    }
}

static size_t peer_send_pattern(size_t from, size_t to)
{
    uint8_t bytes[300];
    size_t len = LWIP_MIN(LWIP_MIN(sizeof(bytes), to - from), tcp_sndbuf(peer));
    for (size_t i = 0; i < len; i++) {
        bytes[i] = pattern(from + i);
    }
    if (len == 0 || tcp_write(peer, bytes, (u16_t)len, TCP_WRITE_FLAG_COPY) != ERR_OK) {
        return 0;
    }
    (void)tcp_output(peer);
    return len;
}

static size_t read_pattern(size_t from, size_t size)
{
    uint8_t bytes[333];
    int32_t got = read_some(bytes, LWIP_MIN(size, sizeof(bytes)));
    assert_true(got >= 0);
    for (size_t i = 0; i < (size_t)got; i++) {
        assert_int_equal(bytes[i], pattern(from + i));
    }
    return (size_t)got;
}

static void test_slow_reader_stops_the_peer(void **state)
{
    size_t sent = 0, got = 0;
    (void)state;
    open_now();
    for (int i = 0; i < 500; i++) {
        sent += peer_send_pattern(sent, BULK);
        step();
    }
    assert_in_range(sent, 1, TCP_WND + TCP_SND_BUF);
    assert_true(lwip.received->tot_len <= TCP_WND);
    WAIT_FOR((sent += peer_send_pattern(sent, BULK), got += read_pattern(got, 7), got == BULK));
}

static void bulk_with_loss(unsigned every)
{
    size_t sent = 0, got = 0, written = 0;
    heard_bytes = 0;
    drop_every = every;
    open_now();
    WAIT_FOR((sent += peer_send_pattern(sent, BULK), got += read_pattern(got, 333),
              written += write_pattern(written, BULK), got == BULK && heard_bytes == BULK));
    for (size_t i = 0; i < BULK; i++) {
        assert_int_equal(heard[i], pattern(i));
    }
    transport->type->close(transport);
    drop_every = 0;
    WAIT_FOR(has_heard_end || peer == NULL);
    if (peer != NULL) {
        peer_close();
    }
}

static void test_loss(void **state)
{
    static const unsigned everies[] = {0, 17, 7, 3};
    (void)state;
    for (size_t i = 0; i < LWIP_ARRAYSIZE(everies); i++) {
        bulk_with_loss(everies[i]);
    }
}

// ---- any order of events -----------------------------------------------------------------------

static void one_random_thing(void)
{
    uint8_t bytes[64];
    switch (lwip_random() % 12) {
    case 0:
        transport->type->close(transport);
        break;
    case 1:
        is_cut = !is_cut;
        break;
    case 2:
        if (peer != NULL) {
            (lwip_random() % 2 == 0 ? peer_close : peer_abort)();
        }
        break;
    case 3:
        drop_every = lwip_random() % 6;
        break;
    case 4:
    case 5:
        assert_true(transport->type->write(transport, bytes, lwip_random() % sizeof(bytes)) <= 64);
        break;
    case 6:
    case 7:
        assert_true(read_some(bytes, lwip_random() % sizeof(bytes)) <= 64);
        break;
    case 8:
        if (peer != NULL) {
            (void)peer_send_pattern(0, 1 + lwip_random() % 200);
        }
        break;
    default:
        (void)try_open();
        step();
        break;
    }
    heard_bytes = 0;
}

static void test_anything_in_any_order(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 300; seed++) {
        random_state = seed;
        is_name_known = true;
        for (int i = 0; i < 200; i++) {
            one_random_thing();
        }
        is_cut = false;
        drop_every = 0;
        transport->type->close(transport);
        if (peer != NULL) {
            peer_close();
        }
        open_now();
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
        TEST(test_arguments),
        TEST(test_bytes_there_and_back),
        TEST(test_nobody_listens),
        TEST(test_nobody_answers),
        TEST(test_no_network),
        TEST(test_closed_while_opening),
        TEST(test_name),
        TEST(test_unknown_name),
        TEST(test_name_server_is_silent),
        TEST(test_closed_during_lookup),
        TEST(test_peer_closes),
        TEST(test_peer_resets),
        TEST(test_close_keeps_what_was_written),
        TEST(test_reconnect_without_end),
        TEST(test_deaf_peer_stops_the_writer),
        TEST(test_slow_reader_stops_the_peer),
        TEST(test_loss),
        TEST(test_anything_in_any_order),
    };
    ip4_addr_t address, mask, none;
    IP4_ADDR(&address, 10, 0, 0, 1);
    IP4_ADDR(&mask, 255, 255, 255, 0);
    ip4_addr_set_zero(&none);
    lwip_init();
    (void)netif_add(&wire, &address, &mask, &none, NULL, wire_init, ip_input);
    netif_set_default(&wire);
    netif_set_up(&wire);
    name_server_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
