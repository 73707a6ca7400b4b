/* robot_arm.c -- MacKay's robot arm, and Neal's way to learn it: NUTS for the weights, Gibbs draws
 * for the widths of their priors.
 *     cc -O2 -I.. robot_arm.c -lm && ./a.out [arm | arm6 | curve | classes [seeds [draws [file]]]]
 * Two angles give the place of the hand, y = (2 cos a + 1.3 cos(a + b), 2 sin a + 1.3 sin(a + b))
 * + N(0, .05^2), from 200 rows; then the same with four inputs more, two that are noisy copies and
 * two of noise, each with a width of its own (ARD). You should see an error near the floor of .005,
 * far below that of the best single net, which the four inputs hardly raise: their widths shrink.
 * curve and classes are examples of Neal's FBM; its own data are read from a file, if there is one:
 * rows of inputs and targets, those for training first. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHAINS = 4, MAP_STEPS = 3000, MOST = 6 };

typedef struct {
    const char *name;
    size_t inputs, hidden, outputs, train, test;
    int ard, classes;
} task;
static const task tasks[] = { { "arm", 2, 16, 2, 200, 200, 0, 0 },
    { "arm6", 6, 16, 2, 200, 200, 1, 0 }, { "curve", 1, 8, 1, 100, 100, 0, 0 },
    { "classes", 4, 8, 3, 400, 600, 1, 1 } };
enum { TASKS = sizeof tasks / sizeof *tasks };

typedef struct { bnn_data train, test; bnn_mat truth; } problem; /* truth: of the test rows */

static void arm_row(bnn_rng *rng, size_t inputs, float *x, float *y, float *truth) {
    float a = .453f + (1.932f - .453f) * bnn_rng_uniform(rng);
    a = bnn_rng_below(rng, 2) ? a : -a;
    float b = .534f + (3.142f - .534f) * bnn_rng_uniform(rng);
    truth[0] = 2 * cosf(a) + 1.3f * cosf(a + b);
    truth[1] = 2 * sinf(a) + 1.3f * sinf(a + b);
    x[0] = a, x[1] = b;
    for (int k = 0; k < 2; k++) y[k] = truth[k] + .05f * bnn_rng_normal(rng);
    for (size_t j = 2; j < inputs; j++)
        x[j] = (j < 4 ? x[j - 2] : 0) + (j < 4 ? .02f : 1) * bnn_rng_normal(rng);
}

static void curve_row(bnn_rng *rng, float *x, float *y, float *truth) {
    *x = bnn_rng_normal(rng);
    *truth = .3f + .4f * *x + .5f * sinf(2.7f * *x) + 1.1f / (1 + *x * *x);
    *y = *truth + .1f * bnn_rng_normal(rng);
}

static void classes_row(bnn_rng *rng, float *x, float *y) { /* of four inputs two say nothing */
    for (int j = 0; j < 4; j++) x[j] = bnn_rng_uniform(rng);
    float d = hypotf(x[0] - .4f, x[1] - .5f);
    *y = d < .35f ? 0.0f : .8f * x[0] + 1.8f * x[1] < .6f ? 1.0f : 2.0f;
    for (int j = 0; j < 4; j++) x[j] += .1f * bnn_rng_normal(rng);
}

static problem make(bnn_arena *mem, bnn_rng *rng, const task *k, const char *file) {
    size_t n = k->train + k->test, y_cols = k->classes ? 1 : k->outputs;
    bnn_data all = { bnn_mat_new(mem, n, k->inputs), bnn_mat_new(mem, n, y_cols) };
    bnn_mat truth = bnn_mat_new(mem, n, k->outputs), table = { 0, 0, NULL };
    problem p = { all, all, truth };
    bnn_csv csv;
    int bad = file && bnn_csv_load(mem, file, &csv, (bnn_csv_desc){ .separator = ' ',
                                                                    .header = -1 }) != BNN_OK;
    if (file && !bad) table = csv.values;
    if (bad || mem->err || (table.data && (table.rows != n || table.cols != k->inputs + y_cols))) {
        if (bad || mem->err) fprintf(stderr, "robot_arm: %s\n", mem->msg); /* with its path */
        else
            fprintf(stderr, "robot_arm: %s: %zu rows of %zu numbers; %s wants %zu of %zu\n", file,
                    table.rows, table.cols, k->name, n, k->inputs + y_cols);
        exit(1);
    }
    for (size_t i = 0; i < n; i++) {
        float *x = all.x.data + i * k->inputs, *y = all.y.data + i * y_cols;
        if (table.data) {
            memcpy(x, table.data + i * table.cols, k->inputs * sizeof *x);
            memcpy(y, table.data + i * table.cols + k->inputs, y_cols * sizeof *y);
        } else if (k->classes) classes_row(rng, x, y);
        else if (k->inputs == 1) curve_row(rng, x, y, truth.data + i);
        else arm_row(rng, k->inputs, x, y, truth.data + i * k->outputs);
    }
    p.train = bnn_data_rows(all, 0, k->train);
    p.test = bnn_data_rows(all, k->train, k->test);
    p.truth = bnn_mat_rows(truth, k->train, k->test);
    if (table.data || k->classes) p.truth.data = NULL;
    return p;
}

