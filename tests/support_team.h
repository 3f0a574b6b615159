// A team of ranks in one process, a thread each: exchanges copy from one to the other.
#pragma once

#include "base/team.h"
#include "support_cmocka.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SUPPORT_RANKS = 16 };

typedef struct support_team {
    int size;
    pthread_barrier_t meeting;
    const ts_transfer *posted[SUPPORT_RANKS];
} support_team;

typedef struct support_rank {
    support_team *team;
    int rank;
    ts_comm_team *comm;
    void *context; // of the test
    pthread_t thread;
    void (*work)(struct support_rank *rank);
} support_rank;

static inline ts_status support_exchange(void *context, int number, const ts_transfer *transfers, int count) {
    const support_rank *rank = context;
    support_team *team = rank->team;
    (void)number;
    team->posted[rank->rank] = transfers;
    pthread_barrier_wait(&team->meeting);
    for (int r = 0; r < count; r++)
        if (transfers[r].in_bytes)
            memcpy(transfers[r].in, team->posted[r][rank->rank].out, transfers[r].in_bytes);
    pthread_barrier_wait(&team->meeting);
    return TS_OK;
}

static inline void *support_rank_main(void *argument) {
    support_rank *rank = argument;
    if (ts_comm_team_create(support_exchange, rank, 0, rank->rank, 0, rank->team->size, &rank->comm) != TS_OK)
        abort();
    rank->work(rank);
    ts_comm_team_free(rank->comm);
    return NULL;
}

// Calls work on each of so many ranks; context (size, bytes) has one for each.
static inline void support_run_team(int size, void (*work)(support_rank *rank), void *contexts, size_t bytes) {
    support_team team = {.size = size};
    support_rank rank[SUPPORT_RANKS];
    pthread_barrier_init(&team.meeting, NULL, (unsigned)size);
    for (int r = 0; r < size; r++) {
        rank[r] =
            (support_rank){.team = &team, .rank = r, .context = (char *)contexts + (size_t)r * bytes, .work = work};
        assert_int_equal(pthread_create(&rank[r].thread, NULL, support_rank_main, &rank[r]), 0);
    }
    for (int r = 0; r < size; r++)
        pthread_join(rank[r].thread, NULL);
    pthread_barrier_destroy(&team.meeting);
}
