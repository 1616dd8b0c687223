#include "device.h"

#define ASK_AFTER_MS    2000u
#define PROVE_MS        1000u // First wait for the receipt that proves the way to the hub.
#define ASK_AFTER_COUNT (PIPIT_WINDOW / 2)

static struct pipit_spool *spool_of(const struct pipit_device *device)
{
    return device->config->spool;
}

// Until a receipt has come only the oldest event is under way: the broker may have forgotten the
// hub, and what it takes then and drops would come behind later events.
static void prove(struct pipit_device *device)
{
    device->is_proven = !uses_receipts(device);
}

static uint32_t first_wait_ms(const struct pipit_device *device)
{
    uint32_t wait_ms = or_default(device->config->resend_ms, 10000);
    return device->is_proven || wait_ms < PROVE_MS ? wait_ms : PROVE_MS;
}

void pipit_send_restart(struct pipit_device *device)
{
    struct pipit_spool *spool = spool_of(device);
    spool->type->rewind(spool);
    prove(device);
    device->is_timing = false;
    device->resend_wait_ms = first_wait_ms(device);
    if (PIPIT_WITH_RECEIPTS) {
        device->has_asked = false;
        device->must_ask = false;
        device->unasked_count = 0;
        device->unasked_bytes = 0;
    }
}

// Starts the wait for the oldest event anew when another one has become the oldest.
static void timer_update(struct pipit_device *device)
{
    const struct pipit_spool *spool = spool_of(device);
    if (spool->read_count == 0) {
        device->is_timing = false;
        return;
    }
    if (!uses_receipts(device)) {
        return; // With PUBACK the connection itself sees to it, until the broker refuses one.
    }
    bool is_same = device->is_timing && device->oldest_boot == spool->tail_boot &&
                   device->oldest_sequence == spool->tail_sequence;
    if (is_same) {
        return;
    }
    if (device->oldest_boot != spool->tail_boot ||
        device->oldest_sequence != spool->tail_sequence) {
        device->resend_wait_ms = first_wait_ms(device);
    }
    device->is_timing = true;
    device->oldest_boot = spool->tail_boot;
    device->oldest_sequence = spool->tail_sequence;
    device->resend_at_ms = device->now_ms + device->resend_wait_ms;
}

// Nothing confirmed the oldest event in time: send it again, and all others once that is confirmed;
// wait longer for the answer.
static void timer_check(struct pipit_device *device)
{
    struct pipit_spool *spool = spool_of(device);
    uint32_t wait_max = or_default(device->config->resend_ms, 10000) * 8;
    if (!device->is_timing || !is_due(device->now_ms, device->resend_at_ms)) {
        return;
    }
    spool->type->rewind(spool);
    prove(device);
    device->is_timing = false;
    device->unasked_count = 0;
    device->unasked_bytes = 0;
    device->resend_wait_ms =
        device->resend_wait_ms > wait_max / 2 ? wait_max : device->resend_wait_ms * 2;
}

// Events that were sent but not asked about, none to follow: ask by sending the newest again.
static void ask_check(struct pipit_device *device)
{
    struct pipit_spool *spool = spool_of(device);
    bool is_late = device->unasked_count > 0 && spool->read_count > 0 && spool->unread_count == 0 &&
                   is_due(device->now_ms, device->unasked_at_ms + ASK_AFTER_MS);
    if (is_late) {
        uint32_t left = spool->read_count - 1;
        device->must_ask = true;
        spool->type->rewind(spool);
        for (; left > 0; left--) {
            spool->type->advance(spool);
        }
    }
}

// The window rule, and boots in order: those of a later boot wait until an earlier one is settled.
static bool is_in_window(const struct pipit_spool *spool, uint32_t boot, pipit_sequence sequence)
{
    return boot == spool->tail_boot && sequence - spool->tail_sequence <= PIPIT_WINDOW;
}

// Boot and sequence in the low bits, so that a late acknowledgement cannot hit another event.
static uint32_t event_token(uint32_t boot, pipit_sequence sequence)
{
    return TOKEN_EVENT | (boot & 0x7FFFu) << 16 | ((uint32_t)sequence & 0xFFFFu);
}

