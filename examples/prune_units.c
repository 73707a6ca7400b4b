/* prune_units.c -- a net of a twentieth: units die together, and what is left becomes a file of C.
 *     cc -O2 -I.. prune_units.c -lm && ./a.out [seed] [folder for C] [KL weight] [MNIST] [epochs]
 * A mean field whose weights share one variance per row, the outgoing weights of an input or unit
 * (relevance determination), shows by the nats that a row holds whether the data need it. The
 * chain: a 64-200-200-10 net, its mean field, rows removed, a smaller net, taught by draws of the
 * large one, written as C. You should see about 4 percent of the weights, 1 percent of the bytes
 * and about as many errors. With the folder of MNIST: 784-300-100-10, minutes. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LAYERS = 3, CUTS = 24, DRAWS = 50 };

static bnn_arena mem;
static bnn_tape tape;
static unsigned long seed = 1;
static float kl; /* weight of the divergence */
static size_t epochs;
static bnn_data data, valid, test;

static const struct job {
    const char *name, *files[4];
    size_t sizes[LAYERS + 1], valid, batch, epochs;
    float range, kl;
} jobs[] = {
    { "digits", { "digits-train-images.idx", "digits-train-labels.idx", "digits-test-images.idx",
      "digits-test-labels.idx" }, { 64, 200, 200, 10 }, 623, 100, 200, 16, 0.3f },
    { "mnist", { "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
      "t10k-labels-idx1-ubyte" }, { 784, 300, 100, 10 }, 5000, 200, 40, 255, 0.3f } };
static const struct job *job = &jobs[0];

/* A mean field of `local`, fitted: Adam, and a divergence that grows during the first half */
static void train(const bnn_net *local, bnn_meanfield *q) {
    size_t steps = epochs * data.x.rows / job->batch;
    bnn_stepper adam = bnn_adam(q->params, (bnn_adam_desc){ 0 });
    for (size_t s = 0; s < steps; s++) {
        bnn_tape_reset(&tape);
        adam.lr = (float)bnn_lr_cosine(3e-3, s, steps);
        q->kl_weight = kl * (float)bnn_kl_weight_warmup(s, steps / 2);
        bnn_meanfield_sample(q, &tape);
        bnn_backward(bnn_net_nll(local, bnn_minibatch(&tape, data, job->batch)));
        bnn_meanfield_backward(q, &tape);
        bnn_step(&adam, &tape);
    }
}

/* A net with eyes for some inputs only: the weights of the others get no gradient and stay 0 */
typedef struct eyes {
    const bnn_net *of;
    bnn_mat open; /* (1,d), 1 or 0 */
} eyes;

static bnn_var *look(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    const eyes *e = net->user;
    return e->of->forward(t, e->of, bnn_mul(x, bnn_input(t, e->open)));
}

static double error(const bnn_net *net, const bnn_ensemble *post, bnn_data d, double *nll) {
    bnn_mark mark = bnn_arena_mark(&mem);
    bnn_mat p = bnn_predict(&mem, &tape, net, post, d.x).mean;
    double e = 100 * bnn_metric_error(p, d.y);
    *nll = bnn_metric_nll(p, d.y);
    bnn_arena_rewind(&mem, mark);
    return e;
}

/* Removes rows below so many nats; w gets the means that are left */
static size_t prune(bnn_meanfield *q, const bnn_params *all, double nats) {
    bnn_params_copy(q->params, all);
    size_t gone = bnn_meanfield_prune_rows(q, nats);
    bnn_meanfield_mean(q);
    return q->n - gone;
}

/* The largest threshold within one standard error of the best on held-out rows */
static double choose(bnn_meanfield *q, const bnn_params *all, const bnn_net *net) {
    double e[CUTS], best = 100, limit, nats = 0, nll;
    for (int i = 0; i < CUTS; i++) {
        prune(q, all, pow(2, 0.5 * i - 4));
        e[i] = error(net, NULL, valid, &nll);
        if (e[i] < best) best = e[i];
    }
    limit = best + sqrt(best * (100 - best) / (double)valid.x.rows);
    for (int i = 0; i < CUTS; i++)
        if (e[i] <= limit) nats = pow(2, 0.5 * i - 4);
    return nats;
}

/* A line; the bytes are those of the constants in C, where zeros cost little. keep: the inputs that
 * are not needed go, NULL: none */
static void report(const char *stage, const bnn_net *net, const bnn_ensemble *post,
                   const bnn_meanfield *q, const unsigned char *keep, size_t weights) {
    double nll, held_out = error(net, post, valid, &nll), e = error(net, post, test, &nll);
    bnn_mark mark = bnn_arena_mark(&mem);
    bnn_net c_net = keep ? bnn_mlp_keep_inputs(bnn_params_new(&mem), net, keep) : *net;
    bnn_emitted c = bnn_emit_c(&mem, &tape, &c_net, NULL, (bnn_emit_desc){ .moments = q });
    bnn_arena_rewind(&mem, mark);
    printf("RESULT prune_units data=%s kl=%g stage=%s seed=%lu held_out=%.2f error=%.2f nll=%.4f "
           "weights=%zu bytes=%zu\n", job->name, (double)kl, stage, seed, held_out, e, nll, weights,
           c.flash);
}

