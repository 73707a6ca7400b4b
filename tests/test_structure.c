/* test_structure.c -- S7.1 to S7.3, S7.15 to S7.26, S3.12: graphs of mixed operations,
 * hypergradients, the two-level problem on linear models in closed form, relevance. Statistical
 * checks allow Z standard errors (false alarms 1e-4 each). */
#include "build.h"

#define Z 3.9
#define TIGHT BUILD_TOL(3e-5, 1e-11)
#define GRADIENT BUILD_TOL(2e-2, 1e-6)

typedef struct world {
    bnn_arena mem;
    bnn_tape tape;
    bnn_params *w, *a;
} world;

static const bnn_prior flat = { .kind = BNN_PRIOR_FLAT };

static void world_open(world *u, uint64_t seed) {
    memset(u, 0, sizeof *u);
    u->tape.rng = bnn_rng_seed(build_seed(seed));
    u->w = bnn_params_new(&u->mem);
    u->a = bnn_params_new(&u->mem);
}

static void world_close(world *u) {
    CHECK(u->tape.err == BNN_OK && u->mem.err == BNN_OK);
    if (u->tape.err || u->mem.err) printf("    %s%s\n", u->tape.msg, u->mem.msg);
    bnn_tape_free(&u->tape);
    bnn_arena_free(&u->mem);
}

static bnn_mat noise(world *u, size_t rows, size_t cols) {
    bnn_mat m = bnn_mat_new(&u->mem, rows, cols);
    bnn_rng_fill_normal(&u->tape.rng, rows * cols, m.data);
    return m;
}

static double at(const bnn_var *v, size_t i, size_t j) {
    return (double)v->val.data[i * v->val.cols + j];
}

static bnn_var *cube(bnn_var *x) { return bnn_mul(x, bnn_square(x)); } /* a user's operation */

static const bnn_candidate hidden[4] = {
    { "linear", NULL, 5 }, { "tanh", bnn_tanh, 5 }, { "relu", bnn_relu, 5 }, { "sin", bnn_sin, 5 }
};
static const bnn_candidate curves[3] = { { "sin", bnn_sin, 0 }, { "cube", cube, 0 },
                                         { "id", NULL, 0 } };
static const bnn_candidate readout[1] = { { "out", NULL, 2 } };

/* ---- graphs */

static void a_graph_is_its_formula(void) { /* f1 = sum gamma_k g_k(x), f = f1 W + b */
    world u;
    bnn_edge edges[2] = { { 0, 1, curves, 3 }, { 1, 2, readout, 1 } };
    bnn_graph_desc d = { .inputs = 3, .noise_std = 1, .edges = edges, .n_edges = 2,
                         .tau = (float)0.7 };
    bnn_net net;
    bnn_var *f;
    bnn_mat x;
    double gamma[3], sum = 0;
    world_open(&u, 1);
    net = bnn_graph(u.w, u.a, d);
    CHECK(u.w->n == 8 && u.a->n == 3 && u.a->n_blocks == 1);
    for (int k = 0; k < 3; k++) u.a->theta[k] = (float)(0.4 * k - 0.3);
    for (int k = 0; k < 3; k++) sum += gamma[k] = exp((double)u.a->theta[k] / 0.7);
    x = noise(&u, 4, 3);
    f = net.forward(&u.tape, &net, bnn_input(&u.tape, x));
    CHECK(f->val.rows == 4 && f->val.cols == 2);
    for (size_t i = 0; i < 4; i++)
        for (size_t c = 0; c < 2; c++) {
            double want = (double)u.w->theta[6 + c];
            for (size_t j = 0; j < 3; j++) {
                double v = (double)x.data[i * 3 + j];
                double h = (gamma[0] * sin(v) + gamma[1] * v * v * v + gamma[2] * v) / sum;
                want += h * (double)u.w->theta[j * 2 + c];
            }
            CHECK_NEAR(at(f, i, c), want, TIGHT * (1 + fabs(want)));
        }
    world_close(&u);
}

static void a_one_hot_gamma_is_the_plain_net_bit_for_bit(void) {
    static const int activations[4] = { BNN_IDENTITY, BNN_TANH, BNN_RELU, BNN_SIN };
    for (size_t k = 0; k < 4; k++) {
        world u;
        bnn_edge edges[2] = { { 0, 1, hidden, 4 }, { 1, 2, readout, 1 } };
        bnn_graph_desc d = { .inputs = 3, .noise_std = 1, .edges = edges, .n_edges = 2 };
        bnn_net net, plain;
        bnn_params *v;
        bnn_var *x, *y;
        world_open(&u, 2);
        net = bnn_graph(u.w, u.a, d);
        ((bnn_structure *)net.user)->gamma = BNN_GAMMA_ARGMAX;
        u.a->theta[k] = 1;
        v = bnn_params_new(&u.mem);
        plain = bnn_mlp(v, (bnn_mlp_desc){ .sizes = { 3, 5, 2 }, .noise_std = 1,
                                           .activation = activations[k] });
        memcpy(v->theta, u.w->theta + 20 * k, 20 * sizeof *v->theta);
        memcpy(v->theta + 20, u.w->theta + 80, 12 * sizeof *v->theta);
        x = bnn_input(&u.tape, noise(&u, 7, 3));
        y = net.forward(&u.tape, &net, x);
        CHECK_SAME_ARRAY(y->val.data, plain.forward(&u.tape, &plain, x)->val.data, 14);
        world_close(&u);
    }
}

typedef struct graph_loss {
    bnn_net net;
    bnn_mat x;
} graph_loss;

static bnn_var *graph_square(bnn_tape *t, void *user) {
    graph_loss *g = (graph_loss *)user;
    return bnn_mean(bnn_square(g->net.forward(t, &g->net, bnn_input(t, g->x))));
}

/* A diamond: 0 -> 1 -> 3 <- 2 <- 0, all of it in one store: one check sees every gradient */
static void graphs_have_the_gradient_of_finite_differences_in_every_mode(void) {
    static const int modes[] = { BNN_GAMMA_SOFTMAX, BNN_GAMMA_GUMBEL, BNN_GAMMA_DIRICHLET,
                                 BNN_GAMMA_SIGMOID, BNN_GAMMA_BERNOULLI, BNN_GAMMA_RAW };
    static const bnn_candidate smooth[3] = { { "tanh", bnn_tanh, 4 }, { "sin", bnn_sin, 4 },
                                             { "none", bnn_zero, 4 } };
    for (int c = 0; c < 24; c++) {
        world u;
        bnn_edge edges[4] = { { 2, 3, curves, 3 }, { 0, 1, smooth, 3 }, { 1, 3, curves, 2 },
                              { 0, 2, smooth, 2 } };
        int how[4] = { 0, 0, 0, c / 6 };
        bnn_graph_desc d = { .inputs = 2, .noise_std = 1, .edges = edges, .n_edges = 4,
                             .aggregates = how,
                             .gamma = modes[c % 6], .tau = (float)0.8 };
        graph_loss g;
        world_open(&u, 10 + (uint64_t)c);
        g.net = bnn_graph(u.w, NULL, d);
        CHECK(g.net.params == u.w && ((bnn_structure *)g.net.user)->n_nodes == 4);
        bnn_rng_fill_normal(&u.tape.rng, u.w->n, u.w->theta);
        for (size_t i = 0; i < u.w->n; i++) u.w->theta[i] *= (float)0.6;
        g.x = noise(&u, 5, 2);
        if (modes[c % 6] == BNN_GAMMA_DIRICHLET) { /* its path is not the one of frozen numbers */
            bnn_backward(graph_square(&u.tape, &g));
            CHECK(bnn_mat_finite((bnn_mat){ 1, u.w->n, u.w->grad }));
        } else {
            CHECK(bnn_grad_check(&u.tape, u.w, graph_square, &g) < GRADIENT);
        }
        world_close(&u);
    }
}

static void aggregates_sum_average_multiply_and_join(void) {
    static const bnn_candidate one[1] = { { "sin", bnn_sin, 0 } }, two[1] = { { "cube", cube, 0 } };
    for (int how = BNN_AGG_SUM; how <= BNN_AGG_CONCAT; how++) {
        world u;
        bnn_edge edges[2] = { { 0, 1, one, 1 }, { 0, 1, two, 1 } };
        int hows[2] = { 0, how };
        bnn_graph_desc d = { .inputs = 1, .noise_std = 1, .edges = edges, .n_edges = 2,
                             .aggregates = hows };
        bnn_net net;
        bnn_var *f;
        float v[1] = { (float)0.7 };
        double s = sin((double)v[0]), c = (double)v[0] * (double)v[0] * (double)v[0];
        world_open(&u, 40);
        net = bnn_graph(u.w, u.a, d);
        f = net.forward(&u.tape, &net, bnn_input(&u.tape, (bnn_mat){ 1, 1, v }));
        CHECK(f->val.cols == (how == BNN_AGG_CONCAT ? 2 : 1) && u.w->n == 0 && u.a->n == 0);
        CHECK_NEAR(at(f, 0, 0), how == BNN_AGG_SUM ? s + c : how == BNN_AGG_MEAN ? (s + c) / 2
                   : how == BNN_AGG_PRODUCT ? s * c : s, TIGHT);
        if (how == BNN_AGG_CONCAT) CHECK_NEAR(at(f, 0, 1), c, TIGHT);
        world_close(&u);
    }
}

/* Every vertex of the cube and every vertex of the simplex is a model: 8 and 3 different ones */
static void the_cube_has_8_models_and_the_simplex_3(void) {
    world u;
    bnn_edge edges[1] = { { 0, 1, curves, 3 } };
    bnn_graph_desc d = { .inputs = 1, .noise_std = 1, .edges = edges, .n_edges = 1,
                         .gamma = BNN_GAMMA_THRESHOLD };
    bnn_structure *s;
    bnn_net net;
    double value[8];
    int different = 0, vertices = 0;
    float v[1] = { (float)0.7 };
    world_open(&u, 50);
    net = bnn_graph(u.w, u.a, d);
    s = (bnn_structure *)net.user;
    for (int m = 0; m < 8; m++) {
        bnn_var *x = bnn_input(&u.tape, (bnn_mat){ 1, 1, v });
        double want = 0, g[3] = { sin((double)v[0]), pow((double)v[0], 3), (double)v[0] };
        int ones = 0, seen = 0;
        for (int k = 0; k < 3; k++) {
            u.a->theta[k] = (float)((m >> k & 1) ? 1 : -1);
            ones += m >> k & 1;
        }
        for (int k = 0; k < 3; k++) want += (m >> k & 1) ? g[k] : 0;
        s->gamma = BNN_GAMMA_THRESHOLD;
        value[m] = at(net.forward(&u.tape, &net, x), 0, 0);
        CHECK_NEAR(value[m], want, TIGHT);
        for (int q = 0; q < m; q++) seen |= value[q] == value[m];
        different += !seen;
        s->gamma = BNN_GAMMA_ARGMAX;
        if (ones == 1) vertices += at(net.forward(&u.tape, &net, x), 0, 0) == value[m];
    }
    CHECK(different == 8 && vertices == 3);
    world_close(&u);
}

static void hard_draws_are_vertices_with_the_gradient_of_soft_ones(void) {
    for (int cubic = 0; cubic < 2; cubic++) {
        world u;
        bnn_edge edges[1] = { { 0, 1, curves, 3 } };
        bnn_graph_desc d = { .inputs = 1, .noise_std = 1, .edges = edges, .n_edges = 1 };
        bnn_structure *s;
        bnn_net net;
        bnn_rng start;
        bnn_mat x;
        float soft[3];
        world_open(&u, 60);
        net = bnn_graph(u.w, u.a, d);
        s = (bnn_structure *)net.user;
        x = noise(&u, 6, 1);
        start = u.tape.rng;
        for (int hard = 0; hard < 2; hard++) {
            bnn_var *f;
            bnn_tape_reset(&u.tape);
            bnn_params_zero_grad(u.a);
            u.tape.rng = start;
            s->gamma = cubic ? BNN_GAMMA_BERNOULLI + hard : BNN_GAMMA_GUMBEL + hard;
            f = net.forward(&u.tape, &net, bnn_input(&u.tape, x));
            bnn_backward(bnn_sum(f)); /* linear in gamma: the same incoming gradient */
            if (!hard) memcpy(soft, u.a->grad, sizeof soft);
            else CHECK_SAME_ARRAY(soft, u.a->grad, 3);
            for (size_t i = 0; hard && i < 6; i++) { /* a sum of whole operations */
                double v = (double)x.data[i], g[3] = { sin(v), v * v * v, v }, best = 1;
                for (int m = 0; m < 8; m++) {
                    double want = 0;
                    for (int k = 0; k < 3; k++) want += (m >> k & 1) ? g[k] : 0;
                    if (fabs(want - at(f, i, 0)) < best) best = fabs(want - at(f, i, 0));
                }
                CHECK_NEAR(best, 0, TIGHT);
            }
        }
        world_close(&u);
    }
}

