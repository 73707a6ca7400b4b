/* darts.c -- structures searched by gradients of a two-level problem.
 *     cc -O2 -I.. darts.c -lm && ./a.out [sine [seeds [sd of w]] | quadratic | FOLDER [steps] |
 *                                   cells FOLDER [seeds [steps [cells [search [warm]]]]]]
 * Weights learn on one half of the data, the structure on the other, by its first-order gradient
 * (weights constant), second-order (through one step, DARTS) and implicit (at the weights'
 * optimum). A cell for the digits: edges of a small graph mix four operations by softmax weights,
 * the winner of each is cut out and trained from scratch; you should see the cells drawn and three
 * errors that differ by little; cells does this for many seeds and trains all cells, or every n-th,
 * for comparison. One layer for y = sin(2x) out of linear, tanh, relu and sin, over seeds: sin.
 * Quadratics: each gradient beside its closed form, and where its search ends; the implicit one and
 * the second-order one through a Newton step are the true gradient. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 32, BATCH = 64, SEARCH = 400, EDGES = 6 };
static const char *const names[3] = { "1", "2", "implicit" };

static const bnn_candidate ops[4] = {
    { "none", bnn_zero, WIDTH }, { "linear", NULL, WIDTH }, { "tanh", bnn_tanh, WIDTH },
    { "relu", bnn_relu, WIDTH }
};
static const bnn_candidate out[1] = { { "out", NULL, 10 } };
static const bnn_edge edges[EDGES] = { { 0, 1, ops, 4 }, { 0, 2, ops, 4 }, { 1, 2, ops, 4 },
                                       { 1, 3, ops, 4 }, { 2, 3, ops, 4 }, { 3, 4, out, 1 } };

typedef struct {
    bnn_net net;
    bnn_params *w, *a;
    bnn_data train, valid;
    size_t train_rows[BATCH], valid_rows[BATCH]; /* of this step: both are seen several times */
    double residual, damping;                    /* means over the search                     */
} search;

static bnn_var *lower(bnn_tape *t, void *user) {
    search *s = user;
    return bnn_net_loss(&s->net, bnn_batch_rows(t, s->train, BATCH, s->train_rows));
}

static bnn_var *upper(bnn_tape *t, void *user) {
    search *s = user;
    bnn_var *nll = bnn_net_nll(&s->net, bnn_batch_rows(t, s->valid, BATCH, s->valid_rows));
    return bnn_add(nll, bnn_scale(bnn_prior_nll(t, s->a), 1 / (float)s->valid.x.rows));
}

static void explore(bnn_tape *t, search *s, int order, int steps, int warm, float lr_w,
                    float lr_a) {
    bnn_stepper move_w = bnn_adam(s->w, (bnn_adam_desc){ .lr = lr_w });
    bnn_stepper move_a = bnn_adam(s->a, (bnn_adam_desc){ .lr = lr_a });
    for (int k = 0; k < steps; k++) {
        bnn_tape_reset(t);
        for (int i = 0; i < BATCH; i++) {
            s->train_rows[i] = bnn_rng_below(&t->rng, s->train.x.rows);
            s->valid_rows[i] = bnn_rng_below(&t->rng, s->valid.x.rows);
        }
        if (k >= warm) { /* before, every operation learns something */
            bnn_hypergradient_result h = bnn_hypergradient(t, (bnn_hypergradient_desc){
                .w = s->w, .a = s->a, .upper = upper, .lower = lower, .user = s,
                .unroll = order == 1 ? 0.05f : 0, .implicit = order == 2, .iterations = 10,
                .damping = 1 });
            bnn_step(&move_a, t);
            s->residual += h.residual / (steps - warm), s->damping += h.damping / (steps - warm);
        }
        bnn_backward(lower(t, s));
        if (k < warm) bnn_params_zero_grad(s->a);
        bnn_step(&move_w, t);
    }
}

/* ---- a cell for the digits */

static bnn_graph_desc cell(uint64_t seed) {
    return (bnn_graph_desc){ .inputs = 64, .edges = edges, .n_edges = EDGES,
                             .likelihood = BNN_CATEGORICAL, .prior = { .std = 3, .fan_in = 1 },
                             .structure_prior = { .std = 2 }, .seed = seed };
}

