// A trainer as bytes, and back; and one that begins where instances with fewer steps have ended.
#include "train/trainer.h"

#include "measure/measure.h"
#include "train/trainer_parts.h"

#include <math.h>
#include <string.h>

// --- Saved state: a header, reached and diverged (count), latest losses (count, TS_LATEST_LOSSES), records (count),
// kept weights, engine states (count) ---

const char *const ts_latest_loss[TS_LATEST_LOSSES] = {"train_loss", "test_loss", "exact_loss"};

typedef struct state_header {
    int64_t count, step, checkpoint, measured, reviewed, record_bytes, engine_bytes;
} state_header;

static state_header header_of(const ts_trainer *t) {
    return (state_header){
        .count = t->spec.count,
        .step = t->step,
        .checkpoint = t->checkpoint,
        .measured = t->measured,
        .reviewed = t->reviewed,
        .record_bytes = (int64_t)t->spec.layout->bytes,
        .engine_bytes = (int64_t)t->spec.engine->state_bytes(t->training),
    };
}

// Of a state with that header, and so many places of kept weights filled.
static size_t state_bytes(const ts_trainer *t, const state_header *header, int64_t places) {
    size_t each =
        (size_t)header->record_bytes + (size_t)places * ts_trainer_kept_bytes(t) + (size_t)header->engine_bytes;
    return ts_trainer_latest_bytes(header->count) + (size_t)header->count * each;
}

static int64_t places_of(const ts_trainer *t, const state_header *header) {
    return ts_record_kept_before(t->spec.layout,
                                 header->checkpoint + ts_trainer_is_begun(header->measured, header->reviewed));
}

size_t ts_trainer_most_state_bytes(const ts_trainer *t) {
    state_header header = header_of(t);
    return state_bytes(t, &header, t->spec.layout->kept);
}

size_t ts_trainer_latest_bytes(int64_t count) {
    return sizeof(state_header) + (size_t)count * (2 * sizeof(int64_t) + TS_LATEST_LOSSES * sizeof(double));
}

// Of an instance, at the last checkpoint that it was measured at.
static void get_latest(const ts_trainer *t, int i, double loss[TS_LATEST_LOSSES]) {
    bool measured = i < t->measured || (i == t->measured && t->reviewed > 0);
    int64_t k = t->checkpoint - (measured ? 0 : 1);
    for (; k > 0 && t->spec.layout->step[k] > ts_trainer_steps_of(t->reached[i]);)
        k--;
    for (int l = 0; l < TS_LATEST_LOSSES; l++) {
        ts_measures m = ts_measures_listed(&t->params[i], t->spec.data, t->spec.layout->listing);
        loss[l] = NAN;
        if (k >= 0 && ts_measures_find(&m, ts_latest_loss[l]))
            ts_record_get_measure(t->spec.layout, k, ts_trainer_record_of(t, i), m.offset, 1, &loss[l]);
    }
}

bool ts_trainer_latest(const void *state, int64_t count, ts_latest *latest) {
    const char *at = state;
    state_header header;
    memcpy(&header, at, sizeof header);
    if (header.count != count)
        return false;
    const char *losses = at + sizeof header + (size_t)count * 2 * sizeof(int64_t);
    for (int64_t i = 0; i < count; i++) {
        int64_t reached;
        memcpy(&reached, at + sizeof header + (size_t)i * sizeof reached, sizeof reached);
        latest[i].steps_done = ts_trainer_steps_of(reached);
        memcpy(latest[i].loss, losses + (size_t)i * sizeof latest[i].loss, sizeof latest[i].loss);
    }
    return true;
}

const void *ts_trainer_saved_records(const void *state, size_t bytes, const ts_record_layout *layout, int64_t count) {
    state_header header;
    size_t records = ts_trainer_latest_bytes(count) + (size_t)count * layout->bytes;
    if (bytes < records)
        return NULL;
    memcpy(&header, state, sizeof header);
    bool fits = header.count == count && header.record_bytes == (int64_t)layout->bytes;
    return fits ? (const char *)state + ts_trainer_latest_bytes(count) : NULL;
}