static void a_mixture_of_equal_logits_is_the_mean(void) {
    world u;
    bnn_var *c[3], *y;
    world_open(&u, 70);
    bnn_params_add(u.a, 1, 3, "a", flat);
    for (int k = 0; k < 3; k++) c[k] = bnn_input(&u.tape, noise(&u, 2, 2));
    y = bnn_mix(bnn_softmax(bnn_param(&u.tape, u.a, 0)), c, 3);
    for (size_t i = 0; i < 4; i++) {
        double mean = 0;
        for (int k = 0; k < 3; k++) mean += (double)c[k]->val.data[i] / 3;
        CHECK_NEAR(y->val.data[i], mean, TIGHT);
    }
    world_close(&u);
}

static void projection_onto_the_simplex_meets_its_conditions(void) {
    bnn_rng r = bnn_rng_seed(build_seed(80));
    for (int c = 0; c < 200; c++) {
        float x[40], p[40], again[40];
        size_t k = 1 + bnn_rng_below(&r, 40);
        double sum = 0, shift = 1e300;
        for (size_t i = 0; i < k; i++) p[i] = x[i] = 3 * bnn_rng_normal(&r);
        bnn_simplex_project(k, p);
        for (size_t i = 0; i < k; i++) {
            CHECK(p[i] >= 0);
            sum += (double)p[i];
            if (p[i] > 0 && shift == 1e300) shift = (double)x[i] - (double)p[i];
        }
        CHECK_NEAR(sum, 1, TIGHT);
        for (size_t i = 0; i < k; i++) /* x - p is one number where p > 0, and not more elsewhere */
            CHECK(p[i] > 0 ? fabs((double)x[i] - (double)p[i] - shift) < 10 * TIGHT
                           : (double)x[i] <= shift + 10 * TIGHT);
        memcpy(again, p, sizeof p);
        bnn_simplex_project(k, again);
        for (size_t i = 0; i < k; i++) CHECK_NEAR(again[i], p[i], TIGHT);
    }
}

static int dead(world *u, bnn_graph_desc d, const char *words) {
    size_t n = u->w->n, blocks = u->w->n_blocks;
    bnn_net net = bnn_graph(u->w, u->a, d);
    int ok = net.params == NULL && u->mem.err != BNN_OK && strstr(u->mem.msg, words) != NULL &&
             u->w->n == n && u->w->n_blocks == blocks && u->a->n == 0;
    if (!ok) printf("    \"%s\" has not \"%s\"\n", u->mem.msg, words);
    u->mem.err = BNN_OK;
    u->mem.msg[0] = 0;
    return ok;
}

static void bad_graphs_are_refused_by_the_name_of_the_edge_or_node(void) {
    world u;
    bnn_edge cycle[4] = { { 0, 1, curves, 3 }, { 1, 2, curves, 3 }, { 2, 1, curves, 3 },
                          { 2, 3, curves, 3 } };
    bnn_edge island[2] = { { 0, 2, curves, 3 }, { 1, 2, curves, 3 } };
    bnn_edge blind[3] = { { 0, 1, curves, 3 }, { 0, 2, curves, 3 }, { 0, 3, curves, 3 } };
    bnn_edge empty[2] = { { 0, 1, curves, 3 }, { 1, 2, curves, 0 } };
    bnn_edge back[2] = { { 0, 1, curves, 3 }, { 1, 0, curves, 3 } };
    bnn_edge far[1] = { { 0, 1000000, curves, 3 } };
    bnn_edge self[2] = { { 0, 1, curves, 3 }, { 1, 1, curves, 3 } };
    bnn_candidate uneven[2] = { { "a", NULL, 3 }, { "b", NULL, 4 } };
    bnn_edge widths[1] = { { 0, 1, uneven, 2 } };
    bnn_edge sums[2] = { { 0, 1, uneven, 1 }, { 0, 1, curves, 3 } };
    int hows[2] = { 0, 9 };
    world_open(&u, 90);
#define GRAPH(e) (bnn_graph_desc){ .inputs = 2, .noise_std = 1, .edges = e, \
                                   .n_edges = sizeof e / sizeof e[0] }
    CHECK(dead(&u, GRAPH(cycle), "to "));
    CHECK(dead(&u, GRAPH(cycle), "is part of a cycle"));
    CHECK(dead(&u, GRAPH(self), "edge 1, from 1 to 1, is part of a cycle"));
    CHECK(dead(&u, GRAPH(island), "node 1 cannot be reached"));
    CHECK(dead(&u, GRAPH(far), "node 1 cannot be reached"));
    CHECK(dead(&u, GRAPH(blind), "node 1 leads nowhere"));
    CHECK(dead(&u, GRAPH(empty), "edge 1, from 1 to 2, has no candidates"));
    CHECK(dead(&u, GRAPH(back), "ends at node 0"));
    CHECK(dead(&u, GRAPH(widths), "edge 0, from 0 to 1, has 3 columns, candidate 1 has 4"));
    CHECK(dead(&u, GRAPH(sums), "edge 1, from 0 to 1, has 2 columns, node 1 has 3"));
    CHECK(dead(&u, (bnn_graph_desc){ .inputs = 2, .noise_std = 1 }, "0 edges"));
    CHECK(dead(&u, (bnn_graph_desc){ .inputs = 2, .noise_std = 1, .edges = widths, .n_edges = 1,
                                     .tau = -1 },
               "tau"));
    CHECK(dead(&u, (bnn_graph_desc){ .inputs = 2, .noise_std = 1, .edges = far, .n_edges = 1,
                                     .gamma = 99 },
               "gamma"));
    widths[0].n_ops = 1;
    CHECK(dead(&u, (bnn_graph_desc){ .inputs = 2, .noise_std = 1, .edges = widths, .n_edges = 1,
                                     .aggregates = hows }, "aggregate 9 of node 1"));
    world_close(&u);
}

static void a_temperature_assigned_badly_fails_on_the_tape(void) {
    world u;
    bnn_edge edges[1] = { { 0, 1, curves, 3 } };
    bnn_graph_desc d = { .inputs = 1, .noise_std = 1, .edges = edges, .n_edges = 1 };
    bnn_net net;
    world_open(&u, 91);
    net = bnn_graph(u.w, u.a, d);
    for (int mode = 0; mode < 2; mode++) {
        ((bnn_structure *)net.user)->tau = 0;
        ((bnn_structure *)net.user)->gamma = mode ? BNN_GAMMA_GUMBEL : BNN_GAMMA_SOFTMAX;
        net.forward(&u.tape, &net, bnn_input(&u.tape, noise(&u, 2, 1)));
        CHECK(u.tape.err == BNN_EARG && strstr(u.tape.msg, "tau is 0") != NULL);
        bnn_tape_clear_error(&u.tape);
    }
    world_close(&u);
}

/* ---- extraction */

static void extraction_gives_the_same_function_with_fewer_parameters(void) {
    static const bnn_candidate some[3] = { { "tanh", bnn_tanh, 4 }, { "none", bnn_zero, 4 },
                                           { "sin", bnn_sin, 4 } };
    for (int c = 0; c < 40; c++) {
        world u;
        bnn_edge edges[6] = { { 0, 1, some, 3 }, { 0, 2, some, 3 }, { 1, 2, some, 3 },
                              { 0, 3, some, 3 }, { 2, 3, some, 3 }, { 3, 4, readout, 1 } };
        int how[5] = { 0, 0, 0, c % 4 == 3 ? BNN_AGG_PRODUCT : 0, 0 };
        bnn_graph_desc d = { .inputs = 3, .noise_std = 1, .edges = edges, .n_edges = 6,
                             .aggregates = how,
                             .gamma = c % 2 ? BNN_GAMMA_SIGMOID : BNN_GAMMA_SOFTMAX };
        bnn_params *v;
        bnn_net net, small;
        bnn_var *x, *f, *g;
        world_open(&u, 100 + (uint64_t)c);
        net = bnn_graph(u.w, u.a, d);
        bnn_rng_fill_normal(&u.tape.rng, u.w->n, u.w->theta);
        bnn_rng_fill_normal(&u.tape.rng, u.a->n, u.a->theta);
        v = bnn_params_new(&u.mem);
        small = bnn_graph_extract(v, &net);
        CHECK(small.params == v && v->n < u.w->n);
        ((bnn_structure *)net.user)->gamma = c % 2 ? BNN_GAMMA_THRESHOLD : BNN_GAMMA_ARGMAX;
        x = bnn_input(&u.tape, noise(&u, 5, 3));
        f = net.forward(&u.tape, &net, x);
        g = small.forward(&u.tape, &small, x);
        for (size_t i = 0; i < 10 && u.tape.err == 0; i++)
            CHECK_NEAR(f->val.data[i], g->val.data[i], TIGHT * (1 + fabs((double)f->val.data[i])));
        world_close(&u);
    }
}

static void extraction_drops_absent_edges_and_the_nodes_behind_them(void) {
    static const bnn_candidate some[2] = { { "tanh", bnn_tanh, 4 }, { "none", bnn_zero, 4 } };
    world u;
    bnn_edge edges[5] = { { 0, 1, some, 2 }, { 0, 2, some, 2 }, { 1, 3, some, 2 },
                          { 2, 3, some, 2 }, { 3, 4, readout, 1 } };
    bnn_graph_desc d = { .inputs = 3, .noise_std = 1, .edges = edges, .n_edges = 5 };
    const bnn_structure *s;
    bnn_net net, small;
    world_open(&u, 150);
    net = bnn_graph(u.w, u.a, d);
    bnn_params_mat(u.a, 2).data[1] = 3; /* 1 -> 3 is absent: node 1 goes */
    small = bnn_graph_extract(bnn_params_new(&u.mem), &net);
    s = (const bnn_structure *)small.user;
    CHECK(s->n_nodes == 4 && s->n_edges == 3);
    CHECK(small.params->n == 3 * 4 + 4 + 4 * 4 + 4 + 4 * 2 + 2);
    CHECK(s->edges[0].from == 0 && s->edges[0].to == 1 && s->edges[1].to == 2);
    CHECK(strcmp(s->edges[0].ops[0].name, "tanh") == 0 && s->edges[0].n_ops == 1);
    small = bnn_graph_extract(small.params, &small);
    CHECK(small.params == NULL && u.mem.err == BNN_EARG);
    bnn_net_forward(&small, bnn_scalar(&u.tape, 1)); /* a dead net knows why */
    CHECK(u.tape.err == BNN_EARG && strstr(u.tape.msg, "bnn_graph_extract: not a bnn_graph") != NULL);
    u.mem.err = u.tape.err = BNN_OK;
    world_close(&u);
}

static void extraction_drops_an_absent_edge_that_is_the_first(void) {
    static const bnn_candidate some[2] = { { "tanh", bnn_tanh, 4 }, { "none", bnn_zero, 4 } };
    world u;
    bnn_edge edges[4] = { { 0, 2, some, 2 }, { 0, 1, some, 2 }, { 1, 2, some, 2 },
                          { 2, 3, readout, 1 } };
    bnn_graph_desc d = { .inputs = 3, .noise_std = 1, .edges = edges, .n_edges = 4 };
    const bnn_structure *s;
    bnn_net net, small;
    world_open(&u, 151);
    net = bnn_graph(u.w, u.a, d);
    bnn_params_mat(u.a, 0).data[1] = 3;
    small = bnn_graph_extract(bnn_params_new(&u.mem), &net);
    s = (const bnn_structure *)small.user;
    CHECK(s->n_nodes == 4 && s->n_edges == 3);
    world_close(&u);
}

/* ---- a graph is a net */

static bnn_data sine(world *u, size_t n) {
    bnn_data d = { bnn_mat_new(&u->mem, n, 1), bnn_mat_new(&u->mem, n, 1) };
    for (size_t i = 0; i < n; i++) {
        d.x.data[i] = 8 * bnn_rng_uniform(&u->tape.rng) - 4;
        d.y.data[i] = (float)sin(2 * (double)d.x.data[i]) +
                      bnn_rng_normal(&u->tape.rng) * (float)0.1;
    }
    return d;
}

static const bnn_candidate waves[4] = { { "linear", NULL, 12 }, { "tanh", bnn_tanh, 12 },
                                        { "relu", bnn_relu, 12 }, { "sin", bnn_sin, 12 } };
static const bnn_candidate scalar_out[1] = { { "out", NULL, 1 } };

