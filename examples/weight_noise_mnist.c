/* weight_noise_mnist.c -- Bayes by backprop on MNIST (Blundell et al. 2015) beside plain SGD and MC
 * dropout, all trained alike. Long: 784-400-400-10 takes about 4 s an epoch on one core.
 *     cc -O2 -I.. weight_noise_mnist.c -o wnm -lm && ./wnm FOLDER METHOD [name=value] ...
 * FOLDER holds the four IDX files of MNIST, gunzipped; METHOD is mixture, gauss, sgd or dropout;
 * the options are below. Without test=1 the errors are those of the last 10,000 training images.
 * save=PATH keeps the state in a file after every fifth epoch; the same command goes on from there.
 * You should see that 95 percent of the weights can go for nothing, and what the KL costs in error:
 * kl=0.1 errs less, and less can go. docs/results_weight_noise.md has the reasons. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 128, HELD = 10000 };
enum { UNITS, EPOCHS, SEED, ROWS, TEST, LR, RHO, SIGMA, S1, S2, FROM, WIDE, DRAWS, GEOMETRIC, LOCAL,
       KL, SAMPLES, OPTIONS };

static struct { const char *name; double value, lo, hi; int real; const char *what; }
options[OPTIONS] = {
    { "units", 400, 1, 1e4, 0, "in each of the two hidden layers" },
    { "epochs", 20, 1, 1e6, 0, "over the training images" },
    { "seed", 1, 0, 4e9, 0, "of the first weights, the order of the images and the noise" },
    { "rows", 50000, BATCH, 1e9, 0, "training images, the first of the file" },
    { "test", 0, 0, 1, 0, "1: errors on the test images; 0: on the last 10,000 training images" },
    { "lr", 0.04, 1e-9, 1e3, 1, "the rate of mu, falling to 0 as a cosine" },
    { "rho", 50, 0, 1e9, 1, "the rate of rho, sigma = softplus(rho), by that of mu" },
    { "sigma", 0.01, 1e-9, 1e3, 1, "at the start" },
    { "s1", 1, -20, 20, 1, "-ln of the wide standard deviation of the prior" },
    { "s2", 5, -20, 20, 1, "-ln of the narrow one (mixture)" },
    { "from", 0, 0, 20, 1, "s2 at the start; it goes to s2 in the first half. 0: s2 at once" },
    { "wide", 0.25, 1e-6, 1 - 1e-6, 1, "the probability of the wide one" },
    { "draws", 1, 1, 1e3, 0, "of the weights in each step" },
    { "geometric", 0, 0, 1, 0, "1: the KL of step i of an epoch is weighted by 2^-i" },
    { "local", 0, 0, 1, 0, "1: every image has noise of its own (local reparametrization)" },
    { "kl", 1, 0, 1e3, 1, "the weight of the KL" },
    { "samples", 50, 1, 1e5, 0, "of the weights that predict" },
};
static const char *who = "weight_noise_mnist";

typedef struct {
    bnn_arena mem;
    bnn_tape tape;
    bnn_data train, test;
    size_t *order;
    char settings[256]; /* as given, for the lines */
    const char *path;   /* where the state is kept, or NULL */
} task;

static size_t whole(int option) { return (size_t)options[option].value; }
static float real(int option) { return (float)options[option].value; }
static double seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }

static void die(const char *text) {
    fprintf(stderr, "%s: %s\n", who, text);
    exit(1);
}

static bnn_mat rows_of(bnn_mat m, size_t first, size_t n) {
    return (bnn_mat){ n, m.cols, m.data + first * m.cols };
}

static void load_all(task *k, const char *folder) {
    bnn_data all = example_data(&k->mem, who, folder, "train-images-idx3-ubyte",
                                "train-labels-idx1-ubyte", 784, 126);
    size_t held = all.x.rows - HELD, rows = whole(ROWS);
    if (all.x.rows < HELD + BATCH || rows > (whole(TEST) ? all.x.rows : held))
        die("more training rows than the file has, or than are not held out");
    k->train = (bnn_data){ rows_of(all.x, 0, rows), rows_of(all.y, 0, rows) };
    k->test = (bnn_data){ rows_of(all.x, held, HELD), rows_of(all.y, held, HELD) };
    if (whole(TEST))
        k->test = example_data(&k->mem, who, folder, "t10k-images-idx3-ubyte",
                               "t10k-labels-idx1-ubyte", 784, 126);
    k->order = (size_t *)bnn_arena_alloc(&k->mem, rows, sizeof *k->order);
    if (k->order == NULL) die(k->mem.msg);
}

