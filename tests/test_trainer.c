// The trainer: pausing, saving and packing never change a bit; divergence stops one instance only.
#define _POSIX_C_SOURCE 200809L
#include "model/network.h"
#include "support_engine.h"
#include "support_trainer.h"
#include "train/divergence.h"

static void open_unit(support_unit *unit, const char *text) {
    support_open(&unit->of, text);
    support_unit_open(unit, NULL);
}

static const char *const SWEEP = "task: tree\ndepth: 3\nhidden: 4\nsteps: 500\ncheckpoints: {log: 20}\n"
                                 "save: checkpoints\ninstances: 4\n";

TEST(test_packing_does_not_change_a_record) {
    support_unit f;
    open_unit(&f, SWEEP);
    ts_trainer *together = support_finish(&f.spec);
    for (int i = 0; i < 4; i++) {
        ts_trainer_spec spec = f.spec;
        spec.params = &f.of.all[i];
        spec.count = 1;
        ts_trainer *alone = support_finish(&spec);
        assert_memory_equal(ts_trainer_result(together, i).record, ts_trainer_result(alone, 0).record, f.layout->bytes);
        ts_trainer_free(alone);
    }
    ts_trainer_free(together);
    support_unit_close(&f);
}

// What the trainer has done, in a trainer of its own.
static ts_trainer *moved(const ts_trainer_spec *spec, ts_trainer *trainer) {
    void *saved;
    size_t bytes;
    assert_int_equal(ts_trainer_save(trainer, &saved, &bytes), TS_OK);
    ts_trainer_free(trainer);
    assert_int_equal(ts_trainer_create(spec, &trainer), TS_OK);
    assert_int_equal(ts_trainer_restore(trainer, saved, bytes), TS_OK);
    assert_int_equal(ts_trainer_restore(trainer, saved, bytes - 1), TS_ERROR_UNIT);
    ts_free(saved);
    return trainer;
}

// Advances in many small pieces, through a saved state each time.
TEST(test_resume_is_bit_identical) {
    support_unit f;
    open_unit(&f, SWEEP);
    ts_trainer *whole = support_finish(&f.spec), *trainer;
    assert_int_equal(ts_trainer_create(&f.spec, &trainer), TS_OK);
    atomic_int stop = 1, go = 0;
    bool finished = false;
    for (int piece = 0; piece < 3; piece++) {
        // A paused trainer does nothing.
        assert_int_equal(ts_trainer_advance(trainer, &stop, &finished), TS_OK);
        assert_false(finished);
        trainer = moved(&f.spec, trainer);
    }
    assert_int_equal(ts_trainer_advance(trainer, &go, &finished), TS_OK);
    assert_true(finished);
    for (int i = 0; i < 4; i++)
        assert_memory_equal(ts_trainer_result(whole, i).record, ts_trainer_result(trainer, i).record, f.layout->bytes);
    ts_trainer_free(whole);
    ts_trainer_free(trainer);
    support_unit_close(&f);
}

// An engine whose weights are asked for, by measures, while somebody asks the trainer to pause.
static ts_engine asked;
static const ts_engine *answering;
static atomic_int asked_to;
static uint32_t asked_for;

static ts_status ask(const void *training, int instance, float *parameters) {
    static const int ANSWERS[] = {TS_PAUSE_STOP, TS_PAUSE_NONE, TS_PAUSE_SAVE, TS_PAUSE_NONE, TS_PAUSE_NONE};
    asked_for = asked_for * 1664525u + 1013904223u;
    atomic_store(&asked_to, ANSWERS[(asked_for >> 16) % 5]);
    return answering->get_parameters(training, instance, parameters);
}

// Each pause in a trainer of its own.
static ts_trainer *finish_asked(ts_trainer_spec spec) {
    ts_trainer *trainer;
    bool finished = false;
    answering = spec.engine;
    asked = *answering;
    asked.get_parameters = ask;
    spec.engine = &asked;
    assert_int_equal(ts_trainer_create(&spec, &trainer), TS_OK);
    for (int pauses = 0;; pauses++) {
        atomic_store(&asked_to, TS_PAUSE_NONE);
        assert_int_equal(ts_trainer_advance(trainer, &asked_to, &finished), TS_OK);
        if (finished) {
            assert_true(pauses >= 3);
            return trainer;
        }
        trainer = moved(&spec, trainer);
    }
}

