/* emit.c -- a net that knows what it does not know, as one C file for a microcontroller.
 *     cc -O2 -I.. emit.c -lm && ./a.out [folder for the files] [folder of the digits] [seed]
 * Samples a posterior over 64-100-10 digit classifiers, distills it into a 64-64-10 net and writes
 * that as digits_float.c, digits_half.c and digits_int8.c: no malloc, no bnn.h, one function each.
 * Weight noise on the same shape becomes digits_moments.c, whose one pass carries variances; a
 * small convolutional net becomes digits_lenet.c, and with int8 digits_lenet8.c. You should see
 * that int8 takes a quarter of the flash and changes the class of one digit in hundreds.
 */
#define BNN_STATIC /* one file: functions that it does not call are not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 100, MAP_STEPS = 2000, BURN_IN = 2000, THIN = 200, KEEP = 40, STEPS = 8000,
       LENET_STEPS = 1500 };

static bnn_arena mem;
static bnn_tape tape;

static void train(bnn_net *net, bnn_stepper *s, bnn_data data, size_t steps, bnn_ensemble *post) {
    for (size_t k = 0; k < steps; k++) {
        bnn_tape_reset(&tape);
        bnn_backward(bnn_net_loss(net, bnn_minibatch(&tape, data, BATCH)));
        bnn_step(s, &tape);
        if (post && k >= BURN_IN && k % THIN == THIN - 1) bnn_ensemble_push(post);
    }
}

/* One file, and a line about it */
static void write_c(const char *folder, const bnn_net *net, bnn_emit_desc desc, bnn_data test) {
    char path[512];
    desc.x = test.x;
    bnn_emitted c = bnn_emit_c(&mem, &tape, net, NULL, desc);
    snprintf(path, sizeof path, "%s/%s.c", folder, desc.name);
    if (tape.err || mem.err) return; /* main says why */
    if (bnn_emit_save(&mem, path, &c) != BNN_OK) {
        fprintf(stderr, "emit: %s\n", mem.msg);
        exit(1);
    }
    printf("%-15s %7zu bytes of text, %6zu of constants, %5zu of arrays; error %.2g, "
           "other class %.2f %%\n", desc.name, c.size, c.flash, c.ram, c.error, 100 * c.changed);
}

int main(int argc, char **argv) {
    const char *to = argc > 1 ? argv[1] : ".";
    const char *folder = argc > 2 ? argv[2] : example_folder();
    example_most("emit", argc, argv, 3);
    tape.rng = bnn_rng_seed(argc > 3 ? example_seed("emit", argv[3]) : 1);
    bnn_data data = example_data(&mem, "emit", folder, "digits-train-images.idx",
                                 "digits-train-labels.idx", 64, 16);
    bnn_data test = example_data(&mem, "emit", folder, "digits-test-images.idx",
                                 "digits-test-labels.idx", 64, 16);

    /* the posterior, and one student of it */
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 64, 100, 10 },
        .likelihood = BNN_CATEGORICAL, .prior = { .std = 8, .fan_in = 1 } });
    bnn_stepper adam = bnn_adam(w, (bnn_adam_desc){ 0 });
    bnn_stepper sgld = bnn_sgld(w, (bnn_sgld_desc){ .lr = 0.3f });
    bnn_ensemble post = bnn_ensemble_new(w, KEEP);
    train(&net, &adam, data, MAP_STEPS, NULL);
    train(&net, &sgld, data, BURN_IN + (size_t)KEEP * THIN, &post);
    bnn_mlp_desc shape = { .sizes = { 64, 64, 10 }, .likelihood = BNN_CATEGORICAL };
    bnn_net student = bnn_mlp(bnn_params_new(&mem), shape);
    bnn_distill(&tape, &student, &net, &post, data.x, (bnn_distill_desc){
        .steps = STEPS, .batch = BATCH, .lr = 2e-3f, .inputs = { .noise = 0.05f } });
    static const char *digit[10] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" };
    bnn_emit_desc e = { .name = "digits_float", .classes = digit };
    write_c(to, &student, e, test);
    e.name = "digits_half", e.storage = BNN_EMIT_HALF;
    write_c(to, &student, e, test);
    e.name = "digits_int8", e.storage = BNN_EMIT_INT8;
    write_c(to, &student, e, test);

    /* weight noise, its moments propagated */
    bnn_params *v = bnn_params_new(&mem);
    bnn_net noisy = bnn_mlp(v, shape);
    bnn_meanfield q = bnn_meanfield_new(v, (bnn_meanfield_desc){ 0 });
    bnn_net local = bnn_meanfield_net(&q, &noisy, BNN_NOISE_LOCAL);
    bnn_stepper s = bnn_adam(q.params, (bnn_adam_desc){ .lr = 2e-3f });
    for (size_t k = 0; k < STEPS; k++) {
        bnn_tape_reset(&tape);
        bnn_meanfield_sample(&q, &tape);
        bnn_backward(bnn_net_nll(&local, bnn_minibatch(&tape, data, BATCH)));
        bnn_meanfield_backward(&q, &tape);
        bnn_step(&s, &tape);
    }
    bnn_meanfield_mean(&q);
    bnn_emit_desc m = { .name = "digits_moments", .moments = &q };
    write_c(to, &noisy, m, test);

    /* a small LeNet */
    bnn_net lenet = bnn_layers(bnn_params_new(&mem), (bnn_layers_desc){ .input = { 8, 8, 1 },
        .likelihood = BNN_CATEGORICAL, .prior = { .std = 4, .fan_in = 1 }, .layers = {
            { BNN_CONV, 8, .kernel = 3, .same = 1 }, { BNN_MAX_POOL, .kernel = 2 },
            { BNN_CONV, 16, .kernel = 3, .same = 1 }, { BNN_MAX_POOL, .kernel = 2 },
            { BNN_DENSE, 32 }, { BNN_DENSE, 10 } } });
    bnn_stepper lenet_adam = bnn_adam(lenet.params, (bnn_adam_desc){ .lr = 3e-3f });
    train(&lenet, &lenet_adam, data, LENET_STEPS, NULL);
    bnn_emit_desc l = { .name = "digits_lenet", .classes = digit };
    write_c(to, &lenet, l, test);
    l.name = "digits_lenet8", l.storage = BNN_EMIT_INT8;
    write_c(to, &lenet, l, test);

    /* for whoever compares */
    char path[512];
    snprintf(path, sizeof path, "%s/digits.bnn", to);
    bnn_checkpoint all = { .nets = { &student, &noisy, &lenet }, .meanfields = { &q } };
    if (argc > 1 && bnn_checkpoint_save(&mem, path, &all) != BNN_OK) {
        fprintf(stderr, "emit: %s\n", mem.msg);
        exit(1);
    }
    bnn_predictive p = bnn_predict(&mem, &tape, &student, NULL, test.x);
    printf("student: error %.2f %%, nll %.3f\n", 100 * bnn_metric_error(p.mean, test.y),
           bnn_metric_nll(p.mean, test.y));
    bnn_predictive c = bnn_predict(&mem, &tape, &lenet, NULL, test.x);
    printf("LeNet: error %.2f %%, nll %.3f\n", 100 * bnn_metric_error(c.mean, test.y),
           bnn_metric_nll(c.mean, test.y));
    int failed = tape.err || mem.err;
    if (failed) fprintf(stderr, "emit: %s\n", tape.err ? tape.msg : mem.msg);
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return failed;
}
