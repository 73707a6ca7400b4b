/* test_diag.c -- bnn_diag_*, against NumPy written from the paper (oracles/metrics.py), closed
 * forms and brute force. Formulas: docs/math.md. The stochastic tests
 * say how often they fail by chance. */
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

static bnn_mat row(size_t n, const double *x) {
    bnn_mat a = zeros(1, n);
    size_t i;
    for (i = 0; i < n; i++) a.data[i] = (float)x[i];
    return a;
}

/* x_t = phi x_{t-1} + sqrt(1 - phi^2) e_t, stationary, variance 1 */
static bnn_mat ar1(bnn_rng *rng, size_t chains, size_t n, double phi) {
    bnn_mat a = zeros(chains, n);
    size_t c, i;
    bnn_rng_fill_normal(rng, chains * n, a.data);
    for (c = 0; c < chains; c++)
        for (i = 1; i < n; i++)
            a.data[c * n + i] = (float)(phi * (double)a.data[c * n + i - 1] +
                                        sqrt(1 - phi * phi) * (double)a.data[c * n + i]);
    return a;
}

/* Normal quantiles at (i + 1/2)/n: a sample without noise */
static bnn_mat normal_grid(size_t n, double shift) {
    bnn_mat a = zeros(1, n);
    size_t i;
    for (i = 0; i < n; i++)
        a.data[i] = (float)(shift + bnn_normal_quantile(((double)i + 0.5) / (double)n));
    return a;
}

static void add_to_chain(bnn_mat a, size_t chain, double shift) {
    size_t i;
    for (i = 0; i < a.cols; i++) a.data[chain * a.cols + i] += (float)shift;
}

static void chains_equal_the_paper_in_numpy(void) {
    size_t i;
    for (i = 0; i < sizeof o_chains / sizeof *o_chains; i++) {
        bnn_mat x = from_ints(o_chains[i].draws, (size_t)o_chains[i].chains, (size_t)o_chains[i].n);
        CHECK_NEAR(bnn_diag_rhat(&mem, x), o_chains[i].rhat, 1e-10);
        CHECK_NEAR(bnn_diag_ess(&mem, x) / o_chains[i].ess, 1, 1e-10);
        CHECK_NEAR(bnn_diag_ess_bulk(&mem, x) / o_chains[i].bulk, 1, 1e-9);
        CHECK_NEAR(bnn_diag_ess_tail(&mem, x) / o_chains[i].tail, 1, 1e-9);
        CHECK_NEAR(bnn_diag_mcse(&mem, x) / o_chains[i].mcse, 1, 1e-10);
        CHECK_NEAR(bnn_diag_autocorrelation(bnn_mat_rows(x, 0, 1), 3), o_chains[i].rho3, 1e-12);
    }
    CHECK(i == 7);
}

/* S6.13. R of 8 halves of 500 is sqrt(1 + (chi2_7/7 - 1)/500): 1.01 needs chi2_7 > 77, 1e-13. */
static void independent_draws_have_rhat_below_1_01(void) {
    bnn_rng rng = bnn_rng_seed(build_seed(813));
    double r = bnn_diag_rhat(&mem, ar1(&rng, 4, 1000, 0));
    CHECK(r < 1.01 && r > 0.998);
}

/* Half the chains one sd away: R^2 = 1 + 2/7 +- 0.03 (1.096 is 4 sd below) */
static void shifted_chains_have_rhat_above_1_1(void) {
    bnn_rng rng = bnn_rng_seed(build_seed(814));
    bnn_mat x = ar1(&rng, 4, 1000, 0);
    add_to_chain(x, 1, 1);
    add_to_chain(x, 3, 1);
    CHECK(bnn_diag_rhat(&mem, x) > 1.1);
}

static void a_drift_within_chains_is_seen_by_splitting(void) {
    bnn_rng rng = bnn_rng_seed(build_seed(815));
    bnn_mat x = ar1(&rng, 2, 1000, 0);
    size_t i;
    for (i = 0; i < 500; i++) x.data[i] += 1, x.data[1000 + i] += 1;
    CHECK(bnn_diag_rhat(&mem, x) > 1.1);
}

static void unequal_scales_are_seen_by_folding(void) {
    bnn_rng rng = bnn_rng_seed(build_seed(816));
    bnn_mat x = ar1(&rng, 2, 1000, 0), same = bnn_mat_copy(&mem, x);
    size_t i;
    for (i = 0; i < 1000; i++) x.data[i] *= 5;
    CHECK(bnn_diag_rhat(&mem, x) > 1.1 && bnn_diag_rhat(&mem, same) < 1.02);
}

static void rhat_and_bulk_ess_do_not_see_monotone_transforms(void) {
    bnn_rng rng = bnn_rng_seed(build_seed(817));
    bnn_mat x = ar1(&rng, 2, 400, 0.5), e = bnn_mat_copy(&mem, x), a = bnn_mat_copy(&mem, x);
    size_t i;
    for (i = 0; i < 800; i++) {
        e.data[i] = (float)exp(3 * (double)x.data[i]);
        a.data[i] = 3 - 2 * x.data[i]; /* decreasing: same spread, rank mirrored */
    }
    CHECK_SAME(bnn_diag_ess_bulk(&mem, x), bnn_diag_ess_bulk(&mem, e));
    CHECK_SAME(bnn_diag_ess_tail(&mem, x), bnn_diag_ess_tail(&mem, e));
    CHECK_NEAR(bnn_diag_ess_bulk(&mem, x) / bnn_diag_ess_bulk(&mem, a), 1, BUILD_TOL(1e-3, 1e-9));
    CHECK_NEAR(bnn_diag_rhat(&mem, x), bnn_diag_rhat(&mem, a), BUILD_TOL(1e-5, 1e-9));
}

