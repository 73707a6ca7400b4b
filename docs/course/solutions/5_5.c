/* 5_5.c -- lecture 5, exercise 5: halves. A student of its teacher's rows, or of others.
 *     cc -O2 -I. docs/course/solutions/5_5.c -o s -lm && ./s        where the folder examples is */
#include "../inherit.h"

enum { ROWS = 500 };

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    bnn_data train = course_digits(&mem, "train"), test = course_digits(&mem, "test");
    bnn_data half = bnn_data_rows(train, 0, ROWS), other = bnn_data_rows(train, ROWS, ROWS);
    bnn_data both = bnn_data_rows(train, 0, 2 * ROWS);
    bnn_net net, small;
    bnn_gaussian all, teacher = teach(&mem, &tape, half, &net, &all, &small);
    if (mem.err || tape.err) return done(&mem, &tape);
    bnn_gaussian wide = same_sd(&mem, teacher.n, NULL, 1);
    static const char *name[4] = { "teacher's rows again", "500 other rows", "N(0, 1), 500 rows",
                                   "N(0, 1), all 1000 rows" };
    const bnn_data rows[4] = { half, other, half, both };
    grade g[4];
    printf("                        test nats   error\n");
    for (int k = 0; k < 4; k++) {
        g[k] = student(&tape, k < 2 ? &teacher : &wide, k < 2 ? teacher.mean : NULL, rows[k], test,
                       NULL);
        printf("%-22s %10.3f %6.1f %%\n", name[k], g[k].nll, g[k].error);
    }
    check(g[1].nll < g[0].nll, "other rows teach more than the same rows again");
    check(near(g[1].nll, g[3].nll, 0.05), "half and half is about all at once");
    return done(&mem, &tape);
}
