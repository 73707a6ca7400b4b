/* test_layers_file.c -- lists of layers out of files into nets that nobody has made: what they
 * answer, how they go on, and what is refused. */
#include "build.h"
#include "world.h"

static const bnn_layers_desc lists[] = {
    { .input = { 5, 6, 2 }, .activation = BNN_TANH, .noise_std = 1, .layers = {
        { BNN_CONV, 3, .kernel = 3, .kernel_w = 2, .stride = 2, .pad = 1, .lr = 2 },
        { BNN_CONV, 3, .kernel = 3, .same = 1, .add = 1, .no_bias = 1, .frozen = 1 },
        { BNN_AVG_POOL, .kernel = 2, .stride = 1 }, { BNN_DENSE, 2 } } },
    { .input = { 6, 6, 1 }, .likelihood = BNN_CATEGORICAL, .prior = { .fan_in = 1 }, .layers = {
        { BNN_CONV, 4, .kernel = 3, .activation = BNN_IDENTITY },
        { BNN_NORM, 2, .activation = BNN_SILU }, { BNN_MAX_POOL, .kernel = 2 },
        { BNN_DENSE, 2, .dropout = (float)0.25 } } },
    { .input = { 1, 1, 3 }, .activation = BNN_SOFTPLUS, .noise_learned = 1, .layers = {
        { BNN_DENSE, 12, .image = { 2, 2, 3 } }, { BNN_UPSAMPLE, 2 },
        { BNN_CONV_TRANSPOSE, 2, .kernel = 4, .stride = 2, .pad = 1, .prior = { .std = 3 } },
        { BNN_NORM, .no_bias = 1 }, { BNN_AVG_POOL, .dropout = (float)0.5 } } },
    { .input = { 5, 1, 3 }, .likelihood = BNN_STUDENT, .noise_std = 2, .nu = 3, .layers = {
        { BNN_GRU, 4, .sequence = 1, .dropout = (float)0.25 }, { BNN_LSTM, 3 },
        { BNN_DENSE, 2 } } },
    { .input = { 4, 2, 2 }, .no_bias = 1, .likelihood = BNN_POISSON, .layers = {
        { BNN_LSTM, 4, .sequence = 1 }, { BNN_LSTM, 4, .sequence = 1, .add = 1 },
        { BNN_GRU, 2 } } },
    { .input = { 1, 1, 4 }, .likelihood = BNN_GAUSSIAN_HETERO, .layers = {
        { BNN_DENSE, 5, .activation = BNN_GELU }, { BNN_DENSE, 2 } } } };

static bnn_net make(bnn_layers_desc d) {
    d.seed = build_seed(3);
    return bnn_layers(bnn_params_new(&mem), d);
}
static size_t inputs_of(const bnn_layers_desc *d) { return d->input.h * d->input.w * d->input.c; }

typedef struct file { void *bytes; size_t size; } file;
static file write_it(const bnn_checkpoint *c) {
    file f = { NULL, 0 };
    CHECK(bnn_checkpoint_write(&mem, c, &f.bytes, &f.size) == BNN_OK);
    return f;
}
static int read_it(const bnn_checkpoint *c, file f) {
    return bnn_checkpoint_read(&mem, c, f.bytes, f.size);
}

/* One gradient's step, after which both are as equal as before. */
static void go_on(bnn_net *net, bnn_data d) {
    bnn_stepper s = bnn_sgd(net->params, (bnn_sgd_desc){ .lr = (float)0.1 });
    bnn_tape_reset(&tape);
    tape.rng = bnn_rng_seed(build_seed(8)), tape.training = 1;
    bnn_backward(bnn_net_loss(net, bnn_batch_all(&tape, d)));
    bnn_step(&s, &tape);
    tape.training = 0;
}

