// What a delivery to an HTTP server is made of, from templates and devices: an address and headers
// that are taken are those of one request, to the place that they name.
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "connectors/http_headers.h"
#include "connectors/http_status.h"
#include "core/address.h"
#include "fuzz.h"

const uint32_t fuzz_count = 200000;

size_t fuzz_seed(uint32_t index, uint8_t *out, size_t size)
{
    static const char *const texts[] = {
        "PUT /a/%2F..%20?b=1&c[]=2",
        "/../a/./b",
        "X-A: 1\r\nContent-Type : text/plain\n\nX-B:",
        "specversion\n1.0\nsubject\na \"b\"%\n",
        "content-type\ntext/csv\nx-a\n\n",
        "200-204, 2xx 409 4xx-5xx",
    };
    const uint32_t count = sizeof(texts) / sizeof(texts[0]);
    size_t len = index < count ? strlen(texts[index]) : 0;
    memcpy(out, index < count ? texts[index] : "", len < size ? len : size);
    return len;
}

static void try_address(struct bytes text)
{
    if (address_problem(text) != NULL) {
        return;
    }
    struct address address = address_parse(text);
    assert(address.method.len > 0 && address.method.len <= ADDRESS_METHOD_MAX);
    assert(address.path.len == 0 || address.path.ptr[0] == '/' || address.path.ptr[0] == '?');
    bool is_query = false;
    for (size_t i = 0; i < address.path.len; i++) {
        uint8_t byte = address.path.ptr[i];
        is_query = is_query || byte == '?';
        assert(byte > ' ' && byte <= '~' && byte != '#' && byte != '\\');
        bool is_part = i > 0 && address.path.ptr[i - 1] == '/' && byte == '.' && !is_query;
        size_t dots = is_part && i + 1 < address.path.len && address.path.ptr[i + 1] == '.' ? 2 : 1;
        bool is_end = i + dots == address.path.len || address.path.ptr[i + dots] == '/' ||
                      address.path.ptr[i + dots] == '?';
        assert(!is_part || !is_end);
    }
}

static void check_headers(const struct http_headers *headers)
{
    assert(headers->count <= HTTP_HEADERS_MAX);
    uint32_t keys = 0, types = 0;
    for (uint32_t i = 0; i < headers->count; i++) {
        const struct http_header *header = &headers->headers[i];
        assert(header->name[0] != '\0' && strpbrk(header->name, " :\r\n") == NULL);
        assert(strpbrk(header->value, "\r\n\x7f") == NULL);
        keys += strcasecmp(header->name, "Idempotency-Key") == 0;
        types += strcasecmp(header->name, "Content-Length") == 0;
    }
    assert(keys == 1 && types == 0);
}

// A line's end parts names and values.
static void try_headers(char *text, size_t len)
{
    static struct http_headers headers;
    struct http_fixed fixed;
    char problem[200];
    if (memchr(text, '\0', len) == NULL && http_fixed_parse(text, &fixed, NULL) == ERR_OK) {
        const struct delivery delivery = {.idempotency_key = text, .content_type = ""};
        if (http_headers_make(&headers, &fixed, &delivery, problem) == NULL) {
            check_headers(&headers);
        }
        http_fixed_deinit(&fixed);
    }
    for (size_t i = 0; i < len; i++) {
        text[i] = text[i] == '\n' ? '\0' : text[i];
    }
    const struct delivery delivery = {
        .idempotency_key = text, .content_type = text, .properties = bytes_of(text, len)};
    fixed = (struct http_fixed){.text = NULL};
    if (http_headers_make(&headers, &fixed, &delivery, problem) == NULL) {
        check_headers(&headers);
    }
}

void fuzz_one(const uint8_t *ptr, size_t len)
{
    struct http_status_set set;
    char *text = malloc(len + 1);
    memcpy(text, ptr, len);
    text[len] = '\0';
    try_address(bytes_of(ptr, len));
    if (http_status_parse(text, &set, NULL) == ERR_OK) {
        assert(!http_status_has(&set, 199) && !http_status_has(&set, 600));
    }
    try_headers(text, len);
    free(text);
}
