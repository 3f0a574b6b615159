// `toysweep measure`: measures computed again, from a results file's weights or another program's.
#include "measure/measure.h"
#include "base/log.h"
#include "base/memory.h"
#include "cmd/command.h"
#include "measure/curves.h"
#include "measure/dimension.h"
#include "model/model.h"
#include "run/load.h"
#include "run/remeasure.h"
#include "run/run.h"
#include "weights/weights_reader.h"

#include <stdio.h>
#include <string.h>

static const ts_option OPTIONS[] = {
    {"output", 'o', "NEW.h5",
     "A new results file, which must not exist: of the same sweep with every measure computed anew, or of "
     "the "
     "one instance whose weights are given. Default: they are printed."},
    {"weights", 0, "FILE",
     "Weights trained elsewhere, for a sweep file that resolves to one instance: HDF5, or safetensors in "
     "F16, "
     "BF16, F32 or F64, with one tensor per parameter, under the names of the model's parameters or as "
     "`export` "
     "names them, all after one prefix or none."},
    {"set", 0, "KEY=VALUE", "With --weights: sets a key over the sweep file, as for `run`. May be given repeatedly."},
    {0},
};

// A number, or by each dimension from the depth on an object by the names of its indices, a list where they have none.
// Returns what follows these values.
static const double *print_values(const ts_measures *m, int depth, const char *key, const double *values,
                                  ts_text *out) {
    const char *dimension = depth < TS_MEASURE_DIMENSIONS ? m->measure->dimension[depth] : NULL;
    if (!dimension) {
        ts_json_real(out, key, *values);
        return values + 1;
    }
    bool named = ts_dimension_label(m->data, dimension, 0);
    ts_json_open(out, key, named ? '{' : '[');
    for (int64_t i = 0; i < m->size[depth]; i++)
        values = print_values(m, depth + 1, ts_dimension_label(m->data, dimension, i), values, out);
    ts_json_close(out, named ? '}' : ']');
    return values;
}

// One JSON object a line, of all measures but matrices. Instance -1: not one of a file.
static ts_status print_measures(const ts_params *params, const ts_data *data, int64_t instance, int64_t step,
                                const double *measures) {
    ts_text out = {0};
    ts_json_open(&out, NULL, '{');
    if (instance >= 0) {
        ts_json_integer(&out, "instance", instance);
        ts_json_integer(&out, "step", step);
    }
    ts_measures m = ts_measures_of(params, data);
    while (ts_measures_next(&m))
        if (!ts_measure_is_matrix(m.measure))
            print_values(&m, 0, m.measure->name, measures + m.offset, &out);
    ts_json_close(&out, '}');
    return ts_json_print(&out);
}

static ts_status print_weights(const ts_params *params, const char *path) {
    const ts_model *model = params->schema->model;
    ts_parameter_layout layout;
    ts_data *data = NULL;
    model->layout(params, &layout);
    ts_status status = ts_data_create(params, &data);
    if (status != TS_OK)
        return status;
    double *weights = ts_alloc((size_t)layout.total * sizeof *weights, "weights");
    double *measures = ts_alloc((size_t)ts_measures_total(params, data) * sizeof *measures, "measures");
    status = weights && measures ? ts_weights_read(path, model, &layout, weights) : TS_ERROR_MEMORY;
    if (status == TS_OK)
        status = ts_measure_exact(params, data, weights, ts_params_integer(params, "steps"), TS_MEASURE_LAST, NULL,
                                  measures);
    if (status == TS_OK) // there is no curve before it
        ts_measures_conclude(&(ts_curves){.params = params, .data = data, .last = measures});
    if (status == TS_OK)
        status = print_measures(params, data, -1, 0, measures);
    ts_free(weights);
    ts_free(measures);
    ts_data_free(data);
    return status;
}

