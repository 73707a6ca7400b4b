/* test_nuts.c -- the no-U-turn sampler: its tree against a slow one (oracles/nuts.py), its law on
 * Gaussians and a banana, Stan's windows, resumption, what it says; temperatures and E-BFMI. */
#include "build.h"
#include "world.h"

typedef struct target {
    bnn_params *w;
    bnn_mat precision; /* U = x' A x/2 + quartic |x|^4 */
    double quartic;
    int banana, count;
} target;

static bnn_var *energy(bnn_tape *t, void *user) {
    target *u = (target *)user;
    bnn_var *x = bnn_param(t, u->w, 0), *e, *r2; /* (1,n) */
    u->count++;
    if (u->banana) { /* x ~ N(0,1), y ~ N(x^2, 1/2) */
        bnn_var *a = bnn_cols(x, 0, 1), *b = bnn_cols(x, 1, 1);
        e = bnn_add(bnn_scale(bnn_square(a), (float)0.5), bnn_square(bnn_sub(b, bnn_square(a))));
        return bnn_sum(e);
    }
    e = bnn_scale(bnn_sum(bnn_mul(bnn_matmul(x, bnn_input(t, u->precision)), x)), (float)0.5);
    if (u->quartic <= 0) return e;
    r2 = bnn_sum(bnn_square(x));
    return bnn_add(e, bnn_scale(bnn_square(r2), (float)u->quartic));
}

