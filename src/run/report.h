// What is shown of a results file: a line for each point of the sweep's grid (sweep/grid.h), how many of its instances
// are done and how well. The sheet at the end of a run and that of `status`, and its JSON.
#pragma once

#include "base/text.h"
#include "results/reader.h"
#include "run/engines.h"
#include "sweep/grid.h"

typedef struct ts_report ts_report;

// `grid`: of the sweep that the file is of; NULL where that is not known: lines are then cases, by their labels.
// Both must outlive the report.
ts_status ts_report_open(ts_reader *reader, const ts_grid *grid, ts_report **report);
void ts_report_close(ts_report *report);

// Instances that were done and failed when it was opened.
void ts_report_count(const ts_report *report, int64_t *done, int64_t *failed);

// The sheet, on standard output. seconds (points): slot seconds spent on each; NULL: left out. At most `most` lines, of
// more it says how to see all.
ts_status ts_report_print(const ts_report *report, const char *path, const double *seconds, int64_t most);

// Members "points" and "cases", lists of objects with what the sheet has; "points" is left out without a grid.
// engines: of the cases, which say theirs; NULL: not known.
void ts_report_json(const ts_report *report, const ts_engines *engines, ts_text *out);

// How well instances (count) did, those that are done.
typedef struct ts_summary {
    int64_t instances, done, failed;
    const char *measure;              // the one that is summarised: ts_model_measure
    double best, median, mean, worst; // of finite values; NaN: there are none
    double error;                     // largest standard error of an estimated_loss; NaN: they are none
    bool table;                       // what follows is known: they learn a table
    double accuracy;                  // median of test_accuracy; NaN: nothing is left to be tested
    int64_t grokked;                  // instances that have generalised: grokked_step is known; -1: that cannot be told
} ts_summary;

// Its lines one by one, as in the sheet.
int64_t ts_report_lines(const ts_report *report);
void ts_report_label(const ts_report *report, int64_t line, ts_text *label); // replaces what is in it
ts_summary ts_report_summary(const ts_report *report, int64_t line);
int64_t ts_report_best(const ts_report *report, int64_t line); // the instance that is `best`; -1: there is none
