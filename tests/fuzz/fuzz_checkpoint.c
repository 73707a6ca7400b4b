/* fuzz_checkpoint.c -- any bytes as a checkpoint.
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I../.. \
 *         fuzz_checkpoint.c -lm
 *     ./a.out -max_len=4096 corpus/checkpoint   (or afl-clang-fast -DFUZZ_MAIN, or cc -DFUZZ_MAIN)
 * The harness puts the right length and checksum into the input, so that the fuzzer gets past them;
 * -DFUZZ_RAW leaves the input alone. With -DFUZZ_SEEDS main writes the seed corpus into the folder
 * that is its argument. The input is read into new nets, into lists and into the objects of a
 * training run, which must then go on: a step, a prediction and a save that is read again; and into
 * a net with its recipe, which must then read a table. */
#define BNN_IMPLEMENTATION
#include "bnn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond) do { if (!(cond)) abort(); } while (0)

typedef struct world {
    bnn_arena mem;
    bnn_tape tape;
    float x[4], y[4];
    bnn_data data;
    bnn_net net;
    bnn_stepper adam, hmc, noise;
    bnn_meanfield q;
    bnn_ensemble post;
    bnn_checkpoint all;
} world;

static void world_make(world *a) {
    bnn_mlp_desc net;
    bnn_adam_desc adam;
    bnn_hmc_desc hmc;
    bnn_meanfield_desc q;
    size_t i;
    memset(a, 0, sizeof *a);
    memset(&net, 0, sizeof net);
    memset(&adam, 0, sizeof adam);
    memset(&hmc, 0, sizeof hmc);
    memset(&q, 0, sizeof q);
    for (i = 0; i < 4; i++) a->x[i] = a->y[i] = (float)i;
    a->data.x.rows = a->data.y.rows = 4;
    a->data.x.cols = a->data.y.cols = 1;
    a->data.x.data = a->x;
    a->data.y.data = a->y;
    net.sizes[0] = net.sizes[2] = 1;
    net.sizes[1] = 2;
    net.noise_learned = 1;
    a->net = bnn_mlp(bnn_params_new(&a->mem), net);
    MUST(bnn_net_standardize(&a->net, a->data) == BNN_OK);
    a->adam = bnn_adam(a->net.params, adam);
    hmc.net = &a->net;
    hmc.data = a->data;
    hmc.warmup = 4;
    hmc.adapt_mass = 1;
    hmc.leapfrog = 2;
    a->hmc = bnn_hmc(a->net.params, hmc);
    a->post = bnn_ensemble_new(a->net.params, 3);
    a->q = bnn_meanfield_new(a->net.params, q);
    a->noise = bnn_adam(a->q.params, adam);
    a->all.nets[0] = &a->net;
    a->all.steppers[0] = &a->adam;
    a->all.steppers[1] = &a->hmc;
    a->all.steppers[2] = &a->noise;
    a->all.meanfields[0] = &a->q;
    a->all.ensembles[0] = &a->post;
    a->all.rngs[0] = &a->tape.rng;
    MUST(a->mem.err == BNN_OK);
}

static void world_step(world *a, bnn_stepper *s) {
    bnn_tape_reset(&a->tape);
    if (s->kind != BNN_HMC) bnn_backward(bnn_net_loss(&a->net, bnn_batch_all(&a->tape, a->data)));
    bnn_step(s, &a->tape);
    bnn_tape_clear_error(&a->tape);
}

static void world_noise(world *a) {
    bnn_tape_reset(&a->tape);
    bnn_meanfield_sample(&a->q, &a->tape);
    bnn_backward(bnn_net_nll(&a->net, bnn_batch_all(&a->tape, a->data)));
    bnn_meanfield_backward(&a->q, &a->tape);
    bnn_step(&a->noise, &a->tape);
    bnn_tape_clear_error(&a->tape);
}

static void world_free(world *a) {
    bnn_tape_free(&a->tape);
    bnn_arena_free(&a->mem);
}

