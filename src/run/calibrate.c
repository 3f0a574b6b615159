// Short instances are trained as a run does; of long ones some steps and checkpoints are.
#define _GNU_SOURCE // qsort_r
#include "run/calibrate.h"

#include "base/clock.h"
#include "base/memory.h"
#include "measure/measure.h"
#include "model/model.h"
#include "task/data.h"

#include <math.h>
#include <stdlib.h>

// Seconds: of all cases together, about, and of those that say something new, beside those that must be timed; the
// longest step of one of these; of one case, at least and at most; what an instance takes that is short.
static const double TOTAL = 2, NEW = 6, FIRST = 4, LEAST = 0.002, MOST = 0.3, SHORT = 0.02;
// A checkpoint's measures that take less are made twice.
static const double AGAIN = 1;
// A case so near to one that was timed says nothing new; the share of the work from which a case must be timed.
static const double NEAR = 0.2, LARGE = 0.25;
enum { ROWS = 2048, TIMES = 3, MOST_TIMED = 250, MOST_AT_ONCE = 64 }; // of a unit; the best of; cases; of an engine

// What an instance consists of: seconds of each, predicted or timed.
typedef enum part { FIXED, STEP, FULL, LOSSES, LAST, HINDSIGHT, PARTS } part;

typedef struct timing {
    double predicted[PARTS], seconds[PARTS];
    double count[PARTS]; // in an instance
    bool known[PARTS];   // timed
} timing;

typedef struct calibration {
    const ts_job *job;
    timing *timing; // (cases)
    int *order;     // (cases) most work first
    int *known;     // (cases) those of which something was timed
    int n_known;
    double spent;
} calibration;

static double now_of(const ts_engine *engine) {
    return engine->fill ? ts_clock() : ts_clock_thread(); // a device's work takes no time of this thread
}

// --- What is predicted ---

static void predict(const ts_job *job, int c, timing *t) {
    const ts_record_layout *layout = job->layouts[c];
    ts_params params;
    ts_case_params(job->sweep, c, 0, &params);
    double full = (double)ts_record_full(layout);
    *t = (timing){0};
    t->predicted[FIXED] = ts_job_fixed_seconds(&params);
    t->predicted[STEP] = ts_job_step_seconds(job, c);
    t->predicted[FULL] = ts_job_measure_seconds(&params, job->data[c], true);
    t->predicted[LOSSES] = ts_job_measure_seconds(&params, job->data[c], false);
    t->predicted[LAST] = t->predicted[FULL];
    t->predicted[HINDSIGHT] = t->predicted[FULL] / 2;
    t->count[FIXED] = 1;
    t->count[STEP] = job->steps[c];
    t->count[FULL] = full - 1;
    t->count[LAST] = 1;
    t->count[LOSSES] = (double)layout->checkpoints - full;
    t->count[HINDSIGHT] = !layout->hindsight ? 0 : layout->saved ? full - 1 : (double)layout->kept;
    for (int i = 0; i < PARTS; i++)
        t->seconds[i] = t->predicted[i];
}

static double instance_of(const timing *t) {
    double seconds = 0;
    for (int i = 0; i < PARTS; i++)
        seconds += t->count[i] * t->seconds[i];
    return seconds;
}

static bool same_model(const ts_job *job, int a, int b) {
    const ts_schema *x = ts_sweep_case(job->sweep, a)->schema, *y = ts_sweep_case(job->sweep, b)->schema;
    return job->engines[a] == job->engines[b] && x->model == y->model && x->optimiser == y->optimiser;
}

static int circles_of(const ts_job *job, int c) {
    return job->data[c]->symmetry ? job->data[c]->symmetry->circles : 0;
}

// How little one case's timing says of a part of another's.
static double distance(const calibration *k, int a, int b, part i) {
    double apart = fabs(log(k->timing[a].predicted[i] / k->timing[b].predicted[i]));
    bool measures = i >= FULL;
    apart += measures && circles_of(k->job, a) != circles_of(k->job, b) ? 10 : 0;
    apart += k->job->engines[a] == k->job->engines[b] ? 0 : measures ? 1 : 1000;
    return apart + (same_model(k->job, a, b) ? 0 : measures ? 5 : 100);
}

