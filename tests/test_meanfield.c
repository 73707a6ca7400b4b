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

/* ---- S3.7, S3.8, S3.9, S3.12: priors that follow q */

static double kl_with(bnn_meanfield *q, double mean, double std) {
    bnn_prior keep = q->of->blocks[0].prior;
    double kl;
    q->of->blocks[0].prior.mean = (float)mean;
    q->of->blocks[0].prior.std = (float)std;
    kl = bnn_meanfield_kl(q);
    q->of->blocks[0].prior = keep;
    return kl;
}

static void adaptive_priors_are_optimal(void) {
    enum { W = 9 };
    for (int kind = BNN_PRIOR_NORMAL; kind <= BNN_PRIOR_LAPLACE; kind++)
        for (int posterior = 0; posterior <= BNN_POSTERIOR_DELTA; posterior++) {
            world u;
            bnn_meanfield q;
            double best, m, b, h = BUILD_TOL(1e-2, 1e-4);
            world_open(&u, 70);
            bnn_params_add(u.w, 3, 3, "w", (bnn_prior){ .kind = kind, .adapt_mean = 1,
                                                        .adapt_std = 1 });
            q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .posterior = posterior });
            bnn_rng_fill_normal(&u.tape.rng, W, q.params->theta);
            for (size_t i = 0; i < W; i++) set_q(&q, i, (double)q.params->theta[i] + 0.4,
                                                 0.1 + 0.05 * (double)i);
            bnn_meanfield_update_priors(&q, 1);
            m = (double)u.w->blocks[0].prior.mean, b = (double)u.w->blocks[0].prior.std;
            best = kl_with(&q, m, b);
            for (int i = 0; i < 1000; i++) {
                double dm = (double)bnn_rng_normal(&u.tape.rng), db =
                    exp((double)bnn_rng_normal(&u.tape.rng));
                CHECK(kl_with(&q, m + dm, b * db) >= best - BUILD_TOL(1e-4, 1e-10));
            }
            if (kind == BNN_PRIOR_NORMAL || posterior != BNN_POSTERIOR_DELTA) { /* smooth */
                CHECK_NEAR(kl_with(&q, m + h, b), kl_with(&q, m - h, b), BUILD_TOL(1e-3, 1e-7));
                CHECK_NEAR(kl_with(&q, m, b * (1 + h)), kl_with(&q, m, b * (1 - h)),
                           BUILD_TOL(1e-3, 1e-7));
            }
            if (kind == BNN_PRIOR_NORMAL && posterior != BNN_POSTERIOR_DELTA) {
                double sum = 0;
                for (size_t i = 0; i < W; i++) sum += log(b / (double)q.sigma[i]);
                CHECK_NEAR(best, sum, TIGHT * 10);
            }
            if (kind == BNN_PRIOR_LAPLACE && posterior == BNN_POSTERIOR_DELTA)
                CHECK_NEAR(best, W * log(2 * exp(1) * b), TIGHT * 10);
            world_close(&u);
        }
}

static void priors_by_gradient_arrive_where_the_closed_form_is(void) {
    for (int kind = BNN_PRIOR_NORMAL; kind <= BNN_PRIOR_LAPLACE; kind++) {
        world u;
        bnn_meanfield q;
        float m, s;
        world_open(&u, 71);
        bnn_params_add(u.w, 3, 3, "w", (bnn_prior){ .kind = kind, .adapt_mean = 1, .adapt_std = 1 });
        q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .init_std = (float)0.1 });
        bnn_rng_fill_normal(&u.tape.rng, 9, q.params->theta);
        bnn_meanfield_update_priors(&q, 1);
        m = u.w->blocks[0].prior.mean, s = u.w->blocks[0].prior.std;
        u.w->blocks[0].prior.mean = 3, u.w->blocks[0].prior.std = 5;
        for (int i = 0; i < 400; i++) bnn_meanfield_update_priors(&q, 0.1);
        CHECK_NEAR(u.w->blocks[0].prior.mean, m, BUILD_TOL(1e-5, 1e-9));
        CHECK_NEAR(u.w->blocks[0].prior.std, s, BUILD_TOL(1e-5, 1e-9));
        world_close(&u);
    }
}