static bool is_burst_end(const struct pipit_device *device, const struct pipit_record *record)
{
    uint32_t gap = device->config->receipt_gap_ms;
    if (!is_in_window(spool_of(device), record->boot, record->sequence + 1)) {
        return true; // The window closes behind it: nothing moves until a receipt comes.
    }
    return record->is_last &&
           (gap == 0 || !device->has_asked || is_due(device->now_ms, device->asked_at_ms + gap));
}

static bool wants_receipt(const struct pipit_device *device, const struct pipit_record *record)
{
    const struct pipit_spool *spool = spool_of(device);
    if (!uses_receipts(device)) {
        return false;
    }
    return device->must_ask || !device->is_proven || is_burst_end(device, record) ||
           device->unasked_count + 1 >= ASK_AFTER_COUNT ||
           device->unasked_bytes + record->body.len >= spool->limit_bytes / 2 ||
           (device->unasked_count > 0 &&
            is_due(device->now_ms, device->unasked_at_ms + ASK_AFTER_MS));
}

static void note_asked(struct pipit_device *device, bool has_asked, size_t body_len)
{
    if (has_asked) {
        device->has_asked = true;
        device->must_ask = false;
        device->asked_at_ms = device->now_ms;
        device->unasked_count = 0;
        device->unasked_bytes = 0;
        return;
    }
    if (device->unasked_count == 0) {
        device->unasked_at_ms = device->now_ms;
    }
    device->unasked_count++;
    device->unasked_bytes += (uint32_t)body_len;
}

static void note_sent(struct pipit_device *device, const struct pipit_record *record)
{
#if PIPIT_WITH_COUNTERS
    bool is_new = record->boot != device->sent_boot ? record->boot > device->sent_boot
                                                    : record->sequence > device->sent_sequence;
    if (is_new) {
        device->sent_boot = record->boot;
        device->sent_sequence = record->sequence;
    }
    device->counters.sent++;
    device->counters.resent += is_new ? 0 : 1;
#else
    (void)device;
    (void)record;
#endif
}

static enum pipit_err send_event(struct pipit_device *device, const struct pipit_record *record)
{
    enum pipit_qos qos = device->config->qos;
    bool has_asked = wants_receipt(device, record);
    size_t body_len = record->body.len;
    struct pipit_message message;
    struct pipit_bytes type;
    struct pipit_sink sink;
    enum pipit_err rc = pipit_event_type(record->body, &type);
    if (rc != PIPIT_OK) {
        return rc;
    }
    rc = pipit_device_topic(device, "event", type, &sink);
    if (rc != PIPIT_OK) {
        return rc;
    }
    pipit_event_encode(&sink, record, has_asked);
    memset(&message, 0, sizeof(message));
    message.qos = (uint8_t)((qos == PIPIT_QOS_DEFAULT ? PIPIT_QOS_1 : qos) - PIPIT_QOS_0);
    message.token = event_token(record->boot, record->sequence);
    rc = pipit_device_send(device, &sink, &message);
    if (rc == PIPIT_OK) {
        note_sent(device, record);
        if (uses_receipts(device)) {
            note_asked(device, has_asked, body_len);
        }
    }
    return rc;
}

enum pipit_err pipit_send_events(struct pipit_device *device)
{
    struct pipit_spool *spool = spool_of(device);
    struct pipit_record record;
    device->is_blocked = false;
    timer_check(device);
    if (uses_receipts(device)) {
        ask_check(device);
    }
    for (unsigned i = 0; i <= PIPIT_WINDOW; i++) {
        if (uses_receipts(device) && !device->is_proven && spool->read_count > 0) {
            device->is_blocked = true;
            break;
        }
        enum pipit_err rc = spool->type->peek(spool, &record);
        if (rc == PIPIT_ERR_EMPTY) {
            break;
        }
        if (rc == PIPIT_OK && !is_in_window(spool, record.boot, record.sequence)) {
            device->is_blocked = true;
            break;
        }
        if (rc == PIPIT_OK) {
            rc = send_event(device, &record);
        }
        if (rc == PIPIT_ERR_IO || rc == PIPIT_ERR_SIZE || rc == PIPIT_ERR_CORRUPT) {
            return rc;
        }
        if (rc != PIPIT_OK) {
            device->is_blocked = true;
            break; // The link is busy or going down; it says so by itself.
        }
        spool->type->advance(spool);
    }
    timer_update(device);
    return PIPIT_OK;
}

