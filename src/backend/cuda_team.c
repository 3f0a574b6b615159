// Sums over pairs of a team of ranks on GPUs, at every step.
#include "backend/cuda_team.h"

#include "backend/cuda_libraries.h"
#include "backend/cuda_pass.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/tree.h"
#include "cuda/tree.h"

#include <stdint.h>
#include <string.h>

struct ts_cuda_team {
    const ts_team *with;
    int parts;
    size_t count;   // floats of a part's sums
    int own, most;  // subtrees of this rank's parts, and of the rank's that has most
    size_t length;  // floats of a piece
    float *piece;   // (length), this rank's
    float *pieces;  // (size, length), where they are gathered
    float *staging; // (length), pinned, where pieces travel through the host; else NULL
    cudaGraphExec_t before;
#ifdef TS_HAVE_NCCL
    ncclComm_t comm; // NULL: pieces travel through the host
#endif
};

// --- Whether NCCL can be used ---

#ifdef TS_HAVE_NCCL

enum { ID_WORDS = sizeof(ncclUniqueId) / sizeof(int64_t) };

// What ranks tell each other, by the largest of each: their devices, rank 0's id of the new communicator, and whether
// some rank cannot use NCCL at all.
typedef struct exchange {
    int64_t cannot, id[ID_WORDS], device[];
} exchange;

static bool devices_differ(const int64_t *device, int count) {
    for (int i = 0; i < count; i++)
        for (int j = 0; j < i; j++)
            if (device[i] == device[j])
                return false;
    return true;
}

// Over the team: does it hold on all ranks?
static bool everywhere(const ts_team *with, bool mine, ts_status *status) {
    int64_t lacking = !mine;
    if (*status == TS_OK)
        *status = with->largest(with->context, &lacking, 1);
    return *status == TS_OK && !lacking;
}

// A first, small collective, which shows whether ranks reach each other: begun by all, or by none.
static bool test_connection(ts_cuda_team *team, bool made, ts_status *status) {
    const ts_nccl *nccl = ts_nccl_functions();
    size_t size = (size_t)team->with->size;
    void *numbers = NULL;
    cudaStream_t stream = NULL;
    bool ready = made && ts_cuda_stream(&stream) == TS_OK &&
                 ts_cuda_check(cudaMalloc(&numbers, (size + 1) * sizeof(float)), "a first exchange") == TS_OK;
    bool works =
        everywhere(team->with, ready, status) &&
        nccl->all_gather((float *)numbers + size, numbers, 1, ncclFloat32, team->comm, stream) == ncclSuccess &&
        ts_cuda_wait(stream, "a first exchange with other ranks") == TS_OK;
    works = everywhere(team->with, works, status);
    cudaFree(numbers);
    ts_cuda_stream_free(stream);
    return works;
}

static const char *connect_with(ts_cuda_team *team, exchange *gathered, ts_status *status) {
    const ts_team *with = team->with;
    const ts_nccl *nccl = ts_nccl_functions();
    ncclUniqueId id;
    gathered->cannot = ts_nccl_load() != TS_OK;
    if (with->rank == 0 && !gathered->cannot) {
        gathered->cannot = nccl->get_unique_id(&id) != ncclSuccess;
        memcpy(gathered->id, &id, sizeof id);
    }
    gathered->device[with->rank] = ts_cuda_properties_of()->id;
    *status = with->largest(with->context, &gathered->cannot, 1 + ID_WORDS + with->size);
    if (*status != TS_OK)
        return NULL;
    if (gathered->cannot)
        return ts_nccl_load() == TS_OK ? "another rank cannot use NCCL" : "NCCL cannot be used";
    if (!devices_differ(gathered->device, with->size))
        return "some of them share a GPU";
    memcpy(&id, gathered->id, sizeof id);
    ncclResult_t result = nccl->comm_init_rank(&team->comm, with->size, id, with->rank);
    if (test_connection(team, result == ncclSuccess, status))
        return NULL;
    if (result == ncclSuccess)
        nccl->comm_abort(team->comm);
    team->comm = NULL;
    return result == ncclSuccess ? "NCCL cannot connect them" : nccl->error_string(result);
}

