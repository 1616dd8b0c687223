#include "trial/case_run.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/arena.h"
#include "trial/case_instances.h"
#include "trial/case_match.h"
#include "trial/case_world.h"
#include "trial/trial.h"

#define LOOK_AHEAD 16 // Deliveries or expectations that may be passed over to find the next pair.

struct run {
    const struct config *config;
    const struct case_spec *spec;
    struct case_result *result;
    struct trial *trial;
    struct arena *arena;        // The result's.
    struct trial_delivery *got; // In the order in which they went out; in copies.
    uint32_t got_count;
    uint32_t rejected_count;
    bool *is_rejected; // By expectation: it has happened.
    struct case_world world;
};

static void add_fault(struct run *run, struct case_fault fault)
{
    if (run->result->fault_count < CASE_FAULTS_MAX) {
        run->result->faults[run->result->fault_count] = fault;
    }
    run->result->fault_count++;
}

// ---- playing ------------------------------------------------------------------------------------

static struct bytes copy(struct run *run, struct bytes bytes)
{
    const char *text =
        arena_text(run->arena, bytes.len == 0 ? "" : (const char *)bytes.ptr, bytes.len);
    return bytes_of(text, text == NULL ? 0 : bytes.len);
}

static enum err collect(struct run *run, struct error *e)
{
    const struct trial_delivery *deliveries = NULL;
    uint32_t count = 0;
    enum err rc = trial_take(run->trial, &deliveries, &count, e);
    if (rc != ERR_OK || count == 0) {
        return rc;
    }
    run->got = calloc(count, sizeof(run->got[0]));
    if (run->got == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the case");
    }
    for (uint32_t i = 0; i < count; i++) {
        struct delivery *delivery = &run->got[i].delivery;
        run->got[i] = deliveries[i];
        delivery->topic = copy(run, delivery->topic);
        delivery->payload = copy(run, delivery->payload);
        delivery->key = copy(run, delivery->key);
        delivery->properties = copy(run, delivery->properties);
        delivery->rule = (const char *)copy(run, bytes_from_text(delivery->rule)).ptr;
        delivery->content_type =
            (const char *)copy(run, bytes_from_text(delivery->content_type)).ptr;
    }
    run->got_count = count;
    return ERR_OK;
}

static enum err operate(struct run *run, const struct case_event *event, struct error *e)
{
    struct operation operation = {
        .kind = event->kind == CASE_RETRY ? OPERATION_WORKFLOW_RETRY : OPERATION_WORKFLOW_CANCEL,
        .cancel = event->kind == CASE_ABANDON ? CANCEL_ABANDON : CANCEL_UNDO,
    };
    int64_t id = 0;
    enum err rc = trial_advance(run->trial, event->at_ms, e);
    rc = rc == ERR_OK ? instances_find(trial_store(run->trial), event->workflow, event->key, &id, e)
                      : rc;
    if (rc == ERR_OK && id == 0) {
        return error_set(e, ERR_NOT_FOUND, "%s/%s: there is no such instance that is not over",
                         event->workflow, event->key);
    }
    operation.first = (uint64_t)id;
    return rc == ERR_OK ? trial_operate(run->trial, &operation, e) : rc;
}

static enum err play_one(struct run *run, const struct case_event *event, struct error *e)
{
    if (event->kind == CASE_TIME) {
        return trial_advance(run->trial, event->at_ms, e);
    }
    if (event->kind == CASE_MESSAGE) {
        run->result->events++;
        return trial_step(run->trial, &event->message, 1, event->at_ms, e);
    }
    return operate(run, event, e);
}

static enum err play(struct run *run, struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < run->spec->event_count; i++) {
        const struct case_event *event = &run->spec->events[i];
        rc = play_one(run, event, e);
        if (rc != ERR_OK && rc != ERR_NO_MEMORY) {
            add_fault(run, (struct case_fault){event->at, arena_print(run->arena, "%s", e->text),
                                               NULL, NULL});
        }
    }
    return rc == ERR_OK ? collect(run, e) : rc;
}

