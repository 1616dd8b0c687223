// The link over paho.mqtt.c against a real mosquitto: MQTT 5, 3.1.1, TLS, refusals, broker
// restarts.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pipit/paho.h"
#include "pipit/v1/pipit.pb-c.h"

#define DEADLINE_MS 20000
#define OPENSSL     "openssl "

static char directory[] = "/tmp/pipit-paho-XXXXXX";
static char conf[64], ca[64], wrong_ca[64], url[64], tls_url[64];
static uint16_t port, tls_port;
static pid_t broker;

static uint8_t ring[65536];
static uint8_t buffer[1024];
static uint8_t command_memory[PIPIT_COMMAND_MEMORY(4, 128)];
static struct pipit_bell bell;
static struct pipit_ram_spool spool;
static struct pipit_paho paho, hub_paho;
static struct pipit_device device;
static struct pipit_config config;
static bool is_hub_up, has_status_offline;
static uint64_t hub_highest;
static unsigned hub_events, hub_replies, command_runs;

// ---- the broker --------------------------------------------------------------------------------

static int listener(uint16_t *out_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *out_port = ntohs(address.sin_port);
    return fd;
}

static void free_ports(void)
{
    int first = listener(&port);
    int second = listener(&tls_port);
    (void)close(first);
    (void)close(second);
    (void)snprintf(url, sizeof(url), "mqtt://127.0.0.1:%u", port);
    (void)snprintf(tls_url, sizeof(tls_url), "mqtts://localhost:%u", tls_port);
}

static bool accepts_connections(void)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool is_open = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    (void)close(fd);
    return is_open;
}

static void broker_start(void)
{
    uint32_t start = pipit_now_ms();
    broker = fork();
    if (broker == 0) {
        int null = open("/dev/null", O_WRONLY);
        (void)dup2(null, 2);
        (void)dup2(null, 1);
        (void)execlp("mosquitto", "mosquitto", "-c", conf, NULL);
        (void)execl("/usr/sbin/mosquitto", "mosquitto", "-c", conf, NULL);
        _exit(127);
    }
    while (!accepts_connections()) {
        assert_true(pipit_now_ms() - start < DEADLINE_MS);
        (void)usleep(5000);
    }
}

static void broker_kill(void)
{
    (void)kill(broker, SIGKILL);
    (void)waitpid(broker, NULL, 0);
}

static void shell(const char *format, const char *a, const char *b)
{
    char command[512];
    (void)snprintf(command, sizeof(command), format, directory, a, b);
    assert_int_equal(system(command), 0);
}

static void make_ca(const char *name)
{
    shell("cd %s && " OPENSSL "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
          "-keyout %s.key -out %s.pem -days 2 -subj /CN=throwaway 2>/dev/null",
          name, name);
}

static void make_certificates(void)
{
    make_ca("ca");
    make_ca("wrong");
    shell("cd %s && " OPENSSL "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "
          "%s.key -out %s.csr -subj /CN=localhost 2>/dev/null",
          "server", "server");
    shell("cd %s && printf 'subjectAltName=DNS:localhost' > ext && " OPENSSL
          "x509 -req -in %s.csr -CA %s.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext "
          "-out server.pem 2>/dev/null && chmod 644 *.key",
          "server", "ca");
}

static int group_setup(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(directory));
    free_ports();
    make_certificates();
    (void)snprintf(conf, sizeof(conf), "%s/conf", directory);
    (void)snprintf(ca, sizeof(ca), "%s/ca.pem", directory);
    (void)snprintf(wrong_ca, sizeof(wrong_ca), "%s/wrong.pem", directory);
    FILE *out = fopen(conf, "w");
    (void)fprintf(out,
                  "user root\nper_listener_settings true\n"
                  "listener %u 127.0.0.1\nallow_anonymous true\n"
                  "listener %u 127.0.0.1\nallow_anonymous false\npassword_file %s/users\n"
                  "certfile %s/server.pem\nkeyfile %s/server.key\n",
                  port, tls_port, directory, directory, directory);
    (void)fclose(out);
    shell("cd %s && mosquitto_passwd -b -c users %s %s 2>/dev/null", "pump", "secret");
    broker_start();
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    broker_kill();
    shell("rm -r %s%s%s", "", "");
    return 0;
}

