/* discrete_vae.c -- a VAE whose code is made of bits or of classes, trained by three estimators of
 * a gradient that does not exist: Gumbel-softmax, straight-through, score function with a baseline.
 *     cc -O2 -I.. discrete_vae.c -o discrete_vae -lm && ./discrete_vae      8x8 digits, seconds
 *     ./discrete_vae FOLDER [epochs, 20] [seed]      MNIST, IDX files gunzipped: minutes
 * You should see Gumbel-softmax below the score function in nats for both kinds of latents, and
 * why: the spread of the encoder's gradient over draws, at the model that was reached. */
#define BNN_IMPLEMENTATION
#include "discrete_vae.h"
#include "tiles.h"
#include "vae.h"
#include <stdlib.h>
#include <time.h>

enum { BATCH = 100, DRAWS = 100 };

typedef struct images {
    const char *name;
    bnn_mat train, test; /* gray in [0,1]; test black and white, binarized once for all models */
    tiles_size tile;
    size_t epochs, score;          /* of training; test images that are scored */
    size_t bits, latents, classes; /* so many bits, or latents of so many classes */
} images;

static images load(bnn_arena *mem, bnn_rng *rng, int argc, char **argv) {
    const char *who = "discrete_vae";
    FILE *here = fopen("data/digits-train-images.idx", "rb");
    const char *folder = here ? "data" : "examples/data";
    images d = { "digits", { 0, 0, NULL }, { 0, 0, NULL }, { 8, 8 }, 60, 1000, 32, 8, 4 };
    if (here) fclose(here);
    if (argc > 1) {
        images mnist = { "mnist", { 0, 0, NULL }, { 0, 0, NULL }, { 28, 28 }, 20, 2000,
                         200, 20, 10 };
        d = mnist;
        if (argc > 2) d.epochs = (size_t)atol(argv[2]);
        d.train = tiles_idx(mem, who, argv[1], "train-images-idx3-ubyte", 255);
        d.test = tiles_idx(mem, who, argv[1], "t10k-images-idx3-ubyte", 255);
    } else {
        d.train = tiles_idx(mem, who, folder, "digits-train-images.idx", 16);
        d.test = tiles_idx(mem, who, folder, "digits-test-images.idx", 16);
    }
    for (size_t i = 0; i < d.test.rows * d.test.cols; i++)
        d.test.data[i] = bnn_rng_uniform(rng) < d.test.data[i];
    return d;
}

static float coin(bnn_mat x) { return 0.7f * (float)x.cols; } /* nats per image of fair pixels */

/* Adam on -ELBO with a cosine rate; tau falls from 1 to 1/2 in the first quarter of the steps, as
 * in Jang et al. The score function's baseline is a net b(x) that learns -ln p(x|z) beside
 * (Mnih and Gregor 2014). */
static void train(bnn_tape *tape, const discrete_vae *m, const bnn_net *guess, const images *d,
                  int estimator) {
    size_t steps = d->epochs * d->train.rows / BATCH;
    bnn_stepper adam = bnn_adam(m->w, (bnn_adam_desc){ .lr = 3e-3f });
    bnn_stepper beside = bnn_adam(guess->params, (bnn_adam_desc){ .lr = 1e-3f });
    bnn_data data = { d->train, d->train };
    double sum = 0;
    for (size_t s = 0; s < steps && !tape->err; s++) {
        float tau = (float)fmax(0.5, pow(0.5, 4 * (double)s / (double)steps));
        bnn_tape_reset(tape);
        bnn_var *x = vae_binarize(bnn_minibatch(tape, data, BATCH).x), *nll, *b = NULL;
        if (estimator == DISCRETE_SF) b = bnn_scale(bnn_net_forward(guess, x), coin(d->train));
        bnn_var *loss = discrete_loss(m, x, estimator, tau, b, &nll);
        if (b) loss = bnn_add(loss, bnn_mean(bnn_square(bnn_sub(b, bnn_detach(nll)))));
        bnn_backward(loss);
        adam.lr = (float)bnn_lr_cosine(3e-3, s, steps);
        bnn_step(&adam, tape);
        if (b) bnn_step(&beside, tape);
        sum += (double)bnn_mat_sum(nll->val) / BATCH;
        if ((s + 1) % 3000 == 0 && d->train.rows > 10000) {
            fprintf(stderr, "step %zu of %zu: -ln p(x|z) %.2f\n", s + 1, steps, sum / 3000);
            sum = 0;
        }
    }
}

/* Mean over draws of the encoder's gradient, one batch, and the sum of its entries' variances.
 * baseline 0: none, 1: the mean of the other images', 2: the net */
static double moments(bnn_tape *tape, const discrete_vae *m, const bnn_net *guess, bnn_mat x,
                      int estimator, int baseline, size_t draws, bnn_mat mean) {
    double square = 0, n = (double)draws;
    bnn_mat g = { 1, mean.cols, m->w->grad }; /* the encoder's blocks come first */
    bnn_mat_fill(mean, 0);
    for (size_t r = 0; r < draws && !tape->err; r++) {
        bnn_tape_reset(tape);
        bnn_params_zero_grad(m->w);
        bnn_var *in = bnn_input(tape, x), *b = baseline ? NULL : bnn_scalar(tape, 0);
        if (baseline == 2) b = bnn_scale(bnn_net_forward(guess, in), coin(x));
        bnn_backward(discrete_loss(m, in, estimator, 0.5f, b, NULL));
        for (size_t j = 0; j < mean.cols; j++) mean.data[j] += g.data[j] / (float)draws;
        square += bnn_mat_dot(g, g) / n;
    }
    bnn_params_zero_grad(m->w);
    return (square - bnn_mat_dot(mean, mean)) * n / (n - 1);
}

