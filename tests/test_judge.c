/* test_judge.c -- draws of y, matrices of ln p and of predictions, epochs, PSIS-LOO, checks,
 * conformal prediction, recalibration; against closed forms and oracles/judge.py. Statistical
 * checks allow Z standard errors: a false alarm once in 10,000 runs. */
#include "build.h"
#include "world.h"
#include "oracles/judge.inc"

#define Z 3.9
#define TIGHT BUILD_TOL(3e-6, 1e-12)

static bnn_mat from_ints(const int *v, size_t rows, size_t cols) {
    bnn_mat m = bnn_mat_new(&mem, rows, cols);
    for (size_t i = 0; i < rows * cols; i++) m.data[i] = (float)v[i] / 1024;
    return m;
}

/* A net that answers its first inputs: sizes { d, d }, weights 1 on the diagonal */
static bnn_net through(size_t d, int likelihood, float noise) {
    bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { d, d },
        .likelihood = likelihood, .noise_std = noise, .init = BNN_INIT_ZERO });
    bnn_mat_eye(bnn_params_mat(net.params, 0));
    return net;
}

static void column_moments(bnn_mat a, size_t col, double *m, double *v) {
    *m = *v = 0;
    for (size_t i = 0; i < a.rows; i++) *m += (double)a.data[i * a.cols + col] / (double)a.rows;
    for (size_t i = 0; i < a.rows; i++)
        *v += pow((double)a.data[i * a.cols + col] - *m, 2) / (double)(a.rows - 1);
}

/* Mean and variance of the draws against those of the distribution; kurt: its fourth moment over
 * the square of its variance, for the error of the variance */
static void draws_have(int likelihood, float at, float noise, double m, double v, double kurt) {
    enum { D = 20000 };
    bnn_net net = through(1, likelihood, noise);
    bnn_mat x = { 1, 1, &at }, d = bnn_predict_draws(&mem, &tape, &net, NULL, x, D);
    double mean = 0, var = 0;
    if (!CHECK(d.rows == D && d.cols == 1)) return;
    column_moments(d, 0, &mean, &var);
    CHECK_NEAR(mean, m, Z * sqrt(v / D));
    CHECK_NEAR(var, v, Z * v * sqrt((kurt - 1) / D));
}

static void draws_of_every_likelihood_have_its_moments(void) {
    open_all(1);
    draws_have(BNN_GAUSSIAN, 2, (float)0.5, 2, 0.25, 3);
    draws_have(BNN_DOUBLE_EXPONENTIAL, -1, 2, -1, 8, 6);
    draws_have(BNN_BERNOULLI, 1, 1, 1 / (1 + exp(-1)), exp(-1) / pow(1 + exp(-1), 2), 2.1);
    draws_have(BNN_POISSON, (float)log(3), 1, 3, 3, 3 + 1 / 3.0);
    draws_have(BNN_POISSON, (float)log(4000), 1, 4000, 4000, 3);
    close_all();
}

static void draws_of_a_student_have_its_quantiles(void) {
    enum { D = 20000 };
    float at = 1;
    double inside = 0;
    bnn_net net;
    open_all(2);
    net = through(1, BNN_STUDENT, 2);
    net.nu = 3;
    bnn_mat d = bnn_predict_draws(&mem, &tape, &net, NULL, (bnn_mat){ 1, 1, &at }, D);
    for (size_t i = 0; i < D; i++) /* P(|t_3| < 0.7649) = 1/2 */
        inside += fabs((double)d.data[i] - 1) < 2 * 0.76489;
    CHECK_NEAR(inside / D, 0.5, Z * sqrt(0.25 / D));
    close_all();
}

