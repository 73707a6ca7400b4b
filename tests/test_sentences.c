/* test_sentences.c -- errors and notes that the tests of their parts do not provoke: code and
 * words. tests/sentences.sh lists what no test provokes. */
#if defined(__unix__) || defined(__APPLE__)
#define _XOPEN_SOURCE 700
#include <unistd.h>
#define HAVE_LINKS 1
#endif
#include "build.h"
#include "world.h"

static bnn_var *input(size_t rows, size_t cols, float *data) {
    bnn_mat m;
    m.rows = rows, m.cols = cols, m.data = data;
    return bnn_input(&tape, m);
}
static bnn_var *filled(size_t rows, size_t cols, double value) {
    bnn_mat m = bnn_mat_new(&mem, rows, cols);
    bnn_mat_fill(m, (float)value);
    return bnn_input(&tape, m);
}
static bnn_data pairs(size_t n) { /* n rows of x and y */
    bnn_data d;
    d.x = normals(n, 1, 1), d.y = normals(n, 1, 1);
    return d;
}
static bnn_net net_of(bnn_params *w, size_t hidden, int prior) {
    bnn_mlp_desc d;
    memset(&d, 0, sizeof d);
    d.sizes[0] = 1, d.sizes[1] = hidden, d.sizes[2] = hidden != 0, d.sizes[hidden != 0 ? 2 : 1] = 1;
    d.noise_std = 1;
    d.prior.kind = prior;
    return bnn_mlp(w, d);
}
static bnn_prior standard(void) {
    bnn_prior p;
    memset(&p, 0, sizeof p);
    return p;
}

/* ---- codes, memory */

static void every_code_has_a_sentence(void) {
    static const char *const text[] = { "no error", "out of memory", "shapes do not fit",
        "argument outside its domain", "not a finite number", "input or output failed",
        "wrong file format", "canceled" };
    int err;
    for (err = BNN_OK; err <= BNN_ECANCEL; err++) CHECK(strcmp(bnn_strerror(err), text[err]) == 0);
    CHECK(strcmp(bnn_strerror(-1), "unknown error") == 0);
    CHECK(strcmp(bnn_strerror(99), "unknown error") == 0);
}

static void sizes_of_an_arena_do_not_overflow(void) {
    CHECK(bnn_arena_alloc(&mem, SIZE_MAX - 8, 1) == NULL);
    CHECK(mem_took(BNN_ENOMEM, "overflow"));
    CHECK(bnn_arena_alloc(&mem, SIZE_MAX / 2, 4) == NULL);
    CHECK(mem_took(BNN_ENOMEM, "overflow"));
    close_all();
}

/* ---- choices and parameters */

static void laws_refuse_shapes_and_scales_by_name(void) {
    float prior[2] = { 1, 0 };
    bnn_var *a;
    open_all(1);
    a = filled(2, 2, 1);
    (void)bnn_kl_dirichlet(a, prior);
    CHECK(took(BNN_EARG, "bnn_kl_dirichlet: prior 0, entry 1"));
    prior[0] = (float)bnn__inf();
    (void)bnn_kl_dirichlet(a, prior);
    CHECK(took(BNN_EARG, "bnn_kl_dirichlet: prior inf, entry 0"));
    (void)bnn_beta_entropy(filled(2, 3, 1), filled(2, 2, 1));
    CHECK(took(BNN_ESHAPE, "bnn_beta: a is 2x3, b is 2x2"));
    (void)bnn_soft_mix(filled(4, 1, 1), filled(3, 1, 1), NULL, 0.5f);
    CHECK(took(BNN_ESHAPE, "bnn_soft_mix: losses per row are 4x1 and 3x1"));
    {
        bnn_soft_desc d = { 0 };
        float label[2] = { 0, 1 };
        d.lambda = 0.5f;
        (void)bnn_soft_nll(filled(2, 2, 0), input(2, 1, label), NULL, NULL, d);
        CHECK(took(BNN_EARG, "bnn_soft_nll: the target is missing"));
    }
    close_all();
}

static void noise_in_layers_has_the_shapes_of_weights(void) {
    bnn_var *x, *w, *b;
    open_all(1);
    x = filled(4, 3, 1), w = filled(3, 2, 1), b = filled(1, 2, 1);
    (void)bnn_affine_local(x, w, filled(2, 3, 1), NULL, NULL);
    CHECK(took(BNN_ESHAPE, "bnn_affine_local: w is 3x2, its noise 2x3"));
    (void)bnn_affine_flipout(x, w, filled(3, 2, 1), b, NULL);
    CHECK(took(BNN_EARG, "bnn_affine_flipout: b and its noise go together"));
    close_all();
}

