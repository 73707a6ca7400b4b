/* test_laplace.c -- S2.12 and S3.13: the Gauss-Newton matrix against Hessians and outer products of
 * gradients, the Laplace approximation against closed forms and quadrature, its kinds against each
 * other. */
#include "build.h"
#include "world.h"

#define TIGHT BUILD_TOL(2e-5, 1e-11)

static bnn_net make(bnn_mlp_desc d) {
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, d);
    for (size_t i = 0; i < w->n; i++) w->theta[i] = bnn_rng_normal(&tape.rng) / 2;
    return net;
}

/* ---- S2.12 */

typedef struct { bnn_net *net; bnn_data d; } problem;

static bnn_var *total_nll(bnn_tape *t, void *user) { /* in nats, without the prior */
    problem *p = (problem *)user;
    return bnn_scale(bnn_net_nll(p->net, bnn_batch_all(t, p->d)), (float)p->d.x.rows);
}

static void the_ggn_of_a_linear_net_is_its_hessian(void) {
    static const int kinds[4] = { BNN_GAUSSIAN, BNN_BERNOULLI, BNN_CATEGORICAL, BNN_POISSON };
    enum { N = 12 };
    for (int q = 0; q < 4; q++) {
        open_all(1);
        bnn_net net = make((bnn_mlp_desc){ .sizes = { 3, 3 }, .likelihood = kinds[q],
                                           .noise_std = (float)0.5 });
        problem p = { &net, { normals(N, 3, 1), bnn_mat_new(&mem, N, q == 2 ? 1 : 3) } };
        for (size_t i = 0; i < p.d.y.rows * p.d.y.cols; i++)
            p.d.y.data[i] = (float)bnn_rng_below(&tape.rng, q == 2 ? 3 : 2);
        size_t n = net.params->n;
        bnn_mat h = bnn_mat_new(&mem, n, n), diag = bnn_mat_new(&mem, 1, n);
        bnn_ggn(h, &tape, &net, p.d.x);
        bnn_ggn(diag, &tape, &net, p.d.x);
        float *v = bnn_mat_new(&mem, 1, n).data, *out = bnn_mat_new(&mem, 1, n).data;
        for (size_t i = 0; i < n; i++) {
            memset(v, 0, n * sizeof *v);
            v[i] = 1;
            bnn_hessian_vector(out, &tape, net.params, total_nll, &p, v);
            for (size_t j = 0; j < n; j++)
                CHECK_NEAR(out[j], h.data[i * n + j],
                           BUILD_TOL(0.1, 1e-6) * (1 + fabs((double)h.data[i * n + j]) / 100));
            CHECK_NEAR(diag.data[i], h.data[i * n + i], TIGHT * 100);
        }
        close_all();
    }
}

/* E over y ~ model of g g^T, summed exactly over the classes */
static void the_ggn_is_the_expected_outer_product_of_gradients(void) {
    enum { N = 5, K = 3 };
    for (int bern = 0; bern < 2; bern++) {
        open_all(2);
        bnn_net net = make((bnn_mlp_desc){ .sizes = { 2, 4, bern ? 1 : K }, .noise_std = 1,
                                           .activation = BNN_TANH,
                                   .likelihood = bern ? BNN_BERNOULLI : BNN_CATEGORICAL });
        size_t n = net.params->n;
        bnn_mat x = normals(N, 2, 1), h = bnn_mat_new(&mem, n, n);
        double *want = (double *)bnn_arena_alloc(&mem, n * n, sizeof *want);
        bnn_ggn(h, &tape, &net, x);
        for (size_t i = 0; i < N; i++)
            for (int c = 0; c < (bern ? 2 : K); c++) {
                float label = (float)c;
                bnn_data d = { bnn_mat_rows(x, i, 1), { 1, 1, &label } };
                bnn_tape_reset(&tape);
                bnn_var *loss = bnn_net_nll(&net, bnn_batch_all(&tape, d));
                bnn_params_zero_grad(net.params);
                bnn_backward(loss);
                double p = exp(-(double)bnn_value(loss));
                for (size_t a = 0; a < n * n; a++)
                    want[a] += p * (double)net.params->grad[a / n] *
                               (double)net.params->grad[a % n];
            }
        for (size_t a = 0; a < n * n; a++) CHECK_NEAR(h.data[a], want[a], TIGHT);
        close_all();
    }
}

static void kronecker_equals_full_where_it_must(void) {
    for (int mode = 0; mode < 3; mode++) { /* a linear net; one row; no bias */
        open_all(3);
        bnn_mlp_desc d = { .sizes = { 3, 2 }, .noise_std = (float)0.4, .prior = { .std = 2 } };
        if (mode > 0) d.sizes[1] = 4, d.sizes[2] = 2, d.activation = BNN_TANH;
        if (mode > 0) d.likelihood = BNN_CATEGORICAL;
        if (mode == 2) d.no_bias = 1, d.prior.fan_in = 1;
        bnn_net net = make(d);
        size_t rows = mode == 0 ? 10 : 1, n = net.params->n;
        bnn_data data = { normals(rows, 3, 1), bnn_mat_new(&mem, rows, mode == 0 ? 2 : 1) };
        bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, data, BNN_LAPLACE_KRON);
        bnn_gaussian g = bnn_gaussian_laplace(&mem, &la, BNN_COV_LAYERS);
        bnn_gaussian diag = bnn_gaussian_laplace(&mem, &la, BNN_COV_DIAGONAL);
        bnn_mat h = bnn_mat_new(&mem, n, n);
        double log_det = 0;
        bnn_ggn(h, &tape, &net, data.x);
        for (size_t p = 0; p < g.n_pieces; p++) {
            size_t first = g.pieces[p].first, m = g.pieces[p].n;
            double *a = (double *)bnn_arena_alloc(&mem, m * m, sizeof *a);
            for (size_t i = 0; i < m * m; i++)
                a[i] = (double)h.data[(first + i / m) * n + first + i % m] +
                       (i / m == i % m ? (double)la.prior[first + i / m] : 0);
            log_det += invert(m, a);
            for (size_t i = 0; i < m * m; i++) CHECK_NEAR(g.pieces[p].cov.data[i], a[i], TIGHT);
            for (size_t i = 0; i < m; i++)
                CHECK_NEAR(diag.pieces[0].cov.data[first + i], a[i * m + i], TIGHT);
        }
        bnn_laplace full = bnn_laplace_new(&mem, &tape, &net, data, BNN_LAPLACE_FULL);
        if (mode == 0) CHECK_NEAR(la.log_evidence, full.log_evidence, TIGHT * 50);
        bnn_mat f = bnn_predict_log_lik(&mem, &tape, &net, NULL, data);
        CHECK_NEAR(la.log_evidence, bnn_mat_sum(f) + bnn_params_log_prior(net.params) +
                   (double)n / 2 * log(8 * atan(1)) - log_det / 2, TIGHT * 50);
        close_all();
    }
}

/* ---- S3.13 */

