// command-device - devices that do what they are told, each through the SDK's own client over a
// TCP connection of its own, for the tests of commands.
//
// usage: command-device PORT FOLDER GROUP/NAME...
//   FOLDER  its `ledger`: a line "GROUP/NAME id command field=value..." for each command that was
//           executed, written before its reply. What device NAME answers is in NAME.say, looked at
//           for each command: "STATUS MESSAGE"; "hold": it waits until the file says something
//           else; no file: 0, "done". The command's fields are sent back with a reply of 0, and
//           `executed`, how many commands it has executed.
//
// SIGTERM ends it in an orderly way.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pipit/posix.h"
#include "pipit/socket.h"

#define DEVICES_MAX 200
#define PATH_BYTES  512
#define SAY_BYTES   200
#define LINE_BYTES  1024
#define FIELDS_MAX  16
#define SLOTS       8
#define SLOT_BYTES  600
#define STOP_MS     5000
#define WAIT_MAX_MS 50 // Tests wait for what it does.

struct node {
    char group[64], name[64];
    uint32_t executed;
    struct pipit_socket socket;
    struct pipit_client client;
    struct pipit_client_options client_options;
    struct pipit_flight flights[8];
    struct pipit_ram_spool spool;
    struct pipit_config config;
    struct pipit_device device;
    uint8_t ring[2048], buffer[2048], send_memory[4096], receive_memory[4096];
    uint8_t commands[PIPIT_COMMAND_MEMORY(SLOTS, SLOT_BYTES)];
};

static struct node nodes[DEVICES_MAX];
static unsigned nodes_count;
static const char *folder;
static int ledger;
static volatile sig_atomic_t is_ending;

static void fail(const char *what, enum pipit_err rc)
{
    (void)fprintf(stderr, "command-device: %s: %s\n", what, pipit_err_text(rc));
    exit(1);
}

static void on_signal(int number)
{
    (void)number;
    is_ending = 1;
}

// ---- commands -----------------------------------------------------------------------------------

struct line {
    char text[LINE_BYTES];
    int len;
};

static void line_add(struct line *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void line_add(struct line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int room = LINE_BYTES - line->len;
    int len = vsnprintf(line->text + line->len, (size_t)room, format, arguments);
    va_end(arguments);
    if (len < 0 || len >= room) {
        fail("a command's line", PIPIT_ERR_SIZE);
    }
    line->len += len;
}

static void line_add_field(struct line *line, const struct pipit_field *field)
{
    line_add(line, " %.*s=", (int)field->name.len, (const char *)field->name.ptr);
    switch (field->kind) {
    case PIPIT_KIND_BOOL:
        line_add(line, "%s", field->value.boolean ? "true" : "false");
        break;
    case PIPIT_KIND_SIGNED:
        line_add(line, "%" PRId64, field->value.integer);
        break;
    case PIPIT_KIND_DOUBLE:
        line_add(line, "%g", field->value.real);
        break;
    case PIPIT_KIND_TEXT:
        line_add(line, "%.*s", (int)field->value.bytes.len, (const char *)field->value.bytes.ptr);
        break;
    default:
        line_add(line, "?");
        break;
    }
}

static void ledger_add(const struct node *node, const struct pipit_command *command)
{
    struct line line = {.len = 0};
    size_t position = 0;
    struct pipit_field field;
    line_add(&line, "%s/%s %.*s %.*s", node->group, node->name, (int)command->id.len,
             (const char *)command->id.ptr, (int)command->name.len,
             (const char *)command->name.ptr);
    while (pipit_command_next(command, &position, &field) == PIPIT_OK) {
        line_add_field(&line, &field);
    }
    line_add(&line, "\n");
    if (write(ledger, line.text, (size_t)line.len) != line.len) {
        fail("ledger", PIPIT_ERR_IO);
    }
}

// What the file says now; false: there is none.
static bool read_say(const struct node *node, char out_say[SAY_BYTES])
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/%s.say", folder, node->name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t got = read(fd, out_say, SAY_BYTES - 1);
    (void)close(fd);
    out_say[got > 0 ? got : 0] = '\0';
    out_say[strcspn(out_say, "\n")] = '\0';
    return true;
}

