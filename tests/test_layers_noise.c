/* test_layers_noise.c -- noise in the layers of a list: moments against sampled weights, gradients
 * against central differences, kernels of one pixel against dense layers, a LeNet on digits. */
#include "build.h"
#include "world.h"

static bnn_net make(bnn_layers_desc d) {
    if (d.likelihood == 0 && d.noise_std == 0) d.noise_std = 1;
    return bnn_layers(bnn_params_new(&mem), d);
}
static size_t inputs_of(const bnn_layers_desc *d) { return d->input.h * d->input.w * d->input.c; }

/* sigmas that differ, around sd */
static void spread(bnn_meanfield *q, double sd) {
    for (size_t i = 0; i < q->n; i++)
        q->params->theta[q->n + i] = (float)log(expm1(sd * (1 + 0.5 * sin((double)i))));
}

/* ---- moments */

enum { ROWS = 3, MOST = 200, DRAWS = 8000 };
static const bnn_layers_desc products[] = {
    { .input = { 4, 5, 2 }, .layers = {
        { BNN_CONV, 3, .kernel = 3, .kernel_w = 2, .stride = 2, .pad = 1 } } },
    { .input = { 3, 3, 2 }, .layers = { { BNN_CONV, 2, .kernel = 2, .same = 1, .no_bias = 1 } } },
    { .input = { 2, 3, 3 }, .layers = {
        { BNN_CONV_TRANSPOSE, 2, .kernel = 3, .stride = 2, .pad = 1 } } } };

typedef struct moments { double m[MOST], v[MOST], pair; size_t n; } moments; /* pair: of 0 and c */

/* Of one layer's outputs over draws; how: 2 = sampled weights */
static void moments_of(moments *s, const bnn_layers_desc *d, int how) {
    bnn_net net, noisy;
    bnn_meanfield q;
    bnn_mat x;
    size_t c = d->layers[0].size;
    memset(s, 0, sizeof *s);
    open_all(1);
    net = make(*d);
    x = normals(ROWS, inputs_of(d), 1);
    q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ 0 });
    spread(&q, 0.4);
    noisy = how == 2 ? net : bnn_meanfield_net(&q, &net, how);
    tape.rng = bnn_rng_seed(build_seed(2 + (uint64_t)how));
    for (int i = 0; i < DRAWS; i++) {
        bnn_tape_reset(&tape);
        bnn_meanfield_sample(&q, &tape);
        bnn_mat y = bnn_net_forward(&noisy, bnn_input(&tape, x))->val;
        s->n = y.rows * y.cols;
        if (!CHECK(s->n <= MOST)) break;
        for (size_t j = 0; j < s->n; j++) {
            double f = (double)y.data[j];
            s->m[j] += f / DRAWS, s->v[j] += f * f / DRAWS;
        }
        s->pair += (double)y.data[0] * (double)y.data[c] / DRAWS;
    }
    s->pair -= s->m[0] * s->m[c];
    for (size_t j = 0; j < s->n; j++) s->v[j] -= s->m[j] * s->m[j];
    close_all();
}

/* All outputs are normal, so the error of a variance is v sqrt(2/DRAWS). About 600 comparisons at
 * 5.5 standard deviations: one false alarm in 40000 seeds. Pixels of one image move together under
 * one kernel, as in flipout; local noise takes them apart. */
static void kernels_have_the_moments_of_sampled_weights(void) {
    for (size_t k = 0; k < COUNT(products); k++) {
        static moments s[3];
        for (int how = 0; how < 3; how++) moments_of(&s[how], &products[k], how);
        size_t c = products[k].layers[0].size;
        double size = sqrt(s[2].v[0] * s[2].v[c]);
        CHECK(s[0].n > 0 && s[0].n == s[2].n);
        for (int how = 0; how < 2; how++)
            for (size_t i = 0; i < s[2].n; i++) {
                CHECK_NEAR(s[how].m[i], s[2].m[i], 5.5 * sqrt((s[how].v[i] + s[2].v[i]) / DRAWS));
                CHECK_NEAR(s[how].v[i], s[2].v[i], 5.5 * s[2].v[i] * sqrt(2 * 2.0 / DRAWS));
            }
        CHECK_NEAR(s[BNN_NOISE_LOCAL].pair, 0, 5.5 * size / sqrt(DRAWS));
        CHECK_NEAR(s[BNN_NOISE_FLIPOUT].pair, s[2].pair, 5.5 * size * sqrt(2 * 2.0 / DRAWS));
    }
}

/* ---- gradients */

