// The words of the key `measures`, and names of families to compare them with.
#include "measure/choice.h"

#include <string.h>

bool ts_family_is_losses(const ts_family *family) {
    return strcmp(family->name, TS_LOSSES) == 0;
}

bool ts_family_is_chosen(const ts_params *params, const ts_family *family) {
    char word[TS_WORD_BYTES];
    const char *words = ts_params_words(params, "measures");
    bool chosen = strcmp(words, "all") == 0 || ts_family_is_losses(family);
    while (!chosen && ts_words_next(&words, word))
        chosen = strcmp(word, family->name) == 0;
    return chosen;
}
