// `toysweep status --watch`: the whole terminal as a table of a results file, drawn anew while a run writes it. Never
// touches the run's files.
#pragma once

#include "results/reader.h"
#include "sweep/grid.h"

// Draws once, and then every two seconds until no run is writing any more (*over) or its user has enough. sweep, grid:
// NULL where they are not known. After ts_screen_check. TS_ERROR_FATAL: the file cannot be read any more, or another
// one has its place.
ts_status ts_watch(const char *path, ts_reader *reader, const ts_sweep *sweep, const ts_grid *grid, bool *over);