// ---- a hub of a few lines, on the same kind of link --------------------------------------------

static void hub_receipt(uint32_t boot)
{
    Pipit__V1__Receipt receipt = PIPIT__V1__RECEIPT__INIT;
    uint8_t packed[64];
    receipt.boot = boot;
    receipt.upto = hub_highest;
    size_t size = pipit__v1__receipt__pack(&receipt, packed);
    struct pipit_message message = {
        .topic = "pipit/v1/plant/pump/receipt", .payload = {packed, size}, .qos = 1};
    (void)hub_paho.base.type->publish(&hub_paho.base, &message);
}

static void hub_message(const struct pipit_link_event *got)
{
    char topic[128] = {0};
    memcpy(topic, got->topic.ptr, got->topic.len < 127 ? got->topic.len : 127);
    if (strstr(topic, "/event/") != NULL) {
        Pipit__V1__Event *event =
            pipit__v1__event__unpack(NULL, got->payload.len, got->payload.ptr);
        assert_non_null(event);
        hub_events++;
        if (event->sequence == hub_highest + 1) {
            hub_highest++;
        }
        if (event->wants_receipt) {
            hub_receipt(event->boot);
        }
        pipit__v1__event__free_unpacked(event, NULL);
    } else if (strstr(topic, "/reply/") != NULL) {
        hub_replies++;
    } else if (strstr(topic, "/status") != NULL) {
        Pipit__V1__Status *status =
            pipit__v1__status__unpack(NULL, got->payload.len, got->payload.ptr);
        assert_non_null(status);
        has_status_offline = !status->online;
        pipit__v1__status__free_unpacked(status, NULL);
    }
}

static void hub_connect(void)
{
    struct pipit_connect options = {.client_id = "hub", .keepalive_s = 30, .is_clean_start = true};
    assert_int_equal(hub_paho.base.type->connect(&hub_paho.base, &options), PIPIT_OK);
}

static void hub_poll(void)
{
    struct pipit_link_event event = {0};
    do {
        hub_paho.base.type->poll(&hub_paho.base, pipit_now_ms(), &event);
        if (event.kind == PIPIT_LINK_UP) {
            (void)hub_paho.base.type->subscribe(&hub_paho.base, "pipit/v1/#", 1, 1);
        } else if (event.kind == PIPIT_LINK_ACKED && event.token == 1) {
            is_hub_up = true;
        } else if (event.kind == PIPIT_LINK_DOWN) {
            is_hub_up = false;
            hub_connect();
        } else if (event.kind == PIPIT_LINK_MESSAGE) {
            hub_message(&event);
        }
    } while (event.kind != PIPIT_LINK_NOTHING && event.kind != PIPIT_LINK_DOWN);
}

static void hub_command(const char *id)
{
    Pipit__V1__Command command = PIPIT__V1__COMMAND__INIT;
    uint8_t packed[64];
    command.id = (char *)(uintptr_t)id;
    command.name = (char *)(uintptr_t) "boost";
    size_t size = pipit__v1__command__pack(&command, packed);
    struct pipit_message message = {
        .topic = "pipit/v1/plant/pump/command/boost", .payload = {packed, size}, .qos = 1};
    assert_int_equal(hub_paho.base.type->publish(&hub_paho.base, &message), PIPIT_OK);
}

static int32_t on_command(void *context, const struct pipit_command *command,
                          struct pipit_sink *reply)
{
    (void)context;
    (void)command;
    command_runs++;
    (void)pipit_reply_text(reply, "boosted");
    return 0;
}

// ---- running both until a fact -----------------------------------------------------------------

static bool is_all_stored(void)
{
    return pipit_waiting(&device) == 0;
}

static bool is_stopped(void)
{
    return pipit_is_stopped(&device);
}

static bool is_failed(void)
{
    return pipit_link_error(&device) != PIPIT_OK;
}

static bool has_reply(void)
{
    return hub_replies >= 1;
}

static bool is_hub_ready(void)
{
    return is_hub_up && pipit_is_online(&device);
}

static bool is_offline_seen(void)
{
    return has_status_offline;
}

