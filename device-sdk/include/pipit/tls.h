// tls.h - TLS 1.2 over any other transport, by mbedTLS 2.28: a shared key, or certificates.
// Threads:   as pipit.h; where mbedTLS takes its memory from arenas (see below), all TLS
//            connections of a program belong to one thread.
// Ownership: options, keys, CA, arena and the transport below outlive the connection. Nothing of
//            them is copied but the key and the names, into the arena.
// Failure:   PIPIT_ERR_TLS, and pipit_tls_reason says which of its kinds; otherwise what the
//            transport below says. A failed connection is closed before it is opened again.
//
// With certificates a small processor computes for seconds. Built with PIPIT_TLS_WITH_SLICES (see
// ports/mbedtls/pipit_mbedtls_config.h) each poll does a slice of that, so poll without a pause
// while it connects; without, one poll does it all.
#ifndef PIPIT_TLS_H
#define PIPIT_TLS_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PIPIT_TLS_REASON_TABLE(X)                                                                  \
    X(PIPIT_TLS_NONE, 0, "no TLS error")                                                           \
    X(PIPIT_TLS_UNTRUSTED, 1,                                                                      \
      "the broker's certificate does not come from our CA: compare them, it may be an impostor")   \
    X(PIPIT_TLS_NAME, 2,                                                                           \
      "the broker's certificate is for another host name: check options.host against its names")   \
    X(PIPIT_TLS_EXPIRED, 3, "the broker's certificate is not valid now: check it, and our clock")  \
    X(PIPIT_TLS_CERTIFICATE, 4,                                                                    \
      "the broker's certificate cannot be used: its key, curve, hash or usage is not built in")    \
    X(PIPIT_TLS_KEY, 5, "the broker knows no such identity, or another key for it")                \
    X(PIPIT_TLS_SUITE, 6,                                                                          \
      "nothing in common with the broker: check its TLS version, its ciphers (PSK or "             \
      "certificate), and whether it asks for a certificate of ours")                               \
    X(PIPIT_TLS_PEER, 7, "the other side does not speak TLS 1.2, or broke it: check the port")     \
    X(PIPIT_TLS_ENDED, 8,                                                                          \
      "the other side ended the connection: in a handshake it may know no such identity")          \
    X(PIPIT_TLS_TIMEOUT, 9,                                                                        \
      "the handshake took too long: the line is slow or mute, or raise options.handshake_ms")      \
    X(PIPIT_TLS_MEMORY, 10, "options.arena is too small: pipit_tls_arena_peak says what it took")  \
    X(PIPIT_TLS_BUFFER, 11,                                                                        \
      "the broker's certificates are larger than MBEDTLS_SSL_IN_CONTENT_LEN: raise it, or let it " \
      "send fewer")                                                                                \
    X(PIPIT_TLS_ENTROPY, 12, "options.entropy gave none: no connection without randomness")        \
    X(PIPIT_TLS_CA, 13, "options.ca is not a certificate: DER is always read, PEM where built in") \
    X(PIPIT_TLS_INTERNAL, 14, "mbedTLS failed: see pipit_tls_code")

#define PIPIT_TLS_ENUM(name, value, text) name = value,
enum pipit_tls_reason { PIPIT_TLS_REASON_TABLE(PIPIT_TLS_ENUM) };
#undef PIPIT_TLS_ENUM

// Either a shared key or a CA. Zero means the default everywhere else.
struct pipit_tls_options {
    struct pipit_transport *lower;
    // Shared key (PSK): at most 32 bytes as built by our configuration. Without forward secrecy:
    // who learns it can read what was recorded before.
    const char *psk_identity;
    const uint8_t *psk;
    size_t psk_bytes;
    // Certificates (ECDHE with ECDSA or RSA): DER in flash is used from there.
    const uint8_t *ca;
    size_t ca_bytes;  // PEM: with its NUL.
    const char *host; // DNS name that the certificate must be for. Required.
    // Fills `ptr`; false: it cannot. True randomness: the connection is as secret as this.
    bool (*entropy)(void *context, uint8_t *ptr, size_t len);
    void *entropy_context;
    // All memory of the connection; of no other one at the same time. NULL: mbedTLS takes it from
    // where it takes it by itself (a packaged mbedTLS: malloc).
    uint8_t *arena;
    size_t arena_bytes;
    uint32_t handshake_ms; // From the open transport below to the end of the handshake: 15 s.
};

struct pipit_tls_session;

struct pipit_tls_arena {
    uint8_t *ptr;
    uint32_t size;
    uint32_t peak; // Most that was in use, bookkeeping included.
    bool has_failed;
};

struct pipit_tls {
    struct pipit_transport base;             // Hand &tls.base to pipit_client_options.
    const struct pipit_tls_options *options; // private from here
    struct pipit_tls_session *session;       // In the arena.
    struct pipit_tls_arena arena;
    uint32_t begun_at_ms;
    int32_t code;
    int8_t lower_rc;
    uint8_t reason;
    uint8_t state;
};

// PIPIT_ERR_ARGUMENT: neither or both of key and CA, no host with the CA, no entropy or no lower
// transport; a key longer than MBEDTLS_PSK_MAX_LEN; a kind that is not built into mbedTLS; an arena
// with an mbedTLS that was built without MBEDTLS_PLATFORM_MEMORY, or one of a few bytes.
enum pipit_err pipit_tls_init(struct pipit_tls *tls, const struct pipit_tls_options *options);

// Why the last connection failed, also after its close; until the next open.
enum pipit_tls_reason pipit_tls_reason(const struct pipit_tls *tls);
const char *pipit_tls_reason_text(enum pipit_tls_reason reason); // Never NULL.
// mbedTLS's own code of it (negative), or the alert (positive) that the broker sent; 0: none.
int32_t pipit_tls_code(const struct pipit_tls *tls);
// Bytes of the arena that were needed so far: exactly what it must hold for a connection that goes
// the same way.
size_t pipit_tls_arena_peak(const struct pipit_tls *tls);

#ifdef __cplusplus
}
#endif

#endif