// ---- judging ------------------------------------------------------------------------------------

static void missing(struct run *run, const struct case_expect *expect)
{
    const char *target = run->config->targets[expect->target].name;
    add_fault(run, (struct case_fault){expect->at,
                                       arena_print(run->arena, "%s: did not get this", target),
                                       case_expect_line(expect, run->arena), NULL});
}

static void unexpected(struct run *run, const struct trial_delivery *got)
{
    const char *target = run->config->targets[got->target].name;
    add_fault(
        run, (struct case_fault){
                 run->spec->at,
                 arena_print(run->arena, "%s: got this, which is not expected (rule %s, at %s)",
                             target, got->delivery.rule, case_instant_text(run->arena, got->at_ms)),
                 NULL, case_got_line(run->config, NULL, got, run->arena)});
}

static void different(struct run *run, const struct case_expect *expect,
                      const struct trial_delivery *got, const char *difference)
{
    const char *target = run->config->targets[expect->target].name;
    add_fault(run,
              (struct case_fault){expect->at, arena_print(run->arena, "%s: %s", target, difference),
                                  case_expect_line(expect, run->arena),
                                  case_got_line(run->config, expect, got, run->arena)});
}

// What is expected of one target, and what it got.
struct side {
    const struct case_expect **expects;
    const struct trial_delivery **got;
    uint32_t expect_count, got_count;
};

static const char *pair_difference(struct run *run, const struct side *side, uint32_t expect,
                                   uint32_t got)
{
    return case_difference(run->config, side->expects[expect], side->got[got], run->arena);
}

// Without a word about it: many are tried.
static bool pair_fits(struct run *run, const struct side *side, uint32_t expect, uint32_t got)
{
    struct arena *arena = arena_create();
    bool fits = arena != NULL &&
                case_difference(run->config, side->expects[expect], side->got[got], arena) == NULL;
    arena_destroy(arena);
    return fits;
}

// How many deliveries from `got` on are to be passed over until one is as expected; LOOK_AHEAD:
// none.
static uint32_t look_for_got(struct run *run, const struct side *side, uint32_t expect,
                             uint32_t got)
{
    for (uint32_t i = 1; i < LOOK_AHEAD && got + i < side->got_count; i++) {
        if (pair_fits(run, side, expect, got + i)) {
            return i;
        }
    }
    return LOOK_AHEAD;
}

static uint32_t look_for_expect(struct run *run, const struct side *side, uint32_t expect,
                                uint32_t got)
{
    for (uint32_t i = 1; i < LOOK_AHEAD && expect + i < side->expect_count; i++) {
        if (pair_fits(run, side, expect + i, got)) {
            return i;
        }
    }
    return LOOK_AHEAD;
}

// Pairs in order; around what is too much or missing the next pair is looked for.
static void judge_in_order(struct run *run, const struct side *side)
{
    uint32_t expect = 0, got = 0;
    while (expect < side->expect_count && got < side->got_count) {
        const char *difference = pair_difference(run, side, expect, got);
        uint32_t more = LOOK_AHEAD, fewer = LOOK_AHEAD;
        if (difference != NULL) {
            more = look_for_got(run, side, expect, got);
            fewer = look_for_expect(run, side, expect, got);
        }
        if (more < LOOK_AHEAD && more <= fewer) {
            for (uint32_t i = 0; i < more; i++) {
                unexpected(run, side->got[got++]);
            }
        } else if (fewer < LOOK_AHEAD) {
            for (uint32_t i = 0; i < fewer; i++) {
                missing(run, side->expects[expect++]);
            }
        } else if (difference != NULL) {
            different(run, side->expects[expect++], side->got[got++], difference);
        } else {
            expect++;
            got++;
        }
    }
    while (expect < side->expect_count) {
        missing(run, side->expects[expect++]);
    }
    while (got < side->got_count) {
        unexpected(run, side->got[got++]);
    }
}