static void run_until(bool (*fact)(void))
{
    uint32_t start = pipit_now_ms();
    while (!fact()) {
        hub_poll();
        assert_int_equal(pipit_poll(&device, pipit_now_ms()), PIPIT_OK);
        uint32_t next = pipit_next_ms(&device);
        pipit_bell_wait(&bell, next < 100 ? next : 100);
        if (pipit_now_ms() - start > DEADLINE_MS) {
            char text[200];
            pipit_paho_error(&paho, text, sizeof(text));
            fail_msg("%u waiting, %u events at the hub, link: %s", pipit_waiting(&device),
                     hub_events, text);
        }
    }
}

static void open_both(struct pipit_paho_options options)
{
    struct pipit_paho_options hub_options = {.url = url, .bell = &bell};
    hub_highest = 0;
    hub_events = hub_replies = command_runs = 0;
    is_hub_up = has_status_offline = false;
    options.bell = &bell;
    config = (struct pipit_config){.group = "plant",
                                   .device = "pump",
                                   .spool = &spool.base,
                                   .link = &paho.base,
                                   .buffer = buffer,
                                   .buffer_bytes = sizeof(buffer),
                                   .seed = pipit_entropy(),
                                   .clock_ms = pipit_wall_ms,
                                   .session_expiry_s = 0xFFFFFFFF,
                                   .resend_ms = 1000,
                                   .retry_base_ms = 100,
                                   .retry_cap_ms = 500,
                                   .on_command = on_command,
                                   .command_memory = command_memory,
                                   .command_slots = 4,
                                   .command_slot_bytes = PIPIT_COMMAND_SLOT(128)};
    assert_int_equal(pipit_bell_open(&bell), PIPIT_OK);
    assert_int_equal(pipit_ram_spool_init(&spool, ring, sizeof(ring), PIPIT_REFUSE,
                                          pipit_boot_random(pipit_entropy())),
                     PIPIT_OK);
    assert_int_equal(pipit_paho_open(&paho, &options), PIPIT_OK);
    assert_int_equal(pipit_paho_open(&hub_paho, &hub_options), PIPIT_OK);
    assert_int_equal(pipit_init(&device, &config), PIPIT_OK);
    hub_connect();
}

// In peace: paho 1.3.12 forgets to free what it has received when it is torn down in mid-traffic.
static void hub_disconnect(void)
{
    struct pipit_link_event event = {0};
    uint32_t start = pipit_now_ms();
    hub_paho.base.type->disconnect(&hub_paho.base);
    while (event.kind != PIPIT_LINK_DOWN && pipit_now_ms() - start < DEADLINE_MS) {
        hub_paho.base.type->poll(&hub_paho.base, pipit_now_ms(), &event);
        if (event.kind == PIPIT_LINK_NOTHING) {
            pipit_bell_wait(&bell, 50);
        }
    }
    assert_int_equal(event.kind, PIPIT_LINK_DOWN);
}

static void close_both(void)
{
    hub_disconnect();
    pipit_paho_close(&paho);
    pipit_paho_close(&hub_paho);
    pipit_bell_close(&bell);
}

static void publish(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(pipit_publish(&device, "climate", PIPIT_FLOAT("celsius", 21.5f)),
                         PIPIT_OK);
    }
}

static void whole_life(struct pipit_paho_options options)
{
    open_both(options);
    run_until(is_hub_ready);
    publish(1000);
    run_until(is_all_stored);
    assert_int_equal(hub_highest, 1000);
    hub_command("c1");
    run_until(has_reply);
    hub_replies = 0;
    hub_command("c1");
    run_until(has_reply);
    assert_int_equal(command_runs, 1);
    pipit_stop(&device);
    run_until(is_stopped);
    run_until(is_offline_seen);
    close_both();
}

static void test_mqtt_5(void **state)
{
    (void)state;
    whole_life((struct pipit_paho_options){.url = url});
}

static void test_mqtt_311(void **state)
{
    (void)state;
    whole_life((struct pipit_paho_options){.url = url, .version = PIPIT_MQTT_311});
}

