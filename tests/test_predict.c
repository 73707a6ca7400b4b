/* test_predict.c -- S6.1 to S6.4 and S6.6, S4.12: ensembles, predictives, quantiles, likelihoods of
 * mixtures, dropout ensembles; against closed forms and brute force. Statistical checks allow Z
 * standard errors: a false alarm once in 10,000 runs. */
#include "build.h"

#define Z 3.9
#define TIGHT BUILD_TOL(3e-6, 1e-12)

typedef struct world {
    bnn_arena mem, out;
    bnn_tape tape;
    bnn_params *w;
    bnn_net net;
    bnn_ensemble post;
} world;

/* A net and `count` samples drawn from its prior */
static void world_open(world *u, bnn_mlp_desc d, size_t count, uint64_t seed) {
    memset(u, 0, sizeof *u);
    u->tape.rng = bnn_rng_seed(build_seed(seed));
    u->w = bnn_params_new(&u->mem);
    d.init = BNN_INIT_PRIOR;
    d.seed = build_seed(seed);
    u->net = bnn_mlp(u->w, d);
    u->post = bnn_ensemble_new(u->w, count);
    for (size_t k = 0; k < count; k++) {
        bnn_params_sample_prior(u->w, &u->tape.rng);
        CHECK(bnn_ensemble_push(&u->post) == BNN_OK);
    }
}

static void world_close(world *u) {
    CHECK(u->tape.err == BNN_OK && u->mem.err == BNN_OK && u->out.err == BNN_OK);
    bnn_tape_free(&u->tape);
    bnn_arena_free(&u->mem);
    bnn_arena_free(&u->out);
}

static bnn_mat grid(bnn_arena *mem, size_t rows, size_t cols) {
    bnn_mat x = bnn_mat_new(mem, rows, cols);
    for (size_t i = 0; i < rows * cols; i++) x.data[i] = (float)(2 * sin(1.3 * (double)i + 0.2));
    return x;
}

static bnn_predictive predict(world *u, bnn_mat x) {
    return bnn_predict(&u->out, &u->tape, &u->net, &u->post, x);
}

static const bnn_mlp_desc small = { .sizes = { 2, 4, 1 }, .activation = BNN_TANH,
                                    .noise_std = (float)0.3 };
static const bnn_mlp_desc hetero = { .sizes = { 2, 4, 4 }, .activation = BNN_TANH,
                                     .likelihood = BNN_GAUSSIAN_HETERO };
static const bnn_mlp_desc classes = { .sizes = { 2, 4, 3 }, .activation = BNN_TANH,
                                      .likelihood = BNN_CATEGORICAL };

/* The likelihood's mean and variance of output j, from the raw output row, by hand */
static void by_hand(const bnn_net *net, const float *out, size_t cols, size_t j, double *m,
                    double *v) {
    double s = 0;
    if (net->likelihood == BNN_GAUSSIAN) *m = (double)out[j], *v = pow((double)net->noise_std, 2);
    if (net->likelihood == BNN_GAUSSIAN_HETERO)
        *m = (double)out[j], *v = exp((double)out[cols / 2 + j]);
    if (net->likelihood == BNN_CATEGORICAL) {
        for (size_t k = 0; k < cols; k++) s += exp((double)out[k]);
        *m = exp((double)out[j]) / s, *v = *m * (1 - *m);
    }
    if (net->likelihood == BNN_BERNOULLI) *m = 1 / (1 + exp(-(double)out[j])), *v = *m * (1 - *m);
    if (net->likelihood == BNN_POISSON) *m = *v = exp((double)out[j]);
    if (net->likelihood == BNN_DOUBLE_EXPONENTIAL)
        *m = (double)out[j], *v = 2 * pow((double)net->noise_std, 2);
    if (net->likelihood == BNN_STUDENT)
        *m = (double)out[j], *v = 2 * pow((double)net->noise_std, 2); /* nu = 4 */
}

static bnn_mlp_desc of_likelihood(int likelihood) {
    bnn_mlp_desc d = { .sizes = { 2, 4, 2 }, .activation = BNN_TANH, .noise_std = (float)0.3 };
    d.likelihood = likelihood;
    if (likelihood == BNN_GAUSSIAN_HETERO) d.sizes[2] = 4;
    return d;
}

static void every_likelihood_obeys_the_law_of_total_variance(void) {
    for (int lik = BNN_GAUSSIAN; lik <= BNN_POISSON; lik++) {
        for (int weighted = 0; weighted < 2; weighted++) {
            world u;
            bnn_mat x, raw;
            bnn_predictive p;
            double w[7], total = 0;
            world_open(&u, of_likelihood(lik), 7, 400);
            for (int s = 0; s < 7; s++) w[s] = weighted ? s % 3 : 1, total += w[s];
            for (int s = 0; s < 7; s++) u.post.weights[s] = w[s];
            x = grid(&u.mem, 5, 2);
            p = predict(&u, x);
            raw = bnn_predict_samples(&u.out, &u.tape, &u.net, &u.post, x);
            CHECK(raw.rows == 35 && p.mean.rows == 5 && p.mean.cols == 2);
            for (size_t i = 0; i < 10 && p.mean.data != NULL; i++) {
                double mean = 0, al = 0, ep = 0, m = 0, v = 0;
                for (int s = 0; s < 7; s++) {
                    const float *row = raw.data + ((size_t)s * 5 + i / 2) * raw.cols;
                    by_hand(&u.net, row, raw.cols, i % 2, &m, &v);
                    mean += w[s] / total * m, al += w[s] / total * v, ep += w[s] / total * m * m;
                }
                ep -= mean * mean;
                CHECK_NEAR(p.mean.data[i], mean, TIGHT * (1 + fabs(mean)));
                CHECK_NEAR(p.aleatoric.data[i], al, TIGHT * (1 + al));
                CHECK_NEAR(p.epistemic.data[i], ep, TIGHT * (1 + ep + mean * mean));
                if (lik == BNN_CATEGORICAL || lik == BNN_BERNOULLI) /* of an indicator */
                    CHECK_NEAR(p.aleatoric.data[i] + p.epistemic.data[i], mean * (1 - mean), TIGHT);
            }
            world_close(&u);
        }
    }
}

