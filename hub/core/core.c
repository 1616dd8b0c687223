#include "core/core.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/core_parts.h"
#include "core/fault.h"
#include "core/window.h"

// Below the limit by so much the store counts as full: a batch should have room.
#define SLACK_BYTES_MAX (4 * 1024 * 1024)

enum err core_open(struct core **out_core, struct store *store, const struct core_spec *spec,
                   struct error *e)
{
    struct core *core = calloc(1, sizeof(*core));
    if (core == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the core");
    }
    core->store = store;
    core->spec = spec;
    event_memory_init(&core->memory);
    // The rules first: a configuration that cannot be used leaves nothing behind.
    enum err rc = formats_create(&core->formats, spec, e);
    rc = rc == ERR_OK ? core_open_rules(core, e) : rc;
    if (rc == ERR_OK) {
        rc = ledger_open(&core->ledger_file, store, &core->ledger, e);
    }
    if (rc == ERR_OK) {
        rc = quarantine_create(&core->quarantine, store, e);
    }
    if (rc == ERR_OK) {
        rc = history_create(&core->history, store, e);
    }
    if (rc == ERR_OK) {
        rc = replays_create(&core->replays, store, e);
    }
    if (rc == ERR_OK) {
        rc = dedupe_create(&core->dedupe, store, spec->faults, e);
    }
    if (rc == ERR_OK) {
        rc = sparkplug_create(&core->sparkplug, store, e);
    }
    if (rc == ERR_OK) {
        rc = rule_count_create(&core->rule_count, store, spec, e);
    }
    if (rc == ERR_OK) {
        rc = outbox_open(&core->outbox, store, spec, e);
    }
    if (rc != ERR_OK) {
        core_close(core);
        return rc;
    }
    workflows_set_outbox(core->workflows, core->outbox);
    core->committed = core->ledger;
    *out_core = core;
    return ERR_OK;
}

void core_close(struct core *core)
{
    if (core == NULL) {
        return;
    }
    core_batch_deinit(&core->batch);
    workflows_destroy(core->workflows);
    outbox_close(core->outbox);
    rule_count_destroy(core->rule_count);
    dedupe_destroy(core->dedupe);
    sparkplug_destroy(core->sparkplug);
    quarantine_destroy(core->quarantine);
    history_destroy(core->history);
    replays_destroy(core->replays);
    ledger_close(core->ledger_file);
    rules_close(core->rules);
    memo_destroy(core->memo);
    formats_destroy(core->formats);
    event_memory_deinit(&core->memory);
    notes_deinit(&core->notes);
    free(core);
}

struct step {
    const struct input *inputs;
    uint32_t count;
    bool has_messages, has_tick, is_synced;
    bool is_growing; // It takes what it could do without.
};

static uint64_t slack_bytes(const struct core *core)
{
    uint64_t part = core->spec->store_limit_bytes / 16;
    return part < SLACK_BYTES_MAX ? part : SLACK_BYTES_MAX;
}

static enum err store_full(const struct core *core, uint64_t used, struct error *e)
{
    const struct books *books = &core->committed.books;
    return error_set(
        e, ERR_FULL,
        "the store has %" PRIu64 " of store_limit %" PRIu64 " bytes in use (%" PRIu64
        " deliveries wait, %" PRIu64 " dead letters); messages are taken again when "
        "targets have taken theirs; replay or drop dead letters%s, or raise store_limit",
        used, core->spec->store_limit_bytes, books->waiting, books->dead,
        workflows_are_idle(core->workflows)
            ? ""
            : ", cancel instances of workflows that wait for what will not come");
}

static enum err check_disk(struct core *core, uint64_t more_bytes, struct error *e)
{
    if (core->spec->disk_reserve_bytes == 0) {
        return ERR_OK;
    }
    uint64_t available = store_disk_free_bytes(core->store);
    if (available >= core->spec->disk_reserve_bytes + more_bytes) {
        return ERR_OK;
    }
    return error_set(e, ERR_FULL,
                     "the disk of the store has %" PRIu64 " bytes to spare, %" PRIu64
                     " are needed and disk_reserve keeps %" PRIu64
                     "; messages are taken again when there is room on it; make room there: what "
                     "deliveries and workflows give up is used again by the store, but not given "
                     "back to the disk",
                     available, more_bytes, core->spec->disk_reserve_bytes);
}

