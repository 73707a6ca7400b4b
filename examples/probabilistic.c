/* probabilistic.c -- distillation as a likelihood (Grabovoy and Strijov 2021): hard labels, the
 * teacher's answers, and what the normalizer of the answers does.
 *     cc -O2 -I.. probabilistic.c -lm -o probabilistic && ./probabilistic [DATA [epochs [runs]]]
 * Without a folder: synthetic classes whose true law is known (10 features, 3 classes), regression
 * as weighted least squares, and the digits that ship. DATA has fashion-mnist/ (four IDX files)
 * and, if you have them, tweets/ (two TSV files), gunzipped. You should see answers at temperature
 * 1 help a little, at temperature 10 flatten the student, and the published extra term do harm. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    bnn_arena mem;
    bnn_tape tape;
} world;

typedef struct { double ce, acc, real; } score;

/* y: label, then K logits of the teacher. A linear student by Adam on minibatches of 64. */
static bnn_net fit(world *u, bnn_mlp_desc shape, bnn_data d, bnn_soft_desc soft, float scale,
                   size_t epochs, const char *what) {
    bnn_params *w = bnn_params_new(&u->mem);
    bnn_net net = bnn_mlp(w, shape);
    bnn_stepper adam = bnn_adam(w, (bnn_adam_desc){ .lr = 1e-3f });
    size_t k = d.y.cols - 1, per = d.x.rows / 64, steps = epochs * per;
    for (size_t s = 0; s < steps && !u->tape.err; s++) {
        bnn_tape_reset(&u->tape);
        bnn_batch b = bnn_minibatch(&u->tape, d, 64);
        bnn_var *z = bnn_net_forward(&net, b.x), *y = bnn_cols(b.y, 0, 1), *loss;
        bnn_var *v = k ? bnn_cols(b.y, 1, k) : NULL;
        if (soft.lambda == 0) {
            loss = bnn_soft_nll(z, y, NULL, NULL, soft);
        } else {
            bnn_var *target = bnn_soft_target(&u->tape, 1, &v, NULL,
                                              soft.temperature > 0 ? soft.temperature : 1);
            if (scale == 1) loss = bnn_soft_nll(z, y, target, NULL, soft);
            else { /* the published code averages the soft term over the classes as well */
                bnn_soft_desc only = soft;
                only.lambda = 1;
                loss = bnn_soft_nll(z, NULL, target, NULL, only);
                loss = bnn_soft_mix(bnn_categorical_nll(z, y), bnn_scale(loss, scale), NULL,
                                    soft.lambda);
            }
        }
        bnn_backward(bnn_mean(loss));
        bnn_step(&adam, &u->tape);
        if (what && per > 300 && (s + 1) % (steps / 4) == 0)
            fprintf(stderr, "%s: epoch %zu of %zu\n", what, (s + 1) / per, epochs);
    }
    return net;
}

static void add_answers(world *u, bnn_data *d, const bnn_net *teacher) { /* to the labels */
    bnn_mat v = bnn_predict_samples(&u->mem, &u->tape, teacher, NULL, d->x), y;
    y = bnn_mat_new(&u->mem, d->y.rows, 1 + v.cols);
    for (size_t i = 0; i < v.rows && y.data; i++) {
        y.data[i * y.cols] = d->y.data[i];
        memcpy(y.data + i * y.cols + 1, v.data + i * v.cols, v.cols * sizeof(float));
    }
    d->y = y;
}

static score judge(world *u, const bnn_net *net, bnn_data test, bnn_mat law) {
    bnn_mat p = bnn_predict(&u->mem, &u->tape, net, NULL, test.x).mean;
    score s = { bnn_metric_nll(p, test.y), 1 - bnn_metric_error(p, test.y), 0 };
    for (size_t i = 0; law.data && i < p.rows * p.cols; i++)
        s.real -= (double)law.data[i] * log((double)p.data[i]) / (double)p.rows;
    return s;
}

