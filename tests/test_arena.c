/* test_arena.c -- memory: alignment, growth, marks, buffers, allocators, absurd sizes; a training
 * loop that does not allocate after its first step; whole programs in which allocation n fails. */
#include "build.h"

/* ---- a counting allocator that can be told to fail */
typedef struct { size_t calls, live, bytes, fail_at; int failed; } counter;
static void *counting(void *user, void *ptr, size_t old_size, size_t new_size) {
    counter *c = (counter *)user;
    void *p = NULL;
    if (new_size == 0) {
        c->live--, c->bytes -= old_size;
        free(ptr);
        return NULL;
    }
    if (c->calls++ >= c->fail_at) { /* from this one on */
        c->failed = 1;
        return NULL;
    }
    p = realloc(ptr, new_size);
    if (p != NULL) c->live += ptr == NULL, c->bytes += new_size - old_size;
    return p;
}
static bnn_arena counted(counter *c) {
    bnn_arena mem = { .alloc = { counting, c } };
    return mem;
}

static void every_block_is_aligned_to_64_bytes_zeroed_and_its_own(void) {
    bnn_arena mem = { 0 };
    unsigned char *blocks[200];
    for (size_t i = 0; i < 200; i++) {
        blocks[i] = (unsigned char *)bnn_arena_alloc(&mem, i * 37 % 1000 + 1, 3);
        CHECK(blocks[i] != NULL && (uintptr_t)blocks[i] % 64 == 0);
        for (size_t j = 0; j < (i * 37 % 1000 + 1) * 3; j++) CHECK(blocks[i][j] == 0);
        memset(blocks[i], (int)(i + 1), (i * 37 % 1000 + 1) * 3);
    }
    for (size_t i = 0; i < 200; i++)
        CHECK(blocks[i][0] == i + 1 && blocks[i][(i * 37 % 1000 + 1) * 3 - 1] == i + 1);
    CHECK(bnn_arena_alloc(&mem, 0, 8) != NULL && mem.err == BNN_OK);
    bnn_arena_free(&mem);
    CHECK(bnn_arena_size(&mem) == 0);
}

static void chunks_grow_and_freeing_returns_every_byte(void) {
    counter c = { .fail_at = SIZE_MAX };
    bnn_arena mem = counted(&c);
    for (int i = 0; i < 5000; i++) CHECK(bnn_arena_alloc(&mem, 1000, 1) != NULL);
    CHECK(c.calls < 12 && c.live == c.calls); /* doubling: few calls for 5 MB */
    CHECK(bnn_arena_size(&mem) == c.bytes);
    CHECK(bnn_arena_alloc(&mem, 30000000, 1) != NULL); /* larger than any chunk so far */
    bnn_arena_free(&mem);
    CHECK(c.live == 0 && c.bytes == 0);
    CHECK(bnn_arena_alloc(&mem, 10, 1) != NULL); /* usable again */
    bnn_arena_free(&mem);
    CHECK(c.live == 0 && c.bytes == 0);
}

static void rewinding_forgets_and_reuses_memory_in_the_same_order(void) {
    counter c = { .fail_at = SIZE_MAX };
    bnn_arena mem = counted(&c);
    void *first[50], *again;
    bnn_mark empty = bnn_arena_mark(&mem), mark;
    char *kept = (char *)bnn_arena_alloc(&mem, 100, 1);
    strcpy(kept, "kept");
    mark = bnn_arena_mark(&mem);
    for (int round = 0; round < 3; round++) {
        size_t calls = c.calls;
        for (int i = 0; i < 50; i++) {
            again = bnn_arena_alloc(&mem, 7000, 1);
            if (round == 0) first[i] = again;
            CHECK(again == first[i] && ((char *)again)[6999] == 0);
            memset(again, 1, 7000);
        }
        if (round > 0) CHECK(c.calls == calls);
        bnn_arena_rewind(&mem, mark);
        CHECK(strcmp(kept, "kept") == 0);
    }
    bnn_arena_rewind(&mem, empty);
    CHECK(bnn_arena_alloc(&mem, 100, 1) == kept);
    bnn_arena_free(&mem);
    CHECK(c.live == 0);
}

