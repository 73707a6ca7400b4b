/* 8_5.c -- lecture 8, exercise 5: simulation-based calibration of SGLD: as it is, with half of the
 * noise, and with too long a step.
 *     cc -O2 -I. docs/course/solutions/8_5.c -o s -lm && ./s */
#include "../course.h"

enum { N = 8, SETS = 300, RANKS = 16, BARS = 8, BURN = 100, THIN = 16 };

/* chi-square of the ranks of the slope among RANKS - 1 draws */
static double calibrate(bnn_arena *mem, bnn_tape *tape, const char *name, float lr, float T) {
    float xs[N], ys[N];
    int count[BARS] = { 0 };
    double chi2 = 0, want = (double)SETS / BARS;
    bnn_data d = { { N, 1, xs }, { N, 1, ys } };
    bnn_net net = bnn_mlp(bnn_params_new(mem), (bnn_mlp_desc){ .sizes = { 1, 1 },
                          .noise_std = 0.5f });
    bnn_stepper sgld = bnn_sgld(net.params, (bnn_sgld_desc){ .lr = lr, .temperature = T });
    if (mem->err) return 0;
    for (int k = 0; k < SETS; k++) {
        int rank = 0;
        bnn_params_sample_prior(net.params, &tape->rng); /* the truth of this data set */
        float b = net.params->theta[0], a = net.params->theta[1];
        for (int i = 0; i < N; i++) {
            xs[i] = -1.4f + 0.4f * (float)i;
            ys[i] = a + b * xs[i] + 0.5f * bnn_rng_normal(&tape->rng);
        }
        bnn_params_sample_prior(net.params, &tape->rng); /* a start that knows nothing */
        for (int s = 1; s <= BURN + (RANKS - 1) * THIN; s++) {
            bnn_tape_reset(tape);
            bnn_backward(bnn_net_loss(&net, bnn_batch_all(tape, d)));
            bnn_step(&sgld, tape);
            if (s > BURN && (s - BURN) % THIN == 0) rank += net.params->theta[0] < b;
        }
        count[rank * BARS / RANKS]++;
    }
    printf("%-20s", name);
    for (int i = 0; i < BARS; i++) {
        printf("%5d", count[i]);
        chi2 += (count[i] - want) * (count[i] - want) / want;
    }
    printf(" %10.1f %10.2g\n", chi2, bnn_gamma_q((BARS - 1) / 2.0, chi2 / 2));
    return chi2;
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(85) };
    printf("ranks of the slope in eight bins, %d data sets  chi-square          p\n", SETS);
    double right = calibrate(&mem, &tape, "SGLD", 0.04f, 1);
    double half = calibrate(&mem, &tape, "half of the noise", 0.04f, 0.25f);
    double far = calibrate(&mem, &tape, "ten times the step", 0.4f, 1);
    check(right < 24.3, "SGLD passes, p > .001"); /* quantile of chi-square, 7 degrees */
    check(half > 24.3 && far > 24.3, "the two wrong ones do not");
    return done(&mem, &tape);
}
