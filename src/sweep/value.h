// Values: a node of the file, read as what a key takes. One node gives a list of values: one for a constant,
// more for a range or list. Ranges stay ranges, so that `seed: 0..9999999` takes no memory.
#pragma once

#include "param/key.h"
#include "sweep/number.h"
#include "sweep/value_reader.h"

typedef struct ts_value_list {
    ts_key_type type;
    int64_t count;
    ts_value *item; // (count); NULL: `range`
    ts_range range;
} ts_value_list;

ts_value ts_value_list_at(const ts_value_list *list, int64_t i);
bool ts_value_list_has(const ts_value_list *list, const ts_value *value);

bool ts_value_equal(const ts_value *a, const ts_value *b);
uint64_t ts_value_hash(const ts_value *value); // equal values, equal hashes

// Spreads the bits of a hash (the finaliser of MurmurHash3).
uint64_t ts_hash_mix(uint64_t hash);

// Reads `node` as values of `key`. In `many`, a list is one value each even for keys whose value can itself
// be a list (numbers, steps); elsewhere such a list is one value. TS_ERROR_USER: reported.
ts_status ts_value_read(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, bool many,
                        ts_value_list *list);

// The key's default, which must exist.
ts_status ts_value_fallback(ts_arena *arena, const ts_key *key, ts_value *value);
