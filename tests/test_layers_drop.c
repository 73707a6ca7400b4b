/* test_layers_drop.c -- units, channels and layers that leave a list and its Gaussian: the law of
 * the rest against conditioning by a dense inverse, the smaller net against the larger one whose
 * weights are what the law was conditioned on. */
#include "build.h"
#include "world.h"

static bnn_net make(bnn_layers_desc d) {
    d.noise_std = 1, d.seed = build_seed(3);
    return bnn_layers(bnn_params_new(&mem), d);
}

static bnn_gaussian wide_gaussian(const bnn_net *net) { /* a full covariance, around the weights */
    size_t n = net->params->n;
    bnn_mat a = normals(n, n, 0.3 / sqrt((double)n)), c = bnn_mat_new(&mem, n, n);
    bnn_rng_fill_normal(&tape.rng, n, net->params->theta); /* biases, too */
    bnn_mat_mul_nt(c, a, a);
    for (size_t i = 0; i < n; i++) c.data[i * n + i] += (float)0.1;
    return bnn_gaussian_new(&mem, n, net->params->theta, c);
}

static bnn_mat covariance(const bnn_gaussian *g) {
    bnn_mat c = bnn_mat_new(&mem, g->n, g->n);
    for (size_t i = 0; i < g->n * g->n; i++)
        c.data[i] = (float)bnn__gaussian_at(g, i / g->n, i % g->n);
    return c;
}

enum { KEEP, CONDITION, INTEGRATE };

/* mean and covariance of what is kept, given that x = v in CONDITION, in order */
static void given(const bnn_gaussian *g, const int *how, const double *v, double *m, double *s) {
    size_t n = g->n, k = 0, c = 0, kept[999], on[999];
    for (size_t i = 0; i < n; i++)
        if (how[i] == KEEP) kept[k++] = i;
        else if (how[i] == CONDITION) on[c++] = i;
    double *inv = (double *)malloc((c * c + 1) * sizeof *inv);
    double *gain = (double *)malloc((k * c + 1) * sizeof *gain);
    bnn_mat cov = covariance(g);
    for (size_t i = 0; i < c * c; i++) inv[i] = (double)cov.data[on[i / c] * n + on[i % c]];
    invert(c, inv);
    for (size_t i = 0; i < k; i++) {
        m[i] = (double)g->mean[kept[i]];
        for (size_t j = 0; j < c; j++) {
            gain[i * c + j] = 0;
            for (size_t l = 0; l < c; l++)
                gain[i * c + j] += (double)cov.data[kept[i] * n + on[l]] * inv[l * c + j];
            m[i] += gain[i * c + j] * (v[on[j]] - (double)g->mean[on[j]]);
        }
        for (size_t j = 0; j < k; j++) {
            s[i * k + j] = (double)cov.data[kept[i] * n + kept[j]];
            for (size_t l = 0; l < c; l++)
                s[i * k + j] -= gain[i * c + l] * (double)cov.data[on[l] * n + kept[j]];
        }
    }
    free(inv), free(gain);
}

/* The law of the rest; and less answers as net does with the weights that are left, and v. */
static void agrees(const bnn_net *net, const bnn_net *less, const bnn_gaussian *g,
                   const bnn_gaussian *out, const int *how, const double *v) {
    static double m[999], s[999 * 999];
    size_t k = 0, n = g->n;
    if (!CHECK(less->params != NULL)) { printf("    %s\n", mem.msg); mem.err = BNN_OK; return; }
    given(g, how, v, m, s);
    for (size_t i = 0; i < n; i++) k += how[i] == KEEP;
    if (!CHECK(out->n == k && less->params->n == k && k < n)) return;
    bnn_mat cov = covariance(out);
    for (size_t i = 0; i < k; i++) CHECK_NEAR(out->mean[i], m[i], BUILD_TOL(2e-4, 1e-11));
    for (size_t i = 0; i < k * k; i++) CHECK_NEAR(cov.data[i], s[i], BUILD_TOL(2e-5, 1e-12));
    CHECK_SAME_ARRAY(out->mean, less->params->theta, k);
    bnn_mat x = normals(6, bnn__pixels(net->mlp->at[0].in), 1);
    bnn_mat p = bnn_predict(&mem, &tape, less, NULL, x).mean, q;
    for (size_t i = 0, j = 0; i < n; i++)
        net->params->theta[i] = how[i] == KEEP ? less->params->theta[j++] : (float)v[i];
    q = bnn_predict(&mem, &tape, net, NULL, x).mean;
    if (!CHECK(p.data != NULL && q.data != NULL && p.cols == q.cols)) return;
    for (size_t i = 0; i < p.rows * p.cols; i++)
        CHECK_NEAR(p.data[i], q.data[i], BUILD_TOL(1e-4, 1e-11) * (1 + fabs((double)p.data[i])));
}