/* Linear regression: everything in closed form. Phi = [x, 1], prior 1/a, noise 1/b. */
static void laplace_of_a_linear_model_is_exact(void) {
    enum { N = 15, D = 3 };
    double a = 0.25, b = 4, A[D * D] = { 0 }, c[D] = { 0 }, K[N * N], quad = 0, det, m[D] = { 0 };
    open_all(4);
    bnn_net net = make((bnn_mlp_desc){ .sizes = { 2, 1 }, .noise_std = (float)0.5,
                                       .prior = { .std = 2 } });
    bnn_data d = { normals(N, 2, 1), normals(N, 1, 1) };
    double phi[N][D];
    for (size_t i = 0; i < N; i++) {
        phi[i][0] = (double)d.x.data[2 * i], phi[i][1] = (double)d.x.data[2 * i + 1], phi[i][2] = 1;
        for (size_t j = 0; j < D; j++) {
            c[j] += b * phi[i][j] * (double)d.y.data[i];
            for (size_t k = 0; k < D; k++) A[j * D + k] += b * phi[i][j] * phi[i][k];
        }
    }
    for (size_t j = 0; j < D; j++) A[j * D + j] += a;
    invert(D, A);
    for (size_t j = 0; j < D; j++)
        for (size_t k = 0; k < D; k++) m[j] += A[j * D + k] * c[k];
    for (size_t j = 0; j < D; j++) net.params->theta[j] = (float)m[j]; /* the maximum */
    for (size_t i = 0; i < N; i++) /* y ~ N(0, Phi Phi'/a + I/b) */
        for (size_t k = 0; k < N; k++) {
            K[i * N + k] = i == k ? 1 / b : 0;
            for (size_t j = 0; j < D; j++) K[i * N + k] += phi[i][j] * phi[k][j] / a;
        }
    det = invert(N, K);
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < N; k++)
            quad += (double)d.y.data[i] * K[i * N + k] * (double)d.y.data[k];
    for (int kind = BNN_LAPLACE_FULL; kind <= BNN_LAPLACE_LAST; kind++) {
        if (kind == BNN_LAPLACE_DIAGONAL) continue;
        bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, kind);
        CHECK_NEAR(la.log_evidence, -(quad + det + N * log(8 * atan(1))) / 2,
                   BUILD_TOL(1e-4, 1e-10));
        bnn_gaussian g = bnn_gaussian_laplace(&mem, &la, BNN_COV_FULL);
        for (size_t i = 0; i < D * D; i++) CHECK_NEAR(g.pieces[0].cov.data[i], A[i], TIGHT);
        bnn_predictive p = bnn_laplace_predict(&mem, &tape, &la, d.x);
        for (size_t i = 0; i < N; i++) {
            double v = 0, f = 0;
            for (size_t j = 0; j < D; j++) {
                f += phi[i][j] * m[j];
                for (size_t k = 0; k < D; k++) v += phi[i][j] * A[j * D + k] * phi[i][k];
            }
            CHECK_NEAR(p.mean.data[i], f, TIGHT);
            CHECK_NEAR(p.epistemic.data[i], v, TIGHT);
            CHECK_NEAR(p.aleatoric.data[i], 0.25, TIGHT);
        }
    }
    close_all();
}

/* Logistic regression, two weights: evidence and predictive by quadrature */
static void laplace_of_a_logistic_model_is_near_quadrature(void) {
    enum { N = 60, G = 241 };
    open_all(5);
    bnn_net net = make((bnn_mlp_desc){ .sizes = { 2, 1 }, .likelihood = BNN_BERNOULLI, .no_bias = 1,
                                       .prior = { .std = 2 } });
    bnn_data d = { normals(N, 2, 1), bnn_mat_new(&mem, N, 1) };
    for (size_t i = 0; i < N; i++) {
        double z = 1.2 * (double)d.x.data[2 * i] - 0.7 * (double)d.x.data[2 * i + 1];
        d.y.data[i] = (float)((double)bnn_rng_uniform(&tape.rng) < 1 / (1 + exp(-z)));
    }
    bnn_stepper adam = bnn_adam(net.params, (bnn_adam_desc){ .lr = (float)0.02 });
    for (int k = 0; k < 3000; k++) {
        bnn_tape_reset(&tape);
        adam.lr = (float)bnn_lr_cosine(0.05, (size_t)k, 3000);
        bnn_backward(bnn_net_loss(&net, bnn_batch_all(&tape, d)));
        bnn_step(&adam, &tape);
    }
    double sum = 0, base = 0, mean[N] = { 0 }, step = 0.05;
    float *w = net.params->theta, best[2] = { w[0], w[1] };
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < G; i++)
            for (int j = 0; j < G; j++) {
                double u = (double)best[0] + step * (i - G / 2),
                    v = (double)best[1] + step * (j - G / 2);
                double ln = -(u * u + v * v) / 8 - log(2 * 3.14159265358979 * 4), e;
                if (pass == 0 && (i != G / 2 || j != G / 2)) continue;
                for (size_t r = 0; r < N; r++) {
                    double z = u * (double)d.x.data[2 * r] + v * (double)d.x.data[2 * r + 1];
                    ln -= log1p(exp(d.y.data[r] != 0 ? -z : z));
                }
                if (pass == 0) base = ln;
                if (pass == 0) continue;
                sum += e = exp(ln - base) * step * step;
                for (size_t r = 0; r < N; r++) {
                    double z = u * (double)d.x.data[2 * r] + v * (double)d.x.data[2 * r + 1];
                    mean[r] += e / (1 + exp(-z));
                }
            }
    bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, BNN_LAPLACE_FULL);
    CHECK_NEAR(la.log_evidence, base + log(sum), 0.1);
    bnn_predictive p = bnn_laplace_predict(&mem, &tape, &la, d.x);
    bnn_mat cov, f = bnn_laplace_outputs(&mem, &tape, &la, d.x, &cov);
    for (size_t r = 0; r < N; r++) {
        CHECK_NEAR(p.mean.data[r], mean[r] / sum, 0.03);
        double q = (double)p.mean.data[r], s = 1 / (1 + exp(-(double)f.data[r]));
        CHECK_NEAR(p.epistemic.data[r], cov.data[r] * s * s * (1 - s) * (1 - s), TIGHT);
        CHECK_NEAR(p.aleatoric.data[r] + p.epistemic.data[r], q * (1 - q), TIGHT);
    }
    close_all();
}

/* y = v tanh(w x): two mirror modes; one Laplace sees one of them */
static void two_mirror_modes_add_ln_2(void) {
    enum { N = 20, G = 401 };
    open_all(6);
    bnn_net net = make((bnn_mlp_desc){ .sizes = { 1, 1, 1 }, .activation = BNN_TANH, .no_bias = 1,
                                       .noise_std = (float)0.2, .prior = { .std = 2 } });
    bnn_data d = { normals(N, 1, 1), bnn_mat_new(&mem, N, 1) };
    for (size_t i = 0; i < N; i++)
        d.y.data[i] = (float)(1.5 * tanh(1.2 * (double)d.x.data[i])) +
                      (float)0.2 * bnn_rng_normal(&tape.rng);
    float *w = net.params->theta;
    w[0] = 1, w[1] = 1;
    bnn_stepper adam = bnn_adam(net.params, (bnn_adam_desc){ .lr = (float)0.02 });
    for (int k = 0; k < 3000; k++) {
        bnn_tape_reset(&tape);
        adam.lr = (float)bnn_lr_cosine(0.02, (size_t)k, 3000);
        bnn_backward(bnn_net_loss(&net, bnn_batch_all(&tape, d)));
        bnn_step(&adam, &tape);
    }
    double sum = 0, base = 0, step = 10.0 / (G / 2);
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < G; i++)
            for (int j = 0; j < G; j++) {
                double u = pass ? step * (i - G / 2) : (double)w[0];
                double v = pass ? step * (j - G / 2) : (double)w[1];
                double ln = -(u * u + v * v) / 8 - log(8 * 3.14159265358979);
                if (!pass && (i || j)) continue;
                for (size_t r = 0; r < N; r++)
                    ln -= pow((double)d.y.data[r] - v * tanh(u * (double)d.x.data[r]), 2) / 0.08 +
                          log(0.04 * 8 * atan(1)) / 2;
                if (pass) sum += exp(ln - base) * step * step;
                else base = ln;
            }
    bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, BNN_LAPLACE_FULL);
    CHECK_NEAR(la.log_evidence + log(2.0), base + log(sum), 0.15);
    close_all();
}

/* ---- kinds, units, and what they leave alone */

