/* relevance.c -- how much structure do the data support? And which inputs matter?
 *     cc -O2 -I.. relevance.c -lm && ./a.out [restarts [table with the target last]]
 * First y = tanh(x_0) + noise, 50 rows, and f = g0 w0 + g1 tanh(w1 x_0 + b) + g2 tanh(w2'x), 12 of
 * its 15 weights in the last part; a Gumbel-softmax over g = (constant, one feature, eleven), a
 * Gaussian over w. Three weights of the prior, three temperatures, means over the restarts. At
 * temperature 1 you should see mass leave eleven features under a strong prior and the constant
 * under a strong likelihood, and more even shares when hot; then, with terms that push the prior
 * of the structure away from both ends, mass at one feature (with 20 restarts in both rows; two are
 * few). Then relevance by evidence on a table: per input of a linear model, by the fixed point, and
 * per input of a network, by gradient; three columns of pure noise stand beside the real ones, and
 * what does not matter is cut out. The rmse at the end is that of the rows learned from. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 50, P = 15, DRAWS = 3, STEPS = 1000, MU = 0, RHO = 1, Q = 2, A = 3, S = 4 };

typedef struct {
    bnn_params *w;       /* blocks: mu, rho, logits of q; then h: ln A^-1, logits of the prior */
    bnn_data data;
    float tau;
    int structured;      /* 1: w_k ~ N(0, g_k^2/A_k) */
    bnn_var *lik, *kl;   /* both terms of one step share their draws */
} model;

static bnn_var *member(bnn_tape *t) { /* (3,15): to which part weight k belongs */
    bnn_mat m = bnn_mat_new(&t->mem, 3, P);
    for (size_t k = 0; k < P; k++) m.data[(k == 0 ? 0u : k < 3 ? 1u : 2u) * P + k] = 1;
    return bnn_input(t, m);
}

static bnn_var *output(bnn_tape *t, bnn_mat x, bnn_var *w, bnn_var *gamma) {
    bnn_var *in = bnn_input(t, x), *c[3], *all[2];
    bnn_var *one = bnn_shift(bnn_zero(bnn_cols(in, 0, 1)), 1);
    all[0] = in, all[1] = one;
    bnn_var *wide = bnn_concat(t, 2, all), *pair[2] = { bnn_cols(in, 0, 1), one };
    c[0] = bnn_mul(one, bnn_cols(w, 0, 1));
    c[1] = bnn_tanh(bnn_matmul(bnn_concat(t, 2, pair), bnn_transpose(bnn_cols(w, 1, 2))));
    c[2] = bnn_tanh(bnn_matmul(wide, bnn_transpose(bnn_cols(w, 3, 12))));
    return bnn_mix(gamma, c, 3);
}

static bnn_var *draw(bnn_tape *t, const model *m, bnn_var **log_gamma) { /* w; ln g */
    bnn_var *sd = bnn_softplus(bnn_param(t, m->w, RHO));
    *log_gamma = bnn_log_gumbel_softmax(bnn_param(t, m->w, Q), m->tau);
    return bnn_normal(bnn_param(t, m->w, MU), sd);
}

static void terms(bnn_tape *t, model *m) {
    bnn_var *mu = bnn_param(t, m->w, MU), *sd = bnn_softplus(bnn_param(t, m->w, RHO));
    bnn_var *log_var = bnn_scalar(t, 2 * logf(.5f));
    m->lik = m->kl = bnn_scalar(t, 0);
    for (int r = 0; r < DRAWS; r++) {
        bnn_var *y, *w = draw(t, m, &y), *half = bnn_scale(bnn_param(t, m->w, A), .5f), *scale;
        bnn_var *f = output(t, m->data.x, w, bnn_exp(y));
        bnn_var *nll = bnn_sum(bnn_gaussian_nll(f, bnn_input(t, m->data.y), log_var));
        m->lik = bnn_add(m->lik, bnn_scale(nll, -1.f / DRAWS));
        if (m->structured) half = bnn_add(half, bnn_matmul(bnn_clamp(y, -30, 0), member(t)));
        scale = bnn_exp(bnn_neg(half));
        bnn_var *kl = bnn_add(bnn_kl_standard_normal(bnn_mul(mu, scale), bnn_mul(sd, scale)),
            bnn_sub(bnn_concrete_log_prob(y, bnn_param(t, m->w, Q), m->tau),
                    bnn_concrete_log_prob(y, bnn_param(t, m->w, S), m->tau)));
        m->kl = bnn_add(m->kl, bnn_scale(kl, 1.f / DRAWS));
    }
}

