/* digits.c -- a posterior over digit classifiers, and one small student of it.
 *     cc -O2 -I.. digits.c -lm && ./a.out [folder of the digits, default: data or examples/data]
 * Trains a 64-200-200-10 net three ways on 3823 real handwritten digits: one best net (MAP), an
 * ensemble of SGLD samples, and a student distilled from the ensemble. You should see the ensemble
 * beat the single net in log likelihood and calibration, the student keep most of that at one
 * net's cost, and the predictive entropy rise on inputs that are not digits. */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 100, MAP_STEPS = 4000, BURN_IN = 8000, THIN = 250, KEEP = 120 };

typedef struct { bnn_data train, test; bnn_mat not_digits; } digits;

static bnn_mat read_idx(bnn_arena *mem, const char *folder, const char *name) {
    char path[512];
    bnn_mat m = { 0, 0, NULL };
    snprintf(path, sizeof path, "%s/digits-%s.idx", folder, name);
    if (bnn_idx_load(mem, path, &m) != BNN_OK) {
        fprintf(stderr, "digits: %s\n", mem->msg);
        exit(1);
    }
    return m;
}

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
    digits d = { { read_idx(mem, folder, "train-images"), read_idx(mem, folder, "train-labels") },
                 { read_idx(mem, folder, "test-images"), read_idx(mem, folder, "test-labels") },
                 { 0, 0, NULL } };
    bnn_mat_scale(d.train.x, d.train.x, 1 / 16.0f);
    bnn_mat_scale(d.test.x, d.test.x, 1 / 16.0f);
    d.not_digits = make_not_digits(mem, rng, d.test.x);
    return d;
}

/* One line: error, NLL and ECE on the test digits. */
static void report(const char *name, bnn_arena *mem, bnn_tape *tape, const bnn_net *net,
                   const bnn_ensemble *post, bnn_data test) {
    bnn_predictive p = bnn_predict(mem, tape, net, post, test.x);
    size_t nets = post ? post->count : 1;
    printf("RESULT digits method=%s error=%.2f nll=%.4f ece=%.4f params=%zu bytes=%zu\n", name,
           100 * bnn_metric_error(p.mean, test.y), bnn_metric_nll(p.mean, test.y),
           bnn_metric_ece(p.mean, test.y, 15), nets * net->params->n,
           nets * net->params->n * sizeof(float));
}

int main(int argc, char **argv) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    FILE *here = fopen("data/digits-test-labels.idx", "rb");
    const char *folder = argc > 1 ? argv[1] : here ? "data" : "examples/data";
    if (here) fclose(here);
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

    /* 120 nets into one: noisy training inputs, the teachers' probabilities as labels */
    bnn_params *v = bnn_params_new(&mem);
    bnn_net student = bnn_mlp(v, shape);
    bnn_distill(&tape, &student, &net, &post, d.train.x,
                (bnn_distill_desc){ .steps = 15000, .batch = BATCH, .lr = 2e-3f,
                                    .inputs = { .noise = 0.1f } });
    report("student", &mem, &tape, &student, NULL, d.test);

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
