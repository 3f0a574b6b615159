// The key that an unknown word was meant to be: one that other programs, papers and notebooks call so, or one that is
// spelt nearly so. For messages alone; no key is read under another name.
#pragma once

#include <stdbool.h>

enum { TS_MEANT_MAX = 2, TS_MEANT_BYTES = 160 };

typedef struct ts_meant {
    const char *key[TS_MEANT_MAX]; // of those known, likeliest first; NULL: no more
    const char *note;              // what must be changed with the name; NULL: nothing
    bool guessed;                  // it is only spelt nearly so
} ts_meant;

// known: NULL-terminated.
ts_meant ts_meant_by(const char *word, const char *const *known);

// "did you mean 'hidden' or 'd_mlp'?"; "" if nothing was found.
const char *ts_meant_text(const ts_meant *meant, char out[TS_MEANT_BYTES]);
