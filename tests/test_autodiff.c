/* test_autodiff.c -- every op's value against a closed form and every op's gradient against
 * differences; the tape: several passes, shared and unreached nodes, errors, user operations. */
#include "build.h"

static uint64_t lcg_state = 1;
static double lcg(void) { /* the test's own numbers in (0,1), no part of the library */
    lcg_state = lcg_state * 6364136223846793005u + 1442695040888963407u;
    return ((double)(lcg_state >> 33) + 0.5) / 2147483648.0;
}

static size_t size_of(bnn_mat m) { return m.rows * m.cols; }
static bnn_mat random_mat(bnn_arena *mem, size_t rows, size_t cols, double lo, double hi) {
    bnn_mat m = bnn_mat_new(mem, rows, cols);
    for (size_t i = 0; i < size_of(m); i++) m.data[i] = (float)(lo + (hi - lo) * lcg());
    return m;
}

/* ---- the checker: <c, f(x)> by a five-point rule against bnn_backward_from(f(x), c) */
typedef bnn_var *(*op_fn)(bnn_tape *t, bnn_var **v);

static double eval(bnn_tape *t, op_fn f, size_t n, const bnn_mat *x, bnn_mat c) {
    bnn_var *v[4];
    double sum = 0;
    bnn_tape_reset(t);
    t->rng = bnn_rng_seed(5);
    for (size_t i = 0; i < n; i++) v[i] = bnn_leaf(t, x[i]);
    bnn_var *y = f(t, v);
    if (t->err != BNN_OK || size_of(y->val) != size_of(c)) return 0.0 / 0.0;
    for (size_t i = 0; i < size_of(c); i++) sum += (double)c.data[i] * (double)y->val.data[i];
    return sum;
}

/* Largest difference between <c, f(x)> + |x|^2/2 differentiated in one pass, less x, and g. The
 * second term is made after f: its gradient comes first, and f must add to it. */
static double sharing_error(op_fn f, size_t n, const bnn_mat *x, bnn_mat c, const bnn_mat *g) {
    bnn_tape t = { .rng = bnn_rng_seed(5) };
    bnn_var *v[4], *root;
    double worst = 0;
    for (size_t i = 0; i < n; i++) v[i] = bnn_leaf(&t, x[i]);
    root = bnn_sum(bnn_mul(f(&t, v), bnn_input(&t, c)));
    for (size_t i = 0; i < n; i++)
        root = bnn_add(root, bnn_scale(bnn_sum(bnn_square(v[i])), (float)0.5));
    bnn_backward(root);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < size_of(x[i]); j++) {
            double want = (double)g[i].data[j] + (double)x[i].data[j];
            double e = fabs((double)v[i]->grad.data[j] - want) / (1 + fabs(want));
            if (!(e <= worst)) worst = e;
        }
    if (t.err != BNN_OK) worst = 1e9;
    bnn_tape_free(&t);
    return worst;
}

/* Largest relative error over all entries of all inputs; NaN after an error */
static double gradient_error(op_fn f, size_t n, const bnn_mat *x) {
    bnn_arena mem = { 0 };
    bnn_tape t = { .rng = bnn_rng_seed(5) };
    bnn_var *v[4], *y;
    bnn_mat c, g[4];
    double worst = 0, step = BUILD_TOL(0.02, 1e-3);
    for (size_t i = 0; i < n; i++) v[i] = bnn_leaf(&t, x[i]);
    y = f(&t, v);
    c = random_mat(&mem, y->val.rows, y->val.cols, -1, 1);
    bnn_backward_from(y, c);
    for (size_t i = 0; i < n; i++) g[i] = v[i]->grad.data ? bnn_mat_copy(&mem, v[i]->grad)
                                                          : bnn_mat_new(&mem, x[i].rows, x[i].cols);
    if (t.err != BNN_OK) printf("    %s\n", t.msg), worst = 1e9;
    if (size_of(x[0]) > 0 && !(sharing_error(f, n, x, c, g) < BUILD_TOL(1e-5, 1e-13))) worst = 1e9;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < size_of(x[i]); j++) {
            float old = x[i].data[j];
            double d[5], b, a = (double)g[i].data[j], e;
            for (int s = -2; s <= 2; s++) {
                x[i].data[j] = (float)((double)old + s * step);
                d[s + 2] = eval(&t, f, n, x, c);
            }
            x[i].data[j] = old;
            b = (8 * (d[3] - d[1]) - (d[4] - d[0])) / (12 * step);
            e = fabs(a - b) / (1e-3 + fabs(a) + fabs(b));
            if (!(e <= worst)) worst = e;
        }
    }
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
    return worst;
}
#define TOLERANCE BUILD_TOL(1e-2, 1e-7)

/* ---- unary operations: name, closed form, range of the inputs */
#define UNARIES(X) \
    X(neg, -x, -3, 3) \
    X(square, x * x, -3, 3) \
    X(exp, exp(x), -3, 3) \
    X(log, log(x), 0.2, 4) \
    X(sqrt, sqrt(x), 0.2, 4) \
    X(abs, fabs(x), -3, 3) \
    X(sin, sin(x), -9, 9) \
    X(cos, cos(x), -9, 9) \
    X(tanh, tanh(x), -4, 4) \
    X(sigmoid, 1 / (1 + exp(-x)), -6, 6) \
    X(softplus, x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)), -6, 6) \
    X(relu, x > 0 ? x : 0, -3, 3) \
    X(leaky_relu, x > 0 ? x : 0.01 * x, -3, 3) \
    X(elu, x > 0 ? x : expm1(x), -4, 3) \
    X(silu, x / (1 + exp(-x)), -6, 6) \
    X(gelu, x * erfc(-x / sqrt(2.0)) / 2, -5, 5)
#define UNARY(NAME, VALUE, LO, HI) \
    static bnn_var *op_##NAME(bnn_tape *t, bnn_var **v) { (void)t; return bnn_##NAME(v[0]); } \
    static double value_##NAME(double x) { return VALUE; }
UNARIES(UNARY)
#define UNARY_ROW(NAME, VALUE, LO, HI) { #NAME, op_##NAME, value_##NAME, LO, HI },
static const struct { const char *name; op_fn f; double (*value)(double), lo, hi; } unary[] = {
    UNARIES(UNARY_ROW)
};
enum { N_UNARY = sizeof unary / sizeof *unary };
static const size_t shapes[][2] = { { 1, 1 }, { 1, 7 }, { 7, 3 }, { 0, 3 }, { 3, 0 }, { 1, 260 } };