typedef struct loss_of { bnn_net *net; bnn_data d; } loss_of;
static bnn_var *loss(bnn_tape *t, void *user) {
    loss_of *l = (loss_of *)user;
    return bnn_net_nll(l->net, bnn_batch_all(t, l->d));
}

static const bnn_layers_desc nets[] = {
    { .input = { 5, 6, 2 }, .activation = BNN_TANH, .layers = {
        { BNN_CONV, 3, .kernel = 3, .kernel_w = 2, .stride = 2, .pad = 1 },
        { BNN_CONV, 3, .kernel = 3, .same = 1, .add = 1, .no_bias = 1 },
        { BNN_AVG_POOL, .kernel = 2, .stride = 1 }, { BNN_DENSE, 2 } } },
    { .input = { 6, 6, 1 }, .activation = BNN_TANH, .layers = {
        { BNN_CONV, 4, .kernel = 3 }, { BNN_NORM, 2, .activation = BNN_SILU },
        { BNN_MAX_POOL, .kernel = 2 }, { BNN_DENSE, 2, .dropout = (float)0.3 } } },
    { .input = { 1, 1, 3 }, .activation = BNN_SOFTPLUS, .layers = {
        { BNN_DENSE, 12, .image = { 2, 2, 3 } }, { BNN_UPSAMPLE, 2 },
        { BNN_CONV_TRANSPOSE, 2, .kernel = 4, .stride = 2, .pad = 1 },
        { BNN_NORM, .no_bias = 1 }, { BNN_AVG_POOL } } },
    { .input = { 5, 1, 3 }, .layers = {
        { BNN_GRU, 4, .sequence = 1 }, { BNN_LSTM, 3 }, { BNN_DENSE, 2 } } } };

static void noisy_lists_have_the_gradient_of_central_differences(void) {
    for (size_t i = 0; i < COUNT(nets); i++)
        for (int how = BNN_NOISE_LOCAL; how <= BNN_NOISE_FLIPOUT; how++) {
            open_all(5 + i);
            tape.training = 1;
            bnn_net net = make(nets[i]), noisy;
            bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ 0 });
            spread(&q, 0.3);
            bnn_meanfield_sample(&q, &tape);
            noisy = bnn_meanfield_net(&q, &net, how);
            loss_of l = { &noisy, { normals(4, inputs_of(&nets[i]), 1), normals(4, 2, 1) } };
            CHECK_NEAR(bnn_grad_check(&tape, q.params, loss, &l), 0, BUILD_TOL(0.15, 1e-7));
            for (size_t b = 0; b < q.params->n_blocks; b++) { /* every mu and every rho */
                bnn_mat g = bnn_params_grad(q.params, b);
                CHECK(bnn_mat_dot(g, g) > 0);
            }
            close_all();
        }
}

/* ---- what it must be */

/* The same numbers come from the rng in the same order, so one pixel is a dense layer. */
static void a_kernel_that_sees_all_is_a_dense_layer(void) {
    static const bnn_image in[] = { { 1, 1, 6 }, { 2, 3, 1 } };
    for (size_t k = 0; k < COUNT(in); k++)
        for (int how = BNN_NOISE_LOCAL; how <= BNN_NOISE_FLIPOUT; how++) {
            static float out[2][20], g[2][56];
            if (k == 1 && how == BNN_NOISE_FLIPOUT) continue; /* signs by channel, or by number */
            for (int conv = 0; conv < 2; conv++) {
                bnn_layers_desc d = { .input = in[k], .layers = { { BNN_DENSE, 4 } } };
                open_all(20 + k);
                if (conv) d.layers[0].kind = BNN_CONV, d.layers[0].activation = BNN_IDENTITY;
                if (conv) d.layers[0].kernel = in[k].h, d.layers[0].kernel_w = in[k].w;
                bnn_net net = make(d), noisy;
                bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ 0 });
                spread(&q, 0.3);
                bnn_data data = { normals(5, 6, 1), normals(5, 4, 1) };
                noisy = bnn_meanfield_net(&q, &net, how);
                tape.n_data = 5;
                bnn_meanfield_sample(&q, &tape);
                bnn_mat y = bnn_net_forward(&noisy, bnn_input(&tape, data.x))->val;
                memcpy(out[conv], y.data, sizeof out[0]);
                bnn_backward(bnn_net_nll(&noisy, bnn_batch_all(&tape, data)));
                bnn_meanfield_backward(&q, &tape);
                if (CHECK(q.params->n == 56)) memcpy(g[conv], q.params->grad, sizeof g[0]);
                close_all();
            }
            for (int i = 0; i < 20; i++) CHECK_NEAR(out[0][i], out[1][i], 16 * BUILD_EPSILON);
            for (int i = 0; i < 56; i++) CHECK_NEAR(g[0][i], g[1][i], 64 * BUILD_EPSILON);
        }
}

