// Guard words round blocks and between the parts of a slab, large pages, and allocations that fail on demand.
#define _DEFAULT_SOURCE
#include "base/memory.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { GUARDS = 6 };

// A block is [header (64 bytes) | the caller's bytes | tail guard].
typedef struct block_header {
    size_t bytes;
    void *taken; // what is given back
    uint64_t guard[GUARDS];
} block_header;

static const uint64_t GUARD = 0x7ff4deadbeef7ff4u; // a signalling NaN, as float32 and float64 alike

// Allocations since the fault was set, and which of them fail (first 0: none).
static atomic_int_least64_t calls, fail_first, fail_last;
static bool announce;

_Static_assert(sizeof(block_header) == 64, "the caller's bytes start 64-byte aligned");

static void fill_nan(void *memory, size_t bytes) {
#ifdef TOYSWEEP_DEBUG
    for (size_t i = 0; i + 8 <= bytes; i += 8)
        memcpy((char *)memory + i, &GUARD, 8);
#else
    (void)memory;
    (void)bytes;
#endif
}

static bool allowed(const char *what) {
    int64_t first = atomic_load(&fail_first);
    if (first == 0)
        return true;
    int64_t call = atomic_fetch_add(&calls, 1) + 1;
    if (call == first && announce)
        fprintf(stderr, "TOYSWEEP_FAIL_ALLOCATION: allocation %lld fails (%s)\n", (long long)call, what);
    return call < first || call > atomic_load(&fail_last);
}

static void fail_between(int64_t first, int64_t last) {
    atomic_store(&calls, 0);
    atomic_store(&fail_last, last);
    atomic_store(&fail_first, first);
}

void ts_alloc_fail_at(int64_t n) {
    fail_between(n, INT64_MAX);
}

void ts_alloc_fail_from_environment(void) {
#ifdef TOYSWEEP_DEBUG
    const char *text = getenv("TOYSWEEP_FAIL_ALLOCATION");
    char *end;
    int64_t n = text ? strtoll(text, &end, 10) : 0;
    if (n <= 0)
        return;
    announce = true;
    fail_between(n, *end == '+' ? INT64_MAX : n);
#endif
}

// Of large blocks whole pages of this size, where the system has some to give: a block of 50 MB, as a checkpoint's
// measures take and give back, has 25 of them to be cleared and mapped when it is first written instead of 12000.
static const size_t LARGE_PAGE = (size_t)2 << 20;

static block_header *take_large(size_t bytes) {
    void *block = NULL;
    if (posix_memalign(&block, LARGE_PAGE, bytes) != 0)
        return NULL;
    madvise(block, bytes & ~(LARGE_PAGE - 1), MADV_HUGEPAGE);
    ((block_header *)block)->taken = block;
    return block;
}

// posix_memalign takes several times as long as malloc, and an instance of some steps asks for hundreds of blocks.
static block_header *take_small(size_t bytes) {
    char *taken = malloc(bytes + 63);
    if (!taken)
        return NULL;
    block_header *header = (block_header *)(void *)(taken + (-(uintptr_t)taken & 63));
    header->taken = taken;
    return header;
}

void *ts_alloc(size_t bytes, const char *what) {
    block_header *header = NULL;
    if (bytes <= SIZE_MAX / 2 && allowed(what)) {
        size_t total = (sizeof(block_header) + bytes + sizeof GUARD + 63) & ~(size_t)63;
        header = total >= LARGE_PAGE ? take_large(total) : take_small(total);
    }
    if (!header) {
        ts_fail(TS_ERROR_MEMORY, "out of memory: %zu bytes for %s", bytes, what);
        return NULL;
    }
    header->bytes = bytes;
    for (int i = 0; i < GUARDS; i++)
        header->guard[i] = GUARD;
    char *memory = (char *)(header + 1);
    memcpy(memory + bytes, &GUARD, sizeof GUARD);
    fill_nan(memory, bytes);
    return memory;
}

void *ts_alloc_zero(size_t count, size_t size, const char *what) {
    if (size && count > SIZE_MAX / 2 / size) {
        ts_fail(TS_ERROR_MEMORY, "out of memory: %zu x %zu bytes for %s", count, size, what);
        return NULL;
    }
    void *memory = ts_alloc(count * size, what);
    if (memory)
        memset(memory, 0, count * size);
    return memory;
}

