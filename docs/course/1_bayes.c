/* 1_bayes.c -- lecture 1: posterior, predictive and evidence of a network of two weights, by a
 * grid, and Hamiltonian Monte Carlo beside it.
 *     cc -O2 -I. docs/course/1_bayes.c -o bayes -lm && ./bayes [folder of the pictures]
 * Change it: other data and noise in two_weights.h, the priors, the starts of the chains. */
#include "two_weights.h"

enum { CHAINS = 4, WARMUP = 300, DRAWS = 1000, POINTS = 5, G = 81 };

static double p[GRID * GRID]; /* the posterior, cell by cell */
static const float at[POINTS] = { 0.5f, 1, 2, 3, 4 };

/* Each chain starts at a draw from the prior. draws[k] (chains, draws) are f(at[k]); the last, w */
static void hmc_chains(bnn_arena *mem, bnn_tape *tape, bnn_net *net, bnn_ensemble *post,
                       bnn_mat *draws) {
    bnn_params *w = net->params;
    for (int k = 0; k <= POINTS; k++) draws[k] = bnn_mat_new(mem, CHAINS, DRAWS);
    for (size_t c = 0; c < CHAINS && !mem->err; c++) {
        bnn_params_sample_prior(w, &tape->rng);
        bnn_stepper hmc = bnn_hmc(w, (bnn_hmc_desc){ .net = net, .data = two_data(),
                                                     .warmup = WARMUP });
        for (int s = -WARMUP; s < DRAWS; s++) {
            bnn_tape_reset(tape);
            bnn_step(&hmc, tape);
            if (s < 0) continue;
            bnn_ensemble_push(post);
            for (int k = 0; k < POINTS; k++)
                draws[k].data[c * DRAWS + (size_t)s] = w->theta[1] * tanhf(w->theta[0] * at[k]);
            draws[POINTS].data[c * DRAWS + (size_t)s] = w->theta[0];
        }
    }
}

static void compare(bnn_arena *mem, const bnn_mat *draws) {
    double n = CHAINS * DRAWS, mean, var;
    printf("              grid: mean    sd   HMC: mean    sd   error of the mean   R-hat\n");
    for (int k = 0; k < POINTS; k++) {
        double m = bnn_mat_sum(draws[k]) / n;
        two_moments(p, (double)at[k], &mean, &var);
        printf("f(%.1f)             %6.3f %.3f      %6.3f %.3f              %.4f   %.3f\n",
               (double)at[k], mean, sqrt(var), m, sqrt(bnn_mat_dot(draws[k], draws[k]) / n - m * m),
               bnn_diag_mcse(mem, draws[k]), bnn_diag_rhat(mem, draws[k]));
    }
    double m = bnn_mat_sum(draws[POINTS]) / n;
    printf("w                   %6.3f            %6.3f                             %.3f\n", 0.0, m,
           bnn_diag_rhat(mem, draws[POINTS]));
}

/* The height above which the cells hold this share of the posterior */
static int falling(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}
static double level(double share) {
    static double sorted[GRID * GRID];
    double sum = 0;
    int k = 0;
    memcpy(sorted, p, sizeof p);
    qsort(sorted, GRID * GRID, sizeof *sorted, falling);
    while (sum < share) sum += sorted[k++];
    return sorted[k];
}

static void draw_posterior(const bnn_ensemble *post) {
    static float w[400], v[400];
    svg s = picture("1_posterior", "Posterior of two weights: two modes that are one function");
    svg_axes(&s, -4, 4, -4, 4, "weight w, into the hidden unit", "weight v, out of it");
    for (size_t k = 0; k < 400; k++) {
        bnn_params theta = bnn_ensemble_sample(post, 10 * k + 5);
        w[k] = theta.theta[0], v[k] = theta.theta[1];
    }
    svg_points(&s, 400, w, v, 4);
    svg_contour(&s, GRID, GRID, p, level(0.5), 0);
    svg_contour(&s, GRID, GRID, p, level(0.95), 5);
    svg_key(&s, "thick: half of the probability", 0, 0);
    svg_key(&s, "thin: 95 percent of it", 5, 0);
    svg_key(&s, "draws of HMC, every tenth", 4, 1);
    picture_end(&s);
}

