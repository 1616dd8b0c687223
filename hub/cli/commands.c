#include "cli/command.h"

#include <stddef.h>

int check_command(int argc, char **argv);
int command_command(int argc, char **argv);
int dead_command(int argc, char **argv);
int fleet_command(int argc, char **argv);
int hub_command(int argc, char **argv);
int publish_command(int argc, char **argv);
int quarantine_command(int argc, char **argv);
int status_command(int argc, char **argv);
int tail_command(int argc, char **argv);
int test_command(int argc, char **argv);

const struct command commands[] = {
    {"hub", "Run the hub: take events, route them by SQL, deliver the results.", hub_command},
    {"check", "Check a configuration file: every fault with its line and column.", check_command},
    {"test", "Run the cases kept beside a configuration: events in, expected outputs.",
     test_command},
    {"status", "What a hub has done, what it owes, what it is connected to.", status_command},
    {"dead", "List, show, replay or drop deliveries that were given up.", dead_command},
    {"quarantine", "List, show or drop messages that were rejected.", quarantine_command},
    {"publish", "Publish an event as a device would, until it is stored.", publish_command},
    {"fleet", "Play many devices: replay a file, or generate events.", fleet_command},
    {"tail", "Watch events, decoded, as they pass the broker.", tail_command},
    {"command", "Send a command to a device and show its reply.", command_command},
    {NULL, NULL, NULL},
};
