// Packing instances into lanes, their steps, and what becomes of one that stops.
#include "backend/cpu_lanes.h"

#include "task/data.h"

#include <math.h>
#include <string.h>

// Beyond, an instance fills vectors, and its numbers the cache.
enum { MOST_FEATURES = 32, MOST_WEIGHTS = 256, MOST_INPUTS = 256 };

bool ts_cpu_lanes_fit(ts_autoencoder_shape shape, const ts_feature_data *data) {
    return shape.features <= MOST_FEATURES && (shape.hidden + 1) * shape.features <= MOST_WEIGHTS &&
           data->support.count > 0 && data->support.count <= MOST_INPUTS;
}

static size_t lanes_of(const ts_cpu_lanes *l) {
    return (size_t)l->training->kernels->lanes;
}

// Instances that are quicker in lanes than one after the other.
static int fewest(const ts_cpu_lanes *l) {
    return (int)lanes_of(l) / 4 + 1;
}

void ts_cpu_lanes_begin(ts_cpu_lanes *l, ts_cpu_training *training, ts_autoencoder_shape shape) {
    const ts_feature_data *data = training->spec.data->features;
    l->training = training;
    l->data = data;
    l->samples = shape.samples;
    l->work = (ts_lanes_work){.hidden = shape.hidden,
                              .features = shape.features,
                              .inputs = data->support.count,
                              .begin = data->support.begin,
                              .active = data->support.active,
                              .loss = l->loss};
    l->used = training->spec.count >= fewest(l) && ts_cpu_lanes_fit(shape, data);
}

void ts_cpu_lanes_take(ts_cpu_lanes *l, ts_slab *slab) {
    if (!l->used)
        return;
    size_t hidden = (size_t)l->work.hidden, features = (size_t)l->work.features, inputs = (size_t)l->work.inputs;
    size_t numbers = (hidden + 1) * features * lanes_of(l);
    l->state = ts_slab_take(slab, TS_ADAM_PARTS * numbers, sizeof *l->state);
    l->work.gradient = ts_slab_take(slab, numbers, sizeof *l->work.gradient);
    l->scale = ts_slab_take(slab, features * lanes_of(l), sizeof *l->scale);
    l->weight = ts_slab_take(slab, inputs * lanes_of(l), sizeof *l->weight);
    l->x = ts_slab_take_zero(slab, inputs * features, sizeof *l->x);
    l->partly = ts_slab_take(slab, inputs, sizeof *l->partly);
    l->with_begin = ts_slab_take_zero(slab, features + 1, sizeof *l->with_begin);
    l->with = ts_slab_take(slab, (size_t)l->work.begin[inputs], sizeof *l->with);
    l->able = ts_slab_take(slab, (size_t)l->training->spec.count, sizeof *l->able);
    l->work.h = ts_slab_take(slab, TS_LANES_BLOCK * hidden * lanes_of(l), sizeof *l->work.h);
    l->work.dz = ts_slab_take(slab, TS_LANES_BLOCK * features * lanes_of(l), sizeof *l->work.dz);
    l->work.dh = ts_slab_take(slab, inputs * hidden * lanes_of(l), sizeof *l->work.dh);
}

// Inputs as rows, and by feature.
static void enter_inputs(ts_cpu_lanes *l) {
    int features = l->work.features, at = 0;
    for (int r = 0; r < l->work.inputs; r++)
        for (int e = l->work.begin[r]; e < l->work.begin[r + 1]; e++)
            l->x[r * features + l->work.active[e]] = 1;
    for (int f = 0; f < features; f++) {
        l->with_begin[f] = at;
        for (int r = 0; r < l->work.inputs; r++)
            if (l->x[r * features + f] != 0)
                l->with[at++] = r;
    }
    l->with_begin[features] = at;
}

void ts_cpu_lanes_fill(ts_cpu_lanes *l, ts_feature_batch *batch, const float *scales, const uint64_t *seeds) {
    if (!l->used)
        return;
    l->batch = batch;
    l->scales = scales;
    l->seeds = seeds;
    enter_inputs(l);
    memset(l->partly, 0, (size_t)l->work.inputs * sizeof *l->partly);
    for (int r = 0; l->samples == 0 && r < l->work.inputs; r++)
        for (int lane = 0; lane < (int)lanes_of(l); lane++)
            l->weight[(size_t)r * lanes_of(l) + (size_t)lane] = (float)l->data->support.probability[r];
    for (int i = 0; i < l->training->spec.count; i++) {
        const ts_params *params = &l->training->spec.params[i];
        l->able[i] = !ts_adam_can(params) && ts_params_real_or(params, "weight_decay", 0) >= 0; // below 0 weights grow
    }
    if (l->samples > 0 && l->data->tree.depth <= TS_MOST_DEPTH)
        l->tree = (ts_tree_draw){.depth = l->data->tree.depth,
                                 .stops = l->data->tree.early_stopping,
                                 .samples = (int)l->samples,
                                 .share = 1.0 / (double)l->samples,
                                 .stream = TS_STREAM_BATCH,
                                 .key0 = l->key0,
                                 .key1 = l->key1,
                                 .weight = l->weight,
                                 .partly = l->partly};
    l->work.with_begin = l->with_begin;
    l->work.with = l->with;
    l->work.x = l->x;
    l->work.weight = l->weight;
    l->work.partly = l->partly;
    l->work.state = l->state;
    l->work.scale = l->scale;
}

