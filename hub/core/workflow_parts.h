// workflow_parts.h - what workflows are made of, for the files that work on them:
//
// - workflows.c, workflow_set.c: definitions of the store and the configuration, a batch
// - workflow_match.c, workflow_start.c: events to those that await them, and to new instances
// - workflow_engine.c, workflow_move.c: a token from step to step, until it waits
// - workflow_step_*.c: each kind of step; workflow_retry.c: when it is tried again
// - workflow_undo.c: failure, cancel, undo, park; workflow_undo_run.c: that of those it runs
// - workflow_send.c: messages, calls, commands, into the outbox or the inbox
// - workflow_presence.c: who is online; workflow_inbox.c: what workflows tell the hub
// - workflow_record.c, workflow_branch.c: what is told of a step
// - workflow_journal.c: entries of instances, and transitions for those who watch
// - workflow_tally.c: counters of workflows and steps
//
// Threads:   core thread.
//
// Ownership: workflows own all; the core lends store, outbox, formats, space and memory.
//
// Failure:   ERR_OK where a workflow or an instance failed: that is its business and recorded
// there. Else of the store's kind: the transaction has to be rolled back.
#ifndef PIPIT_CORE_WORKFLOW_PARTS_H
#define PIPIT_CORE_WORKFLOW_PARTS_H

#include "core/format.h"
#include "core/outbox.h"
#include "core/topic_trie.h"
#include "core/workflow_instance.h"
#include "core/workflow_kept.h"
#include "core/workflow_set.h"
#include "core/workflow_ticket.h"
#include "core/workflow_wait.h"
#include "core/workflows.h"

#define WORKFLOW_MOVES_MAX  1000 // Steps of an instance without waiting; then it fails ("bound").
#define WORKFLOW_TIMERS_MAX 1000 // That fire in one batch; the others in the next, at once.
// Instances that one event is given to at a step; also the others, so many at a time.
#define WORKFLOW_TAKERS_MAX 1000
#define WORKFLOW_ITEMS_MAX  10000 // Of a for_each.
#define WORKFLOW_INBOX_MAX  256   // Events of the inbox that come in with a batch.

#define WORKFLOW_ANSWER_TOPIC "$answer" // Of what a call is answered, for it came by no topic.

// Of workflow_engine.c: what one instance's moves make others do comes after them, so that nothing
// calls itself. In the batch's memory.
struct workflow_engine {
    bool is_running;
    uint64_t round; // Numbers what comes in: an event, an answer, a time.
    struct engine_task *first, *last;
};

struct workflows {
    struct store *store;
    const struct core_spec *spec;
    struct rule_space *space;
    struct outbox *outbox;
    struct books *books;           // The ledger's of the batch.
    const struct formats *formats; // Read payloads of answers and kept events.
    struct event_memory *memory;   // Lives as long as the batch.
    int64_t now_ms;
    struct workflow_set *set; // Definitions in use: those configured, and those of instances.
    struct workflow_instances *instances;
    struct workflow_waits *waits;
    struct workflow_kept *kept;
    struct workflow_inbox *inbox;
    struct workflow_presence *presence;
    struct workflow_journal *journal;
    struct workflow_tally *tally;
    struct event_batch *answers; // One event: what came back, or was kept.
    uint64_t unknown_replies;    // Of commands that no instance waits for, since the start.
    bool is_idle;
    struct workflow_engine engine;
    const struct workflow_sink *sink;
};

// ---- workflows.c --------------------------------------------------------------------------------

// The configured definition of that name; NULL: there is none.
struct workflow_definition *workflows_current(const struct workflows *workflows, const char *name);
// Input of expressions for an instance (token NULL: for none of its branches).
void workflows_input(const struct workflows *workflows, const struct workflow_instance *instance,
                     const struct workflow_token *token, struct query_input *out_input);

// The instance and token that the ticket names; token 0: nobody waits under it any more.
enum err workflows_find_ticket(struct workflows *workflows, const struct workflow_ticket *ticket,
                               struct workflow_instance **out_instance, uint32_t *out_token,
                               struct error *e);

// ---- workflow_start.c ---------------------------------------------------------------------------

#define WORKFLOW_KEY_BYTES_MAX 1024

