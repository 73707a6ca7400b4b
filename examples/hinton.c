/* hinton.c -- soft targets (Hinton, Vinyals, Dean 2015): a large net teaches a small one.
 *     cc -O2 -I.. hinton.c -o hinton -lm
 *     ./hinton [MNIST [epochs [seed [rate [images [lenet] [held] [T=20]]]]]]
 * Without a folder: the 8x8 digits that ship with the library, in seconds. With the four IDX files
 * of MNIST: teacher 2x1200 with dropout, jitter and twice the epochs, students 2x800 at that
 * learning rate; tens of minutes for all images. lenet: a LeNet of 20 and 50 filters and 500 units
 * teaches one of 4, 8 and 32. held: the last 10,000 training images are the test, to choose by. T:
 * the temperature. You should see soft targets close part of the gap between student and teacher; a
 * student that never saw a 3 recognize threes, more when one bias is raised (by what makes the
 * fewest errors on the test images, as in the paper: not a held-out result); how a very small
 * student takes temperatures. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { K = 10, BATCH = 100 };

typedef struct {
    bnn_arena mem;
    bnn_tape tape;
    bnn_data train, test; /* train.y: label and the K logits of the teacher */
    bnn_mat teacher_p;    /* its probabilities on the test set */
    bnn_mlp_desc teacher, student; /* LeNets: in sizes the filters of two layers, the units */
    int side, jitter, lenet;
    size_t epochs;
    double rate; /* of the students */
    float temperature;
    uint64_t seed;
} world;

/* Each row of x moved by up to `jitter` pixels in both directions */
static void move(world *u, bnn_mat x) {
    size_t s = (size_t)u->side, span = 2 * (size_t)u->jitter + 1;
    float old[784];
    for (size_t i = 0; i < x.rows && u->jitter > 0; i++) {
        int dr = (int)bnn_rng_below(&u->tape.rng, span) - u->jitter;
        int dc = (int)bnn_rng_below(&u->tape.rng, span) - u->jitter;
        memcpy(old, x.data + i * x.cols, s * s * sizeof *old);
        for (int r = 0; r < u->side; r++)
            for (int c = 0; c < u->side; c++) {
                int fr = r + dr, fc = c + dc;
                int in = fr >= 0 && fc >= 0 && fr < u->side && fc < u->side;
                x.data[i * x.cols + (size_t)(r * u->side + c)] = in ? old[fr * u->side + fc] : 0;
            }
    }
}

static bnn_net make(world *u, bnn_mlp_desc d) {
    bnn_params *w = bnn_params_new(&u->mem);
    size_t kernel = u->side == 28 ? 5 : 3;
    d.seed = u->seed;
    if (!u->lenet) return bnn_mlp(w, d);
    return bnn_layers(w, (bnn_layers_desc){
        .input = { (size_t)u->side, (size_t)u->side, 1 },
        .layers = { { BNN_CONV, d.sizes[0], .kernel = kernel }, { BNN_MAX_POOL, .kernel = 2 },
                    { BNN_CONV, d.sizes[1], .kernel = kernel }, { BNN_MAX_POOL, .kernel = 2 },
                    { BNN_DENSE, d.sizes[2], .dropout = d.dropout },
                    { BNN_DENSE, K, .dropout = d.dropout } },
        .likelihood = BNN_CATEGORICAL, .seed = d.seed });
}

static bnn_net train(world *u, bnn_mlp_desc shape, bnn_data d, bnn_soft_desc soft, int is_teacher,
                     const char *what) {
    bnn_net net = make(u, shape);
    double rate = is_teacher ? 1e-3 : u->rate;
    bnn_stepper adam = bnn_adam(net.params, (bnn_adam_desc){ .lr = (float)rate });
    size_t per = d.x.rows / BATCH, steps = u->epochs * (is_teacher ? 2 : 1) * per;
    for (size_t s = 0; s < steps && !u->tape.err; s++) {
        bnn_tape_reset(&u->tape);
        bnn_batch b = bnn_minibatch(&u->tape, d, BATCH);
        if (is_teacher) move(u, b.x->val);
        u->tape.training = 1;
        bnn_var *z = bnn_net_forward(&net, b.x), *v = bnn_cols(b.y, 1, K);
        u->tape.training = 0;
        bnn_var *target = soft.lambda == 0 ? NULL
                          : bnn_soft_target(&u->tape, 1, &v, NULL, soft.temperature);
        bnn_backward(bnn_mean(bnn_soft_nll(z, bnn_cols(b.y, 0, 1), target, NULL, soft)));
        adam.lr = (float)bnn_lr_cosine(rate, s, steps);
        bnn_step(&adam, &u->tape);
        if (steps >= 5000 && (s + 1) % (steps / 5) == 0)
            fprintf(stderr, "%s: step %zu of %zu, %.0f s\n", what, s + 1, steps,
                    (double)clock() / CLOCKS_PER_SEC);
    }
    return net;
}

