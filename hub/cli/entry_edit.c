#include "cli/entry_edit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/control.h"
#include "base/file.h"

static int tell(const struct entry_walk *walk, const struct error *e)
{
    fprintf(stderr, "pipit %s: %s\n", walk->command, e->text);
    return e->code == ERR_NOT_FOUND ? EXIT_FAILED : exit_code_of(e->code);
}

static int check(const struct usage *usage, const struct options *options,
                 const struct operation *operation)
{
    bool has_text = option_text(options, "payload") != NULL;
    bool has_file = option_text(options, "payload-file") != NULL;
    if (operation->first != operation->last) {
        return usage_fail(usage, "edit changes one entry: give its id");
    }
    if (has_text && has_file) {
        return usage_fail(usage, "give --payload or --payload-file, not both");
    }
    if (!has_text && !has_file && option_text(options, "topic") == NULL) {
        return usage_fail(usage, "what is to change? Give --topic, --payload or --payload-file");
    }
    return -1;
}

int entry_edit(const struct usage *usage, const struct entry_walk *walk,
               const struct options *options, const struct config *config,
               const struct operation *operation)
{
    int code = check(usage, options, operation);
    if (code != -1) {
        return code;
    }
    struct error e = {0};
    struct edit edit = {0};
    char *text = NULL;
    size_t len = 0;
    enum err rc = ERR_OK;
    if (option_text(options, "payload-file") != NULL) {
        rc = file_read(option_text(options, "payload-file"), CONTROL_REQUEST_MAX / 2, &text, &len,
                       &e);
        edit.payload = bytes_of(text, len);
    } else if (option_text(options, "payload") != NULL) {
        edit.payload = bytes_from_text(option_text(options, "payload"));
    }
    if (option_text(options, "topic") != NULL) {
        edit.topic = bytes_from_text(option_text(options, "topic"));
    }
    struct operation change = *operation;
    struct operated operated = {0};
    change.edit = &edit;
    rc = rc == ERR_OK ? operate(config, &change, &operated, &e) : rc;
    free(text);
    if (rc != ERR_OK) {
        return tell(walk, &e);
    }
    if (walk->is_json) {
        entry_count_json("edited", operated.count);
    } else {
        printf("%" PRIu64 " edited; `pipit %s test %" PRIu64 " -c %s` says what it gives now\n",
               operation->first, walk->command, operation->first, config->path);
    }
    return EXIT_OK;
}
