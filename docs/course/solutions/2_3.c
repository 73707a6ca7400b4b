/* 2_3.c -- lecture 2, exercise 3: halve the step until predictions agree.
 *     cc -O2 -I. docs/course/solutions/2_3.c -o s -lm && ./s */
#include "../two_weights.h"

static double p[GRID * GRID];

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(3) };
    bnn_net net = two_net(&mem);
    float *theta = net.params->theta;
    double mean, var, sd[4];
    two_posterior(p, N);
    two_moments(p, 1, &mean, &var);
    for (int k = 0; k < 4; k++) {
        int steps = 20000 << k; /* half the step, twice the steps */
        double s1 = 0, s2 = 0;
        bnn_stepper sgld = bnn_sgld(net.params, (bnn_sgld_desc){ .lr = 0.06f / (float)(1 << k) });
        theta[0] = theta[1] = 1;
        for (int s = -2000; s < steps; s++) {
            bnn_tape_reset(&tape);
            bnn_backward(bnn_net_loss(&net, bnn_batch_all(&tape, two_data())));
            bnn_step(&sgld, &tape);
            double f = (double)theta[1] * tanh((double)theta[0]);
            if (s >= 0) s1 += f / steps, s2 += f * f / steps;
        }
        sd[k] = sqrt(s2 - s1 * s1);
        printf("learning rate %.4f, %6d steps: sd of f(1) %.4f, over the grid's %.2f\n",
               0.06 / (1 << k), steps, sd[k], sd[k] / sqrt(var));
    }
    check(sd[0] > 1.25 * sqrt(var), "the longest step is far too wide");
    check(near(sd[3], sqrt(var), 0.1 * sqrt(var)), "the shortest is within a tenth");
    return done(&mem, &tape);
}
