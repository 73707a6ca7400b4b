/* test_units.c -- y and its noise times a unit: whatever the net does changes as it must. Bounds and
 * prior of learned noise; whose N a gradient is divided by; NaN in data; costs of a minibatch. */
#include "build.h"
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "check.h"

enum { ROWS = 40, KINDS = 5, STEPS = 300, DRAWS = 8 };

static const double units[] = { 1, 1e-8, 3e-5, 0.7, 250, 1e8 };
enum { UNITS = sizeof units / sizeof *units };

/* Every likelihood with a scale: known, learned, predicted; heavy tails */
static bnn_mlp_desc model(int kind, double unit) {
    bnn_mlp_desc d = { .sizes = { 2, 5, 1 }, .activation = BNN_TANH, .seed = 3 };
    if (kind == 1) d.noise_learned = 1;
    else if (kind == 2) d.likelihood = BNN_GAUSSIAN_HETERO, d.sizes[2] = 2;
    else d.noise_std = (float)(0.3 * unit);
    if (kind == 3) d.likelihood = BNN_DOUBLE_EXPONENTIAL;
    if (kind == 4) d.likelihood = BNN_STUDENT;
    return d;
}

static bnn_data make_data(bnn_arena *mem, double unit) {
    bnn_data d = { bnn_mat_new(mem, ROWS, 2), bnn_mat_new(mem, ROWS, 1) };
    bnn_rng r = bnn_rng_seed(5);
    bnn_rng_fill_normal(&r, 2 * ROWS, d.x.data);
    for (size_t i = 0; i < ROWS; i++) {
        double x = (double)d.x.data[2 * i], e = (double)bnn_rng_normal(&r);
        d.y.data[i] = (float)(unit * (3 + sin(2 * x) + 0.3 * e));
    }
    return d;
}

typedef struct { /* of one run: in units of y */
    double theta[64], mean[3], aleatoric[3], epistemic[3], log_lik, loss, evidence;
    size_t n;
} run;

/* SGLD on a standardized net, then everything that is said of y */
static run learn(int kind, double unit) {
    run r = { .n = 0 };
    bnn_arena mem = { 0 };
    bnn_tape t = { .rng = bnn_rng_seed(9) };
    bnn_params *w = bnn_params_new(&mem);
    bnn_data d = make_data(&mem, unit);
    bnn_net net = bnn_mlp(w, model(kind, unit));
    CHECK(bnn_net_standardize(&net, d) == BNN_OK);
    bnn_stepper s = bnn_sgld(w, (bnn_sgld_desc){ .lr = (float)2e-3 });
    bnn_ensemble post = bnn_ensemble_new(w, DRAWS);
    for (int i = 0; i < STEPS; i++) {
        bnn_tape_reset(&t);
        bnn_backward(bnn_net_loss(&net, bnn_minibatch(&t, d, ROWS / 2)));
        bnn_step(&s, &t);
        if (i >= STEPS - DRAWS) bnn_ensemble_push(&post);
    }
    bnn_tape_reset(&t);
    r.loss = (double)bnn_value(bnn_net_nll(&net, bnn_batch_all(&t, d)));
    r.n = w->n;
    for (size_t i = 0; i < w->n; i++) r.theta[i] = (double)w->theta[i];
    bnn_predictive p = bnn_predict(&mem, &t, &net, &post, bnn_mat_rows(d.x, 0, 3));
    for (int i = 0; i < 3 && p.mean.data != NULL; i++) {
        r.mean[i] = (double)p.mean.data[i], r.aleatoric[i] = (double)p.aleatoric.data[i];
        r.epistemic[i] = (double)p.epistemic.data[i];
    }
    bnn_mat ll = bnn_predict_log_lik(&mem, &t, &net, &post, d);
    for (size_t i = 0; i < ROWS && ll.data != NULL; i++) r.log_lik += (double)ll.data[i];
    bnn_laplace la = bnn_laplace_new(&mem, &t, &net, d, BNN_LAPLACE_FULL);
    r.evidence = la.log_evidence;
    CHECK(t.err == BNN_OK && mem.err == BNN_OK);
    if (t.err != BNN_OK) printf("    kind %d, unit %g: %s\n", kind, unit, t.msg);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
    return r;
}

