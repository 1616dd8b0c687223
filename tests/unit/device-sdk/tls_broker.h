// tls_broker.h - what test_tls.c talks to: OpenSSL as a broker with its certificates, and a pipe to
// it that can stall, cut and damage what passes.
// Threads:   one.
// Ownership: static; free_certificates and peer_close give back what OpenSSL allocated.
// Failure:   asserts.
#ifndef TLS_BROKER_H
#define TLS_BROKER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipit/client.h"

#define HOST  "broker.example"
#define BULK  30000
#define DAY_S 86400L

static const uint8_t key[16] = "sixteen bytes ok";

// ---- certificates ------------------------------------------------------------------------------

struct identity {
    EVP_PKEY *pkey;
    X509 *cert;
    uint8_t *der;
    size_t der_bytes;
};

static struct identity ca, wrong_ca, server, server_rsa, server_expired, server_by_wrong,
    client_use;

static EVP_PKEY *make_key(bool is_rsa)
{
    EVP_PKEY *pkey = is_rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
    assert_non_null(pkey);
    return pkey;
}

static void add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(extension);
    assert_true(X509_add_ext(cert, extension, -1));
    X509_EXTENSION_free(extension);
}

struct certificate {
    const char *name;
    const struct identity *issuer; // NULL: itself.
    long until_s;
    bool is_rsa;
    bool is_client;
};

static struct identity issue(const struct certificate *what)
{
    static long serial = 1;
    struct identity made = {.pkey = make_key(what->is_rsa), .cert = X509_new()};
    X509_NAME *name = X509_get_subject_name(made.cert);
    char alternatives[100];
    (void)X509_set_version(made.cert, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(made.cert), serial++);
    (void)X509_gmtime_adj(X509_getm_notBefore(made.cert), -10 * DAY_S);
    (void)X509_gmtime_adj(X509_getm_notAfter(made.cert), what->until_s);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)what->name, -1, -1,
                                     0);
    (void)X509_set_issuer_name(
        made.cert, what->issuer != NULL ? X509_get_subject_name(what->issuer->cert) : name);
    (void)X509_set_pubkey(made.cert, made.pkey);
    if (what->issuer == NULL) {
        add_extension(made.cert, NID_basic_constraints, "critical,CA:TRUE");
    } else {
        (void)snprintf(alternatives, sizeof(alternatives), "DNS:%s", what->name);
        add_extension(made.cert, NID_subject_alt_name, alternatives);
        add_extension(made.cert, NID_ext_key_usage, what->is_client ? "clientAuth" : "serverAuth");
    }
    EVP_PKEY *signer = what->issuer != NULL ? what->issuer->pkey : made.pkey;
    assert_true(X509_sign(made.cert, signer, EVP_sha256()) > 0);
    int der_bytes = i2d_X509(made.cert, &made.der);
    assert_true(der_bytes > 0);
    made.der_bytes = (size_t)der_bytes;
    return made;
}

static int make_certificates(void **state)
{
    (void)state;
    ca = issue(&(struct certificate){.name = "throwaway", .until_s = DAY_S});
    wrong_ca = issue(&(struct certificate){.name = "throwaway", .until_s = DAY_S});
    server = issue(&(struct certificate){.name = HOST, .issuer = &ca, .until_s = DAY_S});
    server_rsa =
        issue(&(struct certificate){.name = HOST, .issuer = &ca, .until_s = DAY_S, .is_rsa = true});
    server_expired = issue(&(struct certificate){.name = HOST, .issuer = &ca, .until_s = -DAY_S});
    server_by_wrong =
        issue(&(struct certificate){.name = HOST, .issuer = &wrong_ca, .until_s = DAY_S});
    client_use = issue(
        &(struct certificate){.name = HOST, .issuer = &ca, .until_s = DAY_S, .is_client = true});
    return 0;
}

static int free_certificates(void **state)
{
    struct identity *all[] = {
        &ca, &wrong_ca, &server, &server_rsa, &server_expired, &server_by_wrong, &client_use};
    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        EVP_PKEY_free(all[i]->pkey);
        X509_free(all[i]->cert);
        OPENSSL_free(all[i]->der);
    }
    return 0;
}

// ---- the broker's side -------------------------------------------------------------------------

static SSL_CTX *context;
static SSL *peer;
static BIO *to_peer, *from_peer;
static uint8_t heard[BULK + 1];
static size_t heard_bytes;
static const char *peer_ciphers;
static int peer_version_max, peer_version_min, peer_extra_certs;
static const struct identity *peer_identity;
static bool is_not_tls; // It sends text.

static unsigned on_psk(SSL *ssl, const char *identity, unsigned char *psk, unsigned size)
{
    (void)ssl;
    if (strcmp(identity, "dev-1") != 0) {
        return 0;
    }
    assert_true(size >= sizeof(key));
    (void)memcpy(psk, key, sizeof(key));
    return sizeof(key);
}

