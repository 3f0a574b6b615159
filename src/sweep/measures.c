// Words are compared with the names of families (measure/measure.h).
#include "sweep/measures.h"

#include "measure/measure.h"
#include "sweep/nearest.h"

#include <string.h>

static const char *const KEY = "measures", *const ALONE[] = {"all", "losses", NULL};
enum { MOST = 64 };

static bool is_alone(const char *word) {
    return strcmp(word, ALONE[0]) == 0 || strcmp(word, ALONE[1]) == 0;
}

// Kinds of data that the family is about; 0: there is none of that name.
static unsigned kinds_of(const char *word) {
    const char *name;
    unsigned kinds;
    for (int i = 0; (name = ts_measures_family(i, &kinds)); i++)
        if (strcmp(name, word) == 0)
            return kinds;
    return 0;
}

static ts_status refuse_word(ts_value_reader *reader, const ts_yaml_node *node, const char *word) {
    const char *names[MOST + 1] = {ALONE[0]};
    char shown[TS_SHOWN_BYTES];
    unsigned kinds;
    ts_text list = {0};
    for (int i = 0; i + 1 < MOST && (names[i + 1] = ts_measures_family(i, &kinds)); i++)
        if (!is_alone(names[i + 1]))
            ts_text_addf(&list, "%s%s", list.length ? ", " : "", names[i + 1]);
    const char *near = ts_nearest(word, names);
    ts_status status = ts_faults_add(
        reader->faults, ts_value_line(reader, node), KEY,
        "'%s' is no family of measures%s%s%s; give all, losses, or a list of %s (toysweep help measures)",
        ts_shown(word, shown), near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "", ts_text_get(&list));
    ts_text_free(&list);
    return status;
}

ts_status ts_measures_check(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, const char *words) {
    char word[TS_WORD_BYTES];
    bool several = strchr(words, '\n') != NULL;
    if (strcmp(key->name, KEY) != 0)
        return TS_OK;
    while (ts_words_next(&words, word)) {
        if (several && is_alone(word))
            return ts_faults_add(reader->faults, ts_value_line(reader, node), KEY,
                                 "'%s' stands alone: losses are measured whatever the list says, and all is a list of "
                                 "everything; leave one of them out",
                                 word);
        if (!is_alone(word) && kinds_of(word) == 0)
            return refuse_word(reader, node, word);
    }
    return TS_OK;
}

ts_status ts_measures_check_kinds(ts_faults *faults, int line, const ts_params *params, unsigned present) {
    char word[TS_WORD_BYTES];
    const char *words = ts_params_words(params, KEY);
    while (ts_words_next(&words, word))
        if (!is_alone(word) && !(kinds_of(word) & present))
            return ts_faults_add(
                faults, line, KEY,
                "no case of this sweep has measures of the family '%s', which is about another kind of "
                "data (toysweep help measures); leave it out",
                word);
    return TS_OK;
}