static void a_unit_of_y_changes_every_answer_as_it_must(void) {
    double tol = BUILD_TOL(2e-3, 1e-7);
    for (int kind = 0; kind < KINDS; kind++) {
        run one = learn(kind, 1);
        for (int k = 1; k < UNITS; k++) {
            double u = units[k], jacobian = ROWS * log(u);
            run r = learn(kind, u);
            int bad = check_bad;
            for (size_t i = 0; i < r.n; i++)
                CHECK_NEAR(r.theta[i], one.theta[i], tol * (1 + fabs(one.theta[i])));
            for (int i = 0; i < 3; i++) {
                CHECK_NEAR(r.mean[i] / u, one.mean[i], tol * 3);
                CHECK_NEAR(r.aleatoric[i] / u / u / one.aleatoric[i], 1, tol);
                CHECK_NEAR(r.epistemic[i] / u / u / one.epistemic[i], 1, 20 * tol);
            }
            CHECK_NEAR(r.log_lik, one.log_lik - jacobian, tol * ROWS);
            CHECK_NEAR(r.loss, one.loss + log(u), tol);
            CHECK_NEAR(r.evidence, one.evidence - jacobian, tol * ROWS);
            if (check_bad != bad) printf("    kind %d, unit %g\n", kind, u);
        }
    }
}

/* Known noise is what was said, at any size, without scaling; nets made by hand, too. */
static void known_noise_is_never_clamped(void) {
    static const int lik[] = { BNN_GAUSSIAN, BNN_DOUBLE_EXPONENTIAL, BNN_STUDENT };
    for (double s = 1e-8; s < 2e8; s *= 10)
        for (int k = 0; k < 3; k++) {
            bnn_arena mem = { 0 };
            bnn_tape t = { 0 };
            float x[1] = { 1 }, y[1] = { (float)(1.5 * s) };
            bnn_data d = { { 1, 1, x }, { 1, 1, y } };
            bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, 1 },
                                  .likelihood = lik[k], .noise_std = (float)s,
                                  .init = BNN_INIT_ZERO });
            double want[] = { log(s) + 0.91893853320467274 + 1.125, log(2 * s) + 1.5,
                              log(s) + 2.5 * log1p(2.25 / 4) + 0.98082925301172624 };
            double var[] = { 1, 2, 2 };
            CHECK_NEAR(bnn_value(bnn_net_nll(&net, bnn_batch_all(&t, d))), want[k],
                       BUILD_TOL(1e-5, 1e-12) * (1 + fabs(want[k])));
            CHECK_NEAR(bnn_predict_log_lik(&mem, &t, &net, NULL, d).data[0], -want[k],
                       BUILD_TOL(1e-5, 1e-12) * (1 + fabs(want[k])));
            CHECK_NEAR(bnn_predict(&mem, &t, &net, NULL, d.x).aleatoric.data[0] / s / s, var[k],
                       BUILD_TOL(2e-5, 1e-12));
            CHECK(t.err == BNN_OK && t.notes == 0);
            bnn_tape_free(&t);
            bnn_arena_free(&mem);
        }
}

static bnn_var *zero_forward(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    (void)t;
    return bnn_affine(x, bnn_param(x->tape, net->params, 0), NULL);
}

static void a_net_by_hand_hears_of_its_noise(void) {
    static const int lik[] = { 0, BNN_GAUSSIAN, BNN_DOUBLE_EXPONENTIAL, BNN_STUDENT,
                               BNN_BERNOULLI, BNN_POISSON };
    for (int k = 0; k < 6; k++)
        for (int said = 0; said < 3; said++) {
            bnn_arena mem = { 0 };
            bnn_tape t = { 0 };
            float x[1] = { 1 }, y[1] = { 1 };
            bnn_data d = { { 1, 1, x }, { 1, 1, y } };
            bnn_params *w = bnn_params_new(&mem);
            bnn_params_add(w, 1, 1, "w", (bnn_prior){ 0 });
            bnn_net net = { .params = w, .forward = zero_forward, .likelihood = lik[k],
                            .noise_std = said == 1 ? 2 : said == 2 ? -2 : 0 };
            bnn_net_loss(&net, bnn_batch_all(&t, d));
            bnn_net_loss(&net, bnn_batch_all(&t, d));
            CHECK(t.notes == (k < 4 && said == 0) && (t.err == BNN_EARG) == (k < 4 && said == 2));
            if (t.notes) CHECK(strstr(t.note, "set net.noise_std") != NULL);
            bnn_tape_free(&t);
            bnn_arena_free(&mem);
        }
}

