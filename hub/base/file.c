#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Reads until the end or until buffer is full; -1 with errno.
static ssize_t read_all(int fd, char *buffer, size_t size)
{
    size_t len = 0;
    while (len < size) {
        ssize_t got = read(fd, buffer + len, size - len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        len += (size_t)got;
    }
    return (ssize_t)len;
}

// A regular file says its size; for anything else the maximum is made ready.
static size_t room_for(int fd, size_t max_bytes)
{
    struct stat info;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && (size_t)info.st_size < max_bytes) {
        return (size_t)info.st_size + 1; // One more, to see a file that grows.
    }
    return max_bytes + 1; // One more, to see that it is too large.
}

enum err file_read(const char *path, size_t max_bytes, char **out_text, size_t *out_len,
                   struct error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        enum err code = errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
        return error_set(e, code, "%s: cannot be read: %s", path, strerror(errno));
    }
    enum err rc = ERR_OK;
    size_t room = room_for(fd, max_bytes);
    char *text = malloc(room + 1);
    if (text == NULL) {
        rc = error_set(e, ERR_NO_MEMORY, "%s: out of memory", path);
        goto cleanup;
    }
    ssize_t len = read_all(fd, text, room);
    if (len < 0) {
        rc = error_set(e, errno == EISDIR ? ERR_INVALID : ERR_IO, "%s: cannot be read: %s", path,
                       strerror(errno));
        goto cleanup;
    }
    if ((size_t)len > max_bytes) {
        rc = error_set(e, ERR_INVALID, "%s: larger than %zu bytes", path, max_bytes);
        goto cleanup;
    }
    text[len] = '\0';
    *out_text = text;
    *out_len = (size_t)len;
    text = NULL;
cleanup:
    free(text);
    close(fd);
    return rc;
}
