// What a broker says of itself becomes what to change.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "intake/broker_advice.h"

static const struct link_limits fine = {
    .is_v5 = true,
    .receive_maximum = 65535,
    .qos_max = 2,
    .has_retain = true,
    .has_wildcards = true,
    .has_shared = true,
};

static void each_limit_has_its_sentence(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        int offset; // Of the member that differs from a good broker.
        uint32_t value;
        int probe_kept;
        bool uses_wildcards, uses_shared;
        const char *want; // "": nothing.
    } rows[] = {
        {"a good broker", -1, 0, PROBE_MESSAGES, true, true, ""},
        {"nothing known of the queue", -1, 0, -1, true, true, ""},
        {"mosquitto's default queue", -1, 0, 1000, true, true,
         "broker h:1883 keeps only 1000 messages for a client that is away: set "
         "`max_queued_messages 0` in mosquitto.conf"},
        {"nothing is kept at all", -1, 0, 0, true, true, "keeps only 0 messages"},
        {"QoS 0 only", offsetof(struct link_limits, qos_max), 0, -1, true, true, "QoS 0 only"},
        {"no wildcards, used", offsetof(struct link_limits, has_wildcards), 0, -1, true, true,
         "no wildcard"},
        {"no wildcards, not used", offsetof(struct link_limits, has_wildcards), 0, -1, false, true,
         ""},
        {"no sharing, used", offsetof(struct link_limits, has_shared), 0, -1, true, true,
         "no shared"},
        {"no sharing, not used", offsetof(struct link_limits, has_shared), 0, -1, true, false, ""},
        {"no retained messages", offsetof(struct link_limits, has_retain), 0, -1, true, true,
         "retain_available"},
    };
    struct broker_url url = {.host = "h", .port = 1883};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct link_limits limits = fine;
        char text[BROKER_ADVICE_MAX];
        if (rows[i].offset >= 0) {
            ((uint8_t *)&limits)[rows[i].offset] = (uint8_t)rows[i].value;
        }
        struct broker_facts facts = {
            .url = &url,
            .limits = &limits,
            .session_expiry_s = 604800,
            .uses_wildcards = rows[i].uses_wildcards,
            .uses_shared = rows[i].uses_shared,
            .probe_kept = rows[i].probe_kept,
        };
        broker_advise(&facts, text);
        bool is_right =
            rows[i].want[0] == '\0' ? text[0] == '\0' : strstr(text, rows[i].want) != NULL;
        if (!is_right) {
            fail_msg("%s: '%s'", rows[i].why, text);
        }
    }
}

static void a_small_window_and_a_short_session_are_told(void **state)
{
    (void)state;
    struct broker_url url = {.host = "h", .port = 1883};
    struct link_limits limits = fine;
    struct broker_facts facts = {
        .url = &url, .limits = &limits, .session_expiry_s = 604800, .probe_kept = -1};
    char text[BROKER_ADVICE_MAX];
    limits.receive_maximum = 20;
    limits.has_expiry = true;
    limits.expiry_s = 3600;
    broker_advise(&facts, text);
    assert_non_null(strstr(text, "only 20 messages of a client may be in flight"));
    assert_non_null(strstr(text, "after 3600 s instead of 604800 s"));
    limits.expiry_s = 604800;
    limits.receive_maximum = BROKER_INFLIGHT_ENOUGH;
    broker_advise(&facts, text);
    assert_string_equal(text, "");
}

static void all_that_is_wrong_stays_within_the_text(void **state)
{
    (void)state;
    struct broker_url url = {.port = 65535};
    memset(url.host, 'h', BROKER_HOST_MAX);
    struct link_limits limits = {.has_expiry = true};
    struct broker_facts facts = {.url = &url,
                                 .limits = &limits,
                                 .session_expiry_s = 1,
                                 .uses_shared = true,
                                 .uses_wildcards = true};
    char text[BROKER_ADVICE_MAX];
    broker_advise(&facts, text);
    assert_true(strlen(text) < BROKER_ADVICE_MAX);
    assert_non_null(strstr(text, "keeps only 0")); // The most important comes first.
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_limit_has_its_sentence),
        cmocka_unit_test(a_small_window_and_a_short_session_are_told),
        cmocka_unit_test(all_that_is_wrong_stays_within_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
