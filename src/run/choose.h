// One instance of a results file, chosen by what it is and how well it did.
#pragma once

#include "results/reader.h"

#include <stdbool.h>

// where: an expression as in a sweep file, which must hold for it; NULL: any. best: of those that are done, the one
// with the lowest value of what it is judged by (ts_model_measure), the first of equals; standard output says which it
// is, and by what. Without `best` the expression must leave one. TS_ERROR_USER: it does not (the message lists what it
// leaves), or there is none.
ts_status ts_choose_instance(ts_reader *reader, const char *where, bool best, int64_t *instance);
