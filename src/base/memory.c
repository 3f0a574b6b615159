#include "base/memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A block is [header (64 bytes) | the caller's bytes | tail guard].
typedef struct block_header {
    size_t bytes;
    uint64_t guard[7];
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

void ts_alloc_fail_as_told(void) {
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

void *ts_alloc(size_t bytes, const char *what) {
    block_header *header = NULL;
    if (bytes <= SIZE_MAX / 2 && allowed(what)) {
        size_t total = (sizeof(block_header) + bytes + sizeof GUARD + 63) & ~(size_t)63;
        header = aligned_alloc(64, total);
    }
    if (!header) {
        ts_fail(TS_ERROR_MEMORY, "out of memory: %zu bytes for %s", bytes, what);
        return NULL;
    }
    header->bytes = bytes;
    for (int i = 0; i < 7; i++)
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
    for (int i = 0; i < 7; i++)
        intact = intact && header->guard[i] == GUARD;
    if (!intact) {
        fprintf(stderr, "toysweep: memory beside a block of %zu bytes was overwritten\n", header->bytes);
        abort();
    }
#endif
    free(header);
}

ts_status ts_slab_reserve(ts_slab *slab, const char *what) {
    char *base = ts_alloc(slab->used, what);
    if (!base)
        return TS_ERROR_MEMORY;
    *slab = (ts_slab){.base = base, .size = slab->used};
    return TS_OK;
}

void *ts_slab_take(ts_slab *slab, size_t count, size_t size) {
    size_t at = slab->used;
    slab->used += (count * size + 63) & ~(size_t)63;
    return slab->base ? slab->base + at : NULL;
}

void ts_slab_free(ts_slab *slab) {
    ts_free(slab->base);
    *slab = (ts_slab){0};
}
