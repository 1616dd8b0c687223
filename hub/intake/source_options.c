#include "intake/source.h"

const struct option_spec source_options[] = {
    {"url", OPTION_TEXT, true, NULL, 0, 0, NULL,
     "The broker: `mqtt://host:port`, or `mqtts://host:port` for TLS. The port may be left out "
     "(1883, 8883)."},
    {"ca", OPTION_PATH, false, NULL, 0, 0, NULL,
     "PEM file of the authority that signed the broker's certificate. Without it those of the "
     "system are trusted."},
    {"cert", OPTION_PATH, false, NULL, 0, 0, NULL,
     "PEM file of the hub's own certificate, where the broker asks for one. Needs `key`."},
    {"key", OPTION_PATH, false, NULL, 0, 0, NULL,
     "PEM file of the key of `cert`, without a passphrase."},
    {"username", OPTION_TEXT, false, NULL, 0, 0, NULL, "User at the broker."},
    {"password", OPTION_SECRET, false, NULL, 0, 0, NULL,
     "Password of the user; best written as `${file:PATH}` or `${env:NAME}`."},
    {"client_id", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Client id at the broker; the session and what is queued for the hub hang on it. Default "
     "`pipit-<hub>-<source>`."},
    {"version", OPTION_ENUM, false, "auto", 0, 0, "auto|5|3.1.1",
     "Version of MQTT. auto: 5, and 3.1.1 where the broker refuses 5."},
    {"receive_maximum", OPTION_INT, false, "2000", 1, 65535, NULL,
     "Messages the broker may send before the first is acknowledged. Below some hundred the rate "
     "falls; MQTT 5 only."},
    {"session_expiry", OPTION_DURATION, false, "7 d", 1000, INT64_C(0x7FFFFFFF) * 1000, NULL,
     "How long the broker keeps the session and queues for a hub that is away. MQTT 5 only; with "
     "3.1.1 the broker decides."},
    {"keepalive", OPTION_DURATION, false, "30 s", 5000, 65535000, NULL,
     "A silent connection is tested this often."},
    {"connect_timeout", OPTION_DURATION, false, "10 s", 100, 600000, NULL,
     "A broker that has not answered by then is tried again."},
    {"reconnect_max", OPTION_DURATION, false, "5 s", 100, 3600000, NULL,
     "Longest wait between two attempts to connect. The waits grow with jitter and start anew once "
     "a connection has stood for 30 s."},
    {"max_message_size", OPTION_SIZE, false, "4 MB", 1024, 256 << 20, NULL,
     "Largest packet the broker may send. With MQTT 5 it drops larger messages; with 3.1.1 only "
     "the "
     "broker's `message_size_limit` protects the hub's memory."},
    {"priority", OPTION_INT, false, "0", -100, 100, NULL,
     "Sources of a higher priority are read first."},
    {"shared_group", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Subscribe as `$share/<group>/<topic>`, so that several hubs share the messages. MQTT 5 only. "
     "Retained messages are not sent then, and one device's events may reach different hubs, so "
     "that identity and order hold per hub only."},
    {"sparkplug_host", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "The hub is a Sparkplug host application of this id: it says on `spBv1.0/STATE/<id>` whether "
     "it "
     "is online, by a retained birth and a will."},
    {"probe", OPTION_BOOL, false, "true", 0, 0, NULL,
     "Test once at start, with 1100 tiny messages on `pipit/v1/$hub/<hub>/probe`, how many "
     "messages "
     "the broker keeps for a client that is away, and say what to change."},
    {"ack_before_commit", OPTION_BOOL, false, "false", 0, 0, NULL,
     "Test only: acknowledge messages before they are stored."},
    {NULL},
};
