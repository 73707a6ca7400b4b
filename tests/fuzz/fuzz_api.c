/* fuzz_api.c -- bytes as a program: each chooses a call of the library, those behind it its
 * arguments.
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize=pointer-overflow
 *         -fno-sanitize-recover=undefined -I../.. fuzz_api.c -lm     (NULL + 0 is not looked for)
 *     ./a.out -len_control=0 -max_len=600     (or cc -DFUZZ_MAIN for replay)
 *     cc -g -O1 -fsanitize=address,undefined -DFUZZ_RANDOM ... && ./a.out SEED COUNT
 *     cc -g -O1 -fsanitize=thread -DFUZZ_THREADS ... -pthread && ./a.out SEED COUNT
 * Calls of all layers with shapes that mostly fit and values that are mostly tame; allocations that
 * fail after a while; memory that holds garbage when it comes. The caller keeps what the header
 * asks of him: pointers are to living things, arrays are as long as is said, counts are small where
 * a call runs that often. Whatever comes: no crash, no leak; an error has a code and a sentence;
 * parameters stay finite; and a second run over other garbage ends with the same bits. */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#ifdef BNN__POSIX
#include <unistd.h>
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond)) abort();                                                                      \
    } while (0)
#define COUNT(a) (sizeof(a) / sizeof *(a))
enum { MANY = 2048, MATS = 16, VARS = 16, NETS = 6, KINDS = 4 };

typedef struct made { /* a net and what it eats */
    bnn_net net;
    size_t in, out; /* columns of x and of y */
} made;

typedef struct world {
    const uint8_t *at, *end;
    size_t live, total, left; /* bytes held, bytes ever; allocations until they fail */
    int failing, garbage, edges, dirty, stop;
    bnn_arena mem, out;
    bnn_tape tape, other;
    size_t resets;
    bnn_mat mats[MATS];
    bnn_var *vars[VARS];
    made nets[NETS];
    bnn_data data[NETS]; /* that a fit or a sampler borrows */
    bnn_stepper steppers[KINDS];
    bnn_ensemble posts[KINDS];
    bnn_meanfield fields[KINDS];
    bnn_gaussian gaussians[KINDS];
    bnn_laplace laplace;
    bnn_swag swag;
    bnn_ladder ladder;
    bnn_posterior fit;
    bnn_bytes saved;
    bnn_table table;
    bnn_recipe recipe;
    bnn_arrays arrays;
    size_t n_mats, n_vars, n_nets, n_steppers, n_posts, n_fields, n_gaussians;
    float one[MANY], two[MANY];
    double wide[64];
    size_t index[MANY];
    unsigned char flags[MANY];
    uint64_t digest;
    unsigned long name; /* of its file, while others run in threads of theirs */
} world;

/* ---- bytes ---- */
static size_t byte(world *a) { return a->at < a->end ? *a->at++ : 0; }
static size_t below(world *a, size_t n) { return byte(a) % n; }
static int rarely(world *a) { return byte(a) > 240; }

static size_t dim(world *a) {
    static const unsigned char dims[] = { 1, 2, 3, 4, 1, 2, 3, 5, 6, 8, 9, 2, 17, 3, 33, 0 };
    return dims[below(a, sizeof dims)];
}
static size_t wild(world *a) { /* a size that no memory holds, now and then */
    static const size_t far[] = { (size_t)-1, (size_t)-1 / 2, (size_t)-1 / 4 + 2,
                                  65536,      0x7fffffff,     0x10001 };
    return rarely(a) ? far[below(a, COUNT(far))] : dim(a);
}
static float number(world *a) {
    static const float edges[] = { 0,        -0.f,     1e-45f,          -1e-38f,     3.4e38f,
                                   -3.4e38f, 1e30f,    -1e20f,          88.8f,       -104,
                                   1e-20f,   16777216, (float)BNN_ZERO, 2147483648.f };
    size_t b = byte(a);
    if (a->edges && b > 250) return (float)(b > 253 ? INFINITY : b > 252 ? -INFINITY : NAN);
    if (a->edges && b > 230) return edges[below(a, COUNT(edges))];
    return ((float)b - 115) / 32;
}
static float share(world *a) { return a->edges && rarely(a) ? number(a) : (float)byte(a) / 256; }
static float positive(world *a) {
    return a->edges && rarely(a) ? number(a) : (float)(1 + byte(a)) / 64;
}
static float maybe(world *a) { return byte(a) & 1 ? 0 : positive(a); } /* or the default */

/* ---- memory ---- */
typedef struct head { /* before each block, which then is as aligned as malloc's */
    size_t size, magic;
} head;

static void *hook(void *user, void *old, size_t old_size, size_t size) {
    world *a = (world *)user;
    head *h = old != NULL ? (head *)old - 1 : NULL, *n = NULL;
    MUST(h == NULL || (h->size == old_size && h->magic == 0x5ca1ab1e));
    if (size > 0) {
        if (a->left == 0) a->failing = 1;
        if (a->failing || size > (size_t)1 << 22 || a->live + size > (size_t)1 << 24) return NULL;
        a->left--, a->live += size, a->total += size;
        n = (head *)malloc(sizeof *n + size);
        MUST(n != NULL);
        n->size = size, n->magic = 0x5ca1ab1e;
        memset(n + 1, a->garbage, size);
        if (h != NULL) memcpy(n + 1, h + 1, size < old_size ? size : old_size);
    }
    if (h != NULL) {
        a->live -= old_size;
        h->magic = 0;
        free(h);
    }
    return n != NULL ? n + 1 : NULL;
}

static void mix(world *a, const void *bytes, size_t n) {
    const unsigned char *b = (const unsigned char *)bytes;
    while (n-- > 0) a->digest = (a->digest ^ *b++) * 0x100000001b3u;
}
static void mix_mat(world *a, bnn_mat m) {
    size_t i, n = m.data != NULL ? m.rows * m.cols : 0;
    for (i = 0; i < n; i++) { /* the payload of a NaN is the machine's */
        float x = m.data[i] == m.data[i] ? m.data[i] : 0;
        mix(a, &x, sizeof x);
    }
}
static void mix_double(world *a, double x) {
    if (x == x) mix(a, &x, sizeof x);
}

/* ---- matrices and nodes, of a shape or of any ---- */
static void fill(world *a, bnn_mat m) {
    size_t i, n = m.data != NULL ? m.rows * m.cols : 0;
    bnn_rng r = bnn_rng_seed(byte(a));
    for (i = 0; i < n; i++) m.data[i] = i < 12 ? number(a) : bnn_rng_normal(&r);
}
static bnn_mat matrix(world *a, size_t rows, size_t cols) {
    bnn_mat m = bnn_mat_new(&a->out, rows, cols);
    fill(a, m);
    a->mats[a->n_mats++ % MATS] = m;
    return m;
}
static bnn_mat some(world *a) {
    if (byte(a) & 1) return a->mats[below(a, MATS)];
    return matrix(a, wild(a), dim(a));
}
static bnn_mat fits(world *a, size_t rows, size_t cols) {
    return rarely(a) ? some(a) : matrix(a, rows, cols);
}
static bnn_mat tame(world *a, size_t rows, size_t cols, int kind) { /* 0: > 0; k: labels below k */
    bnn_mat m = fits(a, rows, cols);
    size_t i, n = m.data != NULL ? m.rows * m.cols : 0;
    for (i = 0; i < n && !(a->edges && rarely(a)); i++) {
        double v = (double)m.data[i];
        v = v < 0 ? -v : v;
        m.data[i] =
            kind == 0 ? (float)v + 0.01f : (float)((size_t)(v < 1e6 ? v * 8 : 0) % (size_t)kind);
    }
    return m;
}
static bnn_mat simplex(world *a, size_t rows, size_t cols) {
    bnn_mat m = tame(a, rows, cols, 0);
    size_t i, j;
    for (i = 0; m.data != NULL && i < m.rows; i++) {
        double sum = 0;
        for (j = 0; j < m.cols; j++) sum += (double)m.data[i * m.cols + j];
        for (j = 0; j < m.cols; j++) m.data[i * m.cols + j] /= (float)sum;
    }
    return m;
}

static void refresh(world *a) { /* nodes live until the next reset */
    if (a->resets == a->tape.resets) return;
    a->resets = a->tape.resets;
    a->n_vars = 0;
}
static bnn_var *keep(world *a, bnn_var *v) {
    MUST(v != NULL);
    refresh(a);
    if (v->tape == &a->tape) a->vars[a->n_vars++ % VARS] = v;
    return v;
}
static bnn_tape *tape_of(world *a) { return rarely(a) ? &a->other : &a->tape; }
static bnn_var *node(world *a, bnn_mat m) {
    return byte(a) & 3 ? bnn_leaf(tape_of(a), m) : bnn_input(tape_of(a), m);
}
static bnn_var *any(world *a) {
    size_t n;
    refresh(a);
    n = a->n_vars < VARS ? a->n_vars : VARS;
    if (n > 0 && byte(a) % 4 != 0) return a->vars[below(a, n)];
    return keep(a, node(a, some(a)));
}
static bnn_var *of(world *a, size_t rows, size_t cols) {
    return keep(a, node(a, fits(a, rows, cols)));
}
static bnn_var *above(world *a, size_t rows, size_t cols) {
    return keep(a, node(a, tame(a, rows, cols, 0)));
}
static bnn_var *partner(world *a, const bnn_var *x) { /* of a shape that may be broadcast */
    size_t r = x->val.rows, c = x->val.cols, how = byte(a);
    if (rarely(a)) return any(a);
    return how & 64 ? above(a, how & 1 ? 1 : r, how & 2 ? 1 : c)
                    : of(a, how & 1 ? 1 : r, how & 2 ? 1 : c);
}

/* ---- operations ---- */
typedef bnn_var *(*op_1)(bnn_var *);
typedef bnn_var *(*op_2)(bnn_var *, bnn_var *);
typedef bnn_var *(*op_f)(bnn_var *, float);
static const op_1 ones[] = { bnn_neg,         bnn_square,        bnn_exp,
                             bnn_log,         bnn_sqrt,          bnn_abs,
                             bnn_sin,         bnn_cos,           bnn_tanh,
                             bnn_sigmoid,     bnn_softplus,      bnn_relu,
                             bnn_leaky_relu,  bnn_elu,           bnn_silu,
                             bnn_gelu,        bnn_sum,           bnn_mean,
                             bnn_rowsum,      bnn_colsum,        bnn_transpose,
                             bnn_softmax,     bnn_log_softmax,   bnn_logsumexp,
                             bnn_detach,      bnn_gumbel,        bnn_one_hot,
                             bnn_categorical, bnn_gamma,         bnn_log_gamma,
                             bnn_dirichlet,   bnn_log_dirichlet, bnn_dirichlet_entropy,
                             bnn_zero };
static const op_2 twos[] = { bnn_add,
                             bnn_sub,
                             bnn_mul,
                             bnn_div,
                             bnn_normal,
                             bnn_straight_through,
                             bnn_beta,
                             bnn_logit_beta,
                             bnn_beta_entropy,
                             bnn_logit_normal,
                             bnn_log_logit_normal,
                             bnn_dirichlet_log_prob,
                             bnn_kl_standard_normal,
                             bnn_bernoulli_nll,
                             bnn_categorical_nll,
                             bnn_poisson_nll,
                             bnn_matmul };
