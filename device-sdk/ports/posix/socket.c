#include "pipit/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct pipit_socket *socket_of(struct pipit_transport *transport)
{
    return (struct pipit_socket *)(void *)transport;
}

static bool is_later(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static int32_t result(ssize_t count)
{
    return count >= 0 ? (int32_t)count : is_later(errno) ? 0 : (int32_t)PIPIT_ERR_UNREACHABLE;
}

static size_t at_most(size_t len)
{
    return len < INT32_MAX ? len : INT32_MAX;
}

static int32_t socket_write(struct pipit_transport *transport, const uint8_t *ptr, size_t len)
{
    struct pipit_socket *socket = socket_of(transport);
    int32_t count = result(send(socket->fd, ptr, at_most(len), MSG_NOSIGNAL));
    socket->is_full = count >= 0 && (size_t)count < len;
    return count;
}

static int32_t socket_read(struct pipit_transport *transport, uint8_t *ptr, size_t size)
{
    ssize_t count = size > 0 ? recv(socket_of(transport)->fd, ptr, at_most(size), 0) : 0;
    return count == 0 && size > 0 ? (int32_t)PIPIT_ERR_UNREACHABLE : result(count);
}

// A descriptor that is connecting, or -1.
static int dial(const struct addrinfo *address)
{
    int on = 1;
    int fd = socket(address->ai_family, address->ai_socktype, address->ai_protocol);
    if (fd < 0) {
        return -1;
    }
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); // Packets are small and whole.
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0 && errno != EINPROGRESS) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

// The first address behind those that were tried; an attempt may fail much later.
static void dial_next(struct pipit_socket *socket, const struct addrinfo *addresses)
{
    unsigned index = 0;
    for (const struct addrinfo *a = addresses; a != NULL && socket->fd < 0; a = a->ai_next) {
        if (index++ >= socket->tried) {
            socket->tried = index;
            socket->fd = dial(a);
        }
    }
}

static enum pipit_err dial_begin(struct pipit_socket *socket)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses = NULL;
    if (getaddrinfo(socket->host, socket->port, &hints, &addresses) != 0) {
        return PIPIT_ERR_UNREACHABLE;
    }
    dial_next(socket, addresses);
    if (socket->fd < 0) { // All were tried: from the front.
        socket->tried = 0;
        dial_next(socket, addresses);
    }
    freeaddrinfo(addresses);
    return socket->fd >= 0 ? PIPIT_ERR_BUSY : PIPIT_ERR_UNREACHABLE;
}

static enum pipit_err socket_open(struct pipit_transport *transport, uint32_t now_ms)
{
    struct pipit_socket *socket = socket_of(transport);
    int error = 0;
    socklen_t size = sizeof(error);
    (void)now_ms;
    if (socket->fd < 0) {
        enum pipit_err rc = dial_begin(socket);
        if (rc != PIPIT_ERR_BUSY) {
            return rc;
        }
    }
    struct pollfd fd = {.fd = socket->fd, .events = POLLOUT};
    if (poll(&fd, 1, 0) <= 0) {
        return PIPIT_ERR_BUSY;
    }
    if (getsockopt(socket->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
        return PIPIT_ERR_UNREACHABLE;
    }
    if (!socket->is_open) {
        socket->is_open = true;
        socket->tried--; // It answers: the next connection begins with it.
    }
    return PIPIT_OK;
}

static void socket_close(struct pipit_transport *transport)
{
    struct pipit_socket *socket = socket_of(transport);
    if (socket->fd >= 0) {
        (void)close(socket->fd);
    }
    socket->fd = -1;
    socket->is_open = false;
    socket->is_full = false;
}

static const struct pipit_transport_type socket_type = {
    .write = socket_write,
    .read = socket_read,
    .open = socket_open,
    .close = socket_close,
};

void pipit_socket_init(struct pipit_socket *socket, const char *host, const char *port)
{
    memset(socket, 0, sizeof(*socket));
    socket->base.type = &socket_type;
    socket->host = host;
    socket->port = port;
    socket->fd = -1;
}

int pipit_socket_fd(const struct pipit_socket *socket, bool *out_wants_write)
{
    *out_wants_write = socket->fd >= 0 && (!socket->is_open || socket->is_full);
    return socket->fd;
}

void pipit_socket_wait(const struct pipit_socket *socket, uint32_t timeout_ms)
{
    bool wants_write;
    struct pollfd fd = {.fd = pipit_socket_fd(socket, &wants_write), .events = POLLIN};
    int timeout = timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms;
    if (wants_write) {
        fd.events = POLLIN | POLLOUT;
    }
    (void)poll(&fd, fd.fd >= 0 ? 1 : 0, timeout);
}