/* ---- learned noise: bounds and prior */
static void learned_noise_at_a_bound_says_so_once(void) {
    for (int hetero = 0; hetero < 2; hetero++)
        for (int k = -2; k <= 2; k++) {
            bnn_arena mem = { 0 };
            bnn_tape t = { 0 };
            float x[2] = { 1, 2 }, y[2] = { 1, 3 };
            bnn_data d = { { 2, 1, x }, { 2, 1, y } };
            double a = k == -2 ? -25 : k == -1 ? -19.5 : k == 1 ? 19.5 : k == 2 ? 20 : 0;
            bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){
                .sizes = { 1, hetero ? 2 : 1 }, .init = BNN_INIT_ZERO, .noise_learned = !hetero,
                .likelihood = hetero ? BNN_GAUSSIAN_HETERO : BNN_GAUSSIAN });
            size_t at = hetero ? 3 : 2; /* the second bias, or the noise */
            net.params->theta[at] = (float)a;
            for (int step = 0; step < 3; step++) {
                bnn_tape_reset(&t);
                bnn_params_zero_grad(net.params);
                bnn_backward(bnn_net_loss(&net, bnn_batch_all(&t, d)));
            }
            CHECK(t.err == BNN_OK && t.notes == (k == -2 || k == 2));
            if (t.notes) {
                CHECK(strstr(t.note, "or give a fixed noise_std") != NULL);
                CHECK(strstr(t.note, k > 0 ? "bound of 20: the noise diverges"
                                           : "bound of -20: the noise vanishes") != NULL);
            }
            if (k == -2) /* only the prior speaks there, and it calls back */
                CHECK_NEAR(net.params->grad[at], a / (hetero ? 1 : 25) / 2, 1e-5);
            bnn_tape_free(&t);
            bnn_arena_free(&mem);
        }
}

/* y = 2x of size 1e6 without standardizing: what was said silently is said aloud. */
static void noise_that_diverges_in_training_is_heard(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { .rng = bnn_rng_seed(1) };
    bnn_data d = { bnn_mat_new(&mem, 50, 1), bnn_mat_new(&mem, 50, 1) };
    for (size_t i = 0; i < 50; i++) {
        d.x.data[i] = (float)(20000.0 * (double)i);
        d.y.data[i] = 2 * d.x.data[i];
    }
    for (int standard = 0; standard < 2; standard++) {
        bnn_params *w = bnn_params_new(&mem);
        bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_learned = 1 });
        bnn_stepper sgd = bnn_sgd(w, (bnn_sgd_desc){ .lr = (float)0.1 });
        if (standard) bnn_net_standardize(&net, d);
        else w->theta[0] = 0;
        t.notes = 0, t.note[0] = '\0';
        for (int s = 0; s < 100; s++) {
            bnn_tape_reset(&t);
            bnn_backward(bnn_net_loss(&net, bnn_batch_all(&t, d)));
            bnn_step(&sgd, &t);
            if (!standard) w->theta[0] = 0, w->theta[1] = 0; /* it does not learn */
        }
        CHECK(t.err == BNN_OK && t.notes == !standard);
        if (!standard) CHECK(strstr(t.note, "bnn_net_standardize") != NULL);
    }
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

static void learned_noise_has_a_weak_prior_that_can_be_chosen(void) {
    bnn_prior asked[] = { { 0 }, { .kind = BNN_PRIOR_FLAT }, { .mean = -2, .std = 1 },
                          { .kind = BNN_PRIOR_STUDENT, .std = 2, .nu = 3 } };
    for (int k = 0; k < 4; k++) {
        bnn_arena mem = { 0 };
        bnn_params *w = bnn_params_new(&mem);
        bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_learned = 1,
            .noise_prior = asked[k], .prior = { .kind = BNN_PRIOR_FLAT }, .noise_std = 3 });
        double a = (double)w->theta[net.noise], z = a + 2;
        double want[] = { -a * a / 50 - log(5.0) - 0.91893853320467274, 0,
                          -z * z / 2 - 0.91893853320467274,
                          -2 * log1p(a * a / 12) - log(2.0) - 1.0008888496235098 };
        CHECK_NEAR(a, 2 * log(3.0), 1e-6);
        CHECK_NEAR(bnn_params_log_prior(w), want[k], 1e-5);
        bnn_arena_free(&mem);
    }
}

