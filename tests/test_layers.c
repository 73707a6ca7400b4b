/* test_layers.c -- nets as lists of layers: a list of dense layers is a bnn_mlp bit for bit, every
 * kind has the gradients of central differences, shapes, dropout, what is refused. */
#include "build.h"
#include "world.h"

static bnn_net make(bnn_layers_desc d) {
    if (d.noise_std == 0 && !d.noise_learned) d.noise_std = 1;
    return bnn_layers(bnn_params_new(&mem), d);
}

/* ---- a bnn_mlp is a list of dense layers */

static void a_list_of_dense_layers_is_a_bnn_mlp_bit_for_bit(void) {
    for (int init = BNN_INIT_AUTO; init <= BNN_INIT_ZERO; init++)
        for (int no_bias = 0; no_bias < 2; no_bias++) {
            bnn_net a, b;
            bnn_data d;
            open_all(3);
            a = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 3, 8, 5, 2 },
                .activations = { BNN_TANH, BNN_RELU }, .noise_learned = 1, .seed = 7, .init = init,
                .no_bias = no_bias, .dropout_input = (float)0.1, .dropout = (float)0.25,
                .prior = { .std = 2, .fan_in = 1 } });
            b = make((bnn_layers_desc){ .input = { 1, 1, 3 }, .noise_learned = 1, .seed = 7,
                .init = init, .no_bias = no_bias, .prior = { .std = 2, .fan_in = 1 }, .layers = {
                { BNN_DENSE, 8, .activation = BNN_TANH, .dropout = (float)0.1 },
                { BNN_DENSE, 5, .dropout = (float)0.25 },
                { BNN_DENSE, 2, .dropout = (float)0.25 } } });
            CHECK(a.params->n == b.params->n && a.params->n_blocks == b.params->n_blocks);
            CHECK_SAME_ARRAY(a.params->theta, b.params->theta, a.params->n);
            for (size_t i = 0; i < a.params->n_blocks; i++) {
                const bnn_block *p = &a.params->blocks[i], *q = &b.params->blocks[i];
                CHECK(strcmp(p->name, q->name) == 0 && p->prior.std == q->prior.std);
            }
            d.x = normals(20, 3, 1), d.y = normals(20, 2, 1);
            bnn_net *both[2] = { &a, &b };
            float *left[2];
            for (int k = 0; k < 2; k++) {
                bnn_stepper s = bnn_sgld(both[k]->params, (bnn_sgld_desc){ .lr = (float)1e-3 });
                tape.rng = bnn_rng_seed(11);
                for (int i = 0; i < 30; i++) {
                    bnn_tape_reset(&tape);
                    bnn_backward(bnn_net_loss(both[k], bnn_minibatch(&tape, d, 7)));
                    bnn_step(&s, &tape);
                }
                left[k] = bnn_predict(&mem, &tape, both[k], NULL, d.x).mean.data;
            }
            CHECK_SAME_ARRAY(a.params->theta, b.params->theta, a.params->n);
            CHECK_SAME_ARRAY(left[0], left[1], 40);
            close_all();
        }
}

/* ---- gradients */

typedef struct loss_of { bnn_net *net; bnn_data d; } loss_of;
static bnn_var *loss(bnn_tape *t, void *user) {
    loss_of *l = (loss_of *)user;
    return bnn_net_nll(l->net, bnn_batch_all(t, l->d)); /* small: the prior would cost digits */
}

static const bnn_layers_desc nets[] = {
    { .input = { 5, 6, 2 }, .activation = BNN_TANH, .layers = {
        { BNN_CONV, 3, .kernel = 3, .kernel_w = 2, .stride = 2, .pad = 1 },
        { BNN_CONV, 3, .kernel = 3, .same = 1, .add = 1, .no_bias = 1 },
        { BNN_AVG_POOL, .kernel = 2, .stride = 1 }, { BNN_DENSE, 2 } } },
    { .input = { 6, 6, 1 }, .layers = {
        { BNN_CONV, 4, .kernel = 3, .activation = BNN_IDENTITY },
        { BNN_NORM, 2, .activation = BNN_SILU }, { BNN_MAX_POOL, .kernel = 2 },
        { BNN_DENSE, 2, .dropout = (float)0.3 } } },
    { .input = { 1, 1, 3 }, .activation = BNN_SOFTPLUS, .layers = {
        { BNN_DENSE, 12, .image = { 2, 2, 3 } }, { BNN_UPSAMPLE, 2 },
        { BNN_CONV_TRANSPOSE, 2, .kernel = 4, .stride = 2, .pad = 1 },
        { BNN_NORM, .no_bias = 1 }, { BNN_AVG_POOL, .dropout = (float)0.4 } } },
    { .input = { 5, 1, 3 }, .layers = {
        { BNN_GRU, 4, .sequence = 1, .dropout = (float)0.3 }, { BNN_LSTM, 3 },
        { BNN_DENSE, 2 } } },
    { .input = { 4, 2, 2 }, .no_bias = 1, .layers = {
        { BNN_LSTM, 4, .sequence = 1 }, { BNN_LSTM, 4, .sequence = 1, .add = 1 },
        { BNN_GRU, 2 } } } };