static void nothing_is_no_net(void) {
    bnn_net none;
    float x[2] = { 0, 1 };
    memset(&none, 0, sizeof none);
    (void)bnn_prior_nll(&tape, NULL);
    CHECK(took(BNN_EARG, "bnn_prior_nll: no parameters"));
    (void)bnn_net_forward(&none, input(2, 1, x));
    CHECK(took(BNN_EARG, "the net was not made"));
    close_all();
}

static void standardizing_needs_data(void) {
    bnn_net net;
    bnn_data d;
    open_all(1);
    net = net_of(bnn_params_new(&mem), 2, 0);
    d = pairs(3);
    d.x.data = NULL;
    CHECK(bnn_net_standardize(&net, d) == BNN_EARG);
    CHECK(strstr(mem.msg, "bnn_net_standardize: x is a 3x1 matrix without data") != NULL);
    close_all();
}

static void squares_of_gradients_need_each_block_once(void) {
    bnn_params *w;
    bnn_var *k, *x;
    float out[1];
    open_all(1);
    w = bnn_params_new(&mem);
    bnn_params_add(w, 1, 1, "k", standard());
    x = filled(3, 1, 1);
    k = bnn_param(&tape, w, 0);
    bnn_backward(bnn_mean(bnn_add(bnn_affine(x, k, NULL), bnn_affine(bnn_exp(x), k, NULL))));
    bnn_grad_squares(out, &tape, w);
    CHECK(took(BNN_EARG, "bnn_grad_squares: block 0 (k) is used more than once, or with other "
               "rows"));
    close_all();
}

/* ---- steppers */

static bnn_var *rising(bnn_tape *t, void *user) { /* every look at it is 1e4 nats higher */
    bnn_params *w = (bnn_params *)user;
    static double height;
    height += 1e4;
    return bnn_shift(bnn_sum(bnn_square(bnn_param(t, w, 0))), (float)height);
}

static void hmc_that_accepts_nothing_says_so(void) {
    bnn_hmc_desc d = { 0 };
    bnn_stepper s;
    int i;
    open_all(1);
    d.energy = rising;
    d.warmup = 1000;
    d.user = bnn_params_new(&mem);
    bnn_params_add((bnn_params *)d.user, 1, 2, "v", standard());
    s = bnn_hmc((bnn_params *)d.user, d);
    for (i = 0; i < 1000 && tape.err == BNN_OK; i++) {
        bnn_tape_reset(&tape);
        bnn_step(&s, &tape);
    }
    CHECK(took(BNN_ENONFINITE, "bnn_hmc: the step fell to "));
    CHECK(i > 1 && i < 1000);
    close_all();
}

static void adadelta_names_the_mean_that_overflows(void) {
    bnn_adadelta_desc d = { 0 };
    bnn_params *w;
    bnn_stepper s;
    float before;
    open_all(1);
    w = bnn_params_new(&mem);
    bnn_params_add(w, 1, 1, "v", standard());
    s = bnn_adadelta(w, d);
    s.s2[0] = (float)BUILD_TOL(3e38, 1.7e308);
    w->theta[0] = before = 2;
    bnn_backward(bnn_sum(bnn_square(bnn_param(&tape, w, 0))));
    bnn_step(&s, &tape);
    CHECK(took(BNN_ENONFINITE, "bnn_step: bnn_adadelta: a mean of steps^2 in block 0 (v) would "
               "overflow"));
    CHECK_SAME(w->theta[0], before);
    close_all();
}

static void a_mean_field_tells_the_error_of_its_arena(void) {
    bnn_meanfield_desc d = { 0 };
    bnn_params *w;
    bnn_meanfield q;
    open_all(1);
    w = bnn_params_new(&mem);
    bnn_params_add(w, 1, 1, "v", standard());
    d.init_std = 0.1f;
    q = bnn_meanfield_new(w, d);
    (void)bnn_arena_alloc(&mem, SIZE_MAX / 2, 4);
    bnn_meanfield_sample(&q, &tape);
    CHECK(took(BNN_ENOMEM, "bnn_meanfield_sample: arena: "));
    CHECK(mem_took(BNN_ENOMEM, "overflow"));
    close_all();
}