static void the_predictive_of_each_kind_is_the_jacobians_sandwich(void) {
    enum { N = 9, X = 16 }; /* 48 numbers: behind a matrix is the next, no gap */
    for (int kind = BNN_LAPLACE_FULL; kind <= BNN_LAPLACE_LAST; kind++) {
        open_all(7);
        bnn_net net = make((bnn_mlp_desc){ .sizes = { 2, 5, 3 }, .activation = BNN_TANH,
                                   .likelihood = BNN_CATEGORICAL,
                                       .prior = { .std = 1, .fan_in = 1 } });
        bnn_data d = { normals(N, 2, 1), bnn_mat_new(&mem, N, 1) };
        size_t n = net.params->n;
        bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, kind);
        bnn_gaussian g = bnn_gaussian_laplace(&mem, &la, BNN_COV_FULL);
        bnn_mat x = normals(X, 2, 1), cov, f = bnn_laplace_outputs(&mem, &tape, &la, x, &cov);
        for (size_t r = 0; r < X; r++) {
            bnn_mat J = bnn_mat_new(&mem, 3, n);
            bnn_tape_reset(&tape);
            bnn_var *out = bnn_net_forward(&net, bnn_input(&tape, bnn_mat_rows(x, r, 1)));
            for (size_t k = 0; k < 3; k++) {
                bnn_params_zero_grad(net.params);
                bnn_backward(bnn_sum(bnn_cols(out, k, 1)));
                memcpy(J.data + k * n, net.params->grad, n * sizeof(float));
                CHECK_NEAR(f.data[r * 3 + k], out->val.data[k], TIGHT);
            }
            for (size_t a = 0; a < 9; a++) {
                double want = 0;
                for (size_t i = 0; i < n; i++)
                    for (size_t j = 0; j < n; j++)
                        want += (double)J.data[a / 3 * n + i] * bnn__gaussian_at(&g, i, j) *
                                (double)J.data[a % 3 * n + j];
                CHECK_NEAR(cov.data[r * 9 + a], want, BUILD_TOL(1e-4, 1e-10));
            }
        }
        bnn_predictive p = bnn_laplace_predict(&mem, &tape, &la, x);
        for (size_t r = 0; r < X; r++) { /* classes: the probit formula */
            double e[3] = { 0 }, sum = 0;
            for (size_t k = 0; k < 3; k++) {
                for (size_t j = 0; j < 3; j++) {
                    const float *c = cov.data + r * 9;
                    double v = (double)c[4 * k] + (double)c[4 * j] - 2 * (double)c[3 * k + j];
                    double gap = (double)f.data[r * 3 + k] - (double)f.data[r * 3 + j];
                    e[k] += exp(-gap / sqrt(1 + atan(1) / 2 * v));
                }
                sum += e[k] = 1 / e[k];
            }
            for (size_t k = 0; k < 3; k++) CHECK_NEAR(p.mean.data[r * 3 + k], e[k] / sum, TIGHT);
            sum = 0; /* the delta method: the slope of class k by logit i is s_k ([i = k] - s_i) */
            for (size_t k = 0; k < 3; k++) sum += e[k] = exp((double)f.data[r * 3 + k]);
            for (size_t k = 0; k < 3; k++) {
                double v = 0, q = (double)p.mean.data[r * 3 + k];
                for (size_t i = 0; i < 3; i++)
                    for (size_t j = 0; j < 3; j++)
                        v += (double)cov.data[r * 9 + 3 * i + j] * ((i == k) - e[i] / sum) *
                             ((j == k) - e[j] / sum) * e[k] / sum * e[k] / sum;
                v = v < q * (1 - q) ? v : q * (1 - q); /* no more than there is */
                CHECK_NEAR(p.epistemic.data[r * 3 + k], v, TIGHT);
                CHECK_NEAR(p.aleatoric.data[r * 3 + k], q * (1 - q) - v, TIGHT);
            }
        }
        close_all();
    }
}

static void the_diagonal_kind_has_the_diagonal_precision(void) {
    open_all(8);
    bnn_net net = make((bnn_mlp_desc){ .sizes = { 2, 3, 2 }, .activation = BNN_TANH,
                                       .likelihood = BNN_GAUSSIAN_HETERO });
    bnn_data d = { normals(6, 2, 1), normals(6, 1, 1) };
    size_t n = net.params->n;
    bnn_mat h = bnn_mat_new(&mem, n, n);
    bnn_ggn(h, &tape, &net, d.x);
    bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, BNN_LAPLACE_DIAGONAL);
    for (size_t i = 0; i < n; i++)
        CHECK_NEAR(la.g.pieces[0].cov.data[i], 1 / ((double)h.data[i * n + i] + 1), TIGHT);
    close_all();
}

/* A linear net of one input: the GGN is Fisher's information of (mean, ln variance) times x x^T. At a
 * bound of ln variance (20, in standardized units) the loss is flat in it, and the variance is the
 * bound's. */
static void a_predicted_ln_variance_is_bounded_as_in_its_likelihood(void) {
    double out[3] = { 3, 30, -30 };
    open_all(10);
    for (int standard = 0; standard < 2; standard++)
        for (int i = 0; i < 3; i++) {
            bnn_net net = make((bnn_mlp_desc){ .sizes = { 1, 2 }, .likelihood = BNN_GAUSSIAN_HETERO });
            bnn_data d = { normals(5, 1, 1), normals(5, 1, 100) };
            if (standard) CHECK(bnn_net_standardize(&net, d) == BNN_OK);
            double s = standard ? (double)net.scaling.y_std.data[0] : 1, mean = 0, var;
            bnn_mat h = bnn_mat_new(&mem, 4, 4);
            memset(net.params->theta, 0, 4 * sizeof(float));
            net.params->theta[3] = (float)out[i]; /* weights, then biases: of mean, of ln variance */
            bnn_ggn(h, &tape, &net, d.x);
            var = s * s * exp(out[i] > 20 ? 20 : out[i] < -20 ? -20 : out[i]);
            mean = 5 * s * s / var;
            CHECK_NEAR(h.data[2 * 4 + 2] / mean, 1, TIGHT * 10);
            CHECK_NEAR(h.data[3 * 4 + 3], i == 0 ? 2.5 : 0, TIGHT * 10);
        }
    close_all();
}

static void standardization_and_a_learned_noise_keep_the_units(void) {
    enum { N = 12 };
    open_all(9);
    bnn_data raw = { normals(N, 2, 3), normals(N, 1, 5) };
    bnn_mlp_desc d = { .sizes = { 2, 4, 1 }, .activation = BNN_TANH, .noise_std = (float)0.5,
                       .prior = { .std = 1 } };
    bnn_net net = make(d), learned;
    CHECK(bnn_net_standardize(&net, raw) == BNN_OK);
    d.noise_learned = 1;
    d.noise_std = (float)0.5 / net.scaling.y_std.data[0]; /* the start is in standardized units */
    learned = make(d);
    CHECK(bnn_net_standardize(&learned, raw) == BNN_OK);
    memcpy(learned.params->theta, net.params->theta, net.params->n * sizeof(float));
    size_t n = net.params->n;
    learned.params->theta[n] = (float)(2 * log((double)d.noise_std));
    bnn_mat a = bnn_mat_new(&mem, n, n), b = bnn_mat_new(&mem, n + 1, n + 1);
    bnn_ggn(a, &tape, &net, raw.x);
    bnn_ggn(b, &tape, &learned, raw.x);
    for (size_t i = 0; i < n * n; i++)
        CHECK_NEAR(b.data[i / n * (n + 1) + i % n], a.data[i],
                   TIGHT * (1 + fabs((double)a.data[i])));
    CHECK_NEAR(b.data[(n + 1) * (n + 1) - 1], N / 2.0, TIGHT);
    bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, raw, BNN_LAPLACE_FULL);
    bnn_laplace lb = bnn_laplace_new(&mem, &tape, &learned, raw, BNN_LAPLACE_FULL);
    bnn_predictive p = bnn_laplace_predict(&mem, &tape, &la, raw.x);
    bnn_predictive q = bnn_laplace_predict(&mem, &tape, &lb, raw.x);
    bnn_mat cov, f = bnn_laplace_outputs(&mem, &tape, &la, raw.x, &cov);
    double s = (double)net.scaling.y_std.data[0], m = (double)net.scaling.y_mean.data[0];
    for (size_t i = 0; i < N; i++) {
        CHECK_NEAR(p.mean.data[i], m + s * (double)f.data[i], TIGHT * 10);
        CHECK_NEAR(p.epistemic.data[i], s * s * (double)cov.data[i], TIGHT * 10);
        CHECK_NEAR(p.aleatoric.data[i], 0.25, TIGHT);
        CHECK_NEAR(q.epistemic.data[i], p.epistemic.data[i], TIGHT * 100);
        CHECK_NEAR(q.aleatoric.data[i], 0.25, TIGHT);
    }
    close_all();
}

