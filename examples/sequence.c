/* sequence.c -- recurrence: a GRU with noise on its weights, and a GRU that draws digits.
 *     cc -O2 -I.. sequence.c -o sequence -lm && ./sequence [epochs, 150] [seed] [steps, 1000]
 * The first reads the 8x8 digits row by row, by maximum likelihood, with fixed noise on its weights
 * and with noise that adapts (the recurrent setting of Graves 2011). The second is p(x) = prod_k
 * p(x_k | x_<k) of binary digits, pixel by pixel. You should see the nets with learned noise alone
 * compress the labels, and held-out images cost 16.5 nats or less: 24.28 by independent pixels,
 * 17.85 by logistic regressions on all pixels before. With a folder build/: sequence.png, held-out
 * digits above, samples below. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "factorized.h"
#include "tiles.h"
#include <stdlib.h>
#include <time.h>

enum { SIDE = 8, PIXELS = SIDE * SIDE, UNITS = 32, BATCH = 50, PEN = 64, SHOW = 20 };

typedef struct {
    bnn_arena mem;
    bnn_tape tape;
    bnn_data train, test;
} world;

/* w, u and b of a GRU and of what reads its state, N(0, 1/fan in); gates begin open */
static bnn_params *make(world *o, size_t inputs, size_t units, size_t outputs, bnn_prior prior) {
    bnn_params *w = bnn_params_new(&o->mem);
    bnn_params_add(w, inputs, 3 * units, "w", prior);
    bnn_params_add(w, units, 3 * units, "u", prior);
    bnn_params_add(w, 1, 4 * units, "b", prior);
    bnn_params_add(w, units, outputs, "out", prior);
    bnn_params_add(w, 1, outputs == 1 ? PIXELS : outputs, "c", prior); /* of each pixel its own */
    for (size_t b = 0; b < 4 && !o->mem.err; b++) {
        bnn_mat m = bnn_params_mat(w, b);
        if (b == 2) continue;
        bnn_rng_fill_normal(&o->tape.rng, m.rows * m.cols, m.data);
        bnn_mat_scale(m, m, 1 / sqrtf((float)m.rows));
    }
    return w;
}

static bnn_var *step(bnn_params *w, bnn_var *x, bnn_var *h) {
    bnn_tape *t = x->tape;
    return bnn_gru(x, h, bnn_param(t, w, 0), bnn_param(t, w, 1), bnn_param(t, w, 2), NULL);
}

static bnn_var *zeros(bnn_tape *t, size_t rows, size_t cols) {
    bnn_var *v = bnn_op(t, rows, cols, NULL, 0, NULL);
    bnn_mat_fill(v->val, 0);
    return v;
}

/* ---- a reader: eight rows, then the class */

static bnn_var *reader(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    bnn_var *h = zeros(t, x->val.rows, UNITS);
    for (size_t r = 0; r < SIDE; r++) h = step(net->params, bnn_cols(x, r * SIDE, SIDE), h);
    return bnn_affine(h, bnn_param(t, net->params, 3), bnn_param(t, net->params, 4));
}

static void read_digits(world *o, int row, size_t epochs, double published) {
    bnn_mark mark = bnn_arena_mark(&o->mem);
    bnn_graves g = bnn_graves_row(row);
    clock_t start = clock();
    bnn_net net = { .params = make(o, SIDE, UNITS, 10, g.prior), .forward = reader,
                    .likelihood = BNN_CATEGORICAL };
    bnn_meanfield q = bnn_meanfield_new(net.params, g.desc);
    bnn_stepper adam = bnn_adam(q.params, (bnn_adam_desc){ .lr = 4e-3f });
    size_t steps = epochs * (o->train.x.rows / BATCH);
    for (size_t s = 0; s < steps && !o->tape.err; s++) {
        bnn_tape_reset(&o->tape);
        adam.lr = (float)bnn_lr_cosine(4e-3, s, steps);
        bnn_meanfield_update_priors(&q, 1);
        bnn_meanfield_sample(&q, &o->tape);
        bnn_backward(bnn_net_nll(&net, bnn_minibatch(&o->tape, o->train, BATCH)));
        bnn_meanfield_backward(&q, &o->tape);
        bnn_step(&adam, &o->tape);
    }
    bnn_meanfield_update_priors(&q, 1);
    bnn_meanfield_cost c = bnn_meanfield_measure(&q, &o->tape, &net, o->train, 10);
    bnn_meanfield_mean(&q); /* Graves's networks answer with the mean of the weights */
    bnn_mat p = bnn_predict(&o->mem, &o->tape, &net, NULL, o->test.x).mean;
    double uniform = (double)o->train.x.rows * log(10);
    printf("RESULT sequence row=%s error=%.2f nll=%.4f error_nats=%.1f complexity_nats=%.1f "
           "bits=%.0f ratio=%.3f published=%.1f epochs=%zu seconds=%.1f\n", g.name,
           100 * bnn_metric_error(p, o->test.y), bnn_metric_nll(p, o->test.y), c.error,
           c.complexity, c.bits, c.bits * log(2) / uniform, published, epochs,
           (double)(clock() - start) / CLOCKS_PER_SEC);
    fflush(stdout);
    bnn_arena_rewind(&o->mem, mark);
}

/* ---- a pen: pixel by pixel, each given all before it */

enum { SEEN = 4 + 2 * SIDE }; /* of the past at hand: left, above; and where the pen is */

