/* uci.c -- regression with error bars on the six UCI sets and splits that papers compare on.
 *     cc -O2 -I.. uci.c -lm -o uci && ./uci folder [--quick] [--validate] [--splits n] [--seed n]
 *                     [--method map|sghmc|hmc|student|fit] [--students] [--chains n] [set ...]
 * folder holds <set>/data.txt, index_features.txt, index_target.txt, n_splits.txt and
 * index_train_0.txt, index_test_0.txt, ..., the form of Hernandez-Lobato and Adams (2015); without
 * names all sets in it run. A net of 50 relu units with learned noise and hierarchical priors by
 * MAP, SGHMC and HMC (small sets), and a student that distills the posterior; --method stops after
 * one of them (fit: bnn_fit alone, with its defaults), --quick is one split of one set. --students
 * adds students of other inputs and sizes, beside the Gaussian that has the teacher's mean and
 * variance at each row; --chains shares the draws among more chains. Ctrl-C ends after the split at
 * hand, and what is done is printed. You should see test log likelihoods (units of y) far above
 * MAP's and MC dropout's. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __unix__
#include <dirent.h>
#include <unistd.h>
#else
#define isatty(file) 0
#endif

enum { MAP, SGHMC, HMC, STUDENT, BEST, FIT }; /* BEST: HMC on the small sets, SGHMC on the others */
static const char *const methods[] = { "map", "sghmc", "hmc", "student", "posterior", "fit" };
enum { SPLITS = 100, SETS = 64, SMALL = 2000, HIDDEN = 50, BATCH = 100, MAP_STEPS = 5000,
       CHAINS = 2, KEEP = 100, SGHMC_BURN_IN = 6000, SGHMC_THIN = 240, HMC_WARMUP = 100,
       STUDENT_STEPS = 10000 };

/* Students: the width of the noise on their inputs, in sds of a column; with their prior or not;
 * hidden units; steps. GAUSSIAN is none: the mean and the variance of the teacher itself */
typedef struct { float noise; int prior; size_t hidden, steps; } variant;
static const variant variants[] = { { 0, 0, 0, 0 }, { .1f, 1, 50, 1 }, { .1f, 0, 50, 1 },
    { .03f, 0, 50, 1 }, { .01f, 0, 50, 1 }, { 0, 0, 50, 1 }, { .01f, 0, 12, 4 },
    { .01f, 0, 25, 4 }, { .01f, 0, 50, 4 }, { .01f, 0, 100, 4 }, { .01f, 0, 200, 4 } };
enum { GAUSSIAN, VARIANTS = sizeof variants / sizeof *variants };
static size_t chains = CHAINS;
static int more_students;

typedef struct { size_t n; float values[SPLITS * 2]; double seconds; } score; /* rmse, ln p */
typedef struct { double rhat, ess, gradients; size_t notes; } report; /* the worst of the splits */
typedef struct { const char *folder, *name; int small; size_t splits; score scores[BEST];
                 score fit; report said; score students[VARIANTS]; double z2; } set;

/* HMC takes all data at each step: for sets that are small. Others than these: up to SMALL rows. */
static const struct { const char *name; int small; } known[] = {
    { "bostonHousing", 1 }, { "concrete", 1 }, { "energy", 1 }, { "kin8nm", 0 },
    { "power-plant", 0 }, { "wine-quality-red", 1 } };
enum { KNOWN = sizeof known / sizeof *known };

static volatile sig_atomic_t stopped;
static void stop(int number) { /* the next one is not caught */
    stopped = 1;
    signal(number, SIG_DFL);
}

/* Values are NULL if it cannot be read; say = 0: that is no reason to speak. */
static bnn_mat read_table(bnn_arena *mem, const set *s, const char *file, int say) {
    char path[512];
    bnn_csv csv = { { 0, 0, NULL }, NULL, 0 };
    snprintf(path, sizeof path, "%s/%s/%s", s->folder, s->name, file);
    if (bnn_csv_load(mem, path, &csv, (bnn_csv_desc){ .separator = ' ', .header = -1 }) && say)
        fprintf(stderr, "\nuci: %s\n", mem->msg);
    return csv.values;
}

