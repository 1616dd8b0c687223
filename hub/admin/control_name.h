// control_name.h - where the control socket of a store is: <store>.sock, however long the path.
//
// Threads:   any.
//
// Ownership: the caller closes out_folder when it is not -1, once the name has been used.
//
// Failure:   ERR_NOT_FOUND when its folder is not there or the name itself is too long.
#ifndef PIPIT_ADMIN_CONTROL_NAME_H
#define PIPIT_ADMIN_CONTROL_NAME_H

#include <sys/socket.h>
#include <sys/un.h>

#include "base/error.h"

// A socket's name has room for 107 bytes. A longer path is gone to by its folder, held open.
enum err control_name(const char *store_path, struct sockaddr_un *out_name, int *out_folder,
                      struct error *e);

#endif