/* Every filter, unit or channel of a layer that may go: columns of one block and of its bias, rows
 * of another, every `units`th of them. */
static const struct { bnn_layers_desc d; size_t layer, units, in, out, bias; } drops[] = {
    { { .input = { 6, 6, 1 }, .activation = BNN_TANH, .layers = { { BNN_CONV, 4, .kernel = 3 },
        { BNN_MAX_POOL, .kernel = 2 }, { BNN_DENSE, 5 }, { BNN_DENSE, 2 } } }, 1, 4, 0, 2, 1 },
    { { .input = { 6, 6, 1 }, .activation = BNN_TANH, .layers = { { BNN_CONV, 4, .kernel = 3 },
        { BNN_MAX_POOL, .kernel = 2 }, { BNN_DENSE, 5 }, { BNN_DENSE, 2 } } }, 3, 5, 2, 4, 3 },
    { { .input = { 4, 4, 2 }, .layers = { { BNN_CONV, 3, .kernel = 2 },
        { BNN_CONV, 2, .kernel = 2 }, { BNN_AVG_POOL, .kernel = 2 } } }, 1, 3, 0, 2, 1 },
    { { .input = { 1, 1, 3 }, .layers = { { BNN_DENSE, 12, .image = { 2, 2, 3 } },
        { BNN_UPSAMPLE, 2 }, { BNN_CONV_TRANSPOSE, 4, .kernel = 2, .stride = 2 },
        { BNN_CONV, 1, .kernel = 8 } } }, 1, 3, 0, 2, 1 },
    { { .input = { 1, 1, 3 }, .layers = { { BNN_DENSE, 12, .image = { 2, 2, 3 } },
        { BNN_UPSAMPLE, 2 }, { BNN_CONV_TRANSPOSE, 4, .kernel = 2, .stride = 2 },
        { BNN_CONV, 1, .kernel = 8 } } }, 3, 4, 2, 4, 3 },
    { { .input = { 5, 3, 1 }, .layers = { { BNN_CONV, 3, .kernel = 1, .no_bias = 1 },
        { BNN_GRU, 2 }, { BNN_DENSE, 1 } } }, 1, 3, 0, 1, 99 } };

static void units_of_lists_leave_as_conditioning_says(void) {
    for (size_t i = 0; i < COUNT(drops); i++)
        for (int all = 0; all < 2; all++) {
            static int how[999];
            static double v[999];
            open_all(i + 1);
            bnn_net net = make(drops[i].d);
            if (!CHECK(net.params != NULL && net.params->n < 999)) printf("    %s\n", mem.msg);
            bnn_gaussian g = wide_gaussian(&net), out;
            const bnn_block *b = net.params->blocks;
            const size_t gone[2] = { 2, 0 };
            memset(how, 0, sizeof how);
            memset(v, 0, sizeof v);
            for (size_t k = 0; k < 2; k++) {
                const bnn_block *in = &b[drops[i].in], *next = &b[drops[i].out];
                for (size_t e = 0; e < in->rows * in->cols; e++)
                    if (e % in->cols % drops[i].units == gone[k])
                        how[in->offset + e] = all ? CONDITION : INTEGRATE;
                for (size_t e = 0; drops[i].bias != 99 && e < b[drops[i].bias].cols; e++)
                    if (e % drops[i].units == gone[k])
                        how[b[drops[i].bias].offset + e] = all ? CONDITION : INTEGRATE;
                for (size_t e = 0; e < next->rows * next->cols; e++)
                    if (e / next->cols % drops[i].units == gone[k])
                        how[next->offset + e] = CONDITION;
            }
            bnn_net less = bnn_drop_neurons(bnn_params_new(&mem), &out, &net, &g, drops[i].layer, 2,
                                            gone, all);
            agrees(&net, &less, &g, &out, how, v);
            close_all();
        }
}

