/* cifar_semi.c -- labels for 300 images, answers of a teacher for all (Lopez-Paz et al. 2016).
 *     cc -O2 -I.. cifar_semi.c -lm -o cifar_semi && ./cifar_semi [folder of CIFAR-10 [repetitions]]
 * The teacher sees clean images and 300 labels. The student sees noisy ones: the 300 labels, or
 * those and the teacher's answers for every image; an index set says who has no label and counts by
 * the answer alone. Without a folder: the 8x8 digits that ship. You should see answers for
 * unlabeled images help, and most at temperature 1. CIFAR-10: data_batch_1.bin
 * and test_batch.bin, gunzipped. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LABELED = 300, K = 10, CASES = 5 };

typedef struct {
    bnn_arena mem;
    bnn_tape tape;
} world;

/* Records of one label and 3072 bytes */
static bnn_data cifar(world *u, const char *folder, const char *name, size_t n) {
    static unsigned char record[3073];
    char path[1024];
    bnn_data d = { bnn_mat_new(&u->mem, n, 3072), bnn_mat_new(&u->mem, n, 1) };
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    for (size_t i = 0; f && d.y.data && i < n; i++) {
        if (fread(record, sizeof record, 1, f) != 1 || record[0] >= K) {
            fprintf(stderr, "cifar_semi: %s: record %zu of %zu is cut or no label and image\n",
                    path, i + 1, n);
            exit(2);
        }
        d.y.data[i] = record[0];
        for (size_t j = 0; j < 3072; j++) d.x.data[i * 3072 + j] = (float)record[1 + j] / 255;
    }
    if (!f) {
        fprintf(stderr, "cifar_semi: cannot open %s\n", path);
        exit(2);
    }
    fclose(f);
    return d;
}

/* Small net on y: label, 1 if there are answers, K logits */
static bnn_net fit(world *u, bnn_data d, bnn_soft_desc soft, size_t epochs, uint64_t seed) {
    bnn_params *w = bnn_params_new(&u->mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { d.x.cols, 20, 20, K }, .seed = seed,
                                             .likelihood = BNN_CATEGORICAL });
    bnn_net_standardize(&net, d);
    bnn_stepper adam = bnn_adam(w, (bnn_adam_desc){ .lr = 1e-3f });
    size_t batch = d.x.rows < 100 ? d.x.rows : 100, steps = epochs * d.x.rows / batch;
    for (size_t s = 0; s < steps && !u->tape.err; s++) {
        bnn_tape_reset(&u->tape);
        bnn_batch b = bnn_minibatch(&u->tape, d, batch);
        bnn_var *v = bnn_cols(b.y, 2, K), *z = bnn_net_forward(&net, b.x), *y = bnn_cols(b.y, 0, 1);
        bnn_var *hard = bnn_categorical_nll(z, y), *has = bnn_cols(b.y, 1, 1), *loss = hard;
        if (soft.lambda > 0) { /* labeled: the mixture; unlabeled: the answer alone */
            bnn_var *f = bnn_soft_target(&u->tape, 1, &v, NULL, soft.temperature);
            bnn_soft_desc only = soft;
            only.lambda = 1;
            bnn_var *answer = bnn_soft_nll(z, NULL, f, NULL, only);
            loss = bnn_soft_mix(bnn_soft_mix(hard, answer, NULL, soft.lambda), answer, has, 1);
        }
        bnn_backward(bnn_mean(loss));
        adam.lr = (float)bnn_lr_cosine(1e-3, s, steps);
        bnn_step(&adam, &u->tape);
    }
    return net;
}

static double accuracy(world *u, const bnn_net *net, bnn_data d) {
    return 1 - bnn_metric_error(bnn_predict(&u->mem, &u->tape, net, NULL, d.x).mean, d.y);
}

static bnn_mat noisy(world *u, bnn_mat x, float sd) {
    bnn_mat out = bnn_mat_copy(&u->mem, x);
    for (size_t i = 0; i < x.rows * x.cols && out.data; i++)
        out.data[i] += sd * bnn_rng_normal(&u->tape.rng);
    return out;
}

