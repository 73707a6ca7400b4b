/* vae.c -- a variational autoencoder on digits: the bound, its parts, and pictures of it.
 *     cc -O2 -I.. vae.c -o vae -lm && ./vae          the 8x8 digits, under a minute
 *     ./vae FOLDER [epochs, 50] [seed]               MNIST, IDX files gunzipped: many minutes
 *     ./vae SHEET.png TILE [epochs, 250] [seed]      a sheet of TILE x TILE images
 *     ./vae bars [epochs, 1500] [seed]               4x4 bars, made here: ln p(x) is known
 *     ./vae conv [FOLDER [epochs, 50] [seed]]        convolutions in encoder and decoder
 * You should see -ELBO split into reconstruction and KL, the importance-weighted bound above the
 * ELBO (by 0.4 nats on the digits, by 4 on MNIST), the price of beta, and a plain autoencoder's
 * gradients as sigma goes to zero. Where there is a folder build/, pictures go to
 * build/vae_*.png, curves to build/vae_*.dat. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "vae.h"
#include "factorized.h"
#include "tiles.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct images {
    const char *name;
    bnn_mat train, test, label; /* gray in [0,1]; labels of the test images, or empty */
    tiles_size tile;
    size_t zoom, epochs, draws; /* of pictures; of training; of the importance-weighted bound */
} images;

static int is_sheet(int argc, char **argv) {
    return argc > 1 && strstr(argv[1], ".png") != NULL;
}

static images load(bnn_arena *mem, int argc, char **argv) {
    const char *who = "vae", *folder = argc > 1 ? argv[1] : example_folder();
    images d = { "digits", { 0, 0, NULL }, { 0, 0, NULL }, { 0, 0, NULL }, { 8, 8 }, 3, 250, 50 };
    if (argc > 1 && strcmp(argv[1], "bars") == 0) {
        bnn_rng rng = bnn_rng_seed(1);
        d.name = "bars";
        d.tile.width = d.tile.height = 4;
        d.zoom = 6;
        d.epochs = argc > 2 ? example_whole(who, "epochs", argv[2], 1, 1e6) : 1500;
        d.train = bnn_mat_new(mem, 1000, 16);
        d.test = bnn_mat_new(mem, 1000, 16);
        bars_fill(&rng, d.train, 4);
        bars_fill(&rng, d.test, 4);
    } else if (is_sheet(argc, argv)) {
        const char *path = argv[1];
        bnn_mat all;
        d.name = "sheet";
        d.tile.width = d.tile.height =
            example_whole(who, "TILE", argc > 2 ? argv[2] : "", 1, 4096);
        if (tiles_read(mem, &all, &d.tile, 1, &path) != BNN_OK || all.rows < 10) {
            fprintf(stderr, "vae: %s\n", mem->msg[0] ? mem->msg : "fewer than 10 images");
            exit(1);
        }
        d.train = bnn_mat_rows(all, 0, all.rows - all.rows / 5); /* the last fifth is for testing */
        d.test = bnn_mat_rows(all, d.train.rows, all.rows / 5);
        if (argc > 3) d.epochs = example_whole(who, "epochs", argv[3], 1, 1e6);
    } else if (argc > 1) {
        d.name = "mnist";
        d.tile.width = d.tile.height = 28;
        d.zoom = 1;
        d.epochs = argc > 2 ? example_whole(who, "epochs", argv[2], 1, 1e6) : 50;
        bnn_data test = example_data(mem, who, folder, "t10k-images-idx3-ubyte",
                                     "t10k-labels-idx1-ubyte", 784, 255);
        d.train = example_idx(mem, who, folder, "train-images-idx3-ubyte", 784, 255);
        d.test = test.x, d.label = test.y;
    } else {
        bnn_data test = example_data(mem, who, folder, "digits-test-images.idx",
                                     "digits-test-labels.idx", 64, 16);
        d.train = example_idx(mem, who, folder, "digits-train-images.idx", 64, 16);
        d.test = test.x, d.label = test.y;
    }
    return d;
}

static bnn_var *input(const vae *m, bnn_var *gray) {
    return m->desc.likelihood == BNN_BERNOULLI ? vae_binarize(gray) : gray;
}