static void a_shared_prior_is_that_of_all_weights(void) {
    world u;
    bnn_meanfield q;
    double m = 0, v = 0;
    world_open(&u, 72);
    bnn_params_add(u.w, 2, 3, "a", (bnn_prior){ .adapt_mean = 1, .adapt_std = 1 });
    bnn_params_add(u.w, 1, 4, "b", (bnn_prior){ .adapt_mean = 1, .adapt_std = 1 });
    bnn_params_add(u.w, 1, 1, "noise", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .share = 1, .init_std = (float)0.3 });
    bnn_rng_fill_normal(&u.tape.rng, 11, q.params->theta);
    bnn_meanfield_update_priors(&q, 1);
    for (int i = 0; i < 10; i++) m += (double)q.params->theta[i] / 10;
    for (int i = 0; i < 10; i++) v += pow((double)q.params->theta[i] - m, 2) / 10 + 0.09 / 10;
    for (int b = 0; b < 2; b++) {
        CHECK_NEAR(u.w->blocks[b].prior.mean, m, BUILD_TOL(1e-6, 1e-12));
        CHECK_NEAR(u.w->blocks[b].prior.std, sqrt(v), BUILD_TOL(1e-6, 1e-12));
    }
    world_close(&u);
}

static void a_hierarchical_prior_takes_the_expected_squares(void) {
    world u;
    bnn_meanfield q;
    double ss = 0;
    world_open(&u, 73);
    bnn_params_add(u.w, 1, 5, "w", (bnn_prior){ .shape = 3, .rate = 2 });
    q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .init_std = (float)0.5 });
    bnn_rng_fill_normal(&u.tape.rng, 5, q.params->theta);
    for (int i = 0; i < 5; i++) ss += pow((double)q.params->theta[i], 2) + 0.25;
    bnn_meanfield_update_priors(&q, 1);
    CHECK_NEAR(u.w->blocks[0].prior.std, sqrt((2 + ss / 2) / (3 + 2.5 + 1)), TIGHT);
    world_close(&u);
}

static void relevance_costs_half_a_log_of_signal_to_noise(void) {
    world u;
    bnn_meanfield q;
    double sum = 0, best;
    world_open(&u, 74);
    bnn_params_add(u.w, 2, 3, "w", (bnn_prior){ 0 });
    q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .ard = BNN_ARD_WEIGHT });
    bnn_rng_fill_normal(&u.tape.rng, 6, q.params->theta);
    for (size_t i = 0; i < 6; i++) {
        double mu = (double)q.params->theta[i], s = 0.1 + 0.2 * (double)i;
        set_q(&q, i, mu, s);
        sum += log1p(mu * mu / (s * s)) / 2;
    }
    best = bnn_meanfield_kl(&q);
    CHECK_NEAR(best, sum, TIGHT * 10);
    q.ard = BNN_ARD_INPUT; /* the optimum of a common variance per row */
    best = bnn_meanfield_kl(&q);
    q.ard = BNN_ARD_NONE;
    for (int i = 0; i < 200; i++) {
        double kl = 0, v[2];
        for (int r = 0; r < 2; r++) {
            double m = 0;
            for (int j = 0; j < 3; j++)
                m += (pow((double)q.params->theta[3 * r + j], 2) + pow((double)q.sigma[3 * r + j], 2))
                     / 3;
            v[r] = m * exp(i == 0 ? 0 : 0.3 * (double)bnn_rng_normal(&u.tape.rng));
            for (int j = 0; j < 3; j++) {
                double mu = (double)q.params->theta[3 * r + j], s = (double)q.sigma[3 * r + j];
                kl += log(sqrt(v[r]) / s) + (s * s + mu * mu - v[r]) / (2 * v[r]);
            }
        }
        if (i == 0) CHECK_NEAR(kl, best, TIGHT * 10);
        CHECK(kl >= best - BUILD_TOL(1e-5, 1e-11));
    }
    CHECK(sum < best);
    world_close(&u);
}

