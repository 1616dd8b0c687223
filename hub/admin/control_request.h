// control_request.h - one request of the control socket: read, checked, and kept while it is done.
//
// Threads:   hub thread.
//
// Ownership: the operation in the ask borrows from ask->request.
//
// Failure:   a sentence for the client; ask->request is to be destroyed then, too.
#ifndef PIPIT_ADMIN_CONTROL_REQUEST_H
#define PIPIT_ADMIN_CONTROL_REQUEST_H

#include "admin/control.h"

// NULL: everything but ask->client has been set.
const char *control_request_read(const char *line, size_t len, struct control_ask *ask);
void control_request_destroy(struct control_request *request); // NULL is fine.

#endif
