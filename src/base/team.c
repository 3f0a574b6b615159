// Sums over a team: each rank adds up one part in the order of ranks and sends it to all.
#include "base/team.h"

#include "base/memory.h"

#ifdef TOYSWEEP_MPI

enum { TAG = 2 };

struct ts_comm_team {
    MPI_Comm comm;
    int rank, size;
    float *parts;          // (size, values / size, rounded up): everybody's part of the sum that is made here
    int *length, *offset;  // (size) of each rank's part
    MPI_Request *requests; // (2, size)
    ts_slab slab;
};

ts_status ts_comm_team_create(const ts_comm *comm, int number, ts_comm_team **out) {
    ts_comm_team *team = ts_alloc_zero(1, sizeof *team, "a team of ranks");
    *out = NULL;
    ts_status status = team ? TS_OK : TS_ERROR_FATAL;
    if (!comm->mpi)
        status = ts_fail(TS_ERROR_USER, "a single process, started without mpirun or srun, is no team");
    status = ts_comm_agree(comm, status);
    if (status == TS_OK) {
        MPI_Comm_split(MPI_COMM_WORLD, number < 0 ? MPI_UNDEFINED : number, comm->rank, &team->comm);
        if (number >= 0) {
            MPI_Comm_rank(team->comm, &team->rank);
            MPI_Comm_size(team->comm, &team->size);
            *out = team;
            return TS_OK;
        }
    }
    ts_free(team);
    return status;
}

void ts_comm_team_free(ts_comm_team *team) {
    if (!team)
        return;
    MPI_Comm_free(&team->comm);
    ts_slab_free(&team->slab);
    ts_free(team);
}

int ts_comm_team_rank(const ts_comm_team *team) {
    return team->rank;
}

ts_status ts_comm_team_reserve(ts_comm_team *team, int64_t count) {
    size_t size = (size_t)team->size, part = ((size_t)count + size - 1) / size;
    ts_slab_free(&team->slab);
    team->slab = (ts_slab){0};
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&team->slab, "sums over a team") != TS_OK)
            return TS_ERROR_MEMORY;
        team->parts = ts_slab_take(&team->slab, size * part, sizeof *team->parts);
        team->length = ts_slab_take(&team->slab, size, sizeof *team->length);
        team->offset = ts_slab_take(&team->slab, size, sizeof *team->offset);
        team->requests = ts_slab_take(&team->slab, 2 * size, sizeof *team->requests);
    }
    return TS_OK;
}

// Rank r adds up part r of everybody's values, in the order of ranks, and sends the sums to all.
void ts_comm_team_sum(ts_comm_team *team, float *values, int64_t count) {
    int size = team->size, part = (int)((count + size - 1) / size);
    for (int r = 0; r < size; r++) {
        int64_t first = (int64_t)r * part, left = count - first;
        team->offset[r] = (int)(left > 0 ? first : count);
        team->length[r] = (int)(left < 0 ? 0 : left < part ? left : part);
    }
    int own = team->length[team->rank];
    float *sum = values + team->offset[team->rank];
    for (int r = 0; r < size; r++) {
        MPI_Irecv(team->parts + (size_t)r * (size_t)part, own, MPI_FLOAT, r, TAG, team->comm, &team->requests[r]);
        MPI_Isend(values + team->offset[r], team->length[r], MPI_FLOAT, r, TAG, team->comm, &team->requests[size + r]);
    }
    MPI_Waitall(2 * size, team->requests, MPI_STATUSES_IGNORE);
    for (int i = 0; i < own; i++) {
        double all = 0;
        for (int r = 0; r < size; r++)
            all += (double)team->parts[(size_t)r * (size_t)part + (size_t)i];
        sum[i] = (float)all;
    }
    MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, values, team->length, team->offset, MPI_FLOAT, team->comm);
}

void ts_comm_team_largest(ts_comm_team *team, int64_t *values, int count) {
    MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_INT64_T, MPI_MAX, team->comm);
}

#else // one rank: there is no team to be in

ts_status ts_comm_team_create(const ts_comm *comm, int number, ts_comm_team **team) {
    (void)comm;
    (void)number;
    *team = NULL;
    return ts_fail(TS_ERROR_USER, "this build has no MPI, so ranks cannot train together");
}

void ts_comm_team_free(ts_comm_team *team) {
    (void)team;
}

int ts_comm_team_rank(const ts_comm_team *team) {
    (void)team;
    return 0;
}

ts_status ts_comm_team_reserve(ts_comm_team *team, int64_t count) {
    (void)team;
    (void)count;
    return TS_OK;
}

void ts_comm_team_sum(ts_comm_team *team, float *values, int64_t count) {
    (void)team;
    (void)values;
    (void)count;
}

void ts_comm_team_largest(ts_comm_team *team, int64_t *values, int count) {
    (void)team;
    (void)values;
    (void)count;
}

#endif
