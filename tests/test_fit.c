/* test_fit.c -- bnn_fit: the exact posterior of a linear model by every sampler, the same bits
 * whatever the way there, every error and every note provoked. Seeds are fixed; tolerances are 4.5
 * Monte Carlo errors of the ESS that was reached, and the bias that a step size may have. */
#include "build.h"
#include "world.h"

static bnn_mat column(size_t n, float (*f)(size_t i)) {
    bnn_mat m = bnn_mat_new(&mem, n, 1);
    for (size_t i = 0; i < n; i++) m.data[i] = f(i);
    return m;
}

static float ramp(size_t i) { return (float)(0.1 * (double)(i % 41) - 2); }

/* y = sin 2x + noise */
static bnn_data waves(size_t n, double noise) {
    bnn_data d = { column(n, ramp), bnn_mat_new(&mem, n, 1) };
    for (size_t i = 0; i < n; i++)
        d.y.data[i] = (float)(sin(2 * (double)d.x.data[i]) +
                              noise * (double)bnn_rng_normal(&tape.rng));
    return d;
}

static bnn_net small_net(size_t hidden, double noise) {
    return bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, hidden, 1 },
        .activation = BNN_TANH, .noise_std = (float)noise, .seed = build_seed(1) });
}

static bnn_net linear_net(size_t inputs, double noise) {
    return bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { inputs, 1 },
                                                         .noise_std = (float)noise });
}

static int noted(const bnn_posterior *p, const char *part) {
    for (size_t i = 0; i < p->n_notes; i++)
        if (strstr(p->notes[i], part) != NULL) return 1;
    printf("    no note \"%s\" among %d\n", part, (int)p->n_notes);
    for (size_t i = 0; i < p->n_notes; i++) printf("    %s\n", p->notes[i]);
    return 0;
}

/* ---- the law */

/* y = w x + b + noise: mean and variance of w x + b at `at`, N(0,1) priors */
static void exact(bnn_data d, double s2, double at, double *mean, double *var) {
    double a[4] = { 1, 0, 0, 1 }, r[2] = { 0, 0 };
    for (size_t i = 0; i < d.x.rows; i++) {
        double x = (double)d.x.data[i], y = (double)d.y.data[i];
        a[0] += x * x / s2, a[1] += x / s2, a[2] += x / s2, a[3] += 1 / s2;
        r[0] += x * y / s2, r[1] += y / s2;
    }
    invert(2, a);
    *mean = at * (a[0] * r[0] + a[1] * r[1]) + a[2] * r[0] + a[3] * r[1];
    *var = at * at * a[0] + at * (a[1] + a[2]) + a[3];
}

/* bias: what the variance may be off by, of itself */
static void samples_the_exact_posterior(int method, double bias) {
    float at[2] = { -2, (float)0.7 };
    open_all(1);
    bnn_data d = waves(200, 1);
    bnn_net net = linear_net(1, 1);
    bnn_posterior p = bnn_fit(&mem, &net, d, (bnn_fit_desc){ .method = method, .unscaled = 1,
        .seed = build_seed(1), .gradients = 1e6, .probe = { 2, 1, at } });
    CHECK(p.reached && p.err == BNN_OK && p.chains == 4 && p.n_notes == 0);
    if (p.n_notes > 0) printf("    %s\n", p.notes[0]);
    CHECK(p.ess_bulk >= 400 && p.ess_tail >= 400 && p.rhat < 1.05);
    CHECK(p.method == method && p.post.count == p.chains * p.draws);
    bnn_predictive y = bnn_predict(&mem, &tape, &net, &p.post, (bnn_mat){ 2, 1, at });
    for (int i = 0; i < 2; i++) {
        double m, v, ess = fmin(p.ess_bulk, (double)p.post.count);
        exact(d, 1, (double)at[i], &m, &v);
        CHECK_NEAR(y.mean.data[i], m, 4.5 * sqrt(v / ess));
        CHECK_NEAR(y.epistemic.data[i], v, v * (4.5 * sqrt(2 / ess) + bias));
    }
    close_all();
}

static void nuts_samples_the_exact_posterior(void) {
    samples_the_exact_posterior(BNN_FIT_NUTS, 0);
}
static void hmc_samples_the_exact_posterior(void) { samples_the_exact_posterior(BNN_FIT_HMC, 0); }
static void sghmc_samples_the_exact_posterior(void) {
    samples_the_exact_posterior(BNN_FIT_SGHMC, 0.25);
}
static void sgld_samples_the_exact_posterior(void) {
    samples_the_exact_posterior(BNN_FIT_SGLD, 0.25);
}
static void sgnht_samples_the_exact_posterior(void) {
    samples_the_exact_posterior(BNN_FIT_SGNHT, 0.25);
}