TEST(test_measures_given_up_are_made_again) {
    const char *const sweeps[] = {
        SWEEP,
        // Three of the six stop early, at step 100.
        "task: group\ngroup: S3xC2\nembed: 32\nhidden: 32\ntrain_fraction: 0.9\nsteps: 300\n"
        "checkpoints: {every: 10}\ninstances: 6\nstop: {test_loss: 3, for: 100}\n",
        "task: power\np: 11\nm: 2\nn: 2\nmodel: transformer\nd_model: 16\nheads: 2\nd_head: 8\nd_mlp: 16\n"
        "steps: 20\ncheckpoints: {every: 1}\n",
        "task: group\ngroup: D7\nembed: 16\nhidden: 16\nsteps: 20\ncheckpoints: {every: 1}\n",
    };
    for (size_t k = 0; k < sizeof sweeps / sizeof *sweeps; k++) {
        support_unit f;
        open_unit(&f, sweeps[k]);
        ts_trainer *whole = support_finish(&f.spec), *paused = finish_asked(f.spec);
        for (int i = 0; i < f.spec.count; i++) {
            ts_trained expected = ts_trainer_result(whole, i), found = ts_trainer_result(paused, i);
            assert_int_equal(found.steps_done, expected.steps_done);
            assert_memory_equal(found.record, expected.record, f.layout->bytes);
        }
        assert_int_equal(ts_trainer_result(whole, 0).steps_done,
                         k == 1 ? 100 : ts_params_integer(&f.of.params, "steps"));
        ts_trainer_free(whole);
        ts_trainer_free(paused);
        support_unit_close(&f);
    }
}

TEST(test_a_diverged_instance_keeps_its_curve_and_its_neighbours) {
    support_unit f, good;
    open_unit(&f, "task: tree\ndepth: 3\nhidden: 4\nsteps: 300\ncheckpoints: {every: 1}\ngrid: {lr: [1e-3, 1e30]}\n");
    open_unit(&good, "task: tree\ndepth: 3\nhidden: 4\nsteps: 300\ncheckpoints: {every: 1}\nlr: 1e-3\n");
    ts_trainer *mixed = support_finish(&f.spec), *alone = support_finish(&good.spec);
    ts_trained fine = ts_trainer_result(mixed, 0), diverged = ts_trainer_result(mixed, 1);
    assert_null(fine.failure);
    assert_int_equal(fine.steps_done, 300);
    assert_memory_equal(fine.record, ts_trainer_result(alone, 0).record, f.layout->bytes);
    assert_non_null(diverged.failure);
    assert_true(diverged.steps_done > 0 && diverged.steps_done < 300);
    const ts_field *curve = support_field(f.layout, "train_loss", TS_FIELD_CASE);
    const ts_field *last = support_field(f.layout, "train_loss", TS_FIELD_ROOT);
    const double *losses = (const double *)((const char *)diverged.record + curve->offset);
    assert_true(isfinite(losses[0]));
    assert_true(isnan(losses[300]));
    uint64_t bits;
    memcpy(&bits, (const char *)diverged.record + last->offset, sizeof bits);
    assert_int_equal(bits, 0x7ff8000000000000u);
    ts_trainer_free(mixed);
    ts_trainer_free(alone);
    support_unit_close(&f);
    support_unit_close(&good);
}

// An engine that notices nothing, with one number of one instance's state spoiled from step 3 on.
static ts_engine blind;
static const ts_engine *seeing;
static int64_t blind_step;
static struct {
    size_t part;       // of weights, moments
    size_t parameters; // in each
    float value;
} spoil;

static ts_status blind_train(void *training, int64_t from, int64_t to, int64_t *reached) {
    blind_step = to;
    return seeing->train(training, from, to, reached);
}

static ts_status blind_state(const void *training, int instance, void *state) {
    ts_status status = seeing->get_state(training, instance, state);
    if (instance == 1 && blind_step >= 3)
        memcpy((float *)state + spoil.part * spoil.parameters + 1, &spoil.value, sizeof spoil.value);
    return status;
}

