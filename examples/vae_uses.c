/* vae_uses.c -- what a density model of images is good for, on the 8x8 digits in seconds.
 *     cc -O2 -I.. vae_uses.c -o vae_uses -lm && ./vae_uses
 *     ./vae_uses MNIST FASHION [epochs, 30] [seed]    folders of IDX files, gunzipped: minutes
 * You should see: images that are not digits told apart by the KL, better by the ELBO and by the
 * importance-weighted ln p(x); lower halves of images completed; two of six latents survive on data
 * of two dimensions; and a decoder with a posterior over its weights, level with one best decoder
 * where the prior suits and a nat ahead where it is too wide, whose members disagree the more the
 * farther a latent is from all data. Where there is a folder build/, pictures go to
 * build/vae_uses_*.png. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "ppca.h"
#include "tiles.h"
#include "vae.h"
#include <stdlib.h>
#include <string.h>

enum { BATCH = 100, DRAWS = 50 };

typedef struct images {
    const char *name;
    bnn_mat train, test, other; /* other: a set of different images, or empty */
    tiles_size tile;
} images;

static images load(bnn_arena *mem, int argc, char **argv) {
    const char *who = "vae_uses";
    const char *folder = example_folder();
    size_t rows = argc > 2 ? 2000 : 1000; /* of the test images */
    images d = { "digits", { 0, 0, NULL }, { 0, 0, NULL }, { 0, 0, NULL }, { 8, 8 } };
    if (argc > 2) {
        d.name = "mnist";
        d.tile.width = d.tile.height = 28;
        d.train = example_idx(mem, who, argv[1], "train-images-idx3-ubyte", 784, 255);
        d.test = example_idx(mem, who, argv[1], "t10k-images-idx3-ubyte", 784, 255);
        d.other = example_idx(mem, who, argv[2], "t10k-images-idx3-ubyte", 784, 255);
        d.other = bnn_mat_rows(d.other, 0, rows);
    } else {
        d.train = example_idx(mem, who, folder, "digits-train-images.idx", 64, 16);
        d.test = example_idx(mem, who, folder, "digits-test-images.idx", 64, 16);
    }
    d.test = bnn_mat_rows(d.test, 0, rows);
    if (d.test.data == NULL || (argc > 2 && d.other.data == NULL)) {
        fprintf(stderr, "vae_uses: fewer than %zu test images\n", rows);
        exit(1);
    }
    return d;
}

/* Adam on -ELBO (and the decoder's prior) with a falling rate */
static void train(bnn_tape *tape, const vae *m, bnn_mat x, size_t steps, double lr) {
    bnn_stepper adam = bnn_adam(m->w, (bnn_adam_desc){ .lr = (float)lr });
    bnn_stepper decoder = bnn_adam(m->v, (bnn_adam_desc){ .lr = (float)lr });
    bnn_data data = { x, x };
    for (size_t s = 0; s < steps && !tape->err; s++) {
        bnn_tape_reset(tape);
        bnn_batch b = bnn_minibatch(tape, data, x.rows < BATCH ? x.rows : BATCH);
        if (m->desc.likelihood == BNN_BERNOULLI) b.x = vae_binarize(b.x);
        bnn_backward(vae_loss_prior(m, b));
        adam.lr = decoder.lr = (float)bnn_lr_cosine(lr, s, steps);
        bnn_step(&adam, tape);
        if (m->v != m->w) bnn_step(&decoder, tape);
        if ((s + 1) % 3000 == 0 && m->desc.pixels > 100)
            fprintf(stderr, "step %zu of %zu\n", s + 1, steps);
    }
}

static void picture(bnn_arena *mem, const images *d, const char *what, bnn_mat m, size_t across) {
    char path[128];
    snprintf(path, sizeof path, "build/vae_uses_%s_%s.png", d->name, what);
    tiles_picture(mem, "vae_uses", path, m, d->tile, across, d->tile.width < 16 ? 4 : 1);
}

