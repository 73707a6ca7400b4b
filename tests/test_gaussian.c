/* test_gaussian.c -- S1.13, S8.13 to S8.16: Gaussians over weights against inverses, sampling and
 * conjugate models; neurons and layers removed from nets; orders of removal, Belsley's diagnostics
 * by NumPy (oracles/belsley.py); the student's prior. Statistical checks allow Z standard errors
 * (two-sided 1e-4 each). */
#include "build.h"
#include "world.h"
#include "oracles/belsley.inc"

#define Z 3.9
#define TIGHT BUILD_TOL(2e-5, 1e-11)

static bnn_mat some_cov(size_t n) { /* A A^T/n + 1/2 */
    bnn_mat a = normals(n, n, 1), c = bnn_mat_new(&mem, n, n);
    bnn_mat_mul_nt(c, a, a);
    bnn_mat_scale(c, c, (float)(1 / (double)n));
    for (size_t i = 0; i < n; i++) c.data[i * n + i] += (float)0.5;
    return c;
}

static bnn_gaussian some(size_t n) {
    bnn_mat m = normals(1, n, 1);
    return bnn_gaussian_new(&mem, n, m.data, some_cov(n));
}

static double *dense(const bnn_gaussian *g) { /* the whole covariance, in double */
    double *a = (double *)bnn_arena_alloc(&mem, g->n * g->n, sizeof *a);
    for (size_t i = 0; i < g->n * g->n; i++) a[i] = bnn__gaussian_at(g, i / g->n, i % g->n);
    return a;
}

static int is_nan(double x) { return x != x; }

/* ---- S1.13 */

static void the_density_is_the_formula(void) {
    enum { N = 5 };
    open_all(1);
    bnn_gaussian g = some(N);
    double *a = dense(&g), det = invert(N, a), quad = 0;
    float x[N];
    bnn_rng_fill_normal(&tape.rng, N, x);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            quad += ((double)x[i] - (double)g.mean[i]) * a[i * N + j] *
                    ((double)x[j] - (double)g.mean[j]);
    CHECK_NEAR(bnn_gaussian_log_pdf(&g, x), -(quad + det + N * log(8 * atan(1))) / 2, TIGHT);
    close_all();
}

static void conditioning_is_the_schur_complement(void) {
    enum { N = 7, R = 3, K = 4 };
    static const unsigned char what[N] = { 0, 2, 0, 2, 2, 0, 0 };
    static const int keep[K] = { 0, 2, 5, 6 }, fix[R] = { 1, 3, 4 };
    open_all(2);
    bnn_gaussian g = some(N), c;
    float v[N] = { 0, 1, 0, -1, (float)0.5, 0, 0 }, x[N], xr[R], xk[K];
    double *p = dense(&g), kk[K * K], h[K] = { 0 };
    c = bnn_gaussian_reduce(&mem, &g, what, v);
    CHECK(c.n == K && c.n_pieces == 1);
    invert(N, p); /* the covariance is the inverse of the kept block of the precision */
    for (int i = 0; i < K; i++)
        for (int j = 0; j < K; j++) kk[i * K + j] = p[keep[i] * N + keep[j]];
    invert(K, kk);
    for (int i = 0; i < K; i++) { /* and the mean m_k - P_kk^-1 P_kr (v - m_r) */
        for (int j = 0; j < R; j++)
            h[i] += p[keep[i] * N + fix[j]] * ((double)v[fix[j]] - (double)g.mean[fix[j]]);
    }
    for (int i = 0; i < K; i++) {
        double want = (double)g.mean[keep[i]];
        for (int j = 0; j < K; j++) {
            want -= kk[i * K + j] * h[j];
            CHECK_NEAR(c.pieces[0].cov.data[i * K + j], kk[i * K + j], TIGHT);
        }
        CHECK_NEAR(c.mean[i], want, TIGHT);
    }
    /* chain rule: ln p(u) = ln p(u_r) + ln p(u_k | u_r) */
    unsigned char marginal[N];
    for (int i = 0; i < N; i++) marginal[i] = what[i] == 0 ? BNN_DROP : BNN_KEEP;
    bnn_gaussian r = bnn_gaussian_reduce(&mem, &g, marginal, NULL);
    bnn_rng_fill_normal(&tape.rng, N, x);
    for (int i = 0; i < K; i++) xk[i] = x[keep[i]];
    for (int i = 0; i < R; i++) v[fix[i]] = xr[i] = x[fix[i]];
    c = bnn_gaussian_reduce(&mem, &g, what, v);
    CHECK_NEAR(bnn_gaussian_log_pdf(&g, x),
               bnn_gaussian_log_pdf(&r, xr) + bnn_gaussian_log_pdf(&c, xk), TIGHT * 5);
    close_all();
}

/* Draws near u_r = v have the conditional's moments: regression of u_k on u_r in a joint sample */
static void conditioning_agrees_with_sampling(void) {
    enum { DRAWS = 40000 };
    static const unsigned char what[3] = { 0, 0, 2 };
    open_all(3);
    bnn_gaussian g = some(3), c;
    float v[3] = { 0, 0, (float)0.7 }, x[3];
    c = bnn_gaussian_reduce(&mem, &g, what, v);
    double s[3] = { 0 }, q[9] = { 0 }, n = DRAWS;
    for (int k = 0; k < DRAWS; k++) {
        CHECK(bnn_gaussian_sample(&g, &tape.rng, x) == BNN_OK);
        for (int i = 0; i < 3; i++) {
            s[i] += (double)x[i];
            for (int j = 0; j < 3; j++) q[i * 3 + j] += (double)x[i] * (double)x[j];
        }
    }
    for (int i = 0; i < 3; i++) {
        double var = bnn__gaussian_at(&g, (size_t)i, (size_t)i);
        CHECK_NEAR(s[i] / n, g.mean[i], Z * sqrt(var / n));
        for (int j = 0; j < 3; j++) q[i * 3 + j] = q[i * 3 + j] / n - s[i] * s[j] / n / n;
    }
    for (int i = 0; i < 2; i++) {
        double slope = q[i * 3 + 2] / q[8], at = s[i] / n + slope * (0.7 - s[2] / n), r;
        double cond = (double)c.pieces[0].cov.data[i * 3];
        double far = 1 + pow(0.7 - (double)g.mean[2], 2) / q[8]; /* of the regression's variance */
        CHECK_NEAR(at, c.mean[i], Z * sqrt(cond * far / n));
        r = q[i * 3 + i] - slope * q[i * 3 + 2];
        CHECK_NEAR(r, cond, Z * cond * sqrt(2 / n));
    }
    close_all();
}

static void a_diagonal_covariance_reduces_to_selection(void) {
    static const unsigned char what[5] = { 2, 0, 1, 0, 2 };
    float mean[5] = { 1, 2, 3, 4, 5 }, var[5] = { (float)0.1, (float)0.2, (float)0.3, (float)0.4,
                                                  7 };
    open_all(4);
    bnn_gaussian g = bnn_gaussian_new(&mem, 5, mean, (bnn_mat){ 1, 5, var });
    bnn_gaussian c = bnn_gaussian_reduce(&mem, &g, what, NULL);
    CHECK(c.n == 2 && c.mean[0] == 2 && c.mean[1] == 4);
    CHECK(c.pieces[0].cov.data[0] == var[1] && c.pieces[0].cov.data[1] == var[3]);
    close_all();
}

