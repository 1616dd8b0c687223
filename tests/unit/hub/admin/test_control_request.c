// What the control socket takes for a request, and what it answers to everything else.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "admin/control_request.h"
#include "base/arena.h"
#include "base/json_bytes.h"

static const char *read_line(const char *line, struct control_ask *out_ask)
{
    *out_ask = (struct control_ask){.client = 3};
    return control_request_read(line, strlen(line), out_ask);
}

static void wishes_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *why, *line;
        enum control_op op;
        enum operation_kind kind;
        uint64_t first, last;
    } cases[] = {
        {"nothing but a name", "{\"op\": \"status\"}", CONTROL_STATUS, 0, 0, 0},
        {"a range", "{\"op\": \"dead_drop\", \"first\": 2, \"last\": 9}", CONTROL_OPERATE,
         OPERATION_DEAD_DROP, 2, 9},
        {"all of them", "{\"op\": \"quarantine_replay\"}", CONTROL_OPERATE,
         OPERATION_QUARANTINE_REPLAY, 0, UINT64_MAX},
        {"an instance", "{\"op\": \"workflow_retry\", \"instance\": 17}", CONTROL_OPERATE,
         OPERATION_WORKFLOW_RETRY, 17, 17},
        {"an instance anew", "{\"op\": \"workflow_replay\", \"instance\": 1}", CONTROL_OPERATE,
         OPERATION_WORKFLOW_REPLAY, 1, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct control_ask ask;
        const char *refusal = read_line(cases[i].line, &ask);
        if (refusal != NULL || ask.op != cases[i].op || ask.operation.kind != cases[i].kind ||
            ask.operation.first != cases[i].first || ask.operation.last != cases[i].last) {
            fail_msg("%s: %s", cases[i].why, refusal == NULL ? "read wrongly" : refusal);
        }
        assert_int_equal(ask.client, 3);
        control_request_destroy(ask.request);
    }
}

static void a_cancel_says_how_and_why(void **state)
{
    (void)state;
    struct control_ask ask;
    assert_null(read_line("{\"op\": \"workflow_cancel\", \"instance\": 17}", &ask));
    assert_int_equal(ask.operation.kind, OPERATION_WORKFLOW_CANCEL);
    assert_int_equal(ask.operation.cancel, CANCEL_UNDO);
    assert_null(ask.operation.reason);
    control_request_destroy(ask.request);
    assert_null(read_line("{\"op\": \"workflow_cancel\", \"instance\": 17, \"abandon\": true,"
                          " \"reason\": \"why\"}",
                          &ask));
    assert_int_equal(ask.operation.first, 17);
    assert_int_equal(ask.operation.cancel, CANCEL_ABANDON);
    assert_string_equal(ask.operation.reason, "why");
    control_request_destroy(ask.request);
}

