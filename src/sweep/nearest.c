// Levenshtein distance, with a bound on how far off a word may be; user text cut short.
#include "sweep/nearest.h"

#include "base/terminal.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

enum { MAX_WORD = 64, MAX_SHOWN = 60 };

static bool equal(char a, char b) {
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

// Levenshtein distance, upper and lower case being the same; both at most MAX_WORD long.
static int distance(const char *a, const char *b) {
    int row[MAX_WORD + 1], length = (int)strlen(b);
    for (int j = 0; j <= length; j++)
        row[j] = j;
    for (int i = 0; a[i]; i++) {
        int diagonal = row[0];
        row[0] = i + 1;
        for (int j = 0; j < length; j++) {
            int best = diagonal + !equal(a[i], b[j]);
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j + 1] + 1 < best ? row[j + 1] + 1 : best;
            diagonal = row[j + 1];
            row[j + 1] = best;
        }
    }
    return row[length];
}

const char *ts_nearest(const char *word, const char *const *words) {
    size_t length = strlen(word);
    if (length == 0 || length > MAX_WORD)
        return NULL;
    const char *best = NULL;
    // A third of the letters may be wrong, and at least one in words of two letters or more.
    int best_distance = length < 2 ? 1 : length < 6 ? 3 : (int)length / 3 + 1;
    for (; *words; words++) {
        if (strlen(*words) > MAX_WORD || !**words)
            continue;
        int d = distance(word, *words);
        if (d < best_distance && d < (int)length) {
            best_distance = d;
            best = *words;
        }
    }
    return best;
}

const char *ts_shown(const char *text, char out[TS_SHOWN_BYTES]) {
    if (text[ts_terminal_text(text, out, MAX_SHOWN + 1)])
        strcat(out, "...");
    return out;
}
