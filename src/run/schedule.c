// Rows still pending become ranges, saved units come first.
#include "run/schedule.h"

#include "base/memory.h"
#include "integrity/state.h"
#include "results/rows.h"

#include <string.h>

// Pending rows outside saved units, as ranges.
static int64_t list_pending(const ts_job *job, const uint8_t *status, const uint8_t *taken, ts_unit *out) {
    int64_t n = 0, row_of_all = 0;
    for (int c = 0; c < job->cases; c++) {
        const ts_case *of = ts_sweep_case(job->sweep, c);
        bool open = false;
        for (int64_t row = 0; row < of->rows; row++, row_of_all++) {
            bool waits = status[of->instance[row]] == TS_ROW_PENDING && !taken[row_of_all];
            if (waits && open)
                out[n - 1].rows++;
            else if (waits)
                out[n++] = (ts_unit){c, row, 1};
            open = waits;
        }
    }
    return n;
}

// Keeps the saved units that still fit: all of their rows pending, none in two units. Marks their rows as taken.
static int64_t keep_saved(const ts_job *job, const uint8_t *status, ts_unit *saved, int64_t n_saved,
                          const int64_t *first_of_case, uint8_t *taken) {
    int64_t kept = 0;
    for (int64_t i = 0; i < n_saved; i++) {
        const ts_unit *unit = &saved[i];
        if (unit->case_index < 0 || unit->case_index >= job->cases)
            continue;
        const ts_case *of = ts_sweep_case(job->sweep, unit->case_index);
        bool fits = unit->first_row >= 0 && unit->rows > 0 && unit->first_row < of->rows &&
                    unit->rows <= of->rows - unit->first_row;
        for (int64_t k = 0; fits && k < unit->rows; k++)
            fits = status[of->instance[unit->first_row + k]] == TS_ROW_PENDING &&
                   !taken[first_of_case[unit->case_index] + unit->first_row + k];
        if (!fits) {
            ts_state_remove(job->state_directory, unit);
            continue;
        }
        memset(taken + first_of_case[unit->case_index] + unit->first_row, 1, (size_t)unit->rows);
        saved[kept++] = *unit;
    }
    return kept;
}

ts_status ts_schedule_make(ts_job *job, const uint8_t *row_status, int ranks, int slots, int64_t slot_bytes,
                           int ranks_per_instance, ts_coordinator **coordinator) {
    int64_t n = ts_sweep_instances(job->sweep), n_saved = 0;
    ts_unit *saved = NULL;
    uint8_t *taken = ts_alloc_zero((size_t)n, 1, "the schedule");
    ts_unit *pending = ts_alloc((size_t)(n / 2 + job->cases + 1) * sizeof *pending, "the schedule");
    ts_coordinator_case *cases = ts_alloc_zero((size_t)job->cases, sizeof *cases, "the schedule");
    int64_t *first = ts_alloc_zero((size_t)job->cases, sizeof *first, "the schedule");
    ts_status status = taken && pending && cases && first ? TS_OK : TS_ERROR_FATAL;
    if (status == TS_OK)
        status = ts_state_list(job->state_directory, &saved, &n_saved);
    if (status == TS_OK) {
        int64_t rows = 0;
        for (int c = 0; c < job->cases; c++) {
            cases[c] = ts_job_case(job, c);
            first[c] = rows;
            rows += ts_sweep_case(job->sweep, c)->rows;
        }
        n_saved = keep_saved(job, row_status, saved, n_saved, first, taken);
        ts_coordinator_setup setup = {
            .ranks = ranks,
            .slots = slots,
            .slot_bytes = slot_bytes,
            .cases = job->cases,
            .cases_of = cases,
            .pending = pending,
            .n_pending = list_pending(job, row_status, taken, pending),
            .saved = saved,
            .n_saved = n_saved,
            .ranks_per_instance = ranks_per_instance,
        };
        status = ts_coordinator_create(&setup, coordinator);
    }
    ts_free(taken);
    ts_free(pending);
    ts_free(cases);
    ts_free(first);
    ts_free(saved);
    return status;
}
