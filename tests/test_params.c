/* test_params.c -- the flat vector and its blocks, priors against closed forms and quadrature,
 * adaptive and hierarchical priors, minibatches, initialization, the prior over functions.
 * Stochastic tests compare within 4 standard errors (false alarm 6e-5) or say otherwise. */
#include "build.h"

#define PI 3.14159265358979323846
static const double tol = BUILD_TOL(2e-6, 1e-12);

static uint64_t lcg_state = 7;
static double lcg(void) { /* the test's own numbers in (0,1) */
    lcg_state = lcg_state * 6364136223846793005u + 1442695040888963407u;
    return ((double)(lcg_state >> 33) + 0.5) / 2147483648.0;
}
static double ln_normal(double x, double m, double s) {
    return -(x - m) * (x - m) / (2 * s * s) - log(s) - log(2 * PI) / 2;
}

/* ln p of one weight under a prior */
static double log_prior_at(double x, bnn_prior p) {
    bnn_arena mem = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    double out;
    bnn_params_add(w, 1, 1, "w", p);
    w->theta[0] = (float)x;
    out = mem.err == BNN_OK ? bnn_params_log_prior(w) : 0.0 / 0.0;
    bnn_arena_free(&mem);
    return out;
}
static double prior_slope_at(double x, bnn_prior p) { /* of -ln p, by the tape */
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    double out;
    bnn_params_add(w, 1, 1, "w", p);
    w->theta[0] = (float)x;
    bnn_params_zero_grad(w);
    bnn_backward(bnn_prior_nll(&t, w));
    out = t.err == BNN_OK ? (double)w->grad[0] : 0.0 / 0.0;
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
    return out;
}

