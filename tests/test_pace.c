/* test_pace.c -- layers that are frozen or have an lr of their own: what stays, what moves how far,
 * and that the law of a sampler is the conjugate posterior of a linear convolution all the same. */
#include "build.h"
#include "world.h"
#include "patches.h"

/* conv of `body` (frozen or paced) under a dense head */
static bnn_net make(int frozen, float lr) {
    return bnn_layers(bnn_params_new(&mem), (bnn_layers_desc){ .input = { 4, 4, 1 }, .noise_std = 1,
        .activation = BNN_TANH, .layers = {
            { BNN_CONV, 2, .kernel = 3, .frozen = frozen, .lr = lr }, { BNN_DENSE, 2 } } });
}

enum { KINDS = 11 };
static bnn_stepper stepper(int kind, bnn_params *w, float lr, const bnn_net *net, bnn_data d) {
    switch (kind) {
    case BNN_SGD: return bnn_sgd(w, (bnn_sgd_desc){ .lr = lr, .momentum = (float)0.9,
                                 .weight_decay = (float)0.01 });
    case BNN_ADAM: return bnn_adam(w, (bnn_adam_desc){ .lr = lr, .decoupled = 1,
                                   .weight_decay = (float)0.01 });
    case BNN_RMSPROP: return bnn_rmsprop(w, (bnn_rmsprop_desc){ .lr = lr });
    case BNN_ADAGRAD: return bnn_adagrad(w, (bnn_adagrad_desc){ .lr = lr });
    case BNN_ADADELTA: return bnn_adadelta(w, (bnn_adadelta_desc){ .lr = lr });
    case BNN_SGLD: return bnn_sgld(w, (bnn_sgld_desc){ .lr = lr });
    case BNN_PSGLD: return bnn_psgld(w, (bnn_psgld_desc){ .lr = lr });
    case BNN_SGHMC: return bnn_sghmc(w, (bnn_sghmc_desc){ .lr = lr });
    case BNN_SGNHT: return bnn_sgnht(w, (bnn_sgnht_desc){ .lr = lr });
    case BNN_HMC: return bnn_hmc(w, (bnn_hmc_desc){ .net = net, .data = d, .step = lr,
                                 .leapfrog = 5, .adapt_mass = 1, .warmup = 20 });
    default: return bnn_nuts(w, (bnn_nuts_desc){ .net = net, .data = d, .step = lr,
                             .mass = kind == BNN_NUTS ? BNN_MASS_DENSE : BNN_MASS_DIAGONAL,
                             .max_depth = 4, .warmup = 40 });
    }
}

static void what_is_frozen_stays_under_every_stepper(void) {
    for (int kind = 0; kind < KINDS; kind++) {
        open_all(1);
        bnn_net net = make(1, 0);
        bnn_params *w = net.params;
        bnn_data d = { normals(20, 16, 1), normals(20, 2, 1) };
        bnn_stepper s = stepper(kind, w, (float)0.01, &net, d);
        float *was = bnn_mat_copy(&mem, bnn__mat(1, w->n, w->theta)).data;
        size_t head = w->blocks[2].offset;
        for (int i = 0; i < 50; i++) {
            bnn_tape_reset(&tape);
            if (s.hmc == NULL) bnn_backward(bnn_net_loss(&net, bnn_batch_all(&tape, d)));
            bnn_step(&s, &tape);
        }
        CHECK(s.hmc != NULL || tape.notes == 0); /* none of a block without a gradient */
        CHECK_SAME_ARRAY(w->theta, was, head);
        for (size_t i = head; i < w->n; i++) CHECK(w->theta[i] < was[i] || w->theta[i] > was[i]);
        bnn_params_sample_prior(w, &tape.rng);
        CHECK_SAME_ARRAY(w->theta, was, head);
        close_all();
    }
}

