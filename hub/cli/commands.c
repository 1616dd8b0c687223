#include "cli/command.h"

#include <stddef.h>

int apply_command(int argc, char **argv);
int bench_rule_command(int argc, char **argv);
int check_command(int argc, char **argv);
int command_command(int argc, char **argv);
int dead_command(int argc, char **argv);
int explain_command(int argc, char **argv);
int fleet_command(int argc, char **argv);
int hub_command(int argc, char **argv);
int publish_command(int argc, char **argv);
int quarantine_command(int argc, char **argv);
int replay_command(int argc, char **argv);
int status_command(int argc, char **argv);
int tail_command(int argc, char **argv);
int test_command(int argc, char **argv);
int workflow_command(int argc, char **argv);

const struct command commands[] = {
    {"hub", "Run the hub: take events, route them by SQL, deliver the results.", hub_command},
    {"check", "Check a configuration file: every fault with its line and column.", check_command},
    {"test", "Run the cases kept beside a configuration: events in, expected outputs.",
     test_command},
    {"explain", "Why each rule does or does not fire on a message.", explain_command},
    {"bench-rule", "What a rule costs an event, over a sample of messages.", bench_rule_command},
    {"apply", "Have the running hub use the configuration as it is now.", apply_command},
    {"status", "What a hub has done, what it owes, what it is connected to.", status_command},
    {"dead", "Deliveries that were given up: list, show, edit, test, replay, drop.", dead_command},
    {"quarantine", "Messages that were rejected: list, show, edit, test, replay, drop.",
     quarantine_command},
    {"workflow", "Processes in several steps: list, show, cancel, retry, replay, stats, draw.",
     workflow_command},
    {"replay", "Run a rule over a stretch of the event history, dry or for real.", replay_command},
    {"publish", "Publish an event as a device would, until it is stored.", publish_command},
    {"fleet", "Play many devices: replay a file, or generate events.", fleet_command},
    {"tail", "Watch events, decoded, as they pass the broker.", tail_command},
    {"command", "Send a command to a device and show its reply.", command_command},
    {NULL, NULL, NULL},
};
