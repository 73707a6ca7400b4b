/* test_laplace_layers.c -- curvature of lists of layers: squared gradients by example, Laplace with
 * all of the GGN, its diagonal and Kronecker factors, on convolutions whose posterior is known. */
#include "build.h"
#include "world.h"
#include "patches.h"

static bnn_net make(bnn_layers_desc d) {
    if (d.noise_std == 0) d.noise_std = (float)0.7;
    return bnn_layers(bnn_params_new(&mem), d);
}

static void squares_of_convolutions_are_those_of_single_passes(void) {
    for (int frozen = 0; frozen < 2; frozen++) {
        enum { ROWS = 7 };
        open_all(1);
        bnn_net net = make((bnn_layers_desc){ .input = { 5, 4, 2 }, .activation = BNN_TANH,
            .layers = { { BNN_CONV, 3, .kernel = 3, .stride = 2, .pad = 1, .frozen = frozen },
                { BNN_CONV, 2, .kernel = 1, .no_bias = 1 },
                { BNN_CONV_TRANSPOSE, 2, .kernel = 3, .kernel_w = 2, .stride = 2, .pad = 1 },
                { BNN_MAX_POOL, .kernel = 2 }, { BNN_DENSE, 2 } } });
        bnn_params *w = net.params;
        bnn_data d = { normals(ROWS, 40, 1), normals(ROWS, 2, 1) };
        double *sum = (double *)calloc(w->n, sizeof *sum);
        float *got = normals(1, w->n, 1).data;
        for (size_t i = 0; i < ROWS; i++) {
            bnn_tape_reset(&tape);
            bnn_params_zero_grad(w);
            bnn_backward(bnn_net_nll(&net, bnn_batch_all(&tape, bnn_data_rows(d, i, 1))));
            for (size_t k = 0; k < w->n; k++) sum[k] += (double)w->grad[k] * (double)w->grad[k];
        }
        bnn_tape_reset(&tape);
        bnn_backward(bnn_net_nll(&net, bnn_batch_all(&tape, d)));
        bnn_grad_squares(got, &tape, w);
        for (size_t k = 0; k < w->n; k++)
            CHECK_NEAR(got[k], sum[k], BUILD_TOL(2e-5, 1e-12) * (1 + fabs(sum[k])));
        CHECK((sum[0] > 0) == !frozen);
        free(sum);
        close_all();
    }
}

