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
    net = bnn_mlp(u.w, (bnn_mlp_desc){ .sizes = { 2, 3, 3, 1 }, .noise_std = 1,
                                       .activation = BNN_TANH });
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
    net = bnn_mlp(u.w, (bnn_mlp_desc){ .sizes = { 2, 4, 3, 1 }, .noise_std = 1,
                                       .prior = { .std = 2, .fan_in = 1 } });
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
    net = bnn_mlp(u.w, (bnn_mlp_desc){ .sizes = { 1, 2, 1 }, .noise_std = 1,
                                       .activation = BNN_SIGMOID,
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
    for (int kind = BNN_PRIOR_NORMAL; kind <= BNN_PRIOR_DOUBLE_EXPONENTIAL; kind++)
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
    double h = BUILD_TOL(3e-3, 1e-5), tol = BUILD_TOL(2e-2, 2e-8);
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
                q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .scale = 1 + (scale != 0),
                                      .ard = ard, .log_rate = scale == 2 ? 4 : 0 });
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
    bnn_net net = bnn_mlp(u->w, (bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_std = 1, .no_bias = 1,
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
    bnn_grad_squares(got, &u.tape, u.w);
    for (size_t k = 0; k < u.w->n; k++) CHECK_NEAR(got[k], sum[k], BUILD_TOL(1e-5, 1e-12));
    bnn_params_add(u.w, 1, 1, "alone", (bnn_prior){ 0 });
    bnn_tape_reset(&u.tape);
    bnn_backward(bnn_net_nll(&net, bnn_batch_all(&u.tape, (bnn_data){ x, y })));
    bnn_grad_squares(bnn_mat_new(&u.mem, 1, u.w->n).data, &u.tape, u.w);
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
    bnn_hessian_diagonal(exact, &u.tape, u.w, quartic_loss, &f, 0);
    bnn_hessian_diagonal(guess, &u.tape, u.w, quartic_loss, &f, PROBES);
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
    for (int kind = BNN_PRIOR_NORMAL; kind <= BNN_PRIOR_DOUBLE_EXPONENTIAL; kind++)
        for (int posterior = 1; posterior <= BNN_POSTERIOR_DELTA; posterior++) {
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
            if (kind == BNN_PRIOR_DOUBLE_EXPONENTIAL && posterior == BNN_POSTERIOR_DELTA)
                CHECK_NEAR(best, W * log(2 * exp(1) * b), TIGHT * 10);
            world_close(&u);
        }
}

static void priors_by_gradient_arrive_where_the_closed_form_is(void) {
    for (int kind = BNN_PRIOR_NORMAL; kind <= BNN_PRIOR_DOUBLE_EXPONENTIAL; kind++) {
        world u;
        bnn_meanfield q;
        float m, s;
        world_open(&u, 71);
        bnn_params_add(u.w, 3, 3, "w", (bnn_prior){ .kind = kind, .adapt_mean = 1,
                                                    .adapt_std = 1 });
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

static void a_rate_that_no_rho_can_balance_is_refused(void) {
    world u;
    world_open(&u, 76);
    bnn_params_add(u.w, 1, 2, "a", (bnn_prior){ 0 });
    CHECK(bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .scale = BNN_SCALE_LOG,
              .log_rate = (float)(sizeof(float) == 4 ? 2e-38 : 1e-307) }).params == NULL);
    CHECK(u.mem.err == BNN_EARG && strstr(u.mem.msg, "log_rate") != NULL);
    u.mem.err = BNN_OK;
    world_close(&u);
}

/* or it would count in the norm of a clipped gradient */
static void no_gradient_reaches_a_frozen_rho(void) {
    for (int posterior = BNN_POSTERIOR_GAUSSIAN; posterior <= BNN_POSTERIOR_DELTA; posterior++) {
        world u;
        bnn_meanfield q;
        world_open(&u, 75);
        bnn_params_add(u.w, 1, 2, "a", (bnn_prior){ 0 });
        u.w->theta[0] = u.w->theta[1] = 1;
        q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .posterior = posterior });
        bnn_params_lr(q.params, 1, 0);
        u.tape.n_data = 2;
        for (int s = 0; s < 2; s++) {
            bnn_meanfield_sample(&q, &u.tape);
            bnn_params_zero_grad(u.w);
            bnn_meanfield_backward(&q, &u.tape);
            CHECK(q.params->grad[0] > 0 && q.params->grad[1] > 0);
            CHECK(q.params->grad[2] == 0 && q.params->grad[3] == 0);
        }
        world_close(&u);
    }
}

static void what_does_not_adapt_is_not_shared(void) {
    world u;
    bnn_meanfield q;
    world_open(&u, 74);
    bnn_params_add(u.w, 1, 2, "a", (bnn_prior){ .std = 1 });
    bnn_params_add(u.w, 1, 2, "b", (bnn_prior){ .mean = 2, .std = 3 });
    bnn_params_add(u.w, 1, 2, "c", (bnn_prior){ .std = 4, .adapt_mean = 1 });
    bnn_params_add(u.w, 1, 2, "d", (bnn_prior){ .std = 5, .adapt_mean = 1 });
    q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .share = 1 });
    for (int i = 4; i < 8; i++) q.params->theta[i] = (float)i;
    bnn_meanfield_update_priors(&q, 1);
    CHECK(u.w->blocks[1].prior.mean == 2 && u.w->blocks[1].prior.std == 3);
    CHECK(u.w->blocks[2].prior.mean == (float)5.5 && u.w->blocks[2].prior.std == 4);
    CHECK(u.w->blocks[3].prior.mean == (float)5.5 && u.w->blocks[3].prior.std == 5);
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
            for (int j = 0; j < 3; j++) {
                double mu = (double)q.params->theta[3 * r + j], s = (double)q.sigma[3 * r + j];
                m += (mu * mu + s * s) / 3;
            }
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
    l->evidence = DIM * log(alpha) / 2 + (double)rows * log(beta / (2 * acos(-1))) / 2 -
                  beta * yy / 2;
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

/* ---- S3.1, S5.5, S5.14: y = v tanh(w x), two weights, evidence by quadrature */

static bnn_var *two_weights(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    bnn_var *w = bnn_param(t, net->params, 0);
    return bnn_mul(bnn_tanh(bnn_mul(x, bnn_cols(w, 0, 1))), bnn_cols(w, 1, 1));
}

static double two_weights_energy(const bnn_data *d, double w, double v) { /* -ln p(D, w, v) */
    double u = (w * w + v * v) / 2 + log(2 * acos(-1));
    for (size_t i = 0; i < d->x.rows; i++) {
        double e = (double)d->y.data[i] - v * tanh(w * (double)d->x.data[i]);
        u += e * e / (2 * 0.25) + log(0.5 * root_2pi);
    }
    return u;
}

static void the_bound_is_below_the_evidence_by_at_least_a_mode(void) {
    enum { N = 12, S = 4000 };
    world u;
    bnn_net net;
    bnn_data d;
    bnn_meanfield q;
    bnn_stepper adam;
    double evidence = 0, bound = 0, h = 0.05;
    world_open(&u, 90);
    bnn_params_add(u.w, 1, 2, "w", (bnn_prior){ 0 });
    net = (bnn_net){ .params = u.w, .forward = two_weights, .noise_std = (float)0.5 };
    d.x = bnn_mat_new(&u.mem, N, 1), d.y = bnn_mat_new(&u.mem, N, 1);
    for (int i = 0; i < N; i++) {
        d.x.data[i] = (float)(i - 6) / 3;
        d.y.data[i] = (float)(1.5 * tanh(1.2 * (double)d.x.data[i]) + 0.1 * sin(7 * i));
    }
    for (double a = -7; a <= 7; a += h)
        for (double b = -7; b <= 7; b += h) evidence += h * h * exp(-two_weights_energy(&d, a, b));
    evidence = log(evidence);
    u.w->theta[0] = u.w->theta[1] = 1;
    q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .init_std = (float)0.2 });
    adam = bnn_adam(q.params, (bnn_adam_desc){ .lr = (float)0.02 });
    for (int s = 0; s < 4000; s++) {
        adam.lr = (float)bnn_lr_cosine(0.02, (size_t)s, 4000);
        bnn_tape_reset(&u.tape);
        bnn_meanfield_sample(&q, &u.tape);
        bnn_backward(bnn_net_nll(&net, bnn_batch_all(&u.tape, d)));
        bnn_meanfield_backward(&q, &u.tape);
        bnn_step(&adam, &u.tape);
    }
    for (int s = 0; s < S; s++) { /* nll + ln q - ln p = energy + ln q */
        bnn_meanfield_sample(&q, &u.tape);
        bound -= two_weights_energy(&d, (double)u.w->theta[0], (double)u.w->theta[1]) / S;
        for (int i = 0; i < 2; i++)
            bound += (log((double)q.sigma[i] * root_2pi) + pow((double)q.eps[i], 2) / 2) / S;
    }
    CHECK(evidence - bound > log(2) - 0.05);
    CHECK(evidence - bound < log(2) + 0.5);
    world_close(&u);
}

/* ---- S5.6: noise in the layers */