static void test_tls(void **state)
{
    (void)state;
    open_both((struct pipit_paho_options){.url = tls_url, .ca = ca});
    config.username = "pump";
    config.password = pipit_text("secret");
    publish(10);
    run_until(is_hub_ready);
    run_until(is_all_stored);
    close_both();
}

static void expect_failure(struct pipit_paho_options options, const char *password,
                           enum pipit_err want, const char *text_part)
{
    char text[PIPIT_PAHO_ERROR_MAX];
    open_both(options);
    config.username = "pump";
    config.password = pipit_text(password);
    run_until(is_failed);
    pipit_paho_error(&paho, text, sizeof(text));
    if (pipit_link_error(&device) != want || strstr(text, text_part) == NULL) {
        fail_msg("got %d \"%s\", wanted %d \"%s\"", pipit_link_error(&device), text, want,
                 text_part);
    }
    close_both();
}

static void test_refusals(void **state)
{
    (void)state;
    struct pipit_paho_options tls = {.url = tls_url, .ca = ca};
    expect_failure(tls, "wrong", PIPIT_ERR_REFUSED, "uthori");
    tls.version = PIPIT_MQTT_311;
    expect_failure(tls, "wrong", PIPIT_ERR_REFUSED, "uthori");
    tls.ca = wrong_ca;
    expect_failure(tls, "secret", PIPIT_ERR_TLS, "certificate");
    expect_failure((struct pipit_paho_options){.url = "mqtt://127.0.0.1:1"}, "",
                   PIPIT_ERR_UNREACHABLE, "connect");
}

static void test_options(void **state)
{
    (void)state;
    const struct {
        const char *why;
        struct pipit_paho_options options;
        enum pipit_err want;
    } cases[] = {
        {"no scheme", {.url = "localhost"}, PIPIT_ERR_ARGUMENT},
        {"unknown scheme", {.url = "http://localhost"}, PIPIT_ERR_ARGUMENT},
        {"no host", {.url = "mqtt://"}, PIPIT_ERR_ARGUMENT},
        {"no url", {.url = NULL}, PIPIT_ERR_ARGUMENT},
        {"CA without TLS", {.url = "mqtt://h", .ca = ca}, PIPIT_ERR_ARGUMENT},
        {"CA that is not there", {.url = "mqtts://h", .ca = "/nowhere"}, PIPIT_ERR_TLS},
        {"insecure and CA",
         {.url = "mqtts://h", .ca = ca, .is_insecure = true},
         PIPIT_ERR_ARGUMENT},
        {"IPv6 without a port", {.url = "mqtt://[::1]"}, PIPIT_OK},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum pipit_err rc = pipit_paho_open(&paho, &cases[i].options);
        if (rc != cases[i].want) {
            fail_msg("%s", cases[i].why);
        }
        pipit_paho_close(&paho);
    }
}

static void test_broker_killed(void **state)
{
    (void)state;
    open_both((struct pipit_paho_options){.url = url});
    run_until(is_hub_ready);
    for (int round = 0; round < 3; round++) {
        publish(200);
        assert_int_equal(pipit_poll(&device, pipit_now_ms()), PIPIT_OK);
        broker_kill();
        publish(50);
        broker_start();
        run_until(is_all_stored);
    }
    assert_int_equal(hub_highest, 750);
    assert_true(pipit_counters(&device)->connects >= 4);
    close_both();
}

