// What the http connector does beyond the conformance suite, against a peer that plays a script.
// The rest of it is in tests/integration/test_http.py.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "connectors/types.h"
#include "delivery_support.h"

#define CALLS       2
#define DEADLINE_MS 10000

// A server with a call on each of its connections. It answers the first; the others are answered
// when the connector has told the desk of that.
struct scene {
    int listener, stop_fd;
    pthread_t thread;
    pthread_mutex_t mutex;
    int calls[CALLS];
    uint32_t answered_count;
};

static void answer_call(int fd)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    int unread = 1;
    assert_int_equal(send(fd, ok, strlen(ok), MSG_NOSIGNAL), strlen(ok));
    while (unread > 0) { // Until it lies there for the other side to read.
        assert_true(clock_monotonic_ms() < deadline_ms);
        assert_int_equal(ioctl(fd, SIOCOUTQ, &unread), 0);
    }
}

static void read_call(int fd)
{
    char byte = '\0';
    while (byte != '}') { // Ends its payload.
        assert_int_equal(recv(fd, &byte, 1, 0), 1);
    }
}

static void *serve(void *context)
{
    struct scene *scene = context;
    close(accept(scene->listener, NULL, NULL)); // It only sees whether somebody is there.
    pthread_mutex_lock(&scene->mutex);
    for (int i = 0; i < CALLS; i++) {
        scene->calls[i] = accept(scene->listener, NULL, NULL);
        read_call(scene->calls[i]);
    }
    pthread_mutex_unlock(&scene->mutex);
    answer_call(scene->calls[0]);
    return NULL;
}

static void on_answered(void *context, uint32_t place)
{
    struct scene *scene = context;
    (void)place;
    if (scene->answered_count++ > 0) {
        return;
    }
    pthread_mutex_lock(&scene->mutex);
    for (int i = 1; i < CALLS; i++) {
        answer_call(scene->calls[i]);
    }
    pthread_mutex_unlock(&scene->mutex);
    assert_int_equal(eventfd_write(scene->stop_fd, 1), 0);
}

static bool no_more(void *context, uint32_t *out_place)
{
    (void)context;
    (void)out_place;
    return false;
}

static struct options *scene_start(struct scene *scene)
{
    char url[64];
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    scene->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(scene->listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(scene->listener, 10), 0);
    assert_int_equal(getsockname(scene->listener, (struct sockaddr *)&at, &len), 0);
    scene->stop_fd = eventfd(0, EFD_CLOEXEC);
    pthread_mutex_init(&scene->mutex, NULL);
    assert_int_equal(pthread_create(&scene->thread, NULL, serve, scene), 0);
    struct options *options = options_create(connector_http.options);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", ntohs(at.sin_port));
    assert_int_equal(options_set(options, "url", url, NULL), ERR_OK);
    return options;
}

static void scene_end(struct scene *scene, struct options *options)
{
    pthread_join(scene->thread, NULL);
    for (int i = 0; i < CALLS; i++) {
        close(scene->calls[i]);
    }
    close(scene->listener);
    close(scene->stop_fd);
    pthread_mutex_destroy(&scene->mutex);
    options_destroy(options);
}

// Otherwise it would be called again after the next start.
static void test_an_answer_that_is_there_counts_when_it_is_to_stop(void **state)
{
    (void)state;
    struct scene scene = {0};
    struct error e = {0};
    struct answer answers[CALLS];
    struct options *options = scene_start(&scene);
    const struct connector_desk desk = {&scene, on_answered, no_more, -1};
    const struct connector_peer peer = {.hub_id = "hub",
                                        .name = "shop",
                                        .options = options,
                                        .stop_fd = scene.stop_fd,
                                        .desk = &desk};
    struct deliveries *made = deliveries_make(CALLS, 1);
    for (uint32_t i = 0; i < CALLS; i++) {
        made->rows[i].topic = bytes_from_text("POST /x");
    }
    void *connector = calloc(1, connector_http.state_bytes);
    assert_int_equal(connector_http.open(connector, &peer, &e), ERR_OK);
    assert_int_equal(connector_http.send(connector, made->list, CALLS, answers, &e),
                     ERR_UNAVAILABLE);
    assert_string_equal(e.text, "stopped");
    assert_int_equal(scene.answered_count, CALLS);
    for (uint32_t i = 0; i < CALLS; i++) {
        assert_int_equal(answers[i].verdict, VERDICT_DONE);
    }
    connector_http.close(connector);
    free(connector);
    free(made);
    scene_end(&scene, options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_that_is_there_counts_when_it_is_to_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
