/* test_npy.c -- arrays of NumPy and safetensors: NumPy's files are read as it wrote them, a net of
 * PyTorch answers the same, what is written reads back, and a sentence for each bad file.
 * tests/oracles/npy.py makes the files; with NPY_KEEP=FILE the .npz is kept for its `check`. */
#include "build.h"
#include "world.h"

#define FILES "tests/files/npy/"

static unsigned char *bytes_of(const char *path, size_t *size) { /* in mem; NULL: not there */
    FILE *f = fopen(path, "rb");
    unsigned char *p = (unsigned char *)bnn_arena_alloc(&mem, 1 << 16, 1);
    *size = 0;
    if (f == NULL) return printf("    %s is not here\n", path), (unsigned char *)NULL;
    *size = fread(p, 1, 1 << 16, f);
    fclose(f);
    return p;
}

static int bad(const void *bytes, size_t size, const char *part) {
    bnn_arrays a = { NULL, 0 };
    bnn_mark mark = bnn_arena_mark(&mem);
    int err = bnn_arrays_parse(&mem, &a, bytes, size);
    int ok = err == BNN_EFORMAT && a.at == NULL && mem.err == BNN_OK && strstr(mem.msg, part) != NULL &&
             bnn_arena_mark(&mem).used == mark.used;
    if (!ok) printf("    err %d: %s\n", err, mem.msg);
    return ok;
}

static double item(char kind, size_t i) {
    return kind == 'b' ? i % 3 != 0 : kind == 'u' ? (double)i : kind == 'i' ? (double)i - 3 : ((double)i - 3) / 8;
}

static int holds(const bnn_array *a, char kind, size_t dims, size_t rows, size_t cols) {
    size_t i;
    int ok = a != NULL && a->dims == dims && a->values.rows == rows && a->values.cols == cols;
    for (i = 0; ok && i < rows * cols; i++) ok = (double)a->values.data[i] == item(kind, i);
    if (!ok && a != NULL) printf("    \"%s\" %d axes, %dx%d\n", a->name, (int)a->dims, (int)a->values.rows, (int)a->values.cols);
    return ok;
}

static void every_type_and_order_of_numpy_is_read(void) {
    static const char *const types[] = { "f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1" };
    bnn_arrays a = { NULL, 0 };
    size_t size, i, k;
    unsigned char *p = bytes_of(FILES "types.npz", &size);
    if (p == NULL) return;
    CHECK(bnn_arrays_parse(&mem, &a, p, size) == BNN_OK && a.count == 48);
    for (i = 0; i < 12; i++)
        for (k = 0; k < 4; k++) {
            char name[32];
            snprintf(name, sizeof name, "%s_%c_%s", k & 1 ? "big" : "little", k & 2 ? 'c' : 'f', types[i]);
            CHECK(holds(bnn_arrays_find(&a, name), types[i][0], 3, 2, 12));
        }
    CHECK(bnn_arrays_find(&a, "none") == NULL);
    CHECK(bnn_arrays_load(&mem, FILES "matrix.npy", &a) == BNN_OK && a.count == 1);
    CHECK(holds(bnn_arrays_find(&a, ""), 'f', 2, 3, 2));
    CHECK(bnn_arrays_load(&mem, FILES "row.npy", &a) == BNN_OK && holds(a.at, 'f', 1, 5, 1));
    CHECK(bnn_arrays_load(&mem, FILES "scalar.npy", &a) == BNN_OK && a.at[0].dims == 0);
    CHECK_NEAR(a.at[0].values.data[0], 2.5, 0);
    CHECK(bnn_arrays_load(&mem, FILES "none.npy", &a) == BNN_EIO);
    for (i = 0; i < size; i += 7) /* every cut */
        CHECK(bnn_arrays_parse(&mem, &a, p, i) != BNN_OK && mem.err == BNN_OK);
}

