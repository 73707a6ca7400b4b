/* test_layers_shrink.c -- smaller copies of lists of layers: filters and units without weights go
 * through pools, flattening and upsampling, and the answer stays; what must stay, stays. */
#include "build.h"
#include "world.h"

static size_t pixels(bnn_image m) { return m.h * m.w * m.c; }

/* All weights and biases are drawn, so a unit that hears nothing is a constant that is not 0. */
static bnn_net make(bnn_layers_desc d) {
    bnn_net net;
    if (d.noise_std == 0) d.noise_std = 1;
    d.seed = build_seed(3);
    net = bnn_layers(bnn_params_new(&mem), d);
    for (size_t b = 0; net.params != NULL && b < net.params->n_blocks; b++)
        if (net.params->blocks[b].name[0] == 'b')
            for (size_t j = 0; j < net.params->blocks[b].cols; j++)
                bnn_params_mat(net.params, b).data[j] = bnn_rng_normal(&tape.rng);
    return net;
}
static void zero_columns(const bnn_net *net, size_t block, size_t of, size_t j) {
    bnn_mat a = bnn_params_mat(net->params, block);
    for (size_t i = j; i < a.rows * a.cols; i += of) a.data[i] = 0;
}
static void zero_rows(const bnn_net *net, size_t block, size_t of, size_t j) {
    bnn_mat a = bnn_params_mat(net->params, block);
    for (size_t i = j; i < a.rows; i += of)
        for (size_t k = 0; k < a.cols; k++) a.data[i * a.cols + k] = 0;
}
static void same_answers(const bnn_net *a, const bnn_net *b, bnn_mat x, bnn_mat less) {
    if (!CHECK(a->params != NULL && b->params != NULL)) return;
    bnn_mat p = bnn_predict(&mem, &tape, a, NULL, x).mean;
    bnn_mat q = bnn_predict(&mem, &tape, b, NULL, less).mean;
    if (CHECK(p.rows == q.rows && p.cols == q.cols && p.rows > 0))
        for (size_t i = 0; i < p.rows * p.cols; i++)
            CHECK_NEAR(p.data[i], q.data[i],
                       BUILD_TOL(2e-5, 1e-12) * (1 + fabs((double)p.data[i])));
}

/* One unit of the first layer hears nothing, one of them is not heard; both go, or how many stay */
static const struct { bnn_layers_desc d; size_t units, deaf_goes; } cases[] = {
    { { .input = { 8, 8, 2 }, .layers = { /* kernels that see no zeros */
        { BNN_CONV, 5, .kernel = 3, .same = 1 }, { BNN_MAX_POOL, .kernel = 2, .pad = 1 },
        { BNN_CONV, 4, .kernel = 2, .stride = 2 }, { BNN_DENSE, 3 } } }, 5, 1 },
    { { .input = { 8, 8, 2 }, .layers = { /* a constant ends at the border */
        { BNN_CONV, 5, .kernel = 3, .activation = BNN_TANH },
        { BNN_CONV, 4, .kernel = 2, .pad = 1 }, { BNN_DENSE, 3 } } }, 5, 0 },
    { { .input = { 6, 5, 1 }, .activation = BNN_SIGMOID, .layers = { /* flattened, two pools */
        { BNN_CONV, 5, .kernel = 3, .kernel_w = 2 },
        { BNN_AVG_POOL, .kernel = 2, .stride = 1, .pad = 1, .activation = BNN_TANH },
        { BNN_MAX_POOL, .kernel = 2 }, { BNN_DENSE, 3 } } }, 5, 1 },
    { { .input = { 1, 1, 3 }, .layers = { /* a decoder: of its images, every pixel has a bias */
        { BNN_DENSE, 20, .image = { 2, 2, 5 } }, { BNN_UPSAMPLE, 2 },
        { BNN_CONV_TRANSPOSE, 2, .kernel = 3, .stride = 2 } } }, 5, 0 },
    { { .input = { 1, 1, 3 }, .activation = BNN_TANH, .layers = {
        { BNN_DENSE, 20, .image = { 2, 2, 5 } }, { BNN_CONV, 2, .kernel = 2 } } }, 5, 0 },
    { { .input = { 3, 3, 2 }, .layers = {
        { BNN_CONV_TRANSPOSE, 5, .kernel = 2, .stride = 2, .activation = BNN_ELU },
        { BNN_UPSAMPLE, 2 }, { BNN_CONV, 2, .kernel = 3 } } }, 5, 1 },
    { { .input = { 6, 1, 3 }, .layers = { /* a sequence */
        { BNN_CONV, 5, .kernel = 1, .activation = BNN_TANH }, { BNN_GRU, 4 },
        { BNN_DENSE, 2 } } }, 5, 0 },
    { { .input = { 2, 2, 2 }, .layers = { /* a dense net */
        { BNN_DENSE, 5, .activation = BNN_SILU }, { BNN_DENSE, 4 }, { BNN_DENSE, 2 } } }, 5, 1 } };