static const bnn_prior kinds[] = {
    { .mean = (float)0.5, .std = (float)0.75 },
    { .kind = BNN_PRIOR_DOUBLE_EXPONENTIAL, .mean = -1, .std = (float)0.5 },
    { .kind = BNN_PRIOR_MIXTURE, .std = 1, .std2 = (float)0.125, .weight = (float)0.25 },
    { .kind = BNN_PRIOR_MIXTURE, .std = 2, .mean = 1 },
    { .kind = BNN_PRIOR_STUDENT, .std = (float)0.5, .nu = 4, .mean = (float)0.25 },
    { .kind = BNN_PRIOR_STUDENT }
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static void every_prior_density_integrates_to_1(void) {
    /* x = m + s sinh(a): the middle of the narrowest mixture is resolved, Cauchy's tails reached */
    for (int k = 0; k < N_KINDS; k++) {
        bnn_prior p = kinds[k];
        double s = k == 3 ? 2 * exp(-6.0) : 0.1, sum = 0, h = k == 1 ? 0.0005 : 0.002;
        double top = k == 5 ? 27 : k == 4 ? 12 : asinh(30 / s); /* 1/x^5 and 1/x^2 tails */
        int n = (int)(top / h);
        for (int i = -n; i <= n; i++) {
            double x = s * sinh(i * h);
            sum += exp(log_prior_at((double)p.mean + x, p)) * s * cosh(i * h) * h;
        }
        CHECK_NEAR(sum, 1, BUILD_TOL(2e-5, k == 1 ? 1e-6 : 1e-8));
    }
}

static void priors_have_their_closed_form_values(void) {
    for (double x = -3; x < 3.1; x += 0.37) {
        double y = (double)(float)x, d = fabs(y + 1), r = (y - 0.25) / 0.5;
        double w = log(0.25) + ln_normal(y, 0, 1), n = log(0.75) + ln_normal(y, 0, 0.125);
        CHECK_NEAR(log_prior_at(x, kinds[0]), ln_normal(y, 0.5, 0.75), tol);
        CHECK_NEAR(log_prior_at(x, kinds[1]), -d / 0.5 - log(1.0), tol);
        CHECK_NEAR(log_prior_at(x, kinds[2]), log(exp(w) + exp(n)), tol);
        CHECK_NEAR(log_prior_at(x, kinds[4]),
                   lgamma(2.5) - lgamma(2.0) - log(4 * PI) / 2 - log(0.5) -
                   2.5 * log1p(r * r / 4), tol);
        CHECK_NEAR(log_prior_at(x, kinds[5]), -log(PI * (1 + y * y)), tol);
        CHECK_NEAR(log_prior_at(x, (bnn_prior){ 0 }), ln_normal(y, 0, 1), tol);
    }
}

static void prior_gradients_are_those_of_differences(void) {
    for (int k = 0; k < N_KINDS; k++)
        for (double x = -2.9; x < 3; x += 0.53) {
            /* the narrow mixture bends within e^-6: a step far below that, in double arithmetic */
            double h = BUILD_TOL(2e-3, 1e-4), y = (double)(float)x, up, down, up2, down2, b, a;
            if (k == 3 && fabs(y - 1) < 0.05) continue;
            up = log_prior_at(y + h, kinds[k]), down = log_prior_at(y - h, kinds[k]);
            up2 = log_prior_at(y + 2 * h, kinds[k]), down2 = log_prior_at(y - 2 * h, kinds[k]);
            b = -(8 * (up - down) - (up2 - down2)) / (12 * h);
            a = prior_slope_at(y, kinds[k]);
            if (!CHECK(fabs(a - b) / (1e-3 + fabs(a) + fabs(b)) < BUILD_TOL(5e-3, 1e-7)))
                printf("    kind %d at %g: %.12g and %.12g\n", k, y, a, b);
        }
    CHECK_NEAR(prior_slope_at(-1, kinds[1]), 0, 0); /* subgradient of Laplace at its mean */
}

static void the_mixture_has_its_limits(void) {
    bnn_prior p = { .kind = BNN_PRIOR_MIXTURE, .std = (float)1.5, .weight = 1,
                    .std2 = (float)0.01 };
    bnn_prior n = { .std = (float)1.5 };
    bnn_prior e8 = { .kind = BNN_PRIOR_MIXTURE, .std = 1, .std2 = (float)exp(-8.0) };
    double s1 = 1, s2 = (double)(float)exp(-8.0), r0, h = 1e-6;
    for (double x = -4; x <= 4; x += 0.5) { /* all weight on the wide component: a normal */
        CHECK_NEAR(log_prior_at(x, p), log_prior_at(x, n), tol);
        CHECK_NEAR(prior_slope_at(x, p), prior_slope_at(x, n), tol);
    }
    /* thousands of nats apart */
    CHECK_NEAR(log_prior_at(3, e8), log(0.5) + ln_normal(3, 0, 1), tol);
    CHECK_NEAR(prior_slope_at(3, e8), 3, tol);
    CHECK_NEAR(prior_slope_at(40, e8), 40, 40 * tol);
    CHECK_NEAR(log_prior_at(0, e8), log(0.5 / sqrt(2 * PI) * (1 / s1 + 1 / s2)), 10 * tol);
    CHECK_NEAR(prior_slope_at(0, e8), 0, 0);
    r0 = 0.5 / s1 / (0.5 / s1 + 0.5 / s2); /* responsibility at 0 */
    CHECK_NEAR(prior_slope_at(h, e8) / (double)(float)h / (r0 / (s1 * s1) + (1 - r0) / (s2 * s2)),
               1,
               1e-4);
}

static void a_student_prior_is_a_gaussian_with_inverse_gamma_variance(void) {
    double nu = 4, s = 0.5, a = nu / 2, b = nu * s * s / 2;
    bnn_prior p = { .kind = BNN_PRIOR_STUDENT, .std = (float)s, .nu = (float)nu };
    for (double x = -2; x <= 2; x += 0.5) {
        double sum = 0, h = 0.01;
        for (double u = -12; u < 22; u += h) { /* v = e^u */
            double v = exp(u), ln_v = a * log(b) - lgamma(a) - (a + 1) * u - b / v;
            sum += exp(ln_normal(x, 0, sqrt(v)) + ln_v + u) * h;
        }
        CHECK_NEAR(exp(log_prior_at(x, p)) / sum, 1, BUILD_TOL(1e-5, 1e-9));
    }
}

static void infinitely_wide_priors_are_flat_bit_for_bit(void) {
    float end[2][13], xs[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, ys[8] = { 1, -1, 2, 0, 1, 3, 2, 1 };
    bnn_data d = { { 8, 1, xs }, { 8, 1, ys } };
    for (int run = 0; run < 2; run++) {
        bnn_arena mem = { 0 };
        bnn_tape t = { .rng = bnn_rng_seed(3) };
        bnn_params *w = bnn_params_new(&mem);
        bnn_prior wide = { .std = (float)(1.0 / 0.0) };
        bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 4, 1 }, .noise_std = 1,
                                                 .prior = wide, .seed = 4 });
        bnn_stepper sgld = bnn_sgld(w, (bnn_sgld_desc){ .lr = (float)1e-2 });
        CHECK(w->n == 13 && w->blocks[0].prior.kind == BNN_PRIOR_FLAT);
        CHECK(bnn_params_log_prior(w) == 0);
        for (int s = 0; s < 50; s++) {
            bnn_tape_reset(&t);
            bnn_batch b = bnn_minibatch(&t, d, 4);
            bnn_backward(run == 0 ? bnn_net_loss(&net, b) : bnn_net_nll(&net, b));
            bnn_step(&sgld, &t);
        }
        CHECK(t.err == BNN_OK && mem.err == BNN_OK);
        memcpy(end[run], w->theta, sizeof end[run]);
        bnn_tape_free(&t);
        bnn_arena_free(&mem);
    }
    CHECK_SAME_ARRAY(end[0], end[1], 13);
}

/* The prior's gradient is written or added, whichever comes first */
static void the_prior_adds_to_the_likelihood_in_either_order(void) {
    for (int order = 0; order < 2; order++)
        for (int k = 0; k < N_KINDS + 2; k++) {
            bnn_arena mem = { 0 };
            bnn_tape t = { 0 };
            bnn_params *w = bnn_params_new(&mem);
            bnn_prior p = k < N_KINDS ? kinds[k] : (bnn_prior){ .std = 2 };
            if (k == N_KINDS + 1) p.kind = BNN_PRIOR_FLAT;
            bnn_params_add(w, 1, 2, "w", p);
            w->theta[0] = (float)0.6, w->theta[1] = (float)-0.4;
            bnn_var *one = NULL, *prior = NULL;
            if (order == 0) prior = bnn_prior_nll(&t, w);
            one = bnn_sum(bnn_scale(bnn_square(bnn_param(&t, w, 0)), 3));
            if (order == 1) prior = bnn_prior_nll(&t, w);
            /* as after a step */
            for (int i = 0; i < 2; i++) w->blocks[0].fresh = 1, w->grad[i] = 99;
            bnn_backward(bnn_add(one, bnn_scale(prior, (float)0.5)));
            for (int i = 0; i < 2; i++) {
                double slope = k == N_KINDS + 1 ? 0 : prior_slope_at((double)w->theta[i], p);
                CHECK_NEAR(w->grad[i], 6 * (double)w->theta[i] + slope / 2,
                           40 * tol * (1 + fabs(slope)));
            }
            CHECK_NEAR(bnn_value(prior), -bnn_params_log_prior(w), 4 * tol);
            bnn_tape_free(&t);
            bnn_arena_free(&mem);
        }
}

