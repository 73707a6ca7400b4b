/* test_emit.c -- a mean field's moments against closed forms and quadrature, and the text of
 * emitted nets: what it has, what it never has, and what its constants say when they are read back.
 *     test_emit FOLDER      also writes nets of every activation, likelihood and storage to FOLDER,
 *                           each with a program that compares it with bnn_predict: tests/emit.sh */
#include "build.h"

typedef struct world {
    bnn_arena mem;
    bnn_tape tape;
    bnn_params *w;
    bnn_net net;
} world;

static void open_world(world *u, bnn_mlp_desc d) {
    memset(u, 0, sizeof *u);
    u->tape.rng = bnn_rng_seed(build_seed(11));
    u->w = bnn_params_new(&u->mem);
    u->net = bnn_mlp(u->w, d);
}

static void close_world(world *u) {
    CHECK(u->tape.err == BNN_OK && u->mem.err == BNN_OK);
    if (u->tape.err) printf("%s\n", u->tape.msg);
    bnn_tape_free(&u->tape);
    bnn_arena_free(&u->mem);
}

/* E f and Var f, f an activation of N(m, v), by a sum on a fine grid */
static void grid(double (*f)(double), double m, double v, double *mean, double *var) {
    double h = 1e-3, a = 0, b = 0;
    for (double z = -9; z <= 9; z += h) {
        double p = h * exp(-z * z / 2) / sqrt(2 * BNN__PI), y = f(m + sqrt(v) * z);
        a += p * y, b += p * y * y;
    }
    *mean = a, *var = b - a * a;
}

static double relu(double x) { return x > 0 ? x : 0; }
static double leaky(double x) { return x > 0 ? x : 0.01 * x; }
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static void moments_of_activations_equal_a_fine_sum(void) {
    /* up to sd 1, and what 8 points can do at sd 1.6, where tanh is nearly a step */
    static const struct { int act; double (*f)(double); double tol, wide; } rows[] = {
        { BNN_RELU, relu, 2e-6, 2e-6 }, { BNN_LEAKY_RELU, leaky, 2e-6, 2e-6 },
        { BNN_TANH, tanh, 2e-3, 1.1e-2 }, { BNN_SIGMOID, sigmoid, 1e-5, 2e-4 } };
    for (size_t r = 0; r < 4; r++)
        for (double m = -6; m <= 6; m += 0.75)
            for (double v = 0.01; v < 4; v *= 3) {
                double a = m, b = v, mean, var;
                bnn__activation_moments(rows[r].act, &a, &b);
                grid(rows[r].f, m, v, &mean, &var);
                CHECK_NEAR(a, mean, v < 1 ? rows[r].tol : rows[r].wide);
                CHECK_NEAR(b, var, 5 * (v < 1 ? rows[r].tol : rows[r].wide));
            }
}

/* One layer is exact: mean x'mu + b, variance sum x^2 s^2 + s_b^2 */
static void moments_of_a_linear_net_are_exact(void) {
    world u;
    float x[] = { 1, -2, (float)0.5, 0, 3, 1 };
    bnn_mat in = { 2, 3, x };
    open_world(&u, (bnn_mlp_desc){ .sizes = { 3, 2 }, .noise_std = (float)0.5, .seed = 3 });
    bnn_meanfield q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .init_std = (float)0.25 });
    bnn_predictive p = bnn_predict_moments(&u.mem, &u.tape, &u.net, &q, in);
    bnn_mat mean = bnn_predict(&u.mem, &u.tape, &u.net, NULL, in).mean;
    for (size_t i = 0; i < 2 && p.mean.data; i++) {
        double v = 1;
        for (size_t j = 0; j < 3; j++) v += (double)x[i * 3 + j] * (double)x[i * 3 + j];
        for (size_t k = 0; k < 2; k++) {
            CHECK_NEAR(p.mean.data[i * 2 + k], mean.data[i * 2 + k], 1e-6);
            CHECK_NEAR(p.epistemic.data[i * 2 + k], v * 0.0625, 1e-6);
            CHECK_NEAR(p.aleatoric.data[i * 2 + k], 0.25, 1e-6);
        }
    }
    close_world(&u);
}

