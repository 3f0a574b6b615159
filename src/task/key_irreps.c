// A whole number is a frequency, anything else a name or published name.
#include "task/key_irreps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int find(const ts_symmetry *symmetry, const char *name) {
    for (int r = 0; r < symmetry->irreps->count; r++) {
        const ts_irrep *irrep = &symmetry->irreps->irrep[r];
        if (strcmp(irrep->name, name) == 0 || (irrep->alias[0] && strcmp(irrep->alias, name) == 0))
            return r;
    }
    return -1;
}

int ts_irrep_of_frequency(const ts_symmetry *symmetry, int64_t frequency) {
    char name[32];
    if (frequency < 1 || frequency > symmetry->circle / 2)
        return -1;
    snprintf(name, sizeof name, "freq_%d", (int)frequency);
    int found = find(symmetry, name);
    // Half a turn has no sine: of C_n it is the irrep `sign`. (D_n has two of it, each with a name.)
    return found < 0 && symmetry->circles == 1 && 2 * frequency == symmetry->circle ? find(symmetry, "sign") : found;
}

static int find_word(const ts_symmetry *symmetry, const char *word) {
    bool number = !word[strspn(word, "0123456789")];
    return number ? ts_irrep_of_frequency(symmetry, strtoll(word, NULL, 10)) : find(symmetry, word);
}

const char *ts_key_irreps(const ts_symmetry *symmetry, const char *words, double *is_key, char word[TS_WORD_BYTES]) {
    for (int r = 0; r < symmetry->irreps->count; r++)
        is_key[r] = 0;
    while (ts_words_next(&words, word)) {
        int r = find_word(symmetry, word);
        if (r < 0)
            return "is no irrep";
        if (r == 0)
            return "is the trivial irrep, which tells no two products apart: it cannot be a key";
        if (is_key[r] == 1)
            return "stands for an irrep that is named already; name it once";
        is_key[r] = 1;
    }
    return NULL;
}
