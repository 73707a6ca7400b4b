/* structure.c -- which activation generated the data? A posterior over structures.
 *     cc -O2 -I.. structure.c -lm && ./a.out [seeds]
 * y = g(a x + b) + noise, g one of linear, tanh, relu, sin, several seeds each. The hidden layer is
 * a mixture of the four with a Gumbel-softmax draw at every step; Adam moves the weights, SGLD the
 * logits of the structure. You should see nearly all mass on sin and on tanh when they generated
 * the data; linear and relu, which two units of the others imitate within the noise, win less.
 * The discrete net is cut out of the mixture at a third of the size. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>

enum { N = 200, WARM = 700, STEPS = 1500, FINE = 500, OPS = 4 };

static const bnn_candidate ops[OPS] = {
    { "linear", NULL, 2 }, { "tanh", bnn_tanh, 2 }, { "relu", bnn_relu, 2 }, { "sin", bnn_sin, 2 }
};
static const bnn_candidate out[1] = { { "out", NULL, 1 } };
static const bnn_edge edges[2] = { { 0, 1, ops, OPS }, { 1, 2, out, 1 } };

static bnn_data generate(bnn_arena *mem, bnn_rng *rng, int op) {
    bnn_data d = { bnn_mat_new(mem, N, 1), bnn_mat_new(mem, N, 1) };
    float slope = .75f + .5f * bnn_rng_uniform(rng), shift = bnn_rng_uniform(rng) - .5f;
    for (int i = 0; i < N; i++) {
        float x = 8 * bnn_rng_uniform(rng) - 4, u = slope * x + shift;
        float g = op == 0 ? u : op == 1 ? tanhf(u) : op == 2 ? (u > 0 ? u : 0) : sinf(u);
        d.x.data[i] = x;
        d.y.data[i] = g + .1f * bnn_rng_normal(rng);
    }
    return d;
}

typedef struct { float p[OPS]; double mixed, discrete; size_t params, small; } result;

static double test_error(bnn_arena *mem, bnn_tape *t, const bnn_net *net, bnn_data d) {
    bnn_tape_reset(t);
    return bnn_metric_rmse(bnn_predict(mem, t, net, NULL, d.x).mean, d.y);
}

static int run(int op, uint64_t seed, result *r) {
    bnn_arena mem = { 0 };
    bnn_tape t = { .rng = bnn_rng_stream(seed, (uint64_t)op) };
    bnn_data all = generate(&mem, &t.rng, op), train = bnn_data_rows(all, 0, N / 2);
    bnn_data test = bnn_data_rows(all, N / 2, N / 2);
    bnn_params *w = bnn_params_new(&mem), *a = bnn_params_new(&mem), *v = bnn_params_new(&mem);
    bnn_net net = bnn_graph(w, a, (bnn_graph_desc){
        .inputs = 1, .edges = edges, .n_edges = 2, .gamma = BNN_GAMMA_GUMBEL, .tau = .5f,
        .noise_std = .2f, .prior = { .std = 2 }, .structure_prior = { .std = 3 }, .seed = seed });
    bnn_stepper move_w = bnn_adam(w, (bnn_adam_desc){ .lr = .03f });
    bnn_stepper move_a = bnn_sgld(a, (bnn_sgld_desc){ .lr = .3f });
    bnn_ensemble post = bnn_ensemble_new(a, (STEPS - WARM) / 20);
    for (int s = 0; s < STEPS; s++) {
        bnn_tape_reset(&t);
        bnn_batch b = bnn_minibatch(&t, train, 32);
        bnn_backward(bnn_add(bnn_net_loss(&net, b),
                             bnn_scale(bnn_prior_nll(&t, a), 1 / (float)b.n_data)));
        bnn_step(&move_w, &t);
        if (s >= WARM) bnn_step(&move_a, &t); /* first every operation learns something */
        else bnn_params_zero_grad(a);
        if (s >= (WARM + STEPS) / 2 && s % 10 == 9) bnn_ensemble_push(&post);
    }
    bnn_graph_probs(&net, &post, 0, r->p);
    r->mixed = test_error(&mem, &t, &net, test);
    r->params = w->n;
    bnn_net small = bnn_graph_extract(v, &net); /* the winner alone, trained on */
    bnn_stepper tune = bnn_adam(v, (bnn_adam_desc){ .lr = .01f });
    for (int s = 0; s < FINE && small.params; s++) {
        bnn_tape_reset(&t);
        bnn_backward(bnn_net_loss(&small, bnn_minibatch(&t, train, 32)));
        bnn_step(&tune, &t);
    }
    r->discrete = small.params ? test_error(&mem, &t, &small, test) : 0;
    r->small = v->n;
    if (t.err || mem.err) fprintf(stderr, "structure: %s\n", t.err ? t.msg : mem.msg);
    int failed = t.err || mem.err;
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
    return failed;
}

int main(int argc, char **argv) {
    int seeds = argc > 1 ? (int)example_whole("structure", "seeds", argv[1], 1, 1e6) : 10;
    int failed = 0;
    example_most("structure", argc, argv, 1);
    printf("generator   p(linear) p(tanh) p(relu) p(sin)   rmse mixture, discrete   parameters\n");
    for (int op = 0; op < OPS; op++) {
        int right = 0, chosen = 0;
        result mean = { { 0 }, 0, 0, 0, 0 };
        for (int seed = 1; seed <= seeds; seed++) {
            result r = { { 0 }, 0, 0, 0, 0 };
            int best = 0;
            failed |= run(op, (uint64_t)seed, &r);
            for (int k = 0; k < OPS; k++) {
                if (r.p[k] > r.p[best]) best = k;
                mean.p[k] += r.p[k] / (float)seeds;
            }
            mean.mixed += r.mixed / seeds, mean.discrete += r.discrete / seeds;
            mean.params = r.params, mean.small = r.small;
            right += best == op;
        }
        for (int k = 0; k < OPS; k++) if (mean.p[k] > mean.p[chosen]) chosen = k;
        printf("%-9s   %9.3f %7.3f %7.3f %6.3f   %12.3f, %8.3f   %zu -> %zu\n", ops[op].name,
               mean.p[0], mean.p[1], mean.p[2], mean.p[3], mean.mixed, mean.discrete, mean.params,
               mean.small);
        printf("RESULT structure true=%s chosen=%s prob=%.3f seeds_right=%d/%d\n", ops[op].name,
               ops[chosen].name, mean.p[op], right, seeds);
    }
    return failed;
}