/* In a linear model the optimum and a Gaussian around it are the posterior */
static void laplace_is_exact_where_it_must_be(void) {
    float at = 2;
    double m, v;
    open_all(2);
    bnn_data d = waves(60, 1);
    bnn_net net = linear_net(1, 1);
    bnn_posterior p = bnn_fit(&mem, &net, d, (bnn_fit_desc){ .method = BNN_FIT_LAPLACE,
        .unscaled = 1, .seed = build_seed(2), .gradients = 2e4 });
    bnn_predictive y = bnn_predict(&mem, &tape, &net, &p.post, (bnn_mat){ 1, 1, &at });
    exact(d, 1, 2, &m, &v);
    CHECK(p.post.count == 1000 && p.err == BNN_OK);
    CHECK_NEAR(y.mean.data[0], m, 4.5 * sqrt(v / 1000));
    CHECK_NEAR(y.epistemic.data[0], v, v * 4.5 * sqrt(2.0 / 1000));
    close_all();
}

static void every_method_is_one_word(void) {
    open_all(3);
    bnn_data d = waves(41, 0.2);
    for (int method = BNN_FIT_NUTS; method <= BNN_FIT_SWAG; method++) {
        bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, 8, 1 },
            .activation = BNN_TANH, .noise_std = (float)0.2, .dropout = (float)0.1 });
        float *before = bnn_arena_alloc(&mem, net.params->n, sizeof *before);
        memcpy(before, net.params->theta, net.params->n * sizeof *before);
        bnn_posterior p = bnn_fit(&mem, &net, d, (bnn_fit_desc){ .method = method,
            .gradients = 30000, .draws = 50, .seed = build_seed(3) });
        CHECK(p.err == BNN_OK && p.method == method);
        CHECK(p.chains == (method == BNN_FIT_ENSEMBLE ? 5 : 4));
        CHECK(p.post.count == p.chains * p.draws && p.draws >= 1 && p.draws <= 50);
        CHECK_SAME_ARRAY(before, net.params->theta, net.params->n);
        CHECK(net.scaling.x_std.data != NULL); /* standardized */
        for (size_t k = 0; k < p.chains && method <= BNN_FIT_SGNHT; k++) { /* or a record's gradient is added */
            const bnn_params *w = p.fit->chains[k].net.params;
            double left = 0;
            for (size_t i = 0; i < w->n; i++) left += fabs((double)w->grad[i]);
            CHECK(left == 0 || method <= BNN_FIT_HMC);
        }
        bnn_predictive y = bnn_predict(&mem, &tape, &net, &p.post, d.x);
        double most = method == BNN_FIT_MEANFIELD ? 0.9 : 0.6;
        CHECK_NEAR(bnn_metric_rmse(y.mean, d.y), 0, most);
        CHECK(p.gradients >= 30000 || p.reached);
    }
    close_all();
}

static void the_method_follows_the_size(void) {
    open_all(4);
    bnn_data d = waves(41, 0.2), many = waves(15000, 0.2);
    bnn_net small = small_net(8, 0.2), large = small_net(50, 0.2);
    bnn_fit_desc q = { .gradients = 1, .chains = 1, .draws = 2, .probe = { 1, 1, d.x.data } };
    CHECK(bnn_fit(&mem, &small, d, q).method == BNN_FIT_NUTS);
    small = small_net(20, 0.2);
    CHECK(bnn_fit(&mem, &small, d, q).method == BNN_FIT_HMC);
    CHECK(bnn_fit(&mem, &large, many, q).method == BNN_FIT_SGHMC);
    close_all();
}

/* ---- the same bits */

static int canceled_at;
static int cancel(void *user, size_t done, size_t total) {
    (void)done, (void)total;
    return ++*(int *)user == canceled_at;
}

static bnn_posterior a_fit(bnn_net *net, int method, double gradients, int *calls) {
    bnn_data d;
    tape.rng = bnn_rng_seed(build_seed(5));
    d = waves(41, 0.3);
    *net = small_net(6, 0.3);
    return bnn_fit(&mem, net, d, (bnn_fit_desc){ .method = method, .gradients = gradients,
        .ess = 1e9, .draws = 50, .seed = build_seed(5), .progress = calls ? cancel : NULL,
        .progress_user = calls });
}

static void check_equal(const bnn_posterior *a, const bnn_posterior *b) {
    size_t n = a->post.samples.cols;
    CHECK(a->post.count == b->post.count && a->energy.cols == b->energy.cols);
    CHECK(a->gradients == b->gradients && a->burn_in == b->burn_in && a->thin == b->thin);
    if (a->post.count != b->post.count || a->energy.cols != b->energy.cols) return;
    CHECK_SAME_ARRAY(a->post.samples.data, b->post.samples.data, a->post.count * n);
    CHECK_SAME_ARRAY(a->energy.data, b->energy.data, a->energy.rows * a->energy.cols);
}