static const op_f scaled[] = { bnn_scale,
                               bnn_shift,
                               bnn_dropout,
                               bnn_gumbel_softmax,
                               bnn_log_gumbel_softmax,
                               bnn_relaxed_bernoulli };

static void do_one(world *a) { keep(a, ones[below(a, COUNT(ones))](any(a))); }
static void do_two(world *a) {
    op_2 op = twos[below(a, COUNT(twos))];
    bnn_var *x = any(a);
    if (op == bnn_matmul)
        keep(a, op(x, of(a, x->val.cols, dim(a))));
    else if (op == bnn_categorical_nll)
        keep(a, op(x, node(a, tame(a, x->val.rows, 1, 1 + (int)below(a, 4)))));
    else
        keep(a, op(x, partner(a, x)));
}
static void do_scaled(world *a) {
    op_f op = scaled[below(a, COUNT(scaled))];
    bnn_var *x = any(a);
    keep(a, op(x, op == bnn_scale || op == bnn_shift ? number(a) : share(a)));
}
static void do_affine(world *a) {
    bnn_var *x = any(a), *w;
    size_t k = dim(a), d = x->val.cols;
    int how = (int)below(a, 4);
    w = of(a, d, k);
    if (how == 0) keep(a, bnn_affine(x, w, byte(a) & 1 ? of(a, 1, k) : NULL));
    if (how == 1) keep(a, bnn_affine_local(x, w, above(a, d, k), of(a, 1, k), above(a, 1, k)));
    if (how == 2) keep(a, bnn_affine_flipout(x, w, of(a, d, k), NULL, NULL));
    if (how == 3) keep(a, bnn_affine(x, any(a), any(a)));
}
static void do_shape(world *a) {
    bnn_var *x = any(a), *in[3];
    size_t n = 1 + below(a, 3), i, k = dim(a);
    for (i = 0; i < 3; i++) in[i] = rarely(a) ? any(a) : of(a, x->val.rows, i == 0 ? k : dim(a));
    for (i = 0; i < k; i++) a->index[i] = rarely(a) ? wild(a) : byte(a) % (x->val.rows + 1);
    switch (below(a, 7)) {
    case 0: keep(a, bnn_cols(x, wild(a), wild(a))); break;
    case 1: keep(a, bnn_rows(x, wild(a), wild(a))); break;
    case 2: keep(a, bnn_gather(x, k, a->index)); break;
    case 3: keep(a, bnn_concat(&a->tape, n, in)); break;
    case 4: keep(a, bnn_reshape(x, byte(a) & 1 ? x->val.cols : wild(a), x->val.rows)); break;
    case 5: keep(a, bnn_clamp(x, number(a), number(a))); break;
    default:
        in[1] = in[2] = in[0];
        keep(a, bnn_mix(of(a, byte(a) & 1 ? 1 : x->val.rows, n), in, n));
        break;
    }
}
static bnn_window window(world *a) {
    bnn_window w;
    w.kernel = below(a, 4), w.kernel_w = byte(a) & 3 ? 0 : dim(a),
    w.stride = byte(a) & 3 ? 1 : wild(a);
    w.pad = byte(a) & 3 ? 0 : wild(a), w.same = byte(a) % 4 == 0;
    return w;
}
static void do_image(world *a) {
    bnn_image im, out;
    bnn_window w = window(a);
    size_t k = dim(a), n = 1 + below(a, 3), m;
    bnn_var *x;
    im.h = 1 + below(a, 5), im.w = 1 + below(a, 5), im.c = 1 + below(a, 3);
    if (rarely(a)) im.h = wild(a), im.c = wild(a);
    x = of(a, n, im.h * im.w * im.c);
    m = w.kernel * (w.kernel_w > 0 ? w.kernel_w : w.kernel);
    switch (below(a, 8)) {
    case 0:
        keep(a, bnn_conv2d(x, of(a, m * im.c, k), byte(a) & 1 ? of(a, 1, k) : NULL, im, w));
        break;
    case 1: keep(a, bnn_conv2d_transpose(x, of(a, im.c, m * k), NULL, im, w)); break;
    case 2: keep(a, bnn_max_pool2d(x, im, w)); break;
    case 3: keep(a, bnn_avg_pool2d(x, im, w)); break;
    case 4: keep(a, bnn_upsample2d(x, im, byte(a) & 3 ? 2 : wild(a))); break;
    case 5: keep(a, bnn_layer_norm(x, of(a, 1, x->val.cols), of(a, 1, x->val.cols))); break;
    case 6:
        keep(a, bnn_group_norm(x, of(a, 1, im.c), of(a, 1, im.c), im, byte(a) & 1 ? 1 : wild(a)));
        break;
    default:
        out = bnn_image_conv(im, k, w), mix(a, &out, sizeof out);
        out = bnn_image_conv_transpose(im, k, w), mix(a, &out, sizeof out);
        out = bnn_image_pool(im, w), mix(a, &out, sizeof out);
    }
}
static void do_recurrent(world *a) {
    size_t n = 1 + below(a, 4), d = dim(a), k = 1 + below(a, 4), lstm = byte(a) & 1,
           g = lstm ? 4 : 3;
    bnn_var *x = of(a, n, d), *h = of(a, n, lstm ? 2 * k : k), *w = of(a, d, g * k),
            *u = of(a, k, g * k);
    bnn_var *b = byte(a) & 1 ? of(a, 1, 4 * k) : NULL;
    bnn_var *mask = byte(a) & 1 ? bnn_input(&a->tape, tame(a, n, 1, 2)) : NULL;
    keep(a, lstm ? bnn_lstm(x, h, w, u, b, mask) : bnn_gru(x, h, w, u, b, mask));
}
static void do_density(world *a) {
    bnn_var *x = any(a), *y = partner(a, x), *z = partner(a, x);
    size_t k = x->val.cols < MANY ? x->val.cols : MANY, i;
    for (i = 0; i < k; i++) a->one[i] = positive(a);
    if (x->val.cols > MANY) return;
    switch (below(a, 14)) {
    case 0: keep(a, bnn_gaussian_nll(x, y, z)); break;
    case 1: keep(a, bnn_double_exponential_nll(x, y, positive(a))); break;
    case 2: keep(a, bnn_student_nll(x, y, positive(a), positive(a))); break;
    case 3: keep(a, bnn_cross_entropy(x, node(a, simplex(a, x->val.rows, k)), positive(a))); break;
    case 4: keep(a, bnn_kl_normal(x, y, number(a), positive(a))); break;
    case 5: keep(a, bnn_kl_categorical(x, byte(a) & 1 ? a->one : NULL)); break;
    case 6: keep(a, bnn_kl_bernoulli(x, share(a))); break;
    case 7: keep(a, bnn_kl_dirichlet(x, byte(a) & 1 ? a->one : NULL)); break;
    case 8: keep(a, bnn_concrete_log_prob(x, y, share(a))); break;
    case 9: keep(a, bnn_relaxed_bernoulli_log_prob(x, y, share(a))); break;
    case 10: keep(a, bnn_beta_log_prob(x, y, z)); break;
    case 11: keep(a, bnn_kl_beta(x, y, positive(a), positive(a))); break;
    case 12: keep(a, bnn_logit_normal_log_prob(x, y, byte(a) & 1 ? z : of(a, k, k))); break;
    default:
        keep(a, bnn_score_function(of(a, x->val.rows, 1), bnn_rowsum(x), byte(a) & 1 ? y : NULL));
    }
}
static double algebraic(void *user, double w, const double *theta) {
    (void)user;
    return 0.5 + 0.5 * (w - theta[0]) / (1 + fabs(w - theta[0]));
}
static double algebraic_draw(void *user, bnn_rng *rng, const double *theta) {
    double u = 2 * (double)bnn_rng_uniform(rng) - 1;
    (void)user;
    return theta[0] + u / (1 - fabs(u));
}
static void do_implicit(world *a) {
    bnn_implicit_desc d;
    bnn_var *x = any(a);
    memset(&d, 0, sizeof d);
    d.cdf = algebraic, d.draw = byte(a) & 1 ? algebraic_draw : NULL;
    keep(a, bnn_implicit(&x, 1, d));
}
static void do_soft(world *a) {
    size_t n = 1 + below(a, 3), k = 2 + below(a, 3);
    bnn_var *z = of(a, n, k), *t = node(a, simplex(a, n, k)), *in[2];
    bnn_var *y = byte(a) & 1 ? node(a, tame(a, n, 1, (int)k)) : NULL;
    bnn_var *has = byte(a) & 1 ? node(a, tame(a, n, 1, 2)) : NULL;
    bnn_soft_desc d;
    memset(&d, 0, sizeof d);
    d.lambda = byte(a) & 1 ? 1 : share(a), d.temperature = maybe(a), d.no_square = byte(a) & 1;
    d.teacher_only = byte(a) % 4 == 0, d.reverse = byte(a) % 4 == 0, d.constant = (int)below(a, 4);
    in[0] = z, in[1] = of(a, n, k);
    a->one[0] = share(a), a->one[1] = share(a);
    switch (below(a, 5)) {
    case 0:
        keep(a,
             bnn_soft_target(&a->tape, 1 + below(a, 2), in, byte(a) & 1 ? a->one : NULL, maybe(a)));
        break;
    case 1: keep(a, bnn_soft_nll(z, y, t, has, d)); break;
    case 2: keep(a, bnn_soft_mix(bnn_rowsum(z), bnn_rowsum(t), has, share(a))); break;
    case 3: keep(a, bnn_kl_target(z, t, byte(a) & 1)); break;
    default: keep(a, bnn_cc_log_constant(z, (int)below(a, 4)));
    }
}
static void do_backward(world *a) {
    bnn_var *x = any(a);
    float v;
    if (byte(a) & 3) x = keep(a, bnn_mean(x));
    if (byte(a) & 7)
        bnn_backward(x);
    else
        bnn_backward_from(x, fits(a, x->val.rows, x->val.cols));
    v = bnn_value(x);
    mix_double(a, (double)v);
    if (x->grad.data != NULL) mix_mat(a, x->grad);
}
static void do_reset(world *a) {
    bnn_tape_reset(&a->tape);
    if (byte(a) % 8 == 0) bnn_tape_reset(&a->other);
    if (byte(a) % 32 == 0) bnn_tape_fail(&a->tape, BNN_EARG, "somebody", "did not like it %s %d");
    a->tape.training = byte(a) % 4 == 0;
    if (byte(a) % 16 == 0) a->tape.n_data = (double)number(a);
}

