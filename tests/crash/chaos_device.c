// chaos-device - a device that is killed: readings 1, 2, 3 ... through the SDK's own client, over a
// TCP connection to a modem.
//
// usage: chaos-device PORT DEVICE FOLDER RATE [plain] [ram]
//   PORT    the modem's; RATE readings a second
//   FOLDER  its spool and `ledger`: a line "n boot sequence" for each event that was accepted. It
//           makes readings until a file `enough` is there, then waits for the receipts and ends.
//   plain   bytes as they are; otherwise the checked frames of pipit/framed.h
//   ram     an unprotected device: the spool is lost with it, and it goes on behind the ledger
//
// After a death it goes on behind the mark that the spool kept with the last accepted event.
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pipit/framed.h"
#include "pipit/posix.h"
#include "pipit/socket.h"

#define PATH_BYTES  512
#define FRAME_BYTES 1024

struct chaos {
    const char *folder;
    const char *device_name;
    uint32_t rate;
    bool is_plain;
    bool is_ram;
    int ledger;
    uint64_t n; // The last reading that was accepted.
    uint32_t began_at_ms;
    uint64_t made; // Readings since then.
    struct pipit_socket socket;
    struct pipit_framed framed;
    struct pipit_framed_options framed_options;
    struct pipit_client client;
    struct pipit_client_options client_options;
    struct pipit_flight flights[32];
    struct pipit_file_spool file_spool;
    struct pipit_ram_spool ram_spool;
    struct pipit_config config;
    struct pipit_device device;
    uint8_t spool_memory[65536];
    uint8_t send_memory[2048], receive_memory[1024], buffer[512];
    uint8_t frame_send[2 * FRAME_BYTES + 11], frame_receive[FRAME_BYTES + 4];
};

static void fail(const char *what, enum pipit_err rc)
{
    fprintf(stderr, "chaos-device: %s: %s\n", what, pipit_err_text(rc));
    exit(1);
}

static void path_of(const struct chaos *chaos, const char *name, char out[PATH_BYTES])
{
    if (snprintf(out, PATH_BYTES, "%s/%s", chaos->folder, name) >= PATH_BYTES) {
        fail(name, PIPIT_ERR_SIZE);
    }
}

// ---- what was accepted --------------------------------------------------------------------------

static void ledger_open(struct chaos *chaos)
{
    char path[PATH_BYTES];
    path_of(chaos, "ledger", path);
    chaos->ledger = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (chaos->ledger < 0) {
        fail(path, PIPIT_ERR_IO);
    }
}

static uint64_t ledger_last(const struct chaos *chaos)
{
    char tail[129];
    off_t end = lseek(chaos->ledger, 0, SEEK_END);
    off_t begin = end > 128 ? end - 128 : 0;
    ssize_t got = pread(chaos->ledger, tail, sizeof(tail) - 1, begin);
    tail[got > 0 ? got : 0] = '\0';
    for (ssize_t at = got - 2; at >= 0; at--) { // Each line is one write, so it is whole.
        if (at == 0 || tail[at - 1] == '\n') {
            return strtoull(tail + at, NULL, 10);
        }
    }
    return 0;
}

static void ledger_add(const struct chaos *chaos)
{
    const struct pipit_spool *spool = chaos->config.spool;
    char line[96];
    int len = snprintf(line, sizeof(line), "%" PRIu64 " %" PRIu32 " %" PRIu64 "\n", chaos->n,
                       spool->boot, (uint64_t)spool->next_sequence - 1);
    if (write(chaos->ledger, line, (size_t)len) != len) {
        fail("ledger", PIPIT_ERR_IO);
    }
}

// ---- start --------------------------------------------------------------------------------------

static struct pipit_spool *spool_open(struct chaos *chaos)
{
    static char path[PATH_BYTES];
    if (chaos->is_ram) {
        enum pipit_err rc = pipit_ram_spool_init(&chaos->ram_spool, chaos->spool_memory,
                                                 sizeof(chaos->spool_memory), PIPIT_REFUSE,
                                                 pipit_boot_random(pipit_entropy()));
        if (rc != PIPIT_OK) {
            fail("spool", rc);
        }
        return &chaos->ram_spool.base;
    }
    path_of(chaos, "spool", path);
    struct pipit_file_options options = {.path = path,
                                         .limit_bytes = 1 << 20,
                                         .memory = chaos->spool_memory,
                                         .memory_bytes = 1024,
                                         .entropy = pipit_entropy()};
    enum pipit_err rc = pipit_file_spool_open(&chaos->file_spool, &options);
    if (rc != PIPIT_OK) {
        fail(pipit_file_spool_error(&chaos->file_spool), rc);
    }
    return &chaos->file_spool.base;
}

static struct pipit_transport *transport_open(struct chaos *chaos, const char *port)
{
    pipit_socket_init(&chaos->socket, "127.0.0.1", port);
    if (chaos->is_plain) {
        return &chaos->socket.base;
    }
    chaos->framed_options = (struct pipit_framed_options){
        .wire = &chaos->socket.base,
        .send_memory = chaos->frame_send,
        .send_bytes = sizeof(chaos->frame_send),
        .receive_memory = chaos->frame_receive,
        .receive_bytes = sizeof(chaos->frame_receive),
        .dial_ms = 100,
        .call = (uint16_t)pipit_entropy(),
    };
    enum pipit_err rc = pipit_framed_init(&chaos->framed, &chaos->framed_options);
    if (rc != PIPIT_OK) {
        fail("frames", rc);
    }
    return &chaos->framed.base;
}