static void draw_cell(const bnn_net *net) { /* every edge and the probabilities of its operations */
    const bnn_structure *s = net->user;
    for (size_t e = 0; e + 1 < s->n_edges; e++) {
        float p[4];
        size_t best = 0;
        bnn_graph_probs(net, NULL, e, p);
        for (size_t k = 1; k < 4; k++) if (p[k] > p[best]) best = k;
        printf("    %zu --%s--> %zu  (", edges[e].from, ops[best].name, edges[e].to);
        for (size_t k = 0; k < 4; k++) printf("%s%s %.2f", k ? ", " : "", ops[k].name, p[k]);
        printf(")\n");
    }
}

static void train(bnn_tape *t, bnn_net *net, bnn_data d, size_t steps) {
    bnn_stepper adam = bnn_adam(net->params, (bnn_adam_desc){ .lr = 2e-3f });
    for (size_t s = 0; s < steps; s++) {
        bnn_tape_reset(t);
        adam.lr = (float)bnn_lr_cosine(2e-3, s, steps);
        bnn_backward(bnn_net_loss(net, bnn_minibatch(t, d, BATCH)));
        bnn_step(&adam, t);
    }
}

static void read_digits(bnn_arena *mem, const char *folder, bnn_data *all, bnn_data *test) {
    *all = example_data(mem, "darts", folder, "digits-train-images.idx", "digits-train-labels.idx",
                        64, 16);
    *test = example_data(mem, "darts", folder, "digits-test-images.idx", "digits-test-labels.idx",
                         64, 16);
}

static void scratch(bnn_params *w, bnn_rng *rng) { /* N(0, 1/fan in) */
    bnn_rng_fill_normal(rng, w->n, w->theta);
    for (size_t b = 0; b < w->n_blocks; b++) {
        bnn_mat m = bnn_params_mat(w, b);
        bnn_mat_scale(m, m, m.rows == 1 ? 0 : 1 / sqrtf((float)m.rows));
    }
}

static search halves(bnn_arena *mem, bnn_data all, uint64_t seed) {
    size_t half = all.x.rows / 2;
    search s = { .train = bnn_data_rows(all, 0, half), .w = bnn_params_new(mem),
                 .valid = bnn_data_rows(all, half, all.x.rows - half), .a = bnn_params_new(mem) };
    s.net = bnn_graph(s.w, s.a, cell(seed));
    return s;
}

static int digits(const char *folder, size_t steps) {
    bnn_arena data = { 0 };
    int failed = 0;
    bnn_data all, test;
    read_digits(&data, folder, &all, &test);
    for (int order = 0; order < 3; order++) {
        bnn_arena mem = { 0 };
        bnn_tape tape = { .rng = bnn_rng_seed(1) };
        bnn_params *v = bnn_params_new(&mem);
        search s = halves(&mem, all, 1);
        explore(&tape, &s, order, SEARCH, 0, 3e-3f, 2e-2f);
        printf("order %s", names[order]);
        if (order == 2)
            printf(", mean residual %.2f, mean damping %.2f", s.residual, s.damping);
        printf("\n");
        draw_cell(&s.net);
        bnn_net small = bnn_graph_extract(v, &s.net);
        scratch(v, &tape.rng);
        train(&tape, &small, all, steps);
        bnn_predictive p = bnn_predict(&mem, &tape, &small, NULL, test.x);
        if (!tape.err && !mem.err)
            printf("RESULT darts order=%s error=%.2f params=%zu\n", names[order],
                   100 * bnn_metric_error(p.mean, test.y), v->n);
        else fprintf(stderr, "darts: %s\n", tape.err ? tape.msg : mem.msg);
        failed |= tape.err || mem.err;
        bnn_tape_free(&tape);
        bnn_arena_free(&mem);
    }
    bnn_arena_free(&data);
    return failed;
}

/* ---- all cells: 4^5 choices, of which those that differ only where nothing flows are one */

enum { CHOICES = 1024 };

static int same_cell(int c) { /* the number of the cell without idle edges; 0 = no way through */
    int op[5];
    for (int e = 0; e < 5; e++) op[e] = c >> 2 * e & 3;
    if (!op[0]) op[2] = op[3] = 0;          /* nothing reaches node 1 */
    if (!op[1] && !op[2]) op[4] = 0;        /* node 2 */
    if (!op[4]) op[1] = op[2] = 0;          /* node 2 reaches nothing */
    if (!op[2] && !op[3]) op[0] = 0;        /* node 1 */
    for (int e = c = 0; e < 5; e++) c |= op[e] << 2 * e;
    return c;
}

