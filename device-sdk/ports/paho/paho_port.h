// paho_port.h - the two halves of the paho port, for each other.
// Threads:   the caller's; pipit_paho_error_set also paho's.
// Ownership: as pipit/paho.h.
// Failure:   texts go to the link's error.
#ifndef PIPIT_PAHO_PORT_H
#define PIPIT_PAHO_PORT_H

#include "pipit/paho.h"

__attribute__((format(printf, 2, 3))) void pipit_paho_error_set(struct pipit_paho *paho,
                                                                const char *format, ...);
bool pipit_paho_is_tls(const struct pipit_paho *paho);
enum pipit_err pipit_paho_options_check(struct pipit_paho *paho);

#endif
