/* test_metrics.c -- bnn_metric_*, against scikit-learn, SciPy and quadrature (oracles/metrics.py),
 * closed forms and brute force. Formulas: docs/math.md. The stochastic tests say
 * how often they fail by chance. */
#include "build.h"
#include "oracles/metrics.inc"

static bnn_arena mem;

static bnn_mat zeros(size_t rows, size_t cols) { return bnn_mat_new(&mem, rows, cols); }

static bnn_mat from_ints(const int *x, size_t rows, size_t cols) {
    bnn_mat a = zeros(rows, cols);
    size_t i;
    for (i = 0; i < rows * cols; i++) a.data[i] = (float)x[i] / 1024;
    return a;
}

static bnn_mat labels_of(const int *x, size_t n) {
    bnn_mat a = zeros(n, 1);
    size_t i;
    for (i = 0; i < n; i++) a.data[i] = (float)x[i];
    return a;
}

static bnn_mat row(size_t n, const double *x) {
    bnn_mat a = zeros(1, n);
    size_t i;
    for (i = 0; i < n; i++) a.data[i] = (float)x[i];
    return a;
}

static bnn_mat column(size_t n, const double *x) {
    bnn_mat a = row(n, x);
    a.rows = n;
    a.cols = 1;
    return a;
}

static bnn_mat number(double x) { return row(1, &x); }

static void softmax_rows(bnn_mat p) {
    size_t i, k;
    for (i = 0; i < p.rows; i++) {
        double sum = 0;
        for (k = 0; k < p.cols; k++) sum += exp((double)p.data[i * p.cols + k]);
        for (k = 0; k < p.cols; k++)
            p.data[i * p.cols + k] = (float)(exp((double)p.data[i * p.cols + k]) / sum);
    }
}

/* Same values in both builds: the inputs are exact and the sums are double. */
#define EXACT 1e-12

static void class_scores_equal_scikit_learn(void) {
    bnn_mat p = from_ints(o_prob, 80, 4), y = labels_of(o_label, 80);
    CHECK_NEAR(bnn_metric_error(p, y), o_error, EXACT);
    CHECK_NEAR(bnn_metric_nll(p, y), o_nll, EXACT);
    CHECK_NEAR(bnn_metric_brier(p, y), o_brier, EXACT);
}

static void calibration_errors_equal_numpy(void) {
    bnn_mat p = from_ints(o_prob, 80, 4), y = labels_of(o_label, 80);
    bnn_reliability r = bnn_metric_reliability(p, y, 10);
    size_t b, count = 0;
    double ece = 0;
    CHECK_NEAR(r.ece, o_ece_10, EXACT);
    CHECK_NEAR(r.mce, o_mce_10, EXACT);
    CHECK_NEAR(bnn_metric_ece(p, y, 10), o_ece_10, EXACT);
    CHECK_NEAR(bnn_metric_ece(p, y, 16), o_ece_16, EXACT);
    CHECK_NEAR(bnn_metric_ece_equal_count(&mem, p, y, 7), o_ece_count_7, EXACT);
    for (b = 0; b < 10; b++) {
        count += r.count[b];
        ece += (double)r.count[b] / 80 * fabs(r.accuracy[b] - r.confidence[b]);
        if (r.count[b] == 0) continue;
        CHECK(r.confidence[b] > (double)b / 10 - 1e-7 && r.confidence[b] <= (b + 1) / 10.0 + 1e-7);
    }
    CHECK(count == 80);
    CHECK_NEAR(ece, r.ece, EXACT);
}