static bnn_net search(world *u, bnn_data d, int steps, bnn_ensemble *post, uint64_t seed) {
    bnn_edge edges[2] = { { 0, 1, waves, 4 }, { 1, 2, scalar_out, 1 } };
    bnn_net net = bnn_graph(u->w, u->a, (bnn_graph_desc){
        .inputs = 1, .edges = edges, .n_edges = 2, .gamma = BNN_GAMMA_GUMBEL, .tau = (float)0.5,
        .noise_std = (float)0.2, .prior = { .std = 2 }, .structure_prior = { .std = 3 },
        .seed = seed });
    bnn_stepper sw = bnn_adam(u->w, (bnn_adam_desc){ .lr = (float)0.03 });
    bnn_stepper sa = bnn_sgld(u->a, (bnn_sgld_desc){ .lr = (float)0.3 });
    for (int s = 0; s < steps; s++) {
        bnn_batch b;
        bnn_tape_reset(&u->tape);
        b = bnn_minibatch(&u->tape, d, 32);
        bnn_backward(bnn_add(bnn_net_loss(&net, b),
                             bnn_scale(bnn_prior_nll(&u->tape, u->a), 1 / (float)d.x.rows)));
        bnn_step(&sw, &u->tape);
        if (s >= steps / 2) bnn_step(&sa, &u->tape); /* first every operation learns something */
        else bnn_params_zero_grad(u->a);
        if (post != NULL && s >= 3 * steps / 4 && s % 10 == 9) bnn_ensemble_push(post);
    }
    return net;
}

static void loss_predict_and_distill_take_a_graph(void) {
    world u;
    bnn_data d;
    bnn_net net, student;
    bnn_ensemble post;
    bnn_predictive p;
    bnn_params *v;
    size_t held;
    world_open(&u, 160);
    d = sine(&u, 100);
    net = search(&u, d, 50, NULL, 1);
    held = bnn_arena_size(&u.tape.mem) + bnn_arena_size(&u.mem);
    post = bnn_ensemble_new(u.w, 3);
    for (int k = 0; k < 3; k++) bnn_ensemble_push(&post);
    p = bnn_predict(&u.mem, &u.tape, &net, &post, d.x);
    CHECK(p.mean.rows == 100 && bnn_mat_finite(p.mean) && bnn_mat_finite(p.epistemic));
    v = bnn_params_new(&u.mem);
    student = bnn_mlp(v, (bnn_mlp_desc){ .sizes = { 1, 8, 1 }, .noise_std = (float)0.3 });
    bnn_distill(&u.tape, &student, &net, &post, d.x, (bnn_distill_desc){ .steps = 20 });
    bnn_distill(&u.tape, &net, &student, NULL, d.x, (bnn_distill_desc){ .steps = 20 });
    CHECK(bnn_mat_finite((bnn_mat){ 1, u.w->n, u.w->theta }) && held > 0);
    world_close(&u);
}

static void the_search_does_not_allocate_after_its_first_step(void) {
    world u;
    bnn_data d;
    bnn_net net;
    size_t held = 0;
    world_open(&u, 161);
    d = sine(&u, 64);
    net = search(&u, d, 1, NULL, 1);
    for (int s = 0; s < 20; s++) {
        bnn_tape_reset(&u.tape);
        bnn_backward(bnn_net_loss(&net, bnn_minibatch(&u.tape, d, 32)));
        if (s == 0) held = bnn_arena_size(&u.tape.mem);
    }
    CHECK(bnn_arena_size(&u.tape.mem) == held);
    world_close(&u);
}

/* S7.23: the generating operation in at least 9 of 10 seeds; and the same bits twice */
static void the_useful_operation_is_found_and_the_posterior_repeats(void) {
    int right = 0;
    float first[4];
    for (int c = 0; c < 11; c++) {
        world u;
        bnn_data d;
        bnn_ensemble post;
        bnn_net net;
        float p[4];
        size_t best = 0;
        uint64_t seed = (uint64_t)(c == 10 ? 0 : c);
        world_open(&u, 170 + seed);
        d = sine(&u, 200);
        bnn_params_add(u.a, 1, 4, "shape", flat); /* an ensemble needs the size in advance */
        post = bnn_ensemble_new(u.a, 300);
        u.a->n = 0, u.a->n_blocks = 0;
        net = search(&u, d, 1500, &post, seed);
        CHECK(bnn_graph_probs(&net, &post, 0, p) == BNN_OK);
        for (size_t k = 1; k < 4; k++) best = p[k] > p[best] ? k : best;
        CHECK_NEAR((double)p[0] + (double)p[1] + (double)p[2] + (double)p[3], 1, 1e-5);
        if (c == 0) memcpy(first, p, sizeof p);
        if (c == 10) CHECK_SAME_ARRAY(first, p, 4);
        else right += best == 3;
        world_close(&u);
    }
    CHECK(right >= 9);
    if (right < 9) printf("    %d of 10\n", right);
}

static void probabilities_are_means_of_softmax_over_the_samples(void) {
    world u;
    bnn_edge edges[2] = { { 0, 1, curves, 3 }, { 1, 2, readout, 1 } };
    bnn_graph_desc d = { .inputs = 1, .noise_std = 1, .edges = edges, .n_edges = 2 };
    bnn_net net;
    bnn_ensemble post;
    double want[3] = { 0, 0, 0 };
    float p[3];
    world_open(&u, 190);
    net = bnn_graph(u.w, u.a, d);
    post = bnn_ensemble_new(u.a, 4);
    for (int i = 0; i < 4; i++) {
        double sum = 0;
        bnn_rng_fill_normal(&u.tape.rng, 3, u.a->theta);
        for (int k = 0; k < 3; k++) sum += exp((double)u.a->theta[k]);
        for (int k = 0; k < 3; k++) want[k] += exp((double)u.a->theta[k]) / sum / 4;
        bnn_ensemble_push(&post);
    }
    CHECK(bnn_graph_probs(&net, &post, 0, p) == BNN_OK);
    for (int k = 0; k < 3; k++) CHECK_NEAR(p[k], want[k], TIGHT);
    CHECK(bnn_graph_probs(&net, NULL, 1, p) == BNN_OK && p[0] == 1);
    CHECK(bnn_graph_probs(&net, NULL, 2, p) == BNN_EARG);
    CHECK(bnn_graph_probs(&net, &(bnn_ensemble){ .params = u.w }, 0, p) == BNN_ESHAPE);
    for (int k = 0; k < 3; k++) { /* weights matter by their ratios; one must be above 0 */
        float sum = 0;
        for (size_t i = 0; i < post.count; i++) post.weights[i] = k == 0 ? 0 : k == 1 ? 1e60 : 1e-60;
        CHECK(bnn_graph_probs(&net, &post, 0, p) == (k == 0 ? BNN_EARG : BNN_OK));
        for (int j = 0; k > 0 && j < 3; j++) sum += p[j];
        if (k > 0) CHECK_NEAR(sum, 1, 1e-6);
    }
    world_close(&u);
}

/* ---- hypergradients: L = |w - B a|^2/2 + c |w|^2/2, Q = |w - t|^2/2 + d |a|^2/2 */

enum { D = 4, A = 3 };
typedef struct quadratic {
    world u;
    bnn_mat b, t;
    double c, d, sign;
} quadratic;

static bnn_var *lower_quadratic(bnn_tape *t, void *user) {
    quadratic *q = (quadratic *)user;
    bnn_var *w = bnn_param(t, q->u.w, 0);
    bnn_var *r = bnn_sub(w, bnn_matmul(bnn_input(t, q->b), bnn_param(t, q->u.a, 0)));
    r = bnn_add(bnn_scale(bnn_sum(bnn_square(r)), (float)(q->sign / 2)),
                bnn_scale(bnn_sum(bnn_square(w)), (float)(q->c / 2)));
    return r;
}

static bnn_var *upper_quadratic(bnn_tape *t, void *user) {
    quadratic *q = (quadratic *)user;
    bnn_var *r = bnn_sub(bnn_param(t, q->u.w, 0), bnn_input(t, q->t));
    return bnn_add(bnn_scale(bnn_sum(bnn_square(r)), (float)0.5),
                   bnn_scale(bnn_sum(bnn_square(bnn_param(t, q->u.a, 0))), (float)(q->d / 2)));
}

static void quadratic_open(quadratic *q, uint64_t seed) {
    memset(q, 0, sizeof *q);
    world_open(&q->u, seed);
    q->c = 0.5, q->d = 0.3, q->sign = 1;
    bnn_params_add(q->u.w, D, 1, "w", flat);
    bnn_params_add(q->u.a, A, 1, "a", flat);
    bnn_rng_fill_normal(&q->u.tape.rng, D, q->u.w->theta);
    bnn_rng_fill_normal(&q->u.tape.rng, A, q->u.a->theta);
    q->b = noise(&q->u, D, A);
    q->t = noise(&q->u, D, 1);
}

/* (B a)_i, and d a + scale B'(w - t) */
static double image(const quadratic *q, size_t i) {
    double s = 0;
    for (size_t j = 0; j < A; j++) s += (double)q->b.data[i * A + j] * (double)q->u.a->theta[j];
    return s;
}
static void pulled(const quadratic *q, const double *w, double scale, double *g) {
    for (size_t j = 0; j < A; j++) {
        g[j] = q->d * (double)q->u.a->theta[j];
        for (size_t i = 0; i < D; i++)
            g[j] += scale * (double)q->b.data[i * A + j] * (w[i] - (double)q->t.data[i]);
    }
}

static bnn_hypergradient_desc quadratic_desc(quadratic *q) {
    return (bnn_hypergradient_desc){ .w = q->u.w, .a = q->u.a, .upper = upper_quadratic,
                                     .lower = lower_quadratic, .user = q, .iterations = 50,
                                     .tolerance = (float)BUILD_TOL(1e-4, 1e-9) };
}

static void hypergradients_of_quadratics_are_exact(void) {
    for (int order = 1; order <= 2; order++) {
        quadratic q;
        double w[D], g[A], xi = 0.2;
        float keep[D];
        bnn_hypergradient_desc d;
        quadratic_open(&q, 200);
        memcpy(keep, q.u.w->theta, sizeof keep);
        for (size_t i = 0; i < D; i++) { /* w' = w - xi (w - B a + c w) */
            double wi = (double)q.u.w->theta[i];
            w[i] = order == 2 ? wi - xi * (wi - image(&q, i) + q.c * wi) : wi;
        }
        pulled(&q, w, order == 2 ? xi : 0, g);
        d = quadratic_desc(&q);
        d.unroll = order == 2 ? (float)xi : 0;
        bnn_hypergradient(&q.u.tape, d);
        for (size_t j = 0; j < A; j++) CHECK_NEAR(q.u.a->grad[j], g[j], BUILD_TOL(1e-3, 1e-9));
        CHECK_SAME_ARRAY(keep, q.u.w->theta, D);
        world_close(&q.u);
    }
}

static void to_the_lower_optimum(quadratic *q) { /* w* = B a/(1 + c) */
    for (size_t i = 0; i < D; i++) q->u.w->theta[i] = (float)(image(q, i) / (1 + q->c));
}

static double reoptimized(quadratic *q) { /* Q(w*(a), a) */
    double v;
    to_the_lower_optimum(q);
    v = (double)bnn_value(upper_quadratic(&q->u.tape, q));
    bnn_tape_reset(&q->u.tape);
    return v;
}

/* The projection of x + c is that of x, for every c; of NaN and infinity there is none. */
static void the_projection_keeps_its_digits_at_large_values(void) {
    static const double shift[5] = { 0, -3, 1e4, -1e9, 1e30 };
    float three[3], two[2] = { (float)1e16, 0 }, low[2] = { (float)-1e38, (float)-1e38 };
    float bad[3] = { 1, (float)bnn__inf(), 0 };
    for (int c = 0; c < 5; c++) {
        for (int i = 0; i < 3; i++) three[i] = (float)shift[c];
        bnn_simplex_project(3, three);
        for (int i = 0; i < 3; i++) CHECK_NEAR(three[i], 1.0 / 3, 1e-7);
    }
    bnn_simplex_project(2, two);
    CHECK(two[0] == 1 && two[1] == 0);
    bnn_simplex_project(2, low);
    CHECK(low[0] == 0.5 && low[1] == 0.5);
    for (int c = 0; c < 3; c++) {
        bad[0] = bad[2] = 0, bad[1] = (float)(c == 0 ? bnn__inf() : c == 1 ? -bnn__inf() : bnn__nan());
        bnn_simplex_project(3, bad);
        if (c == 1) CHECK(bad[0] == 0.5 && bad[1] == 0 && bad[2] == 0.5);
        else for (int i = 0; i < 3; i++) CHECK(!(bad[i] <= 0) && !(bad[i] > 0));
    }
}

/* Q = w^4/4 with lower level exp(w) - a w + w^2/2 (not quadratic): w*(a) solves e^w + w = a, and
 * dQ/da = w^3/(e^w + 1). Scales of the problem from 0.1 to 1e3: w = c u, so that dw/da = c du/da. */