static bnn_batch next(task *k, size_t step) { /* epochs: every image once, in random order */
    size_t i = step % (k->train.x.rows / BATCH);
    if (i == 0) bnn_rng_permutation(&k->tape.rng, k->train.x.rows, k->order);
    return bnn_batch_rows(&k->tape, k->train, BATCH, k->order + i * BATCH);
}

static double error_of(task *k, const bnn_net *net, const bnn_ensemble *post, double *nll) {
    bnn_mark mark = bnn_arena_mark(&k->mem);
    bnn_mat p = bnn_predict(&k->mem, &k->tape, net, post, k->test.x).mean;
    double error = 100 * bnn_metric_error(p, k->test.y);
    if (nll) *nll = bnn_metric_nll(p, k->test.y);
    bnn_arena_rewind(&k->mem, mark);
    return error;
}

/* Where sigma and |mu|/sigma are: their quantiles */
static void report_noise(task *k, bnn_meanfield *q) {
    const double at[] = { 0.05, 0.5, 0.9, 0.95, 0.98 };
    printf("RESULT bbb_noise hidden=%zu kl_per_row=%.3f", whole(UNITS),
           bnn_meanfield_kl(q) / (double)k->train.x.rows);
    for (int i = 0; i < 5; i++) {
        float sigma = 0;
        bnn_mat_col_quantile(&k->mem, (bnn_mat){ 1, 1, &sigma }, (bnn_mat){ q->n, 1, q->sigma },
                             at[i]);
        printf(" sigma_%.0f=%.4g snr_%.0f=%.3g", 100 * at[i], (double)sigma, 100 * at[i],
               bnn_meanfield_snr(q, at[i]));
    }
    printf("%s\n", k->settings);
}

/* Error of the mean, and of really smaller nets, as the weakest weights go */
static void prune(task *k, bnn_meanfield *q, const bnn_net *net) {
    const double removed[] = { 0, 0.5, 0.75, 0.9, 0.95, 0.98 };
    bnn_ensemble whole_q = bnn_ensemble_new(q->params, 1);
    bnn_ensemble_push(&whole_q);
    bnn_params all = bnn_ensemble_sample(&whole_q, 0);
    for (size_t i = 0; i < sizeof removed / sizeof *removed; i++) {
        bnn_mark mark = bnn_arena_mark(&k->mem);
        bnn_params_copy(q->params, &all);
        bnn_meanfield_prune(q, bnn_meanfield_snr(q, removed[i]));
        bnn_meanfield_mean(q);
        bnn_net small = bnn_mlp_shrink(bnn_params_new(&k->mem), net, NULL);
        printf("RESULT bbb_prune hidden=%zu removed=%.0f error=%.2f params=%zu%s\n", whole(UNITS),
               100 * removed[i], error_of(k, &small, NULL, NULL),
               small.params ? small.params->n : 0, k->settings);
        bnn_arena_rewind(&k->mem, mark);
    }
}

static bnn_prior prior_of(const char *method) {
    bnn_prior p = { .kind = BNN_PRIOR_FLAT };
    if (strcmp(method, "gauss") == 0 || strcmp(method, "mixture") == 0) {
        p.kind = method[0] == 'g' ? BNN_PRIOR_NORMAL : BNN_PRIOR_MIXTURE;
        p.std = expf(-real(S1));
        p.std2 = expf(-real(S2));
        p.weight = real(WIDE);
    }
    return p;
}

typedef struct {
    const char *method;
    int noisy, dropout;
    bnn_params *w, *moved; /* weights; what the stepper moves: w, or mu and rho */
    bnn_net net, trained;  /* trained: net, or net with noise for each image    */
    bnn_meanfield q;
} model;

