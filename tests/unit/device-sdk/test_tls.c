// The TLS transport against OpenSSL as the broker, over a pipe that can stall, cut and damage what
// passes. With a packaged mbedTLS it is one of the unit tests; tests/firmware/test_tls.py builds it
// again with mbedTLS as it is configured for devices, arena included.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <mbedtls/platform.h>
#include <mbedtls/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../../device-sdk/ports/mbedtls/arena.h"
#include "pipit/tls.h"
#include "tls_broker.h"

#define DEADLINE_MS 60000u
#define STEP_MS     10u
#define ARENA_BYTES (64u * 1024u)

#if defined(MBEDTLS_PLATFORM_MEMORY)
#define HAS_ARENA 1
#else
#define HAS_ARENA 0
#endif
#if defined(MBEDTLS_RSA_C)
#define HAS_RSA 1
#else
#define HAS_RSA 0
#endif

static const uint8_t other_key[16] = "sixteen bytes no";

// ---- the device's side -------------------------------------------------------------------------

static struct pipit_tls tls;
static struct pipit_transport *const transport = &tls.base;
static struct pipit_tls_options options;
static uint8_t arena[ARENA_BYTES];
static uint32_t now_ms;
static bool has_entropy;

static bool entropy(void *unused, uint8_t *ptr, size_t len)
{
    (void)unused;
    for (size_t i = 0; has_entropy && i < len; i++) {
        ptr[i] = (uint8_t)rand();
    }
    return has_entropy;
}

static int begin(void **state)
{
    (void)state;
    line = (struct pipe){.base = {&pipe_type}};
    options = (struct pipit_tls_options){.lower = &line.base, .entropy = entropy};
    if (HAS_ARENA) {
        options.arena = arena;
        options.arena_bytes = sizeof(arena);
    }
    has_entropy = true;
    is_not_tls = false;
    peer_identity = NULL;
    peer_ciphers = NULL;
    peer_extra_certs = 0;
    peer_version_min = 0;
    peer_version_max = TLS1_2_VERSION;
    return 0;
}

static void close_both(void)
{
    transport->type->close(transport);
    if (peer != NULL) {
        peer_close();
    }
}

static int end(void **state)
{
    (void)state;
    close_both();
    return 0;
}

static void with_key(void)
{
    options.psk = key;
    options.psk_bytes = sizeof(key);
    options.psk_identity = "dev-1";
    peer_identity = NULL;
    peer_ciphers = "PSK-AES128-GCM-SHA256";
}

static void with_certificates(const struct identity *presented)
{
    options.ca = ca.der;
    options.ca_bytes = ca.der_bytes;
    options.host = HOST;
    peer_identity = presented;
}

// The result of a whole handshake with a new peer.
static enum pipit_err shake(void)
{
    uint32_t begin_ms = now_ms;
    enum pipit_err rc = PIPIT_ERR_BUSY;
    line.calls = 0;
    line.read_bytes = line.wrote_bytes = 0;
    peer_open();
    for (; rc == PIPIT_ERR_BUSY; now_ms += STEP_MS) {
        assert_true(now_ms - begin_ms < DEADLINE_MS);
        rc = transport->type->open(transport, now_ms);
        peer_step();
    }
    return rc;
}

static void init(void)
{
    assert_int_equal(pipit_tls_init(&tls, &options), PIPIT_OK);
}

static void assert_reason(enum pipit_err rc, enum pipit_tls_reason reason)
{
    if (pipit_tls_reason(&tls) != reason) {
        print_message("got \"%s\" (%ld)\n", pipit_tls_reason_text(pipit_tls_reason(&tls)),
                      (long)pipit_tls_code(&tls));
    }
    assert_int_equal(pipit_tls_reason(&tls), reason);
    assert_int_equal(rc, PIPIT_ERR_TLS);
}

static int32_t write_bytes(const void *ptr, size_t len)
{
    return transport->type->write(transport, (const uint8_t *)ptr, len);
}

static int32_t read_bytes(void *ptr, size_t size)
{
    return transport->type->read(transport, (uint8_t *)ptr, size);
}

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 7u + i / 251u);
}

