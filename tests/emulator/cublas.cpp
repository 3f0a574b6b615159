// cuBLAS by plain loops. A call is work on the handle's stream, so that it can be captured into a graph.
#include "cublas_v2.h"

#include "emulator.h"

struct cublasContext {
    cudaStream_t stream = nullptr;
};

namespace {

// One product of the batch, column-major.
template <typename T> struct product {
    bool transpose_a, transpose_b;
    int m, n, k, lda, ldb, ldc;
    T alpha, beta;

    void operator()(const T *a, const T *b, T *c) const {
        for (int j = 0; j < n; j++)
            for (int i = 0; i < m; i++) {
                T sum = 0;
                for (int l = 0; l < k; l++) {
                    T left = transpose_a ? a[l + (size_t)i * (size_t)lda] : a[i + (size_t)l * (size_t)lda];
                    T right = transpose_b ? b[j + (size_t)l * (size_t)ldb] : b[l + (size_t)j * (size_t)ldb];
                    sum = std::fma(left, right, sum);
                }
                T &out = c[i + (size_t)j * (size_t)ldc];
                out = beta == 0 ? alpha * sum : alpha * sum + beta * out; // what was there may be NaN
            }
    }
};

template <typename T>
cublasStatus_t multiply(cublasHandle_t handle, cublasOperation_t transpose_a, cublasOperation_t transpose_b, int m,
                        int n, int k, T alpha, const T *a, int lda, long long stride_a, const T *b, int ldb,
                        long long stride_b, T beta, T *c, int ldc, long long stride_c, int count) {
    bool ta = transpose_a == CUBLAS_OP_T, tb = transpose_b == CUBLAS_OP_T;
    if (m < 0 || n < 0 || k < 0 || count < 0 || lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m)
        return CUBLAS_STATUS_INVALID_VALUE;
    product<T> one = {ta, tb, m, n, k, lda, ldb, ldc, alpha, beta};
    emulator::enqueue(handle->stream, [=] {
        for (long long i = 0; i < count; i++)
            one(a + i * stride_a, b + i * stride_b, c + i * stride_c);
    });
    return CUBLAS_STATUS_SUCCESS;
}

} // namespace

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t *handle) {
    *handle = new cublasContext;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
    emulator::synchronise_device(); // as documented
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetVersion_v2(cublasHandle_t handle, int *version) {
    (void)handle;
    *version = CUBLAS_VER_MAJOR * 10000;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
    handle->stream = stream;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void *workspace, size_t bytes) {
    (void)handle, (void)workspace, (void)bytes;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
    (void)handle, (void)mode;
    return CUBLAS_STATUS_SUCCESS;
}

const char *cublasGetStatusString(cublasStatus_t status) {
    return status == CUBLAS_STATUS_SUCCESS ? "success" : "an error";
}

cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t transpose_a,
                                         cublasOperation_t transpose_b, int m, int n, int k, const float *alpha,
                                         const float *a, int lda, long long stride_a, const float *b, int ldb,
                                         long long stride_b, const float *beta, float *c, int ldc, long long stride_c,
                                         int count) {
    return multiply(handle, transpose_a, transpose_b, m, n, k, *alpha, a, lda, stride_a, b, ldb, stride_b, *beta, c,
                    ldc, stride_c, count);
}

cublasStatus_t cublasDgemm_v2(cublasHandle_t handle, cublasOperation_t transpose_a, cublasOperation_t transpose_b,
                              int m, int n, int k, const double *alpha, const double *a, int lda, const double *b,
                              int ldb, const double *beta, double *c, int ldc) {
    return multiply(handle, transpose_a, transpose_b, m, n, k, *alpha, a, lda, 0, b, ldb, 0, *beta, c, ldc, 0, 1);
}

cublasStatus_t cublasDgemmStridedBatched(cublasHandle_t handle, cublasOperation_t transpose_a,
                                         cublasOperation_t transpose_b, int m, int n, int k, const double *alpha,
                                         const double *a, int lda, long long stride_a, const double *b, int ldb,
                                         long long stride_b, const double *beta, double *c, int ldc, long long stride_c,
                                         int count) {
    return multiply(handle, transpose_a, transpose_b, m, n, k, *alpha, a, lda, stride_a, b, ldb, stride_b, *beta, c,
                    ldc, stride_c, count);
}

} // extern "C"
