/* test_special.c -- special functions against mpmath (oracles/special.py), identities (S1.3 - S1.5,
 * S1.10) and each other. Everything is double in both builds. The two Monte Carlo tests fail by
 * chance with probability 1e-5 each. */
#include "build.h"
#include "oracles/special.inc"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define CHECK_REL(a, b, tol) CHECK_NEAR(a, b, (tol) * fabs(b))

static const double EULER = 0.57721566490153286061;

static int is_nan(double x) { return !(x <= 0) && !(x > 0); }

/* ---- ln Gamma, psi, psi' ---- */

static void lgamma_agrees_with_mpmath(void) {
    for (size_t i = 0; i < COUNT(oracle_lgamma); i++)
        CHECK_REL(bnn_lgamma(oracle_lgamma[i][0]), oracle_lgamma[i][1], 2e-14);
}

static void digamma_agrees_with_mpmath(void) { /* absolutely near its zero */
    for (size_t i = 0; i < COUNT(oracle_digamma); i++) {
        double x = oracle_digamma[i][0], y = oracle_digamma[i][1];
        CHECK_NEAR(bnn_digamma(x), y, 1e-14 * fabs(y) + 2e-15);
    }
}

static void trigamma_agrees_with_mpmath(void) {
    for (size_t i = 0; i < COUNT(oracle_trigamma); i++)
        CHECK_REL(bnn_trigamma(oracle_trigamma[i][0]), oracle_trigamma[i][1], 2e-15);
}

/* Fifteen decades in steps of a seventh of one */
static void a_grid_over_the_whole_domain_agrees_with_mpmath(void) {
    for (size_t i = 0; i < COUNT(oracle_polygamma); i++) {
        const double *o = oracle_polygamma[i];
        CHECK_NEAR(bnn_lgamma(o[0]), o[1], 2e-14 * fabs(o[1]));
        CHECK_NEAR(bnn_digamma(o[0]), o[2], 1e-14 * fabs(o[2]) + 2e-15);
        CHECK_REL(bnn_trigamma(o[0]), o[3], 3e-15);
    }
    for (size_t i = 0; i < COUNT(oracle_normal_grid); i++) {
        const double *o = oracle_normal_grid[i];
        CHECK_REL(bnn_normal_log_cdf(o[0]), o[1], 1e-12);
        CHECK_REL(bnn_normal_cdf(o[0]), o[2], 3e-13);
        if (o[0] < 0 && o[0] > -36) CHECK_NEAR(bnn_normal_quantile(o[2]), o[0], 1e-12 * (1 - o[0]));
    }
    for (size_t i = 0; i < COUNT(oracle_gamma_grid); i++) {
        const double *o = oracle_gamma_grid[i];
        CHECK_REL(bnn_gamma_p(o[0], o[1]), o[2], 1e-12);
        CHECK_REL(bnn_gamma_q(o[0], o[1]), o[3], 1e-12);
    }
}

/* b from 1e-300 to 0.1, where I_x(a,b) is small and what it is less than 1 is not */
static void a_small_incomplete_beta_keeps_its_digits(void) {
    for (size_t i = 0; i < COUNT(oracle_beta_small); i++) {
        const double *o = oracle_beta_small[i];
        if (!CHECK_NEAR(bnn_beta_i(o[0], o[1], o[2]), o[3], 1e-11 * fabs(o[3])))
            printf("    a %g, b %g, x %.17g\n", o[0], o[1], o[2]);
    }
    CHECK_REL(bnn_beta_i(1e-8, 10, 0.03), 1 - bnn_beta_i(10, 1e-8, 0.97), 1e-14);
}

static void lgamma_of_integers_is_the_log_factorial(void) {
    double factorial = 1;
    for (int n = 1; n <= 20; n++) {
        CHECK_NEAR(bnn_lgamma(n), log(factorial), 1e-14 * (1 + log(factorial)));
        factorial *= n;
    }
}

static void polygamma_has_its_known_values(void) {
    CHECK_REL(bnn_digamma(1), -EULER, 1e-14);
    CHECK_REL(bnn_digamma(0.5), -EULER - 2 * log(2), 1e-14);
    CHECK_REL(bnn_trigamma(1), BNN__PI * BNN__PI / 6, 1e-14);
    CHECK_REL(bnn_trigamma(0.5), BNN__PI * BNN__PI / 2, 1e-14);
    /* pi^2/6 less 1/k^2 for k < 10, where the series has no help: its last term is 1.4e-15 of it */
    CHECK_REL(bnn_trigamma(10), 0.10516633568168574612, 5e-16);
    CHECK_REL(bnn_lgamma(0.5), log(BNN__PI) / 2, 1e-14);
}