// Bulk both ways at once, in pieces of odd sizes that change when nothing was taken.
static void exchange(size_t total)
{
    static uint8_t bytes[BULK];
    uint8_t got[77];
    size_t written = 0, received = 0, sent = 0, size = 1;
    for (size_t i = 0; i < total; i++) {
        bytes[i] = pattern(i);
    }
    for (uint32_t steps = 0; received < total || heard_bytes < total; steps++) {
        assert_true(steps < 500000);
        size = size * 5 % 1999 + 1;
        size_t part = size < total - written ? size : total - written;
        int32_t count = write_bytes(bytes + written, part);
        assert_in_range(count, 0, part);
        written += (size_t)count;
        if (sent < total && BIO_ctrl_pending(from_peer) < 4000) {
            size_t more = total - sent < 6000 ? total - sent : 6000; // Several records.
            int put = SSL_write(peer, bytes + sent, (int)more);
            sent += put > 0 ? (size_t)put : 0;
        }
        count = read_bytes(got, sizeof(got));
        assert_in_range(count, 0, sizeof(got));
        assert_memory_equal(got, bytes + received, (size_t)count);
        received += (size_t)count;
        peer_step();
    }
    assert_memory_equal(heard, bytes, total);
    assert_int_equal(heard_bytes, total);
}

// ---- what works --------------------------------------------------------------------------------

static void test_key(void **state)
{
    (void)state;
    with_key();
    init();
    assert_int_equal(shake(), PIPIT_OK);
    assert_string_equal(SSL_get_cipher(peer), "PSK-AES128-GCM-SHA256");
    exchange(BULK);
    transport->type->close(transport);
    assert_int_equal(line.closes, 1);
    peer_step();
    assert_int_equal(SSL_get_shutdown(peer), SSL_RECEIVED_SHUTDOWN); // It was told.
}

static void test_certificates(void **state)
{
    (void)state;
    with_certificates(&server);
    init();
    assert_int_equal(shake(), PIPIT_OK);
    assert_string_equal(SSL_get_cipher(peer), "ECDHE-ECDSA-AES128-GCM-SHA256");
    assert_string_equal(SSL_get_servername(peer, TLSEXT_NAMETYPE_host_name), HOST);
    exchange(BULK);
}

static void test_rsa(void **state)
{
    (void)state;
    if (!HAS_RSA) {
        skip();
    }
    with_certificates(&server_rsa);
    init();
    assert_int_equal(shake(), PIPIT_OK);
    assert_string_equal(SSL_get_cipher(peer), "ECDHE-RSA-AES128-GCM-SHA256");
    exchange(2000);
}

#if defined(MBEDTLS_PEM_PARSE_C)
static void test_pem(void **state)
{
    char pem[2048];
    BIO *bio = BIO_new(BIO_s_mem());
    (void)state;
    assert_true(PEM_write_bio_X509(bio, ca.cert));
    int len = BIO_read(bio, pem, sizeof(pem) - 1);
    BIO_free(bio);
    pem[len] = '\0';
    with_certificates(&server);
    options.ca = (const uint8_t *)pem;
    options.ca_bytes = (size_t)len + 1;
    init();
    assert_int_equal(shake(), PIPIT_OK);
}
#endif

static void slow_lines(void)
{
    static const size_t chunks[] = {1, 2, 5, 100};
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        line.chunk = chunks[i];
        line.is_stalling = true;
        assert_int_equal(shake(), PIPIT_OK);
        exchange(3000);
        close_both();
    }
}

static void test_slow_line_with_key(void **state)
{
    (void)state;
    with_key();
    options.handshake_ms = DEADLINE_MS;
    init();
    slow_lines();
}

static void test_slow_line_with_certificates(void **state)
{
    (void)state;
    with_certificates(&server);
    options.handshake_ms = DEADLINE_MS;
    init();
    slow_lines();
}

// What was taken while the line was full goes out once, even if the caller has more by then.
static void test_full_line(void **state)
{
    uint8_t byte;
    (void)state;
    with_key();
    init();
    assert_int_equal(shake(), PIPIT_OK);
    line.is_full = true;
    assert_int_equal(write_bytes("hello", 5), 5);
    assert_int_equal(write_bytes(" world", 6), 0);
    assert_int_equal(write_bytes(" world, and more", 16), 0);
    line.is_full = false;
    assert_int_equal(read_bytes(&byte, 1), 0); // Reading alone moves what waits.
    peer_step();
    assert_int_equal(heard_bytes, 5);
    assert_int_equal(write_bytes(" world, and more", 16), 16);
    peer_step();
    assert_int_equal(heard_bytes, 21);
    assert_memory_equal(heard, "hello world, and more", 21);
}