static void draws_of_a_hetero_net_have_the_variance_it_says(void) {
    enum { D = 20000 };
    float at[2] = { 3, (float)log(0.04) };
    double m, v;
    open_all(3);
    bnn_net net = through(2, BNN_GAUSSIAN_HETERO, 0);
    bnn_mat d = bnn_predict_draws(&mem, &tape, &net, NULL, (bnn_mat){ 1, 2, at }, D);
    CHECK(d.cols == 1);
    column_moments(d, 0, &m, &v);
    CHECK_NEAR(m, 3, Z * sqrt(0.04 / D));
    CHECK_NEAR(v, 0.04, Z * 0.04 * sqrt(2.0 / D));
    close_all();
}

static void draws_of_classes_are_labels_as_often_as_the_probabilities_say(void) {
    enum { D = 20000 };
    float at[6] = { 0, (float)log(2), (float)log(5), (float)log(6), 0, 0 };
    double count[2][3] = { { 0, 0, 0 }, { 0, 0, 0 } };
    open_all(4);
    bnn_net net = through(3, BNN_CATEGORICAL, 0);
    bnn_mat d = bnn_predict_draws(&mem, &tape, &net, NULL, (bnn_mat){ 2, 3, at }, D);
    CHECK(d.rows == D && d.cols == 2);
    for (size_t i = 0; i < 2 * D; i++) count[i % 2][(int)d.data[i]]++;
    for (int k = 0; k < 3; k++) {
        double p = (k == 0 ? 1 : k == 1 ? 2 : 5) / 8.0, q = (k == 0 ? 6 : 1) / 8.0;
        CHECK_NEAR(count[0][k] / D, p, Z * sqrt(p * (1 - p) / D));
        CHECK_NEAR(count[1][k] / D, q, Z * sqrt(q * (1 - q) / D));
    }
    close_all();
}

/* Two members far apart: every row of draws belongs to one of them, as often as the weights say;
 * also where the rows of x pass in several blocks */
static void a_row_of_draws_is_one_members(void) {
    enum { N = 1100, D = 40 };
    open_all(5);
    bnn_net net = through(1, BNN_GAUSSIAN, (float)0.1);
    bnn_ensemble post = bnn_ensemble_new(net.params, 3);
    bnn_mat x = bnn_mat_new(&mem, N, 1);
    for (int k = 0; k < 3; k++) {
        bnn_params_mat(net.params, 1).data[0] = (float)(100 * k);
        bnn_ensemble_push_from(&post, net.params, k == 1 ? 0 : k == 0 ? 1 : 3);
    }
    bnn_mat d = bnn_predict_draws(&mem, &tape, &net, &post, x, D);
    CHECK(d.rows == D && d.cols == N);
    for (size_t i = 0; i < D * N; i++) {
        double want = i / N < 10 ? 0 : 200;
        if (!CHECK(fabs((double)d.data[i] - want) < 1)) break;
    }
    close_all();
}

static void rows_with_gaps_draw_nan(void) {
    float at[3] = { 1, (float)NAN, 2 };
    open_all(6);
    bnn_net net = through(1, BNN_GAUSSIAN, 1);
    bnn_mat d = bnn_predict_draws(&mem, &tape, &net, NULL, (bnn_mat){ 3, 1, at }, 2);
    for (size_t i = 0; i < 6; i++) CHECK(isnan((double)d.data[i]) == (i % 3 == 1));
    close_all();
}

/* ---- matrices for WAIC, LOO and R-hat */

static void the_matrix_of_log_likelihoods_is_that_of_its_members(void) {
    enum { N = 600, S = 6 };
    open_all(7);
    bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 2, 3, 1 },
                                                                .noise_std = (float)0.5 });
    bnn_ensemble post = bnn_ensemble_new(net.params, S);
    bnn_data d = { normals(N, 2, 1), normals(N, 1, 1) };
    for (int s = 0; s < S; s++) {
        bnn_params_sample_prior(net.params, &tape.rng);
        bnn_ensemble_push(&post);
    }
    bnn_mat all = bnn_predict_log_lik_samples(&mem, &tape, &net, &post, d);
    bnn_mat pred = bnn_predict_chains(&mem, &tape, &net, &post, d.x, 2);
    CHECK(all.rows == S && all.cols == N && pred.rows == 2 * N && pred.cols == 3);
    for (size_t s = 0; s < S; s++) {
        bnn_params one = bnn_ensemble_sample(&post, s);
        bnn_params_copy(net.params, &one);
        bnn_mat ll = bnn_predict_log_lik(&mem, &tape, &net, NULL, d);
        bnn_predictive p = bnn_predict(&mem, &tape, &net, NULL, d.x);
        for (size_t i = 0; i < N; i++) {
            CHECK_NEAR(all.data[s * N + i], ll.data[i], TIGHT * fabs((double)ll.data[i]));
            CHECK_NEAR(pred.data[(2 * i + s / 3) * 3 + s % 3], p.mean.data[i],
                       TIGHT * (1 + fabs((double)p.mean.data[i])));
        }
    }
    close_all();
}

