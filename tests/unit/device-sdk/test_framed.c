// Frames on a serial line: the bytes, what damage does, and calls that are dialled and end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../device-sdk/ports/framed/frame.h"

// ---- a wire whose far end is the test -----------------------------------------------------------

struct test_wire {
    struct pipit_transport base;
    uint8_t sent[4096]; // By the device.
    size_t sent_len, sent_seen;
    uint8_t due[4096]; // To the device.
    size_t due_len, due_taken;
    size_t room;  // Bytes that the wire still takes.
    size_t piece; // At most so many in one read or write.
    enum pipit_err open_rc;
    unsigned opened, closed;
};

static struct test_wire wire;
static struct pipit_framed framed;
static uint8_t send_memory[64], receive_memory[64];
static struct pipit_framed_options options;

static int32_t wire_write(struct pipit_transport *transport, const uint8_t *ptr, size_t len)
{
    (void)transport;
    len = len < wire.room ? len : wire.room;
    len = len < wire.piece ? len : wire.piece;
    assert_true(wire.sent_len + len <= sizeof(wire.sent));
    memcpy(wire.sent + wire.sent_len, ptr, len);
    wire.sent_len += len;
    wire.room -= len;
    return (int32_t)len;
}

static int32_t wire_read(struct pipit_transport *transport, uint8_t *ptr, size_t size)
{
    (void)transport;
    size_t len = wire.due_len - wire.due_taken;
    len = len < size ? len : size;
    len = len < wire.piece ? len : wire.piece;
    memcpy(ptr, wire.due + wire.due_taken, len);
    wire.due_taken += len;
    return (int32_t)len;
}

static enum pipit_err wire_open(struct pipit_transport *transport, uint32_t now_ms)
{
    (void)transport;
    (void)now_ms;
    wire.opened++;
    return wire.open_rc;
}

static void wire_close(struct pipit_transport *transport)
{
    (void)transport;
    wire.closed++;
}

static const struct pipit_transport_type always_there = {.write = wire_write, .read = wire_read};
static const struct pipit_transport_type opened_type = {
    .write = wire_write, .read = wire_read, .open = wire_open, .close = wire_close};

static int setup(void **state)
{
    (void)state;
    memset(&wire, 0, sizeof(wire));
    wire.base.type = &always_there;
    wire.room = sizeof(wire.sent);
    wire.piece = sizeof(wire.sent);
    options = (struct pipit_framed_options){.wire = &wire.base,
                                            .send_memory = send_memory,
                                            .send_bytes = sizeof(send_memory),
                                            .receive_memory = receive_memory,
                                            .receive_bytes = sizeof(receive_memory),
                                            .call = 6};
    assert_int_equal(pipit_framed_init(&framed, &options), PIPIT_OK);
    return 0;
}

static struct pipit_transport *line(void)
{
    return &framed.base;
}

// ---- the modem's part, played by the test -------------------------------------------------------

static void due(const uint8_t *ptr, size_t len)
{
    assert_true(wire.due_len + len <= sizeof(wire.due));
    memcpy(wire.due + wire.due_len, ptr, len);
    wire.due_len += len;
}

static void due_control(enum pipit_frame_kind kind, uint16_t call, uint16_t value)
{
    uint8_t memory[PIPIT_FRAME_CONTROL];
    struct pipit_frame_writer writer = {.ptr = memory, .size = sizeof(memory)};
    pipit_frame_control(&writer, kind, call, value);
    due(memory, writer.len);
}

static size_t data_frame(uint8_t *memory, size_t size, uint8_t number, const char *text)
{
    struct pipit_frame_writer writer = {.ptr = memory, .size = size};
    pipit_frame_begin(&writer, PIPIT_FRAME_DATA, number);
    assert_int_equal(pipit_frame_add(&writer, (const uint8_t *)text, strlen(text)), strlen(text));
    pipit_frame_end(&writer);
    return writer.len;
}

static void due_data(uint8_t number, const char *text)
{
    uint8_t memory[128];
    due(memory, data_frame(memory, sizeof(memory), number, text));
}