static void to_go_on_twice_is_to_go_on_once(void) {
    static const int methods[] = { BNN_FIT_NUTS, BNN_FIT_HMC, BNN_FIT_SGHMC };
    for (int k = 0; k < 3; k++) {
        bnn_net u, v;
        open_all(5);
        double first = methods[k] == BNN_FIT_NUTS ? 50000 : 25000;
        bnn_posterior a = a_fit(&u, methods[k], first, NULL);
        bnn_posterior b = a_fit(&v, methods[k], first, NULL);
        CHECK(b.gradients == a.gradients && b.post.count > 0);
        bnn_fit_more(&a, 20000);
        bnn_fit_more(&b, 10000);
        CHECK(b.gradients < a.gradients);
        bnn_fit_more(&b, 10000);
        check_equal(&a, &b);
        bnn_fit_more(&a, 1);            /* the least that is asked for is not the default */
        CHECK(a.gradients - b.gradients < first / 2);
        close_all();
    }
}

static void a_canceled_run_says_so_and_goes_on(void) {
    int calls = 0;
    bnn_net u, v;
    open_all(6);
    canceled_at = 15;
    bnn_posterior a = a_fit(&u, BNN_FIT_HMC, 45000, NULL);
    bnn_posterior b = a_fit(&v, BNN_FIT_HMC, 45000, &calls);
    CHECK(b.err == BNN_ECANCEL && calls == 15 && !b.reached && b.post.count > 0);
    CHECK(noted(&b, "bnn_fit: canceled after ") && noted(&b, "bnn_fit_more goes on"));
    bnn_fit_more(&b, 45000 - b.gradients);
    CHECK(b.err == BNN_OK);
    check_equal(&a, &b);
    calls = 0, canceled_at = 1;
    b = a_fit(&v, BNN_FIT_LAPLACE, 2000, &calls);
    CHECK(b.err == BNN_ECANCEL && b.post.count == 0);
    CHECK(strstr(b.notes[0], "no posterior yet") != NULL); /* only samplers go on */
    CHECK(strstr(b.notes[0], "bnn_fit_more") == NULL);
    CHECK(mem.err == BNN_OK);
    close_all();
}

static void threads_do_not_matter(void) {
    bnn_net u, v;
    open_all(7);
    bnn_posterior a = a_fit(&u, BNN_FIT_HMC, 40000, NULL);
#if defined(_OPENMP)
    omp_set_num_threads(3);
#endif
    bnn_posterior b = a_fit(&v, BNN_FIT_HMC, 40000, NULL);
    check_equal(&a, &b);
#if defined(_OPENMP)
    omp_set_num_threads(1);
    b = a_fit(&v, BNN_FIT_HMC, 40000, NULL);
    check_equal(&a, &b);
#endif
    close_all();
}

static void where_the_target_was_reached_it_goes_on_to_twice_of_it(void) {
    open_all(8);
    bnn_data d = waves(60, 1);
    bnn_net net = linear_net(1, 1);
    bnn_posterior p = bnn_fit(&mem, &net, d, (bnn_fit_desc){ .ess = 200, .seed = build_seed(8) });
    CHECK(p.reached && p.ess_bulk >= 200);
    bnn_fit_more(&p, 0);
    CHECK(p.reached && p.ess_bulk >= 400 && p.ess_tail >= 400);
    close_all();
}

static void a_callers_buffer_is_enough_or_an_error(void) {
    enum { MOST = 1 << 23 };
    unsigned char *bytes = malloc(MOST);
    size_t size;
    open_all(9);
    bnn_data d = waves(41, 0.3);
    for (size = 1 << 12; size <= MOST; size *= 2) {
        bnn_arena a = { .buffer = bytes, .capacity = size };
        bnn_net net = small_net(6, 0.3);
        bnn_posterior p = bnn_fit(&a, &net, d, (bnn_fit_desc){ .gradients = 10000, .draws = 50,
            .method = BNN_FIT_SGLD, .seed = build_seed(9) });
        CHECK((a.err == BNN_ENOMEM && p.err != BNN_OK) || (a.err == BNN_OK && p.err == BNN_OK));
        CHECK(size > 1 << 12 || a.err == BNN_ENOMEM);
        CHECK(a.err == BNN_OK || strstr(a.msg, "arena: the buffer of ") != NULL);
        CHECK(size < MOST || (a.err == BNN_OK && p.post.count > 0));
        bnn_arena_free(&a);
    }
    free(bytes);
    close_all();
}

/* 500 records of a chain of 1,201 weights would be 2.4 MB, and more than 20 MB in the end */
static void an_ensemble_keeps_one_record_of_a_chain(void) {
    open_all(9);
    bnn_data d = waves(41, 0.3);
    bnn_net net = small_net(400, 0.3);
    size_t size = ((size_t)1 << 20) * sizeof(float);
    unsigned char *bytes = malloc(size);
    bnn_arena a = { .buffer = bytes, .capacity = size };
    bnn_posterior p = bnn_fit(&a, &net, d, (bnn_fit_desc){ .method = BNN_FIT_ENSEMBLE, .chains = 2,
                                                           .gradients = 20 });
    CHECK(a.err == BNN_OK && p.post.count == 2 && p.draws == 1);
    CHECK(p.step_min == 0 && p.step_max == 0); /* of samplers only */
    free(bytes);
    close_all();
}

