/* autoencoder.c -- autoencoders of images: the linear one is PCA, a deep one bends further.
 *     cc -O2 -I.. autoencoder.c -lm && ./a.out [SHEET.png ... TILE | IMAGE.png ...]
 * Without arguments on the 8x8 digits; else on sheets of TILE x TILE tiles, or on images of one
 * size. You should see the linear autoencoder arrive at the closed-form optimum, the sum of the
 * discarded eigenvalues, for every number of latents, and the deep one below it where latents are
 * few. Where there is a folder build/: autoencoder.dat, autoencoder.png, digits-sheet.png. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "tiles.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 100, SHOW = 16 };

static int fail(bnn_arena *mem, const char *what) {
    fprintf(stderr, "autoencoder: %s\n", what);
    bnn_arena_free(mem);
    return 1;
}

static int load(bnn_arena *mem, int argc, char **argv, bnn_mat *x, tiles_size *tile) {
    if (argc > 1) {
        char *end = NULL; /* 8 is a size, 8.png is none */
        long size = argc > 2 ? strtol(argv[argc - 1], &end, 10) : 0;
        if (size > 0 && *end != '\0') size = 0;
        tile->width = tile->height = size > 0 ? (size_t)size : 0;
        return tiles_read(mem, x, tile, (size_t)argc - 1 - (size > 0),
                          (const char *const *)argv + 1);
    }
    *tile = (tiles_size){ 8, 8 };
    *x = example_idx(mem, "autoencoder", example_folder(), "digits-train-images.idx", 64, 16);
    return BNN_OK;
}

/* d - latent - d, or with a hidden layer on both sides; all in one chain of weights */
static bnn_net make(bnn_arena *mem, size_t d, size_t latent, size_t hidden, int likelihood) {
    bnn_mlp_desc linear = { .sizes = { d, latent, d }, .noise_std = 1, .activation = BNN_IDENTITY,
                            .prior = { .kind = BNN_PRIOR_FLAT }, .seed = 1 };
    bnn_mlp_desc deep = { .sizes = { d, hidden, latent, hidden, d }, .noise_std = 1,
                          .activation = BNN_TANH,
                          .activations = { 0, BNN_IDENTITY, 0 },
                          .prior = { .kind = BNN_PRIOR_FLAT }, .seed = 1,
                          .likelihood = likelihood };
    return bnn_mlp(bnn_params_new(mem), hidden ? deep : linear);
}

/* Reconstruction loss of a batch: squared error, or cross-entropy of gray values; per image */
static bnn_var *loss(const bnn_net *net, bnn_var *x) {
    bnn_var *out = bnn_net_forward(net, x);
    if (net->likelihood == BNN_BERNOULLI) return bnn_mean(bnn_bernoulli_nll(out, x));
    return bnn_mean(bnn_rowsum(bnn_square(bnn_sub(out, x))));
}

static void train(bnn_tape *tape, const bnn_net *net, bnn_mat x, size_t steps, double lr) {
    bnn_stepper adam = bnn_adam(net->params, (bnn_adam_desc){ .lr = (float)lr });
    size_t batch = x.rows < BATCH ? x.rows : BATCH;
    for (size_t s = 0; s < steps; s++) {
        bnn_tape_reset(tape);
        adam.lr = (float)bnn_lr_cosine(lr, s, steps);
        bnn_backward(loss(net, bnn_minibatch(tape, (bnn_data){ x, x }, batch).x));
        bnn_step(&adam, tape);
    }
}

static bnn_mat rebuild(bnn_arena *mem, bnn_tape *tape, const bnn_net *net, bnn_mat x) {
    bnn_tape_reset(tape);
    bnn_var *out = bnn_net_forward(net, bnn_input(tape, x));
    if (net->likelihood == BNN_BERNOULLI) out = bnn_sigmoid(out);
    return bnn_mat_copy(mem, out->val);
}

static double squared_error(bnn_mat a, bnn_mat b) { /* per image */
    double sum = 0;
    if (a.data == NULL || b.data == NULL) return 0; /* after an error */
    for (size_t i = 0; i < a.rows * a.cols; i++)
        sum += ((double)a.data[i] - (double)b.data[i]) * ((double)a.data[i] - (double)b.data[i]);
    return sum / (double)a.rows;
}

/* The first images of x into one row of the picture */
static void put(bnn_mat sheet, size_t row, bnn_mat x, size_t count) {
    if (sheet.data != NULL && x.data != NULL)
        memcpy(sheet.data + row * count * x.cols, x.data, count * x.cols * sizeof(float));
}

