/* discrete_vae.c -- a VAE whose code is made of bits or of classes, trained by three estimators of
 * a gradient that does not exist: Gumbel-softmax, straight-through, score function with a baseline.
 *     cc -O2 -I.. discrete_vae.c -o discrete_vae -lm && ./discrete_vae      8x8 digits, seconds
 *     ./discrete_vae FOLDER [name=value] ...         MNIST, IDX files gunzipped: minutes
 * You should see Gumbel-softmax below the score function in nats for both kinds of latents, and
 * why: the spread of the encoder's gradient over draws, at the model that was reached. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "discrete_vae.h"
#include "tiles.h"
#include "vae.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 100, HELD = 10000 };
enum { EPOCHS, SEED, RATE, MOMENTUM, COSINE, TAU, FIXED, PRIOR, TEST, SCORE, DRAWS, FIRST, LAST,
       OPTIONS };

static struct { const char *name; double value, least, most; const char *what; }
options[OPTIONS] = {
    { "epochs", 20, 1, 1e6, "over the training images" },
    { "seed", 1, 0, 1e6, "of the weights and all draws" },
    { "rate", 3e-3, 1e-9, 10, "of learning" },
    { "momentum", 0, 0, 0.9999, "of SGD; 0: Adam" },
    { "cosine", 1, 0, 1, "1: the rate falls to 0 as a cosine; 0: it stays" },
    { "tau", 0.5, 1e-3, 1, "the lowest temperature" },
    { "fixed", 0, 0, 1, "1: training images are binarized once; 0: at each step anew" },
    { "prior", 0, 0, 1, "1: that of the latents is learned; 0: uniform" },
    { "test", 1, 0, 1, "0: errors on the last 10,000 training images, which are not trained on" },
    { "score", 2000, 1, 1e6, "images that are scored" },
    { "draws", 100, 1, 1e6, "of each of them" },
    { "first", 0, 0, 5, "0 to 2: bits by gs, st, sf; 3 to 5: classes by gs, st, sf" },
    { "last", 5, 0, 5, "the same: where to end" },
};

static double real(int option) { return options[option].value; }
static size_t whole(int option) { return (size_t)options[option].value; }

static int parse(int argc, char **argv) {
    for (int i = 2; i < argc; i++) {
        const char *is = strchr(argv[i], '=');
        size_t n = is ? (size_t)(is - argv[i]) : 0, k = 0;
        for (; k < OPTIONS; k++)
            if (strlen(options[k].name) == n && strncmp(options[k].name, argv[i], n) == 0) break;
        if (k == OPTIONS) {
            fprintf(stderr, "discrete_vae: what is %s? The options are\n", argv[i]);
            for (k = 0; k < OPTIONS; k++)
                fprintf(stderr, "  %s=%g  %s\n", options[k].name, options[k].value,
                        options[k].what);
            return 0;
        }
        double v = example_real("discrete_vae", options[k].name, is + 1, options[k].least,
                                options[k].most);
        if (k != RATE && k != MOMENTUM && k != TAU)
            v = (double)example_whole("discrete_vae", options[k].name, is + 1, 0, 1e6);
        options[k].value = v;
    }
    if (argc > 1 && strchr(argv[1], '=')) {
        fprintf(stderr, "discrete_vae: %s: options follow the folder of MNIST\n", argv[1]);
        return 0;
    }
    return 1;
}

typedef struct images {
    const char *name;
    bnn_mat train, test; /* gray in [0,1]; test black and white, binarized once for all models */
    tiles_size tile;
    size_t epochs, score;          /* of training; test images that are scored */
    size_t bits, latents, classes; /* so many bits, or latents of so many classes */
} images;

static void binarize(bnn_rng *rng, bnn_mat x) {
    for (size_t i = 0; i < x.rows * x.cols; i++)
        x.data[i] = bnn_rng_uniform(rng) < x.data[i];
}

static images load(bnn_arena *mem, bnn_rng *rng, int argc, char **argv) {
    const char *who = "discrete_vae";
    const char *folder = argc > 1 ? argv[1] : example_folder();
    images d = { "digits", { 0, 0, NULL }, { 0, 0, NULL }, { 8, 8 }, 60, 1000, 32, 8, 4 };
    if (argc > 1) {
        images mnist = { "mnist", { 0, 0, NULL }, { 0, 0, NULL }, { 28, 28 }, whole(EPOCHS),
                         whole(SCORE), 200, 20, 10 };
        d = mnist;
        d.train = example_idx(mem, who, folder, "train-images-idx3-ubyte", 784, 255);
        d.test = example_idx(mem, who, folder, "t10k-images-idx3-ubyte", 784, 255);
        if (whole(TEST) == 0) {
            if (d.train.rows <= HELD) {
                fprintf(stderr, "discrete_vae: test=0 needs more than %d images\n", HELD);
                exit(1);
            }
            d.test = bnn_mat_rows(d.train, d.train.rows - HELD, HELD);
            d.train.rows -= HELD;
        }
        if (whole(FIXED)) binarize(rng, d.train);
        if (d.score > d.test.rows) d.score = d.test.rows;
    } else {
        d.train = example_idx(mem, who, folder, "digits-train-images.idx", 64, 16);
        d.test = example_idx(mem, who, folder, "digits-test-images.idx", 64, 16);
    }
    binarize(rng, d.test);
    return d;
}

static float coin(bnn_mat x) { return 0.7f * (float)x.cols; } /* nats per image of fair pixels */

/* Adam on -ELBO with a cosine rate, or SGD with momentum as in Jang et al., where tau, too, falls
 * from 1 to 1/2, here in the first quarter of the steps. The score function's baseline is a net
 * b(x) that learns -ln p(x|z) beside (Mnih and Gregor 2014). */
