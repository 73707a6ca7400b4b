/* privileged.c -- learning from a teacher who sees more (Vapnik; Lopez-Paz et al. 2016).
 *     cc -O2 -I.. privileged.c -o privileged && ./privileged [folder of MNIST | repetitions]
 * Without a folder: four synthetic tasks, teacher on x*, student on x, logistic models, accuracy
 * of privileged teacher, student alone, student with the teacher's answers. You should see gains
 * where x* says something about x (tasks 1 and 3), none where it does not (2 and 4). Then 8x8
 * digits seen at 4x4, or, with four IDX files of MNIST, 28x28 seen at 7x7: a few hundred images,
 * by temperature and share of the answers, for an untempered student (the published code) and a
 * tempered one. `best` is the best of 30 settings on the test images themselves, so it flatters. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    bnn_arena mem;
    bnn_tape tape;
} world;

/* RMSprop at 1e-3 on y = label and, with soft.lambda > 0, answers of k logits behind it */
static bnn_net fit(world *u, bnn_mlp_desc shape, bnn_data d, bnn_soft_desc soft, size_t batch,
                   size_t epochs) {
    bnn_params *w = bnn_params_new(&u->mem);
    bnn_net net = bnn_mlp(w, shape);
    bnn_stepper s = bnn_rmsprop(w, (bnn_rmsprop_desc){ .lr = 1e-3f, .alpha = 0.9f });
    size_t steps = epochs * ((d.x.rows + batch - 1) / batch), k = d.y.cols - 1;
    int binary = shape.likelihood == BNN_BERNOULLI;
    for (size_t i = 0; i < steps && !u->tape.err; i++) {
        bnn_tape_reset(&u->tape);
        bnn_batch b = bnn_minibatch(&u->tape, d, batch);
        bnn_var *z = bnn_net_forward(&net, b.x), *y = bnn_cols(b.y, 0, 1), *v, *loss;
        v = k ? bnn_cols(b.y, 1, k) : NULL;
        if (binary) { /* two classes as one logit: soft labels sigmoid(v) at temperature 1 */
            loss = bnn_bernoulli_nll(z, y);
            if (soft.lambda > 0)
                loss = bnn_soft_mix(loss, bnn_bernoulli_nll(z, bnn_sigmoid(v)), NULL, soft.lambda);
        } else {
            bnn_var *f = soft.lambda > 0 ? bnn_soft_target(&u->tape, 1, &v, NULL, soft.temperature)
                                         : NULL;
            loss = bnn_soft_nll(z, y, f, NULL, soft);
        }
        bnn_backward(bnn_mean(loss));
        bnn_step(&s, &u->tape);
    }
    return net;
}

static bnn_mat with_answers(world *u, bnn_mat label, const bnn_net *teacher, bnn_mat x) {
    bnn_mat v = bnn_predict_samples(&u->mem, &u->tape, teacher, NULL, x);
    bnn_mat y = bnn_mat_new(&u->mem, label.rows, 1 + v.cols);
    for (size_t i = 0; i < v.rows && y.data; i++) {
        y.data[i * y.cols] = label.data[i];
        memcpy(y.data + i * y.cols + 1, v.data + i * v.cols, v.cols * sizeof(float));
    }
    return y;
}

/* ---- four synthetic tasks */

enum { D = 50, N = 200, TEST = 1000 };

static bnn_data rows_of(bnn_mat x, bnn_mat y, size_t first, size_t n) {
    return (bnn_data){ bnn_mat_rows(x, first, n), bnn_mat_rows(y, first, n) };
}

/* Fills x (what the student sees), p (privileged) and the labels; p->cols tells how many */
static void make(world *u, int task, bnn_mat x, bnn_mat *p, bnn_mat y) {
    bnn_rng *r = &u->tape.rng;
    float alpha[D];
    size_t J[3], all[D], n = x.rows;
    bnn_rng_fill_normal(r, D, alpha);
    bnn_rng_fill_normal(r, n * D, x.data);
    bnn_rng_permutation(r, D, all);
    *p = bnn_mat_new(&u->mem, n, task == 1 ? 1 : task == 2 ? D : 3);
    for (size_t i = 0; i < n; i++) {
        float *xi = x.data + i * D, *pi = p->data + i * p->cols;
        double f = 0;
        if (task == 4) bnn_rng_permutation(r, D, all); /* other coordinates for every row */
        memcpy(J, all, sizeof J);
        for (size_t j = 0; j < D; j++) f += (double)alpha[j] * (double)xi[j];
        if (task == 1) pi[0] = (float)f, f += (double)bnn_rng_normal(r);
        if (task == 2) memcpy(pi, xi, D * sizeof *xi); /* x gets the noise, below */
        for (size_t j = 0; j < D && task == 2; j++) xi[j] += bnn_rng_normal(r);
        if (task >= 3) f = 0;
        for (size_t j = 0; j < 3 && task >= 3; j++)
            pi[j] = xi[J[j]], f += (double)alpha[J[j]] * (double)pi[j];
        y.data[i] = f > 0;
    }
}

