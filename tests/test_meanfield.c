/* test_meanfield.c -- S5 and the adaptive priors of S3: divergences against closed forms and
 * quadrature, the gradient estimators against exact expectations, the optimum of conjugate linear
 * regression, Graves's ten configurations, pruning and shrinking. Statistical checks allow 4
 * standard errors: one two-sided test fails by chance with probability 6e-5. */
#include "build.h"

#define TIGHT BUILD_TOL(2e-5, 1e-12)

typedef struct world {
    bnn_arena mem;
    bnn_tape tape;
    bnn_params *w;
} world;

static void world_open(world *u, uint64_t seed) {
    memset(u, 0, sizeof *u);
    u->tape.rng = bnn_rng_seed(build_seed(seed));
    u->w = bnn_params_new(&u->mem);
}

static void world_close(world *u) {
    if (u->tape.err) printf("    %s\n", u->tape.msg);
    if (u->mem.err) printf("    %s\n", u->mem.msg);
    CHECK(u->tape.err == BNN_OK && u->mem.err == BNN_OK);
    bnn_tape_free(&u->tape);
    bnn_arena_free(&u->mem);
}

/* ---- smaller nets */

static double largest_difference(world *u, const bnn_net *a, const bnn_net *b, bnn_mat x) {
    bnn_mat p = bnn_predict(&u->mem, &u->tape, a, NULL, x).mean;
    bnn_mat q = bnn_predict(&u->mem, &u->tape, b, NULL, x).mean;
    double worst = 0;
    for (size_t i = 0; i < p.rows * p.cols; i++)
        worst = fmax(worst, fabs((double)p.data[i] - (double)q.data[i]));
    return worst;
}

static void a_shrunk_net_is_the_masked_net(void) {
    for (int act = BNN_RELU; act <= BNN_IDENTITY; act++) {
        world u;
        bnn_net net, small;
        bnn_params *v;
        bnn_mat x, w1, w2, w3;
        world_open(&u, 1 + (uint64_t)act);
        net = bnn_mlp(u.w, (bnn_mlp_desc){ .sizes = { 3, 6, 5, 2 }, .activation = act,
                                           .noise_learned = 1, .noise_std = (float)0.3 });
        bnn_rng_fill_normal(&u.tape.rng, u.w->n - 1, u.w->theta);
        x = bnn_mat_new(&u.mem, 20, 3);
        bnn_rng_fill_normal(&u.tape.rng, 60, x.data);
        CHECK(bnn_net_standardize(&net, (bnn_data){ x, bnn_mat_rows(x, 0, 20) }) == BNN_OK);
        net.scaling.y_mean = bnn_mat_new(&u.mem, 1, 2);
        net.scaling.y_std = bnn_mat_copy(&u.mem, (bnn_mat){ 1, 2, net.scaling.x_std.data });
        w1 = bnn_params_mat(u.w, 0), w2 = bnn_params_mat(u.w, 2), w3 = bnn_params_mat(u.w, 4);
        for (size_t i = 0; i < 3; i++) w1.data[i * 6 + 1] = w1.data[i * 6 + 4] = 0; /* constants */
        for (size_t j = 0; j < 5; j++) w2.data[3 * 5 + j] = 0;         /* unit 3 sends nothing */
        for (size_t i = 0; i < 6; i++) /* unit 2 hears 1, 3, 4 alone: constant, once they go */
            if (i != 1 && i != 4) w2.data[i * 5 + 2] = 0;
        for (size_t j = 0; j < 2; j++) w3.data[0 * 2 + j] = 0;         /* unit 0 sends nothing */
        v = bnn_params_new(&u.mem);
        small = bnn_mlp_shrink(v, &net, NULL);
        CHECK(small.params == v);
        CHECK(v->n == 3 * 3 + 3 + 3 * 3 + 3 + 3 * 2 + 2 + 1);
        CHECK_NEAR(largest_difference(&u, &net, &small, x), 0, BUILD_TOL(1e-5, 1e-12));
        CHECK_SAME(bnn_params_mat(v, 6).data[0], bnn_params_mat(u.w, 6).data[0]);
        world_close(&u);
    }
}

