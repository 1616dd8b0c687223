// simulate - runs seeds through the real core in virtual time and checks the promises.
//   simulate [--seeds N] [--from S] [--plant
//   early-ack|dedupe|settle-outside|window-in-memory|timer-kept]
//   [--verbose]
// Each seed runs in a process of its own, so that an assertion that fails is a failed seed.
// Exit: 0 no seed failed (with --plant: at least one did), 1 otherwise, 2 usage.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim_hub.h"
#include "sim_vfs.h"

#define TICKS          500
#define CHECK_TICKS    50 // Between two looks at what holds at any time.
#define QUIET_TICKS    6000
#define START_MS       1700000000000
#define FAILED_AT_MOST 10 // Then the rest of the seeds is not worth the time.
#define JOBS_MAX       16

struct simulation {
    struct sim_history history;
    struct sim_random random;
    struct sim_network network;
    struct sim_hub hub;
};

static void maybe_fault(struct simulation *sim)
{
    struct sim_random *random = &sim->random;
    if (sim_random_chance(random, 15)) {
        sim_hub_kill(&sim->hub);
    } else if (sim_random_chance(random, 15)) {
        sim_hub_power_cut(&sim->hub);
    } else if (sim_random_chance(random, 40)) {
        sim_vfs_cut_after(1 + sim_random_below(random, 40));
    } else if (sim_random_chance(random, 10)) {
        sim_vfs_fail_sync_after(1 + sim_random_below(random, 4));
    }
    if (!sim->history.is_calm && sim_random_chance(random, 8)) {
        sim_network_crash_broker(&sim->network);
    }
    if (sim_random_chance(random, 20)) {
        sim_network_drop_link(&sim->network);
    }
    if (sim_random_chance(random, 10)) {
        sim_network_restart_device(&sim->network, sim_random_below(random, SIM_DEVICES));
    }
    if (sim_random_chance(random, 15)) {
        uint32_t target = sim_random_below(random, SIM_TARGETS);
        sim->hub.target_down_until_ms[target] =
            sim->history.now_ms + sim_random_below(random, 5000);
    }
}

static void tick(struct simulation *sim)
{
    sim->history.now_ms += 1 + sim_random_below(&sim->random, 60);
    if (sim->hub.core == NULL) {
        sim_hub_start(&sim->hub);
        return;
    }
    sim_network_tick(&sim->network);
    sim_hub_step(&sim->hub);
    if (sim->hub.core != NULL) {
        sim_hub_dispatch(&sim->hub);
    }
}

static void run_storm(struct simulation *sim)
{
    for (uint32_t i = 0; i < TICKS; i++) {
        for (uint32_t device = 0; device < SIM_DEVICES; device++) {
            uint32_t burst = sim_random_chance(&sim->random, 30) ? 20 : 1;
            for (uint32_t n = 0; n < burst && sim_random_chance(&sim->random, 500); n++) {
                sim_network_generate(&sim->network, device);
            }
        }
        if (sim->hub.core != NULL) {
            maybe_fault(sim);
        }
        tick(sim);
        if (i % CHECK_TICKS == 0 && sim->hub.core != NULL) {
            sim_hub_check(&sim->hub);
        }
    }
}

static void run_to_quiet(struct simulation *sim)
{
    sim_vfs_cut_after(0);
    sim_vfs_fail_sync_after(0);
    sim->hub.is_healing = true;
    sim->network.loss = 0;
    for (uint32_t i = 0; i < QUIET_TICKS; i++) {
        tick(sim);
        if (sim->hub.core != NULL && sim_network_is_quiet(&sim->network) &&
            sim_hub_is_quiet(&sim->hub)) {
            return;
        }
    }
    sim_violation(&sim->history, "it does not come to rest: events or deliveries wait for ever");
}

static void sim_check_rest(struct simulation *sim)
{
    if (sim->hub.core != NULL) {
        sim_hub_check_end(&sim->hub);
    }
}

