/* test_simplex.c -- S1.10 to S1.12, S7.2 to S7.14: samplers and log densities on the simplex and
 * the cube against quadrature, closed forms and exhaustive enumeration. Statistical checks allow Z
 * standard errors (false alarms 1e-4 each). */
#include "build.h"

#define Z 3.9
#define TIGHT BUILD_TOL(2e-5, 1e-11)
#define GRADIENT BUILD_TOL(2e-2, 1e-6)

typedef struct world {
    bnn_arena mem;
    bnn_tape tape;
    bnn_params *w;
} world;

static const bnn_prior flat = { .kind = BNN_PRIOR_FLAT };

static void world_open(world *u, uint64_t seed) {
    memset(u, 0, sizeof *u);
    u->tape.rng = bnn_rng_seed(build_seed(seed));
    u->w = bnn_params_new(&u->mem);
}

static void world_close(world *u) {
    CHECK(u->tape.err == BNN_OK && u->mem.err == BNN_OK);
    if (u->tape.err) printf("    %s\n", u->tape.msg);
    bnn_tape_free(&u->tape);
    bnn_arena_free(&u->mem);
}

static size_t block(world *u, size_t rows, size_t cols, const double *values) {
    size_t b = bnn_params_add(u->w, rows, cols, "p", flat);
    for (size_t i = 0; i < rows * cols; i++)
        bnn_params_mat(u->w, b).data[i] = (float)values[i];
    return b;
}

/* n rows, each a copy of the k values, as a constant */
static bnn_var *rows_of(bnn_tape *t, size_t n, size_t k, const double *values) {
    bnn_var *x = bnn_op(t, n, k, NULL, 0, NULL);
    for (size_t i = 0; i < n * k && x->val.data; i++) x->val.data[i] = (float)values[i % k];
    return x;
}

static bnn_var *repeat(bnn_var *row, size_t n) { /* (1,k) -> (n,k) with a gradient */
    bnn_var *zero = bnn_op(row->tape, n, 1, NULL, 0, NULL);
    if (zero->val.data) bnn_mat_fill(zero->val, 0);
    return bnn_add(zero, row);
}

static double at(const bnn_var *v, size_t i, size_t j) {
    return (double)v->val.data[i * v->val.cols + j];
}

static int refused(bnn_tape *t, bnn_var *v, const char *words) {
    int ok = v == &t->poison && t->err != BNN_OK && strstr(t->msg, words) != NULL;
    if (!ok) printf("    \"%s\" has not \"%s\"\n", t->msg, words);
    bnn_tape_clear_error(t);
    return ok;
}

/* ---- Gumbel-softmax */

static const double odds[3] = { 1.2, -0.3, 0.4 };

static void gumbel_softmax_is_softmax_of_noisy_logits_over_tau(void) {
    static const double taus[] = { 0.05, 0.5, 1, 7 };
    for (int c = 0; c < 4; c++) {
        world u;
        float g[15];
        bnn_var *a, *y, *log_y;
        bnn_rng start;
        world_open(&u, 1);
        start = u.tape.rng;
        a = rows_of(&u.tape, 5, 3, odds);
        y = bnn_gumbel_softmax(a, (float)taus[c]);
        u.tape.rng = start;
        log_y = bnn_log_gumbel_softmax(a, (float)taus[c]);
        bnn_rng_fill_gumbel(&start, 15, g);
        for (size_t i = 0; i < 5; i++) {
            double l[3], top = -1e300, sum = 0;
            for (size_t k = 0; k < 3; k++) {
                l[k] = (odds[k] + (double)g[i * 3 + k]) / taus[c];
                top = l[k] > top ? l[k] : top;
            }
            for (size_t k = 0; k < 3; k++) sum += exp(l[k] - top);
            for (size_t k = 0; k < 3; k++) {
                double want = l[k] - top - log(sum);
                CHECK_NEAR(at(y, i, k), exp(want), TIGHT);
                CHECK_NEAR(at(log_y, i, k), want, TIGHT * (1 + fabs(want)));
            }
        }
        world_close(&u);
    }
}

/* At tau 1 it is the softmax of bnn_gumbel, whose noise is drawn in one piece, to the last bit, and
 * leaves the generator at the same place; rows in more than one block of >>simplex */
static void gumbel_softmax_in_blocks_draws_what_one_piece_draws(void) {
    static const size_t shape[][2] = { { 3001, 2 }, { 2050, 3 }, { 1500, 10 }, { 130, 63 },
                                       { 129, 64 }, { 65, 100 }, { 1, 5000 } };
    for (size_t c = 0; c < sizeof shape / sizeof *shape; c++) {
        world u;
        bnn_rng start;
        bnn_var *a, *y, *z;
        world_open(&u, 40 + c);
        a = bnn_op(&u.tape, shape[c][0], shape[c][1], NULL, 0, NULL);
        bnn_rng_fill_normal(&u.tape.rng, shape[c][0] * shape[c][1], a->val.data);
        start = u.tape.rng;
        y = bnn_gumbel_softmax(a, 1);
        float next = bnn_rng_uniform(&u.tape.rng), again;
        u.tape.rng = start;
        z = bnn_softmax(bnn_gumbel(a));
        CHECK_SAME_ARRAY(y->val.data, z->val.data, shape[c][0] * shape[c][1]);
        again = bnn_rng_uniform(&u.tape.rng);
        CHECK_SAME(next, again);
        world_close(&u);
    }
}

static void the_largest_entry_has_the_odds_of_the_logits_at_every_temperature(void) {
    enum { N = 20000 };
    static const double taus[] = { 0.01, 0.3, 1, 10, 100 };
    double s = 0;
    for (int k = 0; k < 3; k++) s += exp(odds[k]);
    for (int c = 0; c < 5; c++) {
        world u;
        bnn_var *y, *hard;
        double count[3] = { 0, 0, 0 };
        world_open(&u, 2 + (uint64_t)c);
        y = bnn_gumbel_softmax(rows_of(&u.tape, N, 3, odds), (float)taus[c]);
        hard = bnn_straight_through(bnn_one_hot(y), y);
        for (size_t i = 0; i < N; i++) {
            for (size_t k = 0; k < 3; k++) count[k] += at(hard, i, k);
            CHECK(at(hard, i, bnn_mat_row_argmax(y->val, i)) == 1);
        }
        for (int k = 0; k < 3; k++) {
            double p = exp(odds[k]) / s;
            CHECK_NEAR(count[k] / N, p, Z * sqrt(p * (1 - p) / N));
        }
        world_close(&u);
    }
}

typedef struct sampled {
    world *u;
    float tau;
    int kind;
} sampled;

static const double costs[3] = { 0.7, -1.1, 0.4 };

static bnn_var *cost_of(bnn_var *x) { /* a curved function of all entries */
    bnn_var *c = rows_of(x->tape, 1, x->val.cols, costs);
    return bnn_sum(bnn_add(bnn_mul(bnn_square(x), c), bnn_sin(bnn_mul(x, c))));
}

static bnn_var *sampled_loss(bnn_tape *t, void *user) {
    const sampled *s = (const sampled *)user;
    bnn_var *a = repeat(bnn_param(t, s->u->w, 0), 4), *y;
    if (s->kind == 0) return cost_of(bnn_gumbel_softmax(a, s->tau));
    if (s->kind == 1) return cost_of(bnn_scale(bnn_log_gumbel_softmax(a, s->tau), (float)0.1));
    if (s->kind == 2) { /* a learned temperature */
        y = bnn_exp(bnn_param(t, s->u->w, 1));
        return cost_of(bnn_exp(bnn_log_softmax(bnn_div(bnn_gumbel(a), y))));
    }
    return cost_of(bnn_sigmoid(bnn_relaxed_bernoulli(a, s->tau)));
}

static void samplers_have_the_gradient_of_their_formula_at_fixed_noise(void) {
    static const double taus[] = { 0.3, 1, 5 };
    double log_tau = -0.4;
    for (int c = 0; c < 12; c++) {
        world u;
        sampled s = { &u, (float)taus[c % 3], c / 3 };
        world_open(&u, 10 + (uint64_t)c);
        block(&u, 1, 3, odds);
        block(&u, 1, 1, &log_tau);
        CHECK(bnn_grad_check(&u.tape, u.w, sampled_loss, &s) < GRADIENT);
        world_close(&u);
    }
}

static void straight_through_has_the_gradient_of_the_soft_draw(void) {
    world u;
    float soft[3];
    bnn_rng start;
    bnn_var *y;
    world_open(&u, 30);
    block(&u, 1, 3, odds);
    start = u.tape.rng;
    bnn_backward(cost_of(bnn_gumbel_softmax(repeat(bnn_param(&u.tape, u.w, 0), 4), (float)0.7)));
    memcpy(soft, u.w->grad, sizeof soft);
    /* the same incoming gradient: linear in the draw */
    u.tape.rng = start;
    bnn_params_zero_grad(u.w);
    y = bnn_gumbel_softmax(repeat(bnn_param(&u.tape, u.w, 0), 4), (float)0.7);
    bnn_backward(bnn_sum(bnn_mul(y, rows_of(&u.tape, 1, 3, costs))));
    memcpy(soft, u.w->grad, sizeof soft);
    u.tape.rng = start;
    bnn_params_zero_grad(u.w);
    y = bnn_gumbel_softmax(repeat(bnn_param(&u.tape, u.w, 0), 4), (float)0.7);
    y = bnn_straight_through(bnn_one_hot(y), y);
    bnn_backward(bnn_sum(bnn_mul(y, rows_of(&u.tape, 1, 3, costs))));
    CHECK_SAME_ARRAY(soft, u.w->grad, 3);
    world_close(&u);
}

