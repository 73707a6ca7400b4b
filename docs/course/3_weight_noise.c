/* 3_weight_noise.c -- lecture 3: a Gaussian for every weight. A line, where all is known; then a
 * net that reads digits: what it costs in bits, and which weights it needs.
 *     cc -O2 -I. docs/course/3_weight_noise.c -o noise -lm && ./noise [folder of the pictures]
 * Run it where the folder examples is. Change it: line_x, EPOCHS, the prior, kl_weight. */
#include "course.h"

enum { POINTS = 8, FIT = 20000, GRID = 121, EPOCHS = 40, BATCH = 50, CUTS = 20 };
static float line_x[POINTS] = { 1, 1.4f, 1.8f, 2.2f, 2.6f, 3, 3.4f, 3.8f };
static float line_y[POINTS] = { 0.3f, 1.2f, 0.7f, 1.6f, 1.1f, 2.1f, 1.5f, 2.4f };
static const double noise = 0.5; /* sd of a measurement; priors are N(0, 1) */

/* y = a + b x. The posterior is exactly normal: precision A, mean m. Index 0 is b, 1 is a */
typedef struct { double A[2][2], m[2], var[2], cov, det, log_evidence; } exact;

static exact solve(const float *x) {
    exact e = { .A = { { 1, 0 }, { 0, 1 } } };
    double r[2] = { 0, 0 }, yy = 0, v = noise * noise;
    for (int i = 0; i < POINTS; i++) {
        double u = (double)x[i], y = (double)line_y[i];
        e.A[0][0] += u * u / v, e.A[0][1] += u / v, e.A[1][1] += 1 / v;
        r[0] += u * y / v, r[1] += y / v, yy += y * y / v;
    }
    e.A[1][0] = e.A[0][1];
    e.det = e.A[0][0] * e.A[1][1] - e.A[0][1] * e.A[0][1];
    e.var[0] = e.A[1][1] / e.det, e.var[1] = e.A[0][0] / e.det, e.cov = -e.A[0][1] / e.det;
    e.m[0] = e.var[0] * r[0] + e.cov * r[1], e.m[1] = e.cov * r[0] + e.var[1] * r[1];
    e.log_evidence = -(yy - e.m[0] * r[0] - e.m[1] * r[1]) / 2 - log(e.det) / 2 -
                     POINTS * log(noise * sqrt(8 * atan(1)));
    return e;
}

/* The curves on which a normal law of two weights keeps 95 percent inside: quadratic form 5.99 */
static void draw_ellipses(const exact *e, const double *mu, const double *s) {
    static double truth[GRID * GRID], field[GRID * GRID];
    double b0 = -0.2, b1 = 1.2, a0 = -1.5, a1 = 1.9;
    for (int i = 0; i < GRID; i++)
        for (int j = 0; j < GRID; j++) {
            double b = b0 + (b1 - b0) * j / (GRID - 1), a = a0 + (a1 - a0) * i / (GRID - 1);
            double db = b - e->m[0], da = a - e->m[1], zb = (b - mu[0]) / s[0];
            double za = (a - mu[1]) / s[1];
            truth[i * GRID + j] = e->A[0][0] * db * db + 2 * e->A[0][1] * db * da +
                                  e->A[1][1] * da * da;
            field[i * GRID + j] = zb * zb + za * za;
        }
    svg p = picture("3_ellipse", "Posterior of a line, and weight noise in its place");
    svg_axes(&p, b0, b1, a0, a1, "slope b", "intercept a");
    svg_contour(&p, GRID, GRID, truth, 5.99, 0);
    svg_contour(&p, GRID, GRID, field, 5.99, 1);
    svg_note(&p, 0.6, 1.55, "thick: the posterior");
    svg_note(&p, 0.6, 1.25, "thin: weight noise");
    picture_end(&p);
}

