#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/arguments.h"
#include "cli/bench_sample.h"
#include "cli/entry_range.h"
#include "cli/terminal.h"
#include "config/config.h"
#include "trial/rule_cost.h"

int bench_rule_command(int argc, char **argv);

static const struct option_spec bench_options[] = {
    {"config", OPTION_PATH, false, "hub.yaml", 0, 0, NULL,
     "The configuration file; -c is short for it."},
    {"sample", OPTION_PATH, true, NULL, 0, 0, NULL,
     "A file of messages, one a line: topic, a blank, payload, as `mosquitto_sub -v` prints them; "
     "or payloads alone, with --topic."},
    {"topic", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "The topic of all of them; then a line is a payload."},
    {"events", OPTION_INT, false, "100000", 1000, 100000000, NULL,
     "Events of one round; the sample is repeated or cut."},
    {"rounds", OPTION_INT, false, "5", 1, 101, NULL, "Rounds; the median counts."},
    {"json", OPTION_BOOL, false, "false", 0, 0, NULL, "One JSON object."},
    {NULL},
};

static const struct usage usage = {
    .name = "bench-rule",
    .synopsis = "RULE --sample FILE [-c hub.yaml] [--topic T] [--events N] [--json]",
    .about =
        "What a rule costs: processor time of an event, split into reading the message, running\n"
        "the rule, and rendering and storing its deliveries; with everything in memory\n"
        "and no broker. SQLite instructions are counted exactly. Of a rule with a window the\n"
        "second part is entering and closing it. What targets do then is not counted.\n",
    .options = bench_options,
    .more = "Examples:\n"
            "  mosquitto_sub -v -t 'legacy/#' -C 1000 > sample.txt\n"
            "  pipit bench-rule overheat --sample sample.txt\n\n"
            "Exit codes: 0 done, 1 no such rule or no usable sample, 2 usage, 3 configuration.\n",
};

static int fail(const struct error *e)
{
    fprintf(stderr, "pipit bench-rule: %s\n", e->text);
    return exit_code_of(e->code);
}

static void print_json(const char *rule, const struct rule_cost *cost)
{
    json_t *json =
        json_pack("{s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I}", "rule", rule, "events",
                  (json_int_t)cost->events, "sample", (json_int_t)cost->sample, "ns",
                  cost->total_ns, "read_ns", cost->read_ns, "rule_ns", cost->rule_ns, "outbox_ns",
                  cost->outbox_ns, "events_per_s", cost->total_ns == 0 ? 0.0 : 1e9 / cost->total_ns,
                  "instructions", cost->instructions, "deliveries", (json_int_t)cost->deliveries,
                  "rejected", (json_int_t)cost->rejected);
    json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(json);
}

static void print_text(const char *rule, const struct rule_cost *cost)
{
    printf("rule %s: %" PRIu64 " events of %" PRIu64 " in the sample, %" PRIu64
           " deliveries, %" PRIu64 " rejected\n",
           rule, cost->events, cost->sample, cost->deliveries, cost->rejected);
    printf("  %-22s %8.0f ns an event\n", "read the message", cost->read_ns);
    printf("  %-22s %8.0f ns\n", "run the rule", cost->rule_ns);
    printf("  %-22s %8.0f ns\n", "render and store", cost->outbox_ns);
    printf("  %s%-22s %8.0f ns%s, %.0f events/s of one core\n",
           terminal_colour(stdout, COLOUR_BOLD), "all of it", cost->total_ns,
           terminal_colour(stdout, COLOUR_NONE), cost->total_ns == 0 ? 0.0 : 1e9 / cost->total_ns);
    printf("  %-22s %8.1f an event\n", "SQLite instructions", cost->instructions);
}

static int bench(const struct config *config, const char *rule, const struct options *options)
{
    struct error e = {0};
    struct bench_sample sample = {0};
    struct rule_cost cost = {0};
    enum err rc = bench_sample_read(&sample, option_text(options, "sample"),
                                    option_text(options, "topic"), &e);
    if (rc == ERR_OK) {
        const struct rule_cost_options wanted = {
            .config = config,
            .rule = rule,
            .messages = sample.messages,
            .message_count = sample.count,
            .events = (uint64_t)option_int(options, "events"),
            .rounds = (uint32_t)option_int(options, "rounds"),
        };
        rc = rule_cost_measure(&wanted, &cost, &e);
    }
    if (rc == ERR_OK && option_bool(options, "json")) {
        print_json(rule, &cost);
    } else if (rc == ERR_OK) {
        print_text(rule, &cost);
    }
    bench_sample_free(&sample);
    return rc == ERR_OK ? EXIT_OK : fail(&e);
}

int bench_rule_command(int argc, char **argv)
{
    struct arguments arguments;
    int code = arguments_init(&arguments, &usage, argc, argv);
    if (code != -1) {
        return code;
    }
    if (arguments.word_count != 1) {
        code = usage_fail(&usage, "%s",
                          arguments.word_count == 0 ? "which rule?" : "one rule at a time");
    } else {
        struct config *config =
            config_for_command("bench-rule", option_text(arguments.options, "config"), &code);
        code = config == NULL ? code : bench(config, arguments.words[0], arguments.options);
        config_destroy(config);
    }
    arguments_deinit(&arguments);
    return code;
}
