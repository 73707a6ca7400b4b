/* 4_5.c -- lecture 4, exercise 5: one network with the variance of a whole posterior (Balan et al.
 * 2015), on lecture 1's network, where a grid knows the truth.
 *     cc -O2 -I. docs/course/solutions/4_5.c -o s -lm && ./s */
#include "../two_weights.h"

enum { DRAWS = 400, AT = 5 };
static double p[GRID * GRID];
static float between[2] = { -4, 4 };

/* Networks from the grid itself: the cell in which the sum reaches a uniform number */
static void draw(bnn_net *net, bnn_ensemble *post, bnn_rng *r) {
    for (int s = 0; s < DRAWS; s++) {
        double left = (s + (double)bnn_rng_uniform(r)) / DRAWS;
        int i = 0;
        while (i + 1 < GRID * GRID && (left -= p[i]) > 0) i++;
        net->params->theta[0] = (float)two_cell(i % GRID);
        net->params->theta[1] = (float)two_cell(i / GRID);
        bnn_ensemble_push(post);
    }
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(5) };
    static float at[AT] = { -3, -1, 0, 1, 3 };
    two_posterior(p, N);
    bnn_net net = two_net(&mem);
    bnn_ensemble post = bnn_ensemble_new(net.params, DRAWS);
    draw(&net, &post, &tape.rng);
    bnn_net student = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, 24, 24, 2 },
                              .activation = BNN_TANH, .likelihood = BNN_GAUSSIAN_HETERO,
                              .prior = { .kind = BNN_PRIOR_FLAT }, .seed = 1 });
    bnn_mat range = { 2, 1, between }, x = { AT, 1, at };
    bnn_distill(&tape, &student, &net, &post, range, (bnn_distill_desc){
        .steps = 20000, .batch = 64, .lr = 5e-3f, .inputs = { .box = 1 } });
    bnn_mat out = bnn_predict_samples(&mem, &tape, &student, NULL, x); /* mean, ln variance */
    if (mem.err || tape.err) return done(&mem, &tape);
    printf("          grid: mean  total sd   student: mean    sd   of it noise\n");
    for (int k = 0; k < AT; k++) {
        double mean, var, m = (double)out.data[2 * k], s = exp((double)out.data[2 * k + 1] / 2);
        two_moments(p, (double)at[k], &mean, &var);
        double total = sqrt(var + two_noise * two_noise);
        printf("x = %4.1f %12.3f %9.3f %15.3f %5.3f %13.3f\n", (double)at[k], mean, total, m, s,
               two_noise);
        check(near(m, mean, 0.06), "the mean of the posterior");
        check(near(s, total, 0.1 * total), "its total standard deviation");
    }
    return done(&mem, &tape);
}