/* What the tape's memory held before plays no part */
static void moments_do_not_read_old_memory(void) {
    enum { ROOM = 1 << 14 };
    static float room[ROOM], x[] = { 1, -2 };
    world u;
    bnn_mat in = { 1, 2, x };
    open_world(&u, (bnn_mlp_desc){ .sizes = { 2, 300 }, .likelihood = BNN_CATEGORICAL, .seed = 3 });
    bnn_meanfield q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .init_std = (float)0.25 });
    for (int i = 0; i < ROOM; i++) room[i] = -(float)INFINITY;
    u.tape.mem.buffer = room, u.tape.mem.capacity = sizeof room;
    CHECK(bnn_predict_moments(&u.mem, &u.tape, &u.net, &q, in).mean.data != NULL);
    close_world(&u);
}

/* Deep and narrow-minded: 20000 draws agree within the assumption and Monte Carlo noise */
static void moments_are_near_draws(void) {
    static const int liks[] = { BNN_GAUSSIAN, BNN_GAUSSIAN_HETERO, BNN_BERNOULLI, BNN_CATEGORICAL,
                                BNN_POISSON };
    enum { DRAWS = 4000 };
    float x[8];
    for (int i = 0; i < 8; i++) x[i] = (float)(0.4 * i - 1.5);
    for (size_t l = 0; l < 5; l++) {
        world u;
        bnn_mat in = { 4, 2, x };
        open_world(&u, (bnn_mlp_desc){ .sizes = { 2, 30, 4 }, .noise_std = 1, .seed = 5,
                                       .likelihood = liks[l], .init_scale = (float)0.7 });
        bnn_meanfield q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .init_std = (float)0.1 });
        bnn_ensemble post = bnn_ensemble_new(u.w, DRAWS);
        bnn_predictive p = bnn_predict_moments(&u.mem, &u.tape, &u.net, &q, in);
        for (int s = 0; s < DRAWS; s++) bnn_meanfield_push(&q, &post, &u.tape.rng);
        bnn_predictive d = bnn_predict(&u.mem, &u.tape, &u.net, &post, in);
        for (size_t i = 0; i < bnn__mat_size(d.mean) && p.mean.data; i++) {
            double e = (double)d.epistemic.data[i];
            CHECK_NEAR(p.mean.data[i], d.mean.data[i], 6 * sqrt(e / DRAWS) + 0.01);
            if (d.entropy.data == NULL) CHECK_NEAR(p.epistemic.data[i], e, 0.25 * e + 1e-3);
        }
        for (size_t i = 0; i < 4 && d.entropy.data && p.entropy.data; i++)
            CHECK_NEAR(p.mutual_information.data[i], d.mutual_information.data[i], 0.02);
        bnn_meanfield_mean(&q);
        close_world(&u);
    }
}

static void gaps_are_nan_in_moments(void) {
    world u;
    float x[] = { 1, (float)NAN };
    open_world(&u, (bnn_mlp_desc){ .sizes = { 1, 3, 2 }, .likelihood = BNN_CATEGORICAL });
    bnn_meanfield q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ 0 });
    bnn_predictive p = bnn_predict_moments(&u.mem, &u.tape, &u.net, &q, (bnn_mat){ 2, 1, x });
    CHECK(p.mean.data && p.mean.data[0] == p.mean.data[0] && p.mean.data[2] != p.mean.data[2]);
    CHECK(u.tape.notes == 1);
    close_world(&u);
}

/* ---- the text */

static int has(const bnn_emitted *c, const char *what) {
    return c->text != NULL && strstr(c->text, what) != NULL;
}