/* ---- whose N */
static double sgld_spread(double n, int look, int own, int said) { /* sd of one step of lr 1 */
    bnn_arena mem = { 0 };
    bnn_tape t = { .rng = bnn_rng_seed(build_seed(4)) };
    bnn_params *w = bnn_params_new(&mem);
    float x[4] = { 1, 2, 3, 4 }, y[4] = { 0, 0, 0, 0 };
    bnn_data big = { { 4, 1, x }, { 4, 1, y } }, small = { { 2, 1, x }, { 2, 1, y } };
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_std = 1, .no_bias = 1,
                                             .init = BNN_INIT_ZERO });
    bnn_stepper s = bnn_sgld(w, (bnn_sgld_desc){ .lr = (float)1e-6 });
    double sum = 0;
    if (said == 1) t.n_data = n;
    for (int i = 0; i < 4000; i++) {
        bnn_tape_reset(&t);
        w->theta[0] = 0;
        bnn_batch b = bnn_batch_all(&t, big);
        if (said == 2) b.n_data = n;
        if (said == 0) CHECK(b.n_data == 4);
        if (own) bnn_backward(bnn_scale(bnn_mean(bnn_mul(b.x, bnn_param(&t, w, 0))), 0));
        else bnn_backward(bnn_net_loss(&net, b));
        if (look) bnn_value(bnn_net_nll(&net, bnn_batch_all(&t, small)));
        bnn_step(&s, &t);
        sum += (double)w->theta[0] * (double)w->theta[0];
    }
    CHECK(t.err == BNN_OK);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
    return sqrt(sum / 4000 / 2e-6);
}

/* The noise of SGLD is sqrt(2 lr/N): within 4 sd of 4000 draws, false alarms below 1e-3 in all. */
static void the_n_of_a_step_is_that_of_its_loss(void) {
    double tol = 4 / sqrt(8000.0);
    for (int look = 0; look < 2; look++)
        for (int own = 0; own < 2; own++)
            CHECK_NEAR(sgld_spread(4, look, own, 0) * 2, 1, tol);
    for (int look = 0; look < 2; look++)
        for (int said = 1; said < 3; said++)
            CHECK_NEAR(sgld_spread(1e6, look, 0, said) * 1000, 1, tol);
    CHECK_NEAR(sgld_spread(1e6, 1, 1, 1) * 1000, 1, tol);
}

static void n_said_once_is_not_overruled(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    float x[3] = { 1, 2, 3 };
    bnn_data d = { { 3, 1, x }, { 3, 1, x } };
    size_t rows[2] = { 0, 2 };
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_std = 1, .seed = 1 });
    CHECK(bnn_batch_all(&t, d).n_data == 3 && t.n_data == 3);
    CHECK(bnn_batch_all(&t, bnn_data_rows(d, 0, 2)).n_data == 2 && t.n_data == 2);
    t.n_data = 5e5;
    CHECK(bnn_batch_all(&t, d).n_data == 5e5 && bnn_minibatch(&t, d, 2).n_data == 5e5);
    bnn_batch b = bnn_batch_rows(&t, d, 2, rows);
    double nll = (double)bnn_value(bnn_net_nll(&net, b));
    CHECK(b.n_data == 5e5 && t.n_data == 5e5);
    CHECK_NEAR(bnn_value(bnn_net_loss(&net, b)), nll - bnn_params_log_prior(w) / 5e5,
               BUILD_TOL(1e-6, 1e-14) * (1 + fabs(nll)));
    bnn_predict(&mem, &t, &net, NULL, d.x); /* looks leave it alone */
    bnn_predict_log_lik(&mem, &t, &net, NULL, d);
    CHECK(t.n_data == 5e5);
    t.n_data = 0; /* not said any more */
    CHECK(bnn_batch_all(&t, d).n_data == 3 && t.n_data == 3);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

