// workflow_match.c - events to those who wait for them: devices' status and replies, then awaits,
// then new instances. An event is given to those who waited for it when it came: who begins to wait
// while it is given out does not get it.
#include <string.h>

#include "core/event_value.h"
#include "core/workflow_key.h"
#include "core/workflow_parts.h"

#define FIRST_WAITS 16 // Asked for at first: mostly one instance waits for an event, or none.

// What an await channel makes of an event.
struct search {
    const struct workflow_channel *channel;
    const char *value; // NULL: it is not for this await.
    const struct workflow_wait **waits;
    uint32_t wait_count, wait_capacity;
    bool is_taken;
};

struct match {
    struct workflows *workflows;
    struct event_batch *batch;
    uint32_t event_index;
    struct event *event;
    struct search *searches; // One each await channel.
    uint32_t search_count;
};

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for an event of workflows");
}

static enum err fail(struct match *match, const struct workflow_definition *definition,
                     const char *reason, struct error *e)
{
    const struct workflow_sink *sink = match->workflows->sink;
    return sink->failure(sink->context, match->event_index, definition->name, reason, e);
}

static void note_taken(struct match *match)
{
    match->workflows->sink->taken(match->workflows->sink->context, match->event_index);
}

// An event that fails in one workflow is played again for that one only.
static bool is_for(const struct match *match, const struct workflow_definition *definition)
{
    const struct playback *playback = event_message(match->event)->playback;
    return playback == NULL || playback->rule == NULL ||
           strcmp(playback->rule + sizeof(WORKFLOW_RULE) - 1, definition->name) == 0;
}

// ---- devices ------------------------------------------------------------------------------------

static enum err tell_online(struct workflows *workflows, const struct workflow_wait *wait,
                            struct error *e)
{
    const struct workflow_news_item news = {.kind = NEWS_ONLINE};
    struct workflow_instance *instance;
    enum err rc = workflow_instance_get_usable(workflows->instances, wait->instance, &instance, e);
    if (rc != ERR_OK || instance == NULL) {
        return rc;
    }
    instance->hops = 0;
    return workflow_engine_tell(workflows, instance, wait->token, &news, e);
}

static enum err wake(struct match *match, struct error *e)
{
    struct workflows *workflows = match->workflows;
    struct workflow_wait like = {.value = event_identity(match->event)->key};
    struct workflow_wait_list found = {workflows->memory, WORKFLOW_TAKERS_MAX, NULL, 0};
    enum err rc;
    do {
        rc = workflow_waits_for(workflows->waits, &like, &found, e);
        for (uint32_t i = 0; rc == ERR_OK && i < found.count; i++) {
            rc = tell_online(workflows, &found.waits[i], e);
            like.instance = found.waits[i].instance;
            like.token = found.waits[i].token;
        }
    } while (rc == ERR_OK && found.count == WORKFLOW_TAKERS_MAX);
    return rc;
}

static enum err match_status(struct match *match, struct error *e)
{
    struct workflows *workflows = match->workflows;
    bool came_online;
    enum err rc = workflow_presence_note(workflows->presence, match->event, workflows->now_ms,
                                         &came_online, e);
    return rc == ERR_OK && came_online ? wake(match, e) : rc;
}

// A reply's status is 0 when the device has done it.
static enum err tell_reply(struct match *match, struct workflow_instance *instance, uint32_t token,
                           struct error *e)
{
    struct event_value status, message;
    event_field(match->event, "status", &status);
    event_field(match->event, "message", &message);
    struct workflow_news_item news = {
        .kind = NEWS_REPLY,
        .batch = match->batch,
        .event_index = match->event_index,
        .event_id = event_id(match->event),
        .status = status.kind == VALUE_INTEGER ? (int32_t)status.integer : 0,
        .verdict = VERDICT_DONE,
    };
    news.verdict = news.status == 0 ? VERDICT_DONE : VERDICT_REJECT;
    if (message.kind == VALUE_TEXT && message.bytes.len > 0) {
        news.reason = event_memory_text(match->workflows->memory, message.bytes);
    }
    note_taken(match);
    instance->hops = 0;
    return workflow_engine_tell(match->workflows, instance, token, &news, e);
}

static enum err match_reply(struct match *match, struct error *e)
{
    struct workflows *workflows = match->workflows;
    struct workflow_ticket ticket;
    struct workflow_instance *instance = NULL;
    uint32_t token = 0;
    struct event_value id;
    event_field(match->event, "id", &id);
    bool is_ours = id.kind == VALUE_TEXT &&
                   workflow_ticket_read(id.bytes, store_id(workflows->store), &ticket);
    enum err rc =
        is_ours ? workflows_find_ticket(workflows, &ticket, &instance, &token, e) : ERR_OK;
    if (rc != ERR_OK) {
        return rc;
    }
    const struct workflow_token *asked = token == 0 ? NULL : workflow_token_find(instance, token);
    if (asked == NULL || !workflow_send_is_asked(asked, event_identity(match->event)->key)) {
        workflows->unknown_replies++;
        return ERR_OK;
    }
    return tell_reply(match, instance, token, e);
}