static void weights_and_gradients_stay_as_they_are(void) {
    open_all(10);
    bnn_net net = make((bnn_mlp_desc){ .sizes = { 2, 4, 2 }, .likelihood = BNN_CATEGORICAL,
                                       .dropout = (float)0.5 });
    bnn_data d = { normals(6, 2, 1), bnn_mat_new(&mem, 6, 1) };
    size_t n = net.params->n;
    float theta[32];
    bnn_rng rng = tape.rng;
    memcpy(theta, net.params->theta, n * sizeof *theta);
    for (size_t i = 0; i < n; i++) net.params->grad[i] = 3;
    for (int kind = 0; kind <= BNN_LAPLACE_LAST; kind++) {
        bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, kind);
        bnn_laplace_predict(&mem, &tape, &la, d.x);
    }
    CHECK_SAME_ARRAY(theta, net.params->theta, n);
    for (size_t i = 0; i < n; i++) CHECK(net.params->grad[i] == 3);
    CHECK(memcmp(&rng, &tape.rng, sizeof rng) == 0 && tape.training == 0);
    close_all();
}

static void a_last_layer_knows_the_others(void) {
    open_all(11);
    bnn_net net = make((bnn_mlp_desc){ .sizes = { 2, 4, 2 }, .likelihood = BNN_CATEGORICAL });
    bnn_data d = { normals(6, 2, 1), bnn_mat_new(&mem, 6, 1) };
    bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, BNN_LAPLACE_LAST);
    CHECK(la.first == 12 && la.n == 10);
    bnn_gaussian g = bnn_gaussian_laplace(&mem, &la, BNN_COV_LAYERS);
    CHECK(g.n_pieces == 2 && g.pieces[0].cov.data[0] == 0 && g.pieces[1].cov.data[0] > 0);
    CHECK(bnn_gaussian_log_pdf(&g, net.params->theta) != 0 && mem.err == BNN_EARG);
    CHECK(strstr(mem.msg, "pivot 0") != NULL);
    mem.err = BNN_OK;
    close_all();
}

/* ---- is it a maximum? */

static void descend(bnn_net *net, bnn_data d, int steps) {
    bnn_stepper adam = bnn_adam(net->params, (bnn_adam_desc){ .lr = (float)0.02 });
    for (int k = 0; k < steps; k++) {
        bnn_tape_reset(&tape);
        adam.lr = (float)bnn_lr_cosine(0.02, (size_t)k, (size_t)steps);
        bnn_backward(bnn_net_loss(net, bnn_batch_all(&tape, d)));
        bnn_step(&adam, &tape);
    }
}

static double energy(bnn_net *net, bnn_data d) {
    return -bnn_mat_sum(bnn_predict_log_lik(&mem, &tape, net, NULL, d)) -
           bnn_params_log_prior(net->params);
}

/* A linear net with Gaussian noise: U is a parabola, a Newton step ends at its minimum. */
static void the_decrement_is_what_a_newton_step_gains(void) {
    for (int scaled = 0; scaled < 2; scaled++)
        for (int kind = BNN_LAPLACE_FULL; kind <= BNN_LAPLACE_LAST; kind++) {
            open_all(30);
            bnn_net net = make((bnn_mlp_desc){ .sizes = { 3, 2 }, .noise_std = (float)0.5,
                                               .prior = { .std = 2, .mean = (float)0.3 } });
            bnn_data d = { normals(150, 3, 1), normals(150, 2, 3) }; /* more than a block */
            if (scaled) CHECK(bnn_net_standardize(&net, d) == BNN_OK);
            size_t n = net.params->n;
            float start[8];
            memcpy(start, net.params->theta, sizeof start);
            bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, kind);
            double before = energy(&net, d), g[8], H[64], gain = 0;
            bnn_mat h = bnn_mat_new(&mem, n, n);
            bnn_ggn(h, &tape, &net, d.x);
            bnn_tape_reset(&tape);
            bnn_params_zero_grad(net.params);
            bnn_backward(bnn_net_loss(&net, bnn_batch_all(&tape, d)));
            for (size_t i = 0; i < 8; i++) g[i] = 150 * (double)net.params->grad[i];
            for (size_t i = 0; i < 64; i++)
                H[i] = i % 9 == 0 || kind != BNN_LAPLACE_DIAGONAL ? (double)h.data[i] +
                       (i % 9 == 0 ? 0.25 : 0) : 0;
            invert(8, H);
            for (size_t i = 0; i < 64; i++) gain += g[i / 8] * H[i] * g[i % 8] / 2;
            CHECK_NEAR(la.decrement / gain, 1, TIGHT * 10);
            CHECK(tape.notes == 1 && strstr(tape.note, "falling lr") != NULL);
            if (kind == BNN_LAPLACE_DIAGONAL) {
                close_all();
                continue;
            }
            for (size_t i = 0; i < 8; i++) { /* the Newton step */
                double step = 0;
                for (size_t j = 0; j < 8; j++) step += H[i * 8 + j] * g[j];
                net.params->theta[i] = (float)((double)start[i] - step);
            }
            CHECK_NEAR((before - energy(&net, d)) / gain, 1, TIGHT * 10);
            tape.notes = 0;
            la = bnn_laplace_new(&mem, &tape, &net, d, kind);
            CHECK(la.decrement < BUILD_TOL(1e-3, 1e-12) && tape.notes == 0);
            close_all();
        }
}

/* Whatever the likelihood: none at a maximum, one away from it; and a net that is trained has none. */
static void a_note_says_that_it_is_no_maximum(void) {
    static const int kinds[] = { BNN_GAUSSIAN, BNN_GAUSSIAN_HETERO, BNN_STUDENT, BNN_BERNOULLI,
                                 BNN_CATEGORICAL, BNN_POISSON };
    for (size_t q = 0; q < sizeof kinds / sizeof *kinds; q++)
        for (int kind = BNN_LAPLACE_FULL; kind <= BNN_LAPLACE_LAST; kind++) {
            open_all(31);
            int two = kinds[q] == BNN_GAUSSIAN_HETERO || kinds[q] == BNN_CATEGORICAL;
            bnn_net net = make((bnn_mlp_desc){ .sizes = { 2, 4, two ? 2 : 1 }, .noise_std = 1,
                               .activation = BNN_TANH, .likelihood = kinds[q],
                               .dropout = (float)0.5 });
            bnn_data d = { normals(60, 2, 1), bnn_mat_new(&mem, 60, 1) };
            for (size_t i = 0; i < 60; i++)
                d.y.data[i] = d.x.data[2 * i] + bnn_rng_normal(&tape.rng) > 0;
            net.mlp->desc.dropout = 0; /* to be trained without, and judged without */
            descend(&net, d, 1500);
            net.mlp->desc.dropout = (float)0.5;
            tape.notes = 0;
            bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, kind);
            CHECK(la.decrement >= 0 && tape.notes == (la.decrement > 1 + 0.01 * (double)la.n));
            if (kinds[q] != BNN_GAUSSIAN_HETERO) CHECK(la.decrement < 1); /* that one is stiff */
            for (size_t i = 0; i < net.params->n; i++) net.params->theta[i] += 1;
            tape.notes = 0;
            memset(tape.note, 0, sizeof tape.note);
            la = bnn_laplace_new(&mem, &tape, &net, d, kind);
            CHECK(la.decrement > 1 + 0.01 * (double)la.n && tape.notes == 1);
            CHECK(strncmp(tape.note, "bnn_laplace_new: not at a maximum", 33) == 0);
            CHECK(tape.training == 0);
            close_all();
        }
}