/* ---- NaN in data */
static int says(bnn_tape *t, const char *words) {
    int said = t->err == BNN_ENONFINITE && strstr(t->msg, words) != NULL;
    if (!said) printf("    \"%s\" instead of \"%s\"\n", t->msg, words);
    bnn_tape_clear_error(t);
    bnn_tape_reset(t);
    return said;
}

static void nan_in_data_is_named_with_row_and_column(void) {
    double bad[] = { 0.0 / 0.0, 1.0 / 0.0, -1.0 / 0.0 };
    const char *name[] = { "is nan in row", "is inf in row", "is -inf in row" };
    for (int k = 0; k < 3; k++)
        for (int in_y = 0; in_y < 2; in_y++) {
            bnn_arena mem = { 0 };
            bnn_tape t = { .rng = bnn_rng_seed(2) };
            bnn_data d = { bnn_mat_new(&mem, 30, 3), bnn_mat_new(&mem, 30, 2) };
            bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 3, 4, 2 },
                                                                        .noise_std = 1 });
            size_t order[3] = { 9, 17, 2 };
            if (in_y) d.y.data[17 * 2 + 1] = (float)bad[k];
            else d.x.data[17 * 3 + 1] = (float)bad[k];
            CHECK(bnn_net_standardize(&net, d) == BNN_ENONFINITE && mem.err == BNN_OK);
            CHECK(strstr(mem.msg, in_y ? "y is" : "x is") && strstr(mem.msg, name[k]) &&
                  strstr(mem.msg, "17, column 1"));
            CHECK(net.scaling.x_mean.data == NULL);
            bnn_net_loss(&net, bnn_batch_all(&t, d));
            CHECK(says(&t, in_y ? "bnn_batch_all: y is" : "bnn_batch_all: x is"));
            bnn_batch_all(&t, d);
            CHECK(says(&t, "in row 17, column 1"));
            bnn_batch_rows(&t, d, 3, order);
            CHECK(says(&t, "in row 17 of the data (1 of the batch), column 1"));
            bnn_minibatch(&t, d, 30);
            CHECK(says(&t, "in row 17 of the data ("));
            bnn_batch_rows(&t, bnn_data_rows(d, 0, 17), 1, order); /* others are good */
            CHECK(t.err == BNN_OK);
            bnn_batch b = { bnn_input(&t, d.x), bnn_input(&t, d.y), 30 }; /* by hand */
            bnn_backward(bnn_net_loss(&net, b));
            CHECK(says(&t, "17, column 1"));
            bnn_tape_free(&t);
            bnn_arena_free(&mem);
        }
}

static void standardizing_takes_columns_of_any_size(void) {
    for (double u = 1e-30; u < 2e30; u *= 1e5) {
        bnn_arena mem = { 0 };
        float x[6] = { (float)u, 7, (float)(2 * u), 7, (float)(6 * u), 7 };
        float y[3] = { (float)u, (float)(2 * u), (float)(6 * u) };
        bnn_data d = { { 3, 2, x }, { 3, 1, y } };
        bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 2, 1 },
                                                                    .noise_learned = 1 });
        int fits = u > 1e-18 && u < 1e18; /* else the square of y's unit is no float */
        CHECK((bnn_net_standardize(&net, d) == BNN_OK) == fits && mem.err == BNN_OK);
        if (!fits) CHECK(strstr(mem.msg, "column 0 of y") && net.scaling.x_std.data == NULL);
        d.y = (bnn_mat){ 3, 1, (float[3]){ 1, 2, 6 } };
        CHECK(bnn_net_standardize(&net, d) == BNN_OK);
        CHECK_NEAR(net.scaling.x_mean.data[0] / u, 3, 1e-5);
        CHECK_NEAR(net.scaling.x_std.data[0] / u, sqrt(14.0 / 3), 1e-5);
        CHECK(net.scaling.x_mean.data[1] == 7 && net.scaling.x_std.data[1] == 1);
        d = bnn_data_rows(d, 0, 1); /* one row: nothing but a shift */
        CHECK(bnn_net_standardize(&net, d) == BNN_OK && net.scaling.y_std.data[0] == 1);
        bnn_arena_free(&mem);
    }
}

