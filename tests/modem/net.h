// net.h - the few socket calls of the modem: loopback only, never blocking.
// Threads: one.  Ownership: the caller closes what it is given.  Failure: -1 and errno.
#ifndef MODEM_NET_H
#define MODEM_NET_H

#include <stdint.h>

// 0 asks for a port; out_port is the one there is.
int net_listen(uint16_t port, uint16_t *out_port);
// A stale socket file is replaced, any other file is not.
int net_listen_path(const char *path);
int net_accept(int listener);
// Begins to connect: writable when done, and net_connected then says whether it is.
int net_connect(uint16_t port);
// 0, or the errno of the connection.
int net_connected(int fd);
void net_close(int *fd); // And sets it to -1.
// CLOCK_MONOTONIC.
uint64_t net_now_ms(void);

#endif