static model model_of(task *k, const char *method) {
    model m = { .method = method, .dropout = strcmp(method, "dropout") == 0 };
    m.noisy = strcmp(method, "mixture") == 0 || strcmp(method, "gauss") == 0;
    if (!m.noisy && !m.dropout && strcmp(method, "sgd") != 0) die("no such method");
    m.w = m.moved = bnn_params_new(&k->mem);
    m.net = m.trained = bnn_mlp(m.w, (bnn_mlp_desc){
        .sizes = { 784, whole(UNITS), whole(UNITS), 10 }, .likelihood = BNN_CATEGORICAL,
        .prior = prior_of(method), .seed = whole(SEED),
        .dropout = m.dropout ? 0.5f : 0, .dropout_input = m.dropout ? 0.2f : 0 });
    if (!m.noisy) return m;
    m.q = bnn_meanfield_new(m.w, (bnn_meanfield_desc){ .init_std = real(SIGMA),
                                                       .draws = whole(DRAWS) });
    if (whole(LOCAL)) m.trained = bnn_meanfield_net(&m.q, &m.net, BNN_NOISE_LOCAL);
    m.moved = m.q.params;
    for (size_t b = 0; b < m.w->n_blocks; b++)
        bnn_params_lr(m.moved, m.w->n_blocks + b, real(RHO));
    return m;
}

/* One step of Bayes by backprop: draw, backward and backward again, as often as there are draws */
static void noisy_step(task *k, model *m, size_t step) {
    size_t per_epoch = k->train.x.rows / BATCH;
    double geometric = bnn_kl_weight_geometric(step % per_epoch, per_epoch);
    m->q.kl_weight = real(KL) * (whole(GEOMETRIC) ? (float)geometric : 1);
    if (real(FROM) > 0) {
        double part = fmin(2 * (double)step / (double)(whole(EPOCHS) * per_epoch), 1);
        double s2 = options[FROM].value + (options[S2].value - options[FROM].value) * part;
        for (size_t b = 0; b < m->w->n_blocks; b++) m->w->blocks[b].prior.std2 = (float)exp(-s2);
    }
    bnn_batch batch = next(k, step);
    for (size_t d = 0; d < m->q.draws; d++) {
        bnn_meanfield_sample(&m->q, &k->tape);
        bnn_var *nll = bnn_net_nll(&m->trained, batch);
        bnn_backward(whole(LOCAL) ? bnn_scale(nll, 1 / (float)m->q.draws) : nll);
        bnn_meanfield_backward(&m->q, &k->tape);
    }
}

/* Where a run stands: its last step, its seconds so far, and what it was asked for */
typedef struct {
    size_t step;
    double seconds;
    char method[16], settings[256];
} place;

/* Reads the state that an earlier run has saved, if there is one, or writes it */
static void keep(task *k, model *m, bnn_stepper *opt, place *now, int write) {
    bnn_mark mark = bnn_arena_mark(&k->mem);
    bnn_bytes bytes = { now, sizeof *now };
    bnn_checkpoint c = { .nets = { &m->net }, .steppers = { opt }, .rngs = { &k->tape.rng },
                         .meanfields = { m->noisy ? &m->q : NULL }, .bytes = { &bytes } };
    if (k->path == NULL || k->tape.err || k->mem.err) return;
    if (write && bnn_checkpoint_save(&k->mem, k->path, &c) != BNN_OK) die(k->mem.msg);
    FILE *file = write ? NULL : fopen(k->path, "rb");
    if (file) { /* else this is the first run */
        place then;
        fclose(file);
        if (bnn_checkpoint_load(&k->mem, k->path, &c) != BNN_OK) die(k->mem.msg);
        if (bytes.size != sizeof then) die("the file of save= is of another program");
        memcpy(&then, bytes.data, sizeof then);
        if (strcmp(then.method, now->method) || strcmp(then.settings, now->settings))
            die("the file of save= has a run with other options");
        *now = then;
        fprintf(stderr, "%s goes on after step %zu\n", m->method, now->step);
    }
    bnn_arena_rewind(&k->mem, mark);
}