// The next frame that the device has sent; its content is in `body` from 2 on.
struct seen {
    enum pipit_frame_result result;
    uint8_t body[256];
    size_t len;
    uint16_t call, value;
};

static struct seen next_sent(void)
{
    struct seen seen = {.result = PIPIT_FRAME_NONE};
    struct pipit_frame_reader reader;
    pipit_frame_reader_init(&reader, seen.body, sizeof(seen.body));
    while (wire.sent_seen < wire.sent_len && seen.result == PIPIT_FRAME_NONE) {
        seen.result = pipit_frame_take(&reader, wire.sent[wire.sent_seen++]);
    }
    seen.len = reader.content_len;
    seen.call = pipit_frame_value(&reader, 0);
    seen.value = pipit_frame_value(&reader, 2);
    return seen;
}

static void bring_up(uint16_t largest)
{
    wire.sent_seen = wire.sent_len;
    assert_int_equal(line()->type->open(line(), 1000), PIPIT_ERR_BUSY);
    struct seen seen = next_sent();
    assert_int_equal(seen.result, PIPIT_FRAME_GOOD);
    assert_int_equal(seen.body[0], PIPIT_FRAME_DIAL);
    due_control(PIPIT_FRAME_CONNECTED, seen.call, largest);
    assert_int_equal(line()->type->open(line(), 1001), PIPIT_OK);
}

static int32_t read_all(char *text, size_t size)
{
    size_t len = 0;
    int32_t got = 0;
    while ((got = line()->type->read(line(), (uint8_t *)text + len, size - 1 - len)) > 0) {
        len += (size_t)got;
    }
    text[len] = '\0';
    return got;
}

// ---- frames -------------------------------------------------------------------------------------

static void test_check_is_x25(void **state)
{
    (void)state;
    uint16_t crc = 0xFFFF;
    for (const char *at = "123456789"; *at != '\0'; at++) {
        crc = pipit_frame_crc(crc, (uint8_t)*at);
    }
    assert_int_equal((uint16_t)~crc, 0x906E); // The check value that catalogues give.
}

static void test_bytes_on_the_line(void **state)
{
    (void)state;
    uint8_t memory[32];
    struct pipit_frame_writer writer = {.ptr = memory, .size = sizeof(memory)};
    pipit_frame_begin(&writer, PIPIT_FRAME_DATA, 5);
    assert_int_equal(pipit_frame_add(&writer, (const uint8_t *)"a\x7e\x7d", 3), 3);
    pipit_frame_end(&writer);
    const uint8_t want[] = {0x7E, 1, 5, 'a', 0x7D, 0x5E, 0x7D, 0x5D};
    assert_memory_equal(memory, want, sizeof(want));
    assert_int_equal(memory[writer.len - 1], 0x7E);
    assert_true(writer.len >= sizeof(want) + 3);
}

static void test_a_frame_never_outgrows_its_memory(void **state)
{
    (void)state;
    uint8_t memory[PIPIT_FRAMED_SEND_MIN], content[64];
    for (unsigned byte = 0; byte < 256; byte++) {
        memset(content, (int)byte, sizeof(content));
        struct pipit_frame_writer writer = {.ptr = memory, .size = sizeof(memory)};
        pipit_frame_begin(&writer, PIPIT_FRAME_DATA, (uint8_t)byte);
        size_t taken = pipit_frame_add(&writer, content, sizeof(content));
        pipit_frame_end(&writer);
        assert_true(writer.len <= sizeof(memory));
        assert_true(taken >= 11);
    }
}

static unsigned count_good(const uint8_t *ptr, size_t len, uint8_t *body, size_t size)
{
    struct pipit_frame_reader reader;
    unsigned good = 0;
    pipit_frame_reader_init(&reader, body, (uint16_t)size);
    for (size_t i = 0; i < len; i++) {
        good += pipit_frame_take(&reader, ptr[i]) == PIPIT_FRAME_GOOD;
    }
    return good;
}