static void every_type_of_safetensors_is_read(void) {
    static const char *const types[] = { "F64", "F32", "F16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL", "BF16" };
    bnn_arrays a = { NULL, 0 };
    size_t size, i;
    unsigned char *p = bytes_of(FILES "types.safetensors", &size);
    if (p == NULL) return;
    CHECK(bnn_arrays_parse(&mem, &a, p, size) == BNN_OK && a.count == 13);
    if (a.count != 13) printf("    %s\n", mem.msg);
    for (i = 0; i < 13; i++) {
        char name[16];
        snprintf(name, sizeof name, "t.%s", types[i]);
        CHECK(holds(bnn_arrays_find(&a, name), i == 12 ? 'f' : i == 11 ? 'b' : (char)(types[i][0] | 32), 2, 2, 3));
    }
    for (i = 0; i < size; i++) CHECK(bnn_arrays_parse(&mem, &a, p, i) != BNN_OK);
}

static void halves_are_what_ieee_says(void) {
    static const struct { unsigned bits; double v; } t[] = {
        { 0x0000, 0 }, { 0x0001, 5.9604644775390625e-8 }, { 0x03ff, 6.097555160522461e-05 }, { 0x0400, 6.103515625e-05 },
        { 0x3c00, 1 }, { 0xc000, -2 }, { 0x7bff, 65504 }, { 0x3555, 0.333251953125 }, { 0x8001, -5.9604644775390625e-8 } };
    size_t i;
    for (i = 0; i < sizeof t / sizeof *t; i++) {
        unsigned char p[2] = { (unsigned char)(t[i].bits & 255), (unsigned char)(t[i].bits >> 8) };
        CHECK_SAME(bnn__item_value('f', p, 2, 0), t[i].v);
    }
    CHECK(bnn__item_value('f', (const unsigned char *)"\x00\x7c", 2, 0) > 1e300);
    CHECK(bnn__item_value('f', (const unsigned char *)"\xfc\x00", 2, 1) < -1e300);
    CHECK(bnn__is_nan(bnn__item_value('f', (const unsigned char *)"\x01\x7c", 2, 0)));
    CHECK_SAME(bnn__item_value('i', (const unsigned char *)"\xff\xff\xff\xff\xff\xff\xff\xff", 8, 0), -1);
    CHECK_SAME(bnn__item_value('i', (const unsigned char *)"\x80\0\0\0\0\0\0\0", 8, 1), -9223372036854775808.0);
}

static void a_net_of_pytorch_answers_the_same_and_becomes_a_posterior(void) {
    static const double torch_says[] = { -0.249236599, 0.57733106, -0.0925327802, 0.366703668 };
    float at[] = { 0.5f, -1, 2, 1.5f, 0.25f, -0.75f }, ys[] = { 0, 1, 1, 0 };
    bnn_mat x = { 2, 3, at };
    bnn_data d = { { 2, 3, at }, { 2, 2, ys } };
    bnn_arrays a = { NULL, 0 };
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 3, 5, 2 }, .activation = BNN_TANH, .noise_std = 0.1f });
    size_t i;
    if (bnn_arrays_load(&mem, FILES "mlp.safetensors", &a) != BNN_OK) return;
    CHECK(bnn_params_import(w, 0, &a, "0, 2", 0) == BNN_OK);
    bnn_predictive p = bnn_predict(&mem, &tape, &net, NULL, x);
    for (i = 0; i < 4; i++) CHECK_NEAR(p.mean.data[i], torch_says[i], 1e-6);
    bnn_laplace la = bnn_laplace_new(&mem, &tape, &net, d, BNN_LAPLACE_FULL);
    p = bnn_laplace_predict(&mem, &tape, &la, x);
    CHECK(p.epistemic.data != NULL && p.epistemic.data[0] > 0);
    CHECK(bnn_params_import(w, 2, &a, "2.weight", 0) == BNN_OK);
    float before = w->theta[0];
    CHECK(bnn_params_import(w, 0, &a, "0", 3) == BNN_EARG && strstr(mem.msg, "bnn_params_import: layout 3") != NULL);
    CHECK(bnn_params_import(w, 0, &a, "0, 1", 0) == BNN_EARG && strstr(mem.msg, "bnn_params_import: there is no tensor \"1\"") != NULL);
    CHECK(bnn_params_import(w, 0, &a, "2, 0", 0) == BNN_ESHAPE &&
          strstr(mem.msg, "\"2.weight\" is 2x5, block 0 is 3x5 transposed") != NULL);
    CHECK(bnn_params_import(w, 0, &a, "0", BNN_IMPORT_PLAIN) == BNN_ESHAPE &&
          strstr(mem.msg, "\"0.weight\" is 5x3, block 0 is 3x5") != NULL);
    CHECK(bnn_params_import(w, 3, &a, "2.bias, 2.bias", 0) == BNN_ESHAPE && strstr(mem.msg, "no block is left for \"2.bias\"") != NULL);
    bnn_arrays_find(&a, "2.bias")->values.data[1] = (float)bnn__nan();
    CHECK(bnn_params_import(w, 0, &a, "0, 2", 0) == BNN_ENONFINITE && strstr(mem.msg, "\"2.bias\" is not finite in row 0, column 1") != NULL);
    CHECK_SAME(before, w->theta[0]);
}