static void polygamma_obeys_recurrence_and_duplication(void) {
    for (double x = 1e-4; x < 1e6; x *= 1.37) {
        double y = bnn_lgamma(2 * x);
        CHECK_NEAR(bnn_lgamma(x + 1) - bnn_lgamma(x), log(x), 1e-14 * (10 + fabs(y)));
        CHECK_NEAR(bnn_digamma(x + 1) - bnn_digamma(x), 1 / x, 1e-14 * (20 + 1 / x));
        CHECK_NEAR(bnn_trigamma(x + 1) - bnn_trigamma(x), -1 / (x * x), 1e-14 * (1 + 1 / (x * x)));
        CHECK_NEAR(bnn_lgamma(x) + bnn_lgamma(x + 0.5) + (2 * x - 1) * log(2) - log(BNN__PI) / 2, y,
                   1e-14 * (10 + fabs(y)));
        CHECK_NEAR((bnn_digamma(x) + bnn_digamma(x + 0.5)) / 2 + log(2), bnn_digamma(2 * x),
                   1e-14 * (20 + 1 / x));
    }
}

static void polygamma_is_the_derivative_of_lgamma(void) {
    for (double x = 1e-4; x < 1e6; x *= 1.7) {
        double h = 1e-4 * x, d1, d2; /* fourth-order differences */
        d1 = (8 * (bnn_lgamma(x + h) - bnn_lgamma(x - h)) -
              (bnn_lgamma(x + 2 * h) - bnn_lgamma(x - 2 * h))) / (12 * h);
        d2 = (8 * (bnn_digamma(x + h) - bnn_digamma(x - h)) -
              (bnn_digamma(x + 2 * h) - bnn_digamma(x - 2 * h))) / (12 * h);
        CHECK_NEAR(d1, bnn_digamma(x), 1e-9 * (1 + fabs(bnn_digamma(x))));
        CHECK_NEAR(d2, bnn_trigamma(x), 1e-9 * (1 / x + bnn_trigamma(x)));
    }
}

/* ---- incomplete gamma and beta ---- */

static void gamma_p_and_q_agree_with_mpmath(void) { /* a from 1e-8 to 1e6, 30 sd to both sides */
    for (size_t i = 0; i < COUNT(oracle_gamma); i++) {
        const double *o = oracle_gamma[i];
        CHECK_REL(bnn_gamma_p(o[0], o[1]), o[2], 2e-13);
        CHECK_REL(bnn_gamma_q(o[0], o[1]), o[3], 2e-13);
    }
}

static void gamma_p_has_its_closed_forms(void) {
    for (double x = 1e-6; x < 600; x *= 1.9) {
        CHECK_REL(bnn_gamma_p(1, x), -expm1(-x), 1e-13);
        CHECK_REL(bnn_gamma_q(1, x), exp(-x), 1e-12);
        CHECK_REL(bnn_gamma_p(0.5, x), erf(sqrt(x)), 1e-13);
        CHECK_REL(bnn_gamma_q(0.5, x), erfc(sqrt(x)), 1e-12);
        for (double a = 1e-3; a < 2000; a *= 7)
            CHECK_NEAR(bnn_gamma_p(a + 1, x),
                       bnn_gamma_p(a, x) - exp(a * log(x) - x - bnn_lgamma(a + 1)), 1e-12);
    }
}

static void gamma_p_is_a_cdf(void) {
    for (double a = 1e-6; a < 1e7; a *= 11) {
        double last = 0;
        CHECK_SAME(bnn_gamma_p(a, 0), 0.0);
        CHECK_SAME(bnn_gamma_q(a, 0), 1.0);
        CHECK_SAME(bnn_gamma_p(a, bnn__inf()), 1.0);
        CHECK_SAME(bnn_gamma_q(a, bnn__inf()), 0.0);
        for (double t = -8; t < 8; t += 0.25) {
            double x = a + t * sqrt(a), p;
            if (x <= 0) continue;
            p = bnn_gamma_p(a, x);
            CHECK(p >= last && p <= 1);
            CHECK_NEAR(p + bnn_gamma_q(a, x), 1, 1e-14);
            last = p;
        }
    }
}

