/* test_swag.c -- the stochastic gradient Nose-Hoover thermostat against its stationary law, and
 * SWAG against moments written out by hand. A statistical check allows Z standard errors: it fails
 * by chance once in 10,000 times. */
#include "build.h"
#include "world.h"

#define Z 3.9

typedef struct walk { /* U = sum x^2/(2 s2), gradients of U with noise of variance v, N of n_data */
    bnn_params *w;
    double s2, v, n_data;
} walk;

static walk walk_open(size_t n, double s2, double v, double n_data) {
    walk u = { bnn_params_new(&mem), s2, v, n_data };
    bnn_params_add(u.w, 1, n, "x", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    bnn_rng_fill_normal(&tape.rng, n, u.w->theta);
    bnn_mat_scale(bnn_params_mat(u.w, 0), bnn_params_mat(u.w, 0), (float)sqrt(s2));
    return u;
}

static void walk_step(const walk *u, bnn_stepper *s) {
    bnn_var *x, *loss;
    bnn_tape_reset(&tape);
    tape.n_data = u->n_data;
    x = bnn_param(&tape, u->w, 0);
    loss = bnn_scale(bnn_sum(bnn_square(x)), (float)(1 / (2 * u->s2 * u->n_data)));
    if (u->v > 0) {
        bnn_var *noise = bnn_op(&tape, 1, u->w->n, NULL, 0, NULL);
        bnn_rng_fill_normal(&tape.rng, u->w->n, noise->val.data);
        noise = bnn_scale(noise, (float)(sqrt(u->v) / u->n_data));
        loss = bnn_add(loss, bnn_sum(bnn_mul(x, noise)));
    }
    bnn_backward(loss);
    bnn_step(s, &tape);
}

static double square_of(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i] / (double)n;
    return sum;
}

/* Var theta = T s2 whatever the noise of the gradients; the thermostat is where
 * x (1 - a/(2 (2 - x))) = f + lr v/(2 N T), a = lr/(N s2) */
static void sgnht_has_its_variance_and_its_friction_under_noise(void) {
    static const struct { double s2, n_data, a, f, noise, temp; } c[] = {
        { 1, 1, 0.02, 0.1, 0, 1 }, { 0.25, 100, 0.3, 0.2, 0, 1 }, { 4, 10, 0.05, 0.1, 1, 1 },
        { 1, 50, 0.1, 0.05, 4, 1 }, { 2, 5, 0.1, 0.2, 0.5, 3 } };
    enum { N = 20000 };
    for (size_t k = 0; k < sizeof c / sizeof *c; k++) {
        double lr = c[k].a * c[k].n_data * c[k].s2, x = c[k].f, mean = 0, add;
        double v = c[k].noise * 2 * c[k].f * c[k].temp * c[k].n_data / lr; /* noise: times f */
        open_all(1 + k);
        walk u = walk_open(N, c[k].s2, v, c[k].n_data);
        bnn_stepper s = bnn_sgnht(u.w, (bnn_sgnht_desc){ (float)lr, (float)c[k].f,
                                                         (float)c[k].temp });
        add = c[k].f + lr * v / (2 * c[k].n_data * c[k].temp);
        for (int i = 0; i < 100; i++) x = add / (1 - c[k].a / (2 * (2 - x)));
        for (int i = 0; i < 900; i++) {
            walk_step(&u, &s);
            if (i >= 800) mean += (double)s.thermostat / 100;
        }
        CHECK_NEAR(square_of(u.w->theta, N), c[k].temp * c[k].s2,
                   Z * c[k].temp * c[k].s2 * sqrt(2.0 / N));
        CHECK_NEAR(mean, x, 0.02 * x);
        CHECK(tape.err == BNN_OK);
        close_all();
    }
}

/* SGHMC at the same settings is too wide by the noise: the factor that the thermostat takes away */
static void sghmc_is_too_wide_where_sgnht_is_not(void) {
    enum { N = 20000 };
    double lr = 0.5, f = 0.1, v = 0.2 * 10 / lr; /* noise of twice the injected one: 3 in all */
    open_all(11);
    walk u = walk_open(N, 1, v * 2, 10);
    bnn_stepper s = bnn_sghmc(u.w, (bnn_sghmc_desc){ (float)lr, (float)f, 0, 1 });
    for (int i = 0; i < 800; i++) walk_step(&u, &s);
    double factor = 3 / (1 - 0.05 / (2 * (2 - f)));
    CHECK_NEAR(square_of(u.w->theta, N), factor, Z * factor * sqrt(2.0 / N));
    close_all();
}