static void test_every_flipped_and_every_lost_byte_is_noticed(void **state)
{
    (void)state;
    uint8_t frame[64], damaged[64], body[64];
    size_t len = data_frame(frame, sizeof(frame), 7, "21.5 degrees, ~ and } too");
    assert_int_equal(count_good(frame, len, body, sizeof(body)), 1);
    for (size_t i = 0; i < len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(damaged, frame, len);
            damaged[i] ^= (uint8_t)(1u << bit);
            assert_int_equal(count_good(damaged, len, body, sizeof(body)), 0);
        }
        memcpy(damaged, frame, len);
        memmove(damaged + i, damaged + i + 1, len - i - 1);
        assert_int_equal(count_good(damaged, len - 1, body, sizeof(body)), 0);
    }
}

static void test_reader_table(void **state)
{
    (void)state;
    uint8_t good[16];
    size_t len = data_frame(good, sizeof(good), 0, "x");
    static const struct {
        const char *why;
        uint8_t before[8];
        size_t len;
        bool is_read;
    } cases[] = {
        {"noise before the first flag is passed over", {1, 2, 3, 0x7D}, 4, true},
        {"flags between frames are no frame", {0x7E, 0x7E, 0x7E}, 3, true},
        {"a short frame is bad, the next is read", {0x7E, 1, 0, 0x7E}, 4, true},
        {"an escape before a flag is bad", {0x7E, 1, 0x7D, 0x7E}, 4, true},
        {"a doubled escape is bad", {0x7E, 1, 0x7D, 0x7D, 0x5E, 0x7E}, 6, true},
        {"what is too long is bad", {0x7E, 1, 2, 3, 4, 5, 6, 7}, 8, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t all[32], body[5];
        memcpy(all, cases[i].before, cases[i].len);
        memcpy(all + cases[i].len, good, len);
        unsigned count = count_good(all, cases[i].len + len, body, sizeof(body));
        if (count != (cases[i].is_read ? 1u : 0u)) {
            fail_msg("%s: %u frames", cases[i].why, count);
        }
    }
}

// ---- calls --------------------------------------------------------------------------------------

static void test_options_are_checked(void **state)
{
    (void)state;
    struct pipit_framed_options wrong = options;
    wrong.send_bytes = PIPIT_FRAMED_SEND_MIN - 1;
    assert_int_equal(pipit_framed_init(&framed, &wrong), PIPIT_ERR_ARGUMENT);
    wrong = options;
    wrong.receive_bytes = PIPIT_FRAMED_RECEIVE_MIN - 1;
    assert_int_equal(pipit_framed_init(&framed, &wrong), PIPIT_ERR_ARGUMENT);
    wrong = options;
    wrong.wire = NULL;
    assert_int_equal(pipit_framed_init(&framed, &wrong), PIPIT_ERR_ARGUMENT);
}

static void test_dial_and_talk(void **state)
{
    (void)state;
    assert_int_equal(line()->type->open(line(), 0), PIPIT_ERR_BUSY);
    struct seen seen = next_sent();
    assert_int_equal(seen.body[0], PIPIT_FRAME_DIAL);
    assert_int_equal(seen.call, 7);
    assert_int_equal(seen.value, sizeof(receive_memory) - PIPIT_FRAME_OVERHEAD);
    due_data(0, "of a former call");
    due_control(PIPIT_FRAME_HANG_UP, 6, PIPIT_HANG_UP_CARRIER);
    due_control(PIPIT_FRAME_HANG_UP, 0, PIPIT_HANG_UP_NO_CALL);
    due_control(PIPIT_FRAME_CONNECTED, 6, 100);
    due((const uint8_t *)"\x7e noise \x7e", 9);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(line()->type->open(line(), 1), PIPIT_ERR_BUSY);
    }
    due_control(PIPIT_FRAME_CONNECTED, 7, 100);
    due_data(0, "hel");
    due_data(1, "lo");
    assert_int_equal(line()->type->open(line(), 2), PIPIT_OK);
    char text[32];
    assert_int_equal(read_all(text, sizeof(text)), 0);
    assert_string_equal(text, "hello");
    assert_int_equal(line()->type->write(line(), (const uint8_t *)"hi", 2), 2);
    seen = next_sent();
    assert_int_equal(seen.body[0], PIPIT_FRAME_DATA);
    assert_int_equal(seen.body[1], 0);
    assert_int_equal(seen.len, 2);
    assert_memory_equal(seen.body + 2, "hi", 2);
    assert_int_equal(framed.bad_frames, 0);
}