// --- In and out of lanes ---

static size_t numbers_of(const ts_cpu_lanes *l) {
    return (size_t)(l->work.hidden + 1) * (size_t)l->work.features;
}

static float *state_at(const ts_cpu_lanes *l, int part, int lane) {
    return l->state + (size_t)part * numbers_of(l) * lanes_of(l) + lane;
}

// One part of a state, rows of which lie `stride` apart by themselves; out: from the lane.
static void move(const ts_cpu_lanes *l, bool out, float *lane, float *alone) {
    int features = l->work.features, stride = TS_PAD(features);
    for (int k = 0; k <= l->work.hidden; k++, alone += stride)
        for (int f = 0; f < features; f++, lane += lanes_of(l)) {
            if (out)
                alone[f] = *lane;
            else
                *lane = alone[f];
        }
}

static void move_state(const ts_cpu_lanes *l, bool out, int lane) {
    const ts_cpu_training *t = l->training;
    float *alone = ts_cpu_state(t, l->instance[lane]);
    for (int part = 0; part < TS_ADAM_PARTS; part++)
        move(l, out, state_at(l, part, lane), alone + part * t->layout.padded);
}

// Of what a lane was, nothing is left that would not be finite.
static void clear_lane(const ts_cpu_lanes *l, int lane) {
    for (size_t p = 0; p < TS_ADAM_PARTS * numbers_of(l); p++)
        l->state[p * lanes_of(l) + (size_t)lane] = 0;
    for (size_t p = 0; p < numbers_of(l); p++)
        l->work.gradient[p * lanes_of(l) + (size_t)lane] = 0;
}

static bool same_rates(const ts_adam *a, const ts_adam *b) {
    return a->schedule.lr == b->schedule.lr && a->schedule.kind == b->schedule.kind &&
           a->schedule.steps == b->schedule.steps && a->schedule.warmup == b->schedule.warmup &&
           a->schedule.floor == b->schedule.floor && a->beta1 == b->beta1 && a->beta2 == b->beta2 &&
           a->weight_decay == b->weight_decay && a->t == b->t;
}

static void enter(ts_cpu_lanes *l, int lane, int instance, int64_t from) {
    const ts_cpu_training *t = l->training;
    const ts_params *params = &t->spec.params[instance];
    l->instance[lane] = instance;
    move_state(l, false, lane);
    l->adam[lane] = *ts_adam_at(&t->adam[instance], params, from);
    ts_adam_betas betas = ts_adam_betas_from(l->adam[lane].beta1, l->adam[lane].beta2);
    l->as[lane] = 0;
    while (!same_rates(&l->adam[l->as[lane]], &l->adam[lane]))
        l->as[lane]++;
    l->rates.beta1[lane] = betas.beta1;
    l->rates.take1[lane] = betas.take1;
    l->rates.beta2[lane] = betas.beta2;
    l->rates.take2[lane] = betas.take2;
    for (int f = 0; f < l->work.features; f++)
        l->scale[(size_t)f * lanes_of(l) + (size_t)lane] =
            l->scales[(size_t)instance * (size_t)TS_PAD(l->work.features) + (size_t)f];
}

static void pack(ts_cpu_lanes *l, const int *instances, int count, int64_t from) {
    memset(l->state, 0, TS_ADAM_PARTS * numbers_of(l) * lanes_of(l) * sizeof *l->state);
    memset(l->scale, 0, (size_t)l->work.features * lanes_of(l) * sizeof *l->scale);
    if (l->samples > 0)
        memset(l->weight, 0, (size_t)l->work.inputs * lanes_of(l) * sizeof *l->weight);
    l->rates = (ts_lanes_rates){0};
    l->packed = l->alive = count;
    for (int lane = 0; lane < (int)lanes_of(l); lane++)
        l->instance[lane] = -1;
    for (int lane = 0; lane < count; lane++)
        enter(l, lane, instances[lane], from);
    for (int lane = 0; lane < (int)lanes_of(l); lane++) { // lanes without an instance draw as the first does
        uint64_t seed = l->seeds[instances[lane < count ? lane : 0]];
        ts_philox at = ts_philox_at(seed, TS_STREAM_BATCH, 0, 0);
        l->key0[lane] = at.key[0];
        l->key1[lane] = at.key[1];
    }
}

// A lane's instance has its state, and leaves.
static void leave(ts_cpu_lanes *l, int lane) {
    move_state(l, true, lane);
    l->training->adam[l->instance[lane]] = l->adam[l->as[lane]];
    l->instance[lane] = -1;
    l->alive--;
}

static void stop(ts_cpu_lanes *l, int lane, int64_t at, int64_t *reached) {
    reached[l->instance[lane]] = at;
    leave(l, lane);
    clear_lane(l, lane);
}