// Takes every pair out that fits, in whatever order; what is left is judged in its order.
static void take_pairs(struct run *run, struct side *side)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < side->expect_count; i++) {
        uint32_t j = 0;
        while (j < side->got_count && !pair_fits(run, side, i, j)) {
            j++;
        }
        if (j == side->got_count) {
            side->expects[kept++] = side->expects[i];
            continue;
        }
        memmove(&side->got[j], &side->got[j + 1], (side->got_count - j - 1) * sizeof(side->got[0]));
        side->got_count--;
    }
    side->expect_count = kept;
}

static void list_side(struct run *run, uint32_t target, struct side *side)
{
    side->expect_count = side->got_count = 0;
    for (uint32_t i = 0; i < run->spec->expect_count; i++) {
        if (run->spec->expects[i].target == target) {
            side->expects[side->expect_count++] = &run->spec->expects[i];
        }
    }
    for (uint32_t i = 0; i < run->got_count; i++) {
        if (run->got[i].target == target) {
            side->got[side->got_count++] = &run->got[i];
        }
    }
}

static void judge_target(struct run *run, uint32_t target, struct side *side)
{
    uint32_t faults = run->result->fault_count;
    list_side(run, target, side);
    if (run->spec->is_any_order) {
        take_pairs(run, side);
    }
    judge_in_order(run, side);
    if (run->spec->is_any_order || run->result->fault_count == faults) {
        return;
    }
    list_side(run, target, side);
    take_pairs(run, side);
    if (side->expect_count == 0 && side->got_count == 0) {
        add_fault(run,
                  (struct case_fault){run->spec->at,
                                      arena_print(run->arena,
                                                  "%s: all of it came, in another order; `order: "
                                                  "any` would take it",
                                                  run->config->targets[target].name),
                                      NULL, NULL});
    }
}

static enum err judge_deliveries(struct run *run, struct error *e)
{
    struct side side = {
        .expects = calloc(run->spec->expect_count + 1, sizeof(side.expects[0])),
        .got = calloc(run->got_count + 1, sizeof(side.got[0])),
    };
    enum err rc = side.expects == NULL || side.got == NULL
                      ? error_set(e, ERR_NO_MEMORY, "out of memory for the case")
                      : ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < run->config->target_count; i++) {
        judge_target(run, i, &side);
    }
    free(side.expects);
    free(side.got);
    return rc;
}

static bool is_this(const struct case_rejected *expected, const struct trial_rejection *rejection)
{
    bool is_topic =
        expected->topic == NULL || bytes_equal(bytes_from_text(expected->topic), rejection->topic);
    return is_topic &&
           (expected->reason == NULL || strstr(rejection->reason, expected->reason) != NULL);
}

static void on_rejection(void *context, const struct trial_rejection *rejection)
{
    struct run *run = context;
    for (uint32_t i = 0; i < run->spec->rejected_count; i++) {
        if (!run->is_rejected[i] && is_this(&run->spec->rejected[i], rejection)) {
            run->is_rejected[i] = true;
            return;
        }
    }
    add_fault(run, (struct case_fault){
                       run->spec->at,
                       arena_print(run->arena, "rejected, which is not expected: %.*s: %s",
                                   (int)rejection->topic.len, (const char *)rejection->topic.ptr,
                                   rejection->reason),
                       NULL, NULL});
}

