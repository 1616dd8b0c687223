#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "faults.h"
#include "modem.h"
#include "net.h"

#define ANSWER_MAX 1024

typedef void answer_fn(struct modem *modem, char *out);

static bool is_in_call(const struct modem *modem)
{
    return modem->state != CALL_IDLE && modem->state != CALL_LOST;
}

static void hangup(struct modem *modem, char *out)
{
    snprintf(out, ANSWER_MAX, "%s", is_in_call(modem) ? "ok" : "ok there was no call");
    call_end(modem, PIPIT_HANG_UP_CARRIER, true);
    for (size_t i = 0; i < GHOSTS_MAX; i++) {
        net_close(&modem->ghosts[i]);
    }
}

static void half_open(struct modem *modem, char *out)
{
    if (modem->state != CALL_UP) {
        snprintf(out, ANSWER_MAX, "error there is no call that is up");
        return;
    }
    modem->flow = FLOW_HALF_OPEN;
    modem->to_broker_len = 0;
    line_clear(&modem->up);
    line_clear(&modem->down);
    snprintf(out, ANSWER_MAX, "ok");
}

static void stall(struct modem *modem, char *out)
{
    modem->flow = FLOW_STALLED;
    snprintf(out, ANSWER_MAX, "ok");
}

static void resume(struct modem *modem, char *out)
{
    modem->flow = FLOW_FORWARD;
    if (modem->state == CALL_UP && modem->broker < 0) { // The broker left meanwhile.
        call_end(modem, PIPIT_HANG_UP_CARRIER, true);
    }
    snprintf(out, ANSWER_MAX, "ok");
}

static void stats(struct modem *modem, char *out)
{
    static const char *const flows[] = {"forward", "half-open", "stalled"};
    const struct totals *t = &modem->totals;
    unsigned ghosts = 0;
    for (size_t i = 0; i < GHOSTS_MAX; i++) {
        ghosts += modem->ghosts[i] >= 0;
    }
    snprintf(out, ANSWER_MAX,
             "ok state=%s flow=%s device=%d call_up=%" PRIu64 " call_down=%" PRIu64
             " waiting_up=%zu waiting_down=%zu ghosts=%u devices=%" PRIu64 " calls=%" PRIu64
             " refused=%" PRIu64 " ended=%" PRIu64 " killed=%" PRIu64 " bad_frames=%" PRIu64
             " carrier=%" PRIu64 " asked=%" PRIu64 " thrown=%" PRIu64 " swallowed=%" PRIu64
             " up=%" PRIu64 " up_dropped=%" PRIu64 " up_garbled=%" PRIu64 " down=%" PRIu64
             " down_dropped=%" PRIu64 " down_garbled=%" PRIu64,
             call_state_name(modem), flows[modem->flow], modem->device >= 0, modem->call_up,
             modem->call_down, modem->up.len + modem->to_broker_len, modem->down.len, ghosts,
             t->devices, t->calls, t->refused, t->ended, t->killed, t->bad, t->carrier, t->asked,
             t->thrown, t->swallowed, modem->up.passed, modem->up.dropped, modem->up.garbled,
             modem->down.passed, modem->down.dropped, modem->down.garbled);
}

static void list(struct modem *modem, char *out);

static const struct command {
    const char *name;
    answer_fn *run;
} commands[] = {
    {"hangup", hangup}, {"half-open", half_open}, {"stall", stall},
    {"resume", resume}, {"stats", stats},         {"help", list},
};

static void list(struct modem *modem, char *out)
{
    (void)modem;
    int len =
        snprintf(out, ANSWER_MAX, "ok delay|split|drop|garble|kill-after VALUE [up|down|both]");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        len += snprintf(out + len, ANSWER_MAX - (size_t)len, " | %s", commands[i].name);
    }
}

static void set_fault(struct modem *modem, const char *name, char **save, char *out)
{
    char error[FAULTS_ERROR_MAX];
    const char *value = strtok_r(NULL, " \t\r", save);
    const char *direction = strtok_r(NULL, " \t\r", save);
    if (value == NULL) {
        snprintf(out, ANSWER_MAX, "error %s needs a value", name);
    } else if (!faults_set(&modem->up.faults, &modem->down.faults, name, value, direction, error)) {
        snprintf(out, ANSWER_MAX, "error %s", error);
    } else {
        snprintf(out, ANSWER_MAX, "ok");
    }
}

static void run(struct modem *modem, char *line, char *out)
{
    char *save = NULL;
    const char *name = strtok_r(line, " \t\r", &save);
    if (name != NULL && faults_is_name(name)) {
        set_fault(modem, name, &save, out);
        return;
    }
    for (size_t i = 0; name != NULL && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            commands[i].run(modem, out);
            return;
        }
    }
    snprintf(out, ANSWER_MAX, "error there is no command '%.40s': try help",
             name != NULL ? name : "");
}

static void answer(struct modem *modem, struct control *control, char *line)
{
    char out[ANSWER_MAX + 1];
    modem_log(modem, "MODEM-CONTROL", "command=\"%s\"", line);
    run(modem, line, out);
    size_t len = strlen(out);
    out[len++] = '\n';
    // Who does not read answers of one line is not worth waiting for.
    if (send(control->fd, out, len, MSG_NOSIGNAL) != (ssize_t)len) {
        net_close(&control->fd);
    }
}

void control_init(struct modem *modem)
{
    for (size_t i = 0; i < CONTROLS_MAX; i++) {
        modem->controls[i].fd = -1;
    }
}

void control_accept(struct modem *modem)
{
    int fd = net_accept(modem->control_listener);
    for (size_t i = 0; fd >= 0 && i < CONTROLS_MAX; i++) {
        if (modem->controls[i].fd < 0) {
            modem->controls[i] = (struct control){.fd = fd};
            return;
        }
    }
    net_close(&fd);
}

void control_readable(struct modem *modem, struct control *control)
{
    ssize_t got =
        read(control->fd, control->line + control->len, sizeof(control->line) - control->len);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    control->len += got > 0 ? (size_t)got : 0;
    char *end = NULL;
    while (control->fd >= 0 && (end = memchr(control->line, '\n', control->len)) != NULL) {
        size_t len = (size_t)(end - control->line) + 1;
        *end = '\0';
        answer(modem, control, control->line);
        control->len -= len;
        memmove(control->line, control->line + len, control->len);
    }
    if (got <= 0 || control->len == sizeof(control->line)) { // Gone, or a line without end.
        net_close(&control->fd);
    }
}