/* What the estimators trade: spread of one batch's gradient, and distance of its mean from that of
 * the unbiased one, both over the norm of the latter; what noise adds to squares is taken off */
static void noise(bnn_arena *mem, bnn_tape *tape, const discrete_vae *m, const bnn_net *guess,
                  const images *d) {
    enum { FEW = 300, MANY = 2000 };
    static const char *const names[] = { "Gumbel-softmax", "straight-through",
            "score function, a net as baseline", "score function, mean of the others",
            "score function, no baseline" };
    bnn_mark mark = bnn_arena_mark(mem);
    bnn_mat x = bnn_mat_rows(d->test, 0, BATCH), mean, truth;
    mean = bnn_mat_new(mem, 1, m->w->blocks[m->w->n_blocks / 2].offset);
    truth = bnn_mat_new(mem, 1, mean.cols);
    if (mem->err) return;
    double own = moments(tape, m, guess, x, DISCRETE_SF, 2, MANY, truth) / MANY;
    double norm = bnn_mat_dot(truth, truth) - own;
    printf("    gradient, tau 1/2%24s spread   bias\n", "");
    for (int e = 0; e < 5; e++) {
        int estimator = e < 3 ? e : DISCRETE_SF;
        double var = moments(tape, m, guess, x, estimator, 4 - e, FEW, mean), gap;
        printf("    %-38s %8.2f", names[e], sqrt(var / norm));
        bnn_mat_sub(mean, mean, truth);
        gap = bnn_mat_dot(mean, mean) - var / FEW - own;
        if (e < 2) printf(" %6.2f", sqrt(fmax(0, gap / norm)));
        printf(e < 2 ? "\n" : "      0\n");
    }
    bnn_arena_rewind(mem, mark);
}

/* What codes from the prior decode to, means of the pixels */
static void picture(bnn_arena *mem, bnn_tape *tape, const discrete_vae *m, const images *d,
                    const char *latent) {
    enum { ACROSS = 16, ROWS = 4 };
    char path[128];
    FILE *folder;
    bnn_mat uniform = bnn_mat_new(mem, ACROSS * ROWS, m->units); /* logits 0 */
    snprintf(path, sizeof path, "build/discrete_%s_%s.png", d->name, latent);
    if (mem->err || (folder = fopen(path, "wb")) == NULL) return; /* no folder build/ */
    fclose(folder);
    bnn_tape_reset(tape);
    bnn_var *z = discrete_draw(m, bnn_input(tape, uniform), DISCRETE_SF, 1);
    bnn_mat x = bnn_sigmoid(bnn_net_forward(&m->decoder, z))->val;
    if (tape->err) return;
    if (tiles_write(mem, path, x, d->tile, ACROSS, d->tile.width < 16 ? 3 : 1, 1) == BNN_OK)
        printf("    %s\n", path);
    else remove(path);
}

static void study(bnn_arena *mem, bnn_tape *tape, const images *d, int classes, uint64_t seed) {
    static const char *const names[] = { "gs", "st", "sf" };
    const char *latent = classes ? "categorical" : "bernoulli";
    discrete_desc desc = { d->train.cols, classes ? d->latents : d->bits,
                           classes ? d->classes : 0, seed };
    for (int e = 0; e < 3 && !mem->err; e++) {
        discrete_vae m = discrete_new(bnn_params_new(mem), desc);
        bnn_net guess = bnn_mlp(bnn_params_new(mem), (bnn_mlp_desc){
                .sizes = { d->train.cols, 100, 1 }, .noise_std = 1, .activation = BNN_TANH,
                .seed = seed });
        clock_t start = clock();
        train(tape, &m, &guess, d, e);
        double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        discrete_score s = discrete_evaluate(mem, tape, &m, bnn_mat_rows(d->test, 0, d->score),
                                             DRAWS);
        printf("RESULT discrete data=%s latent=%s estimator=%s nll=%.2f elbo=%.2f kl=%.2f "
               "draws=%d seconds=%.0f\n", d->name, latent, names[e], -s.bound, s.elbo, s.kl, DRAWS,
               seconds);
        if (e == DISCRETE_GS) picture(mem, tape, &m, d, latent);
        if (e == DISCRETE_SF) noise(mem, tape, &m, &guess, d);
        fflush(stdout);
    }
}

int main(int argc, char **argv) {
    uint64_t seed = argc > 3 ? (uint64_t)atol(argv[3]) : 1;
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(seed) };
    images d = load(&mem, &tape.rng, argc, argv);
    printf("nll: -ln p(x) at most, the importance-weighted bound of %d discrete draws\n", DRAWS);
    study(&mem, &tape, &d, 0, seed);
    study(&mem, &tape, &d, 1, seed);
    if (tape.err || mem.err) fprintf(stderr, "discrete_vae: %s\n", tape.err ? tape.msg : mem.msg);
    int failed = tape.err || mem.err;
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return failed;
}