static void permuting_the_samples_leaves_the_result(void) {
    world u;
    bnn_mat x;
    bnn_predictive p, q;
    world_open(&u, classes, 9, 401);
    x = grid(&u.mem, 20, 2);
    p = predict(&u, x);
    for (size_t a = 0, b = 8; a < b; a++, b--) {
        for (size_t j = 0; j < u.w->n; j++) {
            float *s = u.post.samples.data, keep = s[a * u.w->n + j];
            s[a * u.w->n + j] = s[b * u.w->n + j], s[b * u.w->n + j] = keep;
        }
    }
    q = predict(&u, x);
    for (size_t i = 0; i < 60; i++) {
        CHECK_NEAR(p.mean.data[i], q.mean.data[i], TIGHT);
        CHECK_NEAR(p.epistemic.data[i], q.epistemic.data[i], TIGHT);
    }
    for (size_t i = 0; i < 20; i++) CHECK_NEAR(p.entropy.data[i], q.entropy.data[i], TIGHT);
    world_close(&u);
}

static void a_sample_is_a_view_not_a_copy(void) {
    world u;
    bnn_params v;
    world_open(&u, small, 3, 402);
    v = bnn_ensemble_sample(&u.post, 1);
    CHECK(v.theta == u.post.samples.data + u.w->n && v.grad == NULL && v.n == u.w->n);
    u.post.samples.data[u.w->n] = 42;
    CHECK(bnn_params_mat(&v, 0).data[0] == 42);
    CHECK(bnn_ensemble_sample(&u.post, 3).theta == NULL);
    world_close(&u);
}

static void one_member_is_the_net_itself(void) {
    world u;
    bnn_mat x;
    bnn_predictive p, q;
    world_open(&u, classes, 1, 403);
    x = grid(&u.mem, 6, 2);
    p = predict(&u, x);
    q = bnn_predict(&u.out, &u.tape, &u.net, NULL, x); /* theta is the sample that was pushed */
    CHECK_SAME_ARRAY(p.mean.data, q.mean.data, 18);
    for (size_t i = 0; i < 18; i++) CHECK(q.epistemic.data[i] == 0);
    for (size_t i = 0; i < 6; i++) {
        CHECK(q.mutual_information.data[i] == 0);
        CHECK_NEAR(q.entropy.data[i], q.expected_entropy.data[i], 1e-6);
    }
    world_close(&u);
}

static void equal_weights_of_any_size_change_nothing_and_zero_weights_drop_a_member(void) {
    world u;
    bnn_mat x;
    bnn_predictive p, q;
    world_open(&u, small, 4, 404);
    x = grid(&u.mem, 6, 2);
    p = predict(&u, x);
    for (int s = 0; s < 4; s++) u.post.weights[s] = 17;
    q = predict(&u, x);
    for (size_t i = 0; i < 6; i++) CHECK_NEAR(p.epistemic.data[i], q.epistemic.data[i], TIGHT);
    u.post.weights[0] = 0;
    p = predict(&u, x);
    memcpy(u.post.samples.data, u.post.samples.data + 3 * u.w->n, u.w->n * sizeof(float));
    u.post.weights[0] = 17, u.post.weights[3] = 0;
    q = predict(&u, x);
    for (size_t i = 0; i < 6; i++) CHECK_NEAR(p.epistemic.data[i], q.epistemic.data[i], TIGHT);
    world_close(&u);
}

/* ---- entropies */

static bnn_var *logits_are_weights(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    bnn_var *ones = bnn_op(t, x->val.rows, 1, NULL, 0, NULL);
    for (size_t i = 0; i < ones->val.rows; i++) ones->val.data[i] = 1;
    return bnn_matmul(ones, bnn_param(t, net->params, 0));
}