static void line(bnn_arena *mem, bnn_tape *tape, const float *shown, const char *name) {
    float x[POINTS];
    for (int i = 0; i < POINTS; i++) x[i] = shown[i];
    exact e = solve(x);
    bnn_data d = { { POINTS, 1, x }, { POINTS, 1, line_y } };
    bnn_params *w = bnn_params_new(mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_std = (float)noise });
    bnn_meanfield q = bnn_meanfield_new(w, (bnn_meanfield_desc){ .init_std = 0.1f });
    bnn_stepper adam = bnn_adam(q.params, (bnn_adam_desc){ .lr = 0.02f });
    for (size_t s = 0; s < FIT; s++) {
        bnn_tape_reset(tape);
        adam.lr = (float)bnn_lr_cosine(0.02, s, FIT);
        bnn_meanfield_sample(&q, tape);
        bnn_backward(bnn_net_nll(&net, bnn_batch_all(tape, d)));
        bnn_meanfield_backward(&q, tape);
        bnn_step(&adam, tape);
    }
    bnn_meanfield_cost c = bnn_meanfield_measure(&q, tape, &net, d, 40000);
    if (mem->err || tape->err) return;
    double mu[2] = { (double)q.params->theta[0], (double)q.params->theta[1] };
    double s[2] = { (double)q.sigma[0], (double)q.sigma[1] };
    printf("%-20s posterior: mean    sd   1/sqrt(A_ii)   weight noise: mean    sd\n", name);
    for (int i = 0; i < 2; i++)
        printf("%-20s %15.3f %5.3f   %12.3f   %18.3f %5.3f\n", i ? "intercept a" : "slope b",
               e.m[i], sqrt(e.var[i]), 1 / sqrt(e.A[i][i]), mu[i], s[i]);
    for (int k = 0; k < 3; k++) {
        double at = (double)x[0] + (double)(x[POINTS - 1] - x[0]) * k;
        if (k == 0) at = ((double)x[0] + (double)x[POINTS - 1]) / 2; /* middle, end, outside */
        if (fabs(at) < 1e-6) at = 0;
        printf("line at x = %4.1f %19.3f %5.3f %33.3f %5.3f\n", at, e.m[1] + e.m[0] * at,
               sqrt(e.var[1] + 2 * at * e.cov + at * at * e.var[0]), mu[1] + mu[0] * at,
               sqrt(s[1] * s[1] + at * at * s[0] * s[0]));
    }
    printf("-ln p(D) %.3f, free energy %.3f: %.3f nats more; by formula %.3f\n\n", -e.log_evidence,
           c.error + c.complexity, c.error + c.complexity + e.log_evidence,
           (log(e.A[0][0]) + log(e.A[1][1]) - log(e.det)) / 2);
    if (shown == line_x) draw_ellipses(&e, mu, s);
}

static double error(bnn_arena *mem, bnn_tape *tape, bnn_meanfield *q, const bnn_net *net,
                    bnn_data d) {
    bnn_mark mark = bnn_arena_mark(mem);
    bnn_meanfield_mean(q); /* the net of the mean weights */
    double e = 100 * bnn_metric_error(bnn_predict(mem, tape, net, NULL, d.x).mean, d.y);
    bnn_arena_rewind(mem, mark);
    return e;
}