/* ---- curvature */

static void gaussians_without_width_have_no_density(void) {
    float mean[2] = { 0, 0 }, width[2] = { 1, 0 };
    bnn_mat cov;
    bnn_gaussian g;
    cov.rows = 1, cov.cols = 2, cov.data = width;
    g = bnn_gaussian_new(&mem, 2, mean, cov);
    (void)bnn_kl_gaussian(filled(1, 2, 0), filled(1, 2, 1), &g);
    CHECK(took(BNN_EARG, "bnn_kl_gaussian: bnn_gaussian: the covariance is not positive definite "
               "at pivot 1, where the variance is 0"));
    mem.err = BNN_OK;
    width[1] = 1;
    g = bnn_gaussian_new(&mem, 2, mean, cov);
    (void)bnn_kl_gaussian(filled(1, 2, 0), filled(1, 2, 0), &g);
    CHECK(took(BNN_EARG, "bnn_kl_gaussian: sd 0 of weight 0"));
    close_all();
}

static void gaussians_tell_that_their_arena_is_full(void) {
    static unsigned char space[8192];
    float mean[2] = { 0, 0 }, full[4] = { 2, 1, 1, 2 };
    size_t capacity;
    int said = 0;
    bnn_var *mu = filled(1, 2, 0), *sd = filled(1, 2, 1);
    for (capacity = 256; capacity <= sizeof space; capacity += 64) {
        bnn_arena little = { 0 };
        bnn_gaussian g;
        bnn_mat cov;
        cov.rows = cov.cols = 2, cov.data = full;
        little.buffer = space, little.capacity = capacity;
        g = bnn_gaussian_new(&little, 2, mean, cov);
        if (little.err != BNN_OK) continue;
        (void)bnn_kl_gaussian(mu, sd, &g);
        if (tape.err != BNN_OK) said += took(BNN_ENOMEM, "bnn_kl_gaussian: arena: the buffer of ");
    }
    CHECK(said > 0);
    close_all();
}

static void laplace_says_what_has_no_curvature(void) {
    bnn_params *w;
    bnn_net net;
    bnn_data d;
    open_all(1);
    w = bnn_params_new(&mem);
    net = net_of(w, 2, BNN_PRIOR_FLAT);
    memset(w->theta, 0, w->n * sizeof *w->theta);
    d = pairs(4);
    (void)bnn_laplace_new(&mem, &tape, &net, d, BNN_LAPLACE_DIAGONAL);
    CHECK(took(BNN_EARG, "bnn_laplace_new: weight 0 has no curvature and no prior"));
    bnn_params_lr(w, 0, 0); /* counted from the first of all, as elsewhere */
    (void)bnn_laplace_new(&mem, &tape, &net, d, BNN_LAPLACE_DIAGONAL);
    CHECK(took(BNN_EARG, "bnn_laplace_new: weight 2 has no curvature and no prior"));
    w = bnn_params_new(&mem);
    net = net_of(w, 0, 0);
    memset(w->theta, 0, w->n * sizeof *w->theta);
    bnn_mat_fill(d.x, (float)BUILD_TOL(1e30, 1e200));
    (void)bnn_laplace_new(&mem, &tape, &net, d, BNN_LAPLACE_KRON);
    CHECK(took(tape.err, "bnn_laplace_new: the factors of layer 1 have no eigenvalues"));
    mem.err = BNN_OK;
    (void)bnn_arena_alloc(&mem, SIZE_MAX / 2, 4);
    (void)bnn_laplace_new(&mem, &tape, &net, d, BNN_LAPLACE_KRON);
    CHECK(took(BNN_ENOMEM, "bnn_laplace_new: arena: "));
    CHECK(mem_took(BNN_ENOMEM, "overflow"));
    close_all();
}

static void laplace_says_where_its_answers_end(void) {
    static unsigned char space[256];
    bnn_arena little = { 0 };
    bnn_params *w;
    bnn_net net;
    bnn_data d;
    bnn_laplace la;
    bnn_mat far_off, cov;
    open_all(1);
    w = bnn_params_new(&mem);
    net = net_of(w, 0, 0);
    d = pairs(10);
    la = bnn_laplace_new(&mem, &tape, &net, d, BNN_LAPLACE_FULL);
    la.mean[0] = 100;
    far_off = bnn_mat_new(&mem, 3, 1);
    far_off.data[1] = (float)BUILD_TOL(3e38, 1.7e308);
    (void)bnn_laplace_predict(&mem, &tape, &la, far_off);
    CHECK(took(BNN_ENONFINITE, "bnn_laplace_predict: sample 0, row 1, column 0: the output "));
    little.buffer = space, little.capacity = sizeof space;
    (void)bnn_laplace_outputs(&little, &tape, &la, normals(100, 1, 1), &cov);
    CHECK(took(BNN_ENOMEM, "bnn_laplace_outputs: arena: the buffer of 256 bytes"));
    close_all();
}

