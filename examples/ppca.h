/* ppca.h -- probabilistic PCA (Tipping and Bishop 1999) and factor analysis, with missing values:
 *     t ~ N(0, I) of M latents,  x = mean + W t + noise,  so  x ~ N(mean, W W' + diag(noise))
 * PPCA has one noise variance for all D columns, factor analysis one for each. NaN in the data is
 * a missing value, nowhere filled in: the posterior, the likelihood and EM use what was observed.
 * Functions return BNN_OK or an error with a sentence in mem->msg. */
#ifndef PPCA_H
#define PPCA_H
#include "bnn.h"
#include <float.h>
#include <math.h>
#include <stdio.h>

typedef struct ppca {
    size_t latent;
    bnn_mat mean, w, noise; /* (1,D), (D,M), (1,D) variances                    */
    int factors;            /* 1: factor analysis, a noise variance per column  */
} ppca;

static inline int ppca_fail(bnn_arena *mem, const char *what, size_t at) {
    snprintf(mem->msg, sizeof mem->msg, "ppca: %s (%zu)", what, at);
    return BNN_EARG;
}

static inline int ppca_new(bnn_arena *mem, ppca *p, size_t columns, size_t latent) {
    if (latent < 1 || latent >= columns)
        return ppca_fail(mem, "latents must be at least 1 and fewer than the columns", latent);
    p->latent = latent;
    p->factors = 0;
    p->mean = bnn_mat_new(mem, 1, columns);
    p->w = bnn_mat_new(mem, columns, latent);
    p->noise = bnn_mat_new(mem, 1, columns);
    return mem->err;
}

/* Maximum likelihood in closed form: with eigenvalues l_1 >= l_2 ... of the covariance (1/N) and
 * U the leading eigenvectors, noise = mean of the discarded l, W = U (L - noise I)^(1/2). */
static inline int ppca_fit(bnn_arena *mem, ppca *p, bnn_mat x, size_t latent) {
    size_t d = x.cols;
    int err = ppca_new(mem, p, d, latent);
    bnn_mat cov = bnn_mat_new(mem, d, d), l = bnn_mat_new(mem, 1, d), u = bnn_mat_new(mem, d, d);
    double noise = 0;
    if (err == BNN_OK) err = mem->err;
    if (err == BNN_OK && !bnn_mat_finite(x)) return ppca_fail(mem, "no closed form with gaps", 0);
    if (err == BNN_OK) err = bnn_mat_col_mean(p->mean, x);
    if (err == BNN_OK) err = bnn_mat_cov(cov, x);
    if (err == BNN_OK) err = bnn_mat_eig_sym(mem, l, u, cov); /* ascending */
    if (err != BNN_OK) return err;
    for (size_t j = 0; j < d - latent; j++) noise += (double)l.data[j] / (double)(d - latent);
    if (noise <= (double)d * (sizeof(float) == 4 ? (double)FLT_EPSILON : DBL_EPSILON) *
                     (double)l.data[d - 1])
        return ppca_fail(mem, "the data have no noise: rank at most that of the latents", latent);
    bnn_mat_fill(p->noise, (float)noise);
    for (size_t j = 0; j < latent; j++) {
        double excess = (double)l.data[d - 1 - j] - noise;
        for (size_t i = 0; i < d; i++)
            *bnn_mat_at(p->w, i, j) = (float)sqrt(excess > 0 ? excess : 0) *
                                      *bnn_mat_at(u, i, d - 1 - j);
    }
    return BNN_OK;
}

/* Posterior of t given the observed entries of one row, N(t, cov) with
 *     cov = (I + sum w_d w_d'/noise_d)^-1,  t = cov sum w_d (x_d - mean_d)/noise_d
 * and ln p(observed). t (M,1), cov and chol (M,M). Nothing observed: the prior, and ln 1. */
