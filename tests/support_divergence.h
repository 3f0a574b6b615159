// What holds on every backend when an instance's numbers leave the range of floating point: tests that take the backend
// as an argument.
#pragma once

#include "support.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// One case each, with learning rates to come.
static const char *const SUPPORT_SHORT[] = {
    "task: tree\ndepth: 2\nhidden: 3\nbatch: 16\n",
    "task: independent\nfeatures: 20\nfeature_probability: 0.3\nbatch: 8\nhidden: 5\n",
    "task: group\ngroup: S3\nembed: 5\nhidden: 9\ntrain_fraction: 0.7\n",
    "task: group\ngroup: C5\nembed: 5\nhidden: 130\ntrain_fraction: 0.5\nweight_decay: 0\n",
    "task: group\ngroup: C5\nmodel: transformer\nd_model: 6\nheads: 2\nd_head: 3\nd_mlp: 8\n",
    "task: group\ngroup: S3\nmodel: transformer\nd_model: 6\nd_head: 3\nd_mlp: 40\nweight_decay: 0\n",
};
enum { SUPPORT_SHORTS = sizeof SUPPORT_SHORT / sizeof *SUPPORT_SHORT, SUPPORT_RATES = 16 };

// SUPPORT_RATES instances, learning rates 1 to 1e30.
static inline ts_sweep *support_short_sweep(int which, int64_t steps) {
    char text[1024], *at = text + snprintf(text, sizeof text, "%ssteps: %d\ncheckpoints: [%d]\nlr: [",
                                           SUPPORT_SHORT[which], (int)steps, (int)steps);
    for (int i = 0; i < SUPPORT_RATES; i++)
        at += sprintf(at, "%s1e%d", i ? ", " : "", 2 * i);
    strcpy(at, "]\n");
    return support_sweep(text);
}

// A trainer over all of them, at its end.
typedef struct support_scan {
    ts_sweep *sweep;
    ts_data *data;
    ts_params params[SUPPORT_RATES];
    ts_record_layout *layout;
    ts_trainer *trainer;
} support_scan;

static inline void support_scan_open(const ts_engine *engine, int which, int64_t steps, support_scan *s) {
    atomic_int pause = 0;
    bool finished = false;
    s->sweep = support_short_sweep(which, steps);
    s->data = support_data(s->sweep, 0);
    for (int i = 0; i < SUPPORT_RATES; i++)
        ts_case_params(s->sweep, 0, i, &s->params[i]);
    assert_int_equal(ts_record_layout_make(&s->params[0], s->data, &s->layout), TS_OK);
    ts_trainer_spec spec = {engine, s->params, SUPPORT_RATES, s->data, s->layout, NULL};
    assert_int_equal(ts_trainer_create(&spec, &s->trainer), TS_OK);
    assert_int_equal(ts_trainer_advance(s->trainer, &pause, &finished), TS_OK);
    assert_true(finished);
}

static inline void support_scan_close(support_scan *s) {
    ts_trainer_free(s->trainer);
    ts_record_layout_free(s->layout);
    ts_data_free(s->data);
    ts_sweep_free(s->sweep);
}

// All of its measures that are losses at the root of the file (those that may be unknown: NaN), and its weights.
static inline bool support_record_is_finite(const support_scan *s, const void *record) {
    bool finite = true;
    for (int i = 0; i < s->layout->count; i++) {
        const ts_field *field = &s->layout->field[i];
        const char *at = (const char *)record + field->offset;
        double loss;
        float weight;
        if (field->place == TS_FIELD_ROOT && strstr(field->name, "_loss")) {
            memcpy(&loss, at, sizeof loss);
            finite = finite && (isfinite(loss) || (isnan(loss) && strcmp(field->name, "train_loss") != 0));
        }
        for (size_t b = 0; field->place == TS_FIELD_WEIGHTS && b < field->bytes; b += sizeof weight) {
            memcpy(&weight, at + b, sizeof weight);
            finite = finite && isfinite(weight);
        }
    }
    return finite;
}

// A state (3, parameters) of float32 or float64, of which the weights have to be finite as float32.
static inline bool support_state_is_finite(const char *state, int64_t parameters, size_t width) {
    bool finite = true;
    for (int64_t k = 0; k < 3 * parameters; k++) {
        float narrow;
        double wide;
        memcpy(&narrow, state + (size_t)k * width, sizeof narrow);
        memcpy(&wide, state + (size_t)k * width, width == sizeof wide ? sizeof wide : 0);
        wide = width == sizeof wide ? wide : (double)narrow;
        finite = finite && (k < parameters ? isfinite((float)wide) : isfinite(wide));
    }
    return finite;
}