static void kl_is_the_closed_form_for_all_shapes(void) {
    enum { N = 4 };
    open_all(5);
    float *var = normals(1, N, 1).data;
    for (int i = 0; i < N; i++) var[i] = var[i] * var[i] + (float)0.1;
    bnn_gaussian g[3] = { some(N), some(N), { 0 } };
    g[2] = bnn_gaussian_new(&mem, N, NULL, (bnn_mat){ 1, N, var });
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++) {
            double *p = dense(&g[b]), *q = dense(&g[a]), *qi = dense(&g[a]), want = -N;
            want += invert(N, p) - invert(N, qi);
            for (int i = 0; i < N; i++)
                for (int j = 0; j < N; j++)
                    want += p[i * N + j] * (q[j * N + i] +
                            ((double)g[a].mean[i] - (double)g[b].mean[i]) *
                            ((double)g[a].mean[j] - (double)g[b].mean[j]));
            CHECK_NEAR(bnn_gaussian_kl(&g[a], &g[b]), want / 2, BUILD_TOL(2e-4, 1e-10));
            if (a == b) CHECK_NEAR(bnn_gaussian_kl(&g[a], &g[b]), 0, BUILD_TOL(2e-5, 1e-11));
        }
    close_all();
}

typedef struct { bnn_params *w; bnn_gaussian *g; } prior_of;

static bnn_var *as_map(bnn_tape *t, void *user) {
    prior_of *p = (prior_of *)user;
    return bnn_gaussian_prior_nll(t, p->w, p->g);
}

static bnn_var *as_kl(bnn_tape *t, void *user) {
    prior_of *p = (prior_of *)user;
    return bnn_kl_gaussian(bnn_param(t, p->w, 0), bnn_softplus(bnn_param(t, p->w, 1)), p->g);
}

static void both_nodes_have_their_value_and_gradient(void) {
    enum { N = 6 };
    open_all(6);
    float *var = normals(1, N, 1).data;
    for (int i = 0; i < N; i++) var[i] = var[i] * var[i] + (float)0.2;
    bnn_gaussian g[2] = { some(N), { 0 } };
    g[1] = bnn_gaussian_new(&mem, N, NULL, (bnn_mat){ 1, N, var });
    for (int k = 0; k < 2; k++) {
        bnn_params *w = bnn_params_new(&mem), *q = bnn_params_new(&mem);
        bnn_params_add(w, 2, 2, "a", (bnn_prior){ 0 });
        bnn_params_add(w, 1, 2, "b", (bnn_prior){ 0 });
        bnn_params_add(q, 1, N, "mu", (bnn_prior){ 0 });
        bnn_params_add(q, 1, N, "rho", (bnn_prior){ 0 });
        bnn_rng_fill_normal(&tape.rng, N, w->theta);
        bnn_rng_fill_normal(&tape.rng, 2 * N, q->theta);
        prior_of map = { w, &g[k] }, kl = { q, &g[k] };
        CHECK_NEAR(bnn_value(as_map(&tape, &map)), -bnn_gaussian_log_pdf(&g[k], w->theta),
                   TIGHT * 10);
        CHECK(bnn_grad_check(&tape, w, as_map, &map) < BUILD_TOL(5e-2, 1e-6));
        float sd2[N];
        for (int i = 0; i < N; i++) sd2[i] = (float)pow(log1p(exp((double)q->theta[N + i])), 2);
        bnn_gaussian own = bnn_gaussian_new(&mem, N, q->theta, (bnn_mat){ 1, N, sd2 });
        CHECK_NEAR(bnn_value(as_kl(&tape, &kl)), bnn_gaussian_kl(&own, &g[k]),
                   BUILD_TOL(2e-4, 1e-10));
        CHECK(bnn_grad_check(&tape, q, as_kl, &kl) < BUILD_TOL(5e-2, 1e-6));
    }
    close_all();
}

static void samples_give_back_mean_and_covariance(void) {
    enum { S = 4000 };
    open_all(7);
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 2, 1, 1 },
                                             .noise_std = 1 }); /* 3 + 2 weights */
    bnn_ensemble post = bnn_ensemble_new(w, S);
    bnn_gaussian g = some(5);
    for (int s = 0; s < S; s++) {
        bnn_gaussian_sample(&g, &tape.rng, w->theta);
        bnn_ensemble_push(&post);
    }
    bnn_gaussian full = bnn_gaussian_fit(&mem, &post, &net, BNN_COV_FULL, 0);
    bnn_gaussian layers = bnn_gaussian_fit(&mem, &post, &net, BNN_COV_LAYERS, 0.5);
    bnn_gaussian diag = bnn_gaussian_fit(&mem, &post, &net, BNN_COV_DIAGONAL, 0);
    CHECK(layers.n_pieces == 2 && layers.pieces[0].n == 3 && layers.pieces[1].first == 3);
    for (size_t i = 0; i < 5; i++) {
        double vi = bnn__gaussian_at(&g, i, i), ridge;
        CHECK_NEAR(full.mean[i], g.mean[i], Z * sqrt(vi / S));
        CHECK_NEAR(diag.pieces[0].cov.data[i], bnn__gaussian_at(&full, i, i), TIGHT);
        for (size_t j = 0; j < 5; j++) {
            double want = bnn__gaussian_at(&g, i, j), vj = bnn__gaussian_at(&g, j, j);
            CHECK_NEAR(bnn__gaussian_at(&full, i, j), want,
                       Z * sqrt((vi * vj + want * want) / S) + vi / S);
            ridge = i == j ? 0.5 : 0;
            CHECK_NEAR(bnn__gaussian_at(&layers, i, j),
                       (i < 3) == (j < 3) ? bnn__gaussian_at(&full, i, j) + ridge : 0, TIGHT);
        }
    }
    close_all();
}

/* ---- S8.13: the first half's posterior as the prior of the second half */

static void half_and_half_is_all_at_once(void) {
    enum { N = 20 };
    open_all(8);
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 3, 1 }, .noise_std = (float)0.7,
                                             .prior = { .std = 2 } });
    bnn_data all = { normals(N, 3, 1), normals(N, 1, 2) }, half[2];
    half[0] = bnn_data_rows(all, 0, N / 2), half[1] = bnn_data_rows(all, N / 2, N / 2);
    bnn_gaussian post[2]; /* of the first half, of all: linear, so Laplace is exact */
    for (int k = 0; k < 2; k++) {
        bnn_data d = k == 0 ? half[0] : all;
        bnn_stepper sgd = bnn_sgd(w, (bnn_sgd_desc){ .lr = (float)0.1, .momentum = (float)0.9 });
        for (int s = 0; s < 3000; s++) {
            bnn_tape_reset(&tape);
            bnn_backward(bnn_net_loss(&net, bnn_batch_all(&tape, d)));
            bnn_step(&sgd, &tape);
        }
        bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, BNN_LAPLACE_FULL);
        post[k] = bnn_gaussian_laplace(&mem, &la, BNN_COV_FULL);
    }
    /* with that prior, the second half's energy has its minimum at the mean of all ... */
    bnn_tape_reset(&tape);
    memcpy(w->theta, post[1].mean, w->n * sizeof(float));
    bnn_params_zero_grad(w);
    bnn_var *nll = bnn_scale(bnn_net_nll(&net, bnn_batch_all(&tape, half[1])), N / 2);
    bnn_backward(bnn_add(nll, bnn_gaussian_prior_nll(&tape, w, &post[0])));
    for (size_t i = 0; i < w->n; i++) CHECK_NEAR(w->grad[i], 0, BUILD_TOL(2e-3, 1e-8));
    /* ... and the curvature of all */
    bnn_mat h = bnn_mat_new(&mem, 4, 4);
    double *a = dense(&post[0]), *b = dense(&post[1]);
    bnn_ggn(h, &tape, &net, half[1].x);
    invert(4, a), invert(4, b);
    for (int i = 0; i < 16; i++)
        CHECK_NEAR(a[i] + (double)h.data[i], b[i], BUILD_TOL(1e-2, 1e-9));
    close_all();
}

