// Checksums: SHA-256 (identities, sweeps; OpenSSL) and CRC-32 (rows, states; zlib).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TS_SHA256_BYTES = 32, TS_SHA256_HEX = 65 };

void ts_sha256(const void *bytes, size_t length, uint8_t digest[TS_SHA256_BYTES]);

// The same over pieces. Create, feed, finish (which frees). digest NULL: it is not wanted, as of a stream that has been
// used by ts_sha256_again; OpenSSL 3.5 finishes none a second time.
typedef struct ts_sha256_stream ts_sha256_stream;
ts_sha256_stream *ts_sha256_begin(void);
void ts_sha256_feed(ts_sha256_stream *stream, const void *bytes, size_t length);
void ts_sha256_end(ts_sha256_stream *stream, uint8_t digest[TS_SHA256_BYTES]);

// ts_sha256 with a stream of which nothing is under way, for many digests one after the other: to set one up takes
// longer than some hundred bytes.
void ts_sha256_again(ts_sha256_stream *stream, const void *bytes, size_t length, uint8_t digest[TS_SHA256_BYTES]);

// 64 lower-case hexadecimal digits and a NUL.
void ts_sha256_text(const uint8_t digest[TS_SHA256_BYTES], char text[TS_SHA256_HEX]);

// The digest that a text of ts_sha256_text says. False: it is none.
bool ts_sha256_of_text(const char *text, uint8_t digest[TS_SHA256_BYTES]);

// CRC-32 (IEEE 802.3) of `length` bytes, continuing from `crc`; start with 0.
uint32_t ts_crc32(uint32_t crc, const void *bytes, size_t length);