static int chosen(bnn_data all, int order, uint64_t seed, int steps, int warm) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(seed) };
    search s = halves(&mem, all, seed);
    int c = 0;
    explore(&tape, &s, order, steps, warm, 3e-3f, 2e-2f);
    for (size_t e = 0; e < 5 && !tape.err && !mem.err; e++)
        c |= (int)bnn_mat_row_argmax(bnn_params_mat(s.a, e), 0) << 2 * e;
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return same_cell(c);
}

/* Error of cell c, trained from scratch on all rows; -1 = it failed */
static double error_of(int c, bnn_data all, bnn_data test, uint64_t seed, size_t steps, size_t *n) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_stream(seed, 1) };
    bnn_params *w = bnn_params_new(&mem), *a = bnn_params_new(&mem), *v = bnn_params_new(&mem);
    bnn_net whole = bnn_graph(w, a, cell(seed));
    for (size_t e = 0; e < 5 && !mem.err; e++) bnn_params_mat(a, e).data[c >> 2 * e & 3] = 1;
    bnn_net small = bnn_graph_extract(v, &whole);
    if (!mem.err) scratch(v, &tape.rng);
    train(&tape, &small, all, steps);
    bnn_mat p = bnn_predict(&mem, &tape, &small, NULL, test.x).mean;
    double error = tape.err || mem.err ? -1 : 100 * bnn_metric_error(p, test.y);
    if (error < 0) fprintf(stderr, "darts: %s\n", tape.err ? tape.msg : mem.msg);
    *n = v->n;
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return error;
}

static void print_cell(const char *what, const char *who, int c, const char *more) {
    static const char letter[4] = { '-', 'l', 't', 'r' }; /* by edge: none, linear, tanh, relu */
    printf("RESULT darts_%s %s cell=", what, who);
    for (int e = 0; e < 5; e++) putchar(letter[c >> 2 * e & 3]);
    printf(" %s", more);
}