static void into_new_objects(const unsigned char *bytes, size_t size) {
    bnn_arena mem;
    bnn_tape tape;
    bnn_net nets[2];
    bnn_ensemble post;
    bnn_checkpoint c;
    float x = 1;
    bnn_mat in;
    memset(&mem, 0, sizeof mem);
    memset(&tape, 0, sizeof tape);
    memset(nets, 0, sizeof nets);
    memset(&post, 0, sizeof post);
    memset(&c, 0, sizeof c);
    in.rows = in.cols = 1;
    in.data = &x;
    c.nets[0] = &nets[0];
    if (size % 2) c.nets[1] = &nets[1];
    c.ensembles[0] = &post;
    if (bnn_checkpoint_read(&mem, &c, bytes, size) != BNN_OK) {
        MUST(nets[0].params == NULL && nets[1].params == NULL && post.params == NULL);
        MUST(mem.msg[0] != '\0' && mem.used == 0);
    } else {
        MUST(nets[0].params != NULL && nets[0].mlp != NULL && post.params != NULL);
        MUST(nets[0].params->n <= size && post.count <= size);
        MUST(bnn_mat_finite(post.samples));
        (void)bnn_predict(&mem, &tape, &nets[0], &post, in);
    }
    MUST(mem.err == BNN_OK || mem.err == BNN_ENOMEM);
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
}

static void into_a_run(const unsigned char *bytes, size_t size) {
    world a, b;
    void *again;
    size_t n;
    uint64_t t;
    world_make(&a);
    t = a.adam.t;
    if (bnn_checkpoint_read(&a.mem, &a.all, bytes, size) != BNN_OK) {
        MUST(a.adam.t == t && a.post.count == 0 && a.mem.err == BNN_OK);
    } else {
        MUST(bnn_checkpoint_write(&a.mem, &a.all, &again, &n) == BNN_OK);
        world_make(&b);
        MUST(bnn_checkpoint_read(&b.mem, &b.all, again, n) == BNN_OK);
        world_free(&b);
        if (a.hmc.hmc->desc.leapfrog < 100 && a.hmc.hmc->desc.trajectory == 0) world_step(&a, &a.hmc);
        world_step(&a, &a.adam);
        if (a.q.draws == 1) world_noise(&a);
        (void)bnn_ensemble_reservoir(&a.post, &a.tape.rng);
        (void)bnn_predict(&a.mem, &a.tape, &a.net, &a.post, a.data.x);
    }
    world_free(&a);
}

static bnn_net list_make(bnn_arena *mem) {
    bnn_layers_desc d;
    memset(&d, 0, sizeof d);
    d.input.h = d.input.w = 3, d.input.c = 1;
    d.noise_learned = 1;
    d.layers[0].kind = BNN_CONV, d.layers[0].size = d.layers[0].kernel = 2;
    d.layers[1].kind = BNN_GRU, d.layers[1].size = 2;
    d.layers[2].kind = BNN_DENSE, d.layers[2].size = 1, d.layers[2].dropout = (float)0.5;
    return bnn_layers(bnn_params_new(mem), d);
}

static void into_a_list(const unsigned char *bytes, size_t size) {
    bnn_arena mem;
    bnn_tape tape;
    bnn_net net;
    bnn_checkpoint c;
    float x[9] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 }, first;
    bnn_mat in;
    void *again;
    size_t n;
    memset(&mem, 0, sizeof mem);
    memset(&tape, 0, sizeof tape);
    memset(&c, 0, sizeof c);
    in.rows = 1, in.cols = 9, in.data = x;
    net = list_make(&mem);
    c.nets[0] = &net;
    first = net.params->theta[0];
    if (bnn_checkpoint_read(&mem, &c, bytes, size) != BNN_OK) {
        MUST(memcmp(&first, net.params->theta, sizeof first) == 0 && net.scaling.x_mean.cols == 0);
    } else {
        MUST(bnn_checkpoint_write(&mem, &c, &again, &n) == BNN_OK);
        MUST(bnn_checkpoint_read(&mem, &c, again, n) == BNN_OK);
        tape.training = 1;
        (void)bnn_predict(&mem, &tape, &net, NULL, in);
    }
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
}