/* ---- matrices, numbers, special functions ---- */
static void do_mat(world *a) {
    bnn_mat x = some(a), y = fits(a, x.rows, x.cols), o = fits(a, x.rows, x.cols);
    size_t k = dim(a), r = x.rows, c = x.cols;
    if (rarely(a)) o = byte(a) & 1 ? x : y;
    switch (below(a, 18)) {
    case 0: bnn_mat_mul(fits(a, r, k), x, fits(a, c, k)); break;
    case 1: bnn_mat_mul_tn(fits(a, c, k), x, fits(a, r, k)); break;
    case 2: bnn_mat_mul_nt(fits(a, r, k), x, fits(a, k, c)); break;
    case 3: bnn_mat_mul_tt(fits(a, c, k), x, fits(a, k, r)); break;
    case 4: bnn_mat_add(o, x, y); break;
    case 5: bnn_mat_sub(o, x, y); break;
    case 6: bnn_mat_scale(o, x, number(a)); break;
    case 7: bnn_mat_transpose(fits(a, c, r), x); break;
    case 8: bnn_mat_row_sum(fits(a, r, 1), x), bnn_mat_row_mean(fits(a, r, 1), x); break;
    case 9: bnn_mat_col_sum(fits(a, 1, c), x), bnn_mat_col_mean(fits(a, 1, c), x); break;
    case 10: bnn_mat_col_std(o = fits(a, 1, c), x), mix_mat(a, o); break;
    case 11: mix_double(a, (double)bnn_mat_row_argmax(x, wild(a))); break;
    case 12: mix_double(a, bnn_mat_sum(x)), mix_double(a, bnn_mat_dot(x, y)); break;
    case 13: bnn_mat_cov(fits(a, c, c), x); break;
    case 14: bnn_mat_fill(o, number(a)), bnn_mat_eye(o), bnn_mat_copy(&a->out, x); break;
    case 15: mix_mat(a, bnn_mat_rows(x, wild(a), wild(a))), bnn_mat_at(x, wild(a), wild(a)); break;
    case 16: bnn_mat_col_quantile(&a->out, fits(a, 1, c), x, (double)share(a)); break;
    default: k = (size_t)bnn_mat_finite(x), mix(a, &k, sizeof k);
    }
    mix_mat(a, o);
}
static void do_linear(world *a) {
    size_t d = 1 + below(a, 5), n = d + below(a, 4), pivot = 0, i;
    bnn_mat x = fits(a, n, d), c = matrix(a, d, d), l = fits(a, d, d), b = fits(a, d, dim(a)), o;
    if (c.data == NULL) return;
    if (bnn_mat_cov(c, x) == BNN_OK && byte(a) & 1)
        for (i = 0; i < d; i++) c.data[i * d + i] += 0.1f;
    bnn_mat_cholesky(byte(a) & 7 ? l : c, c, byte(a) & 1 ? &pivot : NULL);
    o = byte(a) & 1 ? b : fits(a, b.rows, b.cols);
    switch (below(a, 6)) {
    case 0: bnn_mat_solve_lower(o, l, b); break;
    case 1: bnn_mat_solve_lower_t(o, l, b); break;
    case 2: bnn_mat_solve_chol(o, l, b); break;
    case 3: mix_double(a, bnn_mat_logdet_chol(l)); break;
    case 4: bnn_mat_eig_sym(&a->out, o = fits(a, 1, d), fits(a, d, d), c); break;
    default: bnn_mat_svd(&a->out, fits(a, n, d), o = fits(a, 1, d), fits(a, d, d), x);
    }
    mix_mat(a, o);
}
static void do_rng(world *a) {
    bnn_rng *r = &a->tape.rng;
    size_t n = dim(a), i;
    float *o = a->one;
    for (i = 0; i < n; i++) a->two[i] = positive(a), a->index[i] = 0;
    memset(o, 0, MANY * sizeof *o);
    switch (below(a, 12)) {
    case 0: *r = bnn_rng_seed(byte(a)); break;
    case 1: *r = bnn_rng_stream(byte(a), byte(a)); break;
    case 2: a->other.rng = bnn_rng_split(r); break;
    case 3:
        o[0] = (float)bnn_rng_below(r, 1 + wild(a) % 1000),
        o[1] = bnn_rng_beta(r, number(a), number(a));
        break;
    case 4: o[0] = bnn_rng_gamma(r, number(a)), o[1] = bnn_rng_log_gamma(r, number(a)); break;
    case 5: bnn_rng_dirichlet(r, n, a->two, o, byte(a) & 1 ? o + 64 : NULL); break;
    case 6: n = bnn_rng_categorical(r, n, a->two), mix(a, &n, sizeof n); break;
    case 7: bnn_rng_permutation(r, n, a->index), mix(a, a->index, n * sizeof *a->index); break;
    case 8: bnn_rng_fill_uniform(r, n, o), bnn_rng_fill_normal(r, n, o + 64); break;
    case 9: bnn_rng_fill_exponential(r, n, o), bnn_rng_fill_gumbel(r, n, o + 64); break;
    case 10:
        bnn_rng_fill_log_gamma(r, n, number(a), o), bnn_rng_fill_gamma(r, n, number(a), o + 64);
        break;
    default:
        o[0] = bnn_rng_double_exponential(r), o[1] = bnn_rng_uniform(r),
        o[2] = bnn_rng_exponential(r);
    }
    for (i = 0; i < 128; i++) mix_double(a, (double)o[i]);
}
static void do_special(world *a) {
    double x = (double)number(a), p = (double)share(a), b = (double)number(a);
    if (byte(a) & 1) x *= 1000;
    mix_double(a, bnn_lgamma(x)), mix_double(a, bnn_digamma(x)), mix_double(a, bnn_trigamma(x));
    mix_double(a, bnn_gamma_p(x, b)), mix_double(a, bnn_gamma_q(x, b));
    mix_double(a, bnn_beta_i(x, b, p)), mix_double(a, bnn_normal_cdf(x));
    mix_double(a, bnn_normal_log_cdf(x)), mix_double(a, bnn_normal_quantile(p));
    mix_double(a, bnn_gamma_dlog(x, b));
}

