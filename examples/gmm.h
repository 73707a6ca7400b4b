/* gmm.h -- a mixture of K Gaussians by EM (Bishop 2006, chapter 9) or Monte Carlo EM (Wei and
 * Tanner 1990). E-step: responsibilities r = softmax_k(ln pi_k + ln N(x; m_k, S_k)), in log space.
 * M-step: weighted counts, means and covariances; full, diagonal, or spherical (trace/D). Monte
 * Carlo EM replaces r by the fractions of S draws of the component. Functions return BNN_OK or an
 * error with a sentence in mem->msg. */
#ifndef GMM_H
#define GMM_H
#include "bnn.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { GMM_FULL, GMM_DIAGONAL, GMM_SPHERICAL };

typedef struct gmm {
    size_t k;
    int kind;
    double ridge;              /* added to the variances; > 0: monotone only approximately   */
    bnn_mat weight, mean, cov; /* (1,K), (K,D), (K*D,D): one covariance below the other      */
    size_t reseeded;           /* components that lost their data and began anew             */
} gmm;

static inline int gmm_fail(bnn_arena *mem, const char *what, size_t at) {
    snprintf(mem->msg, sizeof mem->msg, "gmm: %s (%zu)", what, at);
    return BNN_EARG;
}

static inline bnn_mat gmm_cov(const gmm *g, size_t k) {
    return bnn_mat_rows(g->cov, k * g->mean.cols, g->mean.cols);
}

/* Keeps of a covariance what the kind allows, and adds the ridge */
static inline void gmm_shape(const gmm *g, bnn_mat s) {
    double mean = 0;
    for (size_t i = 0; i < s.rows; i++) mean += (double)*bnn_mat_at(s, i, i) / (double)s.rows;
    for (size_t i = 0; i < s.rows; i++)
        for (size_t j = 0; j < s.cols; j++) {
            float *v = bnn_mat_at(s, i, j);
            if (i != j && g->kind != GMM_FULL) *v = 0;
            if (i == j && g->kind == GMM_SPHERICAL) *v = (float)mean;
            if (i == j) *v += (float)g->ridge;
        }
}

/* Starts at K distinct rows with the covariance of all the data */
static inline int gmm_start(bnn_arena *mem, gmm *g, bnn_mat x, size_t k, int kind, double ridge,
                            bnn_rng *rng) {
    size_t *order = (size_t *)bnn_arena_alloc(mem, x.rows, sizeof(size_t));
    if (k < 1 || k > x.rows) return gmm_fail(mem, "components: from 1 to the number of rows", k);
    if (!bnn_mat_finite(x)) return gmm_fail(mem, "the data have gaps, rows", x.rows);
    *g = (gmm){ k, kind, ridge, bnn_mat_new(mem, 1, k), bnn_mat_new(mem, k, x.cols),
                bnn_mat_new(mem, k * x.cols, x.cols), 0 };
    if (mem->err != BNN_OK) return mem->err;
    bnn_rng_permutation(rng, x.rows, order);
    bnn_mat_fill(g->weight, 1 / (float)k);
    for (size_t c = 0; c < k; c++) {
        memcpy(g->mean.data + c * x.cols, x.data + order[c] * x.cols, x.cols * sizeof(float));
        bnn_mat_cov(gmm_cov(g, c), x);
        gmm_shape(g, gmm_cov(g, c));
    }
    return BNN_OK;
}

/* ln pi_k + ln N(x_i; m_k, S_k), (n,K) */
static inline int gmm_log_joint(bnn_arena *mem, const gmm *g, bnn_mat x, bnn_mat out) {
    const double ln_2pi = 1.83787706640934548356;
    size_t d = g->mean.cols;
    bnn_mark mark = bnn_arena_mark(mem);
    bnn_mat l = bnn_mat_new(mem, d, d), z = bnn_mat_new(mem, d, x.rows);
    int err = mem->err;
    if (err == BNN_OK && x.cols != d) err = gmm_fail(mem, "the data have other columns", x.cols);
    for (size_t k = 0; err == BNN_OK && k < g->k; k++) {
        err = bnn_mat_cholesky(l, gmm_cov(g, k), NULL);
        if (err != BNN_OK) err = gmm_fail(mem, "singular covariance (give a ridge), component", k);
        for (size_t i = 0; err == BNN_OK && i < x.rows; i++)
            for (size_t j = 0; j < d; j++)
                z.data[j * x.rows + i] = x.data[i * d + j] - g->mean.data[k * d + j];
        if (err == BNN_OK) err = bnn_mat_solve_lower(z, l, z);
        for (size_t i = 0; err == BNN_OK && i < x.rows; i++) {
            double square = 0;
            for (size_t j = 0; j < d; j++)
                square += (double)z.data[j * x.rows + i] * (double)z.data[j * x.rows + i];
            out.data[i * g->k + k] = (float)(log((double)g->weight.data[k]) -
                (square + bnn_mat_logdet_chol(l) + (double)d * ln_2pi) / 2);
        }
    }
    bnn_arena_rewind(mem, mark);
    return err;
}

