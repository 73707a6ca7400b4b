/* vae.h -- a variational autoencoder (Kingma and Welling 2014) for vae.c, vae_uses.c and the tests:
 * two nets in one parameter store, and the bound written out in the library's operations.
 *     t ~ N(0, I),  x ~ p(x|t) by the decoder,  q(t|x) = N(m(x), diag s(x)^2) by the encoder
 *     ln p(x) >= E_q ln p(x|t) - KL(q(t|x) || N(0, I))                  the bound, ELBO
 * Everything is in nats per image: sums over pixels and latents, never means. */
#ifndef VAE_H
#define VAE_H
#include "bnn.h"
#include <math.h>

typedef struct vae_desc {
    size_t pixels, hidden, latent; /* hidden 0: linear encoder and decoder                       */
    int activation;                /* of the hidden layers                                       */
    int likelihood;                /* BNN_BERNOULLI, BNN_GAUSSIAN (noise_std given or learned),
                                      BNN_GAUSSIAN_HETERO (ln variance by the decoder)           */
    float noise_std;
    int noise_learned;
    int relevance;                 /* 1: a learned scale on each latent, with prior N(0, 1)      */
    float std;                     /* > 0: prior N(0, std^2/fan in) on the decoder's weights     */
    bnn_params *decoder;           /* a store of its own for the decoder, default the encoder's  */
    uint64_t seed;
    size_t side, filters;          /* filters > 0: convolutions, over images of side x side, a
                                      multiple of 4                                              */
} vae_desc;

typedef struct vae {
    vae_desc desc;
    bnn_params *w;   /* the encoder's store, and unless desc.decoder the decoder's */
    bnn_params *v;   /* the decoder's                                       */
    bnn_net encoder; /* x (n,D) -> m and ln s^2 of t, (n,2M)                */
    bnn_net decoder; /* t (n,M) -> logits or mean (and ln variance) of x    */
    size_t scales;   /* the block of relevances                             */
    float sigma;     /* multiplies s: 1, or 0 for a plain autoencoder       */
} vae;

typedef struct vae_bound { /* one row per image */
    bnn_var *mean, *log_var, *t; /* of q(t|x), and a draw from it            */
    bnn_var *nll, *kl;           /* -ln p(x|t), and KL(q(t|x) || N(0, I))    */
} vae_bound;

/* Convolutions that halve the side, twice, and a hidden layer; the decoder is its mirror. 5x5, or
 * 3x3 where the image is small. Blocks: w, b of two layers, then of two more. */
static inline bnn_window vae_window(const vae_desc *d) {
    bnn_window v = { .kernel = d->side < 16 ? 3 : 5, .stride = 2, .same = 1 };
    return v;
}

static inline bnn_var *vae_conv_encoder(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    const vae_desc *d = (const vae_desc *)net->user;
    bnn_image at = { d->side, d->side, 1 };
    for (size_t l = 0; l < 4; l++) {
        size_t channels = l == 0 ? d->filters : 2 * d->filters;
        bnn_var *w = bnn_param(t, net->params, 2 * l), *b = bnn_param(t, net->params, 2 * l + 1);
        x = l < 2 ? bnn_conv2d(x, w, b, at, vae_window(d)) : bnn_affine(x, w, b);
        if (l < 3) x = bnn_relu(x);
        if (l < 2) at = bnn_image_conv(at, channels, vae_window(d));
    }
    return x;
}

static inline bnn_var *vae_conv_decoder(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    const vae_desc *d = (const vae_desc *)net->user;
    bnn_image at = { d->side / 4, d->side / 4, 2 * d->filters };
    for (size_t l = 0; l < 4; l++) {
        bnn_var *w = bnn_param(t, net->params, 8 + 2 * l);
        bnn_var *b = bnn_param(t, net->params, 9 + 2 * l);
        x = l < 2 ? bnn_affine(x, w, b) : bnn_conv2d_transpose(x, w, b, at, vae_window(d));
        if (l < 3) x = bnn_relu(x);
        if (l == 2) at = bnn_image_conv_transpose(at, d->filters, vae_window(d));
    }
    return x;
}

