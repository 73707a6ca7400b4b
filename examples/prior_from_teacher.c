/* prior_from_teacher.c -- Bayesian distillation (Grabovoy and Strijov 2021): a teacher's posterior,
 * shrunk to the student's shape, is the student's prior; then variational training under it.
 *     cc -O2 -I.. prior_from_teacher.c -o prior && ./prior [seeds | FOLDER [WIDTH [SEED [KL]]]]
 * Regression [10,100,50,1] to [10,10,10,1] (neurons) and [10,50,1] (neurons, then a layer), orders
 * of removal, digits, and, with a folder of Fashion-MNIST, [784,800,50,10] to [784,50,10]. `area`
 * compares test curves with the plain student's: -MSE, or log likelihood; > 0 is better. You should
 * see distilled students lead at first, copied means explain most of that, and narrow variances
 * cost at the end: the data was used twice. With a WIDTH and a SEED it is used once: half of the
 * images for the teacher, up to 25,000 others for students [784,WIDTH,10]; KL is their KL's weight.
 * There the posterior of the neurons that matter wins where the student's rows are few, and its
 * means where they are many. Curves go to build/prior_from_teacher.dat where there is a build/. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POINTS = 400, METHODS = 4, DRAWS = 30, ORDERS = 5, WIDTH = 50 };
enum { HALF = 30000, MOST = 25000, HELD = 5000, ALL = HALF + MOST + HELD }; /* rows of curve() */
static const char *method[METHODS] = { "student", "copy", "distilled", "distilled_full" };

typedef struct {
    bnn_arena mem;
    bnn_tape tape;
    bnn_data train, test;
    size_t steps, batch, every;
    float lr, kl_weight; /* 1 is the ELBO */
    float fixed;         /* a weight for all students of curve(); < 0: chosen by held-out rows */
    FILE *dat;
} world;

typedef struct { bnn_net net; bnn_params *q; double at[POINTS], value[POINTS], kl; size_t n; } run;

static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

static double judge(world *u, const bnn_net *net) { /* -MSE, or log likelihood per row */
    bnn_mark mark = bnn_arena_mark(&u->mem);
    bnn_mat p = bnn_predict(&u->mem, &u->tape, net, NULL, u->test.x).mean;
    double v = net->likelihood == BNN_CATEGORICAL ? -bnn_metric_nll(p, u->test.y)
                                                  : -pow(bnn_metric_rmse(p, u->test.y), 2);
    bnn_arena_rewind(&u->mem, mark);
    return v;
}

/* q = N(mu, diag softplus(rho)^2) over the weights of net: E_q of the nll by one draw per step, the
 * KL in closed form, both per example. Starts from net's weights, with the prior's sd if start_sd
 * is 0. */
