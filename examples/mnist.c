/* mnist.c -- Bayesian dark knowledge on MNIST (Balan et al. 2015): plain SGD, an SGLD posterior and
 * the student that learns from it while it runs. Long: tens of minutes on one core.
 *     cc -O2 -I.. mnist.c -o mnist -lm && ./mnist FOLDER [steps, 1000 or more [seed [more]]]
 * FOLDER holds the four IDX files of MNIST, gunzipped: train-images-idx3-ubyte, ... You should see
 * SGLD well below SGD in error, and the student, one net that heard far more samples, near it;
 * after 40,000 steps SGLD is level with SGD, and the student ahead. `more` is `sizes`, and smaller
 * students learn beside it (how many weights hold what the samples know?), or save=PATH: then the
 * state is kept there twenty times, and the same command goes on from it, to the same bits. For
 * other images of that size: name=WORD stands in the lines for mnist, and sgd=RATE is where plain
 * SGD starts (.3, too much for the brighter ones of Fashion-MNIST). */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#ifdef __unix__
#include <unistd.h>
#endif

enum { BATCH = 100, SIZES = 5 };

static const char *images = "mnist"; /* what the lines call them */

static double seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }

static void progress(const char *what, size_t done, size_t total, double error) {
#ifdef __unix__
    if (isatty(2)) fprintf(stderr, "\r%-8s %3.0f%%  test error %.2f%% ", what,
                           100.0 * (double)done / (double)total, 100 * error);
    else
#endif
    fprintf(stderr, "%s %zu/%zu test error %.2f%%\n", what, done, total, 100 * error);
    if (done == total) fputc('\n', stderr);
}

/* The NLL is that of the mean over the nets, in logs: after a million steps the nets are so sure
 * that a few test images have a probability below the smallest float. */
static bnn_mat report(const char *name, bnn_arena *mem, bnn_tape *tape, const bnn_net *net,
                      const bnn_ensemble *post, bnn_data test, size_t steps, double time,
                      double *nll) {
    bnn_mat p = bnn_predict(mem, tape, net, post, test.x).mean;
    if (!p.data) return p;
    *nll = -bnn_mat_sum(bnn_predict_log_lik(mem, tape, net, post, test)) / (double)test.y.rows;
    printf("RESULT %s method=%s error=%.2f nll=%.4f ece=%.4f steps=%zu seconds=%.0f", images, name,
           100 * bnn_metric_error(p, test.y), *nll, bnn_metric_ece(p, test.y, 15), steps, time);
    fflush(stdout);
    return p;
}

/* of one net, the last: the whole ensemble would take minutes */
static double quick_error(bnn_arena *mem, bnn_tape *tape, const bnn_net *net, bnn_data test) {
    bnn_mark mark = bnn_arena_mark(mem);
    double error = bnn_metric_error(bnn_predict(mem, tape, net, NULL, test.x).mean, test.y);
    bnn_arena_rewind(mem, mark);
    return error;
}

static void plain_sgd(bnn_arena *mem, bnn_tape *tape, bnn_mlp_desc shape, bnn_data train,
                      bnn_data test, size_t steps, double rate) {
    bnn_params *u = bnn_params_new(mem);
    bnn_net net = bnn_mlp(u, shape);
    bnn_stepper sgd = bnn_sgd(u, (bnn_sgd_desc){ .lr = (float)rate });
    double start = seconds(), nll;
    for (size_t s = 0; s < steps && !tape->err; s++) {
        bnn_tape_reset(tape);
        sgd.lr = (float)bnn_lr_cosine(rate, s, steps);
        bnn_backward(bnn_net_loss(&net, bnn_minibatch(tape, train, BATCH)));
        bnn_step(&sgd, tape);
        if ((s + 1) % (steps / 10) == 0 && !tape->err)
            progress("sgd", s + 1, steps, quick_error(mem, tape, &net, test));
    }
    if (report("sgd", mem, tape, &net, NULL, test, steps, seconds() - start, &nll).data)
        printf("\n");
}

/* Where a run stands, and what it was asked for */
typedef struct { size_t step, steps; uint64_t seed; double sampling, learning; } place;