static inline void vae_convolutions(vae *m) { /* Bernoulli pixels, one store, no relevances */
    vae_desc *d = (vae_desc *)bnn_arena_alloc(m->w->mem, 1, sizeof *d);
    size_t k = vae_window(&m->desc).kernel, f = m->desc.filters, q = m->desc.side / 4;
    size_t flat = q * q * 2 * f, h = m->desc.hidden, z = m->desc.latent;
    const size_t shape[8][3] = { { k * k, f, f }, { k * k * f, 2 * f, 2 * f }, { flat, h, h },
                                 { h, 2 * z, 2 * z }, { z, h, h }, { h, flat, flat },
                                 { 2 * f, k * k * f, f }, { f, k * k, 1 } };
    bnn_net net = { .params = m->w, .likelihood = m->desc.likelihood, .user = d };
    bnn_rng rng = bnn_rng_seed(m->desc.seed);
    for (size_t l = 0; l < 8 && m->w->mem->err == BNN_OK; l++) {
        bnn_prior flat_prior = { .kind = BNN_PRIOR_FLAT };
        size_t fan_in = l < 6 ? shape[l][0] : k * k * shape[l][0] / 4; /* per pixel made */
        size_t b = bnn_params_add(m->w, shape[l][0], shape[l][1], "w", flat_prior);
        bnn_params_add(m->w, 1, shape[l][2], "b", flat_prior);
        if (m->w->mem->err != BNN_OK) return;
        bnn_mat w = bnn_params_mat(m->w, b);
        bnn_rng_fill_normal(&rng, w.rows * w.cols, w.data);
        bnn_mat_scale(w, w, (float)sqrt((l % 4 == 3 ? 1 : 2) / (double)fan_in));
    }
    if (d) *d = m->desc;
    m->encoder = m->decoder = net;
    m->encoder.forward = vae_conv_encoder, m->decoder.forward = vae_conv_decoder;
}

static inline vae vae_new(bnn_params *w, vae_desc desc) {
    vae m = { desc, w, desc.decoder ? desc.decoder : w, { 0 }, { 0 }, 0, 1 };
    size_t out = desc.likelihood == BNN_GAUSSIAN_HETERO ? 2 * desc.pixels : desc.pixels;
    bnn_prior flat = { .kind = BNN_PRIOR_FLAT }, normal = { .std = desc.std, .fan_in = 1 };
    bnn_mlp_desc e = { .sizes = { desc.pixels, desc.hidden, 2 * desc.latent }, .noise_std = 1,
                       .activation = desc.activation, .prior = flat, .seed = desc.seed };
    bnn_mlp_desc d = { .sizes = { desc.latent, desc.hidden, out }, .noise_std = 1,
                       .activation = desc.activation,
                       .prior = desc.std > 0 ? normal : flat, .seed = desc.seed + 1,
                       .likelihood = desc.likelihood };
    if (desc.likelihood == BNN_GAUSSIAN) {
        d.noise_std = desc.noise_std;
        d.noise_learned = desc.noise_learned;
    }
    if (desc.hidden == 0) {
        e.sizes[1] = e.sizes[2], d.sizes[1] = d.sizes[2];
        e.sizes[2] = d.sizes[2] = 0;
    }
    if (desc.filters > 0) {
        vae_convolutions(&m);
        return m;
    }
    m.encoder = bnn_mlp(w, e);
    m.decoder = bnn_mlp(m.v, d);
    if (desc.relevance) {
        m.scales = bnn_params_add(m.v, 1, desc.latent, "relevance", (bnn_prior){ .std = 1 });
        if (m.v->mem->err == BNN_OK) bnn_mat_fill(bnn_params_mat(m.v, m.scales), 1);
    }
    return m;
}

static inline bnn_var *vae_output(const vae *m, bnn_var *t) {
    if (m->desc.relevance) t = bnn_mul(t, bnn_param(t->tape, m->v, m->scales));
    return bnn_net_forward(&m->decoder, t);
}

/* E[x|t]: what a person looks at */
static inline bnn_var *vae_decode(const vae *m, bnn_var *t) {
    bnn_var *out = vae_output(m, t);
    if (m->desc.likelihood == BNN_BERNOULLI) return bnn_sigmoid(out);
    return bnn_cols(out, 0, m->desc.pixels);
}

/* ln variance of the pixels, for the two Gaussian likelihoods */
static inline bnn_var *vae_log_var(const vae *m, bnn_var *out) {
    size_t d = m->desc.pixels;
    if (m->desc.likelihood == BNN_GAUSSIAN_HETERO) return bnn_cols(out, d, d);
    if (m->decoder.noise_learned) return bnn_param(out->tape, m->v, m->decoder.noise);
    return bnn_scalar(out->tape, 2 * (float)log((double)m->decoder.noise_std));
}

