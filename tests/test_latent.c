/* test_latent.c -- S9: the latent variable models of examples/ against closed forms, quadrature,
 * NumPy, SciPy and scikit-learn (oracles/latent.py). Statistical checks allow Z standard errors: a
 * two-sided check fails by chance with probability 1e-4 or less. */
#include "build.h"
#include "../examples/discrete_vae.h"
#include "../examples/factorized.h"
#include "../examples/gmm.h"
#include "../examples/ppca.h"
#include "../examples/tiles.h"
#include "../examples/vae.h"
#include "oracles/latent.inc"

#define Z 3.9
#define TIGHT BUILD_TOL(2e-4, 1e-12)

static const bnn_mat none = { 0, 0, NULL };

static bnn_mat oracle(bnn_arena *mem, const double *a, size_t rows, size_t cols) {
    bnn_mat m = bnn_mat_new(mem, rows, cols);
    for (size_t i = 0; i < rows * cols; i++) m.data[i] = (float)a[i];
    return m;
}

static void close_all(bnn_arena *mem, bnn_tape *tape) {
    CHECK(mem->err == BNN_OK);
    if (tape) CHECK(tape->err == BNN_OK);
    if (tape) bnn_tape_free(tape);
    bnn_arena_free(mem);
}

/* n rows of a linear model with latents of sd 2, 1, .. and noise */
static bnn_mat linear_data(bnn_arena *mem, bnn_rng *rng, size_t n, size_t d, size_t m,
                           double noise) {
    bnn_mat x = bnn_mat_new(mem, n, d), w = bnn_mat_new(mem, m, d), t = bnn_mat_new(mem, n, m);
    bnn_rng_fill_normal(rng, m * d, w.data);
    bnn_rng_fill_normal(rng, n * m, t.data);
    for (size_t i = 0; i < n * m; i++) t.data[i] *= (float)(2.0 / (double)(1 + i % m));
    bnn_mat_mul(x, t, w);
    for (size_t i = 0; i < n * d; i++) x.data[i] += (float)noise * bnn_rng_normal(rng) + 1;
    return x;
}

/* ---- S9.1 */

static void a_linear_autoencoder_reaches_the_sum_of_the_discarded_eigenvalues(void) {
    enum { N = 200, D = 8, M = 3 };
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(build_seed(1)) };
    bnn_mat x = linear_data(&mem, &tape.rng, N, D, 5, 0.3), cov = bnn_mat_new(&mem, D, D);
    bnn_mat l = bnn_mat_new(&mem, 1, D), u = bnn_mat_new(&mem, D, D);
    double best = 0, loss = 0;
    bnn_mat_cov(cov, x);
    bnn_mat_eig_sym(&mem, l, u, cov);
    for (size_t j = 0; j < D - M; j++) best += (double)l.data[j];
    for (size_t latent = M; latent <= D; latent += D - M) {
        bnn_net net = bnn_mlp(bnn_params_new(&mem),
                              (bnn_mlp_desc){ .sizes = { D, latent, D }, .noise_std = 1,
                                              .activation = BNN_IDENTITY,
                                              .prior = { .kind = BNN_PRIOR_FLAT }, .seed = 3 });
        bnn_stepper adam = bnn_adam(net.params, (bnn_adam_desc){ .lr = (float)0.03 });
        for (size_t s = 0; s < 4000; s++) {
            bnn_var *in, *e;
            bnn_tape_reset(&tape);
            in = bnn_input(&tape, x);
            adam.lr = (float)bnn_lr_cosine(0.03, s, 4000);
            e = bnn_mean(bnn_rowsum(bnn_square(bnn_sub(bnn_net_forward(&net, in), in))));
            bnn_backward(e);
            bnn_step(&adam, &tape);
            loss = (double)bnn_value(e);
        }
        if (latent == M) CHECK(loss > best * (1 - 1e-4) && loss < best * 1.01);
        else CHECK(loss < 1e-3 * best); /* as many latents as columns: nothing is lost */
    }
    close_all(&mem, &tape);
}

/* ---- S9.3 */

static void probabilities_over_all_states_sum_to_one(void) {
    enum { D = 12, ALL = 1 << D };
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(build_seed(2)) };
    bnn_mat x = bnn_mat_new(&mem, ALL, D), p = bnn_mat_new(&mem, 1, D), some;
    visible m = visible_new(bnn_params_new(&mem), D);
    bnn_var *nll;
    double independent = 0, autoregressive = 0;
    for (size_t i = 0; i < ALL * D; i++) x.data[i] = (float)(i / D >> i % D & 1);
    some = bnn_mat_rows(x, 1000, 777);
    CHECK(independent_fit(p, some) == BNN_OK);
    bnn_rng_fill_normal(&tape.rng, m.w->n, m.w->theta); /* any weights will do */
    nll = visible_nll(&m, bnn_input(&tape, x));
    for (size_t i = 0; i < ALL; i++) {
        independent += exp(independent_log_p(p, x.data + i * D));
        autoregressive += exp(-(double)nll->val.data[i]);
    }
    CHECK_NEAR(independent, 1, BUILD_TOL(1e-5, 1e-12));
    CHECK_NEAR(autoregressive, 1, BUILD_TOL(1e-5, 1e-12));
    close_all(&mem, &tape);
}

static void an_autoregressive_model_beats_independent_pixels_and_samples_bars(void) {
    enum { N = 400, SIDE = 4, D = 16, DRAWS = 4000 };
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(build_seed(3)) };
    bnn_mat x = bnn_mat_new(&mem, N, D), held = bnn_mat_new(&mem, N, D);
    bnn_mat p = bnn_mat_new(&mem, 1, D);
    visible m = visible_new(bnn_params_new(&mem), D);
    bnn_stepper adam = bnn_adam(m.w, (bnn_adam_desc){ .lr = (float)0.03 });
    double independent = 0, autoregressive;
    size_t both = 0;
    bars_fill(&tape.rng, x, SIDE);
    bars_fill(&tape.rng, held, SIDE);
    independent_fit(p, x);
    for (size_t s = 0; s < 1500; s++) {
        bnn_tape_reset(&tape);
        bnn_backward(bnn_add(bnn_mean(visible_nll(&m, bnn_input(&tape, x))),
                             bnn_scale(bnn_prior_nll(&tape, m.w), (float)1 / N)));
        bnn_step(&adam, &tape);
    }
    for (size_t i = 0; i < N; i++) independent -= independent_log_p(p, held.data + i * D) / N;
    bnn_tape_reset(&tape);
    autoregressive = (double)bnn_value(bnn_mean(visible_nll(&m, bnn_input(&tape, held))));
    CHECK(autoregressive > log(8)); /* the entropy of the bars is the floor */
    CHECK(autoregressive < 3.2 && independent > 8);
    /* independent pixels have no mutual information: pixels 0 and 1 agree as often as by chance */
    for (size_t i = 0; i < DRAWS; i++)
        both += (bnn_rng_uniform(&tape.rng) < p.data[0]) &&
                (bnn_rng_uniform(&tape.rng) < p.data[1]);
    {
        double q = (double)p.data[0] * (double)p.data[1];
        CHECK_NEAR((double)both / DRAWS, q, Z * sqrt(q * (1 - q) / DRAWS));
    }
    /* and the autoregressive model's samples are bars far more often than by chance (8/65536) */
    visible_sample(&tape, &m, held);
    both = 0;
    for (size_t i = 0; i < N; i++) {
        double ink = 0;
        for (size_t j = 0; j < D; j++) ink += (double)held.data[i * D + j];
        both += ink == SIDE;
    }
    CHECK(both > N / 2);
    close_all(&mem, &tape);
}

/* ---- S9.4 to S9.6 */

static void ppca_is_the_closed_form_of_scikit_learn_and_scipy(void) {
    bnn_arena mem = { 0 };
    bnn_mat x = oracle(&mem, or_x, OR_N, OR_D), wwt = bnn_mat_new(&mem, OR_D, OR_D);
    bnn_mat cov = bnn_mat_new(&mem, OR_D, OR_D), l = bnn_mat_new(&mem, 1, OR_D);
    bnn_mat u = bnn_mat_new(&mem, OR_D, OR_D);
    ppca p;
    double log_p, direct = 0, formula = OR_D * log(2 * 3.14159265358979323846) + OR_D;
    CHECK(ppca_fit(&mem, &p, x, OR_M) == BNN_OK);
    CHECK_NEAR(p.noise.data[0], or_s2[0], BUILD_TOL(1e-5, 1e-12));
    bnn_mat_mul_nt(wwt, p.w, p.w); /* free of the rotation of the latents */
    for (size_t i = 0; i < OR_D * OR_D; i++)
        CHECK_NEAR(wwt.data[i], or_wwt[i], BUILD_TOL(1e-4, 1e-10));
    for (size_t i = 0; i < OR_N; i++) {
        ppca_infer(&mem, &p, bnn_mat_rows(x, i, 1), none, none, &log_p);
        CHECK_NEAR(log_p, or_ppca_rows[i], BUILD_TOL(1e-3, 1e-10));
        direct += or_ppca_rows[i];
    }
    ppca_infer(&mem, &p, x, none, none, &log_p);
    CHECK_NEAR(log_p, direct, BUILD_TOL(1e-2, 1e-9));
    bnn_mat_cov(cov, x);
    bnn_mat_eig_sym(&mem, l, u, cov);
    for (size_t j = 0; j < OR_D; j++)
        formula += log(j < OR_D - OR_M ? (double)p.noise.data[0] : (double)l.data[j]);
    CHECK_NEAR(log_p, -OR_N / 2.0 * formula, BUILD_TOL(1e-2, 1e-9));
    close_all(&mem, NULL);
}