// ---- awaits -------------------------------------------------------------------------------------

static enum err find_value(struct match *match, struct search *search, struct error *e)
{
    const struct workflow_definition *definition = search->channel->definition;
    const struct workflow_step *step = &definition->steps[search->channel->step];
    struct query_input input;
    struct event_value value;
    struct error why = {.text = ""};
    bool has_row = false;
    workflows_input(match->workflows, NULL, NULL, &input);
    input.batch = match->batch;
    input.event_index = match->event_index;
    const struct key_source source = {step->event_key, match->event, match->workflows->memory};
    enum err rc = workflow_query_run(step->event_key, &input, &value, &has_row, &why);
    bool is_run = rc == ERR_OK;
    if (is_run && has_row && value.kind != VALUE_NULL) { // NULL: of no instance.
        rc = workflow_key_of_event(&source, &value, &search->value, &why);
    }
    if (rc == ERR_INVALID) {
        char reason[sizeof(why.text) + 130];
        snprintf(reason, sizeof(reason), "step %.100s: %s%s", step->name,
                 is_run ? "" : "key: ", why.text);
        search->value = NULL;
        return fail(match, definition, reason, e);
    }
    return rc == ERR_OK ? ERR_OK : error_set(e, rc, "%s", why.text);
}

static enum err add_waits(struct match *match, struct search *search,
                          const struct workflow_wait_list *found, struct error *e)
{
    uint32_t wanted = search->wait_count + found->count;
    if (wanted > search->wait_capacity) {
        uint32_t capacity = wanted < 1000 ? wanted : 2 * wanted;
        const struct workflow_wait **list =
            event_memory_take(match->workflows->memory, capacity * sizeof(list[0]));
        if (list == NULL) {
            return no_memory(e);
        }
        if (search->wait_count > 0) {
            memcpy(list, search->waits, search->wait_count * sizeof(list[0]));
        }
        search->waits = list;
        search->wait_capacity = capacity;
    }
    for (uint32_t i = 0; i < found->count; i++) {
        search->waits[search->wait_count++] = &found->waits[i];
    }
    return ERR_OK;
}

// All that wait for the value at the step, before anybody is told.
static enum err find_waits(struct match *match, struct search *search, struct error *e)
{
    struct workflow_wait like = {
        .definition = search->channel->definition->id,
        .step = search->channel->step,
        .value = search->value,
    };
    struct workflow_wait_list found = {match->workflows->memory, FIRST_WAITS, NULL, 0};
    enum err rc;
    bool is_more;
    do {
        rc = workflow_waits_for(match->workflows->waits, &like, &found, e);
        is_more = rc == ERR_OK && found.count == found.count_max;
        if (rc == ERR_OK && found.count > 0) {
            rc = add_waits(match, search, &found, e);
            like.instance = found.waits[found.count - 1].instance;
            like.token = found.waits[found.count - 1].token;
        }
        found.count_max = WORKFLOW_TAKERS_MAX;
    } while (rc == ERR_OK && is_more);
    return rc;
}

static enum err search(struct match *match, struct search *search, struct error *e)
{
    const struct workflow_definition *definition = search->channel->definition;
    bool is_kept = definition->steps[search->channel->step].keep_ms > 0;
    if (!is_for(match, definition) || (definition->instances == 0 && !is_kept)) {
        return ERR_OK;
    }
    enum err rc = find_value(match, search, e);
    return rc == ERR_OK && search->value != NULL && definition->instances > 0
               ? find_waits(match, search, e)
               : rc;
}

// Does the await's where hold for this event and the instance's variables?
static enum err does_hold(struct workflows *workflows, const struct workflow_instance *instance,
                          const struct workflow_token *token, struct query_input *event,
                          bool *out_holds, struct error *e)
{
    const struct workflow_step *step = &instance->definition->steps[token->step];
    struct query_input input;
    *out_holds = true;
    if (step->where == NULL) {
        return ERR_OK;
    }
    workflows_input(workflows, instance, token, &input);
    input.batch = event->batch;
    input.event_index = event->event_index;
    uint32_t count = workflow_query_count(step->where);
    struct event_value *values =
        event_memory_take(workflows->memory, (count + 1) * sizeof(values[0]));
    return values == NULL ? no_memory(e)
                          : workflow_query_run(step->where, &input, values, out_holds, e);
}