/* ---- nets ---- */
static bnn_prior prior(world *a) {
    bnn_prior p;
    memset(&p, 0, sizeof p);
    if (byte(a) & 1) return p;
    p.kind = (int)below(a, rarely(a) ? 9 : 6);
    p.std = maybe(a), p.fan_in = byte(a) & 1;
    if (byte(a) & 1)
        p.mean = number(a), p.std2 = maybe(a), p.weight = maybe(a) / 4, p.nu = maybe(a);
    if (byte(a) % 4 == 0) p.adapt_mean = byte(a) & 1, p.adapt_std = byte(a) & 1;
    if (byte(a) % 4 == 0) p.shape = positive(a), p.rate = positive(a);
    return p;
}
static size_t targets(bnn_net net, size_t outputs) {
    return net.likelihood == BNN_CATEGORICAL       ? 1
           : net.likelihood == BNN_GAUSSIAN_HETERO ? outputs / 2
                                                   : outputs;
}
static void got_net(world *a, bnn_net net, size_t in, size_t outputs) {
    made m;
    if (a->n_nets >= NETS || (net.params != NULL && net.params->n > MANY / 2)) return;
    m.net = net, m.in = in, m.out = targets(net, outputs);
    a->nets[a->n_nets++] = m;
}
static bnn_params *store(world *a) { /* new, or one that has blocks already */
    return rarely(a) && a->n_nets > 0 && a->nets[0].net.params != NULL ? a->nets[0].net.params
                                                                       : bnn_params_new(&a->mem);
}
static void do_mlp(world *a) {
    bnn_mlp_desc d;
    bnn_prior priors[BNN_MAX_LAYERS];
    bnn_params *w = store(a);
    size_t l, layers = 1 + below(a, 3);
    if (w == NULL) return;
    memset(&d, 0, sizeof d);
    for (l = 0; l <= layers; l++) d.sizes[l] = 1 + below(a, 5);
    if (rarely(a)) d.sizes[below(a, layers + 1)] = wild(a);
    if (rarely(a)) d.sizes[1] = 20;
    d.activation = (int)below(a, 11);
    d.likelihood = (int)below(a, rarely(a) ? 9 : 8);
    if (d.likelihood == BNN_GAUSSIAN_HETERO || d.likelihood == BNN_CATEGORICAL) d.sizes[layers] = 2;
    d.noise_learned = byte(a) & 1, d.noise_std = d.noise_learned ? maybe(a) : positive(a);
    d.prior = prior(a), d.nu = byte(a) & 1 ? 0 : positive(a);
    for (l = 0; l < BNN_MAX_LAYERS; l++) priors[l] = d.prior;
    if (byte(a) % 8 == 0) d.priors = priors;
    if (byte(a) % 8 == 0) d.noise_prior = prior(a);
    d.init = (int)below(a, 7), d.init_scale = maybe(a), d.seed = byte(a);
    d.dropout = byte(a) & 3 ? 0 : share(a), d.dropout_input = byte(a) & 3 ? 0 : share(a);
    d.no_bias = byte(a) % 4 == 0;
    got_net(a, bnn_mlp(w, d), d.sizes[0], d.sizes[layers]);
}
static void do_layers(world *a) {
    bnn_layers_desc d;
    bnn_params *w = store(a);
    size_t l, n = 1 + below(a, 5);
    if (w == NULL) return;
    memset(&d, 0, sizeof d);
    d.input.h = 1 + below(a, 5), d.input.w = 1 + below(a, 5), d.input.c = 1 + below(a, 2);
    if (rarely(a)) d.input.h = wild(a), d.input.w = wild(a);
    for (l = 0; l < n; l++) {
        bnn_layer *y = &d.layers[l];
        y->kind = 1 + (int)below(a, rarely(a) ? 11 : 9), y->size = 1 + below(a, 4);
        y->kernel = y->kind >= BNN_CONV && y->kind <= BNN_AVG_POOL ? 1 + below(a, 3) : 0;
        if (y->kind == BNN_MAX_POOL || y->kind == BNN_AVG_POOL) y->size = 0;
        if (y->kind == BNN_UPSAMPLE || y->kind == BNN_NORM) y->size = 1;
        if (byte(a) % 8 == 0) y->stride = dim(a), y->pad = below(a, 3), y->kernel_w = below(a, 4);
        y->same = y->kernel > 0 && y->stride == 0 && byte(a) % 4 == 0;
        y->activation = byte(a) & 1 ? 0 : (int)below(a, 11), y->add = byte(a) % 8 ? 0 : below(a, 6);
        y->dropout = byte(a) % 4 ? 0 : share(a), y->frozen = byte(a) % 16 == 0;
        y->sequence = (y->kind == BNN_GRU || y->kind == BNN_LSTM) && (byte(a) & 1);
        y->no_bias = byte(a) % 8 == 0, y->lr = byte(a) % 8 ? 0 : number(a);
        if (byte(a) % 8 == 0) y->image.h = y->size, y->image.w = y->image.c = 1;
        if (byte(a) % 8 == 0) y->prior = prior(a);
        if (rarely(a)) y->size = wild(a), y->kernel = wild(a);
    }
    if (byte(a) & 7) d.layers[n].kind = BNN_DENSE, d.layers[n].size = 2;
    d.likelihood = (int)below(a, 8), d.noise_std = positive(a), d.noise_learned = byte(a) & 1;
    d.prior = prior(a), d.init = (int)below(a, 7), d.seed = byte(a), d.no_bias = byte(a) % 8 == 0;
    got_net(a, bnn_layers(w, d), d.input.h * d.input.w * d.input.c, 2);
}
static bnn_var *my_forward(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    return bnn_tanh(bnn_affine(x, bnn_param(t, net->params, 0), bnn_param(t, net->params, 1)));
}
static void do_own_net(world *a) {
    bnn_params *w = bnn_params_new(&a->mem);
    size_t d = 1 + below(a, 3), k = 1 + below(a, 3);
    bnn_net net;
    if (w == NULL) return;
    memset(&net, 0, sizeof net);
    bnn_params_add(w, d, k, "w", prior(a));
    if (byte(a) & 7) bnn_params_add(w, 1, k, "a long name of a bias", prior(a));
    if (rarely(a)) bnn_params_add(w, wild(a), wild(a), NULL, prior(a));
    net.params = w, net.forward = my_forward, net.likelihood = 1 + (int)below(a, 8);
    net.noise_std = positive(a), net.nu = positive(a), net.noise = (size_t)-1;
    bnn_params_sample_prior(w, &a->tape.rng);
    got_net(a, net, d, k);
}
static void do_graph(world *a) {
    static const op_1 ops[] = { NULL, bnn_tanh, bnn_relu, bnn_zero, bnn_sin };
    bnn_candidate c[3][3];
    bnn_edge e[3];
    int agg[4];
    bnn_graph_desc d;
    bnn_params *w = bnn_params_new(&a->mem);
    size_t i, j, d_in = 1 + below(a, 3);
    if (w == NULL) return;
    memset(c, 0, sizeof c);
    memset(&d, 0, sizeof d);
    for (i = 0; i < 3; i++) {
        for (j = 0; j < 3; j++) {
            c[i][j].op = ops[below(a, COUNT(ops))], c[i][j].name = "c";
            c[i][j].width = i == 2 ? 2 : byte(a) & 1 ? 0 : 1 + below(a, 3);
        }
        e[i].from = i == 0 ? 0 : below(a, i + 1), e[i].to = rarely(a) ? below(a, 5) : i + 1;
        e[i].ops = c[i], e[i].n_ops = rarely(a) ? 0 : 1 + below(a, 3);
        agg[i] = (int)below(a, 5);
    }
    agg[3] = 0;
    d.inputs = d_in, d.edges = e, d.n_edges = 1 + below(a, 3), d.gamma = (int)below(a, 13);
    d.aggregates = byte(a) & 3 ? NULL : agg, d.tau = maybe(a), d.likelihood = (int)below(a, 8);
    d.noise_std = positive(a), d.nu = maybe(a), d.seed = byte(a), d.prior = prior(a);
    got_net(a, bnn_graph(w, byte(a) & 1 ? NULL : bnn_params_new(&a->mem), d), d_in, 2);
}
static made *some_net(world *a) {
    if (a->n_nets == 0) do_mlp(a);
    return a->n_nets == 0 ? NULL : &a->nets[below(a, a->n_nets)];
}
static bnn_mat inputs(world *a, const made *m) { return fits(a, dim(a), m->in); }
static bnn_data data_of(world *a, const made *m) {
    size_t n = 1 + below(a, 6), soft = m->net.likelihood == BNN_CATEGORICAL && byte(a) % 8 == 0;
    bnn_data d;
    d.x = fits(a, n, m->in);
    if (soft)
        d.y = simplex(a, n, 2);
    else if (m->net.likelihood >= BNN_BERNOULLI && m->net.likelihood <= BNN_POISSON)
        d.y = tame(a, n, m->out, 2);
    else
        d.y = fits(a, n, m->out);
    return d;
}
static void do_net(world *a) {
    made *m = some_net(a), *o = some_net(a);
    size_t n, i;
    bnn_batch b;
    bnn_data d;
    if (m == NULL || m->net.params == NULL || o->net.params == NULL) return;
    d = data_of(a, m);
    for (i = 0; i < 4; i++) a->index[i] = below(a, 8);
    switch (below(a, 9)) {
    case 0: keep(a, bnn_net_forward(&m->net, keep(a, bnn_input(tape_of(a), d.x)))); return;
    case 1: bnn_net_standardize(&m->net, d); return;
    case 2: bnn_params_update_priors(m->net.params, byte(a) & 1 ? &a->tape.rng : NULL); return;
    case 3: bnn_params_sample_prior(m->net.params, &a->tape.rng); return;
    case 4: bnn_params_lr(m->net.params, wild(a), number(a)); return;
    case 5:
        if (m->net.params->n == o->net.params->n) bnn_params_copy(m->net.params, o->net.params);
        return;
    case 6:
        keep(a, bnn_prior_nll(&a->tape, m->net.params));
        mix_double(a, bnn_params_log_prior(m->net.params));
        return;
    case 7:
        if (rarely(a)) bnn_params_add(m->net.params, dim(a), dim(a), "late", prior(a));
        return;
    default: break;
    }
    n = dim(a);
    b = byte(a) & 1   ? bnn_minibatch(&a->tape, d, n)
        : byte(a) & 1 ? bnn_batch_rows(&a->tape, d, n % 4, a->index)
                      : bnn_batch_all(&a->tape, d);
    keep(a, byte(a) & 1 ? bnn_net_loss(&m->net, b) : bnn_net_nll(&m->net, b));
}
static void do_theta(world *a) { /* as a program does that keeps weights elsewhere */
    made *m = some_net(a);
    bnn_params *w = m != NULL ? m->net.params : NULL;
    size_t i, b;
    bnn_mat v;
    if (w == NULL || w->n_blocks == 0) return;
    b = below(a, w->n_blocks);
    v = bnn_params_mat(w, b);
    mix_mat(a, bnn_params_grad(w, b));
    if (byte(a) & 1) bnn_params_zero_grad(w);
    for (i = 0; i < v.rows * v.cols && i < 5; i++) v.data[i] = byte(a) & 1 ? 0 : number(a);
    if (a->edges) a->dirty = 1;
}
static void do_smaller(world *a) {
    made *m = some_net(a);
    const unsigned char *rows[BNN_MAX_LIST];
    bnn_params *to = bnn_params_new(&a->mem);
    bnn_net net;
    size_t i;
    if (m == NULL || to == NULL) return;
    for (i = 0; i < 64; i++) a->flags[i] = byte(a) % 4 != 0;
    for (i = 64; i < MANY; i++) a->flags[i] = i % 3 != 0;
    for (i = 0; i < BNN_MAX_LIST; i++) rows[i] = byte(a) & 1 ? a->flags + i : NULL;
    if (byte(a) & 1)
        net = bnn_mlp_shrink(to, &m->net, byte(a) & 1 ? rows : NULL);
    else if (byte(a) & 1)
        net = bnn_graph_extract(to, &m->net);
    else
        net = bnn_mlp_keep_inputs(to, &m->net, a->flags);
    got_net(a, net, net.params != NULL ? m->in : 1, m->out);
}

/* ---- losses, steppers, samplers ---- */
typedef struct problem {
    const bnn_net *net;
    bnn_data data;
    int kind;
} problem;

static bnn_var *loss(bnn_tape *t, void *user) {
    const problem *p = (const problem *)user;
    if (p->kind == 1) return bnn_param(t, p->net->params, 0); /* not 1x1, mostly */
    if (p->kind == 2) return bnn_prior_nll(t, p->net->params);
    return bnn_net_loss(p->net, bnn_batch_all(t, p->data));
}
static problem problem_of(world *a, const made *m) {
    problem p;
    p.net = &m->net, p.data = data_of(a, m), p.kind = rarely(a) ? 1 : byte(a) & 1 ? 2 : 0;
    return p;
}
static int called(void *user, size_t done, size_t total) { /* progress; cancels now and then */
    world *a = (world *)user;
    (void)done, (void)total;
    return a->stop > 0 && --a->stop == 0;
}
static void noted(void *user, const char *note) {
    MUST(note[0] != '\0' && strlen(note) < BNN_MSG);
    mix((world *)user, note, strlen(note));
}
static bnn_params *weights(world *a) {
    made *m = some_net(a);
    if (byte(a) & 1 && a->n_fields > 0)
        return a->fields[below(a, a->n_fields < KINDS ? a->n_fields : KINDS)].params;
    return m != NULL ? m->net.params : NULL;
}
static void do_sampler(world *a) {
    made *m = some_net(a);
    bnn_hmc_desc h;
    bnn_nuts_desc n;
    bnn_stepper *s = &a->steppers[a->n_steppers % KINDS];
    if (m == NULL || m->net.params == NULL) return;
    a->data[m - a->nets] = data_of(a, m);
    memset(&h, 0, sizeof h);
    memset(&n, 0, sizeof n);
    h.net = n.net = &m->net, h.data = n.data = a->data[m - a->nets];
    h.step = n.step = byte(a) & 1 ? 0 : positive(a) / 8,
    h.accept = n.accept = byte(a) & 3 ? 0 : share(a);
    h.temperature = n.temperature = maybe(a), h.warmup = n.warmup = below(a, 6);
    h.leapfrog = 1 + below(a, 3), h.adapt_mass = byte(a) & 1, h.jitter = byte(a) & 1 ? 0 : share(a);
    n.mass = (int)below(a, 4), n.max_depth = 1 + (int)below(a, 4);
    if (rarely(a)) n.max_depth = 40, h.leapfrog = (size_t)-1;
    if (byte(a) & 1)
        *s = bnn_hmc(m->net.params, h);
    else
        *s = bnn_nuts(m->net.params, n);
    a->n_steppers++;
}
typedef struct rates { /* what the steppers have in common */
    float lr, t, x, y, clip;
    int one, two;
    size_t burn_in;
} rates;

