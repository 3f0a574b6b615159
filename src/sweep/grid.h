// The points of a sweep's grid: instances that differ in nothing but their seeds, together. What reports show a line
// for; a case (sweep.h) holds the instances of equal shapes, which may be those of many points.
#pragma once

#include "base/text.h"
#include "sweep/sweep.h"

typedef struct ts_grid {
    const ts_sweep *sweep; // must outlive the grid
    int64_t points;
    int64_t *first;    // (points + 1) where a point's instances begin in `instance`; owned
    int64_t *instance; // (instances) ascending within a point; points by their first instance; owned
    int32_t *point_of; // (instances) owned
} ts_grid;

ts_status ts_grid_make(const ts_sweep *sweep, ts_grid **grid);
void ts_grid_free(ts_grid *grid);

// "depth=3,lr=0.01": the keys that are swept (ts_sweep_swept); "all" if only seeds are. Replaces what is in `out`.
void ts_grid_label(const ts_grid *grid, int64_t point, ts_text *out);