/* The gradient of the rest is as if nothing were frozen, that of the frozen is 0. */
static bnn_var *loss(bnn_tape *t, void *user) {
    struct { bnn_net *net; bnn_data d; } *l = user;
    return bnn_net_loss(l->net, bnn_batch_all(t, l->d));
}
static void the_rest_has_its_gradient_prior_and_all(void) {
    open_all(2);
    bnn_net a = make(1, 0), b = make(0, 0);
    struct { bnn_net *net; bnn_data d; } l = { &a, { normals(9, 16, 1), normals(9, 2, 1) } };
    size_t head = a.params->blocks[2].offset;
    bnn_params_copy(b.params, a.params);
    CHECK_NEAR(bnn_grad_check(&tape, a.params, loss, &l), 0, BUILD_TOL(0.1, 1e-7));
    bnn_params_zero_grad(a.params);
    bnn_backward(bnn_net_loss(&a, bnn_batch_all(&tape, l.d)));
    bnn_backward(bnn_net_loss(&b, bnn_batch_all(&tape, l.d)));
    for (size_t i = 0; i < a.params->n; i++)
        CHECK(a.params->grad[i] == (i < head ? 0 : b.params->grad[i]));
    bnn_stepper s = bnn_sgd(a.params, (bnn_sgd_desc){ .lr = 1 }); /* no step without a gradient */
    bnn_tape_reset(&tape);
    bnn_params_lr(a.params, 0, 0);
    bnn_step(&s, &tape);
    CHECK(tape.err == BNN_EARG && strstr(tape.msg, "no bnn_backward") != NULL);
    tape.err = BNN_OK;
    bnn_params_lr(a.params, 0, 1), bnn_params_lr(a.params, 1, 1); /* and it thaws */
    CHECK(a.params->run == NULL);
    bnn_backward(bnn_net_loss(&a, bnn_batch_all(&tape, l.d)));
    CHECK_SAME_ARRAY(a.params->grad, b.params->grad, a.params->n);
    close_all();
}

/* A block with a factor moves as under a stepper with that lr, all others as before. */
static void a_factor_is_an_lr_for_the_block(void) {
    for (int kind = BNN_SGD; kind < BNN_SGLD; kind++) {
        bnn_net net[3];
        open_all(3);
        for (int k = 0; k < 3; k++) net[k] = make(0, k == 0 ? (float)0.25 : 0);
        size_t head = net[0].params->blocks[2].offset, n = net[0].params->n;
        for (int k = 0; k < 3; k++) {
            bnn_data d = { normals(6, 16, 1), normals(6, 2, 1) };
            float lr = k == 1 ? (float)0.25 * (float)0.01 : (float)0.01;
            bnn_stepper s = stepper(kind, net[k].params, lr, NULL, d);
            for (int i = 0; i < 3; i++) { /* the same gradients for all */
                bnn_tape_reset(&tape);
                bnn_params_zero_grad(net[k].params);
                for (size_t j = 0; j < n; j++)
                    net[k].params->grad[j] = (float)sin((double)(j + 7 * (size_t)i));
                bnn_step(&s, &tape);
            }
        }
        CHECK_SAME_ARRAY(net[0].params->theta, net[1].params->theta, head);
        CHECK_SAME_ARRAY(net[0].params->theta + head, net[2].params->theta + head, n - head);
        close_all();
    }
}

/* A step that would overflow in one block moves none. */
static void a_step_with_factors_is_all_or_nothing(void) {
    open_all(4);
    bnn_net net = make(0, (float)0.5);
    bnn_params *w = net.params;
    bnn_stepper s = bnn_sgd(w, (bnn_sgd_desc){ .lr = 100 });
    float *was = bnn_mat_copy(&mem, bnn__mat(1, w->n, w->theta)).data;
    bnn_params_zero_grad(w);
    for (size_t i = 0; i < w->n; i++) w->grad[i] = 1;
    w->grad[w->n - 1] = sizeof(float) == 8 ? (float)1e307 : (float)1e37;
    bnn_step(&s, &tape);
    CHECK(tape.err == BNN_ENONFINITE && strstr(tape.msg, "block 3 (b02) would overflow") != NULL);
    CHECK_SAME_ARRAY(w->theta, was, w->n);
    tape.err = BNN_OK;
    close_all();
}

