// Fourier components on a circle, and their norms over the rows of an embedding.
#include "measure/fourier.h"

#include "base/product.h"

#include <math.h>
#include <stddef.h>

static const double CIRCLE = 6.283185307179586476925286766559;

int ts_fourier_frequency(int component) {
    return (component + 1) / 2;
}

void ts_fourier_functions(int n, double *functions) {
    for (int f = 0; f < n; f++)
        for (int x = 0; x < n; x++) {
            // Within one turn, where a sine is as accurate as any.
            int turn = (int)((long)ts_fourier_frequency(f) * x % n);
            double angle = CIRCLE * turn / n;
            functions[(size_t)f * (size_t)n + (size_t)x] = f == 0 || f % 2 == 1 ? cos(angle) : sin(angle);
        }
}

void ts_fourier_basis(int n, const double *functions, double *basis) {
    size_t places = (size_t)n;
    for (size_t f = 0; f < places; f++) {
        double square = 0;
        for (size_t x = 0; x < places; x++)
            square += functions[f * places + x] * functions[f * places + x];
        for (size_t x = 0; x < places; x++)
            basis[f * places + x] = functions[f * places + x] / sqrt(square);
    }
}

void ts_fourier_at(int n, const double *functions, const int *place, double *at) {
    size_t tokens = (size_t)n;
    for (size_t f = 0; f < tokens; f++) {
        double *own = at + f * tokens, square = 0;
        for (size_t t = 0; t < tokens; t++) {
            own[t] = functions[f * tokens + (place ? (size_t)place[t] : t)];
            square += own[t] * own[t];
        }
        for (size_t t = 0; t < tokens; t++)
            own[t] = square > 1e-12 * n ? own[t] / sqrt(square) : 0;
    }
}

void ts_fourier_norms(int n, const double *functions, const int *place, const double *rows, int width, double *work,
                      double *norm) {
    size_t tokens = (size_t)n, wide = (size_t)width;
    double *component = work + tokens * tokens; // (n, width)
    ts_fourier_at(n, functions, place, work);
    ts_product(n, width, n, work, n, rows, width, component, width);
    for (size_t f = 0; f < tokens; f++) {
        double square = 0;
        for (size_t k = 0; k < wide; k++)
            square += component[f * wide + k] * component[f * wide + k];
        norm[f] = sqrt(square);
    }
}