int main(int argc, char **argv) {
    static world u;
    static const bnn_soft_desc soft[CASES] = { { 0 }, { .lambda = 0.5f, .temperature = 1 },
        { .lambda = 1, .temperature = 1 }, { .lambda = 0.5f, .temperature = 5 },
        { .lambda = 0.5f, .temperature = 20 } };
    int full = argc > 1, reps = full ? 10 : 4;
    example_most("cifar_semi", argc, argv, 2);
    if (argc > 2) reps = (int)example_whole("cifar_semi", "repetitions", argv[2], 1, 1e4);
    bnn_data train, test;
    float sd = full ? 0.2f : 0.3f;
    double sum[CASES + 1] = { 0 }, square[CASES + 1] = { 0 };
    if (full) {
        train = cifar(&u, argv[1], "data_batch_1.bin", 10000);
        test = cifar(&u, argv[1], "test_batch.bin", 10000);
    } else {
        const char *f = example_folder();
        train = example_data(&u.mem, "cifar_semi", f, "digits-train-images.idx",
                             "digits-train-labels.idx", 64, 16);
        test = example_data(&u.mem, "cifar_semi", f, "digits-test-images.idx",
                            "digits-test-labels.idx", 64, 16);
    }
    size_t n = train.x.rows, *rest = (size_t *)malloc(n * sizeof *rest);
    for (int r = 0; r < reps && rest; r++) {
        bnn_mark mark = bnn_arena_mark(&u.mem);
        u.tape.rng = bnn_rng_seed(1 + (uint64_t)r);
        bnn_rng_permutation(&u.tape.rng, n, rest); /* the first LABELED of them have labels */
        bnn_mat x = bnn_mat_new(&u.mem, n, train.x.cols), y = bnn_mat_new(&u.mem, n, 2 + K);
        bnn_mat none = bnn_mat_new(&u.mem, n, 1);
        for (size_t i = 0; i < n && none.data; i++) { /* y of the unlabeled stays 0: never read */
            memcpy(x.data + i * x.cols, train.x.data + rest[i] * x.cols, x.cols * sizeof(float));
            if (i < LABELED) y.data[i * y.cols] = train.y.data[rest[i]];
            rest[i] = i;
        }
        bnn_soft_mask(none, rest + LABELED, n - LABELED);
        bnn_data labeled = { bnn_mat_rows(x, 0, LABELED), bnn_mat_rows(y, 0, LABELED) };
        bnn_net teacher = fit(&u, labeled, soft[0], 150, (uint64_t)r);
        double a = accuracy(&u, &teacher, test);
        sum[CASES] += a, square[CASES] += a * a;
        bnn_mat v = bnn_predict_samples(&u.mem, &u.tape, &teacher, NULL, x);
        for (size_t i = 0; i < n && v.data; i++) {
            y.data[i * y.cols + 1] = none.data[i];
            memcpy(y.data + i * y.cols + 2, v.data + i * K, K * sizeof(float));
        }
        bnn_data all = { noisy(&u, x, sd), y }, few = bnn_data_rows(all, 0, LABELED);
        bnn_data seen = { noisy(&u, test.x, sd), test.y };
        for (int c = 0; c < CASES; c++) { /* about equally many steps */
            bnn_net net = fit(&u, c ? all : few, soft[c], c ? 15 : 150, (uint64_t)r);
            a = accuracy(&u, &net, seen);
            sum[c] += a, square[c] += a * a;
        }
        bnn_arena_rewind(&u.mem, mark);
        if (full) fprintf(stderr, "repetition %d of %d\n", r + 1, reps);
    }
    free(rest);
    for (int c = CASES; c >= 0; c--) {
        double m = sum[c] / reps, s = sqrt(fabs(square[c] / reps - m * m));
        if (c == CASES) printf("RESULT cifar_semi method=teacher accuracy=%.3f sd=%.3f\n", m, s);
        else printf("RESULT cifar_semi method=%s T=%g lambda=%.1f accuracy=%.3f sd=%.3f\n",
                    c ? "semi" : "labels", (double)soft[c].temperature, (double)soft[c].lambda, m,
                        s);
    }
    if (u.tape.err || u.mem.err)
        fprintf(stderr, "cifar_semi: %s\n", u.tape.err ? u.tape.msg : u.mem.msg);
    int failed = u.tape.err || u.mem.err;
    bnn_tape_free(&u.tape);
    bnn_arena_free(&u.mem);
    return failed;
}
