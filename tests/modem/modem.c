// modem - the program: sockets, signals, and the one loop.
#define _GNU_SOURCE // ppoll
#include "modem.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"

static volatile sig_atomic_t is_stopping;

static void on_signal(int number)
{
    (void)number;
    is_stopping = 1;
}

void modem_log(const struct modem *modem, const char *id, const char *format, ...)
{
    char text[512];
    va_list arguments;
    if (!modem->options.is_verbose) {
        return;
    }
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fprintf(stderr, "level=info at=modem id=%s %s\n", id, text);
}

// ---- what the loop waits for --------------------------------------------------------------------

enum { AT_DEVICE_LISTENER, AT_CONTROL_LISTENER, AT_DEVICE, AT_BROKER, AT_GHOSTS };
enum { AT_CONTROLS = AT_GHOSTS + (int)GHOSTS_MAX };

static short device_events(const struct modem *modem)
{
    bool is_read = modem->flow != FLOW_STALLED && line_room(&modem->up) > 0;
    return (short)((is_read ? POLLIN : 0) | (modem->is_device_blocked ? POLLOUT : 0));
}

static short broker_events(const struct modem *modem)
{
    bool is_write = modem->state == CALL_DIALLING || modem->is_broker_blocked;
    return (short)((broker_wants_read(modem) ? POLLIN : 0) | (is_write ? POLLOUT : 0));
}

// A socket of which nothing is wanted is left out: its end would wake the loop over and over.
static struct pollfd wanted(int fd, short events)
{
    return (struct pollfd){.fd = events != 0 ? fd : -1, .events = events};
}

static void prepare(const struct modem *modem, struct pollfd polls[MODEM_POLL_MAX])
{
    polls[AT_DEVICE_LISTENER] = wanted(modem->device_listener, POLLIN);
    polls[AT_CONTROL_LISTENER] = wanted(modem->control_listener, POLLIN);
    polls[AT_DEVICE] = wanted(modem->device, device_events(modem));
    polls[AT_BROKER] = wanted(modem->broker, broker_events(modem));
    for (unsigned i = 0; i < GHOSTS_MAX; i++) {
        polls[(unsigned)AT_GHOSTS + i] = wanted(modem->ghosts[i], POLLIN);
    }
    for (unsigned i = 0; i < CONTROLS_MAX; i++) {
        polls[(unsigned)AT_CONTROLS + i] = wanted(modem->controls[i].fd, POLLIN);
    }
}

// The only place where the modem sleeps. False: a signal came.
static bool rest(struct modem *modem, struct pollfd polls[MODEM_POLL_MAX], const sigset_t *signals)
{
    uint64_t due_ms = device_due_ms(modem), call_ms = call_due_ms(modem);
    struct timespec timeout = {0};
    due_ms = call_ms < due_ms ? call_ms : due_ms;
    if (due_ms > modem->now_ms && due_ms != UINT64_MAX) {
        timeout.tv_sec = (time_t)((due_ms - modem->now_ms) / 1000);
        timeout.tv_nsec = (long)((due_ms - modem->now_ms) % 1000 * 1000000);
    }
    int count = ppoll(polls, MODEM_POLL_MAX, due_ms == UINT64_MAX ? NULL : &timeout, signals);
    if (count < 0) {
        for (unsigned i = 0; i < MODEM_POLL_MAX; i++) {
            polls[i].revents = 0;
        }
    }
    modem->now_ms = net_now_ms();
    return is_stopping == 0;
}

// ---- the loop -----------------------------------------------------------------------------------

static void serve_device(struct modem *modem, const struct pollfd *poll_device)
{
    if (modem->device != poll_device->fd) {
        return; // Closed meanwhile.
    }
    if ((poll_device->revents & POLLOUT) != 0) {
        modem->is_device_blocked = false;
    }
    if ((poll_device->revents & (POLLIN | POLLHUP | POLLERR)) != 0 &&
        (poll_device->events & POLLIN) != 0) {
        device_readable(modem);
    } else if ((poll_device->revents & (POLLHUP | POLLERR)) != 0) {
        modem->is_device_blocked = false; // Its next write says what is wrong.
    }
}

static void serve_broker(struct modem *modem, const struct pollfd *poll_broker)
{
    if (modem->broker != poll_broker->fd || poll_broker->revents == 0) {
        return;
    }
    modem->is_broker_blocked = false;
    if (modem->state == CALL_DIALLING) {
        call_connected(modem);
    } else if ((poll_broker->revents & (POLLIN | POLLHUP | POLLERR)) != 0 &&
               (poll_broker->events & POLLIN) != 0) {
        broker_readable(modem);
    }
}