static int by_value(const void *a, const void *b) {
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

/* every cell, or every n-th of them so that about `most` are trained: sorted errors */
static size_t enumerate(bnn_data all, bnn_data test, size_t steps, size_t most, double *sorted,
                        double *of, int *failed) {
    size_t n = 0, count = 0, weights, k = 0;
    for (int c = 1; c < CHOICES; c++) count += same_cell(c) == c;
    size_t every = most < count ? count / most : 1;
    for (int c = 1; c < CHOICES; c++) {
        of[c] = -1;
        if (same_cell(c) != c || k++ % every) continue;
        of[c] = error_of(c, all, test, 1, steps, &weights);
        if (of[c] < 0) *failed = 1;
        else sorted[n++] = of[c];
        if (n % 20 == 0) fprintf(stderr, "%zu of %zu cells\n", n, count / every);
    }
    qsort(sorted, n, sizeof *sorted, by_value);
    return n;
}

static int cells(const char *folder, int seeds, size_t steps, size_t most, int length, int warm) {
    static double sorted[CHOICES], of[CHOICES];
    bnn_arena data = { 0 };
    bnn_data all, test;
    int found[3][64] = { { 0 } }, failed = 0;
    size_t weights, n;
    read_digits(&data, folder, &all, &test);
    for (int order = 0; order < 3; order++)
        for (int s = 0; s < seeds; s++) {
            char who[64], more[64];
            found[order][s] = chosen(all, order, (uint64_t)s + 1, length, warm);
            double e = error_of(found[order][s], all, test, (uint64_t)s + 1, steps, &weights);
            snprintf(who, sizeof who, "order=%s seed=%d", names[order], s + 1);
            snprintf(more, sizeof more, "error=%.2f weights=%zu\n", e, weights);
            print_cell(warm ? "warm" : "cells", who, found[order][s], more);
            fflush(stdout);
            failed |= e < 0;
        }
    n = most > 0 ? enumerate(all, test, steps, most, sorted, of, &failed) : 0;
    double mean = 0, sd = 0;
    for (size_t i = 0; i < n; i++) mean += sorted[i] / (double)n;
    for (size_t i = 0; i < n; i++) sd += pow(sorted[i] - mean, 2) / (double)n;
    if (n > 0) printf("RESULT darts_cells trained=%zu steps=%zu mean=%.3f sd=%.3f least=%.2f "
                      "tenth=%.2f median=%.2f most=%.2f\n", n, steps, mean, sqrt(sd), sorted[0],
                      sorted[n / 10], sorted[n / 2], sorted[n - 1]);
    for (int c = 1; c < CHOICES && n > 0; c++) { /* the best, the worst, and all relu */
        char more[64];
        snprintf(more, sizeof more, "error=%.2f\n", of[c]);
        if (of[c] == sorted[0]) print_cell("cells", "rank=best", c, more);
        if (of[c] == sorted[n - 1]) print_cell("cells", "rank=worst", c, more);
        if (c == CHOICES - 1 && of[c] >= 0) print_cell("cells", "rank=relu", c, more);
    }
    for (int order = 0; order < 3; order++)
        for (int s = 0; s < seeds && n > 0; s++) { /* what share is better? */
            double e = error_of(found[order][s], all, test, 1, steps, &weights);
            size_t better = 0;
            failed |= e < 0;
            for (size_t i = 0; i < n; i++) better += sorted[i] < e;
            printf("RESULT darts_cells order=%s seed=%d better=%.3f\n", names[order], s + 1,
                   (double)better / (double)n);
        }
    bnn_arena_free(&data);
    return failed;
}

/* ---- y = sin(2x): which of four operations? */

enum { ROWS = 200, UNITS = 12, STEPS = 1000 };
static const bnn_candidate curves[4] = { { "linear", NULL, UNITS }, { "tanh", bnn_tanh, UNITS },
                                         { "relu", bnn_relu, UNITS }, { "sin", bnn_sin, UNITS } };
static const bnn_candidate one[1] = { { "out", NULL, 1 } };
static const bnn_edge layer[2] = { { 0, 1, curves, 4 }, { 1, 2, one, 1 } };

static int sine_seed(int order, uint64_t seed, float prior, float *p, double *residual) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(seed) };
    bnn_data d = { bnn_mat_new(&mem, ROWS, 1), bnn_mat_new(&mem, ROWS, 1) };
    for (int i = 0; i < ROWS; i++) {
        d.x.data[i] = 6 * bnn_rng_uniform(&tape.rng) - 3;
        d.y.data[i] = sinf(2 * d.x.data[i]) + .1f * bnn_rng_normal(&tape.rng);
    }
    search s = { .train = bnn_data_rows(d, 0, ROWS / 2), .w = bnn_params_new(&mem),
                 .valid = bnn_data_rows(d, ROWS / 2, ROWS / 2), .a = bnn_params_new(&mem) };
    s.net = bnn_graph(s.w, s.a, (bnn_graph_desc){
        .inputs = 1, .edges = layer, .n_edges = 2, .noise_std = .5f, .prior = { .std = prior },
        .structure_prior = { .std = 3 }, .seed = seed });
    explore(&tape, &s, order, STEPS, STEPS / 2, .03f, .05f);
    bnn_graph_probs(&s.net, NULL, 0, p);
    *residual = s.residual;
    if (tape.err || mem.err) fprintf(stderr, "darts: %s\n", tape.err ? tape.msg : mem.msg);
    int failed = tape.err || mem.err;
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return failed;
}

/* A loose prior lets the weights make up for any gamma: then the structure is hardly determined */
static int sine(int seeds, float prior) {
    int failed = 0;
    printf("\ny = sin(2x), %d seeds   p(linear) p(tanh) p(relu) p(sin)   residual\n", seeds);
    for (int order = 0; order < 3; order++) {
        double mean[4] = { 0 }, residual = 0, r;
        int right = 0, chosen = 0;
        for (int seed = 1; seed <= seeds; seed++) {
            float p[4] = { 0 };
            int best = 0;
            failed |= sine_seed(order, (uint64_t)seed, prior, p, &r);
            for (int k = 0; k < 4; k++) {
                if (p[k] > p[best]) best = k;
                mean[k] += p[k] / (float)seeds;
            }
            right += best == 3, residual += r / seeds;
        }
        for (int k = 0; k < 4; k++) if (mean[k] > mean[chosen]) chosen = k;
        printf("order %-16s %9.3f %7.3f %7.3f %6.3f %10.2f\n", names[order], mean[0], mean[1],
               mean[2], mean[3], residual);
        printf("RESULT darts task=sine order=%s chosen=%s prob=%.3f seeds_right=%d/%d\n",
               names[order], curves[chosen].name, mean[chosen], right, seeds);
    }
    return failed;
}

