// features.h - what is built into the SDK; each is 1 unless the build says -DPIPIT_WITH_...=0.
// The same values must be seen by the SDK's sources and by everything that includes its headers.
#ifndef PIPIT_FEATURES_H
#define PIPIT_FEATURES_H

#ifndef PIPIT_WITH_MQTT_5
#define PIPIT_WITH_MQTT_5 1 // MQTT 5 in the SDK's own client.
#endif
#ifndef PIPIT_WITH_MQTT_311
#define PIPIT_WITH_MQTT_311 1 // MQTT 3.1.1; one of the two is needed.
#endif
#ifndef PIPIT_WITH_QOS_2
#define PIPIT_WITH_QOS_2 1 // QoS 2 in both directions.
#endif
#ifndef PIPIT_WITH_COMMANDS
#define PIPIT_WITH_COMMANDS 1 // Commands and their replies.
#endif
#ifndef PIPIT_WITH_RECEIPTS
#define PIPIT_WITH_RECEIPTS 1 // The hub's receipts; without, PUBACK is the only confirmation.
#endif
#ifndef PIPIT_WITH_PRESENCE
#define PIPIT_WITH_PRESENCE 1 // Status messages and the last will.
#endif

#ifndef PIPIT_WITH_COUNTERS
#define PIPIT_WITH_COUNTERS 1 // struct pipit_counters; without them it stays zero.
#endif
#ifndef PIPIT_WITH_INBOUND
// Messages to the device. Without, the client takes none and begins each connection clean.
#define PIPIT_WITH_INBOUND (PIPIT_WITH_RECEIPTS || PIPIT_WITH_COMMANDS)
#endif
#ifndef PIPIT_WITH_TEXT_CHECKS
// Names and texts of events are checked to be UTF-8. Without, the hub rejects what is not.
#define PIPIT_WITH_TEXT_CHECKS 1
#endif
#ifndef PIPIT_WITH_LONG_SEQUENCES
// Sequences of 64 bits. With 32 a boot ends after 4 billion events: the spool then refuses more.
#define PIPIT_WITH_LONG_SEQUENCES 1
#endif

#endif
