/* uci.c -- regression with error bars on the six UCI sets and splits that papers compare on.
 *     cc -O2 -I.. uci.c -lm -o uci && ./uci folder [--quick] [--validate] [--splits n]
 *                              [--method map|sghmc|hmc|student] [set ...]
 * folder holds <set>/data.txt and the index files of Hernandez-Lobato and Adams (2015). A net of 50
 * relu units with learned noise and hierarchical priors by MAP, SGHMC and HMC (small sets), and a
 * student that distills the posterior; --method stops after one of them, --quick is one split of
 * one set. You should see test log likelihoods (units of y) far above MAP's and MC dropout's. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __unix__
#include <unistd.h>
#else
#define isatty(file) 0
#endif

enum { MAP, SGHMC, HMC, STUDENT, BEST }; /* BEST: HMC on the small sets, SGHMC on the others */
static const char *const methods[] = { "map", "sghmc", "hmc", "student", "posterior" };
enum { SPLITS = 20, HIDDEN = 50, BATCH = 100, MAP_STEPS = 5000, CHAINS = 2, KEEP = 100,
       SGHMC_BURN_IN = 6000, SGHMC_THIN = 240, HMC_WARMUP = 100, STUDENT_STEPS = 10000 };

typedef struct { size_t n; float values[SPLITS * 2]; double seconds; } score; /* rmse, ln p */
typedef struct { const char *name; int small, wanted; score scores[BEST]; } set;

static bnn_mat read_table(bnn_arena *mem, const char *folder, const char *name, const char *file) {
    char path[512];
    bnn_csv csv = { { 0, 0, NULL }, NULL, 0 };
    snprintf(path, sizeof path, "%s/%s/%s", folder, name, file);
    if (bnn_csv_load(mem, path, &csv, (bnn_csv_desc){ .separator = ' ', .header = -1 }) == BNN_OK)
        return csv.values;
    fprintf(stderr, "uci: %s\n", mem->msg);
    exit(2);
}

static bnn_data read_rows(bnn_arena *mem, const char *folder, const char *name, const char *part,
                          size_t split) {
    char file[40];
    snprintf(file, sizeof file, "index_%s_%zu.txt", part, split);
    bnn_mat all = read_table(mem, folder, name, "data.txt");
    bnn_mat rows = read_table(mem, folder, name, file);
    bnn_mat x_cols = read_table(mem, folder, name, "index_features.txt");
    bnn_mat y_col = read_table(mem, folder, name, "index_target.txt");
    bnn_data d = { bnn_mat_new(mem, rows.rows, x_cols.rows), bnn_mat_new(mem, rows.rows, 1) };
    for (size_t i = 0; i < rows.rows; i++) {
        const float *from = all.data + (size_t)rows.data[i] * all.cols;
        for (size_t j = 0; j < d.x.cols; j++)
            d.x.data[i * d.x.cols + j] = from[(size_t)x_cols.data[j]];
        d.y.data[i] = from[(size_t)y_col.data[0]];
    }
    return d;
}

/* Adam from a fresh start: the MAP baseline, and where each chain begins. Every layer has
 * w ~ N(0, v), v ~ InvGamma(1, 0.1); here v stays at its first value. */
static bnn_net fit_map(bnn_arena *mem, bnn_tape *tape, bnn_data train) {
    bnn_prior layers[2] = { { .std = 1, .shape = 1, .rate = 0.1f },
                            { .std = 0.3f, .shape = 1, .rate = 0.1f } };
    bnn_net net = bnn_mlp(bnn_params_new(mem), (bnn_mlp_desc){
        .sizes = { train.x.cols, HIDDEN, 1 }, .noise_learned = 1, .noise_std = 0.5f,
        .priors = layers, .seed = bnn_rng_u32(&tape->rng) });
    bnn_net_standardize(&net, train);
    bnn_stepper adam = bnn_adam(net.params, (bnn_adam_desc){ .lr = 1e-2f });
    for (size_t k = 0; k < MAP_STEPS; k++) {
        bnn_tape_reset(tape);
        adam.lr = (float)bnn_lr_cosine(1e-2, k, MAP_STEPS);
        bnn_backward(bnn_net_loss(&net, bnn_minibatch(tape, train, BATCH)));
        bnn_step(&adam, tape);
    }
    return net;
}

/* Gibbs: weights and noise given the priors' widths by HMC with all data or SGHMC with minibatches,
 * then the widths given the weights. The loss curves at most like 1/(noise variance): a constant
 * times that variance is a stable rate of SGHMC on every set. It is frozen after burn-in. */
