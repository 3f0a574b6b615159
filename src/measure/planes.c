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

// Moments of a frequency k, by the functions of x and of y: 1, cos k and sin k, but for 1 and 1.
enum { ONE_COS, ONE_SIN, COS_ONE, SIN_ONE, COS_COS, COS_SIN, SIN_COS, SIN_SIN, MOMENTS };

// Sums over the rows of pairs, one after the other.
typedef struct sums {
    double *square; // (hidden) sum of h^2
    double *sum;    // (planes, hidden): of h
    double *moment; // (planes, count, MOMENTS, hidden): of f_i(x) f_j(y) h, f: 1, cos k, sin k
} sums;

static sums sums_at(const ts_planes *p, double *numbers) {
    size_t width = (size_t)p->hidden, planes = (size_t)(p->circles * p->circles);
    return (sums){numbers, numbers + width, numbers + (1 + planes) * width};
}

size_t ts_planes_sums(const ts_planes *p) {
    size_t planes = (size_t)(p->circles * p->circles);
    return (1 + planes + planes * (size_t)p->count * MOMENTS) * (size_t)p->hidden;
}

// Of one row and circle.
typedef struct folded {
    double *even;       // (count + 1, hidden): a row's activations at y plus those at -y
    double *odd;        // (count, hidden): minus
    double *of_cosines; // (count + 1, hidden): sums over b of cos k y h
    double *of_sines;   // (count, hidden)
} folded;

static folded folded_at(const ts_planes *p, double *scratch) {
    size_t width = (size_t)p->hidden, count = (size_t)p->count;
    return (folded){scratch, scratch + (count + 1) * width, scratch + (2 * count + 1) * width,
                    scratch + (3 * count + 2) * width};
}

size_t ts_planes_scratch(const ts_planes *p) {
    return (4 * (size_t)p->count + 2) * (size_t)p->hidden;
}

ts_status ts_planes_create(int n, int circles, const int *x, const int *y, int hidden, ts_planes *p) {
    *p = (ts_planes){.n = n, .circles = circles, .hidden = hidden, .count = n / 2, .x = x, .y = y, .slab = {0}};
    size_t places = (size_t)n, width = (size_t)hidden, count = (size_t)p->count;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&p->slab, "the frequencies of neurons") != TS_OK)
            return TS_ERROR_MEMORY;
        p->functions = ts_slab_take(&p->slab, places * places, sizeof(double));
        p->cosines = ts_slab_take(&p->slab, (count + 1) * (count + 1), sizeof(double));
        p->sines = ts_slab_take_zero(&p->slab, count * count, sizeof(double));
        p->explained = ts_slab_take_zero(&p->slab, count * width, sizeof(double));
        p->frequency = ts_slab_take(&p->slab, width, sizeof(double));
        p->fraction = ts_slab_take(&p->slab, width, sizeof(double));
        p->key = ts_slab_take_zero(&p->slab, count, sizeof(double));
    }
    ts_fourier_functions(n, p->functions);
    for (size_t k = 0; k <= count; k++)
        for (size_t j = 0; j <= count; j++) {
            p->cosines[k * (count + 1) + j] = p->functions[(k == 0 ? 0 : 2 * k - 1) * places + j];
            if (k > 0 && j > 0 && 2 * k < places) // else no sine
                p->sines[(k - 1) * count + j - 1] = p->functions[2 * k * places + j];
        }
    return TS_OK;
}

// --- Rows of pairs ---

static void add(double *restrict sum, const double *restrict x, double sign, int count) {
    for (int i = 0; i < count; i++)
        sum[i] += sign * x[i];
}

// Adds up a circle's activations by place, those at y and at -y together: a cosine takes their sum, a sine
// their difference, so that half of the products is saved.
static void fold(const ts_planes *p, const folded *to, int circle, const double *h) {
    size_t width = (size_t)p->hidden, count = (size_t)p->count;
    memset(to->even, 0, (count + 1) * width * sizeof(double));
    memset(to->odd, 0, count * width * sizeof(double));
    for (int b = 0; b < p->circles * p->n; b++) {
        if (p->y[b] / p->n != circle)
            continue;
        int y = p->y[b] % p->n, opposite = p->n - y;
        const double *own = h + (size_t)b * width;
        add(to->even + (size_t)(y < opposite ? y : opposite) * width, own, 1, p->hidden);
        if (y > 0 && y != opposite)
            add(to->odd + (size_t)((y < opposite ? y : opposite) - 1) * width, own, y < opposite ? 1 : -1, p->hidden);
    }
}