static void a_buffer_of_the_caller_replaces_the_heap(void) {
    static unsigned char space[5000];
    counter c = { .fail_at = SIZE_MAX };
    for (size_t shift = 0; shift < 64; shift += 13) { /* also when it is not aligned */
        bnn_arena mem = { .alloc = { counting, &c }, .buffer = space + shift, .capacity = 4096 };
        size_t got = 0;
        unsigned char *p;
        while ((p = (unsigned char *)bnn_arena_alloc(&mem, 100, 1)) != NULL) {
            CHECK(p >= space + shift && p + 100 <= space + shift + 4096 && (uintptr_t)p % 64 == 0);
            got++;
        }
        CHECK(got >= 28);
        CHECK(mem.err == BNN_ENOMEM && strstr(mem.msg, "4096") != NULL);
        CHECK(bnn_arena_alloc(&mem, 1, 1) == NULL); /* sticky, though it would fit */
        CHECK(bnn_arena_size(&mem) == 0);
        bnn_arena_free(&mem);
        CHECK(mem.err == BNN_OK && bnn_arena_alloc(&mem, 100, 1) != NULL);
    }
    bnn_arena tiny = { .alloc = { counting, &c }, .buffer = space, .capacity = 3 };
    CHECK(bnn_arena_alloc(&tiny, 1, 1) == NULL && tiny.err == BNN_ENOMEM);
    CHECK(c.calls == 0);
}

static void a_whole_program_runs_in_two_buffers_without_the_heap(void) {
    static unsigned char a[200000], b[200000];
    counter c = { .fail_at = SIZE_MAX };
    bnn_arena mem = { .alloc = { counting, &c }, .buffer = a, .capacity = sizeof a };
    bnn_tape t = { .rng = bnn_rng_seed(1), .mem = { .alloc = { counting, &c }, .buffer = b,
                                                     .capacity = sizeof b } };
    float xs[4] = { 0, 1, 2, 3 }, ys[4] = { 1, 0, 1, 0 };
    bnn_data d = { { 4, 1, xs }, { 4, 1, ys } };
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 8, 1 }, .noise_std = 1 });
    bnn_stepper s = bnn_adam(w, (bnn_adam_desc){ 0 });
    for (int i = 0; i < 100; i++) {
        bnn_tape_reset(&t);
        bnn_backward(bnn_net_loss(&net, bnn_minibatch(&t, d, 2)));
        bnn_step(&s, &t);
    }
    CHECK(t.err == BNN_OK && mem.err == BNN_OK && c.calls == 0);
    for (int i = 0; i < 10000 && t.err == BNN_OK; i++) bnn_scalar(&t, 1); /* until it is full */
    CHECK(t.err == BNN_ENOMEM && strstr(t.msg, "200000") != NULL);
    bnn_tape_reset(&t);
    CHECK(t.err == BNN_ENOMEM); /* survives the reset */
    bnn_tape_clear_error(&t);
    CHECK(bnn_value(bnn_scalar(&t, 3)) == 3);
    CHECK(c.calls == 0);
}

static void absurd_sizes_are_errors_and_call_no_allocator(void) {
    size_t sizes[][2] = { { SIZE_MAX, 1 }, { SIZE_MAX / 2, 2 }, { SIZE_MAX / 2 + 1, 2 },
        { SIZE_MAX / 3, 7 }, { (size_t)1 << (sizeof(size_t) * 4),
                               (size_t)1 << (sizeof(size_t) * 4) } };
    for (size_t i = 0; i < 5; i++) {
        counter c = { .fail_at = SIZE_MAX };
        bnn_arena mem = counted(&c);
        CHECK(bnn_arena_alloc(&mem, sizes[i][0], sizes[i][1]) == NULL);
        CHECK(mem.err == BNN_ENOMEM && mem.msg[0] != '\0' && c.calls == 0);
        bnn_arena_free(&mem);
        bnn_mat m = bnn_mat_new(&mem, sizes[i][0], sizes[i][1]);
        CHECK(m.data == NULL && mem.err == BNN_ENOMEM && c.calls == 0);
        bnn_arena_free(&mem);
    }
}