static bnn_stepper optimizer(bnn_params *w, size_t kind, rates r) {
    bnn_sgd_desc sgd;
    bnn_adam_desc adam;
    bnn_rmsprop_desc rms;
    bnn_adagrad_desc grad;
    bnn_adadelta_desc delta;
    memset(&sgd, 0, sizeof sgd), memset(&adam, 0, sizeof adam), memset(&rms, 0, sizeof rms);
    memset(&grad, 0, sizeof grad), memset(&delta, 0, sizeof delta);
    sgd.lr = adam.lr = rms.lr = grad.lr = delta.lr = r.lr;
    sgd.clip = adam.clip = rms.clip = grad.clip = delta.clip = r.clip;
    sgd.weight_decay = adam.weight_decay = rms.weight_decay = grad.weight_decay = r.x;
    sgd.momentum = rms.momentum = r.y, sgd.nesterov = r.one && r.y > 0;
    sgd.dampening = r.two ? r.x : 0, adam.decoupled = r.one, adam.amsgrad = r.two;
    adam.beta1 = r.y, adam.eps = r.x, rms.centered = r.one, grad.lr_decay = r.y, delta.rho = r.y;
    switch (kind) {
    case 0: return bnn_sgd(w, sgd);
    case 1: return bnn_adam(w, adam);
    case 2: return bnn_rmsprop(w, rms);
    case 3: return bnn_adagrad(w, grad);
    default: return bnn_adadelta(w, delta);
    }
}
static bnn_stepper langevin(bnn_params *w, size_t kind, rates r) {
    bnn_sgld_desc sgld;
    bnn_psgld_desc psgld;
    bnn_sghmc_desc sghmc;
    bnn_sgnht_desc sgnht;
    memset(&sgld, 0, sizeof sgld), memset(&psgld, 0, sizeof psgld);
    memset(&sghmc, 0, sizeof sghmc), memset(&sgnht, 0, sizeof sgnht);
    sgld.lr = psgld.lr = sghmc.lr = sgnht.lr = r.lr;
    sgld.temperature = psgld.temperature = sghmc.temperature = sgnht.temperature = r.t;
    psgld.burn_in = r.burn_in, psgld.alpha = r.y, sghmc.friction = sgnht.friction = r.x;
    sghmc.noise_estimate = r.two ? r.x / 2 : 0;
    switch (kind) {
    case 5: return bnn_sgld(w, sgld);
    case 6: return bnn_psgld(w, psgld);
    case 7: return bnn_sghmc(w, sghmc);
    default: return bnn_sgnht(w, sgnht);
    }
}
static void do_stepper(world *a) {
    bnn_params *w = weights(a);
    rates r;
    size_t kind;
    r.lr = maybe(a) / 16, r.t = maybe(a), r.x = byte(a) & 3 ? 0 : share(a);
    r.y = byte(a) & 3 ? 0 : share(a);
    r.one = byte(a) & 1, r.two = byte(a) & 1;
    if (w == NULL) return;
    r.clip = byte(a) & 3 ? 0 : positive(a), r.burn_in = below(a, 4), kind = below(a, 9);
    a->steppers[a->n_steppers++ % KINDS] = kind < 5 ? optimizer(w, kind, r) : langevin(w, kind, r);
}
static made *net_of(world *a, const bnn_params *w) {
    size_t i;
    for (i = 0; i < a->n_nets; i++)
        if (a->nets[i].net.params == w) return &a->nets[i];
    return NULL;
}
static bnn_meanfield *field_of(world *a, const bnn_params *w) {
    size_t i;
    for (i = 0; i < KINDS; i++)
        if (w != NULL && a->fields[i].params == w) return &a->fields[i];
    return NULL;
}
static void do_step(world *a) { /* as it is meant, mostly */
    bnn_stepper *s = &a->steppers[below(a, KINDS)];
    bnn_meanfield *q = field_of(a, s->params);
    made *m = net_of(a, q != NULL ? q->of : s->params);
    size_t times = 1 + below(a, 4);
    int noise = (int)below(a, 3);
    bnn_data d;
    bnn_net net;
    if (m == NULL) {
        bnn_step(s, &a->tape);
        return;
    }
    d = data_of(a, m);
    if (byte(a) % 8 == 0) s->lr = (float)bnn_lr_cosine((double)positive(a), below(a, 9), 8);
    while (times-- > 0) {
        if (!rarely(a)) bnn_tape_reset(&a->tape);
        if (q != NULL) bnn_meanfield_sample(q, &a->tape);
        net = q != NULL && noise < 2 && byte(a) & 1 ? bnn_meanfield_net(q, &m->net, noise) : m->net;
        if (s->hmc == NULL && !rarely(a)) {
            bnn_batch b = byte(a) & 1 ? bnn_batch_all(&a->tape, d) : bnn_minibatch(&a->tape, d, 2);
            bnn_backward(q != NULL || rarely(a) ? bnn_net_nll(&net, b) : bnn_net_loss(&net, b));
        }
        if (q != NULL && !rarely(a)) bnn_meanfield_backward(q, &a->tape);
        bnn_step(s, &a->tape);
        if (rarely(a)) bnn_step(s, &a->tape);
    }
    if (q != NULL && byte(a) & 1) bnn_meanfield_mean(q);
}
static void do_check(world *a) {
    made *m = some_net(a);
    problem p;
    size_t i;
    if (m == NULL || m->net.params == NULL || m->net.params->n > MANY ||
        m->net.params->n_blocks == 0)
        return;
    p = problem_of(a, m);
    for (i = 0; i < MANY; i++) a->one[i] = i < 8 ? number(a) : 1, a->two[i] = 0;
    switch (below(a, 4)) {
    case 0:
        if (m->net.params->n < 30) mix_double(a, bnn_grad_check(&a->tape, m->net.params, loss, &p));
        break;
    case 1: bnn_hessian_vector(a->two, &a->tape, m->net.params, loss, &p, a->one); break;
    case 2:
        if (m->net.params->n < 30 || byte(a) & 1)
            bnn_hessian_diagonal(a->two, &a->tape, m->net.params, loss, &p, 1 + below(a, 2));
        break;
    default:
        do_reset(a);
        bnn_backward(bnn_net_nll(&m->net, bnn_batch_all(&a->tape, p.data)));
        bnn_grad_squares(a->two, &a->tape, m->net.params);
    }
    for (i = 0; i < 32; i++) mix_double(a, (double)a->two[i]);
}
static void do_field(world *a) {
    made *m = some_net(a);
    bnn_meanfield_desc d;
    if (m == NULL || a->n_fields >= KINDS) return;
    memset(&d, 0, sizeof d);
    d.posterior = (int)below(a, 5), d.scale = (int)below(a, 4), d.estimator = (int)below(a, 6);
    if (byte(a) & 1) d.posterior = d.scale = d.estimator = 0;
    d.ard = byte(a) & 3 ? 0 : (int)below(a, 4), d.share = byte(a) % 4 == 0;
    d.init_std = maybe(a), d.log_rate = maybe(a), d.kl_weight = maybe(a), d.draws = below(a, 3);
    if (byte(a) % 4 == 0 && byte(a) & 1) d = bnn_graves_row((int)below(a, 12)).desc;
    a->fields[a->n_fields++] = bnn_meanfield_new(m->net.params, d);
}
static void do_field_part(world *a) {
    bnn_meanfield *q = &a->fields[below(a, KINDS)];
    made *m = net_of(a, q->of), *any_net = some_net(a);
    bnn_meanfield_cost c;
    problem p;
    if (any_net == NULL || any_net->net.params == NULL) return;
    if (m == NULL || rarely(a)) m = any_net;
    p = problem_of(a, m);
    switch (below(a, 9)) {
    case 0: bnn_meanfield_sample(q, &a->tape); break;
    case 1: bnn_meanfield_backward(q, &a->tape); break;
    case 2: bnn_meanfield_mean(q); break;
    case 3: bnn_meanfield_curvature(q, &a->tape, loss, &p, 1 + below(a, 2)); break;
    case 4: bnn_meanfield_update_priors(q, (double)positive(a)); break;
    case 5: mix_double(a, bnn_meanfield_kl(q)); break;
    case 6:
        c = bnn_meanfield_measure(q, &a->tape, &m->net, p.data, below(a, 4));
        mix_double(a, c.error), mix_double(a, c.bits);
        break;
    case 7:
        mix_double(a, bnn_meanfield_snr(q, (double)share(a)));
        mix_double(a, (double)bnn_meanfield_prune(q, (double)share(a)));
        break;
    default: mix_mat(a, bnn_predict_moments(&a->out, &a->tape, &m->net, q, inputs(a, m)).mean);
    }
}

/* ---- ensembles, predictions ---- */
static void do_post(world *a) {
    bnn_ensemble *e = &a->posts[below(a, KINDS)];
    made *m = some_net(a);
    bnn_params v;
    if (m == NULL) return;
    if (e->params == NULL || rarely(a)) {
        *e = bnn_ensemble_new(m->net.params, rarely(a) ? wild(a) : 1 + below(a, 5));
        return;
    }
    switch (below(a, 7)) {
    case 0: bnn_ensemble_push(e); break;
    case 1:
        bnn_ensemble_push_from(e, rarely(a) ? m->net.params : e->params, (double)share(a));
        break;
    case 2: bnn_ensemble_reservoir(e, &a->tape.rng); break;
    case 3: bnn_ensemble_push_dropout(e, &m->net, &a->tape.rng); break;
    case 4: bnn_meanfield_push(&a->fields[below(a, KINDS)], e, &a->tape.rng); break;
    case 5: bnn_swag_push(&a->swag, e, &a->tape.rng); break;
    default:
        v = bnn_ensemble_sample(e, below(a, 6));
        if (v.theta != NULL && m->net.params != NULL && v.n == m->net.params->n)
            bnn_params_copy(m->net.params, &v);
    }
}
static bnn_ensemble *post_of(world *a, const bnn_params *w) {
    size_t i = below(a, KINDS), k;
    if (rarely(a)) return &a->posts[i];
    for (k = 0; k < KINDS; k++, i = (i + 1) % KINDS)
        if (a->posts[i].params == w && a->posts[i].count > 0) return &a->posts[i];
    return NULL;
}
static void predicted(world *a, bnn_predictive p, bnn_mat x) { /* an error, or numbers */
    size_t i, j;
    mix_mat(a, p.mean), mix_mat(a, p.aleatoric), mix_mat(a, p.epistemic), mix_mat(a, p.entropy);
    if (a->tape.err != BNN_OK || a->out.err != BNN_OK) {
        MUST(p.mean.data == NULL && p.epistemic.data == NULL && p.entropy.data == NULL);
        return;
    }
    MUST(p.mean.rows == x.rows);
    for (i = 0; i < p.mean.rows; i++) {
        if (x.cols > 0 && !bnn_mat_finite(bnn_mat_rows(x, i, 1))) continue;
        for (j = 0; j < p.mean.cols; j++) {
            MUST(bnn__finite(p.mean.data[i * p.mean.cols + j]));
            if (p.epistemic.data != NULL) MUST(!(p.epistemic.data[i * p.mean.cols + j] < 0));
        }
        if (p.mutual_information.data != NULL) MUST(p.mutual_information.data[i] >= 0);
    }
}
static double statistic(void *user, bnn_mat y) {
    (void)user;
    return bnn_mat_sum(y);
}
static void do_predict(world *a) {
    made *m = some_net(a);
    bnn_ensemble *e;
    bnn_mat x, r;
    bnn_data d;
    if (m == NULL) return;
    e = post_of(a, m->net.params);
    x = inputs(a, m), d = data_of(a, m);
    memset(&r, 0, sizeof r);
    switch (below(a, 8)) {
    case 0:
    case 1: predicted(a, bnn_predict(&a->out, &a->tape, &m->net, e, x), x); break;
    case 2: r = bnn_predict_log_lik(&a->out, &a->tape, &m->net, e, d); break;
    case 3: r = bnn_predict_quantile(&a->out, &a->tape, &m->net, e, x, share(a)); break;
    case 4: r = bnn_predict_samples(&a->out, &a->tape, &m->net, e, x); break;
    case 5:
        r = bnn_predict_draws(&a->out, &a->tape, &m->net, e, d.x, 1 + below(a, 8));
        mix_double(a, bnn_predict_check(fits(a, 1, r.rows), r, d.y, statistic, NULL));
        break;
    case 6: r = bnn_predict_log_lik_samples(&a->out, &a->tape, &m->net, e, d); break;
    default: r = bnn_predict_chains(&a->out, &a->tape, &m->net, e, x, 1 + below(a, 3));
    }
    mix_mat(a, r);
    if (r.data != NULL) a->mats[a->n_mats++ % MATS] = r;
}
static void do_swag(world *a) {
    made *m = some_net(a);
    bnn_swag_desc d;
    if (m == NULL) return;
    memset(&d, 0, sizeof d);
    d.rank = rarely(a) ? wild(a) : 2 + below(a, 3), d.diagonal = byte(a) % 4 == 0;
    if (a->swag.params == NULL || rarely(a))
        a->swag = bnn_swag_new(m->net.params, d);
    else if (byte(a) & 1)
        bnn_swag_collect(&a->swag);
    else
        bnn_swag_mean(&a->swag);
}