/* Indices below n, all of them; else no values. */
static bnn_mat read_index(bnn_arena *mem, const set *s, const char *file, size_t n) {
    bnn_mat m = read_table(mem, s, file, 1), none = { 0, 0, NULL };
    for (size_t i = 0; i < m.rows * m.cols; i++)
        if (!(m.data[i] >= 0 && m.data[i] < (float)n)) {
            fprintf(stderr, "\nuci: %s/%s: item %zu is %g, expected 0 to %zu\n", s->name, file, i,
                    (double)m.data[i], n - 1);
            return none;
        }
    return m;
}

static bnn_data read_rows(bnn_arena *mem, const set *s, const char *part, size_t split) {
    char file[40];
    bnn_data d = { { 0, 0, NULL }, { 0, 0, NULL } };
    snprintf(file, sizeof file, "index_%s_%zu.txt", part, split);
    bnn_mat all = read_table(mem, s, "data.txt", 1);
    if (all.data == NULL) return d;
    bnn_mat rows = read_index(mem, s, file, all.rows);
    bnn_mat x_cols = read_index(mem, s, "index_features.txt", all.cols);
    bnn_mat y_col = read_index(mem, s, "index_target.txt", all.cols);
    if (rows.data == NULL || x_cols.data == NULL || y_col.data == NULL) return d;
    size_t n = rows.rows * rows.cols, columns = x_cols.rows * x_cols.cols; /* down or across */
    d.x = bnn_mat_new(mem, n, columns);
    d.y = bnn_mat_new(mem, n, 1);
    for (size_t i = 0; i < n && d.x.data != NULL && d.y.data != NULL; i++) {
        const float *from = all.data + (size_t)rows.data[i] * all.cols;
        for (size_t j = 0; j < columns; j++)
            d.x.data[i * columns + j] = from[(size_t)x_cols.data[j]];
        d.y.data[i] = from[(size_t)y_col.data[0]];
    }
    return d;
}

/* What the folder says of this set; 0 = it is none. */
static int look_at(set *s, const char *folder, const char *name) {
    bnn_arena mem = { 0 };
    memset(s, 0, sizeof *s);
    s->folder = folder;
    s->name = name;
    bnn_mat all = read_table(&mem, s, "data.txt", 0), n = read_table(&mem, s, "n_splits.txt", 0);
    s->splits = 1; /* if nobody says */
    if (n.data != NULL && n.data[0] > 1) s->splits = (size_t)fmin((double)n.data[0], SPLITS);
    s->small = all.rows <= SMALL;
    for (int k = 0; k < KNOWN; k++)
        if (!strcmp(name, known[k].name)) s->small = known[k].small;
    bnn_arena_free(&mem);
    return all.data != NULL;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const set *)a)->name, ((const set *)b)->name);
}

/* All sets of a folder, or the folder itself if it is one. */
static size_t find_sets(set *sets, const char *folder) {
    size_t n = 0;
    if (look_at(&sets[0], folder, ".")) return 1;
#ifdef __unix__
    DIR *dir = opendir(folder);
    for (struct dirent *d; dir != NULL && n < SETS && (d = readdir(dir)) != NULL;) {
        size_t bytes = strlen(d->d_name) + 1;
        char *name = malloc(bytes); /* for as long as the program runs */
        if (name == NULL) break;
        n += (size_t)look_at(&sets[n], folder, memcpy(name, d->d_name, bytes));
    }
    if (dir != NULL) closedir(dir);
    qsort(sets, n, sizeof *sets, by_name);
#else
    for (int k = 0; k < KNOWN; k++) n += (size_t)look_at(&sets[n], folder, known[k].name);
    (void)by_name;
#endif
    return n;
}

/* Every layer has w ~ N(0, v), v ~ InvGamma(1, 0.1) */
static bnn_net new_net(bnn_arena *mem, bnn_tape *tape, bnn_data train) {
    bnn_prior layers[2] = { { .std = 1, .shape = 1, .rate = 0.1f },
                            { .std = 0.3f, .shape = 1, .rate = 0.1f } };
    bnn_net net = bnn_mlp(bnn_params_new(mem), (bnn_mlp_desc){
        .sizes = { train.x.cols, HIDDEN, 1 }, .noise_learned = 1, .noise_std = 0.5f,
        .priors = layers, .seed = bnn_rng_u32(&tape->rng) });
    bnn_net_standardize(&net, train);
    return net;
}

/* Adam from a fresh start: the MAP baseline, and where each chain begins. v stays at its first
 * value. */