static void serve(struct modem *modem, const struct pollfd polls[MODEM_POLL_MAX])
{
    bool is_silent = modem->device >= 0 && modem->device == polls[AT_DEVICE].fd &&
                     polls[AT_DEVICE].events != 0 && polls[AT_DEVICE].revents == 0;
    for (unsigned i = 0; i < CONTROLS_MAX; i++) {
        if (polls[(unsigned)AT_CONTROLS + i].revents != 0) {
            control_readable(modem, &modem->controls[i]);
        }
    }
    for (unsigned i = 0; i < GHOSTS_MAX; i++) {
        const struct pollfd *ghost = &polls[(unsigned)AT_GHOSTS + i];
        if (ghost->revents != 0 && modem->ghosts[i] == ghost->fd) {
            broker_ghost_readable(&modem->ghosts[i]);
        }
    }
    serve_device(modem, &polls[AT_DEVICE]);
    serve_broker(modem, &polls[AT_BROKER]);
    if (polls[AT_CONTROL_LISTENER].revents != 0) {
        control_accept(modem);
    }
    if (polls[AT_DEVICE_LISTENER].revents != 0) {
        device_accept(modem);
        is_silent = false;
    }
    device_pump(modem);
    call_tick(modem, is_silent && modem->up.len == 0);
    broker_write(modem);
}

static void loop(struct modem *modem, const sigset_t *signals)
{
    struct pollfd polls[MODEM_POLL_MAX];
    modem->now_ms = net_now_ms();
    do {
        prepare(modem, polls);
        if (!rest(modem, polls, signals)) {
            return;
        }
        serve(modem, polls);
    } while (true);
}

// ---- start and end ------------------------------------------------------------------------------

static bool listen_control(struct modem *modem)
{
    const char *where = modem->options.control;
    if (where == NULL) {
        return true;
    }
    char *end = NULL;
    unsigned long port = strtoul(where, &end, 10);
    bool is_port = where[0] != '\0' && *end == '\0' && port <= UINT16_MAX;
    if (is_port) {
        modem->control_listener = net_listen((uint16_t)port, &modem->control_port);
    } else {
        modem->control_listener = net_listen_path(where);
    }
    if (modem->control_listener < 0) {
        fprintf(stderr, "modem: control socket %s: %s\n", where, strerror(errno));
        return false;
    }
    return true;
}

static bool start(struct modem *modem)
{
    modem->device_listener = net_listen(modem->options.listen, &modem->device_port);
    if (modem->device_listener < 0) {
        fprintf(stderr, "modem: listen on 127.0.0.1:%u: %s\n", modem->options.listen,
                strerror(errno));
        return false;
    }
    if (!listen_control(modem)) {
        return false;
    }
    printf("device=%u", modem->device_port);
    if (modem->control_port != 0) {
        printf(" control=%u", modem->control_port);
    } else if (modem->options.control != NULL) {
        printf(" control=%s", modem->options.control);
    }
    printf("\n");
    return fflush(stdout) == 0;
}

static void stop(struct modem *modem)
{
    bool is_path_ours = modem->control_listener >= 0 && modem->control_port == 0;
    net_close(&modem->device_listener);
    net_close(&modem->control_listener);
    net_close(&modem->device);
    net_close(&modem->broker);
    for (size_t i = 0; i < GHOSTS_MAX; i++) {
        net_close(&modem->ghosts[i]);
    }
    for (size_t i = 0; i < CONTROLS_MAX; i++) {
        net_close(&modem->controls[i].fd);
    }
    if (is_path_ours) {
        (void)remove(modem->options.control);
    }
}

static void init(struct modem *modem)
{
    modem->device_listener = -1;
    modem->control_listener = -1;
    modem->device = -1;
    modem->broker = -1;
    for (size_t i = 0; i < GHOSTS_MAX; i++) {
        modem->ghosts[i] = -1;
    }
    control_init(modem);
    modem->up.faults = modem->options.up;
    modem->down.faults = modem->options.down;
    // Each direction has chance of its own, so that one does not move the other.
    modem->up.random.state = modem->options.seed;
    modem->down.random.state = ~modem->options.seed;
    pipit_frame_reader_init(&modem->reader, modem->body, sizeof(modem->body));
}

// Signals come only while the loop sleeps; `out_during` is what is blocked then.
static void catch_signals(sigset_t *out_during)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t blocked;
    (void)sigemptyset(&blocked);
    (void)sigaddset(&blocked, SIGTERM);
    (void)sigaddset(&blocked, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &blocked, out_during);
    (void)sigdelset(out_during, SIGTERM);
    (void)sigdelset(out_during, SIGINT);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
}

int main(int argc, char **argv)
{
    static struct modem modem;
    sigset_t during;
    switch (options_parse(&modem.options, argc, argv)) {
    case OPTIONS_HELP:
        return 0;
    case OPTIONS_WRONG:
        return 2;
    case OPTIONS_RUN:
        break;
    }
    init(&modem);
    catch_signals(&during);
    bool is_started = start(&modem);
    if (is_started) {
        loop(&modem, &during);
    }
    stop(&modem);
    return is_started ? 0 : 1;
}
