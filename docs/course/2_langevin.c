/* 2_langevin.c -- lecture 2: from gradient descent to SGLD: step size, minibatches, temperature,
 * mixing. First on one weight, where all is known, then on the two weights of lecture 1.
 *     cc -O2 -I. docs/course/2_langevin.c -o langevin -lm && ./langevin [folder of the pictures]
 * Change it: the learning rates in `rate`, the batch, the temperatures in `heat`. */
#include "two_weights.h"

enum { ROWS = 100, BATCH = 10, SHORT = 300, LONG = 40000, RATES = 4, HEATS = 4, TRACE = 2000 };
static const float rate[RATES] = { 0.02f, 0.1f, 0.5f, 1.0f };
static const float heat[HEATS] = { 0.1f, 1, 3, 10 };

/* One weight m, data x ~ N(m, 1) of mean 0 and variance 1: the posterior is N(0, 1/ROWS) */
static void one_step(bnn_tape *tape, bnn_stepper *s, bnn_params *w, bnn_data d, size_t batch) {
    bnn_tape_reset(tape);
    bnn_batch b = batch < ROWS ? bnn_minibatch(tape, d, batch) : bnn_batch_all(tape, d);
    bnn_var *r = bnn_sub(b.x, bnn_param(tape, w, 0));
    tape->n_data = b.n_data;
    bnn_backward(bnn_scale(bnn_mean(bnn_square(r)), 0.5f));
    bnn_step(s, tape);
}

static void paths(bnn_tape *tape, bnn_params *w, bnn_data d) {
    static float step[SHORT], path[3][SHORT], lo[SHORT], hi[SHORT];
    svg s = picture("2_paths", "Downhill, and downhill with noise");
    svg_axes(&s, 0, SHORT, -0.4, 1.2, "step", "weight");
    for (int kind = 0; kind < 3; kind++) { /* all data at T = 0, minibatches at T = 0, SGLD */
        bnn_stepper sgld = bnn_sgld(w, (bnn_sgld_desc){ .lr = 0.05f });
        if (kind < 2) sgld.temperature = 0;
        w->theta[0] = 1;
        for (int k = 0; k < SHORT; k++) {
            step[k] = (float)k, path[kind][k] = w->theta[0], lo[k] = -0.2f, hi[k] = 0.2f;
            one_step(tape, &sgld, w, d, kind == 1 ? BATCH : ROWS);
        }
    }
    svg_band(&s, SHORT, step, lo, hi, 5);
    svg_line(&s, SHORT, step, path[2], 1);
    svg_line(&s, SHORT, step, path[1], 2);
    svg_line(&s, SHORT, step, path[0], 0);
    svg_key(&s, "gradient descent, all data: ends at one point", 0, 0);
    svg_key(&s, "the same with batches of 10: a little noise", 2, 0);
    svg_key(&s, "SGLD: wanders over the posterior (gray: 2 sd)", 1, 0);
    picture_end(&s);
}

/* Variance over that of the posterior: (1 + lr v/2)/(1 - lr/2); v = 0 if all data are used */
static double widened(double lr, double n) {
    return (1 + lr / 2 * ROWS * (ROWS - n) / (n * (ROWS - 1.0))) / (1 - lr / 2);
}

