// FILE.log.jsonl: what differs from run to run (start, host, ranks, seconds per unit, failures' reasons), one
// JSON object a line, appended by rank 0 alone. Losing it loses no result: faults only warn, once. `path` is
// its own.
#pragma once

#include "base/status.h"
#include "base/text.h"
#include "sweep/yaml.h"

typedef struct ts_runlog ts_runlog;

ts_status ts_runlog_open(const char *path, ts_runlog **log);
void ts_runlog_close(ts_runlog *log);

// Begins a line: {"event":"...","time":"...Z", ...; add members with ts_json_*, then end it (one write).
ts_text *ts_runlog_begin(ts_runlog *log, const char *event);
void ts_runlog_end(ts_runlog *log);

// Calls `visit` for every intact line, in order, parsed; torn lines are passed over. A missing file has no
// lines.
ts_status ts_runlog_read(const char *path, void (*visit)(const ts_yaml_node *line, void *context), void *context);