static target target_of(size_t n, const double *precision) {
    target u;
    memset(&u, 0, sizeof u);
    u.w = bnn_params_new(&mem);
    bnn_params_add(u.w, 1, n, "x", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    u.precision = bnn_mat_new(&mem, n, n);
    for (size_t i = 0; precision != NULL && i < n * n; i++)
        u.precision.data[i] = (float)precision[i];
    return u;
}

/* ---- the tree */

static const double table[][20] = {
#include "oracles/nuts.inc"
};
enum { CASES = sizeof table / sizeof *table };

static void the_tree_is_that_of_the_slow_sampler(void) {
    static const double a[9] = { 2, 0.9, 0, 0.9, 1, 0.3, 0, 0.3, 5 };
    for (int k = 0; k < CASES; k++) {
        const double *r = table[k];
        target u;
        bnn_stepper s;
        open_all(1);
        u = target_of(3, a);
        u.quartic = 0.05;
        s = bnn_nuts(u.w, (bnn_nuts_desc){ .energy = energy, .user = &u, .max_depth = (int)r[1],
                     .step = (float)r[2] });
        tape.rng = bnn_rng_seed((uint64_t)r[0]);
        for (int i = 0; i < 3; i++) {
            s.hmc->mass_inv[i] = (float)r[3 + i];
            u.w->theta[i] = (float)r[6 + i], s.hmc->momentum[i] = (float)r[9 + i];
        }
        bnn__nuts_draw(&s, &tape, bnn__hmc_energy(&s, &tape));
        CHECK((double)s.hmc->leapfrogs == r[17] && s.hmc->depth == r[18]);
        CHECK(s.hmc->diverged == r[19] && u.count == 1 + (int)r[17]);
        for (int i = 0; i < 3; i++)
            CHECK_NEAR(s.hmc->trees[0].theta[i], r[12 + i], BUILD_TOL(2e-4, 1e-11));
        CHECK_NEAR(s.hmc->trees[0].h, r[15], BUILD_TOL(2e-4, 1e-11) * (1 + r[15]));
        CHECK_NEAR(bnn__dexp(s.hmc->log_accept), r[16], BUILD_TOL(2e-4, 1e-11));
        close_all();
    }
    CHECK(CASES == 60);
}

/* ---- Stan's windows: for 1000 draws the manual prints 75, 25, 50, 100, 200, 500, 50 */

static void windows_are_those_of_stan(void) {
    static const uint64_t warm[] = { 1000, 150, 160, 100, 20, 19, 500 };
    static const uint64_t ends[][6] = { { 100, 150, 250, 450, 950 }, { 100 }, { 100, 110 }, { 90 },
                                        { 18 }, { 0 }, { 100, 150, 250, 450 } };
    static const uint64_t first[] = { 75, 75, 75, 15, 3, 0, 75 };
    for (int k = 0; k < 7; k++) {
        uint64_t from, before = 0;
        int i = 0;
        for (uint64_t m = 1; m <= warm[k]; m++) {
            uint64_t end = bnn__nuts_window(warm[k], m, &from);
            CHECK(from == before);
            CHECK(end == (m > first[k] ? ends[k][i] : 0));
            if (end == m) before = end, i++;
        }
        CHECK(ends[k][i] == 0);
    }
}

/* ---- the law */

/* Warm-up and draws; the draws (n, DRAWS) by coordinate */
static bnn_mat draws_of(bnn_stepper *s, size_t warmup, size_t keep, double *h) {
    bnn_mat d = bnn_mat_new(&mem, s->n, keep);
    for (size_t i = 0; i < warmup + keep; i++) {
        bnn_tape_reset(&tape);
        bnn_step(s, &tape);
        for (size_t j = 0; i >= warmup && j < s->n; j++)
            d.data[j * keep + i - warmup] = s->params->theta[j];
        if (i >= warmup && h != NULL) h[i - warmup] = s->hmc->hamiltonian;
    }
    return d;
}

/* The mean of f over a chain lies within 4.5 of its errors of the truth: 7e-6 each */
static void check_mean(bnn_mat chain, double truth) {
    double mean = bnn_mat_sum(chain) / (double)chain.cols;
    CHECK_NEAR(mean, truth, 4.5 * bnn_diag_mcse(&mem, chain));
}

static void check_moments(bnn_mat d, const double *var, double most) {
    for (size_t j = 0; j < d.rows; j++) {
        bnn_mat x = bnn_mat_rows(d, j, 1), q = bnn_mat_copy(&mem, x);
        check_mean(x, 0);
        for (size_t i = 0; i < q.cols; i++) q.data[i] *= x.data[i];
        check_mean(q, var[j]);
        CHECK(bnn_diag_mcse(&mem, q) < most * var[j]); /* and that says something */
    }
}

static void nuts_samples_badly_scaled_gaussians(void) {
    enum { WARM = 1000, DRAWS = 4000 };
    static const double sd[4] = { 0.01, 1, 3, 100 };
    for (int mass = 1; mass <= 2; mass++) {
        double var[4], h[DRAWS], e;
        target u;
        bnn_stepper s;
        open_all(10 + (uint64_t)mass);
        u = target_of(4, NULL);
        for (int i = 0; i < 4; i++)
            u.precision.data[5 * i] = (float)(1 / sd[i] / sd[i]), var[i] = sd[i] * sd[i];
        s = bnn_nuts(u.w, (bnn_nuts_desc){ .energy = energy, .user = &u, .warmup = WARM,
                     .mass = mass });
        check_moments(draws_of(&s, WARM, DRAWS, h), var, 0.06);
        CHECK(s.hmc->draws == DRAWS && s.hmc->divergent == 0 && s.hmc->saturated == 0);
        CHECK_NEAR(s.hmc->accept_sum / DRAWS, 0.85, 0.1);
        for (int i = 0; i < 4; i++)
            CHECK_NEAR((double)s.hmc->mass_inv[i] / var[i], 1, i == 0 ? 0.5 : 0.4);
        e = bnn_diag_ebfmi(h, DRAWS); /* the momenta are half of the energy of a Gaussian: near 1 */
        CHECK(e > 0.7 && e < 1.4);
        CHECK(tape.notes == 0);
        close_all();
    }
}

/* corr 0.999 in pairs, which a diagonal does not see */
static void a_dense_mass_takes_fewer_steps_where_weights_correlate(void) {
    enum { WARM = 1000, DRAWS = 3000 };
    double steps[2], rho = 0.999, p = 1 / (1 - rho * rho), var[4] = { 1, 1, 1, 1 };
    for (int dense = 0; dense < 2; dense++) {
        target u;
        bnn_stepper s;
        open_all(20 + (uint64_t)dense);
        u = target_of(4, NULL);
        for (int i = 0; i < 4; i++) {
            u.precision.data[5 * i] = (float)p;
            u.precision.data[4 * i + (i ^ 1)] = (float)(-rho * p);
        }
        s = bnn_nuts(u.w, (bnn_nuts_desc){ .energy = energy, .user = &u, .warmup = WARM,
                     .mass = dense ? BNN_MASS_DENSE : BNN_MASS_DIAGONAL });
        for (int i = 0; i < WARM; i++) {
            bnn_tape_reset(&tape);
            bnn_step(&s, &tape);
        }
        u.count = 0;
        check_moments(draws_of(&s, 0, DRAWS, NULL), var, 0.12);
        steps[dense] = u.count;
        if (dense) CHECK_NEAR(s.hmc->cov.data[1], rho, 0.25);
        close_all();
    }
    CHECK(steps[1] < steps[0] / 5);
}

/* P(y > 4) by quadrature over x */
static double beyond(void) {
    double p = 0;
    for (double x = -8; x < 8; x += 1e-3)
        p += 1e-3 * exp(-x * x / 2) / sqrt(2 * BNN__PI) * erfc(4 - x * x) / 2;
    return p;
}

/* E y = 1; higher moments hang on few draws far out, where an error is no sd/sqrt(ESS) */
static void nuts_samples_a_banana(void) {
    enum { WARM = 1000, DRAWS = 20000 };
    target u;
    bnn_stepper s;
    bnn_mat d, x, y, f;
    open_all(30);
    u = target_of(2, NULL);
    u.banana = 1;
    s = bnn_nuts(u.w, (bnn_nuts_desc){ .energy = energy, .user = &u, .warmup = WARM,
                 .accept = (float)0.9 });
    d = draws_of(&s, WARM, DRAWS, NULL);
    x = bnn_mat_rows(d, 0, 1), y = bnn_mat_rows(d, 1, 1), f = bnn_mat_new(&mem, 1, DRAWS);
    check_mean(x, 0), check_mean(y, 1);
    for (int i = 0; i < DRAWS; i++) f.data[i] = x.data[i] * x.data[i];
    check_mean(f, 1);
    for (int i = 0; i < DRAWS; i++) f.data[i] = y.data[i] > 4; /* far out on both arms */
    check_mean(f, beyond());
    CHECK(bnn_diag_mcse(&mem, f) < 0.02);
    close_all();
}

static void temperature_widens_the_law(void) {
    enum { WARM = 300, DRAWS = 4000 };
    static const double a[1] = { 4 };
    double var = 0.75; /* T / 4 */
    target u;
    bnn_stepper s;
    bnn_mat d;
    open_all(40);
    u = target_of(1, a);
    s = bnn_nuts(u.w, (bnn_nuts_desc){ .energy = energy, .user = &u, .warmup = WARM,
                 .temperature = 3, .mass = BNN_MASS_UNIT });
    d = draws_of(&s, WARM, DRAWS, NULL);
    check_moments(d, &var, 0.06);
    CHECK(s.hmc->mass_inv[0] == 1);
    CHECK_NEAR(s.hmc->energy, 2 * (double)u.w->theta[0] * (double)u.w->theta[0],
               BUILD_TOL(1e-5, 1e-12));
    close_all();
}

/* A net with data: linear regression, whose posterior is known */
static void nuts_samples_the_posterior_of_a_net(void) {
    enum { N = 30, D = 3, WARM = 500, DRAWS = 3000 };
    double alpha[D] = { 1, 1, 1 };
    float x[N * D], y[N];
    bnn_data d = { { N, D, x }, { N, 1, y } };
    bnn_mat mean, cov, draws;
    bnn_stepper s;
    bnn_net net;
    open_all(45);
    for (int i = 0; i < N * D; i++) x[i] = bnn_rng_normal(&tape.rng) + (float)(i % D == 0);
    for (int i = 0; i < N; i++) y[i] = x[D * i] - 2 * x[D * i + 1] + bnn_rng_normal(&tape.rng);
    mean = bnn_mat_new(&mem, D, 1), cov = bnn_mat_new(&mem, D, D);
    CHECK(!isnan(bnn_linear_evidence(&mem, mean, cov, d, alpha, 4)));
    net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { D, 1 }, .no_bias = 1,
                  .noise_std = (float)0.5 });
    s = bnn_nuts(net.params, (bnn_nuts_desc){ .net = &net, .data = d, .warmup = WARM });
    draws = draws_of(&s, WARM, DRAWS, NULL);
    for (int j = 0; j < D; j++) {
        bnn_mat c = bnn_mat_rows(draws, (size_t)j, 1);
        check_mean(c, (double)mean.data[j]);
        for (int i = 0; i < DRAWS; i++)
            c.data[i] = (c.data[i] - mean.data[j]) * (c.data[i] - mean.data[j]);
        check_mean(c, (double)cov.data[j * (D + 1)]);
    }
    CHECK(s.hmc->divergent == 0 && tape.n_data == N);
    close_all();
}

