// Sums over stacked instances.
#include "results/stacks.h"

#include "base/memory.h"
#include "sweep/grid.h"

#include <math.h>
#include <string.h>

// How many are stacked; 1 where none are.
static int64_t size_of_stack(const ts_sweep *sweep, int64_t instance) {
    ts_params params;
    ts_sweep_params(sweep, instance, &params);
    int key = ts_schema_find(params.schema, "stacked_instances");
    return key < 0 ? 1 : params.value[key].integer;
}

// NaN in the form that files have.
static double unknown(void) {
    static const uint64_t NAN64 = 0x7ff8000000000000u;
    double value;
    memcpy(&value, &NAN64, sizeof value);
    return value;
}

// The sum of a stack's losses, if all are done.
static double sum_of(const int64_t *instance, int64_t count, const uint8_t *status, const double *loss) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += status[instance[i]] == TS_ROW_DONE ? loss[instance[i]] : NAN;
    return isnan(sum) ? unknown() : sum;
}

// Of every instance, from the columns status and final_loss.
static void find_sums(const ts_grid *grid, const uint8_t *status, const double *loss, double *sum) {
    for (int64_t point = 0; point < grid->points; point++) {
        const int64_t *instance = grid->instance + grid->first[point];
        int64_t count = grid->first[point + 1] - grid->first[point], size = size_of_stack(grid->sweep, instance[0]);
        for (int64_t i = 0; i < count; i++) {
            bool begins = i % size == 0, whole = size > 1 && i - i % size + size <= count; // the last may be too few
            if (!whole)
                sum[instance[i]] = unknown();
            else
                sum[instance[i]] = begins ? sum_of(instance + i, size, status, loss) : sum[instance[i - 1]];
        }
    }
}

static void fill(ts_rows *rows, const ts_grid *grid, int64_t instances) {
    const ts_h5_form form = ts_format_list(TS_H5_FLOAT64, instances), bytes = ts_format_list(TS_H5_UINT8, instances);
    uint8_t *status = ts_alloc((size_t)instances, "sums of losses");
    double *loss = ts_alloc(3 * (size_t)instances * sizeof *loss, "sums of losses");
    if (status && loss) {
        double *sum = loss + instances, *found = sum + instances;
        ts_h5_read(rows->h5, rows->status, &bytes, 0, instances, status);
        ts_h5_read(rows->h5, rows->measure[ts_format_measure(&rows->measures, "final_loss")], &form, 0, instances,
                   loss);
        ts_h5_read(rows->h5, rows->stacked, &form, 0, instances, found);
        find_sums(grid, status, loss, sum);
        if (rows->h5->status == TS_OK && memcmp(sum, found, (size_t)instances * sizeof *sum) != 0)
            ts_h5_write(rows->h5, rows->stacked, &form, 0, instances, sum);
    } else {
        rows->h5->status = TS_ERROR_MEMORY;
    }
    ts_free(status);
    ts_free(loss);
}

void ts_stacks_fill(ts_rows *rows) {
    ts_grid *grid;
    if (rows->h5->status != TS_OK || rows->stacked < 0)
        return;
    rows->h5->status = ts_grid_make(rows->sweep, &grid);
    if (rows->h5->status != TS_OK)
        return;
    fill(rows, grid, ts_sweep_instances(rows->sweep));
    ts_grid_free(grid);
}
