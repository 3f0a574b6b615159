// A matrix transposed in registers, 16 x 16 numbers at a time.
#pragma once

#include "cpu/simd.h"

#include <stddef.h>

// to[c][r] = from[r][c]. Whole tiles are read and written: rows beyond `rows` as zeros; columns up to the next
// multiple of 16, which `from` must have.
static inline void transpose(const float *from, int rows, int row_stride, int columns, float *to, int to_stride) {
    for (int r = 0; r < rows; r += LANES) {
        for (int c = 0; c < columns; c += LANES) {
            vec tile[LANES];
            for (int i = 0; i < LANES; i++)
                tile[i] = r + i < rows ? vload(from + (size_t)(r + i) * (size_t)row_stride + c) : vzero();
            vtranspose(tile);
            for (int i = 0; i < LANES; i++)
                vstore(to + (size_t)(c + i) * (size_t)to_stride + r, tile[i]);
        }
    }
}
