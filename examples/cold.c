/* cold.c -- cold posteriors: what does a temperature below 1 do to error and NLL?
 *     cc -O2 -I.. cold.c -lm && ./a.out [folder of the digits [seeds [lr [length [method]]]]]
 * Samples at temperature T have the density p(w|D)^(1/T); T = 1 is the posterior. Wenzel et al.
 * (2020) found colder ones better, Izmailov et al. (2021) that augmented data are the reason: 3823
 * digits shifted by random pixels are more data than 3823 rows, while the likelihood still counts
 * 3823. Here: SGLD and SGHMC on all rows, NUTS on 300 of them, without and with shifts by one
 * pixel, and NUTS at T = 1 where the widths of the prior are drawn, too. You should see the least
 * NLL well below T = 1, with shifts or without, and a part of that gain by the widths alone.
 * Without arguments only SGLD runs, at one seed. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SIDE = 8, BATCH = 100, MAP_STEPS = 2000, BURN_IN = 4000, THIN = 200, KEEP = 60, SHIFTS = 5,
       FEW = 300, WARMUP = 100, DRAWS = 150, T_N = 5 };
static const float temperatures[T_N] = { .01f, .03f, .1f, .3f, 1 };
enum { SGLD, SGHMC, NUTS, WIDTHS };
static const char *const samplers[] = { "sgld", "sghmc", "nuts", "nuts_widths" };

static size_t length = 1; /* of the chains: a factor */
static float lr = .3f;    /* of SGLD, and of SGHMC over its friction */

typedef struct { bnn_net net; bnn_data data; size_t rows; } target; /* rows: without copies */

/* to = the image moved by one pixel: 0 not at all, 1 to 4 right, left, down, up */
static void move(float *to, const float *image, int shift) {
    int dc = (shift == 1) - (shift == 2), dr = (shift == 3) - (shift == 4);
    for (int r = 0; r < SIDE; r++)
        for (int c = 0; c < SIDE; c++) {
            int fr = r - dr, fc = c - dc, in = fr >= 0 && fc >= 0 && fr < SIDE && fc < SIDE;
            to[r * SIDE + c] = in ? image[fr * SIDE + fc] : 0;
        }
}

static bnn_batch batch(bnn_tape *t, bnn_data d, int shifts) { /* every image moved at random */
    bnn_batch b = bnn_minibatch(t, d, BATCH);
    float image[SIDE * SIDE];
    for (size_t i = 0; i < BATCH && shifts && !t->err; i++) {
        float *row = b.x->val.data + i * SIDE * SIDE;
        memcpy(image, row, sizeof image);
        move(row, image, (int)bnn_rng_below(&t->rng, SHIFTS));
    }
    return b;
}

static bnn_data copies(bnn_arena *mem, bnn_data d) { /* all shifts of all images */
    bnn_data m = { bnn_mat_new(mem, d.x.rows * SHIFTS, d.x.cols),
                   bnn_mat_new(mem, d.x.rows * SHIFTS, 1) };
    for (size_t i = 0; i < m.x.rows && !mem->err; i++) {
        move(m.x.data + i * d.x.cols, d.x.data + i / SHIFTS * d.x.cols, (int)(i % SHIFTS));
        m.y.data[i] = d.y.data[i / SHIFTS];
    }
    return m;
}

/* U, where a row counts once: its log likelihood is the mean over its shifts */
static bnn_var *energy(bnn_tape *t, void *user) {
    const target *u = user;
    bnn_var *nll = bnn_net_nll(&u->net, bnn_batch_all(t, u->data));
    return bnn_add(bnn_scale(nll, (float)u->rows), bnn_prior_nll(t, u->net.params));
}

static void report(const char *method, int shifts, float temperature, int seed, bnn_arena *mem,
                   bnn_tape *t, const bnn_net *net, const bnn_ensemble *post, bnn_data test,
                   clock_t start) {
    bnn_mat p = bnn_predict(mem, t, net, post, test.x).mean;
    if (!p.data) return; /* main says why */
    printf("RESULT cold method=%s shifts=%d temperature=%g lr=%g length=%zu seed=%d error=%.2f "
           "nll=%.4f ece=%.4f seconds=%.1f\n", method, shifts, temperature, lr, length, seed,
           100 * bnn_metric_error(p, test.y),
           bnn_metric_nll(p, test.y), bnn_metric_ece(p, test.y, 15),
           (double)(clock() - start) / CLOCKS_PER_SEC);
    fflush(stdout);
}

static void descend(bnn_tape *t, bnn_net *net, bnn_data d, int shifts) {
    bnn_stepper adam = bnn_adam(net->params, (bnn_adam_desc){ .lr = 2e-3f });
    for (size_t s = 0; s < MAP_STEPS; s++) {
        bnn_tape_reset(t);
        adam.lr = (float)bnn_lr_cosine(2e-3, s, MAP_STEPS);
        bnn_backward(bnn_net_loss(net, batch(t, d, shifts)));
        bnn_step(&adam, t);
    }
}