// Carries over what is known of the nearest case to the parts that were not timed; returns how far that is.
static double estimate(const calibration *k, int c) {
    timing *t = &k->timing[c];
    double farthest = 0;
    for (int i = 0; i < PARTS; i++) {
        double nearest = INFINITY, factor = 1;
        for (int j = 0; j < k->n_known && !t->known[i]; j++) {
            const timing *other = &k->timing[k->known[j]];
            double apart = other->known[i] ? distance(k, c, k->known[j], (part)i) : INFINITY;
            if (apart < nearest)
                factor = other->seconds[i] / other->predicted[i];
            nearest = fmin(nearest, apart);
        }
        if (t->known[i])
            continue;
        t->seconds[i] = factor * t->predicted[i];
        farthest = t->count[i] > 0 ? fmax(farthest, nearest) : farthest;
    }
    return farthest;
}

static void know(timing *t, part i, double seconds) {
    t->seconds[i] = t->known[i] ? fmin(t->seconds[i], seconds) : seconds;
    t->known[i] = true;
}

// How many instances of a case train together, as a unit's do.
static int at_once(const ts_job *job, int c) {
    ts_params params;
    const ts_engine *engine = job->engines[c];
    ts_case_params(job->sweep, c, 0, &params);
    int together = engine->together ? engine->together(&params, job->data[c]) : 1;
    together = together < MOST_AT_ONCE ? together : MOST_AT_ONCE;
    return ts_sweep_case(job->sweep, c)->rows < together ? (int)ts_sweep_case(job->sweep, c)->rows : together;
}

// --- Short instances ---

// So many of them as a unit, into seconds of each.
static ts_status train_unit(const ts_job *job, int c, int rows, double *seconds) {
    ts_params *params = ts_alloc((size_t)rows * sizeof *params, "calibration");
    ts_trainer *trainer = NULL;
    atomic_int pause = TS_PAUSE_NONE;
    bool finished;
    if (!params)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < rows; i++)
        ts_case_params(job->sweep, c, i, &params[i]);
    const ts_trainer_spec spec = {.params = params,
                                  .count = rows,
                                  .layout = job->layouts[c],
                                  .data = job->data[c],
                                  .engine = job->engines[c],
                                  .device = job->backend->pairs};
    double start = now_of(job->engines[c]);
    ts_status status = ts_trainer_create(&spec, &trainer);
    if (status == TS_OK)
        status = ts_trainer_advance(trainer, &pause, &finished);
    ts_trainer_free(trainer);
    *seconds = (now_of(job->engines[c]) - start) / rows;
    ts_free(params);
    return status;
}

static ts_status time_short(const calibration *k, int c, double budget) {
    timing *t = &k->timing[c];
    double predicted = 0, seconds = 0, best = INFINITY, start = now_of(k->job->engines[c]);
    int64_t most = ts_sweep_case(k->job->sweep, c)->rows, least = at_once(k->job, c), rows = least;
    ts_status status = TS_OK;
    for (int i = 0; i < PARTS; i++)
        predicted += t->count[i] * t->predicted[i];
    // The first warms up, and says how many there is time for.
    for (int turn = 0; status == TS_OK && turn <= TIMES; turn++) {
        status = train_unit(k->job, c, (int)rows, &seconds);
        best = fmin(best, seconds);
        if (now_of(k->job->engines[c]) - start > budget)
            break;
        rows = (int64_t)fmax((double)least, fmin(fmin(ROWS, (double)most), budget / TIMES / seconds));
    }
    for (int i = 0; i < PARTS && status == TS_OK; i++)
        know(t, (part)i, t->predicted[i] * best / predicted);
    return status;
}

// --- Long ones ---

typedef struct sample {
    const ts_job *job;
    int c;
    timing *t;
    ts_params *params; // (rows)
    int rows;          // that train at once
    double budget;
    float *weights;
    double *measures, *final;
} sample;