static bnn_net fit_map(bnn_arena *mem, bnn_tape *tape, bnn_data train) {
    bnn_net net = new_net(mem, tape, train);
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

/* Student inputs: rows of the training set plus a part of each column's standard deviation. */
typedef struct { bnn_mat x, x_std; float noise; } near;
static void near_data(void *user, bnn_rng *rng, bnn_mat out) {
    const near *n = (const near *)user;
    bnn_rng_fill_normal(rng, out.rows * out.cols, out.data);
    for (size_t i = 0, at = 0; i < out.rows; i++) {
        const float *row = n->x.data + bnn_rng_below(rng, n->x.rows) * out.cols;
        for (size_t c = 0; c < out.cols; c++, at++)
            out.data[at] = row[c] + n->noise * n->x_std.data[c] * out.data[at];
    }
}

static void judge(score *c, bnn_arena *mem, bnn_tape *tape, const bnn_net *net,
                  const bnn_ensemble *post, bnn_data test) {
    bnn_mat mean = bnn_predict(mem, tape, net, post, test.x).mean;
    bnn_mat log_lik = bnn_predict_log_lik(mem, tape, net, post, test);
    if (mean.data == NULL || log_lik.data == NULL) return; /* run_split says why */
    c->values[2 * c->n] = (float)bnn_metric_rmse(mean, test.y);
    c->values[2 * c->n++ + 1] = (float)(bnn_mat_sum(log_lik) / (double)log_lik.rows);
}

static double now(void) { return (double)clock() / CLOCKS_PER_SEC; }

static void teach(score *c, bnn_arena *mem, bnn_tape *tape, const bnn_net *net,
                  const bnn_ensemble *post, bnn_data train, bnn_data test, variant v) {
    double t0 = now();
    near inputs = { train.x, net->scaling.x_std, v.noise };
    bnn_mlp_desc shape = { .sizes = { train.x.cols, v.hidden, 2 },
        .likelihood = BNN_GAUSSIAN_HETERO, .seed = bnn_rng_u32(&tape->rng) };
    bnn_net student = bnn_mlp(bnn_params_new(mem), shape);
    bnn_net_standardize(&student, train);
    bnn_distill_desc desc = { .steps = v.steps * STUDENT_STEPS, .batch = BATCH, .lr = 5e-3f,
        .n_data = v.prior ? (double)train.x.rows : 0,
        .inputs = { .generate = near_data, .user = &inputs } };
    bnn_distill(tape, &student, net, post, train.x, desc);
    c->seconds += now() - t0;
    judge(c, mem, tape, &student, NULL, test);
}

/* The best that a Gaussian per row can do to the teacher's mixture, and whether that is too narrow:
 * the mean of (y - mean)^2/variance, 1 if it is right */
static void gaussian(set *s, bnn_arena *mem, bnn_tape *tape, const bnn_net *net,
                     const bnn_ensemble *post, bnn_data test) {
    score *c = &s->students[GAUSSIAN];
    bnn_predictive p = bnn_predict(mem, tape, net, post, test.x);
    double ll = 0, z2 = 0, n = (double)test.x.rows;
    for (size_t i = 0; i < test.x.rows && p.mean.data; i++) {
        double v = p.aleatoric.data[i] + p.epistemic.data[i], d = p.mean.data[i] - test.y.data[i];
        ll -= (log(2 * 3.14159265358979 * v) + d * d / v) / 2 / n;
        z2 += d * d / v / n;
    }
    c->values[2 * c->n] = (float)bnn_metric_rmse(p.mean, test.y);
    c->values[2 * c->n++ + 1] = (float)ll;
    s->z2 += z2;
}

/* The whole of it: nothing is set but the seed */
static void fit(set *s, bnn_arena *mem, bnn_tape *tape, bnn_data train, bnn_data test) {
    bnn_net net = new_net(mem, tape, train);
    bnn_posterior p = bnn_fit(mem, &net, train, (bnn_fit_desc){ .seed = bnn_rng_u32(&tape->rng) });
    judge(&s->fit, mem, tape, &net, &p.post, test);
    s->said.rhat = fmax(s->said.rhat, p.rhat);
    s->said.ess = s->said.ess > 0 ? fmin(s->said.ess, p.ess_bulk) : p.ess_bulk;
    s->said.gradients = fmax(s->said.gradients, p.gradients);
    s->said.notes = p.n_notes > s->said.notes ? p.n_notes : s->said.notes;
    for (size_t i = 0; i < p.n_notes; i++) fprintf(stderr, "\n%s: %s\n", s->name, p.notes[i]);
}

static int finished(const set *s, size_t split, bnn_arena *mem, bnn_tape *tape) {
    int good = !tape->err && !mem->err;
    if (!good)
        fprintf(stderr, "\nuci: %s %zu: %s\n", s->name, split, tape->err ? tape->msg : mem->msg);
    bnn_tape_free(tape);
    bnn_arena_free(mem);
    return good;
}

/* 0 = it failed; what was finished before is in the scores. */
static int run_split(set *s, size_t split, uint64_t seed, int last, int validate) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_stream(seed, split) };
    bnn_data train = read_rows(&mem, s, "train", split);
    bnn_data test = read_rows(&mem, s, "test", split);
    if (train.y.data == NULL || test.y.data == NULL) return bnn_arena_free(&mem), 0;
    size_t held = validate ? train.x.rows / 10 : 0; /* for tuning: the end of the training part */
    if (held > 0) test = bnn_data_rows(train, train.x.rows - held, held);
    train = bnn_data_rows(train, 0, train.x.rows - held);
    double t0 = now();
    if (last == FIT) {
        fit(s, &mem, &tape, train, test);
        s->fit.seconds += now() - t0;
        return finished(s, split, &mem, &tape);
    }
    bnn_net net = fit_map(&mem, &tape, train);
    s->scores[MAP].seconds += now() - t0;
    judge(&s->scores[MAP], &mem, &tape, &net, NULL, test);
    size_t keep = CHAINS * KEEP / chains;
    bnn_ensemble rough = bnn_ensemble_new(net.params, CHAINS * KEEP);
    bnn_ensemble fine = bnn_ensemble_new(net.params, CHAINS * KEEP);
    for (size_t c = 0; c < chains && last > MAP; c++) {
        t0 = now();
        bnn_net chain = fit_map(&mem, &tape, train);
        sample(&tape, &chain, train, bnn_sghmc(chain.params, (bnn_sghmc_desc){ .friction = 0.1f }),
               SGHMC_BURN_IN, keep, SGHMC_THIN, &rough);
        s->scores[SGHMC].seconds += now() - t0;
        if (!s->small || last < HMC) continue;
        bnn_hmc_desc desc = { .net = &chain, .data = train, .leapfrog = 40,
                              .warmup = HMC_WARMUP, .adapt_mass = 1 };
        sample(&tape, &chain, train, bnn_hmc(chain.params, desc), HMC_WARMUP, keep, 1, &fine);
        s->scores[HMC].seconds += now() - t0; /* with its start */
    }
    if (rough.count) judge(&s->scores[SGHMC], &mem, &tape, &net, &rough, test);
    if (fine.count) judge(&s->scores[HMC], &mem, &tape, &net, &fine, test);
    const bnn_ensemble *teacher = fine.count ? &fine : &rough;
    if (more_students && teacher->count) gaussian(s, &mem, &tape, &net, teacher, test);
    if (last == STUDENT) {
        teach(&s->scores[STUDENT], &mem, &tape, &net, teacher, train, test, variants[1]);
        for (int v = 1; v < VARIANTS && more_students; v++)
            teach(&s->students[v], &mem, &tape, &net, teacher, train, test, variants[v]);
    }
    return finished(s, split, &mem, &tape);
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