/* The last of the memory is that of diagnostics, which say in a sentence, too, what is undefined. */
static void memory_that_ends_behind_the_chains_has_a_sentence(void) {
    enum { MOST = 1 << 22 };
    unsigned char *bytes = malloc(MOST);
    size_t few = 1 << 17, enough = MOST, size;
    open_all(9);
    bnn_data d = waves(11, 0.3);
    bnn_net net = linear_net(1, 0.3);
    bnn_fit_desc desc = { .method = BNN_FIT_SGLD, .gradients = 14000, .chains = 2, .draws = 50 };
    while (enough - few > 512) {
        bnn_arena a = { .buffer = bytes, .capacity = size = (few + enough) / 2 };
        bnn_fit(&a, &net, d, desc);
        CHECK(a.err == BNN_OK || strstr(a.msg, "arena: the buffer of ") != NULL);
        if (a.err != BNN_OK) few = size;
        else enough = size;
    }
    free(bytes);
    close_all();
}

/* ---- errors */

static void bad_input_is_an_error_with_a_sentence(void) {
    float nan = (float)NAN, one = 1;
    bnn_net dead = { .params = NULL };
    bnn_data none = { { 0, 1, &one }, { 0, 1, &one } }, d = { { 1, 1, &one }, { 1, 1, &one } };
    bnn_data bad = { { 1, 1, &nan }, { 1, 1, &one } }, no_x = { { 1, 1, NULL }, { 1, 1, &one } };
    open_all(10);
    bnn_net net = linear_net(1, 1);
    CHECK(bnn_fit(&mem, &dead, d, (bnn_fit_desc){ 0 }).err == BNN_EARG);
    CHECK(mem_took(BNN_EARG, "bnn_fit: the net was not made"));
    CHECK(bnn_fit(&mem, &net, none, (bnn_fit_desc){ 0 }).err == BNN_ESHAPE);
    CHECK(mem_took(BNN_ESHAPE, "bnn_fit: x has 0 rows, y has 0"));
    CHECK(bnn_fit(&mem, &net, no_x, (bnn_fit_desc){ .unscaled = 1 }).err == BNN_EARG);
    CHECK(mem_took(BNN_EARG, "bnn_fit: x is a 1x1 matrix without data"));
    CHECK(bnn_fit(&mem, &net, bad, (bnn_fit_desc){ 0 }).err == BNN_ENONFINITE);
    CHECK(mem_took(BNN_ENONFINITE, "bnn_fit: bnn_net_standardize: x is nan in row 0, column 0"));
    CHECK(bnn_fit(&mem, &net, d, (bnn_fit_desc){ .method = 99 }).err == BNN_EARG);
    CHECK(mem_took(BNN_EARG, "method 99, lr 0"));
    CHECK(bnn_fit(&mem, &net, d, (bnn_fit_desc){ .lr = -1 }).err == BNN_EARG);
    CHECK(mem_took(BNN_EARG, "one of them cannot be"));
    CHECK(bnn_fit(&mem, &net, d, (bnn_fit_desc){ .gradients = INFINITY,
                  .method = BNN_FIT_ENSEMBLE }).err == BNN_EARG);
    CHECK(mem_took(BNN_EARG, "gradients inf"));
    CHECK(bnn_fit(&mem, &net, d, (bnn_fit_desc){ .gradients = INFINITY, .ess = 20,
                  .method = BNN_FIT_NUTS }).reached); /* a sampler ends there */
    CHECK(bnn_fit(&mem, &net, d, (bnn_fit_desc){ .probe = { 1, 2, &one } }).err == BNN_EARG);
    CHECK(mem_took(BNN_EARG, "probe of 2 columns"));
    one = (float)NAN;
    CHECK(bnn_fit(&mem, &net, d, (bnn_fit_desc){ .probe = { 1, 1, &one } }).err == BNN_ENONFINITE);
    CHECK(mem_took(BNN_ENONFINITE, "the probe has no rows, or NaN or inf"));
    one = 1;
    bnn_net wide = linear_net(2, 1);
    CHECK(bnn_fit(&mem, &wide, d, (bnn_fit_desc){ 0 }).err == BNN_ESHAPE);
    CHECK(mem_took(BNN_ESHAPE, "bnn_fit: bnn_affine"));
    for (size_t b = 0; b < net.params->n_blocks; b++) bnn_params_lr(net.params, b, 0);
    CHECK(bnn_fit(&mem, &net, d, (bnn_fit_desc){ 0 }).err == BNN_EARG);
    CHECK(mem_took(BNN_EARG, "bnn_fit: the net has no weight that may move"));
    bnn_params_lr(net.params, net.params->n_blocks - 1, 1); /* one block may */
    CHECK(bnn_fit(&mem, &net, d, (bnn_fit_desc){ .gradients = 100, .draws = 2 }).err == BNN_OK);
    for (size_t b = 0; b < net.params->n_blocks; b++) bnn_params_lr(net.params, b, 1);
    size_t beyond = (size_t)-1 / 2 + 101; /* twice of it, and four times, is a small number again */
    CHECK(bnn_fit(&mem, &net, d, (bnn_fit_desc){ .draws = beyond, .gradients = 10 }).err ==
          BNN_ENOMEM);
    CHECK(mem_took(BNN_ENOMEM, ""));
    close_all();
}

