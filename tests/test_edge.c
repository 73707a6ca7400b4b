/* test_edge.c -- numbers at the edge: what every operation does with zeros of both signs, denormals,
 * the largest numbers, infinities and NaN; what becomes of nothing (0 rows, 0 columns) and of sizes
 * near INT_MAX and SIZE_MAX. The tables here are those of docs/portability.md. */
#include "build.h"

enum { E = 9 }; /* -inf -max -tiny -0 0 tiny max inf NaN */
static float edge[E];
static const char *const edge_name[E] = { "-inf", "-max", "-tiny", "-0", "0", "tiny", "max", "inf",
                                          "nan" };
static float big, tiny, inf, nan_;

static void edges_make(void) {
    volatile float zero = 0;
    int digits = sizeof(float) == 4 ? 149 : 1074;
    big = sizeof(float) == 4 ? (float)(3.40282346638528859812e38) : (float)DBL_MAX;
    tiny = (float)ldexp(1, -digits);
    inf = (float)bnn__inf();
    nan_ = (float)bnn__nan();
    edge[0] = -inf, edge[1] = -big, edge[2] = -tiny, edge[3] = -zero, edge[4] = zero;
    edge[5] = tiny, edge[6] = big, edge[7] = inf, edge[8] = nan_;
}

static int loud(int ok) { return !ok && check_bad <= 10; }
static int is_nan(float x) { return !(x <= 0) && !(x >= 0); }

/* x is what the table says: NaN, an infinity, or near it (denormals: to the last unit) */
static int is(float x, float want) {
    double d = (double)x - (double)want;
    if (is_nan(want)) return is_nan(x);
    if (!bnn__finite(want) || !bnn__finite(x)) return x == want;
    return fabs(d) <= 4 * BUILD_EPSILON * fabs((double)want) + 2 * (double)tiny;
}

/* ---- a world: a tape, parameters, memory that ends at a limit */

typedef struct world {
    bnn_arena mem;
    bnn_tape tape;
    size_t out;
} world;

static void *limited(void *user, void *ptr, size_t old_size, size_t new_size) {
    world *a = (world *)user;
    void *p;
    if (new_size == 0) {
        if (ptr != NULL) a->out -= old_size;
        free(ptr);
        return NULL;
    }
    if (new_size > (size_t)1 << 22 || a->out > (size_t)1 << 24) return NULL;
    p = realloc(ptr, new_size);
    if (p != NULL) a->out += new_size - (ptr != NULL ? old_size : 0);
    return p;
}

static void world_make(world *a) {
    memset(a, 0, sizeof *a);
    a->mem.alloc.fn = a->tape.mem.alloc.fn = limited;
    a->mem.alloc.user = a->tape.mem.alloc.user = a;
    a->tape.rng = bnn_rng_seed(1);
}

static void world_free(world *a) {
    bnn_tape_free(&a->tape);
    bnn_arena_free(&a->mem);
    CHECK(a->out == 0);
}

/* ---- one input: the value and the slope at each edge, written down */

/* these stand for what a constant cannot say, or for the numbers of the build */
#define INF 1001.0
#define NAN_ 1002.0
#define MAX 1003.0
#define TINY 1004.0

typedef bnn_var *(*op1)(bnn_var *x);
static bnn_var *op_scale(bnn_var *x) { return bnn_scale(x, 2); }
static bnn_var *op_shift(bnn_var *x) { return bnn_shift(x, 1); }
static bnn_var *op_clamp(bnn_var *x) { return bnn_clamp(x, -1, 1); }

/* ANY: bounded by 1, or NaN: a sine so far out means nothing */
#define ANY 1005.0
static const struct {
    const char *name;
    op1 f;
    double value[E], slope[E];
} unary[] = {
    { "neg", bnn_neg, { INF, MAX, TINY, 0, 0, -TINY, -MAX, -INF, NAN_ },
      { -1, -1, -1, -1, -1, -1, -1, -1, -1 } },
    { "square", bnn_square, { INF, INF, 0, 0, 0, 0, INF, INF, NAN_ },
      { -INF, -INF, 0, 0, 0, 0, INF, INF, NAN_ } },
    { "exp", bnn_exp, { 0, 0, 1, 1, 1, 1, INF, INF, NAN_ }, { 0, 0, 1, 1, 1, 1, INF, INF, NAN_ } },
    { "log", bnn_log, { NAN_, NAN_, NAN_, -INF, -INF, ANY, ANY, INF, NAN_ },
      { 0, ANY, -INF, -INF, INF, INF, ANY, 0, NAN_ } },
    { "sqrt", bnn_sqrt, { NAN_, NAN_, NAN_, 0, 0, ANY, ANY, INF, NAN_ },
      { 0, 0, 0, 0, 0, ANY, ANY, 0, 0 } },
    { "abs", bnn_abs, { INF, MAX, TINY, 0, 0, TINY, MAX, INF, NAN_ }, { -1, -1, -1, 0, 0, 1, 1, 1, 0 } },
    { "sin", bnn_sin, { ANY, ANY, -TINY, 0, 0, TINY, ANY, ANY, NAN_ },
      { ANY, ANY, 1, 1, 1, 1, ANY, ANY, NAN_ } },
    { "cos", bnn_cos, { ANY, ANY, 1, 1, 1, 1, ANY, ANY, NAN_ },
      { ANY, ANY, TINY, 0, 0, -TINY, ANY, ANY, NAN_ } },
    { "tanh", bnn_tanh, { -1, -1, -TINY, 0, 0, TINY, 1, 1, NAN_ }, { 0, 0, 1, 1, 1, 1, 0, 0, NAN_ } },
    { "sigmoid", bnn_sigmoid, { 0, 0, 0.5, 0.5, 0.5, 0.5, 1, 1, NAN_ },
      { 0, 0, 0.25, 0.25, 0.25, 0.25, 0, 0, NAN_ } },
    { "softplus", bnn_softplus, { 0, 0, 0.69314718055994531, 0.69314718055994531,
      0.69314718055994531, 0.69314718055994531, MAX, INF, NAN_ },
      { 0, 0, 0.5, 0.5, 0.5, 0.5, 1, 1, NAN_ } },
    { "relu", bnn_relu, { 0, 0, 0, 0, 0, TINY, MAX, INF, NAN_ }, { 0, 0, 0, 0, 0, 1, 1, 1, ANY } },
    { "leaky_relu", bnn_leaky_relu, { -INF, ANY, 0, 0, 0, TINY, MAX, INF, NAN_ },
      { 0.01, 0.01, 0.01, 0.01, 0.01, 1, 1, 1, 0.01 } },
    { "elu", bnn_elu, { -1, -1, -TINY, 0, 0, TINY, MAX, INF, NAN_ }, { 0, 0, 1, 1, 1, 1, 1, 1, NAN_ } },
    { "silu", bnn_silu, { NAN_, 0, 0, 0, 0, 0, MAX, INF, NAN_ },
      { NAN_, 0, 0.5, 0.5, 0.5, 0.5, 1, NAN_, NAN_ } },
    { "gelu", bnn_gelu, { NAN_, 0, 0, 0, 0, 0, MAX, INF, NAN_ },
      { NAN_, 0, 0.5, 0.5, 0.5, 0.5, 1, NAN_, NAN_ } },
    { "scale", op_scale, { -INF, -INF, ANY, 0, 0, ANY, INF, INF, NAN_ }, { 2, 2, 2, 2, 2, 2, 2, 2, 2 } },
    { "shift", op_shift, { -INF, -MAX, 1, 1, 1, 1, MAX, INF, NAN_ }, { 1, 1, 1, 1, 1, 1, 1, 1, 1 } },
    { "clamp", op_clamp, { -1, -1, -TINY, 0, 0, TINY, 1, 1, NAN_ }, { 0, 0, 1, 1, 1, 1, 0, 0, 0 } },
};
enum { UNARY = sizeof unary / sizeof *unary };

