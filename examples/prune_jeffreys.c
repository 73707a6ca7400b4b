/* prune_jeffreys.c -- units that die under a log-uniform prior over their scales.
 *     cc -O2 -I.. prune_jeffreys.c -lm && ./a.out [seed] [KL weight] [folder of MNIST]
 * Group normal-Jeffreys (Louizos, Ullrich, Welling 2017): the weights that leave an input or unit i
 * are z_i w_ij, w_ij ~ N(0,1), p(z_i) = 1/|z_i|, and a mean field is fitted over z and w. A unit
 * goes where the noise of its z is large beside its mean. The net is a forward function of ours, so
 * this is also how to write a prior that the library does not have. You should see a net of about a
 * tenth of the weights; prune_units.c gets one without the z, by one variance per row. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LAYERS = 3, CUTS = 40, Z = 2 * LAYERS }; /* the blocks: w, b of each layer, then its z */

static bnn_arena mem;
static bnn_tape tape;
static bnn_meanfield q;

static bnn_mat read_idx(const char *folder, const char *name) {
    char path[512];
    bnn_mat m = { 0, 0, NULL };
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (bnn_idx_load(&mem, path, &m) != BNN_OK) {
        fprintf(stderr, "prune_jeffreys: %s\n", mem.msg);
        exit(2);
    }
    return m;
}

static bnn_var *sd(bnn_tape *t, size_t block) {
    return bnn_softplus(bnn_param(t, q.params, q.of->n_blocks + block));
}

/* x z ~ N(x m, x^2 s^2) for each row and input; then the noise of the weights as usual */
static bnn_var *forward(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    for (size_t l = 0; l < LAYERS; l++) {
        bnn_var *w = bnn_param(t, net->params, 2 * l), *b = bnn_param(t, net->params, 2 * l + 1);
        x = bnn_normal(bnn_mul(x, bnn_param(t, net->params, Z + l)), bnn_mul(x, sd(t, Z + l)));
        x = bnn_affine_local(x, w, sd(t, 2 * l), b, sd(t, 2 * l + 1));
        if (l + 1 < LAYERS) x = bnn_relu(x);
    }
    return x;
}

/* KL of N(m, s^2) to 1/|z|, up to a constant that makes it 0 at m = 0, as Molchanov, Ashukha and
 * Vetrov 2017 fit it: k1 (1 - sigmoid(k2 + k3 ln a)) + ln(1 + 1/a)/2, a = s^2/m^2 */
static bnn_var *scale_kl(bnn_var *m, bnn_var *s) {
    bnn_var *log_a = bnn_scale(bnn_sub(bnn_log(s), bnn_log(bnn_abs(m))), 2);
    bnn_var *off = bnn_sigmoid(bnn_neg(bnn_shift(bnn_scale(log_a, 1.48695f), 1.87320f)));
    bnn_var *log_part = bnn_scale(bnn_softplus(bnn_neg(log_a)), 0.5f);
    return bnn_sum(bnn_add(bnn_scale(off, 0.63576f), log_part));
}

static double log_alpha(size_t l, size_t i) { /* of input i of layer l */
    size_t k = q.of->blocks[Z + l].offset + i;
    return 2 * log((double)q.sigma[k] / fabs((double)q.params->theta[k]));
}

/* The means, folded into w, without the inputs and units whose ln alpha is not below `cut` */
static bnn_net prune(const bnn_net *net, double cut, size_t left[LAYERS], size_t *weights) {
    bnn_meanfield_mean(&q);
    for (size_t l = 0; l < LAYERS; l++) {
        bnn_mat w = bnn_params_mat(q.of, 2 * l), z = bnn_params_mat(q.of, Z + l);
        for (size_t i = left[l] = 0; i < w.rows; i++) {
            int keep = log_alpha(l, i) < cut;
            left[l] += (size_t)keep;
            for (size_t j = 0; j < w.cols; j++)
                *bnn_mat_at(w, i, j) *= keep ? z.data[i] : 0;
        }
    }
    bnn_net small = bnn_mlp_shrink(bnn_params_new(&mem), net, NULL);
    if (small.params == NULL) exit(1);
    bnn_mat first = bnn_params_mat(small.params, 0);
    *weights = small.params->n - (first.rows - left[0]) * first.cols;
    return small;
}

static double error(const bnn_net *net, bnn_data d) {
    return 100 * bnn_metric_error(bnn_predict(&mem, &tape, net, NULL, d.x).mean, d.y);
}

static void report(const char *data, const char *stage, const bnn_net *net, double cut, float kl,
                   unsigned long seed, bnn_data valid, bnn_data test, clock_t start) {
    size_t left[LAYERS], weights;
    bnn_net small = prune(net, cut, left, &weights);
    printf("RESULT prune_jeffreys data=%s kl=%g stage=%s seed=%lu held_out=%.2f error=%.2f to="
           "%zu-%zu-%zu log_alpha=%.2g weights=%zu seconds=%.0f\n", data, (double)kl, stage, seed,
           error(&small, valid), error(&small, test), left[0], left[1], left[2], cut, weights,
           (double)(clock() - start) / CLOCKS_PER_SEC);
}