/* Moments of outputs and of d loss/d(mu, rho) of one layer over draws; how: 2 = weights */
static void noise_moments(int how, double *mean, double *var, double *g, double *gv, int draws) {
    enum { R = 20, D = 3, K = 2, N = 2 * (D * K + K) };
    world u;
    bnn_net net, noisy;
    bnn_meanfield q;
    bnn_mat x, y;
    double *sum = (double *)calloc(2 * N + 2 * R * K, sizeof *sum);
    world_open(&u, 100);
    net = bnn_mlp(u.w, (bnn_mlp_desc){ .sizes = { D, K }, .noise_std = 1,
                                       .prior = { .kind = BNN_PRIOR_FLAT } });
    x = bnn_mat_new(&u.mem, R, D), y = bnn_mat_new(&u.mem, R, K);
    bnn_rng_fill_normal(&u.tape.rng, R * D, x.data);
    bnn_rng_fill_normal(&u.tape.rng, R * K, y.data);
    q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ 0 });
    for (size_t i = 0; i < u.w->n; i++) set_q(&q, i, 0.2 * (double)i - 0.6, 0.3 + 0.05 * (double)i);
    noisy = how == 2 ? net : bnn_meanfield_net(&q, &net, how);
    u.tape.rng = bnn_rng_seed(build_seed(101 + (uint64_t)how));
    for (int s = 0; s < draws; s++) {
        bnn_batch b;
        bnn_var *out;
        bnn_tape_reset(&u.tape);
        bnn_meanfield_sample(&q, &u.tape);
        b = bnn_batch_all(&u.tape, (bnn_data){ x, y });
        out = bnn_net_forward(&noisy, b.x);
        bnn_params_zero_grad(q.params);
        bnn_backward(bnn_mean(bnn_gaussian_nll(out, b.y, bnn_scalar(&u.tape, 0))));
        bnn_meanfield_backward(&q, &u.tape);
        for (int i = 0; i < R * K; i++) {
            double f = (double)out->val.data[i];
            sum[2 * i] += f, sum[2 * i + 1] += f * f;
        }
        for (int i = 0; i < N; i++) {
            double f = (double)q.params->grad[i];
            sum[2 * R * K + i] += f, sum[2 * R * K + N + i] += f * f;
        }
    }
    for (int i = 0; i < R * K; i++) {
        mean[i] = sum[2 * i] / draws;
        var[i] = sum[2 * i + 1] / draws - mean[i] * mean[i];
    }
    for (int i = 0; i < N; i++) {
        g[i] = sum[2 * R * K + i] / draws;
        gv[i] = sum[2 * R * K + N + i] / draws - g[i] * g[i];
    }
    free(sum);
    world_close(&u);
}

static void noise_in_the_layers_has_the_moments_and_less_variance(void) {
    enum { RK = 40, N = 16, S = 8000 };
    double m[3][RK], v[3][RK], g[3][N], gv[3][N], total[3] = { 0 };
    for (int how = 0; how < 3; how++) noise_moments(how, m[how], v[how], g[how], gv[how], S);
    for (int how = 0; how < 2; how++) {
        for (int i = 0; i < RK; i++) {
            CHECK_NEAR(m[how][i], m[2][i], 5 * sqrt((v[how][i] + v[2][i]) / S));
            CHECK_NEAR(v[how][i], v[2][i], 5 * v[2][i] * sqrt(2 * 2.0 / S));
        }
        for (int i = 0; i < N; i++)
            CHECK_NEAR(g[how][i], g[2][i], 5 * sqrt((gv[how][i] + gv[2][i]) / S));
    }
    for (int how = 0; how < 3; how++)
        for (int i = 0; i < N; i++) total[how] += gv[how][i];
    CHECK(total[BNN_NOISE_LOCAL] < total[2] / 2);
    CHECK(total[BNN_NOISE_FLIPOUT] < total[2] / 2);
}

static void noisy_layers_have_right_gradients_and_a_zero_row_none(void) {
    for (int how = 0; how < 4; how++) {
        world u;
        bnn_params *v;
        bnn_var *x, *in[4], *y;
        float values[6] = { 1, 2, -1, 0, 0, 0 }; /* the second row is 0 */
        double worst = 0;
        bnn_rng rng;
        world_open(&u, 110);
        v = bnn_params_new(&u.mem);
        bnn_params_add(v, 3, 2, "mu", (bnn_prior){ 0 });
        bnn_params_add(v, 3, 2, "sd", (bnn_prior){ 0 });
        bnn_params_add(v, 1, 2, "b", (bnn_prior){ 0 });
        bnn_params_add(v, 1, 2, "b_sd", (bnn_prior){ 0 });
        for (size_t i = 0; i < v->n; i++) v->theta[i] = (float)(0.1 + 0.07 * (double)i);
        rng = u.tape.rng;
        for (int side = 0; side < 3; side++) { /* value, gradient; differences follow */
            double up = 0, down = 0, h = BUILD_TOL(1e-2, 1e-5);
            if (side == 0) continue;
            for (size_t i = 0; i < v->n; i++) {
                float keep = v->theta[i];
                for (int d = 0; d < 3; d++) {
                    v->theta[i] = (float)((double)keep + (d == 1 ? h : d == 2 ? -h : 0));
                    u.tape.rng = rng;
                    bnn_tape_reset(&u.tape);
                    x = bnn_input(&u.tape, (bnn_mat){ 2, 3, values });
                    for (size_t b = 0; b < 4; b++) in[b] = bnn_param(&u.tape, v, b);
                    if (how >= 2) in[2] = in[3] = NULL;
                    y = how % 2 == 0 ? bnn_affine_local(x, in[0], in[1], in[2], in[3])
                                     : bnn_affine_flipout(x, in[0], in[1], in[2], in[3]);
                    y = bnn_sum(bnn_square(y));
                    if (d == 0) {
                        bnn_params_zero_grad(v);
                        bnn_backward(y);
                    } else if (d == 1) up = (double)bnn_value(y);
                    else down = (double)bnn_value(y);
                }
                v->theta[i] = keep;
                worst = fmax(worst, fabs((up - down) / (2 * h) - (double)v->grad[i]) /
                                        (1 + fabs((double)v->grad[i])));
            }
        }
        CHECK(worst < BUILD_TOL(1e-2, 1e-7));
        world_close(&u);
    }
}

/* ---- S5.9: the annealing recipe */

static void the_recipe_is_the_loop_written_by_hand(void) {
    enum { W = 4, STEPS = 10 };
    const double c = 2048, k = 0.1, n = 500, rho = 0.95, eps = 1e-8;
    double mu[W], l[W], u1[2 * W] = { 0 }, u2[2 * W] = { 0 };
    world u;
    bnn_meanfield q;
    bnn_stepper zeiler;
    world_open(&u, 120);
    bnn_params_add(u.w, 1, W, "w", (bnn_prior){ .adapt_mean = 1, .adapt_std = 1 });
    bnn_rng_fill_normal(&u.tape.rng, W, u.w->theta);
    q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .scale = BNN_SCALE_LOG, .log_rate = 1024,
            .init_std = (float)1e-12, .kl_weight = (float)k,
            .estimator = BNN_ESTIMATE_BATCH_BIASED });
    zeiler = bnn_adadelta(q.params, (bnn_adadelta_desc){ .eps = (float)eps });
    for (int i = 0; i < W; i++) mu[i] = (double)u.w->theta[i], l[i] = 2 * log(1e-12) / c;
    for (int s = 0; s < STEPS; s++) {
        double m = 0, v = 0;
        bnn_tape_reset(&u.tape);
        u.tape.n_data = n;
        bnn_meanfield_update_priors(&q, 1);
        bnn_meanfield_sample(&q, &u.tape);
        bnn_backward(bnn_sum(bnn_square(bnn_square(bnn_param(&u.tape, u.w, 0)))));
        for (int i = 0; i < W; i++) m += mu[i] / W;
        for (int i = 0; i < W; i++) v += (exp(c * l[i]) + pow(mu[i] - m, 2)) / W;
        for (int i = 0; i < W; i++) {
            double s2 = exp(c * l[i]), w = mu[i] + sqrt(s2) * (double)q.eps[i], g = 4 * w * w * w;
            double d[2], *x[2];
            CHECK_NEAR(u.w->theta[i], w, BUILD_TOL(1e-4, 1e-11));
            d[0] = k * (mu[i] - m) / (n * v) + g;
            d[1] = c * (k * (s2 / v - 1) / (2 * n) + s2 * g * g / 2);
            x[0] = &mu[i], x[1] = &l[i];
            for (int j = 0; j < 2; j++) {
                double step;
                u2[2 * i + j] = rho * u2[2 * i + j] + (1 - rho) * d[j] * d[j];
                step = sqrt(u1[2 * i + j] + eps) / sqrt(u2[2 * i + j] + eps) * d[j];
                u1[2 * i + j] = rho * u1[2 * i + j] + (1 - rho) * step * step;
                *x[j] -= step;
            }
        }
        bnn_meanfield_backward(&q, &u.tape);
        bnn_step(&zeiler, &u.tape);
        for (int i = 0; i < W; i++) {
            CHECK_NEAR(q.params->theta[i], mu[i], BUILD_TOL(1e-4, 1e-11));
            CHECK_NEAR(q.params->theta[W + i], l[i], BUILD_TOL(1e-5, 1e-12));
        }
    }
    world_close(&u);
}

static void a_constant_gradient_has_the_recipes_fixed_point(void) {
    const double k = 0.1, n = 50, v = 0.25, g = 0.7;
    world u;
    bnn_meanfield q;
    double s2 = 1 / (1 / v + n * g * g / k);
    world_open(&u, 121);
    bnn_params_add(u.w, 1, 1, "w", (bnn_prior){ .std = (float)0.5 });
    q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .scale = BNN_SCALE_LOG, .log_rate = 1024,
            .init_std = (float)sqrt(s2), .kl_weight = (float)k,
            .estimator = BNN_ESTIMATE_BATCH_BIASED });
    u.tape.n_data = n;
    bnn_meanfield_sample(&q, &u.tape);
    bnn_backward(bnn_scale(bnn_sum(bnn_param(&u.tape, u.w, 0)), (float)g));
    bnn_meanfield_backward(&q, &u.tape);
    CHECK_NEAR(q.params->grad[1], 0, BUILD_TOL(1e-2, 1e-10)); /* of terms near 1024 k/n */
    world_close(&u);
}