static float meant(double code) {
    float sign = (float)(code < 0 ? -1 : 1);
    if (code == NAN_) return nan_;
    if (code == INF || code == -INF) return sign * inf;
    if (code == MAX || code == -MAX) return sign * big;
    if (code == TINY || code == -TINY) return sign * tiny;
    return (float)code;
}

static int agrees(float x, double want) { return want == ANY || is(x, meant(want)); }

static void every_function_of_one_input_has_its_table_of_edges(void) {
    size_t i, j, many;
    world a;
    world_make(&a);
    for (i = 0; i < UNARY; i++)
        for (j = 0; j < E; j++)
            for (many = 1; many < 40; many += 19) { /* alone, in a row of vectors, and beyond */
                float x[40];
                bnn_mat m;
                bnn_var *leaf, *y;
                size_t p;
                for (p = 0; p < many; p++) x[p] = edge[j];
                m.rows = 1, m.cols = many, m.data = x;
                bnn_tape_reset(&a.tape);
                leaf = bnn_leaf(&a.tape, m);
                y = unary[i].f(leaf);
                for (p = 0; p < many; p++)
                    if (loud(CHECK(agrees(y->val.data[p], unary[i].value[j]))))
                        printf("    %s(%s) = %g\n", unary[i].name, edge_name[j], (double)y->val.data[p]);
                for (p = 0; p < many; p++) x[p] = edge[j];
                {
                    float ones[40];
                    bnn_mat seed;
                    for (p = 0; p < many; p++) ones[p] = 1;
                    seed.rows = 1, seed.cols = many, seed.data = ones;
                    bnn_backward_from(y, seed);
                }
                for (p = 0; p < many; p++)
                    if (loud(CHECK(agrees(leaf->grad.data[p], unary[i].slope[j]))))
                        printf("    %s'(%s) = %g\n", unary[i].name, edge_name[j],
                               (double)leaf->grad.data[p]);
            }
    CHECK(a.tape.err == BNN_OK);
    world_free(&a);
}

static void sines_far_out_are_bounded_and_of_infinity_nan(void) {
    float x[4], y[4];
    size_t i;
    bnn_mat m;
    world a;
    world_make(&a);
    x[0] = big, x[1] = -big, x[2] = inf, x[3] = -inf;
    m.rows = 1, m.cols = 4, m.data = x;
    memcpy(y, bnn_sin(bnn_input(&a.tape, m))->val.data, sizeof y);
    for (i = 0; i < 4; i++) CHECK(i < 2 ? fabs((double)y[i]) <= 1.01 : is_nan(y[i]));
    memcpy(y, bnn_cos(bnn_input(&a.tape, m))->val.data, sizeof y);
    for (i = 0; i < 4; i++) CHECK(i < 2 ? fabs((double)y[i]) <= 1.01 : is_nan(y[i]));
    world_free(&a);
}

/* ---- two inputs: the arithmetic of the machine, in every way to broadcast */

static float ieee(int op, float a, float b) {
    volatile float x = a, y = b, z;
    if (op == 0) z = x + y;
    else if (op == 1) z = x - y;
    else if (op == 2) z = x * y;
    else z = x / y;
    return z;
}

static void arithmetic_is_that_of_ieee_754_however_broadcast(void) {
    bnn_var *(*const ops[4])(bnn_var *, bnn_var *) = { bnn_add, bnn_sub, bnn_mul, bnn_div };
    size_t op, way, i, j, p;
    float col[E], row[E], full[E * E], other[E * E];
    world a;
    world_make(&a);
    for (i = 0; i < E * E; i++) full[i] = edge[i / E], other[i] = edge[i % E];
    memcpy(col, edge, sizeof col);
    memcpy(row, edge, sizeof row);
    for (op = 0; op < 4; op++)
        for (way = 0; way < 4; way++) {
            bnn_mat x = { E, E, NULL }, y = { E, E, NULL };
            bnn_var *z;
            x.data = full, y.data = other;
            if (way & 1) x.cols = 1, x.data = col;
            if (way & 2) y.rows = 1, y.data = row;
            bnn_tape_reset(&a.tape);
            z = ops[op](bnn_leaf(&a.tape, x), bnn_leaf(&a.tape, y));
            CHECK(z->val.rows == E && z->val.cols == E);
            for (i = 0; i < E; i++)
                for (j = 0; j < E; j++) {
                    float want = ieee((int)op, edge[i], edge[j]), got = z->val.data[i * E + j];
                    if (loud(CHECK(is_nan(want) ? is_nan(got) : got == want)))
                        printf("    op %d of %s and %s: %g\n", (int)op, edge_name[i], edge_name[j],
                               (double)got);
                }
        }
    for (p = 0; p < E; p++) { /* a NaN keeps being one whatever its payload and sign */
        float odd[4];
        bnn_mat m = { 1, 4, NULL };
        m.data = odd;
        for (i = 0; i < 4; i++) {
            if (sizeof(float) == 4) {
                static const uint32_t bits[4] = { 0x7fc12345u, 0xffc00001u, 0x7f800001u, 0xffffffffu };
                memcpy(&odd[i], &bits[i], 4);
            } else {
                static const uint32_t high[4] = { 0x7ff81234u, 0xfff80000u, 0x7ff00000u, 0xffffffffu };
                uint64_t bits = (uint64_t)high[i] << 32 | 1;
                memcpy(&odd[i], &bits, sizeof odd[i]);
            }
        }
        CHECK(!bnn_mat_finite(m));
        bnn_tape_reset(&a.tape);
        for (i = 0; i < UNARY; i++) {
            bnn_var *y = unary[i].f(bnn_input(&a.tape, m));
            for (j = 0; j < 4; j++)
                if (loud(CHECK(is_nan(y->val.data[j]))))
                    printf("    %s of NaN number %d is %g\n", unary[i].name, (int)j,
                           (double)y->val.data[j]);
        }
    }
    world_free(&a);
}