/* ---- minibatches */
static void a_minibatch_costs_what_it_holds_and_all_sets_are_equally_likely(void) {
    enum { N = 1000000 };
    bnn_arena mem = { 0 };
    bnn_tape t = { .rng = bnn_rng_seed(build_seed(7)) };
    bnn_data d = { bnn_mat_new(&mem, N, 1), bnn_mat_new(&mem, N, 1) };
    size_t count[10] = { 0 }, sizes[] = { 1, 2, 31, 32, 33, 500 };
    for (size_t i = 0; i < N; i++) d.x.data[i] = (float)i;
    for (size_t k = 0; k < 6; k++) {
        bnn_tape_reset(&t);
        bnn_batch b = bnn_minibatch(&t, d, sizes[k]);
        for (size_t i = 0; i < sizes[k]; i++)
            for (size_t j = 0; j < i; j++) CHECK(b.x->val.data[i] != b.x->val.data[j]);
    }
    CHECK(t.err == BNN_OK && bnn_arena_size(&t.mem) < 200000);
    d = bnn_data_rows(d, 0, 5);
    for (int s = 0; s < 20000; s++) {
        bnn_tape_reset(&t);
        bnn_batch b = bnn_minibatch(&t, d, 2);
        size_t lo = (size_t)b.x->val.data[0], hi = (size_t)b.x->val.data[1];
        if (lo > hi) hi = lo, lo = (size_t)b.x->val.data[1];
        count[hi * (hi - 1) / 2 + lo]++;
    }
    for (int k = 0; k < 10; k++) /* 4.5 sd of a binomial: 7e-5 in all */
        CHECK_NEAR(count[k], 2000, 4.5 * sqrt(20000 * 0.09));
    bnn_tape_reset(&t);
    bnn_batch b = bnn_minibatch(&t, d, 5); /* all of them */
    CHECK_NEAR(bnn_mat_sum(b.x->val), 10, 0);
    CHECK(bnn_minibatch(&t, d, 6).x == &t.poison && t.err == BNN_EARG);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

/* ---- small things of a desc */
static void a_desc_means_what_it_says(void) {
    static bnn_var *(*const op[])(bnn_var *) = { bnn_relu, bnn_tanh, bnn_sigmoid, bnn_leaky_relu,
        bnn_elu, bnn_silu, bnn_gelu, bnn_softplus, bnn_sin };
    float x[2] = { -2, (float)0.7 };
    for (int k = BNN_RELU; k <= BNN_IDENTITY; k++)
        for (int how = 0; how < 3; how++) { /* of this layer, of all layers, against all others */
            bnn_arena mem = { 0 };
            bnn_tape t = { 0 };
            bnn_params *w = bnn_params_new(&mem);
            bnn_mlp_desc d = { .sizes = { 1, 1, 1 }, .no_bias = 1, .noise_std = 1,
                               .activation = how == 0 ? 0 : how == 1 ? k : BNN_SIN,
                               .activations = { how == 1 ? 0 : k } };
            bnn_net net = bnn_mlp(w, d);
            w->theta[0] = w->theta[1] = 1;
            bnn_var *in = bnn_input(&t, (bnn_mat){ 2, 1, x });
            bnn_var *want = k == BNN_IDENTITY ? in : op[k - BNN_RELU](in);
            CHECK_SAME_ARRAY(bnn_net_forward(&net, in)->val.data, want->val.data, 2);
            bnn_tape_free(&t);
            bnn_arena_free(&mem);
        }
    bnn_arena mem = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 3, 2 }, .noise_std = 1, .init_scale = BNN_ZERO });
    for (size_t i = 0; i < w->n; i++) CHECK(w->theta[i] == 0);
    bnn_arena_free(&mem);
}

int main(void) {
    RUN(a_unit_of_y_changes_every_answer_as_it_must);
    RUN(known_noise_is_never_clamped);
    RUN(a_net_by_hand_hears_of_its_noise);
    RUN(learned_noise_at_a_bound_says_so_once);
    RUN(noise_that_diverges_in_training_is_heard);
    RUN(learned_noise_has_a_weak_prior_that_can_be_chosen);
    RUN(the_n_of_a_step_is_that_of_its_loss);
    RUN(n_said_once_is_not_overruled);
    RUN(nan_in_data_is_named_with_row_and_column);
    RUN(standardizing_takes_columns_of_any_size);
    RUN(a_minibatch_costs_what_it_holds_and_all_sets_are_equally_likely);
    RUN(a_desc_means_what_it_says);
    return check_done();
}