// The states that a saved unit ends with.
static inline void support_states_are_finite(const support_scan *s, bool *finite) {
    ts_parameter_layout layout;
    void *saved;
    size_t bytes;
    s->params[0].schema->model->layout(&s->params[0], &layout);
    assert_int_equal(ts_trainer_save(s->trainer, &saved, &bytes), TS_OK);
    size_t others = 6 * sizeof(int64_t) + SUPPORT_RATES * (2 * sizeof(int64_t) + s->layout->bytes);
    size_t each = (bytes - others) / SUPPORT_RATES, width = each / (3 * (size_t)layout.total);
    assert_true(width == sizeof(float) || width == sizeof(double));
    for (size_t i = 0; i < SUPPORT_RATES; i++)
        finite[i] = support_state_is_finite((const char *)saved + others + i * each, layout.total, width);
    ts_free(saved);
}

// No instance ends well with a weight, moment or loss that is not finite. Returns how many of them there were, and how
// many failed.
static inline int support_nothing_infinite_is_done(const char *backend, int64_t most_steps, int *failed) {
    int instances = 0;
    *failed = 0;
    for (int which = 0; which < SUPPORT_SHORTS; which++)
        for (int64_t steps = 1; steps <= most_steps; steps++) {
            support_scan s;
            bool finite[SUPPORT_RATES];
            ts_sweep *sweep = support_short_sweep(which, 1);
            const char *model = ts_sweep_case(sweep, 0)->schema->model->name;
            support_scan_open(ts_backend_engine(ts_backend_find(backend), model), which, steps, &s);
            ts_sweep_free(sweep);
            support_states_are_finite(&s, finite);
            for (int i = 0; i < SUPPORT_RATES; i++, instances++) {
                ts_trained result = ts_trainer_result(s.trainer, i);
                *failed += result.failure != NULL;
                if (!result.failure && !(finite[i] && support_record_is_finite(&s, result.record)))
                    fail_msg("%s, %d steps, lr 1e%d: done, and not finite: %s", backend, (int)steps, 2 * i,
                             SUPPORT_SHORT[which]);
            }
            support_scan_close(&s);
        }
    return instances;
}

// An instance is not done if one of more steps fails for the loss of its last weights. (But for a few: at the last step
// the loss is that of the measures, in double precision, with float32's range; numbers on the way to it may have left
// that.) Returns how many instances did fail so; *missed: how many of them were done.
static inline int support_last_losses_count(const char *backend, int64_t most_steps, int *missed) {
    int failed = 0;
    *missed = 0;
    for (int which = 0; which < SUPPORT_SHORTS; which++)
        for (int64_t steps = 1; steps <= most_steps; steps++) {
            support_scan s, longer;
            ts_sweep *sweep = support_short_sweep(which, 1);
            const ts_engine *engine =
                ts_backend_engine(ts_backend_find(backend), ts_sweep_case(sweep, 0)->schema->model->name);
            ts_sweep_free(sweep);
            support_scan_open(engine, which, steps, &s);
            support_scan_open(engine, which, steps + 1, &longer);
            for (int i = 0; i < SUPPORT_RATES; i++) {
                ts_trained one = ts_trainer_result(s.trainer, i),
                           other = ts_trainer_result(longer.trainer, i);
                if (!other.failure || other.steps_done != steps || !strstr(other.failure, "the loss"))
                    continue;
                failed++;
                *missed += !one.failure;
            }
            support_scan_close(&s);
            support_scan_close(&longer);
        }
    return failed;
}

// --- Cuts ---