// Of weights trained elsewhere, for the only instance of a sweep file.
static ts_status measure_elsewhere(const ts_comm *comm, const ts_arguments *arguments, const char *weights) {
    const char *output = ts_argument(&ts_cmd_measure, arguments, "output");
    ts_sweep *sweep = NULL;
    ts_status status = ts_load_sweep(comm, arguments->operand[0], arguments->set, arguments->n_set, &sweep);
    if (status == TS_OK && ts_sweep_instances(sweep) != 1)
        status = ts_fail(TS_ERROR_USER,
                         "%s has %lld instances, and weights are those of one: name it with --set, such as "
                         "--set 'where=seed == 0'",
                         arguments->operand[0], (long long)ts_sweep_instances(sweep));
    if (status == TS_OK && comm->rank == 0) {
        ts_params params;
        ts_sweep_params(sweep, 0, &params);
        if (!output)
            status = print_weights(&params, weights);
        else if ((status = ts_remeasure_weights(sweep, weights, output)) == TS_OK)
            ts_print("%s: measures of %s", output, weights);
    }
    ts_sweep_free(sweep);
    return ts_comm_agree(comm, status);
}

static ts_status print_one(const ts_remeasured *one, void *context) {
    ++*(int64_t *)context;
    return print_measures(one->params, one->data, one->instance, one->step, one->measures);
}

static ts_status print_each(const char *path) {
    int64_t printed = 0;
    ts_status status = ts_remeasure_each(path, print_one, &printed);
    if (status == TS_OK && printed == 0)
        ts_warn("%s: no instance with weights is done yet", path);
    if (status == TS_OK && (fflush(stdout) != 0 || ferror(stdout)))
        status = ts_fail(TS_ERROR_FATAL, "cannot write the measures: is the disk full?");
    return status;
}

static ts_status make_file(const char *path, const char *output) {
    ts_remeasure_counts counts = {0};
    ts_status status = ts_remeasure_file(path, output, &counts);
    if (status != TS_OK)
        return status;
    ts_text line = {0};
    ts_text_addf(&line, "%s: %lld instance%s measured anew", output, (long long)counts.measured,
                 ts_plural(counts.measured));
    if (counts.taken > 0)
        ts_text_addf(&line, ", %lld finished ones without weights as in %s", (long long)counts.taken, path);
    if (counts.pending > 0)
        ts_text_addf(&line, ", %lld pending", (long long)counts.pending);
    status = ts_text_status(&line);
    if (status == TS_OK)
        ts_print("%s", ts_text_get(&line));
    ts_text_free(&line);
    return status;
}

static bool is_sweep_file(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

// Of a results file; the other ranks wait.
static ts_status measure_results(const ts_comm *comm, const ts_arguments *arguments) {
    const char *path = arguments->operand[0], *output = ts_argument(&ts_cmd_measure, arguments, "output");
    ts_status status = TS_OK;
    if (arguments->n_set > 0)
        status = ts_fail(TS_ERROR_USER, "--set goes with a sweep file and --weights, not with a results file");
    else if (is_sweep_file(path))
        status = ts_fail(TS_ERROR_USER, "'%s' is a sweep file: --weights is missing, or give a results file", path);
    else if (comm->rank == 0)
        status = output ? make_file(path, output) : print_each(path);
    return ts_comm_agree(comm, status);
}

static int run(const ts_comm *comm, const ts_arguments *arguments) {
    const char *weights = ts_argument(&ts_cmd_measure, arguments, "weights");
    ts_status status = weights ? measure_elsewhere(comm, arguments, weights) : measure_results(comm, arguments);
    return status == TS_OK ? TS_EXIT_DONE : ts_command_fail(comm, status);
}

const ts_command ts_cmd_measure = {
    .name = "measure",
    .operands = "FILE.h5",
    .n_operands = 1,
    .summary = "every measure, computed anew from stored weights",
    .description =
        "Computes every measure anew from the weights that a results file keeps, and prints them: a JSON "
        "object a line for each finished instance, at its last step, without matrices, which results files have. With "
        "-o "
        "it makes a new results file of "
        "the same sweep instead: with `save: checkpoints` everything is measured anew, with `save: final` "
        "the "
        "end; the curves before it, and what has no weights, are taken over from the file. The sweep and the "
        "files it names are in the results file; no other is read. Interrupted, the same command goes on "
        "with "
        "NEW.h5.part.\n\n`toysweep measure SWEEP.yaml --weights FILE` prints the measures of weights that "
        "were "
        "trained elsewhere; with -o it makes a results file of them. What the file has beside the model's "
        "tensors "
        "must be zero, masks aside; a tensor that lies transposed, as some programs keep it, is transposed, "
        "with "
        "a "
        "warning.",
    .options = OPTIONS,
    .run = run,
};