static void entropies_split_into_noise_and_disagreement(void) {
    world u;
    bnn_predictive p;
    double logit[4][3] = { { 1, 0, -2 }, { 1, 0, -2 }, { 1, 0, -2 }, { 1, 0, -2 } };
    memset(&u, 0, sizeof u);
    u.w = bnn_params_new(&u.mem);
    bnn_params_add(u.w, 1, 3, "logit", (bnn_prior){ 0 });
    u.net = (bnn_net){ .params = u.w, .forward = logits_are_weights,
                       .likelihood = BNN_CATEGORICAL };
    for (int kind = 0; kind < 3; kind++) {
        u.post = bnn_ensemble_new(u.w, 4);
        for (int s = 0; s < 4; s++) {
            for (int k = 0; k < 3; k++) {
                if (kind == 1) logit[s][k] = k == (s < 3 ? 0 : 2) ? 200 : -200;
                if (kind == 2) logit[s][k] = sin(3.1 * s + 7 * k);
                u.w->theta[k] = (float)logit[s][k];
            }
            bnn_ensemble_push(&u.post);
        }
        p = predict(&u, grid(&u.mem, 2, 1));
        if (kind == 0) { /* equal members: nothing epistemic */
            double z = exp(1) + 1 + exp(-2), h = log(z) - (exp(1) - 2 * exp(-2)) / z;
            CHECK_NEAR(p.entropy.data[1], h, TIGHT);
            CHECK_NEAR(p.expected_entropy.data[1], h, TIGHT);
            CHECK(p.mutual_information.data[0] >= 0 && p.mutual_information.data[0] < TIGHT);
        } else if (kind == 1) { /* one-hot members, a vote of 3 to 1 */
            double h = -0.75 * log(0.75) - 0.25 * log(0.25);
            CHECK_NEAR(p.mutual_information.data[0], h, TIGHT);
            CHECK_NEAR(p.entropy.data[0], h, TIGHT);
            CHECK_NEAR(p.expected_entropy.data[0], 0, TIGHT);
        } else {
            double mean[3] = { 0, 0, 0 }, total = 0, expected = 0;
            for (int s = 0; s < 4; s++) {
                double z = 0;
                for (int k = 0; k < 3; k++) z += exp(logit[s][k]);
                for (int k = 0; k < 3; k++) {
                    double q = exp(logit[s][k]) / z;
                    mean[k] += q / 4;
                    expected -= q * log(q) / 4;
                }
            }
            for (int k = 0; k < 3; k++) total -= mean[k] * log(mean[k]);
            CHECK_NEAR(p.entropy.data[0], total, TIGHT);
            CHECK_NEAR(p.expected_entropy.data[0], expected, TIGHT);
            CHECK_NEAR(p.mutual_information.data[0], total - expected, TIGHT);
        }
        CHECK(u.tape.err == BNN_OK);
    }
    u.net.likelihood = BNN_BERNOULLI; /* independent columns: entropies add */
    u.w->theta[0] = 0, u.w->theta[1] = 2, u.w->theta[2] = -200;
    p = bnn_predict(&u.out, &u.tape, &u.net, NULL, grid(&u.mem, 2, 1));
    {
        double q = 1 / (1 + exp(-2));
        CHECK_NEAR(p.entropy.data[0], log(2) - q * log(q) - (1 - q) * log(1 - q), TIGHT);
    }
    world_close(&u);
}

static void a_predicted_ln_variance_has_the_bounds_of_its_likelihood(void) {
    world u;
    bnn_predictive p;
    memset(&u, 0, sizeof u);
    u.w = bnn_params_new(&u.mem);
    bnn_params_add(u.w, 1, 6, "mean, ln var", (bnn_prior){ 0 });
    u.net = (bnn_net){ .params = u.w, .forward = logits_are_weights,
                       .likelihood = BNN_GAUSSIAN_HETERO };
    u.w->theta[3] = -30, u.w->theta[4] = 1, u.w->theta[5] = 30;
    p = bnn_predict(&u.out, &u.tape, &u.net, NULL, grid(&u.mem, 1, 1));
    CHECK_NEAR((double)p.aleatoric.data[0] / exp(-20), 1, TIGHT);
    CHECK_NEAR((double)p.aleatoric.data[1] / exp(1), 1, TIGHT);
    CHECK_NEAR((double)p.aleatoric.data[2] / exp(20), 1, TIGHT);
    world_close(&u);
}

static void a_net_made_by_hand_has_the_noise_of_its_loss(void) { /* noise_std 1, nu 4 */
    int lik[3] = { BNN_GAUSSIAN, BNN_DOUBLE_EXPONENTIAL, BNN_STUDENT };
    double var[3] = { 1, 2, 2 };
    for (int i = 0; i < 3; i++) {
        world u;
        memset(&u, 0, sizeof u);
        u.w = bnn_params_new(&u.mem);
        bnn_params_add(u.w, 1, 1, "mean", (bnn_prior){ 0 });
        u.net = (bnn_net){ .params = u.w, .forward = logits_are_weights, .likelihood = lik[i] };
        CHECK_NEAR(bnn_predict(&u.out, &u.tape, &u.net, NULL, grid(&u.mem, 1, 1)).aleatoric.data[0],
                   var[i], TIGHT);
        world_close(&u);
    }
}

/* ---- S3.10: samples of w ~ N(m, A^-1) */

static void conjugate_samples_give_the_exact_predictive_variance(void) {
    enum { S = 20000 };
    world u;
    double a = 3, b = 1.2, c = 2, det = a * c - b * b, m[2] = { 0.7, -0.4 };
    double l0 = sqrt(c / det), l1 = -b / det / l0, l2 = sqrt(a / det - l1 * l1);
    bnn_mat x;
    bnn_predictive p;
    world_open(&u, (bnn_mlp_desc){ .sizes = { 2, 1 }, .no_bias = 1, .noise_std = (float)0.25 }, S,
               410);
    for (size_t s = 0; s < S; s++) {
        double z0 = (double)bnn_rng_normal(&u.tape.rng), z1 = (double)bnn_rng_normal(&u.tape.rng);
        u.post.samples.data[2 * s] = (float)(m[0] + l0 * z0);
        u.post.samples.data[2 * s + 1] = (float)(m[1] + l1 * z0 + l2 * z1);
    }
    x = grid(&u.mem, 5, 2);
    p = predict(&u, x);
    for (size_t i = 0; i < 5; i++) { /* x' A^-1 x and 1/beta */
        double x0 = (double)x.data[2 * i], x1 = (double)x.data[2 * i + 1];
        double v = (c * x0 * x0 - 2 * b * x0 * x1 + a * x1 * x1) / det;
        CHECK_NEAR(p.mean.data[i], m[0] * x0 + m[1] * x1, Z * sqrt(v / S));
        CHECK_NEAR(p.epistemic.data[i], v, Z * v * sqrt(2.0 / S));
        CHECK_NEAR(p.aleatoric.data[i], 0.0625, 1e-6);
    }
    world_close(&u);
}