static void sample(bnn_tape *tape, bnn_net *net, bnn_data train, bnn_stepper s, size_t burn_in,
                   size_t draws, size_t thin, bnn_ensemble *post) {
    const float *log_noise = bnn_params_mat(net->params, net->noise).data;
    double noise = exp((double)*log_noise); /* a running mean, in units of var y */
    for (size_t k = 0; k < burn_in + draws * thin; k++) {
        bnn_tape_reset(tape);
        if (s.kind == BNN_SGHMC) {
            if (k < burn_in) noise += 0.002 * (fmin(exp((double)*log_noise), 1) - noise);
            s.lr = (float)(0.02 * noise);
            bnn_backward(bnn_net_loss(net, bnn_minibatch(tape, train, BATCH)));
        }
        bnn_step(&s, tape);
        if (s.kind == BNN_HMC || k % 10 == 9) bnn_params_update_priors(net->params, &tape->rng);
        if (k >= burn_in && (k - burn_in) % thin == thin - 1)
            bnn_ensemble_push_from(post, net->params, 1);
    }
}

/* Student inputs: rows of the training set plus a tenth of each column's standard deviation. */
static void near_data(void *user, bnn_rng *rng, bnn_mat out) {
    const bnn_mat *x = (const bnn_mat *)user, *x_std = x + 1;
    bnn_rng_fill_normal(rng, out.rows * out.cols, out.data);
    for (size_t i = 0, at = 0; i < out.rows; i++) {
        const float *row = x->data + bnn_rng_below(rng, x->rows) * out.cols;
        for (size_t c = 0; c < out.cols; c++, at++)
            out.data[at] = row[c] + 0.1f * x_std->data[c] * out.data[at];
    }
}

static void judge(score *c, bnn_arena *mem, bnn_tape *tape, const bnn_net *net,
                  const bnn_ensemble *post, bnn_data test) {
    bnn_mat mean = bnn_predict(mem, tape, net, post, test.x).mean;
    bnn_mat log_lik = bnn_predict_log_lik(mem, tape, net, post, test);
    c->values[2 * c->n] = (float)bnn_metric_rmse(mean, test.y);
    c->values[2 * c->n++ + 1] = (float)(bnn_mat_sum(log_lik) / (double)log_lik.rows);
}

static double now(void) { return (double)clock() / CLOCKS_PER_SEC; }

static void run_split(set *s, const char *folder, size_t split, int last, int validate) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_stream(1, split) };
    bnn_data train = read_rows(&mem, folder, s->name, "train", split);
    bnn_data test = read_rows(&mem, folder, s->name, "test", split);
    size_t held = validate ? train.x.rows / 10 : 0; /* for tuning: the end of the training part */
    if (held > 0) test = bnn_data_rows(train, train.x.rows - held, held);
    train = bnn_data_rows(train, 0, train.x.rows - held);
    double t0 = now();
    bnn_net net = fit_map(&mem, &tape, train);
    s->scores[MAP].seconds += now() - t0;
    judge(&s->scores[MAP], &mem, &tape, &net, NULL, test);
    bnn_ensemble rough = bnn_ensemble_new(net.params, CHAINS * KEEP);
    bnn_ensemble fine = bnn_ensemble_new(net.params, CHAINS * KEEP);
    for (int c = 0; c < CHAINS && last > MAP; c++) {
        t0 = now();
        bnn_net chain = fit_map(&mem, &tape, train);
        sample(&tape, &chain, train, bnn_sghmc(chain.params, (bnn_sghmc_desc){ .friction = 0.1f }),
               SGHMC_BURN_IN, KEEP, SGHMC_THIN, &rough);
        s->scores[SGHMC].seconds += now() - t0;
        if (!s->small || last < HMC) continue;
        bnn_hmc_desc desc = { .net = &chain, .data = train, .leapfrog = 40,
                              .warmup = HMC_WARMUP, .adapt_mass = 1 };
        sample(&tape, &chain, train, bnn_hmc(chain.params, desc), HMC_WARMUP, KEEP, 1, &fine);
        s->scores[HMC].seconds += now() - t0; /* with its start */
    }
    if (rough.count) judge(&s->scores[SGHMC], &mem, &tape, &net, &rough, test);
    if (fine.count) judge(&s->scores[HMC], &mem, &tape, &net, &fine, test);
    if (last == STUDENT) {
        t0 = now();
        bnn_mat inputs[] = { train.x, net.scaling.x_std };
        bnn_mlp_desc shape = { .sizes = { train.x.cols, HIDDEN, 2 },
            .likelihood = BNN_GAUSSIAN_HETERO, .seed = bnn_rng_u32(&tape.rng) };
        bnn_net student = bnn_mlp(bnn_params_new(&mem), shape);
        bnn_net_standardize(&student, train);
        bnn_distill_desc desc = { .steps = STUDENT_STEPS, .batch = BATCH, .lr = 5e-3f,
            .n_data = (double)train.x.rows, .inputs = { .generate = near_data, .user = inputs } };
        bnn_distill(&tape, &student, &net, fine.count ? &fine : &rough, train.x, desc);
        s->scores[STUDENT].seconds += now() - t0;
        judge(&s->scores[STUDENT], &mem, &tape, &student, NULL, test);
    }
    if (tape.err || mem.err) {
        fprintf(stderr, "\nuci: %s %zu: %s\n", s->name, split, tape.err ? tape.msg : mem.msg);
        exit(1);
    }
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
}