/* Adam on -ELBO; the KL's weight rises from 0 to beta over the first `warmup` part of the steps */
static void train(bnn_tape *tape, const vae *m, const images *d, size_t epochs, float beta,
                  double warmup) {
    enum { BATCH = 128 };
    size_t per_epoch = (d->train.rows + BATCH - 1) / BATCH, steps = epochs * per_epoch;
    size_t batch = d->train.rows < BATCH ? d->train.rows : BATCH;
    bnn_stepper adam = bnn_adam(m->w, (bnn_adam_desc){ .lr = 1e-3f });
    bnn_data data = { d->train, d->train };
    double sum = 0;
    for (size_t s = 0; s < steps && !tape->err; s++) {
        double progress = (double)s / (double)steps;
        bnn_tape_reset(tape);
        bnn_var *x = input(m, bnn_minibatch(tape, data, batch).x);
        float warm = progress < warmup ? (float)(progress / warmup) : 1;
        bnn_var *loss = vae_loss(m, x, beta * warm);
        bnn_backward(loss);
        adam.lr = (float)bnn_lr_cosine(2e-3, s, steps);
        bnn_step(&adam, tape);
        sum += (double)bnn_value(loss);
        if ((s + 1) % (5 * per_epoch) == 0 && d->train.rows > 10000) {
            fprintf(stderr, "latent %zu, epoch %zu: -ELBO %.2f\n", m->desc.latent,
                    (s + 1) / per_epoch, sum / (double)(5 * per_epoch));
            sum = 0;
        }
    }
}

static void picture(bnn_arena *mem, const images *d, const char *what, bnn_mat m, size_t across) {
    char path[128];
    snprintf(path, sizeof path, "build/vae_%s_%s.png", d->name, what);
    tiles_picture(mem, "vae", path, m, d->tile, across, d->zoom);
}

static bnn_mat decode(bnn_arena *mem, bnn_tape *tape, const vae *m, bnn_mat t) {
    bnn_tape_reset(tape);
    return bnn_mat_copy(mem, vae_decode(m, bnn_input(tape, t))->val);
}

static bnn_mat encode(bnn_arena *mem, bnn_tape *tape, const vae *m, bnn_mat x) {
    bnn_tape_reset(tape);
    return bnn_mat_copy(mem, vae_encode(m, bnn_input(tape, x)).mean->val);
}

/* Row by row: images, what comes back; then samples and walks between two images */
static void pictures(bnn_arena *mem, bnn_tape *tape, const vae *m, const images *d) {
    enum { W = 16, STEPS = 12, WALKS = 6 };
    size_t n = d->test.rows < W ? d->test.rows : W, D = d->test.cols, M = m->desc.latent;
    bnn_mat x = bnn_mat_rows(d->test, 0, n), t = encode(mem, tape, m, x);
    bnn_mat pair = bnn_mat_new(mem, 2 * n, D), prior = bnn_mat_new(mem, 8 * W, M);
    bnn_mat walk = bnn_mat_new(mem, WALKS * STEPS, M), y = decode(mem, tape, m, t);
    if (tape->err || mem->err) return;
    memcpy(pair.data, x.data, n * D * sizeof(float));
    memcpy(pair.data + n * D, y.data, n * D * sizeof(float));
    picture(mem, d, "reconstruction", pair, n);

    bnn_rng_fill_normal(&tape->rng, prior.rows * M, prior.data);
    y = decode(mem, tape, m, prior);
    picture(mem, d, "samples", y, W); /* means of the pixels */
    bnn_tape_reset(tape);
    picture(mem, d, "samples_binary", vae_binarize(bnn_input(tape, y))->val, W);

    for (size_t i = 0; i < WALKS * STEPS; i++) {
        size_t a = i / STEPS % n, b = (a + WALKS) % n;
        float s = (float)(i % STEPS) / (STEPS - 1);
        for (size_t j = 0; j < M; j++)
            *bnn_mat_at(walk, i, j) = (1 - s) * *bnn_mat_at(t, a, j) + s * *bnn_mat_at(t, b, j);
    }
    picture(mem, d, "interpolation", decode(mem, tape, m, walk), STEPS);
}

/* Two latents: what each place of the plane looks like, at equal steps of probability, and where
 * the test images are */
static void plane(bnn_arena *mem, bnn_tape *tape, const vae *m, const images *d) {
    enum { SIDE = 16 };
    size_t n = d->test.rows < 1800 ? d->test.rows : 1800;
    bnn_mat t = bnn_mat_new(mem, SIDE * SIDE, 2), where;
    char path[128];
    FILE *f;
    for (size_t i = 0; i < SIDE * SIDE; i++) {
        t.data[2 * i] = (float)bnn_normal_quantile(((double)(i % SIDE) + 0.5) / SIDE);
        t.data[2 * i + 1] = (float)-bnn_normal_quantile(((double)(i / SIDE) + 0.5) / SIDE);
    }
    picture(mem, d, "plane", decode(mem, tape, m, t), SIDE);
    where = encode(mem, tape, m, bnn_mat_rows(d->test, 0, n));
    snprintf(path, sizeof path, "build/vae_%s_plane.dat", d->name);
    f = example_open("vae", path);
    for (size_t i = 0; f && where.data && d->label.data && i < n; i++)
        fprintf(f, "%g %g %g\n", where.data[2 * i], where.data[2 * i + 1], d->label.data[i]);
    example_close("vae", path, f);
}