/* Messages of L^E and L^C, in thousands of bits, after each epoch */
static void train_digits(bnn_arena *mem, bnn_tape *tape, bnn_meanfield *q, const bnn_net *net,
                         bnn_data train, bnn_data test) {
    float epoch[EPOCHS + 1], bits[4][EPOCHS + 1];
    size_t per = train.x.rows / BATCH;
    bnn_stepper adam = bnn_adam(q->params, (bnn_adam_desc){ .lr = 5e-3f });
    double uniform = (double)train.x.rows * log(10.0) / log(2.0) / 1000;
    printf("epoch   error, kbit   weights, kbit   together   uniform code   test error, percent\n");
    for (size_t k = 0; k <= EPOCHS && !tape->err; k++) {
        bnn_meanfield_cost c = bnn_meanfield_measure(q, tape, net, train, 4);
        double e = c.error / log(2.0) / 1000, w = c.complexity / log(2.0) / 1000;
        epoch[k] = (float)k, bits[0][k] = (float)e, bits[1][k] = (float)w;
        bits[2][k] = (float)(e + w), bits[3][k] = (float)uniform;
        if (k == 0 || k == 1 || k == 5 || k == 10 || k == 20 || k == EPOCHS)
            printf("%5d %13.2f %15.2f %10.2f %14.2f %21.2f\n", (int)k, e, w, e + w, uniform,
                   error(mem, tape, q, net, test));
        for (size_t s = 0; s < per && k < EPOCHS; s++) {
            bnn_tape_reset(tape);
            adam.lr = (float)bnn_lr_cosine(5e-3, k * per + s, EPOCHS * per);
            bnn_meanfield_sample(q, tape);
            bnn_backward(bnn_net_nll(net, bnn_minibatch(tape, train, BATCH)));
            bnn_meanfield_backward(q, tape);
            bnn_step(&adam, tape);
        }
    }
    svg p = picture("3_bits", "The price of the labels while a net learns");
    svg_axes(&p, 0, EPOCHS, 0, 30, "epoch", "thousands of bits");
    for (int k = 3; k >= 0; k--) svg_line(&p, EPOCHS + 1, epoch, bits[k], k == 3 ? 5 : k);
    svg_key(&p, "together: the free energy", 2, 0);
    svg_key(&p, "complexity: the weights", 1, 0);
    svg_key(&p, "error: the labels, given the weights", 0, 0);
    svg_key(&p, "black: labels sent without a net", 5, 0);
    picture_end(&p);
}

static void prune(bnn_arena *mem, bnn_tape *tape, bnn_meanfield *q, const bnn_net *net,
                  bnn_data test) {
    float removed[CUTS], wrong[CUTS];
    bnn_params *all = q->params;
    bnn_ensemble whole = bnn_ensemble_new(all, 1); /* means and noise before anything goes */
    bnn_ensemble_push(&whole);
    printf("\nremoved   |mean|/sd below   test error, percent\n");
    for (int k = 0; k < CUTS && !mem->err; k++) {
        bnn_params kept = bnn_ensemble_sample(&whole, 0);
        bnn_params_copy(all, &kept);
        double snr = bnn_meanfield_snr(q, 0.05 * k);
        if (k > 0) bnn_meanfield_prune(q, snr);
        double e = error(mem, tape, q, net, test);
        removed[k] = 5 * (float)k, wrong[k] = (float)e;
        if (k % 5 == 0 || k > CUTS - 4)
            printf("%5d %% %17.2f %21.2f\n", 5 * k, k ? snr : 0, e);
    }
    svg p = picture("3_prune", "Weights that nobody misses");
    svg_axes(&p, 0, 100, 0, 60, "weights removed, percent", "test error, percent");
    svg_line(&p, CUTS, removed, wrong, 0);
    svg_points(&p, CUTS, removed, wrong, 0);
    picture_end(&p);
}

static void digits(bnn_arena *mem, bnn_tape *tape) {
    bnn_data train = course_digits(mem, "train");
    bnn_data test = course_digits(mem, "test");
    bnn_net net = bnn_mlp(bnn_params_new(mem), (bnn_mlp_desc){ .sizes = { 64, 50, 10 },
                          .activation = BNN_TANH, .likelihood = BNN_CATEGORICAL, .seed = 1,
                          .prior = { .std = 0.5f } });
    bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ .init_std = 0.02f });
    if (mem->err) return;
    train_digits(mem, tape, &q, &net, train, test);
    prune(mem, tape, &q, &net, test);
}

int main(int argc, char **argv) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    float centered[POINTS], mean = 0;
    if (argc > 1) course_folder = argv[1];
    for (int i = 0; i < POINTS; i++) mean += line_x[i] / POINTS;
    for (int i = 0; i < POINTS; i++) centered[i] = line_x[i] - mean;
    line(&mem, &tape, line_x, "x as measured");
    line(&mem, &tape, centered, "x minus its mean");
    digits(&mem, &tape);
    return done(&mem, &tape);
}