/* ---- resumption: in every window, for every mass */

static void a_resumed_chain_has_the_same_bits(void) {
    enum { N = 3, ALL = 260 };
    static const double a[9] = { 2, 0.9, 0, 0.9, 1, 0.3, 0, 0.3, 5 };
    static const int at[] = { 40, 90, 120, 230, 255 };
    for (int mass = 1; mass <= 3; mass++)
        for (int k = 0; k < 5; k++) {
            float want[N];
            double step = 0, h = 0;
            void *file = NULL;
            size_t size = 0;
            for (int again = 0; again < 2; again++) {
                target u;
                bnn_stepper s;
                bnn_checkpoint cp = { 0 };
                bnn_net holder = { 0 };
                open_all(50);
                u = target_of(N, a);
                s = bnn_nuts(u.w, (bnn_nuts_desc){ .energy = energy, .user = &u, .warmup = 250,
                             .mass = mass, .max_depth = 6 });
                holder.params = u.w, holder.likelihood = BNN_GAUSSIAN, holder.noise_std = 1;
                cp.nets[0] = &holder, cp.steppers[0] = &s, cp.rngs[0] = &tape.rng;
                for (int i = 0; i < ALL; i++) {
                    if (i == at[k] && !again) {
                        void *bytes = NULL;
                        CHECK(bnn_checkpoint_write(&mem, &cp, &bytes, &size) == BNN_OK);
                        file = malloc(size);
                        memcpy(file, bytes, size);
                    }
                    if (again && i == 0) {
                        tape.rng = bnn_rng_seed(999);
                        CHECK(bnn_checkpoint_read(&mem, &cp, file, size) == BNN_OK);
                        i = at[k];
                    }
                    bnn_tape_reset(&tape);
                    bnn_step(&s, &tape);
                }
                if (!again) {
                    memcpy(want, u.w->theta, sizeof want);
                    step = s.hmc->step, h = s.hmc->hamiltonian;
                } else {
                    CHECK_SAME_ARRAY(want, u.w->theta, N);
                    CHECK_SAME(step, s.hmc->step);
                    CHECK_SAME(h, s.hmc->hamiltonian);
                    CHECK(s.hmc->draws == ALL - 250 && s.hmc->max_depth == 6);
                }
                close_all();
            }
            free(file);
        }
}

