// port_template - the SDK on a new target: fill in what is marked, then let main.c check it.
// docs/PORTING.md goes with it. As it stands it compiles for any target and is wrong everywhere.
#include "port.h"

// ---- 1. start ----------------------------------------------------------------------------------

void port_init(void)
{
    // FILL IN: clocks, pins, a timer with a millisecond interrupt, the line to the broker.
}

// ---- 2. clock ----------------------------------------------------------------------------------

static volatile uint32_t ticks_ms; // FILL IN: counted up by the timer's interrupt.

uint32_t port_now_ms(void)
{
    return ticks_ms; // On 8 and 16 bits: read with interrupts off.
}

bool port_clock_set(uint32_t now_ms)
{
    ticks_ms = now_ms; // A clock made of finer ticks sets those, or it would hide where they wrap.
    return true;
}

void port_idle(void)
{
    // FILL IN: wait for an interrupt (WFI, sleep), or leave it.
}

// ---- 3. entropy --------------------------------------------------------------------------------

uint32_t port_entropy(void)
{
    return 0; // FILL IN: a random generator's word.
}

// ---- 4. words for people -----------------------------------------------------------------------

void port_print(const char *text)
{
    (void)text; // FILL IN: a debug port.
}

_Noreturn void port_end(int status)
{
    for (;;) {
        (void)status; // FILL IN: a LED, or nothing.
    }
}

// ---- 5. the line to the broker -----------------------------------------------------------------

// FILL IN: takes what the hardware's queue has room for. 0: none now. Negative: the line is gone.
static int32_t line_write(struct pipit_transport *transport, const uint8_t *ptr, size_t len)
{
    (void)transport;
    (void)ptr;
    (void)len;
    return 0;
}

// FILL IN: gives what has come, at most `size`. 0: nothing now. Negative: the line is gone.
static int32_t line_read(struct pipit_transport *transport, uint8_t *ptr, size_t size)
{
    (void)transport;
    (void)ptr;
    (void)size;
    return 0;
}

// FILL IN: begins to connect, and says PIPIT_ERR_BUSY until it has. A line that is always there has
// neither this nor close: leave them out of the table below.
static enum pipit_err line_open(struct pipit_transport *transport, uint32_t now_ms)
{
    (void)transport;
    (void)now_ms;
    return PIPIT_ERR_BUSY;
}

// FILL IN: ends the connection and forgets what waits in both directions. May be called twice.
static void line_close(struct pipit_transport *transport)
{
    (void)transport;
}

static const struct pipit_transport_type line_type = {
    .write = line_write, .read = line_read, .open = line_open, .close = line_close};

static struct pipit_transport line = {&line_type};

struct pipit_transport *port_transport(void)
{
    return &line;
}

const uint32_t port_window_bytes = 0; // FILL IN: a UART's receive buffer.
const uint32_t port_timeout_ms = 0;

// ---- 6. where events wait ----------------------------------------------------------------------

// The RAM ring works everywhere and forgets with the power. For NOR flash fill in the three
// functions of pipit/flash.h; on a file system use pipit/posix.h.
static uint8_t memory[512];
static struct pipit_ram_spool spool;
const bool port_is_spool_kept = false;

struct pipit_spool *port_spool_open(void)
{
    // FILL IN: a boot number that differs from those of the last 64 starts; a counter is best.
    uint32_t boot = pipit_boot_random(port_entropy());
    return pipit_ram_spool_init(&spool, memory, sizeof(memory), PIPIT_REFUSE, boot) == PIPIT_OK
               ? &spool.base
               : NULL;
}

void port_spool_close(void)
{
}