static void weights_that_are_nan_at_every_start_are_an_error(void) {
    open_all(11);
    bnn_data d = waves(41, 0.3);
    bnn_net net = small_net(4, 0.3);
    for (size_t i = 0; i < net.params->n; i++) net.params->theta[i] = (float)NAN;
    bnn_posterior p = bnn_fit(&mem, &net, d, (bnn_fit_desc){ .probe = { 1, 1, d.x.data } });
    CHECK(p.err == BNN_ENONFINITE && p.chains == 0 && p.post.count == 0);
    CHECK(mem.err == BNN_ENONFINITE);
    CHECK(mem_took(BNN_ENONFINITE, "bnn_fit: "));
    close_all();
}

/* ---- notes */

static bnn_posterior with(bnn_net *net, bnn_data d, bnn_fit_desc q) {
    q.seed = build_seed(20);
    return bnn_fit(&mem, net, d, q);
}

static void an_lr_of_a_millionth_ends_in_notes(void) {
    open_all(20);
    bnn_data d = waves(41, 0.2);
    bnn_net net = small_net(8, 0.2);
    bnn_posterior p = with(&net, d, (bnn_fit_desc){ .method = BNN_FIT_SGHMC,
                                                    .lr = (float)1e-6, .gradients = 5e4 });
    CHECK(!p.reached && p.post.count > 0);
    CHECK(noted(&p, "bnn_fit: lr is 1e-6, a thousandth or less of the "));
    CHECK(noted(&p, " gradients gave an ESS of "));
    CHECK(noted(&p, "R-hat of predictions is "));
    CHECK(noted(&p, "below 1: they have not spread yet"));
    p = with(&net, d, (bnn_fit_desc){ .lr = (float)1e-6, .gradients = 1e5 });
    CHECK(p.method == BNN_FIT_NUTS && noted(&p, "they hardly move: leave lr 0"));
    bnn_mat_fill(d.x, 0); /* without a bias: 0 whatever the weights */
    net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_std = 1,
                                                        .no_bias = 1 });
    p = with(&net, d, (bnn_fit_desc){ .method = BNN_FIT_SGLD, .chains = 1, .gradients = 1e4 });
    CHECK(noted(&p, "predictions on the probe rows never change"));
    CHECK(noted(&p, "one chain cannot tell"));
    close_all();
}

static void an_lr_that_is_too_large_ends_in_notes(void) {
    open_all(21);
    bnn_data d = waves(41, 0.2);
    bnn_net net = small_net(8, 0.2);
    bnn_posterior p = with(&net, d, (bnn_fit_desc){ .method = BNN_FIT_SGLD, .lr = 1 });
    CHECK(p.err != BNN_OK && p.post.count == 0);
    CHECK(noted(&p, "chain 0 is left out after "));
    CHECK(noted(&p, "bnn_fit: lr 1 is beyond "));
    CHECK(mem_took(p.err, "bnn_fit: no chain is left; the first: "));
    p = with(&net, d, (bnn_fit_desc){ .lr = (float)0.1, .gradients = 5e4 });
    CHECK(noted(&p, "transitions diverged: standardize"));
    CHECK(noted(&p, "on average: the step of 0.1 is too large"));
    close_all();
}

/* A relu net on which SGHMC at lr 1e-3 can run for thousands of steps before it overflows, as
 * docs/guide.md shows: the note is there at once, and the step that a fit finds is stable */
static float wider(size_t i) { return (float)1.5 * ramp(i); }
static void a_step_that_would_fail_late_is_told_at_once(void) {
    open_all(33);
    bnn_data d = { column(300, wider), normals(300, 1, 0.1) };
    for (size_t i = 0; i < 300; i++)
        d.y.data[i] += d.x.data[i] * (1 - d.x.data[i] * d.x.data[i] / 6);
    bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, 32, 32, 1 },
                          .noise_std = (float)0.1, .seed = 7 });
    bnn_fit_desc q = { .method = BNN_FIT_SGHMC, .batch = 32, .gradients = 1e4, .unscaled = 1 };
    q.lr = (float)1e-3;
    bnn_posterior p = with(&net, d, q);
    CHECK(noted(&p, "bnn_fit: lr 0.001 is beyond "));
    q.lr = 0;
    p = with(&net, d, q);
    CHECK(p.chains == 4 && p.err == BNN_OK && p.step_max * p.curvature < 3.8);
    close_all();
}