static void matrices_refuse_what_does_not_fit(void) {
    float at[3] = { 1, (float)NAN, 2 };
    bnn_data d = { { 3, 1, at }, { 2, 1, at } };
    open_all(8);
    bnn_net net = through(1, BNN_GAUSSIAN, 1);
    bnn_ensemble post = bnn_ensemble_new(net.params, 3);
    for (int s = 0; s < 3; s++) bnn_ensemble_push(&post);
    CHECK(bnn_predict_log_lik_samples(&mem, &tape, &net, &post, d).data == NULL);
    CHECK(took(BNN_ESHAPE, "bnn_predict_log_lik_samples: 3 inputs, 2 targets"));
    CHECK(bnn_predict_chains(&mem, &tape, &net, &post, d.y, 2).data == NULL);
    CHECK(took(BNN_EARG, "3 samples are not 2 chains of one length"));
    CHECK(bnn_predict_chains(&mem, &tape, &net, &post, d.x, 3).data == NULL);
    CHECK(took(BNN_EARG, "bnn_predict_chains: x is not finite"));
    CHECK(bnn_predict_chains(&mem, &tape, &net, &post, (bnn_mat){ 1, 1, at }, 0).data == NULL);
    CHECK(took(BNN_EARG, "3 samples are not 0 chains of one length"));
    CHECK(bnn_predict_draws(&mem, &tape, &net, &post, (bnn_mat){ 1, 1, at }, 0).data == NULL);
    CHECK(took(BNN_EARG, "no draws are asked for"));
    close_all();
}

/* ---- epochs */

static void an_epoch_has_every_row_once_in_a_new_order(void) {
    enum { N = 23 };
    float x[N];
    int seen[2][N], order[2][N], same = 0;
    bnn_batch b;
    open_all(9);
    for (int i = 0; i < N; i++) x[i] = (float)i;
    bnn_data d = { { N, 1, x }, { N, 1, x } };
    bnn_epoch e = bnn_epoch_new(&mem, d, 5);
    memset(seen, 0, sizeof seen);
    for (int k = 0; k < 2; k++) {
        int n = 0, batches = 0;
        bnn_tape_reset(&tape);
        while (bnn_epoch_next(&e, &tape, &b)) {
            batches++;
            CHECK(b.n_data == N);
            for (size_t i = 0; i < b.x->val.rows; i++, n++) {
                seen[k][(int)b.x->val.data[i]]++;
                order[k][n] = (int)b.y->val.data[i];
            }
        }
        CHECK(n == N && batches == 5);
    }
    for (int i = 0; i < N; i++) CHECK(seen[0][i] == 1 && seen[1][i] == 1);
    for (int i = 0; i < N; i++) same += order[0][i] == order[1][i];
    CHECK(same < 10); /* Poisson of mean 1: 1e-7 */
    bnn_epoch none = { .at = 0 };
    CHECK(!bnn_epoch_next(&none, &tape, &b) && took(BNN_EARG, "the epoch was not made"));
    bnn_epoch_new(&mem, d, 0);
    CHECK(mem_took(BNN_EARG, "bnn_epoch_new: batches of 0 from 23 rows"));
    close_all();
}

/* ---- leave one out */

