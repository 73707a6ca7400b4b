/* factorized.c -- densities of images without and with latents, and what their samples look like.
 *     cc -O2 -I.. factorized.c -lm && ./a.out
 * Binary images (bars, digits): independent pixels against a fully visible autoregressive model;
 * gray digits: an independent Gaussian against linear latents and a mixture. You should see
 * independent pixels behind all but PPCA, whose one noise does not suit the border, and samples of
 * them without structure; probabilities that sum to one over all states; and why a net's output is
 * no ln p(x) unless normalized. Where there is a folder build/: factorized_*.png. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "factorized.h"
#include "gmm.h"
#include "ppca.h"
#include "tiles.h"

enum { SHOW = 20 };

static bnn_mat load(bnn_arena *mem, const char *name) {
    return example_idx(mem, "factorized", example_folder(), name, 64, 16);
}

static void show(bnn_arena *mem, const char *name, bnn_mat rows, size_t side) {
    char path[128];
    snprintf(path, sizeof path, "build/factorized_%s.png", name);
    tiles_picture(mem, "factorized", path, rows, (tiles_size){ side, side }, SHOW, 4);
}

/* Independent pixels and the autoregressive model; samples: data, independent, autoregressive */
static void binary(bnn_arena *mem, bnn_tape *tape, const char *name, bnn_mat train, bnn_mat test,
                   size_t side, size_t steps) {
    size_t d = train.cols;
    bnn_mat p = bnn_mat_new(mem, 1, d), sheet = bnn_mat_new(mem, 3 * SHOW, d);
    visible m = visible_new(bnn_params_new(mem), d);
    bnn_stepper adam = bnn_adam(m.w, (bnn_adam_desc){ .lr = 1e-2f });
    double independent = 0, autoregressive;
    if (mem->err) return;
    independent_fit(p, train);
    for (size_t i = 0; i < test.rows; i++)
        independent -= independent_log_p(p, test.data + i * d) / (double)test.rows;
    for (size_t s = 0; s < steps; s++) {
        bnn_tape_reset(tape);
        adam.lr = (float)bnn_lr_cosine(2e-2, s, steps);
        bnn_var *x = bnn_minibatch(tape, (bnn_data){ train, train }, 100).x;
        bnn_backward(bnn_add(bnn_mean(visible_nll(&m, x)),
                             bnn_scale(bnn_prior_nll(tape, m.w), 1 / (float)train.rows)));
        bnn_step(&adam, tape);
    }
    bnn_tape_reset(tape);
    autoregressive = (double)bnn_value(bnn_mean(visible_nll(&m, bnn_input(tape, test))));
    printf("%-20s independent %7.3f, autoregressive %7.3f nats per image\n", name, independent,
           autoregressive);
    for (size_t i = 0; i < SHOW * d; i++) {
        sheet.data[i] = test.data[i];
        sheet.data[SHOW * d + i] = bnn_rng_uniform(&tape->rng) < p.data[i % d];
    }
    visible_sample(tape, &m, bnn_mat_rows(sheet, 2 * SHOW, SHOW));
    show(mem, name, sheet, side);
}

/* 2^9 states of a 3x3 image: both models spread exactly one unit of probability */
static void sum_of_all(bnn_arena *mem, bnn_tape *tape) {
    enum { D = 9, ALL = 1 << D };
    bnn_mat x = bnn_mat_new(mem, ALL, D), p = bnn_mat_new(mem, 1, D);
    bnn_mat bars = bnn_mat_new(mem, 100, D);
    visible m = visible_new(bnn_params_new(mem), D);
    double independent = 0, autoregressive = 0;
    if (mem->err) return;
    for (size_t i = 0; i < ALL * D; i++) x.data[i] = (float)(i / D >> i % D & 1);
    bars_fill(&tape->rng, bars, 3);
    independent_fit(p, bars);
    bnn_rng_fill_normal(&tape->rng, m.w->n, m.w->theta);
    bnn_tape_reset(tape);
    bnn_var *nll = visible_nll(&m, bnn_input(tape, x));
    for (size_t i = 0; i < ALL && !tape->err; i++) {
        independent += exp(independent_log_p(p, x.data + i * D));
        autoregressive += exp(-(double)nll->val.data[i]);
    }
    printf("sum of p over all %d states: independent %.6f, autoregressive %.6f\n\n", ALL,
           independent, autoregressive);
}