static void a_net_to_be_made_smaller_is_alone(void) {
    bnn_params *w, *to;
    bnn_net net;
    bnn_gaussian g, out;
    bnn_mat cov;
    open_all(1);
    w = bnn_params_new(&mem), to = bnn_params_new(&mem);
    net = net_of(w, 2, 0);
    bnn_params_add(w, 1, 1, "mine", standard());
    cov = bnn_mat_new(&mem, 1, w->n);
    bnn_mat_fill(cov, 1);
    g = bnn_gaussian_new(&mem, w->n, w->theta, cov);
    (void)bnn_drop_layer(to, &out, &net, &g, 1);
    CHECK(mem_took(BNN_EARG, "bnn_drop_layer: the net must be alone in its parameters"));
    close_all();
}

static void a_graph_knows_its_gammas(void) {
    static const bnn_candidate ops[] = { { "a", NULL, 1 }, { "b", NULL, 1 } };
    static const bnn_edge edges[] = { { 0, 1, ops, 2 } };
    bnn_graph_desc d = { 0 };
    bnn_net net;
    float x[2] = { 0, 1 };
    open_all(1);
    d.inputs = 1, d.edges = edges, d.n_edges = 1, d.noise_std = 1;
    net = bnn_graph(bnn_params_new(&mem), bnn_params_new(&mem), d);
    CHECK(mem.err == BNN_OK && net.user != NULL);
    ((bnn_structure *)net.user)->gamma = 99;
    (void)bnn_net_forward(&net, input(2, 1, x));
    CHECK(took(BNN_EARG, "bnn_graph: gamma is 99"));
    close_all();
}

/* ---- files */

static void *written;
static size_t written_size;

static int write_it(const bnn_checkpoint *c) {
    return bnn_checkpoint_write(&mem, c, &written, &written_size);
}
static int said(const char *part) { return strstr(mem.msg, part) != NULL; }

static void a_checkpoint_knows_which_net_of_a_store(void) {
    bnn_checkpoint c = { 0 };
    bnn_params *w;
    bnn_net first, second;
    open_all(1);
    w = bnn_params_new(&mem);
    first = net_of(w, 2, 0), second = net_of(w, 2, 0);
    c.nets[0] = &first;
    CHECK(write_it(&c) == BNN_OK);
    c.nets[0] = &second;
    CHECK(bnn_checkpoint_read(&mem, &c, written, written_size) == BNN_ESHAPE);
    CHECK(said("net 0 has other layers"));
    close_all();
}

static void learned_noise_in_a_file_has_a_place(void) {
    bnn_checkpoint c = { 0 };
    bnn_params *w;
    bnn_net net;
    open_all(1);
    w = bnn_params_new(&mem);
    net = net_of(w, 2, 0);
    net.noise_learned = 1;
    net.noise = bnn_params_add(w, 0, 1, "no", standard());
    mem.err = BNN_OK;
    c.nets[0] = &net;
    CHECK(write_it(&c) == BNN_OK);
    CHECK(bnn_checkpoint_read(&mem, &c, written, written_size) == BNN_EFORMAT);
    CHECK(said("net 0 has no place for its noise"));
    close_all();
}

static void a_stepper_in_a_file_has_what_it_needs(void) {
    bnn_checkpoint c = { 0 };
    bnn_sgd_desc sgd = { 0 };
    bnn_sghmc_desc sghmc = { 0 };
    bnn_hmc_desc hmc = { 0 };
    bnn_params *w;
    bnn_net net;
    bnn_stepper s, other;
    open_all(1);
    w = bnn_params_new(&mem);
    net = net_of(w, 2, 0);
    s = bnn_sgd(w, sgd);
    s.momentum = 0.9f;
    c.nets[0] = &net, c.steppers[0] = &s;
    CHECK(write_it(&c) != BNN_OK && said("stepper 0 lacks state vectors"));
    s = bnn_sghmc(w, sghmc);
    s.noise_estimate = 0.5f;
    CHECK(write_it(&c) != BNN_OK && said("stepper 0 has more noise than friction"));
    hmc.net = &net, hmc.data = pairs(3), hmc.warmup = 10;
    other = bnn_hmc(w, hmc);
    hmc.adapt_mass = 1;
    s = bnn_hmc(w, hmc);
    CHECK(write_it(&c) == BNN_OK);
    c.steppers[0] = &other;
    CHECK(bnn_checkpoint_read(&mem, &c, written, written_size) == BNN_ESHAPE);
    CHECK(said("adapt_mass differs"));
    close_all();
}

