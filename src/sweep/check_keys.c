// Whether a case has values that its schema alone does not refuse: `keys` that are no irreps of its table, `measures`
// of other data, keys of earlier versions, and a `stop` without pairs to test. See spec.h.
#include "base/memory.h"
#include "model/network.h"
#include "sweep/cursor.h"
#include "sweep/measures.h"
#include "sweep/nearest.h"
#include "sweep/spec.h"
#include "task/data.h"
#include "task/key_irreps.h"

#include <string.h>

static const char *const KEY = "keys";

// Of the point that the cursor is at.
static int line_of(const ts_spec *spec, const ts_cursor *cursor, const char *key) {
    const ts_setting *own = ts_setting_find(cursor->entry->setting, cursor->entry->count, key);
    own = own ? own : ts_setting_find(spec->setting, spec->n_settings, key);
    return own ? own->line : 0;
}

// "those of S5: sign, standard, ...", frequencies of a circle as numbers.
static void list_irreps(const ts_symmetry *symmetry, ts_text *out) {
    for (int r = 1; r < symmetry->irreps->count; r++) {
        const char *name = symmetry->irreps->irrep[r].name;
        if (strncmp(name, "freq_", 5) != 0)
            ts_text_addf(out, "%s%s", out->length ? ", " : "", name);
    }
    if (symmetry->circle > 1)
        ts_text_addf(out, "%sfrequencies 1 to %d", out->length ? ", " : "", symmetry->circle / 2);
}

static const char *nearest_irrep(const ts_symmetry *symmetry, const char *word) {
    int count = symmetry->irreps->count;
    const char **names = ts_alloc_zero((size_t)count + 1, sizeof *names, "names of irreps");
    for (int r = 1; r < count && names; r++)
        names[r - 1] = symmetry->irreps->irrep[r].name;
    const char *near = names ? ts_nearest(word, names) : NULL;
    ts_free(names);
    return near;
}

static ts_status refuse(ts_spec *spec, int line, const ts_symmetry *symmetry, const char *word, const char *what) {
    char shown[TS_SHOWN_BYTES];
    ts_text irreps = {0};
    const char *near = nearest_irrep(symmetry, word);
    if (near && strcmp(near, word) == 0) // it is one, and not what is wrong
        near = NULL;
    list_irreps(symmetry, &irreps);
    ts_status status =
        ts_faults_add(spec->faults, line, KEY, "'%s' %s%s%s%s; this table has %s", ts_shown(word, shown), what,
                      near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "", ts_text_get(&irreps));
    ts_text_free(&irreps);
    return status;
}

static ts_status check_irreps(ts_spec *spec, int line, const ts_data *data, const char *words) {
    char word[TS_WORD_BYTES];
    const ts_symmetry *symmetry = data->symmetry;
    if (!symmetry)
        return ts_faults_add(spec->faults, line, KEY, "the table is no group, so it has no irreps; leave it out");
    double *is_key = ts_alloc((size_t)symmetry->irreps->count * sizeof *is_key, "key irreps");
    if (!is_key)
        return TS_ERROR_MEMORY;
    const char *what = ts_key_irreps(symmetry, words, is_key, word);
    ts_free(is_key);
    return what ? refuse(spec, line, symmetry, word, what) : TS_OK;
}

static ts_status check_case(ts_spec *spec, const ts_cursor *cursor) {
    const ts_params *params = &cursor->params;
    ts_data *data = NULL;
    if (ts_schema_find(params->schema, KEY) < 0 || ts_words_are(params, KEY, "final") ||
        ts_words_are(params, KEY, "none"))
        return TS_OK;
    ts_status status = ts_data_create(params, &data);
    if (status == TS_OK)
        status = check_irreps(spec, line_of(spec, cursor, KEY), data, ts_params_words(params, KEY));
    ts_data_free(data);
    return status;
}

static ts_status check_retired(ts_spec *spec, const ts_cursor *cursor) {
    const ts_schema *schema = cursor->params.schema;
    for (int i = 0; i < schema->count; i++) {
        const ts_key *key = schema->key[i];
        if (key->traits & TS_RETIRED && !ts_params_is_default(&cursor->params, i))
            return ts_faults_add(spec->faults, line_of(spec, cursor, key->name), key->name, "%s", key->help);
    }
    return TS_OK;
}

// Whether all pairs of a table are trained on.
static bool has_no_test(const ts_params *params) {
    double pairs;
    if (!ts_task_derive(params, "pairs", &pairs)) {
        int order = ts_network_order(params);
        pairs = (double)order * order;
    }
    return ts_table_share((int64_t)pairs, ts_params_real(params, "train_fraction")) == (int64_t)pairs;
}

// Stops that could never come, of any instance of a case; the cursor is at one of them.
static ts_status check_stop(ts_spec *spec, ts_cursor *cursor, const ts_case *of) {
    const ts_sweep *sweep = spec->sweep;
    const ts_params *params = &cursor->params;
    int64_t i = 0;
    if (of->schema->task->kind != TS_KIND_TABLE || ts_schema_find(of->schema, "stop") < 0 || !has_no_test(params))
        return TS_OK;
    for (; i < of->rows; i++) {
        ts_cursor_seek(cursor, ts_sweep_point(sweep, of->instance[i]));
        if (ts_params_numbers(params, "stop")->form == TS_NUMBERS_BELOW)
            break;
    }
    if (i == of->rows)
        return TS_OK;
    return ts_faults_add(
        spec->faults, line_of(spec, cursor, "stop"), "stop",
        "waits for a test loss, and with train_fraction: %.15g no pair is left to test; leave stop out, "
        "or train on fewer pairs",
        ts_params_real(params, "train_fraction"));
}

ts_status ts_spec_check_keys(ts_spec *spec, bool trains) {
    const ts_sweep *sweep = spec->sweep;
    ts_cursor cursor;
    ts_status status = TS_OK;
    unsigned kinds = 0; // bits
    for (int c = 0; c < sweep->n_cases; c++)
        kinds |= 1u << sweep->cases[c].schema->task->kind;
    ts_cursor_start(&cursor, sweep);
    for (int c = 0; c < sweep->n_cases && (status == TS_OK || status == TS_ERROR_USER); c++) {
        ts_cursor_seek(&cursor, ts_sweep_point(sweep, sweep->cases[c].instance[0]));
        ts_status one = trains ? check_retired(spec, &cursor) : TS_OK;
        if (one == TS_OK)
            one = check_case(spec, &cursor);
        if (one == TS_OK)
            one = ts_measures_check_kinds(spec->faults, line_of(spec, &cursor, "measures"), &cursor.params, kinds);
        if (one == TS_OK && trains)
            one = check_stop(spec, &cursor, &sweep->cases[c]);
        status = one == TS_OK ? status : one;
    }
    return status;
}