/* Blocks: weights of the hidden layer, one block or one for each input, its biases, weights and
 * biases of the output. A block has one width; so ARD is a matter of blocks. */
static bnn_var *forward(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    const task *k = net->user;
    bnn_params *w = net->params;
    size_t b = k->ard ? k->inputs : 1;
    bnn_var *h = bnn_affine(k->ard ? bnn_cols(x, 0, 1) : x, bnn_param(t, w, 0),
                            bnn_param(t, w, b));
    for (size_t j = 1; j < b; j++)
        h = bnn_add(h, bnn_matmul(bnn_cols(x, j, 1), bnn_param(t, w, j)));
    return bnn_affine(bnn_tanh(h), bnn_param(t, w, b + 1), bnn_param(t, w, b + 2));
}

/* FBM's 0.05:0.5, a vague prior of 1/width^2: width^2 ~ InvGamma(.25, .25 .05^2); x: divided by
 * the root of what is summed up */
static bnn_prior vague(double count) {
    return (bnn_prior){ .std = .5f, .shape = .25f, .rate = (float)(.25 * .05 * .05 / count) };
}

static bnn_net new_net(bnn_arena *mem, bnn_rng *rng, const task *k) {
    bnn_params *w = bnn_params_new(mem);
    size_t b = k->ard ? k->inputs : 1;
    bnn_net net = { .params = w, .forward = forward, .user = (void *)k,
                    .likelihood = k->classes ? BNN_CATEGORICAL : BNN_GAUSSIAN };
    for (size_t j = 0; j < b; j++)
        bnn_params_add(w, k->inputs / b, k->hidden, "input", vague(1));
    bnn_params_add(w, 1, k->hidden, "bias", vague(1));
    bnn_params_add(w, k->hidden, k->outputs, "output", vague((double)k->hidden));
    bnn_params_add(w, 1, k->outputs, "bias", (bnn_prior){ .std = k->classes ? 10 : 100 });
    if (!k->classes) {
        net.noise = bnn_params_add(w, 1, 1, "noise", (bnn_prior){ .std = 5 });
        net.noise_learned = 1, net.noise_std = 1;
    }
    bnn_rng_fill_normal(rng, w->n, w->theta);
    bnn_mat_scale((bnn_mat){ 1, w->n, w->theta }, (bnn_mat){ 1, w->n, w->theta }, .3f);
    return net;
}

static void descend(bnn_tape *t, bnn_net *net, bnn_data d) { /* Adam: the best net, and a start */
    bnn_stepper adam = bnn_adam(net->params, (bnn_adam_desc){ .lr = 1e-2f });
    for (size_t s = 0; s < MAP_STEPS; s++) {
        bnn_tape_reset(t);
        adam.lr = (float)bnn_lr_cosine(1e-2, s, MAP_STEPS);
        bnn_backward(bnn_net_loss(net, bnn_batch_all(t, d)));
        bnn_step(&adam, t);
    }
}