/* ---- S5.10, S5.12: Graves's table and the price of a weight in bits */

static bnn_data few_digits(bnn_arena *mem, size_t first, size_t rows) {
    bnn_data d = { { 0, 0, NULL }, { 0, 0, NULL } };
    FILE *here = fopen("examples/data/digits-train-images.idx", "rb");
    const char *folder = here ? "examples/data" : "../examples/data";
    char path[100];
    if (here) fclose(here);
    snprintf(path, sizeof path, "%s/digits-train-images.idx", folder);
    CHECK(bnn_idx_load(mem, path, &d.x) == BNN_OK);
    snprintf(path, sizeof path, "%s/digits-train-labels.idx", folder);
    CHECK(bnn_idx_load(mem, path, &d.y) == BNN_OK);
    bnn_mat_scale(d.x, d.x, (float)(1 / 16.0));
    return bnn_data_rows(d, first, rows);
}

static void all_ten_rows_run_from_one_switch(void) {
    double gradient[2] = { 0, 0 };
    for (int row = 0; row < BNN_GRAVES_ROWS; row++) {
        world u;
        bnn_graves g = bnn_graves_row(row);
        bnn_meanfield q;
        bnn_net net;
        bnn_stepper adam;
        bnn_data d;
        double first = 0, last = 0;
        bnn_meanfield_cost c;
        world_open(&u, 130);
        d = few_digits(&u.mem, 0, 200);
        net = bnn_mlp(u.w, (bnn_mlp_desc){ .sizes = { 64, 10, 10 }, .activation = BNN_TANH,
                           .likelihood = BNN_CATEGORICAL, .prior = g.prior });
        if (row == 8) g.desc.init_std = (float)1e-8; /* its gradient is that of row 3, the MAP */
        q = bnn_meanfield_new(u.w, g.desc);
        adam = bnn_adam(q.params, (bnn_adam_desc){ .lr = (float)5e-3 });
        for (int s = 0; s < 60; s++) {
            bnn_var *nll;
            bnn_tape_reset(&u.tape);
            bnn_meanfield_update_priors(&q, 1);
            bnn_meanfield_sample(&q, &u.tape);
            nll = bnn_net_nll(&net, bnn_batch_all(&u.tape, d));
            if (s == 0) first = (double)bnn_value(nll);
            last = (double)bnn_value(nll);
            bnn_backward(nll);
            bnn_meanfield_backward(&q, &u.tape);
            if (s == 0 && (row == 3 || row == 8)) gradient[row == 8] = (double)q.params->grad[77];
            bnn_step(&adam, &u.tape);
        }
        CHECK(last < first);
        c = bnn_meanfield_measure(&q, &u.tape, &net, d, 3);
        CHECK((c.bits == c.bits) == (row > 7) && (c.ratio == c.ratio) == (row > 7));
        CHECK(c.error > 0 && c.error < 200 * log(10) * 1.5);
        if (row == 0) CHECK(c.complexity == 0);
        world_close(&u);
    }
    CHECK_NEAR(gradient[0], gradient[1], BUILD_TOL(1e-5, 1e-9));
    CHECK(bnn_graves_row(10).name == NULL && bnn_graves_row(-1).name == NULL);
}

static void a_delta_with_a_gaussian_prior_is_weight_decay(void) {
    enum { N = 5 };
    world u;
    bnn_meanfield q;
    bnn_net net;
    bnn_params *v;
    bnn_stepper a, b;
    bnn_data d;
    const double std = 0.8;
    world_open(&u, 131);
    d.x = bnn_mat_new(&u.mem, N, 2), d.y = bnn_mat_new(&u.mem, N, 1);
    bnn_rng_fill_normal(&u.tape.rng, 2 * N, d.x.data);
    bnn_rng_fill_normal(&u.tape.rng, N, d.y.data);
    net = bnn_mlp(u.w, (bnn_mlp_desc){ .sizes = { 2, 4, 1 }, .noise_std = 1,
                                       .prior = { .std = (float)std } });
    v = bnn_params_new(&u.mem); /* the same start, flat, with weight decay 1/(N std^2) */
    bnn_net plain = bnn_mlp(v, (bnn_mlp_desc){ .sizes = { 2, 4, 1 }, .noise_std = 1,
                                               .prior = { .kind = BNN_PRIOR_FLAT } });
    q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .posterior = BNN_POSTERIOR_DELTA });
    a = bnn_sgd(q.params, (bnn_sgd_desc){ .lr = (float)0.05 });
    b = bnn_sgd(v, (bnn_sgd_desc){ .lr = (float)0.05,
                                   .weight_decay = (float)(1 / (N * std * std)) });
    for (int s = 0; s < 50; s++) {
        bnn_tape_reset(&u.tape);
        bnn_meanfield_sample(&q, &u.tape);
        bnn_backward(bnn_net_nll(&net, bnn_batch_all(&u.tape, d)));
        bnn_meanfield_backward(&q, &u.tape);
        bnn_step(&a, &u.tape);
        bnn_backward(bnn_net_loss(&plain, bnn_batch_all(&u.tape, d)));
        bnn_step(&b, &u.tape);
    }
    for (size_t i = 0; i < v->n; i++) CHECK_NEAR(q.params->theta[i], v->theta[i], TIGHT);
    world_close(&u);
}

static void an_unchanged_prior_costs_no_bits(void) {
    world u;
    bnn_meanfield q;
    bnn_net net;
    bnn_data d;
    bnn_meanfield_cost c;
    world_open(&u, 132);
    net = bnn_mlp(u.w, (bnn_mlp_desc){ .sizes = { 3, 4, 10 }, .likelihood = BNN_CATEGORICAL,
                       .no_bias = 1, .init = BNN_INIT_ZERO, .prior = { .std = (float)0.5 } });
    d.x = bnn_mat_new(&u.mem, 100, 3), d.y = bnn_mat_new(&u.mem, 100, 1); /* x = 0: uniform */
    q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .scale = BNN_SCALE_LOG,
                                                     .init_std = (float)0.5 });
    c = bnn_meanfield_measure(&q, &u.tape, &net, d, 2);
    CHECK_NEAR(c.complexity, 0, BUILD_TOL(1e-10, 1e-25));
    CHECK_NEAR(c.ratio, 1, BUILD_TOL(1e-6, 1e-14));
    CHECK_NEAR(c.bits, 100 * log(10) / log(2), BUILD_TOL(1e-3, 1e-10));
    world_close(&u);
}

/* ---- S5.11: with far more weights than data the divergence wins */

static void few_data_collapse_to_the_prior(void) {
    world u;
    bnn_graves g = bnn_graves_row(9);
    bnn_meanfield q;
    bnn_net net;
    bnn_stepper adam;
    bnn_data d;
    bnn_meanfield_cost c;
    world_open(&u, 133);
    d = few_digits(&u.mem, 0, 60);
    net = bnn_mlp(u.w, (bnn_mlp_desc){ .sizes = { 64, 50, 10 }, .activation = BNN_TANH,
                       .likelihood = BNN_CATEGORICAL, .prior = g.prior });
    q = bnn_meanfield_new(u.w, g.desc);
    adam = bnn_adam(q.params, (bnn_adam_desc){ .lr = (float)0.01 });
    for (int s = 0; s < 1500; s++) {
        bnn_tape_reset(&u.tape);
        adam.lr = (float)bnn_lr_cosine(0.01, (size_t)s, 1500);
        bnn_meanfield_update_priors(&q, 1);
        bnn_meanfield_sample(&q, &u.tape);
        bnn_backward(bnn_net_nll(&net, bnn_minibatch(&u.tape, d, 20)));
        bnn_meanfield_backward(&q, &u.tape);
        bnn_step(&adam, &u.tape);
    }
    bnn_meanfield_update_priors(&q, 1);
    c = bnn_meanfield_measure(&q, &u.tape, &net, d, 20);
    CHECK(c.ratio > 0.9 && c.ratio < 1.1); /* L^C -> 0, L^E -> N ln K */
    CHECK(c.complexity < 0.1 * c.error);
    world_close(&u);
}

/* ---- S5.13: pruning */