ts_status ts_trainer_save(const ts_trainer *t, void **out, size_t *bytes) {
    state_header header = header_of(t);
    size_t count = (size_t)t->spec.count, record_bytes = t->spec.layout->bytes;
    int64_t places = places_of(t, &header);
    *bytes = state_bytes(t, &header, places);
    char *state = ts_alloc(*bytes, "a unit's state"), *at = state;
    ts_status status = state ? TS_OK : TS_ERROR_MEMORY;
    *out = state;
    if (status != TS_OK)
        return status;
    memcpy(at, &header, sizeof header);
    at += sizeof header;
    memcpy(at, t->reached, count * sizeof(int64_t));
    at += count * sizeof(int64_t);
    memcpy(at, t->diverged, count * sizeof(int64_t));
    at += count * sizeof(int64_t);
    for (int i = 0; i < t->spec.count; i++, at += TS_LATEST_LOSSES * sizeof(double)) {
        double loss[TS_LATEST_LOSSES];
        get_latest(t, i, loss);
        memcpy(at, loss, sizeof loss);
    }
    memcpy(at, t->records, count * record_bytes);
    at += count * record_bytes;
    memcpy(at, t->kept, (size_t)places * count * ts_trainer_kept_bytes(t));
    at += (size_t)places * count * ts_trainer_kept_bytes(t);
    for (int i = 0; i < t->spec.count && status == TS_OK; i++, at += header.engine_bytes)
        status = t->spec.engine->get_state(t->training, i, at);
    if (status != TS_OK) {
        ts_free(state);
        *out = NULL;
    }
    return status;
}

// Whether a state of that header can be one of this trainer's: its sizes, and a place between two checkpoints or within
// the measures of one.
static bool header_fits(const ts_trainer *t, const state_header *header, size_t bytes) {
    const ts_record_layout *layout = t->spec.layout;
    state_header mine = header_of(t);
    return header->count == mine.count && header->record_bytes == mine.record_bytes &&
           header->engine_bytes == mine.engine_bytes && header->step >= 0 && header->step <= t->steps &&
           header->checkpoint >= 0 && header->checkpoint <= layout->checkpoints &&
           (header->checkpoint == 0 || layout->step[header->checkpoint - 1] <= header->step) &&
           (header->checkpoint == layout->checkpoints || header->step <= layout->step[header->checkpoint]) &&
           header->measured >= 0 && header->measured < mine.count && header->reviewed >= 0 &&
           header->reviewed <= header->checkpoint + 1 &&
           (!ts_trainer_is_begun(header->measured, header->reviewed) ||
            (header->checkpoint < layout->checkpoints && header->step == layout->step[header->checkpoint])) &&
           bytes == state_bytes(t, header, places_of(t, header));
}

// Every instance is where its unit is, or has ended before; reached and diverged (count), as they lie in the state.
static bool reached_fits(const ts_trainer *t, int64_t step, const char *reached) {
    const char *diverged = reached + (size_t)t->spec.count * sizeof(int64_t);
    for (int i = 0; i < t->spec.count; i++) {
        int64_t mine, what;
        memcpy(&mine, reached + (size_t)i * sizeof mine, sizeof mine);
        memcpy(&what, diverged + (size_t)i * sizeof what, sizeof what);
        if (mine < 0 ? ts_trainer_steps_of(mine) > step : mine != step || what != 0)
            return false;
    }
    return true;
}

