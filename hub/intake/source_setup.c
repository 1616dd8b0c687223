#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "intake/source_parts.h"

#define SESSION_EXPIRY_MAX INT64_C(0x7FFFFFFF)

static enum err check_file(const struct options *options, const char *name, struct error *e)
{
    const char *path = option_text(options, name);
    struct stat status;
    if (path != NULL && access(path, R_OK) != 0) {
        return error_set(e, ERR_CONFIG, "%s: %s cannot be read: %m", name, path);
    }
    if (path != NULL && stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        return error_set(e, ERR_CONFIG, "%s: %s is a directory, not a PEM file", name, path);
    }
    return ERR_OK;
}

static enum err check_options(const struct source *source, struct error *e)
{
    const struct options *options = source->options;
    static const char *const files[] = {"ca", "cert", "key"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (check_file(options, files[i], e) != ERR_OK) {
            return e->code;
        }
        if (option_text(options, files[i]) != NULL && !source->peer.url.is_tls) {
            return error_set(e, ERR_CONFIG, "%s: needs an mqtts:// url", files[i]);
        }
    }
    if ((source->peer.cert == NULL) != (source->peer.key == NULL)) {
        return error_set(e, ERR_CONFIG, "cert and key go together: %s is missing",
                         source->peer.cert == NULL ? "cert" : "key");
    }
    if (source->peer.password != NULL && source->peer.username == NULL) {
        return error_set(e, ERR_CONFIG, "password: needs a username");
    }
    const char *group = option_text(options, "shared_group");
    if (group != NULL && (group[0] == '\0' || strpbrk(group, "/+#") != NULL)) {
        return error_set(e, ERR_CONFIG, "shared_group: '%s' must be a name without / + #", group);
    }
    if (group != NULL && source->version == VERSION_311) {
        return error_set(e, ERR_CONFIG, "shared_group: needs MQTT 5, and version says 3.1.1");
    }
    const char *host = option_text(options, "sparkplug_host");
    if (host != NULL &&
        (host[0] == '\0' || strlen(host) > HOST_ID_MAX || strpbrk(host, "/+#") != NULL)) {
        return error_set(e, ERR_CONFIG,
                         "sparkplug_host: '%.40s' must be 1 to %d bytes without / + #", host,
                         HOST_ID_MAX);
    }
    const char *faults = getenv("PIPIT_TEST_FAULTS");
    if (source->does_fault_acknowledge && (faults == NULL || strcmp(faults, "1") != 0)) {
        return error_set(e, ERR_CONFIG,
                         "ack_before_commit: loses events on purpose and is for "
                         "tests only: refused without PIPIT_TEST_FAULTS=1");
    }
    return ERR_OK;
}

static void fill_peer(struct source *source)
{
    const struct options *options = source->options;
    struct link_peer *peer = &source->peer;
    int64_t expiry_s = option_int(options, "session_expiry") / 1000;
    peer->client_id = source->client_id;
    peer->ca = option_text(options, "ca");
    peer->cert = option_text(options, "cert");
    peer->key = option_text(options, "key");
    peer->username = option_text(options, "username");
    peer->password = option_text(options, "password");
    peer->keepalive_s = (int)(option_int(options, "keepalive") / 1000);
    peer->receive_maximum = (uint16_t)option_int(options, "receive_maximum");
    peer->session_expiry_s =
        (uint32_t)(expiry_s > SESSION_EXPIRY_MAX ? SESSION_EXPIRY_MAX : expiry_s);
    peer->packet_max = (uint32_t)option_int(options, "max_message_size");
    peer->connect_timeout_ms = option_int(options, "connect_timeout");
}

static enum err fill(struct source *source, const char *hub_id, struct error *e)
{
    const struct options *options = source->options;
    const char *client_id = option_text(options, "client_id");
    enum err rc = broker_url_parse(option_text(options, "url"), &source->peer.url, e);
    if (rc != ERR_OK) {
        return error_wrap(e, "url");
    }
    int len = client_id != NULL
                  ? snprintf(source->client_id, ID_MAX, "%s", client_id)
                  : snprintf(source->client_id, ID_MAX, "pipit-%s-%s", hub_id, source->name);
    if (len <= 0 || len >= ID_MAX) {
        return error_set(e, ERR_CONFIG, "client_id: must have 1 to %d bytes", ID_MAX - 1);
    }
    snprintf(source->own_prefix, TOPIC_MAX, OWN_PREFIX "%s/", hub_id);
    snprintf(source->probe_topic, TOPIC_MAX, OWN_PREFIX "%s/probe", hub_id);
    source_host_name(source);
    source->version = (enum version)option_choice(options, "version");
    source->priority = (int)option_int(options, "priority");
    source->is_probed = !option_bool(options, "probe");
    source->does_fault_acknowledge = option_bool(options, "ack_before_commit");
    source->probe_kept = -1;
    source->state.since_ms = clock_wall_ms();
    fill_peer(source);
    return check_options(source, e);
}

char *source_filter(const struct options *options, const char *topic)
{
    const char *group = option_text(options, "shared_group");
    if (group == NULL) {
        return strdup(topic);
    }
    size_t size = strlen("$share//") + strlen(group) + strlen(topic) + 1;
    char *filter = malloc(size);
    if (filter != NULL) {
        snprintf(filter, size, "$share/%s/%s", group, topic);
    }
    return filter;
}

void source_forget(struct source *source, char **take_filters)
{
    free(source->old_filters);
    source->old_filters = take_filters;
}

enum err source_check(const char *hub_id, const char *name, const struct options *options,
                      struct error *e)
{
    static const char *const no_topics[] = {NULL};
    struct source *source = NULL;
    enum err rc = source_create(&source, hub_id, name, options, no_topics, e);
    source_destroy(source);
    return rc;
}

enum err source_create(struct source **out_source, const char *hub_id, const char *name,
                       const struct options *options, const char *const *topics, struct error *e)
{
    struct source *source = calloc(1, sizeof(*source));
    if (source == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory");
    }
    source->name = name;
    source->options = options;
    source->topics = topics;
    message_batch_init(&source->batch);
    enum err rc = fill(source, hub_id, e);
    if (rc != ERR_OK) {
        free(source);
        return error_wrap(e, "source %s", name);
    }
    *out_source = source;
    return ERR_OK;
}

void source_destroy(struct source *source)
{
    if (source == NULL) {
        return;
    }
    link_close(source->link, source->batch.count == 0 && source_host_death(source));
    probe_finish(source->probe, NULL, 0);
    message_batch_deinit(&source->batch);
    free(source->old_filters);
    free(source);
}