static void test_dial_is_repeated(void **state)
{
    (void)state;
    options.dial_ms = 300;
    assert_int_equal(line()->type->open(line(), UINT32_MAX - 100), PIPIT_ERR_BUSY);
    assert_int_equal(line()->type->open(line(), UINT32_MAX - 100 + 299), PIPIT_ERR_BUSY);
    assert_int_equal(next_sent().call, 7);
    assert_int_equal(next_sent().result, PIPIT_FRAME_NONE);
    assert_int_equal(line()->type->open(line(), UINT32_MAX - 100 + 300), PIPIT_ERR_BUSY);
    assert_int_equal(next_sent().call, 7);
    due_control(PIPIT_FRAME_CONNECTED, 7, 100);
    due_control(PIPIT_FRAME_CONNECTED, 7, 100); // The second dial's answer: harmless.
    due_data(0, "a");
    assert_int_equal(line()->type->open(line(), 400), PIPIT_OK);
    assert_int_equal(line()->type->write(line(), (const uint8_t *)"b", 1), 1);
    char text[8];
    assert_int_equal(read_all(text, sizeof(text)), 0);
    assert_string_equal(text, "a");
    due_control(PIPIT_FRAME_CONNECTED, 7, 100); // Now it is another call's.
    assert_int_equal(read_all(text, sizeof(text)), PIPIT_ERR_UNREACHABLE);
}

static void test_dial_that_is_refused(void **state)
{
    (void)state;
    assert_int_equal(line()->type->open(line(), 0), PIPIT_ERR_BUSY);
    due_control(PIPIT_FRAME_HANG_UP, 7, PIPIT_HANG_UP_UNREACHABLE);
    assert_int_equal(line()->type->open(line(), 1), PIPIT_ERR_UNREACHABLE);
    assert_int_equal(framed.reason, PIPIT_HANG_UP_UNREACHABLE);
    line()->type->close(line());
    bring_up(100);
    assert_int_equal(framed.call, 8);
}

