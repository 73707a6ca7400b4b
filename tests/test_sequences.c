/* test_sequences.c -- one step of a GRU and of an LSTM: PyTorch's values, central differences
 * through several steps with a mask, sequences of unequal length, and what is refused. */
#define TIGHT BUILD_TOL(2e-6, 1e-14)
#include "torch.h"

static void a_gru_is_that_of_pytorch(void) {
    open_all(1);
    bnn_var *x = LEAF(gru_x, 3, 4), *h = LEAF(gru_h, 3, 5), *w = LEAF(gru_w, 4, 15);
    bnn_var *u = LEAF(gru_u, 5, 15), *b = LEAF(gru_b, 1, 20), *y = bnn_gru(x, h, w, u, b, NULL);
    AGAINST(y, gru);
    GRAD(x, gru_gx), GRAD(h, gru_gh), GRAD(w, gru_gw), GRAD(u, gru_gu), GRAD(b, gru_gb);
    close_all();
}

static void an_lstm_is_that_of_pytorch(void) {
    open_all(1);
    bnn_var *x = LEAF(lstm_x, 3, 4), *h = LEAF(lstm_h, 3, 5), *c = LEAF(lstm_c, 3, 5);
    bnn_var *w = LEAF(lstm_w, 4, 20), *u = LEAF(lstm_u, 5, 20), *b = LEAF(lstm_b, 1, 20);
    bnn_var *both[2] = { h, c }, *y = bnn_lstm(x, bnn_concat(&tape, 2, both), w, u, b, NULL);
    AGAINST(y, lstm);
    GRAD(x, lstm_gx), GRAD(h, lstm_gh), GRAD(c, lstm_gc);
    GRAD(w, lstm_gw), GRAD(u, lstm_gu), GRAD(b, lstm_gb);
    close_all();
}

/* Three steps of 4 sequences, of which some have ended; blocks x, state, w, u, b */
typedef struct task {
    int lstm, bias, masked;
    bnn_params *w;
} task;

static bnn_var *run(bnn_tape *t, const task *k) {
    static float ends[3][4] = { { 1, 1, 1, 1 }, { 1, 0, 1, 1 }, { 0, 0, 1, 0 } };
    bnn_var *p[5], *state;
    for (size_t i = 0; i < 5; i++) p[i] = bnn_param(t, k->w, i);
    state = p[1];
    for (size_t s = 0; s < 3; s++) {
        bnn_mat m = { 4, 1, ends[s] };
        bnn_var *x = bnn_cols(p[0], 2 * s, 2), *mask = k->masked ? bnn_input(t, m) : NULL;
        state = (k->lstm ? bnn_lstm : bnn_gru)(x, state, p[2], p[3], k->bias ? p[4] : NULL, mask);
    }
    return state;
}

static bnn_var *task_loss(bnn_tape *t, void *user) {
    bnn_var *h = run(t, (const task *)user);
    return bnn_mean(bnn_mul(h, bnn_shift(h, (float)0.5)));
}

static task task_new(int lstm, int bias, int masked) {
    task k = { lstm, bias, masked, bnn_params_new(&mem) };
    size_t gates = lstm ? 4 : 3;
    bnn_params_add(k.w, 4, 6, "x", flat);
    bnn_params_add(k.w, 4, lstm ? 10 : 5, "h", flat);
    bnn_params_add(k.w, 2, gates * 5, "w", flat);
    bnn_params_add(k.w, 5, gates * 5, "u", flat);
    bnn_params_add(k.w, 1, 20, "b", flat);
    bnn_rng_fill_normal(&tape.rng, k.w->n, k.w->theta);
    return k;
}

static void gradients_through_several_steps_are_central_differences(void) {
    for (int i = 0; i < 8; i++) {
        open_all(2);
        task k = task_new(i & 1, i >> 1 & 1, i >> 2);
        double worst = bnn_grad_check(&tape, k.w, task_loss, &k);
        if (!CHECK(worst < BUILD_TOL(3e-2, 1e-7))) printf("    %d: %g\n", i, worst);
        close_all();
    }
}

