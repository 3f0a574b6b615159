// Piecewise polynomials of one variable, kept by their values at nodes of each piece.
#include "measure/pieces.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// A feature that is averaged over doubles the edges and raises the degree by one; relu(t)^2 has one edge and degree 2.
enum { MOST_FEATURES = 8, MOST_PIECES = 1 << MOST_FEATURES, MOST_NODES = MOST_FEATURES + 3, MOMENTS = 2, GAUSS = 7 };

// Of polynomials up to degree 13 the integral over [0, 1] is the sum of their values here.
static const double GAUSS_AT[GAUSS] = {0.02544604382862073773, 0.12923440720030278007, 0.29707742431130141655, 0.5,
                                       0.70292257568869858345, 0.87076559279969721993, 0.97455395617137926227};
static const double GAUSS_SHARE[GAUSS] = {0.06474248308443484664, 0.13985269574463833395, 0.19091502525255947248,
                                          0.20897959183673469388, 0.19091502525255947248, 0.13985269574463833395,
                                          0.06474248308443484664};

// Expectations of relu(t + sum) and of its square, for t from edge[0] to edge[count].
typedef struct curve {
    int count;  // pieces
    int degree; // at most
    double edge[MOST_PIECES + 1];
    double value[MOST_PIECES][MOST_NODES][MOMENTS]; // at degree + 1 Chebyshev nodes of each piece, its ends included
    double mean[MOST_PIECES][MOMENTS];              // over the piece
} curve;

struct ts_pieces {
    curve curve[3];                          // the one so far, and two to work with
    double edges[5 * MOST_PIECES + 8];       // scratch
    double node[MOST_NODES + 1][MOST_NODES]; // (nodes, node) of the piece [0, 1]
};

bool ts_pieces_fit(const ts_independent *law) {
    const ts_feature_group *last = &law->group[law->groups - 1];
    return !law->binary && last->first + last->size <= MOST_FEATURES;
}

ts_status ts_pieces_create(ts_pieces **out) {
    ts_pieces *pieces = ts_alloc_zero(1, sizeof *pieces, "expectations of features");
    *out = pieces;
    for (int n = 2; pieces && n <= MOST_NODES; n++)
        for (int i = 0; i < n; i++)
            pieces->node[n][i] = 0.5 - 0.5 * cos(acos(-1) * i / (n - 1));
    return pieces ? TS_OK : TS_ERROR_MEMORY;
}

void ts_pieces_free(ts_pieces *pieces) {
    ts_free(pieces);
}

// --- Reading a curve ---

