/* hyper.c -- a prior variance for every weight, chosen on validation data in five ways.
 *     cc -O2 -I.. hyper.c -lm && ./a.out [seeds [FOLDER of MNIST]]
 * Lower level: -ln p(y|x,w) + sum_i e^(a_i) w_i^2/2 on training data; upper level: the validation
 * nll by a. Random search; coordinate, one a_i after the other; greedy, the hypergradient through
 * one step of the weights (Luketina et al. 2016); DrMAD, through all of training, its path taken as
 * a straight line (Fu et al. 2016); implicit, at the optimum. About equally many gradients each,
 * then training from scratch; beside them a = 0 on the training rows and on these pooled with the
 * validation rows. A linear model of which 5 of 30 inputs matter, and digits; noisy: N(0, 0.5^2)
 * added to the test inputs. You should see all but random search far ahead on the linear model, and
 * nothing gained on the digits that pooling does not give. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NONE, POOLED, RANDOM, COORDINATE, GREEDY, DRMAD, IMPLICIT, METHODS };
static const char *const names[] = { "none", "pooled", "random", "coordinate", "greedy", "drmad",
                                     "implicit" };
static const float bound = 5; /* |a| at most: a step of gradient descent stays stable */

typedef struct {
    const char *name;
    size_t sizes[4];       /* of the net                                 */
    size_t useful;         /* inputs that matter, if known               */
    size_t train, valid, test, gradients, final; /* rows; the budget; steps of the last training */
    float lr;              /* of gradient descent for the weights        */
} task;

typedef struct {
    const task *k;
    bnn_net net;
    bnn_params *w, *a;
    bnn_data train, valid, test;
    float *start;          /* initial weights                            */
    size_t used;           /* gradients so far                           */
} problem;

enum { ACCURACY, GAIN, NOISY, VALID, TEST, GRADIENTS, CONTRAST, NUMBERS }; /* gain: over none */
typedef struct { double of[NUMBERS]; } outcome;

static bnn_var *upper(bnn_tape *t, void *user) {
    problem *p = user;
    p->used++;
    return bnn_net_nll(&p->net, bnn_batch_all(t, p->valid));
}

static bnn_var *lower(bnn_tape *t, void *user) {
    problem *p = user;
    bnn_var *loss = bnn_net_nll(&p->net, bnn_batch_all(t, p->train));
    p->used++;
    for (size_t b = 0; b < p->w->n_blocks; b++) {
        bnn_var *square = bnn_square(bnn_param(t, p->w, b));
        bnn_var *energy = bnn_sum(bnn_mul(bnn_exp(bnn_param(t, p->a, b)), square));
        loss = bnn_add(loss, bnn_scale(energy, .5f / (float)p->train.x.rows));
    }
    return loss;
}

static void train(bnn_tape *t, problem *p, bnn_stepper *s, size_t steps) {
    for (size_t i = 0; i < steps; i++) {
        bnn_tape_reset(t);
        bnn_backward(lower(t, p));
        bnn_params_zero_grad(p->a);
        bnn_step(s, t);
    }
}

static void restart(problem *p) { memcpy(p->w->theta, p->start, p->w->n * sizeof(float)); }

static double from_scratch(bnn_tape *t, problem *p, size_t steps) { /* the validation nll after */
    bnn_stepper adam = bnn_adam(p->w, (bnn_adam_desc){ .lr = .01f });
    restart(p);
    train(t, p, &adam, steps);
    bnn_tape_reset(t);
    return bnn_value(upper(t, p));
}

static void move(bnn_tape *t, problem *p, bnn_stepper *s) {
    bnn_step(s, t);
    for (size_t i = 0; i < p->a->n; i++)
        p->a->theta[i] = fminf(fmaxf(p->a->theta[i], -bound), bound);
}

/* A level and a spread of ln precisions, then every one of them */
static void random_search(bnn_tape *t, problem *p) {
    float *best = bnn_arena_alloc(p->a->mem, p->a->n, sizeof *best);
    double least = INFINITY, v;
    while (p->used < p->k->gradients && best && !t->err) {
        float level = bound * (2 * bnn_rng_uniform(&t->rng) - 1);
        float spread = 2 * bnn_rng_uniform(&t->rng);
        for (size_t i = 0; i < p->a->n; i++) {
            float a = level + spread * bnn_rng_normal(&t->rng);
            p->a->theta[i] = fminf(fmaxf(a, -bound), bound);
        }
        v = from_scratch(t, p, p->k->final);
        if (v < least) least = v, memcpy(best, p->a->theta, p->a->n * sizeof *best);
    }
    if (best) memcpy(p->a->theta, best, p->a->n * sizeof *best);
}

