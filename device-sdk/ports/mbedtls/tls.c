//   SHUT -> REACHING -> SHAKING -> UP -> FAILED
//      any state -> FAILED on an error; `close` leads back to SHUT from everywhere.
#include "pipit/tls.h"

#include "arena.h"

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/platform.h>
#include <mbedtls/ssl.h>

#define HANDSHAKE_MS  15000u
#define LOWER_FAILED  (-0x0050) // As of mbedTLS's own sockets: connection reset.
#define OPERATIONS    150u      // Of elliptic curves in one slice: some 2 million instructions.
#define ALERT_SENT_AT 1         // Of an alert: level, description.

#if defined(MBEDTLS_PLATFORM_MEMORY)
#define HAS_ARENA true
#else
#define HAS_ARENA false
#endif
#if defined(MBEDTLS_X509_CRT_PARSE_C)
#define HAS_CERTIFICATES true
#else
#define HAS_CERTIFICATES false
#endif
#if defined(MBEDTLS_KEY_EXCHANGE_PSK_ENABLED)
#define HAS_PSK true
#else
#define HAS_PSK false
#endif

enum state { SHUT = 0, REACHING, SHAKING, UP, FAILED };

struct pipit_tls_session {
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config config;
    mbedtls_ctr_drbg_context random;
#if defined(MBEDTLS_X509_CRT_PARSE_C)
    mbedtls_x509_crt ca;
#endif
};

static struct pipit_tls *tls_of(struct pipit_transport *transport)
{
    return (struct pipit_tls *)(void *)transport;
}

// ---- what went wrong ---------------------------------------------------------------------------

