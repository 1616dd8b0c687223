// workflow_draw.c - `pipit workflow draw`: a definition as a drawing.
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/drawing.h"
#include "cli/terminal.h"
#include "config/config.h"
#include "intake/source.h"

int workflow_draw_command(int argc, char **argv);

static const struct option_spec draw_options[] = {
    {"config", OPTION_PATH, false, "hub.yaml", 0, 0, NULL,
     "The configuration file; -c is short for it."},
    {"dot", OPTION_BOOL, false, "false", 0, 0, NULL,
     "For Graphviz, as is done without --mermaid, too."},
    {"mermaid", OPTION_BOOL, false, "false", 0, 0, NULL, "For Mermaid, which Markdown pages show."},
    {NULL},
};

static const struct usage usage = {
    .name = "workflow draw",
    .synopsis = "WORKFLOW -c hub.yaml [--dot | --mermaid]",
    .about =
        "Prints a workflow of the configuration as a graph: steps by name and kind; where the\n"
        "flow goes on, for which case; dashed where an error leads, dotted what undoes a\n"
        "step.\n",
    .options = draw_options,
    .more = "Examples:\n"
            "  pipit workflow draw order -c hub.yaml | dot -Tsvg > order.svg\n"
            "  pipit workflow draw order -c hub.yaml --mermaid\n\n"
            "Exit codes: 0 done, 1 no such workflow, 2 usage, 3 configuration.\n",
};

static void report(void *context, const struct error *fault)
{
    (void)context;
    fprintf(stderr, "%s\n", fault->text);
}

static const struct workflow_spec *find(const struct core_spec *core, const char *name)
{
    for (uint32_t i = 0; i < core->workflow_count; i++) {
        if (strcmp(core->workflows[i].name, name) == 0) {
            return &core->workflows[i];
        }
    }
    return NULL;
}

static int unknown(const struct config *config, const char *name)
{
    const char *names[CONFIG_WORKFLOWS_MAX + 1] = {NULL};
    for (uint32_t i = 0; i < config->core.workflow_count; i++) {
        names[i] = config->core.workflows[i].name;
    }
    const char *near = nearest_name(name, names);
    fprintf(stderr, "pipit workflow draw: %s has no workflow '", config->path);
    terminal_put(stderr, name);
    fprintf(stderr, "'%s%s%s\n", near == NULL ? "" : "; did you mean '", near == NULL ? "" : near,
            near == NULL ? "" : "'?");
    return EXIT_FAILED;
}

static int draw(const char *path, const char *name, enum drawing_language language)
{
    struct config *config = NULL;
    struct error e = {0};
    if (config_load(&config, path, source_options, report, NULL, &e) != ERR_OK) {
        return EXIT_CONFIGURATION;
    }
    const struct workflow_spec *spec = find(&config->core, name);
    int code = spec == NULL ? unknown(config, name) : EXIT_OK;
    json_t *definition = spec == NULL ? NULL : json_loads(spec->definition, 0, NULL);
    if (definition != NULL && !drawing_print(definition, language, stdout)) {
        fprintf(stderr, "pipit workflow draw: out of memory\n");
        code = EXIT_FAILED;
    }
    json_decref(definition);
    config_destroy(config);
    return code;
}

int workflow_draw_command(int argc, char **argv)
{
    struct arguments arguments;
    int code = arguments_init(&arguments, &usage, argc, argv);
    if (code != -1) {
        return code;
    }
    bool is_mermaid = option_bool(arguments.options, "mermaid");
    if (arguments.word_count != 1) {
        code = usage_fail(&usage, arguments.word_count == 0 ? "name a workflow"
                                                            : "one workflow is drawn at a time");
    } else if (is_mermaid && option_bool(arguments.options, "dot")) {
        code = usage_fail(&usage, "--dot or --mermaid, not both");
    } else {
        code = draw(option_text(arguments.options, "config"), arguments.words[0],
                    is_mermaid ? DRAWING_MERMAID : DRAWING_DOT);
    }
    arguments_deinit(&arguments);
    return code;
}