static void a_net_that_nobody_made_is_the_list_of_the_file(void) {
    for (size_t i = 0; i < COUNT(lists); i++) {
        open_all(i + 1);
        const bnn_layers_desc *l = &lists[i];
        bnn_net net = make(*l), back = bnn_layers_unread(&mem);
        if (!CHECK(net.params != NULL)) printf("    %s\n", mem.msg);
        size_t outs = l->likelihood == BNN_GAUSSIAN_HETERO ? 1 : 2;
        bnn_data d = { normals(9, inputs_of(l), 2), normals(9, l->likelihood ? 1 : 2, 1) };
        if (l->likelihood == BNN_STUDENT) d.y = normals(9, 2, 1);
        for (size_t j = 0; l->likelihood == BNN_CATEGORICAL && j < 9; j++)
            d.y.data[j] = (float)(j % 2);
        if (l->likelihood == BNN_POISSON || l->noise_learned)
            d.y = bnn_mat_new(&mem, 9, outs), bnn_mat_fill(d.y, 1);
        if (!l->noise_learned && l->likelihood != BNN_POISSON)
            CHECK(bnn_net_standardize(&net, d) == BNN_OK);
        bnn_ensemble post = bnn_ensemble_new(net.params, 2), again = { 0 };
        bnn_ensemble_push(&post);
        go_on(&net, d);
        bnn_ensemble_push(&post);
        bnn_checkpoint c = { .nets = { &net }, .ensembles = { &post } };
        file f = write_it(&c);
        c = (bnn_checkpoint){ .nets = { &back }, .ensembles = { &again } };
        if (!CHECK(read_it(&c, f) == BNN_OK)) printf("    %zu: %s\n", i, mem.msg);
        if (!CHECK(back.params != NULL && back.params->n == net.params->n)) return;
        CHECK(again.params == back.params && again.count == 2);
        for (int step = 0; step < 2; step++) {
            CHECK_SAME_ARRAY(back.params->theta, net.params->theta, net.params->n);
            bnn_predictive p = bnn_predict(&mem, &tape, &net, step ? NULL : &post, d.x);
            bnn_predictive q = bnn_predict(&mem, &tape, &back, step ? NULL : &again, d.x);
            if (CHECK(p.mean.data != NULL && q.mean.data != NULL)) {
                CHECK_SAME_ARRAY(p.mean.data, q.mean.data, 9 * p.mean.cols);
                CHECK_SAME_ARRAY(p.aleatoric.data, q.aleatoric.data, 9 * p.mean.cols);
            }
            for (size_t b = 0; b < net.params->n_blocks; b++) {
                const bnn_block *x = &net.params->blocks[b], *y = &back.params->blocks[b];
                CHECK(strcmp(x->name, y->name) == 0 && x->rows == y->rows && x->cols == y->cols);
                CHECK_SAME(x->lr, y->lr);
                CHECK_SAME(x->prior.std, y->prior.std);
                CHECK_SAME(x->prior.mean, y->prior.mean);
            }
            CHECK_SAME(bnn_params_log_prior(net.params), bnn_params_log_prior(back.params));
            go_on(&net, d), go_on(&back, d); /* dropout, frozen weights and factors of lr */
        }
        again = bnn_ensemble_new(back.params, 2), bnn_ensemble_push(&again);
        post = bnn_ensemble_new(net.params, 2), bnn_ensemble_push(&post);
        file x = write_it(&(bnn_checkpoint){ .nets = { &net }, .ensembles = { &post } });
        file y = write_it(&c);
        CHECK(x.size == y.size && memcmp(x.bytes, y.bytes, x.size) == 0);
        close_all();
    }
}