static void standardize(bnn_mat x, size_t train) { /* by the columns of the training rows */
    for (size_t j = 0; j < x.cols; j++) {
        double m = 0, v = 0;
        for (size_t i = 0; i < train; i++) m += (double)x.data[i * x.cols + j] / (double)train;
        for (size_t i = 0; i < train; i++)
            v += pow((double)x.data[i * x.cols + j] - m, 2) / (double)train;
        for (size_t i = 0; i < x.rows; i++)
            x.data[i * x.cols + j] = (float)(((double)x.data[i * x.cols + j] - m) / sqrt(v));
    }
}

static double accuracy(world *u, const bnn_net *net, bnn_data d) {
    bnn_mat p = bnn_predict(&u->mem, &u->tape, net, NULL, d.x).mean;
    double right = 0;
    if (net->likelihood == BNN_CATEGORICAL) return 1 - bnn_metric_error(p, d.y);
    for (size_t i = 0; i < p.rows; i++) right += (p.data[i] > 0.5f) == (d.y.data[i] > 0.5f);
    return right / (double)p.rows;
}

static void synthetic(world *u, int task, int repetitions, size_t epochs) {
    double sum[3] = { 0 }, square[3] = { 0 };
    for (int r = 0; r < repetitions; r++) {
        bnn_mark mark = bnn_arena_mark(&u->mem);
        u->tape.rng = bnn_rng_seed((uint64_t)(1000 * task + r));
        bnn_mat x = bnn_mat_new(&u->mem, N + TEST, D), p, y = bnn_mat_new(&u->mem, N + TEST, 1);
        make(u, task, x, &p, y);
        standardize(x, N), standardize(p, N);
        bnn_mlp_desc on_p = { .sizes = { p.cols, 1 }, .likelihood = BNN_BERNOULLI,
                              .init_scale = 0.1f };
        bnn_mlp_desc on_x = { .sizes = { D, 1 }, .likelihood = BNN_BERNOULLI, .init_scale = 0.1f };
        bnn_soft_desc none = { 0 }, all = { .lambda = 1 };
        bnn_net teacher = fit(u, on_p, rows_of(p, y, 0, N), none, 128, epochs);
        bnn_net plain = fit(u, on_x, rows_of(x, y, 0, N), none, 128, epochs);
        bnn_data d = { bnn_mat_rows(x, 0, N), { 0, 0, NULL } };
        d.y = with_answers(u, bnn_mat_rows(y, 0, N), &teacher, bnn_mat_rows(p, 0, N));
        bnn_net student = fit(u, on_x, d, all, 128, epochs);
        double a[3] = { accuracy(u, &teacher, rows_of(p, y, N, TEST)),
                        accuracy(u, &plain, rows_of(x, y, N, TEST)),
                        accuracy(u, &student, rows_of(x, y, N, TEST)) };
        for (int k = 0; k < 3; k++) sum[k] += a[k], square[k] += a[k] * a[k];
        bnn_arena_rewind(&u->mem, mark);
    }
    for (int k = 0; k < 3; k++) sum[k] /= repetitions;
    printf("RESULT privileged task=%d privileged=%.3f regular=%.3f distilled=%.3f\n", task, sum[0],
           sum[1], sum[2]);
    fprintf(stderr, "task %d: sd over %d repetitions %.3f %.3f %.3f\n", task, repetitions,
            sqrt(square[0] / repetitions - sum[0] * sum[0]),
            sqrt(square[1] / repetitions - sum[1] * sum[1]),
            sqrt(square[2] / repetitions - sum[2] * sum[2]));
    fflush(stdout);
}

/* ---- MNIST: 28x28 for the teacher, 7x7 for the student; digits: 8x8 and 4x4 */

/* Means of blocks of `by` x `by` pixels of square images */
static bnn_mat small(world *u, bnn_mat x, size_t by) {
    size_t side = x.cols == 784 ? 28 : 8, less = side / by;
    bnn_mat s = bnn_mat_new(&u->mem, x.rows, less * less);
    for (size_t i = 0; i < x.rows && s.data; i++)
        for (size_t r = 0; r < side; r++)
            for (size_t c = 0; c < side; c++)
                s.data[i * s.cols + r / by * less + c / by] +=
                    x.data[i * x.cols + r * side + c] / (float)(by * by);
    return s;
}

