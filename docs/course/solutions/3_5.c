/* 3_5.c -- lecture 3, exercise 5: few data. The prior wins, unless the divergence counts less.
 *     cc -O2 -I. docs/course/solutions/3_5.c -o s -lm && ./s        where the folder examples is */
#include "../course.h"

enum { STEPS = 3000, BATCH = 50 };

/* Trains on the first rows; prints and returns the test error of the mean weights in percent */
static double train_rows(bnn_arena *mem, bnn_tape *tape, bnn_data all, bnn_data test, size_t rows,
                         float prior, double kl_weight) {
    bnn_mark mark = bnn_arena_mark(mem);
    bnn_data train = bnn_data_rows(all, 0, rows);
    bnn_net net = bnn_mlp(bnn_params_new(mem), (bnn_mlp_desc){ .sizes = { 64, 50, 10 },
                          .activation = BNN_TANH, .likelihood = BNN_CATEGORICAL, .seed = 1,
                          .prior = { .std = prior } });
    bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ .init_std = 0.02f,
                                        .kl_weight = (float)kl_weight });
    bnn_stepper adam = bnn_adam(q.params, (bnn_adam_desc){ .lr = 1e-2f });
    for (size_t s = 0; s < STEPS; s++) {
        bnn_tape_reset(tape);
        adam.lr = (float)bnn_lr_cosine(1e-2, s, STEPS);
        bnn_meanfield_sample(&q, tape);
        bnn_backward(bnn_net_nll(&net, bnn_minibatch(tape, train, BATCH)));
        bnn_meanfield_backward(&q, tape);
        bnn_step(&adam, tape);
    }
    bnn_meanfield_cost c = bnn_meanfield_measure(&q, tape, &net, train, 10);
    bnn_meanfield_mean(&q);
    double e = 100 * bnn_metric_error(bnn_predict(mem, tape, &net, NULL, test.x).mean, test.y);
    printf("%4d rows %8.1f %10.2f %12.1f %14.1f %14.1f %12.2f\n", (int)rows, (double)prior,
           kl_weight, c.error, c.complexity, (double)rows * log(10.0), e);
    bnn_arena_rewind(mem, mark);
    return e;
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(5) };
    bnn_data train = course_digits(&mem, "train");
    bnn_data test = course_digits(&mem, "test");
    if (mem.err) return done(&mem, &tape);
    printf("          prior sd  KL weight  error, nats  weights, nats  uniform code  test error\n");
    double full = train_rows(&mem, &tape, train, test, 3823, 0.1f, 1);
    double lost = train_rows(&mem, &tape, train, test, 300, 0.1f, 1);
    double saved = train_rows(&mem, &tape, train, test, 300, 0.1f, 0.1);
    train_rows(&mem, &tape, train, test, 300, 0.1f, 0.01);
    train_rows(&mem, &tape, train, test, 300, 1, 1);
    check(lost > 50 && saved < 25 && full < 15, "few data collapse, a lighter divergence helps");
    return done(&mem, &tape);
}