static void every_kind_has_the_gradient_of_central_differences(void) {
    for (size_t i = 0; i < COUNT(nets); i++)
        for (int training = -1; training <= 1; training += 2) {
            open_all(5 + i);
            tape.training = training;
            bnn_net net = make(nets[i]);
            const bnn_image in = nets[i].input;
            loss_of l = { &net, { normals(4, in.h * in.w * in.c, 1), normals(4, 2, 1) } };
            CHECK_NEAR(bnn_grad_check(&tape, net.params, loss, &l), 0, BUILD_TOL(0.15, 1e-7));
            for (size_t b = 0; b < net.params->n_blocks; b++) /* every block takes part */
                CHECK(bnn_mat_dot(bnn_params_grad(net.params, b), bnn_params_grad(net.params, b)) >
                      0);
            close_all();
        }
}

/* ---- what a layer is: the op with its blocks */

static void layers_are_their_ops(void) {
    open_all(9);
    bnn_net net = make((bnn_layers_desc){ .input = { 6, 7, 2 }, .layers = {
        { BNN_CONV, 3, .kernel = 3, .pad = 1 }, { BNN_MAX_POOL, .kernel = 2 },
        { BNN_DENSE, 4 } } });
    bnn_window v = { .kernel = 3, .pad = 1 }, two = { .kernel = 2 };
    bnn_var *x = bnn_input(&tape, normals(5, 84, 1)), *p[4], *y;
    for (size_t b = 0; b < 4; b++) {
        bnn_rng_fill_normal(&tape.rng, 1, net.params->theta + net.params->blocks[b].offset);
        p[b] = bnn_param(&tape, net.params, b);
    }
    y = bnn_relu(bnn_conv2d(x, p[0], p[1], (bnn_image){ 6, 7, 2 }, v));
    y = bnn_max_pool2d(y, (bnn_image){ 6, 7, 3 }, two);
    y = bnn_affine(y, p[2], p[3]);
    bnn_var *z = net.forward(&tape, &net, x);
    CHECK(z->val.rows == 5 && z->val.cols == 4);
    CHECK_SAME_ARRAY(y->val.data, z->val.data, 20);
    CHECK(strcmp(net.params->blocks[2].name, "w03") == 0);
    close_all();
}

static void a_recurrent_layer_is_its_steps(void) {
    for (int kind = BNN_GRU; kind <= BNN_LSTM; kind++) {
        open_all(10);
        bnn_net net = make((bnn_layers_desc){ .input = { 4, 1, 3 }, .layers = {
            { kind, 5, .sequence = 1 } } });
        bnn_var *x = bnn_input(&tape, normals(2, 12, 1)), *p[3];
        for (size_t b = 0; b < 3; b++) p[b] = bnn_param(&tape, net.params, b);
        bnn_var *z = net.forward(&tape, &net, x);
        bnn_var *h = bnn_input(&tape, bnn_mat_new(&mem, 2, kind == BNN_GRU ? 5 : 10));
        for (size_t t = 0; t < 4; t++) {
            h = (kind == BNN_GRU ? bnn_gru : bnn_lstm)(bnn_cols(x, 3 * t, 3), h, p[0], p[1], p[2],
                                                       NULL);
            for (size_t i = 0; i < 10; i++)
                CHECK_NEAR(z->val.data[i / 5 * 20 + 5 * t + i % 5],
                           h->val.data[i / 5 * h->val.cols + i % 5], 4 * BUILD_EPSILON);
        }
        close_all();
    }
}

