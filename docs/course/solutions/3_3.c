/* 3_3.c -- lecture 3, exercise 3: the variance of the gradient with one draw of the weights for all
 * rows, with noise of its own for each row (local), and with random signs for each row (flipout).
 *     cc -O2 -I. docs/course/solutions/3_3.c -o s -lm && ./s */
#include "../course.h"

enum { INPUTS = 8, ROWS = 100, DRAWS = 4000 };

/* Sum over all means mu of the variance of d(F/N)/dmu */
static double variance(bnn_tape *tape, bnn_meanfield *q, const bnn_net *net, bnn_data d) {
    static double s1[4096], s2[4096];
    double sum = 0;
    memset(s1, 0, sizeof s1), memset(s2, 0, sizeof s2);
    for (int k = 0; k < DRAWS; k++) {
        memset(q->params->grad, 0, q->params->n * sizeof(float));
        bnn_tape_reset(tape);
        bnn_meanfield_sample(q, tape);
        bnn_backward(bnn_net_nll(net, bnn_batch_all(tape, d)));
        bnn_meanfield_backward(q, tape);
        for (size_t i = 0; i < q->n; i++) {
            double g = (double)q->params->grad[i];
            s1[i] += g / DRAWS, s2[i] += g * g / DRAWS;
        }
    }
    for (size_t i = 0; i < q->n; i++) sum += s2[i] - s1[i] * s1[i];
    return sum;
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(3) };
    bnn_mat x = bnn_mat_new(&mem, ROWS, INPUTS), y = bnn_mat_new(&mem, ROWS, 1);
    bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { INPUTS, 30, 1 },
                          .activation = BNN_TANH, .noise_std = 0.5f, .seed = 3 });
    bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){ .init_std = 0.1f });
    bnn_net local = bnn_meanfield_net(&q, &net, BNN_NOISE_LOCAL);
    bnn_net flipout = bnn_meanfield_net(&q, &net, BNN_NOISE_FLIPOUT);
    if (mem.err) return done(&mem, &tape);
    bnn_rng_fill_normal(&tape.rng, ROWS * INPUTS, x.data);
    for (int i = 0; i < ROWS; i++) y.data[i] = sinf(x.data[i * INPUTS]) + x.data[i * INPUTS + 1];
    printf("variance of the gradient   one draw for all     local   flipout\n");
    double v[3][3];
    for (int k = 0; k < 3; k++) {
        size_t rows = k == 0 ? 1 : k == 1 ? 10 : 100;
        bnn_data d = bnn_data_rows((bnn_data){ x, y }, 0, rows);
        v[k][0] = variance(&tape, &q, &net, d);
        v[k][1] = variance(&tape, &q, &local, d);
        v[k][2] = variance(&tape, &q, &flipout, d);
        printf("%3d rows %34.2f %9.2f %9.2f\n", (int)rows, v[k][0], v[k][1], v[k][2]);
    }
    check(v[2][1] < v[2][0] / 5 && v[2][2] < v[2][0] / 5, "noise per row has less variance");
    return done(&mem, &tape);
}