static void loo_is_as_the_oracle_says(void) {
    open_all(10);
    bnn_mat ll = from_ints(o_log_lik, 200, 5), points = bnn_mat_new(&mem, 1, 5);
    bnn_mat k = bnn_mat_new(&mem, 1, 5);
    for (int which = 0; which < 2; which++) {
        const double *rows = which ? o_loo_eff : o_loo, *sums = which ? o_loo_eff_sums : o_loo_sums;
        double worst = -1;
        size_t high = 0;
        bnn_loo r = bnn_diag_loo(&mem, points, k, ll, which ? 0.4 : 0);
        for (int i = 0; i < 5; i++) {
            CHECK_NEAR(points.data[i], rows[3 * i], BUILD_TOL(1e-6, 1e-11));
            CHECK_NEAR(k.data[i], rows[3 * i + 1], BUILD_TOL(1e-6, 1e-10));
            worst = fmax(worst, rows[3 * i + 1]);
            high += rows[3 * i + 1] > 1 - 1 / log10(200);
        }
        CHECK_NEAR(r.elpd, sums[0], 1e-11);
        CHECK_NEAR(r.se, sums[1], 1e-11);
        CHECK_NEAR(r.p_loo, sums[2], 1e-11);
        CHECK_NEAR(r.worst_k, worst, 1e-10);
        CHECK_NEAR(r.k_max, 1 - 1 / log10(200), 1e-15);
        CHECK(r.high == high && high > 0 && high < 5);
    }
    bnn_mat one = bnn_mat_new(&mem, 200, 1);
    for (size_t s = 0; s < 200; s++) one.data[s] = ll.data[5 * s];
    bnn_loo r = bnn_diag_loo(&mem, (bnn_mat){ 0 }, (bnn_mat){ 0 }, one, 0);
    CHECK(isfinite(r.elpd) && isnan(r.se) && mem.err == BNN_OK); /* as bnn_diag_compare */
    CHECK(strstr(mem.msg, "one row has no standard error") != NULL);
    close_all();
}

/* y_i ~ N(m, 1), m flat: leaving y_i out, y_i ~ N(mean of the others, 1 + 1/(n - 1)) */
static void loo_of_a_normal_mean_is_exact(void) {
    enum { N = 30, S = 4000 };
    double y[N], mean = 0, want = 0;
    open_all(11);
    bnn_mat ll = bnn_mat_new(&mem, S, N), none = { 0, 0, NULL };
    for (int i = 0; i < N; i++) mean += (y[i] = (double)bnn_rng_normal(&tape.rng)) / N;
    for (int i = 0; i < N; i++) {
        double d = (y[i] - mean) * N / (N - 1), v = 1 + 1.0 / (N - 1);
        want -= 0.5 * (log(2 * acos(-1.0) * v) + d * d / v);
    }
    for (int s = 0; s < S; s++) {
        double m = mean + (double)bnn_rng_normal(&tape.rng) / sqrt(N);
        for (int i = 0; i < N; i++)
            ll.data[s * N + i] = (float)(-0.5 * (log(2 * acos(-1.0)) + pow(y[i] - m, 2)));
    }
    bnn_loo r = bnn_diag_loo(&mem, none, none, ll, 0);
    CHECK_NEAR(r.elpd, want, 0.1); /* sd of the error in 200 trials: 0.022 */
    CHECK_NEAR(r.p_loo, 1, 0.6);
    CHECK(r.high == 0 && r.worst_k < 0.5);
    CHECK_NEAR(bnn_diag_waic(ll).elpd, r.elpd, 0.1);
    close_all();
}