/* A list that nobody made answers, if it is small. */
static void into_an_unread_list(const unsigned char *bytes, size_t size) {
    bnn_arena mem;
    bnn_tape tape;
    bnn_net net;
    bnn_checkpoint c;
    bnn_mat in;
    size_t l, widest = 0;
    memset(&mem, 0, sizeof mem);
    memset(&tape, 0, sizeof tape);
    memset(&c, 0, sizeof c);
    net = bnn_layers_unread(&mem);
    c.nets[0] = &net;
    if (bnn_checkpoint_read(&mem, &c, bytes, size) != BNN_OK) {
        MUST(net.params == NULL && net.mlp->at == NULL && mem.msg[0] != '\0');
    } else if (net.mlp->at != NULL) {
        MUST(net.params->n <= size);
        for (l = 0; l < net.mlp->n_layers; l++) {
            size_t n = bnn__pixels(net.mlp->at[l].in), k = bnn__pixels(net.mlp->at[l].out);
            widest = n > widest ? n : widest, widest = k > widest ? k : widest;
        }
        in = bnn_mat_new(&mem, 1, widest < 4096 ? bnn__pixels(net.mlp->at[0].in) : 0);
        (void)bnn_predict(&mem, &tape, &net, NULL, in);
    }
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
}

/* What examples/bnn.c saves: one net, its draws, its recipe and what else there is to say of it. */
static void into_a_model(const unsigned char *bytes, size_t size) {
    static const char csv[] = "a,b,y\n1,x,2020-01-01\n2,z,\n,x,yes\n";
    bnn_arena mem;
    bnn_tape tape;
    bnn_net net;
    bnn_ensemble post;
    bnn_bytes recipe, about, again;
    bnn_checkpoint c;
    bnn_recipe r, s;
    bnn_table t;
    bnn_csv_desc csv_desc;
    bnn_data d;
    memset(&mem, 0, sizeof mem), memset(&tape, 0, sizeof tape), memset(&net, 0, sizeof net);
    memset(&post, 0, sizeof post), memset(&recipe, 0, sizeof recipe), memset(&c, 0, sizeof c);
    memset(&about, 0, sizeof about), memset(&r, 0, sizeof r), memset(&s, 0, sizeof s);
    memset(&t, 0, sizeof t), memset(&csv_desc, 0, sizeof csv_desc);
    c.nets[0] = &net, c.ensembles[0] = &post, c.bytes[0] = &recipe, c.bytes[1] = &about;
    if (bnn_checkpoint_read(&mem, &c, bytes, size) != BNN_OK)
        MUST(net.params == NULL && recipe.data == NULL && about.data == NULL && mem.used == 0);
    else if (bnn_recipe_read(&mem, &r, recipe) != BNN_OK)
        MUST(r.n_inputs == 0 && mem.err == BNN_OK && mem.msg[0] != '\0');
    else if (r.n_inputs != 0) {
        MUST(bnn_table_parse(&mem, &t, csv, sizeof csv - 1, csv_desc) == BNN_OK);
        again = bnn_recipe_write(&mem, &r);
        MUST(bnn_recipe_read(&mem, &s, again) == BNN_OK && s.x_cols == r.x_cols);
        d = bnn_recipe_data(&mem, &r, &t, NULL);
        MUST(d.x.data == NULL || d.x.cols == r.x_cols);
        if (d.x.data != NULL && net.mlp != NULL && net.mlp->desc.sizes[0] == r.x_cols)
            (void)bnn_predict(&mem, &tape, &net, post.count ? &post : NULL, d.x);
    }
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    unsigned char *bytes = (unsigned char *)malloc(size + 1); /* its own, so that ASan sees its end */
    memcpy(bytes, data, size);
#ifndef FUZZ_RAW
    if (size >= 36) {
        uint32_t crc;
        size_t i;
        for (i = 0; i < 8; i++) bytes[16 + i] = (unsigned char)((uint64_t)size >> 8 * i & 0xff);
        crc = bnn__crc32(bytes, size - 4);
        for (i = 0; i < 4; i++) bytes[size - 4 + i] = (unsigned char)(crc >> 8 * i & 0xff);
    }
#endif
    into_new_objects(bytes, size);
    into_a_run(bytes, size);
    into_a_list(bytes, size);
    into_an_unread_list(bytes, size);
    into_a_model(bytes, size);
    free(bytes);
    return 0;
}

