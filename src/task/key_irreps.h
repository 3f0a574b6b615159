// Irreps that a sweep names (`keys: [sign, standard]`), or frequencies by their numbers, found among a symmetry's.
#pragma once

#include "param/key.h"
#include "task/symmetry.h"

// The irrep of that frequency of a table on a circle (task/symmetry.h); -1: there is none.
int ts_irrep_of_frequency(const ts_symmetry *symmetry, int64_t frequency);

// Fills in `is_key` (irreps): 1 for those named in `words` (TS_WORDS), else 0. NULL; or the word that is none or stands
// for one that is there already, in `word`, and what is wrong with it.
const char *ts_key_irreps(const ts_symmetry *symmetry, const char *words, double *is_key, char word[TS_WORD_BYTES]);
