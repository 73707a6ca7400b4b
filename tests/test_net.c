/* test_net.c -- bnn_mlp against a forward pass written by hand and against PyTorch, likelihoods,
 * scaling, dropout, bad descriptions, nets of the user, and ridge regression in closed form. */
#include "build.h"
#pragma push_macro("float")
#undef float
#include "oracles/torch_mlp.inc"
#pragma pop_macro("float")

#define PI 3.14159265358979323846
static const double tol = BUILD_TOL(2e-6, 1e-12);

static uint64_t lcg_state = 3;
static double lcg(void) { /* the test's own numbers in (0,1) */
    lcg_state = lcg_state * 6364136223846793005u + 1442695040888963407u;
    return ((double)(lcg_state >> 33) + 0.5) / 2147483648.0;
}
static bnn_mat random_mat(bnn_arena *mem, size_t rows, size_t cols, double lo, double hi) {
    bnn_mat m = bnn_mat_new(mem, rows, cols);
    for (size_t i = 0; i < rows * cols; i++) m.data[i] = (float)(lo + (hi - lo) * lcg());
    return m;
}
static bnn_mat exact_mat(bnn_arena *mem, size_t rows, size_t cols, const double *from) {
    bnn_mat m = bnn_mat_new(mem, rows, cols);
    for (size_t i = 0; i < rows * cols; i++) m.data[i] = (float)from[i];
    return m;
}

/* ---- PyTorch */
static void compare_with_torch(bnn_mlp_desc d, size_t rows, size_t ycols, double loss,
                               const double *x,
                               const double *y, const double *theta, const double *grad, size_t n) {
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, d);
    bnn_data data = { exact_mat(&mem, rows, d.sizes[0], x), exact_mat(&mem, rows, ycols, y) };
    double worst = 0, size = 0;
    CHECK(w->n == n);
    for (size_t i = 0; i < n; i++) w->theta[i] = (float)theta[i];
    bnn_params_zero_grad(w);
    bnn_var *l = bnn_net_nll(&net, bnn_batch_all(&t, data));
    bnn_backward(l);
    CHECK_NEAR((double)bnn_value(l) / loss, 1, BUILD_TOL(1e-6, 1e-10));
    for (size_t i = 0; i < n; i++) size = fmax(size, fabs(grad[i]));
    for (size_t i = 0; i < n; i++) worst = fmax(worst, fabs((double)w->grad[i] - grad[i]) / size);
    CHECK_NEAR(worst, 0, BUILD_TOL(1e-6, 1e-10)); /* relative to the largest entry */
    CHECK(t.err == BNN_OK && mem.err == BNN_OK);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}
