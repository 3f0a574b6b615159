// Of which sweep are some results files the parts? They were made from one sweep file with --set texts that differ:
// seed=0..4 here and seed=5..9 there, or a `where` each. Rank 0's alone.
#pragma once

#include "base/status.h"
#include "sweep/sweep.h"

// The sweep whose instances are exactly those of the files: without the --set texts in which they differ, or with what
// these give together. It has the name of the sweeps of the files where that is one, else that of the sweep file, or
// `name`. TS_ERROR_USER: there is none; the message says what is missing.
ts_status ts_whole_sweep(const char *const *files, int n_files, const char *name, ts_sweep **sweep);
