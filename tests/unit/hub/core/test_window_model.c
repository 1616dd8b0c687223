// Windows against a model of them that keeps every event in a list and looks at all of it each
// time: thousands of random sequences, cut into random batches, with restarts, batches that are
// refused and come again, and a clock that steps.
#include "core_support.h"

#include <inttypes.h>

#define KEYS      3
#define ROWS_MAX  4000
#define LOG_BYTES (1 << 18)
#define ALWAYS    INT64_MIN
#define START_MS  INT64_C(1700006400000)
#define SEQUENCES 250 // WINDOW_SEQUENCES in the environment: so many.
#define STEPS_MAX 60

static uint64_t seed_state;

static uint32_t draw(uint32_t below)
{
    seed_state ^= seed_state << 13;
    seed_state ^= seed_state >> 7;
    seed_state ^= seed_state << 17;
    return (uint32_t)((seed_state >> 16) % below);
}

struct row {
    int64_t time;
    int arrival, v;
    bool is_gone; // Closed, or of another time.
};

struct model_key {
    struct row rows[ROWS_MAX];
    int count;
    int64_t watermark, closed, arrived, number;
    char log[LOG_BYTES];
    size_t len;
};

struct model {
    struct window_spec spec;
    struct model_key keys[KEYS];
    int64_t now_ms;
    uint64_t late;
};

static int64_t floor_of(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return q * b > a ? q - 1 : q;
}

static void model_log(struct model_key *key, int64_t start, int64_t end, struct row **rows, int n)
{
    key->len += (size_t)snprintf(key->log + key->len, LOG_BYTES - key->len,
                                 "%" PRId64 "-%" PRId64 " %d:", start, end, n);
    for (int i = 0; i < n; i++) {
        key->len += (size_t)snprintf(key->log + key->len, LOG_BYTES - key->len, "%s%d",
                                     i == 0 ? "" : ",", rows[i]->v);
    }
    key->len += (size_t)snprintf(key->log + key->len, LOG_BYTES - key->len, "\n");
    assert_true(key->len < LOG_BYTES);
}

static int by_time(const void *a, const void *b)
{
    const struct row *left = *(struct row *const *)a, *right = *(struct row *const *)b;
    return left->time != right->time ? (left->time < right->time ? -1 : 1)
                                     : left->arrival - right->arrival;
}

// Those that are there with from <= time < to, in order.
static int select_rows(struct model_key *key, int64_t from, int64_t to, struct row **out)
{
    int n = 0;
    for (int i = 0; i < key->count; i++) {
        struct row *row = &key->rows[i];
        if (!row->is_gone && row->time >= from && row->time < to) {
            out[n++] = row;
        }
    }
    qsort(out, (size_t)n, sizeof(out[0]), by_time);
    return n;
}

static struct row *scratch[ROWS_MAX];

static void emit(struct model *model, struct model_key *key, int64_t start, int64_t end,
                 int64_t from, int64_t to)
{
    int n = select_rows(key, from, to, scratch);
    int most = (int)model->spec.rows_max;
    model_log(key, start, end, scratch, n < most ? n : most);
}

static bool is_grid(const struct model *model)
{
    return model->spec.kind == WINDOW_TUMBLING || model->spec.kind == WINDOW_HOPPING;
}

// Every window on the grid that has rows, by its end, until limit.
static void close_grid(struct model *model, struct model_key *key, int64_t limit)
{
    const struct window_spec *spec = &model->spec;
    for (;;) {
        int64_t next = INT64_MAX;
        for (int i = 0; i < key->count; i++) {
            int64_t last = floor_of(key->rows[i].time, spec->every_ms);
            for (int64_t k = last; k * spec->every_ms + spec->size_ms > key->rows[i].time; k--) {
                int64_t end = k * spec->every_ms + spec->size_ms;
                if (end > key->closed && end < next) {
                    next = end;
                }
            }
        }
        if (next > limit) {
            return;
        }
        emit(model, key, next - spec->size_ms, next, next - spec->size_ms, next);
        key->closed = next;
    }
}

static bool first_session(struct model *model, struct model_key *key, int64_t *out_start,
                          int64_t *out_end)
{
    const struct window_spec *spec = &model->spec;
    int n = select_rows(key, ALWAYS, INT64_MAX, scratch);
    if (n == 0) {
        return false;
    }
    int64_t last = scratch[0]->time;
    for (int i = 1; i < n && scratch[i]->time - last < spec->size_ms; i++) {
        last = scratch[i]->time;
    }
    int64_t end = last + spec->size_ms, cut = scratch[0]->time + spec->session_max_ms;
    *out_start = scratch[0]->time;
    *out_end = end < cut ? end : cut;
    return true;
}

