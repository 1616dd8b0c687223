#include "cli/actor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TOPIC_BYTES_MAX_OF_US (PIPIT_NAME_MAX * 2 + PIPIT_TYPE_MAX + 64) // Beside the event.
#define COMMAND_SLOTS         4
#define COMMAND_SLOT_BYTES    PIPIT_COMMAND_SLOT(2048)
#define SPOOL_PATH_MAX        4096

struct actor {
    struct pipit_device device;
    struct pipit_config config;
    struct pipit_paho paho;
    struct pipit_ram_spool ram;
    struct pipit_file_spool file;
    bool is_file, is_link_open, is_spool_open;
    char group[PEER_NAME_MAX], name[PEER_NAME_MAX], full_name[2 * PEER_NAME_MAX];
    char path[SPOOL_PATH_MAX];
    char url[PEER_HOST_MAX + 24];
    char trouble[PIPIT_PAHO_ERROR_MAX + 160];
    uint8_t *buffer, *spool_memory, *command_memory;
};

static enum err folder_make(const char *path, struct error *e)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST
               ? ERR_OK
               : error_set(e, ERR_IO, "cannot make folder %s: %s", path, strerror(errno));
}

// <folder>/<group>/<name>.spool
static enum err spool_path(struct actor *actor, const char *folder, struct error *e)
{
    char group_folder[SPOOL_PATH_MAX];
    int len = snprintf(group_folder, sizeof(group_folder), "%s/%s", folder, actor->group);
    if (actor->group[0] == '.' || len >= (int)sizeof(group_folder) - PEER_NAME_MAX - 8) {
        return error_set(e, ERR_CONFIG,
                         "spool of %s: group must not begin with a dot, path must "
                         "not be longer than %d bytes",
                         actor->full_name, SPOOL_PATH_MAX);
    }
    snprintf(actor->path, sizeof(actor->path), "%.*s/%s.spool", SPOOL_PATH_MAX - PEER_NAME_MAX - 8,
             group_folder, actor->name);
    enum err rc = folder_make(folder, e);
    return rc == ERR_OK ? folder_make(group_folder, e) : rc;
}

static enum err file_spool_open(struct actor *actor, const struct actor_options *options,
                                struct error *e)
{
    enum err rc = spool_path(actor, options->spool, e);
    if (rc != ERR_OK) {
        return rc;
    }
    struct pipit_file_options file = {
        .path = actor->path,
        .limit_bytes = options->spool_bytes,
        .policy = PIPIT_REFUSE,
        .sync_every_ms = options->sync_every_ms,
        .memory = actor->spool_memory,
        .memory_bytes = options->event_bytes + 32,
        .entropy = pipit_entropy(),
    };
    enum pipit_err sdk = pipit_file_spool_open(&actor->file, &file);
    if (sdk != PIPIT_OK) {
        const char *text = pipit_file_spool_error(&actor->file);
        return error_set(e, sdk == PIPIT_ERR_LOCKED ? ERR_BUSY : ERR_IO, "%s",
                         text[0] != '\0' ? text : pipit_err_text(sdk));
    }
    actor->config.spool = &actor->file.base;
    actor->is_spool_open = true;
    return ERR_OK;
}

static enum err ram_spool_open(struct actor *actor, const struct actor_options *options,
                               struct error *e)
{
    enum pipit_err sdk =
        pipit_ram_spool_init(&actor->ram, actor->spool_memory, options->spool_bytes, PIPIT_REFUSE,
                             pipit_boot_random(pipit_entropy()));
    actor->config.spool = &actor->ram.base;
    return sdk == PIPIT_OK ? ERR_OK : actor_error(actor, sdk, e);
}

static enum err link_open(struct actor *actor, const struct actor_options *options, struct error *e)
{
    const struct peer *peer = options->peer;
    struct pipit_paho_options paho = {
        .url = actor->url,
        .version = peer->is_311 ? PIPIT_MQTT_311 : PIPIT_MQTT_5,
        .ca = peer->ca,
        .cert = peer->cert,
        .key = peer->key,
        .is_insecure = peer->is_insecure,
        .bell = options->bell,
    };
    bool is_v6 = strchr(peer->host, ':') != NULL;
    snprintf(actor->url, sizeof(actor->url), "%s://%s%s%s:%d", peer->is_tls ? "mqtts" : "mqtt",
             is_v6 ? "[" : "", peer->host, is_v6 ? "]" : "", peer->port);
    enum pipit_err sdk = pipit_paho_open(&actor->paho, &paho);
    if (sdk != PIPIT_OK) {
        char text[PIPIT_PAHO_ERROR_MAX];
        pipit_paho_error(&actor->paho, text, sizeof(text));
        return error_set(e, ERR_CONFIG, "%s", text[0] != '\0' ? text : pipit_err_text(sdk));
    }
    actor->config.link = &actor->paho.base;
    actor->is_link_open = true;
    return ERR_OK;
}

static void config_fill(struct actor *actor, const struct actor_options *options)
{
    const struct peer *peer = options->peer;
    struct pipit_config *config = &actor->config;
    config->group = actor->group;
    config->device = actor->name;
    config->software = options->software;
    config->buffer = actor->buffer;
    config->buffer_bytes = options->event_bytes + TOPIC_BYTES_MAX_OF_US;
    config->seed = pipit_entropy();
    config->clock_ms = pipit_wall_ms;
    bool is_named = peer->username != NULL && strcmp(peer->username, "{device}") == 0;
    config->username = is_named ? actor->name : peer->username;
    config->password = pipit_text(peer->password);
    config->session_expiry_s = options->on_command != NULL ? 3600 : 1;
    config->is_clean_start = options->on_command == NULL;
    config->confirm = options->confirm;
    config->qos = options->qos;
    config->retry_cap_ms = 5000; // Somebody is watching.
    config->on_command = options->on_command;
    config->command_context = options->command_context;
    config->command_memory = actor->command_memory;
    config->command_slots = options->on_command != NULL ? COMMAND_SLOTS : 0;
    config->command_slot_bytes = options->on_command != NULL ? COMMAND_SLOT_BYTES : 0;
}

