/* autodiff.c -- gradients of an expression, an operation of your own, checks, curvature.
 *     cc -O2 -I.. autodiff.c -lm && ./a.out
 * You should see the gradient of sum sin(x) exp(-x^2/2) beside its formula, equal to 6 digits; a
 * user operation x^3 that passes the gradient check, and one with a wrong derivative that does not;
 * and H v of a quadratic beside A v. */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <math.h>
#include <stdio.h>

enum { N = 4 };

/* An operation that the library does not have: backward above forward, no registration. */
static void cube_backward(bnn_var *y) {
    bnn_var *x = y->in[0];
    for (size_t i = 0; x->grad.data && i < x->val.rows * x->val.cols; i++)
        x->grad.data[i] += 3 * x->val.data[i] * x->val.data[i] * y->grad.data[i];
}
static bnn_var *cube(bnn_var *x) {
    bnn_var *y = bnn_op(x->tape, x->val.rows, x->val.cols, cube_backward, 1, &x);
    for (size_t i = 0; y->val.data && i < x->val.rows * x->val.cols; i++)
        y->val.data[i] = x->val.data[i] * x->val.data[i] * x->val.data[i];
    return y;
}

/* The same with a mistake in the derivative: 2 x^2. */
static void wrong_backward(bnn_var *y) {
    bnn_var *x = y->in[0];
    for (size_t i = 0; x->grad.data && i < x->val.rows * x->val.cols; i++)
        x->grad.data[i] += 2 * x->val.data[i] * x->val.data[i] * y->grad.data[i];
}
static bnn_var *wrong_cube(bnn_var *x) {
    bnn_var *y = cube(x);
    if (!x->tape->err) y->backward = wrong_backward;
    return y;
}

/* Losses as functions of parameters: what the checks and HMC take */
static bnn_var *cubic_loss(bnn_tape *t, void *user) {
    bnn_params *w = user;
    return bnn_sum(bnn_tanh(cube(bnn_param(t, w, 0))));
}
static bnn_var *wrong_loss(bnn_tape *t, void *user) {
    bnn_params *w = user;
    return bnn_sum(bnn_tanh(wrong_cube(bnn_param(t, w, 0))));
}
static const float A[N * N] = { 4, 1, 0, 0, 1, 3, 1, 0, 0, 1, 2, 1, 0, 0, 1, 1 };
static bnn_var *quadratic(bnn_tape *t, void *user) { /* w A w' / 2 */
    bnn_params *w = user;
    bnn_var *x = bnn_param(t, w, 0), *a = bnn_input(t, (bnn_mat){ N, N, (float *)A });
    return bnn_scale(bnn_sum(bnn_mul(bnn_matmul(x, a), x)), 0.5f);
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    float numbers[N] = { -1, 0.5f, 1, 2 };

    /* an expression is built as it is computed; one call walks it backwards */
    bnn_var *x = bnn_leaf(&tape, (bnn_mat){ 1, N, numbers });
    bnn_var *y = bnn_sum(bnn_mul(bnn_sin(x), bnn_exp(bnn_scale(bnn_square(x), -0.5f))));
    bnn_backward(y);
    printf("y = sum sin(x) exp(-x^2/2) = %.6f\n     x     dy/dx   formula\n", bnn_value(y));
    for (int i = 0; i < N && !tape.err; i++) {
        double v = numbers[i];
        printf("%6.2f  %9.6f %9.6f\n", v, x->grad.data[i],
               (cos(v) - v * sin(v)) * exp(-v * v / 2));
    }

    bnn_params *w = bnn_params_new(&mem);
    bnn_params_add(w, 1, N, "w", (bnn_prior){ 0 });
    for (int i = 0; i < N && !mem.err; i++) w->theta[i] = 0.4f * numbers[i];
    printf("\ngradient check     largest relative error\n");
    printf("cube, 3 x^2        %.1e\n", bnn_grad_check(&tape, w, cubic_loss, w));
    printf("cube, 2 x^2        %.1e\n", bnn_grad_check(&tape, w, wrong_loss, w));

    float v[N] = { 1, -1, 2, 0.5f }, hv[N];
    bnn_hessian_vector(hv, &tape, w, quadratic, w, v);
    printf("\nH v of w A w'/2       A v\n");
    for (int i = 0; i < N && !tape.err; i++) {
        double av = 0;
        for (int j = 0; j < N; j++) av += (double)A[i * N + j] * (double)v[j];
        printf("%15.4f  %8.4f\n", hv[i], av);
    }

    /* errors are sticky sentences, not crashes: shapes that do not fit */
    bnn_tape other = { 0 };
    bnn_var *bad = bnn_matmul(bnn_scalar(&other, 1), bnn_input(&other, (bnn_mat){ 2, 2, v }));
    bnn_backward(bnn_sum(bad));
    printf("\na mistake says: %s\n", other.msg);

    int err = tape.err ? tape.err : mem.err;
    if (err) fprintf(stderr, "autodiff: %s\n", tape.err ? tape.msg : mem.msg);
    bnn_tape_free(&other);
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return err != BNN_OK;
}
