/* cubic.c -- y = x^3 + N(0, 9): a posterior, its student, and the truth (Balan et al. 2015).
 *     cc -O2 -I.. cubic.c -lm && ./a.out
 * 20 data on [-4,4], network 1-100-1, noise known. You should see three standard deviations of a
 * new y: HMC, SGLD, and one student of the SGLD networks that stays within 15 percent of its
 * teacher on [-4,4]. All grow outside, SGLD, which moves less far in its time, less than HMC.
 * Where there is a folder build/, the curves go to build/cubic.dat for docs/plots/cubic.gp. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>

enum { N = 20, G = 61, KEEP = 500, WARMUP = 150, SGLD_STEPS = 120000, BURN_IN = 20000,
       STEPS = 15000 };

static double sd(bnn_predictive p, int i) {
    return sqrt((double)p.aleatoric.data[i] + (double)p.epistemic.data[i]);
}

int main(void) {
    static float x[N], y[N], gx[G];
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    for (int i = 0; i < N; i++) {
        x[i] = 8 * bnn_rng_uniform(&tape.rng) - 4;
        y[i] = x[i] * x[i] * x[i] + 3 * bnn_rng_normal(&tape.rng);
    }
    for (int i = 0; i < G; i++) gx[i] = -6 + 12 * (float)i / (G - 1);
    bnn_data train = { { N, 1, x }, { N, 1, y } };
    bnn_mat grid = { G, 1, gx };

    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 100, 1 }, .noise_std = 3,
                                             .prior = { .std = sqrtf(10) } });
    bnn_stepper adam = bnn_adam(w, (bnn_adam_desc){ .lr = 2e-2f }); /* start near the data */
    for (int s = 0; s < 3000; s++) {
        bnn_tape_reset(&tape);
        bnn_backward(bnn_net_loss(&net, bnn_batch_all(&tape, train)));
        bnn_step(&adam, &tape);
    }
    bnn_params *start = bnn_params_new(&mem);
    bnn_mlp(start, (bnn_mlp_desc){ .sizes = { 1, 100, 1 }, .noise_std = 1 });
    bnn_params_copy(start, w);

    bnn_stepper sgld = bnn_sgld(w, (bnn_sgld_desc){ .lr = 1e-3f }); /* eps = 2 lr/N */
    bnn_ensemble post = bnn_ensemble_new(w, KEEP);
    for (int s = 0; s < SGLD_STEPS; s++) {
        bnn_tape_reset(&tape);
        bnn_backward(bnn_net_loss(&net, bnn_minibatch(&tape, train, 1)));
        bnn_step(&sgld, &tape);
        if (s >= BURN_IN && s % ((SGLD_STEPS - BURN_IN) / KEEP) == 0) bnn_ensemble_push(&post);
    }
    bnn_predictive p = bnn_predict(&mem, &tape, &net, &post, grid);

    bnn_params_copy(w, start);
    bnn_stepper hmc = bnn_hmc(w, (bnn_hmc_desc){ .net = &net, .data = train, .leapfrog = 50,
                                                 .warmup = WARMUP });
    bnn_ensemble truth = bnn_ensemble_new(w, KEEP);
    for (int s = 0; s < WARMUP + KEEP; s++) {
        bnn_tape_reset(&tape);
        bnn_step(&hmc, &tape);
        if (s >= WARMUP) bnn_ensemble_push(&truth);
    }
    bnn_predictive h = bnn_predict(&mem, &tape, &net, &truth, grid);

    bnn_net student = bnn_mlp(bnn_params_new(&mem),
                              (bnn_mlp_desc){ .sizes = { 1, 30, 30, 2 }, .activation = BNN_TANH,
                                              .likelihood = BNN_GAUSSIAN_HETERO,
                                              .prior = { .kind = BNN_PRIOR_FLAT } });
    if (!tape.err) bnn_net_standardize(&student, (bnn_data){ grid, p.mean }); /* y is +-200 */
    bnn_distill(&tape, &student, &net, &post, grid,
                (bnn_distill_desc){ .steps = STEPS, .lr = 5e-3f, .inputs = { .box = 1 } });
    bnn_predictive q = bnn_predict(&mem, &tape, &student, NULL, grid);
    if (tape.err || mem.err) {
        fprintf(stderr, "cubic: %s\n", tape.err ? tape.msg : mem.msg);
        return 1;
    }

    double worst = 0;
    for (int i = 0; i < G; i++)
        if (fabsf(gx[i]) < 4.01f) worst = fmax(worst, fabs(sd(q, i) / sd(p, i) - 1));
    printf("                      HMC             SGLD          student\n");
    printf("    x     x^3     mean     sd     mean     sd     mean     sd\n");
    for (int i = 0; i < G; i += 5)
        printf("%5.1f  %6.1f   %6.1f  %5.2f   %6.1f  %5.2f   %6.1f  %5.2f\n", gx[i],
               pow(gx[i], 3), h.mean.data[i], sd(h, i), p.mean.data[i], sd(p, i), q.mean.data[i],
               sd(q, i));
    printf("student's sd differs from its teacher's by at most %.0f percent on [-4,4]\n",
           100 * worst);
    printf("HMC accepted %.0f percent of %d draws\n", 100 * hmc.hmc->accept_sum / KEEP, KEEP);

    FILE *f = example_open("cubic", "build/cubic.dat");
    for (int i = 0; f && i < G; i++)
        fprintf(f, "%g %g %g %g %g %g %g\n", gx[i], h.mean.data[i], sd(h, i), p.mean.data[i],
                sd(p, i), q.mean.data[i], sd(q, i));
    for (int i = 0; f && i < N; i++) fprintf(f, "%s%g %g\n", i ? "" : "\n\n", x[i], y[i]);
    example_close("cubic", "build/cubic.dat", f);
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return example_failed;
}