/* ---- metrics, diagnostics, judging ---- */
static void do_metric(world *a) {
    size_t n = 1 + below(a, 6), k = 1 + below(a, 3);
    bnn_mat p = k > 1 || rarely(a) ? simplex(a, n, k) : fits(a, n, 1), o = simplex(a, n, k);
    bnn_mat y = tame(a, n, 1, (int)k), r = fits(a, n, k), s = tame(a, n, k, 0), t = fits(a, n, k);
    bnn_reliability c;
    switch (below(a, 9)) {
    case 0: mix_double(a, bnn_metric_error(p, y)), mix_double(a, bnn_metric_nll(p, y)); break;
    case 1: mix_double(a, bnn_metric_rmse(r, t)), mix_double(a, bnn_metric_mae(r, t)); break;
    case 2:
        c = bnn_metric_reliability(p, y, wild(a)), mix_double(a, c.ece);
        mix_double(a, bnn_metric_brier(p, y));
        break;
    case 3:
        mix_double(a, bnn_metric_ece_equal_count(&a->out, p, y, wild(a)));
        mix_double(a, bnn_metric_ece(p, y, dim(a)));
        break;
    case 4: mix_double(a, bnn_metric_auroc(&a->out, fits(a, n, 1), tame(a, n, 1, 2))); break;
    case 5:
        mix_double(a, bnn_metric_gaussian_nll(r, s, t)),
            mix_double(a, bnn_metric_gaussian_crps(r, s, t));
        mix_double(a, bnn_metric_width(r, t));
        break;
    case 6:
        mix_double(a,
                   bnn_metric_sample_crps(&a->out, fits(a, 1, n), (double)number(a), byte(a) & 1));
        mix_double(a, bnn_metric_coverage(r, s, t)),
            mix_double(a, bnn_metric_pinball(r, t, (double)share(a)));
        mix_double(a, bnn_metric_interval_score(r, s, t, (double)share(a)));
        break;
    case 7:
        mix_double(a, bnn_metric_temperature(r, y)), mix_double(a, bnn_metric_agreement(p, o));
        mix_double(a, bnn_metric_total_variation(p, o)), mix_double(a, bnn_metric_kl(p, o));
        break;
    default:
        mix_double(a, bnn_metric_conformal(&a->out, fits(a, n, 1), (double)share(a)));
        for (n = 0; n < 64; n++) a->wide[n] = (double)n;
        mix_double(a, bnn_metric_area(below(a, 60), a->wide, a->wide, a->wide));
    }
}
static void do_diag(world *a) {
    bnn_mat d = fits(a, 1 + below(a, 4), 1 + below(a, 20)), b = fits(a, 1, 1 + below(a, 9)), c;
    bnn_mat f = fits(a, 1, 1 + below(a, 9));
    bnn_loo l;
    size_t i;
    for (i = 0; i < 64; i++) a->wide[i] = i < 8 ? (double)number(a) : (double)(i % 7);
    switch (below(a, 10)) {
    case 0:
        mix_double(a, bnn_diag_rhat(&a->out, d)), mix_double(a, bnn_diag_ess(&a->out, d));
        break;
    case 1:
        mix_double(a, bnn_diag_ess_bulk(&a->out, d)), mix_double(a, bnn_diag_ess_tail(&a->out, d));
        break;
    case 2:
        mix_double(a, bnn_diag_mcse(&a->out, d)),
            mix_double(a, bnn_diag_autocorrelation(b, wild(a)));
        break;
    case 3: mix_double(a, bnn_diag_waic(d).elpd); break;
    case 4:
        mix_double(a, bnn_diag_ks(&a->out, b, f)),
            mix_double(a, bnn_diag_wasserstein(&a->out, b, f));
        mix_double(a, bnn_diag_energy(&a->out, b, f)),
            mix_double(a, bnn_diag_ks_pvalue((double)share(a), 9));
        break;
    case 5: mix_double(a, bnn_diag_mmd(d, fits(a, 3, d.cols), (double)positive(a))); break;
    case 6:
        c = fits(a, 1, d.cols), bnn_diag_noise_ratio(c, d, (double)positive(a), 9, 1),
        mix_mat(a, c);
        break;
    case 7:
        mix_double(a, bnn_diag_ebfmi(a->wide, below(a, 65)));
        mix_double(a, bnn_diag_temperature(d, fits(a, d.rows, d.cols), (double)number(a)));
        break;
    case 8:
        l = bnn_diag_loo(&a->out, fits(a, 1, d.cols), fits(a, 1, d.cols), d, (double)share(a));
        mix_double(a, l.elpd), mix_double(a, l.worst_k);
        break;
    default: mix_double(a, bnn_diag_compare(b, f).se);
    }
}
static void do_judge(world *a) {
    size_t n = 1 + below(a, 5), k = 1 + below(a, 3), m = 1 + below(a, 12);
    bnn_mat lo = fits(a, n, k), hi = fits(a, n, k), o = fits(a, n, k), p = simplex(a, n, k), knots,
            x;
    size_t *folds;
    bnn_data d, e;
    bnn_epoch ep;
    bnn_batch b;
    d.x = fits(a, m, k), d.y = tame(a, m, 1, 2);
    switch (below(a, 6)) {
    case 0:
        bnn_conformal_interval(&a->out, lo, hi, fits(a, m, k), fits(a, m, k), fits(a, m, k),
                               (double)share(a));
        break;
    case 1:
        bnn_conformal_set(&a->out, o, p, simplex(a, m, k), tame(a, m, 1, (int)k), (double)share(a));
        break;
    case 2: bnn_recalibrate(byte(a) & 1 ? p : o, p, (double)number(a)); break;
    case 3:
        knots = bnn_isotonic(&a->out, fits(a, m, 1), fits(a, m, 1)), x = fits(a, n, 1);
        bnn_isotonic_apply(byte(a) & 1 ? x : fits(a, n, 1), knots, x), mix_mat(a, x);
        break;
    case 4:
        folds = bnn_data_folds(&a->out, d, wild(a), byte(a) & 1, &a->tape.rng);
        if (folds == NULL) break;
        e = bnn_data_fold(&a->out, d, folds, below(a, 4), byte(a) & 1), mix_mat(a, e.x);
        break;
    default:
        ep = bnn_epoch_new(&a->out, d, wild(a));
        for (n = 0; n < 20 && bnn_epoch_next(&ep, &a->tape, &b); n++) keep(a, b.x);
    }
    mix_mat(a, lo), mix_mat(a, o);
}

/* ---- Gaussians, Laplace, evidence ---- */
static bnn_gaussian *gaussian_of(world *a, size_t n) {
    size_t i, from = below(a, KINDS);
    for (i = 0; i < KINDS && !rarely(a); i++)
        if (a->gaussians[(from + i) % KINDS].n == n && n > 0)
            return &a->gaussians[(from + i) % KINDS];
    return &a->gaussians[from];
}
static void do_gaussian(world *a) {
    made *m = some_net(a);
    size_t n = 1 + below(a, 5), i;
    bnn_mat cov;
    bnn_gaussian *g = &a->gaussians[a->n_gaussians++ % KINDS];
    const bnn_ensemble *e;
    if (m == NULL) return;
    for (i = 0; i < MANY; i++)
        a->one[i] = i < 6 ? number(a) : 0,
        a->flags[i] = (unsigned char)(i < 8 ? below(a, 4) : i % 3);
    if (byte(a) & 1 && m->net.params != NULL) n = m->net.params->n;
    e = post_of(a, m->net.params);
    if (n > 60) n = 60;
    switch (below(a, 4)) {
    case 0:
        cov = matrix(a, n, n);
        for (i = 0; cov.data != NULL && i < n * n; i++)
            cov.data[i] = i % (n + 1) == 0 ? positive(a) : cov.data[i] / 64;
        *g = bnn_gaussian_new(&a->mem, n, byte(a) & 1 ? a->one : NULL, cov);
        break;
    case 1: *g = bnn_gaussian_new(&a->mem, n, a->one, tame(a, 1, n, 0)); break;
    case 2:
        if (e != NULL)
            *g = bnn_gaussian_fit(&a->mem, e, &m->net, (int)below(a, 4), (double)share(a));
        break;
    default:
        if (g->n <= MANY)
            *g = bnn_gaussian_reduce(&a->mem, gaussian_of(a, n), a->flags,
                                     byte(a) & 1 ? a->one : NULL);
    }
}
static void do_gaussian_use(world *a) {
    made *m = some_net(a);
    bnn_gaussian *g, *h;
    size_t n;
    if (m == NULL || m->net.params == NULL) return;
    g = gaussian_of(a, n = m->net.params->n), h = gaussian_of(a, g->n);
    if (g->n > MANY) return;
    memset(a->one, 0, sizeof a->one);
    switch (below(a, 5)) {
    case 0: mix_double(a, bnn_gaussian_log_pdf(g, a->one)); break;
    case 1: bnn_gaussian_sample(g, &a->tape.rng, a->one), mix_double(a, (double)a->one[0]); break;
    case 2: mix_double(a, bnn_gaussian_kl(g, h)); break;
    case 3: keep(a, bnn_gaussian_prior_nll(&a->tape, m->net.params, g)); break;
    default: keep(a, bnn_kl_gaussian(of(a, 1, g->n), above(a, 1, g->n), g));
    }
}
static void do_laplace(world *a) {
    made *m = some_net(a);
    bnn_laplace *la = &a->laplace;
    bnn_mat x, cov, o;
    bnn_data d;
    size_t n;
    if (m == NULL || m->net.params == NULL || m->net.params->n > 150) return;
    x = inputs(a, m), d = data_of(a, m), n = m->net.params->n;
    memset(&cov, 0, sizeof cov);
    switch (la->net.params == NULL ? 0 : below(a, 6)) {
    case 0: *la = bnn_laplace_new(&a->mem, &a->tape, &m->net, d, (int)below(a, 5)); break;
    case 1:
        x = fits(a, dim(a),
                 la->net.mlp != NULL ? net_of(a, la->net.params) ? net_of(a, la->net.params)->in : 1
                                     : 1);
        predicted(a, bnn_laplace_predict(&a->out, &a->tape, la, x), x);
        break;
    case 2: mix_mat(a, bnn_laplace_outputs(&a->out, &a->tape, la, x, &cov)), mix_mat(a, cov); break;
    case 3: bnn_laplace_push(la, &a->posts[below(a, KINDS)], &a->tape.rng); break;
    case 4:
        a->gaussians[a->n_gaussians++ % KINDS] =
            bnn_gaussian_laplace(&a->mem, la, (int)below(a, 4));
        break;
    default:
        if (n > 40) break;
        bnn_ggn(o = fits(a, byte(a) & 1 ? 1 : n, n), &a->tape, &m->net, x), mix_mat(a, o);
    }
}
static void do_ladder(world *a) {
    made *m = some_net(a);
    bnn_ladder_desc d;
    bnn_evidence e;
    if (m == NULL || m->net.params == NULL) return;
    memset(&d, 0, sizeof d);
    d.rungs = rarely(a) ? wild(a) % 70000 : 2 + below(a, 2), d.bend = maybe(a),
    d.warmup = 1 + below(a, 3);
    d.leapfrog = 1 + below(a, 3);
    if (a->ladder.rungs == 0 || rarely(a)) {
        a->data[m - a->nets] = data_of(a, m);
        if (d.rungs < 8) a->ladder = bnn_ladder_new(&a->mem, &m->net, a->data[m - a->nets], d);
    } else if (byte(a) & 1)
        bnn_ladder_step(&a->ladder, &a->tape);
    else {
        e = byte(a) & 1 ? bnn_ladder_integrate(&a->ladder, &a->tape, below(a, 4))
                        : bnn_ladder_anneal(&a->ladder, &a->tape, below(a, 3), below(a, 3));
        mix_double(a, e.log_evidence), mix_double(a, e.error);
    }
}