static ts_status time_steps(sample *s, void *training) {
    const ts_engine *engine = s->job->engines[s->c];
    int64_t steps = ts_params_integer(s->params, "steps"), done = 0, reached[MOST_AT_ONCE] = {0};
    double begun = now_of(engine);
    ts_status status = TS_OK;
    for (int64_t slice = 1; status == TS_OK && done < steps && reached[0] == done;) {
        int64_t to = steps - done < slice ? steps : done + slice;
        double start = now_of(engine);
        status = engine->train(training, done, to, reached);
        double seconds = now_of(engine) - start, all = now_of(engine) - begun;
        // What is short says little; the first slice warms up, unless it is long.
        if (seconds > s->budget / 16 || all > s->budget || to == steps)
            know(s->t, STEP, seconds / (double)(to - done) / s->rows);
        done = to;
        if (all > s->budget)
            break;
        slice *= seconds < s->budget / 8 ? 2 : 1;
    }
    return status;
}

// Of one kind of checkpoint, twice unless it takes long: the first finds what measures of the group or p share.
static ts_status time_measure(sample *s, part i, const ts_measure_help *help) {
    ts_status status = TS_OK;
    for (int turn = 0; turn < 2 && status == TS_OK; turn++) {
        double start = now_of(s->job->engines[s->c]);
        if (i == HINDSIGHT)
            status = ts_measure_hindsight(s->params, s->job->data[s->c], s->weights, s->final, help, s->measures);
        else
            status = ts_measure_weights(s->params, s->job->data[s->c], s->weights, 0,
                                        ts_measure_extent_of(i == LAST, i == FULL), help,
                                        i == LAST ? s->final : s->measures);
        double seconds = now_of(s->job->engines[s->c]) - start;
        know(s->t, i, seconds);
        if (seconds > AGAIN)
            break;
    }
    return status;
}

static bool may_measure(const sample *s, part i, double left) {
    return s->t->count[i] > 0 && s->t->seconds[i] <= left;
}

static ts_status time_sample(sample *s, double left) {
    const ts_engine *engine = s->job->engines[s->c];
    const ts_record_layout *layout = s->job->layouts[s->c];
    const ts_measure_help help = {.device = s->job->backend->pairs, .listing = layout->listing};
    ts_training_spec spec = {.params = s->params, .count = s->rows, .data = s->job->data[s->c]};
    void *training = NULL;
    double start = now_of(engine);
    ts_status status = engine->create(&spec, &training);
    if (status != TS_OK)
        return status;
    know(s->t, FIXED, (now_of(engine) - start) / s->rows);
    status = time_steps(s, training);
    if (status == TS_OK)
        status = engine->get_parameters(training, 0, s->weights);
    for (part i = FULL; i < PARTS && status == TS_OK; i++)
        if (may_measure(s, i, left) && (i != HINDSIGHT || s->t->known[LAST]))
            status = time_measure(s, i, &help);
    engine->destroy(training);
    return status;
}

static ts_status time_long(const calibration *k, int c, double budget, double left) {
    sample s = {.job = k->job, .c = c, .t = &k->timing[c], .budget = budget};
    ts_parameter_layout parameters;
    size_t measures = (size_t)k->job->layouts[c]->measures;
    s.rows = at_once(k->job, c);
    s.params = ts_alloc((size_t)s.rows * sizeof *s.params, "calibration");
    if (!s.params)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < s.rows; i++)
        ts_case_params(k->job->sweep, c, i, &s.params[i]);
    s.params->schema->model->layout(s.params, &parameters);
    s.weights = ts_alloc((size_t)parameters.total * sizeof *s.weights, "calibration");
    s.measures = ts_alloc(measures * sizeof *s.measures, "calibration");
    s.final = ts_alloc(measures * sizeof *s.final, "calibration");
    ts_status status = s.weights && s.measures && s.final ? time_sample(&s, left) : TS_ERROR_MEMORY;
    ts_free(s.params);
    ts_free(s.weights);
    ts_free(s.measures);
    ts_free(s.final);
    return status;
}

// --- Which cases are timed ---

static bool is_known(const calibration *k, int c) {
    for (int i = 0; i < k->n_known; i++)
        if (k->known[i] == c)
            return true;
    return false;
}

