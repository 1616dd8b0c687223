#include "cli/command.h"

#include <stddef.h>

#define COMMAND_RUN(name) int name##_command(int argc, char **argv)

// One line here and one in the table for each command.

const struct command commands[] = {
    {NULL, NULL, NULL},
};