static void filters_without_weights_go(void) {
    for (size_t i = 0; i < COUNT(cases); i++) {
        bnn_params *to;
        bnn_net net, less;
        size_t units = cases[i].units;
        open_all(10 + i);
        net = make(cases[i].d);
        zero_columns(&net, 0, units, 1); /* deaf */
        zero_rows(&net, 2, units, 3);    /* mute */
        to = bnn_params_new(&mem);
        bnn_mat x = normals(7, pixels(cases[i].d.input), 1);
        less = bnn_mlp_shrink(to, &net, NULL);
        same_answers(&net, &less, x, x);
        size_t was = net.params->blocks[1].cols, is = to->blocks[1].cols;
        CHECK(is == was / units * (units - 1 - cases[i].deaf_goes));
        CHECK(to->n < net.params->n && to->n_blocks == net.params->n_blocks);
        CHECK(less.mlp->desc.init == net.mlp->desc.init);
        close_all();
    }
}

/* Where a constant is 0 it needs no place: without a bias, behind a relu */
static void what_is_zero_goes_from_anywhere(void) {
    for (size_t i = 0; i < COUNT(cases); i++) {
        bnn_layers_desc d = cases[i].d;
        open_all(20 + i);
        if (d.activation == BNN_SIGMOID) d.activation = BNN_TANH;
        d.no_bias = 1;
        bnn_net net = make(d);
        zero_columns(&net, 0, cases[i].units, 0);
        zero_columns(&net, 0, cases[i].units, 4);
        bnn_mat x = normals(5, pixels(d.input), 1);
        bnn_net less = bnn_mlp_shrink(bnn_params_new(&mem), &net, NULL);
        same_answers(&net, &less, x, x);
        size_t was = net.params->blocks[0].cols, is = less.params->blocks[0].cols;
        CHECK(is == was / cases[i].units * (cases[i].units - 2));
        close_all();
    }
}

/* Norms, sums and cells hold what they take or make. */
static void what_others_need_stays(void) {
    static const bnn_layers_desc held[] = {
        { .input = { 5, 5, 2 }, .layers = { { BNN_CONV, 4, .kernel = 2 }, { BNN_AVG_POOL,
            .kernel = 2 }, { BNN_NORM, 2 }, { BNN_DENSE, 2 } } },
        { .input = { 5, 5, 2 }, .layers = { { BNN_CONV, 4, .kernel = 3, .same = 1 },
            { BNN_CONV, 4, .kernel = 3, .same = 1, .add = 1 }, { BNN_DENSE, 2 } } },
        { .input = { 5, 5, 2 }, .layers = { { BNN_CONV, 4, .kernel = 3, .same = 1 },
            { BNN_CONV, 4, .kernel = 3, .same = 1 }, { BNN_MAX_POOL, .kernel = 1, .add = 1 },
            { BNN_DENSE, 2 } } },
        { .input = { 5, 1, 2 }, .layers = { { BNN_LSTM, 4 }, { BNN_DENSE, 2 } } },
        { .input = { 5, 5, 2 }, .layers = { { BNN_CONV, 4, .kernel = 3 } } } };
    for (size_t i = 0; i < COUNT(held); i++) {
        open_all(30 + i);
        bnn_net net = make(held[i]), less;
        for (size_t b = 0; b < net.params->n_blocks; b++)
            if (net.params->blocks[b].cols % 4 == 0) zero_columns(&net, b, 4, 2);
        bnn_mat x = normals(5, pixels(held[i].input), 1);
        less = bnn_mlp_shrink(bnn_params_new(&mem), &net, NULL);
        same_answers(&net, &less, x, x);
        CHECK(less.params->n == net.params->n);
        CHECK_SAME_ARRAY(less.params->theta, net.params->theta, net.params->n);
        close_all();
    }
}