// What falls due writes without an end, and nothing bounds it while no messages are taken: half of
// the reserve is for settling alone. It comes late then, as after a time when the hub was down.
static enum err check_due(struct core *core, struct error *e)
{
    uint64_t kept = core->spec->disk_reserve_bytes / 2;
    bool is_due = workflows_next_due_ms(core->workflows) <= core->now_ms ||
                  windows_next_due_ms(rules_windows(core->rules)) <= core->now_ms;
    uint64_t available = kept == 0 || !is_due ? UINT64_MAX : store_disk_free_bytes(core->store);
    if (available >= kept) {
        return ERR_OK;
    }
    return error_set(e, ERR_FULL,
                     "the disk of the store has %" PRIu64
                     " bytes to spare, less than half of disk_reserve %" PRIu64
                     ": timers and events of workflows and the ends of windows wait until there is "
                     "room on it; make room on the disk",
                     available, core->spec->disk_reserve_bytes);
}

static enum err check_limit(struct core *core, uint64_t more_bytes, struct error *e)
{
    uint64_t used = store_used_bytes(core->store);
    if (used + more_bytes > core->spec->store_limit_bytes) {
        return store_full(core, used, e);
    }
    return ERR_OK;
}

// Before the work. The history will give way: see work.
static enum err check_room(struct core *core, const struct step *step, struct error *e)
{
    if (!step->is_growing) {
        return step->has_tick ? check_due(core, e) : ERR_OK;
    }
    enum err rc = core->ledger.history_rows == 0 ? check_limit(core, slack_bytes(core), e) : ERR_OK;
    return rc == ERR_OK ? check_disk(core, 0, e) : rc;
}

// After the work, before the commit: exact. A store from which nothing will ever go out takes the
// batch whatever its size, for otherwise it would wait for ever. On the disk each page that is new
// needs its place twice, in the log and in the database: without both deliveries could not be
// settled any more, and the disk would stay full.
static enum err check_growth(struct core *core, uint64_t used_before, struct error *e)
{
    uint64_t used = store_used_bytes(core->store);
    uint64_t grown = used > used_before ? used - used_before : 0;
    enum err rc = check_disk(core, grown, e);
    core->needs_disk_bytes = rc == ERR_OK ? 0 : grown;
    if (rc != ERR_OK) {
        return rc;
    }
    if (used <= core->spec->store_limit_bytes || core->committed.books.waiting == 0) {
        core->needs_bytes = 0;
        return ERR_OK;
    }
    core->needs_bytes = grown;
    return store_full(core, used_before, e);
}

static enum err settle_outside(struct core *core, const struct input *inputs, uint32_t count,
                               struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        if (inputs[i].kind == INPUT_SETTLEMENT) {
            rc = outbox_settle_outside(core->outbox, &inputs[i].settlement, e);
        }
    }
    return rc;
}

static enum err settle_and_operate(struct core *core, const struct input *inputs, uint32_t count,
                                   struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        if (inputs[i].kind == INPUT_SETTLEMENT) {
            rc = core_settle(core, &inputs[i].settlement, e);
        } else if (inputs[i].kind == INPUT_OPERATION) {
            rc = core_operate(core, &inputs[i].operation, e);
        }
    }
    return rc;
}

static enum err flush(struct core *core, struct error *e)
{
    enum err rc = workflows_flush(core->workflows, e);
    if (rc == ERR_OK) {
        rc = dedupe_flush(core->dedupe, &core->ledger.books.missing, e);
    }
    if (rc == ERR_OK) {
        rc = memo_flush(core->memo, core->now_ms, e);
    }
    if (rc == ERR_OK) {
        rc = sparkplug_flush(core->sparkplug, e);
    }
    if (rc == ERR_OK) {
        rc = outbox_flush(core->outbox, &core->ledger.books, e);
    }
    if (rc == ERR_OK) {
        rc = rule_count_flush(core->rule_count, e);
    }
    if (rc == ERR_OK) {
        rc = windows_flush(rules_windows(core->rules), e);
    }
    return rc == ERR_OK ? ledger_write(core->ledger_file, &core->ledger, e) : rc;
}