static void the_text_stands_alone_and_ends(void) {
    world u;
    open_world(&u, (bnn_mlp_desc){ .sizes = { 2, 3, 1 }, .noise_std = 1 });
    bnn_emitted c = bnn_emit_c(&u.mem, &u.tape, &u.net, NULL, (bnn_emit_desc){ .name = "two" });
    CHECK(c.text != NULL && c.size == strlen(c.text) && c.text[c.size - 1] == '\n');
    CHECK(has(&c, "int two(const float *x, float *mean, float *aleatoric, float *epistemic);"));
    CHECK(!has(&c, "malloc") && !has(&c, "stdio") && !has(&c, "$") && !has(&c, "\t"));
    CHECK(!has(&c, "include \"bnn.h\"") && !has(&c, "uint8_t two_g[]") && c.error != c.error);
    CHECK(c.flash == 4 * (6 + 3 + 3 + 1 + 1)); /* weights, biases, the noise */
    bnn_emitted d = bnn_emit_c(&u.mem, &u.tape, &u.net, NULL, (bnn_emit_desc){ 0 });
    CHECK(has(&d, "int predict(const float *x")); /* the same, but for the name */
    bnn_emitted s = bnn_emit_c(&u.mem, &u.tape, &u.net, NULL, (bnn_emit_desc){ .scratch = 1 });
    CHECK(has(&s, "enum { predict_scratch = 7 };") && has(&s, "float *scratch)"));
    CHECK(s.ram == 7 * 4 && has(&s, "arrays: 28 bytes"));
    bnn_layers_desc l = { .input = { 5, 5, 2 }, .noise_std = 1, .layers = { { BNN_CONV, 3, .kernel = 2 }, { BNN_DENSE, 1 } } };
    bnn_net conv = bnn_layers(bnn_params_new(&u.mem), l);
    s = bnn_emit_c(&u.mem, &u.tape, &conv, NULL, (bnn_emit_desc){ .scratch = 1 });
    CHECK(has(&s, "enum { predict_scratch = 60 };") && has(&s, "*patch = scratch + 49;") && has(&s, "*sum = scratch + 57;"));
    CHECK(has(&s, "predict_conv(") && !has(&s, "_pool(")); /* only what it calls */
    CHECK(s.ram == 4 * (48 + 1 + 8 + 3)); /* an image, an answer, a patch, sums */
    close_world(&u);
}

/* Every float comes back from its nine digits */
static void constants_are_the_weights(void) {
    world u;
    open_world(&u, (bnn_mlp_desc){ .sizes = { 1, 300 }, .noise_std = 1, .no_bias = 1 });
    for (size_t i = 0; i < 300; i++)
        u.w->theta[i] = bnn_rng_normal(&u.tape.rng) *
                        (float)ldexp(1, (int)bnn_rng_below(&u.tape.rng, 240) - 120);
    u.w->theta[0] = 1, u.w->theta[1] = (float)-3.40282347e38, u.w->theta[2] = (float)1.4e-45;
    bnn_emitted c = bnn_emit_c(&u.mem, &u.tape, &u.net, NULL, (bnn_emit_desc){ 0 });
    const char *at = c.text != NULL ? strstr(c.text, "predict_w[] = {") : NULL;
    CHECK(at != NULL);
    at = at != NULL ? at + 15 : "";
    for (size_t i = 0; i < 300; i++) {
        char *end = NULL;
        double v = strtod(at, &end);
        CHECK_NEAR(v, u.w->theta[i], BUILD_TOL(0, 1e-8 * fabs((double)u.w->theta[i]) + 1e-52) +
                   BUILD_TOL(fabs(v) * 6e-9 + 1e-53, 0));
#ifndef BNN_TEST_DOUBLE
        CHECK((float)v == u.w->theta[i]);
#endif
        at = end + 2; /* "f," */
    }
    close_world(&u);
}

static void zeros_take_no_room(void) {
    world u;
    open_world(&u, (bnn_mlp_desc){ .sizes = { 300, 2 }, .noise_std = 1 });
    for (size_t i = 0; i < u.w->n; i++) u.w->theta[i] = 0;
    bnn_params_mat(u.w, 0).data[2 * 7] = 5;       /* unit 0: a gap of 7, then 292 to the end */
    bnn_params_mat(u.w, 0).data[2 * 44 + 1] = -3; /* unit 1: 44 and 255 to the end */
    bnn_emitted c = bnn_emit_c(&u.mem, &u.tape, &u.net, NULL, (bnn_emit_desc){ 0 });
    CHECK(has(&c, "predict_w[] = {\n    5.0f, -3.0f,\n};") || has(&c, "5.0f, -3.0f,"));
    CHECK(has(&c, "predict_g[] = {\n    7, 255, 37, 44, 255,\n};"));
    CHECK(c.flash == 4 * (2 + 2 + 2) + 5);
    close_world(&u);
}

