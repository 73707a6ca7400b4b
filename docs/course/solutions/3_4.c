/* 3_4.c -- lecture 3, exercise 4: which weights to remove: by |mean|/sd, by |mean|, at random?
 *     cc -O2 -I. docs/course/solutions/3_4.c -o s -lm && ./s        where the folder examples is */
#include "../course.h"

enum { EPOCHS = 40, BATCH = 50 };
static float sorted[8192], score[3][8192];

static int rising(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Test error in percent when the weights with the lowest score are 0 */
static double without(bnn_arena *mem, bnn_tape *tape, bnn_meanfield *q, const bnn_net *net,
                      bnn_data test, const float *by, double fraction) {
    bnn_mark mark = bnn_arena_mark(mem);
    size_t cut = (size_t)(fraction * (double)q->n);
    memcpy(sorted, by, q->n * sizeof(float));
    qsort(sorted, q->n, sizeof *sorted, rising);
    bnn_meanfield_mean(q);
    for (size_t i = 0; i < q->n; i++)
        if (by[i] < sorted[cut]) net->params->theta[i] = 0;
    double e = 100 * bnn_metric_error(bnn_predict(mem, tape, net, NULL, test.x).mean, test.y);
    bnn_arena_rewind(mem, mark);
    return e;
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    bnn_data train = course_digits(&mem, "train");
    bnn_data test = course_digits(&mem, "test");
    bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 64, 50, 10 },
                          .activation = BNN_TANH, .likelihood = BNN_CATEGORICAL, .seed = 1,
                          .prior = { .std = 0.5f } });
    bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ .init_std = 0.02f });
    bnn_stepper adam = bnn_adam(q.params, (bnn_adam_desc){ .lr = 5e-3f });
    if (mem.err) return done(&mem, &tape);
    size_t steps = EPOCHS * (train.x.rows / BATCH);
    for (size_t s = 0; s < steps; s++) {
        bnn_tape_reset(&tape);
        adam.lr = (float)bnn_lr_cosine(5e-3, s, steps);
        bnn_meanfield_sample(&q, &tape);
        bnn_backward(bnn_net_nll(&net, bnn_minibatch(&tape, train, BATCH)));
        bnn_meanfield_backward(&q, &tape);
        bnn_step(&adam, &tape);
    }
    bnn_meanfield_kl(&q); /* sigma of the last step */
    bnn_rng_fill_uniform(&tape.rng, q.n, score[2]);
    for (size_t i = 0; i < q.n; i++) {
        score[1][i] = fabsf(q.params->theta[i]);
        score[0][i] = score[1][i] / q.sigma[i];
    }
    const double fraction[5] = { 0, 0.25, 0.5, 0.65, 0.75 };
    double e[5][3];
    printf("removed   by |mean|/sd   by |mean|   at random   (test error, percent)\n");
    for (int k = 0; k < 5; k++) {
        for (int i = 0; i < 3; i++)
            e[k][i] = without(&mem, &tape, &q, &net, test, score[i], fraction[k]);
        printf("%5.0f %% %14.2f %11.2f %11.2f\n", 100 * fraction[k], e[k][0], e[k][1], e[k][2]);
    }
    check(e[2][0] < e[0][0] + 1.5 && e[2][2] > e[0][0] + 5, "half of the weights are not needed");
    return done(&mem, &tape);
}