/* A layer whose matrix is I, or a kernel whose middle is */
static const struct { bnn_layers_desc d; size_t layer, block, tap, left; } layers[] = {
    { { .input = { 4, 4, 1 }, .layers = { { BNN_CONV, 2, .kernel = 3 }, { BNN_DENSE, 8 },
        { BNN_DENSE, 3 } } }, 2, 2, 0, 2 },
    { { .input = { 2, 1, 3 }, .activation = BNN_IDENTITY, .layers = { { BNN_DENSE, 6 },
        { BNN_DENSE, 4 }, { BNN_DENSE, 4, .no_bias = 1 }, { BNN_DENSE, 1, .add = 0 } } }, 3, 4, 0,
      3 },
    { { .input = { 2, 1, 3 }, .layers = { { BNN_DENSE, 6, .activation = BNN_IDENTITY },
        { BNN_DENSE, 4 }, { BNN_DENSE, 1 } } }, 1, 0, 0, 2 },
    { { .input = { 5, 4, 1 }, .layers = { { BNN_CONV, 2, .kernel = 3, .same = 1 },
        { BNN_AVG_POOL, .kernel = 2 }, { BNN_CONV, 2, .kernel = 3, .kernel_w = 1, .same = 1 },
        { BNN_CONV, 2, .kernel = 1, .add = 3 }, { BNN_CONV, 2, .kernel = 1, .add = 4 },
        { BNN_DENSE, 2 } } }, 3, 2, 2, 5 },
    { { .input = { 4, 4, 2 }, .layers = { { BNN_CONV, 3, .kernel = 2 },
        { BNN_CONV, 3, .kernel = 5, .pad = 2 }, { BNN_GRU, 2 }, { BNN_DENSE, 1 } } }, 2, 2, 36,
      3 } };

static void layers_of_lists_become_the_identity_and_go(void) {
    for (size_t i = 0; i < COUNT(layers); i++) {
        static int how[999];
        static double v[999];
        open_all(i + 1);
        bnn_net net = make(layers[i].d);
        if (!CHECK(net.params != NULL && net.params->n < 999)) printf("    %s\n", mem.msg);
        bnn_gaussian g = wide_gaussian(&net), out;
        const bnn_block *b = &net.params->blocks[layers[i].block];
        memset(how, 0, sizeof how);
        memset(v, 0, sizeof v);
        for (size_t e = 0; e < b->rows * b->cols; e++) how[b->offset + e] = CONDITION;
        for (size_t e = 0; e < b->cols; e++)
            v[b->offset + (layers[i].tap + e) * b->cols + e] = 1;
        for (size_t e = 0; b[1].name[0] == 'b' && e < b->cols; e++)
            how[b[1].offset + e] = CONDITION;
        bnn_net less = bnn_drop_layer(bnn_params_new(&mem), &out, &net, &g, layers[i].layer);
        agrees(&net, &less, &g, &out, how, v);
        CHECK(less.params != NULL && less.mlp->n_layers == layers[i].left);
        close_all();
    }
}

