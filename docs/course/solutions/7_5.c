/* 7_5.c -- lecture 7, exercise 5: a network that grows while Laplace's evidence pays for a unit.
 *     cc -O2 -I. docs/course/solutions/7_5.c -o s -lm && ./s */
#include "../polynomial.h"

enum { ROWS = 30, TEST = 400, MOST = 5, STARTS = 3, STEPS = 1200 };

static bnn_net network(bnn_arena *mem, size_t units, uint64_t seed) {
    return bnn_mlp(bnn_params_new(mem), (bnn_mlp_desc){ .sizes = { 1, units, 1 }, .seed = seed,
                   .activation = BNN_TANH, .noise_std = (float)NOISE, .prior = { .std = 2 } });
}

static bnn_laplace fit(bnn_arena *mem, bnn_tape *tape, bnn_net net, bnn_data d) {
    bnn_stepper adam = bnn_adam(net.params, (bnn_adam_desc){ .lr = 0.05f });
    for (size_t s = 0; s < STEPS; s++) {
        bnn_tape_reset(tape);
        adam.lr = (float)bnn_lr_cosine(0.05, s, STEPS);
        bnn_backward(bnn_net_loss(&net, bnn_batch_all(tape, d)));
        bnn_step(&adam, tape);
    }
    return bnn_laplace_new(mem, tape, &net, d, BNN_LAPLACE_FULL);
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    bnn_data d = measure(&mem, &tape.rng, ROWS), test = measure(&mem, &tape.rng, TEST);
    double copies = 0, ln[MOST + 1], rmse[MOST + 1], before = -1e300;
    size_t chosen = 0;
    printf("units   weights   Laplace   with copies   test rmse\n");
    for (size_t k = 1; k <= MOST && !mem.err && !tape.err; k++) {
        ln[k] = -1e300, rmse[k] = 0;
        copies += log(2.0 * (double)k); /* k! orders, 2^k signs */
        for (uint64_t seed = 1; seed <= STARTS; seed++) {
            bnn_laplace la = fit(&mem, &tape, network(&mem, k, seed), d);
            if (mem.err || tape.err || !(la.log_evidence > ln[k])) continue;
            ln[k] = la.log_evidence;
            bnn_predictive p = bnn_laplace_predict(&mem, &tape, &la, test.x);
            rmse[k] = bnn_metric_rmse(p.mean, test.y);
        }
        printf("%5d %9d %9.2f %13.2f %11.3f\n", (int)k, (int)(3 * k + 1), ln[k], ln[k] + copies,
               rmse[k]);
        if (k == chosen + 1 && ln[k] > before + 0.5) chosen = k, before = ln[k];
    }
    printf("growth ends at %d units\n", (int)chosen);
    for (size_t k = 2; k <= 4 && !mem.err && !tape.err; k += 2) {
        bnn_net net = network(&mem, k, 1);
        bnn_ladder l = bnn_ladder_new(&mem, &net, d, (bnn_ladder_desc){ .rungs = 14 });
        bnn_evidence e = bnn_ladder_integrate(&l, &tape, 200);
        printf("%d units by a ladder: %.2f +- %.2f\n", (int)k, e.log_evidence, e.error);
        if (k == 2) check(near(e.log_evidence, ln[2] + log(8), 3 * e.error), "2 units: 8 copies");
    }
    check(chosen == 2 && rmse[2] < rmse[1] - 0.1 && rmse[5] > rmse[2] - 0.02, "two units suffice");
    return done(&mem, &tape);
}