static void shrinking_strands_what_only_dead_units_fed(void) {
    world u;
    bnn_net net, small;
    bnn_mat x, w3;
    bnn_params *v;
    world_open(&u, 20);
    net = bnn_mlp(u.w, (bnn_mlp_desc){ .sizes = { 2, 3, 3, 1 }, .activation = BNN_TANH });
    bnn_rng_fill_normal(&u.tape.rng, u.w->n, u.w->theta);
    x = bnn_mat_new(&u.mem, 9, 2);
    bnn_rng_fill_normal(&u.tape.rng, 18, x.data);
    w3 = bnn_params_mat(u.w, 4);
    bnn_mat_fill(w3, 0); /* nothing reaches the output: one unit of each layer stays */
    v = bnn_params_new(&u.mem);
    small = bnn_mlp_shrink(v, &net, NULL);
    CHECK(v->n == 2 + 1 + 1 + 1 + 1 + 1);
    CHECK_NEAR(largest_difference(&u, &net, &small, x), 0, TIGHT);
    world_close(&u);
}

static void shrinking_by_masks_drops_what_it_is_told(void) {
    world u;
    const unsigned char one[4] = { 1, 0, 1, 1 }, none[4] = { 0, 0, 0, 0 };
    const unsigned char *keep[2] = { one, NULL }, *all[2] = { none, NULL };
    bnn_net net, small;
    bnn_params *v;
    world_open(&u, 21);
    net = bnn_mlp(u.w, (bnn_mlp_desc){ .sizes = { 2, 4, 3, 1 }, .prior = { .std = 2, .fan_in = 1 } });
    v = bnn_params_new(&u.mem);
    small = bnn_mlp_shrink(v, &net, keep);
    CHECK(v->blocks[0].cols == 3 && v->blocks[2].rows == 3 && v->blocks[2].cols == 3);
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < 3; k++)
            CHECK_SAME(bnn_params_mat(v, 0).data[i * 3 + k],
                       bnn_params_mat(u.w, 0).data[i * 4 + k + (k > 0)]);
    CHECK_SAME(v->blocks[2].prior.std, u.w->blocks[2].prior.std); /* as it was in force */
    CHECK(small.mlp != net.mlp && small.params == v);
    v = bnn_params_new(&u.mem);
    CHECK(bnn_mlp_shrink(v, &net, all).params == NULL && u.mem.err == BNN_EARG && v->n == 0);
    u.mem.err = BNN_OK;
    CHECK(bnn_mlp_shrink(u.w, &net, NULL).params == NULL && u.mem.err == BNN_EARG);
    u.mem.err = BNN_OK;
    world_close(&u);
}

static void a_constant_without_a_bias_to_go_to_stays(void) {
    world u;
    const unsigned char one[2] = { 0, 1 };
    const unsigned char *keep[1] = { one };
    bnn_net net;
    bnn_params *v;
    world_open(&u, 22);
    net = bnn_mlp(u.w, (bnn_mlp_desc){ .sizes = { 1, 2, 1 }, .activation = BNN_SIGMOID,
                                       .no_bias = 1 });
    bnn_params_mat(u.w, 0).data[0] = 0;
    v = bnn_params_new(&u.mem);
    CHECK(bnn_mlp_shrink(v, &net, NULL).params == v && v->n == 4);
    v = bnn_params_new(&u.mem);
    CHECK(bnn_mlp_shrink(v, &net, keep).params == NULL && u.mem.err == BNN_EARG);
    u.mem.err = BNN_OK;
    world_close(&u);
}

/* ---- S5.1, S5.3, S5.4: divergences */

static const double root_2pi = 2.5066282746310005;

/* prior density of the library at x, through a one-weight store */
static double log_prior_at(bnn_params *one, double x) {
    one->theta[0] = (float)x;
    return bnn_params_log_prior(one);
}

/* KL(N(mu, s^2) || prior) by the trapezoid rule, which converges geometrically here */
static double kl_by_quadrature(bnn_params *one, double mu, double s) {
    double sum = 0, h = 1e-3, keep = (double)one->theta[0];
    for (int i = -12000; i <= 12000; i++) {
        double e = i * h, q = exp(-e * e / 2) / root_2pi;
        sum += h * q * (-e * e / 2 - log(s * root_2pi) - log_prior_at(one, mu + s * e));
    }
    one->theta[0] = (float)keep;
    return sum;
}