/* Scores of outgoing weights by their formulas, over the pixels that a filter goes to */
static void filters_are_ordered_by_what_they_send(void) {
    open_all(1);
    bnn_net net = make(drops[0].d);
    bnn_gaussian g = wide_gaussian(&net);
    const bnn_block *next = &net.params->blocks[2];
    bnn_mat cov = covariance(&g), h = normals(1, g.n, 1);
    for (size_t i = 0; i < g.n; i++) h.data[i] *= h.data[i];
    for (int kind = BNN_ORDER_OBD; kind <= BNN_ORDER_RATIO; kind++) {
        double score[4] = { 0 };
        size_t order[4];
        for (size_t e = 0; e < next->rows * next->cols; e++) {
            size_t at = next->offset + e;
            double u = (double)g.mean[at] * (double)g.mean[at] / 2;
            score[e / next->cols % 4] += kind == BNN_ORDER_OBD ? u * (double)h.data[at]
                : u / (double)cov.data[at * g.n + at];
        }
        CHECK(bnn_drop_order(&mem, order, &net, &g, 1, kind, h.data, NULL) == BNN_OK);
        for (int k = 0; k < 3; k++) CHECK(score[order[k]] <= score[order[k + 1]]);
    }
    /* copies of a filter: the same numbers as far as anyone sees, so one of the two goes first */
    bnn_mat c = bnn_mat_new(&mem, g.n, g.n);
    for (size_t i = 0; i < g.n; i++) c.data[i * g.n + i] = 1;
    for (size_t e = 0; e < next->rows * next->cols; e++)
        if (e / next->cols % 4 == 1) {
            size_t a = next->offset + e, b = a + 2 * next->cols;
            c.data[a * g.n + b] = c.data[b * g.n + a] = (float)-0.95;
        }
    g = bnn_gaussian_new(&mem, g.n, net.params->theta, c);
    size_t order[5], seen = 0;
    CHECK(bnn_drop_order(&mem, order, &net, &g, 1, BNN_ORDER_BELSLEY, NULL, NULL) == BNN_OK);
    CHECK(order[0] == 1 || order[0] == 3);
    CHECK(bnn_drop_order(&mem, order, &net, &g, 3, BNN_ORDER_RANDOM, NULL, &tape.rng) == BNN_OK);
    for (int k = 0; k < 5; k++) seen |= (size_t)1 << order[k];
    CHECK(seen == 31);
    close_all();
}