#define WITH_TORCH(DESC, ROWS, YCOLS, NAME) \
    compare_with_torch(DESC, ROWS, YCOLS, NAME##_loss, NAME##_x, NAME##_y, NAME##_theta, \
                       NAME##_grad, sizeof NAME##_theta / sizeof *NAME##_theta)

static void losses_and_gradients_are_those_of_pytorch(void) {
    bnn_mlp_desc relu = { .sizes = { 3, 8, 6, 2 }, .noise_std = (float)0.5 };
    bnn_mlp_desc tanh = { .sizes = { 4, 7, 5 }, .activation = BNN_TANH,
                          .likelihood = BNN_CATEGORICAL };
    bnn_mlp_desc gelu = { .sizes = { 2, 6, 5, 3 }, .activation = BNN_GELU,
                          .likelihood = BNN_BERNOULLI };
    WITH_TORCH(relu, RELU_GAUSSIAN_ROWS, 2, relu_gaussian);
    WITH_TORCH(tanh, TANH_CATEGORICAL_ROWS, 1, tanh_categorical);
    WITH_TORCH(gelu, GELU_BERNOULLI_ROWS, 3, gelu_bernoulli);
}

/* ---- the forward pass by hand */
static double by_hand(int act, double x) {
    switch (act) {
    case BNN_RELU: return x > 0 ? x : 0;
    case BNN_TANH: return tanh(x);
    case BNN_SIGMOID: return 1 / (1 + exp(-x));
    case BNN_LEAKY_RELU: return x > 0 ? x : 0.01 * x;
    case BNN_ELU: return x > 0 ? x : expm1(x);
    case BNN_SILU: return x / (1 + exp(-x));
    case BNN_GELU: return x * erfc(-x / sqrt(2.0)) / 2;
    case BNN_SOFTPLUS: return log1p(exp(x));
    case BNN_SIN: return sin(x);
    default: return x;
    }
}
static void an_mlp_computes_affine_maps_and_activations(void) {
    for (int act = BNN_RELU; act <= BNN_IDENTITY; act++)
        for (int bias = 0; bias < 2; bias++) {
            bnn_arena mem = { 0 };
            bnn_tape t = { 0 };
            bnn_params *w = bnn_params_new(&mem);
            bnn_mlp_desc d = { .sizes = { 2, 3, 4, 1 }, .noise_std = 1,
                               .activations = { act, BNN_TANH },
                               .init = BNN_INIT_PRIOR, .seed = 5, .no_bias = !bias };
            bnn_net net = bnn_mlp(w, d);
            bnn_mat x = random_mat(&mem, 6, 2, -2, 2);
            bnn_var *y = bnn_net_forward(&net, bnn_input(&t, x));
            for (size_t i = 0; i < 6; i++) {
                double in[4] = { (double)x.data[2 * i], (double)x.data[2 * i + 1] }, out[4] = { 0 };
                size_t at = 0;
                for (size_t l = 0; l < 3; l++) {
                    size_t n = d.sizes[l], k = d.sizes[l + 1];
                    const float *wl = w->theta + at, *b = wl + n * k;
                    for (size_t j = 0; j < k; j++) {
                        out[j] = bias ? (double)b[j] : 0;
                        for (size_t p = 0; p < n; p++) out[j] += in[p] * (double)wl[p * k + j];
                        if (l == 0) out[j] = by_hand(act, out[j]);
                        if (l == 1) out[j] = tanh(out[j]);
                    }
                    memcpy(in, out, sizeof in);
                    at += n * k + (bias ? k : 0);
                }
                CHECK_NEAR(y->val.data[i], in[0], BUILD_TOL(1e-5, 1e-12));
            }
            CHECK(strcmp(w->blocks[0].name, "w01") == 0 && t.err == BNN_OK);
            bnn_tape_free(&t);
            bnn_arena_free(&mem);
        }
}

/* ---- likelihoods in units of y, with and without scaling */
static double nll_by_hand(const bnn_net *net, const double *out, const double *y, size_t k) {
    double sum = 0, s = (double)net->noise_std, z = 0, nu = (double)net->nu;
    const bnn_scaling *c = &net->scaling;
    for (size_t j = 0; j < k; j++) z += exp(out[j]);
    for (size_t j = 0; j < k; j++) {
        double scale = c->y_std.data ? (double)c->y_std.data[j] : 1;
        double m = out[j] * scale + (c->y_mean.data ? (double)c->y_mean.data[j] : 0), r = y[j] - m;
        double v = net->likelihood == BNN_GAUSSIAN ? s * s : exp(out[k + j]) * scale * scale;
        switch (net->likelihood) {
        case BNN_GAUSSIAN:
        case BNN_GAUSSIAN_HETERO: sum += r * r / (2 * v) + log(2 * PI * v) / 2; break;
        case BNN_DOUBLE_EXPONENTIAL: sum += fabs(r) / s + log(2 * s); break;
        case BNN_STUDENT:
            sum += (nu + 1) / 2 * log1p(r * r / (nu * s * s)) + log(s) + log(nu * PI) / 2 +
                   lgamma(nu / 2) - lgamma((nu + 1) / 2);
            break;
        case BNN_BERNOULLI:
            sum += y[j] * log1p(exp(-out[j])) + (1 - y[j]) * log1p(exp(out[j]));
            break;
        case BNN_POISSON: sum += exp(out[j]) - y[j] * out[j] + lgamma(y[j] + 1); break;
        default: sum += (size_t)y[0] == j ? log(z) - out[j] : 0;
        }
    }
    return sum;
}
static void every_likelihood_is_stated_in_units_of_y(void) {
    for (int like = BNN_GAUSSIAN; like <= BNN_POISSON; like++)
        for (int scaled = 0; scaled < 2; scaled++) {
            bnn_arena mem = { 0 };
            bnn_tape t = { 0 };
            bnn_params *w = bnn_params_new(&mem);
            size_t outs = like == BNN_GAUSSIAN_HETERO ? 4 : like == BNN_CATEGORICAL ? 3 : 2;
            size_t k = like == BNN_GAUSSIAN_HETERO ? 2 : outs, yc = like == BNN_CATEGORICAL ? 1 : 2;
            bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 3, 5, outs }, .likelihood = like,
                .noise_std = (float)0.75, .nu = 3 });
            bnn_data d = { random_mat(&mem, 8, 3, 5, 9), random_mat(&mem, 8, yc, 0, 1) };
            double want = 0, got;
            for (size_t i = 0; i < 8 * yc; i++) {
                if (like <= BNN_STUDENT) d.y.data[i] = 100 + 10 * d.y.data[i];
                else if (like == BNN_CATEGORICAL) d.y.data[i] = (float)(i % 3);
                else if (like == BNN_POISSON) d.y.data[i] = (float)(i % 4);
            }
            if (scaled) CHECK(bnn_net_standardize(&net, d) == BNN_OK);
            CHECK((net.scaling.y_mean.data != NULL) == (scaled && like <= BNN_STUDENT));
            bnn_var *out = bnn_net_forward(&net, bnn_input(&t, d.x));
            for (size_t i = 0; i < 8; i++) {
                double o[8] = { 0 }, y[4] = { 0 };
                for (size_t j = 0; j < outs; j++) o[j] = (double)out->val.data[i * outs + j];
                for (size_t j = 0; j < yc; j++) y[j] = (double)d.y.data[i * yc + j];
                want += nll_by_hand(&net, o, y, k) / 8;
            }
            got = (double)bnn_value(bnn_net_nll(&net, bnn_batch_all(&t, d)));
            if (!CHECK(fabs(got - want) < 50 * tol * (1 + fabs(want))))
                printf("    likelihood %d: %.12g, by hand %.12g\n", like, got, want);
            CHECK(t.err == BNN_OK && mem.err == BNN_OK && t.n_data == 8);
            bnn_tape_free(&t);
            bnn_arena_free(&mem);
        }
}