static void a_refusing_allocator_is_an_error_with_a_sentence(void) {
    counter c = { 0 };
    bnn_arena mem = counted(&c);
    CHECK(bnn_arena_alloc(&mem, 10, 1) == NULL && mem.err == BNN_ENOMEM);
    CHECK(strstr(mem.msg, "out of memory") != NULL);
    CHECK(bnn_params_new(&mem) == NULL);
    bnn_tape t = { .mem = counted(&c) };
    CHECK(bnn_scalar(&t, 1) == &t.poison && t.err == BNN_ENOMEM);
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
    CHECK(c.live == 0);
}

/* ---- the promise: after the first step a training loop does not allocate */
enum { N_STEPPERS = 8 };
static bnn_stepper stepper_of(int i, bnn_params *w) {
    switch (i) {
    case 0: return bnn_sgd(w, (bnn_sgd_desc){ .momentum = (float)0.9, .lr = (float)1e-3,
                                              .clip = 1 });
    case 1: return bnn_adam(w, (bnn_adam_desc){ 0 });
    case 2: return bnn_rmsprop(w, (bnn_rmsprop_desc){ 0 });
    case 3: return bnn_adagrad(w, (bnn_adagrad_desc){ 0 });
    case 4: return bnn_adadelta(w, (bnn_adadelta_desc){ 0 });
    case 5: return bnn_sgld(w, (bnn_sgld_desc){ .lr = (float)1e-3 });
    case 6: return bnn_psgld(w, (bnn_psgld_desc){ 0 });
    default: return bnn_sghmc(w, (bnn_sghmc_desc){ .lr = (float)1e-4 });
    }
}
static void a_training_loop_does_not_allocate_after_its_first_step(void) {
    float xs[256], ys[128];
    for (int i = 0; i < 256; i++) xs[i] = (float)sin(i * 1.7);
    for (int i = 0; i < 128; i++) ys[i] = (float)cos(i * 0.9);
    bnn_data d = { { 128, 2, xs }, { 128, 1, ys } };
    for (int i = 0; i < N_STEPPERS; i++) {
        counter c = { .fail_at = SIZE_MAX };
        bnn_arena mem = counted(&c);
        bnn_tape t = { .rng = bnn_rng_seed(1), .mem = counted(&c) };
        bnn_params *w = bnn_params_new(&mem);
        bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 2, 12, 12, 1 }, .dropout = (float)0.1,
            .noise_std = (float)0.3,
            .prior = { .kind = i % 2 ? BNN_PRIOR_DOUBLE_EXPONENTIAL : BNN_PRIOR_NORMAL,
            .adapt_mean = 1, .adapt_std = 1 } });
        bnn_stepper s = stepper_of(i, w);
        bnn_ensemble e = bnn_ensemble_new(w, 10);
        size_t calls = 0;
        for (int step = 0; step < 1000; step++) {
            bnn_tape_reset(&t);
            bnn_backward(bnn_net_loss(&net, bnn_minibatch(&t, d, 8)));
            bnn_step(&s, &t);
            if (step % 100 == 0) bnn_params_update_priors(w, NULL);
            if (step % 100 == 99) bnn_ensemble_push(&e);
            if (step == 0) calls = c.calls;
        }
        if (!CHECK(c.calls == calls)) printf("    stepper %d: %zu calls\n", i, c.calls - calls);
        CHECK(t.err == BNN_OK && mem.err == BNN_OK && e.count == 10 && s.t == 1000);
        if (t.err != BNN_OK) printf("    %s\n", t.msg);
        bnn_tape_free(&t);
        bnn_arena_free(&mem);
        CHECK(c.live == 0 && c.bytes == 0);
    }
}

