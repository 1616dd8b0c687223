// broker_support.h - a real mosquitto for a test, and a subscriber that keeps what it gets.
#ifndef PIPIT_TESTS_BROKER_SUPPORT_H
#define PIPIT_TESTS_BROKER_SUPPORT_H

#include <arpa/inet.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define DEADLINE_MS  20000
#define RECEIVED_MAX 1000

struct broker {
    char folder[64];
    char extra[400]; // Lines of mosquitto.conf.
    int port;
    pid_t pid;
};

// A listening socket's port is free once it is closed; nobody else is given it soon.
static inline int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static inline int listen_on_loopback(int *out_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *out_port = ntohs(address.sin_port);
    return fd;
}

static inline bool port_answers(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool answers = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return answers;
}

static inline void broker_start(struct broker *broker)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/mosquitto.conf", broker->folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "listener %d 127.0.0.1\nallow_anonymous true\nlog_dest none\nuser root\n%s\n",
            broker->port, broker->extra);
    fclose(file);
    broker->pid = fork();
    assert_true(broker->pid >= 0);
    if (broker->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); // A failed test leaves no broker behind.
        // It warns of running as root, which it must to read files in our folder.
        if (freopen("/dev/null", "w", stderr) == NULL) {
            _exit(126);
        }
        execlp("mosquitto", "mosquitto", "-c", path, (char *)NULL);
        _exit(127);
    }
    int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    while (!port_answers(broker->port)) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        usleep(2000);
    }
}

static inline void broker_kill(struct broker *broker)
{
    if (broker->pid > 0) {
        kill(broker->pid, SIGKILL);
        waitpid(broker->pid, NULL, 0);
        broker->pid = 0;
    }
}

static inline void broker_init(struct broker *broker, const char *extra)
{
    memset(broker, 0, sizeof(*broker));
    snprintf(broker->folder, sizeof(broker->folder), "/tmp/pipit-test-XXXXXX");
    assert_non_null(mkdtemp(broker->folder));
    snprintf(broker->extra, sizeof(broker->extra), "%s", extra);
    broker->port = free_port();
}

static inline void broker_deinit(struct broker *broker)
{
    char path[128];
    broker_kill(broker);
    snprintf(path, sizeof(path), "%s/mosquitto.conf", broker->folder);
    unlink(path);
    rmdir(broker->folder);
}

struct received {
    char *topic, *key, *content_type, *payload;
    int payload_len, qos;
    bool is_retained;
};

struct subscriber {
    struct mosquitto *mosq;
    struct received received[RECEIVED_MAX];
    size_t count;
    bool is_subscribed;
};

static inline void on_subscribed(struct mosquitto *mosq, void *context, int mid, int count,
                                 const int *granted)
{
    (void)mosq, (void)mid, (void)count, (void)granted;
    ((struct subscriber *)context)->is_subscribed = true;
}

static inline void on_received(struct mosquitto *mosq, void *context,
                               const struct mosquitto_message *message,
                               const mosquitto_property *properties)
{
    (void)mosq;
    struct subscriber *subscriber = context;
    assert_true(subscriber->count < RECEIVED_MAX);
    struct received *received = &subscriber->received[subscriber->count++];
    char *name = NULL;
    mosquitto_property_read_string_pair(properties, MQTT_PROP_USER_PROPERTY, &name, &received->key,
                                        false);
    mosquitto_property_read_string(properties, MQTT_PROP_CONTENT_TYPE, &received->content_type,
                                   false);
    free(name);
    received->topic = strdup(message->topic);
    received->payload = malloc((size_t)message->payloadlen + 1);
    memcpy(received->payload, message->payload, (size_t)message->payloadlen);
    received->payload[message->payloadlen] = '\0';
    received->payload_len = message->payloadlen;
    received->qos = message->qos;
    received->is_retained = message->retain;
}

static inline void subscriber_run(struct subscriber *subscriber, size_t count)
{
    int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    while (!subscriber->is_subscribed || subscriber->count < count) {
        if (clock_monotonic_ms() > deadline_ms) {
            fail_msg("%zu of %zu messages came", subscriber->count, count);
        }
        assert_int_equal(mosquitto_loop(subscriber->mosq, 50, 1), MOSQ_ERR_SUCCESS);
    }
}

static inline void subscriber_init(struct subscriber *subscriber, int port, const char *filter)
{
    memset(subscriber, 0, sizeof(*subscriber));
    mosquitto_lib_init();
    subscriber->mosq = mosquitto_new(NULL, true, subscriber);
    assert_non_null(subscriber->mosq);
    mosquitto_int_option(subscriber->mosq, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
    mosquitto_message_v5_callback_set(subscriber->mosq, on_received);
    mosquitto_subscribe_callback_set(subscriber->mosq, on_subscribed);
    assert_int_equal(mosquitto_connect(subscriber->mosq, "127.0.0.1", port, 30), MOSQ_ERR_SUCCESS);
    assert_int_equal(mosquitto_subscribe(subscriber->mosq, NULL, filter, 2), MOSQ_ERR_SUCCESS);
    subscriber_run(subscriber, 0);
}

static inline void subscriber_deinit(struct subscriber *subscriber)
{
    for (size_t i = 0; i < subscriber->count; i++) {
        free(subscriber->received[i].topic);
        free(subscriber->received[i].key);
        free(subscriber->received[i].content_type);
        free(subscriber->received[i].payload);
    }
    mosquitto_destroy(subscriber->mosq);
    mosquitto_lib_cleanup();
}

#endif