static void loo_with_few_samples_or_flat_tails_has_infinite_k(void) {
    open_all(12);
    bnn_mat none = { 0, 0, NULL }, ll = normals(20, 3, 1), flat = bnn_mat_new(&mem, 100, 2);
    bnn_loo r = bnn_diag_loo(&mem, none, none, ll, 0);
    CHECK(r.worst_k > 1e300 && r.high == 3 && r.elpd < 10);
    bnn_mat_fill(flat, -2);
    r = bnn_diag_loo(&mem, none, none, flat, 0);
    CHECK_NEAR(r.elpd, -4, 1e-12);
    CHECK(r.worst_k > 1e300);
    r = bnn_diag_loo(&mem, (bnn_mat){ 1, 2, ll.data }, none, ll, 0);
    CHECK(isnan(r.elpd) && strstr(mem.msg, "20 samples of 3 rows, points 1x2, k_hat 0x0") != NULL);
    ll.data[4] = (float)-INFINITY;
    r = bnn_diag_loo(&mem, none, none, ll, 0.5);
    CHECK(isnan(r.elpd) && strstr(mem.msg, "a ln p is not finite, or r_eff is 0.5") != NULL);
    close_all();
}

static void loo_out_of_memory_is_nan(void) {
    static char bytes[4096];
    open_all(12);
    bnn_mat none = { 0, 0, NULL }, ll = normals(50, 1, 1);
    for (size_t room = 64; room <= sizeof bytes; room += 64) { /* some, but too little */
        bnn_arena small = { .buffer = bytes, .capacity = room };
        bnn_loo r = bnn_diag_loo(&small, none, none, ll, 0);
        CHECK(isnan(r.elpd) == (small.err != BNN_OK) && isnan(r.worst_k) == isnan(r.elpd));
    }
    close_all();
}

static void two_models_are_compared_row_by_row(void) {
    float a[4] = { -1, -2, -3, -4 }, b[4] = { (float)-1.5, (float)-2.5, -4, -4 };
    bnn_comparison c = bnn_diag_compare((bnn_mat){ 1, 4, a }, (bnn_mat){ 1, 4, b });
    CHECK_NEAR(c.difference, 2, 1e-12); /* .5 .5 1 0 */
    CHECK_NEAR(c.se, sqrt(4 * 0.5 / 3), 1e-12);
    c = bnn_diag_compare((bnn_mat){ 1, 4, a }, (bnn_mat){ 1, 3, b });
    CHECK(isnan(c.difference) && isnan(c.se));
}

/* ---- checks */

static double largest(void *user, bnn_mat y) {
    double top = (double)y.data[0];
    (void)user;
    for (size_t i = 1; i < y.rows * y.cols; i++) top = fmax(top, (double)y.data[i]);
    return top;
}

static void a_check_sees_what_the_model_does_not_make(void) {
    enum { N = 50 };
    float x[N] = { 0 }, y[N];
    open_all(13);
    bnn_net net = through(1, BNN_GAUSSIAN, 1);
    bnn_mat d = bnn_predict_draws(&mem, &tape, &net, NULL, (bnn_mat){ N, 1, x }, 2000);
    bnn_mat values = bnn_mat_new(&mem, 1, 2000), none = { 0, 0, NULL }, my = { N, 1, y };
    double median = 2.2, p; /* P(largest of 50 below t) = Phi(t)^50 */
    for (int i = 0; i < N; i++) y[i] = 0;
    y[3] = (float)median;
    p = bnn_predict_check(values, d, my, largest, NULL);
    CHECK_NEAR(p, 1 - pow(bnn_normal_cdf(median), N), Z * sqrt(0.25 / 2000));
    CHECK_SAME(values.data[7], largest(NULL, (bnn_mat){ N, 1, d.data + 7 * N }));
    y[3] = 9;
    CHECK(bnn_predict_check(none, d, my, largest, NULL) == 0);
    CHECK(isnan(bnn_predict_check(none, d, (bnn_mat){ N - 1, 1, y }, largest, NULL)));
    bnn_mat_fill(d, 9);
    CHECK_NEAR(bnn_predict_check(none, d, my, largest, NULL), 0.5, 0);
    close_all();
}