/* ---- failure injection: a whole program, in which the allocator refuses from call n on */
static int program(counter *c) { /* returns the first error anywhere */
    bnn_arena mem = counted(c);
    bnn_tape t = { .rng = bnn_rng_seed(1), .mem = counted(c) };
    static float xs[64], ys[64], wide[64 * 700];
    bnn_data d = { { 64, 1, xs }, { 64, 1, ys } };
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 300, 40, 1 },
                                             .noise_std = 1 }); /* several chunks */
    bnn_stepper s = bnn_adam(w, (bnn_adam_desc){ 0 });
    bnn_ensemble e = bnn_ensemble_new(w, 3);
    bnn_net_standardize(&net, d);
    for (int step = 0; step < 3; step++) {
        bnn_tape_reset(&t);
        bnn_backward(bnn_net_loss(&net, bnn_minibatch(&t, d, 16)));
        bnn_step(&s, &t);
        bnn_ensemble_push(&e);
    }
    bnn_tape_reset(&t); /* a large step: one more chunk of the tape */
    bnn_var *x = bnn_leaf(&t, (bnn_mat){ 64, 700, wide });
    bnn_backward(bnn_sum(bnn_square(bnn_gelu(x))));
    bnn_tape_reset(&t);
    bnn_predictive p = bnn_predict(&mem, &t, &net, &e, d.x);
    bnn_params *v = bnn_params_new(&mem);
    bnn_net student = bnn_mlp(v, (bnn_mlp_desc){ .sizes = { 1, 8, 2 },
                                                 .likelihood = BNN_GAUSSIAN_HETERO });
    bnn_distill(&t, &student, &net, &e, d.x, (bnn_distill_desc){ .steps = 3, .batch = 8 });
    int err = mem.err != BNN_OK ? mem.err : t.err;
    const char *msg = mem.err != BNN_OK ? mem.msg : t.msg;
    if (err == BNN_OK) CHECK(p.mean.data != NULL && p.mean.rows == 64);
    if (err != BNN_OK) CHECK(msg[0] != '\0');
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
    return err;
}
static void any_allocation_may_fail_without_crash_or_leak(void) {
    size_t n;
    int err = BNN_ENOMEM;
    for (n = 0; n < 1000 && err != BNN_OK; n++) {
        counter c = { .fail_at = n };
        err = program(&c);
        CHECK(c.live == 0 && c.bytes == 0);
        if (!CHECK((err != BNN_OK) == c.failed)) printf("    n = %zu: err %d\n", n, err);
        CHECK(err == BNN_OK || err == BNN_ENOMEM);
    }
    CHECK(err == BNN_OK && n > 5); /* in the end it had all it needed */
}

/* Finer: in a buffer of every size up to what is needed, so that every request for memory of every
 * op is the first to fail once. */