/* ---- outliers: how well does a score tell one set of images from another */
static double auroc(bnn_arena *mem, bnn_mat in, bnn_mat out, float sign) {
    bnn_mat score = bnn_mat_new(mem, in.rows + out.rows, 1);
    bnn_mat is_out = bnn_mat_new(mem, in.rows + out.rows, 1);
    for (size_t i = 0; score.data && is_out.data && i < score.rows; i++) {
        score.data[i] = sign * (i < in.rows ? in.data[i] : out.data[i - in.rows]);
        is_out.data[i] = i >= in.rows;
    }
    return bnn_metric_auroc(mem, score, is_out);
}

static void outliers(bnn_arena *mem, bnn_tape *tape, const vae *m, const images *d) {
    enum { SETS = 4 };
    const char *name[SETS] = { "other images", "shuffled pixels", "noise", "negatives" };
    bnn_mat set[SETS];
    vae_score in = vae_evaluate(mem, tape, m, d->test, DRAWS), out;
    size_t *order = (size_t *)bnn_arena_alloc(mem, d->test.cols, sizeof(size_t));
    printf("outliers               mean KL   AUROC: KL     ELBO   ln p(x), %d draws\n", DRAWS);
    printf("%-22s %7.2f\n", "test images", vae_mean(in.kl));
    for (int s = d->other.data ? 0 : 1; s < SETS && !mem->err; s++) {
        set[s] = s == 0 ? d->other : bnn_mat_copy(mem, d->test);
        for (size_t i = 0; i < set[s].rows && s > 0; i++) {
            const float *from = d->test.data + i * d->test.cols;
            float *to = set[s].data + i * d->test.cols;
            bnn_rng_permutation(&tape->rng, d->test.cols, order);
            for (size_t j = 0; j < d->test.cols; j++)
                to[j] = s == 1 ? from[order[j]] : s == 2 ? bnn_rng_uniform(&tape->rng)
                                                         : 1 - from[j];
        }
        out = vae_evaluate(mem, tape, m, set[s], DRAWS);
        printf("%-22s %7.2f %11.4f %8.4f %8.4f\n", name[s], vae_mean(out.kl),
               auroc(mem, in.kl, out.kl, 1), auroc(mem, in.elbo, out.elbo, -1),
               auroc(mem, in.iwae, out.iwae, -1));
        if (s > (d->other.data != NULL ? 0 : 1)) continue; /* the first set is the one reported */
        printf("RESULT vae_uses score=kl auroc=%.4f\n", auroc(mem, in.kl, out.kl, 1));
        printf("RESULT vae_uses score=elbo auroc=%.4f\n", auroc(mem, in.elbo, out.elbo, -1));
        printf("RESULT vae_uses score=iw auroc=%.4f\n", auroc(mem, in.iwae, out.iwae, -1));
    }
}

/* ---- missing data: lower halves from upper halves */
static double rmse(bnn_mat a, bnn_mat b, bnn_mat gaps) {
    double sum = 0, n = 0;
    for (size_t i = 0; i < a.rows * a.cols; i++)
        if (isnan(gaps.data[i])) sum += pow((double)a.data[i] - (double)b.data[i], 2), n++;
    return sqrt(sum / n);
}

static void missing(bnn_arena *mem, bnn_tape *tape, const vae *m, const images *d) {
    enum { SHOW = 16, ROWS = 200 };
    size_t D = d->test.cols;
    bnn_mat x = bnn_mat_rows(d->test, 0, ROWS), gaps = bnn_mat_copy(mem, x);
    bnn_mat start = bnn_mat_new(mem, 1, D), sheet = bnn_mat_new(mem, 4 * SHOW, D);
    bnn_mat mean = bnn_mat_new(mem, ROWS, D), last = bnn_mat_new(mem, ROWS, D);
    bnn_mat linear = bnn_mat_new(mem, ROWS, D), columns = bnn_mat_new(mem, ROWS, D);
    bnn_mat gray = bnn_mat_copy(mem, x), none = { 0, 0, NULL };
    ppca p;
    if (mem->err) return;
    bnn_tape_reset(tape);
    memcpy(gaps.data, vae_binarize(bnn_input(tape, x))->val.data, ROWS * D * sizeof(float));
    bnn_mat_col_mean(start, d->train);
    for (size_t i = 0; i < ROWS * D; i++) {
        if (i % D >= D / 2) gaps.data[i] = gray.data[i] = NAN;
        columns.data[i] = start.data[i % D];
    }
    vae_impute(tape, m, gaps, start, 300, 100, mean, last);
    printf("\nlower halves, RMSE: column means %.4f, pseudo-Gibbs from black and white %.4f",
           rmse(columns, x, gaps), rmse(mean, x, gaps));
    if (D < 100 && ppca_fit(mem, &p, d->train, 10) == BNN_OK) { /* exact, but linear */
        ppca_infer(mem, &p, gray, none, linear, NULL);
        printf(", PPCA, exact, from gray %.4f", rmse(linear, x, gaps));
    }
    printf("\n");
    for (size_t i = 0; i < SHOW * D; i++) { /* truth, what is given, mean, one draw */
        sheet.data[i] = x.data[i];
        sheet.data[SHOW * D + i] = isnan(gaps.data[i]) ? 0.5f : gaps.data[i];
        sheet.data[2 * SHOW * D + i] = mean.data[i];
        sheet.data[3 * SHOW * D + i] = last.data[i];
    }
    picture(mem, d, "halves", sheet, SHOW);
}