/* ---- S8.14, S8.15 */

static bnn_net teacher(bnn_mlp_desc d) {
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, d);
    bnn_rng_fill_normal(&tape.rng, w->n, w->theta);
    return net;
}

static bnn_mat outputs(const bnn_net *net, bnn_mat x) {
    return bnn_predict_samples(&mem, &tape, net, NULL, x);
}

/* A Gaussian over a net's weights: full, per layer or diagonal */
static bnn_gaussian around(const bnn_net *net, int kind) {
    size_t n = net->params->n;
    bnn_gaussian g = bnn__gaussian_for(&mem, net, kind);
    memcpy(g.mean, net->params->theta, n * sizeof(float));
    for (size_t p = 0; p < g.n_pieces; p++) {
        size_t m = g.pieces[p].n;
        bnn_mat c = some_cov(m);
        for (size_t i = 0; i < m; i++)
            if (g.pieces[p].cov.rows == 1) g.pieces[p].cov.data[i] = c.data[i * m + i];
        if (g.pieces[p].cov.rows != 1) memcpy(g.pieces[p].cov.data, c.data, m * m * sizeof(float));
    }
    return g;
}

/* The new mean is the conditional one, and it is the teacher without its column and row */
static void dropping_neurons_conditions_and_shrinks(void) {
    static const size_t gone[2] = { 3, 1 };
    for (int kind = BNN_COV_DIAGONAL; kind <= BNN_COV_FULL; kind++)
        for (int all = 0; all < 2; all++) {
            open_all(9);
            bnn_mlp_desc d = { .sizes = { 2, 4, 3, 2 },
                               .activations = { BNN_TANH, BNN_RELU },
                               .likelihood = BNN_CATEGORICAL, .prior = { .std = 3, .fan_in = 1 },
                               .no_bias = kind == BNN_COV_LAYERS };
            bnn_net net = teacher(d), less;
            bnn_params *to = bnn_params_new(&mem);
            bnn_gaussian g = around(&net, kind), out;
            size_t bias = d.no_bias ? 0 : 1, b1 = 8, w2 = 8 + 4 * bias, n = net.params->n, r = 0;
            unsigned char what[64] = { 0 };
            for (int k = 0; k < 2; k++) { /* in-by-out: column of w1 and b1, row of w2 */
                what[gone[k]] = what[4 + gone[k]] = (unsigned char)(all ? BNN_FIX : BNN_DROP);
                if (bias) what[b1 + gone[k]] = (unsigned char)(all ? BNN_FIX : BNN_DROP);
                for (size_t j = 0; j < 3; j++) what[w2 + 3 * gone[k] + j] = BNN_FIX;
            }
            bnn_gaussian want = bnn_gaussian_reduce(&mem, &g, what, NULL);
            less = bnn_drop_neurons(to, &out, &net, &g, 1, 2, gone, all);
            CHECK(less.params == to && out.n == to->n && to->n == n - 2 * (2 + bias + 3));
            CHECK(mem.err == BNN_OK && to->blocks[0].cols == 2 && to->blocks[1 + bias].rows == 2);
            CHECK(to->blocks[0].prior.std == net.params->blocks[0].prior.std);
            CHECK_SAME_ARRAY(out.mean, want.mean, out.n);
            CHECK_SAME_ARRAY(to->theta, want.mean, out.n);
            for (size_t i = 0; i < out.n * out.n; i++)
                CHECK_SAME(bnn__gaussian_at(&out, i / out.n, i % out.n),
                           bnn__gaussian_at(&want, i / out.n, i % out.n));
            /* the teacher at the conditional mean, with the rows 0, computes the same function */
            for (size_t i = 0; i < n; i++) {
                if (what[i] == BNN_KEEP) net.params->theta[i] = want.mean[r++];
                if (what[i] == BNN_FIX) net.params->theta[i] = 0;
            }
            bnn_mat x = normals(5, 2, 1), a = outputs(&net, x), b = outputs(&less, x);
            for (size_t i = 0; i < 10; i++) CHECK_NEAR(a.data[i], b.data[i], TIGHT);
            close_all();
        }
}

static void dropping_all_conditioned_is_narrower(void) {
    static const size_t gone[1] = { 0 };
    open_all(10);
    bnn_net net = teacher((bnn_mlp_desc){ .sizes = { 2, 3, 1 }, .noise_std = 1 });
    bnn_gaussian g = around(&net, BNN_COV_FULL), a, b;
    bnn_drop_neurons(bnn_params_new(&mem), &a, &net, &g, 1, 1, gone, 0);
    bnn_drop_neurons(bnn_params_new(&mem), &b, &net, &g, 1, 1, gone, 1);
    for (size_t i = 0; i < a.n; i++)
        CHECK(bnn__gaussian_at(&b, i, i) < bnn__gaussian_at(&a, i, i));
    close_all();
}

static void an_identity_layer_can_go(void) {
    for (int bias = 0; bias < 2; bias++)
        for (int act = 0; act < 2; act++) {
            open_all(11);
            bnn_mlp_desc d = { .sizes = { 3, 4, 4, 2 }, .noise_std = 1, .no_bias = !bias,
                               .activation = act ? BNN_IDENTITY : BNN_RELU };
            bnn_net net = teacher(d), less;
            size_t first = 12 + (bias ? 4 : 0), n = net.params->n;
            float *w = net.params->theta + first;
            for (size_t i = 0; i < 16 + (bias ? 4u : 0u); i++) w[i] = i < 16 && i / 4 == i % 4;
            for (int kind = BNN_COV_DIAGONAL; kind <= BNN_COV_FULL; kind++) {
                bnn_gaussian g = around(&net, kind), out;
                bnn_params *to = bnn_params_new(&mem);
                less = bnn_drop_layer(to, &out, &net, &g, 2);
                CHECK(less.params == to && to->n == n - 16 - (bias ? 4 : 0) && out.n == to->n);
                bnn_mat x = normals(6, 3, 1), a = outputs(&net, x), b = outputs(&less, x);
                CHECK_SAME_ARRAY(a.data, b.data, 12); /* the mean was there: nothing moves */
                double *p = dense(&g); /* the kept block of the precision, inverted */
                size_t k = out.n, gap = n - k;
                double *kk = (double *)bnn_arena_alloc(&mem, k * k, sizeof *kk);
                invert(n, p);
                for (size_t i = 0; i < k * k; i++) {
                    size_t r = i / k < first ? i / k : i / k + gap,
                        c = i % k < first ? i % k : i % k + gap;
                    kk[i] = p[r * n + c];
                }
                invert(k, kk);
                for (size_t i = 0; i < k * k; i++)
                    CHECK_NEAR(bnn__gaussian_at(&out, i / k, i % k), kk[i], TIGHT * 10);
            }
            close_all();
        }
}