static void many_ops(bnn_tape *t) {
    static float xs[12] = { 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3 };
    static float ones[12] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    static float labels[4] = { 0, 1, 2, 0 };
    bnn_var *x = bnn_leaf(t, (bnn_mat){ 4, 3, xs }), *y = bnn_input(t, (bnn_mat){ 4, 3, ones });
    bnn_var *row = bnn_leaf(t, (bnn_mat){ 1, 3, xs }), *c[3] = { x, y, bnn_gelu(x) }, *l;
    l = bnn_add(bnn_gaussian_nll(x, y, row), bnn_double_exponential_nll(x, y, 1));
    l = bnn_add(l, bnn_add(bnn_student_nll(x, y, 3, 1), bnn_bernoulli_nll(x, y)));
    l = bnn_add(l, bnn_add(bnn_cross_entropy(x, y, 2), bnn_poisson_nll(x, y)));
    l = bnn_add(l, bnn_categorical_nll(x, bnn_input(t, (bnn_mat){ 4, 1, labels })));
    l = bnn_add(l, bnn_add(bnn_kl_standard_normal(x, row), bnn_kl_categorical(x, NULL)));
    l = bnn_add(l, bnn_add(bnn_kl_bernoulli(x, (float)0.5), bnn_kl_dirichlet(x, NULL)));
    l = bnn_add(l, bnn_rowsum(bnn_mix(bnn_softmax(row), c, 3)));
    l = bnn_add(l, bnn_rowsum(bnn_concat(t, 3, c)));
    l = bnn_add(l, bnn_logsumexp(bnn_log_softmax(bnn_dropout(bnn_normal(x, row), (float)0.5))));
    l = bnn_add(l, bnn_rowsum(bnn_affine(x, bnn_matmul(bnn_transpose(x), x), row)));
    l = bnn_add(l, bnn_rowsum(bnn_gather(bnn_colsum(x), 4, (size_t[]){ 0, 0, 0, 0 })));
    l = bnn_add(l, bnn_cols(bnn_rows(bnn_clamp(bnn_div(x, y), 0, 2), 0, 4), 1, 1));
    x = bnn_straight_through(bnn_detach(row), bnn_scale(row, 2));
    l = bnn_add(l, bnn_sum(bnn_reshape(x, 3, 1)));
    bnn_data d = { { 4, 3, xs }, { 4, 1, labels } };
    l = bnn_add(l, bnn_minibatch(t, d, 4).y);
    bnn_backward(bnn_mean(l));
}
static void any_request_of_any_op_may_be_the_one_that_fails(void) {
    static unsigned char space[200000];
    size_t capacity;
    int err = BNN_ENOMEM;
    for (capacity = 64; capacity < sizeof space && err != BNN_OK; capacity += 64) {
        bnn_tape t = { .rng = bnn_rng_seed(1), .mem = { .buffer = space, .capacity = capacity } };
        many_ops(&t);
        err = t.err;
        CHECK(err == BNN_OK || err == BNN_ENOMEM);
        if (err != BNN_OK) CHECK(strstr(t.msg, "buffer") != NULL);
    }
    CHECK(err == BNN_OK && capacity > 10000);
}

/* ---- sentences */
static double printed(double v, char *text) {
    bnn_tape t = { 0 };
    char *end;
    double back;
    bnn__fail(&t, BNN_EARG, "%g", v);
    strcpy(text, t.msg);
    back = strtod(text, &end);
    CHECK(*end == '\0' && end != text);
    return back;
}
static void numbers_in_sentences_read_back_to_three_digits_and_more(void) {
    static const double nines[] = { 9.9999999, 9.99999, 9.999994, 9.999996, 9.5, 1.0000001, 1, 1.5, 9.99 };
    char text[BNN_MSG];
    for (int e = -300; e <= 300; e++)
        for (size_t i = 0; i < sizeof nines / sizeof *nines; i++) {
            double v = nines[i] * pow(10, e);
            if (!CHECK(fabs(printed(v, text) / v - 1) < 1e-5)) printf("    %g as %s\n", v, text);
            CHECK(strncmp(text, "10", 2) != 0 || strchr(text, 'e') == NULL);
            CHECK(fabs(printed(-v, text) / v + 1) < 1e-5 && text[0] == '-');
            if (e == -4 && i < 1) CHECK(strcmp(text, "-0.001") == 0);
        }
    static const struct { double v; const char *text; } some[] = {
        { 0, "0" }, { 1e-4, "1e-4" }, { 9.9999999e-5, "1e-4" }, { 1e-3, "0.001" }, { -0.1, "-0.1" },
        { 0.25, "0.25" }, { 999999.4, "999999" }, { 999999.6, "1e6" }, { 60000, "60000" }, { 1e6, "1e6" },
        { 1.5e-7, "1.5e-7" }, { 123456, "123456" }, { 1e9, "1e9" }, { 1 / 0.0, "inf" }, { -1 / 0.0, "-inf" },
        { (double)(float)0.3, "0.3" }, { 5e-324, "4.94066e-324" }, { DBL_MAX, "1.79769e308" } };
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        printed(some[i].v, text);
        if (!CHECK(strcmp(text, some[i].text) == 0)) printf("    %g as %s\n", some[i].v, text);
    }
}

