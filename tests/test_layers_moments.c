/* test_layers_moments.c -- a mean field in one pass through lists: what is exact against its
 * formula, the rest against draws, how far off printed; refusals; the text of dense lists. */
#include "build.h"
#include "world.h"

static bnn_net make(bnn_layers_desc d) {
    d.noise_std = 1, d.seed = 3;
    return bnn_layers(bnn_params_new(&mem), d);
}

/* Zeros around, steps of two: every pixel has the mean and variance of its own patch. */
static void a_pixel_of_a_convolution_is_exact(void) {
    enum { H = 5, W = 4, C = 2, K = 3 };
    open_all(1);
    bnn_net net = make((bnn_layers_desc){ .input = { H, W, C }, .layers = {
        { BNN_CONV, K, .kernel = 3, .kernel_w = 2, .stride = 2, .pad = 1 } } });
    bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ .init_std =
                                                                          (float)0.25 });
    bnn_mat x = normals(2, H * W * C, 1), a = bnn_params_mat(net.params, 0);
    bnn_predictive p = bnn_predict_moments(&mem, &tape, &net, &q, x);
    bnn_mat mean = bnn_predict(&mem, &tape, &net, NULL, x).mean;
    size_t n = 0;
    for (size_t r = 0; r < 2; r++)
        for (int y = -1; y + 3 <= H + 1; y += 2)
            for (int z = -1; z + 2 <= W + 1; z += 2)
                for (size_t k = 0; k < K; k++, n++) {
                    double m = 0, v = 0.0625; /* of the bias */
                    for (int i = 0; i < 3 * 2 * C; i++) {
                        int row = y + i / C / 2, col = z + i / C % 2;
                        if (row < 0 || col < 0 || row >= H || col >= W) continue;
                        double at = (double)x.data[r * H * W * C + (size_t)(row * W + col) * C +
                                                   (size_t)i % C];
                        m += at * (double)a.data[(size_t)i * K + k];
                        v += at * at * 0.0625;
                    }
                    if (!CHECK(n < p.mean.rows * p.mean.cols)) continue;
                    CHECK_NEAR(p.mean.data[n], m, 1e-5);
                    CHECK_NEAR(p.mean.data[n], mean.data[n], 1e-5);
                    CHECK_NEAR(p.epistemic.data[n], v, 1e-5);
                }
    CHECK(n == p.mean.rows * p.mean.cols);
    close_all();
}

/* Units with weights of their own, so the larger of two is Clark's and means are exact. */
static void pools_of_independent_units_are_near_draws(void) {
    enum { DRAWS = 20000 };
    for (int kind = BNN_MAX_POOL; kind <= BNN_AVG_POOL; kind++)
        for (size_t w = 1; w <= 2; w++) {
            open_all(2);
            bnn_net net = make((bnn_layers_desc){ .input = { 1, 1, 3 }, .layers = {
                { BNN_DENSE, 8, .image = { 2, 4, 1 }, .activation = BNN_IDENTITY },
                { kind, .kernel = 2, .kernel_w = w, .stride = 2 } } });
            bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ .init_std =
                                                                                  (float)0.5 });
            bnn_mat x = normals(4, 3, 1);
            bnn_predictive p = bnn_predict_moments(&mem, &tape, &net, &q, x), d;
            bnn_ensemble e = bnn_ensemble_new(net.params, DRAWS);
            for (int i = 0; i < DRAWS; i++) bnn_meanfield_push(&q, &e, &tape.rng);
            d = bnn_predict(&mem, &tape, &net, &e, x);
            for (size_t i = 0; i < 8; i++) { /* 5 sigma, 64 numbers: below 4e-5; and Clark's of 4 */
                double v = (double)d.epistemic.data[i], more = kind == BNN_MAX_POOL && w == 2;
                CHECK_NEAR(p.mean.data[i], d.mean.data[i], 5 * sqrt(v / DRAWS) + 0.01 * more);
                CHECK_NEAR(p.epistemic.data[i], v, (5 * sqrt(3.0 / DRAWS) + 0.05 * more) * v);
            }
            close_all();
        }
}

/* Pixels behind a kernel are not independent: this is what it costs. */
static const struct { const char *name; bnn_layers_desc d; double least, most; } nets[] = {
    { "dense", { .input = { 1, 1, 64 }, .layers = { { BNN_DENSE, 30 }, { BNN_DENSE, 3 } } }, 0.9,
      1.1 },
    { "conv, dense", { .input = { 8, 8, 1 }, .layers = { { BNN_CONV, 4, .kernel = 3 },
        { BNN_DENSE, 3 } } }, 0.85, 1.15 },
    { "conv, max pool, dense", { .input = { 8, 8, 1 }, .layers = { { BNN_CONV, 4, .kernel = 3 },
        { BNN_MAX_POOL, .kernel = 2 }, { BNN_DENSE, 3 } } }, 0.85, 1.15 },
    { "conv, avg pool, dense", { .input = { 8, 8, 1 }, .layers = { { BNN_CONV, 4, .kernel = 3 },
        { BNN_AVG_POOL, .kernel = 2 }, { BNN_DENSE, 3 } } }, 0.85, 1.15 },
    { "conv, conv, dense, dense", { .input = { 8, 8, 1 }, .layers = { { BNN_CONV, 8, .kernel = 3 },
        { BNN_CONV, 8, .kernel = 3 }, { BNN_DENSE, 30 }, { BNN_DENSE, 3 } } }, 0.8, 1.2 },
    { "conv, conv, all pooled, dense", { .input = { 8, 8, 1 }, .layers = {
        { BNN_CONV, 8, .kernel = 3 }, { BNN_CONV, 8, .kernel = 3 }, { BNN_AVG_POOL },
        { BNN_DENSE, 3 } } }, 0.3, 1 } };

