// Losses of a row and their gradients, against the formulas in long double: accurate however small or large the loss
// is. Activations likewise.
#include "network/loss.h"

#include "network/graph.h"
#include "support.h"

#include <float.h>
#include <math.h>

static const double TIGHT = 4e-15; // relative

enum { COUNT = 5, LABEL = 2 };

static void expect(const char *what, double at, double found, long double exact) {
    if (!(fabsl((long double)found - exact) <= TIGHT * fabsl(exact) + DBL_MIN))
        fail_msg("%s at %.17g: %.17g, exactly %.17Lg", what, at, found, exact);
}

// exact: loss and gradient of the logits z; ts_loss_of has to agree, number by number.
static void compare(ts_loss loss, const char *name, const double *z, double at,
                    long double (*exact)(const double *z, long double *gradient)) {
    double own[COUNT];
    long double gradient[COUNT], value = exact(z, gradient);
    memcpy(own, z, sizeof own);
    expect(name, at, ts_loss_of(loss, COUNT, own, LABEL), value);
    for (int j = 0; j < COUNT; j++)
        expect(name, at, own[j], gradient[j]);
}

// Differences of double logits are exact in long double where it has more bits, and where the logits are small
// integers.
static long double cross_entropy(const double *z, long double *gradient) {
    long double largest = z[0], others = 0, total = 0;
    for (int j = 1; j < COUNT; j++)
        largest = fmaxl(largest, z[j]);
    for (int j = 0; j < COUNT; j++) {
        gradient[j] = expl(z[j] - largest);
        total += gradient[j];
        others += j == LABEL ? 0 : gradient[j];
    }
    long double lead = z[LABEL] - largest;
    long double loss = lead < 0 ? logl(total) - lead : log1pl(others);
    for (int j = 0; j < COUNT; j++)
        gradient[j] = j == LABEL ? -others / total : gradient[j] / total;
    return loss;
}

static long double stable(double z) {
    return z >= 0 ? z + 1.0L : 1 / (1.0L - z);
}

static long double stablemax(const double *z, long double *gradient) {
    long double others = 0, own = stable(z[LABEL]);
    for (int j = 0; j < COUNT; j++)
        others += j == LABEL ? 0 : stable(z[j]);
    for (int j = 0; j < COUNT; j++) {
        long double slope = z[j] >= 0 ? 1 : stable(z[j]) * stable(z[j]);
        gradient[j] = j == LABEL ? -slope / own * (others / (own + others)) : slope / (own + others);
    }
    return log1pl(others / own);
}

// Losses from 1e-12 (the label is ahead by 29) to 1e4 (behind by as much), and far beyond either.
TEST(test_cross_entropy_is_accurate_at_any_loss) {
    static const double LEAD[] = {700, 100, 40,  29,  28,  20,   10,   3,     1,    0.5,  1e-9,  0,    -0.5,
                                  -1,  -10, -29, -30, -31, -100, -700, -1000, -1e4, -1e6, -1e12, -1e15};
    double smallest = INFINITY, largest = 0;
    for (size_t i = 0; i < sizeof LEAD / sizeof *LEAD; i++)
        for (int apart = 0; apart <= 1; apart++) { // the others are all equal, or not
            double z[COUNT] = {0, -1.0 * apart, LEAD[i], -2.0 * apart, -40.0 * apart}, own[COUNT];
            compare(TS_CROSS_ENTROPY, "cross-entropy", z, LEAD[i], cross_entropy);
            memcpy(own, z, sizeof own);
            double loss = ts_loss_of(TS_CROSS_ENTROPY, COUNT, own, LABEL);
            smallest = fmin(smallest, loss);
            largest = fmax(largest, loss);
        }
    assert_true(smallest < 1e-12 && smallest > 0 && largest > 1e4);
    // Logits that are all large: only differences count.
    const double shifted[COUNT] = {1e15, 1e15 - 1, 1e15 - 3, 1e15 - 2, 0};
    compare(TS_CROSS_ENTROPY, "cross-entropy", shifted, 1e15, cross_entropy);
}

// s(z) grows as z alone: a loss of 1e-12 needs a logit of 1e12, one of 230 a logit of -1e100.
TEST(test_stablemax_is_accurate_at_any_loss) {
    static const double LABELS[] = {1e100, 1e13,   1e12,  1e6, 100, 10,   1,     0.25,   1e-12,
                                    0,     -1e-12, -0.25, -1,  -10, -1e6, -1e12, -1e100, -1e200};
    for (size_t i = 0; i < sizeof LABELS / sizeof *LABELS; i++)
        for (int apart = 0; apart <= 1; apart++) {
            const double z[COUNT] = {0, -1.0 * apart, LABELS[i], 2.0 * apart, -1e6 * apart};
            compare(TS_STABLEMAX, "stablemax", z, LABELS[i], stablemax);
        }
}