/* ---- the law on a linear convolution. With P the patches of all images, the posterior of kernel
 * and bias is N(m, A^-1), A = 1/s0^2 + P^T P/s^2, m = A^-1 P^T y/s^2. A sampler with the lr matrix
 * D has the precision A - c A D A/N, c = 1/2 (SGLD), 1/(2 (2 - f)) (SGHMC), which is exact. */

enum { IMAGES = 12 };

static void law_of(int kind, float factor, uint64_t seed) {
    enum { WARM = 500, DRAWS = 20000, THIN = 6 };
    const double lr = 0.1, f = 0.4, s2 = 0.64, c = kind == BNN_SGLD ? 0.5 : 0.5 / (2 - f);
    bnn_mat p, a, ad, b, root, e, sum, cov;
    double rate = 1, tau;
    open_all(seed);
    bnn_net net = bnn_layers(bnn_params_new(&mem), (bnn_layers_desc){ .input = { 3, 3, 1 },
        .noise_std = (float)sqrt(s2), .layers = { { BNN_CONV, 1, .kernel = 2 } } });
    bnn_params *w = net.params;
    bnn_data d = { normals(IMAGES, 9, 1), normals(IMAGES, PIXELS, 1) };
    bnn_params_lr(w, 1, factor); /* of the bias */
    p = patches(d.x);
    a = bnn_mat_new(&mem, WEIGHTS, WEIGHTS), root = bnn_mat_new(&mem, WEIGHTS, WEIGHTS);
    cov = bnn_mat_new(&mem, WEIGHTS, WEIGHTS), sum = bnn_mat_new(&mem, 1, WEIGHTS);
    b = bnn_mat_new(&mem, WEIGHTS, 1), e = bnn_mat_new(&mem, 1, WEIGHTS);
    bnn_mat_mul_tn(a, p, p);
    bnn_mat_mul_tn(b, p, bnn__mat(p.rows, 1, d.y.data));
    bnn_mat_scale(a, a, (float)(1 / s2)), bnn_mat_scale(b, b, (float)(1 / s2));
    for (size_t i = 0; i < WEIGHTS; i++) a.data[i * WEIGHTS + i] += 1;
    bnn_mat_cholesky(root, a, NULL);
    bnn_mat_solve_lower(b, root, b), bnn_mat_solve_lower_t(b, root, b); /* the mean */
    memcpy(w->theta, b.data, WEIGHTS * sizeof *b.data);
    ad = bnn_mat_copy(&mem, a);
    for (size_t i = 0; i < WEIGHTS * WEIGHTS; i++) { /* D^1/2 A D^1/2/N: rates; A D A */
        double di = lr * (i / WEIGHTS == 4 ? (double)factor : 1);
        double dj = lr * (i % WEIGHTS == 4 ? (double)factor : 1);
        ad.data[i] *= (float)sqrt(di * dj) / IMAGES;
    }
    bnn_mat_eig_sym(&mem, e, cov, ad);
    for (size_t i = 0; i < WEIGHTS; i++) rate = fmin(rate, (double)e.data[i]);
    for (size_t i = 0; i < WEIGHTS; i++)
        for (size_t j = 0; j < WEIGHTS; j++) {
            double ada = 0;
            for (size_t k = 0; k < WEIGHTS; k++)
                ada += lr * (k == 4 ? (double)factor : 1) * (double)a.data[i * WEIGHTS + k] *
                       (double)a.data[k * WEIGHTS + j];
            ad.data[i * WEIGHTS + j] = a.data[i * WEIGHTS + j] - (float)(c * ada / IMAGES);
        }
    CHECK(bnn_mat_cholesky(root, ad, NULL) == BNN_OK);
    bnn_mat_fill(cov, 0);
    bnn_stepper s = kind == BNN_SGLD ? bnn_sgld(w, (bnn_sgld_desc){ .lr = (float)lr })
        : bnn_sghmc(w, (bnn_sghmc_desc){ .lr = (float)lr, .friction = (float)f });
    for (size_t k = 0; k < WARM + DRAWS * THIN; k++) {
        float z[WEIGHTS];
        bnn_tape_reset(&tape);
        bnn_backward(bnn_net_loss(&net, bnn_batch_all(&tape, d)));
        bnn_step(&s, &tape);
        if (k < WARM || k % THIN != 0) continue;
        for (size_t i = 0; i < WEIGHTS; i++) { /* z = L^T (theta - m) is standard normal */
            z[i] = 0;
            for (size_t j = i; j < WEIGHTS; j++)
                z[i] += root.data[j * WEIGHTS + i] * (w->theta[j] - b.data[j]);
        }
        for (size_t i = 0; i < WEIGHTS; i++) {
            sum.data[i] += z[i] / DRAWS;
            for (size_t j = 0; j < WEIGHTS; j++)
                cov.data[i * WEIGHTS + j] += z[i] * z[j] / DRAWS;
        }
    }
    tau = kind == BNN_SGLD ? pow(1 - rate, THIN) : pow(1 - rate / f, THIN);
    tau = (1 + tau) / (1 - tau); /* of the slowest direction, of x and more than enough of x^2 */
    for (size_t i = 0; i < WEIGHTS; i++) { /* 5 sigma, 20 numbers: false alarms below 1.2e-5 */
        CHECK_NEAR(sum.data[i], 0, 5 * sqrt(tau / DRAWS));
        for (size_t j = 0; j <= i; j++)
            CHECK_NEAR(cov.data[i * WEIGHTS + j], i == j, 5 * sqrt((i == j ? 2 : 1) * tau / DRAWS));
    }
    close_all();
}
static void samplers_have_the_conjugate_law_of_a_linear_convolution(void) {
    law_of(BNN_SGLD, 1, 10);
    law_of(BNN_SGLD, (float)0.3, 11);
    law_of(BNN_SGLD, 2, 12);
    law_of(BNN_SGHMC, (float)0.3, 13);
}