/* dropped channels are gone in all pixels, and others scaled */
static void dropout_takes_whole_channels(void) {
    open_all(12);
    tape.training = 1;
    bnn_net net = make((bnn_layers_desc){ .input = { 3, 2, 4 }, .layers = {
        { BNN_AVG_POOL, .kernel = 1, .dropout = (float)0.5 } } });
    bnn_mat ones = bnn_mat_new(&mem, 50, 24);
    bnn_mat_fill(ones, 1);
    bnn_mat y = net.forward(&tape, &net, bnn_input(&tape, ones))->val;
    int gone = 0;
    for (size_t i = 0; i < 50; i++)
        for (size_t c = 0; c < 4; c++) {
            float first = y.data[24 * i + c];
            CHECK(first == 0 || first == 2);
            gone += first == 0;
            for (size_t p = 0; p < 6; p++) CHECK(y.data[24 * i + 4 * p + c] == first);
        }
    CHECK(gone > 60 && gone < 140); /* 100 expected, sd 7: false alarms below 1e-7 */
    close_all();
}

static void initial_weights_keep_the_scale(void) { /* by fan in of each kind */
    open_all(13);
    bnn_net net = make((bnn_layers_desc){ .input = { 16, 16, 8 }, .seed = build_seed(4), .layers = {
        { BNN_CONV, 32, .kernel = 3, .same = 1 }, { BNN_CONV, 32, .kernel = 5, .same = 1 },
        { BNN_CONV_TRANSPOSE, 16, .kernel = 4, .stride = 2, .pad = 1 },
        { BNN_DENSE, 200 }, { BNN_DENSE, 3 } } });
    bnn_var *x = bnn_input(&tape, normals(4, 2048, 1));
    bnn_mat y = net.forward(&tape, &net, x)->val;
    double size = sqrt(bnn_mat_dot(y, y) / 12);
    CHECK(size > 0.2 && size < 5);
    close_all();
}

static void one_layer_alone_has_no_gain(void) { /* nothing feeds it: variance 1 / fan in */
    open_all(14);
    bnn_net net = make((bnn_layers_desc){ .input = { 1, 1, 400 }, .seed = build_seed(5),
        .layers = { { BNN_DENSE, 300, .activation = BNN_RELU } } });
    bnn_mat w = bnn_params_mat(net.params, 0);
    CHECK_NEAR(bnn_mat_dot(w, w) / 300, 1, 0.03); /* sd .004 */
    close_all();
}

static void priors_are_by_fan_in_and_a_gain_is_around_1(void) {
    bnn_prior p = { .std = 2, .fan_in = 1 };
    open_all(15);
    bnn_net net = make((bnn_layers_desc){ .input = { 5, 4, 2 }, .layers = {
        { BNN_CONV, 6, .kernel = 3, .kernel_w = 2, .prior = p },
        { BNN_NORM, .prior = { .std = (float)0.5 } },
        { BNN_CONV_TRANSPOSE, 3, .kernel = 4, .kernel_w = 6, .stride = 2, .prior = p },
        { BNN_DENSE, 2 } } });
    const bnn_block *b = net.params->blocks; /* w, b, gain, shift, w, b, w, b */
    CHECK(net.params->n_blocks == 8);
    CHECK_NEAR(b[0].prior.std, 2 / sqrt(3 * 2 * 2), 1e-6);
    CHECK(b[2].prior.mean == 1 && b[3].prior.mean == 0 && b[2].prior.std == (float)0.5);
    CHECK_NEAR(b[4].prior.std, 2 / sqrt(6 * (4 / 2) * (6 / 2)), 1e-6); /* windows overlap */
    CHECK(b[6].prior.std == 1 && b[6].prior.mean == 0);
    close_all();
}

/* ---- what is refused: the sentence, and nothing is made */