static void storage_costs_what_it_says(void) {
    world u;
    float x[40];
    bnn_emitted c[3];
    bnn_emit_desc d = { .x = { 20, 2, x } };
    for (int i = 0; i < 40; i++) x[i] = (float)sin(i);
    open_world(&u, (bnn_mlp_desc){ .sizes = { 2, 20, 3 }, .likelihood = BNN_CATEGORICAL });
    for (d.storage = BNN_EMIT_FLOAT; d.storage <= BNN_EMIT_INT8; d.storage++)
        c[d.storage - 1] = bnn_emit_c(&u.mem, &u.tape, &u.net, NULL, d);
    CHECK_SAME(c[0].error, 0.0);
    CHECK(c[1].error > 0 && c[1].error < 2e-3 && c[1].error < c[2].error && c[2].error < 0.05);
    CHECK(c[2].rms > 0 && c[2].rms <= c[2].error);
    CHECK(c[0].flash == 4 * (100 + 23) && c[1].flash == 2 * 100 + 4 * 23);
    CHECK(c[2].flash == 100 + 8 * 23);
    CHECK(has(&c[2], "Measured on 20 rows: error 0.0"));
    close_world(&u);
}

/* One probability is two classes, a number is none, and rows with gaps do not count */
static void classes_that_change_are_counted(void) {
    world u;
    float x[] = { (float)0.5, 1, (float)0.5, -1, (float)NAN, 0, (float)0.5, 1, (float)0.5, -1 };
    bnn_emit_desc d = { .storage = BNN_EMIT_INT8, .x = { 2, 2, x } };
    open_world(&u, (bnn_mlp_desc){ .sizes = { 2, 1 }, .likelihood = BNN_BERNOULLI });
    u.w->theta[0] = (float)0.3, u.w->theta[1] = 127; /* int8 makes 0 of 0.3, and 1 of 0.6 */
    u.w->theta[2] = (float)126.9;
    bnn_emitted c = bnn_emit_c(&u.mem, &u.tape, &u.net, NULL, d);
    CHECK_SAME(c.changed, 0.5);
    CHECK(has(&c, "other class 50"));
    d.x.rows = 5;
    bnn_emitted gap = bnn_emit_c(&u.mem, &u.tape, &u.net, NULL, d);
    CHECK_SAME(gap.changed, 0.5);
    CHECK_SAME(gap.error, c.error);
    CHECK_SAME(gap.rms, c.rms);
    d.x = (bnn_mat){ 1, 2, x + 4 };
    gap = bnn_emit_c(&u.mem, &u.tape, &u.net, NULL, d);
    CHECK(gap.text && gap.error != gap.error && gap.rms != gap.rms && gap.changed != gap.changed);
    bnn_net number = bnn_mlp(bnn_params_new(&u.mem), (bnn_mlp_desc){ .sizes = { 2, 2 }, .noise_std = 1 });
    number.params->theta[0] = 1, number.params->theta[1] = (float)1.001;
    d.x = (bnn_mat){ 2, 2, x };
    CHECK_SAME(bnn_emit_c(&u.mem, &u.tape, &number, NULL, d).changed, 0.0);
    close_world(&u);
}

static void halves_are_the_nearest(void) {
    static const struct { double v; int bits; } rows[] = { { 1, 0x3c00 }, { -2, 0xc000 },
        { 65504, 0x7bff }, { 6.103515625e-05, 0x0400 }, { 5.9604644775390625e-08, 1 },
        { 0.333251953125, 0x3555 }, { 0, 0 } };
    float v;
    for (size_t i = 0; i < 7; i++) {
        CHECK(bnn__half(rows[i].v, &v) == rows[i].bits);
        CHECK_NEAR(v, rows[i].v, 0);
    }
    CHECK(bnn__half(1 + 0.0007, &v) == 0x3c01); /* to the nearer one */
}

/* A 127th of the largest weight would be rounded to so few bits that 186 of them are no int8 */
static void subnormal_weights_are_zeros_as_int8(void) {
    world u;
    open_world(&u, (bnn_mlp_desc){ .sizes = { 3, 2 }, .noise_std = 1 });
    for (size_t i = 0; i < u.w->n; i++) u.w->theta[i] = 1;
    u.w->theta[0] = (float)2.6e-43, u.w->theta[2] = (float)1e-43, u.w->theta[4] = 0;
    bnn_emitted c = bnn_emit_c(&u.mem, &u.tape, &u.net, NULL, (bnn_emit_desc){ .storage = BNN_EMIT_INT8 });
    CHECK(has(&c, "predict_w[] = {\n    0, 0, 0, 127, 127, 127,\n}") ||
          has(&c, "predict_w[] = {\n    127, 127, 127,\n}"));
    close_world(&u);
}