static void every_unary_op_has_its_closed_form_value(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    for (size_t o = 0; o < N_UNARY; o++) {
        bnn_mat x = random_mat(&mem, 23, 31, unary[o].lo, unary[o].hi);
        bnn_var *in = bnn_input(&t, x), *y = unary[o].f(&t, &in);
        double worst = 0;
        for (size_t i = 0; i < size_of(x); i++) {
            double want = unary[o].value((double)x.data[i]), got = (double)y->val.data[i];
            double e = fabs(want - got) / (1 + fabs(want));
            if (!(e <= worst)) worst = e;
        }
        if (!CHECK(worst < BUILD_TOL(1e-6, 1e-12))) printf("    %s: %g\n", unary[o].name, worst);
    }
    CHECK(t.err == BNN_OK);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

static void every_unary_op_has_the_gradient_of_differences(void) {
    bnn_arena mem = { 0 };
    for (size_t o = 0; o < N_UNARY; o++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            bnn_mat x = random_mat(&mem, shapes[s][0], shapes[s][1], unary[o].lo, unary[o].hi);
            for (size_t i = 0; i < size_of(x); i++) /* away from the kinks at 0 */
                if (fabs((double)x.data[i]) < 0.1) x.data[i] = (float)0.3;
            double e = gradient_error(unary[o].f, 1, &x);
            if (!CHECK(e < TOLERANCE))
                printf("    %s %zux%zu: %g\n", unary[o].name, x.rows, x.cols, e);
        }
    bnn_arena_free(&mem);
}

static float slope_at(op_fn f, double at) {
    bnn_tape t = { 0 };
    float x = (float)at, g;
    bnn_var *v = bnn_leaf(&t, (bnn_mat){ 1, 1, &x });
    bnn_backward(f(&t, &v));
    g = t.err == BNN_OK && v->grad.data != NULL ? v->grad.data[0] : (float)-99;
    bnn_tape_free(&t);
    return g;
}
static bnn_var *op_clamp(bnn_tape *t, bnn_var **v) {
    (void)t;
    return bnn_clamp(v[0], -1, (float)0.5);
}

static void kinks_take_the_derivative_that_the_manual_says(void) {
    CHECK_NEAR(slope_at(op_relu, 0), 0, 0);
    CHECK_NEAR(slope_at(op_abs, 0), 0, 0);
    CHECK_NEAR(slope_at(op_sqrt, 0), 0, 0);
    CHECK_NEAR(slope_at(op_leaky_relu, 0), 0.01, 1e-8);
    CHECK_NEAR(slope_at(op_elu, 0), 1, 0);
    CHECK_NEAR(slope_at(op_clamp, 2), 0, 0);
    CHECK_NEAR(slope_at(op_clamp, -3), 0, 0);
    CHECK_NEAR(slope_at(op_clamp, 0.25), 1, 0);
}

static void far_tails_stay_finite(void) {
    CHECK_NEAR(slope_at(op_softplus, 1e4), 1, 0);
    CHECK_NEAR(slope_at(op_softplus, -1e4), 0, 1e-30);
    CHECK_NEAR(slope_at(op_sigmoid, 1e4), 0, 1e-30);
    CHECK_NEAR(slope_at(op_silu, -1e4), 0, 1e-30);
    CHECK_NEAR(slope_at(op_silu, 1e4), 1, 1e-6);
    CHECK_NEAR(slope_at(op_gelu, 1e3), 1, 1e-6);
    CHECK_NEAR(slope_at(op_gelu, -1e3), 0, 1e-30);
    CHECK_NEAR(slope_at(op_elu, -1e4), 0, 1e-30);
    CHECK_NEAR(slope_at(op_elu, 1e4), 1, 0);
    CHECK_NEAR(slope_at(op_tanh, -1e4), 0, 0);
}

/* ---- binary operations and products */
static bnn_var *op_add(bnn_tape *t, bnn_var **v) { (void)t; return bnn_add(v[0], v[1]); }
static bnn_var *op_sub(bnn_tape *t, bnn_var **v) { (void)t; return bnn_sub(v[0], v[1]); }
static bnn_var *op_mul(bnn_tape *t, bnn_var **v) { (void)t; return bnn_mul(v[0], v[1]); }
static bnn_var *op_div(bnn_tape *t, bnn_var **v) { (void)t; return bnn_div(v[0], v[1]); }
static bnn_var *op_normal(bnn_tape *t, bnn_var **v) { (void)t; return bnn_normal(v[0], v[1]); }
static const op_fn binary[] = { op_add, op_sub, op_mul, op_div, op_normal };
static const size_t pairs[][4] = {
    { 1, 1, 1, 1 }, { 1, 7, 1, 7 }, { 7, 3, 7, 3 }, { 7, 3, 1, 3 }, { 7, 3, 7, 1 }, { 7, 3, 1, 1 },
    { 1, 3, 7, 3 }, { 7, 1, 7, 3 }, { 1, 1, 7, 3 }, { 7, 1, 1, 3 }, { 1, 3, 7, 1 }, { 1, 7, 1, 1 },
    { 7, 1, 1, 1 }, { 0, 3, 0, 3 }, { 0, 3, 1, 3 }, { 1, 1, 0, 3 }, { 1, 3, 0, 1 }
};
enum { N_PAIRS = sizeof pairs / sizeof *pairs };

static void binary_ops_repeat_what_has_size_1(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    for (size_t p = 0; p < N_PAIRS; p++)
        for (int o = 0; o < 4; o++) {
            bnn_mat a = random_mat(&mem, pairs[p][0], pairs[p][1], -2, 2);
            bnn_mat b = random_mat(&mem, pairs[p][2], pairs[p][3], 1, 2);
            bnn_var *v[2] = { bnn_input(&t, a), bnn_input(&t, b) }, *y = binary[o](&t, v);
            size_t n = a.rows == 1 ? b.rows : a.rows, k = a.cols == 1 ? b.cols : a.cols;
            CHECK(y->val.rows == n && y->val.cols == k);
            for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < k; j++) {
                    double q = (double)a.data[(i % a.rows) * a.cols + j % a.cols];
                    double r = (double)b.data[(i % b.rows) * b.cols + j % b.cols];
                    double want = o == 0 ? q + r : o == 1 ? q - r : o == 2 ? q * r : q / r;
                    CHECK_NEAR(y->val.data[i * k + j], want, 4 * BUILD_EPSILON);
                }
        }
    CHECK(t.err == BNN_OK);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

static void binary_ops_have_the_gradient_of_differences(void) {
    bnn_arena mem = { 0 };
    for (size_t p = 0; p < N_PAIRS; p++)
        for (size_t o = 0; o < sizeof binary / sizeof *binary; o++) {
            bnn_mat x[2] = { random_mat(&mem, pairs[p][0], pairs[p][1], -2, 2),
                             random_mat(&mem, pairs[p][2], pairs[p][3], 1, 2) };
            double e = gradient_error(binary[o], 2, x);
            if (!CHECK(e < TOLERANCE)) printf("    op %zu, shapes %zu: %g\n", o, p, e);
        }
    bnn_arena_free(&mem);
}

static bnn_var *op_matmul(bnn_tape *t, bnn_var **v) { (void)t; return bnn_matmul(v[0], v[1]); }
static bnn_var *op_affine(bnn_tape *t, bnn_var **v) {
    (void)t;
    return bnn_affine(v[0], v[1], v[2]);
}
static bnn_var *op_plain(bnn_tape *t, bnn_var **v) { (void)t; return bnn_affine(v[0], v[1], NULL); }
static bnn_var *op_gram(bnn_tape *t, bnn_var **v) { (void)t; return bnn_matmul(v[0], v[0]); }
static bnn_var *op_twice(bnn_tape *t, bnn_var **v) {
    (void)t;
    return bnn_add(bnn_mul(v[0], v[0]), bnn_div(v[0], bnn_exp(v[0])));
}

static void products_have_their_values_and_gradients(void) {
    static const size_t dims[][3] = { { 1, 1, 1 }, { 1, 7, 1 }, { 7, 3, 5 }, { 0, 3, 4 },
                                      { 4, 0, 3 }, { 3, 4, 0 }, { 19, 33, 17 } };
    bnn_arena mem = { 0 };
    for (size_t s = 0; s < sizeof dims / sizeof *dims; s++) {
        size_t n = dims[s][0], d = dims[s][1], k = dims[s][2];
        bnn_mat x[3] = { random_mat(&mem, n, d, -1, 1), random_mat(&mem, d, k, -1, 1),
                         random_mat(&mem, 1, k, -1, 1) };
        bnn_tape t = { 0 };
        bnn_var *y = bnn_affine(bnn_input(&t, x[0]), bnn_input(&t, x[1]), bnn_input(&t, x[2]));
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < k; j++) {
                double sum = (double)x[2].data[j];
                for (size_t l = 0; l < d; l++)
                    sum += (double)x[0].data[i * d + l] * (double)x[1].data[l * k + j];
                CHECK_NEAR(y->val.data[i * k + j], sum, 30 * BUILD_EPSILON);
            }
        bnn_tape_free(&t);
        CHECK(gradient_error(op_affine, 3, x) < TOLERANCE);
        CHECK(gradient_error(op_matmul, 2, x) < TOLERANCE);
        CHECK(gradient_error(op_plain, 2, x) < TOLERANCE);
    }
    bnn_mat q = random_mat(&mem, 5, 5, -1, 1);
    CHECK(gradient_error(op_gram, 1, &q) < TOLERANCE);
    CHECK(gradient_error(op_twice, 1, &q) < TOLERANCE);
    bnn_arena_free(&mem);
}

/* ---- reductions, shapes, rows as distributions */
static bnn_var *op_scale(bnn_tape *t, bnn_var **v) { (void)t; return bnn_scale(v[0], (float)-2.5); }
static bnn_var *op_shift(bnn_tape *t, bnn_var **v) { (void)t; return bnn_shift(v[0], (float)3.25); }
static bnn_var *op_sum(bnn_tape *t, bnn_var **v) { (void)t; return bnn_sum(v[0]); }
static bnn_var *op_mean(bnn_tape *t, bnn_var **v) { (void)t; return bnn_mean(v[0]); }
static bnn_var *op_rowsum(bnn_tape *t, bnn_var **v) { (void)t; return bnn_rowsum(v[0]); }
static bnn_var *op_colsum(bnn_tape *t, bnn_var **v) { (void)t; return bnn_colsum(v[0]); }
static bnn_var *op_transpose(bnn_tape *t, bnn_var **v) { (void)t; return bnn_transpose(v[0]); }
static bnn_var *op_softmax(bnn_tape *t, bnn_var **v) { (void)t; return bnn_softmax(v[0]); }
static bnn_var *op_log_softmax(bnn_tape *t, bnn_var **v) { (void)t; return bnn_log_softmax(v[0]); }
static bnn_var *op_logsumexp(bnn_tape *t, bnn_var **v) { (void)t; return bnn_logsumexp(v[0]); }
static bnn_var *op_dropout(bnn_tape *t, bnn_var **v) {
    (void)t;
    return bnn_dropout(v[0], (float)0.4);
}
static bnn_var *op_reshape(bnn_tape *t, bnn_var **v) {
    (void)t;
    return bnn_reshape(v[0], v[0]->val.cols, v[0]->val.rows);
}
static bnn_var *op_cols(bnn_tape *t, bnn_var **v) {
    (void)t;
    return bnn_cols(v[0], v[0]->val.cols / 2, v[0]->val.cols - v[0]->val.cols / 2);
}
static bnn_var *op_rows(bnn_tape *t, bnn_var **v) {
    (void)t;
    return bnn_rows(v[0], v[0]->val.rows / 2, v[0]->val.rows - v[0]->val.rows / 2);
}
static bnn_var *op_gather(bnn_tape *t, bnn_var **v) { /* the last row three times */
    size_t n = v[0]->val.rows, rows[4] = { n - 1, 0, n - 1, n - 1 };
    (void)t;
    return bnn_gather(v[0], n == 0 ? 0 : 4, rows);
}
static bnn_var *op_concat(bnn_tape *t, bnn_var **v) {
    bnn_var *x[3] = { v[0], bnn_square(v[0]), v[0] };
    return bnn_concat(t, 3, x);
}
static const op_fn shaping[] = { op_scale, op_shift, op_sum, op_mean, op_rowsum, op_colsum,
    op_transpose, op_softmax, op_log_softmax, op_logsumexp, op_dropout, op_reshape, op_cols,
    op_rows, op_gather, op_concat };

