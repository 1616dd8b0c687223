// event - the event writer alone: a typed event into the caller's memory, and nothing that would
// send it. device-sdk/tools/size links it for the table in SIZE.md; nobody runs it.
#include "pipit/pipit.h"

#define WORD (*(volatile uint32_t *)0x40004000u)

static uint8_t memory[128];
static struct pipit_config config;
static struct pipit_device device;

int main(void)
{
    struct pipit_event event = PIPIT_EVENT(memory);
    device.config = &config;
    (void)pipit_event_begin(&event, &device, "climate", NULL);
    (void)pipit_event_add(&event, &PIPIT_FLOAT("celsius", 21.5f));
    (void)pipit_event_add(&event, &PIPIT_UNSIGNED("count", WORD));
    (void)pipit_event_add(&event, &PIPIT_TEXT("state", "ok"));
    return (int)pipit_event_add(&event, &PIPIT_BOOL("door", true));
}
