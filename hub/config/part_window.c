#include <inttypes.h>

#include "config/parts.h"
#include "core/window.h"

#define DAY_MS INT64_C(86400000)

// One of the first five says what kind of window it is; `every` stands in a table of its own, for
// it is a time or a number.
const struct option_spec window_options[] = {
    {"tumbling", OPTION_DURATION, false, NULL, 1, 366 * DAY_MS, NULL,
     "Windows of this size, one after the other from 1970-01-01 UTC on."},
    {"hopping", OPTION_DURATION, false, NULL, 1, 366 * DAY_MS, NULL,
     "Windows of this size that overlap: one begins every `every`."},
    {"sliding", OPTION_DURATION, false, NULL, 1, 366 * DAY_MS, NULL,
     "At each event the events of this time before it, itself included."},
    {"session", OPTION_DURATION, false, NULL, 1, 366 * DAY_MS, NULL,
     "Events that lie closer together than this."},
    {"count", OPTION_INT, false, NULL, 1, 10000000, NULL,
     "So many events, in the order in which they arrive."},
    {"longest", OPTION_DURATION, false, "1 d", 1, 366 * DAY_MS, NULL,
     "A session that gets longer than this is cut there."},
    {"by", OPTION_ENUM, false, "time", 0, 0, "time|arrival",
     "The clock of the windows: the events' own `time`, or when the hub received them."},
    {"grace", OPTION_DURATION, false, "0", 0, 366 * DAY_MS, NULL,
     "By time: a window stays open for so much longer, for events that come out of order. What "
     "comes later still is late."},
    {"idle", OPTION_DURATION, false, "1 min", 0, 366 * DAY_MS, NULL,
     "By time: windows that are over are closed when nothing has come of their key for so long."},
    {"ahead", OPTION_DURATION, false, "1 d", 1, 3660 * DAY_MS, NULL,
     "By time: an event further in the future than this has a wrong clock and counts as late."},
    {"key", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "SQL expression over an event; events with the same value share windows. Without it the "
     "device, or the topic where there is none."},
    {"where", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "SQL expression over an event; only events for which it is true enter."},
    {"rows", OPTION_INT, false, "100000", 1, 10000000, NULL,
     "Most events of one window; more are counted as overflow and left out."},
    {"keys", OPTION_INT, false, "100000", 1, 10000000, NULL,
     "Most keys remembered. Beyond it those without an open window are forgotten, the longest "
     "silent first."},
    {NULL},
};

const struct option_spec window_every_options[] = {
    {"every", OPTION_DURATION, false, NULL, 1, 366 * DAY_MS, NULL,
     "Of `hopping`: the time from the beginning of one window to the next. Of `count`: the number "
     "of events from one to the next (without it `count`: they do not overlap)."},
    {NULL},
};

static const struct option_spec count_every_options[] = {
    {"every", OPTION_INT, false, NULL, 1, 10000000, NULL, ""},
    {NULL},
};

