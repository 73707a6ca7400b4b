/* discrete_vae.h -- a variational autoencoder with discrete latents, for discrete_vae.c and tests;
 * encoder and decoder are linear up to their link:
 *     z_1 .. z_L on {0, 1} or on K classes (one-hot), uniform or with learned probabilities,
 *     x ~ Bernoulli(decoder(z)),
 *     q(z|x) = prod_l q(z_l|x) by the encoder's logits
 *     ln p(x) >= E_q ln p(x|z) - KL(q(z|x) || p(z))                     the bound, ELBO
 * The KL has a closed form; the gradient of the first term with respect to q has to be estimated,
 * because a draw of z is a step function of the logits. Everything in nats per image. */
#ifndef DISCRETE_VAE_H
#define DISCRETE_VAE_H
#include "bnn.h"
#include <math.h>

enum { DISCRETE_GS,   /* relaxed draws: biased, quiet (Jang et al., Maddison et al. 2017) */
       DISCRETE_ST,   /* hard draws with the gradient of relaxed ones: biased as well    */
       DISCRETE_SF }; /* hard draws, score function, baseline: unbiased (Williams 1992)  */

typedef struct discrete_desc {
    size_t pixels, latents, classes; /* classes 0: Bernoulli */
    uint64_t seed;
    int learned; /* 1: p(z) has logits of its own */
} discrete_desc;

typedef struct discrete_vae {
    discrete_desc desc;
    size_t units, prior;      /* numbers that hold the latents: L, or L K; block of p(z)'s logits */
    bnn_params *w;
    bnn_net encoder, decoder; /* x (n,D) -> logits of q (n,units); z (n,units) -> logits of x */
} discrete_vae;

static inline discrete_vae discrete_new(bnn_params *w, discrete_desc desc) {
    size_t units = desc.latents * (desc.classes ? desc.classes : 1);
    discrete_vae m = { desc, units, 0, w, { 0 }, { 0 } };
    bnn_mlp_desc e = { .sizes = { desc.pixels, units }, .noise_std = 1, .seed = desc.seed };
    bnn_mlp_desc d = { .sizes = { units, desc.pixels }, .noise_std = 1, .seed = desc.seed + 1 };
    e.prior.kind = d.prior.kind = BNN_PRIOR_FLAT;
    e.init_scale = 0.3f; /* begin near the uniform q */
    m.encoder = bnn_mlp(w, e);
    m.decoder = bnn_mlp(w, d);
    if (desc.learned) m.prior = bnn_params_add(w, 1, units, "prior", d.prior);
    return m;
}

/* (n,L K) -> (n L,K): one row for each latent; a number for each of them back to the image's sum */
static inline bnn_var *discrete_groups(const discrete_vae *m, bnn_var *a) {
    return bnn_reshape(a, a->val.rows * m->desc.latents, m->desc.classes);
}
static inline bnn_var *discrete_per_image(const discrete_vae *m, bnn_var *a) {
    return bnn_rowsum(bnn_reshape(a, a->val.rows / m->desc.latents, m->desc.latents));
}

static inline float discrete_log_states(const discrete_vae *m) {
    double classes = m->desc.classes ? (double)m->desc.classes : 2;
    return (float)((double)m->desc.latents * log(classes));
}

/* ln p(z), (n,1), of draws; it is linear in z, so that of means of draws is the mean. NULL where
 * p(z) is uniform: -discrete_log_states then */
static inline bnn_var *discrete_log_prior(const discrete_vae *m, bnn_var *z) {
    if (!m->desc.learned) return NULL;
    bnn_var *r = bnn_param(z->tape, m->w, m->prior), *each;
    if (m->desc.classes == 0) return bnn_rowsum(bnn_sub(bnn_mul(z, r), bnn_softplus(r)));
    each = bnn_log_softmax(discrete_groups(m, r));
    return bnn_rowsum(bnn_mul(z, bnn_reshape(each, 1, m->units)));
}

/* KL(q || p), exact, (n,1) */
static inline bnn_var *discrete_kl(const discrete_vae *m, bnn_var *logits) {
    int bits = m->desc.classes == 0;
    bnn_var *groups = bits ? logits : discrete_groups(m, logits), *mean;
    bnn_var *kl = bits ? bnn_kl_bernoulli(logits, 0.5f) /* to the uniform one */
                       : discrete_per_image(m, bnn_kl_categorical(groups, NULL));
    if (!m->desc.learned) return kl;
    mean = bits ? bnn_sigmoid(logits)
                : bnn_reshape(bnn_softmax(groups), logits->val.rows, m->units);
    return bnn_sub(bnn_shift(kl, -discrete_log_states(m)), discrete_log_prior(m, mean));
}

/* ln q(z|x) of hard draws, (n,1) */
static inline bnn_var *discrete_log_q(const discrete_vae *m, bnn_var *logits, bnn_var *z) {
    bnn_var *rows;
    if (m->desc.classes == 0) return bnn_neg(bnn_bernoulli_nll(logits, z));
    rows = bnn_cross_entropy(discrete_groups(m, logits), discrete_groups(m, z), 1);
    return bnn_neg(discrete_per_image(m, rows));
}

static inline bnn_var *discrete_positive(bnn_var *l) { /* 1 where l > 0, else 0: a constant */
    bnn_var *y = bnn_op(l->tape, l->val.rows, l->val.cols, NULL, 0, NULL);
    for (size_t i = 0; y->val.data && i < l->val.rows * l->val.cols; i++)
        y->val.data[i] = l->val.data[i] > 0;
    return y;
}