static inline bnn_var *vae_nll(const vae *m, bnn_var *t, bnn_var *x) {
    bnn_var *out = vae_output(m, t);
    if (m->desc.likelihood == BNN_BERNOULLI) return bnn_bernoulli_nll(out, x);
    return bnn_gaussian_nll(bnn_cols(out, 0, m->desc.pixels), x, vae_log_var(m, out));
}

static inline vae_bound vae_encode(const vae *m, bnn_var *x) {
    vae_bound b = { NULL, NULL, NULL, NULL, NULL };
    size_t k = m->desc.latent;
    bnn_var *h = bnn_net_forward(&m->encoder, x), *sd;
    b.mean = bnn_cols(h, 0, k);
    b.log_var = bnn_clamp(bnn_cols(h, k, k), -20, 10);
    sd = bnn_exp(bnn_scale(b.log_var, 0.5f));
    b.t = bnn_normal(b.mean, bnn_scale(sd, m->sigma)); /* m + s eps: gradients go through */
    b.kl = bnn_kl_standard_normal(b.mean, sd);
    return b;
}

static inline vae_bound vae_rows(const vae *m, bnn_var *x) {
    vae_bound b = vae_encode(m, x);
    b.nll = vae_nll(m, b.t, x);
    return b;
}

/* -ELBO, mean over the images; beta 1 is the bound, other values reweigh the KL */
static inline bnn_var *vae_loss(const vae *m, bnn_var *x, float beta) {
    vae_bound b = vae_rows(m, x);
    return bnn_add(bnn_mean(b.nll), bnn_scale(bnn_mean(b.kl), beta));
}

/* The same with -ln p(decoder)/N, for decoders with a prior */
static inline bnn_var *vae_loss_prior(const vae *m, bnn_batch b) {
    bnn_var *prior = bnn_prior_nll(b.x->tape, m->v);
    return bnn_add(vae_loss(m, b.x, 1), bnn_scale(prior, 1 / (float)b.n_data));
}

/* ln w_j = ln p(x, t_j) - ln q(t_j|x) of k draws, (n,k) (Burda et al. 2016). Their mean is the
 * ELBO; bnn_logsumexp minus ln k is the importance-weighted bound. ln 2 pi of p(t) and q cancel. */
static inline bnn_var *vae_log_weights(const vae *m, bnn_var *x, size_t k) {
    vae_bound b = vae_encode(m, x);
    bnn_var *sd = bnn_exp(bnn_scale(b.log_var, 0.5f));
    bnn_var **column = (bnn_var **)bnn_arena_alloc(&x->tape->mem, k, sizeof(bnn_var *));
    if (column == NULL) return bnn_tape_fail(x->tape, BNN_ENOMEM, "vae_log_weights", "no memory");
    for (size_t j = 0; j < k; j++) {
        bnn_var *t = bnn_normal(b.mean, sd), *eps = bnn_div(bnn_sub(t, b.mean), sd);
        bnn_var *ratio = bnn_add(bnn_sub(bnn_square(eps), bnn_square(t)), b.log_var);
        column[j] = bnn_sub(bnn_rowsum(bnn_scale(ratio, 0.5f)), vae_nll(m, t, x));
    }
    return bnn_concat(x->tape, k, column);
}

/* Black or white by the gray value, anew at every call: "dynamic binarization" */
static inline bnn_var *vae_binarize(bnn_var *gray) {
    size_t n = gray->val.rows * gray->val.cols;
    bnn_var *x = bnn_op(gray->tape, gray->val.rows, gray->val.cols, NULL, 0, NULL);
    if (x->val.data == NULL || x->val.rows * x->val.cols != n) return x;
    bnn_rng_fill_uniform(&x->tape->rng, n, x->val.data);
    for (size_t i = 0; i < n; i++) x->val.data[i] = x->val.data[i] < gray->val.data[i];
    return x;
}

typedef struct vae_score { /* (n,1) each, nats */
    bnn_mat nll, kl, elbo, iwae;
} vae_score;

