/* prune_scales.c -- units that die under three priors over their scales.
 *     cc -O2 -I.. prune_scales.c -lm && ./a.out [prior] [seed] [KL weight] [folder of MNIST]
 * The weights that leave an input or unit i are z_i w_ij, w_ij ~ N(0,1), and a posterior is fitted
 * over z and w (a mean field over w). The prior over z is one of
 *     jeffreys    p(z) = 1/|z| (Louizos, Ullrich, Welling 2017), q(z) a Gaussian;
 *     horseshoe   z ~ C+(0, 1/100) (the same paper), z^2 = a b, q(a), q(b) log-normal;
 *     spike       z is 0 or 1, p(z = 1) = 1/100, q(z) a relaxed Bernoulli (spike and slab).
 * The net is a forward function of ours, so this is also how to write a prior that the library does
 * not have. You should see a net of a twentieth (jeffreys) to a fifth (horseshoe) of the weights;
 * prune_units.c gets one without the z, by one variance per row. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include "scales.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LAYERS = 3, CUTS = 100, Z = 2 * LAYERS }; /* the blocks: w, b of each layer, then its z */

static bnn_arena mem;
static bnn_tape tape;
static bnn_meanfield q;

static void die(const char *message) {
    fprintf(stderr, "prune_scales: %s\n", message);
    exit(1);
}

/* A prior over the scales. Of layer l, block Z + l has a parameter per unit; the horseshoe's b are
 * in block Z + LAYERS + l. */
typedef struct {
    const char *name;
    float start;                               /* of the parameter                             */
    size_t blocks;                             /* of a layer: 1 or 2                           */
    bnn_var *(*times)(bnn_var *x, size_t l);   /* x z, a draw per row and unit                 */
    bnn_var *(*kl)(bnn_tape *t, size_t l);     /* KL(q(z)||p(z)), summed over the units        */
    double (*scale)(size_t l, size_t i);       /* what z_i is replaced by                      */
    double (*doubt)(size_t l, size_t i);       /* a unit goes where this is above a threshold  */
} scales;

static const scales *prior;

static bnn_var *mean(bnn_tape *t, size_t block) { return bnn_param(t, q.params, block); }
static bnn_var *sd(bnn_tape *t, size_t block) {
    return bnn_softplus(bnn_param(t, q.params, q.of->n_blocks + block));
}
static double mean_of(size_t block, size_t i) {
    return (double)q.params->theta[q.of->blocks[block].offset + i];
}
static double sd_of(size_t block, size_t i) {
    return (double)q.sigma[q.of->blocks[block].offset + i];
}

/* Jeffreys: x z ~ N(x m, x^2 s^2) */
static bnn_var *jeffreys_times(bnn_var *x, size_t l) {
    return bnn_normal(bnn_mul(x, mean(x->tape, Z + l)), bnn_mul(x, sd(x->tape, Z + l)));
}
static bnn_var *jeffreys_kl(bnn_tape *t, size_t l) {
    return log_uniform_kl(mean(t, Z + l), sd(t, Z + l));
}
static double jeffreys_scale(size_t l, size_t i) { return mean_of(Z + l, i); }
static double jeffreys_doubt(size_t l, size_t i) { /* ln a */
    return 2 * log(sd_of(Z + l, i) / fabs(mean_of(Z + l, i)));
}

/* Horseshoe: z^2 = a b, a ~ Gamma(1/2, rate 1/tau^2), b ~ inverse Gamma(1/2, 1), so z ~ C+(0, tau).
 * a / tau^2 and 1/b are Gamma(1/2, 1). */
#define LOG_TAU (-4.60517f)
static bnn_var *horseshoe_times(bnn_var *x, size_t l) {
    bnn_tape *t = x->tape;
    bnn_var *zero = bnn_scale(x, 0), *a = mean(t, Z + l), *b = mean(t, Z + LAYERS + l);
    bnn_var *var = bnn_add(bnn_square(sd(t, Z + l)), bnn_square(sd(t, Z + LAYERS + l)));
    bnn_var *m = bnn_add(zero, bnn_scale(bnn_add(a, b), 0.5f));
    bnn_var *s = bnn_add(zero, bnn_scale(bnn_sqrt(var), 0.5f));
    return bnn_mul(x, bnn_exp(bnn_normal(m, s)));
}
static bnn_var *horseshoe_kl(bnn_tape *t, size_t l) {
    bnn_var *a = mean(t, Z + l), *b = mean(t, Z + LAYERS + l);
    return bnn_add(half_horseshoe_kl(bnn_shift(a, -2 * LOG_TAU), sd(t, Z + l)),
                   half_horseshoe_kl(bnn_neg(b), sd(t, Z + LAYERS + l)));
}
static double horseshoe_scale(size_t l, size_t i) { /* the median */
    return exp(0.5 * (mean_of(Z + l, i) + mean_of(Z + LAYERS + l, i)));
}
static double horseshoe_doubt(size_t l, size_t i) { /* -ln of the mode */
    double a = sd_of(Z + l, i), b = sd_of(Z + LAYERS + l, i);
    return 0.25 * (a * a + b * b) - log(horseshoe_scale(l, i));
}

