// daemon_parts.h - what the files of the daemon share.
//
// Threads:   hub thread.
//
// Ownership: struct daemon owns all of it; deliveries in workers belong to the core, so workers end
// before it.
//
// Failure:   as each function says; what only one source or target suffers is logged and tried
// again.
#ifndef PIPIT_DAEMON_DAEMON_PARTS_H
#define PIPIT_DAEMON_DAEMON_PARTS_H

#include "admin/control.h"
#include "admin/stats.h"
#include "config/config.h"
#include "core/core.h"
#include "daemon/daemon.h"
#include "delivery/worker.h"
#include "intake/source.h"
#include "store/store.h"

#define SETTLE_DEFER_MS    5    // Settlements wait so long for messages to be committed with.
#define SETTLE_DEFER_COUNT 64   // So many do not wait.
#define SETTLE_COUNT_MAX   2000 // In one transaction.
#define BATCH_LIMIT_MIN    1
#define TAKE_BYTES_MAX     (4 << 20) // Of deliveries offered to a worker at a time.
#define TAKE_COUNT_MAX     1000
#define CLOCK_SLACK_MS     1000 // The wall clock may step back so far without a look at the timers.
#define ROOM_CHECK_MS      1000 // How often a full store is looked at.
#define ROOM_CHECKS_NEEDED 2    // So often in a row there must be room; doubles while the store is
#define ROOM_CHECKS_MAX    30   // full again at once, up to this.
#define ROOM_SHORT_MS      60000 // "At once".
#define REOPEN_MIN_MS      1000  // Of a store that failed; doubles
#define REOPEN_MAX_MS      60000 // up to this.
#define RATE_MS            5000  // Rates are over about so long.
#define ENSURE_MS          5000  // How often sources and workers that could not be made are tried.
#define MEMORY_LOOK_MS     2000  // Quiet for so long, the hub gives free memory back.

//             core_step: ERR_FULL             room, lasting
//   RUNNING ───────────────────────▶ FULL ──────────────────▶ RUNNING
//   RUNNING, FULL ──ERR_IO, ERR_CORRUPT──▶ SEALED ──reopened──▶ RUNNING
//   any ──SIGTERM──▶ STOPPING ──drained, or `drain` is over, or a second signal──▶ (end)
enum daemon_state { DAEMON_RUNNING, DAEMON_FULL, DAEMON_SEALED, DAEMON_STOPPING };

struct source_slot {
    const struct config_source *spec;
    const struct config *config; // That spec lives in.
    struct source *source;       // NULL: could not be made.
    struct pollfd pollfd;
    int64_t due_ms; // To be called then even if nothing comes. Monotonic.
    uint32_t read;  // Messages of the batch at hand.
};

struct worker_slot {
    const struct config_target *spec;
    const struct target_spec *core_spec;
    const struct config *config;
    struct worker *worker; // NULL: could not be made.
    uint32_t in_flight;    // Offered, not collected.
    bool is_moving;        // Stays through the reload under way.
};

// A configuration that a source or worker still borrows from.
struct retired_config {
    struct config *config;
    struct retired_config *next;
};

struct reload_changes {
    uint32_t kept, added, changed, removed;
};

struct signals_seen {
    bool stop, stop_now, reload;
};

struct table_watch; // daemon_tables.c
// The configuration of a hub that starts, its faults to each: where a table's file is faulty, which
// is logged, the rows that the store has serve, and it shows whether the rules can do with them
// when the core is opened.
enum err tables_load_start(const char *path, config_report_fn *each, void *context,
                           struct config **out_config, struct error *e);

struct daemon {
    const struct daemon_options *options;
    struct config *config;
    struct retired_config *retired;
    struct store *store;
    struct core *core; // NULL while sealed.
    struct source_slot *sources;
    uint32_t source_count;
    struct worker_slot *workers; // Parallel to config->targets.
    uint32_t worker_count;
    struct table_watch *tables; // Parallel to config->tables.
    int64_t tables_at_ms;       // Their files are looked at then; INT64_MAX: there are none.
    struct control *control;
    struct stats *stats;
    int bell_fd, signal_fd;
    enum daemon_state state;