// The history gives way before anything is refused.
static enum err enter(struct core *core, struct error *e)
{
    if (core->ledger.history_rows == 0) {
        return ERR_OK; // It was looked at before.
    }
    enum err rc = core_history_make_room(core, slack_bytes(core), e);
    return rc == ERR_OK ? check_limit(core, slack_bytes(core), e) : rc;
}

static enum err leave(struct core *core, uint64_t used_before, struct error *e)
{
    uint64_t rows = core->ledger.history_rows;
    enum err rc = core_history_make_room(core, 0, e);
    if (rc == ERR_OK && rows != core->ledger.history_rows) {
        rc = ledger_write(core->ledger_file, &core->ledger, e);
    }
    return rc == ERR_OK ? check_growth(core, used_before, e) : rc;
}

// Everything between begin and commit.
static enum err work(struct core *core, const struct step *step, struct error *e)
{
    uint64_t used_before = step->is_growing ? store_used_bytes(core->store) : 0;
    enum err rc = step->is_growing ? enter(core, e) : ERR_OK;
    if (rc == ERR_OK) {
        rc = windows_set_now(rules_windows(core->rules), core->now_ms, e);
    }
    if (rc == ERR_OK) {
        rc = settle_and_operate(core, step->inputs, step->count, e);
    }
    if (rc == ERR_OK && (step->has_messages || step->has_tick || core->played_count > 0)) {
        rc = core_take_messages(core, step->inputs, step->count, e);
    }
    if (rc == ERR_OK && step->is_synced) {
        rc = core_history_prune(core, step->count, e);
    }
    if (rc == ERR_OK) {
        rc = flush(core, e);
    }
    return rc == ERR_OK && step->is_growing ? leave(core, used_before, e) : rc;
}

static void commit_memory(struct core *core)
{
    dedupe_commit(core->dedupe);
    memo_commit(core->memo);
    sparkplug_commit(core->sparkplug);
    outbox_commit(core->outbox);
    rule_count_commit(core->rule_count);
    windows_commit(rules_windows(core->rules));
    workflows_commit(core->workflows, &core->outcome);
    core->committed = core->ledger;
}

static void rollback(struct core *core)
{
    store_rollback(core->store);
    dedupe_rollback(core->dedupe);
    memo_rollback(core->memo);
    rules_rollback(core->rules);
    sparkplug_rollback(core->sparkplug);
    outbox_rollback(core->outbox);
    rule_count_rollback(core->rule_count);
    windows_rollback(rules_windows(core->rules));
    workflows_rollback(core->workflows);
    core->ledger = core->committed;
    core->outcome = (struct outcome){0};
}

// What a rule found out about the disk holds for the store.
static enum err seal(struct core *core, enum err rc, struct error *e)
{
    if ((rc == ERR_IO || rc == ERR_CORRUPT) && !store_is_sealed(core->store)) {
        struct error unused;
        store_fail(core->store, rc == ERR_IO ? SQLITE_IOERR : SQLITE_CORRUPT,
                   e == NULL ? "run the rules" : e->text, &unused);
    }
    return rc;
}

static bool does_grow(const struct input *input)
{
    enum operation_kind kind = input->operation.kind;
    return input->kind == INPUT_MESSAGE ||
           (input->kind == INPUT_OPERATION &&
            (kind == OPERATION_QUARANTINE_REPLAY || kind == OPERATION_REPLAY_CHUNK));
}

// What a workflow does next must not outlive the answer that led to it.
static bool is_answer(const struct core *core, const struct settlement *settlement)
{
    return settlement->verdict != VERDICT_NOT_SENT &&
           outbox_call_key(core->outbox, settlement) != NULL;
}

static struct step look_at(const struct core *core, const struct input *inputs, uint32_t count)
{
    struct step step = {.inputs = inputs, .count = count};
    for (uint32_t i = 0; i < count; i++) {
        step.has_messages |= inputs[i].kind == INPUT_MESSAGE;
        step.has_tick |= inputs[i].kind == INPUT_TICK;
        step.is_growing |= does_grow(&inputs[i]);
        step.is_synced |= inputs[i].kind != INPUT_SETTLEMENT ||
                          outbox_buries(core->outbox, &inputs[i].settlement) ||
                          is_answer(core, &inputs[i].settlement);
    }
    return step;
}

