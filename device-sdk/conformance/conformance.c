#include "check.h"

bool check_fail(struct check_run *run, const char *text)
{
    run->text_len = 0;
    run->text[0] = '\0';
    run->is_left_out = false;
    check_add(run, text);
    return false;
}

bool check_leave_out(struct check_run *run, const char *reason)
{
    (void)check_fail(run, reason);
    run->is_left_out = true;
    return false;
}

void check_add(struct check_run *run, const char *text)
{
    while (*text != '\0' && run->text_len < CHECK_TEXT_MAX - 1) {
        run->text[run->text_len++] = *text++;
    }
    run->text[run->text_len] = '\0';
}

void check_add_number(struct check_run *run, uint32_t number)
{
    char digits[11];
    size_t at = sizeof(digits) - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    check_add(run, digits + at);
}

void check_add_byte(struct check_run *run, uint8_t byte)
{
    static const char hex[] = "0123456789ABCDEF";
    const char text[] = {'0', 'x', hex[byte >> 4], hex[byte & 15], '\0'};
    check_add(run, text);
}

uint32_t check_now(const struct check_run *run)
{
    return run->options->now_ms(run->options->context);
}

void check_idle(const struct check_run *run)
{
    if (run->options->idle != NULL) {
        run->options->idle(run->options->context);
    }
}

uint32_t check_timeout(const struct check_run *run)
{
    return run->options->timeout_ms != 0 ? run->options->timeout_ms : 5000;
}

uint8_t check_stream_next(struct check_stream *stream)
{
    uint32_t x = stream->state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    stream->state = x;
    return (uint8_t)(x >> 24);
}

static void print(const struct check_run *run, const char *text)
{
    run->options->print(run->options->context, text);
}

static void print_result(const struct check_run *run, const char *result, const char *name)
{
    print(run, result);
    print(run, name);
    if (run->text_len > 0) {
        print(run, ": ");
        print(run, run->text);
    }
    print(run, "\n");
}

static void run_all(struct check_run *run, const struct check *checks)
{
    for (; checks->name != NULL; checks++) {
        run->text_len = 0;
        if (checks->run(run)) {
            run->text_len = 0;
            print_result(run, "ok        ", checks->name);
        } else if (run->is_left_out) {
            run->left_out++;
            print_result(run, "left out  ", checks->name);
        } else {
            run->failed++;
            print_result(run, "WRONG     ", checks->name);
        }
    }
}

static void print_count(struct check_run *run, const char *before, unsigned count,
                        const char *after)
{
    (void)check_fail(run, before);
    check_add_number(run, count);
    check_add(run, after);
    print(run, run->text);
}

unsigned pipit_conformance_run(const struct pipit_conformance_options *options)
{
    struct check_run run;
    memset(&run, 0, sizeof(run));
    run.options = options;
    if (options->memory == NULL || options->memory_bytes < PIPIT_CONFORMANCE_MEMORY_MIN) {
        print(&run, "WRONG     options: memory is missing, or smaller than 256 bytes\n");
        return 1;
    }
    run_all(&run, check_clock);
    run.is_clock_right = run.failed == 0; // What waits needs it.
    run_all(&run, check_entropy);
    run_all(&run, check_transport);
    run_all(&run, check_spool);
    if (run.left_out > 0) {
        print_count(&run, "", run.left_out, " left out\n");
    }
    if (run.failed > 0) {
        print_count(&run, "the port is wrong: ", run.failed, " failed\n");
    } else {
        print(&run, "the port is right, as far as it was checked\n");
    }
    return run.failed;
}