ts_status ts_trainer_restore(ts_trainer *t, const void *state, size_t bytes) {
    state_header header = {0};
    const char *at = state;
    size_t count = (size_t)t->spec.count, record_bytes = t->spec.layout->bytes;
    if (bytes >= sizeof header)
        memcpy(&header, at, sizeof header);
    at += sizeof header;
    if (!header_fits(t, &header, bytes) || !reached_fits(t, header.step, at))
        return ts_fail(TS_ERROR_UNIT, "a unit's saved state does not fit the unit");
    memcpy(t->reached, at, count * sizeof(int64_t));
    at += count * sizeof(int64_t);
    memcpy(t->diverged, at, count * sizeof(int64_t));
    at = (const char *)state + ts_trainer_latest_bytes(header.count);
    memcpy(t->records, at, count * record_bytes);
    at += count * record_bytes;
    memcpy(t->kept, at, (size_t)places_of(t, &header) * count * ts_trainer_kept_bytes(t));
    at += (size_t)places_of(t, &header) * count * ts_trainer_kept_bytes(t);
    for (int i = 0; i < t->spec.count; i++, at += header.engine_bytes) {
        ts_status status = t->spec.engine->set_state(t->training, i, at);
        if (status != TS_OK)
            return status;
    }
    t->step = header.step;
    t->checkpoint = header.checkpoint;
    t->measured = header.measured;
    t->reviewed = header.reviewed;
    atomic_store(&t->progress, (double)t->step / (double)t->steps);
    return TS_OK;
}

// --- More steps ---

// The other way round from the last, as the numbers lie one over the other.
static void widen(void *numbers, int64_t count) {
    for (int64_t k = count - 1; k >= 0; k--) {
        float number;
        memcpy(&number, (char *)numbers + (size_t)k * sizeof number, sizeof number);
        double wide = number;
        memcpy((char *)numbers + (size_t)k * sizeof wide, &wide, sizeof wide);
    }
}

static void narrow(void *numbers, int64_t count) {
    for (int64_t k = 0; k < count; k++) {
        double wide;
        memcpy(&wide, (char *)numbers + (size_t)k * sizeof wide, sizeof wide);
        float number = (float)wide;
        memcpy((char *)numbers + (size_t)k * sizeof number, &number, sizeof number);
    }
}

// Whether the engine's states are float32, and so half as long as they are in a record.
static bool is_narrow(const ts_trainer *t, int64_t count) {
    return t->spec.engine->state_bytes(t->training) == (size_t)count * sizeof(float);
}

ts_status ts_trainer_keep_state(ts_trainer *t, int instance) {
    int64_t count;
    void *numbers = ts_record_state(t->spec.layout, ts_trainer_record_of(t, instance), &count);
    ts_status status = numbers ? t->spec.engine->get_state(t->training, instance, numbers) : TS_OK;
    if (numbers && status == TS_OK && is_narrow(t, count))
        widen(numbers, count);
    return status;
}

// Takes an instance's state out of a record, which loses it.
static ts_status set_state(ts_trainer *t, int instance, const ts_record_layout *of, void *record) {
    int64_t count;
    double *numbers = ts_record_state(of, record, &count);
    if (!numbers || isnan(numbers[0]))
        return ts_fail(TS_ERROR_UNIT, "its state was not kept");
    if (is_narrow(t, count))
        narrow(numbers, count);
    return t->spec.engine->set_state(t->training, instance, numbers);
}

ts_status ts_trainer_go_on(ts_trainer *t, int64_t step, const ts_record_layout *of, void *ended) {
    const ts_record_layout *layout = t->spec.layout;
    ts_status status = TS_OK;
    if (step < 0 || step >= t->steps)
        return ts_fail(TS_ERROR_UNIT, "it has no fewer steps");
    for (int i = 0; i < t->spec.count && status == TS_OK; i++) {
        char *record = (char *)ended + (size_t)i * of->bytes;
        if (!ts_record_go_on(layout, ts_trainer_record_of(t, i), step, of, record))
            return ts_fail(TS_ERROR_UNIT, "it was measured at other steps");
        t->reached[i] = step;
        status = set_state(t, i, of, record);
    }
    t->step = step;
    for (t->checkpoint = 0; layout->step[t->checkpoint] < step;)
        t->checkpoint++;
    atomic_store(&t->progress, (double)t->step / (double)t->steps);
    return status;
}