static void noise_of_minibatches_ends_in_notes(void) {
    open_all(22);
    bnn_data d = waves(2000, 1);
    bnn_net net = linear_net(1, 1);
    bnn_posterior p = with(&net, d, (bnn_fit_desc){ .method = BNN_FIT_SGHMC, .batch = 10,
        .lr = (float)0.01, .gradients = 1e5 });
    CHECK(p.noise_ratio > 2 && p.temperature > 2 && p.kinetic > 2);
    CHECK(noted(&p, "bnn_fit: minibatches of 10 add "));
    CHECK(noted(&p, "above 1: a smaller lr"));
    CHECK(noted(&p, "bnn_fit: the velocities have temperature "));
    p = with(&net, d, (bnn_fit_desc){ .method = BNN_FIT_SGNHT, .batch = 10, .gradients = 2e5,
                                      .ess = 1e5 });
    CHECK_NEAR(p.temperature, 1, 0.2);
    CHECK_NEAR(p.kinetic, 1, 0.2);
    bnn_data wide = { normals(200, 60, 1), normals(200, 1, 1) };
    net = linear_net(60, 1);
    p = with(&net, wide, (bnn_fit_desc){ .method = BNN_FIT_SGLD, .batch = 200,
                                         .gradients = 4e4, .lr = (float)0.4 });
    CHECK(noted(&p, "at half of it: the step is too large"));
    close_all();
}

/* A wide mean field answers with its prior, far over the data; NUTS and Laplace do not */
static void a_fit_that_is_no_better_than_a_constant_says_so(void) {
    for (int classes = 0; classes < 2; classes++) {
        open_all(24);
        bnn_data d = { normals(20, 3, 1), normals(20, 1, 1) };
        for (int i = 0; i < 20; i++) if (classes) d.y.data[i] = (float)(i % 3);
        bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 3, 20, classes ? 3 : 1 },
            .likelihood = classes ? BNN_CATEGORICAL : BNN_GAUSSIAN, .noise_learned = !classes });
        bnn_posterior p = with(&net, d, (bnn_fit_desc){ .method = BNN_FIT_MEANFIELD, .gradients = 4e4 });
        CHECK(noted(&p, "bnn_fit: draws explain y worse than a constant does, by "));
        p = with(&net, d, (bnn_fit_desc){ .method = BNN_FIT_LAPLACE, .gradients = 4e4 });
        CHECK(p.err == BNN_OK && !noted(&p, "worse than a constant"));
        p = with(&net, d, (bnn_fit_desc){ .gradients = 1e4 });
        CHECK(p.err == BNN_OK && !noted(&p, "worse than a constant"));
        close_all();
    }
}

static void budgets_that_are_too_small_end_in_notes(void) {
    open_all(23);
    bnn_data d = waves(41, 0.05);
    bnn_net net = small_net(8, 0.05);
    bnn_posterior p = with(&net, d, (bnn_fit_desc){ .gradients = 10 });
    CHECK(noted(&p, "the budget of 10 gradients ended before the first draw") && p.post.count == 0);
    bnn_data wide = { normals(200, 80, 1), normals(200, 1, 1) };
    bnn_net many = linear_net(80, 1);
    p = with(&many, wide, (bnn_fit_desc){ .method = BNN_FIT_SGLD, .gradients = 2e4,
                                          .lr = (float)2e-4 });
    CHECK(noted(&p, "bnn_fit: U still moves at half of the run"));
    p = with(&net, d, (bnn_fit_desc){ .method = BNN_FIT_MEANFIELD, .gradients = 8000 });
    CHECK(noted(&p, "bnn_fit: the free energy still fell by "));
    CHECK(p.post.count == 4 * p.draws && p.draws >= 20);
    close_all();
}

static char last_note[BNN_MSG];
static void listen(void *user, const char *note) {
    ++*(int *)user;
    strcpy(last_note, note);
}

static void notes_go_to_the_arenas_listener_too(void) {
    int heard = 0;
    open_all(24);
    mem.on_note = listen, mem.note_user = &heard;
    bnn_data d = waves(41, 0.3);
    bnn_net net = small_net(4, 0.3);
    bnn_posterior p = with(&net, d, (bnn_fit_desc){ .method = BNN_FIT_ENSEMBLE,
                                                    .gradients = 5000 });
    CHECK(noted(&p, "the spread of 5 optima is that of their starts"));
    CHECK(heard == (int)p.n_notes && mem.notes == p.n_notes);
    CHECK(mem.on_note == listen && mem.note_user == &heard);
    bnn_fit_more(&p, 0);
    CHECK(strstr(last_note, "bnn_fit_more: a method that is no sampler does not go on") != NULL);
    close_all();
}

static void models_that_do_not_fit_the_data_end_in_notes(void) {
    open_all(25);
    bnn_data d = waves(41, 0.2);
    bnn_net net = small_net(4, 3);
    bnn_posterior p = with(&net, d, (bnn_fit_desc){ .gradients = 1e5, .unscaled = 1 });
    CHECK(noted(&p, "times noise_std: set it near "));
    net = small_net(4, 100);
    p = with(&net, d, (bnn_fit_desc){ .gradients = 1e5, .unscaled = 1 });
    CHECK(noted(&p, "the posterior equals the prior"));
    bnn_data wide = { bnn_mat_new(&mem, 41, 2), d.y };
    for (size_t i = 0; i < 41; i++)
        wide.x.data[2 * i] = 1000 * d.x.data[i], wide.x.data[2 * i + 1] = 7;
    net = linear_net(2, 1);
    p = with(&net, wide, (bnn_fit_desc){ .gradients = 5e4, .unscaled = 1 });
    CHECK(noted(&p, "column 1 of x never changes"));
    CHECK(noted(&p, "column 0 of x has standard deviation 118"));
    close_all();
}