static enum err memory_take(struct actor *actor, const struct actor_options *options,
                            struct error *e)
{
    size_t spool = actor->is_file ? options->event_bytes + 32 : options->spool_bytes;
    actor->buffer = malloc(options->event_bytes + TOPIC_BYTES_MAX_OF_US);
    actor->spool_memory = malloc(spool);
    actor->command_memory =
        options->on_command != NULL ? malloc(COMMAND_SLOTS * COMMAND_SLOT_BYTES) : NULL;
    bool has_all = actor->buffer != NULL && actor->spool_memory != NULL &&
                   (actor->command_memory != NULL || options->on_command == NULL);
    return has_all ? ERR_OK : error_set(e, ERR_NO_MEMORY, "out of memory");
}

static enum err actor_open(struct actor *actor, const struct actor_options *options,
                           struct error *e)
{
    enum err rc = memory_take(actor, options, e);
    if (rc == ERR_OK) {
        config_fill(actor, options);
        rc =
            actor->is_file ? file_spool_open(actor, options, e) : ram_spool_open(actor, options, e);
    }
    if (rc == ERR_OK) {
        rc = link_open(actor, options, e);
    }
    if (rc == ERR_OK) {
        enum pipit_err sdk = pipit_init(&actor->device, &actor->config);
        rc = sdk == PIPIT_OK ? ERR_OK : actor_error(actor, sdk, e);
    }
    return rc;
}

enum err actor_create(struct actor **out_actor, const char *group, const char *name,
                      const struct actor_options *options, struct error *e)
{
    if (strlen(group) >= PEER_NAME_MAX || strlen(name) >= PEER_NAME_MAX) {
        return error_set(e, ERR_INVALID, "device %s/%s: a name has 1 to 64 bytes", group, name);
    }
    struct actor *actor = calloc(1, sizeof(*actor));
    if (actor == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory");
    }
    actor->is_file = options->spool != NULL;
    snprintf(actor->group, sizeof(actor->group), "%s", group);
    snprintf(actor->name, sizeof(actor->name), "%s", name);
    snprintf(actor->full_name, sizeof(actor->full_name), "%s/%s", group, name);
    enum err rc = ERR_OK;
    if (strchr(group, '/') != NULL || strchr(name, '/') != NULL) {
        rc = error_set(e, ERR_INVALID, "the names must not hold a slash");
    } else {
        rc = actor_open(actor, options, e);
    }
    if (rc != ERR_OK) {
        rc = error_wrap(e, "device %s", actor->full_name);
        actor_destroy(actor);
        return rc;
    }
    *out_actor = actor;
    return ERR_OK;
}

void actor_destroy(struct actor *actor)
{
    if (actor == NULL) {
        return;
    }
    if (actor->is_link_open) {
        pipit_paho_close(&actor->paho);
    }
    if (actor->is_spool_open) {
        (void)pipit_file_spool_close(&actor->file); // Every event that was accepted is synced.
    }
    free(actor->buffer);
    free(actor->spool_memory);
    free(actor->command_memory);
    free(actor);
}

struct pipit_device *actor_device(struct actor *actor)
{
    return &actor->device;
}

const char *actor_name(const struct actor *actor)
{
    return actor->full_name;
}

uint32_t actor_boot(const struct actor *actor)
{
    return actor->config.spool->boot;
}

uint64_t actor_sequence(const struct actor *actor)
{
    return actor->config.spool->next_sequence - 1;
}

const char *actor_trouble(struct actor *actor)
{
    enum pipit_err rc = pipit_link_error(&actor->device);
    char text[PIPIT_PAHO_ERROR_MAX];
    pipit_paho_error(&actor->paho, text, sizeof(text));
    if (text[0] == '\0' && rc == PIPIT_OK) {
        return "";
    }
    snprintf(actor->trouble, sizeof(actor->trouble), "%s (%s)", text[0] != '\0' ? text : actor->url,
             rc == PIPIT_OK ? "connecting" : pipit_err_text(rc));
    return actor->trouble;
}

enum err actor_error(struct actor *actor, enum pipit_err rc, struct error *e)
{
    const char *file = actor->is_file ? pipit_file_spool_error(&actor->file) : "";
    const char *text = file[0] != '\0' ? file : pipit_err_text(rc);
    switch (rc) {
    case PIPIT_OK:
        return ERR_OK;
    case PIPIT_ERR_FULL:
        return error_set(e, ERR_FULL, "%s", text);
    case PIPIT_ERR_IO:
    case PIPIT_ERR_CORRUPT:
        return error_set(e, ERR_IO, "%s", text);
    case PIPIT_ERR_SIZE:
        return error_set(e, ERR_INVALID, "event is too large: at most %u bytes here%s",
                         actor->is_file ? (unsigned)actor->file.options.memory_bytes - 32
                                        : (unsigned)PIPIT_RAM_RECORD_MAX,
                         actor->is_file ? "" : ", or more with --spool");
    default:
        return error_set(e, ERR_INVALID, "%s", text);
    }
}