#if defined(MBEDTLS_X509_CRT_PARSE_C)
static enum pipit_tls_reason verify_reason(const struct pipit_tls_session *session)
{
    uint32_t flags = mbedtls_ssl_get_verify_result(&session->ssl);
    if ((flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0) {
        return PIPIT_TLS_UNTRUSTED;
    }
    if ((flags & MBEDTLS_X509_BADCERT_CN_MISMATCH) != 0) {
        return PIPIT_TLS_NAME;
    }
    if ((flags & (MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE)) != 0) {
        return PIPIT_TLS_EXPIRED;
    }
    return PIPIT_TLS_CERTIFICATE;
}

// Codes of X.509 and of keys lie between -0x2000 and -0x4000, with details in their low bits.
static enum pipit_tls_reason certificate_reason(const struct pipit_tls *tls, int code)
{
    if (code == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED || code == MBEDTLS_ERR_SSL_BAD_HS_CERTIFICATE) {
        return verify_reason(tls->session);
    }
    return code <= -0x2000 && code > -0x4000 ? PIPIT_TLS_CERTIFICATE : PIPIT_TLS_PEER;
}
#else
static enum pipit_tls_reason certificate_reason(const struct pipit_tls *tls, int code)
{
    (void)tls;
    (void)code;
    return PIPIT_TLS_PEER;
}
#endif

static enum pipit_tls_reason alert_reason(const struct pipit_tls *tls, int32_t alert)
{
    switch (alert) {
    case MBEDTLS_SSL_ALERT_MSG_BAD_RECORD_MAC: // Our Finished made no sense with its key.
    case MBEDTLS_SSL_ALERT_MSG_DECRYPTION_FAILED:
    case MBEDTLS_SSL_ALERT_MSG_DECRYPT_ERROR:
    case MBEDTLS_SSL_ALERT_MSG_UNKNOWN_PSK_IDENTITY:
        return tls->options->psk != NULL ? PIPIT_TLS_KEY : PIPIT_TLS_PEER;
    case MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE:
    case MBEDTLS_SSL_ALERT_MSG_PROTOCOL_VERSION:
    case MBEDTLS_SSL_ALERT_MSG_INSUFFICIENT_SECURITY:
        return PIPIT_TLS_SUITE;
    case MBEDTLS_SSL_ALERT_MSG_CLOSE_NOTIFY:
        return PIPIT_TLS_ENDED;
    default:
        return PIPIT_TLS_PEER;
    }
}

static enum pipit_tls_reason code_reason(const struct pipit_tls *tls, int code)
{
    switch (code) {
    case LOWER_FAILED:
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
    case MBEDTLS_ERR_SSL_CONN_EOF:
        return PIPIT_TLS_ENDED;
    case MBEDTLS_ERR_CTR_DRBG_ENTROPY_SOURCE_FAILED:
        return PIPIT_TLS_ENTROPY;
    case MBEDTLS_ERR_SSL_ALLOC_FAILED:
        return PIPIT_TLS_MEMORY;
    case MBEDTLS_ERR_SSL_BAD_HS_PROTOCOL_VERSION:
        return PIPIT_TLS_SUITE;
    case MBEDTLS_ERR_SSL_FEATURE_UNAVAILABLE: // A message in several records.
    case MBEDTLS_ERR_SSL_BAD_INPUT_DATA:      // A record larger than the buffer.
        return PIPIT_TLS_BUFFER;
    case MBEDTLS_ERR_SSL_INVALID_MAC: // The broker's Finished made no sense with our key.
        return tls->options->psk != NULL && tls->state == SHAKING ? PIPIT_TLS_KEY : PIPIT_TLS_PEER;
    default:
        return certificate_reason(tls, code);
    }
}

// A lack of memory comes first: mbedTLS shows it as a certificate that cannot be trusted.
static enum pipit_tls_reason reason_of(struct pipit_tls *tls, int code)
{
    if (tls->arena.has_failed) {
        return PIPIT_TLS_MEMORY;
    }
    if (code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
        tls->code = tls->session->ssl.in_msg[ALERT_SENT_AT];
        return alert_reason(tls, tls->code);
    }
    return code_reason(tls, code);
}

static enum pipit_err lasting_error(const struct pipit_tls *tls)
{
    if (tls->reason == PIPIT_TLS_ENDED || tls->reason == PIPIT_TLS_NONE) {
        return tls->lower_rc != PIPIT_OK ? (enum pipit_err)tls->lower_rc : PIPIT_ERR_UNREACHABLE;
    }
    return PIPIT_ERR_TLS;
}

static enum pipit_err fail_because(struct pipit_tls *tls, enum pipit_tls_reason reason)
{
    tls->reason = (uint8_t)reason;
    tls->state = FAILED;
    return lasting_error(tls);
}

static enum pipit_err fail(struct pipit_tls *tls, int code)
{
    tls->code = code;
    return fail_because(tls, reason_of(tls, code));
}

// ---- mbedTLS's callbacks -----------------------------------------------------------------------

static int lower_result(struct pipit_tls *tls, int32_t count, int wait)
{
    if (count < 0) {
        tls->lower_rc = (int8_t)count;
        return LOWER_FAILED;
    }
    return count > 0 ? (int)count : wait;
}

static int on_send(void *context, const unsigned char *ptr, size_t len)
{
    struct pipit_tls *tls = (struct pipit_tls *)context;
    struct pipit_transport *lower = tls->options->lower;
    return lower_result(tls, lower->type->write(lower, ptr, len), MBEDTLS_ERR_SSL_WANT_WRITE);
}

static int on_receive(void *context, unsigned char *ptr, size_t size)
{
    struct pipit_tls *tls = (struct pipit_tls *)context;
    struct pipit_transport *lower = tls->options->lower;
    return lower_result(tls, lower->type->read(lower, ptr, size), MBEDTLS_ERR_SSL_WANT_READ);
}

static int on_entropy(void *context, unsigned char *ptr, size_t len)
{
    const struct pipit_tls_options *options = ((struct pipit_tls *)context)->options;
    return options->entropy(options->entropy_context, ptr, len)
               ? 0
               : MBEDTLS_ERR_CTR_DRBG_ENTROPY_SOURCE_FAILED;
}

// ---- session -----------------------------------------------------------------------------------

#if defined(MBEDTLS_KEY_EXCHANGE_PSK_ENABLED)
static int use_key(struct pipit_tls_session *session, const struct pipit_tls_options *options)
{
    static const int suites[] = {MBEDTLS_TLS_PSK_WITH_AES_128_GCM_SHA256, 0};
    mbedtls_ssl_conf_ciphersuites(&session->config, suites);
    return mbedtls_ssl_conf_psk(&session->config, options->psk, options->psk_bytes,
                                (const unsigned char *)options->psk_identity,
                                strlen(options->psk_identity));
}
#else
static int use_key(struct pipit_tls_session *session, const struct pipit_tls_options *options)
{
    (void)session;
    (void)options;
    return MBEDTLS_ERR_SSL_BAD_CONFIG;
}
#endif

#if defined(MBEDTLS_X509_CRT_PARSE_C)
static int parse_ca(mbedtls_x509_crt *ca, const struct pipit_tls_options *options)
{
    const uint8_t der_sequence = 0x30;
#if defined(MBEDTLS_PEM_PARSE_C)
    if (options->ca[0] != der_sequence) {
        return mbedtls_x509_crt_parse(ca, options->ca, options->ca_bytes);
    }
#endif
    return options->ca[0] == der_sequence
               ? mbedtls_x509_crt_parse_der_nocopy(ca, options->ca, options->ca_bytes)
               : MBEDTLS_ERR_X509_INVALID_FORMAT;
}

static int use_certificates(struct pipit_tls *tls)
{
    static const int suites[] = {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                                 MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, 0};
    struct pipit_tls_session *session = tls->session;
    mbedtls_ssl_conf_ciphersuites(&session->config, suites);
    mbedtls_ssl_conf_authmode(&session->config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(&session->config, &session->ca, NULL);
#if defined(MBEDTLS_ECP_RESTARTABLE)
    mbedtls_ecp_set_max_ops(OPERATIONS);
#endif
    if (parse_ca(&session->ca, tls->options) != 0) {
        return MBEDTLS_ERR_SSL_CA_CHAIN_REQUIRED;
    }
    return mbedtls_ssl_set_hostname(&session->ssl, tls->options->host);
}
#else
static int use_certificates(struct pipit_tls *tls)
{
    (void)tls;
    return MBEDTLS_ERR_SSL_BAD_CONFIG;
}
#endif

// The broker cuts its records to what our buffer holds. mbedTLS's own setter would not have it when
// the buffer for what we send is smaller; that one limits only what we send.
static void limit_records(mbedtls_ssl_config *config)
{
#if MBEDTLS_SSL_IN_CONTENT_LEN >= 16384 // TLS's own limit.
    (void)config;
#elif MBEDTLS_SSL_IN_CONTENT_LEN >= 4096
    config->mfl_code = MBEDTLS_SSL_MAX_FRAG_LEN_4096;
#elif MBEDTLS_SSL_IN_CONTENT_LEN >= 2048
    config->mfl_code = MBEDTLS_SSL_MAX_FRAG_LEN_2048;
#elif MBEDTLS_SSL_IN_CONTENT_LEN >= 1024
    config->mfl_code = MBEDTLS_SSL_MAX_FRAG_LEN_1024;
#else
    config->mfl_code = MBEDTLS_SSL_MAX_FRAG_LEN_512;
#endif
}

static int session_configure(struct pipit_tls *tls)
{
    struct pipit_tls_session *session = tls->session;
    int code = mbedtls_ctr_drbg_seed(&session->random, on_entropy, tls, NULL, 0);
    if (code == 0) {
        code =
            mbedtls_ssl_config_defaults(&session->config, MBEDTLS_SSL_IS_CLIENT,
                                        MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    }
    if (code == 0) {
        mbedtls_ssl_conf_min_version(&session->config, MBEDTLS_SSL_MAJOR_VERSION_3,
                                     MBEDTLS_SSL_MINOR_VERSION_3);
        mbedtls_ssl_conf_rng(&session->config, mbedtls_ctr_drbg_random, &session->random);
        limit_records(&session->config);
    }
    if (code == 0) {
        code = tls->options->psk != NULL ? use_key(session, tls->options) : use_certificates(tls);
    }
    if (code == 0) {
        code = mbedtls_ssl_setup(&session->ssl, &session->config);
    }
    mbedtls_ssl_set_bio(&session->ssl, tls, on_send, on_receive, NULL);
    return code;
}

#if defined(MBEDTLS_PLATFORM_MEMORY)
static void memory_use(struct pipit_tls *tls)
{
    if (tls->arena.ptr != NULL) {
        pipit_tls_arena_use(&tls->arena);
    }
}

// Every connection finds the arena empty, whatever has become of the one before.
static void memory_begin(struct pipit_tls *tls)
{
    const struct pipit_tls_options *options = tls->options;
    if (options->arena != NULL) {
        (void)pipit_tls_arena_init(&tls->arena, options->arena, options->arena_bytes);
        (void)mbedtls_platform_set_calloc_free(pipit_tls_arena_calloc, pipit_tls_arena_free);
    }
    memory_use(tls);
}
#else
static void memory_use(struct pipit_tls *tls)
{
    (void)tls;
}

static void memory_begin(struct pipit_tls *tls)
{
    (void)tls;
}
#endif

static enum pipit_tls_reason setup_reason(const struct pipit_tls *tls, int code)
{
    if (tls->arena.has_failed || code == MBEDTLS_ERR_SSL_ALLOC_FAILED) {
        return PIPIT_TLS_MEMORY;
    }
    if (code == MBEDTLS_ERR_CTR_DRBG_ENTROPY_SOURCE_FAILED) {
        return PIPIT_TLS_ENTROPY;
    }
    return code == MBEDTLS_ERR_SSL_CA_CHAIN_REQUIRED ? PIPIT_TLS_CA : PIPIT_TLS_INTERNAL;
}

static enum pipit_err session_begin(struct pipit_tls *tls)
{
    memory_begin(tls);
    tls->session = (struct pipit_tls_session *)mbedtls_calloc(1, sizeof(*tls->session));
    if (tls->session == NULL) {
        return fail_because(tls, PIPIT_TLS_MEMORY);
    }
    mbedtls_ssl_init(&tls->session->ssl);
    mbedtls_ssl_config_init(&tls->session->config);
    mbedtls_ctr_drbg_init(&tls->session->random);
#if defined(MBEDTLS_X509_CRT_PARSE_C)
    mbedtls_x509_crt_init(&tls->session->ca);
#endif
    int code = session_configure(tls);
    if (code == 0) {
        return PIPIT_OK;
    }
    tls->code = code;
    return fail_because(tls, setup_reason(tls, code));
}

static void session_end(struct pipit_tls *tls)
{
    struct pipit_tls_session *session = tls->session;
    memory_use(tls);
    if (tls->state == UP) {
        (void)mbedtls_ssl_close_notify(&session->ssl);
    }
    mbedtls_ssl_free(&session->ssl);
    mbedtls_ssl_config_free(&session->config);
    mbedtls_ctr_drbg_free(&session->random);
#if defined(MBEDTLS_X509_CRT_PARSE_C)
    mbedtls_x509_crt_free(&session->ca);
#endif
    mbedtls_free(session);
    tls->session = NULL;
}

// ---- opening and closing -----------------------------------------------------------------------

static bool must_wait(int code)
{
    return code == MBEDTLS_ERR_SSL_WANT_READ || code == MBEDTLS_ERR_SSL_WANT_WRITE ||
           code == MBEDTLS_ERR_SSL_CRYPTO_IN_PROGRESS;
}

static enum pipit_err shake(struct pipit_tls *tls, uint32_t now_ms)
{
    uint32_t limit_ms = tls->options->handshake_ms != 0 ? tls->options->handshake_ms : HANDSHAKE_MS;
    memory_use(tls);
    int code = mbedtls_ssl_handshake(&tls->session->ssl);
    if (code == 0) {
        tls->state = UP;
        return PIPIT_OK;
    }
    if (!must_wait(code)) {
        return fail(tls, code);
    }
    return now_ms - tls->begun_at_ms < limit_ms ? PIPIT_ERR_BUSY
                                                : fail_because(tls, PIPIT_TLS_TIMEOUT);
}

static enum pipit_err reach(struct pipit_tls *tls, uint32_t now_ms)
{
    struct pipit_transport *lower = tls->options->lower;
    enum pipit_err rc = lower->type->open != NULL ? lower->type->open(lower, now_ms) : PIPIT_OK;
    if (rc == PIPIT_OK) {
        rc = session_begin(tls);
    } else if (rc != PIPIT_ERR_BUSY) {
        tls->lower_rc = (int8_t)rc;
        tls->state = FAILED;
    }
    if (rc == PIPIT_OK) {
        tls->begun_at_ms = now_ms;
        tls->state = SHAKING;
    }
    return rc;
}

static enum pipit_err tls_open(struct pipit_transport *transport, uint32_t now_ms)
{
    struct pipit_tls *tls = tls_of(transport);
    enum pipit_err rc = PIPIT_OK;
    if (tls->state == SHUT) {
        tls->reason = PIPIT_TLS_NONE;
        tls->code = 0;
        tls->lower_rc = PIPIT_OK;
        tls->state = REACHING;
    }
    if (tls->state == REACHING) {
        rc = reach(tls, now_ms);
    }
    if (tls->state == SHAKING) {
        rc = shake(tls, now_ms);
    }
    return tls->state == FAILED ? lasting_error(tls) : rc;
}

static void tls_close(struct pipit_transport *transport)
{
    struct pipit_tls *tls = tls_of(transport);
    struct pipit_transport *lower = tls->options->lower;
    if (tls->session != NULL) {
        session_end(tls);
    }
    if (lower->type->close != NULL) {
        lower->type->close(lower);
    }
    tls->state = SHUT;
}

// ---- bytes -------------------------------------------------------------------------------------

// Sends what is left of a record that is encrypted already. mbedTLS then looks at no other bytes.
static int flush(struct pipit_tls_session *session)
{
    const uint8_t none = 0;
    if (session->ssl.out_left == 0) {
        return 0;
    }
    int code = mbedtls_ssl_write(&session->ssl, &none, 1);
    return code > 0 ? 0 : code;
}

static int32_t tls_write(struct pipit_transport *transport, const uint8_t *ptr, size_t len)
{
    struct pipit_tls *tls = tls_of(transport);
    if (tls->state != UP) {
        return lasting_error(tls);
    }
    memory_use(tls);
    mbedtls_ssl_context *ssl = &tls->session->ssl;
    int code = flush(tls->session);
    if (code == 0 && len > 0) {
        int room = mbedtls_ssl_get_max_out_record_payload(ssl);
        size_t part = room > 0 && len > (size_t)room ? (size_t)room : len;
        code = mbedtls_ssl_write(ssl, ptr, part);
        if (code == MBEDTLS_ERR_SSL_WANT_WRITE) {
            return (int32_t)part; // It is in mbedTLS's buffer, encrypted.
        }
    }
    if (code >= 0 || must_wait(code)) {
        return code > 0 ? code : 0;
    }
    // What came before the end can still be read.
    return mbedtls_ssl_check_pending(ssl) != 0 ? 0 : (int32_t)fail(tls, code);
}

static int32_t tls_read(struct pipit_transport *transport, uint8_t *ptr, size_t size)
{
    struct pipit_tls *tls = tls_of(transport);
    if (tls->state != UP) {
        return lasting_error(tls);
    }
    if (size == 0) {
        return 0;
    }
    memory_use(tls);
    (void)flush(tls->session); // Its failure shows in the read, after what came before it.
    int code = mbedtls_ssl_read(&tls->session->ssl, ptr, size < INT16_MAX ? size : INT16_MAX);
    if (code > 0 || must_wait(code)) {
        return code > 0 ? code : 0;
    }
    return (int32_t)fail(tls, code != 0 ? code : MBEDTLS_ERR_SSL_CONN_EOF);
}

// ---- face --------------------------------------------------------------------------------------

static const struct pipit_transport_type tls_type = {
    .write = tls_write, .read = tls_read, .open = tls_open, .close = tls_close};

static bool is_kind_right(const struct pipit_tls_options *options)
{
    if (options->psk != NULL) {
        return HAS_PSK && options->ca == NULL && options->psk_bytes > 0 &&
               options->psk_bytes <= MBEDTLS_PSK_MAX_LEN && options->psk_identity != NULL;
    }
    return HAS_CERTIFICATES && options->ca != NULL && options->ca_bytes > 0 &&
           options->host != NULL;
}

static bool is_arena_right(struct pipit_tls *tls, const struct pipit_tls_options *options)
{
    return options->arena == NULL ||
           (HAS_ARENA && pipit_tls_arena_init(&tls->arena, options->arena, options->arena_bytes));
}

enum pipit_err pipit_tls_init(struct pipit_tls *tls, const struct pipit_tls_options *options)
{
    (void)memset(tls, 0, sizeof(*tls));
    if (options->lower == NULL || options->entropy == NULL || !is_kind_right(options) ||
        !is_arena_right(tls, options)) {
        return PIPIT_ERR_ARGUMENT;
    }
    tls->base.type = &tls_type;
    tls->options = options;
    return PIPIT_OK;
}

enum pipit_tls_reason pipit_tls_reason(const struct pipit_tls *tls)
{
    return (enum pipit_tls_reason)tls->reason;
}

const char *pipit_tls_reason_text(enum pipit_tls_reason reason)
{
#define REASON_CASE(name, value, text)                                                             \
    case name:                                                                                     \
        return text;
    switch (reason) {
        PIPIT_TLS_REASON_TABLE(REASON_CASE)
    }
#undef REASON_CASE
    return "unknown TLS error";
}

int32_t pipit_tls_code(const struct pipit_tls *tls)
{
    return tls->code;
}

size_t pipit_tls_arena_peak(const struct pipit_tls *tls)
{
    return tls->arena.peak;
}