static void quantiles_of_columns_are_numpys(void) {
    static const double q[3] = { 0.05, 0.5, 0.93 };
    open_all(14);
    bnn_mat a = from_ints(o_quantile_a, 17, 2), out = bnn_mat_new(&mem, 1, 2);
    for (int k = 0; k < 3; k++) {
        CHECK(bnn_mat_col_quantile(&mem, out, a, q[k]) == BNN_OK);
        for (int j = 0; j < 2; j++) CHECK_NEAR(out.data[j], o_quantile[2 * k + j], TIGHT);
    }
    float ends[6] = { -(float)INFINITY, 0, 1, 1, (float)INFINITY, 2 };
    for (int k = 0; k < 5; k++) { /* 0 times infinity is no part of it */
        CHECK(bnn_mat_col_quantile(&mem, out, (bnn_mat){ 3, 2, ends }, k / 4.0) == BNN_OK);
        CHECK(out.data[0] == (k == 2 ? 1 : k < 2 ? ends[0] : ends[4]));
        CHECK(out.data[1] == (float)(k / 2.0));
    }
    CHECK(bnn_mat_col_quantile(&mem, out, a, 1.1) == BNN_EARG);
    ends[5] = (float)NAN, out.data[0] = 7; /* on error nothing is written, the first column either */
    CHECK(bnn_mat_col_quantile(&mem, out, (bnn_mat){ 3, 2, ends }, 0.5) == BNN_EARG);
    CHECK(out.data[0] == 7);
    CHECK(bnn_mat_col_quantile(&mem, (bnn_mat){ 1, 1, out.data }, a, 0.5) == BNN_ESHAPE);
    close_all();
}

/* ---- conformal */

/* Wrong intervals of a wrong model: the share of y inside is Beta(c, m + 1 - c), mean c/(m + 1),
 * c = ceil((m + 1) .9) */
static void conformal_intervals_cover_whatever_the_model(void) {
    enum { M = 199, N = 4000 };
    open_all(15);
    bnn_mat cal_y = normals(M, 1, 1), y = normals(N, 1, 1);
    bnn_mat cal_lo = bnn_mat_new(&mem, M, 1), cal_hi = bnn_mat_new(&mem, M, 1);
    bnn_mat lo = bnn_mat_new(&mem, N, 1), hi = bnn_mat_new(&mem, N, 1);
    double sd = sqrt(0.9 * 0.1 / (M + 2) + 0.9 * 0.1 / N);
    for (int k = 0; k < 2; k++) { /* too narrow, too wide */
        bnn_mat_fill(cal_lo, k ? -5 : (float)0.3), bnn_mat_fill(lo, k ? -5 : (float)0.3);
        bnn_mat_fill(cal_hi, k ? 6 : (float)0.3), bnn_mat_fill(hi, k ? 6 : (float)0.3);
        CHECK(bnn_conformal_interval(&mem, lo, hi, cal_lo, cal_hi, cal_y, 0.1) == BNN_OK);
        CHECK_NEAR(bnn_metric_coverage(lo, hi, y), 0.9, Z * sd);
    }
    CHECK(bnn_conformal_interval(&mem, lo, hi, cal_lo, cal_hi, cal_y, 0.001) == BNN_OK);
    CHECK(lo.data[0] < -1e30f && hi.data[0] > 1e30f); /* 199 rows cannot say it */
    CHECK(bnn_conformal_interval(&mem, lo, hi, cal_lo, cal_hi, cal_y, 0) == BNN_EARG);
    CHECK(bnn_conformal_interval(&mem, lo, hi, cal_lo, cal_hi, lo, 0.1) == BNN_ESHAPE);
    bnn_mat_fill(lo, 2); /* one matrix for both would not move */
    CHECK(bnn_conformal_interval(&mem, lo, lo, cal_lo, cal_lo, cal_y, 0.1) == BNN_EARG);
    CHECK(lo.data[0] == 2);
    close_all();
}