/* ---- S5.2, S5.8, S5.15: conjugate linear regression, S3.10 */

enum { ROWS = 40, DIM = 3 };

typedef struct linear {
    world u;
    bnn_net net;
    bnn_data data;
    double lambda[DIM][DIM], m[DIM], evidence; /* posterior precision, mean, ln p(y) */
} linear;

/* y = x w + N(0, 1/beta), w ~ N(0, I/alpha), no bias */
static void linear_open(linear *l, uint64_t seed, size_t copies) {
    const double beta = 4, alpha = 2;
    double b[DIM] = { 0 }, chol[DIM][DIM], yy = 0;
    bnn_rng rng = bnn_rng_seed(build_seed(seed));
    size_t rows = ROWS * copies;
    world_open(&l->u, seed);
    l->net = bnn_mlp(l->u.w, (bnn_mlp_desc){ .sizes = { DIM, 1 }, .no_bias = 1,
                     .noise_std = (float)0.5, .prior = { .std = (float)sqrt(1 / alpha) } });
    l->data.x = bnn_mat_new(&l->u.mem, rows, DIM), l->data.y = bnn_mat_new(&l->u.mem, rows, 1);
    for (size_t i = 0; i < ROWS; i++) {
        float *x = l->data.x.data + i * DIM;
        for (int k = 0; k < DIM; k++) x[k] = bnn_rng_normal(&rng);
        x[1] = (float)(0.6 * (double)x[0] + 0.8 * (double)x[1]); /* correlated */
        l->data.y.data[i] = x[0] - x[2] / 2 + bnn_rng_normal(&rng) / 2;
    }
    for (size_t i = ROWS; i < rows; i++) {
        memcpy(l->data.x.data + i * DIM, l->data.x.data + (i - ROWS) * DIM, DIM * sizeof(float));
        l->data.y.data[i] = l->data.y.data[i - ROWS];
    }
    for (int i = 0; i < DIM; i++)
        for (int j = 0; j < DIM; j++) l->lambda[i][j] = i == j ? alpha : 0;
    for (size_t r = 0; r < rows; r++) {
        double y = (double)l->data.y.data[r];
        yy += y * y;
        for (int i = 0; i < DIM; i++) {
            double x = (double)l->data.x.data[r * DIM + (size_t)i];
            b[i] += beta * x * y;
            for (int j = 0; j < DIM; j++)
                l->lambda[i][j] += beta * x * (double)l->data.x.data[r * DIM + (size_t)j];
        }
    }
    l->evidence = DIM * log(alpha) / 2 + (double)rows * log(beta / (2 * acos(-1))) / 2 - beta * yy / 2;
    for (int i = 0; i < DIM; i++) /* Cholesky, and m = A^-1 b */
        for (int j = 0; j <= i; j++) {
            double t = l->lambda[i][j];
            for (int k = 0; k < j; k++) t -= chol[i][k] * chol[j][k];
            chol[i][j] = i == j ? sqrt(t) : t / chol[j][j];
        }
    for (int i = 0; i < DIM; i++) {
        l->m[i] = b[i];
        for (int k = 0; k < i; k++) l->m[i] -= chol[i][k] * l->m[k];
        l->m[i] /= chol[i][i];
        l->evidence += l->m[i] * l->m[i] / 2 - log(chol[i][i]);
    }
    for (int i = DIM - 1; i >= 0; i--) {
        for (int k = i + 1; k < DIM; k++) l->m[i] -= chol[k][i] * l->m[k];
        l->m[i] /= chol[i][i];
    }
}

static bnn_var *linear_nll(bnn_tape *t, void *user) {
    linear *l = (linear *)user;
    return bnn_net_nll(&l->net, bnn_batch_all(t, l->data));
}

