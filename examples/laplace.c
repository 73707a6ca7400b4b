/* laplace.c -- a posterior for a net that was trained plainly: the Laplace approximation.
 *     cc -O2 -I.. laplace.c -lm && ./a.out
 * A 1-50-1 net at its maximum, four curvatures (full, diagonal, Kronecker, last layer): evidence,
 * test log likelihood and the error bars in the data, in a gap and outside, beside the plain net
 * and HMC. The evidence chooses the prior's width without a validation set (that of the last layer
 * takes the others as known: compare it with itself only). Then two classes in the plane: you
 * should see the plain net certain a hundred sd away from all data, and the others not. `_draws`
 * lines send 100 draws of the weights through the whole net instead of linearizing it: worse, but
 * for the last layer, in which the net is linear. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <math.h>
#include <stdio.h>

enum { N = 60, TEST = 200, KINDS = 4 };
static const char *name[KINDS] = { "full", "diagonal", "kronecker", "last_layer" };

static void train(bnn_tape *tape, const bnn_net *net, bnn_data d, size_t steps, size_t batch,
                  float lr) {
    bnn_stepper adam = bnn_adam(net->params, (bnn_adam_desc){ .lr = lr });
    for (size_t s = 0; s < steps; s++) {
        bnn_tape_reset(tape);
        adam.lr = (float)bnn_lr_cosine((double)lr, s, steps);
        bnn_batch b = batch ? bnn_minibatch(tape, d, batch) : bnn_batch_all(tape, d);
        bnn_backward(bnn_net_loss(net, b));
        bnn_step(&adam, tape);
    }
}

/* 100 draws of the weights; a generator of their own */
static bnn_ensemble draw(const bnn_laplace *la) {
    bnn_ensemble post = bnn_ensemble_new(la->net.params, 100);
    bnn_rng rng = bnn_rng_seed(2);
    while (post.count < 100 && bnn_laplace_push(la, &post, &rng) == BNN_OK) {}
    return post;
}

/* Mean ln N(y; mean, aleatoric + epistemic) */
static double log_lik(bnn_arena *mem, bnn_predictive p, bnn_mat y) {
    bnn_mat v = bnn_mat_copy(mem, p.aleatoric);
    bnn_mat_add(v, v, p.epistemic);
    return -bnn_metric_gaussian_nll(p.mean, v, y);
}

static void regression(bnn_arena *mem, bnn_tape *tape) {
    bnn_mat x = bnn_mat_new(mem, N + TEST, 1), y = bnn_mat_new(mem, N + TEST, 1);
    /* a gap in the middle, and in the test as well beyond */
    for (size_t i = 0; i < N + TEST; i++) {
        float u = 4 * bnn_rng_uniform(&tape->rng) - 2;
        x.data[i] = i < N ? (u < 0 ? u - 0.5f : u + 0.5f) : 1.3f * u;
        y.data[i] = sinf(3 * x.data[i]) + 0.1f * bnn_rng_normal(&tape->rng);
    }
    bnn_data d = { bnn_mat_rows(x, 0, N), bnn_mat_rows(y, 0, N) };
    bnn_data test = { bnn_mat_rows(x, N, TEST), bnn_mat_rows(y, N, TEST) };
    float at[3] = { 1.5f, 0, 3.5f };
    bnn_mat where = { 3, 1, at };
    static const float std[5] = { 0.1f, 0.3f, 1, 3, 10 };
    printf("sd of f at 1.5 (data), 0 (gap), 3.5 (outside)\n");
    for (int k = 0; k < KINDS + 1; k++) {
        bnn_params *w = bnn_params_new(mem);
        bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 50, 1 }, .activation = BNN_TANH,
                                                 .noise_std = 0.1f, .prior = { .std = 1 } });
        train(tape, &net, d, 6000, 0, 1e-2f);
        bnn_predictive p = bnn_predict(mem, tape, &net, NULL, test.x);
        double ln = log_lik(mem, p, test.y);
        if (k == 0) printf("RESULT laplace method=plain log_lik=%.3f\n", ln);
        if (k < KINDS) {
            bnn_laplace la = bnn_laplace_new(mem, tape, &net, d, k);
            bnn_predictive q = bnn_laplace_predict(mem, tape, &la, where);
            p = bnn_laplace_predict(mem, tape, &la, test.x);
            printf("RESULT laplace method=%s evidence=%.1f log_lik=%.3f sd=%.3f,%.3f,%.3f\n",
                   name[k], la.log_evidence, log_lik(mem, p, test.y),
                   sqrt((double)q.epistemic.data[0]),
                   sqrt((double)q.epistemic.data[1]), sqrt((double)q.epistemic.data[2]));
            bnn_ensemble post = draw(&la);
            q = bnn_predict(mem, tape, &net, &post, where);
            p = bnn_predict(mem, tape, &net, &post, test.x);
            printf("RESULT laplace method=%s_draws log_lik=%.3f sd=%.3f,%.3f,%.3f\n", name[k],
                   log_lik(mem, p, test.y), sqrt((double)q.epistemic.data[0]),
                   sqrt((double)q.epistemic.data[1]), sqrt((double)q.epistemic.data[2]));
            continue;
        }
        bnn_ensemble post = bnn_ensemble_new(w, 100);
        bnn_stepper hmc = bnn_hmc(w, (bnn_hmc_desc){ .net = &net, .data = d, .leapfrog = 30,
                                                     .warmup = 100 });
        for (int s = 0; s < 300; s++) {
            bnn_tape_reset(tape);
            bnn_step(&hmc, tape);
            if (s >= 100 && s % 2) bnn_ensemble_push(&post);
        }
        bnn_predictive q = bnn_predict(mem, tape, &net, &post, where);
        p = bnn_predict(mem, tape, &net, &post, test.x);
        printf("RESULT laplace method=hmc log_lik=%.3f sd=%.3f,%.3f,%.3f\n",
               log_lik(mem, p, test.y), sqrt((double)q.epistemic.data[0]),
               sqrt((double)q.epistemic.data[1]), sqrt((double)q.epistemic.data[2]));
    }
    printf("\nprior sd   ln evidence (full)   test log likelihood\n");
    for (int k = 0; k < 5; k++) {
        bnn_net net = bnn_mlp(bnn_params_new(mem), (bnn_mlp_desc){ .sizes = { 1, 50, 1 },
            .activation = BNN_TANH, .noise_std = 0.1f, .prior = { .std = std[k] } });
        train(tape, &net, d, 6000, 0, 1e-2f);
        bnn_laplace la = bnn_laplace_new(mem, tape, &net, d, BNN_LAPLACE_FULL);
        bnn_predictive p = bnn_laplace_predict(mem, tape, &la, test.x);
        printf("%8.1f   %18.1f   %19.3f\n", (double)std[k], la.log_evidence,
               log_lik(mem, p, test.y));
    }
}