// How far the instances get, and the states they end with, in calls of train() to stops[1], ..., the last; with each
// call in a training of its own, with the states of the one before. Those that go on have to be finite.
static inline void support_train_in_cuts(const ts_engine *engine, const ts_training_spec *spec,
                                         const int64_t *stops, bool anew, int64_t *reached, char *states) {
    ts_parameter_layout layout;
    void *training;
    spec->params[0].schema->model->layout(&spec->params[0], &layout);
    assert_int_equal(engine->create(spec, &training), TS_OK);
    size_t bytes = engine->state_bytes(training), width = bytes / (3 * (size_t)layout.total);
    memset(reached, 0, (size_t)spec->count * sizeof *reached);
    for (int k = 0; stops[k + 1] > 0; k++) {
        for (int i = 0; anew && k > 0 && i < spec->count; i++)
            assert_int_equal(engine->set_state(training, i, states + (size_t)i * bytes), TS_OK);
        assert_int_equal(engine->train(training, stops[k], stops[k + 1], reached), TS_OK);
        for (int i = 0; i < spec->count; i++) {
            char *state = states + (size_t)i * bytes;
            assert_int_equal(engine->get_state(training, i, state), TS_OK);
            if (reached[i] == stops[k + 1] && !support_state_is_finite(state, layout.total, width))
                fail_msg("instance %d goes on from step %d, and is not finite", i, (int)reached[i]);
        }
        if (anew) {
            engine->destroy(training);
            assert_int_equal(engine->create(spec, &training), TS_OK);
        }
    }
    engine->destroy(training);
}

// The step at which an instance ends, and the bits that it ends with, are the same in one call and in many, alone and
// among others, and in trainings that go on with the states of others.
static inline void support_divergence_depends_on_no_cut(const char *backend) {
    static const int64_t WHOLE[] = {0, 8, 0}, SINGLE[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 0},
                         UNEVEN[] = {0, 3, 4, 8, 0};
    for (int which = 0; which < SUPPORT_SHORTS; which++) {
        ts_sweep *sweep = support_short_sweep(which, 8);
        ts_data *data = support_data(sweep, 0);
        ts_params params[SUPPORT_RATES];
        ts_parameter_layout layout;
        int64_t expected[SUPPORT_RATES], found[SUPPORT_RATES];
        for (int i = 0; i < SUPPORT_RATES; i++)
            ts_case_params(sweep, 0, i, &params[i]);
        params[0].schema->model->layout(&params[0], &layout);
        const ts_engine *engine = ts_backend_engine(ts_backend_find(backend), params[0].schema->model->name);
        ts_training_spec all = {params, SUPPORT_RATES, data, NULL};
        size_t most = 3 * (size_t)layout.total * sizeof(double);
        char *first = ts_alloc_zero(SUPPORT_RATES, most, "states"),
             *other = ts_alloc_zero(SUPPORT_RATES, most, "states");
        support_train_in_cuts(engine, &all, WHOLE, false, expected, first);
        support_train_in_cuts(engine, &all, SINGLE, true, found, other);
        assert_memory_equal(found, expected, sizeof found);
        assert_memory_equal(other, first, SUPPORT_RATES * most);
        support_train_in_cuts(engine, &all, UNEVEN, false, found, other);
        assert_memory_equal(found, expected, sizeof found);
        assert_memory_equal(other, first, SUPPORT_RATES * most);
        for (int i = 0; i < SUPPORT_RATES; i += 5) {
            ts_training_spec alone = {params + i, 1, data, NULL};
            support_train_in_cuts(engine, &alone, UNEVEN, true, found, other);
            assert_int_equal(found[0], expected[i]);
        }
        ts_free(first);
        ts_free(other);
        ts_data_free(data);
        ts_sweep_free(sweep);
    }
}

// --- Labels far behind ---

