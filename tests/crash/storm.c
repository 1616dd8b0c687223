// storm - many devices in one process, each with the SDK's own client and a TCP connection of its
// own, for watching when they connect. Each accepts an event whenever it is told to.
//
// usage: storm PORT COUNT BASE-MS CAP-MS RESET-MS SEED-STEP
//   BASE-MS, CAP-MS, RESET-MS   retry_base_ms, retry_cap_ms and retry_reset_ms of each device
//   SEED-STEP                   how far the devices' seeds lie apart; 0: entropy for each
//
// lines in:  "publish" one event of each device; "say WORD"; the end of input ends it
// lines out: "MS try N", "MS up N", "MS down N" of device N; "MS settled" when no event waits any
//            more after a publish; "MS WORD"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "pipit/posix.h"
#include "pipit/socket.h"

#define DEVICES_MAX  2000u
#define DESCRIPTORS  64u // Beside the connections.
#define IDLE_MAX_MS  1000u
#define LINE_MAX_LEN 256u

struct node {
    struct pipit_transport watched; // The socket, with its attempts noted.
    struct pipit_socket socket;
    struct pipit_client client;
    struct pipit_client_options options;
    struct pipit_flight flights[8];
    struct pipit_ram_spool spool;
    struct pipit_config config;
    struct pipit_device device;
    uint32_t due_ms;
    uint32_t connects;
    bool is_trying;
    bool was_up;
    char name[16];
    uint8_t ring[4096], buffer[256], send_memory[512], receive_memory[256];
};

static struct node nodes[DEVICES_MAX];
static unsigned nodes_count;
static uint32_t began_ms;
static bool is_settling;

static void say(const char *what, const struct node *node)
{
    uint32_t at = pipit_now_ms() - began_ms;
    if (node != NULL) {
        (void)printf("%u %s %u\n", at, what, (unsigned)(node - nodes));
    } else {
        (void)printf("%u %s\n", at, what);
        (void)fflush(stdout);
    }
}

static void fail(const char *what, enum pipit_err rc)
{
    (void)fprintf(stderr, "storm: %s: %s\n", what, pipit_err_text(rc));
    exit(1);
}

// ---- a transport that notes each attempt to connect ---------------------------------------------

static struct node *node_of(struct pipit_transport *transport)
{
    return (struct node *)(void *)transport; // `watched` is its first member.
}

static int32_t node_write(struct pipit_transport *transport, const uint8_t *ptr, size_t len)
{
    struct pipit_transport *socket = &node_of(transport)->socket.base;
    return socket->type->write(socket, ptr, len);
}

static int32_t node_read(struct pipit_transport *transport, uint8_t *ptr, size_t size)
{
    struct pipit_transport *socket = &node_of(transport)->socket.base;
    return socket->type->read(socket, ptr, size);
}

static enum pipit_err node_open(struct pipit_transport *transport, uint32_t now_ms)
{
    struct node *node = node_of(transport);
    if (!node->is_trying) {
        node->is_trying = true;
        say("try", node);
    }
    return node->socket.base.type->open(&node->socket.base, now_ms);
}

static void node_close(struct pipit_transport *transport)
{
    struct node *node = node_of(transport);
    node->is_trying = false;
    node->socket.base.type->close(&node->socket.base);
}

static const struct pipit_transport_type watched_type = {
    .write = node_write, .read = node_read, .open = node_open, .close = node_close};

// ---- a device -----------------------------------------------------------------------------------

static void node_start(struct node *node, const char *port, const struct pipit_config *like)
{
    (void)snprintf(node->name, sizeof(node->name), "n%u", (unsigned)(node - nodes));
    node->watched.type = &watched_type;
    pipit_socket_init(&node->socket, "127.0.0.1", port);
    node->options = (struct pipit_client_options){.transport = &node->watched,
                                                  .receive_memory = node->receive_memory,
                                                  .receive_bytes = sizeof(node->receive_memory),
                                                  .send_memory = node->send_memory,
                                                  .send_bytes = sizeof(node->send_memory),
                                                  .flights = node->flights,
                                                  .flights_max = 8};
    enum pipit_err rc = pipit_client_init(&node->client, &node->options);
    if (rc == PIPIT_OK) {
        rc = pipit_ram_spool_init(&node->spool, node->ring, sizeof(node->ring), PIPIT_REFUSE,
                                  pipit_boot_random(pipit_entropy()));
    }
    node->config = *like;
    node->config.group = "storm";
    node->config.device = node->name;
    node->config.spool = &node->spool.base;
    node->config.link = &node->client.base;
    node->config.buffer = node->buffer;
    node->config.buffer_bytes = sizeof(node->buffer);
    node->config.seed =
        like->seed == 0 ? pipit_entropy() : (uint32_t)(node - nodes + 1) * like->seed;
    if (rc == PIPIT_OK) {
        rc = pipit_init(&node->device, &node->config);
    }
    if (rc != PIPIT_OK) {
        fail(node->name, rc);
    }
}

