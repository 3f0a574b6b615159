// The table at the end of a run, and the summary `status` prints: per case, how many instances and how well.
#pragma once

#include "base/status.h"
#include "store/reader.h"

// Writes one line per case to standard output: instances done, best / median / worst of the headline measure,
// slot seconds (NULL: left out). At most `most` cases, the rest counted.
ts_status ts_report_cases(ts_reader *reader, const double *seconds, int most);

// Name of the measure reports show: the first of its kind among the file's columns.
ts_status ts_report_headline(ts_reader *reader, const char **headline);

// "next: ...": commands to type, quoted as a shell needs them. What to look at when all is done, and how to go on.
void ts_report_looks(const char *path);
void ts_report_continue(const char *sweep, const char *path, const char *const *overrides, int n_overrides);
