// http_support.h - a real HTTP server for a test, which writes down what it is called with.
#ifndef PIPIT_TESTS_HTTP_SUPPORT_H
#define PIPIT_TESTS_HTTP_SUPPORT_H

#include "broker_support.h"

struct http_server {
    char path[128]; // Of its lines of JSON.
    int port;
    pid_t pid;
};

static inline void http_server_start(struct http_server *server)
{
    char port[16];
    snprintf(port, sizeof(port), "%d", server->port);
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); // A failed test leaves no server behind.
        execl("/usr/bin/python3", "python3", "-B", PIPIT_HTTP_PEER, port, server->path, NULL);
        _exit(127);
    }
    int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    while (!port_answers(server->port)) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        usleep(10000);
    }
}

static inline void http_server_kill(struct http_server *server)
{
    if (server->pid > 0) {
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
        server->pid = 0;
    }
}

#endif