static void chains_of_removals_end_in_a_net_that_runs(void) {
    static const size_t gone[6] = { 0, 1, 2, 4, 5, 7 };
    open_all(12);
    bnn_net a = teacher((bnn_mlp_desc){ .sizes = { 2, 8, 2, 2, 1 }, .noise_std = (float)0.3 }), b,
        c, e;
    bnn_gaussian g = around(&a, BNN_COV_FULL), h, i, j;
    a.scaling.x_mean = normals(1, 2, 1);
    a.scaling.x_std = bnn_mat_new(&mem, 1, 2);
    bnn_mat_fill(a.scaling.x_std, 2);
    b = bnn_drop_neurons(bnn_params_new(&mem), &h, &a, &g, 1, 6, gone, 0);
    c = bnn_drop_layer(bnn_params_new(&mem), &i, &b, &h, 3);
    e = bnn_drop_layer(bnn_params_new(&mem), &j, &c, &i, 2);
    CHECK(e.params != NULL && e.params->n == 2 * 2 + 2 + 2 + 1 && j.n == e.params->n);
    CHECK(e.scaling.x_mean.data != a.scaling.x_mean.data && e.noise_std == a.noise_std);
    CHECK_SAME_ARRAY(e.scaling.x_mean.data, a.scaling.x_mean.data, 2); /* its own copy */
    CHECK(bnn_mat_finite(outputs(&e, normals(4, 2, 1))));
    CHECK(bnn_gaussian_log_pdf(&j, e.params->theta) > -1e9); /* still positive definite */
    /* dropping both layers in the other order conditions on the same event */
    bnn_gaussian k, l;
    c = bnn_drop_layer(bnn_params_new(&mem), &k, &b, &h, 2);
    e = bnn_drop_layer(bnn_params_new(&mem), &l, &c, &k, 2);
    for (size_t q = 0; q < l.n; q++) CHECK_NEAR(l.mean[q], j.mean[q], BUILD_TOL(1e-3, 1e-10));
    close_all();
}

static void what_cannot_be_removed_is_refused(void) {
    static const size_t out[2] = { 0, 9 }, twice[2] = { 1, 1 }, all[3] = { 0, 1, 2 };
    open_all(13);
    bnn_net net = teacher((bnn_mlp_desc){ .sizes = { 3, 3, 3, 3 }, .noise_std = 1,
                                          .activation = BNN_TANH });
    bnn_net mixed = teacher((bnn_mlp_desc){ .sizes = { 3, 3, 3, 3 }, .noise_std = 1,
                                            .activations = { BNN_TANH } });
    bnn_net wide = teacher((bnn_mlp_desc){ .sizes = { 3, 4, 3 }, .noise_std = 1 });
    bnn_gaussian g = around(&net, BNN_COV_DIAGONAL), w = around(&wide, BNN_COV_DIAGONAL), o;
    bnn_params *to = bnn_params_new(&mem);
    CHECK(bnn_drop_neurons(to, &o, &net, &g, 1, 2, out, 0).params == NULL &&
          mem_took(BNN_EARG, "neuron 9"));
    CHECK(bnn_drop_neurons(to, &o, &net, &g, 1, 2, twice, 0).params == NULL &&
          mem_took(BNN_EARG, "twice"));
    CHECK(bnn_drop_neurons(to, &o, &net, &g, 1, 3, all, 0).params == NULL &&
          mem_took(BNN_EARG, "all of"));
    CHECK(bnn_drop_neurons(to, &o, &net, &g, 3, 1, out, 0).params == NULL &&
          mem_took(BNN_EARG, "layer 3"));
    CHECK(bnn_drop_neurons(to, &o, &net, &g, 0, 1, out, 0).params == NULL &&
          mem_took(BNN_EARG, "layer 0"));
    CHECK(bnn_drop_neurons(to, &o, &net, &w, 1, 1, out, 0).params == NULL &&
          mem_took(BNN_ESHAPE, "Gaussian of 31 weights"));
    CHECK(bnn_drop_neurons(net.params, &o, &net, &g, 1, 1, out, 0).params == NULL &&
          mem_took(BNN_EARG, "empty parameters"));
    CHECK(bnn_drop_layer(to, &o, &net, &g, 2).params == NULL && mem_took(BNN_EARG, "sigma"));
    CHECK(bnn_drop_layer(to, &o, &mixed, &g, 2).params == NULL &&
          mem_took(BNN_EARG, "relu behind relu"));
    CHECK(bnn_drop_layer(to, &o, &mixed, &g, 1).params == NULL && mem_took(BNN_EARG, "activation"));
    CHECK(bnn_drop_layer(to, &o, &net, &g, 3).params == NULL && mem_took(BNN_EARG, "layer 3"));
    CHECK(bnn_drop_layer(to, &o, &wide, &w, 1).params == NULL && mem_took(BNN_ESHAPE, "width 4"));
    CHECK(to->n == 0 && to->n_blocks == 0);
    close_all();
}

static void a_covariance_that_is_none_names_its_pivot(void) {
    float c[9] = { 1, 0, 0, 0, 1, 2, 0, 2, 1 }, x[3] = { 0, 0, 0 }, neg[3] = { 1, -1, 1 };
    static const unsigned char fix[3] = { 0, 2, 2 }, none[3] = { 1, 2, 2 }, odd[3] = { 0, 0, 5 },
                               one[3] = { 0, 2, 0 };
    open_all(14);
    bnn_gaussian g = bnn_gaussian_new(&mem, 3, NULL, (bnn_mat){ 3, 3, c });
    CHECK(!(bnn_gaussian_log_pdf(&g, x) < 0) && mem_took(BNN_EARG, "pivot 2"));
    CHECK(bnn_gaussian_reduce(&mem, &g, fix, NULL).n == 0 && mem_took(BNN_EARG, "pivot 2"));
    CHECK(bnn_gaussian_reduce(&mem, &g, none, NULL).n == 0 && mem_took(BNN_EARG, "none"));
    CHECK(bnn_gaussian_reduce(&mem, &g, odd, NULL).n == 0 && mem_took(BNN_EARG, "weight 2"));
    x[0] = (float)NAN; /* of a weight that is kept: not read */
    CHECK(bnn_gaussian_reduce(&mem, &g, one, x).n == 2 && mem.err == BNN_OK);
    x[0] = 0, x[1] = (float)NAN;
    CHECK(bnn_gaussian_reduce(&mem, &g, one, x).n == 0);
    CHECK(mem_took(BNN_ENONFINITE, "bnn_gaussian_reduce: value nan of weight 1"));
    x[1] = 0;
    CHECK(bnn_gaussian_new(&mem, 3, NULL, (bnn_mat){ 1, 3, neg }).n == 0 &&
          mem_took(BNN_EARG, "weight 1"));
    CHECK(bnn_gaussian_new(&mem, 2, NULL, (bnn_mat){ 3, 3, c }).n == 0 && mem_took(BNN_ESHAPE, "3x3"));
    bnn_params *w = bnn_params_new(&mem);
    bnn_params_add(w, 1, 2, "w", (bnn_prior){ 0 });
    bnn_gaussian_prior_nll(&tape, w, &g);
    CHECK(tape.err == BNN_ESHAPE && strstr(tape.msg, "2 weights, the Gaussian has 3"));
    bnn_tape_clear_error(&tape);
    bnn_params_add(w, 1, 1, "v", (bnn_prior){ 0 });
    bnn_gaussian_prior_nll(&tape, w, &g);
    CHECK(tape.err == BNN_EARG && strstr(tape.msg, "pivot 2"));
    bnn_tape_clear_error(&tape);
    mem_took(BNN_EARG, "pivot 2");
    close_all();
}

/* The g of a Laplace approximation has factors, rotated variances, or a part of the weights: what
 * these say is right or refused. */
