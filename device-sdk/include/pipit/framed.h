// framed.h - a transport over a serial line to a modem: checked frames, and calls that are dialled.
// Threads:   as pipit.h.
// Ownership: the caller gives all memory; options, buffers and the wire outlive the framed line.
// Failure:   enum pipit_err. A frame that is damaged, missing or repeated ends the call, so what is
//            read was sent. Of damaged frames one in 65,536 passes the check of 16 bits.
//
// On the line: 7E, then the body, then 7E. In a body 7E and 7D are sent as 7D and the byte XOR 20.
//     body  kind (1 byte), number (1), content, CRC-16/X.25 of all that (2, low byte first)
//     1 data       number counts the data frames of a call and direction from 0 and wraps;
//                  content: at least one byte
//     2 dial       to the modem; content: call (2 bytes, low first, not 0), and the largest data
//                  content that the device takes (2). Ends a former call. The same dial again,
//                  before any data, changes nothing and is answered again.
//     3 connected  to the device; content: call (2), and the largest that the modem takes (2)
//     4 hang-up    both ways; content: call (2; 0: whatever there is), reason (1)
// Bytes outside frames, and damaged frames while there is no call, are passed over.
#ifndef PIPIT_FRAMED_H
#define PIPIT_FRAMED_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

// Why a call ended.
enum pipit_hang_up {
    PIPIT_HANG_UP_NONE = 0,
    PIPIT_HANG_UP_ASKED,       // The device closed, or an operator told the modem.
    PIPIT_HANG_UP_UNREACHABLE, // The broker could not be dialled.
    PIPIT_HANG_UP_CARRIER,     // The broker hung up.
    PIPIT_HANG_UP_FRAME,       // A frame was damaged, missing or repeated.
    PIPIT_HANG_UP_NO_CALL,     // Data came, and there is no call.
};

#define PIPIT_FRAMED_SEND_MIN    32u // Bytes on the line of the longest frame, all escaped.
#define PIPIT_FRAMED_RECEIVE_MIN 12u

// Zero means the default everywhere.
struct pipit_framed_options {
    struct pipit_transport *wire; // The line. A UART is always there: open and close may be NULL.
    uint8_t *send_memory;         // Holds one frame as it is on the line.
    size_t send_bytes;            // At least PIPIT_FRAMED_SEND_MIN; 2 n + 11 for n bytes a frame.
    uint8_t *receive_memory;      // Holds one body.
    size_t receive_bytes;         // At least PIPIT_FRAMED_RECEIVE_MIN; n + 4 for n bytes a frame.
    uint16_t dial_ms; // The dial frame is repeated this often until there is an answer: 1 s.
    uint16_t call;    // The first call is the next number: differs from start to start (entropy).
};

// Reads frames byte by byte; all members are private.
struct pipit_frame_reader {
    uint8_t *ptr;
    uint16_t size;
    uint16_t len;         // Of the body so far.
    uint16_t content_len; // Of the frame that came whole.
    uint16_t crc;
    uint8_t state;
};

struct pipit_framed {
    struct pipit_transport base; // Hand &framed.base to pipit_client_options.
    uint32_t bad_frames;         // Damaged, missing or repeated in a call, since init.
    enum pipit_hang_up reason;   // Of the last call's end.
    const struct pipit_framed_options *options; // private from here
    struct pipit_frame_reader reader;
    uint32_t dialled_at_ms;
    uint16_t call;
    uint16_t send_max; // Data bytes a frame that the modem takes.
    uint16_t send_at;  // In send_memory: what the wire has taken,
    uint16_t send_end; // and where the waiting bytes end.
    uint16_t taken;    // Of the data of the frame that came last: what was handed out,
    uint16_t data_end; // and how much there is.
    uint8_t send_number;
    uint8_t receive_number;
    uint8_t state;
    uint8_t raw_at;
    uint8_t raw_end;
    uint8_t raw[32]; // Read from the wire, not looked at yet.
};

// PIPIT_ERR_ARGUMENT for a wire or memory that is missing, too small or above 65,535 bytes.
// Neither the wire nor the line is touched before the transport is opened.
enum pipit_err pipit_framed_init(struct pipit_framed *framed,
                                 const struct pipit_framed_options *options);

#ifdef __cplusplus
}
#endif

#endif