static void test_last_words(void **state)
{
    uint8_t bytes[16];
    (void)state;
    with_key();
    init();
    assert_int_equal(shake(), PIPIT_OK);
    assert_int_equal(SSL_write(peer, "why", 3), 3);
    (void)SSL_shutdown(peer);
    line.is_gone = true;
    assert_int_equal(read_bytes(bytes, 2), 2);
    assert_int_equal(write_bytes("x", 1), 0);
    assert_int_equal(read_bytes(bytes + 2, sizeof(bytes) - 2), 1);
    assert_memory_equal(bytes, "why", 3);
    assert_int_equal(read_bytes(bytes, sizeof(bytes)), PIPIT_ERR_UNREACHABLE);
    assert_int_equal(pipit_tls_reason(&tls), PIPIT_TLS_ENDED);
    assert_int_equal(write_bytes("x", 1), PIPIT_ERR_UNREACHABLE);
    assert_int_equal(read_bytes(bytes, sizeof(bytes)), PIPIT_ERR_UNREACHABLE);
}

static void test_again_and_again(void **state)
{
    (void)state;
    with_key();
    init();
    for (int i = 0; i < 30; i++) {
        line.cut_after = i % 3 == 0 ? 0 : (size_t)i * 7;
        line.is_gone = false;
        enum pipit_err rc = shake();
        assert_true(rc == PIPIT_OK || rc == PIPIT_ERR_UNREACHABLE);
        close_both();
        transport->type->close(transport);
    }
}

// ---- what is refused ---------------------------------------------------------------------------

static void test_arguments(void **state)
{
    (void)state;
    assert_int_equal(pipit_tls_init(&tls, &options), PIPIT_ERR_ARGUMENT); // Neither key nor CA.
    with_key();
    options.psk_bytes = MBEDTLS_PSK_MAX_LEN + 1;
    assert_int_equal(pipit_tls_init(&tls, &options), PIPIT_ERR_ARGUMENT);
    options.psk_bytes = sizeof(key);
    with_certificates(&server);
    assert_int_equal(pipit_tls_init(&tls, &options), PIPIT_ERR_ARGUMENT); // Both.
    options.psk = NULL;
    options.host = NULL;
    assert_int_equal(pipit_tls_init(&tls, &options), PIPIT_ERR_ARGUMENT);
    options.host = HOST;
    options.entropy = NULL;
    assert_int_equal(pipit_tls_init(&tls, &options), PIPIT_ERR_ARGUMENT);
    options.entropy = entropy;
    options.lower = NULL;
    assert_int_equal(pipit_tls_init(&tls, &options), PIPIT_ERR_ARGUMENT);
    options.lower = &line.base;
    options.arena = arena;
    options.arena_bytes = HAS_ARENA ? 8 : sizeof(arena);
    assert_int_equal(pipit_tls_init(&tls, &options), PIPIT_ERR_ARGUMENT);
    options.arena = NULL;
    assert_int_equal(pipit_tls_init(&tls, &options), PIPIT_OK);
    assert_int_equal(write_bytes("x", 1), PIPIT_ERR_UNREACHABLE);
    assert_int_equal(read_bytes(arena, 1), PIPIT_ERR_UNREACHABLE);
}

static void test_wrong_key(void **state)
{
    (void)state;
    with_key();
    options.psk = other_key;
    init();
    assert_reason(shake(), PIPIT_TLS_KEY);
    assert_int_equal(transport->type->open(transport, now_ms), PIPIT_ERR_TLS); // Until the close.
    close_both();
    options.psk = key;
    assert_int_equal(shake(), PIPIT_OK);
    assert_int_equal(pipit_tls_reason(&tls), PIPIT_TLS_NONE);
}

static void test_unknown_identity(void **state)
{
    (void)state;
    with_key();
    options.psk_identity = "nobody";
    init();
    assert_reason(shake(), PIPIT_TLS_KEY);
}

static void test_broker_with_certificates_only(void **state)
{
    (void)state;
    with_key();
    peer_identity = &server;
    peer_ciphers = NULL;
    init();
    assert_reason(shake(), PIPIT_TLS_SUITE);
}

static void test_bad_certificates(void **state)
{
    const struct {
        const char *why;
        const struct identity *presented;
        const char *host;
        enum pipit_tls_reason reason;
    } cases[] = {
        {"another CA of the same name", &server_by_wrong, HOST, PIPIT_TLS_UNTRUSTED},
        {"a CA that vouches for itself", &wrong_ca, "throwaway", PIPIT_TLS_UNTRUSTED},
        {"ours, for another host", &server, "other.example", PIPIT_TLS_NAME},
        {"another CA, for another host", &server_by_wrong, "other.example", PIPIT_TLS_UNTRUSTED},
        {"for clients only", &client_use, HOST, PIPIT_TLS_CERTIFICATE},
#if defined(MBEDTLS_HAVE_TIME_DATE)
        {"expired", &server_expired, HOST, PIPIT_TLS_EXPIRED},
#endif
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("%s\n", cases[i].why);
        with_certificates(cases[i].presented);
        options.host = cases[i].host;
        init();
        assert_reason(shake(), cases[i].reason);
        close_both();
    }
}