#ifdef FUZZ_SEEDS
static void seed_write(const char *folder, const char *name, bnn_arena *mem, const bnn_checkpoint *c) {
    char path[512];
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    MUST(n > 0 && n < (int)sizeof path && bnn_checkpoint_save(mem, path, c) == BNN_OK);
}

static void seed_model(const char *folder) {
    static const char csv[] = "a,b,y\n1,x,1\n2,z,2\n,x,3\n4,z,1\n";
    static char about[] = "nuts 1";
    world a;
    bnn_table t;
    bnn_csv_desc none;
    bnn_recipe_desc desc;
    bnn_recipe r;
    bnn_mlp_desc net;
    bnn_bytes recipe, text;
    bnn_checkpoint c;
    world_make(&a);
    memset(&t, 0, sizeof t), memset(&none, 0, sizeof none), memset(&desc, 0, sizeof desc);
    memset(&net, 0, sizeof net), memset(&c, 0, sizeof c);
    desc.target = "y", desc.missing = BNN_MISSING_INDICATOR;
    MUST(bnn_table_parse(&a.mem, &t, csv, sizeof csv - 1, none) == BNN_OK);
    r = bnn_recipe_new(&a.mem, &t, desc);
    recipe = bnn_recipe_write(&a.mem, &r);
    net.sizes[0] = r.x_cols, net.sizes[1] = 1, net.noise_learned = 1;
    a.net = bnn_mlp(bnn_params_new(&a.mem), net);
    MUST(bnn_net_standardize(&a.net, bnn_recipe_data(&a.mem, &r, &t, NULL)) == BNN_OK);
    a.post = bnn_ensemble_new(a.net.params, 3);
    MUST(bnn_ensemble_push(&a.post) == BNN_OK);
    text.data = about, text.size = sizeof about;
    c.nets[0] = &a.net, c.ensembles[0] = &a.post, c.bytes[0] = &recipe, c.bytes[1] = &text;
    seed_write(folder, "model.bnn", &a.mem, &c);
    world_free(&a);
}

int main(int argc, char **argv) {
    world a, b;
    bnn_checkpoint one;
    int i;
    MUST(argc == 2);
    seed_model(argv[1]);
    world_make(&a);
    seed_write(argv[1], "begun.bnn", &a.mem, &a.all);
    for (i = 0; i < 6; i++) {
        world_step(&a, &a.adam);
        world_step(&a, &a.hmc);
        world_noise(&a);
        MUST(bnn_ensemble_reservoir(&a.post, &a.tape.rng) == BNN_OK);
    }
    seed_write(argv[1], "run.bnn", &a.mem, &a.all);
    memset(&one, 0, sizeof one);
    one.nets[0] = &a.net;
    one.ensembles[0] = &a.post;
    seed_write(argv[1], "posterior.bnn", &a.mem, &one);
    world_make(&b);
    one.nets[1] = &b.net;
    seed_write(argv[1], "two.bnn", &a.mem, &one);
    b.net = a.net;
    b.net.mlp = NULL;
    seed_write(argv[1], "shared.bnn", &a.mem, &one);
    memset(&one, 0, sizeof one);
    one.rngs[2] = &a.tape.rng;
    seed_write(argv[1], "rng.bnn", &a.mem, &one);
    b.net = list_make(&a.mem);
    memset(&one, 0, sizeof one);
    one.nets[0] = &b.net;
    seed_write(argv[1], "list.bnn", &a.mem, &one);
    world_free(&a);
    world_free(&b);
    return 0;
}
#endif
#include "fuzz.h"