/* Functions that return their code say why in mem.msg; where an error stuck its sentence stays. */
static void the_sentence_of_a_stuck_error_stays(void) {
    static unsigned char bytes[1024];
    bnn_arena mem = { .buffer = bytes, .capacity = sizeof bytes }, fine = { 0 };
    bnn_csv csv;
    char msg[BNN_MSG];
    CHECK(bnn_arena_alloc(&mem, 100000, 1) == NULL && mem.err == BNN_ENOMEM);
    strcpy(msg, mem.msg);
    CHECK(bnn_csv_parse(&mem, &csv, "a,b\n1", 5, (bnn_csv_desc){ 0 }) != BNN_OK);
    CHECK(mem.err == BNN_ENOMEM && strcmp(mem.msg, msg) == 0);
    CHECK(bnn_csv_load(&mem, "/no/such/file", &csv, (bnn_csv_desc){ 0 }) != BNN_OK);
    CHECK(mem.err == BNN_ENOMEM && strcmp(mem.msg, msg) == 0);
    bnn__arena_say(&mem, BNN_EIO, "not %s", "this");
    CHECK(mem.err == BNN_ENOMEM && strcmp(mem.msg, msg) == 0);
    CHECK(bnn_csv_load(&fine, "/no/such/file", &csv, (bnn_csv_desc){ 0 }) == BNN_EIO);
    CHECK(fine.err == BNN_OK && strstr(fine.msg, "/no/such/file") != NULL);
    bnn_arena_free(&fine);
}

static void the_first_place_that_is_not_finite_is_found(void) {
    float x[12] = { 0 };
    size_t row, col;
    bnn_mat m = { 3, 4, NULL };
    m.data = x;
    CHECK(!bnn__where(m, &row, &col));
    for (size_t i = 12; i-- > 0;) {
        x[i] = (float)(i % 3 == 0 ? bnn__nan() : i % 3 == 1 ? bnn__inf() : -bnn__inf());
        CHECK(bnn__where(m, &row, &col) && row == i / 4 && col == i % 4);
    }
    m.rows = 0;
    CHECK(!bnn__where(m, &row, &col));
}

static void matrices_are_written_with_their_type_checked(void) {
    float x[6] = { 1, 2, 3, 4, 5, 6 }, *p = x;
    size_t n = 3;
    bnn_mat a = BNN_MAT(3, 2, x), b = BNN_MAT(n, 2, p + 0);
    bnn_data d = { BNN_MAT(6, 1, x), BNN_MAT(3, 1, &x[3]) };
    static float kept[2];
    static bnn_mat c = BNN_MAT(1, 2, kept);
    CHECK(a.rows == 3 && a.cols == 2 && a.data == x && b.rows == 3 && b.data == x);
    CHECK(d.x.rows == 6 && d.y.data == x + 3 && c.data == kept && c.cols == 2);
}

int main(void) {
    RUN(every_block_is_aligned_to_64_bytes_zeroed_and_its_own);
    RUN(chunks_grow_and_freeing_returns_every_byte);
    RUN(rewinding_forgets_and_reuses_memory_in_the_same_order);
    RUN(a_buffer_of_the_caller_replaces_the_heap);
    RUN(a_whole_program_runs_in_two_buffers_without_the_heap);
    RUN(absurd_sizes_are_errors_and_call_no_allocator);
    RUN(a_refusing_allocator_is_an_error_with_a_sentence);
    RUN(a_training_loop_does_not_allocate_after_its_first_step);
    RUN(any_allocation_may_fail_without_crash_or_leak);
    RUN(any_request_of_any_op_may_be_the_one_that_fails);
    RUN(numbers_in_sentences_read_back_to_three_digits_and_more);
    RUN(the_sentence_of_a_stuck_error_stays);
    RUN(the_first_place_that_is_not_finite_is_found);
    RUN(matrices_are_written_with_their_type_checked);
    return check_done();
}