static void incomplete_functions_converge_for_huge_parameters(void) {
    /* P(a,a) = 1/2 + 1/(3 sqrt(2 pi a)) + O(a^-3/2) */
    CHECK_NEAR(bnn_gamma_p(1e9, 1e9), 0.5 + 1 / (3 * sqrt(2 * BNN__PI * 1e9)), 1e-10);
    CHECK_NEAR(bnn_beta_i(1e9, 1e9, 0.5), 0.5, 1e-10);
}

static void next_to_zero_the_incomplete_functions_are_powers(void) { /* a/x beyond all doubles */
    double x = 1e-310;
    CHECK_REL(bnn_gamma_p(0.5, x), sqrt(x) * 1.1283791670955126, 1e-12);
    CHECK_REL(bnn_gamma_p(0.02, 1e-320), pow(1e-320, 0.02) / exp(bnn_lgamma(1.02)), 1e-12);
    CHECK_REL(bnn_beta_i(0.5, 0.5, x), sqrt(x) * 0.63661977236758134, 1e-11);
    CHECK_NEAR(bnn_beta_i(1e-20, 1e-20, 1e-306), 0.5, 1e-11); /* a x is 0 */
}

static void beta_i_agrees_with_mpmath(void) {
    for (size_t i = 0; i < COUNT(oracle_beta); i++) {
        const double *o = oracle_beta[i];
        CHECK_REL(bnn_beta_i(o[0], o[1], o[2]), o[3], 1e-11);
    }
}

static void beta_i_has_its_closed_forms_and_symmetry(void) {
    for (double a = 1e-2; a < 1e5; a *= 3.7) {
        CHECK_NEAR(bnn_beta_i(a, a, 0.5), 0.5, 1e-13);
        CHECK_SAME(bnn_beta_i(a, 2, 0), 0.0);
        CHECK_SAME(bnn_beta_i(a, 2, 1), 1.0);
        for (double x = 1.0 / 64; x < 1; x += 1.0 / 64) { /* 1 - x is exact */
            CHECK_NEAR(bnn_beta_i(a, 1, x), pow(x, a), 1e-12 * pow(x, a) * (1 + a));
            CHECK_NEAR(bnn_beta_i(1, a, x), -expm1(a * log1p(-x)), 1e-13);
            for (double b = 0.05; b < 1e4; b *= 9)
                CHECK_NEAR(bnn_beta_i(a, b, x) + bnn_beta_i(b, a, 1 - x), 1, 1e-12);
        }
    }
}

/* ---- normal ---- */

static void normal_cdf_and_its_log_agree_with_mpmath(void) {
    for (size_t i = 0; i < COUNT(oracle_normal); i++) {
        const double *o = oracle_normal[i];
        CHECK_NEAR(bnn_normal_cdf(o[0]), o[1], 2e-13 * o[1] + 1e-305);
        CHECK_REL(bnn_normal_log_cdf(o[0]), o[2], 2e-14);
    }
    CHECK_NEAR(bnn_normal_cdf(1.3) + bnn_normal_cdf(-1.3), 1, 1e-15);
    CHECK(bnn_normal_log_cdf(-1e100) < -4e199);
}

static void log_cdf_is_continuous_where_its_formula_changes(void) {
    double above = bnn_normal_log_cdf(-30), below = bnn_normal_log_cdf(-30 - 1e-13);
    CHECK_NEAR(above, below + 30.0333 * 1e-13, 1e-11);
    CHECK_NEAR(bnn_normal_log_cdf(1e-300), bnn_normal_log_cdf(-1e-300), 1e-15);
}

static void normal_quantile_agrees_with_mpmath(void) {
    for (size_t i = 0; i < COUNT(oracle_quantile); i++)
        CHECK_REL(bnn_normal_quantile(oracle_quantile[i][0]), oracle_quantile[i][1], 2e-15);
    CHECK_SAME(fabs(bnn_normal_quantile(0.5)), 0.0);
}

static void normal_quantile_inverts_the_cdf(void) {
    for (double x = -6; x <= 6; x += 0.01) /* p near 1 has lost x's digits: its own rounding */
        CHECK_NEAR(bnn_normal_quantile(bnn_normal_cdf(x)), x,
                   1e-13 + (x > 0 ? 1e-16 * sqrt(2 * BNN__PI) * exp(x * x / 2) : 0));
}

/* ---- implicit derivative of a gamma draw ---- */

