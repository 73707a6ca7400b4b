/* test_meanfield.c -- S5 and the adaptive priors of S3: divergences against closed forms and
 * quadrature, the gradient estimators against exact expectations, the optimum of conjugate linear
 * regression, Graves's ten configurations, pruning and shrinking. Statistical checks allow 4
 * standard errors: one two-sided test fails by chance with probability 6e-5. */
#include "build.h"

#define TIGHT BUILD_TOL(2e-5, 1e-12)

typedef struct world {
    bnn_arena mem;
    bnn_tape tape;
    bnn_params *w;
} world;

static void world_open(world *u, uint64_t seed) {
    memset(u, 0, sizeof *u);
    u->tape.rng = bnn_rng_seed(build_seed(seed));
    u->w = bnn_params_new(&u->mem);
}

static void world_close(world *u) {
    if (u->tape.err) printf("    %s\n", u->tape.msg);
    if (u->mem.err) printf("    %s\n", u->mem.msg);
    CHECK(u->tape.err == BNN_OK && u->mem.err == BNN_OK);
    bnn_tape_free(&u->tape);
    bnn_arena_free(&u->mem);
}

/* ---- smaller nets */

static double largest_difference(world *u, const bnn_net *a, const bnn_net *b, bnn_mat x) {
    bnn_mat p = bnn_predict(&u->mem, &u->tape, a, NULL, x).mean;
    bnn_mat q = bnn_predict(&u->mem, &u->tape, b, NULL, x).mean;
    double worst = 0;
    for (size_t i = 0; i < p.rows * p.cols; i++)
        worst = fmax(worst, fabs((double)p.data[i] - (double)q.data[i]));
    return worst;
}

static void a_shrunk_net_is_the_masked_net(void) {
    for (int act = BNN_RELU; act <= BNN_IDENTITY; act++) {
        world u;
        bnn_net net, small;
        bnn_params *v;
        bnn_mat x, w1, w2, w3;
        world_open(&u, 1 + (uint64_t)act);
        net = bnn_mlp(u.w, (bnn_mlp_desc){ .sizes = { 3, 6, 5, 2 }, .activation = act,
                                           .noise_learned = 1, .noise_std = (float)0.3 });
        bnn_rng_fill_normal(&u.tape.rng, u.w->n - 1, u.w->theta);
        x = bnn_mat_new(&u.mem, 20, 3);
        bnn_rng_fill_normal(&u.tape.rng, 60, x.data);
        CHECK(bnn_net_standardize(&net, (bnn_data){ x, bnn_mat_rows(x, 0, 20) }) == BNN_OK);
        net.scaling.y_mean = bnn_mat_new(&u.mem, 1, 2);
        net.scaling.y_std = bnn_mat_copy(&u.mem, (bnn_mat){ 1, 2, net.scaling.x_std.data });
        w1 = bnn_params_mat(u.w, 0), w2 = bnn_params_mat(u.w, 2), w3 = bnn_params_mat(u.w, 4);
        for (size_t i = 0; i < 3; i++) w1.data[i * 6 + 1] = w1.data[i * 6 + 4] = 0; /* constants */
        for (size_t j = 0; j < 5; j++) w2.data[3 * 5 + j] = 0;         /* unit 3 sends nothing */
        for (size_t i = 0; i < 6; i++) /* unit 2 hears 1, 3, 4 alone: constant, once they go */
            if (i != 1 && i != 4) w2.data[i * 5 + 2] = 0;
        for (size_t j = 0; j < 2; j++) w3.data[0 * 2 + j] = 0;         /* unit 0 sends nothing */
        v = bnn_params_new(&u.mem);
        small = bnn_mlp_shrink(v, &net, NULL);
        CHECK(small.params == v);
        CHECK(v->n == 3 * 3 + 3 + 3 * 3 + 3 + 3 * 2 + 2 + 1);
        CHECK_NEAR(largest_difference(&u, &net, &small, x), 0, BUILD_TOL(1e-5, 1e-12));
        CHECK_SAME(bnn_params_mat(v, 6).data[0], bnn_params_mat(u.w, 6).data[0]);
        world_close(&u);
    }
}