static void bad_lists_are_refused(void) {
    static const struct { bnn_layers_desc d; const char *says; } bad[] = {
        { { .input = { 4, 4, 1 } }, "bnn_layers: layer 1 has no kind" },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_DENSE, 2 }, { 0 }, { BNN_DENSE, 2 } } },
          "bnn_layers: layer 2 has no kind" },
        { { .input = { 0, 1, 8 }, .layers = { { BNN_GRU, 2 } } },
          "bnn_layers: layer 1: an input of 0x1x8" },
        { { .input = { SIZE_MAX / 2, 3, 8 }, .layers = { { BNN_GRU, 2 } } },
          "bnn_layers: layer 1: an input of " },
        { { .input = { 4, 4, 1 }, .layers = { { 77, 2 } } },
          "bnn_layers: layer 1 is of kind 77 (1 to 9)" },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_CONV, 2, .kernel = 2 },
            { BNN_CONV, 2, .kernel = 4 } } }, "bnn_layers: layer 2 (conv): a kernel of 4x4, stride "
          "0, pad 0 does not fit images of 3x3x2" },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_CONV_TRANSPOSE, 2 } } }, "bnn_layers: layer 1 "
          "(conv transpose): a kernel of 0x0, stride 0, pad 0 does not fit images of 4x4x1" },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_MAX_POOL, 2 } } },
          "bnn_layers: layer 1 (max pool) has no size" },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_DENSE, 2, .kernel = 3 } } },
          "bnn_layers: layer 1 (dense) has no kernel" },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_NORM, .stride = 3 } } },
          "bnn_layers: layer 1 (norm) has no stride" },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_UPSAMPLE, 2, .same = 1 } } },
          "bnn_layers: layer 1 (upsample) has no padding" },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_DENSE, 2, .sequence = 1 } } },
          "bnn_layers: layer 1 (dense) has no sequence" },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_LSTM, 2, .image = { 1, 1, 2 } } } },
          "bnn_layers: layer 1 (LSTM) has no image" },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_CONV, .kernel = 3 } } },
          "bnn_layers: layer 1 (conv) needs a size" },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_DENSE, 12, .image = { 2, 3, 1 } } } },
          "bnn_layers: layer 1 (dense): 12 outputs are no image of 2x3x1" },
        { { .input = { 4, 4, 6 }, .layers = { { BNN_NORM, 4 } } },
          "bnn_layers: layer 1 (norm): 4 groups of 6 channels" },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_CONV, SIZE_MAX / 4, .kernel = 1 } } },
          "bnn_layers: layer 1 (conv): images of 4x4x" },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_UPSAMPLE, SIZE_MAX / 4 } } },
          "bnn_layers: layer 1 (upsample): a kernel of " },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_DENSE, SIZE_MAX / 65 } } },
          "bnn_layers: layer 1 (dense): weights of 16x" },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_GRU, SIZE_MAX / 65 } } },
          "bnn_layers: layer 1 (GRU): weights of 4x" },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_CONV, 2, .kernel = 2, .stride = SIZE_MAX } } },
          "bnn_layers: layer 1 (conv): a kernel of 2x2, stride " },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_DENSE, 2, .add = 1 } } },
          "bnn_layers: layer 1 (dense) adds layer 1, which is not before it" },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_DENSE, 2 }, { BNN_DENSE, 3, .add = 1 } } },
          "bnn_layers: layer 2 (dense) of 1x1x3 adds layer 1 of 1x1x2" },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_DENSE, 2, .activation = 77 } } },
          "bnn_layers: layer 1 (dense) has activation 77, dropout 0" },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_DENSE, 2, .dropout = 1 } } },
          "bnn_layers: layer 1 (dense) has activation 10, dropout 1" },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_DENSE, 2 } }, .init = 9 },
          "bnn_layers: init 9 (1 to 6), init_scale 1" },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_DENSE, 1 } }, .likelihood = BNN_CATEGORICAL },
          "bnn_layers: BNN_CATEGORICAL with 1 output" },
        { { .input = { 4, 4, 1 }, .layers = { { BNN_DENSE, 2, .prior = { .std = -1 } } } },
          "bnn_params_add: prior of w01" } };
    for (size_t i = 0; i < COUNT(bad); i++) {
        memset(&mem, 0, sizeof mem);
        bnn_params *w = bnn_params_new(&mem);
        bnn_params_add(w, 2, 2, "first", (bnn_prior){ .std = 1 });
        bnn_layers_desc d = bad[i].d;
        d.noise_std = 1;
        bnn_net net = bnn_layers(w, d);
        CHECK(net.params == NULL && mem.err != BNN_OK && w->n == 4 && w->n_blocks == 1);
        if (!CHECK(strncmp(mem.msg, bad[i].says, strlen(bad[i].says)) == 0))
            printf("    %zu: %s\n", i, mem.msg);
        bnn_arena_free(&mem);
    }
    CHECK(bnn_layers(NULL, bad[0].d).params == NULL);
}

static void rows_that_are_no_images_are_refused(void) {
    open_all(17);
    bnn_net net = make((bnn_layers_desc){ .input = { 4, 4, 2 }, .layers = {
        { BNN_CONV, 2, .kernel = 3 }, { BNN_GRU, 2 } } });
    bnn_data d = { normals(3, 31, 1), normals(3, 2, 1) };
    static const char says[] = "bnn_layers: layer 1 (conv): x is 3x31, its rows cannot be images "
                               "of 4x4x2";
    bnn_net_loss(&net, bnn_batch_all(&tape, d));
    CHECK(took(BNN_ESHAPE, says));
    net.forward(&tape, &net, bnn_input(&tape, d.x));
    CHECK(took(BNN_ESHAPE, says));
    CHECK(bnn_predict(&mem, &tape, &net, NULL, d.x).mean.data == NULL);
    CHECK(took(BNN_ESHAPE, "its rows cannot be images of 4x4x2"));
    CHECK(bnn_net_standardize(&net, d) == BNN_ESHAPE && net.scaling.x_mean.data == NULL);
    CHECK(strcmp(mem.msg, "bnn_net_standardize: x has 31 columns, layer 1 (conv) reads images of "
                          "4x4x2") == 0);
    close_all();
}