static enum err tell_event(struct match *match, struct search *search,
                           struct workflow_instance *instance, uint32_t token, struct error *e)
{
    const struct playback *playback = event_message(match->event)->playback;
    const struct workflow_news_item news = {
        .kind = NEWS_EVENT,
        .batch = match->batch,
        .event_index = match->event_index,
        .event_id = event_id(match->event),
    };
    search->is_taken = true;
    instance->hops = playback == NULL ? 0 : playback->hops;
    note_taken(match);
    return workflow_engine_tell(match->workflows, instance, token, &news, e);
}

static enum err offer(struct match *match, struct search *search, const struct workflow_wait *wait,
                      struct error *e)
{
    struct query_input event = {.batch = match->batch, .event_index = match->event_index};
    struct workflow_instance *instance;
    struct error why = {.text = ""};
    bool holds;
    enum err rc =
        workflow_instance_get_usable(match->workflows->instances, wait->instance, &instance, e);
    if (rc != ERR_OK || instance == NULL) {
        return rc;
    }
    // It may have gone on or ended by what another was told.
    struct workflow_token *token = workflow_token_find(instance, wait->token);
    if (token == NULL || token->is_gone || token->step != wait->step ||
        token->phase != TOKEN_WAITING) {
        return ERR_OK;
    }
    rc = does_hold(match->workflows, instance, token, &event, &holds, &why);
    if (rc == ERR_INVALID) {
        char reason[sizeof(why.text) + 130];
        snprintf(reason, sizeof(reason), "step %.100s: where: %s",
                 instance->definition->steps[wait->step].name, why.text);
        return fail(match, instance->definition, reason, e);
    }
    if (rc != ERR_OK) {
        return error_set(e, rc, "%s", why.text);
    }
    return holds ? tell_event(match, search, instance, wait->token, e) : ERR_OK;
}

// ---- events that come too early -----------------------------------------------------------------

static const struct workflow_step *step_of(const struct search *search)
{
    return &search->channel->definition->steps[search->channel->step];
}

// Versions of a workflow keep an event once, for the step of that name.
static bool is_same_place(const struct search *a, const struct search *b)
{
    return a->channel->definition->workflow_id == b->channel->definition->workflow_id &&
           strcmp(step_of(a)->name, step_of(b)->name) == 0;
}

static bool is_to_be_kept(const struct match *match, const struct search *wanted)
{
    if (wanted->value == NULL || step_of(wanted)->keep_ms <= 0) {
        return false;
    }
    for (uint32_t i = 0; i < match->search_count; i++) {
        const struct search *other = &match->searches[i];
        bool is_rival = other != wanted && is_same_place(other, wanted);
        bool was_kept =
            is_rival && other < wanted && other->value != NULL && step_of(other)->keep_ms > 0;
        if ((is_rival && other->is_taken) || was_kept) {
            return false;
        }
    }
    return !wanted->is_taken;
}

static enum err keep(struct match *match, const struct search *search, struct error *e)
{
    struct workflows *workflows = match->workflows;
    const struct kept_place place = {
        .workflow = search->channel->definition->workflow_id,
        .step = step_of(search)->name,
        .value = search->value,
    };
    note_taken(match);
    return workflow_kept_put(workflows->kept, &place, match->event,
                             workflows->now_ms + step_of(search)->keep_ms, workflows->memory, e);
}

// An event that very many wait for: those that have had it need not stay in memory.
static enum err make_room(struct workflows *workflows, uint32_t offered, struct error *e)
{
    if (offered % WORKFLOW_TAKERS_MAX != 0) {
        return ERR_OK;
    }
    enum err rc = workflow_instances_write(workflows->instances, e);
    if (rc == ERR_OK) {
        workflow_instances_forget(workflows->instances);
    }
    return rc;
}

static enum err match_awaits(struct match *match, struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < match->search_count; i++) {
        rc = search(match, &match->searches[i], e);
    }
    uint32_t offered = 0;
    for (uint32_t i = 0; rc == ERR_OK && i < match->search_count; i++) {
        struct search *found = &match->searches[i];
        for (uint32_t j = 0; rc == ERR_OK && j < found->wait_count; j++) {
            rc = offer(match, found, found->waits[j], e);
            offered++;
            rc = rc == ERR_OK ? make_room(match->workflows, offered, e) : rc;
        }
    }
    for (uint32_t i = 0; rc == ERR_OK && i < match->search_count; i++) {
        if (is_to_be_kept(match, &match->searches[i])) {
            rc = keep(match, &match->searches[i], e);
        }
    }
    return rc;
}