static void a_sequence_that_has_ended_keeps_its_state(void) {
    for (int lstm = 0; lstm < 2; lstm++) {
        open_all(3);
        task k = task_new(lstm, 1, 1);
        bnn_var *ended = run(&tape, &k), *state, *row[4];
        for (size_t i = 0; i < 5; i++) row[i < 4 ? i : 0] = bnn_param(&tape, k.w, i < 4 ? i : 0);
        /* row 1 alone, for its one step: the same as if the others were not there */
        state = (lstm ? bnn_lstm : bnn_gru)(bnn_rows(bnn_cols(row[0], 0, 2), 1, 1),
            bnn_rows(row[1], 1, 1), row[2], row[3], bnn_param(&tape, k.w, 4), NULL);
        for (size_t j = 0; j < state->val.cols; j++)
            CHECK_NEAR(state->val.data[j], ended->val.data[state->val.cols + j], TIGHT);
        close_all();
    }
}

static void what_does_not_fit_is_refused_with_its_shapes(void) {
    float half[] = { 1, (float)0.5 }, odd[] = { 1, 0, 1 };
    bnn_mat m = { 2, 1, half }, three = { 3, 1, odd };
    open_all(4);
    bnn_var *x = bnn_input(&tape, normals(2, 4, 1)), *h = bnn_input(&tape, normals(2, 5, 1));
    bnn_var *w = bnn_input(&tape, normals(4, 15, 1)), *u = bnn_input(&tape, normals(5, 15, 1));
    bnn_gru(h, h, w, u, NULL, NULL);
    CHECK(took(BNN_ESHAPE, "bnn_gru: x is 2x5, w is 4x15"));
    bnn_gru(x, x, w, u, NULL, NULL);
    CHECK(took(BNN_ESHAPE, "bnn_gru: h is 2x4, u is 5x15"));
    bnn_gru(x, h, w, bnn_input(&tape, normals(5, 14, 1)), NULL, NULL);
    CHECK(took(BNN_ESHAPE, "bnn_gru: x w is 2x15, h u is 2x14, for 5 units they must be 2x15"));
    bnn_gru(bnn_input(&tape, normals(3, 4, 1)), h, w, u, NULL, NULL);
    CHECK(took(BNN_ESHAPE, "bnn_gru: x w is 3x15, h u is 2x15"));
    bnn_gru(x, h, w, u, bnn_input(&tape, normals(1, 15, 1)), NULL);
    CHECK(took(BNN_ESHAPE, "bnn_gru: b is 1x15, it must be 1x20"));
    bnn_gru(x, h, w, u, NULL, bnn_input(&tape, three));
    CHECK(took(BNN_ESHAPE, "bnn_gru: the mask is 3x1, it must be 2x1"));
    bnn_gru(x, h, w, u, NULL, bnn_input(&tape, m));
    CHECK(took(BNN_EARG, "bnn_gru: the mask is 0.5 in row 1, it must be 0 or 1"));
    bnn_lstm(x, h, w, u, NULL, NULL);
    CHECK(took(BNN_ESHAPE, "bnn_lstm: the state is 2x5, h and c must be equal"));
    h = bnn_input(&tape, normals(2, 10, 1)), u = bnn_input(&tape, normals(6, 20, 1));
    bnn_lstm(x, h, w, u, NULL, NULL);
    CHECK(took(BNN_ESHAPE, "bnn_lstm: h is 2x5, u is 6x20"));
    bnn_lstm(h, h, w, u, NULL, NULL);
    CHECK(took(BNN_ESHAPE, "bnn_lstm: x is 2x10, w is 4x15"));
    close_all();
}

int main(void) {
    RUN(a_gru_is_that_of_pytorch);
    RUN(an_lstm_is_that_of_pytorch);
    RUN(gradients_through_several_steps_are_central_differences);
    RUN(a_sequence_that_has_ended_keeps_its_state);
    RUN(what_does_not_fit_is_refused_with_its_shapes);
    return check_done();
}
