// Teams: some of the ranks, with collectives of their own; for training one instance together (backend.h says
// what a training needs of one). Called from the main thread, as all of MPI.
#pragma once

#include "base/comm.h"

typedef struct ts_comm_team ts_comm_team;

// Collective over all ranks: those with equal `number` form a team, in the order of their ranks; negative: none
// (*team is NULL). Free with ts_comm_team_free, collective over the team.
ts_status ts_comm_team_create(const ts_comm *comm, int number, ts_comm_team **team);
void ts_comm_team_free(ts_comm_team *team);
int ts_comm_team_rank(const ts_comm_team *team);

// Makes room for sums of up to `count` values. Not collective.
ts_status ts_comm_team_reserve(ts_comm_team *team, int64_t count);

// Collective over the team: values (count) become their sum, added in double precision in the order of ranks, so
// that every rank gets the same bits however messages travel.
void ts_comm_team_sum(ts_comm_team *team, float *values, int64_t count);
void ts_comm_team_largest(ts_comm_team *team, int64_t *values, int count); // elementwise