static void minibatches(bnn_tape *t, bnn_net *net, bnn_data d, int shifts, bnn_stepper s,
                        bnn_ensemble *post) {
    for (size_t k = 0; k < length * (BURN_IN + (size_t)KEEP * THIN); k++) {
        bnn_tape_reset(t);
        bnn_backward(bnn_net_loss(net, batch(t, d, shifts)));
        bnn_step(&s, t);
        if (k >= length * BURN_IN && (k + 1) % (length * THIN) == 0) bnn_ensemble_push(post);
    }
}

static void nuts(bnn_tape *t, target *u, float temperature, int gibbs, bnn_ensemble *post) {
    bnn_stepper s = bnn_nuts(u->net.params, (bnn_nuts_desc){ .energy = energy, .user = u,
        .warmup = length * WARMUP, .temperature = temperature, .max_depth = length > 1 ? 9 : 7 });
    for (size_t k = 0; k < length * (WARMUP + DRAWS); k++) {
        bnn_tape_reset(t);
        bnn_step(&s, t);
        if (gibbs) bnn_params_update_priors(u->net.params, &t->rng);
        if (k >= length * WARMUP) bnn_ensemble_push(post);
    }
}

static int run(int method, int shifts, int seed, bnn_data train, bnn_data test) {
    bnn_arena mem = { 0 };
    bnn_tape t = { .rng = bnn_rng_seed((uint64_t)seed) };
    int small = method >= NUTS;
    if (small) train = bnn_data_rows(train, 0, FEW);
    target u = { .data = shifts ? copies(&mem, train) : train, .rows = train.x.rows };
    bnn_params *w = bnn_params_new(&mem);
    u.net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { SIDE * SIDE, small ? 10 : 64, 10 },
        .likelihood = BNN_CATEGORICAL, .activation = small ? BNN_TANH : BNN_RELU,
        .prior = { .std = 1, .shape = method == WIDTHS ? 1.0f : 0, /* v ~ InvGamma(1, .1) */
                   .rate = method == WIDTHS ? .1f : 0 }, .seed = (uint64_t)seed });
    clock_t start = clock();
    descend(&t, &u.net, train, shifts);
    if (method == SGLD || method == NUTS)
        report(small ? "map_small" : "map", shifts, 0, seed, &mem, &t, &u.net, NULL, test, start);
    for (int k = method == WIDTHS ? T_N - 1 : 0; k < T_N; k++) { /* from cold to warm */
        bnn_ensemble post = bnn_ensemble_new(w, small ? length * DRAWS : KEEP);
        start = clock();
        if (method == SGLD)
            minibatches(&t, &u.net, train, shifts, bnn_sgld(w, (bnn_sgld_desc){ .lr = lr,
                .temperature = temperatures[k] }), &post);
        else if (method == SGHMC)
            minibatches(&t, &u.net, train, shifts, bnn_sghmc(w, (bnn_sghmc_desc){ .lr = .1f * lr,
                .friction = .1f, .temperature = temperatures[k] }), &post);
        else nuts(&t, &u, temperatures[k], method == WIDTHS, &post);
        report(samplers[method], shifts, temperatures[k], seed, &mem, &t, &u.net, &post, test,
               start);
    }
    int failed = t.err || mem.err;
    if (failed) fprintf(stderr, "cold: %s\n", t.err ? t.msg : mem.msg);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
    return failed;
}

int main(int argc, char **argv) {
    bnn_arena mem = { 0 };
    const char *who = "cold", *folder = argc > 1 ? argv[1] : example_folder();
    int failed = 0, seeds = argc > 2 ? (int)example_whole(who, "seeds", argv[2], 1, 1000) : 1;
    int last = argc < 3 ? SGLD : WIDTHS;
    int known = argc < 6;
    example_most(who, argc, argv, 5);
    if (argc > 3) lr = (float)example_real(who, "lr", argv[3], 1e-9, 1e3);
    if (argc > 4) length = example_whole(who, "length", argv[4], 1, 1000);
    for (int method = SGLD; method <= WIDTHS && !known; method++)
        known = !strcmp(argv[5], samplers[method]);
    if (!known) {
        fprintf(stderr, "cold: what is %s? The methods are", argv[5]);
        for (int method = SGLD; method <= WIDTHS; method++)
            fprintf(stderr, " %s", samplers[method]);
        fputc('\n', stderr);
        return 2;
    }
    bnn_data train = example_data(&mem, who, folder, "digits-train-images.idx",
                                  "digits-train-labels.idx", SIDE * SIDE, 16);
    bnn_data test = example_data(&mem, who, folder, "digits-test-images.idx",
                                 "digits-test-labels.idx", SIDE * SIDE, 16);
    for (int seed = 1; seed <= seeds; seed++)
        for (int shifts = 0; shifts < 2; shifts++)
            for (int method = SGLD; method <= last; method++)
                if (argc < 6 || !strcmp(argv[5], samplers[method]))
                    failed |= run(method, shifts, seed, train, test);
    bnn_arena_free(&mem);
    return failed;
}