static void report(const task *k, const char *method, uint64_t seed, bnn_arena *mem, bnn_tape *t,
                   const bnn_net *net, const bnn_ensemble *post, const problem *p, double rhat,
                   double seconds) {
    bnn_mat mean = bnn_predict(mem, t, net, post, p->test.x).mean;
    bnn_mat log_lik = bnn_predict_log_lik(mem, t, net, post, p->test);
    double n = (double)p->test.x.rows, error = 0, excess = 0;
    if (!mean.data || !log_lik.data) return; /* main says why */
    if (k->classes) error = bnn_metric_error(mean, p->test.y);
    for (size_t i = 0; i < mean.rows * mean.cols; i++) {
        if (!k->classes) error += pow(mean.data[i] - p->test.y.data[i], 2) / n;
        if (p->truth.data) excess += pow(mean.data[i] - p->truth.data[i], 2) / n;
    }
    printf("RESULT robot_arm task=%s method=%s seed=%d error=%.5f", k->name, method, (int)seed,
           error);
    if (p->truth.data) printf(" excess=%.5f", excess); /* squared distance from the truth */
    printf(" loglik=%.4f", bnn_mat_sum(log_lik) / n);
    if (rhat > 0) printf(" rhat=%.3f", rhat);
    printf(" seconds=%.1f\n", seconds);
    fflush(stdout);
}

static int run(const task *k, uint64_t seed, size_t draws, const char *file) {
    bnn_arena mem = { 0 };
    bnn_tape t = { .rng = bnn_rng_seed(seed) };
    problem p = make(&mem, &t.rng, k, file);
    double width[MOST] = { 0 }, start = (double)clock();
    bnn_net net = new_net(&mem, &t.rng, k);
    bnn_ensemble post = bnn_ensemble_new(net.params, CHAINS * draws);
    bnn_mat trace = bnn_mat_new(&mem, CHAINS, draws); /* ln likelihood of the training rows */
    size_t warmup = draws / 2;
    for (size_t c = 0; c < CHAINS && !t.err && !mem.err; c++) {
        bnn_net chain = new_net(&mem, &t.rng, k);
        descend(&t, &chain, p.train);
        if (c == 0)
            report(k, "map", seed, &mem, &t, &chain, NULL, &p, 0,
                   ((double)clock() - start) / CLOCKS_PER_SEC);
        bnn_stepper nuts = bnn_nuts(chain.params, (bnn_nuts_desc){ .net = &chain, .data = p.train,
                                                                   .warmup = warmup });
        for (size_t s = 0; s < warmup + draws; s++) {
            bnn_tape_reset(&t);
            bnn_step(&nuts, &t);
            bnn_params_update_priors(chain.params, &t.rng); /* Gibbs: widths given weights */
            if (s < warmup) continue;
            bnn_ensemble_push_from(&post, chain.params, 1);
            *bnn_mat_at(trace, c, s - warmup) =
                (float)(nuts.hmc ? -nuts.hmc->energy - bnn_params_log_prior(chain.params) : 0);
            for (size_t j = 0; k->ard && j < k->inputs; j++)
                width[j] += log((double)chain.params->blocks[j].prior.std) / (double)draws / CHAINS;
        }
    }
    report(k, "nuts", seed, &mem, &t, &net, &post, &p, bnn_diag_rhat(&mem, trace),
           ((double)clock() - start) / CLOCKS_PER_SEC);
    if (k->ard) {
        printf("RESULT robot_arm task=%s widths=inputs seed=%d", k->name, (int)seed);
        for (size_t j = 0; j < k->inputs; j++) printf(" x%zu=%.3f", j + 1, exp(width[j]));
        printf("\n");
    }
    int failed = t.err || mem.err;
    if (failed) fprintf(stderr, "robot_arm: %s\n", t.err ? t.msg : mem.msg);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
    return failed;
}

int main(int argc, char **argv) {
    const char *who = "robot_arm";
    int failed = 0, known = argc < 2;
    size_t seeds = argc > 2 ? example_whole(who, "seeds", argv[2], 1, 1e6) : 1;
    size_t draws = argc > 3 ? example_whole(who, "draws", argv[3], 1, 1e6) : argc > 1 ? 300 : 60;
    example_most(who, argc, argv, 4);
    for (int i = 0; i < TASKS && !known; i++) known = !strcmp(argv[1], tasks[i].name);
    if (!known) {
        fprintf(stderr, "usage: robot_arm [task [seeds [draws [file]]]], not %s; tasks:", argv[1]);
        for (int i = 0; i < TASKS; i++) fprintf(stderr, " %s", tasks[i].name);
        fputc('\n', stderr);
        return 2;
    }
    for (int i = 0; i < TASKS; i++)
        for (size_t s = 1; s <= seeds; s++)
            if (argc > 1 ? !strcmp(argv[1], tasks[i].name) : i < 2)
                failed |= run(&tasks[i], s, draws, argc > 4 ? argv[4] : NULL);
    return failed;
}
