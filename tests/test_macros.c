/* test_macros.c -- behind the macros that platform headers leave, bnn.h compiles and does the same. */
#include "macros.h"
#include "build.h"

static void a_net_learns_and_is_saved_behind_everybodys_macros(void) {
    static float x[5] = { -2, -1, 0, 1, 2 }, y[5] = { 4, 1, 0, 1, 4 };
    bnn_arena mem;
    bnn_tape tape;
    bnn_data data = { { 5, 1, x }, { 5, 1, y } };
    bnn_params *w;
    bnn_mlp_desc d;
    bnn_sgd_desc s;
    bnn_net net, again;
    bnn_stepper sgd;
    double first = 0, last = 0;
    int k;
    memset(&mem, 0, sizeof mem);
    memset(&tape, 0, sizeof tape);
    memset(&d, 0, sizeof d);
    memset(&s, 0, sizeof s);
    memset(&again, 0, sizeof again);
    d.sizes[0] = d.sizes[2] = 1;
    d.sizes[1] = 8;
    d.noise_std = 1;
    s.lr = (float)0.02;
    w = bnn_params_new(&mem);
    net = bnn_mlp(w, d);
    sgd = bnn_sgd(w, s);
    for (k = 0; k < 300; k++) {
        bnn_var *loss;
        bnn_tape_reset(&tape);
        loss = bnn_net_loss(&net, bnn_batch_all(&tape, data));
        last = (double)bnn_value(loss);
        if (k == 0) first = last;
        bnn_backward(loss);
        bnn_step(&sgd, &tape);
    }
    CHECK(tape.err == BNN_OK && mem.err == BNN_OK && last < first - 0.3);
#ifndef BNN_NO_STDIO
    CHECK(bnn_save("test_macros.tmp.bnn", &net) == BNN_OK);
    CHECK(bnn_load(&mem, "test_macros.tmp.bnn", &again) == BNN_OK && again.params != NULL);
    CHECK(again.params != NULL && memcmp(again.params->theta, w->theta, w->n * sizeof(float)) == 0);
    remove("test_macros.tmp.bnn");
#endif
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
}

int main(void) {
    RUN(a_net_learns_and_is_saved_behind_everybodys_macros);
    return check_done();
}