static void lists_are_near_draws(void) {
    enum { DRAWS = 4000, ROWS = 5 };
    for (size_t i = 0; i < COUNT(nets); i++) {
        open_all(1);
        bnn_net net = make(nets[i].d);
        bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ .init_std =
                                                                              (float)0.1 });
        bnn_mat x = normals(ROWS, bnn__pixels(nets[i].d.input), 1);
        bnn_predictive p = bnn_predict_moments(&mem, &tape, &net, &q, x), d;
        bnn_ensemble e = bnn_ensemble_new(net.params, DRAWS);
        double off = 0, least = 9, most = 0;
        for (int s = 0; s < DRAWS; s++) bnn_meanfield_push(&q, &e, &tape.rng);
        d = bnn_predict(&mem, &tape, &net, &e, x);
        for (size_t j = 0; j < ROWS * 3 && CHECK(p.mean.data != NULL); j++) {
            double sd = sqrt((double)d.epistemic.data[j]);
            double by = fabs((double)p.mean.data[j] - (double)d.mean.data[j]) / sd;
            double ratio = sqrt((double)p.epistemic.data[j]) / sd;
            off = by > off ? by : off, least = ratio < least ? ratio : least;
            most = ratio > most ? ratio : most;
        }
        printf("    %s: means off by at most %.3f sd, sd times %.3f to %.3f\n", nets[i].name, off,
               least, most);
        CHECK(off < 0.1 && least > nets[i].least && most < nets[i].most);
        close_all();
    }
}

/* Weights that know each other: where is a bump in an 8x8 picture, and how high? */
static void a_trained_list_is_near_draws(void) {
    enum { ROWS = 300, DRAWS = 1000 };
    open_all(1);
    bnn_net net = make((bnn_layers_desc){ .input = { 8, 8, 1 }, .layers = {
        { BNN_CONV, 6, .kernel = 3 }, { BNN_MAX_POOL, .kernel = 2 }, { BNN_CONV, 6, .kernel = 2 },
        { BNN_DENSE, .size = 2 } } });
    bnn_data d = { bnn_mat_new(&mem, ROWS, 64), bnn_mat_new(&mem, ROWS, 2) };
    net.noise_std = (float)0.1;
    for (size_t r = 0; r < ROWS; r++) {
        double a = 1 + 6 * (double)bnn_rng_uniform(&tape.rng);
        double h = (double)bnn_rng_uniform(&tape.rng);
        for (size_t i = 0; i < 64; i++) {
            double y = (double)(i / 8) - a, x = (double)(i % 8) - 4;
            d.x.data[r * 64 + i] = (float)((0.5 + h) * exp(-(x * x + y * y) / 3));
        }
        d.y.data[r * 2] = (float)((a - 4) / 2), d.y.data[r * 2 + 1] = (float)(3 * h - 1.5);
    }
    bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ .init_std =
                                                                          (float)0.02 });
    bnn_stepper s = bnn_adam(q.params, (bnn_adam_desc){ .lr = (float)5e-3 });
    for (int i = 0; i < 1500; i++) {
        bnn_tape_reset(&tape);
        bnn_meanfield_sample(&q, &tape);
        bnn_backward(bnn_net_nll(&net, bnn_minibatch(&tape, d, 30)));
        bnn_meanfield_backward(&q, &tape);
        bnn_step(&s, &tape);
    }
    bnn_tape_reset(&tape);
    bnn_mat x = { 30, 64, d.x.data };
    bnn_predictive p = bnn_predict_moments(&mem, &tape, &net, &q, x), o;
    bnn_ensemble e = bnn_ensemble_new(net.params, DRAWS);
    for (int i = 0; i < DRAWS; i++) bnn_meanfield_push(&q, &e, &tape.rng);
    o = bnn_predict(&mem, &tape, &net, &e, x);
    double mean = 0, least = 9, most = 0, wrong = 0;
    for (size_t i = 0; i < 60 && CHECK(p.mean.data != NULL && o.mean.data != NULL); i++) {
        double ratio = sqrt((double)p.epistemic.data[i] / (double)o.epistemic.data[i]);
        mean += ratio / 60, least = ratio < least ? ratio : least;
        most = ratio > most ? ratio : most;
        wrong += pow((double)o.mean.data[i] - (double)d.y.data[i], 2) / 60;
    }
    printf("    trained to an rmse of %.3f: sd times %.3f, %.3f to %.3f\n", sqrt(wrong), mean,
           least, most);
    CHECK(mean > 0.75 && mean < 1.25 && wrong < 0.1);
    close_all();
}