/* The law of the thermostat itself: N(f, f^2/n), over time, in four independent runs */
static void the_thermostat_is_normal_around_the_friction(void) {
    enum { N = 4, T = 40000, RUNS = 4 };
    double f = 0.02, mean = 0, square = 0;
    open_all(12);
    bnn_mat x = bnn_mat_new(&mem, RUNS, T), sq = bnn_mat_new(&mem, RUNS, T);
    for (int r = 0; r < RUNS; r++) {
        walk u = walk_open(N, 1, 0, 1);
        bnn_stepper s = bnn_sgnht(u.w, (bnn_sgnht_desc){ (float)5e-4, (float)f, 1 });
        for (int i = 0; i < 1000 + 10 * T; i++) {
            walk_step(&u, &s);
            if (i < 1000 || i % 10) continue;
            x.data[r * T + (i - 1000) / 10] = s.thermostat;
            sq.data[r * T + (i - 1000) / 10] = (float)pow((double)s.thermostat - f, 2);
        }
    }
    mean = bnn_mat_sum(x) / (RUNS * T), square = bnn_mat_sum(sq) / (RUNS * T);
    CHECK_NEAR(mean, f, Z * bnn_diag_mcse(&mem, x) + 0.01 * f); /* and of order f */
    CHECK_NEAR(square, f * f / N, Z * bnn_diag_mcse(&mem, sq) + 0.02 * f * f / N);
    close_all();
}

static void sgnht_without_temperature_is_momentum(void) {
    open_all(13);
    walk u = walk_open(3, 1, 0, 1), v = walk_open(3, 1, 0, 1);
    bnn_params_copy(v.w, u.w);
    bnn_stepper s = bnn_sgnht(u.w, (bnn_sgnht_desc){ .lr = (float)0.1, .temperature = BNN_ZERO });
    bnn_stepper m = bnn_sghmc(v.w, (bnn_sghmc_desc){ .lr = (float)0.1, .temperature = BNN_ZERO });
    for (int i = 0; i < 50; i++) walk_step(&u, &s), walk_step(&v, &m);
    CHECK_SAME_ARRAY(u.w->theta, v.w->theta, 3);
    CHECK_SAME(s.thermostat, s.friction);
    close_all();
}

static void sgnht_refuses_settings_outside_their_domain(void) {
    open_all(14);
    walk u = walk_open(3, 1, 0, 1);
    bnn_sgnht(u.w, (bnn_sgnht_desc){ .friction = 2 });
    CHECK(mem_took(BNN_EARG, "bnn_sgnht: friction (nor may it be 0) is 2"));
    bnn_sgnht(u.w, (bnn_sgnht_desc){ .lr = -1 });
    CHECK(mem_took(BNN_EARG, "bnn_sgnht: lr is -1"));
    close_all();
}

static void a_checkpoint_continues_sgnht_bit_for_bit(void) {
    void *bytes = NULL;
    size_t size = 0;
    open_all(15);
    bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, 4 },
        .noise_std = 1, .no_bias = 1 });
    walk u = { net.params, 1, 3, 10 };
    bnn_stepper s = bnn_sgnht(net.params, (bnn_sgnht_desc){ .lr = (float)0.05 });
    bnn_checkpoint c = { .nets = { &net }, .steppers = { &s }, .rngs = { &tape.rng } };
    for (int i = 0; i < 40; i++) walk_step(&u, &s);
    s.thermostat = (float)-0.02; /* of any sign */
    CHECK(bnn_checkpoint_write(&mem, &c, &bytes, &size) == BNN_OK);
    for (int i = 0; i < 20; i++) walk_step(&u, &s);
    float kept[4], friction = s.thermostat;
    memcpy(kept, net.params->theta, 4 * sizeof *kept);
    s.thermostat = 1;
    CHECK(bnn_checkpoint_read(&mem, &c, bytes, size) == BNN_OK);
    CHECK(s.kind == BNN_SGNHT && s.t == 40);
    CHECK_NEAR(s.thermostat, -0.02, 1e-8);
    for (int i = 0; i < 20; i++) walk_step(&u, &s);
    CHECK_SAME_ARRAY(net.params->theta, kept, 4);
    CHECK_SAME(s.thermostat, friction);
    close_all();
}

/* ---- SWAG */

