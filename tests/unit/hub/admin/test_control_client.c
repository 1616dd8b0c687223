// The client side of the control socket against a peer that plays a script.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/control_client.h"

struct script {
    const char *pieces[3]; // Sent one after the other; then it closes.
    int listener;
    pthread_t thread;
    char request[200];
};

static void *play(void *context)
{
    struct script *script = context;
    int fd = accept(script->listener, NULL, NULL);
    ssize_t got = recv(fd, script->request, sizeof(script->request) - 1, 0);
    script->request[got < 0 ? 0 : got] = '\0';
    for (size_t i = 0; i < 3 && script->pieces[i] != NULL; i++) {
        send(fd, script->pieces[i], strlen(script->pieces[i]), MSG_NOSIGNAL);
    }
    close(fd);
    return NULL;
}

static void script_start(struct script *script, const char *socket_name)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof(name.sun_path), "%s", socket_name);
    script->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(script->listener, (struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(listen(script->listener, 1), 0);
    assert_int_equal(pthread_create(&script->thread, NULL, play, script), 0);
}

static enum err ask(const char *store_path, json_t **out_reply, struct error *e)
{
    json_t *request = json_pack("{s:s}", "op", "status");
    enum err rc = control_ask(store_path, request, out_reply, e);
    json_decref(request);
    return rc;
}

static void test_replies(void **state)
{
    (void)state;
    static const struct {
        const char *why, *pieces[3];
        enum err want;
        const char *text;
    } cases[] = {
        {"one line", {"{\"operated\":7}\n"}, ERR_OK, NULL},
        {"in pieces", {"{\"opera", "ted\":7", "}\n"}, ERR_OK, NULL},
        {"a refusal", {"{\"error\":\"no such range\"}\n"}, ERR_REJECTED, "no such range"},
        {"a refusal that names a key which would steer the terminal",
         {"{\"error\":\"key \\u001b[31m\\u009bx: no\"}\n"},
         ERR_REJECTED,
         "key ?[31m?x: no"},
        {"not JSON", {"hello\n"}, ERR_INVALID, "not a JSON object"},
        {"not an object", {"[7]\n"}, ERR_INVALID, "not a JSON object"},
        {"half a line", {"{\"operated\":"}, ERR_UNAVAILABLE, "hung up"},
        {"nothing", {NULL}, ERR_UNAVAILABLE, "hung up"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char folder[] = "/tmp/pipit-test-XXXXXX", store_path[64], socket_name[80];
        struct script script = {
            .pieces = {cases[i].pieces[0], cases[i].pieces[1], cases[i].pieces[2]}};
        struct error e = {0};
        json_t *reply = NULL;
        assert_non_null(mkdtemp(folder));
        snprintf(store_path, sizeof(store_path), "%s/hub.db", folder);
        snprintf(socket_name, sizeof(socket_name), "%s.sock", store_path);
        script_start(&script, socket_name);
        enum err rc = ask(store_path, &reply, &e);
        pthread_join(script.thread, NULL);
        if (rc != cases[i].want || (rc != ERR_OK && strstr(e.text, cases[i].text) == NULL)) {
            fail_msg("%s: %d %s", cases[i].why, rc, e.text);
        }
        assert_string_equal(script.request, "{\"op\":\"status\"}\n");
        if (rc == ERR_OK) {
            assert_int_equal(json_integer_value(json_object_get(reply, "operated")), 7);
        }
        json_decref(reply);
        close(script.listener);
        unlink(socket_name);
        rmdir(folder);
    }
}

static void test_nobody_listens(void **state)
{
    (void)state;
    struct error e = {0};
    json_t *reply = NULL;
    assert_int_equal(ask("/tmp/pipit-no-such-folder/hub.db", &reply, &e), ERR_NOT_FOUND);
    assert_string_equal(
        e.text, "control socket /tmp/pipit-no-such-folder/hub.db.sock: no hub runs on this store");
}

// A socket's name is at most 107 bytes, a path may be longer.
static void test_a_long_path(void **state)
{
    (void)state;
    char folder[] = "/tmp/pipit-test-XXXXXX", deep[160], store_path[180], before[256];
    struct script script = {.pieces = {"{\"operated\":7}\n"}};
    struct error e = {0};
    json_t *reply = NULL;
    assert_non_null(mkdtemp(folder));
    snprintf(deep, sizeof(deep), "%s/%0*d", folder, 120, 0);
    snprintf(store_path, sizeof(store_path), "%s/hub.db", deep);
    assert_int_equal(mkdir(deep, 0700), 0);
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(deep), 0);
    script_start(&script, "hub.db.sock");
    assert_int_equal(chdir(before), 0);
    assert_int_equal(ask(store_path, &reply, &e), ERR_OK);
    pthread_join(script.thread, NULL);
    json_decref(reply);
    close(script.listener);
    assert_int_equal(chdir(deep), 0);
    unlink("hub.db.sock");
    assert_int_equal(chdir(before), 0);
    rmdir(deep);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_a_long_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