static uint32_t run_seed(uint64_t seed, enum sim_plant plant, bool is_verbose)
{
    static struct simulation sim;
    sim.random.state = seed;
    sim.history.now_ms = START_MS;
    sim.history.is_calm = sim_random_chance(&sim.random, 250);
    sim.history.is_verbose = is_verbose;
    sim_vfs_create(&sim.random);
    sim_network_init(&sim.network, &sim.history, &sim.random);
    sim.hub =
        (struct sim_hub){.history = &sim.history, .random = &sim.random, .network = &sim.network};
    sim.hub.plant = plant;
    run_storm(&sim);
    if (sim.hub.core != NULL) {
        sim_hub_check(&sim.hub);
    }
    if (sim.history.violations == 0) { // Else it need not come to rest.
        run_to_quiet(&sim);
        sim_check_rest(&sim);
    }
    sim_hub_stop(&sim.hub);
    sim_note(&sim.history, "%u events, %u steps, %u deaths, %u violations", sim.history.count,
             sim.hub.steps, sim.hub.deaths, sim.history.violations);
    return sim.history.violations;
}

static pid_t start_seed(uint64_t seed, enum sim_plant plant, bool is_verbose)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        uint32_t violations = run_seed(seed, plant, is_verbose);
        fflush(stdout);
        _exit(violations > 0);
    }
    if (child < 0) {
        perror("simulate: fork");
        exit(2);
    }
    return child;
}

static bool is_seed_good(int status)
{
    if (WIFSIGNALED(status)) {
        printf("  died by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int find_plant(const char *name)
{
    static const char *const names[] = {"none",           "early-ack",        "dedupe",
                                        "settle-outside", "window-in-memory", "timer-kept"};
    for (int i = 0; i < (int)(sizeof(names) / sizeof(names[0])); i++) {
        if (strcmp(name, names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

struct arguments {
    uint64_t seeds, from;
    int plant;
    bool is_verbose;
};

static bool parse_arguments(int argc, char **argv, struct arguments *out)
{
    static const struct option options[] = {{"seeds", required_argument, NULL, 's'},
                                            {"from", required_argument, NULL, 'f'},
                                            {"plant", required_argument, NULL, 'p'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {0}};
    *out = (struct arguments){.seeds = 1000, .from = 1};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 's':
            out->seeds = strtoull(optarg, NULL, 10);
            break;
        case 'f':
            out->from = strtoull(optarg, NULL, 10);
            break;
        case 'p':
            out->plant = find_plant(optarg);
            break;
        case 'v':
            out->is_verbose = true;
            break;
        default:
            return false;
        }
    }
    return out->plant >= 0;
}

// Seeds run side by side, one a processor; gives how many failed.
static uint32_t run_all(const struct arguments *arguments, uint64_t *out_ran)
{
    struct {
        pid_t process; // 0: free.
        uint64_t seed;
    } jobs[JOBS_MAX] = {{0, 0}};
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t job_count = processors < 1          ? 1
                         : processors > JOBS_MAX ? JOBS_MAX
                                                 : (uint32_t)processors;
    uint32_t failed = 0, running = 0;
    uint64_t started = 0;
    do {
        for (uint32_t i = 0; i < job_count; i++) {
            if (jobs[i].process == 0 && started < arguments->seeds && failed < FAILED_AT_MOST) {
                jobs[i].seed = arguments->from + started++;
                jobs[i].process = start_seed(jobs[i].seed, (enum sim_plant)arguments->plant,
                                             arguments->is_verbose);
                running++;
            }
        }
        int status = 0;
        pid_t ended = running > 0 ? wait(&status) : -1;
        for (uint32_t i = 0; ended > 0 && i < job_count; i++) {
            if (jobs[i].process == ended) {
                jobs[i].process = 0;
                running--;
                if (!is_seed_good(status)) {
                    failed++;
                    printf("seed %llu failed; again with: simulate --seeds 1 --from %llu "
                           "--verbose\n",
                           (unsigned long long)jobs[i].seed, (unsigned long long)jobs[i].seed);
                }
            }
        }
    } while (running > 0);
    *out_ran = started;
    return failed;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    if (!parse_arguments(argc, argv, &arguments)) {
        fprintf(stderr, "usage: simulate [--seeds N] [--from S] [--plant "
                        "early-ack|dedupe|settle-outside|window-in-memory|timer-kept] "
                        "[--verbose]\n");
        return 2;
    }
    uint64_t ran = 0;
    enum sim_plant plant = (enum sim_plant)arguments.plant;
    uint32_t failed = run_all(&arguments, &ran);
    printf("%llu seeds, %u failed%s\n", (unsigned long long)ran, failed,
           plant == SIM_PLANT_NONE ? ""
           : failed > 0            ? ": the planted fault was caught"
                                   : ": NOT CAUGHT");
    return (plant == SIM_PLANT_NONE) == (failed == 0) ? 0 : 1;
}
