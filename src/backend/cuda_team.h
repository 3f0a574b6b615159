// Ranks that train one instance together on GPUs, each with its share of the parts of its sums over pairs
// (base/tree.h): what a rank has made of them travels once a step, and each adds up the rest of the tree, so that all
// have the total that one rank alone makes. By NCCL if every rank has a GPU of its own, else through host memory; the
// bits are the same. Not: what a part is made of, which ranks.
#pragma once

#include "backend/backend.h"
#include "backend/cuda.h"

typedef struct ts_cuda_team ts_cuda_team;

// A rank's sums on the device, one piece of memory: a quad whose first number, an int, says whether a loss of its parts
// is not finite; then those of the subtrees that its parts are made of (base/tree.h), `count` floats each.
enum { TS_VERDICT = 4 };

// Collective over the team, also where a rank has failed already (`ready` is not TS_OK) or fails here: then all do,
// with the worst status of any. A part's sums have `count` floats, a multiple of 4.
ts_status ts_cuda_team_create(const ts_team *with, ts_status ready, int parts, int64_t count, ts_cuda_team **team);
// NULL: nothing. broken: what was begun with the other ranks may never end.
void ts_cuda_team_free(ts_cuda_team *team, bool broken);
void ts_cuda_team_take(ts_cuda_team *team, ts_cuda_slab *slab);

// Collective over the team, between `take` and the first step, also where a rank has failed (`ready`, as above): from
// then on a rank that waits for the others in the midst of a step does not wait for one that never comes.
ts_status ts_cuda_team_begin(ts_cuda_team *team, ts_status ready, cudaStream_t stream);
int ts_cuda_team_subtrees(const ts_cuda_team *team); // that a piece has room for: the most of any rank

// Within the capture of a step: the verdict of `piece` becomes all ranks', and *total points to the total, which may be
// in the piece or not. stopped (1). If pieces travel through the host it ends the capture there, and begins another.
cudaError_t ts_cuda_team_queue(ts_cuda_team *team, float *piece, const int *stopped, cudaStream_t stream,
                               float **total);

// Before the rest of a step is started: what comes before its sums and, through the host, these. Fails as
// ts_team.add_floats does.
ts_status ts_cuda_team_step(ts_cuda_team *team, cudaStream_t stream);