/* a_i - 2, a_i or a_i + 2, whichever validates best after some more steps from the same weights */
static void by_coordinates(bnn_tape *t, problem *p) {
    bnn_stepper sgd = bnn_sgd(p->w, (bnn_sgd_desc){ .lr = p->k->lr });
    size_t n = p->w->n, bytes = n * sizeof(float);
    size_t *order = bnn_arena_alloc(p->w->mem, n, sizeof *order);
    float *from = bnn_arena_alloc(p->w->mem, 2 * n, sizeof *from), *best = from + n;
    if (!order || !from) return;
    from_scratch(t, p, p->k->final);
    bnn_rng_permutation(&t->rng, n, order);
    for (size_t i = 0; p->used < p->k->gradients && !t->err; i++) {
        float *a = p->a->theta + order[i % n], keep = *a, chosen = keep;
        double least = INFINITY;
        memcpy(from, p->w->theta, bytes);
        for (int s = -1; s <= 1; s++) {
            memcpy(p->w->theta, from, bytes);
            *a = fminf(fmaxf(keep + 2 * (float)s, -bound), bound);
            train(t, p, &sgd, 10);
            bnn_tape_reset(t);
            double v = bnn_value(upper(t, p));
            if (v < least) least = v, chosen = *a, memcpy(best, p->w->theta, bytes);
        }
        *a = chosen;
        memcpy(p->w->theta, best, bytes);
    }
}

/* a and w in turn, the hypergradient through one step (greedy) or at the optimum (implicit) */
static void by_steps(bnn_tape *t, problem *p, int implicit) {
    bnn_stepper sgd = bnn_sgd(p->w, (bnn_sgd_desc){ .lr = p->k->lr });
    bnn_stepper fast = bnn_adam(p->w, (bnn_adam_desc){ .lr = .01f });
    bnn_stepper adam = bnn_adam(p->a, (bnn_adam_desc){ .lr = implicit ? .1f : .01f });
    if (implicit) train(t, p, &fast, p->k->final);
    while (p->used < p->k->gradients && !t->err) {
        bnn_tape_reset(t);
        bnn_hypergradient(t, (bnn_hypergradient_desc){ .w = p->w, .a = p->a, .upper = upper,
            .lower = lower, .user = p, .unroll = implicit ? 0 : p->k->lr, .implicit = implicit,
            .iterations = 10, .damping = .01f });
        move(t, p, &adam);
        train(t, p, implicit ? &fast : &sgd, implicit ? 20 : 1);
    }
}

/* Back along w_0 + s (w_T - w_0): da -= lr (e^a w) dw/N, dw -= lr H dw */
static void drmad(bnn_tape *t, problem *p) {
    enum { PATH = 100 };
    bnn_stepper sgd = bnn_sgd(p->w, (bnn_sgd_desc){ .lr = p->k->lr });
    bnn_stepper adam = bnn_adam(p->a, (bnn_adam_desc){ .lr = .5f });
    size_t n = p->w->n;
    float *end = bnn_arena_alloc(p->w->mem, 4 * n, sizeof *end);
    float *da = end + n, *dw = da + n, *hv = dw + n;
    while (p->used < p->k->gradients && end && !t->err) {
        restart(p);
        train(t, p, &sgd, PATH);
        memcpy(end, p->w->theta, n * sizeof *end);
        memset(da, 0, n * sizeof *da);
        bnn_tape_reset(t);
        bnn_params_zero_grad(p->w);
        bnn_backward(upper(t, p));
        memcpy(dw, p->w->grad, n * sizeof *dw);
        for (int s = PATH - 1; s >= 0 && !t->err; s--) {
            for (size_t i = 0; i < n; i++) {
                float w = p->start[i] + (float)s / PATH * (end[i] - p->start[i]);
                p->w->theta[i] = w;
                da[i] -= p->k->lr * expf(p->a->theta[i]) * w * dw[i] / (float)p->train.x.rows;
            }
            bnn_tape_reset(t);
            bnn_hessian_vector(hv, t, p->w, lower, p, dw);
            for (size_t i = 0; i < n; i++) dw[i] -= p->k->lr * hv[i];
        }
        bnn_params_zero_grad(p->w);
        bnn_params_zero_grad(p->a);
        memcpy(p->a->grad, da, n * sizeof *da);
        move(t, p, &adam);
    }
}

static void noisy(bnn_rng *rng, bnn_mat x) {
    for (size_t i = 0; i < x.rows * x.cols; i++) x.data[i] += .5f * bnn_rng_normal(rng);
}