// A value as a key or as what an await looks for: numbers as decimal text (whole ones without a
// point), booleans as true and false. ERR_INVALID: NULL, a blob, or longer than
// WORKFLOW_KEY_BYTES_MAX; the sentence goes on behind its name.
enum err workflow_key_text(const struct event_value *value, struct event_memory *memory,
                           const char **out_text, struct error *e);
// A new instance as instance_spec says (state is found out by what runs already), which begins at
// once unless it is queued or ignored; *out_id 0: it was ignored. ERR_INVALID: a bound of the hub
// (the key, the variables, instances, hops), nothing has changed.
enum err workflow_start(struct workflows *workflows, const struct instance_spec *spec,
                        int64_t *out_id, struct error *e);
// Called by the engine when an instance is over: the next of its key that is queued begins.
enum err workflow_start_next(struct workflows *workflows, const struct workflow_instance *over,
                             struct error *e);

// The same after one that could not be loaded was given up.
enum err workflow_start_after(struct workflows *workflows, int64_t workflow_id, const char *key,
                              struct error *e);
// The event starts an instance of it, or none. An expression that fails is told to the sink.
enum err workflow_start_by(struct workflows *workflows, struct workflow_definition *definition,
                           struct event_batch *batch, uint32_t event_index, struct error *e);

// ---- workflow_match.c ---------------------------------------------------------------------------

// An event to all that it concerns.
enum err workflow_match_event(struct workflows *workflows, struct event_batch *batch,
                              uint32_t event_index, struct error *e);
// The first of the kept events that the token's await takes is taken out of the store and is event
// 0 of workflows->answers; *out_taken false: there is none.
enum err workflow_match_kept(struct workflows *workflows, struct workflow_instance *instance,
                             const struct workflow_token *token, bool *out_taken, struct error *e);

// ---- workflow_engine.c: each ends when all tokens of the instance wait or it is over ------------

// What makes a token go on.
enum workflow_news {
    NEWS_BEGIN,
    NEWS_EVENT,
    NEWS_ANSWER,
    NEWS_REPLY,
    NEWS_TIME,
    NEWS_ONLINE,
    NEWS_CHILD
};

struct workflow_news_item {
    enum workflow_news kind;
    struct event_batch *batch; // EVENT, REPLY: the event, ANSWER and CHILD: the body; else NULL.
    uint32_t event_index;
    const char *event_id;   // EVENT: for the record.
    enum verdict verdict;   // ANSWER: DONE, RETRY or REJECT. REPLY, CHILD: DONE or REJECT.
    int32_t status;         // ANSWER, REPLY. CHILD: its enum workflow_state.
    const char *reason;     // May be NULL.
    bool is_cut;            // ANSWER: the body was too long.
    uint64_t delivery;      // ANSWER: which one; 0: not known.
    int64_t retry_after_ms; // ANSWER: the target asks not to be tried again before.
};

// What the token's await looks for in events: its `match` or the instance's key, in the batch's
// memory. ERR_INVALID: the expression failed.
enum err workflow_await_value(struct workflows *workflows, const struct workflow_instance *instance,
                              const struct workflow_token *token, const char **out_value,
                              struct error *e);

// A new instance begins with its first step.
enum err workflow_engine_begin(struct workflows *workflows, struct workflow_instance *instance,
                               struct error *e);
// The token has been waiting for this; news that do not fit what it waits for change nothing.
enum err workflow_engine_tell(struct workflows *workflows, struct workflow_instance *instance,
                              uint32_t token_id, const struct workflow_news_item *news,
                              struct error *e);
// ERR_NOT_FOUND, ERR_INVALID: refused with a sentence, nothing has changed.
enum err workflow_engine_cancel(struct workflows *workflows, struct workflow_instance *instance,
                                enum workflow_cancel how, const char *reason, struct error *e);
enum err workflow_engine_retry(struct workflows *workflows, struct workflow_instance *instance,
                               struct error *e);
// An operator has given up the child, which could not be loaded: the parent goes on if it waited
// for it to undo itself.
enum err workflow_engine_child_gone(struct workflows *workflows, struct workflow_instance *parent,
                                    int64_t child, struct error *e);

// ---- workflow_send.c ----------------------------------------------------------------------------