/* ---- rows, reductions, products */

static bnn_var *row_of(bnn_tape *t, size_t k, const float *x) {
    bnn_mat m;
    m.rows = 1, m.cols = k;
    m.data = (float *)bnn_arena_alloc(&t->mem, k + 1, sizeof(float));
    memcpy(m.data, x, k * sizeof(float));
    return bnn_leaf(t, m);
}

static void sums_and_softmaxes_of_edges_are_as_documented(void) {
    float v[3], *p;
    bnn_tape *t;
    world a;
    world_make(&a);
    t = &a.tape;
    v[0] = inf, v[1] = -inf, v[2] = 1;
    CHECK(is_nan(bnn_value(bnn_sum(row_of(t, 3, v)))) && is_nan(bnn_value(bnn_mean(row_of(t, 3, v)))));
    v[1] = 2;
    CHECK(bnn_value(bnn_sum(row_of(t, 3, v))) == inf && bnn_value(bnn_rowsum(row_of(t, 3, v))) == inf);
    v[0] = big, v[1] = big, v[2] = -big; /* partial sums in double */
    CHECK(bnn_value(bnn_sum(row_of(t, 2, v))) == inf);
    CHECK(bnn_value(bnn_sum(row_of(t, 3, v))) == (sizeof(float) == 4 ? big : inf));
    CHECK(bnn_value(bnn_mean(row_of(t, 2, v))) == (sizeof(float) == 4 ? big : inf));
    v[0] = v[1] = v[2] = tiny;
    CHECK(is(bnn_value(bnn_sum(row_of(t, 3, v))), 3 * tiny));
    v[0] = 0, v[1] = inf, v[2] = 1; /* one infinite logit: undefined */
    p = bnn_softmax(row_of(t, 3, v))->val.data;
    CHECK(is_nan(p[1]));
    v[1] = -inf; /* minus infinity is a class that cannot be */
    p = bnn_softmax(row_of(t, 3, v))->val.data;
    CHECK(p[1] == 0 && is(p[0] + p[2], 1));
    p = bnn_log_softmax(row_of(t, 3, v))->val.data;
    CHECK(p[1] == -inf && bnn__finite(p[0]) && bnn__finite(p[2]));
    CHECK(bnn__finite(bnn_value(bnn_logsumexp(row_of(t, 3, v)))));
    v[0] = v[2] = -inf; /* no class can be */
    CHECK(bnn_value(bnn_logsumexp(row_of(t, 3, v))) == -inf);
    CHECK(bnn_softmax(row_of(t, 3, v))->val.data == NULL && t->err == BNN_EARG);
    bnn_tape_clear_error(t);
    CHECK(bnn_log_softmax(row_of(t, 3, v))->val.data == NULL && t->err == BNN_EARG);
    bnn_tape_clear_error(t);
    v[0] = big, v[1] = big, v[2] = -big; /* differences overflow to the right side */
    p = bnn_softmax(row_of(t, 3, v))->val.data;
    CHECK(is(p[0], (float)0.5) && is(p[1], (float)0.5) && p[2] == 0);
    v[1] = nan_;
    p = bnn_softmax(row_of(t, 3, v))->val.data;
    CHECK(is_nan(p[0]) && is_nan(p[1]) && is_nan(p[2]));
    CHECK(t->err == BNN_OK);
    world_free(&a);
}

static void a_product_carries_nan_and_infinity_to_its_row_and_column_only(void) {
    size_t at, n;
    for (n = 1; n < 40; n += 13)
        for (at = 0; at < n; at += 5) {
            float x[40 * 7], w[7 * 40];
            size_t i, j;
            bnn_mat mx = { 0, 7, NULL }, mw = { 7, 0, NULL };
            bnn_var *y;
            world a;
            world_make(&a);
            for (i = 0; i < n * 7; i++) x[i] = 1, w[i] = 2;
            x[at * 7 + 3] = nan_;
            mx.rows = mw.cols = n, mx.data = x, mw.data = w;
            y = bnn_matmul(bnn_input(&a.tape, mx), bnn_input(&a.tape, mw));
            for (i = 0; i < n; i++)
                for (j = 0; j < n; j++)
                    CHECK(i == at ? is_nan(y->val.data[i * n + j]) : y->val.data[i * n + j] == 14);
            x[at * 7 + 3] = inf;
            w[3 * n + at] = 0; /* infinity times zero */
            y = bnn_matmul(bnn_input(&a.tape, mx), bnn_input(&a.tape, mw));
            for (i = 0; i < n; i++)
                for (j = 0; j < n; j++) {
                    float v = y->val.data[i * n + j];
                    CHECK(i != at ? v == (j == at ? 12 : 14) : j == at ? is_nan(v) : v == inf);
                }
            x[at * 7 + 3] = tiny; /* denormals are not lost */
            for (j = 0; j < 7; j++) x[at * 7 + j] = tiny;
            w[3 * n + at] = 2;
            y = bnn_matmul(bnn_input(&a.tape, mx), bnn_input(&a.tape, mw));
            for (j = 0; j < n; j++) CHECK(y->val.data[at * n + j] == 14 * tiny);
            world_free(&a);
        }
}

/* ---- every operation, every edge: training never leaves the finite */