static void a_hard_draw_alone_has_no_gradient_though_its_mean_moves(void) { /* S7.4 */
    world u;
    world_open(&u, 31);
    block(&u, 1, 3, odds);
    bnn_backward(cost_of(bnn_one_hot(bnn_gumbel_softmax(bnn_param(&u.tape, u.w, 0), 1))));
    for (int k = 0; k < 3; k++) CHECK(u.w->grad[k] == 0);
    world_close(&u);
}

/* ---- densities on the simplex: f(ln x) -> ln p */

typedef bnn_var *(*density_fn)(bnn_var *log_x, const void *user);

/* The integral over the simplex of k = 2, 3 by the trapezoid rule in log ratios r_j = ln x_j/x_k,
 * whose Jacobian is the product of all x: exponentially accurate for smooth densities. */
static double integral(world *u, size_t k, density_fn f, const void *user, double reach,
                       size_t steps) {
    double h = 2 * reach / (double)steps, total = 0;
    size_t outer = k == 3 ? steps : 1;
    for (size_t b = 0; b < outer; b++) {
        bnn_var *x, *p;
        bnn_tape_reset(&u->tape);
        x = bnn_op(&u->tape, steps, k, NULL, 0, NULL);
        for (size_t a = 0; a < steps; a++) {
            double r[3] = { 0, 0, 0 }, top = 0, sum = 0;
            r[0] = -reach + h * ((double)a + 0.5);
            if (k == 3) r[1] = -reach + h * ((double)b + 0.5);
            for (size_t j = 0; j < k; j++) top = r[j] > top ? r[j] : top;
            for (size_t j = 0; j < k; j++) sum += exp(r[j] - top);
            for (size_t j = 0; j < k; j++) x->val.data[a * k + j] = (float)(r[j] - top - log(sum));
        }
        p = f(x, user);
        for (size_t a = 0; a < steps; a++) {
            double logs = at(p, a, 0);
            for (size_t j = 0; j < k; j++) logs += at(x, a, j);
            total += exp(logs) * h * (k == 3 ? h : 1);
        }
    }
    return total;
}

typedef struct law {
    const double *p, *scale;
    size_t k, scale_rows;
    double tau;
} law;

static bnn_var *concrete(bnn_var *log_x, const void *user) {
    const law *l = (const law *)user;
    return bnn_concrete_log_prob(log_x, rows_of(log_x->tape, 1, l->k, l->p), (float)l->tau);
}

static bnn_var *dirichlet(bnn_var *log_x, const void *user) {
    const law *l = (const law *)user;
    return bnn_dirichlet_log_prob(log_x, rows_of(log_x->tape, 1, l->k, l->p));
}

static bnn_var *logit_normal(bnn_var *log_x, const void *user) {
    const law *l = (const law *)user;
    bnn_mat s = bnn_mat_new(&log_x->tape->mem, l->scale_rows, l->k);
    for (size_t i = 0; i < l->scale_rows * l->k; i++) s.data[i] = (float)l->scale[i];
    return bnn_logit_normal_log_prob(log_x, rows_of(log_x->tape, 1, l->k, l->p),
                                     bnn_input(log_x->tape, s));
}

static const double square_root[9] = { 1.1, 0, 0, 0.4, 0.8, 0, -0.3, 0.2, 0.9 };
static const double deviations[3] = { 0.8, 1.3, 0.6 };

static void densities_on_the_simplex_integrate_to_one(void) {
    static const double taus[] = { 0.4, 0.995, 3 }, alphas[] = { 0.7, 2.5, 4 };
    world u;
    world_open(&u, 40);
    for (size_t k = 2; k <= 3; k++) {
        size_t steps = k == 2 ? 4000 : 240;
        for (int c = 0; c < 3; c++) {
            law l = { odds, NULL, k, 0, taus[c] };
            CHECK_NEAR(integral(&u, k, concrete, &l, 12 / taus[c] * (k == 2 ? 2 : 1), steps), 1,
                       BUILD_TOL(1e-4, k == 2 ? 1e-8 : 5e-5));
        }
        {
            law d = { alphas, NULL, k, 0, 0 }, n = { odds, deviations, k, 1, 0 };
            law f = { odds, square_root, 3, 3, 0 };
            CHECK_NEAR(integral(&u, k, dirichlet, &d, 30, steps), 1,
                       BUILD_TOL(1e-4, k == 2 ? 1e-8 : 1e-6));
            CHECK_NEAR(integral(&u, k, logit_normal, &n, 14, steps), 1, BUILD_TOL(1e-5, 1e-9));
            if (k == 3)
                CHECK_NEAR(integral(&u, 3, logit_normal, &f, 14, steps), 1, BUILD_TOL(1e-5, 1e-9));
        }
    }
    world_close(&u);
}

static void draw_on_simplex(bnn_rng *r, size_t k, double *log_x) {
    double sum = 0;
    for (size_t j = 0; j < k; j++) sum += exp(log_x[j] = 1.5 * (double)bnn_rng_normal(r));
    for (size_t j = 0; j < k; j++) log_x[j] -= log(sum);
}

static void concrete_density_is_its_product_form(void) {
    world u;
    world_open(&u, 41);
    for (int c = 0; c < 50; c++) {
        double log_x[3], tau = exp((double)bnn_rng_normal(&u.tape.rng)), sum = 0, p = 2 * tau * tau;
        law l = { odds, NULL, 3, 0, tau };
        bnn_tape_reset(&u.tape);
        draw_on_simplex(&u.tape.rng, 3, log_x);
        for (int k = 0; k < 3; k++) {
            p *= exp(odds[k]) * pow(exp(log_x[k]), -tau - 1);
            sum += exp(odds[k]) * pow(exp(log_x[k]), -tau);
        }
        CHECK_NEAR(at(concrete(rows_of(&u.tape, 1, 3, log_x), &l), 0, 0),
                   log(p / (sum * sum * sum)), TIGHT * 100);
    }
    world_close(&u);
}

static void concrete_density_ignores_a_shift_and_is_uniform_for_two_at_tau_one(void) {
    static const double shifted[3] = { 101.2, 99.7, 100.4 }, equal[2] = { 0.3, 0.3 };
    static const double x[3] = { -1.5, -0.7, -1.2774 }, pair[2] = { -0.2, -1.7077719 };
    law a = { odds, NULL, 3, 0, 0.8 }, b = { shifted, NULL, 3, 0, 0.8 };
    law c = { equal, NULL, 2, 0, 1 };
    world u;
    world_open(&u, 42);
    CHECK_NEAR(at(concrete(rows_of(&u.tape, 1, 3, x), &a), 0, 0),
               at(concrete(rows_of(&u.tape, 1, 3, x), &b), 0, 0), BUILD_TOL(1e-4, 1e-11));
    CHECK_NEAR(at(concrete(rows_of(&u.tape, 1, 2, pair), &c), 0, 0), 0, 1e-6);
    world_close(&u);
}

/* S7.10: with three things ln p is convex up to tau = 1/2, not at 0.6. The density is a function of
 * the point, so convexity is along segments of x. */
static void concrete_density_has_no_inner_mode_at_low_temperature(void) {
    int bad[2] = { 0, 0 };
    world u;
    world_open(&u, 43);
    for (int c = 0; c < 2; c++)
        for (int i = 0; i < 400; i++) {
            law l = { odds, NULL, 3, 0, c ? 0.6 : 0.5 };
            double p[3], q[3], m[3], v[3];
            bnn_tape_reset(&u.tape);
            draw_on_simplex(&u.tape.rng, 3, p);
            draw_on_simplex(&u.tape.rng, 3, q);
            for (int k = 0; k < 3; k++) q[k] = log(exp(p[k]) + 0.2 * (exp(q[k]) - exp(p[k])));
            for (int k = 0; k < 3; k++) m[k] = log((exp(p[k]) + exp(q[k])) / 2);
            v[0] = at(concrete(rows_of(&u.tape, 1, 3, p), &l), 0, 0);
            v[1] = at(concrete(rows_of(&u.tape, 1, 3, q), &l), 0, 0);
            v[2] = at(concrete(rows_of(&u.tape, 1, 3, m), &l), 0, 0);
            bad[c] += v[2] > (v[0] + v[1]) / 2 + BUILD_TOL(1e-5, 1e-12);
        }
    CHECK(bad[0] == 0);
    CHECK(bad[1] > 0);
    world_close(&u);
}