/* k: -1 the plain net, even linearized, odd by draws */
static bnn_mat classify(bnn_arena *mem, bnn_tape *tape, int k, const bnn_net *net,
                        const bnn_laplace *la, const bnn_ensemble *post, bnn_mat x) {
    if (k >= 0 && k % 2 == 0) return bnn_laplace_predict(mem, tape, la, x).mean;
    return bnn_predict(mem, tape, net, k < 0 ? NULL : post, x).mean;
}

/* Two classes in the plane: how sure far away from all data? (Kristiadi, Hein, Hennig 2020) */
static void classes(bnn_arena *mem, bnn_tape *tape) {
    bnn_data d = { bnn_mat_new(mem, 500, 2), bnn_mat_new(mem, 500, 1) };
    for (size_t i = 0; i < 500; i++) {
        float side = i % 2 ? 1.2f : -1.2f;
        d.y.data[i] = (float)(i % 2);
        d.x.data[2 * i] = side + bnn_rng_normal(&tape->rng);
        d.x.data[2 * i + 1] = side + bnn_rng_normal(&tape->rng);
    }
    bnn_data few = bnn_data_rows(d, 0, 100), test = bnn_data_rows(d, 100, 400);
    bnn_net net = bnn_mlp(bnn_params_new(mem), (bnn_mlp_desc){ .sizes = { 2, 30, 2 },
        .likelihood = BNN_CATEGORICAL, .prior = { .std = 1 } });
    train(tape, &net, few, 4000, 0, 1e-2f);
    for (int k = -1; k < 2 * KINDS; k++) {
        static bnn_laplace la;
        bnn_ensemble post = { 0 };
        double sure[2] = { 0 };
        if (k >= 0 && k % 2 == 0) la = bnn_laplace_new(mem, tape, &net, few, k / 2);
        if (k >= 0 && k % 2) post = draw(&la);
        for (int r = 0; r < 2; r++) /* 24 directions, 10 and 100 sd away */
            for (int a = 0; a < 24; a++) {
                float at[2] = { (r ? 100 : 10) * cosf(0.2618f * (float)a),
                                (r ? 100 : 10) * sinf(0.2618f * (float)a) };
                bnn_mat p = classify(mem, tape, k, &net, &la, &post, (bnn_mat){ 1, 2, at });
                if (p.data) sure[r] += (double)(p.data[0] > p.data[1] ? p.data[0] : p.data[1]) / 24;
            }
        bnn_mat p = classify(mem, tape, k, &net, &la, &post, test.x);
        printf("RESULT laplace classes=%s%s error=%.2f nll=%.4f ece=%.4f confidence_at_10=%.3f "
               "at_100=%.3f\n", k < 0 ? "plain" : name[k / 2], k % 2 > 0 ? "_draws" : "",
               100 * bnn_metric_error(p, test.y), bnn_metric_nll(p, test.y),
               bnn_metric_ece(p, test.y, 15), sure[0], sure[1]);
    }
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    regression(&mem, &tape);
    classes(&mem, &tape);
    if (tape.err || mem.err) fprintf(stderr, "laplace: %s\n", tape.err ? tape.msg : mem.msg);
    int failed = tape.err || mem.err;
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return failed;
}