/* The linear case, where q can be exact: W'W of the closed form is diagonal, so is the posterior.
 * Pseudo-Gibbs is then a Gibbs sampler and must arrive at the conditional mean. */
static void linear_case(bnn_arena *mem, bnn_tape *tape, const images *d) {
    enum { ROWS = 50, M = 5 };
    size_t D = d->test.cols;
    bnn_mat x = bnn_mat_copy(mem, bnn_mat_rows(d->test, 0, ROWS)), none = { 0, 0, NULL };
    bnn_mat exact = bnn_mat_new(mem, ROWS, D), mean = bnn_mat_new(mem, ROWS, D);
    bnn_mat last = bnn_mat_new(mem, ROWS, D);
    ppca p;
    if (mem->err || ppca_fit(mem, &p, d->train, M) != BNN_OK) return;
    vae m = vae_new(bnn_params_new(mem), (vae_desc){ .pixels = D, .latent = M,
                    .likelihood = BNN_GAUSSIAN, .noise_std = sqrtf(p.noise.data[0]) });
    vae_set_linear(&m, p.mean, p.w, (double)p.noise.data[0]);
    for (size_t i = 0; i < ROWS * D; i++)
        if (i % D >= D / 2) x.data[i] = NAN;
    ppca_infer(mem, &p, x, none, exact, NULL);
    vae_impute(tape, &m, x, p.mean, 4000, 500, mean, last);
    printf("linear decoder, exact encoder: pseudo-Gibbs is within RMSE %.4f of the conditional "
           "mean (the gaps' own RMSE: %.4f)\n", rmse(mean, exact, x), rmse(exact, d->test, x));
}

/* ---- relevance: data on a curved surface of two dimensions, six latents */
static void relevance(bnn_arena *mem, bnn_tape *tape) {
    enum { ROWS = 2000, D = 12, M = 6 };
    bnn_mat x = bnn_mat_new(mem, ROWS, D), a = bnn_mat_new(mem, 2, D);
    if (mem->err) return;
    bnn_rng_fill_normal(&tape->rng, 2 * D, a.data);
    for (size_t i = 0; i < ROWS; i++) {
        float u = bnn_rng_normal(&tape->rng), v = bnn_rng_normal(&tape->rng);
        for (size_t j = 0; j < D; j++)
            x.data[i * D + j] = tanhf(0.5f * (a.data[j] * u + a.data[D + j] * v)) +
                                0.1f * bnn_rng_normal(&tape->rng);
    }
    vae m = vae_new(bnn_params_new(mem), (vae_desc){ .pixels = D, .hidden = 40, .latent = M,
                    .activation = BNN_TANH, .likelihood = BNN_GAUSSIAN, .noise_std = 0.3f,
                    .noise_learned = 1, .relevance = 1, .std = 2, .seed = 1 });
    train(tape, &m, x, 12000, 5e-3);
    bnn_tape_reset(tape);
    vae_bound b = vae_encode(&m, bnn_input(tape, x));
    bnn_mat scale = bnn_params_mat(m.v, m.scales);
    float largest = 0;
    size_t survive = 0;
    for (size_t j = 0; j < M && !tape->err; j++) largest = fmaxf(largest, fabsf(scale.data[j]));
    printf("\nrelevance of %d latents on data of 2 dimensions (KL of each):", M);
    for (size_t j = 0; j < M && !tape->err; j++) {
        double kl = vae_mean(bnn_kl_standard_normal(bnn_cols(b.mean, j, 1),
                             bnn_exp(bnn_scale(bnn_cols(b.log_var, j, 1), 0.5f)))->val);
        printf(" %.3f (%.2f)", fabs((double)scale.data[j]), kl);
        survive += fabsf(scale.data[j]) > largest / 10;
    }
    printf(": %zu survive\n", survive);
}