/* gap: nats by which a student, or the Gaussian, is ahead of its teacher, split by split */
static void print_students(const set *sets, size_t n_sets) {
    for (size_t i = 0; i < n_sets; i++)
        for (int k = 0; k < VARIANTS; k++) {
            const score *c = &sets[i].students[k];
            const score *t = &sets[i].scores[sets[i].small ? HMC : SGHMC];
            double ll = 0, rmse = 0, gap = 0, square = 0, n = (double)c->n;
            for (size_t j = 0; j < c->n; j++) {
                double g = c->values[2 * j + 1] - t->values[2 * j + 1];
                rmse += c->values[2 * j] / n, ll += c->values[2 * j + 1] / n;
                gap += g / n, square += g * g / n;
            }
            double se = n > 1 ? sqrt(fmax(square - gap * gap, 0) / (n - 1)) : 0;
            if (c->n == 0) continue;
            printf("RESULT students set=%s chains=%zu splits=%zu ", sets[i].name, chains, c->n);
            if (k == GAUSSIAN) printf("method=gaussian z2=%.3f", sets[i].z2 / n);
            else printf("noise=%g prior=%d hidden=%zu steps=%zu", variants[k].noise,
                        variants[k].prior, variants[k].hidden, variants[k].steps * STUDENT_STEPS);
            printf(" rmse=%.4f loglik=%.4f gap=%.4f gap_se=%.4f seconds=%.1f\n", rmse, ll, gap, se,
                   c->seconds);
        }
}

