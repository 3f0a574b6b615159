// Layouts, costs and data of each case.
#include "run/job.h"

#include "base/log.h"
#include "base/memory.h"
#include "integrity/state.h"
#include "measure/measure.h"
#include "model/model.h"
#include "task/data.h"

#include <stdio.h>
#include <string.h>

// Before anything was timed: operations a second of one slot in float32 and in float64, and seconds per step that do
// not depend on them; likewise per checkpoint, and per instance, of each kind of data: families of tables are many, and
// their initial weights are drawn one by one.
static const double RATE = 55e9, MEASURE_RATE = 8e9, STEP = 0.5e-6;
static const double CHECKPOINT[] = {[TS_KIND_FEATURES] = 2e-5, [TS_KIND_TABLE] = 2e-4};
static const double INSTANCE[] = {[TS_KIND_FEATURES] = 3e-5, [TS_KIND_TABLE] = 1e-3};
// Of a team, in a step: messages and all gradients there and back, on a network of 100 Gbit/s.
static const double EXCHANGE = 1e-4, EXCHANGE_RATE = 10e9;

static const ts_engine *engine_of(const ts_sweep *sweep, int case_index, const ts_backend *backend, const char **why) {
    ts_params params;
    ts_case_params(sweep, case_index, 0, &params);
    return ts_backend_engine(backend, &params, why);
}

static bool trains_all(const ts_sweep *sweep, const ts_backend *backend) {
    for (int c = 0; c < ts_sweep_cases(sweep); c++)
        if (!engine_of(sweep, c, backend, NULL))
            return false;
    return true;
}

ts_status ts_job_backend(const ts_sweep *sweep, const char *name, const ts_backend **backend) {
    if (strcmp(name, "auto") != 0)
        return ts_backend_named(name, backend);
    for (int i = 0; ts_backends[i]; i++) {
        *backend = ts_backends[i];
        if (trains_all(sweep, *backend) && (*backend)->probe() == TS_OK)
            break;
    }
    return TS_OK; // if none does, ts_job_create says what the last of them, which runs anywhere, cannot train
}

// Says that the job's backend cannot train a case, why, and which others can.
static ts_status refuse(const ts_job *job, int case_index, const char *why) {
    ts_text others = {0};
    for (int i = 0; ts_backends[i]; i++)
        if (engine_of(job->sweep, case_index, ts_backends[i], NULL))
            ts_text_addf(&others, "%s%s", others.length ? " or " : "", ts_backends[i]->name);
    ts_status status = ts_fail(TS_ERROR_USER, "--backend %s cannot train the case '%s': %s; %s%s", job->backend->name,
                               ts_sweep_case(job->sweep, case_index)->title, why,
                               others.length ? "use --backend " : "no other backend can", ts_text_get(&others));
    ts_text_free(&others);
    return status;
}

ts_status ts_job_save_state(const ts_job *job, const ts_unit *unit, const ts_trainer *trainer) {
    void *state;
    size_t bytes;
    if (atomic_load(&job->given_up) || ts_trainer_progress(trainer) == 0)
        return TS_OK;
    ts_status status = ts_trainer_save(trainer, &state, &bytes);
    if (status == TS_ERROR_FATAL)
        return status;
    if (status == TS_OK)
        status = ts_state_save(job->state_directory, job->lock, job->digest, unit, state, bytes);
    if (status != TS_OK)
        ts_warn("a unit's state could not be saved (%s); if the run is interrupted it goes back to its last one",
                ts_message());
    ts_free(state);
    return TS_OK;
}

double ts_job_measure_seconds(const ts_params *params, const ts_data *data, bool full) {
    double overhead = CHECKPOINT[params->schema->task->kind] / (full ? 1 : 4);
    return overhead + ts_measure_operations(params, data, ts_measure_extent_of(false, full)) / MEASURE_RATE;
}

// Of all checkpoints.
static double measures_seconds(const ts_params *params, const ts_data *data, const ts_record_layout *layout) {
    double full = (double)ts_record_full(layout), losses = (double)layout->checkpoints - full;
    return full * ts_job_measure_seconds(params, data, true) + losses * ts_job_measure_seconds(params, data, false);
}

// Predicted seconds of one slot for one instance of a case, from the operations of a step.
static double predict(const ts_params *params, const ts_data *data, const ts_record_layout *layout, double operations) {
    return (double)ts_params_integer(params, "steps") * (STEP + operations / RATE) +
           measures_seconds(params, data, layout) + INSTANCE[params->schema->task->kind];
}

double ts_job_fixed_seconds(const ts_params *params) {
    return INSTANCE[params->schema->task->kind];
}

double ts_job_step_seconds(const ts_job *job, int case_index) {
    return STEP + job->operations[case_index] / RATE;
}

// Those of them in steps and measures whose parts threads and ranks share.
static double shared_seconds(const ts_job *job, int case_index, const ts_params *params) {
    const ts_data *data = job->data[case_index];
    const ts_record_layout *layout = job->layouts[case_index];
    bool measures = data->table && ts_measure_parts(data->table->n) > 1;
    return job->steps[case_index] * job->operations[case_index] / RATE +
           (measures ? measures_seconds(params, data, layout) : 0);
}