static void a_sampler_made_otherwise_does_not_load(void) {
    target u;
    bnn_stepper s, other;
    bnn_net holder = { .likelihood = BNN_GAUSSIAN, .noise_std = 1 };
    bnn_checkpoint cp = { .nets = { &holder }, .steppers = { &s } };
    void *bytes;
    size_t size;
    open_all(60);
    u = target_of(2, NULL);
    holder.params = u.w;
    s = bnn_nuts(u.w, (bnn_nuts_desc){ .energy = energy, .user = &u });
    CHECK(bnn_checkpoint_write(&mem, &cp, &bytes, &size) == BNN_OK);
    cp.steppers[0] = &other;
    other = bnn_nuts(u.w, (bnn_nuts_desc){ .energy = energy, .user = &u, .mass = BNN_MASS_DENSE });
    CHECK(bnn_checkpoint_read(&mem, &cp, bytes, size) == BNN_ESHAPE);
    CHECK(strstr(mem.msg, "mass or max_depth differs") != NULL);
    other = bnn_nuts(u.w, (bnn_nuts_desc){ .energy = energy, .user = &u, .max_depth = 9 });
    CHECK(bnn_checkpoint_read(&mem, &cp, bytes, size) == BNN_ESHAPE);
    CHECK(strstr(mem.msg, "mass or max_depth differs") != NULL);
    other = bnn_hmc(u.w, (bnn_hmc_desc){ .energy = energy, .user = &u });
    CHECK(bnn_checkpoint_read(&mem, &cp, bytes, size) == BNN_ESHAPE);
    CHECK(strstr(mem.msg, "expected") != NULL);
    CHECK(other.hmc->max_depth == 0);
    close_all();
}

