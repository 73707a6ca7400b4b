/* quickstart.c -- is what quickstart shows the posterior? Four chains of NUTS on its data and net,
 * 500 draws each, beside the means and standard deviations that it wrote:
 *     cc -O2 -I. tests/oracles/quickstart.c -lm && ./a.out build/quickstart.dat
 * RESULT has the largest relative difference of the ensemble's sd, of the student's, and of the
 * ensemble's mean in units of the sd, over 81 points; 0 is returned where the first is below .1. */
#define BNN_STATIC
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <math.h>
#include <stdio.h>

enum { N = 80, G = 81, CHAINS = 4, WARM = 500, DRAWS = 500 };

int main(int argc, char **argv) {
    static float x[N], y[N], gx[G];
    double saw[5], worst[3] = { 0, 0, 0 }, rhat = 0;
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    FILE *f = fopen(argc > 1 ? argv[1] : "build/quickstart.dat", "r");
    if (f == NULL) return puts("quickstart: no such file; run quickstart where build/ is"), 1;
    for (int i = 0; i < N; i++) { /* as there */
        float u = bnn_rng_uniform(&tape.rng);
        x[i] = i % 2 ? -2 + 1.4f * u : 0.8f + 1.2f * u;
        y[i] = sinf(2 * x[i]) + 0.2f * bnn_rng_normal(&tape.rng);
    }
    for (int i = 0; i < G; i++) gx[i] = -3 + 6 * (float)i / (G - 1);
    bnn_data train = { { N, 1, x }, { N, 1, y } };
    bnn_mat grid = { G, 1, gx };
    bnn_net net = { 0 };
    bnn_ensemble post = { 0 };
    for (int k = 0; k < CHAINS; k++) {
        net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, 16, 1 },
            .activation = BNN_TANH, .noise_std = 0.2f, .seed = 10 + (uint64_t)k });
        bnn_stepper nuts = bnn_nuts(net.params, (bnn_nuts_desc){ .net = &net, .data = train,
                                                                 .warmup = WARM });
        if (k == 0) post = bnn_ensemble_new(net.params, CHAINS * DRAWS);
        tape.rng = bnn_rng_stream(2, (uint64_t)k);
        for (int s = -WARM; s < DRAWS; s++) {
            bnn_tape_reset(&tape);
            bnn_step(&nuts, &tape);
            if (s >= 0) bnn_ensemble_push_from(&post, net.params, 1);
        }
    }
    bnn_predictive p = bnn_predict(&mem, &tape, &net, &post, grid);
    bnn_mat m = bnn_predict_chains(&mem, &tape, &net, &post, grid, CHAINS);
    for (int i = 0; i < G; i++) {
        for (int j = 0; j < 5; j++) if (fscanf(f, "%lf", &saw[j]) != 1) return 1;
        double sd = sqrt((double)p.aleatoric.data[i] + (double)p.epistemic.data[i]);
        worst[0] = fmax(worst[0], fabs(saw[2] / sd - 1));
        worst[1] = fmax(worst[1], fabs(saw[4] / sd - 1));
        worst[2] = fmax(worst[2], fabs(saw[1] - (double)p.mean.data[i]) / sd);
        rhat = fmax(rhat, bnn_diag_rhat(&mem, bnn_mat_rows(m, (size_t)i * CHAINS, CHAINS)));
        if (i % 20 == 0) printf("%6.2f  %7.3f %.3f\n", saw[0], p.mean.data[i], sd);
    }
    printf("RESULT quickstart sd=%.3f student=%.3f mean=%.3f rhat=%.4f\n", worst[0], worst[1],
           worst[2], rhat);
    fclose(f);
    int err = mem.err ? mem.err : tape.err;
    if (err) puts(mem.err ? mem.msg : tape.msg);
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return err || worst[0] > 0.1;
}