// NULL, or why pieces have to travel through the host: the same on all ranks, but for the words. *status: as of
// ts_team.largest.
static const char *connect(ts_cuda_team *team, ts_status *status) {
    size_t words = 1 + ID_WORDS + (size_t)team->with->size;
    exchange *gathered = ts_alloc(words * sizeof(int64_t), "a team of ranks");
    bool ready = everywhere(team->with, gathered != NULL, status);
    for (size_t i = 0; gathered && i < words; i++)
        ((int64_t *)gathered)[i] = INT64_MIN;
    const char *why = ready ? connect_with(team, gathered, status) : "memory is out";
    ts_free(gathered);
    return why;
}

static bool on_host(const ts_cuda_team *team) {
    return team->comm == NULL;
}

// piece -> pieces of all.
static cudaError_t gather(const ts_cuda_team *team, cudaStream_t stream) {
    ncclResult_t result =
        ts_nccl_functions()->all_gather(team->piece, team->pieces, team->length, ncclFloat32, team->comm, stream);
    if (result == ncclSuccess)
        return cudaSuccess;
    ts_warn("NCCL: %s", ts_nccl_functions()->error_string(result));
    return cudaErrorUnknown;
}

// To destroy it waits for what was begun.
static void disconnect(ts_cuda_team *team, bool broken) {
    const ts_nccl *nccl = ts_nccl_functions();
    if (team->comm)
        (broken ? nccl->comm_abort : nccl->comm_destroy)(team->comm);
}

#else

static const char *connect(ts_cuda_team *team, ts_status *status) {
    (void)team, (void)status;
    return "this build knows no NCCL";
}

static bool on_host(const ts_cuda_team *team) {
    (void)team;
    return true;
}

static cudaError_t gather(const ts_cuda_team *team, cudaStream_t stream) {
    (void)team, (void)stream;
    return cudaErrorUnknown;
}

static void disconnect(ts_cuda_team *team, bool broken) {
    (void)team, (void)broken;
}

#endif

// --- A team ---

// Once a process is enough.
static void warn(const ts_team *with, const char *why) {
    static bool warned;
    if (with->rank == 0 && !warned)
        ts_warn("ranks that train one instance together add up gradients in host memory, which takes longer: %s", why);
    warned = true;
}

static int subtrees_of(const ts_cuda_team *team, int rank, ts_subtree list[TS_MOST_SUBTREES]) {
    int first, end;
    ts_tree_share(team->parts, rank, team->with->size, &first, &end);
    return ts_tree_subtrees(first, end, list);
}

static ts_cuda_team *make(const ts_team *with, int parts, int64_t count) {
    ts_cuda_team *team = ts_alloc_zero(1, sizeof *team, "a team of ranks");
    ts_subtree list[TS_MOST_SUBTREES];
    if (!team)
        return NULL;
    *team = (ts_cuda_team){.with = with, .parts = parts, .count = (size_t)count};
    team->own = subtrees_of(team, with->rank, list);
    for (int rank = 0; rank < with->size; rank++) {
        int subtrees = subtrees_of(team, rank, list);
        team->most = subtrees > team->most ? subtrees : team->most;
    }
    team->length = TS_VERDICT + (size_t)team->most * team->count;
    return team;
}

ts_status ts_cuda_team_create(const ts_team *with, ts_status ready, int parts, int64_t count, ts_cuda_team **out) {
    ts_cuda_team *team = ready == TS_OK ? make(with, parts, count) : NULL;
    ts_status status = ts_team_agree(with, ready == TS_OK && !team ? TS_ERROR_MEMORY : ready);
    *out = NULL;
    const char *why = status == TS_OK ? connect(team, &status) : NULL;
    if (status == TS_OK && why)
        warn(with, why);
    if (status == TS_OK)
        *out = team;
    else
        ts_cuda_team_free(team, true);
    return status;
}

void ts_cuda_team_free(ts_cuda_team *team, bool broken) {
    if (!team)
        return;
    if (team->before)
        cudaGraphExecDestroy(team->before);
    disconnect(team, broken);
    ts_cuda_pinned_free(team->staging);
    ts_free(team);
}

void ts_cuda_team_take(ts_cuda_team *team, ts_cuda_slab *slab) {
    team->pieces = ts_cuda_slab_take(slab, on_host(team) ? 0 : (size_t)team->with->size * team->length, sizeof(float));
}