static void assert_fails(ts_trainer *trainer, int64_t steps_done, const char *why) {
    ts_trained result = ts_trainer_result(trainer, 1);
    assert_non_null(result.failure);
    assert_string_equal(result.failure, why);
    assert_int_equal(result.steps_done, steps_done);
    assert_null(ts_trainer_result(trainer, 0).failure);
    assert_int_equal(ts_trainer_result(trainer, 0).steps_done, 6);
}

// The forward pass of seed 1's fifth measures, those of step 4, is wrong: in the one sample of the batch, or (part 1)
// where all inputs are listed.

static struct lossy {
    ts_network network; // the model's own
    int measured, samples;
    bool on;
} lossy_state;

static void lossy_reconstruct(const void *weights, const int *active, const float *value, int count, double *x_hat) {
    lossy_state.network.reconstruct(weights, active, value, count, x_hat);
    if (lossy_state.measured == 5 && lossy_state.samples++ == (int)spoil.part)
        x_hat[0] = spoil.value;
}

// Linked in place of ts_network_open.
ts_status __real_ts_network_open(const ts_params *params, const float *parameters, ts_network *network);
ts_status __wrap_ts_network_open(const ts_params *params, const float *parameters, ts_network *network);
ts_status __wrap_ts_network_open(const ts_params *params, const float *parameters, ts_network *network) {
    ts_status status = __real_ts_network_open(params, parameters, network);
    if (!lossy_state.on)
        return status;
    lossy_state.network = *network;
    lossy_state.samples = 0;
    lossy_state.measured += ts_params_integer(params, "seed") == 1;
    network->reconstruct = ts_params_integer(params, "seed") == 1 ? lossy_reconstruct : network->reconstruct;
    return status;
}

TEST(test_an_engine_that_notices_nothing_makes_no_row) {
    static const char *const WHY[] = {"diverged: the weights are not finite at step 3",
                                      "diverged: the optimiser's moments are not finite at step 3"};
    static const float VALUES[] = {NAN, INFINITY, -INFINITY};
    support_unit f;
    open_unit(&f, "task: tree\ndepth: 2\nhidden: 3\nsteps: 6\nseed: [0, 1]\ncheckpoints: {every: 1}\nbatch: 1\n");
    ts_params *params = f.of.all;
    ts_trainer_spec spec = f.spec;
    seeing = spec.engine;
    blind = *seeing;
    blind.train = blind_train;
    blind.get_state = blind_state;
    spec.engine = &blind;
    spoil.parameters = (size_t)f.of.parameters;
    for (spoil.part = 0; spoil.part < support_parts(params); spoil.part++)
        for (int v = 0; v < 3; v++) {
            spoil.value = VALUES[v];
            blind_step = 0;
            ts_trainer *trainer = support_finish(&spec);
            assert_fails(trainer, 2, WHY[spoil.part > 0]);
            ts_trainer_free(trainer);
        }
    // Losses: train_loss, exact_loss.
    lossy_state.on = true;
    spec.engine = seeing;
    for (spoil.part = 0; spoil.part < 2; spoil.part++)
        for (int v = 0; v < 3; v++) {
            spoil.value = VALUES[v];
            lossy_state.measured = 0;
            ts_trainer *trainer = support_finish(&spec);
            if (spoil.part == 1 && v == 0) // NaN: unknown, as where inputs cannot be listed
                assert_null(ts_trainer_result(trainer, 1).failure);
            else
                assert_fails(trainer, 4, "diverged: the loss is not finite at step 4");
            ts_trainer_free(trainer);
        }
    lossy_state.on = false;
    support_unit_close(&f);
}

