// network.h - lwIP on the board's one Ethernet interface, polled.
// Threads:   one.
// Ownership: nothing is kept of what is handed in.
// Failure:   without an address connections fail, and are tried again.
#ifndef NETWORK_H
#define NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#define NETWORK_ADDRESS_BYTES 16

// `address` as "10.0.2.15/10.0.2.2" (ours, and the router's), or NULL: by DHCP. Seeded by true
// randomness: sequence numbers and ports that can be guessed let others into a connection.
// False: the chip does not answer, or the address is none.
bool network_start(const char *address, uint32_t seed);

// Moves frames and time on. Call it often.
void network_poll(void);

bool network_has_address(void);
void network_print_address(char text[static NETWORK_ADDRESS_BYTES]);

#endif