static void pruning_orders_agree_and_removed_weights_are_exact_zeros(void) {
    world u;
    bnn_meanfield q;
    bnn_net net;
    double snr, before;
    size_t gone;
    world_open(&u, 140);
    net = bnn_mlp(u.w, (bnn_mlp_desc){ .sizes = { 4, 30, 20, 2 }, .noise_std = 1 });
    bnn_rng_fill_normal(&u.tape.rng, u.w->n, u.w->theta);
    q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ 0 });
    for (size_t i = 0; i < q.n; i++)
        set_q(&q, i, (double)q.params->theta[i], exp((double)bnn_rng_normal(&u.tape.rng)));
    snr = bnn_meanfield_snr(&q, 0.9);
    for (size_t i = 0; i < q.n; i++) { /* density ratio >= lambda, by Graves */
        double r = (double)q.params->theta[i] / (double)q.sigma[i];
        CHECK((exp(-r * r / 2) > exp(-snr * snr / 2)) == (fabs(r) < snr) ||
              fabs(fabs(r) - snr) < 1e-6);
    }
    before = bnn_meanfield_kl(&q);
    gone = bnn_meanfield_prune(&q, snr);
    CHECK(gone == (size_t)(0.9 * (double)q.n + 0.5));
    CHECK(bnn_meanfield_kl(&q) < before);
    bnn_meanfield_sample(&q, &u.tape);
    for (size_t i = 0, zeros = 0; i <= q.n; i++) {
        if (i == q.n) CHECK(zeros == gone);
        else zeros += u.w->theta[i] == 0;
    }
    { /* it stays removed under training, whole neurons leave, and a draw of the rest is the same */
        bnn_stepper adam = bnn_adam(q.params, (bnn_adam_desc){ 0 });
        bnn_data d = { bnn_mat_new(&u.mem, 9, 4), bnn_mat_new(&u.mem, 9, 2) };
        bnn_params *v = bnn_params_new(&u.mem);
        bnn_net small;
        bnn_rng_fill_normal(&u.tape.rng, 36, d.x.data);
        for (int s = 0; s < 5; s++) {
            bnn_tape_reset(&u.tape);
            bnn_meanfield_sample(&q, &u.tape);
            bnn_backward(bnn_net_nll(&net, bnn_batch_all(&u.tape, d)));
            bnn_meanfield_backward(&q, &u.tape);
            bnn_step(&adam, &u.tape);
        }
        CHECK(bnn_meanfield_prune(&q, 0) == gone);
        small = bnn_mlp_shrink(v, &net, NULL); /* of the present draw */
        CHECK(v->n < u.w->n);
        CHECK_NEAR(largest_difference(&u, &net, &small, d.x), 0, BUILD_TOL(1e-5, 1e-12));
    }
    CHECK(bnn_meanfield_snr(&q, 2) != bnn_meanfield_snr(&q, 2)); /* NaN */
    world_close(&u);
}

/* Twelve ways to step, with all the state there is */
static bnn_stepper any_stepper(bnn_params *v, int kind) {
    const float lr = (float)1e-2, wd = (float)0.05, momentum = (float)0.9;
    switch (kind) {
    case 0: return bnn_sgd(v, (bnn_sgd_desc){ .lr = lr, .weight_decay = wd });
    case 1: return bnn_sgd(v, (bnn_sgd_desc){ .lr = lr, .momentum = momentum, .nesterov = 1 });
    case 2: return bnn_adam(v, (bnn_adam_desc){ .lr = lr, .weight_decay = wd });
    case 3: return bnn_adam(v, (bnn_adam_desc){ .lr = lr, .weight_decay = wd, .decoupled = 1 });
    case 4: return bnn_adam(v, (bnn_adam_desc){ .lr = lr, .amsgrad = 1, .clip = 1 });
    case 5: return bnn_rmsprop(v, (bnn_rmsprop_desc){ .lr = lr, .weight_decay = wd });
    case 6: return bnn_rmsprop(v, (bnn_rmsprop_desc){ .lr = (float)1e-3, .momentum = momentum,
                                                      .centered = 1 });
    case 7: return bnn_adagrad(v, (bnn_adagrad_desc){ .lr = lr });
    case 8: return bnn_adadelta(v, (bnn_adadelta_desc){ .weight_decay = wd });
    case 9: return bnn_sgld(v, (bnn_sgld_desc){ .lr = (float)1e-4 });
    case 10: return bnn_psgld(v, (bnn_psgld_desc){ .lr = (float)1e-5 });
    default: return bnn_sghmc(v, (bnn_sghmc_desc){ .lr = (float)1e-5 });
    }
}

typedef struct fitted {
    world u;
    bnn_net net, local;
    bnn_meanfield q;
    bnn_stepper s;
    bnn_data d;
} fitted;

static void fitted_open(fitted *f, int kind, int scale) {
    world_open(&f->u, 141);
    f->d.x = bnn_mat_new(&f->u.mem, 20, 4), f->d.y = bnn_mat_new(&f->u.mem, 20, 1);
    bnn_rng_fill_normal(&f->u.tape.rng, 80, f->d.x.data);
    for (int i = 0; i < 20; i++) f->d.y.data[i] = 2 * f->d.x.data[4 * i];
    f->net = bnn_mlp(f->u.w, (bnn_mlp_desc){ .sizes = { 4, 6, 1 }, .noise_std = (float)0.3 });
    f->q = bnn_meanfield_new(f->u.w, (bnn_meanfield_desc){ .scale = scale, .log_rate = 2 });
    f->local = bnn_meanfield_net(&f->q, &f->net, BNN_NOISE_LOCAL);
    f->s = any_stepper(f->q.params, kind);
}

static void fitted_gradient(fitted *f, int local) {
    bnn_tape_reset(&f->u.tape);
    bnn_meanfield_sample(&f->q, &f->u.tape);
    bnn_backward(bnn_net_nll(local ? &f->local : &f->net, bnn_batch_all(&f->u.tape, f->d)));
    bnn_meanfield_backward(&f->q, &f->u.tape);
}

static void fitted_steps(fitted *f, int steps, int local) {
    for (int i = 0; i < steps; i++) {
        fitted_gradient(f, local);
        bnn_step(&f->s, &f->u.tape);
    }
}

/* how many of `gone` are exactly 0 still, as mean, as draw and by the count of prune */
static int all_removed(fitted *f, const unsigned char *gone, size_t n) {
    size_t zeros = 0, removed = 0, moved = 0;
    bnn_meanfield_sample(&f->q, &f->u.tape);
    for (size_t i = 0; i < f->q.n; i++) {
        removed += gone[i];
        zeros += gone[i] && f->q.params->theta[i] == 0 && f->u.w->theta[i] == 0;
        moved += !gone[i] && f->q.params->theta[i] != 0;
    }
    return removed == n && zeros == n && moved == f->q.n - n && bnn_meanfield_prune(&f->q, 0) == n;
}

/* Values set by hand, in a lane of a vector and in what is left over, count as removed from the next
 * draw on: Adam's state does not carry them away. The neighbors move on. */
static void weights_removed_by_hand_stay_removed(void) {
    size_t where[2] = { 5, 1034 }, k, i;
    world u;
    bnn_meanfield q;
    bnn_stepper adam;
    world_open(&u, 1);
    bnn_params_add(u.w, 5, 207, "w", (bnn_prior){ .std = 1 });
    bnn_params_sample_prior(u.w, &u.tape.rng);
    q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .init_std = 0.1f });
    adam = bnn_adam(q.params, (bnn_adam_desc){ .lr = 0.01f });
    u.tape.n_data = 10;
    for (i = 0; i < 40; i++) {
        float before = q.params->theta[6];
        for (k = 0; i == 20 && k < 2; k++) {
            q.params->theta[where[k]] = 0;
            q.params->theta[q.n + where[k]] = -20;
        }
        bnn_tape_reset(&u.tape);
        bnn_meanfield_sample(&q, &u.tape);
        bnn_backward(bnn_mean(bnn_square(bnn_param(&u.tape, u.w, 0))));
        bnn_meanfield_backward(&q, &u.tape);
        CHECK((q.params->held != NULL) == (i >= 20));
        bnn_step(&adam, &u.tape);
        for (k = 0; i >= 20 && k < 2; k++) {
            CHECK_SAME(q.params->theta[where[k]], 0);
            CHECK_SAME(u.w->theta[where[k]], 0);
        }
        CHECK(q.params->theta[6] != before);
    }
    world_close(&u);
}

/* Point weights: the mean field's update is that of the parameters, bit for bit. */
static void priors_follow_points_and_a_delta_alike(void) {
    bnn_prior priors[3];
    size_t k;
    memset(priors, 0, sizeof priors);
    priors[0].adapt_mean = priors[0].adapt_std = priors[1].adapt_std = 1;
    priors[1].kind = BNN_PRIOR_DOUBLE_EXPONENTIAL;
    priors[2].shape = 2, priors[2].rate = 3;
    for (k = 0; k < 3; k++) {
        world u;
        bnn_meanfield q;
        bnn_prior *p;
        float mean, std;
        world_open(&u, 2 + k);
        bnn_params_add(u.w, 7, 5, "w", priors[k]);
        bnn_params_sample_prior(u.w, &u.tape.rng);
        q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .posterior = BNN_POSTERIOR_DELTA });
        p = &u.w->blocks[0].prior;
        bnn_params_update_priors(u.w, NULL);
        mean = p->mean, std = p->std;
        CHECK(std != 1);
        p->mean = 0, p->std = 1;
        bnn_meanfield_update_priors(&q, 1);
        CHECK_SAME(p->mean, mean);
        CHECK_SAME(p->std, std);
        world_close(&u);
    }
}

