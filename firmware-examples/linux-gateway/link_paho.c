#include "link.h"

#include <pipit/paho.h>
#include <stdio.h>
#include <stdlib.h>

struct link {
    struct pipit_paho paho;
};

// One bell for all links, so that one thread can sleep for them all.
static struct pipit_bell bell;
static unsigned links_count;

struct link *link_create(const char *url)
{
    struct link *link = calloc(1, sizeof(*link));
    char text[PIPIT_PAHO_ERROR_MAX];
    if (link == NULL || (links_count == 0 && pipit_bell_open(&bell) != PIPIT_OK)) {
        (void)fprintf(stderr, "gateway: out of memory or descriptors\n");
        free(link);
        return NULL;
    }
    struct pipit_paho_options options = {.url = url, .bell = &bell};
    if (pipit_paho_open(&link->paho, &options) != PIPIT_OK) {
        pipit_paho_error(&link->paho, text, sizeof(text));
        (void)fprintf(stderr, "gateway: %s\n", text);
        free(link);
        return NULL;
    }
    links_count++;
    return link;
}

void link_destroy(struct link *link)
{
    if (link == NULL) {
        return;
    }
    pipit_paho_close(&link->paho);
    free(link);
    if (--links_count == 0) {
        pipit_bell_close(&bell);
    }
}

struct pipit_link *link_base(struct link *link)
{
    return &link->paho.base;
}

void link_error(struct link *link, char *text, size_t text_bytes)
{
    pipit_paho_error(&link->paho, text, text_bytes);
}

void link_wait(uint32_t timeout_ms)
{
    pipit_bell_wait(&bell, timeout_ms);
}
