#include <stdio.h>
#include <string.h>

#include "base/option.h"
#include "cli/command.h"

#define COMMANDS_MAX 32 // Names that an unknown one is compared with.

static const char exit_codes_text[] =
    "Exit codes:\n"
    "  0  done\n"
    "  1  tried and not done; the reason is on standard error\n"
    "  2  the command line is wrong\n"
    "  3  the configuration file is wrong\n"
    "  4  the store is in use, damaged, or written by a newer version\n"
    "  5  a broker, hub or device did not answer\n";

static const struct {
    enum err rc;
    int exit_code;
} exit_codes[] = {
    {ERR_OK, EXIT_OK},
    {ERR_CONFIG, EXIT_CONFIGURATION},
    {ERR_BUSY, EXIT_STORE},
    {ERR_CORRUPT, EXIT_STORE},
    {ERR_VERSION, EXIT_STORE},
    {ERR_IO, EXIT_STORE},
    {ERR_UNAVAILABLE, EXIT_UNAVAILABLE},
    {ERR_TIMEOUT, EXIT_UNAVAILABLE},
};

int exit_code_of(enum err rc)
{
    for (size_t i = 0; i < sizeof(exit_codes) / sizeof(exit_codes[0]); i++) {
        if (exit_codes[i].rc == rc) {
            return exit_codes[i].exit_code;
        }
    }
    return EXIT_FAILED;
}

static const struct command *command_find(const char *name)
{
    for (const struct command *command = commands; command->name != NULL; command++) {
        if (strcmp(command->name, name) == 0) {
            return command;
        }
    }
    return NULL;
}

static int help_print(FILE *file)
{
    fprintf(file, "Usage: pipit COMMAND [OPTION...]\n\n"
                  "Pipit takes events of devices over MQTT, routes them by SQL and delivers the\n"
                  "results; what a device was told is stored is never lost.\n\nCommands:\n");
    for (const struct command *command = commands; command->name != NULL; command++) {
        fprintf(file, "  %-11s %s\n", command->name, command->summary);
    }
    fprintf(file,
            "\n  pipit help COMMAND   what a command does, its options, examples\n"
            "  pipit --version      which version this is\n\n%s",
            exit_codes_text);
    return file == stdout ? EXIT_OK : EXIT_USAGE;
}

static int command_unknown(const char *name)
{
    const char *names[COMMANDS_MAX + 1] = {NULL};
    for (size_t i = 0; i < COMMANDS_MAX && commands[i].name != NULL; i++) {
        names[i] = commands[i].name;
    }
    const char *near = nearest_name(name, names);
    fprintf(stderr, "pipit: there is no command '%s'%s%s%s\nTry: pipit --help\n", name,
            near == NULL ? "" : "; did you mean '", near == NULL ? "" : near,
            near == NULL ? "" : "'?");
    return EXIT_USAGE;
}

static int help_command(int argc, char **argv)
{
    if (argc < 2) {
        return help_print(stdout);
    }
    const struct command *command = command_find(argv[1]);
    char help[] = "--help", *help_argv[] = {argv[1], help, NULL};
    return command == NULL ? command_unknown(argv[1]) : command->run(2, help_argv);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        return help_print(stderr);
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("pipit %s\n", PIPIT_VERSION);
        return EXIT_OK;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0) {
        return help_command(argc - 1, argv + 1);
    }
    const struct command *command = command_find(argv[1]);
    return command == NULL ? command_unknown(argv[1]) : command->run(argc - 1, argv + 1);
}