static void client_open(struct chaos *chaos, const char *port)
{
    chaos->client_options = (struct pipit_client_options){
        .transport = transport_open(chaos, port),
        .receive_memory = chaos->receive_memory,
        .receive_bytes = sizeof(chaos->receive_memory),
        .send_memory = chaos->send_memory,
        .send_bytes = sizeof(chaos->send_memory),
        .flights = chaos->flights,
        .flights_max = sizeof(chaos->flights) / sizeof(chaos->flights[0]),
        .timeout_s = 2,
    };
    enum pipit_err rc = pipit_client_init(&chaos->client, &chaos->client_options);
    if (rc != PIPIT_OK) {
        fail("client", rc);
    }
}

// Impatient, so that much happens in a minute.
static void device_open(struct chaos *chaos, const char *port)
{
    client_open(chaos, port);
    chaos->config = (struct pipit_config){
        .group = "chaos",
        .device = chaos->device_name,
        .spool = spool_open(chaos),
        .link = &chaos->client.base,
        .buffer = chaos->buffer,
        .buffer_bytes = sizeof(chaos->buffer),
        .seed = pipit_entropy(),
        .keepalive_s = 2,
        .resend_ms = 500,
        .retry_base_ms = 20,
        .retry_cap_ms = 200,
    };
    enum pipit_err rc = pipit_init(&chaos->device, &chaos->config);
    if (rc != PIPIT_OK) {
        fail("device", rc);
    }
    if (chaos->is_ram) {
        chaos->n = ledger_last(chaos);
    } else if (pipit_mark(&chaos->device, &chaos->n) != PIPIT_OK) {
        chaos->n = 0;
    }
}

// ---- run ----------------------------------------------------------------------------------------

// `mix` follows from n, so that a value which was changed on the way is seen.
static enum pipit_err make_reading(struct chaos *chaos)
{
    uint64_t n = chaos->n + 1;
    const struct pipit_field fields[] = {PIPIT_UNSIGNED("n", n),
                                         PIPIT_UNSIGNED("mix", (uint32_t)n * 2654435761u)};
    struct pipit_event_options options = {.mark = n, .has_mark = !chaos->is_ram};
    enum pipit_err rc = pipit_publish_fields(&chaos->device, "reading", fields, 2, &options);
    if (rc == PIPIT_OK) {
        chaos->n = n;
        chaos->made++;
        ledger_add(chaos);
    } else if (rc != PIPIT_ERR_FULL) {
        fail("publish", rc);
    }
    return rc;
}

static uint64_t readings_due(const struct chaos *chaos)
{
    return (uint64_t)(uint32_t)(pipit_now_ms() - chaos->began_at_ms) * chaos->rate / 1000 + 1;
}

static bool has_enough(const struct chaos *chaos)
{
    char path[PATH_BYTES];
    path_of(chaos, "enough", path);
    return access(path, F_OK) == 0;
}

static void step(struct chaos *chaos)
{
    enum pipit_err rc = pipit_poll(&chaos->device, pipit_now_ms());
    if (rc != PIPIT_OK) {
        fail("poll", rc);
    }
    uint32_t next_ms = pipit_next_ms(&chaos->device);
    uint32_t pace_ms = 1000 / chaos->rate + 1;
    pipit_socket_wait(&chaos->socket, next_ms < pace_ms ? next_ms : pace_ms);
}

static void run(struct chaos *chaos)
{
    chaos->began_at_ms = pipit_now_ms();
    while (!has_enough(chaos)) {
        while (chaos->made < readings_due(chaos) && make_reading(chaos) == PIPIT_OK) {
        }
        step(chaos);
    }
    while (pipit_waiting(&chaos->device) > 0) {
        step(chaos);
    }
    pipit_stop(&chaos->device);
    while (!pipit_is_stopped(&chaos->device)) {
        step(chaos);
    }
}

int main(int argc, char **argv)
{
    static struct chaos chaos;
    if (argc < 5 || strtoul(argv[4], NULL, 10) == 0) {
        fprintf(stderr, "usage: chaos-device PORT DEVICE FOLDER RATE [plain] [ram]\n");
        return 2;
    }
    chaos.device_name = argv[2];
    chaos.folder = argv[3];
    chaos.rate = (uint32_t)strtoul(argv[4], NULL, 10);
    for (int i = 5; i < argc; i++) {
        chaos.is_plain |= strcmp(argv[i], "plain") == 0;
        chaos.is_ram |= strcmp(argv[i], "ram") == 0;
    }
    ledger_open(&chaos);
    device_open(&chaos, argv[1]);
    run(&chaos);
    const struct pipit_counters *counters = pipit_counters(&chaos.device);
    printf("last=%" PRIu64 " connects=%" PRIu32 " sent=%" PRIu32 " resent=%" PRIu32
           " bad_frames=%" PRIu32 "\n",
           chaos.n, counters->connects, counters->sent, counters->resent, chaos.framed.bad_frames);
    return chaos.is_ram || pipit_file_spool_close(&chaos.file_spool) == PIPIT_OK ? 0 : 1;
}