// mbedTLS does not put a message together from several records.
static void test_chain_larger_than_our_buffer(void **state)
{
    (void)state;
    if (MBEDTLS_SSL_IN_CONTENT_LEN > 4096) {
        skip();
    }
    with_certificates(&server);
    peer_extra_certs = 8;
    init();
    assert_reason(shake(), PIPIT_TLS_BUFFER);
}

static void test_other_versions(void **state)
{
    (void)state;
    with_certificates(&server);
    init();
    peer_version_min = peer_version_max = TLS1_3_VERSION;
    assert_reason(shake(), PIPIT_TLS_SUITE);
    close_both();
    peer_version_min = peer_version_max = TLS1_1_VERSION;
    assert_reason(shake(), PIPIT_TLS_SUITE);
}

static void test_not_tls(void **state)
{
    (void)state;
    with_key();
    is_not_tls = true;
    init();
    assert_reason(shake(), PIPIT_TLS_PEER);
}

static void test_ca_that_is_none(void **state)
{
    (void)state;
    with_certificates(&server);
    options.ca_bytes /= 2;
    init();
    assert_reason(shake(), PIPIT_TLS_CA);
    close_both();
    options.ca = (const uint8_t *)"no certificate";
    options.ca_bytes = 15;
    assert_reason(shake(), PIPIT_TLS_CA);
    assert_int_equal(line.wrote_bytes, 0);
}

static void test_no_entropy(void **state)
{
    (void)state;
    with_key();
    has_entropy = false;
    init();
    assert_reason(shake(), PIPIT_TLS_ENTROPY);
    assert_int_equal(line.wrote_bytes, 0);
}

static void test_mute(void **state)
{
    uint32_t begin_ms = now_ms;
    (void)state;
    with_key();
    options.handshake_ms = 4000;
    line.is_mute = true;
    init();
    assert_reason(shake(), PIPIT_TLS_TIMEOUT);
    assert_in_range(now_ms - begin_ms, 4000, 4100);
}

static void test_unreachable(void **state)
{
    (void)state;
    with_key();
    line.is_refused = true;
    init();
    assert_int_equal(shake(), PIPIT_ERR_UNREACHABLE);
    assert_int_equal(pipit_tls_reason(&tls), PIPIT_TLS_NONE);
}

static void test_cut_in_the_handshake(void **state)
{
    (void)state;
    with_key();
    line.cut_after = 20;
    init();
    assert_int_equal(shake(), PIPIT_ERR_UNREACHABLE);
    assert_int_equal(pipit_tls_reason(&tls), PIPIT_TLS_ENDED);
}

// Each byte of a handshake damaged, in either direction: it may end for many reasons, or not at all
// within its time, but it never succeeds.
static void damage(size_t step)
{
    const size_t first_minor_version = 3; // Of the first record: nobody looks. [RFC 5246 E.1]
    assert_int_equal(shake(), PIPIT_OK);
    size_t reads = line.read_bytes, writes = line.wrote_bytes;
    close_both();
    for (size_t i = 1; i <= reads + writes; i += step) {
        line.flip_read = i <= reads ? i : 0;
        line.flip_write = i <= reads ? 0 : i - reads;
        enum pipit_err rc = shake();
        if (line.flip_write == first_minor_version) {
            close_both();
            continue;
        }
        assert_int_not_equal(rc, PIPIT_OK);
        assert_int_not_equal(pipit_tls_reason(&tls), PIPIT_TLS_NONE);
        close_both();
    }
}

static void test_damage_with_key(void **state)
{
    (void)state;
    with_key();
    options.handshake_ms = 5000;
    init();
    damage(1);
}

static void test_damage_with_certificates(void **state)
{
    (void)state;
    with_certificates(&server);
    options.handshake_ms = 5000;
    init();
    damage(17);
}

static void test_damage_after_the_handshake(void **state)
{
    uint8_t bytes[16];
    (void)state;
    with_key();
    init();
    assert_int_equal(shake(), PIPIT_OK);
    line.flip_read = line.read_bytes + 20;
    assert_int_equal(SSL_write(peer, "secret", 6), 6);
    assert_reason((enum pipit_err)read_bytes(bytes, sizeof(bytes)), PIPIT_TLS_PEER);
}