static void line(const char *set, const char *method, const score *s, int runs) {
    double m[3] = { 0 }, v[2] = { 0 };
    for (int r = 0; r < runs; r++) {
        m[0] += s[r].ce / runs, m[1] += s[r].acc / runs, m[2] += s[r].real / runs;
    }
    for (int r = 0; r < runs; r++) v[0] += pow(s[r].ce - m[0], 2), v[1] += pow(s[r].acc - m[1], 2);
    printf("RESULT probabilistic set=%s method=%s ce=%.4f ce_sd=%.4f acc=%.4f acc_sd=%.4f", set,
           method, m[0], runs > 1 ? sqrt(v[0] / (runs - 1)) : 0, m[1],
           runs > 1 ? sqrt(v[1] / (runs - 1)) : 0);
    if (m[2] > 0) printf(" ce_to_law=%.4f", m[2]);
    printf("\n");
    fflush(stdout);
}

static const bnn_soft_desc plain = { 0 };

/* W, X ~ N(0,1), S = softmax(XW), y ~ Cat(S); the teacher is the law itself, S at temperature Td */
static void synthetic(world *u, int runs) {
    enum { N = 1000, D = 10, K = 3, METHODS = 4 };
    static const char *name[METHODS] = { "plain", "answers_T1", "answers_T10", "published_T10" };
    const bnn_soft_desc soft[METHODS] = { plain, { .lambda = 0.75f },
        { .lambda = 0.75f, .temperature = 10, .teacher_only = 1, .no_square = 1 },
        { .lambda = 0.75f, .temperature = 10, .teacher_only = 1, .no_square = 1,
          .constant = BNN_CC_PUBLISHED } };
    score s[METHODS][16];
    double entropy = 0;
    for (int r = 0; r < runs; r++) {
        u->tape.rng = bnn_rng_seed(100 + (uint64_t)r);
        bnn_mat w = bnn_mat_new(&u->mem, D, K), x = bnn_mat_new(&u->mem, 2 * N, D);
        bnn_mat z = bnn_mat_new(&u->mem, 2 * N, K), y = bnn_mat_new(&u->mem, 2 * N, 1 + K);
        bnn_mat law = bnn_mat_new(&u->mem, 2 * N, K), label = bnn_mat_new(&u->mem, 2 * N, 1);
        bnn_rng_fill_normal(&u->tape.rng, D * K, w.data);
        bnn_rng_fill_normal(&u->tape.rng, 2 * N * D, x.data);
        bnn_mat_mul(z, x, w);
        for (size_t i = 0; i < 2 * N; i++) {
            float *p = law.data + i * K;
            double sum = 0;
            for (size_t k = 0; k < K; k++) sum += exp((double)z.data[i * K + k]);
            for (size_t k = 0; k < K; k++) p[k] = (float)(exp((double)z.data[i * K + k]) / sum);
            label.data[i] = y.data[i * (1 + K)] = (float)bnn_rng_categorical(&u->tape.rng, K, p);
            memcpy(y.data + i * (1 + K) + 1, z.data + i * K, K * sizeof(float));
            for (size_t k = 0; k < K && i >= N; k++)
                entropy -= (double)p[k] * log((double)p[k]) / N / runs;
        }
        bnn_data train = { bnn_mat_rows(x, 0, N), bnn_mat_rows(y, 0, N) };
        bnn_data test = { bnn_mat_rows(x, N, N), bnn_mat_rows(label, N, N) };
        for (int m = 0; m < METHODS; m++) {
            bnn_rng at = u->tape.rng;
            bnn_net net = fit(u, (bnn_mlp_desc){ .sizes = { D, K }, .likelihood = BNN_CATEGORICAL },
                              train, soft[m], 1, 200, NULL);
            u->tape.rng = at; /* the same minibatches for all */
            s[m][r] = judge(u, &net, test, bnn_mat_rows(law, N, N));
        }
    }
    printf("synthetic: entropy of the true law %.4f, mean of %d data sets\n", entropy, runs);
    for (int m = 0; m < METHODS; m++) line("synthetic", name[m], s[m], runs);
}