static double accuracy(bnn_tape *t, const problem *p, bnn_mat x, double *nll) {
    bnn_data d = { x, p->test.y };
    double right = 0;
    bnn_tape_reset(t);
    *nll = bnn_value(bnn_net_nll(&p->net, bnn_batch_all(t, d)));
    bnn_var *f = bnn_net_forward(&p->net, bnn_input(t, x));
    if (t->err) return 0;
    for (size_t i = 0; i < x.rows; i++) {
        float y = p->test.y.data[i];
        right += f->val.cols > 1 ? (float)bnn_mat_row_argmax(f->val, i) == y
                                 : (f->val.data[i] > 0) == (y > 0);
    }
    return 100 * right / (double)x.rows;
}

/* Over the inputs that do not matter, minus over those that do: the mean ln precision */
static double contrast(const problem *p) {
    double sum[2] = { 0, 0 };
    size_t d = p->k->sizes[0], u = p->k->useful;
    for (size_t i = 0; u && i < d; i++) sum[i >= u] += p->a->theta[i];
    return u ? sum[1] / (double)(d - u) - sum[0] / (double)u : 0;
}

static outcome run(bnn_tape *t, problem *p, int method, bnn_mat noise) {
    outcome o = { { 0 } };
    double unused;
    p->used = 0;
    bnn_mat_fill((bnn_mat){ 1, p->a->n, p->a->theta }, 0);
    restart(p);
    if (method == POOLED) p->train.x.rows = p->train.y.rows = p->k->train + p->k->valid;
    if (method == RANDOM) random_search(t, p);
    if (method == COORDINATE) by_coordinates(t, p);
    if (method == GREEDY || method == IMPLICIT) by_steps(t, p, method == IMPLICIT);
    if (method == DRMAD) drmad(t, p);
    o.of[GRADIENTS] = (double)p->used;
    o.of[VALID] = from_scratch(t, p, p->k->final);
    o.of[ACCURACY] = accuracy(t, p, p->test.x, &o.of[TEST]);
    o.of[NOISY] = accuracy(t, p, noise, &unused);
    o.of[CONTRAST] = contrast(p);
    p->train.x.rows = p->train.y.rows = p->k->train;
    return o;
}

static bnn_data linear_data(bnn_arena *mem, bnn_rng *rng, const task *k) {
    size_t n = k->train + k->valid + k->test, d = k->sizes[0];
    bnn_data all = { bnn_mat_new(mem, n, d), bnn_mat_new(mem, n, 1) };
    for (size_t i = 0; i < n && !mem->err; i++) {
        float f = 0;
        for (size_t j = 0; j < d; j++) {
            float x = all.x.data[i * d + j] = bnn_rng_normal(rng);
            if (j < k->useful) f += j % 2 ? -2 * x : 2 * x;
        }
        all.y.data[i] = bnn_rng_uniform(rng) < 1 / (1 + expf(-f));
    }
    return all;
}

/* Other rows for every seed */
static bnn_data some_rows(bnn_arena *mem, bnn_rng *rng, bnn_data all, size_t n) {
    size_t *order = bnn_arena_alloc(mem, all.x.rows, sizeof *order), c = all.x.cols;
    bnn_data rows = { bnn_mat_new(mem, n, c), bnn_mat_new(mem, n, 1) };
    if (mem->err) return rows;
    bnn_rng_permutation(rng, all.x.rows, order);
    for (size_t i = 0; i < n; i++) {
        memcpy(rows.x.data + i * c, all.x.data + order[i] * c, c * sizeof(float));
        rows.y.data[i] = all.y.data[order[i]];
    }
    return rows;
}

/* All methods from the same weights on the same rows */
static int one_seed(const task *k, bnn_data all, bnn_data test, uint64_t seed, outcome *o) {
    bnn_arena mem = { 0 };
    bnn_tape t = { .rng = bnn_rng_seed(seed) };
    bnn_prior flat = { .kind = BNN_PRIOR_FLAT };
    bnn_mlp_desc d = { .noise_std = 1, .activation = BNN_TANH, .seed = seed, .prior = flat,
                       .likelihood = k->useful ? BNN_BERNOULLI : BNN_CATEGORICAL };
    problem p = { .k = k, .w = bnn_params_new(&mem), .a = bnn_params_new(&mem) };
    for (int l = 0; l < 4; l++) d.sizes[l] = k->sizes[l];
    p.net = bnn_mlp(p.w, d);
    for (size_t b = 0; b < p.w->n_blocks; b++)
        bnn_params_add(p.a, p.w->blocks[b].rows, p.w->blocks[b].cols, "ln precision", flat);
    p.start = bnn_arena_alloc(&mem, p.w->n, sizeof *p.start);
    if (p.start) memcpy(p.start, p.w->theta, p.w->n * sizeof *p.start);
    size_t n = k->train + k->valid;
    bnn_data rows = k->useful ? linear_data(&mem, &t.rng, k) : some_rows(&mem, &t.rng, all, n);
    p.train = bnn_data_rows(rows, 0, k->train);
    p.valid = bnn_data_rows(rows, k->train, k->valid);
    p.test = k->useful ? bnn_data_rows(rows, n, k->test) : bnn_data_rows(test, 0, k->test);
    bnn_mat noise = bnn_mat_copy(&mem, p.test.x);
    if (!mem.err) noisy(&t.rng, noise);
    for (int m = 0; m < METHODS && !mem.err && !t.err; m++) {
        o[m] = run(&t, &p, m, noise);
        o[m].of[GAIN] = o[m].of[ACCURACY] - o[NONE].of[ACCURACY];
    }
    if (t.err || mem.err) fprintf(stderr, "hyper: %s%s\n", t.msg, mem.msg);
    int failed = t.err || mem.err;
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
    return failed;
}