static void add_fields(const struct node *node, const struct pipit_command *command,
                       struct pipit_sink *reply)
{
    size_t position = 0;
    struct pipit_field field;
    while (pipit_command_next(command, &position, &field) == PIPIT_OK) {
        (void)pipit_reply_add(reply, &field);
    }
    (void)pipit_reply_add(reply, &PIPIT_UNSIGNED("executed", node->executed));
}

// ---- events -------------------------------------------------------------------------------------

static bool find_text(const struct pipit_command *command, const char *name,
                      struct pipit_bytes *out_text)
{
    struct pipit_field field;
    if (pipit_command_field(command, name, &field) != PIPIT_OK || field.kind != PIPIT_KIND_TEXT) {
        return false;
    }
    *out_text = field.value.bytes;
    return true;
}

// "FIELD=VALUE", which stays as long as the field.
static struct pipit_field field_of(const struct pipit_command *command, char *word)
{
    char *value = strchr(word, '='), *end = NULL;
    if (value == NULL) {
        fail(word, PIPIT_ERR_ARGUMENT);
    }
    *value++ = '\0';
    struct pipit_field field = PIPIT_TEXT(word, value);
    double real = strtod(value, &end);
    if (value[0] == '$' && !find_text(command, value + 1, &field.value.bytes)) {
        fail(value, PIPIT_ERR_ARGUMENT);
    } else if (end != value && *end == '\0') {
        field = PIPIT_DOUBLE(word, real);
    }
    return field;
}

static void publish_line(struct node *node, const struct pipit_command *command, char *line)
{
    struct pipit_field fields[FIELDS_MAX];
    size_t count = 0;
    char *save = NULL;
    const char *type = strtok_r(line, " ", &save);
    for (char *word; (word = strtok_r(NULL, " ", &save)) != NULL && count < FIELDS_MAX;) {
        fields[count++] = field_of(command, word);
    }
    enum pipit_err rc =
        type == NULL ? PIPIT_OK : pipit_publish_fields(&node->device, type, fields, count, NULL);
    if (rc != PIPIT_OK) {
        fail(type, rc);
    }
}

