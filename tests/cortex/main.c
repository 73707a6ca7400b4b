/* main.c -- the library on a bare microcontroller: no operating system, no heap, no stdio.
 * A 2-8-1 network learns exclusive or by SGLD in two static arrays, keeps 16 posterior samples and
 * predicts with them; what examples/embedded.c does, smaller. tests/footprint.sh links it for a
 * Cortex-M4 and reports its bytes; in qemu (-machine mps2-an386) it also runs, and says by
 * semihosting how it went. */
#define BNN_NO_STDIO
#define BNN_NO_SIMD
#define BNN_IMPLEMENTATION
#define BNN_STATIC
#include "bnn.h"

enum { N = 40, STEPS = 4000, BURN_IN = 2400, THIN = 100, KEEP = 16, Q = 5 };

static unsigned char space[6 * 1024], time_[10 * 1024];
static float x[N][2], y[N];
static float ask[Q][2] = { { 0, 0 }, { 0, 1 }, { 1, 0 }, { 1, 1 }, { 4, -4 } };
volatile float answer[Q], doubt[Q]; /* where a debugger would look */

static void *never(void *user, void *ptr, size_t old_size, size_t new_size) {
    (void)user, (void)ptr, (void)old_size, (void)new_size;
    return NULL; /* no heap */
}

int main(void);
int main(void) {
    bnn_arena mem = { .alloc = { never, NULL }, .buffer = space, .capacity = sizeof space };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    tape.mem = (bnn_arena){ .alloc = { never, NULL }, .buffer = time_, .capacity = sizeof time_ };
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < 2; j++) x[i][j] = (float)(i >> j & 1) + 0.15f * bnn_rng_normal(&tape.rng);
        y[i] = (float)((i ^ i >> 1) & 1);
    }
    bnn_data train = { { N, 2, &x[0][0] }, { N, 1, y } };
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 2, 8, 1 }, .activation = BNN_TANH,
                                             .likelihood = BNN_BERNOULLI, .prior = { .std = 3 } });
    bnn_stepper sgld = bnn_sgld(w, (bnn_sgld_desc){ .lr = 0.2f });
    bnn_ensemble post = bnn_ensemble_new(w, KEEP);
    for (int s = 0; s < STEPS; s++) {
        bnn_tape_reset(&tape);
        bnn_backward(bnn_net_loss(&net, bnn_minibatch(&tape, train, 10)));
        bnn_step(&sgld, &tape);
        if (s >= BURN_IN && s % THIN == 0) bnn_ensemble_push(&post);
    }
    bnn_predictive p = bnn_predict(&mem, &tape, &net, &post, (bnn_mat){ Q, 2, &ask[0][0] });
    if (tape.err != BNN_OK || mem.err != BNN_OK) return 1;
    for (int i = 0; i < Q; i++) answer[i] = p.mean.data[i], doubt[i] = p.epistemic.data[i];
    /* near 0, 1, 1, 0 at the corners, and less sure far away */
    return !(answer[0] < 0.3f && answer[1] > 0.7f && answer[2] > 0.7f && answer[3] < 0.3f &&
             doubt[4] > doubt[0] && post.count == KEEP);
}