/* python3 tests/oracles/npy.py layers */
static void near_torch(const bnn_var *y, const double *said, size_t n) {
    size_t i;
    CHECK(y->val.rows * y->val.cols == n);
    for (i = 0; i < n && tape.err == BNN_OK; i++) CHECK_NEAR(y->val.data[i], said[i], 1e-6);
    if (tape.err != BNN_OK) printf("    %s\n", tape.msg);
}

static void convolutions_and_recurrent_layers_of_pytorch_answer_the_same(void) {
    static const double conv[] = { 0.120175106, -0.203580493 };
    static const double gru[] = { -0.156025371, 0.0418441585, 0.0122486739, -0.357907837 };
    static const double lstm[] = { -0.279558374, -0.0688688424, -0.501922924, 0.0191254499 };
    static const size_t shapes[][2] = { { 12, 3 }, { 1, 3 }, { 24, 2 }, { 1, 2 },                         /* conv, fc */
        { 3, 12 }, { 4, 12 }, { 1, 16 }, { 4, 12 }, { 4, 12 }, { 1, 16 }, { 3, 16 }, { 4, 16 }, { 1, 16 } }; /* gru, lstm */
    enum { BLOCKS = sizeof shapes / sizeof *shapes };
    bnn_arrays a = { NULL, 0 };
    bnn_params *w = bnn_params_new(&mem);
    bnn_var *p[BLOCKS], *h, *deep, *state;
    size_t i;
    for (i = 0; i < BLOCKS; i++) {
        char name[8];
        snprintf(name, sizeof name, "p%d", (int)i);
        bnn_params_add(w, shapes[i][0], shapes[i][1], name, (bnn_prior){ 0 });
    }
    if (bnn_arrays_load(&mem, FILES "layers.safetensors", &a) != BNN_OK) { CHECK(!"there"); return; }
    CHECK(bnn_params_import(w, 0, &a, "conv, fc:3, gru, lstm", 0) == BNN_OK);
    for (i = 0; i < BLOCKS; i++) p[i] = bnn_param(&tape, w, i);
    bnn_mat x = bnn_mat_new(&mem, 1, 40), steps = bnn_mat_new(&mem, 2, 3);
    for (i = 0; i < 40; i++) x.data[i] = (float)((int)(i % 7) - 3) / 4;
    for (i = 0; i < 6; i++) steps.data[i] = (float)((int)(i % 5) - 2) / 2;
    bnn_var *c = bnn_conv2d(bnn_input(&tape, x), p[0], p[1], (bnn_image){ 4, 5, 2 }, (bnn_window){ .kernel = 3, .kernel_w = 2 });
    near_torch(bnn_affine(bnn_relu(c), p[2], p[3]), conv, 2);
    h = deep = bnn_input(&tape, bnn_mat_new(&mem, 1, 4));
    state = bnn_input(&tape, bnn_mat_new(&mem, 1, 8));
    for (i = 0; i < 2; i++) {
        bnn_var *now = bnn_input(&tape, bnn_mat_rows(steps, i, 1));
        h = bnn_gru(now, h, p[4], p[5], p[6], NULL);
        deep = bnn_gru(h, deep, p[7], p[8], p[9], NULL);
        state = bnn_lstm(now, state, p[10], p[11], p[12], NULL);
    }
    near_torch(deep, gru, 4);
    near_torch(bnn_cols(state, 0, 4), lstm, 4);
    CHECK(bnn_params_import(w, 2, &a, "fc:5", 0) == BNN_ESHAPE && strstr(mem.msg, "\"fc.weight\" is 2x24") != NULL);
    CHECK(bnn_params_import(w, 4, &a, "lstm", 0) == BNN_ESHAPE && strstr(mem.msg, "\"lstm.weight_ih_l0\" is 16x3") != NULL);
    bnn_params *v = bnn_params_new(&mem);
    for (i = 4; i < 7; i++) bnn_params_add(v, shapes[i][0], i == 6 ? 12 : shapes[i][1], "g", (bnn_prior){ 0 });
    CHECK(bnn_params_import(v, 0, &a, "gru", 0) == BNN_ESHAPE &&
          strstr(mem.msg, "bnn_params_import: \"gru.bias_ih_l0\" is 12x1, block 2 is 1x12, of 4 units") != NULL);
    bnn_arrays_find(&a, "gru.bias_hh_l1")->values.data[11] = (float)bnn__nan();
    CHECK(bnn_params_import(w, 4, &a, "gru", 0) == BNN_ENONFINITE &&
          strstr(mem.msg, "\"gru.bias_ih_l1\" or the other bias is not finite") != NULL);
    bnn_array *other = bnn_arrays_find(&a, "conv.bias");
    strcpy(other->name = (char *)bnn_arena_alloc(&mem, 40, 1), "gru.weight_ih_l0_reverse");
    CHECK(bnn_params_import(w, 4, &a, "gru", 0) == BNN_EARG && strstr(mem.msg, "\"gru.weight_ih_l0\" goes both ways") != NULL);
}