static void set_q(bnn_meanfield *q, size_t i, double mu, double s) {
    q->params->theta[i] = (float)mu;
    q->params->theta[q->n + i] = q->scale == BNN_SCALE_LOG ? (float)(log(s) / (double)q->log_rate)
                                                           : (float)(s + log(-expm1(-s)));
}

static void the_divergence_of_normal_and_laplace_is_the_integral(void) {
    const double at[][2] = { { 0.3, 0.5 }, { -1.2, 0.05 }, { 0, 1 }, { 2, 3 }, { 0.5, 0.2 } };
    for (int kind = BNN_PRIOR_NORMAL; kind <= BNN_PRIOR_LAPLACE; kind++)
        for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
            world u;
            bnn_meanfield q;
            double kl;
            world_open(&u, 30);
            bnn_params_add(u.w, 1, 1, "w", (bnn_prior){ .kind = kind, .std = (float)0.7,
                                                        .mean = (float)0.5 });
            q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .init_std = 1 });
            set_q(&q, 0, at[i][0], at[i][1]);
            kl = bnn_meanfield_kl(&q);
            CHECK_NEAR(kl, kl_by_quadrature(u.w, (double)q.params->theta[0], (double)q.sigma[0]),
                       BUILD_TOL(2e-4, kind == BNN_PRIOR_NORMAL ? 1e-11 : 1e-6));
            CHECK(kl > 0);
            world_close(&u);
        }
}

static void the_divergence_of_equal_gaussians_is_zero(void) {
    world u;
    bnn_meanfield q;
    world_open(&u, 31);
    bnn_params_add(u.w, 2, 3, "w", (bnn_prior){ .std = (float)0.25, .mean = (float)-0.5 });
    q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .scale = BNN_SCALE_LOG });
    for (size_t i = 0; i < 6; i++) set_q(&q, i, -0.5, 0.25);
    CHECK_NEAR(bnn_meanfield_kl(&q), 0, BUILD_TOL(1e-12, 1e-28));
    q.params->theta[3] += (float)1e-3;
    CHECK(bnn_meanfield_kl(&q) > 1e-6);
    world_close(&u);
}

/* gradient of KL alone: N = 1, no likelihood */
static void divergence_gradient(world *u, bnn_meanfield *q) {
    bnn_tape_reset(&u->tape);
    u->tape.n_data = 1;
    bnn_meanfield_sample(q, &u->tape);
    bnn_params_zero_grad(q->params);
    bnn_params_zero_grad(q->of);
    bnn_meanfield_backward(q, &u->tape);
}

/* The KL of a frozen draw, so that Monte Carlo ones have differences, too */
static double frozen_kl(world *u, bnn_meanfield *q, bnn_rng rng) {
    bnn_rng keep = u->tape.rng;
    double kl;
    u->tape.rng = rng;
    bnn_meanfield_sample(q, &u->tape);
    kl = bnn_meanfield_kl(q);
    u->tape.rng = keep;
    return kl;
}

static void the_gradient_of_the_divergence_is_its_difference(void) {
    double h = BUILD_TOL(1e-2, 1e-5), tol = BUILD_TOL(2e-2, 2e-8);
    for (int kind = BNN_PRIOR_NORMAL; kind <= BNN_PRIOR_STUDENT; kind++)
        for (int scale = 0; scale <= 2; scale++)
            for (int ard = 0; ard <= BNN_ARD_WEIGHT; ard++) {
                world u;
                bnn_meanfield q;
                bnn_rng rng;
                if (ard && kind != BNN_PRIOR_NORMAL) continue;
                world_open(&u, 32);
                bnn_params_add(u.w, 2, 2, "w", (bnn_prior){ .kind = kind, .std = (float)0.7,
                               .std2 = (float)0.1, .mean = (float)0.2, .nu = 3 });
                bnn_params_add(u.w, 1, 3, "flat", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
                q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .scale = scale != 0, .ard = ard,
                                      .log_rate = scale == 2 ? 4 : 0 });
                for (size_t i = 0; i < 7; i++)
                    set_q(&q, i, 0.3 * (double)i - 0.8, 0.1 + 0.2 * (double)i);
                rng = u.tape.rng;
                divergence_gradient(&u, &q);
                for (size_t i = 0; i < 14; i++) {
                    double keep = (double)q.params->theta[i], up, down;
                    q.params->theta[i] = (float)(keep + h);
                    up = frozen_kl(&u, &q, rng);
                    q.params->theta[i] = (float)(keep - h);
                    down = frozen_kl(&u, &q, rng);
                    q.params->theta[i] = (float)keep;
                    CHECK_NEAR(q.params->grad[i], (up - down) / (2 * h),
                               tol * (1 + fabs((double)q.params->grad[i])));
                }
                for (size_t i = 4; i < 7; i++) CHECK(q.params->grad[i] == 0); /* flat */
                world_close(&u);
            }
}

