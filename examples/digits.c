/* digits.c -- a posterior over digit classifiers, and what it leaves behind: two single nets.
 *     cc -O2 -I.. digits.c -lm && ./a.out [folder of the digits] [seed] [sizes]
 * Trains a 64-200-200-10 net on 3823 real handwritten digits as one best net (MAP) and as an
 * ensemble of SGLD samples, then distills the ensemble into a net of the same shape and into one
 * with an eleventh of the weights. You should see that the students keep the ensemble's error and
 * log likelihood at one net's cost, that the small one errs less often than the large MAP net, and
 * that the predictive entropy rises on inputs that are not digits. A third argument trains students
 * of more sizes: how small may one be? */
#define BNN_STATIC /* one file: functions that it does not call are not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <stdio.h>
#include <time.h>

enum { BATCH = 100, MAP_STEPS = 4000, BURN_IN = 8000, THIN = 500, KEEP = 120 };

typedef struct { bnn_data train, test; bnn_mat not_digits; } digits;

/* Not digits, one for every test digit: half are a digit's pixels in random order (the same ink),
 * half are noise, every pixel uniform. */
static bnn_mat make_not_digits(bnn_arena *mem, bnn_rng *rng, bnn_mat x) {
    bnn_mat m = bnn_mat_copy(mem, x);
    size_t order[64];
    for (size_t i = 0; i < m.rows; i++) {
        float *row = m.data + i * m.cols;
        if (i % 2) bnn_rng_fill_uniform(rng, m.cols, row);
        else bnn_rng_permutation(rng, m.cols, order);
        for (size_t j = 0; i % 2 == 0 && j < m.cols; j++) row[j] = x.data[i * m.cols + order[j]];
    }
    return m;
}

static digits load(bnn_arena *mem, bnn_rng *rng, const char *folder) {
    digits d;
    d.train = example_data(mem, "digits", folder, "digits-train-images.idx",
                           "digits-train-labels.idx", 64, 16);
    d.test = example_data(mem, "digits", folder, "digits-test-images.idx",
                          "digits-test-labels.idx", 64, 16);
    d.not_digits = make_not_digits(mem, rng, d.test.x);
    return d;
}

/* One line: error, NLL and ECE on the test digits, time and memory of an answer. */
static void report(const char *name, bnn_arena *mem, bnn_tape *tape, const bnn_net *net,
                   const bnn_ensemble *post, bnn_data test) {
    clock_t start = clock();
    bnn_predictive p = bnn_predict(mem, tape, net, post, test.x);
    double us = 1e6 * (double)(clock() - start) / CLOCKS_PER_SEC / (double)test.x.rows;
    printf("RESULT digits method=%s error=%.2f nll=%.4f ece=%.4f us=%.2f bytes=%zu\n", name,
           100 * bnn_metric_error(p.mean, test.y), bnn_metric_nll(p.mean, test.y),
           bnn_metric_ece(p.mean, test.y, 15), us,
           (post ? post->count : 1) * net->params->n * sizeof(float));
}

/* All nets of the ensemble into one: noisy training inputs, the teachers' probabilities as labels.
 * Inputs are drawn without end, so the student has no prior. */
static bnn_net distill(bnn_arena *mem, bnn_tape *tape, bnn_mlp_desc shape, size_t steps,
                       const bnn_net *net, const bnn_ensemble *post, bnn_mat x) {
    bnn_net student = bnn_mlp(bnn_params_new(mem), shape);
    bnn_distill(tape, &student, net, post, x, (bnn_distill_desc){
        .steps = steps, .batch = BATCH, .lr = 2e-3f, .inputs = { .noise = 0.05f } });
    return student;
}

