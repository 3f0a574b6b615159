// Instances of a sweep by their identities: where in it an instance of another results file belongs.
#pragma once

#include "sweep/sweep.h"

typedef struct ts_identities ts_identities;

ts_status ts_identities_make(const ts_sweep *sweep, ts_identities **identities);
void ts_identities_free(ts_identities *identities);

// The instance with this identity (64 hexadecimal digits); -1: the sweep has none.
int64_t ts_identities_find(const ts_identities *identities, const char *identity);