static void begin_memory(struct core *core, int64_t now_ms)
{
    core->now_ms = now_ms;
    core->outcome = (struct outcome){0};
    core->played = NULL;
    core->played_count = 0;
    core_batch_clear(&core->batch);
    event_memory_reset(&core->memory);
    outbox_set_now(core->outbox, now_ms);
    workflows_set_now(core->workflows, now_ms);
    store_set_now(core->store, now_ms);
}

static enum err attempt(struct core *core, const struct step *step, struct error *e)
{
    enum err rc = store_begin(core->store, step->is_synced, e);
    if (rc == ERR_OK) {
        rc = work(core, step, e);
    }
    if (rc == ERR_OK) {
        rc = store_commit(core->store, e);
    }
    if (rc != ERR_OK) {
        seal(core, rc, e);
        rollback(core);
    }
    return rc;
}

// A rule has cost the transaction; without it on that event the batch may do.
static bool may_retry(struct core *core)
{
    if (!rules_may_retry(core->rules)) {
        return false;
    }
    begin_memory(core, core->now_ms);
    return true;
}

enum err core_step(struct core *core, const struct input *inputs, uint32_t count, int64_t now_ms,
                   struct outcome *out_outcome, struct error *e)
{
    struct step step = look_at(core, inputs, count);
    begin_memory(core, now_ms);
    *out_outcome = core->outcome;
    if (store_is_sealed(core->store)) {
        return error_set(e, ERR_IO, "the store is sealed by an earlier failure; open it again");
    }
    enum err rc = check_room(core, &step, e);
    if (rc == ERR_OK && (core->spec->faults & FAULT_SETTLE_OUTSIDE) != 0) {
        rc = settle_outside(core, inputs, count, e);
    }
    if (rc != ERR_OK || count == 0) {
        return rc;
    }
    rules_begin_batch(core->rules);
    do {
        rc = attempt(core, &step, e);
    } while (rc == ERR_NO_MEMORY && may_retry(core));
    if (rc != ERR_OK) {
        return rc;
    }
    core_tell(core);
    commit_memory(core);
    *out_outcome = core->outcome;
    return ERR_OK;
}

uint32_t core_take(struct core *core, uint32_t target, uint32_t count_max, uint64_t bytes_max,
                   int64_t now_ms, const struct delivery **out_deliveries)
{
    return outbox_take(core->outbox, target, count_max, bytes_max, now_ms, out_deliveries);
}

int64_t core_next_due_ms(const struct core *core)
{
    return outbox_next_due_ms(core->outbox);
}

int64_t core_next_timer_ms(const struct core *core)
{
    int64_t history_ms = history_due_ms(core->history, &core->spec->history, &core->committed);
    int64_t window_ms = windows_next_due_ms(rules_windows(core->rules));
    int64_t workflow_ms = workflows_next_due_ms(core->workflows);
    int64_t first_ms = window_ms < history_ms ? window_ms : history_ms;
    return workflow_ms < first_ms ? workflow_ms : first_ms;
}

// What stands ready while a swap is under way.
struct swap {
    const struct core_spec *spec;
    const struct table_data *data; // Of a table whose columns change.
    struct formats *formats;
    struct rules *rules;
    struct workflow_set *workflows;
    struct rule_count *count;
};

static enum err prepare_swap(struct core *core, struct swap *swap, struct error *e)
{
    notes_deinit(&core->notes);
    enum err rc = formats_create(&swap->formats, swap->spec, e);
    rc = rc == ERR_OK ? store_begin(core->store, true, e) : rc;
    rc = rc == ERR_OK ? core_prepare_tables(core, swap->spec, swap->data, e) : rc;
    if (rc == ERR_OK) {
        rc = rules_open(&swap->rules, store_db(core->store), swap->spec, e);
        rc = rc == ERR_OK ? core_attach_windows(core, swap->rules, e) : rc;
    }
    if (rc == ERR_OK) {
        rc = workflows_prepare(core->workflows, swap->spec, &swap->workflows, &core->notes, e);
    }
    rc = rc == ERR_OK ? core_attach_memory(core, swap->rules, swap->spec, e) : rc;
    if (rc == ERR_OK) {
        rc = rule_count_create(&swap->count, core->store, swap->spec, e);
    }
    return rc == ERR_OK ? outbox_prepare_spec(core->outbox, swap->spec, e) : rc;
}