static void bins_are_closed_on_the_right(void) {
    static const double y[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
    size_t i, b;
    for (i = 1; i <= 10; i++) { /* confidence i/10 of three classes, where that can be the top */
        double p[3];
        bnn_reliability r;
        p[0] = (double)i / 10, p[1] = (1 - p[0]) / 2, p[2] = p[1];
        r = bnn_metric_reliability(row(3, p), column(1, y), 10);
        b = p[0] >= p[1] ? i - 1 : 9 - i / 2; /* (1 - i/10)/2 otherwise */
        if (i > 3) CHECK(r.count[b] == 1);
    }
    CHECK(isnan(bnn_metric_reliability(zeros(1, 2), column(1, y), 4).ece)); /* no probabilities */
}

static void equal_count_bins_may_outnumber_the_rows(void) {
    static const double p[] = { 0.75, 0.25, 0.5, 0.5, 0, 1 }, y[] = { 0, 1, 1 };
    bnn_mat prob = row(6, p), label = column(3, y);
    prob.rows = 3;
    prob.cols = 2;
    CHECK_NEAR(bnn_metric_ece_equal_count(&mem, prob, label, 100), (0.25 + 0.5 + 0) / 3, EXACT);
    CHECK_NEAR(bnn_metric_ece_equal_count(&mem, prob, label, SIZE_MAX), (0.25 + 0.5 + 0) / 3,
               EXACT);
    CHECK_NEAR(bnn_metric_ece_equal_count(&mem, prob, label, 1), fabs(2 - 2.25) / 3, EXACT);
    CHECK_NEAR(bnn_metric_ece_equal_count(&mem, prob, label, 2), (0.25 + 0) / 3, EXACT);
}

/* S6.7. Labels drawn from p: the gap of a bin of m rows is sqrt(v/m) |N(0,1)|, v the mean of
 * c(1-c), so ECE = sum sqrt(m v)/n |N|. False alarm 1e-5 each (5 sd; the sum of 8 half normals). */
static void labels_drawn_from_p_have_ece_falling_like_root_n(void) {
    static const size_t sizes[] = { 1000, 16000, 128000 };
    bnn_rng rng = bnn_rng_seed(build_seed(81));
    double last = 1;
    size_t s, i, b;
    for (s = 0; s < 3; s++) {
        size_t n = sizes[s];
        bnn_mark mark = bnn_arena_mark(&mem);
        bnn_mat p = zeros(n, 3), y = zeros(n, 1);
        bnn_reliability r;
        double mean = 0, var = 0;
        bnn_rng_fill_normal(&rng, 3 * n, p.data);
        softmax_rows(p);
        for (i = 0; i < n; i++) y.data[i] = (float)bnn_rng_categorical(&rng, 3, p.data + 3 * i);
        r = bnn_metric_reliability(p, y, 10);
        for (b = 0; b < 10; b++) {
            double v = (double)r.count[b] * r.confidence[b] * (1 - r.confidence[b]);
            mean += sqrt(v) * sqrt(2 / acos(-1.0)) / (double)n;
            var += v * (1 - 2 / acos(-1.0)) / (double)n / (double)n;
        }
        CHECK_NEAR(r.ece, mean, 5 * sqrt(var));
        CHECK(mean < last / 2.5); /* n grows by 16 and 8 */
        last = mean;
        bnn_arena_rewind(&mem, mark);
    }
}

static void temperature_equals_scipy(void) {
    bnn_mat z = from_ints(o_logit, 80, 4), y = labels_of(o_label, 80), z3 = zeros(80, 4);
    double t = bnn_metric_temperature(z, y);
    CHECK_NEAR(t, o_temperature_root, 1e-12);
    CHECK_NEAR(t, o_temperature, 1e-6);
    CHECK(bnn_mat_scale(z3, z, 4) == BNN_OK); /* a power of two: exact in float */
    CHECK_NEAR(bnn_metric_temperature(z3, y), 4 * t, 1e-11);
    CHECK(bnn_mat_scale(z3, z, (float)ldexp(1, -60)) == BNN_OK);
    CHECK_NEAR(ldexp(bnn_metric_temperature(z3, y), 60), t, 1e-11);
    CHECK(bnn_mat_scale(z3, z, (float)ldexp(1, 60)) == BNN_OK);
    CHECK_NEAR(ldexp(bnn_metric_temperature(z3, y), -60), t, 1e-11);
}

static void temperature_at_its_limits(void) {
    static const double z[] = { 2, 1, 0, 3, 5, 1 }, right[] = { 0, 1, 0 }, wrong[] = { 1, 0, 1 };
    static const double two[] = { 0, 1, 0 }, mixed[] = { 1, 1, 0 };
    bnn_mat logit = row(6, z), flat = zeros(3, 2);
    logit.rows = 3;
    logit.cols = 2;
    CHECK(bnn_metric_temperature(logit, column(3, right)) == 0);
    CHECK(bnn_metric_temperature(logit, column(3, two)) == 0);
    CHECK_SAME(bnn_metric_temperature(logit, column(3, wrong)), INFINITY);
    CHECK(bnn_metric_temperature(flat, column(3, right)) == 1);
    /* rows 1 wrong by 1, rows 2, 3 right by 3, 4: sum_i d_i (1/(1 + e^(-c d_i)) - right) = 0 */
    {
        double c = 1 / bnn_metric_temperature(logit, column(3, mixed));
        double slope = 1 / (1 + exp(-c)) + 3 / (1 + exp(-3 * c)) - 3 + 4 / (1 + exp(-4 * c)) - 4;
        CHECK(c > 0 && c < INFINITY);
        CHECK_NEAR(slope, 0, 1e-12);
    }
}

/* S6.7. c = 1/T has asymptotic variance 1/sum_i Var_p(z); false alarm 6e-5 (4 sd). */
static void labels_drawn_from_p_have_temperature_one(void) {
    enum { N = 20000 };
    bnn_rng rng = bnn_rng_seed(build_seed(82));
    bnn_mat z = zeros(N, 4), p, y = zeros(N, 1);
    double information = 0;
    size_t i, k;
    bnn_rng_fill_normal(&rng, 4 * N, z.data);
    bnn_mat_scale(z, z, 2);
    p = bnn_mat_copy(&mem, z);
    softmax_rows(p);
    for (i = 0; i < N; i++) {
        double first = 0, second = 0;
        y.data[i] = (float)bnn_rng_categorical(&rng, 4, p.data + 4 * i);
        for (k = 0; k < 4; k++) {
            double zk = (double)z.data[4 * i + k];
            first += (double)p.data[4 * i + k] * zk;
            second += (double)p.data[4 * i + k] * zk * zk;
        }
        information += second - first * first;
    }
    CHECK_NEAR(1 / bnn_metric_temperature(z, y), 1, 4 / sqrt(information));
    bnn_mat_scale(z, z, 3);
    CHECK_NEAR(3 / bnn_metric_temperature(z, y), 1, 4 / sqrt(information));
}

static void one_column_is_the_probability_of_class_one(void) {
    bnn_mat p = from_ints(o_p1, 60, 1), y = labels_of(o_positive, 60), both = zeros(60, 2);
    bnn_mat z = zeros(60, 1), z2 = zeros(60, 2), q = zeros(60, 1), q2 = zeros(60, 2);
    size_t i;
    for (i = 0; i < 60; i++) {
        both.data[2 * i] = 1 - p.data[i];
        both.data[2 * i + 1] = p.data[i];
        z.data[i] = z2.data[2 * i + 1] = p.data[i] * 4 - 2;
        q.data[i] = q2.data[2 * i + 1] = p.data[59 - i];
        q2.data[2 * i] = 1 - q.data[i];
    }
    CHECK_NEAR(bnn_metric_nll(p, y), o_p1_nll, EXACT);
    CHECK_NEAR(bnn_metric_brier(p, y), o_p1_brier, EXACT);
    CHECK_NEAR(bnn_metric_nll(both, y), o_p1_nll, EXACT);
    CHECK_SAME(bnn_metric_error(p, y), bnn_metric_error(both, y));
    CHECK_SAME(bnn_metric_ece(p, y, 10), bnn_metric_ece(both, y, 10));
    CHECK_SAME(bnn_metric_ece_equal_count(&mem, p, y, 6),
               bnn_metric_ece_equal_count(&mem, both, y, 6));
    CHECK_SAME(bnn_metric_temperature(z, y), bnn_metric_temperature(z2, y));
    CHECK_SAME(bnn_metric_agreement(p, q), bnn_metric_agreement(both, q2));
    CHECK_NEAR(bnn_metric_kl(p, q), bnn_metric_kl(both, q2), EXACT);
    CHECK_NEAR(bnn_metric_total_variation(p, q), bnn_metric_total_variation(both, q2), EXACT);
}

static void impossible_labels_cost_infinity(void) {
    static const double p[] = { 1, 0 }, y[] = { 1 }, ok[] = { 0 };
    CHECK_SAME(bnn_metric_nll(row(2, p), column(1, y)), INFINITY);
    CHECK(bnn_metric_nll(row(2, p), column(1, ok)) == 0);
    CHECK(bnn_metric_brier(row(2, p), column(1, y)) == 2);
}

static void classification_of_bad_input_is_nan(void) {
    bnn_mat p = from_ints(o_prob, 80, 4), y = labels_of(o_label, 80), bad;
    const double wrong[] = { 4, -1, 0.5, NAN, INFINITY };
    size_t i;
    for (i = 0; i < 7; i++) {
        bad = bnn_mat_copy(&mem, i == 5 ? p : y);
        if (i < 5) bad.data[79] = (float)wrong[i];
        else if (i == 5) bad.data[3] = (float)NAN;
        else bad.rows = 79;
        {
            bnn_mat a = i == 5 ? bad : p, b = i == 5 ? y : bad;
            CHECK(isnan(bnn_metric_error(a, b)) && isnan(bnn_metric_nll(a, b)));
            CHECK(isnan(bnn_metric_brier(a, b)) && isnan(bnn_metric_ece(a, b, 10)));
            CHECK(isnan(bnn_metric_reliability(a, b, 10).mce));
            CHECK(isnan(bnn_metric_ece_equal_count(&mem, a, b, 10)));
            CHECK(isnan(bnn_metric_temperature(a, b)));
        }
    }
    CHECK(isnan(bnn_metric_ece(p, y, 0)) && isnan(bnn_metric_ece(p, y, 33)));
    CHECK(!isnan(bnn_metric_ece(p, y, 1)) && !isnan(bnn_metric_ece(p, y, 32)));
    CHECK(isnan(bnn_metric_ece_equal_count(&mem, p, y, 0)));
    CHECK(isnan(bnn_metric_ece_equal_count(NULL, p, y, 5)));
    CHECK(isnan(bnn_metric_nll(zeros(0, 4), zeros(0, 1))));
    CHECK(isnan(bnn_metric_error(zeros(3, 0), zeros(3, 1))));
    CHECK(isnan(bnn_metric_temperature(zeros(0, 4), zeros(0, 1))));
    CHECK(mem.err == BNN_OK);
}

static int all_nan(bnn_mat p, bnn_mat y, bnn_mat good) {
    int yes = isnan(bnn_metric_error(p, y)) && isnan(bnn_metric_nll(p, y));
    yes &= isnan(bnn_metric_brier(p, y)) && isnan(bnn_metric_ece(p, y, 10));
    yes &= isnan(bnn_metric_ece_equal_count(&mem, p, y, 10));
    yes &= isnan(bnn_metric_kl(p, good)) && isnan(bnn_metric_kl(good, p));
    yes &= isnan(bnn_metric_total_variation(p, good)) && isnan(bnn_metric_agreement(p, good));
    yes &= isnan(bnn_metric_total_variation(good, p)) && isnan(bnn_metric_agreement(good, p));
    return yes;
}

static void what_is_no_probability_has_no_score(void) {
    static const double bad[][3] = { { 3, 7, -9 }, { 0.5, 0.6, 0 }, { 0.3, 0.3, 0.3 }, { 0, 0, 0 },
                                     { -0.1, 0.6, 0.5 }, { 1.2, -0.1, -0.1 }, { 0.5, 0.502, 0 },
                                     { 0.5, NAN, 0.5 }, { 0, INFINITY, 0 }, { -1, 1, 1 } };
    static const double fine[][3] = { { 0.333, 0.333, 0.333 }, { 1, -5e-8, 0 }, { 1 + 2e-7, 0, 0 },
                                      { 0, 0, 1 }, { 0.2505, 0.5, 0.25 } };
    static const double one[] = { 7, -3, 1.01, -0.01, NAN };
    static const int label[] = { 1, 0, 1 };
    bnn_mat y = labels_of(label, 3), good = zeros(3, 3), good1 = zeros(3, 1);
    size_t i, k, at;
    for (i = 0; i < 3; i++) good.data[4 * i] = 1;
    for (at = 0; at < 3; at++) { /* in the first row, the middle, the last */
        for (k = 0; k < sizeof bad / sizeof *bad; k++) {
            bnn_mat p = bnn_mat_copy(&mem, good);
            for (i = 0; i < 3; i++) p.data[3 * at + i] = (float)bad[k][i];
            CHECK(all_nan(p, y, good));
        }
        for (k = 0; k < sizeof fine / sizeof *fine; k++) {
            bnn_mat p = bnn_mat_copy(&mem, good);
            for (i = 0; i < 3; i++) p.data[3 * at + i] = (float)fine[k][i];
            CHECK(!isnan(bnn_metric_error(p, y)) && !isnan(bnn_metric_nll(p, y)));
            CHECK(!isnan(bnn_metric_kl(p, good)) && !isnan(bnn_metric_agreement(p, good)));
        }
        for (k = 0; k < sizeof one / sizeof *one; k++) {
            bnn_mat p = bnn_mat_copy(&mem, good1);
            p.data[at] = (float)one[k];
            CHECK(all_nan(p, y, good1));
        }
    }
    CHECK(bnn_metric_temperature(good, y) > 0); /* wants logits */
}

static void nothing_times_ln_of_nothing_is_nothing(void) {
    static const double a[] = { 1, 0 }, b[] = { 0.5, 0.5 }, c[] = { 0, 1 }, y[] = { 0 };
    CHECK(bnn_metric_kl(row(2, a), row(2, a)) == 0);
    CHECK_NEAR(bnn_metric_kl(row(2, a), row(2, b)), log(2), EXACT);
    CHECK_SAME(bnn_metric_kl(row(2, b), row(2, a)), INFINITY);
    CHECK_SAME(bnn_metric_kl(row(2, a), row(2, c)), INFINITY);
    CHECK(bnn_metric_kl(number(1), number(1)) == 0 && bnn_metric_kl(number(0), number(0)) == 0);
    CHECK_NEAR(bnn_metric_kl(number(1), number(0.5)), log(2), EXACT);
    CHECK_NEAR(bnn_metric_kl(number(0), number(0.5)), log(2), EXACT);
    CHECK_SAME(bnn_metric_kl(number(0.5), number(1)), INFINITY);
    CHECK_SAME(bnn_metric_kl(number(0.5), number(0)), INFINITY);
    CHECK(bnn_metric_nll(row(2, a), column(1, y)) == 0);
    CHECK_SAME(bnn_metric_nll(row(2, c), column(1, y)), INFINITY);
}

static void without_an_arena_there_is_no_score(void) {
    bnn_mat s = from_ints(o_score, 60, 1), y = labels_of(o_positive, 60);
    CHECK(isnan(bnn_metric_sample_crps(NULL, number(1), 0, 0)));
    CHECK(isnan(bnn_metric_auroc(NULL, s, y)) && isnan(bnn_metric_conformal(NULL, s, 0.1)));
    CHECK(isnan(bnn_metric_ece_equal_count(NULL, from_ints(o_p1, 60, 1), y, 5)));
}

static void auroc_equals_scikit_learn_and_brute_force(void) {
    bnn_mat s = from_ints(o_score, 60, 1), y = labels_of(o_positive, 60), minus = zeros(60, 1);
    double wins = 0, pairs = 0;
    size_t i, j;
    for (i = 0; i < 60; i++)
        for (j = 0; j < 60; j++) {
            if (!(y.data[i] > 0) || y.data[j] > 0) continue;
            pairs++;
            wins += s.data[i] > s.data[j] ? 1 : s.data[i] < s.data[j] ? 0 : 0.5;
        }
    CHECK_NEAR(bnn_metric_auroc(&mem, s, y), wins / pairs, EXACT);
    CHECK_NEAR(bnn_metric_auroc(&mem, s, y), o_auroc, EXACT);
    bnn_mat_scale(minus, s, -1);
    CHECK_NEAR(bnn_metric_auroc(&mem, minus, y), 1 - o_auroc, EXACT);
}

static void auroc_edges(void) {
    static const double s[] = { 1, 2, 3, 4 }, up[] = { 0, 0, 1, 1 }, one[] = { 1, 1, 1, 1 };
    const double inf[] = { -INFINITY, -INFINITY, 0, INFINITY }, bad[] = { 1, NAN, 2, 3 };
    static const double two[] = { 0, 1, 2, 1 };
    CHECK(bnn_metric_auroc(&mem, column(4, s), column(4, up)) == 1);
    CHECK(bnn_metric_auroc(&mem, column(4, inf), column(4, up)) == 1); /* ln p may be -inf */
    CHECK(bnn_metric_auroc(&mem, column(4, one), column(4, up)) == 0.5);
    CHECK(isnan(bnn_metric_auroc(&mem, column(4, s), column(4, one)))); /* one class only */
    CHECK(isnan(bnn_metric_auroc(&mem, column(4, s), zeros(4, 1))));
    CHECK(isnan(bnn_metric_auroc(&mem, column(4, s), column(4, two))));
    CHECK(isnan(bnn_metric_auroc(&mem, column(4, bad), column(4, up))));
    CHECK(isnan(bnn_metric_auroc(&mem, zeros(0, 1), zeros(0, 1))));
    CHECK(isnan(bnn_metric_auroc(&mem, row(4, s), row(4, up))));
    CHECK(isnan(bnn_metric_auroc(&mem, column(4, s), column(3, up))));
    CHECK(isnan(bnn_metric_auroc(NULL, column(4, s), column(4, up))));
}

static void regression_scores_equal_scikit_learn_and_quadrature(void) {
    bnn_mat m = from_ints(o_mean, 30, 2), v = from_ints(o_var, 30, 2), y = from_ints(o_y, 30, 2);
    bnn_mat lo = from_ints(o_lo, 30, 2), hi = from_ints(o_hi, 30, 2);
    CHECK_NEAR(bnn_metric_rmse(m, y), o_rmse, EXACT);
    CHECK_NEAR(bnn_metric_mae(m, y), o_mae, EXACT);
    CHECK_NEAR(bnn_metric_gaussian_nll(m, v, y), o_gauss_nll, EXACT);
    CHECK_NEAR(bnn_metric_gaussian_crps(m, v, y), o_crps, 1e-10);
    CHECK_NEAR(bnn_metric_coverage(lo, hi, y), o_coverage, EXACT);
    CHECK_NEAR(bnn_metric_interval_score(lo, hi, y, 0.2), o_interval, EXACT);
    CHECK_NEAR(bnn_metric_pinball(lo, y, 0.1), o_pinball, EXACT);
    CHECK_NEAR(bnn_metric_width(lo, hi),
               (bnn_mat_sum(hi) - bnn_mat_sum(lo)) / 60, EXACT);
    /* the two pinball losses of the ends make up the interval score */
    CHECK_NEAR(bnn_metric_interval_score(lo, hi, y, 0.5),
               4 * (bnn_metric_pinball(lo, y, 0.25) + bnn_metric_pinball(hi, y, 0.75)), EXACT);
}

static void scaling_targets_shifts_nll_by_ln_c_and_multiplies_rmse(void) {
    bnn_mat m = from_ints(o_mean, 60, 1), v = from_ints(o_var, 60, 1), y = from_ints(o_y, 60, 1);
    bnn_mat cm = zeros(60, 1), cv = zeros(60, 1), cy = zeros(60, 1); /* y = 8 + 4 y' (S6.6) */
    size_t i;
    for (i = 0; i < 60; i++) {
        cm.data[i] = 8 + 4 * m.data[i];
        cv.data[i] = 16 * v.data[i];
        cy.data[i] = 8 + 4 * y.data[i];
    }
    CHECK_NEAR(bnn_metric_gaussian_nll(cm, cv, cy), bnn_metric_gaussian_nll(m, v, y) + log(4),
               EXACT);
    CHECK_NEAR(bnn_metric_rmse(cm, cy), 4 * bnn_metric_rmse(m, y), EXACT);
    CHECK_NEAR(bnn_metric_gaussian_crps(cm, cv, cy), 4 * bnn_metric_gaussian_crps(m, v, y), EXACT);
}

static void crps_and_nll_without_spread(void) {
    bnn_mat zero = number(0), three = number(3);
    CHECK(bnn_metric_gaussian_crps(number(1), zero, three) == 2);
    CHECK(bnn_metric_gaussian_crps(three, zero, three) == 0);
    CHECK_SAME(bnn_metric_gaussian_nll(number(1), zero, three), INFINITY);
    CHECK_SAME(bnn_metric_gaussian_nll(three, zero, three), -INFINITY);
    CHECK(isnan(bnn_metric_gaussian_nll(three, number(-1), three)));
    CHECK(isnan(bnn_metric_gaussian_crps(three, number(-1), three)));
    CHECK(isnan(bnn_metric_gaussian_nll(three, number(NAN), three)));
    CHECK(isnan(bnn_metric_gaussian_crps(number(NAN), zero, three)));
    /* far in the tail: |y - m| - s/sqrt(pi) */
    CHECK_NEAR(bnn_metric_gaussian_crps(zero, number(1), number(1000)), 1000 - 1 / sqrt(acos(-1.0)),
               1e-9);
}

/* S6.5: int score(N(m, v), y) N(y; 0, 1) dy is smallest at m = 0, v = 1 */
static void expected_scores_are_minimal_at_the_truth(void) {
    static const double spread[] = { 0.8, 0.9, 1, 1.1, 1.25 };
    double best[2] = { 0, 0 };
    int pass, k, j, i;
    for (pass = 0; pass < 2; pass++)
        for (k = 0; k < 5; k++)
            for (j = -1; j <= 1; j++) {
                bnn_mat m = number(j * 0.25), v = number(spread[k] * spread[k]);
                double nll = 0, crps = 0;
                int truth = k == 2 && j == 0;
                if (truth != (pass == 0)) continue;
                for (i = -400; i <= 400; i++) { /* trapezoid: exact to rounding for this weight */
                    double y = i * 0.02, w = exp(-y * y / 2) * 0.02 / sqrt(2 * acos(-1.0));
                    bnn_mark mark = bnn_arena_mark(&mem);
                    nll += w * bnn_metric_gaussian_nll(m, v, number(y));
                    crps += w * bnn_metric_gaussian_crps(m, v, number(y));
                    bnn_arena_rewind(&mem, mark);
                }
                if (truth) {
                    best[0] = nll, best[1] = crps;
                    CHECK_NEAR(nll, 0.5 * log(2 * acos(-1.0)) + 0.5, 1e-6); /* entropy */
                    CHECK_NEAR(crps, 1 / sqrt(acos(-1.0)), 1e-6); /* E|x - x'|/2 */
                }
                CHECK(truth || (nll > best[0] + 1e-3 && crps > best[1] + 1e-4));
            }
}

static void sample_crps_equals_brute_force_and_the_integral(void) {
    bnn_mat x = from_ints(o_sample_a, 1, 37);
    double y = 0.3, near = 0, apart = 0, area = 0;
    size_t i, j;
    for (i = 0; i < 37; i++) {
        near += fabs((double)x.data[i] - y) / 37;
        for (j = 0; j < 37; j++) apart += fabs((double)x.data[i] - (double)x.data[j]);
    }
    CHECK_NEAR(bnn_metric_sample_crps(&mem, x, y, 0), near - apart / (2 * 37 * 37), EXACT);
    CHECK_NEAR(bnn_metric_sample_crps(&mem, x, y, 1), near - apart / (2 * 37 * 36), EXACT);
    for (i = 0; i < 100000; i++) { /* midpoint rule for int (F - 1[t >= y])^2 */
        double t = -5 + ((double)i + 0.5) * 1e-4, f = 0;
        for (j = 0; j < 37; j++) f += (double)x.data[j] <= t;
        f = f / 37 - (t >= y);
        area += f * f * 1e-4;
    }
    CHECK_NEAR(bnn_metric_sample_crps(&mem, x, y, 0), area, 1e-3);
    CHECK(bnn_metric_sample_crps(&mem, number(2), 5, 0) == 3);
    CHECK(isnan(bnn_metric_sample_crps(&mem, number(2), 5, 1))); /* no pair */
    CHECK(isnan(bnn_metric_sample_crps(&mem, zeros(1, 0), 0, 0)));
    CHECK(isnan(bnn_metric_sample_crps(&mem, zeros(2, 3), 0, 0)));
    CHECK(isnan(bnn_metric_sample_crps(&mem, number(NAN), 0, 0)));
    CHECK(isnan(bnn_metric_sample_crps(&mem, number(1), NAN, 0)));
}

/* Fair means unbiased: over draws its mean is the CRPS of the law. False alarm 6e-5 (4 se). */
static void the_fair_sample_crps_has_the_mean_of_the_law(void) {
    enum { R = 20000 };
    bnn_rng rng = bnn_rng_seed(build_seed(83));
    bnn_mat x = zeros(1, 5);
    double sum = 0, square = 0, mean;
    size_t r;
    for (r = 0; r < R; r++) {
        double s;
        bnn_rng_fill_normal(&rng, 5, x.data);
        s = bnn_metric_sample_crps(&mem, x, 0.5, 1);
        sum += s;
        square += s * s;
    }
    mean = sum / R;
    CHECK_NEAR(mean, bnn_metric_gaussian_crps(number(0), number(1), number(0.5)),
               4 * sqrt((square / R - mean * mean) / R));
}

/* S6.7: PIT of true forecasts is uniform: KS below its 1e-4 quantile, 2.2253/sqrt(n), and the
 * central 80 percent interval covers 80 percent within 4 sd (6e-5). */
static void true_forecasts_have_uniform_pit_and_exact_coverage(void) {
    enum { N = 5000 };
    static int below[N + 1];
    bnn_rng rng = bnn_rng_seed(build_seed(84));
    bnn_mat lo = zeros(N, 1), hi = zeros(N, 1), y = zeros(N, 1);
    double worst = 0, seen = 0;
    size_t i;
    memset(below, 0, sizeof below);
    for (i = 0; i < N; i++) {
        double m = 3 * (double)bnn_rng_normal(&rng), s = (double)bnn_rng_exponential(&rng) + 0.1;
        double z = (double)bnn_rng_normal(&rng);
        y.data[i] = (float)(m + s * z);
        lo.data[i] = (float)(m + s * bnn_normal_quantile(0.1));
        hi.data[i] = (float)(m + s * bnn_normal_quantile(0.9));
        below[(size_t)(bnn_normal_cdf(((double)y.data[i] - m) / s) * N)]++;
    }
    for (i = 0; i < N; i++) { /* on the grid i/N: off by at most 1/N */
        double gap;
        seen += below[i];
        gap = fabs(seen - (double)(i + 1)) / N;
        if (gap > worst) worst = gap;
    }
    CHECK(worst < 2.2253 / sqrt(N) + 1.0 / N);
    CHECK_NEAR(bnn_metric_coverage(lo, hi, y), 0.8, 4 * sqrt(0.16 / N));
}

static void interval_edges(void) {
    bnn_mat a = number(1), b = number(2), no = number(NAN), inf = number(INFINITY);
    CHECK(bnn_metric_coverage(a, b, a) == 1 && bnn_metric_coverage(a, b, b) == 1);
    CHECK(bnn_metric_coverage(a, b, number(2.5)) == 0);
    CHECK(bnn_metric_coverage(a, inf, number(1e30)) == 1);
    CHECK_SAME(bnn_metric_width(a, inf), INFINITY);
    CHECK(bnn_metric_interval_score(a, b, number(1.5), 0.5) == 1);
    CHECK(bnn_metric_interval_score(a, b, number(4), 0.5) == 1 + 4 * 2);
    CHECK(bnn_metric_interval_score(a, b, number(0), 0.25) == 1 + 8 * 1);
    CHECK(bnn_metric_pinball(a, number(3), 0.25) == 0.5);
    CHECK(bnn_metric_pinball(number(3), a, 0.25) == 1.5);
    CHECK(isnan(bnn_metric_coverage(a, b, no)) && isnan(bnn_metric_coverage(no, b, a)));
    CHECK(isnan(bnn_metric_interval_score(a, b, no, 0.5)) && isnan(bnn_metric_pinball(a, no, 0.5)));
    CHECK(isnan(bnn_metric_interval_score(a, b, a, 0)));
    CHECK(isnan(bnn_metric_interval_score(a, b, a, 1)));
    CHECK(isnan(bnn_metric_pinball(a, b, 0)) && isnan(bnn_metric_pinball(a, b, 1)));
    CHECK(isnan(bnn_metric_rmse(no, a)) && isnan(bnn_metric_mae(a, no)));
}

static void empty_or_unequal_matrices_have_no_score(void) {
    bnn_mat a = zeros(0, 2), b = zeros(3, 1), c = zeros(1, 3);
    CHECK(isnan(bnn_metric_rmse(a, a)) && isnan(bnn_metric_mae(a, a)));
    CHECK(isnan(bnn_metric_gaussian_nll(a, a, a)) && isnan(bnn_metric_gaussian_crps(a, a, a)));
    CHECK(isnan(bnn_metric_coverage(a, a, a)) && isnan(bnn_metric_width(a, a)));
    CHECK(isnan(bnn_metric_interval_score(a, a, a, 0.1)) && isnan(bnn_metric_pinball(a, a, 0.5)));
    CHECK(isnan(bnn_metric_agreement(a, a)) && isnan(bnn_metric_kl(a, a)));
    CHECK(isnan(bnn_metric_total_variation(a, a)));
    CHECK(isnan(bnn_metric_rmse(b, c)) && isnan(bnn_metric_mae(b, c)));
    CHECK(isnan(bnn_metric_gaussian_nll(b, c, b)) && isnan(bnn_metric_gaussian_crps(b, b, c)));
    CHECK(isnan(bnn_metric_coverage(b, c, b)) && isnan(bnn_metric_width(b, c)));
    CHECK(isnan(bnn_metric_interval_score(c, b, b, 0.1)) && isnan(bnn_metric_pinball(b, c, 0.5)));
    CHECK(isnan(bnn_metric_agreement(b, c)) && isnan(bnn_metric_kl(b, c)));
}

static void agreement_measures_equal_scipy_and_vanish_on_equals(void) {
    bnn_mat p = from_ints(o_prob, 80, 4), q = from_ints(o_other, 80, 4), half = zeros(80, 4);
    static const double one[] = { 1, 0 }, two[] = { 0, 1 };
    CHECK_NEAR(bnn_metric_agreement(p, q), o_agreement, EXACT);
    CHECK_NEAR(bnn_metric_total_variation(p, q), o_tv, EXACT);
    CHECK_NEAR(bnn_metric_kl(p, q), o_kl, EXACT);
    bnn_mat_add(half, p, q);
    bnn_mat_scale(half, half, (float)0.5);
    CHECK_NEAR(bnn_metric_kl(q, half), o_kl_back, EXACT);
    CHECK(bnn_metric_agreement(p, p) == 1 && bnn_metric_total_variation(p, p) == 0);
    CHECK(bnn_metric_kl(p, p) == 0); /* with zeros inside */
    CHECK_SAME(bnn_metric_kl(row(2, one), row(2, two)), INFINITY);
    CHECK(bnn_metric_total_variation(row(2, one), row(2, two)) == 1);
    CHECK(bnn_metric_agreement(row(2, one), row(2, two)) == 0);
}

static void conformal_takes_the_right_order_statistic(void) {
    static const double s[] = { 5, 1, 4, 2, 3, 9, 7, 8, 6 }; /* n = 9 */
    bnn_mat a = column(9, s);
    CHECK(bnn_metric_conformal(&mem, a, 0.1) == 9);  /* ceil(10 x 0.9) = 9, not 10 */
    CHECK(bnn_metric_conformal(&mem, a, 0.2) == 8);
    CHECK(bnn_metric_conformal(&mem, a, 0.25) == 8); /* ceil(7.5) */
    CHECK(bnn_metric_conformal(&mem, a, 0.3) == 7);
    CHECK(bnn_metric_conformal(&mem, a, 0.7) == 3);
    CHECK(bnn_metric_conformal(&mem, a, 0.999) == 1);
    CHECK_SAME(bnn_metric_conformal(&mem, a, 0.09), INFINITY);
    CHECK_SAME(bnn_metric_conformal(&mem, zeros(0, 1), 0.5), INFINITY);
    CHECK(isnan(bnn_metric_conformal(&mem, a, 0)) && isnan(bnn_metric_conformal(&mem, a, 1)));
    CHECK(isnan(bnn_metric_conformal(&mem, row(9, s), 0.5)));
    a.data[4] = (float)NAN;
    CHECK(isnan(bnn_metric_conformal(&mem, a, 0.5)));
}

/* S6.9: mean coverage is ceil((n+1)(1-a))/(n+1), in [1-a, 1-a + 1/(n+1)]. False alarm 6e-5. */
static void conformal_intervals_cover_as_promised(void) {
    enum { R = 20000, N = 23 };
    bnn_rng rng = bnn_rng_seed(build_seed(85));
    bnn_mat s = zeros(N, 1);
    double inside = 0, want = 22.0 / 24; /* a = 0.1: ceil(21.6) = 22 */
    size_t r;
    CHECK(want >= 0.9 && want <= 0.9 + 1.0 / 24);
    for (r = 0; r < R; r++) {
        bnn_rng_fill_normal(&rng, N, s.data);
        inside += (double)bnn_rng_normal(&rng) <= bnn_metric_conformal(&mem, s, 0.1);
    }
    CHECK_NEAR(inside / R, want, 4 * sqrt(want * (1 - want) / R));
}

static void scratch_is_given_back_and_no_memory_is_nan(void) {
    static unsigned char room[512];
    bnn_mat s = from_ints(o_score, 60, 1), y = labels_of(o_positive, 60);
    bnn_mat x = from_ints(o_sample_a, 1, 37);
    bnn_mat p = from_ints(o_prob, 80, 4), label = labels_of(o_label, 80);
    bnn_mark before = bnn_arena_mark(&mem), after;
    bnn_arena small;
    CHECK(!isnan(bnn_metric_auroc(&mem, s, y)) && !isnan(bnn_metric_conformal(&mem, s, 0.1)));
    CHECK(!isnan(bnn_metric_sample_crps(&mem, x, 0, 0)));
    CHECK(!isnan(bnn_metric_ece_equal_count(&mem, p, label, 5)));
    after = bnn_arena_mark(&mem);
    CHECK(before.chunk == after.chunk && before.used == after.used);
    memset(&small, 0, sizeof small);
    small.buffer = room;
    small.capacity = sizeof room;
    CHECK(isnan(bnn_metric_auroc(&small, s, y)) && small.err == BNN_ENOMEM);
    CHECK(isnan(bnn_metric_sample_crps(&small, x, 0, 0)));
    CHECK(isnan(bnn_metric_ece_equal_count(&small, p, label, 5)));
    CHECK(isnan(bnn_metric_conformal(&small, s, 0.1)));
}

static void sorting_is_stable_and_complete(void) {
    size_t n, i;
    bnn_rng rng = bnn_rng_seed(build_seed(86));
    for (n = 0; n < 200; n++) {
        double key[200] = { 0 };
        bnn_mark mark = bnn_arena_mark(&mem);
        size_t *index, seen = 0;
        for (i = 0; i < n; i++) key[i] = (double)bnn_rng_below(&rng, 1 + n / 2);
        index = bnn__sorted_index(&mem, n, key);
        CHECK(index != NULL);
        for (i = 0; i < n; i++) seen += index[i];
        CHECK(n == 0 || seen == n * (n - 1) / 2);
        for (i = 1; i < n; i++)
            CHECK(key[index[i - 1]] < key[index[i]] ||
                  (key[index[i - 1]] <= key[index[i]] && index[i - 1] < index[i]));
        bnn_arena_rewind(&mem, mark);
    }
}

int main(void) {
    RUN(class_scores_equal_scikit_learn);
    RUN(calibration_errors_equal_numpy);
    RUN(bins_are_closed_on_the_right);
    RUN(equal_count_bins_may_outnumber_the_rows);
    RUN(labels_drawn_from_p_have_ece_falling_like_root_n);
    RUN(temperature_equals_scipy);
    RUN(temperature_at_its_limits);
    RUN(labels_drawn_from_p_have_temperature_one);
    RUN(one_column_is_the_probability_of_class_one);
    RUN(impossible_labels_cost_infinity);
    RUN(classification_of_bad_input_is_nan);
    RUN(what_is_no_probability_has_no_score);
    RUN(nothing_times_ln_of_nothing_is_nothing);
    RUN(without_an_arena_there_is_no_score);
    RUN(auroc_equals_scikit_learn_and_brute_force);
    RUN(auroc_edges);
    RUN(regression_scores_equal_scikit_learn_and_quadrature);
    RUN(scaling_targets_shifts_nll_by_ln_c_and_multiplies_rmse);
    RUN(crps_and_nll_without_spread);
    RUN(expected_scores_are_minimal_at_the_truth);
    RUN(sample_crps_equals_brute_force_and_the_integral);
    RUN(the_fair_sample_crps_has_the_mean_of_the_law);
    RUN(true_forecasts_have_uniform_pit_and_exact_coverage);
    RUN(interval_edges);
    RUN(empty_or_unequal_matrices_have_no_score);
    RUN(agreement_measures_equal_scipy_and_vanish_on_equals);
    RUN(conformal_takes_the_right_order_statistic);
    RUN(conformal_intervals_cover_as_promised);
    RUN(scratch_is_given_back_and_no_memory_is_nan);
    RUN(sorting_is_stable_and_complete);
    bnn_arena_free(&mem);
    return check_done();
}
