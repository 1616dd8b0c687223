#include <stdio.h>

#include "cli/arguments.h"
#include "cli/terminal.h"
#include "daemon/daemon.h"

int hub_command(int argc, char **argv);

static const struct option_spec hub_command_options[] = {
    {"config", OPTION_PATH, true, NULL, 0, 0, NULL, "The configuration file; -c is short for it."},
    {"supervise", OPTION_BOOL, false, "false", 0, 0, NULL,
     "Start the hub again when it dies by a signal. Not needed under systemd."},
    {NULL},
};

static const struct usage hub_usage = {
    .name = "hub",
    .synopsis = "-c hub.yaml [--supervise]",
    .about = "Runs the hub in the foreground: takes events from the sources, routes them by the\n"
             "rules, delivers to the targets. It logs to standard error, HUB-READY when it runs.\n",
    .options = hub_command_options,
    .more = "Signals:\n"
            "  SIGTERM, SIGINT   stop: deliver what waits (at most `drain`), then end;\n"
            "                    a second one ends at once. Nothing is lost either way.\n"
            "  SIGHUP            read the configuration again; a faulty one changes nothing\n\n"
            "Exit codes: 0 stopped as asked, 3 the configuration is wrong, 4 the store is in use,\n"
            "damaged or newer. docs/OPERATING.md has them all, with every log line.\n",
};

static int run(const struct daemon_options *options)
{
    struct error e = {0};
    enum err rc = daemon_run(options, &e);
    if (rc != ERR_OK) {
        fprintf(stderr, "pipit hub: %s\n", e.text);
    }
    return exit_code_of(rc);
}

int hub_command(int argc, char **argv)
{
    struct arguments arguments;
    int rc = arguments_init(&arguments, &hub_usage, argc, argv);
    if (rc != -1) {
        return rc;
    }
    if (arguments.word_count > 0) {
        rc = usage_fail(&hub_usage, "'%s' is not expected here", arguments.words[0]);
    } else {
        struct daemon_options options = {
            .config_path = option_text(arguments.options, "config"),
            .version = PIPIT_VERSION,
            .is_banner_on = terminal_is(stderr),
        };
        rc = option_bool(arguments.options, "supervise") ? daemon_supervise(&options, run)
                                                         : run(&options);
    }
    arguments_deinit(&arguments);
    return rc;
}
