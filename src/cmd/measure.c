#include "base/memory.h"
#include "cmd/command.h"
#include "model/model.h"
#include "run/load.h"
#include "run/run.h"
#include "store/weights.h"
#include "task/data.h"

#include <stdio.h>

static const ts_option OPTIONS[] = {
    {"weights", 0, "W.h5", "The weights: an HDF5 file with one dataset per parameter. Required."},
    {"set", 0, "KEY=VALUE", "Sets a key over the sweep file, as for `run`. May be given repeatedly."},
    {0},
};

// One JSON object: scalars as numbers, the others as an object by name or a list.
static ts_status print_measures(const ts_params *params, const ts_data *data, const double *measures) {
    const ts_model *model = params->schema->model;
    ts_text out = {0};
    ts_json_open(&out, NULL, '{');
    for (int i = 0; model->measures[i].name; i++) {
        const ts_measure *measure = &model->measures[i];
        const double *values = measures + ts_measure_offset(params, data, i);
        int64_t length = ts_measure_length(params, data, i);
        if (!measure->dimension) {
            ts_json_real(&out, measure->name, values[0]);
            continue;
        }
        bool named = length > 0 && model->label && model->label(data, measure->dimension, 0);
        ts_json_open(&out, measure->name, named ? '{' : '[');
        for (int64_t k = 0; k < length; k++)
            ts_json_real(&out, named ? model->label(data, measure->dimension, k) : NULL, values[k]);
        ts_json_close(&out, named ? '}' : ']');
    }
    ts_json_close(&out, '}');
    ts_status status = ts_text_status(&out);
    if (status == TS_OK)
        puts(ts_text_get(&out));
    ts_text_free(&out);
    return status;
}

static ts_status measure_weights(const ts_params *params, const char *path) {
    const ts_model *model = params->schema->model;
    ts_parameter_layout layout;
    ts_data *data = NULL;
    model->layout(params, &layout);
    ts_status status = ts_data_create(params, &data);
    if (status != TS_OK)
        return status;
    float *weights = ts_alloc((size_t)layout.total * sizeof *weights, "weights");
    double *measures = ts_alloc((size_t)ts_measures_total(params, data) * sizeof *measures, "measures");
    status = weights && measures ? ts_weights_read_hdf5(path, &layout, weights) : TS_ERROR_MEMORY;
    if (status == TS_OK)
        status = model->measure(params, data, weights, ts_params_integer(params, "steps"), true, measures);
    if (status == TS_OK)
        status = print_measures(params, data, measures);
    ts_free(weights);
    ts_free(measures);
    ts_data_free(data);
    return status;
}

static int run(const ts_comm *comm, const ts_arguments *arguments) {
    const char *weights = ts_argument(&ts_cmd_measure, arguments, "weights");
    ts_sweep *sweep = NULL;
    ts_status status = TS_OK;
    if (!weights)
        status = ts_fail(TS_ERROR_USER, "--weights is missing: which file?");
    if (status == TS_OK)
        status = ts_load_sweep(comm, arguments->operand[0], arguments->set, arguments->n_set, &sweep);
    if (status == TS_OK && ts_sweep_instances(sweep) != 1)
        status =
            ts_fail(TS_ERROR_USER, "%s has %lld instances; weights are of one: fix the others with --set",
                    arguments->operand[0], (long long)ts_sweep_instances(sweep));
    if (status == TS_OK && comm->rank == 0) {
        ts_params params;
        ts_sweep_params(sweep, 0, &params);
        status = measure_weights(&params, weights);
    }
    ts_sweep_free(sweep);
    return status == TS_OK ? TS_EXIT_DONE : ts_command_fail(comm, status);
}

const ts_command ts_cmd_measure = {
    .name = "measure",
    .operands = "SWEEP.yaml",
    .n_operands = 1,
    .summary = "every measure of weights trained elsewhere",
    .description =
        "Computes every measure of weights that were trained elsewhere, for a sweep that resolves to one "
        "instance, and prints them as one JSON object. The file has one HDF5 dataset per parameter, under "
        "the names of the model's parameters.",
    .options = OPTIONS,
    .run = run,
};
