// Broker URLs: what is taken, what is refused with which words.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>

#include <string.h>

#include "base/broker_url.h"

static void test_good(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        uint16_t port;
        bool is_tls;
    } cases[] = {
        {"mqtt://broker", "broker", 1883, false},    {"mqtts://broker", "broker", 8883, true},
        {"mqtt://10.0.0.1:1", "10.0.0.1", 1, false}, {"mqtts://a.b:65535/", "a.b", 65535, true},
        {"mqtt://[::1]:1884", "::1", 1884, false},   {"mqtt://[fe80::1]", "fe80::1", 1883, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct broker_url url;
        struct error e = {0};
        if (broker_url_parse(cases[i].text, &url, &e) != ERR_OK) {
            fail_msg("%s: %s", cases[i].text, e.text);
        }
        assert_string_equal(url.host, cases[i].host);
        assert_int_equal(url.port, cases[i].port);
        assert_int_equal(url.is_tls, cases[i].is_tls);
    }
}

static void test_bad(void **state)
{
    (void)state;
    static const struct {
        const char *why, *text, *want;
    } cases[] = {
        {"no scheme", "broker:1883", "does not start with mqtt://"},
        {"another scheme", "tcp://broker", "does not start with mqtt://"},
        {"no host", "mqtt://", "no usable host"},
        {"no host before the port", "mqtt://:1883", "no usable host"},
        {"a blank in the host", "mqtt://a b", "no usable host"},
        {"an open bracket", "mqtt://[::1", "no usable host"},
        {"no port after the colon", "mqtt://b:", "no port"},
        {"port 0", "mqtt://b:0", "no port"},
        {"port too large", "mqtt://b:65536", "no port"},
        {"port of letters", "mqtt://b:x", "no port"},
        {"a path", "mqtt://b:1/topic", "goes on"},
        {"letters after the port", "mqtt://b:1x", "goes on"},
        {"behind brackets", "mqtt://[::1]x", "goes on"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct broker_url url = {.port = 7};
        struct error e = {0};
        enum err rc = broker_url_parse(cases[i].text, &url, &e);
        if (rc != ERR_CONFIG || strstr(e.text, cases[i].want) == NULL || url.port != 7) {
            fail_msg("%s: %s", cases[i].why, e.text);
        }
    }
}

static void test_a_password_is_not_shown(void **state)
{
    (void)state;
    struct broker_url url;
    struct error e = {0};
    assert_int_equal(broker_url_parse("mqtt://joe:secret@broker", &url, &e), ERR_CONFIG);
    assert_null(strstr(e.text, "secret"));
    assert_int_equal(broker_url_parse("http://joe:secret@broker", &url, &e), ERR_CONFIG);
    assert_null(strstr(e.text, "secret"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_a_password_is_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