static void soft_labels_and_class_labels_agree(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 2, 4, 3 }, .likelihood = BNN_CATEGORICAL });
    float hard[2] = { 2, 0 }, one_hot[6] = { 0, 0, 1, 1, 0, 0 };
    bnn_data a = { random_mat(&mem, 2, 2, -1, 1), { 2, 1, hard } }, b = { a.x, { 2, 3, one_hot } };
    CHECK_SAME(bnn_value(bnn_net_nll(&net, bnn_batch_all(&t, a))),
               bnn_value(bnn_net_nll(&net, bnn_batch_all(&t, b))));
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

static void standardization_uses_mean_and_deviation_and_spares_constant_columns(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    float xs[6] = { 1, (float)0.1, 3, (float)0.1, 5, (float)0.1 }, ys[3] = { 10, 20, 60 };
    bnn_data d = { { 3, 2, xs }, { 3, 1, ys } };
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 2, 1 }, .noise_std = 2 });
    CHECK(bnn_net_standardize(&net, d) == BNN_OK);
    CHECK_NEAR(net.scaling.x_mean.data[0], 3, tol);
    CHECK_NEAR(net.scaling.x_std.data[0], sqrt(8 / 3.0), tol); /* divides by n */
    CHECK_NEAR(net.scaling.x_std.data[1], 1, 0);
    CHECK_NEAR(net.scaling.y_mean.data[0], 30, tol);
    CHECK_NEAR(net.scaling.y_std.data[0], sqrt(1400 / 3.0), 10 * tol);
    w->theta[0] = (float)0.5, w->theta[1] = 7, w->theta[2] = (float)0.25;
    bnn_var *out = bnn_net_forward(&net, bnn_input(&t, d.x));
    /* standardized in and out */
    CHECK_NEAR(out->val.data[2], 0.5 * 2 / sqrt(8 / 3.0) + 0.25, 4 * tol);
    d.x.data[0] = (float)(0.0 / 0.0);
    CHECK(bnn_net_standardize(&net, d) == BNN_ENONFINITE && mem.err == BNN_OK);
    d.y.rows = 2;
    CHECK(bnn_net_standardize(&net, d) == BNN_ESHAPE && mem.err == BNN_OK);
    CHECK_NEAR(net.scaling.x_mean.data[0], 3, tol); /* as it was */
    bnn_scaling whole = net.scaling;
    for (int k = 0; k < 2; k++) { /* made by hand, and badly */
        net.scaling.x_std = k ? bnn_mat_new(&mem, 1, whole.x_std.cols + 1) : (bnn_mat){ 0, 0, NULL };
        CHECK(bnn_net_forward(&net, bnn_input(&t, d.x))->val.data == NULL || t.err == BNN_ESHAPE);
        CHECK(t.err == BNN_ESHAPE && strstr(t.msg, "the net was standardized on ") != NULL);
        bnn_tape_clear_error(&t);
        bnn_tape_reset(&t);
    }
    net.scaling = whole;
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

