/* factorized.h -- two models of binary images without latents:
 *     independent pixels   p(x) = prod_d p_d(x_d), counts plus one (Laplace's rule)
 *     fully visible        p(x) = prod_d p(x_d | x_1 .. x_(d-1)), a logistic regression for each
 *                          pixel (Frey 1998): one affine map, its matrix masked to the past */
#ifndef FACTORIZED_H
#define FACTORIZED_H
#include "bnn.h"
#include <math.h>

static inline int independent_fit(bnn_mat p, bnn_mat x) { /* p (1,D) */
    int err = bnn_mat_col_sum(p, x);
    for (size_t d = 0; err == BNN_OK && d < p.cols; d++)
        p.data[d] = (p.data[d] + 1) / ((float)x.rows + 2);
    return err;
}

static inline double independent_log_p(bnn_mat p, const float *x) {
    double sum = 0;
    for (size_t d = 0; d < p.cols; d++)
        sum += log(x[d] > 0.5f ? (double)p.data[d] : 1 - (double)p.data[d]);
    return sum;
}

typedef struct visible {
    bnn_params *w; /* block 0: (D,D) weights, pixel by predicted pixel; block 1: (1,D) */
    bnn_mat mask;  /* (D,D): 1 where the row's pixel comes before the column's          */
} visible;

static inline visible visible_new(bnn_params *w, size_t pixels) {
    visible m = { w, bnn_mat_new(w->mem, pixels, pixels) };
    bnn_prior prior = { .std = 3 };
    bnn_params_add(w, pixels, pixels, "w", prior);
    bnn_params_add(w, 1, pixels, "b", prior);
    for (size_t i = 0; m.mask.data && i < pixels * pixels; i++)
        m.mask.data[i] = i / pixels < i % pixels;
    return m;
}

/* Logit of every pixel given the pixels before it: (n,D) */
static inline bnn_var *visible_logits(const visible *m, bnn_var *x) {
    bnn_tape *t = x->tape;
    bnn_var *w = bnn_mul(bnn_param(t, m->w, 0), bnn_input(t, m->mask));
    return bnn_affine(x, w, bnn_param(t, m->w, 1));
}

static inline bnn_var *visible_nll(const visible *m, bnn_var *x) { /* (n,1), nats */
    return bnn_bernoulli_nll(visible_logits(m, x), x);
}

static inline void visible_sample(bnn_tape *tape, const visible *m, bnn_mat x) {
    bnn_mat_fill(x, 0);
    for (size_t d = 0; d < x.cols; d++) { /* pixel by pixel */
        bnn_tape_reset(tape);
        bnn_mat p = bnn_sigmoid(visible_logits(m, bnn_input(tape, x)))->val;
        for (size_t i = 0; !tape->err && i < x.rows; i++)
            x.data[i * x.cols + d] = bnn_rng_uniform(&tape->rng) < p.data[i * x.cols + d];
    }
}

/* One bar, horizontal or vertical, in a side x side image: 2 side images, equally likely */
static inline void bars_fill(bnn_rng *rng, bnn_mat x, size_t side) {
    for (size_t i = 0; i < x.rows; i++) {
        size_t bar = bnn_rng_below(rng, 2 * side);
        for (size_t j = 0; j < x.cols; j++)
            x.data[i * x.cols + j] = bar < side ? j / side == bar : j % side == bar - side;
    }
}
#endif
