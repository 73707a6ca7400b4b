/* test_meanfield_rows.c -- pruning by units: rows that hold too few nats leave as a whole. */
#include "build.h"
#include "world.h"
#include "../examples/scales.h"

static void set_weight(bnn_meanfield *q, size_t i, double mu, double sd) {
    q->params->theta[i] = (float)mu;
    q->params->theta[q->n + i] = (float)log(expm1(sd));
}

/* KL of n weights from a normal prior: of the given sd, or, 0, of the best common one */
static double nats(size_t n, const double *mu, const double *sd, double std) {
    double sum = 0, v = std * std;
    for (size_t j = 0; j < n && std <= 0; j++) v += (mu[j] * mu[j] + sd[j] * sd[j]) / (double)n;
    for (size_t j = 0; j < n; j++)
        sum += log(sqrt(v) / sd[j]) + (sd[j] * sd[j] + mu[j] * mu[j] - v) / (2 * v);
    return sum;
}

static int gone(const bnn_meanfield *q, size_t i) {
    return q->params->theta[i] == 0 && q->params->theta[q->n + i] < -20;
}

static void rows_below_the_nats_of_the_formula_leave_and_no_others(void) {
    for (int ard = 0; ard < 2; ard++) {
        open_all(1);
        bnn_params *w = bnn_params_new(&mem);
        double mu[12][5], sd[12][5], held[12];
        bnn_params_add(w, 1, 5, "flat", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
        bnn_params_add(w, 11, 5, "w", (bnn_prior){ .std = (float)0.7 });
        bnn_params_add(w, 1, 5, "b", (bnn_prior){ .std = (float)0.7 });
        bnn_meanfield q = bnn_meanfield_new(w, (bnn_meanfield_desc){
            .ard = ard ? BNN_ARD_INPUT : BNN_ARD_NONE });
        for (size_t i = 0; i < 12; i++) {
            for (size_t j = 0; j < 5; j++) {
                mu[i][j] = 0.3 * (double)i / 12 * (double)bnn_rng_normal(&tape.rng);
                sd[i][j] = 0.7 * exp(0.02 * (double)(i * j));
                set_weight(&q, 5 + 5 * i + j, mu[i][j], sd[i][j]);
            }
            held[i] = nats(5, mu[i], sd[i], ard ? 0 : (double)(float)0.7);
        }
        size_t left = 12, last = 0;
        CHECK(bnn_meanfield_prune_rows(&q, -1) == 0 && bnn_meanfield_prune_rows(&q, NAN) == 0);
        for (double at = 1e-3; at < 30; at *= 1.7) { /* the rest is as it was */
            size_t out = bnn_meanfield_prune_rows(&q, at), below = 0;
            double rest = 0;
            for (size_t i = 0; i < 12; i++) {
                int all = 1, any = 0;
                for (size_t j = 0; j < 5; j++) {
                    int is = gone(&q, 5 + 5 * i + j);
                    all &= is, any |= is;
                }
                CHECK(all == any);
                if (fabs(held[i] - at) > 1e-4) CHECK(all == (held[i] < at));
                below += (size_t)all;
                if (!all) rest += held[i];
            }
            CHECK(out == 5 * below && out >= last);
            CHECK_NEAR(bnn_meanfield_kl(&q), rest, BUILD_TOL(1e-4, 1e-10));
            last = out, left = 12 - below;
        }
        CHECK(left < 6);
        for (size_t j = 0; j < 5; j++) CHECK(!gone(&q, j)); /* flat: it has no divergence */
        CHECK(bnn_meanfield_prune_rows(&q, INFINITY) == 60);
        close_all();
    }
}

static void a_point_or_an_empty_mean_field_has_no_rows_to_remove(void) {
    open_all(2);
    bnn_params *w = bnn_params_new(&mem);
    bnn_params_add(w, 3, 2, "w", (bnn_prior){ 0 });
    bnn_meanfield none = { 0 }, q = bnn_meanfield_new(w, (bnn_meanfield_desc){
        .posterior = BNN_POSTERIOR_DELTA });
    CHECK(bnn_meanfield_prune_rows(&none, 1) == 0 && bnn_meanfield_prune_rows(&q, 1e9) == 0);
    close_all();
}

/* y depends on two of six inputs */
static void units_without_use_leave_together_and_the_rest_answers_the_same(void) {
    open_all(3);
    enum { N = 300, D = 6 };
    bnn_data d = { normals(N, D, 1), bnn_mat_new(&mem, N, 1) };
    for (size_t i = 0; i < N; i++)
        d.y.data[i] = (float)(sin((double)*bnn_mat_at(d.x, i, 0)) +
                              0.5 * (double)*bnn_mat_at(d.x, i, 3)) +
                      (float)0.1 * bnn_rng_normal(&tape.rng);
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { D, 40, 30, 1 }, .noise_std = (float)0.1,
                                             .activation = BNN_TANH, .seed = 3 });
    bnn_meanfield q = bnn_meanfield_new(w, (bnn_meanfield_desc){ .ard = BNN_ARD_INPUT });
    bnn_net local = bnn_meanfield_net(&q, &net, BNN_NOISE_LOCAL);
    bnn_stepper adam = bnn_adam(q.params, (bnn_adam_desc){ .lr = (float)1e-2 });
    for (size_t s = 0; s < 4000; s++) {
        if (s == 3500) { /* what leaves stays away */
            size_t out = bnn_meanfield_prune_rows(&q, 3);
            CHECK(out > w->n / 2);
        }
        bnn_tape_reset(&tape);
        adam.lr = (float)bnn_lr_cosine(1e-2, s, 4000);
        bnn_meanfield_sample(&q, &tape);
        bnn_backward(bnn_net_nll(&local, bnn_minibatch(&tape, d, 100)));
        bnn_meanfield_backward(&q, &tape);
        bnn_step(&adam, &tape);
    }
    CHECK(bnn_meanfield_prune(&q, 0) == bnn_meanfield_prune_rows(&q, 0));
    bnn_meanfield_mean(&q);
    for (size_t i = 0; i < D; i++) /* the inputs that y does not depend on are gone, whole */
        for (size_t j = 0; j < 40; j++) CHECK((w->theta[40 * i + j] != 0) == (i == 0 || i == 3));
    bnn_net small = bnn_mlp_shrink(bnn_params_new(&mem), &net, NULL);
    CHECK(small.params->n * 4 < w->n);
    bnn_mat a = bnn_predict(&mem, &tape, &net, NULL, d.x).mean;
    bnn_mat b = bnn_predict(&mem, &tape, &small, NULL, d.x).mean;
    for (size_t i = 0; i < N; i++)
        CHECK_NEAR(a.data[i], b.data[i], BUILD_TOL(1e-5, 1e-12));
    CHECK(bnn_metric_rmse(b, d.y) < 0.15);
    close_all();
}

