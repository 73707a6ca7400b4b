/* 6_3.c -- lecture 6, exercise 3: gradients through a choice of three: relaxed, straight-through,
 * score function without and with a baseline.
 *     cc -O2 -I. docs/course/solutions/6_3.c -o s -lm && ./s */
#include "../course.h"

enum { DRAWS = 200000, RELAXED = 0, STRAIGHT, SCORE, BASELINE };
static const float odds[3] = { 2, 1, 1 }, answer[3] = { -1, 0.5f, 2 };
static const char *const names[4] = { "relaxed", "straight-through", "score", "score, baseline" };

/* mean and sd (of one draw) of the gradient; DRAWS rows, each with logits of its own */
static double measure(bnn_arena *mem, bnn_tape *t, int kind, double *mean) {
    double var = 0;
    bnn_mark mark = bnn_arena_mark(mem);
    bnn_mat logits = bnn_mat_new(mem, DRAWS, 3), v = bnn_mat_new(mem, 3, 1);
    bnn_mat zero = bnn_mat_new(mem, 1, 1);
    bnn_tape_reset(t);
    for (int i = 0; i < 3 * DRAWS && logits.data; i++) logits.data[i] = logf(odds[i % 3]);
    for (int k = 0; k < 3 && v.data; k++) v.data[k] = answer[k];
    bnn_var *a = bnn_leaf(t, logits), *y = NULL, *f;
    if (kind >= SCORE) y = bnn_categorical(a);
    else y = bnn_gumbel_softmax(a, 0.5f);
    if (kind == STRAIGHT) y = bnn_straight_through(bnn_one_hot(y), y);
    f = bnn_square(bnn_shift(bnn_matmul(y, bnn_input(t, v)), -1));
    if (kind < SCORE) bnn_backward(bnn_mean(f));
    else bnn_backward(bnn_score_function(f, bnn_rowsum(bnn_mul(y, bnn_log_softmax(a))),
                                         kind == SCORE ? bnn_input(t, zero) : NULL));
    for (int k = 0; k < 3; k++) mean[k] = 0;
    for (int i = 0; i < 3 * DRAWS && !t->err; i++) {
        double g = (double)a->grad.data[i] * DRAWS; /* the mean divides by DRAWS */
        mean[i % 3] += g / DRAWS, var += g * g / DRAWS;
    }
    for (int k = 0; k < 3; k++) var -= mean[k] * mean[k];
    bnn_arena_rewind(mem, mark);
    return sqrt(var);
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(3) };
    double p[3], c[3], mean[3], loss = 0, size = 0;
    for (int k = 0; k < 3; k++) {
        p[k] = (double)odds[k] / 4, c[k] = pow((double)answer[k] - 1, 2);
        loss += p[k] * c[k];
    }
    printf("exact              %6.3f %6.3f %6.3f     bias   sd of one draw\n", p[0] * (c[0] - loss),
           p[1] * (c[1] - loss), p[2] * (c[2] - loss));
    for (int k = 0; k < 3; k++) size += pow(p[k] * (c[k] - loss), 2);
    for (int kind = RELAXED; kind <= BASELINE; kind++) {
        double sd = measure(&mem, &tape, kind, mean), bias = 0, want = -size;
        for (int k = 0; k < 3; k++) bias += pow(mean[k] - p[k] * (c[k] - loss), 2);
        bias = sqrt(bias);
        printf("%-18s %6.3f %6.3f %6.3f %8.3f %16.3f\n", names[kind], mean[0], mean[1], mean[2],
               bias, sd);
        if (kind < SCORE) check(bias > 10 * sd / sqrt(DRAWS), "soft gradients are biased");
        else check(bias < 4 * sd / sqrt(DRAWS), "the score function is not biased");
        for (int k = 0; k < 3; k++) { /* |(c - b)(e_k - p)|^2 in the mean over corners */
            double b = kind == SCORE ? 0 : loss, square = 0;
            for (int j = 0; j < 3; j++) square += pow((j == k) - p[j], 2);
            want += p[k] * (c[k] - b) * (c[k] - b) * square;
        }
        if (kind >= SCORE) check(near(sd, sqrt(want), 0.02), "the sd by enumeration");
    }
    return done(&mem, &tape);
}
