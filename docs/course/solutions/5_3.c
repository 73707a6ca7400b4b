/* 5_3.c -- lecture 5, exercise 3: which neurons of the teacher go first?
 *     cc -O2 -I. docs/course/solutions/5_3.c -o s -lm && ./s        where the folder examples is */
#include "../inherit.h"

enum { KINDS = 3, CUTS = 5 };

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    bnn_data train = course_digits(&mem, "train"), test = course_digits(&mem, "test");
    bnn_net net, small;
    bnn_gaussian g, out;
    train = bnn_data_rows(train, 0, 1900);
    teach(&mem, &tape, train, &net, &g, &small);
    bnn_mat h = bnn_mat_new(&mem, 1, mem.err ? 0 : net.params->n);
    if (mem.err || tape.err) return done(&mem, &tape);
    bnn_ggn(h, &tape, &net, train.x);
    static const int kind[KINDS] = { BNN_ORDER_RATIO, BNN_ORDER_OBD, BNN_ORDER_RANDOM };
    static const char *name[KINDS] = { "density ratio", "optimal brain damage",
                                       "random, 10 orders" };
    static const size_t gone[CUTS] = { 0, 6, 12, 18, 24 };
    double e[KINDS][CUTS] = { { 0 } };
    printf("test error, neurons gone            0      6     12     18     24\n");
    for (int o = 0; o < KINDS; o++) {
        int times = o == 2 ? 10 : 1;
        for (int r = 0; r < times; r++) {
            size_t order[TEACHER_WIDTH];
            bnn_drop_order(&mem, order, &net, &g, 1, kind[o], h.data, &tape.rng);
            for (int k = 0; k < CUTS && !mem.err; k++) {
                bnn_mark mark = bnn_arena_mark(&mem);
                small = bnn_drop_neurons(bnn_params_new(&mem), &out, &net, &g, 1, gone[k], order,
                                         0);
                if (small.params == NULL) break;
                bnn_mat p = bnn_predict(&mem, &tape, &small, NULL, test.x).mean;
                e[o][k] += 100 * bnn_metric_error(p, test.y) / times;
                bnn_arena_rewind(&mem, mark);
            }
        }
        printf("%-30s", name[o]);
        for (int k = 0; k < CUTS; k++) printf(" %6.1f", e[o][k]);
        printf("\n");
    }
    check(e[0][0] == e[1][0] && near(e[0][0], e[2][0], 1e-9), "nothing removed, nothing changed");
    check(e[0][3] < e[2][3] && e[1][3] < e[2][3], "an order by importance is better than chance");
    return done(&mem, &tape);
}
