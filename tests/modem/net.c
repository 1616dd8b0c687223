#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void prepare(int fd)
{
    int one = 1;
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); // Not on unix sockets.
}

static int listen_at(int fd, const struct sockaddr *address, socklen_t len)
{
    if (fd < 0) {
        return -1;
    }
    prepare(fd);
    if (bind(fd, address, len) != 0 || listen(fd, 16) != 0) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

int net_listen(uint16_t port, uint16_t *out_port)
{
    struct sockaddr_in address = loopback(port);
    socklen_t len = sizeof(address);
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    }
    fd = listen_at(fd, (const struct sockaddr *)&address, len);
    if (fd >= 0 && getsockname(fd, (struct sockaddr *)&address, &len) == 0) {
        *out_port = ntohs(address.sin_port);
    }
    return fd;
}

int net_listen_path(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat file;
    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (lstat(path, &file) == 0 && S_ISSOCK(file.st_mode)) {
        (void)unlink(path);
    }
    return listen_at(socket(AF_UNIX, SOCK_STREAM, 0), (const struct sockaddr *)&address,
                     sizeof(address));
}

int net_accept(int listener)
{
    int fd = accept(listener, NULL, NULL);
    if (fd >= 0) {
        prepare(fd);
    }
    return fd;
}

int net_connect(uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) {
        return -1;
    }
    prepare(fd);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 &&
        errno != EINPROGRESS) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

// Where nobody listens, a connection to a port of the range that is given out can meet itself.
static bool is_with_itself(int fd)
{
    struct sockaddr_in own = {0}, peer = {0};
    socklen_t own_len = sizeof(own), peer_len = sizeof(peer);
    return getsockname(fd, (struct sockaddr *)&own, &own_len) == 0 &&
           getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 &&
           own.sin_port == peer.sin_port;
}

int net_connected(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        return errno;
    }
    return error == 0 && is_with_itself(fd) ? ECONNREFUSED : error;
}

void net_close(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

uint64_t net_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
