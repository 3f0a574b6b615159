// Arena: many small pieces of memory that live and die together (nodes, values, names of one sweep).
// Pieces are never freed one by one. For a few large arrays use ts_alloc (base/memory.h).
#pragma once

#include <stddef.h>

typedef struct ts_arena {
    struct ts_arena_block *block; // the newest; owned
} ts_arena;

// `count` zeroed items of `size` bytes, 16-byte aligned; NULL with the thread's message when memory runs out.
void *ts_arena_take(ts_arena *arena, size_t count, size_t size);
char *ts_arena_copy(ts_arena *arena, const char *text, size_t length); // adds the NUL
void ts_arena_free(ts_arena *arena);
