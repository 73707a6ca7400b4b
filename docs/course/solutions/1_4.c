/* 1_4.c -- lecture 1, exercise 4: which numbers of four chains agree?
 *     cc -O2 -I. docs/course/solutions/1_4.c -o s -lm && ./s */
#include "../two_weights.h"

enum { CHAINS = 4, WARMUP = 300, DRAWS = 1000, SIZE = CHAINS * DRAWS };
static float w[SIZE], size_of_w[SIZE], product[SIZE], f1[SIZE];

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(4) };
    bnn_net net = two_net(&mem);
    float *theta = net.params->theta;
    for (int c = 0; c < CHAINS; c++) {
        theta[0] = theta[1] = c % 2 ? 1 : -1; /* two chains in each mode */
        bnn_stepper hmc = bnn_hmc(net.params, (bnn_hmc_desc){ .net = &net, .data = two_data(),
                                                              .warmup = WARMUP });
        for (int s = -WARMUP; s < DRAWS; s++) {
            bnn_tape_reset(&tape);
            bnn_step(&hmc, &tape);
            if (s < 0) continue;
            int k = c * DRAWS + s;
            w[k] = theta[0], size_of_w[k] = fabsf(theta[0]), product[k] = theta[0] * theta[1];
            f1[k] = theta[1] * tanhf(theta[0]);
        }
    }
    const char *name[] = { "w", "|w|", "w v", "f(1)" };
    float *what[] = { w, size_of_w, product, f1 };
    double rhat[4];
    for (int k = 0; k < 4; k++) {
        bnn_mat draws = { CHAINS, DRAWS, what[k] };
        rhat[k] = bnn_diag_rhat(&mem, draws);
        printf("%-5s R-hat %.3f, worth %4.0f independent draws of %d\n", name[k], rhat[k],
               bnn_diag_ess(&mem, draws), SIZE);
    }
    check(rhat[0] > 1.4, "w does not agree between chains");
    check(rhat[1] < 1.02 && rhat[2] < 1.02 && rhat[3] < 1.02, "what both modes share does");
    return done(&mem, &tape);
}