// Sends what the token's step says: emit (nothing comes back), call (its answer does), command (its
// reply). Sets token->delivery where it may have to be withdrawn. ERR_INVALID: it cannot be made,
// with what is wrong (an expression, a topic): the step fails.
// *out_sent: what it was, for the journal; NULL where memory is out.
enum err workflow_send(struct workflows *workflows, struct workflow_instance *instance,
                       struct workflow_token *token, json_t **out_sent, struct error *e);
// Takes back what has not been sent; what is on its way stays and its answer finds nobody.
enum err workflow_withdraw(struct workflows *workflows, struct workflow_token *token,
                           struct error *e);
// The device that the token's command is for, "<group>/<device>", in the batch's memory.
enum err workflow_send_device(struct workflows *workflows, const struct workflow_instance *instance,
                              const struct workflow_token *token, const char **out_device,
                              struct error *e);

// Is that the device to which the token's command was sent? Nobody else's reply counts.
bool workflow_send_is_asked(const struct workflow_token *token, const char *device);

// ---- workflow_inbox.c, workflow_presence.c ------------------------------------------------------

struct inbox_entry {
    const char *event_id;
    uint32_t hops;
    struct message message; // As stored_message.h copies it.
};
enum err workflow_inbox_create(struct workflow_inbox **out_inbox, struct store *store,
                               struct error *e);
void workflow_inbox_destroy(struct workflow_inbox *inbox); // NULL is fine.
enum err workflow_inbox_put(struct workflow_inbox *inbox, const struct inbox_entry *entry,
                            struct bytes properties, int64_t now_ms, struct error *e);
// Takes out up to WORKFLOW_INBOX_MAX of them, in order; they live in the memory.
enum err workflow_inbox_take(struct workflow_inbox *inbox, struct event_memory *memory,
                             const struct inbox_entry **out_entries, uint32_t *out_count,
                             struct error *e);
bool workflow_inbox_is_empty(const struct workflow_inbox *inbox); // As of the last commit.
void workflow_inbox_commit(struct workflow_inbox *inbox);
void workflow_inbox_rollback(struct workflow_inbox *inbox);

enum presence { PRESENCE_UNKNOWN, PRESENCE_ONLINE, PRESENCE_OFFLINE };
enum err workflow_presence_create(struct workflow_presence **out_presence, struct store *store,
                                  struct error *e);
void workflow_presence_destroy(struct workflow_presence *presence); // NULL is fine.
// A status event of a device; *out_came_online: it was not known to be.
enum err workflow_presence_note(struct workflow_presence *presence, struct event *event,
                                int64_t now_ms, bool *out_came_online, struct error *e);
enum err workflow_presence_get(struct workflow_presence *presence, const char *device,
                               enum presence *out_presence, struct error *e);

// ---- workflow_record.c --------------------------------------------------------------------------

struct workflow_made;
// {"to": "<target>"|"rules", "topic": ..., "payload": its beginning}; without the payload for a
// call whose method has none; for the hub's own messages, instead of it, "command": {"id", "name",
// "expires", "fields"} or "event": {"type", "time", "fields"}. Bytes that are no text are
// "payload_hex". NULL: out of memory.
json_t *workflow_record_sent(const struct workflow_step *step, const struct workflow_made *made);
// Adds topic and body of an event that came, its fields where it is decoded. record may be NULL.
void workflow_record_event(json_t *record, struct event_batch *batch, uint32_t index);
// As many bytes as fit and are whole characters of UTF-8.
size_t workflow_record_whole(struct bytes text, size_t bytes_max);

// ---- workflow_branch.c --------------------------------------------------------------------------

// The newest entry of what is to be undone; NULL: there is none.
json_t *workflow_undo_last(const struct workflow_instance *instance);

// In which branches the token is, the outermost first: [{"step": the parallel's, "branch": name},
// {"step": the for_each's, "item": number from 1 on, "value": it, where it is short}]; of one that
// undoes: in which the step was that is undone, then its own. NULL: in none. false: out of memory.
bool workflow_branch_of(const struct workflow_instance *instance,
                        const struct workflow_token *token, json_t **out_branch);

// ---- workflow_journal.c, workflow_tally.c -------------------------------------------------------