/* ---- a posterior over the decoder: Adam for the encoder, SGLD for the decoder's weights */
static void disagreement(bnn_arena *mem, bnn_tape *tape, const vae *m, const bnn_ensemble *post) {
    enum { POINTS = 100 };
    size_t k = m->desc.latent, d = m->desc.pixels;
    bnn_mat t = bnn_mat_new(mem, POINTS, k), first = bnn_mat_new(mem, POINTS, d);
    bnn_mat second = bnn_mat_new(mem, POINTS, d);
    printf("sd of a pixel over the decoders, at distance r from the origin of the latents:");
    for (float r = 1; r <= 16 && !mem->err; r *= 4) {
        double sd = 0;
        bnn_mat_fill(first, 0);
        bnn_mat_fill(second, 0);
        bnn_rng_fill_normal(&tape->rng, POINTS * k, t.data);
        for (size_t i = 0; i < POINTS; i++) {
            bnn_mat row = bnn_mat_rows(t, i, 1);
            bnn_mat_scale(row, row, r / sqrtf((float)bnn_mat_dot(row, row)));
        }
        for (size_t s = 0; s < post->count && !tape->err; s++) {
            bnn_params w = bnn_ensemble_sample(post, s);
            bnn_tape_reset(tape);
            bnn_params_copy(m->v, &w);
            bnn_mat x = vae_decode(m, bnn_input(tape, t))->val;
            for (size_t i = 0; i < POINTS * d && !tape->err; i++) {
                first.data[i] += x.data[i] / (float)post->count;
                second.data[i] += x.data[i] * x.data[i] / (float)post->count;
            }
        }
        for (size_t i = 0; i < POINTS * d; i++)
            sd += sqrt(fmax(0, (double)(second.data[i] - first.data[i] * first.data[i])));
        printf("  r = %g: %.3f", (double)r, sd / (double)(POINTS * d));
    }
    printf("\n");
}

static void binarize_once(bnn_rng *rng, bnn_mat x) {
    for (size_t i = 0; x.data && i < x.rows * x.cols; i++)
        x.data[i] = bnn_rng_uniform(rng) < x.data[i];
}

/* Mean over the images of ln mean_w p(x|w), each decoder with its encoder; *each: mean ln p(x|w) */
static double average(bnn_arena *mem, bnn_tape *tape, const vae *m, const bnn_ensemble *decoders,
                      const bnn_ensemble *encoders, bnn_mat test, size_t draws, double *each) {
    double *p = (double *)bnn_arena_alloc(mem, test.rows, sizeof(double)), mean = 0;
    double count = (double)decoders->count;
    for (size_t k = 0; k < decoders->count && !tape->err && !mem->err; k++) {
        bnn_mark mark = bnn_arena_mark(mem);
        bnn_params v = bnn_ensemble_sample(decoders, k), w = bnn_ensemble_sample(encoders, k);
        bnn_params_copy(m->v, &v);
        bnn_params_copy(m->w, &w);
        vae_score one = vae_evaluate(mem, tape, m, test, draws);
        *each += vae_mean(one.iwae) / count;
        for (size_t i = 0; i < test.rows && !mem->err; i++)
            p[i] += exp((double)one.iwae.data[i]) / count;
        bnn_arena_rewind(mem, mark);
    }
    for (size_t i = 0; i < test.rows && !mem->err; i++) mean += log(p[i]) / (double)test.rows;
    return mean;
}

/* The same number of draws for one decoder and for all together; each decoder with the encoder that
 * it had in the chain, for the posterior of t moves with the weights */