/* S6.15. The ESS of n independent draws: relative sd sqrt(2 (2 L + 1)/n) with L about 2 to 8 lags,
 * below 0.07 at 4 x 1000; 5 sd. */
static void independent_draws_have_ess_near_their_number(void) {
    bnn_rng rng = bnn_rng_seed(build_seed(818));
    bnn_mat x = ar1(&rng, 4, 1000, 0);
    CHECK_NEAR(bnn_diag_ess(&mem, x) / 4000, 1, 0.35);
    CHECK_NEAR(bnn_diag_ess_bulk(&mem, x) / 4000, 1, 0.35);
    CHECK_NEAR(bnn_diag_ess_tail(&mem, x) / 4000, 1, 0.4);
    CHECK_NEAR(bnn_diag_mcse(&mem, x) * sqrt(4000), 1, 0.25);
}

/* S6.15. nm (1-phi)/(1+phi) within 10 percent at n = 1e5 and 4 chains: sd below 2 percent for 0.5
 * and -0.3, 2.5 for 0.9: false alarm 1e-4. */
static void ess_of_ar1_is_known(void) {
    static const double phi[] = { 0.5, -0.3, 0.9 };
    bnn_rng rng = bnn_rng_seed(build_seed(819));
    size_t i;
    for (i = 0; i < 3; i++) {
        bnn_mark mark = bnn_arena_mark(&mem);
        bnn_mat x = ar1(&rng, 4, 100000, phi[i]);
        double want = 4e5 * (1 - phi[i]) / (1 + phi[i]);
        CHECK_NEAR(bnn_diag_ess(&mem, x) / want, 1, 0.1);
        CHECK(i != 1 || bnn_diag_ess(&mem, x) > 4e5); /* antithetic */
        bnn_arena_rewind(&mem, mark);
    }
}

/* The sd of the means of independent AR(1) chains is what MCSE says: 200 chains, chi2_199 within
 * 4 sd, and MCSE itself 5 percent. False alarm 1e-4. */
static void mcse_is_the_deviation_of_the_mean(void) {
    enum { R = 200, N = 2000 };
    bnn_rng rng = bnn_rng_seed(build_seed(820));
    double sum = 0, square = 0, mcse = 0;
    size_t r;
    for (r = 0; r < R; r++) {
        bnn_mark mark = bnn_arena_mark(&mem);
        bnn_mat x = ar1(&rng, 1, N, 0.6);
        double mean = bnn_mat_sum(x) / N;
        sum += mean;
        square += mean * mean;
        mcse += bnn_diag_mcse(&mem, x) / R;
        bnn_arena_rewind(&mem, mark);
    }
    CHECK_NEAR(sqrt((square - sum * sum / R) / (R - 1)) / mcse, 1, 4 * sqrt(0.5 / R) + 0.05);
}

/* S6.14. Bartlett: var rho_t = [(1 + phi^2)(1 - phi^2t)/(1 - phi^2) - 2 t phi^2t]/n. 5 lags, 4 sd:
 * false alarm 3e-4. */
static void autocorrelation_of_ar1_is_phi_to_the_lag(void) {
    enum { N = 100000 };
    bnn_rng rng = bnn_rng_seed(build_seed(821));
    double phi = 0.7;
    bnn_mat x = ar1(&rng, 1, N, phi);
    int t;
    CHECK(bnn_diag_autocorrelation(x, 0) == 1);
    for (t = 1; t <= 5; t++) {
        double p = pow(phi, 2 * t);
        double var = ((1 + phi * phi) * (1 - p) / (1 - phi * phi) - 2 * t * p) / N;
        CHECK_NEAR(bnn_diag_autocorrelation(x, (size_t)t), pow(phi, t), 4 * sqrt(var));
    }
}

static void autocorrelation_of_a_short_series_by_hand(void) {
    static const double x[] = { 1, 2, 4, 1 }; /* deviations -1 0 2 -1, squares 6 */
    CHECK_NEAR(bnn_diag_autocorrelation(row(4, x), 1), (0 + 0 - 2) / 6.0, 1e-15);
    CHECK_NEAR(bnn_diag_autocorrelation(row(4, x), 2), (-2 + 0) / 6.0, 1e-15);
    CHECK_NEAR(bnn_diag_autocorrelation(row(4, x), 3), 1 / 6.0, 1e-15);
    CHECK(isnan(bnn_diag_autocorrelation(row(4, x), 4)));
    CHECK(isnan(bnn_diag_autocorrelation(zeros(1, 5), 1))); /* constant */
    CHECK(isnan(bnn_diag_autocorrelation(zeros(1, 0), 0)));
    CHECK(isnan(bnn_diag_autocorrelation(zeros(2, 5), 1)));
}

