/* darts.c -- a cell for the digits, searched by gradients of a two-level problem.
 *     cc -O2 -I.. darts.c -lm && ./a.out [folder of the digits [retraining steps]]
 * Edges of a small graph mix four operations by softmax weights. The weights learn on one half of
 * the training digits, the structure on the other, by its first-order gradient (weights constant),
 * second-order (through one step, DARTS) and implicit (at the weights' optimum). The winner of each
 * edge is cut out and trained from scratch. You should see the three cells drawn, and three errors
 * that differ by little. */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { WIDTH = 32, BATCH = 64, SEARCH = 400, EDGES = 6 };

static const bnn_candidate ops[4] = {
    { "none", bnn_zero, WIDTH }, { "linear", NULL, WIDTH }, { "tanh", bnn_tanh, WIDTH },
    { "relu", bnn_relu, WIDTH }
};
static const bnn_candidate out[1] = { { "out", NULL, 10 } };
static const bnn_edge edges[EDGES] = { { 0, 1, ops, 4 }, { 0, 2, ops, 4 }, { 1, 2, ops, 4 },
                                       { 1, 3, ops, 4 }, { 2, 3, ops, 4 }, { 3, 4, out, 1 } };

typedef struct {
    bnn_net net;
    bnn_params *a;
    bnn_data train, valid;
    size_t train_rows[BATCH], valid_rows[BATCH]; /* of this step: both are seen several times */
} search;

static bnn_var *lower(bnn_tape *t, void *user) {
    search *s = user;
    return bnn_net_loss(&s->net, bnn_batch_rows(t, s->train, BATCH, s->train_rows));
}

static bnn_var *upper(bnn_tape *t, void *user) {
    search *s = user;
    bnn_var *nll = bnn_net_nll(&s->net, bnn_batch_rows(t, s->valid, BATCH, s->valid_rows));
    return bnn_add(nll, bnn_scale(bnn_prior_nll(t, s->a), 1 / (float)s->valid.x.rows));
}

static bnn_mat read_idx(bnn_arena *mem, const char *folder, const char *name) {
    char path[512];
    bnn_mat m = { 0, 0, NULL };
    snprintf(path, sizeof path, "%s/digits-%s.idx", folder, name);
    if (bnn_idx_load(mem, &m, path) != BNN_OK) {
        fprintf(stderr, "darts: %s\n", mem->msg);
        exit(1);
    }
    return m;
}

static bnn_graph_desc cell(uint64_t seed) {
    return (bnn_graph_desc){ .inputs = 64, .edges = edges, .n_edges = EDGES,
                             .likelihood = BNN_CATEGORICAL, .prior = { .std = 3, .fan_in = 1 },
                             .structure_prior = { .std = 2 }, .seed = seed };
}

static void draw_cell(const bnn_net *net) { /* every edge and the probabilities of its operations */
    const bnn_structure *s = net->user;
    for (size_t e = 0; e + 1 < s->n_edges; e++) {
        float p[4];
        size_t best = 0;
        bnn_graph_probs(net, NULL, e, p);
        for (size_t k = 1; k < 4; k++) if (p[k] > p[best]) best = k;
        printf("    %zu --%s--> %zu  (", edges[e].from, ops[best].name, edges[e].to);
        for (size_t k = 0; k < 4; k++) printf("%s%s %.2f", k ? ", " : "", ops[k].name, p[k]);
        printf(")\n");
    }
}

static void train(bnn_tape *t, bnn_net *net, bnn_data d, size_t steps) {
    bnn_stepper adam = bnn_adam(net->params, (bnn_adam_desc){ .lr = 2e-3f });
    for (size_t s = 0; s < steps; s++) {
        bnn_tape_reset(t);
        adam.lr = (float)bnn_lr_cosine(2e-3, s, steps);
        bnn_backward(bnn_net_loss(net, bnn_minibatch(t, d, BATCH)));
        bnn_step(&adam, t);
    }
}

int main(int argc, char **argv) {
    bnn_arena data = { 0 };
    FILE *here = fopen("data/digits-test-labels.idx", "rb");
    const char *folder = argc > 1 ? argv[1] : here ? "data" : "examples/data";
    size_t steps = argc > 2 ? (size_t)atoi(argv[2]) : 3000;
    int failed = 0;
    if (here) fclose(here);
    bnn_data all = { read_idx(&data, folder, "train-images"),
                     read_idx(&data, folder, "train-labels") };
    bnn_data test = { read_idx(&data, folder, "test-images"),
                      read_idx(&data, folder, "test-labels") };
    bnn_mat_scale(all.x, all.x, 1 / 16.0f);
    bnn_mat_scale(test.x, test.x, 1 / 16.0f);
    for (int order = 0; order < 3; order++) {
        static const char *const names[] = { "1", "2", "implicit" };
        bnn_arena mem = { 0 };
        bnn_tape tape = { .rng = bnn_rng_seed(1) };
        size_t half = all.x.rows / 2;
        search s = { .train = bnn_data_rows(all, 0, half),
                     .valid = bnn_data_rows(all, half, all.x.rows - half) };
        bnn_params *w = bnn_params_new(&mem), *v = bnn_params_new(&mem);
        s.a = bnn_params_new(&mem);
        s.net = bnn_graph(w, s.a, cell(1));
        bnn_stepper move_w = bnn_adam(w, (bnn_adam_desc){ .lr = 3e-3f });
        bnn_stepper move_a = bnn_adam(s.a, (bnn_adam_desc){ .lr = 2e-2f });
        double residual = 0, damping = 0;
        for (int k = 0; k < SEARCH; k++) {
            bnn_tape_reset(&tape);
            for (int i = 0; i < BATCH; i++) {
                s.train_rows[i] = bnn_rng_below(&tape.rng, s.train.x.rows);
                s.valid_rows[i] = bnn_rng_below(&tape.rng, s.valid.x.rows);
            }
            bnn_hypergradient_result h = bnn_hypergradient(&tape, (bnn_hypergradient_desc){
                .w = w, .a = s.a, .upper = upper, .lower = lower, .user = &s,
                .unroll = order == 1 ? 0.05f : 0, .implicit = order == 2, .iterations = 10,
                .damping = 1 });
            bnn_step(&move_a, &tape);
            bnn_backward(lower(&tape, &s));
            bnn_step(&move_w, &tape);
            residual += h.residual / SEARCH, damping += h.damping / SEARCH;
        }
        printf("order %s", names[order]);
        if (order == 2) printf(", mean residual %.2f, mean damping %.2f", residual, damping);
        printf("\n");
        draw_cell(&s.net);
        bnn_net small = bnn_graph_extract(v, &s.net);
        bnn_rng_fill_normal(&tape.rng, v->n, v->theta); /* from scratch: N(0, 1/fan in) */
        for (size_t b = 0; b < v->n_blocks; b++) {
            bnn_mat m = bnn_params_mat(v, b);
            bnn_mat_scale(m, m, m.rows == 1 ? 0 : 1 / sqrtf((float)m.rows));
        }
        train(&tape, &small, all, steps);
        bnn_predictive p = bnn_predict(&mem, &tape, &small, NULL, test.x);
        if (!tape.err && !mem.err)
            printf("RESULT darts order=%s error=%.2f params=%zu\n", names[order],
                   100 * bnn_metric_error(p.mean, test.y), v->n);
        else fprintf(stderr, "darts: %s\n", tape.err ? tape.msg : mem.msg);
        failed |= tape.err || mem.err;
        bnn_tape_free(&tape);
        bnn_arena_free(&mem);
    }
    bnn_arena_free(&data);
    return failed;
}