static void images(world *u, const char *name, bnn_data all, bnn_data test, size_t by, size_t n,
                   int reps) {
    enum { REPS = 10, TS = 6, LS = 5 };
    static const float T[TS] = { 1, 2, 5, 10, 20, 50 }, L[LS] = { 0.1f, 0.3f, 0.6f, 0.9f, 1 };
    static double acc[2][TS][LS], teacher_acc, plain[REPS], mean, sd;
    bnn_mat x = all.x, y = all.y;
    bnn_data low = { small(u, test.x, by), test.y };
    memset(acc, 0, sizeof acc);
    teacher_acc = mean = sd = 0;
    for (int r = 0; r < reps; r++) {
        bnn_mark mark = bnn_arena_mark(&u->mem);
        u->tape.rng = bnn_rng_seed((uint64_t)(n + (size_t)r));
        bnn_mat pick = bnn_mat_new(&u->mem, n, x.cols), label = bnn_mat_new(&u->mem, n, 1);
        for (size_t i = 0; i < n; i++) {
            size_t k = bnn_rng_below(&u->tape.rng, x.rows);
            memcpy(pick.data + i * x.cols, x.data + k * x.cols, x.cols * sizeof(float));
            label.data[i] = y.data[k];
        }
        bnn_mlp_desc shape = { .sizes = { x.cols, 20, 20, 10 }, .likelihood = BNN_CATEGORICAL,
                               .seed = (uint64_t)r };
        bnn_soft_desc none = { 0 };
        bnn_data d = { pick, label };
        bnn_net teacher = fit(u, shape, d, none, n < 128 ? n : 128, 50);
        teacher_acc += accuracy(u, &teacher, test) / reps;
        d.y = with_answers(u, label, &teacher, pick);
        d.x = small(u, pick, by);
        shape.sizes[0] = d.x.cols;
        for (int way = 0; way < 2; way++)
            for (int t = 0; t < TS; t++)
                for (int l = 0; l < LS; l++) {
                    bnn_soft_desc soft = { .lambda = L[l], .temperature = T[t],
                                           .teacher_only = !way };
                    bnn_mark here = bnn_arena_mark(&u->mem);
                    bnn_net net = fit(u, shape, d, soft, 128, 50);
                    acc[way][t][l] += accuracy(u, &net, low) / reps;
                    bnn_arena_rewind(&u->mem, here);
                }
        bnn_net net = fit(u, shape, d, none, 128, 50);
        plain[r] = accuracy(u, &net, low);
        bnn_arena_rewind(&u->mem, mark);
        fprintf(stderr, "n = %zu: repetition %d of %d\n", n, r + 1, reps);
    }
    for (int r = 0; r < reps; r++) mean += plain[r] / reps;
    for (int r = 0; r < reps; r++) sd += pow(plain[r] - mean, 2) / (reps - 1);
    printf("n = %zu: teacher %.3f, student alone %.3f +- %.3f; with answers, lambda across:\n", n,
           teacher_acc, mean, sqrt(sd));
    for (int way = 0; way < 2; way++) {
        int bt = 0, bl = 0;
        printf("  %s student\n  T      ", way ? "tempered" : "untempered");
        for (int l = 0; l < LS; l++) printf("%7.1f", (double)L[l]);
        for (int t = 0; t < TS; t++) {
            printf("\n  %-7g", (double)T[t]);
            for (int l = 0; l < LS; l++) {
                printf("%7.3f", acc[way][t][l]);
                if (acc[way][t][l] > acc[way][bt][bl]) bt = t, bl = l;
            }
        }
        printf("\nRESULT privileged_%s n=%zu student=%s teacher=%.3f plain=%.3f plain_sd=%.3f "
               "best=%.3f T=%g lambda=%.1f\n", name, n, way ? "tempered" : "untempered",
               teacher_acc, mean, sqrt(sd), acc[way][bt][bl], (double)T[bt], (double)L[bl]);
    }
    fflush(stdout);
}

int main(int argc, char **argv) {
    static world u;
    const char *who = "privileged", *at = argc > 1 ? argv[1] : example_folder();
    example_most(who, argc, argv, 1);
    if (argc > 1 && argv[1][strspn(argv[1], "0123456789")] != '\0') {
        bnn_data d = example_data(&u.mem, who, at, "train-images-idx3-ubyte",
                                  "train-labels-idx1-ubyte", 784, 255);
        bnn_data t = example_data(&u.mem, who, at, "t10k-images-idx3-ubyte",
                                  "t10k-labels-idx1-ubyte", 784, 255);
        images(&u, "mnist", d, t, 4, 300, 10);
        images(&u, "mnist", d, t, 4, 500, 10);
    } else {
        int count = argc > 1 ? (int)example_whole(who, "repetitions", argv[1], 1, 1e6) : 5;
        at = example_folder();
        for (int task = 1; task <= 4; task++) synthetic(&u, task, count, 1000);
        bnn_data d = example_data(&u.mem, who, at, "digits-train-images.idx",
                                  "digits-train-labels.idx", 64, 16);
        bnn_data t = example_data(&u.mem, who, at, "digits-test-images.idx",
                                  "digits-test-labels.idx", 64, 16);
        images(&u, "digits", d, t, 2, 300, 3);
    }
    if (u.tape.err || u.mem.err)
        fprintf(stderr, "privileged: %s\n", u.tape.err ? u.tape.msg : u.mem.msg);
    int failed = u.tape.err || u.mem.err;
    bnn_tape_free(&u.tape);
    bnn_arena_free(&u.mem);
    return failed;
}