static bnn_var *its_weight(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    return bnn_matmul(x, bnn_param(t, net->params, 0));
}

/* A net made by hand may leave noise_std 0, which is 1 */
static void residuals_are_measured_by_the_default_noise(void) {
    open_all(33);
    bnn_data d = waves(60, 0);
    for (size_t i = 0; i < 60; i++) d.y.data[i] = i % 2 ? 5 : -5;
    bnn_params *w = bnn_params_new(&mem);
    bnn_params_add(w, 1, 1, "slope", (bnn_prior){ 0 });
    bnn_net net = { .params = w, .forward = its_weight, .mem = &mem };
    bnn_posterior p = with(&net, d, (bnn_fit_desc){ .unscaled = 1, .gradients = 2e4 });
    CHECK(noted(&p, "bnn_fit: residuals are 4.9") || noted(&p, "bnn_fit: residuals are 5."));
    close_all();
}

static void a_flat_prior_and_separable_classes_end_in_a_note(void) {
    bnn_prior flat = { .kind = BNN_PRIOR_FLAT };
    open_all(26);
    bnn_data d = waves(41, 0);
    for (size_t i = 0; i < 41; i++) d.y.data[i] = d.x.data[i] > (float)0.05;
    bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, 1 },
                          .likelihood = BNN_BERNOULLI, .prior = flat });
    bnn_posterior p = with(&net, d, (bnn_fit_desc){ .gradients = 1e5 });
    CHECK(noted(&p, "the posterior is improper or far away: give them a prior"));
    close_all();
}

static void heavy_tails_end_in_a_note(void) {
    bnn_prior cauchy = { .kind = BNN_PRIOR_STUDENT, .nu = (float)0.3 };
    open_all(31);
    bnn_data d = { normals(20, 2, 1), normals(20, 1, 1) };
    bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 2, 1 },
                          .noise_std = (float)1e4, .prior = cauchy });
    bnn_posterior p = with(&net, d, (bnn_fit_desc){ .chains = 12, /* one may have luck: */
                           .gradients = 3e5, .unscaled = 1 });    /* the least counts   */
    CHECK(p.ebfmi < 0.3 && noted(&p, "bnn_fit: E-BFMI is 0."));
    close_all();
}

/* A forward of one's own that fails once, in the life of one chain; and a block that is not used */
static int calls_left;
static bnn_var *fails_once(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    if (calls_left > 0 && --calls_left == 0) return bnn_tape_fail(t, BNN_EARG, "mine", "enough");
    return bnn_matmul(x, bnn_param(t, net->params, 0));
}

static void one_chain_that_fails_leaves_the_others(void) {
    open_all(27);
    bnn_data d = waves(60, 1);
    bnn_params *w = bnn_params_new(&mem);
    bnn_params_add(w, 1, 1, "slope", (bnn_prior){ 0 });
    bnn_params_add(w, 1, 1, "idle", (bnn_prior){ 0 });
    bnn_net net = { .params = w, .forward = fails_once, .noise_std = 1, .mem = &mem };
    calls_left = 4000; /* in the descent of chain 1 */
    bnn_posterior p = with(&net, d, (bnn_fit_desc){ .unscaled = 1, .gradients = 1e5 });
    CHECK(p.chains == 3 && p.post.count == 3 * p.draws && p.err == BNN_EARG);
    CHECK(noted(&p, "chain 1 is left out after "));
    CHECK(noted(&p, "mine: enough"));
    CHECK(p.energy.rows == 3 && p.ess_bulk >= 400);
    close_all();
}

/* ... or that overflows once, long after its step was found stable */
static bnn_var *overflows_once(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    bnn_var *y = bnn_matmul(x, bnn_param(t, net->params, 0));
    return calls_left > 0 && --calls_left == 0 ? bnn_scale(y, (float)INFINITY) : y;
}

static void a_chain_that_overflows_late_is_told_of(void) {
    open_all(34);
    bnn_data d = waves(60, 1);
    bnn_params *w = bnn_params_new(&mem);
    bnn_params_add(w, 1, 1, "slope", (bnn_prior){ 0 });
    bnn_net net = { .params = w, .forward = overflows_once, .noise_std = 1, .mem = &mem };
    calls_left = 40000; /* behind all descents */
    bnn_posterior p = with(&net, d, (bnn_fit_desc){ .method = BNN_FIT_SGHMC, .unscaled = 1,
                                                    .ess = 1e9, .gradients = 1e5 });
    CHECK(calls_left == 0 && p.chains == 3 && p.err == BNN_ENONFINITE);
    CHECK(noted(&p, " overflowed after ") && noted(&p, ", stable where it began: "));
    close_all();
}