/* errors on the test set with `shift` added to the logits of classes a and b; K = no class */
static size_t errors(world *u, const bnn_net *net, size_t a, size_t b, double shift, size_t *of_a) {
    bnn_mark mark = bnn_arena_mark(&u->mem);
    bnn_mat z = bnn_predict_samples(&u->mem, &u->tape, net, NULL, u->test.x);
    size_t wrong = 0, wrong_a = 0;
    for (size_t i = 0; i < z.rows; i++) {
        if (a < K) z.data[i * K + a] += (float)shift;
        if (b < K) z.data[i * K + b] += (float)shift;
        int miss = (float)bnn_mat_row_argmax(z, i) != u->test.y.data[i];
        wrong += (size_t)miss;
        wrong_a += (size_t)(miss && u->test.y.data[i] == (float)a);
    }
    if (of_a) *of_a = wrong_a;
    bnn_arena_rewind(&u->mem, mark);
    return wrong;
}

static double best_shift(world *u, const bnn_net *net, size_t a, size_t b, double sign) {
    double best = 0;
    size_t least = errors(u, net, a, b, 0, NULL);
    for (double c = 0.5; c <= 12; c += 0.5) {
        size_t e = errors(u, net, a, b, sign * c, NULL);
        if (e < least) least = e, best = sign * c;
    }
    return best;
}

static size_t report(world *u, const char *name, const bnn_net *net) {
    clock_t start = clock();
    bnn_mat p = bnn_predict(&u->mem, &u->tape, net, NULL, u->test.x).mean;
    double us = 1e6 * (double)(clock() - start) / CLOCKS_PER_SEC / (double)p.rows;
    size_t wrong = errors(u, net, K, K, 0, NULL);
    if (!u->teacher_p.data) u->teacher_p = p;
    printf("%-14s %6zu %8.4f %8.4f %9.4f %9zu %9.1f\n", name, wrong,
           bnn_metric_nll(p, u->test.y), bnn_metric_ece(p, u->test.y, 15),
           bnn_metric_agreement(p, u->teacher_p), net->params->n * sizeof(float), us);
    fflush(stdout);
    return wrong;
}

/* rows of classes a, b, or without */
static bnn_data only(world *u, size_t a, size_t b, int keep) {
    bnn_data d = { bnn_mat_copy(&u->mem, u->train.x), bnn_mat_copy(&u->mem, u->train.y) };
    size_t n = 0;
    for (size_t i = 0; i < d.x.rows; i++) {
        size_t c = (size_t)d.y.data[i * d.y.cols];
        if ((c == a || c == b) != keep) continue;
        memmove(d.x.data + n * d.x.cols, d.x.data + i * d.x.cols, d.x.cols * sizeof(float));
        memmove(d.y.data + n * d.y.cols, d.y.data + i * d.y.cols, d.y.cols * sizeof(float));
        n++;
    }
    return bnn_data_rows(d, 0, n);
}

static void open_world(world *u, int argc, char **argv) {
    int full = argc > 1;
    const char *who = "hinton", *folder = full ? argv[1] : example_folder();
    u->seed = argc > 3 ? example_seed(who, argv[3]) : 1;
    u->epochs = argc > 2 ? example_whole(who, "epochs", argv[2], 1, 1e6) : full ? 8 : 60;
    u->rate = argc > 4 ? example_real(who, "rate", argv[4], 1e-9, 10) : 1e-3;
    u->tape.rng = bnn_rng_seed(u->seed);
    u->side = full ? 28 : 8;
    u->jitter = full ? 2 : 0;
    u->temperature = 20;
    size_t pixels = full ? 784 : 64, images = 60000;
    float white = full ? 255 : 16;
    u->train = example_data(&u->mem, who, folder,
                            full ? "train-images-idx3-ubyte" : "digits-train-images.idx",
                            full ? "train-labels-idx1-ubyte" : "digits-train-labels.idx", pixels,
                            white);
    u->test = example_data(&u->mem, who, folder,
                           full ? "t10k-images-idx3-ubyte" : "digits-test-images.idx",
                           full ? "t10k-labels-idx1-ubyte" : "digits-test-labels.idx", pixels,
                           white);
    bnn_mat label = u->train.y;
    if (argc > 5) images = example_whole(who, "images", argv[5], BATCH, 1e6);
    for (int i = 6; i < argc; i++)
        if (strcmp(argv[i], "lenet") == 0) u->lenet = 1;
        else if (strncmp(argv[i], "T=", 2) == 0)
            u->temperature = (float)example_real(who, "T", argv[i] + 2, 0.01, 1e4);
        else if (strcmp(argv[i], "held") == 0 && label.rows > 10000) {
            u->test = bnn_data_rows((bnn_data){ u->train.x, label }, label.rows - 10000, 10000);
            u->train.x.rows = label.rows -= 10000;
        } else {
            fprintf(stderr, "hinton: %s is not lenet, held (of > 10000) or T=20\n", argv[i]);
            exit(2);
        }
    if (argc > 5 && images < label.rows) u->train.x.rows = label.rows = images;
    u->train.y = bnn_mat_new(&u->mem, label.rows, 1 + K);
    for (size_t i = 0; i < label.rows; i++) u->train.y.data[i * (1 + K)] = label.data[i];
    bnn_mlp_desc big = { .sizes = { 64, 200, 200, K }, .likelihood = BNN_CATEGORICAL,
                         .dropout = 0.3f, .dropout_input = full ? 0.2f : 0.1f };
    bnn_mlp_desc small = { .sizes = { 64, 12, 12, K }, .likelihood = BNN_CATEGORICAL };
    if (full) {
        big.sizes[0] = small.sizes[0] = 784;
        big.sizes[1] = big.sizes[2] = 1200, big.dropout = 0.5f;
        small.sizes[1] = small.sizes[2] = 800;
    }
    if (u->lenet) {
        size_t of_big[3] = { 20, 50, 500 }, of_small[3] = { 4, 8, 32 };
        memcpy(big.sizes, of_big, sizeof of_big), memcpy(small.sizes, of_small, sizeof of_small);
    }
    u->teacher = big, u->student = small;
}

