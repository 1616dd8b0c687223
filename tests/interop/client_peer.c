// client_peer - the SDK's own MQTT client, or its paho port, driven line by line. What the link
// says comes out as JSON, one event a line; binary payloads are hexadecimal in both directions.
//
// usage: client_peer own|paho PORT CLIENT-ID [version=5|311] [user=U] [password=P] [clean=0|1]
//                    [expiry=SECONDS] [keepalive=SECONDS] [will-topic=T] [will=TEXT]
//                    [flights=N] [inbound=N] [memory=BYTES]
//
// lines: connect                                   sub TOKEN QOS FILTER
//        pub TOKEN QOS RETAIN TOPIC [HEX]          unsub TOKEN FILTER       (own only)
//        disconnect                                cut                      (own only)
// A line waits while the link is busy. `cut` loses the connection as a dying network does. The
// program ends when its input does.
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pipit/paho.h"
#include "pipit/socket.h"

#define INPUT_MAX   (4u << 20) // Bytes of lines that wait.
#define MEMORY_MAX  (2u << 20)
#define FLIGHTS_MAX 1024u
#define WORDS_MAX   6u
#define STEP_MS     20u

struct peer {
    struct pipit_link *link;
    struct pipit_connect connect;
    struct pipit_bell bell; // paho
    struct pipit_paho paho;
    struct pipit_paho_options paho_options;
    char url[64];
    struct pipit_socket socket; // own
    struct pipit_client client;
    struct pipit_client_options options;
    struct pipit_flight flights[FLIGHTS_MAX];
    uint16_t inbound[FLIGHTS_MAX];
    size_t input_len;
    bool is_input_over;
    bool is_own;
    uint8_t receive_memory[MEMORY_MAX];
    uint8_t send_memory[MEMORY_MAX];
    char input[INPUT_MAX];
};

// ---- what the link says -------------------------------------------------------------------------

static void say(json_t *event)
{
    (void)json_dumpf(event, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    (void)fputc('\n', stdout);
    (void)fflush(stdout);
    json_decref(event);
}

static json_t *hex_of(struct pipit_bytes bytes)
{
    static const char digits[] = "0123456789abcdef";
    char *text = malloc(bytes.len * 2 + 1);
    for (size_t i = 0; i < bytes.len; i++) {
        text[2 * i] = digits[bytes.ptr[i] >> 4];
        text[2 * i + 1] = digits[bytes.ptr[i] & 15];
    }
    json_t *hex = json_stringn(text, bytes.len * 2);
    free(text);
    return hex;
}

// The own client's token of a message holds the packet that answers it.
static int qos_of(const struct peer *peer, uint32_t token)
{
    return !peer->is_own ? -1 : token >> 16 == 0x40 ? 1 : token >> 16 == 0x50 ? 2 : 0;
}

static void say_event(struct peer *peer, const struct pipit_link_event *event)
{
    int rc = event->rc;
    switch (event->kind) {
    case PIPIT_LINK_UP:
        say(json_pack("{ss}", "event", "up"));
        break;
    case PIPIT_LINK_DOWN:
        say(json_pack("{ss si si}", "event", "down", "rc", rc, "reason",
                      peer->is_own ? pipit_client_reason(&peer->client) : -1));
        break;
    case PIPIT_LINK_ACKED:
        say(json_pack("{ss sI si}", "event", "acked", "token", (json_int_t)event->token, "rc", rc));
        break;
    case PIPIT_LINK_MESSAGE:
        say(json_pack("{ss ss% so si si}", "event", "message", "topic",
                      event->topic.len > 0 ? (const char *)event->topic.ptr : "", event->topic.len,
                      "payload", hex_of(event->payload), "qos", qos_of(peer, event->token), "rc",
                      rc));
        break;
    case PIPIT_LINK_NOTHING:
        break;
    }
}

static void take_events(struct peer *peer)
{
    struct pipit_link_event event;
    do {
        memset(&event, 0, sizeof(event));
        peer->link->type->poll(peer->link, pipit_now_ms(), &event);
        say_event(peer, &event);
    } while (event.kind != PIPIT_LINK_NOTHING);
}

// ---- what the lines ask for ---------------------------------------------------------------------

static unsigned nibble(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10) & 15u;
}

