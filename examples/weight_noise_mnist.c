/* weight_noise_mnist.c -- Bayes by backprop on MNIST (Blundell et al. 2015) beside plain SGD and MC
 * dropout, all trained alike. Long: 784-400-400-10 takes about 4 s an epoch on one core.
 *     cc -O2 -I.. weight_noise_mnist.c -o wnm -lm && ./wnm FOLDER [units] [epochs] [method] [seed]
 * FOLDER holds the four IDX files of MNIST, gunzipped: train-images-idx3-ubyte, ... methods:
 * mixture, gauss, sgd, dropout, or all. You should see the weight noise below plain SGD in error,
 * and a mean field that loses most of its weights for nothing: the curve of that is printed. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 128, DRAWS = 50 };

typedef struct {
    bnn_arena mem;
    bnn_tape tape;
    bnn_data train, test;
    size_t units, epochs, *order;
    uint64_t seed;
} task;

static bnn_mat load(bnn_arena *mem, const char *folder, const char *name) {
    char path[1024];
    bnn_mat m = { 0, 0, NULL };
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (bnn_idx_load(mem, path, &m) != BNN_OK) {
        fprintf(stderr, "weight_noise_mnist: %s\n", mem->msg);
        exit(1);
    }
    return m;
}

static double seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }

static bnn_batch next(task *k, size_t step) { /* epochs: every image once, in random order */
    size_t per_epoch = k->train.x.rows / BATCH, i = step % per_epoch;
    if (i == 0) bnn_rng_permutation(&k->tape.rng, k->train.x.rows, k->order);
    return bnn_batch_rows(&k->tape, k->train, BATCH, k->order + i * BATCH);
}

static double test_error(task *k, const bnn_net *net, const bnn_ensemble *post, double *nll) {
    bnn_mark mark = bnn_arena_mark(&k->mem);
    bnn_mat p = bnn_predict(&k->mem, &k->tape, net, post, k->test.x).mean;
    double error = 100 * bnn_metric_error(p, k->test.y);
    if (nll) *nll = bnn_metric_nll(p, k->test.y);
    bnn_arena_rewind(&k->mem, mark);
    return error;
}

static void report(task *k, const bnn_net *net, const bnn_ensemble *post, const char *prior,
                   size_t steps, double start) {
    double nll, error = test_error(k, net, post, &nll);
    printf("RESULT bbb_mnist hidden=%zu prior=%s error=%.2f nll=%.4f steps=%zu seconds=%.0f\n",
           k->units, prior, error, nll, steps, seconds() - start);
    fflush(stdout);
}

/* Error of the mean, and of really smaller nets, as the weakest weights go */
static void prune(task *k, bnn_meanfield *q, const bnn_net *net) {
    const double removed[] = { 0, 0.5, 0.75, 0.9, 0.95, 0.98 };
    bnn_ensemble whole = bnn_ensemble_new(q->params, 1);
    bnn_ensemble_push(&whole);
    bnn_params all = bnn_ensemble_sample(&whole, 0);
    for (size_t i = 0; i < sizeof removed / sizeof *removed; i++) {
        bnn_mark mark = bnn_arena_mark(&k->mem);
        bnn_params_copy(q->params, &all);
        bnn_meanfield_prune(q, bnn_meanfield_snr(q, removed[i]));
        bnn_meanfield_mean(q);
        bnn_net small = bnn_mlp_shrink(bnn_params_new(&k->mem), net, NULL);
        printf("RESULT prune removed=%.0f error=%.2f params=%zu\n", 100 * removed[i],
               test_error(k, &small, NULL, NULL), small.params ? small.params->n : 0);
        fflush(stdout);
        bnn_arena_rewind(&k->mem, mark);
    }
}

