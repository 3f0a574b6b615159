// The list of dimensions that measures have.
#include "measure/dimension.h"

#include "model/model.h"

#include <string.h>

typedef struct dimension {
    const char *name;
    int64_t (*length)(const ts_params *params, const ts_data *data); // NULL: a width of the model's
    const char *(*label)(const ts_data *data, int64_t index);        // NULL: the index itself
    const char *(*alias)(const ts_data *data, int64_t index);
} dimension;

static int64_t irreps(const ts_params *params, const ts_data *data) {
    (void)params;
    return data->symmetry ? data->symmetry->irreps->count : 0;
}

static const char *irrep(const ts_data *data, int64_t index) {
    return data->symmetry->irreps->irrep[index].name;
}

static const char *irrep_alias(const ts_data *data, int64_t index) {
    return data->symmetry->irreps->irrep[index].alias;
}

// A basis of all functions on the group (ts_symmetry_basis), and the longest part of it that belongs to one irrep.
static int64_t functions(const ts_params *params, const ts_data *data) {
    (void)params;
    return data->symmetry ? data->symmetry->group->n : 0;
}

static const char *function(const ts_data *data, int64_t index) {
    return data->symmetry->function[index];
}

static int64_t entries(const ts_params *params, const ts_data *data) {
    int most = 0;
    (void)params;
    for (int r = 0; data->symmetry && r < data->symmetry->irreps->count; r++) {
        int own = data->symmetry->first[r + 1] - data->symmetry->first[r];
        most = own > most ? own : most;
    }
    return most;
}

static int64_t components(const ts_params *params, const ts_data *data) {
    (void)params;
    return data->symmetry && data->symmetry->circles > 0 ? data->symmetry->circle : 0;
}

static const char *component(const ts_data *data, int64_t index) {
    return data->symmetry->component[index];
}

static int64_t frequencies(const ts_params *params, const ts_data *data) {
    return components(params, data) / 2;
}

static const char *frequency(const ts_data *data, int64_t index) {
    return data->symmetry->frequency[index];
}

enum { REGIONS = 4 };

static int64_t regions(const ts_params *params, const ts_data *data) {
    (void)params;
    return data->symmetry && data->symmetry->circles == 2 ? REGIONS : 0;
}

static const char *region(const ts_data *data, int64_t index) {
    static const char *const NAMES[REGIONS] = {"rotation_rotation", "rotation_reflection", "reflection_rotation",
                                               "reflection_reflection"};
    (void)data;
    return NAMES[index];
}

// What the last position of a transformer attends to.
static const char *source(const ts_data *data, int64_t index) {
    static const char *const NAMES[] = {"a", "b", "="};
    (void)data;
    return NAMES[index];
}

// Parts of a table's pairs.
static int64_t splits(const ts_params *params, const ts_data *data) {
    (void)params;
    return data->table ? TS_SPLITS : 0;
}

static const char *split(const ts_data *data, int64_t index) {
    static const char *const NAMES[TS_SPLITS] = {
        [TS_SPLIT_TRAIN] = "train", [TS_SPLIT_TEST] = "test", [TS_SPLIT_ALL] = "all"};
    (void)data;
    return NAMES[index];
}

// Of logits that were taken apart: none, or their mean over all pairs is what it was.
static int64_t corrections(const ts_params *params, const ts_data *data) {
    (void)params;
    return data->table ? TS_CORRECTIONS : 0;
}

static const char *correction(const ts_data *data, int64_t index) {
    static const char *const NAMES[TS_CORRECTIONS] = {[TS_UNCORRECTED] = "none", [TS_MEAN_PUT_BACK] = "mean"};
    (void)data;
    return NAMES[index];
}

static int64_t subgroups(const ts_params *params, const ts_data *data) {
    (void)params;
    return data->subgroups ? data->subgroups->count : 0;
}

static const char *subgroup(const ts_data *data, int64_t index) {
    return data->subgroups->name[index];
}

// What is done to a network's embeddings, or instead of its activation; noise by its mean and standard deviation.
static int64_t interventions(const ts_params *params, const ts_data *data) {
    (void)params;
    return data->table ? TS_INTERVENTIONS : 0;
}

static const char *intervention(const ts_data *data, int64_t index) {
    static const char *const NAMES[TS_INTERVENTIONS] = {
        "swap",           "flip_left",       "flip_right", "flip_both",       "absolute",         "noise_0_0.1",
        "noise_0_1",      "noise_1_1",       "noise_-1_1", "swap_embeddings", "pair_noise_0_0.1", "pair_noise_0_1",
        "pair_noise_1_1", "pair_noise_-1_1",
    };
    (void)data;
    return NAMES[index];
}

const double ts_coset_threshold[TS_COSET_THRESHOLDS] = {0.01, 0.1, 0.5, 1};

static int64_t thresholds(const ts_params *params, const ts_data *data) {
    (void)params;
    return data->subgroups ? TS_COSET_THRESHOLDS : 0;
}

static const char *threshold(const ts_data *data, int64_t index) {
    static const char *const NAMES[TS_COSET_THRESHOLDS] = {"0.01", "0.1", "0.5", "1"};
    (void)data;
    return NAMES[index];
}

static const dimension DIMENSIONS[] = {
    {"irrep", irreps, irrep, irrep_alias},
    {"function", functions, function, NULL},
    {"entry", entries, NULL, NULL},
    {"component", components, component, NULL},
    {"component_b", components, component, NULL}, // of b, where those of a are `component`
    {"frequency", frequencies, frequency, NULL},
    {"region", regions, region, NULL},
    {"source", NULL, source, NULL},
    {"split", splits, split, NULL},
    {"correction", corrections, correction, NULL},
    {"subgroup", subgroups, subgroup, NULL},
    {"coset_threshold", thresholds, threshold, NULL},
    {"intervention", interventions, intervention, NULL},
    {"feature", NULL, NULL, NULL},
    {"neuron", NULL, NULL, NULL},
    {"head", NULL, NULL, NULL},
};
_Static_assert(sizeof DIMENSIONS / sizeof *DIMENSIONS == TS_MEASURE_DIMENSION_NAMES, "as many as dimension.h says");

static const dimension *find(const char *name) {
    for (int i = 0; i < TS_MEASURE_DIMENSION_NAMES; i++)
        if (strcmp(DIMENSIONS[i].name, name) == 0)
            return &DIMENSIONS[i];
    return NULL;
}

bool ts_dimension_is_known(const char *name) {
    return find(name);
}

int64_t ts_dimension_length(const ts_params *params, const ts_data *data, const char *name) {
    const dimension *d = find(name);
    if (!d)
        return 0;
    return d->length ? d->length(params, data) : params->schema->model->width(params, name);
}

const char *ts_dimension_label(const ts_data *data, const char *name, int64_t index) {
    const dimension *d = find(name);
    return d && d->label ? d->label(data, index) : NULL;
}

const char *ts_dimension_alias(const ts_data *data, const char *name, int64_t index) {
    const dimension *d = find(name);
    return d && d->alias ? d->alias(data, index) : NULL;
}
