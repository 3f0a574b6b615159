// Rows are worked on where EISPACK has columns, so that loops run along memory.
#include "base/eigen.h"

#include <float.h>
#include <math.h>
#include <stddef.h>

static double *row_of(double *a, int n, int i) {
    return a + (size_t)i * (size_t)n;
}

static double dot(const double *x, const double *y, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += x[i] * y[i];
    return sum;
}

// Takes row i to one number beside the diagonal by a reflection 1 - u u^T / h, and all before it with it; u stays in
// the row. Returns h, 0 where nothing is to be done.
static double reflect(double *a, int n, int i, double *beside, double *p) {
    double *u = row_of(a, n, i), scale = 0;
    for (int k = 0; k < i; k++)
        scale += fabs(u[k]);
    beside[i] = i > 0 ? u[i - 1] : 0;
    if (i < 2 || scale == fabs(u[i - 1]))
        return 0;
    for (int k = 0; k < i; k++)
        u[k] /= scale;
    double h = dot(u, u, i), g = u[i - 1] >= 0 ? -sqrt(h) : sqrt(h);
    beside[i] = scale * g;
    h -= u[i - 1] * g;
    u[i - 1] -= g;
    // p = A u / h, q = p - (u.p / 2 h) u, A -= u q^T + q u^T, of which A's lower half is kept.
    for (int j = 0; j < i; j++)
        p[j] = 0;
    for (int j = 0; j < i; j++) {
        const double *own = row_of(a, n, j);
        p[j] += dot(own, u, j + 1);
        for (int k = 0; k < j; k++)
            p[k] += own[k] * u[j];
    }
    for (int j = 0; j < i; j++)
        p[j] /= h;
    double half = dot(u, p, i) / (2 * h);
    for (int j = 0; j < i; j++)
        p[j] -= half * u[j];
    for (int j = 0; j < i; j++) {
        double *own = row_of(a, n, j);
        for (int k = 0; k <= j; k++)
            own[k] -= u[j] * p[k] + p[j] * u[k];
    }
    return h;
}

// Three diagonals: value (n) and beside (n), beside[0] = 0. `a` becomes the product of the reflections, transposed.
static void reduce(int n, double *a, double *value, double *beside) {
    double *h = value; // until the diagonal is known
    for (int i = n - 1; i > 0; i--)
        h[i] = reflect(a, n, i, beside, value);
    beside[0] = 0;
    h[0] = 0;
    for (int i = 0; i < n; i++) {
        double *own = row_of(a, n, i), factor = h[i];
        for (int j = 0; j < i && factor != 0; j++) { // Q <- Q (1 - u u^T / h), row j of Q^T here
            double *other = row_of(a, n, j), along = dot(own, other, i) / factor;
            for (int k = 0; k < i; k++)
                other[k] -= along * own[k];
        }
        value[i] = own[i];
        own[i] = 1;
        for (int j = 0; j < i; j++)
            own[j] = row_of(a, n, j)[i] = 0;
    }
}

// One sweep of QL with an implicit shift over the block first .. last.
static void sweep(int n, double *a, double *value, double *beside, int first, int last) {
    double g = (value[first + 1] - value[first]) / (2 * beside[first]), r = hypot(g, 1);
    g = value[last] - value[first] + beside[first] / (g + (g >= 0 ? r : -r));
    double s = 1, c = 1, p = 0;
    for (int i = last - 1; i >= first; i--) {
        double f = s * beside[i], b = c * beside[i];
        r = hypot(f, g);
        beside[i + 1] = r;
        if (r == 0) {
            value[i + 1] -= p;
            beside[last] = 0;
            return;
        }
        s = f / r;
        c = g / r;
        g = value[i + 1] - p;
        r = (value[i] - g) * s + 2 * c * b;
        p = s * r;
        value[i + 1] = g + p;
        g = c * r - b;
        double *x = row_of(a, n, i), *y = row_of(a, n, i + 1);
        for (int k = 0; k < n; k++) {
            double old = y[k];
            y[k] = s * x[k] + c * old;
            x[k] = c * x[k] - s * old;
        }
    }
    value[first] -= p;
    beside[first] = g;
    beside[last] = 0;
}

bool ts_eigen(int n, double *a, double *value, double *work) {
    enum { MOST_SWEEPS = 60 };
    double *beside = work; // beside[i]: of i and i + 1
    reduce(n, a, value, beside);
    for (int i = 1; i < n; i++)
        beside[i - 1] = beside[i];
    beside[n - 1] = 0;
    for (int i = 0; i < n; i++)
        if (!isfinite(value[i]) || !isfinite(beside[i]))
            return false;
    for (int first = 0; first < n; first++)
        for (int turn = 0;; turn++) {
            int last = first;
            while (last < n - 1 && fabs(beside[last]) > DBL_EPSILON * (fabs(value[last]) + fabs(value[last + 1])))
                last++;
            if (last == first)
                break;
            if (turn == MOST_SWEEPS)
                return false;
            sweep(n, a, value, beside, first, last);
        }
    return true;
}