/* What a bnn_mlp can and a list cannot: the layer is named. */
static void what_needs_a_bnn_mlp_names_the_layer(void) {
    open_all(14);
    bnn_net net = make((bnn_layers_desc){ .input = { 3, 3, 1 }, .layers = {
        { BNN_DENSE, 9, .image = { 3, 3, 1 } }, { BNN_AVG_POOL, .dropout = (float)0.5 } } });
    bnn_data d = { normals(6, 9, 1), normals(6, 1, 1) };
    bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ .init_std = 1 });
    bnn_params *to = bnn_params_new(&mem);
    static const char says[] = ": layer 2 (avg pool) is of bnn_layers, this is for a bnn_mlp";
    for (int i = 0; i < 5; i++) {
        const char *want = says;
        if (i == 0)
            bnn_predict_moments(&mem, &tape, &net, &q, d.x), want = "bnn_predict_moments: layer 2 "
                "(avg pool): moments are of dense layers without .add, whose units are nearly";
        if (i == 2)
            bnn_laplace_new(&mem, &tape, &net, d, BNN_LAPLACE_LAST), want = ": layer 2 (avg pool) "
                "is not dense and linear, as a last layer must be: take BNN_LAPLACE_FULL or";
        if (i == 3) {
            bnn_ensemble e = bnn_ensemble_new(net.params, 3);
            bnn_ensemble_push_dropout(&e, &net, &tape.rng);
            CHECK(e.count == 0);
            want = ": layer 2 (avg pool) has dropout and no weights to mask: move it to";
        }
        if (i == 4) {
            size_t n = net.params->n, unit = 0;
            bnn_gaussian out, g = bnn_gaussian_new(&mem, n, NULL, bnn_mat_new(&mem, 1, n));
            bnn_drop_neurons(to, &out, &net, &g, 1, 1, &unit, 0);
            want = "bnn_drop_neurons: layer 1 (dense) must keep its units";
        }
        if (i == 1) bnn_emit_c(&mem, &tape, &net, NULL, (bnn_emit_desc){ .moments = &q });
        const char *msg = tape.err ? tape.msg : mem.msg;
        if (!CHECK((tape.err || mem.err) && strstr(msg, want) != NULL)) printf("%d %s\n", i, msg);
        tape.err = mem.err = BNN_OK;
    }
    close_all();
}

/* The moments of a dense list are those of the bnn_mlp; an activation at the end counts. */
static void moments_go_through_dense_lists(void) {
    bnn_mat mean[3], var[3];
    open_all(16);
    for (int i = 0; i < 3; i++) {
        bnn_net net = i == 0 ? bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){
            .sizes = { 6, 9, 4, 2 }, .noise_std = 1, .seed = 5 })
            : make((bnn_layers_desc){ .input = { 2, 3, 1 }, .seed = 5, .layers = { { BNN_DENSE, 9 },
                { BNN_DENSE, 4, .image = { 2, 1, 2 } },
                { BNN_DENSE, 2, .activation = i == 2 ? BNN_RELU : 0 } } });
        bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){
            .init_std = (float)0.2 });
        tape.rng = bnn_rng_seed(build_seed(6));
        bnn_predictive p = bnn_predict_moments(&mem, &tape, &net, &q, normals(12, 6, 1));
        mean[i] = p.mean, var[i] = p.epistemic;
    }
    if (!CHECK(tape.err == BNN_OK)) return;
    CHECK_SAME_ARRAY(mean[0].data, mean[1].data, 24);
    CHECK_SAME_ARRAY(var[0].data, var[1].data, 24);
    for (size_t i = 0; i < 24; i++)
        CHECK(mean[2].data[i] > 0 && mean[2].data[i] > mean[0].data[i] && var[2].data[i] > 0 &&
              var[2].data[i] < var[0].data[i]);
    close_all();
}