/* Responsibilities r (n,K), and ln p(x) summed over the rows */
static inline int gmm_expect(bnn_arena *mem, const gmm *g, bnn_mat x, bnn_mat r, double *log_p) {
    int err = gmm_log_joint(mem, g, x, r);
    double total = 0;
    for (size_t i = 0; err == BNN_OK && i < x.rows; i++) {
        float *row = r.data + i * g->k;
        double top = (double)row[bnn_mat_row_argmax(r, i)], sum = 0;
        for (size_t k = 0; k < g->k; k++) sum += exp((double)row[k] - top);
        for (size_t k = 0; k < g->k; k++) row[k] = (float)(exp((double)row[k] - top) / sum);
        total += top + log(sum);
    }
    *log_p = total;
    return err;
}

/* Replaces every row of r by the fractions of `draws` draws from it */
static inline void gmm_draw(const gmm *g, bnn_mat r, size_t draws, bnn_rng *rng) {
    for (size_t i = 0; i < r.rows; i++) {
        float *row = r.data + i * g->k, p[64], count[64] = { 0 };
        for (size_t k = 0; k < g->k && k < 64; k++) p[k] = row[k];
        for (size_t s = 0; s < draws; s++) count[bnn_rng_categorical(rng, g->k, p)] += 1;
        for (size_t k = 0; k < g->k && k < 64; k++) row[k] = count[k] / (float)draws;
    }
}

static inline void gmm_maximize_one(gmm *g, bnn_mat x, bnn_mat r, size_t k, double n) {
    size_t d = x.cols;
    bnn_mat s = gmm_cov(g, k);
    for (size_t j = 0; j < d; j++) {
        double sum = 0;
        for (size_t i = 0; i < x.rows; i++)
            sum += (double)r.data[i * g->k + k] * (double)x.data[i * d + j];
        g->mean.data[k * d + j] = (float)(sum / n);
    }
    for (size_t a = 0; a < d; a++)
        for (size_t b = 0; b <= a; b++) {
            double sum = 0, ma = (double)g->mean.data[k * d + a];
            double mb = (double)g->mean.data[k * d + b];
            if (a != b && g->kind != GMM_FULL) continue;
            for (size_t i = 0; i < x.rows; i++)
                sum += (double)r.data[i * g->k + k] * ((double)x.data[i * d + a] - ma) *
                       ((double)x.data[i * d + b] - mb);
            *bnn_mat_at(s, a, b) = *bnn_mat_at(s, b, a) = (float)(sum / n);
        }
    gmm_shape(g, s);
}

static inline void gmm_maximize(gmm *g, bnn_mat x, bnn_mat r, bnn_rng *rng) {
    double total = 0;
    for (size_t k = 0; k < g->k; k++) {
        double n = 0;
        for (size_t i = 0; i < x.rows; i++) n += (double)r.data[i * g->k + k];
        g->weight.data[k] = (float)(n / (double)x.rows);
        if (n > 1e-3) {
            gmm_maximize_one(g, x, r, k, n);
        } else { /* no data left: begin anew at a random row */
            size_t row = bnn_rng_below(rng, x.rows);
            memcpy(g->mean.data + k * x.cols, x.data + row * x.cols, x.cols * sizeof(float));
            bnn_mat_cov(gmm_cov(g, k), x);
            gmm_shape(g, gmm_cov(g, k));
            g->weight.data[k] = 1 / (float)x.rows;
            g->reseeded++;
        }
        total += (double)g->weight.data[k];
    }
    bnn_mat_scale(g->weight, g->weight, (float)(1 / total));
}

/* One step of EM, or of Monte Carlo EM with `draws` > 0. *log_p: before the step. */
static inline int gmm_em(bnn_arena *mem, gmm *g, bnn_mat x, size_t draws, bnn_rng *rng,
                         double *log_p) {
    bnn_mark mark = bnn_arena_mark(mem);
    bnn_mat r = bnn_mat_new(mem, x.rows, g->k);
    int err = mem->err;
    if (draws > 0 && g->k > 64) err = gmm_fail(mem, "Monte Carlo: at most 64 components", g->k);
    if (err == BNN_OK) err = gmm_expect(mem, g, x, r, log_p);
    if (err == BNN_OK && draws > 0) gmm_draw(g, r, draws, rng);
    if (err == BNN_OK) gmm_maximize(g, x, r, rng);
    bnn_arena_rewind(mem, mark);
    return err;
}

static inline int gmm_sample(bnn_arena *mem, const gmm *g, bnn_rng *rng, bnn_mat x) {
    size_t d = x.cols;
    bnn_mark mark = bnn_arena_mark(mem);
    bnn_mat l = bnn_mat_new(mem, g->k * d, d);
    int err = mem->err;
    for (size_t k = 0; err == BNN_OK && k < g->k; k++)
        err = bnn_mat_cholesky(bnn_mat_rows(l, k * d, d), gmm_cov(g, k), NULL);
    for (size_t i = 0; err == BNN_OK && i < x.rows; i++) {
        size_t k = bnn_rng_categorical(rng, g->k, g->weight.data);
        float *row = x.data + i * d;
        for (size_t j = 0; j < d; j++) row[j] = g->mean.data[k * d + j];
        for (size_t a = 0; a < d; a++) {
            float e = bnn_rng_normal(rng);
            for (size_t j = a; j < d; j++) row[j] += l.data[(k * d + j) * d + a] * e;
        }
    }
    bnn_arena_rewind(mem, mark);
    return err;
}
#endif