static void train(world *u, run *r, bnn_gaussian *prior, float start_sd) {
    bnn_params *w = r->net.params, *q = bnn_params_new(&u->mem);
    size_t n = w->n;
    bnn_params_add(q, 1, n, "mu", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    bnn_params_add(q, 1, n, "rho", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    float *eps = bnn_mat_new(&u->mem, 1, n).data, *mu = q->theta, *rho = q->theta + n;
    memcpy(mu, w->theta, n * sizeof *mu);
    for (size_t i = 0, k = 0; k < prior->n_pieces; k++)
        for (size_t j = 0; j < prior->pieces[k].n; j++, i++)
            rho[i] = logf(expm1f(start_sd > 0 ? start_sd : sqrtf(prior->pieces[k].cov.data[j])));
    bnn_stepper adam = bnn_adam(q, (bnn_adam_desc){ .lr = u->lr });
    r->q = q, r->n = 0;
    for (size_t s = 0; s <= u->steps && !u->tape.err && !u->mem.err; s++) {
        bnn_tape_reset(&u->tape);
        if (s % u->every == 0 && r->n < POINTS) {
            memcpy(w->theta, mu, n * sizeof *mu);
            r->at[r->n] = (double)s, r->value[r->n++] = judge(u, &r->net);
            if (u->steps > 9999 && s % 3000 == 0)
                fprintf(stderr, "step %zu of %zu: %.4f\n", s, u->steps, r->value[r->n - 1]);
        }
        bnn_batch b = bnn_minibatch(&u->tape, u->train, u->batch);
        bnn_var *m = bnn_param(&u->tape, q, 0), *sd = bnn_softplus(bnn_param(&u->tape, q, 1));
        bnn_rng_fill_normal(&u->tape.rng, n, eps);
        for (size_t i = 0; i < n && sd->val.data; i++)
            w->theta[i] = mu[i] + sd->val.data[i] * eps[i];
        bnn_params_zero_grad(w);
        bnn_params_zero_grad(q);
        bnn_var *kl = bnn_kl_gaussian(m, sd, prior);
        bnn_backward(bnn_scale(kl, u->kl_weight / (float)b.n_data));
        bnn_backward(bnn_net_nll(&r->net, b));
        for (size_t i = 0; i < n; i++) eps[i] *= w->grad[i]; /* theta = mu + sd eps, backwards */
        bnn_backward_from(m, (bnn_mat){ 1, n, w->grad });
        bnn_backward_from(sd, (bnn_mat){ 1, n, eps });
        r->kl = (double)bnn_value(kl);
        adam.lr = (float)bnn_lr_cosine((double)u->lr, s, u->steps + 1);
        bnn_step(&adam, &u->tape);
    }
    memcpy(w->theta, mu, n * sizeof *mu);
}

static bnn_gaussian posterior(world *u, const run *r) { /* of a run, as a Gaussian */
    size_t n = r->net.params->n;
    bnn_mat v = bnn_mat_new(&u->mem, 1, n);
    for (size_t i = 0; i < n && v.data; i++)
        v.data[i] = (float)pow(softplus((double)r->q->theta[n + i]), 2);
    return bnn_gaussian_new(&u->mem, n, r->q->theta, v);
}

static bnn_gaussian standard(world *u, size_t n, const float *mean) { /* N(mean, I) */
    bnn_mat one = bnn_mat_new(&u->mem, 1, n);
    bnn_mat_fill(one, 1);
    return bnn_gaussian_new(&u->mem, n, mean, one);
}

static void report(world *u, const char *setting, const char *name, run *r, double area) {
    bnn_gaussian g = posterior(u, r);
    bnn_ensemble e = bnn_ensemble_new(r->net.params, DRAWS);
    for (int k = 0; k < DRAWS; k++) {
        bnn_gaussian_sample(&g, &u->tape.rng, r->net.params->theta);
        bnn_ensemble_push(&e);
    }
    memcpy(r->net.params->theta, g.mean, g.n * sizeof(float));
    bnn_mat p = bnn_predict(&u->mem, &u->tape, &r->net, &e, u->test.x).mean;
    bnn_mat ll = bnn_predict_log_lik(&u->mem, &u->tape, &r->net, &e, u->test);
    int classes = r->net.likelihood == BNN_CATEGORICAL;
    printf("RESULT prior_from_teacher setting=%s method=%s nll=%.4f rmse=%.4f area=%.1f params=%zu "
           "kl=%.0f first=%.4f%s", setting, name, -bnn_mat_sum(ll) / (double)ll.rows,
           classes ? sqrt(bnn_metric_brier(p, u->test.y)) : bnn_metric_rmse(p, u->test.y), area,
           r->net.params->n, r->kl, r->value[r->n > 2 ? 2 : 0], classes ? "" : "\n");
    if (classes) printf(" error=%.4f\n", bnn_metric_error(p, u->test.y));
    fflush(stdout);
}

/* Students of one shape: plain; means copied; prior N(means, I); prior = the shrunk posterior */
static void students(world *u, const char *setting, bnn_mlp_desc shape, bnn_gaussian *shrunk) {
    static run r[METHODS];
    bnn_rng start = u->tape.rng;
    for (int m = 0; m < METHODS && !u->mem.err; m++) {
        bnn_params *w = bnn_params_new(&u->mem);
        u->tape.rng = start;
        r[m].net = bnn_mlp(w, shape);
        bnn_gaussian prior = m == 3 ? *shrunk : standard(u, w->n, m == 2 ? shrunk->mean : NULL);
        if (m > 0) memcpy(w->theta, shrunk->mean, w->n * sizeof(float));
        train(u, &r[m], &prior, 0.02f);
        report(u, setting, method[m], &r[m],
               bnn_metric_area(r[m].n, r[m].at, r[m].value, r[0].value));
        fprintf(stderr, "%s: %s is done\n", setting, method[m]);
    }
    for (size_t i = 0; u->dat && i < r[0].n; i++) {
        fprintf(u->dat, "%g", r[0].at[i]);
        for (int m = 0; m < METHODS; m++) fprintf(u->dat, " %.6g", r[m].value[i]);
        fprintf(u->dat, "\n");
    }
    if (u->dat) fprintf(u->dat, "\n\n");
}

static bnn_gaussian drop(world *u, bnn_net *net, const bnn_gaussian *g, size_t layer, size_t keep,
                         int kind, const float *curvature) {
    size_t width = net->params->blocks[layer].rows, *order = malloc(width * sizeof *order);
    bnn_gaussian out = { 0 };
    bnn_drop_order(&u->mem, order, net, g, layer, kind, curvature, &u->tape.rng);
    *net = bnn_drop_neurons(bnn_params_new(&u->mem), &out, net, g, layer, width - keep, order, 0);
    free(order);
    return out;
}

/* Test RMSE after deleting k neurons of the last hidden layer, at the conditional mean. Column 9:
 * neurons that are never active, and Belsley's largest index (30 and more: there are copies). */
static void orders(world *u, const bnn_net *teacher, double sum[ORDERS][10]) {
    bnn_laplace la = bnn_laplace_new(&u->mem, &u->tape, teacher, u->train, BNN_LAPLACE_LAST);
    bnn_gaussian g = bnn_gaussian_laplace(&u->mem, &la, BNN_COV_LAYERS), out;
    bnn_mat h = bnn_mat_new(&u->mem, 1, teacher->params->n);
    bnn_ggn(h, &u->tape, teacher, u->train.x);
    size_t order[WIDTH], dead = 0;
    for (int kind = 0; kind < ORDERS && !u->tape.err; kind++) {
        if (kind < 4)
            bnn_drop_order(&u->mem, order, teacher, &g, 2, kind, h.data, &u->tape.rng);
        for (size_t i = 0; kind == 4 && i < WIDTH / 2; i++) { /* Belsley's from the other end */
            size_t first = order[i];
            order[i] = order[WIDTH - 1 - i], order[WIDTH - 1 - i] = first;
        }
        for (size_t k = 0; k <= 8; k++) {
            bnn_mark mark = bnn_arena_mark(&u->mem);
            bnn_net net = bnn_drop_neurons(bnn_params_new(&u->mem), &out, teacher, &g, 2, 5 * k,
                                           order, 0);
            if (net.params) sum[kind][k] += sqrt(-judge(u, &net));
            bnn_arena_rewind(&u->mem, mark);
        }
    }
    bnn_mat index = bnn_mat_new(&u->mem, 1, WIDTH), share = bnn_mat_new(&u->mem, WIDTH, WIDTH);
    bnn_belsley(&u->mem, index, share, g.pieces[g.n_pieces - 1].cov, 1);
    for (size_t i = 0; i < WIDTH; i++) dead += h.data[h.cols - WIDTH + i] == 0;
    sum[0][9] += (double)dead;
    if (index.data) sum[3][9] += (double)index.data[WIDTH - 1];
}

static void regression(world *u, uint64_t seed, int print, double sum[ORDERS][10]) {
    enum { N = 900, TEST = 124, D = 10 };
    bnn_mat x = bnn_mat_new(&u->mem, N + TEST, D), y = bnn_mat_new(&u->mem, N + TEST, 1);
    bnn_mat w = bnn_mat_new(&u->mem, D, 1), a = bnn_mat_new(&u->mem, D, D),
        b = bnn_mat_new(&u->mem, D, 1);
    static run t;
    u->tape.rng = bnn_rng_seed(seed);
    bnn_rng_fill_normal(&u->tape.rng, D, w.data);
    bnn_rng_fill_normal(&u->tape.rng, x.rows * D, x.data);
    bnn_mat_mul(y, x, w);
    for (size_t i = 0; i < y.rows; i++) y.data[i] += 0.1f * bnn_rng_normal(&u->tape.rng);
    u->train = (bnn_data){ bnn_mat_rows(x, 0, N), bnn_mat_rows(y, 0, N) };
    u->test = (bnn_data){ bnn_mat_rows(x, N, TEST), bnn_mat_rows(y, N, TEST) };
    u->steps = 2500, u->batch = 30, u->every = 25, u->lr = 5e-3f, u->kl_weight = 1;
    bnn_mat_mul_tn(a, u->train.x, u->train.x);
    bnn_mat_mul_tn(b, u->train.x, u->train.y);
    bnn_mat_cholesky(a, a, NULL);
    bnn_mat_solve_chol(b, a, b);
    bnn_mat fit = bnn_mat_new(&u->mem, TEST, 1);
    bnn_mat_mul(fit, u->test.x, b);
    bnn_mlp_desc shape = { .sizes = { D, 100, WIDTH, 1 }, .noise_std = 0.1f, .no_bias = 1,
                           .seed = seed };
    t.net = bnn_mlp(bnn_params_new(&u->mem), shape);
    bnn_gaussian prior = standard(u, t.net.params->n, NULL);
    train(u, &t, &prior, 0.02f);
    if (print) {
        printf("seed %d, rmse of least squares %.4f, of the noise 0.1\n", (int)seed,
               bnn_metric_rmse(fit, u->test.y));
        report(u, "regression", "teacher", &t, 0);
        bnn_gaussian g = posterior(u, &t), ga, gb;
        bnn_net net = t.net;
        ga = drop(u, &net, &g, 1, 10, BNN_ORDER_RANDOM, NULL);
        ga = drop(u, &net, &ga, 2, 10, BNN_ORDER_RANDOM, NULL); /* 10, 10, 10, 1 */
        shape.sizes[1] = shape.sizes[2] = 10;
        students(u, "regression_A", shape, &ga);
        net = t.net;
        gb = drop(u, &net, &g, 1, 50, BNN_ORDER_RANDOM, NULL);
        net = bnn_drop_layer(bnn_params_new(&u->mem), &gb, &net, &gb, 2); /* 10, 50, 1 */
        shape.sizes[1] = 50, shape.sizes[2] = 1, shape.sizes[3] = 0;
        students(u, "regression_B", shape, &gb);
    }
    orders(u, &t.net, sum);
}

/* [in,wide,narrow,10] to [in,narrow,10]: neurons, then a layer; batches of 8, KL weight 0.2 */
static void images(world *u, const char *setting, size_t wide, size_t narrow, size_t steps) {
    static run t;
    size_t in = u->train.x.cols;
    u->tape.rng = bnn_rng_seed(1);
    u->steps = steps, u->batch = 8, u->every = steps / 5, u->lr = 1e-3f, u->kl_weight = 0.2f;
    bnn_mlp_desc shape = { .sizes = { in, wide, narrow, 10 }, .likelihood = BNN_CATEGORICAL,
                           .no_bias = 1 };
    t.net = bnn_mlp(bnn_params_new(&u->mem), shape);
    bnn_gaussian prior = standard(u, t.net.params->n, NULL), g;
    train(u, &t, &prior, 0.02f);
    u->every = steps / 150;
    report(u, setting, "teacher", &t, 0);
    g = posterior(u, &t);
    bnn_net net = t.net;
    g = drop(u, &net, &g, 1, narrow, BNN_ORDER_RANDOM, NULL);
    net = bnn_drop_layer(bnn_params_new(&u->mem), &g, &net, &g, 2);
    shape.sizes[1] = narrow, shape.sizes[2] = 10, shape.sizes[3] = 0;
    students(u, setting, shape, &g);
}

/* Of a run by draws from its q */
typedef struct { double held, nll, error, kl_weight; } grade;

static double by_draws(world *u, run *r, bnn_data d, double *error) {
    bnn_mark mark = bnn_arena_mark(&u->mem);
    bnn_gaussian g = posterior(u, r);
    bnn_ensemble e = bnn_ensemble_new(r->net.params, DRAWS);
    for (int k = 0; k < DRAWS / 3; k++) {
        bnn_gaussian_sample(&g, &u->tape.rng, r->net.params->theta);
        bnn_ensemble_push(&e);
    }
    bnn_mat p = bnn_predict(&u->mem, &u->tape, &r->net, &e, d.x).mean;
    double nll = bnn_metric_nll(p, d.y);
    if (error) *error = 100 * bnn_metric_error(p, d.y);
    bnn_arena_rewind(&u->mem, mark);
    return nll;
}

/* A student of these rows; the weight of the KL is what the held-out rows like best */
static grade student(world *u, bnn_mlp_desc shape, bnn_gaussian *prior, int with_sd, bnn_data rows,
                     bnn_data held, bnn_data test) {
    static const float weight[] = { 1, 0.1f, 0.01f };
    static run r;
    grade best = { INFINITY, 0, 0, 0 };
    for (int k = 0; k < (u->fixed < 0 ? 3 : 1) && !u->mem.err; k++) {
        bnn_mark mark = bnn_arena_mark(&u->mem);
        r.net = bnn_mlp(bnn_params_new(&u->mem), shape);
        if (prior->mean[0] != 0) memcpy(r.net.params->theta, prior->mean, prior->n * sizeof(float));
        u->train = rows, u->test = held;
        u->kl_weight = u->fixed < 0 ? weight[k] : u->fixed;
        train(u, &r, prior, with_sd ? 0 : 0.02f);
        grade g = { by_draws(u, &r, held, NULL), 0, 0, (double)u->kl_weight };
        if (g.held < best.held) {
            g.nll = by_draws(u, &r, test, &g.error);
            best = g;
        }
        bnn_arena_rewind(&u->mem, mark);
    }
    return best;
}

/* A teacher [784,800,10], or one with the student's hidden layer behind; cut by three orders to the
 * student's shape. Which of the cuts do the held-out rows like best? */
static int cuts(world *u, bnn_mlp_desc shape, int layer, bnn_data test, bnn_gaussian *cut) {
    static const char *order[3] = { "random", "obd", "ratio" };
    static run t;
    size_t width = shape.sizes[1];
    int best = 0, seed = (int)shape.seed;
    double error, nll, least = INFINITY;
    bnn_mlp_desc wide = shape;
    wide.sizes[1] = 800;
    if (layer) wide.sizes[2] = width, wide.sizes[3] = 10;
    t.net = bnn_mlp(bnn_params_new(&u->mem), wide);
    bnn_gaussian prior = standard(u, t.net.params->n, NULL);
    u->steps = u->every = 1500, u->batch = 100, u->lr = 3e-3f, u->kl_weight = 0.2f;
    train(u, &t, &prior, 0.02f);
    bnn_gaussian g = posterior(u, &t);
    bnn_mat curvature = bnn_mat_new(&u->mem, 1, t.net.params->n);
    bnn_ggn(curvature, &u->tape, &t.net, bnn_mat_rows(u->train.x, 0, 500));
    nll = by_draws(u, &t, test, &error);
    printf("RESULT prior_rows width=%zu seed=%d teacher=%s nll=%.4f error=%.2f\n", width, seed,
           layer ? "784-800-W-10" : "784-800-10", nll, error);
    for (int k = 0; k < 3 && !u->mem.err; k++) {
        bnn_net net = t.net;
        cut[k] = drop(u, &net, &g, 1, width, k, curvature.data);
        if (layer) net = bnn_drop_layer(bnn_params_new(&u->mem), &cut[k], &net, &cut[k], 2);
        nll = -judge(u, &net);
        if (nll < least) least = nll, best = k;
        printf("RESULT prior_rows width=%zu seed=%d cut=%s order=%s held_nll=%.4f\n", width, seed,
               layer ? "neurons_layer" : "neurons", order[k], nll);
        fflush(stdout);
    }
    return best;
}

/* Students [784,width,10] by their rows, which are not the teacher's: data counted once */
static void curve(world *u, size_t width, uint64_t seed) {
    enum { SIZES = 4, PRIORS = 5 };
    static const size_t rows[SIZES] = { 100, 1000, 5000, MOST };
    static const char *prior_name[PRIORS] = { "standard", "means", "posterior", "posterior_random",
                                              "posterior_layer" };
    bnn_data all = u->train, test = u->test, held = bnn_data_rows(all, HALF + MOST, HELD);
    bnn_mlp_desc shape = { .sizes = { 784, width, 10 }, .likelihood = BNN_CATEGORICAL,
                           .no_bias = 1, .seed = seed };
    bnn_gaussian cut[2][3];
    u->tape.rng = bnn_rng_seed(seed);
    u->train = bnn_data_rows(all, 0, HALF), u->test = held;
    bnn_gaussian *best = &cut[0][cuts(u, shape, 0, test, cut[0])];
    bnn_gaussian *layer = &cut[1][cuts(u, shape, 1, test, cut[1])];
    bnn_gaussian flat = standard(u, best->n, NULL), means = standard(u, best->n, best->mean);
    bnn_gaussian *prior[PRIORS] = { &flat, &means, best, &cut[0][0], layer };
    u->steps = u->every = 1000, u->batch = 32;
    for (int k = 0; k < SIZES; k++)
        for (int m = 0; m < PRIORS && !u->mem.err; m++) {
            grade g = student(u, shape, prior[m], m > 1, bnn_data_rows(all, HALF, rows[k]), held,
                              test);
            printf("RESULT prior_rows width=%zu seed=%d prior=%s rows=%zu nll=%.4f error=%.2f "
                   "kl_weight=%g held_nll=%.4f\n", width, (int)seed, prior_name[m], rows[k], g.nll,
                   g.error, g.kl_weight, g.held);
            fflush(stdout);
            fprintf(stderr, "%zu rows, %s: %.4f\n", rows[k], prior_name[m], g.nll);
        }
}

int main(int argc, char **argv) {
    static world u;
    static const char *order[ORDERS] = { "random", "obd", "ratio", "belsley", "reversed" };
    double sum[ORDERS][10] = { { 0 } };
    const char *who = "prior_from_teacher", *dat = "build/prior_from_teacher.dat";
    int full = argc > 1, number = full && argv[1][strspn(argv[1], "0123456789")] == '\0';
    int seeds = number ? (int)example_whole(who, "seeds", argv[1], 1, 1e4) : full ? 0 : 2;
    size_t width = argc > 2 ? example_whole(who, "WIDTH", argv[2], 1, 800) : 0;
    uint64_t seed = argc > 3 ? example_seed(who, argv[3]) : 1;
    u.fixed = argc > 4 ? (float)example_real(who, "KL", argv[4], 0, 1e6) : -1;
    example_most(who, argc, argv, number ? 1 : 4);
    u.dat = example_open(who, dat);
    for (int s = 0; s < seeds; s++) {
        regression(&u, 1 + (uint64_t)s, s == 0 || full, sum);
        if (u.tape.err || u.mem.err) break;
    }
    if (seeds > 0)
        printf("RMSE after deleting k of 50 neurons, mean over %d seeds\n%-8s", seeds, "k");
    for (int k = 0; seeds > 0 && k <= 8; k++) printf("%8d", 5 * k);
    for (int o = 0; seeds > 0 && o < ORDERS; o++) {
        printf("\n%-8s", order[o]);
        for (int k = 0; k <= 8; k++) printf("%8.3f", sum[o][k] / seeds);
    }
    if (seeds > 0)
        printf("\nnever active: %.1f of 50; Belsley's largest index: %.1f", sum[0][9] / seeds,
               sum[3][9] / seeds);
    if (seeds > 0) printf("\n");
    if (full && seeds == 0) {
        const char *f = argv[1];
        u.train = example_data(&u.mem, who, f, "train-images-idx3-ubyte",
                               "train-labels-idx1-ubyte", 784, 255);
        u.test = example_data(&u.mem, who, f, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
                              784, 255);
        if (width && u.train.x.rows < ALL) {
            fprintf(stderr, "%s: %s: %zu training images, a WIDTH needs %d\n", who, f,
                    u.train.x.rows, ALL);
            return 1;
        }
        if (width) curve(&u, width, seed);
        else images(&u, "fashion", 800, 50, 15000);
    } else if (!full) {
        const char *f = example_folder();
        u.train = example_data(&u.mem, who, f, "digits-train-images.idx",
                               "digits-train-labels.idx", 64, 16);
        u.test = example_data(&u.mem, who, f, "digits-test-images.idx", "digits-test-labels.idx",
                              64, 16);
        images(&u, "digits", 100, 20, 1500);
    }
    if (u.tape.err || u.mem.err)
        fprintf(stderr, "prior_from_teacher: %s\n", u.tape.err ? u.tape.msg : u.mem.msg);
    int failed = u.tape.err || u.mem.err;
    example_close(who, dat, u.dat);
    bnn_tape_free(&u.tape);
    bnn_arena_free(&u.mem);
    return failed | example_failed;
}
