/* test_evidence.c -- ln p(D) by thermodynamic integration and annealed importance sampling beside
 * closed forms, quadrature and Laplace's method; replicas that cross between modes. */
#include "build.h"
#include "world.h"

enum { N = 20, D = 3 };
static float in[N * D], out[N];

static bnn_data regression(size_t n, size_t d, double noise) {
    bnn_data data = { { n, d, in }, { n, 1, out } };
    bnn_rng r = bnn_rng_seed(77); /* of the data, whatever the seed of the samplers */
    for (size_t i = 0; i < n; i++) {
        out[i] = (float)(noise * (double)bnn_rng_normal(&r));
        for (size_t j = 0; j < d; j++) {
            in[i * d + j] = bnn_rng_normal(&r);
            out[i] += (float)(1 - 0.5 * (double)j) * in[i * d + j];
        }
    }
    return data;
}

/* Within 4 errors (6e-5 for each of two), which are small enough to say something */
static void check_evidence(bnn_evidence e, double truth, double most) {
    CHECK_NEAR(e.log_evidence, truth, 4 * e.error);
    CHECK(e.error > 0 && e.error < most);
}

static void evidence_of_linear_regression_is_the_closed_form(void) {
    for (int k = 0; k < 2; k++) { /* two widths of the prior */
        double std = k == 0 ? 1 : 5, noise = 0.4, alpha[D], truth;
        bnn_net net;
        bnn_data data;
        bnn_ladder l;
        bnn_evidence e;
        bnn_mat none = { 0, 0, NULL };
        open_all(10 + (uint64_t)k);
        data = regression(N, D, noise);
        for (int j = 0; j < D; j++) alpha[j] = 1 / std / std;
        truth = bnn_linear_evidence(&mem, none, none, data, alpha, 1 / noise / noise);
        net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { D, 1 }, .no_bias = 1,
                      .noise_std = (float)noise, .prior.std = (float)std });
        l = bnn_ladder_new(&mem, &net, data, (bnn_ladder_desc){ .rungs = 40 });
        e = bnn_ladder_integrate(&l, &tape, 2000);
        check_evidence(e, truth, 0.3);
        CHECK(isnan(e.ess));
        e = bnn_ladder_anneal(&l, &tape, 200, 8);
        check_evidence(e, truth, 0.3);
        CHECK(e.ess > 10 && e.ess <= 200);
        for (size_t r = 0; r + 1 < l.rungs; r++) /* each pair in every other step */
            CHECK(l.tried[r] >= 999 && l.tried[r] <= 1001 && l.swapped[r] * 5 > l.tried[r]);
        close_all();
    }
}

/* y = v tanh(w x): two mirror modes */
static bnn_var *two_weights(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    bnn_var *hidden = bnn_tanh(bnn_mul(bnn_param(t, net->params, 0), x));
    return bnn_mul(bnn_param(t, net->params, 1), hidden);
}

static double quadrature(bnn_data d, double noise) {
    double sum = 0, h = 0.02;
    for (double w = -8; w < 8; w += h)
        for (double v = -8; v < 8; v += h) {
            double u = (w * w + v * v) / 2;
            for (size_t i = 0; i < d.x.rows; i++)
                u += pow(((double)d.y.data[i] - v * tanh(w * (double)d.x.data[i])) / noise, 2) / 2;
            sum += exp(-u);
        }
    return log(sum * h * h) - bnn__dlog(2 * BNN__PI) -
           (double)d.x.rows * (bnn__dlog(2 * BNN__PI) / 2 + log(noise));
}

static void evidence_of_a_tiny_net_is_that_of_quadrature(void) {
    enum { POINTS = 12, SWEEPS = 3000 };
    double truth, noise = 0.3;
    size_t right = 0;
    bnn_params *w;
    bnn_net net;
    bnn_data data;
    bnn_ladder l;
    bnn_laplace la;
    open_all(20);
    data = regression(POINTS, 1, noise);
    w = bnn_params_new(&mem);
    bnn_params_add(w, 1, 1, "w", (bnn_prior){ 0 });
    bnn_params_add(w, 1, 1, "v", (bnn_prior){ 0 });
    net = (bnn_net){ .params = w, .forward = two_weights, .likelihood = BNN_GAUSSIAN,
                     .noise_std = (float)noise };
    truth = quadrature(data, noise);
    l = bnn_ladder_new(&mem, &net, data, (bnn_ladder_desc){ 0 });
    check_evidence(bnn_ladder_integrate(&l, &tape, SWEEPS), truth, 0.2);
    check_evidence(bnn_ladder_anneal(&l, &tape, 300, 4), truth, 0.15);
    for (int i = 0; i < SWEEPS; i++) { /* both modes, over the prior: half the time in each */
        bnn_tape_reset(&tape);
        bnn_ladder_step(&l, &tape);
        right += w->theta[0] > 0;
        CHECK(w->theta[0] * w->theta[1] > 0);
    }
    CHECK_NEAR((double)right / SWEEPS, 0.5, 0.15); /* ESS some 250: 4.7 sd */
    /* Laplace sees one of two modes, and that it is no Gaussian it does not see */
    w->theta[0] = w->theta[1] = 1;
    for (int i = 0; i < 3000; i++) {
        static bnn_stepper adam;
        if (i == 0) adam = bnn_adam(w, (bnn_adam_desc){ .lr = (float)1e-2 });
        adam.lr = (float)bnn_lr_cosine(1e-2, (size_t)i, 3000);
        bnn_tape_reset(&tape);
        bnn_backward(bnn_net_loss(&net, bnn_batch_all(&tape, data)));
        bnn_step(&adam, &tape);
    }
    la = bnn_laplace_new(&mem, &tape, &net, data, BNN_LAPLACE_FULL);
    CHECK_NEAR(la.log_evidence + bnn__dlog(2), truth, 0.5);
    close_all();
}