/* Images as one sheet without gaps: what this program reads when it is given a sheet */
static void write_sheet(bnn_arena *mem, const char *path, bnn_mat x, tiles_size tile) {
    bnn_mat back = { 0, 0, NULL };
    double off = 0;
    FILE *f = example_open("autoencoder", path);
    if (f == NULL) return;
    fclose(f);
    if (tiles_write(mem, path, x, tile, 40, 1, 0) || tiles_read(mem, &back, &tile, 1, &path)) {
        fprintf(stderr, "autoencoder: %s\n", mem->msg);
        example_failed = 1;
        return;
    }
    for (size_t i = 0; i < x.rows * x.cols; i++)
        if (fabs((double)x.data[i] - (double)back.data[i]) > off)
            off = fabs((double)x.data[i] - (double)back.data[i]);
    printf("%s: read back %zu images, at most %.4f off (8 bits)\n", path, back.rows, off);
}

int main(int argc, char **argv) {
    const size_t latents[] = { 2, 5, 10, 20 };
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    tiles_size tile = { 0, 0 };
    bnn_mat x;
    if (load(&mem, argc, argv, &x, &tile) != BNN_OK) return fail(&mem, mem.msg);
    size_t d = x.cols, show = x.rows < SHOW ? x.rows : SHOW;
    if (d > 1024 || d <= 20) return fail(&mem, "made for images of 21 to 1024 pixels");

    /* eigenvalues of the covariance: what every linear code of M numbers must lose */
    bnn_mat cov = bnn_mat_new(&mem, d, d), l = bnn_mat_new(&mem, 1, d);
    bnn_mat u = bnn_mat_new(&mem, d, d), mean = bnn_mat_new(&mem, 1, d);
    bnn_mat sheet = bnn_mat_new(&mem, 4 * show, d), y, z;
    if (mem.err) return fail(&mem, mem.msg);
    bnn_mat_cov(cov, x);
    bnn_mat_col_mean(mean, x);
    if (bnn_mat_eig_sym(&mem, l, u, cov)) return fail(&mem, "no eigenvalues: are there gaps?");

    FILE *f = example_open("autoencoder", "build/autoencoder.dat");
    printf("%zu images of %zux%zu. Squared error per image:\n", x.rows, tile.width, tile.height);
    printf("latents   discarded eigenvalues   linear, trained    ratio   deep (tanh, 64)\n");
    for (int i = 0; i < 4; i++) {
        double best = 0;
        for (size_t j = 0; j + latents[i] < d; j++) best += (double)l.data[j];
        bnn_net linear = make(&mem, d, latents[i], 0, BNN_GAUSSIAN);
        bnn_net deep = make(&mem, d, latents[i], 64, BNN_GAUSSIAN);
        train(&tape, &linear, x, 12000, 2e-2);
        train(&tape, &deep, x, 4000, 5e-3);
        y = rebuild(&mem, &tape, &linear, x);
        z = rebuild(&mem, &tape, &deep, x);
        double a = squared_error(y, x), b = squared_error(z, x);
        printf("%7zu %18.4f %22.4f %12.4f %12.4f\n", latents[i], best, a, a / best, b);
        if (f) fprintf(f, "%zu %g %g %g\n", latents[i], best, a, b);
        if (i > 0) continue;
        put(sheet, 0, x, show);
        put(sheet, 1, y, show);
        put(sheet, 2, z, show);
    }
    example_close("autoencoder", "build/autoencoder.dat", f);

    /* the same deep net under cross-entropy: pixels are shares of ink, outputs stay in [0,1] */
    bnn_net bce = make(&mem, d, 2, 64, BNN_BERNOULLI);
    train(&tape, &bce, x, 4000, 5e-3);
    z = rebuild(&mem, &tape, &bce, x);
    put(sheet, 3, z, show);
    bnn_tape_reset(&tape);
    printf("deep, 2 latents, trained on cross-entropy: %.3f nats, squared error %.4f\n",
           (double)bnn_value(loss(&bce, bnn_input(&tape, x))), squared_error(z, x));

    if (!tape.err && !mem.err) {
        size_t zoom = tile.width < 16 ? 4 : 1;
        tiles_picture(&mem, "autoencoder", "build/autoencoder.png", sheet, tile, show, zoom);
        if (argc == 1) write_sheet(&mem, "build/digits-sheet.png", bnn_mat_rows(x, 0, 1000), tile);
    }
    int failed = tape.err || mem.err;
    if (failed) fprintf(stderr, "autoencoder: %s\n", tape.err ? tape.msg : mem.msg);
    failed |= example_failed;
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return failed;
}
