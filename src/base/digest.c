// OpenSSL and zlib behind two functions.
#include "base/digest.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

// libcrypto fails here only when memory is out or its configuration is broken; there is no way on without
// hashes.
static void require(int ok) {
    if (!ok) {
        fputs("toysweep: SHA-256 is not available from libcrypto\n", stderr);
        exit(1);
    }
}

ts_sha256_stream *ts_sha256_begin(void) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    require(context && EVP_DigestInit_ex(context, EVP_sha256(), NULL));
    return (ts_sha256_stream *)context;
}

void ts_sha256_feed(ts_sha256_stream *stream, const void *bytes, size_t length) {
    require(EVP_DigestUpdate((EVP_MD_CTX *)stream, bytes, length));
}

void ts_sha256_end(ts_sha256_stream *stream, uint8_t digest[TS_SHA256_BYTES]) {
    if (digest)
        require(EVP_DigestFinal_ex((EVP_MD_CTX *)stream, digest, NULL));
    EVP_MD_CTX_free((EVP_MD_CTX *)stream);
}

void ts_sha256_again(ts_sha256_stream *stream, const void *bytes, size_t length, uint8_t digest[TS_SHA256_BYTES]) {
    EVP_MD_CTX *context = (EVP_MD_CTX *)stream;
    require(EVP_DigestInit_ex(context, NULL, NULL)); // of the kind that it has
    require(EVP_DigestUpdate(context, bytes, length));
    require(EVP_DigestFinal_ex(context, digest, NULL));
}

void ts_sha256(const void *bytes, size_t length, uint8_t digest[TS_SHA256_BYTES]) {
    ts_sha256_stream *stream = ts_sha256_begin();
    ts_sha256_feed(stream, bytes, length);
    ts_sha256_end(stream, digest);
}

void ts_sha256_text(const uint8_t digest[TS_SHA256_BYTES], char text[TS_SHA256_HEX]) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < TS_SHA256_BYTES; i++) {
        text[2 * i] = digits[digest[i] >> 4];
        text[2 * i + 1] = digits[digest[i] & 15];
    }
    text[TS_SHA256_HEX - 1] = 0;
}

bool ts_sha256_of_text(const char *text, uint8_t digest[TS_SHA256_BYTES]) {
    char again[TS_SHA256_HEX];
    if (strlen(text) != TS_SHA256_HEX - 1)
        return false;
    for (size_t i = 0; i < TS_SHA256_BYTES; i++) {
        const char pair[3] = {text[2 * i], text[2 * i + 1], 0};
        digest[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    ts_sha256_text(digest, again); // what are no digits would come back otherwise
    return strcmp(again, text) == 0;
}

uint32_t ts_crc32(uint32_t crc, const void *bytes, size_t length) {
    return (uint32_t)crc32_z(crc, bytes, length);
}
