/* controller.c -- REINFORCE controllers over architectures: a table, and an LSTM.
 *     cc -O2 -I.. controller.c -lm && ./a.out [rounds] [rounds of the LSTM] [seed]
 * An architecture is a choice of activation (linear, tanh, relu, sin) and of width (1, 2, 4, 8):
 * two categorical variables. The controller draws four of them, trains each for a moment on
 * y = sin(2x) + noise, and learns from the validation error by the score function, each draw with
 * the mean of the others as baseline. Where there are two layers to choose, an LSTM chooses one
 * thing after the other, each given those before (Zoph and Le 2017), its baseline a moving average.
 * You should see sin found with probability above 0.9, the exact gradient of a small bandit beside
 * the mean and variance of its estimates, and the LSTM's nets become cheaper than random ones. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>

enum { N = 120, DRAWS = 4, STEPS = 250 };
static const int acts[4] = { BNN_IDENTITY, BNN_TANH, BNN_RELU, BNN_SIN };
static const size_t widths[4] = { 1, 2, 4, 8 };
static const char *const names[4] = { "linear", "tanh", "relu", "sin" };

/* Validation nll per row after a short training, plus a price per hidden unit. choice: activation
 * and width of each layer */
static double cost(bnn_tape *t, bnn_data d, size_t layers, const size_t *choice, uint64_t seed) {
    bnn_arena mem = { 0 };
    bnn_data train = bnn_data_rows(d, 0, N), valid = bnn_data_rows(d, N, N);
    bnn_params *w = bnn_params_new(&mem);
    bnn_mlp_desc desc = { .sizes = { 1 }, .noise_std = .2f, .seed = seed };
    double price = 0;
    for (size_t l = 0; l < layers; l++) {
        desc.activations[l] = acts[choice[2 * l]];
        price += .01 * (double)(desc.sizes[l + 1] = widths[choice[2 * l + 1]]);
    }
    desc.sizes[layers + 1] = 1;
    bnn_net net = bnn_mlp(w, desc);
    bnn_stepper adam = bnn_adam(w, (bnn_adam_desc){ .lr = .03f });
    for (int s = 0; s < STEPS; s++) {
        bnn_tape_reset(t);
        bnn_backward(bnn_net_loss(&net, bnn_minibatch(t, train, 32)));
        bnn_step(&adam, t);
    }
    bnn_tape_reset(t);
    double nll = bnn_value(bnn_net_nll(&net, bnn_batch_all(t, valid)));
    bnn_arena_free(&mem);
    return (nll < 5 ? nll : 5) + price; /* a bounded cost tames the noise */
}

static bnn_var *zeros(bnn_tape *t, size_t rows, size_t cols) {
    return bnn_zero(bnn_op(t, rows, cols, NULL, 0, NULL));
}