/* By name: the net is the one in which these weights are 0. */
static void named_filters_go(void) {
    static const unsigned char conv[5] = { 1, 0, 1, 1, 0 }, dense[6] = { 0, 1, 1, 1, 1, 0 };
    const unsigned char *keep[3] = { conv, NULL, dense };
    open_all(40);
    bnn_net net = make((bnn_layers_desc){ .input = { 6, 6, 1 }, .layers = {
        { BNN_CONV, 5, .kernel = 3, .prior = { .std = 2, .fan_in = 1 } },
        { BNN_MAX_POOL, .kernel = 2 }, { BNN_DENSE, 6, .dropout = (float)0.5 },
        { BNN_DENSE, 2 } }, .noise_learned = 1 });
    bnn_data d = { normals(9, 36, 2), normals(9, 2, 3) };
    bnn_net_standardize(&net, d);
    bnn_net less = bnn_mlp_shrink(bnn_params_new(&mem), &net, keep);
    for (size_t j = 0; j < 5; j++) if (!conv[j]) zero_rows(&net, 2, 5, j);
    for (size_t j = 0; j < 6; j++) if (!dense[j]) zero_rows(&net, 4, 6, j);
    same_answers(&net, &less, d.x, d.x);
    const bnn_block *a = net.params->blocks, *b = less.params->blocks;
    CHECK(b[0].cols == 3 && b[2].rows == 12 && b[2].cols == 4 && b[4].rows == 4);
    CHECK(b[2].prior.std == a[2].prior.std && b[0].prior.std == a[0].prior.std); /* in force */
    CHECK(less.scaling.x_mean.data != net.scaling.x_mean.data && less.noise_learned);
    bnn_checkpoint c = { .nets = { &less } }; /* a net like any other */
    void *bytes;
    size_t size;
    CHECK(bnn_checkpoint_write(&mem, &c, &bytes, &size) == BNN_OK);
    tape.training = 1, tape.n_data = 9;
    bnn_params_zero_grad(less.params);
    bnn_backward(bnn_net_loss(&less, bnn_batch_all(&tape, d)));
    close_all();
}

/* ---- a mean field, pruned */

static void a_pruned_lenet_is_smaller_and_answers_the_same(void) {
    open_all(50);
    bnn_net net = make((bnn_layers_desc){ .input = { 8, 8, 1 }, .layers = {
        { BNN_CONV, 8, .kernel = 3 }, { BNN_MAX_POOL, .kernel = 2 },
        { BNN_CONV, 12, .kernel = 2 }, { BNN_DENSE, 20 }, { BNN_DENSE, 10 } },
        .likelihood = BNN_CATEGORICAL });
    for (size_t j = 0; j < 8; j += 3) /* three filters, four and six units are faint */
        for (size_t i = 0; i < 9; i++) bnn_params_mat(net.params, 0).data[8 * i + j] *= (float)1e-4;
    for (size_t j = 0; j < 12; j += 3)
        for (size_t i = 0; i < 32; i++)
            bnn_params_mat(net.params, 2).data[12 * i + j] *= (float)1e-4;
    for (size_t j = 0; j < 6; j++)
        for (size_t i = 0; i < 10; i++)
            bnn_params_mat(net.params, 6).data[10 * j + i] *= (float)1e-4;
    bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ 0 });
    size_t n = bnn_meanfield_prune(&q, 0.05);
    bnn_meanfield_mean(&q);
    bnn_net less = bnn_mlp_shrink(bnn_params_new(&mem), &net, NULL);
    bnn_mat x = normals(20, 64, 1);
    same_answers(&net, &less, x, x);
    CHECK(n > 27 + 128 + 60 - 30 && less.params->blocks[0].cols == 5);
    CHECK(less.params->blocks[2].cols == 8 && less.params->blocks[4].cols == 14);
    close_all();
}

/* ---- fewer inputs */

