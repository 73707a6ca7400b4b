/* vgg.c -- a posterior over a VGG on CIFAR-10, and single nets that stand for it. Long: half an
 * hour a method on one core.
 *     cc -O2 -I.. vgg.c -o vgg -lm
 *     ./vgg FOLDER [epochs, 60] [images, all] [seed] [folder of Fashion-MNIST] [samples | dropout]
 * FOLDER holds test_batch.bin and any of data_batch_1.bin to data_batch_5.bin (CIFAR-10, binary
 * version, gunzipped). 3x3 convolutions 32-32-P-64-64-P-128-128-P-256-10, shifts and mirrors. You
 * should see samples of cyclical SGHMC below SGD in error and in NLL, and a student of one net's
 * cost between the two. Entropy tells clothes, shown as 32x32 pictures, from CIFAR badly
 * (docs/results.md). */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SIDE = 32, PLANE = SIDE * SIDE, PIXELS = 3 * PLANE, RECORD = 1 + PIXELS, BATCH = 50,
       SHIFT = 4, CYCLES = 4, KEEP = 12, MASKS = 12 };
/* N(0, std^2/fan in), as wide as LeNet's held-out training rows like it; the temperature of the
 * samples, tried on held-out training rows alone */
static const float prior_std = 8, temperature = 0.02f;

typedef struct {
    bnn_arena mem;
    bnn_tape tape;
    bnn_data train, test;
    bnn_mat other; /* pictures of another kind, or none */
    size_t steps;
} task;

/* ---- data: pictures are rows, channels last, gray 1/2 at 0 */

static void fail(const char *path, const char *what) {
    fprintf(stderr, "vgg: %s: %s\n", path, what);
    exit(1);
}

static size_t records(const char *folder, const char *name) { /* begun ones, too */
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    long size = f && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : 0;
    if (f) fclose(f);
    return size > 0 ? ((size_t)size + RECORD - 1) / RECORD : 0;
}

/* Planes of red, green, blue to pixels; `at` rows are there already. Returns how many more. */
static size_t read_cifar(const char *folder, const char *name, int wanted, bnn_data *d, size_t at) {
    char path[1024];
    unsigned char r[RECORD];
    size_t n = 0, got;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL && wanted) fail(path, "cannot be opened; gunzip it");
    while (f && at + n < d->x.rows && (got = fread(r, 1, RECORD, f)) > 0) {
        if (got < RECORD) fail(path, "ends within a record of 3073 bytes");
        if (r[0] > 9) fail(path, "a label is above 9; gunzip it");
        d->y.data[at + n] = r[0];
        for (size_t p = 0; p < PIXELS; p++)
            d->x.data[(at + n) * PIXELS + p] = (float)r[1 + p % 3 * PLANE + p / 3] / 64 - 2;
        n++;
    }
    if (f) fclose(f);
    return n;
}

static bnn_data data_new(bnn_arena *mem, size_t rows) {
    bnn_data d = { bnn_mat_new(mem, rows, PIXELS), bnn_mat_new(mem, rows, 1) };
    if (mem->err) fail("memory", mem->msg);
    return d;
}

static void load(task *k, const char *folder, size_t images) {
    static const char *const batches[] = { "data_batch_1.bin", "data_batch_2.bin",
        "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin" };
    static const char few[] =
        "fewer than 50 images in data_batch_1.bin and so on; gunzip them";
    size_t n = 0, all = 0, tests = records(folder, batches[5]);
    for (int i = 0; i < 5; i++) all += records(folder, batches[i]);
    if (tests == 0) fail(folder, "no test_batch.bin, or an empty one; gunzip it");
    if (all < BATCH) fail(folder, few);
    k->train = data_new(&k->mem, images < all ? images : all);
    k->test = data_new(&k->mem, images < tests ? images : tests);
    for (int i = 0; i < 5; i++) n += read_cifar(folder, batches[i], 0, &k->train, n);
    if (n < BATCH) fail(folder, few);
    read_cifar(folder, batches[5], 1, &k->test, 0);
}