static void check_undefined(bnn_mat x, const char *says) {
    mem.msg[0] = '\0';
    CHECK(isnan(bnn_diag_rhat(&mem, x)) && strstr(mem.msg, says) != NULL);
    CHECK(strstr(mem.msg, "bnn_diag_rhat") != NULL);
    CHECK(isnan(bnn_diag_ess(&mem, x)) && isnan(bnn_diag_ess_bulk(&mem, x)));
    CHECK(isnan(bnn_diag_ess_tail(&mem, x)) && isnan(bnn_diag_mcse(&mem, x)));
    CHECK(mem.err == BNN_OK);
}

static void undefined_diagnostics_are_nan_with_a_message(void) {
    bnn_rng rng = bnn_rng_seed(822);
    bnn_mat x = zeros(4, 50), middle = zeros(1, 9);
    bnn_mat_fill(x, (float)0.1);
    check_undefined(x, "equal");
    x = ar1(&rng, 4, 50, 0);
    x.data[199] = (float)NAN;
    check_undefined(x, "finite");
    x.data[199] = (float)INFINITY;
    check_undefined(x, "finite");
    check_undefined(zeros(4, 0), "draws");
    check_undefined(zeros(0, 100), "chains");
    check_undefined(ar1(&rng, 4, 3, 0), "3 draws");
    CHECK(isnan(bnn_diag_rhat(NULL, x)));
    middle.data[4] = 1; /* the draw that splitting drops is the only one that differs */
    CHECK(isnan(bnn_diag_rhat(&mem, middle)) && isnan(bnn_diag_ess(&mem, middle)));
}

static void short_chains_are_finite_from_four_and_six_draws(void) {
    bnn_rng rng = bnn_rng_seed(823);
    size_t n;
    for (n = 4; n < 20; n++) {
        bnn_mat x = ar1(&rng, 2, n, 0.3);
        double ess = bnn_diag_ess(&mem, x);
        CHECK(isfinite(bnn_diag_rhat(&mem, x)));
        CHECK(n < 6 ? isnan(ess) : ess > 0 && ess <= 2 * n * log10(2.0 * n) * (1 + 1e-12));
    }
}

static void alternating_chains_reach_the_bound_on_ess(void) {
    bnn_mat x = zeros(1, 400);
    size_t i;
    for (i = 0; i < 400; i++) x.data[i] = i % 2 != 0 ? 1 : -1;
    CHECK_NEAR(bnn_diag_ess(&mem, x), 400 * log10(400), 1e-9);
}

static void stuck_chains_have_a_huge_rhat_and_almost_no_ess(void) {
    bnn_mat x = zeros(4, 100);
    size_t i;
    for (i = 0; i < 400; i++) x.data[i] = (float)(i / 100);
    CHECK(bnn_diag_rhat(&mem, x) > 1e6); /* infinite but for the rounding of the means */
    CHECK(bnn_diag_ess(&mem, x) < 10);
}

static void two_values_have_an_rhat_and_a_tail_ess(void) {
    bnn_rng rng = bnn_rng_seed(build_seed(824));
    bnn_mat x = zeros(4, 500);
    size_t i, ones = 0;
    for (i = 0; i < 2000; i++) ones += (x.data[i] = (float)(bnn_rng_u32(&rng) >> 31)) > 0;
    CHECK(bnn_diag_rhat(&mem, x) < 1.02); /* |x - median| may be constant */
    CHECK_NEAR(bnn_diag_ess_tail(&mem, x) / 2000, 1, 0.45);
    for (i = 0; i < 2000; i++) x.data[i] = (float)((i + i / 500) % 4 < 2); /* folded: constant */
    CHECK(isfinite(bnn_diag_rhat(&mem, x)));
}

static double slow_acov(size_t m, size_t n, const double *x, size_t lag) {
    double sum = 0;
    size_t c, i;
    for (c = 0; c < m; c++)
        for (i = 0; i + lag < n; i++) sum += x[c * n + i] * x[c * n + i + lag];
    return sum / (double)n / (double)m;
}

/* ESS with every lag by its sum */
static double slow_ess(bnn_mat d) {
    size_t m = 2 * d.rows, n = d.cols / 2, c, i, t;
    double *x = (double *)bnn_arena_alloc(&mem, m * n, sizeof(double)), grand = 0, v, w;
    double *mean = (double *)bnn_arena_alloc(&mem, m, sizeof(double));
    double sum = 0, before = 0, tail = 0, least = 1 / log10((double)(m * n));
    for (c = 0; c < m; c++) {
        const float *from = d.data + c / 2 * d.cols + (c % 2 != 0 ? d.cols - n : 0);
        for (i = 0; i < n; i++) mean[c] += (double)from[i] / (double)n;
        for (i = 0; i < n; i++) x[c * n + i] = (double)from[i] - mean[c];
        grand += mean[c] / (double)m;
    }
    v = slow_acov(m, n, x, 0);
    w = v * (double)n / (double)(n - 1);
    for (c = 0; c < m; c++) v += (mean[c] - grand) * (mean[c] - grand) / (double)(m - 1);
    for (t = 0;; t += 2) {
        double even = t == 0 ? 1 : 1 - (w - slow_acov(m, n, x, t)) / v;
        double pair = even + 1 - (w - slow_acov(m, n, x, t + 1)) / v;
        tail = even > 0 ? even : 0;
        if (!(pair > 0) || (t + 5 >= n && t > 0)) break;
        if (t > 0 && pair > before) pair = before;
        sum += pair, before = pair, tail = 0;
        if (t + 5 >= n) break;
    }
    sum = -1 + 2 * sum + tail;
    return (double)(m * n) / (sum < least ? least : sum);
}