static void the_density_of_a_scaled_net_integrates_to_1_in_units_of_y(void) {
    int likes[4] = { BNN_GAUSSIAN, BNN_GAUSSIAN_HETERO, BNN_DOUBLE_EXPONENTIAL, BNN_GAUSSIAN };
    for (int c = 0; c < 4; c++) { /* the last with learned noise */
        bnn_arena mem = { 0 };
        bnn_tape t = { 0 };
        bnn_params *w = bnn_params_new(&mem);
        bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 4, c == 1 ? 2 : 1 },
                                                 .likelihood = likes[c],
            .noise_std = (float)0.5, .noise_learned = c == 3 });
        bnn_data d = { random_mat(&mem, 9, 1, -1, 1), random_mat(&mem, 9, 1, 100, 130) };
        bnn_net_standardize(&net, d);
        double sum = 0, h = c == 2 ? 0.005 : 0.05;
        float x = (float)0.3, y, lo = 20;
        for (int i = 0; i <= (int)(180 / h); i++) {
            bnn_tape_reset(&t);
            y = (float)((double)lo + i * h);
            bnn_batch b = { bnn_input(&t, (bnn_mat){ 1, 1, &x }),
                            bnn_input(&t, (bnn_mat){ 1, 1, &y }), 9 };
            sum += h * exp(-(double)bnn_value(bnn_net_nll(&net, b)));
        }
        CHECK_NEAR(sum, 1, BUILD_TOL(1e-4, c == 2 ? 1e-4 : 1e-8));
        bnn_tape_free(&t);
        bnn_arena_free(&mem);
    }
}

/* ---- dropout (S4.12) */
static void dropout_of_a_linear_layer_has_the_exact_mean_variance_and_loss(void) {
    /* 20000 masks; 4 standard errors, of variances with kurtosis at most 4: sqrt(3/n) */
    enum { DRAWS = 20000, D = 6 };
    bnn_arena mem = { 0 };
    bnn_tape t = { .rng = bnn_rng_seed(build_seed(71)) };
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { D, 1 }, .dropout_input = (float)0.25,
        .noise_std = 1, .seed = 8 });
    bnn_data d = { random_mat(&mem, 3, D, -1, 1), random_mat(&mem, 3, 1, -1, 1) };
    double m[3] = { 0 }, v[3] = { 0 }, wm[3] = { 0 }, wv[3] = { 0 }, loss = 0, l2 = 0,
        want = log(2 * PI) / 2;
    w->theta[D] = (float)0.3;
    for (int s = 0; s < DRAWS; s++) {
        bnn_tape_reset(&t);
        bnn_batch b = bnn_batch_all(&t, d);
        t.training = 1;
        bnn_var *f = bnn_net_forward(&net, b.x);
        t.training = 0;
        double l = (double)bnn_value(bnn_net_nll(&net, b));
        loss += l / DRAWS, l2 += l * l / DRAWS;
        for (int i = 0; i < 3; i++) m[i] += (double)f->val.data[i] / DRAWS;
        for (int i = 0; i < 3; i++) v[i] += pow((double)f->val.data[i], 2) / DRAWS;
    }
    for (int i = 0; i < 3; i++) {
        wm[i] = (double)w->theta[D];
        for (int j = 0; j < D; j++) {
            double xw = (double)d.x.data[i * D + j] * (double)w->theta[j];
            wm[i] += xw, wv[i] += 0.25 / 0.75 * xw * xw;
        }
        CHECK_NEAR(m[i], wm[i], 4 * sqrt(wv[i] / DRAWS));
        CHECK_NEAR(v[i] - m[i] * m[i], wv[i], 4 * wv[i] * sqrt(3.0 / DRAWS));
        want += (pow((double)d.y.data[i] - wm[i], 2) + wv[i]) / 6;
    }
    CHECK_NEAR(loss, want, 4 * sqrt((l2 - loss * loss) / DRAWS));
    bnn_tape_reset(&t);
    bnn_var *plain = bnn_net_forward(&net, bnn_input(&t, d.x)); /* not training: no mask */
    for (int i = 0; i < 3; i++) CHECK_NEAR(plain->val.data[i], wm[i], 10 * tol);
    CHECK(t.training == 0);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

