// States listed, and looked into; rows read from one file, or a state, and written to another.
#define _POSIX_C_SOURCE 200809L
#include "run/live.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "integrity/state.h"
#include "results/records.h"
#include "run/target.h"

#include <stdio.h>
#include <string.h>

typedef struct states {
    ts_text directory;
    uint8_t digest[TS_SHA256_BYTES]; // the sweep's
    ts_unit *unit;                   // (count) those that have a state
    int64_t count;
} states;

// --- Units ---

static ts_status read_digest(const ts_reader *reader, uint8_t digest[TS_SHA256_BYTES]) {
    if (ts_sha256_of_text(ts_reader_attribute(reader, "sweep_sha256"), digest))
        return TS_OK;
    return ts_fail(TS_ERROR_FATAL, "its attribute sweep_sha256 is not 64 hexadecimal digits");
}

static bool is_of_sweep(const ts_sweep *sweep, const ts_unit *unit) {
    return unit->case_index < ts_sweep_cases(sweep) && unit->rows > 0 &&
           unit->rows <= ts_sweep_case(sweep, unit->case_index)->rows &&
           unit->first_row <= ts_sweep_case(sweep, unit->case_index)->rows - unit->rows;
}

// End also after a fault.
static ts_status find_states(const char *path, const ts_reader *reader, const ts_sweep *sweep, states *s) {
    *s = (states){0};
    ts_text_addf(&s->directory, "%s.state", path);
    ts_status status = ts_text_status(&s->directory);
    if (status == TS_OK)
        status = read_digest(reader, s->digest);
    if (status == TS_OK)
        status = ts_state_list(ts_text_get(&s->directory), &s->unit, &s->count);
    int64_t kept = 0;
    for (int64_t i = 0; i < s->count; i++)
        if (is_of_sweep(sweep, &s->unit[i]))
            s->unit[kept++] = s->unit[i];
    s->count = kept;
    return status;
}

static void end_states(states *s) {
    ts_text_free(&s->directory);
    ts_free(s->unit);
}

// --- The list ---

// Adds a unit's pending instances; of a state that cannot be read there are none.
static ts_status add_unit(const states *s, const ts_unit *unit, const ts_sweep *sweep, const uint8_t *status,
                          ts_live_instance *list, int64_t *count) {
    const ts_case *of = ts_sweep_case(sweep, unit->case_index);
    size_t bytes = ts_trainer_latest_bytes(unit->rows);
    void *beginning = ts_alloc(bytes, "a unit's state");
    ts_latest *latest = ts_alloc((size_t)unit->rows * sizeof *latest, "a unit's instances");
    if (beginning && latest && ts_state_peek(ts_text_get(&s->directory), s->digest, unit, beginning, bytes) &&
        ts_trainer_latest(beginning, unit->rows, latest))
        for (int64_t i = 0; i < unit->rows; i++) {
            int64_t instance = of->instance[unit->first_row + i];
            ts_params params;
            if (status[instance] != TS_ROW_PENDING)
                continue;
            ts_case_params(sweep, unit->case_index, unit->first_row + i, &params);
            list[(*count)++] = (ts_live_instance){instance, ts_params_integer(&params, "steps"), latest[i]};
        }
    ts_status result = beginning && latest ? TS_OK : TS_ERROR_MEMORY;
    ts_free(beginning);
    ts_free(latest);
    return result;
}

ts_status ts_live_list(const char *path, ts_reader *reader, const ts_sweep *sweep, ts_live_instance **list,
                       int64_t *count) {
    states s;
    const uint8_t *rows = NULL;
    int64_t most = 0;
    *list = NULL;
    *count = 0;
    ts_status status = find_states(path, reader, sweep, &s);
    if (status == TS_OK && s.count > 0)
        status = ts_reader_status(reader, &rows);
    for (int64_t i = 0; i < s.count; i++)
        most += s.unit[i].rows;
    if (status == TS_OK && most > 0 && !(*list = ts_alloc((size_t)most * sizeof **list, "unfinished instances")))
        status = TS_ERROR_MEMORY;
    for (int64_t i = 0; i < s.count && status == TS_OK; i++)
        status = add_unit(&s, &s.unit[i], sweep, rows, *list, count);
    end_states(&s);
    return status;
}