static int compare(const task *k, bnn_data all, bnn_data test, int seeds) {
    double mean[METHODS][NUMBERS] = { { 0 } }, se[METHODS][NUMBERS] = { { 0 } };
    int failed = 0;
    for (int seed = 1; seed <= seeds && !failed; seed++) {
        outcome o[METHODS];
        memset(o, 0, sizeof o);
        failed = one_seed(k, all, test, (uint64_t)seed, o);
        for (int m = 0; m < METHODS; m++)
            for (int q = 0; q < NUMBERS; q++) {
                mean[m][q] += o[m].of[q] / seeds;
                se[m][q] += o[m].of[q] * o[m].of[q] / seeds;
            }
    }
    printf("\n%-10s accuracy    se   over none    se   noisy    se   nll: valid   test   gradients"
           "%s\n", k->name, k->useful ? "   ln precision, noise - signal" : "");
    for (int m = 0; m < METHODS && !failed; m++) {
        for (int q = 0; q < NUMBERS; q++)
            se[m][q] = seeds < 2 ? 0
                     : sqrt(fmax(se[m][q] - mean[m][q] * mean[m][q], 0) / (seeds - 1));
        printf("%-10s %8.2f %5.2f %11.2f %5.2f %7.2f %5.2f %12.3f %6.3f %11.0f", names[m],
               mean[m][ACCURACY], se[m][ACCURACY], mean[m][GAIN], se[m][GAIN], mean[m][NOISY],
               se[m][NOISY], mean[m][VALID], mean[m][TEST], mean[m][GRADIENTS]);
        if (k->useful) printf("   %.2f", mean[m][CONTRAST]);
        printf("\nRESULT hyper data=%s method=%s accuracy=%.2f se=%.2f gain=%.2f gain_se=%.2f "
               "noisy=%.2f noisy_se=%.2f nll=%.3f\n", k->name, names[m], mean[m][ACCURACY],
               se[m][ACCURACY], mean[m][GAIN], se[m][GAIN], mean[m][NOISY], se[m][NOISY],
               mean[m][TEST]);
    }
    return failed;
}

int main(int argc, char **argv) {
    static const task linear = { "linear", { 30, 1 }, 5, 100, 100, 2000, 6000, 300, .5f };
    static const task digits = { "digits", { 64, 20, 10 }, 0, 200, 200, 1797, 6000, 300, .5f };
    static const task mnist = { "mnist", { 784, 50, 10 }, 0, 1000, 1000, 10000, 6000, 300, .2f };
    static const char *const files[2][4] = {
        { "digits-train-images.idx", "digits-train-labels.idx", "digits-test-images.idx",
          "digits-test-labels.idx" },
        { "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
          "t10k-labels-idx1-ubyte" } };
    int seeds = argc > 1 ? (int)example_whole("hyper", "seeds", argv[1], 1, 1e4) : 0;
    int big = argc > 2, failed = 0;
    const task *k = big ? &mnist : &digits;
    const char *folder = big ? argv[2] : example_folder();
    bnn_arena data = { 0 };
    bnn_data none = { { 0, 0, NULL }, { 0, 0, NULL } }, all, test;
    example_most("hyper", argc, argv, 2);
    if (!big) failed |= compare(&linear, none, none, seeds ? seeds : 10);
    all = example_data(&data, "hyper", folder, files[big][0], files[big][1], k->sizes[0],
                       big ? 255 : 16);
    test = example_data(&data, "hyper", folder, files[big][2], files[big][3], k->sizes[0],
                        big ? 255 : 16);
    if (all.x.rows < k->train + k->valid || test.x.rows < k->test) {
        fprintf(stderr, "hyper: %s: %zu images are needed, and %zu for the test\n", folder,
                k->train + k->valid, k->test);
        return 1;
    }
    failed |= compare(k, all, test, seeds ? seeds : 2);
    bnn_arena_free(&data);
    return failed;
}
