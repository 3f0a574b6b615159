// The gradients of ranks that train one instance together, each on its part of the pairs: their sum at every step, in
// double precision in the order of ranks, as base/team.h makes it. Pieces travel by NCCL if every rank has a GPU of its
// own, else through host memory; the bits are the same. Not: which ranks, which pairs, what a step is made of.
#pragma once

#include "backend/backend.h"
#include "backend/cuda.h"
#include "cuda/team.h"

typedef struct ts_cuda_team ts_cuda_team;

// Collective over the team, also where it fails: no other function but `step` is. Gradients have `count` floats. NULL:
// memory is out, and the others have been told.
ts_cuda_team *ts_cuda_team_create(const ts_team *with, int64_t count);
void ts_cuda_team_free(ts_cuda_team *team); // NULL: nothing
void ts_cuda_team_take(ts_cuda_team *team, ts_cuda_slab *slab);

// Within the capture of a step: adds up the gradients that `work` describes (count to stopped), and sets its sum and
// sum_bad for what follows. If sums are made on the host it ends the capture there, and begins another.
cudaError_t ts_cuda_team_queue(ts_cuda_team *team, ts_team_work *work, cudaStream_t stream);

// Before the rest of a step is started: what comes before its sum and, on the host, the sum.
ts_status ts_cuda_team_step(ts_cuda_team *team, cudaStream_t stream);