// --- A curve ---

static ts_status refuse_other_version(const char *path, const ts_reader *reader) {
    if (strcmp(ts_reader_attribute(reader, "version"), TOYSWEEP_VERSION) == 0)
        return TS_OK;
    return ts_fail(TS_ERROR_USER,
                   "'%s' is of toysweep %s, and this is %s: only the version that trains it knows its "
                   "states",
                   path, ts_reader_attribute(reader, "version"), TOYSWEEP_VERSION);
}

// The unit with a state that an instance is in, and its place there; NULL: none.
static const ts_unit *find_unit(const states *s, const ts_sweep *sweep, int64_t instance, int64_t *place) {
    int case_index = ts_sweep_case_of(sweep, instance);
    const ts_case *of = ts_sweep_case(sweep, case_index);
    for (int64_t u = 0; u < s->count; u++)
        for (*place = 0; s->unit[u].case_index == case_index && *place < s->unit[u].rows; ++*place)
            if (of->instance[s->unit[u].first_row + *place] == instance)
                return &s->unit[u];
    return NULL;
}

static const ts_field *find_curve(const ts_record_layout *layout, const char *name) {
    for (int f = 0; f < layout->count; f++)
        if (layout->field[f].place == TS_FIELD_CASE && layout->field[f].rank == 1 &&
            layout->field[f].size[0] == layout->checkpoints && strcmp(layout->field[f].name, name) == 0)
            return &layout->field[f];
    return NULL;
}

static ts_status read_curve(const ts_record_layout *layout, const char *name, const void *record, double **value,
                            int64_t *count) {
    const ts_field *field = find_curve(layout, name);
    field = field ? field : find_curve(layout, "train_loss");
    if (!field)
        return ts_fail(TS_ERROR_USER, "there are no curves '%s'", name);
    *value = ts_alloc((size_t)layout->checkpoints * sizeof **value, "a curve");
    *count = *value ? layout->checkpoints : 0;
    for (int64_t k = 0; k < *count; k++)
        ts_record_get_measure(layout, k, record, field->source, 1, &(*value)[k]);
    return *value ? TS_OK : TS_ERROR_MEMORY;
}

ts_status ts_live_curve(const char *path, const ts_reader *reader, const ts_sweep *sweep, int64_t instance,
                        const char *name, ts_record_layout **layout, double **value, int64_t *count) {
    enum { MOST_BYTES = 64 << 20 }; // of a state that is read for one curve
    states s;
    void *state = NULL;
    size_t bytes = 0;
    int64_t place = 0;
    *value = NULL;
    *count = 0;
    ts_status status = find_states(path, reader, sweep, &s);
    const ts_unit *unit = status == TS_OK ? find_unit(&s, sweep, instance, &place) : NULL;
    if (status == TS_OK)
        status = refuse_other_version(path, reader);
    if (status == TS_OK && unit)
        status = ts_state_load(ts_text_get(&s.directory), s.digest, unit, MOST_BYTES, &state, &bytes);
    if (status == TS_OK && state && !*layout)
        status = ts_records_layout(sweep, unit->case_index, layout);
    const char *records = status == TS_OK && state ? ts_trainer_saved_records(state, bytes, *layout, unit->rows) : NULL;
    if (status == TS_OK && !records)
        status = ts_fail(TS_ERROR_USER, "instance %lld has no state", (long long)instance);
    if (status == TS_OK)
        status = read_curve(*layout, name, records + (size_t)place * (*layout)->bytes, value, count);
    ts_free(state);
    end_states(&s);
    return status;
}

// --- The file ---

typedef struct copy {
    const char *path;
    const ts_reader *reader;
    const ts_sweep *sweep;
    int cases;
    ts_record_layout **layouts; // (cases)
    ts_target target;
    ts_records *records;
    ts_store *store;
    states states;
    int64_t count;
} copy;

static const ts_record_layout *const *layouts_of(const copy *c) {
    return (const ts_record_layout *const *)c->layouts;
}

static ts_status make_layouts(copy *c) {
    c->cases = ts_sweep_cases(c->sweep);
    c->layouts = ts_alloc_zero((size_t)c->cases, sizeof *c->layouts, "cases");
    ts_status status = c->layouts ? TS_OK : TS_ERROR_MEMORY;
    for (int i = 0; i < c->cases && status == TS_OK; i++)
        status = ts_records_layout(c->sweep, i, &c->layouts[i]);
    return status;
}