    // The batch: settlements end at SETTLE_COUNT_MAX, messages begin there.
    struct input *inputs;
    uint16_t *owners; // Index of the source of each message.
    uint32_t input_capacity;
    uint32_t batch_limit; // Messages; batch_events, less after a batch that there was no room for.
    uint32_t message_count;
    uint32_t settlement_count; // Collected, not committed.
    uint64_t message_bytes;
    int64_t first_at_ms;     // When the first message of the batch was read.
    int64_t rest_until_us;   // Sources are left alone until then.
    const struct pace *pace; // How fast events come; NULL: not known yet.
    uint64_t window_count;
    int64_t window_at_ms;
    int64_t settle_at_ms; // Settlements wait for messages no longer than until then.
    int64_t retry_at_ms;  // A full store refused them; not before.
    int64_t tick_at_ms;   // It refused what was due; not before.
    struct control_ask asks[CONTROL_CLIENTS_MAX];
    uint32_t ask_count;
    bool did_poll_sources;
    bool has_reasons;  // Texts of the workers: no collect before they are committed.
    bool must_settle;  // Settlements do not wait for messages.
    bool must_collect; // A worker has more than could be collected.
    int64_t fed_wall_ms;
    int64_t stepped_wall_ms; // The last transaction's time: the clock may have stepped back since.

    struct pollfd *pollfds;
    uint32_t pollfd_capacity;
    int64_t now_ms; // Monotonic, since the last poll.

    char reason[600]; // Why FULL or SEALED.
    int64_t room_check_ms;
    uint32_t room_checks, room_checks_needed;
    int64_t room_at_ms;      // When there was room again the last time; 0: never.
    uint64_t filled_waiting; // Deliveries that waited when the store was full.
    int64_t reopen_at_ms, reopen_wait_ms;
    int64_t stats_at_ms;    // Monotonic; INT64_MAX: never.
    int64_t look_at_ms;     // The next look at the connection that statistics go to.
    int64_t stats_since_ms; // Wall clock; when that connection was made.
    int64_t ensure_at_ms;   // 0: every source and worker is there.
    int64_t started_ms;
    int64_t drain_end_ms;
    bool is_ending;
    enum err end_rc;
    struct books last_books; // While sealed.

    int64_t memory_at_ms;
    uint64_t memory_seen, memory_trimmed; // Events and deliveries, at the last look and trim.

    int64_t rate_at_ms;
    struct books rate_books;
    double received_per_s, delivered_per_s;
};

// daemon_signals.c
enum err signals_open(int *out_fd, struct error *e);
struct signals_seen signals_read(int fd);

// daemon_poll.c: the one place where the hub thread sleeps.
enum err daemon_poll(struct daemon *daemon, struct signals_seen *out_signals, struct error *e);

// daemon_read.c
enum read_result { READ_NOTHING, READ_GROWING, READ_COMPLETE };
enum read_result read_messages(struct daemon *daemon);
int64_t read_rest_us(const struct daemon *daemon); // Until the sources are looked at again.
void read_forget(struct daemon *daemon);           // The batch is over: committed or given up.

// daemon_batch.c
// Memory for the batches of a configuration; batch_use, when it is the daemon's own, uses it.
enum err batch_reserve(struct daemon *daemon, const struct config *config, struct error *e);
void batch_use(struct daemon *daemon);
void batch_run(struct daemon *daemon); // Collects, reads, steps, acknowledges.
// When a timer of the core is due, by the monotonic clock; INT64_MAX: nothing waits for one.
int64_t batch_timer_due_ms(const struct daemon *daemon);
void batch_drop(struct daemon *daemon);  // The store is gone: nothing of it will be committed.
void batch_flush(struct daemon *daemon); // Commits messages that were read, before a change.
// In a transaction of its own, with the settlements that wait. ERR_NOT_FOUND, ERR_INVALID,
// ERR_FULL: refused.
enum err batch_operate(struct daemon *daemon, const struct operation *operation,
                       struct outcome *out_outcome, struct error *e);