static void close_sessions(struct model *model, struct model_key *key, int64_t limit)
{
    int64_t start, end;
    while (first_session(model, key, &start, &end) && end <= limit) {
        emit(model, key, start, end, start, end);
        int n = select_rows(key, start, end, scratch);
        for (int i = 0; i < n; i++) {
            scratch[i]->is_gone = true;
        }
        key->closed = end > key->closed ? end : key->closed;
    }
}

static void close_until(struct model *model, struct model_key *key, int64_t limit)
{
    if (is_grid(model)) {
        close_grid(model, key, limit);
    } else if (model->spec.kind == WINDOW_SESSION) {
        close_sessions(model, key, limit);
    }
}

static bool is_late(struct model *model, struct model_key *key, int64_t time)
{
    const struct window_spec *spec = &model->spec;
    if (is_grid(model)) {
        return floor_of(time, spec->every_ms) * spec->every_ms + spec->size_ms <= key->closed;
    }
    if (spec->kind == WINDOW_SLIDING) {
        return key->watermark != ALWAYS && time < key->watermark - spec->grace_ms;
    }
    if (time < key->closed) {
        return true;
    }
    for (int i = 0; i < key->count; i++) {
        int64_t distance = key->rows[i].time - time;
        if (!key->rows[i].is_gone && distance < spec->size_ms && -distance < spec->size_ms) {
            return false;
        }
    }
    return key->watermark != ALWAYS && time + spec->size_ms + spec->grace_ms <= key->watermark;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t arrival_time(struct model *model, struct model_key *key)
{
    const struct window_spec *spec = &model->spec;
    int64_t time = model->now_ms;
    if (is_grid(model)) {
        return key->closed == ALWAYS ? time
                                     : later(time, key->closed - spec->size_ms + spec->every_ms);
    }
    if (spec->kind == WINDOW_SESSION) {
        return later(time, key->closed);
    }
    if (key->watermark != ALWAYS && key->watermark - time > spec->size_ms) {
        for (int i = 0; i < key->count; i++) {
            key->rows[i].is_gone = true;
        }
        key->watermark = ALWAYS;
    }
    return later(time, key->watermark);
}

// Rows that share the piece of time that has a bound of its own.
static int rows_beside(struct model *model, struct model_key *key, int64_t time)
{
    const struct window_spec *spec = &model->spec;
    int64_t step = spec->size_ms;
    if (spec->kind == WINDOW_SLIDING) {
        return select_rows(key, time - spec->size_ms + 1, time + 1, scratch);
    }
    for (int64_t rest = spec->every_ms; rest != 0;) {
        int64_t next = step % rest;
        step = rest;
        rest = next;
    }
    int64_t first = floor_of(time, step) * step;
    return select_rows(key, first, first + step, scratch);
}

static void count_one(struct model *model, struct model_key *key)
{
    const struct window_spec *spec = &model->spec;
    int64_t n = key->number++;
    key->rows[key->count - 1].time = n;
    if (n + 1 >= spec->count && (n + 1 - spec->count) % spec->every_count == 0) {
        emit(model, key, 0, 0, n + 1 - spec->count, n + 1);
    }
}

static void model_event(struct model *model, int index, int64_t time, int v)
{
    const struct window_spec *spec = &model->spec;
    struct model_key *key = &model->keys[index];
    bool is_count = spec->kind == WINDOW_COUNT;
    if (spec->is_by_arrival && !is_count) {
        time = arrival_time(model, key);
    } else if (!is_count && (is_late(model, key, time) ||
                             (spec->ahead_ms > 0 && time > model->now_ms + spec->ahead_ms))) {
        model->late++;
        return;
    }
    key->arrived = model->now_ms;
    if (spec->kind != WINDOW_SESSION && !is_count &&
        rows_beside(model, key, time) >= (int)spec->rows_max) {
        return;
    }
    assert_true(key->count < ROWS_MAX);
    key->rows[key->count] = (struct row){time, key->count, v, false};
    key->count++;
    if (is_count) {
        count_one(model, key);
        return;
    }
    key->watermark = later(time, key->watermark);
    if (spec->kind == WINDOW_SLIDING) {
        emit(model, key, time - spec->size_ms, time, time - spec->size_ms + 1, time + 1);
        return;
    }
    int64_t limit = spec->is_by_arrival ? time : key->watermark - spec->grace_ms;
    close_until(model, key, limit);
    if (is_grid(model) && !spec->is_by_arrival) {
        int64_t end =
            floor_of(limit - spec->size_ms, spec->every_ms) * spec->every_ms + spec->size_ms;
        key->closed = later(key->closed, end);
    }
}

// Of a key that is silent what no window reaches by the clock is forgotten.
static void forget_silent(struct model *model, struct model_key *key)
{
    const struct window_spec *spec = &model->spec;
    int64_t end = key->watermark == ALWAYS ? INT64_MAX : key->watermark + spec->size_ms;
    bool is_over = spec->is_by_arrival
                       ? model->now_ms >= end
                       : key->watermark != ALWAYS && model->now_ms >= end + spec->grace_ms &&
                             model->now_ms >= key->arrived + spec->idle_ms;
    for (int i = 0; is_over && i < key->count; i++) {
        key->rows[i].is_gone = true;
    }
}

static void model_time(struct model *model)
{
    const struct window_spec *spec = &model->spec;
    for (int i = 0; i < KEYS; i++) {
        struct model_key *key = &model->keys[i];
        key->arrived = key->arrived < model->now_ms ? key->arrived : model->now_ms;
        if (spec->kind == WINDOW_SLIDING) {
            forget_silent(model, key);
        } else if (spec->is_by_arrival) {
            close_until(model, key, model->now_ms);
        } else if (model->now_ms >= key->arrived + spec->idle_ms) {
            close_until(model, key, model->now_ms - spec->grace_ms);
        }
    }
}

// ---- against the core ---------------------------------------------------------------------------

struct bench {
    struct fixture fixture;
    struct model model;
    struct {
        char log[LOG_BYTES];
        size_t len;
    } have[KEYS];
    struct {
        int key, v;
        int64_t time;
    } batch[64];
    int batch_count, next_v;
    int64_t clock[KEYS]; // Of each device.
};

static const struct window_spec kinds[] = {
    {.kind = WINDOW_TUMBLING, .size_ms = 60000, .every_ms = 60000},
    {.kind = WINDOW_HOPPING, .size_ms = 60000, .every_ms = 20000},
    {.kind = WINDOW_HOPPING, .size_ms = 60000, .every_ms = 25000},
    {.kind = WINDOW_SLIDING, .size_ms = 30000},
    {.kind = WINDOW_SESSION, .size_ms = 10000, .session_max_ms = 60000},
    {.kind = WINDOW_SESSION, .size_ms = 10000, .session_max_ms = 10000},
    {.kind = WINDOW_COUNT, .count = 7, .every_count = 7},
    {.kind = WINDOW_COUNT, .count = 7, .every_count = 3},
};

static struct identity_spec identity = {
    .name = "x", .from = "t/+", .device = "topic_part(2)", .time = "at"};

static void choose_spec(struct window_spec *spec)
{
    static const int64_t graces[] = {0, 5000, 45000, 130000}, idles[] = {0, 7000, 60000};
    static const uint32_t most[] = {100000, 100000, 4};
    *spec = kinds[draw(sizeof(kinds) / sizeof(kinds[0]))];
    bool is_count = spec->kind == WINDOW_COUNT;
    spec->is_by_arrival = !is_count && draw(3) == 0;
    spec->grace_ms = is_count || spec->is_by_arrival ? 0 : graces[draw(4)];
    spec->idle_ms = idles[draw(3)];
    spec->ahead_ms = draw(4) == 0 ? 200000 : 86400000;
    spec->rows_max = is_count || spec->kind == WINDOW_SESSION ? 100000 : most[draw(3)];
    spec->keys_max = 1000;
}

// No power is cut here, so that nothing is synced.
static void open_unsynced(struct fixture *fixture)
{
    const struct store_options options = {.path = fixture->folder.store_path, .is_sync_off = true};
    assert_ok(store_open(&fixture->store, &options, &fixture->e), fixture->e);
    assert_ok(core_open(&fixture->core, fixture->store, &fixture->spec, &fixture->e), fixture->e);
}

static void bench_open(struct bench *bench)
{
    struct fixture *fixture = &bench->fixture;
    fixture->now_ms = START_MS;
    fixture->routes[0] = (struct route_spec){.target = 0, .topic = "w", .limit_bytes = 600};
    fixture->rules[0] = (struct rule_spec){
        .name = "w",
        .sql = "SELECT window_key AS k, window_start AS a, window_end AS b, window_count AS c,"
               " group_concat(v) AS vs FROM \"t/+\"",
        .window = bench->model.spec,
        .routes = fixture->routes,
        .route_count = 1};
    fixture->targets[0] = (struct target_spec){
        .name = "bus", .attempts_max = 3, .backoff_min_ms = 1000, .backoff_max_ms = 8000};
    fixture->spec = (struct core_spec){.hub_id = "h1",
                                       .rules = fixture->rules,
                                       .rule_count = 1,
                                       .identities = &identity,
                                       .identity_count = 1,
                                       .targets = fixture->targets,
                                       .target_count = 1,
                                       .store_limit_bytes = 64 << 20,
                                       .quarantine_limit_bytes = 1 << 20,
                                       .payload_bytes_max = 400,
                                       .rule_steps_max = 100000};
    open_unsynced(fixture);
    for (int i = 0; i < KEYS; i++) {
        bench->model.keys[i].watermark = bench->model.keys[i].closed = ALWAYS;
        bench->model.keys[i].arrived = 0;
        bench->clock[i] = START_MS - draw(5000);
    }
}

static void keep_delivery(struct bench *bench, const struct delivery *delivery)
{
    char text[8192], list[8000];
    int64_t start, end;
    int count;
    char device;
    assert_true(delivery->payload.len < sizeof(text));
    memcpy(text, delivery->payload.ptr, delivery->payload.len);
    text[delivery->payload.len] = '\0';
    int got = sscanf(text,
                     "{\"k\":\"x/%c\",\"a\":%" SCNd64 ",\"b\":%" SCNd64 ",\"c\":%d,"
                     "\"vs\":\"%7999[0-9,]\"}",
                     &device, &start, &end, &count, list);
    assert_int_equal(got, 5);
    int key = device - 'a';
    if (bench->model.spec.kind == WINDOW_COUNT) {
        start = end = 0;
    }
    size_t *len = &bench->have[key].len;
    *len += (size_t)snprintf(bench->have[key].log + *len, LOG_BYTES - *len,
                             "%" PRId64 "-%" PRId64 " %d:%s\n", start, end, count, list);
    assert_true(*len < LOG_BYTES);
}

static void take_all(struct bench *bench)
{
    struct fixture *fixture = &bench->fixture;
    uint32_t count;
    while ((count = take(fixture, 0, 1000)) > 0) {
        for (uint32_t i = 0; i < count; i++) {
            keep_delivery(bench, fixture->taken[i]);
            add_settlement(fixture, fixture->taken[i]->id, VERDICT_DONE);
        }
        step(fixture);
    }
}

static void add_event(struct bench *bench)
{
    char topic[16], text[80];
    int key = (int)draw(KEYS);
    uint32_t what = draw(20);
    int64_t *clock = &bench->clock[key];
    *clock += what == 0 ? draw(200000) : what < 4 ? 0 : draw(6000);
    int64_t time = *clock - (draw(3) == 0 ? (int64_t)draw(60000) : 0);
    time += draw(60) == 0 ? (int64_t)draw(400000) : 0;
    bench->batch[bench->batch_count].key = key;
    bench->batch[bench->batch_count].time = time;
    bench->batch[bench->batch_count].v = bench->next_v;
    bench->batch_count++;
    snprintf(topic, sizeof(topic), "t/%c", 'a' + key);
    snprintf(text, sizeof(text), "{\"at\":%" PRId64 ",\"v\":%d}", time, bench->next_v++);
    add_message(&bench->fixture, topic, bytes_from_text(text));
}

static void move_clock(struct bench *bench)
{
    uint32_t what = draw(30);
    int64_t by = what == 0   ? -7200000
                 : what == 1 ? -(int64_t)(3000 + draw(40000))
                 : what == 2 ? (int64_t)draw(7200000)
                 : what < 10 ? 0
                             : (int64_t)draw(12000);
    bench->fixture.now_ms += by;
}

static void step_once(struct bench *bench)
{
    struct fixture *fixture = &bench->fixture;
    uint32_t events = draw(4) == 0 ? 0 : draw(12);
    for (uint32_t i = 0; i < events; i++) {
        add_event(bench);
    }
    if (fixture->count == 0) {
        fixture->inputs[fixture->count++] = (struct input){.kind = INPUT_TICK};
    }
    enum err rc = try_step(fixture);
    if (rc == ERR_FULL) { // Its route holds; the same comes again when there is room.
        struct input kept[64];
        uint32_t count = fixture->count;
        memcpy(kept, fixture->inputs, count * sizeof(kept[0]));
        fixture->count = 0; // Settlements have no payloads, so that those stay.
        take_all(bench);
        memcpy(fixture->inputs, kept, count * sizeof(kept[0]));
        fixture->count = count;
        rc = try_step(fixture);
    }
    assert_ok(rc, fixture->e);
    fixture->count = 0;
    bench->model.now_ms = fixture->now_ms;
    for (int i = 0; i < KEYS; i++) { // A clock that stepped back.
        struct model_key *key = &bench->model.keys[i];
        key->arrived = key->arrived < fixture->now_ms ? key->arrived : fixture->now_ms;
    }
    for (int i = 0; i < bench->batch_count; i++) {
        model_event(&bench->model, bench->batch[i].key, bench->batch[i].time, bench->batch[i].v);
    }
    bench->batch_count = 0;
    model_time(&bench->model);
}

static void compare(struct bench *bench, uint64_t seed)
{
    for (int i = 0; i < KEYS; i++) {
        const char *want = bench->model.keys[i].log, *have = bench->have[i].log;
        if (strcmp(want, have) != 0) {
            size_t at = 0;
            while (want[at] == have[at]) {
                at++;
            }
            while (at > 0 && want[at - 1] != '\n') {
                at--;
            }
            const struct window_spec *spec = &bench->model.spec;
            fail_msg("seed %" PRIu64 " key %d kind %d size %" PRId64 " every %" PRId64
                     " grace %" PRId64 " idle %" PRId64 " ahead %" PRId64 " rows %u arrival %d\n"
                     "want ...%.300s\nhave ...%.300s",
                     seed, i, (int)spec->kind, spec->size_ms, spec->every_ms, spec->grace_ms,
                     spec->idle_ms, spec->ahead_ms, spec->rows_max, spec->is_by_arrival, want + at,
                     have + at);
        }
    }
    assert_int_equal(books_of(&bench->fixture).late, bench->model.late);
}

// Until nothing waits for time any more.
static void run_out(struct bench *bench)
{
    struct fixture *fixture = &bench->fixture;
    int64_t due;
    for (int i = 0; i < 10000 && (due = core_next_timer_ms(fixture->core)) != INT64_MAX; i++) {
        fixture->now_ms = due > fixture->now_ms ? due : fixture->now_ms;
        fixture->inputs[fixture->count++] = (struct input){.kind = INPUT_TICK};
        step(fixture);
        bench->model.now_ms = fixture->now_ms;
        model_time(&bench->model);
        take_all(bench);
    }
    assert_true(core_next_timer_ms(fixture->core) == INT64_MAX);
    if (bench->model.spec.kind != WINDOW_COUNT) {
        assert_int_equal(ask(fixture->store, "SELECT count(*) FROM pipit_window_chunk"), 0);
    }
}

static void run_sequence(struct folder *folder, uint64_t seed)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    seed_state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    draw(2);
    bench->fixture.folder = *folder;
    choose_spec(&bench->model.spec);
    bench_open(bench);
    uint32_t steps = 1 + draw(STEPS_MAX);
    for (uint32_t i = 0; i < steps; i++) {
        move_clock(bench);
        step_once(bench);
        if (draw(2) == 0) {
            take_all(bench);
            compare(bench, seed); // Not later than in the model, either.
        }
        if (draw(12) == 0) {
            fixture_close(&bench->fixture);
            open_unsynced(&bench->fixture);
        }
    }
    take_all(bench);
    run_out(bench);
    compare(bench, seed);
    fixture_close(&bench->fixture);
    free(bench);
}

static void windows_are_as_in_the_model(void **state)
{
    (void)state;
    const char *wanted = getenv("WINDOW_SEED");
    uint64_t first = wanted == NULL ? 1 : strtoull(wanted, NULL, 10);
    const char *many = getenv("WINDOW_SEQUENCES");
    uint64_t count = wanted != NULL ? 1 : many == NULL ? SEQUENCES : strtoull(many, NULL, 10);
    for (uint64_t seed = first; seed < first + count; seed++) {
        struct folder folder;
        folder_create(&folder);
        run_sequence(&folder, seed);
        folder_remove(&folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(windows_are_as_in_the_model)};
    return cmocka_run_group_tests_name("window model", tests, NULL, NULL);
}
