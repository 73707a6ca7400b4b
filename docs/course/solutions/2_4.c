/* 2_4.c -- lecture 2, exercise 4: is the noise of minibatches a posterior? One weight, T = 0.
 *     cc -O2 -I. docs/course/solutions/2_4.c -o s -lm && ./s */
#include "../course.h"

enum { ROWS = 100, STEPS = 20000 };

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(4) };
    bnn_mat x = bnn_mat_new(&mem, ROWS, 1);
    bnn_params *w = bnn_params_new(&mem);
    bnn_params_add(w, 1, 1, "m", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    if (mem.err) return done(&mem, &tape);
    for (size_t i = 0; i < ROWS; i++) x.data[i] = i % 2 ? 1 : -1;
    for (int k = 0; k < 4; k++) {
        float lr = k % 2 ? 0.4f : 0.1f;
        size_t batch = k < 2 ? 10 : 50;
        double var = 0, n = (double)batch;
        double vg = ROWS * (ROWS - n) / (n * (ROWS - 1));
        double want = (double)lr * vg / 2 / (1 - (double)lr / 2);
        bnn_stepper sgd = bnn_sgd(w, (bnn_sgd_desc){ .lr = lr });
        for (int s = -500; s < STEPS; s++) {
            bnn_tape_reset(&tape);
            bnn_batch b = bnn_minibatch(&tape, (bnn_data){ x, x }, batch);
            bnn_var *r = bnn_sub(b.x, bnn_param(&tape, w, 0));
            bnn_backward(bnn_scale(bnn_mean(bnn_square(r)), 0.5f));
            bnn_step(&sgd, &tape);
            if (s >= 0) var += (double)w->theta[0] * (double)w->theta[0] * ROWS / STEPS;
        }
        printf("SGD, lr %.1f, batches of %2zu: variance over the posterior's %.3f, formula %.3f\n",
               (double)lr, batch, var, want);
        check(near(var, want, 0.1 * want + 0.01), "the formula holds");
    }
    return done(&mem, &tape);
}