// A unit is saved and restored after every slice; slices are of one step at least.
TEST(test_a_saved_unit_remembers_how_its_instances_ended) {
    for (int which = 0; which < SUPPORT_SHORTS; which++) {
        char text[512];
        support_unit f;
        void *saved;
        size_t bytes;
        snprintf(text, sizeof text, "%ssteps: 8\ncheckpoints: [8]\nlr: [1e-3, 1, 1e4, 1e8, 1e12, 1e16, 1e20, 1e30]\n",
                 SUPPORT_SHORT[which]);
        open_unit(&f, text);
        ts_trainer *trainer = support_finish(&f.spec), *again;
        size_t count = (size_t)f.spec.count;
        assert_int_equal(ts_trainer_save(trainer, &saved, &bytes), TS_OK);
        assert_int_equal(ts_trainer_create(&f.spec, &again), TS_OK);
        // An instance is where its unit is, or has ended; and only one that has ended may have diverged.
        char *hostile = ts_alloc(bytes, "a state");
        enum { HEADER = 7 }; // numbers in it
        static const int64_t reached[] = {8, 7, 9}, diverged[] = {4, 0, 0};
        for (int k = 0; k < 3; k++) {
            memcpy(hostile, saved, bytes);
            memcpy(hostile + HEADER * sizeof *reached, &reached[k], sizeof *reached);
            memcpy(hostile + (HEADER + count) * sizeof *reached, &diverged[k], sizeof *diverged);
            assert_int_equal(ts_trainer_restore(again, hostile, bytes), TS_ERROR_UNIT);
        }
        assert_int_equal(ts_trainer_restore(again, saved, bytes), TS_OK);
        for (int i = 0; i < f.spec.count; i++) {
            ts_trained one = ts_trainer_result(trainer, i), other = ts_trainer_result(again, i);
            assert_int_equal(one.steps_done, other.steps_done);
            assert_string_equal(one.failure ? one.failure : "", other.failure ? other.failure : "");
            assert_memory_equal(one.record, other.record, f.layout->bytes);
        }
        assert_non_null(ts_trainer_result(trainer, 7).failure);
        ts_trainer_free(trainer);
        ts_trainer_free(again);
        ts_free(saved);
        ts_free(hostile);
        support_unit_close(&f);
    }
}

// Without an engine: from a saved unit's beginning, and its records from the whole.
TEST(test_a_saved_unit_tells_where_it_is) {
    support_unit f;
    open_unit(&f, SWEEP);
    ts_trainer *fresh, *trainer = support_finish(&f.spec);
    void *saved;
    size_t bytes, beginning = ts_trainer_latest_bytes(4);
    ts_latest latest[4];
    assert_int_equal(ts_trainer_save(trainer, &saved, &bytes), TS_OK);
    char *copy = ts_alloc(beginning, "the beginning");
    memcpy(copy, saved, beginning);
    assert_true(ts_trainer_latest(copy, 4, latest));
    assert_false(ts_trainer_latest(copy, 3, latest));
    const char *records = ts_trainer_saved_records(saved, bytes, f.layout, 4);
    assert_non_null(records);
    assert_null(ts_trainer_saved_records(saved, beginning, f.layout, 4));
    assert_null(ts_trainer_saved_records(saved, bytes, f.layout, 3));
    for (int i = 0; i < 4; i++) {
        const char *record = ts_trainer_result(trainer, i).record;
        assert_int_equal(latest[i].steps_done, 500);
        assert_memory_equal(records + (size_t)i * f.layout->bytes, record, f.layout->bytes);
        for (int l = 0; l < TS_LATEST_LOSSES; l++) {
            if (strcmp(ts_latest_loss[l], "test_loss") == 0) { // of tables
                assert_true(isnan(latest[i].loss[l]));
                continue;
            }
            const ts_field *curve = support_field(f.layout, ts_latest_loss[l], TS_FIELD_CASE);
            size_t at = curve->offset + (size_t)(f.layout->checkpoints - 1) * sizeof(double);
            assert_memory_equal(&latest[i].loss[l], record + at, sizeof(double));
        }
    }
    ts_free(saved);
    assert_int_equal(ts_trainer_create(&f.spec, &fresh), TS_OK);
    assert_int_equal(ts_trainer_save(fresh, &saved, &bytes), TS_OK);
    assert_true(ts_trainer_latest(saved, 4, latest));
    assert_true(latest[3].steps_done == 0 && isnan(latest[3].loss[0])); // nothing is measured yet
    ts_trainer_free(fresh);
    ts_trainer_free(trainer);
    ts_free(saved);
    ts_free(copy);
    support_unit_close(&f);
}

TEST(test_it_is_said_plainly) {
    char text[96];
    ts_divergence_say(TS_DIVERGED_LOSS, 12, text, sizeof text);
    assert_string_equal(text, "diverged: the loss is not finite at step 12");
    ts_divergence_say(TS_DIVERGED_WEIGHTS | TS_DIVERGED_MOMENTS, INT64_MAX, text, sizeof text);
    assert_string_equal(text,
                        "diverged: the weights and the optimiser's moments are not finite at step 9223372036854775807");
}