/* A mask takes all rows of a channel; the masked net is the old one on masked channels. */
static void a_draw_of_dropout_masks_rows_of_channels(void) {
    open_all(17);
    bnn_net net = make((bnn_layers_desc){ .input = { 4, 4, 6 }, .layers = {
        { BNN_CONV, 3, .kernel = 3, .dropout = (float)0.5 }, { BNN_GRU, 4, .dropout = (float)0.3 },
        { BNN_DENSE, 2 } } });
    bnn_ensemble e = bnn_ensemble_new(net.params, 40);
    size_t gone = 0, apart = 0;
    for (int k = 0; k < 40; k++) {
        CHECK(bnn_ensemble_push_dropout(&e, &net, &tape.rng) == BNN_OK);
        bnn_params s = bnn_ensemble_sample(&e, (size_t)k);
        bnn_mat a = bnn_params_mat(&s, 0), w = bnn_params_mat(net.params, 0);
        for (size_t c = 0; c < 6; c++) {
            float keep = a.data[c * 3] == 0 ? 0 : 2;
            gone += keep == 0;
            for (size_t p = 0; p < 9; p++)
                for (size_t j = 0; j < 3; j++)
                    CHECK(a.data[(p * 6 + c) * 3 + j] == keep * w.data[(p * 6 + c) * 3 + j]);
        }
        a = bnn_params_mat(&s, 2), w = bnn_params_mat(net.params, 2);
        for (size_t i = 0; i < 6 * 12; i++) /* of 2 x 3 numbers a step; u stays */
            CHECK(a.data[i] == 0 || a.data[i] == w.data[i] * (1 / (1 - (float)0.3)));
        for (size_t i = 0; i < 3; i++)
            apart += (a.data[i * 12] == 0) != (a.data[(i + 3) * 12] == 0);
        CHECK_SAME_ARRAY(bnn_params_mat(&s, 3).data, bnn_params_mat(net.params, 3).data, 48);
    }
    CHECK(gone > 70 && gone < 170); /* 120 expected, sd 8: false alarms below 1e-8 */
    CHECK(apart > 20);              /* 50 expected, sd 5.4: below 1e-7             */
    bnn_gaussian g = bnn_gaussian_fit(&mem, &e, &net, BNN_COV_LAYERS, 1e-3); /* a piece a layer */
    CHECK(g.n_pieces == 3 && g.pieces[0].n == 54 * 3 + 3);
    CHECK(g.pieces[1].n == 6 * 12 + 4 * 12 + 16 && g.pieces[2].n == 4 * 2 + 2);
    close_all();
}

/* The last layer's Laplace is the full one of a linear net on what the layers before make. */
static void laplace_of_the_last_layer_sees_features(void) {
    open_all(18);
    bnn_net net = make((bnn_layers_desc){ .input = { 4, 4, 1 }, .activation = BNN_TANH, .layers = {
        { BNN_CONV, 3, .kernel = 3 }, { BNN_AVG_POOL, .kernel = 2 }, { BNN_DENSE, 2 } } });
    bnn_net front = make((bnn_layers_desc){ .input = { 4, 4, 1 }, .layers = {
        { BNN_CONV, 3, .kernel = 3, .activation = BNN_TANH }, { BNN_AVG_POOL, .kernel = 2 } } });
    bnn_net top = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 3, 2 },
                              .noise_std = 1 });
    bnn_data d = { normals(25, 16, 1), normals(25, 2, 1) }, f = d;
    size_t at = net.params->blocks[2].offset;
    memcpy(front.params->theta, net.params->theta, front.params->n * sizeof(float));
    memcpy(top.params->theta, net.params->theta + at, 8 * sizeof(float));
    f.x = bnn_mat_copy(&mem, front.forward(&tape, &front, bnn_input(&tape, d.x))->val);
    bnn_laplace a = bnn_laplace_new(&mem, &tape, &net, d, BNN_LAPLACE_LAST);
    bnn_laplace b = bnn_laplace_new(&mem, &tape, &top, f, BNN_LAPLACE_FULL);
    CHECK(a.first == at && a.n == 8 && b.n == 8);
    CHECK_NEAR(a.log_evidence, b.log_evidence, BUILD_TOL(1e-3, 1e-10));
    for (size_t i = 0; i < 64; i++)
        CHECK_NEAR(a.g.pieces[0].chol.data[i], b.g.pieces[0].chol.data[i], BUILD_TOL(1e-4, 1e-11));
    close_all();
}

/* ---- files */

static const bnn_layers_desc kept = { .input = { 6, 6, 1 }, .layers = {
    { BNN_CONV, 4, .kernel = 3, .pad = 1 }, { BNN_MAX_POOL, .kernel = 2 },
    { BNN_DENSE, 3, .dropout = (float)0.25 } } };

static bnn_net load_into(bnn_layers_desc d, const void *bytes, size_t size, int *err) {
    bnn_net net = make(d);
    bnn_checkpoint c = { .nets = { &net } };
    *err = bnn_checkpoint_read(&mem, &c, bytes, size);
    return net;
}