static void shrinking_strands_what_only_dead_units_fed(void) {
    world u;
    bnn_net net, small;
    bnn_mat x, w3;
    bnn_params *v;
    world_open(&u, 20);
    net = bnn_mlp(u.w, (bnn_mlp_desc){ .sizes = { 2, 3, 3, 1 }, .activation = BNN_TANH });
    bnn_rng_fill_normal(&u.tape.rng, u.w->n, u.w->theta);
    x = bnn_mat_new(&u.mem, 9, 2);
    bnn_rng_fill_normal(&u.tape.rng, 18, x.data);
    w3 = bnn_params_mat(u.w, 4);
    bnn_mat_fill(w3, 0); /* nothing reaches the output: one unit of each layer stays */
    v = bnn_params_new(&u.mem);
    small = bnn_mlp_shrink(v, &net, NULL);
    CHECK(v->n == 2 + 1 + 1 + 1 + 1 + 1);
    CHECK_NEAR(largest_difference(&u, &net, &small, x), 0, TIGHT);
    world_close(&u);
}

static void shrinking_by_masks_drops_what_it_is_told(void) {
    world u;
    const unsigned char one[4] = { 1, 0, 1, 1 }, none[4] = { 0, 0, 0, 0 };
    const unsigned char *keep[2] = { one, NULL }, *all[2] = { none, NULL };
    bnn_net net, small;
    bnn_params *v;
    world_open(&u, 21);
    net = bnn_mlp(u.w, (bnn_mlp_desc){ .sizes = { 2, 4, 3, 1 }, .prior = { .std = 2, .fan_in = 1 } });
    v = bnn_params_new(&u.mem);
    small = bnn_mlp_shrink(v, &net, keep);
    CHECK(v->blocks[0].cols == 3 && v->blocks[2].rows == 3 && v->blocks[2].cols == 3);
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < 3; k++)
            CHECK_SAME(bnn_params_mat(v, 0).data[i * 3 + k],
                       bnn_params_mat(u.w, 0).data[i * 4 + k + (k > 0)]);
    CHECK_SAME(v->blocks[2].prior.std, u.w->blocks[2].prior.std); /* as it was in force */
    CHECK(small.mlp != net.mlp && small.params == v);
    v = bnn_params_new(&u.mem);
    CHECK(bnn_mlp_shrink(v, &net, all).params == NULL && u.mem.err == BNN_EARG && v->n == 0);
    u.mem.err = BNN_OK;
    CHECK(bnn_mlp_shrink(u.w, &net, NULL).params == NULL && u.mem.err == BNN_EARG);
    u.mem.err = BNN_OK;
    world_close(&u);
}

static void a_constant_without_a_bias_to_go_to_stays(void) {
    world u;
    const unsigned char one[2] = { 0, 1 };
    const unsigned char *keep[1] = { one };
    bnn_net net;
    bnn_params *v;
    world_open(&u, 22);
    net = bnn_mlp(u.w, (bnn_mlp_desc){ .sizes = { 1, 2, 1 }, .activation = BNN_SIGMOID,
                                       .no_bias = 1 });
    bnn_params_mat(u.w, 0).data[0] = 0;
    v = bnn_params_new(&u.mem);
    CHECK(bnn_mlp_shrink(v, &net, NULL).params == v && v->n == 4);
    v = bnn_params_new(&u.mem);
    CHECK(bnn_mlp_shrink(v, &net, keep).params == NULL && u.mem.err == BNN_EARG);
    u.mem.err = BNN_OK;
    world_close(&u);
}

int main(void) {
    RUN(a_shrunk_net_is_the_masked_net);
    RUN(shrinking_strands_what_only_dead_units_fed);
    RUN(shrinking_by_masks_drops_what_it_is_told);
    RUN(a_constant_without_a_bias_to_go_to_stays);
    return check_done();
}