// In place.
static struct pipit_bytes unhex(char *text)
{
    struct pipit_bytes bytes = {(const uint8_t *)text, strlen(text) / 2};
    for (size_t i = 0; i < bytes.len; i++) {
        text[i] = (char)(nibble(text[2 * i]) << 4 | nibble(text[2 * i + 1]));
    }
    return bytes;
}

static uint32_t number(const char *text)
{
    return (uint32_t)strtoul(text, NULL, 10);
}

static enum pipit_err publish(struct peer *peer, char **words)
{
    struct pipit_message message = {.topic = words[4], .token = number(words[1])};
    message.qos = (uint8_t)number(words[2]);
    message.is_retained = number(words[3]) != 0;
    message.payload = unhex(words[5]);
    return peer->link->type->publish(peer->link, &message);
}

static enum pipit_err unsubscribe(struct peer *peer, char **words)
{
    return peer->is_own ? pipit_client_unsubscribe(&peer->client, words[2], number(words[1]))
                        : PIPIT_ERR_ARGUMENT;
}

static enum pipit_err cut(struct peer *peer)
{
    bool wants_write;
    int fd = peer->is_own ? pipit_socket_fd(&peer->socket, &wants_write) : -1;
    return shutdown(fd, SHUT_RDWR) == 0 ? PIPIT_OK : PIPIT_ERR_STATE;
}

static enum pipit_err obey(struct peer *peer, char **words)
{
    const struct pipit_link_type *type = peer->link->type;
    if (strcmp(words[0], "connect") == 0) {
        return type->connect(peer->link, &peer->connect);
    }
    if (strcmp(words[0], "pub") == 0) {
        return publish(peer, words);
    }
    if (strcmp(words[0], "sub") == 0) {
        return type->subscribe(peer->link, words[3], (uint8_t)number(words[2]), number(words[1]));
    }
    if (strcmp(words[0], "unsub") == 0) {
        return unsubscribe(peer, words);
    }
    if (strcmp(words[0], "cut") == 0) {
        return cut(peer);
    }
    if (strcmp(words[0], "disconnect") == 0) {
        type->disconnect(peer->link);
        return PIPIT_OK;
    }
    return PIPIT_ERR_UNKNOWN;
}

// Missing words are empty; what is left over belongs to the last.
static void split(char *line, char **words)
{
    for (unsigned i = 0; i < WORDS_MAX; i++) {
        words[i] = line;
        line += strcspn(line, " ");
        if (*line == ' ' && i + 1 < WORDS_MAX) {
            *line++ = '\0';
        }
    }
}

// Does the first line; false when there is none, or when the link is busy and it has to wait.
static bool line_step(struct peer *peer)
{
    char *end = memchr(peer->input, '\n', peer->input_len);
    char *words[WORDS_MAX];
    if (end == NULL) {
        return false;
    }
    size_t len = (size_t)(end - peer->input) + 1;
    char *line = malloc(len);
    memcpy(line, peer->input, len);
    line[len - 1] = '\0';
    split(line, words);
    enum pipit_err rc = obey(peer, words);
    if (rc != PIPIT_OK && rc != PIPIT_ERR_BUSY) {
        say(json_pack("{ss ss si}", "event", "error", "line", words[0], "rc", (int)rc));
    }
    free(line);
    if (rc == PIPIT_ERR_BUSY) {
        return false;
    }
    peer->input_len -= len;
    memmove(peer->input, peer->input + len, peer->input_len);
    return true;
}

static void read_input(struct peer *peer)
{
    size_t room = INPUT_MAX - peer->input_len;
    ssize_t len = room > 0 ? read(STDIN_FILENO, peer->input + peer->input_len, room) : -1;
    if (len > 0) {
        peer->input_len += (size_t)len;
    }
    peer->is_input_over = len == 0;
}

static void wait_for_news(struct peer *peer)
{
    struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
    bool wants_write = false;
    int timeout = STEP_MS;
    fds[0].fd = peer->input_len < INPUT_MAX ? STDIN_FILENO : -1;
    fds[1].fd = peer->is_own ? pipit_socket_fd(&peer->socket, &wants_write) : peer->bell.fds[0];
    if (wants_write) {
        fds[1].events |= POLLOUT;
    }
    if (peer->link->type->next_ms != NULL && peer->link->type->next_ms(peer->link) == 0) {
        timeout = 0;
    }
    if (poll(fds, 2, timeout) > 0 && fds[0].revents != 0) {
        read_input(peer);
    }
    if (!peer->is_own) {
        pipit_bell_wait(&peer->bell, 0); // Silences it.
    }
}