typedef struct exponential {
    world u;
    double c;
} exponential;
static bnn_var *exp_upper(bnn_tape *t, void *user) {
    exponential *q = (exponential *)user;
    bnn_var *w = bnn_scale(bnn_param(t, q->u.w, 0), (float)(1 / q->c));
    return bnn_scale(bnn_sum(bnn_square(bnn_square(w))), (float)0.25);
}
static bnn_var *exp_lower(bnn_tape *t, void *user) {
    exponential *q = (exponential *)user;
    bnn_var *w = bnn_scale(bnn_param(t, q->u.w, 0), (float)(1 / q->c)), *a = bnn_param(t, q->u.a, 0);
    bnn_var *e = bnn_mul(bnn_exp(w), bnn_exp(bnn_scale(a, (float)-0.5))); /* a enters nonlinearly */
    return bnn_sum(bnn_add(bnn_sub(e, bnn_mul(a, w)), bnn_scale(bnn_square(w), (float)0.5)));
}
static void the_mixed_difference_fits_the_scale_of_the_weights(void) {
    static const double scales[4] = { 0.1, 1, 30, 1e3 };
    for (int k = 0; k < 4; k++) {
        exponential q;
        bnn_hypergradient_desc d = { .upper = exp_upper, .lower = exp_lower, .implicit = 1,
                                     .tolerance = (float)1e-7, .iterations = 100 };
        double a = 2.5, w = 1, g;
        world_open(&q.u, 215);
        q.c = scales[k];
        bnn_params_add(q.u.w, 1, 1, "w", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
        bnn_params_add(q.u.a, 1, 1, "a", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
        for (int i = 0; i < 100; i++)
            w -= (exp(w - 0.5 * a) + w - a) / (exp(w - 0.5 * a) + 1);
        q.u.w->theta[0] = (float)(q.c * w), q.u.a->theta[0] = (float)a;
        g = w * w * w * (1 + 0.5 * exp(w - 0.5 * a)) / (exp(w - 0.5 * a) + 1);
        d.w = q.u.w, d.a = q.u.a, d.user = &q;
        bnn_hypergradient(&q.u.tape, d);
        CHECK_NEAR(q.u.a->grad[0], g, BUILD_TOL(2e-3, 1e-8) * g);
        world_close(&q.u);
    }
}

static void the_implicit_hypergradient_is_that_of_full_reoptimization(void) {
    quadratic q;
    double w[D], g[A];
    bnn_hypergradient_result r;
    bnn_hypergradient_desc d;
    quadratic_open(&q, 210);
    to_the_lower_optimum(&q);
    for (size_t i = 0; i < D; i++) w[i] = (double)q.u.w->theta[i];
    pulled(&q, w, 1 / (1 + q.c), g);
    d = quadratic_desc(&q);
    d.implicit = 1;
    r = bnn_hypergradient(&q.u.tape, d);
    CHECK(r.damping == 0 && r.residual < 1e-3 && r.iterations > 0);
    CHECK_NEAR(r.value, reoptimized(&q), TIGHT * 10);
    for (size_t j = 0; j < A; j++) {
        double h = BUILD_TOL(1e-2, 1e-5), up, down;
        float keep = q.u.a->theta[j];
        CHECK_NEAR(q.u.a->grad[j], g[j], BUILD_TOL(3e-3, 1e-8));
        q.u.a->theta[j] = keep + (float)h;
        up = reoptimized(&q);
        q.u.a->theta[j] = keep - (float)h;
        down = reoptimized(&q);
        q.u.a->theta[j] = keep;
        CHECK_NEAR(q.u.a->grad[j], (up - down) / (2 * h), BUILD_TOL(5e-3, 1e-7));
    }
    world_close(&q.u);
}

/* w_k(a) by k steps of gradient descent written as nodes: d Q(w_k(a), a)/da through all of them */
static void unrolling_many_steps_converges_to_the_implicit_hypergradient(void) {
    double error[2];
    for (int c = 0; c < 2; c++) {
        quadratic q;
        bnn_var *w, *a, *r;
        float unrolled[A];
        bnn_hypergradient_desc d;
        bnn_tape *t;
        quadratic_open(&q, 215);
        t = &q.u.tape;
        a = bnn_param(t, q.u.a, 0);
        w = bnn_detach(bnn_param(t, q.u.w, 0));
        for (int k = 0; k < (c ? 80 : 3); k++) {
            r = bnn_sub(bnn_scale(w, (float)(1 + q.c)), bnn_matmul(bnn_input(t, q.b), a));
            w = bnn_sub(w, bnn_scale(r, (float)0.2));
        }
        r = bnn_scale(bnn_sum(bnn_square(bnn_sub(w, bnn_input(t, q.t)))), (float)0.5);
        bnn_backward(bnn_add(r, bnn_scale(bnn_sum(bnn_square(a)), (float)(q.d / 2))));
        memcpy(unrolled, q.u.a->grad, sizeof unrolled);
        to_the_lower_optimum(&q);
        d = quadratic_desc(&q);
        d.implicit = 1;
        bnn_hypergradient(t, d);
        error[c] = 0;
        for (size_t j = 0; j < A; j++)
            error[c] += fabs((double)unrolled[j] - (double)q.u.a->grad[j]);
        world_close(&q.u);
    }
    CHECK(error[0] > 0.05 && error[1] < BUILD_TOL(0.01, 1e-8));
}

/* One step of length 1/(1 + c) ends at the lower optimum, wherever it begins: DARTS through it is
 * the implicit hypergradient. The first order is d a alone: it does not see how w follows a. */
static void a_newton_step_makes_the_second_order_implicit(void) {
    quadratic q;
    bnn_hypergradient_desc d;
    float g[3][A];
    quadratic_open(&q, 217);
    for (int k = 0; k < 3; k++) {
        d = quadratic_desc(&q);
        if (k == 1) to_the_lower_optimum(&q);
        if (k == 0) d.unroll = (float)(1 / (1 + q.c));
        d.implicit = k == 1;
        bnn_hypergradient(&q.u.tape, d);
        memcpy(g[k], q.u.a->grad, sizeof g[k]);
    }
    for (size_t j = 0; j < A; j++) {
        CHECK_NEAR(g[0][j], g[1][j], BUILD_TOL(3e-3, 1e-8));
        CHECK_NEAR(g[2][j], q.d * (double)q.u.a->theta[j], TIGHT);
    }
    world_close(&q.u);
}

/* X28 in the small: a layer for y = sin(2x) out of four operations, weights on one half of the data
 * and structure on the other, under a prior that keeps weights from making up for any gamma */
typedef struct halves {
    bnn_net net;
    bnn_data train, valid;
} halves;

static bnn_var *half_lower(bnn_tape *t, void *user) {
    halves *h = (halves *)user;
    return bnn_net_loss(&h->net, bnn_batch_all(t, h->train));
}

static bnn_var *half_upper(bnn_tape *t, void *user) {
    halves *h = (halves *)user;
    return bnn_net_nll(&h->net, bnn_batch_all(t, h->valid));
}

static size_t searched(uint64_t seed, int order) { /* the operation with the largest probability */
    world u;
    halves h;
    bnn_data d;
    bnn_edge edges[2] = { { 0, 1, waves, 4 }, { 1, 2, scalar_out, 1 } };
    bnn_stepper sw, sa;
    float p[4] = { 0, 0, 0, 0 };
    size_t best = 0;
    world_open(&u, seed);
    d = sine(&u, 160);
    h.train = bnn_data_rows(d, 0, 80), h.valid = bnn_data_rows(d, 80, 80);
    for (size_t i = 0; i < 160; i++) { /* 3/4 of the range: one and a half waves on each side */
        d.x.data[i] *= (float)0.75;
        d.y.data[i] = (float)sin(2 * (double)d.x.data[i]) +
                      bnn_rng_normal(&u.tape.rng) * (float)0.1;
    }
    h.net = bnn_graph(u.w, u.a, (bnn_graph_desc){ .inputs = 1, .edges = edges, .n_edges = 2,
        .noise_std = (float)0.5, .prior = { .std = (float)0.5 }, .seed = seed });
    sw = bnn_adam(u.w, (bnn_adam_desc){ .lr = (float)0.03 });
    sa = bnn_adam(u.a, (bnn_adam_desc){ .lr = (float)0.1 });
    for (int s = 0; s < 500; s++) {
        bnn_tape_reset(&u.tape);
        if (s >= 400) {
            bnn_hypergradient(&u.tape, (bnn_hypergradient_desc){ .w = u.w, .a = u.a,
                .upper = half_upper, .lower = half_lower, .user = &h, .implicit = order == 2,
                .unroll = order == 1 ? (float)0.05 : 0, .iterations = 8, .damping = 1 });
            bnn_step(&sa, &u.tape);
        }
        bnn_backward(half_lower(&u.tape, &h));
        bnn_params_zero_grad(u.a);
        bnn_step(&sw, &u.tape);
    }
    CHECK(bnn_graph_probs(&h.net, NULL, 0, p) == BNN_OK);
    for (size_t k = 1; k < 4; k++) best = p[k] > p[best] ? k : best;
    world_close(&u);
    return best;
}

static void first_second_and_implicit_hypergradients_find_the_sine(void) {
    for (int order = 0; order < 3; order++) {
        int right = 0;
        for (uint64_t seed = 0; seed < 3; seed++) right += searched(218 + seed, order) == 3;
        CHECK(right >= 2); /* 40 of 40 in examples/darts.c */
    }
}

static void an_indefinite_hessian_is_damped_and_said_so(void) {
    quadratic q;
    bnn_hypergradient_result r;
    bnn_hypergradient_desc d;
    quadratic_open(&q, 220);
    q.sign = -1, q.c = 0.2; /* H = -0.8 */
    d = quadratic_desc(&q);
    d.implicit = 1;
    r = bnn_hypergradient(&q.u.tape, d);
    CHECK_NEAR(r.damping, 1.6, 1e-5); /* twice what it lacks */
    CHECK(bnn_mat_finite((bnn_mat){ 1, A, q.u.a->grad }));
    world_close(&q.u);
}

static bnn_var *steep(bnn_tape *t, void *user) { /* curvatures 1, 10, 100, 1000 */
    quadratic *q = (quadratic *)user;
    bnn_mat scale = bnn_mat_new(&t->mem, D, 1);
    for (size_t i = 0; i < D; i++) scale.data[i] = (float)pow(10, (double)i);
    return bnn_add(bnn_sum(bnn_mul(bnn_square(bnn_param(t, q->u.w, 0)), bnn_input(t, scale))),
                   bnn_scale(bnn_sum(bnn_param(t, q->u.a, 0)), 0));
}

static void too_few_iterations_return_the_residual(void) {
    quadratic q;
    bnn_hypergradient_desc d;
    double two, four;
    quadratic_open(&q, 230);
    d = quadratic_desc(&q);
    d.implicit = 1, d.lower = steep, d.iterations = 1;
    two = bnn_hypergradient(&q.u.tape, d).residual;
    d.iterations = 20;
    four = bnn_hypergradient(&q.u.tape, d).residual;
    CHECK(two > 0.05 && four < BUILD_TOL(0.05, 1e-8));
    world_close(&q.u);
}

static void nothing_to_pull_on_is_skipped_and_bad_input_refused(void) {
    quadratic q;
    bnn_hypergradient_desc d;
    quadratic_open(&q, 240);
    memcpy(q.u.w->theta, q.t.data, sizeof(float) * D); /* v = 0 */
    d = quadratic_desc(&q);
    d.implicit = 1;
    bnn_hypergradient(&q.u.tape, d);
    for (size_t j = 0; j < A; j++)
        CHECK_NEAR(q.u.a->grad[j], q.d * (double)q.u.a->theta[j], TIGHT);
    d.a = d.w;
    bnn_hypergradient(&q.u.tape, d);
    CHECK(q.u.tape.err == BNN_EARG);
    bnn_tape_clear_error(&q.u.tape);
    world_close(&q.u);
}

/* ---- two levels on a linear-Gaussian model, in closed form (S7.18) */

enum { F = 3, N = 25 };
typedef struct linear {
    world u;          /* w: m (F,1), then a square root R (F,F) of the covariance; a: ln alpha */
    bnn_data data;
    double beta;
    int built;        /* how many terms were built */
} linear;

static void linear_open(linear *l, uint64_t seed) {
    memset(l, 0, sizeof *l);
    world_open(&l->u, seed);
    l->beta = 4;
    l->data.x = noise(&l->u, N, F);
    l->data.y = noise(&l->u, N, 1);
    for (size_t i = 0; i < N; i++)
        l->data.y.data[i] = l->data.y.data[i] / 2 + l->data.x.data[i * F] -
                            l->data.x.data[i * F + 1] * (float)0.4;
    bnn_params_add(l->u.w, F, 1, "m", flat);
    bnn_params_add(l->u.w, F, F, "root", flat);
    bnn_params_add(l->u.a, 1, 1, "alpha", flat);
}

static bnn_var *linear_root(bnn_tape *t, linear *l) { /* lower: no gradient above the diagonal */
    bnn_mat mask = bnn_mat_new(&t->mem, F, F);
    for (size_t i = 0; i < F * F; i++) mask.data[i] = i / F >= i % F;
    return bnn_mul(bnn_param(t, l->u.w, 1), bnn_input(t, mask));
}

static bnn_var *linear_log_lik(bnn_tape *t, void *user) { /* E_q ln p(y|w) */
    linear *l = (linear *)user;
    bnn_var *x = bnn_input(t, l->data.x), *r = bnn_sub(bnn_input(t, l->data.y),
                                                       bnn_matmul(x, bnn_param(t, l->u.w, 0)));
    r = bnn_add(bnn_sum(bnn_square(r)), bnn_sum(bnn_square(bnn_matmul(x, linear_root(t, l)))));
    l->built++;
    return bnn_shift(bnn_scale(r, (float)(-l->beta / 2)),
                     (float)(N / 2.0 * log(l->beta / (2 * BNN__PI))));
}

static bnn_var *linear_kl(bnn_tape *t, void *user) { /* KL(q||N(0, I/alpha)) */
    linear *l = (linear *)user;
    bnn_var *m = bnn_param(t, l->u.w, 0), *root = linear_root(t, l);
    bnn_var *log_alpha = bnn_param(t, l->u.a, 0), *s, *det = NULL;
    s = bnn_mul(bnn_exp(log_alpha), bnn_add(bnn_sum(bnn_square(m)), bnn_sum(bnn_square(root))));
    for (size_t j = 0; j < F; j++) {
        bnn_var *d = bnn_log(bnn_cols(bnn_rows(root, j, 1), j, 1));
        det = det == NULL ? d : bnn_add(det, d);
    }
    s = bnn_sub(bnn_scale(s, (float)0.5), bnn_scale(log_alpha, (float)(F / 2.0)));
    l->built++;
    return bnn_shift(bnn_sub(s, det), (float)(-F / 2.0));
}

static bnn_two_level levels(linear *l, double ll, double lq, double lower) {
    return (bnn_two_level){ .lik_upper = (float)ll, .kl_upper = (float)lq, .kl_lower = (float)lower,
                            .log_lik = linear_log_lik, .kl = linear_kl, .user = l };
}

/* The lower optimum at this alpha: precision alpha I + (beta/lL) X'X; into the parameters */
static void lower_optimum(linear *l, double log_alpha, double lower) {
    bnn_mat mean = bnn_params_mat(l->u.w, 0), root = bnn_params_mat(l->u.w, 1);
    double alpha[F];
    bnn_mat cov = bnn_mat_new(&l->u.mem, F, F);
    for (int j = 0; j < F; j++) alpha[j] = exp(log_alpha);
    l->u.a->theta[0] = (float)log_alpha;
    /* temperature lL on the likelihood is a noise precision of beta/lL */
    CHECK(bnn__finite_d(bnn_linear_evidence(&l->u.mem, mean, cov, l->data, alpha,
                                            l->beta / lower)));
    CHECK(bnn_mat_cholesky(root, cov, NULL) == BNN_OK);
}

/* Upper objective at the lower optimum: as a loss, so smaller is better */
static double upper_at(linear *l, bnn_two_level *p, double log_alpha) {
    double v;
    lower_optimum(l, log_alpha, (double)p->kl_lower);
    v = (double)bnn_value(bnn_two_level_upper(&l->u.tape, p));
    bnn_tape_reset(&l->u.tape);
    return v;
}

static double best_alpha(linear *l, bnn_two_level *p, double lo, double hi) { /* golden section */
    double g = 0.6180339887498949, a = hi - g * (hi - lo), b = lo + g * (hi - lo);
    double fa = upper_at(l, p, a), fb = upper_at(l, p, b);
    while (hi - lo > 1e-7) {
        if (fa < fb) hi = b, b = a, fb = fa, fa = upper_at(l, p, a = hi - g * (hi - lo));
        else lo = a, a = b, fa = fb, fb = upper_at(l, p, b = lo + g * (hi - lo));
    }
    return (lo + hi) / 2;
}

static double evidence(linear *l, double log_alpha) {
    bnn_mat none = { 0, 0, NULL };
    double alpha[F];
    for (int j = 0; j < F; j++) alpha[j] = exp(log_alpha);
    return bnn_linear_evidence(&l->u.mem, none, none, l->data, alpha, l->beta);
}

static void the_lower_level_is_at_rest_at_the_conjugate_posterior(void) {
    static const double lowers[] = { 0.01, 1, 100 };
    for (int c = 0; c < 3; c++) {
        linear l;
        bnn_two_level p;
        linear_open(&l, 300);
        p = levels(&l, 1, 1, lowers[c]);
        lower_optimum(&l, 0.3, lowers[c]);
        bnn_params_zero_grad(l.u.w);
        bnn_backward(bnn_two_level_lower(&l.u.tape, &p));
        for (size_t i = 0; i < F + F * F; i++) {
            size_t e = i - F; /* above the diagonal the root is not a parameter */
            if (i >= F && e / F < e % F) continue;
            CHECK_NEAR(l.u.w->grad[i], 0, BUILD_TOL(0.05, 1e-7) * (lowers[c] + 1));
        }
        world_close(&l.u);
    }
}

static void case_1_all_ones_is_the_evidence(void) {
    linear l;
    bnn_two_level p;
    linear_open(&l, 310);
    p = levels(&l, 1, 1, 1);
    for (double a = -4; a <= 4; a += 1.3)
        CHECK_NEAR(-upper_at(&l, &p, a), evidence(&l, a), BUILD_TOL(1e-3, 1e-9));
    world_close(&l.u);
}

/* The total derivative by the implicit theorem against differences of the re-optimized objective;
 * restricted to lower roots, which the Cholesky factor stays in. */
static double total_slope(linear *l, bnn_two_level *p, double a) {
    double h = 1e-4;
    return (upper_at(l, p, a + h) - upper_at(l, p, a - h)) / (2 * h);
}

static double partial_slope(linear *l, bnn_two_level *p, double a) { /* at fixed q */
    double v;
    lower_optimum(l, a, (double)p->kl_lower);
    bnn_params_zero_grad(l->u.a);
    bnn_backward(bnn_two_level_upper(&l->u.tape, p));
    v = (double)l->u.a->grad[0];
    bnn_tape_reset(&l->u.tape);
    return v;
}

static bnn_hypergradient_result implicit_slope(linear *l, bnn_two_level *p, double a) {
    lower_optimum(l, a, (double)p->kl_lower);
    return bnn_hypergradient(&l->u.tape, (bnn_hypergradient_desc){
        .w = l->u.w, .a = l->u.a, .upper = bnn_two_level_upper, .lower = bnn_two_level_lower,
        .user = p, .implicit = 1, .iterations = 200, .tolerance = (float)1e-7 });
}

static void case_2_proportional_coefficients_are_one_level(void) {
    static const double c[3][3] = { { 1, 2, 2 }, { 0.5, 0.05, 0.1 }, { 2, 2, 1 } };
    if (sizeof(float) == 4) return; /* differences of optima need digits */
    for (int k = 0; k < 3; k++) {
        linear l;
        bnn_two_level p;
        double a;
        linear_open(&l, 320);
        p = levels(&l, c[k][0], c[k][1], c[k][2]);
        for (a = -2; a <= 2; a += 1)
            CHECK_NEAR(total_slope(&l, &p, a), partial_slope(&l, &p, a), 1e-5);
        a = best_alpha(&l, &p, -6, 8); /* where the joint objective has slope 0 in q and in h */
        CHECK_NEAR(partial_slope(&l, &p, a), 0, 1e-4);
        world_close(&l.u);
    }
}

static void other_coefficients_are_two_levels_and_the_implicit_gradient_sees_both(void) {
    static const double c[4][3] = { { 1, 0, 1 }, { 1, 1, 0.3 }, { 0, 1, 1 }, { 1, 3, 1 } };
    if (sizeof(float) == 4) return;
    for (int k = 0; k < 4; k++) {
        linear l;
        bnn_two_level p;
        double apart = 0;
        linear_open(&l, 330);
        p = levels(&l, c[k][0], c[k][1], c[k][2]);
        for (double a = -1; a <= 1; a += 1) {
            double want = total_slope(&l, &p, a);
            bnn_hypergradient_result r = implicit_slope(&l, &p, a);
            CHECK_NEAR(l.u.a->grad[0], want, 1e-4 * (1 + fabs(want)));
            CHECK(r.residual < 1e-6);
            apart += fabs(want - partial_slope(&l, &p, a));
        }
        CHECK(apart > 1e-3);
        world_close(&l.u);
    }
}

static void case_3_without_upper_prior_hyperparameters_have_maximum_likelihood(void) {
    linear l;
    bnn_two_level p;
    double a, b;
    linear_open(&l, 340);
    p = levels(&l, 1, 0, 1);
    a = best_alpha(&l, &p, -12, 6); /* no price for q != p: a weaker prior than the evidence's */
    p = levels(&l, 1, 1, 1);
    b = best_alpha(&l, &p, -12, 6);
    CHECK(a < b);
    lower_optimum(&l, b, 1);
    CHECK(evidence(&l, b) > evidence(&l, b + 0.1) && evidence(&l, b) > evidence(&l, b - 0.1));
    world_close(&l.u);
}

static void case_4_without_lower_prior_it_is_least_squares_and_the_upper_level_idles(void) {
    linear l;
    bnn_two_level p;
    double first[F];
    linear_open(&l, 350);
    p = levels(&l, 1, 0, 0);
    lower_optimum(&l, 0, 1e-5);
    for (int j = 0; j < F; j++) first[j] = (double)l.u.w->theta[j];
    lower_optimum(&l, 3, 1e-5); /* q does not feel alpha */
    for (int j = 0; j < F; j++) CHECK_NEAR(l.u.w->theta[j], first[j], 1e-4);
    memset(l.u.w->theta + F, 0, F * F * sizeof(float)); /* the limit: no spread */
    bnn_params_zero_grad(l.u.w);
    bnn_params_zero_grad(l.u.a);
    bnn_backward(bnn_two_level_lower(&l.u.tape, &p));
    for (int j = 0; j < F; j++) CHECK_NEAR(l.u.w->grad[j], 0, BUILD_TOL(0.05, 1e-3));
    bnn_hypergradient(&l.u.tape, (bnn_hypergradient_desc){
        .w = l.u.w, .a = l.u.a, .upper = bnn_two_level_upper, .lower = bnn_two_level_lower,
        .user = &p, .implicit = 1 });
    CHECK(l.u.a->grad[0] == 0);
    CHECK(l.built > 0);
    world_close(&l.u);
}

static void case_5_without_likelihood_it_is_the_least_complexity(void) {
    linear l;
    bnn_two_level p;
    double a, mm = 0, kl;
    linear_open(&l, 360);
    p = levels(&l, 0, 1, 1);
    /* at fixed q: min_h KL(q||p(.|h)) is at alpha = F/E|w|^2 (S3.8) */
    lower_optimum(&l, 0.5, 1);
    for (int i = 0; i < F + F * F; i++) mm += (double)l.u.w->theta[i] * (double)l.u.w->theta[i];
    l.u.a->theta[0] = (float)log(F / mm);
    bnn_params_zero_grad(l.u.a);
    kl = (double)bnn_value(bnn_two_level_upper(&l.u.tape, &p));
    bnn_backward(bnn_two_level_upper(&l.u.tape, &p));
    CHECK_NEAR(l.u.a->grad[0], 0, BUILD_TOL(1e-5, 1e-12));
    /* over both levels it never exceeds the KL of the evidence's optimum */
    a = best_alpha(&l, &p, -4, 12);
    CHECK(upper_at(&l, &p, a) <= kl + 1e-6);
    world_close(&l.u);
}

static void terms_with_coefficient_zero_are_not_built(void) {
    linear l;
    bnn_two_level p;
    linear_open(&l, 370);
    lower_optimum(&l, 0, 1);
    l.built = 0;
    p = levels(&l, 0, 0, 0);
    CHECK(bnn_value(bnn_two_level_upper(&l.u.tape, &p)) == 0 && l.built == 0);
    bnn_two_level_lower(&l.u.tape, &p);
    CHECK(l.built == 1);
    world_close(&l.u);
}

static void case_7_the_objective_is_continuous_in_the_coefficients(void) {
    static const double steps[] = { 1e-2, 1e-3 };
    for (int which = 0; which < 3; which++) {
        double change[2];
        for (int s = 0; s < 2; s++) {
            linear l;
            bnn_two_level p, q;
            double c[3] = { 1, 0.7, 0.9 };
            linear_open(&l, 380);
            p = levels(&l, c[0], c[1], c[2]);
            c[which] += steps[s];
            q = levels(&l, c[0], c[1], c[2]);
            change[s] = fabs(upper_at(&l, &q, 0.2) - upper_at(&l, &p, 0.2));
            world_close(&l.u);
        }
        CHECK(change[0] < 1 && change[1] < 0.2 * change[0] + BUILD_TOL(1e-3, 1e-9));
    }
}

/* S7.19 over X29's grid: at the optimum the complexity KL(q||p) falls as the upper prior grows */
static void complexity_is_monotone_in_the_upper_prior(void) {
    static const double lqs[] = { 0, 0.1, 0.5, 1, 2, 10, 100 }, lls[] = { 0.01, 1, 100 };
    linear l;
    linear_open(&l, 390);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            double before = 1e300;
            for (int k = 0; k < 7; k++) {
                bnn_two_level p = levels(&l, lls[j], lqs[k], lls[i]);
                double a = best_alpha(&l, &p, -8, 8), kl;
                lower_optimum(&l, a, lls[i]);
                kl = (double)bnn_value(linear_kl(&l.u.tape, &l));
                bnn_tape_reset(&l.u.tape);
                CHECK(kl <= before + BUILD_TOL(0.02, 1e-5));
                before = kl;
            }
        }
    world_close(&l.u);
}

/* X'X = e I, so that the slope of Q by alpha is a quadratic: with u = beta e/lL, k = lQ/(lLL lL)
 * and r the mean square of the least-squares weights, its root is the maximum up to k = 2 - 1/ru */
static double orthogonal_alpha(double r, double u, double k) {
    double a = (2 - k) * r * u - 1, b = u * (k * (r * u - 1) - 1), c = -k * u * u;
    return (-b + sqrt(b * b - 4 * a * c)) / (2 * a);
}

static double column_dot(bnn_mat a, size_t i, bnn_mat b, size_t j) {
    double sum = 0;
    for (size_t k = 0; k < a.rows; k++)
        sum += (double)a.data[k * a.cols + i] * (double)b.data[k * b.cols + j];
    return sum;
}

static double orthogonal_open(linear *l, uint64_t seed) { /* Gram and Schmidt, e = N; gives r */
    bnn_mat x;
    double r = 0;
    linear_open(l, seed);
    x = l->data.x;
    for (size_t j = 0; j < F; j++) {
        double scale;
        for (size_t k = 0; k < j; k++) {
            double c = column_dot(x, j, x, k) / N;
            for (size_t i = 0; i < N; i++) x.data[i * F + j] -= (float)c * x.data[i * F + k];
        }
        scale = sqrt(N / column_dot(x, j, x, j));
        for (size_t i = 0; i < N; i++) x.data[i * F + j] *= (float)scale;
        r += pow(column_dot(x, j, l->data.y, 0) / N, 2) / F;
    }
    return r;
}

static void in_an_orthogonal_design_the_upper_optimum_is_the_root_of_a_quadratic(void) {
    static const double lqs[] = { 0, 0.3, 1, 1.5 }, lls[] = { 0.5, 1, 3 }, lowers[] = { 0.5, 1, 2 };
    linear l;
    double r = orthogonal_open(&l, 392);
    for (int i = 0; i < 3; i++) {
        double u = l.beta * N / lowers[i];
        CHECK(r * u > 3);
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 4; k++) { /* lQ in units of the one-level value */
                bnn_two_level p = levels(&l, lls[j], lqs[k] * lls[j] * lowers[i], lowers[i]);
                double a = best_alpha(&l, &p, -6, 8);
                CHECK_NEAR(exp(a) / orthogonal_alpha(r, u, lqs[k]), 1, BUILD_TOL(0.1, 1e-5));
            }
        CHECK_NEAR(orthogonal_alpha(r, u, 1) * (r - 1 / u), 1, 1e-10); /* one level: the evidence */
        CHECK_NEAR(orthogonal_alpha(r, u, 0) * (2 * r - 1 / u), 1, 1e-10);
        CHECK(orthogonal_alpha(r, u, 0) < orthogonal_alpha(r, u, 1));
    }
    world_close(&l.u);
}