// Where NCCL gathers pieces it does so once now: it makes connections, others for other sizes, when they are first
// used, and a step that is being recorded is no place for that.
ts_status ts_cuda_team_begin(ts_cuda_team *team, ts_status ready, cudaStream_t stream) {
    if (ready == TS_OK && on_host(team)) {
        team->staging = ts_cuda_pinned(team->length * sizeof *team->staging, "a team's sums");
        ready = team->staging ? TS_OK : TS_ERROR_MEMORY;
    }
    ts_status status = ts_team_agree(team->with, ready);
    if (status != TS_OK || on_host(team))
        return status;
    team->piece = team->pieces + (size_t)team->with->rank * team->length;
    status = ts_cuda_check(gather(team, stream), "a first exchange with other ranks");
    return status == TS_OK ? ts_cuda_wait(stream, "a first exchange with other ranks") : status;
}

int ts_cuda_team_subtrees(const ts_cuda_team *team) {
    return team->most;
}

// --- A step ---

static cudaError_t cut(ts_cuda_team *team, cudaStream_t stream) {
    cudaGraph_t graph = NULL;
    cudaError_t error = cudaStreamEndCapture(stream, &graph);
    if (error == cudaSuccess)
        error = cudaGraphInstantiate(&team->before, graph, 0);
    if (graph)
        cudaGraphDestroy(graph);
    return error == cudaSuccess ? cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) : error;
}

// Of all ranks' subtrees, where they have been gathered; they are not more than there are parts.
static cudaError_t add_subtrees(const ts_cuda_team *team, const int *stopped, cudaStream_t stream, float **total) {
    ts_subtree subtree[TS_CUDA_MOST_PARTS + TS_MOST_SUBTREES];
    ts_addition addition[TS_CUDA_MOST_PARTS];
    float *at[TS_CUDA_MOST_PARTS];
    int subtrees = 0;
    for (int rank = 0; rank < team->with->size; rank++) {
        float *first = team->pieces + (size_t)rank * team->length + TS_VERDICT;
        int count = subtrees_of(team, rank, subtree + subtrees);
        for (int i = 0; i < count; i++)
            at[subtrees++] = first + (size_t)i * team->count;
    }
    *total = at[0];
    int additions = ts_tree_additions(subtree, subtrees, addition);
    cudaError_t error = cudaSuccess;
    for (int i = 0; i < additions && error == cudaSuccess; i++) {
        const ts_tree_work work = {
            .instances = 1,
            .count = (int)team->count,
            .to = at[addition[i].to],
            .from = at[addition[i].from],
            .stopped = stopped,
        };
        error = ts_cuda_tree_add(&work, stream);
    }
    return error;
}

static cudaError_t any_verdict(const ts_cuda_team *team, const int *stopped, cudaStream_t stream) {
    const ts_any_work work = {
        .instances = 1,
        .sets = team->with->size,
        .count = 1,
        .flag = (const int *)(const void *)team->pieces,
        .set_step = (int64_t)team->length,
        .any = (int *)(void *)team->piece,
        .stopped = stopped,
    };
    return ts_cuda_any(&work, stream);
}

cudaError_t ts_cuda_team_queue(ts_cuda_team *team, float *piece, const int *stopped, cudaStream_t stream,
                               float **total) {
    team->piece = piece;
    *total = piece + TS_VERDICT;
    if (on_host(team))
        return cut(team, stream);
    cudaError_t error = gather(team, stream);
    if (error == cudaSuccess)
        error = any_verdict(team, stopped, stream);
    return error == cudaSuccess ? add_subtrees(team, stopped, stream, total) : error;
}

// The verdict in front of sums on the host.
static int verdict_of(const float *piece) {
    int verdict;
    memcpy(&verdict, piece, sizeof verdict);
    return verdict;
}

static void set_verdict(float *piece, int verdict) {
    memcpy(piece, &verdict, sizeof verdict);
}

ts_status ts_cuda_team_step(ts_cuda_team *team, cudaStream_t stream) {
    if (!on_host(team))
        return TS_OK;
    const ts_team *with = team->with;
    size_t of_all = TS_VERDICT + team->count, own = TS_VERDICT + (size_t)team->own * team->count;
    bool all = false;
    ts_status status = ts_cuda_check(cudaGraphLaunch(team->before, stream), "starting a step");
    if (status == TS_OK)
        status = ts_cuda_download(team->staging, team->piece, own * sizeof(float), stream);
    if (status == TS_OK)
        status = ts_cuda_wait(stream, "training");
    if (status == TS_OK)
        status = with->add_floats(with->context, team->parts, team->staging + TS_VERDICT, (int64_t)team->count,
                                  verdict_of(team->staging) == 0, &all);
    if (status != TS_OK)
        return status;
    set_verdict(team->staging, !all);
    return ts_cuda_send(team->piece, team->staging, of_all * sizeof(float), stream);
}