static void run(struct peer *peer)
{
    while (!peer->is_input_over) {
        wait_for_news(peer);
        take_events(peer);
        while (line_step(peer)) {
            take_events(peer);
        }
    }
}

// ---- the beginning ------------------------------------------------------------------------------

static bool take_option(struct peer *peer, char *text)
{
    char *value = strchr(text, '=');
    if (value == NULL) {
        return false;
    }
    *value++ = '\0';
    const struct {
        const char *name;
        const char **text;
    } texts[] = {{"user", &peer->connect.username}, {"will-topic", &peer->connect.will_topic}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(text, texts[i].name) == 0) {
            *texts[i].text = value;
            return true;
        }
    }
    if (strcmp(text, "password") == 0) {
        peer->connect.password = pipit_text(value);
    } else if (strcmp(text, "will") == 0) {
        peer->connect.will = pipit_text(value);
    } else if (strcmp(text, "clean") == 0) {
        peer->connect.is_clean_start = number(value) != 0;
    } else if (strcmp(text, "expiry") == 0) {
        peer->connect.session_expiry_s = number(value);
    } else if (strcmp(text, "keepalive") == 0) {
        peer->connect.keepalive_s = (uint16_t)number(value);
    } else if (strcmp(text, "flights") == 0) {
        peer->options.flights_max = (uint16_t)number(value);
    } else if (strcmp(text, "inbound") == 0) {
        peer->options.inbound_max = (uint16_t)number(value);
    } else if (strcmp(text, "memory") == 0) {
        peer->options.receive_bytes = number(value);
    } else if (strcmp(text, "version") == 0) {
        peer->options.version = strcmp(value, "311") == 0 ? PIPIT_MQTT_311 : PIPIT_MQTT_5;
    } else {
        return false;
    }
    return true;
}

static enum pipit_err open_own(struct peer *peer, const char *port)
{
    pipit_socket_init(&peer->socket, "127.0.0.1", port);
    peer->link = &peer->client.base;
    if (peer->options.flights_max > FLIGHTS_MAX || peer->options.inbound_max > FLIGHTS_MAX ||
        peer->options.receive_bytes > MEMORY_MAX) {
        return PIPIT_ERR_SIZE;
    }
    return pipit_client_init(&peer->client, &peer->options);
}

static enum pipit_err open_paho(struct peer *peer, const char *port)
{
    enum pipit_err rc = pipit_bell_open(&peer->bell);
    (void)snprintf(peer->url, sizeof(peer->url), "mqtt://127.0.0.1:%s", port);
    peer->paho_options.url = peer->url;
    peer->paho_options.bell = &peer->bell;
    peer->paho_options.version = peer->options.version;
    peer->link = &peer->paho.base;
    return rc == PIPIT_OK ? pipit_paho_open(&peer->paho, &peer->paho_options) : rc;
}

int main(int argc, char **argv)
{
    static struct peer peer;
    bool is_known = argc > 3;
    peer.is_own = argc > 1 && strcmp(argv[1], "own") == 0;
    peer.options = (struct pipit_client_options){
        .transport = &peer.socket.base,
        .receive_memory = peer.receive_memory,
        .send_memory = peer.send_memory,
        .receive_bytes = 65536,
        .send_bytes = MEMORY_MAX,
        .flights = peer.flights,
        .flights_max = 16,
        .inbound = peer.inbound,
        .inbound_max = FLIGHTS_MAX, // 3.1.1 brokers know no limit.
    };
    peer.connect = (struct pipit_connect){.keepalive_s = 30, .is_clean_start = true};
    for (int i = 4; i < argc; i++) {
        is_known = is_known && take_option(&peer, argv[i]);
    }
    if (!is_known || (!peer.is_own && strcmp(argv[1], "paho") != 0)) {
        (void)fprintf(stderr, "usage: client_peer own|paho PORT CLIENT-ID [option=value]...\n");
        return 2;
    }
    peer.connect.client_id = argv[3];
    enum pipit_err rc = peer.is_own ? open_own(&peer, argv[2]) : open_paho(&peer, argv[2]);
    if (rc != PIPIT_OK) {
        (void)fprintf(stderr, "client_peer: %s\n", pipit_err_text(rc));
        return 1;
    }
    run(&peer);
    if (!peer.is_own) {
        pipit_paho_close(&peer.paho);
        pipit_bell_close(&peer.bell);
    }
    return 0;
}
