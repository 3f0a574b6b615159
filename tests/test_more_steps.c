// Instances that go on from where they ended with fewer steps have the records of those that had all steps from the
// start, with every engine.
//   test_more_steps [BACKEND...]
#define _POSIX_C_SOURCE 200809L
#include "support_engine.h"
#include "support_trainer.h"

#ifdef TS_EMULATE
enum { FEWER = 3, MORE = 5, EVERY = 2 };
#else
enum { FEWER = 50, MORE = 90, EVERY = 20 };
#endif

static const char *const SWEEPS[] = {
    "task: tree\ndepth: 3\nhidden: 4\nbatch: 20\ninstances: 3\n",
    "task: independent\nfeatures: 6\nhidden: 3\ntied: false\nsamples: 16\ninstances: 2\n",
    // It is measured in hindsight, and two of the three stop early, one of them at step 0.
    "task: group\ngroup: S3\nembed: 8\nhidden: 16\ntrain_fraction: 0.7\nzip:\n  seed: 0..2\n"
    "  stop: [none, {test_loss: 1e9}, {test_loss: 1e9, for: 4}]\n",
    "task: group\ngroup: S3\nembed: 5\nhidden: 9\noptimizer: muon\ngrokfast: true\northograd: true\nkeys: none\n"
    "warmup: 3\n",
    "task: power\np: 5\nm: 2\nd_model: 8\nheads: 2\nd_head: 4\nd_mlp: 8\ninstances: 2\n",
};

static bool open_with(support_unit *unit, const char *text, int steps, const char *checkpoints, void *const *state) {
    char whole[1024];
    snprintf(whole, sizeof whole, "%ssteps: %d\ncheckpoints: %s\nsave: state\n", text, steps, checkpoints);
    support_open(&unit->of, whole);
    const ts_engine *engine = support_tested_engine(state, &unit->of.params);
    if (engine)
        support_unit_open(unit, engine);
    else
        support_close(&unit->of);
    return engine != NULL;
}

// The records of instances that have ended, one after the other.
static char *records_of(const support_unit *unit, ts_trainer *trainer) {
    char *all = ts_alloc((size_t)unit->spec.count * unit->layout->bytes, "records");
    assert_non_null(all);
    for (int i = 0; i < unit->spec.count; i++)
        memcpy(all + (size_t)i * unit->layout->bytes, ts_trainer_result(trainer, i).record, unit->layout->bytes);
    return all;
}

static void check_sweep(const char *text, const char *checkpoints, void *const *state) {
    support_unit fewer, more;
    if (!open_with(&fewer, text, FEWER, checkpoints, state))
        return;
    assert_true(open_with(&more, text, MORE, checkpoints, state));
    ts_trainer *ended = support_finish(&fewer.spec), *whole = support_finish(&more.spec), *trainer;
    char *records = records_of(&fewer, ended);
    atomic_int go = 0;
    bool finished;
    for (int i = 0; i < more.spec.count; i++) { // each from where it ended
        ts_trainer_spec spec = more.spec;
        spec.params += i;
        spec.count = 1;
        assert_int_equal(ts_trainer_create(&spec, &trainer), TS_OK);
        assert_int_equal(ts_trainer_go_on(trainer, ts_trainer_result(ended, i).steps_done, fewer.layout,
                                          records + (size_t)i * fewer.layout->bytes),
                         TS_OK);
        assert_int_equal(ts_trainer_advance(trainer, &go, &finished), TS_OK);
        assert_true(finished);
        assert_int_equal(ts_trainer_result(trainer, 0).steps_done, ts_trainer_result(whole, i).steps_done);
        assert_memory_equal(ts_trainer_result(trainer, 0).record, ts_trainer_result(whole, i).record,
                            more.layout->bytes);
        ts_trainer_free(trainer);
    }
    ts_trainer_free(ended);
    ts_trainer_free(whole);
    ts_free(records);
    support_unit_close(&fewer);
    support_unit_close(&more);
}

static void test_they_are_as_if_they_had_them_from_the_start(void **state) {
    char every[32];
    snprintf(every, sizeof every, "{every: %d}", EVERY);
    for (size_t i = 0; i < sizeof SWEEPS / sizeof *SWEEPS; i++)
        check_sweep(SWEEPS[i], every, state);
    check_sweep(SWEEPS[0], "[1, 2]", state);
}

// What does not fit is told from what does, and a record without a state is none to go on from.
static void test_what_does_not_fit_is_refused(void **state) {
    support_unit fewer, more;
    if (!open_with(&fewer, SWEEPS[0], FEWER, "[2]", state))
        return;
    assert_true(open_with(&more, SWEEPS[0], MORE, "[1]", state));
    ts_trainer *trainer;
    char *records = ts_alloc((size_t)fewer.spec.count * fewer.layout->bytes, "records");
    assert_non_null(records);
    for (int i = 0; i < fewer.spec.count; i++)
        ts_record_reset(fewer.layout, records + (size_t)i * fewer.layout->bytes);
    assert_int_equal(ts_trainer_create(&more.spec, &trainer), TS_OK);
    assert_int_equal(ts_trainer_go_on(trainer, FEWER, fewer.layout, records), TS_ERROR_UNIT);
    assert_non_null(strstr(ts_message(), "other steps"));
    ts_trainer_free(trainer);
    assert_int_equal(ts_trainer_create(&fewer.spec, &trainer), TS_OK);
    assert_int_equal(ts_trainer_go_on(trainer, FEWER - 1, fewer.layout, records), TS_ERROR_UNIT);
    assert_non_null(strstr(ts_message(), "not kept"));
    assert_int_equal(ts_trainer_go_on(trainer, FEWER, fewer.layout, records), TS_ERROR_UNIT);
    ts_trainer_free(trainer);
    ts_free(records);
    support_unit_close(&fewer);
    support_unit_close(&more);
}

int main(int argc, char **argv) {
    static const support_promise PROMISES[] = {
        {"they_are_as_if_they_had_them_from_the_start", test_they_are_as_if_they_had_them_from_the_start,
         SUPPORT_ENGINES_TOO, NULL},
        {"what_does_not_fit_is_refused", test_what_does_not_fit_is_refused, SUPPORT_BACKEND, NULL},
    };
    return SUPPORT_RUN(PROMISES, argc, argv);
}
