// Eigenvectors of a symmetric matrix, in double precision, with the same bits on every processor (no LAPACK): by
// Householder's reduction to three diagonals and QL with implicit shifts (EISPACK's tred2 and tql2).
#pragma once

#include <stdbool.h>

// a (n, n), symmetric: becomes the eigenvectors, one a row, of length 1. value (n): eigenvalues, in no order. work (n).
// False: they are not found, as where a number is not finite.
bool ts_eigen(int n, double *a, double *value, double *work);
