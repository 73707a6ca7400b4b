/* controller.c -- a REINFORCE controller over architectures.
 *     cc -O2 -I.. controller.c -lm && ./a.out [rounds]
 * An architecture is a choice of activation (linear, tanh, relu, sin) and of width (1, 2, 4, 8):
 * two categorical variables. The controller draws four of them, trains each for a moment on
 * y = sin(2x) + noise, and learns from the validation error by the score function, each draw with
 * the mean of the others as baseline. You should see sin found with probability above 0.9, and the
 * exact gradient of a small bandit beside the mean and variance of its estimates. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { N = 120, DRAWS = 4, STEPS = 250 };
static const int acts[4] = { BNN_IDENTITY, BNN_TANH, BNN_RELU, BNN_SIN };
static const size_t widths[4] = { 1, 2, 4, 8 };
static const char *const names[4] = { "linear", "tanh", "relu", "sin" };

/* Validation nll per row after a short training, plus a price per hidden unit */
static double cost(bnn_tape *t, bnn_data train, bnn_data valid, size_t act, size_t width,
                   uint64_t seed) {
    bnn_arena mem = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, widths[width], 1 }, .noise_std = .2f,
                                             .activation = acts[act], .seed = seed });
    bnn_stepper adam = bnn_adam(w, (bnn_adam_desc){ .lr = .03f });
    for (int s = 0; s < STEPS; s++) {
        bnn_tape_reset(t);
        bnn_backward(bnn_net_loss(&net, bnn_minibatch(t, train, 32)));
        bnn_step(&adam, t);
    }
    bnn_tape_reset(t);
    double nll = bnn_value(bnn_net_nll(&net, bnn_batch_all(t, valid)));
    bnn_arena_free(&mem);
    return (nll < 5 ? nll : 5) + .01 * (double)widths[width]; /* a bounded cost tames the noise */
}

static bnn_var *logits_of(bnn_tape *t, bnn_params *a, size_t block, size_t n) {
    return bnn_add(bnn_zero(bnn_op(t, n, 1, NULL, 0, NULL)), bnn_param(t, a, block));
}

static bnn_var *log_prob(bnn_var *pick, bnn_var *logits) {
    return bnn_rowsum(bnn_mul(pick, bnn_log_softmax(logits)));
}

/* Three arms with costs 2, 3, 5: the estimator's mean and variance against p_k (c_k - p'c) */
static void bandit(bnn_arena *mem, bnn_tape *t) {
    static const float costs[3] = { 2, 3, 5 };
    double p[3], exact = 0, sum = 0;
    bnn_params *a = bnn_params_new(mem);
    bnn_params_add(a, 1, 3, "arm", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    for (int k = 0; k < 3; k++) sum += p[k] = exp(a->theta[k] = .3f * (float)k);
    for (int k = 0; k < 3; k++) exact += p[k] / sum * costs[k];
    printf("gradient by the first of three arms, exact %.4f\n", p[0] / sum * (costs[0] - exact));
    for (int base = 0; base < 2; base++) {
        double mean = 0, square = 0;
        for (int s = 0; s < 20000; s++) {
            bnn_tape_reset(t);
            bnn_var *la = logits_of(t, a, 0, 4), *pick = bnn_categorical(la);
            bnn_var *f = bnn_op(t, 4, 1, NULL, 0, NULL);
            for (size_t i = 0; i < 4 && f->val.data; i++)
                f->val.data[i] = costs[bnn_mat_row_argmax(pick->val, i)];
            bnn_params_zero_grad(a);
            bnn_backward(bnn_score_function(f, log_prob(pick, la), base ? NULL : bnn_scalar(t, 0)));
            mean += a->grad[0] / 20000, square += a->grad[0] * (double)a->grad[0] / 20000;
        }
        printf("    %s baseline: mean %.4f, variance %.4f\n", base ? "leave-one-out" : "without",
               mean, square - mean * mean);
    }
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 150;
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) }, inner = { .rng = bnn_rng_seed(2) };
    bnn_data d = { bnn_mat_new(&mem, 2 * N, 1), bnn_mat_new(&mem, 2 * N, 1) };
    for (int i = 0; i < 2 * N; i++) {
        d.x.data[i] = 6 * bnn_rng_uniform(&tape.rng) - 3;
        d.y.data[i] = sinf(2 * d.x.data[i]) + .1f * bnn_rng_normal(&tape.rng);
    }
    bandit(&mem, &tape);
    bnn_params *a = bnn_params_new(&mem);
    bnn_params_add(a, 1, 4, "activation", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    bnn_params_add(a, 1, 4, "width", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    bnn_stepper adam = bnn_adam(a, (bnn_adam_desc){ .lr = .1f });
    printf("round   p(linear) p(tanh) p(relu) p(sin)   p(1) p(2) p(4) p(8)   mean cost\n");
    double p[8] = { 0 };
    for (int r = 0; r <= rounds; r++) {
        bnn_tape_reset(&tape);
        bnn_var *la = logits_of(&tape, a, 0, DRAWS), *lw = logits_of(&tape, a, 1, DRAWS);
        bnn_var *act = bnn_categorical(la), *width = bnn_categorical(lw);
        bnn_var *f = bnn_op(&tape, DRAWS, 1, NULL, 0, NULL);
        double mean = 0;
        for (size_t i = 0; i < DRAWS && f->val.data; i++) {
            f->val.data[i] = (float)cost(&inner, bnn_data_rows(d, 0, N), bnn_data_rows(d, N, N),
                                         bnn_mat_row_argmax(act->val, i),
                                         bnn_mat_row_argmax(width->val, i),
                                         (uint64_t)r * DRAWS + i);
            mean += f->val.data[i] / DRAWS;
        }
        for (int b = 0; b < 2; b++) {
            double sum = 0;
            for (int k = 0; k < 4; k++) sum += p[4 * b + k] = exp(a->theta[4 * b + k]);
            for (int k = 0; k < 4; k++) p[4 * b + k] /= sum;
        }
        if (r % 50 == 0)
            printf("%5d   %9.3f %7.3f %7.3f %6.3f   %.2f %.2f %.2f %.2f   %.3f\n", r, p[0], p[1],
                   p[2], p[3], p[4], p[5], p[6], p[7], mean);
        bnn_backward(bnn_score_function(f, bnn_add(log_prob(act, la), log_prob(width, lw)), NULL));
        bnn_step(&adam, &tape);
    }
    int best = 0, wide = 0;
    for (int k = 1; k < 4; k++) {
        if (p[k] > p[best]) best = k;
        if (p[4 + k] > p[4 + wide]) wide = k;
    }
    printf("RESULT controller activation=%s prob=%.3f width=%zu prob_width=%.3f rounds=%d\n",
           names[best], p[best], widths[wide], p[4 + wide], rounds);
    int failed = tape.err || mem.err || inner.err;
    if (failed) fprintf(stderr, "controller: %s%s%s\n", tape.msg, mem.msg, inner.msg);
    bnn_tape_free(&tape);
    bnn_tape_free(&inner);
    bnn_arena_free(&mem);
    return failed;
}