static bnn_var *ones(bnn_tape *t) { float v[3] = { 1, 1, 1 }; return row_of(t, 3, v); }
static bnn_var *half(bnn_tape *t) {
    float v[3] = { (float)0.5, (float)0.5, (float)0.5 };
    return row_of(t, 3, v);
}
static bnn_var *op_add(bnn_var *x) { return bnn_add(x, x); }
static bnn_var *op_sub(bnn_var *x) { return bnn_sub(ones(x->tape), x); }
static bnn_var *op_mul(bnn_var *x) { return bnn_mul(x, x); }
static bnn_var *op_div(bnn_var *x) { return bnn_div(ones(x->tape), x); }
static bnn_var *op_div_by(bnn_var *x) { return bnn_div(x, ones(x->tape)); }
static bnn_var *op_matmul(bnn_var *x) { return bnn_matmul(x, bnn_transpose(x)); }
static bnn_var *op_affine(bnn_var *x) { return bnn_affine(bnn_transpose(x), x, x); }
static bnn_var *op_cols(bnn_var *x) { return bnn_cols(x, 1, 2); }
static bnn_var *op_rows(bnn_var *x) { return bnn_rows(x, 0, 1); }
static bnn_var *op_gather(bnn_var *x) { size_t r[2] = { 0, 0 }; return bnn_gather(x, 2, r); }
static bnn_var *op_concat(bnn_var *x) {
    bnn_var *two[2];
    two[0] = two[1] = x;
    return bnn_concat(x->tape, 2, two);
}
static bnn_var *op_reshape(bnn_var *x) { return bnn_reshape(x, 3, 1); }
static bnn_var *op_mix(bnn_var *x) { bnn_var *c[3]; c[0] = c[1] = c[2] = x; return bnn_mix(x, c, 3); }
static bnn_var *op_dropout(bnn_var *x) { return bnn_dropout(x, (float)0.5); }
static bnn_var *op_normal(bnn_var *x) { return bnn_normal(x, x); }
static bnn_var *op_through(bnn_var *x) { return bnn_straight_through(bnn_square(x), x); }
static bnn_var *op_detach(bnn_var *x) { return bnn_mul(bnn_detach(x), x); }
static bnn_var *op_gaussian(bnn_var *x) { return bnn_gaussian_nll(x, ones(x->tape), x); }
static bnn_var *op_laplace(bnn_var *x) { return bnn_double_exponential_nll(x, ones(x->tape), 1); }
static bnn_var *op_student(bnn_var *x) { return bnn_student_nll(x, ones(x->tape), 4, 1); }
static bnn_var *op_bernoulli(bnn_var *x) { return bnn_bernoulli_nll(x, half(x->tape)); }
static bnn_var *op_categorical(bnn_var *x) { return bnn_categorical_nll(x, bnn_scalar(x->tape, 1)); }
static bnn_var *op_cross(bnn_var *x) { return bnn_cross_entropy(x, half(x->tape), 2); }
static bnn_var *op_poisson(bnn_var *x) { return bnn_poisson_nll(x, ones(x->tape)); }
static bnn_var *op_kl_normal(bnn_var *x) { return bnn_kl_standard_normal(x, bnn_abs(x)); }
static bnn_var *op_kl_to(bnn_var *x) { return bnn_kl_normal(x, ones(x->tape), 1, 2); }
static bnn_var *op_kl_cat(bnn_var *x) { return bnn_kl_categorical(x, NULL); }
static bnn_var *op_kl_bern(bnn_var *x) { return bnn_kl_bernoulli(x, (float)0.5); }
static bnn_var *op_kl_dir(bnn_var *x) { return bnn_kl_dirichlet(bnn_abs(x), NULL); }
static const struct {
    const char *name;
    op1 f;
} others[] = {
    { "add", op_add }, { "sub", op_sub }, { "mul", op_mul }, { "div", op_div }, { "div_by", op_div_by },
    { "matmul", op_matmul }, { "affine", op_affine }, { "sum", bnn_sum }, { "mean", bnn_mean },
    { "rowsum", bnn_rowsum }, { "colsum", bnn_colsum }, { "cols", op_cols }, { "rows", op_rows },
    { "gather", op_gather }, { "concat", op_concat }, { "transpose", bnn_transpose },
    { "reshape", op_reshape }, { "softmax", bnn_softmax }, { "log_softmax", bnn_log_softmax },
    { "logsumexp", bnn_logsumexp }, { "mix", op_mix }, { "dropout", op_dropout },
    { "normal", op_normal }, { "straight_through", op_through }, { "detach", op_detach },
    { "gaussian_nll", op_gaussian }, { "laplace_nll", op_laplace }, { "student_nll", op_student },
    { "bernoulli_nll", op_bernoulli }, { "categorical_nll", op_categorical },
    { "cross_entropy", op_cross }, { "poisson_nll", op_poisson }, { "kl_normal", op_kl_normal },
    { "kl_normal_to", op_kl_to }, { "kl_categorical", op_kl_cat }, { "kl_bernoulli", op_kl_bern },
    { "kl_dirichlet", op_kl_dir },
};
enum { OTHERS = sizeof others / sizeof *others };

/* One step of SGD on sum(f(w)), w = (x, y, 1): it ends finite, or in an error with w untouched. */
static void step_from(const char *name, op1 f, float x, float y) {
    bnn_prior flat;
    bnn_sgd_desc d;
    bnn_params *w;
    bnn_stepper s;
    float before[3];
    world a;
    world_make(&a);
    memset(&flat, 0, sizeof flat);
    memset(&d, 0, sizeof d);
    flat.kind = BNN_PRIOR_FLAT;
    w = bnn_params_new(&a.mem);
    bnn_params_add(w, 1, 3, "w", flat);
    w->theta[0] = x, w->theta[1] = y, w->theta[2] = 1;
    memcpy(before, w->theta, sizeof before);
    s = bnn_sgd(w, d);
    a.tape.n_data = 1;
    bnn_backward(bnn_sum(f(bnn_param(&a.tape, w, 0))));
    bnn_step(&s, &a.tape);
    if (a.tape.err == BNN_OK) {
        size_t i;
        for (i = 0; i < 3; i++) /* what was finite is finite, and nothing is NaN that was not */
            if (bnn__finite(before[i]) && loud(CHECK(bnn__finite(w->theta[i]))))
                printf("    %s from %g, %g: entry %d is %g\n", name, (double)x, (double)y, (int)i,
                       (double)w->theta[i]);
    } else {
        CHECK(a.tape.msg[0] != '\0' && (a.tape.err == BNN_ENONFINITE || a.tape.err == BNN_EARG));
        CHECK(memcmp(before, w->theta, sizeof before) == 0);
    }
    world_free(&a);
}

static void a_step_from_any_edge_ends_finite_or_in_an_error_that_moves_nothing(void) {
    size_t i, j, k;
    for (i = 0; i < UNARY + OTHERS; i++)
        for (j = 0; j < E; j++)
            for (k = 0; k < E; k++)
                step_from(i < UNARY ? unary[i].name : others[i - UNARY].name,
                          i < UNARY ? unary[i].f : others[i - UNARY].f, edge[j], edge[k]);
}

/* ---- targets outside their domain */

static void losses_refuse_targets_and_settings_outside_their_domain(void) {
    static const double bad_label[] = { -1, 3, 0.5, 1e30, -1e-30, 4294967296.0, INF, -INF, NAN_ };
    static const double bad_scale[] = { 0, -0.0, -1, -INF, NAN_ };
    size_t i, k;
    for (k = 0; k < 9; k++)
        for (i = 0; i < sizeof bad_label / sizeof *bad_label; i++) {
            float b = meant(bad_label[i]);
            float s = meant(bad_scale[i % (sizeof bad_scale / sizeof *bad_scale)]);
            world a;
            bnn_tape *t = &a.tape;
            bnn_var *y = NULL;
            int want = BNN_EARG;
            world_make(&a);
            switch (k) {
            case 0: y = bnn_categorical_nll(ones(t), bnn_scalar(t, b)); break;
            case 1:
                y = bnn_bernoulli_nll(bnn_scalar(t, 1), bnn_scalar(t, b));
                want = b >= 0 && b <= 1 ? BNN_OK : BNN_EARG;
                break;
            case 2:
                y = bnn_poisson_nll(bnn_scalar(t, 1), bnn_scalar(t, b));
                want = b >= 0 && b < inf ? BNN_OK : BNN_EARG;
                break;
            case 3: y = bnn_double_exponential_nll(ones(t), ones(t), s); break;
            case 4: y = bnn_student_nll(ones(t), ones(t), s, 1); break;
            case 5: y = bnn_student_nll(ones(t), ones(t), 1, s); break;
            case 6: y = bnn_cross_entropy(ones(t), ones(t), s); break;
            case 7: y = bnn_kl_standard_normal(ones(t), bnn_scalar(t, s)); break;
            default: y = bnn_kl_normal(ones(t), ones(t), 0, s); break;
            }
            if (loud(CHECK(t->err == want))) printf("    case %d, %g or %g\n", (int)k, (double)b, (double)s);
            CHECK(y != NULL && (want == BNN_OK || (t->msg[0] != '\0' && y->val.data == NULL)));
            world_free(&a);
        }
}

