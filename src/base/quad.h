// Vectors of four doubles, for loops that compilers do not make vectors of by themselves. Each lane is a number by
// itself, so the bits are those of plain loops. Functions that use them are built for several instruction sets (sets.h)
// and do not get or return them.
#pragma once

#include <stdint.h>

enum { TS_QUAD = 4 };
typedef double ts_quad __attribute__((vector_size(32)));
typedef int64_t ts_quad_mask __attribute__((vector_size(32)));     // of comparisons: all bits of a lane, or none
typedef ts_quad ts_quad_at __attribute__((aligned(8), may_alias)); // wherever it lies among doubles

static inline __attribute__((always_inline)) int64_t ts_quad_any(const ts_quad_mask *mask) {
    return ((*mask)[0] | (*mask)[1]) | ((*mask)[2] | (*mask)[3]);
}