static void publish_events(struct node *node, const struct pipit_command *command)
{
    char path[PATH_BYTES], line[LINE_BYTES];
    (void)snprintf(path, sizeof(path), "%s/%s.%.*s", folder, node->name, (int)command->name.len,
                   (const char *)command->name.ptr);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        publish_line(node, command, line);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

static int32_t on_command(void *context, const struct pipit_command *command,
                          struct pipit_sink *reply)
{
    struct node *node = context;
    char say[SAY_BYTES] = "", *message = NULL;
    node->executed++;
    ledger_add(node, command);
    while (read_say(node, say) && strcmp(say, "hold") == 0 && !is_ending) {
        (void)poll(NULL, 0, 10);
    }
    long status = strtol(say, &message, 10);
    (void)pipit_reply_text(reply, say[0] == '\0' ? "done" : message + strspn(message, " "));
    if (status == 0) {
        add_fields(node, command, reply);
        publish_events(node, command);
    }
    return (int32_t)status;
}

// ---- devices ------------------------------------------------------------------------------------

static void client_open(struct node *node, const char *port)
{
    pipit_socket_init(&node->socket, "127.0.0.1", port);
    node->client_options = (struct pipit_client_options){
        .transport = &node->socket.base,
        .receive_memory = node->receive_memory,
        .receive_bytes = sizeof(node->receive_memory),
        .send_memory = node->send_memory,
        .send_bytes = sizeof(node->send_memory),
        .flights = node->flights,
        .flights_max = sizeof(node->flights) / sizeof(node->flights[0]),
    };
    enum pipit_err rc = pipit_client_init(&node->client, &node->client_options);
    if (rc == PIPIT_OK) {
        rc = pipit_ram_spool_init(&node->spool, node->ring, sizeof(node->ring), PIPIT_REFUSE,
                                  pipit_boot_random(pipit_entropy()));
    }
    if (rc != PIPIT_OK) {
        fail(node->name, rc);
    }
}

static void node_open(struct node *node, const char *port)
{
    client_open(node, port);
    node->config = (struct pipit_config){
        .group = node->group,
        .device = node->name,
        .software = "command-device 1",
        .spool = &node->spool.base,
        .link = &node->client.base,
        .buffer = node->buffer,
        .buffer_bytes = sizeof(node->buffer),
        .seed = pipit_entropy(),
        .clock_ms = pipit_wall_ms,
        .session_expiry_s = 3600,
        .retry_base_ms = 50,
        .retry_cap_ms = 200,
        .on_command = on_command,
        .command_context = node,
        .command_memory = node->commands,
        .command_slots = SLOTS,
        .command_slot_bytes = PIPIT_COMMAND_SLOT(SLOT_BYTES),
    };
    enum pipit_err rc = pipit_init(&node->device, &node->config);
    if (rc != PIPIT_OK) {
        fail(node->name, rc);
    }
}

static void node_name(struct node *node, const char *text)
{
    const char *slash = strchr(text, '/');
    if (slash == NULL || strlen(slash + 1) >= sizeof(node->name) ||
        (size_t)(slash - text) >= sizeof(node->group)) {
        fail(text, PIPIT_ERR_ARGUMENT);
    }
    memcpy(node->group, text, (size_t)(slash - text));
    memcpy(node->name, slash + 1, strlen(slash + 1) + 1);
}

// Polls all of them and gives how long nothing is due.
static uint32_t poll_nodes(void)
{
    uint32_t wait_ms = WAIT_MAX_MS;
    for (unsigned i = 0; i < nodes_count; i++) {
        enum pipit_err rc = pipit_poll(&nodes[i].device, pipit_now_ms());
        if (rc != PIPIT_OK) {
            fail(nodes[i].name, rc);
        }
        uint32_t next_ms = pipit_next_ms(&nodes[i].device);
        wait_ms = next_ms < wait_ms ? next_ms : wait_ms;
    }
    return wait_ms;
}

static void sleep_nodes(uint32_t wait_ms)
{
    struct pollfd fds[DEVICES_MAX];
    for (unsigned i = 0; i < nodes_count; i++) {
        bool wants_write = false;
        fds[i].fd = pipit_socket_fd(&nodes[i].socket, &wants_write);
        fds[i].events = (short)(wants_write ? POLLIN | POLLOUT : POLLIN);
    }
    (void)poll(fds, nodes_count, (int)wait_ms);
}

static bool are_stopped(void)
{
    for (unsigned i = 0; i < nodes_count; i++) {
        if (!pipit_is_stopped(&nodes[i].device)) {
            return false;
        }
    }
    return true;
}

static void stop_nodes(void)
{
    uint32_t began_ms = pipit_now_ms();
    for (unsigned i = 0; i < nodes_count; i++) {
        pipit_stop(&nodes[i].device);
    }
    while (!are_stopped() && pipit_now_ms() - began_ms < STOP_MS) {
        sleep_nodes(poll_nodes());
    }
}

int main(int argc, char **argv)
{
    char path[PATH_BYTES];
    if (argc < 4 || argc - 3 > DEVICES_MAX) {
        (void)fprintf(stderr, "usage: command-device PORT FOLDER GROUP/NAME...\n");
        return 2;
    }
    folder = argv[2];
    (void)snprintf(path, sizeof(path), "%s/ledger", folder);
    ledger = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (ledger < 0) {
        fail(path, PIPIT_ERR_IO);
    }
    (void)signal(SIGTERM, on_signal);
    for (nodes_count = 0; nodes_count < (unsigned)argc - 3; nodes_count++) {
        node_name(&nodes[nodes_count], argv[nodes_count + 3]);
        node_open(&nodes[nodes_count], argv[1]);
    }
    while (!is_ending) {
        sleep_nodes(poll_nodes());
    }
    stop_nodes();
    return 0;
}