static void it_shrinks_and_has_noise_like_the_one_that_was_saved(void) {
    open_all(1);
    bnn_net net = make((bnn_layers_desc){ .input = { 6, 6, 1 }, .noise_std = 1, .layers = {
        { BNN_CONV, 4, .kernel = 3 }, { BNN_MAX_POOL, .kernel = 2 }, { BNN_DENSE, 3 } } });
    bnn_net back = bnn_layers_unread(&mem), less[2], noisy[2];
    bnn_mat x = normals(5, 36, 1);
    const unsigned char filters[] = { 1, 0, 1, 1 }, *const keep[] = { filters, NULL };
    file f = write_it(&(bnn_checkpoint){ .nets = { &net } });
    CHECK(read_it(&(bnn_checkpoint){ .nets = { &back } }, f) == BNN_OK);
    for (int i = 0; i < 2; i++) {
        bnn_net *from = i ? &back : &net;
        bnn_meanfield q = bnn_meanfield_new(from->params, (bnn_meanfield_desc){ .init_std = 1 });
        less[i] = bnn_mlp_shrink(bnn_params_new(&mem), from, keep);
        noisy[i] = bnn_meanfield_net(&q, from, BNN_NOISE_LOCAL);
        tape.rng = bnn_rng_seed(build_seed(5));
        less[i].noise_std = 1;
        bnn_tape_reset(&tape);
        bnn_var *y = noisy[i].forward(&tape, &noisy[i], bnn_input(&tape, x));
        bnn_mat copy = bnn_mat_copy(&mem, y->val);
        static bnn_mat first, small;
        bnn_mat answer = bnn_predict(&mem, &tape, &less[i], NULL, x).mean;
        if (i == 0) first = copy, small = answer;
        if (!CHECK(copy.data != NULL && answer.data != NULL && less[i].params->n == 3 * 10 + 39))
            continue;
        CHECK_SAME_ARRAY(first.data, copy.data, 15);
        CHECK_SAME_ARRAY(small.data, answer.data, 15);
    }
    close_all();
}

static void a_bnn_mlp_can_be_read_there_too(void) {
    open_all(1);
    bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 3, 5, 2 },
                              .noise_std = 1 }), own = net;
    bnn_net back = bnn_layers_unread(&mem), none = bnn_layers_unread(&mem);
    bnn_mat x = normals(4, 3, 1);
    file f = write_it(&(bnn_checkpoint){ .nets = { &net } });
    CHECK(read_it(&(bnn_checkpoint){ .nets = { &back } }, f) == BNN_OK);
    CHECK_SAME_ARRAY(bnn_predict(&mem, &tape, &back, NULL, x).mean.data,
                     bnn_predict(&mem, &tape, &net, NULL, x).mean.data, 8);
    own.mlp = NULL; /* a forward of the user's is nobody else's */
    f = write_it(&(bnn_checkpoint){ .nets = { &own } });
    CHECK(read_it(&(bnn_checkpoint){ .nets = { &none } }, f) == BNN_EARG && none.params == NULL);
    CHECK(strstr(mem.msg, "net 0 must be made before it is loaded") != NULL);
    close_all();
}

static void what_is_not_read_is_no_net(void) {
    open_all(1);
    bnn_net net = make(lists[1]), none = { 0 }, unread = bnn_layers_unread(&mem);
    bnn_mat x = normals(4, 36, 1);
    file f = write_it(&(bnn_checkpoint){ .nets = { &net } });
    CHECK(read_it(&(bnn_checkpoint){ .nets = { &none } }, f) == BNN_EARG && none.params == NULL);
    CHECK(strstr(mem.msg, "net 0 must be made before it is loaded, one of bnn_layers by "
                          "bnn_layers_unread") != NULL);
    CHECK(bnn_predict(&mem, &tape, &unread, NULL, x).mean.data == NULL);
    CHECK(took(BNN_EARG, "the net was not made"));
    bnn_net_loss(&unread, bnn_batch_all(&tape, (bnn_data){ x, normals(4, 1, 1) }));
    CHECK(took(BNN_EARG, "the net was not made"));
    CHECK(bnn_checkpoint_write(&mem, &(bnn_checkpoint){ .nets = { &unread } }, &f.bytes,
                               &f.size) == BNN_EARG);
    bnn_mlp_shrink(bnn_params_new(&mem), &unread, NULL);
    CHECK(mem_took(BNN_EARG, "bnn_mlp_shrink: not a bnn_mlp or bnn_layers"));
    bnn_emit_c(&mem, &tape, &unread, NULL, (bnn_emit_desc){ .name = "net" });
    CHECK(tape.err != BNN_OK);
    bnn_tape_clear_error(&tape);
    CHECK(bnn_layers_unread(NULL).params == NULL && bnn_layers_unread(NULL).mlp == NULL);
    close_all();
}