static void removed_weights_stay_removed_under_every_stepper(void) {
    enum { W = 4 * 6 + 6 + 6 + 1 };
    for (int kind = 0; kind < 12; kind++)
        for (int scale = BNN_SCALE_SOFTPLUS; scale <= BNN_SCALE_LOG; scale++)
            for (int how = 0; how < 5; how++) {
                fitted f, g;
                unsigned char gone[W] = { 0 };
                float before[2 * W];
                size_t n;
                fitted_open(&f, kind, scale);
                CHECK(f.q.n == W);
                fitted_steps(&f, 25, 0);
                if (how == 1) fitted_gradient(&f, 0); /* a gradient that is already there */
                if (how == 2) /* by hand, at the floor or far below it */
                    for (size_t i = 0; i < W; i += 3) {
                        f.q.params->theta[i] = 0;
                        f.q.params->theta[W + i] = (float)(i % 2 ? -1e30 : -21);
                    }
                else bnn_meanfield_prune(&f.q, bnn_meanfield_snr(&f.q, 0.5));
                n = bnn_meanfield_prune(&f.q, 0);
                CHECK(n >= W / 3 && n <= W / 2 + 1);
                for (size_t i = 0; i < W; i++) gone[i] = f.q.params->theta[i] == 0;
                memcpy(before, f.q.params->theta, sizeof before);
                if (how == 1) bnn_step(&f.s, &f.u.tape);
                else fitted_steps(&f, 1, how == 3);
                CHECK(memcmp(before, f.q.params->theta, sizeof before) != 0);
                CHECK(all_removed(&f, gone, n));
                fitted_steps(&f, 20, how == 3);
                CHECK(all_removed(&f, gone, n));
                if (how == 4) { /* in another process */
                    void *bytes = NULL;
                    size_t size = 0;
                    bnn_checkpoint c = { .nets = { &f.net }, .steppers = { &f.s },
                                         .meanfields = { &f.q } };
                    fitted_open(&g, kind, scale);
                    CHECK(bnn_checkpoint_write(&f.u.mem, &c, &bytes, &size) == BNN_OK);
                    c = (bnn_checkpoint){ .nets = { &g.net }, .steppers = { &g.s },
                                          .meanfields = { &g.q } };
                    CHECK(bnn_checkpoint_read(&g.u.mem, &c, bytes, size) == BNN_OK);
                    fitted_steps(&g, 10, 0);
                    CHECK(all_removed(&g, gone, n));
                    world_close(&g.u);
                }
                world_close(&f.u);
            }
}

/* ---- use */

static void schedules_of_the_divergence_have_mean_one(void) {
    double sum = 0;
    for (size_t i = 0; i < 10; i++) sum += bnn_kl_weight_geometric(i, 10);
    CHECK_NEAR(sum, 10, 1e-12);
    CHECK_NEAR(bnn_kl_weight_geometric(0, 10), 10 * 512 / 1023.0, 1e-12);
    CHECK_NEAR(bnn_kl_weight_geometric(0, 5000), 2500, 1e-9); /* no overflow */
    CHECK_NEAR(bnn_kl_weight_warmup(0, 4), 0.25, 0);
    CHECK_NEAR(bnn_kl_weight_warmup(3, 4), 1, 0);
    CHECK_NEAR(bnn_kl_weight_warmup(9, 0), 1, 0);
}

static void several_draws_average(void) {
    linear l;
    bnn_meanfield q;
    float one[2][2 * DIM];
    bnn_rng rng;
    linear_open(&l, 150, 1);
    q = bnn_meanfield_new(l.u.w, (bnn_meanfield_desc){ 0 });
    rng = l.u.tape.rng;
    for (int both = 0; both < 2; both++) {
        q.draws = both ? 2 : 1;
        l.u.tape.rng = rng;
        for (int d = 0; d < 2; d++) {
            bnn_tape_reset(&l.u.tape);
            bnn_meanfield_sample(&q, &l.u.tape);
            bnn_backward(linear_nll(&l.u.tape, &l));
            if (!both) bnn_params_zero_grad(q.params);
            else if (d == 0) for (size_t b = 0; b < q.params->n_blocks; b++)
                q.params->blocks[b].fresh = 1;
            bnn_meanfield_backward(&q, &l.u.tape);
            if (!both) memcpy(one[d], q.params->grad, sizeof one[d]);
        }
    }
    for (int i = 0; i < 2 * DIM; i++)
        CHECK_NEAR(q.params->grad[i], ((double)one[0][i] + (double)one[1][i]) / 2, TIGHT);
    world_close(&l.u);
}

static void a_loop_does_not_allocate_after_its_first_step(void) {
    linear l;
    bnn_meanfield q;
    bnn_net local;
    bnn_stepper adam;
    size_t space = 0, time = 0;
    linear_open(&l, 151, 1);
    q = bnn_meanfield_new(l.u.w, (bnn_meanfield_desc){ .estimator = BNN_ESTIMATE_SQUARES });
    local = bnn_meanfield_net(&q, &l.net, BNN_NOISE_LOCAL);
    adam = bnn_adam(q.params, (bnn_adam_desc){ 0 });
    for (int s = 0; s < 5; s++) {
        bnn_tape_reset(&l.u.tape);
        bnn_meanfield_sample(&q, &l.u.tape);
        bnn_backward(linear_nll(&l.u.tape, &l));
        bnn_meanfield_backward(&q, &l.u.tape);
        q.estimator = BNN_ESTIMATE_PATH;
        bnn_meanfield_sample(&q, &l.u.tape);
        bnn_backward(bnn_net_nll(&local, bnn_batch_all(&l.u.tape, l.data)));
        bnn_meanfield_backward(&q, &l.u.tape);
        q.estimator = BNN_ESTIMATE_SQUARES;
        bnn_step(&adam, &l.u.tape);
        bnn_meanfield_snr(&q, 0.5);
        if (s == 0) space = bnn_arena_size(&l.u.mem), time = bnn_arena_size(&l.u.tape.mem);
    }
    CHECK(bnn_arena_size(&l.u.mem) == space && bnn_arena_size(&l.u.tape.mem) == time);
    world_close(&l.u);
}

static void draws_become_an_ensemble(void) {
    enum { S = 4000 };
    linear l;
    bnn_meanfield q;
    bnn_ensemble e;
    bnn_predictive p;
    linear_open(&l, 152, 1);
    q = bnn_meanfield_new(l.u.w, (bnn_meanfield_desc){ 0 });
    for (size_t i = 0; i < DIM; i++) set_q(&q, i, 0.5 * (double)i, 0.1 + 0.1 * (double)i);
    e = bnn_ensemble_new(l.u.w, S);
    for (int i = 0; i < S; i++) CHECK(bnn_meanfield_push(&q, &e, &l.u.tape.rng) == BNN_OK);
    CHECK(bnn_meanfield_push(&q, &e, &l.u.tape.rng) == BNN_EARG); /* full */
    l.u.mem.err = BNN_OK;
    p = bnn_predict(&l.u.mem, &l.u.tape, &l.net, &e, l.data.x);
    for (size_t r = 0; r < 5; r++) {
        double m = 0, v = 0;
        for (size_t k = 0; k < DIM; k++) {
            double x = (double)l.data.x.data[r * DIM + k];
            m += x * (double)q.params->theta[k];
            v += x * x * pow((double)q.sigma[k], 2);
        }
        CHECK_NEAR(p.mean.data[r], m, 4 * sqrt(v / S));
        CHECK_NEAR(p.epistemic.data[r], v, 4 * v * sqrt(2.0 / S));
    }
    world_close(&l.u);
}

static void resuming_continues_bit_for_bit(void) {
    linear a, b;
    bnn_meanfield q[2];
    bnn_stepper adam[2];
    void *bytes = NULL;
    size_t size = 0;
    linear *l[2] = { &a, &b };
    linear_open(&a, 153, 1);
    linear_open(&b, 153, 1);
    for (int i = 0; i < 2; i++) {
        l[i]->u.w->blocks[0].prior.adapt_std = 1;
        q[i] = bnn_meanfield_new(l[i]->u.w, (bnn_meanfield_desc){ .scale = 1 + (i == 0) });
        q[i].scale = BNN_SCALE_LOG;
        adam[i] = bnn_adam(q[i].params, (bnn_adam_desc){ 0 });
    }
    q[0].kl_weight = (float)0.7;
    for (int s = 0; s < 20; s++) {
        bnn_checkpoint c[2];
        for (int i = 0; i < 2; i++)
            c[i] = (bnn_checkpoint){ .nets = { &l[i]->net }, .steppers = { &adam[i] },
                                     .rngs = { &l[i]->u.tape.rng }, .meanfields = { &q[i] } };
        if (s == 10) {
            CHECK(bnn_checkpoint_write(&a.u.mem, &c[0], &bytes, &size) == BNN_OK);
            CHECK(((unsigned char *)bytes)[8] == 2);
            CHECK(bnn_checkpoint_read(&b.u.mem, &c[1], bytes, size) == BNN_OK);
            CHECK(q[1].kl_weight == (float)0.7);
            c[0].nets[0] = NULL; /* the priors would be lost */
            CHECK(bnn_checkpoint_write(&a.u.mem, &c[0], &bytes, &size) == BNN_EARG);
            q[1].estimator = BNN_ESTIMATE_PATH;
            c[1].meanfields[0] = NULL;
            CHECK(bnn_checkpoint_write(&b.u.mem, &c[1], &bytes, &size) == BNN_OK);
            CHECK(((unsigned char *)bytes)[8] == 1);
        }
        for (int i = 0; i < (s < 10 ? 1 : 2); i++) {
            bnn_tape *t = &l[i]->u.tape;
            bnn_tape_reset(t);
            bnn_meanfield_update_priors(&q[i], 1);
            bnn_meanfield_sample(&q[i], t);
            bnn_backward(linear_nll(t, l[i]));
            bnn_meanfield_backward(&q[i], t);
            bnn_step(&adam[i], t);
        }
    }
    CHECK_SAME_ARRAY(q[0].params->theta, q[1].params->theta, 2 * DIM);
    CHECK_SAME(a.u.w->blocks[0].prior.std, b.u.w->blocks[0].prior.std);
    world_close(&a.u);
    world_close(&b.u);
}

/* ---- what goes wrong says so */