static void conformal_sets_cover_whatever_the_model(void) {
    enum { M = 199, N = 4000, K = 4 };
    double inside = 0, sd = sqrt(0.8 * 0.2 / (M + 2) + 0.8 * 0.2 / N);
    open_all(16);
    bnn_mat prob = bnn_mat_new(&mem, N, K), out = bnn_mat_new(&mem, N, K);
    bnn_mat label = bnn_mat_new(&mem, N, 1);
    float alpha[K] = { 1, 1, 1, 1 }, wrong[K] = { 1, 2, 1, 1 };
    for (size_t i = 0; i < N; i++) { /* labels by other probabilities than those that are told */
        float w[K];
        bnn_rng_dirichlet(&tape.rng, K, alpha, prob.data + i * K, NULL);
        for (int k = 0; k < K; k++) w[k] = wrong[k] * prob.data[i * K + k];
        label.data[i] = (float)bnn_rng_categorical(&tape.rng, K, w);
    }
    bnn_mat cal = bnn_mat_rows(prob, 0, M), cal_label = bnn_mat_rows(label, 0, M);
    CHECK(bnn_conformal_set(&mem, out, prob, cal, cal_label, 0.2) == BNN_OK);
    for (size_t i = M; i < N; i++) inside += (double)out.data[i * K + (size_t)label.data[i]];
    CHECK_NEAR(inside / (N - M), 0.8, Z * sd);
    CHECK(bnn_conformal_set(&mem, out, prob, cal, cal_label, 1e-4) == BNN_OK);
    CHECK_NEAR(bnn_mat_sum(out), N * K, 0);
    CHECK(bnn_conformal_set(&mem, out, prob, cal, cal_label, 2) == BNN_EARG);
    CHECK(bnn_conformal_set(&mem, label, prob, cal, cal_label, 0.2) == BNN_ESHAPE);
    CHECK(bnn_conformal_set(&mem, out, out, cal, cal_label, 0.2) == BNN_EARG);
    close_all();
}

/* ---- recalibration */

static void a_temperature_makes_probabilities_right(void) {
    enum { N = 20000 };
    open_all(17);
    bnn_mat logit = normals(N, 3, 2), label = bnn_mat_new(&mem, N, 1);
    bnn_mat prob = bnn_mat_new(&mem, N, 3), two = bnn_mat_new(&mem, 2, 1);
    for (size_t i = 0; i < N; i++) {
        float p[3], sum = 0, overconfident[3];
        for (int k = 0; k < 3; k++) p[k] = (float)exp((double)logit.data[3 * i + (size_t)k]);
        label.data[i] = (float)bnn_rng_categorical(&tape.rng, 3, p);
        for (int k = 0; k < 3; k++) sum += overconfident[k] = p[k] * p[k] * p[k];
        for (int k = 0; k < 3; k++) {
            prob.data[3 * i + (size_t)k] = overconfident[k] / sum;
            logit.data[3 * i + (size_t)k] = (float)log((double)(overconfident[k] / sum));
        }
    }
    double T = bnn_metric_temperature(logit, label);
    CHECK_NEAR(T, 3, 0.15);
    CHECK(bnn_metric_ece(prob, label, 10) > 0.08);
    CHECK(bnn_recalibrate(prob, prob, T) == BNN_OK);
    CHECK(bnn_metric_ece(prob, label, 10) < 0.02);
    two.data[0] = (float)0.9, two.data[1] = 0; /* odds 9 at T = 2 are 3 */
    CHECK(bnn_recalibrate(two, two, 2) == BNN_OK);
    CHECK_NEAR(two.data[0], 0.75, TIGHT);
    CHECK_NEAR(two.data[1], 0, 0);
    two.data[0] = (float)(1 + 1e-7), two.data[1] = (float)-1e-7; /* as rounding leaves them */
    CHECK(bnn_recalibrate(two, two, 1.5) == BNN_OK && two.data[0] == 1 && two.data[1] == 0);
    two = (bnn_mat){ 1, 2, two.data };
    two.data[1] = (float)-1e-7;
    CHECK(bnn_recalibrate(two, two, 1.5) == BNN_OK && two.data[0] == 1 && two.data[1] == 0);
    CHECK(bnn_recalibrate(two, two, 0) == BNN_EARG && bnn_recalibrate(two, prob, 1) == BNN_ESHAPE);
    close_all();
}