static void hidden_dropout_spares_inputs_and_outputs(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { .rng = bnn_rng_seed(5) };
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 1000, 1 }, .noise_std = 1,
                                             .activation = BNN_IDENTITY,
        .dropout = (float)0.5, .no_bias = 1 });
    float x = 1;
    double first = 0;
    int differ = 0;
    for (size_t i = 0; i < 2000; i++) w->theta[i] = 1;
    t.training = 1;
    for (int s = 0; s < 8; s++) {
        bnn_var *y = bnn_net_forward(&net, bnn_input(&t, (bnn_mat){ 1, 1, &x }));
        double kept = floor((double)y->val.data[0] / 2 + 0.5); /* each kept unit counts 2 */
        CHECK_NEAR(y->val.data[0], 2 * kept, 1e-3);
        CHECK(kept > 400 && kept < 600);
        if (s == 0) first = kept;
        differ += kept != first;
    }
    CHECK(differ > 0);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

/* ---- errors */
static int refused(bnn_mlp_desc d, const char *words) {
    bnn_arena mem = { 0 };
    bnn_net net = bnn_mlp(bnn_params_new(&mem), d);
    int said = net.params == NULL && mem.err == BNN_EARG && strstr(mem.msg, words) != NULL;
    if (!said) printf("    \"%s\" instead of \"%s\"\n", mem.msg, words);
    bnn_arena_free(&mem);
    return said;
}

/* A noise that nobody chose is in no unit. Where the likelihood has none, none is asked for. */
static void a_noise_must_be_chosen(void) {
    static const int scaled[] = { 0, BNN_GAUSSIAN, BNN_DOUBLE_EXPONENTIAL, BNN_STUDENT };
    for (int lik = 0; lik <= BNN_POISSON; lik++)
        for (int how = 0; how < 3; how++) {
            int needs = 0, learns = lik <= BNN_GAUSSIAN;
            bnn_arena mem = { 0 };
            bnn_mlp_desc d = { .sizes = { 2, 4, 2 }, .likelihood = lik,
                               .noise_std = how == 1 ? (float)0.5 : 0, .noise_learned = how == 2 };
            for (size_t i = 0; i < 4; i++) needs |= lik == scaled[i];
            bnn_net net = bnn_mlp(bnn_params_new(&mem), d);
            CHECK((net.params != NULL) == (how == 0 ? !needs : how == 1 ? 1 : learns));
            if (how == 0 && needs) CHECK(strstr(mem.msg, "noise_std") != NULL);
            if (how == 2 && learns) CHECK(bnn_params_mat(net.params, net.noise).data[0] == 0);
            bnn_arena_free(&mem);
        }
    CHECK(refused((bnn_mlp_desc){ .sizes = { 1, 1 } },
                  "bnn_mlp: the Gaussian likelihood needs .noise_std (the sd of y around the net, "
                  "in units of y) or .noise_learned = 1"));
    CHECK(refused((bnn_mlp_desc){ .sizes = { 1, 1 }, .likelihood = BNN_STUDENT },
                  "the Student likelihood needs .noise_std"));
    CHECK(refused((bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_std = BNN_ZERO }, "noise_std"));
    CHECK(refused((bnn_mlp_desc){ .sizes = { 1, 3, 1 }, .likelihood = BNN_CATEGORICAL },
                  "use BNN_BERNOULLI, or 2 outputs"));
}

/* A graph asks the same. */
static void a_graph_asks_for_its_noise_too(void) {
    static const bnn_candidate ops[1] = { { .width = 1 } };
    bnn_edge edges[1] = { { .from = 0, .to = 1, .ops = ops, .n_ops = 1 } };
    for (int lik = 0; lik <= BNN_POISSON; lik++)
        for (int how = 0; how < 2; how++) {
            int needs = lik <= BNN_GAUSSIAN || lik == BNN_DOUBLE_EXPONENTIAL || lik == BNN_STUDENT;
            bnn_arena mem = { 0 };
            bnn_net net = bnn_graph(bnn_params_new(&mem), NULL,
                                    (bnn_graph_desc){ .inputs = 2, .edges = edges, .n_edges = 1,
                                                      .likelihood = lik, .noise_std = how });
            int made = lik != BNN_CATEGORICAL && lik != BNN_GAUSSIAN_HETERO && (how || !needs);
            CHECK((net.params != NULL) == made && (mem.err == BNN_OK) == made);
            if (!made)
                CHECK(strstr(mem.msg, needs ? "bnn_graph: the" : lik == BNN_CATEGORICAL
                                      ? "use BNN_BERNOULLI" : "1 outputs cannot be") != NULL);
            bnn_arena_free(&mem);
        }
}