/* A linear student of regression: gradient descent on both nlls against (X'PX)^-1 X'P y'' */
static void least_squares(world *u) {
    enum { N = 60, D = 3 };
    double lam = 0.4, s2 = 1, t2 = 0.1, worst = 0;
    bnn_mat x = bnn_mat_new(&u->mem, N, D), y = bnn_mat_new(&u->mem, N, 1),
        t = bnn_mat_new(&u->mem, N, 1);
    bnn_mat px = bnn_mat_new(&u->mem, N, D), A = bnn_mat_new(&u->mem, D, D),
        b = bnn_mat_new(&u->mem, D, 1);
    bnn_mat has = bnn_mat_new(&u->mem, N, 1), target = bnn_mat_new(&u->mem, N, 1);
    u->tape.rng = bnn_rng_seed(7);
    bnn_rng_fill_normal(&u->tape.rng, N * D, x.data);
    for (size_t i = 0; i < N; i++) {
        double f = (double)x.data[i * D] - 0.5 * (double)x.data[i * D + 1];
        double m = i < N / 2 ? lam : 0, p;
        has.data[i] = i < N / 2;
        y.data[i] = (float)f + bnn_rng_normal(&u->tape.rng);
        t.data[i] = (float)f + 0.3f * bnn_rng_normal(&u->tape.rng);
        p = (1 - m) / s2 + m / t2;
        target.data[i] = (float)(((1 - m) / s2 * (double)y.data[i] +
                                  m / t2 * (double)t.data[i]) / p);
        for (size_t j = 0; j < D; j++) px.data[i * D + j] = (float)p * x.data[i * D + j];
    }
    bnn_mat_mul_tn(A, px, x);
    bnn_mat_mul_tn(b, px, target);
    bnn_mat_cholesky(A, A, NULL);
    bnn_mat_solve_chol(b, A, b);
    bnn_params *w = bnn_params_new(&u->mem);
    bnn_params_add(w, D, 1, "w", (bnn_prior){ 0 });
    bnn_stepper sgd = bnn_sgd(w, (bnn_sgd_desc){ .lr = 0.05f, .momentum = 0.8f });
    for (int k = 0; k < 2000; k++) {
        bnn_tape_reset(&u->tape);
        bnn_var *g = bnn_matmul(bnn_input(&u->tape, x), bnn_param(&u->tape, w, 0));
        bnn_var *hard = bnn_gaussian_nll(g, bnn_input(&u->tape, y),
                                         bnn_scalar(&u->tape, (float)log(s2)));
        bnn_var *soft = bnn_gaussian_nll(g, bnn_input(&u->tape, t),
                                         bnn_scalar(&u->tape, (float)log(t2)));
        bnn_backward(bnn_mean(bnn_soft_mix(hard, soft, bnn_input(&u->tape, has), (float)lam)));
        bnn_step(&sgd, &u->tape);
    }
    for (size_t j = 0; j < D; j++)
        worst = fmax(worst, fabs((double)w->theta[j] - (double)b.data[j]));
    printf("RESULT probabilistic set=regression largest_difference_to_wls=%.1e\n", worst);
}

/* A teacher by Adam, a linear student plain and with its answers, on any labeled images */
static void images(world *u, const char *set, bnn_data train, bnn_data test, size_t hidden,
                   size_t teacher_epochs, size_t epochs, int runs) {
    enum { METHODS = 4 };
    static const char *name[METHODS] = { "plain", "published", "answers", "answers_T1" };
    const bnn_soft_desc soft[METHODS] = { plain,
        { .lambda = 0.25f, .temperature = 2, .no_square = 1, .constant = BNN_CC_PUBLISHED },
        { .lambda = 0.25f, .temperature = 2 }, { .lambda = 0.25f } };
    bnn_mlp_desc shape = { .sizes = { train.x.cols, hidden, 10 }, .likelihood = BNN_CATEGORICAL };
    score s[METHODS][16], t;
    u->tape.rng = bnn_rng_seed(3);
    bnn_data only = train;
    bnn_net teacher = fit(u, shape, only, plain, 1, teacher_epochs, "teacher");
    t = judge(u, &teacher, test, (bnn_mat){ 0, 0, NULL });
    line(set, "teacher", &t, 1);
    add_answers(u, &train, &teacher);
    for (int m = 0; m < METHODS; m++) {
        for (int r = 0; r < runs; r++) {
            bnn_mark mark = bnn_arena_mark(&u->mem);
            u->tape.rng = bnn_rng_seed(10 + (uint64_t)r);
            bnn_mlp_desc linear = { .sizes = { train.x.cols, 10 }, .likelihood = BNN_CATEGORICAL,
                                    .seed = (uint64_t)r };
            bnn_net net = fit(u, linear, train, soft[m], m == 1 ? 0.1f : 1, epochs, name[m]);
            s[m][r] = judge(u, &net, test, (bnn_mat){ 0, 0, NULL });
            bnn_arena_rewind(&u->mem, mark);
        }
        line(set, name[m], s[m], runs);
    }
}

