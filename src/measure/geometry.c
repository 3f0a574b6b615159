// Where features lie in the hidden layer (Elhage et al. 2022, "Toy models of superposition").
#include "measure/family.h"

#include <math.h>
#include <string.h>

typedef struct geometry {
    double *dot;                                  // (features) scratch: W_i . W_j of one i
    double *norm, *interference, *dimensionality; // (features) measures
    ts_slab slab;
} geometry;

static void gather(const ts_network *network, int i, geometry *g) {
    size_t features = (size_t)network->features;
    double square = 0, total = 0; // the sum over j of (W_i . W_j)^2, i itself included
    memset(g->dot, 0, features * sizeof *g->dot);
    for (int k = 0; k < network->hidden; k++) {
        const double *w = network->directions + (size_t)k * features;
        square += w[i] * w[i];
        for (size_t j = 0; j < features; j++)
            g->dot[j] += w[i] * w[j];
    }
    for (size_t j = 0; j < features; j++)
        total += g->dot[j] * g->dot[j];
    g->norm[i] = sqrt(square);
    double own = g->norm[i] * g->norm[i];
    // A feature without a direction interferes with none and fills no dimension.
    g->interference[i] = own > 0 ? (total - own * own) / own : 0;
    g->dimensionality[i] = own > 0 ? own * own / total : 0;
}

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    size_t features = (size_t)measuring->network->features;
    geometry *g = state;
    (void)chart;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&g->slab, "a geometry") != TS_OK)
            return TS_ERROR_MEMORY;
        g->dot = ts_slab_take(&g->slab, features, sizeof(double));
        g->norm = ts_slab_take(&g->slab, features, sizeof(double));
        g->interference = ts_slab_take(&g->slab, features, sizeof(double));
        g->dimensionality = ts_slab_take(&g->slab, features, sizeof(double));
    }
    for (int i = 0; i < (int)features; i++)
        gather(measuring->network, i, g);
    return TS_OK;
}

static const ts_measure ROWS[] = {
    {"feature_norm", "|W_i|", {"feature"}, .at = offsetof(geometry, norm)},
    {"interference", "sum over j != i of (W_i/|W_i| . W_j)^2", {"feature"}, .at = offsetof(geometry, interference)},
    {"dimensionality",
     "|W_i|^2 / sum over j of (W_i/|W_i| . W_j)^2",
     {"feature"},
     .at = offsetof(geometry, dimensionality)},
    {0},
};

const ts_family ts_family_geometry = {
    .name = "directions",
    .title = "Directions of features",
    .source = "Measures of `autoencoder`",
    .kind = TS_KIND_FEATURES,
    .rows = ROWS,
    .state_bytes = sizeof(geometry),
    .slab = offsetof(geometry, slab),
    .begin = begin,
};