static void bayesian_decoder(bnn_arena *mem, bnn_tape *tape, bnn_mat few, bnn_mat test, float std) {
    enum { KEEP = 80, BURN_IN = 4000, THIN = 100, IW = 5 };
    bnn_data data = { few, few };
    vae_desc desc = { .pixels = few.cols, .hidden = 64, .latent = 5, .std = std, .seed = 1,
                      .likelihood = BNN_BERNOULLI, .decoder = bnn_params_new(mem) };
    vae m = vae_new(bnn_params_new(mem), desc);
    train(tape, &m, few, 8000, 2e-3); /* one best decoder */
    double seen = vae_mean(vae_evaluate(mem, tape, &m, few, KEEP * IW).iwae);
    double best = vae_mean(vae_evaluate(mem, tape, &m, test, KEEP * IW).iwae), mean = 0, each = 0;
    bnn_stepper adam = bnn_adam(m.w, (bnn_adam_desc){ .lr = 5e-4f });
    bnn_stepper sgld = bnn_sgld(m.v, (bnn_sgld_desc){ .lr = 5e-2f });
    bnn_ensemble post = bnn_ensemble_new(m.v, KEEP), codes = bnn_ensemble_new(m.w, KEEP);
    for (size_t s = 0; s < BURN_IN + (size_t)KEEP * THIN; s++) {
        bnn_tape_reset(tape);
        bnn_backward(vae_loss_prior(&m, bnn_minibatch(tape, data, 50)));
        bnn_step(&adam, tape);
        bnn_step(&sgld, tape);
        if (s >= BURN_IN && s % THIN == 0) bnn_ensemble_push(&post), bnn_ensemble_push(&codes);
    }
    mean = average(mem, tape, &m, &post, &codes, test, IW, &each);
    printf("%8g %12.2f %12.2f %20.2f %17.2f\n", (double)std, seen, best, each, mean);
    if (std < 3) disagreement(mem, tape, &m, &post);
}

static void bayesian(bnn_arena *mem, bnn_tape *tape, const images *d) {
    enum { FEW = 150 };
    bnn_mat few = bnn_mat_copy(mem, bnn_mat_rows(d->train, 0, FEW));
    bnn_mat test = bnn_mat_copy(mem, bnn_mat_rows(d->test, 0, 300));
    binarize_once(&tape->rng, few); /* these are all the data there are */
    binarize_once(&tape->rng, test);
    printf("\nln p(x), %d training images      test images:\n"
           "prior sd  one decoder  one decoder  each of a posterior  the mean of p(x)\n", FEW);
    bayesian_decoder(mem, tape, few, test, 4);
    bayesian_decoder(mem, tape, few, test, 2);
}

int main(int argc, char **argv) {
    const char *who = "vae_uses";
    example_most(who, argc, argv, 4);
    if (argc == 2) {
        fprintf(stderr, "vae_uses: two folders are needed, of MNIST and of other images\n");
        return 2;
    }
    uint64_t seed = argc > 4 ? example_seed(who, argv[4]) : 1;
    size_t epochs = argc > 3 ? example_whole(who, "epochs", argv[3], 1, 1e6) : argc > 2 ? 30 : 150;
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(seed) };
    images d = load(&mem, argc, argv);
    int large = d.other.data != NULL;
    size_t steps = epochs * d.train.rows / BATCH;
    vae_desc desc = { .pixels = d.train.cols, .hidden = large ? 400 : 128,
                      .latent = large ? 20 : 10, .likelihood = BNN_BERNOULLI, .seed = seed };
    vae m = vae_new(bnn_params_new(&mem), desc);
    train(&tape, &m, d.train, steps, 2e-3);
    outliers(&mem, &tape, &m, &d);
    missing(&mem, &tape, &m, &d);
    if (!large) {
        linear_case(&mem, &tape, &d);
        relevance(&mem, &tape);
        bayesian(&mem, &tape, &d);
    }
    if (tape.err || mem.err) fprintf(stderr, "vae_uses: %s\n", tape.err ? tape.msg : mem.msg);
    int failed = tape.err || mem.err || example_failed;
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return failed;
}