/* ---- files, and what is refused */

static void factors_are_in_the_file_of_a_list(void) {
    open_all(5);
    bnn_net net = make(1, 0), plain = make(0, 0);
    bnn_checkpoint c = { .nets = { &net } };
    void *bytes, *old;
    size_t size, less;
    bnn_params_lr(net.params, 2, (float)0.5);
    CHECK(bnn_checkpoint_write(&mem, &c, &bytes, &size) == BNN_OK);
    CHECK(((unsigned char *)bytes)[28] == 3);
    c.nets[0] = &plain;
    CHECK(bnn_checkpoint_write(&mem, &c, &old, &less) == BNN_OK);
    CHECK(((unsigned char *)old)[28] == 2 && less == size - 4 * sizeof(float));
    CHECK(bnn_checkpoint_read(&mem, &c, bytes, size) == BNN_OK);
    for (size_t i = 0; i < 4; i++)
        CHECK(plain.params->blocks[i].lr == (i < 2 ? 0 : i == 2 ? (float)0.5 : 1));
    CHECK(plain.params->run != NULL);
    c.nets[0] = &net; /* a file without leaves what the list says */
    CHECK(bnn_checkpoint_read(&mem, &c, old, less) == BNN_OK);
    CHECK(net.params->blocks[0].lr == 0 && net.params->blocks[2].lr == (float)0.5);
    for (size_t n = 0; n < size; n++) { /* damage is refused */
        ((unsigned char *)bytes)[n] ^= 0x41;
        CHECK(bnn_checkpoint_read(&mem, &c, bytes, size) != BNN_OK);
        ((unsigned char *)bytes)[n] ^= 0x41, mem.err = BNN_OK;
    }
    close_all();
}

