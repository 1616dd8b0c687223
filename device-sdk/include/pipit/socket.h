// socket.h - a TCP connection as a transport for the SDK's own client, on POSIX sockets.
// Threads:   as in pipit.h.
// Ownership: host and port are borrowed for the socket's life; it holds one descriptor while open.
// Failure:   enum pipit_err. Names are looked up when connecting, which may block.
#ifndef PIPIT_SOCKET_H
#define PIPIT_SOCKET_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pipit_socket {
    struct pipit_transport base; // Hand &socket.base to pipit_client_options.
    const char *host;            // private from here
    const char *port;
    int fd;
    unsigned tried; // Of the host's addresses: so many from the front did not answer.
    bool is_full;   // The kernel has not taken all that was written.
    bool is_open;
};

// `port` is a number or a service's name. Opens nothing yet. Of several addresses of the host each
// attempt to connect takes the next, and one that has answered is taken again.
void pipit_socket_init(struct pipit_socket *socket, const char *host, const char *port);
// Sleeps until the connection has news for pipit_poll, or the time is over.
void pipit_socket_wait(const struct pipit_socket *socket, uint32_t timeout_ms);
// For programs with their own poll(): the descriptor, -1 while there is none, and whether news is
// also that it takes bytes.
int pipit_socket_fd(const struct pipit_socket *socket, bool *out_wants_write);

#ifdef __cplusplus
}
#endif

#endif
