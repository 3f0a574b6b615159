// Fourier components of functions on a circle of n places: 0 constant, 2k - 1 cos k, 2k sin k, for k in 1 ..
// n/2; for even n the last one is cos n/2 alone. What of a network is taken apart by them is
// the families' business.
#pragma once

// Frequency of a component: 0, 1, 1, 2, 2, ...
int ts_fourier_frequency(int component);

// f(x) of each component at each place, not normalised: 1, cos(2 pi k x / n), sin(2 pi k x / n). (n, n).
void ts_fourier_functions(int n, double *functions);

// The same, each of length 1. (n, n).
void ts_fourier_basis(int n, const double *functions, double *basis);

// The same at tokens, place (n) being the x of each (NULL: its number), each of length 1 over them; 0 where f is 0 on
// all of them. (n, n): components, tokens.
void ts_fourier_at(int n, const double *functions, const int *place, double *at);

// Norm of each component of rows (n, width), one per token: |sum_t f(x_t) row_t|, f divided by its norm over the
// tokens; 0 where f is 0 on all of them. place (n): x of each token; NULL: its number. work: n * (n + width);
// norm (n).
void ts_fourier_norms(int n, const double *functions, const int *place, const double *rows, int width, double *work,
                      double *norm);