static const struct {
    const char *name;
    enum window_kind kind;
} kinds[] = {
    {"tumbling", WINDOW_TUMBLING}, {"hopping", WINDOW_HOPPING}, {"sliding", WINDOW_SLIDING},
    {"session", WINDOW_SESSION},   {"count", WINDOW_COUNT},
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

// A window under construction, and where it is complained about.
struct window_part {
    struct builder *builder;
    const struct node *node;
    const char *what;
    const struct options *options, *every;
    struct window_spec *spec;
};

static const struct node *key_of(const struct window_part *part, const char *name)
{
    const struct node *node = node_get(part->node, name);
    return node == NULL ? part->node : node->key;
}

// WINDOW_NONE after a reported problem.
static enum window_kind find_kind(const struct window_part *part)
{
    const char *first = NULL;
    enum window_kind kind = WINDOW_NONE;
    for (size_t i = 0; i < KINDS; i++) {
        if (node_get(part->node, kinds[i].name) == NULL) {
            continue;
        }
        if (first != NULL) {
            reader_problem(&part->builder->reader, key_of(part, kinds[i].name)->at,
                           "%s: a window is one kind; it is '%s' and '%s'", part->what, first,
                           kinds[i].name);
            return WINDOW_NONE;
        }
        first = kinds[i].name;
        kind = kinds[i].kind;
    }
    if (kind == WINDOW_NONE) {
        reader_problem(&part->builder->reader, part->node->at,
                       "%s: what kind of window? Give it one of tumbling, hopping, sliding, "
                       "session, count",
                       part->what);
    }
    return kind;
}

// Options that would be there to no effect are mistakes.
static void refuse(const struct window_part *part, const char *const *names, const char *why)
{
    for (; *names != NULL; names++) {
        if (node_get(part->node, *names) != NULL) {
            reader_problem(&part->builder->reader, key_of(part, *names)->at, "%s: '%s' %s",
                           part->what, *names, why);
        }
    }
}

static void refuse_idle_options(const struct window_part *part)
{
    static const char *const of_time[] = {"grace", "idle", "ahead", NULL};
    static const char *const of_clock[] = {"by", "grace", "idle", "ahead", NULL};
    static const char *const longest[] = {"longest", NULL}, *const every[] = {"every", NULL};
    enum window_kind kind = part->spec->kind;
    if (kind == WINDOW_COUNT) {
        refuse(part, of_clock, "does nothing for a window that counts events");
    } else if (part->spec->is_by_arrival) {
        refuse(part, of_time, "is for windows by time, and this one is by arrival");
    }
    if (kind != WINDOW_SESSION) {
        refuse(part, longest, "is for sessions");
    }
    if (kind != WINDOW_HOPPING && kind != WINDOW_COUNT) {
        refuse(part, every, "is for hopping and count windows");
    }
}

static void check_count(const struct window_part *part)
{
    const struct window_spec *spec = part->spec;
    struct reader *reader = &part->builder->reader;
    if (spec->every_count > spec->count) {
        reader_problem(reader, key_of(part, "every")->at,
                       "%s: 'every' is %u, and windows of %u events that far apart would leave "
                       "events out",
                       part->what, spec->every_count, spec->count);
    }
    if (spec->count > spec->rows_max) {
        reader_problem(reader, key_of(part, "count")->at, "%s: 'count' is %u, more than 'rows', %u",
                       part->what, spec->count, spec->rows_max);
    }
}

static void check_hopping(const struct window_part *part)
{
    const struct window_spec *spec = part->spec;
    struct reader *reader = &part->builder->reader;
    if (node_get(part->node, "every") == NULL) {
        reader_problem(reader, key_of(part, "hopping")->at,
                       "%s: a hopping window needs 'every', the time from one to the next",
                       part->what);
    } else if (spec->every_ms > spec->size_ms) {
        reader_problem(reader, key_of(part, "every")->at,
                       "%s: 'every' is longer than the windows, so that events would be left out",
                       part->what);
    }
}

// How many pieces a key has open at most.
static void check_panes(const struct window_part *part)
{
    struct window_spec spec = *part->spec;
    if (spec.kind != WINDOW_HOPPING) {
        spec.every_ms = spec.size_ms;
    }
    if (spec.every_ms < 1 || spec.every_ms > spec.size_ms) {
        return;
    }
    int64_t panes = (spec.size_ms + spec.grace_ms) / window_step_ms(&spec);
    if (panes > WINDOW_PANES_MAX) {
        reader_problem(&part->builder->reader, part->node->at,
                       "%s: a key would have up to %" PRId64
                       " pieces of windows open, at most %d are possible; make 'grace' shorter, or "
                       "'every' a larger part of the size",
                       part->what, panes, WINDOW_PANES_MAX);
    }
}

static void check(const struct window_part *part)
{
    const struct window_spec *spec = part->spec;
    refuse_idle_options(part);
    if (spec->kind == WINDOW_COUNT) {
        check_count(part);
        return;
    }
    if (spec->kind == WINDOW_HOPPING) {
        check_hopping(part);
    }
    if (spec->kind == WINDOW_SESSION && spec->session_max_ms < spec->size_ms) {
        reader_problem(&part->builder->reader, key_of(part, "longest")->at,
                       "%s: 'longest' is shorter than the pause that ends a session", part->what);
    }
    check_panes(part);
}

static const char *copy_text(const struct window_part *part, const char *name)
{
    const char *text = option_text(part->options, name);
    return text == NULL ? NULL : arena_print(part->builder->file->arena, "%s", text);
}

static void fill(const struct window_part *part, enum window_kind kind)
{
    const struct options *options = part->options;
    bool has_every = options_is_set(part->every, "every");
    bool is_count = kind == WINDOW_COUNT;
    struct window_spec *spec = part->spec;
    *spec = (struct window_spec){
        .kind = kind,
        .is_by_arrival = option_choice(options, "by") == 1,
        .grace_ms = option_int(options, "grace"),
        .idle_ms = option_int(options, "idle"),
        .ahead_ms = option_int(options, "ahead"),
        .session_max_ms = option_int(options, "longest"),
        .rows_max = (uint32_t)option_int(options, "rows"),
        .keys_max = (uint32_t)option_int(options, "keys"),
        .key = copy_text(part, "key"),
        .where = copy_text(part, "where"),
    };
    for (size_t i = 0; i < KINDS; i++) {
        if (kinds[i].kind == kind && !is_count) {
            spec->size_ms = option_int(options, kinds[i].name);
        }
    }
    int64_t every = has_every ? option_int(part->every, "every") : 0;
    if (is_count) {
        spec->count = (uint32_t)option_int(options, "count");
        spec->every_count = has_every ? (uint32_t)every : spec->count;
    } else {
        spec->every_ms = kind == WINDOW_HOPPING ? every : spec->size_ms;
    }
}

void window_build(struct builder *builder, const struct node *rule, const char *what,
                  struct window_spec *out_window)
{
    const struct node *node = rule->kind == NODE_MAPPING ? node_get(rule, "window") : NULL;
    if (node == NULL) {
        return;
    }
    const char *own = arena_print(builder->file->arena, "%s: window", what);
    bool is_count = node->kind == NODE_MAPPING && node_get(node, "count") != NULL;
    struct options *options = options_make(builder, window_options);
    struct options *every =
        options_make(builder, is_count ? count_every_options : window_every_options);
    uint32_t before = builder->reader.problem_count;
    if (own != NULL && options != NULL && every != NULL) {
        struct shape shape = {.what = own, .options = {options, every}, .is_verbatim = true};
        struct window_part part = {builder, node, own, options, every, out_window};
        reader_options(&builder->reader, node, &shape);
        enum window_kind kind = node->kind == NODE_MAPPING ? find_kind(&part) : WINDOW_NONE;
        if (kind != WINDOW_NONE && builder->reader.problem_count == before) {
            fill(&part, kind);
            check(&part);
        }
    }
    options_destroy(options);
    options_destroy(every);
}