static void the_eleventh_layer_of_pytorch_is_imported_too(void) {
    static const char *const kinds[] = { "weight_ih", "weight_hh", "bias_ih", "bias_hh" };
    enum { LAYERS = 11 };
    bnn_arrays a = { NULL, 0 };
    bnn_params *w = bnn_params_new(&mem);
    for (size_t layer = 0; layer < LAYERS; layer++) {
        for (size_t k = 0; k < 4; k++) {
            char name[32];
            bnn_mat m = bnn_mat_new(&mem, 4, 1);
            snprintf(name, sizeof name, "r.%s_l%d", kinds[k], (int)layer);
            bnn_mat_fill(m, (float)layer);
            bnn_arrays_add(&mem, &a, name, m);
            a.at[a.count - 1].dims = k < 2 ? 2 : 1;
        }
        for (size_t k = 0; k < 3; k++) bnn_params_add(w, 1, 4, "lstm", (bnn_prior){ 0 });
    }
    CHECK(bnn_params_import(w, 0, &a, "r", 0) == BNN_OK);
    CHECK_NEAR(w->theta[w->n - 1], 20, 0); /* the sum of two biases */
    CHECK_NEAR(bnn_params_mat(w, 3 * 10).data[0], 10, 0);
    bnn_meanfield q = bnn_meanfield_new(w, (bnn_meanfield_desc){ 0 });
    bnn_meanfield_sample(&q, &tape);
    CHECK(w->draw != 0 && bnn_params_import(w, 0, &a, "r", 0) == BNN_OK && w->draw == 0); /* no draw any more */
}