static bnn_var *density_loss(bnn_tape *t, void *user) {
    const sampled *s = (const sampled *)user;
    bnn_params *w = s->u->w;
    bnn_var *x = bnn_log_softmax(bnn_param(t, w, 0)), *p = bnn_param(t, w, 1);
    bnn_var *l = bnn_param(t, w, 0), *a = bnn_exp(p), *v;
    switch (s->kind) {
    case 0: v = bnn_concrete_log_prob(x, p, s->tau); break;
    case 1: v = bnn_relaxed_bernoulli_log_prob(l, p, s->tau); break;
    case 2: v = bnn_dirichlet_log_prob(x, a); break;
    case 3: v = bnn_dirichlet_entropy(a); break;
    case 4: v = bnn_logit_normal_log_prob(x, p, bnn_exp(bnn_param(t, w, 2))); break;
    case 5: v = bnn_logit_normal_log_prob(x, p, bnn_param(t, w, 3)); break;
    case 6: v = bnn_beta_log_prob(l, repeat(a, 4), bnn_exp(l)); break;
    case 7: v = bnn_beta_entropy(bnn_exp(l), repeat(a, 4)); break;
    case 8: v = bnn_kl_beta(bnn_exp(l), repeat(a, 4), (float)0.5, 2); break;
    case 9: v = bnn_concrete_log_prob(x, repeat(p, 4), s->tau); break;
    case 10: v = bnn_dirichlet_log_prob(x, bnn_exp(l)); break;
    default: v = bnn_logit_normal_log_prob(x, repeat(p, 4), bnn_param(t, w, 3)); break;
    }
    return bnn_sum(bnn_mul(v, bnn_rows(bnn_param(t, w, 4), 0, v->val.rows)));
}

static void densities_have_the_gradients_of_finite_differences(void) {
    for (int c = 0; c < 12; c++) {
        world u;
        sampled s = { &u, (float)0.8, c };
        double x[12], weights[4] = { 0.5, -1.2, 0.8, 0.3 };
        world_open(&u, 50 + (uint64_t)c);
        for (int i = 0; i < 12; i++) /* narrow: no slope near 0, of which float sees rounding */
            x[i] = 0.5 * (double)bnn_rng_normal(&u.tape.rng);
        block(&u, 4, 3, x);
        block(&u, 1, 3, odds);
        block(&u, 1, 3, costs);
        block(&u, 3, 3, square_root);
        block(&u, 4, 1, weights);
        CHECK(bnn_grad_check(&u.tape, u.w, density_loss, &s) < GRADIENT);
        world_close(&u);
    }
}

static void the_score_has_mean_zero(void) { /* E grad ln p = 0 for every parameter */
    enum { N = 20000 };
    for (int c = 0; c < 4; c++) {
        world u;
        bnn_var *p, *a, *x, *v, *s;
        double sum[3] = { 0, 0, 0 }, square[3] = { 0, 0, 0 };
        world_open(&u, 70 + (uint64_t)c);
        p = bnn_leaf(&u.tape, rows_of(&u.tape, N, 3, odds)->val);
        a = bnn_exp(p);
        s = rows_of(&u.tape, 1, 3, deviations);
        if (c == 0) x = bnn_log_gumbel_softmax(p, (float)0.6);
        else if (c == 1) x = bnn_log_dirichlet(a);
        else if (c == 2) x = bnn_log_logit_normal(p, s);
        else x = bnn_relaxed_bernoulli(p, (float)0.6);
        x = bnn_detach(x);
        if (c == 0) v = bnn_concrete_log_prob(x, p, (float)0.6);
        else if (c == 1) v = bnn_dirichlet_log_prob(x, a);
        else if (c == 2) v = bnn_logit_normal_log_prob(x, p, s);
        else v = bnn_relaxed_bernoulli_log_prob(x, p, (float)0.6);
        bnn_backward(bnn_sum(v));
        for (size_t i = 0; i < N * 3; i++) {
            sum[i % 3] += (double)p->grad.data[i];
            square[i % 3] += (double)p->grad.data[i] * (double)p->grad.data[i];
        }
        for (int k = 0; k < 3; k++) CHECK_NEAR(sum[k] / N, 0, Z * sqrt(square[k]) / N);
        world_close(&u);
    }
}

/* ---- relaxed Bernoulli */

static void relaxed_bernoulli_rounds_to_its_probability_at_every_temperature(void) {
    enum { N = 20000 };
    static const double taus[] = { 0.01, 0.5, 2, 100 };
    for (int c = 0; c < 4; c++) {
        world u;
        double count[3] = { 0, 0, 0 };
        bnn_var *x;
        world_open(&u, 80 + (uint64_t)c);
        x = bnn_sigmoid(bnn_relaxed_bernoulli(rows_of(&u.tape, N, 3, odds), (float)taus[c]));
        for (size_t i = 0; i < N; i++)
            for (size_t k = 0; k < 3; k++) count[k] += at(x, i, k) > 0.5;
        for (int k = 0; k < 3; k++) {
            double p = 1 / (1 + exp(-odds[k]));
            CHECK_NEAR(count[k] / N, p, Z * sqrt(p * (1 - p) / N));
        }
        world_close(&u);
    }
}

static void relaxed_bernoulli_is_the_concrete_of_two(void) {
    static const double taus[] = { 0.3, 1, 4 };
    world u;
    world_open(&u, 84);
    for (int c = 0; c < 3; c++)
        for (double l = -6; l <= 6; l += 1.3) {
            double a = 0.7, pair[2] = { 0.7, 0 }, x[2] = { -log1p(exp(-l)), -log1p(exp(l)) };
            law two = { pair, NULL, 2, 0, taus[c] };
            double want = at(concrete(rows_of(&u.tape, 1, 2, x), &two), 0, 0);
            CHECK_NEAR(at(bnn_relaxed_bernoulli_log_prob(rows_of(&u.tape, 1, 1, &l),
                                                         rows_of(&u.tape, 1, 1, &a),
                                                         (float)taus[c]), 0, 0),
                       want, BUILD_TOL(1e-5, 1e-12) * (1 + fabs(want)));
        }
    world_close(&u);
}

/* ---- KL without a closed form */

static void concrete_kl_agrees_with_quadrature(void) { /* S7.12, K = 2 */
    enum { N = 40000, GRID = 4000 };
    static const double a[2] = { 0.8, 0 }, b[2] = { -0.5, 0 };
    law q = { a, NULL, 2, 0, 0.6 }, p = { b, NULL, 2, 0, 0.9 };
    world u;
    bnn_var *x, *d, *same;
    double mean = 0, square = 0, exact = 0, reach = 45;
    world_open(&u, 90);
    x = bnn_log_gumbel_softmax(rows_of(&u.tape, N, 2, a), (float)0.6);
    d = bnn_sub(concrete(x, &q), concrete(x, &p));
    same = bnn_sub(concrete(x, &q), concrete(x, &q));
    for (size_t i = 0; i < N; i++) {
        mean += at(d, i, 0) / N;
        square += at(d, i, 0) * at(d, i, 0) / N;
        CHECK(at(same, i, 0) == 0);
    }
    for (int i = 0; i < GRID; i++) { /* in the logit l, whose density is logistic */
        double h = 2 * reach / GRID, l = -reach + h * (i + 0.5);
        double zq = 0.6 * l - 0.8, zp = 0.9 * l + 0.5;
        double lq = log(0.6) - zq - 2 * log1p(exp(-zq)), lp = log(0.9) - zp - 2 * log1p(exp(-zp));
        exact += exp(lq) * (lq - lp) * h;
    }
    CHECK_NEAR(mean, exact, Z * sqrt((square - mean * mean) / N));
    CHECK(exact > 0);
    world_close(&u);
}

/* ---- gamma, Dirichlet, Beta */

static double gamma_quantile(double a, double u) { /* ln of it, by bisection of P */
    double lo = -2000, hi = 20;
    for (int i = 0; i < 200; i++) {
        double mid = (lo + hi) / 2;
        double p = mid < -600 ? exp(a * mid - bnn_lgamma(a + 1)) : bnn_gamma_p(a, exp(mid));
        if (p < u) lo = mid;
        else hi = mid;
    }
    return (lo + hi) / 2;
}

static void gamma_draws_move_with_alpha_as_their_quantile_does(void) {
    static const double alphas[] = { 0.02, 0.3, 1, 4.5, 60 };
    for (int c = 0; c < 5; c++) {
        world u;
        bnn_var *a, *y;
        world_open(&u, 100 + (uint64_t)c);
        a = bnn_leaf(&u.tape, rows_of(&u.tape, 20, 1, alphas + c)->val);
        y = bnn_log_gamma(a);
        bnn_backward(bnn_sum(y));
        for (size_t i = 0; i < 20; i++) {
            double ly = at(y, i, 0), h = 1e-4 * alphas[c], p, slope, al = (double)a->val.data[i];
            p = ly < -600 ? exp(al * ly - bnn_lgamma(al + 1)) : bnn_gamma_p(al, exp(ly));
            if (p > 0.999) continue; /* P has no digits left there */
            slope = (gamma_quantile(al + h, p) - gamma_quantile(al - h, p)) / (2 * h);
            CHECK_NEAR((double)a->grad.data[i] / slope, 1, 2e-5);
        }
        world_close(&u);
    }
}

