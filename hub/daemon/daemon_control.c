#include <stdio.h>

#include "daemon/daemon_parts.h"

static void operate(struct daemon *daemon, const struct control_ask *ask)
{
    struct error e = {0};
    uint64_t count = 0;
    enum err rc =
        daemon->core == NULL
            ? error_set(&e, ERR_UNAVAILABLE, "the store cannot be used now: %s", daemon->reason)
            : batch_operate(daemon, &ask->operation, &count, &e);
    if (rc == ERR_OK) {
        control_answer(daemon->control, ask->client,
                       json_pack("{s:I}", "operated", (json_int_t)count));
    } else {
        control_refuse(daemon->control, ask->client, e.text);
    }
}

static void reload(struct daemon *daemon, const struct control_ask *ask)
{
    struct error e = {0};
    char text[600];
    if (daemon_reload(daemon, text, sizeof(text), &e) == ERR_OK) {
        control_answer(daemon->control, ask->client, json_pack("{s:s}", "reloaded", text));
    } else {
        control_refuse(daemon->control, ask->client, e.text);
    }
}

void control_serve(struct daemon *daemon)
{
    for (uint32_t i = 0; i < daemon->ask_count; i++) {
        const struct control_ask *ask = &daemon->asks[i];
        if (ask->op == CONTROL_STATUS) {
            control_answer(daemon->control, ask->client, daemon_status(daemon));
        } else if (ask->op == CONTROL_RELOAD) {
            reload(daemon, ask);
        } else {
            operate(daemon, ask);
        }
    }
    daemon->ask_count = 0;
}