/* What is no product has one draw for all rows and steps: that of bnn_meanfield_sample. */
static void norms_and_cells_take_the_draw(void) {
    for (int how = BNN_NOISE_LOCAL; how <= BNN_NOISE_FLIPOUT; how++) {
        open_all(30);
        bnn_net net = make((bnn_layers_desc){ .input = { 4, 2, 2 }, .layers = { { BNN_NORM },
            { BNN_GRU, 5, .sequence = 1 }, { BNN_LSTM, 3, .no_bias = 1 } } }), noisy;
        bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ 0 });
        spread(&q, 0.3);
        noisy = bnn_meanfield_net(&q, &net, how);
        bnn_var *x = bnn_input(&tape, normals(6, 16, 1));
        bnn_meanfield_sample(&q, &tape);
        bnn_mat a = bnn_net_forward(&net, x)->val, b = bnn_net_forward(&noisy, x)->val;
        for (size_t i = 0; i < 18; i++) CHECK_NEAR(a.data[i], b.data[i], 64 * BUILD_EPSILON);
        close_all();
    }
}

/* Flipout rows of one sign are the drawn net: a batch of many rows has such ones for 1 channel. */
static void flipout_gives_the_kernel_signs_by_channel(void) {
    open_all(31);
    bnn_net net = make((bnn_layers_desc){ .input = { 3, 3, 1 }, .layers = {
        { BNN_CONV, 1, .kernel = 2, .activation = BNN_IDENTITY, .no_bias = 1 } } }), noisy;
    bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ 0 });
    spread(&q, 0.3);
    noisy = bnn_meanfield_net(&q, &net, BNN_NOISE_FLIPOUT);
    bnn_var *x = bnn_input(&tape, normals(64, 9, 1));
    bnn_meanfield_sample(&q, &tape);
    bnn_mat drawn = bnn_net_forward(&net, x)->val, y = bnn_net_forward(&noisy, x)->val, mean;
    bnn_meanfield_mean(&q);
    mean = bnn_net_forward(&net, x)->val;
    int plus = 0;
    for (size_t r = 0; r < 64; r++) { /* mean + (drawn - mean), or mean - (drawn - mean) */
        const float *d = drawn.data + 4 * r, *m = mean.data + 4 * r, *f = y.data + 4 * r;
        int same = fabs((double)(f[0] - d[0])) <= 64 * (double)BUILD_EPSILON;
        for (int i = 0; i < 4; i++)
            CHECK_NEAR(f[i], same ? d[i] : 2 * m[i] - d[i], 64 * BUILD_EPSILON);
        plus += same;
    }
    CHECK(plus > 8 && plus < 56); /* 32 expected, sd 4: false alarms below 1e-8 */
    close_all();
}

static void zero_pixels_without_a_bias_have_no_noise_and_no_gradient(void) {
    open_all(32);
    bnn_net net = make((bnn_layers_desc){ .input = { 4, 4, 1 }, .no_bias = 1, .layers = {
        { BNN_CONV, 2, .kernel = 2, .activation = BNN_IDENTITY } } }), noisy;
    bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ 0 });
    bnn_mat x = bnn_mat_new(&mem, 2, 16);
    x.data[0] = 1, x.data[17] = 2;
    noisy = bnn_meanfield_net(&q, &net, BNN_NOISE_LOCAL);
    tape.n_data = 2;
    bnn_meanfield_sample(&q, &tape);
    bnn_var *y = bnn_net_forward(&noisy, bnn_input(&tape, x));
    CHECK(y->val.data[17] == 0 && y->val.data[0] != 0);
    bnn_backward(bnn_sum(bnn_square(y)));
    bnn_meanfield_backward(&q, &tape);
    for (size_t i = 0; i < q.params->n; i++) CHECK(q.params->grad[i] - q.params->grad[i] == 0);
    close_all();
}

/* ---- a LeNet */

static bnn_data digits(const char *part) {
    bnn_data d = { { 0, 0, NULL }, { 0, 0, NULL } };
    FILE *here = fopen("examples/data/digits-train-images.idx", "rb");
    const char *folder = here ? "examples/data" : "../examples/data";
    char path[100];
    if (here) fclose(here);
    snprintf(path, sizeof path, "%s/digits-%s-images.idx", folder, part);
    CHECK(bnn_idx_load(&mem, path, &d.x) == BNN_OK);
    snprintf(path, sizeof path, "%s/digits-%s-labels.idx", folder, part);
    CHECK(bnn_idx_load(&mem, path, &d.y) == BNN_OK);
    bnn_mat_scale(d.x, d.x, (float)(1 / 16.0));
    return d;
}

