/* 6_4.c -- lecture 6, exercise 4: does the net need a direct edge? Hard choices, a price for the
 * edge; then both discrete nets are trained alone, as a check. The bent layer is fixed.
 *     cc -O2 -I. docs/course/solutions/6_4.c -o s -lm && ./s */
#include "../course.h"

enum { ROWS = 200, WARM = 300, SEARCH = 500, CHOICES = 4 };
static bnn_var *bend(bnn_var *x) { return bnn_tanh(bnn_scale(x, 3)); } /* no weights of its own */
static const bnn_candidate layer[1] = { { "bend", bend, 0 } }, out[1] = { { "out", NULL, 1 } };
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
    bnn_var *loss = bnn_scale(bnn_sum(edge), s->price);
    for (int k = 0; k < CHOICES; k++)
        loss = bnn_add(loss, bnn_scale(bnn_net_nll(&s->net, bnn_batch_all(t, s->valid)),
                                       1.0f / CHOICES));
    return loss;
}

static bnn_graph_desc graph(const bnn_edge *e, size_t n) {
    return (bnn_graph_desc){ .inputs = 1, .edges = e, .n_edges = n, .noise_std = 0.2f,
                             .gamma = BNN_GAMMA_GUMBEL_HARD, .tau = 0.5f };
}

/* P(edge): of three starts the one that ends with the lowest upper loss */
static double learned(bnn_arena *mem, bnn_tape *t, search s) {
    double best = 1e300, edge = 0;
    for (uint64_t seed = 1; seed <= 3 && !mem->err; seed++) {
        bnn_graph_desc desc = graph(edges, 3);
        float p[2] = { 0, 0 };
        desc.seed = seed;
        s.w = bnn_params_new(mem), s.a = bnn_params_new(mem);
        s.net = bnn_graph(s.w, s.a, desc);
        bnn_stepper move_w = bnn_adam(s.w, (bnn_adam_desc){ .lr = 0.03f });
        bnn_stepper move_a = bnn_adam(s.a, (bnn_adam_desc){ .lr = 0.02f });
        for (int k = 0; k < WARM + SEARCH && !mem->err; k++) {
            bnn_tape_reset(t);
            if (k >= WARM) {
                bnn_hypergradient(t, (bnn_hypergradient_desc){ .w = s.w, .a = s.a, .upper = upper,
                    .lower = lower, .user = &s });
                bnn_step(&move_a, t);
            }
            bnn_backward(lower(t, &s));
            bnn_params_zero_grad(s.a);
            bnn_step(&move_w, t);
        }
        bnn_tape_reset(t);
        if (!mem->err) ((bnn_structure *)s.net.user)->gamma = BNN_GAMMA_ARGMAX;
        double loss = bnn_value(upper(t, &s));
        if (!(loss < best)) continue;
        bnn_graph_probs(&s.net, NULL, 2, p);
        best = loss, edge = (double)p[1];
    }
    return edge;
}

/* Validation nll of a discrete net: of three starts the one with the lowest loss in training */
static double alone(bnn_arena *mem, bnn_tape *t, search s, const bnn_edge *e, size_t n) {
    double best = 1e300, nll = 0;
    for (uint64_t seed = 1; seed <= 3 && !mem->err; seed++) {
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
    static const float prices[3] = { 0, 0.02f, 5 };
    printf("data               P(edge) at price 0   0.02      5   validation nll without, with\n");
    for (int k = 0; k < 2; k++) {
        bnn_data d = { bnn_mat_new(&mem, ROWS, 1), bnn_mat_new(&mem, ROWS, 1) };
        if (mem.err) break;
        for (int i = 0; i < ROWS; i++) {
            float x = 4 * bnn_rng_uniform(&tape.rng) - 2;
            d.x.data[i] = x;
            d.y.data[i] = tanhf(3 * x) + (k ? x : 0) + 0.2f * bnn_rng_normal(&tape.rng);
        }
        search s = { .train = bnn_data_rows(d, 0, ROWS / 2),
                     .valid = bnn_data_rows(d, ROWS / 2, ROWS / 2) };
        double p[3], none = alone(&mem, &tape, s, edges, 2), one = alone(&mem, &tape, s, with, 3);
        for (int j = 0; j < 3; j++) {
            s.price = prices[j];
            p[j] = learned(&mem, &tape, s);
        }
        printf("%-18s %18.2f %6.2f %6.2f %18.3f %6.3f\n", k ? "tanh(3x) + x" : "tanh(3x)", p[0],
               p[1], p[2], none, one);
        if (k) check(p[1] > 0.8 && p[2] < 0.2 && none - one > 1 && none - one < 5,
                     "an edge stays while its gain is above its price");
        else check(p[1] < 0.2 && none - one < 0.05, "the price takes an edge that gains nothing");
    }
    return done(&mem, &tape);
}