static void draw_predictive(const bnn_ensemble *post) {
    float x[G], mean[G], lo[G], hi[G], one[G];
    svg s = picture("1_predictive", "Prediction: sure among the data, unsure outside");
    svg_axes(&s, -4, 4, -4, 4, "input x", "output y");
    for (int i = 0; i < G; i++) {
        double m, var;
        x[i] = -4 + 8 * (float)i / (G - 1);
        two_moments(p, (double)x[i], &m, &var);
        double sd = sqrt(var + two_noise * two_noise);
        mean[i] = (float)m, lo[i] = (float)(m - 2 * sd), hi[i] = (float)(m + 2 * sd);
    }
    svg_band(&s, G, x, lo, hi, 0);
    for (size_t k = 0; k < 12; k++) {
        bnn_params theta = bnn_ensemble_sample(post, k * (CHAINS * DRAWS / 12) + 7);
        for (int i = 0; i < G; i++) one[i] = theta.theta[1] * tanhf(theta.theta[0] * x[i]);
        svg_line(&s, G, x, one, 2);
    }
    svg_line(&s, G, x, mean, 0);
    svg_points(&s, N, two_x, two_y, 1);
    svg_key(&s, "mean; band: 2 standard deviations of a new y", 0, 0);
    svg_key(&s, "12 draws: networks that explain the data", 2, 0);
    svg_key(&s, "measurements", 1, 1);
    picture_end(&s);
}

/* Given w the network is linear in v, so the integral over v has a closed form (exercise 1): y is
 * Gaussian with covariance noise^2 I + sd^2 h h', h = tanh(w x), or h = x for the line. */
static double log_given_w(double w, double sd, int line) {
    double hh = 0, hy = 0, yy = 0, n2 = two_noise * two_noise, s2 = sd * sd;
    for (int i = 0; i < N; i++) {
        double x = (double)two_x[i], y = (double)two_y[i], h = line ? x : tanh(w * x);
        hh += h * h, hy += h * y, yy += y * y;
    }
    return -0.5 * (yy - s2 * hy * hy / (n2 + s2 * hh)) / n2 - 0.5 * log(1 + s2 * hh / n2) -
           N * log(two_noise * sqrt(8 * atan(1)));
}

static double log_evidence(double sd, int line) { /* both priors N(0, sd^2) */
    double sum = 0;
    enum { Q = 4000 };
    if (line) return log_given_w(0, sd, 1);
    for (int i = 0; i < Q; i++) {
        double z = -8 + 16 * (i + 0.5) / Q;
        sum += exp(log_given_w(sd * z, sd, 0) - z * z / 2) * 16 / Q / sqrt(8 * atan(1));
    }
    return log(sum);
}

static void evidence(void) {
    enum { STEPS = 41 };
    float lg[STEPS], net[STEPS], line[STEPS];
    double nothing = two_log_lik(0, 0, N);
    printf("\nln p(D) by the prior's sd      0.1   0.316       1    3.16      10\n");
    for (int kind = 1; kind >= 0; kind--) {
        printf("%-26s", kind ? "line       y = v x" : "network    y = v tanh(w x)");
        for (int k = -2; k <= 2; k++)
            printf("%8.2f", log_evidence(pow(10, k / 2.0), kind));
        printf("\n");
    }
    printf("nothing    y = 0          %8.2f\n", nothing);
    for (int k = 0; k < STEPS; k++) {
        lg[k] = -1.5f + 3 * (float)k / (STEPS - 1);
        net[k] = (float)log_evidence(pow(10, (double)lg[k]), 0);
        line[k] = (float)log_evidence(pow(10, (double)lg[k]), 1);
    }
    svg s = picture("1_evidence", "Evidence: neither too narrow nor too wide a prior");
    svg_axes(&s, -1.5, 1.5, -22, 8, "log10 of the prior's standard deviation",
             "ln p(D), nats");
    svg_line(&s, STEPS, lg, line, 0);
    svg_line(&s, STEPS, lg, net, 1);
    svg_key(&s, "line, y = v x", 0, 0);
    svg_key(&s, "network, y = v tanh(w x)", 1, 0);
    picture_end(&s);
}

int main(int argc, char **argv) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    bnn_mat draws[POINTS + 1];
    if (argc > 1) course_folder = argv[1];
    printf("%d measurements, ln p(D) = %.3f by a grid of %d x %d\n\n", N, two_posterior(p, N), GRID,
           GRID);
    bnn_net net = two_net(&mem);
    bnn_ensemble post = bnn_ensemble_new(net.params, CHAINS * DRAWS);
    hmc_chains(&mem, &tape, &net, &post, draws);
    if (!mem.err && !tape.err) {
        compare(&mem, draws);
        draw_posterior(&post);
        draw_predictive(&post);
        evidence();
    }
    return done(&mem, &tape);
}
