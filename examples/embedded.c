/* embedded.c -- a network trained and sampled in a fixed buffer: no heap, no stdio, no surprises.
 *     cc -O2 -I.. embedded.c -lm && ./a.out
 * All memory is two static arrays; the allocators abort if anyone calls them. A 2-8-1 network
 * learns exclusive or by SGLD. You should see probabilities near 0 and 1 at the four corners, an
 * undecided one with a large standard deviation far away from the data, and the bytes used. */
#define BNN_NO_STDIO /* the library needs no files and no printf */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <math.h>
#include <stdio.h> /* this program prints its result */
#include <stdlib.h>

enum { N = 40, STEPS = 40000, BURN_IN = 10000, THIN = 300, KEEP = 100, Q = 6 };

static unsigned char space[20 * 1024], time_[16 * 1024];

static void *never(void *user, void *ptr, size_t old_size, size_t new_size) {
    (void)user, (void)ptr, (void)old_size, (void)new_size;
    abort();
}

int main(void) {
    static float x[N][2], y[N];
    float ask[Q][2] = { { 0, 0 }, { 0, 1 }, { 1, 0 }, { 1, 1 }, { 0.5f, 0.5f }, { 4, -4 } };
    bnn_arena mem = { .alloc = { never, NULL }, .buffer = space, .capacity = sizeof space };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    tape.mem = (bnn_arena){ .alloc = { never, NULL }, .buffer = time_, .capacity = sizeof time_ };
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < 2; j++)
            x[i][j] = (float)(i >> j & 1) + 0.15f * bnn_rng_normal(&tape.rng);
        y[i] = (float)((i ^ i >> 1) & 1);
    }
    bnn_data train = { { N, 2, &x[0][0] }, { N, 1, y } };

    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 2, 8, 1 }, .activation = BNN_TANH,
                                             .likelihood = BNN_BERNOULLI, .prior = { .std = 3 } });
    bnn_stepper sgld = bnn_sgld(w, (bnn_sgld_desc){ .lr = 5e-2f });
    bnn_ensemble post = bnn_ensemble_new(w, KEEP);
    size_t peak = 0, now;
    for (int s = 0; s < STEPS; s++) {
        bnn_tape_reset(&tape);
        bnn_backward(bnn_net_loss(&net, bnn_minibatch(&tape, train, 10)));
        bnn_step(&sgld, &tape);
        now = bnn_arena_mark(&tape.mem).used;
        peak = now > peak ? now : peak;
        if (s >= BURN_IN && s % THIN == 0) bnn_ensemble_push(&post);
    }
    bnn_predictive p = bnn_predict(&mem, &tape, &net, &post, (bnn_mat){ Q, 2, &ask[0][0] });
    if (tape.err || mem.err) {
        fprintf(stderr, "embedded: %s\n", tape.err ? tape.msg : mem.msg);
        return 1;
    }
    printf("   x1    x2   P(xor)   sd of P over %zu networks\n", post.count);
    for (int i = 0; i < Q; i++)
        printf("%5.1f %5.1f   %6.3f   %6.3f\n", ask[i][0], ask[i][1], p.mean.data[i],
               sqrt((double)p.epistemic.data[i]));
    printf("%zu weights; bytes used: %zu of space, %zu of time in one step; heap: 0\n", w->n,
           bnn_arena_mark(&mem).used, peak);
    bnn_tape_free(&tape); /* with a buffer these free nothing */
    bnn_arena_free(&mem);
    return 0;
}