static void seal(file f) { /* the checksum of what was changed */
    uint32_t crc = bnn__crc32((unsigned char *)f.bytes, f.size - 4);
    for (int i = 0; i < 4; i++) ((unsigned char *)f.bytes)[f.size - 4 + (size_t)i] =
        (unsigned char)(crc >> 8 * i & 0xff);
}

/* Any byte that is another: read as it says or refused, and nothing is half made. */
static void damage_behind_a_good_checksum_is_refused_or_harmless(void) {
    size_t refused = 0;
    for (size_t i = 0; i < COUNT(lists); i++) {
        open_all(1);
        bnn_net net = make(lists[i]);
        file f = write_it(&(bnn_checkpoint){ .nets = { &net } });
        for (size_t n = 32; n < f.size - 4; n++)
            for (int bit = 0; bit < 8; bit++) {
                bnn_mark mark = bnn_arena_mark(&mem);
                unsigned char *p = (unsigned char *)f.bytes + n;
                bnn_net back = bnn_layers_unread(&mem);
                struct bnn__mlp *was = back.mlp;
                *p ^= (unsigned char)(1 << bit), seal(f);
                if (read_it(&(bnn_checkpoint){ .nets = { &back } }, f) == BNN_OK)
                    CHECK(back.params != NULL && back.params->n == net.params->n);
                else refused += back.params == NULL && back.mlp == was && mem.msg[0] != 0;
                *p ^= (unsigned char)(1 << bit);
                if (mem.err == BNN_ENOMEM) mem.err = BNN_OK;
                bnn_arena_rewind(&mem, mark);
            }
        close_all();
    }
    CHECK(refused > 1000);
}

/* Bytes behind the list, in its section, under a good checksum */
static void what_stands_behind_the_layers_is_refused(void) {
    open_all(1);
    bnn_net net = make(lists[0]);
    file f = write_it(&(bnn_checkpoint){ .nets = { &net } }), g;
    g.size = f.size + 4;
    g.bytes = bnn_arena_alloc(&mem, g.size, 1);
    unsigned char *p = g.bytes;
    size_t at = 0;
    memcpy(p, f.bytes, f.size - 4);
    for (size_t i = 32; i < f.size - 4; i++) if (memcmp(p + i, "NET ", 4) == 0) at = i;
    p[16] = (unsigned char)(p[16] + 4), p[at + 8] = (unsigned char)(p[at + 8] + 4); /* no carry here */
    CHECK(p[16] >= 4 && p[at + 8] >= 4);
    seal(g);
    bnn_net back = bnn_layers_unread(&mem);
    struct bnn__mlp *was = back.mlp;
    CHECK(read_it(&(bnn_checkpoint){ .nets = { &back } }, g) != BNN_OK);
    CHECK(back.params == NULL && back.mlp == was && strstr(mem.msg, "net 0 has other layers") != NULL);
    close_all();
}