static void inputs_are_channels_or_numbers_or_those_of_a_step(void) {
    static const unsigned char keep[9] = { 1, 0, 1, 1, 0, 0, 1, 0, 1 };
    static const struct { bnn_layers_desc d; size_t of; } by[] = {
        { { .input = { 4, 4, 3 }, .layers = { { BNN_CONV, 4, .kernel = 3, .same = 1 },
            { BNN_DENSE, 2 } } }, 3 },
        { { .input = { 4, 4, 3 }, .layers = { { BNN_AVG_POOL, .kernel = 2 },
            { BNN_DENSE, 2 } } }, 3 },
        { { .input = { 4, 4, 3 }, .layers = { { BNN_UPSAMPLE, 2 },
            { BNN_CONV_TRANSPOSE, 2, .kernel = 3 }, { BNN_MAX_POOL } } }, 3 },
        { { .input = { 3, 3, 1 }, .layers = { { BNN_DENSE, 4 }, { BNN_DENSE, 2 } } }, 9 },
        { { .input = { 5, 3, 3 }, .layers = { { BNN_LSTM, 4 }, { BNN_DENSE, 2 } } }, 9 } };
    for (size_t i = 0; i < COUNT(by); i++) {
        open_all(60 + i);
        bnn_net net = make(by[i].d);
        size_t d = pixels(by[i].d.input), of = by[i].of, left = 0;
        bnn_data data = { normals(8, d, 2), normals(8, 2, 1) };
        bnn_net_standardize(&net, data);
        bnn_net less = bnn_mlp_keep_inputs(bnn_params_new(&mem), &net, keep);
        for (size_t j = 0; j < of; j++)
            if (!keep[j]) zero_rows(&net, 0, of, j);
            else left++;
        bnn_mat x = bnn_mat_new(&mem, 8, d / of * left);
        float *p = x.data;
        for (size_t k = 0; k < 8 * d; k++)
            if (keep[k % d % of]) *p++ = data.x.data[k];
        same_answers(&net, &less, data.x, x);
        bnn_net all = bnn_mlp_keep_inputs(bnn_params_new(&mem), &net, NULL);
        same_answers(&net, &all, data.x, data.x);
        close_all();
    }
}

/* ---- what is refused, and nothing is made */

static void what_must_stay_is_named(void) {
    static const unsigned char some[5] = { 1, 0, 1, 1, 1 }, none[5] = { 0 };
    const unsigned char *keep[5] = { NULL, NULL, NULL, NULL, NULL };
    open_all(70);
    bnn_net net = make((bnn_layers_desc){ .input = { 6, 6, 2 }, .layers = {
        { BNN_CONV, 5, .kernel = 3 }, { BNN_NORM }, { BNN_CONV, 5, .kernel = 1 },
        { BNN_AVG_POOL, .kernel = 2 }, { BNN_GRU, 5 }, { BNN_DENSE, 2 } } });
    bnn_net norm = make((bnn_layers_desc){ .input = { 6, 6, 2 }, .layers = {
        { BNN_AVG_POOL, .kernel = 2 }, { BNN_NORM }, { BNN_DENSE, 2 } } });
    bnn_net sum = make((bnn_layers_desc){ .input = { 6, 6, 2 }, .layers = {
        { BNN_AVG_POOL, .kernel = 1 }, { BNN_UPSAMPLE, 1, .add = 1 }, { BNN_DENSE, 2 } } });
    bnn_net bare = make((bnn_layers_desc){ .input = { 6, 6, 2 }, .layers = {
        { BNN_CONV, 5, .kernel = 3, .activation = BNN_SIGMOID },
        { BNN_CONV, 2, .kernel = 3, .pad = 1 } } });
    bnn_net own = net;
    own.mlp = NULL;
    zero_columns(&bare, 0, 5, 1);
    for (int i = 0; i < 10; i++) {
        const char *want = "";
        bnn_params *to = bnn_params_new(&mem);
        bnn_net made;
        memset(keep, 0, sizeof keep);
        switch (i) {
        case 0: keep[0] = some, want = "bnn_mlp_shrink: layer 1 (conv) must keep its units"; break;
        case 1: keep[1] = some, want = "bnn_mlp_shrink: layer 2 (norm) must keep its"; break;
        case 2: keep[3] = some, want = "bnn_mlp_shrink: layer 4 (avg pool) must keep its"; break;
        case 3: keep[4] = some, want = "bnn_mlp_shrink: layer 5 (GRU) must keep its units"; break;
        case 4: keep[2] = none, want = "bnn_mlp_shrink: a layer would lose all its units"; break;
        case 5: want = "bnn_mlp_keep_inputs: layer 2 (norm) needs all channels"; break;
        case 6: want = "bnn_mlp_keep_inputs: layer 2 (upsample) needs all channels"; break;
        case 7: want = "bnn_mlp_keep_inputs: no input is left"; break;
        case 8: keep[0] = some, want = "bnn_mlp_shrink: a constant unit needs a bias"; break;
        default: want = "bnn_mlp_shrink: not a bnn_mlp or bnn_layers"; break;
        }
        if (i >= 5 && i <= 7)
            made = bnn_mlp_keep_inputs(to, i == 5 ? &norm : i == 6 ? &sum : &net,
                                       i == 7 ? none : some);
        else made = bnn_mlp_shrink(to, i == 8 ? &bare : i == 9 ? &own : &net, keep);
        CHECK(made.params == NULL && mem.err == BNN_EARG && to->n == 0);
        if (!CHECK(strncmp(mem.msg, want, strlen(want)) == 0)) printf("    %d: %s\n", i, mem.msg);
        mem.err = BNN_OK;
    }
    close_all();
}

