/* 6_5.c -- lecture 6, exercise 5: how often ARD drops an input of pure noise; noise sd 1, known.
 *     cc -O2 -I. docs/course/solutions/6_5.c -o s -lm && ./s */
#include "../course.h"

enum { ROWS = 50, WORLDS = 2000 };

/* Shares of the worlds in which the last input, and the first, are dropped. y = 0.5 (x_1 + ..) over
 * all inputs but the last */
static void drop(bnn_arena *mem, bnn_tape *t, size_t d, double *last, double *first) {
    *last = *first = 0;
    for (int k = 0; k < WORLDS; k++) {
        bnn_mark mark = bnn_arena_mark(mem);
        bnn_mat x = bnn_mat_new(mem, ROWS, d), y = bnn_mat_new(mem, ROWS, 1);
        bnn_mat mean = bnn_mat_new(mem, d, 1), none = { 0, 0, NULL };
        double alpha[3] = { 1, 1, 1 }, beta = 1;
        if (mem->err) return;
        bnn_rng_fill_normal(&t->rng, ROWS * d, x.data);
        bnn_rng_fill_normal(&t->rng, ROWS, y.data);
        for (size_t i = 0; i < ROWS; i++)
            for (size_t j = 0; j + 1 < d; j++) y.data[i] += 0.5f * x.data[i * d + j];
        bnn_linear_ard(mem, mean, none, (bnn_data){ x, y }, alpha, &beta, 0, 0);
        *last += (double)(alpha[d - 1] >= 1e12) / WORLDS;
        *first += (double)(alpha[0] >= 1e12) / WORLDS;
        bnn_arena_rewind(mem, mark);
    }
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(5) };
    double last, first, exact = erf(sqrt(0.5)), se = sqrt(exact * (1 - exact) / WORLDS);
    printf("inputs that matter   noise dropped   first real input dropped\n");
    for (size_t d = 1; d <= 3; d++) {
        drop(&mem, &tape, d, &last, &first);
        printf("%18d %15.3f", (int)d - 1, last);
        if (d > 1) printf(" %26.3f\n", first);
        else printf("\n");
        check(near(last, exact, d == 1 ? 4 * se : 0.05), "P(chi-squared of 1 below 1)");
    }
    printf("P(chi-squared < 1) %15.3f\n", exact);
    return done(&mem, &tape);
}