static void a_curvature_is_no_covariance(void) {
    static const char part[] = "take bnn_gaussian_laplace";
    float x[4] = { -1, 0, 1, 2 }, y[4] = { 0, 1, 1, 0 }, at[7];
    bnn_data d = { { 4, 1, x }, { 4, 1, y } };
    unsigned char what[7] = { 0, 0, 0, 0, 0, 0, 1 };
    size_t order[2];
    open_all(15);
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 2, 1 }, .noise_std = 1 });
    for (int i = 0; i < 7; i++) at[i] = w->theta[i] + (float)(0.1 * i);
    for (int kind = BNN_LAPLACE_FULL; kind <= BNN_LAPLACE_LAST; kind++) {
        bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, kind);
        bnn_gaussian q = bnn_gaussian_laplace(&mem, &la, BNN_COV_FULL);
        int whole = kind == BNN_LAPLACE_DIAGONAL, dense = kind == BNN_LAPLACE_FULL;
        double log_p = bnn_gaussian_log_pdf(&la.g, at);
        if (whole || dense) CHECK_NEAR(log_p, bnn_gaussian_log_pdf(&q, at), BUILD_TOL(1e-4, 1e-9));
        else CHECK(is_nan(log_p) && mem_took(BNN_EARG, part));
        bnn_gaussian_prior_nll(&tape, w, &la.g);
        CHECK(whole || dense || (took(BNN_EARG, part) && mem_took(BNN_EARG, part)));
        if (whole) continue;
        if (dense) CHECK_NEAR(bnn_gaussian_kl(&q, &la.g), 0, BUILD_TOL(1e-4, 1e-9));
        if (kind != BNN_LAPLACE_LAST) /* then variances of q are 0 */
            CHECK(is_nan(bnn_gaussian_kl(&la.g, &q)) && mem_took(BNN_EARG, part));
        CHECK(bnn_gaussian_reduce(&mem, &la.g, what, NULL).n == 0 && mem_took(BNN_EARG, part));
        bnn_drop_order(&mem, order, &net, &la.g, 1, BNN_ORDER_RATIO, NULL, NULL);
        CHECK(mem_took(BNN_EARG, part));
    }
    close_all();
}

static void an_empty_block_is_an_empty_piece(void) {
    open_all(16);
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = { .params = w };
    bnn_params_add(w, 0, 3, "none", (bnn_prior){ 0 });
    bnn_params_add(w, 1, 3, "w", (bnn_prior){ 0 });
    bnn_ensemble e = bnn_ensemble_new(w, 4);
    for (int i = 0; i < 4; i++) w->theta[i % 3]++, bnn_ensemble_push(&e);
    bnn_gaussian g = bnn_gaussian_fit(&mem, &e, &net, BNN_COV_LAYERS, 1);
    CHECK(g.n == 3 && g.n_pieces == 2);
    CHECK_NEAR(bnn_gaussian_kl(&g, &g), 0, TIGHT);
    close_all();
}

static void nothing_given_is_an_error_and_no_crash(void) {
    static const size_t gone[1] = { 0 };
    static const unsigned char keep[3] = { 0, 0, 0 };
    float x[3] = { 0, 0, 0 }, hole[3] = { 1, NAN, 1 }, one[3] = { 1, 1, 1 };
    open_all(26);
    bnn_net net = teacher((bnn_mlp_desc){ .sizes = { 2, 3, 1 }, .noise_std = 1 }), dead = { 0 };
    bnn_gaussian g = some(3), none = { 0 }, all = around(&net, BNN_COV_DIAGONAL), out;
    bnn_ensemble empty = { 0 }, post = bnn_ensemble_new(net.params, 2);
    bnn_mat index = bnn_mat_new(&mem, 1, 1), bad = { 1, 1, NULL };
    bnn_rng rng = bnn_rng_seed(1);
    size_t order[3];
    CHECK(bnn_gaussian_new(NULL, 3, NULL, (bnn_mat){ 1, 3, one }).n == 0);
    CHECK(bnn_gaussian_new(&mem, 3, hole, (bnn_mat){ 1, 3, one }).n == 0 &&
          mem_took(BNN_ENONFINITE, "weight 1"));
    CHECK(bnn_gaussian_new(&mem, 3, NULL, (bnn_mat){ 1, 3, NULL }).n == 0 &&
          mem_took(BNN_ESHAPE, "1x3"));
    CHECK(bnn_gaussian_new(&mem, 0, NULL, bad).n == 0 && mem_took(BNN_ESHAPE, "0 weights"));
    CHECK(bnn_gaussian_fit(NULL, &post, &net, 0, 0).n == 0);
    CHECK(bnn_gaussian_fit(&mem, NULL, &net, 0, 0).n == 0 && mem_took(BNN_EARG, "0 samples"));
    CHECK(bnn_gaussian_fit(&mem, &empty, &net, 0, 0).n == 0 && mem_took(BNN_EARG, "0 samples"));
    CHECK(bnn_gaussian_fit(&mem, &post, &net, 0, 0).n == 0 && mem_took(BNN_EARG, "0 samples"));
    bnn_ensemble_push(&post);
    CHECK(bnn_gaussian_fit(&mem, &post, NULL, 0, 0).n == 0 && mem_took(BNN_EARG, "a net of 0"));
    CHECK(bnn_gaussian_fit(&mem, &post, &dead, 0, 0).n == 0 && mem_took(BNN_EARG, "a net of 0"));
    CHECK(bnn_gaussian_fit(&mem, &post, &net, 3, 0).n == 0 && mem_took(BNN_EARG, "kind 3"));
    CHECK(bnn_gaussian_fit(&mem, &post, &net, 0, (double)INFINITY).n == 0 &&
          mem_took(BNN_EARG, "ridge inf"));
    if (sizeof post.samples.data[0] == 4)
        CHECK(bnn_gaussian_fit(&mem, &post, &net, 0, 1e39).n == 0 &&
              mem_took(BNN_ENONFINITE, "variance 1e39 of weight 0"));
    post.samples.data[4] = NAN;
    CHECK(bnn_gaussian_fit(&mem, &post, &net, 0, 0).n == 0 && mem_took(BNN_ENONFINITE, "weight 4"));
    CHECK(is_nan(bnn_gaussian_log_pdf(NULL, x)) && is_nan(bnn_gaussian_log_pdf(&none, x)) &&
          is_nan(bnn_gaussian_log_pdf(&g, NULL)));
    CHECK(is_nan(bnn_gaussian_kl(NULL, &g)) && is_nan(bnn_gaussian_kl(&g, NULL)) &&
          is_nan(bnn_gaussian_kl(&none, &none)) && is_nan(bnn_gaussian_kl(&g, &all)));
    CHECK(bnn_gaussian_sample(NULL, &rng, x) == BNN_EARG);
    CHECK(bnn_gaussian_sample(&none, &rng, x) == BNN_EARG);
    CHECK(bnn_gaussian_sample(&g, NULL, x) == BNN_EARG);
    CHECK(bnn_gaussian_sample(&g, &rng, NULL) == BNN_EARG);
    CHECK(bnn_gaussian_reduce(NULL, &g, keep, NULL).n == 0);
    CHECK(bnn_gaussian_reduce(&mem, NULL, keep, NULL).n == 0 && mem_took(BNN_EARG, "0 weights"));
    CHECK(bnn_gaussian_reduce(&mem, &g, NULL, NULL).n == 0 && mem_took(BNN_EARG, "none"));
    bnn_gaussian_prior_nll(&tape, NULL, &g);
    CHECK(took(BNN_ESHAPE, "0 weights"));
    bnn_gaussian_prior_nll(&tape, net.params, NULL);
    CHECK(took(BNN_EARG, "not made"));
    CHECK(bnn_drop_neurons(NULL, &out, &net, &all, 1, 1, gone, 0).params == NULL);
    bnn_params *to = bnn_params_new(&mem);
    CHECK(bnn_drop_neurons(to, NULL, &net, &all, 1, 1, gone, 0).params == NULL &&
          mem_took(BNN_EARG, "a place for its Gaussian"));
    CHECK(bnn_drop_neurons(to, &out, NULL, &all, 1, 1, gone, 0).params == NULL &&
          mem_took(BNN_ESHAPE, "bnn_mlp"));
    CHECK(bnn_drop_neurons(to, &out, &net, NULL, 1, 1, gone, 0).params == NULL &&
          mem_took(BNN_ESHAPE, "of 0 weights"));
    CHECK(bnn_drop_neurons(to, &out, &net, &all, 1, 1, NULL, 0).params == NULL &&
          mem_took(BNN_EARG, "a list of neurons"));
    CHECK(bnn_drop_layer(to, NULL, &net, &all, 1).params == NULL && mem_took(BNN_EARG, "place"));
    CHECK(bnn_drop_layer(to, &out, NULL, &all, 1).params == NULL && mem_took(BNN_ESHAPE, "mlp"));
    CHECK(bnn_drop_order(NULL, order, &net, &all, 1, BNN_ORDER_RATIO, NULL, NULL) == BNN_EARG);
    CHECK(bnn_drop_order(&mem, NULL, &net, &all, 1, BNN_ORDER_RATIO, NULL, NULL) == BNN_EARG &&
          mem_took(BNN_EARG, "order"));
    CHECK(bnn_drop_order(&mem, order, NULL, &all, 1, BNN_ORDER_RATIO, NULL, NULL) == BNN_ESHAPE &&
          mem_took(BNN_ESHAPE, "bnn_mlp"));
    double alpha = 1, beta = 1;
    bnn_data d = { { 3, 1, one }, { 3, 1, one } };
    CHECK(is_nan(bnn_linear_evidence(NULL, (bnn_mat){ 0 }, (bnn_mat){ 0 }, d, &alpha, 1)));
    CHECK(is_nan(bnn_linear_ard(NULL, (bnn_mat){ 0 }, (bnn_mat){ 0 }, d, &alpha, &beta, 1, 5)));
    CHECK(bnn_belsley(NULL, index, index, index, 0) == BNN_EARG);
    CHECK(bnn_belsley(&mem, index, index, bad, 0) == BNN_ESHAPE);
    CHECK(bnn_belsley(&mem, bad, index, index, 0) == BNN_ESHAPE);
    CHECK(bnn_belsley(&mem, index, index, (bnn_mat){ 0, 0, NULL }, 1) == BNN_ESHAPE);
    for (int cov = 0; cov < 2; cov++)
        CHECK(bnn_belsley(&mem, index, index, (bnn_mat){ 1, 1, hole + 1 }, cov) == BNN_ENONFINITE);
    close_all();
}