static void gamma_dlog_agrees_with_mpmath(void) { /* a from 1e-6 to 1e6 */
    for (size_t i = 0; i < COUNT(oracle_gamma_dlog); i++) {
        const double *o = oracle_gamma_dlog[i];
        CHECK_REL(bnn_gamma_dlog(o[0], o[1]), o[2], 1e-11);
    }
}

static double log_gamma_quantile(double a, double u) { /* ln z with P(a, z) = u, by bisection */
    double lo = -800, hi = log(a + 100 + 20 * sqrt(a));
    for (int i = 0; i < 70; i++) {
        double mid = (lo + hi) / 2;
        if (bnn_gamma_p(a, exp(mid)) < u) lo = mid;
        else hi = mid;
    }
    return (lo + hi) / 2;
}

static void gamma_dlog_is_the_derivative_of_the_inverse_cdf(void) {
    for (double a = 0.05; a < 1000; a *= 3)
        for (double u = 0.02; u < 1; u += 0.16) {
            double h = 1e-3 * a, q[4], d;
            for (int i = 0; i < 4; i++)
                q[i] = log_gamma_quantile(a + h * (i < 2 ? i - 2 : i - 1), u);
            d = (8 * (q[2] - q[1]) - (q[3] - q[0])) / (12 * h);
            CHECK_REL(bnn_gamma_dlog(a, log_gamma_quantile(a, u)), d, 1e-8);
        }
}

static void gamma_dlog_is_continuous_at_z_equal_a(void) {
    for (double a = 1e-6; a < 1e6; a *= 3.3) {
        double below = bnn_gamma_dlog(a, log(a) - 1e-13), above = bnn_gamma_dlog(a, log(a) + 1e-13);
        CHECK_REL(below, above, 1e-11);
    }
}

static void gamma_dlog_has_its_limits(void) {
    double a = 0.01;
    CHECK_REL(bnn_gamma_dlog(a, -2000), (bnn_digamma(a + 1) + 2000) / a, 1e-13); /* z = 0 */
    CHECK_REL(bnn_gamma_dlog(1e6, log(1e6 + 500)) * (1e6 + 500), 1 + 500 / 2e6, 1e-5);
    CHECK(bnn_gamma_dlog(2, 1e4) >= 0); /* z = infinity */
    CHECK(bnn_gamma_dlog(1e-30, -1e32) > 0);
}

/* E[z D] = d E[z] / da = 1 and E[D] = d E[ln z] / da = psi'(a), from the draws of the generator */
static void gamma_dlog_differentiates_expectations(void) {
    static const double shapes[] = { 0.05, 0.3, 1, 2.5, 40 };
    bnn_rng r = bnn_rng_seed(build_seed(41));
    for (size_t k = 0; k < COUNT(shapes); k++) {
        double s1 = 0, s2 = 0, t1 = 0, t2 = 0, n = 15000;
        for (int i = 0; i < n; i++) {
            double y = (double)bnn_rng_log_gamma(&r, (float)shapes[k]);
            double d = bnn_gamma_dlog((double)(float)shapes[k], y), zd = exp(y) * d;
            s1 += d, s2 += d * d, t1 += zd, t2 += zd * zd;
        }
        s1 /= n, t1 /= n; /* 4.9 standard errors: 1e-6 each */
        CHECK_NEAR(s1, bnn_trigamma(shapes[k]), 4.9 * sqrt((s2 / n - s1 * s1) / n));
        CHECK_NEAR(t1, 1, 4.9 * sqrt((t2 / n - t1 * t1) / n));
    }
}

/* S1.11: d E[sum c_k x_k^2] / d alpha_i by implicit gradients through Dirichlet draws, with
 * E x_k^2 = alpha_k (alpha_k + 1) / (alpha_0 (alpha_0 + 1)) */