static void names_are_made_safe(void) {
    world u;
    static const char *in[] = { "age of house", "*/ int" }, *out[] = { "yes", "n\xc3\xb6" };
    open_world(&u, (bnn_mlp_desc){ .sizes = { 2, 2 }, .likelihood = BNN_CATEGORICAL });
    bnn_emitted c = bnn_emit_c(&u.mem, &u.tape, &u.net, NULL,
                               (bnn_emit_desc){ .name = "f", .inputs = in, .classes = out });
    CHECK(has(&c, "f_x0_age_of_house,\n    f_x1____int\n") && has(&c, "f_y1_n__\n"));
    close_world(&u);
}

static void says(world *u, const char *what) {
    CHECK(u->tape.err != BNN_OK && strstr(u->tape.msg, what) != NULL);
    if (strstr(u->tape.msg, what) == NULL) printf("    %s\n", u->tape.msg);
    bnn_tape_clear_error(&u->tape);
}

static void what_cannot_be_emitted_is_said(void) {
    static const char *bad[] = { "int", "class", "constexpr", "1st", "a-b", "", "_a", "a__b",
                                 "exp", "expf", "floorl", "isnan", "memcpy", "uint8_t",
        "while", "a_name_that_is_longer_than_forty_characters" };
    world u, other;
    bnn_emit_desc d = { 0 };
    open_world(&u, (bnn_mlp_desc){ .sizes = { 2, 3, 1 }, .noise_std = 1 });
    open_world(&other, (bnn_mlp_desc){ .sizes = { 2, 3, 1 }, .noise_std = 1 });
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        d.name = bad[i];
        CHECK(bnn_emit_c(&u.mem, &u.tape, &u.net, NULL, d).text == NULL);
        says(&u, "the name must be an identifier");
    }
    CHECK((d.name = "indexf", bnn_emit_c(&u.mem, &u.tape, &u.net, NULL, d).text != NULL));
    d.name = "classes";
    CHECK(bnn_emit_c(&u.mem, &u.tape, &u.net, NULL, d).text != NULL);
    d.storage = 4;
    bnn_emit_c(&u.mem, &u.tape, &u.net, NULL, d);
    says(&u, "bnn_emit_c: storage 4 (1 to 3)");
    d.storage = 0;
    bnn_net mine = u.net;
    mine.mlp = NULL;
    bnn_emit_c(&u.mem, &u.tape, &mine, NULL, d);
    says(&u, "only a bnn_mlp");
    bnn_meanfield q = bnn_meanfield_new(other.w, (bnn_meanfield_desc){ 0 });
    d.moments = &q;
    bnn_emit_c(&u.mem, &u.tape, &u.net, NULL, d);
    says(&u, "bnn_emit_c: moments need a bnn_mlp or bnn_layers, and a mean field of its parameters");
    bnn_ensemble e = bnn_ensemble_new(u.w, 1);
    bnn_ensemble_push(&e);
    bnn_emit_c(&u.mem, &u.tape, &u.net, &e, d);
    says(&u, "not both");
    d.moments = NULL;
    u.w->theta[0] = 70000;
    d.storage = BNN_EMIT_HALF;
    bnn_emit_c(&u.mem, &u.tape, &u.net, NULL, d);
    says(&u, "bnn_emit_c: a weight of layer 1 is 70000, float16 ends at 65504");
    u.w->theta[0] = (float)INFINITY;
    bnn_emit_c(&u.mem, &u.tape, &u.net, NULL, d);
    says(&u, "bnn_emit_c: the weights of member 0 are not finite");
    u.w->theta[0] = 1;
    d.storage = 0;
    bnn_layers_desc list = { .input = { 4, 4, 1 }, .noise_std = 1, .layers = { { BNN_CONV, 1, .kernel = 3, .same = 1 },
        { BNN_UPSAMPLE, 2 }, { BNN_DENSE, 1 } } };
    bnn_net up = bnn_layers(bnn_params_new(&u.mem), list);
    bnn_emit_c(&u.mem, &u.tape, &up, NULL, d);
    says(&u, "bnn_emit_c: layer 2 (upsample) cannot be written; dense, conv and pools without .add can");
    list.layers[1] = (bnn_layer){ BNN_CONV, 1, .kernel = 3, .same = 1, .add = 1 };
    up = bnn_layers(bnn_params_new(&u.mem), list);
    bnn_emit_c(&u.mem, &u.tape, &up, NULL, d);
    says(&u, "bnn_emit_c: layer 2 (conv) cannot be written");
    d.storage = BNN_EMIT_HALF;
    bnn_arena tiny = { .buffer = bad, .capacity = 8 };
    bnn_emit_c(&tiny, &u.tape, &u.net, NULL, d);
    says(&u, "bnn_emit_c: arena: the buffer of 8 bytes cannot hold another");
    bnn_arena tiny2 = { .buffer = bad, .capacity = 8 };
    float x[2] = { 0, 0 };
    d.x = (bnn_mat){ 1, 2, x };
    bnn_emit_c(&tiny2, &u.tape, &u.net, NULL, d);
    says(&u, "cannot hold another");
    bnn_arena tiny3 = { .buffer = bad, .capacity = 8 };
    bnn_predict_moments(&tiny3, &other.tape, &other.net, &q, d.x);
    says(&other, "bnn_predict_moments: arena: the buffer");
    close_world(&u);
    close_world(&other);
}