/* Many channels in, few out, and back: the scratch is that of the product, whose columns they are */
static void a_wide_transposed_convolution_has_room_for_its_squares(void) {
    enum { ROWS = 2, SIDE = 8, IN = 520, OUT = 16 };
    open_all(6);
    bnn_params *w = bnn_params_new(&mem);
    bnn_params_add(w, IN, 4 * 4 * OUT, "kernel", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    for (size_t k = 0; k < w->n; k++) w->theta[k] = (float)0.02 * bnn_rng_normal(&tape.rng);
    bnn_mat x = normals(ROWS, SIDE * SIDE * IN, 1), got = bnn_mat_new(&mem, 2, w->n);
    for (size_t i = 0; i <= ROWS; i++) { /* one after the other, then together */
        bnn_tape_reset(&tape);
        bnn_params_zero_grad(w);
        bnn_var *in = bnn_input(&tape, i < ROWS ? bnn_mat_rows(x, i, 1) : x);
        bnn_backward(bnn_mean(bnn_square(bnn_conv2d_transpose(in, bnn_param(&tape, w, 0), NULL,
            (bnn_image){ SIDE, SIDE, IN }, (bnn_window){ .kernel = 4, .stride = 2, .same = 1 }))));
        for (size_t k = 0; k < w->n && i < ROWS; k++) got.data[k] += w->grad[k] * w->grad[k];
    }
    bnn_grad_squares(got.data + w->n, &tape, w);
    CHECK(tape.err == BNN_OK && mem.err == BNN_OK);
    size_t bad = 0;
    for (size_t k = 0; k < w->n; k++)
        bad += !(fabs((double)(got.data[k] - got.data[w->n + k])) <=
                 BUILD_TOL(1e-3, 1e-11) * (double)got.data[k] + 1e-12);
    CHECK(bad == 0);
    close_all();
}

/* ---- a linear convolution is the regression on its patches, channels apart: precision A of each
 * output channel, A = 1/s0^2 + P^T P/s^2, of all its weights and the bias */

enum { IMAGES = 9, CHANNELS = 2 };

static bnn_mat precision(bnn_mat p, double s, double s0) {
    bnn_mat a = bnn_mat_new(&mem, WEIGHTS, WEIGHTS);
    bnn_mat_mul_tn(a, p, p);
    bnn_mat_scale(a, a, (float)(1 / (s * s)));
    for (size_t i = 0; i < WEIGHTS; i++) a.data[i * WEIGHTS + i] += (float)(1 / (s0 * s0));
    return a;
}
static bnn_net linear(void) {
    return make((bnn_layers_desc){ .input = { 3, 3, 1 }, .prior = { .std = (float)0.8 },
        .layers = { { BNN_CONV, CHANNELS, .kernel = 2 } } });
}

static void laplace_of_a_linear_convolution_is_its_posterior(void) {
    for (int kind = BNN_LAPLACE_FULL; kind <= BNN_LAPLACE_KRON; kind++) {
        open_all(2);
        bnn_net net = linear();
        bnn_data d = { normals(IMAGES, 9, 1), normals(IMAGES, PIXELS * CHANNELS, 1) };
        bnn_mat p = patches(d.x), a = precision(p, 0.7, 0.8), cov, root, c;
        bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, kind);
        double log_det = 0;
        CHECK(la.n == WEIGHTS * CHANNELS && la.g.n_pieces == 1);
        root = bnn_mat_copy(&mem, a);
        CHECK(bnn_mat_cholesky(root, a, NULL) == BNN_OK);
        for (size_t i = 0; i < WEIGHTS; i++)
            log_det += CHANNELS * log((double)(kind == BNN_LAPLACE_DIAGONAL
                ? a.data[i * WEIGHTS + i]
                : root.data[i * WEIGHTS + i] * root.data[i * WEIGHTS + i]));
        CHECK_NEAR(la.g.pieces[0].log_det, -log_det, BUILD_TOL(1e-4, 1e-10));
        if (kind == BNN_LAPLACE_DIAGONAL) { /* rows of the kernel by channels, then the bias */
            for (size_t i = 0; i < WEIGHTS * CHANNELS; i++)
                CHECK_NEAR(la.g.pieces[0].cov.data[i],
                           1 / (double)a.data[i / CHANNELS * (WEIGHTS + 1)],
                           BUILD_TOL(1e-5, 1e-12));
            close_all();
            continue;
        }
        bnn_laplace_outputs(&mem, &tape, &la, d.x, &cov); /* P A^-1 P^T, channels apart */
        c = bnn_mat_new(&mem, WEIGHTS, PIXELS * IMAGES);
        bnn_mat_transpose(c, p);
        bnn_mat_solve_lower(c, root, c);
        for (size_t i = 0; i < IMAGES; i++)
            for (size_t j = 0; j < 64; j++) {
                size_t u = j / 8, v = j % 8;
                double want = 0;
                for (size_t k = 0; k < WEIGHTS && u % 2 == v % 2; k++)
                    want += (double)c.data[k * c.cols + i * PIXELS + u / 2] *
                            (double)c.data[k * c.cols + i * PIXELS + v / 2];
                CHECK_NEAR(cov.data[i * 64 + j], want, BUILD_TOL(2e-5, 1e-11));
            }
        close_all();
    }
}

/* ---- Kronecker factors */

static void on_one_pixel_a_convolution_is_a_dense_layer(void) {
    for (int no_bias = 0; no_bias < 2; no_bias++) {
        bnn_predictive p[2];
        open_all(3);
        bnn_net a = make((bnn_layers_desc){ .input = { 1, 1, 3 }, .likelihood = BNN_CATEGORICAL,
            .activation = BNN_TANH, .no_bias = no_bias,
            .layers = { { BNN_CONV, 5, .kernel = 1 }, { BNN_DENSE, 3 } } });
        bnn_net b = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 3, 5, 3 },
            .activation = BNN_TANH, .likelihood = BNN_CATEGORICAL, .no_bias = no_bias });
        bnn_data d = { normals(30, 3, 1), bnn_mat_new(&mem, 30, 1) };
        for (size_t i = 0; i < 30; i++) d.y.data[i] = (float)(i % 3);
        bnn_params_copy(b.params, a.params);
        bnn_laplace x = bnn_laplace_new(&mem, &tape, &a, d, BNN_LAPLACE_KRON);
        bnn_laplace y = bnn_laplace_new(&mem, &tape, &b, d, BNN_LAPLACE_KRON);
        CHECK(x.g.n_pieces == 2);
        CHECK_NEAR(x.log_evidence, y.log_evidence, BUILD_TOL(1e-4, 1e-11));
        CHECK_NEAR(x.decrement, y.decrement, BUILD_TOL(1e-4, 1e-11));
        p[0] = bnn_laplace_predict(&mem, &tape, &x, d.x);
        p[1] = bnn_laplace_predict(&mem, &tape, &y, d.x);
        for (size_t i = 0; i < 90; i++) {
            CHECK_NEAR(p[0].mean.data[i], p[1].mean.data[i], BUILD_TOL(1e-5, 1e-12));
            CHECK_NEAR(p[0].epistemic.data[i], p[1].epistemic.data[i], BUILD_TOL(1e-5, 1e-12));
        }
        close_all();
    }
}

