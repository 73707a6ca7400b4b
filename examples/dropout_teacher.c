/* dropout_teacher.c -- 100 dropout masks into one net: the predictive of MC dropout, distilled.
 *     cc -O2 -I.. dropout_teacher.c -lm && ./a.out [folder of Fashion-MNIST [epochs [seed]]]
 * A net with dropout is averaged over 100 masks at test time; a student of the same shape learns
 * that average from noisy inputs, a new mask in every step. Without a folder: the digits that ship.
 * You should see the masks a little ahead of one plain pass in log likelihood, and the student less
 * than 0.01 nats behind both, at the cost of one pass. Times are of one prediction, in batches, on
 * this machine. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <stdio.h>
#include <time.h>

enum { MASKS = 100, BATCH = 100 };

typedef struct {
    bnn_arena mem;
    bnn_tape tape;
    bnn_data train, test;
    bnn_mat teacher;
} world;

static void report(world *u, const char *name, const bnn_net *net, const bnn_ensemble *post) {
    clock_t start = clock();
    bnn_mat p = bnn_predict(&u->mem, &u->tape, net, post, u->test.x).mean;
    double us = 1e6 * (double)(clock() - start) / CLOCKS_PER_SEC / (double)p.rows;
    size_t nets = post ? post->count : 1;
    if (post) u->teacher = p;
    printf("RESULT dropout_teacher method=%s error=%.2f nll=%.4f ece=%.4f agreement=%.4f bytes=%zu "
           "us=%.1f\n", name, 100 * bnn_metric_error(p, u->test.y), bnn_metric_nll(p, u->test.y),
           bnn_metric_ece(p, u->test.y, 15),
           u->teacher.data ? bnn_metric_agreement(p, u->teacher) : 0,
           (post ? 1 : nets) * net->params->n * sizeof(float), us);
    fflush(stdout);
}

int main(int argc, char **argv) {
    static world u;
    int full = argc > 1;
    const char *who = "dropout_teacher", *folder = full ? argv[1] : example_folder();
    example_most(who, argc, argv, 3);
    size_t epochs = argc > 2 ? example_whole(who, "epochs", argv[2], 1, 1e6) : full ? 20 : 80;
    uint64_t seed = argc > 3 ? example_seed(who, argv[3]) : 1;
    u.tape.rng = bnn_rng_seed(seed);
    size_t pixels = full ? 784 : 64;
    float white = full ? 255 : 16;
    u.train = example_data(&u.mem, who, folder,
                           full ? "train-images-idx3-ubyte" : "digits-train-images.idx",
                           full ? "train-labels-idx1-ubyte" : "digits-train-labels.idx", pixels,
                           white);
    u.test = example_data(&u.mem, who, folder,
                          full ? "t10k-images-idx3-ubyte" : "digits-test-images.idx",
                          full ? "t10k-labels-idx1-ubyte" : "digits-test-labels.idx", pixels,
                          white);
    size_t hidden = full ? 400 : 150, steps = epochs * (u.train.x.rows / BATCH);

    bnn_params *w = bnn_params_new(&u.mem), *v = bnn_params_new(&u.mem);
    bnn_mlp_desc shape = { .sizes = { u.train.x.cols, hidden, hidden, 10 },
                           .dropout = full ? 0.5f : 0.3f,
                           .likelihood = BNN_CATEGORICAL, .prior = { .kind = BNN_PRIOR_FLAT },
                           .seed = seed };
    bnn_net net = bnn_mlp(w, shape);
    bnn_stepper adam = bnn_adam(w, (bnn_adam_desc){ .lr = 1e-3f });
    for (size_t s = 0; s < steps; s++) {
        bnn_tape_reset(&u.tape);
        adam.lr = (float)bnn_lr_cosine(1e-3, s, steps);
        bnn_backward(bnn_net_loss(&net, bnn_minibatch(&u.tape, u.train, BATCH)));
        bnn_step(&adam, &u.tape);
        if (full && steps > 3 && (s + 1) % (steps / 4) == 0)
            fprintf(stderr, "teacher %zu of %zu\n", s + 1, steps);
    }
    bnn_ensemble masks = bnn_ensemble_new(w, MASKS);
    while (masks.count < MASKS && !u.mem.err) bnn_ensemble_push_dropout(&masks, &net, &u.tape.rng);
    report(&u, "masks", &net, &masks);
    report(&u, "one_pass", &net, NULL);

    /* the student's teacher is a net with one mask, a fresh one in every step */
    shape.dropout = 0;
    bnn_net student = bnn_mlp(v, shape);
    adam = bnn_adam(v, (bnn_adam_desc){ .lr = 1e-3f });
    bnn_ensemble mask = bnn_ensemble_new(w, 1);
    for (size_t s = 0; s < 2 * steps; s++) {
        bnn_tape_reset(&u.tape);
        mask.count = 0;
        bnn_ensemble_push_dropout(&mask, &net, &u.tape.rng);
        bnn_var *x = bnn_distill_inputs(&u.tape, u.train.x, BATCH,
                                        (bnn_inputs_desc){ .noise = 0.1f });
        adam.lr = (float)bnn_lr_cosine(1e-3, s, 2 * steps);
        bnn_backward(bnn_distill_loss(&student, x, &net, &mask));
        bnn_step(&adam, &u.tape);
        if (full && steps > 3 && (s + 1) % (steps / 2) == 0)
            fprintf(stderr, "student %zu of %zu\n", s + 1, 2 * steps);
    }
    report(&u, "student", &student, NULL);
    if (u.tape.err || u.mem.err)
        fprintf(stderr, "dropout_teacher: %s\n", u.tape.err ? u.tape.msg : u.mem.msg);
    int failed = u.tape.err || u.mem.err;
    bnn_tape_free(&u.tape);
    bnn_arena_free(&u.mem);
    return failed;
}