// If a step takes no more than there is left.
static ts_status time_case(calibration *k, int c, double left) {
    const ts_engine *engine = k->job->engines[c];
    double budget = fmin(MOST, fmax(LEAST, TOTAL / k->job->cases)), start = now_of(engine);
    estimate(k, c);
    const timing *t = &k->timing[c];
    if (t->seconds[STEP] > left || k->n_known == MOST_TIMED || is_known(k, c))
        return TS_OK;
    ts_status status =
        instance_of(t) < fmax(SHORT, budget / TIMES) ? time_short(k, c, budget) : time_long(k, c, budget, left);
    k->spent += now_of(engine) - start;
    k->known[k->n_known++] = c;
    return status;
}

static double work_of(const calibration *k, int c) {
    return instance_of(&k->timing[c]) * (double)ts_sweep_case(k->job->sweep, c)->rows;
}

static int most_work_first(const void *a, const void *b, void *context) {
    int x = *(const int *)a, y = *(const int *)b;
    double left = work_of(context, x), right = work_of(context, y);
    return left != right ? (left > right ? -1 : 1) : x - y;
}

// The case of the same model by the same engine whose instances take least: the one by which it is known at all.
static int smallest_like(const calibration *k, int c) {
    int smallest = c;
    for (int i = 0; i < k->job->cases; i++)
        if (same_model(k->job, i, c) && k->timing[i].predicted[STEP] < k->timing[smallest].predicted[STEP])
            smallest = i;
    return smallest;
}

// Of every model the smallest case, though it takes longer than there is time for.
static ts_status time_models(calibration *k) {
    ts_status status = TS_OK;
    for (int c = 0; c < k->job->cases && status == TS_OK; c++) {
        bool seen = false;
        for (int i = 0; i < k->n_known && !seen; i++)
            seen = same_model(k->job, k->known[i], c);
        int smallest = seen ? c : smallest_like(k, c);
        if (!seen && k->timing[smallest].predicted[STEP] < FIRST)
            status = time_case(k, smallest, FIRST);
    }
    return status;
}

// Cases that are a large share of all work.
static ts_status time_large(calibration *k) {
    ts_status status = TS_OK;
    double all = 0;
    for (int c = 0; c < k->job->cases; c++) {
        estimate(k, c);
        all += work_of(k, c);
    }
    for (int c = 0; c < k->job->cases && status == TS_OK; c++)
        if (work_of(k, c) > LARGE * all)
            status = time_case(k, c, FIRST);
    return status;
}

// Others, as long as there is time: the one with most work, then spread over the list of them; `far`: only what says
// something new.
static ts_status time_others(calibration *k, bool far) {
    int cases = k->job->cases, bits = 0;
    ts_status status = TS_OK;
    while (1 << bits < cases)
        bits++;
    double most = far ? NEW : TOTAL;
    for (int n = 0; n < 1 << bits && status == TS_OK && k->spent < most; n++) {
        int place = 0;
        for (int b = 0; b < bits; b++)
            place |= (n >> b & 1) << (bits - 1 - b);
        if (place < cases && !(far && estimate(k, k->order[place]) < NEAR))
            status = time_case(k, k->order[place], (most - k->spent) / 4);
    }
    return status;
}

ts_status ts_calibrate(const ts_job *job, double *cost, int *timed) {
    size_t cases = (size_t)job->cases;
    calibration k = {.job = job,
                     .timing = ts_alloc(cases * sizeof *k.timing, "calibration"),
                     .order = ts_alloc(cases * sizeof *k.order, "calibration"),
                     .known = ts_alloc(cases * sizeof *k.known, "calibration")};
    ts_status status = k.timing && k.order && k.known ? TS_OK : TS_ERROR_MEMORY;
    for (int c = 0; c < job->cases && status == TS_OK; c++) {
        predict(job, c, &k.timing[c]);
        k.order[c] = c;
    }
    if (status == TS_OK)
        status = time_models(&k);
    if (status == TS_OK)
        status = time_large(&k);
    k.spent = 0;
    if (status == TS_OK)
        qsort_r(k.order, cases, sizeof *k.order, most_work_first, &k);
    for (int far = 1; far >= 0 && status == TS_OK; far--)
        status = time_others(&k, far);
    for (int c = 0; c < job->cases && status == TS_OK; c++) {
        estimate(&k, c);
        cost[c] = instance_of(&k.timing[c]);
    }
    *timed = k.n_known;
    ts_free(k.timing);
    ts_free(k.order);
    ts_free(k.known);
    return status;
}