/* ---- adaptive priors */
static bnn_params *adaptive(bnn_arena *mem, int kind, size_t n) {
    bnn_params *w = bnn_params_new(mem);
    bnn_params_add(w, 1, n, "w", (bnn_prior){ .kind = kind, .adapt_mean = 1, .adapt_std = 1 });
    for (size_t i = 0; i < n; i++) w->theta[i] = (float)(1 + 3 * (lcg() - 0.4));
    return w;
}

static void the_adaptive_optimum_is_never_beaten(void) {
    for (int kind = 0; kind < 2; kind++)
        for (size_t n = 6; n < 8; n++) {
            bnn_arena mem = { 0 };
            bnn_params *w = adaptive(&mem, kind == 0 ? BNN_PRIOR_NORMAL : BNN_PRIOR_DOUBLE_EXPONENTIAL, n);
            bnn_params_update_priors(w, NULL);
            bnn_prior *p = &w->blocks[0].prior, best = *p;
            double top = bnn_params_log_prior(w), s = (double)best.std, e = exp(1.0);
            CHECK_NEAR(top, -(double)n * (kind == 0 ? log(2 * PI * e * s * s) / 2 : log(2 * e * s)),
                       20 * tol);
            for (int i = 0; i < 1000; i++) {
                double spread = i % 2 ? 0.05 : 2; /* far away and close by */
                p->mean = (float)((double)best.mean + spread * (lcg() - 0.5));
                p->std = (float)((double)best.std * exp(spread * (lcg() - 0.5)));
                CHECK(bnn_params_log_prior(w) <= top + BUILD_TOL(1e-6, 1e-12));
            }
            bnn_arena_free(&mem);
        }
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}
static void the_laplace_mean_is_the_median_of_any_list(void) {
    for (int round = 0; round < 300; round++) {
        bnn_arena mem = { 0 };
        size_t n = 1 + (size_t)(12 * lcg());
        float sorted[16], keep[16];
        bnn_params *w = adaptive(&mem, BNN_PRIOR_DOUBLE_EXPONENTIAL, n);
        if (round % 3 == 0) for (size_t i = 0; i < n; i++) w->theta[i] = (float)(int)(3 * lcg());
        memcpy(sorted, w->theta, n * sizeof *sorted), memcpy(keep, sorted, n * sizeof *sorted);
        qsort(sorted, n, sizeof *sorted, ascending);
        bnn_params_update_priors(w, NULL);
        CHECK_NEAR(w->blocks[0].prior.mean,
                   ((double)sorted[(n - 1) / 2] + (double)sorted[n / 2]) / 2, tol);
        CHECK_SAME_ARRAY(keep, w->theta, n);
        bnn_arena_free(&mem);
    }
}

static void adapted_scales_have_a_floor_and_fixed_ones_are_left_alone(void) {
    bnn_arena mem = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    bnn_params_add(w, 1, 3, "a", (bnn_prior){ .adapt_std = 1 }); /* all zero: variance 0 */
    bnn_params_add(w, 1, 3, "b", (bnn_prior){ .std = (float)1e-8 });
    bnn_params_add(w, 1, 3, "c", (bnn_prior){ .adapt_mean = 1, .std = 3 });
    bnn_params_add(w, 0, 3, "d", (bnn_prior){ .adapt_mean = 1, .adapt_std = 1, .std = 5,
                                              .mean = 2 });
    for (int i = 6; i < 9; i++) w->theta[i] = (float)i;
    bnn_params_update_priors(w, NULL);
    CHECK_NEAR(w->blocks[0].prior.std, 1e-6, 1e-12);
    CHECK_NEAR(w->blocks[1].prior.std, 1e-8, 1e-14);
    CHECK_NEAR(w->blocks[2].prior.mean, 7, 0);
    CHECK_NEAR(w->blocks[2].prior.std, 3, 0);
    CHECK(w->blocks[3].prior.mean == 2 && w->blocks[3].prior.std == 5);
    bnn_arena_free(&mem);
}

static void the_hierarchical_update_is_the_mode_and_gibbs_has_the_exact_moments(void) {
    bnn_arena mem = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    bnn_rng rng = bnn_rng_seed(build_seed(11));
    enum { DRAWS = 20000 };
    double a = 3, b = 2;
    bnn_params_add(w, 2, 5, "w", (bnn_prior){ .shape = 3, .rate = 2, .mean = (float)0.5 });
    bnn_params_add(w, 0, 5, "none", (bnn_prior){ .shape = 3, .rate = 2 }); /* the prior itself */
    double ss = 0;
    for (int i = 0; i < 10; i++) {
        w->theta[i] = (float)(2 * lcg() - 0.5);
        ss += pow((double)w->theta[i] - 0.5, 2);
    }
    bnn_params_update_priors(w, NULL);
    CHECK_NEAR(pow((double)w->blocks[0].prior.std, 2), (b + ss / 2) / (a + 5 + 1), 10 * tol);
    CHECK_NEAR(pow((double)w->blocks[1].prior.std, 2), b / (a + 1), 10 * tol);
    double sum[2] = { 0 }, inverse[2] = { 0 };
    for (int i = 0; i < DRAWS; i++) {
        bnn_params_update_priors(w, &rng);
        for (int k = 0; k < 2; k++) {
            double v = pow((double)w->blocks[k].prior.std, 2);
            sum[k] += v / DRAWS, inverse[k] += 1 / v / DRAWS;
        }
    }
    double a1 = a + 5, b1 = b + ss / 2;
    CHECK_NEAR(sum[0], b1 / (a1 - 1), 4 * b1 / (a1 - 1) / sqrt((a1 - 2) * DRAWS));
    CHECK_NEAR(inverse[0], a1 / b1, 4 * sqrt(a1) / b1 / sqrt(DRAWS));
    /* b/(a-1) has heavy tails at a = 3 */
    CHECK_NEAR(inverse[1], a / b, 4 * sqrt(a) / b / sqrt(DRAWS));
    bnn_arena_free(&mem);
}

