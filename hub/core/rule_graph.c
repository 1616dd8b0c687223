#include "core/rule_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/topic.h"

#define NONE UINT32_MAX

struct graph {
    const struct core_spec *spec;
    const char *const *filters;
    uint32_t pattern_count;
    char **patterns;       // What each route to rules may make, as a filter, one after the other;
    uint32_t *pattern_end; // where those of a rule end.
    uint32_t *feeders;     // By rule: how many rules that feed it have no place yet.
    uint32_t *depth;       // By rule: of the longest chain that ends in it.
    uint32_t *from;        // By rule: the one before it in that chain.
};

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for the order of rules");
}

static bool is_to_rules(const struct route_spec *route)
{
    return route->target == ROUTE_TO_RULES && route->topic != NULL;
}

bool rule_graph_has_edges(const struct core_spec *spec)
{
    for (uint32_t i = 0; i < spec->rule_count; i++) {
        for (uint32_t n = 0; n < spec->rules[i].route_count; n++) {
            if (spec->rules[i].routes[n].target == ROUTE_TO_RULES) {
                return true;
            }
        }
    }
    return false;
}

// One piece of a template: a slash, any other text of one byte, or a column.
enum piece { PIECE_END, PIECE_SLASH, PIECE_TEXT, PIECE_COLUMN };

static enum piece next_piece(const char **at, char *out_text)
{
    char first = **at;
    if (first == '\0') {
        return PIECE_END;
    }
    *out_text = first;
    bool is_brace = first == '{' || first == '}', is_doubled = is_brace && (*at)[1] == first;
    if (first == '{' && !is_doubled) {
        const char *end = strchr(*at, '}');
        *at = end == NULL ? *at + strlen(*at) : end + 1;
        return PIECE_COLUMN;
    }
    *at += is_doubled ? 2 : 1;
    return first == '/' ? PIECE_SLASH : PIECE_TEXT;
}

// The template with + for each level that has a column in it.
static char *pattern_of(const char *topic_template)
{
    char *pattern = malloc(strlen(topic_template) + 2);
    size_t len = 0, level = 0; // level: where the one at hand begins.
    bool is_open = false;      // A column is in it.
    enum piece piece = PIECE_TEXT;
    while (pattern != NULL && piece != PIECE_END) {
        char text = '\0';
        piece = next_piece(&topic_template, &text);
        is_open = is_open || piece == PIECE_COLUMN;
        if (piece == PIECE_TEXT) {
            pattern[len++] = text;
        } else if (piece != PIECE_COLUMN && is_open) { // The level ends.
            pattern[level] = '+';
            len = level + 1;
        }
        if (piece == PIECE_SLASH) {
            pattern[len++] = '/';
            level = len;
            is_open = false;
        }
    }
    if (pattern != NULL) {
        pattern[len] = '\0';
    }
    return pattern;
}

// Before anything that may stand for something else: what most pairs differ in, at little cost.
static bool begin_differs(const char *topic_template, const char *filter)
{
    while (*topic_template == *filter && *filter != '\0' && *filter != '{') {
        topic_template++;
        filter++;
    }
    return strchr("{}", *topic_template) == NULL && strchr("+#/", *filter) == NULL;
}

bool rule_graph_may_feed(const char *topic_template, const char *filter)
{
    if (begin_differs(topic_template, filter)) {
        return false;
    }
    char *pattern = pattern_of(topic_template);
    bool may_feed =
        pattern != NULL && topic_filters_overlap(bytes_from_text(pattern), bytes_from_text(filter));
    free(pattern);
    return may_feed;
}

const char *rule_graph_topic_problem(const char *topic_template, struct bytes topic)
{
    bool may_be_dollar = topic_template[0] == '$';
    size_t slashes = 0;
    enum piece piece = PIECE_TEXT;
    while (piece != PIECE_END) {
        char text;
        piece = next_piece(&topic_template, &text);
        slashes += piece == PIECE_SLASH;
    }
    for (size_t i = 0; i < topic.len; i++) {
        slashes -= topic.ptr[i] == '/';
    }
    if (slashes != 0) {
        return "has a / in the value of a column; for rules a column fills one level";
    }
    return !may_be_dollar && topic.len > 0 && topic.ptr[0] == '$'
               ? "begins with a $ that a column gave"
               : NULL;
}

static uint32_t main_of(const struct core_spec *spec, uint32_t rule)
{
    return spec->rules[rule].branch == BRANCH_MAIN ? rule : spec->rules[rule].parent;
}