static void ess_by_the_spectrum_equals_its_sums_at_every_length(void) {
    bnn_rng rng = bnn_rng_seed(829);
    static const double phi[] = { 0, 0.9, -0.6, 0.999 };
    size_t n, k;
    for (n = 12; n < 300; n += n < 40 ? 1 : 37) {
        for (k = 0; k < 12; k++) {
            bnn_mark mark = bnn_arena_mark(&mem);
            bnn_mat x = ar1(&rng, 1 + k % 3, n, phi[k % 4]);
            if (k > 3 && x.rows > 1) add_to_chain(x, 1, k > 7 ? 1e4 : 5); /* these never meet */
            CHECK_NEAR(bnn_diag_ess(&mem, x) / slow_ess(x), 1, 1e-9);
            bnn_arena_rewind(&mem, mark);
        }
    }
}

static void chains_that_never_meet_are_worth_one_draw_each_at_any_length(void) {
    bnn_rng rng = bnn_rng_seed(830);
    size_t n, c;
    for (n = 1000; n <= 160000; n *= 4) { /* n^2 would take minutes */
        for (c = 2; c <= 4; c++) {
            bnn_mark mark = bnn_arena_mark(&mem);
            bnn_mat x = ar1(&rng, c, n, 0);
            size_t i;
            for (i = 0; i < c; i++) add_to_chain(x, i, 100 * (double)i);
            CHECK_NEAR(bnn_diag_ess(&mem, x), (double)c, 0.05 * (double)c);
            CHECK(bnn_diag_mcse(&mem, x) > 10 && bnn_diag_ess_bulk(&mem, x) < 2 * (double)c);
            bnn_arena_rewind(&mem, mark);
        }
    }
}

static size_t heard;
static void hear(void *user, const char *text) {
    CHECK(strlen(text) < 160 && user == &heard);
    heard++;
}

static void check_twins(bnn_mat x, const char *first, const char *second) {
    double (*all[5])(bnn_arena *, bnn_mat) = { bnn_diag_rhat, bnn_diag_ess, bnn_diag_ess_bulk,
                                               bnn_diag_ess_tail, bnn_diag_mcse };
    static const char *names[5] = { "bnn_diag_rhat:", "bnn_diag_ess:", "bnn_diag_ess_bulk:",
                                    "bnn_diag_ess_tail:", "bnn_diag_mcse:" };
    size_t i;
    for (i = 0; i < 5; i++) {
        mem.notes = 0;
        CHECK(isnan(all[i](&mem, x)) && mem.notes == 1 && mem.err == BNN_OK);
        CHECK(strstr(mem.note, names[i]) == mem.note && strstr(mem.note, "seed") != NULL);
        CHECK(strstr(mem.note, first) != NULL && strstr(mem.note, second) != NULL);
    }
    mem.notes = 0;
}

static void equal_chains_are_nan_and_a_note(void) {
    bnn_rng rng = bnn_rng_seed(831);
    bnn_mat x = ar1(&rng, 4, 200, 0.5), two = ar1(&rng, 2, 6, 0), stuck = zeros(3, 100);
    size_t i, n = 200;
    mem.on_note = hear;
    mem.note_user = &heard;
    memcpy(x.data + 3 * n, x.data + n, n * sizeof *x.data);
    check_twins(x, "chains 1", "and 3");
    CHECK(heard == 5);
    mem.on_note = NULL;
    memcpy(two.data + 6, two.data, 6 * sizeof *two.data);
    check_twins(two, "chains 0", "and 1");
    x.data[3 * n + 199] += (float)1e-3; /* equal but for one draw: two seeds that met late */
    CHECK(bnn_diag_rhat(&mem, x) < 1.2 && bnn_diag_ess(&mem, x) > 0 && mem.notes == 0);
    memcpy(x.data + 3 * n, x.data + n + 1, (n - 1) * sizeof *x.data); /* shifted by a draw */
    CHECK(isfinite(bnn_diag_rhat(&mem, x)) && mem.notes == 0);
    for (i = 0; i < 300; i++) stuck.data[i] = i < 200 ? 1 : (float)bnn_rng_normal(&rng);
    CHECK(isfinite(bnn_diag_rhat(&mem, stuck)) && mem.notes == 0); /* both stuck at one value */
    for (i = 0; i < 200; i++) stuck.data[i] = (float)(i % 7);
    stuck.cols = 200;
    stuck.rows = 1; /* two equal halves of one chain are its own matter */
    CHECK(isfinite(bnn_diag_rhat(&mem, stuck)) && mem.notes == 0);
}