/* ---- S8.16 */

static void random_orders_are_uniform(void) { /* 6 orders of 3, chi^2 with 5 df: 25.7 at 1e-4 */
    enum { DRAWS = 6000 };
    double count[6] = { 0 }, chi = 0;
    open_all(15);
    bnn_net net = teacher((bnn_mlp_desc){ .sizes = { 1, 3, 1 }, .noise_std = 1 });
    bnn_gaussian g = around(&net, BNN_COV_DIAGONAL);
    for (int i = 0; i < DRAWS; i++) {
        size_t o[3];
        CHECK(bnn_drop_order(&mem, o, &net, &g, 1, BNN_ORDER_RANDOM, NULL, &tape.rng) == BNN_OK);
        count[2 * o[0] + (o[1] > o[2])]++;
    }
    for (int k = 0; k < 6; k++) chi += pow(count[k] - DRAWS / 6.0, 2) / (DRAWS / 6.0);
    CHECK(chi < 25.7);
    close_all();
}

/* A quadratic with Hessian H: setting u_j = 0 costs h_jj u_j^2/2; with the best answer of the rest,
 * which is the conditional mean under C = H^-1, u_j^2/(2 C_jj) */
static void damage_and_surgeon_are_exact_on_a_quadratic(void) {
    enum { N = 5 };
    open_all(16);
    bnn_gaussian g = some(N);
    double *h = dense(&g);
    invert(N, h);
    for (int j = 0; j < N; j++) {
        unsigned char what[N] = { 0 };
        double d[N] = { 0 }, damage = 0, best = 0, u = (double)g.mean[j];
        what[j] = BNN_FIX;
        bnn_gaussian c = bnn_gaussian_reduce(&mem, &g, what, NULL);
        for (int i = 0, k = 0; i < N; i++)
            d[i] = (i == j ? 0 : (double)c.mean[k++]) - (double)g.mean[i];
        for (int i = 0; i < N; i++)
            for (int k = 0; k < N; k++) best += d[i] * h[i * N + k] * d[k] / 2;
        damage = h[j * N + j] * u * u / 2;
        CHECK_NEAR(best, u * u / (2 * bnn__gaussian_at(&g, (size_t)j, (size_t)j)), TIGHT * 10);
        CHECK(damage >= best - 1e-6);
        for (int i = 0; i < N; i++) /* OBS: the update is -u_j C_ij/C_jj */
            CHECK_NEAR(d[i], -u * bnn__gaussian_at(&g, (size_t)i, (size_t)j) /
                             bnn__gaussian_at(&g, (size_t)j, (size_t)j), TIGHT * 10);
    }
    close_all();
}

static void scores_add_over_the_outgoing_row(void) {
    float u[6] = { 1, (float)0.1, 3, (float)0.5, (float)-0.2, (float)0.3 }; /* rows of w2, 3x2 */
    float v[6] = { 1, 1, (float)0.01, 1, 4, (float)0.1 }, h[17] = { 0 };
    size_t o[3];
    open_all(17);
    bnn_net net = teacher((bnn_mlp_desc){ .sizes = { 2, 3, 2 }, .noise_std = 1 });
    bnn_gaussian g = around(&net, BNN_COV_DIAGONAL);
    memcpy(g.mean + 9, u, sizeof u);
    memcpy(g.pieces[0].cov.data + 9, v, sizeof v);
    for (int i = 0; i < 6; i++) h[9 + i] = i == 0 ? 10 : 1; /* scores 5.005, 4.625, .065 */
    CHECK(bnn_drop_order(&mem, o, &net, &g, 1, BNN_ORDER_OBD, h, NULL) == BNN_OK);
    CHECK(o[0] == 2 && o[1] == 1 && o[2] == 0);
    CHECK(bnn_drop_order(&mem, o, &net, &g, 1, BNN_ORDER_RATIO, NULL, NULL) == BNN_OK);
    CHECK(o[0] == 2 && o[1] == 0 && o[2] == 1); /* .505, 450.1, .455 */
    memset(g.mean + 9, 0, 2 * sizeof *u), memset(g.pieces[0].cov.data + 9, 0, 2 * sizeof *v);
    CHECK(bnn_drop_order(&mem, o, &net, &g, 1, BNN_ORDER_RATIO, NULL, NULL) == BNN_OK);
    CHECK(o[0] == 0 && o[1] == 2 && o[2] == 1); /* known to be 0 */
    h[11] = (float)NAN;
    CHECK(bnn_drop_order(&mem, o, &net, &g, 1, BNN_ORDER_OBD, h, NULL) == BNN_ENONFINITE);
    CHECK(mem_took(BNN_ENONFINITE, "bnn_drop_order: the score of neuron 1 is nan"));
    CHECK(bnn_drop_order(&mem, o, &net, &g, 1, BNN_ORDER_OBD, NULL, NULL) == BNN_EARG);
    mem_took(BNN_EARG, "curvature");
    CHECK(bnn_drop_order(&mem, o, &net, &g, 1, BNN_ORDER_RANDOM, NULL, NULL) == BNN_EARG);
    mem_took(BNN_EARG, "rng");
    CHECK(bnn_drop_order(&mem, o, &net, &g, 2, BNN_ORDER_RATIO, NULL, NULL) == BNN_EARG);
    mem_took(BNN_EARG, "layer 2");
    close_all();
}

