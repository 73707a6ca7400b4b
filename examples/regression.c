/* regression.c -- a CSV in, predictions with 90 % intervals out.
 *     cc -O2 -I.. regression.c -lm && ./a.out [train.csv [target [test.csv [save.bnn]]]]
 * target: a column's name or number from 1, default (or "-") the last. Without a test file (or
 * "-") a fifth of the rows is held out. Without arguments: data/friedman.csv, 300 rows of the
 * formula in data/README.md, noise of sd 1. You should see 51 of the 60 held-out rows inside
 * their intervals (54 are expected, give or take 2), and an RMSE of about 1.5, the noise and what
 * 240 rows leave unknown. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAP_STEPS = 2000, WARMUP = 150, THIN = 3, KEEP = 100, SHOW = 8 };

static void die(const char *what) {
    fprintf(stderr, "regression: %s\n", what);
    exit(1);
}

static bnn_csv read_csv(bnn_arena *mem, const char *path) {
    bnn_csv csv;
    if (bnn_csv_load(mem, path, &csv, (bnn_csv_desc){ .reject_missing = 1 })) die(mem->msg);
    if (csv.values.rows < 5 || csv.values.cols < 2) die("at least 5 rows and 2 columns are needed");
    return csv;
}

static size_t find_column(bnn_csv csv, const char *want) {
    char *end;
    long number = strtol(want, &end, 10);
    for (size_t j = 0; csv.names && j < csv.values.cols; j++)
        if (strcmp(csv.names[j], want) == 0) return j;
    if (strcmp(want, "-") == 0) return csv.values.cols - 1;
    if (*want == '\0' || *end != '\0' || number < 1 || (size_t)number > csv.values.cols)
        die("the target is neither a column's name nor a number of one");
    return (size_t)number - 1;
}

/* Rows order[0 .. n-1] of a table, its target column apart */
static bnn_data take(bnn_arena *mem, bnn_mat table, size_t target, const size_t *order, size_t n) {
    bnn_data d = { bnn_mat_new(mem, n, table.cols - 1), bnn_mat_new(mem, n, 1) };
    for (size_t i = 0; i < n && !mem->err; i++)
        for (size_t j = 0, k = 0; j < table.cols; j++) {
            float v = *bnn_mat_at(table, order[i], j);
            if (j == target) d.y.data[i] = v;
            else *bnn_mat_at(d.x, i, k++) = v;
        }
    return d;
}

/* HMC from the best net on; it finds its own step. The noise is learned with the weights. */
static bnn_ensemble sample(bnn_tape *tape, const bnn_net *net, bnn_data train) {
    size_t batch = train.x.rows < 50 ? train.x.rows : 50;
    bnn_stepper adam = bnn_adam(net->params, (bnn_adam_desc){ .lr = 5e-3f });
    bnn_stepper hmc = bnn_hmc(net->params, (bnn_hmc_desc){ .net = net, .data = train,
                                                           .leapfrog = 40, .warmup = WARMUP });
    bnn_ensemble post = bnn_ensemble_new(net->params, KEEP);
    for (int s = -MAP_STEPS; s < WARMUP + KEEP * THIN && !tape->err; s++) {
        bnn_tape_reset(tape);
        if (s < 0) bnn_backward(bnn_net_loss(net, bnn_minibatch(tape, train, batch)));
        bnn_step(s < 0 ? &adam : &hmc, tape);
        if (s >= WARMUP && s % THIN == 0) bnn_ensemble_push(&post);
    }
    return post;
}

int main(int argc, char **argv) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    FILE *here = fopen("data/friedman.csv", "r");
    const char *path = here ? "data/friedman.csv" : "examples/data/friedman.csv";
    if (argc > 1) path = argv[1];
    if (here) fclose(here);
    bnn_csv csv = read_csv(&mem, path), other = csv;
    size_t n = csv.values.rows, target = find_column(csv, argc > 2 ? argv[2] : "-");
    int split = argc <= 3 || strcmp(argv[3], "-") == 0;
    if (!split) other = read_csv(&mem, argv[3]);
    if (other.values.cols != csv.values.cols) die("the test file has another number of columns");
    for (size_t j = 0; csv.names && other.names && j < csv.values.cols; j++)
        if (strcmp(csv.names[j], other.names[j])) die("the test file has other names of columns");
    if (argc > 5) die("at most four words: train.csv, target, test.csv, save.bnn");
    size_t n_test = split ? n / 5 : other.values.rows, most = n > n_test ? n : n_test;
    size_t *order = bnn_arena_alloc(&mem, most, sizeof *order);
    if (mem.err) die(mem.msg);
    for (size_t i = 0; i < most; i++) order[i] = i;
    if (split) bnn_rng_permutation(&tape.rng, n, order);
    bnn_data test = take(&mem, other.values, target, order, n_test);
    size_t skip = split ? n_test : 0;
    bnn_data train = take(&mem, csv.values, target, order + skip, n - skip);

    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { train.x.cols, 50, 1 },
                                             .activation = BNN_TANH, .noise_std = 0.3f,
                                             .noise_learned = 1 });
    if (mem.err) die(mem.msg);
    w->blocks[net.noise].prior = /* of ln variance, y standardized: few rows cannot make it 0 */
        (bnn_prior){ .kind = BNN_PRIOR_NORMAL, .mean = 2 * logf(0.3f), .std = 1 };
    if (bnn_net_standardize(&net, train)) die(mem.msg);
    bnn_ensemble post = sample(&tape, &net, train);
    bnn_predictive p = bnn_predict(&mem, &tape, &net, &post, test.x);
    bnn_mat lo = bnn_predict_quantile(&mem, &tape, &net, &post, test.x, 0.05f);
    bnn_mat hi = bnn_predict_quantile(&mem, &tape, &net, &post, test.x, 0.95f);
    bnn_mat ll = bnn_predict_log_lik(&mem, &tape, &net, &post, test);
    if (tape.err || mem.err) die(tape.err ? tape.msg : mem.msg);

    printf("%s: %zu rows to learn from, %zu to test, target %s\n", path, train.x.rows, n_test,
           csv.names ? csv.names[target] : "without a name");
    printf("   row        y     mean   90 %% interval      noise  doubt\n");
    for (size_t i = 0; i < n_test && i < SHOW; i++)
        printf("%6zu  %7.2f  %7.2f  [%6.2f, %6.2f]  %7.2f  %5.2f%s\n", order[i] + 1, test.y.data[i],
               p.mean.data[i], lo.data[i], hi.data[i], sqrt(p.aleatoric.data[i]),
               sqrt(p.epistemic.data[i]),
               test.y.data[i] < lo.data[i] || test.y.data[i] > hi.data[i] ? "  outside" : "");
    printf("all %zu: RMSE %.3f, %.1f %% inside, mean width %.2f, log likelihood %.3f\n", n_test,
           bnn_metric_rmse(p.mean, test.y), 100 * bnn_metric_coverage(lo, hi, test.y),
           bnn_metric_width(lo, hi), bnn_mat_sum(ll) / (double)n_test);
    if (argc > 4) {
        bnn_checkpoint c = { .nets = { &net }, .ensembles = { &post } };
        if (bnn_checkpoint_save(&mem, argv[4], &c)) die(mem.msg);
        printf("the net and its %zu samples are in %s\n", post.count, argv[4]);
    }
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return 0;
}