static void a_list_is_written_and_read(void) {
    open_all(15);
    bnn_net net = make(kept), back, own, made = { 0 };
    bnn_checkpoint c = { .nets = { &net } };
    bnn_data d = { normals(30, 36, 2), normals(30, 3, 1) };
    bnn_layers_desc other = kept;
    void *bytes, *again;
    size_t size, second;
    int err;
    bnn_net_standardize(&net, d);
    CHECK(bnn_checkpoint_write(&mem, &c, &bytes, &size) == BNN_OK);
    CHECK(((unsigned char *)bytes)[8] == 3 && ((unsigned char *)bytes)[28] == 2);
    other.seed = 99, other.layers[2].dropout = 0;
    back = load_into(other, bytes, size, &err);
    CHECK(err == BNN_OK && back.params->n == net.params->n);
    CHECK_SAME_ARRAY(back.params->theta, net.params->theta, net.params->n);
    CHECK_SAME_ARRAY(bnn_predict(&mem, &tape, &back, NULL, d.x).mean.data,
                     bnn_predict(&mem, &tape, &net, NULL, d.x).mean.data, 90);
    c.nets[0] = &back; /* the same bytes, dropout among them */
    CHECK(bnn_checkpoint_write(&mem, &c, &again, &second) == BNN_OK && second == size);
    CHECK_SAME_ARRAY((unsigned char *)bytes, (unsigned char *)again, size);
    own = make(kept); /* a net of the user's of the same blocks takes its weights */
    own.mlp = NULL, own.params->theta[0] = 77, c.nets[0] = &own;
    CHECK(bnn_checkpoint_read(&mem, &c, bytes, size) == BNN_OK);
    CHECK_SAME_ARRAY(own.params->theta, net.params->theta, net.params->n);
    c.nets[0] = &made;
    CHECK(bnn_checkpoint_read(&mem, &c, bytes, size) == BNN_EARG && made.params == NULL);
    CHECK(strstr(mem.msg, "must be made before it is loaded") != NULL);
    mem.err = BNN_OK;
    for (size_t n = 0; n < size; n++) { /* damage is refused or harmless */
        unsigned char *p = (unsigned char *)bytes;
        p[n] ^= 0x41;
        bnn_mark mark = bnn_arena_mark(&mem);
        back = load_into(kept, bytes, size, &err);
        CHECK(err != BNN_OK);
        bnn_arena_rewind(&mem, mark);
        mem.err = BNN_OK;
        p[n] ^= 0x41;
    }
    close_all();
}

static void a_file_of_another_list_names_the_layer(void) {
    open_all(16);
    bnn_net net = make(kept);
    bnn_checkpoint c = { .nets = { &net } };
    void *bytes;
    size_t size;
    int err;
    CHECK(bnn_checkpoint_write(&mem, &c, &bytes, &size) == BNN_OK);
    for (int i = 0; i < 5; i++) {
        static const char *const says[] = { "layer 2 is max pool to 3x3x4 in the file, avg pool to "
            "3x3x4 in the net: another kind", "another activation", "another same", "layer 4 is "
            "norm to 1x1x3 in the net, the file has 3 layers", "net 0 has other layers" };
        bnn_layers_desc d = kept;
        if (i == 0) d.layers[1].kind = BNN_AVG_POOL;
        if (i == 1) d.layers[0].activation = BNN_TANH;
        if (i == 2) d.layers[0].pad = 0, d.layers[0].same = 1;
        if (i == 3) d.layers[3] = (bnn_layer){ BNN_NORM, .no_bias = 1 };
        if (i == 4) { /* the blocks of a bnn_mlp */
            bnn_net mlp = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 9, 4, 3 },
                                      .noise_std = 1 });
            mlp.params->blocks[2] = net.params->blocks[2], mlp.params->n = net.params->n;
            bnn_checkpoint m = { .nets = { &mlp } };
            err = bnn_checkpoint_read(&mem, &m, bytes, size);
        } else net = load_into(d, bytes, size, &err);
        if (!CHECK(err == BNN_ESHAPE && strstr(mem.msg, says[i]) != NULL)) printf("%s\n", mem.msg);
        mem.err = BNN_OK;
    }
    net = make(kept), net.scaling.x_mean = net.scaling.x_std = bnn_mat_new(&mem, 1, 5);
    bnn_mat_fill(net.scaling.x_std, 1);
    CHECK(bnn_checkpoint_write(&mem, &c, &bytes, &size) == BNN_EARG);
    CHECK(strstr(mem.msg, "scaling of 5 inputs and 0 outputs") != NULL);
    mem.err = BNN_OK;
    net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 36, 3 }, .noise_std = 1 });
    c.nets[0] = &net;
    CHECK(bnn_checkpoint_write(&mem, &c, &bytes, &size) == BNN_OK);
    CHECK(((unsigned char *)bytes)[8] == 1); /* a bnn_mlp needs no new version */
    net = load_into((bnn_layers_desc){ .input = { 1, 1, 36 }, .layers = { { BNN_DENSE, 3 } } },
                    bytes, size, &err);
    CHECK(err == BNN_ESHAPE && strstr(mem.msg, "net 0 has other layers") != NULL);
    mem.err = BNN_OK;
    close_all();
}

