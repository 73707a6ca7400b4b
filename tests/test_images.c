/* test_images.c -- convolutions, pools, upsampling and norms: PyTorch's values, the dense layer of
 * a Toeplitz matrix bit for bit, adjoints, central differences, ties and NaN, what is refused. */
#define TIGHT BUILD_TOL(3e-5, 1e-12)
#include "torch.h"

static bnn_image image(size_t h, size_t w, size_t c) { bnn_image m = { h, w, c }; return m; }
static bnn_window window(size_t kernel, size_t kernel_w, size_t stride, size_t pad, int same) {
    bnn_window v = { kernel, kernel_w, stride, pad, same };
    return v;
}

/* ---- PyTorch */

/* y and all gradients; x (n, pixels), w (rows, cols), one b a channel that comes out */
#define CONV(name, op, n, pixels, rows, cols, channels, in, how)                                   \
    do {                                                                                           \
        bnn_var *x = LEAF(name##_x, n, pixels), *w = LEAF(name##_w, rows, cols);                   \
        bnn_var *b = LEAF(name##_b, 1, channels), *y = op(x, w, b, in, how);                       \
        AGAINST(y, name);                                                                          \
        GRAD(x, name##_gx), GRAD(w, name##_gw), GRAD(b, name##_gb);                                \
    } while (0)

static void convolutions_are_those_of_pytorch(void) {
    open_all(1);
    CONV(conv_a, bnn_conv2d, 2, 90, 27, 4, 4, image(5, 6, 3), window(3, 0, 0, 0, 0));
    CONV(conv_b, bnn_conv2d, 2, 70, 12, 3, 3, image(7, 5, 2), window(3, 2, 2, 1, 0));
    CONV(conv_same, bnn_conv2d, 1, 40, 24, 2, 2, image(5, 4, 2), window(3, 4, 1, 0, 1));
    CONV(conv_t, bnn_conv2d_transpose, 2, 36, 3, 32, 2, image(3, 4, 3), window(4, 0, 2, 1, 0));
    close_all();
}

static void pools_and_norms_are_those_of_pytorch(void) {
    open_all(1);
    bnn_var *x = LEAF(max_pool_x, 2, 126), *a, *b;
    bnn_var *y = bnn_max_pool2d(x, image(7, 6, 3), window(3, 0, 2, 1, 0));
    AGAINST(y, max_pool);
    GRAD(x, max_pool_gx);
    x = LEAF(avg_pool_x, 2, 126);
    y = bnn_avg_pool2d(x, image(7, 6, 3), window(3, 0, 2, 1, 0));
    AGAINST(y, avg_pool);
    GRAD(x, avg_pool_gx);
    x = LEAF(norm_x, 2, 36), a = LEAF(norm_a, 1, 6), b = LEAF(norm_b, 1, 6);
    y = bnn_group_norm(x, a, b, image(3, 2, 6), 3);
    AGAINST(y, norm);
    GRAD(x, norm_gx), GRAD(a, norm_ga), GRAD(b, norm_gb);
    close_all();
}

/* ---- a convolution is a dense layer */

typedef struct shape {
    size_t h, w, c, k, kernel, kernel_w, stride, pad;
    int same;
} shape;
static const shape shapes[] = {
    { 5, 7, 3, 4, 3, 0, 0, 0, 0 }, { 7, 5, 2, 5, 3, 2, 2, 1, 0 }, { 6, 6, 1, 2, 5, 0, 0, 0, 0 },
    { 9, 8, 3, 3, 4, 0, 3, 2, 0 }, { 5, 4, 2, 3, 3, 0, 2, 0, 1 }, { 4, 4, 5, 7, 1, 0, 0, 0, 0 },
    { 1, 11, 2, 3, 1, 4, 1, 0, 0 }, { 7, 3, 1, 2, 7, 3, 0, 0, 0 }, { 4, 5, 2, 2, 6, 0, 1, 0, 1 },
    { 5, 5, 2, 3, 1, 0, 3, 0, 1 }, { 3, 3, 17, 33, 3, 0, 1, 1, 0 }, { 7, 7, 2, 3, 2, 0, 3, 0, 0 } };

static bnn_window window_of(const shape *s) {
    return window(s->kernel, s->kernel_w, s->stride, s->pad, s->same);
}

/* From the definition alone: w as a matrix (h w c, oh ow k) */
static bnn_mat toeplitz(const shape *s, bnn_mat w, bnn_image out) {
    size_t kw = s->kernel_w ? s->kernel_w : s->kernel, step = s->stride ? s->stride : 1;
    size_t need_h = (out.h - 1) * step + s->kernel, need_w = (out.w - 1) * step + kw;
    size_t top = s->same ? (need_h > s->h ? (need_h - s->h) / 2 : 0) : s->pad;
    size_t left = s->same ? (need_w > s->w ? (need_w - s->w) / 2 : 0) : s->pad;
    bnn_mat t = bnn_mat_new(&mem, s->h * s->w * s->c, out.h * out.w * s->k);
    for (size_t y = 0; y < out.h; y++) for (size_t x = 0; x < out.w; x++)
    for (size_t i = 0; i < s->kernel; i++) for (size_t j = 0; j < kw; j++)
    for (size_t c = 0; c < s->c; c++) for (size_t k = 0; k < s->k; k++) {
        size_t iy = y * step + i, ix = x * step + j;
        if (iy < top || iy - top >= s->h || ix < left || ix - left >= s->w) continue;
        t.data[(((iy - top) * s->w + ix - left) * s->c + c) * t.cols + (y * out.w + x) * s->k + k] =
            w.data[((i * kw + j) * s->c + c) * w.cols + k];
    }
    return t;
}

static void toeplitz_agrees(const shape *s, size_t n) {
    size_t kw = s->kernel_w ? s->kernel_w : s->kernel;
    bnn_image in = image(s->h, s->w, s->c), out = bnn_image_conv(in, s->k, window_of(s));
    open_all(2);
    bnn_mat w = normals(s->kernel * kw * s->c, s->k, 0.5), b = normals(1, s->k, 1);
    bnn_mat full = toeplitz(s, w, out), all = bnn_mat_new(&mem, 1, out.h * out.w * s->k);
    for (size_t i = 0; i < all.cols; i++) all.data[i] = b.data[i % s->k];
    bnn_var *x = bnn_leaf(&tape, normals(n, s->h * s->w * s->c, 1));
    bnn_var *x2 = bnn_leaf(&tape, x->val);
    bnn_var *y = bnn_conv2d(x, bnn_input(&tape, w), bnn_input(&tape, b), in, window_of(s));
    bnn_var *z = bnn_affine(x2, bnn_input(&tape, full), bnn_input(&tape, all));
    CHECK(y->val.cols == out.h * out.w * out.c && out.c == s->k && z->val.cols == y->val.cols);
    if (y->val.data != NULL) CHECK_SAME_ARRAY(y->val.data, z->val.data, n * all.cols);
    bnn_mat g = normals(n, all.cols, 1);
    bnn_backward_from(y, g);
    bnn_backward_from(z, g);
    for (size_t i = 0; i < n * x->val.cols && x->grad.data; i++)
        CHECK_NEAR(x->grad.data[i], x2->grad.data[i], BUILD_TOL(2e-4, 1e-11));
    close_all();
}

static void a_convolution_is_the_dense_layer_of_its_toeplitz_matrix(void) {
    static const shape tall = { 12, 13, 3, 5, 3, 0, 1, 1, 0 };
    static const shape deep = { 5, 5, 90, 3, 3, 0, 1, 1, 0 };
    for (size_t i = 0; i < COUNT(shapes); i++) toeplitz_agrees(&shapes[i], 3);
    toeplitz_agrees(&tall, 41); /* several tiles; an image is cut by one */
    toeplitz_agrees(&deep, 7);
}

static double inner(bnn_mat a, bnn_mat b) { return bnn_mat_dot(a, b); }

static void a_transposed_convolution_is_the_adjoint(void) {
    for (size_t i = 0; i < COUNT(shapes); i++) {
        const shape *s = &shapes[i];
        size_t kw = s->kernel_w ? s->kernel_w : s->kernel;
        bnn_image in = image(s->h, s->w, s->c), out = bnn_image_conv(in, s->k, window_of(s));
        bnn_image back = bnn_image_conv_transpose(out, s->c, window_of(s));
        if (back.h != s->h || back.w != s->w) continue; /* rows no window reaches */
        open_all(3);
        bnn_var *w = bnn_input(&tape, normals(s->kernel * kw * s->c, s->k, 0.5));
        bnn_var *x = bnn_input(&tape, normals(4, s->h * s->w * s->c, 1));
        bnn_var *y = bnn_input(&tape, normals(4, out.h * out.w * out.c, 1));
        bnn_var *p = bnn_conv2d(x, w, NULL, in, window_of(s));
        bnn_var *q = bnn_conv2d_transpose(y, bnn_transpose(w), NULL, out, window_of(s));
        CHECK_NEAR(inner(p->val, y->val), inner(x->val, q->val), BUILD_TOL(1e-3, 1e-11));
        close_all();
    }
}

static void upsampling_is_the_adjoint_of_pooling(void) {
    bnn_image in = image(6, 9, 5), out = image(2, 3, 5);
    open_all(4);
    bnn_var *x = bnn_input(&tape, normals(3, 270, 1)), *y = bnn_input(&tape, normals(3, 30, 1));
    bnn_var *p = bnn_avg_pool2d(x, in, window(3, 0, 0, 0, 0)), *q = bnn_upsample2d(y, out, 3);
    CHECK_NEAR(9 * inner(p->val, y->val), inner(x->val, q->val), BUILD_TOL(1e-4, 1e-12));
    for (size_t i = 0; i < 270; i++) {
        size_t row = i / 45, col = i % 45 / 5;
        CHECK(q->val.data[i] == y->val.data[(row / 3 * 3 + col / 3) * 5 + i % 5]);
    }
    close_all();
}

static void a_pool_without_a_kernel_is_global(void) {
    bnn_image in = image(3, 5, 2);
    open_all(5);
    bnn_var *x = bnn_input(&tape, normals(2, 30, 1));
    bnn_var *a = bnn_avg_pool2d(x, in, window(0, 0, 0, 0, 0));
    bnn_var *m = bnn_max_pool2d(x, in, window(0, 0, 0, 0, 0));
    for (size_t i = 0; i < 4; i++) {
        double sum = 0, top = -9;
        for (size_t p = 0; p < 15; p++) {
            double v = (double)x->val.data[i / 2 * 30 + 2 * p + i % 2];
            sum += v / 15;
            if (v > top) top = v;
        }
        CHECK_NEAR(a->val.data[i], sum, BUILD_TOL(1e-6, 1e-14));
        CHECK((double)m->val.data[i] == top);
    }
    CHECK(a->val.cols == 2 && bnn_image_pool(in, window(0, 0, 0, 0, 0)).h == 1);
    close_all();
}

/* ---- derivatives */

enum { CONV, CONV_T, AVG, MAX, UP, NORM, PLAIN_NORM, LAYER_NORM };
typedef struct task {
    int kind;
    shape s;
    bnn_params *w;
} task;

static bnn_var *task_loss(bnn_tape *t, void *user) {
    const task *k = (const task *)user;
    bnn_image in = image(k->s.h, k->s.w, k->s.c);
    bnn_window v = window_of(&k->s);
    bnn_var *x = bnn_param(t, k->w, 0), *w = bnn_param(t, k->w, 1), *b = bnn_param(t, k->w, 2), *y;
    switch (k->kind) {
    case CONV: y = bnn_conv2d(x, w, b, in, v); break;
    case CONV_T: y = bnn_conv2d_transpose(x, w, b, in, v); break;
    case AVG: y = bnn_avg_pool2d(x, in, v); break;
    case MAX: y = bnn_max_pool2d(x, in, v); break;
    case UP: y = bnn_upsample2d(x, in, 2); break;
    case NORM: y = bnn_group_norm(x, w, b, in, 2); break;
    case PLAIN_NORM: y = bnn_group_norm(x, NULL, NULL, in, 2); break;
    default: y = bnn_layer_norm(x, w, b); break;
    }
    return bnn_mean(bnn_mul(y, bnn_shift(y, (float)0.5)));
}

static void slopes_agree(int kind, const shape *s) {
    size_t kw = s->kernel_w ? s->kernel_w : s->kernel, area = s->kernel * kw;
    task k = { .kind = kind, .s = *s };
    open_all(6);
    k.w = bnn_params_new(&mem);
    bnn_params_add(k.w, 2, s->h * s->w * s->c, "x", flat);
    if (kind == CONV) bnn_params_add(k.w, area * s->c, s->k, "w", flat);
    else if (kind == CONV_T) bnn_params_add(k.w, s->c, area * s->k, "w", flat);
    else bnn_params_add(k.w, 1, kind == LAYER_NORM ? s->h * s->w * s->c : s->c, "w", flat);
    if (kind < AVG) bnn_params_add(k.w, 1, s->k, "b", flat);
    else bnn_params_add(k.w, 1, kind == LAYER_NORM ? s->h * s->w * s->c : s->c, "b", flat);
    bnn_rng_fill_normal(&tape.rng, k.w->n, k.w->theta);
    for (size_t i = 0; i < k.w->n; i++) k.w->theta[i] *= (float)0.4; /* a loss near 1 */
    double worst = bnn_grad_check(&tape, k.w, task_loss, &k);
    if (!CHECK(worst < BUILD_TOL(3e-2, 1e-7)))
        printf("    kind %d, %zux%zux%zu: %g\n", kind, s->h, s->w, s->c, worst);
    close_all();
}

static void every_gradient_is_that_of_central_differences(void) {
    static const shape norms = { 3, 5, 4, 0, 1, 0, 0, 0, 0 };
    for (size_t i = 0; i < COUNT(shapes) - 2; i++) {
        slopes_agree(CONV, &shapes[i]);
        slopes_agree(CONV_T, &shapes[i]);
        slopes_agree(AVG, &shapes[i]);
        if (sizeof(float) == 8) slopes_agree(MAX, &shapes[i]); /* a float's step meets kinks */
    }
    slopes_agree(UP, &norms);
    slopes_agree(NORM, &norms);
    slopes_agree(PLAIN_NORM, &norms);
    slopes_agree(LAYER_NORM, &norms);
}

static void a_norm_does_not_see_its_neighbors(void) {
    open_all(7);
    bnn_mat m = normals(3, 24, 1);
    bnn_var *all = bnn_group_norm(bnn_input(&tape, m), NULL, NULL, image(2, 3, 4), 2);
    bnn_var *one = bnn_group_norm(bnn_input(&tape, bnn_mat_rows(m, 1, 1)), NULL, NULL,
                                  image(2, 3, 4), 2);
    CHECK_SAME_ARRAY(one->val.data, all->val.data + 24, 24);
    close_all();
}

static void the_first_of_equals_gets_the_gradient_and_nan_stays(void) {
    double nan = bnn__nan(), inf = bnn__inf();
    double v[] = { 1, 1, 1, 0,   2, nan, nan, 5,   -inf, -inf, -inf, -inf };
    open_all(8);
    bnn_var *x = bnn_leaf(&tape, values(3, 4, v));
    bnn_var *y = bnn_max_pool2d(x, image(2, 2, 1), window(2, 0, 0, 0, 0));
    double one[] = { 3, 4, 5 };
    CHECK((double)y->val.data[0] == 1 && (double)y->val.data[2] == -inf);
    CHECK(bnn__is_nan((double)y->val.data[1]));
    bnn_backward_from(y, values(3, 1, one));
    double want[] = { 3, 0, 0, 0,  0, 4, 0, 0,  5, 0, 0, 0 };
    for (int i = 0; i < 12; i++) CHECK((double)x->grad.data[i] == want[i]);
    double wide[] = { 1, nan, 3, 4, 5, nan, 7, 8, 9, 10, 2, 1, 4, nan, 3, 3, 2, 1, 9, 9, 9 };
    x = bnn_input(&tape, values(1, 21, wide));
    y = bnn_max_pool2d(x, image(3, 1, 7), window(3, 1, 0, 0, 0));
    for (int c = 0; c < 7; c++) { /* a vector of channels and its rest */
        double top = -9;
        int bad = 0;
        for (int i = c; i < 21; i += 7) {
            if (wide[i] != wide[i]) bad = 1;
            else if (wide[i] > top) top = wide[i];
        }
        CHECK(bad ? bnn__is_nan((double)y->val.data[c]) : (double)y->val.data[c] == top);
    }
    close_all();
}

/* ---- bits and memory */

static void step_of(bnn_mat x, bnn_mat w, bnn_mat v, bnn_mat *out, float *grads) {
    bnn_tape_reset(&tape);
    bnn_image in = image(9, 11, 6), mid = bnn_image_conv(in, 19, window(3, 0, 2, 1, 0));
    bnn_var *a = bnn_leaf(&tape, x), *p = bnn_leaf(&tape, w), *q = bnn_leaf(&tape, v);
    bnn_var *y = bnn_conv2d(a, p, NULL, in, window(3, 0, 2, 1, 0));
    y = bnn_conv2d_transpose(bnn_relu(y), q, NULL, mid, window(4, 0, 2, 0, 1));
    y = bnn_max_pool2d(y, image(10, 12, 5), window(2, 0, 0, 0, 0));
    bnn_backward(bnn_sum(bnn_square(y)));
    *out = y->val;
    memcpy(grads, a->grad.data, x.rows * x.cols * sizeof *grads);
    memcpy(grads + x.rows * x.cols, p->grad.data, w.rows * w.cols * sizeof *grads);
    memcpy(grads + x.rows * x.cols + w.rows * w.cols, q->grad.data,
           v.rows * v.cols * sizeof *grads);
}

static void bits_are_those_of_any_level_and_number_of_threads(void) {
    open_all(9);
    bnn_mat x = normals(37, 594, 1), w = normals(54, 19, 0.3), v = normals(19, 80, 0.3), out;
    size_t n = 37 * 594 + 54 * 19 + 19 * 80;
    float *first = bnn_mat_new(&mem, 1, n).data, *again = bnn_mat_new(&mem, 1, n).data;
    int top = bnn__cpu();
    step_of(x, w, v, &out, first);
    bnn_mat kept = bnn_mat_copy(&mem, out);
    if (top == 16) {
        bnn__cpu_level = 8;
        step_of(x, w, v, &out, again);
        CHECK_SAME_ARRAY(kept.data, out.data, kept.rows * kept.cols);
        CHECK_SAME_ARRAY(first, again, n);
        bnn__cpu_level = 16;
    }
#if defined(_OPENMP)
    for (int threads = 1; threads <= 5; threads++) {
        omp_set_num_threads(threads);
        step_of(x, w, v, &out, again);
        CHECK_SAME_ARRAY(kept.data, out.data, kept.rows * kept.cols);
        CHECK_SAME_ARRAY(first, again, n);
    }
#endif
    close_all();
}

/* By patches: products with all of them at once, and what they add up to where they are from */
static void by_patches(const bnn__slide *s, size_t n, size_t k, const bnn_mat *m, float *room) {
    size_t depth = s->kh * s->kw * s->c, pixels = n * s->rows * s->cols;
    bnn__patches(s, 0, pixels, room, m[0].data, NULL);
    for (size_t i = 0; i < pixels * k; i++) m[4].data[i] = m[2].data[i % k];
    bnn__gemm(pixels, k, depth, room, depth, 1, m[1].data, k, 1, m[4].data, k, 1);
    bnn__gemm(depth, k, pixels, room, 1, depth, m[3].data, k, 1, m[5].data, k, 0);
    bnn__gemm(pixels, depth, k, m[3].data, k, 1, m[1].data, 1, k, room, depth, 0);
    bnn_mat_fill(m[6], 0);
    bnn__patches(s, 0, pixels, room, NULL, m[6].data);
}

static void a_convolution_has_the_bits_of_its_patches(void) {
    static const size_t c[] = { 1, 3, 16, 20, 33, 64 }, k[] = { 1, 8, 16, 20, 40, 64 };
    int top = bnn__cpu();
    open_all(21);
    for (size_t i = 0; i < 72; i++) {
        bnn__slide s;
        bnn_mark mark = bnn_arena_mark(&mem);
        bnn_image in = image(4 + i % 7, 4 + i % 11 * 2, c[i / 6 % 6]);
        bnn_window v = window(1 + i % 5, 1 + i % 4, 1 + i % 3, 0, i % 2 == 0);
        if (i == 70) in = image(65, 40, 33); /* more than one band */
        v.pad = !v.same && v.kernel > 1 && v.kernel_w > 1;
        if (!bnn__slide_of(&s, in, v, 0)) continue;
        size_t n = 3, depth = s.kh * s.kw * s.c, many = k[i % 6], pixels = n * s.rows * s.cols;
        bnn_mat m[7] = { normals(n, in.h * in.w * in.c, 1), normals(depth, many, 1),
                         normals(1, many, 1), normals(pixels, many, 1), normals(pixels, many, 1),
                         normals(depth, many, 1), normals(n, in.h * in.w * in.c, 1) };
        float *room = bnn_mat_new(&mem, pixels, depth).data;
        float *own = bnn_mat_new(&mem, 1, bnn__conv_room(&s, many)).data;
        bnn_mat y = normals(pixels, many, 1), gw = normals(depth, many, 1);
        bnn_mat gx = bnn_mat_new(&mem, n, m[6].cols);
        for (size_t j = 0; j < pixels * many; j += 3) m[3].data[j] = 0;
        by_patches(&s, n, many, m, room);
        for (int level = top; level >= 8 || level == top; level /= 2) {
            bnn__cpu_level = level;
            bnn_mat_fill(gx, 0);
            bnn__conv(&s, pixels, many, m[0].data, m[1].data, many, 1, m[2].data, y.data, 0, own);
            bnn__conv_weights(&s, pixels, many, m[0].data, m[3].data, gw.data, 0, 0, own);
            bnn__conv_back(&s, pixels, many, m[3].data, m[1].data, many, 1, gx.data, own);
            CHECK_SAME_ARRAY(m[4].data, y.data, pixels * many);
            CHECK_SAME_ARRAY(m[5].data, gw.data, depth * many);
            CHECK_SAME_ARRAY(m[6].data, gx.data, n * m[6].cols);
        }
        bnn__cpu_level = top;
        bnn_arena_rewind(&mem, mark);
    }
    close_all();
}

static void scratch_does_not_grow_with_the_batch(void) {
    bnn_image in = image(16, 16, 8);
    open_all(10);
    for (size_t n = 5; n <= 320; n *= 8) { /* beside the values: 8 of the patches of an image */
        size_t bytes = (n * 2048 + 18432 * 8) * sizeof(float);
        bnn_tape one = { .mem = { .buffer = malloc(bytes), .capacity = bytes } };
        bnn_var *x = bnn_input(&one, normals(n, 2048, 1)), *w = bnn_input(&one, normals(72, 8, 1));
        for (int threads = bnn__threads() > 3; threads < 1; threads++)
            bnn_conv2d(x, w, NULL, in, window(3, 0, 0, 0, 1));
        CHECK(one.err == BNN_OK);
        free(one.mem.buffer);
    }
    close_all();
}

static void no_gradient_of_x_is_made_where_nobody_wants_it(void) {
    open_all(11);
    bnn_var *x = bnn_input(&tape, normals(2, 25, 1)), *w = bnn_leaf(&tape, normals(9, 2, 1));
    bnn_backward(bnn_sum(bnn_conv2d(x, w, NULL, image(5, 5, 1), window(3, 0, 0, 0, 0))));
    CHECK(x->grad.data == NULL && w->grad.data != NULL);
    for (int o = 0; o < 2; o++) { /* the sum of what each weight saw */
        double sum = 0;
        for (size_t i = 0; i < 50; i++)
            if (i % 25 / 5 < 3 && i % 5 < 3) sum += (double)x->val.data[i];
        CHECK_NEAR(w->grad.data[o], sum, BUILD_TOL(1e-5, 1e-13));
    }
    close_all();
}

/* ---- refused */

static void what_does_not_fit_is_refused_with_its_shapes(void) {
    size_t huge = SIZE_MAX / 2;
    bnn_window v = window(3, 0, 0, 0, 0);
    open_all(12);
    bnn_var *x = bnn_input(&tape, normals(2, 50, 1)), *w = bnn_input(&tape, normals(18, 3, 1));
    bnn_var *b = bnn_input(&tape, normals(1, 4, 1));
    bnn_conv2d(x, w, NULL, image(5, 5, 3), v);
    CHECK(took(BNN_ESHAPE, "bnn_conv2d: x is 2x50, its rows cannot be images of 5x5x3"));
    bnn_conv2d(x, w, NULL, image(huge, huge, 2), v);
    CHECK(took(BNN_ESHAPE, "its rows cannot be images of"));
    bnn_conv2d(x, w, NULL, image(5, 0, 2), v);
    CHECK(took(BNN_ESHAPE, "images of 5x0x2"));
    bnn_conv2d(x, w, NULL, image(5, 5, 2), window(6, 7, 1, 0, 0));
    CHECK(took(BNN_ESHAPE, "bnn_conv2d: a kernel of 6x7, stride 1, with 0 zeros around does not "
                           "fit images of 5x5x2"));
    bnn_conv2d(x, w, NULL, image(5, 5, 2), window(3, 0, 0, 3, 0));
    CHECK(took(BNN_ESHAPE, "with 3 zeros around"));
    bnn_conv2d(x, w, NULL, image(5, 5, 2), window(0, 0, 0, 0, 0));
    CHECK(took(BNN_ESHAPE, "a kernel of 0x0"));
    bnn_conv2d(x, w, NULL, image(5, 5, 2), window(huge, 0, 0, 0, 1));
    CHECK(took(BNN_ESHAPE, "does not fit"));
    bnn_conv2d(x, w, NULL, image(5, 5, 2), window(3, 0, huge, 0, 0));
    CHECK(took(BNN_ESHAPE, "does not fit"));
    bnn_conv2d(x, w, NULL, image(5, 5, 2), window(3, 0, 0, huge, 0));
    CHECK(took(BNN_ESHAPE, "does not fit"));
    bnn_conv2d(x, w, NULL, image(5, 5, 2), window(2, 0, 0, 0, 0));
    CHECK(took(BNN_ESHAPE, "bnn_conv2d: w is 18x3, a kernel of 2x2 on 2 channels needs 8 rows"));
    bnn_conv2d(x, w, b, image(5, 5, 2), v);
    CHECK(took(BNN_ESHAPE, "bnn_conv2d: b is 1x4 for 3 channels"));
    bnn_conv2d_transpose(x, w, NULL, image(5, 5, 2), v);
    CHECK(took(BNN_ESHAPE, "bnn_conv2d_transpose: w is 18x3, images of 5x5x2 need 2 rows"));
    w = bnn_input(&tape, normals(2, 28, 1));
    bnn_conv2d_transpose(x, w, NULL, image(5, 5, 2), v);
    CHECK(took(BNN_ESHAPE, "bnn_conv2d_transpose: w is 2x28, a kernel of 3x3 on 3 channels needs "
                           "27 columns"));
    bnn_conv2d_transpose(x, w, NULL, image(5, 5, 2), window(3, 0, huge, 0, 0));
    CHECK(took(BNN_ESHAPE, "does not fit"));
    bnn_conv2d_transpose(x, w, NULL, image(5, 5, 2), window(0, 0, 1, 0, 0));
    CHECK(took(BNN_ESHAPE, "does not fit"));
    bnn_max_pool2d(x, image(5, 5, 2), window(6, 0, 0, 0, 0));
    CHECK(took(BNN_ESHAPE, "bnn_max_pool2d: a kernel of 6x6"));
    bnn_avg_pool2d(x, image(5, 4, 2), v);
    CHECK(took(BNN_ESHAPE, "bnn_avg_pool2d: x is 2x50"));
    bnn_upsample2d(x, image(5, 5, 2), 0);
    CHECK(took(BNN_ESHAPE, "bnn_upsample2d: a kernel of 0x0"));
    bnn_group_norm(x, NULL, NULL, image(5, 5, 2), 3);
    CHECK(took(BNN_EARG, "bnn_group_norm: 3 groups of 2 channels"));
    bnn_group_norm(x, NULL, b, image(5, 5, 2), 1);
    CHECK(took(BNN_EARG, "bnn_group_norm: gain and shift, both or neither"));
    bnn_layer_norm(x, b, b);
    CHECK(took(BNN_ESHAPE, "bnn_layer_norm: gain is 1x4, it must be 1x50"));
    bnn_mat none = { 3, 0, NULL };
    bnn_layer_norm(bnn_input(&tape, none), NULL, NULL);
    CHECK(took(BNN_ESHAPE, "bnn_layer_norm: x is 3x0"));
    CHECK(bnn_image_conv(image(2, 2, 1), 3, v).h == 0);
    close_all();
}

/* A kernel of 684 numbers has tiles of 48 pixels: one is less. No patches overlap, so that gradients
 * are plain sums; that of w lies where a tile too many would add to. */
static void a_tile_that_lacks_one_pixel_is_the_last(void) {
    open_all(14);
    bnn_params *p = bnn_params_new(&mem);
    bnn_prior flat = { .kind = BNN_PRIOR_FLAT };
    bnn_params_add(p, 1, 47, "x", flat);
    bnn_params_add(p, 1, 684, "w", flat);
    bnn_mat_fill(bnn_params_mat(p, 0), 2);
    bnn_mat_fill(bnn_params_mat(p, 1), (float)0.5);
    bnn_var *x = bnn_param(&tape, p, 0), *w = bnn_param(&tape, p, 1);
    bnn_backward(bnn_sum(bnn_conv2d_transpose(x, w, NULL, image(1, 47, 1),
                                              window(2, 0, 2, 0, 0))));
    for (size_t i = 0; i < p->n; i++) CHECK(p->grad[i] == (i < 47 ? 342 : 94));
    close_all();
}

static void an_empty_batch_has_no_pixels(void) {
    bnn_mat none = { 0, 50, NULL };
    open_all(13);
    bnn_var *x = bnn_input(&tape, none), *w = bnn_leaf(&tape, normals(18, 3, 1));
    bnn_var *y = bnn_conv2d(x, w, NULL, image(5, 5, 2), window(3, 0, 0, 0, 0));
    CHECK(y->val.rows == 0 && y->val.cols == 27);
    bnn_backward(bnn_sum(y));
    for (int i = 0; i < 54; i++) CHECK(w->grad.data != NULL && w->grad.data[i] == 0);
    close_all();
}

#ifdef _OPENMP
/* Two equal trainings in a parallel region, where OpenMP may nest: scratch is that of one thread */
static void chains_in_a_region_that_nests_are_equal(void) {
    float after[2][1000];
    size_t n[2] = { 0, 0 };
    omp_set_max_active_levels(2);
#pragma omp parallel for num_threads(2) schedule(static, 1)
    for (int q = 0; q < 2; q++) {
        bnn_arena space = { 0 };
        bnn_tape time = { .rng = bnn_rng_seed(5) };
        bnn_data d = { bnn_mat_new(&space, 128, 1200), bnn_mat_new(&space, 128, 1) };
        bnn_params *w = bnn_params_new(&space);
        omp_set_num_threads(2);
        bnn_rng_fill_normal(&time.rng, 128 * 1200, d.x.data);
        bnn_net net = bnn_layers(w, (bnn_layers_desc){ .input = { 10, 10, 12 }, .noise_std = (float)0.5,
            .layers = { { BNN_CONV, .size = 8, .kernel = 3, .same = 1 }, { BNN_DENSE, .size = 1 } } });
        bnn_stepper sgd = bnn_sgd(w, (bnn_sgd_desc){ .lr = (float)1e-4 });
        for (int i = 0; i < 10; i++) {
            bnn_tape_reset(&time);
            bnn_backward(bnn_net_loss(&net, bnn_minibatch(&time, d, 64)));
            bnn_step(&sgd, &time);
        }
        n[q] = time.err == BNN_OK && w->n > 872 ? 872 : 0; /* the convolution's, and some more */
        memcpy(after[q], w->theta, n[q] * sizeof(float));
        bnn_tape_free(&time);
        bnn_arena_free(&space);
    }
    CHECK(n[0] == 872 && n[1] == 872);
    CHECK_SAME_ARRAY(after[0], after[1], 872);
    omp_set_max_active_levels(1);
}
#endif

int main(void) {
    RUN(convolutions_are_those_of_pytorch);
    RUN(pools_and_norms_are_those_of_pytorch);
    RUN(a_convolution_is_the_dense_layer_of_its_toeplitz_matrix);
    RUN(a_transposed_convolution_is_the_adjoint);
    RUN(upsampling_is_the_adjoint_of_pooling);
    RUN(a_pool_without_a_kernel_is_global);
    RUN(every_gradient_is_that_of_central_differences);
    RUN(a_norm_does_not_see_its_neighbors);
    RUN(the_first_of_equals_gets_the_gradient_and_nan_stays);
    RUN(bits_are_those_of_any_level_and_number_of_threads);
    RUN(a_convolution_has_the_bits_of_its_patches);
    RUN(scratch_does_not_grow_with_the_batch);
    RUN(no_gradient_of_x_is_made_where_nobody_wants_it);
    RUN(what_does_not_fit_is_refused_with_its_shapes);
    RUN(a_tile_that_lacks_one_pixel_is_the_last);
    RUN(an_empty_batch_has_no_pixels);
#ifdef _OPENMP
    RUN(chains_in_a_region_that_nests_are_equal);
#endif
    return check_done();
}
