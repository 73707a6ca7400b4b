/* 2_5.c -- lecture 2, exercise 5: cycles of heat and cold find both islands.
 *     cc -O2 -I. docs/course/solutions/2_5.c -o s -lm && ./s */
#include "../two_weights.h"

enum { STEPS = 60000, CYCLES = 20 };

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(5) };
    bnn_net net = two_net(&mem);
    float *theta = net.params->theta;
    double p_right[2] = { 0 };
    int moves[2] = { 0 };
    for (int kind = 0; kind < 2; kind++) {
        int kept = 0, right = 0, last = 1;
        double s1 = 0, s2 = 0;
        theta[0] = theta[1] = 1;
        bnn_stepper sgld = bnn_sgld(net.params, (bnn_sgld_desc){ .lr = 0.01f });
        for (int s = 0; s < STEPS; s++) {
            int cold = s % (STEPS / CYCLES) >= STEPS / CYCLES / 2; /* the second half of a cycle */
            sgld.temperature = kind && !cold ? 20 : 1;
            bnn_tape_reset(&tape);
            bnn_backward(bnn_net_loss(&net, bnn_batch_all(&tape, two_data())));
            bnn_step(&sgld, &tape);
            if (s % (STEPS / CYCLES) < STEPS / CYCLES * 2 / 3) continue; /* cold, and settled */
            double f = (double)theta[1] * tanhf(theta[0]);
            kept++, right += theta[0] > 0, s1 += f, s2 += f * f;
            moves[kind] += (theta[0] > 0) != last;
            last = theta[0] > 0;
        }
        p_right[kind] = (double)right / kept;
        printf("%-22s right island %.2f of the draws, changes %2d, f(1) %.3f +- %.3f\n",
               kind ? "heated every cycle" : "temperature 1 always", p_right[kind], moves[kind],
               s1 / kept, sqrt(s2 / kept - pow(s1 / kept, 2)));
    }
    check(p_right[0] > 0.999, "without heat the chain stays");
    check(p_right[1] > 0.2 && p_right[1] < 0.8 && moves[1] > 3, "with heat it visits both");
    return done(&mem, &tape);
}