/* ---- nothing */

static void every_operation_takes_matrices_without_rows_or_columns(void) {
    static const size_t shapes[3][2] = { { 0, 0 }, { 0, 3 }, { 3, 0 } };
    size_t i, s;
    for (s = 0; s < 3; s++)
        for (i = 0; i < UNARY + OTHERS; i++) {
            bnn_mat m;
            bnn_var *x, *y;
            world a;
            m.rows = shapes[s][0], m.cols = shapes[s][1], m.data = NULL;
            world_make(&a);
            x = bnn_leaf(&a.tape, m);
            y = i < UNARY ? unary[i].f(x) : others[i - UNARY].f(x);
            if (i < UNARY)
                CHECK(a.tape.err == BNN_OK && y->val.rows == m.rows && y->val.cols == m.cols);
            CHECK(y != NULL && (a.tape.err == BNN_OK || a.tape.err == BNN_ESHAPE ||
                                a.tape.err == BNN_EARG));
            CHECK((a.tape.err == BNN_OK) == (y->val.data != NULL));
            bnn_backward(bnn_sum(y));
            world_free(&a);
        }
}

static void sums_over_nothing_are_zero_and_its_logsumexp_minus_infinity(void) {
    bnn_mat none = { 0, 0, NULL }, rows = { 2, 0, NULL };
    bnn_var *y;
    world a;
    world_make(&a);
    CHECK(bnn_value(bnn_sum(bnn_input(&a.tape, none))) == 0);
    CHECK(bnn_value(bnn_mean(bnn_input(&a.tape, none))) == 0);
    y = bnn_rowsum(bnn_input(&a.tape, rows));
    CHECK(y->val.rows == 2 && y->val.data[0] == 0 && y->val.data[1] == 0);
    y = bnn_logsumexp(bnn_input(&a.tape, rows));
    CHECK(y->val.rows == 2 && y->val.data[0] == -inf);
    y = bnn_matmul(bnn_input(&a.tape, rows), bnn_transpose(bnn_input(&a.tape, rows)));
    CHECK(y->val.rows == 2 && y->val.cols == 2 && y->val.data[3] == 0);
    CHECK(a.tape.err == BNN_OK);
    world_free(&a);
}

static void nothing_can_be_predicted_measured_and_parsed(void) {
    bnn_mlp_desc d;
    bnn_net net;
    bnn_mat none = { 0, 2, NULL }, empty = { 0, 0, NULL }, m;
    bnn_rng rng;
    bnn_predictive p;
    bnn_ensemble post;
    bnn_data data;
    bnn_csv csv;
    bnn_csv_desc csv_desc;
    world a;
    world_make(&a);
    memset(&d, 0, sizeof d);
    memset(&csv_desc, 0, sizeof csv_desc);
    d.sizes[0] = 2, d.sizes[1] = 3, d.sizes[2] = 1;
    d.noise_std = 1;
    net = bnn_mlp(bnn_params_new(&a.mem), d);
    p = bnn_predict(&a.mem, &a.tape, &net, NULL, none);
    CHECK(a.tape.err == BNN_OK && p.mean.rows == 0 && p.mean.cols == 1);
    data.x = none, data.y = none, data.y.cols = 1; /* shapes as they are declared, without error */
    rng = a.tape.rng;
    m = bnn_predict_draws(&a.mem, &a.tape, &net, NULL, none, 5);
    CHECK(m.data != NULL && m.rows == 5 && m.cols == 0);
    CHECK(bnn_rng_u32(&rng) == bnn_rng_u32(&a.tape.rng)); /* none was taken */
    m = bnn_predict_log_lik_samples(&a.mem, &a.tape, &net, NULL, data);
    CHECK(m.data != NULL && m.rows == 1 && m.cols == 0);
    m = bnn_predict_chains(&a.mem, &a.tape, &net, NULL, none, 1);
    CHECK(m.data != NULL && m.rows == 0 && m.cols == 1 && a.tape.err == BNN_OK);
    post = bnn_ensemble_new(net.params, 0);
    CHECK(post.count == 0 && bnn_ensemble_push(&post) != BNN_OK);
    CHECK(a.tape.err == BNN_OK);
    (void)bnn_minibatch(&a.tape, data, 4); /* no row to draw */
    CHECK(a.tape.err != BNN_OK && a.tape.msg[0] != '\0');
    bnn_tape_clear_error(&a.tape);
    CHECK(is_nan((float)bnn_metric_rmse(empty, empty)) && is_nan((float)bnn_metric_error(empty, empty)));
    CHECK(bnn_mat_sum(empty) == 0 && bnn_mat_finite(empty) == 1);
    bnn_mat_fill(empty, 1);
    bnn_mat_eye(empty);
    a.mem.err = BNN_OK;
    CHECK(bnn_csv_parse(&a.mem, &csv, "", 0, csv_desc) != BNN_OK && a.mem.msg[0] != '\0');
    CHECK(bnn_idx_parse(&a.mem, &none, "", 0) != BNN_OK);
    world_free(&a);
}

/* ---- sizes that no machine has */

static const size_t huge[] = { (size_t)INT_MAX - 1, (size_t)INT_MAX, (size_t)INT_MAX + 1, UINT_MAX,
                               SIZE_MAX / 8, SIZE_MAX / 4 + 1, SIZE_MAX / 2, SIZE_MAX / 2 + 1,
                               SIZE_MAX - 1, SIZE_MAX };