/* Gray values plus uniform noise of one step: densities in nats per image */
static void gray(bnn_arena *mem, bnn_tape *tape) {
    bnn_mat train = bnn_mat_rows(load(mem, "digits-train-images.idx"), 0, 1500);
    bnn_mat test = load(mem, "digits-test-images.idx");
    bnn_mat sheet = bnn_mat_new(mem, 3 * SHOW, 64), none = { 0, 0, NULL };
    double independent, linear, factors, log_p, mixed;
    gmm one, many;
    ppca p;
    if (mem->err) return;
    for (size_t i = 0; i < train.rows * 64; i++)
        train.data[i] += bnn_rng_uniform(&tape->rng) / 16;
    for (size_t i = 0; i < test.rows * 64; i++) test.data[i] += bnn_rng_uniform(&tape->rng) / 16;
    int err = gmm_start(mem, &one, train, 1, GMM_DIAGONAL, 0, &tape->rng);
    if (err == BNN_OK) err = gmm_em(mem, &one, train, 0, &tape->rng, &log_p);
    if (err == BNN_OK) err = gmm_start(mem, &many, train, 20, GMM_DIAGONAL, 1e-4, &tape->rng);
    for (int s = 0; err == BNN_OK && s < 15; s++)
        err = gmm_em(mem, &many, train, 0, &tape->rng, &log_p);
    if (err == BNN_OK) err = ppca_fit(mem, &p, train, 15);
    if (err == BNN_OK) err = ppca_infer(mem, &p, test, none, none, &linear);
    p.factors = 1; /* from there on with a noise variance for each pixel */
    for (int s = 0; err == BNN_OK && s < 20; s++) err = ppca_em(mem, &p, train, NULL);
    if (err == BNN_OK) err = ppca_infer(mem, &p, test, none, none, &factors);
    bnn_mat r = bnn_mat_new(mem, test.rows, 20);
    if (err == BNN_OK) err = gmm_expect(mem, &many, test, r, &mixed);
    if (err == BNN_OK)
        err = gmm_expect(mem, &one, test, (bnn_mat){ test.rows, 1, r.data }, &independent);
    if (err != BNN_OK) {
        fprintf(stderr, "factorized: %s\n", mem->msg);
        exit(1);
    }
    double n = (double)test.rows;
    printf("\ngray digits, held-out nll per image: independent Gaussian %.2f, PPCA (15 latents, "
           "one noise) %.2f, with a noise for each pixel %.2f, mixture of 20 diagonal %.2f\n",
           -independent / n, -linear / n, -factors / n, -mixed / n);
    gmm_sample(mem, &one, &tape->rng, bnn_mat_rows(sheet, 0, SHOW));
    ppca_sample(&p, &tape->rng, bnn_mat_rows(sheet, SHOW, SHOW), 1);
    gmm_sample(mem, &many, &tape->rng, bnn_mat_rows(sheet, 2 * SHOW, SHOW));
    show(mem, "gray", sheet, 8);
}

/* ln p(x) = f(x) for a net f needs ln Z = ln of the integral of e^f (LeCun et al. 2006). Without,
 * training raises f everywhere and the "likelihood" has no bound. Data N(0,1); Z by trapezoids. */
static void without_normalizer(bnn_arena *mem, bnn_tape *tape) {
    enum { N = 200, G = 161 };
    bnn_mat x = bnn_mat_new(mem, N, 1), grid = bnn_mat_new(mem, G, 1);
    bnn_mlp_desc desc = { .sizes = { 1, 16, 1 }, .noise_std = 1, .activation = BNN_TANH, .seed = 1,
                          .prior = { .kind = BNN_PRIOR_FLAT } };
    if (mem->err) return;
    bnn_rng_fill_normal(&tape->rng, N, x.data);
    for (size_t i = 0; i < G; i++) grid.data[i] = -8 + 16 * (float)i / (G - 1);
    for (int with = 0; with < 2; with++) {
        bnn_net f = bnn_mlp(bnn_params_new(mem), desc);
        bnn_stepper adam = bnn_adam(f.params, (bnn_adam_desc){ .lr = 1e-2f });
        printf("mean \"ln p\" %s Z, after 10, 100, 1000 steps:", with ? "with" : "without");
        for (int s = 1; s <= 1000; s++) {
            bnn_tape_reset(tape);
            bnn_var *fit = bnn_mean(bnn_net_forward(&f, bnn_input(tape, x)));
            bnn_var *on_grid = bnn_reshape(bnn_net_forward(&f, bnn_input(tape, grid)), 1, G);
            if (with) fit = bnn_sub(fit, bnn_shift(bnn_logsumexp(on_grid), logf(0.1f)));
            bnn_backward(bnn_neg(fit));
            bnn_step(&adam, tape);
            if (s == 10 || s == 100 || s == 1000) printf(" %9.3f", (double)bnn_value(fit));
        }
        printf("%s\n", with ? "   (entropy of N(0,1): -1.419)" : "");
    }
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    bnn_mat bars = bnn_mat_new(&mem, 1000, 16), digits = load(&mem, "digits-train-images.idx");
    without_normalizer(&mem, &tape);
    sum_of_all(&mem, &tape);
    bars_fill(&tape.rng, bars, 4);
    for (size_t i = 0; i < digits.rows * 64; i++) digits.data[i] = digits.data[i] > 0.5f;
    binary(&mem, &tape, "bars", bnn_mat_rows(bars, 0, 500), bnn_mat_rows(bars, 500, 500), 4, 1500);
    binary(&mem, &tape, "digits", bnn_mat_rows(digits, 0, 3000), bnn_mat_rows(digits, 3000, 823), 8,
           3000);
    gray(&mem, &tape);
    if (tape.err || mem.err) fprintf(stderr, "factorized: %s\n", tape.err ? tape.msg : mem.msg);
    int failed = tape.err || mem.err || example_failed;
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return failed;
}
