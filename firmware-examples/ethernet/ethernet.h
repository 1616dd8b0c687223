// ethernet.h - the part of a board that moves Ethernet frames, word by word.
// Threads:   one; nothing interrupts.
// Ownership: none.
// Failure:   a frame that cannot be sent now, or comes in damaged, is lost: TCP sends it again.
//
// Both ways a frame comes after two bytes that mean nothing, so that the IP header behind the 14
// bytes of Ethernet's stands on a multiple of four. The first byte is the lowest of its word.
#ifndef ETHERNET_H
#define ETHERNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ETHERNET_PAD       2u
#define ETHERNET_FRAME_MAX 1514u

// False: the chip does not answer.
bool ethernet_start(const uint8_t mac[static 6]);

// Bytes of the frame that waits, its checksum left out; 0: none. Then words of it, and the end,
// which drops what was not taken.
size_t ethernet_receive(void);
uint32_t ethernet_take(void);
void ethernet_receive_end(void);

// Begins a frame of so many bytes; false: no room now. Then all its words, and the end.
bool ethernet_send(size_t len);
void ethernet_put(uint32_t word);
void ethernet_send_end(void);

#endif