/* Adam on antithetic pairs of draws: the gradient of mu is exact where the loss is quadratic. */
static void fit(linear *l, bnn_meanfield *q, int steps) {
    bnn_stepper adam = bnn_adam(q->params, (bnn_adam_desc){ .lr = (float)0.05 });
    q->draws = 2;
    for (int s = 0; s < steps; s++) {
        adam.lr = (float)(0.05 * pow(1 - (double)s / steps, 4));
        bnn_tape_reset(&l->u.tape);
        for (int pair = 0; pair < 2; pair++) {
            float eps[DIM];
            memcpy(eps, q->eps, sizeof eps);
            bnn_meanfield_sample(q, &l->u.tape);
            for (int i = 0; pair == 1 && i < DIM; i++) {
                q->eps[i] = -eps[i];
                q->of->theta[i] = q->params->theta[i] + q->sigma[i] * q->eps[i];
            }
            if (q->estimator == BNN_ESTIMATE_PRICE)
                bnn_meanfield_curvature(q, &l->u.tape, linear_nll, l, 0);
            bnn_backward(linear_nll(&l->u.tape, l));
            bnn_meanfield_backward(q, &l->u.tape);
        }
        bnn_step(&adam, &l->u.tape);
    }
}

/* E_q of the energy is quadratic in w: exact by S5.2 */
static double exact_free_energy(const linear *l, const bnn_meanfield *q) {
    double sum = 0;
    for (size_t r = 0; r < l->data.x.rows; r++) {
        double f = -(double)l->data.y.data[r], v = 0;
        for (size_t k = 0; k < DIM; k++) {
            double x = (double)l->data.x.data[r * DIM + k], s = (double)q->sigma[k];
            f += x * (double)q->params->theta[k];
            v += x * x * s * s;
        }
        sum += 4 * (f * f + v) / 2 - log(4 / (2 * acos(-1))) / 2;
    }
    return sum + bnn_meanfield_kl(q);
}

static void the_optimum_of_conjugate_regression_is_reached(void) {
    for (int estimator = BNN_ESTIMATE_PATH; estimator <= BNN_ESTIMATE_PRICE; estimator++) {
        linear l;
        bnn_meanfield q;
        double gap = 0;
        linear_open(&l, 80, 1);
        q = bnn_meanfield_new(l.u.w, (bnn_meanfield_desc){ .estimator = estimator,
                                                           .init_std = (float)0.1 });
        fit(&l, &q, estimator == BNN_ESTIMATE_PATH ? 20000 : 2500);
        (void)bnn_meanfield_kl(&q); /* sigma of the last rho */
        for (int i = 0; i < DIM; i++) {
            CHECK_NEAR(q.params->theta[i], l.m[i], 1e-3);
            CHECK_NEAR((double)q.sigma[i] * (double)q.sigma[i], 1 / l.lambda[i][i], 1e-3);
        }
        if (estimator == BNN_ESTIMATE_PRICE) { /* gap (sum ln A_ii - ln|A|)/2 */
            double det = l.lambda[0][0] * (l.lambda[1][1] * l.lambda[2][2] -
                                           l.lambda[1][2] * l.lambda[2][1]) -
                         l.lambda[0][1] * (l.lambda[1][0] * l.lambda[2][2] -
                                           l.lambda[1][2] * l.lambda[2][0]) +
                         l.lambda[0][2] * (l.lambda[1][0] * l.lambda[2][1] -
                                           l.lambda[1][1] * l.lambda[2][0]);
            for (int i = 0; i < DIM; i++) gap += log(l.lambda[i][i]) / 2;
            CHECK_NEAR(exact_free_energy(&l, &q) + l.evidence, gap - log(det) / 2,
                       BUILD_TOL(2e-3, 1e-4));
        }
        world_close(&l.u);
    }
}