/* ---- the flat vector */
static void blocks_lie_one_after_the_other_row_by_row(void) {
    bnn_arena mem = { 0 };
    bnn_params *w = bnn_params_new(&mem), *v = bnn_params_new(&mem);
    for (size_t k = 0; k < 40; k++) { /* across several growths */
        CHECK(bnn_params_add(w, k % 4 + 1, 3, "a_name_longer_than_fifteen", (bnn_prior){ 0 }) == k);
        bnn_params_add(v, k % 4 + 1, 3, NULL, (bnn_prior){ 0 });
        bnn_mat m = bnn_params_mat(w, k);
        CHECK(m.rows == k % 4 + 1 && m.cols == 3 && m.data == w->theta + w->blocks[k].offset);
        for (size_t i = 0; i < m.rows * 3; i++) {
            CHECK(m.data[i] == 0);
            m.data[i] = (float)(100 * k + i);
        }
    }
    size_t at = 0;
    for (size_t k = 0; k < 40; k++) {
        bnn_mat m = bnn_params_mat(w, k);
        CHECK(w->blocks[k].offset == at);
        for (size_t i = 0; i < m.rows * 3; i++) CHECK(m.data[i] == (float)(100 * k + i));
        at += m.rows * m.cols;
    }
    CHECK(w->n == at);
    CHECK(strcmp(w->blocks[0].name, "a_name_longer_t") == 0);
    CHECK(v->blocks[0].name[0] == '\0');
    bnn_params_copy(v, w);
    CHECK_SAME_ARRAY(v->theta, w->theta, at);
    bnn_params_copy(v, v);
    CHECK(bnn_params_mat(w, 40).data == NULL && bnn_params_grad(w, 99).data == NULL);
    CHECK(mem.err == BNN_OK);
    bnn_params_add(v, 1, 1, "x", (bnn_prior){ 0 });
    bnn_params_copy(v, w);
    CHECK(mem.err == BNN_ESHAPE);
    bnn_arena_free(&mem);
}