/* S9.5 as it is printed, with the mean fixed; beside it one step of ppca_em */
static void em_step_by_hand(bnn_arena *mem, ppca *p, bnn_mat x) {
    size_t m = p->latent, d = x.cols;
    bnn_mat t = bnn_mat_new(mem, m, 1), s = bnn_mat_new(mem, m, m), l = bnn_mat_new(mem, m, m);
    bnn_mat ett = bnn_mat_new(mem, m, m), xt = bnn_mat_new(mem, m, d), w = bnn_mat_new(mem, m, d);
    double residual = 0, log_p;
    for (size_t i = 0; i < x.rows; i++) {
        ppca_posterior(p, x.data + i * d, t, s, l, &log_p);
        for (size_t a = 0; a < m; a++) {
            for (size_t b = 0; b < m; b++)
                *bnn_mat_at(ett, a, b) += *bnn_mat_at(s, a, b) + t.data[a] * t.data[b];
            for (size_t j = 0; j < d; j++)
                *bnn_mat_at(xt, a, j) += t.data[a] * (x.data[i * d + j] - p->mean.data[j]);
        }
    }
    bnn_mat_cholesky(l, ett, NULL);
    bnn_mat_solve_chol(w, l, xt); /* W' = [sum Ett]^-1 [sum Et (x-mu)'] */
    for (size_t j = 0; j < d; j++) {
        for (size_t i = 0; i < x.rows; i++)
            residual += pow((double)(x.data[i * d + j] - p->mean.data[j]), 2);
        for (size_t a = 0; a < m; a++) {
            residual -= 2 * (double)(*bnn_mat_at(w, a, j) * *bnn_mat_at(xt, a, j));
            for (size_t b = 0; b < m; b++)
                residual += (double)(*bnn_mat_at(w, a, j) * *bnn_mat_at(w, b, j) *
                                     *bnn_mat_at(ett, a, b));
        }
    }
    bnn_mat_transpose(p->w, w);
    bnn_mat_fill(p->noise, (float)(residual / (double)(x.rows * d)));
}

static void em_without_gaps_is_the_textbook_step(void) {
    bnn_arena mem = { 0 };
    bnn_rng rng = bnn_rng_seed(build_seed(4));
    bnn_mat x = oracle(&mem, or_x, OR_N, OR_D);
    ppca p, q;
    CHECK(ppca_start(&mem, &p, x, OR_M, &rng) == BNN_OK);
    q = p;
    q.w = bnn_mat_copy(&mem, p.w);
    q.mean = bnn_mat_copy(&mem, p.mean);
    q.noise = bnn_mat_copy(&mem, p.noise);
    for (int s = 0; s < 5; s++) {
        CHECK(ppca_em(&mem, &p, x, NULL) == BNN_OK);
        em_step_by_hand(&mem, &q, x);
        for (size_t i = 0; i < OR_D * OR_M; i++)
            CHECK_NEAR(p.w.data[i], q.w.data[i], BUILD_TOL(1e-3, 1e-10));
        CHECK_NEAR(p.noise.data[0], q.noise.data[0], BUILD_TOL(1e-3, 1e-10));
        for (size_t j = 0; j < OR_D; j++)
            CHECK_NEAR(p.mean.data[j], q.mean.data[j], BUILD_TOL(1e-4, 1e-12));
    }
    close_all(&mem, NULL);
}

static void em_never_falls_and_ends_at_the_closed_form(void) {
    bnn_arena mem = { 0 };
    bnn_rng rng = bnn_rng_seed(build_seed(5));
    bnn_mat x = oracle(&mem, or_x, OR_N, OR_D);
    ppca p, best;
    double before = -1e300, log_p = 0, top;
    ppca_fit(&mem, &best, x, OR_M);
    ppca_infer(&mem, &best, x, none, none, &top);
    ppca_start(&mem, &p, x, OR_M, &rng);
    for (int s = 0; s < 3000; s++) {
        CHECK(ppca_em(&mem, &p, x, &log_p) == BNN_OK);
        CHECK(log_p >= before - BUILD_TOL(5e-3, 1e-9)); /* 1.5e-3 to 2.6e-3 in float by 11 seeds */
        CHECK(log_p <= top + BUILD_TOL(1e-2, 1e-9));
        before = log_p;
    }
    CHECK_NEAR(log_p, top, BUILD_TOL(1e-2, 1e-8));
    CHECK_NEAR(p.noise.data[0], best.noise.data[0], BUILD_TOL(1e-4, 1e-8));
    close_all(&mem, NULL);
}

static void factor_analysis_ends_where_scikit_learn_does(void) {
    bnn_arena mem = { 0 };
    bnn_rng rng = bnn_rng_seed(build_seed(6));
    bnn_mat x = oracle(&mem, or_x, OR_N, OR_D);
    ppca p;
    double before = -1e300, log_p = 0;
    ppca_start(&mem, &p, x, OR_M, &rng);
    p.factors = 1;
    for (int s = 0; s < 6000; s++) {
        CHECK(ppca_em(&mem, &p, x, &log_p) == BNN_OK);
        CHECK(log_p >= before - BUILD_TOL(2e-3, 1e-9));
        before = log_p;
    }
    CHECK_NEAR(log_p, or_fa[0], BUILD_TOL(1e-2, 1e-4));
    for (size_t j = 0; j < OR_D; j++)
        CHECK_NEAR(p.noise.data[j], or_fa_noise[j], BUILD_TOL(3e-3, 1e-4));
    close_all(&mem, NULL);
}

static bnn_mat with_gaps(bnn_arena *mem) {
    bnn_mat x = oracle(mem, or_x, OR_N, OR_D);
    for (size_t i = 0; i < OR_N * OR_D; i++)
        if (or_gap[i] > 0) x.data[i] = NAN;
    return x;
}

static void imputation_is_the_conditional_mean_of_the_gaussian(void) {
    bnn_arena mem = { 0 };
    bnn_mat gaps = with_gaps(&mem), filled = bnn_mat_new(&mem, OR_N, OR_D);
    ppca p;
    double log_p, ours = 0, columns = 0;
    ppca_fit(&mem, &p, oracle(&mem, or_x, OR_N, OR_D), OR_M);
    CHECK(ppca_infer(&mem, &p, gaps, none, filled, &log_p) == BNN_OK);
    CHECK_NEAR(log_p, or_gap_lik[0], BUILD_TOL(2e-3, 1e-9));
    for (size_t i = 0; i < OR_N * OR_D; i++) { /* row 0 is all gaps: the mean; row 1 has none */
        CHECK_NEAR(filled.data[i], or_filled[i], BUILD_TOL(1e-4, 1e-10));
        ours += pow((double)filled.data[i] - or_x[i], 2);
        if (or_gap[i] > 0) columns += pow((double)p.mean.data[i % OR_D] - or_x[i], 2);
    }
    CHECK(ours < columns / 2);
    close_all(&mem, NULL);
}

static void em_with_gaps_never_falls_and_beats_the_column_means(void) {
    bnn_arena mem = { 0 };
    bnn_rng rng = bnn_rng_seed(build_seed(7));
    bnn_mat gaps = with_gaps(&mem), filled = bnn_mat_new(&mem, OR_N, OR_D);
    ppca p;
    double before = -1e300, log_p = 0, ours = 0, columns = 0;
    bnn_mat start;
    ppca_start(&mem, &p, gaps, OR_M, &rng);
    start = bnn_mat_copy(&mem, p.mean);
    for (int s = 0; s < 300; s++) {
        CHECK(ppca_em(&mem, &p, gaps, &log_p) == BNN_OK);
        CHECK(log_p >= before - BUILD_TOL(2e-3, 1e-9));
        before = log_p;
    }
    ppca_infer(&mem, &p, gaps, none, filled, NULL);
    for (size_t i = OR_D; i < OR_N * OR_D; i++)
        if (or_gap[i] > 0) {
            ours += pow((double)filled.data[i] - or_x[i], 2);
            columns += pow((double)start.data[i % OR_D] - or_x[i], 2);
        }
    CHECK(ours < columns / 2);
    close_all(&mem, NULL);
}