// Connections that break in mid-write are where paho 1.3.12 frees memory twice: many of them, with
// other clients of the process at work on the same heap.
static void test_many_devices_and_broker_kills(void **state)
{
    (void)state;
    enum { DEVICES = 30, KILLS = 4 };
    static struct {
        struct pipit_ram_spool spool;
        struct pipit_paho paho;
        struct pipit_device device;
        struct pipit_config config;
        char name[8];
        uint8_t ring[8192], buffer[256];
    } fleet[DEVICES];
    uint32_t waiting = 1;
    assert_int_equal(pipit_bell_open(&bell), PIPIT_OK);
    for (uint32_t i = 0; i < DEVICES; i++) {
        struct pipit_paho_options options = {
            .url = url, .bell = &bell, .version = i % 2 ? PIPIT_MQTT_311 : PIPIT_MQTT_5};
        (void)snprintf(fleet[i].name, sizeof(fleet[i].name), "d%u", i);
        fleet[i].config = (struct pipit_config){.group = "fleet",
                                                .device = fleet[i].name,
                                                .spool = &fleet[i].spool.base,
                                                .link = &fleet[i].paho.base,
                                                .buffer = fleet[i].buffer,
                                                .buffer_bytes = sizeof(fleet[i].buffer),
                                                .seed = i + 1,
                                                .confirm = PIPIT_CONFIRM_PUBACK,
                                                .retry_base_ms = 50,
                                                .retry_cap_ms = 200};
        assert_int_equal(pipit_ram_spool_init(&fleet[i].spool, fleet[i].ring, sizeof(fleet[i].ring),
                                              PIPIT_REFUSE, 1),
                         PIPIT_OK);
        assert_int_equal(pipit_paho_open(&fleet[i].paho, &options), PIPIT_OK);
        assert_int_equal(pipit_init(&fleet[i].device, &fleet[i].config), PIPIT_OK);
    }
    uint32_t start = pipit_now_ms();
    unsigned kills = 0;
    uint32_t accepted = 0;
    while (waiting > 0 || kills < KILLS) {
        uint32_t online = 0;
        waiting = 0;
        for (size_t i = 0; i < DEVICES; i++) {
            if (kills < KILLS && pipit_waiting(&fleet[i].device) < 100) {
                accepted += pipit_publish(&fleet[i].device, "t", PIPIT_BOOL("b", true)) == PIPIT_OK;
            }
            assert_int_equal(pipit_poll(&fleet[i].device, pipit_now_ms()), PIPIT_OK);
            online += pipit_is_online(&fleet[i].device);
            waiting += pipit_waiting(&fleet[i].device);
        }
        if (online == DEVICES && kills < KILLS && accepted > (kills + 1) * DEVICES * 40) {
            broker_kill();
            broker_start();
            kills++;
        }
        pipit_bell_wait(&bell, 5);
        assert_true(pipit_now_ms() - start < 3 * DEADLINE_MS);
    }
    for (size_t i = 0; i < DEVICES; i++) {
        pipit_paho_close(&fleet[i].paho);
    }
    pipit_bell_close(&bell);
}

// Another client takes our id: told in words, and we come back.
static void test_taken_over(void **state)
{
    (void)state;
    char text[PIPIT_PAHO_ERROR_MAX];
    open_both((struct pipit_paho_options){.url = url});
    run_until(is_hub_ready);
    struct pipit_connect thief = {.client_id = "plant/pump", .keepalive_s = 30};
    assert_int_equal(hub_paho.base.type->connect(&hub_paho.base, &thief), PIPIT_OK);
    run_until(is_failed);
    pipit_paho_error(&paho, text, sizeof(text));
    assert_true(strlen(text) > 0);
    close_both();
}

// The bytes of CONNECT: paho 1.3.12 would write 0xFFFFFFFF as 255 seconds.
static void test_session_expiry_on_the_wire(void **state)
{
    (void)state;
    static const uint8_t want[] = {0x11, 0x7F, 0xFF, 0xFF, 0xFF};
    uint8_t packet[512];
    char own_url[64];
    uint16_t own_port;
    int fd = listener(&own_port);
    (void)snprintf(own_url, sizeof(own_url), "mqtt://127.0.0.1:%u", own_port);
    open_both((struct pipit_paho_options){.url = own_url});
    assert_int_equal(pipit_poll(&device, pipit_now_ms()), PIPIT_OK);
    int peer = accept(fd, NULL, NULL);
    ssize_t size = recv(peer, packet, sizeof(packet), 0);
    assert_true(size > 20);
    bool is_found = false;
    for (size_t i = 0; i + sizeof(want) <= (size_t)size; i++) {
        is_found = is_found || memcmp(packet + i, want, sizeof(want)) == 0;
    }
    assert_true(is_found);
    (void)close(peer);
    (void)close(fd);
    close_both();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mqtt_5),
        cmocka_unit_test(test_mqtt_311),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_broker_killed),
        cmocka_unit_test(test_many_devices_and_broker_kills),
        cmocka_unit_test(test_taken_over),
        cmocka_unit_test(test_session_expiry_on_the_wire),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