static void train(task *k, const char *method) {
    int noisy = strcmp(method, "mixture") == 0 || strcmp(method, "gauss") == 0;
    int mixture = strcmp(method, "mixture") == 0, dropout = strcmp(method, "dropout") == 0;
    bnn_mark mark = bnn_arena_mark(&k->mem);
    size_t per_epoch = k->train.x.rows / BATCH, steps = k->epochs * per_epoch;
    float lr = noisy ? 0.04f : 0.02f; /* of SGD with momentum 0.9, cosine to 0 */
    double start = seconds();
    bnn_prior wide = { .kind = BNN_PRIOR_MIXTURE, .std = 1, .std2 = 9.11882e-4f /* e^-7 */,
                       .weight = 0.25f };
    if (!mixture) wide = (bnn_prior){ .kind = noisy ? BNN_PRIOR_NORMAL : BNN_PRIOR_FLAT };
    bnn_params *w = bnn_params_new(&k->mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 784, k->units, k->units, 10 },
            .likelihood = BNN_CATEGORICAL, .prior = wide, .seed = k->seed,
            .dropout = dropout ? 0.5f : 0, .dropout_input = dropout ? 0.2f : 0 });
    bnn_meanfield q = { 0 };
    if (noisy) q = bnn_meanfield_new(w, (bnn_meanfield_desc){ .init_std = 0.04f });
    bnn_stepper sgd = bnn_sgd(noisy ? q.params : w, (bnn_sgd_desc){ .lr = lr, .momentum = 0.9f });
    for (size_t s = 0; s < steps && !k->tape.err; s++) {
        bnn_tape_reset(&k->tape);
        sgd.lr = (float)bnn_lr_cosine((double)lr, s, steps);
        if (noisy) bnn_meanfield_sample(&q, &k->tape);
        bnn_backward(bnn_net_nll(&net, next(k, s)));
        if (noisy) bnn_meanfield_backward(&q, &k->tape);
        bnn_step(&sgd, &k->tape);
        if ((s + 1) % (10 * per_epoch)) continue;
        if (noisy) bnn_meanfield_mean(&q);
        fprintf(stderr, "%s epoch %zu: test error %.2f, KL/N %.2f\n", method, (s + 1) / per_epoch,
                test_error(k, &net, NULL, NULL),
                noisy ? bnn_meanfield_kl(&q) / (double)k->train.x.rows : 0);
    }
    bnn_ensemble post = bnn_ensemble_new(w, DRAWS);
    for (int i = 0; i < DRAWS && noisy; i++) bnn_meanfield_push(&q, &post, &k->tape.rng);
    for (int i = 0; i < DRAWS && dropout; i++) bnn_ensemble_push_dropout(&post, &net, &k->tape.rng);
    report(k, &net, noisy || dropout ? &post : NULL, method, steps, start);
    if (noisy) prune(k, &q, &net);
    bnn_arena_rewind(&k->mem, mark);
}

int main(int argc, char **argv) {
    static const char *const methods[] = { "mixture", "gauss", "sgd", "dropout" };
    if (argc < 2) {
        fprintf(stderr, "weight_noise_mnist: give the folder of the four MNIST files (IDX, "
                "gunzipped)\n");
        return 2;
    }
    task k = { .units = argc > 2 ? (size_t)atol(argv[2]) : 400,
               .epochs = argc > 3 ? (size_t)atol(argv[3]) : 20,
               .seed = argc > 5 ? (uint64_t)atol(argv[5]) : 1 };
    k.tape.rng = bnn_rng_seed(k.seed);
    k.train.x = load(&k.mem, argv[1], "train-images-idx3-ubyte");
    k.train.y = load(&k.mem, argv[1], "train-labels-idx1-ubyte");
    k.test.x = load(&k.mem, argv[1], "t10k-images-idx3-ubyte");
    k.test.y = load(&k.mem, argv[1], "t10k-labels-idx1-ubyte");
    k.order = (size_t *)bnn_arena_alloc(&k.mem, k.train.x.rows, sizeof *k.order);
    if (k.units == 0 || k.epochs == 0 || k.train.x.rows < BATCH || k.order == NULL) {
        fprintf(stderr, "weight_noise_mnist: units and epochs must be positive\n");
        bnn_arena_free(&k.mem);
        return 1;
    }
    bnn_mat_scale(k.train.x, k.train.x, 1 / 126.0f);
    bnn_mat_scale(k.test.x, k.test.x, 1 / 126.0f);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (argc < 5 || strcmp(argv[4], "all") == 0 || strcmp(argv[4], methods[i]) == 0)
            train(&k, methods[i]);
    if (k.tape.err || k.mem.err)
        fprintf(stderr, "weight_noise_mnist: %s\n", k.tape.err ? k.tape.msg : k.mem.msg);
    int failed = k.tape.err || k.mem.err;
    bnn_tape_free(&k.tape);
    bnn_arena_free(&k.mem);
    return failed;
}