static bnn_var *log_lik(bnn_tape *t, void *user) {
    terms(t, user);
    return ((model *)user)->lik;
}
static bnn_var *kl(bnn_tape *t, void *user) {
    (void)t;
    return ((model *)user)->kl; /* of the same draws */
}

/* KL(p(G|h)||p'_j), p'_j at the constant and at eleven features, by 16 draws */
static bnn_var *away(bnn_tape *t, void *user, size_t j) {
    static const float weights[2][3] = { { .99f, .05f, .05f }, { .05f, .05f, .99f } };
    const model *m = user;
    bnn_mat end = bnn_mat_new(&t->mem, 1, 3);
    for (int k = 0; k < 3; k++) end.data[k] = logf(weights[j][k]);
    bnn_var *rows = bnn_input(t, bnn_mat_new(&t->mem, 16, 1)); /* zeros */
    bnn_var *p = bnn_add(rows, bnn_param(t, m->w, S)), *y = bnn_log_gumbel_softmax(p, m->tau);
    return bnn_mean(bnn_sub(bnn_concrete_log_prob(y, p, m->tau),
                            bnn_concrete_log_prob(y, bnn_add(rows, bnn_input(t, end)), .1f)));
}

/* One restart: both levels are one here (kl_upper = lik_upper kl_lower, and the terms of the
 * structure do not see q), so q and h move together. The final objective. */
static double fit(bnn_tape *t, model *m, float kl_weight, const float *structure) {
    bnn_two_level level = { .lik_upper = 1, .kl_upper = kl_weight, .kl_lower = kl_weight,
        .structure = structure, .n_structure = structure ? 2 : 0, .log_lik = log_lik, .kl = kl,
        .kl_structure = away, .user = m };
    bnn_stepper adam = bnn_adam(m->w, (bnn_adam_desc){ .lr = .01f, .clip = 3.0f });
    double last = 0;
    bnn_rng_fill_normal(&t->rng, m->w->n, m->w->theta);
    for (size_t i = 0; i < P; i++) bnn_params_mat(m->w, RHO).data[i] = -1;
    for (size_t b = Q; b <= S; b++) bnn_mat_fill(bnn_params_mat(m->w, b), 0);
    for (int s = 0; s < STEPS; s++) {
        bnn_tape_reset(t);
        m->structured = s >= STEPS / 2;
        if (s == STEPS / 2) bnn_mat_fill(bnn_params_mat(m->w, A), 10);
        bnn_var *loss = structure ? bnn_two_level_upper(t, &level) : bnn_two_level_lower(t, &level);
        if (s >= STEPS - 100) last += bnn_value(loss) / 100;
        bnn_backward(bnn_scale(loss, 1.f / N));
        bnn_step(&adam, t);
    }
    return last;
}

typedef struct { double gamma[3], mse, variance, loss; } outcome;

static void look(bnn_tape *t, const model *m, bnn_data test, outcome *o) {
    enum { LOOK = 400 };
    double sum[500] = { 0 }, square[500] = { 0 };
    memset(o, 0, sizeof *o);
    for (int r = 0; r < LOOK; r++) {
        bnn_tape_reset(t);
        bnn_var *y, *w = draw(t, m, &y), *g = bnn_exp(y), *f = output(t, test.x, w, g);
        for (int k = 0; k < 3 && !t->err; k++) o->gamma[k] += g->val.data[k] / LOOK;
        for (size_t i = 0; i < test.x.rows && !t->err; i++) {
            sum[i] += f->val.data[i] / LOOK;
            square[i] += f->val.data[i] * (double)f->val.data[i] / LOOK;
        }
    }
    for (size_t i = 0; i < test.x.rows; i++) {
        double d = sum[i] - test.y.data[i];
        o->mse += d * d / (double)test.x.rows;
        o->variance += (square[i] - sum[i] * sum[i]) / (double)test.x.rows;
    }
}