/* ---- bad input, and notes */

static bnn_var *nowhere(bnn_tape *t, void *user) {
    (void)user;
    return bnn_scalar(t, (float)(user != NULL ? NAN : INFINITY));
}

static void bad_input_is_told(void) {
    open_all(70);
    for (int k = 0; k < 2; k++) { /* infinite; not a number */
        target u = target_of(2, NULL);
        bnn_stepper s = bnn_nuts(u.w, (bnn_nuts_desc){ .energy = nowhere, .user = k ? &u : NULL,
                                 .warmup = 30 });
        u.w->theta[0] = (float)0.25;
        bnn_step(&s, &tape);
        CHECK(took(BNN_ENONFINITE, "bnn_nuts: the energy at the start is not finite"));
        CHECK(s.t == 0 && u.w->theta[0] == (float)0.25 && u.w->theta[1] == 0);
    }
    for (int k = 0; k < 6; k++) {
        static const char *part[] = { "mass is 4", "max_depth is 21", "accept is 2", "step is -1",
                                      "give a net", "warmup is 2" };
        target u = target_of(2, NULL);
        bnn_nuts_desc d = { .energy = energy, .user = &u };
        if (k == 0) d.mass = 4;
        if (k == 1) d.max_depth = 21;
        if (k == 2) d.accept = 2;
        if (k == 3) d.step = -1;
        if (k == 4) d.energy = NULL;
        if (k == 5) d.warmup = 2000000000;
        CHECK(bnn_nuts(u.w, d).n == 0);
        CHECK(mem_took(BNN_EARG, part[k]));
    }
    bnn_nuts(NULL, (bnn_nuts_desc){ 0 });
    close_all();
}