static void gamma_gradients_are_right_and_finite_for_extreme_alpha(void) { /* 1e-5 in float */
    static const double alphas[] = { 1e-4, 1e-3, 0.01, 1, 100, 1e4, 1e6 };
    for (int c = 0; c < 7; c++) {
        world u;
        bnn_var *a, *y;
        world_open(&u, 110 + (uint64_t)c);
        a = bnn_leaf(&u.tape, rows_of(&u.tape, 200, 1, alphas + c)->val);
        y = bnn_log_gamma(a);
        bnn_backward(bnn_sum(y));
        for (size_t i = 0; i < 200; i++) {
            double d = bnn_gamma_dlog((double)a->val.data[i], at(y, i, 0));
            CHECK(bnn__finite_d(at(y, i, 0)) && bnn__finite_d(d) && d > 0);
            CHECK_NEAR((double)a->grad.data[i] / d, 1, BUILD_TOL(1e-6, 1e-14));
        }
        world_close(&u);
    }
}

/* E sum c_k x_k^2 = sum c_k a_k (a_k+1)/(a0 (a0+1)); its derivative by alpha against the mean of
 * the draws' gradients, down to alpha = 0.02 */
static void dirichlet_gradients_have_the_mean_of_the_closed_form(void) {
    enum { N = 20000 };
    static const double alpha[3][3] = { { 0.02, 0.02, 0.02 }, { 0.5, 1.5, 3 }, { 20, 5, 40 } };
    for (int c = 0; c < 3; c++) {
        world u;
        bnn_var *a, *x;
        double sum[3] = { 0, 0, 0 }, square[3] = { 0, 0, 0 }, a0 = 0, q = 0, mean[3] = { 0, 0, 0 };
        world_open(&u, 120 + (uint64_t)c);
        a = bnn_leaf(&u.tape, rows_of(&u.tape, N, 3, alpha[c])->val);
        x = bnn_dirichlet(a);
        bnn_backward(bnn_sum(bnn_mul(bnn_square(x), rows_of(&u.tape, 1, 3, costs))));
        for (size_t i = 0; i < N * 3; i++) {
            double g = (double)a->grad.data[i];
            sum[i % 3] += g;
            square[i % 3] += g * g;
            mean[i % 3] += (double)x->val.data[i] / N;
        }
        for (int k = 0; k < 3; k++) a0 += alpha[c][k];
        for (int k = 0; k < 3; k++) q += costs[k] * alpha[c][k] * (alpha[c][k] + 1);
        for (int k = 0; k < 3; k++) {
            double exact = costs[k] * (2 * alpha[c][k] + 1) / (a0 * (a0 + 1)) -
                           q * (2 * a0 + 1) / (a0 * a0 * (a0 + 1) * (a0 + 1));
            double p = alpha[c][k] / a0;
            CHECK_NEAR(sum[k] / N, exact, Z * sqrt(square[k]) / N);
            CHECK_NEAR(mean[k], p, Z * sqrt(p * (1 - p) / (a0 + 1) / N));
        }
        world_close(&u);
    }
}

static void a_cooling_dirichlet_goes_to_the_vertices_with_the_right_odds(void) { /* S7.7 */
    enum { N = 10000 };
    static const double s[3] = { 3, 1, 2 }, taus[] = { 1e-3, 0.1, 1 };
    for (int c = 0; c < 3; c++) {
        world u;
        bnn_var *x;
        double alpha[3], a0 = 6 * taus[c], second = 0, top = 0, exact = 0, first = 0, var = 0;
        for (int k = 0; k < 3; k++) alpha[k] = taus[c] * s[k];
        for (int k = 0; k < 3; k++) exact += alpha[k] * (alpha[k] + 1) / (a0 * (a0 + 1));
        world_open(&u, 130 + (uint64_t)c);
        x = bnn_dirichlet(rows_of(&u.tape, N, 3, alpha));
        for (size_t i = 0; i < N; i++) {
            double q = 0, m = 0;
            for (size_t k = 0; k < 3; k++) {
                q += at(x, i, k) * at(x, i, k);
                m = at(x, i, k) > m ? at(x, i, k) : m;
            }
            second += q / N;
            var += q * q / N;
            top += (m > 0.99) / (double)N;
            first += (at(x, i, 0) > 0.5) / (double)N;
        }
        CHECK_NEAR(second, exact, Z * sqrt((var - second * second) / N) + 1e-6);
        if (c == 0) {
            CHECK(top > 0.98);
            CHECK_NEAR(first, 0.5, Z * 0.5 / sqrt(N) + 0.01);
        }
        world_close(&u);
    }
}

static void dirichlet_entropy_and_kl_are_means_over_draws(void) {
    enum { N = 20000 };
    static const double alpha[3] = { 0.6, 2, 1.3 }, other[3] = { 2, 1, 3 };
    float prior[3] = { 2, 1, 3 };
    law q = { alpha, NULL, 3, 0, 0 }, p = { other, NULL, 3, 0, 0 };
    world u;
    bnn_var *x, *lq, *lp;
    double h = 0, hh = 0, d = 0, dd = 0;
    world_open(&u, 140);
    x = bnn_log_dirichlet(rows_of(&u.tape, N, 3, alpha));
    lq = dirichlet(x, &q);
    lp = dirichlet(x, &p);
    for (size_t i = 0; i < N; i++) {
        double a = at(lq, i, 0), b = a - at(lp, i, 0);
        h -= a / N, hh += a * a / N, d += b / N, dd += b * b / N;
    }
    CHECK_NEAR(h, at(bnn_dirichlet_entropy(rows_of(&u.tape, 1, 3, alpha)), 0, 0),
               Z * sqrt((hh - h * h) / N));
    CHECK_NEAR(d, at(bnn_kl_dirichlet(rows_of(&u.tape, 1, 3, alpha), prior), 0, 0),
               Z * sqrt((dd - d * d) / N));
    world_close(&u);
}

static void beta_density_entropy_and_kl_agree_with_quadrature(void) {
    static const double pairs[3][2] = { { 0.7, 0.4 }, { 2, 5 }, { 30, 12 } };
    world u;
    world_open(&u, 150);
    for (int c = 0; c < 3; c++) {
        enum { GRID = 8000 };
        double one = 0, entropy = 0, kl = 0, mean = 0, reach = 70, h = 2 * reach / GRID;
        double b0 = bnn_lgamma(1.5) + bnn_lgamma(2.5) - bnn_lgamma(4);
        bnn_var *l = bnn_op(&u.tape, GRID, 1, NULL, 0, NULL), *a, *b, *v;
        for (int i = 0; i < GRID; i++) l->val.data[i] = (float)(-reach + h * (i + 0.5));
        a = rows_of(&u.tape, GRID, 1, pairs[c]);
        b = rows_of(&u.tape, GRID, 1, pairs[c] + 1);
        v = bnn_beta_log_prob(l, a, b);
        for (size_t i = 0; i < GRID; i++) {
            double x = at(l, i, 0), lx = -log1p(exp(-x)), l1 = -log1p(exp(x));
            double p = exp(at(v, i, 0) + lx + l1) * h;
            one += p, entropy -= p * at(v, i, 0), mean += p * exp(lx);
            kl += p * (at(v, i, 0) - (0.5 * lx + 1.5 * l1 - b0));
        }
        CHECK_NEAR(one, 1, BUILD_TOL(1e-4, 1e-9));
        CHECK_NEAR(mean, pairs[c][0] / (pairs[c][0] + pairs[c][1]), BUILD_TOL(1e-4, 1e-9));
        CHECK_NEAR(entropy, at(bnn_beta_entropy(bnn_rows(a, 0, 1), bnn_rows(b, 0, 1)), 0, 0),
                   BUILD_TOL(1e-3, 1e-8));
        CHECK_NEAR(kl, at(bnn_kl_beta(bnn_rows(a, 0, 1), bnn_rows(b, 0, 1), (float)1.5, (float)2.5),
                          0, 0), BUILD_TOL(1e-3, 1e-8));
    }
    world_close(&u);
}

static void beta_draws_have_their_law_and_the_gradient_of_their_mean(void) {
    enum { N = 20000 };
    static const double ab[2] = { 0.8, 2.2 };
    world u;
    bnn_var *a, *b, *x;
    double g[2] = { 0, 0 }, gg[2] = { 0, 0 }, s = ab[0] + ab[1], chi = 0, cell[64] = { 0 };
    world_open(&u, 160);
    a = bnn_leaf(&u.tape, rows_of(&u.tape, N, 1, ab)->val);
    b = bnn_leaf(&u.tape, rows_of(&u.tape, N, 1, ab + 1)->val);
    x = bnn_beta(a, b);
    bnn_backward(bnn_sum(x));
    for (size_t i = 0; i < N; i++) {
        double p = (double)a->grad.data[i], q = (double)b->grad.data[i];
        g[0] += p / N, gg[0] += p * p / N, g[1] += q / N, gg[1] += q * q / N;
    }
    CHECK_NEAR(g[0], ab[1] / (s * s), Z * sqrt((gg[0] - g[0] * g[0]) / N));
    CHECK_NEAR(g[1], -ab[0] / (s * s), Z * sqrt((gg[1] - g[1] * g[1]) / N));
    for (size_t i = 0; i < N; i++) {
        size_t c = (size_t)(64 * bnn_beta_i(ab[0], ab[1], at(x, i, 0)));
        cell[c < 64 ? c : 63]++;
    }
    for (int c = 0; c < 64; c++) chi += (cell[c] - N / 64.0) * (cell[c] - N / 64.0) / (N / 64.0);
    CHECK(chi < 63 + 4.5 * sqrt(2 * 63.0)); /* false alarm 3e-5 */
    world_close(&u);
}