/* 28x28 gray pictures in the middle of 32x32 black ones */
static void load_other(task *k, const char *folder) {
    char path[1024];
    bnn_mat m = { 0, 0, NULL };
    snprintf(path, sizeof path, "%s/t10k-images-idx3-ubyte", folder);
    if (bnn_idx_load(&k->mem, path, &m) != BNN_OK) fail("other pictures", k->mem.msg);
    if (m.cols != 28 * 28) fail(path, "the pictures are not 28x28");
    if (m.rows > k->test.x.rows) m.rows = k->test.x.rows;
    k->other = data_new(&k->mem, m.rows).x;
    bnn_mat_fill(k->other, -2);
    for (size_t i = 0; i < m.rows * 28 * 28; i++) {
        size_t row = i / 784, r = i % 784 / 28 + 2, c = i % 28 + 2;
        for (size_t j = 0; j < 3; j++)
            k->other.data[row * PIXELS + (r * SIDE + c) * 3 + j] = m.data[i] / 64 - 2;
    }
}

/* One picture, shifted by up to 4 pixels each way, mirrored or not; what moves in is gray */
static void disturb(bnn_rng *rng, float *to, const float *from) {
    int mirror = (int)bnn_rng_below(rng, 2);
    int down = (int)bnn_rng_below(rng, 2 * SHIFT + 1) - SHIFT;
    int right = (int)bnn_rng_below(rng, 2 * SHIFT + 1) - SHIFT;
    for (int r = 0; r < SIDE; r++)
        for (int c = 0; c < SIDE; c++, to += 3) {
            int y = r - down, x = (mirror ? SIDE - 1 - c : c) - right;
            if (y < 0 || y >= SIDE || x < 0 || x >= SIDE) memset(to, 0, 3 * sizeof *to);
            else memcpy(to, from + (y * SIDE + x) * 3, 3 * sizeof *to);
        }
}

static bnn_batch batch(task *k) {
    bnn_tape *t = &k->tape;
    bnn_batch b = { bnn_op(t, BATCH, PIXELS, NULL, 0, NULL), bnn_op(t, BATCH, 1, NULL, 0, NULL),
                    (double)k->train.x.rows };
    for (size_t i = 0; i < BATCH && !t->err; i++) {
        size_t row = bnn_rng_below(&t->rng, k->train.x.rows);
        disturb(&t->rng, b.x->val.data + i * PIXELS, k->train.x.data + row * PIXELS);
        b.y->val.data[i] = k->train.y.data[row];
    }
    return b;
}

/* What a student is asked: pictures, every second one mixed with another */
static void inputs(void *user, bnn_rng *rng, bnn_mat out) {
    const bnn_mat x = ((const task *)user)->train.x;
    static float other[PIXELS];
    for (size_t i = 0; i < out.rows; i++) {
        float *row = out.data + i * PIXELS, share = bnn_rng_uniform(rng);
        disturb(rng, row, x.data + bnn_rng_below(rng, x.rows) * PIXELS);
        if (bnn_rng_below(rng, 2)) continue;
        disturb(rng, other, x.data + bnn_rng_below(rng, x.rows) * PIXELS);
        for (size_t j = 0; j < PIXELS; j++) row[j] += share * (other[j] - row[j]);
    }
}

/* ---- the net; dropout: of the units that the last layer reads, and less of the channels before */

static bnn_net make(task *k, float dropout) {
    return bnn_layers(bnn_params_new(&k->mem), (bnn_layers_desc){
        .input = { SIDE, SIDE, 3 },
        .layers = { { BNN_CONV, 32, .kernel = 3, .same = 1 },
                    { BNN_CONV, 32, .kernel = 3, .same = 1 },
                    { BNN_MAX_POOL, .kernel = 2 },
                    { BNN_CONV, 64, .kernel = 3, .same = 1 },
                    { BNN_CONV, 64, .kernel = 3, .same = 1 },
                    { BNN_MAX_POOL, .kernel = 2 },
                    { BNN_CONV, 128, .kernel = 3, .same = 1 },
                    { BNN_CONV, 128, .kernel = 3, .same = 1 },
                    { BNN_MAX_POOL, .kernel = 2 },
                    { BNN_DENSE, 256, .dropout = 0.4f * dropout },
                    { BNN_DENSE, 10, .dropout = dropout } },
        .likelihood = BNN_CATEGORICAL, .prior = { .std = prior_std, .fan_in = 1 },
        .seed = bnn_rng_below(&k->tape.rng, SIZE_MAX) });
}