static void what_cannot_go_is_named(void) {
    static const struct { bnn_layers_desc d; size_t layer; int whole; const char *says; } no[] = {
        { { .input = { 6, 6, 1 }, .layers = { { BNN_CONV, 4, .kernel = 3 }, { BNN_NORM, 2 },
            { BNN_DENSE, 2 } } }, 1, 0, "bnn_drop_neurons: layer 1 (conv) must keep its units" },
        { { .input = { 6, 6, 1 }, .layers = { { BNN_CONV, 4, .kernel = 3, .same = 1 },
            { BNN_CONV, 4, .kernel = 3, .same = 1, .add = 1 }, { BNN_DENSE, 2 } } }, 1, 0,
          "bnn_drop_neurons: layer 1 (conv) must keep its units" },
        { { .input = { 6, 6, 1 }, .layers = { { BNN_GRU, 4 }, { BNN_DENSE, 2 } } }, 1, 0,
          "bnn_drop_neurons: layer 1 (GRU) must keep its units" },
        { { .input = { 6, 6, 1 }, .layers = { { BNN_CONV, 2, .kernel = 3 }, { BNN_AVG_POOL,
            .kernel = 2 }, { BNN_DENSE, 2 } } }, 2, 0,
          "bnn_drop_neurons: layer 2 (avg pool) must keep its units" },
        { { .input = { 6, 6, 1 }, .layers = { { BNN_CONV, 2, .kernel = 3 }, { BNN_AVG_POOL } } }, 1,
          0, "bnn_drop_neurons: layer 1 (conv) must keep its units" },
        { { .input = { 6, 6, 1 }, .layers = { { BNN_CONV, 2, .kernel = 3 }, { BNN_DENSE, 2 } } }, 2,
          0, "bnn_drop_neurons: layer 2, the hidden ones are 1 to 1" },
        { { .input = { 6, 6, 1 }, .layers = { { BNN_CONV, 2, .kernel = 3 }, { BNN_AVG_POOL,
            .kernel = 2 }, { BNN_DENSE, 2 } } }, 2, 1,
          "bnn_drop_layer: layer 2 (avg pool) cannot be the identity" },
        { { .input = { 6, 6, 2 }, .activation = BNN_IDENTITY, .layers = { { BNN_CONV, 2,
            .kernel = 3 }, { BNN_DENSE, 2 } } }, 1, 1,
          "bnn_drop_layer: layer 1 (conv) cannot be the identity" },
        { { .input = { 6, 6, 2 }, .activation = BNN_IDENTITY, .layers = { { BNN_CONV, 2,
            .kernel = 2, .same = 1 }, { BNN_DENSE, 2 } } }, 1, 1,
          "bnn_drop_layer: layer 1 (conv) cannot be the identity" },
        { { .input = { 2, 2, 2 }, .activation = BNN_IDENTITY, .layers = { { BNN_DENSE, 8 },
            { BNN_CONV, 8, .kernel = 1 }, { BNN_DENSE, 2 } } }, 1, 1,
          "bnn_drop_layer: layer 1 (dense) cannot be the identity" },
        { { .input = { 2, 2, 2 }, .activation = BNN_IDENTITY, .layers = { { BNN_CONV, 2,
            .kernel = 1 }, { BNN_CONV, 2, .kernel = 1, .add = 1 }, { BNN_DENSE, 2 } } }, 1, 1,
          "bnn_drop_layer: layer 1 (conv) cannot be the identity" },
        { { .input = { 2, 2, 2 }, .activation = BNN_IDENTITY, .layers = { { BNN_CONV, 2,
            .kernel = 1 }, { BNN_CONV, 2, .kernel = 1, .add = 1 }, { BNN_DENSE, 2 } } }, 2, 1,
          "bnn_drop_layer: layer 2 (conv) cannot be the identity" },
        { { .input = { 2, 2, 2 }, .layers = { { BNN_DENSE, 8 }, { BNN_DENSE, 2 } } }, 1, 1,
          "bnn_drop_layer: layer 1: activation 1: needs" },
        { { .input = { 2, 2, 2 }, .layers = { { BNN_CONV, 2, .kernel = 1 }, { BNN_NORM },
            { BNN_CONV, 2, .kernel = 1 }, { BNN_DENSE, 2 } } }, 3, 1,
          "bnn_drop_layer: layer 3: activation 1: needs" },
        { { .input = { 2, 2, 2 }, .layers = { { BNN_CONV, 2, .kernel = 1 }, { BNN_DENSE, 7 },
            { BNN_DENSE, 2 } } }, 2, 1, "bnn_drop_layer: layer 2 has width 7, the one before" } };
    for (size_t i = 0; i < COUNT(no); i++) {
        open_all(1);
        bnn_net net = make(no[i].d), less;
        bnn_params *to = bnn_params_new(&mem);
        bnn_gaussian g = bnn_gaussian_new(&mem, net.params->n, NULL,
                                          bnn_mat_new(&mem, 1, net.params->n)), out;
        size_t unit = 0, order[8];
        if (no[i].whole) less = bnn_drop_layer(to, &out, &net, &g, no[i].layer);
        else less = bnn_drop_neurons(to, &out, &net, &g, no[i].layer, 1, &unit, 0);
        CHECK(less.params == NULL && to->n_blocks == 0 && mem_took(mem.err, no[i].says));
        if (!no[i].whole) {
            CHECK(bnn_drop_order(&mem, order, &net, &g, no[i].layer, BNN_ORDER_RATIO, NULL, NULL) !=
                  BNN_OK);
            CHECK(mem_took(mem.err, strchr(no[i].says, ':')));
        }
        close_all();
    }
}

int main(void) {
    RUN(units_of_lists_leave_as_conditioning_says);
    RUN(layers_of_lists_become_the_identity_and_go);
    RUN(filters_are_ordered_by_what_they_send);
    RUN(what_cannot_go_is_named);
    return check_done();
}