static void write_c(const char *folder, const char *kind, int storage, const bnn_net *net,
                    bnn_mat x) {
    char name[64], path[512];
    snprintf(name, sizeof name, "%s_%s", job->name, kind);
    snprintf(path, sizeof path, "%s/%s.c", folder, name);
    bnn_emitted c = bnn_emit_c(&mem, &tape, net, NULL, (bnn_emit_desc){ .name = name,
                               .storage = storage, .x = x });
    if (tape.err == BNN_OK && *folder && bnn_emit_save(&mem, path, &c) != BNN_OK) {
        fprintf(stderr, "prune_units: %s\n", mem.msg);
        example_failed = 1;
    }
    printf("RESULT prune_units data=%s kl=%g stage=emitted seed=%lu kind=%s changed=%.2f text=%zu "
           "bytes=%zu\n", job->name, (double)kl, seed, kind, 100 * c.changed, c.size, c.flash);
}

int main(int argc, char **argv) {
    const char *who = "prune_units", *to = argc > 2 ? argv[2] : "";
    const char *folder = argc > 4 ? argv[4] : example_folder();
    if (argc > 1) seed = (unsigned long)example_seed(who, argv[1]);
    if (argc > 4) job = &jobs[1];
    kl = argc > 3 ? (float)example_real(who, "KL weight", argv[3], 0, 1e6) : job->kl;
    epochs = argc > 5 ? example_whole(who, "epochs", argv[5], 1, 1e6) : job->epochs;
    example_most(who, argc, argv, 5);
    tape.rng = bnn_rng_seed(seed);
    size_t pixels = job->sizes[0];
    bnn_data all = example_data(&mem, who, folder, job->files[0], job->files[1], pixels,
                                job->range);
    test = example_data(&mem, who, folder, job->files[2], job->files[3], pixels, job->range);
    if (all.x.rows <= job->valid) {
        fprintf(stderr, "prune_units: %s: %zu rows, of which %zu are held out\n", folder,
                all.x.rows, (size_t)job->valid);
        return 1;
    }
    data = bnn_data_rows(all, 0, all.x.rows - job->valid);
    valid = bnn_data_rows(all, data.x.rows, job->valid);
    clock_t start = clock();

    /* the full net, and a mean field over it: one variance per row */
    bnn_params *w = bnn_params_new(&mem);
    bnn_mlp_desc desc = { .likelihood = BNN_CATEGORICAL, .seed = seed };
    for (size_t l = 0; l <= LAYERS; l++) desc.sizes[l] = job->sizes[l];
    bnn_net net = bnn_mlp(w, desc);
    bnn_meanfield q = bnn_meanfield_new(w, (bnn_meanfield_desc){ .ard = BNN_ARD_INPUT });
    bnn_net local = bnn_meanfield_net(&q, &net, BNN_NOISE_LOCAL);
    train(&local, &q);
    bnn_ensemble post = bnn_ensemble_new(w, DRAWS), whole = bnn_ensemble_new(q.params, 1);
    for (int i = 0; i < DRAWS; i++) bnn_meanfield_push(&q, &post, &tape.rng);
    bnn_ensemble_push(&whole); /* mu and rho before anything is removed */
    bnn_params trained = bnn_ensemble_sample(&whole, 0);
    bnn_meanfield_mean(&q);
    report("full", &net, NULL, NULL, NULL, w->n);
    report("meanfield", &net, &post, &q, NULL, w->n);

    /* prune, shrink: units that nothing enters or leaves go, then inputs that nothing looks at */
    double nats = choose(&q, &trained, &net);
    size_t left = prune(&q, &trained, nats);
    report("pruned", &net, NULL, NULL, NULL, left);
    bnn_net fewer = bnn_mlp_shrink(bnn_params_new(&mem), &net, NULL);
    bnn_mat first = bnn_params_mat(fewer.params, 0);
    eyes seen = { &fewer, bnn_mat_new(&mem, 1, first.rows) };
    unsigned char keep[784] = { 0 };
    size_t inputs = 0;
    for (size_t i = 0; i < first.rows; i++) {
        for (size_t j = 0; j < first.cols; j++) keep[i] |= *bnn_mat_at(first, i, j) != 0;
        seen.open.data[i] = keep[i];
        inputs += keep[i];
    }
    size_t n = fewer.params->n - (first.rows - inputs) * first.cols;
    report("shrunk", &fewer, NULL, NULL, keep, n);

    /* distill: the draws of the full net answer noisy copies of the training rows */
    bnn_net student = fewer;
    student.forward = look, student.user = &seen;
    bnn_distill(&tape, &student, &net, &post, data.x, (bnn_distill_desc){ .lr = 2e-3f,
        .steps = epochs * data.x.rows / job->batch, .batch = job->batch,
        .inputs = { .noise = 0.05f } });
    report("distilled", &fewer, NULL, NULL, keep, n);

    /* emit */
    bnn_net small = bnn_mlp_keep_inputs(bnn_params_new(&mem), &fewer, keep);
    bnn_mat x = bnn_mat_new(&mem, test.x.rows, inputs);
    for (size_t i = 0, k = 0; i < test.x.rows * test.x.cols; i++)
        if (keep[i % test.x.cols]) x.data[k++] = test.x.data[i];
    write_c(to, "float", BNN_EMIT_FLOAT, &small, x);
    write_c(to, "int8", BNN_EMIT_INT8, &small, x);
    printf("RESULT prune_units data=%s kl=%g stage=all seed=%lu from=%zu-%zu-%zu-%zu "
           "to=%zu-%zu-%zu-%zu nats=%.3g share=%.1f seconds=%.0f\n", job->name, (double)kl, seed,
           job->sizes[0], job->sizes[1], job->sizes[2], job->sizes[3], inputs, first.cols,
           fewer.params->blocks[2].cols, job->sizes[3], nats, 100 * (double)n / (double)w->n,
           (double)(clock() - start) / CLOCKS_PER_SEC);

    int failed = tape.err || mem.err;
    if (failed) fprintf(stderr, "prune_units: %s\n", tape.err ? tape.msg : mem.msg);
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return failed | example_failed;
}