/* ---- mixtures */

static double log_density(const bnn_net *net, const float *out, size_t cols, const float *y,
                          size_t k) { /* of one member, by hand */
    double sum = 0, z = 0;
    for (size_t j = 0; j < k; j++) {
        double o = (double)out[j], t = (double)y[j], s = (double)net->noise_std;
        double a = net->likelihood == BNN_GAUSSIAN ? 2 * log(s) : 0;
        switch (net->likelihood) {
        case BNN_GAUSSIAN_HETERO: a = (double)out[cols / 2 + j]; /* fall through */
        case BNN_GAUSSIAN:
            sum -= (a + (t - o) * (t - o) * exp(-a) + log(8 * atan(1))) / 2;
            break;
        case BNN_DOUBLE_EXPONENTIAL: sum -= fabs(t - o) / s + log(2 * s); break;
        case BNN_STUDENT: /* nu = 4: Gamma(5/2)/(Gamma(2) sqrt(4 pi)) = 3/8 */
            sum += log(0.375 / s) - 2.5 * log(1 + (t - o) * (t - o) / (4 * s * s));
            break;
        case BNN_BERNOULLI: sum -= log(1 + exp(t > 0.5 ? -o : o)); break;
        case BNN_POISSON: sum += t * o - exp(o) - lgamma(t + 1); break;
        default: break;
        }
    }
    if (net->likelihood != BNN_CATEGORICAL) return sum;
    for (size_t j = 0; j < cols; j++) z += exp((double)out[j]);
    return (double)out[(size_t)y[0]] - log(z);
}

static void the_log_likelihood_of_a_mixture_is_the_log_of_the_mean_density(void) {
    for (int lik = BNN_GAUSSIAN; lik <= BNN_POISSON; lik++) {
        world u;
        bnn_data d;
        bnn_mat ll, raw;
        size_t k = lik == BNN_CATEGORICAL ? 1 : 2;
        world_open(&u, of_likelihood(lik), 6, 420);
        for (int s = 0; s < 6; s++) u.post.weights[s] = s; /* the first counts nothing */
        d.x = grid(&u.mem, 9, 2);
        d.y = grid(&u.mem, 9, k);
        for (size_t i = 0; i < 9 * k && lik >= BNN_BERNOULLI; i++)
            d.y.data[i] = (float)(lik == BNN_POISSON ? i % 4 : i % 2);
        ll = bnn_predict_log_lik(&u.out, &u.tape, &u.net, &u.post, d);
        raw = bnn_predict_samples(&u.out, &u.tape, &u.net, &u.post, d.x);
        CHECK(ll.rows == 9 && ll.cols == 1);
        for (size_t i = 0; i < 9 && ll.data != NULL; i++) {
            double p = 0, jensen = 0;
            for (size_t s = 0; s < 6; s++) {
                double one = log_density(&u.net, raw.data + (s * 9 + i) * raw.cols, raw.cols,
                                         d.y.data + i * k, k);
                p += (double)s / 15 * exp(one);
                jensen += (double)s / 15 * one;
            }
            CHECK_NEAR(ll.data[i], log(p), BUILD_TOL(2e-5, 1e-11) * (1 + fabs(log(p))));
            CHECK((double)ll.data[i] >= jensen - 1e-5 * fabs(jensen));
        }
        world_close(&u);
    }
}

static void log_likelihoods_far_in_the_tail_do_not_underflow(void) {
    world u;
    bnn_data d;
    bnn_mat ll;
    world_open(&u, small, 3, 421);
    d.x = grid(&u.mem, 1, 2);
    d.y = bnn_mat_new(&u.mem, 1, 1);
    d.y.data[0] = 100;
    ll = bnn_predict_log_lik(&u.out, &u.tape, &u.net, &u.post, d);
    CHECK((double)ll.data[0] < -20000 && bnn_mat_finite(ll)); /* exp of it is 0 */
    world_close(&u);
}

static void quantiles_invert_the_distribution_function_of_the_mixture(void) {
    static const double qs[5] = { 0.001, 0.05, 0.5, 0.9, 0.999 };
    world u;
    bnn_mat x, raw;
    world_open(&u, hetero, 8, 430);
    for (int s = 0; s < 8; s++) u.post.weights[s] = s;
    x = grid(&u.mem, 70, 2); /* more than one block */
    raw = bnn_predict_samples(&u.out, &u.tape, &u.net, &u.post, x);
    for (int k = 0; k < 5; k++) {
        bnn_mat q = bnn_predict_quantile(&u.out, &u.tape, &u.net, &u.post, x, (float)qs[k]);
        CHECK(q.rows == 70 && q.cols == 2);
        for (size_t i = 0; i < 140 && q.data != NULL; i++) {
            double cdf = 0, density = 0;
            for (size_t s = 0; s < 8; s++) {
                const float *o = raw.data + (s * 70 + i / 2) * 4 + i % 2;
                double sd = exp((double)o[2] / 2), z = ((double)q.data[i] - (double)o[0]) / sd;
                cdf += (double)s / 28 * erfc(-z / sqrt(2)) / 2;
                density += (double)s / 28 * exp(-z * z / 2) / sd / 2.5066282746310002;
            }
            CHECK_NEAR(cdf, (double)(float)qs[k], BUILD_TOL(1e-5 + 1e-6 * density, 1e-9));
        }
    }
    world_close(&u);
}