static void empty_blocks_keep_their_shape(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    bnn_params_add(w, 0, 5, "none", (bnn_prior){ 0 });
    bnn_var *p = bnn_param(&t, w, 0);
    CHECK(p->val.rows == 0 && p->val.cols == 5);
    bnn_backward(bnn_add(bnn_sum(p), bnn_prior_nll(&t, w)));
    CHECK(t.err == BNN_OK && mem.err == BNN_OK);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

/* Copies of 0 bytes from NULL are not C: the sanitizers stop there */
static void parameters_without_values_have_a_place_too(void) {
    bnn_arena mem = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    bnn_ensemble post = bnn_ensemble_new(w, 2);
    CHECK(w->n == 0 && w->theta != NULL && w->grad != NULL);
    CHECK(bnn_ensemble_push(&post) == BNN_OK && post.count == 1);
    bnn_params_copy(w, w), bnn_params_zero_grad(w);
    CHECK(bnn_params_add(w, 0, 3, "none", (bnn_prior){ 0 }) == 0 && w->n == 0);
    CHECK(bnn_params_add(w, 2, 3, "six", (bnn_prior){ 0 }) == 1 && w->n == 6);
    CHECK(w->theta != (float *)w && w->grad != (float *)w && w->theta[5] == 0 && w->grad[5] == 0);
    CHECK(mem.err == BNN_OK);
    bnn_arena_free(&mem);
}

static void fan_in_divides_the_scale_once(void) {
    bnn_arena mem = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    bnn_params_add(w, 16, 2, "w", (bnn_prior){ .std = 2, .fan_in = 1 });
    bnn_params_add(w, 1, 2, "b", (bnn_prior){ .std = 2, .fan_in = 1 });
    bnn_params_add(w, 16, 2, "v", w->blocks[0].prior); /* a resolved prior used again */
    CHECK_NEAR(w->blocks[0].prior.std, 0.5, 1e-7);
    CHECK_NEAR(w->blocks[1].prior.std, 2, 0);
    CHECK_NEAR(w->blocks[2].prior.std, 0.5, 1e-7);
    bnn_arena_free(&mem);
}

static void bad_priors_and_sizes_are_errors(void) {
    float nan = (float)(0.0 / 0.0), inf = (float)(1.0 / 0.0);
    bnn_prior bad[] = { { .kind = 77 }, { .kind = -1 }, { .std = -1 }, { .std = nan },
                        { .mean = nan },
        { .mean = inf }, { .kind = BNN_PRIOR_MIXTURE, .std2 = -1 },
        { .kind = BNN_PRIOR_MIXTURE, .std2 = nan }, { .kind = BNN_PRIOR_MIXTURE, .weight = 2 },
        { .kind = BNN_PRIOR_MIXTURE, .weight = nan }, { .kind = BNN_PRIOR_STUDENT, .nu = -1 },
        { .kind = BNN_PRIOR_STUDENT, .nu = inf }, { .shape = -1 }, { .rate = nan }, { .shape = 1 },
        { .kind = BNN_PRIOR_MIXTURE, .adapt_std = 1 },
        { .kind = BNN_PRIOR_DOUBLE_EXPONENTIAL, .shape = 1, .rate = 1 } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bnn_arena mem = { 0 };
        bnn_params *w = bnn_params_new(&mem);
        if (!CHECK(bnn_params_add(w, 2, 2, "bad", bad[i]) == (size_t)-1))
            printf("    prior %zu\n", i);
        CHECK(mem.err == BNN_EARG && strstr(mem.msg, "bad") != NULL);
        CHECK(w->n == 0 && w->n_blocks == 0);
        CHECK(bnn_params_add(w, 2, 2, "w", (bnn_prior){ 0 }) == (size_t)-1); /* sticky */
        bnn_arena_free(&mem);
    }
    bnn_arena mem = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    bnn_params_add(w, 3, 3, "ok", (bnn_prior){ 0 });
    CHECK(bnn_params_add(w, SIZE_MAX / 2, 4, "huge", (bnn_prior){ 0 }) == (size_t)-1);
    CHECK(mem.err == BNN_ENOMEM && w->n == 9);
    CHECK(bnn_params_add(NULL, 1, 1, "x", (bnn_prior){ 0 }) == (size_t)-1);
    bnn_arena_free(&mem);
}

static void samples_of_a_prior_follow_its_density(void) {
    /* fraction within a distance of the mean, 4 standard errors, 7 tests */
    enum { DRAWS = 40000 };
    double inside[N_KINDS + 1] = { erf(0.6 / 0.75 / sqrt(2.0)), 1 - exp(-0.6 / 0.5),
        0.25 * erf(0.6 / sqrt(2.0)) + 0.75 * erf(0.6 / 0.125 / sqrt(2.0)), 0, 0,
            2 / PI * atan(0.6), 0 };
    double r = 0.6 / 0.5, q = r / sqrt(4 + r * r); /* Student with 4 degrees */
    inside[3] = 0.5 * erf(0.6 / 2 / sqrt(2.0)) + 0.5;
    inside[4] = 1.5 * q - 0.5 * q * q * q;
    for (int k = 0; k <= N_KINDS; k++) {
        bnn_arena mem = { 0 };
        bnn_rng rng = bnn_rng_seed(build_seed(31));
        bnn_params *w = bnn_params_new(&mem);
        size_t in = 0, below = 0;
        bnn_prior p = k < N_KINDS ? kinds[k] : (bnn_prior){ .kind = BNN_PRIOR_FLAT };
        bnn_params_add(w, 1, DRAWS, "w", p);
        bnn_params_sample_prior(w, &rng);
        for (size_t i = 0; i < DRAWS; i++) {
            double d = (double)w->theta[i] - (double)p.mean;
            in += fabs(d) < 0.6, below += d < 0;
            if (k == N_KINDS) CHECK(d == 0); /* flat: left as it is */
        }
        if (k == N_KINDS) { bnn_arena_free(&mem); continue; }
        CHECK_NEAR((double)in / DRAWS, inside[k], 4 * sqrt(inside[k] * (1 - inside[k]) / DRAWS));
        CHECK_NEAR((double)below / DRAWS, 0.5, 4 * sqrt(0.25 / DRAWS));
        bnn_arena_free(&mem);
    }
}

/* ---- minibatches and the scale of the loss */
static void every_subset_is_an_equally_likely_minibatch(void) {
    /* 20 subsets of 3 of 6: chi^2 with 19 degrees exceeds 50.8 with probability 1e-4 */
    enum { DRAWS = 20000 };
    bnn_tape t = { .rng = bnn_rng_seed(build_seed(41)) };
    float xs[6] = { 0, 1, 2, 3, 4, 5 }, ys[6] = { 10, 11, 12, 13, 14, 15 };
    bnn_data d = { { 6, 1, xs }, { 6, 1, ys } };
    size_t count[64] = { 0 };
    double chi2 = 0, expected = DRAWS / 20.0;
    for (int i = 0; i < DRAWS; i++) {
        unsigned set = 0;
        bnn_tape_reset(&t);
        bnn_batch b = bnn_minibatch(&t, d, 3);
        CHECK(b.n_data == 6 && b.x->val.rows == 3 && b.y->val.rows == 3);
        for (int j = 0; j < 3; j++) {
            set |= 1u << (unsigned)b.x->val.data[j];
            CHECK(b.y->val.data[j] == b.x->val.data[j] + 10);
        }
        count[set]++;
    }
    size_t total = 0;
    for (unsigned set = 0; set < 64; set++) {
        unsigned bits = 0;
        for (unsigned s = set; s != 0; s >>= 1) bits += s & 1;
        if (bits != 3) continue;
        total += count[set];
        chi2 += ((double)count[set] - expected) * ((double)count[set] - expected) / expected;
    }
    CHECK(total == DRAWS); /* always three distinct rows */
    CHECK(chi2 < 50.8);
    bnn_tape_reset(&t);
    bnn_minibatch(&t, d, 6);
    CHECK(t.err == BNN_OK);
    bnn_tape_free(&t);
}

static void the_mean_loss_of_equal_batches_is_the_loss_of_all(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 2, 5, 2 }, .activation = BNN_TANH,
        .noise_std = (float)0.5, .prior = { .std = (float)0.3 } });
    float xs[24], ys[24];
    for (int i = 0; i < 24; i++) xs[i] = (float)(2 * lcg() - 1), ys[i] = (float)(2 * lcg() - 1);
    bnn_data d = { { 12, 2, xs }, { 12, 2, ys } };
    double loss = 0, grad[64] = { 0 };
    for (size_t b = 0; b < 4; b++) {
        size_t rows[3] = { b, 4 + b, 11 - b };
        bnn_var *l = bnn_net_loss(&net, bnn_batch_rows(&t, d, 3, rows));
        bnn_params_zero_grad(w);
        bnn_backward(l);
        loss += (double)bnn_value(l) / 4;
        CHECK(t.n_data == 12);
        for (size_t i = 0; i < w->n; i++) grad[i] += (double)w->grad[i] / 4;
    }
    bnn_params_zero_grad(w);
    bnn_var *l = bnn_net_loss(&net, bnn_batch_all(&t, d));
    bnn_backward(l);
    CHECK_NEAR(bnn_value(l), loss, BUILD_TOL(1e-5, 1e-13));
    for (size_t i = 0; i < w->n; i++) CHECK_NEAR(w->grad[i], grad[i], BUILD_TOL(1e-5, 1e-13));
    CHECK_NEAR(bnn_value(l), (double)bnn_value(bnn_net_nll(&net, bnn_batch_all(&t, d))) -
               bnn_params_log_prior(w) / 12, BUILD_TOL(1e-5, 1e-13));
    CHECK(t.err == BNN_OK);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