/* With lQ = 0 the upper level sees h only through q: the optimum is where q's motion pulls on
 * nothing (v = 0 in the bound below), whatever lLL, and it is not the weakest prior. With many data
 * it is tr S/(2 m'S m), S = (X'X)^-1, m the least squares; the evidence's is F/m'm. */
static void without_upper_prior_the_optimum_is_where_the_posterior_stops_helping(void) {
    linear l;
    double a[2], trace = 0, quad = 0;
    linear_open(&l, 394);
    for (int k = 0; k < 2; k++) {
        bnn_two_level p = levels(&l, k ? 5 : 1, 0, 1);
        a[k] = best_alpha(&l, &p, -8, 8);
        CHECK(a[k] > -7 && a[k] < 7);
        CHECK(upper_at(&l, &p, a[k]) < upper_at(&l, &p, -8)); /* losses: a weak prior is worse */
        CHECK(upper_at(&l, &p, a[k]) < upper_at(&l, &p, 8));
        CHECK_SAME(partial_slope(&l, &p, a[k]), 0);
        implicit_slope(&l, &p, a[k]);
        CHECK_NEAR(l.u.a->grad[0], 0, BUILD_TOL(0.05, 1e-6) * (k ? 5 : 1));
    }
    CHECK_NEAR(a[0], a[1], BUILD_TOL(0.1, 1e-4));
    for (size_t i = 0; i < N * F; i++) l.data.x.data[i] *= 30; /* as 900 times the data */
    for (size_t i = 0; i < N; i++) l.data.y.data[i] *= 30;
    lower_optimum(&l, -20, 1);
    for (size_t j = 0; j < F; j++) { /* cov = R R', m'cov m = |R'm|^2 */
        double s = 0;
        for (size_t i = 0; i < F; i++) {
            double root = (double)l.u.w->theta[F + i * F + j];
            s += root * (double)l.u.w->theta[i];
            trace += root * root;
        }
        quad += s * s;
    }
    if (sizeof(float) == sizeof(double)) { /* nearly flat: float does not see the maximum */
        bnn_two_level p = levels(&l, 1, 0, 1);
        CHECK_NEAR(exp(best_alpha(&l, &p, -8, 8)) / (trace / (2 * quad)), 1, 1e-2);
    }
    world_close(&l.u);
}