static void print_fits(const set *sets, size_t n_sets) {
    for (size_t i = 0; i < n_sets; i++) {
        const score *c = &sets[i].fit;
        float mean[2];
        if (c->n == 0) continue;
        bnn_mat_col_mean((bnn_mat){ 1, 2, mean }, (bnn_mat){ c->n, 2, (float *)c->values });
        printf("RESULT fit set=%s rmse=%.4f loglik=%.4f rhat=%.3f ess=%.0f gradients=%.0f "
               "notes=%zu splits=%zu seconds=%.1f\n", sets[i].name, mean[0], mean[1],
               sets[i].said.rhat, sets[i].said.ess, sets[i].said.gradients, sets[i].said.notes,
               c->n, c->seconds);
    }
}

int main(int argc, char **argv) {
    static set sets[SETS];
    size_t n_sets = 0, done = 0, all = 0, splits = SPLITS;
    uint64_t seed = 1;
    int bad = argc < 2, quick = 0, last = STUDENT, validate = 0, failed = 0;
    for (int i = 2; i < argc && !bad; i++) {
        if (!strcmp(argv[i], "--quick")) quick = 1;
        else if (!strcmp(argv[i], "--validate")) validate = 1;
        else if (!strcmp(argv[i], "--students")) more_students = 1;
        else if (!strcmp(argv[i], "--chains") && i + 1 < argc)
            chains = example_whole("uci", "--chains", argv[++i], 1, CHAINS * KEEP);
        else if (!strcmp(argv[i], "--splits") && i + 1 < argc)
            splits = example_whole("uci", "--splits", argv[++i], 1, SPLITS);
        else if (!strcmp(argv[i], "--seed") && i + 1 < argc) seed = example_seed("uci", argv[++i]);
        else if (!strcmp(argv[i], "--method") && i + 1 < argc)
            for (i++, last = 0; last <= FIT && strcmp(argv[i], methods[last]);) last++;
        else if (argv[i][0] == '-' || n_sets == SETS) bad = i;
        else if (look_at(&sets[n_sets], argv[1], argv[i])) n_sets++;
        else return fprintf(stderr, "uci: %s/%s/data.txt: cannot be read\n", argv[1], argv[i]), 2;
    }
    if (!bad && n_sets == 0) n_sets = find_sets(sets, argv[1]);
    if (quick) splits = 1, n_sets = n_sets > 0;
    if (!bad && n_sets == 0)
        return fprintf(stderr, "uci: %s: no set in this folder, no <set>/data.txt\n", argv[1]), 2;
    if (bad || last == BEST || last > FIT) {
        if (bad > 1) fprintf(stderr, "uci: what is %s here?\n", argv[bad]);
        fprintf(stderr, "uci: give a folder of sets (with <set>/data.txt, ...), then --quick,\n"
                "--validate, --splits n, --seed n, --method map|sghmc|hmc|student|fit,\n"
                "--students, --chains n, sets\n");
        return 2;
    }
    signal(SIGINT, stop);
    for (size_t k = 0; k < n_sets; k++) {
        if (sets[k].splits > splits) sets[k].splits = splits;
        all += sets[k].splits;
    }
    for (size_t i = 0; i < splits; i++)
        for (size_t k = 0; k < n_sets; k++) {
            if (i >= sets[k].splits || stopped) continue;
            if (!run_split(&sets[k], i, seed, last, validate)) failed = 1, sets[k].splits = i;
            fprintf(stderr, isatty(2) ? "\r[%-40.*s]" : "[%-40.*s]\n", (int)(40 * ++done / all),
                    "########################################");
        }
    if (isatty(2)) fputc('\n', stderr);
    for (int m = MAP; m <= BEST; m++) print_results(sets, n_sets, m);
    print_students(sets, n_sets);
    print_fits(sets, n_sets);
    return failed || stopped;
}