static void test_reasons_have_texts(void **state)
{
    (void)state;
    for (int i = PIPIT_TLS_NONE; i <= PIPIT_TLS_INTERNAL; i++) {
        assert_true(strlen(pipit_tls_reason_text((enum pipit_tls_reason)i)) > 10);
    }
    assert_string_equal(pipit_tls_reason_text((enum pipit_tls_reason)99), "unknown TLS error");
}

// ---- the arena ---------------------------------------------------------------------------------

// What mbedTLS calls a certificate that cannot be trusted must be told from a lack of memory.
static void arenas_up_to_peak(void)
{
    options.arena_bytes = sizeof(arena);
    init();
    assert_int_equal(shake(), PIPIT_OK);
    exchange(2000);
    size_t needed = pipit_tls_arena_peak(&tls);
    print_message("arena: %zu bytes\n", needed);
    close_both();
    for (size_t size = 64; size < needed; size += size < needed - 200 ? 97 : 8) {
        options.arena_bytes = size;
        init();
        enum pipit_err rc = shake();
        if (rc == PIPIT_OK) { // It is in the exchange that it was needed.
            close_both();
            continue;
        }
        assert_reason(rc, PIPIT_TLS_MEMORY);
        close_both();
    }
    options.arena_bytes = needed;
    init();
    assert_int_equal(shake(), PIPIT_OK);
    exchange(2000);
}

static void test_arena_with_key(void **state)
{
    (void)state;
    if (!HAS_ARENA) {
        skip();
    }
    with_key();
    arenas_up_to_peak();
}

static void test_arena_with_certificates(void **state)
{
    (void)state;
    if (!HAS_ARENA) {
        skip();
    }
    with_certificates(&server);
    arenas_up_to_peak();
}

static void test_arena_pieces(void **state)
{
    static uint8_t memory[4096 + 3];
    struct pipit_tls_arena pieces = {0};
    uint8_t *held[40] = {NULL};
    size_t sizes[40] = {0};
    (void)state;
    assert_false(pipit_tls_arena_init(&pieces, memory, 15));
    assert_true(pipit_tls_arena_init(&pieces, memory + 3, 4096));
    pipit_tls_arena_use(&pieces);
    srand(1);
    for (int i = 0; i < 200000; i++) {
        size_t at = (size_t)rand() % 40;
        for (size_t j = 0; j < sizes[at]; j++) {
            assert_int_equal(held[at][j], (uint8_t)at); // Nobody else wrote to it.
        }
        pipit_tls_arena_free(held[at]);
        size_t wanted = (size_t)rand() % (i % 7 == 0 ? 1500 : 90) + 1;
        held[at] = rand() % 3 == 0 ? NULL : (uint8_t *)pipit_tls_arena_calloc(1, wanted);
        sizes[at] = held[at] != NULL ? wanted : 0;
        for (size_t j = 0; j < sizes[at]; j++) {
            assert_int_equal(held[at][j], 0);
            held[at][j] = (uint8_t)at;
        }
    }
    for (size_t at = 0; at < 40; at++) {
        pipit_tls_arena_free(held[at]);
    }
    pieces.has_failed = false;
    assert_non_null(pipit_tls_arena_calloc(1, 4000)); // All pieces have joined again.
    assert_false(pieces.has_failed);
    assert_null(pipit_tls_arena_calloc(1, 4000));
    assert_true(pieces.has_failed);
    assert_null(pipit_tls_arena_calloc(SIZE_MAX / 2, 3));
    assert_null(pipit_tls_arena_calloc(0, 3));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
        TEST(test_key),
        TEST(test_certificates),
        TEST(test_rsa),
#if defined(MBEDTLS_PEM_PARSE_C)
        TEST(test_pem),
#endif
        TEST(test_slow_line_with_key),
        TEST(test_slow_line_with_certificates),
        TEST(test_full_line),
        TEST(test_last_words),
        TEST(test_again_and_again),
        TEST(test_arguments),
        TEST(test_wrong_key),
        TEST(test_unknown_identity),
        TEST(test_broker_with_certificates_only),
        TEST(test_bad_certificates),
        TEST(test_chain_larger_than_our_buffer),
        TEST(test_other_versions),
        TEST(test_not_tls),
        TEST(test_ca_that_is_none),
        TEST(test_no_entropy),
        TEST(test_mute),
        TEST(test_unreachable),
        TEST(test_cut_in_the_handshake),
        TEST(test_damage_with_key),
        TEST(test_damage_with_certificates),
        TEST(test_damage_after_the_handshake),
        TEST(test_reasons_have_texts),
        TEST(test_arena_with_key),
        TEST(test_arena_with_certificates),
        cmocka_unit_test(test_arena_pieces),
    };
    return cmocka_run_group_tests(tests, make_certificates, free_certificates);
}
