#include "link.h"

#include <pipit/client.h>
#include <pipit/socket.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define LINKS_MAX   64u
#define PACKET_MAX  1024u
#define FLIGHTS_MAX 16u

struct link {
    struct pipit_socket socket;
    struct pipit_client client;
    struct pipit_client_options options;
    struct pipit_flight flights[FLIGHTS_MAX];
    uint8_t received[PACKET_MAX];
    uint8_t sending[2 * PACKET_MAX];
    char host[256];
    char port[6];
};

static struct link *links[LINKS_MAX];
static unsigned links_count;

// mqtt://host[:port], mqtt://[v6][:port]
static bool url_split(const char *url, struct link *link)
{
    char tail[2];
    bool has_brackets = strncmp(url, "mqtt://[", 8) == 0;
    (void)strcpy(link->port, "1883");
    if (strncmp(url, "mqtt://", 7) != 0) {
        return false;
    }
    int count = has_brackets
                    ? sscanf(url, "mqtt://[%255[^]/]]:%5[0-9]%1s", link->host, link->port, tail)
                    : sscanf(url, "mqtt://%255[^:/]:%5[0-9]%1s", link->host, link->port, tail);
    return count == 1 || count == 2;
}

struct link *link_create(const char *url)
{
    struct link *link = links_count < LINKS_MAX ? calloc(1, sizeof(*link)) : NULL;
    if (link == NULL) {
        (void)fprintf(stderr, "gateway: out of memory, or more than %u sensors\n", LINKS_MAX);
        return NULL;
    }
    if (!url_split(url, link)) {
        (void)fprintf(stderr, "gateway: %s: the SDK's own client takes mqtt://host[:port]\n", url);
        free(link);
        return NULL;
    }
    pipit_socket_init(&link->socket, link->host, link->port);
    link->options = (struct pipit_client_options){.transport = &link->socket.base,
                                                  .receive_memory = link->received,
                                                  .receive_bytes = sizeof(link->received),
                                                  .send_memory = link->sending,
                                                  .send_bytes = sizeof(link->sending),
                                                  .flights = link->flights,
                                                  .flights_max = FLIGHTS_MAX};
    if (pipit_client_init(&link->client, &link->options) != PIPIT_OK) {
        free(link);
        return NULL;
    }
    links[links_count++] = link;
    return link;
}

void link_destroy(struct link *link)
{
    for (unsigned i = 0; link != NULL && i < links_count; i++) {
        if (links[i] == link) {
            links[i] = links[--links_count];
        }
    }
    if (link != NULL) {
        link->socket.base.type->close(&link->socket.base);
    }
    free(link);
}

struct pipit_link *link_base(struct link *link)
{
    return &link->client.base;
}

void link_error(struct link *link, char *text, size_t text_bytes)
{
    uint8_t reason = pipit_client_reason(&link->client);
    if (reason != 0) {
        (void)snprintf(text, text_bytes, "broker %s:%s: reason 0x%02X", link->host, link->port,
                       reason);
    } else {
        (void)snprintf(text, text_bytes, "broker %s:%s", link->host, link->port);
    }
}

void link_wait(uint32_t timeout_ms)
{
    struct pollfd fds[LINKS_MAX];
    for (unsigned i = 0; i < links_count; i++) {
        bool wants_write;
        fds[i].fd = pipit_socket_fd(&links[i]->socket, &wants_write); // -1 is passed over.
        fds[i].events = wants_write ? POLLIN | POLLOUT : POLLIN;
    }
    (void)poll(fds, links_count, (int)timeout_ms);
}
