#include "connectors/http_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define LIBRARY "libcurl.so.4" // Its ABI since 2006.

struct http_library http_library;

static struct error problem; // code ERR_OK: it is loaded.

// POSIX lets a pointer to data be one to a function; ISO C wants it copied.
static bool find(void *handle, const char *name, void *out_function)
{
    void *found = dlsym(handle, name);
    memcpy(out_function, &found, sizeof(found));
    return found != NULL;
}

static void load(void)
{
    struct http_library all;
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    bool is_whole = handle != NULL;
#define FIND(name) is_whole = is_whole && find(handle, "curl_" #name, &all.name);
    HTTP_LIBRARY(FIND)
#undef FIND
    if (!is_whole) {
        const char *why = dlerror();
        error_set(&problem, ERR_CONFIG,
                  "HTTP targets need libcurl, which cannot be loaded (Debian's package is "
                  "libcurl4): %.300s",
                  why == NULL ? LIBRARY : why);
    } else if (all.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        error_set(&problem, ERR_NO_MEMORY, "libcurl cannot be initialized");
    } else {
        http_library = all;
    }
}

enum err http_library_load(struct error *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return problem.code == ERR_OK ? ERR_OK : error_set(e, problem.code, "%s", problem.text);
}
