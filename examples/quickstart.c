/* quickstart.c -- data, a network, its posterior, error bars, 200 networks into one, a file.
 *     cc -O2 -I.. quickstart.c -lm && ./a.out
 * 80 noisy points of sin 2x with a hole between -0.6 and 0.8. You should see two columns of
 * standard deviations, ensemble and student, that agree: near the noise (0.2) at the data, and more
 * than twice of it at x = 0 and x = +-3, in places where nobody measured. Those of the ensemble are
 * within 10 percent of a long run of NUTS (tests/oracles/quickstart.c). Where there is a folder
 * build/, the curves go to build/quickstart.dat for docs/plots/quickstart.gp. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <math.h>
#include <stdio.h>

enum { N = 80, G = 81, KEEP = 200, THIN = 1000, BURN_IN = 5000, STEPS = BURN_IN + KEEP * THIN };

static double sd(bnn_predictive p, int i) { /* of a new y: noise and doubt */
    return sqrt((double)p.aleatoric.data[i] + (double)p.epistemic.data[i]);
}

int main(void) {
    static float x[N], y[N], gx[G];
    bnn_arena mem  = { 0 };                        /* space: freed once, at the end        */
    bnn_tape  tape = { .rng = bnn_rng_seed(1) };   /* time:  reset at every step           */
    for (int i = 0; i < N; i++) {
        float u = bnn_rng_uniform(&tape.rng);
        x[i] = i % 2 ? -2 + 1.4f * u : 0.8f + 1.2f * u;
        y[i] = sinf(2 * x[i]) + 0.2f * bnn_rng_normal(&tape.rng);
    }
    for (int i = 0; i < G; i++) gx[i] = -3 + 6 * (float)i / (G - 1);
    bnn_data train = { { N, 1, x }, { N, 1, y } }; /* a matrix is a view: rows, cols, data */
    bnn_mat  grid  = { G, 1, gx };

    bnn_params  *w    = bnn_params_new(&mem);
    bnn_net      net  = bnn_mlp(w, (bnn_mlp_desc){
        .sizes = { 1, 16, 1 }, .activation = BNN_TANH, .noise_std = 0.2f });
    bnn_stepper  hmc  = bnn_sghmc(w, (bnn_sghmc_desc){ .lr = 2e-3f, .friction = 0.01f });
    bnn_ensemble post = bnn_ensemble_new(w, KEEP);
    for (int s = 0; s < STEPS; s++) {
        bnn_tape_reset(&tape);
        bnn_batch b = bnn_batch_all(&tape, train);           /* or bnn_minibatch           */
        bnn_backward(bnn_net_loss(&net, b));                 /* (-log posterior) / N       */
        bnn_step(&hmc, &tape);                               /* downhill, plus noise       */
        if (s >= BURN_IN && s % THIN == 0) bnn_ensemble_push(&post);
    }
    bnn_predictive p = bnn_predict(&mem, &tape, &net, &post, grid);

    bnn_params *v = bnn_params_new(&mem);                    /* 200 networks into one      */
    bnn_net student = bnn_mlp(v, (bnn_mlp_desc){
        .sizes = { 1, 24, 24, 2 }, .activation = BNN_TANH, .likelihood = BNN_GAUSSIAN_HETERO,
        .prior = { .kind = BNN_PRIOR_FLAT } });              /* mean and ln variance out   */
    bnn_distill(&tape, &student, &net, &post, grid, (bnn_distill_desc){
        .steps = 16000, .lr = 5e-3f, .inputs = { .box = 1, .margin = 0.1f } });
    bnn_predictive q = bnn_predict(&mem, &tape, &student, NULL, grid);

    bnn_net loaded = { 0 };
    int err = tape.err ? tape.err : bnn_save("student.bnn", &student);  /* errors are sticky */
    if (!err) err = bnn_load(&mem, "student.bnn", &loaded);
    bnn_predictive r = { 0 };
    if (!err) r = bnn_predict(&mem, &tape, &loaded, NULL, grid);
    if (tape.err || mem.err || err) {
        fprintf(stderr, "quickstart: %s\n", tape.err ? tape.msg : mem.msg);
        return 1;
    }

    printf("                   ensemble         student\n");
    printf("     x  sin 2x    mean     sd     mean     sd\n");
    for (int i = 0; i < G; i += 5)
        printf("%6.2f  %6.3f  %6.3f  %5.3f   %6.3f  %5.3f%s\n", gx[i], sin(2 * gx[i]),
               p.mean.data[i], sd(p, i), q.mean.data[i], sd(q, i),
               fabsf(gx[i]) > 2 || (gx[i] > -0.6f && gx[i] < 0.8f) ? "  no data here" : "");

    int same = 1;
    for (int i = 0; i < G; i++) same &= r.mean.data[i] == q.mean.data[i];
    printf("ensemble: %zu networks, %zu floats; student: 1 network, %zu floats; read back from\n"
           "student.bnn its predictions are %s\n", post.count, post.count * w->n, v->n,
           same ? "the same, bit for bit" : "different");

    FILE *f = fopen("build/quickstart.dat", "w");
    for (int i = 0; f && i < G; i++)
        fprintf(f, "%g %g %g %g %g\n", gx[i], p.mean.data[i], sd(p, i), q.mean.data[i], sd(q, i));
    for (int i = 0; f && i < N; i++) fprintf(f, "%s%g %g\n", i ? "" : "\n\n", x[i], y[i]);
    int lost = f && fflush(f) != 0;
    lost = (f && fclose(f) != 0) || lost;
    if (lost) fprintf(stderr, "quickstart: build/quickstart.dat: cannot be written\n");
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return !same || lost;
}