// --- A step ---

static void draw(ts_cpu_lanes *l, int64_t step) {
    double share = 1.0 / (double)l->samples;
    if (l->samples == 0)
        return;
    if (l->tree.depth > 0) {
        l->tree.wanted = l->packed;
        l->tree.step = (uint32_t)step;
        l->training->kernels->draw_trees(&l->tree);
        return;
    }
    memset(l->partly, 0, (size_t)l->work.inputs * sizeof *l->partly);
    for (int lane = 0; lane < (int)lanes_of(l); lane++) {
        if (l->instance[lane] < 0)
            continue;
        const int *count = ts_feature_count(l->data, l->seeds[l->instance[lane]], TS_STREAM_BATCH, (uint32_t)step,
                                            l->samples, l->batch);
        for (int r = 0; r < l->work.inputs; r++) {
            l->weight[(size_t)r * lanes_of(l) + (size_t)lane] = (float)(count[r] * share);
            l->partly[r] = l->partly[r] || count[r] == 0;
        }
    }
}

// A lane whose losses are large, or not finite, by itself. Sets its gradient; *finite: all losses are.
static ts_status make_alone(ts_cpu_lanes *l, int lane, int64_t step, bool *finite) {
    ts_cpu_training *t = l->training;
    move_state(l, true, lane);
    t->model->select(t, l->instance[lane]);
    ts_status status = t->model->make_gradient(t, step, finite);
    move(l, false, l->work.gradient + lane, t->gradient);
    return status;
}

static ts_status make_gradients(ts_cpu_lanes *l, int64_t step, int64_t *reached) {
    ts_status status = TS_OK;
    draw(l, step);
    l->training->kernels->lanes_gradient(&l->work);
    for (int lane = 0; lane < (int)lanes_of(l) && status == TS_OK; lane++) {
        bool finite = true;
        if (l->instance[lane] < 0 || l->loss[lane] < TS_LANES_SOUND)
            continue;
        status = make_alone(l, lane, step, &finite);
        if (!finite)
            stop(l, lane, step, reached);
    }
    return status;
}

static void update(ts_cpu_lanes *l, int64_t step, int64_t *reached) {
    float sound[TS_VECTOR_LANES];
    ts_adam_rates rates[TS_VECTOR_LANES];
    for (int lane = 0; lane < l->packed; lane++) {
        int as = l->as[lane];
        rates[lane] = as == lane ? ts_adam_next_rates(&l->adam[lane]) : rates[as];
        l->rates.minus_rate[lane] = -rates[lane].rate;
        l->rates.decay[lane] = rates[lane].decay;
        l->rates.minus_root[lane] = -rates[lane].root;
        l->rates.inverse[lane] = rates[lane].inverse;
    }
    if (l->training->kernels->lanes_adam(l->state, (int64_t)numbers_of(l), l->work.gradient, &l->rates, sound))
        return;
    for (int lane = 0; lane < (int)lanes_of(l); lane++)
        if (l->instance[lane] >= 0 && !(sound[lane] == 0))
            stop(l, lane, step, reached);
}

static ts_status train_lanes(ts_cpu_lanes *l, const int *instances, int count, int64_t from, int64_t to,
                             int64_t *reached) {
    ts_status status = TS_OK;
    pack(l, instances, count, from);
    for (int64_t step = from; step < to && l->alive > 0 && status == TS_OK; step++) {
        status = make_gradients(l, step, reached);
        if (status == TS_OK)
            update(l, step, reached);
    }
    for (int lane = 0; lane < (int)lanes_of(l) && status == TS_OK; lane++)
        if (l->instance[lane] >= 0) {
            reached[l->instance[lane]] = to;
            leave(l, lane);
        }
    return status;
}

// Instances that wait for lanes; too few of them one after the other.
static ts_status train_waiting(ts_cpu_lanes *l, const int *waiting, int count, int64_t from, int64_t to,
                               int64_t *reached) {
    ts_status status = TS_OK;
    if (count >= fewest(l))
        return train_lanes(l, waiting, count, from, to, reached);
    for (int k = 0; k < count && status == TS_OK; k++)
        status = ts_cpu_training_train_one(l->training, waiting[k], from, to, &reached[waiting[k]]);
    return status;
}

ts_status ts_cpu_lanes_train(ts_cpu_lanes *l, int64_t from, int64_t to, int64_t *reached) {
    int waiting[TS_VECTOR_LANES], n = 0;
    unsigned before = ts_cpu_begin_steps();
    ts_status status = TS_OK;
    for (int i = 0; i < l->training->spec.count && status == TS_OK; i++) {
        if (reached[i] == from && l->able[i])
            waiting[n++] = i;
        else if (reached[i] == from)
            status = ts_cpu_training_train_one(l->training, i, from, to, &reached[i]);
        if (n == (int)lanes_of(l) && status == TS_OK) {
            status = train_waiting(l, waiting, n, from, to, reached);
            n = 0;
        }
    }
    if (status == TS_OK)
        status = train_waiting(l, waiting, n, from, to, reached);
    ts_cpu_end_steps(before);
    return status;
}
