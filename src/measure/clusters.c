// Neurons clustered by frequency, of tables whose group is cyclic or dihedral: which frequency holds most of a neuron's
// variation over the pairs. Frequencies that own a neuron are the key frequencies.
#include "measure/clusters.h"

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    ts_clusters *c = state;
    const ts_symmetry *symmetry = measuring->data->symmetry;
    ts_status status = ts_planes_create(symmetry->circle, symmetry->circles, symmetry->chart[chart].x_a,
                                        symmetry->chart[chart].x_b, measuring->network->hidden, &c->planes);
    c->sums.numbers = ts_planes_sums(&c->planes);
    return status;
}

static void add(const void *state, ts_rows *rows, int a, double *sums) {
    const ts_clusters *c = state;
    ts_planes_add(&c->planes, a, ts_rows_at(rows, a).h, sums);
}

static void gather(void *state, ts_device *device) {
    const ts_clusters *c = state;
    const ts_planes *p = &c->planes;
    double *to;
    for (int table = 0; (to = ts_planes_table(p, table, c->sums.total)); table++) {
        const int *segment = ts_device_each(device, ts_planes_place, &(ts_planes_of){p, table});
        ts_device_sum(device, TS_PAIR_HIDDEN, segment, p->n, to);
    }
    ts_device_squares(device, c->sums.total);
}

static void finish(void *state) {
    ts_clusters *c = state;
    ts_planes_cluster(&c->planes, c->sums.total);
}

static const ts_measure ROWS[] = {
    {"neuron_frequency",
     "frequency whose 2-D Fourier terms hold most of the neuron's variation; -1: none",
     {"neuron"},
     .at_end = true,
     .at = offsetof(ts_clusters, planes.frequency)},
    {"neuron_frequency_fraction",
     "share of the neuron's variation that its frequency holds",
     {"neuron"},
     .at_end = true,
     .at = offsetof(ts_clusters, planes.fraction)},
    {"neuron_frequency_share",
     "share of the neuron's variation that each frequency holds",
     {"frequency", "neuron"},
     .at_end = true,
     .at = offsetof(ts_clusters, planes.explained)},
    {"key_frequency",
     "1 for frequencies that own a neuron with a share over 0.85",
     {"frequency"},
     .at_end = true,
     .at = offsetof(ts_clusters, planes.key)},
    {0},
};

const ts_family ts_family_clusters = {
    .name = "frequencies",
    .title = "Frequencies of neurons, of cyclic and dihedral tables",
    .source = "Fourier measures: cyclic tables",
    .kind = TS_KIND_TABLE,
    .rows = ROWS,
    .charts = true,
    .least_circles = 1,
    .most_circles = 2,
    .state_bytes = sizeof(ts_clusters),
    .slab = offsetof(ts_clusters, planes.slab),
    .begin = begin,
    .add = add,
    .gather = gather,
    .sums = offsetof(ts_clusters, sums),
    .finish = finish,
};