/* ---- methods */

static double auroc(task *k, bnn_mat in, bnn_mat out) { /* do the others have more entropy? */
    bnn_mat score = bnn_mat_new(&k->mem, in.rows + out.rows, 1);
    bnn_mat is_out = bnn_mat_new(&k->mem, in.rows + out.rows, 1);
    if (in.data == NULL || out.data == NULL || k->mem.err) return NAN;
    for (size_t i = 0; i < score.rows; i++) {
        score.data[i] = i < in.rows ? in.data[i] : out.data[i - in.rows];
        is_out.data[i] = i >= in.rows;
    }
    return bnn_metric_auroc(&k->mem, score, is_out);
}

static void report(task *k, const char *method, const bnn_net *net, const bnn_ensemble *post,
                   clock_t start) {
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    bnn_mark mark = bnn_arena_mark(&k->mem);
    bnn_predictive p = bnn_predict(&k->mem, &k->tape, net, post, k->test.x), q = { .mean = { 0 } };
    if (k->other.rows > 0) q = bnn_predict(&k->mem, &k->tape, net, post, k->other);
    if (k->tape.err || k->mem.err) return;
    printf("RESULT vgg images=%zu method=%s error=%.2f nll=%.4f ece=%.4f auroc=%.4f entropy=%.3f "
           "entropy_other=%.3f steps=%zu seconds=%.0f\n", k->train.x.rows, method,
           100 * bnn_metric_error(p.mean, k->test.y), bnn_metric_nll(p.mean, k->test.y),
           bnn_metric_ece(p.mean, k->test.y, 15), auroc(k, p.entropy, q.entropy),
           bnn_mat_sum(p.entropy) / (double)p.entropy.rows,
           q.entropy.rows ? bnn_mat_sum(q.entropy) / (double)q.entropy.rows : NAN, k->steps,
           seconds);
    fflush(stdout);
    bnn_arena_rewind(&k->mem, mark);
}

static void progress(const task *k, const char *what, size_t done) {
    size_t epoch = k->train.x.rows / BATCH;
    if (done % epoch == 0)
        fprintf(stderr, "vgg: %s, epoch %zu of %zu, second %.0f\n", what, done / epoch,
                k->steps / epoch, (double)clock() / CLOCKS_PER_SEC);
}

static void sgd(task *k, const char *method, const bnn_net *net) {
    bnn_stepper s = bnn_sgd(net->params, (bnn_sgd_desc){ .momentum = 0.9f, .clip = 5 });
    for (size_t i = 0; i < k->steps && !k->tape.err; i++) {
        bnn_tape_reset(&k->tape);
        s.lr = (float)bnn_lr_cosine(0.02, i, k->steps);
        bnn_backward(bnn_net_loss(net, batch(k)));
        bnn_step(&s, &k->tape);
        progress(k, method, i + 1);
    }
}

/* Zhang et al. 2020: a cycle explores at a high rate without noise, then samples at low ones. SGHMC
 * at a rate and friction of an SGD with momentum leaves the place where it began, and each cycle
 * ends somewhere else. */
static void sghmc(task *k, const bnn_net *net, bnn_ensemble *post) {
    bnn_stepper s = bnn_sghmc(net->params, (bnn_sghmc_desc){ .friction = 0.1f });
    size_t drawn = 0, each = k->steps / CYCLES / 5 / (KEEP / CYCLES);
    for (size_t i = 0; i < k->steps && !k->tape.err; i++) {
        int sampling;
        bnn_tape_reset(&k->tape);
        s.lr = (float)bnn_lr_cyclical(0.03, CYCLES, 0.8, i, k->steps, &sampling);
        s.temperature = sampling ? temperature : 0;
        bnn_backward(bnn_net_loss(net, batch(k)));
        bnn_step(&s, &k->tape);
        drawn = sampling ? drawn + 1 : 0;
        if (drawn > 0 && (each < 2 || drawn % each == 0) && post->count < KEEP)
            bnn_ensemble_push(post);
        progress(k, "sghmc", i + 1);
    }
    if (post->count == 0) bnn_ensemble_push(post); /* a run of a few steps */
}