static void reductions_and_shapes_have_the_gradient_of_differences(void) {
    bnn_arena mem = { 0 };
    for (size_t o = 0; o < sizeof shaping / sizeof *shaping; o++)
        for (size_t s = 0; s < 5; s++) {
            bnn_mat x = random_mat(&mem, shapes[s][0], shapes[s][1], -2, 2);
            double e = gradient_error(shaping[o], 1, &x);
            if (!CHECK(e < TOLERANCE)) printf("    op %zu, shape %zu: %g\n", o, s, e);
        }
    bnn_arena_free(&mem);
}

static void reductions_and_shapes_have_their_values(void) {
    bnn_tape t = { 0 };
    float xs[6] = { 1, 2, 3, 4, 5, 7 }, none[1] = { 0 };
    bnn_var *x = bnn_input(&t, (bnn_mat){ 2, 3, xs }), *y;
    size_t rows[3] = { 1, 0, 1 };
    CHECK_NEAR(bnn_value(bnn_sum(x)), 22, 0);
    CHECK_NEAR(bnn_value(bnn_mean(x)), 22 / 6.0, 1e-6);
    y = bnn_rowsum(x);
    CHECK(y->val.rows == 2 && y->val.cols == 1 && y->val.data[0] == 6 && y->val.data[1] == 16);
    y = bnn_colsum(x);
    CHECK(y->val.rows == 1 && y->val.cols == 3 && y->val.data[0] == 5 && y->val.data[2] == 10);
    y = bnn_transpose(x);
    CHECK(y->val.rows == 3 && y->val.cols == 2 && y->val.data[1] == 4 && y->val.data[4] == 3);
    y = bnn_cols(x, 1, 2);
    CHECK(y->val.cols == 2 && y->val.data[0] == 2 && y->val.data[3] == 7);
    y = bnn_rows(x, 1, 1);
    CHECK(y->val.rows == 1 && y->val.data[0] == 4);
    y = bnn_gather(x, 3, rows);
    CHECK(y->val.rows == 3 && y->val.data[0] == 4 && y->val.data[3] == 1 && y->val.data[8] == 7);
    y = bnn_reshape(x, 3, 2);
    CHECK(y->val.rows == 3 && y->val.data[5] == 7);
    bnn_var *both[2] = { x, bnn_rowsum(x) };
    y = bnn_concat(&t, 2, both);
    CHECK(y->val.cols == 4 && y->val.data[3] == 6 && y->val.data[4] == 4 && y->val.data[7] == 16);
    CHECK_NEAR(bnn_value(bnn_mean(bnn_input(&t, (bnn_mat){ 0, 3, none }))), 0, 0);
    CHECK_NEAR(bnn_value(bnn_sum(bnn_input(&t, (bnn_mat){ 0, 3, NULL }))), 0, 0);
    CHECK(t.err == BNN_OK);
    bnn_tape_free(&t);
}

static void softmax_is_right_for_any_logits(void) {
    bnn_tape t = { 0 };
    float inf = (float)(1.0 / 0.0);
    float z[12] = { 1, 2, 3, 10000, 9999, -10000, -inf, 0, -inf, -10000, -10001, -inf };
    bnn_var *x = bnn_input(&t, (bnn_mat){ 4, 3, z });
    bnn_var *p = bnn_softmax(x), *l = bnn_log_softmax(x), *s = bnn_logsumexp(x);
    double e = exp(-1.0), sum = 1 + e + e * e, tol = BUILD_TOL(1e-6, 1e-14);
    CHECK_NEAR(p->val.data[2], 1 / sum, tol);
    CHECK_NEAR(l->val.data[0], -2 - log(sum), 4 * tol);
    CHECK_NEAR(s->val.data[0], 3 + log(sum), 4 * tol);
    CHECK_NEAR(p->val.data[3], 1 / (1 + e), tol);
    CHECK_NEAR(l->val.data[4], -1 - log(1 + e), tol); /* full accuracy beside logits of 1e4 */
    CHECK_NEAR(l->val.data[5], -20000 - log(1 + e), 2e4 * tol);
    CHECK_NEAR(s->val.data[1], 10000 + log(1 + e), 1e4 * tol);
    CHECK_NEAR(p->val.data[6], 0, 0);
    CHECK_NEAR(p->val.data[7], 1, 0);
    CHECK_NEAR(l->val.data[7], 0, 0);
    CHECK_NEAR(p->val.data[9], 1 / (1 + e), tol);
    CHECK_NEAR(p->val.data[11], 0, 0);
    for (int i = 0; i < 6; i++) z[i] = i < 3 ? -inf : (float)(i - 4);
    CHECK_NEAR(bnn_value(bnn_logsumexp(bnn_input(&t, (bnn_mat){ 1, 3, z }))), -1.0 / 0.0, 0);
    CHECK_NEAR(bnn_value(bnn_logsumexp(bnn_input(&t, (bnn_mat){ 1, 0, NULL }))), -1.0 / 0.0, 0);
    x = bnn_leaf(&t, (bnn_mat){ 2, 3, z });
    bnn_backward(bnn_sum(bnn_exp(bnn_logsumexp(x)))); /* sum of e^x: the slope is e^x */
    for (int i = 0; i < 6; i++) CHECK_NEAR(x->grad.data[i], i < 3 ? 0 : exp((double)z[i]), tol);
    CHECK(t.err == BNN_OK);
    bnn_tape_free(&t);
}

static bnn_var *op_mix(bnn_tape *t, bnn_var **v) { (void)t; return bnn_mix(v[0], v + 1, 3); }
static void mix_weights_its_candidates(void) {
    bnn_arena mem = { 0 };
    static const size_t dims[][3] = { { 1, 7, 3 }, { 7, 7, 3 }, { 1, 1, 1 }, { 1, 0, 3 },
                                      { 0, 0, 3 } };
    for (size_t s = 0; s < 5; s++) {
        size_t n = dims[s][1], d = dims[s][2];
        bnn_mat x[4] = { random_mat(&mem, dims[s][0], 3, -1, 1), random_mat(&mem, n, d, -1, 1),
                         random_mat(&mem, n, d, -1, 1), random_mat(&mem, n, d, -1, 1) };
        bnn_tape t = { 0 };
        bnn_var *c[3] = { bnn_input(&t, x[1]), bnn_input(&t, x[2]), bnn_input(&t, x[3]) };
        bnn_var *y = bnn_mix(bnn_input(&t, x[0]), c, 3);
        for (size_t i = 0; i < n * d; i++) {
            const float *z = x[0].data + (dims[s][0] == 1 ? 0 : i / d * 3);
            CHECK_NEAR(y->val.data[i], (double)z[0] * (double)x[1].data[i] +
                       (double)z[1] * (double)x[2].data[i] + (double)z[2] * (double)x[3].data[i],
                       8 * BUILD_EPSILON);
        }
        bnn_tape_free(&t);
        CHECK(gradient_error(op_mix, 4, x) < TOLERANCE);
    }
    bnn_arena_free(&mem);
}