static inline int ppca_posterior(const ppca *p, const float *x, bnn_mat t, bnn_mat cov,
                                 bnn_mat chol, double *log_p) {
    const double ln_2pi = 1.83787706640934548356;
    size_t m = p->latent, d = p->mean.cols;
    double lik = 0, dot = 0;
    int err;
    bnn_mat_eye(chol);
    bnn_mat_fill(t, 0);
    for (size_t i = 0; i < d; i++) {
        const float *w = p->w.data + i * m;
        double v = (double)p->noise.data[i], r = (double)x[i] - (double)p->mean.data[i];
        if (isnan(x[i])) continue;
        lik -= (ln_2pi + log(v) + r * r / v) / 2;
        for (size_t a = 0; a < m; a++) {
            t.data[a] += (float)((double)w[a] * r / v);
            for (size_t b = 0; b < m; b++)
                chol.data[a * m + b] += (float)((double)(w[a] * w[b]) / v);
        }
    }
    err = bnn_mat_cholesky(chol, chol, NULL);
    if (err != BNN_OK) return err;
    bnn_mat_eye(cov);
    bnn_mat_solve_chol(cov, chol, cov);
    for (size_t a = 0; a < m; a++)
        for (size_t b = 0; b < m; b++)
            dot += (double)t.data[a] * (double)cov.data[a * m + b] * (double)t.data[b];
    bnn_mat_solve_chol(t, chol, t);
    *log_p = lik + (dot - bnn_mat_logdet_chol(chol)) / 2;
    return BNN_OK;
}

/* Means of the latents of every row, (n,M), and of the values, gaps filled by E[x_m | x_o], (n,D);
 * either may have data NULL. *log_p: ln p of all that was observed. */
static inline int ppca_infer(bnn_arena *mem, const ppca *p, bnn_mat x, bnn_mat latents,
                             bnn_mat filled, double *log_p) {
    size_t m = p->latent, d = p->mean.cols;
    bnn_mark mark = bnn_arena_mark(mem);
    bnn_mat t = bnn_mat_new(mem, m, 1), s = bnn_mat_new(mem, m, m), l = bnn_mat_new(mem, m, m);
    double sum = 0, row = 0;
    int err = mem->err;
    if (x.cols != d) err = ppca_fail(mem, "the data have another number of columns", x.cols);
    for (size_t i = 0; err == BNN_OK && i < x.rows; i++) {
        err = ppca_posterior(p, x.data + i * d, t, s, l, &row);
        sum += row;
        for (size_t a = 0; latents.data && a < m; a++) latents.data[i * m + a] = t.data[a];
        for (size_t j = 0; filled.data && j < d; j++) {
            double value = (double)p->mean.data[j];
            for (size_t a = 0; a < m; a++) value += (double)(p->w.data[j * m + a] * t.data[a]);
            filled.data[i * d + j] = isnan(x.data[i * d + j]) ? (float)value : x.data[i * d + j];
        }
    }
    if (log_p) *log_p = sum;
    bnn_arena_rewind(mem, mark);
    return err;
}

/* The sums of the E-step for one column: E[z z'] and E[z] x over the rows that observe it, with
 * z = (t, 1), so that W and the mean are one regression. */
static inline void ppca_collect(double *zz, double *zx, bnn_mat t, bnn_mat s, double x) {
    size_t m = t.rows;
    for (size_t a = 0; a <= m; a++) {
        double za = a < m ? (double)t.data[a] : 1;
        zx[a] += za * x;
        for (size_t b = 0; b <= m; b++) {
            double cov = a < m && b < m ? (double)s.data[a * m + b] : 0;
            zz[a * (m + 1) + b] += cov + za * (b < m ? (double)t.data[b] : 1);
        }
    }
}

/* Solves the regression of a column and puts W and mean in; returns the sum over its rows of
 * E[(x - mean - W t)^2] = sum x^2 - 2 z'E[z]x + z'E[zz']z */
static inline int ppca_regress(ppca *p, size_t column, const double *zz, const double *zx,
                               double xx, bnn_mat a, bnn_mat b, double *residual) {
    size_t m = p->latent;
    int err;
    for (size_t i = 0; i < (m + 1) * (m + 1); i++) a.data[i] = (float)zz[i];
    for (size_t i = 0; i <= m; i++) b.data[i] = (float)zx[i];
    err = bnn_mat_cholesky(a, a, NULL);
    if (err != BNN_OK) return err;
    bnn_mat_solve_chol(b, a, b);
    *residual = xx;
    for (size_t i = 0; i <= m; i++) {
        double back = 0;
        for (size_t j = 0; j <= m; j++) back += zz[i * (m + 1) + j] * (double)b.data[j];
        *residual += (double)b.data[i] * (back - 2 * zx[i]);
        if (i < m) p->w.data[column * m + i] = b.data[i];
        else p->mean.data[column] += b.data[i]; /* x was counted from the old mean */
    }
    return BNN_OK;
}