// What has happened, and how it is called in `pipit workflow show` and in topics.
#define WORKFLOW_ENTRIES(X)                                                                        \
    X(STARTED, "started") /* The instance; data: variables */                                      \
    X(QUEUED, "queued")                                                                            \
    X(ENTERED, "entered")   /* A step that waits; data: what was sent, or is awaited */            \
    X(DONE, "done")         /* A step; data: what came back and was taken */                       \
    X(RETRYING, "retrying") /* An attempt failed; data: until when it waits */                     \
    X(ERROR, "error")       /* A step failed for good */                                           \
    X(UNDOING, "undoing")   /* The instance begins to undo; a step: it waits for its child to */   \
    X(UNDONE, "undone")     /* One undo list is over */                                            \
    X(PARKED, "parked")                                                                            \
    X(RETRIED, "retried")     /* By an operator */                                                 \
    X(COMPLETED, "completed") /* data: result */                                                   \
    X(FAILED, "failed")                                                                            \
    X(CANCELLED, "cancelled")
#define WORKFLOW_ENTRY_ENUM(id, name) ENTRY_##id,
enum workflow_entry_kind { WORKFLOW_ENTRIES(WORKFLOW_ENTRY_ENUM) WORKFLOW_ENTRY_COUNT };
#undef WORKFLOW_ENTRY_ENUM

#define WORKFLOW_ENTRIES_MAX 2000 // Of one instance: of more the oldest go, but for the first.

struct workflow_entry {
    enum workflow_entry_kind kind;
    const struct workflow_token *token; // NULL: it is about the instance.
    const char *error, *reason;         // Name of an enum workflow_error; a sentence. NULL: none.
    json_t *take_data;                  // NULL: none.
};

enum err workflow_journal_create(struct workflow_journal **out_journal, struct store *store,
                                 struct error *e);
void workflow_journal_destroy(struct workflow_journal *journal); // NULL is fine.
// Writes the entry and makes a transition of it for the outcome.
enum err workflow_journal_add(struct workflows *workflows, struct workflow_instance *instance,
                              const struct workflow_entry *entry, struct error *e);
// The last entry of one that cannot be loaded; reason NULL: none was given.
enum err workflow_journal_abandon(struct workflows *workflows, int64_t instance_id,
                                  const char *reason, struct error *e);
// The batch's transitions, in workflows->memory.
void workflow_journal_tell(struct workflow_journal *journal, struct outcome *out_outcome);
void workflow_journal_clear(struct workflow_journal *journal);

enum err workflow_tally_create(struct workflow_tally **out_tally, struct store *store,
                               struct error *e);
void workflow_tally_destroy(struct workflow_tally *tally); // NULL is fine.
// A token arrives at the step; it leaves it (is_failed: by an error) after so long.
enum err workflow_tally_arrive(struct workflows *workflows,
                               const struct workflow_definition *definition, workflow_place step,
                               struct error *e);
struct tally_departure {
    const struct workflow_definition *definition;
    workflow_place step;
    int64_t arrived_ms;
    bool is_failed;
};
enum err workflow_tally_depart(struct workflows *workflows, const struct tally_departure *departure,
                               struct error *e);
enum err workflow_tally_retry(struct workflows *workflows,
                              const struct workflow_definition *definition, workflow_place step,
                              struct error *e);
// Counts the instance under the state that it is in now, and no more under the one before: the
// journal asks for it at each entry.
enum err workflow_tally_state(struct workflows *workflows, struct workflow_instance *instance,
                              struct error *e);
// What would have begun was ignored.
enum err workflow_tally_ignored(struct workflows *workflows,
                                const struct workflow_definition *definition, struct error *e);
// An instance that cannot be loaded is cancelled. tokens: as its row has them.
struct tally_abandoned {
    int64_t workflow, definition;
    const char *name; // The workflow's.
    enum workflow_state state;
    const char *tokens; // NULL: none.
};
enum err workflow_tally_abandon(struct workflows *workflows,
                                const struct tally_abandoned *abandoned, struct error *e);
enum err workflow_tally_flush(struct workflow_tally *tally, int64_t now_ms, struct error *e);
void workflow_tally_commit(struct workflow_tally *tally);
void workflow_tally_rollback(struct workflow_tally *tally);
void workflow_tally_tell(const struct workflow_tally *tally, core_counter_fn *each, void *context);

#endif