/* ---- logit-normal */

static void logit_normal_of_two_is_the_sigmoid_of_a_normal(void) {
    static const double mu[2] = { 0.4, -0.3 }, sd[2] = { 0.6, 0.8 };
    law l = { mu, sd, 2, 1, 0 };
    world u;
    world_open(&u, 170);
    for (double r = -5; r <= 5; r += 0.7) {
        double x[2] = { -log1p(exp(-r)), -log1p(exp(r)) }, d = r - 0.7;
        double want = -d * d / 2 - log(2 * BNN__PI) / 2 - x[0] - x[1]; /* v = .36 + .64 = 1 */
        CHECK_NEAR(at(logit_normal(rows_of(&u.tape, 1, 2, x), &l), 0, 0), want, TIGHT * 10);
    }
    world_close(&u);
}

static void a_diagonal_covariance_is_a_full_one_with_zeros(void) {
    static const double full[9] = { 0.8, 0, 0, 0, 1.3, 0, 0, 0, 0.6 };
    law d = { odds, deviations, 3, 1, 0 }, f = { odds, full, 3, 3, 0 };
    world u;
    world_open(&u, 171);
    for (int i = 0; i < 20; i++) {
        double x[3];
        bnn_tape_reset(&u.tape);
        draw_on_simplex(&u.tape.rng, 3, x);
        CHECK_NEAR(at(logit_normal(rows_of(&u.tape, 1, 3, x), &d), 0, 0),
                   at(logit_normal(rows_of(&u.tape, 1, 3, x), &f), 0, 0), TIGHT);
    }
    world_close(&u);
}

static void logit_normal_draws_have_the_moments_of_their_log_ratios(void) {
    enum { N = 20000 };
    world u;
    for (int full = 0; full < 2; full++) {
        double m[2] = { 0, 0 }, c[3] = { 0, 0, 0 }, b[2][3], s[3] = { 0, 0, 0 };
        bnn_mat scale;
        bnn_var *x;
        world_open(&u, 172 + (uint64_t)full);
        scale = bnn_mat_new(&u.mem, full ? 3 : 1, 3);
        for (size_t i = 0; i < scale.rows * 3; i++)
            scale.data[i] = (float)(full ? square_root[i] : deviations[i]);
        x = bnn_log_logit_normal(rows_of(&u.tape, N, 3, odds), bnn_input(&u.tape, scale));
        for (int j = 0; j < 2; j++)
            for (int q = 0; q < 3; q++)
                b[j][q] = full ? square_root[j * 3 + q] - square_root[6 + q]
                               : (q == j ? deviations[q] : q == 2 ? -deviations[2] : 0);
        for (int q = 0; q < 3; q++)
            s[0] += b[0][q] * b[0][q], s[1] += b[1][q] * b[1][q], s[2] += b[0][q] * b[1][q];
        for (size_t i = 0; i < N; i++) {
            double r0 = at(x, i, 0) - at(x, i, 2) - (odds[0] - odds[2]);
            double r1 = at(x, i, 1) - at(x, i, 2) - (odds[1] - odds[2]);
            m[0] += r0 / N, m[1] += r1 / N;
            c[0] += r0 * r0 / N, c[1] += r1 * r1 / N, c[2] += r0 * r1 / N;
        }
        CHECK_NEAR(m[0], 0, Z * sqrt(s[0] / N));
        CHECK_NEAR(m[1], 0, Z * sqrt(s[1] / N));
        CHECK_NEAR(c[0], s[0], Z * s[0] * sqrt(2.0 / N));
        CHECK_NEAR(c[1], s[1], Z * s[1] * sqrt(2.0 / N));
        CHECK_NEAR(c[2], s[2], Z * sqrt((s[0] * s[1] + s[2] * s[2]) / N));
        world_close(&u);
    }
}

/* ---- the score function */

static const double gains[3] = { 2, -1, 0.5 };

/* Two draws of three classes: all nine outcomes, weighted by their probability, give the exact mean
 * and variance of the estimator; baseline 0 none, 1 leave one out, 2 a constant. */
static void enumerate_score(int kind, double base, double mean[3], double var[3]) {
    world u;
    double p[3], sum = 0;
    world_open(&u, 180);
    block(&u, 1, 3, odds);
    for (int k = 0; k < 3; k++) sum += p[k] = exp(odds[k]);
    for (int k = 0; k < 3; k++) p[k] /= sum, mean[k] = var[k] = 0;
    for (int o = 0; o < 9; o++) {
        int pick[2] = { o / 3, o % 3 };
        double weight = p[pick[0]] * p[pick[1]];
        bnn_var *f, *label, *lq;
        bnn_tape_reset(&u.tape);
        f = bnn_op(&u.tape, 2, 1, NULL, 0, NULL);
        label = bnn_op(&u.tape, 2, 1, NULL, 0, NULL);
        for (int i = 0; i < 2; i++) {
            f->val.data[i] = (float)gains[pick[i]];
            label->val.data[i] = (float)pick[i];
        }
        lq = bnn_neg(bnn_categorical_nll(repeat(bnn_param(&u.tape, u.w, 0), 2), label));
        bnn_params_zero_grad(u.w);
        bnn_backward(bnn_score_function(f, lq, kind == 1 ? NULL
                                               : bnn_scalar(&u.tape, (float)base)));
        for (int k = 0; k < 3; k++) {
            double g = (double)u.w->grad[k];
            mean[k] += weight * g, var[k] += weight * g * g;
        }
    }
    for (int k = 0; k < 3; k++) var[k] -= mean[k] * mean[k];
    world_close(&u);
}

static void score_function_is_unbiased_by_enumeration_and_a_baseline_helps(void) {
    double p[3], sum = 0, value = 0, total[5] = { 0, 0, 0, 0, 0 }, above = 0, below = 0, b[5];
    for (int k = 0; k < 3; k++) sum += p[k] = exp(odds[k]);
    for (int k = 0; k < 3; k++) p[k] /= sum, value += p[k] * gains[k];
    for (int k = 0; k < 3; k++) { /* b* = E f |grad ln q|^2 / E |grad ln q|^2 */
        double square = 0;
        for (int j = 0; j < 3; j++) square += ((j == k) - p[j]) * ((j == k) - p[j]);
        above += p[k] * gains[k] * square, below += p[k] * square;
    }
    b[0] = b[1] = 0, b[2] = above / below, b[3] = b[2] + 0.2, b[4] = b[2] - 0.2;
    for (int kind = 0; kind < 5; kind++) {
        double mean[3], var[3];
        enumerate_score(kind, b[kind], mean, var);
        for (int k = 0; k < 3; k++) {
            CHECK_NEAR(mean[k], p[k] * (gains[k] - value), TIGHT);
            total[kind] += var[k];
        }
    }
    CHECK(total[2] < total[0] && total[2] < total[3] && total[2] < total[4]);
    CHECK_NEAR(total[3], total[4], 1e-5); /* a parabola around b* */
}

static void categorical_draws_have_their_frequencies_and_no_gradient(void) {
    enum { N = 20000 };
    world u;
    bnn_var *x;
    double s = 0, count[3] = { 0, 0, 0 };
    world_open(&u, 190);
    block(&u, 1, 3, odds);
    x = bnn_categorical(repeat(bnn_param(&u.tape, u.w, 0), N));
    CHECK(!x->wants);
    for (int k = 0; k < 3; k++) s += exp(odds[k]);
    for (size_t i = 0; i < N * 3; i++) count[i % 3] += (double)x->val.data[i];
    for (int k = 0; k < 3; k++) {
        double p = exp(odds[k]) / s;
        CHECK_NEAR(count[k] / N, p, Z * sqrt(p * (1 - p) / N));
    }
    world_close(&u);
}

/* S9.12: f(t) = -(x-t)^2, q = N(m, s^2): both estimators have mean 2d and -2s; one-draw variances
 * in closed form */
static void score_and_path_agree_in_mean_with_the_predicted_variances(void) {
    enum { N = 100000 };
    double m = 0.4, s = 0.7, x = 1.5, d = x - m, d2 = d * d, s2 = s * s;
    double want[2] = { 2 * d, -2 * s };
    double var[2][2] = { { 4 * s2, 4 * d2 + 8 * s2 },
                         { d2 * d2 / s2 + 14 * d2 + 15 * s2,
                           2 * d2 * d2 / s2 + 60 * d2 + 74 * s2 } };
    world u;
    for (int score = 0; score < 2; score++) {
        bnn_var *mu, *sd, *z, *f, *e;
        world_open(&u, 200 + (uint64_t)score);
        mu = bnn_leaf(&u.tape, rows_of(&u.tape, N, 1, &m)->val);
        sd = bnn_leaf(&u.tape, rows_of(&u.tape, N, 1, &s)->val);
        z = bnn_normal(mu, sd);
        if (score) z = bnn_detach(z);
        f = bnn_neg(bnn_square(bnn_shift(bnn_neg(z), (float)x)));
        e = bnn_div(bnn_sub(z, mu), sd);
        e = bnn_neg(bnn_add(bnn_scale(bnn_square(e), (float)0.5), bnn_log(sd)));
        bnn_backward(score ? bnn_scale(bnn_score_function(f, e, bnn_scalar(&u.tape, 0)), N)
                           : bnn_sum(f));
        for (int q = 0; q < 2; q++) {
            const float *g = q ? sd->grad.data : mu->grad.data;
            double mean = 0, square = 0, fourth = 0, v;
            for (size_t i = 0; i < N; i++) mean += (double)g[i] / N;
            for (size_t i = 0; i < N; i++) {
                double c = (double)g[i] - mean;
                square += c * c / N;
                fourth += c * c * c * c / N;
            }
            v = var[score][q];
            CHECK_NEAR(mean, want[q], Z * sqrt(v / N));
            CHECK_NEAR(square, v, Z * sqrt((fourth - square * square) / N));
        }
        world_close(&u);
    }
}