static inline int ppca_maximize(bnn_arena *mem, ppca *p, const double *zz, const double *zx,
                                const double *xx, const double *count) {
    size_t k = p->latent + 1, d = p->mean.cols;
    bnn_mat a = bnn_mat_new(mem, k, k), b = bnn_mat_new(mem, k, 1);
    double all = 0, n = 0, residual = 0;
    int err = mem->err;
    for (size_t j = 0; err == BNN_OK && j < d; j++) {
        err = ppca_regress(p, j, zz + j * k * k, zx + j * k, xx[j], a, b, &residual);
        if (p->factors) p->noise.data[j] = (float)fmax(residual / count[j], 1e-6);
        all += residual;
        n += count[j];
    }
    if (err == BNN_OK && !p->factors) bnn_mat_fill(p->noise, (float)(all / n));
    if (err == BNN_OK && !(all > 0))
        return ppca_fail(mem, "the data have no noise: rank at most that of the latents",
                         p->latent);
    return err;
}

/* One step of EM, exact for any pattern of gaps. *log_p (if given): before the step. Columns that
 * no row observes are an error, rows that observe nothing say nothing. */
static inline int ppca_em(bnn_arena *mem, ppca *p, bnn_mat x, double *log_p) {
    size_t m = p->latent, k = m + 1, d = p->mean.cols;
    bnn_mark mark = bnn_arena_mark(mem);
    bnn_mat t = bnn_mat_new(mem, m, 1), s = bnn_mat_new(mem, m, m), l = bnn_mat_new(mem, m, m);
    double *zz = (double *)bnn_arena_alloc(mem, d * k * k, sizeof(double));
    double *zx = (double *)bnn_arena_alloc(mem, d * k, sizeof(double));
    double *xx = (double *)bnn_arena_alloc(mem, 2 * d, sizeof(double)), *count = xx + d;
    double sum = 0, row = 0;
    int err = mem->err;
    if (x.cols != d) err = ppca_fail(mem, "the data have another number of columns", x.cols);
    for (size_t i = 0; err == BNN_OK && i < x.rows; i++) {
        err = ppca_posterior(p, x.data + i * d, t, s, l, &row);
        sum += row;
        for (size_t j = 0; err == BNN_OK && j < d; j++) {
            double r = (double)x.data[i * d + j] - (double)p->mean.data[j];
            if (isnan(x.data[i * d + j])) continue;
            ppca_collect(zz + j * k * k, zx + j * k, t, s, r);
            xx[j] += r * r;
            count[j] += 1;
        }
    }
    for (size_t j = 0; err == BNN_OK && j < d; j++)
        if (count[j] == 0) err = ppca_fail(mem, "no row observes this column", j);
    if (err == BNN_OK) err = ppca_maximize(mem, p, zz, zx, xx, count);
    if (log_p) *log_p = sum;
    bnn_arena_rewind(mem, mark);
    return err;
}

/* A start for EM: means and variances of what was observed, small random W */
static inline int ppca_start(bnn_arena *mem, ppca *p, bnn_mat x, size_t latent, bnn_rng *rng) {
    int err = ppca_new(mem, p, x.cols, latent);
    double all = 0, n = 0;
    for (size_t j = 0; err == BNN_OK && j < x.cols; j++) {
        double sum = 0, square = 0, count = 0;
        for (size_t i = 0; i < x.rows; i++) {
            double v = (double)x.data[i * x.cols + j];
            if (isnan(v)) continue;
            sum += v, square += v * v, count += 1;
        }
        if (count == 0) return ppca_fail(mem, "no row observes this column", j);
        p->mean.data[j] = (float)(sum / count);
        all += square - sum * sum / count;
        n += count;
    }
    if (err != BNN_OK) return err;
    if (!(all > 0)) return ppca_fail(mem, "the data do not vary", x.rows);
    bnn_mat_fill(p->noise, (float)(all / n));
    bnn_rng_fill_normal(rng, p->w.rows * latent, p->w.data);
    return bnn_mat_scale(p->w, p->w, (float)(0.1 * sqrt(all / n)));
}

/* Rows of x ~ p(x): latents from the prior, with noise or (noise 0) without */
static inline void ppca_sample(const ppca *p, bnn_rng *rng, bnn_mat x, int noise) {
    for (size_t i = 0; i < x.rows; i++) {
        float *row = x.data + i * x.cols;
        for (size_t j = 0; j < x.cols; j++) row[j] = p->mean.data[j];
        for (size_t a = 0; a < p->latent; a++) {
            float t = bnn_rng_normal(rng);
            for (size_t j = 0; j < x.cols; j++) row[j] += p->w.data[j * p->latent + a] * t;
        }
        for (size_t j = 0; noise && j < x.cols; j++)
            row[j] += (float)sqrt((double)p->noise.data[j]) * bnn_rng_normal(rng);
    }
}
#endif
