// hello - from nothing to a published, typed event. Usage: pipit-hello [url]
#include <pipit/paho.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    static uint8_t memory[4096], buffer[512];
    struct pipit_ram_spool spool;
    struct pipit_paho link;
    struct pipit_device device;

    pipit_ram_spool_init(&spool, memory, sizeof(memory), PIPIT_REFUSE,
                         pipit_boot_random(pipit_entropy()));
    enum pipit_err rc = pipit_paho_open(
        &link, &(struct pipit_paho_options){.url = argc > 1 ? argv[1] : "mqtt://127.0.0.1"});
    struct pipit_config config = {.group = "demo",
                                  .device = "hello",
                                  .seed = pipit_entropy(),
                                  .spool = &spool.base,
                                  .link = &link.base,
                                  .buffer = buffer,
                                  .buffer_bytes = sizeof(buffer),
                                  .clock_ms = pipit_wall_ms};
    if (rc == PIPIT_OK) {
        rc = pipit_init(&device, &config);
    }
    if (rc == PIPIT_OK) {
        rc = pipit_publish(&device, "climate", PIPIT_FLOAT("celsius", 21.5f),
                           PIPIT_FLOAT("humidity", 58.2f));
    }
    while (rc == PIPIT_OK && pipit_waiting(&device) > 0) { // Until a hub has stored it.
        rc = pipit_poll(&device, pipit_now_ms());
        pipit_paho_wait(&link, pipit_next_ms(&device));
    }
    if (rc != PIPIT_OK) {
        char text[PIPIT_PAHO_ERROR_MAX];
        pipit_paho_error(&link, text, sizeof(text));
        fprintf(stderr, "hello: %s %s\n", pipit_err_text(rc), text);
    }
    if (rc == PIPIT_OK) {
        printf("stored by a hub\n");
    }
    pipit_paho_close(&link);
    return rc == PIPIT_OK ? 0 : 1;
}
