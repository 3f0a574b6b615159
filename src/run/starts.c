// Rows are read case by case, made a trainer of, and saved as that saves itself.
#include "run/starts.h"

#include "base/log.h"
#include "base/memory.h"
#include "integrity/old_rows.h"
#include "integrity/state.h"

#include <stdlib.h>
#include <string.h>

// Of a unit: enough for all slots in turns, and in states that are not too large.
enum { TURNS = 4, STATE_BYTES = 64 << 20 };

// A file that is read.
typedef struct old_file {
    ts_reader *reader;
    ts_old_rows *rows;
    const uint8_t *status; // (instances) the reader's
} old_file;

typedef struct making {
    const ts_starts *starts;
    const ts_job *job;
    bool *taken;    // (instances) in a saved unit
    old_file *file; // (files) NULL members: not open
    int64_t *started;
    // The unit at hand: rows of a case that lie in one case of one file and end at one step.
    ts_unit unit;
    const ts_fewer_steps *first;
    int of_file, of_case;     // the file's case
    ts_record_layout *layout; // of it; NULL: none
    char *ended;              // (room, layout->bytes)
    int64_t room;
} making;

// --- What waits ---

static const ts_fewer_steps *find(const ts_fewer_list *list, int64_t instance) {
    int64_t low = 0, high = list->count;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (list->item[middle].instance < instance)
            low = middle + 1;
        else
            high = middle;
    }
    return low < list->count && list->item[low].instance == instance ? &list->item[low] : NULL;
}

// What the row is to go on from; NULL: nothing.
static const ts_fewer_steps *start_of(const making *m, const ts_case *of, int64_t row) {
    int64_t instance = of->instance[row];
    bool waits = m->starts->status[instance] == TS_ROW_PENDING && !m->taken[instance];
    return waits ? find(m->starts->list, instance) : NULL;
}

// What is no state of this sweep, left by another one, would be in the way.
static ts_status mark_saved(making *m) {
    const ts_job *job = m->job;
    ts_unit *saved;
    int64_t count;
    ts_status status = ts_state_list(job->state_directory, &saved, &count);
    for (int64_t i = 0; i < count && status == TS_OK; i++) {
        const ts_unit *unit = &saved[i];
        char first;
        if (unit->case_index >= job->cases || !ts_state_peek(job->state_directory, job->digest, unit, &first, 1)) {
            ts_state_remove(job->state_directory, unit);
            continue;
        }
        const ts_case *of = ts_sweep_case(job->sweep, unit->case_index);
        for (int64_t row = unit->first_row; row < of->rows && row - unit->first_row < unit->rows; row++)
            m->taken[of->instance[row]] = true;
    }
    ts_free(saved);
    return status;
}

// --- A unit ---

// Rows of the case's units: few enough for every slot to have some, for memory and for states, enough to fill a GPU.
static int64_t most_rows(const making *m, int case_index, int64_t waiting) {
    const ts_starts *s = m->starts;
    ts_coordinator_case given = ts_job_case(m->job, case_index);
    int64_t share = waiting / (TURNS * (int64_t)s->slots), fill = (given.fill + s->rank_slots - 1) / s->rank_slots;
    int64_t rows = share > fill ? share : fill;
    int64_t small = STATE_BYTES / (int64_t)(m->job->layouts[case_index]->bytes + 1);
    int64_t fit = given.instance_bytes > 0 ? (s->slot_bytes - given.unit_bytes) / given.instance_bytes : rows;
    rows = rows < small ? rows : small;
    rows = rows < fit ? rows : fit;
    return rows < 1 ? 1 : rows;
}

static ts_status make_state(making *m, ts_trainer *trainer) {
    void *state = NULL;
    size_t bytes;
    ts_status status = ts_trainer_go_on(trainer, m->first->step, m->layout, m->ended);
    if (status == TS_OK)
        status = ts_trainer_save(trainer, &state, &bytes);
    if (status == TS_OK)
        status = ts_state_save(m->job->state_directory, m->job->lock, m->job->digest, &m->unit, state, bytes);
    ts_free(state);
    return status;
}

static ts_status save_unit(making *m) {
    const ts_unit *unit = &m->unit;
    ts_params *params = ts_alloc((size_t)unit->rows * sizeof *params, "a unit's parameters");
    if (!params)
        return TS_ERROR_MEMORY;
    for (int64_t i = 0; i < unit->rows; i++)
        ts_case_params(m->job->sweep, unit->case_index, unit->first_row + i, &params[i]);
    const ts_trainer_spec spec = {.params = params,
                                  .count = (int)unit->rows,
                                  .layout = m->job->layouts[unit->case_index],
                                  .data = m->job->data[unit->case_index],
                                  .engine = m->job->engines[unit->case_index]};
    ts_trainer *trainer = NULL;
    ts_status status = ts_trainer_create(&spec, &trainer);
    if (status == TS_OK)
        status = make_state(m, trainer);
    ts_trainer_free(trainer);
    ts_free(params);
    return status;
}

// Saves the unit at hand, if there is one.
static ts_status end_unit(making *m) {
    if (m->unit.rows == 0)
        return TS_OK;
    ts_status status = save_unit(m);
    const char *file = m->starts->files[m->first->file];
    if (status == TS_ERROR_UNIT || status == TS_ERROR_MEMORY) {
        ts_warn("--reuse: %lld instance%s of '%s', the first of them %lld, cannot go on from there (%s): trained from "
                "the start",
                (long long)m->unit.rows, ts_plural(m->unit.rows), file, (long long)m->first->old, ts_message());
        status = TS_OK;
    } else if (status == TS_OK) {
        m->started[m->first->file] += m->unit.rows;
    }
    m->unit.rows = 0;
    return status;
}