static void dirichlet_gradients_have_the_right_mean(void) {
    static const double alphas[2][3] = { { 0.02, 0.03, 0.05 }, { 0.7, 1, 2.5 } };
    static const double c[3] = { 1, -2, 4 };
    bnn_rng r = bnn_rng_seed(build_seed(42));
    for (int set = 0; set < 2; set++) {
        const double *a = alphas[set];
        double a0 = a[0] + a[1] + a[2], f0 = a0 * (a0 + 1), e = 0, n = 20000;
        double s[3] = { 0, 0, 0 }, q[3] = { 0, 0, 0 };
        for (int k = 0; k < 3; k++) e += c[k] * a[k] * (a[k] + 1) / f0;
        for (int t = 0; t < n; t++) {
            double y[3], x[3], top = -1e300, sum = 0, f = 0;
            for (int k = 0; k < 3; k++) y[k] = (double)bnn_rng_log_gamma(&r, (float)a[k]);
            for (int k = 0; k < 3; k++) top = y[k] > top ? y[k] : top;
            for (int k = 0; k < 3; k++) sum += x[k] = exp(y[k] - top);
            for (int k = 0; k < 3; k++) x[k] /= sum, f += 2 * c[k] * x[k] * x[k];
            for (int i = 0; i < 3; i++) { /* d x_j / d alpha_i = x_j (delta_ij - x_i) D_i */
                double g = (2 * c[i] * x[i] - f) * x[i] * bnn_gamma_dlog(a[i], y[i]);
                s[i] += g, q[i] += g * g;
            }
        }
        for (int i = 0; i < 3; i++) {
            double want = (c[i] * (2 * a[i] + 1) - e * (2 * a0 + 1)) / f0;
            s[i] /= n;
            CHECK_NEAR(s[i], want, 4.9 * sqrt((q[i] / n - s[i] * s[i]) / n));
        }
    }
}

static void outside_the_domain_is_nan(void) {
    static const double bad[] = { 0, -1, -0.5, -1e-300 };
    double nan = bnn__nan(), inf = bnn__inf();
    for (size_t i = 0; i < COUNT(bad) + 2; i++) {
        double x = i < COUNT(bad) ? bad[i] : i == COUNT(bad) ? nan : -inf;
        CHECK(is_nan(bnn_lgamma(x)) && is_nan(bnn_digamma(x)) && is_nan(bnn_trigamma(x)));
        CHECK(is_nan(bnn_gamma_p(x, 1)) && is_nan(bnn_gamma_q(x, 1)));
        CHECK(is_nan(bnn_beta_i(x, 1, 0.5)) && is_nan(bnn_beta_i(1, x, 0.5)));
        CHECK(is_nan(bnn_gamma_dlog(x, 0)));
        CHECK(is_nan(bnn_normal_quantile(x)));
    }
    CHECK(is_nan(bnn_gamma_p(1, -1)) && is_nan(bnn_gamma_q(1, nan)) && is_nan(bnn_gamma_p(inf, 1)));
    CHECK(is_nan(bnn_beta_i(1, 1, -0.1)) && is_nan(bnn_beta_i(1, 1, 1.1)));
    CHECK(is_nan(bnn_beta_i(1, 1, nan)) && is_nan(bnn_normal_quantile(1)));
    CHECK(is_nan(bnn_gamma_dlog(1, nan)) && is_nan(bnn_normal_cdf(nan)));
    CHECK(is_nan(bnn_normal_log_cdf(nan)));
}

int main(void) {
    RUN(lgamma_agrees_with_mpmath);
    RUN(digamma_agrees_with_mpmath);
    RUN(trigamma_agrees_with_mpmath);
    RUN(a_grid_over_the_whole_domain_agrees_with_mpmath);
    RUN(a_small_incomplete_beta_keeps_its_digits);
    RUN(lgamma_of_integers_is_the_log_factorial);
    RUN(polygamma_has_its_known_values);
    RUN(polygamma_obeys_recurrence_and_duplication);
    RUN(polygamma_is_the_derivative_of_lgamma);
    RUN(gamma_p_and_q_agree_with_mpmath);
    RUN(gamma_p_has_its_closed_forms);
    RUN(gamma_p_is_a_cdf);
    RUN(incomplete_functions_converge_for_huge_parameters);
    RUN(next_to_zero_the_incomplete_functions_are_powers);
    RUN(beta_i_agrees_with_mpmath);
    RUN(beta_i_has_its_closed_forms_and_symmetry);
    RUN(normal_cdf_and_its_log_agree_with_mpmath);
    RUN(log_cdf_is_continuous_where_its_formula_changes);
    RUN(normal_quantile_agrees_with_mpmath);
    RUN(normal_quantile_inverts_the_cdf);
    RUN(gamma_dlog_agrees_with_mpmath);
    RUN(gamma_dlog_is_the_derivative_of_the_inverse_cdf);
    RUN(gamma_dlog_is_continuous_at_z_equal_a);
    RUN(gamma_dlog_has_its_limits);
    RUN(gamma_dlog_differentiates_expectations);
    RUN(dirichlet_gradients_have_the_right_mean);
    RUN(outside_the_domain_is_nan);
    return check_done();
}
