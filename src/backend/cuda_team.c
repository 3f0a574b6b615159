// Gradients of a team of ranks on GPUs, added up at every step.
#include "backend/cuda_team.h"

#include "backend/cuda_libraries.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdint.h>
#include <string.h>

struct ts_cuda_team {
    const ts_team *with;
    size_t piece;   // floats: a gradient, and the quad of its verdict
    float *own;     // (piece)
    float *pieces;  // (size, piece), where they are gathered
    float *sum;     // (piece), the last quad as int
    float *staging; // (piece), pinned, where sums are made on the host; else NULL
    cudaGraphExec_t before;
#ifdef TS_HAVE_NCCL
    ncclComm_t comm; // NULL: sums are made on the host
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

// A first, small collective, so that connections are made before a step is recorded.
static bool test_connection(ts_cuda_team *team) {
    const ts_nccl *nccl = ts_nccl_functions();
    size_t size = (size_t)team->with->size;
    void *numbers = NULL;
    cudaStream_t stream;
    if (ts_cuda_stream(&stream) != TS_OK)
        return false;
    bool works =
        cudaMalloc(&numbers, (size + 1) * sizeof(float)) == cudaSuccess &&
        nccl->all_gather((float *)numbers + size, numbers, 1, ncclFloat32, team->comm, stream) == ncclSuccess &&
        ts_cuda_wait(stream, "a first exchange with other ranks") == TS_OK;
    cudaFree(numbers);
    ts_cuda_stream_free(stream);
    return works;
}

static const char *connect_with(ts_cuda_team *team, exchange *gathered) {
    const ts_team *with = team->with;
    const ts_nccl *nccl = ts_nccl_functions();
    ncclUniqueId id;
    gathered->cannot = ts_nccl_load() != TS_OK;
    if (with->rank == 0 && !gathered->cannot) {
        gathered->cannot = nccl->get_unique_id(&id) != ncclSuccess;
        memcpy(gathered->id, &id, sizeof id);
    }
    gathered->device[with->rank] = ts_cuda_properties_of()->id;
    with->largest(with->context, &gathered->cannot, 1 + ID_WORDS + with->size);
    if (gathered->cannot)
        return ts_nccl_load() == TS_OK ? "another rank cannot use NCCL" : "NCCL cannot be used";
    if (!devices_differ(gathered->device, with->size))
        return "some of them share a GPU";
    memcpy(&id, gathered->id, sizeof id);
    ncclResult_t result = nccl->comm_init_rank(&team->comm, with->size, id, with->rank);
    int64_t failed = result != ncclSuccess || !test_connection(team);
    with->largest(with->context, &failed, 1);
    if (!failed)
        return NULL;
    if (result == ncclSuccess)
        nccl->comm_destroy(team->comm);
    team->comm = NULL;
    return result == ncclSuccess ? "NCCL cannot connect them" : nccl->error_string(result);
}

// NULL, or why sums have to be made on the host: the same on all ranks, but for the words.
static const char *connect(ts_cuda_team *team) {
    size_t words = 1 + ID_WORDS + (size_t)team->with->size;
    exchange *gathered = ts_alloc(words * sizeof(int64_t), "a team of ranks");
    int64_t lacking = gathered == NULL;
    team->with->largest(team->with->context, &lacking, 1);
    for (size_t i = 0; gathered && i < words; i++)
        ((int64_t *)gathered)[i] = INT64_MIN;
    const char *why = lacking ? "memory is out" : connect_with(team, gathered);
    ts_free(gathered);
    return why;
}

static bool on_host(const ts_cuda_team *team) {
    return team->comm == NULL;
}

// own -> pieces of all.
static cudaError_t gather(const ts_cuda_team *team, cudaStream_t stream) {
    ncclResult_t result =
        ts_nccl_functions()->all_gather(team->own, team->pieces, team->piece, ncclFloat32, team->comm, stream);
    if (result == ncclSuccess)
        return cudaSuccess;
    ts_warn("NCCL: %s", ts_nccl_functions()->error_string(result));
    return cudaErrorUnknown;
}

static void disconnect(ts_cuda_team *team) {
    if (team->comm)
        ts_nccl_functions()->comm_destroy(team->comm);
}

#else

static const char *connect(ts_cuda_team *team) {
    (void)team;
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

static void disconnect(ts_cuda_team *team) {
    (void)team;
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

ts_cuda_team *ts_cuda_team_create(const ts_team *with, int64_t count) {
    ts_cuda_team *team = ts_alloc_zero(1, sizeof *team, "a team of ranks");
    int64_t lacking = team == NULL;
    with->largest(with->context, &lacking, 1);
    if (lacking) {
        ts_free(team);
        return NULL;
    }
    team->with = with;
    team->piece = (size_t)count + TS_QUAD;
    const char *why = connect(team);
    if (!why)
        return team;
    warn(with, why);
    team->staging = ts_cuda_pinned(team->piece * sizeof *team->staging, "a team's gradients");
    if (team->staging)
        return team;
    ts_cuda_team_free(team);
    return NULL;
}

void ts_cuda_team_free(ts_cuda_team *team) {
    if (!team)
        return;
    if (team->before)
        cudaGraphExecDestroy(team->before);
    disconnect(team);
    ts_cuda_pinned_free(team->staging);
    ts_free(team);
}

void ts_cuda_team_take(ts_cuda_team *team, ts_cuda_slab *slab) {
    team->own = ts_cuda_slab_take(slab, team->piece, sizeof(float));
    team->pieces = ts_cuda_slab_take(slab, on_host(team) ? 0 : (size_t)team->with->size * team->piece, sizeof(float));
    team->sum = ts_cuda_slab_take(slab, team->piece, sizeof(float));
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

cudaError_t ts_cuda_team_queue(ts_cuda_team *team, ts_team_work *work, cudaStream_t stream) {
    work->own = team->own;
    work->ranks = team->with->size;
    work->pieces = team->pieces;
    work->sum = team->sum;
    work->sum_bad = (int *)(void *)(team->sum + work->count);
    cudaError_t error = ts_cuda_team_collect(work, stream);
    if (error != cudaSuccess)
        return error;
    if (on_host(team))
        return cut(team, stream);
    error = gather(team, stream);
    return error == cudaSuccess ? ts_cuda_team_add(work, stream) : error;
}

ts_status ts_cuda_team_step(ts_cuda_team *team, cudaStream_t stream) {
    if (!on_host(team))
        return TS_OK;
    const ts_team *with = team->with;
    size_t bytes = team->piece * sizeof(float), count = team->piece - TS_QUAD;
    ts_status status = ts_cuda_check(cudaGraphLaunch(team->before, stream), "starting a step");
    if (status == TS_OK)
        status = ts_cuda_download(team->staging, team->own, bytes, stream);
    if (status == TS_OK)
        status = ts_cuda_wait(stream, "training");
    if (status != TS_OK)
        return status;
    int bad = !with->sum(with->context, team->staging, (int64_t)count, team->staging[count] == 0);
    memcpy(team->staging + count, &bad, sizeof bad);
    return ts_cuda_upload(team->sum, team->staging, bytes, stream);
}
