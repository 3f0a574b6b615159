// A sweep: the YAML file read, checked and expanded into instances, and the instances grouped into cases.
// Instances are not stored one by one: parameters are decoded on demand, so that ten million fit.
// Syntax: docs/sweep-file.md. Every rank expands the same text into the same sweep.
#pragma once

#include "base/status.h"
#include "param/key.h"
#include "sweep/source.h"
#include "sweep/synonyms.h"

#include <stdint.h>

typedef struct ts_sweep ts_sweep;

// Reads, checks and expands. On a fault: TS_ERROR_USER, and ts_sweep_errors() holds every error found, one
// line each ("file:line: key 'hiden': unknown; did you mean 'hidden'?"); ts_message() is the first of them.
ts_status ts_sweep_read(const ts_sweep_source *source, ts_sweep **sweep);
void ts_sweep_free(ts_sweep *sweep);

// All errors of this thread's last failed ts_sweep_read, newline-terminated lines; "" if none. Valid until
// the next.
const char *ts_sweep_errors(void);

// What an unknown word was meant to be, of all that a sweep file may have.
ts_meant ts_sweep_meant(const char *word);

const char *ts_sweep_name(const ts_sweep *sweep);
const char *ts_sweep_text(const ts_sweep *sweep); // the YAML, verbatim
int ts_sweep_overrides(const ts_sweep *sweep, const char *const **overrides);
int ts_sweep_files(const ts_sweep *sweep, const ts_file *const **files); // each path once, as first named

// Weights that its instances begin with, each once, as first met.
int64_t ts_sweep_initial(const ts_sweep *sweep, const ts_initial *const **initial);

// Over the name and every instance's identity, in order. TS_ERROR_MEMORY: it is not known.
ts_status ts_sweep_digest(const ts_sweep *sweep, uint8_t digest[32]);

int64_t ts_sweep_instances(const ts_sweep *sweep);
void ts_sweep_params(const ts_sweep *sweep, int64_t instance, ts_params *params);

// Keys that vary in the sweep (columns of the results file), in the order in which they vary (slowest first).
// `seed` is always a column of its own and not among them.
int ts_sweep_varying(const ts_sweep *sweep, const ts_key *const **keys);

// Those of them that the sweep was made to vary, without seeds (init_seed, split_seed): the axes of its grid.
int ts_sweep_swept(const ts_sweep *sweep, const ts_key *const **keys);

// Cases: instances with equal shapes (equal in every key with `shapes` set), in order of first appearance.
typedef struct ts_case {
    const char *label;       // e.g. "depth=3,hidden=4": the shaping keys that vary; "all" if none does
    const char *title;       // the label for people: files by their names, not digests
    const char *learned;     // what they learn, for people: "(a^2 + b^3) mod 7" (ts_task.label)
    int64_t rows;            // instances in it
    const int64_t *instance; // (rows), ascending: row -> instance
    ts_schema *schema;
} ts_case;

// Rows of a case that are trained together, by one thread.
typedef struct ts_unit {
    int32_t case_index;
    int64_t first_row, rows; // consecutive
} ts_unit;

int ts_sweep_cases(const ts_sweep *sweep);
const ts_case *ts_sweep_case(const ts_sweep *sweep, int index);
int32_t ts_sweep_case_of(const ts_sweep *sweep, int64_t instance);
void ts_case_params(const ts_sweep *sweep, int index, int64_t row, ts_params *params);