/* One draw of all latents, (n,units): a relaxed one, or a hard one with or without a gradient. The
 * largest entry of a relaxed draw is a draw of q at every temperature. */
static inline bnn_var *discrete_draw(const discrete_vae *m, bnn_var *logits, int estimator,
                                     float tau) {
    bnn_var *l, *soft, *hard;
    if (m->desc.classes == 0) {
        l = bnn_relaxed_bernoulli(logits, tau);
        soft = bnn_sigmoid(l);
        hard = discrete_positive(l);
    } else {
        soft = bnn_gumbel_softmax(discrete_groups(m, logits), tau);
        hard = bnn_one_hot(soft);
        soft = bnn_reshape(soft, logits->val.rows, m->units);
        hard = bnn_reshape(hard, logits->val.rows, m->units);
    }
    if (estimator == DISCRETE_GS) return soft;
    return estimator == DISCRETE_ST ? bnn_straight_through(hard, soft) : hard;
}

/* -ELBO, mean over the images. With relaxed draws the value is no bound of anything: the KL is that
 * of the discrete q, the draws are not from it (Maddison et al. 2017, appendix C; a bound of the
 * relaxed model would need the ratio of two bnn_concrete_log_prob). It is trained on because its
 * gradient is quiet, and judged by discrete_evaluate, whose draws are hard. baseline (n,1): a guess
 * of -ln p(x|z) that does not see z; NULL: the mean of the other images'. Only for DISCRETE_SF. */
static inline bnn_var *discrete_loss(const discrete_vae *m, bnn_var *x, int estimator, float tau,
                                     bnn_var *baseline, bnn_var **nll) {
    bnn_var *logits = bnn_net_forward(&m->encoder, x);
    bnn_var *z = discrete_draw(m, logits, estimator, tau);
    bnn_var *f = bnn_bernoulli_nll(bnn_net_forward(&m->decoder, z), x), *mean = bnn_mean(f);
    if (nll) *nll = f;
    if (estimator == DISCRETE_SF)
        mean = bnn_score_function(f, discrete_log_q(m, logits, z), baseline);
    return bnn_add(mean, bnn_mean(discrete_kl(m, logits)));
}

/* ln w = ln p(x, z) - ln q(z|x) of one hard draw, (n,1). Its mean is the ELBO; ln of the mean of k
 * of exp(ln w) the importance-weighted bound (Burda et al. 2016). */
static inline bnn_var *discrete_log_weight(const discrete_vae *m, bnn_var *x, bnn_var *logits) {
    bnn_var *z = discrete_draw(m, logits, DISCRETE_SF, 1);
    bnn_var *nll = bnn_bernoulli_nll(bnn_net_forward(&m->decoder, z), x);
    bnn_var *other = bnn_neg(bnn_add(nll, discrete_log_q(m, logits, z)));
    bnn_var *prior = discrete_log_prior(m, z);
    return prior ? bnn_add(other, prior) : bnn_shift(other, -discrete_log_states(m));
}

typedef struct discrete_score { /* means over the images, nats */
    double elbo, kl, bound;     /* of k draws; bound: importance-weighted */
} discrete_score;

/* Both bounds of the model with discrete latents, for images that are black and white */
static inline discrete_score discrete_evaluate(bnn_arena *mem, bnn_tape *tape,
                                               const discrete_vae *m, bnn_mat x, size_t k) {
    enum { BLOCK = 200 };
    discrete_score s = { 0, 0, 0 };
    bnn_mark mark = bnn_arena_mark(mem);
    double *most = (double *)bnn_arena_alloc(mem, BLOCK, sizeof(double));
    double *sum = (double *)bnn_arena_alloc(mem, BLOCK, sizeof(double));
    for (size_t i = 0; i < x.rows && !mem->err && !tape->err; i += BLOCK) {
        size_t n = x.rows - i < BLOCK ? x.rows - i : BLOCK;
        bnn_mat rows = bnn_mat_rows(x, i, n), logits;
        bnn_mark block = bnn_arena_mark(mem);
        bnn_tape_reset(tape);
        bnn_var *l = bnn_net_forward(&m->encoder, bnn_input(tape, rows));
        s.kl += bnn_mat_sum(discrete_kl(m, l)->val) / (double)x.rows;
        logits = bnn_mat_copy(mem, l->val);
        for (size_t r = 0; r < n; r++) most[r] = -INFINITY, sum[r] = 0;
        for (size_t j = 0; j < k && !mem->err; j++) { /* ln sum e^w, one draw after the other */
            bnn_tape_reset(tape);
            bnn_mat w = discrete_log_weight(m, bnn_input(tape, rows), bnn_input(tape, logits))->val;
            for (size_t r = 0; r < n && !tape->err; r++) {
                double lw = (double)w.data[r], top = fmax(most[r], lw);
                sum[r] = sum[r] * exp(most[r] - top) + exp(lw - top);
                most[r] = top;
                s.elbo += lw / (double)(k * x.rows);
            }
        }
        for (size_t r = 0; r < n; r++)
            s.bound += (most[r] + log(sum[r] / (double)k)) / (double)x.rows;
        bnn_arena_rewind(mem, block);
    }
    bnn_arena_rewind(mem, mark);
    bnn_tape_reset(tape);
    return s;
}
#endif
