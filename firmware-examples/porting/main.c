// porting - runs the conformance program on the port that is linked to it. Its peer on the line is
// device-sdk/conformance/echo.
#include "port.h"

#include "../../device-sdk/conformance/conformance.h"

static void print(void *context, const char *text)
{
    (void)context;
    port_print(text);
}

static uint32_t now_ms(void *context)
{
    (void)context;
    return port_now_ms();
}

static bool clock_set(void *context, uint32_t want_ms)
{
    (void)context;
    return port_clock_set(want_ms);
}

static uint32_t entropy(void *context)
{
    (void)context;
    return port_entropy();
}

static void idle(void *context)
{
    (void)context;
    port_idle();
}

static struct pipit_spool *spool_open(void *context)
{
    (void)context;
    return port_spool_open();
}

static void spool_close(void *context)
{
    (void)context;
    port_spool_close();
}

int main(void);

int main(void)
{
    static uint8_t memory[PIPIT_CONFORMANCE_MEMORY_MIN];
    struct pipit_conformance_options options = {.print = print,
                                                .now_ms = now_ms,
                                                .clock_set = clock_set,
                                                .entropy = entropy,
                                                .idle = idle,
                                                .spool_open = spool_open,
                                                .spool_close = spool_close,
                                                .memory = memory,
                                                .memory_bytes = sizeof(memory),
                                                .is_spool_kept = port_is_spool_kept,
                                                .window_bytes = port_window_bytes,
                                                .timeout_ms = port_timeout_ms,
                                                .is_peer_echo = port_window_bytes == 0};
    port_init();
    options.transport = port_transport();
    port_end(pipit_conformance_run(&options) == 0 ? 0 : 1);
}