/* What is added varies together with what it is added to. */
static void moments_refuse_a_sum(void) {
    open_all(15);
    bnn_net net = make((bnn_layers_desc){ .input = { 1, 1, 3 }, .layers = {
        { BNN_DENSE, 3 }, { BNN_DENSE, 3 }, { BNN_DENSE, 3, .add = 1 }, { BNN_DENSE, 1 } } });
    bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ .init_std = 1 });
    bnn_predict_moments(&mem, &tape, &net, &q, normals(6, 3, 1));
    CHECK(took(BNN_EARG, "bnn_predict_moments: layer 3 (dense): moments are of dense layers "
                         "without .add"));
    close_all();
}

/* Channels over all pixels, numbers of a step over all steps; of a dense list every column alone */
static void images_are_standardized_by_channel(void) {
    static const struct { bnn_layer first; size_t own; } rows[] = {
        { { BNN_CONV, 2, .kernel = 2 }, 2 }, { { BNN_AVG_POOL, .kernel = 2 }, 2 },
        { { .kind = BNN_GRU, .size = 3 }, 6 }, { { .kind = BNN_DENSE, .size = 3 }, 24 } };
    for (size_t r = 0; r < COUNT(rows); r++) {
        bnn_net net;
        bnn_mat x;
        open_all(21 + r);
        x = normals(7, 24, 3);
        for (size_t i = 0; i < 7; i++) x.data[i * 24 + 5] += 40; /* one pixel that is bright */
        net = make((bnn_layers_desc){ .input = { 4, 3, 2 },
                                      .layers = { rows[r].first, { BNN_DENSE, 1 } } });
        CHECK(bnn_net_standardize(&net, (bnn_data){ x, normals(7, 1, 1) }) == BNN_OK);
        for (size_t j = 0; j < 24; j++) {
            double n = 0, sum = 0, square = 0, mean;
            for (size_t i = 0; i < 7 * 24; i++)
                if (i % rows[r].own == j % rows[r].own) n++, sum += (double)x.data[i];
            mean = sum / n;
            for (size_t i = 0; i < 7 * 24; i++)
                if (i % rows[r].own == j % rows[r].own)
                    square += ((double)x.data[i] - mean) * ((double)x.data[i] - mean);
            CHECK_NEAR((double)net.scaling.x_mean.data[j], mean, 1e-5 * (1 + fabs(mean)));
            CHECK_NEAR((double)net.scaling.x_std.data[j], sqrt(square / n), 1e-5 * sqrt(square));
        }
        x.data[30] = (float)INFINITY;
        CHECK(bnn_net_standardize(&net, (bnn_data){ x, normals(7, 1, 1) }) == BNN_ENONFINITE &&
              strstr(mem.msg, "row 1, column 6") != NULL);
        mem.err = BNN_OK;
        close_all();
    }
}

int main(void) {
    RUN(images_are_standardized_by_channel);
    RUN(a_list_of_dense_layers_is_a_bnn_mlp_bit_for_bit);
    RUN(every_kind_has_the_gradient_of_central_differences);
    RUN(layers_are_their_ops);
    RUN(a_recurrent_layer_is_its_steps);
    RUN(dropout_takes_whole_channels);
    RUN(initial_weights_keep_the_scale);
    RUN(one_layer_alone_has_no_gain);
    RUN(priors_are_by_fan_in_and_a_gain_is_around_1);
    RUN(a_draw_of_dropout_masks_rows_of_channels);
    RUN(laplace_of_the_last_layer_sees_features);
    RUN(rows_that_are_no_images_are_refused);
    RUN(a_list_is_written_and_read);
    RUN(a_file_of_another_list_names_the_layer);
    RUN(bad_lists_are_refused);
    RUN(what_needs_a_bnn_mlp_names_the_layer);
    RUN(moments_go_through_dense_lists);
    RUN(moments_refuse_a_sum);
    return check_done();
}
