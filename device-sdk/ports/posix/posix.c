#include "pipit/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint32_t pipit_now_ms(void)
{
    return (uint32_t)clock_ms(CLOCK_MONOTONIC);
}

uint64_t pipit_wall_ms(void *context)
{
    (void)context;
    return clock_ms(CLOCK_REALTIME);
}

uint32_t pipit_entropy(void)
{
    uint32_t bits = 0;
    while (getrandom(&bits, sizeof(bits), 0) != (ssize_t)sizeof(bits)) {
        if (errno != EINTR) { // A kernel without the call: the best that is left.
            return (uint32_t)(clock_ms(CLOCK_REALTIME) * 2654435761u) ^ (uint32_t)getpid();
        }
    }
    return bits;
}

enum pipit_err pipit_bell_open(struct pipit_bell *bell)
{
    bell->fds[0] = -1;
    bell->fds[1] = -1;
    if (pipe(bell->fds) != 0) {
        return PIPIT_ERR_IO;
    }
    for (int i = 0; i < 2; i++) {
        (void)fcntl(bell->fds[i], F_SETFL, O_NONBLOCK);
        (void)fcntl(bell->fds[i], F_SETFD, FD_CLOEXEC);
    }
    return PIPIT_OK;
}

void pipit_bell_close(struct pipit_bell *bell)
{
    for (int i = 0; i < 2; i++) {
        if (bell->fds[i] >= 0) {
            (void)close(bell->fds[i]);
            bell->fds[i] = -1;
        }
    }
}

void pipit_bell_ring(struct pipit_bell *bell)
{
    ssize_t written = write(bell->fds[1], "!", 1); // A full pipe rings already.
    (void)written;
}

void pipit_bell_wait(struct pipit_bell *bell, uint32_t timeout_ms)
{
    struct pollfd fd = {.fd = bell->fds[0], .events = POLLIN};
    int timeout = timeout_ms > 0x7FFFFFFFu ? 0x7FFFFFFF : (int)timeout_ms;
    if (poll(&fd, 1, timeout) > 0) {
        char drained[256];
        while (read(bell->fds[0], drained, sizeof(drained)) == (ssize_t)sizeof(drained)) {
        }
    }
}