/* ---- tweets: hashed words, label 0 or 4 in front of a tab */

static uint32_t hash(uint32_t h, const char *s, size_t n) { /* FNV-1a */
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)(s[i] | 32)) * 16777619u;
    return h;
}

static size_t labeled(const char *text) { /* 0 or 1 */
    return (text[0] == '0' || text[0] == '4') && text[1] == '\t';
}

/* Counts of words (and of pairs of words) in 2^bits bins, rows of length 1 */
static bnn_data tweets(world *u, const char *path, unsigned bits, int pairs) {
    static char text[4096];
    bnn_data d = { { 0, 0, NULL }, { 0, 0, NULL } };
    FILE *f = fopen(path, "rb");
    size_t n = 0;
    while (f && fgets(text, sizeof text, f)) n += labeled(text);
    if (f == NULL) return d;
    rewind(f);
    d.x = bnn_mat_new(&u->mem, n, (size_t)1 << bits);
    d.y = bnn_mat_new(&u->mem, n, 1);
    for (n = 0; d.y.data && fgets(text, sizeof text, f);) {
        float *row = d.x.data + n * d.x.cols;
        uint32_t last = 0;
        double norm = 0;
        if (!labeled(text)) continue;
        for (char *p = text + 2; *p != '\0';) {
            size_t len = strcspn(p, " \t\r\n.,!?\"()");
            if (len > 0) {
                uint32_t h = hash(2166136261u, p, len);
                row[(h * 2654435769u) >> (32 - bits)] += 1;
                if (pairs && last) row[(hash(last, p, len) * 2654435769u) >> (32 - bits)] += 1;
                last = h;
            }
            p += len + (p[len] != '\0');
        }
        for (size_t j = 0; j < d.x.cols; j++) norm += (double)(row[j] * row[j]);
        for (size_t j = 0; j < d.x.cols && norm > 0; j++) row[j] /= (float)sqrt(norm);
        d.y.data[n++] = text[0] == '4';
    }
    fclose(f);
    return d;
}

