/* 4_4.c -- lecture 4, exercise 4: a teacher who sees more (Lopez-Paz et al. 2016, tasks 1 and 2).
 *     cc -O2 -I. docs/course/solutions/4_4.c -o s -lm && ./s */
#include "../course.h"

enum { D = 50, TRAIN = 200, TEST = 1000, ROWS = TRAIN + TEST, WORLDS = 12, STEPS = 400 };

/* Logistic regression on labels, or on the probabilities that a teacher gives */
static bnn_net logistic(bnn_arena *mem, bnn_tape *tape, bnn_mat x, bnn_mat y) {
    bnn_net net = bnn_mlp(bnn_params_new(mem), (bnn_mlp_desc){ .sizes = { x.cols, 1 },
                          .likelihood = BNN_BERNOULLI, .init_scale = 0.1f });
    bnn_stepper adam = bnn_adam(net.params, (bnn_adam_desc){ .lr = 5e-3f });
    bnn_data d = { bnn_mat_rows(x, 0, TRAIN), bnn_mat_rows(y, 0, TRAIN) };
    for (int s = 0; s < STEPS; s++) {
        bnn_tape_reset(tape);
        bnn_batch b = bnn_batch_all(tape, d);
        bnn_backward(bnn_mean(bnn_bernoulli_nll(bnn_net_forward(&net, b.x), b.y)));
        bnn_step(&adam, tape);
    }
    return net;
}

static double right(bnn_arena *mem, bnn_tape *tape, const bnn_net *net, bnn_mat x, bnn_mat y) {
    bnn_mat p = bnn_predict(mem, tape, net, NULL, bnn_mat_rows(x, TRAIN, TEST)).mean;
    double sum = 0;
    for (size_t i = 0; i < p.rows; i++) sum += (p.data[i] > 0.5f) == (y.data[TRAIN + i] > 0.5f);
    return sum / TEST;
}

/* x: what the student sees, secret: what the teacher sees, y: the label */
static void make(bnn_rng *r, int task, bnn_mat x, bnn_mat secret, bnn_mat y) {
    float a[D];
    bnn_rng_fill_normal(r, D, a);
    bnn_rng_fill_normal(r, ROWS * D, x.data);
    for (size_t i = 0; i < ROWS; i++) {
        float *row = x.data + i * D, f = 0;
        for (size_t j = 0; j < D; j++) f += a[j] * row[j];
        if (task == 1) { /* the teacher sees how far from the border; labels are noisy */
            secret.data[i] = f / 7; /* its sd is about 7 */
            f += bnn_rng_normal(r);
        } else { /* the teacher sees clean features, the student the same with noise */
            memcpy(secret.data + i * D, row, D * sizeof *row);
            for (size_t j = 0; j < D; j++) row[j] += bnn_rng_normal(r);
        }
        y.data[i] = f > 0;
    }
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(4) };
    double gain[3] = { 0 }, square[3] = { 0 };
    printf("right on new rows, %%       teacher   student alone   student taught     gain\n");
    for (int task = 1; task <= 2; task++) {
        double sum[3] = { 0 };
        for (int k = 0; k < WORLDS; k++) {
            bnn_mark mark = bnn_arena_mark(&mem);
            bnn_mat x = bnn_mat_new(&mem, ROWS, D), y = bnn_mat_new(&mem, ROWS, 1);
            bnn_mat secret = bnn_mat_new(&mem, ROWS, task == 1 ? 1 : D);
            if (mem.err) break;
            make(&tape.rng, task, x, secret, y);
            bnn_net teacher = logistic(&mem, &tape, secret, y);
            bnn_net alone = logistic(&mem, &tape, x, y);
            bnn_mat answers = bnn_predict(&mem, &tape, &teacher, NULL, secret).mean;
            bnn_net taught = logistic(&mem, &tape, x, answers);
            double a = 100 * right(&mem, &tape, &alone, x, y);
            double t = 100 * right(&mem, &tape, &taught, x, y);
            sum[0] += 100 * right(&mem, &tape, &teacher, secret, y), sum[1] += a, sum[2] += t;
            gain[task] += (t - a) / WORLDS, square[task] += (t - a) * (t - a) / WORLDS;
            bnn_arena_rewind(&mem, mark);
        }
        double error = sqrt((square[task] - gain[task] * gain[task]) / (WORLDS - 1));
        printf("%d %-22s %9.1f %15.1f %16.1f %8.1f +- %.1f\n", task,
               task == 1 ? "distance from border" : "clean features", sum[0] / WORLDS,
               sum[1] / WORLDS, sum[2] / WORLDS, gain[task], error);
        /* published: .96 .88 .95 and .90 .68 .70 */
        check(near(sum[1] / WORLDS, task == 1 ? 88 : 68, 4), "the student alone, as published");
        check(near(sum[2] / WORLDS, task == 1 ? 95 : 70, 4), "the student taught, as published");
        check(task == 1 ? gain[1] > 5 * error : gain[2] < 3, "a gain in task 1, hardly one in 2");
    }
    return done(&mem, &tape);
}
