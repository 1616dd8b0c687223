// What the file connector does beyond the conformance suite: lines, repairs, rotation, full disks.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connectors/json_line.h"
#include "connectors/types.h"
#include "delivery_support.h"

struct scene {
    char folder[64], path[96];
    struct options *options;
    void *connector;
};

static void scene_init(struct scene *scene)
{
    memset(scene, 0, sizeof(*scene));
    snprintf(scene->folder, sizeof(scene->folder), "/tmp/pipit-test-XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    snprintf(scene->path, sizeof(scene->path), "%s/out", scene->folder);
    scene->options = options_create(connector_file.options);
    scene->connector = calloc(1, connector_file.state_bytes);
    assert_int_equal(options_set(scene->options, "path", scene->path, NULL), ERR_OK);
}

static void scene_deinit(struct scene *scene)
{
    char path[120];
    connector_file.close(scene->connector);
    free(scene->connector);
    options_destroy(scene->options);
    unlink(scene->path);
    for (int i = 1; i < 10; i++) {
        snprintf(path, sizeof(path), "%s.%d", scene->path, i);
        unlink(path);
    }
    assert_int_equal(rmdir(scene->folder), 0);
}

static void must_open(struct scene *scene)
{
    struct error e = {0};
    struct connector_peer peer = {
        .hub_id = "hub", .name = "audit", .options = scene->options, .stop_fd = -1};
    if (connector_file.open(scene->connector, &peer, &e) != ERR_OK) {
        fail_msg("open: %s", e.text);
    }
}

static enum err send_some(struct scene *scene, uint32_t count, enum verdict *out_verdict,
                          struct error *e)
{
    struct deliveries *made = deliveries_make(count, 1);
    struct answer *answers = calloc(count, sizeof(answers[0]));
    enum err rc = connector_file.send(scene->connector, made->list, count, answers, e);
    *out_verdict = answers[0].verdict;
    for (uint32_t i = 1; i < count; i++) {
        assert_int_equal(answers[i].verdict, answers[0].verdict);
    }
    free(answers);
    free(made);
    return rc;
}

static void must_send(struct scene *scene, uint32_t count)
{
    struct error e = {0};
    enum verdict verdict;
    if (send_some(scene, count, &verdict, &e) != ERR_OK) {
        fail_msg("send: %s", e.text);
    }
    assert_int_equal(verdict, VERDICT_DONE);
}

static off_t size_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? status.st_size : -1;
}

static void test_lines(void **state)
{
    (void)state;
    static const struct {
        const char *why, *content_type, *payload, *want;
        size_t payload_len;
    } cases[] = {
        {"JSON stays as it is, to the digit", "application/json", "{\"a\": 27.10, \"b\":1e2}",
         "\"payload\":{\"a\": 27.10, \"b\":1e2}}\n", 0},
        {"line breaks between tokens", "application/json", "[1,\n2,\r\n3]",
         "\"payload\":[1, 2,  3]}\n", 0},
        {"a parameter on the type", "application/json; charset=utf-8", "7", "\"payload\":7}\n", 0},
        {"a JSON dialect", "application/cloudevents+json", "null", "\"payload\":null}\n", 0},
        {"JSON that is none is text", "application/json",
         "{\"a\":", "\"payload\":\"{\\\"a\\\":\"}\n", 0},
        {"two values are none", "application/json", "1 2", "\"payload\":\"1 2\"}\n", 0},
        {"text with a line break", "text/plain", "a\nb", "\"payload\":\"a\\nb\"}\n", 0},
        {"text without a type", "", "27.5", "\"payload\":\"27.5\"}\n", 0},
        {"nothing", "", "", "\"payload\":\"\"}\n", 0},
        {"three bytes", "", "\xff\xfe\xfd", "\"payload_base64\":\"//79\"}\n", 0},
        {"one byte", "", "\xff", "\"payload_base64\":\"/w==\"}\n", 0},
        {"two bytes", "", "\xff\x01", "\"payload_base64\":\"/wE=\"}\n", 0},
        {"a zero byte", "", "a\0b", "\"payload\":\"a\\u0000b\"}\n", 3},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct deliveries *made = deliveries_make(1, 1);
        char *line = NULL;
        size_t len = 0;
        size_t payload_len =
            cases[i].payload_len != 0 ? cases[i].payload_len : strlen(cases[i].payload);
        made->rows[0].payload = bytes_of(cases[i].payload, payload_len);
        made->rows[0].content_type = cases[i].content_type;
        assert_int_equal(json_line_make(made->list[0], &line, &len, NULL), ERR_OK);
        size_t want_len = strlen(cases[i].want);
        if (len != strlen(line) || len < want_len ||
            strcmp(line + len - want_len, cases[i].want) != 0) {
            fail_msg("%s: %s", cases[i].why, line);
        }
        free(line);
        free(made);
    }
}