static void what_is_written_reads_back(void) {
    enum { CHAINS = 2, DRAWS = 3, ROWS = 7 };
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 3, 4, 1 }, .noise_std = 1 });
    bnn_ensemble chains[CHAINS];
    bnn_mat lik[CHAINS], y = bnn_mat_new(&mem, ROWS, 1);
    bnn_arrays out = { NULL, 0 }, in = { NULL, 0 };
    void *bytes;
    size_t c, s, i, size;
    for (c = 0; c < CHAINS; c++) {
        chains[c] = bnn_ensemble_new(w, 5);
        lik[c] = bnn_mat_new(&mem, DRAWS, ROWS);
        for (s = 0; s < DRAWS; s++) {
            for (i = 0; i < w->n; i++) w->theta[i] = (float)(1000 * c + 100 * s + i);
            CHECK(bnn_ensemble_push(&chains[c]) == BNN_OK);
            for (i = 0; i < ROWS; i++) lik[c].data[s * ROWS + i] = -(float)((c * DRAWS + s) * ROWS + i) / 4;
        }
    }
    CHECK(net.params == w);
    bnn_arrays_add_draws(&mem, &out, chains, CHAINS);
    bnn_arrays_add_chains(&mem, &out, "log_likelihood.y", lik, CHAINS);
    bnn_arrays_add(&mem, &out, "observed_data.y", y);
    bnn_arrays_add(&mem, &out, "", y); /* its member is ".npy" */
    CHECK(out.count == 7 && bnn_arrays_write(&mem, &out, &bytes, &size) == BNN_OK);
    CHECK(bnn_arrays_parse(&mem, &in, bytes, size) == BNN_OK && in.count == 7);
    for (i = 0; i < in.count; i++) {
        CHECK(strcmp(in.at[i].name, out.at[i].name) == 0 && in.at[i].dims == out.at[i].dims);
        CHECK(memcmp(in.at[i].shape, out.at[i].shape, sizeof in.at[i].shape) == 0);
        CHECK_SAME_ARRAY(in.at[i].values.data, out.at[i].values.data, bnn__mat_size(out.at[i].values));
    }
    bnn_params_add(w, 100, 100, "later", (bnn_prior){ 0 }); /* no sample has it */
    bnn_arrays_add_draws(&mem, &in, chains, CHAINS);
    CHECK(mem_took(BNN_ESHAPE, "bnn_arrays_add_draws: samples of 21 values, their parameters have 10021") && in.count == 7);
    bnn_array *b = bnn_arrays_find(&in, "posterior.b01");
    CHECK(b != NULL && b->dims == 4 && b->shape[0] == 2 && b->shape[1] == 3 && b->shape[2] == 1 && b->shape[3] == 4);
    CHECK(b != NULL && (double)b->values.data[4 * 5 + 1] == 1000 + 200 + 12 + 1);
    if (getenv("NPY_KEEP") != NULL) CHECK(bnn_arrays_save(&mem, getenv("NPY_KEEP"), &out) == BNN_OK);
    bnn_arrays_add(&mem, &out, "observed_data.y", y);
    CHECK(mem_took(BNN_EARG, "bnn_arrays_add: \"observed_data.y\" is there already") && out.count == 7);
    bnn_arrays_add(&mem, &out, "../y", y);
    CHECK(mem_took(BNN_EARG, "\"../y\" is there already, or has a path in it"));
    lik[1].rows = 2;
    bnn_arrays_add_chains(&mem, &out, "z", lik, CHAINS);
    CHECK(mem_took(BNN_ESHAPE, "bnn_arrays_add: \"z\": matrix 1 is 2x7, the first 3x7"));
    bnn_arrays_add_chains(&mem, &out, "z", lik, 0);
    CHECK(mem_took(BNN_EARG, "bnn_arrays_add: \"z\" of no chains"));
    bnn_arrays_add_draws(&mem, &out, NULL, 0);
    CHECK(mem_took(BNN_EARG, "bnn_arrays_add_draws: no chains"));
    bnn_arrays one = { NULL, 0 };
    CHECK(bnn_arrays_write(&mem, &one, &bytes, &size) == BNN_EARG && strstr(mem.msg, "arrays: 0 arrays in 22 bytes") != NULL);
    bnn_arrays_add(&mem, &one, "", lik[0]); /* without a name: an .npy */
    CHECK(bnn_arrays_save(&mem, "test_npy.npy.tmp", &one) == BNN_OK);
    CHECK(bnn_arrays_load(&mem, "test_npy.npy.tmp", &in) == BNN_OK && in.count == 1 && in.at[0].values.cols == ROWS);
    CHECK_SAME_ARRAY(in.at[0].values.data, lik[0].data, DRAWS * ROWS);
    remove("test_npy.npy.tmp");
    bnn_arrays_add_chains(&mem, &one, NULL, lik, 0);
    CHECK(mem_took(BNN_EARG, "bnn_arrays_add: \"\" of no chains"));
    one.count = 0;
    bnn_arrays_add(&mem, &one, NULL, lik[0]);
    CHECK(one.count == 1 && one.at[0].name[0] == '\0');
}