/* ---- blocks, rows, memory */

static void the_number_of_rows_does_not_matter(void) {
    static const size_t rows[] = { 0, 1, 31, 32, 33, 255, 256, 257, 513 };
    world u;
    bnn_mat x;
    bnn_predictive whole;
    bnn_mat q, raw;
    world_open(&u, hetero, 3, 440);
    x = grid(&u.mem, 600, 2);
    whole = predict(&u, x);
    q = bnn_predict_quantile(&u.out, &u.tape, &u.net, &u.post, x, (float)0.25);
    raw = bnn_predict_samples(&u.out, &u.tape, &u.net, &u.post, x);
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        size_t n = rows[k];
        bnn_mat part = bnn_mat_rows(x, 0, n), r, all;
        bnn_predictive p = predict(&u, part);
        bnn_data d;
        CHECK(p.mean.rows == n && p.mean.cols == 2);
        CHECK(p.aleatoric.rows == n && p.epistemic.cols == 2);
        for (size_t i = 0; i < 2 * n; i++) {
            CHECK_NEAR(p.mean.data[i], whole.mean.data[i], TIGHT * 10);
            CHECK_NEAR(p.aleatoric.data[i] / whole.aleatoric.data[i], 1, TIGHT * 10);
            CHECK_NEAR(p.epistemic.data[i], whole.epistemic.data[i], TIGHT * 10);
        }
        r = bnn_predict_quantile(&u.out, &u.tape, &u.net, &u.post, part, (float)0.25);
        CHECK(r.rows == n && r.cols == 2);
        for (size_t i = 0; i < 2 * n; i++) CHECK_NEAR(r.data[i], q.data[i], TIGHT * 10);
        all = bnn_predict_samples(&u.out, &u.tape, &u.net, &u.post, part);
        CHECK(all.rows == 3 * n && all.cols == 4);
        for (size_t s = 0; s < 3; s++)
            for (size_t i = 0; i < 4 * n; i++)
                CHECK_NEAR(all.data[s * n * 4 + i], raw.data[s * 2400 + i], TIGHT * 10);
        d.x = part;
        d.y = bnn_mat_rows(x, 0, n);
        r = bnn_predict_log_lik(&u.out, &u.tape, &u.net, &u.post, d);
        CHECK(r.rows == n && r.cols == 1 && bnn_mat_finite(r));
    }
    world_close(&u);
}

static void scratch_does_not_grow_with_the_rows(void) {
    size_t used[2], chunks[2];
    for (int k = 0; k < 2; k++) {
        world u;
        bnn_mat x;
        bnn_data d;
        world_open(&u, hetero, 5, 441);
        x = grid(&u.mem, k == 0 ? 600 : 30000, 2);
        d.x = d.y = x;
        predict(&u, x);
        bnn_predict_log_lik(&u.out, &u.tape, &u.net, &u.post, d);
        bnn_predict_samples(&u.out, &u.tape, &u.net, &u.post, x);
        bnn_predict_quantile(&u.out, &u.tape, &u.net, &u.post, bnn_mat_rows(x, 0, 300), (float)0.5);
        chunks[k] = bnn_arena_size(&u.tape.mem);
        used[k] = u.tape.mem.used;
        world_close(&u);
    }
    CHECK_NEAR(chunks[0], chunks[1], 1024);  /* but for alignment */
    CHECK(used[0] == used[1] && used[0] == 0); /* all was given back */
}

static void results_may_live_in_the_tapes_own_arena(void) {
    world u;
    bnn_mat x;
    bnn_predictive p, q;
    world_open(&u, hetero, 5, 442);
    x = grid(&u.mem, 40, 2);
    p = predict(&u, x);
    q = bnn_predict(&u.tape.mem, &u.tape, &u.net, &u.post, x);
    predict(&u, x); /* does not disturb them */
    CHECK_SAME_ARRAY(p.mean.data, q.mean.data, 80);
    CHECK_SAME_ARRAY(p.epistemic.data, q.epistemic.data, 80);
    world_close(&u);
}

typedef struct watch {
    size_t calls, last, stop;
} watch;

static int watching(void *user, size_t done, size_t total) {
    watch *w = (watch *)user;
    CHECK(done > w->last && done <= total && total == 1000);
    w->last = done;
    return ++w->calls == w->stop;
}

