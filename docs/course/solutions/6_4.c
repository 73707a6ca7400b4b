/* 6_4.c -- lecture 6, exercise 4: does the net need a direct edge? Searched with a price for the
 * edge; then both discrete nets are trained alone, as a check.
 *     cc -O2 -I. docs/course/solutions/6_4.c -o s -lm && ./s */
#include "../course.h"

enum { ROWS = 200, WARM = 300, SEARCH = 500 };
static const bnn_candidate layer[1] = { { "tanh", bnn_tanh, 1 } }, out[1] = { { "out", NULL, 1 } };
static const bnn_candidate direct[2] = { { "none", bnn_zero, 1 }, { "line", NULL, 1 } };
static const bnn_edge edges[3] = { { 0, 1, layer, 1 }, { 1, 2, out, 1 }, { 0, 2, direct, 2 } };
static const bnn_edge with[3] = { { 0, 1, layer, 1 }, { 1, 2, out, 1 }, { 0, 2, direct + 1, 1 } };

typedef struct { bnn_net net; bnn_params *w, *a; bnn_data train, valid; float price; } search;

static bnn_var *lower(bnn_tape *t, void *user) {
    search *s = user;
    return bnn_net_loss(&s->net, bnn_batch_all(t, s->train));
}
static bnn_var *upper(bnn_tape *t, void *user) { /* the price is per row, in nats */
    search *s = user;
    bnn_var *edge = bnn_cols(bnn_softmax(bnn_param(t, s->a, 0)), 1, 1);
    return bnn_add(bnn_net_nll(&s->net, bnn_batch_all(t, s->valid)),
                   bnn_scale(bnn_sum(edge), s->price));
}

static bnn_graph_desc graph(const bnn_edge *e, size_t n) {
    return (bnn_graph_desc){ .inputs = 1, .edges = e, .n_edges = n, .noise_std = 0.2f, .seed = 4 };
}

static double learned(bnn_arena *mem, bnn_tape *t, search s) { /* P(edge) */
    float p[2] = { 0, 0 };
    s.w = bnn_params_new(mem), s.a = bnn_params_new(mem);
    s.net = bnn_graph(s.w, s.a, graph(edges, 3));
    bnn_stepper move_w = bnn_adam(s.w, (bnn_adam_desc){ .lr = 0.03f });
    bnn_stepper move_a = bnn_adam(s.a, (bnn_adam_desc){ .lr = 0.02f });
    for (int k = 0; k < WARM + SEARCH && !mem->err; k++) {
        bnn_tape_reset(t);
        if (k >= WARM) {
            bnn_hypergradient(t, (bnn_hypergradient_desc){ .w = s.w, .a = s.a, .upper = upper,
                .lower = lower, .user = &s, .unroll = 0.02f });
            bnn_step(&move_a, t);
        }
        bnn_backward(lower(t, &s));
        bnn_params_zero_grad(s.a);
        bnn_step(&move_w, t);
    }
    bnn_graph_probs(&s.net, NULL, 2, p);
    return (double)p[1];
}

/* Validation nll of a discrete net: of five starts the one with the lowest loss in training */
static double alone(bnn_arena *mem, bnn_tape *t, search s, const bnn_edge *e, size_t n) {
    double best = 1e300, nll = 0;
    for (uint64_t seed = 1; seed <= 5 && !mem->err; seed++) {
        bnn_graph_desc desc = graph(e, n);
        desc.seed = seed;
        s.w = bnn_params_new(mem);
        s.net = bnn_graph(s.w, NULL, desc);
        bnn_stepper adam = bnn_adam(s.w, (bnn_adam_desc){ .lr = 0.03f });
        for (int k = 0; k < WARM + SEARCH && !mem->err; k++) {
            bnn_tape_reset(t);
            bnn_backward(lower(t, &s));
            bnn_step(&adam, t);
        }
        bnn_tape_reset(t);
        double loss = bnn_value(lower(t, &s));
        if (!(loss < best)) continue;
        best = loss, nll = bnn_value(bnn_net_nll(&s.net, bnn_batch_all(t, s.valid)));
    }
    return nll;
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(4) };
    static const float prices[3] = { 0, 0.02f, 0.5f };
    printf("data               P(edge) at price 0   0.02    0.5   validation nll without, with\n");
    for (int k = 0; k < 2; k++) {
        bnn_data d = { bnn_mat_new(&mem, ROWS, 1), bnn_mat_new(&mem, ROWS, 1) };
        if (mem.err) break;
        for (int i = 0; i < ROWS; i++) {
            float x = 4 * bnn_rng_uniform(&tape.rng) - 2;
            d.x.data[i] = x;
            d.y.data[i] = tanhf(3 * x) + (k ? 0.5f * x : 0) + 0.2f * bnn_rng_normal(&tape.rng);
        }
        search s = { .train = bnn_data_rows(d, 0, ROWS / 2),
                     .valid = bnn_data_rows(d, ROWS / 2, ROWS / 2) };
        double p[3], none = alone(&mem, &tape, s, edges, 2), one = alone(&mem, &tape, s, with, 3);
        for (int j = 0; j < 3; j++) {
            s.price = prices[j];
            p[j] = learned(&mem, &tape, s);
        }
        printf("%-18s %18.2f %6.2f %6.2f %18.3f %6.3f\n", k ? "tanh(3x) + x/2" : "tanh(3x)", p[0],
               p[1], p[2], none, one);
        if (k) check(p[1] > 0.8 && p[2] < 0.2 && none - one > 0.02 && none - one < 0.5,
                     "an edge stays while its gain is above its price");
        else check(p[1] < 0.2 && none - one < 0.02, "the price takes an edge that gains nothing");
    }
    return done(&mem, &tape);
}
