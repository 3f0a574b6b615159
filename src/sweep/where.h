// `where` expressions: comparisons (chained too), and/or/not, + - * / %, parentheses, numbers, strings, keys
// and derived quantities. Read once into a tree of bounded depth, then run per instance. `and`, `or` and chains of
// comparisons stop at the first side that decides.
#pragma once

#include "param/key.h"

typedef struct ts_where ts_where;

// Names that a sweep file may use: keys, derived quantities, and those that are no parameters (ts_spec_specials).
enum { TS_MAX_KNOWN = 512 };

// Compiles `text`, in which `keys` (n_keys; names may repeat) are known besides the derived quantities of
// model/model.h. TS_ERROR_USER: the message says what is wrong, without file or line.
ts_status ts_where_compile(const char *text, const ts_key *const *keys, int n_keys, ts_where **where);
void ts_where_free(ts_where *where);

// Whether it holds for an instance. TS_ERROR_USER: it needs a quantity that the instance does not have. Not
// for use by two threads at once on one program.
ts_status ts_where_run(ts_where *where, const ts_params *params, bool *holds);

// A derived quantity of the instance; false: it has none, or its task cannot be learned by its model.
bool ts_where_derive(const ts_params *params, const char *name, double *value);
