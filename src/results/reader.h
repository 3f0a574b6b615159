// Reads a results file without its sweep: what `status`, `export` and the end report show. Works while a run
// is writing and on what a killed run left. Serial; never takes a lock, never writes.
#pragma once

#include "base/status.h"

#include <stdint.h>

typedef struct ts_reader ts_reader;

typedef struct ts_reader_case {
    const char *label;
    int64_t rows;
    const int64_t *instance; // (rows)
} ts_reader_case;

ts_status ts_reader_open(const char *path, ts_reader **reader);
void ts_reader_close(ts_reader *reader);

// Root attributes; valid until close. name: program, version, name, backend, sweep_sha256.
const char *ts_reader_attribute(const ts_reader *reader, const char *name);
int64_t ts_reader_instances(const ts_reader *reader);
int ts_reader_cases(const ts_reader *reader);
const ts_reader_case *ts_reader_case_at(const ts_reader *reader, int index);

// Status byte of every instance, read afresh; (instances), owned by the reader.
ts_status ts_reader_status(ts_reader *reader, const uint8_t **status);

// A root column of numbers as float64 (instances) into `out`; TS_ERROR_USER if there is no such column,
// TS_ERROR_FATAL if there is one that cannot be read.
ts_status ts_reader_column(ts_reader *reader, const char *name, double *out);

// The curve of an instance: the measure of that name, one number for each checkpoint of its case, NaN where there is
// none yet. *value (*count), free with ts_free. TS_ERROR_USER: its case has no such curve.
ts_status ts_reader_curve(ts_reader *reader, int64_t instance, const char *name, double **value, int64_t *count);

// A scalar text, like "sweep/source"; free with ts_free. TS_ERROR_USER: there is none of that name.
ts_status ts_reader_text(ts_reader *reader, const char *name, char **text);

// The JSON object of an instance's resolved parameters; free with ts_free.
ts_status ts_reader_resolved(ts_reader *reader, int64_t instance, char **json);

// Its identity, 64 hexadecimal digits; free with ts_free.
ts_status ts_reader_identity(ts_reader *reader, int64_t instance, char **identity);

// TS_ERROR_USER, with a message: there is no such instance.
ts_status ts_reader_refuse_instance(const ts_reader *reader, int64_t instance);
