/* fit.c -- a posterior in one call, judged: bnn_fit, leave-one-out, a check, conformal intervals.
 *     cc -O2 -I.. fit.c -lm && ./a.out
 * Data: data/friedman.csv, 150 rows to learn from, 60 to calibrate on, 90 to test. A tanh net and a
 * linear one get four chains each with nothing set but their shape. You should see the report of
 * the net, an elpd far above the linear model's, a p-value of its checks away from 0 and 1, and
 * intervals that hold about 90 percent of the test rows. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>

enum { D = 5, LEARN = 150, CALIBRATE = 60, DRAWS = 1000 };

static bnn_net net_of(bnn_arena *mem, size_t hidden) { /* 0: a linear model */
    bnn_mlp_desc d = { .sizes = { D, hidden ? hidden : 1, hidden ? 1 : 0 },
                       .activation = BNN_TANH, .noise_learned = 1 };
    return bnn_mlp(bnn_params_new(mem), d);
}

static double roughness(void *user, bnn_mat y) { /* a statistic: the mean |y_i - y_(i+1)| */
    double sum = 0;
    (void)user;
    for (size_t i = 1; i < y.rows; i++) sum += fabs((double)(y.data[i] - y.data[i - 1]));
    return sum / (double)(y.rows - 1);
}

/* 5 and 95 percent of y at x, by draws */
static void interval(bnn_arena *mem, bnn_tape *tape, const bnn_net *net, const bnn_ensemble *post,
                     bnn_mat x, bnn_mat *lo, bnn_mat *hi) {
    bnn_mat draws = bnn_predict_draws(mem, tape, net, post, x, DRAWS);
    *lo = bnn_mat_new(mem, 1, x.rows), *hi = bnn_mat_new(mem, 1, x.rows);
    bnn_mat_col_quantile(mem, *lo, draws, 0.05);
    bnn_mat_col_quantile(mem, *hi, draws, 0.95);
    lo->rows = hi->rows = x.rows, lo->cols = hi->cols = 1; /* one row of y per row of x */
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    bnn_data all = example_friedman(&mem, "fit");
    size_t n = all.x.rows;
    bnn_data learn = bnn_data_rows(all, 0, LEARN), cal = bnn_data_rows(all, LEARN, CALIBRATE);
    bnn_data test = bnn_data_rows(all, LEARN + CALIBRATE, n - LEARN - CALIBRATE);

    bnn_net net = net_of(&mem, 8), line = net_of(&mem, 0);
    bnn_posterior p = bnn_fit(&mem, &net, learn, (bnn_fit_desc){ 0 });
    bnn_posterior q = bnn_fit(&mem, &line, learn, (bnn_fit_desc){ 0 });
    bnn_fit_print(&p);

    bnn_mat one = bnn_mat_new(&mem, 1, LEARN), two = bnn_mat_new(&mem, 1, LEARN), none = { 0 };
    bnn_loo a = bnn_diag_loo(&mem, one, none, bnn_predict_log_lik_samples(&mem, &tape, &net,
                             &p.post, learn), 0);
    bnn_loo b = bnn_diag_loo(&mem, two, none, bnn_predict_log_lik_samples(&mem, &tape, &line,
                             &q.post, learn), 0);
    bnn_comparison c = bnn_diag_compare(one, two);
    printf("elpd by PSIS-LOO: net %.1f, k-hat at most %.2f (%d of %d rows above %.2f); linear "
           "%.1f\n    difference %.1f, standard error %.1f\n", a.elpd, a.worst_k, (int)a.high,
           LEARN, a.k_max, b.elpd, c.difference, c.se);

    bnn_mat made_up = bnn_predict_draws(&mem, &tape, &net, &p.post, learn.x, DRAWS);
    printf("check: P(made-up data rougher than those seen) = %.2f\n",
           bnn_predict_check(none, made_up, learn.y, roughness, NULL));

    bnn_mat lo, hi, cal_lo, cal_hi;
    interval(&mem, &tape, &net, &p.post, test.x, &lo, &hi);
    interval(&mem, &tape, &net, &p.post, cal.x, &cal_lo, &cal_hi);
    printf("90 percent intervals: %.0f percent of the test rows, width %.2f\n",
           100 * bnn_metric_coverage(lo, hi, test.y), bnn_metric_width(lo, hi));
    bnn_conformal_interval(&mem, lo, hi, cal_lo, cal_hi, cal.y, 0.1);
    printf("conformal:            %.0f percent,                  width %.2f\n",
           100 * bnn_metric_coverage(lo, hi, test.y), bnn_metric_width(lo, hi));
    int err = mem.err ? mem.err : tape.err;
    if (err) fprintf(stderr, "fit: %s\n", mem.err ? mem.msg : tape.msg);
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return err != 0;
}