// Rows that are finished and whole, as they are.
static ts_status copy_case(copy *c, int case_index) {
    void *record = ts_alloc(c->layouts[case_index]->bytes, "a record");
    ts_status status = record ? TS_OK : TS_ERROR_MEMORY;
    for (int64_t i = 0; i < ts_sweep_case(c->sweep, case_index)->rows && status == TS_OK; i++) {
        ts_row row;
        bool intact;
        status = ts_records_read(c->records, case_index, i, record, &row, &intact);
        if (status == TS_OK && intact && row.status != TS_ROW_PENDING)
            status = ts_store_put(c->store, case_index, i, 1, &row);
    }
    ts_free(record);
    return status;
}

// A unit's rows as its state has them, those that are not finished in the file. They stay pending.
static ts_status put_unit(copy *c, const ts_unit *unit) {
    const ts_record_layout *layout = c->layouts[unit->case_index];
    void *state = NULL, *finished = ts_alloc(layout->bytes, "a record");
    size_t bytes = 0;
    ts_latest *latest = ts_alloc((size_t)unit->rows * sizeof *latest, "a unit's instances");
    ts_status status = finished && latest ? TS_OK : TS_ERROR_MEMORY;
    if (status == TS_OK)
        status = ts_state_load(ts_text_get(&c->states.directory), c->states.digest, unit, SIZE_MAX, &state, &bytes);
    const char *records = state ? ts_trainer_saved_records(state, bytes, layout, unit->rows) : NULL;
    bool fits = status == TS_OK && records && ts_trainer_latest(state, unit->rows, latest);
    for (int64_t i = 0; i < unit->rows && fits && status == TS_OK; i++) {
        ts_row row;
        bool intact;
        int64_t at = unit->first_row + i;
        status = ts_records_read(c->records, unit->case_index, at, finished, &row, &intact);
        bool pending = status == TS_OK && !(intact && row.status != TS_ROW_PENDING);
        if (pending)
            row = (ts_row){TS_ROW_PENDING, latest[i].steps_done, records + (size_t)i * layout->bytes};
        if (status == TS_OK) // also one that has been finished since its case was copied
            status = ts_store_put(c->store, unit->case_index, at, 1, &row);
        c->count += pending;
    }
    ts_free(state);
    ts_free(latest);
    ts_free(finished);
    return status;
}

static ts_status fill(void *context, ts_store *store) {
    copy *c = context;
    c->store = store;
    ts_status status = TS_OK;
    for (int i = 0; i < c->cases && status == TS_OK; i++)
        status = copy_case(c, i);
    for (int64_t i = 0; i < c->states.count && status == TS_OK; i++)
        status = put_unit(c, &c->states.unit[i]);
    return status == TS_OK ? ts_store_sync(c->store) : status;
}

ts_status ts_live_file(const char *path, const ts_reader *reader, const ts_sweep *sweep, const char *output,
                       int64_t *count) {
    copy *c = ts_alloc_zero(1, sizeof *c, "a results file");
    if (!c)
        return TS_ERROR_MEMORY;
    *c = (copy){.path = path, .reader = reader, .sweep = sweep, .target.lock.fd = -1};
    ts_status status = find_states(path, reader, sweep, &c->states);
    if (status == TS_OK)
        status = refuse_other_version(path, reader);
    if (status == TS_OK)
        status = make_layouts(c);
    if (status == TS_OK)
        status = ts_records_open(path, reader, sweep, layouts_of(c), &c->records);
    if (status == TS_OK)
        status = ts_target_begin(output, &c->target);
    if (status == TS_OK)
        status = ts_target_make(&c->target, sweep, layouts_of(c), ts_reader_attribute(reader, "backend"), fill, c);
    *count = c->count;
    ts_records_close(c->records);
    for (int i = 0; i < c->cases && c->layouts; i++)
        ts_record_layout_free(c->layouts[i]);
    ts_free(c->layouts);
    ts_target_end(&c->target);
    end_states(&c->states);
    ts_free(c);
    return status;
}
