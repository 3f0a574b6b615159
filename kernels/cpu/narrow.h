// Vectors of one register, for what has a lane for each of so many things: 16 floats with AVX-512, 8 elsewhere. The
// functions are those of simd.h, with the same bits in every lane.
#pragma once

#include "cpu/simd.h"

#if defined(TS_KERNELS_AVX512)

typedef vec narrow;
enum { NARROW_LANES = LANES };

#define TS_OF_VEC(name, arguments, values)                                                                             \
    static inline narrow n##name arguments {                                                                           \
        return v##name values;                                                                                         \
    }
TS_OF_VEC(load, (const float *p), (p))
TS_OF_VEC(set, (float a), (a))
TS_OF_VEC(add, (vec a, vec b), (a, b))
TS_OF_VEC(sub, (vec a, vec b), (a, b))
TS_OF_VEC(mul, (vec a, vec b), (a, b))
TS_OF_VEC(div, (vec a, vec b), (a, b))
TS_OF_VEC(sqrt, (vec a), (a))
TS_OF_VEC(fma, (vec a, vec b, vec c), (a, b, c))
TS_OF_VEC(where_positive, (vec z, vec a), (z, a))
static inline void nstore(float *p, narrow a) {
    vstore(p, a);
}
static inline bool nall_zero(narrow a) {
    return vall_zero(a);
}

#elif defined(TS_KERNELS_AVX2)

typedef __m256 narrow;
enum { NARROW_LANES = 8 };

static inline narrow nload(const float *p) {
    return _mm256_loadu_ps(p);
}
static inline void nstore(float *p, narrow a) {
    _mm256_storeu_ps(p, a);
}
static inline narrow nset(float a) {
    return _mm256_set1_ps(a);
}
static inline narrow nadd(narrow a, narrow b) {
    return _mm256_add_ps(a, b);
}
static inline narrow nsub(narrow a, narrow b) {
    return _mm256_sub_ps(a, b);
}
static inline narrow nmul(narrow a, narrow b) {
    return _mm256_mul_ps(a, b);
}
static inline narrow ndiv(narrow a, narrow b) {
    return _mm256_div_ps(a, b);
}
static inline narrow nsqrt(narrow a) {
    return _mm256_sqrt_ps(a);
}
static inline narrow nfma(narrow a, narrow b, narrow c) {
    return _mm256_fmadd_ps(a, b, c);
}
static inline narrow nwhere_positive(narrow z, narrow a) {
    return half_where_above(z, _mm256_setzero_ps(), a);
}
static inline bool nall_zero(narrow a) {
    return _mm256_movemask_ps(_mm256_cmp_ps(a, _mm256_setzero_ps(), _CMP_EQ_OQ)) == 0xff;
}

#else

enum { NARROW_LANES = 8 };
typedef float narrow __attribute__((vector_size(NARROW_LANES * sizeof(float)), aligned(4)));
typedef int narrow_bits __attribute__((vector_size(NARROW_LANES * sizeof(int))));

static inline narrow nload(const float *p) {
    return *(const narrow *)(const void *)p;
}
static inline void nstore(float *p, narrow a) {
    *(narrow *)(void *)p = a;
}
static inline narrow nset(float a) {
    return a - (narrow){0};
}
static inline narrow nadd(narrow a, narrow b) {
    return a + b;
}
static inline narrow nsub(narrow a, narrow b) {
    return a - b;
}
static inline narrow nmul(narrow a, narrow b) {
    return a * b;
}
static inline narrow ndiv(narrow a, narrow b) {
    return a / b;
}
static inline narrow nsqrt(narrow a) {
    narrow out;
    for (int i = 0; i < NARROW_LANES; i++)
        out[i] = sqrtf(a[i]);
    return out;
}
static inline narrow nfma(narrow a, narrow b, narrow c) {
#ifdef FP_FAST_FMAF
    narrow out;
    for (int i = 0; i < NARROW_LANES; i++)
        out[i] = fmaf(a[i], b[i], c[i]);
    return out;
#else
    return a * b + c;
#endif
}
static inline narrow nwhere_positive(narrow z, narrow a) {
    return (narrow)((narrow_bits)a & ~(narrow_bits)(z <= (narrow){0}));
}
static inline bool nall_zero(narrow a) {
    bool all = true;
    for (int i = 0; i < NARROW_LANES; i++)
        all = all && a[i] == 0;
    return all;
}

#endif

static inline narrow nzero(void) {
    return nset(0);
}