#ifndef BNN_NO_STDIO
static void the_file_is_the_text(void) {
    world u;
    const char *path = "/tmp/bnn_test_emit.c";
    char back[4096];
    FILE *f;
    open_world(&u, (bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_std = 1 });
    bnn_emitted c = bnn_emit_c(&u.mem, &u.tape, &u.net, NULL, (bnn_emit_desc){ 0 }), none = { 0 };
    CHECK(bnn_emit_save(&u.mem, path, &c) == BNN_OK);
    CHECK(bnn_emit_save(&u.mem, path, &none) == BNN_EARG);
    CHECK(bnn_emit_save(&u.mem, "/no/such/folder/f.c", &c) == BNN_EIO);
    bnn_arena tiny = { .buffer = back, .capacity = 8 }; /* what does not fit there is no error of it */
    CHECK(bnn_emit_save(&tiny, path, &c) == BNN_ENOMEM && tiny.err == BNN_OK);
    f = fopen(path, "rb");
    CHECK(f != NULL);
    if (f == NULL) return;
    CHECK(fread(back, 1, sizeof back, f) == c.size && memcmp(back, c.text, c.size) == 0);
    fclose(f);
    remove(path);
    close_world(&u);
}

/* ---- nets to compile, each with the answers of bnn_predict */

static void put_array(FILE *f, const char *name, bnn_mat m) {
    fprintf(f, "static const float %s[] = {", name);
    for (size_t i = 0; i < bnn__mat_size(m); i++) fprintf(f, "%.9ef,", (double)m.data[i]);
    fprintf(f, "};\n");
}

static void put_net(const char *folder, world *u, const bnn_ensemble *post, bnn_emit_desc d,
                    bnn_mat x, double tolerance) {
    char path[512];
    d.x = x;
    bnn_emitted c = bnn_emit_c(&u->mem, &u->tape, &u->net, post, d);
    bnn_predictive p = d.moments ? bnn_predict_moments(&u->mem, &u->tape, &u->net, d.moments, x)
                                 : bnn_predict(&u->mem, &u->tape, &u->net, post, x);
    int classes = p.entropy.data != NULL;
    snprintf(path, sizeof path, "%s/%s.c", folder, d.name);
    CHECK(bnn_emit_save(&u->mem, path, &c) == BNN_OK);
    snprintf(path, sizeof path, "%s/%s.main.c", folder, d.name);
    FILE *f = fopen(path, "wb");
    if (f == NULL || p.mean.data == NULL) { CHECK(0); return; }
    fprintf(f, "#include \"%s.c\"\n#define NET %s\n#define D %zu\n#define K %zu\n#define N %zu\n",
            d.name, d.name, x.cols, p.mean.cols, x.rows);
    fprintf(f, "#define A %zu\n#define TOLERANCE %g\n#define BITS %d\n", classes ? 1 : p.mean.cols,
            d.storage > 1 && !d.moments ? c.error * 1.0001 : tolerance,
            d.exact && d.storage < 2 && u->net.mlp->desc.activation != BNN_SIN);
    put_array(f, "X", x);
    put_array(f, "MEAN", p.mean);
    put_array(f, "ALEATORIC", classes ? p.entropy : p.aleatoric);
    put_array(f, "EPISTEMIC", classes ? p.mutual_information : p.epistemic);
    fprintf(f, "#include \"compare.h\"\n");
    fclose(f);
}

