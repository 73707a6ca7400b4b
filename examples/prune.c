/* prune.c -- which weights does a net need? A mean field knows: those whose mean stands out of
 * their noise. Removes the others and hands back a net without the neurons that have none left.
 *     cc -O2 -I.. prune.c -o prune -lm && ./prune [epochs] [seed] [folder of the digits]
 * You should see that three quarters of the weights of a 64-200-200-10 net can go for nothing, that
 * few whole neurons leave with them (prune_units.c removes those), and the threshold that a
 * validation set suggests. MNIST: weight_noise_mnist.c prints the same curve. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>

enum { BATCH = 100, VALID = 623 };

static double error(bnn_arena *mem, bnn_tape *tape, const bnn_net *net, bnn_data d) {
    bnn_mark mark = bnn_arena_mark(mem);
    double e = 100 * bnn_metric_error(bnn_predict(mem, tape, net, NULL, d.x).mean, d.y);
    bnn_arena_rewind(mem, mark);
    return e;
}

/* Removes that fraction of the weights and returns what is left of the net, its mean weights */
static bnn_net smaller(bnn_arena *mem, bnn_meanfield *q, const bnn_net *net, const bnn_params *all,
                       double fraction) {
    bnn_params_copy(q->params, all);
    bnn_meanfield_prune(q, bnn_meanfield_snr(q, fraction));
    bnn_meanfield_mean(q);
    return bnn_mlp_shrink(bnn_params_new(mem), net, NULL);
}

int main(int argc, char **argv) {
    const char *who = "prune", *folder = argc > 3 ? argv[3] : example_folder();
    size_t epochs = argc > 1 ? example_whole(who, "epochs", argv[1], 1, 1e6) : 80;
    uint64_t seed = argc > 2 ? example_seed(who, argv[2]) : 1;
    example_most(who, argc, argv, 3);
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(seed) };
    bnn_data all = example_data(&mem, who, folder, "digits-train-images.idx",
                                "digits-train-labels.idx", 64, 16);
    bnn_data test = example_data(&mem, who, folder, "digits-test-images.idx",
                                 "digits-test-labels.idx", 64, 16);
    if (all.x.rows < VALID + BATCH) {
        fprintf(stderr, "prune: %s: %zu rows, of which %d are held out\n", folder, all.x.rows,
                VALID);
        return 1;
    }
    bnn_data train = bnn_data_rows(all, 0, all.x.rows - VALID);
    bnn_data valid = bnn_data_rows(all, all.x.rows - VALID, VALID);

    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 64, 200, 200, 10 }, .seed = seed,
            .likelihood = BNN_CATEGORICAL,
            .prior = { .kind = BNN_PRIOR_MIXTURE, .std = 1, .std2 = 2.5e-3f, .weight = 0.25f } });
    bnn_meanfield q = bnn_meanfield_new(w, (bnn_meanfield_desc){ .init_std = 0.02f,
                                                                 .kl_weight = 0.3f });
    bnn_stepper adam = bnn_adam(q.params, (bnn_adam_desc){ .lr = 3e-3f });
    size_t steps = epochs * train.x.rows / BATCH;
    for (size_t s = 0; s < steps; s++) {
        bnn_tape_reset(&tape);
        adam.lr = (float)bnn_lr_cosine(3e-3, s, steps);
        bnn_meanfield_sample(&q, &tape);
        bnn_backward(bnn_net_nll(&net, bnn_minibatch(&tape, train, BATCH)));
        bnn_meanfield_backward(&q, &tape);
        bnn_step(&adam, &tape);
    }
    bnn_ensemble whole = bnn_ensemble_new(q.params, 1); /* mu and rho before anything is removed */
    bnn_ensemble_push(&whole);
    bnn_params kept = bnn_ensemble_sample(&whole, 0);

    const double removed[] = { 0, 0.5, 0.75, 0.9, 0.95, 0.98 };
    for (size_t i = 0; i < sizeof removed / sizeof *removed; i++) {
        bnn_mark mark = bnn_arena_mark(&mem);
        bnn_net small = smaller(&mem, &q, &net, &kept, removed[i]);
        printf("RESULT prune removed=%.0f error=%.2f params=%zu\n", 100 * removed[i],
               error(&mem, &tape, &small, test), small.params ? small.params->n : 0);
        bnn_arena_rewind(&mem, mark);
    }

    /* the largest fraction within one standard error of the best on validation data */
    double best = 100, e[20], limit, fraction = 0;
    for (int i = 0; i < 20; i++) {
        bnn_mark mark = bnn_arena_mark(&mem);
        bnn_net small = smaller(&mem, &q, &net, &kept, 0.05 * i);
        e[i] = error(&mem, &tape, &small, valid);
        if (e[i] < best) best = e[i];
        bnn_arena_rewind(&mem, mark);
    }
    limit = best + sqrt(best * (100 - best) / VALID);
    for (int i = 0; i < 20; i++)
        if (e[i] <= limit) fraction = 0.05 * i;
    bnn_params_copy(q.params, &kept);
    double snr = bnn_meanfield_snr(&q, fraction);
    bnn_net small = smaller(&mem, &q, &net, &kept, fraction);
    printf("validation suggests to remove %.0f %%: |mean|/sd below %.3f, density ratio above "
           "%.3f\n", 100 * fraction, snr, exp(-snr * snr / 2));
    printf("64-200-200-10, %zu weights, becomes 64-%zu-%zu-10, %zu weights, error %.2f -> ", w->n,
           small.params ? small.params->blocks[0].cols : 0,
           small.params ? small.params->blocks[2].cols : 0, small.params ? small.params->n : 0,
           error(&mem, &tape, &small, test));
    bnn_params_copy(q.params, &kept);
    bnn_meanfield_mean(&q);
    printf("from %.2f\n", error(&mem, &tape, &net, test));

    if (tape.err || mem.err) fprintf(stderr, "prune: %s\n", tape.err ? tape.msg : mem.msg);
    int failed = tape.err || mem.err;
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return failed;
}
