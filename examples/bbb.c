/* bbb.c -- Bayes by backprop: a curve with error bars from noise on the weights (Blundell et al.
 * 2015, figure 5), beside Hamiltonian Monte Carlo on the same net.
 *     cc -O2 -I.. bbb.c -lm && ./a.out [seed]
 * You should see the sd of the function grow where there is no data (x outside 0 .. 0.5), and grow
 * less than HMC's; among the data it is larger than HMC's. A Gaussian without correlations must
 * give up one or the other: that is mean field's known weakness, not a bug. The noise of the data
 * is N(0, 0.02^2), also inside the sines. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>

enum { N = 200, G = 13, STEPS = 12000, DRAWS = 200, BURN_IN = 150, KEEP = 150 };

int main(int argc, char **argv) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(argc > 1 ? example_seed("bbb", argv[1]) : 1) };
    example_most("bbb", argc, argv, 1);
    bnn_data train = { bnn_mat_new(&mem, N, 1), bnn_mat_new(&mem, N, 1) };
    bnn_mat grid = bnn_mat_new(&mem, G, 1);
    for (size_t i = 0; i < N; i++) {
        double x = 0.5 * bnn_rng_uniform(&tape.rng), e = 0.02 * bnn_rng_normal(&tape.rng);
        train.x.data[i] = (float)x;
        train.y.data[i] = (float)(x + 0.3 * sin(6.2831853 * (x + e)) +
                                  0.3 * sin(12.5663706 * (x + e)) + e);
    }
    for (size_t i = 0; i < G; i++) grid.data[i] = (float)i / 10 - 0.3f;

    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 40, 1 }, .activation = BNN_RELU,
                          .noise_std = 0.06f, .prior = { .std = 1 }, .seed = 1 });
    bnn_net_standardize(&net, train);

    /* q = N(mu, sigma^2) over every weight: likelihood and complexity, in nats per example */
    bnn_meanfield q = bnn_meanfield_new(w, (bnn_meanfield_desc){ .init_std = 0.02f });
    bnn_stepper adam = bnn_adam(q.params, (bnn_adam_desc){ .lr = 1e-2f });
    printf(" step   error loss   complexity loss   (nats per example)\n");
    for (size_t s = 0; s < STEPS; s++) {
        bnn_tape_reset(&tape);
        adam.lr = (float)bnn_lr_cosine(1e-2, s, STEPS);
        q.kl_weight = (float)bnn_kl_weight_warmup(s, STEPS / 4);
        bnn_meanfield_sample(&q, &tape);
        bnn_var *nll = bnn_net_nll(&net, bnn_batch_all(&tape, train));
        if (s % (STEPS / 4) == 0)
            printf("%5zu   %10.3f   %15.3f\n", s, bnn_value(nll), bnn_meanfield_kl(&q) / N);
        bnn_backward(nll);
        bnn_meanfield_backward(&q, &tape);
        bnn_step(&adam, &tape);
    }
    bnn_ensemble draws = bnn_ensemble_new(w, DRAWS);
    for (int i = 0; i < DRAWS; i++) bnn_meanfield_push(&q, &draws, &tape.rng);
    bnn_meanfield_cost cost = bnn_meanfield_measure(&q, &tape, &net, train, 100);
    printf("  end   %10.3f   %15.3f\n\n", cost.error / N, cost.complexity / N);

    /* the reference, from the mean of q */
    bnn_meanfield_mean(&q);
    bnn_stepper hmc = bnn_hmc(w, (bnn_hmc_desc){ .net = &net, .data = train, .leapfrog = 40,
                              .step = 1e-3f, .warmup = BURN_IN });
    bnn_ensemble chain = bnn_ensemble_new(w, KEEP);
    for (int s = 0; s < BURN_IN + KEEP; s++) {
        bnn_tape_reset(&tape);
        bnn_step(&hmc, &tape);
        if (s >= BURN_IN) bnn_ensemble_push(&chain);
    }

    bnn_predictive b = bnn_predict(&mem, &tape, &net, &draws, grid);
    bnn_predictive h = bnn_predict(&mem, &tape, &net, &chain, grid);
    double inside[2] = { 0, 0 }, outside[2] = { 0, 0 };
    printf("     x   backprop: mean     sd      HMC: mean     sd   (sd of the function)\n");
    for (size_t i = 0; i < G && !tape.err; i++) {
        double x = grid.data[i], s[2] = { sqrt(b.epistemic.data[i]), sqrt(h.epistemic.data[i]) };
        int data = x > -0.01 && x < 0.51;
        printf("%6.2f   %14.3f %6.3f %14.3f %6.3f%s\n", x, b.mean.data[i], s[0], h.mean.data[i],
               s[1], data ? "   data" : "");
        for (int k = 0; k < 2; k++) *(data ? &inside[k] : &outside[k]) += s[k] / (data ? 6 : 7);
    }
    printf("RESULT bbb method=meanfield sd_inside=%.4f sd_outside=%.4f error_nats=%.1f "
           "complexity_nats=%.1f\n", inside[0], outside[0], cost.error, cost.complexity);
    printf("RESULT bbb method=hmc sd_inside=%.4f sd_outside=%.4f accept=%.2f\n", inside[1],
           outside[1], hmc.hmc ? (double)hmc.hmc->accepted / (double)(hmc.hmc->draws + 1) : 0);

    if (tape.err || mem.err) fprintf(stderr, "bbb: %s\n", tape.err ? tape.msg : mem.msg);
    int failed = tape.err || mem.err;
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return failed;
}