// --- Rows ---

static ts_status open_file(making *m, int number) {
    old_file *file = &m->file[number];
    if (file->rows)
        return TS_OK;
    const char *path = m->starts->files[number];
    ts_status status = ts_reader_open(path, &file->reader);
    if (status == TS_OK)
        status = ts_reader_status(file->reader, &file->status);
    return status != TS_OK ? status
                           : ts_old_rows_open(path, file->reader, m->job->sweep,
                                              (const ts_record_layout *const *)m->job->layouts, &file->rows);
}

// The case of the file that has the instance, and its row there; NULL: the file is not what it was.
static const ts_reader_case *find_row(const making *m, const ts_fewer_steps *one, int64_t *row) {
    const ts_reader *reader = m->file[one->file].reader;
    const ts_sweep *sweep = m->starts->list->sweep[one->file];
    int case_index = ts_sweep_case_of(sweep, one->old);
    const ts_reader_case *of = case_index < ts_reader_cases(reader) ? ts_reader_case_at(reader, case_index) : NULL;
    int64_t low = 0, high = of ? of->rows : 0;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (of->instance[middle] < one->old)
            low = middle + 1;
        else
            high = middle;
    }
    *row = low;
    return of && low < of->rows && of->instance[low] == one->old ? of : NULL;
}

static int old_case_of(const making *m, const ts_fewer_steps *one) {
    return ts_sweep_case_of(m->starts->list->sweep[one->file], one->old);
}

static void leave_case(making *m) {
    if (m->layout)
        ts_old_rows_leave(m->file[m->of_file].rows);
    ts_record_layout_free(m->layout);
    ts_free(m->ended);
    m->layout = NULL;
    m->ended = NULL;
}

// The layout of records of the file's case, whose data are those of the sweep's.
static ts_status enter_case(making *m, int case_index, const ts_fewer_steps *one) {
    int old_case = old_case_of(m, one);
    if (m->layout && m->of_file == one->file && m->of_case == old_case)
        return TS_OK;
    leave_case(m);
    m->of_file = one->file;
    m->of_case = old_case;
    ts_params params;
    ts_sweep_params(m->starts->list->sweep[one->file], one->old, &params);
    ts_status status = ts_record_layout_make(&params, m->job->data[case_index], &m->layout);
    if (status == TS_OK && !(m->ended = ts_alloc((size_t)m->room * m->layout->bytes, "rows to go on with")))
        status = TS_ERROR_MEMORY;
    return status;
}

// Whether the row can be of the unit at hand.
static bool continues(const making *m, const ts_fewer_steps *one, int64_t row) {
    return m->unit.rows > 0 && m->unit.rows < m->room && row == m->unit.first_row + m->unit.rows &&
           one->file == m->first->file && one->step == m->first->step && old_case_of(m, one) == m->of_case;
}

static ts_status add_row(making *m, int case_index, int64_t row, const ts_fewer_steps *one) {
    ts_row found;
    int64_t old_row;
    bool intact = false;
    ts_status status = open_file(m, one->file);
    if (status == TS_OK && !continues(m, one, row)) {
        status = end_unit(m);
        if (status == TS_OK)
            status = enter_case(m, case_index, one);
        m->unit = (ts_unit){case_index, row, 0};
        m->first = one;
    }
    if (status != TS_OK)
        return status;
    const old_file *file = &m->file[one->file];
    const ts_reader_case *of = find_row(m, one, &old_row);
    if (of)
        status = ts_old_rows_read(file->rows, of, old_row, (ts_row_status)file->status[one->old], m->layout,
                                  m->ended + (size_t)m->unit.rows * m->layout->bytes, &found, &intact);
    if (status != TS_OK || (intact && found.steps_done == one->step)) {
        m->unit.rows += status == TS_OK;
        return status;
    }
    ts_warn("'%s': instance %lld is damaged; with more steps it is trained from the start", m->starts->files[one->file],
            (long long)one->old);
    return end_unit(m);
}

static ts_status make_case(making *m, int case_index) {
    const ts_case *of = ts_sweep_case(m->job->sweep, case_index);
    int64_t waiting = 0;
    ts_status status = TS_OK;
    for (int64_t row = 0; row < of->rows; row++)
        waiting += start_of(m, of, row) != NULL;
    m->room = most_rows(m, case_index, waiting);
    for (int64_t row = 0; row < of->rows && waiting > 0 && status == TS_OK; row++) {
        const ts_fewer_steps *one = start_of(m, of, row);
        if (one)
            status = add_row(m, case_index, row, one);
    }
    if (status == TS_OK)
        status = end_unit(m);
    leave_case(m);
    return status;
}

ts_status ts_starts_make(const ts_starts *starts, int64_t *started) {
    int files = starts->list->files;
    int64_t instances = ts_sweep_instances(starts->job->sweep);
    making m = {.starts = starts, .job = starts->job, .started = started};
    if (starts->list->count == 0)
        return TS_OK;
    m.taken = ts_alloc_zero((size_t)instances, sizeof *m.taken, "rows to go on with");
    m.file = ts_alloc_zero((size_t)files, sizeof *m.file, "results files");
    ts_status status = m.taken && m.file ? mark_saved(&m) : TS_ERROR_MEMORY;
    for (int c = 0; c < m.job->cases && status == TS_OK; c++)
        status = make_case(&m, c);
    for (int i = 0; i < files && m.file; i++) {
        ts_status closed = ts_old_rows_close(m.file[i].rows);
        status = status == TS_OK ? closed : status;
        ts_reader_close(m.file[i].reader);
    }
    ts_free(m.taken);
    ts_free(m.file);
    return status == TS_ERROR_MEMORY ? TS_ERROR_FATAL : status;
}