static void bad_descriptions_make_a_dead_net_and_leave_the_parameters(void) {
    bnn_prior bad_second[2] = { { 0 }, { .std = -1 } };
    float nan = (float)(0.0 / 0.0);
    bnn_mlp_desc bad[] = { { .sizes = { 3 } }, { .sizes = { 0 } }, { .sizes = { 3, 0, 1 } },
        { .sizes = { 3, 1 }, .activation = 99 }, { .sizes = { 3, 4, 1 }, .activations = { -5 } },
        { .sizes = { 3, 1 }, .likelihood = 44 }, { .sizes = { 3, 1 }, .likelihood = -1 },
        { .sizes = { 3, 1 }, .noise_std = -1 }, { .sizes = { 3, 1 }, .noise_std = nan },
        { .sizes = { 3, 1 }, .nu = -1 }, { .sizes = { 3, 1 }, .nu = (float)(1.0 / 0.0) },
        { .sizes = { 3, 1 }, .init = 17 }, { .sizes = { 3, 1 }, .init_scale = nan },
        { .sizes = { 3, 1 }, .dropout = 1 }, { .sizes = { 3, 1 }, .dropout_input = -1 },
        { .sizes = { 3, 3 }, .likelihood = BNN_GAUSSIAN_HETERO },
        { .sizes = { 3, 1 }, .noise_learned = 1, .likelihood = BNN_DOUBLE_EXPONENTIAL },
        { .sizes = { 3, 4, 1 }, .priors = bad_second }, { .sizes = { SIZE_MAX / 2, 5 } } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bnn_arena mem = { 0 };
        bnn_tape t = { 0 };
        bnn_params *w = bnn_params_new(&mem);
        float xs[3] = { 1, 2, 3 }, ys[1] = { 0 };
        bnn_data d = { { 1, 3, xs }, { 1, 1, ys } };
        bnn_params_add(w, 2, 2, "before", (bnn_prior){ 0 });
        if (bad[i].noise_std == 0) bad[i].noise_std = 1;
        bnn_net net = bnn_mlp(w, bad[i]);
        if (!CHECK(mem.err != BNN_OK && net.params == NULL)) printf("    description %zu\n", i);
        CHECK(mem.msg[0] != '\0' && w->n == 4 && w->n_blocks == 1);
        CHECK(bnn_net_standardize(&net, d) != BNN_OK);
        CHECK(bnn_net_forward(&net, bnn_input(&t, d.x)) == &t.poison && t.err == mem.err);
        CHECK(strcmp(t.msg, mem.msg) == 0); /* the cause, wherever one looks */
        bnn_tape_clear_error(&t);
        bnn_var *l = bnn_net_loss(&net, bnn_batch_all(&t, d));
        CHECK(l == &t.poison && t.err == mem.err && strcmp(t.msg, mem.msg) == 0);
        bnn_backward(l);
        bnn_tape_free(&t);
        bnn_arena_free(&mem);
    }
    bnn_net none = bnn_mlp(NULL, (bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_std = 1 });
    CHECK(none.params == NULL);
}

static void a_loss_must_know_how_many_data_there_are(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { .rng = bnn_rng_seed(1) };
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_std = 1 });
    float x = 1;
    bnn_batch b = { bnn_input(&t, (bnn_mat){ 1, 1, &x }), bnn_input(&t, (bnn_mat){ 1, 1, &x }), 0 };
    CHECK(isfinite((double)bnn_value(bnn_net_nll(&net, b))) && t.err == BNN_OK);
    bnn_net_loss(&net, b);
    CHECK(t.err == BNN_EARG && strstr(t.msg, "n_data") != NULL);
    bnn_tape_clear_error(&t);
    b.n_data = -3;
    bnn_net_loss(&net, b);
    CHECK(t.err == BNN_EARG);
    bnn_tape_clear_error(&t);
    b.n_data = 10;
    CHECK(isfinite((double)bnn_value(bnn_net_loss(&net, b))) && t.n_data == 10);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