static void bad_batches_are_errors(void) {
    bnn_tape t = { 0 };
    float xs[4] = { 0 };
    bnn_data d = { { 4, 1, xs }, { 4, 1, xs } }, odd = { { 4, 1, xs }, { 3, 1, xs } };
    bnn_data none = { { 0, 1, NULL }, { 0, 1, NULL } };
    size_t far[2] = { 0, 9 };
    struct { bnn_data d; size_t n; int err; } c[] = { { d, 0, BNN_EARG }, { d, 5, BNN_EARG },
        { odd, 2, BNN_ESHAPE }, { none, 0, BNN_EARG }, { none, 1, BNN_EARG } };
    for (size_t i = 0; i < 5; i++) {
        bnn_batch b = bnn_minibatch(&t, c[i].d, c[i].n);
        CHECK(t.err == c[i].err && b.x == &t.poison && b.y == &t.poison);
        bnn_tape_clear_error(&t);
    }
    bnn_batch_all(&t, odd);
    CHECK(t.err == BNN_ESHAPE);
    bnn_tape_clear_error(&t);
    bnn_batch_all(&t, none);
    CHECK(t.err == BNN_EARG);
    bnn_tape_clear_error(&t);
    bnn_batch_rows(&t, d, 2, far);
    CHECK(t.err == BNN_ESHAPE && strstr(t.msg, "9") != NULL && strstr(t.msg, "4") != NULL);
    bnn_tape_free(&t);
}

/* ---- initialization and the prior over functions */
static double final_moment(int activation, uint64_t seed, bnn_tape *t, bnn_arena *mem) {
    enum { WIDTH = 50, ROWS = 20 };
    bnn_params *w = bnn_params_new(mem);
    bnn_mlp_desc d = { .sizes = { WIDTH, WIDTH, WIDTH, WIDTH, WIDTH, WIDTH, 1 }, .noise_std = 1,
                       .activation = activation, .seed = seed };
    bnn_mlp(w, d);
    bnn_mat x = bnn_mat_new(mem, ROWS, WIDTH);
    bnn_rng rng = bnn_rng_seed(seed + 1000000);
    bnn_rng_fill_normal(&rng, ROWS * WIDTH, x.data);
    bnn_var *h = bnn_input(t, x);
    for (size_t l = 0; l < 5; l++)
        h = bnn_activation(bnn_affine(h, bnn_param(t, w, 2 * l), bnn_param(t, w, 2 * l + 1)),
                           activation);
    return (double)bnn_value(bnn_mean(bnn_square(h)));
}
static void initial_weights_preserve_the_second_moment_over_five_layers(void) {
    /* A net's own fluctuation is about sqrt(5 layers x 5/width): the mean over 400 nets of width
     * 50 has a standard error of 0.022, so 0.1 is 4.5 of them */
    double sum[2] = { 0 };
    for (uint64_t s = 0; s < 800; s++) {
        bnn_arena mem = { 0 };
        bnn_tape t = { 0 };
        sum[s % 2] += final_moment(s % 2 ? BNN_RELU : BNN_IDENTITY, build_seed(1000 * s + 7), &t,
                                   &mem) / 400;
        bnn_tape_free(&t);
        bnn_arena_free(&mem);
    }
    CHECK_NEAR(sum[0], 1, 0.1);
    CHECK_NEAR(sum[1], 1, 0.1);
}

static void weights_start_with_the_variance_that_init_names(void) {
    /* 200 x 100 weights: relative error of a variance is sqrt(2/20000) = 0.01 */
    struct { int init, act; double first, second; } c[] = {
        { BNN_INIT_AUTO, BNN_RELU, 2 / 200.0, 2 / 100.0 },
        { BNN_INIT_AUTO, BNN_GELU, 2 / 200.0, 2 / 100.0 },
        { BNN_INIT_AUTO, BNN_TANH, 1 / 200.0, 1 / 100.0 },
        { BNN_INIT_HE, BNN_TANH, 2 / 200.0, 2 / 100.0 },
        { BNN_INIT_GLOROT, BNN_RELU, 2 / 300.0, 2 / 300.0 },
        { BNN_INIT_UNIFORM, BNN_RELU, 1 / 600.0, 1 / 300.0 }, { BNN_INIT_PRIOR, BNN_RELU, 9, 9 },
        { BNN_INIT_ZERO, BNN_RELU, 0, 0 } };
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        bnn_arena mem = { 0 };
        bnn_params *w = bnn_params_new(&mem);
        bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 200, 100, 200 }, .noise_std = 1, .init = c[i].init,
                                   .activation = c[i].act,
            .prior = { .std = 3 }, .seed = build_seed(51) });
        for (size_t l = 0; l < 2; l++) {
            bnn_mat m = bnn_params_mat(w, 2 * l), b = bnn_params_mat(w, 2 * l + 1);
            double v = 0, want = l == 0 ? c[i].first : c[i].second;
            for (size_t j = 0; j < 20000; j++) v += pow((double)m.data[j], 2) / 20000;
            CHECK_NEAR(v, want, 0.04 * want);
            for (size_t j = 0; j < b.cols && c[i].init != BNN_INIT_PRIOR; j++)
                CHECK(b.data[j] == 0);
        }
        bnn_arena_free(&mem);
    }
}