// A kept event as the only one of `answers`.
static enum err read_kept(struct workflows *workflows, const struct kept_event *kept,
                          bool *out_is_good, struct error *e)
{
    struct event *event;
    struct error why = {.text = ""};
    event_batch_clear(workflows->answers);
    enum err rc = event_batch_add(workflows->answers, &kept->message, &event, &why);
    rc = rc == ERR_OK ? event_validate(event, &why) : rc;
    *out_is_good = rc == ERR_OK;
    if (rc == ERR_NO_MEMORY) {
        return error_set(e, rc, "%s", why.text);
    }
    if (rc == ERR_OK) {
        if (kept->device[0] != '\0') {
            event_set_identity(event, kept->group, kept->device, kept->boot, kept->sequence);
        }
        if (kept->has_time) {
            event_set_time(event, kept->time_ms);
        }
        event_set_id(event, kept->event_id);
    }
    return ERR_OK;
}

static enum err look_at_kept(struct workflows *workflows, struct workflow_instance *instance,
                             const struct workflow_token *token, struct kept_event *kept,
                             bool *out_taken, struct error *e)
{
    struct query_input event = {.batch = workflows->answers};
    struct error why = {.text = ""};
    bool is_good;
    enum err rc = read_kept(workflows, kept, &is_good, e);
    if (rc != ERR_OK || !is_good) { // The formats have changed since.
        return rc;
    }
    rc = does_hold(workflows, instance, token, &event, out_taken, &why);
    if (rc == ERR_INVALID) { // As for an event that comes: it is not for this one.
        *out_taken = false;
        return ERR_OK;
    }
    if (rc != ERR_OK) {
        return error_set(e, rc, "%s", why.text);
    }
    return *out_taken ? workflow_kept_drop(workflows->kept, kept->id, e) : ERR_OK;
}

enum err workflow_match_kept(struct workflows *workflows, struct workflow_instance *instance,
                             const struct workflow_token *token, bool *out_taken, struct error *e)
{
    struct kept_search search = {
        .place = {.workflow = instance->definition->workflow_id,
                  .step = instance->definition->steps[token->step].name},
        .now_ms = workflows->now_ms,
        .memory = workflows->memory,
    };
    struct kept_event *kept = event_memory_take(workflows->memory, sizeof(*kept));
    *out_taken = false;
    if (kept == NULL) {
        return no_memory(e);
    }
    enum err rc = workflow_await_value(workflows, instance, token, &search.place.value, e);
    bool has_more = true;
    while (rc == ERR_OK && has_more && !*out_taken) {
        rc = workflow_kept_next(workflows->kept, &search, kept, e);
        has_more = rc == ERR_OK && kept->id != 0;
        search.after_id = kept->id;
        // The one that began the instance is not one that came for it.
        if (has_more && strcmp(kept->event_id, instance->event) != 0) {
            rc = look_at_kept(workflows, instance, token, kept, out_taken, e);
        }
    }
    if (rc == ERR_OK && !*out_taken) {
        event_batch_clear(workflows->answers);
    }
    return rc;
}

// ---- an event -----------------------------------------------------------------------------------

static enum err match_channels(struct match *match, struct error *e)
{
    const struct workflow_channel *const *channels;
    struct workflows *workflows = match->workflows;
    uint32_t awaits = 0, count = workflow_set_match(workflows->set,
                                                    event_message(match->event)->topic, &channels);
    if (count == 0) {
        return ERR_OK;
    }
    match->searches = event_memory_take(workflows->memory, count * sizeof(match->searches[0]));
    const struct workflow_channel **starts =
        event_memory_take(workflows->memory, count * sizeof(starts[0]));
    if (match->searches == NULL || starts == NULL) {
        return no_memory(e);
    }
    for (; awaits < count && channels[awaits]->step != PLACE_NONE; awaits++) {
        match->searches[match->search_count++] = (struct search){.channel = channels[awaits]};
    }
    memcpy(starts, channels + awaits, (count - awaits) * sizeof(starts[0]));
    enum err rc = match_awaits(match, e);
    for (uint32_t i = 0; rc == ERR_OK && i < count - awaits; i++) {
        if (is_for(match, starts[i]->definition)) {
            rc = workflow_start_by(workflows, starts[i]->definition, match->batch,
                                   match->event_index, e);
        }
    }
    return rc;
}

enum err workflow_match_event(struct workflows *workflows, struct event_batch *batch,
                              uint32_t event_index, struct error *e)
{
    struct match match = {
        .workflows = workflows,
        .batch = batch,
        .event_index = event_index,
        .event = event_batch_at(batch, event_index),
    };
    enum err rc = ERR_OK;
    enum event_kind kind = event_kind(match.event);
    if (workflow_set_has_commands(workflows->set)) {
        if (kind == EVENT_STATUS) {
            rc = match_status(&match, e);
        } else if (kind == EVENT_REPLY) {
            rc = match_reply(&match, e);
        }
    }
    return rc == ERR_OK ? match_channels(&match, e) : rc;
}