/* ---- implicit reparametrization */

static double gauss_cdf(void *user, double w, const double *p) {
    (void)user;
    return 0.5 * erfc((p[0] - w) / p[1] * 0.70710678118654752);
}
static double gauss_slopes(void *user, double w, const double *p, double *d) {
    double e = (w - p[0]) / p[1], q = exp(-e * e / 2) / sqrt(2 * BNN__PI) / p[1];
    (void)user;
    d[0] = -q, d[1] = -q * e;
    return q;
}
static double gauss_draw(void *user, bnn_rng *rng, const double *p) {
    (void)user;
    return p[0] + p[1] * (double)bnn_rng_normal(rng);
}
static double logistic_cdf(void *user, double w, const double *p) {
    (void)user;
    return 1 / (1 + exp((p[0] - w) / p[1]));
}

static void implicit_gradients_of_location_and_scale_are_1_and_the_standardized_draw(void) {
    bnn_implicit_desc laws[4] = {
        { .cdf = gauss_cdf }, { .cdf = gauss_cdf, .slopes = gauss_slopes },
        { .slopes = gauss_slopes, .draw = gauss_draw }, { .cdf = logistic_cdf }
    };
    double mu = 1.5, s = 0.6, twice[2] = { 1.5, 1.5 };
    for (int c = 0; c < 4; c++) {
        world u;
        bnn_var *theta[2], *w;
        double error = c == 1 || c == 2 ? BUILD_TOL(1e-6, 1e-12) : 1e-6;
        world_open(&u, 210 + (uint64_t)c);
        theta[0] = bnn_leaf(&u.tape, rows_of(&u.tape, 100, 2, twice)->val);
        theta[1] = bnn_leaf(&u.tape, rows_of(&u.tape, 100, 1, &s)->val);
        w = bnn_implicit(theta, 2, laws[c]);
        bnn_backward(bnn_sum(w));
        for (size_t i = 0; i < 100; i++) {
            double e = (at(w, i, 0) + at(w, i, 1) - 2 * mu) / s;
            if (fabs(at(w, i, 0) - mu) > 3 * s || fabs(at(w, i, 1) - mu) > 3 * s) continue;
            CHECK_NEAR((double)theta[0]->grad.data[2 * i], 1, error * 10);
            CHECK_NEAR((double)theta[1]->grad.data[i], e, error * 10 * (1 + fabs(e)));
        }
        world_close(&u);
    }
}

static double weibull_cdf(void *user, double w, const double *p) { /* shape p[0], scale 1 */
    (void)user;
    return w > 0 ? -expm1(-pow(w, p[0])) : 0;
}

/* Laws that pile up at an end of their support: Gamma(a) for small a (draws down to 1e-300), a CDF
 * that is NaN outside, one shifted to [3, inf), and one whose mass sits at a location near 0. The
 * gradients are those of the closed forms. */
static double gamma_cdf(void *user, double w, const double *p) {
    double low = *(double *)user;
    return w < low ? (low > 0 ? 0 : bnn__nan()) : bnn_gamma_p(p[0], w - low);
}

static void implicit_gradients_hold_at_the_end_of_a_half_line(void) {
    static const double shapes[3] = { 0.05, 0.5, 20 };
    for (int c = 0; c < 6; c++) {
        world u;
        double low = c < 3 ? 0 : 3, a = shapes[c % 3];
        bnn_implicit_desc d = { .cdf = gamma_cdf, .user = &low };
        bnn_var *theta, *w;
        int checked = 0;
        world_open(&u, 226 + (uint64_t)c);
        theta = bnn_leaf(&u.tape, rows_of(&u.tape, 500, 1, &a)->val);
        w = bnn_implicit(&theta, 1, d);
        bnn_backward(bnn_sum(w));
        for (size_t i = 0; i < 500 && u.tape.err == BNN_OK; i++) {
            double z = at(w, i, 0) - low, al = (double)theta->val.data[i], want;
            if (low > 0 && z < 1e-3) continue;      /* 3 + z has lost the digits of z */
            want = z > 0 ? z * bnn_gamma_dlog(al, log(z)) : 0;
            CHECK_NEAR((double)theta->grad.data[i], want, low > 0 ? 1e-3 * fabs(want)
                       : 1e-4 * fabs(want) + BUILD_TOL(1e-37, 1e-300));
            checked++;
        }
        CHECK(checked > 50);
        world_close(&u);
    }
}

static void implicit_gradients_do_not_depend_on_where_zero_lies(void) { /* mu + sd e, any mu, sd */
    static const double mus[5] = { 0, 1e-12, 1e-3, 1, 1e4 }, sds[3] = { 1e-3, 1, 1e3 };
    for (int c = 0; c < 15; c++) {
        world u;
        double mu = mus[c / 3], s = sds[c % 3];
        bnn_implicit_desc d = { .cdf = gauss_cdf };
        bnn_var *theta[2], *w;
        world_open(&u, 240 + (uint64_t)c);
        theta[0] = bnn_leaf(&u.tape, rows_of(&u.tape, 50, 1, &mu)->val);
        theta[1] = bnn_leaf(&u.tape, rows_of(&u.tape, 50, 1, &s)->val);
        w = bnn_implicit(theta, 2, d);
        bnn_backward(bnn_sum(w));
        for (size_t i = 0; i < 50 && u.tape.err == BNN_OK; i++) {
            double e = (at(w, i, 0) - (double)theta[0]->val.data[i]) / (double)theta[1]->val.data[i];
            if (fabs(e) > 3) continue;
            CHECK_NEAR((double)theta[0]->grad.data[i], 1, 1e-5);
            if (mu <= 10 * s) CHECK_NEAR((double)theta[1]->grad.data[i], e, 1e-5 * (1 + fabs(e)));
        }
        world_close(&u);
    }
}

/* (alpha - 1) ln x is 0 where alpha is 1, also at x = 0; a NaN stays one */
static void a_flat_dirichlet_is_flat_to_the_vertices(void) {
    double inf = bnn__inf(), x[3] = { 0, -inf, -inf }, one[3] = { 1, 1, 1 }, two[3] = { 2, 1, 1 };
    world u;
    bnn_var *v;
    world_open(&u, 262);
    v = rows_of(&u.tape, 1, 3, x);
    CHECK_NEAR(at(bnn_dirichlet_log_prob(v, rows_of(&u.tape, 1, 3, one)), 0, 0), log(2), TIGHT);
    CHECK_NEAR(at(bnn_dirichlet_log_prob(v, rows_of(&u.tape, 1, 3, two)), 0, 0), log(6), TIGHT);
    v->val.data[1] = (float)bnn__nan();
    CHECK(isnan(at(bnn_dirichlet_log_prob(v, rows_of(&u.tape, 1, 3, one)), 0, 0)));
    world_close(&u);
}

