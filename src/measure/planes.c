// Neurons by frequency: moments gathered row by row, and the clusters made of them.
#include "measure/planes.h"

#include "base/product.h"
#include "base/sets.h"
#include "measure/fourier.h"

#include <math.h>
#include <string.h>

static const double KEY_FRACTION = 0.85;
// Shares of energies below which what is left is rounding.
static const double NOTHING = 1e-12, DEPENDENT = 1e-10;
static const double EQUAL = 1e-9; // shares that differ by less are equal: the first of them is the largest

// Sums over the pairs of a plane, (n, hidden) each, by x, by y, by x + y, by x - y: products of functions of x and of y
// are functions of the latter.
enum { OF_X, OF_Y, OF_SUM, OF_DIFFERENCE, TABLES };

// All sums, one after the other.
typedef struct sums {
    double *square; // (hidden) sum of h^2
    double *table;  // (planes, TABLES, n, hidden)
} sums;

static sums sums_at(const ts_planes *p, double *numbers) {
    return (sums){numbers, numbers + p->hidden};
}

static size_t table_numbers(const ts_planes *p) {
    return (size_t)p->n * (size_t)p->hidden;
}

size_t ts_planes_sums(const ts_planes *p) {
    return (size_t)p->hidden + (size_t)(p->circles * p->circles) * TABLES * table_numbers(p);
}

ts_status ts_planes_create(int n, int circles, const int *x, const int *y, int hidden, ts_planes *p) {
    *p = (ts_planes){.n = n, .circles = circles, .hidden = hidden, .count = n / 2, .x = x, .y = y, .slab = {0}};
    size_t places = (size_t)n, width = (size_t)hidden, count = (size_t)p->count;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&p->slab, "the frequencies of neurons") != TS_OK)
            return TS_ERROR_MEMORY;
        p->functions = ts_slab_take(&p->slab, places * places, sizeof(double));
        p->transformed = ts_slab_take(&p->slab, TABLES * places * width, sizeof(double));
        p->sum = ts_slab_take(&p->slab, (size_t)(circles * circles) * width, sizeof(double));
        p->explained = ts_slab_take_zero(&p->slab, count * width, sizeof(double));
        p->frequency = ts_slab_take(&p->slab, width, sizeof(double));
        p->fraction = ts_slab_take(&p->slab, width, sizeof(double));
        p->key = ts_slab_take_zero(&p->slab, count, sizeof(double));
    }
    ts_fourier_functions(n, p->functions);
    return TS_OK;
}

// --- Rows of pairs ---

TS_FOR_EACH_SET static void add_pair(const double *restrict h, int count, double *restrict square, double *restrict x,
                                     double *restrict y, double *restrict sum, double *restrict difference) {
    for (int i = 0; i < count; i++) {
        square[i] += h[i] * h[i];
        x[i] += h[i];
        y[i] += h[i];
        sum[i] += h[i];
        difference[i] += h[i];
    }
}

void ts_planes_add(const ts_planes *p, int a, const double *h, double *numbers) {
    sums to = sums_at(p, numbers);
    size_t width = (size_t)p->hidden, table = table_numbers(p);
    int x = p->x[a] % p->n, row = p->x[a] / p->n;
    for (int b = 0; b < p->circles * p->n; b++) {
        int y = p->y[b] % p->n, plane = row * p->circles + p->y[b] / p->n;
        double *own = to.table + (size_t)plane * TABLES * table;
        add_pair(h + (size_t)b * width, p->hidden, to.square, own + OF_X * table + (size_t)x * width,
                 own + OF_Y * table + (size_t)y * width, own + OF_SUM * table + (size_t)((x + y) % p->n) * width,
                 own + OF_DIFFERENCE * table + (size_t)((x - y + p->n) % p->n) * width);
    }
}

double *ts_planes_table(const ts_planes *p, int table, double *numbers) {
    return table < p->circles * p->circles * TABLES ? sums_at(p, numbers).table + (size_t)table * table_numbers(p)
                                                    : NULL;
}

int ts_planes_place(const void *context, int a, int b) {
    const ts_planes_of *of = context;
    const ts_planes *p = of->planes;
    int x = p->x[a] % p->n, y = p->y[b] % p->n, by = of->table % TABLES;
    if (p->x[a] / p->n * p->circles + p->y[b] / p->n != of->table / TABLES)
        return -1;
    return by == OF_X ? x : by == OF_Y ? y : by == OF_SUM ? (x + y) % p->n : (x - y + p->n) % p->n;
}

// --- Clusters ---

// Orthonormal functions of the tokens of a circle from 1, cos k, sin k: combination[i][j] of f_j, j <= i. One
// that depends on those before it is 0.
static void orthonormalise(const ts_planes *p, const int *place, int circle, int k, double combination[3][3]) {
    const double *cosine = p->functions + (size_t)(2 * k - 1) * (size_t)p->n;
    const double *sine = 2 * k < p->n ? cosine + p->n : NULL;
    double gram[3][3] = {{0}};
    for (int t = 0; t < p->circles * p->n; t++) {
        if (place[t] / p->n != circle)
            continue;
        int x = place[t] % p->n;
        double f[3] = {1, cosine[x], sine ? sine[x] : 0};
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++)
                gram[i][j] += f[i] * f[j];
    }
    memset(combination, 0, 9 * sizeof(double));
    for (int i = 0; i < 3; i++) {
        double own[3] = {0}, square = gram[i][i];
        own[i] = 1;
        for (int j = 0; j < i; j++) { // take out what lies along the earlier ones
            double along = 0;
            for (int q = 0; q <= j; q++)
                along += combination[j][q] * gram[i][q];
            for (int q = 0; q <= j; q++)
                own[q] -= along * combination[j][q];
            square -= along * along;
        }
        for (int q = 0; q <= i; q++)
            combination[i][q] = square > DEPENDENT * gram[0][0] ? own[q] / sqrt(square) : 0;
    }
}

