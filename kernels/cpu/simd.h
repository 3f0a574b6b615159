// A vector of 16 float32, for three instruction sets. The AVX2 and AVX-512 forms round alike in every
// operation and reduce in the same order, so that kernels written with it give the same bits on both; the
// portable form has no fused multiply-add where the machine has none.
#pragma once

#include <math.h>
#include <stdbool.h>

// For functions whose arguments are constants where they are called: loops over them unroll, and arrays are registers.
#define INLINE static inline __attribute__((always_inline))

// VECTOR_REGISTERS below: how many `vec` the registers hold, which sizes blocks.
enum { LANES = 16 };

#if defined(TS_KERNELS_AVX512)
#include <immintrin.h>

typedef __m512 vec;
enum { VECTOR_REGISTERS = 32 };

static inline vec vload(const float *p) {
    return _mm512_loadu_ps(p);
}
static inline void vstore(float *p, vec a) {
    _mm512_storeu_ps(p, a);
}
static inline vec vset(float a) {
    return _mm512_set1_ps(a);
}
static inline vec vadd(vec a, vec b) {
    return _mm512_add_ps(a, b);
}
static inline vec vsub(vec a, vec b) {
    return _mm512_sub_ps(a, b);
}
static inline vec vmul(vec a, vec b) {
    return _mm512_mul_ps(a, b);
}
static inline vec vdiv(vec a, vec b) {
    return _mm512_div_ps(a, b);
}
static inline vec vsqrt(vec a) {
    return _mm512_sqrt_ps(a);
}
static inline vec vfma(vec a, vec b, vec c) {
    return _mm512_fmadd_ps(a, b, c);
}
static inline vec vmax(vec a, vec b) {
    return _mm512_max_ps(a, b);
}
// a * 2^n for whole numbers n in [-126, 127]
static inline vec vscale(vec a, vec n) {
    return _mm512_scalef_ps(a, n);
}
static inline vec vround(vec a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// a where z > limit or z is NaN, else 0
static inline vec vwhere_above(vec z, vec limit, vec a) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(z, limit, _CMP_NLE_UQ), a);
}
// a, but 0 in the lane of that number, if there is one.
static inline vec vother_lanes(vec a, int lane) {
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_maskz_mov_ps(_mm512_cmpneq_epi32_mask(lanes, _mm512_set1_epi32(lane)), a);
}
// Whether all lanes are 0, of either sign; NaN is not.
static inline bool vall_zero(vec a) {
    return _mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_EQ_OQ) == 0xffff;
}
static inline float vsum(vec a) {
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
// Largest lane; NaNs may be passed over.
static inline float vlargest(vec a) {
    __m256 half = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// Row i, lane j <-> row j, lane i.
static inline void vtranspose(vec row[LANES]) {
    vec t[LANES];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(row[i], row[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(row[i], row[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        for (int j = 0; j < 2; j++) {
            __m512d even = _mm512_castps_pd(t[i + j]), odd = _mm512_castps_pd(t[i + j + 2]);
            row[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(even, odd));
            row[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(even, odd));
        }
    }
    // Now 128-bit part l of row[4 i + j] is lane 4 l + j of the rows 4 i .. 4 i + 3.
    for (int j = 0; j < 4; j++) {
        vec even_low = _mm512_shuffle_f32x4(row[j], row[4 + j], 0x88);
        vec even_high = _mm512_shuffle_f32x4(row[8 + j], row[12 + j], 0x88);
        vec odd_low = _mm512_shuffle_f32x4(row[j], row[4 + j], 0xdd);
        vec odd_high = _mm512_shuffle_f32x4(row[8 + j], row[12 + j], 0xdd);
        t[j] = _mm512_shuffle_f32x4(even_low, even_high, 0x88);
        t[8 + j] = _mm512_shuffle_f32x4(even_low, even_high, 0xdd);
        t[4 + j] = _mm512_shuffle_f32x4(odd_low, odd_high, 0x88);
        t[12 + j] = _mm512_shuffle_f32x4(odd_low, odd_high, 0xdd);
    }
    for (int i = 0; i < 16; i++)
        row[i] = t[i];
}

#elif defined(TS_KERNELS_AVX2)
#include <immintrin.h>

typedef struct vec {
    __m256 lo, hi;
} vec;
enum { VECTOR_REGISTERS = 8 };

static inline vec vload(const float *p) {
    return (vec){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
static inline void vstore(float *p, vec a) {
    _mm256_storeu_ps(p, a.lo);
    _mm256_storeu_ps(p + 8, a.hi);
}
static inline vec vset(float a) {
    return (vec){_mm256_set1_ps(a), _mm256_set1_ps(a)};
}
static inline vec vadd(vec a, vec b) {
    return (vec){_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
static inline vec vsub(vec a, vec b) {
    return (vec){_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
static inline vec vmul(vec a, vec b) {
    return (vec){_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
static inline vec vdiv(vec a, vec b) {
    return (vec){_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
static inline vec vsqrt(vec a) {
    return (vec){_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)};
}
static inline vec vfma(vec a, vec b, vec c) {
    return (vec){_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
static inline vec vmax(vec a, vec b) {
    return (vec){_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
static inline __m256 half_scale(__m256 a, __m256 n) {
    __m256i exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(a, _mm256_castsi256_ps(exponent));
}
// a * 2^n for whole numbers n in [-126, 127]
static inline vec vscale(vec a, vec n) {
    return (vec){half_scale(a.lo, n.lo), half_scale(a.hi, n.hi)};
}
static inline vec vround(vec a) {
    return (vec){_mm256_round_ps(a.lo, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
                 _mm256_round_ps(a.hi, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
static inline __m256 half_where_above(__m256 z, __m256 limit, __m256 a) {
    return _mm256_and_ps(_mm256_cmp_ps(z, limit, _CMP_NLE_UQ), a);
}
static inline vec vwhere_above(vec z, vec limit, vec a) {
    return (vec){half_where_above(z.lo, limit.lo, a.lo), half_where_above(z.hi, limit.hi, a.hi)};
}
static inline __m256 half_other_lanes(__m256 a, int lane) {
    __m256i is = _mm256_cmpeq_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(lane));
    return _mm256_andnot_ps(_mm256_castsi256_ps(is), a);
}
static inline vec vother_lanes(vec a, int lane) {
    return (vec){half_other_lanes(a.lo, lane), half_other_lanes(a.hi, lane - 8)};
}
static inline bool vall_zero(vec a) {
    __m256 lo = _mm256_cmp_ps(a.lo, _mm256_setzero_ps(), _CMP_EQ_OQ);
    __m256 hi = _mm256_cmp_ps(a.hi, _mm256_setzero_ps(), _CMP_EQ_OQ);
    return _mm256_movemask_ps(_mm256_and_ps(lo, hi)) == 0xff;
}
static inline float vsum(vec a) {
    __m256 half = _mm256_add_ps(a.lo, a.hi);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
static inline float vlargest(vec a) {
    __m256 half = _mm256_max_ps(a.lo, a.hi);
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

static inline void transpose8(__m256 row[8]) {
    __m256 t[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(row[i], row[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(row[i], row[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        for (int j = 0; j < 2; j++) {
            __m256d even = _mm256_castps_pd(t[i + j]), odd = _mm256_castps_pd(t[i + j + 2]);
            row[i + 2 * j] = _mm256_castpd_ps(_mm256_unpacklo_pd(even, odd));
            row[i + 2 * j + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(even, odd));
        }
    }
    for (int j = 0; j < 4; j++) {
        __m256 low = row[j], high = row[4 + j];
        row[j] = _mm256_permute2f128_ps(low, high, 0x20);
        row[4 + j] = _mm256_permute2f128_ps(low, high, 0x31);
    }
}
// Row i, lane j <-> row j, lane i: quarters transposed, two of them exchanged.
static inline void vtranspose(vec row[LANES]) {
    __m256 quarter[4][8];
    for (int i = 0; i < 8; i++) {
        quarter[0][i] = row[i].lo;
        quarter[1][i] = row[8 + i].lo;
        quarter[2][i] = row[i].hi;
        quarter[3][i] = row[8 + i].hi;
    }
    for (int q = 0; q < 4; q++)
        transpose8(quarter[q]);
    for (int i = 0; i < 8; i++) {
        row[i] = (vec){quarter[0][i], quarter[1][i]};
        row[8 + i] = (vec){quarter[2][i], quarter[3][i]};
    }
}

#else

// The compiler's own vectors, which it maps to whatever registers there are.
typedef float vec __attribute__((vector_size(LANES * sizeof(float)), aligned(4)));
typedef int vec_bits __attribute__((vector_size(LANES * sizeof(int))));
enum { VECTOR_REGISTERS = 4 };

#define TS_EACH_LANE(expression)                                                                                       \
    vec out;                                                                                                           \
    for (int i = 0; i < LANES; i++)                                                                                    \
        out[i] = (expression);                                                                                         \
    return out

static inline vec vload(const float *p) {
    return *(const vec *)(const void *)p;
}
static inline void vstore(float *p, vec a) {
    *(vec *)(void *)p = a;
}
static inline vec vset(float a) {
    return a - (vec){0};
}
static inline vec vadd(vec a, vec b) {
    return a + b;
}
static inline vec vsub(vec a, vec b) {
    return a - b;
}
static inline vec vmul(vec a, vec b) {
    return a * b;
}
static inline vec vdiv(vec a, vec b) {
    return a / b;
}
static inline vec vsqrt(vec a) {
    TS_EACH_LANE(sqrtf(a[i]));
}
#ifdef FP_FAST_FMAF
static inline vec vfma(vec a, vec b, vec c) {
    TS_EACH_LANE(fmaf(a[i], b[i], c[i]));
}
#else
static inline vec vfma(vec a, vec b, vec c) {
    return a * b + c;
}
#endif
static inline vec vmax(vec a, vec b) {
    TS_EACH_LANE(a[i] > b[i] ? a[i] : b[i]);
}
// a * 2^n for whole numbers n in [-126, 127]
static inline vec vscale(vec a, vec n) {
    return a * (vec)((__builtin_convertvector(n, vec_bits) + 127) << 23);
}
static inline vec vround(vec a) {
    TS_EACH_LANE(rintf(a[i]));
}
// a where z > limit or z is NaN, else 0
static inline vec vwhere_above(vec z, vec limit, vec a) {
    return (vec)((vec_bits)a & ~(vec_bits)(z <= limit));
}
// a, but 0 in the lane of that number, if there is one.
static inline vec vother_lanes(vec a, int lane) {
    TS_EACH_LANE(i == lane ? 0 : a[i]);
}
static inline bool vall_zero(vec a) {
    bool all = true;
    for (int i = 0; i < LANES; i++)
        all = all && a[i] == 0;
    return all;
}
static inline float vsum(vec a) {
    float lane[LANES];
    vstore(lane, a);
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            lane[i] += lane[i + width];
    return lane[0];
}
static inline float vlargest(vec a) {
    float largest = a[0];
    for (int i = 1; i < LANES; i++)
        largest = a[i] > largest ? a[i] : largest;
    return largest;
}

// Row i, lane j <-> row j, lane i.
static inline void vtranspose(vec row[LANES]) {
    for (int i = 0; i < LANES; i++) {
        for (int j = 0; j < i; j++) {
            float kept = row[i][j];
            row[i][j] = row[j][i];
            row[j][i] = kept;
        }
    }
}

#endif

static inline vec vzero(void) {
    return vset(0);
}
// a where z > 0 or z is NaN, else 0
static inline vec vwhere_positive(vec z, vec a) {
    return vwhere_above(z, vzero(), a);
}

// exp(x + error) to 2 ulp for |error| below half a unit in the last place of x; 0 below -87.3; infinity above 88.37
// (where n would be 128) and for NaN. x = n ln 2 + r with |r| <= ln 2 / 2 (ln 2 in two parts, Cody and Waite), then the
// Taylor polynomial of degree 7. `below`: x is at most 88, or, with an error that is NaN, anything: then it is NaN,
// infinity (of an x whose sum with others is no number anyway) or 0.
INLINE vec vexp_or_below(vec x, vec error, bool below) {
    const vec lowest = vset(-87.33654f), highest = vset(88.37626f);
    vec inside = vmax(x, lowest);
    vec n = vround(vmul(inside, vset(1.44269504f)));
    if (!below)
        n = vsub(vzero(), vmax(vsub(vzero(), n), vset(-127))); // at most 127
    vec r = vfma(n, vset(-0.693145751953125f), inside);
    r = vadd(vfma(n, vset(-1.42860677e-6f), r), error);
    vec p = vset(1.98412698e-4f);
    p = vfma(p, r, vset(1.38888889e-3f));
    p = vfma(p, r, vset(8.33333333e-3f));
    p = vfma(p, r, vset(4.16666667e-2f));
    p = vfma(p, r, vset(1.66666667e-1f));
    p = vfma(p, r, vset(0.5f));
    p = vfma(vmul(p, r), r, r);
    p = vadd(p, vset(1));
    vec result = vwhere_above(x, lowest, vscale(p, n));
    return below ? result : vadd(result, vwhere_above(x, highest, vset(INFINITY)));
}
static inline vec vexp(vec x, vec error) {
    return vexp_or_below(x, error, false);
}
static inline vec vexp_below(vec x, vec error) {
    return vexp_or_below(x, error, true);
}