/* Covariance of many draws against (diag + D D^T/(K-1))/2 with D by hand */
static void swag_draws_have_the_moments_of_the_path(void) {
    enum { N = 3, C = 7, K = 4, DRAWS = 40000 };
    double path[C][N], mean[N] = { 0 }, m2[N] = { 0 }, dev[C][N], running[N] = { 0 };
    open_all(20);
    walk u = walk_open(N, 1, 0, 1);
    for (int diagonal = 0; diagonal < 2; diagonal++) {
        bnn_swag s = bnn_swag_new(u.w, (bnn_swag_desc){ .rank = K, .diagonal = diagonal });
        bnn_ensemble e = bnn_ensemble_new(u.w, DRAWS);
        memset(mean, 0, sizeof mean), memset(m2, 0, sizeof m2);
        memset(running, 0, sizeof running);
        for (int c = 0; c < C; c++) {
            double common = (double)bnn_rng_normal(&tape.rng);
            for (int i = 0; i < N; i++) {
                u.w->theta[i] = (float)(i + common + 0.5 * (double)bnn_rng_normal(&tape.rng));
                path[c][i] = (double)u.w->theta[i];
                running[i] += path[c][i];
                dev[c][i] = path[c][i] - running[i] / (c + 1);
                mean[i] += path[c][i] / C;
            }
            CHECK(bnn_swag_collect(&s) == BNN_OK);
        }
        for (int i = 0; i < N; i++)
            for (int c = 0; c < C; c++) m2[i] += pow(path[c][i] - mean[i], 2) / C;
        for (int k = 0; k < DRAWS; k++) CHECK(bnn_swag_push(&s, &e, &tape.rng) == BNN_OK);
        bnn_swag_mean(&s);
        for (int i = 0; i < N; i++) {
            CHECK_NEAR(u.w->theta[i], mean[i], 1e-5);
            for (int j = 0; j < N; j++) {
                double want = i == j ? m2[i] : 0, got = 0, vi = m2[i], vj = m2[j];
                for (int c = C - K; c < C && !diagonal; c++) {
                    if (c == C - K) want /= 2, vi /= 2, vj /= 2;
                    want += dev[c][i] * dev[c][j] / (2 * (K - 1));
                    vi += dev[c][i] * dev[c][i] / (2 * (K - 1));
                    vj += dev[c][j] * dev[c][j] / (2 * (K - 1));
                }
                for (int k = 0; k < DRAWS; k++)
                    got += ((double)e.samples.data[k * N + i] - mean[i]) *
                           ((double)e.samples.data[k * N + j] - mean[j]) / DRAWS;
                CHECK_NEAR(got, want, Z * sqrt((vi * vj + want * want) / DRAWS));
            }
        }
    }
    close_all();
}

static void swag_says_what_is_wrong(void) {
    open_all(21);
    walk u = walk_open(2, 1, 0, 1);
    bnn_ensemble e = bnn_ensemble_new(u.w, 2);
    bnn_swag s = bnn_swag_new(u.w, (bnn_swag_desc){ 0 });
    CHECK(s.desc.rank == 20);
    CHECK(bnn_swag_collect(&s) == BNN_OK);
    CHECK(bnn_swag_push(&s, &e, &tape.rng) == BNN_EARG);
    CHECK(mem_took(BNN_EARG, "1 sets of weights were collected, a variance wants two"));
    u.w->theta[1] = (float)INFINITY;
    CHECK(bnn_swag_collect(&s) == BNN_ENONFINITE);
    CHECK(mem_took(BNN_ENONFINITE, "bnn_swag_collect: block x is not finite"));
    u.w->theta[1] = 0;
    s = bnn_swag_new(u.w, (bnn_swag_desc){ .rank = 1 });
    CHECK(mem_took(BNN_EARG, "bnn_swag_new: rank 1, it must be 2 or more"));
    CHECK(bnn_swag_collect(&s) == BNN_EARG && bnn_swag_push(&s, &e, &tape.rng) == BNN_EARG);
    close_all();
}

static void what_was_made_before_a_block_was_added_is_refused(void) {
    for (int diagonal = 0; diagonal < 2; diagonal++) {
        open_all(22);
        walk u = walk_open(2, 1, 0, 1);
        bnn_ensemble e = bnn_ensemble_new(u.w, 2);
        bnn_swag s = bnn_swag_new(u.w, (bnn_swag_desc){ .rank = 2, .diagonal = diagonal });
        double *behind = (double *)bnn_arena_alloc(&mem, 100, sizeof *behind);
        bnn_ensemble_push(&e);
        CHECK(bnn_swag_collect(&s) == BNN_OK && bnn_swag_collect(&s) == BNN_OK);
        bnn_params_add(u.w, 1, 300, "more", (bnn_prior){ 0 });
        for (size_t i = 0; i < u.w->n; i++) u.w->theta[i] = 7;
        CHECK(bnn_swag_collect(&s) == BNN_ESHAPE);
        CHECK(mem_took(BNN_ESHAPE, "bnn_swag_collect: samples have 2 weights, these are 302"));
        CHECK(bnn_swag_push(&s, &e, &tape.rng) == BNN_ESHAPE && s.count == 2);
        CHECK(mem_took(BNN_ESHAPE, "bnn_swag_push: samples have 2 weights, these are 302"));
        bnn_swag_mean(&s);
        CHECK(u.w->theta[1] == (float)s.mean[1] && u.w->theta[2] == 7);
        for (int i = 0; i < 100; i++) CHECK(behind[i] == 0);
        CHECK(bnn_ensemble_sample(&e, 0).n == 0); /* a view would end outside of the samples */
        close_all();
    }
}

int main(void) {
    RUN(sgnht_has_its_variance_and_its_friction_under_noise);
    RUN(sghmc_is_too_wide_where_sgnht_is_not);
    RUN(the_thermostat_is_normal_around_the_friction);
    RUN(sgnht_without_temperature_is_momentum);
    RUN(sgnht_refuses_settings_outside_their_domain);
    RUN(a_checkpoint_continues_sgnht_bit_for_bit);
    RUN(swag_draws_have_the_moments_of_the_path);
    RUN(swag_says_what_is_wrong);
    RUN(what_was_made_before_a_block_was_added_is_refused);
    return check_done();
}