/* Relative distance of the reconstruction term's gradient from a plain autoencoder's (sigma 0) */
static void toward_autoencoder(bnn_tape *tape, vae m, const images *d) {
    const float sigma[] = { 0, 1, 0.1f, 0.01f, 0.001f, 0 };
    size_t few = d->test.rows < 10 ? d->test.rows : 10;
    bnn_arena own = { 0 };
    bnn_mat plain = bnn_mat_new(&own, 1, m.w->n), grad = { 1, m.w->n, m.w->grad };
    printf("sigma       distance of the gradient from the plain autoencoder's\n");
    for (int i = 0; i < 6 && plain.data; i++) {
        double gap = 0, norm;
        bnn_tape_reset(tape);
        m.sigma = sigma[i];
        bnn_params_zero_grad(m.w);
        bnn_backward(vae_loss(&m, bnn_input(tape, bnn_mat_rows(d->test, 0, few)), 0));
        if (i == 0) memcpy(plain.data, m.w->grad, m.w->n * sizeof(float));
        norm = bnn_mat_dot(plain, plain);
        for (size_t j = 0; j < m.w->n; j++)
            gap += pow((double)grad.data[j] - (double)plain.data[j], 2);
        if (i > 0) printf("%-9g   %.1e\n", (double)sigma[i], sqrt(gap / norm));
    }
    bnn_params_zero_grad(m.w);
    bnn_arena_free(&own);
}

static size_t active_units(bnn_arena *mem, bnn_tape *tape, const vae *m, const images *d) {
    bnn_mat t = encode(mem, tape, m, bnn_mat_rows(d->test, 0, d->test.rows < 1000 ? d->test.rows
                                                                                  : 1000));
    bnn_mat sd = bnn_mat_new(mem, 1, m->desc.latent);
    size_t active = 0;
    bnn_mat_col_std(sd, t);
    for (size_t j = 0; j < sd.cols && sd.data; j++) active += sd.data[j] * sd.data[j] > 0.01f;
    return active;
}

/* Everything of one model: training, the numbers of the test images */
static void study(bnn_arena *mem, bnn_tape *tape, const vae *m, const images *d, const char *note,
                  size_t epochs, float beta, double warmup, int result) {
    clock_t start = clock();
    train(tape, m, d, epochs, beta, warmup);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    vae_score s = vae_evaluate(mem, tape, m, d->test, d->draws);
    printf("%-24s %6zu %8.2f %8.2f %8.2f %8.2f %6zu %8.0f\n", note, m->desc.latent,
           vae_mean(s.elbo), vae_mean(s.nll), vae_mean(s.kl), vae_mean(s.iwae),
           active_units(mem, tape, m, d), seconds);
    if (result)
        printf("RESULT vae data=%s latent=%zu elbo=%.2f recon=%.2f kl=%.2f iwae=%.2f "
               "seconds=%.0f\n",
               d->name, m->desc.latent, vae_mean(s.elbo), vae_mean(s.nll), vae_mean(s.kl),
               vae_mean(s.iwae), seconds);
    fflush(stdout);
}

/* Eight images, equally likely: no model gets below ln 8 nats. Two continuous latents fall short of
 * it by what lies between the eight regions of the plane, and the ELBO by what the encoder's
 * Gaussians do not fill; both depend on the start, so there are five. */
static void bars(bnn_arena *mem, bnn_tape *tape, const images *d, vae_desc desc) {
    printf("%-24s latent     ELBO    recon       KL     IWAE active  seconds; floor ln 8 = %.2f\n",
           d->name, log(8));
    for (uint64_t s = 0; s < 5 && !mem->err; s++) {
        char note[32];
        vae m;
        desc.seed = tape->rng.key[0] + s;
        snprintf(note, sizeof note, "seed %u", (unsigned)desc.seed);
        m = vae_new(bnn_params_new(mem), desc);
        study(mem, tape, &m, d, note, d->epochs, 1, 0, s == 0);
        if (s == 0) pictures(mem, tape, &m, d), plane(mem, tape, &m, d);
    }
}

