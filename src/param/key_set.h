// A set of keys, by their positions in a schema. {0} is the empty set.
#pragma once

#include "param/key.h"

enum { TS_KEY_SET_WORDS = (TS_MAX_KEYS + 63) / 64 }; // a bit for each key of a schema

typedef struct ts_key_set {
    uint64_t word[TS_KEY_SET_WORDS];
} ts_key_set;

static inline bool ts_key_set_has(const ts_key_set *set, int position) {
    return set->word[position / 64] >> position % 64 & 1;
}

static inline void ts_key_set_add(ts_key_set *set, int position) {
    set->word[position / 64] |= (uint64_t)1 << position % 64;
}

// The first key from `position` on that is in the set; 64 * TS_KEY_SET_WORDS: there is none.
static inline int ts_key_set_next(const ts_key_set *set, int position) {
    int word = position / 64;
    uint64_t left = word < TS_KEY_SET_WORDS ? set->word[word] & ~(uint64_t)0 << position % 64 : 0;
    while (!left && ++word < TS_KEY_SET_WORDS)
        left = set->word[word];
    return left ? 64 * word + __builtin_ctzll(left) : 64 * TS_KEY_SET_WORDS;
}

// Adds the key of that name, if the schema has it.
static inline void ts_key_set_add_name(ts_key_set *set, const ts_schema *schema, const char *name) {
    int position = ts_schema_find(schema, name);
    if (position >= 0)
        ts_key_set_add(set, position);
}

static inline void ts_key_set_add_all(ts_key_set *set, const ts_key_set *others) {
    for (int i = 0; i < TS_KEY_SET_WORDS; i++)
        set->word[i] |= others->word[i];
}

static inline void ts_key_set_fill(ts_key_set *set) {
    for (int i = 0; i < TS_KEY_SET_WORDS; i++)
        set->word[i] = ~(uint64_t)0;
}

// Whether some key is in both.
static inline bool ts_key_set_meets(const ts_key_set *a, const ts_key_set *b) {
    uint64_t common = 0;
    for (int i = 0; i < TS_KEY_SET_WORDS; i++)
        common |= a->word[i] & b->word[i];
    return common;
}