/* ---- gaps */

static int is_nan(float x) { return x != x; }

/* Relu, which could swallow a NaN; the rows beside are the same to the bit. */
static void a_gap_makes_all_answers_of_its_row_nan(void) {
    static const int kinds[] = { BNN_GAUSSIAN, BNN_GAUSSIAN_HETERO, BNN_DOUBLE_EXPONENTIAL,
                                 BNN_STUDENT, BNN_BERNOULLI, BNN_CATEGORICAL, BNN_POISSON };
    const float hole[3] = { NAN, INFINITY, -INFINITY };
    enum { N = 140, K = 2 };
    for (size_t q = 0; q < sizeof kinds / sizeof *kinds; q++)
        for (int kind = BNN_LAPLACE_FULL; kind <= BNN_LAPLACE_LAST; kind++) {
            open_all(32);
            bnn_net net = make((bnn_mlp_desc){ .sizes = { 3, 4, K }, .likelihood = kinds[q],
                                               .noise_std = 1 });
            bnn_data d = { normals(N, 3, 1), bnn_mat_new(&mem, N, kinds[q] ==
                BNN_GAUSSIAN_HETERO || kinds[q] == BNN_CATEGORICAL ? 1 : K) };
            bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, kind);
            bnn_mat x = bnn_mat_copy(&mem, d.x), cov[2];
            bnn_predictive p = bnn_laplace_predict(&mem, &tape, &la, d.x), g;
            bnn_mat f = bnn_laplace_outputs(&mem, &tape, &la, d.x, &cov[0]), h;
            x.data[5 * 3 + 1] = hole[kind % 3];
            x.data[130 * 3] = NAN, x.data[130 * 3 + 2] = INFINITY;
            tape.notes = 0;
            g = bnn_laplace_predict(&mem, &tape, &la, x);
            CHECK(tape.notes == 1 && strstr(tape.note, "row 5, column 1") && strstr(tape.note,
                  "in 2 rows"));
            h = bnn_laplace_outputs(&mem, &tape, &la, x, &cov[1]);
            CHECK(tape.notes == 2);
            for (size_t i = 0; i < N; i++) {
                int gap = i == 5 || i == 130;
                size_t k = p.mean.cols;
                for (size_t j = 0; j < k; j++) {
                    size_t at = i * k + j;
                    CHECK(is_nan(g.mean.data[at]) == gap && is_nan(g.epistemic.data[at]) == gap &&
                          is_nan(g.aleatoric.data[at]) == gap);
                    if (!gap) CHECK_SAME(g.mean.data[at], p.mean.data[at]);
                    if (!gap) CHECK_SAME(g.epistemic.data[at], p.epistemic.data[at]);
                }
                for (size_t j = 0; j < K; j++) CHECK(is_nan(h.data[i * K + j]) == gap);
                for (size_t j = 0; j < K * K; j++) {
                    CHECK(is_nan(cov[1].data[i * K * K + j]) == gap);
                    if (!gap) CHECK_SAME(cov[1].data[i * K * K + j], cov[0].data[i * K * K + j]);
                }
                if (p.entropy.data) CHECK(is_nan(g.entropy.data[i]) == gap);
                if (p.entropy.data && !gap) CHECK_SAME(g.entropy.data[i], p.entropy.data[i]);
                CHECK(f.rows == N);
            }
            close_all();
        }
}

static void a_number_that_is_none_has_no_curvature(void) {
    const float hole[3] = { NAN, INFINITY, -INFINITY };
    for (int i = 0; i < 12; i++) {
        open_all(33);
        bnn_net net = make((bnn_mlp_desc){ .sizes = { 2, 3, 1 }, .noise_std = 1 });
        bnn_data d = { normals(6, 2, 1), normals(6, 1, 1) };
        bnn_mat h = bnn_mat_new(&mem, 1, net.params->n);
        d.x.data[3 * 2 + 1] = hole[i % 3];
        CHECK(bnn_laplace_new(&mem, &tape, &net, d, i / 3).n == 0);
        CHECK(took(BNN_ENONFINITE, "row 3, column 1"));
        bnn_ggn(h, &tape, &net, d.x);
        CHECK(took(BNN_ENONFINITE, "row 3, column 1"));
        d.x.data[3 * 2 + 1] = 0, d.y.data[4] = hole[i % 3];
        CHECK(bnn_laplace_new(&mem, &tape, &net, d, i / 3).n == 0);
        CHECK(took(BNN_ENONFINITE, "y is"));
        d.y.data[4] = 0, net.params->theta[7] = hole[i % 3];
        CHECK(bnn_laplace_new(&mem, &tape, &net, d, i / 3).n == 0);
        CHECK(took(BNN_ENONFINITE, "theta is"));
        bnn_ggn(h, &tape, &net, d.x);
        CHECK(took(BNN_ENONFINITE, "column 7"));
        close_all();
    }
}

/* ---- costs */

/* In blocks, of every size, what row by row gives; and room that does not grow with the rows. */
static void blocks_of_rows_are_the_rows(void) {
    for (int kind = BNN_LAPLACE_FULL; kind <= BNN_LAPLACE_LAST; kind++)
        for (int wide = 0; wide < 2; wide++) {
            open_all(34);
            size_t k = wide ? 100 : 3; /* 100 outputs: blocks of 41 rows */
            bnn_net net = make((bnn_mlp_desc){ .sizes = { 2, 3, k }, .activation = BNN_TANH,
                                               .likelihood = BNN_CATEGORICAL });
            bnn_data d = { normals(5, 2, 1), bnn_mat_new(&mem, 5, 1) };
            bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, kind);
            bnn_mat x = normals(300, 2, 1);
            bnn_predictive all, one;
            size_t used = bnn_arena_used(&mem), room;
            bnn_laplace_predict(&mem, &tape, &la, bnn_mat_rows(x, 0, 128));
            room = bnn_arena_size(&tape.mem);
            all = bnn_laplace_predict(&mem, &tape, &la, x);
            CHECK(bnn_arena_size(&tape.mem) <= room + 65536);
            CHECK(bnn_arena_used(&mem) - used < 428 * (3 * k + 1) * sizeof(float) + 4000000);
            for (size_t i = 0; i < 300; i += 7) {
                one = bnn_laplace_predict(&mem, &tape, &la, bnn_mat_rows(x, i, 1));
                for (size_t j = 0; j < k; j++) {
                    CHECK_NEAR(all.mean.data[i * k + j], one.mean.data[j], TIGHT);
                    CHECK_NEAR(all.epistemic.data[i * k + j], one.epistemic.data[j], TIGHT);
                }
            }
            CHECK(bnn_laplace_predict(&mem, &tape, &la, bnn_mat_rows(x, 0, 0)).mean.rows == 0);
            close_all();
        }
}

/* The diagonal by two small products, the covariance by a large one */
static void variances_are_the_covariances_diagonal(void) {
    for (int kind = BNN_LAPLACE_FULL; kind <= BNN_LAPLACE_LAST; kind++)
        for (int bias = 0; bias < 2; bias++) {
            open_all(35);
            bnn_net net = make((bnn_mlp_desc){ .sizes = { 7, 5, 6, 2 }, .activation = BNN_TANH,
                .no_bias = !bias, .noise_std = (float)0.1, .prior = { .std = 2, .fan_in = 1 } });
            bnn_data d = { normals(40, 7, 1), normals(40, 2, 1) };
            bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, kind);
            bnn_gaussian a = bnn_gaussian_laplace(&mem, &la, BNN_COV_DIAGONAL);
            bnn_gaussian b = bnn_gaussian_laplace(&mem, &la, BNN_COV_LAYERS);
            for (size_t i = 0; i < net.params->n; i++)
                CHECK_NEAR(bnn__gaussian_at(&a, i, i), bnn__gaussian_at(&b, i, i), TIGHT);
            close_all();
        }
}