/* Spike and slab: temperature 2/3, as Maddison, Mnih and Teh 2017 advise */
static bnn_var *spike_times(bnn_var *x, size_t l) {
    bnn_var *logits = bnn_add(bnn_scale(x, 0), mean(x->tape, Z + l));
    return bnn_mul(x, bnn_sigmoid(bnn_relaxed_bernoulli(logits, 2 / 3.0f)));
}
static bnn_var *spike_kl(bnn_tape *t, size_t l) {
    return bnn_sum(bnn_kl_bernoulli(mean(t, Z + l), 0.01f));
}
static double spike_scale(size_t l, size_t i) { return 1 / (1 + exp(-mean_of(Z + l, i))); }
static double spike_doubt(size_t l, size_t i) { return -mean_of(Z + l, i); } /* log odds of 0 */

static const scales priors[] = {
    { "jeffreys", 1, 1, jeffreys_times, jeffreys_kl, jeffreys_scale, jeffreys_doubt },
    { "horseshoe", 0, 2, horseshoe_times, horseshoe_kl, horseshoe_scale, horseshoe_doubt },
    { "spike", 2, 1, spike_times, spike_kl, spike_scale, spike_doubt },
};

/* x z, then the noise of the weights as usual */
static bnn_var *forward(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    for (size_t l = 0; l < LAYERS; l++) {
        bnn_var *w = bnn_param(t, net->params, 2 * l), *b = bnn_param(t, net->params, 2 * l + 1);
        x = bnn_affine_local(prior->times(x, l), w, sd(t, 2 * l), b, sd(t, 2 * l + 1));
        if (l + 1 < LAYERS) x = bnn_relu(x);
    }
    return x;
}

/* The means, with the scales folded in, without the inputs and units whose doubt is not below
 * `cut` */
static bnn_net prune(const bnn_net *net, double cut, size_t left[LAYERS], size_t *weights) {
    bnn_meanfield_mean(&q);
    for (size_t l = 0; l < LAYERS; l++) {
        bnn_mat w = bnn_params_mat(q.of, 2 * l);
        for (size_t i = left[l] = 0; i < w.rows; i++) {
            int keep = prior->doubt(l, i) < cut;
            left[l] += (size_t)keep;
            for (size_t j = 0; j < w.cols; j++)
                *bnn_mat_at(w, i, j) *= keep ? (float)prior->scale(l, i) : 0;
        }
    }
    bnn_net small = bnn_mlp_shrink(bnn_params_new(&mem), net, NULL);
    if (small.params == NULL) die(mem.msg);
    bnn_mat first = bnn_params_mat(small.params, 0);
    *weights = small.params->n - (first.rows - left[0]) * first.cols;
    return small;
}

static int descending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static void thresholds(const size_t sizes[LAYERS], double cuts[CUTS]) {
    bnn_mark mark = bnn_arena_mark(&mem);
    size_t n = sizes[0] + sizes[1] + sizes[2], k = 0;
    double *doubts = (double *)bnn_arena_alloc(&mem, n, sizeof *doubts);
    if (doubts == NULL) die(mem.msg);
    for (size_t l = 0; l < LAYERS; l++)
        for (size_t i = 0; i < sizes[l]; i++) doubts[k++] = prior->doubt(l, i);
    qsort(doubts, n, sizeof *doubts, descending);
    cuts[0] = HUGE_VAL;
    for (size_t i = 1; i < CUTS; i++) cuts[i] = doubts[i * n / CUTS - 1];
    bnn_arena_rewind(&mem, mark);
}

static double error(const bnn_net *net, bnn_data d) {
    return 100 * bnn_metric_error(bnn_predict(&mem, &tape, net, NULL, d.x).mean, d.y);
}

/* The digits that ship or MNIST, the last rows of the training set held out */
typedef struct {
    const char *name;
    bnn_data train, valid, test;
    size_t sizes[4], batch, epochs;
} task;

static int load(task *k, const char *mnist) {
    static const char *const files[2][4] = {
        { "digits-train-images.idx", "digits-train-labels.idx", "digits-test-images.idx",
          "digits-test-labels.idx" },
        { "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
          "t10k-labels-idx1-ubyte" } };
    static const task digits = { "digits", .sizes = { 64, 200, 200, 10 }, .batch = 100,
                                 .epochs = 200 };
    static const task large = { "mnist", .sizes = { 784, 300, 100, 10 }, .batch = 200,
                                .epochs = 40 };
    const char *const *name = files[mnist != NULL];
    const char *who = "prune_scales", *folder = mnist ? mnist : example_folder();
    size_t held = mnist ? 5000 : 623;
    float white = mnist ? 255.0f : 16.0f;
    *k = mnist ? large : digits;
    bnn_data all = example_data(&mem, who, folder, name[0], name[1], k->sizes[0], white);
    k->test = example_data(&mem, who, folder, name[2], name[3], k->sizes[0], white);
    if (all.x.rows <= held) {
        fprintf(stderr, "prune_scales: %s: %zu rows, of which %zu are held out\n", folder,
                all.x.rows, held);
        return 0;
    }
    k->train = bnn_data_rows(all, 0, all.x.rows - held);
    k->valid = bnn_data_rows(all, all.x.rows - held, held);
    return 1;
}