static void a_lenet_of_a_mean_field_reads_digits(void) {
    for (int how = BNN_NOISE_LOCAL; how <= BNN_NOISE_FLIPOUT; how++) {
        double first = 0, last = 0;
        open_all(40);
        bnn_data train = digits("train"), test = digits("test");
        bnn_net net = make((bnn_layers_desc){ .input = { 8, 8, 1 }, .layers = {
            { BNN_CONV, 8, .kernel = 3, .same = 1 }, { BNN_MAX_POOL, .kernel = 2 },
            { BNN_CONV, 16, .kernel = 3, .same = 1 }, { BNN_MAX_POOL, .kernel = 2 },
            { BNN_DENSE, 32 }, { BNN_DENSE, 10 } }, .likelihood = BNN_CATEGORICAL,
            .prior = { .std = (float)0.5 }, .seed = build_seed(41) }), noisy;
        bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){
            .init_std = (float)0.05 });
        bnn_stepper adam = bnn_adam(q.params, (bnn_adam_desc){ .lr = (float)5e-3 });
        noisy = bnn_meanfield_net(&q, &net, how);
        for (int i = 0; i < 800; i++) {
            bnn_tape_reset(&tape);
            bnn_meanfield_sample(&q, &tape);
            bnn_var *nll = bnn_net_nll(&noisy, bnn_minibatch(&tape, train, 50));
            bnn_backward(nll);
            bnn_meanfield_backward(&q, &tape);
            bnn_step(&adam, &tape);
            double f = (double)bnn_value(nll) + bnn_meanfield_kl(&q) / (double)train.x.rows;
            if (i < 20) first += f / 20;
            if (i >= 780) last += f / 20;
        }
        bnn_ensemble e = bnn_ensemble_new(net.params, 10);
        for (int i = 0; i < 10; i++) bnn_meanfield_push(&q, &e, &tape.rng);
        bnn_predictive p = bnn_predict(&mem, &tape, &net, &e, test.x);
        double error = bnn_metric_error(p.mean, test.y);
        printf("    noise %d: F/N %.2f, then %.2f; error %.3f\n", how, first, last, error);
        CHECK(last < 0.6 * first && error < 0.08);
        close_all();
    }
}

static void what_has_no_layers_or_no_noise_is_refused(void) {
    open_all(50);
    bnn_net net = make(nets[3]), own = net;
    bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ 0 });
    bnn_meanfield point = bnn_meanfield_new(net.params, (bnn_meanfield_desc){
        .posterior = BNN_POSTERIOR_DELTA });
    own.mlp = NULL;
    for (int i = 0; i < 3; i++) {
        bnn_net bad = bnn_meanfield_net(i == 2 ? &point : &q, i == 1 ? &own : &net, i == 0 ? 9 : 0);
        CHECK(bad.params == NULL && strstr(mem.msg, "it needs a bnn_mlp or bnn_layers") != NULL);
        mem.err = BNN_OK;
    }
    for (int e = BNN_ESTIMATE_PRICE; e <= BNN_ESTIMATE_BATCH_BIASED; e++) {
        bnn_meanfield curved = bnn_meanfield_new(net.params, (bnn_meanfield_desc){
            .estimator = e });
        bnn_net noisy = bnn_meanfield_net(&curved, &net, BNN_NOISE_LOCAL);
        bnn_data d = { normals(3, net.mlp->at->in.h * net.mlp->at->in.w * net.mlp->at->in.c, 1),
                       normals(3, 1, 1) };
        bnn_meanfield_sample(&curved, &tape);
        (void)bnn_net_nll(&noisy, bnn_batch_all(&tape, d));
        CHECK(took(BNN_EARG, "noise in the layers needs BNN_ESTIMATE_PATH"));
        bnn_meanfield_mean(&curved);
    }
    close_all();
}

int main(void) {
    RUN(kernels_have_the_moments_of_sampled_weights);
    RUN(noisy_lists_have_the_gradient_of_central_differences);
    RUN(a_kernel_that_sees_all_is_a_dense_layer);
    RUN(norms_and_cells_take_the_draw);
    RUN(flipout_gives_the_kernel_signs_by_channel);
    RUN(zero_pixels_without_a_bias_have_no_noise_and_no_gradient);
    RUN(a_lenet_of_a_mean_field_reads_digits);
    RUN(what_has_no_layers_or_no_noise_is_refused);
    return check_done();
}
