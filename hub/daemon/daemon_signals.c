#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "daemon/daemon_parts.h"

// Blocked in this thread, and so in every thread that it starts.
enum err signals_open(int *out_fd, struct error *e)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN); // A broken pipe is an error code.
    int fd = -1;
    if (sigprocmask(SIG_BLOCK, &set, NULL) == 0) {
        fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    }
    if (fd < 0) {
        return error_set(e, ERR_INTERNAL, "signalfd: %s", strerror(errno));
    }
    *out_fd = fd;
    return ERR_OK;
}

struct signals_seen signals_read(int fd)
{
    struct signals_seen seen = {false, false, false};
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            seen.reload = true;
        } else {
            seen.stop_now = seen.stop;
            seen.stop = true;
        }
    }
    return seen;
}
