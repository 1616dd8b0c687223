// types.h - the connectors there are; a new one is its file, a line here and a line in
// connectors.c.
//
// Threads:   any; constants.
//
// Ownership: nothing is owned.
//
// Failure:   as connector.h.
#ifndef PIPIT_CONNECTORS_TYPES_H
#define PIPIT_CONNECTORS_TYPES_H

#include "connectors/connector.h"

extern const struct connector_type connector_file; // Lines of JSON, appended to a file.
extern const struct connector_type connector_http; // Calls an HTTP server.
extern const struct connector_type connector_mqtt; // Publishes to an MQTT broker.

#endif