/* ---- quadratics: lower |w - B a|^2/2 + c |w|^2/2, upper |w - t|^2/2 + d |a|^2/2
 * The lower optimum is B a/(1 + c), the true gradient there d a + B'(w - t)/(1 + c). */

enum { D = 4, A = 3 };
static const double in_lower = 0.5, in_upper = 0.3; /* c and d */
typedef struct { bnn_params *w, *a; bnn_mat b, t; } quadratic;

static bnn_var *lower_quadratic(bnn_tape *t, void *user) {
    quadratic *q = user;
    bnn_var *w = bnn_param(t, q->w, 0), *ba = bnn_matmul(bnn_input(t, q->b), bnn_param(t, q->a, 0));
    return bnn_scale(bnn_add(bnn_sum(bnn_square(bnn_sub(w, ba))),
                             bnn_scale(bnn_sum(bnn_square(w)), (float)in_lower)), .5f);
}

static bnn_var *upper_quadratic(bnn_tape *t, void *user) {
    quadratic *q = user;
    bnn_var *r = bnn_sub(bnn_param(t, q->w, 0), bnn_input(t, q->t)), *a = bnn_param(t, q->a, 0);
    return bnn_scale(bnn_add(bnn_sum(bnn_square(r)),
                             bnn_scale(bnn_sum(bnn_square(a)), (float)in_upper)), .5f);
}

static double optimum(const quadratic *q, int i, const double *a) { /* of weight i */
    double s = 0;
    for (int j = 0; j < A; j++) s += q->b.data[i * A + j] * a[j];
    return s / (1 + in_lower);
}

static double reoptimized(const quadratic *q, const double *a) { /* upper at the lower optimum */
    double s = 0;
    for (int i = 0; i < D; i++) s += pow(optimum(q, i, a) - q->t.data[i], 2) / 2;
    for (int j = 0; j < A; j++) s += in_upper * a[j] * a[j] / 2;
    return s;
}

/* d a + pull B'(w - step grad_w lower - t): every one of the gradients in closed form */
static void closed_form(const quadratic *q, double step, double pull, double *g) {
    double a[A];
    for (int j = 0; j < A; j++) a[j] = q->a->theta[j], g[j] = in_upper * a[j];
    for (int i = 0; i < D; i++) {
        double w = q->w->theta[i], moved = w - step * (1 + in_lower) * (w - optimum(q, i, a));
        for (int j = 0; j < A; j++) g[j] += pull * q->b.data[i * A + j] * (moved - q->t.data[i]);
    }
}

static double apart(const double *g, const double *h) {
    double s = 0;
    for (int j = 0; j < A; j++) s += pow(g[j] - h[j], 2);
    return sqrt(s);
}

static double hypergradient(bnn_tape *t, quadratic *q, int order, double step, double *g) {
    double exact[A];
    bnn_tape_reset(t);
    bnn_hypergradient(t, (bnn_hypergradient_desc){ .w = q->w, .a = q->a, .upper = upper_quadratic,
        .lower = lower_quadratic, .user = q, .unroll = (float)step, .implicit = order == 2,
        .iterations = 50, .tolerance = 1e-5f });
    for (int j = 0; j < A; j++) g[j] = q->a->grad[j];
    closed_form(q, step, order == 2 ? 1 / (1 + in_lower) : step, exact);
    return apart(g, exact);
}

static void settle(quadratic *q) { /* the weights to their optimum */
    double a[A];
    for (int j = 0; j < A; j++) a[j] = q->a->theta[j];
    for (int i = 0; i < D; i++) q->w->theta[i] = (float)optimum(q, i, a);
}