/* What the net sees before pixel k. Before the first row and column there is nothing, 0. */
static bnn_var *seen(bnn_tape *t, bnn_mat x, size_t k) {
    bnn_var *v = zeros(t, x.rows, SEEN);
    size_t r = k / SIDE, c = k % SIDE;
    for (size_t i = 0; i < x.rows && v->val.data; i++) {
        const float *at = x.data + i * PIXELS + k;
        float *to = v->val.data + i * SEEN;
        if (k > 0) to[0] = at[-1];
        if (r > 0) to[1] = at[-SIDE];
        if (r > 0 && c > 0) to[2] = at[-SIDE - 1];
        if (r > 0 && c + 1 < SIDE) to[3] = at[-SIDE + 1];
        to[4 + r] = to[4 + SIDE + c] = 1;
    }
    return v;
}

static bnn_var *logit(bnn_params *w, bnn_var *h, size_t k) {
    bnn_tape *t = h->tape;
    return bnn_affine(h, bnn_param(t, w, 3), bnn_cols(bnn_param(t, w, 4), k, 1));
}

static bnn_var *pen_nll(bnn_tape *t, bnn_params *w, bnn_var *x, float dropout) { /* (n,1) nats */
    bnn_var *h = zeros(t, x->val.rows, PEN), *logits[PIXELS];
    for (size_t k = 0; k < PIXELS; k++) {
        h = step(w, seen(t, x->val, k), h);
        logits[k] = logit(w, dropout > 0 ? bnn_dropout(h, dropout) : h, k);
    }
    return bnn_bernoulli_nll(bnn_concat(t, PIXELS, logits), x);
}

static void draw(bnn_tape *t, bnn_params *w, bnn_mat x) {
    bnn_tape_reset(t);
    bnn_var *h = zeros(t, x.rows, PEN);
    for (size_t k = 0; k < PIXELS && !t->err; k++) {
        h = step(w, seen(t, x, k), h);
        bnn_mat p = bnn_sigmoid(logit(w, h, k))->val;
        for (size_t i = 0; i < x.rows && p.data; i++)
            x.data[i * PIXELS + k] = bnn_rng_uniform(&t->rng) < p.data[i];
    }
}

static void write_digits(world *o, size_t steps) {
    clock_t start = clock();
    bnn_mat digits = bnn_mat_copy(&o->mem, o->train.x), train, test;
    bnn_mat sheet = bnn_mat_new(&o->mem, 2 * SHOW, PIXELS);
    bnn_params *w = make(o, SEEN, PEN, 1, (bnn_prior){ .std = 0.3f });
    bnn_stepper adam = bnn_adam(w, (bnn_adam_desc){ .lr = 1e-2f, .clip = 1 });
    for (size_t i = 0; i < digits.rows * PIXELS && digits.data; i++)
        digits.data[i] = digits.data[i] > 0.5f;
    train = bnn_mat_rows(digits, 0, 3000), test = bnn_mat_rows(digits, 3000, digits.rows - 3000);
    for (size_t s = 0; s < steps && !o->tape.err; s++) {
        bnn_tape_reset(&o->tape);
        adam.lr = (float)bnn_lr_cosine(1e-2, s, steps);
        bnn_var *x = bnn_minibatch(&o->tape, (bnn_data){ train, train }, 2 * BATCH).x;
        bnn_backward(bnn_add(bnn_mean(pen_nll(&o->tape, w, x, 0.2f)),
                             bnn_scale(bnn_prior_nll(&o->tape, w), 1 / (float)train.rows)));
        bnn_step(&adam, &o->tape);
    }
    bnn_tape_reset(&o->tape);
    double nats = (double)bnn_value(bnn_mean(pen_nll(&o->tape, w, bnn_input(&o->tape, test), 0)));
    bnn_tape_reset(&o->tape);
    double fit = (double)bnn_value(bnn_mean(pen_nll(&o->tape, w, bnn_input(&o->tape, train), 0)));
    printf("RESULT sequence density=gru nats=%.2f nats_train=%.2f independent=24.28 "
           "logistic=17.85 weights=%zu steps=%zu seconds=%.1f\n", nats, fit, w->n, steps,
           (double)(clock() - start) / CLOCKS_PER_SEC);
    for (size_t i = 0; i < SHOW * PIXELS && sheet.data; i++) sheet.data[i] = test.data[i];
    draw(&o->tape, w, bnn_mat_rows(sheet, SHOW, SHOW));
    if (!o->tape.err && !o->mem.err)
        tiles_picture(&o->mem, "sequence", "build/sequence.png", sheet, (tiles_size){ SIDE, SIDE },
                      SHOW, 4);
}

int main(int argc, char **argv) {
    static world o;
    const char *who = "sequence", *folder = example_folder();
    example_most(who, argc, argv, 3);
    size_t epochs = argc > 1 ? example_whole(who, "epochs", argv[1], 1, 1e6) : 150;
    size_t steps = argc > 3 ? example_whole(who, "steps", argv[3], 1, 1e9) : 1000;
    o.tape.rng = bnn_rng_seed(argc > 2 ? example_seed(who, argv[2]) : 1);
    o.train = example_data(&o.mem, who, folder, "digits-train-images.idx",
                           "digits-train-labels.idx", PIXELS, 16);
    o.test = example_data(&o.mem, who, folder, "digits-test-images.idx", "digits-test-labels.idx",
                          PIXELS, 16);
    read_digits(&o, 0, epochs, 27.1);
    read_digits(&o, 7, epochs, 25.4);
    read_digits(&o, 8, epochs, 24.7);
    read_digits(&o, 9, epochs, 23.8);
    write_digits(&o, steps);

    int failed = o.tape.err || o.mem.err;
    if (failed) fprintf(stderr, "sequence: %s\n", o.tape.err ? o.tape.msg : o.mem.msg);
    failed |= example_failed;
    bnn_tape_free(&o.tape);
    bnn_arena_free(&o.mem);
    return failed;
}
