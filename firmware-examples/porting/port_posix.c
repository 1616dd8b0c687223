// port_posix - the template filled in for Linux: a socket, a file spool, the system's clock.
// From the environment: PORT of the peer on this machine, SPOOL the path of the file.
#include "port.h"

#include <pipit/posix.h>
#include <pipit/socket.h>
#include <stdio.h>
#include <stdlib.h>

static struct pipit_socket line;
static struct pipit_file_spool spool;
static uint8_t record[256];

const bool port_is_spool_kept = true;
const uint32_t port_window_bytes = 0; // TCP holds the sender back.
const uint32_t port_timeout_ms = 0;

void port_init(void)
{
    const char *port = getenv("PORT");
    pipit_socket_init(&line, "127.0.0.1", port != NULL ? port : "7");
}

uint32_t port_now_ms(void)
{
    return pipit_now_ms();
}

bool port_clock_set(uint32_t now_ms)
{
    (void)now_ms; // The system's clock is not ours.
    return false;
}

uint32_t port_entropy(void)
{
    return pipit_entropy();
}

void port_idle(void)
{
    pipit_socket_wait(&line, 1);
}

void port_print(const char *text)
{
    (void)fputs(text, stdout);
}

_Noreturn void port_end(int status)
{
    exit(status);
}

struct pipit_transport *port_transport(void)
{
    return &line.base;
}

struct pipit_spool *port_spool_open(void)
{
    const char *path = getenv("SPOOL");
    struct pipit_file_options options = {.path = path != NULL ? path : "conformance.spool",
                                         .limit_bytes = 4096,
                                         .memory = record,
                                         .memory_bytes = sizeof(record),
                                         .entropy = port_entropy()};
    if (pipit_file_spool_open(&spool, &options) != PIPIT_OK) {
        port_print(pipit_file_spool_error(&spool));
        port_print("\n");
        return NULL;
    }
    return &spool.base;
}

void port_spool_close(void)
{
    (void)pipit_file_spool_close(&spool);
}