static void constructors_refuse_sizes_near_int_max_and_beyond(void) {
    size_t i, j;
    for (i = 0; i < sizeof huge / sizeof *huge; i++)
        for (j = 0; j < 8; j++) {
            bnn_mlp_desc d;
            bnn_prior flat;
            bnn_params *w;
            world a;
            world_make(&a);
            memset(&d, 0, sizeof d);
            memset(&flat, 0, sizeof flat);
            flat.kind = BNN_PRIOR_FLAT;
            w = bnn_params_new(&a.mem);
            bnn_params_add(w, 2, 2, "w", flat);
            CHECK(a.mem.err == BNN_OK);
            switch (j) {
            case 0: CHECK(bnn_mat_new(&a.mem, huge[i], 3).data == NULL); break;
            case 1: CHECK(bnn_mat_new(&a.mem, huge[i], huge[i]).data == NULL); break;
            case 2: CHECK(bnn_arena_alloc(&a.mem, huge[i], huge[i]) == NULL); break;
            case 3: CHECK(bnn_params_add(w, huge[i], 2, "x", flat) == (size_t)-1); break;
            case 4: CHECK(bnn_params_add(w, huge[i], huge[i], "x", flat) == (size_t)-1); break;
            case 5:
                d.sizes[0] = huge[i], d.sizes[1] = 5, d.sizes[2] = huge[i];
                d.noise_std = 1;
                (void)bnn_mlp(w, d);
                break;
            case 6:
                d.sizes[0] = 1, d.sizes[1] = huge[i], d.sizes[2] = 1;
                (void)bnn_mlp(w, d);
                break;
            default: CHECK(bnn_ensemble_new(w, huge[i]).samples.data == NULL); break;
            }
            if (loud(CHECK(a.mem.err != BNN_OK && a.mem.msg[0] != '\0'))) printf("    case %d\n", (int)j);
            world_free(&a);
        }
}

static void operations_refuse_sizes_near_int_max_and_beyond(void) {
    size_t i, j;
    float v[4] = { 1, 2, 3, 4 };
    for (i = 0; i < sizeof huge / sizeof *huge; i++)
        for (j = 0; j < 14; j++) {
            bnn_mat m, lie;
            bnn_var *x, *y;
            bnn_data data;
            size_t row = huge[i];
            world a;
            bnn_tape *t = &a.tape;
            world_make(&a);
            m.rows = m.cols = 2, m.data = v;
            lie.rows = huge[i], lie.cols = 2, lie.data = NULL;
            data.x = data.y = m;
            x = bnn_leaf(t, m);
            switch (j) {
            case 0: y = bnn_op(t, huge[i], huge[i], NULL, 0, NULL); break;
            case 1: y = bnn_cols(x, huge[i], 1); break;
            case 2: y = bnn_cols(x, 1, huge[i]); break;
            case 3: y = bnn_rows(x, huge[i], 1); break;
            case 4: y = bnn_rows(x, 1, huge[i]); break;
            case 5: y = bnn_gather(x, 1, &row); break;
            case 6: y = bnn_reshape(x, huge[i], 2); break;
            case 7: y = bnn_reshape(x, huge[i], huge[i]); break;
            case 8: y = bnn_input(t, lie); break;
            case 9: y = bnn_colsum(bnn_leaf(t, lie)); break;
            case 10: y = bnn_batch_rows(t, data, 1, &row).x; break;
            case 11: y = bnn_op(t, huge[i], 3, NULL, 0, NULL); break;
            case 12: y = bnn_input(t, (lie.cols = huge[i], lie)); break;
            default: y = bnn_transpose(bnn_op(t, huge[i], 2, NULL, 0, NULL)); break;
            }
            if (loud(CHECK(t->err != BNN_OK && t->msg[0] != '\0' && y->val.data == NULL)))
                printf("    case %d, size %lx\n", (int)j, (unsigned long)huge[i]);
            world_free(&a);
        }
}

/* They have no numbers, but loops go over their rows */
static void matrices_of_nothing_have_fewer_than_2_to_31_rows(void) {
    bnn_mat none = { SIZE_MAX, 0, NULL };
    bnn_data d = { none, none };
    bnn_prior flat;
    world a;
    bnn_tape *t = &a.tape;
    world_make(&a);
    memset(&flat, 0, sizeof flat);
    flat.kind = BNN_PRIOR_FLAT;
    CHECK(bnn_mat_new(&a.mem, 0x7fffffff, 0).rows == 0x7fffffff && a.mem.err == BNN_OK);
    CHECK(bnn_mat_new(&a.mem, SIZE_MAX, 0).rows == 0 && a.mem.err == BNN_ENOMEM);
    a.mem.err = BNN_OK;
    CHECK(bnn_mat_new(&a.mem, 0, SIZE_MAX).cols == 0 && a.mem.err == BNN_ENOMEM);
    a.mem.err = BNN_OK;
    CHECK(bnn_params_add(bnn_params_new(&a.mem), SIZE_MAX, 0, "w", flat) == (size_t)-1);
    (void)bnn_input(t, none);
    CHECK(t->err == BNN_ESHAPE);
    bnn_tape_clear_error(t);
    none.rows = 0, none.cols = 1;
    (void)bnn_reshape(bnn_input(t, none), SIZE_MAX, 0);
    CHECK(t->err != BNN_OK);
    bnn_tape_clear_error(t);
    (void)bnn_op(t, (size_t)1 << 31, 0, NULL, 0, NULL);
    CHECK(t->err == BNN_ENOMEM);
    bnn_tape_clear_error(t);
    (void)bnn_minibatch(t, d, SIZE_MAX);
    CHECK(t->err == BNN_ESHAPE);
    world_free(&a);
}

static void no_columns_can_be_standardized(void) {
    float four[4] = { 1, 2, 3, 4 };
    for (int i = 0; i < 3; i++) {
        world a;
        bnn_net net = { .noise_std = 1 };
        bnn_data d = { { 4, (size_t)(i != 1), four }, { 4, (size_t)(i == 1), four } };
        world_make(&a);
        if (i < 2) net.params = bnn_params_new(&a.mem);
        else net = bnn_layers(bnn_params_new(&a.mem), (bnn_layers_desc){ .input = { 2, 2, 1 },
                .layers = { { BNN_CONV, 1, .kernel = 2 } }, .noise_std = 1 });
        if (i == 2) d.x.cols = 0;
        CHECK(bnn_net_standardize(&net, d) == (i < 2 ? BNN_OK : BNN_ESHAPE));
        if (i == 0) CHECK(net.scaling.x_mean.cols == 1 && net.scaling.y_std.cols == 0);
        world_free(&a);
    }
}

static void views_outside_a_matrix_are_empty_or_null(void) {
    float v[6] = { 1, 2, 3, 4, 5, 6 };
    bnn_mat m = { 3, 2, NULL };
    bnn_data d;
    size_t i;
    m.data = v;
    d.x = d.y = m;
    for (i = 0; i < sizeof huge / sizeof *huge; i++) {
        CHECK(bnn_mat_at(m, huge[i], 0) == NULL && bnn_mat_at(m, 0, huge[i]) == NULL);
        CHECK(bnn_mat_at(m, huge[i], huge[i]) == NULL);
        CHECK(bnn_mat_rows(m, huge[i], 1).rows == 0 && bnn_data_rows(d, huge[i], 2).x.rows == 0);
        CHECK(bnn_mat_rows(m, 1, huge[i]).rows <= 2 && bnn_mat_rows(m, huge[i], huge[i]).rows == 0);
    }
}

