#include "cli/reference.h"

#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "connectors/connector.h"
#include "intake/source.h"
#include "trial/case_file.h"

// A table of Markdown has its bars to itself.
static void cell_print(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|') {
            putchar('\\');
        }
        putchar(*text);
    }
}

// Units are explained once, above the tables.
static void allowed_print(const struct option_spec *row)
{
    char text[400];
    option_allowed(row, text, sizeof(text));
    char *units =
        row->type == OPTION_SIZE || row->type == OPTION_DURATION ? strstr(text, " (") : NULL;
    if (units != NULL) {
        *units = '\0';
    }
    cell_print(text);
}

static void row_print(const struct option_spec *row)
{
    printf("| `%s` | ", row->name);
    allowed_print(row);
    if (row->is_required) {
        printf(" | *required* | ");
    } else if (row->default_text == NULL) {
        printf(" | | ");
    } else {
        printf(" | `%s` | ", row->default_text);
    }
    cell_print(row->sentence);
    printf(" |\n");
}

static void table_print(const char *path, const char *about, const struct option_spec *table)
{
    printf("\n### `%s`\n\n%s\n\n| option | takes | default | what it does |\n|---|---|---|---|\n",
           path, about);
    for (const struct option_spec *row = table; row->name != NULL; row++) {
        if (!option_is_fault(row)) {
            row_print(row);
        }
    }
}

static void connectors_print(void)
{
    char path[80];
    for (uint32_t i = 0; connector_types[i] != NULL; i++) {
        const struct connector_type *type = connector_types[i];
        snprintf(path, sizeof(path), "targets.<name>.%s", type->name);
        table_print(path, "The connector's own options.", type->options);
        if (type->route_options != NULL && type->route_options[0].name != NULL) {
            snprintf(path, sizeof(path), "rules.<name>.to: <%s target>", type->name);
            table_print(path, "Options of a route to such a target, beside those of every route.",
                        type->route_options);
        }
    }
}

// Files of `pipit test`.
static void cases_print(void)
{
    table_print(
        "cases.<name>",
        "A case of `pipit test`, in `cases.yaml` or `<name>.cases.yaml` beside the "
        "configuration. Beside these stand `events`, `expect` (a list of `<target>: {...}`, "
        "or `nothing`), `rejected` (a list of `{topic, reason}`), `books` (what a book has at "
        "the end, such as `late: 1`) and, for workflows, `answers`, `replies` and `instances` "
        "(a list of `<workflow>/<key>: {...}`, or `nothing`).",
        case_options);
    table_print("cases.<name>.events",
                "What comes in, one after the other. Beside these may stand `json`, `cbor`, "
                "`protobuf` (a `message` of the configuration and its `fields`), `pipit`, and "
                "`properties`.",
                case_event_options);
    table_print(
        "cases.<name>.events: pipit",
        "An event as a device with the SDK sends it; device and type make the topic. Beside "
        "these stands `fields`.",
        case_pipit_options);
    table_print("cases.<name>.expect: <target>",
                "One delivery, in the order in which the target gets them; all have to be named. "
                "Beside these may stand `json` (equal), `contains` (JSON with at least these "
                "members), `cbor` (equal, as JSON), `pipit` and `protobuf` (at least this `type` "
                "and these `fields`), `command` (at least these fields of it), and `properties` "
                "(at least these).",
                case_expect_options);
    table_print("cases.<name>.answers: <target>",
                "What a target answers, above all to calls of workflows: of those that fit the "
                "first that is not used up. Where none fits it takes what it gets, at once, and "
                "says nothing. Beside these may stand a body: `json`, `text`, `hex`, `cbor`, "
                "`protobuf` or `file`. An answer that nobody asks for is a failure of the case.",
                case_answer_options);
    table_print("cases.<name>.replies: <group>/<device>",
                "What a device replies to commands, in the same way; `+` may stand for group or "
                "device. Where none fits it replies `status: 0` at once, unless it is offline. "
                "Beside these may stand `fields`.",
                case_reply_options);
    table_print("cases.<name>.instances: <workflow>/<key>",
                "How an instance of a workflow is at the end of the case. Beside these may stand "
                "`variables` and `result` (at least these), `steps` (those that have ended, in "
                "order: a name or, of one that has failed, `name: error`) and `waiting` (the steps "
                "in which it is).",
                case_instance_options);
}

