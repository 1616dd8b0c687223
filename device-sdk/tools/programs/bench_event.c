// bench_event - instructions and stack of writing one typed event of 55 bytes.
#include "bench.h"
#include "pipit/pipit.h"

#define EVENT_BYTES 55u

static uint8_t memory[128];
static struct pipit_config config;
static struct pipit_device device;
static struct pipit_event event = PIPIT_EVENT(memory);

static void write_event(void *context)
{
    const struct pipit_event_options *options = context;
    (void)pipit_event_begin(&event, &device, "climate", options);
    (void)pipit_event_add(&event, &PIPIT_FLOAT("celsius", 21.5f));
    (void)pipit_event_add(&event, &PIPIT_FLOAT("hum", 58.2f));
    (void)pipit_event_add(&event, &PIPIT_UNSIGNED("tick", 1842));
}

int main(void)
{
    struct pipit_event_options options = {.time_ms = 1760000000000u, .has_time = true};
    device.config = &config;
    struct bench result = bench_run(write_event, &options);
    if (event.sink.rc != PIPIT_OK || event.sink.len != EVENT_BYTES) {
        bench_print("event_bytes", (uint32_t)event.sink.len);
        return 1;
    }
    bench_print("m4_event_instructions", result.instructions);
    bench_print("m4_event_stack", result.stack_bytes);
    return 0;
}
