// Workspaces that wait for the next network, and products in them.
#include "backend/cuda_workspace.h"

#include "base/memory.h"

#include <pthread.h>

// Bytes: what cuBLAS asks for on an H100; for what lies between two arrays.
enum { CUBLAS_ROOM = 32 << 20, SPARE = 1024 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static ts_cuda_workspace *idle;
static bool own_products;

// --- Making them ---

static void destroy(ts_cuda_workspace *w) {
    if (w->cublas)
        ts_cublas_functions()->destroy(w->cublas);
    ts_cuda_stream_free(w->stream);
    ts_cuda_slab_free_idle(&w->slab);
    ts_free(w);
}

// Where other memory of the device is asked for and there is none.
static void give_up(void) {
    pthread_mutex_lock(&mutex);
    ts_cuda_workspace *all = idle;
    idle = NULL;
    pthread_mutex_unlock(&mutex);
    for (ts_cuda_workspace *next; all; all = next) {
        next = all->next;
        destroy(all);
    }
}

static ts_status open_cublas(ts_cuda_workspace *w) {
    const ts_cublas *cublas = ts_cublas_functions();
    ts_status status = ts_cublas_check(cublas->create(&w->cublas), "starting cuBLAS");
    if (status == TS_OK)
        status = ts_cublas_check(cublas->set_stream(w->cublas, w->stream), "cuBLAS");
    if (status == TS_OK)
        status = ts_cublas_check(cublas->set_workspace(w->cublas, w->cublas_room, CUBLAS_ROOM), "cuBLAS");
    return status;
}

static ts_status create(size_t bytes, bool with_cublas, ts_cuda_workspace **out) {
    ts_cuda_workspace *w = *out = ts_alloc_zero(1, sizeof *w, "measures on a GPU");
    if (!w)
        return TS_ERROR_MEMORY;
    if (with_cublas)
        ts_cuda_slab_take(&w->slab, CUBLAS_ROOM, 1);
    ts_cuda_slab_take(&w->slab, bytes + SPARE, 1);
    ts_status status = ts_cuda_slab_reserve_now(&w->slab, "measures");
    if (status == TS_OK)
        status = ts_cuda_stream(&w->stream);
    if (status == TS_OK && with_cublas) {
        w->cublas_room = w->slab.base;
        status = open_cublas(w);
    }
    return status;
}

// --- Taking them ---

static bool fits(const ts_cuda_workspace *w, size_t bytes, bool with_cublas) {
    size_t room = w->cublas_room ? CUBLAS_ROOM : 0;
    return (w->cublas != NULL) == with_cublas && w->slab.size >= bytes + room + SPARE / 2;
}

// One that fits; else any, which is given up for a larger one; NULL: none waits.
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
    if (w && fits(w, bytes, with_cublas)) {
        ts_cuda_slab_set_idle(false);
        w->next = NULL;
        *out = w;
    } else {
        if (w)
            destroy(w);
        status = create(bytes, with_cublas, out);
    }
    if (*out) // of what is cuBLAS's nobody else takes any
        (*out)->slab.used = 0;
    if (*out && (*out)->cublas_room)
        ts_cuda_slab_take(&(*out)->slab, CUBLAS_ROOM, 1);
    return status;
}

void ts_cuda_workspace_give_back(ts_cuda_workspace *w) {
    if (!w)
        return;
    if (!w->slab.base || !w->stream) { // it was not made to the end
        ts_cuda_slab_free(&w->slab);
        destroy(w);
        return;
    }
    pthread_mutex_lock(&mutex);
    w->next = idle;
    idle = w;
    pthread_mutex_unlock(&mutex);
    ts_cuda_slab_set_idle(true);
}

// --- Products ---

// Row-major C = A B is column-major C^T = B^T A^T.
ts_status ts_cuda_workspace_product(const ts_cuda_workspace *w, const ts_measure_product *p) {
    const double one = 1, zero = 0;
    if (!w->cublas || p->begin || p->depth == 0)
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
