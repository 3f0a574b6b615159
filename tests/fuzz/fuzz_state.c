// Fuzz target: a unit's saved state. The first byte chooses: the rest is the file, as it is; or the payload of a file
// whose head and checksum are right; or flips in a state that was really saved. Whatever is restored trains to the
// end; whatever is refused leaves a trainer that starts over.
#define _GNU_SOURCE
#include "fuzz.h"

#include "backend/backend.h"
#include "base/file.h"
#include "base/log.h"
#include "integrity/state.h"
#include "train/trainer.h"

static const char SWEEP[] = "task: tree\ndepth: 2\nhidden: 2\nbatch: 8\nsteps: 12\ncheckpoints: [0, 3, 12]\n"
                            "save: checkpoints\ninstances: 2\n";
static const ts_unit UNIT = {0, 0, 2};
static const uint8_t DIGEST[32] = {1, 2, 3};

static ts_params params[2];
static ts_trainer_spec spec;
static char directory[64], path[96];
static void *saved; // of a trainer that was paused after the first checkpoint
static size_t saved_bytes;

static ts_trainer *make_trainer(void) {
    ts_trainer *trainer = NULL;
    fuzz_require(ts_trainer_create(&spec, &trainer) == TS_OK);
    return trainer;
}

static void set_up(void) {
    static ts_sweep *sweep; // these three are never freed: trainers use them
    static ts_data *data;
    static ts_record_layout *layout;
    sweep = fuzz_sweep(SWEEP);
    fuzz_require(sweep);
    for (int i = 0; i < 2; i++)
        ts_case_params(sweep, 0, i, &params[i]);
    fuzz_require(ts_data_create(&params[0], &data) == TS_OK);
    fuzz_require(ts_record_layout_make(&params[0], data, &layout) == TS_OK);
    spec.engine = ts_backend_engine(ts_backend_find("cpu"), &params[0], NULL);
    spec.params = params;
    spec.count = 2;
    spec.data = data;
    spec.layout = layout;
    ts_trainer *trainer = make_trainer();
    fuzz_require(ts_trainer_save(trainer, &saved, &saved_bytes) == TS_OK);
    ts_trainer_free(trainer);
    fuzz_directory(directory);
    snprintf(path, sizeof path, "%s/unit-0-0-2.bin", directory);
    stderr = fopen("/dev/null", "w"); // every state is warned of; sanitizers write to the descriptor
}

static void write_file(const uint8_t *data, size_t size) {
    FILE *file = fopen(path, "wb");
    fuzz_require(file && fwrite(data, 1, size, file) == size && fclose(file) == 0);
}

// The saved state with bytes changed: pairs of place (two bytes) and value.
static void save_changed(const uint8_t *data, size_t size) {
    uint8_t *changed = ts_alloc(saved_bytes, "a fuzz input");
    fuzz_require(changed);
    memcpy(changed, saved, saved_bytes);
    for (; size >= 3; data += 3, size -= 3)
        changed[(data[0] | data[1] << 8) % saved_bytes] = data[2];
    fuzz_require(ts_state_save(directory, NULL, DIGEST, &UNIT, changed, saved_bytes) == TS_OK);
    ts_free(changed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!saved)
        set_up();
    if (size == 0)
        return 0;
    ts_state_remove(directory, &UNIT);
    if (data[0] % 4 == 0)
        write_file(data + 1, size - 1);
    else if (data[0] % 4 == 1)
        fuzz_require(ts_state_save(directory, NULL, DIGEST, &UNIT, data + 1, size - 1) == TS_OK);
    else
        save_changed(data + 1, size - 1);
    void *state = NULL;
    size_t bytes = 0;
    fuzz_require(ts_state_load(directory, DIGEST, &UNIT, 1 << 20, &state, &bytes) == TS_OK);
    fuzz_require(data[0] % 4 == 0 || state);
    ts_trainer *trainer = make_trainer();
    atomic_int pause = 0;
    bool finished = false;
    if (state && ts_trainer_restore(trainer, state, bytes) != TS_OK)
        fuzz_require(*ts_message() && ts_trainer_progress(trainer) == 0);
    fuzz_require(ts_trainer_advance(trainer, &pause, &finished) == TS_OK && finished);
    for (int i = 0; i < 2; i++) {
        ts_trained trained = ts_trainer_result(trainer, i);
        fuzz_require(trained.steps_done >= 0 && trained.steps_done <= 12);
    }
    ts_trainer_free(trainer);
    ts_free(state);
    return 0;
}