static void a_sampled_divergence_has_the_mean_of_the_closed_form(void) {
    enum { S = 100000 };
    world u;
    bnn_meanfield q;
    double sum = 0, sum2 = 0, g[2] = { 0 }, g2[2] = { 0 }, mu = 0.4, s = 0.3, v = 0.36;
    world_open(&u, 33);
    bnn_params_add(u.w, 1, 1, "w", (bnn_prior){ .kind = BNN_PRIOR_MIXTURE, .std = (float)0.6,
                                                .weight = 1 });
    q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ 0 });
    set_q(&q, 0, mu, s);
    for (int i = 0; i < S; i++) {
        double kl;
        divergence_gradient(&u, &q);
        kl = bnn_meanfield_kl(&q);
        sum += kl, sum2 += kl * kl;
        for (int k = 0; k < 2; k++) {
            double x = (double)q.params->grad[k];
            g[k] += x, g2[k] += x * x;
        }
    }
    CHECK_NEAR(sum / S, log(sqrt(v) / s) + (s * s + mu * mu - v) / (2 * v),
               4 * sqrt((sum2 / S - sum / S * (sum / S)) / S) + 1e-6);
    CHECK_NEAR(g[0] / S, mu / v, 4 * sqrt((g2[0] / S - g[0] / S * (g[0] / S)) / S) + 1e-5);
    CHECK_NEAR(g[1] / S, (s / v - 1 / s) * -expm1(-s),
               4 * sqrt((g2[1] / S - g[1] / S * (g[1] / S)) / S) + 1e-5);
    world_close(&u);
}

/* ---- S5.7: gradients of an expectation */

typedef struct quartic {
    bnn_params *w;
    double a, b, c;
} quartic;

static bnn_var *quartic_loss(bnn_tape *t, void *user) { /* a w^4 + b w^2 + c w */
    const quartic *f = (const quartic *)user;
    bnn_var *w = bnn_param(t, f->w, 0), *w2 = bnn_square(w);
    return bnn_sum(bnn_add(bnn_add(bnn_scale(bnn_square(w2), (float)f->a),
                                   bnn_scale(w2, (float)f->b)), bnn_scale(w, (float)f->c)));
}

/* mean and standard error of d/dmu, d/dsigma over draws */
static void estimate(const quartic *f0, int estimator, double mu, double s, int draws,
                     double mean[2], double se[2]) {
    world u;
    bnn_meanfield q;
    quartic f = *f0;
    double sum[2] = { 0 }, sum2[2] = { 0 };
    world_open(&u, 40 + (uint64_t)estimator);
    bnn_params_add(u.w, 1, 1, "w", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    f.w = u.w;
    q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .estimator = estimator });
    set_q(&q, 0, mu, s);
    for (int i = 0; i < draws; i++) {
        bnn_tape_reset(&u.tape);
        bnn_meanfield_sample(&q, &u.tape);
        bnn_params_zero_grad(q.params);
        if (estimator == BNN_ESTIMATE_PRICE)
            bnn_meanfield_curvature(&q, &u.tape, quartic_loss, &f, 0);
        bnn_backward(quartic_loss(&u.tape, &f));
        bnn_meanfield_backward(&q, &u.tape);
        for (int k = 0; k < 2; k++) {
            double x = (double)q.params->grad[k] / (k ? -expm1(-(double)q.sigma[0]) : 1);
            sum[k] += x, sum2[k] += x * x;
        }
    }
    for (int k = 0; k < 2; k++) {
        mean[k] = sum[k] / draws;
        se[k] = sqrt(fabs(sum2[k] / draws - mean[k] * mean[k]) / draws);
    }
    world_close(&u);
}

