#include "cli/fleet_crew.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uthash.h>

#define DEVICES_MAX    100000
#define CONNECTING_MAX 100 // Devices that try to connect at the same time.

struct unit {
    char name[PEER_NAME_MAX];
    struct actor *actor;
    struct pipit_device *device;
    uint64_t accepted, skipped;
    bool is_started;
    UT_hash_handle hh;
};

struct crew {
    const char *group;
    struct actor_options options;
    struct unit *units; // By name, in the order of their coming.
    uint32_t unit_count;
    struct crew_totals totals;
    uint32_t next_ms;
};

// Each device has a connection; the soft limit of 1024 files would be too few.
static void files_allow(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

enum err crew_create(struct crew **out_crew, const char *group, const struct actor_options *options,
                     struct error *e)
{
    struct crew *crew = calloc(1, sizeof(*crew));
    if (crew == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory");
    }
    files_allow();
    crew->group = group;
    crew->options = *options;
    *out_crew = crew;
    return ERR_OK;
}

void crew_destroy(struct crew *crew)
{
    struct unit *unit, *next;
    if (crew == NULL) {
        return;
    }
    HASH_ITER(hh, crew->units, unit, next)
    {
        HASH_DEL(crew->units, unit);
        actor_destroy(unit->actor);
        free(unit);
    }
    free(crew);
}

static enum err unit_add(struct crew *crew, const char *name, struct unit **out_unit,
                         struct error *e)
{
    if (crew->unit_count == DEVICES_MAX) {
        return error_set(e, ERR_INVALID, "more than %d devices", DEVICES_MAX);
    }
    struct unit *unit = calloc(1, sizeof(*unit));
    if (unit == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory");
    }
    enum err rc = actor_create(&unit->actor, crew->group, name, &crew->options, e);
    if (rc != ERR_OK) {
        free(unit);
        return rc;
    }
    unit->device = actor_device(unit->actor);
    strcpy(unit->name, name); // actor_create has checked its length.
    HASH_ADD_STR(crew->units, name, unit);
    crew->unit_count++;
    *out_unit = unit;
    return ERR_OK;
}

enum err crew_accept(struct crew *crew, const struct row *row, const char *type,
                     enum crew_verdict *out_verdict, struct error *e)
{
    struct unit *unit = NULL;
    uint64_t mark = 0;
    HASH_FIND_STR(crew->units, row->device, unit);
    enum err rc = unit != NULL ? ERR_OK : unit_add(crew, row->device, &unit, e);
    if (rc != ERR_OK) {
        return rc;
    }
    if (pipit_mark(unit->device, &mark) == PIPIT_OK && row->number <= mark) {
        unit->skipped++;
        *out_verdict = CREW_SKIPPED;
        return ERR_OK;
    }
    struct pipit_event_options options = {
        .has_mark = true, .mark = row->number, .has_time = row->has_time, .time_ms = row->time_ms};
    enum pipit_err sdk =
        pipit_publish_fields(unit->device, type, row->fields, row->field_count, &options);
    *out_verdict = sdk == PIPIT_ERR_FULL ? CREW_FULL : CREW_ACCEPTED;
    if (sdk != PIPIT_OK && sdk != PIPIT_ERR_FULL) {
        actor_error(unit->actor, sdk, e);
        return error_wrap(e, "event %llu of device %s", (unsigned long long)row->number,
                          actor_name(unit->actor));
    }
    unit->accepted += sdk == PIPIT_OK;
    return ERR_OK;
}

static void totals_add(struct crew_totals *totals, const struct pipit_device *device)
{
    const struct pipit_counters *counters = pipit_counters(device);
    totals->devices++;
    totals->online += pipit_is_online(device);
    totals->waiting += pipit_waiting(device);
    totals->confirmed += counters->confirmed;
    totals->resent += counters->resent;
}

enum err crew_poll(struct crew *crew, struct error *e)
{
    struct crew_totals totals = {0};
    uint32_t now_ms = pipit_now_ms(), next_ms = 1000, connecting = 0;
    for (struct unit *unit = crew->units; unit != NULL; unit = unit->hh.next) {
        bool is_online = pipit_is_online(unit->device);
        if (unit->is_started || connecting < CONNECTING_MAX) {
            unit->is_started = true;
            enum pipit_err sdk = pipit_poll(unit->device, now_ms);
            if (sdk != PIPIT_OK) {
                actor_error(unit->actor, sdk, e);
                return error_wrap(e, "device %s", actor_name(unit->actor));
            }
            connecting += !is_online;
            uint32_t wait_ms = pipit_next_ms(unit->device);
            next_ms = wait_ms < next_ms ? wait_ms : next_ms;
        }
        totals_add(&totals, unit->device);
    }
    crew->totals = totals;
    crew->next_ms = next_ms;
    return ERR_OK;
}

uint32_t crew_next_ms(const struct crew *crew)
{
    return crew->next_ms;
}

void crew_stop(struct crew *crew)
{
    for (struct unit *unit = crew->units; unit != NULL; unit = unit->hh.next) {
        pipit_stop(unit->device);
    }
}

bool crew_is_stopped(const struct crew *crew)
{
    for (const struct unit *unit = crew->units; unit != NULL; unit = unit->hh.next) {
        if (unit->is_started && !pipit_is_stopped(unit->device)) {
            return false;
        }
    }
    return true;
}

struct crew_totals crew_totals(const struct crew *crew)
{
    return crew->totals;
}

const char *crew_trouble(struct crew *crew)
{
    if (crew->totals.online == crew->totals.devices) {
        return "";
    }
    for (struct unit *unit = crew->units; unit != NULL; unit = unit->hh.next) {
        const char *trouble =
            unit->is_started && !pipit_is_online(unit->device) ? actor_trouble(unit->actor) : "";
        if (trouble[0] != '\0') {
            return trouble;
        }
    }
    return "";
}

void crew_each(struct crew *crew, void (*each)(void *context, const struct crew_member *member),
               void *context)
{
    for (struct unit *unit = crew->units; unit != NULL; unit = unit->hh.next) {
        struct crew_member member = {.name = unit->name,
                                     .accepted = unit->accepted,
                                     .skipped = unit->skipped,
                                     .waiting = pipit_waiting(unit->device)};
        each(context, &member);
    }
}