/* Zeros around, steps of two, kernels that are not square, windows that reach over the edge */
static const bnn_layers_desc pictures = { .input = { 7, 6, 2 }, .activation = BNN_TANH, .seed = 3, .layers = {
    { BNN_CONV, 3, .kernel = 3, .kernel_w = 2, .same = 1, .activation = BNN_RELU }, { BNN_MAX_POOL, .kernel = 3, .stride = 2, .pad = 1 },
    { BNN_CONV, 4, .kernel = 2, .kernel_w = 3, .stride = 1, .pad = 1 }, { BNN_AVG_POOL, .kernel = 3, .stride = 2, .pad = 1 },
    { BNN_DENSE, 5 }, { BNN_DENSE, 3 } } };

static void write_pictures(const char *folder) {
    enum { N = 10, D = 7 * 6 * 2 };
    char name[64];
    for (int lik = BNN_GAUSSIAN; lik <= BNN_CATEGORICAL; lik += BNN_CATEGORICAL - BNN_GAUSSIAN)
        for (int kind = 0; kind < 7; kind++) { /* float, some, exact, pruned, half, int8, moments */
            world u;
            bnn_layers_desc l = pictures;
            open_world(&u, (bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_std = 1 });
            l.likelihood = lik, l.noise_std = lik == BNN_GAUSSIAN ? (float)0.3 : 0;
            u.net = bnn_layers(u.w = bnn_params_new(&u.mem), l);
            bnn_mat x = bnn_mat_new(&u.mem, N, D);
            bnn_rng_fill_normal(&u.tape.rng, N * D, x.data);
            bnn_emit_desc d = { .name = name, .exact = kind == 2 || kind == 3 };
            bnn_ensemble e = bnn_ensemble_new(u.w, 3);
            for (int s = 0; kind == 1 && s < 3; s++) {
                for (size_t i = 0; i < u.w->n; i++) u.w->theta[i] += (float)0.1 * bnn_rng_normal(&u.tape.rng);
                bnn_ensemble_push_from(&e, u.w, s + 1);
            }
            for (size_t i = 0; kind == 3 && i < u.w->n; i++)
                if (bnn_rng_uniform(&u.tape.rng) < (float)0.8) u.w->theta[i] = 0;
            if (kind == 4) d.storage = BNN_EMIT_HALF;
            if (kind == 5) d.storage = BNN_EMIT_INT8;
            bnn_meanfield q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .init_std =
                                                                           (float)0.1 });
            if (kind == 6) d.moments = &q;
            snprintf(name, sizeof name, "net_conv_%d_%d", lik, kind);
            put_net(folder, &u, kind == 1 ? &e : NULL, d, x, kind == 6 ? 3e-6 : 1e-6);
            close_world(&u);
        }
}

/* Two inputs of 3e38 are inf - inf in the first unit, unless the compiler fuses multiply and add, or
 * e^10000 in a count: the answer must be 2 */
static void put_overflow(const char *folder, world *u, bnn_emit_desc d, const char *x) {
    char path[512];
    bnn_emitted c = bnn_emit_c(&u->mem, &u->tape, &u->net, NULL, d);
    snprintf(path, sizeof path, "%s/%s.c", folder, d.name);
    CHECK(bnn_emit_save(&u->mem, path, &c) == BNN_OK);
    snprintf(path, sizeof path, "%s/%s.main.c", folder, d.name);
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL);
    if (f == NULL) return;
    fprintf(f, "#include \"%s.c\"\n"
               "static int fused(const float *x) {\n"
               "    static const float w[2] = { 2, -2 };\n"
               "    float s = 0.5f;\n    int i;\n"
               "    for (i = 0; i < 2; i++) s += x[i] * w[i];\n"
               "    return %s;\n}\n"
               "int main(void) {\n"
               "    float x[2] = { %s, %s }, mean[2], a[2], e[2];\n"
               "    return %s(x, mean, a, e) != 2 && !fused(x);\n}\n",
            d.name, d.moments ? "s != s" : "s == s", x, x, d.name);
    fclose(f);
}