/* Returns the seconds */
static double train(task *k, model *m) {
    size_t per_epoch = k->train.x.rows / BATCH, steps = whole(EPOCHS) * per_epoch;
    bnn_stepper opt = bnn_sgd(m->moved, (bnn_sgd_desc){ .lr = real(LR), .momentum = 0.9f });
    place now = { 0 };
    snprintf(now.method, sizeof now.method, "%s", m->method);
    memcpy(now.settings, k->settings, sizeof now.settings);
    keep(k, m, &opt, &now, 0);
    double start = seconds() - now.seconds;
    for (size_t s = now.step; s < steps && !k->tape.err && !k->mem.err; s++) {
        bnn_tape_reset(&k->tape);
        opt.lr = (float)bnn_lr_cosine(options[LR].value, s, steps);
        if (m->noisy) noisy_step(k, m, s);
        else bnn_backward(bnn_net_nll(&m->net, next(k, s)));
        bnn_step(&opt, &k->tape);
        if ((s + 1) % (5 * per_epoch)) continue;
        fprintf(stderr, "%s epoch %zu of %zu, %.0f s, KL/N %.2f\n", m->method, (s + 1) / per_epoch,
                whole(EPOCHS), seconds() - start,
                m->noisy ? bnn_meanfield_kl(&m->q) / (double)k->train.x.rows : 0);
        now.step = s + 1;
        now.seconds = seconds() - start;
        keep(k, m, &opt, &now, 1);
    }
    return seconds() - start;
}

static void report(task *k, model *m, double trained) {
    double nll, error, mean_nll, mean_error;
    bnn_ensemble post = bnn_ensemble_new(m->w, whole(SAMPLES));
    if (m->noisy) bnn_meanfield_mean(&m->q);
    mean_error = error_of(k, &m->net, NULL, &mean_nll);
    for (size_t i = 0; i < whole(SAMPLES) && m->noisy; i++)
        bnn_meanfield_push(&m->q, &post, &k->tape.rng);
    for (size_t i = 0; i < whole(SAMPLES) && m->dropout; i++)
        bnn_ensemble_push_dropout(&post, &m->net, &k->tape.rng);
    error = error_of(k, &m->net, m->noisy || m->dropout ? &post : NULL, &nll);
    printf("RESULT bbb_mnist hidden=%zu prior=%s error=%.2f nll=%.4f steps=%zu seconds=%.0f "
           "mean_error=%.2f mean_nll=%.4f images=%zu%s\n", whole(UNITS), m->method, error, nll,
           whole(EPOCHS) * (k->train.x.rows / BATCH), trained, mean_error, mean_nll,
           k->train.x.rows, k->settings);
    if (!m->noisy) return;
    report_noise(k, &m->q);
    prune(k, &m->q, &m->net);
}

static double read_number(int i, const char *text) {
    const char *name = options[i].name;
    if (options[i].real) return example_real(who, name, text, options[i].lo, options[i].hi);
    return (double)example_whole(who, name, text, options[i].lo, options[i].hi);
}

static void read_option(task *k, const char *arg) {
    const char *equals = strchr(arg, '=');
    size_t used = strlen(k->settings), room = sizeof k->settings - used;
    if (strncmp(arg, "save=", 5) == 0) {
        k->path = arg + 5;
        return;
    }
    if ((size_t)snprintf(k->settings + used, room, " %s", arg) >= room) die("too many options");
    for (int i = 0; i < OPTIONS && equals; i++)
        if (strlen(options[i].name) == (size_t)(equals - arg) &&
            strncmp(options[i].name, arg, (size_t)(equals - arg)) == 0) {
            options[i].value = read_number(i, equals + 1);
            return;
        }
    fprintf(stderr, "%s: there is no option \"%s\"\n", who, arg);
    exit(2);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "%s FOLDER mixture|gauss|sgd|dropout [name=value] ...\n", who);
        for (int i = 0; i < OPTIONS; i++)
            fprintf(stderr, "    %s=%g  %s\n", options[i].name, options[i].value, options[i].what);
        return 2;
    }
    task k = { 0 };
    for (int i = 3; i < argc; i++) read_option(&k, argv[i]);
    k.tape.rng = bnn_rng_seed(whole(SEED));
    load_all(&k, argv[1]);
    model m = model_of(&k, argv[2]);
    report(&k, &m, train(&k, &m));
    if (k.tape.err || k.mem.err)
        fprintf(stderr, "%s: %s\n", who, k.tape.err ? k.tape.msg : k.mem.msg);
    int failed = k.tape.err || k.mem.err;
    bnn_tape_free(&k.tape);
    bnn_arena_free(&k.mem);
    return failed;
}