/* A student begins at the teacher's last weights, and is asked about pictures and mixed pictures,
 * which its teacher does not know by heart */
static void learn(task *k, const char *method, const bnn_net *teacher, const bnn_ensemble *post) {
    clock_t start = clock();
    bnn_net student = make(k, 0);
    bnn_stepper s = bnn_sgd(student.params, (bnn_sgd_desc){ .momentum = 0.9f, .clip = 5 });
    memcpy(student.params->theta, teacher->params->theta, student.params->n * sizeof(float));
    k->tape.n_data = 0; /* mixtures have no end: the prior does not count */
    for (size_t i = 0; i < k->steps && !k->tape.err; i++) {
        bnn_tape_reset(&k->tape);
        s.lr = (float)bnn_lr_cosine(0.02, i, k->steps);
        bnn_var *x = bnn_distill_inputs(&k->tape, k->train.x, BATCH,
                                        (bnn_inputs_desc){ .generate = inputs, .user = k });
        bnn_backward(bnn_distill_loss(&student, x, teacher, post));
        bnn_step(&s, &k->tape);
        progress(k, method, i + 1);
    }
    report(k, method, &student, NULL, start);
}

static void teach_by_samples(task *k) {
    clock_t start = clock();
    bnn_net net = make(k, 0);
    sgd(k, "sgd", &net);
    report(k, "sgd", &net, NULL, start);

    start = clock();
    bnn_ensemble post = bnn_ensemble_new(net.params, KEEP);
    k->steps *= 2; /* four cycles, each of half the steps */
    sghmc(k, &net, &post);
    report(k, "sghmc", &net, &post, start);
    report(k, "sghmc_last", &net, NULL, start); /* one net that was trained as long */
    k->steps /= 2;
    learn(k, "student", &net, &post);
}

static void teach_by_dropout(task *k) {
    clock_t start = clock();
    bnn_net net = make(k, 0.5f);
    bnn_ensemble masks = bnn_ensemble_new(net.params, MASKS);
    sgd(k, "dropout", &net);
    while (masks.count < MASKS && !k->mem.err)
        bnn_ensemble_push_dropout(&masks, &net, &k->tape.rng);
    report(k, "dropout", &net, &masks, start);
    learn(k, "student_dropout", &net, &masks);
}

int main(int argc, char **argv) {
    static task k;
    if (argc < 2) {
        fprintf(stderr, "vgg: give the folder of CIFAR-10 (binary version, gunzipped)\n");
        return 2;
    }
    const char *who = "vgg", *only = argc > 6 ? argv[6] : "";
    size_t epochs = argc > 2 ? example_whole(who, "epochs", argv[2], 1, 1e6) : 60;
    size_t images = argc > 3 ? example_whole(who, "images", argv[3], BATCH, 50000) : 50000;
    uint64_t seed = argc > 4 ? example_seed(who, argv[4]) : 1;
    example_most(who, argc, argv, 6);
    if (*only && strcmp(only, "samples") != 0 && strcmp(only, "dropout") != 0) {
        fprintf(stderr, "vgg: the sixth word is samples or dropout, not %s\n", only);
        return 2;
    }
    k.tape.rng = bnn_rng_seed(seed);
    load(&k, argv[1], images);
    if (argc > 5) load_other(&k, argv[5]);
    k.steps = epochs * (k.train.x.rows / BATCH);

    if (strcmp(only, "dropout") != 0) teach_by_samples(&k);
    k.tape.rng = bnn_rng_seed(seed + 1); /* each half is the same without the other */
    if (strcmp(only, "samples") != 0) teach_by_dropout(&k);

    int failed = k.tape.err || k.mem.err;
    if (failed) fprintf(stderr, "vgg: %s\n", k.tape.err ? k.tape.msg : k.mem.msg);
    bnn_tape_free(&k.tape);
    bnn_arena_free(&k.mem);
    return failed;
}