/* S7.19: at an inner optimum grad_h Q at fixed q = lL (lQ - lLL lL) v, v = (grad2_qh KL)' (grad2_q
 * Lq)^-1 grad_q KL, and lL v is what the motion of q adds to d KL/dh; the least complexity, min_h
 * KL(q||p), of a larger lQ exceeds that of a smaller one by at most |grad_h KL| times the range */
static double least_kl(linear *l) { /* of the q in the parameters */
    double square = 0, logdet = 0;
    for (size_t i = 0; i < F + F * F; i++)
        square += (double)l->u.w->theta[i] * (double)l->u.w->theta[i];
    for (size_t j = 0; j < F; j++) logdet -= 2 * log((double)l->u.w->theta[F + j * F + j]);
    return (F * log(square / F) + logdet) / 2;
}

static void the_gain_of_least_complexity_is_bounded_by_the_slope(void) {
    static const double lqs[] = { 0, 0.1, 0.5, 1, 1.5 };
    linear l;
    if (sizeof(float) == 4) return; /* differences of optima need digits */
    linear_open(&l, 396);
    for (int i = 0; i < 3; i++) {
        double lower = i == 0 ? 0.3 : i, least = 0, most = 0;
        for (int k = 0; k < 5; k++) {
            bnn_two_level p = levels(&l, 1, lqs[k] * lower, lower), kl = levels(&l, 0, 1, lower);
            double a = best_alpha(&l, &p, -8, 8), slope = partial_slope(&l, &kl, a);
            double v = (total_slope(&l, &kl, a) - slope) / lower;
            CHECK(a > -7.9 && a < 7.9);
            CHECK_NEAR(-lqs[k] * lower * slope, lower * (lqs[k] - 1) * lower * v, 2e-5);
            if (lqs[k] == 0) CHECK_NEAR(v, 0, 2e-5);
            if (lqs[k] == 1) CHECK_NEAR(slope, 0, 2e-5); /* one level */
            lower_optimum(&l, a, lower);
            if (k > 0) CHECK(least_kl(&l) - least <= most * 16 + 1e-6);
            CHECK(least_kl(&l) <= upper_at(&l, &kl, a) + 1e-9);
            lower_optimum(&l, a, lower);
            least = least_kl(&l), most = fabs(slope);
        }
    }
    world_close(&l.u);
}

/* S5.15, S7.16: lL = 1/k is k copies of the data */
static void replicating_the_data_is_dividing_the_lower_prior(void) {
    enum { COPIES = 4 };
    linear l;
    bnn_data many;
    bnn_mat mean, cov;
    double alpha[F] = { 1.3, 1.3, 1.3 };
    linear_open(&l, 400);
    many.x = bnn_mat_new(&l.u.mem, N * COPIES, F);
    many.y = bnn_mat_new(&l.u.mem, N * COPIES, 1);
    for (int c = 0; c < COPIES; c++) {
        memcpy(many.x.data + c * N * F, l.data.x.data, N * F * sizeof(float));
        memcpy(many.y.data + c * N, l.data.y.data, N * sizeof(float));
    }
    mean = bnn_mat_new(&l.u.mem, F, 1);
    cov = bnn_mat_new(&l.u.mem, F, F);
    bnn_linear_evidence(&l.u.mem, mean, cov, many, alpha, l.beta);
    lower_optimum(&l, log(1.3), 1.0 / COPIES);
    for (int j = 0; j < F; j++) CHECK_NEAR(l.u.w->theta[j], mean.data[j], TIGHT);
    bnn_mat_cholesky(cov, cov, NULL);
    for (int j = 0; j < F * F; j++) CHECK_NEAR(l.u.w->theta[F + j], cov.data[j], TIGHT);
    world_close(&l.u);
}

static void a_monte_carlo_upper_level_agrees_within_its_error(void) { /* S7.16 */
    enum { R = 4000 };
    linear l;
    double exact, mean = 0, square = 0;
    bnn_var *w, *f;
    bnn_mat m;
    linear_open(&l, 410);
    lower_optimum(&l, 0.2, 1);
    exact = (double)bnn_value(linear_log_lik(&l.u.tape, &l));
    m = noise(&l.u, R, F);
    w = bnn_matmul(bnn_input(&l.u.tape, m), bnn_transpose(bnn_param(&l.u.tape, l.u.w, 1)));
    w = bnn_add(w, bnn_transpose(bnn_param(&l.u.tape, l.u.w, 0)));
    f = bnn_matmul(w, bnn_transpose(bnn_input(&l.u.tape, l.data.x)));
    f = bnn_rowsum(bnn_square(bnn_sub(f, bnn_transpose(bnn_input(&l.u.tape, l.data.y)))));
    for (size_t i = 0; i < R; i++) {
        double v = N / 2.0 * log(l.beta / (2 * BNN__PI)) - l.beta / 2 * at(f, i, 0);
        mean += v / R, square += v * v / R;
    }
    CHECK_NEAR(mean, exact, Z * sqrt((square - mean * mean) / R));
    world_close(&l.u);
}

/* ---- the structural regularizer (S7.17 (6), X31) */

typedef struct triangle {
    world u;
    double odds[3][3];
    size_t n;
} triangle;

static bnn_var *triangle_kl(bnn_tape *t, void *user, size_t j) { /* KL(GS(s)||GS(s_j)), tau = 1 */
    triangle *r = (triangle *)user;
    bnn_mat rows = bnn_mat_new(&t->mem, r->n, 1), prior = bnn_mat_new(&t->mem, 1, 3);
    bnn_var *la = bnn_add(bnn_input(t, rows), bnn_param(t, r->u.a, 0));
    bnn_var *y = bnn_log_gumbel_softmax(la, 1);
    for (int k = 0; k < 3; k++) prior.data[k] = (float)log(r->odds[j][k]);
    return bnn_mean(bnn_sub(bnn_concrete_log_prob(y, la, 1),
                            bnn_concrete_log_prob(y, bnn_input(t, prior), 1)));
}

static double pulled_to(triangle *r, const float *coefficients, double s0, double s1, double s2) {
    bnn_two_level p = { .structure = coefficients, .n_structure = 3, .kl_structure = triangle_kl,
                        .user = r };
    double v, s[3] = { s0, s1, s2 };
    for (int k = 0; k < 3; k++) r->u.a->theta[k] = (float)log(s[k]);
    r->u.tape.rng = bnn_rng_seed(build_seed(7)); /* common numbers: a smooth comparison */
    v = (double)bnn_value(bnn_two_level_upper(&r->u.tape, &p));
    bnn_tape_reset(&r->u.tape);
    return v;
}

static void case_6_structure_terms_pull_to_and_push_from_given_structures(void) {
    static const float none[3] = { 0, 0, 0 }, one[3] = { 1, 0, 0 }, two[3] = { 1, 1, 0 };
    static const float away[3] = { -1, 0, 0 };
    triangle r;
    double v1, v2, v3, middle;
    memset(&r, 0, sizeof r);
    world_open(&r.u, 420);
    bnn_params_add(r.u.a, 1, 3, "s", flat);
    r.n = 20000;
    for (int j = 0; j < 3; j++)
        for (int k = 0; k < 3; k++) r.odds[j][k] = j == k ? 0.95 : 0.05;
    CHECK(pulled_to(&r, none, 0.95, 0.05, 0.05) == 0 && pulled_to(&r, none, 0.3, 0.3, 0.3) == 0);
    v1 = pulled_to(&r, one, 0.95, 0.05, 0.05);
    v2 = pulled_to(&r, one, 0.05, 0.95, 0.05);
    CHECK_NEAR(v1, 0, 1e-5);
    CHECK(v2 > pulled_to(&r, one, 0.33, 0.33, 0.33) && pulled_to(&r, one, 0.33, 0.33, 0.33) > v1);
    CHECK(pulled_to(&r, away, 0.05, 0.95, 0.05) < pulled_to(&r, away, 0.95, 0.05, 0.05));
    v1 = pulled_to(&r, two, 0.95, 0.05, 0.05);
    v2 = pulled_to(&r, two, 0.05, 0.95, 0.05);
    v3 = pulled_to(&r, two, 0.05, 0.05, 0.95);
    middle = pulled_to(&r, two, 0.48, 0.48, 0.05);
    CHECK_NEAR(middle, 2.8, 0.15); /* se of the sum of two means of 20000: 0.02 */
    CHECK_NEAR(v1, 4.9, 0.2);
    CHECK_NEAR(v2, 4.9, 0.2);
    CHECK(v3 > v1 && v3 > v2);
    world_close(&r.u);
}