TEST(test_records_hold_what_save_asks_for) {
    static const char *const saves[] = {"none", "final", "checkpoints"};
    static const int ranks[] = {0, 2, 3};
    for (int s = 0; s < 3; s++) {
        char text[200];
        support_unit f;
        snprintf(text, sizeof text, "task: tree\ndepth: 2\nhidden: 3\nsteps: 40\ncheckpoints: {every: 10}\nsave: %s\n",
                 saves[s]);
        open_unit(&f, text);
        int weights = 0;
        for (int i = 0; i < f.layout->count; i++) {
            const ts_field *field = &f.layout->field[i];
            weights += field->place == TS_FIELD_WEIGHTS;
            if (field->place == TS_FIELD_WEIGHTS && strcmp(field->name, "W") == 0)
                assert_int_equal(field->rank, ranks[s]);
        }
        assert_int_equal(weights, s == 0 ? 0 : 2);
        assert_int_equal(f.layout->checkpoints, 5);
        support_unit_close(&f);
    }
}

// A small group is memorised, then understood.
TEST(test_a_small_group_generalises) {
    support_unit f;
    double accuracy[2];
    open_unit(&f, "task: group\ngroup: S3xC2\ntrain_fraction: 0.9\nembed: 64\nhidden: 64\nsteps: 4000\n"
                  "checkpoints: [4000]\nseed: 1\n");
    ts_trainer *trainer = support_finish(&f.spec);
    const char *record = ts_trainer_result(trainer, 0).record;
    for (int k = 0; k < 2; k++)
        memcpy(&accuracy[k],
               record + support_field(f.layout, k ? "test_accuracy" : "train_accuracy", TS_FIELD_ROOT)->offset,
               sizeof accuracy[k]);
    if (!(accuracy[0] == 1 && accuracy[1] > 0.95))
        fail_msg("train accuracy %g, test accuracy %g", accuracy[0], accuracy[1]);
    ts_trainer_free(trainer);
    support_unit_close(&f);
}

// As published: at depth 2 with early stopping three hidden units nearly always suffice, two never do.
TEST(test_final_losses_follow_the_published_distribution) {
    int solved = 0, stuck = 0, close = 0;
    for (int hidden = 2; hidden <= 3; hidden++) {
        for (int seed = 0; seed < 24; seed += 8) {
            char text[300];
            support_unit f;
            snprintf(text, sizeof text,
                     "task: tree\ndepth: 2\nhidden: %d\nsteps: 10000\ncheckpoints: [10000]\n"
                     "stacked_instances: 5\nseed: %d..%d\n",
                     hidden, seed, seed + 7);
            open_unit(&f, text);
            ts_trainer *trainer = support_finish(&f.spec);
            const ts_field *exact = support_field(f.layout, "exact_loss", TS_FIELD_ROOT);
            for (int i = 0; i < 8; i++) {
                double loss;
                memcpy(&loss, (const char *)ts_trainer_result(trainer, i).record + exact->offset, sizeof loss);
                solved += hidden == 3 && loss < 1e-9;
                stuck += hidden == 3 && fabs(loss - 1.0 / 96) < 1e-3 / 96;
                close += hidden == 2 && loss > 0.0020 && loss < 0.0025;
            }
            ts_trainer_free(trainer);
            support_unit_close(&f);
        }
    }
    print_message("of 24: hidden 3 solved %d, stuck at 1/96 %d; hidden 2 in 0.0020..0.0025 %d\n", solved, stuck, close);
    assert_true(solved >= 17);
    assert_true(solved + stuck >= 22);
    assert_true(close >= 13);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packing_does_not_change_a_record),
        cmocka_unit_test(test_resume_is_bit_identical),
        cmocka_unit_test(test_measures_given_up_are_made_again),
        cmocka_unit_test(test_a_diverged_instance_keeps_its_curve_and_its_neighbours),
        cmocka_unit_test(test_an_engine_that_notices_nothing_makes_no_row),
        cmocka_unit_test(test_a_saved_unit_remembers_how_its_instances_ended),
        cmocka_unit_test(test_a_saved_unit_tells_where_it_is),
        cmocka_unit_test(test_it_is_said_plainly),
        cmocka_unit_test(test_records_hold_what_save_asks_for),
        cmocka_unit_test(test_a_small_group_generalises),
        cmocka_unit_test(test_final_losses_follow_the_published_distribution),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