/* ln density of Beta(a, b) at logits, against mpmath; a and b together or far apart */
static void the_beta_density_keeps_its_digits_at_large_shapes(void) {
    static const double o[][4] = { /* logit, a, b, by mpmath */
        { -0.0010000000474974513, 1000000.0, 1000000.0, 6.77853762828533734 },
        { -0.0010000000474974513, 1000000.0, 100000.0, -427806.152890279523 },
        { -0.0010000000474974513, 2.5, 0.5, -0.858047938445123364 },
        { -0.0010000000474974513, 30000.0, 2.0, -20788.8002288569072 },
        { -0.0010000000474974513, 1.0, 1.0, 0.0 },
        { -0.0010000000474974513, 0.001953125, 1000000.0, -692652.130813339115 },
        { 0.0, 1000000.0, 1000000.0, 7.02853739161738227 },
        { 0.0, 1000000.0, 100000.0, -427356.015369148337 },
        { 0.0, 2.5, 0.5, -0.857047813397619247 },
        { 0.0, 30000.0, 2.0, -20773.7974781442929 },
        { 0.0, 1.0, 1.0, 0.0 },
        { 0.0, 0.001953125, 1000000.0, -693152.005836354368 },
        { 2.5, 1000000.0, 1000000.0, -1271476.80744270955 },
        { 2.5, 1000000.0, 100000.0, -1671.55298990561694 },
        { 2.5, 2.5, 0.5, 1.00720963286977644 },
        { 2.5, 30000.0, 2.0, -2348.57409012242233 },
        { 2.5, 1.0, 1.0, 0.0 },
        { 2.5, 0.001953125, 1000000.0, -2578893.28688412964 },
        { -30.0, 1000000.0, 1000000.0, -28613669.996637266 },
        { -30.0, 1000000.0, 100000.0, -29664865.5030476726 },
        { -30.0, 2.5, 0.5, -45.1639006328377675 },
        { -30.0, 30000.0, 2.0, -899949.382061348741 },
        { -30.0, 1.0, 1.0, 0.0 },
        { -30.0, 0.001953125, 1000000.0, 23.7311891893324945 },
        { -200.0, 1000000.0, 1000000.0, -198613499.996637079 },
        { -200.0, 1000000.0, 100000.0, -199664695.50304757 },
        { -200.0, 2.5, 0.5, -300.163900632837674 },
        { -200.0, 30000.0, 2.0, -5999779.38206134593 },
        { -200.0, 1.0, 1.0, 0.0 },
        { -200.0, 0.001953125, 1000000.0, 193.399158032908537 },
        { 0.25, 1000000.0, 1000000.0, -15577.4345159262504 },
        { 0.25, 1000000.0, 100000.0, -323427.463035457777 },
        { 0.25, 2.5, 0.5, -0.614840052716517499 },
        { 0.25, 30000.0, 2.0, -17257.8146577112405 },
        { 0.25, 1.0, 1.0, 0.0 },
        { 0.25, 0.001953125, 1000000.0, -825944.229341852575 }
    };
    for (size_t i = 0; i < sizeof o / sizeof *o; i++) {
        world u;
        bnn_var *l, *a, *b;
        world_open(&u, 260);
        l = rows_of(&u.tape, 1, 1, &o[i][0]);
        a = rows_of(&u.tape, 1, 1, &o[i][1]);
        b = rows_of(&u.tape, 1, 1, &o[i][2]);
        CHECK_NEAR(at(bnn_beta_log_prob(l, a, b), 0, 0), o[i][3],
                   BUILD_TOL(2e-7, 1e-12) * (1 + fabs(o[i][3])) + 3e-9 * BUILD_TOL(1, 0));
        world_close(&u);
    }
}

static void a_choice_among_nan_is_nan_and_among_nothing_an_error(void) {
    const double nan = bnn__nan(), inf = bnn__inf();
    const double rows[3][6] = { { 1, 2, 3, nan, 1, 2 }, { 1, 2, 3, -inf, -inf, -inf }, { -inf, 2, -inf, inf, 1, 2 } };
    for (int c = 0; c < 6; c++) {
        world u;
        bnn_var *x, *y;
        world_open(&u, 261);
        x = rows_of(&u.tape, 2, 3, rows[c % 3]);
        for (size_t i = 0; i < 6; i++) x->val.data[i] = (float)rows[c % 3][i];
        y = c < 3 ? bnn_one_hot(x) : bnn_categorical(x);
        if (c % 3 == 1) CHECK(refused(&u.tape, y, "row 1 has no entry above -inf"));
        if (c % 3 == 0) for (size_t i = 3; i < 6; i++) CHECK(isnan((double)y->val.data[i]));
        if (c == 0) CHECK(y->val.data[0] == 0 && y->val.data[1] == 0 && y->val.data[2] == 1);
        if (c % 3 == 2) CHECK(y->val.data[1] == 1 && y->val.data[3] == 1);
        world_close(&u);
    }
}

/* Through the CDF alone: draws are uniform in F, and E w^2 = Gamma(1 + 2/a) has the right slope */
static void a_cdf_alone_makes_a_differentiable_sampler(void) {
    enum { N = 4000 };
    world u;
    double a = 1.7, cell[20] = { 0 }, chi = 0, g = 0, gg = 0, slope;
    bnn_implicit_desc d = { .cdf = weibull_cdf };
    bnn_var *theta, *w;
    world_open(&u, 220);
    theta = bnn_leaf(&u.tape, rows_of(&u.tape, N, 1, &a)->val);
    w = bnn_implicit(&theta, 1, d);
    bnn_backward(bnn_sum(bnn_square(w)));
    for (size_t i = 0; i < N; i++) {
        double al = (double)theta->val.data[i];
        size_t c = (size_t)(20 * weibull_cdf(NULL, at(w, i, 0), &al));
        cell[c < 20 ? c : 19]++;
        g += (double)theta->grad.data[i] / N;
        gg += (double)theta->grad.data[i] * (double)theta->grad.data[i] / N;
    }
    for (int c = 0; c < 20; c++) chi += (cell[c] - N / 20.0) * (cell[c] - N / 20.0) / (N / 20.0);
    CHECK(chi < 19 + 5 * sqrt(2 * 19.0)); /* false alarm 3e-5 */
    slope = -2 / (a * a) * exp(bnn_lgamma(1 + 2 / a)) * bnn_digamma(1 + 2 / a);
    CHECK_NEAR(g, slope, Z * sqrt((gg - g * g) / N));
    world_close(&u);
}

/* ---- temperature to infinity */

static void a_hot_gumbel_softmax_goes_to_the_center_at_the_predicted_rate(void) { /* S7.14 */
    enum { N = 100000 };
    static const double taus[] = { 20, 100 };
    double m = 0, spread = 0;
    for (int k = 0; k < 3; k++) m += odds[k] / 3;
    for (int k = 0; k < 3; k++) spread += (odds[k] - m) * (odds[k] - m);
    for (int c = 0; c < 2; c++) {
        world u;
        bnn_var *y;
        double mean = 0, square = 0, t = taus[c];
        double want = (2 * BNN__PI * BNN__PI / 6 + spread) / 9;
        world_open(&u, 230 + (uint64_t)c);
        y = bnn_gumbel_softmax(rows_of(&u.tape, N, 3, odds), (float)t);
        for (size_t i = 0; i < N; i++) {
            double d = 0;
            for (size_t k = 0; k < 3; k++) d += (at(y, i, k) - 1.0 / 3) * (at(y, i, k) - 1.0 / 3);
            mean += d * t * t / N, square += d * d * t * t * t * t / N;
        }
        CHECK_NEAR(mean, want, Z * sqrt((square - mean * mean) / N) + (c ? 0.01 : 0.15) * want);
        world_close(&u);
    }
}

static void the_density_at_the_center_grows_as_tau_to_the_k_minus_one(void) {
    double none[3] = { 0, 0, 0 }, center[3] = { -log(3), -log(3), -log(3) };
    law a = { none, NULL, 3, 0, 50 }, b = { none, NULL, 3, 0, 100 };
    world u;
    world_open(&u, 240);
    CHECK_NEAR(at(concrete(rows_of(&u.tape, 1, 3, center), &b), 0, 0) -
               at(concrete(rows_of(&u.tape, 1, 3, center), &a), 0, 0), 2 * log(2),
               BUILD_TOL(1e-4, 1e-11));
    world_close(&u);
}

/* ---- extremes and errors */

static int all_finite(const bnn_var *v, const bnn_var *leaf) {
    return bnn_mat_finite(v->val) && (leaf->grad.data == NULL || bnn_mat_finite(leaf->grad));
}

static void nothing_is_nan_at_extreme_temperatures_and_sizes(void) {
    static const size_t ks[] = { 2, 10, 1000 };
    static const double taus[] = { 0.001, 0.01, 1, 100, 1e4 };
    for (int c = 0; c < 15; c++) {
        size_t k = ks[c % 3];
        float tau = (float)taus[c / 3];
        world u;
        bnn_var *a, *x, *v;
        world_open(&u, 250 + (uint64_t)c);
        a = bnn_op(&u.tape, 20, k, NULL, 0, NULL);
        for (size_t i = 0; i < 20 * k; i++)
            a->val.data[i] = 20 * bnn_rng_normal(&u.tape.rng) * (i % 3 == 0);
        a = bnn_leaf(&u.tape, a->val);
        x = bnn_log_gumbel_softmax(a, tau);
        v = bnn_concrete_log_prob(x, a, tau);
        bnn_backward(bnn_mean(v));
        CHECK(all_finite(v, a) && all_finite(x, a));
        x = bnn_gumbel_softmax(a, tau);
        bnn_backward(bnn_sum(bnn_square(x)));
        CHECK(all_finite(x, a));
        x = bnn_relaxed_bernoulli(a, tau);
        v = bnn_relaxed_bernoulli_log_prob(x, a, tau);
        bnn_backward(bnn_mean(v));
        CHECK(all_finite(v, a) && all_finite(x, a));
        world_close(&u);
    }
}