static enum err list_patterns(struct graph *graph, struct error *e)
{
    const struct core_spec *spec = graph->spec;
    for (uint32_t i = 0; i < spec->rule_count; i++) {
        for (uint32_t n = 0; n < spec->rules[i].route_count; n++) {
            const struct route_spec *route = &spec->rules[i].routes[n];
            if (!is_to_rules(route)) {
                continue;
            }
            char **patterns =
                reallocarray(graph->patterns, graph->pattern_count + 1, sizeof(patterns[0]));
            if (patterns == NULL) {
                return no_memory(e);
            }
            graph->patterns = patterns;
            char *pattern = pattern_of(route->topic);
            if (pattern == NULL) {
                return no_memory(e);
            }
            patterns[graph->pattern_count++] = pattern;
        }
        graph->pattern_end[i] = graph->pattern_count;
    }
    return ERR_OK;
}

// Does rule `a` itself (not its branches) give events that `b` reads?
static bool feeds(const struct graph *graph, uint32_t a, uint32_t b)
{
    uint32_t first = a == 0 ? 0 : graph->pattern_end[a - 1];
    for (uint32_t i = first; i < graph->pattern_end[a]; i++) {
        if (topic_filters_overlap(bytes_from_text(graph->patterns[i]),
                                  bytes_from_text(graph->filters[b]))) {
            return true;
        }
    }
    return false;
}

// The rule or the branch of it that feeds `to`; NONE: neither does.
static uint32_t feeder(const struct graph *graph, uint32_t from, uint32_t to)
{
    for (uint32_t i = 0; i < graph->spec->rule_count; i++) {
        uint32_t first = i == 0 ? 0 : graph->pattern_end[i - 1];
        if (graph->pattern_end[i] > first && main_of(graph->spec, i) == from &&
            feeds(graph, i, to)) {
            return i;
        }
    }
    return NONE;
}

// Calls each(graph, from, to) for the rules that rule `from` feeds by itself.
typedef void edge_fn(struct graph *graph, uint32_t from, uint32_t to);

static void each_fed(struct graph *graph, uint32_t from, edge_fn *each)
{
    uint32_t first = from == 0 ? 0 : graph->pattern_end[from - 1];
    if (first == graph->pattern_end[from]) {
        return;
    }
    for (uint32_t to = 0; to < graph->spec->rule_count; to++) {
        if (graph->spec->rules[to].branch == BRANCH_MAIN && feeds(graph, from, to)) {
            each(graph, main_of(graph->spec, from), to);
        }
    }
}

static void count_feeder(struct graph *graph, uint32_t from, uint32_t to)
{
    (void)from;
    graph->feeders[to]++;
}

static void settle_feeder(struct graph *graph, uint32_t from, uint32_t to)
{
    graph->feeders[to]--;
    if (graph->depth[from] + 1 > graph->depth[to]) {
        graph->depth[to] = graph->depth[from] + 1;
        graph->from[to] = from;
    }
}

static uint32_t route_between(const struct graph *graph, uint32_t rule, uint32_t to)
{
    const struct rule_spec *spec = &graph->spec->rules[rule];
    uint32_t pattern = rule == 0 ? 0 : graph->pattern_end[rule - 1];
    for (uint32_t n = 0; n < spec->route_count; n++) {
        if (is_to_rules(&spec->routes[n]) &&
            topic_filters_overlap(bytes_from_text(graph->patterns[pattern++]),
                                  bytes_from_text(graph->filters[to]))) {
            return n + 1;
        }
    }
    return 1;
}

// Every rule left is fed by one that is left: going back from any of them comes round.
static uint32_t left_before(const struct graph *graph, const uint32_t *position, uint32_t rule)
{
    for (uint32_t i = 0; i < graph->spec->rule_count; i++) {
        bool is_left = position[i] == NONE && graph->spec->rules[i].branch == BRANCH_MAIN;
        if (is_left && feeder(graph, i, rule) != NONE) {
            return i;
        }
    }
    return rule;
}

