// The expected loss, output by output.
#include "measure/expectation.h"

#include "base/memory.h"
#include "measure/halves.h"
#include "measure/pieces.h"

struct ts_expectation {
    const ts_network *network;
    const ts_independent *law;
    ts_halves *halves; // one of the two
    ts_pieces *pieces;
    double *weight; // (features) of one output
};

ts_status ts_expectation_create(const ts_network *network, const ts_feature_data *data, ts_expectation **out) {
    const ts_independent *law = &data->independent;
    bool binary = law->groups > 0 && ts_halves_fit(law),
         valued = law->groups > 0 && law->low == 0 && ts_pieces_fit(law);
    *out = NULL;
    if (!network->tied_bias || !(binary || valued))
        return TS_OK;
    ts_expectation *made = ts_alloc_zero(1, sizeof *made, "an expected loss");
    if (!made)
        return TS_ERROR_MEMORY;
    *made = (ts_expectation){.network = network, .law = law};
    made->weight = ts_alloc((size_t)network->features * sizeof *made->weight, "an expected loss");
    ts_status status = made->weight ? TS_OK : TS_ERROR_MEMORY;
    if (status == TS_OK)
        status = binary ? ts_halves_create(&made->halves) : ts_pieces_create(&made->pieces);
    if (status == TS_OK)
        *out = made;
    else
        ts_expectation_free(made);
    return status;
}

void ts_expectation_free(ts_expectation *expectation) {
    if (!expectation)
        return;
    ts_halves_free(expectation->halves);
    ts_pieces_free(expectation->pieces);
    ts_free(expectation->weight);
    ts_free(expectation);
}

// weight[j] = D_i . D_j.
static void find_weights(const ts_network *network, int i, double *weight) {
    size_t features = (size_t)network->features;
    for (size_t j = 0; j < features; j++)
        weight[j] = 0;
    for (int k = 0; k < network->hidden; k++) {
        const double *row = network->directions + (size_t)k * features;
        for (size_t j = 0; j < features; j++)
            weight[j] += row[i] * row[j];
    }
}

double ts_expectation_loss(ts_expectation *e, const double *importance, const atomic_int *pause) {
    ts_output output = {.law = e->law, .weight = e->weight};
    double sum = 0, unit = e->pieces ? (double)e->law->span : 1; // relu(c z) = c relu(z)
    for (int i = 0; i < e->network->features && !ts_must_stop(pause); i++) {
        const ts_feature_group *own = &e->law->group[output.own];
        output.feature = i;
        output.own += i == own->first + own->size;
        output.bias = e->network->tied_bias[i] / unit;
        find_weights(e->network, i, e->weight);
        double error = e->halves ? ts_halves_error(e->halves, &output) : ts_pieces_error(e->pieces, &output);
        sum += importance[i] * unit * unit * (error < 0 ? 0 : error); // rounding can leave less than nothing
    }
    return sum / e->network->features;
}