// Adds what a row's sums over b, times the functions of its x, give to the moments of one frequency.
TS_FOR_EACH_SET static void add_moments(double *restrict moment, const double *restrict sum,
                                        const double *restrict of_cosine, const double *restrict of_sine, double cosine,
                                        double sine, int count) {
    size_t width = (size_t)count;
    for (size_t i = 0; i < width; i++) {
        moment[ONE_COS * width + i] += of_cosine[i];
        moment[ONE_SIN * width + i] += of_sine[i];
        moment[COS_ONE * width + i] += cosine * sum[i];
        moment[SIN_ONE * width + i] += sine * sum[i];
        moment[COS_COS * width + i] += cosine * of_cosine[i];
        moment[COS_SIN * width + i] += cosine * of_sine[i];
        moment[SIN_COS * width + i] += sine * of_cosine[i];
        moment[SIN_SIN * width + i] += sine * of_sine[i];
    }
}

TS_FOR_EACH_SET static void add_squares(double *restrict square, const double *restrict h, int rows, int count) {
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < count; i++)
            square[i] += h[(size_t)r * (size_t)count + (size_t)i] * h[(size_t)r * (size_t)count + (size_t)i];
}

void ts_planes_add(const ts_planes *p, int a, const double *h, double *scratch, double *numbers) {
    size_t width = (size_t)p->hidden, n = (size_t)p->n;
    size_t x = (size_t)p->x[a] % n, row = (size_t)p->x[a] / n;
    sums to = sums_at(p, numbers);
    folded own = folded_at(p, scratch);
    add_squares(to.square, h, p->circles * p->n, p->hidden);
    for (int circle = 0; circle < p->circles; circle++) {
        size_t plane = row * (size_t)p->circles + (size_t)circle;
        fold(p, &own, circle, h);
        ts_product(p->count + 1, p->hidden, p->count + 1, p->cosines, p->count + 1, own.even, p->hidden, own.of_cosines,
                   p->hidden);
        ts_product(p->count, p->hidden, p->count, p->sines, p->count, own.odd, p->hidden, own.of_sines, p->hidden);
        add(to.sum + plane * width, own.of_cosines, 1, p->hidden);
        for (size_t k = 1; k <= (size_t)p->count; k++)
            add_moments(to.moment + (plane * (size_t)p->count + k - 1) * MOMENTS * width, own.of_cosines,
                        own.of_cosines + k * width, own.of_sines + (k - 1) * width, p->functions[(2 * k - 1) * n + x],
                        2 * k < n ? p->functions[2 * k * n + x] : 0, p->hidden);
    }
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

static void explain(ts_planes *p, const sums *of, int plane, int k) {
    size_t width = (size_t)p->hidden;
    double of_x[3][3], of_y[3][3];
    const double *moment = of->moment + ((size_t)plane * (size_t)p->count + (size_t)k - 1) * MOMENTS * width;
    orthonormalise(p, p->x, plane / p->circles, k, of_x);
    orthonormalise(p, p->y, plane % p->circles, k, of_y);
    for (size_t i = 0; i < width; i++) {
        const double *own = moment + i;
        double raw[3][3] = {{of->sum[(size_t)plane * width + i], own[ONE_COS * width], own[ONE_SIN * width]},
                            {own[COS_ONE * width], own[COS_COS * width], own[COS_SIN * width]},
                            {own[SIN_ONE * width], own[SIN_COS * width], own[SIN_SIN * width]}};
        p->explained[(size_t)(k - 1) * width + i] += terms_energy(raw, of_x, of_y);
    }
}

// Sum over planes of the neuron's energy less its mean in the plane.
static double centred_energy(const ts_planes *p, const sums *of, size_t neuron) {
    double pairs = (double)p->n * p->n, energy = of->square[neuron];
    for (int plane = 0; plane < p->circles * p->circles; plane++) {
        double sum = of->sum[(size_t)plane * (size_t)p->hidden + neuron];
        energy -= sum * sum / pairs;
    }
    return energy > NOTHING * of->square[neuron] ? energy : 0;
}

void ts_planes_cluster(ts_planes *p, double *numbers) {
    size_t width = (size_t)p->hidden;
    sums of = sums_at(p, numbers);
    for (int plane = 0; plane < p->circles * p->circles; plane++)
        for (int k = 1; k <= p->count; k++)
            explain(p, &of, plane, k);
    for (size_t i = 0; i < width; i++) {
        double energy = centred_energy(p, &of, i), best = 0;
        p->frequency[i] = energy > 0 ? 1 : -1;
        for (int k = 1; k <= p->count && energy > 0; k++)
            if (p->explained[(size_t)(k - 1) * width + i] > best) {
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