/* ---- units: y and the noise by c move the evidence by -N k ln c, and no prediction but its unit. */
static void the_evidence_knows_no_units(void) {
    static const double by[] = { 1e-8, 1e-4, 1, 1e4, 1e8 };
    static const int kinds[] = { BNN_GAUSSIAN, BNN_GAUSSIAN, BNN_DOUBLE_EXPONENTIAL, BNN_STUDENT,
                                 BNN_GAUSSIAN_HETERO };
    enum { N = 30 };
    for (int q = 0; q < 5; q++)
        for (int kind = BNN_LAPLACE_FULL; kind <= BNN_LAPLACE_LAST; kind++) {
            double evidence = 0, decrement = 0, epistemic = 0;
            for (int i = 0; i < 5; i++) {
                open_all(36);
                double c = by[(i + 2) % 5];
                bnn_mlp_desc desc = { .sizes = { 2, 3, q == 4 ? 2 : 1 }, .activation = BNN_TANH,
                                      .likelihood = kinds[q], .noise_std = (float)(0.5 * c) };
                if (q == 1) desc.noise_learned = 1, desc.noise_std = (float)0.5;
                if (q == 4) desc.noise_std = 0;
                bnn_net net = make(desc);
                bnn_data d = { normals(N, 2, 1), normals(N, 1, 1) };
                bnn_mat_scale(d.y, d.y, (float)c);
                CHECK(bnn_net_standardize(&net, d) == BNN_OK);
                bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, kind);
                bnn_predictive p = bnn_laplace_predict(&mem, &tape, &la, d.x);
                if (i == 0) evidence = la.log_evidence, decrement = la.decrement;
                if (i == 0) epistemic = (double)p.epistemic.data[0];
                CHECK_NEAR(la.log_evidence, evidence - N * log(c), BUILD_TOL(2e-2, 1e-9));
                CHECK_NEAR(la.decrement / decrement, 1, BUILD_TOL(1e-3, 1e-9));
                CHECK_NEAR((double)p.epistemic.data[0] / c / c / epistemic, 1,
                           BUILD_TOL(1e-3, 1e-9));
                close_all();
            }
        }
}

/* Beyond its bound a learned ln variance has no curvature, and the others that of the bound: the
 * Hessian of the loss, which a linear net's GGN is. */
static void a_learned_noise_is_bounded_as_in_its_likelihood(void) {
    static const double z[5] = { 1, 19, 30, -30, -19 };
    for (int diagonal = 0; diagonal < 2; diagonal++)
        for (int standard = 0; standard < 2; standard++)
            for (int i = 0; i < 5; i++) {
                open_all(37);
                bnn_net net = make((bnn_mlp_desc){ .sizes = { 1, 2 }, .noise_learned = 1 });
                bnn_data d = { normals(5, 1, 1), normals(5, 2, 1) };
                if (standard) CHECK(bnn_net_standardize(&net, d) == BNN_OK);
                bnn_mat h = bnn_mat_new(&mem, diagonal ? 1 : 5, 5);
                net.params->theta[4] = (float)z[i];
                bnn_ggn(h, &tape, &net, d.x);
                double inside = fabs(z[i]) < 20, bound = inside ? z[i] : z[i] > 0 ? 20 : -20;
                size_t step = diagonal ? 1 : 6;
                CHECK_NEAR((double)h.data[2 * step] / (5 * exp(-bound)), 1, TIGHT * 10);
                CHECK_NEAR(h.data[4 * step], inside ? 5 : 0, TIGHT * 10); /* 10 numbers of y */
                close_all();
            }
}

/* ---- bad input */

static bnn_var *answer(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    return bnn_matmul(x, bnn_param(t, net->params, 0));
}

static void bad_input_is_named(void) {
    open_all(12);
    bnn_net net = make((bnn_mlp_desc){ .sizes = { 2, 3, 2 }, .likelihood = BNN_CATEGORICAL,
                                       .prior = { .kind = BNN_PRIOR_FLAT } });
    bnn_net lap = make((bnn_mlp_desc){ .sizes = { 2, 2 }, .likelihood = BNN_CATEGORICAL,
                                       .prior = { .kind = BNN_PRIOR_DOUBLE_EXPONENTIAL } });
    bnn_net dead, own = lap;
    bnn_data d = { normals(6, 2, 1), bnn_mat_new(&mem, 6, 1) },
        none = { { 0, 2, NULL }, { 0, 1, NULL } };
    memset(&dead, 0, sizeof dead);
    own.mlp = NULL, own.forward = answer;
    bnn_net other = lap, plain = make((bnn_mlp_desc){ .sizes = { 2, 2 }, .noise_std = 1 });
    other.forward = answer; /* a forward of one's own on a bnn_mlp's parameters */
    for (int kind = BNN_LAPLACE_KRON; kind <= BNN_LAPLACE_LAST; kind++) {
        CHECK(bnn_laplace_new(&mem, &tape, &other, d, kind).n == 0);
        CHECK(took(BNN_EARG, "forward"));
    }
    plain.forward = answer, plain.likelihood = BNN_CATEGORICAL; /* the others take any */
    for (int kind = BNN_LAPLACE_FULL; kind <= BNN_LAPLACE_DIAGONAL; kind++)
        CHECK(bnn_laplace_new(&mem, &tape, &plain, d, kind).n == 6);
    bnn_laplace la = bnn_laplace_new(&mem, &tape, &plain, d, BNN_LAPLACE_FULL), no = { 0 };
    static const int wrong[3] = { 77, -1, 3 };
    for (int k = 0; k < 3; k++) {
        CHECK(bnn_gaussian_laplace(&mem, &la, wrong[k]).n == 0 && mem_took(BNN_EARG, "kind"));
        CHECK(bnn_laplace_new(&mem, &tape, &plain, d, wrong[k] + (k == 2)).n == 0);
        CHECK(took(BNN_EARG, "kind"));
    }
    CHECK(bnn_gaussian_laplace(&mem, &no, BNN_COV_FULL).n == 0 && mem_took(BNN_EARG, "not made"));
    CHECK(bnn_gaussian_laplace(&mem, NULL, BNN_COV_FULL).n == 0 && mem_took(BNN_EARG, "not made"));
    CHECK(bnn_gaussian_laplace(NULL, &la, BNN_COV_FULL).n == 0);
    bnn_mat cov;
    CHECK(bnn_laplace_predict(&mem, &tape, &no, d.x).mean.data == NULL && took(BNN_EARG, "not made"));
    CHECK(bnn_laplace_predict(&mem, &tape, NULL, d.x).mean.data == NULL &&
          took(BNN_EARG, "not made"));
    CHECK(bnn_laplace_outputs(&mem, &tape, NULL, d.x, &cov).data == NULL &&
          took(BNN_EARG, "not made") && cov.data == NULL);
    CHECK(bnn_laplace_predict(&mem, &tape, &la, (bnn_mat){ 3, 2, NULL }).mean.data == NULL &&
          took(BNN_EARG, "without data"));
    CHECK(bnn_laplace_new(&mem, &tape, NULL, d, BNN_LAPLACE_FULL).n == 0 && took(BNN_EARG, "made"));
    CHECK(bnn_laplace_new(NULL, &tape, &plain, d, BNN_LAPLACE_FULL).n == 0 &&
          took(BNN_EARG, "no arena"));
    CHECK(bnn_laplace_new(&mem, &tape, &plain, (bnn_data){ d.x, bnn_mat_rows(d.y, 0, 5) },
                          BNN_LAPLACE_FULL).n == 0 && took(BNN_ESHAPE, "5 targets"));
    CHECK(bnn_laplace_push(NULL, NULL, NULL) == BNN_EARG);
    CHECK(bnn_laplace_predict(NULL, &tape, &la, d.x).mean.data == NULL &&
          took(BNN_EARG, "no arena"));
    CHECK(bnn_laplace_outputs(NULL, &tape, &la, d.x, &cov).data == NULL &&
          took(BNN_EARG, "no arena"));
    bnn_ggn(d.x, &tape, NULL, d.x);
    CHECK(took(BNN_EARG, "not made"));
    CHECK(bnn_laplace_new(&mem, &tape, &net, d, BNN_LAPLACE_FULL).n == 0);
    CHECK(took(BNN_EARG, "pivot"));
    bnn_laplace_new(&mem, &tape, &net, d, BNN_LAPLACE_KRON);
    CHECK(took(BNN_EARG, "flat"));
    bnn_laplace_new(&mem, &tape, &lap, d, BNN_LAPLACE_FULL);
    CHECK(took(BNN_EARG, "neither normal nor flat"));
    bnn_laplace_new(&mem, &tape, &own, d, BNN_LAPLACE_LAST);
    CHECK(took(BNN_EARG, "net of layers"));
    bnn_laplace_new(&mem, &tape, &dead, d, BNN_LAPLACE_FULL);
    CHECK(took(BNN_EARG, "not made"));
    bnn_laplace_new(&mem, &tape, &net, none, BNN_LAPLACE_FULL);
    CHECK(took(BNN_EARG, "0 rows"));
    bnn_laplace_new(&mem, &tape, &net, d, 9);
    CHECK(took(BNN_EARG, "kind 9"));
    bnn_ggn(d.x, &tape, &net, d.x);
    CHECK(took(BNN_ESHAPE, "6x2"));
    bnn_ggn(bnn_mat_new(&mem, 1, net.params->n), &tape, &net, normals(3, 5, 1));
    CHECK(took(BNN_ESHAPE, "1x5"));
    close_all();
}