static void a_funnel_diverges_and_a_walk_saturates_with_notes(void) {
    static const double a[4] = { 1e4, 0, 0, 1e4 };
    target u;
    bnn_stepper s;
    open_all(80);
    u = target_of(2, a);
    s = bnn_nuts(u.w, (bnn_nuts_desc){ .energy = energy, .user = &u, .step = 5 });
    bnn_step(&s, &tape);
    CHECK(s.hmc->diverged && s.hmc->divergent == 1 && tape.notes == 1);
    CHECK(strstr(tape.note, "draw 1 diverged") != NULL);
    bnn_step(&s, &tape);
    CHECK(s.hmc->divergent == 2 && tape.notes == 1); /* told once */
    close_all();
    open_all(81);
    u = target_of(2, a);
    s = bnn_nuts(u.w, (bnn_nuts_desc){ .energy = energy, .user = &u, .step = (float)1e-5,
                 .max_depth = 3 });
    for (int i = 0; i < 3; i++) bnn_step(&s, &tape);
    CHECK(s.hmc->depth == 3 && s.hmc->leapfrogs == 7 && s.hmc->saturated == 3 && tape.notes == 1);
    CHECK(strstr(tape.note, "draw 1 went 2^3 steps without a turn") != NULL);
    close_all();
}

/* 60 weights of sd 1e4 from 25 draws: no float holds what makes their covariance regular */
/* Of one weight both are one number, the paths the same. Where its variance is 1e-4, a few draws
 * are shrunk by as much. */
static void a_dense_mass_of_one_weight_is_the_diagonal(void) {
    double mass[2];
    for (int dense = 0; dense < 2; dense++) {
        open_all(24);
        target u = target_of(1, NULL);
        u.precision.data[0] = (float)1e4;
        bnn_stepper s = bnn_nuts(u.w, (bnn_nuts_desc){ .energy = energy, .user = &u, .warmup = 150,
                                 .mass = dense ? BNN_MASS_DENSE : BNN_MASS_DIAGONAL });
        for (int i = 0; i < 150; i++) {
            bnn_tape_reset(&tape);
            bnn_step(&s, &tape);
        }
        mass[dense] = s.hmc->mass_inv[0];
        close_all();
    }
    CHECK_NEAR(mass[1], mass[0], 1e-4 * mass[0]);
}
static void a_covariance_of_too_few_draws_is_told(void) {
    enum { N = 60, WARM = 150 };
    target u;
    bnn_stepper s;
    open_all(90);
    u = target_of(N, NULL);
    for (int i = 0; i < N; i++) u.precision.data[i * (N + 1)] = (float)1e-8;
    s = bnn_nuts(u.w, (bnn_nuts_desc){ .energy = energy, .user = &u, .warmup = WARM, .max_depth = 5,
                 .mass = BNN_MASS_DENSE, .step = 1000 });
    for (int i = 0; i < N; i++) u.w->theta[i] = (float)(1e4 * (double)bnn_rng_normal(&tape.rng));
    for (int i = 0; i < WARM; i++) bnn_step(&s, &tape);
    if (sizeof(float) == 8) tape.notes = 0; /* a double does */
    else CHECK(tape.notes >= 1 && strstr(tape.note, "the covariance of 25 draws") != NULL);
    CHECK((sizeof(float) == 8 || s.hmc->cov.data[1] == 0) && s.hmc->cov.data[0] > 1e4);
    close_all();
}

/* ---- diagnostics */

static void ebfmi_is_its_definition(void) {
    static const double e[] = { 1, 3, 2, 6 };   /* steps 4 + 1 + 16; squares about 3: 4+0+1+9 */
    CHECK_NEAR(bnn_diag_ebfmi(e, 4), 1.5, 1e-15);
    CHECK(isnan(bnn_diag_ebfmi(e, 1)) && isnan(bnn_diag_ebfmi(NULL, 4)));
    static const double flat[] = { 2, 2, 2 };
    CHECK(isnan(bnn_diag_ebfmi(flat, 3)));
}