static void bad_data_for_ppca_are_named(void) {
    bnn_arena mem = { 0 };
    bnn_rng rng = bnn_rng_seed(1);
    bnn_mat x = oracle(&mem, or_x, OR_N, OR_D), flat = bnn_mat_new(&mem, 10, 4);
    bnn_mat gaps = bnn_mat_copy(&mem, x);
    ppca p;
    CHECK(ppca_fit(&mem, &p, x, 0) == BNN_EARG);
    CHECK(ppca_fit(&mem, &p, x, OR_D) == BNN_EARG && strstr(mem.msg, "fewer than the columns"));
    for (size_t i = 0; i < 40; i++) flat.data[i] = (float)((i / 4) * (i % 4 + 1)); /* rank 1 */
    CHECK(ppca_fit(&mem, &p, flat, 2) == BNN_EARG && strstr(mem.msg, "rank"));
    bnn_mat_fill(flat, 3);
    CHECK(ppca_start(&mem, &p, flat, 2, &rng) == BNN_EARG && strstr(mem.msg, "do not vary"));
    gaps.data[0] = NAN;
    CHECK(ppca_fit(&mem, &p, gaps, 2) == BNN_EARG && strstr(mem.msg, "gaps"));
    for (size_t i = 0; i < OR_N; i++) gaps.data[i * OR_D + 3] = NAN;
    CHECK(ppca_start(&mem, &p, gaps, 2, &rng) == BNN_EARG && strstr(mem.msg, "column (3)"));
    ppca_fit(&mem, &p, x, 2);
    CHECK(ppca_em(&mem, &p, gaps, NULL) == BNN_EARG && strstr(mem.msg, "column (3)"));
    bnn_mat_fill(gaps, NAN); /* all pixels missing */
    CHECK(ppca_start(&mem, &p, gaps, 2, &rng) == BNN_EARG && strstr(mem.msg, "no row observes"));
    CHECK(ppca_infer(&mem, &p, flat, none, none, NULL) == BNN_EARG);
    close_all(&mem, NULL);
}

/* ---- S9.7, S9.8 */

static void start_as_the_oracle(bnn_arena *mem, gmm *g, bnn_mat x, int kind) {
    bnn_rng rng = bnn_rng_seed(1);
    CHECK(gmm_start(mem, g, x, OR_K, kind, 0, &rng) == BNN_OK);
    for (size_t i = 0; i < OR_K * OR_D; i++) g->mean.data[i] = (float)or_gmm_start[i];
}

static double log_lik(bnn_arena *mem, const gmm *g, bnn_mat x) {
    double log_p = 0;
    CHECK(gmm_expect(mem, g, x, bnn_mat_new(mem, x.rows, g->k), &log_p) == BNN_OK);
    return log_p;
}

static void mixtures_take_the_steps_of_scikit_learn_and_never_fall(void) {
    const double *expect[] = { or_gmm_full, or_gmm_diagonal, or_gmm_spherical };
    bnn_arena mem = { 0 };
    bnn_rng rng = bnn_rng_seed(1);
    bnn_mat x = oracle(&mem, or_x, OR_N, OR_D);
    for (int kind = GMM_FULL; kind <= GMM_SPHERICAL; kind++) {
        gmm g;
        double before = -1e300, log_p = 0;
        start_as_the_oracle(&mem, &g, x, kind);
        for (int s = 0; s < 200; s++) {
            CHECK(gmm_em(&mem, &g, x, 0, &rng, &log_p) == BNN_OK);
            CHECK(log_p >= before - BUILD_TOL(1e-2, 1e-9));
            before = log_p;
            if (s == 0) CHECK_NEAR(log_lik(&mem, &g, x), expect[kind][0], BUILD_TOL(2e-2, 1e-8));
            if (s == 4) CHECK_NEAR(log_lik(&mem, &g, x), expect[kind][1], BUILD_TOL(2e-2, 1e-8));
        }
        CHECK_NEAR(log_lik(&mem, &g, x), expect[kind][2], BUILD_TOL(5e-2, 1e-7));
        for (size_t i = 0; kind == GMM_FULL && i < OR_K * OR_D; i++)
            CHECK_NEAR(g.mean.data[i], or_gmm_means[i], BUILD_TOL(5e-3, 1e-7));
        for (size_t k = 0; kind == GMM_FULL && k < OR_K; k++)
            CHECK_NEAR(g.weight.data[k], or_gmm_weights[k], BUILD_TOL(5e-3, 1e-7));
        CHECK(g.reseeded == 0);
    }
    close_all(&mem, NULL);
}

static void one_component_has_the_sample_moments_after_one_step(void) {
    bnn_arena mem = { 0 };
    bnn_rng rng = bnn_rng_seed(build_seed(8));
    bnn_mat x = oracle(&mem, or_x, OR_N, OR_D), mean = bnn_mat_new(&mem, 1, OR_D);
    bnn_mat cov = bnn_mat_new(&mem, OR_D, OR_D), draws = bnn_mat_new(&mem, 20000, OR_D);
    gmm g;
    double log_p;
    gmm_start(&mem, &g, x, 1, GMM_FULL, 0, &rng);
    gmm_em(&mem, &g, x, 0, &rng, &log_p);
    bnn_mat_col_mean(mean, x);
    bnn_mat_cov(cov, x);
    for (size_t j = 0; j < OR_D; j++)
        CHECK_NEAR(g.mean.data[j], mean.data[j], BUILD_TOL(1e-5, 1e-12));
    for (size_t j = 0; j < OR_D * OR_D; j++)
        CHECK_NEAR(g.cov.data[j], cov.data[j], BUILD_TOL(1e-4, 1e-12));
    gmm_sample(&mem, &g, &rng, draws); /* and so have its samples: mean, and a covariance */
    bnn_mat_col_mean(mean, draws);
    for (size_t j = 0; j < OR_D; j++)
        CHECK_NEAR(mean.data[j], g.mean.data[j], Z * sqrt((double)cov.data[j * OR_D + j] / 20000));
    bnn_mat_cov(cov, draws);
    CHECK_NEAR(cov.data[1], g.cov.data[1],
               Z * sqrt((double)(g.cov.data[0] * g.cov.data[6] + g.cov.data[1] * g.cov.data[1]) /
                        20000));
    close_all(&mem, NULL);
}

static void labels_of_a_mixture_mean_nothing(void) {
    bnn_arena mem = { 0 };
    bnn_rng rng = bnn_rng_seed(1);
    bnn_mat x = oracle(&mem, or_x, OR_N, OR_D);
    const size_t other[OR_K] = { 2, 0, 1 };
    gmm g, h;
    double log_p;
    start_as_the_oracle(&mem, &g, x, GMM_FULL);
    start_as_the_oracle(&mem, &h, x, GMM_FULL);
    for (size_t k = 0; k < OR_K; k++)
        memcpy(h.mean.data + k * OR_D, g.mean.data + other[k] * OR_D, OR_D * sizeof(float));
    for (int s = 0; s < 10; s++) {
        gmm_em(&mem, &g, x, 0, &rng, &log_p);
        gmm_em(&mem, &h, x, 0, &rng, &log_p);
    }
    CHECK_NEAR(log_lik(&mem, &g, x), log_lik(&mem, &h, x), BUILD_TOL(1e-2, 1e-9));
    for (size_t k = 0; k < OR_K; k++)
        CHECK_NEAR(h.mean.data[k * OR_D], g.mean.data[other[k] * OR_D], BUILD_TOL(1e-3, 1e-9));
    close_all(&mem, NULL);
}

static void monte_carlo_em_tends_to_em_and_trembles(void) {
    bnn_arena mem = { 0 };
    bnn_rng rng = bnn_rng_seed(build_seed(9));
    bnn_mat x = oracle(&mem, or_x, OR_N, OR_D);
    const size_t draws[] = { 1, 100, 10000 };
    double gap[3], before = -1e300, log_p;
    int falls = 0;
    gmm exact, g;
    start_as_the_oracle(&mem, &exact, x, GMM_DIAGONAL);
    gmm_em(&mem, &exact, x, 0, &rng, &log_p);
    for (int i = 0; i < 3; i++) {
        gap[i] = 0;
        start_as_the_oracle(&mem, &g, x, GMM_DIAGONAL);
        gmm_em(&mem, &g, x, draws[i], &rng, &log_p);
        for (size_t j = 0; j < OR_K * OR_D; j++)
            gap[i] += pow((double)(g.mean.data[j] - exact.mean.data[j]), 2);
        gap[i] = sqrt(gap[i]);
    }
    CHECK(gap[0] > 3 * gap[1] && gap[1] > 3 * gap[2]); /* as S^(-1/2): by factors of 10 */
    start_as_the_oracle(&mem, &g, x, GMM_SPHERICAL);
    for (int s = 0; s < 100; s++) {
        gmm_em(&mem, &g, x, 1, &rng, &log_p);
        falls += log_p < before - 1e-3;
        before = log_p;
    }
    CHECK(falls > 0);
    close_all(&mem, NULL);
}