/* A list of layers: a channel whose rows in the next kernel hold nothing leaves with its filter */
static void channels_leave_where_all_their_taps_do(void) {
    open_all(4);
    bnn_net net = bnn_layers(bnn_params_new(&mem), (bnn_layers_desc){ .input = { 8, 8, 1 },
        .layers = { { BNN_CONV, 6, .kernel = 3 }, { BNN_MAX_POOL, .kernel = 2 },
                    { BNN_CONV, 5, .kernel = 2 }, { BNN_DENSE, 12 }, { BNN_DENSE, 4 } },
        .likelihood = BNN_CATEGORICAL, .seed = 4 });
    bnn_meanfield q = bnn_meanfield_new(net.params, (bnn_meanfield_desc){
        .ard = BNN_ARD_INPUT, .init_std = (float)0.01 });
    const bnn_block *k = &net.params->blocks[2], *dense = &net.params->blocks[4];
    for (size_t r = 0; r < k->rows; r++) /* channels 1 and 4 of the first convolution */
        for (size_t j = 0; j < 5 && (r % 6 == 1 || r % 6 == 4); j++)
            set_weight(&q, k->offset + 5 * r + j, 1e-4, 0.3);
    for (size_t r = 0; r < dense->rows; r++) /* channel 2 of the second, after it is flat */
        for (size_t j = 0; j < 12 && r % 5 == 2; j++)
            set_weight(&q, dense->offset + 12 * r + j, 1e-4, 0.3);
    CHECK(bnn_meanfield_prune_rows(&q, 0.1) >= 4 * 2 * 5 + 4 * 12);
    bnn_meanfield_mean(&q);
    bnn_net small = bnn_mlp_shrink(bnn_params_new(&mem), &net, NULL);
    CHECK(small.params != NULL && small.params->blocks[0].cols == 4 &&
          small.params->blocks[2].cols == 4 && small.params->blocks[4].cols == 12);
    bnn_mat x = normals(20, 64, 1), a = bnn_predict(&mem, &tape, &net, NULL, x).mean;
    bnn_mat b = bnn_predict(&mem, &tape, &small, NULL, x).mean;
    for (size_t i = 0; i < 80; i++) CHECK_NEAR(a.data[i], b.data[i], BUILD_TOL(1e-5, 1e-12));
    close_all();
}