static void waic_equals_numpy_and_closed_forms(void) {
    bnn_waic w = bnn_diag_waic(from_ints(o_log_lik, 25, 12));
    bnn_mat two = zeros(2, 1);
    CHECK_NEAR(w.lppd, o_waic[0], 1e-12);
    CHECK_NEAR(w.p_waic, o_waic[1], 1e-12);
    CHECK_NEAR(w.elpd, o_waic[2], 1e-12);
    two.data[0] = -1, two.data[1] = -3;
    w = bnn_diag_waic(two);
    CHECK_NEAR(w.lppd, log((exp(-1) + exp(-3)) / 2), 1e-15);
    CHECK_NEAR(w.p_waic, 2, 1e-15); /* (1 + 1)/(2 - 1) */
    two.data[0] = -2000, two.data[1] = -2000; /* no underflow */
    CHECK(bnn_diag_waic(two).lppd == -2000 && bnn_diag_waic(two).p_waic == 0);
}

static void waic_edges(void) {
    bnn_mat one = zeros(1, 3), dead = zeros(2, 1);
    bnn_waic w = bnn_diag_waic(one);
    CHECK(w.lppd == 0 && isnan(w.p_waic) && isnan(w.elpd)); /* one sample has no variance */
    CHECK(isnan(bnn_diag_waic(zeros(0, 3)).lppd) && isnan(bnn_diag_waic(zeros(3, 0)).elpd));
    dead.data[0] = dead.data[1] = (float)-INFINITY;
    w = bnn_diag_waic(dead);
    CHECK_SAME(w.lppd, -INFINITY);
    CHECK(isnan(w.p_waic));
    dead.data[0] = 0;
    CHECK_NEAR(bnn_diag_waic(dead).lppd, log(0.5), 1e-15);
    dead.data[0] = (float)NAN;
    CHECK(isnan(bnn_diag_waic(dead).lppd) && isnan(bnn_diag_waic(dead).elpd));
}

/* S6.11 with S3.10: y = X w + noise, posterior N(m, A^-1), A = alpha I + beta X'X. Given the data,
 * p_waic = sum_i beta^2 (r_i^2 v_i + v_i^2/2), r = y - Xm, v_i = x'A^-1x, up to the noise of S
 * draws (D directions with a chi2_S each: relative sd sqrt(2/(S D)); twice 4 of them); and near the
 * effective number of parameters gamma = D - alpha tr A^-1, with sd beta sqrt(2 sum v_i^2). False
 * alarm 1e-4. */
static void waic_counts_the_parameters_of_a_linear_model(void) {
    enum { N = 1000, D = 5, S = 1000 };
    double alpha = 2, beta = 4, gamma = D, want = 0, noise = 0;
    bnn_rng rng = bnn_rng_seed(build_seed(825));
    bnn_mat x = zeros(N, D), y = zeros(N, 1), a = zeros(D, D), l = zeros(D, D), m = zeros(D, 1);
    bnn_mat w = zeros(D, 1), f = zeros(N, 1), g = zeros(N, 1);
    bnn_mat inverse = zeros(D, D), xa = zeros(N, D);
    bnn_mat log_lik = zeros(S, N);
    bnn_waic r;
    size_t i, j, s;
    bnn_rng_fill_normal(&rng, N * D, x.data);
    bnn_rng_fill_normal(&rng, D, w.data);
    CHECK(bnn_mat_mul(y, x, w) == BNN_OK);
    for (i = 0; i < N; i++) y.data[i] += (float)((double)bnn_rng_normal(&rng) / sqrt(beta));
    CHECK(bnn_mat_mul_tn(a, x, x) == BNN_OK && bnn_mat_scale(a, a, (float)beta) == BNN_OK);
    for (j = 0; j < D; j++) a.data[j * D + j] += (float)alpha;
    CHECK(bnn_mat_cholesky(l, a, NULL) == BNN_OK);
    CHECK(bnn_mat_mul_tn(m, x, y) == BNN_OK && bnn_mat_scale(m, m, (float)beta) == BNN_OK);
    CHECK(bnn_mat_solve_chol(m, l, m) == BNN_OK && bnn_mat_mul(f, x, m) == BNN_OK);
    bnn_mat_eye(inverse);
    CHECK(bnn_mat_solve_chol(inverse, l, inverse) == BNN_OK);
    CHECK(bnn_mat_mul(xa, x, inverse) == BNN_OK);
    for (j = 0; j < D; j++) gamma -= alpha * (double)inverse.data[j * D + j];
    for (i = 0; i < N; i++) {
        double e = (double)y.data[i] - (double)f.data[i];
        double v = bnn_mat_dot(bnn_mat_rows(xa, i, 1), bnn_mat_rows(x, i, 1));
        want += beta * beta * (e * e * v + v * v / 2);
        noise += beta * beta * 2 * v * v;
    }
    for (s = 0; s < S; s++) {
        bnn_rng_fill_normal(&rng, D, w.data); /* w = m + L^-T z has covariance A^-1 */
        CHECK(bnn_mat_solve_lower_t(w, l, w) == BNN_OK && bnn_mat_add(w, w, m) == BNN_OK);
        CHECK(bnn_mat_mul(g, x, w) == BNN_OK);
        for (i = 0; i < N; i++) {
            double e = (double)y.data[i] - (double)g.data[i];
            log_lik.data[s * N + i] = (float)(0.5 * (log(beta / (2 * acos(-1.0))) - beta * e * e));
        }
    }
    r = bnn_diag_waic(log_lik);
    CHECK_NEAR(r.p_waic / want, 1, 4 * sqrt(8.0 / S) / sqrt(D));
    CHECK_NEAR(want, gamma, 4 * sqrt(noise) + 0.05);
    CHECK(r.elpd < r.lppd);
}