static bnn_var *logits_of(bnn_tape *t, bnn_params *a, size_t block, size_t n) {
    return bnn_add(zeros(t, n, 1), bnn_param(t, a, block));
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

/* ---- Zoph and Le 2017: four choices, one after the other, for nets of two hidden layers */

enum { LAYERS = 2, CHOICES = 2 * LAYERS, STATE = 16 };

static bnn_params *lstm_new(bnn_arena *mem, bnn_rng *rng) {
    bnn_params *w = bnn_params_new(mem);
    bnn_prior flat = { .kind = BNN_PRIOR_FLAT };
    bnn_params_add(w, 4, 4 * STATE, "w", flat);
    bnn_params_add(w, STATE, 4 * STATE, "u", flat);
    bnn_params_add(w, 1, 4 * STATE, "b", flat);
    bnn_params_add(w, STATE, 4 * CHOICES, "out", flat); /* a softmax for every choice */
    bnn_rng_fill_uniform(rng, w->n, w->theta);
    for (size_t i = 0; i < w->n; i++) w->theta[i] = .2f * w->theta[i] - .1f;
    return w;
}

/* n architectures: choices in pick (n, CHOICES), drawn, or the likeliest; returns ln q (n,1). What
 * was chosen is what the LSTM reads next. */
static bnn_var *lstm_choose(bnn_tape *t, bnn_params *w, size_t n, size_t *pick, int draw) {
    bnn_var *state = zeros(t, n, 2 * STATE), *log_q = NULL;
    bnn_var *x = zeros(t, n, 4);
    for (size_t c = 0; c < CHOICES; c++) {
        state = bnn_lstm(x, state, bnn_param(t, w, 0), bnn_param(t, w, 1), bnn_param(t, w, 2),
                         NULL);
        bnn_var *logits = bnn_matmul(bnn_cols(state, 0, STATE),
                                     bnn_cols(bnn_param(t, w, 3), 4 * c, 4));
        x = draw ? bnn_categorical(logits) : bnn_one_hot(logits);
        log_q = log_q ? bnn_add(log_q, log_prob(x, logits)) : log_prob(x, logits);
        for (size_t i = 0; i < n; i++) pick[i * CHOICES + c] = bnn_mat_row_argmax(x->val, i) % 4;
    }
    return log_q;
}

/* All 256 nets, the mean cost of four trainings of each: the mean and the smallest of them, and how
 * many are cheaper than the one picked */
static double survey(bnn_tape *inner, bnn_data d, const size_t *pick, double *best, int *cheaper) {
    enum { ALL = 256, TIMES = 4 };
    double costs[ALL] = { 0 }, mean = 0, own = 0;
    for (size_t a = 0; a < ALL; a++) {
        size_t choice[CHOICES], same = 0;
        for (size_t c = 0; c < CHOICES; c++) same += (choice[c] = a >> 2 * c & 3) == pick[c];
        for (uint64_t k = 0; k < TIMES; k++)
            costs[a] += cost(inner, d, LAYERS, choice, 1000000 + k) / TIMES;
        if (same == CHOICES) own = costs[a];
        mean += costs[a] / ALL;
    }
    *best = costs[0], *cheaper = 0;
    for (size_t a = 0; a < ALL; a++) {
        *best = costs[a] < *best ? costs[a] : *best;
        *cheaper += costs[a] < own;
    }
    return mean;
}

static void recurrent(bnn_arena *mem, bnn_tape *t, bnn_tape *inner, bnn_data d, int rounds) {
    bnn_params *w = lstm_new(mem, &t->rng);
    bnn_stepper adam = bnn_adam(w, (bnn_adam_desc){ .lr = .02f });
    size_t pick[DRAWS * CHOICES] = { 0 };
    double base = 0, first = 0, last = 0, p = 0, best;
    int cheaper;
    printf("round   mean cost of 50 rounds   likeliest net\n");
    for (int r = 1; r <= rounds && !t->err; r++) {
        double mean = 0;
        bnn_tape_reset(t);
        bnn_var *log_q = lstm_choose(t, w, DRAWS, pick, 1), *f = bnn_op(t, DRAWS, 1, NULL, 0, NULL);
        for (size_t i = 0; i < DRAWS && f->val.data; i++) {
            f->val.data[i] = (float)cost(inner, d, LAYERS, pick + i * CHOICES,
                                         (uint64_t)r * DRAWS + i);
            mean += f->val.data[i] / DRAWS;
        }
        if (r == 1) base = mean;
        bnn_backward(bnn_score_function(f, log_q, bnn_scalar(t, (float)base)));
        bnn_step(&adam, t);
        base += .1 * (mean - base);
        last += mean / 50;
        if (r % 50) continue;
        bnn_tape_reset(t);
        p = exp((double)bnn_value(lstm_choose(t, w, 1, pick, 0)));
        if (r == 50) first = last;
        printf("%5d   %9.3f                %s x %zu, %s x %zu, probability %.3f\n", r, last,
               names[pick[0]], widths[pick[1]], names[pick[2]], widths[pick[3]], p);
        if (r + 50 <= rounds) last = 0;
    }
    double average = survey(inner, d, pick, &best, &cheaper);
    printf("RESULT controller_lstm net=%s-%zu-%s-%zu prob=%.3f cost_first=%.3f cost_last=%.3f "
           "cost_random=%.3f cost_best=%.3f cheaper=%d of=256 rounds=%d\n", names[pick[0]],
           widths[pick[1]], names[pick[2]], widths[pick[3]], p, first, last, average, best, cheaper,
           rounds);
}

int main(int argc, char **argv) {
    const char *who = "controller";
    int rounds = argc > 1 ? (int)example_whole(who, "rounds", argv[1], 0, 1e6) : 150;
    int more = argc > 2 ? (int)example_whole(who, "rounds of the LSTM", argv[2], 0, 1e6) : 300;
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(argc > 3 ? example_seed(who, argv[3]) : 1) };
    example_most(who, argc, argv, 3);
    bnn_tape inner = { .rng = bnn_rng_seed(2) };
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
            size_t choice[2] = { bnn_mat_row_argmax(act->val, i),
                                 bnn_mat_row_argmax(width->val, i) };
            f->val.data[i] = (float)cost(&inner, d, 1, choice, (uint64_t)r * DRAWS + i);
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
    if (mem.err == BNN_OK && more > 49) recurrent(&mem, &tape, &inner, d, more - more % 50);
    int failed = tape.err || mem.err || inner.err;
    if (failed) fprintf(stderr, "controller: %s%s%s\n", tape.msg, mem.msg, inner.msg);
    bnn_tape_free(&tape);
    bnn_tape_free(&inner);
    bnn_arena_free(&mem);
    return failed;
}