static void what_is_in_error_is_not_saved(void) {
    bnn_arena sick = { 0 };
    bnn_checkpoint c = { 0 };
    bnn_net net;
    net = net_of(bnn_params_new(&sick), 2, 0);
    (void)bnn_arena_alloc(&sick, SIZE_MAX / 2, 4);
    c.nets[0] = &net;
    CHECK(write_it(&c) == BNN_ENOMEM && said("arena: "));
    bnn_arena_free(&sick);
    close_all();
}

#ifdef HAVE_LINKS
static void a_save_says_what_is_wrong_with_its_path(void) {
    static unsigned char space[1 << 16];
    char dir[] = "/tmp/bnn_sentences_XXXXXX", file[80], below[80], link[80];
    size_t capacity;
    int full = 0, saved = 0;
    bnn_checkpoint c = { 0 };
    bnn_net net = net_of(bnn_params_new(&mem), 2, 0);
    if (mkdtemp(dir) == NULL) { CHECK(0); return; }
    snprintf(file, sizeof file, "%s/a", dir);
    snprintf(below, sizeof below, "%s/a/b", dir);
    snprintf(link, sizeof link, "%s/link", dir);
    c.nets[0] = &net;
    CHECK(bnn_checkpoint_save(&mem, file, &c) == BNN_OK);
    CHECK(bnn_checkpoint_save(&mem, below, &c) == BNN_EIO && said("a/b: cannot look at it: "));
    CHECK(symlink("a", link) == 0);
    for (capacity = 256; capacity <= sizeof space && !saved; capacity += 512) {
        bnn_arena little = { 0 };
        little.buffer = space, little.capacity = capacity;
        saved = bnn_checkpoint_save(&little, link, &c) == BNN_OK;
        full += strstr(little.msg, "arena: the buffer of ") != NULL;
        CHECK(saved || little.msg[0] != '\0');
    }
    CHECK(saved && full > 0);
    remove(link), remove(file), rmdir(dir);
    close_all();
}
#endif

static void a_prior_of_a_class_that_is_no_number_is_named(void) {
    bnn_tape t = { 0 };
    float logit[3] = { 0, 1, 2 }, prior[3] = { 1, 1, -1 };
    bnn_kl_categorical(bnn_input(&t, (bnn_mat){ 1, 3, logit }), prior);
    CHECK(t.err == BNN_EARG && strstr(t.msg, "prior -1 of class 2") != NULL);
    bnn_tape_free(&t);
}

int main(void) {
    RUN(a_prior_of_a_class_that_is_no_number_is_named);
    RUN(every_code_has_a_sentence);
    RUN(sizes_of_an_arena_do_not_overflow);
    RUN(laws_refuse_shapes_and_scales_by_name);
    RUN(noise_in_layers_has_the_shapes_of_weights);
    RUN(nothing_is_no_net);
    RUN(standardizing_needs_data);
    RUN(squares_of_gradients_need_each_block_once);
    RUN(hmc_that_accepts_nothing_says_so);
    RUN(adadelta_names_the_mean_that_overflows);
    RUN(a_mean_field_tells_the_error_of_its_arena);
    RUN(gaussians_without_width_have_no_density);
    RUN(gaussians_tell_that_their_arena_is_full);
    RUN(laplace_says_what_has_no_curvature);
    RUN(laplace_says_where_its_answers_end);
    RUN(a_net_to_be_made_smaller_is_alone);
    RUN(a_graph_knows_its_gammas);
    RUN(a_checkpoint_knows_which_net_of_a_store);
    RUN(learned_noise_in_a_file_has_a_place);
    RUN(a_stepper_in_a_file_has_what_it_needs);
    RUN(what_is_in_error_is_not_saved);
#ifdef HAVE_LINKS
    RUN(a_save_says_what_is_wrong_with_its_path);
#endif
    return check_done();
}