static size_t npy_of(unsigned char *p, const char *header, const void *items, size_t n) {
    size_t h = strlen(header);
    memcpy(p, "\x93NUMPY\1\0", 8);
    p[8] = (unsigned char)(h & 255), p[9] = (unsigned char)(h >> 8);
    memcpy(p + 10, header, h);
    memcpy(p + 10 + h, items, n);
    return 10 + h + n;
}

static int bad_npy(const char *header, const char *part) {
    static const unsigned char items[8] = { 0, 0, 0, 0, 0, 0, 0, 0x48 };
    unsigned char p[400];
    return bad(p, npy_of(p, header, items, 8), part);
}

static void a_bad_npy_gets_a_sentence(void) {
    bnn_arrays a = { NULL, 0 };
    unsigned char p[400];
    size_t size = npy_of(p, "{'shape':(2,1L,),'descr':\"<i4\" , 'fortran_order':True}\n", "\1\0\0\0\2\0\0\0", 8);
    CHECK(bnn_arrays_parse(&mem, &a, p, size) == BNN_OK && (double)a.at[0].values.data[1] == 2);
    p[6] = 2; /* of version 2 the length has four bytes */
    CHECK(bad(p, size, "arrays: array \"\" is not .npy of numbers of at most 8 axes"));
    static const char *const headers[] = {
        "", "{", "{}", "{'descr': '<f4', 'fortran_order': False, }", "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)",
        "{'descr': '<f3', 'fortran_order': False, 'shape': (2,)}", "{'descr': '<U4', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", "{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "{'descr': '<f4', 'fortran_order': False, 'shape': 2}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}", "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
        "{'de\\scr': '<f4'}", "{'descr': '<f4' 'fortran_order': False, 'shape': (2,)}", "{'descr': '<f4', 'fortran_order': False, 'shape': (2 2)}" };
    size_t i;
    for (i = 0; i < sizeof headers / sizeof *headers; i++) CHECK(bad_npy(headers[i], "is not .npy of numbers"));
    CHECK(bad_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
                  "array \"\" promises 3 items of 4 bytes, there are 8 bytes"));
    CHECK(bad_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 4294967296)}",
                  sizeof(size_t) < 8 ? "is not .npy of numbers" : "promises"));
    CHECK(bad_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (65536, 65536, 65536, 65536)}", "promises"));
    CHECK(bad_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4)}", "arrays: array \"\" is empty"));
    if (sizeof(float) == 4)
        CHECK(bad_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", "arrays: item 0 of \"\", "));
    CHECK(bad("hello, world", 12, "arrays: is neither .npy nor .npz nor .safetensors"));
    CHECK(bad("", 0, "is neither"));
    unsigned char *text = bytes_of(FILES "text.npy", &size);
    if (text != NULL) CHECK(bad(text, size, "is not .npy of numbers"));
}