static void node_poll(struct node *node)
{
    uint32_t now_ms = pipit_now_ms();
    enum pipit_err rc = pipit_poll(&node->device, now_ms);
    if (rc != PIPIT_OK) {
        fail(node->name, rc);
    }
    node->due_ms = now_ms + pipit_next_ms(&node->device);
    if (pipit_counters(&node->device)->connects != node->connects) {
        node->connects = pipit_counters(&node->device)->connects;
        node->was_up = true;
        say("up", node);
    }
    if (node->was_up && !node->is_trying) { // Its transport has been closed.
        node->was_up = false;
        say("down", node);
    }
}

// ---- all of them --------------------------------------------------------------------------------

static void publish(void)
{
    static uint64_t number;
    number++;
    for (unsigned i = 0; i < nodes_count; i++) {
        enum pipit_err rc = pipit_publish(&nodes[i].device, "wave", PIPIT_UNSIGNED("wave", number));
        if (rc != PIPIT_OK) {
            fail("publish", rc);
        }
        nodes[i].due_ms = pipit_now_ms();
    }
    is_settling = true;
}

// False at the end of the input.
static bool obey(void)
{
    char lines[LINE_MAX_LEN + 1];
    ssize_t len = read(STDIN_FILENO, lines, LINE_MAX_LEN);
    lines[len > 0 ? len : 0] = '\0';
    for (char *line = strtok(lines, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strcmp(line, "publish") == 0) {
            publish();
        } else if (strncmp(line, "say ", 4) == 0) {
            say(line + 4, NULL);
        }
    }
    return len > 0 || (len < 0 && errno == EINTR);
}

static int ms_until_due(void)
{
    uint32_t now_ms = pipit_now_ms();
    int32_t first = IDLE_MAX_MS;
    for (unsigned i = 0; i < nodes_count; i++) {
        int32_t left = (int32_t)(nodes[i].due_ms - now_ms);
        first = left < first ? left : first;
    }
    return first > 0 ? first : 0;
}

static void settle(void)
{
    unsigned waiting = 0;
    for (unsigned i = 0; i < nodes_count; i++) {
        waiting += pipit_waiting(&nodes[i].device);
    }
    if (is_settling && waiting == 0) {
        is_settling = false;
        say("settled", NULL);
    }
}

static void run(void)
{
    static struct pollfd fds[DEVICES_MAX + 1];
    bool wants_write;
    do {
        for (unsigned i = 0; i < nodes_count; i++) {
            fds[i].fd = pipit_socket_fd(&nodes[i].socket, &wants_write);
            fds[i].events = wants_write ? POLLIN | POLLOUT : POLLIN;
        }
        fds[nodes_count] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
        (void)poll(fds, nodes_count + 1, ms_until_due());
        for (unsigned i = 0; i < nodes_count; i++) {
            if (fds[i].revents != 0 || (int32_t)(nodes[i].due_ms - pipit_now_ms()) <= 0) {
                node_poll(&nodes[i]);
            }
        }
        settle();
        (void)fflush(stdout);
    } while (fds[nodes_count].revents == 0 || obey());
}

static void raise_descriptors(void)
{
    struct rlimit limit;
    rlim_t wanted = nodes_count + DESCRIPTORS;
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = wanted;
        limit.rlim_max = limit.rlim_max < wanted ? wanted : limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            (void)fprintf(stderr, "storm: %u descriptors are needed: raise `ulimit -n`\n",
                          (unsigned)wanted);
            exit(1);
        }
    }
}

static uint32_t number(const char *text)
{
    return (uint32_t)strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
    if (argc != 7 || number(argv[2]) == 0 || number(argv[2]) > DEVICES_MAX) {
        (void)fprintf(stderr, "usage: storm PORT COUNT BASE-MS CAP-MS RESET-MS SEED-STEP\n");
        return 2;
    }
    struct pipit_config like = {.retry_base_ms = number(argv[3]),
                                .retry_cap_ms = number(argv[4]),
                                .retry_reset_ms = number(argv[5]),
                                .seed = number(argv[6])};
    nodes_count = number(argv[2]);
    began_ms = pipit_now_ms();
    raise_descriptors();
    for (unsigned i = 0; i < nodes_count; i++) {
        node_start(&nodes[i], argv[1], &like);
        nodes[i].due_ms = began_ms;
    }
    run();
    for (unsigned i = 0; i < nodes_count; i++) {
        nodes[i].socket.base.type->close(&nodes[i].socket.base);
    }
    return 0;
}
