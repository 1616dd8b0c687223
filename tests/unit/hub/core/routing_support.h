// routing_support.h - rules as the cases of routing write them, and what comes of them.
#ifndef PIPIT_TEST_ROUTING_SUPPORT_H
#define PIPIT_TEST_ROUTING_SUPPORT_H

#include "core_support.h"

#define ROUTES_OF_RULE 3

// A rule as the cases below write it.
struct made {
    const char *name, *sql;
    enum branch branch;
    uint32_t parent;
    struct route_spec routes[ROUTES_OF_RULE];
};

#define TO_BUS(t)                                                                                  \
    {                                                                                              \
        .target = 0, .topic = t                                                                    \
    }
#define TO_LOG(t)                                                                                  \
    {                                                                                              \
        .target = 1, .topic = t                                                                    \
    }
#define TO_RULES(t)                                                                                \
    {                                                                                              \
        .target = ROUTE_TO_RULES, .topic = t                                                       \
    }

static struct rule_spec rule_specs[24];

static inline void fill(struct core_spec *spec, const struct made *rules, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t routes = 0;
        while (routes < ROUTES_OF_RULE && rules[i].routes[routes].topic != NULL) {
            routes++;
        }
        rule_specs[i] = (struct rule_spec){.name = rules[i].name,
                                           .sql = rules[i].sql,
                                           .branch = rules[i].branch,
                                           .parent = rules[i].parent,
                                           .routes = rules[i].routes,
                                           .route_count = routes};
    }
    spec->rules = rule_specs;
    spec->rule_count = count;
    spec->target_count = 2;
}

// key: of all rules; NULL: as it comes.
static inline void use_key(struct fixture *fixture, const struct made *rules, uint32_t count,
                           const char *key)
{
    fixture_close(fixture);
    fill(&fixture->spec, rules, count);
    for (uint32_t i = 0; i < count; i++) {
        rule_specs[i].key = key;
    }
    fixture_open(fixture);
}

static inline void use(struct fixture *fixture, const struct made *rules, uint32_t count)
{
    use_key(fixture, rules, count, NULL);
}

// A rule that passes everything on; its route is to be changed before it is used.
static inline struct made *one_rule(const char *name, const char *topic)
{
    static struct made rule;
    rule = (struct made){name, "SELECT v FROM \"t/+\"", .routes = {TO_BUS(topic)}};
    return &rule;
}

static inline void add_json(struct fixture *fixture, const char *topic, const char *payload)
{
    add_message(fixture, topic, bytes_from_text(payload))->content_type =
        bytes_from_text("application/json");
}

static inline void done(struct fixture *fixture, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        add_settlement(fixture, fixture->taken[i]->id, VERDICT_DONE);
    }
    step(fixture);
}

// Everything that a target gets, one line each: "<idempotency key without the store's part> <topic>
// <payload>".
static inline void drain(struct fixture *fixture, uint32_t target, char *out, size_t size)
{
    size_t len = 0;
    uint32_t count;
    out[0] = '\0';
    while ((count = take(fixture, target, 1)) > 0) {
        const struct delivery *delivery = fixture->taken[0];
        const char *key = strchr(delivery->idempotency_key, ':');
        len += (size_t)snprintf(out + len, size - len, "%s %.*s %.*s\n", key + 1,
                                (int)delivery->topic.len, (const char *)delivery->topic.ptr,
                                (int)delivery->payload.len, (const char *)delivery->payload.ptr);
        assert_true(len < size);
        done(fixture, count);
    }
}

static inline void assert_books_hold(const struct fixture *fixture)
{
    struct books b = books_of(fixture);
    assert_int_equal(b.received, b.routed + b.filtered + b.duplicate + b.rejected);
    assert_int_equal(b.enqueued, b.delivered + b.waiting + b.dead + b.dropped);
}

// Three classes of one target.
static const struct made classes[] = {
    {"telemetry", "SELECT v, s FROM \"t/+\"", .routes = {TO_BUS("t/{v}")}},
    {"alarm", "SELECT v, s FROM \"h/+\"",
     .routes = {{.target = 0, .topic = "h/{v}", .priority = PRIORITY_HIGH}}},
    {"spare", "SELECT v, s FROM \"l/+\"",
     .routes = {{.target = 0, .topic = "l/{v}", .priority = PRIORITY_LOW}}},
};

static inline void add_value(struct fixture *fixture, const char *topic, int value)
{
    char payload[40];
    snprintf(payload, sizeof(payload), "{\"v\":%d}", value);
    add_json(fixture, topic, payload);
}

static inline bool has_topic(const struct delivery *delivery, const char *topic)
{
    return bytes_equal(delivery->topic, bytes_from_text(topic));
}

#endif
