#include "pipit/uart.h"

#define DRAIN_BYTES     32u
#define DRAIN_CALLS_MAX 8u // A line that never ends must not hold up the caller.

static struct pipit_uart *uart_of(struct pipit_transport *transport)
{
    return (struct pipit_uart *)(void *)transport;
}

static int32_t uart_write(struct pipit_transport *transport, const uint8_t *ptr, size_t len)
{
    const struct pipit_uart_options *options = uart_of(transport)->options;
    return (int32_t)options->write(options->context, ptr, len);
}

static int32_t uart_read(struct pipit_transport *transport, uint8_t *ptr, size_t size)
{
    const struct pipit_uart_options *options = uart_of(transport)->options;
    return (int32_t)options->read(options->context, ptr, size);
}

static void drain(struct pipit_transport *transport)
{
    uint8_t stale[DRAIN_BYTES];
    for (unsigned i = 0; i < DRAIN_CALLS_MAX && uart_read(transport, stale, sizeof(stale)) > 0;
         i++) {
    }
}

// Bytes that the modem has on the way do not lengthen the guard: the client's timeout would.
static enum pipit_err uart_open(struct pipit_transport *transport, uint32_t now_ms)
{
    struct pipit_uart *uart = uart_of(transport);
    uint32_t guard_ms =
        uart->options->guard_ms != 0 ? uart->options->guard_ms : PIPIT_UART_GUARD_MS;
    if (!uart->is_silent) {
        uart->is_silent = true;
        uart->silent_at_ms = now_ms;
    }
    drain(transport);
    if (now_ms - uart->silent_at_ms < guard_ms) {
        return PIPIT_ERR_BUSY;
    }
    uart->is_silent = false;
    return PIPIT_OK;
}

// Nothing is said to the modem: a session that was ended has been ended by its DISCONNECT.
static void uart_close(struct pipit_transport *transport)
{
    uart_of(transport)->is_silent = false;
}

static const struct pipit_transport_type uart_type = {
    .write = uart_write,
    .read = uart_read,
    .open = uart_open,
    .close = uart_close,
};

enum pipit_err pipit_uart_init(struct pipit_uart *uart, const struct pipit_uart_options *options)
{
    if (options->write == NULL || options->read == NULL) {
        return PIPIT_ERR_ARGUMENT;
    }
    *uart = (struct pipit_uart){.base = {.type = &uart_type}, .options = options};
    return PIPIT_OK;
}
