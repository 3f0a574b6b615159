// Labels: what tells one case, or one point of the grid, from the others, as "depth=3,hidden=4".
#pragma once

#include "base/text.h"
#include "param/key_set.h"
#include "sweep/sweep.h"

// Adds "key=value" of every key in `shown`: task, model and optimizer first, then
// their own keys, then the common ones; "all" if there are none. Files go by their digests, as in identities. What
// would part groups of the results file, or is not to be printed, becomes '_'.
void ts_label_write(const ts_params *params, const ts_key_set *shown, ts_text *out);

// The same for people: files go by their names, and long values are cut. False if one was, so that the label may be
// another's too.
bool ts_label_write_title(const ts_params *params, const ts_key_set *shown, ts_text *out);

// What the instances of a case learn (ts_task.label); if it is long, cut, with the case's number.
void ts_label_write_learned(const ts_params *params, int case_index, ts_text *out);

// Of one instance: all that is swept, and its seeds.
void ts_label_instance(const ts_sweep *sweep, int64_t instance, ts_text *out);
