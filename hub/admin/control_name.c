#define _GNU_SOURCE // O_PATH.
#include "admin/control_name.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static enum err too_long(const char *store_path, struct error *e)
{
    return error_set(e, ERR_NOT_FOUND, "control socket of %s: the path is too long", store_path);
}

enum err control_name(const char *store_path, struct sockaddr_un *out_name, int *out_folder,
                      struct error *e)
{
    *out_name = (struct sockaddr_un){.sun_family = AF_UNIX};
    *out_folder = -1;
    int len = snprintf(out_name->sun_path, sizeof(out_name->sun_path), "%s.sock", store_path);
    if (len < (int)sizeof(out_name->sun_path)) {
        return ERR_OK;
    }
    const char *slash = strrchr(store_path, '/');
    char folder[PATH_MAX];
    if (slash == NULL || (size_t)(slash - store_path) >= sizeof(folder) - 1) {
        return too_long(store_path, e);
    }
    snprintf(folder, sizeof(folder), "%.*s/", (int)(slash - store_path), store_path);
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return error_set(e, ERR_NOT_FOUND, "folder %s: %s", folder, strerror(errno));
    }
    len = snprintf(out_name->sun_path, sizeof(out_name->sun_path), "/proc/self/fd/%d/%s.sock", fd,
                   slash + 1);
    if (len >= (int)sizeof(out_name->sun_path)) {
        close(fd);
        return too_long(store_path, e);
    }
    *out_folder = fd;
    return ERR_OK;
}
