// The socket transport against listeners of the test, with names that the test looks up.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "pipit/socket.h"

#define CALLERS     16 // More than the queue of a listener that never accepts.
#define DEADLINE_MS 5000
#define STEP_NS     1000000

static struct sockaddr_in places[2];
static struct addrinfo found[2];

// In place of the C library's.
int getaddrinfo(const char *restrict name, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict out_found)
{
    (void)name;
    (void)service;
    (void)hints;
    for (size_t i = 0; i < 2; i++) {
        found[i] = (struct addrinfo){.ai_family = AF_INET,
                                     .ai_socktype = SOCK_STREAM,
                                     .ai_addr = (struct sockaddr *)&places[i],
                                     .ai_addrlen = sizeof(places[i]),
                                     .ai_next = i == 0 ? &found[1] : NULL};
    }
    *out_found = found;
    return 0;
}

void freeaddrinfo(struct addrinfo *addresses)
{
    (void)addresses;
}

static int listen_at(struct sockaddr_in *out_place, int backlog)
{
    struct sockaddr_in place = {.sin_family = AF_INET};
    socklen_t len = sizeof(place);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&place, len), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&place, &len), 0);
    *out_place = place;
    return fd;
}

static void call(int callers[CALLERS], const struct sockaddr_in *place)
{
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = socket(AF_INET, SOCK_STREAM, 0);
        (void)fcntl(callers[i], F_SETFL, O_NONBLOCK);
        (void)connect(callers[i], (const struct sockaddr *)place, sizeof(*place));
    }
}

// Opens for at most so long; the last answer.
static enum pipit_err open_for(struct pipit_socket *socket, int limit_ms)
{
    const struct timespec step = {.tv_nsec = STEP_NS};
    struct pipit_transport *transport = &socket->base;
    enum pipit_err rc = transport->type->open(transport, 0);
    for (int i = 0; rc == PIPIT_ERR_BUSY && i < limit_ms; i++) {
        (void)nanosleep(&step, NULL);
        rc = transport->type->open(transport, 0);
    }
    return rc;
}

// A name whose first address leads nowhere (IPv6 without a route, most often) is reached.
static void test_address_that_does_not_answer(void **state)
{
    int callers[CALLERS];
    struct pipit_socket transport;
    (void)state;
    int mute = listen_at(&places[0], 0);
    int broker = listen_at(&places[1], CALLERS);
    call(callers, &places[0]);
    pipit_socket_init(&transport, "broker", "1883");
    assert_int_equal(open_for(&transport, 20), PIPIT_ERR_BUSY);
    for (int i = 0; i < 3; i++) { // And from then on it is taken at once.
        transport.base.type->close(&transport.base);
        assert_int_equal(open_for(&transport, DEADLINE_MS), PIPIT_OK);
    }
    transport.base.type->close(&transport.base);
    for (int i = 0; i < CALLERS; i++) {
        (void)close(callers[i]);
    }
    (void)close(broker);
    (void)close(mute);
}

static void test_only_address_is_tried_again(void **state)
{
    struct pipit_socket transport;
    (void)state;
    (void)close(listen_at(&places[0], 1)); // Nobody listens on either.
    places[1] = places[0];
    pipit_socket_init(&transport, "broker", "1883");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(open_for(&transport, DEADLINE_MS), PIPIT_ERR_UNREACHABLE);
        transport.base.type->close(&transport.base);
    }
    int broker = listen_at(&places[0], CALLERS);
    places[1] = places[0];
    assert_int_equal(open_for(&transport, DEADLINE_MS), PIPIT_OK);
    transport.base.type->close(&transport.base);
    (void)close(broker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address_that_does_not_answer),
        cmocka_unit_test(test_only_address_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