static int refuses(bnn_meanfield_desc d, const char *word) {
    world u;
    bnn_meanfield q;
    int ok;
    world_open(&u, 160);
    bnn_params_add(u.w, 2, 2, "w", (bnn_prior){ 0 });
    q = bnn_meanfield_new(u.w, d);
    ok = q.params == NULL && u.mem.err == BNN_EARG && strstr(u.mem.msg, word) != NULL;
    bnn_meanfield_sample(&q, &u.tape);
    ok = ok && u.tape.err == BNN_EARG;
    bnn_tape_clear_error(&u.tape);
    u.mem.err = BNN_OK;
    world_close(&u);
    return ok;
}

static void bad_descriptions_are_refused(void) {
    const double nan = NAN;
    CHECK(refuses((bnn_meanfield_desc){ .init_std = -1 }, "init_std is -1"));
    CHECK(refuses((bnn_meanfield_desc){ .init_std = (float)1e-12 }, "init_std"));
    CHECK(refuses((bnn_meanfield_desc){ .init_std = (float)1e6 }, "init_std"));
    CHECK(refuses((bnn_meanfield_desc){ .init_std = (float)nan }, "init_std"));
    CHECK(refuses((bnn_meanfield_desc){ .kl_weight = -1 }, "kl_weight"));
    CHECK(refuses((bnn_meanfield_desc){ .posterior = 7 }, "posterior 7"));
    CHECK(refuses((bnn_meanfield_desc){ .scale = 3 }, "scale 3"));
    CHECK(refuses((bnn_meanfield_desc){ .estimator = -1 }, "estimator -1"));
    CHECK(refuses((bnn_meanfield_desc){ .ard = 3 }, "ard 3"));
    CHECK(refuses((bnn_meanfield_desc){ .scale = BNN_SCALE_LOG, .log_rate = -2 }, "log_rate -2"));
}

static int says(world *u, const char *word) {
    int ok = u->tape.err != BNN_OK && strstr(u->tape.msg, word) != NULL;
    if (!ok) printf("    \"%s\", expected %s\n", u->tape.msg, word);
    bnn_tape_clear_error(&u->tape);
    u->mem.err = BNN_OK;
    return ok;
}

static void wrong_use_is_an_error_with_a_sentence(void) {
    linear l;
    bnn_meanfield q, p;
    bnn_net net;
    linear_open(&l, 161, 1);
    q = bnn_meanfield_new(l.u.w, (bnn_meanfield_desc){ 0 });
    bnn_meanfield_backward(&q, &l.u.tape);
    CHECK(says(&l.u, "no new draw"));
    bnn_meanfield_sample(&q, &l.u.tape);
    l.u.tape.n_data = 0;
    bnn_meanfield_backward(&q, &l.u.tape);
    CHECK(says(&l.u, "no gradient reached"));
    bnn_params_zero_grad(l.u.w);
    bnn_meanfield_backward(&q, &l.u.tape);
    CHECK(says(&l.u, "how many data"));
    q.kl_weight = 0; /* then N does not matter */
    bnn_backward(linear_nll(&l.u.tape, &l));
    l.u.tape.n_data = 0;
    bnn_meanfield_backward(&q, &l.u.tape);
    CHECK(l.u.tape.err == BNN_OK);
    q.kl_weight = -1;
    bnn_meanfield_sample(&q, &l.u.tape);
    CHECK(says(&l.u, "kl_weight"));
    q.kl_weight = 1;
    q.draws = 0;
    bnn_meanfield_sample(&q, &l.u.tape);
    CHECK(says(&l.u, "draws"));
    q.draws = 1;
    q.estimator = BNN_ESTIMATE_PRICE;
    bnn_meanfield_sample(&q, &l.u.tape);
    CHECK(says(&l.u, "curvature"));
    q.estimator = BNN_ESTIMATE_PATH;
    bnn_meanfield_curvature(&q, &l.u.tape, linear_nll, &l, 0);
    CHECK(says(&l.u, "PRICE"));
    p = bnn_meanfield_new(l.u.w, (bnn_meanfield_desc){ .estimator = BNN_ESTIMATE_PRICE });
    l.u.tape.n_data = 40;
    bnn_meanfield_sample(&p, &l.u.tape);
    bnn_meanfield_backward(&p, &l.u.tape);
    CHECK(says(&l.u, "bnn_meanfield_curvature"));
    CHECK(bnn_meanfield_measure(&q, &l.u.tape, &l.net, l.data, 0).bits != 0);
    CHECK(says(&l.u, "0 draws"));
    net = bnn_meanfield_net(&q, &l.net, 5);
    CHECK(net.params == NULL && l.u.mem.err == BNN_EARG);
    l.u.mem.err = BNN_OK;
    bnn_params_add(l.u.w, 1, 1, "more", (bnn_prior){ 0 });
    bnn_meanfield_sample(&q, &l.u.tape);
    CHECK(says(&l.u, "added"));
    CHECK(bnn_meanfield_kl(&q) != bnn_meanfield_kl(&q));
    bnn_meanfield_mean(&q);
    bnn_meanfield_update_priors(&q, 1);
    CHECK(bnn_meanfield_prune(&q, 1) == 0);
    world_close(&l.u);
}

/* w, which holds a draw, is no place for a stepper or for its prior */
static void weights_know_that_they_are_a_draw(void) {
    for (int posterior = BNN_POSTERIOR_GAUSSIAN; posterior <= BNN_POSTERIOR_DELTA; posterior++)
        for (int late = 0; late < 2; late++) {
            linear l;
            bnn_meanfield q;
            bnn_stepper wrong, right;
            bnn_ensemble e;
            bnn_batch b;
            linear_open(&l, 164, 1);
            q = bnn_meanfield_new(l.u.w, (bnn_meanfield_desc){ .posterior = posterior });
            wrong = bnn_sgd(l.u.w, (bnn_sgd_desc){ .lr = (float)1e-3 });
            right = bnn_adam(q.params, (bnn_adam_desc){ 0 });
            e = bnn_ensemble_new(l.u.w, 4);
            b = bnn_batch_all(&l.u.tape, l.data);
            bnn_backward(bnn_net_loss(&l.net, b)); /* before the first draw: its own */
            bnn_step(&wrong, &l.u.tape);
            for (int s = 0; s < 2 * late; s++) {
                bnn_tape_reset(&l.u.tape);
                bnn_meanfield_sample(&q, &l.u.tape);
                bnn_backward(linear_nll(&l.u.tape, &l));
                bnn_meanfield_backward(&q, &l.u.tape);
                bnn_step(&right, &l.u.tape);
            }
            CHECK(l.u.tape.err == BNN_OK);
            bnn_tape_reset(&l.u.tape);
            bnn_meanfield_sample(&q, &l.u.tape);
            b = bnn_batch_all(&l.u.tape, l.data);
            bnn_net_loss(&l.net, b);
            CHECK(says(&l.u, "use bnn_net_nll"));
            bnn_prior_nll(&l.u.tape, l.u.w);
            CHECK(says(&l.u, "a draw of a mean field"));
            bnn_backward(linear_nll(&l.u.tape, &l));
            bnn_step(&wrong, &l.u.tape);
            CHECK(says(&l.u, "a draw of a mean field"));
            bnn_step(&right, &l.u.tape);
            CHECK(says(&l.u, "bnn_meanfield_backward"));
            bnn_meanfield_backward(&q, &l.u.tape);
            bnn_step(&right, &l.u.tape);
            CHECK(l.u.tape.err == BNN_OK);
            bnn_tape_reset(&l.u.tape);
            bnn_backward(linear_nll(&l.u.tape, &l)); /* no new draw, no backward */
            bnn_step(&right, &l.u.tape);
            CHECK(says(&l.u, "bnn_meanfield_backward"));
            bnn_tape_reset(&l.u.tape);
            bnn_meanfield_sample(&q, &l.u.tape);
            bnn_backward(linear_nll(&l.u.tape, &l));
            bnn_meanfield_backward(&q, &l.u.tape);
            bnn_step(&right, &l.u.tape);
            bnn_meanfield_sample(&q, &l.u.tape);
            bnn_meanfield_backward(&q, &l.u.tape);
            CHECK(says(&l.u, "bnn_backward comes first"));
            CHECK(bnn_meanfield_push(&q, &e, &l.u.tape.rng) == BNN_OK);
            bnn_meanfield_backward(&q, &l.u.tape); /* of another draw than the gradient */
            CHECK(says(&l.u, "no new draw"));
            bnn_meanfield_mean(&q); /* no draw any more */
            bnn_tape_reset(&l.u.tape);
            bnn_backward(bnn_net_loss(&l.net, bnn_batch_all(&l.u.tape, l.data)));
            bnn_step(&wrong, &l.u.tape);
            CHECK(l.u.tape.err == BNN_OK);
            { /* nor is a sample of an ensemble or of the prior, or a copy */
                bnn_params *v = bnn_params_new(&l.u.mem);
                bnn_net other = bnn_mlp(v, (bnn_mlp_desc){ .sizes = { DIM, 1 }, .no_bias = 1,
                                                           .noise_std = (float)0.5 });
                bnn_params one;
                bnn_meanfield_sample(&q, &l.u.tape);
                bnn_params_copy(v, l.u.w);
                one = bnn_ensemble_sample(&e, 0);
                bnn_net_loss(&other, bnn_batch_all(&l.u.tape, l.data));
                CHECK(bnn_value(bnn_prior_nll(&l.u.tape, &one)) > 0);
                bnn_params_copy(l.u.w, v);
                bnn_net_loss(&l.net, bnn_batch_all(&l.u.tape, l.data));
                bnn_meanfield_sample(&q, &l.u.tape);
                bnn_params_sample_prior(l.u.w, &l.u.tape.rng);
                CHECK(bnn_value(bnn_prior_nll(&l.u.tape, l.u.w)) > 0);
                CHECK(l.u.tape.err == BNN_OK);
            }
            world_close(&l.u);
        }
}