static void a_wide_net_under_its_prior_is_a_gaussian_process(void) {
    /* f = sum_j v_j relu(w_j x + b_j)/sqrt H + c: covariance of Cho and Saul 2009 plus that of c */
    enum { DRAWS = 4000, H = 200 };
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    bnn_rng rng = bnn_rng_seed(build_seed(61));
    bnn_params *w = bnn_params_new(&mem);
    bnn_prior priors[2] = { { .std = 1 }, { .std = 1, .fan_in = 1 } };
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, H, 1 }, .noise_std = 1,
                                             .priors = priors });
    float xs[2] = { (float)0.5, -1 };
    double k1 = 1.25, k2 = 2, k12 = 0.5, angle = acos(k12 / sqrt(k1 * k2)), m2[3] = { 0 }, m4 = 0;
    double cov = sqrt(k1 * k2) / (2 * PI) * (sin(angle) + (PI - angle) * cos(angle)) + 1;
    double v1 = k1 / 2 + 1, v2 = k2 / 2 + 1;
    for (int s = 0; s < DRAWS; s++) {
        bnn_tape_reset(&t);
        bnn_params_sample_prior(w, &rng);
        bnn_var *f = bnn_net_forward(&net, bnn_input(&t, (bnn_mat){ 2, 1, xs }));
        double a = (double)f->val.data[0], b = (double)f->val.data[1];
        m2[0] += a * a / DRAWS, m2[1] += b * b / DRAWS, m2[2] += a * b / DRAWS,
            m4 += a * a * a * a / DRAWS;
    }
    CHECK_NEAR(m2[0], v1, 4 * v1 * sqrt(2.1 / DRAWS));
    CHECK_NEAR(m2[1], v2, 4 * v2 * sqrt(2.1 / DRAWS));
    CHECK_NEAR(m2[2], cov, 4 * sqrt((v1 * v2 + cov * cov) * 1.05 / DRAWS));
    CHECK_NEAR(m4 / (m2[0] * m2[0]), 3 + 15.0 / H * pow(k1 / 2 / v1, 2), 4 * sqrt(26.0 / DRAWS));
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

/* ---- at the ends: nu without bound is the normal law, nu near 0 has tails that no float holds */
static void a_student_prior_keeps_its_digits_at_any_nu(void) {
    double nus[] = { 1e9, 1e12, 1e13, 1e15, 1e20, 1e30, 3e38 };
    for (int k = 0; k < 7; k++)
        for (double s = 1e-6; s < 2e6; s *= 1e3)
            for (double z = -6; z <= 6; z += 1.5) {
                bnn_prior p = { .kind = BNN_PRIOR_STUDENT, .std = (float)s, .nu = (float)nus[k] };
                double x = (double)(float)(s * z), sd = (double)(float)s;
                CHECK_NEAR(log_prior_at(x, p), ln_normal(x, 0, sd), 1e-6);
                CHECK_NEAR(prior_slope_at(x, p) * sd, x / sd, 1e-6 * (1 + fabs(z)));
            }
    for (int k = 0; k < 2; k++) /* a mixture of one component */
        for (double x = -2; x < 3; x++) {
            bnn_prior p = { .kind = BNN_PRIOR_MIXTURE, .std = 2, .std2 = (float)0.5,
                            .weight = k ? 1 : BNN_ZERO };
            double sd = k ? 2 : 0.5;
            CHECK_NEAR(log_prior_at(x, p), ln_normal(x, 0, sd), 1e-6);
            CHECK_NEAR(prior_slope_at(x, p), x / sd / sd, 1e-5);
        }
}

/* P(|t| > x) = 2 G((nu+1)/2) nu^(nu/2 - 1)/(sqrt(pi) G(nu/2)) x^-nu far out; within 4.5 sd */
static void draws_of_a_student_prior_are_finite_and_keep_the_tail(void) {
    enum { N = 20000 };
    double nus[] = { 1, 0.1, 0.05, 0.02, 0.01 };
    for (int k = 0; k < 5; k++) {
        bnn_arena mem = { 0 };
        bnn_params *w = bnn_params_new(&mem);
        bnn_rng r = bnn_rng_seed(build_seed(31 + (uint64_t)k));
        double nu = nus[k], far[] = { 1e6, 1e15, 1e30, 3e38 };
        size_t out[4] = { 0 };
        bnn_params_add(w, 1, N, "w", (bnn_prior){ .kind = BNN_PRIOR_STUDENT, .nu = (float)nu });
        bnn_params_sample_prior(w, &r);
        for (size_t i = 0; i < N; i++) {
            double a = fabs((double)w->theta[i]);
            CHECK(isfinite(a));
            for (int j = 0; j < 4; j++) out[j] += a > far[j];
        }
        for (int j = 0; j < 4; j++) {
            double q = 2 * exp(lgamma((nu + 1) / 2) - lgamma(nu / 2)) * pow(nu, nu / 2 - 1) /
                       sqrt(PI) * pow(far[j], -nu);
            CHECK_NEAR((double)out[j] / N, q, 4.5 * sqrt(q * (1 - q) / N) + 1e-4);
        }
        bnn_arena_free(&mem);
    }
}