static void unbiased_estimators_have_the_exact_mean(void) {
    const quartic f[2] = { { NULL, 0, 0.7, -0.4 }, { NULL, 0.3, -0.5, 0.2 } };
    double mu = 0.6, s = 0.4, mean[2], se[2], other[2], other_se[2];
    for (int i = 0; i < 2; i++) {
        double a = f[i].a, b = f[i].b, c = f[i].c, m2 = mu * mu, v = s * s;
        double dmu = a * (4 * mu * m2 + 12 * mu * v) + 2 * b * mu + c;
        double ds = 2 * s * (a * (6 * m2 + 6 * v) + b);
        estimate(&f[i], BNN_ESTIMATE_PATH, mu, s, 100000, mean, se);
        CHECK_NEAR(mean[0], dmu, 4 * se[0]);
        CHECK_NEAR(mean[1], ds, 4 * se[1]);
        CHECK(se[1] > 0);
        estimate(&f[i], BNN_ESTIMATE_PRICE, mu, s, 20000, other, other_se);
        CHECK_NEAR(other[0], dmu, 4 * other_se[0]);
        CHECK_NEAR(other[1], ds, 4 * other_se[1] + BUILD_TOL(2e-3, 1e-6));
        CHECK(other_se[1] * sqrt(20000) < se[1] * sqrt(100000)); /* less noise per draw */
    }
}

static void the_square_of_the_gradient_is_biased_as_predicted(void) {
    quartic f = { NULL, 0, 0.7, -0.4 }; /* g = 2 b w + c; E g^2 = (2 b mu + c)^2 + 4 b^2 s^2 */
    double mu = 0.6, s = 0.4, mean[2], se[2], g = 2 * f.b * mu + f.c, slope = 2 * f.b;
    double predicted = s * (g * g + slope * slope * s * s), exact = 2 * s * f.b;
    estimate(&f, BNN_ESTIMATE_BATCH_BIASED, mu, s, 100000, mean, se);
    CHECK_NEAR(mean[1], predicted, 4 * se[1]);
    CHECK(fabs(mean[1] - exact) > 40 * se[1]);
}

/* One weight, nll -ln N(y; w, 1) per row: y ~ N(w, 1) makes the model right */
static bnn_net mean_net(world *u) {
    bnn_net net = bnn_mlp(u->w, (bnn_mlp_desc){ .sizes = { 1, 1 }, .no_bias = 1,
                                                .prior = { .kind = BNN_PRIOR_FLAT } });
    return net;
}

static void graves_squares_are_right_where_the_model_is_right(void) {
    enum { BATCH = 50, S = 20000 };
    double s = 0.1, sum = 0, sum2 = 0, biased = 0, biased2 = 0;
    for (int e = 0; e < 2; e++) {
        world u;
        bnn_meanfield q;
        bnn_net net;
        bnn_mat x, y;
        world_open(&u, 50);
        net = mean_net(&u);
        x = bnn_mat_new(&u.mem, BATCH, 1), y = bnn_mat_new(&u.mem, BATCH, 1);
        bnn_mat_fill(x, 1);
        q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .estimator = e == 0 ? BNN_ESTIMATE_SQUARES
                                                         : BNN_ESTIMATE_BATCH_BIASED });
        set_q(&q, 0, 0.3, s);
        for (int i = 0; i < S; i++) {
            double ds;
            bnn_tape_reset(&u.tape);
            bnn_meanfield_sample(&q, &u.tape);
            bnn_rng_fill_normal(&u.tape.rng, BATCH, y.data);
            for (int k = 0; k < BATCH; k++) y.data[k] += u.w->theta[0];
            bnn_params_zero_grad(q.params);
            bnn_backward(bnn_net_nll(&net, bnn_batch_all(&u.tape, (bnn_data){ x, y })));
            bnn_meanfield_backward(&q, &u.tape);
            ds = (double)q.params->grad[1] / -expm1(-(double)q.sigma[0]);
            if (e == 0) sum += ds, sum2 += ds * ds;
            else biased += ds, biased2 += ds * ds;
        }
        world_close(&u);
    }
    /* L'' = 1: ds = s. The batch's gradient squared is 1/BATCH of it. */
    CHECK_NEAR(sum / S, s, 4 * sqrt((sum2 / S - sum / S * (sum / S)) / S));
    CHECK_NEAR(biased / S, s / BATCH,
               4 * sqrt((biased2 / S - biased / S * (biased / S)) / S));
}

/* ---- S2.13 */