static void variance_proportions_find_the_near_collinear(void) {
    enum { N = 30, D = 5 };
    open_all(18);
    bnn_mat x = normals(N, D, 1), index = bnn_mat_new(&mem, 1, D), share = bnn_mat_new(&mem, D, D);
    double xx[D * D] = { 0 }, gram[D * D];
    for (size_t i = 0; i < N; i++) { /* columns 1 and 3 nearly equal, 3 in other units */
        double e = 3e-2 * (double)bnn_rng_normal(&tape.rng);
        x.data[i * D + 3] = (float)(50 * ((double)x.data[i * D + 1] + e));
        for (size_t j = 0; j < D * D; j++)
            xx[j] += (double)x.data[i * D + j / D] * (double)x.data[i * D + j % D];
    }
    CHECK(bnn_belsley(&mem, index, share, x, 0) == BNN_OK);
    CHECK_NEAR(index.data[0], 1, TIGHT);
    CHECK(share.data[(D - 1) * D + 1] > 0.9 && share.data[(D - 1) * D + 3] > 0.9);
    for (size_t j = 0; j < D; j++) {
        double sum = 0;
        for (size_t k = 0; k < D; k++) sum += (double)share.data[k * D + j];
        CHECK_NEAR(sum, 1, TIGHT);
        for (size_t k = 0; k < D; k++)
            gram[j * D + k] = xx[j * D + k] / sqrt(xx[j * D + j] * xx[k * D + k]);
    }
    /* sum_k v_jk^2/d_k^2 = [(X'X)^-1]_jj; and the covariance says what the design says */
    double scaled[D * D];
    memcpy(scaled, gram, sizeof gram);
    invert(D, scaled);
    bnn_mat c = bnn_mat_new(&mem, D, D), i2 = bnn_mat_new(&mem, 1, D), s2 = bnn_mat_new(&mem, D, D);
    for (size_t j = 0; j < D * D; j++) c.data[j] = (float)scaled[j];
#ifdef BNN_TEST_DOUBLE
    double top = 0;
    bnn_mat s = bnn_mat_new(&mem, 1, D), u = bnn_mat_new(&mem, N, D), v = bnn_mat_new(&mem, D, D);
    for (size_t i = 0; i < N * D; i++) x.data[i] /= sqrt(xx[i % D * D + i % D]);
    CHECK(bnn_mat_svd(&mem, u, s, v, x) == BNN_OK);
    for (size_t j = 0; j < D; j++) {
        double sum = 0;
        for (size_t k = 0; k < D; k++) sum += pow(v.data[j * D + k] / s.data[k], 2);
        CHECK_NEAR(sum / scaled[j * D + j], 1, 1e-7);
        top = pow(v.data[j * D + D - 1] / s.data[D - 1], 2) / sum;
        CHECK_NEAR(share.data[(D - 1) * D + j], top, 1e-7);
    }
    CHECK_NEAR(index.data[D - 1], s.data[0] / s.data[D - 1], 1e-6 * index.data[D - 1]);
#endif
    CHECK(bnn_belsley(&mem, i2, s2, c, 1) == BNN_OK);
    for (size_t j = 0; j < D; j++) {
        CHECK_NEAR((double)i2.data[j] / (double)index.data[j], 1, BUILD_TOL(1e-2, 1e-8));
        for (size_t k = 0; k < D; k++)
            CHECK_NEAR(s2.data[k * D + j], share.data[k * D + j], BUILD_TOL(1e-2, 1e-8));
    }
    bnn_mat_fill(c, 1); /* singular: no precision */
    CHECK(bnn_belsley(&mem, i2, s2, c, 1) == BNN_EARG);
    CHECK(bnn_belsley(&mem, i2, s2, bnn_mat_rows(x, 0, 3), 0) == BNN_ESHAPE);
    close_all();
}

static void belsleys_diagnostics_are_those_of_numpy(void) {
    enum { N = BELSLEY_N, D = BELSLEY_D };
    open_all(24);
    for (int cov = 0; cov < 2; cov++) {
        bnn_mat a = bnn_mat_new(&mem, cov ? D : N, D);
        bnn_mat index = bnn_mat_new(&mem, 1, D), share = bnn_mat_new(&mem, D, D);
        const double *want = cov ? belsley_index_covariance : belsley_index_design;
        for (size_t i = 0; i < a.rows * D; i++)
            a.data[i] = (float)(cov ? belsley_cov : belsley_x)[i];
        CHECK(bnn_belsley(&mem, index, share, a, cov) == BNN_OK);
        for (int k = 0; k < D; k++)
            CHECK_NEAR((double)index.data[k] / want[k], 1, BUILD_TOL(2e-3, 1e-10));
        want = cov ? belsley_share_covariance : belsley_share_design;
        for (int i = 0; i < D * D; i++) CHECK_NEAR(share.data[i], want[i], BUILD_TOL(2e-3, 1e-10));
    }
    close_all();
}

/* Neurons 0 and 1, 2 and 3 nearly the same, 4 and 5 alone: what Belsley takes first is what the
 * others can replace, though it never looks at the weights' size. */
static void belsley_drops_copies_first_and_loses_little(void) {
    enum { N = 300, H = 6 };
    open_all(25);
    bnn_net net = teacher((bnn_mlp_desc){ .sizes = { 4, H, 1 }, .noise_std = (float)0.1,
                                          .activation = BNN_TANH, .no_bias = 1,
                                          .prior = { .std = 3 } });
    double apart[2] = { 0, 0 }; /* squares of the differences */
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j += 2) {
            float *w = net.params->theta + i * H + j, d = (float)0.02 * bnn_rng_normal(&tape.rng);
            w[1] = w[0] + d;
            apart[j / 2] += (double)d * (double)d;
        }
    for (int j = 0; j < H; j++) net.params->theta[4 * H + j] = 1;
    bnn_data d = { normals(N, 4, 1), bnn_mat_new(&mem, N, 1) };
    bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, BNN_LAPLACE_LAST);
    bnn_gaussian g = bnn_gaussian_laplace(&mem, &la, BNN_COV_LAYERS), out;
    size_t o[H], alone[2] = { 4, 5 };
    CHECK(bnn_drop_order(&mem, o, &net, &g, 1, BNN_ORDER_BELSLEY, NULL, NULL) == BNN_OK);
    CHECK(o[0] < 4 && o[1] < 4 && o[0] / 2 != o[1] / 2);
    bnn_mat f = outputs(&net, d.x);
    double loss[2];
    for (int k = 0; k < 2; k++) {
        bnn_net less = bnn_drop_neurons(bnn_params_new(&mem), &out, &net, &g, 1, 2,
                                        k == 0 ? o : alone, 0);
        loss[k] = bnn_metric_rmse(outputs(&less, d.x), f);
    }
    /* tanh is no steeper than 1, and x is standard normal: its 300 rows may be a fifth wider */
    CHECK(loss[0] < 1.2 * (sqrt(apart[0]) + sqrt(apart[1])) && loss[1] > 0.3);
    close_all();
}