/* ---- products with the Hessian */
typedef struct { bnn_params *w; } sines;
static bnn_var *sum_of_sines(bnn_tape *t, void *user) { /* H = -diag(sin) */
    return bnn_sum(bnn_sin(bnn_param(t, ((sines *)user)->w, 0)));
}

static void hessian_products_do_not_depend_on_the_weights_that_stay(void) {
    size_t sizes[] = { 1, 10, 1000, 300000 };
    double scale[] = { 1e-6, 1, 1e6 }; /* of v: H v is linear */
    for (int k = 0; k < 4; k++) {
        bnn_arena mem = { 0 };
        bnn_tape t = { .rng = bnn_rng_seed(1) };
        sines q = { bnn_params_new(&mem) };
        size_t n = sizes[k];
        bnn_rng r = bnn_rng_seed(5);
        bnn_params_add(q.w, 1, n, "q", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
        bnn_rng_fill_normal(&r, n, q.w->theta);
        bnn_mat v = bnn_mat_new(&mem, 1, n), out = bnn_mat_new(&mem, 1, n);
        for (int shape = 0; shape < 3; shape++) /* one entry, all, one of 1 among many of 1e-3 */
            for (int c = 0; c < 3; c++) {
                for (size_t i = 0; i < n; i++)
                    v.data[i] = (float)(scale[c] * (i == 0 ? 1 : shape == 0 ? 0 : shape == 1
                                                    ? (double)(i % 3) - 1 : 1e-3));
                bnn_hessian_vector(out.data, &t, q.w, sum_of_sines, &q, v.data);
                for (size_t i = 0; i < n; i += 1 + n / 50)
                    CHECK_NEAR((double)out.data[i] / scale[c], -sin((double)q.w->theta[i]) *
                               (double)v.data[i] / scale[c], BUILD_TOL(2e-4, 1e-8));
                bnn_hessian_vector(v.data, &t, q.w, sum_of_sines, &q, v.data); /* in place */
                CHECK_SAME_ARRAY(v.data, out.data, n);
            }
        CHECK(t.err == BNN_OK);
        v.data[n - 1] = (float)(0.0 / 0.0);
        bnn_hessian_vector(out.data, &t, q.w, sum_of_sines, &q, v.data);
        CHECK(t.err == BNN_ENONFINITE && strstr(t.msg, "bnn_hessian_vector: v") != NULL);
        bnn_tape_free(&t);
        bnn_arena_free(&mem);
    }
}

static void the_diagonal_of_a_diagonal_hessian_is_exact_by_either_way(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { .rng = bnn_rng_seed(1) };
    sines q = { bnn_params_new(&mem) };
    float by_entry[40], by_signs[40];
    bnn_params_add(q.w, 1, 40, "q", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    for (int i = 0; i < 40; i++) q.w->theta[i] = (float)(0.3 * i - 6);
    bnn_hessian_diagonal(by_entry, &t, q.w, sum_of_sines, &q, 0);
    bnn_hessian_diagonal(by_signs, &t, q.w, sum_of_sines, &q, 3);
    for (int i = 0; i < 40; i++) {
        CHECK_NEAR(by_entry[i], -sin((double)q.w->theta[i]), BUILD_TOL(2e-4, 1e-8));
        CHECK_NEAR(by_signs[i], by_entry[i], BUILD_TOL(2e-4, 1e-8));
    }
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

int main(void) {
    RUN(every_prior_density_integrates_to_1);
    RUN(priors_have_their_closed_form_values);
    RUN(prior_gradients_are_those_of_differences);
    RUN(the_mixture_has_its_limits);
    RUN(a_student_prior_is_a_gaussian_with_inverse_gamma_variance);
    RUN(a_student_prior_keeps_its_digits_at_any_nu);
    RUN(draws_of_a_student_prior_are_finite_and_keep_the_tail);
    RUN(hessian_products_do_not_depend_on_the_weights_that_stay);
    RUN(the_diagonal_of_a_diagonal_hessian_is_exact_by_either_way);
    RUN(infinitely_wide_priors_are_flat_bit_for_bit);
    RUN(the_prior_adds_to_the_likelihood_in_either_order);
    RUN(the_adaptive_optimum_is_never_beaten);
    RUN(the_laplace_mean_is_the_median_of_any_list);
    RUN(adapted_scales_have_a_floor_and_fixed_ones_are_left_alone);
    RUN(the_hierarchical_update_is_the_mode_and_gibbs_has_the_exact_moments);
    RUN(blocks_lie_one_after_the_other_row_by_row);
    RUN(empty_blocks_keep_their_shape);
    RUN(parameters_without_values_have_a_place_too);
    RUN(fan_in_divides_the_scale_once);
    RUN(bad_priors_and_sizes_are_errors);
    RUN(samples_of_a_prior_follow_its_density);
    RUN(every_subset_is_an_equally_likely_minibatch);
    RUN(the_mean_loss_of_equal_batches_is_the_loss_of_all);
    RUN(bad_batches_are_errors);
    RUN(initial_weights_preserve_the_second_moment_over_five_layers);
    RUN(weights_start_with_the_variance_that_init_names);
    RUN(a_wide_net_under_its_prior_is_a_gaussian_process);
    return check_done();
}