static void another_list_is_named_by_layer_and_shapes(void) {
    static const struct { bnn_layer d; size_t at; const char *says; } others[] = {
        { { BNN_AVG_POOL, .kernel = 2 }, 1, "layer 2 is max pool to 3x3x4 in the file, avg pool to "
          "3x3x4 in the net: another kind" },
        { { BNN_CONV, 5, .kernel = 3, .pad = 1 }, 0, "layer 1 is conv to 6x6x4 in the file, conv "
          "to 6x6x5 in the net: another size" },
        { { BNN_CONV, 4, .kernel = 5, .pad = 2 }, 0, "layer 1 is conv to 6x6x4 in the file, conv "
          "to 6x6x4 in the net: another kernel" },
        { { BNN_CONV, 4, .kernel = 3 }, 0, "layer 1 is conv to 6x6x4 in the file, conv to 4x4x4 in "
          "the net: another pad" },
        { { BNN_DENSE, .size = 7 }, 2, "layer 3 is dense to 1x1x3 in the file, dense to 1x1x7 in the net: "
          "another size" },
        { { BNN_NORM, .size = 1 }, 3, "layer 4 is norm to 1x1x3 in the net, the file has 3 layers" } };
    const bnn_layers_desc kept = { .input = { 6, 6, 1 }, .noise_std = 1, .layers = {
        { BNN_CONV, 4, .kernel = 3, .pad = 1 }, { BNN_MAX_POOL, .kernel = 2 }, { BNN_DENSE, 3 } } };
    open_all(1);
    bnn_net net = make(kept);
    file f = write_it(&(bnn_checkpoint){ .nets = { &net } });
    for (size_t i = 0; i <= COUNT(others) + 1; i++) {
        bnn_layers_desc d = kept;
        const char *says = "layer 1 is for 6x6x1 in the file, for 8x8x1 in the net";
        if (i < COUNT(others)) d.layers[others[i].at] = others[i].d, says = others[i].says;
        if (i == COUNT(others)) d.input.h = d.input.w = 8;
        if (i == COUNT(others) + 1) {
            d.layers[2].kind = 0, d.layers[0].activation = BNN_RELU; /* of what is last now */
            says = "layer 3 is dense to 1x1x3 in the file, the net has 2 layers";
        }
        net = make(d);
        float first = net.params->theta[0];
        if (!CHECK(read_it(&(bnn_checkpoint){ .nets = { &net } }, f) == BNN_ESHAPE &&
                   strstr(mem.msg, says) != NULL)) printf("    %s\n", mem.msg);
        CHECK_SAME(net.params->theta[0], first);
    }
    net = make(kept), net.mlp->first = 1; /* as if it stood behind another */
    if (!CHECK(read_it(&(bnn_checkpoint){ .nets = { &net } }, f) == BNN_ESHAPE &&
               strstr(mem.msg, "first block is 0 in the file, 1 in the net") != NULL))
        printf("    %s\n", mem.msg);
    bnn_mlp_desc m = { .sizes = { 3, 4, 4, 2 }, .noise_std = 1 };
    net = bnn_mlp(bnn_params_new(&mem), m);
    f = write_it(&(bnn_checkpoint){ .nets = { &net } });
    for (int i = 0; i < 2; i++) {
        m.sizes[2] = i ? 2 : 5, m.sizes[3] = i ? 0 : 2;
        net = bnn_mlp(bnn_params_new(&mem), m);
        if (!CHECK(read_it(&(bnn_checkpoint){ .nets = { &net } }, f) == BNN_ESHAPE &&
                   strstr(mem.msg, i ? "layer 2 is 4x4 in the file, 4x2 in the net"
                                     : "layer 2 is 4x4 in the file, 4x5 in the net") != NULL))
            printf("    %s\n", mem.msg);
    }
    close_all();
}

/* ---- memory that ends at the n-th request */

static size_t left;
static void *spare(void *user, void *p, size_t was, size_t size) {
    (void)user, (void)was;
    if (size == 0) { free(p); return NULL; }
    return left == 0 ? NULL : (left--, realloc(p, size));
}

static void without_memory_nothing_is_made(void) {
    open_all(1);
    bnn_net net = make(lists[2]);
    file f = write_it(&(bnn_checkpoint){ .nets = { &net } });
    int err = BNN_ENOMEM;
    for (size_t n = 0; err != BNN_OK && CHECK(n < 99); n++) {
        bnn_arena a = { .alloc = { spare, NULL } };
        left = n;
        bnn_net back = bnn_layers_unread(&a);
        err = bnn_checkpoint_read(&a, &(bnn_checkpoint){ .nets = { &back } }, f.bytes, f.size);
        CHECK(err == BNN_OK ? back.params != NULL : err == BNN_ENOMEM && back.params == NULL);
        bnn_arena_free(&a);
    }
    close_all();
}

int main(void) {
    RUN(a_net_that_nobody_made_is_the_list_of_the_file);
    RUN(it_shrinks_and_has_noise_like_the_one_that_was_saved);
    RUN(a_bnn_mlp_can_be_read_there_too);
    RUN(what_is_not_read_is_no_net);
    RUN(damage_behind_a_good_checksum_is_refused_or_harmless);
    RUN(what_stands_behind_the_layers_is_refused);
    RUN(another_list_is_named_by_layer_and_shapes);
    RUN(without_memory_nothing_is_made);
    return check_done();
}
