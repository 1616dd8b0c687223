// options.h - the modem's command line.
// Threads: one.  Ownership: strings are argv's.  Failure: says why on stderr; exit code 2.
#ifndef MODEM_OPTIONS_H
#define MODEM_OPTIONS_H

#include "line.h"

struct options {
    uint16_t broker; // Port.
    uint16_t listen; // 0: asked for.
    const char *control;
    bool is_framed;
    bool is_dialled_at_once;
    bool is_device_closed; // With the call: what a TCP client needs to notice its end.
    bool is_verbose;
    uint32_t redial_idle_ms;
    uint32_t idle_hangup_ms; // 0: never.
    uint64_t seed;
    struct faults up;
    struct faults down;
};

enum options_result { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_WRONG };

enum options_result options_parse(struct options *options, int argc, char **argv);

#endif
