// Cross-entropies in double precision, exact also where they are tiny: log(1 + S) with S the sum of
// exp(z_j - z_y) over j other than the label y. For one pair, and for many corrections of its logits at once.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// NaN where the label's logit is not finite, or another one is NaN or infinite; -inf elsewhere counts nothing.
double ts_pair_loss(const double *z, int count, int label);

// Rows of exponentials are padded with zeros to whole vectors.
enum { TS_LOSS_LANES = 8 };
static inline size_t ts_loss_stride(int count) {
    return ((size_t)count + TS_LOSS_LANES - 1) / TS_LOSS_LANES * TS_LOSS_LANES;
}

// The largest sign x[c], and the largest x[c] but x[label], of those that are not NaN; -inf of none.
double ts_largest(const double *x, double sign, int count);
double ts_largest_other(const double *x, int count, int label);

// e[c] = exp(sign x[c] - ts_largest(x, sign, count)); e (ts_loss_stride(count)).
void ts_exponentials(const double *x, double sign, int count, double *e);

// Loss of logits z, as ts_pair_loss, and whether the label's is the largest (of equal ones the first counts, as
// torch.argmax has it), from their exponentials e (sign 1), which is changed and restored.
double ts_cross_entropy(double *e, const double *z, int count, int label, bool *right);

// Losses of logits z - correction for `count` corrections: exponentials of both are made once (of z with
// sign 1, of corrections with sign -1) and only multiplied here. e (stride) is changed and restored.
// A loss whose factors underflow comes out as NaN: take ts_pair_loss of the differences there.
void ts_cross_entropies(double *e, const double *const *corrections, int count, size_t stride, int label,
                        double *losses);

// The same of many pairs, sums over c given: sums[j] of e f_j over all c but the label, own = e[label], f_j[label] =
// factors[j], of columns in panels of 8, `stride` apart (sums and `product` are not). Takes product[j], a product of
// 1 + x less 1 with x = sum / (own f), on by one factor: the logarithm of a product is the sum of losses. Returns which
// of these holds: a loss whose factors underflow is left out; products are so large that they must end.
enum { TS_LOSS_LEFT_OUT = 1, TS_LOSS_LARGE = 2 };
int ts_cross_entropies_multiply(int panels, double own, const double *factors, size_t stride, const double *sums,
                                double *product);
bool ts_cross_entropy_is_left_out(double own, double factor);

// Sum over labels of times[label] losses of logits z (count); e, room: (ts_loss_stride(count)).
double ts_cross_entropy_of_labels(const double *z, int count, const int *times, double *e, double *room);
