// Texts of variable length, read without trust. HDF5 keeps them in "global heap collections", the only
// metadata that it neither checksums nor checks: a flipped bit there makes the library itself write out of
// bounds. So what this program must read from a file that may be damaged is checked, or read, here. Layout:
// HDF5 format, section III.E.
#pragma once

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TS_HEAP_REFERENCE = 16 }; // bytes of a text in a dataset: its length (4), collection (8) and number there (4)

// Are the collections in the first 64 KiB of the file sound? Those of the root's attributes are there, being made
// first. A fault is one of reading, or of memory.
ts_status ts_heap_start_is_sound(int fd, bool *sound);

typedef struct ts_heap {
    int fd;               // the caller's
    uint64_t address;     // of the collection at hand; 0: none
    unsigned char *bytes; // it; owned
    size_t size, capacity;
    size_t next;      // where the object behind the last one lies that was asked for
    ts_status status; // not TS_OK: it could not be read, or memory ran out; nothing is said of the file then
} ts_heap;

// The text a reference stands for; not NUL-terminated, valid until the next call; NULL if the reference or
// what it points to is damaged, or heap->status says why not.
const char *ts_heap_text(ts_heap *heap, const unsigned char reference[TS_HEAP_REFERENCE], size_t *length);
void ts_heap_free(ts_heap *heap);