// Weights so large that the label's logit is 1e5 to 1e20 behind: the gradient is the reference's.
static inline void support_gradient_of_hopeless_pairs(const char *backend) {
    static const char *const SWEEPS[] = {
        "task: group\ngroup: S3\nembed: 5\nhidden: 9\nsteps: 9\n",
        "task: group\ngroup: S3\nembed: 5\nhidden: 130\nsteps: 9\n",
        "task: group\ngroup: C5\nmodel: transformer\nd_model: 6\nheads: 2\nd_head: 3\nd_mlp: 8\nsteps: 9\n",
    };
    for (int k = 0; k < 3; k++)
        for (int e = k == 2 ? 1 : 2; e <= (k == 2 ? 3 : 6); e++) {
            support_instance f;
            support_open(&f, SWEEPS[k]);
            size_t n = (size_t)f.parameters;
            double *wide = ts_alloc_zero(3 * n, sizeof *wide, "a state"), error = 0, way = 0;
            float *narrow = ts_alloc_zero(3 * n, sizeof *narrow, "a state");
            for (size_t p = 0; p < n; p++)
                wide[p] = narrow[p] = f.initial[p] * powf(10, (float)e);
            for (int side = 0; side < 2; side++) {
                const ts_engine *engine = ts_backend_engine(ts_backend_find(side ? backend : "reference"),
                                                            f.params.schema->model->name);
                void *training;
                int64_t reached = 0;
                assert_int_equal(engine->create(&f.spec, &training), TS_OK);
                assert_int_equal(engine->set_state(training, 0, side ? (void *)narrow : (void *)wide), TS_OK);
                assert_int_equal(engine->train(training, 0, 1, &reached), TS_OK);
                assert_int_equal(reached, 1);
                assert_int_equal(engine->get_state(training, 0, side ? (void *)narrow : (void *)wide), TS_OK);
                engine->destroy(training);
            }
            for (size_t p = n; p < 2 * n; p++) {
                error += pow(narrow[p] - wide[p], 2);
                way += pow(wide[p], 2);
            }
            if (!(sqrt(error) <= 1e-4 * sqrt(way)))
                fail_msg("%s, weights times 1e%d: error %g of a gradient of %g for: %s", backend, e,
                         sqrt(error), sqrt(way), SWEEPS[k]);
            ts_free(wide);
            ts_free(narrow);
            support_close(&f);
        }
}

// --- One pair among many ---

// Weights of an mlp with which the label of the pair (a, b) is infinitely far behind, and all logits of others are 0.
static inline void support_lose_one_pair(const support_instance *f, int n, int a, int b, int label,
                                         float *weights) {
    ts_parameter_layout layout;
    f->params.schema->model->layout(&f->params, &layout);
    const ts_tensor *x = &layout.tensor[0], *y = &layout.tensor[1], *w = &layout.tensor[2],
                    *u = &layout.tensor[3];
    int64_t embed = x->size[1], hidden = w->size[1];
    memset(weights, 0, (size_t)layout.total * sizeof *weights);
    for (int64_t token = 0; token < n; token++) {
        weights[x->offset + token * embed] = token == a ? 1 : -1;
        weights[y->offset + token * embed] = token == b ? 1 : -1;
    }
    weights[w->offset] = weights[w->offset + embed * hidden] =
        1; // the first hidden unit: 2 for the pair, else 0
    weights[u->offset + label] = -1.5e38f;
    weights[u->offset + (label + 1) % n] = 1.5e38f;
}

// A loss that is not finite is noticed wherever its pair stands among those of a training, before the update.
static inline void support_one_lost_pair_ends_it(const char *backend) {
    static const char *const SWEEPS[] = {
        "task: group\ngroup: C11\ntrain_fraction: 0.8\nembed: 3\nhidden: 9\nsteps: 9\n",
        "task: group\ngroup: C11\ntrain_fraction: 0.8\nembed: 3\nhidden: 130\nsteps: 9\n",
    };
    enum { N = 11 };
    for (int k = 0; k < 2; k++) {
        support_instance f;
        support_open(&f, SWEEPS[k]);
        size_t n = (size_t)f.parameters;
        float *state = ts_alloc_zero(3 * n, sizeof *state, "a state"),
              *after = ts_alloc_zero(3 * n, sizeof *after, "a state");
        const ts_engine *engine = ts_backend_engine(ts_backend_find(backend), f.params.schema->model->name);
        int ended = 0;
        void *training;
        assert_int_equal(engine->create(&f.spec, &training), TS_OK);
        for (int pair = 0; pair < N * N; pair += 3) {
            int64_t reached = 0;
            support_lose_one_pair(&f, N, pair / N, pair % N, (pair / N + pair % N) % N, state);
            assert_int_equal(engine->set_state(training, 0, state), TS_OK);
            assert_int_equal(engine->train(training, 0, 1, &reached), TS_OK);
            assert_int_equal(engine->get_state(training, 0, after), TS_OK);
            if (reached == 0 && memcmp(state, after, 3 * n * sizeof *state) != 0)
                fail_msg("%s: the loss of the pair %d is not noticed before the update", backend, pair);
            ended += reached == 0;
        }
        engine->destroy(training);
        assert_in_range(ended, N * N / 3 / 2, N * N / 3); // the others are test pairs
        ts_free(state);
        ts_free(after);
        support_close(&f);
    }
}