static void all(bnn_arena *mem, bnn_tape *tape, const images *d, vae_desc desc, int large) {
    vae m = vae_new(bnn_params_new(mem), desc);

    printf("%-24s latent     ELBO    recon       KL     IWAE active  seconds\n", d->name);
    study(mem, tape, &m, d, "Bernoulli", d->epochs, 1, 0, 1);
    pictures(mem, tape, &m, d);

    desc.latent = 2;
    vae two = vae_new(bnn_params_new(mem), desc);
    study(mem, tape, &two, d, "Bernoulli, a plane", large ? d->epochs / 2 : d->epochs, 1, 0.2, 1);
    plane(mem, tape, &two, d);

    desc.latent = m.desc.latent;
    if (large) { /* L_1 < L_5 < L_50 < L_500 on the same model, 1000 images */
        const size_t draws[] = { 1, 5, 50, 500 };
        for (int i = 0; i < 4; i++)
            printf("importance-weighted bound, %3zu draws: %.2f\n", draws[i],
                   vae_mean(vae_evaluate(mem, tape, &m, bnn_mat_rows(d->test, 0, 1000),
                                         draws[i]).iwae));
    } else {
        const float beta[] = { 0.25f, 2 };
        for (int i = 0; i < 2; i++) {
            vae b = vae_new(bnn_params_new(mem), desc);
            study(mem, tape, &b, d, i ? "Bernoulli, beta 2" : "Bernoulli, beta 1/4",
                  d->epochs / 2, beta[i], 0, 0);
        }
        vae warm = vae_new(bnn_params_new(mem), desc);
        study(mem, tape, &warm, d, "Bernoulli, warm-up", d->epochs / 2, 1, 0.3, 0);
        vae_desc gauss = desc, each = desc;
        gauss.likelihood = BNN_GAUSSIAN, gauss.noise_std = 0.3f, gauss.noise_learned = 1;
        each.likelihood = BNN_GAUSSIAN_HETERO;
        vae g = vae_new(bnn_params_new(mem), gauss), h = vae_new(bnn_params_new(mem), each);
        study(mem, tape, &g, d, "Gaussian, one variance", d->epochs / 2, 1, 0, 0);
        study(mem, tape, &h, d, "Gaussian, each pixel's", d->epochs / 2, 1, 0, 0);
        toward_autoencoder(tape, m, d);
    }
}

/* Convolutions; on the small digits beside the dense nets, after as many epochs */
static void convolutional(bnn_arena *mem, bnn_tape *tape, images *d, vae_desc desc, int large) {
    printf("%-24s latent     ELBO    recon       KL     IWAE active  seconds\n", d->name);
    if (!large) {
        vae m = vae_new(bnn_params_new(mem), desc);
        study(mem, tape, &m, d, "dense", d->epochs, 1, 0, 1);
    }
    desc.side = d->tile.width;
    desc.filters = 16;
    desc.hidden = large ? 256 : 128;
    d->name = large ? "mnist_conv" : "digits_conv";
    vae c = vae_new(bnn_params_new(mem), desc);
    study(mem, tape, &c, d, "convolutions", d->epochs, 1, 0, 1);
    pictures(mem, tape, &c, d);
}

int main(int argc, char **argv) {
    int conv = argc > 1 && strcmp(argv[1], "conv") == 0;
    if (conv) argc--, argv++;
    int sheet = is_sheet(argc, argv);
    int small = argc > 1 && strcmp(argv[1], "bars") == 0, large = argc > 1 && !sheet && !small;
    example_most("vae", argc, argv, 3 + sheet);
    if (conv && (sheet || small)) {
        fprintf(stderr, "vae: conv takes a folder of MNIST or nothing, not %s\n", argv[1]);
        return 2;
    }
    uint64_t seed = argc > 3 + sheet ? example_seed("vae", argv[3 + sheet]) : 1;
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(seed) };
    images d = load(&mem, argc, argv);
    vae_desc desc = { .pixels = d.train.cols, .hidden = large ? 400 : 128,
                      .latent = large ? 20 : small ? 2 : 10, .likelihood = BNN_BERNOULLI,
                      .seed = seed };
    if (conv) convolutional(&mem, &tape, &d, desc, large);
    else if (small) bars(&mem, &tape, &d, desc);
    else all(&mem, &tape, &d, desc, large);
    if (tape.err || mem.err) fprintf(stderr, "vae: %s\n", tape.err ? tape.msg : mem.msg);
    int failed = tape.err || mem.err || example_failed;
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return failed;
}