static void peer_open(void)
{
    context = SSL_CTX_new(TLS_server_method());
    assert_non_null(context);
    (void)SSL_CTX_set_min_proto_version(context, peer_version_min);
    (void)SSL_CTX_set_max_proto_version(context, peer_version_max);
    SSL_CTX_set_security_level(context, 0);
    if (peer_identity != NULL) {
        assert_true(SSL_CTX_use_certificate(context, peer_identity->cert));
        assert_true(SSL_CTX_use_PrivateKey(context, peer_identity->pkey));
        for (int i = 0; i < peer_extra_certs; i++) {
            assert_true(SSL_CTX_add1_chain_cert(context, ca.cert));
        }
    } else {
        SSL_CTX_set_psk_server_callback(context, on_psk);
    }
    if (peer_ciphers != NULL) {
        assert_true(SSL_CTX_set_cipher_list(context, peer_ciphers));
    }
    peer = SSL_new(context);
    to_peer = BIO_new(BIO_s_mem());
    from_peer = BIO_new(BIO_s_mem());
    SSL_set_bio(peer, to_peer, from_peer);
    SSL_set_accept_state(peer);
    heard_bytes = 0;
}

static void peer_close(void)
{
    SSL_free(peer);
    SSL_CTX_free(context);
    peer = NULL;
    context = NULL;
    ERR_clear_error();
}

static void peer_step(void)
{
    static const char text[] = "220 mail.example ready\r\n";
    if (is_not_tls) {
        if (BIO_ctrl_pending(from_peer) == 0) {
            (void)BIO_write(from_peer, text, sizeof(text) - 1);
        }
        return;
    }
    int got = SSL_read(peer, heard + heard_bytes, (int)(sizeof(heard) - heard_bytes));
    heard_bytes += got > 0 ? (size_t)got : 0;
    ERR_clear_error();
}

// ---- the pipe between --------------------------------------------------------------------------

struct pipe {
    struct pipit_transport base;
    size_t chunk;       // Bytes at a time, 0: any.
    size_t read_bytes;  // Passed so far.
    size_t wrote_bytes; //
    size_t flip_read;   // The byte, counted from 1, of which a bit is turned over.
    size_t flip_write;  //
    size_t cut_after;   // Bytes read, from which on the connection is gone.
    unsigned calls;
    unsigned closes;
    bool is_mute;
    bool is_stalling; // Every other call finds it full or empty.
    bool is_full;
    bool is_gone;
    bool is_refused;
};

static struct pipe line;

static bool must_wait(struct pipe *pipe)
{
    return pipe->is_stalling && pipe->calls++ % 2 == 0;
}

static int32_t pipe_write(struct pipit_transport *transport, const uint8_t *ptr, size_t len)
{
    struct pipe *pipe = (struct pipe *)(void *)transport;
    uint8_t bytes[2048];
    if (pipe->is_gone) {
        return PIPIT_ERR_UNREACHABLE;
    }
    if (must_wait(pipe) || pipe->is_full) {
        return 0;
    }
    len = pipe->chunk != 0 && len > pipe->chunk ? pipe->chunk : len;
    len = len > sizeof(bytes) ? sizeof(bytes) : len;
    (void)memcpy(bytes, ptr, len);
    if (pipe->flip_write > pipe->wrote_bytes && pipe->flip_write <= pipe->wrote_bytes + len) {
        bytes[pipe->flip_write - pipe->wrote_bytes - 1] ^= 0x10;
    }
    pipe->wrote_bytes += len;
    assert_int_equal(BIO_write(to_peer, bytes, (int)len), len);
    return (int32_t)len;
}

static int32_t pipe_read(struct pipit_transport *transport, uint8_t *ptr, size_t size)
{
    struct pipe *pipe = (struct pipe *)(void *)transport;
    if (must_wait(pipe) || pipe->is_mute) {
        return 0;
    }
    size = pipe->chunk != 0 && size > pipe->chunk ? pipe->chunk : size;
    int got = BIO_read(from_peer, ptr, (int)size);
    if (got <= 0) {
        return pipe->is_gone ? PIPIT_ERR_UNREACHABLE : 0;
    }
    if (pipe->flip_read > pipe->read_bytes && pipe->flip_read <= pipe->read_bytes + (size_t)got) {
        ptr[pipe->flip_read - pipe->read_bytes - 1] ^= 0x10;
    }
    pipe->read_bytes += (size_t)got;
    pipe->is_gone = pipe->is_gone || (pipe->cut_after != 0 && pipe->read_bytes >= pipe->cut_after);
    return got;
}

static enum pipit_err pipe_open(struct pipit_transport *transport, uint32_t now_ms)
{
    struct pipe *pipe = (struct pipe *)(void *)transport;
    (void)now_ms;
    if (pipe->is_refused) {
        return PIPIT_ERR_UNREACHABLE;
    }
    return pipe->calls++ == 0 ? PIPIT_ERR_BUSY : PIPIT_OK;
}

static void pipe_close(struct pipit_transport *transport)
{
    ((struct pipe *)(void *)transport)->closes++;
}

static const struct pipit_transport_type pipe_type = {
    .write = pipe_write, .read = pipe_read, .open = pipe_open, .close = pipe_close};

#endif
