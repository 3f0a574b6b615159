// Pieces cut from blocks that are never given back singly.
#include "sweep/arena.h"

#include "base/memory.h"

#include <stdint.h>
#include <string.h>

enum { BLOCK_BYTES = 32 * 1024, ALIGNMENT = 16 };

struct ts_arena_block {
    struct ts_arena_block *next;
    size_t used, size;
    _Alignas(ALIGNMENT) char bytes[];
};

static struct ts_arena_block *add_block(ts_arena *arena, size_t bytes) {
    struct ts_arena_block *block = ts_alloc(sizeof *block + bytes, "the sweep");
    if (block) {
        *block = (struct ts_arena_block){.next = arena->block, .size = bytes};
        arena->block = block;
    }
    return block;
}

void *ts_arena_take(ts_arena *arena, size_t count, size_t size) {
    if (size && count > SIZE_MAX / 4 / size) {
        ts_fail(TS_ERROR_MEMORY, "out of memory: %zu x %zu bytes for the sweep", count, size);
        return NULL;
    }
    size_t bytes = (count * size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct ts_arena_block *block = arena->block;
    if (!block || block->size - block->used < bytes)
        block = add_block(arena, bytes < BLOCK_BYTES ? BLOCK_BYTES : bytes);
    if (!block)
        return NULL;
    char *piece = block->bytes + block->used;
    block->used += bytes;
    memset(piece, 0, bytes);
    return piece;
}

char *ts_arena_copy(ts_arena *arena, const char *text, size_t length) {
    char *copy = ts_arena_take(arena, length + 1, 1);
    if (copy)
        memcpy(copy, text, length);
    return copy;
}

void ts_arena_free(ts_arena *arena) {
    while (arena->block) {
        struct ts_arena_block *block = arena->block;
        arena->block = block->next;
        ts_free(block);
    }
}