int main(int argc, char **argv) {
    static world u;
    static const float td[5] = { 1, 2.5f, 4, 8, 20 };
    bnn_soft_desc plain = { 0 }, soft = { .lambda = 1 };
    size_t miss;
    open_world(&u, argc, argv);
    soft.temperature = u.temperature;
    printf("%-14s %6s %8s %8s %9s %9s %9s\n", "net", "errors", "nll", "ece", "agreement", "bytes",
           "us/digit");
    bnn_net teacher = train(&u, u.teacher, u.train, plain, 1, "teacher");
    bnn_mat v = bnn_predict_samples(&u.mem, &u.tape, &teacher, NULL, u.train.x);
    for (size_t i = 0; v.data && i < v.rows; i++)
        memcpy(u.train.y.data + i * (1 + K) + 1, v.data + i * K, K * sizeof(float));
    size_t e_teacher = report(&u, "teacher", &teacher);
    bnn_net net = train(&u, u.student, u.train, plain, 0, "plain");
    size_t e_plain = report(&u, "student plain", &net);
    net = train(&u, u.student, u.train, soft, 0, "soft");
    size_t e_soft = report(&u, "student soft", &net);

    net = train(&u, u.student, only(&u, 3, 3, 0), soft, 0, "no 3");
    size_t e = errors(&u, &net, 3, K, 0, &miss);
    double c = best_shift(&u, &net, 3, K, 1);
    printf("no 3 in the transfer set: %zu errors, %zu of threes; ", e, miss);
    e = errors(&u, &net, 3, K, c, &miss);
    printf("bias of 3 raised by %.1f: %zu, %zu of threes\n", c, e, miss);
    net = train(&u, u.student, only(&u, 7, 8, 1), soft, 0, "7 and 8");
    e = errors(&u, &net, 7, 8, 0, NULL);
    c = best_shift(&u, &net, 7, 8, -1);
    printf("only 7 and 8: %.1f%% wrong; biases lowered by %.1f: %.1f%%\n",
           100.0 * (double)e / (double)u.test.x.rows, -c,
           100.0 * (double)errors(&u, &net, 7, 8, c, NULL) / (double)u.test.x.rows);

    bnn_mlp_desc tiny = u.student;
    tiny.sizes[1] = tiny.sizes[2] = argc > 1 ? 30 : 6;
    if (u.lenet) {
        tiny.sizes[0] = 2, tiny.sizes[1] = 4, tiny.sizes[2] = 8;
        printf("errors of a student of 2 and 4 filters by temperature:");
    } else printf("errors of a student of 2x%zu by temperature:", tiny.sizes[1]);
    for (int k = 0; k < 5; k++) {
        soft.temperature = td[k];
        net = train(&u, tiny, u.train, soft, 0, "tiny");
        printf("  %g: %zu", (double)td[k], errors(&u, &net, K, K, 0, NULL));
    }
    printf("\nRESULT hinton student_plain=%zu student_soft=%zu teacher=%zu\n", e_plain, e_soft,
           e_teacher);
    if (u.tape.err || u.mem.err)
        fprintf(stderr, "hinton: %s\n", u.tape.err ? u.tape.msg : u.mem.msg);
    int failed = u.tape.err || u.mem.err;
    bnn_tape_free(&u.tape);
    bnn_arena_free(&u.mem);
    return failed;
}