/* A line for every set (not for BEST) and one for their average. */
static void print_results(set *sets, size_t n_sets, int method) {
    const char *line = "RESULT uci set=%s method=%s splits=%zu rmse=%.4f rmse_se=%.4f loglik=%.4f "
                       "loglik_se=%.4f seconds=%.1f sets=%.0f\n";
    double n = 0, rmse = 0, rmse_var = 0, ll = 0, ll_var = 0, seconds = 0;
    size_t splits = SPLITS;
    for (size_t i = 0; i < n_sets; i++) {
        score *c = &sets[i].scores[method < BEST ? method : sets[i].small ? HMC : SGHMC];
        float mean[2], sd[2];
        if (c->n == 0) continue;
        bnn_mat_col_mean((bnn_mat){ 1, 2, mean }, (bnn_mat){ c->n, 2, c->values });
        bnn_mat_col_std((bnn_mat){ 1, 2, sd }, (bnn_mat){ c->n, 2, c->values });
        double root = sqrt(c->n > 1 ? (double)c->n - 1 : 1); /* standard error: sd/root */
        if (method < BEST) printf(line, sets[i].name, methods[method], c->n, mean[0], sd[0] / root,
                                  mean[1], sd[1] / root, c->seconds, 1.0);
        rmse += mean[0], rmse_var += sd[0] * sd[0] / (root * root);
        ll += mean[1], ll_var += sd[1] * sd[1] / (root * root);
        n++, seconds += c->seconds, splits = c->n < splits ? c->n : splits;
    }
    if (n > 0) printf(line, "average", methods[method], splits, rmse / n, sqrt(rmse_var) / n,
                      ll / n, sqrt(ll_var) / n, seconds, n);
}

int main(int argc, char **argv) {
    set sets[] = { { .name = "bostonHousing", .small = 1 }, { .name = "concrete", .small = 1 },
                   { .name = "energy", .small = 1 }, { .name = "kin8nm" },
                   { .name = "power-plant" }, { .name = "wine-quality-red", .small = 1 } };
    size_t n_sets = sizeof sets / sizeof *sets, named = 0, done = 0, splits = SPLITS;
    int bad = argc < 2, last = STUDENT, validate = 0;
    for (int i = 2; i < argc; i++) {
        size_t k = 0;
        while (k < n_sets && strcmp(argv[i], sets[k].name)) k++;
        if (k < n_sets) named += !sets[k].wanted++;
        else if (!strcmp(argv[i], "--quick")) splits = 1, named += !sets[0].wanted++;
        else if (!strcmp(argv[i], "--validate")) validate = 1;
        else if (!strcmp(argv[i], "--splits") && i + 1 < argc) splits = (size_t)atoi(argv[++i]);
        else if (!strcmp(argv[i], "--method") && i + 1 < argc)
            for (i++, last = 0; last < BEST && strcmp(argv[i], methods[last]);) last++;
        else bad = 1;
    }
    if (bad || splits < 1 || splits > SPLITS || last == BEST) {
        fprintf(stderr, "uci: give the folder of the UCI sets (with bostonHousing/data.txt, ...)\n"
                "then --quick, --validate, --splits 1..20, --method map|sghmc|hmc|student, sets\n");
        return 2;
    }
    for (size_t i = 0; i < splits; i++)
        for (size_t k = 0; k < n_sets; k++) {
            if (named && !sets[k].wanted) continue;
            run_split(&sets[k], argv[1], i, last, validate);
            fprintf(stderr, isatty(2) ? "\r[%-40.*s]" : "[%-40.*s]\n",
                    (int)(40 * ++done / (splits * (named ? named : n_sets))),
                    "########################################");
        }
    if (isatty(2)) fputc('\n', stderr);
    for (int m = MAP; m <= BEST; m++) print_results(sets, n_sets, m);
    return 0;
}