static void test_what_ends_a_call(void **state)
{
    static const uint8_t damaged[] = {0x7E, 1, 1, 'x', 0, 0, 0x7E};
    enum what { DAMAGED, MISSING, REPEATED, HANG_UP, NO_CALL, FORMER };
    static const struct {
        const char *why;
        enum what what;
        enum pipit_hang_up reason;
        uint32_t bad_frames;
    } cases[] = {
        {"a damaged frame", DAMAGED, PIPIT_HANG_UP_FRAME, 1},
        {"a frame that is missing", MISSING, PIPIT_HANG_UP_FRAME, 1},
        {"a frame that comes twice", REPEATED, PIPIT_HANG_UP_FRAME, 1},
        {"a hang-up of this call", HANG_UP, PIPIT_HANG_UP_CARRIER, 0},
        {"a hang-up of any call", NO_CALL, PIPIT_HANG_UP_NO_CALL, 0},
        {"not a hang-up of a former call", FORMER, PIPIT_HANG_UP_NONE, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[16];
        setup(state);
        bring_up(100);
        due_data(0, "good");
        switch (cases[i].what) {
        case DAMAGED:
            due(damaged, sizeof(damaged));
            break;
        case MISSING:
            due_data(2, "bad");
            break;
        case REPEATED:
            due_data(0, "bad");
            break;
        case HANG_UP:
            due_control(PIPIT_FRAME_HANG_UP, 7, PIPIT_HANG_UP_CARRIER);
            break;
        case NO_CALL:
            due_control(PIPIT_FRAME_HANG_UP, 0, PIPIT_HANG_UP_NO_CALL);
            break;
        case FORMER:
            due_control(PIPIT_FRAME_HANG_UP, 6, PIPIT_HANG_UP_CARRIER);
            break;
        }
        bool is_up = cases[i].reason == PIPIT_HANG_UP_NONE;
        int32_t rc = read_all(text, sizeof(text));
        if (rc != (is_up ? 0 : PIPIT_ERR_UNREACHABLE) || strcmp(text, "good") != 0 ||
            framed.reason != cases[i].reason || framed.bad_frames != cases[i].bad_frames) {
            fail_msg("%s: rc %d, read '%s', reason %u, %u bad frames", cases[i].why, (int)rc, text,
                     framed.reason, framed.bad_frames);
        }
        if (!is_up) {
            assert_int_equal(line()->type->write(line(), (const uint8_t *)"x", 1),
                             PIPIT_ERR_UNREACHABLE);
        }
    }
}

static void test_close_hangs_up(void **state)
{
    (void)state;
    bring_up(100);
    line()->type->close(line());
    struct seen seen = next_sent();
    assert_int_equal(seen.body[0], PIPIT_FRAME_HANG_UP);
    assert_int_equal(seen.call, 7);
    line()->type->close(line()); // Idempotent: nothing more is said.
    assert_int_equal(next_sent().result, PIPIT_FRAME_NONE);
    assert_int_equal(line()->type->read(line(), seen.body, 1), PIPIT_ERR_UNREACHABLE);
}

// The content of all data frames that were sent, each at most `largest`.
static size_t content_sent(uint8_t *out, size_t largest)
{
    size_t len = 0;
    for (struct seen seen = next_sent(); seen.result != PIPIT_FRAME_NONE; seen = next_sent()) {
        assert_int_equal(seen.result, PIPIT_FRAME_GOOD);
        if (seen.body[0] == PIPIT_FRAME_DATA) {
            assert_in_range(seen.len, 1, largest);
            memcpy(out + len, seen.body + 2, seen.len);
            len += seen.len;
        }
    }
    return len;
}

static void test_frames_keep_to_the_modem_and_to_the_memory(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        uint8_t byte;
        uint16_t modem_takes;
        size_t largest;
    } cases[] = {
        {"the modem takes little", 'a', 20, 20},
        {"the memory holds so much", 'a', 1000, 58},
        {"and half of it when all is escaped", 0x7E, 1000, 30},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t content[100], got[100];
        setup(state);
        memset(content, cases[i].byte, sizeof(content));
        bring_up(cases[i].modem_takes);
        assert_int_equal(line()->type->write(line(), content, sizeof(content)), sizeof(content));
        if (content_sent(got, cases[i].largest) != sizeof(content) ||
            memcmp(got, content, sizeof(content)) != 0) {
            fail_msg("%s: not what was written", cases[i].why);
        }
    }
}

static void test_a_slow_wire_is_back_pressure(void **state)
{
    (void)state;
    bring_up(100);
    wire.room = 3;
    assert_int_equal(line()->type->write(line(), (const uint8_t *)"first", 5), 5);
    assert_int_equal(line()->type->write(line(), (const uint8_t *)"second", 6), 0);
    wire.room = 4;
    char text[8];
    assert_int_equal(read_all(text, sizeof(text)), 0); // Reading flushes, too.
    wire.room = 100;
    assert_int_equal(line()->type->write(line(), (const uint8_t *)"second", 6), 6);
    assert_memory_equal(next_sent().body + 2, "first", 5);
    assert_memory_equal(next_sent().body + 2, "second", 6);
}