static void test_members(void **state)
{
    (void)state;
    struct deliveries *made = deliveries_make(1, 1);
    char *line = NULL;
    size_t len = 0;
    assert_int_equal(json_line_make(made->list[0], &line, &len, NULL), ERR_OK);
    assert_string_equal(line,
                        "{\"idempotency_key\":\"key-0\",\"time\":\"2026-05-04T03:02:01.123Z\","
                        "\"rule\":\"rule\",\"key\":\"k\",\"topic\":\"out/topic\","
                        "\"content_type\":\"application/json\",\"payload\":{\"n\":0}}\n");
    free(line);
    made->rows[0].key = bytes_of("\x80", 1);
    made->rows[0].topic = bytes_of(NULL, 0);
    made->rows[0].content_type = "";
    assert_int_equal(json_line_make(made->list[0], &line, &len, NULL), ERR_OK);
    assert_non_null(strstr(line, "\"rule\":\"rule\",\"key_base64\":\"gA==\",\"payload\":"));
    free(line);
    free(made);
}

static void test_properties(void **state)
{
    (void)state;
    static const struct {
        const char *why, *properties;
        size_t len;
        const char *want;
    } cases[] = {
        {"none", "", 0, "\"content_type\":\"application/json\",\"payload\""},
        {"two", "a\0001\0b\0x y\0", 10, "\"properties\":{\"a\":\"1\",\"b\":\"x y\"},\"payload\""},
        {"one three times", "a\0001\0a\0002\0a\0003\0", 12,
         "\"properties\":{\"a\":[\"1\",\"2\",\"3\"]}"},
        {"an empty value", "a\0\0", 3, "\"properties\":{\"a\":\"\"}"},
        {"a pair that is cut", "a\0001\0b", 5, "\"properties\":{\"a\":\"1\"}"},
        {"what is no UTF-8", "a\0\xff\0b\0001\0", 8, "\"properties\":{\"b\":\"1\"}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct deliveries *made = deliveries_make(1, 1);
        char *line = NULL;
        size_t len = 0;
        made->rows[0].properties = bytes_of(cases[i].properties, cases[i].len);
        assert_int_equal(json_line_make(made->list[0], &line, &len, NULL), ERR_OK);
        if (strstr(line, cases[i].want) == NULL) {
            fail_msg("%s: %s", cases[i].why, line);
        }
        free(line);
        free(made);
    }
}

static void test_half_a_line_is_cut(void **state)
{
    (void)state;
    static const struct {
        const char *why, *before, *after;
    } cases[] = {
        {"nothing yet", "", ""},
        {"whole lines", "{}\n{}\n", "{}\n{}\n"},
        {"half a line behind whole ones", "{}\n{\"a", "{}\n"},
        {"half a line alone", "{\"a", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct scene scene;
        scene_init(&scene);
        FILE *file = fopen(scene.path, "w");
        fputs(cases[i].before, file);
        fclose(file);
        must_open(&scene);
        if (size_of(scene.path) != (off_t)strlen(cases[i].after)) {
            fail_msg("%s: %ld bytes are left", cases[i].why, (long)size_of(scene.path));
        }
        scene_deinit(&scene);
    }
}

static void test_a_long_half_line_is_cut(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    FILE *file = fopen(scene.path, "w");
    fputs("{}\n", file);
    for (int i = 0; i < 20000; i++) { // Over several of the blocks that are read backwards.
        fputc('x', file);
    }
    fclose(file);
    must_open(&scene);
    assert_int_equal(size_of(scene.path), 3);
    scene_deinit(&scene);
}

static void test_rotation(void **state)
{
    (void)state;
    struct scene scene;
    char path[120];
    scene_init(&scene);
    assert_int_equal(options_set(scene.options, "rotate_size", "100", NULL), ERR_OK);
    assert_int_equal(options_set(scene.options, "rotate_keep", "2", NULL), ERR_OK);
    must_open(&scene);
    for (int i = 0; i < 5; i++) {
        must_send(&scene, 1); // Each is longer than 100 bytes.
    }
    snprintf(path, sizeof(path), "%s.2", scene.path);
    assert_true(size_of(scene.path) > 100 && size_of(path) > 100);
    snprintf(path, sizeof(path), "%s.3", scene.path);
    assert_int_equal(size_of(path), -1);
    scene_deinit(&scene);
}

static void test_a_moved_file_is_made_anew(void **state)
{
    (void)state;
    struct scene scene;
    char moved[120];
    scene_init(&scene);
    must_open(&scene);
    must_send(&scene, 1);
    snprintf(moved, sizeof(moved), "%s.1", scene.path);
    assert_int_equal(rename(scene.path, moved), 0); // As logrotate does.
    must_send(&scene, 1);
    assert_int_equal(size_of(scene.path), size_of(moved));
    scene_deinit(&scene);
}

// A write that fails half way leaves nothing of its batch behind, and is no attempt.
static void test_a_full_disk(void **state)
{
    (void)state;
    struct scene scene;
    struct error e = {0};
    enum verdict verdict;
    scene_init(&scene);
    must_open(&scene);
    must_send(&scene, 10);
    off_t before = size_of(scene.path);
    struct rlimit limit, tight;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    tight = limit;
    tight.rlim_cur = (rlim_t)before + 700; // A few lines fit.
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    enum err rc = send_some(&scene, 50, &verdict, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(rc, ERR_UNAVAILABLE);
    assert_int_equal(verdict, VERDICT_NOT_SENT);
    assert_non_null(strstr(e.text, scene.path));
    assert_non_null(strstr(e.text, "File too large"));
    assert_int_equal(size_of(scene.path), before);
    connector_file.close(scene.connector);
    must_open(&scene); // As the worker does: it goes on once there is room.
    must_send(&scene, 50);
    scene_deinit(&scene);
}

static void test_mode(void **state)
{
    (void)state;
    struct scene scene;
    struct stat status;
    struct error e = {0};
    mode_t before = umask(0);
    scene_init(&scene);
    assert_int_equal(options_set(scene.options, "mode", "0604", NULL), ERR_OK);
    must_open(&scene);
    umask(before);
    assert_int_equal(stat(scene.path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0604);
    assert_int_equal(connector_file.check(scene.options, &e), ERR_OK);
    assert_int_equal(options_set(scene.options, "mode", "rw-", NULL), ERR_OK);
    assert_int_equal(connector_file.check(scene.options, &e), ERR_CONFIG);
    assert_string_equal(e.text, "mode: must be three octal digits such as 0640, not 'rw-'");
    scene_deinit(&scene);
}

static void test_check(void **state)
{
    (void)state;
    struct scene scene;
    struct error e = {0};
    scene_init(&scene);
    assert_int_equal(connector_file.check(scene.options, &e), ERR_OK);
    assert_int_equal(size_of(scene.path), -1); // Checking makes nothing.
    assert_int_equal(options_set(scene.options, "path", "/no/such/folder/x", NULL), ERR_OK);
    assert_int_equal(connector_file.check(scene.options, &e), ERR_CONFIG);
    assert_string_equal(e.text, "path: cannot write /no/such/folder/: No such file or directory");
    assert_int_equal(options_set(scene.options, "path", scene.folder, NULL), ERR_OK);
    assert_int_equal(connector_file.check(scene.options, &e), ERR_CONFIG);
    assert_non_null(strstr(e.text, "is a folder"));
    scene_deinit(&scene);
}

// What is opened must not make the worker wait for a reader.
static void test_a_pipe_is_refused(void **state)
{
    (void)state;
    struct scene scene;
    struct error e = {0};
    scene_init(&scene);
    assert_int_equal(mkfifo(scene.path, 0600), 0);
    struct connector_peer peer = {.options = scene.options, .stop_fd = -1};
    assert_int_not_equal(connector_file.open(scene.connector, &peer, &e), ERR_OK);
    scene_deinit(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_properties),
        cmocka_unit_test(test_half_a_line_is_cut),
        cmocka_unit_test(test_a_long_half_line_is_cut),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_a_moved_file_is_made_anew),
        cmocka_unit_test(test_a_full_disk),
        cmocka_unit_test(test_mode),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_a_pipe_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
