// The canonical form (ts_params_json) and the identity of one instance after the other. What did not change since the
// instance before is not written anew, so that a walk in order costs little more than the digest.
#pragma once

#include "base/digest.h"
#include "sweep/sweep.h"

typedef struct ts_canonical ts_canonical;

ts_status ts_canonical_open(const ts_sweep *sweep, ts_canonical **canonical);
void ts_canonical_close(ts_canonical *canonical);

// Goes to an instance, from any other. Its parameters and its form are valid until the next.
const ts_params *ts_canonical_seek(ts_canonical *canonical, int64_t instance);
const ts_text *ts_canonical_form(const ts_canonical *canonical);
void ts_canonical_identity(ts_canonical *canonical, uint8_t digest[TS_SHA256_BYTES]);

// What ts_sweep_digest ends, for a walk that needs the identities anyway: to be fed each, in order.
ts_sha256_stream *ts_canonical_begin_digest(const ts_sweep *sweep);

// TS_ERROR_MEMORY: some form was not written whole.
ts_status ts_canonical_status(const ts_canonical *canonical);