static void nothing_is_nan_at_extreme_concentrations(void) {
    static const size_t ks[] = { 2, 10, 1000 };
    static const double alphas[] = { 1e-4, 1e-3, 0.1, 1e3, 1e6 };
    for (int c = 0; c < 15; c++) {
        size_t k = ks[c % 3], rows = k == 1000 ? 2 : 20;
        world u;
        bnn_var *a, *x, *v;
        world_open(&u, 270 + (uint64_t)c);
        a = bnn_op(&u.tape, rows, k, NULL, 0, NULL);
        for (size_t i = 0; i < rows * k; i++)
            a->val.data[i] = (float)(i % 7 == 0 ? 1 : alphas[c / 3]);
        a = bnn_leaf(&u.tape, a->val);
        x = bnn_log_dirichlet(a);
        v = bnn_add(bnn_dirichlet_log_prob(x, a), bnn_dirichlet_entropy(a));
        v = bnn_add(v, bnn_kl_dirichlet(a, NULL));
        bnn_backward(bnn_mean(v));
        CHECK(all_finite(v, a) && all_finite(x, a));
        v = bnn_beta_log_prob(bnn_logit_beta(a, a), a, a);
        bnn_backward(bnn_mean(v));
        CHECK(all_finite(v, a));
        world_close(&u);
    }
}

static double half_cdf(void *user, double w, const double *p) {
    (void)user, (void)w, (void)p;
    return 0.5;
}

static void bad_input_is_refused_with_its_place(void) {
    static const double bad_alpha[3] = { 1, -2, 3 }, zero[3] = { 0, 0, 0 };
    static const double some[2] = { 1, 0 };
    const double low = -bnn__inf(), never[3] = { low, low, low };
    const double missing[3] = { low, bnn__nan(), low };
    static const double one_to_three[3] = { 1, 2, 3 };
    world u;
    bnn_tape *t = &u.tape;
    bnn_var *a, *one, *none, *bad;
    bnn_implicit_desc nothing = { .cdf = NULL }, nowhere = { .cdf = half_cdf };
    world_open(&u, 290);
    a = rows_of(t, 2, 3, odds);
    one = rows_of(t, 2, 1, odds);
    none = bnn_op(t, 2, 0, NULL, 0, NULL);
    bad = rows_of(t, 2, 3, bad_alpha);
    CHECK(refused(t, bnn_gumbel_softmax(a, 0), "tau is 0"));
    CHECK(refused(t, bnn_gumbel_softmax(a, -1), "tau is -1"));
    CHECK(refused(t, bnn_gumbel_softmax(a, (float)bnn__nan()), "tau is nan"));
    CHECK(refused(t, bnn_log_gumbel_softmax(one, 1), "over 1 things"));
    CHECK(refused(t, bnn_gumbel_softmax(none, 1), "over 0 things"));
    CHECK(refused(t, bnn_gumbel_softmax(rows_of(t, 2, 3, never), 1), "bnn_gumbel_softmax: the "
                  "logits of row 0 are all -inf"));
    CHECK(refused(t, bnn_log_gumbel_softmax(bnn_log(bnn_transpose(rows_of(t, 3, 2, some))), 1),
                  "bnn_log_gumbel_softmax: the logits of row 1 are all -inf"));
    CHECK(at(bnn_gumbel_softmax(rows_of(t, 1, 3, missing), 1), 0, 1) !=
          at(bnn_gumbel_softmax(rows_of(t, 1, 3, missing), 1), 0, 1)); /* NaN, no error */
    CHECK(refused(t, bnn_categorical(one), "over 1 things"));
    CHECK(refused(t, bnn_relaxed_bernoulli(a, (float)1e-4), "tau is"));
    CHECK(refused(t, bnn_concrete_log_prob(a, a, 0), "tau is 0"));
    CHECK(refused(t, bnn_concrete_log_prob(a, rows_of(t, 3, 3, odds), 1), "parameters are 3x3"));
    CHECK(refused(t, bnn_dirichlet(bad), "alpha is -2 in row 0, entry 1"));
    CHECK(refused(t, bnn_dirichlet(one), "over 1 things"));
    CHECK(refused(t, bnn_log_gamma(rows_of(t, 1, 3, zero)), "alpha is 0 in row 0, entry 0"));
    CHECK(refused(t, bnn_dirichlet_log_prob(a, bad), "entry 1"));
    CHECK(refused(t, bnn_dirichlet_entropy(bad), "entry 1"));
    CHECK(refused(t, bnn_beta(bad, bad), "bnn_beta: a is -2 in row 0, entry 1"));
    CHECK(refused(t, bnn_beta(a, bnn_exp(a)), "bnn_beta: a is -0.3 in row 0, entry 1"));
    CHECK(refused(t, bnn_beta_entropy(bnn_exp(a), a), "bnn_beta: b is -0.3 in row 0, entry 1"));
    CHECK(refused(t, bnn_kl_beta(bnn_exp(a), a, 1, 1), "bnn_beta: b is -0.3 in row 0, entry 1"));
    /* a row that is repeated would give all rows one draw of it */
    CHECK(refused(t, bnn_logit_beta(bnn_exp(a), rows_of(t, 1, 3, one_to_three)), "b is 1x3"));
    CHECK(refused(t, bnn_beta_log_prob(a, bad, a), "a is -2"));
    CHECK(refused(t, bnn_logit_normal_log_prob(a, a, one), "scale is 2x1"));
    CHECK(refused(t, bnn_logit_normal_log_prob(a, a, rows_of(t, 1, 3, zero)), "singular"));
    CHECK(refused(t, bnn_score_function(a, a, NULL), "f is 2x3"));
    CHECK(refused(t, bnn_score_function(one, one, rows_of(t, 3, 1, odds)),
                  "bnn_score_function: f is 2x1, the baseline is 3x1"));
    CHECK(refused(t, bnn_implicit(&a, 1, nothing), "cdf"));
    CHECK(refused(t, bnn_implicit(&a, 1, nowhere), "row 0, entry 0"));
    world_close(&u);
}

static void the_same_seed_draws_the_same_bits(void) {
    world u, v;
    bnn_var *x, *y;
    world_open(&u, 300);
    world_open(&v, 300);
    x = bnn_log_dirichlet(bnn_exp(bnn_log_gumbel_softmax(rows_of(&u.tape, 30, 3, odds), 1)));
    y = bnn_log_dirichlet(bnn_exp(bnn_log_gumbel_softmax(rows_of(&v.tape, 30, 3, odds), 1)));
    CHECK_SAME_ARRAY(x->val.data, y->val.data, 90);
    world_close(&u);
    world_close(&v);
}

int main(void) {
    RUN(gumbel_softmax_is_softmax_of_noisy_logits_over_tau);
    RUN(gumbel_softmax_in_blocks_draws_what_one_piece_draws);
    RUN(the_largest_entry_has_the_odds_of_the_logits_at_every_temperature);
    RUN(samplers_have_the_gradient_of_their_formula_at_fixed_noise);
    RUN(straight_through_has_the_gradient_of_the_soft_draw);
    RUN(a_hard_draw_alone_has_no_gradient_though_its_mean_moves);
    RUN(densities_on_the_simplex_integrate_to_one);
    RUN(concrete_density_is_its_product_form);
    RUN(concrete_density_ignores_a_shift_and_is_uniform_for_two_at_tau_one);
    RUN(concrete_density_has_no_inner_mode_at_low_temperature);
    RUN(densities_have_the_gradients_of_finite_differences);
    RUN(the_score_has_mean_zero);
    RUN(relaxed_bernoulli_rounds_to_its_probability_at_every_temperature);
    RUN(relaxed_bernoulli_is_the_concrete_of_two);
    RUN(concrete_kl_agrees_with_quadrature);
    RUN(gamma_draws_move_with_alpha_as_their_quantile_does);
    RUN(gamma_gradients_are_right_and_finite_for_extreme_alpha);
    RUN(dirichlet_gradients_have_the_mean_of_the_closed_form);
    RUN(a_cooling_dirichlet_goes_to_the_vertices_with_the_right_odds);
    RUN(dirichlet_entropy_and_kl_are_means_over_draws);
    RUN(beta_density_entropy_and_kl_agree_with_quadrature);
    RUN(beta_draws_have_their_law_and_the_gradient_of_their_mean);
    RUN(logit_normal_of_two_is_the_sigmoid_of_a_normal);
    RUN(a_diagonal_covariance_is_a_full_one_with_zeros);
    RUN(logit_normal_draws_have_the_moments_of_their_log_ratios);
    RUN(score_function_is_unbiased_by_enumeration_and_a_baseline_helps);
    RUN(categorical_draws_have_their_frequencies_and_no_gradient);
    RUN(score_and_path_agree_in_mean_with_the_predicted_variances);
    RUN(implicit_gradients_hold_at_the_end_of_a_half_line);
    RUN(implicit_gradients_do_not_depend_on_where_zero_lies);
    RUN(a_flat_dirichlet_is_flat_to_the_vertices);
    RUN(the_beta_density_keeps_its_digits_at_large_shapes);
    RUN(a_choice_among_nan_is_nan_and_among_nothing_an_error);
    RUN(implicit_gradients_of_location_and_scale_are_1_and_the_standardized_draw);
    RUN(a_cdf_alone_makes_a_differentiable_sampler);
    RUN(a_hot_gumbel_softmax_goes_to_the_center_at_the_predicted_rate);
    RUN(the_density_at_the_center_grows_as_tau_to_the_k_minus_one);
    RUN(nothing_is_nan_at_extreme_temperatures_and_sizes);
    RUN(nothing_is_nan_at_extreme_concentrations);
    RUN(bad_input_is_refused_with_its_place);
    RUN(the_same_seed_draws_the_same_bits);
    return check_done();
}