static void wrong_widths_are_shape_errors(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 3, 2 }, .noise_std = 1 });
    bnn_net_forward(&net, bnn_input(&t, random_mat(&mem, 5, 4, 0, 1)));
    CHECK(t.err == BNN_ESHAPE && strstr(t.msg, "5x4") != NULL && strstr(t.msg, "3x2") != NULL);
    bnn_tape_clear_error(&t);
    bnn_data d = { random_mat(&mem, 5, 3, 0, 1), random_mat(&mem, 5, 7, 0, 1) };
    bnn_net_nll(&net, bnn_batch_all(&t, d));
    CHECK(t.err == BNN_ESHAPE && strstr(t.msg, "5x7") != NULL && strstr(t.msg, "5x2") != NULL);
    bnn_tape_clear_error(&t);
    CHECK(bnn_net_standardize(&net, d) == BNN_OK); /* scaling repeats nothing */
    bnn_net_forward(&net, bnn_input(&t, random_mat(&mem, 5, 1, 0, 1)));
    CHECK(t.err == BNN_ESHAPE && strstr(t.msg, "1 columns") && strstr(t.msg, "on 3"));
    bnn_tape_clear_error(&t);
    net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 3, 1 }, .noise_std = 1 });
    CHECK(bnn_net_standardize(&net, d) == BNN_OK);
    CHECK(bnn_net_nll(&net, bnn_batch_all(&t, d)) == &t.poison);
    CHECK(t.err == BNN_ESHAPE && strstr(t.msg, "1 columns") && strstr(t.msg, "on 7"));
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

/* ---- nets of the user, and ridge regression (S3.10) */
static bnn_var *quadratic_forward(bnn_tape *t, const bnn_net *net, bnn_var *x) { /* a x^2 + c */
    (void)net;
    return bnn_affine(bnn_square(x), bnn_param(t, net->params, 0), bnn_param(t, net->params, 1));
}
static void a_net_of_the_user_is_one_forward_function(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    float xs[2] = { 1, 2 }, ys[2] = { 1, 1 };
    bnn_data d = { { 2, 1, xs }, { 2, 1, ys } };
    bnn_params_add(w, 1, 1, "a", (bnn_prior){ 0 });
    bnn_params_add(w, 1, 1, "c", (bnn_prior){ 0 });
    bnn_net net = { .params = w, .forward = quadratic_forward }; /* noise 1 by default */
    w->theta[0] = 2, w->theta[1] = -1; /* 1 and 7: residuals 0 and 6 */
    CHECK_NEAR(bnn_value(bnn_net_nll(&net, bnn_batch_all(&t, d))), 9 + log(2 * PI) / 2, 10 * tol);
    CHECK_NEAR(bnn_value(bnn_net_loss(&net, bnn_batch_all(&t, d))),
               9 + log(2 * PI) / 2 + (2.5 + log(2 * PI)) / 2, 10 * tol);
    net.likelihood = BNN_STUDENT; /* nu 4, scale 1 by default */
    CHECK_NEAR(bnn_value(bnn_net_nll(&net, bnn_batch_all(&t, d))), 2.5 * log1p(9.0) / 2 +
               log(4 * PI) / 2 + lgamma(2.0) - lgamma(2.5), 10 * tol);
    CHECK(t.err == BNN_OK);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

static void the_minimum_of_the_loss_of_a_linear_net_is_ridge_regression(void) {
    enum { N = 20, D = 4 };
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    double beta = 1 / 0.09, alpha = 1 / 0.25, a[D][D + 1] = { { 0 } };
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { D, 1 }, .noise_std = (float)0.3,
                                             .no_bias = 1,
        .prior = { .std = (float)0.5 } });
    bnn_data d = { random_mat(&mem, N, D, -1, 1), random_mat(&mem, N, 1, -2, 2) };
    for (int i = 0; i < D; i++) {
        a[i][i] = alpha;
        for (int n = 0; n < N; n++) {
            for (int j = 0; j < D; j++)
                a[i][j] += beta * (double)d.x.data[n * D + i] * (double)d.x.data[n * D + j];
            a[i][D] += beta * (double)d.x.data[n * D + i] * (double)d.y.data[n];
        }
    }
    for (int p = 0; p < D; p++) /* Gauss-Jordan: positive definite needs no pivots */
        for (int i = 0; i < D; i++) {
            double f = a[i][p] / a[p][p];
            for (int j = p; i != p && j <= D; j++) a[i][j] -= f * a[p][j];
        }
    for (int i = 0; i < D; i++) w->theta[i] = (float)(a[i][D] / a[i][i]);
    bnn_params_zero_grad(w);
    bnn_var *l = bnn_net_loss(&net, bnn_batch_all(&t, d));
    bnn_backward(l);
    /* 0.3f is not 0.3 */
    for (int i = 0; i < D; i++) CHECK_NEAR(w->grad[i], 0, BUILD_TOL(1e-5, 2e-7));
    w->theta[1] += (float)0.1;
    bnn_params_zero_grad(w);
    bnn_var *m = bnn_net_loss(&net, bnn_batch_all(&t, d));
    bnn_backward(m);
    CHECK(bnn_value(m) > bnn_value(l) && fabs((double)w->grad[1]) > 0.1);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