static void the_gradient_of_the_free_energy_is_unbiased(void) {
    enum { S = 100000 };
    linear l;
    bnn_meanfield q;
    double sum[2 * DIM] = { 0 }, sum2[2 * DIM] = { 0 };
    linear_open(&l, 81, 1);
    q = bnn_meanfield_new(l.u.w, (bnn_meanfield_desc){ 0 });
    for (size_t i = 0; i < DIM; i++) set_q(&q, i, 0.3 * (double)i, 0.2 + 0.1 * (double)i);
    for (int k = 0; k < S; k++) {
        bnn_tape_reset(&l.u.tape);
        bnn_meanfield_sample(&q, &l.u.tape);
        bnn_backward(linear_nll(&l.u.tape, &l));
        bnn_params_zero_grad(q.params);
        bnn_meanfield_backward(&q, &l.u.tape);
        for (int i = 0; i < 2 * DIM; i++) {
            double g = (double)q.params->grad[i];
            sum[i] += g, sum2[i] += g * g;
        }
    }
    for (int i = 0; i < DIM; i++) { /* U is quadratic: dF/dmu = A (mu - m), dF/ds = A_ii s - 1/s */
        double s = (double)q.sigma[i], d = 0, h = (l.lambda[i][i] * s - 1 / s) * -expm1(-s);
        for (int j = 0; j < DIM; j++) d += l.lambda[i][j] * ((double)q.params->theta[j] - l.m[j]);
        CHECK_NEAR(sum[i] / S, d / ROWS,
                   4 * sqrt((sum2[i] / S - pow(sum[i] / S, 2)) / S));
        CHECK_NEAR(sum[DIM + i] / S, h / ROWS,
                   4 * sqrt((sum2[DIM + i] / S - pow(sum[DIM + i] / S, 2)) / S));
    }
    world_close(&l.u);
}

static void a_tempered_divergence_is_that_of_more_data(void) {
    linear once, thrice;
    bnn_meanfield p, q;
    linear_open(&once, 82, 1);
    linear_open(&thrice, 82, 3);
    p = bnn_meanfield_new(once.u.w, (bnn_meanfield_desc){ .estimator = BNN_ESTIMATE_PRICE,
                          .kl_weight = (float)(1.0 / 3), .init_std = (float)0.1 });
    q = bnn_meanfield_new(thrice.u.w, (bnn_meanfield_desc){ .estimator = BNN_ESTIMATE_PRICE,
                                                            .init_std = (float)0.1 });
    fit(&once, &p, 2500);
    fit(&thrice, &q, 2500);
    for (size_t i = 0; i < DIM; i++) {
        CHECK_NEAR(p.params->theta[i], q.params->theta[i], 2e-4);
        CHECK_NEAR(p.sigma[i], q.sigma[i], 2e-4);
        CHECK_NEAR(1 / pow((double)q.sigma[i], 2), thrice.lambda[i][i],
                   0.01 * thrice.lambda[i][i]); /* S5.8: 1/s^2 = 1/v + curvature */
    }
    world_close(&once.u);
    world_close(&thrice.u);
}

static void no_divergence_and_no_noise_is_least_squares(void) {
    linear l;
    bnn_meanfield q;
    double a[DIM] = { 0 };
    linear_open(&l, 83, 1);
    q = bnn_meanfield_new(l.u.w, (bnn_meanfield_desc){ .posterior = BNN_POSTERIOR_FIXED,
                                                       .init_std = (float)3e-9 });
    q.kl_weight = 0;
    fit(&l, &q, 3000);
    for (size_t r = 0; r < ROWS; r++) { /* normal equations */
        double e = -(double)l.data.y.data[r];
        for (size_t k = 0; k < DIM; k++)
            e += (double)l.data.x.data[r * DIM + k] * (double)q.params->theta[k];
        for (size_t k = 0; k < DIM; k++) a[k] += e * (double)l.data.x.data[r * DIM + k];
    }
    for (int k = 0; k < DIM; k++) CHECK_NEAR(a[k], 0, BUILD_TOL(2e-4, 1e-6));
    CHECK(q.params->theta[DIM] == q.params->theta[DIM + 1]); /* frozen */
    world_close(&l.u);
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
    RUN(adaptive_priors_are_optimal);
    RUN(priors_by_gradient_arrive_where_the_closed_form_is);
    RUN(a_shared_prior_is_that_of_all_weights);
    RUN(a_hierarchical_prior_takes_the_expected_squares);
    RUN(relevance_costs_half_a_log_of_signal_to_noise);
    RUN(the_optimum_of_conjugate_regression_is_reached);
    RUN(the_gradient_of_the_free_energy_is_unbiased);
    RUN(a_tempered_divergence_is_that_of_more_data);
    RUN(no_divergence_and_no_noise_is_least_squares);
    return check_done();
}
