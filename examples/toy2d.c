/* toy2d.c -- two classes in the plane: a posterior, and small networks that learned it.
 *     cc -O2 -I.. toy2d.c -lm && ./a.out
 * 10 points per class, network 2-10-2. The table has the mean KL(HMC || model) over a grid, in
 * nats, for three data sets. You should see the single best network (MAP) far off, SGLD closest,
 * the smallest student in between and both larger ones near SGLD. Where there is a folder build/,
 * the class probabilities go to build/toy2d.dat (docs/plots/toy2d.gp) and build/toy2d.pgm. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>

enum { PER = 10, N = 2 * PER, G = 41, SEEDS = 3, KEEP = 400, MODELS = 6 };

static const char *name[MODELS] = { "HMC", "MAP plug-in", "SGLD", "student 2-10-2",
                                    "student 2-100-2", "student 2-10-10-2" };

static bnn_mlp_desc shape(int model, uint64_t seed) {
    bnn_mlp_desc d = { .sizes = { 2, 10, 2 }, .likelihood = BNN_CATEGORICAL, .seed = seed };
    if (model == 4) d.sizes[1] = 100;
    if (model == 5) d.sizes[2] = 10, d.sizes[3] = 2;
    if (model >= 3) d.prior.kind = BNN_PRIOR_FLAT; /* a student has all the labels it wants */
    return d;
}

/* Weights of the posterior: by HMC, MAP by Adam, or SGLD. One sample for MAP. */
static bnn_ensemble infer(bnn_tape *tape, const bnn_net *net, bnn_data train, int model) {
    bnn_params *w = net->params;
    bnn_ensemble post = bnn_ensemble_new(w, KEEP);
    bnn_hmc_desc hmc = { .net = net, .data = train, .leapfrog = 20, .warmup = 200 };
    int steps = model == 0 ? 200 + 3 * KEEP : model == 1 ? 3000 : 4000 + 100 * KEEP;
    bnn_stepper s = model == 0 ? bnn_hmc(w, hmc)
                  : model == 1 ? bnn_adam(w, (bnn_adam_desc){ .lr = 1e-2f })
                               : bnn_sgld(w, (bnn_sgld_desc){ .lr = 0.1f });
    for (int k = 0; k < steps; k++) {
        bnn_tape_reset(tape);
        if (model != 0) bnn_backward(bnn_net_loss(net, bnn_batch_all(tape, train)));
        bnn_step(&s, tape);
        if (model == 0 && k >= 200 && k % 3 == 0) bnn_ensemble_push(&post);
        if (model == 2 && k >= 4000 && k % 100 == 0) bnn_ensemble_push(&post);
    }
    if (model == 1) bnn_ensemble_push(&post);
    return post;
}

static void write_pictures(bnn_mat x, const bnn_mat *p, bnn_data d) {
    FILE *dat = example_open("toy2d", "build/toy2d.dat");
    FILE *pgm = example_open("toy2d", "build/toy2d.pgm");
    for (size_t i = 0; dat && i < d.x.rows; i++)
        fprintf(dat, "%g %g %g\n", d.x.data[2 * i], d.x.data[2 * i + 1], d.y.data[i]);
    for (size_t i = 0; dat && i < x.rows; i++) {
        fprintf(dat, "%s%g %g", i % G ? "" : i ? "\n" : "\n\n", x.data[2 * i], x.data[2 * i + 1]);
        for (int m = 0; m < MODELS; m++) fprintf(dat, " %.4f", p[m].data[2 * i + 1]);
        fprintf(dat, "\n");
    }
    if (pgm) fprintf(pgm, "P5 %d %d 255\n", G * MODELS, G); /* models side by side */
    for (int r = 0; pgm && r < G; r++)
        for (int c = 0; c < G * MODELS; c++)
            fputc((int)(255 * p[c / G].data[2 * ((G - 1 - r) * G + c % G) + 1]), pgm);
    example_close("toy2d", "build/toy2d.dat", dat);
    example_close("toy2d", "build/toy2d.pgm", pgm);
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { 0 };
    double kl[MODELS][SEEDS] = { { 0 } };
    bnn_mat grid = bnn_mat_new(&mem, G * G, 2);
    for (int i = 0; i < G * G && !mem.err; i++) {
        grid.data[2 * i] = -5 + 10 * (float)(i % G) / (G - 1);
        grid.data[2 * i + 1] = -5 + 10 * (float)(i / G) / (G - 1);
    }
    for (int seed = 0; seed < SEEDS; seed++) {
        bnn_mark mark = bnn_arena_mark(&mem);
        tape.rng = bnn_rng_stream(1, (uint64_t)seed);
        bnn_data d = { bnn_mat_new(&mem, N, 2), bnn_mat_new(&mem, N, 1) };
        for (int i = 0; i < N && !mem.err; i++) { /* unit blobs around +-(1.2, 1.2) */
            d.y.data[i] = (float)(i % 2);
            for (int j = 0; j < 2; j++)
                d.x.data[2 * i + j] = (i % 2 ? 1.2f : -1.2f) + bnn_rng_normal(&tape.rng);
        }
        bnn_ensemble post = { 0 };
        bnn_net teacher = { 0 };
        bnn_predictive p;
        bnn_mat prob[MODELS];
        for (int m = 0; m < MODELS; m++) {
            bnn_net net = bnn_mlp(bnn_params_new(&mem), shape(m, (uint64_t)seed));
            if (m < 3) {
                bnn_ensemble e = infer(&tape, &net, d, m);
                p = bnn_predict(&mem, &tape, &net, &e, grid);
                if (m == 2) post = e, teacher = net;
            } else {
                bnn_distill(&tape, &net, &teacher, &post, grid, (bnn_distill_desc){
                    .steps = 6000, .lr = 5e-3f, .inputs = { .box = 1 } });
                p = bnn_predict(&mem, &tape, &net, NULL, grid);
            }
            prob[m] = p.mean;
            if (!tape.err && !mem.err) kl[m][seed] = bnn_metric_kl(prob[0], prob[m]);
        }
        if (tape.err || mem.err) {
            fprintf(stderr, "toy2d: %s\n", tape.err ? tape.msg : mem.msg);
            return 1;
        }
        if (seed == 0) write_pictures(grid, prob, d);
        bnn_arena_rewind(&mem, mark);
    }
    printf("KL(HMC || model)       set 1   set 2   set 3     mean\n");
    for (int m = 1; m < MODELS; m++) {
        double sum = 0;
        printf("%-20s", name[m]);
        for (int s = 0; s < SEEDS; s++) printf("  %6.4f", kl[m][s]), sum += kl[m][s];
        printf("   %6.4f\n", sum / SEEDS);
    }
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return example_failed;
}