/* The factors of a hidden convolution by hand: patches, and gradients of the outputs by pixel. The
 * determinant of N A (x) G + prior is that of the piece; the exact one is another. */
static void factors_of_a_hidden_convolution_are_sums_over_pixels(void) {
    enum { N = WEIGHTS * CHANNELS };
    open_all(4);
    bnn_net net = make((bnn_layers_desc){ .input = { 3, 3, 1 }, .activation = BNN_TANH,
        .prior = { .std = (float)0.8 },
        .layers = { { BNN_CONV, CHANNELS, .kernel = 2 }, { BNN_DENSE, 3 } } });
    bnn_params *h = bnn_params_new(&mem), *w = net.params;
    bnn_data d = { normals(IMAGES, 9, 1), normals(IMAGES, 3, 1) };
    bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, BNN_LAPLACE_KRON);
    bnn_mat p = patches(d.x), a = bnn_mat_new(&mem, WEIGHTS, WEIGHTS), seed;
    bnn_mat g = bnn_mat_new(&mem, CHANNELS, CHANNELS), k = bnn_mat_new(&mem, N, N), v;
    bnn_mat_mul_tn(a, p, p);
    bnn_params_add(h, IMAGES, PIXELS * CHANNELS, "conv", (bnn_prior){ 0 });
    bnn_mat out = bnn_mat_new(&mem, IMAGES * PIXELS, CHANNELS);
    bnn_mat_mul(out, p, bnn__mat(WEIGHTS, CHANNELS, w->theta)); /* kernel, then bias */
    memcpy(h->theta, out.data, h->n * sizeof(float));
    for (size_t c = 0; c < 3; c++) {
        bnn_var *y = bnn_affine(bnn_tanh(bnn_param(&tape, h, 0)),
                                bnn_input(&tape, bnn_params_mat(w, 2)),
                                bnn_input(&tape, bnn_params_mat(w, 3)));
        seed = bnn_mat_new(&mem, IMAGES, 3);
        for (size_t i = 0; i < IMAGES; i++) seed.data[i * 3 + c] = 1 / (float)0.7;
        bnn_params_zero_grad(h);
        bnn_backward_from(y, seed);
        for (size_t i = 0; i < IMAGES * PIXELS; i++)
            for (size_t j = 0; j < CHANNELS * CHANNELS; j++)
                g.data[j] += h->grad[i * CHANNELS + j / CHANNELS] *
                             h->grad[i * CHANNELS + j % CHANNELS] / (IMAGES * PIXELS);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++)
            k.data[i * N + j] = a.data[i / CHANNELS * WEIGHTS + j / CHANNELS] *
                                g.data[i % CHANNELS * CHANNELS + j % CHANNELS] +
                                (i == j ? (float)(1 / 0.64) : 0);
    CHECK(la.g.n_pieces == 2 && la.g.pieces[0].n == N);
    v = bnn_mat_copy(&mem, k);
    CHECK(bnn_mat_cholesky(v, k, NULL) == BNN_OK);
    CHECK_NEAR(la.g.pieces[0].log_det, -bnn_mat_logdet_chol(v), BUILD_TOL(1e-4, 1e-10));
    bnn_gaussian q = bnn_gaussian_laplace(&mem, &la, BNN_COV_LAYERS); /* and all its numbers */
    bnn_mat eye = bnn_mat_new(&mem, N, N);
    bnn_mat_mul(eye, q.pieces[0].cov, k);
    for (size_t i = 0; i < N * N; i++)
        CHECK_NEAR(eye.data[i], i % (N + 1) == 0, BUILD_TOL(1e-4, 1e-10));
    bnn_mat all = bnn_mat_new(&mem, w->n, w->n), exact = bnn_mat_new(&mem, N, N);
    bnn_ggn(all, &tape, &net, d.x);
    for (size_t i = 0; i < N * N; i++)
        exact.data[i] = all.data[i / N * w->n + i % N] + (i % (N + 1) == 0 ? (float)(1 / 0.64) : 0);
    CHECK(bnn_mat_cholesky(exact, exact, NULL) == BNN_OK); /* of the same size, not the same */
    double ratio = (bnn_mat_logdet_chol(exact) - N * log(1 / 0.64)) /
                   (bnn_mat_logdet_chol(v) - N * log(1 / 0.64));
    CHECK(ratio > 0.5 && ratio < 2 && fabs(ratio - 1) > 1e-3);
    close_all();
}

