/* exchange.c -- files that travel between machines: tests/targets.sh builds this for every target.
 *     exchange write FILE     two nets, a posterior, four steppers, two generators in a checkpoint
 *     exchange read FILE      the file is the one this machine would have written, byte for byte, and
 *                             what is read from it is what this machine has, bit for bit
 * The parameters move without a product of matrices, so that machines with and without fused
 * multiply-add agree. Prints the CRC-32 of the bytes. */
#define BNN_IMPLEMENTATION
#include "bnn.h"

typedef struct world {
    bnn_arena mem;
    bnn_tape tape;
    bnn_rng other;
    float x[20], y[20];
    bnn_net net, list, unread;
    bnn_stepper steps[4];
    bnn_ensemble post;
    bnn_checkpoint all;
} world;

static void world_make(world *a) {
    bnn_mlp_desc net;
    bnn_layers_desc layers;
    bnn_adam_desc adam;
    bnn_sgld_desc sgld;
    bnn_psgld_desc psgld;
    bnn_sghmc_desc sghmc;
    bnn_data data;
    int i;
    memset(a, 0, sizeof *a);
    memset(&net, 0, sizeof net);
    memset(&layers, 0, sizeof layers);
    memset(&adam, 0, sizeof adam);
    memset(&sgld, 0, sizeof sgld);
    memset(&psgld, 0, sizeof psgld);
    memset(&sghmc, 0, sizeof sghmc);
    a->tape.rng = bnn_rng_seed(5);
    a->other = bnn_rng_stream(6, 7);
    data.x.rows = data.y.rows = 10;
    data.x.cols = data.y.cols = 2;
    data.x.data = a->x;
    data.y.data = a->y;
    bnn_rng_fill_normal(&a->tape.rng, 20, a->x);
    bnn_rng_fill_gumbel(&a->tape.rng, 20, a->y);
    net.sizes[0] = net.sizes[3] = 2;
    net.sizes[1] = 11;
    net.sizes[2] = 6;
    net.activation = BNN_SILU;
    net.noise_learned = 1;
    net.dropout = 0.125f;
    net.seed = 12;
    a->net = bnn_mlp(bnn_params_new(&a->mem), net);
    (void)bnn_net_standardize(&a->net, data);
    layers.input.h = layers.input.w = 4, layers.input.c = 1;
    layers.noise_learned = 1;
    layers.layers[0].kind = BNN_CONV, layers.layers[0].size = 3, layers.layers[0].kernel = 3;
    layers.layers[1].kind = BNN_LSTM, layers.layers[1].size = 2, layers.layers[1].dropout = 0.125f;
    layers.layers[2].kind = BNN_DENSE, layers.layers[2].size = 1;
    a->list = bnn_layers(bnn_params_new(&a->mem), layers);
    adam.amsgrad = 1;
    a->steps[0] = bnn_adam(a->net.params, adam);
    a->steps[1] = bnn_sgld(a->net.params, sgld);
    a->steps[2] = bnn_psgld(a->net.params, psgld);
    a->steps[3] = bnn_sghmc(a->net.params, sghmc);
    a->post = bnn_ensemble_new(a->net.params, 5);
    a->all.nets[0] = &a->net;
    a->all.nets[2] = &a->list;
    a->all.ensembles[3] = &a->post;
    a->all.rngs[0] = &a->tape.rng;
    a->all.rngs[3] = &a->other;
    for (i = 0; i < 4; i++) a->all.steppers[i] = &a->steps[i];
}

static void world_run(world *a) {
    size_t i;
    int s;
    for (s = 0; s < 40; s++) {
        bnn_var *loss;
        bnn_tape_reset(&a->tape);
        a->tape.n_data = 10;
        loss = bnn_prior_nll(&a->tape, a->net.params);
        for (i = 0; i < a->net.params->n_blocks; i++) {
            bnn_var *w = bnn_param(&a->tape, a->net.params, i);
            loss = bnn_add(loss, bnn_sum(bnn_softplus(bnn_sub(bnn_tanh(w), bnn_sin(w)))));
        }
        bnn_backward(bnn_scale(loss, 0.1f));
        bnn_step(&a->steps[s % 4], &a->tape);
        (void)bnn_ensemble_reservoir(&a->post, &a->other);
    }
}

static int fail(const world *a, const char *what) {
    printf("exchange: %s: %s%s\n", what, a->tape.msg, a->mem.msg);
    return 1;
}

int main(int argc, char **argv) {
    static unsigned char bytes[1 << 20];
    static world here, there;
    static bnn_checkpoint only;
    void *mine, *again;
    size_t size, size_again, n;
    FILE *f;
    if (argc != 3) return printf("exchange write|read FILE\n"), 2;
    world_make(&here);
    world_run(&here);
    if (here.tape.err != BNN_OK || here.mem.err != BNN_OK) return fail(&here, "running");
    if (argv[1][0] == 'w') {
        if (bnn_checkpoint_save(&here.mem, argv[2], &here.all) != BNN_OK) return fail(&here, "save");
    }
    if (bnn_checkpoint_write(&here.mem, &here.all, &mine, &size) != BNN_OK) return fail(&here, "write");
    f = fopen(argv[2], "rb");
    if (f == NULL) return fail(&here, "cannot open the file");
    n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    if (n != size || memcmp(bytes, mine, n) != 0) return fail(&here, "the bytes are others");
    world_make(&there);
    if (bnn_checkpoint_load(&there.mem, argv[2], &there.all) != BNN_OK) return fail(&there, "load");
    if (memcmp(here.net.params->theta, there.net.params->theta, here.net.params->n * sizeof(float)))
        return fail(&there, "other weights");
    if (memcmp(here.post.samples.data, there.post.samples.data,
               here.post.count * here.net.params->n * sizeof(float)))
        return fail(&there, "other samples");
    only.nets[2] = &there.unread; /* which nobody has made */
    there.unread = bnn_layers_unread(&there.mem);
    if (bnn_checkpoint_load(&there.mem, argv[2], &only) != BNN_OK) return fail(&there, "load a list");
    if (memcmp(here.list.params->theta, there.unread.params->theta,
               here.list.params->n * sizeof(float)))
        return fail(&there, "another list");
    if (bnn_rng_u32(&here.tape.rng) != bnn_rng_u32(&there.tape.rng)) return fail(&there, "other rng");
    world_run(&here); /* and both go on as one */
    world_run(&there);
    if (bnn_checkpoint_write(&here.mem, &here.all, &mine, &size) != BNN_OK ||
        bnn_checkpoint_write(&there.mem, &there.all, &again, &size_again) != BNN_OK ||
        size != size_again || memcmp(mine, again, size) != 0)
        return fail(&there, "the run does not go on the same");
    printf("bytes %lu crc %08lx\n", (unsigned long)n, (unsigned long)bnn__crc32(bytes, n));
    bnn_tape_free(&here.tape);
    bnn_tape_free(&there.tape);
    bnn_arena_free(&here.mem);
    bnn_arena_free(&there.mem);
    return 0;
}