static void what_is_none_is_answered(void **state)
{
    (void)state;
    static const struct {
        const char *why, *line, *text;
    } cases[] = {
        {"no JSON", "hello", "not a line of JSON"},
        {"no object", "[1]", "not a line of JSON"},
        {"twice the same", "{\"op\": \"status\", \"op\": \"reload\"}", "not a line of JSON"},
        {"no op", "{}", "op must be"},
        {"another op", "{\"op\": \"fly\"}", "op must be"},
        {"a negative id", "{\"op\": \"dead_drop\", \"first\": -1}", "whole numbers"},
        {"an id that is text", "{\"op\": \"dead_edit\", \"first\": \"1\"}", "whole numbers"},
        {"a payload that is a number", "{\"op\": \"dead_edit\", \"payload\": 1}",
         "must be strings"},
        {"no base64", "{\"op\": \"dead_edit\", \"payload_base64\": \"a?==\"}", "must be strings"},
        {"cut base64", "{\"op\": \"dead_edit\", \"payload_base64\": \"abc\"}", "must be strings"},
        {"both", "{\"op\": \"dead_edit\", \"payload\": \"\", \"payload_base64\": \"\"}",
         "must be strings"},
        {"a cancel of nothing", "{\"op\": \"workflow_cancel\"}", "instance must be"},
        {"a cancel of all", "{\"op\": \"workflow_cancel\", \"instance\": 0}", "instance must be"},
        {"a reason that is none", "{\"op\": \"workflow_cancel\", \"instance\": 1, \"reason\": 5}",
         "reason must be"},
        {"a replay of nothing", "{\"op\": \"replay_begin\", \"rule\": \"r\"}", "must be texts"},
        {"no deliveries", "{\"op\": \"replay_chunk\", \"replay\": 1, \"number\": 1}",
         "must be a list"},
        {"an empty delivery", "{\"op\": \"replay_chunk\", \"deliveries\": [{}]}",
         "a delivery must have"},
        {"route 0",
         "{\"op\": \"replay_chunk\", \"deliveries\": [{\"target\": \"t\", \"rule\": \"r\", "
         "\"route\":"
         " 0, \"idempotency_key\": \"k\", \"content_type\": \"\"}]}",
         "a delivery must have"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct control_ask ask;
        const char *refusal = read_line(cases[i].line, &ask);
        if (refusal == NULL || strstr(refusal, cases[i].text) == NULL) {
            fail_msg("%s: %s", cases[i].why, refusal == NULL ? "taken" : refusal);
        }
        control_request_destroy(ask.request);
    }
}

static void a_chunk_is_read_whole(void **state)
{
    (void)state;
    struct control_ask ask;
    assert_null(read_line(
        "{\"op\": \"replay_chunk\", \"replay\": 4, \"number\": 2, \"is_last\": true, "
        "\"deliveries\": "
        "[{\"target\": \"bus\", \"rule\": \"r\", \"route\": 3, \"idempotency_key\": \"k\", "
        "\"key\": "
        "\"d\\u0000\", \"topic\": \"t\", \"payload_base64\": \"AP8=\", \"content_type\": \"c\"}]}",
        &ask));
    const struct replay_chunk *chunk = ask.operation.chunk;
    assert_int_equal(ask.operation.kind, OPERATION_REPLAY_CHUNK);
    assert_int_equal(chunk->replay, 4);
    assert_int_equal(chunk->number, 2);
    assert_true(chunk->is_last);
    assert_int_equal(chunk->count, 1);
    const struct replayed *replayed = &chunk->deliveries[0];
    assert_string_equal(replayed->target, "bus");
    assert_int_equal(replayed->route, 3);
    assert_true(bytes_equal(replayed->delivery.key, bytes_of("d\0", 2)));
    assert_true(bytes_equal(replayed->delivery.payload, bytes_of("\x00\xff", 2)));
    assert_int_equal(replayed->delivery.properties.len, 0);
    control_request_destroy(ask.request);
}

static void bytes_go_there_and_back(void **state)
{
    (void)state;
    uint8_t all[256];
    for (size_t i = 0; i < sizeof(all); i++) {
        all[i] = (uint8_t)(255 - i);
    }
    for (size_t len = 0; len <= sizeof(all); len++) {
        json_t *object = json_object();
        struct arena *arena = arena_create();
        struct bytes back;
        assert_true(json_set_bytes(object, "x", bytes_of(all, len)));
        assert_true(json_get_bytes(object, "x", arena, &back));
        assert_true(back.ptr != NULL && bytes_equal(back, bytes_of(all, len)));
        assert_true(json_get_bytes(object, "y", arena, &back));
        assert_null(back.ptr);
        arena_destroy(arena);
        json_decref(object);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wishes_are_read),          cmocka_unit_test(a_cancel_says_how_and_why),
        cmocka_unit_test(what_is_none_is_answered), cmocka_unit_test(a_chunk_is_read_whole),
        cmocka_unit_test(bytes_go_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