/* 1: done, or there are no tweets */
static int sentiment(world *u, const char *folder, size_t epochs) {
    enum { HELD = 4000 };
    static const bnn_soft_desc soft[3] = { { 0 }, { .lambda = 0.5f },
                                           { .lambda = 1, .temperature = 2 } };
    static const char *name[3] = { "plain", "answers", "answers_only_T2" };
    char path[1024], test_path[1024];
    snprintf(path, sizeof path, "%s/tweets/sentiment140_train_sample.tsv", folder);
    snprintf(test_path, sizeof test_path, "%s/tweets/sentiment140_test_manual.tsv", folder);
    bnn_data big = tweets(u, path, 14, 1), small = tweets(u, path, 10, 0);
    bnn_data test = tweets(u, test_path, 10, 0), test_big = tweets(u, test_path, 14, 1);
    score s;
    if (!big.y.data && !test.y.data) return 1;
    if (big.y.rows <= HELD || test.y.rows == 0) {
        fprintf(stderr, "probabilistic: %s/tweets: %zu tweets to train on, %zu to test, more than "
                "%d and 0 are needed\n", folder, big.y.rows, test.y.rows, HELD);
        return 0;
    }
    size_t n = big.x.rows - HELD, *order = (size_t *)malloc(big.x.rows * sizeof *order);
    bnn_rng mix = bnn_rng_seed(5); /* the file is sorted by nobody knows what */
    bnn_rng_permutation(&mix, big.x.rows, order);
    bnn_mat y = bnn_mat_new(&u->mem, big.x.rows, 1), xs = bnn_mat_new(&u->mem, big.x.rows, 1024);
    bnn_mat xb = bnn_mat_new(&u->mem, big.x.rows, 16384);
    for (size_t i = 0; i < big.x.rows && xb.data; i++) {
        y.data[i] = big.y.data[order[i]];
        memcpy(xs.data + i * 1024, small.x.data + order[i] * 1024, 1024 * sizeof(float));
        memcpy(xb.data + i * 16384, big.x.data + order[i] * 16384, 16384 * sizeof(float));
    }
    free(order);
    if (!xb.data) return 0;
    bnn_data train = { bnn_mat_rows(xb, 0, n), bnn_mat_rows(y, 0, n) };
    bnn_data held = { bnn_mat_rows(xb, n, HELD), bnn_mat_rows(y, n, HELD) };
    bnn_net teacher = fit(u, (bnn_mlp_desc){ .sizes = { 16384, 16, 2 },
                                             .likelihood = BNN_CATEGORICAL,
                                             .init_scale = 0.5f }, train, plain, 1, 3, "tweets");
    s = judge(u, &teacher, held, (bnn_mat){ 0, 0, NULL });
    line("tweets_held_out", "teacher", &s, 1);
    s = judge(u, &teacher, test_big, (bnn_mat){ 0, 0, NULL });
    line("tweets_test", "teacher", &s, 1);
    add_answers(u, &train, &teacher);
    train.x = bnn_mat_rows(xs, 0, n), held.x = bnn_mat_rows(xs, n, HELD);
    for (int m = 0; m < 3; m++) {
        u->tape.rng = bnn_rng_seed(6);
        bnn_net net = fit(u, (bnn_mlp_desc){ .sizes = { 1024, 2 }, .likelihood = BNN_CATEGORICAL },
                          train, soft[m], 1, epochs, name[m]);
        s = judge(u, &net, held, (bnn_mat){ 0, 0, NULL });
        line("tweets_held_out", name[m], &s, 1);
        s = judge(u, &net, test, (bnn_mat){ 0, 0, NULL });
        line("tweets_test", name[m], &s, 1);
    }
    return 1;
}

int main(int argc, char **argv) {
    static world u;
    const char *who = "probabilistic";
    size_t epochs = argc > 2 ? example_whole(who, "epochs", argv[2], 1, 1e6) : 100;
    int runs = argc > 3 ? (int)example_whole(who, "runs", argv[3], 1, 16) : 5, good = 1;
    example_most(who, argc, argv, 3);
    synthetic(&u, argc > 1 ? runs : 4);
    least_squares(&u);
    if (argc > 1) {
        char folder[1000];
        snprintf(folder, sizeof folder, "%s/fashion-mnist", argv[1]);
        bnn_data train = example_data(&u.mem, who, folder, "train-images-idx3-ubyte",
                                      "train-labels-idx1-ubyte", 784, 255);
        bnn_data test = example_data(&u.mem, who, folder, "t10k-images-idx3-ubyte",
                                     "t10k-labels-idx1-ubyte", 784, 255);
        images(&u, "fashion", train, test, 200, 10, epochs, runs);
        good = sentiment(&u, argv[1], epochs < 30 ? epochs : 30);
    } else {
        const char *folder = example_folder();
        bnn_data train = example_data(&u.mem, who, folder, "digits-train-images.idx",
                                      "digits-train-labels.idx", 64, 16);
        bnn_data test = example_data(&u.mem, who, folder, "digits-test-images.idx",
                                     "digits-test-labels.idx", 64, 16);
        images(&u, "digits", train, test, 100, 30, 30, 2);
    }
    if (u.tape.err || u.mem.err)
        fprintf(stderr, "probabilistic: %s\n", u.tape.err ? u.tape.msg : u.mem.msg);
    int failed = u.tape.err || u.mem.err || !good;
    bnn_tape_free(&u.tape);
    bnn_arena_free(&u.mem);
    return failed;
}
