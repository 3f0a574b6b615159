// Help in messages: the known word nearest to a misspelt one, and user text made safe to print.
#pragma once

// The word of `words` (NULL-terminated) nearest to `word` by edit distance; NULL if none is near enough to be
// what was meant.
const char *ts_nearest(const char *word, const char *const *words);

// User text for a message: at most 60 bytes, control characters spelt out (base/terminal.h).
enum { TS_SHOWN_BYTES = 72 };
const char *ts_shown(const char *text, char out[TS_SHOWN_BYTES]);
