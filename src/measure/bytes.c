// Memory that measuring takes.
#include "measure/measure.h"
#include "measure/pairs.h"
#include "model/model.h"

#include <math.h>

// Of the families that take most, about: of each chart those of irreps, and those of circles.
double ts_measure_bytes(const ts_params *params, const ts_data *data) {
    enum { TABLES = 256000000 }; // bytes of irreps' factors (corrections.c)
    if (!data->table)
        return 0;
    int order = data->table->n, circles = data->symmetry ? data->symmetry->circles : 0;
    int hidden = (int)params->schema->model->width(params, "neuron"),
        charts = data->symmetry ? data->symmetry->charts : 0;
    double n = order, wide = n * hidden, square = n * n;
    double sums = charts * (4 * wide + 2 * square + (circles == 1 ? 5 : circles * 7) * wide);
    double on_circle = data->place ? 1 : 0, subgroups = data->subgroups ? data->subgroups->count : 0;
    sums += on_circle * (square + 2 * wide);
    double irreps = data->symmetry ? data->symmetry->irreps->count : 0;
    double families = charts * (14 * wide + 24 * square + fmin(2 * irreps * square, TABLES / 8.0));
    families += 4 * irreps * n + 4 * square; // of a thread, in group_losses.c
    families += on_circle * (3 * square + 4 * wide) + 2 * subgroups * hidden + 14 * wide; // interventions: 10 tables
    double at_once = 2 + log2(ts_measure_parts(order));                                   // and the total
    bool residual = params->schema->model->width(params, "head") > 0;
    families += circles == 2 ? fmin(square * n, 16e6) : 0; // all logits (pairs.c)
    return sizeof(double) * (at_once * sums + families) + ts_rows_bytes(order, data->table->n_out, hidden, residual);
}
