/* graves.c -- ten ways to put a prior and noise on weights (Graves 2011, table 1), on real digits.
 *     cc -O2 -I.. graves.c -o graves -lm && ./graves [epochs] [rows] [seed] [folder of the digits]
 * Each row trains a 64-50-10 net; one call of bnn_graves_row switches. You should see adaptive L1
 * do worst and adaptive L2 worse than L2, weights with learned noise compress the labels best, and,
 * with 300 training rows (./graves 1500 300), the rows that adapt or pay for noise collapse: the
 * prior wins. Then the recipe: train plainly, go on with adaptive weight noise and Adadelta. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BATCH = 50 };

typedef struct {
    bnn_arena mem;
    bnn_tape tape;
    bnn_data train, test;
    size_t epochs;
    uint64_t seed;
} task;

static double error(task *k, const bnn_net *net, const bnn_ensemble *post, double *nll) {
    bnn_mat p = bnn_predict(&k->mem, &k->tape, net, post, k->test.x).mean;
    if (nll) *nll = bnn_metric_nll(p, k->test.y);
    return 100 * bnn_metric_error(p, k->test.y);
}

static bnn_net make_net(task *k, bnn_prior prior) {
    return bnn_mlp(bnn_params_new(&k->mem), (bnn_mlp_desc){ .sizes = { 64, 50, 10 },
                   .activation = BNN_TANH, .likelihood = BNN_CATEGORICAL, .prior = prior,
                   .seed = k->seed });
}

static void step(task *k, const bnn_net *net, bnn_meanfield *q, bnn_stepper *s, size_t batch) {
    bnn_tape_reset(&k->tape);
    bnn_meanfield_update_priors(q, 1);
    bnn_meanfield_sample(q, &k->tape);
    bnn_backward(bnn_net_nll(net, bnn_minibatch(&k->tape, k->train, batch)));
    bnn_meanfield_backward(q, &k->tape);
    bnn_step(s, &k->tape);
}

static void train_row(task *k, int row) {
    bnn_mark mark = bnn_arena_mark(&k->mem);
    bnn_graves g = bnn_graves_row(row);
    bnn_net net = make_net(k, g.prior);
    bnn_meanfield q = bnn_meanfield_new(net.params, g.desc);
    bnn_stepper adam = bnn_adam(q.params, (bnn_adam_desc){ .lr = 2e-3f });
    size_t steps = k->epochs * k->train.x.rows / BATCH;
    for (size_t s = 0; s < steps; s++) step(k, &net, &q, &adam, BATCH);
    bnn_meanfield_update_priors(&q, 1);
    bnn_meanfield_cost c = bnn_meanfield_measure(&q, &k->tape, &net, k->train, 10);
    bnn_meanfield_mean(&q); /* Graves's networks answer with the mean of the weights */
    printf("RESULT graves row=%s posterior=%s prior=%s error=%.2f error_nats=%.1f "
           "complexity_nats=%.1f bits=%.0f ratio=%.3f epochs=%zu\n", g.name, g.posterior,
           g.prior_name, error(k, &net, NULL, NULL), c.error, c.complexity, c.bits, c.ratio,
           k->epochs);
    bnn_arena_rewind(&k->mem, mark);
}

/* A trained net goes on with and without adaptive noise: ln sigma moves 1024 times faster than its
 * parameter, Adadelta in Zeiler's units, the divergence tempered by 0.1, the squared gradient of
 * the batch as curvature (a larger batch has a smaller one, and ends with more noise). */
static void go_on(task *k, const bnn_net *net, size_t batch, int noise) {
    bnn_mark mark = bnn_arena_mark(&k->mem);
    bnn_meanfield q = bnn_meanfield_new(net->params, (bnn_meanfield_desc){ .scale = BNN_SCALE_LOG,
            .posterior = noise ? BNN_POSTERIOR_GAUSSIAN : BNN_POSTERIOR_DELTA, .log_rate = 1024,
            .init_std = 1e-12f, .kl_weight = 0.1f, .share = 1,
            .estimator = BNN_ESTIMATE_BATCH_BIASED });
    bnn_stepper zeiler = bnn_adadelta(q.params, (bnn_adadelta_desc){ .eps = 1e-8f });
    size_t more = 2 * k->train.x.rows / batch;
    double nll[2], e[2] = { error(k, net, NULL, &nll[0]), 0 }, log_sigma = 0;
    if (!noise) q.kl_weight = 0;
    for (size_t i = 0; i < more; i++) step(k, net, &q, &zeiler, batch);
    bnn_meanfield_kl(&q); /* sigma of the last rho */
    for (size_t i = 0; i < q.n && noise; i++) log_sigma += log((double)q.sigma[i]) / (double)q.n;
    bnn_meanfield_mean(&q);
    e[1] = error(k, net, NULL, &nll[1]);
    printf("RESULT anneal noise=%d batch=%zu error_before=%.2f error=%.2f nll_before=%.4f nll=%.4f "
           "sigma=%.2g steps=%zu\n", noise, batch, e[0], e[1], nll[0], nll[1],
           noise ? exp(log_sigma) : 0, more);
    bnn_arena_rewind(&k->mem, mark);
}

static void anneal(task *k) {
    bnn_net net = make_net(k, (bnn_prior){ .adapt_mean = 1, .adapt_std = 1 });
    bnn_stepper adam = bnn_adam(net.params, (bnn_adam_desc){ .lr = 2e-3f });
    for (size_t i = 0; i < k->epochs * k->train.x.rows / BATCH / 2; i++) {
        bnn_tape_reset(&k->tape);
        bnn_backward(bnn_net_nll(&net, bnn_minibatch(&k->tape, k->train, BATCH)));
        bnn_step(&adam, &k->tape);
    }
    bnn_mat start = bnn_mat_copy(&k->mem, (bnn_mat){ 1, net.params->n, net.params->theta });
    for (int i = 0; i < 4 && start.data; i++) {
        memcpy(net.params->theta, start.data, start.cols * sizeof(float));
        go_on(k, &net, i % 2 ? 1 : 8, i / 2);
    }
}

int main(int argc, char **argv) {
    const char *who = "graves", *folder = argc > 4 ? argv[4] : example_folder();
    task k = { .epochs = argc > 1 ? example_whole(who, "epochs", argv[1], 1, 1e6) : 40,
               .seed = argc > 3 ? example_seed(who, argv[3]) : 1 };
    example_most(who, argc, argv, 4);
    k.tape.rng = bnn_rng_seed(k.seed);
    k.train = example_data(&k.mem, who, folder, "digits-train-images.idx",
                           "digits-train-labels.idx", 64, 16);
    k.test = example_data(&k.mem, who, folder, "digits-test-images.idx", "digits-test-labels.idx",
                          64, 16);
    double all = (double)k.train.x.rows;
    if (argc > 2)
        k.train = bnn_data_rows(k.train, 0, example_whole(who, "rows", argv[2], BATCH, all));
    for (int row = 0; row < BNN_GRAVES_ROWS && !k.tape.err; row++) train_row(&k, row);
    anneal(&k);
    if (k.tape.err || k.mem.err)
        fprintf(stderr, "graves: %s\n", k.tape.err ? k.tape.msg : k.mem.msg);
    int failed = k.tape.err || k.mem.err;
    bnn_tape_free(&k.tape);
    bnn_arena_free(&k.mem);
    return failed;
}