// As many as keep no more weights of earlier checkpoints than one may.
static int64_t most_rows(const ts_record_layout *layout) {
    int64_t bytes = layout->kept * layout->parameters * (int64_t)sizeof(float);
    return bytes > 0 ? TS_KEPT_BYTES / bytes : 0;
}

ts_coordinator_case ts_job_case(const ts_job *job, int case_index) {
    const ts_engine *engine = job->engines[case_index];
    const ts_data *data = job->data[case_index];
    ts_params params;
    ts_case_params(job->sweep, case_index, 0, &params);
    ts_parameter_layout weights;
    params.schema->model->layout(&params, &weights);
    return (ts_coordinator_case){
        .cost = job->cost[case_index],
        .instance_bytes = ts_trainer_bytes(&params, job->layouts[case_index]),
        .unit_bytes = (int64_t)job->unit_bytes[case_index],
        .most_rows = most_rows(job->layouts[case_index]),
        .fill = engine->fill ? engine->fill(&params, data) : 1,
        .together = engine->together ? engine->together(&params, data) : 1,
        .parts = job->parts[case_index],
        .ranks_only = !engine->shares,
        .shared = shared_seconds(job, case_index, &params) / job->cost[case_index],
        .exchange = job->steps[case_index] * (EXCHANGE + 2.0 * sizeof(float) * (double)weights.total / EXCHANGE_RATE),
    };
}

// Of a step, that others may make.
static int parts_of(const ts_engine *engine, const ts_model_costs *costs) {
    if (!engine->shares && !engine->wide)
        return 1;
    return engine->most_parts > 0 && costs->parts > engine->most_parts ? engine->most_parts : costs->parts;
}

static ts_status fill(ts_job *job) {
    for (int i = 0; i < job->cases; i++) {
        ts_params params;
        ts_case_params(job->sweep, i, 0, &params);
        const char *why;
        job->engines[i] = ts_backend_engine(job->backend, &params, &why);
        if (!job->engines[i])
            return refuse(job, i, why);
        ts_status status = ts_data_create(&params, &job->data[i]);
        if (status == TS_OK)
            status = ts_record_layout_make(&params, job->data[i], &job->layouts[i]);
        ts_model_costs costs;
        if (status == TS_OK)
            status = ts_model_cost(&params, job->data[i], &costs);
        if (status != TS_OK)
            return status;
        job->parts[i] = parts_of(job->engines[i], &costs);
        job->operations[i] = costs.step_operations;
        job->unit_bytes[i] = costs.unit_bytes + ts_measure_bytes(&params, job->data[i]);
        job->cost[i] = predict(&params, job->data[i], job->layouts[i], costs.step_operations);
        job->steps[i] = (double)ts_params_integer(&params, "steps");
    }
    return TS_OK;
}

ts_status ts_job_create(const ts_sweep *sweep, const ts_backend *backend, const char *output, ts_job **out) {
    ts_job *job = ts_alloc_zero(1, sizeof *job, "a run");
    if (!job)
        return TS_ERROR_MEMORY;
    size_t cases = (size_t)ts_sweep_cases(sweep), path = strlen(output) + sizeof ".state";
    *job = (ts_job){
        .sweep = sweep,
        .backend = backend,
        .cases = (int)cases,
        .engines = ts_alloc_zero(cases, sizeof *job->engines, "a run"),
        .layouts = ts_alloc_zero(cases, sizeof *job->layouts, "a run"),
        .operations = ts_alloc_zero(cases, sizeof *job->operations, "a run"),
        .unit_bytes = ts_alloc_zero(cases, sizeof *job->unit_bytes, "a run"),
        .parts = ts_alloc_zero(cases, sizeof *job->parts, "a run"),
        .cost = ts_alloc_zero(cases, sizeof *job->cost, "a run"),
        .steps = ts_alloc_zero(cases, sizeof *job->steps, "a run"),
        .data = ts_alloc_zero(cases, sizeof *job->data, "a run"),
        .state_directory = ts_alloc(path, "a path"),
    };
    ts_status status = TS_ERROR_MEMORY;
    if (job->engines && job->layouts && job->operations && job->unit_bytes && job->parts && job->cost && job->steps &&
        job->data && job->state_directory) {
        snprintf(job->state_directory, path, "%s.state", output);
        status = fill(job);
    }
    if (status == TS_OK)
        status = ts_engines_find(sweep, backend, &job->uses);
    if (status == TS_OK)
        *out = job;
    else
        ts_job_free(job);
    return status;
}

void ts_job_free(ts_job *job) {
    if (!job)
        return;
    for (int i = 0; i < job->cases && job->layouts && job->data; i++) {
        ts_record_layout_free(job->layouts[i]);
        ts_data_free(job->data[i]);
    }
    ts_engines_free(&job->uses);
    ts_free(job->engines);
    ts_free(job->layouts);
    ts_free(job->operations);
    ts_free(job->unit_bytes);
    ts_free(job->parts);
    ts_free(job->cost);
    ts_free(job->steps);
    ts_free(job->data);
    ts_free(job->state_directory);
    ts_free(job);
}