static void write_overflows(const char *folder) {
    char name[64];
    for (int act = BNN_RELU; act <= BNN_IDENTITY; act++)
        for (int kind = 0; kind < 4; kind++) { /* of a mean, a count, a variance, of moments */
            static const int liks[] = { BNN_GAUSSIAN, BNN_POISSON, BNN_GAUSSIAN_HETERO, BNN_POISSON };
            world u;
            open_world(&u, (bnn_mlp_desc){ .sizes = { 2, 1, kind == 2 ? 2 : 1 }, .activation = act,
                .likelihood = liks[kind], .noise_std = kind == 0 });
            for (size_t i = 0; i < u.w->n; i++) u.w->theta[i] = (float)0.5;
            u.w->theta[0] = 2, u.w->theta[1] = -2;
            if (kind == 3) bnn_params_mat(u.w, 3).data[0] = 10000;
            bnn_meanfield q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .init_std = (float)0.1 });
            snprintf(name, sizeof name, "net_over_%d_%d", act, kind);
            put_overflow(folder, &u, (bnn_emit_desc){ .name = name, .moments = kind == 3 ? &q : NULL },
                         kind == 3 ? "1" : "3e38f");
            close_world(&u);
        }
}

static void write_all(const char *folder) {
    enum { N = 20, D = 5 };
    char name[64];
    for (int act = BNN_RELU; act <= BNN_IDENTITY; act++)
        for (int lik = BNN_GAUSSIAN; lik <= BNN_POISSON; lik++) {
            int kind = (act * 3 + lik) % 7; /* float, some, exact, pruned, half, int8, moments */
            world u;
            open_world(&u, (bnn_mlp_desc){ .sizes = { D, 12, 9, 4 }, .activation = act, .seed = 7,
                .likelihood = lik, .noise_std = (float)0.3,
                .noise_learned = lik == BNN_GAUSSIAN && act % 2 });
            bnn_mat x = bnn_mat_new(&u.mem, N, D), y = bnn_mat_new(&u.mem, N, lik == 2 ? 2 : 4);
            bnn_rng_fill_normal(&u.tape.rng, N * D, x.data);
            bnn_rng_fill_normal(&u.tape.rng, N * y.cols, y.data);
            for (size_t i = 0; i < N * D; i++) x.data[i] = 1 + 3 * x.data[i];
            for (size_t i = 0; i < N * y.cols; i++) y.data[i] = 2 + 5 * y.data[i];
            if (act % 3 != 1) bnn_net_standardize(&u.net, (bnn_data){ x, y });
            bnn_emit_desc d = { .name = name, .exact = kind == 2 || kind == 3 };
            bnn_ensemble e = bnn_ensemble_new(u.w, 4);
            bnn_meanfield q = bnn_meanfield_new(u.w, (bnn_meanfield_desc){ .init_std =
                                                                           (float)0.1 });
            for (int s = 0; (kind == 1 || kind == 2) && s < 4; s++) {
                for (size_t i = 0; i < u.w->n; i++)
                    u.w->theta[i] += (float)0.1 * bnn_rng_normal(&u.tape.rng);
                bnn_ensemble_push_from(&e, u.w, kind == 1 ? s : 1);
            }
            for (size_t i = 0; kind == 3 && i < u.w->n; i++)
                if (bnn_rng_uniform(&u.tape.rng) < (float)0.9) u.w->theta[i] = 0;
            if (kind == 4) d.storage = BNN_EMIT_HALF;
            if (kind == 5) d.storage = BNN_EMIT_INT8;
            if (kind == 6) d.moments = &q;
            snprintf(name, sizeof name, "net_%d_%d_%d", act, lik, kind);
            /* e^z is as far off as z, of size 15 here, is absolutely */
            put_net(folder, &u, kind == 1 || kind == 2 ? &e : NULL, d, x,
                    lik == BNN_POISSON ? 9e-6 : kind == 6 ? 3e-6 : 1e-6);
            close_world(&u);
        }
}
#endif

int main(int argc, char **argv) {
    RUN(moments_of_activations_equal_a_fine_sum);
    RUN(moments_of_a_linear_net_are_exact);
    RUN(moments_do_not_read_old_memory);
    RUN(moments_are_near_draws);
    RUN(gaps_are_nan_in_moments);
    RUN(the_text_stands_alone_and_ends);
    RUN(constants_are_the_weights);
    RUN(zeros_take_no_room);
    RUN(storage_costs_what_it_says);
    RUN(classes_that_change_are_counted);
    RUN(halves_are_the_nearest);
    RUN(subnormal_weights_are_zeros_as_int8);
    RUN(names_are_made_safe);
    RUN(what_cannot_be_emitted_is_said);
#ifndef BNN_NO_STDIO
    RUN(the_file_is_the_text);
    if (argc > 1) write_all(argv[1]), write_pictures(argv[1]), write_overflows(argv[1]);
#endif
    (void)argc, (void)argv;
    return check_done();
}