static size_t budget;
static void *limited(void *user, void *ptr, size_t old, size_t size) {
    (void)user, (void)old;
    if (size == 0) { free(ptr); return NULL; }
    if (budget == 0) return NULL;
    budget--;
    return realloc(ptr, size);
}

static bnn_var *itself(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    (void)t, (void)net;
    return x;
}

static void a_net_without_weights_has_no_curvature(void) { /* nothing is copied from NULL */
    open_all(3);
    bnn_net net = { .params = bnn_params_new(&mem), .forward = itself, .noise_std = 1, .mem = &mem };
    bnn_data d = { normals(3, 1, 1), normals(3, 1, 1) };
    bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, BNN_LAPLACE_FULL);
    CHECK(tape.err == BNN_OK && mem.err == BNN_OK && la.n == 0);
    close_all();
}

static void every_failing_allocation_is_an_error(void) {
    for (size_t allowed = 0; allowed < 16; allowed++) {
        bnn_arena m = { .alloc = { limited, NULL } };
        bnn_tape t = { .mem = { .alloc = { limited, NULL } } };
        budget = 1000;
        bnn_params *w = bnn_params_new(&m);
        bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 2, 30, 3 },
                                                 .likelihood = BNN_CATEGORICAL });
        float x[4] = { 1, 2, 3, 4 }, y[2] = { 0, 1 };
        bnn_data d = { { 2, 2, x }, { 2, 1, y } };
        budget = allowed;
        for (int kind = 0; kind <= BNN_LAPLACE_LAST; kind++) {
            bnn_laplace la = bnn_laplace_new(&m, &t, &net, d, kind);
            bnn_gaussian g = bnn_gaussian_laplace(&m, &la, BNN_COV_LAYERS);
            bnn_predictive p = bnn_laplace_predict(&m, &t, &la, d.x);
            bnn_ensemble post = bnn_ensemble_new(w, 1);
            int pushed = bnn_laplace_push(&la, &post, &t.rng) == BNN_OK;
            CHECK(pushed == (int)post.count);
            if (t.err || m.err) CHECK(p.mean.data == NULL || g.n == 0 || !pushed);
            if (t.err || m.err) break;
        }
        budget = 1000;
        bnn_tape_free(&t);
        bnn_arena_free(&m);
    }
}

/* ---- draws */

/* N A (x) G + prior of a layer by its definition: A = mean of a a^T, G = mean of sum_c g_c g_c^T,
 * g_c = d(sum_k r_ck f_k)/d(layer's output), r_c = sqrt(p_c) (e_c - p); a 2-3-2 tanh net */