/* The first byte of the part at its k-th place, to be changed */
static unsigned char *place(unsigned char *p, size_t size, const char *part, size_t n, int k) {
    size_t i;
    for (i = 0; i + n <= size; i++)
        if (memcmp(p + i, part, n) == 0 && k-- == 0) return p + i;
    return NULL;
}

static void a_bad_npz_gets_a_sentence(void) {
    bnn_arrays out = { NULL, 0 };
    float v[] = { 1, 2, 3 };
    void *bytes;
    unsigned char *p, *q, *copy;
    size_t size;
    bnn_arrays_add(&mem, &out, "one", (bnn_mat){ 1, 3, v });
    bnn_arrays_add(&mem, &out, "two", (bnn_mat){ 3, 1, v });
    CHECK(bnn_arrays_write(&mem, &out, &bytes, &size) == BNN_OK);
    copy = p = (unsigned char *)bnn_arena_alloc(&mem, size, 1);
#define AGAIN(at) (memcpy(copy, bytes, size), q = place(p, size, "PK\1\2", 4, at))
    AGAIN(0), q[10] = 8;
    CHECK(bad(p, size, "arrays: member \"one.npy\" is deflated: write it with np.savez"));
    AGAIN(1), memcpy(q + 46, "a/b", 3);
    CHECK(bad(p, size, "member \"a/b.npy\" has a path in its name"));
    AGAIN(1), memcpy(q + 46, "..\\", 3);
    CHECK(bad(p, size, "has a path in its name"));
    AGAIN(1), memcpy(q + 46, "one", 3);
    CHECK(bad(p, size, "member \"one.npy\" is there twice"));
    AGAIN(0), memcpy(q + 49, ".txt", 4);
    CHECK(bad(p, size, "member \"one.txt\" is no .npy"));
    AGAIN(0), q[16] ^= 1;
    CHECK(bad(p, size, "member \"one.npy\" has a wrong checksum: damaged"));
    AGAIN(0), memcpy(q + 20, "\xf0\xff\xff\xff\xf0\xff\xff\xff", 8); /* a bomb says 4 GB */
    CHECK(bad(p, size, "member \"one.npy\" is not whole in the file"));
    AGAIN(0), memcpy(q + 42, "\xff\xff\xff\xff", 4);
    CHECK(bad(p, size, "is not whole in the file"));
    AGAIN(0), q[0] = 'x';
    CHECK(bad(p, size, "arrays: entry 0 of the zip's 2 is damaged"));
    memcpy(copy, bytes, size), place(p, size, "PK\5\6", 4, 0)[10] = 3;
    CHECK(bad(p, size, "entry 2 of the zip's 3 is damaged"));
    CHECK(bad(bytes, size - 1, "arrays: a zip without its end: truncated"));
    CHECK(bad("PK\3\4", 4, "arrays: a zip without its end: truncated"));
    p = bytes_of(FILES "deflated.npz", &size);
    if (p != NULL) CHECK(bad(p, size, "member \"x.npy\" is deflated"));
}