static void progress_is_reported_and_can_cancel(void) {
    for (size_t stop = 0; stop < 4; stop += 2) {
        for (int which = 0; which < 4; which++) {
            world u;
            bnn_data d;
            watch w = { 0, 0, stop };
            void *got = NULL;
            world_open(&u, small, 3, 443);
            d.x = grid(&u.mem, 1000, 2);
            d.y = grid(&u.mem, 1000, 1);
            u.tape.progress = watching;
            u.tape.progress_user = &w;
            if (which == 0) got = predict(&u, d.x).mean.data;
            if (which == 1)
                got = bnn_predict_log_lik(&u.out, &u.tape, &u.net, &u.post, d).data;
            if (which == 2)
                got = bnn_predict_quantile(&u.out, &u.tape, &u.net, &u.post, d.x, (float)0.5).data;
            if (which == 3)
                got = bnn_predict_samples(&u.out, &u.tape, &u.net, &u.post, d.x).data;
            CHECK(stop == 0 ? w.last == 1000 && got != NULL : w.calls == 2 && got == NULL);
            CHECK(u.tape.err == (stop == 0 ? BNN_OK : BNN_ECANCEL));
            bnn_tape_clear_error(&u.tape);
            world_close(&u);
        }
    }
}

/* ---- S6.6 */

static void standardized_nets_predict_in_the_units_of_the_data(void) {
    for (int lik = BNN_GAUSSIAN; lik <= BNN_STUDENT; lik++) {
        world u, v;
        float c[2] = { 3, (float)0.5 }, a[2] = { 10, -2 };
        bnn_mat x, xs, raw;
        bnn_data d;
        bnn_predictive p;
        double area = 0;
        world_open(&u, of_likelihood(lik), 4, 450);
        world_open(&v, of_likelihood(lik), 4, 450);
        for (size_t i = 0; i < 4 * u.w->n; i++) { /* variances that one grid can resolve */
            u.post.samples.data[i] /= 4;
            v.post.samples.data[i] /= 4;
        }
        x = grid(&u.mem, 6, 2);
        xs = bnn_mat_new(&u.mem, 6, 2);
        for (size_t i = 0; i < 12; i++) xs.data[i] = (x.data[i] - 1) / 2;
        u.net.scaling.x_mean = bnn_mat_new(&u.mem, 1, 2);
        u.net.scaling.x_std = bnn_mat_new(&u.mem, 1, 2);
        bnn_mat_fill(u.net.scaling.x_mean, 1);
        bnn_mat_fill(u.net.scaling.x_std, 2);
        u.net.scaling.y_mean = (bnn_mat){ 1, 2, a };
        u.net.scaling.y_std = (bnn_mat){ 1, 2, c };
        p = predict(&u, x);
        raw = bnn_predict_samples(&v.out, &v.tape, &v.net, &v.post, xs); /* standardized */
        for (size_t i = 0; i < 12; i++) { /* mean a + c m, sd c s */
            size_t j = i % 2;
            double mean = 0, var = 0, square = 0, k = (double)c[j];
            for (size_t s = 0; s < 4; s++) {
                const float *o = raw.data + (s * 6 + i / 2) * raw.cols;
                double m = (double)a[j] + k * (double)o[j];
                mean += m / 4, square += m * m / 4;
                var += lik == BNN_GAUSSIAN_HETERO ? k * k * exp((double)o[2 + j]) / 4
                       : (lik == BNN_GAUSSIAN ? 0.09 : 0.18) / 4; /* noise_std: units of y */
            }
            CHECK_NEAR(p.mean.data[i], mean, TIGHT * 10);
            CHECK_NEAR(p.aleatoric.data[i], var, TIGHT * 10 * (1 + var));
            CHECK_NEAR(p.epistemic.data[i], square - mean * mean, TIGHT * 40 * (1 + square));
        }
        d.x = bnn_mat_rows(x, 0, 1); /* the density integrates to 1 over y, in each column */
        d.y = bnn_mat_new(&u.mem, 1, 2);
        for (int i = 0; i < 300 && lik <= BNN_GAUSSIAN_HETERO; i += 3) {
            for (int j = 0; j < 300; j += 3) {
                double s0 = sqrt((double)p.aleatoric.data[0] + (double)p.epistemic.data[0]);
                double s1 = sqrt((double)p.aleatoric.data[1] + (double)p.epistemic.data[1]);
                d.y.data[0] = p.mean.data[0] + (float)(s0 * (i - 149.5) / 20);
                d.y.data[1] = p.mean.data[1] + (float)(s1 * (j - 149.5) / 20);
                area += exp((double)bnn_predict_log_lik(&v.mem, &u.tape, &u.net, &u.post,
                                                        d).data[0]) * s0 * s1 * 9 / 400;
            }
        }
        if (lik <= BNN_GAUSSIAN_HETERO) CHECK_NEAR(area, 1, 2e-2);
        world_close(&u);
        world_close(&v);
    }
}

/* ---- dropout */