static void isotonic_regression_is_as_the_oracle_says(void) {
    open_all(18);
    bnn_mat x = from_ints(o_iso_x, 60, 1), y = from_ints(o_iso_y, 60, 1);
    bnn_mat at = from_ints(o_iso_at, 29, 1), knots = bnn_isotonic(&mem, x, y);
    for (size_t i = 1; i < knots.rows; i++) {
        CHECK(knots.data[2 * i] > knots.data[2 * i - 2]);
        CHECK(knots.data[2 * i + 1] >= knots.data[2 * i - 1]);
    }
    CHECK(bnn_isotonic_apply(at, knots, at) == BNN_OK);
    for (int i = 0; i < 29; i++) CHECK_NEAR(at.data[i], o_iso[i], TIGHT);
    at.data[0] = (float)NAN;
    CHECK(bnn_isotonic_apply(at, knots, at) == BNN_OK && isnan((double)at.data[0]));
    CHECK(bnn_isotonic(&mem, at, at).data == NULL && bnn_isotonic(&mem, x, at).data == NULL);
    CHECK(bnn_isotonic_apply(at, x, at) == BNN_ESHAPE);
    close_all();
}

static void without_an_arena_there_is_an_error(void) {
    float a[2] = { (float)0.25, (float)0.5 }, b[2] = { 1, 2 }, label[2] = { 0, 1 }, set[4];
    bnn_mat m = { 2, 1, a }, h = { 2, 1, b };
    CHECK(bnn_mat_col_quantile(NULL, (bnn_mat){ 1, 1, b }, m, 0.5) == BNN_EARG);
    CHECK(bnn_conformal_interval(NULL, m, h, m, h, m, 0.5) == BNN_EARG);
    CHECK(bnn_conformal_set(NULL, (bnn_mat){ 2, 2, set }, m, m, (bnn_mat){ 2, 1, label }, 0.5) ==
          BNN_EARG);
    CHECK(bnn_isotonic(NULL, m, h).rows == 0);
}

static void isotonic_regression_keeps_its_knots_only(void) {
    static char bytes[1 << 14];
    bnn_arena small = { .buffer = bytes, .capacity = sizeof bytes };
    open_all(20);
    bnn_mat x = normals(100, 1, 1), y = normals(100, 1, 1), knots = bnn_isotonic(&small, x, y);
    CHECK(knots.rows > 1 && small.err == BNN_OK);
    CHECK(bnn_arena_mark(&small).used <= 2 * 100 * 2 * sizeof(float) + 128);
    close_all();
}

int main(void) {
    RUN(draws_of_every_likelihood_have_its_moments);
    RUN(draws_of_a_student_have_its_quantiles);
    RUN(draws_of_a_hetero_net_have_the_variance_it_says);
    RUN(draws_of_classes_are_labels_as_often_as_the_probabilities_say);
    RUN(a_row_of_draws_is_one_members);
    RUN(rows_with_gaps_draw_nan);
    RUN(the_matrix_of_log_likelihoods_is_that_of_its_members);
    RUN(matrices_refuse_what_does_not_fit);
    RUN(an_epoch_has_every_row_once_in_a_new_order);
    RUN(loo_is_as_the_oracle_says);
    RUN(loo_of_a_normal_mean_is_exact);
    RUN(loo_with_few_samples_or_flat_tails_has_infinite_k);
    RUN(loo_out_of_memory_is_nan);
    RUN(two_models_are_compared_row_by_row);
    RUN(a_check_sees_what_the_model_does_not_make);
    RUN(quantiles_of_columns_are_numpys);
    RUN(conformal_intervals_cover_whatever_the_model);
    RUN(conformal_sets_cover_whatever_the_model);
    RUN(a_temperature_makes_probabilities_right);
    RUN(isotonic_regression_is_as_the_oracle_says);
    RUN(without_an_arena_there_is_an_error);
    RUN(isotonic_regression_keeps_its_knots_only);
    return check_done();
}