/* ---- structure, relevance, students ---- */
static void do_structure(world *a) {
    made *m = some_net(a), *o = some_net(a);
    bnn_hypergradient_desc h;
    problem p;
    size_t n = 1 + below(a, 4), i;
    bnn_data d;
    if (m == NULL || m->net.params == NULL || o->net.params == NULL || o->net.params->n_blocks == 0)
        return;
    memset(&h, 0, sizeof h);
    p = problem_of(a, m);
    for (i = 0; i < 64; i++) a->wide[i] = (double)positive(a), a->one[i] = number(a);
    d.x = fits(a, 1 + below(a, 6), n), d.y = fits(a, d.x.rows, 1);
    switch (below(a, 6)) {
    case 0: bnn_graph_probs(&m->net, post_of(a, m->net.params), wild(a), a->one); break;
    case 1: bnn_simplex_project(1 + below(a, 9), a->one), mix_double(a, (double)a->one[0]); break;
    case 2:
        if (m->net.params->n_blocks == 0 || m->net.params->n > 200) break;
        h.w = m->net.params, h.a = o->net.params, h.upper = h.lower = loss, h.user = &p;
        h.unroll = byte(a) & 1 ? 0 : share(a), h.implicit = byte(a) & 1,
        h.iterations = 1 + below(a, 4);
        h.damping = maybe(a), h.tolerance = maybe(a);
        mix_double(a, bnn_hypergradient(&a->tape, h).value);
        break;
    case 3:
        mix_double(a, bnn_linear_evidence(&a->out, fits(a, n, 1), fits(a, n, n), d, a->wide,
                                          (double)positive(a)));
        break;
    case 4:
        mix_double(a, bnn_linear_ard(&a->out, fits(a, n, 1), fits(a, n, n), d, a->wide,
                                     a->wide + 32, byte(a) & 1, 1 + below(a, 9)));
        break;
    default:
        d.x = tame(a, n, 2, 0), bnn_ard_update(tame(a, byte(a) & 1 ? n : 1, byte(a) & 1 ? 2 : 1, 0),
                                               fits(a, n, 2), d.x, byte(a) & 1);
    }
}
static void do_distill(world *a) {
    made *s = some_net(a), *m = some_net(a);
    bnn_distill_desc d;
    bnn_mat x;
    if (m == NULL || s == NULL || m->net.params == NULL || s->net.params == NULL) return;
    memset(&d, 0, sizeof d);
    d.steps = 1 + below(a, 3), d.batch = byte(a) & 1 ? 1 + below(a, 5)
                                         : rarely(a) ? wild(a) % 70000
                                                     : 2;
    d.lr = maybe(a), d.n_data = (double)maybe(a), d.inputs.noise = maybe(a),
    d.inputs.box = byte(a) & 1;
    d.inputs.margin = maybe(a), d.inputs.net = byte(a) & 3 ? NULL : &m->net;
    x = inputs(a, m);
    a->tape.progress = called, a->tape.progress_user = a, a->stop = (int)below(a, 6);
    if (byte(a) & 1)
        bnn_distill(&a->tape, &s->net, &m->net, post_of(a, m->net.params), x, d);
    else
        keep(a,
             bnn_distill_loss(&s->net, keep(a, bnn_distill_inputs(&a->tape, x, dim(a), d.inputs)),
                              &m->net, post_of(a, m->net.params)));
}
static void do_drop(world *a) {
    made *m = some_net(a);
    bnn_params *to = bnn_params_new(&a->mem);
    bnn_gaussian *g, out;
    bnn_net net;
    size_t i, n = below(a, 3), layer = byte(a) & 3 ? 1 : wild(a);
    if (m == NULL || m->net.params == NULL || to == NULL) return;
    g = gaussian_of(a, m->net.params->n);
    memset(&out, 0, sizeof out);
    for (i = 0; i < 3; i++) a->index[i] = below(a, 6);
    for (i = 0; i < MANY; i++) a->one[i] = 1;
    switch (below(a, 4)) {
    case 0: net = bnn_drop_neurons(to, &out, &m->net, g, layer, n, a->index, byte(a) & 1); break;
    case 1: net = bnn_drop_layer(to, &out, &m->net, g, layer); break;
    case 2:
        bnn_drop_order(&a->out, a->index, &m->net, g, layer, (int)below(a, 5), a->one,
                       &a->tape.rng);
        return;
    default:
        bnn_belsley(&a->out, fits(a, 1, 2), fits(a, 2, 2), fits(a, 2 + below(a, 3), 2),
                    byte(a) & 1);
        return;
    }
    if (net.params != NULL) a->gaussians[a->n_gaussians++ % KINDS] = out;
    got_net(a, net, m->in, m->out);
}
static void do_fit(world *a) {
    made *m = some_net(a);
    bnn_fit_desc d;
    bnn_posterior p;
    bnn_data data;
    if (m == NULL || m->net.params == NULL || m->net.params->n > 60) return;
    memset(&d, 0, sizeof d);
    data = data_of(a, m);
    d.method = (int)below(a, rarely(a) ? 13 : 11), d.chains = 1 + below(a, 2),
    d.draws = 1 + below(a, 3);
    d.batch = byte(a) & 3 ? 0 : dim(a), d.lr = byte(a) & 3 ? 0 : share(a),
    d.gradients = (double)(1 + byte(a));
    d.ess = (double)maybe(a), d.seed = byte(a), d.unscaled = byte(a) & 1;
    if (byte(a) & 1) d.probe = inputs(a, m);
    d.progress = called, d.progress_user = a, a->stop = byte(a) & 1 ? 0 : (int)byte(a);
    p = byte(a) & 1 && a->saved.data != NULL ? bnn_fit_resume(&a->mem, &m->net, data, a->saved, d)
                                             : bnn_fit(&a->mem, &m->net, data, d);
    if (p.post.samples.data != NULL) {
        MUST(bnn_mat_finite(bnn_mat_rows(p.post.samples, 0, p.post.count)));
        mix_mat(a, bnn_mat_rows(p.post.samples, 0, p.post.count));
    }
    MUST(a->mem.err == BNN_OK || p.post.count == 0 || p.err != BNN_OK);
    a->stop = byte(a) & 1 ? 0 : (int)byte(a);
    if (p.fit != NULL && a->mem.err == BNN_OK && byte(a) & 1) a->saved = bnn_fit_write(&a->mem, &p);
    if (p.fit != NULL && a->mem.err == BNN_OK && byte(a) & 1)
        bnn_fit_more(&p, (double)(1 + byte(a)));
    if (p.post.count > 0) a->posts[below(a, KINDS)] = p.post;
}