static bnn_data generate(bnn_arena *mem, bnn_rng *rng, size_t n) {
    bnn_data d = { bnn_mat_new(mem, n, 11), bnn_mat_new(mem, n, 1) };
    bnn_rng_fill_normal(rng, n * 11, d.x.data);
    for (size_t i = 0; i < n; i++)
        d.y.data[i] = tanhf(d.x.data[i * 11]) + .5f * bnn_rng_normal(rng);
    return d;
}

static void average(bnn_tape *t, model *m, bnn_data test, int restarts, float kl_weight,
                    const float *structure, outcome *mean) {
    outcome now;
    memset(mean, 0, sizeof *mean);
    for (int s = 0; s < restarts; s++) {
        mean->loss += fit(t, m, kl_weight, structure) / restarts;
        look(t, m, test, &now);
        for (int j = 0; j < 3; j++) mean->gamma[j] += now.gamma[j] / restarts;
        mean->mse += now.mse / restarts, mean->variance += now.variance / restarts;
    }
}

static int three_models(int restarts) {
    static const char *const regimes[3] = { "prior", "even", "likelihood" };
    static const float lowers[3] = { 100, 1, .01f }, taus[3] = { .2f, 1, 10 };
    static const size_t cols[5] = { P, P, 3, P, 3 };
    bnn_arena mem = { 0 };
    bnn_tape t = { .rng = bnn_rng_seed(1) };
    model m = { .w = bnn_params_new(&mem), .data = generate(&mem, &t.rng, N) };
    bnn_data test = generate(&mem, &t.rng, 500);
    for (int b = 0; b < 5; b++)
        bnn_params_add(m.w, 1, cols[b], "q", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    printf("strong       tau   constant   one  eleven   test mse (floor 0.25)   sd of f\n");
    for (int r = 0; r < 3; r++)
        for (int k = 0; k < 3; k++) {
            outcome mean;
            m.tau = taus[k];
            average(&t, &m, test, restarts, lowers[r], NULL, &mean);
            printf("%-10s %5.1f   %8.2f %5.2f  %6.2f   %8.2f %21.2f\n", regimes[r], taus[k],
                   mean.gamma[0], mean.gamma[1], mean.gamma[2], mean.mse, sqrt(mean.variance));
            printf("RESULT relevance regime=%s temperature=%g constant=%.3f one=%.3f eleven=%.3f\n",
                   regimes[r], taus[k], mean.gamma[0], mean.gamma[1], mean.gamma[2]);
        }
    printf("\npushed from both ends, tau = 1\n");
    m.tau = 1;
    for (int r = 0; r < 2; r++) { /* all coefficients times 1/lik_upper: -1 of .01 is -100 of 1 */
        const float push[2][2] = { { -100, -100 }, { -1, -1 } };
        outcome mean;
        average(&t, &m, test, restarts, lowers[r], push[r], &mean);
        printf("RESULT relevance_moved regime=%s constant=%.3f one=%.3f eleven=%.3f mse=%.2f\n",
               regimes[r], mean.gamma[0], mean.gamma[1], mean.gamma[2], mean.mse);
    }
    if (t.err || mem.err) fprintf(stderr, "relevance: %s%s\n", t.msg, mem.msg);
    int failed = t.err || mem.err;
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
    return failed;
}

/* ---- the inputs of a table */

enum { UNITS = 16, TRAIN = 4000, PROBES = 3 };
typedef struct { bnn_params *w; bnn_data data; } network; /* m1 r1 b1 m2 b2 noise, ln v per input */

static bnn_var *elbo(bnn_tape *t, void *user) { /* first layer Gaussian, the rest points */
    network *n = user;
    size_t rows = n->data.x.rows;
    bnn_batch b = bnn_minibatch(t, n->data, rows < 64 ? rows : 64);
    bnn_var *m = bnn_param(t, n->w, 0), *sd = bnn_softplus(bnn_param(t, n->w, 1));
    bnn_var *half = bnn_exp(bnn_scale(bnn_param(t, n->w, 6), -.5f)); /* 1/prior sd, per input */
    bnn_var *h = bnn_tanh(bnn_affine(b.x, bnn_normal(m, sd), bnn_param(t, n->w, 2)));
    bnn_var *f = bnn_affine(h, bnn_param(t, n->w, 3), bnn_param(t, n->w, 4));
    bnn_var *kl = bnn_sum(bnn_kl_standard_normal(bnn_mul(m, half), bnn_mul(sd, half)));
    kl = bnn_add(kl, bnn_prior_nll(t, n->w));
    return bnn_add(bnn_mean(bnn_gaussian_nll(f, b.y, bnn_param(t, n->w, 5))),
                   bnn_scale(kl, 1 / (float)b.n_data));
}

static void standardize(bnn_mat m) {
    for (size_t j = 0; j < m.cols; j++) {
        double s = 0, ss = 0, n = (double)m.rows;
        for (size_t i = 0; i < m.rows; i++) s += m.data[i * m.cols + j] / n;
        for (size_t i = 0; i < m.rows; i++) ss += pow(m.data[i * m.cols + j] - s, 2) / n;
        for (size_t i = 0; i < m.rows; i++)
            m.data[i * m.cols + j] =
                (float)((m.data[i * m.cols + j] - s) / (ss > 0 ? sqrt(ss) : 1));
    }
}

static double rmse_of(bnn_arena *mem, bnn_tape *t, const bnn_net *net, bnn_mat x, bnn_mat y) {
    return bnn_metric_rmse(bnn_predict(mem, t, net, NULL, x).mean, y);
}

/* The net of the means, then without the inputs that do not matter */
static void cut(bnn_arena *mem, bnn_tape *t, const network *net, const unsigned char *keep,
                size_t left, size_t kept, double log_p) {
    bnn_mat x = net->data.x, y = net->data.y;
    size_t n = x.rows, d = x.cols;
    bnn_params *v = bnn_params_new(mem), *u = bnn_params_new(mem);
    bnn_net full = bnn_mlp(v, (bnn_mlp_desc){ .sizes = { d, UNITS, 1 }, .noise_std = 1,
                                              .activation = BNN_TANH });
    bnn_mat fewer = bnn_mat_new(mem, n, left);
    for (size_t b = 0, at = 0; b < 4; b++) {
        static const size_t from[4] = { 0, 2, 3, 4 };
        bnn_mat m = bnn_params_mat(net->w, from[b]);
        memcpy(v->theta + at, m.data, m.rows * m.cols * sizeof(float));
        at += m.rows * m.cols;
    }
    bnn_net small = bnn_mlp_keep_inputs(u, &full, keep);
    for (size_t i = 0, q = 0; i < n; i++)
        for (size_t j = 0; j < d; j++)
            if (keep[j]) fewer.data[q++] = x.data[i * d + j];
    printf("RESULT relevance_ard linear_kept=%zu/%zu log_evidence=%.1f network_kept=%zu/%zu "
           "params=%zu->%zu rmse=%.3f->%.3f\n", kept, d, log_p, left, d, v->n, u->n,
           rmse_of(mem, t, &full, x, y), rmse_of(mem, t, &small, fewer, y));
}

static int table(const char *path) {
    bnn_arena mem = { 0 };
    bnn_tape t = { .rng = bnn_rng_seed(2) };
    bnn_csv csv;
    bnn_prior flat = { .kind = BNN_PRIOR_FLAT };
    if (bnn_csv_load(&mem, path, &csv, (bnn_csv_desc){ 0 }) != BNN_OK &&
        bnn_csv_load(&mem, path, &csv, (bnn_csv_desc){ .separator = ' ' }) != BNN_OK)
        return fprintf(stderr, "relevance: %s\n", mem.msg), bnn_arena_free(&mem), 1;
    if (csv.values.cols < 2 || csv.values.rows < 5)
        return fprintf(stderr, "relevance: %s: at least 5 rows and 2 columns are needed\n", path),
               bnn_arena_free(&mem), 1;
    for (size_t i = 0; i < csv.values.rows * csv.values.cols; i++)
        if (!isfinite(csv.values.data[i]))
            return fprintf(stderr, "relevance: %s: row %zu of the data has a gap\n", path,
                           i / csv.values.cols + 1), bnn_arena_free(&mem), 1;
    size_t own = csv.values.cols - 1, d = own + PROBES, n = csv.values.rows, left = 0, kept = 0;
    bnn_data all = { bnn_mat_new(&mem, n, d), bnn_mat_new(&mem, n, 1) };
    double *alpha = bnn_arena_alloc(&mem, d, sizeof *alpha), beta = 1;
    unsigned char *keep = bnn_arena_alloc(&mem, d, 1);
    for (size_t i = 0; i < n; i++) {
        memcpy(all.x.data + i * d, csv.values.data + i * (own + 1), own * sizeof(float));
        bnn_rng_fill_normal(&t.rng, PROBES, all.x.data + i * d + own);
        all.y.data[i] = csv.values.data[i * (own + 1) + own];
    }
    standardize(all.x);
    standardize(all.y);
    for (size_t j = 0; j < d; j++) alpha[j] = 1;
    bnn_mat mean = bnn_mat_new(&mem, d, 1), none = { 0, 0, NULL };
    double log_p = bnn_linear_ard(&mem, mean, none, all, alpha, &beta, 1, 0);

    network net = { .w = bnn_params_new(&mem), .data = all };
    bnn_params_add(net.w, d, UNITS, "m1", flat);
    bnn_params_add(net.w, d, UNITS, "r1", flat);
    bnn_params_add(net.w, 1, UNITS, "b1", (bnn_prior){ 0 });
    bnn_params_add(net.w, UNITS, 1, "m2", (bnn_prior){ 0 });
    bnn_params_add(net.w, 1, 1, "b2", (bnn_prior){ 0 });
    bnn_params_add(net.w, 1, 1, "noise", flat);
    bnn_params_add(net.w, d, 1, "v", flat);
    bnn_rng_fill_normal(&t.rng, d * UNITS, net.w->theta);
    bnn_mat_scale(bnn_params_mat(net.w, 0), bnn_params_mat(net.w, 0), 1 / sqrtf((float)d));
    bnn_mat_fill(bnn_params_mat(net.w, 1), -3);
    bnn_rng_fill_normal(&t.rng, UNITS, bnn_params_mat(net.w, 3).data);
    bnn_mat_scale(bnn_params_mat(net.w, 3), bnn_params_mat(net.w, 3), .25f);
    bnn_stepper adam = bnn_adam(net.w, (bnn_adam_desc){ .lr = .01f });
    for (size_t s = 0; s < TRAIN; s++) {
        bnn_tape_reset(&t);
        adam.lr = (float)bnn_lr_cosine(.01, s, TRAIN);
        bnn_backward(elbo(&t, &net));
        bnn_step(&adam, &t);
    }
    const float *log_v = bnn_params_mat(net.w, 6).data;
    float noise = log_v[own];
    for (size_t j = own; j < d; j++) noise = log_v[j] > noise ? log_v[j] : noise;
    printf("\n%s\ninput          linear: weight  alpha       network: prior sd\n", path);
    for (size_t j = 0; j < d; j++) {
        keep[j] = log_v[j] > noise; /* more than any column of noise gets */
        left += keep[j], kept += alpha[j] < 1e12;
        printf("%-14.14s %14.3f  %-9.3g   %16.3f%s\n",
               j >= own ? "(noise)" : csv.names ? csv.names[j] : "",
               mean.data[j], alpha[j], exp(.5 * log_v[j]), keep[j] ? "" : "   out");
    }
    if (left == 0) puts("the network hears no input more than noise: nothing is cut out");
    else cut(&mem, &t, &net, keep, left, kept, log_p);
    if (t.err || mem.err) fprintf(stderr, "relevance: %s%s\n", t.msg, mem.msg);
    int failed = t.err || mem.err;
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
    return failed;
}

int main(int argc, char **argv) {
    int restarts = argc > 1 ? (int)example_whole("relevance", "restarts", argv[1], 1, 1e6) : 2;
    example_most("relevance", argc, argv, 2);
    int failed = three_models(restarts);
    FILE *here = fopen("data/friedman.csv", "r");
    const char *path = here ? "data/friedman.csv" : "examples/data/friedman.csv";
    if (here) fclose(here);
    return failed | table(argc > 2 ? argv[2] : path);
}