// Everything of a worker that has been stopped, committed.
void batch_collect_stopped(struct daemon *daemon, struct worker_slot *slot);

// daemon_tables.c
void tables_watch(struct daemon *daemon); // The files of a configuration that the core has.
void tables_tick(struct daemon *daemon);  // Reads those that have changed.
void tables_unwatch(struct daemon *daemon);

// daemon_sources.c
enum err sources_create(struct daemon *daemon, struct error *e);
void sources_destroy(struct daemon *daemon);
void sources_leave(struct daemon *daemon, const char *reason);
void sources_return(struct daemon *daemon);
void sources_ensure(struct daemon *daemon); // Makes those that are missing.
// Slots for a new configuration; free() gives them up. NULL: out of memory.
struct source_slot *sources_plan(struct daemon *daemon, const struct config *config,
                                 struct reload_changes *changes, struct error *e);
// Sources that stay as they are move over; the others end and begin.
void sources_adopt(struct daemon *daemon, const struct config *config,
                   struct source_slot *take_slots);
// The one that statistics and mirror go to, NULL: there is none.
struct source_slot *sources_for_stats(struct daemon *daemon);

// daemon_workers.c
enum err workers_create(struct daemon *daemon, struct error *e);
void workers_destroy(struct daemon *daemon);
void workers_close(struct daemon *daemon);  // Ends all; what was in flight is not settled.
void workers_finish(struct daemon *daemon); // Ends all; everything is collected and settled.
void workers_ensure(struct daemon *daemon); // Makes those that are missing.
void workers_feed(struct daemon *daemon);   // core_take for those that have room.
uint32_t workers_in_flight(const struct daemon *daemon);
bool workers_any_up(const struct daemon *daemon);
// Slots for a new configuration; ends the workers that cannot stay. NULL: out of memory. Then
// either of the two below.
struct worker_slot *workers_plan(struct daemon *daemon, const struct config *config,
                                 struct reload_changes *changes, struct error *e);
void workers_adopt(struct daemon *daemon, const struct config *config,
                   struct worker_slot *take_slots);
void workers_keep(struct daemon *daemon, struct worker_slot *take_slots);

// daemon_store.c
enum err store_start(struct daemon *daemon, struct error *e);
void store_stop(struct daemon *daemon);
void daemon_seal(struct daemon *daemon, enum err rc, const char *text);
void daemon_fill(struct daemon *daemon, const char *text);
void store_tick(
    struct daemon *daemon); // Looks for room, opens a failed store again: when it is time.

// daemon_reload.c
// What the configuration did to what rules keep.
void reload_log_notes(const struct daemon *daemon);
// What changed (is_dry: would change), as control.h has it; an error tells why nothing did.
enum err daemon_reload(struct daemon *daemon, bool is_dry, json_t **out_reply, struct error *e);
void retired_destroy(struct daemon *daemon);

// daemon_status.c
void status_tick(struct daemon *daemon); // Rates and statistics, when it is time.
int64_t status_due_ms(const struct daemon *daemon);
void status_offline(struct daemon *daemon);
json_t *daemon_status(struct daemon *daemon); // NULL: out of memory.
void status_mirror(struct daemon *daemon, const struct outcome *outcome);
// What has happened in workflows; what the broker does not take in time is lost.
void status_transitions(struct daemon *daemon, const struct outcome *outcome);
bool status_publish(void *context, const char *topic, struct bytes payload); // For stats_create.

// daemon_control.c
void control_serve(struct daemon *daemon); // Answers everything that was asked.

#endif