static int said(const char *text) {
    int ok = mem.err == BNN_EARG && strstr(mem.msg, text) != NULL;
    if (!ok) printf("    %s\n", mem.msg);
    mem.err = BNN_OK;
    return ok;
}
static void what_cannot_be_is_refused(void) {
    open_all(6);
    bnn_net net = make(1, 0);
    bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ .init_std = 1 });
    CHECK(q.params == NULL && said("bnn_meanfield_new: block 0 (w01) is frozen, a mean field"));
    bnn_params_lr(net.params, 4, 1);
    CHECK(said("bnn_params_lr: block 4 of 4, factor 1 (0 or more)"));
    bnn_params_lr(net.params, 0, -1);
    CHECK(said("bnn_params_lr: block 0 of 4, factor -1 (0 or more)"));
    CHECK(make(0, -1).params == NULL && said("bnn_layers: layer 1 (conv) has an lr of -1"));
    net = bnn_layers(bnn_params_new(&mem), (bnn_layers_desc){ .input = { 4, 4, 1 },
        .noise_std = 1, .layers = { { BNN_MAX_POOL, .kernel = 2, .frozen = 1 } } });
    CHECK(net.params == NULL && said("bnn_layers: layer 1 (max pool) has no weights"));
    bnn_params_lr(NULL, 0, 1);
    net = make(0, (float)0.5); /* a mean field takes the factors, of both its halves */
    q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ .init_std = 1 });
    CHECK(q.params->blocks[1].lr == (float)0.5 && q.params->blocks[5].lr == (float)0.5);
    CHECK(q.params->blocks[2].lr == 1 && q.params->run != NULL);
    close_all();
}

static void a_posterior_in_one_call_keeps_what_is_frozen(void) {
    open_all(7);
    bnn_net net = make(1, 0);
    bnn_data d = { normals(20, 16, 1), normals(20, 2, 1) };
    size_t head = net.params->blocks[2].offset;
    bnn_posterior p = bnn_fit(&mem, &net, d, (bnn_fit_desc){ .method = BNN_FIT_SGHMC, .seed = 3,
                              .gradients = 30000 });
    CHECK(p.post.count > 10);
    for (size_t k = 0; k < p.post.count; k++)
        CHECK_SAME_ARRAY(bnn_ensemble_sample(&p.post, k).theta, net.params->theta, head);
    CHECK_NEAR(p.temperature, 1, 0.2);
    CHECK_NEAR(p.kinetic, 1, 0.2);
    close_all();
}

/* x' = x + f^2 ((2-x)/2 sum v^2/(c lr T/N)/n - 1), c the factor of each weight's lr; 0: not there */
static void the_thermostat_weighs_by_factors(void) {
    const double lr = 0.01, f = 0.3, rows = 20;
    open_all(11);
    bnn_net net = make(0, (float)0.25);
    bnn_data d = { normals(20, 16, 1), normals(20, 2, 1) };
    bnn_params_lr(net.params, 1, 0), bnn_params_lr(net.params, 3, 4);
    bnn_stepper s = bnn_sgnht(net.params, (bnn_sgnht_desc){ (float)lr, (float)f, 1 });
    bnn_params *w = net.params;
    for (int step = 0; step < 5; step++) {
        bnn_mat before = bnn_mat_copy(&mem, (bnn_mat){ 1, w->n, w->theta });
        double x = (double)s.thermostat, sum = 0, n = 0;
        bnn_tape_reset(&tape);
        bnn_backward(bnn_net_loss(&net, bnn_batch_all(&tape, d)));
        bnn_step(&s, &tape);
        for (size_t b = 0; b < w->n_blocks; b++)
            for (size_t i = 0; i < w->blocks[b].rows * w->blocks[b].cols; i++) {
                size_t at = w->blocks[b].offset + i;
                double v = (double)w->theta[at] - (double)before.data[at];
                const double c[] = { 0.25, 0, 1, 4 };
                if (b == 1) CHECK_NEAR(v, 0, 0);
                else sum += v * v / (c[b] * lr / rows), n++;
            }
        x += f * f * ((2 - x) / 2 * sum / n - 1);
        CHECK_NEAR((double)s.thermostat, x, BUILD_TOL(1e-4, 1e-9));
    }
    close_all();
}

int main(void) {
    RUN(the_thermostat_weighs_by_factors);
    RUN(what_is_frozen_stays_under_every_stepper);
    RUN(the_rest_has_its_gradient_prior_and_all);
    RUN(a_factor_is_an_lr_for_the_block);
    RUN(a_step_with_factors_is_all_or_nothing);
    RUN(samplers_have_the_conjugate_law_of_a_linear_convolution);
    RUN(factors_are_in_the_file_of_a_list);
    RUN(what_cannot_be_is_refused);
    RUN(a_posterior_in_one_call_keeps_what_is_frozen);
    return check_done();
}