static void zero_can_be_said_where_it_is_a_value(void) {
    world u;
    bnn_meanfield q;
    world_open(&u, 165);
    bnn_params_add(u.w, 1, 3, "w", (bnn_prior){ .std = 2 });
    q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .kl_weight = (float)BNN_ZERO });
    CHECK(q.kl_weight == 0);
    divergence_gradient(&u, &q);
    for (int i = 0; i < 6; i++) CHECK(q.params->grad[i] == 0);
    q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ 0 });
    CHECK(q.kl_weight == 1 && q.log_rate == 1 && q.draws == 1);
    CHECK(refuses((bnn_meanfield_desc){ .init_std = (float)BNN_ZERO }, "init_std is 0"));
    CHECK(refuses((bnn_meanfield_desc){ .scale = BNN_SCALE_LOG, .log_rate = (float)BNN_ZERO },
                  "log_rate 0"));
    world_close(&u);
}

/* Against the same integrals in other words: sums of logs and quadrature by substitution */
static void the_divergence_holds_at_its_ends(void) {
    const double sd[] = { 1e-13, 3e-9, 1e-4, 1, 1e4 - 1, 9e3 }, mean[] = { 0, -1e-12, 0.3, -2e6 };
    const double std[] = { 1e-18, 1e-3, 1, 1e5, 1e18 };
    for (int kind = BNN_PRIOR_NORMAL; kind <= BNN_PRIOR_DOUBLE_EXPONENTIAL; kind++)
        for (size_t i = 0; i < 6; i++)
            for (size_t j = 0; j < 4; j++)
                for (size_t k = 0; k < 5; k++) {
                    world u;
                    bnn_meanfield q;
                    double kl, s, d, b, r, exact;
                    world_open(&u, 166);
                    bnn_params_add(u.w, 1, 1, "w", (bnn_prior){ .kind = kind,
                                                                .std = (float)std[k] });
                    q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .scale = BNN_SCALE_LOG });
                    set_q(&q, 0, mean[j], sd[i] > 9000 ? 9000 : sd[i]);
                    kl = bnn_meanfield_kl(&q);
                    s = (double)q.sigma[0], d = (double)q.params->theta[0];
                    if (d == 0 && sd[i] < 1e-12) CHECK(kl > 0); /* over the floor */
                    b = (double)u.w->blocks[0].prior.std, r = s / b;
                    if (kind == BNN_PRIOR_NORMAL)
                        exact = (r * r - 1) / 2 - log(r) + d / b * (d / b) / 2;
                    else exact = log(2 * b) - log(s) - log(2 * acos(-1) * exp(1)) / 2 +
                                 (s * sqrt(2 / acos(-1)) * exp(-d / s * (d / s) / 2) +
                                  d * erf(d / s / sqrt(2))) / b;
                    CHECK(kl >= -1e-12);
                    CHECK_NEAR(kl, exact, BUILD_TOL(3e-7, 1e-12) * (1 + fabs(exact)));
                    divergence_gradient(&u, &q);
                    for (int g = 0; g < 2; g++)
                        CHECK(q.params->grad[g] == q.params->grad[g]); /* inf beyond float */
                    world_close(&u);
                }
}

/* At the draw; the narrow part is 1e5 times as steep as the wide one */
static void the_slope_of_a_mixture_is_exact_on_both_sides(void) {
    const double weight[] = { 0.5, 0.001, 0.9999, 1 };
    const double w[] = { 0, 1e-4, 0.003, -0.01, 0.02, 3, 40 };
    for (size_t k = 0; k < 4; k++) {
        world u;
        bnn_meanfield q;
        double s1, s2, p;
        world_open(&u, 168);
        bnn_params_add(u.w, 1, 7, "w", (bnn_prior){ .kind = BNN_PRIOR_MIXTURE, .std = 2,
                                                    .weight = (float)weight[k] });
        for (int i = 0; i < 7; i++) u.w->theta[i] = (float)w[i];
        q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .init_std = (float)1e-3 });
        divergence_gradient(&u, &q);
        s1 = (double)u.w->blocks[0].prior.std, s2 = (double)u.w->blocks[0].prior.std2;
        p = (double)u.w->blocks[0].prior.weight;
        for (int i = 0; i < 7; i++) {
            double x = (double)u.w->theta[i], a = p / s1 * exp(-x / s1 * (x / s1) / 2);
            double b = (1 - p) / s2 * exp(-x / s2 * (x / s2) / 2);
            double slope = x * (a / (s1 * s1) + b / (s2 * s2)) / (a + b);
            CHECK_NEAR(q.params->grad[i], slope, BUILD_TOL(2e-4, 1e-11) * fabs(slope));
        }
        world_close(&u);
    }
}

/* A Student of ever more degrees of freedom is a normal, up to the largest float */
static void a_student_prior_without_end_is_normal(void) {
    const double nu[] = { 1e5, 1e9, 1e13, 1e20, 3e38 };
    for (size_t k = 0; k < 5; k++) {
        float grad[2][6];
        for (int student = 0; student < 2; student++) {
            world u;
            bnn_meanfield q;
            world_open(&u, 167);
            bnn_params_add(u.w, 1, 3, "w", (bnn_prior){ .std = 30, .mean = 1, .nu = (float)nu[k],
                           .kind = student ? BNN_PRIOR_STUDENT : BNN_PRIOR_MIXTURE, .weight = 1 });
            for (int i = 0; i < 3; i++) u.w->theta[i] = (float)(10 * i);
            q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .init_std = (float)0.5 });
            divergence_gradient(&u, &q);
            memcpy(grad[student], q.params->grad, sizeof grad[0]);
            world_close(&u);
        }
        for (int i = 0; i < 6; i++)
            CHECK_NEAR(grad[1][i], grad[0][i], (3 / nu[k] + BUILD_TOL(1e-6, 1e-13)) *
                                               (1 + fabs((double)grad[0][i])));
    }
}

static void sigma_stays_between_its_floor_and_its_ceiling(void) {
    for (int scale = BNN_SCALE_SOFTPLUS; scale <= BNN_SCALE_LOG; scale++)
        for (int side = 0; side < 2; side++) {
            world u;
            bnn_meanfield q;
            float rho = side ? (float)1e30 : (float)-1e30;
            world_open(&u, 162);
            bnn_params_add(u.w, 1, 3, "w", (bnn_prior){ 0 });
            u.w->theta[0] = 1;
            q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .scale = scale });
            for (int i = 3; i < 6; i++) q.params->theta[i] = rho;
            divergence_gradient(&u, &q);
            CHECK(q.sigma[0] > 0 && (double)q.sigma[0] < 1.1e4);
            for (int i = 0; i < 6; i++)
                CHECK(bnn_mat_finite((bnn_mat){ 1, 1, &q.params->grad[i] }));
            CHECK(side ? q.params->grad[3] > 0 : q.params->grad[3] < 0); /* back inside */
            if (!side) CHECK(q.params->grad[4] == 0 && u.w->theta[4 - 3] == 0); /* removed */
            q.params->theta[3] = (float)NAN;
            bnn_meanfield_sample(&q, &u.tape);
            CHECK(u.w->theta[0] != u.w->theta[0]); /* so the loss will say it */
            world_close(&u);
        }
}

static void a_gradient_that_is_not_finite_moves_nothing(void) {
    linear l;
    bnn_meanfield q;
    bnn_stepper adam;
    float before[2 * DIM];
    linear_open(&l, 163, 1);
    q = bnn_meanfield_new(l.u.w, (bnn_meanfield_desc){ 0 });
    adam = bnn_adam(q.params, (bnn_adam_desc){ 0 });
    bnn_meanfield_sample(&q, &l.u.tape);
    bnn_backward(linear_nll(&l.u.tape, &l));
    l.u.w->grad[1] = (float)INFINITY;
    bnn_meanfield_backward(&q, &l.u.tape);
    memcpy(before, q.params->theta, sizeof before);
    bnn_step(&adam, &l.u.tape);
    CHECK(says(&l.u, "not finite"));
    CHECK_SAME_ARRAY(before, q.params->theta, 2 * DIM);
    world_close(&l.u);
}

static void the_scale_is_softplus_and_its_slope_the_derivative(void) {
    world u;
    bnn_meanfield q;
    double worst = 0, slope = 0;
    enum { W = 4001 };
    world_open(&u, 170);
    bnn_params_add(u.w, 1, W, "w", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ 0 });
    for (int i = 0; i < W; i++) {
        q.params->theta[i] = 1;
        q.params->theta[W + i] = (float)((i - 2000) / 100.0 + 1e-4);
    }
    bnn_meanfield_sample(&q, &u.tape);
    for (int i = 0; i < W; i++) { /* g such that d sigma = 1 */
        q.eps[i] = 1;
        u.w->grad[i] = 1;
        u.w->blocks[0].fresh = 0;
    }
    u.tape.n_data = 1;
    bnn_meanfield_backward(&q, &u.tape);
    for (int i = 0; i < W; i++) {
        double r = (double)q.params->theta[W + i], s = r > 0 ? r + log1p(exp(-r)) : log1p(exp(r));
        worst = fmax(worst, fabs((double)q.sigma[i] / s - 1));
        slope = fmax(slope, fabs((double)q.params->grad[W + i] * (1 + exp(-r)) - 1));
    }
    CHECK(worst < BUILD_TOL(4e-7, 1e-15));
    CHECK(slope < BUILD_TOL(6e-7, 1e-14));
    world_close(&u);
}