/* ---- losses and divergences as ops; their values are in test_losses_kl.c */
static const float soft[6] = { 0, (float)0.25, 1, (float)0.5, (float)0.75, (float)0.1 };
static bnn_var *targets(bnn_tape *t, bnn_var *x, double scale) { /* the same constants every time */
    bnn_mat m = { x->val.rows, x->val.cols, NULL };
    bnn_var *y;
    m.data = (float *)bnn_arena_alloc(&t->mem, size_of(m) + 1, sizeof(float));
    for (size_t i = 0; i < size_of(m); i++) m.data[i] = (float)scale * soft[i % 6];
    y = bnn_input(t, m);
    return y;
}
static bnn_var *op_gaussian(bnn_tape *t, bnn_var **v) {
    return bnn_gaussian_nll(v[0], targets(t, v[0], 3), v[1]);
}
static bnn_var *op_laplace(bnn_tape *t, bnn_var **v) {
    return bnn_double_exponential_nll(v[0], targets(t, v[0], 9), (float)0.7);
}
static bnn_var *op_student(bnn_tape *t, bnn_var **v) {
    return bnn_student_nll(v[0], targets(t, v[0], 3), 3, (float)0.6);
}
static bnn_var *op_bernoulli(bnn_tape *t, bnn_var **v) {
    return bnn_bernoulli_nll(v[0], targets(t, v[0], 1));
}
static bnn_var *op_cross(bnn_tape *t, bnn_var **v) {
    return bnn_cross_entropy(v[0], targets(t, v[0], 1), (float)1.7);
}
static bnn_var *op_poisson(bnn_tape *t, bnn_var **v) {
    return bnn_poisson_nll(v[0], targets(t, v[0], 4));
}
static bnn_var *op_categorical(bnn_tape *t, bnn_var **v) {
    bnn_mat m = { v[0]->val.rows, 1, NULL };
    m.data = (float *)bnn_arena_alloc(&t->mem, m.rows + 1, sizeof(float));
    for (size_t i = 0; i < m.rows; i++) m.data[i] = (float)(i % v[0]->val.cols);
    return bnn_categorical_nll(v[0], bnn_input(t, m));
}
static bnn_var *op_kl_categorical(bnn_tape *t, bnn_var **v) {
    (void)t;
    return bnn_kl_categorical(v[0], NULL);
}
static bnn_var *op_kl_to_prior(bnn_tape *t, bnn_var **v) {
    float p0[7] = { 2, 4, 6, 1, 1, 4, 2 }, total = 0;
    (void)t;
    for (size_t j = 0; j < v[0]->val.cols; j++) total += p0[j];
    for (size_t j = 0; j < v[0]->val.cols; j++) p0[j] /= total;
    return bnn_kl_categorical(v[0], p0);
}
static bnn_var *op_kl_bernoulli(bnn_tape *t, bnn_var **v) {
    (void)t;
    return bnn_kl_bernoulli(v[0], (float)0.3);
}
static bnn_var *op_kl_dirichlet(bnn_tape *t, bnn_var **v) {
    static const float prior[7] = { (float)0.5, 1, 2, 3, 1, 1, (float)0.7 };
    (void)t;
    return bnn_kl_dirichlet(bnn_exp(v[0]), prior);
}
static bnn_var *op_kl_normal(bnn_tape *t, bnn_var **v) {
    (void)t;
    return bnn_kl_standard_normal(v[0], v[1]);
}
static bnn_var *op_kl_normal_to(bnn_tape *t, bnn_var **v) {
    (void)t;
    return bnn_kl_normal(v[0], v[1], (float)0.4, (float)1.3);
}

static void losses_have_the_gradient_of_differences(void) {
    static const op_fn one[] = { op_laplace, op_student, op_bernoulli, op_cross, op_poisson,
        op_categorical, op_kl_categorical, op_kl_to_prior, op_kl_bernoulli, op_kl_dirichlet };
    static const op_fn two[] = { op_gaussian, op_kl_normal, op_kl_normal_to };
    static const size_t spread[][4] = { { 1, 1, 1, 1 }, { 1, 7, 1, 7 }, { 7, 3, 7, 3 },
                                        { 7, 3, 1, 3 }, { 7, 3, 1, 1 }, { 7, 3, 7, 1 },
                                        { 0, 3, 0, 3 }, { 0, 3, 1, 3 } };
    bnn_arena mem = { 0 };
    for (size_t o = 0; o < sizeof one / sizeof *one; o++)
        for (size_t s = 0; s < 4; s++) {
            bnn_mat x = random_mat(&mem, shapes[s][0], shapes[s][1], -1.5, 1.5);
            for (size_t i = 0; i < size_of(x); i++) /* kinks of Laplace at multiples of 0.45 */
                if (one[o] == op_laplace) x.data[i] = (float)(0.2 + 0.1 * lcg());
            double e = gradient_error(one[o], 1, &x);
            if (!CHECK(e < TOLERANCE)) printf("    loss %zu, shape %zu: %g\n", o, s, e);
        }
    for (size_t o = 0; o < 3; o++)
        for (size_t s = 0; s < sizeof spread / sizeof *spread; s++) {
            bnn_mat x[2] = { random_mat(&mem, spread[s][0], spread[s][1], -2, 2),
                             random_mat(&mem, spread[s][2], spread[s][3], 0.4, 2) };
            double e = gradient_error(two[o], 2, x);
            if (!CHECK(e < TOLERANCE)) printf("    loss %zu of two, shape %zu: %g\n", o, s, e);
        }
    bnn_arena_free(&mem);
}

/* ---- gradients through parameters: bnn_grad_check over everything in one program */
typedef struct { bnn_params *w; int wrong; } whole;

static void wrong_sin_backward(bnn_var *y) { /* deliberately: cos without its sign */
    bnn_var *x = y->in[0];
    for (size_t i = 0; x->grad.data && i < size_of(y->val); i++)
        x->grad.data[i] -= y->grad.data[i] * (float)cos((double)x->val.data[i]);
}
static bnn_var *wrong_sin(bnn_var *x) {
    bnn_var *y = bnn_op(x->tape, x->val.rows, x->val.cols, wrong_sin_backward, 1, &x);
    for (size_t i = 0; y->val.data && i < size_of(y->val); i++)
        y->val.data[i] = (float)sin((double)x->val.data[i]);
    return y;
}