/* ---- relevance */

static bnn_data features(world *u, size_t n, size_t d, size_t useful, double sd) {
    bnn_data data;
    data.x = noise(u, n, d);
    data.y = noise(u, n, 1);
    for (size_t i = 0; i < n; i++) {
        data.y.data[i] *= (float)sd;
        for (size_t j = 0; j < useful; j++)
            data.y.data[i] += data.x.data[i * d + j] * (float)(j % 2 ? -1.5 : 1);
    }
    return data;
}

/* ln N(y; 0, X diag(1/alpha) X' + I/beta) */
static void evidence_is_the_density_of_the_data(void) {
    enum { ROWS = 6, COLS = 4 };
    world u;
    bnn_data d;
    bnn_mat c, y, none = { 0, 0, NULL };
    double alpha[COLS] = { 0.5, 2, 1, 4 }, beta = 3, quad = 0, want;
    world_open(&u, 500);
    d = features(&u, ROWS, COLS, 2, 0.5);
    c = bnn_mat_new(&u.mem, ROWS, ROWS);
    y = bnn_mat_new(&u.mem, ROWS, 1);
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < ROWS; j++) {
            double s = i == j ? 1 / beta : 0;
            for (size_t k = 0; k < COLS; k++)
                s += (double)d.x.data[i * COLS + k] * (double)d.x.data[j * COLS + k] / alpha[k];
            c.data[i * ROWS + j] = (float)s;
        }
    CHECK(bnn_mat_cholesky(c, c, NULL) == BNN_OK);
    bnn_mat_solve_lower(y, c, d.y);
    for (size_t i = 0; i < ROWS; i++) quad += (double)y.data[i] * (double)y.data[i];
    want = -(ROWS * BNN__LN_2PI + bnn_mat_logdet_chol(c) + quad) / 2;
    CHECK_NEAR(bnn_linear_evidence(&u.mem, none, none, d, alpha, beta), want,
               BUILD_TOL(1e-3, 1e-11));
    world_close(&u);
}

static void the_gradient_of_the_evidence_is_its_formula(void) {
    world u;
    bnn_data d;
    bnn_mat mean, cov, none = { 0, 0, NULL };
    double alpha[4] = { 0.5, 2, 1, 40 }, beta = 3;
    world_open(&u, 510);
    d = features(&u, 30, 4, 2, 0.5);
    mean = bnn_mat_new(&u.mem, 4, 1);
    cov = bnn_mat_new(&u.mem, 4, 4);
    bnn_linear_evidence(&u.mem, mean, cov, d, alpha, beta);
    for (size_t j = 0; j < 4; j++) {
        double keep = alpha[j], h = 1e-4, up, down;
        double m = (double)mean.data[j], want = (1 - keep * ((double)cov.data[j * 5] + m * m)) / 2;
        alpha[j] = keep * exp(h);
        up = bnn_linear_evidence(&u.mem, none, none, d, alpha, beta);
        alpha[j] = keep * exp(-h);
        down = bnn_linear_evidence(&u.mem, none, none, d, alpha, beta);
        alpha[j] = keep;
        CHECK_NEAR((up - down) / (2 * h), want, BUILD_TOL(1e-5, 1e-7));
    }
    world_close(&u);
}

static void ard_finds_the_maximum_of_the_evidence_and_prunes_what_does_not_matter(void) {
    enum { COLS = 10, USEFUL = 3 };
    int kept_useful = 0, pruned = 0;
    for (int c = 0; c < 10; c++) {
        world u;
        bnn_data d;
        bnn_mat mean, none = { 0, 0, NULL };
        double alpha[COLS], beta = 1, top;
        world_open(&u, 520 + (uint64_t)c);
        d = features(&u, 60, COLS, USEFUL, 0.5);
        mean = bnn_mat_new(&u.mem, COLS, 1);
        for (int j = 0; j < COLS; j++) alpha[j] = 1;
        top = bnn_linear_ard(&u.mem, mean, none, d, alpha, &beta, 1, 0);
        for (size_t j = 0; j < COLS; j++) {
            double keep = alpha[j];
            int gone = keep >= 1e12;
            if (j < USEFUL) kept_useful += !gone;
            else pruned += gone;
            if (gone) CHECK(mean.data[j] == 0);
            for (int s = gone ? -24 : -3; s <= (gone ? -1 : 3); s++) { /* nothing is better */
                alpha[j] = keep * exp(gone ? s : 0.3 * s);
                CHECK(bnn_linear_evidence(&u.mem, none, none, d, alpha, beta) <=
                      top + BUILD_TOL(1e-4, 1e-8));
            }
            alpha[j] = keep * exp(1e-3);
            if (!gone) { /* and it is a stationary point */
                double up = bnn_linear_evidence(&u.mem, none, none, d, alpha, beta);
                alpha[j] = keep * exp(-1e-3);
                CHECK_NEAR(up, bnn_linear_evidence(&u.mem, none, none, d, alpha, beta), 1e-5);
            }
            alpha[j] = keep;
        }
        CHECK_NEAR(sqrt(1 / beta), 0.5, 4 * 0.5 / sqrt(2 * 57.0));
        CHECK(bnn_linear_evidence(&u.mem, none, none, d, alpha, beta * 1.01) <= top + 1e-3);
        world_close(&u);
    }
    CHECK(kept_useful == 10 * USEFUL);
    CHECK(pruned > 40); /* of 70: each irrelevant feature is pruned with probability about 0.7 */
}

/* All 2^4 subsets of features, exact evidence each: the best one is what generated the data */
static void enumerating_structures_by_evidence_finds_the_generator(void) {
    int right = 0;
    for (int c = 0; c < 10; c++) {
        world u;
        bnn_data d;
        bnn_mat none = { 0, 0, NULL };
        double best = -1e300, total = 0, p[16], first = 0;
        int chosen = 0;
        world_open(&u, 540 + (uint64_t)c);
        d = features(&u, 60, 4, 2, 0.5);
        for (int m = 0; m < 16; m++) {
            double alpha[4];
            for (int j = 0; j < 4; j++) alpha[j] = (m >> j & 1) ? 1 : 1e12;
            p[m] = bnn_linear_evidence(&u.mem, none, none, d, alpha, 4);
            if (p[m] > best) best = p[m], chosen = m;
        }
        for (int m = 0; m < 16; m++) total += exp(p[m] - best);
        for (int m = 0; m < 16; m++) first += (m & 1) ? exp(p[m] - best) / total : 0;
        CHECK(first > 0.99); /* the posterior that the first feature belongs */
        right += chosen == 3;
        world_close(&u);
    }
    CHECK(right >= 7); /* BIC-like errors: about 1 in 10 adds a feature */
}

static void ard_of_targets_without_noise_has_an_evidence(void) {
    world u;
    bnn_data d;
    bnn_mat mean, none = { 0, 0, NULL };
    world_open(&u, 570);
    mean = bnn_mat_new(&u.mem, 2, 1);
    for (size_t n = 0; n <= 8; n++) { /* none, fewer than features, as many, more */
        double alpha[2] = { 1, 1 }, beta = 1;
        d.x = bnn_mat_new(&u.mem, n, 2), d.y = bnn_mat_new(&u.mem, n, 1);
        for (size_t i = 0; i < n; i++) {
            d.x.data[2 * i] = (float)i, d.x.data[2 * i + 1] = (float)(i % 3);
            d.y.data[i] = (float)(2 * i + i % 3);
        }
        CHECK(bnn__finite_d(bnn_linear_ard(&u.mem, mean, none, d, alpha, &beta, 1, 0)));
        CHECK(beta > 0 && bnn__finite_d(beta));
        if (n < 4) continue;
        CHECK_NEAR(mean.data[0], 2, 1e-6);
        CHECK_NEAR(mean.data[1], 1, 1e-6);
    }
    world_close(&u);
}

static void linear_evidence_refuses_what_does_not_fit(void) {
    world u;
    bnn_data d;
    bnn_mat none = { 0, 0, NULL }, wrong;
    double alpha[3] = { 1, 1, -1 };
    world_open(&u, 560);
    d = features(&u, 10, 3, 1, 1);
    wrong = bnn_mat_new(&u.mem, 2, 1);
    CHECK(!bnn__finite_d(bnn_linear_evidence(&u.mem, none, none, d, alpha, 1)));
    alpha[2] = 1;
    CHECK(!bnn__finite_d(bnn_linear_evidence(&u.mem, none, none, d, alpha, 0)));
    CHECK(!bnn__finite_d(bnn_linear_evidence(&u.mem, wrong, none, d, alpha, 1)));
    CHECK(bnn__finite_d(bnn_linear_evidence(&u.mem, none, none, d, alpha, 1)));
    d.y.rows = 9;
    CHECK(!bnn__finite_d(bnn_linear_evidence(&u.mem, none, none, d, alpha, 1)));
    world_close(&u);
}

/* S7.26, S3.8: the update is the optimum of the sum of KL over each group */
static void ard_updates_are_the_optimum_of_each_group(void) {
    static const size_t shapes[4][2] = { { 4, 3 }, { 4, 1 }, { 1, 3 }, { 1, 1 } };
    for (int c = 0; c < 4; c++) {
        world u;
        bnn_mat mean, sd, v;
        world_open(&u, 570);
        mean = noise(&u, 4, 3);
        sd = noise(&u, 4, 3);
        for (int i = 0; i < 12; i++) sd.data[i] = (float)exp((double)sd.data[i]);
        v = bnn_mat_new(&u.mem, shapes[c][0], shapes[c][1]);
        CHECK(bnn_ard_update(v, mean, sd, 0) == BNN_OK);
        for (int s = 0; s < 3; s++) { /* KL at v, above and below */
            bnn_params *p = bnn_params_new(&u.mem);
            bnn_var *r, *kl;
            bnn_params_add(p, v.rows, v.cols, "v", flat);
            for (size_t i = 0; i < p->n; i++)
                p->theta[i] = (float)log((double)v.data[i]) + (float)(0.1 * (s - 1));
            r = bnn_exp(bnn_scale(bnn_param(&u.tape, p, 0), (float)-0.5));
            kl = bnn_sum(bnn_kl_standard_normal(bnn_mul(bnn_input(&u.tape, mean), r),
                                       bnn_mul(bnn_input(&u.tape, sd), r)));
            bnn_backward(kl);
            for (size_t i = 0; i < p->n; i++) {
                if (s == 1) CHECK_NEAR(p->grad[i], 0, TIGHT * 10);
                else CHECK(s == 0 ? p->grad[i] < 0 : p->grad[i] > 0);
            }
        }
        CHECK(bnn_ard_update(noise(&u, 2, 2), mean, sd, 0) == BNN_ESHAPE);
        world_close(&u);
    }
}

static void fast_ard_updates_have_the_fixed_point_of_the_evidence(void) { /* groups of one: S3.12 */
    enum { COLS = 4 };
    world u;
    bnn_data d;
    bnn_mat mean, cov, sd, v, none = { 0, 0, NULL };
    double alpha[COLS] = { 1, 1, 1, 1 }, best[COLS], beta = 4;
    world_open(&u, 580);
    d = features(&u, 80, COLS, COLS, 0.5);
    mean = bnn_mat_new(&u.mem, COLS, 1);
    cov = bnn_mat_new(&u.mem, COLS, COLS);
    sd = bnn_mat_new(&u.mem, COLS, 1);
    v = bnn_mat_new(&u.mem, COLS, 1);
    memcpy(best, alpha, sizeof best);
    bnn_linear_ard(&u.mem, none, none, d, best, &beta, 0, 0);
    bnn_mat_fill(v, 1);
    for (int s = 0; s < 50; s++) {
        for (int j = 0; j < COLS; j++) alpha[j] = 1 / (double)v.data[j];
        bnn_linear_evidence(&u.mem, mean, cov, d, alpha, beta);
        for (int j = 0; j < COLS; j++) sd.data[j] = (float)sqrt((double)cov.data[j * COLS + j]);
        CHECK(bnn_ard_update(v, mean, sd, 1) == BNN_OK);
    }
    for (int j = 0; j < COLS; j++)
        CHECK_NEAR(1 / (double)v.data[j] / best[j], 1, BUILD_TOL(1e-3, 1e-5));
    world_close(&u);
}