/* Whatever the instruction set: same draw, same gradient */
static void every_instance_makes_the_same_bits(void) {
    const int levels[] = { 1, 4, 8, 16 };
    float first[4][4 * 1000 + 2];
    int kinds = 0, best = bnn__cpu();
    for (int kind = BNN_PRIOR_NORMAL; kind <= BNN_PRIOR_STUDENT; kind++)
        for (int scale = BNN_SCALE_SOFTPLUS; scale <= BNN_SCALE_LOG; scale++, kinds++)
            for (int l = 0; l < 4; l++) {
                world u;
                bnn_meanfield q;
                if (levels[l] > best) continue;
                bnn__cpu_level = levels[l];
                world_open(&u, 171);
                bnn_params_add(u.w, 1, 1001, "w", (bnn_prior){ .kind = kind, .std = (float)0.3 });
                bnn_rng_fill_normal(&u.tape.rng, 1001, u.w->theta);
                q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .scale = scale });
                bnn_rng_fill_normal(&u.tape.rng, 1001, q.params->theta + 1001);
                bnn_rng_fill_normal(&u.tape.rng, 1001, u.w->grad);
                u.w->blocks[0].fresh = 0;
                u.tape.n_data = 100;
                bnn_meanfield_sample(&q, &u.tape);
                memcpy(first[l], u.w->theta, 1001 * sizeof(float));
                bnn_meanfield_backward(&q, &u.tape);
                memcpy(first[l] + 1001, q.params->grad, 2002 * sizeof(float));
                CHECK_SAME_ARRAY(first[0], first[l], 3003);
                world_close(&u);
            }
    bnn__cpu_level = best;
    CHECK(kinds == 8);
}

/* ---- memory: in buffers of every size up to what is needed, every request fails once */

static int whole_program(bnn_arena *mem, bnn_tape *t) {
    static float xs[24] = { 1, -1, 2, 0, 3, 1 }, ys[8] = { 0, 1, 2, 1 };
    bnn_data d = { { 8, 3, xs }, { 8, 1, ys } };
    bnn_params *w = bnn_params_new(mem);
    bnn_net local, small, net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 3, 6, 3 },
            .likelihood = BNN_CATEGORICAL, .prior = { .kind = BNN_PRIOR_DOUBLE_EXPONENTIAL,
                                                      .adapt_mean = 1, .adapt_std = 1 } });
    bnn_meanfield q = bnn_meanfield_new(w, (bnn_meanfield_desc){
            .estimator = BNN_ESTIMATE_SQUARES });
    bnn_stepper adam = bnn_adam(q.params, (bnn_adam_desc){ 0 });
    bnn_ensemble post = bnn_ensemble_new(w, 2);
    bnn_checkpoint c = { .nets = { &net }, .meanfields = { &q } };
    bnn_meanfield_cost cost;
    void *bytes = NULL;
    size_t size = 0;
    if (mem->err != BNN_OK) return mem->err;
    for (int s = 0; s < 2; s++) {
        bnn_tape_reset(t);
        bnn_meanfield_update_priors(&q, 1);
        bnn_meanfield_sample(&q, t);
        bnn_backward(bnn_net_nll(&net, bnn_batch_all(t, d)));
        bnn_meanfield_backward(&q, t);
        bnn_step(&adam, t);
    }
    q.estimator = BNN_ESTIMATE_PATH;
    for (int how = 0; how < 2; how++) {
        local = bnn_meanfield_net(&q, &net, how);
        if (local.params == NULL) return mem->err;
        bnn_tape_reset(t);
        bnn_meanfield_sample(&q, t);
        bnn_backward(bnn_net_nll(&local, bnn_batch_all(t, d)));
        bnn_meanfield_backward(&q, t);
        bnn_step(&adam, t);
    }
    bnn_meanfield_push(&q, &post, &t->rng);
    cost = bnn_meanfield_measure(&q, t, &net, d, 2);
    if (t->err == BNN_OK) CHECK(cost.bits > 0);
    bnn_meanfield_prune(&q, bnn_meanfield_snr(&q, 0.5));
    bnn_meanfield_mean(&q);
    small = bnn_mlp_shrink(bnn_params_new(mem), &net, NULL);
    if (mem->err == BNN_OK) CHECK(small.params != NULL);
    if (mem->err == BNN_OK && bnn_checkpoint_write(mem, &c, &bytes, &size) != BNN_OK)
        return BNN_ENOMEM;
    return mem->err != BNN_OK ? mem->err : t->err;
}

static void any_request_for_memory_may_fail(void) {
    static unsigned char space[2][400000];
    for (int which = 0; which < 2; which++) {
        size_t capacity;
        int err = BNN_ENOMEM;
        for (capacity = 64; capacity < sizeof space[0] && err != BNN_OK; capacity += 64) {
            bnn_arena mem = { .buffer = space[0], .capacity = which ? sizeof space[0] : capacity };
            bnn_tape t = { .rng = bnn_rng_seed(1), .mem = { .buffer = space[1],
                           .capacity = which ? capacity : sizeof space[1] } };
            err = whole_program(&mem, &t);
            CHECK(err == BNN_OK || err == BNN_ENOMEM);
        }
        CHECK(err == BNN_OK && capacity > 1000);
    }
}

/* Every byte of the section set to other values, the checksum made right again */
static void a_damaged_mean_field_is_refused_or_whole(void) {
    linear l;
    bnn_meanfield q;
    bnn_checkpoint c;
    void *bytes = NULL;
    unsigned char *file;
    size_t size = 0, at = 0, refused = 0;
    linear_open(&l, 180, 1);
    q = bnn_meanfield_new(l.u.w, (bnn_meanfield_desc){ 0 });
    c = (bnn_checkpoint){ .nets = { &l.net }, .meanfields = { &q } };
    CHECK(bnn_checkpoint_write(&l.u.mem, &c, &bytes, &size) == BNN_OK);
    file = (unsigned char *)bytes;
    while (at + 4 < size && memcmp(file + at, "MEAN", 4) != 0) at++;
    CHECK(at + 4 < size);
    for (; at + 4 < size; at++)
        for (int v = 0; v < 4; v++) {
            const unsigned char to[4] = { 0, 255, 1, 128 };
            unsigned char keep = file[at];
            bnn_meanfield before = q;
            uint32_t crc;
            int err;
            file[at] = to[v];
            crc = bnn__crc32(file, size - 4);
            for (int i = 0; i < 4; i++) file[size - 4 + (size_t)i] = (unsigned char)(crc >> 8 * i);
            err = bnn_checkpoint_read(&l.u.mem, &c, file, size);
            if (err != BNN_OK) {
                refused++;
                CHECK(memcmp(&before, &q, sizeof q) == 0);
            }
            CHECK(q.n == DIM && q.draws > 0 && q.sigma == before.sigma);
            q = before;
            file[at] = keep;
        }
    CHECK(refused > 100);
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
    RUN(a_rate_that_no_rho_can_balance_is_refused);
    RUN(no_gradient_reaches_a_frozen_rho);
    RUN(what_does_not_adapt_is_not_shared);
    RUN(a_hierarchical_prior_takes_the_expected_squares);
    RUN(relevance_costs_half_a_log_of_signal_to_noise);
    RUN(the_optimum_of_conjugate_regression_is_reached);
    RUN(the_gradient_of_the_free_energy_is_unbiased);
    RUN(a_tempered_divergence_is_that_of_more_data);
    RUN(no_divergence_and_no_noise_is_least_squares);
    RUN(the_bound_is_below_the_evidence_by_at_least_a_mode);
    RUN(noise_in_the_layers_has_the_moments_and_less_variance);
    RUN(noisy_layers_have_right_gradients_and_a_zero_row_none);
    RUN(the_recipe_is_the_loop_written_by_hand);
    RUN(a_constant_gradient_has_the_recipes_fixed_point);
    RUN(all_ten_rows_run_from_one_switch);
    RUN(a_delta_with_a_gaussian_prior_is_weight_decay);
    RUN(an_unchanged_prior_costs_no_bits);
    RUN(few_data_collapse_to_the_prior);
    RUN(pruning_orders_agree_and_removed_weights_are_exact_zeros);
    RUN(removed_weights_stay_removed_under_every_stepper);
    RUN(weights_removed_by_hand_stay_removed);
    RUN(priors_follow_points_and_a_delta_alike);
    RUN(schedules_of_the_divergence_have_mean_one);
    RUN(several_draws_average);
    RUN(a_loop_does_not_allocate_after_its_first_step);
    RUN(draws_become_an_ensemble);
    RUN(resuming_continues_bit_for_bit);
    RUN(bad_descriptions_are_refused);
    RUN(wrong_use_is_an_error_with_a_sentence);
    RUN(weights_know_that_they_are_a_draw);
    RUN(zero_can_be_said_where_it_is_a_value);
    RUN(the_divergence_holds_at_its_ends);
    RUN(the_slope_of_a_mixture_is_exact_on_both_sides);
    RUN(a_student_prior_without_end_is_normal);
    RUN(sigma_stays_between_its_floor_and_its_ceiling);
    RUN(a_gradient_that_is_not_finite_moves_nothing);
    RUN(the_scale_is_softplus_and_its_slope_the_derivative);
    RUN(every_instance_makes_the_same_bits);
    RUN(any_request_for_memory_may_fail);
    RUN(a_damaged_mean_field_is_refused_or_whole);
    return check_done();
}