/* All bounds of every row of x, in blocks; k draws for the importance-weighted one. */
static inline vae_score vae_evaluate(bnn_arena *mem, bnn_tape *tape, const vae *m, bnn_mat x,
                                     size_t k) {
    vae_score s = { bnn_mat_new(mem, x.rows, 1), bnn_mat_new(mem, x.rows, 1),
                    bnn_mat_new(mem, x.rows, 1), bnn_mat_new(mem, x.rows, 1) };
    for (size_t i = 0; mem->err == BNN_OK && i < x.rows; i += 100) {
        size_t n = x.rows - i < 100 ? x.rows - i : 100;
        vae_bound b;
        bnn_var *input, *best;
        bnn_tape_reset(tape);
        input = bnn_input(tape, bnn_mat_rows(x, i, n));
        if (m->desc.likelihood == BNN_BERNOULLI) input = vae_binarize(input);
        b = vae_rows(m, input);
        best = k > 0 ? bnn_logsumexp(vae_log_weights(m, input, k)) : b.kl;
        if (tape->err != BNN_OK) break;
        for (size_t j = 0; j < n; j++) {
            s.nll.data[i + j] = b.nll->val.data[j];
            s.kl.data[i + j] = b.kl->val.data[j];
            s.elbo.data[i + j] = -b.nll->val.data[j] - b.kl->val.data[j];
            s.iwae.data[i + j] = k > 0 ? best->val.data[j] - (float)log((double)k) : 0;
        }
    }
    bnn_tape_reset(tape);
    return s;
}

static inline double vae_mean(bnn_mat column) {
    return bnn_mat_sum(column) / (double)column.rows;
}

/* Sets a linear Gaussian VAE (hidden 0) to a PPCA whose W'W is diagonal, as that of the closed form
 * is. The posterior is then diagonal, with v_j = 1/(1 + w_j'w_j/s2), and q is exact: the ELBO is
 * ln p(x). mean (1,D), w (D,M), s2 the noise variance. */
static inline void vae_set_linear(vae *m, bnn_mat mean, bnn_mat w, double s2) {
    bnn_mat e = bnn_params_mat(m->w, 0), eb = bnn_params_mat(m->w, 1);
    size_t d = w.rows, k = w.cols;
    bnn_mat_transpose(bnn_params_mat(m->v, 2), w); /* blocks of the decoder, in the same store */
    for (size_t i = 0; i < d; i++) bnn_params_mat(m->v, 3).data[i] = mean.data[i];
    bnn_mat_fill(e, 0);
    bnn_mat_fill(eb, 0);
    for (size_t j = 0; j < k; j++) {
        double ww = 0, v;
        for (size_t i = 0; i < d; i++) ww += pow((double)w.data[i * k + j], 2);
        v = 1 / (1 + ww / s2);
        for (size_t i = 0; i < d; i++) {
            double c = v * (double)w.data[i * k + j] / s2;
            *bnn_mat_at(e, i, j) = (float)c;
            eb.data[j] -= (float)(c * (double)mean.data[i]);
        }
        eb.data[k + j] = (float)log(v);
    }
}

/* Missing pixels (NaN) by pseudo-Gibbs (Rezende et al. 2014): t ~ q(t|x), x_missing ~ p(x|t), again
 * and again; a Gibbs sampler where q is exact. start (1,D): where gaps begin. mean: E[x|t] averaged
 * over the sweeps after burn_in; last: the last draw. Observed pixels stay as they are. */
static inline void vae_impute(bnn_tape *tape, const vae *m, bnn_mat x, bnn_mat start, size_t sweeps,
                              size_t burn_in, bnn_mat mean, bnn_mat last) {
    size_t n = x.rows * x.cols, d = x.cols;
    bnn_mat_fill(mean, 0);
    for (size_t i = 0; i < n; i++)
        last.data[i] = isnan(x.data[i]) ? start.data[i % d] : x.data[i];
    for (size_t s = 0; s < sweeps; s++) {
        bnn_var *out, *expect, *draw;
        bnn_tape_reset(tape);
        out = vae_output(m, vae_encode(m, bnn_input(tape, last)).t);
        if (m->desc.likelihood == BNN_BERNOULLI) {
            expect = bnn_sigmoid(out);
            draw = vae_binarize(expect);
        } else {
            expect = bnn_cols(out, 0, d);
            draw = bnn_normal(expect, bnn_exp(bnn_scale(vae_log_var(m, out), 0.5f)));
        }
        if (tape->err != BNN_OK) return;
        for (size_t i = 0; i < n; i++) {
            if (isnan(x.data[i])) last.data[i] = draw->val.data[i];
            if (s >= burn_in) mean.data[i] += expect->val.data[i] / (float)(sweeps - burn_in);
        }
    }
    for (size_t i = 0; i < n; i++)
        if (!isnan(x.data[i])) mean.data[i] = x.data[i];
    bnn_tape_reset(tape);
}
#endif