static void a_note_of_a_chain_is_passed_on(void) {
    open_all(28);
    bnn_data d = waves(60, 1);
    bnn_mat_fill(d.y, 0);
    bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, 1 },
                          .noise_learned = 1, .noise_std = (float)4.6e-5, .init = BNN_INIT_ZERO });
    bnn_posterior p = with(&net, d, (bnn_fit_desc){ .unscaled = 1, .gradients = 8000,
                                                    .method = BNN_FIT_SGLD });
    CHECK(noted(&p, "bnn_fit: chain 0: bnn_net_nll: a learned ln variance is at its bound"));
    close_all();
}

static void dropout_wants_a_net_that_has_masks(void) {
    open_all(32);
    bnn_data d = waves(60, 1);
    bnn_params *w = bnn_params_new(&mem);
    bnn_params_add(w, 1, 1, "slope", (bnn_prior){ 0 });
    bnn_net net = { .params = w, .forward = fails_once, .noise_std = 1, .mem = &mem };
    bnn_posterior p = with(&net, d, (bnn_fit_desc){ .method = BNN_FIT_DROPOUT,
                                                    .gradients = 4000 });
    CHECK(p.err == BNN_EARG && p.post.count == 0);
    CHECK(mem_took(BNN_EARG, "bnn_fit: bnn_ensemble_push_dropout: not a net of layers"));
    close_all();
}

static void the_report_prints(void) {
    bnn_net net;
    open_all(29);
    bnn_posterior p = a_fit(&net, BNN_FIT_SGHMC, 30000, NULL);
    bnn_fit_print(&p);
    CHECK(p.n_notes > 0);
    close_all();
}

/* Widths of priors that are drawn by their conditional, and a noise that is learned */
static void hierarchical_priors_and_learned_noise_are_sampled(void) {
    bnn_prior wide = { .shape = 1, .rate = (float)0.1 }, layers[2] = { wide, wide };
    open_all(30);
    bnn_data d = waves(123, 0.3);
    bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, 8, 1 },
        .activation = BNN_TANH, .noise_learned = 1, .priors = layers });
    bnn_posterior p = with(&net, d, (bnn_fit_desc){ .gradients = 1e5, .ess = 200 });
    double s = 0;
    CHECK(p.post.count > 0 && p.err == BNN_OK);
    for (size_t k = 0; k < p.post.count; k++) {
        bnn_params one = bnn_ensemble_sample(&p.post, k);
        s += exp(0.5 * (double)bnn_params_mat(&one, net.noise).data[0]) *
             (double)net.scaling.y_std.data[0] / (double)p.post.count;
    }
    CHECK_NEAR(s, 0.3, 0.08); /* sd of an estimate from 123 rows: 0.02 */
    close_all();
}

int main(void) {
    RUN(nuts_samples_the_exact_posterior);
    RUN(hmc_samples_the_exact_posterior);
    RUN(sghmc_samples_the_exact_posterior);
    RUN(sgld_samples_the_exact_posterior);
    RUN(sgnht_samples_the_exact_posterior);
    RUN(laplace_is_exact_where_it_must_be);
    RUN(every_method_is_one_word);
    RUN(the_method_follows_the_size);
    RUN(to_go_on_twice_is_to_go_on_once);
    RUN(a_canceled_run_says_so_and_goes_on);
    RUN(threads_do_not_matter);
    RUN(where_the_target_was_reached_it_goes_on_to_twice_of_it);
    RUN(a_callers_buffer_is_enough_or_an_error);
    RUN(an_ensemble_keeps_one_record_of_a_chain);
    RUN(memory_that_ends_behind_the_chains_has_a_sentence);
    RUN(bad_input_is_an_error_with_a_sentence);
    RUN(weights_that_are_nan_at_every_start_are_an_error);
    RUN(an_lr_of_a_millionth_ends_in_notes);
    RUN(an_lr_that_is_too_large_ends_in_notes);
    RUN(a_step_that_would_fail_late_is_told_at_once);
    RUN(noise_of_minibatches_ends_in_notes);
    RUN(a_fit_that_is_no_better_than_a_constant_says_so);
    RUN(budgets_that_are_too_small_end_in_notes);
    RUN(notes_go_to_the_arenas_listener_too);
    RUN(models_that_do_not_fit_the_data_end_in_notes);
    RUN(residuals_are_measured_by_the_default_noise);
    RUN(a_flat_prior_and_separable_classes_end_in_a_note);
    RUN(heavy_tails_end_in_a_note);
    RUN(one_chain_that_fails_leaves_the_others);
    RUN(a_chain_that_overflows_late_is_told_of);
    RUN(a_note_of_a_chain_is_passed_on);
    RUN(dropout_wants_a_net_that_has_masks);
    RUN(the_report_prints);
    RUN(hierarchical_priors_and_learned_noise_are_sampled);
    return check_done();
}