static void step_sizes(bnn_arena *mem, bnn_tape *tape, bnn_params *w, bnn_data d) {
    enum { G = 50 };
    float got[2][RATES], line[2][G], lr[G];
    bnn_mat draws = bnn_mat_new(mem, 1, LONG);
    if (mem->err) return;
    printf("variance over the true one     all data: formula, measured   "
           "batches of %d      worth\n", BATCH);
    for (int k = 0; k < RATES; k++) {
        double ess = 0;
        for (int all = 0; all < 2; all++) {
            double sum = 0;
            bnn_stepper sgld = bnn_sgld(w, (bnn_sgld_desc){ .lr = rate[k] });
            for (int s = -1000; s < LONG; s++) {
                one_step(tape, &sgld, w, d, all ? ROWS : BATCH);
                if (s < 0) continue;
                draws.data[s] = w->theta[0];
                sum += (double)w->theta[0] * (double)w->theta[0] * ROWS / LONG;
            }
            got[all][k] = (float)sum;
            if (all) ess = bnn_diag_ess(mem, draws);
        }
        double r = (double)rate[k];
        printf("learning rate %.2f %24.3f %10.3f %12.3f %8.3f   %5.0f of %d\n", r, widened(r, ROWS),
               (double)got[1][k], widened(r, BATCH), (double)got[0][k], ess, LONG);
    }
    svg s = picture("2_steps", "A longer step and a smaller batch both widen the posterior");
    svg_axes(&s, 0, 1.1, 0, 12, "learning rate (1 = the Newton step)",
             "variance / variance of the posterior");
    for (int i = 0; i < G; i++) {
        lr[i] = 1.1f * (float)i / (G - 1);
        line[0][i] = (float)widened((double)lr[i], BATCH);
        line[1][i] = (float)widened((double)lr[i], ROWS);
    }
    for (int all = 0; all < 2; all++) {
        svg_line(&s, G, lr, line[all], all);
        svg_points(&s, RATES, rate, got[all], all);
    }
    svg_key(&s, "batches of 10: formula, and measured (points)", 0, 0);
    svg_key(&s, "all data", 1, 0);
    picture_end(&s);
}

/* SGLD on the net of lecture 1 */
static void temperatures(bnn_arena *mem, bnn_tape *tape) {
    static double p[GRID * GRID];
    static float trace[HEATS][TRACE], step[TRACE];
    double mean, var[2];
    bnn_net net = two_net(mem);
    two_posterior(p, N);
    for (int i = 0; i < 2; i++) two_moments(p, i ? 3 : 1, &mean, &var[i]);
    printf("\nsd of the function       f(1)    f(3)   crossings from island to island\n");
    printf("grid, temperature 1.0  %6.3f  %6.3f\n", sqrt(var[0]), sqrt(var[1]));
    for (int k = 0; k < HEATS && !mem->err; k++) {
        float *theta = net.params->theta;
        double s1[2] = { 0 }, s2[2] = { 0 };
        int crossings = 0, side = 1;
        theta[0] = theta[1] = 1;
        bnn_stepper sgld = bnn_sgld(net.params, (bnn_sgld_desc){ .lr = 0.02f,
                                                                 .temperature = heat[k] });
        for (int s = -2000; s < 3 * LONG; s++) {
            bnn_tape_reset(tape);
            bnn_backward(bnn_net_loss(&net, bnn_batch_all(tape, two_data())));
            bnn_step(&sgld, tape);
            for (int i = 0; i < 2 && s >= 0; i++) {
                double f = (double)theta[1] * tanh((double)theta[0] * (i ? 3 : 1));
                s1[i] += f / (3 * LONG), s2[i] += f * f / (3 * LONG);
            }
            if ((double)(theta[0] * (float)side) < -0.5) side = -side, crossings += s >= 0;
            if (s >= 0 && s % 60 == 0) trace[k][s / 60] = theta[0], step[s / 60] = (float)s / 1000;
        }
        printf("SGLD, temperature %4.1f  %6.3f  %6.3f   %d in %d steps\n", (double)heat[k],
               sqrt(s2[0] - s1[0] * s1[0]), sqrt(s2[1] - s1[1] * s1[1]), crossings, 3 * LONG);
    }
    svg s = picture("2_heat", "Heat carries a chain from island to island");
    svg_axes(&s, 0, 120, -12, 16, "step, in thousands", "weight w");
    svg_line(&s, TRACE, step, trace[3], 0);
    svg_line(&s, TRACE, step, trace[1], 5);
    svg_key(&s, "temperature 10: crosses, but samples another law", 0, 0);
    svg_key(&s, "temperature 1: the posterior, one island of it (black)", 5, 0);
    picture_end(&s);
}

int main(int argc, char **argv) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    bnn_mat x = bnn_mat_new(&mem, ROWS, 1);
    bnn_params *w = bnn_params_new(&mem);
    if (argc > 1) course_folder = argv[1];
    bnn_params_add(w, 1, 1, "m", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    if (!mem.err) {
        for (size_t i = 0; i < ROWS; i++) x.data[i] = i % 2 ? 1 : -1; /* mean 0, variance 1 */
        paths(&tape, w, (bnn_data){ x, x });
        step_sizes(&mem, &tape, w, (bnn_data){ x, x });
        temperatures(&mem, &tape);
    }
    return done(&mem, &tape);
}