static void what_is_not_independent_is_named(void) {
    static const struct { bnn_layer d; const char *kind; } no[] = {
        { { BNN_CONV_TRANSPOSE, 2, .kernel = 2 }, "conv transpose" },
        { { BNN_UPSAMPLE, 2, .kernel = 0 }, "upsample" }, { { BNN_NORM, 1, .kernel = 0 }, "norm" },
        { { BNN_GRU, 2, .kernel = 0 }, "GRU" }, { { BNN_LSTM, 2, .kernel = 0 }, "LSTM" },
        { { BNN_CONV, 2, .kernel = 3, .same = 1, .add = 1 }, "conv" } };
    for (size_t i = 0; i < COUNT(no); i++) {
        char says[80];
        open_all(1);
        bnn_net net = make((bnn_layers_desc){ .input = { 4, 4, 1 }, .layers = {
            { BNN_CONV, 2, .kernel = 3 }, no[i].d, { BNN_DENSE, 1 } } });
        bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ .init_std = 1 });
        snprintf(says, sizeof says, "layer 2 (%s): moments go through dense layers", no[i].kind);
        CHECK(bnn_predict_moments(&mem, &tape, &net, &q, normals(2, 16, 1)).mean.data == NULL);
        CHECK(took(BNN_EARG, says));
        CHECK(bnn_emit_c(&mem, &tape, &net, NULL, (bnn_emit_desc){ .moments = &q }).text == NULL);
        snprintf(says, sizeof says, "bnn_emit_c: layer 2 (%s) cannot be written", no[i].kind);
        CHECK(took(BNN_EARG, says));
        close_all();
    }
}

/* As bnn_predict says it */
static void moments_that_no_float_or_no_arena_can_hold_are_errors(void) {
    open_all(1);
    bnn_mat x = normals(2, 1, 1);
    bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, 1 },
                              .likelihood = BNN_POISSON, .init = BNN_INIT_ZERO });
    net.params->theta[1] = 800;
    bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){
        .posterior = BNN_POSTERIOR_DELTA });
    CHECK(bnn_predict_moments(&mem, &tape, &net, &q, x).mean.data == NULL);
    CHECK(took(BNN_ENONFINITE, "sample 0, row 0, column 0: the mean is inf"));
    CHECK(bnn_predict_moments(NULL, &tape, &net, &q, x).mean.data == NULL);
    CHECK(took(BNN_EARG, "bnn_predict_moments: no arena"));
    close_all();
}

/* The same weights: the same text, letter for letter, and the same moments */
static void a_dense_list_is_written_as_a_bnn_mlp(void) {
    bnn_emitted c[2];
    bnn_mat mean[2];
    open_all(1);
    bnn_mat x = normals(3, 4, 1);
    for (int i = 0; i < 2; i++) {
        bnn_net net = i == 0
            ? bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 4, 6, 2 }, .noise_std = 1,
                          .activation = BNN_TANH, .seed = 3 })
            : make((bnn_layers_desc){ .input = { 1, 1, 4 }, .activation = BNN_TANH, .layers = {
                  { BNN_DENSE, 6 }, { BNN_DENSE, 2 } } });
        bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ .init_std = 1 });
        c[i] = bnn_emit_c(&mem, &tape, &net, NULL, (bnn_emit_desc){ .moments = &q });
        mean[i] = bnn_predict_moments(&mem, &tape, &net, &q, x).epistemic;
    }
    if (CHECK(c[0].text != NULL && c[1].text != NULL)) CHECK(strcmp(c[0].text, c[1].text) == 0);
    CHECK_SAME_ARRAY(mean[0].data, mean[1].data, 6);
    close_all();
}

/* A certain number beside one five to nine deviations below or above: all is rounding there */
static void a_maximum_has_no_negative_variance(void) {
    size_t below = 0;
    for (int i = -5000; i <= 5000; i++) {
        double m = 0, v = 0, d = i * 0.0018;
        bnn__moments_max(&m, &v, d, 1);
        below += !(v >= 0) || !(m >= -1e-9) || !(m >= d - 1e-9);
        m = d, v = 1;
        bnn__moments_max(&m, &v, 0, 0);
        below += !(v >= 0) || !(m >= -1e-9) || !(m >= d - 1e-9);
    }
    CHECK(below == 0);
}

int main(void) {
    RUN(a_pixel_of_a_convolution_is_exact);
    RUN(pools_of_independent_units_are_near_draws);
    RUN(a_maximum_has_no_negative_variance);
    RUN(lists_are_near_draws);
    RUN(a_trained_list_is_near_draws);
    RUN(what_is_not_independent_is_named);
    RUN(moments_that_no_float_or_no_arena_can_hold_are_errors);
    RUN(a_dense_list_is_written_as_a_bnn_mlp);
    return check_done();
}
