/* inherit.h -- what lecture 5 and its solutions share: a net that learns under a Gaussian prior
 * over all its weights, and teachers and students who read the 8x8 digits. */
#ifndef INHERIT_H
#define INHERIT_H
#include "course.h"

enum { TEACHER_WIDTH = 30, STUDENT_WIDTH = 12, TEACHER_STEPS = 2000, STUDENT_STEPS = 600,
       STUDENT_BATCH = 50, VOICES = 20 };

/* N(mean, sd^2) for each of n weights, independent; mean NULL = 0 */
static inline bnn_gaussian same_sd(bnn_arena *mem, size_t n, const float *mean, double sd) {
    bnn_mat v = bnn_mat_new(mem, 1, n);
    bnn_mat_fill(v, (float)(sd * sd));
    return bnn_gaussian_new(mem, n, mean, v);
}

/* Weight noise q = N(mu, sd^2) by descent on F/N = E_q[nll] + KL(q || prior)/N. mu starts at the
 * weights of net and is left there; returns q. The prior may have any mean and covariance */
static inline bnn_gaussian study(bnn_arena *mem, bnn_tape *tape, const bnn_net *net,
                                 bnn_gaussian *prior, bnn_data d, size_t steps, double lr) {
    bnn_params *w = net->params, *q = bnn_params_new(mem);
    size_t n = w->n;
    bnn_params_add(q, 1, n, "mu", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    bnn_params_add(q, 1, n, "ln sd", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
    bnn_mat eps = bnn_mat_new(mem, 1, n), var = bnn_mat_new(mem, 1, n);
    bnn_stepper adam = bnn_adam(q, (bnn_adam_desc){ .lr = (float)lr });
    if (mem->err) return bnn_gaussian_new(mem, 0, NULL, var);
    float *mu = q->theta, *ln_sd = q->theta + n;
    memcpy(mu, w->theta, n * sizeof *mu);
    for (size_t i = 0; i < n; i++) ln_sd[i] = -2;
    for (size_t s = 0; s < steps && !tape->err; s++) {
        bnn_tape_reset(tape);
        bnn_var *m = bnn_param(tape, q, 0), *sd = bnn_exp(bnn_param(tape, q, 1));
        bnn_rng_fill_normal(&tape->rng, n, eps.data);
        for (size_t i = 0; i < n; i++) w->theta[i] = mu[i] + sd->val.data[i] * eps.data[i];
        bnn_batch b = bnn_minibatch(tape, d, d.x.rows < STUDENT_BATCH ? d.x.rows : STUDENT_BATCH);
        bnn_params_zero_grad(w);
        bnn_params_zero_grad(q);
        bnn_backward(bnn_scale(bnn_kl_gaussian(m, sd, prior), (float)(1 / b.n_data)));
        bnn_backward(bnn_net_nll(net, b));
        for (size_t i = 0; i < n; i++) eps.data[i] *= w->grad[i];
        bnn_backward_from(m, (bnn_mat){ 1, n, w->grad }); /* w = mu + sd eps, backwards */
        bnn_backward_from(sd, eps);
        adam.lr = (float)bnn_lr_cosine(lr, s, steps);
        bnn_step(&adam, tape);
    }
    memcpy(w->theta, mu, n * sizeof *mu);
    for (size_t i = 0; i < n; i++) var.data[i] = expf(2 * ln_sd[i]);
    return bnn_gaussian_new(mem, n, mu, var);
}

typedef struct { double nll, error; } grade; /* nats per digit, percent */

/* Of VOICES draws from q together */
static inline grade examine(bnn_arena *mem, bnn_tape *tape, const bnn_net *net, bnn_gaussian *q,
                            bnn_data test) {
    bnn_ensemble e = bnn_ensemble_new(net->params, VOICES);
    for (int k = 0; k < VOICES && !mem->err; k++) {
        bnn_gaussian_sample(q, &tape->rng, net->params->theta);
        bnn_ensemble_push(&e);
    }
    if (mem->err) return (grade){ 0, 0 };
    memcpy(net->params->theta, q->mean, q->n * sizeof(float));
    bnn_mat p = bnn_predict(mem, tape, net, &e, test.x).mean;
    return (grade){ bnn_metric_nll(p, test.y), 100 * bnn_metric_error(p, test.y) };
}

static inline bnn_net digits_net(bnn_arena *mem, size_t width, uint64_t seed) {
    return bnn_mlp(bnn_params_new(mem), (bnn_mlp_desc){ .sizes = { 64, width, 10 },
                   .activation = BNN_TANH, .likelihood = BNN_CATEGORICAL, .seed = seed });
}

/* The same digits seen in a mirror: another world, with the same labels */
static inline bnn_data mirrored(bnn_arena *mem, bnn_data d) {
    bnn_data m = { bnn_mat_copy(mem, d.x), d.y };
    for (size_t i = 0; i < d.x.rows * 64 && m.x.data; i++) m.x.data[i] = d.x.data[i ^ 7];
    return m;
}

/* A teacher of 64-30-10 learns d under N(0, 1); its posterior shrinks to the student's 64-12-10 by
 * the removal of the 18 neurons with the lowest density ratio */
static inline bnn_gaussian teach(bnn_arena *mem, bnn_tape *tape, bnn_data d, bnn_net *teacher,
                                 bnn_gaussian *posterior, bnn_net *shrunk) {
    bnn_gaussian prior, small = { 0 };
    size_t order[TEACHER_WIDTH] = { 0 };
    *teacher = digits_net(mem, TEACHER_WIDTH, 1);
    prior = same_sd(mem, teacher->params->n, NULL, 1);
    *posterior = study(mem, tape, teacher, &prior, d, TEACHER_STEPS, 1e-2);
    bnn_drop_order(mem, order, teacher, posterior, 1, BNN_ORDER_RATIO, NULL, NULL);
    *shrunk = bnn_drop_neurons(bnn_params_new(mem), &small, teacher, posterior, 1,
                               TEACHER_WIDTH - STUDENT_WIDTH, order, 0);
    return small;
}

/* A student of 64-12-10 that begins at `start` (NULL: at random) and learns d under the prior. sd:
 * geometric mean of its weights' widths, may be NULL */
static inline grade student(bnn_tape *tape, bnn_gaussian *prior, const float *start, bnn_data d,
                            bnn_data test, double *sd) {
    bnn_arena mem = { 0 };
    bnn_net net = digits_net(&mem, STUDENT_WIDTH, 2);
    if (start) memcpy(net.params->theta, start, net.params->n * sizeof(float));
    bnn_gaussian q = study(&mem, tape, &net, prior, d, STUDENT_STEPS, 1e-2);
    grade g = examine(&mem, tape, &net, &q, test);
    double sum = 0;
    for (size_t i = 0; i < q.n; i++) sum += log((double)q.pieces[0].cov.data[i]) / 2;
    if (sd) *sd = exp(sum / (double)q.n);
    check(mem.err == 0, mem.msg);
    bnn_arena_free(&mem);
    return g;
}
#endif
