/* 5_4.c -- lecture 5, exercise 4: a teacher that is believed less: its variances over t.
 *     cc -O2 -I. docs/course/solutions/5_4.c -o s -lm && ./s        where the folder examples is */
#include "../inherit.h"

enum { TEMPERS = 5 };

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    bnn_data train = course_digits(&mem, "train"), test = course_digits(&mem, "test");
    bnn_data first = bnn_data_rows(train, 0, 1900), rows = bnn_data_rows(train, 1900, 200);
    bnn_net net, small;
    bnn_gaussian all, teacher[2];
    teacher[0] = teach(&mem, &tape, first, &net, &all, &small);
    teacher[1] = teach(&mem, &tape, mirrored(&mem, first), &net, &all, &small);
    if (mem.err || tape.err) return done(&mem, &tape);
    static const double t[TEMPERS] = { 1, 0.3, 0.1, 0.03, 0.01 };
    double nll[2][TEMPERS];
    printf("200 rows, test nats    t =    1    0.3    0.1   0.03   0.01\n");
    for (int k = 0; k < 2; k++) {
        printf("%-23s", k ? "mirrored teacher" : "teacher of these digits");
        for (int i = 0; i < TEMPERS; i++) {
            bnn_mat v = bnn_mat_copy(&mem, teacher[k].pieces[0].cov);
            bnn_mat_scale(v, v, (float)(1 / t[i]));
            bnn_gaussian wide = bnn_gaussian_new(&mem, teacher[k].n, teacher[k].mean, v);
            nll[k][i] = student(&tape, &wide, wide.mean, rows, test, NULL).nll;
            printf(" %6.3f", nll[k][i]);
        }
        printf("\n");
    }
    bnn_gaussian wide = same_sd(&mem, teacher[0].n, NULL, 1);
    double plain = student(&tape, &wide, NULL, rows, test, NULL).nll;
    printf("no teacher, N(0, 1)    %7.3f\n", plain);
    check(nll[0][0] < plain && nll[1][0] > plain, "the right teacher helps, the other one harms");
    return done(&mem, &tape);
}