static enum err judge_rejections(struct run *run, struct error *e)
{
    run->is_rejected = calloc(run->spec->rejected_count + 1, sizeof(run->is_rejected[0]));
    if (run->is_rejected == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the case");
    }
    enum err rc = trial_rejections(run->trial, on_rejection, run, e);
    for (uint32_t i = 0; i < run->spec->rejected_count; i++) {
        const struct case_rejected *expected = &run->spec->rejected[i];
        if (!run->is_rejected[i]) {
            add_fault(run, (struct case_fault){
                               expected->at,
                               arena_print(run->arena, "was not rejected: %s%s%s",
                                           expected->topic == NULL ? "" : expected->topic,
                                           expected->reason == NULL ? "" : ": ",
                                           expected->reason == NULL ? "" : expected->reason),
                               NULL, NULL});
        }
    }
    return rc;
}

static void judge_books(struct run *run)
{
    struct books books;
    core_books(trial_core(run->trial), &books);
    for (uint32_t i = 0; i < run->spec->book_count; i++) {
        const struct case_book *book = &run->spec->books[i];
        uint64_t got = 0;
        case_book_read(&books, book->name, &got);
        if (got != book->value) {
            add_fault(run,
                      (struct case_fault){
                          book->at,
                          arena_print(run->arena, "books: %s: expected %" PRIu64 ", got %" PRIu64,
                                      book->name, book->value, got),
                          NULL, NULL});
        }
    }
}

static void on_fault(void *context, struct case_fault fault)
{
    add_fault(context, fault);
}

static void on_world_fault(void *context, struct position at, const char *sentence)
{
    add_fault(context, (struct case_fault){at, sentence, NULL, NULL});
}

static enum err judge(struct run *run, struct error *e)
{
    const struct instance_judge instances = {trial_store(run->trial), run->arena, on_fault, run};
    enum err rc = run->spec->has_expect ? judge_deliveries(run, e) : ERR_OK;
    rc = rc == ERR_OK ? judge_rejections(run, e) : rc;
    rc = rc == ERR_OK ? instances_judge(&instances, run->spec, e) : rc;
    case_world_conclude(&run->world);
    judge_books(run);
    run->result->deliveries = run->got_count;
    return rc;
}

static enum err open_trial(struct run *run, struct error *e)
{
    run->world = (struct case_world){.config = run->config,
                                     .spec = run->spec,
                                     .arena = run->arena,
                                     .used = calloc(run->spec->answer_count + 1, sizeof(uint32_t)),
                                     .fault = on_world_fault,
                                     .context = run};
    if (run->world.used == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the case");
    }
    const struct trial_options options = {.config = run->config,
                                          .rule = run->spec->rule,
                                          .now_ms = run->spec->start_ms,
                                          .has_workflows = true,
                                          .answer = case_world_answer,
                                          .context = &run->world};
    enum err rc = trial_create(&run->trial, &options, e);
    run->world.trial = run->trial;
    return rc;
}

// ERR_OK also for what could not be played to its end: it has been said where.
static enum err play_and_judge(struct run *run, struct error *e)
{
    enum err rc = play(run, e);
    if (rc == ERR_OK) {
        return judge(run, e);
    }
    return rc == ERR_NO_MEMORY ? rc : ERR_OK;
}

enum err case_run(const struct config *config, const struct case_spec *spec,
                  struct case_result *out_result, struct error *e)
{
    struct error own = {0}; // Faults are made of its text.
    *out_result = (struct case_result){.spec = spec, .arena = arena_create()};
    struct run run = {
        .config = config, .spec = spec, .result = out_result, .arena = out_result->arena};
    if (run.arena == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the case");
    }
    e = e == NULL ? &own : e;
    enum err rc = open_trial(&run, e);
    rc = rc == ERR_OK ? play_and_judge(&run, e) : rc;
    trial_destroy(run.trial);
    free(run.got);
    free(run.is_rejected);
    free(run.world.used);
    return rc == ERR_OK && arena_is_exhausted(run.arena)
               ? error_set(e, ERR_NO_MEMORY, "out of memory for the case")
               : rc;
}

void case_result_deinit(struct case_result *result)
{
    arena_destroy(result->arena);
    *result = (struct case_result){0};
}