static void steps_print(void)
{
    table_print(
        "workflows.<name>.steps: <name>",
        "A step is its name and what it does: `- pause: {sleep: 5 min}`. It does one thing, "
        "a kind below; beside that it may have these, and `retry`, `take` (variables to set "
        "from what came back: `{<variable>: <SQL>}`), `undo` (steps that undo it when the "
        "workflow fails or is cancelled later) and `on_error` (steps that handle its "
        "error). Where steps are lists, one step needs none.",
        step_options);
    table_print(
        "workflows.<name>.steps: <name>: retry",
        "Without it a step is tried once. Beside these stands `errors`, a list of `timeout`, "
        "`unavailable`, `refused`, `offline`, `expression`, `answer`, `failed`, `bound`, "
        "`cancelled`; without it `[timeout, unavailable, offline, answer]`.",
        step_retry_options);
    table_print("workflows.<name>.steps: <name>: emit, call",
                "`emit` sends a message and goes on; `call` waits for the target's answer. Beside "
                "these stand `fields` (what is sent: `{<name>: <SQL>}`; without it all variables), "
                "`properties` (`{<name>: <template>}`), and the options of a route to such a "
                "target: `topic`, `qos`, `retain` of MQTT, `method`, `path` of HTTP. In templates "
                "stands `{<SQL>}`.",
                step_message_options);
    table_print("workflows.<name>.steps: <name>: command",
                "Sends a command to a device that runs the SDK, and waits for its reply. Beside "
                "these stands `fields`.",
                step_command_options);
    table_print(
        "workflows.<name>.steps: <name>: await",
        "Waits for an event. Its columns and fields are those of rules; a name that is also "
        "a variable's is written `event.<name>`.",
        step_await_options);
    table_print("workflows.<name>.steps: <name>: run",
                "Starts another workflow. Beside these stands `with`, its variables: `{<variable>: "
                "<SQL>}`.",
                step_run_options);
    table_print("workflows.<name>.steps: <name>: parallel",
                "`parallel: {<branch>: [...], ...}` runs its branches side by side. Beside it:",
                step_parallel_options);
    table_print("workflows.<name>.steps: <name>: for_each",
                "Beside `for_each` stand `steps` and these.", step_for_each_options);
    table_print(
        "workflows.<name>.steps: <name>: a value",
        "Kinds of steps that are one value. Besides there are `set: {<variable>: <SQL>}` and "
        "`end: {<name>: <SQL>}`, which completes the workflow with this result.",
        step_value_options);
}

// In the order in which people need them.
static void workflows_print(void)
{
    table_print("workflows.<name>",
                "A process in several steps; what it means stands in "
                "[WORKFLOWS.md](WORKFLOWS.md). Beside these stand `start`, `variables` (`{<name>: "
                "<SQL over the event that starts it>}`) and `steps`. A workflow without `start` is "
                "one that others `run`.",
                workflow_options);
    table_print("workflows.<name>.start", "What starts an instance.", workflow_start_options);
    steps_print();
}

void reference_print(void)
{
    table_print("hub", "The hub itself.", hub_options);
    table_print("sources.<name>.mqtt",
                "One connection that events come from. Beside `mqtt` stands `topics`, the list of "
                "topic filters to subscribe to.",
                source_options);
    table_print("devices.<name>",
                "Who sent an event of a device that does not run the SDK. The first entry whose "
                "`from` matches a message names its device.",
                identity_options);
    table_print("formats.<name>",
                "How payloads are read. Beside these stands one of `json`, `cbor`, `protobuf`, "
                "`sparkplug`, `cloudevents`, `text`, `number` and `bytes`, and `fields`: a mapping "
                "of (dotted) field names to `integer`, `number`, `text`, `boolean`, `blob`, "
                "`object`, `array` or `any`, with `?` behind it where the field may be missing.",
                format_options);
    table_print("formats.<name>.protobuf", "Which message a payload is.", protobuf_options);
    table_print("history",
                "Events that are kept for `pipit replay`. Beside these stands `topics`, a list of "
                "topic filters; without it everything that is let in is kept.",
                history_options);
    table_print("tables.<name>",
                "A reference table that rules may join. Its rows come from a file or from events.",
                table_options);
    table_print(
        "rules.<name>",
        "Beside these stand `to`, the list of routes (which a rule by whose rows workflows start "
        "does not need), and `else` and `late`, lists of routes for "
        "the events that gave no row or came too late for the rule's window. Those send "
        "`payload: original` where they say nothing else.",
        rule_options);
    table_print("rules.<name>.window",
                "The statement runs over the events of a window together, once for each window of "
                "each key. One of the first five says which kind of window it is.",
                window_options);
    table_print("rules.<name>.window: every", "Of hopping and count windows.",
                window_every_options);
    table_print("rules.<name>.to: <any target>", "Options of every route.", route_common_options);
    table_print("rules.<name>.to: rules",
                "Options of a route to other rules, beside those of `payload`. No target may be "
                "called `rules`.",
                route_to_rules_options);
    table_print("rules.<name>.to: <any target>: payload",
                "What a route sends. Beside these stands `properties`, a mapping of names to "
                "templates: MQTT 5 user properties of the deliveries.",
                route_payload_options);
    table_print("targets.<name>",
                "Options of every target, beside the one that names its connector.",
                target_common_options);
    connectors_print();
    workflows_print();
    functions_print();
    cases_print();
}