static void broken_mixtures_are_named_or_begin_anew(void) {
    bnn_arena mem = { 0 };
    bnn_rng rng = bnn_rng_seed(build_seed(10));
    bnn_mat x = oracle(&mem, or_x, OR_N, OR_D), flat = bnn_mat_copy(&mem, x);
    gmm g;
    double log_p;
    CHECK(gmm_start(&mem, &g, x, 0, GMM_FULL, 0, &rng) == BNN_EARG);
    CHECK(gmm_start(&mem, &g, x, OR_N + 1, GMM_FULL, 0, &rng) == BNN_EARG);
    for (size_t i = 0; i < OR_N; i++) flat.data[i * OR_D] = 0; /* a column without variance */
    gmm_start(&mem, &g, flat, 2, GMM_FULL, 0, &rng);
    CHECK(gmm_em(&mem, &g, flat, 0, &rng, &log_p) == BNN_EARG && strstr(mem.msg, "singular"));
    gmm_start(&mem, &g, flat, 2, GMM_FULL, 1e-3, &rng);
    CHECK(gmm_em(&mem, &g, flat, 0, &rng, &log_p) == BNN_OK);
    gmm_start(&mem, &g, x, 2, GMM_FULL, 0, &rng);
    for (size_t j = 0; j < OR_D; j++) g.mean.data[j] = 1000; /* far from everything */
    CHECK(gmm_em(&mem, &g, x, 0, &rng, &log_p) == BNN_OK && g.reseeded == 1);
    CHECK(bnn_mat_finite(g.mean) && bnn_mat_finite(g.cov));
    CHECK_NEAR(bnn_mat_sum(g.weight), 1, BUILD_TOL(1e-6, 1e-12));
    flat.data[3] = NAN;
    CHECK(gmm_start(&mem, &g, flat, 2, GMM_FULL, 0, &rng) == BNN_EARG && strstr(mem.msg, "gaps"));
    close_all(&mem, NULL);
}

/* ---- S9.9 */

static void the_gap_of_a_factorized_posterior_is_its_closed_form(void) {
    bnn_arena mem = { 0 };
    bnn_mat x = oracle(&mem, or_x, OR_N, OR_D), t = bnn_mat_new(&mem, OR_M, 1);
    bnn_mat s = bnn_mat_new(&mem, OR_M, OR_M), l = bnn_mat_new(&mem, OR_M, OR_M), w;
    const double c = cos(0.7), si = sin(0.7);
    double prec[OR_M], gap = 0, s2, log_p;
    ppca p;
    ppca_fit(&mem, &p, x, OR_M);
    s2 = (double)p.noise.data[0];
    w = bnn_mat_copy(&mem, p.w);
    for (size_t j = 0; j < OR_D; j++) { /* turn the latents: now the posterior is correlated */
        p.w.data[2 * j] = (float)(c * (double)w.data[2 * j] + si * (double)w.data[2 * j + 1]);
        p.w.data[2 * j + 1] = (float)(c * (double)w.data[2 * j + 1] - si * (double)w.data[2 * j]);
    }
    ppca_posterior(&p, x.data, t, s, l, &log_p); /* l: Cholesky of the precision */
    for (size_t a = 0; a < OR_M; a++) {
        prec[a] = 1;
        for (size_t j = 0; j < OR_D; j++) prec[a] += pow((double)p.w.data[OR_M * j + a], 2) / s2;
        gap += log(prec[a]) / 2;
    }
    gap -= bnn_mat_logdet_chol(l) / 2;
    CHECK(gap > 0.05);
    for (size_t i = 0; i < OR_N; i++) { /* E_q ln p(x,t) + H[q], means exact, variances 1/prec */
        double elbo = -OR_D * log(2 * 3.14159265358979323846 * s2) / 2;
        ppca_posterior(&p, x.data + i * OR_D, t, s, l, &log_p);
        for (size_t j = 0; j < OR_D; j++) {
            double r = (double)x.data[i * OR_D + j] - (double)p.mean.data[j];
            for (size_t a = 0; a < OR_M; a++) {
                r -= (double)p.w.data[j * OR_M + a] * (double)t.data[a];
                elbo -= pow((double)p.w.data[j * OR_M + a], 2) / prec[a] / (2 * s2);
            }
            elbo -= r * r / (2 * s2);
        }
        for (size_t a = 0; a < OR_M; a++)
            elbo += (1 - pow((double)t.data[a], 2) - 1 / prec[a] - log(prec[a])) / 2;
        CHECK_NEAR(log_p - elbo, gap, BUILD_TOL(1e-3, 1e-10));
    }
    close_all(&mem, NULL);
}

/* ---- S9.10, S9.11 */

static const int likelihoods[] = { BNN_BERNOULLI, BNN_GAUSSIAN, BNN_GAUSSIAN_HETERO };

typedef struct setup {
    vae m;
    bnn_mat x;
    size_t k; /* draws; 0: the ELBO */
} setup;

static bnn_mat binary(bnn_arena *mem, bnn_rng *rng, size_t n, size_t d) {
    bnn_mat x = bnn_mat_new(mem, n, d);
    for (size_t i = 0; i < n * d; i++) x.data[i] = bnn_rng_uniform(rng) < (float)0.4;
    return x;
}

static setup small_vae(bnn_arena *mem, bnn_rng *rng, int likelihood, size_t latent) {
    setup s;
    vae_desc desc = { .pixels = 6, .hidden = 5, .latent = latent, .activation = BNN_TANH,
                      .likelihood = likelihood, .noise_std = (float)0.7, .noise_learned = 1,
                      .relevance = likelihood == BNN_GAUSSIAN, .std = 1, .seed = 11 };
    s.m = vae_new(bnn_params_new(mem), desc);
    s.x = binary(mem, rng, 8, 6);
    s.k = 0;
    return s;
}

static bnn_var *bound(bnn_tape *t, void *user) {
    setup *s = (setup *)user;
    bnn_var *x = bnn_input(t, s->x);
    if (s->k == 0) return vae_loss(&s->m, x, 1);
    return bnn_neg(bnn_mean(bnn_logsumexp(vae_log_weights(&s->m, x, s->k))));
}

static void gradients_of_all_bounds_are_right(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(build_seed(20)) };
    for (int i = 0; i < 3; i++) {
        setup s = small_vae(&mem, &tape.rng, likelihoods[i], 2);
        for (s.k = 0; s.k <= 3; s.k += 3)
            CHECK(bnn_grad_check(&tape, s.m.w, bound, &s) < BUILD_TOL(0.15, 1e-7));
    }
    close_all(&mem, &tape);
}

static void kl_is_the_mean_of_its_log_ratio(void) {
    enum { N = 200000 };
    bnn_rng rng = bnn_rng_seed(build_seed(21));
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    float m = (float)0.7, s = (float)0.4;
    bnn_mat mm = { 1, 1, &m }, ms = { 1, 1, &s };
    double kl = (double)bnn_value(bnn_kl_standard_normal(bnn_input(&tape, mm), bnn_input(&tape, ms)));
    double sum = 0, square = 0;
    for (int i = 0; i < N; i++) {
        double e = (double)bnn_rng_normal(&rng), t = 0.7 + 0.4 * e;
        double r = (t * t - e * e) / 2 - log(0.4);
        sum += r, square += r * r;
    }
    CHECK_NEAR(kl, (0.49 + 0.16 - 1) / 2 - log(0.4), BUILD_TOL(1e-6, 1e-14));
    CHECK_NEAR(sum / N, kl, Z * sqrt((square / N - sum / N * sum / N) / N));
    bnn_tape_free(&tape);
}

static vae linear_vae(bnn_arena *mem, const ppca *p) {
    vae m = vae_new(bnn_params_new(mem),
                    (vae_desc){ .pixels = p->mean.cols, .latent = p->latent,
                                .likelihood = BNN_GAUSSIAN,
                                .noise_std = (float)sqrt((double)p->noise.data[0]) });
    vae_set_linear(&m, p->mean, p->w, (double)p->noise.data[0]);
    return m;
}

static void at_the_exact_posterior_every_weight_is_the_likelihood(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(build_seed(22)) };
    bnn_mat x = oracle(&mem, or_x, OR_N, OR_D);
    bnn_var *w;
    ppca p;
    vae m;
    ppca_fit(&mem, &p, x, OR_M);
    m = linear_vae(&mem, &p);
    w = vae_log_weights(&m, bnn_input(&tape, x), 4); /* p(x,t)/q(t|x) = p(x), whatever t */
    for (size_t i = 0; i < OR_N; i++)
        for (size_t j = 0; j < 4; j++)
            CHECK_NEAR(w->val.data[4 * i + j], or_ppca_rows[i],
                       BUILD_TOL(2e-3, 1e-12) * (1 + fabs(or_ppca_rows[i])));
    /* S9.14: the KL of the exact posterior, in closed form */
    {
        bnn_mat t = bnn_mat_new(&mem, OR_M, 1), s = bnn_mat_new(&mem, OR_M, OR_M);
        bnn_mat l = bnn_mat_new(&mem, OR_M, OR_M);
        vae_bound b = vae_encode(&m, bnn_input(&tape, x));
        for (size_t i = 0; i < OR_N; i++) {
            double kl = 0, log_p;
            ppca_posterior(&p, x.data + i * OR_D, t, s, l, &log_p);
            for (size_t a = 0; a < OR_M; a++)
                kl += (pow((double)t.data[a], 2) + (double)*bnn_mat_at(s, a, a) - 1) / 2;
            kl += bnn_mat_logdet_chol(l) / 2;
            CHECK_NEAR(b.kl->val.data[i], kl, BUILD_TOL(1e-2, 1e-11));
        }
    }
    close_all(&mem, &tape);
}