int main(int argc, char **argv) {
    FILE *here = fopen("data/digits-test-labels.idx", "rb");
    const char *folder = here ? "data" : "examples/data";
    static const char *const digits[] = { "digits-train-images.idx", "digits-train-labels.idx",
        "digits-test-images.idx", "digits-test-labels.idx" };
    static const char *const mnist[] = { "train-images-idx3-ubyte", "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte" };
    int large = argc > 3;
    const char *const *files = large ? mnist : digits;
    if (here) fclose(here);
    if (large) folder = argv[3];
    unsigned long seed = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    float kl = argc > 2 ? (float)atof(argv[2]) : 0.3f;
    size_t held = large ? 5000 : 623, batch = large ? 200 : 100, epochs = large ? 40 : 200;
    tape.rng = bnn_rng_seed(seed);
    bnn_data all = { read_idx(folder, files[0]), read_idx(folder, files[1]) };
    bnn_data test = { read_idx(folder, files[2]), read_idx(folder, files[3]) };
    bnn_mat_scale(all.x, all.x, large ? 1 / 255.0f : 1 / 16.0f);
    bnn_mat_scale(test.x, test.x, large ? 1 / 255.0f : 1 / 16.0f);
    if (all.x.rows <= held) {
        fprintf(stderr, "prune_jeffreys: %s: %zu rows, of which %zu are held out\n", folder,
                all.x.rows, held);
        return 1;
    }
    bnn_data data = bnn_data_rows(all, 0, all.x.rows - held);
    bnn_data valid = bnn_data_rows(all, data.x.rows, held);
    clock_t start = clock();

    bnn_params *w = bnn_params_new(&mem);
    bnn_mlp_desc desc = { .sizes = { 64, 200, 200, 10 }, .likelihood = BNN_CATEGORICAL,
                          .seed = seed };
    if (large) desc.sizes[0] = 784, desc.sizes[1] = 300, desc.sizes[2] = 100;
    bnn_net net = bnn_mlp(w, desc), noisy = net;
    for (size_t l = 0; l < LAYERS; l++) { /* a flat prior: its KL is ours to add */
        bnn_params_add(w, 1, desc.sizes[l], "z", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
        bnn_mat_fill(bnn_params_mat(w, Z + l), 1);
    }
    q = bnn_meanfield_new(w, (bnn_meanfield_desc){ 0 });
    noisy.params = q.params, noisy.forward = forward, noisy.mlp = NULL;
    bnn_stepper adam = bnn_adam(q.params, (bnn_adam_desc){ 0 });
    size_t steps = epochs * data.x.rows / batch;
    for (size_t s = 0; s < steps; s++) {
        bnn_tape_reset(&tape);
        adam.lr = (float)bnn_lr_cosine(3e-3, s, steps);
        q.kl_weight = kl * (float)bnn_kl_weight_warmup(s, steps / 2);
        bnn_meanfield_sample(&q, &tape);
        bnn_batch b = bnn_minibatch(&tape, data, batch);
        bnn_var *loss = bnn_net_nll(&noisy, b);
        for (size_t l = 0; l < LAYERS; l++)
            loss = bnn_add(loss, bnn_scale(scale_kl(bnn_param(&tape, q.params, Z + l),
                                                    sd(&tape, Z + l)),
                                           q.kl_weight / (float)b.n_data));
        bnn_backward(loss);
        bnn_meanfield_backward(&q, &tape);
        bnn_step(&adam, &tape);
    }

    /* the smallest net within one standard error of the best on held-out rows */
    double e[CUTS], best = 100, cut = 0;
    size_t left[LAYERS], n;
    const char *name = large ? "mnist" : "digits";
    for (int i = 0; i < CUTS; i++) { /* 8 down to -7.6 */
        bnn_mark mark = bnn_arena_mark(&mem);
        bnn_net small = prune(&net, 8 - 0.4 * i, left, &n);
        e[i] = left[0] && left[1] && left[2] ? error(&small, valid) : 100;
        if (e[i] < best) best = e[i];
        bnn_arena_rewind(&mem, mark);
    }
    for (int i = 0; i < CUTS; i++)
        if (e[i] <= best + sqrt(best * (100 - best) / (double)held)) cut = 8 - 0.4 * i;
    report(name, "full", &net, HUGE_VAL, kl, seed, valid, test, start);
    report(name, "shrunk", &net, cut, kl, seed, valid, test, start);

    int failed = tape.err || mem.err;
    if (failed) fprintf(stderr, "prune_jeffreys: %s\n", tape.err ? tape.msg : mem.msg);
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return failed;
}