/* ---- a scale per unit: the divergences of examples/scales.h */

static double divergence(bnn_var *(*kl)(bnn_var *m, bnn_var *s), double m, double s) {
    float both[2] = { (float)m, (float)s };
    bnn_var *at[2];
    for (int i = 0; i < 2; i++) at[i] = bnn_input(&tape, (bnn_mat){ 1, 1, both + i });
    double value = (double)kl(at[0], at[1])->val.data[0];
    bnn_tape_reset(&tape);
    return value;
}


/* E ln|z| of z ~ N(m, 1) by the trapezoid, which is exact for a smooth integrand that dies out;
 * x = e^t on either side removes the singularity at 0 */
static double mean_log(double m) {
    double sum = 0, h = 0.005;
    for (double t = -60; t < 4; t += h) {
        double x = exp(t);
        sum += h * x * t * (exp(-(x - m) * (x - m) / 2) + exp(-(x + m) * (x + m) / 2));
    }
    return sum / sqrt(2 * acos(-1));
}

static void the_divergence_to_a_log_uniform_scale_is_near_its_integral(void) {
    double worst = 0;
    open_all(1);
    for (double m = 0.02; m < 30; m *= 1.3) { /* KL = E ln|z| - ln s, 0 at m = 0 */
        double exact = mean_log(m) - mean_log(0), fit = divergence(log_uniform_kl, -3 * m, 3);
        if (fabs(fit - exact) > worst) worst = fabs(fit - exact);
    }
    CHECK_NEAR(mean_log(0), -(0.57721566490153286 + log(2)) / 2, 1e-9);
    CHECK(worst > 1e-4 && worst < 0.02);
    close_all();
    printf("    the fit is off by at most %.4f nats\n", worst);
}

/* q: ln g ~ N(m, s^2), p: g ~ Gamma(1/2, 1), the horseshoe's halves: formula and code (its constant
 * has five digits) beside the trapezoid over t = ln g, where p(t) = e^(t/2 - e^t) / sqrt(pi) */
static void the_divergence_to_half_a_horseshoe_is_its_integral(void) {
    open_all(1);
    for (double m = -9; m < 2; m += 1.5)
        for (double s = 0.05; s < 1.5; s *= 1.9) {
            double sum = 0, h = s / 200;
            for (double t = m - 12 * s; t < m + 12 * s; t += h) {
                double log_q = -(t - m) * (t - m) / (2 * s * s) - log(s) - log(2 * acos(-1)) / 2;
                sum += h * exp(log_q) * (log_q - t / 2 + exp(t) + log(acos(-1)) / 2);
            }
            CHECK_NEAR(exp(m + s * s / 2) - m / 2 - log(s) - 0.5 - log(2) / 2, sum, 1e-9);
            CHECK_NEAR(divergence(half_horseshoe_kl, m, s), sum, 1e-5 + 1e-5 * fabs(sum));
        }
    close_all();
}

int main(void) {
    RUN(rows_below_the_nats_of_the_formula_leave_and_no_others);
    RUN(a_point_or_an_empty_mean_field_has_no_rows_to_remove);
    RUN(units_without_use_leave_together_and_the_rest_answers_the_same);
    RUN(channels_leave_where_all_their_taps_do);
    RUN(the_divergence_to_a_log_uniform_scale_is_near_its_integral);
    RUN(the_divergence_to_half_a_horseshoe_is_its_integral);
    return check_done();
}