/* ---- memory: in buffers of every size up to what is needed, every request fails once */

static void any_request_for_memory_may_fail(void) {
    static unsigned char space[60000];
    static const unsigned char keep[2] = { 1, 0 };
    size_t capacity;
    int err = BNN_ENOMEM;
    for (capacity = 64; capacity < sizeof space && err != BNN_OK; capacity += 16) {
        bnn_arena small = { .buffer = space, .capacity = capacity };
        bnn_params *w = bnn_params_new(&small), *to;
        bnn_net net = bnn_layers(w, (bnn_layers_desc){ .input = { 4, 4, 2 }, .noise_std = 1,
            .layers = { { BNN_CONV, 3, .kernel = 2 }, { BNN_MAX_POOL, .kernel = 2 },
                        { BNN_GRU, 3 }, { BNN_DENSE, 2 } } }), less;
        if (net.params == NULL) continue;
        bnn_meanfield q = bnn_meanfield_new(w, (bnn_meanfield_desc){ 0 });
        less = bnn_meanfield_net(&q, &net, BNN_NOISE_FLIPOUT);
        CHECK(small.err == BNN_OK || less.params == NULL);
        zero_columns(&net, 0, 3, 1);
        for (int i = 0; i < 2; i++) {
            to = bnn_params_new(&small);
            less = i == 0 ? bnn_mlp_shrink(to, &net, NULL) : bnn_mlp_keep_inputs(to, &net, keep);
            CHECK((small.err == BNN_OK) == (less.params != NULL));
        }
        err = small.err;
        CHECK(err == BNN_OK || err == BNN_ENOMEM);
    }
    CHECK(err == BNN_OK && capacity > 1000);
}

/* Factors of lr as in force: those of the desc, set later, and of a bnn_mlp, its noise, too */
static void what_is_frozen_stays_so(void) {
    for (int list = 0; list < 2; list++) {
        open_all(31);
        bnn_net less, net = !list
            ? bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 4, 5, 2 }, .noise_std = 1,
                                                            .noise_learned = 1 })
            : bnn_layers(bnn_params_new(&mem), (bnn_layers_desc){ .input = { 1, 1, 4 },
                .noise_std = 1, .noise_learned = 1, .layers = { { BNN_DENSE, 5, .frozen = 1 },
                { BNN_DENSE, 2, .lr = (float)0.5 } } });
        const float factors[] = { 0, 2, 1, (float)0.5, 3 };
        bnn_params *to = bnn_params_new(&mem);
        for (size_t b = 0; b < COUNT(factors); b++) bnn_params_lr(net.params, b, factors[b]);
        zero_columns(&net, 0, 5, 3), zero_columns(&net, 1, 5, 3);
        less = bnn_mlp_shrink(to, &net, NULL);
        CHECK(less.params == to && to->n_blocks == COUNT(factors) && to->blocks[0].cols == 4);
        for (size_t b = 0; b < to->n_blocks; b++)
            CHECK_NEAR((double)to->blocks[b].lr, (double)factors[b], 0);
        CHECK(to->run != NULL);
        close_all();
    }
}

static void a_net_without_weights_is_copied(void) {
    float x[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    bnn_mat in = { 2, 4, x };
    open_all(32);
    bnn_net net = make((bnn_layers_desc){ .input = { 2, 2, 1 }, .layers = { { BNN_MAX_POOL } } });
    bnn_net less = bnn_mlp_shrink(bnn_params_new(&mem), &net, NULL);
    CHECK(less.params != NULL && less.params->n == 0);
    CHECK_NEAR((double)bnn_net_forward(&less, bnn_input(&tape, in))->val.data[1], 8, 0);
    close_all();
}

int main(void) {
    RUN(a_net_without_weights_is_copied);
    RUN(what_is_frozen_stays_so);
    RUN(filters_without_weights_go);
    RUN(what_is_zero_goes_from_anywhere);
    RUN(what_others_need_stays);
    RUN(named_filters_go);
    RUN(a_pruned_lenet_is_smaller_and_answers_the_same);
    RUN(inputs_are_channels_or_numbers_or_those_of_a_step);
    RUN(what_must_stay_is_named);
    RUN(any_request_for_memory_may_fail);
    return check_done();
}