static void every_error_has_a_sentence_of_its_own(void) {
    int i, j;
    for (i = BNN_OK; i <= BNN_ECANCEL; i++) {
        CHECK(bnn_strerror(i)[0] != '\0');
        for (j = BNN_OK; j < i; j++) CHECK(strcmp(bnn_strerror(i), bnn_strerror(j)) != 0);
    }
    CHECK(strcmp(bnn_strerror(-1), bnn_strerror(INT_MAX)) == 0);
}

static void an_arena_counts_what_is_used_over_its_chunks(void) {
    size_t i;
    world a;
    world_make(&a);
    CHECK(bnn_arena_used(&a.mem) == 0);
    for (i = 1; i < 40; i++) { /* many chunks: a block is at least what was asked for */
        CHECK(bnn_arena_alloc(&a.mem, 10000, 1) != NULL);
        CHECK(bnn_arena_used(&a.mem) >= 10000 * i && bnn_arena_used(&a.mem) <= bnn_arena_size(&a.mem));
    }
    world_free(&a);
}

static void a_block_that_is_not_there_is_an_error(void) {
    bnn_params *w;
    world a;
    world_make(&a);
    w = bnn_params_new(&a.mem);
    CHECK(bnn_param(&a.tape, w, 0)->val.data == NULL && a.tape.err == BNN_EARG);
    CHECK(strcmp(a.tape.msg, "bnn_param: block 0 of 0") == 0);
    world_free(&a);
}

/* ---- nets that were made by hand or changed, and matrices that have a size and no data */

static bnn_var *first_block(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    return bnn_matmul(x, bnn_param(t, net->params, 0));
}

static int said(const char *msg, const char *want) {
    int same = strcmp(msg, want) == 0;
    if (!same) printf("    \"%s\", not \"%s\"\n", msg, want);
    return same;
}

static void noise_that_is_learned_has_a_block(void) {
    float x[] = { 1, 2, 3, 4 }, h[4];
    bnn_mat m = { 4, 1, NULL }, ggn = { 2, 2, NULL };
    bnn_data d;
    bnn_params *w, *to;
    bnn_net net;
    world a;
    world_make(&a);
    m.data = x, ggn.data = h, d.x = d.y = m;
    w = bnn_params_new(&a.mem), to = bnn_params_new(&a.mem);
    net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_std = 1 });
    net.noise_learned = 1, net.noise = 9;
    bnn_net_nll(&net, bnn_batch_all(&a.tape, d));
    CHECK(a.tape.err == BNN_EARG);
    CHECK(said(a.tape.msg, "bnn_net: noise_learned, but there is no block 9"));
    a.tape.err = 0;
    CHECK(bnn_laplace_new(&a.mem, &a.tape, &net, d, BNN_LAPLACE_FULL).n == 0);
    CHECK(a.tape.err == BNN_EARG);
    a.tape.err = 0;
    net.likelihood = BNN_BERNOULLI; /* which has no noise */
    bnn_ggn(ggn, &a.tape, &net, m);
    CHECK(a.tape.err == BNN_OK && h[0] > 0);
    CHECK(bnn_mlp_shrink(to, &net, NULL).params == NULL && a.mem.err == BNN_EARG);
    world_free(&a);
}

static void means_and_variances_are_an_even_number(void) {
    float x[] = { 1, 2 }, h[1];
    bnn_mat m = { 2, 1, NULL }, ggn = { 1, 1, NULL };
    bnn_net net = { 0 };
    world a;
    world_make(&a);
    m.data = x, ggn.data = h;
    net.params = bnn_params_new(&a.mem), net.forward = first_block;
    net.likelihood = BNN_GAUSSIAN_HETERO;
    bnn_params_add(net.params, 1, 1, "w", (bnn_prior){ 0 });
    bnn_ggn(ggn, &a.tape, &net, m);
    CHECK(a.tape.err == BNN_ESHAPE);
    CHECK(said(a.tape.msg, "bnn_ggn: 1 outputs are no means and ln variances"));
    a.tape.err = 0;
    CHECK(bnn_predict(&a.mem, &a.tape, &net, NULL, m).mean.data == NULL);
    CHECK(a.tape.err == BNN_ESHAPE);
    world_free(&a);
}

static void a_student_has_a_likelihood_and_a_teacher_a_default_nu(void) {
    float x[] = { 1, 2 };
    bnn_mat m = { 2, 1, NULL };
    bnn_net teacher = { 0 }, student;
    bnn_var *loss;
    world a;
    world_make(&a);
    m.data = x;
    teacher.params = bnn_params_new(&a.mem), teacher.forward = first_block, teacher.noise_std = 1;
    bnn_params_add(teacher.params, 1, 1, "w", (bnn_prior){ 0 });
    student = teacher;
    teacher.likelihood = BNN_STUDENT; /* nu 0: 4 */
    loss = bnn_distill_loss(&student, bnn_input(&a.tape, m), &teacher, NULL);
    CHECK(a.tape.err == BNN_OK); /* sd 1 learns a variance of 2: (ln 2 pi + 2)/2 */
    CHECK(is(loss->val.data[0], (float)1.91893853320467274));
    student.likelihood = -1;
    bnn_distill_loss(&student, bnn_input(&a.tape, m), &teacher, NULL);
    CHECK(a.tape.err == BNN_EARG);
    CHECK(said(a.tape.msg, "bnn_net: likelihood -1, it must be from 1 to 7"));
    world_free(&a);
}

static void data_that_is_not_there_is_an_error_wherever_it_is_first_read(void) {
    size_t folds[] = { 0, 1, 0, 1 };
    float x[] = { 1, 2, 3, 4 };
    bnn_mat none = { 4, 1, NULL }, m = none, nothing = { 4, 0, NULL };
    bnn_data without, half, empty;
    bnn_bytes five = { NULL, 5 };
    bnn_checkpoint cp = { 0 };
    bnn_params *w;
    bnn_net net;
    void *bytes;
    size_t size;
    world a;
    world_make(&a);
    m.data = x, without.x = without.y = none, half.x = m, half.y = none;
    empty.x = empty.y = nothing;
    CHECK(bnn_data_fold(&a.mem, without, folds, 0, 0).x.rows == 0 && a.mem.err == BNN_EARG);
    CHECK(said(a.mem.msg, "bnn_data_fold: x is a 4x1 matrix without data"));
    a.mem.err = 0;
    CHECK(bnn_data_fold(&a.mem, empty, folds, 0, 0).x.rows == 2 && a.mem.err == BNN_OK);
    CHECK(bnn_data_folds(&a.mem, half, 2, 1, &a.tape.rng) == NULL && a.mem.err == BNN_EARG);
    a.mem.err = 0;
    cp.bytes[0] = &five;
    CHECK(bnn_checkpoint_write(&a.mem, &cp, &bytes, &size) == BNN_EARG);
    CHECK(said(a.mem.msg, "checkpoint: bytes 0: 5 of them at NULL"));
    a.mem.err = 0;
    w = bnn_params_new(&a.mem);
    net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_std = 1 });
    bnn_hmc(w, (bnn_hmc_desc){ .net = &net, .data = half });
    CHECK(a.mem.err == BNN_EARG && said(a.mem.msg, "bnn_hmc: y is a 4x1 matrix without data"));
    a.mem.err = 0;
    CHECK(bnn_fit(&a.mem, &net, half, (bnn_fit_desc){ .unscaled = 1 }).err == BNN_EARG);
    CHECK(said(a.mem.msg, "bnn_fit: y is a 4x1 matrix without data"));
    CHECK(bnn_emit_c(NULL, &a.tape, &net, NULL, (bnn_emit_desc){ 0 }).text == NULL);
    CHECK(a.tape.err == BNN_EARG && said(a.tape.msg, "bnn_emit_c: no arena"));
    world_free(&a);
}