static void squares_of_the_examples_gradients_are_those_of_single_passes(void) {
    enum { ROWS = 7 };
    world u;
    bnn_net net;
    bnn_mat x, y;
    double *sum;
    float *got;
    world_open(&u, 60);
    net = bnn_mlp(u.w, (bnn_mlp_desc){ .sizes = { 3, 5, 4, 3 }, .activation = BNN_TANH,
                                       .likelihood = BNN_CATEGORICAL });
    x = bnn_mat_new(&u.mem, ROWS, 3), y = bnn_mat_new(&u.mem, ROWS, 1);
    bnn_rng_fill_normal(&u.tape.rng, ROWS * 3, x.data);
    for (size_t i = 0; i < ROWS; i++) y.data[i] = (float)(i % 3);
    sum = (double *)calloc(u.w->n, sizeof *sum);
    got = (float *)calloc(u.w->n, sizeof *got);
    for (size_t i = 0; i < ROWS; i++) {
        bnn_tape_reset(&u.tape);
        bnn_params_zero_grad(u.w);
        bnn_backward(bnn_net_nll(&net, bnn_batch_all(&u.tape, bnn_data_rows((bnn_data){ x, y }, i,
                                                                           1))));
        for (size_t k = 0; k < u.w->n; k++)
            sum[k] += (double)u.w->grad[k] * (double)u.w->grad[k];
    }
    bnn_tape_reset(&u.tape);
    bnn_backward(bnn_net_nll(&net, bnn_batch_all(&u.tape, (bnn_data){ x, y })));
    bnn_grad_squares(&u.tape, u.w, got);
    for (size_t k = 0; k < u.w->n; k++) CHECK_NEAR(got[k], sum[k], BUILD_TOL(1e-5, 1e-12));
    bnn_params_add(u.w, 1, 1, "alone", (bnn_prior){ 0 });
    bnn_tape_reset(&u.tape);
    bnn_backward(bnn_net_nll(&net, bnn_batch_all(&u.tape, (bnn_data){ x, y })));
    bnn_grad_squares(&u.tape, u.w, bnn_mat_new(&u.mem, 1, u.w->n).data);
    CHECK(u.tape.err == BNN_EARG && strstr(u.tape.msg, "alone") != NULL);
    bnn_tape_clear_error(&u.tape);
    free(sum);
    free(got);
    world_close(&u);
}

static void the_hessian_diagonal_is_exact_or_unbiased(void) {
    enum { PROBES = 400 };
    world u;
    quartic f = { NULL, 0.3, -0.5, 0.2 };
    float exact[3], guess[3];
    world_open(&u, 61);
    bnn_params_add(u.w, 1, 3, "w", (bnn_prior){ 0 });
    u.w->theta[0] = (float)0.5, u.w->theta[1] = -1, u.w->theta[2] = 2;
    f.w = u.w;
    bnn_hessian_diagonal(&u.tape, u.w, quartic_loss, &f, 0, exact);
    bnn_hessian_diagonal(&u.tape, u.w, quartic_loss, &f, PROBES, guess);
    for (int i = 0; i < 3; i++) {
        double w = (double)u.w->theta[i], h = 12 * f.a * w * w + 2 * f.b;
        CHECK_NEAR(exact[i], h, BUILD_TOL(2e-2, 1e-6) * (1 + fabs(h)));
        CHECK_NEAR(guess[i], h, BUILD_TOL(4e-2, 1e-5) * (1 + fabs(h))); /* a diagonal H: exact */
    }
    world_close(&u);
}

int main(void) {
    RUN(a_shrunk_net_is_the_masked_net);
    RUN(shrinking_strands_what_only_dead_units_fed);
    RUN(shrinking_by_masks_drops_what_it_is_told);
    RUN(a_constant_without_a_bias_to_go_to_stays);
    RUN(the_divergence_of_normal_and_laplace_is_the_integral);
    RUN(the_divergence_of_equal_gaussians_is_zero);
    RUN(the_gradient_of_the_divergence_is_its_difference);
    RUN(a_sampled_divergence_has_the_mean_of_the_closed_form);
    RUN(unbiased_estimators_have_the_exact_mean);
    RUN(the_square_of_the_gradient_is_biased_as_predicted);
    RUN(graves_squares_are_right_where_the_model_is_right);
    RUN(squares_of_the_examples_gradients_are_those_of_single_passes);
    RUN(the_hessian_diagonal_is_exact_or_unbiased);
    return check_done();
}