// The energy of one neuron's 8 terms of a frequency in a plane.
static double terms_energy(double raw[3][3], double of_x[3][3], double of_y[3][3]) {
    double half[3][3] = {{0}}, sum = 0;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            for (int q = 0; q <= i; q++)
                half[i][j] += of_x[i][q] * raw[q][j];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            double term = 0;
            for (int q = 0; q <= j; q++)
                term += half[i][q] * of_y[j][q];
            sum += i + j > 0 ? term * term : 0;
        }
    return sum;
}

// Sums of f_i(x) f_j(y) h over a plane, f: 1, cos k, sin k, from those of 1, cos k and sin k of x, ..: of
// `transformed`.
static void take_moments(const ts_planes *p, int plane, int k, size_t neuron, double raw[3][3]) {
    size_t width = (size_t)p->hidden, table = table_numbers(p);
    const double *cosine = p->transformed + (size_t)(2 * k - 1) * width + neuron;
    double cosines[TABLES], sines[TABLES];
    for (size_t t = 0; t < TABLES; t++) {
        cosines[t] = cosine[t * table];
        sines[t] = 2 * k < p->n ? cosine[t * table + width] : 0;
    }
    raw[0][0] = p->sum[(size_t)plane * width + neuron];
    raw[0][1] = cosines[OF_Y];
    raw[0][2] = sines[OF_Y];
    raw[1][0] = cosines[OF_X];
    raw[1][1] = (cosines[OF_DIFFERENCE] + cosines[OF_SUM]) / 2;
    raw[1][2] = (sines[OF_SUM] - sines[OF_DIFFERENCE]) / 2;
    raw[2][0] = sines[OF_X];
    raw[2][1] = (sines[OF_SUM] + sines[OF_DIFFERENCE]) / 2;
    raw[2][2] = 2 * k < p->n ? (cosines[OF_DIFFERENCE] - cosines[OF_SUM]) / 2 : 0;
}

static void explain(ts_planes *p, int plane, int k) {
    double of_x[3][3], of_y[3][3], raw[3][3];
    orthonormalise(p, p->x, plane / p->circles, k, of_x);
    orthonormalise(p, p->y, plane % p->circles, k, of_y);
    for (size_t i = 0; i < (size_t)p->hidden; i++) {
        take_moments(p, plane, k, i, raw);
        p->explained[(size_t)(k - 1) * (size_t)p->hidden + i] += terms_energy(raw, of_x, of_y);
    }
}

static void explain_plane(ts_planes *p, const sums *of, int plane) {
    size_t table = table_numbers(p);
    for (size_t t = 0; t < TABLES; t++)
        ts_product(p->n, p->hidden, p->n, p->functions, p->n, of->table + ((size_t)plane * TABLES + t) * table,
                   p->hidden, p->transformed + t * table, p->hidden);
    memcpy(p->sum + (size_t)plane * (size_t)p->hidden, p->transformed, (size_t)p->hidden * sizeof *p->sum);
    for (int k = 1; k <= p->count; k++)
        explain(p, plane, k);
}

// Sum over planes of the neuron's energy less its mean in the plane.
static double centred_energy(const ts_planes *p, const sums *of, size_t neuron) {
    double pairs = (double)p->n * p->n, energy = of->square[neuron];
    for (int plane = 0; plane < p->circles * p->circles; plane++) {
        double sum = p->sum[(size_t)plane * (size_t)p->hidden + neuron];
        energy -= sum * sum / pairs;
    }
    return energy > NOTHING * of->square[neuron] ? energy : 0;
}

void ts_planes_cluster(ts_planes *p, double *numbers) {
    size_t width = (size_t)p->hidden;
    sums of = sums_at(p, numbers);
    for (int plane = 0; plane < p->circles * p->circles; plane++)
        explain_plane(p, &of, plane);
    for (size_t i = 0; i < width; i++) {
        double energy = centred_energy(p, &of, i), best = 0;
        p->frequency[i] = energy > 0 ? 1 : -1;
        for (int k = 1; k <= p->count && energy > 0; k++)
            if (p->explained[(size_t)(k - 1) * width + i] > best * (1 + EQUAL)) {
                best = p->explained[(size_t)(k - 1) * width + i];
                p->frequency[i] = k;
            }
        p->fraction[i] = energy > 0 ? best / energy : NAN;
        if (energy > 0 && p->fraction[i] > KEY_FRACTION)
            p->key[(size_t)p->frequency[i] - 1] = 1;
        for (size_t k = 0; k < (size_t)p->count; k++)
            p->explained[k * width + i] = energy > 0 ? p->explained[k * width + i] / energy : NAN;
    }
}
