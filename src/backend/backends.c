// The list of backends, and of the engines of each: a new one is one file and one line here.
#include "backend/backend.h"

#include "model/model.h"
#include "model/network.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

extern const ts_engine ts_reference_engine;
extern const ts_engine ts_cpu_autoencoder, ts_cpu_transformer, ts_cpu_network;
ts_status ts_cpu_probe(void);
const char *ts_cpu_device(void);
#ifdef TS_HAVE_CUDA
extern const ts_engine ts_cuda_autoencoder, ts_cuda_mlp, ts_cuda_network, ts_cuda_transformer;
ts_status ts_cuda_probe(void);
const char *ts_cuda_device(void);
const char *ts_cuda_detail(int index);
void ts_cuda_place(int node_rank, int node_size);
extern const struct ts_pair_device ts_cuda_pair_device;
#endif

static ts_status always(void) {
    return TS_OK;
}

static const char *any_processor(void) {
    return "any processor";
}

#ifdef TS_HAVE_CUDA
static const ts_backend CUDA = {
    .name = "cuda",
    .help = "float32 kernels for NVIDIA GPUs",
    .probe = ts_cuda_probe,
    .device = ts_cuda_device,
    .engines =
        (const ts_engine *const[]){&ts_cuda_autoencoder, &ts_cuda_mlp, &ts_cuda_transformer, &ts_cuda_network, NULL},
    .pairs = &ts_cuda_pair_device,
    .detail = ts_cuda_detail,
    .place = ts_cuda_place,
};
#endif

static const ts_backend CPU = {
    .name = "cpu",
    .help = "float32 kernels for the processor at hand",
    .probe = ts_cpu_probe,
    .device = ts_cpu_device,
    .engines = (const ts_engine *const[]){&ts_cpu_autoencoder, &ts_cpu_transformer, &ts_cpu_network, NULL},
};

static const ts_backend REFERENCE = {
    .name = "reference",
    .help = "plain double-precision loops, to check the others against",
    .probe = always,
    .device = any_processor,
    .engines = (const ts_engine *const[]){&ts_reference_engine, NULL},
};

const ts_backend *const ts_backends[] = {
#ifdef TS_HAVE_CUDA
    &CUDA,
#endif
    &CPU, &REFERENCE, NULL};

void ts_backends_place(int node_rank, int node_size) {
    for (int i = 0; ts_backends[i]; i++)
        if (ts_backends[i]->place)
            ts_backends[i]->place(node_rank, node_size);
}

const ts_backend *ts_backend_find(const char *name) {
    for (int i = 0; ts_backends[i]; i++)
        if (strcmp(ts_backends[i]->name, name) == 0)
            return ts_backends[i];
    return NULL;
}

static const char NO_MODEL[] = "it has no such model";

const char *ts_engine_refuses(const ts_engine *engine, const ts_params *params) {
    if (engine->model && strcmp(engine->model, params->schema->model->name) != 0)
        return NO_MODEL;
    if (!engine->tf32x3 && ts_network_tf32x3(params))
        return "precision 'tf32x3' is for the tensor cores of a GPU; use --backend cuda, or precision: float32";
    return engine->can ? engine->can(params) : NULL;
}

const ts_engine *ts_backend_engine(const ts_backend *backend, const ts_params *params, const char **why) {
    const char *reason = NO_MODEL;
    const ts_engine *const *engine = backend->engines;
    for (; *engine; engine++) {
        const char *refusal = ts_engine_refuses(*engine, params);
        if (!refusal)
            break;
        reason = reason == NO_MODEL ? refusal : reason;
    }
    if (*engine && strcmp((*engine)->name, backend->engines[0]->name) == 0)
        reason = NULL;
    else if (*engine && reason == NO_MODEL)
        reason = "there is none for this model";
    if (why)
        *why = reason;
    return *engine;
}

static char names[128];

static void list_names(void) {
    size_t length = (size_t)snprintf(names, sizeof names, "auto");
    for (int i = 0; ts_backends[i] && length < sizeof names; i++)
        length += (size_t)snprintf(names + length, sizeof names - length, "%s%s", ts_backends[i + 1] ? ", " : " or ",
                                   ts_backends[i]->name);
}

const char *ts_backend_names(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, list_names);
    return names;
}

ts_status ts_backend_named(const char *name, const ts_backend **backend) {
    *backend = ts_backend_find(name);
    if (!*backend && strcmp(name, "cuda") == 0)
        return ts_fail(TS_ERROR_USER, "--backend cuda: this build has no CUDA backend; use --backend cpu");
    if (!*backend)
        return ts_fail(TS_ERROR_USER, "--backend %s: unknown; it is %s", name, ts_backend_names());
    ts_status status = (*backend)->probe();
    return status == TS_OK ? TS_OK : ts_fail(status, "--backend %s: %s", name, ts_message());
}

ts_status ts_team_agree(const ts_team *team, ts_status mine) {
    int64_t worst = mine;
    if (!team)
        return mine;
    ts_status status = team->largest(team->context, &worst, 1);
    if (status != TS_OK)
        return status;
    return mine <= TS_STOPPED && worst > TS_STOPPED ? ts_fail((ts_status)worst, "another rank of the team failed")
                                                    : (ts_status)worst;
}