/* ---- frozen layers, and what is refused */

static void a_frozen_body_leaves_laplace_of_the_head(void) {
    open_all(5);
    bnn_layers_desc d = { .input = { 4, 4, 1 }, .activation = BNN_TANH, .layers = {
        { BNN_CONV, 2, .kernel = 3 }, { BNN_DENSE, 2 } } };
    bnn_net free_net = make(d), net;
    d.layers[0].frozen = 1;
    net = make(d);
    bnn_data data = { normals(15, 16, 1), normals(15, 2, 1) };
    bnn_params_copy(net.params, free_net.params);
    bnn_laplace last = bnn_laplace_new(&mem, &tape, &free_net, data, BNN_LAPLACE_LAST);
    for (int kind = BNN_LAPLACE_FULL; kind <= BNN_LAPLACE_LAST; kind++) {
        bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, data, kind);
        if (kind == BNN_LAPLACE_KRON) {
            CHECK(tape.err == BNN_EARG && strstr(tape.msg, "block 0 (w01) is frozen among others"));
            bnn_tape_clear_error(&tape);
            continue;
        }
        CHECK(la.first == last.first && la.n == last.n);
        if (kind != BNN_LAPLACE_DIAGONAL)
            CHECK_NEAR(la.log_evidence, last.log_evidence, BUILD_TOL(1e-4, 1e-11));
    }
    bnn_params_lr(net.params, 0, 1);
    bnn_laplace_new(&mem, &tape, &net, data, BNN_LAPLACE_FULL);
    CHECK(tape.err == BNN_EARG && strstr(tape.msg, "block 1 (b01) is frozen among others"));
    bnn_tape_clear_error(&tape);
    net = make((bnn_layers_desc){ .input = { 4, 4, 1 }, .layers = {
        { BNN_CONV, 2, .kernel = 3 }, { BNN_NORM }, { BNN_DENSE, 2 } } });
    bnn_laplace_new(&mem, &tape, &net, data, BNN_LAPLACE_KRON);
    CHECK(tape.err == BNN_EARG && strstr(tape.msg, "layer 2 (norm) has no Kronecker factors"));
    bnn_tape_clear_error(&tape);
    close_all();
}

static void a_convolution_to_no_channels_has_no_squares(void) {
    float x[4] = { 1, 2, 3, 4 }, got[1] = { 5 };
    open_all(35);
    bnn_params *w = bnn_params_new(&mem);
    size_t none = bnn_params_add(w, 4, 0, "w", (bnn_prior){ 0 });
    size_t b = bnn_params_add(w, 1, 1, "b", (bnn_prior){ 0 });
    bnn_var *y = bnn_conv2d(bnn_input(&tape, (bnn_mat){ 1, 4, x }), bnn_param(&tape, w, none), NULL,
                            (bnn_image){ 2, 2, 1 }, (bnn_window){ .kernel = 2 });
    bnn_backward(bnn_add(bnn_sum(y), bnn_matmul(bnn_scalar(&tape, 2), bnn_param(&tape, w, b))));
    bnn_grad_squares(got, &tape, w);
    CHECK(tape.err == BNN_OK);
    CHECK_NEAR((double)got[0], 4, 0);
    close_all();
}

int main(void) {
    RUN(a_convolution_to_no_channels_has_no_squares);
    RUN(squares_of_convolutions_are_those_of_single_passes);
    RUN(a_wide_transposed_convolution_has_room_for_its_squares);
    RUN(laplace_of_a_linear_convolution_is_its_posterior);
    RUN(on_one_pixel_a_convolution_is_a_dense_layer);
    RUN(factors_of_a_hidden_convolution_are_sums_over_pixels);
    RUN(a_frozen_body_leaves_laplace_of_the_head);
    return check_done();
}
