// Workspaces that wait for the next network, and products in them.
#include "backend/cuda_workspace.h"

#include "base/memory.h"

#include <pthread.h>

// Bytes: what cuBLAS asks for on an H100; for what lies between two arrays.
enum { CUBLAS_ROOM = 32 << 20, SPARE = 1024 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static ts_cuda_workspace *idle;
static bool own_products;

// --- Memory, which comes and goes ---

// Where other memory of the device is asked for and there is none.
static void give_up(void) {
    pthread_mutex_lock(&mutex);
    for (ts_cuda_workspace *w = idle; w; w = w->next) {
        ts_cuda_slab_free_idle(&w->slab);
        w->cublas_room = NULL;
    }
    pthread_mutex_unlock(&mutex);
}

static bool fits(const ts_cuda_workspace *w, size_t bytes, bool with_cublas) {
    size_t room = with_cublas ? CUBLAS_ROOM : 0;
    return (w->cublas_room != NULL) == with_cublas && w->slab.size >= bytes + room + SPARE / 2;
}

// What is taken first is cuBLAS's, of which nobody else takes any.
static ts_status furnish(ts_cuda_workspace *w, size_t bytes, bool with_cublas) {
    ts_cuda_slab_free_idle(&w->slab);
    w->cublas_room = NULL;
    if (with_cublas)
        ts_cuda_slab_take(&w->slab, CUBLAS_ROOM, 1);
    ts_cuda_slab_take(&w->slab, bytes + SPARE, 1);
    ts_status status = ts_cuda_slab_reserve_now(&w->slab, "measures");
    if (status != TS_OK)
        w->slab = (ts_cuda_slab){0};
    else if (with_cublas)
        w->cublas_room = w->slab.base;
    return status;
}

// --- A stream and cuBLAS, which stay ---

// (To end cuBLAS is to wait for the whole GPU, which would spoil what other threads are recording.)

// Also when the GPU's memory is out cuBLAS says only that it does not start.
static ts_status start_cublas(ts_cuda_workspace *w) {
    enum { SCARCE = 256 << 20 };
    size_t left, all;
    cublasStatus_t made = ts_cublas_functions()->create(&w->cublas);
    if (made != CUBLAS_STATUS_SUCCESS && cudaMemGetInfo(&left, &all) == cudaSuccess && left < SCARCE)
        return ts_fail(TS_ERROR_MEMORY, "out of memory on the GPU: starting cuBLAS, with %zu bytes left", left);
    return ts_cublas_check(made, "starting cuBLAS");
}

static ts_status equip(ts_cuda_workspace *w, bool with_cublas) {
    const ts_cublas *cublas = ts_cublas_functions();
    ts_status status = w->stream ? TS_OK : ts_cuda_stream(&w->stream);
    if (status != TS_OK || !with_cublas)
        return status;
    if (!w->cublas)
        status = start_cublas(w);
    if (status == TS_OK)
        status = ts_cublas_check(cublas->set_stream(w->cublas, w->stream), "cuBLAS");
    if (status == TS_OK)
        status = ts_cublas_check(cublas->set_workspace(w->cublas, w->cublas_room, CUBLAS_ROOM), "cuBLAS");
    return status;
}

// --- Taking them ---

// One that fits; else any; NULL: none waits.
static ts_cuda_workspace *take_idle(size_t bytes, bool with_cublas) {
    pthread_mutex_lock(&mutex);
    ts_cuda_workspace **at = &idle;
    while (*at && !fits(*at, bytes, with_cublas) && (*at)->next)
        at = &(*at)->next;
    ts_cuda_workspace *w = *at;
    if (w)
        *at = w->next;
    pthread_mutex_unlock(&mutex);
    return w;
}

ts_status ts_cuda_workspace_take(size_t bytes, ts_cuda_workspace **out) {
    *out = NULL;
    ts_status status = ts_cuda_enter();
    if (status != TS_OK)
        return status;
    bool with_cublas = !own_products && ts_cublas_load() == TS_OK;
    ts_cuda_workspace *w = take_idle(bytes, with_cublas);
    ts_cuda_on_shortage(give_up);
    if (!w)
        w = ts_alloc_zero(1, sizeof *w, "measures on a GPU");
    if (!w)
        return TS_ERROR_MEMORY;
    *out = w;
    if (fits(w, bytes, with_cublas))
        ts_cuda_slab_set_idle(false);
    else
        status = furnish(w, bytes, with_cublas);
    if (status == TS_OK)
        status = equip(w, with_cublas);
    w->slab.used = 0;
    if (w->cublas_room)
        ts_cuda_slab_take(&w->slab, CUBLAS_ROOM, 1);
    return status;
}

void ts_cuda_workspace_give_back(ts_cuda_workspace *w) {
    if (!w)
        return;
    bool held = w->slab.base != NULL;
    pthread_mutex_lock(&mutex);
    w->next = idle;
    idle = w;
    pthread_mutex_unlock(&mutex);
    if (held)
        ts_cuda_slab_set_idle(true);
}

// --- Products ---

// Row-major C = A B is column-major C^T = B^T A^T.
ts_status ts_cuda_workspace_product(const ts_cuda_workspace *w, const ts_measure_product *p) {
    const double one = 1, zero = 0;
    if (!w->cublas_room || p->begin || p->depth == 0)
        return ts_cuda_check(ts_cuda_measure_product(p, w->stream), "measures: a product");
    const ts_cublas *cublas = ts_cublas_functions();
    cublasOperation_t form = p->transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    int b_stride = p->transposed ? p->depth : p->columns;
    long long a_step = (long long)p->rows * p->depth, c_step = (long long)p->rows * p->columns;
    cublasStatus_t status =
        p->count == 1 ? cublas->dgemm(w->cublas, form, CUBLAS_OP_N, p->columns, p->rows, p->depth, &one, p->b, b_stride,
                                      p->a, p->depth, &zero, p->c, p->columns)
                      : cublas->dgemm_strided_batched(w->cublas, form, CUBLAS_OP_N, p->columns, p->rows, p->depth, &one,
                                                      p->b, b_stride, p->b_step, p->a, p->depth, a_step, &zero, p->c,
                                                      p->columns, c_step, p->count);
    return ts_cublas_check(status, "measures: a product of cuBLAS");
}

void ts_cuda_workspace_use_own(bool own) {
    own_products = own;
}