/* Students of one and two hidden layers beside the ensemble: how far apart are their answers? */
static void sizes(bnn_arena *mem, bnn_tape *tape, const bnn_net *net, const bnn_ensemble *post,
                  digits d) {
    static const size_t hidden[][2] = { { 16, 0 }, { 32, 0 }, { 48, 0 }, { 64, 0 }, { 96, 0 },
                                        { 128, 0 }, { 32, 32 }, { 48, 48 }, { 64, 64 } };
    bnn_mat teacher = bnn_predict(mem, tape, net, post, d.test.x).mean;
    for (size_t k = 0; k < sizeof hidden / sizeof *hidden && !tape->err && !mem->err; k++) {
        size_t a = hidden[k][0], b = hidden[k][1];
        bnn_mlp_desc shape = { .sizes = { 64, a, b ? b : 10, b ? 10 : 0 },
                               .likelihood = BNN_CATEGORICAL };
        bnn_net s = distill(mem, tape, shape, 30000, net, post, d.train.x);
        bnn_mat p = bnn_predict(mem, tape, &s, NULL, d.test.x).mean;
        if (!p.data || !teacher.data) return;
        double nll = bnn_metric_nll(p, d.test.y);
        printf("RESULT digits_students hidden=%zu second=%zu weights=%zu error=%.2f nll=%.4f "
               "ece=%.4f gap=%.4f agreement=%.4f kl=%.4f\n", a, b, s.params->n,
               100 * bnn_metric_error(p, d.test.y), nll, bnn_metric_ece(p, d.test.y, 15),
               nll - bnn_metric_nll(teacher, d.test.y), bnn_metric_agreement(p, teacher),
               bnn_metric_kl(teacher, p));
        fflush(stdout);
    }
}

int main(int argc, char **argv) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(argc > 2 ? example_seed("digits", argv[2]) : 1) };
    const char *folder = argc > 1 ? argv[1] : example_folder();
    example_most("digits", argc, argv, 3);
    digits d = load(&mem, &tape.rng, folder);

    /* one net: Adam on the posterior's energy */
    bnn_params *w = bnn_params_new(&mem);
    bnn_mlp_desc shape = { .sizes = { 64, 200, 200, 10 }, .likelihood = BNN_CATEGORICAL,
                           .prior = { .std = 8, .fan_in = 1 } };
    bnn_net net = bnn_mlp(w, shape);
    bnn_stepper adam = bnn_adam(w, (bnn_adam_desc){ .lr = 1e-3f });
    for (size_t s = 0; s < MAP_STEPS; s++) {
        bnn_tape_reset(&tape);
        adam.lr = (float)bnn_lr_cosine(1e-3, s, MAP_STEPS);
        bnn_backward(bnn_net_loss(&net, bnn_minibatch(&tape, d.train, BATCH)));
        bnn_step(&adam, &tape);
    }
    report("map", &mem, &tape, &net, NULL, d.test);

    /* the posterior: SGLD from there */
    bnn_stepper sgld = bnn_sgld(w, (bnn_sgld_desc){ .lr = 0.3f });
    bnn_ensemble post = bnn_ensemble_new(w, KEEP);
    for (size_t s = 0; s < BURN_IN + (size_t)KEEP * THIN; s++) {
        bnn_tape_reset(&tape);
        bnn_backward(bnn_net_loss(&net, bnn_minibatch(&tape, d.train, BATCH)));
        bnn_step(&sgld, &tape);
        if (s >= BURN_IN && s % THIN == THIN - 1) bnn_ensemble_push(&post);
    }
    report("sgld", &mem, &tape, &net, &post, d.test);
    if (argc > 3) sizes(&mem, &tape, &net, &post, d);

    bnn_net student = distill(&mem, &tape, shape, 15000, &net, &post, d.train.x);
    report("student", &mem, &tape, &student, NULL, d.test);
    bnn_mlp_desc small = { .sizes = { 64, 64, 10 }, .likelihood = BNN_CATEGORICAL };
    bnn_net little = distill(&mem, &tape, small, 30000, &net, &post, d.train.x);
    report("small_student", &mem, &tape, &little, NULL, d.test);

    /* does it know what it does not know? */
    bnn_mat in = bnn_predict(&mem, &tape, &net, &post, d.test.x).entropy;
    bnn_mat out = bnn_predict(&mem, &tape, &net, &post, d.not_digits).entropy;
    bnn_mat score = bnn_mat_new(&mem, in.rows + out.rows, 1);
    bnn_mat is_out = bnn_mat_new(&mem, in.rows + out.rows, 1);
    for (size_t i = 0; i < score.rows; i++) {
        score.data[i] = i < in.rows ? in.data[i] : out.data[i - in.rows];
        is_out.data[i] = i >= in.rows;
    }
    printf("RESULT digits entropy_in=%.3f entropy_out=%.3f auroc=%.4f\n",
           bnn_mat_sum(in) / (double)in.rows, bnn_mat_sum(out) / (double)out.rows,
           bnn_metric_auroc(&mem, score, is_out));

    if (tape.err || mem.err) fprintf(stderr, "digits: %s\n", tape.err ? tape.msg : mem.msg);
    int failed = tape.err || mem.err;
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return failed;
}