static void two_sample_distances_equal_scipy(void) {
    bnn_mat a = from_ints(o_sample_a, 1, 37), b = from_ints(o_sample_b, 1, 52), ca, cb;
    CHECK_NEAR(bnn_diag_ks(&mem, a, b), o_ks, 1e-15);
    CHECK_NEAR(bnn_diag_ks(&mem, b, a), o_ks, 1e-15);
    CHECK_NEAR(bnn_diag_wasserstein(&mem, a, b), o_wasserstein, 1e-14);
    CHECK_NEAR(bnn_diag_wasserstein(&mem, b, a), o_wasserstein, 1e-14);
    CHECK_NEAR(bnn_diag_energy(&mem, a, b), o_energy, 1e-14);
    ca = a, cb = b;
    ca.rows = 37, ca.cols = 1, cb.rows = 52, cb.cols = 1;
    CHECK_NEAR(bnn_diag_mmd(ca, cb, 0.7), o_mmd, 1e-14);
}

static void energy_distance_equals_its_double_sums(void) {
    bnn_mat a = from_ints(o_sample_a, 1, 37), b = from_ints(o_sample_b, 1, 52);
    double ab = 0, aa = 0, bb = 0;
    size_t i, j;
    for (i = 0; i < 37; i++) {
        for (j = 0; j < 52; j++) ab += fabs((double)a.data[i] - (double)b.data[j]);
        for (j = 0; j < 37; j++) aa += fabs((double)a.data[i] - (double)a.data[j]);
    }
    for (i = 0; i < 52; i++)
        for (j = 0; j < 52; j++) bb += fabs((double)b.data[i] - (double)b.data[j]);
    CHECK_NEAR(bnn_diag_energy(&mem, a, b), 2 * ab / (37 * 52) - aa / (37 * 37) - bb / (52 * 52),
               1e-13);
}

static void identical_samples_have_distance_zero(void) {
    bnn_mat a = from_ints(o_sample_a, 1, 37), b = zeros(1, 37), points, mirrored;
    size_t i, shift;
    for (i = 0; i < 37; i++) b.data[i] = a.data[36 - i]; /* in another order */
    CHECK(bnn_diag_ks(&mem, a, b) == 0 && bnn_diag_wasserstein(&mem, a, b) == 0);
    CHECK(bnn_diag_energy(&mem, a, b) == 0);
    points = from_ints(o_tall, 9, 5);
    mirrored = zeros(9, 5);
    CHECK(bnn_diag_mmd(points, points, 1) == 0);
    for (shift = 0; shift < 9; shift++) { /* and never below 0 by rounding */
        double h = 1 + 0.1 * (double)shift;
        for (i = 0; i < 45; i++)
            mirrored.data[i] = points.data[(8 - i / 5 + shift) % 9 * 5 + i % 5];
        CHECK_NEAR(bnn_diag_mmd(points, mirrored, h), 0, 1e-15);
        CHECK(bnn_diag_mmd(points, mirrored, h) >= 0);
    }
}

static void distances_of_shifted_gaussians_are_known(void) {
    size_t n = 4000, m = 1000;
    double mu = 0.75, h = 0.8, pi = acos(-1.0), want;
    bnn_mat a = normal_grid(n, 0), b = normal_grid(n, mu);
    bnn_mat c = normal_grid(m, mu), d = normal_grid(m, 0);
    CHECK_NEAR(bnn_diag_wasserstein(&mem, a, b), mu, BUILD_TOL(1e-6, 1e-12));
    CHECK_NEAR(bnn_diag_wasserstein(&mem, a, c), mu, 1e-3);
    CHECK_NEAR(bnn_diag_ks(&mem, a, b), 2 * bnn_normal_cdf(mu / 2) - 1, 2.0 / (double)n);
    want = 2 / sqrt(pi) * exp(-mu * mu / 4) + mu * (2 * bnn_normal_cdf(mu / sqrt(2)) - 1);
    CHECK_NEAR(bnn_diag_energy(&mem, a, b), 2 * (want - 2 / sqrt(pi)), 1e-3);
    c.rows = d.rows = m, c.cols = d.cols = 1; /* E k = h/sqrt(h^2+2) e^(-mu^2/(2 (h^2+2))) */
    want = 2 * h / sqrt(h * h + 2) * (1 - exp(-mu * mu / (2 * (h * h + 2))));
    CHECK_NEAR(bnn_diag_mmd(c, d, h), want, 2e-3);
}

static void single_points_have_known_distances(void) {
    static const double zero = 0, three = 3;
    bnn_mat a = row(1, &zero), b = row(1, &three);
    CHECK(bnn_diag_ks(&mem, a, b) == 1 && bnn_diag_wasserstein(&mem, a, b) == 3);
    CHECK(bnn_diag_energy(&mem, a, b) == 6);
    CHECK_NEAR(bnn_diag_mmd(a, b, 3), 2 - 2 * exp(-0.5), 1e-15);
}