static void a_gaussian_is_asked_only_for_what_it_has(void) {
    float x[] = { 1, 2, 3, 4 }, h[300] = { 0 };
    size_t order[40];
    bnn_data d = { { 2, 2, NULL }, { 2, 2, NULL } };
    bnn_params *w;
    bnn_laplace la;
    bnn_net net;
    world a;
    world_make(&a);
    d.x.data = d.y.data = x;
    w = bnn_params_new(&a.mem);
    net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 2, 40, 2 }, .noise_std = 1 });
    la = bnn_laplace_new(&a.mem, &a.tape, &net, d, BNN_LAPLACE_FULL);
    CHECK(a.tape.err == BNN_OK && la.n == 202); /* its covariance is not formed; damage needs none */
    CHECK(bnn_drop_order(&a.mem, order, &net, &la.g, 1, BNN_ORDER_OBD, h, NULL) == BNN_OK);
    CHECK(order[0] == 0 && order[39] == 39);
    bnn_params_add(w, 300, 100, "more", (bnn_prior){ 0 });
    CHECK(bnn_gaussian_laplace(&a.mem, &la, BNN_COV_DIAGONAL).n == 0 && a.mem.err == BNN_EARG);
    CHECK(said(a.mem.msg,
               "bnn_gaussian_laplace: kind 0 (0 to 2), and its net has other parameters now"));
    world_free(&a);
}

static void what_has_no_weights_is_sampled_and_kept_as_nothing(void) {
    float x[] = { 1, 2, 3, 4 }, y[] = { 1 }, theta[300];
    bnn_data d = { { 1, 4, NULL }, { 1, 1, NULL } };
    bnn_params *w, none = { 0 };
    bnn_ensemble post;
    bnn_laplace la;
    bnn_net net;
    size_t i;
    world a;
    world_make(&a);
    d.x.data = x, d.y.data = y;
    post = bnn_ensemble_new(bnn_params_new(&a.mem), 2);
    CHECK(bnn_ensemble_push_from(&post, &none, 1) == BNN_OK && post.count == 1);
    w = bnn_params_new(&a.mem);
    net = bnn_layers(w, (bnn_layers_desc){ .input = { 2, 2, 1 }, .noise_std = 1,
                                           .layers = { { .kind = BNN_MAX_POOL } } });
    bnn_params_add(w, 1, 300, "other", (bnn_prior){ 0 });
    for (i = 0; i < 300; i++) w->theta[i] = (float)i;
    la = bnn_laplace_new(&a.mem, &a.tape, &net, d, BNN_LAPLACE_KRON);
    CHECK(a.tape.err == BNN_OK && la.g.n_pieces == 0);
    CHECK(bnn_gaussian_sample(&la.g, &a.tape.rng, theta) == BNN_OK); /* the mean: all is known */
    CHECK(memcmp(theta, w->theta, sizeof theta) == 0);
    world_free(&a);
}

static void samples_of_other_parameters_have_no_probabilities_of_edges(void) {
    static const bnn_candidate c[] = { { "a", bnn_tanh, 0 }, { "b", bnn_relu, 0 } };
    static const bnn_edge e[] = { { 0, 1, c, 2 }, { 1, 2, c, 2 } };
    float p[2];
    bnn_params *w, *own, *other;
    bnn_ensemble post;
    bnn_net net;
    world a;
    world_make(&a);
    w = bnn_params_new(&a.mem), own = bnn_params_new(&a.mem), other = bnn_params_new(&a.mem);
    net = bnn_graph(w, own, (bnn_graph_desc){ .inputs = 1, .edges = e, .n_edges = 2,
                                              .noise_std = 1 });
    CHECK(a.mem.err == BNN_OK);
    bnn_params_add(other, 1, own->n, "one", (bnn_prior){ 0 }); /* as many numbers in one block */
    post = bnn_ensemble_new(other, 1);
    CHECK(bnn_ensemble_push(&post) == BNN_OK);
    CHECK(bnn_graph_probs(&net, &post, 0, p) == BNN_ESHAPE);
    CHECK(bnn_graph_probs(&net, &post, 1, p) == BNN_ESHAPE);
    world_free(&a);
}

int main(void) {
    edges_make();
    RUN(every_error_has_a_sentence_of_its_own);
    RUN(an_arena_counts_what_is_used_over_its_chunks);
    RUN(a_block_that_is_not_there_is_an_error);
    RUN(every_function_of_one_input_has_its_table_of_edges);
    RUN(sines_far_out_are_bounded_and_of_infinity_nan);
    RUN(arithmetic_is_that_of_ieee_754_however_broadcast);
    RUN(sums_and_softmaxes_of_edges_are_as_documented);
    RUN(a_product_carries_nan_and_infinity_to_its_row_and_column_only);
    RUN(a_step_from_any_edge_ends_finite_or_in_an_error_that_moves_nothing);
    RUN(losses_refuse_targets_and_settings_outside_their_domain);
    RUN(every_operation_takes_matrices_without_rows_or_columns);
    RUN(sums_over_nothing_are_zero_and_its_logsumexp_minus_infinity);
    RUN(nothing_can_be_predicted_measured_and_parsed);
    RUN(constructors_refuse_sizes_near_int_max_and_beyond);
    RUN(operations_refuse_sizes_near_int_max_and_beyond);
    RUN(matrices_of_nothing_have_fewer_than_2_to_31_rows);
    RUN(no_columns_can_be_standardized);
    RUN(views_outside_a_matrix_are_empty_or_null);
    RUN(noise_that_is_learned_has_a_block);
    RUN(means_and_variances_are_an_even_number);
    RUN(a_student_has_a_likelihood_and_a_teacher_a_default_nu);
    RUN(data_that_is_not_there_is_an_error_wherever_it_is_first_read);
    RUN(a_gaussian_is_asked_only_for_what_it_has);
    RUN(what_has_no_weights_is_sampled_and_kept_as_nothing);
    RUN(samples_of_other_parameters_have_no_probabilities_of_edges);
    return check_done();
}
