// Neurons clustered by frequency, of tables whose group is cyclic or dihedral: which frequency holds most of a neuron's
// variation over the pairs. Frequencies that own a neuron are the key frequencies.
#include "measure/clusters.h"

static ts_status begin(const ts_measuring *measuring, int chart, void **state) {
    ts_clusters *c = *state = ts_alloc_zero(1, sizeof *c, "the frequencies of neurons");
    const ts_symmetry *symmetry = measuring->data->symmetry;
    if (!c)
        return TS_ERROR_MEMORY;
    c->pairs = measuring->pairs;
    return ts_planes_create(symmetry->circle, symmetry->circles, symmetry->chart[chart].x_a, symmetry->chart[chart].x_b,
                            measuring->network->hidden, &c->planes);
}

static void add(void *state, int a) {
    ts_clusters *c = state;
    ts_planes_add(&c->planes, a, ts_pairs_row(c->pairs, a).h);
}

static void finish(void *state) {
    ts_planes_cluster(&((ts_clusters *)state)->planes);
}

static void free_state(void *state) {
    ts_planes_free(&((ts_clusters *)state)->planes);
    ts_free(state);
}

static double neuron_frequency(const void *state, int index) {
    return ((const ts_clusters *)state)->planes.frequency[index];
}

static double neuron_frequency_fraction(const void *state, int index) {
    return ((const ts_clusters *)state)->planes.fraction[index];
}

static double key_frequency(const void *state, int index) {
    return ((const ts_clusters *)state)->planes.key[index];
}

static const ts_measure ROWS[] = {
    {.name = "neuron_frequency",
     .dimension = {"neuron"},
     .at_end = true,
     .help = "frequency whose 2-D Fourier terms hold most of the neuron's variation; -1: none",
     .each = neuron_frequency},
    {.name = "neuron_frequency_fraction",
     .dimension = {"neuron"},
     .at_end = true,
     .help = "share of the neuron's variation that its frequency holds",
     .each = neuron_frequency_fraction},
    {.name = "key_frequency",
     .dimension = {"frequency"},
     .at_end = true,
     .help = "1 for frequencies that own a neuron with a share over 0.85",
     .each = key_frequency},
    {0},
};

static bool needs(const ts_data *data) {
    return data->symmetry && data->symmetry->circles > 0;
}

const ts_family ts_family_clusters = {
    .title = "Frequencies of neurons, of cyclic and dihedral tables",
    .source = "Fourier measures: cyclic tables",
    .kind = TS_KIND_TABLE,
    .rows = ROWS,
    .charts = true,
    .needs = needs,
    .begin = begin,
    .add = add,
    .finish = finish,
    .free = free_state,
};