static long double squares(const double *z, long double *gradient) {
    long double loss = 0;
    for (int j = 0; j < COUNT; j++) {
        long double error = z[j] - (j == LABEL ? 1.0L : 0);
        loss += error * error;
        gradient[j] = 2 * error;
    }
    return loss;
}

TEST(test_mse_is_that_of_a_one_hot_target) {
    const double z[COUNT] = {0.25, -3, 0.5, 1e4, 1e-12};
    compare(TS_MSE, "mse", z, z[LABEL], squares);
    const double target[] = {0.5, 0, 1}, scale[] = {2, 0, 0.25};
    double x[] = {1, 7, -1};
    expect("squares", 0, ts_loss_of_squares(3, x, target, scale), 1.5L);
    expect("squares", 0, x[0], 2);
    assert_true(x[1] == 0);
    expect("squares", 2, x[2], -1);
}

// An instance with such a loss ends; so must one whose label is infinitely far ahead, since its logits are not finite.
TEST(test_logits_that_are_not_finite_have_no_finite_loss) {
    static const double BAD[] = {NAN, INFINITY};
    for (int loss = 0; loss < TS_LOSSES; loss++)
        for (int k = 0; k < 2; k++)
            for (int at = 0; at < COUNT; at++) {
                double z[COUNT] = {1, -2, 0.5, 0, 3};
                z[at] = BAD[k];
                if (isfinite(ts_loss_of((ts_loss)loss, COUNT, z, LABEL)))
                    fail_msg("loss %d with %g in place %d is finite", loss, BAD[k], at);
            }
}

TEST(test_activations_have_their_values_and_slopes) {
    static const double X[] = {-30, -20, -6, -2.5, -1, -1e-3, -1e-9, 0, 1e-9, 1e-3, 0.5, 1, 3, 8, 19, 40};
    const long double root = sqrtl(2), pi = acosl(-1);
    for (size_t i = 0; i < sizeof X / sizeof *X; i++) {
        long double x = X[i], phi = erfcl(-x / root) / 2, density = expl(-x * x / 2) / sqrtl(2 * pi);
        const long double value[TS_ACTIVATIONS] = {x, fmaxl(x, 0), x * x, x * x * x, fabsl(x), x * phi, tanhl(x)};
        const long double slope[TS_ACTIVATIONS] = {
            1, x > 0, 2 * x, 3 * x * x, (x > 0) - (x < 0), phi + x * density, 1 / (coshl(x) * coshl(x))};
        for (int a = 0; a < TS_ACTIVATIONS; a++) {
            // Its argument's last bit is worth x^2 of the result's where gelu is nearly 0.
            long double allowed = a == TS_GELU ? 1e-15L * (4 + x * x) : TIGHT;
            double found = ts_activation_value((ts_activation)a, X[i]);
            double steep = ts_activation_slope((ts_activation)a, X[i]);
            if (!(fabsl(found - value[a]) <= allowed * fabsl(value[a])))
                fail_msg("activation %d of %g: %.17g, exactly %.17Lg", a, X[i], found, value[a]);
            // gelu' has two parts that nearly cancel, one x^2 times the other.
            if (!(fabsl(steep - slope[a]) <= allowed * (fabsl(slope[a]) + (a == TS_GELU ? fabsl(x) * density : 0))))
                fail_msg("slope of activation %d at %g: %.17g, exactly %.17Lg", a, X[i], steep, slope[a]);
        }
    }
    for (int a = 0; a < TS_ACTIVATIONS; a++)
        assert_true(isnan(ts_activation_value((ts_activation)a, NAN)) &&
                    (a == TS_IDENTITY || isnan(ts_activation_slope((ts_activation)a, NAN))));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cross_entropy_is_accurate_at_any_loss),
        cmocka_unit_test(test_stablemax_is_accurate_at_any_loss),
        cmocka_unit_test(test_mse_is_that_of_a_one_hot_target),
        cmocka_unit_test(test_logits_that_are_not_finite_have_no_finite_loss),
        cmocka_unit_test(test_activations_have_their_values_and_slopes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