static void report(const task *k, const char *stage, const bnn_net *net, double cut, float kl,
                   unsigned long seed, clock_t start) {
    size_t left[LAYERS], weights;
    bnn_net small = prune(net, cut, left, &weights);
    printf("RESULT prune_scales prior=%s data=%s kl=%g stage=%s seed=%lu held_out=%.2f error=%.2f "
           "to=%zu-%zu-%zu cut=%.2g weights=%zu seconds=%.0f\n", prior->name, k->name, (double)kl,
           stage, seed, error(&small, k->valid), error(&small, k->test), left[0], left[1], left[2],
           cut, weights, (double)(clock() - start) / CLOCKS_PER_SEC);
}

static void fit(const task *k, const bnn_net *net, float kl) {
    size_t steps = k->epochs * k->train.x.rows / k->batch;
    bnn_stepper adam = bnn_adam(q.params, (bnn_adam_desc){ 0 });
    for (size_t s = 0; s < steps && !tape.err; s++) {
        bnn_tape_reset(&tape);
        adam.lr = (float)bnn_lr_cosine(3e-3, s, steps);
        q.kl_weight = kl * (float)bnn_kl_weight_warmup(s, steps / 2);
        bnn_meanfield_sample(&q, &tape);
        bnn_batch b = bnn_minibatch(&tape, k->train, k->batch);
        bnn_var *loss = bnn_net_nll(net, b);
        for (size_t l = 0; l < LAYERS; l++)
            loss = bnn_add(loss, bnn_scale(prior->kl(&tape, l), q.kl_weight / (float)b.n_data));
        bnn_backward(loss);
        bnn_meanfield_backward(&q, &tape);
        bnn_step(&adam, &tape);
    }
}

/* The threshold of the smallest net within one standard error of the best on held-out rows, among
 * those that remove 0, 1, 2 .. percent of the inputs and units */
static double choose(const task *k, const bnn_net *net) {
    double e[CUTS], cuts[CUTS], best = 100, cut = HUGE_VAL;
    size_t left[LAYERS], n;
    bnn_meanfield_mean(&q);
    thresholds(k->sizes, cuts);
    for (int i = 0; i < CUTS; i++) {
        bnn_mark mark = bnn_arena_mark(&mem);
        bnn_net small = prune(net, cuts[i], left, &n);
        e[i] = left[0] && left[1] && left[2] ? error(&small, k->valid) : 100;
        if (e[i] < best) best = e[i];
        bnn_arena_rewind(&mem, mark);
    }
    for (int i = 0; i < CUTS; i++)
        if (e[i] <= best + sqrt(best * (100 - best) / (double)k->valid.x.rows)) cut = cuts[i];
    return cut;
}

int main(int argc, char **argv) {
    const char *who = "prune_scales", *want = argc > 1 ? argv[1] : "jeffreys";
    unsigned long seed = argc > 2 ? (unsigned long)example_seed(who, argv[2]) : 1;
    float kl = argc > 3 ? (float)example_real(who, "KL weight", argv[3], 0, 1e6) : 0.3f;
    example_most(who, argc, argv, 4);
    task k;
    for (size_t i = 0; i < sizeof priors / sizeof *priors; i++)
        if (strcmp(want, priors[i].name) == 0) prior = &priors[i];
    if (prior == NULL) {
        fprintf(stderr, "prune_scales: the prior is jeffreys, horseshoe or spike, not %s\n", want);
        return 2;
    }
    tape.rng = bnn_rng_seed(seed);
    if (!load(&k, argc > 4 ? argv[4] : NULL)) return 1;
    clock_t start = clock();

    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){
        .sizes = { k.sizes[0], k.sizes[1], k.sizes[2], k.sizes[3] },
        .likelihood = BNN_CATEGORICAL, .seed = seed }), noisy = net;
    for (size_t i = 0; i < prior->blocks * LAYERS; i++) { /* flat: the divergence is ours to add */
        bnn_params_add(w, 1, k.sizes[i % LAYERS], "z", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
        bnn_mat_fill(bnn_params_mat(w, Z + i), prior->start);
    }
    q = bnn_meanfield_new(w, (bnn_meanfield_desc){ 0 });
    noisy.params = q.params, noisy.forward = forward, noisy.mlp = NULL;
    fit(&k, &noisy, kl);
    double cut = choose(&k, &net);
    report(&k, "full", &net, HUGE_VAL, kl, seed, start);
    report(&k, "shrunk", &net, cut, kl, seed, start);

    int failed = tape.err || mem.err;
    if (failed) fprintf(stderr, "prune_scales: %s\n", tape.err ? tape.msg : mem.msg);
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return failed;
}
