// Memory: checked allocation, and slabs (one allocation per role, pointers carved from it).
// Blocks carry guard words on both sides that ts_free checks in debug builds; there, fresh memory is filled
// with signalling NaNs, so that a value read before it is written shows. So do the parts of a slab, checked by
// ts_slab_free.
#pragma once

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

// `bytes` of memory, 64-byte aligned; `what` names it in the message. NULL on failure, with the thread's
// message set ("out of memory: ..."). Zero bytes give a valid pointer. Free with ts_free.
void *ts_alloc(size_t bytes, const char *what);

// As ts_alloc, but zeroed, for `count` items of `size` bytes; the product is checked for overflow.
void *ts_alloc_zero(size_t count, size_t size, const char *what);

// Grows (or makes, from NULL) a block, keeping its contents; NULL on failure, the old block then stays valid.
void *ts_realloc(void *block, size_t bytes, const char *what);

char *ts_copy_text(const char *text);
void ts_free(void *block);

// Makes the n-th allocation from now (1 = the next one) fail, and every later one; 0 switches it off. For
// tests.
void ts_alloc_fail_at(int64_t n);

// In debug builds: what the environment variable TOYSWEEP_FAIL_ALLOCATION says, for tests of the whole program. "N":
// only the N-th allocation from now fails; "N+": every later one too. Standard error says when it happens.
void ts_alloc_fail_from_environment(void);

// A slab is filled in two passes with the same calls: the first (base NULL) only adds up sizes, then
// ts_slab_reserve allocates, the second returns the real pointers.
typedef struct ts_slab {
    char *base;  // NULL while measuring; owned
    size_t used; // bytes handed out
    size_t size; // bytes of base
#ifdef TOYSWEEP_DEBUG
    size_t guard; // end of the last guard: each has a note of the one before it
#endif
} ts_slab;

ts_status ts_slab_reserve(ts_slab *slab, const char *what);
void *ts_slab_take(ts_slab *slab, size_t count, size_t size);      // 64-byte aligned; NULL while measuring
void *ts_slab_take_zero(ts_slab *slab, size_t count, size_t size); // the same, zeroed
void ts_slab_free(ts_slab *slab);