static void belsley_drops_one_of_two_equal_neurons_first(void) {
    open_all(19);
    bnn_net net = teacher((bnn_mlp_desc){ .sizes = { 1, 4, 1 }, .noise_std = 1 });
    bnn_gaussian g = bnn__gaussian_for(&mem, &net, BNN_COV_FULL);
    bnn_mat c = g.pieces[0].cov;
    size_t o[4];
    bnn_mat_eye(c); /* outgoing weights 8..11; 1 and 3 strongly anti-correlated */
    c.data[9 * 13 + 11] = c.data[11 * 13 + 9] = (float)-0.98;
    CHECK(bnn_drop_order(&mem, o, &net, &g, 1, BNN_ORDER_BELSLEY, NULL, NULL) == BNN_OK);
    CHECK(o[0] == 1 || o[0] == 3);
    CHECK(o[0] + o[1] + o[2] + o[3] == 6 && o[0] != o[1]);
    close_all();
}

/* ---- the prior in variational training: a conjugate model has the exact answer */

static void a_variational_student_finds_the_posterior_under_that_prior(void) {
    enum { N = 10, D = 3 };
    open_all(20);
    bnn_mat x = normals(N, D, 1), y = normals(N, 1, 1);
    bnn_gaussian prior = some(D);
    double *a = dense(&prior), rhs[D] = { 0 }, mean[D] = { 0 }, prec[D];
    invert(D, a);
    for (size_t j = 0; j < D; j++)
        for (size_t k = 0; k < D; k++) rhs[j] += a[j * D + k] * (double)prior.mean[k];
    for (size_t i = 0; i < N; i++) /* noise variance 1/4 */
        for (size_t j = 0; j < D; j++) {
            rhs[j] += 4 * (double)x.data[i * D + j] * (double)y.data[i];
            for (size_t k = 0; k < D; k++)
                a[j * D + k] += 4 * (double)x.data[i * D + j] * (double)x.data[i * D + k];
        }
    for (size_t j = 0; j < D; j++) prec[j] = a[j * D + j];
    invert(D, a);
    for (size_t j = 0; j < D; j++)
        for (size_t k = 0; k < D; k++) mean[j] += a[j * D + k] * rhs[k];
    bnn_params *q = bnn_params_new(&mem);
    bnn_params_add(q, 1, D, "mu", (bnn_prior){ 0 });
    bnn_params_add(q, 1, D, "rho", (bnn_prior){ 0 });
    bnn_stepper adam = bnn_adam(q, (bnn_adam_desc){ .lr = (float)0.02 });
    for (int k = 0; k < 4000; k++) { /* E_q of the Gaussian nll in closed form: no noise */
        bnn_tape_reset(&tape);
        bnn_var *mu = bnn_param(&tape, q, 0), *sd = bnn_softplus(bnn_param(&tape, q, 1));
        bnn_var *xs = bnn_input(&tape, x), *f = bnn_matmul(xs, bnn_transpose(mu));
        bnn_var *nll = bnn_gaussian_nll(f, bnn_input(&tape, y),
                                        bnn_scalar(&tape, (float)log(0.25)));
        bnn_var *extra = bnn_matmul(bnn_square(xs), bnn_transpose(bnn_square(sd)));
        adam.lr = (float)bnn_lr_cosine(0.02, (size_t)k, 4000);
        bnn_backward(bnn_scale(bnn_add(bnn_add(bnn_sum(nll), bnn_scale(bnn_sum(extra), 2)),
                                       bnn_kl_gaussian(mu, sd, &prior)), (float)(1.0 / N)));
        bnn_step(&adam, &tape);
    }
    for (size_t j = 0; j < D; j++) { /* the best diagonal q: exact mean, precision's diagonal */
        CHECK_NEAR(q->theta[j], mean[j], BUILD_TOL(1e-4, 1e-6));
        CHECK_NEAR(log1p(exp((double)q->theta[D + j])), 1 / sqrt(prec[j]), BUILD_TOL(1e-4, 1e-6));
    }
    close_all();
}

/* ---- memory */

static size_t budget;
static void *limited(void *user, void *ptr, size_t old, size_t size) {
    (void)user, (void)old;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    if (budget == 0) return NULL;
    budget--;
    return realloc(ptr, size);
}

static void every_failing_allocation_leaves_nothing_half_done(void) {
    static const size_t gone[2] = { 0, 5 };
    for (size_t allowed = 0; allowed < 16; allowed++) {
        bnn_arena m = { .alloc = { limited, NULL } };
        bnn_tape t = { .mem = { .alloc = { limited, NULL } } };
        bnn_gaussian out = { 0 };
        size_t order[40];
        budget = 1000;
        bnn_params *w = bnn_params_new(&m), *to = bnn_params_new(&m);
        bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 3, 40, 3 }, .noise_std = 1 }), less;
        bnn_ensemble e = bnn_ensemble_new(w, 2);
        bnn_ensemble_push(&e), bnn_ensemble_push(&e);
        budget = allowed;
        bnn_gaussian g = bnn_gaussian_fit(&m, &e, &net, BNN_COV_LAYERS, 1);
        bnn_drop_order(&m, order, &net, &g, 1, BNN_ORDER_BELSLEY, NULL, NULL);
        less = bnn_drop_neurons(to, &out, &net, &g, 1, 2, gone, 0);
        bnn_gaussian_prior_nll(&t, to, &out);
        if (m.err) CHECK(less.params == NULL || t.err != BNN_OK);
        if (!m.err && !t.err) CHECK(out.n == to->n && out.n > 0);
        if (less.params == NULL) CHECK(to->n == 0 && out.n == 0);
        budget = 1000;
        bnn_tape_free(&t);
        bnn_arena_free(&m);
    }
}

int main(void) {
    RUN(every_failing_allocation_leaves_nothing_half_done);
    RUN(the_density_is_the_formula);
    RUN(conditioning_is_the_schur_complement);
    RUN(conditioning_agrees_with_sampling);
    RUN(a_diagonal_covariance_reduces_to_selection);
    RUN(kl_is_the_closed_form_for_all_shapes);
    RUN(both_nodes_have_their_value_and_gradient);
    RUN(samples_give_back_mean_and_covariance);
    RUN(half_and_half_is_all_at_once);
    RUN(dropping_neurons_conditions_and_shrinks);
    RUN(dropping_all_conditioned_is_narrower);
    RUN(an_identity_layer_can_go);
    RUN(chains_of_removals_end_in_a_net_that_runs);
    RUN(what_cannot_be_removed_is_refused);
    RUN(a_covariance_that_is_none_names_its_pivot);
    RUN(a_curvature_is_no_covariance);
    RUN(an_empty_block_is_an_empty_piece);
    RUN(nothing_given_is_an_error_and_no_crash);
    RUN(random_orders_are_uniform);
    RUN(damage_and_surgeon_are_exact_on_a_quadratic);
    RUN(scores_add_over_the_outgoing_row);
    RUN(variance_proportions_find_the_near_collinear);
    RUN(belsleys_diagnostics_are_those_of_numpy);
    RUN(belsley_drops_one_of_two_equal_neurons_first);
    RUN(belsley_drops_copies_first_and_loses_little);
    RUN(a_variational_student_finds_the_posterior_under_that_prior);
    return check_done();
}