static int quadratics(void) {
    static const struct { const char *name, *step_name; int order; double step; } kinds[4] = {
        { "first order", "0", 0, 0 }, { "second order, step 0.2", "0.2", 1, .2 },
        { "second order, Newton", "newton", 1, 1 / (1 + .5) }, { "implicit", "0", 2, 0 } };
    bnn_arena mem = { 0 };
    bnn_tape t = { .rng = bnn_rng_seed(1) };
    quadratic q = { bnn_params_new(&mem), bnn_params_new(&mem), bnn_mat_new(&mem, D, A),
                    bnn_mat_new(&mem, D, 1) };
    float w[D], a[A];
    double truth[A], g[A], at[A];
    bnn_params_add(q.w, D, 1, "w", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    bnn_params_add(q.a, A, 1, "a", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    bnn_rng_fill_normal(&t.rng, D * A, q.b.data);
    bnn_rng_fill_normal(&t.rng, D, q.t.data);
    bnn_rng_fill_normal(&t.rng, D, w);
    bnn_rng_fill_normal(&t.rng, A, a);
    for (int j = 0; j < A; j++) at[j] = a[j];
    for (int j = 0; j < A; j++) { /* the truth, by differences: exact for a quadratic */
        double up, keep = at[j];
        at[j] = keep + .5, up = reoptimized(&q, at);
        at[j] = keep - .5, truth[j] = up - reoptimized(&q, at);
        at[j] = keep;
    }
    printf("\nquadratics                   weights anywhere             at their optimum"
           "             off the   search\ngradient               "
           "da_1   da_2   da_3    error    da_1   da_2   da_3    error   truth   ends at\n");
    for (int k = 0; k < 4; k++) {
        double error[2];
        printf("%-22s", kinds[k].name);
        for (int settled = 0; settled < 2; settled++) {
            for (int i = 0; i < D; i++) q.w->theta[i] = w[i];
            for (int j = 0; j < A; j++) q.a->theta[j] = a[j];
            if (settled) settle(&q);
            error[settled] = hypergradient(&t, &q, kinds[k].order, kinds[k].step, g);
            printf(" %6.3f %6.3f %6.3f %8.0e", g[0], g[1], g[2], error[settled]);
        }
        double off = apart(g, truth);
        bnn_stepper sgd = bnn_sgd(q.a, (bnn_sgd_desc){ .lr = .2f });
        for (int s = 0; s < 300; s++) {
            double unused[A];
            settle(&q);
            hypergradient(&t, &q, kinds[k].order, kinds[k].step, unused);
            bnn_step(&sgd, &t);
        }
        for (int j = 0; j < A; j++) at[j] = q.a->theta[j];
        printf(" %7.3f %9.4f\n", off, reoptimized(&q, at));
        printf("RESULT darts task=quadratic order=%s step=%s error=%.1e off=%.3f upper=%.4f\n",
               names[kinds[k].order], kinds[k].step_name, fmax(error[0], error[1]), off,
               reoptimized(&q, at));
    }
    printf("%-53s %6.3f %6.3f %6.3f\n", "the truth, by re-optimization", truth[0], truth[1],
           truth[2]);
    if (t.err || mem.err) fprintf(stderr, "darts: %s%s\n", t.msg, mem.msg);
    int failed = t.err || mem.err;
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
    return failed;
}

int main(int argc, char **argv) {
    static const struct { const char *name; double least, most; } after[5] = { /* cells FOLDER */
        { "seeds", 1, 64 }, { "steps", 1, 1e8 }, { "cells", 0, CHOICES }, { "search", 1, 1e8 },
        { "warm", 0, 1e8 } };
    size_t n[5] = { 10, 3000, CHOICES, SEARCH, 0 };
    const char *who = "darts", *what = argc > 1 ? argv[1] : example_folder();
    int failed = 0;
    if (argc > 1 && strcmp(what, "sine") == 0) {
        float sd = argc > 3 ? (float)example_real(who, "sd of w", argv[3], 1e-6, 1e6) : .5f;
        example_most(who, argc, argv, 3);
        return sine(argc > 2 ? (int)example_whole(who, "seeds", argv[2], 1, 1e4) : 10, sd);
    }
    if (argc > 1 && strcmp(what, "quadratic") == 0) {
        example_most(who, argc, argv, 1);
        return quadratics();
    }
    if (argc > 1 && strcmp(what, "cells") == 0) {
        example_most(who, argc, argv, 7);
        for (int i = 0; i + 3 < argc; i++)
            n[i] = example_whole(who, after[i].name, argv[i + 3], after[i].least, after[i].most);
        return cells(argc > 2 ? argv[2] : example_folder(), (int)n[0], n[1], n[2], (int)n[3],
                     (int)n[4]);
    }
    example_most(who, argc, argv, 2);
    failed |= digits(what, argc > 2 ? example_whole(who, "steps", argv[2], 1, 1e8) : 3000);
    if (argc == 1) failed |= sine(10, .5f) | quadratics();
    return failed;
}