static void kronecker_precision(const bnn_net *net, bnn_mat x, int layer, const float *prior,
                                double *h) {
    size_t r = layer == 0 ? 3 : 4, k = layer == 0 ? 3 : 2, n = r * k;
    const float *w = net->params->theta;
    double A[16] = { 0 }, G[9] = { 0 };
    for (size_t i = 0; i < x.rows; i++) {
        double a[2][4] = { { (double)x.data[2 * i], (double)x.data[2 * i + 1], 1 },
                           { 0, 0, 0, 1 } }, z[2], p[2];
        for (size_t j = 0; j < 3; j++)
            a[1][j] = tanh((double)w[j] * a[0][0] + (double)w[3 + j] * a[0][1] + (double)w[6 + j]);
        for (size_t c = 0; c < 2; c++) {
            z[c] = (double)w[15 + c];
            for (size_t j = 0; j < 3; j++) z[c] += (double)w[9 + 2 * j + c] * a[1][j];
        }
        for (size_t c = 0; c < 2; c++) p[c] = 1 / (1 + exp(z[1 - c] - z[c]));
        for (size_t j = 0; j < r * r; j++)
            A[j] += a[layer][j / r] * a[layer][j % r] / (double)x.rows;
        for (size_t c = 0; c < 2; c++) {
            double g[3];
            for (size_t j = 0; j < k; j++) {
                double out[2] = { sqrt(p[c]) * ((c == 0) - p[0]), sqrt(p[c]) * ((c == 1) - p[1]) };
                g[j] = layer == 1 ? out[j] : (1 - a[1][j] * a[1][j]) *
                       ((double)w[9 + 2 * j] * out[0] + (double)w[10 + 2 * j] * out[1]);
            }
            for (size_t j = 0; j < k * k; j++) G[j] += g[j / k] * g[j % k] / (double)x.rows;
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            h[i * n + j] = (double)x.rows * A[i / k * r + j / k] * G[i % k * k + j % k] +
                           (i == j ? (double)prior[i] : 0);
}

/* Means, covariances and |L^-1 (theta - mean)|^2 of 10^5 draws, within 5 standard errors. 17 + 153
 * + 1 comparisons of each of 4 kinds: false alarms 684 * 5.7e-7 = 4e-4. */
static void draws_have_the_moments_of_each_kind(void) {
    enum { DRAWS = 100000, W = 17 };
    for (int kind = BNN_LAPLACE_FULL; kind <= BNN_LAPLACE_LAST; kind++) {
        double C[W * W] = { 0 }, prec[W * W] = { 0 }, square = 0;
        open_all(20);
        bnn_net net = make((bnn_mlp_desc){ .sizes = { 2, 3, 2 }, .activation = BNN_TANH,
                           .likelihood = BNN_CATEGORICAL, .prior = { .std = 1, .fan_in = 1 } });
        bnn_data d = { normals(12, 2, 1), bnn_mat_new(&mem, 12, 1) };
        bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, kind);
        bnn_mat h = bnn_mat_new(&mem, W, W);
        bnn_ggn(h, &tape, &net, d.x);
        for (size_t i = 0; i < W * W; i++) { /* the precision, by its definition */
            size_t a = i / W, b = i % W;
            int same = kind == BNN_LAPLACE_FULL || (kind == BNN_LAPLACE_LAST && a > 8 && b > 8);
            if (a == b) prec[i] = kind == BNN_LAPLACE_LAST && a < 9 ? 1 : (double)la.prior[a];
            if (same || (kind == BNN_LAPLACE_DIAGONAL && a == b)) prec[i] += (double)h.data[i];
        }
        for (int l = 0; kind == BNN_LAPLACE_KRON && l < 2; l++) {
            size_t at = l == 0 ? 0 : 9, n = l == 0 ? 9 : 8;
            double piece[81];
            kronecker_precision(&net, d.x, l, la.prior + at, piece);
            for (size_t i = 0; i < n * n; i++) prec[(at + i / n) * W + at + i % n] = piece[i];
        }
        memcpy(C, prec, sizeof C);
        invert(W, C);
        for (size_t i = 0; kind == BNN_LAPLACE_LAST && i < 9; i++) C[i * W + i] = 0;
        bnn_gaussian g = bnn_gaussian_laplace(&mem, &la, BNN_COV_FULL);
        for (size_t i = 0; i < W * W; i++)
            CHECK_NEAR(bnn__gaussian_at(&g, i / W, i % W), C[i], BUILD_TOL(1e-5, 1e-12));
        bnn_ensemble post = bnn_ensemble_new(net.params, DRAWS);
        while (post.count < DRAWS && bnn_laplace_push(&la, &post, &tape.rng) == BNN_OK) {}
        CHECK(post.count == DRAWS);
        double mean[W] = { 0 }, S[W * W] = { 0 };
        for (size_t s = 0; s < post.count; s++) {
            double y[W];
            for (size_t i = 0; i < W; i++) {
                y[i] = (double)post.samples.data[s * W + i] - (double)la.mean[i];
                mean[i] += y[i] / DRAWS;
            }
            for (size_t i = 0; i < W * W; i++) {
                S[i] += y[i / W] * y[i % W] / DRAWS;
                square += y[i / W] * prec[i] * y[i % W] / DRAWS;
            }
        }
        for (size_t i = 0; i < W; i++) {
            CHECK_NEAR(mean[i], 0, 5 * sqrt(C[i * W + i] / DRAWS));
            for (size_t j = 0; j <= i; j++)
                CHECK_NEAR(S[i * W + j], C[i * W + j],
                           5 * sqrt((C[i * W + i] * C[j * W + j] + pow(C[i * W + j], 2)) / DRAWS));
        }
        CHECK_NEAR(square, (double)la.n, 5 * sqrt(2 * (double)la.n / DRAWS));
        close_all();
    }
}

/* In a linear net drawing and linearizing are the same: 6 means and 6 variances of 20000 draws
 * within 5 standard errors, for 2 kinds. False alarms 24 * 5.7e-7 = 1.4e-5. */
static void drawn_and_linearized_predictives_of_a_linear_net_agree(void) {
    enum { DRAWS = 20000, X = 3, K = 2 };
    for (int kind = BNN_LAPLACE_FULL; kind <= BNN_LAPLACE_KRON; kind += 2) {
        open_all(21);
        bnn_net net = make((bnn_mlp_desc){ .sizes = { 3, K }, .noise_std = (float)0.4 });
        bnn_data d = { normals(10, 3, 1), normals(10, K, 1) };
        bnn_mat x = normals(X, 3, 2);
        bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, kind);
        bnn_ensemble post = bnn_ensemble_new(net.params, DRAWS);
        while (post.count < DRAWS && bnn_laplace_push(&la, &post, &tape.rng) == BNN_OK) {}
        bnn_predictive p = bnn_laplace_predict(&mem, &tape, &la, x);
        bnn_predictive q = bnn_predict(&mem, &tape, &net, &post, x);
        for (size_t i = 0; i < X * K; i++) {
            double v = (double)p.epistemic.data[i];
            CHECK_NEAR(q.mean.data[i], p.mean.data[i], 5 * sqrt(v / DRAWS));
            CHECK_NEAR(q.epistemic.data[i], v, 5 * v * sqrt(2.0 / DRAWS));
        }
        close_all();
    }
}

static void a_draw_leaves_the_net_alone_and_says_what_is_wrong(void) {
    open_all(22);
    bnn_net net = make((bnn_mlp_desc){ .sizes = { 2, 3, 2 }, .likelihood = BNN_CATEGORICAL });
    bnn_net other = make((bnn_mlp_desc){ .sizes = { 2, 4, 2 }, .likelihood = BNN_CATEGORICAL });
    bnn_data d = { normals(4, 2, 1), bnn_mat_new(&mem, 4, 1) };
    bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, BNN_LAPLACE_KRON), dead;
    bnn_ensemble post = bnn_ensemble_new(net.params, 2);
    bnn_ensemble wrong = bnn_ensemble_new(other.params, 2), none;
    bnn_rng before = tape.rng;
    size_t used;
    float theta[17];
    memset(&dead, 0, sizeof dead);
    memset(&none, 0, sizeof none);
    memcpy(theta, net.params->theta, sizeof theta);
    CHECK(bnn_laplace_push(&la, &post, &tape.rng) == BNN_OK);
    used = bnn_arena_used(&mem);
    CHECK(bnn_laplace_push(&la, &post, &before) == BNN_OK); /* the same numbers, the same draw */
    CHECK_SAME_ARRAY(post.samples.data, post.samples.data + 17, 17);
    CHECK_SAME_ARRAY(net.params->theta, theta, 17);
    CHECK(bnn_arena_used(&mem) == used);
    CHECK(bnn_laplace_push(&la, &post, &tape.rng) == BNN_EARG && post.count == 2);
    CHECK(mem.err == BNN_OK && strstr(mem.msg, "all 2 places are taken") != NULL); /* not sticky */
    CHECK(bnn_laplace_push(&la, &wrong, &tape.rng) == BNN_EARG && wrong.count == 0);
    CHECK(mem_took(BNN_EARG, "bnn_laplace_push: not of the ensemble's parameters"));
    CHECK(bnn_laplace_push(&dead, &post, &tape.rng) == BNN_EARG);
    CHECK(mem_took(BNN_EARG, "bnn_laplace_push"));
    CHECK(bnn_laplace_push(&la, &none, &tape.rng) == BNN_EARG);
    close_all();
}

int main(void) {
    RUN(the_ggn_of_a_linear_net_is_its_hessian);
    RUN(the_ggn_is_the_expected_outer_product_of_gradients);
    RUN(kronecker_equals_full_where_it_must);
    RUN(laplace_of_a_linear_model_is_exact);
    RUN(laplace_of_a_logistic_model_is_near_quadrature);
    RUN(two_mirror_modes_add_ln_2);
    RUN(the_predictive_of_each_kind_is_the_jacobians_sandwich);
    RUN(the_diagonal_kind_has_the_diagonal_precision);
    RUN(a_predicted_ln_variance_is_bounded_as_in_its_likelihood);
    RUN(standardization_and_a_learned_noise_keep_the_units);
    RUN(weights_and_gradients_stay_as_they_are);
    RUN(a_last_layer_knows_the_others);
    RUN(draws_have_the_moments_of_each_kind);
    RUN(drawn_and_linearized_predictives_of_a_linear_net_agree);
    RUN(a_draw_leaves_the_net_alone_and_says_what_is_wrong);
    RUN(the_decrement_is_what_a_newton_step_gains);
    RUN(a_note_says_that_it_is_no_maximum);
    RUN(a_gap_makes_all_answers_of_its_row_nan);
    RUN(a_number_that_is_none_has_no_curvature);
    RUN(blocks_of_rows_are_the_rows);
    RUN(variances_are_the_covariances_diagonal);
    RUN(the_evidence_knows_no_units);
    RUN(a_learned_noise_is_bounded_as_in_its_likelihood);
    RUN(bad_input_is_named);
    RUN(a_net_without_weights_has_no_curvature);
    RUN(every_failing_allocation_is_an_error);
    return check_done();
}