static void distances_of_bad_input_are_nan(void) {
    bnn_mat a = from_ints(o_sample_a, 1, 37), bad = bnn_mat_copy(&mem, a), tall = a;
    tall.rows = 37, tall.cols = 1;
    bad.data[5] = (float)NAN;
    CHECK(isnan(bnn_diag_ks(&mem, a, bad)) && isnan(bnn_diag_ks(&mem, a, zeros(1, 0))));
    CHECK(isnan(bnn_diag_wasserstein(&mem, tall, a)) && isnan(bnn_diag_energy(NULL, a, a)));
    CHECK(isnan(bnn_diag_mmd(a, bad, 1)) && isnan(bnn_diag_mmd(a, tall, 1)));
    CHECK(isnan(bnn_diag_mmd(a, a, 0)) && isnan(bnn_diag_mmd(a, a, NAN)));
    CHECK(isnan(bnn_diag_mmd(zeros(0, 37), a, 1)) && mem.err == BNN_OK);
}

static void ks_pvalue_equals_scipy(void) {
    static const double x[] = { 0.2, 0.5, 0.8, 0.999, 1.001, 1.36, 2.0, 3.5 };
    size_t i;
    for (i = 0; i < 8; i++) {
        CHECK_NEAR(bnn_diag_ks_pvalue(x[i], 1), o_kolmogorov[i], 1e-14);
        CHECK_NEAR(bnn_diag_ks_pvalue(x[i] / 8, 64) / o_kolmogorov[i], 1, 1e-12);
    }
    CHECK(bnn_diag_ks_pvalue(0, 10) == 1 && bnn_diag_ks_pvalue(1e-9, 10) == 1);
    CHECK(bnn_diag_ks_pvalue(1, 1e6) == 0);
    CHECK(isnan(bnn_diag_ks_pvalue(-0.1, 5)) && isnan(bnn_diag_ks_pvalue(0.1, 0)));
    CHECK(isnan(bnn_diag_ks_pvalue(NAN, 5)) && isnan(bnn_diag_ks_pvalue(0.1, NAN)));
}

/* Same law: p > 1e-4 but once in 1e4; 0.3 sd apart at 3000 draws each: D sqrt(1500) = 4.6 +- 0.5,
 * where 2.2 makes 1e-4. */
static void ks_tells_laws_apart(void) {
    bnn_rng rng = bnn_rng_seed(build_seed(826));
    bnn_mat a = ar1(&rng, 1, 3000, 0), b = ar1(&rng, 1, 3000, 0);
    CHECK(bnn_diag_ks_pvalue(bnn_diag_ks(&mem, a, b), 1500) > 1e-4);
    add_to_chain(b, 0, 0.3);
    CHECK(bnn_diag_ks_pvalue(bnn_diag_ks(&mem, a, b), 1500) < 1e-4);
}

/* S4.15 with S4.6 (b): a 1-D chain theta' = theta - lr (theta/(N s2) + noise) + sqrt(2 lr/N) xi has
 * variance (lr^2 Var + 2 lr/N)/(1 - (1 - lr/(N s2))^2), so the ratio is its relative inflation. */
static void noise_ratio_is_the_inflation_of_sgld_variance(void) {
    enum { M = 50, D = 70 }; /* more than a strip */
    bnn_rng rng = bnn_rng_seed(827);
    bnn_mat g = zeros(M, D), ratio = zeros(1, D);
    double lr = 1e-3, n = 500, s2 = 0.01, T = 2;
    size_t i, j;
    bnn_rng_fill_normal(&rng, M * D, g.data);
    CHECK(bnn_diag_noise_ratio(ratio, g, lr, n, 1) == BNN_OK);
    for (j = 0; j < D; j++) {
        double mean = 0, var = 0, a = 1 - lr / (n * s2), with, without, eps = 2 * lr / n;
        for (i = 0; i < M; i++) mean += (double)g.data[i * D + j] / M;
        for (i = 0; i < M; i++) var += pow((double)g.data[i * D + j] - mean, 2) / (M - 1);
        without = 2 * lr / n / (1 - a * a);
        with = (lr * lr * var + 2 * lr / n) / (1 - a * a);
        CHECK_NEAR(ratio.data[j], with / without - 1, BUILD_TOL(1e-6, 1e-11));
        CHECK_NEAR(ratio.data[j], eps * (n * n * var) / 4, BUILD_TOL(1e-6, 1e-12));
    }
    CHECK(bnn_diag_noise_ratio(g, g, lr, n, 1) == BNN_ESHAPE);
    CHECK(bnn_diag_noise_ratio(ratio, g, lr, n, T) == BNN_OK);
    CHECK(bnn_diag_noise_ratio(ratio, g, 0, n, 1) == BNN_EARG);
    CHECK(bnn_diag_noise_ratio(ratio, g, lr, 0, 1) == BNN_EARG);
    CHECK(bnn_diag_noise_ratio(ratio, g, lr, n, 0) == BNN_EARG);
    CHECK(bnn_diag_noise_ratio(ratio, g, lr, n, NAN) == BNN_EARG);
    CHECK(bnn_diag_noise_ratio(ratio, bnn_mat_rows(g, 0, 1), lr, n, 1) == BNN_EARG);
    CHECK(bnn_diag_noise_ratio(zeros(1, 0), zeros(4, 0), lr, n, 1) == BNN_OK);
}