/* Reads what an earlier run has saved, or writes it */
static void keep_state(bnn_arena *mem, const char *path, bnn_checkpoint *all, place *now,
                       int write) {
    place then = { 0 };
    bnn_mark mark = bnn_arena_mark(mem);
    bnn_bytes bytes = { now, sizeof *now };
    all->bytes[0] = &bytes;
    int err = write ? bnn_checkpoint_save(mem, path, all) : bnn_checkpoint_load(mem, path, all);
    if (err == BNN_OK && bytes.size == sizeof then) memcpy(&then, bytes.data, sizeof then);
    if (err != BNN_OK || then.steps != now->steps || then.seed != now->seed) {
        fprintf(stderr, "mnist: %s%s\n", err ? mem->msg : path,
                err ? "" : ": a run of other steps or of another seed");
        exit(1);
    }
    *now = then;
    bnn_arena_rewind(mem, mark);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "mnist: give the folder of the four MNIST files (IDX, gunzipped)\n");
        return 2;
    }
    const char *who = "mnist";
    size_t steps = argc > 2 ? example_whole(who, "steps", argv[2], 1000, 1e9) : 200000;
    uint64_t seed = argc > 3 ? example_seed(who, argv[3]) : 1;
    int by_size = 0;
    const char *path = NULL;
    double rate = 0.3;
    for (int a = 4; a < argc; a++) {
        if (strcmp(argv[a], "sizes") == 0 && !path) by_size = 1;
        else if (strncmp(argv[a], "save=", 5) == 0 && !by_size) path = argv[a] + 5;
        else if (strncmp(argv[a], "name=", 5) == 0) images = argv[a] + 5;
        else if (strncmp(argv[a], "sgd=", 4) == 0)
            rate = example_real(who, "sgd", argv[a] + 4, 1e-6, 10);
        else example_most(who, argc, argv, a - 1);
    }
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(seed) };
    bnn_data train = example_data(&mem, who, argv[1], "train-images-idx3-ubyte",
                                  "train-labels-idx1-ubyte", 784, 126);
    bnn_data test = example_data(&mem, who, argv[1], "t10k-images-idx3-ubyte",
                                 "t10k-labels-idx1-ubyte", 784, 126);
    /* in [0,2], as in Blundell et al. 2015: under N(0, 1) on every weight the scale of the inputs
     * is the width of the prior over functions; with [0,1] the error is 1.55, not 1.41 percent */

    bnn_mlp_desc shape = { .sizes = { 784, 400, 400, 10 }, .likelihood = BNN_CATEGORICAL,
                           .prior = { .std = 1 }, .seed = seed };
    place now = { .steps = steps, .seed = seed };
    FILE *saved = path ? fopen(path, "rb") : NULL;
    if (saved) fclose(saved);
    else plain_sgd(&mem, &tape, shape, train, test, steps / 8, rate);

    /* SGLD, and its students: after burn-in every fourth step they learn what the teacher of the
     * moment says about noisy inputs */
    static const size_t width[SIZES] = { 400, 200, 100, 50, 25 };
    size_t sizes = by_size ? SIZES : 1;
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, shape), student[SIZES];
    bnn_stepper sgld = bnn_sgld(w, (bnn_sgld_desc){ .lr = 0.12f }), adam[SIZES];
    for (size_t k = 0; k < sizes; k++) {
        shape.sizes[1] = shape.sizes[2] = width[k];
        student[k] = bnn_mlp(bnn_params_new(&mem), shape);
        adam[k] = bnn_adam(student[k].params, (bnn_adam_desc){ .lr = 1e-3f });
    }
    size_t burn_in = steps / 20, keep = steps < 120000 ? steps / 400 : 300;
    size_t thin = (steps - burn_in) / keep;
    bnn_ensemble post = bnn_ensemble_new(w, keep);
    bnn_checkpoint state = { .nets = { &net, &student[0] }, .steppers = { &sgld, &adam[0] },
                             .ensembles = { &post }, .rngs = { &tape.rng } };
    if (saved) keep_state(&mem, path, &state, &now, 0);
    double learning[SIZES] = { now.learning }, all = now.learning, nll, teacher_nll;
    double start = seconds() - now.sampling - now.learning;
    for (size_t s = now.step; s < steps && !tape.err; s++) {
        bnn_tape_reset(&tape);
        bnn_backward(bnn_net_loss(&net, bnn_minibatch(&tape, train, BATCH)));
        bnn_step(&sgld, &tape);
        if (s >= burn_in && s % 4 == 0) {
            double t0 = seconds();
            bnn_inputs_desc near = { .noise = 0.05f };
            bnn_var *x = bnn_distill_inputs(&tape, train.x, BATCH, near);
            for (size_t k = 0; k < sizes; k++, t0 = seconds()) {
                adam[k].lr = (float)bnn_lr_cosine(1e-3, s - burn_in, steps - burn_in);
                bnn_backward(bnn_distill_loss(&student[k], x, &net, NULL));
                bnn_step(&adam[k], &tape);
                learning[k] += seconds() - t0, all += seconds() - t0;
            }
        }
        if (s >= burn_in && (s - burn_in) % thin == thin - 1 && post.count < keep)
            bnn_ensemble_push(&post);
        if ((s + 1) % (steps / 4) == 0 && !tape.err)
            progress("sgld", s + 1, steps, quick_error(&mem, &tape, &net, test));
        if (path && (s + 1) % (steps / 20) == 0 && !tape.err && !mem.err) {
            now = (place){ s + 1, steps, seed, seconds() - start - all, all };
            keep_state(&mem, path, &state, &now, 1);
        }
    }
    double sampling = seconds() - start - all;
    bnn_mat p = report("sgld", &mem, &tape, &net, &post, test, steps, sampling,
                       &teacher_nll);
    bnn_ensemble late = post; /* the half that was drawn last */
    late.count -= post.count / 2, late.weights += post.count / 2;
    late.samples = bnn_mat_rows(post.samples, post.count / 2, late.count);
    if (p.data) printf("\n");
    if (report("sgld_late", &mem, &tape, &net, &late, test, steps, sampling, &nll).data)
        printf("\n");
    for (size_t k = 0; k < sizes && p.data; k++) {
        bnn_mat q = report("student", &mem, &tape, &student[k], NULL, test,
                           (steps - burn_in) / 4, learning[k], &nll);
        if (!q.data) break;
        printf(" hidden=%zu weights=%zu gap=%.4f agreement=%.4f kl=%.4f\n", width[k],
               student[k].params->n, nll - teacher_nll, bnn_metric_agreement(q, p),
               bnn_metric_kl(p, q));
    }

    if (tape.err || mem.err) fprintf(stderr, "mnist: %s\n", tape.err ? tape.msg : mem.msg);
    int failed = tape.err || mem.err;
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return failed;
}