static void dropout_ensembles_of_linear_nets_have_closed_form_moments(void) {
    enum { S = 6000 };
    for (int hidden = 0; hidden < 2; hidden++) {
        const double p = 0.25;
        bnn_mlp_desc d = { .sizes = { 3, 2 }, .noise_std = 1, .dropout_input = (float)p };
        world u;
        bnn_mat x, raw;
        bnn_predictive plain, q;
        if (hidden)
            d = (bnn_mlp_desc){ .sizes = { 3, 4, 2 }, .noise_std = 1, .activation = BNN_IDENTITY,
                                .dropout = (float)p };
        world_open(&u, d, 0, 460);
        u.post = bnn_ensemble_new(u.w, S);
        for (int s = 0; s < S; s++)
            CHECK(bnn_ensemble_push_dropout(&u.post, &u.net, &u.tape.rng) == BNN_OK);
        x = grid(&u.mem, 3, 3);
        plain = bnn_predict(&u.out, &u.tape, &u.net, NULL, x);
        q = predict(&u, x);
        raw = bnn_predict_samples(&u.out, &u.tape, &u.net, &u.post, x);
        for (size_t i = 0; i < 6; i++) { /* sum_i p/(1-p) h_i^2 w_ij^2 */
            bnn_mat w = bnn_params_mat(u.w, hidden ? 2 : 0), w0 = bnn_params_mat(u.w, 0);
            double var = 0, fourth = 0;
            for (size_t k = 0; k < w.rows; k++) {
                double h = hidden ? (double)bnn_params_mat(u.w, 1).data[k]
                                  : (double)x.data[i / 2 * 3 + k];
                for (size_t l = 0; hidden && l < 3; l++)
                    h += (double)x.data[i / 2 * 3 + l] * (double)w0.data[l * 4 + k];
                var += p / (1 - p) * pow(h * (double)w.data[k * 2 + i % 2], 2);
            }
            for (size_t s = 0; s < S; s++)
                fourth += pow((double)raw.data[s * 6 + i] - (double)plain.mean.data[i], 4) / S;
            CHECK_NEAR(q.mean.data[i], plain.mean.data[i], Z * sqrt(var / S));
            CHECK_NEAR(q.epistemic.data[i], var, Z * sqrt((fourth - var * var) / S));
        }
        world_close(&u);
    }
}

static void dropout_of_nothing_is_an_ensemble_of_equals(void) {
    world u;
    bnn_predictive p;
    world_open(&u, small, 0, 461);
    u.post = bnn_ensemble_new(u.w, 5);
    for (int s = 0; s < 5; s++) bnn_ensemble_push_dropout(&u.post, &u.net, &u.tape.rng);
    p = predict(&u, grid(&u.mem, 4, 2));
    for (size_t i = 0; i < 4; i++) CHECK(p.epistemic.data[i] == 0);
    CHECK(u.post.count == 5);
    world_close(&u);
}

static void prediction_itself_drops_nothing(void) {
    bnn_mlp_desc d = small;
    world u;
    bnn_predictive p, q;
    d.dropout = (float)0.5;
    world_open(&u, d, 2, 462);
    u.tape.training = 1; /* even in the middle of building a loss */
    p = predict(&u, grid(&u.mem, 4, 2));
    CHECK(u.tape.training == 1);
    u.tape.training = 0;
    q = predict(&u, grid(&u.mem, 4, 2));
    CHECK_SAME_ARRAY(p.mean.data, q.mean.data, 4);
    world_close(&u);
}

/* ---- collecting samples */

static void the_reservoir_keeps_every_sample_with_the_same_probability(void) {
    enum { OFFERED = 20, KEPT = 5, RUNS = 4000 };
    double seen[OFFERED] = { 0 }, chi2 = 0;
    world u;
    world_open(&u, (bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_std = 1, .no_bias = 1 }, 0, 470);
    u.post = bnn_ensemble_new(u.w, KEPT);
    for (int run = 0; run < RUNS; run++) {
        u.post.count = u.post.seen = 0;
        for (int k = 0; k < OFFERED; k++) {
            u.w->theta[0] = (float)k;
            CHECK(bnn_ensemble_reservoir(&u.post, &u.tape.rng) == BNN_OK);
            CHECK(u.post.seen == (size_t)k + 1);
        }
        CHECK(u.post.count == KEPT);
        for (int k = 0; k < KEPT; k++) seen[(int)u.post.samples.data[k]]++;
    }
    for (int k = 0; k < OFFERED; k++) { /* each kept with 1/4; exactly 5 of 20 per run */
        double expect = RUNS * (double)KEPT / OFFERED;
        chi2 += pow(seen[k] - expect, 2) / (expect * (1 - (double)KEPT / OFFERED));
    }
    chi2 *= (OFFERED - 1.0) / OFFERED; /* the counts of a run sum to 5: 19 degrees of freedom */
    CHECK(bnn_gamma_q(19 / 2.0, chi2 / 2) > 1e-4);
    world_close(&u);
}