static void train(bnn_tape *tape, const discrete_vae *m, const bnn_net *guess, const images *d,
                  int estimator) {
    size_t steps = d->epochs * d->train.rows / BATCH;
    bnn_sgd_desc sgd = { .lr = (float)real(RATE), .momentum = (float)real(MOMENTUM) };
    bnn_stepper rule = real(MOMENTUM) > 0 ? bnn_sgd(m->w, sgd)
                                          : bnn_adam(m->w, (bnn_adam_desc){ .lr = sgd.lr });
    bnn_stepper beside = bnn_adam(guess->params, (bnn_adam_desc){ .lr = 1e-3f });
    bnn_data data = { d->train, d->train };
    double sum = 0;
    for (size_t s = 0; s < steps && !tape->err; s++) {
        float tau = (float)fmax(real(TAU), pow(0.5, 4 * (double)s / (double)steps));
        bnn_tape_reset(tape);
        bnn_var *x = vae_binarize(bnn_minibatch(tape, data, BATCH).x), *nll, *b = NULL;
        if (estimator == DISCRETE_SF) b = bnn_scale(bnn_net_forward(guess, x), coin(d->train));
        bnn_var *loss = discrete_loss(m, x, estimator, tau, b, &nll);
        if (b) loss = bnn_add(loss, bnn_mean(bnn_square(bnn_sub(b, bnn_detach(nll)))));
        bnn_backward(loss);
        rule.lr = (float)(whole(COSINE) ? bnn_lr_cosine(real(RATE), s, steps) : real(RATE));
        bnn_step(&rule, tape);
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
    bnn_mat prior = bnn_mat_new(mem, ACROSS * ROWS, m->units); /* logits 0: uniform */
    snprintf(path, sizeof path, "build/discrete_%s_%s.png", d->name, latent);
    if (mem->err) return;
    bnn_tape_reset(tape);
    if (m->desc.learned)
        for (size_t i = 0; i < prior.rows * m->units; i++)
            prior.data[i] = bnn_params_mat(m->w, m->prior).data[i % m->units];
    bnn_var *z = discrete_draw(m, bnn_input(tape, prior), DISCRETE_SF, 1);
    bnn_mat x = bnn_sigmoid(bnn_net_forward(&m->decoder, z))->val;
    if (!tape->err)
        tiles_picture(mem, "discrete_vae", path, x, d->tile, ACROSS, d->tile.width < 16 ? 3 : 1);
}

/* -ELBO as it is trained on, with relaxed draws: no bound of ln p, see discrete_loss */
static double relaxed(bnn_tape *tape, const discrete_vae *m, bnn_mat x) {
    bnn_rng before = tape->rng;
    double sum = 0;
    size_t i = 0;
    for (; i + BATCH <= x.rows && !tape->err; i += BATCH) {
        bnn_tape_reset(tape);
        bnn_var *in = bnn_input(tape, bnn_mat_rows(x, i, BATCH));
        bnn_var *loss = discrete_loss(m, in, DISCRETE_GS, (float)real(TAU), NULL, NULL);
        if (!tape->err) sum += (double)loss->val.data[0] * BATCH;
    }
    tape->rng = before;
    return sum / (double)i;
}

static void study(bnn_arena *mem, bnn_tape *tape, const images *d, int classes, uint64_t seed) {
    static const char *const names[] = { "gs", "st", "sf" };
    const char *latent = classes ? "categorical" : "bernoulli";
    discrete_desc desc = { d->train.cols, classes ? d->latents : d->bits,
                           classes ? d->classes : 0, seed, whole(PRIOR) > 0 };
    for (int e = 0; e < 3 && !mem->err; e++) {
        size_t at = (size_t)(3 * classes + e);
        if (at < whole(FIRST) || at > whole(LAST)) continue;
        discrete_vae m = discrete_new(bnn_params_new(mem), desc);
        bnn_net guess = bnn_mlp(bnn_params_new(mem), (bnn_mlp_desc){
                .sizes = { d->train.cols, 100, 1 }, .noise_std = 1, .activation = BNN_TANH,
                .seed = seed });
        clock_t start = clock();
        train(tape, &m, &guess, d, e);
        double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        discrete_score s = discrete_evaluate(mem, tape, &m, bnn_mat_rows(d->test, 0, d->score),
                                             whole(DRAWS));
        printf("RESULT discrete data=%s latent=%s estimator=%s nll=%.2f elbo=%.2f kl=%.2f "
               "relaxed=%.2f draws=%zu seconds=%.0f\n", d->name, latent, names[e], -s.bound, s.elbo,
               s.kl, relaxed(tape, &m, bnn_mat_rows(d->test, 0, d->score)), whole(DRAWS),
               seconds);
        if (e == DISCRETE_GS) picture(mem, tape, &m, d, latent);
        if (e == DISCRETE_SF) noise(mem, tape, &m, &guess, d);
        fflush(stdout);
    }
}

int main(int argc, char **argv) {
    if (!parse(argc, argv)) return 2;
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(whole(SEED)) };
    images d = load(&mem, &tape.rng, argc, argv);
    for (int i = 2; i < argc; i++) printf("%s%s", argv[i], i + 1 < argc ? " " : "\n");
    printf("nll: -ln p(x) at most, the importance-weighted bound of %zu discrete draws\n",
           whole(DRAWS));
    study(&mem, &tape, &d, 0, whole(SEED));
    study(&mem, &tape, &d, 1, whole(SEED));
    if (tape.err || mem.err) fprintf(stderr, "discrete_vae: %s\n", tape.err ? tape.msg : mem.msg);
    int failed = tape.err || mem.err || example_failed;
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return failed;
}