// A UART that takes nothing for a while: what waits of the old call goes before the new dial.
static void test_a_full_wire_at_close_keeps_the_order(void **state)
{
    (void)state;
    bring_up(100);
    uint8_t content[48];
    memset(content, 'a', sizeof(content));
    wire.room = 5;
    assert_int_equal(line()->type->write(line(), content, sizeof(content)), sizeof(content));
    line()->type->close(line()); // No room for its hang-up frame.
    assert_int_equal(line()->type->open(line(), 5000), PIPIT_ERR_BUSY);
    wire.room = sizeof(wire.sent);
    assert_int_equal(line()->type->open(line(), 5001), PIPIT_ERR_BUSY);
    assert_int_equal(line()->type->open(line(), 5002), PIPIT_ERR_BUSY);
    assert_int_equal(next_sent().body[0], PIPIT_FRAME_DATA);
    struct seen seen = next_sent();
    assert_int_equal(seen.result, PIPIT_FRAME_GOOD);
    assert_int_equal(seen.body[0], PIPIT_FRAME_DIAL);
    assert_int_equal(seen.call, 8);
}

static void test_a_wire_that_opens_and_closes(void **state)
{
    (void)state;
    wire.base.type = &opened_type;
    wire.open_rc = PIPIT_ERR_BUSY;
    assert_int_equal(line()->type->open(line(), 0), PIPIT_ERR_BUSY);
    assert_int_equal(wire.sent_len, 0);
    wire.open_rc = PIPIT_ERR_UNREACHABLE;
    assert_int_equal(line()->type->open(line(), 1), PIPIT_ERR_UNREACHABLE);
    line()->type->close(line());
    assert_int_equal(wire.closed, 1);
    assert_int_equal(wire.sent_len, 0);
    wire.open_rc = PIPIT_OK;
    bring_up(100);
    wire.room = 0;
    assert_int_equal(line()->type->write(line(), (const uint8_t *)"gone", 4), 4);
    due_data(0, "gone as well");
    line()->type->close(line());
    assert_int_equal(wire.closed, 2);
    wire.room = sizeof(wire.sent);
    wire.due_taken = wire.due_len;
    assert_int_equal(line()->type->open(line(), 2), PIPIT_ERR_BUSY);
    assert_int_equal(next_sent().body[0], PIPIT_FRAME_DIAL); // Nothing of the old connection.
}

static void test_one_byte_at_a_time(void **state)
{
    (void)state;
    wire.piece = 1;
    bring_up(100);
    char text[32];
    for (unsigned i = 0; i < 300; i++) { // The numbers of both ways wrap.
        wire.due_len = wire.due_taken = 0;
        due_data((uint8_t)i, "~a}b");
        assert_int_equal(read_all(text, sizeof(text)), 0);
        assert_string_equal(text, "~a}b");
        assert_int_equal(line()->type->write(line(), (const uint8_t *)"up", 2), 2);
        assert_int_equal(next_sent().body[1], (uint8_t)i);
        wire.sent_len = wire.sent_seen = 0;
        wire.room = sizeof(wire.sent);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_is_x25),
        cmocka_unit_test(test_bytes_on_the_line),
        cmocka_unit_test(test_a_frame_never_outgrows_its_memory),
        cmocka_unit_test(test_every_flipped_and_every_lost_byte_is_noticed),
        cmocka_unit_test(test_reader_table),
        cmocka_unit_test_setup(test_options_are_checked, setup),
        cmocka_unit_test_setup(test_dial_and_talk, setup),
        cmocka_unit_test_setup(test_dial_is_repeated, setup),
        cmocka_unit_test_setup(test_dial_that_is_refused, setup),
        cmocka_unit_test_setup(test_what_ends_a_call, setup),
        cmocka_unit_test_setup(test_close_hangs_up, setup),
        cmocka_unit_test_setup(test_frames_keep_to_the_modem_and_to_the_memory, setup),
        cmocka_unit_test_setup(test_a_slow_wire_is_back_pressure, setup),
        cmocka_unit_test_setup(test_a_full_wire_at_close_keeps_the_order, setup),
        cmocka_unit_test_setup(test_a_wire_that_opens_and_closes, setup),
        cmocka_unit_test_setup(test_one_byte_at_a_time, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
