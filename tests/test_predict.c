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

static void a_predicted_ln_variance_is_the_one_of_its_likelihood(void) {
    world u;
    bnn_predictive p;
    memset(&u, 0, sizeof u);
    u.w = bnn_params_new(&u.mem);
    bnn_params_add(u.w, 1, 6, "mean, ln var", (bnn_prior){ 0 });
    u.net = (bnn_net){ .params = u.w, .forward = logits_are_weights,
                       .likelihood = BNN_GAUSSIAN_HETERO };
    u.w->theta[3] = -19, u.w->theta[4] = 1, u.w->theta[5] = 19;
    p = bnn_predict(&u.out, &u.tape, &u.net, NULL, grid(&u.mem, 1, 1));
    CHECK_NEAR((double)p.aleatoric.data[0] / exp(-19), 1, TIGHT);
    CHECK_NEAR((double)p.aleatoric.data[1] / exp(1), 1, TIGHT);
    CHECK_NEAR((double)p.aleatoric.data[2] / exp(19), 1, TIGHT);
    world_close(&u);
}

static void a_net_made_by_hand_has_the_noise_of_its_loss(void) { /* nu 4 */
    int lik[3] = { BNN_GAUSSIAN, BNN_DOUBLE_EXPONENTIAL, BNN_STUDENT };
    double var[3] = { 1, 2, 2 };
    for (int i = 0; i < 3; i++) {
        world u;
        memset(&u, 0, sizeof u);
        u.w = bnn_params_new(&u.mem);
        bnn_params_add(u.w, 1, 1, "mean", (bnn_prior){ 0 });
        u.net = (bnn_net){ .params = u.w, .forward = logits_are_weights, .likelihood = lik[i],
                           .noise_std = 1 };
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

/* ---- what has no answer */

static int row_is_nan(bnn_mat a, size_t row) {
    for (size_t j = 0; j < a.cols; j++)
        if (!isnan((double)a.data[row * a.cols + j])) return 0;
    return 1;
}

/* Rows of `got` that stand for row `gap` of n are NaN, the others as in `want` */
static int blank_at(bnn_mat got, bnn_mat want, size_t n, size_t gap) {
    if (got.rows != want.rows || got.cols != want.cols) return 0;
    for (size_t i = 0; i < got.rows; i++) {
        if (i % n == gap ? !row_is_nan(got, i)
                         : memcmp(bnn_mat_at(got, i, 0), bnn_mat_at(want, i, 0),
                                  got.cols * sizeof(float)) != 0)
            return 0;
    }
    return 1;
}

static int predictive_blank_at(bnn_predictive p, bnn_predictive q, size_t n, size_t gap) {
    return blank_at(p.mean, q.mean, n, gap) && blank_at(p.aleatoric, q.aleatoric, n, gap) &&
           blank_at(p.epistemic, q.epistemic, n, gap) && blank_at(p.entropy, q.entropy, n, gap) &&
           blank_at(p.expected_entropy, q.expected_entropy, n, gap) &&
           blank_at(p.mutual_information, q.mutual_information, n, gap);
}

static void a_gap_in_x_is_nan_in_every_answer_of_its_row_and_a_note(void) {
    enum { N = 520 }; /* more than one block */
    static const size_t rows[4] = { 0, 7, 512, 519 };
    const double gaps[3] = { NAN, INFINITY, -INFINITY };
    for (int lik = BNN_GAUSSIAN; lik <= BNN_POISSON; lik++) {
        for (int k = 0; k < 12; k++) {
            bnn_mlp_desc desc = of_likelihood(lik);
            world u;
            bnn_data d;
            bnn_predictive p, q;
            bnn_mat ll, raw, quantile = { 0, 0, NULL };
            size_t gap = rows[k % 4];
            char where[32];
            int numbers = lik != BNN_BERNOULLI && lik != BNN_CATEGORICAL;
            desc.activation = k % 3 == 0 ? BNN_RELU : k % 3 == 1 ? BNN_TANH : BNN_SOFTPLUS;
            world_open(&u, desc, 3, 490);
            d.x = grid(&u.mem, N, 2);
            d.y = bnn_mat_new(&u.mem, N, lik == BNN_CATEGORICAL ? 1 : 2);
            q = predict(&u, d.x);
            ll = bnn_predict_log_lik(&u.out, &u.tape, &u.net, &u.post, d);
            raw = bnn_predict_samples(&u.out, &u.tape, &u.net, &u.post, d.x);
            if (numbers)
                quantile = bnn_predict_quantile(&u.out, &u.tape, &u.net, &u.post, d.x, (float)0.3);
            CHECK(u.tape.notes == 0 && bnn_mat_finite(q.mean) && bnn_mat_finite(ll));
            d.x.data[2 * gap + (size_t)k % 2] = (float)gaps[k / 4];
            p = predict(&u, d.x);
            CHECK(predictive_blank_at(p, q, N, gap) && u.tape.notes == 1);
            snprintf(where, sizeof where, "row %d, column %d", (int)gap, k % 2);
            CHECK(strstr(u.tape.note, where) != NULL && strstr(u.tape.note, "x is") != NULL);
            CHECK(blank_at(bnn_predict_log_lik(&u.out, &u.tape, &u.net, &u.post, d), ll, N, gap));
            CHECK(blank_at(bnn_predict_samples(&u.out, &u.tape, &u.net, &u.post, d.x), raw, N,
                           gap));
            if (numbers)
                CHECK(blank_at(bnn_predict_quantile(&u.out, &u.tape, &u.net, &u.post, d.x,
                                                    (float)0.3), quantile, N, gap));
            CHECK(u.tape.notes == (numbers ? 4 : 3)); /* one for each call */
            CHECK(isnan(bnn_metric_rmse(p.mean, q.mean)));
            world_close(&u);
        }
    }
}

static void a_gap_in_y_is_nan_in_its_likelihood_and_a_note(void) {
    for (int lik = BNN_GAUSSIAN; lik <= BNN_POISSON; lik++) {
        world u;
        bnn_data d;
        bnn_mat ll;
        size_t k = lik == BNN_CATEGORICAL ? 1 : 2;
        world_open(&u, of_likelihood(lik), 3, 491);
        d.x = grid(&u.mem, 9, 2);
        d.y = bnn_mat_new(&u.mem, 9, k);
        ll = bnn_predict_log_lik(&u.out, &u.tape, &u.net, &u.post, d);
        d.y.data[6 * k + k - 1] = (float)NAN;
        CHECK(blank_at(bnn_predict_log_lik(&u.out, &u.tape, &u.net, &u.post, d), ll, 9, 6));
        CHECK(u.tape.notes == 1 && strstr(u.tape.note, "y is nan in row 6") != NULL);
        d.x.data[0] = (float)NAN; /* and one in x */
        ll = bnn_predict_log_lik(&u.out, &u.tape, &u.net, &u.post, d);
        CHECK(row_is_nan(ll, 0) && row_is_nan(ll, 6) && !row_is_nan(ll, 5) && u.tape.notes == 3);
        world_close(&u);
    }
}

/* A net without inputs that answers with its k weights; samples as given */
static void world_of_weights(world *u, int likelihood, size_t k, size_t samples, const double *w) {
    memset(u, 0, sizeof *u);
    u->w = bnn_params_new(&u->mem);
    bnn_params_add(u->w, 1, k, "out", (bnn_prior){ 0 });
    u->net = (bnn_net){ .params = u->w, .forward = logits_are_weights, .likelihood = likelihood,
                        .noise_std = (float)0.5, .nu = 3 };
    u->post = bnn_ensemble_new(u->w, samples);
    for (size_t s = 0; s < samples; s++) {
        memset(u->w->theta, 0, k * sizeof(float));
        CHECK(bnn_ensemble_push(&u->post) == BNN_OK);
        for (size_t j = 0; j < k; j++) u->post.samples.data[s * k + j] = (float)w[s * k + j];
    }
}

/* NaN is refused everywhere, inf where a mean would need it */
static void check_refused(int likelihood, const double *w, const char *says) {
    int nan = isnan(w[4]), classes_nan = nan || likelihood == BNN_CATEGORICAL;
    for (int which = 0; which < 4; which++) {
        world u;
        bnn_data d;
        const void *got = &u;
        world_of_weights(&u, likelihood, 3, 2, w);
        d.x = grid(&u.mem, 4, 1);
        d.y = bnn_mat_new(&u.mem, 4, likelihood == BNN_CATEGORICAL ? 1 : 3);
        if (which == 0) got = predict(&u, d.x).mean.data;
        if (which == 1) got = bnn_predict_log_lik(&u.out, &u.tape, &u.net, &u.post, d).data;
        if (which == 2) got = bnn_predict_samples(&u.out, &u.tape, &u.net, &u.post, d.x).data;
        if (which == 3)
            got = bnn_predict_quantile(&u.out, &u.tape, &u.net, &u.post, d.x, (float)0.5).data;
        if (which == 0 || which == 3 || classes_nan) {
            CHECK(got == NULL && u.tape.err != BNN_OK && strlen(u.tape.msg) < 159);
            if (which < 3) CHECK(u.tape.err == BNN_ENONFINITE && strstr(u.tape.msg, says) != NULL);
            if (which < 3) CHECK(strstr(u.tape.msg, "sample 1") && strstr(u.tape.msg, "row 0"));
        } else if (which == 2) {
            CHECK(got != NULL && u.tape.err == BNN_OK); /* logits stay logits */
        }
        bnn_tape_clear_error(&u.tape);
        world_close(&u);
    }
}

static void answers_that_mean_nothing_are_errors(void) {
    const double inf = INFINITY;
    const double none[] = { 0, 1, 2, -inf, -inf, -inf }, nan[] = { 0, 1, 2, 0, NAN, 0 };
    const double up[] = { 0, 1, 2, 0, inf, 0 }, down[] = { 0, 1, 2, 0, -inf, 0 };
    check_refused(BNN_CATEGORICAL, none, "logits of -inf alone");
    check_refused(BNN_CATEGORICAL, up, "is inf");
    check_refused(BNN_POISSON, up, "inf");
    check_refused(BNN_GAUSSIAN, down, "-inf");
    check_refused(BNN_STUDENT, up, "inf");
    check_refused(BNN_DOUBLE_EXPONENTIAL, up, "inf");
    for (int lik = BNN_DOUBLE_EXPONENTIAL; lik <= BNN_POISSON; lik++)
        check_refused(lik, nan, "nan");
}

static void impossible_classes_and_certain_ones_are_answers(void) {
    const double inf = INFINITY, w[] = { 0, 0, -inf, -inf, 0, -inf }, sure[] = { inf, -inf };
    const double never[] = { -inf, 1 };
    world u;
    bnn_predictive p;
    world_of_weights(&u, BNN_CATEGORICAL, 3, 2, w);
    p = predict(&u, grid(&u.mem, 1, 1));
    CHECK_NEAR(p.mean.data[0], 0.25, TIGHT);
    CHECK(p.mean.data[2] == 0);
    CHECK_NEAR(p.expected_entropy.data[0], log(2) / 2, TIGHT);
    world_close(&u);
    world_of_weights(&u, BNN_BERNOULLI, 2, 1, sure);
    p = predict(&u, grid(&u.mem, 1, 1));
    CHECK(p.mean.data[0] == 1 && p.mean.data[1] == 0 && p.entropy.data[0] == 0);
    world_close(&u);
    world_of_weights(&u, BNN_POISSON, 2, 1, never);
    p = predict(&u, grid(&u.mem, 1, 1));
    CHECK(p.mean.data[0] == 0 && p.aleatoric.data[0] == 0);
    CHECK(bnn_predict_quantile(&u.out, &u.tape, &u.net, &u.post, grid(&u.mem, 1, 1),
                               (float)0.99).data[0] == 0);
    world_close(&u);
}

static void rates_that_overflow_are_errors_with_their_row(void) {
    const double w[] = { 1, 2, 3, BUILD_TOL(88, 700), BUILD_TOL(89, 710), 1 };
    world u;
    bnn_mat x;
    world_of_weights(&u, BNN_POISSON, 3, 2, w);
    x = grid(&u.mem, 3, 1);
    CHECK(predict(&u, x).mean.data == NULL && u.tape.err == BNN_ENONFINITE);
    CHECK(strstr(u.tape.msg, "sample 1") && strstr(u.tape.msg, "row 0, column 1"));
    bnn_tape_clear_error(&u.tape);
    CHECK(bnn_predict_quantile(&u.out, &u.tape, &u.net, &u.post, x, (float)0.5).data == NULL);
    CHECK(u.tape.err == BNN_ENONFINITE);
    bnn_tape_clear_error(&u.tape);
    u.post.samples.data[4] = 3;
    CHECK(bnn_mat_finite(predict(&u, x).mean)); /* e^88 is a float */
    world_close(&u);
}

static void variances_beyond_floats_are_infinite_and_a_note(void) {
    const double w[] = { BUILD_TOL(1e25, 1e200), 1, BUILD_TOL(-1e25, -1e200), 2 };
    world u;
    bnn_predictive p;
    world_of_weights(&u, BNN_GAUSSIAN, 2, 2, w);
    p = predict(&u, grid(&u.mem, 2, 1));
    CHECK(p.mean.data[0] == 0 && isinf((double)p.epistemic.data[0]));
    CHECK_NEAR(p.epistemic.data[1], 0.25, TIGHT);
    CHECK(u.tape.notes == 1 && strstr(u.tape.note, "epistemic variances are inf"));
    world_close(&u);
}

/* ---- weights of samples */

static void weights_of_any_size_are_shares(void) {
    static const double scale[] = { 1, DBL_MAX, DBL_MAX / 3, DBL_MIN, 4.9406564584124654e-324 };
    static const double w[3] = { 1, 0.25, 0.5 };
    world u;
    bnn_mat x;
    bnn_data d;
    bnn_predictive p;
    world_open(&u, hetero, 3, 492);
    x = grid(&u.mem, 5, 2);
    d.x = d.y = x;
    for (int equal = 0; equal < 2; equal++) {
        bnn_mat ll, q;
        for (int s = 0; s < 3; s++) u.post.weights[s] = equal ? 1 : w[s];
        p = predict(&u, x);
        ll = bnn_predict_log_lik(&u.out, &u.tape, &u.net, &u.post, d);
        q = bnn_predict_quantile(&u.out, &u.tape, &u.net, &u.post, x, (float)0.1);
        for (size_t k = 1; k < (equal ? 5 : 3); k++) {
            bnn_predictive r;
            for (int s = 0; s < 3; s++) u.post.weights[s] = scale[k] * (equal ? 1 : w[s]);
            r = predict(&u, x);
            for (size_t i = 0; i < 10; i++) {
                CHECK_NEAR(r.mean.data[i], p.mean.data[i], TIGHT);
                CHECK_NEAR(r.epistemic.data[i], p.epistemic.data[i], TIGHT);
                CHECK_NEAR(bnn_predict_quantile(&u.out, &u.tape, &u.net, &u.post, x,
                                                (float)0.1).data[i], q.data[i], TIGHT);
            }
            for (size_t i = 0; i < 5; i++)
                CHECK_NEAR(bnn_predict_log_lik(&u.out, &u.tape, &u.net, &u.post, d).data[i],
                           ll.data[i], TIGHT * (1 + fabs((double)ll.data[i])));
        }
    }
    world_close(&u);
}

static void weights_that_are_none_are_errors(void) {
    const double bad[] = { 0, -1, NAN, INFINITY };
    for (size_t k = 0; k < 4; k++) {
        for (int which = 0; which < 5; which++) {
            world u;
            bnn_data d;
            const void *got = &u;
            world_open(&u, small, 3, 493);
            d.x = grid(&u.mem, 5, 2);
            d.y = grid(&u.mem, 5, 1);
            for (int s = 0; s < 3; s++) u.post.weights[s] = k == 0 || s == 1 ? bad[k] : 1;
            if (which == 0) got = predict(&u, d.x).mean.data;
            if (which == 1) got = bnn_predict_log_lik(&u.out, &u.tape, &u.net, &u.post, d).data;
            if (which == 2) got = bnn_predict_samples(&u.out, &u.tape, &u.net, &u.post, d.x).data;
            if (which == 3)
                got = bnn_predict_quantile(&u.out, &u.tape, &u.net, &u.post, d.x,
                                           (float)0.5).data;
            if (which == 4) {
                bnn_distill_loss(&u.net, bnn_input(&u.tape, d.x), &u.net, &u.post);
                got = NULL;
            }
            CHECK(got == NULL && u.tape.err == BNN_EARG);
            CHECK(strstr(u.tape.msg, k == 0 ? "weights of all 3 samples are 0" : "sample 1"));
            bnn_tape_clear_error(&u.tape);
            world_close(&u);
        }
    }
}

/* ---- other laws */

static double law_cdf(int lik, double nu, double y, double m, double s) { /* closed forms */
    double z = (y - m) / s, c = z / sqrt(1 + z * z / 4), sum = 0, term = exp(-m);
    if (lik == BNN_DOUBLE_EXPONENTIAL) return z < 0 ? exp(z) / 2 : 1 - exp(-z) / 2;
    if (lik == BNN_GAUSSIAN) return erfc(-z / sqrt(2)) / 2;
    if (lik == BNN_POISSON) {
        for (int i = 0; i <= y; i++) sum += term, term *= m / (i + 1);
        return sum;
    }
    if (nu < 1.5) return 0.5 + atan(z) / acos(-1.0);
    if (nu < 2.5) return 0.5 + z / (2 * sqrt(2 + z * z));
    return 0.5 + 0.375 * c * (1 - c * c / 12); /* nu = 4 */
}

static void quantiles_invert_every_law_of_numbers(void) {
    static const double w[] = { 1, -2, 3, 0.5, -0.7, 2.5, 1.2, 0.1 }, nus[] = { 1, 2, 4 };
    static const double qs[] = { 1e-4, 0.05, 0.3, 0.5, 0.77, 0.95, 0.9999 };
    static const int laws[] = { BNN_GAUSSIAN, BNN_DOUBLE_EXPONENTIAL, BNN_STUDENT, BNN_POISSON };
    for (size_t samples = 1; samples <= 4; samples += 3) {
        for (int k = 0; k < 12; k++) {
            int lik = laws[k % 4];
            double nu = nus[k / 4];
            world u;
            world_of_weights(&u, lik, 2, samples, w);
            u.net.nu = (float)nu;
            for (size_t s = 0; s < samples; s++) u.post.weights[s] = (double)(s + 1);
            for (size_t a = 0; a < 7 * 2; a++) {
                size_t j = a % 2;
                double q = (double)(float)qs[a / 2], cdf = 0, less = 0, y, total = 0;
                y = (double)bnn_predict_quantile(&u.out, &u.tape, &u.net, &u.post,
                                                 grid(&u.mem, 1, 1), (float)qs[a / 2]).data[j];
                for (size_t s = 0; s < samples; s++) {
                    double m = (double)(float)w[2 * s + j], p = (double)(s + 1);
                    if (lik == BNN_POISSON) m = exp(m);
                    cdf += p * law_cdf(lik, nu, y, m, 0.5);
                    less += p * law_cdf(lik, nu, y - 1, m, 0.5);
                    total += p;
                }
                cdf /= total, less /= total;
                if (lik == BNN_POISSON) CHECK(cdf >= q && less < q && floor(y) == y);
                else CHECK_NEAR(cdf, q, BUILD_TOL(3e-7, 1e-10) * (1 + fabs(y)) * fmin(q, 1 - q) +
                                BUILD_TOL(1e-7, 1e-14));
            }
            CHECK(u.tape.notes == 0);
            world_close(&u);
        }
    }
}

static void quantiles_of_heavy_tails_and_large_rates_are_right(void) {
    const double zero[] = { 0, 0 }, big[] = { 17, 25 };
    world u;
    bnn_mat x, q;
    world_of_weights(&u, BNN_STUDENT, 2, 1, zero);
    x = grid(&u.mem, 1, 1);
    for (int k = 0; k < 2; k++) { /* nu = 1/2, 1/10: qt(.001, nu) of R, scale 1/2 */
        static const double nus[2] = { 0.5, 1 }, want[2] = { -1, -318.30883898555044 };
        u.net.nu = (float)nus[k];
        q = bnn_predict_quantile(&u.out, &u.tape, &u.net, NULL, x, (float)0.001);
        if (k == 1) CHECK_NEAR((double)q.data[0] / (want[k] / 2), 1, 1e-6);
        CHECK(q.data[0] < 0 && bnn_mat_finite(q));
        CHECK(bnn_predict_quantile(&u.out, &u.tape, &u.net, NULL, x, (float)0.5).data[0] == 0);
    }
    u.net.nu = (float)1e14; /* as good as normal */
    q = bnn_predict_quantile(&u.out, &u.tape, &u.net, NULL, x, (float)0.975);
    CHECK_NEAR(q.data[0], 0.97998199, 1e-6);
    world_close(&u);
    world_of_weights(&u, BNN_POISSON, 2, 1, big); /* rates 2.4e7 and 7.2e10 */
    q = bnn_predict_quantile(&u.out, &u.tape, &u.net, &u.post, x = grid(&u.mem, 1, 1), (float)0.9);
    for (int k = 0; k < 2; k++) {
        double rate = exp(big[k]), z = bnn_normal_quantile((double)(float)0.9);
        double want = rate + z * sqrt(rate) + (z * z - 1) / 6; /* Cornish and Fisher */
        CHECK_NEAR((double)q.data[k] / want, 1, BUILD_TOL(2e-7, 1e-9) + 1 / rate);
    }
    world_close(&u);
}

static void a_student_without_a_variance_says_so(void) {
    static const double w[] = { 1, -2 }, nus[] = { 0.5, 1, 2, 2.5, 30 };
    for (int k = 0; k < 5; k++) {
        world u;
        bnn_predictive p;
        world_of_weights(&u, BNN_STUDENT, 2, 1, w);
        u.net.nu = (float)nus[k];
        p = predict(&u, grid(&u.mem, 3, 1));
        CHECK(p.mean.data[4] == 1 && p.epistemic.data[4] == 0);
        if (nus[k] > 2) CHECK_NEAR(p.aleatoric.data[0], 0.25 * nus[k] / (nus[k] - 2), TIGHT);
        else CHECK_SAME(p.aleatoric.data[0], INFINITY);
        CHECK(u.tape.notes == (nus[k] > 2 ? 0 : 1));
        CHECK(nus[k] > 2 || strstr(u.tape.note, "bnn_predict_quantile") != NULL);
        world_close(&u);
    }
}

static void fixed_noise_has_its_size_in_any_units(void) {
    static const double sds[] = { 1e-8, 1e-3, 1, 1e6, 1e9 };
    for (int lik = BNN_GAUSSIAN; lik <= BNN_STUDENT; lik++) {
        if (lik == BNN_GAUSSIAN_HETERO) continue;
        for (int k = 0; k < 5; k++) {
            const double w[] = { 0, 0 };
            double v = lik == BNN_GAUSSIAN ? 1 : lik == BNN_STUDENT ? 3 : 2;
            double z = lik == BNN_GAUSSIAN ? 1.2815515655446004 : lik == BNN_STUDENT
                       ? 1.637744353696 : 1.6094379124341003;
            world u;
            bnn_mat q;
            world_of_weights(&u, lik, 2, 1, w);
            u.net.noise_std = (float)sds[k];
            CHECK_NEAR((double)predict(&u, grid(&u.mem, 1, 1)).aleatoric.data[0] /
                       (v * sds[k] * sds[k]), 1, TIGHT * 20);
            q = bnn_predict_quantile(&u.out, &u.tape, &u.net, NULL, grid(&u.mem, 1, 1),
                                     (float)0.9);
            CHECK_NEAR((double)q.data[1] / (z * sds[k]), 1, 3e-6);
            world_close(&u);
        }
    }
}

/* ---- threads: with OpenMP as many as are asked for, else one */

static void threads_are(int n) {
#ifdef _OPENMP
    omp_set_num_threads(n);
#else
    (void)n;
#endif
}

static void keep(bnn_mat all, size_t *at, bnn_mat m) {
    CHECK(m.data != NULL && *at + m.rows * m.cols <= all.cols);
    memcpy(all.data + *at, m.data, m.rows * m.cols * sizeof *m.data);
    *at += m.rows * m.cols;
}

/* All that can be asked, one after the other; the last numbers are the tape's next */
static bnn_mat asked(world *u, bnn_mat x, bnn_mat y) {
    bnn_mat all = bnn_mat_new(&u->mem, 1, x.rows * 10 * (12 + u->post.count));
    int lik = u->net.likelihood, classes = lik == BNN_CATEGORICAL || lik == BNN_BERNOULLI;
    bnn_data d = { x, y };
    bnn_predictive p = predict(u, x), one;
    size_t at = 0;
    one = bnn_predict(&u->out, &u->tape, &u->net, NULL, x);
    keep(all, &at, p.mean), keep(all, &at, p.aleatoric), keep(all, &at, p.epistemic);
    keep(all, &at, one.mean);
    if (classes) keep(all, &at, p.entropy), keep(all, &at, p.expected_entropy);
    keep(all, &at, bnn_predict_log_lik(&u->out, &u->tape, &u->net, &u->post, d));
    keep(all, &at, bnn_predict_samples(&u->out, &u->tape, &u->net, &u->post, x));
    keep(all, &at, bnn_predict_draws(&u->out, &u->tape, &u->net, &u->post, x, 3));
    if (!classes && bnn_mat_finite(x))
        keep(all, &at, bnn_predict_quantile(&u->out, &u->tape, &u->net, &u->post,
                                            bnn_mat_rows(x, 0, 33), (float)0.2));
    bnn_rng_fill_normal(&u->tape.rng, 4, all.data + at);
    return all;
}

/* A net of 1200 numbers: 1 = dense layers of numbers, 2 = classes, 3 = their images */
static void threads_open(world *u, int kind, size_t samples) {
    bnn_mlp_desc d = { .sizes = { 24, 40, 5 }, .activation = BNN_TANH, .noise_std = (float)0.3 };
    if (kind == 2) d.likelihood = BNN_CATEGORICAL;
    world_open(u, d, samples, 470);
    if (kind != 3) return;
    bnn_params *w = bnn_params_new(&u->mem);
    u->net = bnn_layers(w, (bnn_layers_desc){ .input = { 6, 4, 1 }, .likelihood = BNN_BERNOULLI,
        .layers = { { BNN_CONV, .size = 9, .kernel = 3, .same = 1, .activation = BNN_RELU },
                    { BNN_MAX_POOL, .kernel = 2 }, { BNN_CONV, .size = 10, .kernel = 2 },
                    { BNN_DENSE, .size = 5 } } });
    u->post = bnn_ensemble_new(w, samples);
    for (size_t k = 0; k < samples; k++) {
        bnn_params_sample_prior(w, &u->tape.rng);
        CHECK(bnn_ensemble_push_from(&u->post, w, 1 + (double)(k % 3)) == BNN_OK);
    }
}

static void any_number_of_threads_gives_the_same_bits(void) {
    static const size_t rows[] = { 1, 77, 1100, 2049 }, samples[] = { 1, 23, 13, 2 };
    for (int kind = 1; kind <= 3; kind++) {
        for (int shape = 0; shape < 4; shape++) {
            bnn_arena kept = { 0 };
            bnn_mat first = { 0, 0, NULL };
            for (int threads = 1; threads <= 8; threads += threads == 3 ? 5 : 1) {
                world u;
                threads_are(threads);
                threads_open(&u, kind, samples[shape]);
                bnn_mat x = grid(&u.mem, rows[shape], 24);
                bnn_mat y = bnn_mat_new(&u.mem, x.rows, kind == 2 ? 1 : 5), all;
                if (shape == 3) x.data[24 * 700 + 3] = (float)NAN; /* a gap */
                all = asked(&u, x, y);
                if (threads == 1) first = bnn_mat_copy(&kept, all);
                CHECK_SAME_ARRAY(first.data, all.data, all.cols);
                size_t held = bnn_arena_size(&u.tape.mem);
                predict(&u, x);
                CHECK(bnn_arena_size(&u.tape.mem) == held); /* no more than the first time */
                world_close(&u);
            }
            bnn_arena_free(&kept);
        }
    }
    threads_are(1);
}

/* In a tape of any size and with any error in it: what one thread says */
static void threads_fail_as_one_does(void) {
    char says[BNN_MSG];
    for (size_t bytes = 1 << 17, gave = 0; bytes < 1 << 23; bytes += bytes / 4) {
        for (int threads = 1, err = 0; threads <= 4; threads++) {
            world u;
            void *room = malloc(bytes);
            bnn_mat x;
            threads_are(threads);
            threads_open(&u, 2, 9);
            x = grid(&u.mem, 1100, 24);
            u.tape.mem.buffer = room, u.tape.mem.capacity = bytes;
            gave += predict(&u, x).mean.data != NULL;
            if (threads == 1) err = u.tape.err, memcpy(says, u.tape.msg, sizeof says);
            CHECK(u.tape.err == err && strcmp(u.tape.msg, says) == 0);
            CHECK(err == (gave > 0 ? BNN_OK : BNN_ENOMEM));
            bnn_tape_clear_error(&u.tape);
            world_close(&u);
            free(room);
        }
    }
    for (size_t sample = 0; sample < 9; sample++) {
        for (int threads = 1; threads <= 3; threads++) {
            world u;
            threads_are(threads);
            threads_open(&u, 1, 9);
            u.post.samples.data[sample * u.w->n + 3] = (float)NAN;
            u.post.samples.data[8 * u.w->n + 4] = (float)NAN; /* which nobody hears of */
            CHECK(predict(&u, grid(&u.mem, 1100, 24)).mean.data == NULL);
            CHECK(u.tape.err == BNN_ENONFINITE);
            if (threads == 1) memcpy(says, u.tape.msg, sizeof says);
            CHECK(strcmp(u.tape.msg, says) == 0);
            bnn_tape_clear_error(&u.tape);
            world_close(&u);
        }
    }
    threads_are(1);
}

typedef struct guest {
    bnn_net net;
    size_t calls; /* a forward may count without a lock */
} guest;

static bnn_var *counting(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    guest *g = (guest *)net->user;
    bnn_net of = g->net;
    of.params = net->params;
    g->calls++;
#ifdef _OPENMP
    CHECK(omp_get_level() == 0); /* not even in a region of one thread */
#endif
    return of.forward(t, &of, x);
}

static void a_forward_of_ones_own_is_called_by_one_thread(void) {
    world u;
    guest g = { .calls = 0 };
    bnn_mat x, first;
    threads_are(4);
    threads_open(&u, 1, 12);
    x = grid(&u.mem, 1100, 24);
    first = predict(&u, x).mean;
    g.net = u.net;
    u.net.forward = counting, u.net.user = &g;
    CHECK_SAME_ARRAY(first.data, predict(&u, x).mean.data, 1100 * 5);
    CHECK(g.calls == 3 * 12 + 1);
    world_close(&u);
    threads_are(1);
}

static size_t heard;
static int hearing(void *user, size_t done, size_t total) {
    CHECK(done == ((heard + 1) * 512 < total ? (heard + 1) * 512 : total));
    return ++heard == *(size_t *)user;
}

static void threads_report_in_order_and_can_be_canceled(void) {
    for (size_t stop = 0; stop <= 5; stop++) {
        world u;
        threads_are(3);
        threads_open(&u, 1, 7);
        u.tape.progress = hearing, u.tape.progress_user = &stop, heard = 0;
        CHECK((predict(&u, grid(&u.mem, 2300, 24)).mean.data == NULL) == (stop > 0));
        CHECK(u.tape.err == (stop > 0 ? BNN_ECANCEL : BNN_OK) && heard == (stop > 0 ? stop : 5));
        bnn_tape_clear_error(&u.tape);
        world_close(&u);
    }
    threads_are(1);
}

int main(void) {
    RUN(every_likelihood_obeys_the_law_of_total_variance);
    RUN(permuting_the_samples_leaves_the_result);
    RUN(a_sample_is_a_view_not_a_copy);
    RUN(one_member_is_the_net_itself);
    RUN(equal_weights_of_any_size_change_nothing_and_zero_weights_drop_a_member);
    RUN(entropies_split_into_noise_and_disagreement);
    RUN(a_predicted_ln_variance_is_the_one_of_its_likelihood);
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
    RUN(a_gap_in_x_is_nan_in_every_answer_of_its_row_and_a_note);
    RUN(a_gap_in_y_is_nan_in_its_likelihood_and_a_note);
    RUN(answers_that_mean_nothing_are_errors);
    RUN(impossible_classes_and_certain_ones_are_answers);
    RUN(rates_that_overflow_are_errors_with_their_row);
    RUN(variances_beyond_floats_are_infinite_and_a_note);
    RUN(weights_of_any_size_are_shares);
    RUN(weights_that_are_none_are_errors);
    RUN(quantiles_invert_every_law_of_numbers);
    RUN(quantiles_of_heavy_tails_and_large_rates_are_right);
    RUN(a_student_without_a_variance_says_so);
    RUN(fixed_noise_has_its_size_in_any_units);
    RUN(any_number_of_threads_gives_the_same_bits);
    RUN(threads_fail_as_one_does);
    RUN(a_forward_of_ones_own_is_called_by_one_thread);
    RUN(threads_report_in_order_and_can_be_canceled);
    return check_done();
}