/* S7.15: the KL to N(0, gamma^2/A) feels only gamma A^-1/2; S7.20: rho -> 1 as the complexity at
 * the best prior, ln(1 + mu^2/s^2)/2, goes to 0 */
static void a_structured_prior_is_a_scale_and_complexity_bounds_the_density_ratio(void) {
    for (double mu = 0; mu < 3; mu += 0.37) {
        double s = 0.6, gamma = 0.3, a = 2.5, v = gamma * gamma / a;
        double want = ((s * s + mu * mu) / v - 1 + log(v / (s * s))) / 2;
        double best = log1p(mu * mu / (s * s)) / 2, rho = exp(-mu * mu / (2 * s * s));
        bnn_tape t = { .err = 0 };
        double r = sqrt(a) / gamma, swapped = 1 / (gamma * (1 / sqrt(a)));
        bnn_var *m = bnn_scalar(&t, (float)(mu * r)), *d = bnn_scalar(&t, (float)(s * r));
        CHECK_NEAR(bnn_value(bnn_kl_standard_normal(m, d)), want, TIGHT * (1 + want));
        CHECK_NEAR(r, swapped, 1e-12);
        CHECK(best <= want + 1e-12);
        CHECK_NEAR(best, log1p(-2 * log(rho)) / 2, 1e-12); /* one is a function of the other */
        if (mu == 0) CHECK(rho == 1 && best == 0);
        bnn_tape_free(&t);
    }
}

static void dropping_inputs_shrinks_the_net_and_keeps_its_function(void) {
    world u;
    bnn_net net, small;
    bnn_data d, fewer;
    unsigned char keep[4] = { 1, 0, 0, 1 }, nothing[4] = { 0, 0, 0, 0 };
    bnn_var *f, *g;
    world_open(&u, 600);
    d = features(&u, 20, 4, 4, 1);
    net = bnn_mlp(u.w, (bnn_mlp_desc){ .sizes = { 4, 6, 1 }, .activation = BNN_TANH,
                                       .noise_std = (float)0.3, .noise_learned = 1 });
    bnn_net_standardize(&net, d);
    small = bnn_mlp_keep_inputs(u.a, &net, keep);
    CHECK(small.params == u.a && u.w->n - u.a->n == 12 && small.scaling.x_mean.cols == 2);
    fewer.x = bnn_mat_new(&u.mem, 20, 2);
    fewer.y = d.y;
    for (size_t i = 0; i < 20; i++) {
        d.x.data[i * 4 + 1] = net.scaling.x_mean.data[1]; /* at the mean: nothing comes in */
        d.x.data[i * 4 + 2] = net.scaling.x_mean.data[2];
        fewer.x.data[i * 2] = d.x.data[i * 4];
        fewer.x.data[i * 2 + 1] = d.x.data[i * 4 + 3];
    }
    f = bnn_net_nll(&net, bnn_batch_all(&u.tape, d));
    g = bnn_net_nll(&small, bnn_batch_all(&u.tape, fewer));
    CHECK_NEAR(bnn_value(f), bnn_value(g), TIGHT);
    CHECK(bnn_mlp_keep_inputs(bnn_params_new(&u.mem), &net, nothing).params == NULL);
    CHECK(u.mem.err == BNN_EARG && strstr(u.mem.msg, "no input is left") != NULL);
    u.mem.err = BNN_OK;
    world_close(&u);
}

/* ---- memory that ends */

typedef struct shortage {
    size_t left;
    int live;
} shortage;

static void *short_alloc(void *user, void *ptr, size_t old_size, size_t new_size) {
    shortage *s = (shortage *)user;
    (void)old_size;
    if (new_size == 0) {
        if (ptr != NULL) s->live--;
        free(ptr);
        return NULL;
    }
    if (s->left == 0) return NULL;
    s->left--;
    if (ptr == NULL) s->live++;
    return realloc(ptr, new_size);
}

static bnn_var *whole_lower(bnn_tape *t, void *user) {
    world *u = (world *)user;
    return bnn_scale(bnn_add(bnn_prior_nll(t, u->w), bnn_prior_nll(t, u->a)), 1);
}

/* A graph with wide layers takes chunk after chunk; allocation n fails, for every n */
static void every_failed_allocation_is_an_error_without_a_crash_or_a_leak(void) {
    static const bnn_candidate wide[3] = { { "tanh", bnn_tanh, 90 }, { "sin", bnn_sin, 90 },
                                           { "none", bnn_zero, 90 } };
    int done = 0;
    for (size_t n = 0; n < 60 && !done; n++) {
        world u;
        shortage s = { n, 0 };
        bnn_edge edges[3] = { { 0, 1, wide, 3 }, { 1, 2, wide, 3 }, { 2, 3, readout, 1 } };
        bnn_params *v;
        bnn_net net, small;
        float x[40];
        memset(&u, 0, sizeof u);
        memset(x, 0, sizeof x);
        u.mem.alloc = (bnn_alloc){ short_alloc, &s };
        u.tape.mem.alloc = u.mem.alloc;
        u.w = bnn_params_new(&u.mem);
        u.a = u.w != NULL ? bnn_params_new(&u.mem) : NULL;
        v = u.a != NULL ? bnn_params_new(&u.mem) : NULL;
        if (v != NULL) {
            net = bnn_graph(u.w, u.a, (bnn_graph_desc){ .inputs = 4, .noise_std = 1, .edges = edges,
                                                        .n_edges = 3,
                                                        .gamma = BNN_GAMMA_GUMBEL });
            CHECK((net.params == NULL) == (u.mem.err != BNN_OK));
            if (net.params != NULL) {
                net.forward(&u.tape, &net, bnn_input(&u.tape, (bnn_mat){ 10, 4, x }));
                bnn_hypergradient(&u.tape, (bnn_hypergradient_desc){
                    .w = u.w, .a = u.a, .upper = whole_lower, .lower = whole_lower, .user = &u,
                    .implicit = 1 });
                small = bnn_graph_extract(v, &net);
                CHECK((small.params == NULL) == (u.mem.err != BNN_OK));
            }
        }
        done = u.mem.err == BNN_OK && u.tape.err == BNN_OK;
        CHECK(done || u.mem.err == BNN_ENOMEM || u.tape.err == BNN_ENOMEM);
        bnn_tape_free(&u.tape);
        bnn_arena_free(&u.mem);
        CHECK(s.live == 0);
    }
    CHECK(done);
}

/* ---- the classical alternatives, in the small */

static void a_controller_finds_the_best_arm_and_ignores_equal_ones(void) { /* S7.25 */
    static const double rewards[3] = { 0.2, 1, 0.5 };
    for (int equal = 0; equal < 2; equal++) {
        world u;
        bnn_stepper sgd;
        double p[3], sum = 0;
        world_open(&u, 620);
        bnn_params_add(u.a, 1, 3, "choice", flat);
        sgd = bnn_sgd(u.a, (bnn_sgd_desc){ .lr = (float)0.5 });
        for (int s = 0; s < 800; s++) {
            bnn_var *rows, *pick, *logits, *f, *lp;
            bnn_tape_reset(&u.tape);
            rows = bnn_zero(bnn_op(&u.tape, 8, 1, NULL, 0, NULL));
            logits = bnn_add(rows, bnn_param(&u.tape, u.a, 0));
            pick = bnn_categorical(logits);
            f = bnn_op(&u.tape, 8, 1, NULL, 0, NULL);
            for (size_t i = 0; i < 8; i++)
                f->val.data[i] = (float)(equal ? -1 : -rewards[bnn_mat_row_argmax(pick->val, i)]);
            lp = bnn_rowsum(bnn_mul(pick, bnn_log_softmax(logits)));
            bnn_backward(bnn_score_function(f, lp, NULL));
            bnn_step(&sgd, &u.tape);
        }
        for (int k = 0; k < 3; k++) sum += p[k] = exp((double)u.a->theta[k]);
        if (equal) CHECK_NEAR(p[1] / sum, 1.0 / 3, 1e-5);
        else CHECK(p[1] / sum > 0.99);
        world_close(&u);
    }
}

/* S7.24: with c = +-1 and Phi = exp the best step of AdaNet's objective is in closed form */
static void a_boosting_step_has_its_closed_form(void) {
    static const double es[] = { 0.1, 0.3, 0.45 }, penalties[] = { 0, 0.05, 0.3 };
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            double e = es[i], g = penalties[j], z = 1.7, best = 0, low = 1e300, closed = 0, slope;
            slope = z * (2 * e - 1); /* of the first term at 0: within the penalty no step */
            if (fabs(slope) > g)
                closed = log((-g + sqrt(g * g + 4 * z * z * e * (1 - e))) / (2 * z * e));
            for (double s = 0; s < 3; s += 1e-4) {
                double f = z * ((1 - e) * exp(-s) + e * exp(s)) + g * s;
                if (f < low) low = f, best = s;
            }
            CHECK_NEAR(best, closed, 2e-4);
        }
}

int main(void) {
    RUN(a_graph_is_its_formula);
    RUN(a_one_hot_gamma_is_the_plain_net_bit_for_bit);
    RUN(graphs_have_the_gradient_of_finite_differences_in_every_mode);
    RUN(aggregates_sum_average_multiply_and_join);
    RUN(the_cube_has_8_models_and_the_simplex_3);
    RUN(hard_draws_are_vertices_with_the_gradient_of_soft_ones);
    RUN(a_mixture_of_equal_logits_is_the_mean);
    RUN(projection_onto_the_simplex_meets_its_conditions);
    RUN(bad_graphs_are_refused_by_the_name_of_the_edge_or_node);
    RUN(a_temperature_assigned_badly_fails_on_the_tape);
    RUN(extraction_gives_the_same_function_with_fewer_parameters);
    RUN(extraction_drops_absent_edges_and_the_nodes_behind_them);
    RUN(extraction_drops_an_absent_edge_that_is_the_first);
    RUN(loss_predict_and_distill_take_a_graph);
    RUN(the_search_does_not_allocate_after_its_first_step);
    RUN(the_useful_operation_is_found_and_the_posterior_repeats);
    RUN(probabilities_are_means_of_softmax_over_the_samples);
    RUN(hypergradients_of_quadratics_are_exact);
    RUN(the_projection_keeps_its_digits_at_large_values);
    RUN(the_mixed_difference_fits_the_scale_of_the_weights);
    RUN(the_implicit_hypergradient_is_that_of_full_reoptimization);
    RUN(unrolling_many_steps_converges_to_the_implicit_hypergradient);
    RUN(a_newton_step_makes_the_second_order_implicit);
    RUN(first_second_and_implicit_hypergradients_find_the_sine);
    RUN(an_indefinite_hessian_is_damped_and_said_so);
    RUN(too_few_iterations_return_the_residual);
    RUN(nothing_to_pull_on_is_skipped_and_bad_input_refused);
    RUN(the_lower_level_is_at_rest_at_the_conjugate_posterior);
    RUN(case_1_all_ones_is_the_evidence);
    RUN(case_2_proportional_coefficients_are_one_level);
    RUN(other_coefficients_are_two_levels_and_the_implicit_gradient_sees_both);
    RUN(case_3_without_upper_prior_hyperparameters_have_maximum_likelihood);
    RUN(case_4_without_lower_prior_it_is_least_squares_and_the_upper_level_idles);
    RUN(case_5_without_likelihood_it_is_the_least_complexity);
    RUN(terms_with_coefficient_zero_are_not_built);
    RUN(case_6_structure_terms_pull_to_and_push_from_given_structures);
    RUN(case_7_the_objective_is_continuous_in_the_coefficients);
    RUN(complexity_is_monotone_in_the_upper_prior);
    RUN(in_an_orthogonal_design_the_upper_optimum_is_the_root_of_a_quadratic);
    RUN(without_upper_prior_the_optimum_is_where_the_posterior_stops_helping);
    RUN(the_gain_of_least_complexity_is_bounded_by_the_slope);
    RUN(replicating_the_data_is_dividing_the_lower_prior);
    RUN(a_monte_carlo_upper_level_agrees_within_its_error);
    RUN(evidence_is_the_density_of_the_data);
    RUN(the_gradient_of_the_evidence_is_its_formula);
    RUN(ard_finds_the_maximum_of_the_evidence_and_prunes_what_does_not_matter);
    RUN(enumerating_structures_by_evidence_finds_the_generator);
    RUN(ard_of_targets_without_noise_has_an_evidence);
    RUN(linear_evidence_refuses_what_does_not_fit);
    RUN(ard_updates_are_the_optimum_of_each_group);
    RUN(fast_ard_updates_have_the_fixed_point_of_the_evidence);
    RUN(a_structured_prior_is_a_scale_and_complexity_bounds_the_density_ratio);
    RUN(dropping_inputs_shrinks_the_net_and_keeps_its_function);
    RUN(every_failed_allocation_is_an_error_without_a_crash_or_a_leak);
    RUN(a_controller_finds_the_best_arm_and_ignores_equal_ones);
    RUN(a_boosting_step_has_its_closed_form);
    return check_done();
}