static void a_trained_linear_vae_is_ppca(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(build_seed(23)) };
    bnn_mat x = oracle(&mem, or_x, OR_N, OR_D), wwt = bnn_mat_new(&mem, OR_D, OR_D), w;
    vae m = vae_new(bnn_params_new(&mem),
                    (vae_desc){ .pixels = OR_D, .latent = OR_M, .likelihood = BNN_GAUSSIAN,
                                .noise_std = 1, .noise_learned = 1, .seed = 3 });
    bnn_stepper adam = bnn_adam(m.w, (bnn_adam_desc){ .lr = (float)0.02 });
    double best = 0, elbo = 0, off = 0, all = 0;
    for (size_t i = 0; i < OR_N; i++) best += or_ppca_rows[i] / OR_N;
    for (size_t s = 0; s < 6000; s++) {
        bnn_tape_reset(&tape);
        adam.lr = (float)bnn_lr_cosine(0.02, s, 6000);
        bnn_backward(vae_loss(&m, bnn_input(&tape, x), 1));
        bnn_step(&adam, &tape);
    }
    for (int r = 0; r < 400; r++) elbo += vae_mean(vae_evaluate(&mem, &tape, &m, x, 0).elbo) / 400;
    CHECK(elbo < best + 0.03 && elbo > best - 0.08); /* 0.03: Monte Carlo */
    w = bnn_params_mat(m.v, 2); /* (M,D) */
    bnn_mat_mul_tn(wwt, w, w);
    for (size_t i = 0; i < OR_D * OR_D; i++) {
        off += pow((double)wwt.data[i] - or_wwt[i], 2);
        all += or_wwt[i] * or_wwt[i];
    }
    CHECK(sqrt(off / all) < 0.05);
    /* the decoded encoder's means are the decoded posterior means: the rotation drops out */
    {
        bnn_mat t = bnn_mat_new(&mem, OR_N, OR_M), a = bnn_mat_new(&mem, OR_N, OR_D);
        bnn_mat b = bnn_mat_new(&mem, OR_N, OR_D);
        ppca p;
        ppca_fit(&mem, &p, x, OR_M);
        ppca_infer(&mem, &p, x, t, none, NULL);
        bnn_mat_mul_nt(a, t, p.w);
        bnn_tape_reset(&tape);
        bnn_mat_mul(b, vae_encode(&m, bnn_input(&tape, x)).mean->val, w);
        for (size_t i = 0; i < OR_N * OR_D; i++)
            CHECK_NEAR(a.data[i] + p.mean.data[i % OR_D],
                       b.data[i] + bnn_params_mat(m.v, 3).data[i % OR_D], 0.25);
    }
    close_all(&mem, &tape);
}

static void without_noise_gradients_are_those_of_a_plain_autoencoder(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(build_seed(24)) };
    for (int i = 0; i < 3; i++) {
        setup s = small_vae(&mem, &tape.rng, likelihoods[i], 2);
        bnn_mat plain = bnn_mat_new(&mem, 1, s.m.w->n);
        bnn_var *in, *t;
        bnn_tape_reset(&tape);
        bnn_params_zero_grad(s.m.w);
        in = bnn_input(&tape, s.x);
        t = bnn_cols(bnn_net_forward(&s.m.encoder, in), 0, 2);
        bnn_backward(bnn_mean(vae_nll(&s.m, t, in)));
        memcpy(plain.data, s.m.w->grad, s.m.w->n * sizeof(float));
        s.m.sigma = 0;
        bnn_tape_reset(&tape);
        bnn_params_zero_grad(s.m.w);
        bnn_backward(vae_loss(&s.m, bnn_input(&tape, s.x), 0));
        for (size_t j = 0; j < s.m.w->n; j++)
            CHECK_NEAR(s.m.w->grad[j], plain.data[j], BUILD_TOL(1e-6, 1e-14));
    }
    close_all(&mem, &tape);
}

/* The noise is frozen at zero, so that the pieces see the draws of the whole. */
static void gradients_of_minibatches_average_to_the_whole(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    for (int i = 0; i < 3; i++) {
        setup s = small_vae(&mem, &tape.rng, likelihoods[i], 2);
        bnn_mat whole = bnn_mat_new(&mem, 1, s.m.w->n), mean = bnn_mat_new(&mem, 1, s.m.w->n);
        bnn_mat all = s.x;
        double value, parts = 0;
        s.m.sigma = 0;
        bnn_tape_reset(&tape);
        bnn_params_zero_grad(s.m.w);
        {
            bnn_var *loss = bound(&tape, &s);
            bnn_backward(loss);
            value = (double)bnn_value(loss);
        }
        memcpy(whole.data, s.m.w->grad, s.m.w->n * sizeof(float));
        for (size_t b = 0; b < 4; b++) {
            bnn_var *loss;
            s.x = bnn_mat_rows(all, 2 * b, 2);
            bnn_tape_reset(&tape);
            bnn_params_zero_grad(s.m.w);
            loss = bound(&tape, &s);
            bnn_backward(loss);
            parts += (double)bnn_value(loss) / 4;
            for (size_t j = 0; j < s.m.w->n; j++) mean.data[j] += s.m.w->grad[j] / 4;
        }
        CHECK_NEAR(parts, value, BUILD_TOL(1e-5, 1e-12));
        for (size_t j = 0; j < s.m.w->n; j++)
            CHECK_NEAR(mean.data[j], whole.data[j], BUILD_TOL(1e-5, 1e-12));
    }
    close_all(&mem, &tape);
}

/* ---- S9.12 */

static void score_and_path_gradients_have_their_means_and_variances(void) {
    enum { N = 100000 };
    bnn_tape tape = { .rng = bnn_rng_seed(build_seed(26)) };
    const double d = 1.5, s = 0.8, s2 = s * s;
    const double mean[4] = { 2 * d, -2 * s, 2 * d, -2 * s };
    const double var[4] = { 4 * s2, 4 * d * d + 8 * s2,
                            d * d * d * d / s2 + 14 * d * d + 15 * s2,
                            2 * d * d * d * d / s2 + 60 * d * d + 74 * s2 };
    double sum[4] = { 0 }, square[4] = { 0 }, fourth[4] = { 0 };
    bnn_arena mem = { 0 };
    bnn_mat m = bnn_mat_new(&mem, N, 1), sd = bnn_mat_new(&mem, N, 1);
    bnn_var *vm, *vs, *t, *f;
    bnn_mat_fill(sd, (float)s);
    vm = bnn_leaf(&tape, m);
    vs = bnn_leaf(&tape, sd);
    t = bnn_normal(vm, vs); /* x = d, m = 0 */
    f = bnn_neg(bnn_square(bnn_shift(t, (float)-d)));
    bnn_backward(bnn_sum(f)); /* one path gradient for each draw */
    for (size_t i = 0; i < N; i++) {
        double e = (double)t->val.data[i] / s, fi = (double)f->val.data[i], g[4];
        g[0] = (double)vm->grad.data[i];
        g[1] = (double)vs->grad.data[i];
        g[2] = fi * e / s; /* f times the gradient of ln q */
        g[3] = fi * (e * e - 1) / s;
        for (int j = 0; j < 4; j++) {
            double c = g[j] - mean[j];
            sum[j] += g[j], square[j] += c * c, fourth[j] += c * c * c * c;
        }
    }
    for (int j = 0; j < 4; j++) {
        CHECK_NEAR(sum[j] / N, mean[j], Z * sqrt(var[j] / N));
        CHECK_NEAR(square[j] / N, var[j], Z * sqrt((fourth[j] / N - var[j] * var[j]) / N));
    }
    close_all(&mem, &tape);
}

/* ---- S9.13 */