static void scratch_is_given_back_and_no_memory_is_nan(void) {
    static unsigned char room[1024];
    bnn_rng rng = bnn_rng_seed(828);
    bnn_mat x = ar1(&rng, 2, 100, 0), a = from_ints(o_sample_a, 1, 37);
    bnn_mark before = bnn_arena_mark(&mem), after;
    bnn_arena small;
    size_t capacity;
    CHECK(bnn_diag_rhat(&mem, x) > 0 && bnn_diag_ess(&mem, x) > 0 && bnn_diag_mcse(&mem, x) > 0);
    CHECK(bnn_diag_ess_bulk(&mem, x) > 0 && bnn_diag_ess_tail(&mem, x) > 0);
    CHECK(bnn_diag_ks(&mem, a, a) == 0);
    after = bnn_arena_mark(&mem);
    CHECK(before.chunk == after.chunk && before.used == after.used);
    for (capacity = 256; capacity <= sizeof room; capacity += 256) {
        memset(&small, 0, sizeof small);
        small.buffer = room;
        small.capacity = capacity;
        CHECK(isnan(bnn_diag_rhat(&small, x)) && small.err == BNN_ENOMEM);
        small.err = BNN_OK;
        CHECK(isnan(bnn_diag_ess(&small, x)) && small.err == BNN_ENOMEM);
        small.err = BNN_OK;
        CHECK(isnan(bnn_diag_ess_tail(&small, x)) && small.err == BNN_ENOMEM);
        CHECK(isnan(bnn_diag_mcse(&small, x)) && isnan(bnn_diag_ess_bulk(&small, x)));
        small.err = BNN_OK;
        CHECK(isnan(bnn_diag_ks(&small, a, a)) && small.err == BNN_ENOMEM);
    }
}

/* The middle draw of an odd number is left out */
static void halves_that_are_equal_say_so(void) {
    bnn_arena a = { 0 };
    float x[7] = { 1, 1, 1, 9, 1, 1, 1 };
    bnn_mat draws = { 1, 7, x };
    CHECK(bnn_diag_rhat(&a, draws) != bnn_diag_rhat(&a, draws)); /* NaN */
    CHECK(strstr(a.msg, "bnn_diag_rhat: all draws are equal") != NULL && a.err == BNN_OK);
    CHECK(bnn_diag_ess_tail(&a, draws) != bnn_diag_ess_tail(&a, draws));
    CHECK(strstr(a.msg, "bnn_diag_ess_tail: all draws are equal") != NULL);
    float many[60];
    for (int i = 0; i < 60; i++) many[i] = i != 17;
    draws = (bnn_mat){ 1, 60, many };
    CHECK(bnn_diag_ess(&a, draws) > 1 && bnn_diag_ess_bulk(&a, draws) > 1);
    CHECK(bnn_diag_ess_tail(&a, draws) != bnn_diag_ess_tail(&a, draws) && a.err == BNN_OK);
    CHECK(strstr(a.msg, "bnn_diag_ess_tail: nearly all draws are equal") != NULL);
    bnn_arena_free(&a);
}

int main(void) {
    RUN(halves_that_are_equal_say_so);
    RUN(chains_equal_the_paper_in_numpy);
    RUN(independent_draws_have_rhat_below_1_01);
    RUN(shifted_chains_have_rhat_above_1_1);
    RUN(a_drift_within_chains_is_seen_by_splitting);
    RUN(unequal_scales_are_seen_by_folding);
    RUN(rhat_and_bulk_ess_do_not_see_monotone_transforms);
    RUN(independent_draws_have_ess_near_their_number);
    RUN(ess_of_ar1_is_known);
    RUN(mcse_is_the_deviation_of_the_mean);
    RUN(autocorrelation_of_ar1_is_phi_to_the_lag);
    RUN(autocorrelation_of_a_short_series_by_hand);
    RUN(undefined_diagnostics_are_nan_with_a_message);
    RUN(short_chains_are_finite_from_four_and_six_draws);
    RUN(alternating_chains_reach_the_bound_on_ess);
    RUN(stuck_chains_have_a_huge_rhat_and_almost_no_ess);
    RUN(two_values_have_an_rhat_and_a_tail_ess);
    RUN(ess_by_the_spectrum_equals_its_sums_at_every_length);
    RUN(chains_that_never_meet_are_worth_one_draw_each_at_any_length);
    RUN(equal_chains_are_nan_and_a_note);
    RUN(waic_equals_numpy_and_closed_forms);
    RUN(waic_edges);
    RUN(waic_counts_the_parameters_of_a_linear_model);
    RUN(two_sample_distances_equal_scipy);
    RUN(energy_distance_equals_its_double_sums);
    RUN(identical_samples_have_distance_zero);
    RUN(distances_of_shifted_gaussians_are_known);
    RUN(single_points_have_known_distances);
    RUN(distances_of_bad_input_are_nan);
    RUN(ks_pvalue_equals_scipy);
    RUN(ks_tells_laws_apart);
    RUN(noise_ratio_is_the_inflation_of_sgld_variance);
    RUN(scratch_is_given_back_and_no_memory_is_nan);
    bnn_arena_free(&mem);
    return check_done();
}
