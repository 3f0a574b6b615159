// Teams: ranks that train one instance together, and their sums (base/tree.h). What a training needs of one stands in
// backend.h.
#pragma once

#include "base/exchange.h"

// How a team's ranks reach each other; ts_exchange, or what stands for it in a test.
typedef ts_status (*ts_team_exchange)(void *context, int number, const ts_transfer *transfers, int count);

typedef struct ts_comm_team ts_comm_team;

// Of the ranks first .. first + size - 1, among them `rank`, this one. `number`: of its exchanges, the same on all of
// them and no other team's. Not collective. All that follows is collective over the team, by one thread of each rank.
ts_status ts_comm_team_create(ts_team_exchange exchange, void *context, int number, int rank, int first, int size,
                              ts_comm_team **team);
void ts_comm_team_free(ts_comm_team *team); // leaves what was broken off as it is

// Members of ts_team (backend.h), to be called with the team.
ts_status ts_comm_team_add_floats(void *team, int parts, float *sums, int64_t count, bool mine, bool *all);
ts_status ts_comm_team_add_doubles(void *team, int parts, double *sums, int64_t count);
ts_status ts_comm_team_largest(void *team, int64_t *values, int count);