static void the_bounds_are_ordered_below_the_likelihood_by_quadrature(void) {
    enum { GRID = 121, DRAWS = 2000 };
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(build_seed(27)) };
    for (int i = 0; i < 2; i++) {
        setup s = small_vae(&mem, &tape.rng, likelihoods[i], 2);
        bnn_mat t = bnn_mat_new(&mem, GRID * GRID, 2), row = bnn_mat_new(&mem, GRID * GRID, 6);
        const double step = 12.0 / (GRID - 1);
        for (size_t j = 0; j < s.m.w->n; j++) /* a decoder that is far from linear */
            s.m.w->theta[j] = (float)1.5 * bnn_rng_normal(&tape.rng);
        for (size_t j = 0; j < 4; j++) s.m.w->theta[5 * 6 + 5 + j * 4] = 0;
        if (s.m.desc.relevance) bnn_mat_fill(bnn_params_mat(s.m.v, s.m.scales), 1);
        for (size_t j = 0; j < GRID * GRID; j++) {
            t.data[2 * j] = (float)(-6 + step * (double)(j % GRID));
            t.data[2 * j + 1] = (float)(-6 + step * (double)(j / GRID));
        }
        for (size_t r = 0; r < 4; r++) {
            double p = 0, elbo = 0, l5 = 0, l50 = 0, var = 0;
            bnn_var *nll, *w;
            for (size_t j = 0; j < GRID * GRID; j++)
                memcpy(row.data + 6 * j, s.x.data + 6 * r, 6 * sizeof(float));
            bnn_tape_reset(&tape);
            nll = vae_nll(&s.m, bnn_input(&tape, t), bnn_input(&tape, row));
            for (size_t j = 0; j < GRID * GRID; j++) { /* trapezoids: exact to rounding here */
                double a = (double)t.data[2 * j], b = (double)t.data[2 * j + 1];
                p += exp(-(double)nll->val.data[j] - (a * a + b * b) / 2);
            }
            p = log(p * step * step / (2 * 3.14159265358979323846));
            bnn_tape_reset(&tape);
            w = vae_log_weights(&s.m, bnn_input(&tape, bnn_mat_rows(s.x, r, 1)), DRAWS);
            for (size_t j = 0; j < DRAWS; j++) elbo += (double)w->val.data[j] / DRAWS;
            for (size_t j = 0; j < DRAWS; j++)
                var += pow((double)w->val.data[j] - elbo, 2) / DRAWS;
            for (size_t j = 0; j < DRAWS / 5; j++)
                l5 += ((double)bnn_value(bnn_logsumexp(bnn_cols(w, 5 * j, 5))) - log(5)) /
                      (DRAWS / 5);
            for (size_t j = 0; j < DRAWS / 50; j++)
                l50 += ((double)bnn_value(bnn_logsumexp(bnn_cols(w, 50 * j, 50))) - log(50)) /
                       (DRAWS / 50);
            CHECK(elbo < l5 && l5 < l50); /* Jensen holds on the very same draws */
            CHECK(l50 < p + Z * sqrt(var / DRAWS));
            CHECK(p - l50 < p - elbo);
            CHECK(elbo < p);
        }
    }
    close_all(&mem, &tape);
}

/* ---- S9.14 to S9.17 */

static void train_vae(bnn_tape *tape, const vae *m, bnn_mat x, size_t steps, double lr) {
    bnn_stepper adam = bnn_adam(m->w, (bnn_adam_desc){ .lr = (float)lr });
    bnn_data data = { x, x };
    for (size_t s = 0; s < steps; s++) {
        bnn_tape_reset(tape);
        adam.lr = (float)bnn_lr_cosine(lr, s, steps);
        bnn_backward(vae_loss_prior(m, bnn_minibatch(tape, data, 50)));
        bnn_step(&adam, tape);
    }
}

static void a_vae_of_bars_comes_near_their_entropy_and_knows_what_is_no_bar(void) {
    enum { N = 400, SIDE = 4, D = 16 };
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(build_seed(30)) };
    bnn_mat x = bnn_mat_new(&mem, N, D), other, score, label;
    vae m = vae_new(bnn_params_new(&mem), (vae_desc){ .pixels = D, .hidden = 64, .latent = 2,
                    .likelihood = BNN_BERNOULLI, .seed = 1 });
    vae_score in, out;
    size_t active = 0;
    bars_fill(&tape.rng, x, SIDE);
    train_vae(&tape, &m, x, 5000, 5e-3);
    in = vae_evaluate(&mem, &tape, &m, x, 20);
    CHECK(-vae_mean(in.elbo) < 3.3 && -vae_mean(in.iwae) < 2.9); /* the floor is ln 8 = 2.08 */
    CHECK(-vae_mean(in.iwae) > log(8) - 0.1);
    CHECK(vae_mean(in.iwae) >= vae_mean(in.elbo));
    other = binary(&mem, &tape.rng, N, D);
    out = vae_evaluate(&mem, &tape, &m, other, 20);
    score = bnn_mat_new(&mem, 2 * N, 1);
    label = bnn_mat_new(&mem, 2 * N, 1);
    for (size_t i = 0; i < 2 * N; i++) {
        score.data[i] = -(i < N ? in.iwae.data[i] : out.iwae.data[i - N]);
        label.data[i] = i >= N;
    }
    CHECK(bnn_metric_auroc(&mem, score, label) > 0.99);
    { /* active units: Var_x m_j > .01 */
        bnn_mat sd = bnn_mat_new(&mem, 1, 2);
        bnn_tape_reset(&tape);
        bnn_mat_col_std(sd, vae_encode(&m, bnn_input(&tape, x)).mean->val);
        for (size_t j = 0; j < 2; j++) active += (double)(sd.data[j] * sd.data[j]) > 0.01;
        CHECK(active == 2);
    }
    close_all(&mem, &tape);
}

static void pseudo_gibbs_in_the_linear_case_is_the_conditional_mean(void) {
    enum { SWEEPS = 4000, CHAINS = 30 };
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(build_seed(31)) };
    bnn_mat x = oracle(&mem, or_x, OR_N, OR_D), gaps = bnn_mat_new(&mem, CHAINS, OR_D);
    bnn_mat mean = bnn_mat_new(&mem, CHAINS, OR_D), last = bnn_mat_new(&mem, CHAINS, OR_D);
    double gap[2] = { 0 }, exact[2];
    ppca p;
    vae m;
    ppca_fit(&mem, &p, x, OR_M);
    m = linear_vae(&mem, &p);
    for (size_t i = 0; i < CHAINS * OR_D; i++) gaps.data[i] = (float)or_x[OR_D * 3 + i % OR_D];
    for (size_t i = 0; i < CHAINS; i++) gaps.data[i * OR_D + 1] = gaps.data[i * OR_D + 4] = NAN;
    ppca_infer(&mem, &p, bnn_mat_rows(gaps, 0, 1), none, bnn_mat_rows(last, 0, 1), NULL);
    exact[0] = (double)last.data[1], exact[1] = (double)last.data[4];
    vae_impute(&tape, &m, gaps, p.mean, SWEEPS, 200, mean, last);
    for (int j = 0; j < 2; j++) { /* independent chains: their spread gives the standard error */
        double sum = 0, square = 0;
        for (size_t i = 0; i < CHAINS; i++) {
            double v = (double)mean.data[i * OR_D + (j ? 4 : 1)];
            sum += v / CHAINS, square += v * v / CHAINS;
        }
        gap[j] = sum - exact[j];
        CHECK_NEAR(gap[j], 0, 4.6 * sqrt((square - sum * sum) / (CHAINS - 1)) + BUILD_TOL(1e-3, 0));
    }
    CHECK(mean.data[0] == gaps.data[0]); /* what was observed stays */
    close_all(&mem, &tape);
}

static void two_of_six_relevances_survive(void) {
    enum { N = 500, D = 8, M = 6 };
    for (int curved = 0; curved < 2; curved++) {
        bnn_arena mem = { 0 };
        bnn_tape tape = { .rng = bnn_rng_seed(build_seed(32)) };
        bnn_mat x = linear_data(&mem, &tape.rng, N, D, 2, 0), scale;
        vae m = vae_new(bnn_params_new(&mem), (vae_desc){ .pixels = D, .hidden = curved ? 20 : 0,
                        .latent = M, .activation = BNN_TANH, .likelihood = BNN_GAUSSIAN,
                        .noise_std = (float)0.3, .noise_learned = 1, .relevance = 1,
                        .std = 2, .seed = 1 });
        double largest = 0;
        int survive = 0;
        for (size_t i = 0; i < N * D; i++) {
            double v = (double)x.data[i] - 1;
            x.data[i] = (float)(curved ? tanh(0.3 * v) : 0.3 * v);
            x.data[i] += (float)0.1 * bnn_rng_normal(&tape.rng);
        }
        train_vae(&tape, &m, x, 8000, 2e-2);
        scale = bnn_params_mat(m.v, m.scales);
        for (size_t j = 0; j < M; j++) largest = fmax(largest, fabs((double)scale.data[j]));
        for (size_t j = 0; j < M; j++) survive += fabs((double)scale.data[j]) > largest / 10;
        CHECK(survive == 2);
        close_all(&mem, &tape);
    }
}

/* ---- S9.18 */

/* Tiny models of 8, 9 and 2 codes, then the same with a learned prior, with weights that are far
 * from 0; 3 images */
enum { KINDS = 6 };
static discrete_vae tiny_discrete(bnn_arena *mem, bnn_rng *rng, int kind, bnn_mat *x) {
    const size_t latents[] = { 3, 2, 1 }, classes[] = { 0, 3, 2 };
    discrete_desc desc = { 4, latents[kind % 3], classes[kind % 3], 1, kind >= 3 };
    discrete_vae m = discrete_new(bnn_params_new(mem), desc);
    *x = binary(mem, rng, 3, 4);
    bnn_rng_fill_normal(rng, m.w->n, m.w->theta);
    for (size_t j = 0; j < m.w->n; j++) /* a broad q, a decoder that is far from linear */
        m.w->theta[j] *= j < m.w->blocks[m.w->n_blocks / 2].offset ? (float)0.5 : 2;
    return m;
}

