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

// The measure's numbers along dimension d: an object by name where its indices have names, else a list.
static void open_dimension(const ts_params *params, const ts_data *data, const ts_measure *measure, int d,
                           const char *key, bool *named, ts_text *out) {
    const ts_model *model = params->schema->model;
    *named = model->label && model->label(data, measure->dimension[d], 0);
    ts_json_open(out, key, *named ? '{' : '[');
}

static const char *label_of(const ts_params *params, const ts_data *data, const char *dimension, bool named,
                            int64_t index) {
    return named ? params->schema->model->label(data, dimension, index) : NULL;
}

static void print_measure(const ts_params *params, const ts_data *data, const ts_measure *measure,
                          const double *values, int64_t length, ts_text *out) {
    const char *inner = measure->dimension[1];
    int64_t width = inner ? params->schema->model->dimension(params, data, inner) : 1;
    bool named, inner_named = false;
    open_dimension(params, data, measure, 0, measure->name, &named, out);
    for (int64_t k = 0; k < length / width; k++) {
        const char *key = label_of(params, data, measure->dimension[0], named, k);
        if (!inner) {
            ts_json_real(out, key, values[k]);
            continue;
        }
        open_dimension(params, data, measure, 1, key, &inner_named, out);
        for (int64_t i = 0; i < width; i++)
            ts_json_real(out, label_of(params, data, inner, inner_named, i), values[k * width + i]);
        ts_json_close(out, inner_named ? '}' : ']');
    }
    ts_json_close(out, named ? '}' : ']');
}

// One JSON object: scalars as numbers, the others as objects and lists.
static void print_measures(const ts_params *params, const ts_data *data, const double *measures) {
    const ts_model *model = params->schema->model;
    ts_text out = {0};
    ts_json_open(&out, NULL, '{');
    for (int i = 0; model->measures[i].name; i++) {
        const ts_measure *measure = &model->measures[i];
        const double *values = measures + ts_measure_offset(params, data, i);
        int64_t length = ts_measure_length(params, data, i);
        if (length > 0 && measure->dimension[0])
            print_measure(params, data, measure, values, length, &out);
        else if (length > 0)
            ts_json_real(&out, measure->name, values[0]);
    }
    ts_json_close(&out, '}');
    puts(ts_text_get(&out));
    ts_text_free(&out);
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
    if (status == TS_OK && model->conclude) // a curve of one checkpoint
        model->conclude(params, data, ts_params_integer(params, "steps"), NULL, measures);
    if (status == TS_OK)
        print_measures(params, data, measures);
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