void *ts_realloc(void *block, size_t bytes, const char *what) {
    void *grown = ts_alloc(bytes, what);
    if (grown && block) {
        size_t old = ((block_header *)block - 1)->bytes;
        memcpy(grown, block, old < bytes ? old : bytes);
        ts_free(block);
    }
    return grown;
}

char *ts_copy_text(const char *text) {
    size_t bytes = strlen(text) + 1;
    char *copy = ts_alloc(bytes, "a string");
    if (copy)
        memcpy(copy, text, bytes);
    return copy;
}

void ts_free(void *block) {
    if (!block)
        return;
    block_header *header = (block_header *)block - 1;
#ifdef TOYSWEEP_DEBUG
    int intact = memcmp((char *)block + header->bytes, &GUARD, sizeof GUARD) == 0;
    for (int i = 0; i < GUARDS; i++)
        intact = intact && header->guard[i] == GUARD;
    if (!intact) {
        fprintf(stderr, "toysweep: memory beside a block of %zu bytes was overwritten\n", header->bytes);
        abort();
    }
#endif
    free(header->taken);
}

ts_status ts_slab_reserve(ts_slab *slab, const char *what) {
    char *base = ts_alloc(slab->used, what);
    if (!base)
        return TS_ERROR_MEMORY;
    *slab = (ts_slab){.base = base, .size = slab->used};
    return TS_OK;
}

#ifdef TOYSWEEP_DEBUG

// Behind each part of a slab: GUARD's bytes up to the next multiple of 64, and 64 bytes more that end in this note.
typedef struct slab_guard {
    size_t begin;  // where the guard begins
    size_t before; // end of the guard before; 0: none
    uint64_t guard;
} slab_guard;

enum { SLAB_GUARD_BYTES = 64 };

static slab_guard *guard_ending_at(const ts_slab *slab, size_t end) {
    return (slab_guard *)(void *)(slab->base + end) - 1;
}

// Both directions: what is beside a part, in steps of GUARD's bytes.
static bool guard_bytes(char *from, const char *to, bool write) {
    bool same = true;
    for (size_t i = 0; from + i < to; i++) {
        char byte = ((const char *)&GUARD)[i % sizeof GUARD];
        if (write)
            from[i] = byte;
        same = same && from[i] == byte;
    }
    return same;
}

static void set_guard(ts_slab *slab, size_t part, size_t bytes) {
    if (!slab->base)
        return;
    *guard_ending_at(slab, slab->used) = (slab_guard){part + bytes, slab->guard, GUARD};
    slab->guard = slab->used;
    guard_bytes(slab->base + part + bytes, (char *)guard_ending_at(slab, slab->used), true);
}

// From the last part to the first; a note that was overwritten ends the program before it is followed.
static void check_guards(const ts_slab *slab) {
    for (size_t end = slab->guard; end > 0;) {
        slab_guard *note = guard_ending_at(slab, end);
        if (note->guard != GUARD || !guard_bytes(slab->base + note->begin, (char *)note, false)) {
            fprintf(stderr, "toysweep: memory behind a part of a slab of %zu bytes was overwritten\n", slab->size);
            abort();
        }
        end = note->before;
    }
}

#else

enum { SLAB_GUARD_BYTES = 0 };

static void set_guard(const ts_slab *slab, size_t part, size_t bytes) {
    (void)slab, (void)part, (void)bytes;
}

static void check_guards(const ts_slab *slab) {
    (void)slab;
}

#endif

void *ts_slab_take(ts_slab *slab, size_t count, size_t size) {
    size_t at = slab->used;
    slab->used += ((count * size + 63) & ~(size_t)63) + SLAB_GUARD_BYTES;
    set_guard(slab, at, count * size);
    return slab->base ? slab->base + at : NULL;
}

void *ts_slab_take_zero(ts_slab *slab, size_t count, size_t size) {
    void *part = ts_slab_take(slab, count, size);
    if (part)
        memset(part, 0, count * size);
    return part;
}

void ts_slab_free(ts_slab *slab) {
    check_guards(slab);
    ts_free(slab->base);
    *slab = (ts_slab){0};
}