static size_t codes_of(const discrete_vae *m) {
    size_t n = 1;
    for (size_t l = 0; l < m->desc.latents; l++) n *= m->desc.classes ? m->desc.classes : 2;
    return n;
}

/* The code with this number, as `rows` equal rows */
static bnn_mat code_rows(bnn_arena *mem, const discrete_vae *m, size_t code, size_t rows) {
    size_t k = m->desc.classes ? m->desc.classes : 2;
    bnn_mat z = bnn_mat_new(mem, rows, m->units);
    for (size_t l = 0; l < m->desc.latents; l++, code /= k)
        for (size_t r = 0; r < rows; r++) {
            if (m->desc.classes) *bnn_mat_at(z, r, l * k + code % k) = 1;
            else *bnn_mat_at(z, r, l) = (float)(code % 2);
        }
    return z;
}

typedef struct enumeration { /* means over the images, by all codes */
    double elbo, log_p, kl, weight; /* weight: of q, must be 1 */
} enumeration;

static double prior_of(const discrete_vae *m, size_t code) {
    size_t k = m->desc.classes ? m->desc.classes : 2, bits = m->desc.classes == 0;
    bnn_mat r = bnn_params_mat(m->w, m->prior);
    double p = 1;
    for (size_t l = 0; l < m->desc.latents; l++, code /= k) {
        double sum = bits ? 1 : 0, mine = bits && code % k == 0 ? 1 : 0;
        for (size_t c = 0; c < (bits ? 1 : k); c++) {
            double e = m->desc.learned ? exp((double)r.data[bits ? l : l * k + c]) : 1;
            sum += e;
            if (bits ? code % k == 1 : code % k == c) mine = e;
        }
        p *= mine / sum;
    }
    return p;
}

/* ELBO and ln p(x) from probabilities; the gradient of -ELBO by a sum over codes on the tape */
static enumeration enumerate(bnn_arena *mem, bnn_tape *tape, const discrete_vae *m, bnn_mat x) {
    enumeration e = { 0, 0, 0, 0 };
    double p[3] = { 0 }, n = (double)x.rows;
    bnn_var *in, *logits, *sum = NULL;
    bnn_tape_reset(tape);
    bnn_params_zero_grad(m->w);
    in = bnn_input(tape, x);
    logits = bnn_net_forward(&m->encoder, in);
    for (size_t c = 0; c < codes_of(m); c++) {
        bnn_var *z = bnn_input(tape, code_rows(mem, m, c, x.rows));
        bnn_var *q = bnn_exp(discrete_log_q(m, logits, z));
        bnn_var *nll = bnn_bernoulli_nll(bnn_net_forward(&m->decoder, z), in), *term;
        double prior = prior_of(m, c);
        for (size_t r = 0; r < x.rows; r++) {
            double qr = (double)q->val.data[r], fr = -(double)nll->val.data[r];
            e.weight += qr / n;
            e.kl += qr * log(qr / prior) / n;
            e.elbo += qr * (fr - log(qr / prior)) / n;
            p[r] += exp(fr) * prior;
        }
        term = bnn_mean(bnn_mul(q, nll));
        sum = sum ? bnn_add(sum, term) : term;
    }
    for (size_t r = 0; r < x.rows; r++) e.log_p += log(p[r]) / n;
    sum = bnn_add(sum, bnn_mean(discrete_kl(m, logits)));
    CHECK_NEAR(-(double)bnn_value(sum), e.elbo, BUILD_TOL(1e-5, 1e-12));
    bnn_backward(sum);
    return e;
}

static bnn_mat repeated(bnn_arena *mem, bnn_mat x, size_t times) {
    bnn_mat out = bnn_mat_new(mem, x.rows * times, x.cols);
    for (size_t i = 0; i < times; i++)
        memcpy(out.data + i * x.rows * x.cols, x.data, x.rows * x.cols * sizeof(float));
    return out;
}

/* Mean and variance of the mean of value and gradient over repetitions; how 0: no baseline, 1: the
 * other rows' mean, 2: a guess for each row */
static void repeat_loss(bnn_arena *mem, bnn_tape *tape, const discrete_vae *m, bnn_mat x,
                        int estimator, float tau, int how, double *mean, double *var) {
    enum { TIMES = 200, ROWS = 100 };
    size_t n = m->w->n;
    bnn_mat many = repeated(mem, x, ROWS), guess = bnn_mat_new(mem, many.rows, 1);
    for (size_t j = 0; j <= n; j++) mean[j] = var[j] = 0;
    for (size_t r = 0; r < many.rows; r++) guess.data[r] = (float)(2 + (double)(r % x.rows));
    for (size_t i = 0; i < TIMES; i++) {
        bnn_var *loss, *b;
        bnn_tape_reset(tape);
        bnn_params_zero_grad(m->w);
        b = how == 0 ? bnn_scalar(tape, 0) : how == 1 ? NULL : bnn_input(tape, guess);
        loss = discrete_loss(m, bnn_input(tape, many), estimator, tau, b, NULL);
        bnn_backward(loss);
        for (size_t j = 0; j <= n; j++) {
            double g = j < n ? (double)m->w->grad[j] : (double)bnn_value(loss);
            mean[j] += g / TIMES, var[j] += g * g / TIMES;
        }
    }
    for (size_t j = 0; j <= n; j++)
        var[j] = fmax(0, var[j] - mean[j] * mean[j]) / (TIMES - 1);
}

/* 1300 comparisons at 5 standard errors: false alarms below 1e-3 */
static void score_gradients_of_discrete_latents_are_those_of_enumeration(void) {
    double mean[80], var[80], total[3];
    for (int kind = 0; kind < KINDS; kind++) {
        bnn_arena mem = { 0 };
        bnn_tape tape = { .rng = bnn_rng_seed(build_seed(33 + (uint64_t)kind)) };
        bnn_mat x, exact;
        discrete_vae m = tiny_discrete(&mem, &tape.rng, kind, &x);
        enumeration e = enumerate(&mem, &tape, &m, x);
        CHECK(m.w->n < 80);
        CHECK_NEAR(e.weight, 1, BUILD_TOL(1e-6, 1e-14));
        CHECK_NEAR(bnn_mat_sum(discrete_kl(&m, bnn_net_forward(&m.encoder,
                   bnn_input(&tape, x)))->val) / 3, e.kl, BUILD_TOL(1e-6, 1e-14));
        CHECK(e.elbo < e.log_p);
        exact = bnn_mat_new(&mem, 1, m.w->n);
        memcpy(exact.data, m.w->grad, m.w->n * sizeof(float));
        for (int how = 0; how < 3; how++) {
            repeat_loss(&mem, &tape, &m, x, DISCRETE_SF, 1, how, mean, var);
            total[how] = 0;
            for (size_t j = 0; j < m.w->n; j++) {
                CHECK_NEAR(mean[j], exact.data[j], 5 * sqrt(var[j]) + BUILD_TOL(1e-5, 1e-12));
                total[how] += var[j];
            }
            CHECK_NEAR(mean[m.w->n], -e.elbo, 5 * sqrt(var[m.w->n])); /* hard draws: the bound */
        }
        CHECK(total[1] < total[0]); /* a baseline helps */
        repeat_loss(&mem, &tape, &m, x, DISCRETE_ST, 1, 0, mean, var);
        CHECK_NEAR(mean[m.w->n], -e.elbo, 5 * sqrt(var[m.w->n]));
        close_all(&mem, &tape);
    }
}

static double distance(const discrete_vae *m, const double *mean, const double *var,
                       bnn_mat exact) {
    double d = 0; /* squared, without what the noise adds */
    for (size_t j = 0; j < m->w->n; j++)
        d += pow(mean[j] - (double)exact.data[j], 2) - var[j];
    return d;
}

static void relaxed_gradients_of_discrete_latents_are_biased_less_when_cold(void) {
    double hot[64], cold[64], hot_var[64], cold_var[64];
    for (int kind = 0; kind < 3; kind++) {
        bnn_arena mem = { 0 };
        bnn_tape tape = { .rng = bnn_rng_seed(build_seed(36 + (uint64_t)kind)) };
        bnn_mat x, exact;
        discrete_vae m = tiny_discrete(&mem, &tape.rng, kind, &x);
        double norm, far, near, noise = 0;
        enumeration e = enumerate(&mem, &tape, &m, x);
        exact = bnn_mat_copy(&mem, (bnn_mat){ 1, m.w->n, m.w->grad });
        norm = bnn_mat_dot(exact, exact);
        repeat_loss(&mem, &tape, &m, x, DISCRETE_GS, 2, 0, hot, hot_var);
        repeat_loss(&mem, &tape, &m, x, DISCRETE_GS, (float)0.1, 0, cold, cold_var);
        far = distance(&m, hot, hot_var, exact);
        near = distance(&m, cold, cold_var, exact);
        for (size_t j = 0; j < m.w->n; j++) noise += cold_var[j];
        CHECK(near < far);
        CHECK(near < 1e-2 * norm + 4 * noise);
        CHECK(fabs(cold[m.w->n] + e.elbo) <
              fabs(hot[m.w->n] + e.elbo) + 5 * sqrt(cold_var[m.w->n]));
        close_all(&mem, &tape);
    }
}