/* ---- files, tables ---- */
static void do_checkpoint(world *a) {
    bnn_checkpoint c;
    bnn_ensemble e = a->posts[0];
    bnn_rng r = a->tape.rng;
    made *m = some_net(a);
    bnn_net fresh;
    void *bytes = NULL;
    size_t n = 0;
    char path[64];
    if (m == NULL) return;
    memset(&c, 0, sizeof c);
    memset(&fresh, 0, sizeof fresh);
    c.nets[0] = &m->net, c.rngs[0] = &r;
    if (byte(a) & 1) c.ensembles[0] = &e;
    if (byte(a) & 1) c.steppers[1] = &a->steppers[below(a, KINDS)];
    if (byte(a) & 1) c.meanfields[0] = &a->fields[below(a, KINDS)];
    if (byte(a) & 1) c.bytes[2] = &a->saved;
    if (byte(a) % 8 == 0) {
        (void)snprintf(path, sizeof path, "build/fuzz/api-%ld-%lx.bnn", (long)getpid(), a->name);
        if (bnn_save(path, &m->net) == BNN_OK) {
            if (byte(a) & 1) fresh = bnn_layers_unread(&a->mem);
            bnn_load(&a->mem, path, &fresh);
            got_net(a, fresh, m->in, m->out);
        }
        (void)remove(path);
        return;
    }
    if (bnn_checkpoint_write(&a->out, &c, &bytes, &n) != BNN_OK) return;
    mix(a, bytes, n);
    if (byte(a) % 4 == 0 && n > 0) ((unsigned char *)bytes)[byte(a) * 7 % n] ^= 1;
    if (byte(a) & 1) {
        fresh = bnn_layers_unread(&a->mem), c.nets[0] = &fresh;
        c.steppers[1] = NULL, c.meanfields[0] = NULL;
    }
    bnn_checkpoint_read(&a->mem, &c, bytes, n);
    if (c.nets[0] == &fresh) got_net(a, fresh, m->in, m->out);
}
static size_t text(world *a, char *s, size_t room) {
    static const char words[] = "1234567890.,,,;\n\n\n\"ab -e?:/\t%\rNAyesno";
    size_t i, n = byte(a) % room;
    for (i = 0; i < n; i++) s[i] = words[below(a, sizeof words - 1)];
    if (rarely(a) && n > 0) s[below(a, n)] = (char)byte(a);
    s[n] = '\0';
    return n;
}
static void do_table(world *a) {
    char s[128];
    size_t n = text(a, s, sizeof s), size = 0;
    void *bytes;
    bnn_csv csv;
    bnn_csv_desc d;
    bnn_recipe_desc r;
    memset(&d, 0, sizeof d), memset(&r, 0, sizeof r), memset(&csv, 0, sizeof csv);
    d.header = (int)below(a, 3) - 1, d.reject_missing = byte(a) % 4 == 0;
    if (byte(a) % 8 == 0)
        d.separator = (char)byte(a), d.decimal = (char)byte(a), d.thousands = (char)byte(a);
    r.missing = (int)below(a, 6), r.unknown = (int)below(a, 4), r.max_classes = dim(a),
    r.date_order = (int)below(a, 4);
    r.target = byte(a) & 1 ? "1" : NULL, r.inputs = byte(a) % 4 ? NULL : "2,1",
    r.classes = byte(a) & 1 ? "2" : NULL;
    r.skip = byte(a) % 4 ? NULL : "2";
    switch (below(a, 7)) {
    case 0: bnn_csv_parse(&a->out, &csv, s, n, d), mix_mat(a, csv.values); break;
    case 1:
    case 2: bnn_table_parse(&a->mem, &a->table, s, n, d); break;
    case 3: bnn_table_add(&a->mem, &a->table, s, some(a), below(a, 3)); break;
    case 4:
        if (bnn_table_write(&a->out, &a->table, &bytes, &size) == BNN_OK) mix(a, bytes, size);
        break;
    case 5: a->recipe = bnn_recipe_new(&a->mem, &a->table, r); break;
    default: bnn_idx_parse(&a->out, &csv.values, s, n);
    }
    if (a->recipe.n_inputs > 0) {
        bnn_data data = bnn_recipe_data(&a->out, &a->recipe, &a->table, NULL);
        bnn_bytes b;
        mix_mat(a, data.x), mix_mat(a, data.y);
        mix(a, bnn_recipe_label(&a->recipe, wild(a)), 1);
        b = bnn_recipe_write(&a->mem, &a->recipe);
        if (b.data != NULL && byte(a) & 1) bnn_recipe_read(&a->mem, &a->recipe, b);
        for (n = 0; n < 4; n++) a->index[n] = below(a, 1 + a->table.rows);
        if (byte(a) & 1)
            bnn_recipe_means(&a->mem, &a->recipe, &a->table, byte(a) & 1 ? a->index : NULL,
                             below(a, 4));
    }
}
static void do_arrays(world *a) {
    made *m = some_net(a);
    void *bytes = NULL;
    size_t n = 0;
    bnn_mat c[2];
    if (m == NULL) return;
    c[0] = some(a), c[1] = some(a);
    switch (below(a, 5)) {
    case 0:
        bnn_arrays_add(&a->mem, &a->arrays, byte(a) & 1 ? "w" : byte(a) & 1 ? "" : "a/b", some(a));
        break;
    case 1: bnn_arrays_add_chains(&a->mem, &a->arrays, "posterior.f", c, below(a, 3)); break;
    case 2: bnn_arrays_add_draws(&a->mem, &a->arrays, a->posts, 1 + below(a, 2)); break;
    case 3:
        if (m->net.params != NULL)
            bnn_params_import(m->net.params, wild(a), &a->arrays, byte(a) & 1 ? "w" : "w, 0",
                              (int)below(a, 4));
        break;
    default:
        if (bnn_arrays_write(&a->out, &a->arrays, &bytes, &n) != BNN_OK) break;
        mix(a, bytes, n);
        if (byte(a) % 4 == 0 && n > 0) ((unsigned char *)bytes)[byte(a) * 7 % n] ^= 1;
        bnn_arrays_parse(&a->mem, &a->arrays, bytes, n);
    }
}
static void do_emit(world *a) {
    made *m = some_net(a);
    bnn_emit_desc d;
    bnn_emitted c;
    if (m == NULL || m->net.params == NULL) return;
    memset(&d, 0, sizeof d);
    d.storage = (int)below(a, 5), d.exact = byte(a) & 1, d.scratch = byte(a) & 1;
    d.name = byte(a) & 7 ? NULL : byte(a) & 1 ? "int" : "f_1";
    if (byte(a) % 4 == 0) d.moments = &a->fields[below(a, KINDS)];
    if (byte(a) & 1) d.x = inputs(a, m);
    c = bnn_emit_c(&a->out, &a->tape, &m->net, d.moments != NULL ? NULL : post_of(a, m->net.params),
                   d);
    MUST((c.text != NULL) == (a->out.err == BNN_OK && a->tape.err == BNN_OK));
    if (c.text == NULL) return;
    MUST(strlen(c.text) == c.size);
    mix(a, c.text, c.size);
}
static void do_memory(world *a) {
    bnn_mark mark = bnn_arena_mark(&a->other.mem);
    size_t n = wild(a), k = wild(a);
    switch (below(a, 4)) {
    case 0: a->left = byte(a) % 64; break; /* then allocations fail */
    case 1: bnn_arena_alloc(&a->out, n, k); break;
    case 2: (void)bnn_arena_used(&a->out), (void)bnn_arena_size(&a->out); break;
    default:
        bnn_tape_reset(&a->other);
        mark = bnn_arena_mark(&a->other.mem);
        if (bnn_mat_new(&a->other.mem, dim(a), dim(a)).data != NULL)
            bnn_arena_rewind(&a->other.mem, mark);
    }
}

/* ---- the program ---- */
typedef void (*call)(world *);
static const call calls[] = {
    do_one,          do_one,        do_two,        do_two,     do_scaled,    do_affine,
    do_shape,        do_image,      do_recurrent,  do_density, do_implicit,  do_soft,
    do_backward,     do_backward,   do_reset,      do_mat,     do_linear,    do_rng,
    do_special,      do_mlp,        do_mlp,        do_layers,  do_layers,    do_own_net,
    do_graph,        do_net,        do_net,        do_theta,   do_smaller,   do_sampler,
    do_stepper,      do_stepper,    do_step,       do_step,    do_step,      do_check,
    do_field,        do_field_part, do_field_part, do_post,    do_post,      do_predict,
    do_predict,      do_swag,       do_metric,     do_diag,    do_judge,     do_gaussian,
    do_gaussian_use, do_laplace,    do_laplace,    do_ladder,  do_structure, do_distill,
    do_drop,         do_fit,        do_checkpoint, do_table,   do_arrays,    do_emit,
    do_memory
};

static void said(world *a, int *err, char *msg) {
    MUST(*err >= BNN_OK && *err <= BNN_ECANCEL);
    MUST(memchr(msg, '\0', BNN_MSG) != NULL && (*err == BNN_OK || msg[0] != '\0'));
    if (*err != BNN_OK) mix(a, err, sizeof *err), mix(a, msg, strlen(msg));
}
static void after(world *a) { /* each call */
    size_t i, j;
    said(a, &a->mem.err, a->mem.msg), said(a, &a->out.err, a->out.msg);
    said(a, &a->tape.err, a->tape.msg), said(a, &a->other.err, a->other.msg);
    for (i = 0; i < a->n_nets; i++) {
        const bnn_params *w = a->nets[i].net.params;
        for (j = 0; w != NULL && j < w->n; j++) MUST(a->dirty || bnn__finite(w->theta[j]));
        if (w != NULL) mix(a, w->theta, w->n * sizeof *w->theta);
    }
    if (byte(a) % 4 == 0) return; /* an error stays for a while */
    a->left = (size_t)-1, a->failing = 0;
    bnn_tape_clear_error(&a->tape), bnn_tape_clear_error(&a->other);
    a->mem.err = a->out.err = BNN_OK;
    a->mem.msg[0] = a->out.msg[0] = '\0';
}

static uint64_t run(const uint8_t *data, size_t size, int garbage) {
    const size_t room = (size_t)1 << 18;
    world *a = (world *)calloc(1, sizeof *a);
    char *buffers = (char *)malloc(3 * room);
    uint64_t digest;
    size_t i, how, calls_left = 60;
    bnn_arena *arenas[4];
    MUST(a != NULL && buffers != NULL);
    a->at = data, a->end = data + size, a->garbage = garbage, a->left = (size_t)-1;
    a->name = bnn__crc32(data, size);
    arenas[0] = &a->mem, arenas[1] = &a->out, arenas[2] = &a->tape.mem, arenas[3] = &a->other.mem;
    how = byte(a);
    a->edges = how & 1;
    for (i = 0; i < 4; i++) {
        arenas[i]->alloc.fn = hook, arenas[i]->alloc.user = a;
        arenas[i]->on_note = noted, arenas[i]->note_user = a;
        if (i < 3 && how % 16 == 7) {
            arenas[i]->buffer = memset(buffers + i * room, garbage, room);
            arenas[i]->capacity = room >> (how / 16 % 4);
        }
    }
    a->tape.on_note = noted, a->tape.note_user = a;
    while (a->at < a->end && calls_left-- > 0) {
        size_t which = below(a, COUNT(calls));
        calls[which](a);
        after(a);
#ifdef FUZZ_TRACE
        fprintf(stderr, "%02x call %u digest %016llx %s%s\n", garbage, (unsigned)which,
                (unsigned long long)a->digest, a->mem.msg, a->tape.msg);
#endif
        if (a->total > (size_t)1 << 26) break;
    }
    bnn_tape_free(&a->tape), bnn_tape_free(&a->other);
    bnn_arena_free(&a->mem), bnn_arena_free(&a->out);
    MUST(a->live == 0);
    digest = a->digest;
    free(a), free(buffers);
    return digest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t first;
    if (size > 4096) return 0;
    first = run(data, size, 0xa5);
    MUST(first == run(data, size, 0x5a)); /* nothing came from memory that nobody wrote */
    return 0;
}

#if defined FUZZ_RANDOM || defined FUZZ_THREADS
static size_t program(unsigned char bytes[600], unsigned long seed) {
    bnn_rng r = bnn_rng_seed(seed);
    size_t i;
    for (i = 0; i < 600; i++) bytes[i] = (unsigned char)(bnn_rng_u32(&r) & 255);
    return 50 + bnn_rng_below(&r, 550);
}
#endif
#ifdef FUZZ_RANDOM /* programs from a generator, without a fuzzer */
int main(int argc, char **argv) {
    static unsigned char bytes[600];
    unsigned long seed = argc > 1 ? strtoul(argv[1], NULL, 10) : 1,
                  n = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;
    for (; n > 0; n--, seed++) {
        if (argc > 3) printf("%lu\n", seed), fflush(stdout);
        LLVMFuzzerTestOneInput(bytes, program(bytes, seed));
    }
    return 0;
}
#endif
#ifdef FUZZ_THREADS /* four of them at once, each with what it owns; they end as they do alone */
#include <pthread.h>
typedef struct job {
    unsigned char bytes[600];
    size_t n;
    uint64_t digest;
} job;
static void *job_run(void *user) {
    job *j = (job *)user;
    j->digest = run(j->bytes, j->n, 0xa5);
    return NULL;
}
int main(int argc, char **argv) {
    static job jobs[4];
    pthread_t threads[4];
    unsigned long seed = argc > 1 ? strtoul(argv[1], NULL, 10) : 1,
                  n = argc > 2 ? strtoul(argv[2], NULL, 10) : 100;
    size_t i;
    for (; n > 0; n--) {
        for (i = 0; i < 4; i++) {
            jobs[i].n = program(jobs[i].bytes, seed++);
            MUST(pthread_create(&threads[i], NULL, job_run, &jobs[i]) == 0);
        }
        for (i = 0; i < 4; i++) MUST(pthread_join(threads[i], NULL) == 0);
        for (i = 0; i < 4; i++) MUST(jobs[i].digest == run(jobs[i].bytes, jobs[i].n, 0x5a));
    }
    return 0;
}
#endif
#include "fuzz.h"