static void bad_samples_are_refused(void) {
    world u;
    bnn_params *other;
    bnn_rng rng = bnn_rng_seed(1);
    bnn_net user;
    world_open(&u, small, 2, 471);
    CHECK(bnn_ensemble_push(&u.post) == BNN_EARG && u.post.count == 2); /* full */
    CHECK(strstr(u.mem.msg, "2") != NULL);
    u.mem.err = BNN_OK;
    u.w->theta[1] = (float)bnn__nan();
    u.post.count = u.post.seen = 1;
    CHECK(bnn_ensemble_push(&u.post) == BNN_ENONFINITE && u.post.count == 1 && u.post.seen == 1);
    CHECK(strstr(u.mem.msg, "w01") != NULL);
    u.mem.err = BNN_OK;
    u.post.count = u.post.seen = 2;
    CHECK(bnn_ensemble_reservoir(&u.post, &rng) == BNN_ENONFINITE && u.post.seen == 2);
    CHECK(bnn_mat_finite(u.post.samples));
    u.mem.err = BNN_OK;
    u.w->theta[1] = 0;
    u.post.count = 1;
    other = bnn_params_new(&u.mem);
    bnn_params_add(other, 3, 1, "w", (bnn_prior){ 0 });
    CHECK(bnn_ensemble_push_from(&u.post, other, 1) == BNN_ESHAPE);
    u.mem.err = BNN_OK;
    CHECK(bnn_ensemble_push_from(&u.post, NULL, 1) == BNN_EARG);
    CHECK(bnn_ensemble_push_from(&u.post, u.w, -1) == BNN_EARG);
    u.mem.err = BNN_OK;
    CHECK(bnn_ensemble_push_from(&u.post, u.w, bnn__nan()) == BNN_EARG);
    u.mem.err = BNN_OK;
    user = u.net;
    user.mlp = NULL;
    CHECK(bnn_ensemble_push_dropout(&u.post, &user, &rng) == BNN_EARG && u.post.count == 1);
    u.mem.err = BNN_OK;
    user = u.net;
    user.params = other;
    CHECK(bnn_ensemble_push_dropout(&u.post, &user, &rng) == BNN_EARG && u.post.count == 1);
    u.mem.err = BNN_OK;
    u.post = bnn_ensemble_new(u.w, 0);
    CHECK(bnn_ensemble_reservoir(&u.post, &rng) == BNN_EARG); /* no places at all */
    u.mem.err = BNN_OK;
    memset(&u.post, 0, sizeof u.post);
    CHECK(bnn_ensemble_push(&u.post) == BNN_EARG);
    CHECK(bnn_ensemble_reservoir(&u.post, &rng) == BNN_EARG);
    world_close(&u);
}

static void predictions_that_cannot_be_are_errors_with_empty_results(void) {
    for (int which = 0; which < 10; which++) {
        world u;
        bnn_mat x;
        bnn_ensemble empty, wrong;
        bnn_params *other;
        bnn_net dead = { 0 };
        bnn_data d;
        void *got = &u;
        world_open(&u, which == 7 ? classes : small, 2, 480);
        x = grid(&u.mem, 4, which == 2 ? 3 : 2);
        empty = bnn_ensemble_new(u.w, 3);
        other = bnn_params_new(&u.mem);
        bnn_params_add(other, 3, 1, "w", (bnn_prior){ 0 });
        wrong = bnn_ensemble_new(other, 1);
        bnn_ensemble_push(&wrong);
        d.x = x;
        d.y = grid(&u.mem, 3, 1);
        if (which == 0) got = bnn_predict(&u.out, &u.tape, &u.net, &empty, x).mean.data;
        if (which == 1) got = bnn_predict(&u.out, &u.tape, &u.net, &wrong, x).mean.data;
        if (which == 2) got = predict(&u, x).mean.data;
        if (which == 3) got = bnn_predict(&u.out, &u.tape, &dead, NULL, x).mean.data;
        if (which == 4) got = bnn_predict_log_lik(&u.out, &u.tape, &u.net, &u.post, d).data;
        if (which == 5) got = bnn_predict_quantile(&u.out, &u.tape, &u.net, &u.post, x, 0).data;
        if (which == 6) got = bnn_predict_quantile(&u.out, &u.tape, &u.net, &u.post, x, 1).data;
        if (which == 7)
            got = bnn_predict_quantile(&u.out, &u.tape, &u.net, &u.post, x, (float)0.5).data;
        if (which == 8) { /* no memory for the result */
            static unsigned char room[512];
            bnn_arena tiny = { .buffer = room, .capacity = sizeof room };
            got = bnn_predict(&tiny, &u.tape, &u.net, &u.post, grid(&u.mem, 200, 2)).mean.data;
        }
        if (which == 9) got = predict(&u, (bnn_mat){ 4, 2, NULL }).mean.data;
        CHECK(got == NULL && u.tape.err != BNN_OK && u.tape.msg[0] != '\0');
        if (which == 8) CHECK(u.tape.err == BNN_ENOMEM);
        bnn_tape_clear_error(&u.tape);
        world_close(&u);
    }
}

int main(void) {
    RUN(every_likelihood_obeys_the_law_of_total_variance);
    RUN(permuting_the_samples_leaves_the_result);
    RUN(a_sample_is_a_view_not_a_copy);
    RUN(one_member_is_the_net_itself);
    RUN(equal_weights_of_any_size_change_nothing_and_zero_weights_drop_a_member);
    RUN(entropies_split_into_noise_and_disagreement);
    RUN(a_predicted_ln_variance_has_the_bounds_of_its_likelihood);
    RUN(a_net_made_by_hand_has_the_noise_of_its_loss);
    RUN(conjugate_samples_give_the_exact_predictive_variance);
    RUN(the_log_likelihood_of_a_mixture_is_the_log_of_the_mean_density);
    RUN(log_likelihoods_far_in_the_tail_do_not_underflow);
    RUN(quantiles_invert_the_distribution_function_of_the_mixture);
    RUN(the_number_of_rows_does_not_matter);
    RUN(scratch_does_not_grow_with_the_rows);
    RUN(results_may_live_in_the_tapes_own_arena);
    RUN(progress_is_reported_and_can_cancel);
    RUN(standardized_nets_predict_in_the_units_of_the_data);
    RUN(dropout_ensembles_of_linear_nets_have_closed_form_moments);
    RUN(dropout_of_nothing_is_an_ensemble_of_equals);
    RUN(prediction_itself_drops_nothing);
    RUN(the_reservoir_keeps_every_sample_with_the_same_probability);
    RUN(bad_samples_are_refused);
    RUN(predictions_that_cannot_be_are_errors_with_empty_results);
    return check_done();
}