static void discrete_bounds_are_ordered_below_the_likelihood_by_enumeration(void) {
    enum { MANY = 2000 };
    for (int kind = 0; kind < KINDS; kind++) {
        bnn_arena mem = { 0 };
        bnn_tape tape = { .rng = bnn_rng_seed(build_seed(39 + (uint64_t)kind)) };
        bnn_mat x, many;
        discrete_vae m = tiny_discrete(&mem, &tape.rng, kind, &x);
        enumeration e = enumerate(&mem, &tape, &m, x);
        discrete_score one, ten, most;
        double sum[3] = { 0 }, square[3] = { 0 };
        bnn_var *in, *w;
        many = repeated(&mem, x, MANY);
        one = discrete_evaluate(&mem, &tape, &m, many, 1);
        ten = discrete_evaluate(&mem, &tape, &m, many, 10);
        most = discrete_evaluate(&mem, &tape, &m, bnn_mat_rows(many, 0, 600), 3000);
        CHECK_NEAR(one.elbo, one.bound, BUILD_TOL(1e-5, 1e-12));
        CHECK_NEAR(one.kl, e.kl, BUILD_TOL(1e-6, 1e-12));
        CHECK(ten.elbo < ten.bound && ten.bound < e.log_p + 0.1); /* 5 standard errors */
        CHECK_NEAR(most.bound, e.log_p, 0.02);
        bnn_tape_reset(&tape);
        in = bnn_input(&tape, many);
        w = discrete_log_weight(&m, in, bnn_net_forward(&m.encoder, in));
        for (size_t i = 0; i < many.rows; i++) { /* E w = p(x) */
            double p = exp((double)w->val.data[i]);
            sum[i % 3] += p / MANY, square[i % 3] += p * p / MANY;
        }
        for (size_t r = 0; r < 3; r++) {
            bnn_mat row = bnn_mat_rows(x, r, 1);
            double p = exp(enumerate(&mem, &tape, &m, row).log_p);
            CHECK_NEAR(sum[r], p, 5 * sqrt((square[r] - sum[r] * sum[r]) / MANY));
        }
        close_all(&mem, &tape);
    }
}

/* ---- images */

#ifdef TILES_STB
static size_t slurp(const char *path, char *bytes, size_t room) {
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(bytes, 1, room, f) : 0;
    if (f) fclose(f);
    return n;
}

static void sheets_of_tiles_come_back_and_have_the_same_bytes(void) {
    static char a[65536], b[65536];
    bnn_arena mem = { 0 };
    bnn_rng rng = bnn_rng_seed(5);
    bnn_mat x = bnn_mat_new(&mem, 12, 15), back;
    tiles_size tile = { 5, 3 }, same = { 5, 3 };
    const char *path = "tiles-test-a.png", *again = "tiles-test-b.png";
    size_t n;
    bnn_rng_fill_uniform(&rng, 180, x.data);
    x.data[0] = -3, x.data[1] = 7; /* cut to [0,1] */
    CHECK(tiles_write(&mem, path, x, tile, 4, 1, 0) == BNN_OK);
    CHECK(tiles_write(&mem, again, x, tile, 4, 1, 0) == BNN_OK);
    n = slurp(path, a, sizeof a);
    CHECK(n > 100 && n == slurp(again, b, sizeof b) && memcmp(a, b, n) == 0);
    CHECK(tiles_read(&mem, &back, &same, 1, &path) == BNN_OK);
    CHECK(back.rows == 12 && back.cols == 15);
    for (size_t i = 2; i < 180; i++) CHECK_NEAR(back.data[i], x.data[i], 0.51 / 255);
    CHECK(back.data[0] == 0 && back.data[1] == 1);
    remove(path);
    remove(again);
    close_all(&mem, NULL);
}

static void bad_image_files_are_named_with_the_reason(void) {
    static char bytes[65536];
    bnn_arena mem = { 0 };
    bnn_mat x = bnn_mat_new(&mem, 4, 400), out = { 0, 0, NULL };
    bnn_rng rng = bnn_rng_seed(6);
    tiles_size tile = { 20, 20 }, wrong = { 7, 7 }, one = { 0, 0 };
    const char *good = "tiles-test-c.png", *bad = "tiles-test-d.png";
    const char *two[2] = { "tiles-test-c.png", "tiles-test-d.png" };
    FILE *f;
    size_t n;
    bnn_rng_fill_uniform(&rng, 1600, x.data);
    CHECK(tiles_read(&mem, &out, &tile, 1, &bad) == BNN_EFORMAT);
    CHECK(strstr(mem.msg, bad) && strstr(mem.msg, "fopen"));
    CHECK(tiles_write(&mem, good, x, tile, 2, 1, 0) == BNN_OK);
    CHECK(tiles_read(&mem, &out, &wrong, 1, &good) == BNN_ESHAPE && strstr(mem.msg, "40x40"));
    n = slurp(good, bytes, sizeof bytes);
    for (size_t cut = 0; cut < n - 12; cut += n / 7) { /* truncated: every place is an error */
        f = fopen(bad, "wb");
        fwrite(bytes, 1, cut, f);
        fclose(f);
        mem.msg[0] = 0;
        CHECK(tiles_read(&mem, &out, &tile, 1, &bad) == BNN_EFORMAT);
        CHECK(strstr(mem.msg, bad) && strstr(mem.msg, "stb_image says"));
    }
    CHECK(tiles_write(&mem, bad, bnn_mat_rows(x, 0, 1), tile, 1, 1, 0) == BNN_OK);
    CHECK(tiles_read(&mem, &out, &one, 2, two) == BNN_ESHAPE); /* 40x40, then 20x20 */
    CHECK(strstr(mem.msg, bad) && strstr(mem.msg, "20x20") && strstr(mem.msg, "40x40"));
    CHECK(tiles_read(&mem, &out, &tile, 2, two) == BNN_OK && out.rows == 5); /* as sheets: fine */
    CHECK(tiles_write(&mem, "no/such/folder.png", x, tile, 2, 1, 0) == BNN_EIO);
    CHECK(tiles_write(&mem, good, x, wrong, 2, 1, 0) == BNN_ESHAPE);
    remove(good);
    remove(bad);
    close_all(&mem, NULL);
}
#endif

int main(void) {
    RUN(a_linear_autoencoder_reaches_the_sum_of_the_discarded_eigenvalues);
    RUN(probabilities_over_all_states_sum_to_one);
    RUN(an_autoregressive_model_beats_independent_pixels_and_samples_bars);
    RUN(ppca_is_the_closed_form_of_scikit_learn_and_scipy);
    RUN(em_without_gaps_is_the_textbook_step);
    RUN(em_never_falls_and_ends_at_the_closed_form);
    RUN(factor_analysis_ends_where_scikit_learn_does);
    RUN(imputation_is_the_conditional_mean_of_the_gaussian);
    RUN(em_with_gaps_never_falls_and_beats_the_column_means);
    RUN(bad_data_for_ppca_are_named);
    RUN(mixtures_take_the_steps_of_scikit_learn_and_never_fall);
    RUN(one_component_has_the_sample_moments_after_one_step);
    RUN(labels_of_a_mixture_mean_nothing);
    RUN(monte_carlo_em_tends_to_em_and_trembles);
    RUN(broken_mixtures_are_named_or_begin_anew);
    RUN(the_gap_of_a_factorized_posterior_is_its_closed_form);
    RUN(gradients_of_all_bounds_are_right);
    RUN(kl_is_the_mean_of_its_log_ratio);
    RUN(at_the_exact_posterior_every_weight_is_the_likelihood);
    RUN(a_trained_linear_vae_is_ppca);
    RUN(without_noise_gradients_are_those_of_a_plain_autoencoder);
    RUN(gradients_of_minibatches_average_to_the_whole);
    RUN(score_and_path_gradients_have_their_means_and_variances);
    RUN(the_bounds_are_ordered_below_the_likelihood_by_quadrature);
    RUN(a_vae_of_bars_comes_near_their_entropy_and_knows_what_is_no_bar);
    RUN(pseudo_gibbs_in_the_linear_case_is_the_conditional_mean);
    RUN(two_of_six_relevances_survive);
    RUN(score_gradients_of_discrete_latents_are_those_of_enumeration);
    RUN(relaxed_gradients_of_discrete_latents_are_biased_less_when_cold);
    RUN(discrete_bounds_are_ordered_below_the_likelihood_by_enumeration);
#ifdef TILES_STB
    RUN(sheets_of_tiles_come_back_and_have_the_same_bytes);
    RUN(bad_image_files_are_named_with_the_reason);
#endif
    return check_done();
}
