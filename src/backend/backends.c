// The list of backends and of the models each can train: a new one is one file and one line here.
#include "backend/backend.h"

#include <string.h>

extern const ts_engine ts_reference_autoencoder, ts_reference_mlp, ts_reference_transformer;
extern const ts_engine ts_cpu_autoencoder, ts_cpu_mlp, ts_cpu_transformer;
ts_status ts_cpu_probe(void);
const char *ts_cpu_device(void);
#ifdef TS_HAVE_CUDA
extern const ts_engine ts_cuda_autoencoder, ts_cuda_mlp, ts_cuda_transformer;
ts_status ts_cuda_probe(void);
const char *ts_cuda_device(void);
const char *ts_cuda_detail(int index);
void ts_cuda_place(int node_rank, int node_size);
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
    .help = "fused float32 kernels for NVIDIA GPUs",
    .probe = ts_cuda_probe,
    .device = ts_cuda_device,
    .engines = (const ts_engine *const[]){&ts_cuda_autoencoder, &ts_cuda_mlp, &ts_cuda_transformer, NULL},
    .detail = ts_cuda_detail,
    .place = ts_cuda_place,
};
#endif

static const ts_backend CPU = {
    .name = "cpu",
    .help = "fused float32 kernels for the processor at hand",
    .probe = ts_cpu_probe,
    .device = ts_cpu_device,
    .engines = (const ts_engine *const[]){&ts_cpu_autoencoder, &ts_cpu_mlp, &ts_cpu_transformer, NULL},
};

static const ts_backend REFERENCE = {
    .name = "reference",
    .help = "plain double-precision loops, to check the others against",
    .probe = always,
    .device = any_processor,
    .engines = (const ts_engine *const[]){&ts_reference_autoencoder, &ts_reference_mlp,
                                          &ts_reference_transformer, NULL},
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

const ts_engine *ts_backend_engine(const ts_backend *backend, const char *model) {
    for (int i = 0; backend->engines[i]; i++)
        if (strcmp(backend->engines[i]->model, model) == 0)
            return backend->engines[i];
    return NULL;
}

static bool trains_all(const ts_backend *backend, const char *const *models) {
    for (; *models; models++)
        if (!ts_backend_engine(backend, *models))
            return false;
    return true;
}

ts_status ts_backend_choose(const char *name, const char *const *models, const ts_backend **backend) {
    if (strcmp(name, "auto") != 0) {
        *backend = ts_backend_find(name);
        if (!*backend && strcmp(name, "cuda") == 0)
            return ts_fail(TS_ERROR_USER,
                           "--backend cuda: this build has no CUDA backend; use --backend cpu");
        if (!*backend)
            return ts_fail(TS_ERROR_USER, "--backend %s: unknown; it is auto, cuda, cpu or reference", name);
        ts_status status = (*backend)->probe();
        return status == TS_OK ? TS_OK : ts_fail(status, "--backend %s: %s", name, ts_message());
    }
    for (int i = 0; ts_backends[i]; i++) {
        *backend = ts_backends[i];
        if (trains_all(*backend, models) && (*backend)->probe() == TS_OK)
            return TS_OK;
    }
    return ts_fail(TS_ERROR_USER, "no backend runs on this machine: %s", ts_message());
}