/* SGLD with step a = lr/N on U = x^2/2 has variance 1/(1 - a/2), and that is its temperature. */
static void a_too_long_step_of_sgld_shows_in_its_temperature(void) {
    enum { N = 50, DRAWS = 2000, DATA = 100 };
    static const double step[] = { 0.1, 1 };
    for (int k = 0; k < 2; k++) {
        target u;
        bnn_stepper s;
        bnn_mat draws, grads, none = { 0, 0, NULL };
        double truth = 1 / (1 - step[k] / 2), t;
        open_all(100 + (uint64_t)k);
        u = target_of(N, NULL);
        for (int i = 0; i < N; i++) u.precision.data[i * (N + 1)] = 1;
        s = bnn_sgld(u.w, (bnn_sgld_desc){ .lr = (float)(step[k] * DATA) });
        draws = bnn_mat_new(&mem, DRAWS, N), grads = bnn_mat_new(&mem, DRAWS, N);
        for (int i = -100; i < DRAWS; i++) {
            bnn_tape_reset(&tape);
            tape.n_data = DATA;
            bnn_backward(bnn_scale(energy(&tape, &u), (float)1 / DATA));
            if (i >= 0) {
                memcpy(draws.data + i * N, u.w->theta, N * sizeof(float));
                memcpy(grads.data + i * N, u.w->grad, N * sizeof(float));
            }
            bnn_step(&s, &tape);
        }
        t = bnn_diag_temperature(draws, grads, DATA);
        /* N DRAWS squares whose autocorrelation is (1-a)^2k: sd below 0.02; 5 of them */
        CHECK_NEAR(t, truth, 5 * truth * sqrt(2.0 / N / DRAWS * (2 / step[k])));
        CHECK(k == 0 ? t < 1.2 : t > 1.8);
        CHECK(isnan(bnn_diag_temperature(draws, none, 1)));
        CHECK(isnan(bnn_diag_temperature(draws, grads, 0)));
        close_all();
    }
}

/* Wherever memory ends, it is an error that says so, and nothing is half made. */
static void any_allocation_may_fail(void) {
    static unsigned char space[1 << 16];
    int made = 0;
    open_all(110);
    for (size_t room = 64; room <= sizeof space && !made; room += 64) {
        bnn_arena small = { .buffer = space, .capacity = room };
        bnn_params *w = bnn_params_new(&small);
        target u = { .w = w };
        bnn_stepper s;
        if (w == NULL) continue;
        bnn_params_add(w, 1, 3, "x", (bnn_prior){ 0 });
        u.precision = bnn_mat_new(&small, 3, 3);
        bnn_mat_eye(u.precision);
        s = bnn_nuts(w, (bnn_nuts_desc){ .energy = energy, .user = &u, .warmup = 20, .step = 1,
                     .mass = BNN_MASS_DENSE });
        made = small.err == BNN_OK;
        CHECK(made ? s.n == 3 : s.n == 0 && small.err == BNN_ENOMEM);
        for (int i = 0; i < 30; i++) {
            bnn_tape_reset(&tape);
            bnn_step(&s, &tape);
        }
        CHECK(made ? tape.err == BNN_OK : tape.err == BNN_ENOMEM);
        bnn_tape_clear_error(&tape);
        bnn_arena_free(&small);
    }
    CHECK(made);
    close_all();
}

int main(void) {
    RUN(the_tree_is_that_of_the_slow_sampler);
    RUN(windows_are_those_of_stan);
    RUN(nuts_samples_badly_scaled_gaussians);
    RUN(a_dense_mass_takes_fewer_steps_where_weights_correlate);
    RUN(nuts_samples_a_banana);
    RUN(temperature_widens_the_law);
    RUN(nuts_samples_the_posterior_of_a_net);
    RUN(a_resumed_chain_has_the_same_bits);
    RUN(a_sampler_made_otherwise_does_not_load);
    RUN(bad_input_is_told);
    RUN(a_funnel_diverges_and_a_walk_saturates_with_notes);
    RUN(a_dense_mass_of_one_weight_is_the_diagonal);
    RUN(a_covariance_of_too_few_draws_is_told);
    RUN(any_allocation_may_fail);
    RUN(ebfmi_is_its_definition);
    RUN(a_too_long_step_of_sgld_shows_in_its_temperature);
    return check_done();
}
