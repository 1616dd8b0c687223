#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/daemon.h"

#define RESTART_MIN_MS 200
#define RESTART_MAX_MS 30000
#define PROVEN_MS      30000 // A child that lived so long is started again after the shortest wait.
#define EXIT_SIGNALLED 128   // As shells tell it: 128 + signal.

static void signals_block(sigset_t *out_set)
{
    sigemptyset(out_set);
    sigaddset(out_set, SIGTERM);
    sigaddset(out_set, SIGINT);
    sigaddset(out_set, SIGHUP);
    sigaddset(out_set, SIGCHLD);
    sigprocmask(SIG_BLOCK, out_set, NULL);
}

static pid_t child_start(const struct daemon_options *options,
                         int (*run)(const struct daemon_options *options))
{
    pid_t parent = getpid();
    fflush(NULL);
    pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM); // A killed supervisor leaves no hub behind.
    if (getppid() != parent) {
        _exit(1);
    }
    int rc = run(options);
    fflush(NULL);
    _exit(rc);
}

// Waits for the child's end and passes signals on. A stop that was asked for is remembered.
static int child_wait(pid_t pid, const sigset_t *set, bool *inout_is_stopping)
{
    for (;;) {
        int status = 0;
        if (waitpid(pid, &status, WNOHANG) == pid) {
            return status;
        }
        int number = sigwaitinfo(set, NULL);
        if (number == SIGTERM || number == SIGINT || number == SIGHUP) {
            *inout_is_stopping |= number != SIGHUP;
            kill(pid, number);
        }
    }
}

// True: a signal asked to stop.
static bool pause_or_stop(const sigset_t *set, int64_t wait_ms)
{
    int64_t end_ms = clock_monotonic_ms() + wait_ms;
    for (;;) {
        int64_t left_ms = end_ms - clock_monotonic_ms();
        if (left_ms <= 0) {
            return false;
        }
        struct timespec left = {left_ms / 1000, left_ms % 1000 * 1000000};
        int number = sigtimedwait(set, NULL, &left);
        if (number == SIGTERM || number == SIGINT) {
            return true;
        }
    }
}

int daemon_supervise(const struct daemon_options *options,
                     int (*run)(const struct daemon_options *options))
{
    sigset_t set;
    int64_t wait_ms = RESTART_MIN_MS;
    bool is_stopping = false;
    signals_block(&set);
    for (;;) {
        int64_t started_ms = clock_monotonic_ms();
        pid_t pid = child_start(options, run);
        if (pid < 0) {
            log_line(LOG_ERROR, "supervise", "SUPERVISE-FORK", "err=\"%s\"", strerror(errno));
            return 1;
        }
        int status = child_wait(pid, &set, &is_stopping);
        if (WIFEXITED(status)) {
            return WEXITSTATUS(status);
        }
        if (is_stopping) {
            return EXIT_SIGNALLED + WTERMSIG(status);
        }
        bool is_proven = clock_monotonic_ms() - started_ms >= PROVEN_MS;
        wait_ms = is_proven ? RESTART_MIN_MS : wait_ms;
        log_line(LOG_ERROR, "supervise", "SUPERVISE-RESTART",
                 "signal=%d name=\"%s\" in_ms=%lld err=\"the hub died; nothing that was "
                 "acknowledged is lost, it is started again\"",
                 WTERMSIG(status), strsignal(WTERMSIG(status)), (long long)wait_ms);
        if (pause_or_stop(&set, wait_ms)) {
            return EXIT_SIGNALLED + WTERMSIG(status);
        }
        wait_ms = wait_ms * 2 > RESTART_MAX_MS ? RESTART_MAX_MS : wait_ms * 2;
    }
}
