/* scales.h -- divergences of priors over the scale of a unit, summed over the units, for
 * prune_scales.c and its test. m, s (1,n): the parameters of q. */
#ifndef SCALES_H
#define SCALES_H
#include "bnn.h"

/* KL of N(m, s^2) to p(z) = 1/|z|, up to a constant that makes it 0 at m = 0, as Molchanov,
 * Ashukha and Vetrov 2017 fit it: k1 (1 - sigmoid(k2 + k3 ln a)) + ln(1 + 1/a)/2,
 * a = s^2/m^2 */
static bnn_var *log_uniform_kl(bnn_var *m, bnn_var *s) {
    bnn_var *log_a = bnn_scale(bnn_sub(bnn_log(s), bnn_log(bnn_abs(m))), 2);
    bnn_var *off = bnn_sigmoid(bnn_neg(bnn_shift(bnn_scale(log_a, 1.48695f), 1.87320f)));
    bnn_var *log_part = bnn_scale(bnn_softplus(bnn_neg(log_a)), 0.5f);
    return bnn_sum(bnn_add(bnn_scale(off, 0.63576f), log_part));
}

/* KL of the log-normal ln g ~ N(m, s^2) to g ~ Gamma(1/2, 1), half of a horseshoe:
 * e^(m + s^2/2) - m/2 - ln s - (1 + ln 2)/2 */
static bnn_var *half_horseshoe_kl(bnn_var *m, bnn_var *s) {
    bnn_var *rate = bnn_exp(bnn_add(m, bnn_scale(bnn_square(s), 0.5f)));
    bnn_var *log_sd = bnn_add(bnn_scale(m, 0.5f), bnn_log(s));
    return bnn_sum(bnn_shift(bnn_sub(rate, log_sd), -0.84657f));
}

#endif