static enum err tell_cycle(struct graph *graph, const uint32_t *position, struct error *e)
{
    uint32_t count = graph->spec->rule_count, rule = 0;
    while (position[rule] != NONE || graph->spec->rules[rule].branch != BRANCH_MAIN) {
        rule++;
    }
    for (uint32_t i = 0; i < count; i++) { // Into the cycle, for it may have rules behind it.
        rule = left_before(graph, position, rule);
    }
    // Back round it; from[] becomes the way forward.
    uint32_t first = rule, next = rule;
    do {
        uint32_t before = left_before(graph, position, next);
        graph->from[before] = next;
        first = before < first ? before : first;
        next = before;
    } while (next != rule);
    char path[300] = "";
    size_t len = 0;
    uint32_t at = first;
    do {
        int more =
            snprintf(path + len, sizeof(path) - len, "%.60s -> ", graph->spec->rules[at].name);
        len += more > 0 && len + (size_t)more < sizeof(path) ? (size_t)more : 0;
        at = graph->from[at];
    } while (at != first);
    uint32_t by = feeder(graph, first, graph->from[first]);
    return error_set(
        e, ERR_CONFIG,
        "rule \"%s\": route %u: topic: rules feed each other in a circle: %s%s; rename "
        "a topic or narrow a filter so that the events go one way",
        graph->spec->rules[by].name, route_between(graph, by, graph->from[first]), path,
        graph->spec->rules[first].name);
}

static enum err tell_chain(const struct graph *graph, uint32_t rule, struct error *e)
{
    uint32_t before = graph->from[rule], by = feeder(graph, before, rule);
    return error_set(
        e, ERR_CONFIG,
        "rule \"%s\": route %u: topic: it is the start of a chain of more than %d "
        "rules that feed each other (to rule \"%s\"); put some of them into one SELECT",
        graph->spec->rules[by].name, route_between(graph, by, rule), RULE_CHAIN_MAX,
        graph->spec->rules[rule].name);
}

static void settle(struct graph *graph, uint32_t rule)
{
    each_fed(graph, rule, settle_feeder);
    for (uint32_t i = rule + 1; i < graph->spec->rule_count; i++) {
        if (graph->spec->rules[i].branch == BRANCH_MAIN) {
            break; // The branches stand right behind their rule.
        }
        each_fed(graph, i, settle_feeder);
    }
}

static enum err place(struct graph *graph, uint32_t *out_position, struct error *e)
{
    const struct core_spec *spec = graph->spec;
    uint32_t placed = 0, rule;
    memset(out_position, 0xFF, spec->rule_count * sizeof(out_position[0]));
    for (uint32_t i = 0; i < spec->rule_count; i++) {
        each_fed(graph, i, count_feeder);
    }
    do {
        for (rule = 0; rule < spec->rule_count; rule++) {
            if (spec->rules[rule].branch == BRANCH_MAIN && out_position[rule] == NONE &&
                graph->feeders[rule] == 0) {
                break;
            }
        }
        if (rule < spec->rule_count) {
            if (graph->depth[rule] >= RULE_CHAIN_MAX) {
                return tell_chain(graph, rule, e);
            }
            out_position[rule] = placed++;
            settle(graph, rule);
        }
    } while (rule < spec->rule_count);
    for (uint32_t i = 0; i < spec->rule_count; i++) {
        if (spec->rules[i].branch == BRANCH_MAIN && out_position[i] == NONE) {
            return tell_cycle(graph, out_position, e);
        }
    }
    for (uint32_t i = 0; i < spec->rule_count; i++) {
        out_position[i] = out_position[main_of(spec, i)];
    }
    return ERR_OK;
}

enum err rule_graph_order(const struct core_spec *spec, const char *const *filters,
                          uint32_t *out_position, struct error *e)
{
    size_t count = (size_t)spec->rule_count + 1;
    struct graph graph = {.spec = spec, .filters = filters};
    graph.pattern_end = calloc(count, sizeof(graph.pattern_end[0]));
    graph.feeders = calloc(count, sizeof(graph.feeders[0]));
    graph.depth = calloc(count, sizeof(graph.depth[0]));
    graph.from = calloc(count, sizeof(graph.from[0]));
    bool is_short = graph.pattern_end == NULL || graph.feeders == NULL || graph.depth == NULL ||
                    graph.from == NULL;
    enum err rc = is_short ? no_memory(e) : list_patterns(&graph, e);
    if (rc == ERR_OK) {
        rc = place(&graph, out_position, e);
    }
    for (uint32_t i = 0; i < graph.pattern_count; i++) {
        free(graph.patterns[i]);
    }
    free(graph.patterns);
    free(graph.pattern_end);
    free(graph.feeders);
    free(graph.depth);
    free(graph.from);
    return rc;
}