static void learned_noise_finds_the_mean_square_residual(void) {
    bnn_arena mem = { 0 };
    bnn_tape t = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    float xs[4] = { 0, 0, 0, 0 }, ys[4] = { 1, -1, 3, -3 };
    bnn_data d = { { 4, 1, xs }, { 4, 1, ys } };
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_std = 2, .noise_learned = 1,
        .prior = { .kind = BNN_PRIOR_FLAT }, .noise_prior = { .kind = BNN_PRIOR_FLAT } });
    CHECK(net.noise == 2 && w->n == 3 && strcmp(w->blocks[2].name, "noise") == 0);
    CHECK_NEAR(w->theta[2], log(4.0), tol);
    w->theta[2] = (float)log(5.0); /* the optimum: mean of 1, 1, 9, 9 */
    bnn_params_zero_grad(w);
    bnn_backward(bnn_net_loss(&net, bnn_batch_all(&t, d)));
    CHECK_NEAR(w->grad[2], 0, tol);
    CHECK(t.err == BNN_OK);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
}

static void two_nets_share_a_store_and_start_differently(void) {
    bnn_arena mem = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    bnn_mlp_desc d = { .sizes = { 3, 4, 1 }, .noise_std = 1, .seed = 9 };
    bnn_mlp(w, d), bnn_mlp(w, d);
    CHECK(w->n == 42 && w->n_blocks == 8 && mem.err == BNN_OK);
    CHECK(memcmp(w->theta, w->theta + 21, 12 * sizeof(float)) != 0);
    bnn_params *v = bnn_params_new(&mem);
    bnn_mlp(v, d);
    CHECK_SAME_ARRAY(v->theta, w->theta, 21); /* same seed, same place, same bits */
    bnn_arena_free(&mem);
}

/* A stream: what the user says of N weighs the prior, whatever the batch has; the batch alone else. */
static void the_prior_is_weighed_by_the_n_of_the_user(void) {
    float x[4] = { 1, 2, 3, 4 }, y[4] = { 1, 1, 2, 2 };
    bnn_data d = { { 4, 1, x }, { 4, 1, y } };
    bnn_arena a = { 0 };
    bnn_tape t = { 0 };
    bnn_net net = bnn_mlp(bnn_params_new(&a), (bnn_mlp_desc){ .sizes = { 1, 3, 1 }, .noise_std = 1 });
    for (int said = 0; said < 2; said++) {
        double n = said ? 500 : 4, with, without;
        bnn_batch b;
        bnn_tape_reset(&t);
        t.n_data = said ? 500 : 0;
        b = bnn_batch_all(&t, d);
        if (said) b.n_data = 0; /* a batch made by hand need not say it again */
        without = (double)bnn_value(bnn_net_nll(&net, b));
        with = (double)bnn_value(bnn_net_loss(&net, b));
        CHECK_NEAR(with - without, -bnn_params_log_prior(net.params) / n, BUILD_TOL(1e-5, 1e-12));
    }
    CHECK(t.err == BNN_OK && a.err == BNN_OK);
    bnn_tape_free(&t);
    bnn_arena_free(&a);
}

int main(void) {
    RUN(the_prior_is_weighed_by_the_n_of_the_user);
    RUN(losses_and_gradients_are_those_of_pytorch);
    RUN(an_mlp_computes_affine_maps_and_activations);
    RUN(every_likelihood_is_stated_in_units_of_y);
    RUN(soft_labels_and_class_labels_agree);
    RUN(standardization_uses_mean_and_deviation_and_spares_constant_columns);
    RUN(the_density_of_a_scaled_net_integrates_to_1_in_units_of_y);
    RUN(dropout_of_a_linear_layer_has_the_exact_mean_variance_and_loss);
    RUN(hidden_dropout_spares_inputs_and_outputs);
    RUN(a_noise_must_be_chosen);
    RUN(a_graph_asks_for_its_noise_too);
    RUN(bad_descriptions_make_a_dead_net_and_leave_the_parameters);
    RUN(a_loss_must_know_how_many_data_there_are);
    RUN(wrong_widths_are_shape_errors);
    RUN(a_net_of_the_user_is_one_forward_function);
    RUN(the_minimum_of_the_loss_of_a_linear_net_is_ridge_regression);
    RUN(learned_noise_finds_the_mean_square_residual);
    RUN(two_nets_share_a_store_and_start_differently);
    return check_done();
}