static void a_bad_ladder_is_told(void) {
    bnn_params *w;
    bnn_net net;
    bnn_data data;
    bnn_ladder l;
    bnn_evidence e;
    open_all(30);
    data = regression(N, D, 0.4);
    net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { D, 1 }, .noise_std = 1 });
    CHECK(bnn_ladder_new(&mem, &net, data, (bnn_ladder_desc){ .rungs = 1 }).rungs == 0);
    CHECK(mem_took(BNN_EARG, "1 rungs with bend 4"));
    l = bnn_ladder_new(&mem, &net, data, (bnn_ladder_desc){ .bend = 200 });
    CHECK(mem.err == BNN_EARG && l.rungs == 0);
    bnn_ladder_step(&l, &tape);
    CHECK(took(BNN_EARG, "bnn_ladder: it was not made: bnn_ladder_new: 16 rungs with bend 200"));
    mem.err = BNN_OK;
    l = bnn_ladder_new(NULL, &net, data, (bnn_ladder_desc){ 0 });
    bnn_ladder_step(&l, &tape);
    CHECK(took(BNN_EARG, "bnn_ladder: it was not made: no arena, or no net"));
    w = bnn_params_new(&mem);
    net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { D, 1 }, .noise_std = 1,
                  .prior.kind = BNN_PRIOR_FLAT });
    bnn_ladder_new(&mem, &net, data, (bnn_ladder_desc){ 0 });
    CHECK(mem_took(BNN_EARG, "block 0 (w01) has a flat prior"));
    net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { D, 1 }, .noise_std = 1 });
    l = bnn_ladder_new(&mem, &net, data, (bnn_ladder_desc){ .rungs = 3, .warmup = 10 });
    e = bnn_ladder_integrate(&l, &tape, 7);
    CHECK(took(BNN_EARG, "bnn_ladder_integrate: 7 sweeps, it needs 8") && isnan(e.log_evidence));
    e = bnn_ladder_anneal(&l, &tape, 1, 1);
    CHECK(took(BNN_EARG, "bnn_ladder_anneal: 1 runs of 1 steps") && isnan(e.error));
    close_all();
}

static bnn_var *not_finite(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    (void)net;
    return bnn_mul(x, bnn_scalar(t, (float)INFINITY));
}

static void what_cannot_be_trusted_is_told(void) {
    bnn_net net;
    bnn_data data;
    bnn_ladder l;
    open_all(40);
    data = regression(N, D, 0.4);
    net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { D, 1 },
                  .noise_std = (float)0.01 });
    l = bnn_ladder_new(&mem, &net, data, (bnn_ladder_desc){ .rungs = 2, .warmup = 20 });
    bnn_ladder_integrate(&l, &tape, 20);
    CHECK(tape.notes == 1 && strstr(tape.note, "rungs 0 and 1 swap in less than a fifth") != NULL);
    bnn_ladder_anneal(&l, &tape, 40, 1);
    CHECK(tape.notes == 2);
    bnn_params_add(net.params, 1, 1, "more", (bnn_prior){ 0 });
    close_all();
    open_all(41);
    data = regression(N, 1, 0.4);
    net = (bnn_net){ .params = bnn_params_new(&mem), .forward = not_finite, .noise_std = 1,
                     .likelihood = BNN_GAUSSIAN };
    bnn_params_add(net.params, 1, 1, "w", (bnn_prior){ 0 });
    l = bnn_ladder_new(&mem, &net, data, (bnn_ladder_desc){ 0 });
    bnn_ladder_step(&l, &tape);
    CHECK(took(BNN_ENONFINITE, "bnn_ladder: the energy of a draw from the prior is not finite"));
    close_all();
}

/* Wherever memory ends, it is an error that says so. */
static void any_allocation_may_fail(void) {
    static unsigned char space[1 << 16];
    int made = 0;
    open_all(50);
    for (size_t room = 64; room <= sizeof space && !made; room += 64) {
        bnn_arena small = { .buffer = space, .capacity = room };
        bnn_params *w = bnn_params_new(&small);
        bnn_net net;
        bnn_data data = regression(N, D, 0.4);
        bnn_ladder l;
        bnn_evidence e;
        if (w == NULL) continue;
        net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { D, 1 }, .noise_std = 1 });
        l = bnn_ladder_new(&small, &net, data, (bnn_ladder_desc){ .rungs = 4, .warmup = 8 });
        CHECK(small.err == BNN_OK ? l.rungs == 4 : l.rungs == 0 && small.err == BNN_ENOMEM);
        e = bnn_ladder_integrate(&l, &tape, 8);
        made = small.err == BNN_OK && tape.err == BNN_OK;
        CHECK(made || tape.err == (l.rungs == 0 ? BNN_EARG : BNN_ENOMEM));
        CHECK(made == !isnan(e.log_evidence));
        bnn_tape_clear_error(&tape);
        bnn_arena_free(&small);
    }
    CHECK(made);
    tape.notes = 0;
    close_all();
}

int main(void) {
    RUN(evidence_of_linear_regression_is_the_closed_form);
    RUN(evidence_of_a_tiny_net_is_that_of_quadrature);
    RUN(a_bad_ladder_is_told);
    RUN(what_cannot_be_trusted_is_told);
    RUN(any_allocation_may_fail);
    return check_done();
}
