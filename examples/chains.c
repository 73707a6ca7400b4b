/* chains.c -- parallel chains: one chain = one thread = one arena and one tape.
 *     cc -O2 -I.. chains.c -lm -pthread && ./a.out
 * Four SGHMC chains of a 1-16-1 network from different starts and random streams, at the same time;
 * nothing is shared, so there are no locks and the result does not depend on timing. You should see
 * R-hat below 1.02 for what the networks predict, and above 1.05, with a much smaller effective
 * sample, for one of their weights: hidden units can be swapped, a weight means nothing alone. */
#define _POSIX_C_SOURCE 200112L
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>

enum { N = 40, CHAINS = 4, BURN_IN = 10000, THIN = 50, KEEP = 1000, K = 4 };

static float x[N], y[N], at[K] = { -2, -0.5f, 0, 2 };

typedef struct {
    int id, err;
    char msg[BNN_MSG];
    float f[K][KEEP], weight[KEEP]; /* the chain's predictions at at[k], and one weight */
} chain;

static void *run(void *user) {
    chain *c = user;
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_stream(1, (uint64_t)c->id + 1) }; /* a stream of its own */
    bnn_data train = { { N, 1, x }, { N, 1, y } };
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 16, 1 }, .activation = BNN_TANH,
                                             .noise_std = 0.2f, .seed = (uint64_t)c->id });
    bnn_stepper s = bnn_sghmc(w, (bnn_sghmc_desc){ .lr = 1e-3f, .friction = 0.05f });
    for (int k = 0; k < BURN_IN + KEEP * THIN && !tape.err && !mem.err; k++) {
        bnn_tape_reset(&tape);
        bnn_backward(bnn_net_loss(&net, bnn_batch_all(&tape, train)));
        bnn_step(&s, &tape);
        if (k < BURN_IN || k % THIN) continue;
        bnn_var *f = bnn_net_forward(&net, bnn_input(&tape, (bnn_mat){ K, 1, at }));
        for (int j = 0; j < K && !tape.err; j++) c->f[j][(k - BURN_IN) / THIN] = f->val.data[j];
        c->weight[(k - BURN_IN) / THIN] = w->theta[0];
    }
    c->err = tape.err ? tape.err : mem.err;
    for (int i = 0; i < BNN_MSG; i++) c->msg[i] = tape.err ? tape.msg[i] : mem.msg[i];
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return NULL;
}

/* One line: the draws of all chains, mean, R-hat, effective sample size */
static void line(bnn_arena *mem, const char *name, bnn_mat draws) {
    double n = (double)(draws.rows * draws.cols), m = bnn_mat_sum(draws) / n;
    printf("%-12s  %7.3f  %6.3f   %6.3f  %6.0f\n", name, m,
           sqrt(bnn_mat_dot(draws, draws) / n - m * m), bnn_diag_rhat(mem, draws),
           bnn_diag_ess(mem, draws));
}

int main(void) {
    static chain chains[CHAINS];
    pthread_t threads[CHAINS];
    bnn_arena mem = { 0 };
    bnn_rng rng = bnn_rng_seed(1);
    int failed = 0;
    for (int i = 0; i < N; i++) {
        x[i] = 4 * bnn_rng_uniform(&rng) - 2;
        if (x[i] > -1 && x[i] < 0.2f) x[i] -= 1;
        y[i] = sinf(2 * x[i]) + 0.2f * bnn_rng_normal(&rng);
    }
    for (int c = 0; c < CHAINS; c++) {
        chains[c].id = c;
        if (pthread_create(&threads[c], NULL, run, &chains[c]) == 0) continue;
        fprintf(stderr, "chains: no thread\n");
        return 1;
    }
    for (int c = 0; c < CHAINS; c++) {
        pthread_join(threads[c], NULL);
        if (chains[c].err) fprintf(stderr, "chains: chain %d: %s\n", c, chains[c].msg);
        failed |= chains[c].err;
    }
    bnn_mat draws = bnn_mat_new(&mem, CHAINS, KEEP);
    if (!failed && !mem.err) printf("%d chains x %d draws\n", CHAINS, KEEP);
    if (!failed && !mem.err) printf("                 mean      sd    R-hat     ESS\n");
    for (int j = 0; j <= K && !failed && !mem.err; j++) {
        char name[32];
        for (size_t c = 0; c < CHAINS; c++)
            for (size_t k = 0; k < KEEP; k++)
                *bnn_mat_at(draws, c, k) = j < K ? chains[c].f[j][k] : chains[c].weight[k];
        if (j < K) snprintf(name, sizeof name, "f(%.1f)", at[j]);
        else snprintf(name, sizeof name, "weight w[0]");
        line(&mem, name, draws);
    }
    if (mem.err) fprintf(stderr, "chains: %s\n", mem.msg);
    failed |= mem.err;
    bnn_arena_free(&mem);
    return failed != 0;
}
