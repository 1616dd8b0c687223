#include "core/workflow_ticket.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

void workflow_ticket_make(char out_text[WORKFLOW_TICKET_BYTES], const char *store_id,
                          const struct workflow_ticket *ticket)
{
    snprintf(out_text, WORKFLOW_TICKET_BYTES, "%.8s/w%" PRId64 "-%" PRIu32 "-%" PRIu32 "-%" PRId64,
             store_id, ticket->instance, ticket->execution, ticket->step, ticket->started_ms);
}

// Digits up to `end` or, with end '\0', up to the end of the text; written as we write them.
static bool take_number(struct bytes *rest, char end, int64_t max, int64_t *out_number)
{
    size_t at = 0;
    int64_t number = 0;
    for (; at < rest->len && rest->ptr[at] >= '0' && rest->ptr[at] <= '9'; at++) {
        int digit = rest->ptr[at] - '0';
        if (number > (max - digit) / 10 || (at > 0 && rest->ptr[0] == '0')) {
            return false;
        }
        number = number * 10 + digit;
    }
    bool is_over = at == rest->len;
    if (at == 0 || is_over != (end == '\0') || (!is_over && rest->ptr[at] != (uint8_t)end)) {
        return false;
    }
    *rest = bytes_of(rest->ptr + at + !is_over, rest->len - at - !is_over);
    *out_number = number;
    return true;
}

bool workflow_ticket_read(struct bytes text, const char *store_id,
                          struct workflow_ticket *out_ticket)
{
    size_t len = strlen(store_id);
    if (text.len < len + 2 || memcmp(text.ptr, store_id, len) != 0 ||
        memcmp(text.ptr + len, "/w", 2) != 0) {
        return false;
    }
    struct bytes rest = bytes_of(text.ptr + len + 2, text.len - len - 2);
    struct workflow_ticket ticket;
    int64_t execution, step;
    if (!take_number(&rest, '-', INT64_MAX, &ticket.instance) ||
        !take_number(&rest, '-', UINT32_MAX, &execution) ||
        !take_number(&rest, '-', WORKFLOW_TICKET_STEP_MAX, &step) ||
        !take_number(&rest, '\0', INT64_MAX, &ticket.started_ms)) {
        return false;
    }
    ticket.execution = (uint32_t)execution;
    ticket.step = (uint32_t)step;
    *out_ticket = ticket;
    return true;
}