static enum pipit_err release(struct pipit_device *device, uint32_t boot, pipit_sequence first,
                              pipit_sequence last)
{
    struct pipit_spool *spool = spool_of(device);
    uint32_t before = spool->count, sent_before = spool->read_count;
    enum pipit_err rc = spool->type->release(spool, boot, first, last);
    COUNT(device, confirmed, before - spool->count);
    device->is_proven = device->is_proven || spool->read_count < sent_before;
    if (!uses_receipts(device) && spool->count < before) {
        device->resend_wait_ms = first_wait_ms(device); // The broker takes events again.
    }
    timer_update(device);
    return rc;
}

static bool bitmap_has(struct pipit_bytes bitmap, size_t bit)
{
    return (bitmap.ptr[bit >> 3] >> (bit & 7) & 1) != 0;
}

// The last sequence the receipt covers.
static pipit_sequence receipt_top(const struct pipit_wire_receipt *receipt)
{
    for (size_t i = receipt->bitmap.len; i-- > 0;) {
        for (unsigned bit = 8; bit-- > 0;) {
            if ((receipt->bitmap.ptr[i] >> bit & 1) != 0) {
                return receipt->upto + 1 + (pipit_sequence)i * 8 + bit;
            }
        }
    }
    return receipt->upto;
}

// Releases each run of ones.
static enum pipit_err release_bitmap(struct pipit_device *device,
                                     const struct pipit_wire_receipt *receipt)
{
    size_t bits = receipt->bitmap.len * 8;
    enum pipit_err rc = PIPIT_OK;
    for (size_t i = 0; i < bits && rc == PIPIT_OK; i++) {
        size_t first = i;
        while (i < bits && bitmap_has(receipt->bitmap, i)) {
            i++;
        }
        if (i > first) {
            rc = release(device, receipt->boot, receipt->upto + 1 + first, receipt->upto + i);
        }
    }
    return rc;
}

enum pipit_err pipit_send_take_receipt(struct pipit_device *device, struct pipit_bytes encoded)
{
    const struct pipit_spool *spool = spool_of(device);
    struct pipit_wire_receipt receipt;
    enum pipit_err rc = pipit_wire_receipt(encoded, &receipt);
    // A receipt for what was never accepted speaks of another device with this identity.
    if (rc != PIPIT_OK ||
        (receipt.boot == spool->boot && receipt_top(&receipt) >= spool->next_sequence)) {
        COUNT(device, refused_messages, 1);
        return PIPIT_OK;
    }
    COUNT(device, receipts, 1);
    if (!uses_receipts(device)) {
        return PIPIT_OK;
    }
    rc = release(device, receipt.boot, 0, receipt.upto);
    return rc == PIPIT_OK ? release_bitmap(device, &receipt) : rc;
}

// Only events of the oldest boot are in flight, within the window: the token names one of them.
enum pipit_err pipit_send_take_ack(struct pipit_device *device, uint32_t token, enum pipit_err rc)
{
    const struct pipit_spool *spool = spool_of(device);
    if (uses_receipts(device) || spool->count == 0) {
        return PIPIT_OK;
    }
    if (rc != PIPIT_OK && !device->is_timing) { // Refused: a quota, or a right not yet given.
        device->is_timing = true;
        device->resend_at_ms = device->now_ms + device->resend_wait_ms;
    }
    if (rc != PIPIT_OK) {
        return PIPIT_OK;
    }
    uint32_t offset = (token - (uint32_t)spool->tail_sequence) & 0xFFFFu;
    pipit_sequence sequence = spool->tail_sequence + offset;
    if (offset > PIPIT_WINDOW || token != event_token(spool->tail_boot, sequence)) {
        return PIPIT_OK; // Already released.
    }
    return release(device, spool->tail_boot, sequence, sequence);
}
