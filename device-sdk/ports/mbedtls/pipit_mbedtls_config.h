// pipit_mbedtls_config.h - mbedTLS 2.28 as small as the TLS transport needs it, for the build's
// -DMBEDTLS_CONFIG_FILE='<pipit_mbedtls_config.h>'. What goes in beside it is chosen by
//   PIPIT_TLS_WITH_PSK    a shared key: TLS_PSK_WITH_AES_128_GCM_SHA256
//   PIPIT_TLS_WITH_ECDSA  certificates on P-256: TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
//   PIPIT_TLS_WITH_RSA    certificates with RSA up to 4096 bits: TLS_ECDHE_RSA_WITH_...
//   PIPIT_TLS_WITH_P384   P-384 and SHA-384 as well, as public CAs use them
//   PIPIT_TLS_WITH_SLICES ECDSA on P-256 in slices of some 2 million instructions, one a poll, for
//                         4 KB more of flash and 1 KB more of the arena
// Deliberately out: everything before TLS 1.2, renegotiation, tickets, dates of certificates (no
// clock), and mbedTLS's own entropy: it comes from the caller.
#ifndef PIPIT_MBEDTLS_CONFIG_H
#define PIPIT_MBEDTLS_CONFIG_H

#include <stdio.h>

#if !defined(PIPIT_TLS_WITH_PSK) && !defined(PIPIT_TLS_WITH_ECDSA) && !defined(PIPIT_TLS_WITH_RSA)
#define PIPIT_TLS_WITH_PSK
#define PIPIT_TLS_WITH_ECDSA
#endif

// ---- memory: pieces of the caller's arena, no malloc is linked ----------------------------------

#define MBEDTLS_PLATFORM_C
#define MBEDTLS_PLATFORM_MEMORY
#define MBEDTLS_PLATFORM_NO_STD_FUNCTIONS
#define MBEDTLS_PLATFORM_SNPRINTF_MACRO snprintf // Only in what the linker leaves out.

// ---- what every handshake needs -----------------------------------------------------------------

#define MBEDTLS_SSL_TLS_C
#define MBEDTLS_SSL_CLI_C
#define MBEDTLS_SSL_PROTO_TLS1_2
#define MBEDTLS_SSL_MAX_FRAGMENT_LENGTH // Records of the broker fit our buffer.
#define MBEDTLS_SSL_EXTENDED_MASTER_SECRET
#define MBEDTLS_AES_C
#define MBEDTLS_AES_ROM_TABLES
#define MBEDTLS_AES_FEWER_TABLES
#define MBEDTLS_GCM_C
#define MBEDTLS_CIPHER_C
#define MBEDTLS_CTR_DRBG_C
#define MBEDTLS_MD_C
#define MBEDTLS_SHA256_C
#define MBEDTLS_SHA256_SMALLER

#ifdef PIPIT_TLS_WITH_PSK
#define MBEDTLS_KEY_EXCHANGE_PSK_ENABLED
#define MBEDTLS_PSK_MAX_LEN 32
#endif

// ---- certificates -------------------------------------------------------------------------------

#if defined(PIPIT_TLS_WITH_ECDSA) || defined(PIPIT_TLS_WITH_RSA)
#define MBEDTLS_SSL_SERVER_NAME_INDICATION
#define MBEDTLS_X509_USE_C
#define MBEDTLS_X509_CRT_PARSE_C
#define MBEDTLS_X509_CHECK_KEY_USAGE
#define MBEDTLS_X509_CHECK_EXTENDED_KEY_USAGE
#define MBEDTLS_ASN1_PARSE_C
#define MBEDTLS_ASN1_WRITE_C
#define MBEDTLS_OID_C
#define MBEDTLS_PK_C
#define MBEDTLS_PK_PARSE_C
#define MBEDTLS_BIGNUM_C
#define MBEDTLS_ECP_C
#define MBEDTLS_ECDH_C
#define MBEDTLS_ECP_DP_SECP256R1_ENABLED
#define MBEDTLS_ECP_NIST_OPTIM
#define MBEDTLS_ECP_WINDOW_SIZE       2
#define MBEDTLS_ECP_FIXED_POINT_OPTIM 0
#endif

#ifdef PIPIT_TLS_WITH_ECDSA
#define MBEDTLS_KEY_EXCHANGE_ECDHE_ECDSA_ENABLED
#define MBEDTLS_ECDSA_C
#endif

#ifdef PIPIT_TLS_WITH_RSA
#define MBEDTLS_KEY_EXCHANGE_ECDHE_RSA_ENABLED
#define MBEDTLS_RSA_C
#define MBEDTLS_PKCS1_V15
#define MBEDTLS_MPI_MAX_SIZE 512
#elif defined(PIPIT_TLS_WITH_ECDSA)
#define MBEDTLS_MPI_MAX_SIZE 48
#endif

#ifdef PIPIT_TLS_WITH_P384
#define MBEDTLS_ECP_DP_SECP384R1_ENABLED
#define MBEDTLS_SHA512_C
#define MBEDTLS_SHA512_SMALLER
#endif

#ifdef PIPIT_TLS_WITH_SLICES
#define MBEDTLS_ECP_RESTARTABLE
#define MBEDTLS_ECDH_LEGACY_CONTEXT
#endif

// ---- buffers ------------------------------------------------------------------------------------

// The broker's certificates arrive as one message that must fit.
#ifndef MBEDTLS_SSL_IN_CONTENT_LEN
#ifdef MBEDTLS_X509_CRT_PARSE_C
#define MBEDTLS_SSL_IN_CONTENT_LEN 2048
#else
#define MBEDTLS_SSL_IN_CONTENT_LEN 1024
#endif
#endif
#ifndef MBEDTLS_SSL_OUT_CONTENT_LEN
#define MBEDTLS_SSL_OUT_CONTENT_LEN 1024
#endif

#include <mbedtls/check_config.h>

#endif