/* Members that overlap: a zip bomb of stored members. All entries point to the one member. */
static void members_that_overlap_are_not_read_again_and_again(void) {
    enum { ENTRIES = 100 };
    bnn_arrays out = { NULL, 0 };
    bnn_mat m = bnn_mat_new(&mem, 1000, 1);
    void *bytes;
    unsigned char *p, *d;
    size_t size, at, i, entry;
    bnn_arrays_add(&mem, &out, "00", m);
    CHECK(bnn_arrays_write(&mem, &out, &bytes, &size) == BNN_OK);
    d = place((unsigned char *)bytes, size, "PK\1\2", 4, 0);
    at = (size_t)(d - (unsigned char *)bytes);
    entry = size - at - 22;
    p = (unsigned char *)bnn_arena_alloc(&mem, size + ENTRIES * entry, 1);
    memcpy(p, bytes, at);
    for (i = 0; i < ENTRIES; i++) {
        memcpy(p + at + i * entry, d, entry);
        p[at + i * entry + 46] = (unsigned char)('0' + i / 10);
        p[at + i * entry + 47] = (unsigned char)('0' + i % 10);
    }
    memcpy(p + at + ENTRIES * entry, d + entry, 22);
    p[at + ENTRIES * entry + 10] = ENTRIES;
    CHECK(bad(p, at + ENTRIES * entry + 22, "is not whole in the file"));
}

static int bad_tensors(const char *header, const char *part) {
    unsigned char p[1000] = { 0 };
    size_t n = strlen(header);
    p[0] = (unsigned char)(n & 255), p[1] = (unsigned char)(n >> 8);
    memcpy(p + 8, header, n);
    memset(p + 8 + n, 0, 8);
    return bad(p, 8 + n + 8, part);
}

static void a_bad_safetensors_gets_a_sentence(void) {
    bnn_arrays a = { NULL, 0 };
    unsigned char huge[16] = { 0, 0, 0, 0, 0, 0, 0, 0x80, '{', '}' };
    CHECK(bad(huge, 16, "arrays: a header of 9.22337e18 bytes is promised, there are 8"));
    memset(huge, 0xff, 8);
    CHECK(bad(huge, 16, "bytes is promised"));
    static const char *const tensors[] = {
        "{\"a\":{\"dtype\":\"F8\",\"shape\":[8],\"data_offsets\":[0,8]}}", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", "{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":7}}", "{\"a\":{\"more\":[]}}", "{\"a\":7}" };
    size_t i;
    for (i = 0; i < sizeof tensors / sizeof *tensors; i++)
        CHECK(bad_tensors(tensors[i], "arrays: tensor \"a\" has a type, a shape or a place that cannot be read"));
    CHECK(bad_tensors("{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", "array \"a\" promises 3 items"));
    static const char *const json[] = { "{", "{\"a", "{\"a\"}", "{\"__metadata__\":{\"x\":\"y\\\"}}", "{\"a\\u0041\":{}}", "{7:{}}", "{\"__metadata__\":7}" };
    for (i = 0; i < sizeof json / sizeof *json; i++)
        CHECK(bad_tensors(json[i], "is not what the header of a .safetensors has there"));
    unsigned char none[10] = { 2, 0, 0, 0, 0, 0, 0, 0, '{', '}' };
    CHECK(bnn_arrays_parse(&mem, &a, none, 10) == BNN_OK && a.count == 0);
    const char *twice = "{\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]},\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}";
    CHECK(bad_tensors(twice, "tensor \"a\" is there twice"));
}

#define OPEN_RUN(test) (open_all(1), RUN(test), close_all())

int main(void) {
    OPEN_RUN(every_type_and_order_of_numpy_is_read);
    OPEN_RUN(every_type_of_safetensors_is_read);
    OPEN_RUN(halves_are_what_ieee_says);
    OPEN_RUN(a_net_of_pytorch_answers_the_same_and_becomes_a_posterior);
    OPEN_RUN(convolutions_and_recurrent_layers_of_pytorch_answer_the_same);
    OPEN_RUN(the_eleventh_layer_of_pytorch_is_imported_too);
    OPEN_RUN(what_is_written_reads_back);
    OPEN_RUN(a_bad_npy_gets_a_sentence);
    OPEN_RUN(a_bad_npz_gets_a_sentence);
    OPEN_RUN(members_that_overlap_are_not_read_again_and_again);
    OPEN_RUN(a_bad_safetensors_gets_a_sentence);
    return check_done();
}