static int piece_of(const curve *c, double t) {
    int low = 0, high = c->count - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (c->edge[middle] <= t)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

// The polynomial of a piece by the barycentric formula.
static void evaluate(const ts_pieces *pieces, const curve *c, int piece, double t, double out[MOMENTS]) {
    const double *node = pieces->node[c->degree + 1];
    double begin = c->edge[piece], at = (t - begin) / (c->edge[piece + 1] - begin), total = 0;
    out[0] = out[1] = 0;
    for (int i = 0; i <= c->degree; i++) {
        double distance = at - node[i];
        if (distance == 0) {
            memcpy(out, c->value[piece][i], sizeof c->value[piece][i]);
            return;
        }
        double share = (i % 2 ? -1 : 1) * (i == 0 || i == c->degree ? 0.5 : 1) / distance;
        total += share;
        out[0] += share * c->value[piece][i][0];
        out[1] += share * c->value[piece][i][1];
    }
    out[0] /= total;
    out[1] /= total;
}

// Integrals over u from 0 to 1 of the curve at t + weight u, and of u times its first moment.
typedef struct integrals {
    double moment[MOMENTS], first_with_u;
} integrals;

static void add_part(const ts_pieces *pieces, const curve *c, int piece, double t, double weight, double begin,
                     double end, integrals *sum) {
    for (int i = 0; i < GAUSS; i++) {
        double u = begin + GAUSS_AT[i] * (end - begin), share = GAUSS_SHARE[i] * (end - begin), at[MOMENTS];
        evaluate(pieces, c, piece, t + weight * u, at);
        sum->moment[0] += share * at[0];
        sum->moment[1] += share * at[1];
        sum->first_with_u += share * u * at[0];
    }
}

// `whole`: pieces that lie between t and t + weight may be taken by their means; first_with_u is then of no use.
static integrals integrate(const ts_pieces *pieces, const curve *c, double t, double weight, bool whole) {
    integrals sum = {{0}, 0};
    int piece = piece_of(c, t), last = piece_of(c, t + weight), step = last < piece ? -1 : 1;
    double begin = 0;
    for (;; piece += step) {
        double edge = c->edge[step > 0 ? piece + 1 : piece], end = piece == last ? 1 : (edge - t) / weight;
        end = end < begin ? begin : end > 1 ? 1 : end;
        if (whole && begin > 0 && piece != last) {
            sum.moment[0] += (end - begin) * c->mean[piece][0];
            sum.moment[1] += (end - begin) * c->mean[piece][1];
        } else {
            add_part(pieces, c, piece, t, weight, begin, end, &sum);
        }
        if (piece == last)
            return sum;
        begin = end;
    }
}

// --- Making one ---

static int ascending(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static void find_means(const ts_pieces *pieces, curve *c) {
    for (int p = 0; p < c->count; p++) {
        integrals sum = {{0}, 0};
        add_part(pieces, c, p, c->edge[p], c->edge[p + 1] - c->edge[p], 0, 1, &sum);
        memcpy(c->mean[p], sum.moment, sizeof c->mean[p]);
    }
}

// Edges from pieces->edges (count), those between low and high that are not one and the same but for rounding.
static void set_edges(ts_pieces *pieces, int count, double low, double high, curve *c) {
    double least = 1e-13 * (high - low);
    qsort(pieces->edges, (size_t)count, sizeof *pieces->edges, ascending);
    c->edge[0] = low;
    c->count = 1;
    for (int i = 0; i < count; i++)
        if (pieces->edges[i] > c->edge[c->count - 1] + least && pieces->edges[i] < high - least)
            c->edge[c->count++] = pieces->edges[i];
    c->edge[c->count] = high;
}

static double node_at(const ts_pieces *pieces, const curve *c, int piece, int i) {
    if (i == c->degree)
        return c->edge[piece + 1];
    return c->edge[piece] + pieces->node[c->degree + 1][i] * (c->edge[piece + 1] - c->edge[piece]);
}

// Of no feature at all.
static void begin_curve(ts_pieces *pieces, double low, double high, curve *c) {
    pieces->edges[0] = 0;
    c->degree = 2;
    set_edges(pieces, 1, low, high, c);
    for (int p = 0; p < c->count; p++)
        for (int i = 0; i <= c->degree; i++) {
            double t = node_at(pieces, c, p, i), relu = t > 0 ? t : 0;
            c->value[p][i][0] = relu;
            c->value[p][i][1] = relu * relu;
        }
    find_means(pieces, c);
}

// A part of a mixture: with probability `share` there is another feature, which adds weight times a uniform number.
typedef struct part {
    double share;
    const curve *of;
    double weight;
} part;

static int copy_edges(const curve *c, double by, double *out) {
    for (int i = 1; i < c->count; i++)
        out[i - 1] = c->edge[i] - by;
    return c->count - 1;
}

// out = off * old + the parts, for t from low to high.
static void mix(ts_pieces *pieces, double off, const curve *old, const part *parts, int n, double low, double high,
                curve *out) {
    int edges = copy_edges(old, 0, pieces->edges);
    out->degree = old->degree;
    for (int k = 0; k < n; k++) {
        edges += copy_edges(parts[k].of, 0, pieces->edges + edges);
        edges += copy_edges(parts[k].of, parts[k].weight, pieces->edges + edges);
        out->degree = parts[k].of->degree + 1 > out->degree ? parts[k].of->degree + 1 : out->degree;
    }
    set_edges(pieces, edges, low, high, out);
    for (int p = 0; p < out->count; p++)
        for (int i = 0; i <= out->degree; i++) {
            double t = node_at(pieces, out, p, i), *value = out->value[p][i], of_old[MOMENTS];
            evaluate(pieces, old, piece_of(old, t), t, of_old);
            value[0] = off * of_old[0];
            value[1] = off * of_old[1];
            for (int k = 0; k < n; k++) {
                integrals mean = integrate(pieces, parts[k].of, t, parts[k].weight, true);
                value[0] += parts[k].share * mean.moment[0];
                value[1] += parts[k].share * mean.moment[1];
            }
        }
    find_means(pieces, out);
}

// --- Groups of features ---

// By how much a group moves what an output gets, at most, downwards and upwards.
static void widen(const ts_feature_group *group, const double *weight, double *low, double *high) {
    for (int f = group->first; f < group->first + group->size; f++) {
        *low += weight[f] < 0 ? weight[f] : 0;
        *high += weight[f] > 0 ? weight[f] : 0;
    }
}

// One more group: from curve[0] to curve[0], for t from low to high.
static void add_group(ts_pieces *pieces, const ts_feature_group *group, const double *weight, double low, double high) {
    curve *old = &pieces->curve[0], *work = &pieces->curve[1], *made = &pieces->curve[2];
    double first = weight[group->first], off = 1 - group->on * (group->states - 1);
    if (group->size == 1) {
        mix(pieces, off, old, &(part){group->on, old, first}, 1, low, high, made);
    } else if (group->states == 3) {
        const part parts[] = {{group->on, old, first}, {group->on, old, weight[group->first + 1]}};
        mix(pieces, off, old, parts, 2, low, high, made);
    } else {
        mix(pieces, 0, old, &(part){1, old, weight[group->first + 1]}, 1, low + (first < 0 ? first : 0),
            high + (first > 0 ? first : 0), work);
        mix(pieces, off, old, &(part){group->on, work, first}, 1, low, high, made);
    }
    *old = *made;
}

// Expectations over all groups but the output's own, in curve[0], for every t that its own group makes.
static void add_others(ts_pieces *pieces, const ts_output *output) {
    const ts_independent *law = output->law;
    double low[MOST_FEATURES + 1], high[MOST_FEATURES + 1], size = fabs(output->bias);
    low[law->groups] = high[law->groups] = output->bias;
    widen(&law->group[output->own], output->weight, &low[law->groups], &high[law->groups]);
    for (int g = law->groups - 1; g >= 0; g--) {
        low[g] = low[g + 1];
        high[g] = high[g + 1];
        if (g != output->own)
            widen(&law->group[g], output->weight, &low[g], &high[g]);
    }
    size += high[0] - low[0];
    double room = 1e-6 * (size > 0 ? size : 1); // a piece has a length
    for (int g = 0; g <= law->groups; g++) {
        low[g] -= room;
        high[g] += room;
    }
    begin_curve(pieces, low[0], high[0], &pieces->curve[0]);
    for (int g = 0; g < law->groups; g++)
        if (g != output->own)
            add_group(pieces, &law->group[g], output->weight, low[g + 1], high[g + 1]);
}

// Of (x - relu)^2 with x = 0 and t.
static double silent_error(const ts_pieces *pieces, const curve *c, double t) {
    double moment[MOMENTS];
    evaluate(pieces, c, piece_of(c, t), t, moment);
    return moment[1];
}

// Of (x - relu)^2 with x uniform and t = bias + own x.
static double active_error(const ts_pieces *pieces, const curve *c, double bias, double own) {
    integrals of = integrate(pieces, c, bias, own, false);
    return 1.0 / 3 - 2 * of.first_with_u + of.moment[1];
}

double ts_pieces_error(ts_pieces *pieces, const ts_output *output) {
    const ts_feature_group *group = &output->law->group[output->own];
    const curve *others = &pieces->curve[0];
    int partner = ts_output_partner(output);
    double bias = output->bias, own = output->weight[output->feature], p = group->on;
    add_others(pieces, output);
    double error = (1 - p * (group->states - 1)) * silent_error(pieces, others, bias);
    if (partner < 0)
        return error + p * active_error(pieces, others, bias, own);
    double beside = output->weight[partner];
    if (group->states == 3)
        return error +
               p * (active_error(pieces, others, bias, own) + integrate(pieces, others, bias, beside, true).moment[1]);
    double low = bias + (own < 0 ? own : 0), high = bias + (own > 0 ? own : 0);
    double room = 1e-7 * (others->edge[others->count] - others->edge[0]);
    mix(pieces, 0, others, &(part){1, others, beside}, 1, low - room, high + room, &pieces->curve[2]);
    return error + p * active_error(pieces, &pieces->curve[2], bias, own);
}