static void swap_deinit(struct swap *swap)
{
    rule_count_destroy(swap->count);
    workflow_set_destroy(swap->workflows);
    rules_close(swap->rules);
    formats_destroy(swap->formats);
}

enum err core_try_swap(struct core *core, const struct core_spec *spec, struct error *e)
{
    struct swap swap = {.spec = spec};
    enum err rc = prepare_swap(core, &swap, e);
    store_rollback(core->store);
    memo_rollback(core->memo);
    swap_deinit(&swap);
    return rc;
}

static enum err swap_spec(struct core *core, const struct core_spec *spec,
                          const struct table_data *data, struct error *e)
{
    struct swap swap = {.spec = spec, .data = data};
    enum err rc = prepare_swap(core, &swap, e);
    if (rc == ERR_OK) {
        rc = store_commit(core->store, e);
    }
    if (rc == ERR_OK) {
        rc = outbox_use_spec(core->outbox, spec, e);
    }
    if (rc != ERR_OK) {
        store_rollback(core->store);
        memo_rollback(core->memo);
        swap_deinit(&swap);
        return rc;
    }
    memo_commit(core->memo);
    core_batch_clear(&core->batch); // Its events use the formats.
    workflows_use(core->workflows, spec, swap.formats, swap.workflows);
    rules_close(core->rules);
    formats_destroy(core->formats);
    rule_count_destroy(core->rule_count);
    core->formats = swap.formats;
    core->rules = swap.rules;
    core->rule_count = swap.count;
    core->spec = spec;
    return ERR_OK;
}

enum err core_swap(struct core *core, const struct core_spec *spec, struct error *e)
{
    return swap_spec(core, spec, NULL, e);
}

enum err core_load_table(struct core *core, const struct table_data *data, struct error *e)
{
    enum table_change change = TABLE_SAME;
    enum err rc = core_compare_table(core, data, &change, e);
    if (rc != ERR_OK || change == TABLE_SAME) {
        return rc;
    }
    // Other columns: the rules are compiled anew.
    return change == TABLE_ROWS ? core_replace_rows(core, data, e)
                                : swap_spec(core, core->spec, data, e);
}

const struct notes *core_notes(const struct core *core)
{
    return &core->notes;
}

struct rules *core_rules(const struct core *core)
{
    return core->rules;
}

void core_books(const struct core *core, struct books *out_books)
{
    *out_books = core->committed.books;
}

enum err core_has_room(struct core *core, struct error *e)
{
    if (store_is_sealed(core->store)) {
        return error_set(e, ERR_IO, "the store is sealed by an earlier failure; open it again");
    }
    enum err rc = outbox_has_room(core->outbox, e);
    if (rc != ERR_OK) {
        return rc;
    }
    uint64_t more = slack_bytes(core);
    if (core->needs_bytes > more && core->committed.books.waiting > 0) {
        more = core->needs_bytes;
    }
    rc = check_limit(core, more, e);
    if (rc == ERR_FULL && core->committed.history_rows > 0) {
        rc = ERR_OK; // It gives way.
    }
    // The batch that did not fit comes back in halves; while nothing waits no more room will come.
    uint64_t more_disk = core->committed.books.waiting > 0 ? core->needs_disk_bytes / 2 : 0;
    return rc == ERR_OK ? check_disk(core, more_disk, e) : rc;
}

void core_counters(const struct core *core, core_counter_fn *each, void *context)
{
    rule_count_tell(core->rule_count, each, context);
    windows_counters(rules_windows(core->rules), each, context);
    outbox_counters(core->outbox, each, context);
    workflows_counters(core->workflows, each, context);
    tables_tell(core->store, each, context);
    each(context, "store/used_bytes", store_used_bytes(core->store));
    each(context, "store/limit_bytes", core->spec->store_limit_bytes);
    each(context, "quarantine/bytes", core->committed.quarantine_bytes);
    each(context, "history/rows", core->committed.history_rows);
    each(context, "history/bytes", core->committed.history_bytes);
}
