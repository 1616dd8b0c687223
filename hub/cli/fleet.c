#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/arguments.h"
#include "cli/field.h"
#include "cli/fleet_crew.h"
#include "cli/fleet_rows.h"
#include "cli/terminal.h"

int fleet_command(int argc, char **argv);

#define ROUND_ROWS_MAX  256 // Accepted between two polls of the crew.
#define SPOOL_BYTES_RAM (64u * 1024)
#define SPOOL_BYTES     (4u * 1024 * 1024)
#define GOODBYE_MS      6000
#define INTERRUPT_MS    3000 // For the confirmations that are on their way when a signal comes.
#define LAG_MS_MAX      1000 // How much of a missed rate is caught up with.
#define NOTE_EVERY_MS   1000

static const struct option_spec fleet_options[] = {
    {"file", OPTION_PATH, false, NULL, 0, 0, NULL,
     "Replay this file: one JSON object a line, or CSV when it ends in .csv; - is standard input."},
    {"generate", OPTION_INT, false, NULL, 1, 100000, NULL,
     "Make up readings of so many devices instead: device-00001 and on."},
    {"seed", OPTION_INT, false, "1", 0, INT64_MAX, NULL,
     "Of what is made up: same seed, same "
     "readings."},
    {"events", OPTION_INT, false, NULL, 1, INT64_MAX, NULL,
     "End after so many events (default: the file's, or none)."},
    {"group", OPTION_TEXT, false, "fleet", 0, 0, NULL, "Group of the devices."},
    {"device", OPTION_TEXT, false, NULL, 0, 0, NULL, "All events of the file are this device's."},
    {"device-field", OPTION_TEXT, false, "device", 0, 0, NULL,
     "Member or column that names the device."},
    {"fields", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Member whose members become the event's fields (default: the whole line's)."},
    {"time-field", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Member or column with the device time, in seconds or milliseconds since 1970 UTC."},
    {"type", OPTION_TEXT, false, "telemetry", 0, 0, NULL, "Type of the events."},
    {"rate", OPTION_TEXT, false, "max", 0, 0, NULL, "Events a second over all devices, or max."},
    {"loop", OPTION_BOOL, false, "false", 0, 0, NULL, "Start over at the end of the file."},
    {"spool", OPTION_PATH, false, NULL, 0, 0, NULL,
     "Folder of file spools: a later run continues exactly where this one was killed."},
    {"spool-limit", OPTION_SIZE, false, NULL, 4096, 1024 * 1024 * 1024, NULL,
     "Of one device (default 4 MB with --spool, 64 KB without)."},
    {"sync-every", OPTION_DURATION, false, "20 ms", 0, 60000, NULL,
     "File spools are synced this often; what a power cut takes is read from the file again."},
    {"qos", OPTION_INT, false, "1", 0, 2, NULL, "MQTT quality of service."},
    {"wait", OPTION_ENUM, false, "receipt", 0, 0, "receipt|puback",
     "Who confirms an event: the hub, or the broker where there is no hub."},
    {"timeout", OPTION_DURATION, false, "5 min", 100, 86400000, NULL,
     "Give up when nothing was confirmed for so long."},
    {"answer-commands", OPTION_BOOL, false, "false", 0, 0, NULL,
     "Devices answer any command with the fields it came with."},
    {"count", OPTION_BOOL, false, "false", 0, 0, NULL,
     "Tell the events of each device at the end."},
    {"progress", OPTION_BOOL, false, "false", 0, 0, NULL,
     "A line a second on standard error, also where there is no terminal."},
    {"json", OPTION_BOOL, false, "false", 0, 0, NULL, "Tell the outcome as JSON."},
    PEER_OPTIONS,
    {NULL},
};

static const struct usage usage = {
    .name = "fleet",
    .synopsis = "--file FILE | --generate N [OPTION...]",
    .about =
        "Plays many devices in one process: each event of a file goes through the SDK of its\n"
        "device, in order. Ends when a hub has confirmed them all. Nested members become fields\n"
        "with dotted names (location.lat).\n",
    .options = fleet_options,
    .more =
        "Examples:\n"
        "  pipit fleet --file telemetry.ndjson --fields data --time-field ts --group plant\n"
        "  pipit fleet --generate 1000 --rate 5000 --events 100000\n"
        "  zcat telemetry.ndjson.gz | pipit fleet --file - --fields data --spool /var/tmp/spool\n\n"
        "SIGINT and SIGTERM end it once what was accepted is confirmed, after 3 s at most.\n"
        "Exit codes: 0 all confirmed, 1 failed (a line of the file, a spool), 2 usage,\n"
        "5 events are left that nobody confirmed.\n",
};

struct fleet {
    const struct options *options;
    struct peer peer;
    struct pipit_bell bell;
    struct actor_options actor;
    struct crew *crew;
    struct rows *rows;
    struct row row;
    bool is_row_pending; // Its device's spool was full.
    bool is_at_end;
    struct error fault; // Why the rows ended early; told when what was accepted is confirmed.
    double rate;        // 0: as fast as it goes.
    uint64_t rows_max;
    uint64_t accepted, skipped; // Skipped: an earlier run had accepted them.
    int64_t begin_ms;
    int64_t rate_begin_ms;
    uint64_t rate_count; // Accepted since rate_begin_ms.
    uint64_t confirmed;
    int64_t confirmed_at_ms; // When that last grew, or nothing waited.
    int64_t noted_ms;
    bool has_told_trouble;
    int64_t give_up_at_ms; // After a signal.
};

static volatile sig_atomic_t interrupt_count;

static void on_signal(int number)
{
    (void)number;
    interrupt_count++;
}

static int32_t on_command(void *context, const struct pipit_command *command,
                          struct pipit_sink *reply)
{
    struct pipit_field field;
    size_t position = 0;
    (void)context;
    while (pipit_command_next(command, &position, &field) == PIPIT_OK) {
        (void)pipit_reply_add(reply, &field);
    }
    return 0;
}

// ---- rows to devices ---------------------------------------------------------------------------

static uint64_t rate_allows(struct fleet *fleet, int64_t now_ms)
{
    if (fleet->rate <= 0) {
        return ROUND_ROWS_MAX;
    }
    double due = fleet->rate * (double)(now_ms - fleet->rate_begin_ms) / 1000 + 1;
    double open = due - (double)fleet->rate_count;
    if (open > fleet->rate * LAG_MS_MAX / 1000 + 1) { // Held up: go on at the rate, no burst.
        fleet->rate_begin_ms = now_ms;
        fleet->rate_count = 0;
        open = 1;
    }
    return open < 1 ? 0 : open > ROUND_ROWS_MAX ? ROUND_ROWS_MAX : (uint64_t)open;
}

static uint32_t rate_wait_ms(const struct fleet *fleet, int64_t now_ms)
{
    if (fleet->is_at_end || fleet->is_row_pending) {
        return 1000;
    }
    double at_ms = (double)fleet->rate_begin_ms + (double)fleet->rate_count * 1000 / fleet->rate;
    double wait_ms = fleet->rate > 0 ? at_ms - (double)now_ms : 0;
    return wait_ms < 0 ? 0 : wait_ms > 1000 ? 1000 : (uint32_t)wait_ms;
}

static enum err row_fetch(struct fleet *fleet, struct error *e)
{
    enum err rc = fleet->accepted + fleet->skipped >= fleet->rows_max
                      ? ERR_NOT_FOUND
                      : rows_next(fleet->rows, &fleet->row, e);
    fleet->is_row_pending = rc == ERR_OK;
    fleet->is_at_end = rc == ERR_NOT_FOUND;
    return rc == ERR_NOT_FOUND ? ERR_OK : rc;
}

// Gives rows to their devices: until the rate, the end, or a full spool says stop.
static enum err rows_feed(struct fleet *fleet, int64_t now_ms, struct error *e)
{
    uint64_t room = rate_allows(fleet, now_ms);
    const char *type = option_text(fleet->options, "type");
    while (room > 0 && !fleet->is_at_end) {
        enum crew_verdict verdict;
        enum err rc = fleet->is_row_pending ? ERR_OK : row_fetch(fleet, e);
        if (rc != ERR_OK || fleet->is_at_end) {
            return rc;
        }
        rc = crew_accept(fleet->crew, &fleet->row, type, &verdict, e);
        if (rc != ERR_OK || verdict == CREW_FULL) {
            return rc;
        }
        fleet->is_row_pending = false;
        if (verdict == CREW_SKIPPED) {
            fleet->skipped++;
            continue;
        }
        fleet->accepted++;
        fleet->rate_count++;
        room--;
    }
    return ERR_OK;
}

// ---- what is going on --------------------------------------------------------------------------

static void note(struct fleet *fleet, int64_t now_ms)
{
    const struct crew_totals totals = crew_totals(fleet->crew);
    const char *trouble = crew_trouble(fleet->crew);
    double seconds = (double)(now_ms - fleet->begin_ms) / 1000;
    char line[400];
    snprintf(line, sizeof(line),
             "%llu events accepted, %llu confirmed, %llu waiting, %.0f/s, "
             "%u of %u devices online%s%s",
             (unsigned long long)fleet->accepted, (unsigned long long)totals.confirmed,
             (unsigned long long)totals.waiting,
             seconds > 0 ? (double)totals.confirmed / seconds : 0, totals.online, totals.devices,
             trouble[0] != '\0' ? "; " : "", trouble);
    if (terminal_is(stderr)) {
        progress_show("%s", line);
    } else if (option_bool(fleet->options, "progress") &&
               now_ms - fleet->noted_ms >= NOTE_EVERY_MS) {
        fleet->noted_ms = now_ms;
        fprintf(stderr, "%s\n", line);
    } else if (trouble[0] == '\0') {
        fleet->has_told_trouble = false;
    } else if (!fleet->has_told_trouble && now_ms - fleet->begin_ms >= NOTE_EVERY_MS) {
        fleet->has_told_trouble = true; // Once, for it may pass.
        fprintf(stderr, "pipit fleet: %s; trying again\n", trouble);
    }
}

static bool is_overdue(struct fleet *fleet, int64_t now_ms)
{
    const struct crew_totals totals = crew_totals(fleet->crew);
    if (totals.waiting == 0 || totals.confirmed != fleet->confirmed) {
        fleet->confirmed = totals.confirmed;
        fleet->confirmed_at_ms = now_ms;
    }
    return now_ms - fleet->confirmed_at_ms > option_int(fleet->options, "timeout");
}

static enum err missing_explain(struct fleet *fleet, struct error *e)
{
    const struct crew_totals totals = crew_totals(fleet->crew);
    const char *spool = fleet->actor.spool, *trouble = crew_trouble(fleet->crew);
    const char *what = trouble[0] != '\0' ? trouble
                       : fleet->actor.confirm == PIPIT_CONFIRM_RECEIPT
                           ? "connected, but no hub sends receipts (pipit status)"
                           : "connected, but the broker does not acknowledge";
    return error_set(e, ERR_TIMEOUT, "%llu events were not confirmed%s%s%s: %s",
                     (unsigned long long)totals.waiting, spool == NULL ? "" : "; they wait in ",
                     spool == NULL ? "" : spool, spool == NULL ? "" : " for the next run",
                     interrupt_count > 0 && trouble[0] == '\0' ? "stopped by a signal" : what);
}

// ---- the loop ----------------------------------------------------------------------------------

// A fault or a signal ends the rows; what was accepted before is still to be confirmed.
static void rows_go_on(struct fleet *fleet, int64_t now_ms)
{
    struct error e;
    if (rows_feed(fleet, now_ms, &e) != ERR_OK) {
        fleet->fault = e;
        fleet->is_at_end = true;
    }
    if (interrupt_count > 0 && fleet->give_up_at_ms == INT64_MAX) {
        fleet->rows_max = 0;
        fleet->is_row_pending = false;
        fleet->is_at_end = true;
        fleet->give_up_at_ms = now_ms + INTERRUPT_MS;
    }
}

static enum err fleet_loop(struct fleet *fleet, struct error *e)
{
    fleet->give_up_at_ms = INT64_MAX;
    while (interrupt_count < 2) {
        int64_t now_ms = clock_monotonic_ms();
        rows_go_on(fleet, now_ms);
        enum err rc = crew_poll(fleet->crew, e);
        if (rc != ERR_OK) {
            return rc;
        }
        if (fleet->is_at_end && crew_totals(fleet->crew).waiting == 0) {
            break;
        }
        if (is_overdue(fleet, now_ms) || now_ms > fleet->give_up_at_ms) {
            break;
        }
        note(fleet, now_ms);
        uint32_t crew_ms = crew_next_ms(fleet->crew), rate_ms = rate_wait_ms(fleet, now_ms);
        pipit_bell_wait(&fleet->bell, crew_ms < rate_ms ? crew_ms : rate_ms);
    }
    if (fleet->fault.code != ERR_OK) {
        *e = fleet->fault;
        return e->code;
    }
    return crew_totals(fleet->crew).waiting == 0 ? ERR_OK : missing_explain(fleet, e);
}

static void fleet_goodbye(struct fleet *fleet)
{
    struct error e;
    int64_t end_ms = clock_monotonic_ms() + GOODBYE_MS;
    crew_stop(fleet->crew);
    while (!crew_is_stopped(fleet->crew) && clock_monotonic_ms() < end_ms) {
        if (crew_poll(fleet->crew, &e) != ERR_OK) {
            return;
        }
        if (!crew_is_stopped(fleet->crew)) {
            pipit_bell_wait(&fleet->bell, crew_next_ms(fleet->crew));
        }
    }
}

// ---- the outcome -------------------------------------------------------------------------------

// Of the file, whichever run accepted them.
static uint64_t member_events(const struct crew_member *member)
{
    return member->accepted + member->skipped;
}

static void member_json(void *context, const struct crew_member *member)
{
    json_object_set_new(context, member->name,
                        json_pack("{s:I, s:I, s:I}", "events", (json_int_t)member_events(member),
                                  "accepted", (json_int_t)member->accepted, "waiting",
                                  (json_int_t)member->waiting));
}

static void member_print(void *context, const struct crew_member *member)
{
    table_cell(context, COLOUR_NONE, "%s", member->name);
    table_cell(context, COLOUR_NONE, "%llu", (unsigned long long)member_events(member));
    table_cell(context, member->waiting > 0 ? COLOUR_YELLOW : COLOUR_NONE, "%llu",
               (unsigned long long)member->waiting);
}

static void outcome_json(struct fleet *fleet, double seconds, const struct error *e)
{
    const struct crew_totals totals = crew_totals(fleet->crew);
    json_t *json =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "devices", (json_int_t)totals.devices,
                  "accepted", (json_int_t)fleet->accepted, "skipped", (json_int_t)fleet->skipped,
                  "confirmed", (json_int_t)totals.confirmed, "waiting", (json_int_t)totals.waiting,
                  "resent", (json_int_t)totals.resent, "seconds", seconds);
    if (option_bool(fleet->options, "count")) {
        json_t *counts = json_object();
        crew_each(fleet->crew, member_json, counts);
        json_object_set_new(json, "counts", counts);
    }
    if (e != NULL) {
        json_object_set_new(json, "error", json_string(e->text));
    }
    json_dumpf(json, stdout, JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(json);
}

static void outcome_print(struct fleet *fleet, double seconds, bool is_done)
{
    static const char *const headings[] = {"device", ">events", ">waiting", NULL};
    const struct crew_totals totals = crew_totals(fleet->crew);
    struct table *table = option_bool(fleet->options, "count") ? table_create(headings) : NULL;
    if (table != NULL) {
        crew_each(fleet->crew, member_print, table);
        table_print(table, stdout);
        table_destroy(table);
    }
    printf("%s: %llu events of %u devices in %.1f s (%.0f/s)",
           is_done ? "all confirmed" : "not all confirmed", (unsigned long long)fleet->accepted,
           totals.devices, seconds, seconds > 0 ? (double)fleet->accepted / seconds : 0);
    if (fleet->skipped > 0) {
        printf(", %llu had been accepted by an earlier run", (unsigned long long)fleet->skipped);
    }
    if (totals.resent > 0) {
        printf(", %llu sent again", (unsigned long long)totals.resent);
    }
    printf("\n");
}

static enum err fleet_run(struct fleet *fleet, struct error *e)
{
    fleet->begin_ms = fleet->rate_begin_ms = fleet->confirmed_at_ms = clock_monotonic_ms();
    enum err rc = fleet_loop(fleet, e);
    double seconds = (double)(clock_monotonic_ms() - fleet->begin_ms) / 1000;
    progress_end();
    fleet_goodbye(fleet);
    if (option_bool(fleet->options, "json")) {
        outcome_json(fleet, seconds, rc == ERR_OK ? NULL : e);
    } else {
        outcome_print(fleet, seconds, crew_totals(fleet->crew).waiting == 0);
    }
    return rc;
}

// ---- beginning and end -------------------------------------------------------------------------

static enum err rate_read(struct fleet *fleet, struct error *e)
{
    const char *text = option_text(fleet->options, "rate");
    char *end = NULL;
    if (strcmp(text, "max") == 0) {
        return ERR_OK;
    }
    fleet->rate = strtod(text, &end);
    if (end == text || (*end != '\0' && strcmp(end, "/s") != 0) || !(fleet->rate >= 0.001) ||
        fleet->rate > 1e7) {
        return error_set(e, ERR_CONFIG, "--rate '%s' must be events a second, such as 500, or max",
                         text);
    }
    return ERR_OK;
}

static enum err rows_make(struct fleet *fleet, struct error *e)
{
    const struct options *options = fleet->options;
    const char *path = option_text(options, "file");
    if ((path != NULL) == options_is_set(options, "generate")) {
        return error_set(e, ERR_CONFIG, "give either --file FILE or --generate N");
    }
    if (path == NULL) {
        return rows_generate(&fleet->rows, (uint32_t)option_int(options, "generate"),
                             (uint64_t)option_int(options, "seed"), e);
    }
    struct rows_options rows = {
        .path = path,
        .device = option_text(options, "device"),
        .device_field = option_text(options, "device-field"),
        .fields = option_text(options, "fields"),
        .time_field = option_text(options, "time-field"),
        .is_looping = option_bool(options, "loop"),
        .stop = &interrupt_count,
    };
    return rows_open(&fleet->rows, &rows, e);
}

static void actor_fill(struct fleet *fleet)
{
    const struct options *options = fleet->options;
    struct actor_options *actor = &fleet->actor;
    actor->peer = &fleet->peer;
    actor->software = "pipit fleet";
    actor->spool = option_text(options, "spool");
    actor->spool_bytes = actor->spool != NULL ? SPOOL_BYTES : SPOOL_BYTES_RAM;
    if (options_is_set(options, "spool-limit")) {
        actor->spool_bytes = (uint32_t)option_int(options, "spool-limit");
    }
    actor->event_bytes = ROW_BYTES_MAX;
    actor->sync_every_ms = (uint32_t)option_int(options, "sync-every");
    actor->confirm =
        option_choice(options, "wait") == 0 ? PIPIT_CONFIRM_RECEIPT : PIPIT_CONFIRM_PUBACK;
    actor->qos = (enum pipit_qos)(option_int(options, "qos") + 1);
    actor->bell = &fleet->bell;
    actor->on_command = option_bool(options, "answer-commands") ? on_command : NULL;
}

static enum err fleet_open(struct fleet *fleet, struct error *e)
{
    enum err rc = peer_init(&fleet->peer, fleet->options, e);
    fleet->rows_max = options_is_set(fleet->options, "events")
                          ? (uint64_t)option_int(fleet->options, "events")
                          : UINT64_MAX;
    if (rc == ERR_OK) {
        rc = rate_read(fleet, e);
    }
    if (rc == ERR_OK) {
        rc = rows_make(fleet, e);
    }
    if (rc == ERR_OK && pipit_bell_open(&fleet->bell) != PIPIT_OK) {
        rc = error_set(e, ERR_UNAVAILABLE, "no file descriptors left");
    }
    if (rc == ERR_OK) {
        actor_fill(fleet);
        rc = crew_create(&fleet->crew, option_text(fleet->options, "group"), &fleet->actor, e);
    }
    return rc;
}

static void fleet_close(struct fleet *fleet)
{
    crew_destroy(fleet->crew);
    rows_close(fleet->rows);
    pipit_bell_close(&fleet->bell);
    peer_deinit(&fleet->peer);
}

static int exit_code(enum err rc)
{
    return rc == ERR_OK ? EXIT_OK : rc == ERR_TIMEOUT ? EXIT_UNAVAILABLE : EXIT_FAILED;
}

int fleet_command(int argc, char **argv)
{
    static struct fleet fleet = {.bell = {{-1, -1}}};
    struct arguments arguments;
    struct error e = {0};
    int code = arguments_init(&arguments, &usage, argc, argv);
    if (code != -1) {
        return code;
    }
    fleet.options = arguments.options;
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    enum err rc = arguments.word_count > 0
                      ? error_set(&e, ERR_CONFIG, "'%s' is not expected here", arguments.words[0])
                      : fleet_open(&fleet, &e);
    if (rc == ERR_CONFIG) {
        code = usage_fail(&usage, "%s", e.text);
    } else {
        rc = rc == ERR_OK ? fleet_run(&fleet, &e) : rc;
        code = exit_code(rc);
    }
    if (rc != ERR_OK && rc != ERR_CONFIG) {
        fprintf(stderr, "pipit fleet: %s\n", e.text);
    }
    fleet_close(&fleet);
    arguments_deinit(&arguments);
    return code;
}