static bnn_var *whole_loss(bnn_tape *t, void *user) {
    whole *u = (whole *)user;
    static float xs[8] = { 1, -1, (float)0.5, (float)0.25, 2, 0, -1, (float)0.3 };
    bnn_var *x = bnn_input(t, (bnn_mat){ 4, 2, xs }), *a = bnn_param(t, u->w, 0);
    bnn_var *h = bnn_affine(x, a, bnn_param(t, u->w, 1)), *c[2], *y;
    c[0] = bnn_tanh(h);
    c[1] = u->wrong ? wrong_sin(h) : bnn_sin(h);
    y = bnn_mix(bnn_softmax(bnn_param(t, u->w, 2)), c, 2);
    y = bnn_normal(bnn_dropout(y, (float)0.3), bnn_softplus(bnn_param(t, u->w, 3)));
    y = bnn_add(bnn_mean(bnn_square(y)), bnn_scale(bnn_sum(bnn_square(a)), (float)0.1));
    return bnn_add(y, bnn_scale(bnn_prior_nll(t, u->w), (float)0.05));
}
static bnn_params *whole_params(bnn_arena *mem) {
    bnn_params *w = bnn_params_new(mem);
    bnn_prior p = { .kind = BNN_PRIOR_STUDENT, .nu = 4 };
    bnn_params_add(w, 2, 3, "a", p);
    bnn_params_add(w, 1, 3, "b", (bnn_prior){ .std = 2 });
    bnn_params_add(w, 1, 2, "z", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    bnn_params_add(w, 1, 1, "s", (bnn_prior){ .kind = BNN_PRIOR_MIXTURE });
    for (size_t i = 0; i < w->n; i++) w->theta[i] = (float)(2 * lcg() - 1);
    return w;
}

static void grad_check_accepts_a_right_program_and_finds_a_wrong_derivative(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { .rng = bnn_rng_seed(3) };
    whole u = { whole_params(&mem), 0 };
    float keep[12];
    bnn_rng before = t.rng;
    memcpy(keep, u.w->theta, sizeof keep);
    CHECK(u.w->n == 12);
    CHECK(bnn_grad_check(&t, u.w, whole_loss, &u) < BUILD_TOL(1e-2, 1e-7));
    CHECK_SAME_ARRAY(keep, u.w->theta, 12);
    CHECK(memcmp(&before, &t.rng, sizeof before) == 0);
    u.wrong = 1;
    CHECK(bnn_grad_check(&t, u.w, whole_loss, &u) > 0.1);
    CHECK(t.err == BNN_OK);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

static bnn_var *kinked_loss(bnn_tape *t, void *user) {
    return bnn_sum(bnn_abs(bnn_param(t, ((whole *)user)->w, 0)));
}
static void first_slope_is_nan(bnn_var *y) {
    bnn_mat g = y->in[0]->grad;
    for (size_t i = 0; i < g.cols; i++) g.data[i] += i == 0 ? (float)bnn__nan() : y->grad.data[0];
}
static bnn_var *sum_with_nan_slope(bnn_tape *t, void *user) {
    bnn_var *x = bnn_param(t, ((whole *)user)->w, 0);
    bnn_var *y = bnn_op(t, 1, 1, first_slope_is_nan, 1, &x);
    if (y->val.data != NULL) y->val.data[0] = (float)bnn_mat_sum(x->val);
    return y;
}
static void grad_check_skips_kinks_and_reports_errors(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    whole u = { bnn_params_new(&mem), 0 };
    bnn_params_add(u.w, 1, 3, "a", (bnn_prior){ 0 });
    u.w->theta[1] = 1;
    CHECK(bnn_grad_check(&t, u.w, kinked_loss, &u) < BUILD_TOL(1e-2, 1e-7)); /* two sit at a kink */
    CHECK(isnan(bnn_grad_check(&t, u.w, sum_with_nan_slope, &u)));
    bnn_tape_fail(&t, BNN_EARG, "test", "before");
    CHECK(isnan(bnn_grad_check(&t, u.w, kinked_loss, &u)));
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

/* ---- Hessian-vector products: L = sum_ij theta_i A_ij theta_j / 2 + smooth rest */
typedef struct { bnn_params *w; float a[9]; int cubic; } quadratic;
static bnn_var *quadratic_loss(bnn_tape *t, void *user) {
    quadratic *q = (quadratic *)user;
    bnn_var *x = bnn_param(t, q->w, 0), *a = bnn_input(t, (bnn_mat){ 3, 3, q->a });
    bnn_var *y = bnn_scale(bnn_sum(bnn_mul(bnn_matmul(x, a), x)), (float)0.5);
    return q->cubic ? bnn_add(y, bnn_sum(bnn_sin(x))) : y;
}
static void hessian_vector_is_exact_on_a_quadratic(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    quadratic q = { bnn_params_new(&mem), { 4, 1, -1, 1, 3, (float)0.5, -1, (float)0.5, 2 }, 0 };
    float v[3] = { 1, -2, (float)0.5 }, out[3], zero[3] = { 0, 0, 0 };
    bnn_params_add(q.w, 1, 3, "x", (bnn_prior){ 0 });
    q.w->theta[0] = (float)0.3, q.w->theta[1] = -1, q.w->theta[2] = (float)0.7;
    bnn_hessian_vector(out, &t, q.w, quadratic_loss, &q, v);
    for (int i = 0; i < 3; i++) {
        double want = 0;
        for (int j = 0; j < 3; j++) want += (double)q.a[3 * i + j] * (double)v[j];
        CHECK_NEAR(out[i], want, BUILD_TOL(1e-3, 1e-9));
    }
    CHECK(q.w->theta[0] == (float)0.3 && q.w->theta[2] == (float)0.7);
    bnn_hessian_vector(out, &t, q.w, quadratic_loss, &q, zero);
    CHECK(out[0] == 0 && out[1] == 0 && out[2] == 0);
    q.w->theta[1] = (float)NAN;
    bnn_hessian_vector(out, &t, q.w, quadratic_loss, &q, v);
    CHECK(t.err == BNN_ENONFINITE && strstr(t.msg, "bnn_backward") != NULL);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

static void hessian_vector_is_symmetric_and_linear(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { .rng = bnn_rng_seed(4) };
    whole q = { whole_params(&mem), 0 };
    float u[12], v[12], s[12], hu[12], hv[12], hs[12];
    double uhv = 0, vhu = 0, tol = BUILD_TOL(2e-2, 1e-7);
    for (int i = 0; i < 12; i++) {
        u[i] = (float)(2 * lcg() - 1), v[i] = (float)(2 * lcg() - 1);
        s[i] = 2 * u[i] - 3 * v[i];
    }
    bnn_hessian_vector(hu, &t, q.w, whole_loss, &q, u);
    bnn_hessian_vector(hv, &t, q.w, whole_loss, &q, v);
    bnn_hessian_vector(hs, &t, q.w, whole_loss, &q, s);
    for (int i = 0; i < 12; i++) {
        uhv += (double)u[i] * (double)hv[i], vhu += (double)v[i] * (double)hu[i];
        CHECK_NEAR(hs[i], 2 * (double)hu[i] - 3 * (double)hv[i], tol);
    }
    CHECK_NEAR(uhv, vhu, tol);
    CHECK(fabs(uhv) > 1e-3);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

static bnn_var *square_of_a_product(bnn_tape *t, void *user) {
    bnn_params *w = (bnn_params *)user;
    return bnn_sum(bnn_square(bnn_mul(bnn_param(t, w, 0), bnn_param(t, w, 1))));
}
static void to_a_hessian_what_is_frozen_is_a_constant(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    float v[2] = { 0, 1 }, out[2];
    bnn_params_add(w, 1, 1, "a", (bnn_prior){ 0 });
    bnn_params_add(w, 1, 1, "b", (bnn_prior){ 0 });
    w->theta[0] = 2, w->theta[1] = 3;
    bnn_params_lr(w, 1, 0);
    bnn_hessian_vector(out, &t, w, square_of_a_product, w, v);
    CHECK(out[0] == 0 && out[1] == 0); /* symmetric: the row of b is 0 as well */
    bnn_hessian_diagonal(out, &t, w, square_of_a_product, w, 1);
    CHECK_NEAR(out[0], 18, BUILD_TOL(1e-3, 1e-8)); /* nothing else moves: one probe is exact */
    CHECK(out[1] == 0 && w->theta[1] == 3 && t.err == BNN_OK);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

/* ---- the tape */
static void several_backward_passes_add_up_in_leaves_and_parameters(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    float x = 3;
    bnn_params_add(w, 1, 1, "w", (bnn_prior){ 0 });
    w->theta[0] = 2;
    bnn_params_zero_grad(w);
    bnn_var *leaf = bnn_leaf(&t, (bnn_mat){ 1, 1, &x }), *p = bnn_param(&t, w, 0);
    bnn_var *y = bnn_mul(leaf, p), *a = bnn_square(y), *b = bnn_exp(bnn_scale(y, (float)0.1));
    bnn_backward(a); /* da/dx = 2xw^2 = 24, da/dw = 2x^2w = 36 */
    CHECK_NEAR(leaf->grad.data[0], 24, 1e-5);
    CHECK_NEAR(w->grad[0], 36, 1e-5);
    CHECK_NEAR(y->grad.data[0], 12, 1e-5);
    bnn_backward(b); /* e^.6 * .1 * (w, x) */
    CHECK_NEAR(leaf->grad.data[0], 24 + 0.2 * exp(0.6), 1e-5);
    CHECK_NEAR(w->grad[0], 36 + 0.3 * exp(0.6), 1e-5);
    CHECK_NEAR(y->grad.data[0], 0.1 * exp(0.6), 1e-6); /* of the last pass */
    bnn_params_zero_grad(w);
    CHECK(w->grad[0] == 0);
    bnn_backward(bnn_add(a, b));
    CHECK_NEAR(w->grad[0], 36 + 0.3 * exp(0.6), 1e-5); /* grad(L1) + grad(L2) = grad(L1 + L2) */
    CHECK(t.err == BNN_OK);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

static void gradients_do_not_leak_beyond_the_roots_ancestors(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    bnn_params *teacher = bnn_params_new(&mem), *student = bnn_params_new(&mem);
    float xs[2] = { 1, 2 }, zs[1] = { 5 };
    bnn_params_add(teacher, 1, 1, "t", (bnn_prior){ 0 });
    bnn_params_add(student, 1, 1, "s", (bnn_prior){ 0 });
    teacher->theta[0] = 3, student->theta[0] = 2;
    bnn_params_zero_grad(teacher), bnn_params_zero_grad(student);
    bnn_var *x = bnn_leaf(&t, (bnn_mat){ 2, 1, xs }), *z = bnn_leaf(&t, (bnn_mat){ 1, 1, zs });
    bnn_var *f = bnn_mul(x, bnn_param(&t, teacher, 0)), *g = bnn_mul(x, bnn_param(&t, student, 0));
    bnn_var *lt = bnn_sum(f), *ls = bnn_sum(bnn_mul(g, bnn_detach(f)));
    bnn_backward(ls); /* sum s x . t x, t a constant: d/ds = 15, d/dx = s t x */
    CHECK_NEAR(student->grad[0], 15, 0);
    CHECK_NEAR(teacher->grad[0], 0, 0);
    CHECK_NEAR(x->grad.data[1], 12, 0);
    CHECK(z->grad.data == NULL); /* not reached */
    bnn_backward(lt);
    CHECK_NEAR(teacher->grad[0], 3, 0);
    CHECK_NEAR(student->grad[0], 15, 0);
    bnn_backward(bnn_sum(bnn_detach(g))); /* depends on nothing */
    CHECK_NEAR(student->grad[0], 15, 0);
    CHECK(t.err == BNN_OK);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

static void unwanted_gradients_are_skipped_by_every_op(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { .rng = bnn_rng_seed(1) };
    for (size_t o = 0; o < N_UNARY + sizeof shaping / sizeof *shaping; o++) {
        bnn_mat m = random_mat(&mem, 3, 4, 0.5, 1);
        bnn_var *x = bnn_input(&t, m), *l = bnn_leaf(&t, random_mat(&mem, 1, 1, 1, 2));
        bnn_var *y = (o < N_UNARY ? unary[o].f : shaping[o - N_UNARY])(&t, &x);
        bnn_backward(bnn_mul(bnn_sum(y), l));
        CHECK(x->grad.data == NULL && y->grad.data == NULL && l->grad.data != NULL);
    }
    for (size_t which = 0; which < 2; which++) /* and two-input ops with one constant side */
        for (size_t o = 0; o < 8; o++) {
            op_fn f[8] = { op_add, op_sub, op_mul, op_div, op_normal, op_gaussian, op_kl_normal,
                           op_matmul };
            bnn_mat m = random_mat(&mem, 3, 3, 0.5, 1);
            bnn_var *v[2];
            v[which] = bnn_leaf(&t, m);
            v[1 - which] = bnn_input(&t, m);
            bnn_backward(bnn_sum(f[o](&t, v)));
            CHECK(v[which]->grad.data != NULL && v[1 - which]->grad.data == NULL);
        }
    CHECK(t.err == BNN_OK);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

static void straight_through_has_the_value_of_one_and_the_gradient_of_the_other(void) {
    bnn_tape t = { 0 };
    float a[2] = { (float)0.1, (float)-7.7 }, b[2] = { (float)1e8, 3 };
    bnn_var *x = bnn_leaf(&t, (bnn_mat){ 1, 2, a }), *z = bnn_leaf(&t, (bnn_mat){ 1, 2, b });
    bnn_var *y = bnn_straight_through(bnn_square(x), bnn_square(z));
    CHECK_SAME(y->val.data[0], a[0] * a[0]);
    CHECK_SAME(y->val.data[1], a[1] * a[1]);
    bnn_backward(bnn_sum(y));
    CHECK(x->grad.data == NULL);
    CHECK_NEAR(z->grad.data[1], 6, 0);
    CHECK_NEAR(z->grad.data[0], 2e8, 16);
    bnn_tape_free(&t);
}

static void cube_backward(bnn_var *y) {
    bnn_var *x = y->in[0];
    for (size_t i = 0; x->grad.data && i < x->val.rows * x->val.cols; i++)
        x->grad.data[i] += 3 * x->val.data[i] * x->val.data[i] * y->grad.data[i];
}
static bnn_var *cube(bnn_var *x) {
    bnn_var *y = bnn_op(x->tape, x->val.rows, x->val.cols, cube_backward, 1, &x);
    for (size_t i = 0; y->val.data && i < y->val.rows * y->val.cols; i++)
        y->val.data[i] = x->val.data[i] * x->val.data[i] * x->val.data[i];
    return y;
}
static bnn_var *op_cube(bnn_tape *t, bnn_var **v) { (void)t; return cube(v[0]); }
static void an_operation_of_the_user_takes_ten_lines(void) {
    bnn_arena mem = { 0 };
    bnn_mat x = random_mat(&mem, 7, 3, -2, 2);
    CHECK(gradient_error(op_cube, 1, &x) < TOLERANCE);
    bnn_arena_free(&mem);
}

static void a_leaf_without_memory_for_its_gradient_has_none(void) {
    static unsigned char room[20000];
    float a[64] = { 1 };
    int failed = 0, complete = 0;
    for (size_t n = 256; n < sizeof room; n += 64) {
        bnn_tape t = { .mem = { .buffer = room, .capacity = n } };
        bnn_var *x = bnn_leaf(&t, (bnn_mat){ 8, 8, a }), *y = bnn_leaf(&t, (bnn_mat){ 8, 1, a });
        bnn_var *loss = bnn_sum(bnn_mul(x, y));
        if (t.err == BNN_OK) {
            bnn_backward(loss);
            if (t.err != BNN_OK) failed += CHECK(x->grad.data == NULL && y->grad.data == NULL);
            else complete += CHECK(x->grad.data != NULL && y->grad.data != NULL);
        }
        bnn_tape_free(&t);
    }
    CHECK(failed > 3 && complete > 3);
}

static void a_root_may_be_a_leaf_or_a_parameter(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    float x = 2;
    bnn_params_add(w, 1, 1, "w", (bnn_prior){ 0 });
    bnn_var *l = bnn_leaf(&t, (bnn_mat){ 1, 1, &x }), *p = bnn_param(&t, w, 0);
    bnn_backward(l), bnn_backward(l), bnn_backward(p), bnn_backward(p);
    CHECK_NEAR(l->grad.data[0], 2, 0);
    CHECK_NEAR(w->grad[0], 2, 0);
    bnn_backward(bnn_scalar(&t, 4)); /* a constant root */
    CHECK_NEAR(w->grad[0], 2, 0);
    CHECK(t.err == BNN_OK);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

static void a_consumed_gradient_is_replaced_and_not_added_to(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    bnn_params_add(w, 2, 2, "a", (bnn_prior){ 0 });
    bnn_params_add(w, 1, 2, "b", (bnn_prior){ 0 });
    bnn_stepper s = bnn_sgd(w, (bnn_sgd_desc){ .lr = (float)1e-30 });
    float xs[2] = { 1, 2 };
    for (int step = 0; step < 3; step++) {
        bnn_tape_reset(&t);
        bnn_var *x = bnn_input(&t, (bnn_mat){ 1, 2, xs });
        bnn_var *y = step == 1 ? bnn_param(&t, w, 1) : bnn_matmul(x, bnn_param(&t, w, 0));
        bnn_backward(bnn_sum(y));
        CHECK_NEAR(w->grad[0], step == 1 ? 0 : 1, 0);
        CHECK_NEAR(w->grad[3], step == 1 ? 0 : 2, 0);
        CHECK_NEAR(w->grad[4], step == 1 ? 1 : 0, 0);
        bnn_step(&s, &t);
    }
    CHECK(t.err == BNN_OK);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

/* ---- errors */
static int says(const bnn_tape *t, int err, const char *a, const char *b) {
    int ok = t->err == err && strstr(t->msg, a) != NULL && strstr(t->msg, b) != NULL;
    if (!ok) printf("    err %d: %s\n", t->err, t->msg);
    return ok;
}
static void shape_errors_name_both_shapes(void) {
    bnn_tape t = { 0 };
    float xs[12] = { 0 };
#define FAILS(EXPR, ERR, A, B) do { \
        bnn_tape_reset(&t); \
        bnn_var *x = bnn_input(&t, (bnn_mat){ 4, 3, xs }); \
        bnn_var *y = bnn_input(&t, (bnn_mat){ 2, 5, xs }); \
        bnn_var *v[2] = { x, y }; \
        (void)v; \
        bnn_var *r = (EXPR); \
        CHECK(r == &t.poison && r->val.data == NULL); \
        CHECK(says(&t, ERR, A, B)); \
        bnn_tape_clear_error(&t); \
        CHECK(t.err == BNN_OK && t.msg[0] == '\0'); \
    } while (0)
    FAILS(bnn_matmul(x, y), BNN_ESHAPE, "4x3", "2x5");
    FAILS(bnn_affine(x, y, NULL), BNN_ESHAPE, "4x3", "2x5");
    FAILS(bnn_affine(x, bnn_transpose(x), y), BNN_ESHAPE, "3x4", "2x5");
    FAILS(bnn_add(x, y), BNN_ESHAPE, "4x3", "2x5");
    FAILS(bnn_sub(x, y), BNN_ESHAPE, "4x3", "2x5");
    FAILS(bnn_mul(x, y), BNN_ESHAPE, "4x3", "2x5");
    FAILS(bnn_div(x, y), BNN_ESHAPE, "4x3", "2x5");
    FAILS(bnn_normal(x, y), BNN_ESHAPE, "4x3", "2x5");
    FAILS(bnn_concat(&t, 2, v), BNN_ESHAPE, "4x3", "2x5");
    FAILS(bnn_reshape(x, 2, 5), BNN_ESHAPE, "4x3", "2x5");
    FAILS(bnn_mix(bnn_rows(y, 0, 1), v, 5), BNN_ESHAPE, "4x3", "2x5");
    FAILS(bnn_mix(x, v, 2), BNN_ESHAPE, "3", "2");
    FAILS(bnn_straight_through(x, y), BNN_ESHAPE, "4x3", "2x5");
    FAILS(bnn_gaussian_nll(x, y, x), BNN_ESHAPE, "4x3", "2x5");
    FAILS(bnn_gaussian_nll(x, x, y), BNN_ESHAPE, "4x3", "2x5");
    FAILS(bnn_double_exponential_nll(x, y, 1), BNN_ESHAPE, "4x3", "2x5");
    FAILS(bnn_student_nll(x, y, 1, 1), BNN_ESHAPE, "4x3", "2x5");
    FAILS(bnn_bernoulli_nll(x, y), BNN_ESHAPE, "4x3", "2x5");
    FAILS(bnn_cross_entropy(x, y, 1), BNN_ESHAPE, "4x3", "2x5");
    FAILS(bnn_categorical_nll(x, y), BNN_ESHAPE, "4x3", "2x5");
    FAILS(bnn_poisson_nll(x, y), BNN_ESHAPE, "4x3", "2x5");
    FAILS(bnn_kl_standard_normal(x, y), BNN_ESHAPE, "4x3", "2x5");
    FAILS(bnn_cols(x, 2, 2), BNN_ESHAPE, "4", "3");
    FAILS(bnn_rows(x, 3, 2), BNN_ESHAPE, "4", "4");
    FAILS(bnn_rows(x, 0, 9), BNN_ESHAPE, "9", "4");
    FAILS(bnn_gather(x, 1, &(size_t){ 6 }), BNN_ESHAPE, "6", "4");
    FAILS(bnn_dropout(x, 1), BNN_EARG, "bnn_dropout", "1");
    FAILS(bnn_dropout(x, (float)-0.1), BNN_EARG, "bnn_dropout", "-");
    FAILS(bnn_double_exponential_nll(x, x, 0), BNN_EARG, "bnn_double_exponential_nll", "0");
    FAILS(bnn_student_nll(x, x, 0, 1), BNN_EARG, "bnn_student_nll", "nu");
    FAILS(bnn_cross_entropy(x, x, 0), BNN_EARG, "temperature", "0");
    FAILS(bnn_kl_standard_normal(x, x), BNN_EARG, "sd", "0");
    FAILS(bnn_kl_normal(x, x, 0, 0), BNN_EARG, "sd0", "0");
    FAILS(bnn_kl_bernoulli(x, 1), BNN_EARG, "p0", "1");
    FAILS(bnn_kl_dirichlet(x, NULL), BNN_EARG, "alpha", "0");
    FAILS(bnn_kl_categorical(x, xs), BNN_EARG, "prior", "0");
    FAILS(bnn_kl_categorical(x, (float[]){ 1, 1, 1 }), BNN_EARG, "sums to 3", "bnn_kl_categorical");
    FAILS(bnn_activation(x, 99), BNN_EARG, "bnn_activation", "99");
    FAILS(bnn_input(&t, (bnn_mat){ 3, 3, NULL }), BNN_EARG, "3x3", "bnn_input");
    FAILS(bnn_leaf(&t, (bnn_mat){ 3, 3, NULL }), BNN_EARG, "3x3", "bnn_leaf");
    FAILS(bnn_param(&t, NULL, 0), BNN_EARG, "bnn_param", "param");
    FAILS(bnn_categorical_nll(x, bnn_shift(bnn_cols(x, 0, 1), 3)), BNN_EARG, "3", "label");
    FAILS(bnn_categorical_nll(x, bnn_shift(bnn_cols(x, 0, 1), (float)0.5)), BNN_EARG, "0.5",
          "label");
    FAILS(bnn_bernoulli_nll(x, bnn_shift(x, 2)), BNN_EARG, "2", "[0,1]");
    FAILS(bnn_poisson_nll(x, bnn_shift(x, -2)), BNN_EARG, "-2", "count");
#undef FAILS
    bnn_backward(bnn_input(&t, (bnn_mat){ 4, 3, xs }));
    CHECK(says(&t, BNN_ESHAPE, "4x3", "1x1"));
    bnn_tape_clear_error(&t);
    bnn_backward_from(bnn_input(&t, (bnn_mat){ 4, 3, xs }), (bnn_mat){ 2, 5, xs });
    CHECK(says(&t, BNN_ESHAPE, "4x3", "2x5"));
    bnn_tape_clear_error(&t);
    bnn_backward_from(bnn_input(&t, (bnn_mat){ 4, 3, xs }), (bnn_mat){ 4, 3, NULL });
    CHECK(says(&t, BNN_EARG, "bnn_backward_from: a 4x3", "without data"));
    bnn_tape_free(&t);
}

static void the_first_error_stays_through_every_call_and_reset_until_cleared(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    bnn_mat m = random_mat(&mem, 3, 3, 0.5, 1);
    bnn_tape_fail(&t, BNN_EARG, "user", "first");
    bnn_tape_fail(&t, BNN_ENOMEM, "user", "second");
    bnn_tape_reset(&t);
    bnn_var *x = bnn_input(&t, m), *v[4] = { x, x, x, x };
    CHECK(x == &t.poison);
    for (size_t o = 0; o < N_UNARY; o++) CHECK(unary[o].f(&t, v) == &t.poison);
    for (size_t o = 0; o < 5; o++) CHECK(binary[o](&t, v) == &t.poison);
    for (size_t o = 0; o < sizeof shaping / sizeof *shaping; o++)
        if (shaping[o] != op_gather) CHECK(shaping[o](&t, v) == &t.poison);
    CHECK(bnn_gather(x, 2, (size_t[]){ 0, 1 }) == &t.poison);
    CHECK(op_affine(&t, v) == &t.poison && op_mix(&t, v) == &t.poison);
    CHECK(op_cube(&t, v) == &t.poison && bnn_scalar(&t, 1) == &t.poison);
    op_fn losses[] = { op_laplace, op_student, op_bernoulli, op_cross, op_poisson,
        op_kl_categorical, op_kl_bernoulli, op_kl_dirichlet, op_gaussian, op_kl_normal };
    for (size_t o = 0; o < sizeof losses / sizeof *losses; o++)
        CHECK(losses[o](&t, v) == &t.poison);
    CHECK(bnn_categorical_nll(x, x) == &t.poison && bnn_straight_through(x, x) == &t.poison);
    CHECK(isnan((double)bnn_value(x)));
    bnn_backward(x);
    CHECK(t.err == BNN_EARG && strcmp(t.msg, "user: first") == 0);
    bnn_tape_clear_error(&t);
    CHECK_NEAR(bnn_value(bnn_sum(bnn_input(&t, (bnn_mat){ 1, 1, m.data }))), m.data[0], 0);
    CHECK(t.err == BNN_OK);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

static void a_loss_that_is_not_finite_is_an_error(void) {
    bnn_tape t = { 0 };
    float x = -1;
    bnn_backward(bnn_log(bnn_leaf(&t, (bnn_mat){ 1, 1, &x })));
    CHECK(t.err == BNN_ENONFINITE);
    bnn_tape_clear_error(&t);
    x = 0;
    bnn_backward(bnn_log(bnn_leaf(&t, (bnn_mat){ 1, 1, &x })));
    CHECK(says(&t, BNN_ENONFINITE, "-inf", "loss"));
    bnn_tape_free(&t);
}

static void *modest(void *user, void *ptr, size_t old_size, size_t new_size) {
    (void)user, (void)old_size;
    if (new_size == 0) free(ptr);
    return new_size == 0 || new_size > (size_t)1 << 30 ? NULL : realloc(ptr, new_size);
}
static void absurd_sizes_are_out_of_memory_and_not_a_crash(void) {
    bnn_tape t = { .mem = { .alloc = { modest, NULL } } };
    bnn_op(&t, SIZE_MAX / 2, 16, NULL, 0, NULL);
    CHECK(t.err == BNN_ENOMEM);
    bnn_tape_clear_error(&t);
    bnn_op(&t, SIZE_MAX / 8, 1, NULL, 0, NULL);
    CHECK(t.err == BNN_ENOMEM);
    bnn_tape_free(&t);
}

static void noise_is_fresh_for_every_entry_of_a_broadcast_normal(void) {
    bnn_tape t = { .rng = bnn_rng_seed(2) };
    float one = 1, sd[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };
    bnn_var *y = bnn_normal(bnn_input(&t, (bnn_mat){ 1, 1, &one }),
                            bnn_input(&t, (bnn_mat){ 4, 2, sd }));
    CHECK(y->val.rows == 4 && y->val.cols == 2);
    for (size_t i = 1; i < 8; i++) CHECK(y->val.data[i] != y->val.data[0]);
    bnn_tape_free(&t);
}

static void dropout_keeps_the_mean_and_scales_what_it_keeps(void) {
    /* 40000 draws: the fraction kept is within 4 standard errors (false alarm 6e-5) */
    bnn_arena mem = { 0 };
    bnn_tape t = { .rng = bnn_rng_seed(build_seed(21)) };
    bnn_mat x = random_mat(&mem, 200, 200, 1, 1);
    bnn_var *in = bnn_input(&t, x), *y = bnn_dropout(in, (float)0.3);
    size_t kept = 0;
    for (size_t i = 0; i < size_of(x); i++) {
        kept += y->val.data[i] != 0;
        CHECK(y->val.data[i] == 0 || fabs((double)y->val.data[i] - 1 / 0.7) < 1e-6);
    }
    CHECK_NEAR((double)kept / 40000, 0.7, 4 * sqrt(0.21 / 40000));
    CHECK(bnn_dropout(in, 0) == in);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

/* ---- two tapes */
enum { TWO_OPS = 35 };
static void sum_backward(bnn_var *y) { (void)y; }
static bnn_var *op_of_two(int which, bnn_var *a, bnn_var *b) { /* (2,2) both */
    bnn_var *in[2];
    bnn_mat m = { 2, 2, NULL };
    in[0] = a, in[1] = b;
    switch (which) {
    case 0: return bnn_add(a, b);
    case 1: return bnn_sub(a, b);
    case 2: return bnn_mul(a, b);
    case 3: return bnn_div(a, b);
    case 4: return bnn_matmul(a, b);
    case 5: return bnn_affine(a, b, NULL);
    case 6: return bnn_affine(a, a, bnn_rows(b, 0, 1));
    case 7: return bnn_concat(a->tape, 2, in);
    case 8: return bnn_mix(a, in, 2);
    case 9: return bnn_straight_through(a, b);
    case 10: return bnn_normal(a, b);
    case 11: return bnn_gaussian_nll(a, b, a);
    case 12: return bnn_gaussian_nll(a, a, b);
    case 13: return bnn_double_exponential_nll(a, b, 1);
    case 14: return bnn_student_nll(a, b, 1, 1);
    case 15: return bnn_bernoulli_nll(a, b);
    case 16: return bnn_categorical_nll(a, bnn_cols(b, 0, 1));
    case 17: return bnn_cross_entropy(a, b, 1);
    case 18: return bnn_poisson_nll(a, b);
    case 19: return bnn_kl_normal(a, b, 0, 1);
    case 20: return bnn_kl_standard_normal(a, b);
    case 21: return bnn_op(a->tape, 1, 1, sum_backward, 2, in);
    case 22: return bnn_op(a->tape, 1, 1, NULL, 1, &b);
    case 23: return bnn_beta(a, b);
    case 24: return bnn_beta_log_prob(a, a, b);
    case 25: return bnn_kl_beta(a, b, 1, 1);
    case 26: return bnn_dirichlet_log_prob(bnn_log_softmax(a), b);
    case 27: return bnn_concrete_log_prob(bnn_log_softmax(a), b, 1);
    case 28: return bnn_logit_normal(a, b);
    case 29: return bnn_score_function(bnn_rowsum(a), bnn_rowsum(b), NULL);
    case 30: return bnn_mul(a, bnn_sum(b));
    case 31: return bnn_mul(bnn_sum(a), b);
    case 32: return bnn_sub(a, bnn_rows(b, 0, 1));
    case 33: return bnn_mix(bnn_rows(a, 1, 1), in, 2);
    default: return bnn_matmul(a, bnn_leaf(b->tape, (m.data = b->val.data, m)));
    }
}

static void operands_of_two_tapes_are_an_error_on_both(void) {
    for (int which = 0; which < TWO_OPS; which++)
        for (int swap = 0; swap < 2; swap++) {
            float x[4] = { (float)0.5, 1, (float)0.25, (float)0.75 }, y[4] = { 1, 1, (float)0.5, 1 };
            bnn_tape t = { .rng = bnn_rng_seed(1) }, u = { .rng = bnn_rng_seed(2) };
            bnn_var *a = bnn_leaf(&t, (bnn_mat){ 2, 2, x }), *b = bnn_leaf(&u, (bnn_mat){ 2, 2, y });
            bnn_var *v = swap ? op_of_two(which, b, a) : op_of_two(which, a, b);
            if (!CHECK(t.err == BNN_EARG && u.err == BNN_EARG && v->val.data == NULL))
                printf("    op %d: %d %s, %d %s\n", which, t.err, t.msg, u.err, u.msg);
            CHECK(strstr(t.msg, "another") != NULL && strcmp(t.msg, u.msg) == 0);
            CHECK(strstr(t.msg, " on one tape, ") != NULL);
            bnn_tape_free(&t);
            bnn_tape_free(&u);
        }
}

static void a_dead_operand_brings_the_sentence_of_its_own_tape(void) {
    for (int which = 0; which < TWO_OPS; which++) {
        float x[4] = { 1, 2, 3, 4 };
        bnn_tape t = { 0 }, u = { 0 };
        bnn_var *a, *b;
        if (which == 28 || which == 29) continue; /* they look at shapes first */
        if (which >= 24 && which <= 27) continue; /* a itself is made into draws first */
        a = bnn_leaf(&t, (bnn_mat){ 2, 2, x });
        bnn_tape_fail(&u, BNN_EIO, "user", "the cause");
        b = bnn_leaf(&u, (bnn_mat){ 2, 2, x });
        op_of_two(which, a, b);
        if (!CHECK(t.err == BNN_EIO && strstr(t.msg, "user: the cause") != NULL))
            printf("    op %d: %d %s\n", which, t.err, t.msg);
        bnn_tape_free(&t);
        bnn_tape_free(&u);
    }
}

static void a_loss_that_is_not_finite_names_the_place_where_it_began(void) {
    bnn_tape t = { 0 };
    float x[6] = { 1, 2, 3, 4, (float)bnn__nan(), 6 }, w[2] = { 1, 1 }, z[2] = { 90, 800 };
    bnn_mat data = { 3, 2, NULL };
    data.data = x;
    bnn_var *beside = bnn_log(bnn_scalar(&t, -1));
    bnn_var *h = bnn_tanh(bnn_matmul(bnn_input(&t, data), bnn_leaf(&t, (bnn_mat){ 2, 1, w })));
    bnn_backward(bnn_mean(bnn_square(h)));
    CHECK(t.err == BNN_ENONFINITE && strstr(t.msg, "row 2, column 0 of a node of 3x2") != NULL);
    CHECK(strstr(t.msg, "nan") != NULL && beside->n_in == 1);
    bnn_var *leaf = h->in[0]->in[1];
    CHECK(leaf->grad.rows == 2 && isnan((double)leaf->grad.data[0]) && isnan((double)leaf->grad.data[1]));
    bnn_tape_reset(&t);
    bnn_tape_clear_error(&t);
    bnn_backward(bnn_sum(bnn_exp(bnn_leaf(&t, (bnn_mat){ 1, 2, z }))));
    CHECK(t.err == BNN_ENONFINITE && strstr(t.msg, "the loss is inf") != NULL);
    CHECK(strstr(t.msg, sizeof(float) == 4 ? "column 0" : "column 1") != NULL);
    bnn_tape_free(&t);
}

static void a_tape_counts_its_resets_and_a_block_knows_that_a_gradient_came(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    bnn_params *p = bnn_params_new(&mem);
    bnn_prior none = { 0 };
    size_t a = bnn_params_add(p, 1, 2, "a", none), b = bnn_params_add(p, 1, 2, "b", none);
    for (size_t i = 1; i <= 3; i++) {
        bnn_tape_reset(&t);
        CHECK(t.resets == i);
    }
    CHECK(!p->blocks[a].reached && !p->blocks[b].reached);
    bnn_param(&t, p, b);
    bnn_backward(bnn_sum(bnn_square(bnn_param(&t, p, a))));
    CHECK(p->blocks[a].reached && !p->blocks[b].reached);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

int main(void) {
    RUN(every_unary_op_has_its_closed_form_value);
    RUN(every_unary_op_has_the_gradient_of_differences);
    RUN(kinks_take_the_derivative_that_the_manual_says);
    RUN(far_tails_stay_finite);
    RUN(binary_ops_repeat_what_has_size_1);
    RUN(binary_ops_have_the_gradient_of_differences);
    RUN(products_have_their_values_and_gradients);
    RUN(reductions_and_shapes_have_the_gradient_of_differences);
    RUN(reductions_and_shapes_have_their_values);
    RUN(softmax_is_right_for_any_logits);
    RUN(mix_weights_its_candidates);
    RUN(losses_have_the_gradient_of_differences);
    RUN(grad_check_accepts_a_right_program_and_finds_a_wrong_derivative);
    RUN(grad_check_skips_kinks_and_reports_errors);
    RUN(hessian_vector_is_exact_on_a_quadratic);
    RUN(hessian_vector_is_symmetric_and_linear);
    RUN(to_a_hessian_what_is_frozen_is_a_constant);
    RUN(several_backward_passes_add_up_in_leaves_and_parameters);
    RUN(gradients_do_not_leak_beyond_the_roots_ancestors);
    RUN(unwanted_gradients_are_skipped_by_every_op);
    RUN(straight_through_has_the_value_of_one_and_the_gradient_of_the_other);
    RUN(an_operation_of_the_user_takes_ten_lines);
    RUN(a_leaf_without_memory_for_its_gradient_has_none);
    RUN(a_root_may_be_a_leaf_or_a_parameter);
    RUN(a_consumed_gradient_is_replaced_and_not_added_to);
    RUN(shape_errors_name_both_shapes);
    RUN(the_first_error_stays_through_every_call_and_reset_until_cleared);
    RUN(a_loss_that_is_not_finite_is_an_error);
    RUN(absurd_sizes_are_out_of_memory_and_not_a_crash);
    RUN(noise_is_fresh_for_every_entry_of_a_broadcast_normal);
    RUN(dropout_keeps_the_mean_and_scales_what_it_keeps);
    RUN(operands_of_two_tapes_are_an_error_on_both);
    RUN(a_dead_operand_brings_the_sentence_of_its_own_tape);
    RUN(a_loss_that_is_not_finite_names_the_place_where_it_began);
    RUN(a_tape_counts_its_resets_and_a_block_knows_that_a_gradient_came);
    return check_done();
}
